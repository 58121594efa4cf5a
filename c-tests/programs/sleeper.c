/* Listens and then sleeps in its own code: sleeper PORT SECONDS. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 64) < 0) {
        perror("listen");
        return 1;
    }
    struct timespec t = {atoi(argv[2]), 0};
    nanosleep(&t, NULL);
    return 0;
}
