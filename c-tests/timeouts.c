/* SO_RCVTIMEO and SO_SNDTIMEO. */
#include "harness.h"

static void set_timeout(int fd, int name, long ms)
{
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    OK(setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv)));
}

static struct timeval get_timeout(int fd, int name)
{
    struct timeval tv = {-7, -7};
    socklen_t len = sizeof(tv);
    OK(getsockopt(fd, SOL_SOCKET, name, &tv, &len));
    EQ(len, sizeof(tv));
    return tv;
}

BOTH(none_at_first)
{
    int fd = tcp(family);
    struct timeval tv = get_timeout(fd, SO_RCVTIMEO);
    EQ(tv.tv_sec | tv.tv_usec, 0);
    tv = get_timeout(fd, SO_SNDTIMEO);
    EQ(tv.tv_sec | tv.tv_usec, 0);
}

BOTH(reads_back)
{
    int fd = udp(family);
    set_timeout(fd, SO_RCVTIMEO, 2500);
    struct timeval tv = get_timeout(fd, SO_RCVTIMEO);
    EQ(tv.tv_sec, 2);
    EQ(tv.tv_usec, 500000);
}

BOTH(recv_gives_eagain)
{
    struct pair p = tcp_pair(family);
    char c;
    set_timeout(p.client, SO_RCVTIMEO, 60);
    long long begin = now_ms();
    ERR(recv(p.client, &c, 1, 0), EAGAIN);
    RANGE(now_ms() - begin, 55, LONG_MS);
    ERR(read(p.client, &c, 1), EAGAIN);
}

BOTH(recv_in_time)
{
    struct pair p = tcp_pair(family);
    char c;
    set_timeout(p.server, SO_RCVTIMEO, 2000);
    send_all(p.client, "x", 1);
    EQ(recv(p.server, &c, 1, 0), 1);
}

BOTH(datagram_recv)
{
    struct addr at;
    char c;
    int fd = bound_udp(family, &at);
    set_timeout(fd, SO_RCVTIMEO, 60);
    long long begin = now_ms();
    ERR(recv(fd, &c, 1, 0), EAGAIN);
    RANGE(now_ms() - begin, 55, LONG_MS);
}

BOTH(accept_obeys_the_receive_timeout)
{
    struct addr at;
    int l = listener(family, 1, &at);
    set_timeout(l, SO_RCVTIMEO, 60);
    long long begin = now_ms();
    ERR(accept(l, NULL, NULL), EAGAIN);
    RANGE(now_ms() - begin, 55, LONG_MS);
}

BOTH(waitall_gives_what_came)
{
    struct pair p = tcp_pair(family);
    char got[10];
    send_all(p.client, "abc", 3);
    set_timeout(p.server, SO_RCVTIMEO, 60);
    EQ(recv(p.server, got, 10, MSG_WAITALL), 3);
    ERR(recv(p.server, got, 10, MSG_WAITALL), EAGAIN);
}

BOTH(send_gives_eagain)
{
    struct pair p = tcp_pair(family);
    fill(p.client);
    OK(fcntl(p.client, F_SETFL, 0));
    set_timeout(p.client, SO_SNDTIMEO, 60);
    long long begin = now_ms();
    ERR(send(p.client, "x", 1, 0), EAGAIN);
    RANGE(now_ms() - begin, 55, LONG_MS);
}

BOTH(send_gives_the_partial_count)
{
    struct pair p = tcp_pair(family);
    size_t size = 64 * 1024 * 1024;
    char *data = calloc(1, size);
    set_timeout(p.client, SO_SNDTIMEO, 200);
    RANGE(send(p.client, data, size, 0), 1, (long long)size - 1);
}

BOTH(connect_gives_einprogress)
{
    struct addr at;
    listener(family, 0, &at);
    OK(connect(tcp(family), &at.sa, at.len));
    sleep_ms(SHORT_MS);
    int fd = tcp(family);
    set_timeout(fd, SO_SNDTIMEO, 100);
    ERR(connect(fd, &at.sa, at.len), EINPROGRESS);
    ERR(connect(fd, &at.sa, at.len), EALREADY);
}

BOTH(zero_means_none)
{
    struct pair p = tcp_pair(family);
    char c;
    set_timeout(p.server, SO_RCVTIMEO, 60);
    set_timeout(p.server, SO_RCVTIMEO, 0);
    struct timeval tv = get_timeout(p.server, SO_RCVTIMEO);
    EQ(tv.tv_sec | tv.tv_usec, 0);
    send_all(p.client, "x", 1);
    EQ(recv(p.server, &c, 1, 0), 1);
}

BOTH(negative_seconds_mean_at_once)
{
    struct pair p = tcp_pair(family);
    struct timeval tv = {-1, 0};
    char c;
    OK(setsockopt(p.client, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    long long begin = now_ms();
    ERR(recv(p.client, &c, 1, 0), EAGAIN);
    RANGE(now_ms() - begin, 0, LONG_MS);
}

BOTH(microseconds_out_of_range)
{
    int fd = tcp(family);
    struct timeval large = {0, 1000000}, negative = {0, -1};
    ERR(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &large, sizeof(large)), EDOM);
    ERR(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &negative, sizeof(negative)), EDOM);
}

BOTH(short_option)
{
    int fd = tcp(family), ms = 5;
    ERR(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &ms, sizeof(ms)), EINVAL);
}

BOTH(poll_ignores_it)
{
    struct pair p = tcp_pair(family);
    set_timeout(p.client, SO_RCVTIMEO, 20);
    long long begin = now_ms();
    EQ(events_of(p.client, POLLIN, 100), 0);
    RANGE(now_ms() - begin, 99, LONG_MS);
}

BOTH(shared_by_duplicates_and_inherited)
{
    struct addr at;
    int l = listener(family, 1, &at);
    set_timeout(l, SO_RCVTIMEO, 1500);
    struct timeval tv = get_timeout((int)OK(dup(l)), SO_RCVTIMEO);
    EQ(tv.tv_sec, 1);
    OK(connect(tcp(family), &at.sa, at.len));
    tv = get_timeout((int)OK(accept(l, NULL, NULL)), SO_RCVTIMEO);
    EQ(tv.tv_sec, 1); /* accepted sockets are copies of the listener */
}
