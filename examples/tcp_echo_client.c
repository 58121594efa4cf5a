/*
 * tcp_echo_client: sends each line of standard input to a server and prints what comes back.
 *
 *     tcp_echo_client HOST PORT           HOST: an address, or a name from the hosts file
 */
#define TUNSOCK_POSIX_NAMES
#include <tunsock.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Connects to the first of the host's addresses that answers. */
static int connect_to(const char *host, const char *port) {
    struct addrinfo hints, *found, *each;
    int fd = -1, why;

    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    why = getaddrinfo(host, port, &hints, &found);
    if (why != 0) {
        fprintf(stderr, "%s: %s\n", host, gai_strerror(why));
        exit(1);
    }
    for (each = found; each != NULL; each = each->ai_next) {
        fd = socket(each->ai_family, each->ai_socktype, each->ai_protocol);
        if (fd < 0)
            continue;
        if (connect(fd, each->ai_addr, each->ai_addrlen) == 0)
            break;
        perror("connect");
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

int main(int argc, char **argv) {
    char line[4096];
    int fd;

    if (argc != 3) {
        fprintf(stderr, "usage: %s HOST PORT\n", argv[0]);
        return 2;
    }
    fd = connect_to(argv[1], argv[2]);
    if (fd < 0)
        return 1;
    while (fgets(line, sizeof line, stdin) != NULL) {
        size_t want = strlen(line), have = 0;
        if (send(fd, line, want, 0) != (ssize_t)want) {
            perror("send");
            return 1;
        }
        while (have < want) {
            ssize_t got = recv(fd, line + have, want - have, 0);
            if (got < 0) {
                perror("recv");
                return 1;
            }
            if (got == 0) {
                fprintf(stderr, "the server closed the connection\n");
                return 1;
            }
            have += (size_t)got;
        }
        fwrite(line, 1, have, stdout);
        fflush(stdout);
    }
    close(fd);
    return 0;
}
