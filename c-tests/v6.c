/* Both families on one socket. */
#include "harness.h"

static int dual_listener(int only, struct addr *at)
{
    struct addr any = wildcard(AF_INET6, 0);
    int fd = tcp(AF_INET6);
    set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, only);
    OK(bind(fd, &any.sa, any.len));
    OK(listen(fd, 4));
    *at = local_of(fd);
    return fd;
}

CASE(v6only_is_off_at_first) { EQ(get_int(tcp(AF_INET6), IPPROTO_IPV6, IPV6_V6ONLY), 0); }

CASE(v6only_switch)
{
    int fd = tcp(AF_INET6);
    set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    EQ(get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    EQ(get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
}

CASE(v6only_after_bind)
{
    struct addr at;
    int fd = dual_listener(0, &at), one = 1;
    ERR(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), EINVAL);
}

CASE(v4_clients_appear_mapped)
{
    struct addr at, a, want;
    int l = dual_listener(0, &at), c = tcp(AF_INET);
    a = ipv4("127.0.0.1", port_of(&at));
    OK(connect(c, &a.sa, a.len));
    memset(&a, 0, sizeof(a));
    a.len = sizeof(a.ss);
    int s = (int)OK(accept(l, &a.sa, &a.len));
    EQ(a.len, sizeof(a.v6));
    want = local_of(c);
    want = ipv6("::ffff:127.0.0.1", port_of(&want));
    TRUE(same_addr(&a, &want));
    a = local_of(s);
    want = ipv6("::ffff:127.0.0.1", port_of(&at));
    TRUE(same_addr(&a, &want));
}

CASE(both_families_on_one_listener)
{
    struct addr at, four, six;
    char c;
    int l = dual_listener(0, &at), x = tcp(AF_INET), y = tcp(AF_INET6);
    four = ipv4("127.0.0.1", port_of(&at));
    six = ipv6("::1", port_of(&at));
    OK(connect(x, &four.sa, four.len));
    OK(connect(y, &six.sa, six.len));
    int s = (int)OK(accept(l, NULL, NULL)), t = (int)OK(accept(l, NULL, NULL));
    send_all(x, "4", 1);
    send_all(y, "6", 1);
    recv_all(s, &c, 1);
    EQ(c, '4');
    recv_all(t, &c, 1);
    EQ(c, '6');
}

CASE(v6only_refuses_v4)
{
    struct addr at, four;
    dual_listener(1, &at);
    four = ipv4("127.0.0.1", port_of(&at));
    ERR(connect(tcp(AF_INET), &four.sa, four.len), ECONNREFUSED);
    four = ipv6("::1", port_of(&at));
    OK(connect(tcp(AF_INET6), &four.sa, four.len));
}

CASE(dual_stack_takes_the_v4_port)
{
    struct addr at, four;
    dual_listener(0, &at);
    four = ipv4("0.0.0.0", port_of(&at));
    ERR(bind(tcp(AF_INET), &four.sa, four.len), EADDRINUSE);
    four = ipv4("127.0.0.1", port_of(&at));
    ERR(bind(tcp(AF_INET), &four.sa, four.len), EADDRINUSE);
}

CASE(v6only_leaves_the_v4_port)
{
    struct addr at, four;
    dual_listener(1, &at);
    four = ipv4("0.0.0.0", port_of(&at));
    OK(bind(tcp(AF_INET), &four.sa, four.len));
}

CASE(v4_port_blocks_the_dual_stack)
{
    struct addr at, six;
    listener(AF_INET, 1, &at);
    six = ipv6("::", port_of(&at));
    ERR(bind(tcp(AF_INET6), &six.sa, six.len), EADDRINUSE);
    int fd = tcp(AF_INET6);
    set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    OK(bind(fd, &six.sa, six.len));
}

CASE(mapped_connect)
{
    struct addr at, mapped, got;
    char c;
    int l = listener(AF_INET, 1, &at), fd = tcp(AF_INET6);
    mapped = ipv6("::ffff:127.0.0.1", port_of(&at));
    OK(connect(fd, &mapped.sa, mapped.len));
    int s = (int)OK(accept(l, NULL, NULL));
    send_all(fd, "m", 1);
    recv_all(s, &c, 1);
    got = peer_of(fd);
    TRUE(same_addr(&got, &mapped));
    got = peer_of(s);
    EQ(got.sa.sa_family, AF_INET);
}

CASE(mapped_connect_with_v6only)
{
    struct addr at, mapped;
    int fd = tcp(AF_INET6);
    listener(AF_INET, 1, &at);
    mapped = ipv6("::ffff:127.0.0.1", port_of(&at));
    set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    ERR(connect(fd, &mapped.sa, mapped.len), ENETUNREACH);
}

CASE(mapped_bind)
{
    struct addr a = ipv6("::ffff:127.0.0.1", 0), got;
    int l = tcp(AF_INET6);
    OK(bind(l, &a.sa, a.len));
    OK(listen(l, 1));
    got = local_of(l);
    a = ipv6("::ffff:127.0.0.1", port_of(&got));
    TRUE(same_addr(&got, &a));
    a = ipv4("127.0.0.1", port_of(&got));
    OK(connect(tcp(AF_INET), &a.sa, a.len));
    OK(accept(l, NULL, NULL));
}

CASE(mapped_bind_with_v6only)
{
    struct addr a = ipv6("::ffff:127.0.0.1", 0);
    int fd = tcp(AF_INET6);
    set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    ERR(bind(fd, &a.sa, a.len), EINVAL);
}

CASE(datagrams_appear_mapped)
{
    struct addr any = wildcard(AF_INET6, 0), at, from, mine;
    char c;
    int y = udp(AF_INET6), x = bound_udp(AF_INET, &mine);
    OK(bind(y, &any.sa, any.len));
    at = local_of(y);
    at = ipv4("127.0.0.1", port_of(&at));
    EQ(sendto(x, "d", 1, 0, &at.sa, at.len), 1);
    from.len = sizeof(from.ss);
    EQ(recvfrom(y, &c, 1, 0, &from.sa, &from.len), 1);
    mine = ipv6("::ffff:127.0.0.1", port_of(&mine));
    TRUE(same_addr(&from, &mine));
    EQ(sendto(y, "e", 1, 0, &from.sa, from.len), 1); /* and back by the mapped name */
    EQ(recv(x, &c, 1, 0), 1);
    EQ(c, 'e');
}

CASE(v4_address_to_sendto_on_a_v6_socket)
{
    struct addr at;
    char c;
    int y = bound_udp(AF_INET, &at), x = udp(AF_INET6);
    EQ(sendto(x, "4", 1, 0, &at.sa, at.len), 1); /* datagram sockets take it, unlike connect on a stream */
    EQ(recv(y, &c, 1, 0), 1);
}

CASE(names_have_28_bytes)
{
    struct pair p = tcp_pair(AF_INET6);
    EQ(local_of(p.client).len, 28);
    EQ(peer_of(p.client).len, 28);
    EQ(peer_of(p.client).v6.sin6_scope_id, 0);
    EQ(peer_of(p.client).v6.sin6_flowinfo, 0);
}

CASE(ephemeral_port_avoids_both_families)
{
    struct addr a = wildcard(AF_INET6, 0), four;
    for (int i = 0; i < 50; i++) {
        int fd = tcp(AF_INET6);
        OK(bind(fd, &a.sa, a.len));
        struct addr got = local_of(fd);
        four = ipv4("0.0.0.0", port_of(&got));
        ERR(bind(tcp(AF_INET), &four.sa, four.len), EADDRINUSE);
    }
}

CASE(v6only_datagram_socket_and_a_v4_peer)
{
    struct addr at, four;
    bound_udp(AF_INET, &at);
    int fd = udp(AF_INET6);
    OK(connect(fd, &at.sa, at.len));
    fd = udp(AF_INET6);
    set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    ERR(connect(fd, &at.sa, at.len), EAFNOSUPPORT);
    four = ipv6("::ffff:127.0.0.1", port_of(&at));
    ERR(connect(fd, &four.sa, four.len), ENETUNREACH);
}

/* __inet6_bind: an address of IPv6 makes the socket one of IPv6 alone. */
CASE(bound_to_an_address_it_is_v6only)
{
    struct addr at = ipv6("::1", 0), four, mapped = ipv6("::ffff:127.0.0.1", 0), any = ipv6("::", 0);
    for (int i = 0; i < 2; i++) {
        int fd = i ? udp(AF_INET6) : tcp(AF_INET6);
        OK(bind(fd, &at.sa, at.len));
        EQ(get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
        fd = i ? udp(AF_INET6) : tcp(AF_INET6);
        OK(bind(fd, &mapped.sa, mapped.len));
        EQ(get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
        fd = i ? udp(AF_INET6) : tcp(AF_INET6);
        OK(bind(fd, &any.sa, any.len));
        EQ(get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    }
    bound_udp(AF_INET, &four);
    int fd = udp(AF_INET6);
    OK(bind(fd, &at.sa, at.len));
    ERR(connect(fd, &four.sa, four.len), EAFNOSUPPORT);
    /* An address that connect has chosen is none that was bound. */
    fd = udp(AF_INET6);
    at = ipv6("::1", 9);
    OK(connect(fd, &at.sa, at.len));
    EQ(get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    OK(connect(fd, &four.sa, four.len));
}

/* udpv6_sendmsg knows nothing of MSG_OOB; IPv4 goes through udp_sendmsg, which does, and which sends to no port 0. */
CASE(what_udp_of_v4_minds)
{
    struct addr six, four, none = ipv4("127.0.0.1", 0);
    char room[8];
    int at = bound_udp(AF_INET6, &six), fd = udp(AF_INET6);
    bound_udp(AF_INET, &four);
    ERR(send(fd, "x", 1, MSG_OOB), EDESTADDRREQ);
    OK(connect(fd, &six.sa, six.len));
    EQ(send(fd, "x", 1, MSG_OOB), 1);
    EQ(recv(at, room, sizeof(room), 0), 1);
    fd = udp(AF_INET6);
    OK(connect(fd, &four.sa, four.len));
    ERR(send(fd, "x", 1, MSG_OOB), EOPNOTSUPP);
    OK(connect(fd, &none.sa, none.len));
    ERR(send(fd, "x", 1, 0), EINVAL);
    ERR(send(udp(AF_INET), "x", 1, MSG_OOB), EOPNOTSUPP);
}
