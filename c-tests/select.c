/* select(2) and pselect(2). */
#include "harness.h"

static fd_set set_of(int fd)
{
    fd_set s;
    FD_ZERO(&s);
    if (fd >= 0)
        FD_SET(fd, &s);
    return s;
}

static int greater(int a, int b) { return a > b ? a : b; }

BOTH(readable)
{
    struct pair p = tcp_pair(family);
    struct timeval tv = {3, 0};
    fd_set r = set_of(p.server);
    send_all(p.client, "x", 1);
    EQ(select(p.server + 1, &r, NULL, NULL, &tv), 1);
    TRUE(FD_ISSET(p.server, &r));
}

BOTH(writable)
{
    struct pair p = tcp_pair(family);
    fd_set w = set_of(p.client);
    EQ(select(p.client + 1, NULL, &w, NULL, NULL), 1);
    TRUE(FD_ISSET(p.client, &w));
}

BOTH(counts_bits)
{
    struct pair p = tcp_pair(family);
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    fd_set r = set_of(p.server), w = set_of(p.server);
    FD_SET(p.client, &w);
    EQ(select(greater(p.client, p.server) + 1, &r, &w, NULL, NULL), 3);
}

BOTH(timeout_clears_the_sets)
{
    struct pair p = tcp_pair(family);
    struct timeval tv = {0, 50000};
    fd_set r = set_of(p.server), e = set_of(p.server);
    long long begin = now_ms();
    EQ(select(p.server + 1, &r, NULL, &e, &tv), 0);
    RANGE(now_ms() - begin, 49, LONG_MS);
    TRUE(!FD_ISSET(p.server, &r) && !FD_ISSET(p.server, &e));
    EQ(tv.tv_sec, 0);
    EQ(tv.tv_usec, 0);
}

BOTH(timeout_tells_what_is_left)
{
    struct pair p = tcp_pair(family);
    struct timeval tv = {5, 0};
    fd_set w = set_of(p.server);
    EQ(select(p.server + 1, NULL, &w, NULL, &tv), 1);
    RANGE(tv.tv_sec * 1000000LL + tv.tv_usec, 4000000, 5000000);
}

BOTH(zero_timeout_looks_only)
{
    struct pair p = tcp_pair(family);
    struct timeval tv = {0, 0};
    fd_set r = set_of(p.server);
    EQ(select(p.server + 1, &r, NULL, NULL, &tv), 0);
}

BOTH(only_ready_bits_stay)
{
    struct pair p = tcp_pair(family);
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    fd_set r = set_of(p.server);
    FD_SET(p.client, &r);
    EQ(select(greater(p.client, p.server) + 1, &r, NULL, NULL, NULL), 1);
    TRUE(FD_ISSET(p.server, &r) && !FD_ISSET(p.client, &r));
}

BOTH(bits_above_nfds_are_ignored)
{
    struct pair p = tcp_pair(family);
    struct timeval tv = {0, 0};
    int low = p.client < p.server ? p.client : p.server, high = greater(p.client, p.server);
    fd_set w = set_of(low);
    FD_SET(high, &w);
    EQ(select(low + 1, NULL, &w, NULL, &tv), 1);
    TRUE(FD_ISSET(low, &w));
}

BOTH(closed_descriptor)
{
    struct pair p = tcp_pair(family);
    int closed = tcp(family);
    OK(close(closed));
    fd_set r = set_of(p.server);
    FD_SET(closed, &r);
    struct timeval tv = {0, 0};
    ERR(select(greater(closed, p.server) + 1, &r, NULL, NULL, &tv), EBADF);
    TRUE(FD_ISSET(p.server, &r) && FD_ISSET(closed, &r)); /* left alone */
}

BOTH(negative_count)
{
    struct pair p = tcp_pair(family);
    fd_set r = set_of(p.server);
    struct timeval tv = {0, 0};
    ERR(select(minus_one, &r, NULL, NULL, &tv), EINVAL);
}

BOTH(negative_time)
{
    struct pair p = tcp_pair(family);
    fd_set r = set_of(p.server);
    struct timeval tv = {-1, 0};
    ERR(select(p.server + 1, &r, NULL, NULL, &tv), EINVAL);
}

BOTH(microseconds_above_a_second)
{
    struct pair p = tcp_pair(family);
    fd_set w = set_of(p.server);
    struct timeval tv = {0, 1500000};
    EQ(select(p.server + 1, NULL, &w, NULL, &tv), 1);
}

CASE(no_descriptors_is_a_sleep)
{
    struct timeval tv = {0, 40000};
    long long begin = now_ms();
    EQ(select(0, NULL, NULL, NULL, &tv), 0);
    RANGE(now_ms() - begin, 39, LONG_MS);
}

BOTH(end_of_stream_is_readable)
{
    struct pair p = tcp_pair(family);
    fd_set r = set_of(p.server), e = set_of(p.server);
    OK(close(p.client));
    EQ(select(p.server + 1, &r, NULL, &e, NULL), 1);
    TRUE(FD_ISSET(p.server, &r) && !FD_ISSET(p.server, &e));
}

BOTH(reset_is_readable_and_writable)
{
    struct pair p = tcp_pair(family);
    reset(p.client);
    wait_for(p.server, POLLERR);
    fd_set r = set_of(p.server), w = set_of(p.server), e = set_of(p.server);
    EQ(select(p.server + 1, &r, &w, &e, NULL), 2);
    TRUE(FD_ISSET(p.server, &r) && FD_ISSET(p.server, &w) && !FD_ISSET(p.server, &e));
}

BOTH(refused_connect)
{
    struct addr a = loopback(family, free_port(family));
    int fd = tcp(family);
    struct timeval tv = {3, 0};
    set_nonblocking(fd);
    ERR(connect(fd, &a.sa, a.len), EINPROGRESS);
    wait_for(fd, POLLHUP);
    fd_set r = set_of(fd), w = set_of(fd), e = set_of(fd);
    EQ(select(fd + 1, &r, &w, &e, &tv), 2);
    TRUE(FD_ISSET(fd, &r) && FD_ISSET(fd, &w));
}

BOTH(listener_is_readable)
{
    struct addr at;
    int l = listener(family, 1, &at);
    fd_set r = set_of(l);
    OK(connect(tcp(family), &at.sa, at.len));
    EQ(select(l + 1, &r, NULL, NULL, NULL), 1);
}

static void send_x(void *arg) { send_all(*(int *)arg, "x", 1); }

BOTH(wakes_when_data_comes)
{
    struct pair p = tcp_pair(family);
    struct task t;
    fd_set r = set_of(p.server);
    long long begin = now_ms();
    start(&t, SHORT_MS, send_x, &p.client);
    EQ(select(p.server + 1, &r, NULL, NULL, NULL), 1);
    RANGE(now_ms() - begin, SHORT_MS - 5, LONG_MS);
    join(&t);
}

BOTH(beyond_fd_setsize)
{
    struct pair p = tcp_pair(family);
    int high = (int)OK(dup2(p.server, 1500));
    unsigned long bits[32];
    memset(bits, 0, sizeof(bits));
    bits[high / 64] |= 1UL << (high % 64);
    send_all(p.client, "x", 1);
    EQ(select(high + 1, (fd_set *)bits, NULL, NULL, NULL), 1);
    EQ(bits[high / 64], 1UL << (high % 64));
}

BOTH(interrupted_by_a_signal)
{
    struct pair p = tcp_pair(family);
    struct task t;
    fd_set r = set_of(p.server);
    struct timeval tv = {3, 0};
    catch_signal(SIGUSR1, SA_RESTART);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    ERR(select(p.server + 1, &r, NULL, NULL, &tv), EINTR);
    TRUE(FD_ISSET(p.server, &r));
    join(&t);
}

BOTH(pselect_leaves_its_time_alone)
{
    struct pair p = tcp_pair(family);
    struct timespec ts = {0, 30 * 1000000};
    fd_set r = set_of(p.server);
    EQ(pselect(p.server + 1, &r, NULL, NULL, &ts, NULL), 0);
    EQ(ts.tv_nsec, 30 * 1000000);
}

BOTH(pselect_swaps_the_mask)
{
    struct pair p = tcp_pair(family);
    struct timespec ts = {3, 0};
    fd_set r = set_of(p.server);
    sigset_t blocked, empty;
    catch_signal(SIGUSR1, 0);
    sigemptyset(&empty);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &blocked, NULL));
    EQ(raise(SIGUSR1), 0);
    ERR(pselect(p.server + 1, &r, NULL, NULL, &ts, &empty), EINTR);
    EQ(caught_signals, 1);
}

BOTH(datagram_descriptors)
{
    struct pair p = udp_pair(family);
    fd_set r = set_of(p.server), w = set_of(p.server);
    struct timeval tv = {0, 0};
    EQ(select(p.server + 1, &r, &w, NULL, &tv), 1);
    EQ(send(p.client, "x", 1, 0), 1);
    wait_for(p.server, POLLIN);
    r = w = set_of(p.server);
    EQ(select(p.server + 1, &r, &w, NULL, NULL), 2);
}
