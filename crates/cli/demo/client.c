/* The client of `tunsock demo`: an ordinary program on ordinary sockets. It sends each line of its standard input and
 * prints the line that comes back.
 *
 *     client ADDRESS PORT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

int main(int argc, char **argv) {
    struct sockaddr_in server = {.sin_family = AF_INET};
    char message[256], answer[512];
    int fd;

    if (argc != 3 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) {
        fprintf(stderr, "usage: client ADDRESS PORT\n");
        return 1;
    }
    server.sin_port = htons((unsigned short)atoi(argv[2]));
    setvbuf(stdout, NULL, _IOLBF, 0);

    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
        die("connect");
    for (;;) {
        size_t len = 0;
        ssize_t n;
        if (!fgets(message, sizeof message, stdin))
            break;
        printf("Please enter the message: %s", message);
        if (send(fd, message, strlen(message), 0) != (ssize_t)strlen(message))
            die("send");
        do {
            n = recv(fd, answer + len, sizeof answer - 1 - len, 0);
            if (n < 0)
                die("recv");
            if (n == 0) {
                fprintf(stderr, "client: the server closed in the middle of an answer\n");
                return 1;
            }
            len += (size_t)n;
        } while (answer[len - 1] != '\n' && len < sizeof answer - 1);
        answer[len] = 0;
        printf("%s", answer);
    }
    /* Nothing more to say; the server may still have something. */
    if (shutdown(fd, SHUT_WR) < 0)
        die("shutdown");
    while (recv(fd, answer, sizeof answer, 0) > 0)
        ;
    close(fd);
    return 0;
}
