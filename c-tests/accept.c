/* accept(2), accept4(2): what comes out, what it inherits, what the address argument may be. */
#include "harness.h"

#include <sys/resource.h>

static int waiting_client(int family, const struct addr *at)
{
    int fd = tcp(family);
    OK(connect(fd, &at->sa, at->len));
    return fd;
}

BOTH(address_of_the_peer)
{
    struct addr at, got, want;
    int l = listener(family, 1, &at), c = waiting_client(family, &at);
    memset(&got, 0, sizeof(got));
    got.len = sizeof(got.ss);
    int s = (int)OK(accept(l, &got.sa, &got.len));
    want = local_of(c);
    EQ(got.len, want.len);
    TRUE(same_addr(&got, &want));
    got = peer_of(s);
    TRUE(same_addr(&got, &want));
    got = local_of(s);
    TRUE(same_addr(&got, &at));
}

BOTH(in_order_of_arrival)
{
    struct addr at, want, got;
    int l = listener(family, 4, &at), c[3];
    for (int i = 0; i < 3; i++)
        c[i] = waiting_client(family, &at);
    for (int i = 0; i < 3; i++) {
        got = peer_of((int)OK(accept(l, NULL, NULL)));
        want = local_of(c[i]);
        TRUE(same_addr(&got, &want));
    }
}

BOTH(true_length_in_a_short_buffer)
{
    struct addr at;
    unsigned char buffer[32];
    socklen_t len = 3;
    int l = listener(family, 1, &at);
    waiting_client(family, &at);
    memset(buffer, 0xee, sizeof(buffer));
    OK(accept(l, (struct sockaddr *)buffer, &len));
    EQ(len, at.len);
    EQ(buffer[3], 0xee);
}

BOTH(length_without_address)
{
    struct addr at;
    int l = listener(family, 1, &at);
    socklen_t len = 7;
    waiting_client(family, &at);
    OK(accept(l, NULL, &len));
    EQ(len, 7);
}

BOTH(negative_length)
{
    struct addr at, got;
    int l = listener(family, 1, &at);
    waiting_client(family, &at);
    got.len = (socklen_t)-1;
    ERR(accept(l, &got.sa, &got.len), EINVAL);
}

BOTH(bad_pointer)
{
    struct addr at;
    socklen_t len = 64;
    int l = listener(family, 2, &at);
    waiting_client(family, &at);
    ERR(accept(l, bad_pointer, &len), EFAULT);
}

BOTH(not_listening) { ERR(accept(tcp(family), NULL, NULL), EINVAL); }

BOTH(connected)
{
    struct pair p = tcp_pair(family);
    ERR(accept(p.server, NULL, NULL), EINVAL);
}

BOTH(datagram) { ERR(accept(udp(family), NULL, NULL), EOPNOTSUPP); }

CASE(unknown_flags)
{
    struct addr at;
    ERR(accept4(listener(AF_INET, 1, &at), NULL, NULL, 0x1000), EINVAL);
}

BOTH(nonblocking_and_nobody_there)
{
    struct addr at;
    int l = listener(family, 1, &at);
    set_nonblocking(l);
    ERR(accept(l, NULL, NULL), EAGAIN);
}

BOTH(file_flags_are_not_inherited)
{
    struct addr at;
    int l = listener(family, 1, &at);
    set_nonblocking(l);
    OK(fcntl(l, F_SETFD, FD_CLOEXEC));
    waiting_client(family, &at);
    wait_for(l, POLLIN);
    int s = (int)OK(accept(l, NULL, NULL));
    EQ(fcntl(s, F_GETFL), O_RDWR);
    EQ(fcntl(s, F_GETFD), 0);
}

BOTH(accept4_sets_both)
{
    struct addr at;
    int l = listener(family, 1, &at);
    waiting_client(family, &at);
    int s = (int)OK(accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    EQ(fcntl(s, F_GETFL), O_RDWR | O_NONBLOCK);
    EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
}

BOTH(options_are_inherited)
{
    struct addr at;
    int l = listener(family, 1, &at);
    set_int(l, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(l, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(l, IPPROTO_TCP, TCP_KEEPIDLE, 77);
    set_int(l, IPPROTO_TCP, TCP_KEEPINTVL, 7);
    set_int(l, IPPROTO_TCP, TCP_KEEPCNT, 3);
    set_int(l, SOL_SOCKET, SO_REUSEADDR, 1);
    waiting_client(family, &at);
    int s = (int)OK(accept(l, NULL, NULL));
    EQ(get_int(s, SOL_SOCKET, SO_KEEPALIVE), 1);
    EQ(get_int(s, IPPROTO_TCP, TCP_NODELAY), 1);
    EQ(get_int(s, IPPROTO_TCP, TCP_KEEPIDLE), 77);
    EQ(get_int(s, IPPROTO_TCP, TCP_KEEPINTVL), 7);
    EQ(get_int(s, IPPROTO_TCP, TCP_KEEPCNT), 3);
    EQ(get_int(s, SOL_SOCKET, SO_REUSEADDR), 1);
    EQ(get_int(s, SOL_SOCKET, SO_ACCEPTCONN), 0);
}

CASE(linger_and_ttl_are_inherited)
{
    struct addr at;
    struct linger l = {1, 5}, got;
    socklen_t len = sizeof(got);
    int fd = listener(AF_INET, 1, &at);
    OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
    set_int(fd, IPPROTO_IP, IP_TTL, 33);
    waiting_client(AF_INET, &at);
    int s = (int)OK(accept(fd, NULL, NULL));
    OK(getsockopt(s, SOL_SOCKET, SO_LINGER, &got, &len));
    EQ(got.l_onoff, 1);
    EQ(got.l_linger, 5);
    EQ(get_int(s, IPPROTO_IP, IP_TTL), 33);
}

BOTH(buffer_sizes_are_inherited)
{
    struct addr at;
    int l = listener(family, 1, &at);
    set_int(l, SOL_SOCKET, SO_RCVBUF, 30000);
    set_int(l, SOL_SOCKET, SO_SNDBUF, 40000);
    waiting_client(family, &at);
    int s = (int)OK(accept(l, NULL, NULL));
    EQ(get_int(s, SOL_SOCKET, SO_RCVBUF), 60000);
    EQ(get_int(s, SOL_SOCKET, SO_SNDBUF), 80000);
}

BOTH(client_that_reset_before_accept)
{
    struct addr at, a;
    char c;
    int l = listener(family, 1, &at);
    reset(waiting_client(family, &at));
    sleep_ms(SHORT_MS);
    int s = (int)OK(accept(l, NULL, NULL));
    a.len = sizeof(a.ss);
    ERR(getpeername(s, &a.sa, &a.len), ENOTCONN);
    ERR(recv(s, &c, 1, 0), ECONNRESET);
    EQ(recv(s, &c, 1, 0), 0);
}

BOTH(client_that_closed_before_accept)
{
    struct addr at;
    char got[8];
    int l = listener(family, 1, &at), c = waiting_client(family, &at);
    send_all(c, "last", 4);
    OK(close(c));
    int s = (int)OK(accept(l, NULL, NULL));
    recv_all(s, got, 4);
    EQ(memcmp(got, "last", 4), 0);
    EQ(recv(s, got, 1, 0), 0);
}

BOTH(data_sent_before_accept)
{
    struct addr at;
    char got[6];
    int l = listener(family, 1, &at);
    send_all(waiting_client(family, &at), "early", 5);
    recv_all((int)OK(accept(l, NULL, NULL)), got, 5);
    EQ(memcmp(got, "early", 5), 0);
}

BOTH(out_of_descriptors_keeps_the_client)
{
    struct addr at;
    struct rlimit limit, low;
    int l = listener(family, 1, &at), c = waiting_client(family, &at);
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    low = limit;
    low.rlim_cur = (rlim_t)c + 1;
    OK(setrlimit(RLIMIT_NOFILE, &low));
    ERR(accept(l, NULL, NULL), EMFILE);
    OK(setrlimit(RLIMIT_NOFILE, &limit));
    struct addr want = local_of(c), got = peer_of((int)OK(accept(l, NULL, NULL)));
    TRUE(same_addr(&got, &want));
}

static void connect_to(void *arg)
{
    struct addr *at = arg;
    OK(connect(tcp(at->sa.sa_family), &at->sa, at->len));
}

BOTH(blocks_until_a_client_comes)
{
    struct addr at;
    struct task t;
    int l = listener(family, 1, &at);
    long long begin = now_ms();
    start(&t, 2 * SHORT_MS, connect_to, &at);
    OK(accept(l, NULL, NULL));
    RANGE(now_ms() - begin, 2 * SHORT_MS - 5, LONG_MS);
    join(&t);
}

static void shut(void *arg) { OK(shutdown(*(int *)arg, SHUT_RD)); }

BOTH(shutdown_wakes_a_blocked_accept)
{
    struct addr at;
    struct task t;
    int l = listener(family, 1, &at);
    start(&t, SHORT_MS, shut, &l);
    ERR(accept(l, NULL, NULL), EINVAL);
    join(&t);
}

struct acceptor {
    int listening, got;
};

static void accept_until_shut(void *arg)
{
    struct acceptor *a = arg;
    while (accept(a->listening, NULL, NULL) >= 0)
        a->got++;
}

BOTH(several_threads_share_the_clients)
{
    struct addr at;
    struct task t[4];
    struct acceptor a[4];
    int l = listener(family, 64, &at), sum = 0;
    for (int i = 0; i < 4; i++) {
        a[i] = (struct acceptor){l, 0};
        start(&t[i], 0, accept_until_shut, &a[i]);
    }
    for (int i = 0; i < 40; i++)
        waiting_client(family, &at);
    sleep_ms(2 * SHORT_MS);
    OK(shutdown(l, SHUT_RD));
    for (int i = 0; i < 4; i++) {
        join(&t[i]);
        sum += a[i].got;
    }
    EQ(sum, 40);
}

BOTH(connection_outlives_its_listener)
{
    struct addr at;
    char c;
    int l = listener(family, 1, &at);
    struct pair p = pair_through(l, &at);
    OK(close(l));
    send_all(p.client, "x", 1);
    recv_all(p.server, &c, 1);
    send_all(p.server, "y", 1);
    recv_all(p.client, &c, 1);
    EQ(c, 'y');
}
