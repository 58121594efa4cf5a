/* Corners that random calls have found (c-tests/fuzz/): which of two wrong things is said, and what stays after a failure. */
#include "device.h"

#include <sys/sendfile.h>
#include <sys/uio.h>

static int option(int fd, int level, int name, socklen_t len)
{
    char value[64] = {0};
    return getsockopt(fd, level, name, value, &len);
}

static struct addr any_of(int family)
{
    return wildcard(family, 0);
}

/* --- readiness ---------------------------------------------------------------------------------------------------------- */

BOTH(datagrams_have_room_for_priority)
{
    EQ(events_of(udp(family), POLLOUT | POLLWRNORM | POLLWRBAND, 0), POLLOUT | POLLWRNORM | POLLWRBAND);
    EQ(events_of(tcp_pair(family).client, POLLOUT | POLLWRNORM | POLLWRBAND, 0), POLLOUT | POLLWRNORM);
    struct epoll_event event = {.events = EPOLLWRBAND}, got;
    int set = OK(epoll_create1(0));
    OK(epoll_ctl(set, EPOLL_CTL_ADD, udp(family), &event));
    EQ(epoll_wait(set, &got, 1, 0), 1);
    EQ(got.events, EPOLLWRBAND);
}

/* --- connect and bind look at the state first -------------------------------------------------------------------------- */

BOTH(a_second_connect_needs_no_good_address)
{
    struct addr at, wrong = loopback(family == AF_INET ? AF_INET6 : AF_INET, 9);
    int listening = listener(family, 5, &at), fd = OK(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    ERR(connect(fd, &at.sa, at.len), EINPROGRESS);
    wait_for(fd, POLLOUT);
    wrong.sa.sa_family = AF_UNIX;
    OK(connect(fd, &wrong.sa, sizeof wrong.v6));
    ERR(connect(fd, &wrong.sa, sizeof wrong.v6), EISCONN);
    ERR(connect(listening, &wrong.sa, sizeof wrong.v6), EISCONN);
    ERR(connect(fd, &wrong.sa, 1), EINVAL);
}

BOTH(a_failed_connect_leaves_a_new_socket)
{
    struct addr at = loopback(family, free_port(family));
    int fd = OK(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    char c;
    ERR(connect(fd, &at.sa, at.len), EINPROGRESS);
    wait_for(fd, POLLOUT);
    ERR(connect(fd, &at.sa, at.len), ECONNREFUSED);
    ERR(recv(fd, &c, 1, 0), ENOTCONN);
}

CASE(bound_already_comes_before_the_address_on_ipv6)
{
    struct addr nobody = ipv6("2001:db8::77", 0), nobody4 = ipv4("192.0.2.77", 0);
    struct addr own = loopback(AF_INET6, 0), own4 = loopback(AF_INET, 0);
    int fd = tcp(AF_INET6), fd4 = tcp(AF_INET);
    OK(bind(fd, &own.sa, own.len));
    OK(bind(fd4, &own4.sa, own4.len));
    ERR(bind(fd, &nobody.sa, nobody.len), EINVAL);
    ERR(bind(fd4, &nobody4.sa, nobody4.len), EADDRNOTAVAIL);
}

BOTH(a_port_that_bind_did_not_choose_goes_with_the_connection)
{
    struct pair p = tcp_pair(family);
    struct addr before = local_of(p.client), other = loopback(family, 0);
    ERR(bind(p.client, &other.sa, other.len), EINVAL);
    reset(p.server);
    wait_for(p.client, POLLHUP);
    struct addr after = local_of(p.client);
    TRUE(same_addr(&before, &after));
    OK(bind(p.client, &other.sa, other.len));
    TRUE(port_of(&before) != 0);
}

BOTH(a_listener_that_stops_gives_its_port_back)
{
    struct addr at, any = loopback(family, 0);
    int fd = listener(family, 5, &at);
    OK(shutdown(fd, SHUT_RD));
    int second = tcp(family);
    OK(bind(second, &at.sa, at.len));
    OK(bind(fd, &any.sa, any.len));
}

CASE(streams_bind_to_no_group)
{
    struct addr group = ipv6("ff15::1", 0), own = loopback(AF_INET6, 0);
    int fd = tcp(AF_INET6);
    ERR(bind(fd, &group.sa, group.len), EINVAL);
    OK(bind(udp(AF_INET6), &group.sa, group.len));
    OK(bind(fd, &own.sa, own.len));
}

CASE(addresses_of_a_link_want_its_number)
{
    struct addr host = ipv6("fe80::1", 4000), group = ipv6("ff02::1", 4000), link = ipv6("ff01::1", 4000);
    ERR(connect(udp(AF_INET6), &host.sa, host.len), EINVAL);
    ERR(connect(udp(AF_INET6), &group.sa, group.len), EINVAL);
    ERR(connect(udp(AF_INET6), &link.sa, link.len), EINVAL);
    ERR(connect(tcp(AF_INET6), &host.sa, host.len), EINVAL);
    ERR(connect(tcp(AF_INET6), &group.sa, group.len), ENETUNREACH);
    ERR(bind(udp(AF_INET6), &host.sa, host.len), EINVAL);
    ERR(bind(udp(AF_INET6), &group.sa, group.len), EINVAL);
}

CASE(bound_to_an_address_is_ipv6_only)
{
    struct addr own = loopback(AF_INET6, 0), four = loopback(AF_INET, 9), mapped = ipv6("::ffff:127.0.0.1", 9), any = any_of(AF_INET6);
    int fd = udp(AF_INET6), dual = udp(AF_INET6);
    EQ(get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    OK(bind(fd, &own.sa, own.len));
    EQ(get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    ERR(connect(fd, &four.sa, four.len), EAFNOSUPPORT);
    ERR(connect(fd, &mapped.sa, mapped.len), ENETUNREACH);
    ERR(sendto(fd, "x", 1, 0, &mapped.sa, mapped.len), ENETUNREACH);
    mapped.v6.sin6_port = 0;
    ERR(sendto(fd, "x", 1, 0, &mapped.sa, mapped.len), ENETUNREACH);
    OK(bind(dual, &any.sa, any.len));
    EQ(get_int(dual, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    /* An address that connect has chosen binds nobody. */
    OK(connect(dual, &own.sa, own.len));
    OK(connect(dual, &four.sa, four.len));
}

/* --- groups and broadcasts from 127.0.0.1 ------------------------------------------------------------------------------ */

CASE(from_the_loopback_groups_go_round_inside)
{
    struct addr own = loopback(AF_INET, 0), group = ipv4("239.1.2.3", 4000), all = ipv4("255.255.255.255", 4000);
    int fd = bound_udp(AF_INET, &own);
    OK(connect(fd, &group.sa, group.len));
    ERR(connect(fd, &all.sa, all.len), EACCES);
    set_int(fd, SOL_SOCKET, SO_BROADCAST, 1);
    OK(connect(fd, &all.sa, all.len));
    EQ(send(fd, "x", 1, 0), 1);
}

/* --- data for who will not read it --------------------------------------------------------------------------------------- */

BOTH(data_after_both_ends_are_shut_is_answered_with_a_reset)
{
    struct pair p = tcp_pair(family);
    char c;
    OK(shutdown(p.client, SHUT_RDWR));
    EQ(recv(p.server, &c, 1, 0), 0);
    EQ(send(p.server, "x", 1, 0), 1);
    wait_for(p.server, POLLHUP);
    wait_for(p.client, POLLERR);
    ERR(recv(p.client, &c, 1, 0), ECONNRESET);
    EQ(get_int(p.server, SOL_SOCKET, SO_ERROR), EPIPE);
}

BOTH(data_after_the_reading_end_is_shut_is_taken)
{
    struct pair p = tcp_pair(family);
    char c;
    OK(shutdown(p.client, SHUT_RD));
    EQ(send(p.server, "x", 1, 0), 1);
    wait_for(p.client, POLLIN);
    EQ(recv(p.client, &c, 1, 0), 1);
}

BOTH(reading_nothing_of_what_is_there)
{
    struct pair p = tcp_pair(family);
    char word[4];
    send_all(p.server, "word", 4);
    wait_for(p.client, POLLIN);
    reset(p.server);
    wait_for(p.client, POLLERR);
    EQ(recv(p.client, word, 0, 0), 0);
    EQ(recv(p.client, word, 4, 0), 4);
    ERR(recv(p.client, word, 0, 0), ECONNRESET);
}

/* --- memory that is nobody's ------------------------------------------------------------------------------------------- */

static void *high(void)
{
    return (void *)0xffff800000000000ULL;
}

BOTH(what_user_space_cannot_have_is_a_fault_at_any_length)
{
    struct addr at, peer = loopback(family, 9);
    int fd = tcp_pair(family).client, listening = listener(family, 5, &at), dgram = udp(family);
    struct iovec pieces[2] = {{"x", 1}, {high(), 0}};
    ERR(send(fd, high(), 0, 0), EFAULT);
    ERR(write(fd, high(), 0), EFAULT);
    ERR(read(fd, high(), 0), EFAULT);
    ERR(writev(fd, pieces, 2), EFAULT);
    ERR(recv(listening, high(), 1, 0), EFAULT);
    ERR(send(dgram, high(), 1, 0), EFAULT);
    ERR(recv(dgram, high(), 1, MSG_DONTWAIT), EFAULT);
    ERR(sendto(dgram, high(), 1, 0, &peer.sa, 1), EFAULT);
}

BOTH(reading_to_nowhere_says_what_the_socket_is)
{
    struct addr at;
    int listening = listener(family, 5, &at), fd = tcp(family);
    struct pair p = tcp_pair(family);
    struct iovec piece = {bad_pointer, 10};
    ERR(recv(listening, bad_pointer, 10, 0), ENOTCONN);
    ERR(read(fd, bad_pointer, 10), ENOTCONN);
    ERR(readv(fd, &piece, 1), ENOTCONN);
    ERR(recv(p.client, bad_pointer, 10, MSG_DONTWAIT), EAGAIN);
    send_all(p.server, "word", 4);
    wait_for(p.client, POLLIN);
    ERR(read(p.client, bad_pointer, 10), EFAULT);
    ERR(readv(p.client, &piece, 1), EFAULT);
    char word[5];
    EQ(recv(p.client, word, 5, 0), 4);
    OK(shutdown(p.server, SHUT_WR));
    wait_for(p.client, POLLRDHUP);
    EQ(read(p.client, bad_pointer, 10), 0);
}

BOTH(writing_from_nowhere_says_what_the_socket_is)
{
    struct iovec piece = {bad_pointer, 10}, two[2] = {{"x", 1}, {bad_pointer, 10}};
    struct pair p = tcp_pair(family);
    signal(SIGPIPE, SIG_IGN);
    ERR(writev(udp(family), &piece, 1), EDESTADDRREQ);
    ERR(writev(tcp(family), &piece, 1), EPIPE);
    ERR(writev(p.client, &piece, 1), EFAULT);
    /* Nothing of it goes. */
    ERR(writev(p.client, two, 2), EFAULT);
    ERR(writev(udp_pair(family).client, two, 2), EFAULT);
    EQ(send(p.client, "y", 1, 0), 1);
    char c;
    EQ(recv(p.server, &c, 1, 0), 1);
    EQ(c, 'y');
}

BOTH(an_address_of_no_length_is_written_nowhere)
{
    struct pair p = tcp_pair(family);
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    char c;
    send_all(p.server, "x", 1);
    EQ(recvfrom(p.client, &c, 1, 0, high(), &len), 1);
    EQ(len, 0);
}

/* --- control messages ---------------------------------------------------------------------------------------------------- */

static ssize_t send_with(int fd, int level, int type, const struct addr *to)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(4)] = {0};
    struct iovec piece = {"x", 1};
    struct msghdr h = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (to) {
        h.msg_name = (void *)&to->sa;
        h.msg_namelen = to->len;
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(4), .cmsg_level = level, .cmsg_type = type};
    return sendmsg(fd, &h, MSG_NOSIGNAL);
}

CASE(levels_count_by_where_it_goes)
{
    struct addr six, four, any = any_of(AF_INET6);
    bound_udp(AF_INET6, &six);
    bound_udp(AF_INET, &four);
    struct addr mapped = ipv6("::ffff:127.0.0.1", port_of(&four));
    int fd = udp(AF_INET6);
    OK(bind(fd, &any.sa, any.len));
    EQ(send_with(fd, IPPROTO_IP, 99, &six), 1);
    ERR(send_with(fd, IPPROTO_IPV6, 99, &six), EINVAL);
    EQ(send_with(fd, IPPROTO_IPV6, 99, &mapped), 1);
    ERR(send_with(fd, IPPROTO_IP, 99, &mapped), EINVAL);
}

BOTH(control_messages_come_after_the_state)
{
    struct addr nowhere = loopback(family, 0);
    int fd = udp(family);
    ERR(send_with(tcp(family), SOL_SOCKET, 999, NULL), EPIPE);
    ERR(send_with(tcp(family), SOL_SOCKET, SO_TIMESTAMPING, NULL), EPIPE);
    ERR(send_with(fd, SOL_SOCKET, 999, NULL), EDESTADDRREQ);
    ERR(send_with(fd, SOL_SOCKET, 999, &nowhere), EINVAL);
    /* A peer with port 0 is one. */
    OK(connect(fd, &nowhere.sa, nowhere.len));
    ERR(send_with(fd, SOL_SOCKET, 999, NULL), EINVAL);
    ERR(send_with(tcp_pair(family).client, SOL_SOCKET, 999, NULL), EINVAL);
}

BOTH(control_messages_are_somewhere_and_bounded)
{
    struct iovec piece = {"x", 1};
    struct msghdr h = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = NULL, .msg_controllen = 16};
    int fd = udp_pair(family).client;
    ERR(sendmsg(fd, &h, 0), EFAULT);
    static char much[1 << 20];
    h.msg_control = much;
    h.msg_controllen = sizeof much;
    ERR(sendmsg(fd, &h, 0), ENOBUFS);
}

BOTH(many_messages_tell_of_the_error_first)
{
    struct pair p = tcp_pair(family);
    char word[8];
    struct iovec piece = {word, sizeof word};
    struct mmsghdr one = {.msg_hdr = {.msg_iov = &piece, .msg_iovlen = 1}};
    struct timespec none = {0, 7};
    EQ(recvmmsg(p.client, &one, 0, 0, &none), 0);
    EQ(none.tv_nsec, 7);
    send_all(p.server, "word", 4);
    wait_for(p.client, POLLIN);
    reset(p.server);
    wait_for(p.client, POLLERR);
    ERR(recvmmsg(p.client, &one, 1, 0, NULL), ECONNRESET);
    EQ(recv(p.client, word, sizeof word, 0), 4);
}

/* --- MSG_OOB where nobody knows it ----------------------------------------------------------------------------------------- */

CASE(urgent_datagrams)
{
    struct addr six, four, none = loopback(AF_INET, 0);
    bound_udp(AF_INET6, &six);
    bound_udp(AF_INET, &four);
    EQ(sendto(udp(AF_INET6), "x", 1, MSG_OOB, &six.sa, six.len), 1);
    ERR(sendto(udp(AF_INET), "x", 1, MSG_OOB, &four.sa, four.len), EOPNOTSUPP);
    ERR(sendto(udp(AF_INET), "x", 1, MSG_OOB, &none.sa, none.len), EOPNOTSUPP);
    ERR(sendto(udp(AF_INET6), "x", 1, MSG_OOB, &four.sa, four.len), EOPNOTSUPP);
    ERR(send(udp(AF_INET), "x", 1, MSG_OOB), EOPNOTSUPP);
    char c;
    int raw = socket(AF_INET, SOCK_RAW, 200);
    if (raw < 0)
        skip("no right to have a raw socket");
    ERR(recv(raw, &c, 1, MSG_OOB | MSG_DONTWAIT), EOPNOTSUPP);
}

CASE(too_long_for_nobody)
{
    static char much[65536];
    ERR(send(udp(AF_INET), much, sizeof much, 0), EMSGSIZE);
    ERR(send(udp(AF_INET), bad_pointer, sizeof much, 0), EMSGSIZE);
    ERR(send(udp(AF_INET6), much, sizeof much, 0), EDESTADDRREQ);
}

CASE(bound_to_a_group_a_stream_connects_from_the_device)
{
    struct addr group = ipv4("239.1.2.3", 0), at;
    listener(AF_INET, 5, &at);
    int fd = tcp(AF_INET);
    OK(bind(fd, &group.sa, group.len));
    OK(connect(fd, &at.sa, at.len));
    struct addr local = local_of(fd);
    EQ(local.v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    /* Nobody's own address is 255.255.255.255: 0.0.0.0 is the loopback. */
    struct addr all = ipv4("255.255.255.255", 0), none = ipv4("0.0.0.0", port_of(&at));
    fd = tcp(AF_INET);
    OK(bind(fd, &all.sa, all.len));
    OK(connect(fd, &none.sa, none.len));
}

CASE(a_peer_with_port_0)
{
    struct addr four = loopback(AF_INET, 0), six = loopback(AF_INET6, 0), mapped = ipv6("::ffff:127.0.0.1", 0);
    int fd4 = udp(AF_INET), fd6 = udp(AF_INET6), both = udp(AF_INET6);
    OK(connect(fd4, &four.sa, four.len));
    OK(connect(fd6, &six.sa, six.len));
    OK(connect(both, &mapped.sa, mapped.len));
    EQ(send(fd4, "x", 1, 0), 1);
    EQ(send(fd6, "x", 1, 0), 1);
    ERR(send(both, "x", 1, 0), EINVAL);
}

BOTH(a_refused_datagram_has_got_its_port)
{
    struct addr none = loopback(family, 0);
    int fd = udp(family);
    ERR(sendto(fd, "x", 1, 0, &none.sa, none.len), EINVAL);
    struct addr local = local_of(fd);
    TRUE(port_of(&local) != 0);
    fd = udp(family);
    ERR(send_with(fd, SOL_SOCKET, 999, NULL), EDESTADDRREQ);
    local = local_of(fd);
    TRUE(port_of(&local) != 0);
    fd = udp(family);
    none.sa.sa_family = AF_UNIX;
    ERR(connect(fd, &none.sa, none.len), EAFNOSUPPORT);
    local = local_of(fd);
    TRUE(port_of(&local) != 0);
}

/* --- raw sockets ----------------------------------------------------------------------------------------------------------- */

static int raw(int family, int protocol)
{
    int fd = socket(family, SOCK_RAW, protocol);
    if (fd < 0)
        skip("no right to have a raw socket");
    return fd;
}

BOTH(raw_sockets_bind_once_they_are_connected_no_more)
{
    struct addr own = loopback(family, 0), odd = own;
    int fd = raw(family, 200);
    odd.sa.sa_family = AF_UNIX;
    if (family == AF_INET)
        OK(bind(fd, &odd.sa, odd.len));
    else
        ERR(bind(fd, &odd.sa, odd.len), EINVAL);
    OK(bind(fd, &own.sa, own.len));
    OK(connect(fd, &own.sa, own.len));
    ERR(bind(fd, &own.sa, own.len), EINVAL);
}

CASE(the_loopback_address_is_on_no_other_interface)
{
    struct addr own = loopback(AF_INET6, 4000);
    struct in6_pktinfo from = {.ipi6_addr = in6addr_loopback, .ipi6_ifindex = 2};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof from)] = {0};
    struct msghdr h = {.msg_name = &own.sa, .msg_namelen = own.len, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof from), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO};
    memcpy(CMSG_DATA(c), &from, sizeof from);
    need_device();
    ERR(sendmsg(udp(AF_INET6), &h, 0), EINVAL);
}

CASE(a_source_comes_before_an_interface_on_ipv4)
{
    struct addr own = loopback(AF_INET, 4000);
    struct in_pktinfo from = {.ipi_ifindex = 9};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof from)] = {0};
    struct msghdr h = {.msg_name = &own.sa, .msg_namelen = own.len, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof from), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
    memcpy(CMSG_DATA(c), &from, sizeof from);
    ERR(sendmsg(udp(AF_INET), &h, 0), ENODEV);
    inet_pton(AF_INET, "192.0.2.1", &from.ipi_spec_dst);
    memcpy(CMSG_DATA(c), &from, sizeof from);
    ERR(sendmsg(udp(AF_INET), &h, 0), ENETUNREACH);
}

CASE(raw_ipv6_connects_to_ipv6_whatever_the_length)
{
    struct addr four = loopback(AF_INET, 0);
    ERR(connect(raw(AF_INET6, 200), &four.sa, four.len), EAFNOSUPPORT);
}

BOTH(raw_sockets_send_when_they_are_shut)
{
    struct addr own = loopback(family, 0);
    int fd = raw(family, 200), whole = raw(AF_INET, 255);
    ERR(shutdown(fd, SHUT_RDWR), ENOTCONN);
    EQ(sendto(fd, "four", 4, 0, &own.sa, own.len), 4);
    /* But with headers of their own. */
    char packet[20] = {0};
    own = loopback(AF_INET, 0);
    signal(SIGPIPE, SIG_IGN);
    ERR(shutdown(whole, SHUT_WR), ENOTCONN);
    ERR(sendto(whole, packet, 19, 0, &own.sa, own.len), EINVAL);
    ERR(sendto(whole, packet, 20, 0, &own.sa, own.len), EPIPE);
}

CASE(a_header_of_ones_own_has_a_length)
{
    struct addr own = loopback(AF_INET, 0);
    char packet[40] = {0x44, 0, 0, 40, 0, 0, 0, 0, 64, (char)200};
    int fd = raw(AF_INET, 255);
    ERR(sendto(fd, packet, sizeof packet, 0, &own.sa, own.len), EINVAL);
    packet[0] = 0x45;
    EQ(sendto(fd, packet, sizeof packet, 0, &own.sa, own.len), sizeof packet);
}

/* --- options --------------------------------------------------------------------------------------------------------------- */

CASE(who_looks_at_the_length)
{
    int four = udp(AF_INET), six = udp(AF_INET6);
    char value[64];
    ERR(option(four, 77, 1, -1), EOPNOTSUPP);
    ERR(option(six, 77, 1, -1), ENOPROTOOPT);
    ERR(getsockopt(four, 77, 1, value, NULL), EOPNOTSUPP);
    ERR(getsockopt(six, IPPROTO_ICMPV6, 1, value, NULL), ENOPROTOOPT);
    ERR(option(four, IPPROTO_UDP, 2, 4), ENOPROTOOPT);
    ERR(option(four, IPPROTO_UDP, 2, -1), EINVAL);
    ERR(option(tcp(AF_INET), IPPROTO_UDP, 2, -1), EOPNOTSUPP);
    ERR(option(four, IPPROTO_IP, IP_TTL, -1), EINVAL);
    /* Of IPv6 it is no number below 0. */
    OK(option(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1));
    ERR(setsockopt(four, IPPROTO_UDP, 2, value, 3), EINVAL);
    ERR(setsockopt(four, IPPROTO_UDP, 2, value, 4), ENOPROTOOPT);
}

CASE(levels_of_raw_sockets)
{
    int four = raw(AF_INET, 200), six = raw(AF_INET6, 200), echo = raw(AF_INET6, IPPROTO_ICMPV6);
    ERR(option(four, SOL_RAW, 4, -1), ENOPROTOOPT);
    ERR(option(four, SOL_RAW, 1, -1), EOPNOTSUPP);
    ERR(option(six, IPPROTO_ICMPV6, 1, -1), EOPNOTSUPP);
    ERR(option(echo, IPPROTO_ICMPV6, 9, -1), ENOPROTOOPT);
    ERR(option(six, SOL_RAW, 9, -1), ENOPROTOOPT);
    ERR(option(six, IPPROTO_IP, IP_TTL, 4), ENOPROTOOPT);
    int on = 1;
    ERR(setsockopt(six, IPPROTO_IP, IP_PKTINFO, &on, sizeof on), ENOPROTOOPT);
    EQ(get_int(four, SOL_SOCKET, SO_ZEROCOPY), 0);
}

CASE(ipv4_options_of_ipv6_sockets)
{
    EQ(get_int(udp(AF_INET6), IPPROTO_IP, IP_HDRINCL), 0);
    EQ(get_int(udp(AF_INET6), IPPROTO_IP, IP_MULTICAST_ALL), 0);
    EQ(get_int(udp(AF_INET), IPPROTO_IP, IP_MULTICAST_ALL), 1);
}

CASE(no_groups_for_streams)
{
    int fd = tcp(AF_INET6), one = 1, none = 99;
    ERR(setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &none, sizeof none), ENOPROTOOPT);
    ERR(setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &one, sizeof one), ENOPROTOOPT);
}

BOTH(some_options_have_no_empty_value)
{
    int fd = udp(family), one = 1;
    ERR(setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, 0), EINVAL);
    ERR(setsockopt(fd, IPPROTO_IP, IP_MINTTL, &one, 0), EINVAL);
    OK(setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &one, 0));
}

CASE(an_int_is_read_before_the_name_is_looked_at)
{
    int six = udp(AF_INET6), one = 1;
    ERR(setsockopt(six, IPPROTO_IPV6, 12, bad_pointer, 4), EFAULT);
    ERR(setsockopt(six, IPPROTO_IPV6, 12, bad_pointer, 3), ENOPROTOOPT);
    ERR(setsockopt(six, IPPROTO_IPV6, MCAST_LEAVE_SOURCE_GROUP, bad_pointer, 4), EFAULT);
    set_int(six, IPPROTO_IPV6, 62 /* IPV6_DONTFRAG */, 1);
    OK(setsockopt(six, IPPROTO_IPV6, 62, &one, 0));
    EQ(get_int(six, IPPROTO_IPV6, 62), 0);
    char long_one[20] = {1};
    ERR(setsockopt(udp(AF_INET), IPPROTO_IP, 50 /* IP_UNICAST_IF */, long_one, sizeof long_one), EINVAL);
}

CASE(what_is_only_read_is_not_read_from)
{
    ERR(setsockopt(udp(AF_INET), IPPROTO_IP, IP_MTU, bad_pointer, 4), ENOPROTOOPT);
}

CASE(filters_of_no_family)
{
    char filter[144] = {0};
    socklen_t len = sizeof filter;
    ERR(getsockopt(udp(AF_INET), IPPROTO_IP, MCAST_MSFILTER, filter, &len), EINVAL);
    ERR(getsockopt(udp(AF_INET6), IPPROTO_IPV6, MCAST_MSFILTER, filter, &len), EADDRNOTAVAIL);
}

CASE(no_value_is_nothing_on_ipv6)
{
    int fd = udp(AF_INET6);
    set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 9);
    OK(setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, NULL, 4));
    EQ(get_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 0);
    ERR(setsockopt(tcp(AF_INET6), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, NULL, 4), ENOPROTOOPT);
}

BOTH(nothing_is_appended_to_a_connection)
{
    int fd = tcp_pair(family).client, file = OK(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    OK(fcntl(fd, F_SETFL, O_APPEND));
    ERR(sendfile(fd, file, NULL, 10), EINVAL);
    OK(fcntl(fd, F_SETFL, 0));
    EQ(sendfile(fd, file, NULL, 10), 10);
}

BOTH(marks_of_unsent_data)
{
    int fd = tcp(family);
    EQ(get_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 0);
    set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, -1);
    EQ(get_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), -1);
    set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0);
    EQ(get_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 0);
}

BOTH(long_waits_for_data_are_counted_in_retransmissions)
{
    int fd = tcp(family);
    const int asked[] = {1, 2, 100, 255, 65535}, told[] = {1, 3, 127, 367, 29887};
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, asked[i]);
        EQ(get_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), told[i]);
    }
}

BOTH(requests_about_interfaces_need_memory)
{
    ERR(ioctl(udp(family), SIOCATMARK, NULL), EFAULT);
    ERR(ioctl(udp(family), 0x891b /* SIOCGIFNETMASK */, NULL), EFAULT);
}
