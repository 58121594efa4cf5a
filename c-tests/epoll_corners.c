/* epoll where libraries in front of it went wrong: mixed modes, MOD, numbers that change hands, several sets, sets in sets, many sockets. */
#include "harness.h"

#include <sys/resource.h>

static int set(void) { return (int)OK(epoll_create1(0)); }

static int control(int ep, int op, int fd, unsigned events)
{
    struct epoll_event e;
    memset(&e, 0, sizeof(e));
    e.events = events;
    e.data.u64 = (uint64_t)fd;
    return epoll_ctl(ep, op, fd, &e);
}

/* The events of `fd`, of whatever else there is; 0 within ms. */
static unsigned of(int ep, int ms, int fd)
{
    struct epoll_event e[8];
    unsigned found = 0;
    int n = (int)OK(epoll_wait(ep, e, 8, ms));
    for (int i = 0; i < n; i++)
        if ((int)e[i].data.u64 == fd)
            found |= e[i].events;
    return found;
}

BOTH(edge_and_level_side_by_side)
{
    struct pair p = tcp_pair(family), q = tcp_pair(family);
    int ep = set();
    OK(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLET));
    OK(control(ep, EPOLL_CTL_ADD, q.server, EPOLLIN));
    send_all(p.client, "x", 1);
    send_all(q.client, "x", 1);
    wait_for(p.server, POLLIN);
    wait_for(q.server, POLLIN);
    struct epoll_event e[8];
    EQ(epoll_wait(ep, e, 8, LONG_MS), 2);
    for (int i = 0; i < 3; i++) {
        EQ(epoll_wait(ep, e, 8, 0), 1);
        EQ(e[0].data.u64, q.server);
    }
    OK(control(ep, EPOLL_CTL_MOD, p.server, EPOLLIN));
    OK(control(ep, EPOLL_CTL_MOD, q.server, EPOLLIN | EPOLLET));
    EQ(epoll_wait(ep, e, 8, 0), 2);
    EQ(epoll_wait(ep, e, 8, 0), 1);
    EQ(e[0].data.u64, p.server);
}

BOTH(duplicates_one_edge_one_level)
{
    struct pair p = tcp_pair(family);
    int ep = set(), copy = (int)OK(dup(p.server));
    struct epoll_event e[4];
    OK(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLET));
    OK(control(ep, EPOLL_CTL_ADD, copy, EPOLLIN));
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    EQ(epoll_wait(ep, e, 4, LONG_MS), 2);
    EQ(epoll_wait(ep, e, 4, 0), 1);
    EQ(e[0].data.u64, copy);
}

BOTH(edge_of_both_directions_comes_together)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    OK(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLOUT | EPOLLET));
    EQ(of(ep, 0, p.server), EPOLLOUT);
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    EQ(of(ep, LONG_MS, p.server), EPOLLIN | EPOLLOUT);
    EQ(of(ep, SHORT_MS, p.server), 0);
}

BOTH(oneshot_is_quiet_to_poll_and_select_too)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    fd_set readable;
    struct timeval none = {0, 0};
    OK(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLONESHOT));
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    EQ(events_of(ep, POLLIN, LONG_MS), POLLIN);
    EQ(of(ep, 0, p.server), EPOLLIN);
    EQ(events_of(ep, POLLIN, 0), 0);
    FD_ZERO(&readable);
    FD_SET(ep, &readable);
    EQ(select(ep + 1, &readable, NULL, NULL, &none), 0);
    EQ(events_of(p.server, POLLIN, 0), POLLIN);
    OK(control(ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLONESHOT));
    EQ(events_of(ep, POLLIN, 0), POLLIN);
}

BOTH(oneshot_hides_the_hangup_until_rearmed)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    OK(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT));
    send_all(p.client, "x", 1);
    EQ(of(ep, LONG_MS, p.server), EPOLLIN);
    reset(p.client);
    wait_for(p.server, POLLERR);
    EQ(of(ep, SHORT_MS, p.server), 0);
    OK(control(ep, EPOLL_CTL_MOD, p.server, EPOLLRDHUP | EPOLLONESHOT));
    EQ(of(ep, LONG_MS, p.server), EPOLLRDHUP | EPOLLERR | EPOLLHUP);
    EQ(of(ep, 0, p.server), 0);
}

BOTH(oneshot_rearmed_for_the_other_direction)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    OK(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLONESHOT | EPOLLET));
    send_all(p.client, "x", 1);
    EQ(of(ep, LONG_MS, p.server), EPOLLIN);
    OK(control(ep, EPOLL_CTL_MOD, p.server, EPOLLOUT | EPOLLONESHOT | EPOLLET));
    EQ(of(ep, 0, p.server), EPOLLOUT);
    EQ(of(ep, SHORT_MS, p.server), 0);
}

BOTH(hangups_after_modify)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    OK(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN));
    OK(shutdown(p.client, SHUT_WR));
    EQ(of(ep, LONG_MS, p.server), EPOLLIN);
    OK(control(ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLRDHUP));
    EQ(of(ep, 0, p.server), EPOLLIN | EPOLLRDHUP);
    OK(control(ep, EPOLL_CTL_MOD, p.server, EPOLLET));
    EQ(of(ep, 0, p.server), 0);
    OK(shutdown(p.server, SHUT_WR));
    EQ(of(ep, LONG_MS, p.server), EPOLLHUP);
    OK(control(ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLOUT | EPOLLRDHUP));
    EQ(of(ep, 0, p.server), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
}

BOTH(a_refused_connect)
{
    struct addr at = loopback(family, free_port(family));
    int ep = set(), fd = tcp(family);
    set_nonblocking(fd);
    OK(control(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET));
    EQ(of(ep, 0, fd), EPOLLOUT | EPOLLHUP);
    ERR(connect(fd, &at.sa, at.len), EINPROGRESS);
    wait_for(fd, POLLERR);
    EQ(of(ep, LONG_MS, fd), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLERR | EPOLLHUP);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    OK(control(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP));
    EQ(of(ep, 0, fd), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
}

BOTH(modify_after_close_and_reuse)
{
    struct pair p = tcp_pair(family);
    int ep = set(), old = p.client;
    OK(control(ep, EPOLL_CTL_ADD, p.client, EPOLLOUT));
    OK(close(p.client));
    ERR(control(ep, EPOLL_CTL_MOD, old, EPOLLOUT), EBADF);
    ERR(epoll_ctl(ep, EPOLL_CTL_DEL, old, NULL), EBADF);
    EQ(tcp(family), old);
    ERR(control(ep, EPOLL_CTL_MOD, old, EPOLLOUT), ENOENT);
    ERR(epoll_ctl(ep, EPOLL_CTL_DEL, old, NULL), ENOENT);
    OK(control(ep, EPOLL_CTL_ADD, old, EPOLLOUT));
    OK(control(ep, EPOLL_CTL_MOD, old, EPOLLIN));
    EQ(of(ep, 0, old), EPOLLHUP);
}

BOTH(a_number_reused_while_a_duplicate_lives)
{
    struct pair p = tcp_pair(family);
    struct epoll_event e[4];
    int ep = set(), old = p.server, copy = (int)OK(dup(p.server));
    OK(control(ep, EPOLL_CTL_ADD, old, EPOLLIN));
    OK(close(old));
    EQ(udp(family), old);
    OK(control(ep, EPOLL_CTL_ADD, old, EPOLLOUT)); /* the same number, another file: two entries */
    send_all(p.client, "x", 1);
    wait_for(copy, POLLIN);
    EQ(epoll_wait(ep, e, 4, LONG_MS), 2);
    EQ(e[0].data.u64, old);
    EQ(e[1].data.u64, old);
    OK(close(copy));
    EQ(epoll_wait(ep, e, 4, 0), 1);
    EQ(e[0].events, EPOLLOUT);
}

BOTH(dup2_over_a_registered_number)
{
    struct pair p = tcp_pair(family), q = tcp_pair(family);
    int ep = set();
    OK(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN));
    EQ(dup2(q.server, p.server), p.server);
    send_all(q.client, "x", 1);
    wait_for(p.server, POLLIN);
    EQ(of(ep, SHORT_MS, p.server), 0);
    ERR(control(ep, EPOLL_CTL_MOD, p.server, EPOLLIN), ENOENT);
    OK(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN));
    EQ(of(ep, 0, p.server), EPOLLIN);
}

BOTH(closed_set_with_sockets_in_it)
{
    struct pair p = tcp_pair(family);
    struct epoll_event e;
    char c;
    for (int i = 0; i < 50; i++) {
        int ep = set();
        OK(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN));
        OK(close(ep));
        ERR(epoll_wait(ep, &e, 1, 0), EBADF);
        ERR(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN), EBADF);
    }
    send_all(p.client, "x", 1);
    recv_all(p.server, &c, 1);
}

BOTH(one_socket_in_many_sets)
{
    enum { N = 20 };
    struct pair p = tcp_pair(family);
    int ep[N];
    char c;
    for (int i = 0; i < N; i++) {
        ep[i] = set();
        OK(control(ep[i], EPOLL_CTL_ADD, p.server, EPOLLIN | (i % 2 ? EPOLLET : 0)));
    }
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    OK(epoll_ctl(ep[0], EPOLL_CTL_DEL, p.server, NULL));
    EQ(of(ep[0], 0, p.server), 0);
    for (int i = 1; i < N; i++)
        EQ(of(ep[i], LONG_MS, p.server), EPOLLIN);
    recv_all(p.server, &c, 1);
    for (int i = 1; i < N; i++)
        EQ(of(ep[i], 0, p.server), 0);
}

BOTH(nested_three_deep)
{
    struct pair p = tcp_pair(family);
    int a = set(), b = set(), c = set();
    char byte;
    OK(control(a, EPOLL_CTL_ADD, p.server, EPOLLIN));
    OK(control(b, EPOLL_CTL_ADD, a, EPOLLIN));
    OK(control(c, EPOLL_CTL_ADD, b, EPOLLIN));
    EQ(of(c, 0, b), 0);
    send_all(p.client, "x", 1);
    EQ(of(c, LONG_MS, b), EPOLLIN);
    EQ(of(b, 0, a), EPOLLIN);
    EQ(of(a, 0, p.server), EPOLLIN);
    EQ(of(c, 0, b), EPOLLIN);
    recv_all(p.server, &byte, 1);
    EQ(of(c, 0, b), 0);
    EQ(events_of(c, POLLIN, 0), 0);
}

BOTH(nested_edge)
{
    struct pair p = tcp_pair(family);
    int inner = set(), outer = set();
    OK(control(inner, EPOLL_CTL_ADD, p.server, EPOLLIN));
    OK(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN | EPOLLET));
    send_all(p.client, "x", 1);
    EQ(of(outer, LONG_MS, inner), EPOLLIN);
    EQ(of(outer, SHORT_MS, inner), 0);
}

BOTH(loops_of_sets_are_refused)
{
    int a = set(), b = set();
    OK(control(a, EPOLL_CTL_ADD, tcp(family), EPOLLIN));
    OK(control(a, EPOLL_CTL_ADD, b, EPOLLIN));
    ERR(control(b, EPOLL_CTL_ADD, a, EPOLLIN), ELOOP);
}

BOTH(a_duplicated_set_outlives_and_serves_two_threads)
{
    struct pair p = tcp_pair(family);
    int ep = set(), copy = (int)OK(dup(ep)), third = (int)OK(fcntl(ep, F_DUPFD_CLOEXEC, 50));
    OK(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN));
    ERR(control(copy, EPOLL_CTL_ADD, p.server, EPOLLIN), EEXIST);
    OK(close(ep));
    send_all(p.client, "x", 1);
    EQ(of(third, LONG_MS, p.server), EPOLLIN);
    OK(epoll_ctl(copy, EPOLL_CTL_DEL, p.server, NULL));
    EQ(of(third, 0, p.server), 0);
    OK(close(copy));
    OK(control(third, EPOLL_CTL_ADD, p.server, EPOLLIN));
    EQ(of(third, 0, p.server), EPOLLIN);
}

struct waiter {
    int ep;
    volatile int got;
};

static void wait_once(void *arg)
{
    struct waiter *w = arg;
    struct epoll_event e;
    w->got = epoll_wait(w->ep, &e, 1, 400);
}

BOTH(exclusive_wakes_not_all)
{
    enum { N = 4 };
    struct addr at;
    struct task t[N];
    struct waiter w[N];
    int l = listener(family, 4, &at), woken = 0;
    for (int i = 0; i < N; i++) {
        w[i] = (struct waiter){set(), 0};
        OK(control(w[i].ep, EPOLL_CTL_ADD, l, EPOLLIN | EPOLLEXCLUSIVE));
        start(&t[i], 0, wait_once, &w[i]);
    }
    sleep_ms(3 * SHORT_MS);
    OK(connect(tcp(family), &at.sa, at.len));
    for (int i = 0; i < N; i++) {
        join(&t[i]);
        woken += w[i].got;
    }
    RANGE(woken, 1, N - 1);
}

/* What was ready is gone, and the set's own descriptor had been told of it. */
BOTH(a_set_whose_ready_socket_is_gone_is_quiet)
{
    for (int how = 0; how < 2; how++) {
        struct addr to = loopback(family, 0);
        int ep = set(), s = udp(family), p[2];
        OK(pipe(p));
        OK(bind(s, &to.sa, to.len));
        to = local_of(s);
        OK(control(ep, EPOLL_CTL_ADD, p[0], EPOLLIN));
        OK(control(ep, EPOLL_CTL_ADD, s, EPOLLIN));
        EQ(sendto(s, "x", 1, 0, &to.sa, to.len), 1);
        wait_for(s, POLLIN);
        wait_for(ep, POLLIN);
        if (how == 0)
            OK(control(ep, EPOLL_CTL_DEL, s, 0));
        else
            OK(close(s));
        struct epoll_event e;
        EQ(epoll_wait(ep, &e, 1, 0), 0);
        EQ(epoll_wait(ep, &e, 1, 20), 0);
        struct pollfd asked = {.fd = ep, .events = POLLIN};
        EQ(poll(&asked, 1, 0), 0);
        EQ(write(p[1], "x", 1), 1);
        EQ(epoll_wait(ep, &e, 1, LONG_MS), 1);
        EQ(e.data.u64, p[0]);
    }
}

static void wait_long(void *arg)
{
    struct waiter *w = arg;
    struct epoll_event e[4];
    w->got = epoll_wait(w->ep, e, 4, -1);
}

static void read_one(void *fd)
{
    char x;
    EQ(recv(*(int *)fd, &x, 1, 0), 1);
}

/* ep_done_scan: as long as something is ready, whoever waits is woken. */
BOTH(level_wakes_all_who_wait)
{
    enum { N = 3 };
    struct pair p = tcp_pair(family), other = tcp_pair(family);
    struct task t[N], reader;
    struct waiter w[N];
    int ep = set();
    OK(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN));
    start(&reader, 0, read_one, &other.server);
    sleep_ms(SHORT_MS);
    for (int i = 0; i < N; i++) {
        w[i] = (struct waiter){ep, 0};
        start(&t[i], 0, wait_long, &w[i]);
    }
    sleep_ms(3 * SHORT_MS);
    send_all(p.client, "x", 1);
    for (int i = 0; i < N; i++) {
        join(&t[i]);
        EQ(w[i].got, 1);
    }
    send_all(other.client, "x", 1);
    join(&reader);
}

BOTH(pwait_of_no_time_leaves_signals_alone)
{
    struct pair p = tcp_pair(family);
    struct epoll_event e;
    sigset_t blocked, empty;
    int ep = set();
    OK(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN));
    catch_signal(SIGUSR1, 0);
    sigemptyset(&empty);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &blocked, NULL));
    EQ(raise(SIGUSR1), 0);
    EQ(epoll_pwait(ep, &e, 1, 0, &empty), 0);
    EQ(caught_signals, 0);
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    EQ(epoll_pwait(ep, &e, 1, LONG_MS, &empty), 1);
    EQ(caught_signals, 0);
}

BOTH(ppoll_of_no_time_lets_a_signal_in)
{
    struct pair p = tcp_pair(family);
    struct pollfd fd = {p.server, POLLIN, 0};
    struct timespec none = {0, 0};
    sigset_t blocked, empty;
    catch_signal(SIGUSR1, 0);
    sigemptyset(&empty);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &blocked, NULL));
    EQ(raise(SIGUSR1), 0);
    ERR(ppoll(&fd, 1, &none, &empty), EINTR);
    EQ(caught_signals, 1);
    OK(sigprocmask(SIG_BLOCK, NULL, &empty));
    EQ(sigismember(&empty, SIGUSR1), 1);
}

BOTH(ready_descriptors_win_over_signals)
{
    struct pair p = tcp_pair(family);
    struct pollfd fd = {p.server, POLLIN, 0};
    sigset_t blocked, empty;
    catch_signal(SIGUSR1, 0);
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    sigemptyset(&empty);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &blocked, NULL));
    EQ(raise(SIGUSR1), 0);
    EQ(ppoll(&fd, 1, NULL, &empty), 1);
    EQ(caught_signals, 0);
}

BOTH(two_thousand_sockets_in_one_set)
{
    enum { N = 1000 };
    static struct pair p[N];
    struct rlimit limit = {8192, 8192};
    struct addr at;
    struct epoll_event e[64];
    int ep = set(), seen = 0;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        skip("the limit on descriptors can't be raised");
    int l = listener(family, N, &at);
    for (int i = 0; i < N; i++) {
        p[i] = pair_through(l, &at);
        OK(control(ep, EPOLL_CTL_ADD, p[i].server, EPOLLIN | (i % 2 ? EPOLLET : 0)));
        OK(control(ep, EPOLL_CTL_ADD, p[i].client, EPOLLIN));
    }
    EQ(epoll_wait(ep, e, 64, 0), 0);
    for (int i = 0; i < N; i += 10)
        send_all(p[i].client, "x", 1);
    for (long long end = now_ms() + LONG_MS; seen < N / 10 && now_ms() < end;) {
        int n = (int)OK(epoll_wait(ep, e, 64, 100));
        for (int i = 0; i < n; i++) {
            char c;
            recv_all((int)e[i].data.u64, &c, 1);
            seen++;
        }
    }
    EQ(seen, N / 10);
    EQ(epoll_wait(ep, e, 64, 0), 0);
}

BOTH(ten_thousand_sockets_in_one_set)
{
    enum { N = 10000, STEP = 100 };
    static int fd[N];
    struct rlimit limit = {N + 500, N + 500};
    struct addr at = loopback(family, 0);
    struct epoll_event e[64];
    int ep = set(), tx = udp(family), seen = 0;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        skip("the limit on descriptors can't be raised");
    for (int i = 0; i < N; i++) {
        fd[i] = udp(family);
        OK(bind(fd[i], &at.sa, at.len));
        OK(control(ep, EPOLL_CTL_ADD, fd[i], EPOLLIN | (i % 2 ? EPOLLET : 0)));
    }
    EQ(epoll_wait(ep, e, 64, 0), 0);
    for (int i = STEP / 2; i < N; i += STEP) {
        struct addr to = local_of(fd[i]);
        OK(sendto(tx, &i, sizeof(i), 0, &to.sa, to.len));
    }
    for (long long end = now_ms() + LONG_MS; seen < N / STEP && now_ms() < end;) {
        int n = (int)OK(epoll_wait(ep, e, 64, 100)), number;
        for (int i = 0; i < n; i++, seen++) {
            EQ(recv((int)e[i].data.u64, &number, sizeof(number), MSG_DONTWAIT), sizeof(number));
            EQ(fd[number], e[i].data.u64);
        }
    }
    EQ(seen, N / STEP);
    /* Every second one goes and comes again under the same number. */
    for (int i = 0; i < N; i += 2) {
        int number = fd[i];
        OK(close(number));
        fd[i] = udp(family);
        EQ(fd[i], number);
        OK(bind(fd[i], &at.sa, at.len));
        OK(control(ep, EPOLL_CTL_ADD, fd[i], EPOLLIN));
    }
    EQ(epoll_wait(ep, e, 64, 0), 0);
    struct addr to = local_of(fd[N - 2]);
    OK(sendto(tx, "again", 5, 0, &to.sa, to.len));
    EQ(epoll_wait(ep, e, 64, LONG_MS), 1);
    EQ(e[0].data.u64, fd[N - 2]);
}

/* --- select ---------------------------------------------------------------------------------------------------------------- */

BOTH(select_up_to_fd_setsize)
{
    struct pair p = tcp_pair(family);
    struct rlimit limit = {4096, 4096};
    fd_set readable;
    struct timeval left = {2, 0};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        skip("the limit on descriptors can't be raised");
    int high = (int)OK(dup2(p.server, FD_SETSIZE - 1));
    send_all(p.client, "x", 1);
    FD_ZERO(&readable);
    FD_SET(high, &readable);
    EQ(select(FD_SETSIZE, &readable, NULL, NULL, &left), 1);
    TRUE(FD_ISSET(high, &readable));
    RANGE(left.tv_sec * 1000 + left.tv_usec / 1000, 1500, 2000);
}

BOTH(select_leaves_its_sets_alone_when_interrupted)
{
    struct pair p = tcp_pair(family);
    struct task t;
    fd_set readable;
    struct timeval left = {20, 0};
    catch_signal(SIGUSR1, SA_RESTART);
    send_signal_after(&t, 2 * SHORT_MS, SIGUSR1);
    FD_ZERO(&readable);
    FD_SET(p.server, &readable);
    ERR(select(p.server + 1, &readable, NULL, NULL, &left), EINTR);
    TRUE(FD_ISSET(p.server, &readable));
    RANGE(left.tv_sec * 1000 + left.tv_usec / 1000, 1000, 19990);
    join(&t);
}
