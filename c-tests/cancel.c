/* pthread_cancel: the calls that block are cancellation points (pthreads(7)), and leave nothing behind. */
#include "harness.h"

struct victim {
    pthread_t thread;
    int fd;
    struct addr at;
    volatile int cleaned;
    volatile bool began;
};

static void cleaned_up(void *arg)
{
    struct victim *v = arg;
    v->cleaned++;
}

static void begin(struct victim *v, void *(*run)(void *), int fd)
{
    v->fd = fd;
    v->cleaned = 0;
    v->began = false;
    EQ(pthread_create(&v->thread, NULL, run, v), 0);
    for (long long end = now_ms() + LONG_MS; !v->began && now_ms() < end;)
        sleep_ms(1);
    sleep_ms(SHORT_MS);
}

static void cancel_and_join(struct victim *v)
{
    void *result = NULL;
    EQ(pthread_cancel(v->thread), 0);
    EQ(pthread_join(v->thread, &result), 0);
    TRUE(result == PTHREAD_CANCELED);
    EQ(v->cleaned, 1);
}

#define VICTIM(name, ...)                                                                \
    static void *name(void *arg)                                                         \
    {                                                                                    \
        struct victim *v = arg;                                                          \
        pthread_cleanup_push(cleaned_up, v);                                             \
        v->began = true;                                                                 \
        __VA_ARGS__;                                                                     \
        pthread_cleanup_pop(0);                                                          \
        return NULL;                                                                     \
    }

VICTIM(in_recv, char c; recv(v->fd, &c, 1, 0))
VICTIM(in_read, char c; read(v->fd, &c, 1) < 0 ? abort() : (void)0)
VICTIM(in_recvmsg, struct msghdr m; memset(&m, 0, sizeof(m)); char c; struct iovec i = {&c, 1}; m.msg_iov = &i; m.msg_iovlen = 1;
       recvmsg(v->fd, &m, 0))
VICTIM(in_accept, accept(v->fd, NULL, NULL))
VICTIM(in_connect, connect(v->fd, &v->at.sa, v->at.len))
VICTIM(in_poll, struct pollfd p = {v->fd, POLLIN, 0}; poll(&p, 1, -1))
VICTIM(in_select, fd_set s; FD_ZERO(&s); FD_SET(v->fd, &s); select(v->fd + 1, &s, NULL, NULL, NULL))
VICTIM(in_epoll_wait, struct epoll_event e; epoll_wait(v->fd, &e, 1, -1))
VICTIM(in_send, char c[100000]; memset(c, 0, sizeof(c)); for (;;) send(v->fd, c, sizeof(c), 0))
VICTIM(in_a_busy_loop, char c; for (;;) recv(v->fd, &c, 1, MSG_PEEK))

static void lives_and_closes(struct pair p, const char *text)
{
    char c;
    send_all(p.client, text, 1);
    recv_all(p.server, &c, 1);
    EQ(c, text[0]);
    OK(close(p.server));
    EQ(recv(p.client, &c, 1, 0), 0);
}

BOTH(recv_is_one)
{
    struct pair p = tcp_pair(family);
    struct victim v;
    begin(&v, in_recv, p.server);
    cancel_and_join(&v);
    lives_and_closes(p, "r");
}

BOTH(read_is_one)
{
    struct pair p = tcp_pair(family);
    struct victim v;
    begin(&v, in_read, p.server);
    cancel_and_join(&v);
    lives_and_closes(p, "r");
}

BOTH(recvmsg_is_one)
{
    struct pair p = tcp_pair(family);
    struct victim v;
    begin(&v, in_recvmsg, p.server);
    cancel_and_join(&v);
    lives_and_closes(p, "r");
}

BOTH(datagram_recv_is_one)
{
    struct addr at;
    struct victim v;
    char c;
    int fd = bound_udp(family, &at), other = udp(family);
    begin(&v, in_recv, fd);
    cancel_and_join(&v);
    EQ(sendto(other, "d", 1, 0, &at.sa, at.len), 1);
    EQ(recv(fd, &c, 1, 0), 1);
}

BOTH(accept_is_one)
{
    struct addr at;
    struct victim v;
    int l = listener(family, 3, &at);
    begin(&v, in_accept, l);
    cancel_and_join(&v);
    struct pair p = pair_through(l, &at);
    OK(close(l));
    ERR(connect(tcp(family), &at.sa, at.len), ECONNREFUSED);
    lives_and_closes(p, "a");
}

BOTH(connect_is_one)
{
    struct victim v;
    int l = listener(family, 0, &v.at), fd = tcp(family);
    OK(connect(tcp(family), &v.at.sa, v.at.len));
    sleep_ms(SHORT_MS);
    begin(&v, in_connect, fd);
    cancel_and_join(&v);
    set_nonblocking(fd);
    ERR(connect(fd, &v.at.sa, v.at.len), EALREADY);
    OK(close(l));
}

BOTH(poll_is_one)
{
    struct pair p = tcp_pair(family);
    struct victim v;
    begin(&v, in_poll, p.server);
    cancel_and_join(&v);
    lives_and_closes(p, "p");
}

BOTH(select_is_one)
{
    struct pair p = tcp_pair(family);
    struct victim v;
    begin(&v, in_select, p.server);
    cancel_and_join(&v);
    lives_and_closes(p, "s");
}

BOTH(epoll_wait_is_one)
{
    struct pair p = tcp_pair(family);
    struct epoll_event e = {.events = EPOLLIN};
    struct victim v;
    int ep = (int)OK(epoll_create1(0));
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &e));
    begin(&v, in_epoll_wait, ep);
    cancel_and_join(&v);
    send_all(p.client, "x", 1);
    EQ(epoll_wait(ep, &e, 1, LONG_MS), 1);
    OK(close(ep));
}

BOTH(send_is_one)
{
    struct pair p = tcp_pair(family);
    struct victim v;
    char buffer[4096];
    begin(&v, in_send, p.client);
    cancel_and_join(&v);
    OK(close(p.client));
    while (OK(recv(p.server, buffer, sizeof(buffer), 0)) > 0)
        ;
}

BOTH(a_call_that_need_not_wait_is_one)
{
    struct pair p = tcp_pair(family);
    struct victim v;
    char c;
    send_all(p.client, "x", 1);
    begin(&v, in_a_busy_loop, p.server);
    cancel_and_join(&v);
    recv_all(p.server, &c, 1);
    lives_and_closes(p, "b");
}

static void *recv_undisturbed(void *arg)
{
    struct victim *v = arg;
    char c;
    EQ(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL), 0);
    v->began = true;
    EQ(recv(v->fd, &c, 1, 0), 1);
    v->cleaned = c;
    EQ(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL), 0);
    pthread_testcancel();
    return NULL;
}

BOTH(disabled_it_waits)
{
    struct pair p = tcp_pair(family);
    struct victim v;
    void *result;
    begin(&v, recv_undisturbed, p.server);
    EQ(pthread_cancel(v.thread), 0);
    sleep_ms(SHORT_MS);
    send_all(p.client, "q", 1);
    EQ(pthread_join(v.thread, &result), 0);
    TRUE(result == PTHREAD_CANCELED);
    EQ(v.cleaned, 'q');
    lives_and_closes(p, "d");
}

static void say_goodbye(void *arg)
{
    struct victim *v = arg;
    v->cleaned++;
    send_all(v->fd, "bye", 3);
    OK(close(v->fd));
}

static void *closes_when_cancelled(void *arg)
{
    struct victim *v = arg;
    char c;
    pthread_cleanup_push(say_goodbye, v);
    v->began = true;
    recv(v->fd, &c, 1, 0);
    pthread_cleanup_pop(1);
    return NULL;
}

BOTH(the_cleanup_may_use_the_socket)
{
    struct pair p = tcp_pair(family);
    struct victim v;
    char got[3], c;
    begin(&v, closes_when_cancelled, p.server);
    cancel_and_join(&v);
    recv_all(p.client, got, 3);
    EQ(memcmp(got, "bye", 3), 0);
    EQ(recv(p.client, &c, 1, 0), 0);
}

static void recv_one(void *arg)
{
    char c;
    EQ(recv(*(int *)arg, &c, 1, 0), 1);
}

/* Whoever was cancelled may have been the one that waited for everybody. */
BOTH(others_go_on_waiting)
{
    enum { N = 4 };
    struct pair p[N];
    struct task t[N];
    struct victim v[N];
    struct pair q = tcp_pair(family);
    for (int i = 0; i < N; i++) {
        p[i] = tcp_pair(family);
        begin(&v[i], in_recv, q.server);
        start(&t[i], 0, recv_one, &p[i].server);
    }
    for (int i = 0; i < N; i++)
        cancel_and_join(&v[i]);
    sleep_ms(SHORT_MS);
    for (int i = 0; i < N; i++) {
        send_all(p[i].client, "x", 1);
        join(&t[i]);
    }
    lives_and_closes(q, "o");
}

BOTH(many_threads_one_after_the_other)
{
    struct pair p = tcp_pair(family);
    struct victim v;
    for (int i = 0; i < 100; i++) {
        v.fd = p.server;
        v.cleaned = 0;
        v.began = false;
        EQ(pthread_create(&v.thread, NULL, in_recv, &v), 0);
        while (!v.began)
            ;
        if (i % 4 == 0)
            sleep_ms(1);
        cancel_and_join(&v);
    }
    lives_and_closes(p, "m");
}
