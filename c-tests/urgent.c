/* Urgent data: MSG_OOB, SO_OOBINLINE, the mark. */
#include "harness.h"

#include <sys/ioctl.h>
#include <linux/sockios.h>

static int at_mark(int fd)
{
    int n = -1;
    OK(ioctl(fd, SIOCATMARK, &n));
    EQ(sockatmark(fd), n);
    return n;
}

BOTH(taken_out_of_the_stream)
{
    struct pair p = tcp_pair(family);
    char c, got[8];
    EQ(send(p.client, "ab", 2, 0), 2);
    EQ(send(p.client, "!", 1, MSG_OOB), 1);
    EQ(send(p.client, "cd", 2, 0), 2);
    wait_for(p.server, POLLPRI);
    EQ(recv(p.server, &c, 1, MSG_OOB), 1);
    EQ(c, '!');
    recv_all(p.server, got, 4);
    EQ(memcmp(got, "abcd", 4), 0);
}

BOTH(reading_stops_at_the_mark)
{
    struct pair p = tcp_pair(family);
    char got[8];
    EQ(send(p.client, "ab", 2, 0), 2);
    EQ(send(p.client, "!", 1, MSG_OOB), 1);
    EQ(send(p.client, "cd", 2, 0), 2);
    sleep_ms(SHORT_MS);
    EQ(at_mark(p.server), 0);
    EQ(recv(p.server, got, 8, 0), 2);
    EQ(at_mark(p.server), 1);
    EQ(recv(p.server, got, 8, 0), 2);
    EQ(memcmp(got, "cd", 2), 0);
    EQ(at_mark(p.server), 0);
}

BOTH(only_the_last_byte_is_urgent)
{
    struct pair p = tcp_pair(family);
    char c, got[8];
    EQ(send(p.client, "xyz", 3, MSG_OOB), 3);
    wait_for(p.server, POLLPRI);
    EQ(recv(p.server, &c, 1, MSG_OOB), 1);
    EQ(c, 'z');
    EQ(recv(p.server, got, 8, 0), 2);
    EQ(memcmp(got, "xy", 2), 0);
}

BOTH(taken_once)
{
    struct pair p = tcp_pair(family);
    char c;
    EQ(send(p.client, "!", 1, MSG_OOB), 1);
    wait_for(p.server, POLLPRI);
    EQ(recv(p.server, &c, 1, MSG_OOB), 1);
    ERR(recv(p.server, &c, 1, MSG_OOB), EINVAL);
    EQ(events_of(p.server, POLLPRI, 0), 0);
}

BOTH(peek_at_it)
{
    struct pair p = tcp_pair(family);
    char c;
    EQ(send(p.client, "!", 1, MSG_OOB), 1);
    wait_for(p.server, POLLPRI);
    EQ(recv(p.server, &c, 1, MSG_OOB | MSG_PEEK), 1);
    EQ(recv(p.server, &c, 1, MSG_OOB), 1);
    EQ(c, '!');
}

BOTH(none_there)
{
    struct pair p = tcp_pair(family);
    char c;
    ERR(recv(p.server, &c, 1, MSG_OOB), EINVAL);
    EQ(at_mark(p.server), 0);
}

BOTH(inline_stays_in_the_stream)
{
    struct pair p = tcp_pair(family);
    char c, got[8];
    set_int(p.server, SOL_SOCKET, SO_OOBINLINE, 1);
    EQ(send(p.client, "ab", 2, 0), 2);
    EQ(send(p.client, "!", 1, MSG_OOB), 1);
    wait_for(p.server, POLLPRI);
    ERR(recv(p.server, &c, 1, MSG_OOB), EINVAL);
    EQ(recv(p.server, got, 8, 0), 2);
    EQ(at_mark(p.server), 1);
    EQ(recv(p.server, got, 8, 0), 1);
    EQ(got[0], '!');
}

BOTH(poll_says_pri)
{
    struct pair p = tcp_pair(family);
    EQ(send(p.client, "!", 1, MSG_OOB), 1);
    wait_for(p.server, POLLPRI);
    EQ(events_of(p.server, POLLPRI, 0), POLLPRI);
}

BOTH(select_says_exception)
{
    struct pair p = tcp_pair(family);
    struct timeval tv = {3, 0};
    fd_set e;
    FD_ZERO(&e);
    FD_SET(p.server, &e);
    EQ(send(p.client, "!", 1, MSG_OOB), 1);
    EQ(select(p.server + 1, NULL, NULL, &e, &tv), 1);
    TRUE(FD_ISSET(p.server, &e));
}

BOTH(epoll_says_pri)
{
    struct pair p = tcp_pair(family);
    struct epoll_event e = {.events = EPOLLPRI};
    int ep = (int)OK(epoll_create1(0));
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &e));
    EQ(send(p.client, "!", 1, MSG_OOB), 1);
    EQ(epoll_wait(ep, &e, 1, LONG_MS), 1);
    EQ(e.events, EPOLLPRI);
}

BOTH(on_a_listener)
{
    struct addr at;
    char c;
    ERR(recv(listener(family, 1, &at), &c, 1, MSG_OOB), ENOTCONN);
}
