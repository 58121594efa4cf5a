/*
 * udp_echo_client: sends a word in a datagram and waits, with poll and up to three times, for it to come back.
 *
 *     udp_echo_client ADDRESS PORT WORD
 */
#include <tunsock.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    struct tunsock_sockaddr_in peer;
    struct tunsock_pollfd wait;
    char answer[65536];
    int fd, attempt;

    if (argc != 4) {
        fprintf(stderr, "usage: %s ADDRESS PORT WORD\n", argv[0]);
        return 2;
    }
    memset(&peer, 0, sizeof peer);
    peer.sin_family = TUNSOCK_AF_INET;
    peer.sin_port = tunsock_htons((uint16_t)atoi(argv[2]));
    if (inet_pton(AF_INET, argv[1], &peer.sin_addr) != 1) {
        fprintf(stderr, "%s is not an IPv4 address\n", argv[1]);
        return 2;
    }
    fd = tunsock_socket(TUNSOCK_AF_INET, TUNSOCK_SOCK_DGRAM, 0);
    if (fd < 0) {
        perror("socket");
        return 1;
    }
    if (tunsock_connect(fd, (struct tunsock_sockaddr *)&peer, sizeof peer) < 0) {
        perror("connect");
        return 1;
    }
    wait.fd = fd;
    wait.events = TUNSOCK_POLLIN;
    for (attempt = 0; attempt < 3; attempt++) {
        if (tunsock_send(fd, argv[3], strlen(argv[3]), 0) < 0) {
            perror("send");
            return 1;
        }
        if (tunsock_poll(&wait, 1, 1000) > 0) {
            ssize_t got = tunsock_recv(fd, answer, sizeof answer, 0);
            if (got < 0) {
                perror("recv");
                return 1;
            }
            printf("%.*s\n", (int)got, answer);
            tunsock_close(fd);
            return 0;
        }
    }
    fprintf(stderr, "no answer\n");
    return 1;
}
