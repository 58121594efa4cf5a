/* Several threads on sockets: each way of its own, one socket, hand-overs. */
#include "harness.h"

struct echo {
    int fd;
    size_t bytes;
};

static void echo_until_end(void *arg)
{
    struct echo *e = arg;
    char buffer[4096];
    for (ssize_t n; (n = recv(e->fd, buffer, sizeof(buffer), 0)) > 0;) {
        send_all(e->fd, buffer, (size_t)n);
        e->bytes += (size_t)n;
    }
    OK(close(e->fd));
}

BOTH(echo_between_threads)
{
    struct pair p = tcp_pair(family);
    struct echo e = {p.server, 0};
    struct task t;
    unsigned char data[1000], got[1000];
    start(&t, 0, echo_until_end, &e);
    for (unsigned i = 0; i < 300; i++) {
        pattern(data, sizeof(data), i);
        send_all(p.client, data, sizeof(data));
        recv_all(p.client, got, sizeof(got));
        EQ(memcmp(data, got, sizeof(data)), 0);
    }
    OK(close(p.client));
    join(&t);
    EQ(e.bytes, 300 * 1000);
}

struct client {
    struct addr at;
    unsigned seed;
};

static void talk(void *arg)
{
    struct client *c = arg;
    unsigned char data[500], got[500];
    int fd = tcp(c->at.sa.sa_family);
    OK(connect(fd, &c->at.sa, c->at.len));
    for (unsigned i = 0; i < 50; i++) {
        pattern(data, sizeof(data), c->seed + i);
        send_all(fd, data, sizeof(data));
        recv_all(fd, got, sizeof(got));
        EQ(memcmp(data, got, sizeof(data)), 0);
    }
    OK(close(fd));
}

BOTH(many_clients_many_servers)
{
    enum { N = 8 };
    struct task servers[N], clients[N];
    struct echo e[N];
    struct client c[N];
    struct addr at;
    int l = listener(family, N, &at);
    for (int i = 0; i < N; i++) {
        c[i] = (struct client){at, (unsigned)i * 1000};
        start(&clients[i], 0, talk, &c[i]);
    }
    for (int i = 0; i < N; i++) {
        e[i] = (struct echo){(int)OK(accept(l, NULL, NULL)), 0};
        start(&servers[i], 0, echo_until_end, &e[i]);
    }
    for (int i = 0; i < N; i++) {
        join(&clients[i]);
        join(&servers[i]);
    }
}

struct share {
    int fd;
    size_t got;
};

static void read_share(void *arg)
{
    struct share *s = arg;
    char buffer[1024];
    for (ssize_t n; (n = recv(s->fd, buffer, sizeof(buffer), 0)) > 0;)
        s->got += (size_t)n;
}

BOTH(readers_of_one_socket_share_the_bytes)
{
    struct pair p = tcp_pair(family);
    struct task t[3];
    struct share s[3];
    static char data[200000];
    size_t sum = 0;
    for (int i = 0; i < 3; i++) {
        s[i] = (struct share){p.server, 0};
        start(&t[i], 0, read_share, &s[i]);
    }
    send_all(p.client, data, sizeof(data));
    OK(shutdown(p.client, SHUT_WR));
    for (int i = 0; i < 3; i++) { /* the end wakes all of them */
        join(&t[i]);
        sum += s[i].got;
    }
    EQ(sum, sizeof(data));
}

static void write_letters(void *arg)
{
    struct echo *e = arg;
    char block[1000];
    memset(block, (int)e->bytes, sizeof(block));
    for (int i = 0; i < 100; i++)
        send_all(e->fd, block, sizeof(block));
}

BOTH(writers_of_one_socket_lose_nothing)
{
    struct pair p = tcp_pair(family);
    struct task t[3];
    struct echo e[3];
    size_t count[256] = {0};
    char buffer[4096];
    for (int i = 0; i < 3; i++) {
        e[i] = (struct echo){p.client, (size_t)('a' + i)};
        start(&t[i], 0, write_letters, &e[i]);
    }
    for (size_t have = 0; have < 300000;) {
        ssize_t n = OK(recv(p.server, buffer, sizeof(buffer), 0));
        for (ssize_t i = 0; i < n; i++)
            count[(unsigned char)buffer[i]]++;
        have += (size_t)n;
    }
    for (int i = 0; i < 3; i++) {
        join(&t[i]);
        EQ(count['a' + i], 100000);
    }
}

BOTH(one_thread_reads_while_another_writes)
{
    struct pair p = tcp_pair(family);
    struct share s = {p.client, 0};
    struct echo e = {p.server, 0};
    struct task reader, server;
    static char data[500000];
    start(&reader, 0, read_share, &s);
    start(&server, 0, echo_until_end, &e);
    send_all(p.client, data, sizeof(data));
    OK(shutdown(p.client, SHUT_WR));
    join(&server);
    join(&reader);
    EQ(s.got, sizeof(data));
}

static void poll_readable(void *arg) { EQ(events_of(*(int *)arg, POLLIN, LONG_MS), POLLIN); }

BOTH(all_pollers_of_one_socket_wake)
{
    struct pair p = tcp_pair(family);
    struct task t[4];
    for (int i = 0; i < 4; i++)
        start(&t[i], 0, poll_readable, &p.server);
    sleep_ms(SHORT_MS);
    send_all(p.client, "x", 1);
    for (int i = 0; i < 4; i++)
        join(&t[i]);
}

static void open_and_close(void *arg)
{
    struct addr *at = arg;
    for (int i = 0; i < 60; i++) {
        int fd = tcp(at->sa.sa_family);
        OK(connect(fd, &at->sa, at->len));
        send_all(fd, "x", 1);
        OK(close(fd));
    }
}

BOTH(connects_from_several_threads)
{
    struct addr at;
    struct task t[3];
    int l = listener(family, 300, &at);
    for (int i = 0; i < 3; i++)
        start(&t[i], 0, open_and_close, &at);
    for (int i = 0; i < 180; i++) {
        char c;
        int s = (int)OK(accept(l, NULL, NULL));
        recv_all(s, &c, 1);
        EQ(recv(s, &c, 1, 0), 0);
        OK(close(s));
    }
    for (int i = 0; i < 3; i++)
        join(&t[i]);
}

static void sockets_come_and_go(void *arg)
{
    int family = *(int *)arg;
    for (int i = 0; i < 300; i++) {
        int a = tcp(family), b = udp(family);
        TRUE(a != b);
        OK(close(b));
        OK(close(a));
    }
}

BOTH(descriptors_from_several_threads)
{
    struct task t[4];
    for (int i = 0; i < 4; i++)
        start(&t[i], 0, sockets_come_and_go, &family);
    for (int i = 0; i < 4; i++)
        join(&t[i]);
}

static void datagrams(void *arg)
{
    struct pair *p = arg;
    for (int i = 0; i < 200; i++) {
        char c = (char)i, back;
        EQ(send(p->client, &c, 1, 0), 1);
        EQ(recv(p->server, &back, 1, 0), 1);
        EQ(back, c);
    }
}

BOTH(datagrams_from_several_threads)
{
    struct task t[4];
    struct pair p[4];
    for (int i = 0; i < 4; i++) {
        p[i] = udp_pair(family);
        start(&t[i], 0, datagrams, &p[i]);
    }
    for (int i = 0; i < 4; i++)
        join(&t[i]);
}

static void wait_on_epoll(void *arg)
{
    struct share *s = arg;
    struct epoll_event e;
    while (epoll_wait(s->fd, &e, 1, 150) == 1) {
        char c;
        if (recv(e.data.fd, &c, 1, MSG_DONTWAIT) == 1)
            s->got++;
    }
}

BOTH(threads_share_an_epoll_set)
{
    struct task t[3];
    struct share s[3];
    struct pair p = tcp_pair(family);
    struct epoll_event e = {.events = EPOLLIN, .data = {.fd = p.server}};
    int ep = (int)OK(epoll_create1(0));
    size_t sum = 0;
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &e));
    for (int i = 0; i < 3; i++) {
        s[i] = (struct share){ep, 0};
        start(&t[i], 0, wait_on_epoll, &s[i]);
    }
    for (int i = 0; i < 100; i++)
        send_all(p.client, "x", 1);
    for (int i = 0; i < 3; i++) {
        join(&t[i]);
        sum += s[i].got;
    }
    EQ(sum, 100);
}
