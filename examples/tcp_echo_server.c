/*
 * tcp_echo_server: sends back what each client sends, one client after the other.
 *
 *     tcp_echo_server PORT [CLIENTS]      CLIENTS: how many to serve before it ends; without it, for ever
 *
 * Ordinary source. TUNSOCK_POSIX_NAMES makes socket, bind, read, ... the calls of tunsock; without the two lines at the top it is a
 * program like any other, and runs over tunsock by `tunsock run -- tcp_echo_server 7000`.
 */
#define TUNSOCK_POSIX_NAMES
#include <tunsock.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Sends all of it, in as many pieces as it takes. */
static void send_all(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        if (sent < 0) {
            perror("send");
            return;
        }
        data += sent;
        len -= (size_t)sent;
    }
}

static void serve(int client, const struct sockaddr_in *peer) {
    char buffer[4096];
    char name[INET_ADDRSTRLEN];
    size_t total = 0;
    ssize_t got;

    inet_ntop(AF_INET, &peer->sin_addr, name, sizeof name);
    printf("client %s port %d\n", name, ntohs(peer->sin_port));
    while ((got = read(client, buffer, sizeof buffer)) > 0) {
        send_all(client, buffer, (size_t)got);
        total += (size_t)got;
    }
    if (got < 0)
        perror("read");
    printf("client %s port %d is done, %zu bytes\n", name, ntohs(peer->sin_port), total);
    fflush(stdout);
    close(client);
}

int main(int argc, char **argv) {
    struct sockaddr_in own;
    int listener, on = 1;
    long left;

    if (argc < 2) {
        fprintf(stderr, "usage: %s PORT [CLIENTS]\n", argv[0]);
        return 2;
    }
    left = argc > 2 ? atol(argv[2]) : -1;

    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0)
        die("socket");
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        die("setsockopt");
    memset(&own, 0, sizeof own);
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(INADDR_ANY);
    own.sin_port = htons((in_port_t)atoi(argv[1]));
    if (bind(listener, (struct sockaddr *)&own, sizeof own) < 0)
        die("bind");
    if (listen(listener, 5) < 0)
        die("listen");
    printf("listening on port %s\n", argv[1]);
    fflush(stdout);

    while (left != 0) {
        struct sockaddr_in peer;
        socklen_t len = sizeof peer;
        int client = accept(listener, (struct sockaddr *)&peer, &len);
        if (client < 0)
            die("accept");
        serve(client, &peer);
        if (left > 0)
            left--;
    }
    close(listener);
    return 0;
}
