/* cmsg(3): what recvmsg brings beside the data, and what sendmsg asks for beside it. */
#include "harness.h"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>

#define UDP_CORK_ 1
#define UDP_SEGMENT_ 103
#define UDP_GRO_ 104
#define TCP_INQ_ 36
#define IPV6_DONTFRAG_ 62
#ifndef IPV6_RECVORIGDSTADDR
#define IPV6_RECVORIGDSTADDR 74
#endif

struct parcel {
    ssize_t len;
    int flags;
    size_t control_len;
    char data[70000];
    union {
        char bytes[1024];
        struct cmsghdr align;
    } control;
    struct msghdr m;
    struct iovec v;
    struct addr from;
};
static struct parcel got;

static ssize_t take(int fd, int flags, size_t room)
{
    memset(&got, 0, sizeof(got));
    got.v.iov_base = got.data;
    got.v.iov_len = sizeof(got.data);
    got.m.msg_iov = &got.v;
    got.m.msg_iovlen = 1;
    got.m.msg_name = &got.from.ss;
    got.m.msg_namelen = sizeof(got.from.ss);
    got.m.msg_control = got.control.bytes;
    got.m.msg_controllen = room;
    got.len = recvmsg(fd, &got.m, flags);
    got.flags = got.m.msg_flags & ~MSG_CMSG_CLOEXEC;
    return got.len;
}

static int count(void)
{
    int n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&got.m); c; c = CMSG_NXTHDR(&got.m, c))
        n++;
    return n;
}

static void *find(int level, int type, size_t len)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&got.m); c; c = CMSG_NXTHDR(&got.m, c))
        if (c->cmsg_level == level && c->cmsg_type == type) {
            EQ(c->cmsg_len, CMSG_LEN(len));
            return CMSG_DATA(c);
        }
    check_true(__FILE__, __LINE__, "the control message is there", false);
    return NULL;
}

static int find_int(int level, int type)
{
    int value;
    memcpy(&value, find(level, type, sizeof(value)), sizeof(value));
    return value;
}

/* One message of a send. */
static ssize_t put(int fd, const struct addr *to, int level, int type, const void *data, size_t len)
{
    union {
        char bytes[256];
        struct cmsghdr align;
    } control;
    struct iovec v = {"abc", 3};
    struct msghdr m;
    memset(&m, 0, sizeof(m));
    memset(&control, 0, sizeof(control));
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    m.msg_control = control.bytes;
    m.msg_controllen = CMSG_SPACE(len);
    if (to) {
        m.msg_name = (void *)&to->ss;
        m.msg_namelen = to->len;
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), data, len);
    return sendmsg(fd, &m, 0);
}

static ssize_t put_int(int fd, int level, int type, int value)
{
    return put(fd, NULL, level, type, &value, sizeof(value));
}

BOTH(nothing_asked_nothing_brought)
{
    struct pair p = udp_pair(family);
    EQ(send(p.client, "abc", 3, 0), 3);
    EQ(take(p.server, 0, 1024), 3);
    EQ(got.m.msg_controllen, 0);
    EQ(got.flags, 0);
}

BOTH(everything_of_a_datagram)
{
    struct pair p = udp_pair(family);
    struct addr us = local_of(p.server);
    if (family == AF_INET) {
        set_int(p.server, SOL_IP, IP_PKTINFO, 1);
        set_int(p.server, SOL_IP, IP_RECVTTL, 1);
        set_int(p.server, SOL_IP, IP_RECVTOS, 1);
        set_int(p.server, SOL_IP, IP_RECVORIGDSTADDR, 1);
        set_int(p.client, SOL_IP, IP_TTL, 33);
        set_int(p.client, SOL_IP, IP_TOS, 0x28);
    } else {
        set_int(p.server, SOL_IPV6, IPV6_RECVPKTINFO, 1);
        set_int(p.server, SOL_IPV6, IPV6_RECVHOPLIMIT, 1);
        set_int(p.server, SOL_IPV6, IPV6_RECVTCLASS, 1);
        set_int(p.server, SOL_IPV6, IPV6_RECVORIGDSTADDR, 1);
        set_int(p.client, SOL_IPV6, IPV6_UNICAST_HOPS, 33);
        set_int(p.client, SOL_IPV6, IPV6_TCLASS, 0x28);
    }
    set_int(p.server, SOL_SOCKET, SO_TIMESTAMP, 1);
    EQ(send(p.client, "abc", 3, 0), 3);
    for (int i = 0; i < 2; i++) {
        EQ(take(p.server, i ? 0 : MSG_PEEK, 1024), 3);
        EQ(count(), 5);
        EQ(got.flags, 0);
        struct timeval t, now;
        memcpy(&t, find(SOL_SOCKET, SO_TIMESTAMP, sizeof(t)), sizeof(t));
        gettimeofday(&now, NULL);
        RANGE(now.tv_sec - t.tv_sec, 0, 5);
        RANGE(t.tv_usec, 0, 999999);
        if (family == AF_INET) {
            struct in_pktinfo info;
            struct sockaddr_in dst;
            memcpy(&info, find(SOL_IP, IP_PKTINFO, sizeof(info)), sizeof(info));
            EQ(info.ipi_ifindex, 1);
            EQ(info.ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
            EQ(info.ipi_spec_dst.s_addr, htonl(INADDR_LOOPBACK));
            EQ(find_int(SOL_IP, IP_TTL), 33);
            EQ(*(unsigned char *)find(SOL_IP, IP_TOS, 1), 0x28);
            memcpy(&dst, find(SOL_IP, IP_ORIGDSTADDR, sizeof(dst)), sizeof(dst));
            EQ(dst.sin_family, AF_INET);
            EQ(dst.sin_port, us.v4.sin_port);
            EQ(dst.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
        } else {
            struct in6_pktinfo info;
            struct sockaddr_in6 dst;
            memcpy(&info, find(SOL_IPV6, IPV6_PKTINFO, sizeof(info)), sizeof(info));
            EQ(info.ipi6_ifindex, 1);
            TRUE(IN6_IS_ADDR_LOOPBACK(&info.ipi6_addr));
            EQ(find_int(SOL_IPV6, IPV6_HOPLIMIT), 33);
            EQ(find_int(SOL_IPV6, IPV6_TCLASS), 0x28);
            memcpy(&dst, find(SOL_IPV6, IPV6_RECVORIGDSTADDR, sizeof(dst)), sizeof(dst));
            EQ(dst.sin6_port, us.v6.sin6_port);
            TRUE(IN6_IS_ADDR_LOOPBACK(&dst.sin6_addr));
        }
    }
}

/* IPv4 on an IPv6 socket: what each level asks for. */
CASE(everything_of_a_mapped_datagram)
{
    struct addr any = wildcard(AF_INET6, 0), to;
    int fd = udp(AF_INET6), sender = udp(AF_INET);
    OK(bind(fd, &any.sa, any.len));
    any = local_of(fd);
    to = ipv4("127.0.0.1", port_of(&any));
    set_int(fd, SOL_IPV6, IPV6_RECVPKTINFO, 1);
    set_int(fd, SOL_IPV6, IPV6_RECVHOPLIMIT, 1);
    set_int(fd, SOL_IPV6, IPV6_RECVTCLASS, 1);
    set_int(fd, SOL_IP, IP_RECVTTL, 1);
    set_int(fd, SOL_IP, IP_RECVTOS, 1);
    set_int(fd, SOL_IP, IP_PKTINFO, 1);
    EQ(sendto(sender, "abc", 3, 0, &to.sa, to.len), 3);
    EQ(take(fd, 0, 1024), 3);
    EQ(count(), 4);
    struct in6_pktinfo info6;
    memcpy(&info6, find(SOL_IPV6, IPV6_PKTINFO, sizeof(info6)), sizeof(info6));
    TRUE(IN6_IS_ADDR_V4MAPPED(&info6.ipi6_addr));
    EQ(info6.ipi6_ifindex, 1);
    EQ(find_int(SOL_IP, IP_TTL), 64);
    EQ(*(unsigned char *)find(SOL_IP, IP_TOS, 1), 0);
    struct in_pktinfo info;
    memcpy(&info, find(SOL_IP, IP_PKTINFO, sizeof(info)), sizeof(info));
    EQ(info.ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
}

/* No room: MSG_CTRUNC, and as much as fits. */
BOTH(cut_control)
{
    struct pair p = udp_pair(family);
    int level = family == AF_INET ? SOL_IP : SOL_IPV6;
    set_int(p.server, level, family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
    size_t rooms[] = {0, 8, sizeof(struct cmsghdr), CMSG_LEN(2), CMSG_LEN(4), CMSG_SPACE(4), 1024};
    size_t used[] = {0, 0, sizeof(struct cmsghdr), CMSG_LEN(2), CMSG_LEN(4), CMSG_SPACE(4), CMSG_SPACE(4)};
    for (size_t i = 0; i < ARRAY_LEN(rooms); i++) {
        EQ(send(p.client, "abc", 3, 0), 3);
        EQ(take(p.server, 0, rooms[i]), 3);
        EQ(got.m.msg_controllen, used[i]);
        EQ(got.flags, rooms[i] < CMSG_LEN(4) ? MSG_CTRUNC : 0);
    }
}

static void stamp(int fd, int peer, int option, size_t len)
{
    struct timespec t, now;
    int zero = 0;
    set_int(fd, SOL_SOCKET, option, 1);
    EQ(send(peer, "abc", 3, 0), 3);
    EQ(take(fd, 0, 1024), 3);
    EQ(count(), 1);
    memcpy(&t, find(SOL_SOCKET, option, len), sizeof(t));
    clock_gettime(CLOCK_REALTIME, &now);
    RANGE(now.tv_sec - t.tv_sec, 0, 5);
    OK(setsockopt(fd, SOL_SOCKET, option, &zero, sizeof(zero)));
    EQ(send(peer, "abc", 3, 0), 3);
    EQ(take(fd, 0, 1024), 3);
    EQ(count(), 0);
}

BOTH(time_of_arrival)
{
    struct pair p = udp_pair(family);
    stamp(p.server, p.client, SO_TIMESTAMP, 16);
    stamp(p.server, p.client, SO_TIMESTAMPNS, 16);
    stamp(p.server, p.client, 63 /* SO_TIMESTAMP_NEW */, 16);
    stamp(p.server, p.client, 64 /* SO_TIMESTAMPNS_NEW */, 16);
    set_int(p.server, SOL_SOCKET, SO_TIMESTAMP, 1);
    set_int(p.server, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    EQ(get_int(p.server, SOL_SOCKET, SO_TIMESTAMP), 0);
    EQ(get_int(p.server, SOL_SOCKET, SO_TIMESTAMPNS), 1);
    set_int(p.server, SOL_SOCKET, SO_TIMESTAMPNS, 0);
    set_int(p.server, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
    sleep_ms(SHORT_MS * 3); /* the kernel begins to take times a while later */
    EQ(send(p.client, "abc", 3, 0), 3);
    EQ(take(p.server, 0, 1024), 3);
    EQ(count(), 1);
    find(SOL_SOCKET, SO_TIMESTAMPING, 48);
}

BOTH(time_of_arrival_on_a_stream)
{
    struct pair p = tcp_pair(family);
    set_int(p.server, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    sleep_ms(SHORT_MS * 3);
    EQ(send(p.client, "abc", 3, 0), 3);
    wait_for(p.server, POLLIN);
    EQ(take(p.server, 0, 1024), 3);
    EQ(count(), 1);
    find(SOL_SOCKET, SO_TIMESTAMPNS, 16);
    set_int(p.server, SOL_SOCKET, SO_TIMESTAMPNS, 0);
    set_int(p.server, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
    sleep_ms(SHORT_MS * 3);
    EQ(send(p.client, "abc", 3, 0), 3);
    wait_for(p.server, POLLIN);
    EQ(take(p.server, 0, 1024), 3);
    EQ(count(), 1);
    find(SOL_SOCKET, SO_TIMESTAMPING, 48);
}

BOTH(dropped_datagrams_are_counted)
{
    struct pair p = udp_pair(family);
    static char data[1000];
    unsigned dropped = 0;
    set_int(p.server, SOL_SOCKET, SO_RXQ_OVFL, 1);
    set_int(p.server, SOL_SOCKET, SO_RCVBUF, 4096);
    for (int i = 0; i < 50; i++)
        EQ(send(p.client, data, sizeof(data), 0), sizeof(data));
    while (take(p.server, MSG_DONTWAIT, 1024) > 0)
        EQ(count(), 0);
    EQ(send(p.client, data, 1, 0), 1);
    EQ(take(p.server, 0, 1024), 1);
    EQ(count(), 1);
    memcpy(&dropped, find(SOL_SOCKET, SO_RXQ_OVFL, sizeof(dropped)), sizeof(dropped));
    RANGE(dropped, 30, 49);
}

BOTH(what_is_left_of_a_stream)
{
    struct pair p = tcp_pair(family);
    char few[10];
    struct iovec v = {few, sizeof(few)};
    set_int(p.server, IPPROTO_TCP, TCP_INQ_, 1);
    send_all(p.client, "0123456789abcdef", 16);
    wait_for(p.server, POLLIN);
    memset(&got, 0, sizeof(got));
    got.m.msg_iov = &v;
    got.m.msg_iovlen = 1;
    got.m.msg_control = got.control.bytes;
    got.m.msg_controllen = sizeof(got.control.bytes);
    EQ(recvmsg(p.server, &got.m, 0), 10);
    EQ(count(), 1);
    EQ(find_int(IPPROTO_TCP, TCP_INQ_), 6);
    EQ(take(p.server, MSG_PEEK, 1024), 6);
    EQ(find_int(IPPROTO_TCP, TCP_INQ_), 6);
    EQ(take(p.server, 0, 1024), 6);
    EQ(find_int(IPPROTO_TCP, TCP_INQ_), 0);
    send_all(p.client, "end", 3);
    close(p.client);
    wait_for(p.server, POLLRDHUP);
    EQ(take(p.server, MSG_WAITALL, 1024), 3);
    EQ(find_int(IPPROTO_TCP, TCP_INQ_), 1);
    EQ(take(p.server, 0, 1024), 0);
    EQ(find_int(IPPROTO_TCP, TCP_INQ_), 1);
}

BOTH(sent_with_a_ttl_of_its_own)
{
    struct pair p = udp_pair(family);
    int level = family == AF_INET ? SOL_IP : SOL_IPV6, ttl = family == AF_INET ? IP_TTL : IPV6_HOPLIMIT,
        tos = family == AF_INET ? IP_TOS : IPV6_TCLASS;
    unsigned char byte = 0x10;
    set_int(p.server, level, family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
    set_int(p.server, level, family == AF_INET ? IP_RECVTOS : IPV6_RECVTCLASS, 1);
    EQ(put_int(p.client, level, ttl, 7), 3);
    EQ(take(p.server, 0, 1024), 3);
    EQ(find_int(level, ttl), 7);
    EQ(put_int(p.client, level, tos, 0x20), 3);
    EQ(take(p.server, 0, 1024), 3);
    EQ(find_int(level, ttl), 64);
    EQ(*(unsigned char *)find(level, tos, family == AF_INET ? 1 : 4), 0x20);
    EQ(send(p.client, "abc", 3, 0), 3);
    EQ(take(p.server, 0, 1024), 3);
    EQ(*(unsigned char *)find(level, tos, family == AF_INET ? 1 : 4), 0);
    ERR(put_int(p.client, level, ttl, 256), EINVAL);
    ERR(put_int(p.client, level, tos, 256), EINVAL);
    ERR(put(p.client, NULL, level, ttl, &byte, 1), EINVAL);
    if (family == AF_INET) {
        ERR(put_int(p.client, level, ttl, 0), EINVAL);
        ERR(put_int(p.client, level, ttl, -1), EINVAL);
        EQ(put(p.client, NULL, level, tos, &byte, 1), 3);
    } else {
        EQ(put_int(p.client, level, ttl, 0), 3);
        EQ(put_int(p.client, level, ttl, -1), 3);
        EQ(put_int(p.client, level, IPV6_DONTFRAG_, 1), 3);
        ERR(put_int(p.client, level, IPV6_DONTFRAG_, 2), EINVAL);
        ERR(put(p.client, NULL, level, tos, &byte, 1), EINVAL);
    }
}

BOTH(sent_from_an_address_of_its_own)
{
    struct addr any = wildcard(family, 0), to;
    int fd = udp(family), other = bound_udp(family, &to);
    OK(bind(fd, &any.sa, any.len));
    if (family == AF_INET) {
        struct in_pktinfo info;
        memset(&info, 0, sizeof(info));
        info.ipi_spec_dst.s_addr = inet_addr("127.0.0.9");
        EQ(put(fd, &to, SOL_IP, IP_PKTINFO, &info, sizeof(info)), 3);
        EQ(take(other, 0, 1024), 3);
        EQ(got.from.v4.sin_addr.s_addr, inet_addr("127.0.0.9"));
        info.ipi_spec_dst.s_addr = inet_addr("198.51.100.1");
        ERR(put(fd, &to, SOL_IP, IP_PKTINFO, &info, sizeof(info)), ENETUNREACH);
        info.ipi_spec_dst.s_addr = 0;
        info.ipi_ifindex = 1;
        EQ(put(fd, &to, SOL_IP, IP_PKTINFO, &info, sizeof(info)), 3);
        info.ipi_ifindex = 4711;
        ERR(put(fd, &to, SOL_IP, IP_PKTINFO, &info, sizeof(info)), ENODEV);
        ERR(put(fd, &to, SOL_IP, IP_PKTINFO, &info, sizeof(info) - 1), EINVAL);
        ERR(put(fd, &to, SOL_IP, 4711, &info, 4), EINVAL);
        ERR(put_int(fd, SOL_IP, 4711, 1), EDESTADDRREQ);
    } else {
        struct in6_pktinfo info;
        memset(&info, 0, sizeof(info));
        info.ipi6_addr = in6addr_loopback;
        EQ(put(fd, &to, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info)), 3);
        EQ(take(other, 0, 1024), 3);
        inet_pton(AF_INET6, "2001:db8::1", &info.ipi6_addr);
        ERR(put(fd, &to, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info)), EINVAL);
        info.ipi6_addr = in6addr_any;
        info.ipi6_ifindex = 4711;
        ERR(put(fd, &to, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info)), ENODEV);
        ERR(put(fd, &to, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info) - 1), EINVAL);
        ERR(put(fd, &to, SOL_IPV6, 4711, &info, 4), EINVAL);
        ERR(put_int(fd, SOL_IPV6, 4711, 1), EDESTADDRREQ);
    }
}

BOTH(levels_that_nobody_looks_at)
{
    struct pair p = udp_pair(family), t = tcp_pair(family);
    EQ(put_int(p.client, 4711, 1, 1), 3);
    EQ(put_int(t.client, 4711, 1, 1), 3);
    EQ(put_int(t.client, SOL_IP, IP_TTL, 0), 3);
    ERR(put_int(p.client, SOL_SOCKET, 4711, 1), EINVAL);
    ERR(put_int(t.client, SOL_SOCKET, 4711, 1), EINVAL);
    ERR(put_int(p.client, IPPROTO_UDP, 4711, 1), EINVAL);
    EQ(put_int(t.client, IPPROTO_UDP, 4711, 1), 3);
}

/* --- UDP_SEGMENT, UDP_GRO, UDP_CORK ----------------------------------------------------------------------------- */

BOTH(one_send_many_datagrams)
{
    struct pair p = udp_pair(family);
    static char data[2500];
    uint16_t size = 1000;
    pattern(data, sizeof(data), 5);
    set_int(p.client, IPPROTO_UDP, UDP_SEGMENT_, 1000);
    EQ(send(p.client, data, sizeof(data), 0), sizeof(data));
    for (int i = 0; i < 3; i++) {
        EQ(take(p.server, 0, 1024), i < 2 ? 1000 : 500);
        EQ(memcmp(got.data, data + 1000 * i, (size_t)got.len), 0);
    }
    EQ(send(p.client, data, 10, 0), 10);
    EQ(take(p.server, 0, 1024), 10);
    EQ(take(p.server, MSG_DONTWAIT, 1024), -1);
    set_int(p.client, IPPROTO_UDP, UDP_SEGMENT_, 0);
    size = 2;
    EQ(put(p.client, NULL, IPPROTO_UDP, UDP_SEGMENT_, &size, sizeof(size)), 3);
    EQ(take(p.server, 0, 1024), 2);
    EQ(take(p.server, 0, 1024), 1);
    ERR(put_int(p.client, IPPROTO_UDP, UDP_SEGMENT_, 2), EINVAL);
    set_int(p.client, IPPROTO_UDP, UDP_SEGMENT_, 1);
    ERR(send(p.client, data, 200, 0), EINVAL);
}

BOTH(cork)
{
    struct pair p = udp_pair(family);
    int off = 0;
    set_int(p.client, IPPROTO_UDP, UDP_CORK_, 1);
    EQ(send(p.client, "one", 3, 0), 3);
    EQ(send(p.client, "two", 3, 0), 3);
    EQ(events_of(p.server, POLLIN, SHORT_MS), 0);
    OK(setsockopt(p.client, IPPROTO_UDP, UDP_CORK_, &off, sizeof(off)));
    EQ(take(p.server, 0, 1024), 6);
    EQ(memcmp(got.data, "onetwo", 6), 0);
    EQ(send(p.client, "x", 1, 0), 1);
    EQ(take(p.server, 0, 1024), 1);
}

/* Over the loopback nothing is put together that was not sent together; what was, comes as one with its pieces' size. */
BOTH(received_together)
{
    struct pair p = udp_pair(family);
    static char data[2500];
    int n = 0;
    ssize_t all = 0;
    set_int(p.server, IPPROTO_UDP, UDP_GRO_, 1);
    set_int(p.client, IPPROTO_UDP, UDP_SEGMENT_, 1000);
    EQ(send(p.client, data, sizeof(data), 0), sizeof(data));
    while (all < (ssize_t)sizeof(data)) {
        all += OK(take(p.server, 0, 1024));
        n++;
    }
    EQ(all, sizeof(data));
    RANGE(n, 1, 3);
    EQ(send(p.client, "abc", 3, 0), 3);
    EQ(take(p.server, 0, 1024), 3);
}

/* IP_PMTUDISC_DO does not cut, IP_PMTUDISC_DONT does (the path is the loopback's, so only lengths above it show). */
BOTH(path_mtu_discovery)
{
    struct pair p = udp_pair(family);
    static char data[65000];
    for (int how = 0; how <= 5; how++) {
        set_int(p.client, family == AF_INET ? SOL_IP : SOL_IPV6,
                family == AF_INET ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, how);
        EQ(send(p.client, data, sizeof(data), 0), sizeof(data));
        EQ(take(p.server, 0, 1024), sizeof(data));
    }
    if (family == AF_INET6) {
        int mtu = 1280;
        set_int(p.client, SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
        OK(setsockopt(p.client, SOL_IPV6, IPV6_MTU, &mtu, sizeof(mtu)));
        EQ(send(p.client, data, 1232, 0), 1232);
        ERR(send(p.client, data, 1233, 0), EMSGSIZE);
        set_int(p.client, SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT);
        EQ(send(p.client, data, 1233, 0), 1233);
        set_int(p.client, SOL_IPV6, IPV6_DONTFRAG_, 1);
        ERR(send(p.client, data, 1233, 0), EMSGSIZE);
    }
}

/* The kernel takes times from the first question on. */
BOTH(time_of_the_last_datagram)
{
    struct pair p = udp_pair(family), t = tcp_pair(family);
    struct timeval tv, now;
    struct timespec ts;
    ERR(ioctl(p.server, SIOCGSTAMP_OLD, &tv), ENOENT);
    ERR(ioctl(p.server, SIOCGSTAMPNS_OLD, &ts), ENOENT);
    ERR(ioctl(t.server, SIOCGSTAMP_OLD, &tv), ENOENT);
    EQ(send(p.client, "abc", 3, 0), 3);
    EQ(take(p.server, 0, 1024), 3);
    OK(ioctl(p.server, SIOCGSTAMP_OLD, &tv));
    OK(ioctl(p.server, SIOCGSTAMPNS_OLD, &ts));
    gettimeofday(&now, NULL);
    RANGE(now.tv_sec - tv.tv_sec, 0, 5);
    RANGE(now.tv_sec - ts.tv_sec, 0, 5);
    RANGE(tv.tv_usec, 0, 999999);
}
