/* epoll(7): level and edge, one-shot, errors of epoll_ctl, several sets, duplicates. */
#include "harness.h"

static int set(void) { return (int)OK(epoll_create1(0)); }

static int control(int ep, int op, int fd, unsigned events, uint64_t data)
{
    struct epoll_event e;
    memset(&e, 0, sizeof(e));
    e.events = events;
    e.data.u64 = data;
    return epoll_ctl(ep, op, fd, &e);
}

static void add(int ep, int fd, unsigned events) { OK(control(ep, EPOLL_CTL_ADD, fd, events, (uint64_t)fd)); }

/* The one event that is there; 0 when there is none within ms. */
static unsigned next(int ep, int ms, int fd)
{
    struct epoll_event e[4];
    int n = (int)OK(epoll_wait(ep, e, 4, ms));
    if (n == 0)
        return 0;
    EQ(n, 1);
    EQ(e[0].data.u64, fd);
    return e[0].events;
}

BOTH(level_repeats)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    char c;
    add(ep, p.server, EPOLLIN);
    EQ(next(ep, 0, p.server), 0);
    send_all(p.client, "x", 1);
    EQ(next(ep, LONG_MS, p.server), EPOLLIN);
    EQ(next(ep, 0, p.server), EPOLLIN);
    recv_all(p.server, &c, 1);
    EQ(next(ep, 0, p.server), 0);
}

BOTH(ready_when_added)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    add(ep, p.server, EPOLLIN | EPOLLOUT);
    EQ(next(ep, 0, p.server), EPOLLIN | EPOLLOUT);
}

BOTH(edge_once_per_arrival)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    add(ep, p.server, EPOLLIN | EPOLLET);
    send_all(p.client, "x", 1);
    EQ(next(ep, LONG_MS, p.server), EPOLLIN);
    EQ(next(ep, SHORT_MS, p.server), 0);
    send_all(p.client, "y", 1);
    EQ(next(ep, LONG_MS, p.server), EPOLLIN);
    EQ(next(ep, SHORT_MS, p.server), 0);
}

BOTH(edge_when_added_ready)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    add(ep, p.server, EPOLLIN | EPOLLET);
    EQ(next(ep, 0, p.server), EPOLLIN);
    EQ(next(ep, SHORT_MS, p.server), 0);
}

BOTH(edge_partial_read_gives_no_new_event)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    char c;
    add(ep, p.server, EPOLLIN | EPOLLET);
    send_all(p.client, "xyz", 3);
    EQ(next(ep, LONG_MS, p.server), EPOLLIN);
    recv_all(p.server, &c, 1);
    EQ(next(ep, SHORT_MS, p.server), 0);
}

BOTH(edge_of_room)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    size_t filled = fill(p.client);
    add(ep, p.client, EPOLLOUT | EPOLLET);
    EQ(next(ep, SHORT_MS, p.client), 0);
    EQ(drain(p.server, filled), filled);
    EQ(next(ep, LONG_MS, p.client), EPOLLOUT);
}

BOTH(edge_loop_sees_every_byte)
{
    struct pair p = tcp_pair(family);
    int ep = set(), got = 0;
    char buffer[1000];
    set_nonblocking(p.server);
    add(ep, p.server, EPOLLIN | EPOLLET);
    for (int i = 0; i < 200; i++) {
        send_all(p.client, buffer, 17);
        if (i % 20 != 19)
            continue;
        while (got < (i + 1) * 17) {
            EQ(next(ep, LONG_MS, p.server), EPOLLIN);
            for (ssize_t n; (n = recv(p.server, buffer, sizeof(buffer), 0)) > 0;)
                got += (int)n;
        }
    }
    EQ(got, 200 * 17);
}

BOTH(modified_edge_reports_again)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    add(ep, p.server, EPOLLIN | EPOLLET);
    EQ(next(ep, 0, p.server), EPOLLIN);
    OK(control(ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLET, (uint64_t)p.server));
    EQ(next(ep, 0, p.server), EPOLLIN);
}

BOTH(oneshot)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    add(ep, p.server, EPOLLIN | EPOLLONESHOT);
    send_all(p.client, "x", 1);
    EQ(next(ep, LONG_MS, p.server), EPOLLIN);
    EQ(next(ep, 0, p.server), 0);
    send_all(p.client, "y", 1);
    EQ(next(ep, SHORT_MS, p.server), 0);
    OK(control(ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLONESHOT, (uint64_t)p.server));
    EQ(next(ep, 0, p.server), EPOLLIN);
    EQ(next(ep, 0, p.server), 0);
}

BOTH(modify_changes_interest_and_data)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    struct epoll_event e;
    add(ep, p.client, EPOLLIN);
    EQ(next(ep, 0, p.client), 0);
    OK(control(ep, EPOLL_CTL_MOD, p.client, EPOLLOUT, 4711));
    EQ(epoll_wait(ep, &e, 1, 0), 1);
    EQ(e.events, EPOLLOUT);
    EQ(e.data.u64, 4711);
}

BOTH(deleted_is_silent)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    add(ep, p.client, EPOLLOUT);
    EQ(next(ep, 0, p.client), EPOLLOUT);
    OK(epoll_ctl(ep, EPOLL_CTL_DEL, p.client, NULL));
    EQ(next(ep, 0, p.client), 0);
    ERR(epoll_ctl(ep, EPOLL_CTL_DEL, p.client, NULL), ENOENT);
}

BOTH(error_and_hangup_come_unasked)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    add(ep, p.server, 0);
    reset(p.client);
    wait_for(p.server, POLLERR);
    EQ(next(ep, LONG_MS, p.server), EPOLLERR | EPOLLHUP);
}

BOTH(rdhup)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    add(ep, p.server, EPOLLRDHUP);
    EQ(next(ep, 0, p.server), 0);
    OK(shutdown(p.client, SHUT_WR));
    EQ(next(ep, LONG_MS, p.server), EPOLLRDHUP);
}

BOTH(control_errors)
{
    struct addr at;
    int ep = set(), fd = listener(family, 1, &at), closed = tcp(family);
    OK(close(closed));
    ERR(control(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 0), ENOENT);
    ERR(control(ep, EPOLL_CTL_DEL, fd, EPOLLIN, 0), ENOENT);
    add(ep, fd, EPOLLIN);
    ERR(control(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 0), EEXIST);
    ERR(control(ep, EPOLL_CTL_ADD, closed, EPOLLIN, 0), EBADF);
    ERR(control(ep, EPOLL_CTL_ADD, -1, EPOLLIN, 0), EBADF);
    ERR(control(ep, EPOLL_CTL_ADD, ep, EPOLLIN, 0), EINVAL);
    ERR(control(closed, EPOLL_CTL_ADD, fd, EPOLLIN, 0), EBADF);
    ERR(control(fd, EPOLL_CTL_ADD, ep, EPOLLIN, 0), EINVAL);
    ERR(control(ep, 99, fd, EPOLLIN, 0), EINVAL);
    ERR(epoll_ctl(ep, EPOLL_CTL_ADD, tcp(family), NULL), EFAULT);
}

BOTH(wait_errors)
{
    struct epoll_event e[2];
    struct pair p = tcp_pair(family);
    int ep = set();
    add(ep, p.client, EPOLLOUT);
    ERR(epoll_wait(ep, e, 0, 0), EINVAL);
    ERR(epoll_wait(ep, e, minus_one, 0), EINVAL);
    ERR(epoll_wait(p.client, e, 2, 0), EINVAL);
    ERR(epoll_wait(-1, e, 2, 0), EBADF);
    ERR(epoll_wait(ep, bad_pointer, 2, 0), EFAULT);
}

CASE(create_errors)
{
    ERR(epoll_create(0), EINVAL);
    ERR(epoll_create(-1), EINVAL);
    ERR(epoll_create1(12345), EINVAL);
    EQ(fcntl((int)OK(epoll_create1(EPOLL_CLOEXEC)), F_GETFD), FD_CLOEXEC);
    EQ(fcntl((int)OK(epoll_create(1)), F_GETFD), 0);
}

CASE(plain_files_are_refused)
{
    int ep = set(), fd = (int)OK(open("/proc/self/exe", O_RDONLY));
    tcp(AF_INET);
    ERR(control(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 0), EPERM);
}

BOTH(close_removes)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    add(ep, p.client, EPOLLOUT);
    OK(close(p.client));
    EQ(next(ep, 0, p.client), 0);
}

BOTH(number_reused_after_close_is_a_new_entry)
{
    struct pair p = tcp_pair(family);
    int ep = set(), old = p.client;
    add(ep, p.client, EPOLLOUT);
    OK(close(p.client));
    int fd = udp(family);
    EQ(fd, old);
    EQ(next(ep, 0, fd), 0);
    add(ep, fd, EPOLLOUT);
    EQ(next(ep, 0, fd), EPOLLOUT);
}

BOTH(a_duplicate_keeps_the_entry_alive)
{
    struct pair p = tcp_pair(family);
    int ep = set(), copy = (int)OK(dup(p.server));
    add(ep, p.server, EPOLLIN);
    OK(close(p.server));
    send_all(p.client, "x", 1);
    EQ(next(ep, LONG_MS, p.server), EPOLLIN);
    OK(close(copy));
    EQ(next(ep, 0, p.server), 0);
}

BOTH(a_duplicate_is_an_entry_of_its_own)
{
    struct pair p = tcp_pair(family);
    struct epoll_event e[4];
    int ep = set(), copy = (int)OK(dup(p.server));
    add(ep, p.server, EPOLLIN);
    add(ep, copy, EPOLLIN);
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    EQ(epoll_wait(ep, e, 4, LONG_MS), 2);
    TRUE(e[0].data.u64 != e[1].data.u64);
}

BOTH(one_socket_in_two_sets)
{
    struct pair p = tcp_pair(family);
    int one = set(), two = set();
    add(one, p.server, EPOLLIN);
    add(two, p.server, EPOLLIN | EPOLLET);
    send_all(p.client, "x", 1);
    EQ(next(one, LONG_MS, p.server), EPOLLIN);
    EQ(next(two, LONG_MS, p.server), EPOLLIN);
    EQ(next(two, 0, p.server), 0);
    EQ(next(one, 0, p.server), EPOLLIN);
}

BOTH(nested_set)
{
    struct pair p = tcp_pair(family);
    int inner = set(), outer = set();
    add(inner, p.server, EPOLLIN);
    add(outer, inner, EPOLLIN);
    EQ(next(outer, 0, inner), 0);
    send_all(p.client, "x", 1);
    EQ(next(outer, LONG_MS, inner), EPOLLIN);
    EQ(next(inner, 0, p.server), EPOLLIN);
}

BOTH(a_set_in_poll)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    add(ep, p.server, EPOLLIN);
    EQ(events_of(ep, POLLIN, 0), 0);
    send_all(p.client, "x", 1);
    EQ(events_of(ep, POLLIN, LONG_MS), POLLIN);
}

BOTH(a_duplicated_set)
{
    struct pair p = tcp_pair(family);
    int ep = set(), copy = (int)OK(dup(ep));
    add(copy, p.client, EPOLLOUT);
    EQ(next(ep, 0, p.client), EPOLLOUT);
    OK(close(ep));
    EQ(next(copy, 0, p.client), EPOLLOUT);
}

BOTH(more_events_than_room_take_turns)
{
    struct addr at;
    struct epoll_event e[4];
    int ep = set(), fd[12];
    unsigned seen = 0;
    for (int i = 0; i < 12; i++) {
        fd[i] = bound_udp(family, &at);
        OK(control(ep, EPOLL_CTL_ADD, fd[i], EPOLLOUT, (uint64_t)i));
    }
    for (int round = 0; round < 3; round++) {
        EQ(epoll_wait(ep, e, 4, 0), 4);
        for (int i = 0; i < 4; i++)
            seen |= 1u << e[i].data.u64;
    }
    EQ(seen, 0xfff);
}

BOTH(timeout)
{
    struct pair p = tcp_pair(family);
    int ep = set();
    long long begin = now_ms();
    add(ep, p.client, EPOLLIN);
    EQ(next(ep, 60, p.client), 0);
    RANGE(now_ms() - begin, 59, LONG_MS);
}

static void send_x(void *arg) { send_all(*(int *)arg, "x", 1); }

BOTH(wakes_when_data_comes)
{
    struct pair p = tcp_pair(family);
    struct task t;
    int ep = set();
    add(ep, p.server, EPOLLIN);
    start(&t, SHORT_MS, send_x, &p.client);
    EQ(next(ep, -1, p.server), EPOLLIN);
    join(&t);
}

struct addition {
    int ep, fd;
};

static void add_writable(void *arg)
{
    struct addition *a = arg;
    add(a->ep, a->fd, EPOLLOUT);
}

BOTH(a_waiter_sees_what_another_thread_adds)
{
    struct pair p = tcp_pair(family);
    struct addition a = {set(), p.client};
    struct task t;
    start(&t, SHORT_MS, add_writable, &a);
    EQ(next(a.ep, LONG_MS, p.client), EPOLLOUT);
    join(&t);
}

static void modify_writable(void *arg)
{
    struct addition *a = arg;
    OK(control(a->ep, EPOLL_CTL_MOD, a->fd, EPOLLOUT, (uint64_t)a->fd));
}

BOTH(a_waiter_sees_what_another_thread_modifies)
{
    struct pair p = tcp_pair(family);
    struct addition a = {set(), p.client};
    struct task t;
    add(a.ep, p.client, EPOLLIN);
    start(&t, SHORT_MS, modify_writable, &a);
    EQ(next(a.ep, LONG_MS, p.client), EPOLLOUT);
    join(&t);
}

BOTH(interrupted_by_a_signal)
{
    struct pair p = tcp_pair(family);
    struct task t;
    struct epoll_event e;
    int ep = set();
    add(ep, p.client, EPOLLIN);
    catch_signal(SIGUSR1, SA_RESTART);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    ERR(epoll_wait(ep, &e, 1, LONG_MS), EINTR);
    join(&t);
}

BOTH(pwait_swaps_the_mask)
{
    struct pair p = tcp_pair(family);
    struct epoll_event e;
    sigset_t blocked, empty;
    int ep = set();
    add(ep, p.client, EPOLLIN);
    catch_signal(SIGUSR1, 0);
    sigemptyset(&empty);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &blocked, NULL));
    EQ(raise(SIGUSR1), 0);
    ERR(epoll_pwait(ep, &e, 1, LONG_MS, &empty), EINTR);
    EQ(caught_signals, 1);
}

BOTH(exclusive_is_accepted_on_add_only)
{
    struct addr at;
    int ep = set(), l = listener(family, 1, &at);
    add(ep, l, EPOLLIN | EPOLLEXCLUSIVE);
    ERR(control(ep, EPOLL_CTL_MOD, l, EPOLLIN, 0), EINVAL);
    ERR(control(ep, EPOLL_CTL_ADD, tcp(family), EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 0), EINVAL);
    OK(connect(tcp(family), &at.sa, at.len));
    EQ(next(ep, LONG_MS, l), EPOLLIN);
}

BOTH(unconnected_socket)
{
    int ep = set(), fd = tcp(family);
    add(ep, fd, EPOLLIN);
    EQ(next(ep, 0, fd), EPOLLHUP);
}

BOTH(connect_completes)
{
    struct addr at;
    int ep = set(), fd = tcp(family);
    listener(family, 1, &at);
    set_nonblocking(fd);
    ERR(connect(fd, &at.sa, at.len), EINPROGRESS);
    add(ep, fd, EPOLLOUT | EPOLLET);
    EQ(next(ep, LONG_MS, fd), EPOLLOUT);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
}
