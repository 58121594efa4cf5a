/* An echo server on epoll, edge triggered: epoll_echo PORT. Dual stack. Runs until it is killed. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void add(int set, int fd, unsigned events)
{
    struct epoll_event e = {.events = events, .data = {.fd = fd}};
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll_ctl");
}

/* Echoes what is there; a peer that reads nothing while it writes is not served for ever. */
static void echo(int fd)
{
    char block[16384];
    for (;;) {
        ssize_t n = recv(fd, block, sizeof(block), 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close(fd);
            return;
        }
        for (ssize_t done = 0; done < n;) {
            ssize_t sent = send(fd, block + done, (size_t)(n - done), MSG_NOSIGNAL);
            if (sent < 0 && errno != EAGAIN) {
                close(fd);
                return;
            }
            done += sent > 0 ? sent : 0;
        }
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)atoi(argc > 1 ? argv[1] : "7"))};
    struct epoll_event events[64];
    int one = 1, listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0), set = epoll_create1(0);
    if (listener < 0 || set < 0)
        die("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 512) < 0)
        die("listen");
    add(set, listener, EPOLLIN);
    for (;;) {
        int n = epoll_wait(set, events, 64, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                echo(fd);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
                add(set, fd, EPOLLIN | EPOLLET | EPOLLRDHUP);
        }
    }
}
