/* connect(2): success, refusal, addresses that can't be, and what is left after a failure. */
#include "harness.h"

static struct addr closed(int family) { return loopback(family, free_port(family)); }

BOTH(refused)
{
    struct addr a = closed(family);
    ERR(connect(tcp(family), &a.sa, a.len), ECONNREFUSED);
}

BOTH(refused_socket_can_connect_again)
{
    struct addr a = closed(family), at;
    int fd = tcp(family);
    ERR(connect(fd, &a.sa, a.len), ECONNREFUSED);
    listener(family, 1, &at);
    OK(connect(fd, &at.sa, at.len));
}

BOTH(twice)
{
    struct addr at;
    int l = listener(family, 2, &at);
    struct pair p = pair_through(l, &at);
    ERR(connect(p.client, &at.sa, at.len), EISCONN);
    ERR(connect(p.server, &at.sa, at.len), EISCONN);
}

BOTH(names_of_both_ends)
{
    struct addr at;
    int l = listener(family, 1, &at);
    struct pair p = pair_through(l, &at);
    struct addr peer = peer_of(p.client), mine = local_of(p.client), theirs = peer_of(p.server);
    TRUE(same_addr(&peer, &at));
    TRUE(same_addr(&mine, &theirs));
}

BOTH(wildcard_reaches_loopback)
{
    struct addr at, a, got, want;
    int l = tcp(family);
    a = wildcard(family, 0);
    OK(bind(l, &a.sa, a.len));
    OK(listen(l, 1));
    at = local_of(l);
    int fd = tcp(family);
    OK(connect(fd, &at.sa, at.len));
    got = peer_of(fd);
    want = loopback(family, port_of(&at));
    TRUE(same_addr(&got, &want));
}

BOTH(wildcard_refused)
{
    struct addr a = wildcard(family, free_port(family));
    ERR(connect(tcp(family), &a.sa, a.len), ECONNREFUSED);
}

CASE(mapped_wildcard_reaches_loopback)
{
    struct addr at, a;
    listener(AF_INET, 1, &at);
    a = ipv6("::ffff:0.0.0.0", port_of(&at));
    OK(connect(tcp(AF_INET6), &a.sa, a.len));
}

CASE(v6_address_on_v4_socket)
{
    struct addr a = ipv6("::1", 9);
    ERR(connect(tcp(AF_INET), &a.sa, a.len), EAFNOSUPPORT);
}

CASE(v4_address_on_v6_socket)
{
    struct addr a = ipv4("127.0.0.1", 9);
    ERR(connect(tcp(AF_INET6), &a.sa, a.len), EINVAL);
}

CASE(v4_address_with_room_on_v6_socket)
{
    struct addr a = ipv4("127.0.0.1", 9);
    ERR(connect(tcp(AF_INET6), &a.sa, sizeof(a.v6)), EAFNOSUPPORT);
}

BOTH(short_length)
{
    struct addr a = loopback(family, 9);
    ERR(connect(tcp(family), &a.sa, 8), EINVAL);
}

BOTH(length_zero)
{
    struct addr a = loopback(family, 9);
    ERR(connect(tcp(family), &a.sa, 0), EINVAL);
}

BOTH(length_too_large)
{
    struct addr a = loopback(family, 9);
    ERR(connect(tcp(family), &a.sa, 129), EINVAL);
}

BOTH(longer_than_needed)
{
    struct addr at;
    listener(family, 1, &at);
    OK(connect(tcp(family), &at.sa, sizeof(at.ss)));
}

CASE(v6_without_scope_id)
{
    struct addr at;
    listener(AF_INET6, 1, &at);
    OK(connect(tcp(AF_INET6), &at.sa, 24)); /* RFC 2133's shorter sockaddr_in6 */
}

BOTH(unspecified_family_on_a_fresh_socket)
{
    struct sockaddr a = {AF_UNSPEC, {0}};
    OK(connect(tcp(family), &a, sizeof(a)));
}

BOTH(unspecified_family_dissolves_the_connection)
{
    struct addr at, name;
    struct sockaddr none = {AF_UNSPEC, {0}};
    char c;
    int l = listener(family, 2, &at);
    struct pair p = pair_through(l, &at);
    OK(connect(p.client, &none, sizeof(none)));
    ERR(recv(p.server, &c, 1, 0), ECONNRESET);
    name.len = sizeof(name.ss);
    ERR(getpeername(p.client, &name.sa, &name.len), ENOTCONN);
    OK(connect(p.client, &at.sa, at.len));
    int s = (int)OK(accept(l, NULL, NULL));
    send_all(p.client, "z", 1);
    recv_all(s, &c, 1);
    EQ(c, 'z');
}

BOTH(to_oneself)
{
    struct addr a = loopback(family, 0);
    char got[8];
    int fd = tcp(family);
    OK(bind(fd, &a.sa, a.len));
    a = local_of(fd);
    OK(connect(fd, &a.sa, a.len));
    struct addr peer = peer_of(fd);
    TRUE(same_addr(&peer, &a));
    send_all(fd, "myself", 6);
    recv_all(fd, got, 6);
    EQ(memcmp(got, "myself", 6), 0);
    OK(shutdown(fd, SHUT_WR));
    EQ(recv(fd, got, 1, 0), 0);
}

BOTH(refused_leaves_no_so_error)
{
    struct addr a = closed(family);
    int fd = tcp(family);
    ERR(connect(fd, &a.sa, a.len), ECONNREFUSED);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
}

BOTH(port_zero)
{
    struct addr a = loopback(family, 0);
    ERR(connect(tcp(family), &a.sa, a.len), ECONNREFUSED);
}

CASE(broadcast_address)
{
    struct addr a = ipv4("255.255.255.255", 9);
    long long r = connect(tcp(AF_INET), &a.sa, a.len);
    EQ(r, -1);
}

CASE(multicast_address)
{
    struct addr a = ipv4("224.0.0.1", 9);
    ERR(connect(tcp(AF_INET), &a.sa, a.len), ENETUNREACH);
}

BOTH(from_a_bound_socket)
{
    struct addr at, mine = loopback(family, 0);
    listener(family, 1, &at);
    int fd = tcp(family);
    OK(bind(fd, &mine.sa, mine.len));
    mine = local_of(fd);
    OK(connect(fd, &at.sa, at.len));
    struct addr got = local_of(fd);
    TRUE(same_addr(&got, &mine));
}

BOTH(same_four_tuple_twice)
{
    struct addr at, mine = loopback(family, 0);
    listener(family, 4, &at);
    int one = tcp(family), two = tcp(family);
    set_int(one, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(two, SOL_SOCKET, SO_REUSEADDR, 1);
    OK(bind(one, &mine.sa, mine.len));
    mine = local_of(one);
    OK(bind(two, &mine.sa, mine.len));
    OK(connect(one, &at.sa, at.len));
    ERR(connect(two, &at.sa, at.len), EADDRNOTAVAIL);
}

BOTH(one_port_two_peers)
{
    struct addr x, y, mine = loopback(family, 0);
    listener(family, 4, &x);
    listener(family, 4, &y);
    int one = tcp(family), two = tcp(family);
    set_int(one, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(two, SOL_SOCKET, SO_REUSEADDR, 1);
    OK(bind(one, &mine.sa, mine.len));
    mine = local_of(one);
    OK(bind(two, &mine.sa, mine.len));
    OK(connect(one, &x.sa, x.len));
    OK(connect(two, &y.sa, y.len));
}

BOTH(writable_at_once)
{
    struct pair p = tcp_pair(family);
    EQ(events_of(p.client, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0), POLLOUT);
    EQ(events_of(p.server, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0), POLLOUT);
}

BOTH(many_in_sequence)
{
    struct addr at;
    char c;
    int l = listener(family, 8, &at);
    for (int i = 0; i < 500; i++) {
        struct pair p = pair_through(l, &at);
        send_all(p.client, "m", 1);
        recv_all(p.server, &c, 1);
        OK(close(p.client));
        EQ(recv(p.server, &c, 1, 0), 0);
        OK(close(p.server));
    }
}

BOTH(unconnected_socket_in_poll)
{
    EQ(events_of(tcp(family), POLLIN | POLLOUT | POLLRDHUP, 0), POLLOUT | POLLHUP);
}

static const struct sockaddr none = {AF_UNSPEC, {0}};

/* A socket whose connect was refused, which nobody has been told yet. */
static int refused_untold(int family)
{
    struct addr a = closed(family);
    int fd = tcp(family);
    set_nonblocking(fd);
    ERR(connect(fd, &a.sa, a.len), EINPROGRESS);
    wait_for(fd, POLLOUT | POLLERR | POLLHUP);
    return fd;
}

/* __inet_stream_connect, sock_error: the outcome is told once, whatever the address, and the socket is as new. */
BOTH(told_once_and_then_as_new)
{
    struct addr at, other = loopback(family == AF_INET ? AF_INET6 : AF_INET, 1);
    int fd = refused_untold(family);
    listener(family, 1, &at);
    ERR(connect(fd, &other.sa, other.len), ECONNREFUSED);
    EQ(events_of(fd, POLLIN | POLLOUT | POLLRDHUP, 0), POLLOUT | POLLHUP);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
    ERR(connect(fd, &other.sa, other.len), family == AF_INET ? EAFNOSUPPORT : EINVAL);
    ERR(connect(fd, &at.sa, at.len), EINPROGRESS);
    wait_for(fd, POLLOUT);
    OK(connect(fd, &at.sa, at.len));

    fd = refused_untold(family);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    ERR(connect(fd, &at.sa, at.len), ECONNABORTED);
    ERR(connect(fd, &at.sa, at.len), EINPROGRESS);
}

/* tcp_set_state: a port that bind did not ask for goes with the connection, and only its number can still be read. */
BOTH(a_refused_socket_may_be_bound)
{
    struct addr a = loopback(family, 0), got, want;
    int fd = refused_untold(family);
    struct addr before = local_of(fd);
    ERR(connect(fd, &a.sa, a.len), ECONNREFUSED);
    got = local_of(fd);
    want = wildcard(family, port_of(&before));
    TRUE(same_addr(&got, &want));
    if (family == AF_INET6)
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    OK(bind(fd, &a.sa, a.len));
    ERR(bind(fd, &a.sa, a.len), EINVAL);
    fd = refused_untold(family);
    OK(bind(fd, &a.sa, a.len));
    ERR(connect(fd, &a.sa, a.len), ECONNREFUSED);
}

/* inet_shutdown, SS_DISCONNECTING. */
BOTH(shut_down_before_it_was_told)
{
    struct addr at;
    int fd = refused_untold(family);
    listener(family, 1, &at);
    ERR(shutdown(fd, SHUT_RDWR), ENOTCONN);
    ERR(connect(fd, &at.sa, at.len), EINVAL);
    ERR(connect(fd, &at.sa, at.len), EINVAL);
    ERR(listen(fd, 1), EINVAL);
    OK(connect(fd, &none, sizeof(none)));
    ERR(connect(fd, &at.sa, at.len), EINPROGRESS);
    wait_for(fd, POLLOUT);
}

/* tcp_disconnect, by way of inet_shutdown: the listener is a socket without a port again. */
BOTH(a_listener_shut_down)
{
    struct addr at;
    int l = listener(family, 1, &at), fd = tcp(family);
    OK(shutdown(l, SHUT_RD));
    OK(bind(fd, &at.sa, at.len));
    l = tcp(family);
    OK(listen(l, 1));
    at = local_of(l);
    OK(shutdown(l, SHUT_RD));
    struct addr got = local_of(l);
    TRUE(same_addr(&got, &at));
    OK(bind(l, &at.sa, at.len));
    OK(listen(l, 1));
}

/* inet_bhash2_update_saddr: the port is taken at the address of the connection only. */
CASE(a_wildcard_becomes_an_address)
{
    struct addr at, any = wildcard(AF_INET, 0);
    int l = listener(AF_INET, 2, &at), fd = tcp(AF_INET);
    OK(bind(fd, &any.sa, any.len));
    struct addr mine = local_of(fd);
    int port = port_of(&mine);
    struct addr second = ipv4("127.0.0.2", port);
    ERR(bind(tcp(AF_INET), &second.sa, second.len), EADDRINUSE);
    OK(connect(fd, &at.sa, at.len));
    int other = tcp(AF_INET);
    OK(bind(other, &second.sa, second.len));
    OK(close(other));
    any = wildcard(AF_INET, port);
    ERR(bind(tcp(AF_INET), &any.sa, any.len), EADDRINUSE);
    OK(close(l));

    l = tcp(AF_INET);
    any = wildcard(AF_INET, 0);
    OK(bind(l, &any.sa, any.len));
    OK(listen(l, 1));
    at = local_of(l);
    at = loopback(AF_INET, port_of(&at));
    struct pair p = pair_through(l, &at);
    OK(close(l));
    second = ipv4("127.0.0.2", port_of(&at));
    OK(bind(tcp(AF_INET), &second.sa, second.len));
    ERR(bind(tcp(AF_INET), &at.sa, at.len), EADDRINUSE);
    OK(close(p.server));
}

/* tcp_disconnect ends with sk_error_report: an edge. */
BOTH(dissolving_is_an_event)
{
    struct addr at;
    listener(family, 1, &at);
    int fd = tcp(family), ep = (int)OK(epoll_create1(0));
    OK(connect(fd, &at.sa, at.len));
    struct epoll_event e = {.events = EPOLLET};
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    EQ(epoll_wait(ep, &e, 1, 0), 0);
    OK(connect(fd, &none, sizeof(none)));
    EQ(epoll_wait(ep, &e, 1, LONG_MS), 1);
    EQ(e.events, EPOLLERR | EPOLLHUP);
}
