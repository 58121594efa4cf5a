/* Options about the way of packets: IP_MINTTL, IPV6_MINHOPCOUNT, IP_UNICAST_IF, IPV6_UNICAST_IF, SO_DONTROUTE. */
#include "device.h"

#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif
#ifndef IP_UNICAST_IF
#define IP_UNICAST_IF 50
#endif
#ifndef IPV6_UNICAST_IF
#define IPV6_UNICAST_IF 76
#endif

static int level_of(int family) { return family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6; }
static int least_of(int family) { return family == AF_INET ? IP_MINTTL : IPV6_MINHOPCOUNT; }
static int unicast_of(int family) { return family == AF_INET ? IP_UNICAST_IF : IPV6_UNICAST_IF; }

static void set_ttl(int fd, int family, int ttl)
{
    set_int(fd, level_of(family), family == AF_INET ? IP_TTL : IPV6_UNICAST_HOPS, ttl);
}

BOTH(least_ttl_is_kept)
{
    int fds[] = {tcp(family), udp(family)};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        int values[] = {1, 64, 255, 0}, bad[] = {-1, 256};
        EQ(get_int(fds[i], level_of(family), least_of(family)), 0);
        for (size_t j = 0; j < ARRAY_LEN(values); j++) {
            set_int(fds[i], level_of(family), least_of(family), values[j]);
            EQ(get_int(fds[i], level_of(family), least_of(family)), values[j]);
        }
        for (size_t j = 0; j < ARRAY_LEN(bad); j++)
            ERR(setsockopt(fds[i], level_of(family), least_of(family), &bad[j], sizeof(int)), EINVAL);
    }
}

/* Who is further away than that is not heard by a listener. */
BOTH(least_ttl_of_a_listener)
{
    struct addr at;
    int l = listener(family, 4, &at), far = tcp(family), near = tcp(family);
    set_int(l, level_of(family), least_of(family), 255);
    set_nonblocking(l);
    set_nonblocking(far);
    ERR(connect(far, &at.sa, at.len), EINPROGRESS);
    set_ttl(near, family, 255);
    OK(connect(near, &at.sa, at.len));
    wait_for(l, POLLIN);
    int child = (int)OK(accept(l, NULL, NULL));
    EQ(get_int(child, level_of(family), least_of(family)), 255);
    ERR(accept(l, NULL, NULL), EAGAIN);
    EQ(events_of(far, POLLOUT, SHORT_MS), 0);
    set_ttl(far, family, 255); /* its next SYN is heard */
    wait_for(l, POLLIN);
    OK(accept(l, NULL, NULL));
}

BOTH(least_ttl_of_a_connection)
{
    struct pair p = tcp_pair(family);
    char c;
    set_int(p.server, level_of(family), least_of(family), 100);
    send_all(p.client, "x", 1);
    sleep_ms(SHORT_MS);
    ERR(recv(p.server, &c, 1, MSG_DONTWAIT), EAGAIN);
    set_ttl(p.client, family, 100);
    EQ(recv(p.server, &c, 1, 0), 1); /* sent again */
}

BOTH(least_ttl_is_for_streams)
{
    struct pair p = udp_pair(family);
    char c;
    set_int(p.server, level_of(family), least_of(family), 255);
    OK(send(p.client, "x", 1, 0));
    EQ(recv(p.server, &c, 1, 0), 1);
}

BOTH(unicast_interface_is_kept)
{
    need_device();
    int fds[] = {tcp(family), udp(family)};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        int fd = fds[i], absent = (int)htonl(4711), small = (int)htonl(LO);
        EQ(get_int(fd, level_of(family), unicast_of(family)), 0);
        set_int(fd, level_of(family), unicast_of(family), (int)htonl(DEVICE));
        EQ(get_int(fd, level_of(family), unicast_of(family)), (int)htonl(DEVICE));
        ERR(setsockopt(fd, level_of(family), unicast_of(family), &absent, sizeof(absent)), EADDRNOTAVAIL);
        set_int(fd, level_of(family), unicast_of(family), 0);
        EQ(get_int(fd, level_of(family), unicast_of(family)), 0);
        OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
        ERR(setsockopt(fd, level_of(family), unicast_of(family), &small, sizeof(small)), EINVAL);
    }
}

/* As if the sender were bound to it; what it receives is anybody's. */
BOTH(unicast_interface_of_datagrams)
{
    struct addr own = device_addr(family, 0), any = wildcard(family, 0);
    int rx = udp(family), lo = udp(family), tx = udp(family);
    char c;
    OK(setsockopt(lo, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
    set_int(rx, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(lo, SOL_SOCKET, SO_REUSEADDR, 1);
    OK(bind(rx, &any.sa, any.len));
    any = local_of(rx);
    OK(bind(lo, &any.sa, any.len));
    *(family == AF_INET ? &own.v4.sin_port : &own.v6.sin6_port) = htons(port_of(&any));
    set_int(tx, level_of(family), unicast_of(family), (int)htonl(DEVICE));
    for (long long end = now_ms() + LONG_MS; events_of(rx, POLLIN, SHORT_MS) == 0 && now_ms() < end;)
        OK(sendto(tx, "d", 1, 0, &own.sa, own.len));
    EQ(recv(rx, &c, 1, MSG_DONTWAIT), 1);
    ERR(recv(lo, &c, 1, MSG_DONTWAIT), EAGAIN);
    set_int(tx, level_of(family), unicast_of(family), (int)htonl(LO));
    if (family == AF_INET6) {
        ERR(sendto(tx, "l", 1, 0, &own.sa, own.len), ENETUNREACH);
        return;
    }
    OK(sendto(tx, "l", 1, 0, &own.sa, own.len));
    EQ(recv(lo, &c, 1, 0), 1);
    EQ(c, 'l');
}

/* Who has no gateway to go through is reached without one only. */
CASE(dont_route)
{
    need_device();
    if (!getenv("CTEST_STACK4") && system("ip route replace default via 10.83.0.1") != 0)
        skip("no ip(8)");
    struct addr here = ipv4("10.83.0.7", 9), there = ipv4("198.51.100.7", 9), lo = loopback(AF_INET, 9);
    int fd = udp(AF_INET), stream = tcp(AF_INET);
    EQ(get_int(fd, SOL_SOCKET, SO_DONTROUTE), 0);
    OK(sendto(fd, "x", 1, 0, &there.sa, there.len));
    set_int(fd, SOL_SOCKET, SO_DONTROUTE, 5);
    EQ(get_int(fd, SOL_SOCKET, SO_DONTROUTE), 1);
    ERR(sendto(fd, "x", 1, 0, &there.sa, there.len), ENETUNREACH);
    ERR(connect(fd, &there.sa, there.len), ENETUNREACH);
    OK(sendto(fd, "x", 1, 0, &here.sa, here.len));
    OK(sendto(fd, "x", 1, 0, &lo.sa, lo.len));
    set_int(fd, SOL_SOCKET, SO_DONTROUTE, 0);
    OK(sendto(fd, "x", 1, 0, &there.sa, there.len));
    set_int(stream, SOL_SOCKET, SO_DONTROUTE, 1);
    set_nonblocking(stream);
    ERR(connect(stream, &there.sa, there.len), ENETUNREACH);
}

/* The same for one call: datagrams only, and IPv4 only. */
CASE(dont_route_flag)
{
    need_device();
    if (!getenv("CTEST_STACK4") && system("ip route replace default via 10.83.0.1") != 0)
        skip("no ip(8)");
    struct addr here = ipv4("10.83.0.7", 9), there = ipv4("198.51.100.7", 9), lo = loopback(AF_INET, 9);
    struct addr group = ipv4("224.1.2.3", 9);
    int fd = udp(AF_INET), raw = (int)OK(socket(AF_INET, SOCK_RAW, 253)), joined = udp(AF_INET);
    ERR(sendto(fd, "x", 1, MSG_DONTROUTE, &there.sa, there.len), ENETUNREACH);
    ERR(sendto(raw, "x", 1, MSG_DONTROUTE, &there.sa, there.len), ENETUNREACH);
    OK(sendto(fd, "x", 1, 0, &there.sa, there.len));
    OK(sendto(raw, "x", 1, 0, &there.sa, there.len));
    const struct addr *near[] = {&here, &lo};
    for (size_t i = 0; i < ARRAY_LEN(near); i++) {
        OK(sendto(fd, "x", 1, MSG_DONTROUTE, &near[i]->sa, near[i]->len));
        OK(sendto(raw, "x", 1, MSG_DONTROUTE, &near[i]->sa, near[i]->len));
    }
    /* A group lies behind the gateway too, until an interface or an address of it is named. */
    ERR(sendto(fd, "x", 1, MSG_DONTROUTE, &group.sa, group.len), ENETUNREACH);
    OK(sendto(fd, "x", 1, 0, &group.sa, group.len));
    set_int(fd, SOL_SOCKET, SO_DONTROUTE, 1);
    ERR(sendto(fd, "x", 1, 0, &group.sa, group.len), ENETUNREACH);
    struct in_addr own = device_addr(AF_INET, 0).v4.sin_addr;
    OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &own, sizeof(own)));
    OK(sendto(fd, "x", 1, MSG_DONTROUTE, &group.sa, group.len));
    OK(connect(joined, &there.sa, there.len));
    OK(send(joined, "x", 1, 0));
    ERR(send(joined, "x", 1, MSG_DONTROUTE), ENETUNREACH);
    OK(send(joined, "x", 1, 0));
    struct iovec data = {(void *)"x", 1};
    struct msghdr msg = {.msg_iov = &data, .msg_iovlen = 1};
    ERR(sendmsg(joined, &msg, MSG_DONTROUTE), ENETUNREACH);
    /* What is held back goes where the first part was to go. */
    ERR(send(joined, "x", 1, MSG_DONTROUTE | MSG_MORE), ENETUNREACH);
    OK(send(joined, "x", 1, MSG_MORE));
    OK(send(joined, "x", 1, MSG_DONTROUTE));
}

BOTH(dont_route_flag_of_streams)
{
    struct pair p = tcp_pair(family);
    char c;
    EQ(send(p.client, "x", 1, MSG_DONTROUTE), 1);
    EQ(recv(p.server, &c, 1, 0), 1);
    struct addr there = ipv6("2001:db8::7", 9);
    if (family == AF_INET6 && connect(udp(AF_INET6), &there.sa, there.len) == 0)
        OK(sendto(udp(AF_INET6), "x", 1, MSG_DONTROUTE, &there.sa, there.len));
}
