/* send(2), write(2), writev(2) on TCP. */
#include "harness.h"

#include <stdarg.h>

BOTH(returns_the_count)
{
    struct pair p = tcp_pair(family);
    char got[16];
    EQ(send(p.client, "hello", 5, 0), 5);
    EQ(write(p.client, " you", 4), 4);
    recv_all(p.server, got, 9);
    EQ(memcmp(got, "hello you", 9), 0);
}

BOTH(zero_bytes_are_nothing)
{
    struct pair p = tcp_pair(family);
    EQ(send(p.client, "", 0, 0), 0);
    EQ(write(p.client, "", 0), 0);
    EQ(events_of(p.server, POLLIN, SHORT_MS), 0);
}

BOTH(unconnected)
{
    char c = 0;
    ERR(send(tcp(family), &c, 1, MSG_NOSIGNAL), EPIPE);
}

BOTH(unconnected_with_address)
{
    struct addr at;
    listener(family, 1, &at);
    ERR(sendto(tcp(family), "x", 1, MSG_NOSIGNAL, &at.sa, at.len), EPIPE);
}

BOTH(address_is_ignored_when_connected)
{
    struct pair p = tcp_pair(family);
    struct addr other = loopback(family, 9);
    char c;
    EQ(sendto(p.client, "x", 1, 0, &other.sa, other.len), 1);
    recv_all(p.server, &c, 1);
}

BOTH(sigpipe)
{
    struct pair p = tcp_pair(family);
    catch_signal(SIGPIPE, 0);
    OK(shutdown(p.client, SHUT_WR));
    ERR(send(p.client, "x", 1, 0), EPIPE);
    EQ(caught_signals, 1);
    ERR(write(p.client, "x", 1), EPIPE);
    EQ(caught_signals, 2);
    ERR(send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
    EQ(caught_signals, 2);
}

BOTH(sigpipe_kills_by_default)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct pair p = tcp_pair(family);
        OK(shutdown(p.client, SHUT_WR));
        if (send(p.client, "x", 1, 0) < 0)
            _exit(3);
        _exit(4);
    }
    OK(waitpid(child, &status, 0));
    TRUE(WIFSIGNALED(status));
    EQ(WTERMSIG(status), SIGPIPE);
}

BOTH(after_a_reset)
{
    struct pair p = tcp_pair(family);
    catch_signal(SIGPIPE, 0);
    reset(p.server);
    wait_for(p.client, POLLERR);
    ERR(send(p.client, "x", 1, 0), ECONNRESET);
    EQ(caught_signals, 0);
    ERR(send(p.client, "x", 1, 0), EPIPE);
    EQ(caught_signals, 1);
    char c;
    EQ(recv(p.client, &c, 1, 0), 0);
}

BOTH(to_a_closed_peer)
{
    struct pair p = tcp_pair(family);
    OK(close(p.server));
    wait_for(p.client, POLLRDHUP);
    EQ(send(p.client, "x", 1, MSG_NOSIGNAL), 1); /* answered by a reset */
    wait_for(p.client, POLLHUP);
    ERR(send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
}

BOTH(nonblocking_is_partial_then_eagain)
{
    struct pair p = tcp_pair(family);
    size_t size = 32 * 1024 * 1024;
    char *data = calloc(1, size);
    set_nonblocking(p.client);
    RANGE(send(p.client, data, size, 0), 1, (long long)size - 1);
    fill(p.client);
    ERR(send(p.client, data, size, 0), EAGAIN);
    ERR(send(p.client, data, 1, 0), EAGAIN);
}

BOTH(dontwait)
{
    struct pair p = tcp_pair(family);
    fill(p.client);
    OK(fcntl(p.client, F_SETFL, 0));
    ERR(send(p.client, "x", 1, MSG_DONTWAIT), EAGAIN);
}

BOTH(full_buffer_is_not_writable_until_a_third_is_free)
{
    struct pair p = tcp_pair(family);
    size_t filled = fill(p.client);
    EQ(events_of(p.client, POLLOUT, 0), 0);
    EQ(drain(p.server, filled), filled);
    wait_for(p.client, POLLOUT);
}

struct reader {
    int fd;
    size_t want, got;
    unsigned char *data;
};

static void read_all(void *arg)
{
    struct reader *r = arg;
    while (r->got < r->want) {
        ssize_t n = recv(r->fd, r->data + r->got, r->want - r->got, 0);
        if (n <= 0)
            return;
        r->got += (size_t)n;
    }
}

BOTH(blocking_send_takes_everything)
{
    struct pair p = tcp_pair(family);
    size_t size = 24 * 1024 * 1024;
    unsigned char *data = malloc(size), *copy = malloc(size);
    struct reader r = {p.server, size, 0, copy};
    struct task t;
    pattern(data, size, 1);
    start(&t, SHORT_MS, read_all, &r);
    EQ(send(p.client, data, size, 0), size);
    join(&t);
    EQ(r.got, size);
    EQ(memcmp(data, copy, size), 0);
}

static void drain_some_and_reset(void *arg)
{
    drain(*(int *)arg, 100000);
    reset(*(int *)arg);
}

BOTH(peer_vanishing_midway_gives_the_partial_count)
{
    struct pair p = tcp_pair(family);
    struct task t;
    size_t size = 48 * 1024 * 1024;
    char *data = calloc(1, size);
    start(&t, SHORT_MS, drain_some_and_reset, &p.server);
    RANGE(send(p.client, data, size, MSG_NOSIGNAL), 100000, (long long)size - 1);
    ERR(send(p.client, data, 1, MSG_NOSIGNAL), ECONNRESET);
    join(&t);
}

BOTH(both_ways_at_once)
{
    struct pair p = tcp_pair(family);
    size_t size = 4 * 1024 * 1024;
    unsigned char *data = malloc(size), *one = malloc(size), *two = malloc(size);
    struct reader r1 = {p.server, size, 0, one}, r2 = {p.client, size, 0, two};
    struct task t1, t2;
    pattern(data, size, 2);
    start(&t1, 0, read_all, &r1);
    start(&t2, 0, read_all, &r2);
    for (size_t at = 0; at < size; at += 65536) {
        send_all(p.client, data + at, 65536);
        send_all(p.server, data + at, 65536);
    }
    join(&t1);
    join(&t2);
    EQ(memcmp(data, one, size), 0);
    EQ(memcmp(data, two, size), 0);
}

BOTH(many_small_writes_keep_their_order)
{
    struct pair p = tcp_pair(family);
    static unsigned char got[20000];
    struct reader r = {p.server, sizeof(got), 0, got};
    struct task t;
    start(&t, 0, read_all, &r);
    for (int i = 0; i < 20000; i++) {
        unsigned char c = (unsigned char)(i * 7);
        EQ(send(p.client, &c, 1, 0), 1);
    }
    join(&t);
    EQ(r.got, sizeof(got));
    for (int i = 0; i < 20000; i++)
        EQ(got[i], (unsigned char)(i * 7));
}

BOTH(writev_gathers)
{
    struct pair p = tcp_pair(family);
    char got[16];
    struct iovec v[4] = {{"ab", 2}, {"", 0}, {"cde", 3}, {NULL, 0}};
    EQ(writev(p.client, v, 4), 5);
    recv_all(p.server, got, 5);
    EQ(memcmp(got, "abcde", 5), 0);
}

BOTH(writev_of_nothing)
{
    struct pair p = tcp_pair(family);
    struct iovec v = {NULL, 0};
    EQ(writev(p.client, &v, 0), 0);
    EQ(writev(p.client, &v, 1), 0);
}

BOTH(writev_too_many)
{
    struct pair p = tcp_pair(family);
    static struct iovec v[IOV_MAX + 1];
    ERR(writev(p.client, v, IOV_MAX + 1), EINVAL);
    ERR(writev(p.client, v, minus_one), EINVAL);
    EQ(writev(p.client, v, IOV_MAX), 0);
}

BOTH(bad_buffer)
{
    struct pair p = tcp_pair(family);
    ERR(send(p.client, bad_pointer, 10, 0), EFAULT);
    ERR(write(p.client, bad_pointer, 10), EFAULT);
    EQ(send(p.client, "x", 1, 0), 1); /* no harm done */
}

BOTH(unknown_flags_are_ignored)
{
    struct pair p = tcp_pair(family);
    EQ(send(p.client, "x", 1, 0x02000000), 1);
}

BOTH(msg_more_holds_back_then_goes)
{
    struct pair p = tcp_pair(family);
    char got[4];
    EQ(send(p.client, "a", 1, MSG_MORE), 1);
    EQ(send(p.client, "b", 1, 0), 1);
    recv_all(p.server, got, 2);
    EQ(memcmp(got, "ab", 2), 0);
}

/* Segments sent with data: tcpi_data_segs_out of linux/tcp.h, which the C library's struct lacks. */
static uint32_t segments(int fd)
{
    unsigned char info[256] = {0};
    uint32_t count;
    socklen_t len = sizeof(info);
    OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len));
    memcpy(&count, info + 156, sizeof(count));
    return count;
}

/* What of two small corked writes goes together, and what did at last. */
static void two_writes(int family, int flags, uint32_t corked, uint32_t all)
{
    struct pair p = tcp_pair(family);
    char got[8];
    set_int(p.client, IPPROTO_TCP, TCP_CORK, 1);
    EQ(send(p.client, "ab", 2, flags), 2);
    EQ(send(p.client, "cd", 2, flags), 2);
    EQ(segments(p.client), corked);
    set_int(p.client, IPPROTO_TCP, TCP_CORK, 0);
    recv_all(p.server, got, 4);
    EQ(memcmp(got, "abcd", 4), 0);
    EQ(segments(p.client), all);
}

BOTH(msg_eor_keeps_writes_in_segments_of_their_own)
{
    two_writes(family, 0, 0, 1);
    two_writes(family, MSG_EOR, 1, 2);
}

BOTH(bad_descriptors)
{
    int p[2];
    ERR(send(-1, "x", 1, 0), EBADF);
    ERR(send(900, "x", 1, 0), EBADF);
    OK(pipe(p));
    ERR(send(p[1], "x", 1, 0), ENOTSOCK);
    int fd = tcp(family);
    OK(close(fd));
    ERR(send(fd, "x", 1, 0), EBADF);
    ERR(write(fd, "x", 1), EBADF);
}

BOTH(dprintf_writes)
{
    struct pair p = tcp_pair(family);
    char got[16];
    EQ(dprintf(p.client, "n=%d\n", 42), 5);
    recv_all(p.server, got, 5);
    EQ(memcmp(got, "n=42\n", 5), 0);
}

/* Every class of argument passes: whole numbers and floating ones in registers and on the stack. */
BOTH(dprintf_passes_every_argument)
{
    struct pair p = tcp_pair(family);
    static const char want[] = "1 2 3 4 5 6 7 8 0.5 1.5 2.5 3.5 4.5 5.5 6.5 7.5 8.5 9.5 text -9 x";
    char got[sizeof(want)] = "";
    EQ(dprintf(p.client, "%d %d %d %ld %d %d %d %lld %g %g %g %g %g %g %g %g %.1f %.1Lf %s %hd %c", 1, 2, 3, 4L, 5, 6, 7, 8LL,
               0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5L, "text", (short)-9, 'x'),
       sizeof(want) - 1);
    recv_all(p.server, got, sizeof(want) - 1);
    EQ(strcmp(got, want), 0);
}

static int through_a_list(int fd, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int result = vdprintf(fd, format, list);
    va_end(list);
    return result;
}

BOTH(vdprintf_writes)
{
    struct pair p = tcp_pair(family);
    char got[16], *big;
    EQ(through_a_list(p.client, "%s=%.2f", "n", 4.25), 6);
    recv_all(p.server, got, 6);
    EQ(memcmp(got, "n=4.25", 6), 0);
    EQ(through_a_list(p.client, "%20000d", 7), 20000);
    big = malloc(20000);
    recv_all(p.server, big, 20000);
    EQ(big[19999], '7');
    EQ(big[19998], ' ');
}

BOTH(dprintf_fails_as_write_does)
{
    struct pair p = tcp_pair(family);
    signal(SIGPIPE, SIG_IGN);
    OK(shutdown(p.client, SHUT_WR));
    ERR(dprintf(p.client, "%d", 1), EPIPE);
    ERR(dprintf(tcp(family), "%d", 1), EPIPE);
    ERR(dprintf(900, "%d", 1), EBADF);
}
