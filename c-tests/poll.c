/* poll(2) and ppoll(2). */
#include "harness.h"

BOTH(nothing_ready_returns_zero_after_the_time)
{
    struct pair p = tcp_pair(family);
    long long begin = now_ms();
    EQ(events_of(p.client, POLLIN, 60), 0);
    RANGE(now_ms() - begin, 59, LONG_MS);
}

BOTH(zero_timeout_does_not_wait)
{
    struct pair p = tcp_pair(family);
    long long begin = now_ms();
    for (int i = 0; i < 50; i++)
        EQ(events_of(p.client, POLLIN, 0), 0);
    RANGE(now_ms() - begin, 0, LONG_MS);
}

BOTH(readable_and_writable)
{
    struct pair p = tcp_pair(family);
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    EQ(events_of(p.server, POLLIN | POLLOUT | POLLPRI, 0), POLLIN | POLLOUT);
    EQ(events_of(p.server, POLLIN, 0), POLLIN);
    EQ(events_of(p.server, POLLOUT, 0), POLLOUT);
    EQ(events_of(p.server, 0, 0), 0);
}

BOTH(rdnorm_and_wrnorm)
{
    struct pair p = tcp_pair(family);
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    EQ(events_of(p.server, POLLRDNORM | POLLWRNORM, 0), POLLRDNORM | POLLWRNORM);
}

BOTH(hangup_and_error_come_unasked)
{
    struct pair p = tcp_pair(family);
    reset(p.server);
    wait_for(p.client, POLLERR | POLLHUP);
    EQ(events_of(p.client, 0, 0), POLLERR | POLLHUP);
    EQ(events_of(p.client, POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP);
}

BOTH(negative_descriptors_are_skipped)
{
    struct pair p = tcp_pair(family);
    struct pollfd f[3] = {{-1, POLLIN, 77}, {p.client, POLLOUT, 77}, {-5, POLLIN, 77}};
    EQ(poll(f, 3, 1000), 1);
    EQ(f[0].revents, 0);
    EQ(f[1].revents, POLLOUT);
    EQ(f[2].revents, 0);
}

BOTH(closed_descriptors_are_invalid)
{
    struct pair p = tcp_pair(family);
    int closed = tcp(family);
    OK(close(closed));
    struct pollfd f[2] = {{closed, POLLIN, 0}, {p.client, POLLIN, 0}};
    EQ(poll(f, 2, 1000), 1);
    EQ(f[0].revents, POLLNVAL);
    EQ(f[1].revents, 0);
}

BOTH(events_are_left_alone)
{
    struct pair p = tcp_pair(family);
    struct pollfd f = {p.client, POLLIN | POLLOUT, 0};
    EQ(poll(&f, 1, 0), 1);
    EQ(f.events, POLLIN | POLLOUT);
    EQ(f.fd, p.client);
}

BOTH(counts_descriptors_not_bits)
{
    struct pair p = tcp_pair(family);
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    struct pollfd f[3] = {{p.client, POLLOUT, 0}, {p.server, POLLIN | POLLOUT, 0}, {p.server, POLLIN, 0}};
    EQ(poll(f, 3, 0), 3);
}

BOTH(the_same_descriptor_twice)
{
    struct pair p = tcp_pair(family);
    struct pollfd f[2] = {{p.client, POLLOUT, 0}, {p.client, POLLIN, 0}};
    EQ(poll(f, 2, 0), 1);
    EQ(f[0].revents, POLLOUT);
    EQ(f[1].revents, 0);
}

static void send_x(void *arg) { send_all(*(int *)arg, "x", 1); }

BOTH(wakes_when_data_comes)
{
    struct pair p = tcp_pair(family);
    struct task t;
    long long begin = now_ms();
    start(&t, 2 * SHORT_MS, send_x, &p.client);
    EQ(events_of(p.server, POLLIN, -1), POLLIN);
    RANGE(now_ms() - begin, 2 * SHORT_MS - 5, LONG_MS);
    join(&t);
}

BOTH(wakes_when_room_comes)
{
    struct pair p = tcp_pair(family);
    size_t filled = fill(p.client);
    EQ(events_of(p.client, POLLOUT, SHORT_MS), 0);
    drain(p.server, filled);
    EQ(events_of(p.client, POLLOUT, LONG_MS), POLLOUT);
}

static void reset_it(void *arg) { reset(*(int *)arg); }

BOTH(wakes_at_a_reset)
{
    struct pair p = tcp_pair(family);
    struct task t;
    start(&t, SHORT_MS, reset_it, &p.client);
    EQ(events_of(p.server, POLLIN, LONG_MS), POLLIN | POLLERR | POLLHUP);
    join(&t);
}

BOTH(datagrams)
{
    struct pair p = udp_pair(family);
    EQ(events_of(p.server, POLLIN | POLLOUT, 0), POLLOUT);
    EQ(send(p.client, "x", 1, 0), 1);
    wait_for(p.server, POLLIN);
    EQ(events_of(p.server, POLLIN | POLLOUT, 0), POLLIN | POLLOUT);
}

BOTH(many_descriptors)
{
    enum { N = 300 };
    static struct pollfd f[N];
    struct addr at;
    struct pair p = tcp_pair(family);
    for (int i = 0; i < N; i++)
        f[i] = (struct pollfd){bound_udp(family, &at), POLLIN, 0};
    f[N - 1].fd = p.server;
    EQ(poll(f, N, 0), 0);
    send_all(p.client, "x", 1);
    EQ(poll(f, N, LONG_MS), 1);
    EQ(f[N - 1].revents, POLLIN);
}

CASE(no_descriptors_is_a_sleep)
{
    long long begin = now_ms();
    EQ(poll(NULL, 0, 50), 0);
    RANGE(now_ms() - begin, 49, LONG_MS);
}

BOTH(bad_pointer_to_poll)
{
    tcp(family);
    ERR(poll(bad_pointer, 1, 0), EFAULT);
}

BOTH(interrupted_by_a_signal)
{
    struct pair p = tcp_pair(family);
    struct task t;
    struct pollfd f = {p.client, POLLIN, 0};
    catch_signal(SIGUSR1, SA_RESTART); /* poll is never restarted */
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    ERR(poll(&f, 1, LONG_MS), EINTR);
    EQ(caught_signals, 1);
    join(&t);
}

BOTH(ppoll_waits_as_long_as_it_says)
{
    struct pair p = tcp_pair(family);
    struct pollfd f = {p.client, POLLIN, 0};
    struct timespec ts = {0, 50 * 1000000};
    long long begin = now_ms();
    EQ(ppoll(&f, 1, &ts, NULL), 0);
    RANGE(now_ms() - begin, 49, LONG_MS);
    EQ(ts.tv_nsec, 50 * 1000000);
}

BOTH(ppoll_refuses_a_wrong_time)
{
    struct pair p = tcp_pair(family);
    struct pollfd f = {p.client, POLLIN, 0};
    struct timespec negative = {-1, 0}, large = {0, 1000000000};
    ERR(ppoll(&f, 1, &negative, NULL), EINVAL);
    ERR(ppoll(&f, 1, &large, NULL), EINVAL);
}

BOTH(ppoll_swaps_the_mask_for_the_wait)
{
    struct pair p = tcp_pair(family);
    struct pollfd f = {p.client, POLLIN, 0};
    struct timespec ts = {3, 0};
    sigset_t blocked, empty;
    catch_signal(SIGUSR1, 0);
    sigemptyset(&empty);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &blocked, NULL));
    EQ(raise(SIGUSR1), 0);
    EQ(caught_signals, 0);
    ERR(ppoll(&f, 1, &ts, &empty), EINTR);
    EQ(caught_signals, 1);
    sigset_t now;
    OK(sigprocmask(SIG_BLOCK, NULL, &now));
    EQ(sigismember(&now, SIGUSR1), 1);
}

BOTH(ppoll_keeps_signals_out)
{
    struct pair p = tcp_pair(family);
    struct pollfd f = {p.client, POLLIN, 0};
    struct timespec ts = {2, 0};
    struct task t;
    sigset_t blocked;
    catch_signal(SIGUSR1, 0);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    EQ(ppoll(&f, 1, &ts, &blocked), 0);
    EQ(caught_signals, 1); /* delivered when the mask came back */
    join(&t);
}
