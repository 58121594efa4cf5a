/* bind(2) and getsockname(2): addresses, ports, and who may share them. */
#include "harness.h"

BOTH(port_zero_takes_an_ephemeral_port)
{
    struct addr a = loopback(family, 0), got;
    int fd = tcp(family);
    OK(bind(fd, &a.sa, a.len));
    got = local_of(fd);
    EQ(got.len, a.len);
    EQ(got.sa.sa_family, family);
    TRUE(port_of(&got) >= 1024);
}

BOTH(unbound_name_is_the_wildcard)
{
    struct addr got = local_of(tcp(family)), want = wildcard(family, 0);
    EQ(got.len, want.len);
    TRUE(same_addr(&got, &want));
    got = local_of(udp(family));
    TRUE(same_addr(&got, &want));
}

BOTH(wildcard_keeps_the_wildcard)
{
    struct addr a = wildcard(family, 0), got;
    int fd = udp(family);
    OK(bind(fd, &a.sa, a.len));
    got = local_of(fd);
    a = wildcard(family, port_of(&got));
    TRUE(port_of(&got) != 0);
    TRUE(same_addr(&got, &a));
}

BOTH(second_bind)
{
    struct addr a = loopback(family, 0);
    int fd = tcp(family);
    OK(bind(fd, &a.sa, a.len));
    ERR(bind(fd, &a.sa, a.len), EINVAL);
}

BOTH(second_bind_udp)
{
    struct addr a = loopback(family, 0);
    int fd = udp(family);
    OK(bind(fd, &a.sa, a.len));
    ERR(bind(fd, &a.sa, a.len), EINVAL);
}

BOTH(foreign_address)
{
    struct addr a = family == AF_INET ? ipv4("203.0.113.7", 0) : ipv6("2001:db8::7", 0);
    ERR(bind(tcp(family), &a.sa, a.len), EADDRNOTAVAIL);
    ERR(bind(udp(family), &a.sa, a.len), EADDRNOTAVAIL);
}

CASE(all_of_127_is_local)
{
    struct addr a = ipv4("127.9.8.7", 0), got;
    int fd = tcp(AF_INET);
    OK(bind(fd, &a.sa, a.len));
    got = local_of(fd);
    EQ(got.v4.sin_addr.s_addr, a.v4.sin_addr.s_addr);
}

BOTH(taken_by_a_listener)
{
    struct addr at;
    listener(family, 1, &at);
    ERR(bind(tcp(family), &at.sa, at.len), EADDRINUSE);
}

BOTH(taken_by_a_bound_socket)
{
    struct addr a = loopback(family, 0);
    int fd = tcp(family);
    OK(bind(fd, &a.sa, a.len));
    a = local_of(fd);
    ERR(bind(tcp(family), &a.sa, a.len), EADDRINUSE);
}

BOTH(taken_udp)
{
    struct addr at;
    bound_udp(family, &at);
    ERR(bind(udp(family), &at.sa, at.len), EADDRINUSE);
}

BOTH(wildcard_conflicts_with_an_address)
{
    struct addr at, any;
    listener(family, 1, &at);
    any = wildcard(family, port_of(&at));
    ERR(bind(tcp(family), &any.sa, any.len), EADDRINUSE);
}

CASE(other_address_same_port)
{
    struct addr at;
    listener(AF_INET, 1, &at);
    struct addr other = ipv4("127.0.0.2", port_of(&at));
    OK(bind(tcp(AF_INET), &other.sa, other.len));
}

BOTH(tcp_and_udp_ports_are_apart)
{
    struct addr at;
    listener(family, 1, &at);
    OK(bind(udp(family), &at.sa, at.len));
}

BOTH(reuseaddr_does_not_share_with_a_listener)
{
    struct addr at;
    int fd = tcp(family);
    int l = listener(family, 1, &at);
    set_int(l, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    ERR(bind(fd, &at.sa, at.len), EADDRINUSE);
}

BOTH(reuseaddr_lets_two_bind_but_one_listen)
{
    struct addr a = loopback(family, 0);
    int one = tcp(family), two = tcp(family);
    set_int(one, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(two, SOL_SOCKET, SO_REUSEADDR, 1);
    OK(bind(one, &a.sa, a.len));
    a = local_of(one);
    OK(bind(two, &a.sa, a.len));
    OK(listen(one, 1));
    ERR(listen(two, 1), EADDRINUSE);
}

BOTH(reuseaddr_only_on_one)
{
    struct addr a = loopback(family, 0);
    int one = tcp(family), two = tcp(family);
    set_int(two, SOL_SOCKET, SO_REUSEADDR, 1);
    OK(bind(one, &a.sa, a.len));
    a = local_of(one);
    ERR(bind(two, &a.sa, a.len), EADDRINUSE);
}

BOTH(time_wait_needs_reuseaddr)
{
    struct addr at;
    char c;
    int l = listener(family, 1, &at);
    set_int(l, SOL_SOCKET, SO_REUSEADDR, 1); /* asked of the one who leaves the TIME_WAIT as well */
    struct pair p = pair_through(l, &at);
    OK(close(l));
    OK(close(p.server)); /* the active closer has the TIME_WAIT, on the listener's port */
    EQ(recv(p.client, &c, 1, 0), 0);
    OK(close(p.client));
    sleep_ms(SHORT_MS);
    ERR(bind(tcp(family), &at.sa, at.len), EADDRINUSE);
    int fd = tcp(family);
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    OK(bind(fd, &at.sa, at.len));
    OK(listen(fd, 1));
}

BOTH(time_wait_of_a_socket_without_reuseaddr)
{
    struct addr at;
    char c;
    int l = listener(family, 1, &at);
    struct pair p = pair_through(l, &at);
    OK(close(l));
    OK(close(p.server));
    EQ(recv(p.client, &c, 1, 0), 0);
    OK(close(p.client));
    sleep_ms(SHORT_MS);
    int fd = tcp(family);
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    ERR(bind(fd, &at.sa, at.len), EADDRINUSE);
}

/* Ends the connection so that `first` has the TIME_WAIT while its descriptor is still open. */
static void time_wait_before_close(int first, int second)
{
    char c;
    OK(shutdown(first, SHUT_WR));
    EQ(recv(second, &c, 1, 0), 0);
    OK(close(second));
    EQ(recv(first, &c, 1, 0), 0);
    sleep_ms(SHORT_MS);
}

BOTH(time_wait_that_began_before_the_close)
{
    struct addr at;
    int l = listener(family, 1, &at);
    set_int(l, SOL_SOCKET, SO_REUSEADDR, 1);
    struct pair p = pair_through(l, &at);
    OK(close(l));
    time_wait_before_close(p.server, p.client);
    ERR(bind(tcp(family), &at.sa, at.len), EADDRINUSE);
    OK(close(p.server));
    ERR(bind(tcp(family), &at.sa, at.len), EADDRINUSE);
    int fd = tcp(family);
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    OK(bind(fd, &at.sa, at.len));
}

BOTH(time_wait_of_a_client_that_chose_no_port)
{
    struct pair p = tcp_pair(family);
    struct addr at = local_of(p.client);
    time_wait_before_close(p.client, p.server);
    ERR(bind(tcp(family), &at.sa, at.len), EADDRINUSE);
    OK(close(p.client));
    ERR(bind(tcp(family), &at.sa, at.len), EADDRINUSE);
    /* Linux: inet_csk_find_open_port and inet_hash_connect look at the address too. */
    struct addr other = family == AF_INET ? ipv4("127.0.0.2", port_of(&at)) : wildcard(family, 0);
    OK(bind(tcp(family), &other.sa, other.len));
}

BOTH(time_wait_of_a_bound_client_that_connects_again)
{
    struct addr a = loopback(family, 0), at;
    int fd = tcp(family), l = listener(family, 2, &at);
    OK(bind(fd, &a.sa, a.len));
    a = local_of(fd);
    OK(connect(fd, &at.sa, at.len));
    time_wait_before_close(fd, OK(accept(l, NULL, NULL)));
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    OK(connect(fd, &nowhere, sizeof(nowhere)));
    ERR(bind(tcp(family), &a.sa, a.len), EADDRINUSE);
    OK(close(fd));
    ERR(bind(tcp(family), &a.sa, a.len), EADDRINUSE);
}

BOTH(no_time_wait_for_the_passive_closer)
{
    struct addr at;
    char c;
    int l = listener(family, 1, &at);
    struct pair p = pair_through(l, &at);
    OK(close(l));
    OK(close(p.client));
    EQ(recv(p.server, &c, 1, 0), 0);
    OK(close(p.server));
    sleep_ms(SHORT_MS);
    OK(bind(tcp(family), &at.sa, at.len));
}

BOTH(reuseport_needs_both)
{
    struct addr a = loopback(family, 0);
    int one = tcp(family), two = tcp(family), three = tcp(family);
    set_int(one, SOL_SOCKET, SO_REUSEPORT, 1);
    set_int(two, SOL_SOCKET, SO_REUSEPORT, 1);
    OK(bind(one, &a.sa, a.len));
    a = local_of(one);
    OK(bind(two, &a.sa, a.len));
    OK(listen(one, 4));
    OK(listen(two, 4));
    ERR(bind(three, &a.sa, a.len), EADDRINUSE);
}

BOTH(reuseport_spreads_connections)
{
    struct addr a = loopback(family, 0);
    int l[2] = {tcp(family), tcp(family)}, got[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        set_int(l[i], SOL_SOCKET, SO_REUSEPORT, 1);
        OK(bind(l[i], &a.sa, a.len));
        a = local_of(l[i]);
        OK(listen(l[i], 128));
    }
    for (int i = 0; i < 64; i++) {
        int c = tcp(family);
        OK(connect(c, &a.sa, a.len));
    }
    for (int i = 0; i < 2; i++) {
        set_nonblocking(l[i]);
        while (accept(l[i], NULL, NULL) >= 0)
            got[i]++;
    }
    EQ(got[0] + got[1], 64);
    TRUE(got[0] > 0 && got[1] > 0);
}

BOTH(reuseaddr_shares_udp)
{
    struct addr at;
    int one = udp(family), two = udp(family);
    struct addr a = loopback(family, 0);
    set_int(one, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(two, SOL_SOCKET, SO_REUSEADDR, 1);
    OK(bind(one, &a.sa, a.len));
    at = local_of(one);
    OK(bind(two, &at.sa, at.len));
}

BOTH(closed_port_is_free_again)
{
    struct addr at;
    int fd = listener(family, 1, &at);
    OK(close(fd));
    OK(bind(tcp(family), &at.sa, at.len));
}

BOTH(ephemeral_ports_do_not_repeat)
{
    static bool seen[65536];
    struct addr a = loopback(family, 0);
    for (int i = 0; i < 300; i++) {
        int fd = tcp(family);
        OK(bind(fd, &a.sa, a.len));
        struct addr got = local_of(fd);
        TRUE(!seen[port_of(&got)]);
        seen[port_of(&got)] = true;
    }
}

BOTH(privileged_port)
{
    struct addr a = loopback(family, 80);
    OK(bind(tcp(family), &a.sa, a.len));
    if (geteuid() != 0 || seteuid(65534) != 0)
        skip("needs root to drop root");
    a = loopback(family, 81);
    ERR(bind(tcp(family), &a.sa, a.len), EACCES);
}

BOTH(after_connect_is_too_late)
{
    struct pair p = tcp_pair(family);
    struct addr a = loopback(family, 0);
    ERR(bind(p.client, &a.sa, a.len), EINVAL);
}

BOTH(listener_cannot_be_bound_again)
{
    struct addr at;
    int fd = listener(family, 1, &at);
    ERR(bind(fd, &at.sa, at.len), EINVAL);
}

BOTH(bound_client_keeps_its_port)
{
    struct addr at, mine = loopback(family, 0), got;
    int l = listener(family, 1, &at);
    int fd = tcp(family);
    OK(bind(fd, &mine.sa, mine.len));
    mine = local_of(fd);
    OK(connect(fd, &at.sa, at.len));
    got = peer_of((int)OK(accept(l, NULL, NULL)));
    TRUE(same_addr(&got, &mine));
}

CASE(bound_client_address_is_its_source)
{
    struct addr at, mine = ipv4("127.0.0.9", 0), got;
    int l = listener(AF_INET, 1, &at);
    int fd = tcp(AF_INET);
    OK(bind(fd, &mine.sa, mine.len));
    OK(connect(fd, &at.sa, at.len));
    got = peer_of((int)OK(accept(l, NULL, NULL)));
    EQ(got.v4.sin_addr.s_addr, mine.v4.sin_addr.s_addr);
}

BOTH(getsockname_truncates_to_the_callers_length)
{
    struct addr at;
    int fd = bound_udp(family, &at);
    unsigned char buffer[64];
    socklen_t len = 4;
    memset(buffer, 0xee, sizeof(buffer));
    OK(getsockname(fd, (struct sockaddr *)buffer, &len));
    EQ(len, at.len);
    EQ(memcmp(buffer, &at.ss, 4), 0);
    EQ(buffer[4], 0xee);
}

BOTH(getsockname_refuses_a_negative_length)
{
    struct addr at;
    int fd = bound_udp(family, &at);
    socklen_t len = (socklen_t)-1;
    ERR(getsockname(fd, &at.sa, &len), EINVAL);
}

BOTH(getsockname_after_connect)
{
    struct pair p = tcp_pair(family);
    struct addr mine = local_of(p.client), seen = peer_of(p.server), lo = loopback(family, 0);
    TRUE(same_addr(&mine, &seen));
    lo = loopback(family, port_of(&mine));
    TRUE(same_addr(&mine, &lo));
}

BOTH(getpeername_unconnected)
{
    struct addr a;
    a.len = sizeof(a.ss);
    ERR(getpeername(tcp(family), &a.sa, &a.len), ENOTCONN);
    ERR(getpeername(udp(family), &a.sa, &a.len), ENOTCONN);
}
