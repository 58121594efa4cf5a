/* Datagrams. */
#include "harness.h"

BOTH(there_and_back)
{
    struct addr a, b, from;
    char got[16];
    int x = bound_udp(family, &a), y = bound_udp(family, &b);
    EQ(sendto(x, "ping", 4, 0, &b.sa, b.len), 4);
    from.len = sizeof(from.ss);
    EQ(recvfrom(y, got, sizeof(got), 0, &from.sa, &from.len), 4);
    EQ(from.len, a.len);
    TRUE(same_addr(&from, &a));
    EQ(sendto(y, "pong!", 5, 0, &from.sa, from.len), 5);
    EQ(recv(x, got, sizeof(got), 0), 5);
    EQ(memcmp(got, "pong!", 5), 0);
}

BOTH(boundaries_are_kept)
{
    struct pair p = udp_pair(family);
    char got[16];
    EQ(send(p.client, "a", 1, 0), 1);
    EQ(send(p.client, "bcd", 3, 0), 3);
    EQ(write(p.client, "ef", 2), 2);
    EQ(read(p.server, got, sizeof(got)), 1);
    EQ(recv(p.server, got, sizeof(got), 0), 3);
    EQ(recv(p.server, got, sizeof(got), 0), 2);
}

BOTH(writev_is_one_datagram)
{
    struct pair p = udp_pair(family);
    struct iovec v[2] = {{"one", 3}, {"two", 3}};
    char got[16];
    EQ(writev(p.client, v, 2), 6);
    EQ(recv(p.server, got, sizeof(got), 0), 6);
    EQ(memcmp(got, "onetwo", 6), 0);
}

BOTH(empty_datagram)
{
    struct pair p = udp_pair(family);
    char got[4];
    EQ(send(p.client, "", 0, 0), 0);
    EQ(events_of(p.server, POLLIN, LONG_MS), POLLIN);
    EQ(recv(p.server, got, sizeof(got), 0), 0);
    ERR(recv(p.server, got, sizeof(got), MSG_DONTWAIT), EAGAIN);
}

BOTH(the_rest_is_lost)
{
    struct pair p = udp_pair(family);
    char got[4];
    EQ(send(p.client, "12345678", 8, 0), 8);
    EQ(send(p.client, "9", 1, 0), 1);
    EQ(recv(p.server, got, 4, 0), 4);
    EQ(recv(p.server, got, 4, 0), 1);
    EQ(got[0], '9');
}

BOTH(trunc_returns_the_real_length)
{
    struct pair p = udp_pair(family);
    char got[4];
    EQ(send(p.client, "12345678", 8, 0), 8);
    EQ(recv(p.server, got, 4, MSG_PEEK | MSG_TRUNC), 8);
    EQ(recv(p.server, got, 4, MSG_TRUNC), 8);
}

BOTH(peek)
{
    struct pair p = udp_pair(family);
    char got[8];
    EQ(send(p.client, "abc", 3, 0), 3);
    EQ(recv(p.server, got, 8, MSG_PEEK), 3);
    EQ(recv(p.server, got, 8, 0), 3);
    ERR(recv(p.server, got, 8, MSG_DONTWAIT), EAGAIN);
}

BOTH(largest)
{
    struct pair p = udp_pair(family);
    int most = family == AF_INET ? 65507 : 65527;
    static unsigned char data[70000], got[70000];
    pattern(data, sizeof(data), 4);
    EQ(send(p.client, data, (size_t)most, 0), most);
    EQ(recv(p.server, got, sizeof(got), 0), most);
    EQ(memcmp(data, got, (size_t)most), 0);
    ERR(send(p.client, data, (size_t)most + 1, 0), EMSGSIZE);
    ERR(send(p.client, data, 70000, 0), EMSGSIZE);
}

BOTH(no_destination)
{
    ERR(send(udp(family), "x", 1, 0), EDESTADDRREQ);
    ERR(write(udp(family), "x", 1), EDESTADDRREQ);
}

BOTH(port_zero)
{
    struct addr a = loopback(family, 0);
    ERR(sendto(udp(family), "x", 1, 0, &a.sa, a.len), EINVAL);
}

BOTH(listen_and_accept)
{
    int fd = udp(family);
    ERR(listen(fd, 1), EOPNOTSUPP);
    ERR(accept(fd, NULL, NULL), EOPNOTSUPP);
}

BOTH(first_send_binds)
{
    struct addr a, mine;
    bound_udp(family, &a);
    int fd = udp(family);
    EQ(sendto(fd, "x", 1, 0, &a.sa, a.len), 1);
    mine = local_of(fd);
    struct addr any = wildcard(family, port_of(&mine));
    TRUE(port_of(&mine) != 0);
    TRUE(same_addr(&mine, &any));
}

BOTH(connect_chooses_the_source)
{
    struct addr a, mine, peer;
    bound_udp(family, &a);
    int fd = udp(family);
    OK(connect(fd, &a.sa, a.len));
    mine = local_of(fd);
    struct addr lo = loopback(family, port_of(&mine));
    TRUE(port_of(&mine) != 0);
    TRUE(same_addr(&mine, &lo));
    peer = peer_of(fd);
    TRUE(same_addr(&peer, &a));
}

BOTH(connected_drops_other_peers)
{
    struct addr a, b, c;
    char got[4];
    int x = bound_udp(family, &a), y = bound_udp(family, &b), z = bound_udp(family, &c);
    OK(connect(x, &b.sa, b.len));
    EQ(sendto(z, "z", 1, 0, &a.sa, a.len), 1);
    EQ(sendto(y, "y", 1, 0, &a.sa, a.len), 1);
    EQ(recv(x, got, 4, 0), 1);
    EQ(got[0], 'y');
    ERR(recv(x, got, 4, MSG_DONTWAIT), EAGAIN);
}

BOTH(queued_before_connect_stays_readable)
{
    struct addr a, b, c;
    char got[4];
    int x = bound_udp(family, &a), z = bound_udp(family, &c);
    bound_udp(family, &b);
    EQ(sendto(z, "z", 1, 0, &a.sa, a.len), 1);
    wait_for(x, POLLIN);
    OK(connect(x, &b.sa, b.len));
    EQ(recv(x, got, 4, 0), 1);
}

BOTH(reconnect_changes_the_peer)
{
    struct addr b, c;
    char got[4];
    int x = udp(family), y = bound_udp(family, &b), z = bound_udp(family, &c);
    OK(connect(x, &b.sa, b.len));
    EQ(send(x, "1", 1, 0), 1);
    OK(connect(x, &c.sa, c.len));
    EQ(send(x, "2", 1, 0), 1);
    EQ(recv(y, got, 4, 0), 1);
    EQ(recv(z, got, 4, 0), 1);
    EQ(got[0], '2');
}

BOTH(disconnect)
{
    struct addr a = loopback(family, free_port(family)), b, name;
    struct sockaddr none = {AF_UNSPEC, {0}};
    int x = udp(family);
    OK(bind(x, &a.sa, a.len));
    bound_udp(family, &b);
    OK(connect(x, &b.sa, b.len));
    OK(connect(x, &none, sizeof(none)));
    name.len = sizeof(name.ss);
    ERR(getpeername(x, &name.sa, &name.len), ENOTCONN);
    ERR(send(x, "x", 1, 0), EDESTADDRREQ);
    name = local_of(x);
    TRUE(same_addr(&name, &a)); /* what was asked for stays bound */
}

BOTH(disconnect_gives_a_chosen_port_back)
{
    struct addr b, name, any = wildcard(family, 0);
    struct sockaddr none = {AF_UNSPEC, {0}};
    int x = udp(family);
    bound_udp(family, &b);
    OK(connect(x, &b.sa, b.len));
    OK(connect(x, &none, sizeof(none)));
    name = local_of(x);
    TRUE(same_addr(&name, &any));
}

BOTH(connected_sendto_elsewhere)
{
    struct addr b, c;
    char got[4];
    int x = udp(family), z = bound_udp(family, &c);
    bound_udp(family, &b);
    OK(connect(x, &b.sa, b.len));
    EQ(sendto(x, "e", 1, 0, &c.sa, c.len), 1);
    EQ(recv(z, got, 4, 0), 1);
}

BOTH(closed_port_reports_to_the_connected)
{
    struct addr a;
    char c;
    int dead = bound_udp(family, &a), fd = udp(family);
    OK(close(dead));
    OK(connect(fd, &a.sa, a.len));
    EQ(send(fd, "x", 1, 0), 1);
    wait_for(fd, POLLERR);
    ERR(recv(fd, &c, 1, MSG_DONTWAIT), ECONNREFUSED);
    ERR(recv(fd, &c, 1, MSG_DONTWAIT), EAGAIN);
}

BOTH(closed_port_reports_at_the_next_send)
{
    struct addr a;
    int dead = bound_udp(family, &a), fd = udp(family);
    OK(close(dead));
    OK(connect(fd, &a.sa, a.len));
    EQ(send(fd, "x", 1, 0), 1);
    wait_for(fd, POLLERR);
    ERR(send(fd, "x", 1, 0), ECONNREFUSED);
    EQ(send(fd, "x", 1, 0), 1);
}

BOTH(closed_port_in_so_error)
{
    struct addr a;
    int dead = bound_udp(family, &a), fd = udp(family);
    OK(close(dead));
    OK(connect(fd, &a.sa, a.len));
    EQ(send(fd, "x", 1, 0), 1);
    wait_for(fd, POLLERR);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
}

BOTH(closed_port_is_silent_to_the_unconnected)
{
    struct addr a;
    char c;
    int dead = bound_udp(family, &a), fd = udp(family);
    OK(close(dead));
    EQ(sendto(fd, "x", 1, 0, &a.sa, a.len), 1);
    EQ(events_of(fd, POLLIN, SHORT_MS), 0);
    ERR(recv(fd, &c, 1, MSG_DONTWAIT), EAGAIN);
}

BOTH(to_oneself)
{
    struct addr a;
    char got[8];
    int fd = bound_udp(family, &a);
    OK(connect(fd, &a.sa, a.len));
    EQ(send(fd, "self", 4, 0), 4);
    EQ(recv(fd, got, 8, 0), 4);
}

BOTH(full_queue_drops_silently)
{
    struct pair p = udp_pair(family);
    static char data[1000];
    int got = 0;
    set_int(p.server, SOL_SOCKET, SO_RCVBUF, 20000);
    for (int i = 0; i < 200; i++)
        EQ(send(p.client, data, sizeof(data), 0), 1000);
    set_nonblocking(p.server);
    while (recv(p.server, data, sizeof(data), 0) == 1000)
        got++;
    RANGE(got, 5, 60);
    EQ(send(p.client, "z", 1, 0), 1);
    EQ(events_of(p.server, POLLIN, LONG_MS), POLLIN);
    EQ(recv(p.server, data, sizeof(data), 0), 1);
}

BOTH(fionread_is_the_first_datagram)
{
    struct pair p = udp_pair(family);
    int n = -1;
    OK(ioctl(p.server, FIONREAD, &n));
    EQ(n, 0);
    EQ(send(p.client, "12345", 5, 0), 5);
    EQ(send(p.client, "123", 3, 0), 3);
    wait_for(p.server, POLLIN);
    OK(ioctl(p.server, FIONREAD, &n));
    EQ(n, 5);
}

CASE(broadcast_needs_the_option)
{
    struct addr a = ipv4("127.255.255.255", 9);
    int fd = udp(AF_INET);
    ERR(connect(fd, &a.sa, a.len), EACCES);
    ERR(sendto(fd, "x", 1, 0, &a.sa, a.len), EACCES);
    set_int(fd, SOL_SOCKET, SO_BROADCAST, 1);
    OK(connect(fd, &a.sa, a.len));
    EQ(send(fd, "x", 1, 0), 1);
}

CASE(v6_destination_on_a_v4_socket)
{
    struct addr a = ipv6("::1", 9);
    ERR(sendto(udp(AF_INET), "x", 1, 0, &a.sa, a.len), EAFNOSUPPORT);
}

BOTH(short_address)
{
    struct addr a = loopback(family, 9);
    ERR(sendto(udp(family), "x", 1, 0, &a.sa, 4), EINVAL);
}

BOTH(wildcard_means_loopback)
{
    struct addr a, any;
    char got[4];
    int y = bound_udp(family, &a), x = udp(family);
    any = wildcard(family, port_of(&a));
    EQ(sendto(x, "w", 1, 0, &any.sa, any.len), 1);
    EQ(recv(y, got, 4, 0), 1);
}

BOTH(wildcard_socket_receives)
{
    struct addr a = wildcard(family, 0), to, from;
    char got[4];
    int y = udp(family), x = udp(family);
    OK(bind(y, &a.sa, a.len));
    to = local_of(y);
    to = loopback(family, port_of(&to));
    EQ(sendto(x, "w", 1, 0, &to.sa, to.len), 1);
    from.len = sizeof(from.ss);
    EQ(recvfrom(y, got, 4, 0, &from.sa, &from.len), 1);
    struct addr mine = local_of(x);
    EQ(port_of(&from), port_of(&mine));
}

CASE(oob_is_refused)
{
    struct pair p = udp_pair(family); /* on IPv4; IPv6 sends it as if it had not been asked */
    ERR(send(p.client, "x", 1, MSG_OOB), EOPNOTSUPP);
}

BOTH(waitall_means_nothing)
{
    struct addr a;
    char got[4];
    int y = bound_udp(family, &a), x = udp(family);
    EQ(sendto(x, "x", 1, 0, &a.sa, a.len), 1);
    EQ(recv(y, got, 4, MSG_WAITALL), 1);
}

BOTH(close_discards)
{
    struct addr a;
    int y = bound_udp(family, &a), x = udp(family);
    EQ(sendto(x, "x", 1, 0, &a.sa, a.len), 1);
    OK(close(y));
    y = udp(family);
    OK(bind(y, &a.sa, a.len));
    EQ(events_of(y, POLLIN, SHORT_MS), 0);
}

BOTH(thousand_datagrams_in_order)
{
    struct pair p = udp_pair(family);
    for (int i = 0; i < 1000; i++) {
        int got = -1;
        EQ(send(p.client, &i, sizeof(i), 0), sizeof(i));
        EQ(recv(p.server, &got, sizeof(got), 0), sizeof(got));
        EQ(got, i);
    }
}

/* inet_dgram_connect, inet_send_prepare: the port comes before anybody looks at the address. */
CASE(a_port_comes_with_the_first_attempt)
{
    struct addr wrong = loopback(AF_INET6, 9), got;
    int fd = udp(AF_INET);
    ERR(connect(fd, &wrong.sa, wrong.len), EAFNOSUPPORT);
    got = local_of(fd);
    TRUE(port_of(&got) != 0);
    fd = udp(AF_INET);
    ERR(sendto(fd, "x", 1, 0, &wrong.sa, wrong.len), EAFNOSUPPORT);
    got = local_of(fd);
    TRUE(port_of(&got) != 0);
    for (int i = 0; i < 2; i++) {
        fd = udp(AF_INET);
        ERR(send(fd, "x", 1, i ? MSG_OOB : 0), i ? EOPNOTSUPP : EDESTADDRREQ);
        got = local_of(fd);
        TRUE(port_of(&got) != 0);
    }
}
