/*
 * select_server: passes each line that a client sends on to every other client, all in one thread with select. A line on standard
 * input goes to all clients; its end ends the server.
 *
 *     select_server PORT
 *
 * Includes the system's headers only: linking with -ltunsock (or `tunsock run`) is all that makes it tunsock's. Sockets of the stack
 * and the terminal are waited for together.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static fd_set clients;
static int highest;

static void leave(int fd) {
    printf("client on descriptor %d left\n", fd);
    fflush(stdout);
    FD_CLR(fd, &clients);
    close(fd);
}

/* To every client but one (-1: to all). */
static void pass_on(int from, const char *data, size_t len) {
    int fd;
    for (fd = 0; fd <= highest; fd++)
        if (FD_ISSET(fd, &clients) && fd != from && send(fd, data, len, MSG_NOSIGNAL) < 0)
            leave(fd);
}

static void welcome(int listener) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) {
        perror("accept");
        return;
    }
    if (fd >= FD_SETSIZE) {
        close(fd);
        return;
    }
    FD_SET(fd, &clients);
    if (fd > highest)
        highest = fd;
    printf("client on descriptor %d came\n", fd);
    fflush(stdout);
}

int main(int argc, char **argv) {
    struct sockaddr_in own;
    char buffer[4096];
    int listener, on = 1;

    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0) {
        perror("socket");
        return 1;
    }
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    memset(&own, 0, sizeof own);
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(INADDR_ANY);
    own.sin_port = htons((in_port_t)atoi(argv[1]));
    if (bind(listener, (struct sockaddr *)&own, sizeof own) < 0 || listen(listener, 16) < 0) {
        perror("bind or listen");
        return 1;
    }
    FD_ZERO(&clients);
    highest = listener;
    printf("listening on port %s\n", argv[1]);
    fflush(stdout);

    for (;;) {
        fd_set ready = clients;
        int fd;

        FD_SET(STDIN_FILENO, &ready);
        FD_SET(listener, &ready);
        if (select(highest + 1, &ready, NULL, NULL, NULL) < 0) {
            perror("select");
            return 1;
        }
        if (FD_ISSET(STDIN_FILENO, &ready)) {
            ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
            if (got <= 0)
                return 0;
            pass_on(-1, buffer, (size_t)got);
        }
        if (FD_ISSET(listener, &ready))
            welcome(listener);
        for (fd = 0; fd <= highest; fd++) {
            ssize_t got;
            if (!FD_ISSET(fd, &ready) || !FD_ISSET(fd, &clients))
                continue;
            got = recv(fd, buffer, sizeof buffer, 0);
            if (got <= 0)
                leave(fd);
            else
                pass_on(fd, buffer, (size_t)got);
        }
    }
}
