/* What a program is told when its network vanishes: gone HOST PORT. Connects, says "up", blocks in recv, and then tries the other calls. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static int failures;

static void down(const char *call, long result)
{
    if (result == -1 && errno == ENETDOWN)
        return;
    printf("%s: %ld, %s\n", call, result, strerror(errno));
    failures++;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
    struct timespec used;
    char c;
    inet_pton(AF_INET, argv[1], &at.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0), idle = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || send(fd, "up", 2, 0) != 2) {
        perror("connect");
        return 1;
    }
    down("blocked recv", recv(fd, &c, 1, 0));
    down("recv", recv(fd, &c, 1, 0));
    down("send", send(fd, "x", 1, MSG_NOSIGNAL));
    down("sendto", sendto(idle, "x", 1, 0, (struct sockaddr *)&at, sizeof(at)));
    struct pollfd p = {fd, POLLIN, 0};
    if (poll(&p, 1, 1000) != 1 || !(p.revents & (POLLERR | POLLHUP))) {
        printf("poll: %x\n", p.revents);
        failures++;
    }
    struct timespec second = {1, 0};
    nanosleep(&second, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used); /* nothing spins */
    if (used.tv_sec > 0 || used.tv_nsec > 300000000) {
        printf("%ld ns of processor time\n", used.tv_nsec);
        failures++;
    }
    return failures ? 1 : 0;
}
