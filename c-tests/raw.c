/* Raw sockets (raw(7)) and ping sockets (icmp(7)). */
#include "device.h"

#include <linux/capability.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <sys/syscall.h>

#ifndef ICMP_FILTER
#define ICMP_FILTER 1
#endif
#define OSPF 89

static int raw_of(int family, int protocol) { return (int)OK(socket(family, SOCK_RAW, protocol)); }

static int icmp_of(int family) { return family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6; }

static unsigned short sum_of(const void *data, size_t len)
{
    const unsigned char *p = data;
    unsigned sum = 0;
    for (size_t i = 0; i < len; i += 2)
        sum += (unsigned)p[i] << 8 | (i + 1 < len ? p[i + 1] : 0);
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((unsigned short)~sum);
}

/* An echo request with its checksum for IPv4; on IPv6 that is the stack's work. */
static size_t echo(int family, unsigned char *to, unsigned short ident)
{
    memset(to, 0, 16);
    to[0] = family == AF_INET ? 8 : 128;
    to[4] = (unsigned char)(ident >> 8);
    to[5] = (unsigned char)ident;
    memcpy(to + 8, "payload!", 8);
    if (family == AF_INET) {
        unsigned short sum = sum_of(to, 16);
        memcpy(to + 2, &sum, 2);
    }
    return 16;
}

/* Receives one packet; its ICMP (or other) message begins at the returned place. */
static const unsigned char *message(int fd, int family, unsigned char *room, ssize_t *len)
{
    *len = OK(recv(fd, room, 2048, 0));
    if (family == AF_INET6)
        return room;
    EQ(room[0] >> 4, 4);
    int head = (room[0] & 15) * 4;
    *len -= head;
    return room + head;
}

static void drop_rights(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    OK(syscall(SYS_capset, &head, none));
}

BOTH(needs_the_right)
{
    OK(close(udp(family)));
    OK(close(raw_of(family, icmp_of(family))));
    drop_rights();
    ERR(socket(family, SOCK_RAW, icmp_of(family)), EPERM);
    ERR(socket(family, SOCK_RAW, 0), EPROTONOSUPPORT);
    ERR(socket(family, SOCK_RAW, -1), EINVAL);
}

BOTH(what_it_is)
{
    for (int *p = (int[]){1, 2, 6, 17, 58, OSPF, 254, 255, 0}; *p; p++) {
        int fd = raw_of(family, *p);
        EQ(get_int(fd, SOL_SOCKET, SO_TYPE), SOCK_RAW);
        EQ(get_int(fd, SOL_SOCKET, SO_PROTOCOL), *p);
        EQ(get_int(fd, SOL_SOCKET, SO_DOMAIN), family);
        struct addr a = local_of(fd), any = wildcard(family, *p);
        TRUE(same_addr(&a, &any));
        OK(close(fd));
    }
    ERR(socket(family, SOCK_RAW, 0), EPROTONOSUPPORT);
    ERR(socket(family, SOCK_DGRAM, family == AF_INET ? IPPROTO_ICMPV6 : IPPROTO_ICMP), EPROTONOSUPPORT);
    ERR(socket(family, SOCK_STREAM, icmp_of(family)), EPROTONOSUPPORT);
}

/* raw_bind: a raw socket's protocol is none that IP_BIND_ADDRESS_NO_PORT could put off, and a connected one is not bound again. */
BOTH(bound_without_a_port_it_keeps_its_protocol)
{
    struct addr here = loopback(family, 0), got;
    unsigned char room[64];
    int on = 1, fd = raw_of(family, OSPF), from = raw_of(family, OSPF);
    if (family == AF_INET)
        set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, on);
    else
        ERR(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)), ENOPROTOOPT);
    OK(bind(fd, &here.sa, here.len));
    got = local_of(fd);
    struct addr want = loopback(family, OSPF);
    TRUE(same_addr(&got, &want));
    EQ(sendto(from, "hello", 5, 0, &here.sa, here.len), 5);
    TRUE(recv(fd, room, sizeof(room), 0) >= 5);
    OK(bind(fd, &here.sa, here.len));
    got = local_of(fd);
    TRUE(same_addr(&got, &want));
    OK(connect(fd, &here.sa, here.len));
    ERR(bind(fd, &here.sa, here.len), EINVAL);
}

BOTH(pings_itself)
{
    struct addr to = loopback(family, 0), from;
    unsigned char request[16], got[2048];
    int fd = raw_of(family, icmp_of(family));
    ssize_t len;
    EQ(sendto(fd, request, echo(family, request, 7), 0, &to.sa, to.len), 16);
    const unsigned char *m = message(fd, family, got, &len);
    EQ(len, 16);
    EQ(m[0], request[0]);
    m = message(fd, family, got, &len);
    EQ(len, 16);
    EQ(m[0], family == AF_INET ? 0 : 129);
    EQ(memcmp(m + 4, request + 4, 12), 0);
    EQ(sendto(fd, request, 16, 0, &to.sa, to.len), 16);
    from.len = sizeof(from.ss);
    OK(recvfrom(fd, got, sizeof(got), 0, &from.sa, &from.len));
    TRUE(same_addr(&from, &to));
    EQ(from.len, to.len);
}

BOTH(several_readers_of_any_protocol)
{
    struct addr to = loopback(family, 0);
    unsigned char got[2048];
    int fds[3], x = raw_of(family, OSPF);
    ssize_t len;
    for (int i = 0; i < 3; i++)
        fds[i] = raw_of(family, OSPF);
    EQ(sendto(x, "hello", 5, 0, &to.sa, to.len), 5);
    for (int i = 0; i < 3; i++) {
        const unsigned char *m = message(fds[i], family, got, &len);
        EQ(len, 5);
        EQ(memcmp(m, "hello", 5), 0);
    }
    EQ(events_of(raw_of(family, 90), POLLIN, SHORT_MS), 0);
}

BOTH(sees_udp_and_udp_does_too)
{
    struct addr a;
    unsigned char got[2048];
    int raw = raw_of(family, IPPROTO_UDP), y = bound_udp(family, &a), x = udp(family);
    ssize_t len;
    EQ(sendto(x, "hello", 5, 0, &a.sa, a.len), 5);
    EQ(recv(y, got, sizeof(got), 0), 5);
    const unsigned char *m = message(raw, family, got, &len);
    EQ(len, 13);
    EQ(m[2] << 8 | m[3], port_of(&a));
    EQ(memcmp(m + 8, "hello", 5), 0);
}

BOTH(bound_and_connected)
{
    struct addr lo = loopback(family, 0), own = device_addr(family, 0);
    unsigned char got[64];
    int bound = raw_of(family, OSPF), elsewhere = raw_of(family, OSPF), connected = raw_of(family, OSPF);
    int x = raw_of(family, OSPF);
    OK(bind(bound, &lo.sa, lo.len));
    OK(bind(bound, &lo.sa, lo.len));
    OK(bind(elsewhere, &own.sa, own.len));
    OK(connect(connected, &own.sa, own.len));
    ERR(getpeername(connected, &own.sa, &(socklen_t){sizeof(own.ss)}), ENOTCONN);
    EQ(sendto(x, "lo", 2, 0, &lo.sa, lo.len), 2);
    OK(recv(bound, got, sizeof(got), 0));
    EQ(events_of(elsewhere, POLLIN, SHORT_MS), 0);
    EQ(events_of(connected, POLLIN, 0), 0);
    own = device_addr(family, 0);
    EQ(sendto(x, "own", 3, 0, &own.sa, own.len), 3);
    OK(recv(elsewhere, got, sizeof(got), 0));
    OK(recv(connected, got, sizeof(got), 0));
    EQ(events_of(bound, POLLIN, SHORT_MS), 0);
    EQ(send(connected, "own", 3, 0), 3);
    struct addr no = family == AF_INET ? ipv4("10.99.0.1", 0) : ipv6("fd99::1", 0);
    ERR(bind(x, &no.sa, no.len), EADDRNOTAVAIL);
}

BOTH(refusals)
{
    struct addr to = loopback(family, 0), other = loopback(family == AF_INET ? AF_INET6 : AF_INET, 0);
    static char big[70000];
    int fd = raw_of(family, OSPF);
    ERR(send(fd, "x", 1, 0), EDESTADDRREQ);
    ERR(sendto(fd, "x", 1, MSG_OOB, &to.sa, to.len), EOPNOTSUPP);
    ERR(listen(fd, 1), EOPNOTSUPP);
    ERR(accept(fd, NULL, NULL), EOPNOTSUPP);
    ERR(sendto(fd, "x", 1, 0, &to.sa, 3), EINVAL);
    ERR(sendto(fd, "x", 1, 0, &other.sa, other.len), family == AF_INET ? EAFNOSUPPORT : EINVAL);
    ERR(sendto(fd, big, sizeof(big), 0, &to.sa, to.len), EMSGSIZE);
    ERR(recv(fd, big, 1, MSG_DONTWAIT), EAGAIN);
    ERR(shutdown(fd, SHUT_RDWR), ENOTCONN);
    struct addr many = ipv4("255.255.255.255", 0);
    if (family == AF_INET) {
        need_device();
        ERR(sendto(fd, "x", 1, 0, &many.sa, many.len), EACCES);
    }
}

CASE(icmp_filter)
{
    struct addr to = loopback(AF_INET, 0);
    unsigned char request[16], got[2048];
    int fd = raw_of(AF_INET, IPPROTO_ICMP), value = ~(1 << 0);
    ssize_t len;
    EQ(get_int(fd, SOL_RAW, ICMP_FILTER), 0);
    OK(setsockopt(fd, SOL_RAW, ICMP_FILTER, &value, sizeof(value)));
    EQ(get_int(fd, SOL_RAW, ICMP_FILTER), value);
    EQ(sendto(fd, request, echo(AF_INET, request, 7), 0, &to.sa, to.len), 16);
    EQ(message(fd, AF_INET, got, &len)[0], 0);
    EQ(events_of(fd, POLLIN, SHORT_MS), 0);
    ERR(setsockopt(raw_of(AF_INET, OSPF), SOL_RAW, ICMP_FILTER, &value, sizeof(value)), EOPNOTSUPP);
    ERR(setsockopt(fd, SOL_RAW, 99, &value, sizeof(value)), ENOPROTOOPT);
    OK(setsockopt(fd, SOL_RAW, ICMP_FILTER, &value, 1));
}

CASE(icmp6_filter)
{
    struct addr to = loopback(AF_INET6, 0);
    unsigned char request[16], got[2048];
    int fd = raw_of(AF_INET6, IPPROTO_ICMPV6);
    struct icmp6_filter filter, back;
    socklen_t size = sizeof(back);
    ssize_t len;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
    OK(setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)));
    OK(getsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &back, &size));
    EQ(size, sizeof(back));
    EQ(memcmp(&filter, &back, sizeof(back)), 0);
    EQ(sendto(fd, request, echo(AF_INET6, request, 7), 0, &to.sa, to.len), 16);
    EQ(message(fd, AF_INET6, got, &len)[0], 129);
    EQ(events_of(fd, POLLIN, SHORT_MS), 0);
    ERR(setsockopt(raw_of(AF_INET6, OSPF), IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)), EOPNOTSUPP);
}

CASE(header_included)
{
    struct addr to = loopback(AF_INET, 0);
    unsigned char got[2048], packet[40] = {0};
    int fd = raw_of(AF_INET, IPPROTO_RAW), y = raw_of(AF_INET, OSPF), z = raw_of(AF_INET, OSPF), on = 1;
    ssize_t len;
    EQ(get_int(fd, IPPROTO_IP, IP_HDRINCL), 1);
    EQ(get_int(y, IPPROTO_IP, IP_HDRINCL), 0);
    ERR(setsockopt(udp(AF_INET), IPPROTO_IP, IP_HDRINCL, &on, sizeof(on)), ENOPROTOOPT);
    OK(setsockopt(z, IPPROTO_IP, IP_HDRINCL, &on, sizeof(on)));
    struct iphdr head = {.version = 4, .ihl = 5, .ttl = 33, .tos = 8, .protocol = OSPF};
    head.daddr = htonl(INADDR_LOOPBACK);
    memcpy(packet, &head, sizeof(head));
    memcpy(packet + 20, "mine", 4);
    EQ(sendto(fd, packet, 24, 0, &to.sa, to.len), 24);
    len = OK(recv(y, got, sizeof(got), 0));
    EQ(len, 24);
    memcpy(&head, got, sizeof(head));
    EQ(ntohs(head.tot_len), 24);
    EQ(head.ttl, 33);
    EQ(head.tos, 8);
    EQ(ntohl(head.saddr), INADDR_LOOPBACK);
    EQ(sum_of(got, 20), 0);
    EQ(memcmp(got + 20, "mine", 4), 0);
    EQ(sendto(z, packet, 24, 0, &to.sa, to.len), 24);
    EQ(recv(y, got, sizeof(got), 0), 24);
    ERR(sendto(fd, packet, 19, 0, &to.sa, to.len), EINVAL);
    packet[0] = 0x4f;
    ERR(sendto(fd, packet, 24, 0, &to.sa, to.len), EINVAL);
}

CASE(wrong_checksum_is_noticed)
{
    struct addr to = loopback(AF_INET, 0);
    unsigned char request[16], got[2048];
    int fd = raw_of(AF_INET, IPPROTO_ICMP);
    ssize_t len;
    echo(AF_INET, request, 7);
    request[9] ^= 1;
    EQ(sendto(fd, request, 16, 0, &to.sa, to.len), 16);
    EQ(message(fd, AF_INET, got, &len)[0], 8);
    EQ(events_of(fd, POLLIN, SHORT_MS), 0);
}

CASE(checksum_v6)
{
    struct addr to = loopback(AF_INET6, 0);
    unsigned char got[64], data[6] = {1, 2, 0, 0, 5, 6};
    int x = raw_of(AF_INET6, OSPF), y = raw_of(AF_INET6, OSPF), n;
    EQ(get_int(x, IPPROTO_IPV6, IPV6_CHECKSUM), -1);
    n = 2;
    OK(setsockopt(x, IPPROTO_IPV6, IPV6_CHECKSUM, &n, sizeof(n)));
    EQ(get_int(x, IPPROTO_IPV6, IPV6_CHECKSUM), 2);
    EQ(sendto(x, data, 6, 0, &to.sa, to.len), 6);
    EQ(recv(y, got, sizeof(got), 0), 6);
    TRUE(got[2] || got[3]);
    OK(setsockopt(y, IPPROTO_IPV6, IPV6_CHECKSUM, &n, sizeof(n)));
    n = -1;
    EQ(recv(x, got, sizeof(got), 0), 6);
    OK(setsockopt(x, IPPROTO_IPV6, IPV6_CHECKSUM, &n, sizeof(n)));
    EQ(sendto(x, data, 6, 0, &to.sa, to.len), 6);
    EQ(events_of(y, POLLIN, SHORT_MS), 0);
    n = 3;
    ERR(setsockopt(x, IPPROTO_IPV6, IPV6_CHECKSUM, &n, sizeof(n)), EINVAL);
    n = 2;
    ERR(setsockopt(raw_of(AF_INET6, IPPROTO_ICMPV6), IPPROTO_IPV6, IPV6_CHECKSUM, &n, sizeof(n)), EINVAL);
    EQ(get_int(raw_of(AF_INET6, IPPROTO_ICMPV6), IPPROTO_IPV6, IPV6_CHECKSUM), 2);
    n = 100;
    OK(setsockopt(x, IPPROTO_IPV6, IPV6_CHECKSUM, &n, sizeof(n)));
    ERR(sendto(x, data, 6, 0, &to.sa, to.len), EINVAL);
}

CASE(port_names_the_protocol_v6)
{
    struct addr to = loopback(AF_INET6, 90);
    ERR(sendto(raw_of(AF_INET6, OSPF), "x", 1, 0, &to.sa, to.len), EINVAL);
    to = loopback(AF_INET6, OSPF);
    EQ(sendto(raw_of(AF_INET6, OSPF), "x", 1, 0, &to.sa, to.len), 1);
}

BOTH(a_group)
{
    struct addr g = group(family, 0), any = device_addr(family, 0);
    unsigned char got[64];
    int y = raw_of(family, OSPF), x = raw_of(family, OSPF);
    struct group_req request = {.gr_interface = DEVICE};
    memcpy(&request.gr_group, &g.ss, sizeof(g.ss));
    OK(setsockopt(y, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, MCAST_JOIN_GROUP, &request, sizeof(request)));
    OK(bind(x, &any.sa, any.len));
    if (family == AF_INET6)
        set_int(x, IPPROTO_IPV6, IPV6_MULTICAST_IF, DEVICE);
    EQ(sendto(x, "hello", 5, 0, &g.sa, g.len), 5);
    EQ(recv(y, got, sizeof(got), 0), family == AF_INET ? 25 : 5);
    if (family == AF_INET)
        EQ(got[8], 1);
}

BOTH(large_packets_are_cut_and_put_together)
{
    struct addr to = loopback(family, 0);
    static unsigned char data[65000], got[70000];
    pattern(data, sizeof(data), 5);
    int y = raw_of(family, OSPF), x = raw_of(family, OSPF);
    EQ(sendto(x, data, sizeof(data), 0, &to.sa, to.len), sizeof(data));
    ssize_t n = OK(recv(y, got, sizeof(got), 0));
    int head = family == AF_INET ? 20 : 0;
    EQ(n, (ssize_t)sizeof(data) + head);
    EQ(memcmp(got + head, data, sizeof(data)), 0);
}

BOTH(fionread_and_truncation)
{
    struct addr to = loopback(family, 0);
    unsigned char got[64];
    int y = raw_of(family, OSPF), x = raw_of(family, OSPF), n = 0, head = family == AF_INET ? 20 : 0;
    EQ(sendto(x, "hello", 5, 0, &to.sa, to.len), 5);
    wait_for(y, POLLIN);
    OK(ioctl(y, FIONREAD, &n));
    EQ(n, 5 + head);
    EQ(recv(y, got, 3, MSG_PEEK | MSG_TRUNC), 5 + head);
    EQ(recv(y, got, 3, 0), 3);
    EQ(events_of(y, POLLIN | POLLOUT, 0), POLLOUT);
}

/* --- ping sockets ------------------------------------------------------------------------------------------------ */

static void allow_ping(const char *range)
{
    int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        skip("no ping_group_range");
    if (write(fd, range, strlen(range)) < 0)
        skip("ping_group_range can't be set");
    OK(close(fd));
}

BOTH(ping_is_for_groups)
{
    OK(close(udp(family)));
    allow_ping("1 0");
    ERR(socket(family, SOCK_DGRAM, icmp_of(family)), EACCES);
    allow_ping("0 2147483647");
    int fd = (int)OK(socket(family, SOCK_DGRAM, icmp_of(family)));
    EQ(get_int(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    EQ(get_int(fd, SOL_SOCKET, SO_PROTOCOL), icmp_of(family));
}

/* ipv6_setsockopt: a raw IPv6 socket has no options of IPv4. */
CASE(no_options_of_ipv4_v6)
{
    int names[] = {IP_TTL, IP_TOS, IP_RECVTTL, IP_PKTINFO, IP_RECVERR, IP_MTU_DISCOVER, IP_FREEBIND, IP_HDRINCL}, on = 1;
    OK(close(udp(AF_INET6)));
    allow_ping("0 2147483647");
    int raw = raw_of(AF_INET6, OSPF), ping = (int)OK(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        socklen_t len = sizeof(on);
        ERR(setsockopt(raw, IPPROTO_IP, names[i], &on, sizeof(on)), ENOPROTOOPT);
        ERR(getsockopt(raw, IPPROTO_IP, names[i], &on, &len), ENOPROTOOPT);
        on = 1;
        if (names[i] != IP_HDRINCL)
            OK(setsockopt(ping, IPPROTO_IP, names[i], &on, sizeof(on)));
    }
}

BOTH(ping_itself)
{
    struct addr to = loopback(family, 0), from, own;
    unsigned char request[16], got[64];
    allow_ping("0 2147483647");
    int fd = (int)OK(socket(family, SOCK_DGRAM, icmp_of(family)));
    EQ(sendto(fd, request, echo(family, request, 7), 0, &to.sa, to.len), 16);
    from.len = sizeof(from.ss);
    EQ(recvfrom(fd, got, sizeof(got), 0, &from.sa, &from.len), 16);
    EQ(got[0], family == AF_INET ? 0 : 129);
    EQ(memcmp(got + 6, request + 6, 10), 0);
    own = local_of(fd);
    EQ(got[4] << 8 | got[5], port_of(&own));
    TRUE(port_of(&own) != 0);
    TRUE(same_addr(&from, &to));
    OK(connect(fd, &to.sa, to.len));
    EQ(send(fd, request, 16, 0), 16);
    EQ(recv(fd, got, sizeof(got), 0), 16);
}

BOTH(ping_refusals)
{
    struct addr to = loopback(family, 0), at = wildcard(family, 777);
    unsigned char request[16];
    allow_ping("0 2147483647");
    int fd = (int)OK(socket(family, SOCK_DGRAM, icmp_of(family)));
    echo(family, request, 7);
    ERR(sendto(fd, request, 7, 0, &to.sa, to.len), EINVAL);
    request[0] = 0;
    ERR(sendto(fd, request, 16, 0, &to.sa, to.len), EINVAL);
    echo(family, request, 7);
    request[1] = 1;
    ERR(sendto(fd, request, 16, 0, &to.sa, to.len), EINVAL);
    echo(family, request, 7);
    ERR(send(fd, request, 16, 0), EDESTADDRREQ);
    ERR(sendto(fd, request, 16, MSG_OOB, &to.sa, to.len), EOPNOTSUPP);
    ERR(listen(fd, 1), EOPNOTSUPP);
    int one = (int)OK(socket(family, SOCK_DGRAM, icmp_of(family)));
    int two = (int)OK(socket(family, SOCK_DGRAM, icmp_of(family)));
    EQ(get_int(two, SOL_SOCKET, SO_REUSEADDR), 1);
    set_int(two, SOL_SOCKET, SO_REUSEADDR, 0);
    OK(bind(one, &at.sa, at.len));
    ERR(bind(one, &at.sa, at.len), EINVAL);
    ERR(bind(two, &at.sa, at.len), EADDRINUSE);
    struct addr no = family == AF_INET ? ipv4("10.99.0.1", 0) : ipv6("fd99::1", 0);
    ERR(bind(two, &no.sa, no.len), EADDRNOTAVAIL);
    /* As it comes, a ping socket shares its identifier. */
    int three = (int)OK(socket(family, SOCK_DGRAM, icmp_of(family)));
    OK(bind(three, &at.sa, at.len));
    EQ(get_int(raw_of(family, OSPF), SOL_SOCKET, SO_REUSEADDR), 1);
}
