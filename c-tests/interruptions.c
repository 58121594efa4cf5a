/* Every call that blocks, met by a signal: the table of signal(7), with and without SA_RESTART, with and without a timeout. */
#include "harness.h"

#include <sched.h>

struct scene {
    struct pair stream; /* `server` is read from, or its queue is full */
    int datagram;
    int listening;
    struct addr at;
    volatile bool over;
};

typedef ssize_t (*blocking)(struct scene *s);

static char byte;

static ssize_t by_recv(struct scene *s) { return recv(s->stream.server, &byte, 1, 0); }
static ssize_t by_recvfrom(struct scene *s) { return recvfrom(s->stream.server, &byte, 1, 0, NULL, NULL); }
static ssize_t by_read(struct scene *s) { return read(s->stream.server, &byte, 1); }
static ssize_t by_datagram(struct scene *s) { return recv(s->datagram, &byte, 1, 0); }
static ssize_t by_accept(struct scene *s) { return accept(s->listening, NULL, NULL) >= 0 ? 1 : -1; }
static ssize_t by_accept4(struct scene *s) { return accept4(s->listening, NULL, NULL, SOCK_CLOEXEC) >= 0 ? 1 : -1; }
static ssize_t by_send(struct scene *s) { return send(s->stream.client, "x", 1, 0); }
static ssize_t by_write(struct scene *s) { return write(s->stream.client, "x", 1); }

static ssize_t by_readv(struct scene *s)
{
    struct iovec i = {&byte, 1};
    return readv(s->stream.server, &i, 1);
}

static ssize_t by_recvmsg(struct scene *s)
{
    struct iovec i = {&byte, 1};
    struct msghdr m = {.msg_iov = &i, .msg_iovlen = 1};
    return recvmsg(s->stream.server, &m, 0);
}

static ssize_t by_recvmmsg(struct scene *s)
{
    struct iovec i = {&byte, 1};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &i, .msg_iovlen = 1}};
    return recvmmsg(s->datagram, &m, 1, 0, NULL);
}

static ssize_t by_writev(struct scene *s)
{
    struct iovec i = {&byte, 1};
    return writev(s->stream.client, &i, 1);
}

static ssize_t by_sendmsg(struct scene *s)
{
    struct iovec i = {&byte, 1};
    struct msghdr m = {.msg_iov = &i, .msg_iovlen = 1};
    return sendmsg(s->stream.client, &m, 0);
}

static const blocking readers[] = {by_recv, by_recvfrom, by_read, by_readv, by_recvmsg, by_recvmmsg, by_datagram, by_accept, by_accept4};
static const blocking writers[] = {by_send, by_write, by_writev, by_sendmsg};

static struct scene scene(int family, const struct timeval *timeout)
{
    struct scene s = {.over = false};
    s.stream = tcp_pair(family);
    s.datagram = bound_udp(family, &s.at);
    s.listening = listener(family, 2, &s.at);
    if (timeout) {
        int fds[] = {s.stream.server, s.datagram, s.listening};
        for (size_t i = 0; i < ARRAY_LEN(fds); i++)
            OK(setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, timeout, sizeof(*timeout)));
        OK(setsockopt(s.stream.client, SOL_SOCKET, SO_SNDTIMEO, timeout, sizeof(*timeout)));
    }
    return s;
}

static void fill_up(struct scene *s)
{
    fill(s->stream.client);
    OK(fcntl(s->stream.client, F_SETFL, 0));
}

static void interrupted(const blocking *calls, size_t count, struct scene *s, int flags)
{
    for (size_t i = 0; i < count; i++) {
        struct task t;
        caught_signals = 0;
        catch_signal(SIGUSR1, flags);
        send_signal_after(&t, SHORT_MS, SIGUSR1);
        ERR(calls[i](s), EINTR);
        EQ(caught_signals, 1);
        join(&t);
    }
}

BOTH(without_restart)
{
    struct scene s = scene(family, NULL);
    interrupted(readers, ARRAY_LEN(readers), &s, 0);
    fill_up(&s);
    interrupted(writers, ARRAY_LEN(writers), &s, 0);
}

BOTH(without_restart_with_a_timeout)
{
    struct timeval long_time = {5, 0};
    struct scene s = scene(family, &long_time);
    interrupted(readers, ARRAY_LEN(readers), &s, 0);
    fill_up(&s);
    interrupted(writers, ARRAY_LEN(writers), &s, 0);
}

BOTH(a_timeout_forbids_the_restart)
{
    struct timeval long_time = {5, 0};
    struct scene s = scene(family, &long_time);
    interrupted(readers, ARRAY_LEN(readers), &s, SA_RESTART);
    fill_up(&s);
    interrupted(writers, ARRAY_LEN(writers), &s, SA_RESTART);
}

static void feed(void *arg)
{
    struct scene *s = arg;
    until_caught();
    struct addr to = local_of(s->datagram), at = local_of(s->listening);
    send_all(s->stream.client, "f", 1);
    EQ(sendto(udp(to.sa.sa_family), "f", 1, 0, &to.sa, to.len), 1);
    OK(connect(tcp(at.sa.sa_family), &at.sa, at.len));
}

BOTH(readers_restart)
{
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        struct scene s = scene(family, NULL);
        struct task t, u;
        caught_signals = 0;
        catch_signal(SIGUSR1, SA_RESTART);
        send_signal_after(&t, SHORT_MS, SIGUSR1);
        start(&u, 0, feed, &s);
        EQ(readers[i](&s), 1);
        EQ(caught_signals, 1);
        join(&t);
        join(&u);
    }
}

static void make_room(void *arg)
{
    struct scene *s = arg;
    until_caught();
    set_nonblocking(s->stream.server);
    while (!s->over) { /* what is still to come takes the room again */
        drain(s->stream.server, 1 << 30);
        sleep_ms(1);
    }
}

BOTH(writers_restart)
{
    for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
        struct scene s = scene(family, NULL);
        struct task t, u;
        fill_up(&s);
        caught_signals = 0;
        catch_signal(SIGUSR1, SA_RESTART);
        send_signal_after(&t, SHORT_MS, SIGUSR1);
        start(&u, 0, make_room, &s);
        EQ(writers[i](&s), 1);
        EQ(caught_signals, 1);
        s.over = true;
        join(&t);
        join(&u);
    }
}

static void accept_one(void *arg)
{
    until_caught();
    OK(accept(*(int *)arg, NULL, NULL));
}

static void connects(int family, int flags, const struct timeval *timeout, bool goes_on)
{
    struct addr at;
    struct task t, u;
    int l = listener(family, 0, &at), fd = tcp(family);
    OK(connect(tcp(family), &at.sa, at.len));
    sleep_ms(SHORT_MS);
    if (timeout)
        OK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, timeout, sizeof(*timeout)));
    catch_signal(SIGUSR1, flags);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    start(&u, 0, accept_one, &l);
    if (goes_on)
        OK(connect(fd, &at.sa, at.len));
    else
        ERR(connect(fd, &at.sa, at.len), EINTR);
    EQ(caught_signals, 1);
    join(&t);
    join(&u);
}

BOTH(connect_without_restart) { connects(family, 0, NULL, false); }
BOTH(connect_restarts) { connects(family, SA_RESTART, NULL, true); }

BOTH(connect_with_a_timeout)
{
    struct timeval long_time = {5, 0};
    connects(family, SA_RESTART, &long_time, false);
}

static ssize_t by_poll(struct scene *s)
{
    struct pollfd p = {s->stream.server, POLLIN, 0};
    return poll(&p, 1, -1);
}

static ssize_t by_ppoll(struct scene *s)
{
    struct pollfd p = {s->stream.server, POLLIN, 0};
    return ppoll(&p, 1, NULL, NULL);
}

static ssize_t by_select(struct scene *s)
{
    fd_set f;
    FD_ZERO(&f);
    FD_SET(s->stream.server, &f);
    return select(s->stream.server + 1, &f, NULL, NULL, NULL);
}

static ssize_t by_pselect(struct scene *s)
{
    fd_set f;
    FD_ZERO(&f);
    FD_SET(s->stream.server, &f);
    return pselect(s->stream.server + 1, &f, NULL, NULL, NULL, NULL);
}

static ssize_t by_epoll(struct scene *s)
{
    struct epoll_event e = {.events = EPOLLIN};
    int ep = (int)OK(epoll_create1(0));
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, s->stream.server, &e));
    return epoll_wait(ep, &e, 1, -1);
}

static const blocking waiters[] = {by_poll, by_ppoll, by_select, by_pselect, by_epoll};

BOTH(waiting_for_readiness_never_restarts)
{
    struct scene s = scene(family, NULL);
    interrupted(waiters, ARRAY_LEN(waiters), &s, SA_RESTART);
    interrupted(waiters, ARRAY_LEN(waiters), &s, 0);
}

/* --- a signal that comes as the thread wakes for something else -------------------------------------------------------------------- */

struct teaser {
    struct pair p;
    pthread_t sleeper;
    int state;
    volatile int round, back, told;
};

/* Shows the sleeper an octet, takes it away, and signals it. */
static void tease(void *arg)
{
    struct teaser *t = arg;
    char c;
    for (int round = 1;; round++) {
        while (t->round < round || (t->round == round && t->back < round && !sleeps(t->state)))
            sched_yield();
        if (t->round == INT_MAX)
            return;
        send_all(t->p.client, "x", 1);
        recv(t->p.server, &c, 1, MSG_DONTWAIT);
        EQ(pthread_kill(t->sleeper, SIGUSR1), 0);
        t->told = round;
        /* Before its sleep the signal may come too early to be the call's; one that is never let in again would hang here. */
        for (long long late = now_ms() + 500; t->back < round; sched_yield()) {
            if (now_ms() < late)
                continue;
            EQ(pthread_kill(t->sleeper, SIGUSR1), 0);
            late = now_ms() + 500;
        }
    }
}

BOTH(as_the_thread_wakes)
{
    struct teaser t = {.p = tcp_pair(family), .sleeper = pthread_self(), .state = state_of_this_thread()};
    struct task teasing;
    char c;
    catch_signal(SIGUSR1, 0);
    set_int(t.p.client, IPPROTO_TCP, TCP_NODELAY, 1);
    start(&teasing, 0, tease, &t);
    long long end = now_ms() + 1500;
    for (int round = 1; round <= 3000 && now_ms() < end; round++) {
        t.round = round;
        ssize_t n = recv(t.p.server, &c, 1, 0); /* signals that stay out leave it here */
        TRUE(n == 1 || (n == -1 && errno == EINTR));
        t.back = round; /* an octet of an earlier round may have come late */
        while (t.told < round || caught_signals < round)
            sched_yield();
    }
    t.round = INT_MAX;
    join(&teasing);
}

/* --- many threads ------------------------------------------------------------------------------------------------------------ */

struct party {
    int family, shared_in, shared_out;
    volatile int sent, got;
};

static void own_and_shared(void *arg)
{
    struct party *all = arg;
    struct pair own = tcp_pair(all->family);
    char c;
    for (int i = 0; i < 40; i++) {
        send_all(own.client, "o", 1);
        recv_all(own.server, &c, 1);
        EQ(send(all->shared_out, "s", 1, 0), 1);
        __sync_fetch_and_add(&all->sent, 1);
        if (recv(all->shared_in, &c, 1, MSG_DONTWAIT) == 1)
            __sync_fetch_and_add(&all->got, 1);
    }
    OK(close(own.client));
    EQ(recv(own.server, &c, 1, 0), 0);
    OK(close(own.server));
}

BOTH(sixty_four_threads)
{
    enum { N = 64 };
    static struct task t[N];
    struct pair p = tcp_pair(family);
    struct party all = {family, p.server, p.client, 0, 0};
    char c;
    for (int i = 0; i < N; i++)
        start(&t[i], 0, own_and_shared, &all);
    for (int i = 0; i < N; i++)
        join(&t[i]);
    OK(shutdown(p.client, SHUT_WR));
    while (OK(recv(p.server, &c, 1, 0)) == 1)
        all.got++;
    EQ(all.sent, N * 40);
    EQ(all.got, N * 40);
}

static void recv_until_over(void *arg)
{
    char c[16];
    while (recv(*(int *)arg, c, sizeof(c), 0) > 0)
        ;
}

BOTH(close_races_recv)
{
    for (int i = 0; i < 60; i++) {
        struct pair p = tcp_pair(family);
        struct task t;
        start(&t, 0, recv_until_over, &p.server);
        if (i % 3)
            send_all(p.client, "some", 4);
        if (i % 2)
            sleep_ms(1);
        OK(close(p.server));
        OK(close(p.client)); /* ends what the thread still waits for */
        join(&t);
    }
}

BOTH(shutdown_races_recv)
{
    for (int i = 0; i < 60; i++) {
        struct pair p = tcp_pair(family);
        struct task t[3];
        for (int k = 0; k < 3; k++)
            start(&t[k], 0, recv_until_over, &p.server);
        if (i % 2)
            sleep_ms(1);
        OK(shutdown(p.server, SHUT_RD));
        for (int k = 0; k < 3; k++)
            join(&t[k]);
        OK(close(p.server));
        OK(close(p.client));
    }
}

static void echo_a_while(void *arg)
{
    struct pair *p = arg;
    char c;
    for (int i = 0; i < 400; i++) {
        send_all(p->client, "e", 1);
        recv_all(p->server, &c, 1);
    }
}

BOTH(fork_while_others_are_in_calls)
{
    struct pair p[3];
    struct task t[3];
    for (int i = 0; i < 3; i++) {
        p[i] = tcp_pair(family);
        start(&t[i], 0, echo_a_while, &p[i]);
    }
    for (int i = 0; i < 20; i++) {
        int status = -1;
        pid_t child = (pid_t)OK(fork());
        if (child == 0)
            _exit(7);
        EQ(waitpid(child, &status, 0), child);
        TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
    for (int i = 0; i < 3; i++)
        join(&t[i]);
}
