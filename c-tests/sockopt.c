/* getsockopt(2), setsockopt(2): values, lengths, what is refused. */
#include "harness.h"

BOTH(type_domain_protocol)
{
    int s = tcp(family), d = udp(family);
    EQ(get_int(s, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    EQ(get_int(d, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    EQ(get_int(s, SOL_SOCKET, SO_DOMAIN), family);
    EQ(get_int(d, SOL_SOCKET, SO_DOMAIN), family);
    EQ(get_int(s, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
    EQ(get_int(d, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
}

BOTH(read_only_ones)
{
    int fd = tcp(family), v = 1;
    ERR(setsockopt(fd, SOL_SOCKET, SO_TYPE, &v, sizeof(v)), ENOPROTOOPT);
    ERR(setsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, sizeof(v)), ENOPROTOOPT);
    ERR(setsockopt(fd, SOL_SOCKET, SO_ERROR, &v, sizeof(v)), ENOPROTOOPT);
    ERR(setsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, sizeof(v)), ENOPROTOOPT);
}

BOTH(switches)
{
    const int names[] = {SO_REUSEADDR, SO_REUSEPORT, SO_KEEPALIVE, SO_BROADCAST, SO_OOBINLINE};
    int fd = tcp(family);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        EQ(get_int(fd, SOL_SOCKET, names[i]), 0);
        set_int(fd, SOL_SOCKET, names[i], 1);
        EQ(get_int(fd, SOL_SOCKET, names[i]), 1);
        set_int(fd, SOL_SOCKET, names[i], 77);
        EQ(get_int(fd, SOL_SOCKET, names[i]), 1);
        set_int(fd, SOL_SOCKET, names[i], 0);
        EQ(get_int(fd, SOL_SOCKET, names[i]), 0);
    }
}

BOTH(short_buffers_are_filled_in_part)
{
    int fd = tcp(family);
    unsigned char v[4] = {0xee, 0xee, 0xee, 0xee};
    socklen_t len = 1;
    OK(getsockopt(fd, SOL_SOCKET, SO_TYPE, v, &len));
    EQ(len, 1);
    EQ(v[0], SOCK_STREAM);
    EQ(v[1], 0xee);
    len = 0;
    OK(getsockopt(fd, SOL_SOCKET, SO_TYPE, v, &len));
    EQ(len, 0);
}

BOTH(long_buffers_tell_the_length)
{
    int v[4] = {-1, -1, -1, -1};
    socklen_t len = sizeof(v);
    OK(getsockopt(tcp(family), SOL_SOCKET, SO_TYPE, v, &len));
    EQ(len, sizeof(int));
    EQ(v[1], -1);
}

BOTH(negative_length_to_get)
{
    int v;
    socklen_t len = (socklen_t)-1;
    ERR(getsockopt(tcp(family), SOL_SOCKET, SO_TYPE, &v, &len), EINVAL);
}

BOTH(short_value_to_set)
{
    int v = 1, fd = tcp(family);
    ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, 1), EINVAL);
    ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, 0), EINVAL);
    ERR(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, 2), EINVAL);
}

BOTH(negative_length_to_set)
{
    int v = 1;
    ERR(setsockopt(tcp(family), SOL_SOCKET, SO_REUSEADDR, &v, (socklen_t)-1), EINVAL);
}

BOTH(long_value_to_set)
{
    int v[4] = {1, 0, 0, 0}, fd = tcp(family);
    OK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, v, sizeof(v)));
    EQ(get_int(fd, SOL_SOCKET, SO_REUSEADDR), 1);
}

BOTH(bad_pointers)
{
    int fd = tcp(family), v;
    socklen_t len = sizeof(v);
    ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, bad_pointer, 4), EFAULT);
    ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, NULL, 4), EFAULT);
    ERR(getsockopt(fd, SOL_SOCKET, SO_TYPE, bad_pointer, &len), EFAULT);
    ERR(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, bad_pointer), EFAULT);
    ERR(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, NULL), EFAULT);
}

BOTH(unknown_options)
{
    int fd = tcp(family), v = 1;
    socklen_t len = sizeof(v);
    ERR(getsockopt(fd, SOL_SOCKET, 9999, &v, &len), ENOPROTOOPT);
    ERR(setsockopt(fd, SOL_SOCKET, 9999, &v, sizeof(v)), ENOPROTOOPT);
    ERR(getsockopt(fd, IPPROTO_TCP, 9999, &v, &len), ENOPROTOOPT);
    ERR(setsockopt(fd, IPPROTO_TCP, 9999, &v, sizeof(v)), ENOPROTOOPT);
}

BOTH(unknown_level)
{
    int fd = tcp(family), v = 1;
    socklen_t len = sizeof(v);
    ERR(getsockopt(fd, 4444, 1, &v, &len), family == AF_INET ? EOPNOTSUPP : ENOPROTOOPT);
    ERR(setsockopt(fd, 4444, 1, &v, sizeof(v)), ENOPROTOOPT);
}

BOTH(tcp_level_on_a_datagram_socket)
{
    int fd = udp(family), v = 1;
    socklen_t len = sizeof(v);
    ERR(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &len), family == AF_INET ? EOPNOTSUPP : ENOPROTOOPT);
    ERR(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)), ENOPROTOOPT);
}

CASE(not_a_socket)
{
    int p[2], v = 1;
    socklen_t len = sizeof(v);
    OK(pipe(p));
    ERR(getsockopt(p[0], SOL_SOCKET, SO_TYPE, &v, &len), ENOTSOCK);
    ERR(setsockopt(p[0], SOL_SOCKET, SO_REUSEADDR, &v, sizeof(v)), ENOTSOCK);
    ERR(getsockopt(-1, SOL_SOCKET, SO_TYPE, &v, &len), EBADF);
}

BOTH(buffers_are_doubled)
{
    int fd = tcp(family);
    set_int(fd, SOL_SOCKET, SO_RCVBUF, 50000);
    EQ(get_int(fd, SOL_SOCKET, SO_RCVBUF), 100000);
    set_int(fd, SOL_SOCKET, SO_SNDBUF, 60000);
    EQ(get_int(fd, SOL_SOCKET, SO_SNDBUF), 120000);
}

BOTH(buffers_have_a_least_size)
{
    int fd = tcp(family);
    set_int(fd, SOL_SOCKET, SO_RCVBUF, 0);
    RANGE(get_int(fd, SOL_SOCKET, SO_RCVBUF), 2048, 4096);
    set_int(fd, SOL_SOCKET, SO_SNDBUF, 0);
    RANGE(get_int(fd, SOL_SOCKET, SO_SNDBUF), 4096, 8192);
}

BOTH(buffers_at_first)
{
    int fd = tcp(family);
    EQ(get_int(fd, SOL_SOCKET, SO_RCVBUF), 131072);
    EQ(get_int(fd, SOL_SOCKET, SO_SNDBUF), 16384);
}

BOTH(buffers_of_a_connection_are_larger)
{
    struct pair p = tcp_pair(family);
    RANGE(get_int(p.client, SOL_SOCKET, SO_SNDBUF), 40000, 4194304); /* ten segments at least */
    RANGE(get_int(p.server, SOL_SOCKET, SO_SNDBUF), 40000, 4194304);
    EQ(get_int(p.server, SOL_SOCKET, SO_RCVBUF), 131072);
}

BOTH(receive_buffer_grows_with_what_is_read)
{
    struct pair p = tcp_pair(family);
    static char data[65536];
    set_nonblocking(p.client);
    for (int i = 0; i < 2000 && get_int(p.server, SOL_SOCKET, SO_RCVBUF) == 131072; i++) {
        while (send(p.client, data, sizeof(data), 0) > 0)
            continue;
        while (recv(p.server, data, sizeof(data), MSG_DONTWAIT) > 0)
            continue;
        usleep(100);
    }
    RANGE(get_int(p.server, SOL_SOCKET, SO_RCVBUF), 131073, 64 << 20);
}

BOTH(buffers_that_are_set_do_not_grow)
{
    struct addr at;
    static char data[65536];
    int l = listener(family, 1, &at), c = tcp(family);
    set_int(l, SOL_SOCKET, SO_RCVBUF, 40000);
    set_int(c, SOL_SOCKET, SO_SNDBUF, 30000);
    OK(connect(c, &at.sa, at.len));
    int s = (int)OK(accept(l, NULL, NULL));
    set_nonblocking(c);
    for (int i = 0; i < 200; i++) {
        while (send(c, data, sizeof(data), 0) > 0)
            continue;
        while (recv(s, data, sizeof(data), MSG_DONTWAIT) > 0)
            continue;
    }
    EQ(get_int(s, SOL_SOCKET, SO_RCVBUF), 80000);
    EQ(get_int(c, SOL_SOCKET, SO_SNDBUF), 60000);
}

BOTH(not_sent_low_water_mark_bounds_writes)
{
    struct addr at;
    struct pair p;
    int l = listener(family, 1, &at);
    set_int(l, SOL_SOCKET, SO_RCVBUF, 20000);
    p.client = tcp(family);
    OK(connect(p.client, &at.sa, at.len));
    p.server = (int)OK(accept(l, NULL, NULL));
    EQ(get_int(p.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 0);
    set_int(p.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 30000);
    EQ(get_int(p.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 30000);
    size_t taken = fill(p.client);
    RANGE(taken, 30000, 30000 + 20000 + 2 * 65536);
    EQ(events_of(p.client, POLLOUT, 0), 0);
    set_int(p.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1 << 20);
    EQ(events_of(p.client, POLLOUT, LONG_MS), POLLOUT);
    RANGE(fill(p.client), 200000, 64 << 20);
}

BOTH(small_buffers_still_carry_everything)
{
    struct addr at;
    static unsigned char data[200000], got[200000];
    int l = listener(family, 1, &at), c = tcp(family);
    set_int(l, SOL_SOCKET, SO_RCVBUF, 4096);
    set_int(c, SOL_SOCKET, SO_SNDBUF, 4096);
    OK(connect(c, &at.sa, at.len));
    int s = (int)OK(accept(l, NULL, NULL));
    size_t sent = 0, have = 0;
    pattern(data, sizeof(data), 3);
    set_nonblocking(c);
    while (have < sizeof(data)) {
        ssize_t n = sent < sizeof(data) ? send(c, data + sent, sizeof(data) - sent, 0) : 0;
        sent += n > 0 ? (size_t)n : 0;
        if (events_of(s, POLLIN, 500) == 0)
            continue;
        n = OK(recv(s, got + have, sizeof(got) - have, 0));
        have += (size_t)n;
    }
    EQ(memcmp(data, got, sizeof(data)), 0);
}

BOTH(send_buffer_bounds_what_is_taken)
{
    struct addr at;
    int l = listener(family, 1, &at), c = tcp(family);
    set_int(l, SOL_SOCKET, SO_RCVBUF, 20000);
    set_int(c, SOL_SOCKET, SO_SNDBUF, 20000);
    OK(connect(c, &at.sa, at.len));
    OK(accept(l, NULL, NULL));
    RANGE(fill(c), 4000, 400000);
}

BOTH(linger)
{
    int fd = tcp(family);
    struct linger l = {9, 9};
    socklen_t len = sizeof(l);
    OK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
    EQ(len, sizeof(l));
    EQ(l.l_onoff, 0);
    l = (struct linger){5, 12};
    OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
    OK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
    EQ(l.l_onoff, 1);
    EQ(l.l_linger, 12);
    ERR(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 4), EINVAL);
}

BOTH(receive_low_water_mark)
{
    struct pair p = tcp_pair(family);
    EQ(get_int(p.server, SOL_SOCKET, SO_RCVLOWAT), 1);
    set_int(p.server, SOL_SOCKET, SO_RCVLOWAT, 5);
    EQ(get_int(p.server, SOL_SOCKET, SO_RCVLOWAT), 5);
    send_all(p.client, "abc", 3);
    EQ(events_of(p.server, POLLIN, 2 * SHORT_MS), 0);
    send_all(p.client, "de", 2);
    EQ(events_of(p.server, POLLIN, LONG_MS), POLLIN);
}

BOTH(receive_low_water_mark_of_zero_is_one)
{
    int fd = tcp(family), v = -1;
    set_int(fd, SOL_SOCKET, SO_RCVLOWAT, 0);
    EQ(get_int(fd, SOL_SOCKET, SO_RCVLOWAT), 1);
    OK(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof(v)));
    RANGE(get_int(fd, SOL_SOCKET, SO_RCVLOWAT), 65536, INT_MAX); /* as much as the buffer can ever hold */
}

BOTH(send_low_water_mark_is_fixed)
{
    int fd = tcp(family), v = 5;
    EQ(get_int(fd, SOL_SOCKET, SO_SNDLOWAT), 1);
    ERR(setsockopt(fd, SOL_SOCKET, SO_SNDLOWAT, &v, sizeof(v)), ENOPROTOOPT);
}

BOTH(nodelay)
{
    int fd = tcp(family);
    EQ(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 5);
    EQ(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 0);
    EQ(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 0);
}

BOTH(keepalive_times)
{
    int fd = tcp(family);
    EQ(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE), 7200);
    EQ(get_int(fd, IPPROTO_TCP, TCP_KEEPINTVL), 75);
    EQ(get_int(fd, IPPROTO_TCP, TCP_KEEPCNT), 9);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 4);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 2);
    EQ(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    EQ(get_int(fd, IPPROTO_TCP, TCP_KEEPINTVL), 4);
    EQ(get_int(fd, IPPROTO_TCP, TCP_KEEPCNT), 2);
}

BOTH(keepalive_ranges)
{
    int fd = tcp(family), v[] = {0, 32768, -1};
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        ERR(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v[i], sizeof(int)), EINVAL);
        ERR(setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &v[i], sizeof(int)), EINVAL);
    }
    int many = 128, none = 0;
    ERR(setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &many, sizeof(int)), EINVAL);
    ERR(setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &none, sizeof(int)), EINVAL);
}

BOTH(maxseg)
{
    int fd = tcp(family);
    EQ(get_int(fd, IPPROTO_TCP, TCP_MAXSEG), 536);
    struct pair p = tcp_pair(family);
    RANGE(get_int(p.client, IPPROTO_TCP, TCP_MAXSEG), 536, 65535);
    int low = 10;
    ERR(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &low, sizeof(low)), EINVAL);
    set_int(fd, IPPROTO_TCP, TCP_MAXSEG, 1000);
}

CASE(ttl)
{
    int fd = tcp(AF_INET), v = 0;
    EQ(get_int(fd, IPPROTO_IP, IP_TTL), 64);
    set_int(fd, IPPROTO_IP, IP_TTL, 9);
    EQ(get_int(fd, IPPROTO_IP, IP_TTL), 9);
    set_int(fd, IPPROTO_IP, IP_TTL, -1);
    EQ(get_int(fd, IPPROTO_IP, IP_TTL), 64);
    ERR(setsockopt(fd, IPPROTO_IP, IP_TTL, &v, sizeof(v)), EINVAL);
    v = 256;
    ERR(setsockopt(fd, IPPROTO_IP, IP_TTL, &v, sizeof(v)), EINVAL);
}

CASE(ttl_in_one_byte)
{
    int fd = udp(AF_INET);
    unsigned char v = 17;
    socklen_t len = 1;
    OK(setsockopt(fd, IPPROTO_IP, IP_TTL, &v, 1));
    EQ(get_int(fd, IPPROTO_IP, IP_TTL), 17);
    v = 0;
    OK(getsockopt(fd, IPPROTO_IP, IP_TTL, &v, &len));
    EQ(len, 1);
    EQ(v, 17);
}

CASE(tos)
{
    int fd = udp(AF_INET);
    EQ(get_int(fd, IPPROTO_IP, IP_TOS), 0);
    set_int(fd, IPPROTO_IP, IP_TOS, 0x48);
    EQ(get_int(fd, IPPROTO_IP, IP_TOS), 0x48);
}

CASE(hop_limit_and_traffic_class)
{
    int fd = tcp(AF_INET6), v = 256;
    EQ(get_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 64);
    set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5);
    EQ(get_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 5);
    set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1);
    EQ(get_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 64);
    ERR(setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &v, sizeof(v)), EINVAL);
    EQ(get_int(fd, IPPROTO_IPV6, IPV6_TCLASS), 0);
    set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
    EQ(get_int(fd, IPPROTO_IPV6, IPV6_TCLASS), 0x20);
    ERR(setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &v, sizeof(v)), EINVAL);
}

CASE(v6_level_on_a_v4_socket)
{
    int fd = tcp(AF_INET), v = 1;
    socklen_t len = sizeof(v);
    ERR(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)), ENOPROTOOPT);
    ERR(getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v, &len), EOPNOTSUPP);
}

BOTH(so_error_is_clean)
{
    struct pair p = tcp_pair(family);
    EQ(get_int(p.client, SOL_SOCKET, SO_ERROR), 0);
}

BOTH(so_error_after_a_reset_once)
{
    struct pair p = tcp_pair(family);
    char c;
    reset(p.server);
    wait_for(p.client, POLLERR);
    EQ(get_int(p.client, SOL_SOCKET, SO_ERROR), ECONNRESET);
    EQ(get_int(p.client, SOL_SOCKET, SO_ERROR), 0);
    EQ(recv(p.client, &c, 1, 0), 0);
    ERR(send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
}

BOTH(options_survive_connect)
{
    struct addr at;
    int fd = tcp(family);
    listener(family, 1, &at);
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    OK(connect(fd, &at.sa, at.len));
    EQ(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    EQ(get_int(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
}

BOTH(keepalive_on_an_idle_connection_keeps_it)
{
    struct pair p = tcp_pair(family);
    char c;
    set_int(p.client, IPPROTO_TCP, TCP_KEEPIDLE, 1);
    set_int(p.client, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set_int(p.client, SOL_SOCKET, SO_KEEPALIVE, 1);
    sleep_ms(1300);
    EQ(events_of(p.client, POLLIN | POLLOUT, 0), POLLOUT);
    EQ(events_of(p.server, POLLIN | POLLOUT, 0), POLLOUT);
    send_all(p.client, "x", 1);
    recv_all(p.server, &c, 1);
}

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

BOTH(meminfo)
{
    struct pair p = tcp_pair(family);
    uint32_t vars[12] = {0};
    socklen_t len = sizeof(vars);
    OK(getsockopt(p.server, SOL_SOCKET, SO_MEMINFO, vars, &len));
    EQ(len, 36);
    EQ(vars[0], 0);
    EQ(vars[1], get_int(p.server, SOL_SOCKET, SO_RCVBUF));
    EQ(vars[3], get_int(p.server, SOL_SOCKET, SO_SNDBUF));
    EQ(vars[5], 0);
    send_all(p.client, "abc", 3);
    wait_for(p.server, POLLIN);
    OK(getsockopt(p.server, SOL_SOCKET, SO_MEMINFO, vars, &len));
    TRUE(vars[0] >= 3);
    len = 8;
    vars[2] = 77;
    OK(getsockopt(p.server, SOL_SOCKET, SO_MEMINFO, vars, &len));
    EQ(len, 8);
    EQ(vars[2], 77);
    ERR(setsockopt(p.server, SOL_SOCKET, SO_MEMINFO, vars, sizeof(vars)), ENOPROTOOPT);
}
