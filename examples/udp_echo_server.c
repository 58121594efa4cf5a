/*
 * udp_echo_server: sends every datagram back to where it came from.
 *
 *     udp_echo_server PORT [DATAGRAMS]    DATAGRAMS: how many before it ends; without it, for ever
 *
 * Written with the header's own names, which do not get in the way of the system's: a program can use both networks at once.
 */
#include <tunsock.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char buffer[65536];

int main(int argc, char **argv) {
    struct tunsock_sockaddr_in own;
    long left;
    int fd;

    if (argc < 2) {
        fprintf(stderr, "usage: %s PORT [DATAGRAMS]\n", argv[0]);
        return 2;
    }
    left = argc > 2 ? atol(argv[2]) : -1;

    fd = tunsock_socket(TUNSOCK_AF_INET, TUNSOCK_SOCK_DGRAM, 0);
    if (fd < 0) {
        perror("socket");
        return 1;
    }
    memset(&own, 0, sizeof own);
    own.sin_family = TUNSOCK_AF_INET;
    own.sin_addr.s_addr = tunsock_htonl(TUNSOCK_INADDR_ANY);
    own.sin_port = tunsock_htons((uint16_t)atoi(argv[1]));
    if (tunsock_bind(fd, (struct tunsock_sockaddr *)&own, sizeof own) < 0) {
        perror("bind");
        return 1;
    }
    printf("waiting on port %s\n", argv[1]);
    fflush(stdout);

    while (left != 0) {
        struct tunsock_sockaddr_in peer;
        tunsock_socklen_t len = sizeof peer;
        ssize_t got = tunsock_recvfrom(fd, buffer, sizeof buffer, 0, (struct tunsock_sockaddr *)&peer, &len);
        if (got < 0) {
            perror("recvfrom");
            return 1;
        }
        printf("%zd bytes from port %d\n", got, tunsock_ntohs(peer.sin_port));
        fflush(stdout);
        if (tunsock_sendto(fd, buffer, (size_t)got, 0, (struct tunsock_sockaddr *)&peer, len) < 0)
            perror("sendto");
        if (left > 0)
            left--;
    }
    tunsock_close(fd);
    return 0;
}
