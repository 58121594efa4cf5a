/* The server of `tunsock demo`: an ordinary program on ordinary sockets. It takes one connection, prints each message
 * that arrives on it, answers, and ends when the client has closed.
 *
 *     server ADDRESS PORT
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

static void write_all(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0)
            die("write");
        data += n;
        len -= (size_t)n;
    }
}

/* One line, without its newline. 0: the peer has closed. */
static int read_line(int fd, char *line, size_t size) {
    size_t len = 0;
    while (len + 1 < size) {
        ssize_t n = read(fd, line + len, 1);
        if (n < 0)
            die("read");
        if (n == 0)
            return 0;
        if (line[len] == '\n')
            break;
        len++;
    }
    line[len] = 0;
    return 1;
}

int main(int argc, char **argv) {
    struct sockaddr_in own = {.sin_family = AF_INET}, peer;
    socklen_t peer_len = sizeof peer;
    char text[INET_ADDRSTRLEN], line[256], answer[512];
    int listener, fd, on = 1;

    if (argc != 3 || inet_pton(AF_INET, argv[1], &own.sin_addr) != 1) {
        fprintf(stderr, "usage: server ADDRESS PORT\n");
        return 1;
    }
    own.sin_port = htons((unsigned short)atoi(argv[2]));
    setvbuf(stdout, NULL, _IOLBF, 0);

    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0)
        die("socket");
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        die("setsockopt");
    if (bind(listener, (struct sockaddr *)&own, sizeof own) < 0)
        die("bind");
    if (listen(listener, 5) < 0)
        die("listen");
    printf("Waiting on %s port %s\n", argv[1], argv[2]);

    fd = accept(listener, (struct sockaddr *)&peer, &peer_len);
    if (fd < 0)
        die("accept");
    inet_ntop(AF_INET, &peer.sin_addr, text, sizeof text);
    printf("Connection from %s\n", text);
    while (read_line(fd, line, sizeof line)) {
        printf("Here is the message: %s\n", line);
        snprintf(answer, sizeof answer, "I got your message: %s\n", line);
        write_all(fd, answer, strlen(answer));
    }
    printf("The client has closed\n");
    close(fd);
    close(listener);
    return 0;
}
