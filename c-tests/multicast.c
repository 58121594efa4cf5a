/* Groups: joining, leaving, whose datagrams come, what is sent where. Broadcasts to several receivers. */
#include "device.h"

/* MCAST_JOIN_GROUP and its kin on either family. */
static int level(int family) { return family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6; }

static int group_call(int fd, int family, int name, const struct addr *g, unsigned index)
{
    struct group_req request = {.gr_interface = index};
    memcpy(&request.gr_group, &g->ss, sizeof(g->ss));
    return setsockopt(fd, level(family), name, &request, sizeof(request));
}

static int join_group(int fd, int family, const struct addr *g, unsigned index)
{
    return group_call(fd, family, MCAST_JOIN_GROUP, g, index);
}

static int source_call(int fd, int family, int name, const struct addr *g, const struct addr *s, unsigned index)
{
    struct group_source_req request = {.gsr_interface = index};
    memcpy(&request.gsr_group, &g->ss, sizeof(g->ss));
    memcpy(&request.gsr_source, &s->ss, sizeof(s->ss));
    return setsockopt(fd, level(family), name, &request, sizeof(request));
}

/* A socket on the port that others may share. */
static int shared_udp(int family, const struct addr *at)
{
    int fd = udp(family);
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    OK(bind(fd, &at->sa, at->len));
    return fd;
}

static struct addr any_port(int family)
{
    struct addr a = wildcard(family, 0);
    int fd = udp(family);
    OK(bind(fd, &a.sa, a.len));
    a = local_of(fd);
    OK(close(fd));
    return a;
}

static void choose(int fd, int family, unsigned index)
{
    struct ip_mreqn request = {.imr_ifindex = (int)index};
    if (family == AF_INET)
        OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof(request)));
    else
        set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)index);
}

static bool comes(int fd, const char *text)
{
    char got[64];
    if (events_of(fd, POLLIN, text ? LONG_MS : SHORT_MS) != POLLIN)
        return text == NULL;
    ssize_t n = OK(recv(fd, got, sizeof(got), 0));
    return text && (size_t)n == strlen(text) && memcmp(got, text, (size_t)n) == 0;
}

static void say(int fd, const char *text, const struct addr *to)
{
    EQ(sendto(fd, text, strlen(text), 0, &to->sa, to->len), strlen(text));
}

BOTH(every_member_gets_a_copy)
{
    need_device();
    struct addr a = any_port(family), g = group(family, port_of(&a));
    int one = shared_udp(family, &a), two = shared_udp(family, &a), three = shared_udp(family, &g), x = udp(family);
    for (int *fd = (int[]){one, two, three, -1}; *fd >= 0; fd++)
        OK(join_group(*fd, family, &g, DEVICE));
    choose(x, family, DEVICE);
    say(x, "all", &g);
    TRUE(comes(one, "all"));
    TRUE(comes(two, "all"));
    TRUE(comes(three, "all"));
    OK(group_call(two, family, MCAST_LEAVE_GROUP, &g, DEVICE));
    OK(close(three));
    say(x, "fewer", &g);
    TRUE(comes(one, "fewer"));
    /* IP_MULTICAST_ALL: somebody on this machine is a member, so it comes for everybody on the port. */
    TRUE(comes(two, "fewer"));
    set_int(two, level(family), family == AF_INET ? IP_MULTICAST_ALL : 29, 0);
    say(x, "one", &g);
    TRUE(comes(one, "one"));
    TRUE(comes(two, NULL));
}

BOTH(nobody_is_a_member)
{
    need_device();
    struct addr a = any_port(family), g = group(family, port_of(&a));
    int y = shared_udp(family, &a), x = udp(family);
    choose(x, family, DEVICE);
    say(x, "lost", &g);
    TRUE(comes(y, NULL));
}

BOTH(sender_is_the_device)
{
    need_device();
    struct addr a = any_port(family), g = group(family, port_of(&a)), from, own;
    int y = shared_udp(family, &a), x = udp(family);
    char got[8];
    OK(join_group(y, family, &g, DEVICE));
    choose(x, family, DEVICE);
    /* On IPv6 the kernel's device has a link-local address, which it prefers when the scope is no wider. */
    own = device_addr(family, 0);
    OK(bind(x, &own.sa, own.len));
    say(x, "x", &g);
    from.len = sizeof(from.ss);
    EQ(recvfrom(y, got, sizeof(got), 0, &from.sa, &from.len), 1);
    own = local_of(x);
    TRUE(same_addr(&from, &own));
}

BOTH(loop_off)
{
    need_device();
    struct addr a = any_port(family), g = group(family, port_of(&a));
    int y = shared_udp(family, &a), x = udp(family);
    int name = family == AF_INET ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP;
    OK(join_group(y, family, &g, DEVICE));
    choose(x, family, DEVICE);
    EQ(get_int(x, level(family), name), 1);
    set_int(x, level(family), name, 0);
    EQ(get_int(x, level(family), name), 0);
    say(x, "out", &g);
    TRUE(comes(y, NULL));
}

BOTH(no_hop_to_go)
{
    need_device();
    struct addr a = any_port(family), g = group(family, port_of(&a));
    int y = shared_udp(family, &a), x = udp(family);
    OK(join_group(y, family, &g, DEVICE));
    choose(x, family, DEVICE);
    set_int(x, level(family), family == AF_INET ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, 0);
    say(x, "here", &g);
    TRUE(comes(y, "here"));
}

CASE(over_lo)
{
    need_device();
    struct addr a = any_port(family), g = group(family, port_of(&a)), from;
    int y = shared_udp(family, &a), x = udp(family);
    char got[8];
    OK(join_group(y, family, &g, LO));
    choose(x, family, LO);
    say(x, "in", &g);
    from.len = sizeof(from.ss);
    EQ(recvfrom(y, got, sizeof(got), 0, &from.sa, &from.len), 2);
    /* Who has joined on another interface hears nothing of it. */
    OK(group_call(y, family, MCAST_LEAVE_GROUP, &g, LO));
    OK(join_group(y, family, &g, DEVICE));
    say(x, "in", &g);
    TRUE(comes(y, NULL));
}

CASE(no_groups_over_lo_v6)
{
    need_device();
    struct addr g = group(AF_INET6, 7), own = loopback(AF_INET6, 0);
    int x = udp(AF_INET6);
    OK(join_group(x, AF_INET6, &g, LO));
    choose(x, AF_INET6, LO);
    OK(bind(x, &own.sa, own.len));
    ERR(sendto(x, "in", 2, 0, &g.sa, g.len), ENETUNREACH);
}

BOTH(sources)
{
    need_device();
    struct addr a = any_port(family), g = group(family, port_of(&a)), own = device_addr(family, 0);
    struct addr other = family == AF_INET ? ipv4("10.83.0.77", 0) : ipv6("fd83::77", 0);
    int y = shared_udp(family, &a), x = udp(family);
    OK(bind(x, &own.sa, own.len));
    choose(x, family, DEVICE);
    own = device_addr(family, 0);
    OK(source_call(y, family, MCAST_JOIN_SOURCE_GROUP, &g, &other, DEVICE));
    say(x, "x", &g);
    TRUE(comes(y, NULL));
    OK(source_call(y, family, MCAST_JOIN_SOURCE_GROUP, &g, &own, DEVICE));
    say(x, "x", &g);
    TRUE(comes(y, "x"));
    ERR(source_call(y, family, MCAST_JOIN_SOURCE_GROUP, &g, &own, DEVICE), EADDRNOTAVAIL);
    ERR(source_call(y, family, MCAST_BLOCK_SOURCE, &g, &own, DEVICE), EINVAL);
    OK(source_call(y, family, MCAST_LEAVE_SOURCE_GROUP, &g, &own, DEVICE));
    say(x, "x", &g);
    TRUE(comes(y, NULL));
    ERR(source_call(y, family, MCAST_LEAVE_SOURCE_GROUP, &g, &own, DEVICE), EADDRNOTAVAIL);
    OK(source_call(y, family, MCAST_LEAVE_SOURCE_GROUP, &g, &other, DEVICE));
    /* The last source was the membership. */
    ERR(source_call(y, family, MCAST_LEAVE_SOURCE_GROUP, &g, &other, DEVICE), EINVAL);
    ERR(group_call(y, family, MCAST_LEAVE_GROUP, &g, DEVICE), EADDRNOTAVAIL);
}

BOTH(blocked_source)
{
    need_device();
    struct addr a = any_port(family), g = group(family, port_of(&a)), own = device_addr(family, 0);
    int y = shared_udp(family, &a), x = udp(family);
    OK(bind(x, &own.sa, own.len));
    choose(x, family, DEVICE);
    own = device_addr(family, 0);
    ERR(source_call(y, family, MCAST_BLOCK_SOURCE, &g, &own, DEVICE), EINVAL);
    OK(join_group(y, family, &g, DEVICE));
    OK(source_call(y, family, MCAST_BLOCK_SOURCE, &g, &own, DEVICE));
    ERR(source_call(y, family, MCAST_BLOCK_SOURCE, &g, &own, DEVICE), EADDRNOTAVAIL);
    say(x, "x", &g);
    TRUE(comes(y, NULL));
    OK(source_call(y, family, MCAST_UNBLOCK_SOURCE, &g, &own, DEVICE));
    ERR(source_call(y, family, MCAST_UNBLOCK_SOURCE, &g, &own, DEVICE), EADDRNOTAVAIL);
    say(x, "x", &g);
    TRUE(comes(y, "x"));
}

BOTH(too_many_sources)
{
    need_device();
    struct addr g = group(family, 0);
    int y = udp(family), most = family == AF_INET ? 10 : 64;
    for (int i = 0; i <= most; i++) {
        char text[32];
        snprintf(text, sizeof(text), family == AF_INET ? "10.83.1.%d" : "fd83::1:%d", i + 1);
        struct addr s = family == AF_INET ? ipv4(text, 0) : ipv6(text, 0);
        if (i < most)
            OK(source_call(y, family, MCAST_JOIN_SOURCE_GROUP, &g, &s, DEVICE));
        else
            ERR(source_call(y, family, MCAST_JOIN_SOURCE_GROUP, &g, &s, DEVICE), ENOBUFS);
    }
}

BOTH(filters_as_a_whole)
{
    need_device();
    struct addr g = group(family, 0), s = family == AF_INET ? ipv4("10.83.0.77", 0) : ipv6("fd83::77", 0);
    int y = udp(family);
    char room[GROUP_FILTER_SIZE(4)];
    struct group_filter *filter = (void *)room;
    memset(room, 0, sizeof(room));
    filter->gf_interface = DEVICE;
    memcpy(&filter->gf_group, &g.ss, sizeof(g.ss));
    filter->gf_fmode = MCAST_EXCLUDE;
    filter->gf_numsrc = 1;
    memcpy(&filter->gf_slist[0], &s.ss, sizeof(s.ss));
    socklen_t len = GROUP_FILTER_SIZE(1);
    ERR(setsockopt(y, level(family), MCAST_MSFILTER, filter, len), EINVAL);
    OK(join_group(y, family, &g, DEVICE));
    ERR(setsockopt(y, level(family), MCAST_MSFILTER, filter, len - 1), EINVAL);
    OK(setsockopt(y, level(family), MCAST_MSFILTER, filter, len));
    memset(&filter->gf_slist[0], 0xee, sizeof(filter->gf_slist[0]));
    filter->gf_fmode = 99;
    filter->gf_numsrc = 4;
    len = sizeof(room);
    OK(getsockopt(y, level(family), MCAST_MSFILTER, filter, &len));
    EQ(filter->gf_fmode, MCAST_EXCLUDE);
    EQ(filter->gf_numsrc, 1);
    EQ(len, GROUP_FILTER_SIZE(1));
    struct addr got = s;
    memcpy(&got.ss, &filter->gf_slist[0], s.len);
    TRUE(same_addr(&got, &s));
    filter->gf_fmode = 7;
    ERR(setsockopt(y, level(family), MCAST_MSFILTER, filter, len), EINVAL);
    filter->gf_fmode = MCAST_INCLUDE;
    filter->gf_numsrc = 0;
    OK(setsockopt(y, level(family), MCAST_MSFILTER, filter, GROUP_FILTER_SIZE(0)));
    ERR(group_call(y, family, MCAST_LEAVE_GROUP, &g, DEVICE), EADDRNOTAVAIL);
    len = sizeof(room);
    ERR(getsockopt(y, level(family), MCAST_MSFILTER, filter, &len), EADDRNOTAVAIL);
}

BOTH(filters_by_name)
{
    need_device();
    struct addr g = group(family, 0), s = family == AF_INET ? ipv4("10.83.0.77", 0) : ipv6("fd83::77", 0);
    struct sockaddr_storage sources[3], got[3];
    int y = udp(family);
    memset(sources, 0, sizeof(sources));
    memcpy(&sources[0], &s.ss, s.len);
    uint32_t mode = 9, count = 3;
    ERR(setsourcefilter(y, DEVICE, &g.sa, g.len, MCAST_EXCLUDE, 1, sources), EINVAL);
    ERR(getsourcefilter(y, DEVICE, &g.sa, g.len, &mode, &count, got), EADDRNOTAVAIL);
    OK(join_group(y, family, &g, DEVICE));
    OK(setsourcefilter(y, DEVICE, &g.sa, g.len, MCAST_EXCLUDE, 1, sources));
    OK(getsourcefilter(y, DEVICE, &g.sa, g.len, &mode, &count, got));
    EQ(mode, MCAST_EXCLUDE);
    EQ(count, 1);
    memcpy(&s.ss, &got[0], s.len);
    struct addr want = family == AF_INET ? ipv4("10.83.0.77", 0) : ipv6("fd83::77", 0);
    TRUE(same_addr(&s, &want));
    count = 0;
    OK(getsourcefilter(y, DEVICE, &g.sa, g.len, &mode, &count, got));
    EQ(count, 1);
    if (family == AF_INET) {
        struct in_addr own = {htonl(0x0a530002)}, group_addr = g.v4.sin_addr, list[2] = {{htonl(0x0a530005)}, {0}};
        OK(setipv4sourcefilter(y, own, group_addr, MCAST_INCLUDE, 1, list));
        list[0].s_addr = 0;
        count = 2;
        OK(getipv4sourcefilter(y, own, group_addr, &mode, &count, list));
        EQ(mode, MCAST_INCLUDE);
        EQ(count, 1);
        EQ(ntohl(list[0].s_addr), 0x0a530005);
    }
}

BOTH(refusals)
{
    need_device();
    struct addr g = group(family, 0), no = loopback(family, 0);
    int y = udp(family), t = tcp(family);
    OK(join_group(y, family, &g, 0));
    ERR(join_group(y, family, &g, 0), EADDRINUSE);
    ERR(join_group(y, family, &g, DEVICE), EADDRINUSE);
    OK(join_group(y, family, &g, LO));
    ERR(join_group(y, family, &g, 77), family == AF_INET ? ENODEV : ENODEV);
    ERR(join_group(y, family, &no, DEVICE), EINVAL);
    ERR(group_call(y, family, MCAST_LEAVE_GROUP, &no, DEVICE), family == AF_INET ? EADDRNOTAVAIL : EINVAL);
    OK(group_call(y, family, MCAST_LEAVE_GROUP, &g, DEVICE));
    ERR(group_call(y, family, MCAST_LEAVE_GROUP, &g, DEVICE), EADDRNOTAVAIL);
    /* The older options refuse a stream, the newer ones do not. */
    OK(join_group(t, family, &g, DEVICE));
    struct ipv6_mreq six = {.ipv6mr_interface = DEVICE, .ipv6mr_multiaddr = g.v6.sin6_addr};
    struct ip_mreqn four = {.imr_multiaddr = g.v4.sin_addr, .imr_ifindex = DEVICE};
    if (family == AF_INET)
        ERR(setsockopt(t, IPPROTO_IP, IP_ADD_MEMBERSHIP, &four, sizeof(four)), EPROTO);
    else
        ERR(setsockopt(t, IPPROTO_IPV6, IPV6_JOIN_GROUP, &six, sizeof(six)), EPROTO);
    struct addr wrong = family == AF_INET ? ipv6("ff15::1", 0) : ipv4("239.0.0.1", 0);
    ERR(join_group(y, family, &wrong, DEVICE), family == AF_INET ? EINVAL : EADDRNOTAVAIL);
    struct group_req request = {0};
    ERR(setsockopt(y, level(family), MCAST_JOIN_GROUP, &request, sizeof(request) - 1), EINVAL);
    ERR(setsockopt(y, level(family), MCAST_JOIN_GROUP, bad_pointer, sizeof(request)), EFAULT);
}

CASE(membership_structures)
{
    need_device();
    int y = udp(AF_INET);
    struct ip_mreqn n = {.imr_multiaddr = {htonl(0xef010203)}};
    struct ip_mreq m = {.imr_multiaddr = n.imr_multiaddr};
    ERR(setsockopt(y, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m) - 1), EINVAL);
    OK(setsockopt(y, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
    ERR(setsockopt(y, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof(n)), EADDRINUSE);
    OK(setsockopt(y, IPPROTO_IP, IP_DROP_MEMBERSHIP, &n, sizeof(n)));
    m.imr_interface.s_addr = htonl(0x0a530002);
    OK(setsockopt(y, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
    n.imr_ifindex = DEVICE;
    OK(setsockopt(y, IPPROTO_IP, IP_DROP_MEMBERSHIP, &n, sizeof(n)));
    m.imr_interface.s_addr = htonl(INADDR_LOOPBACK);
    OK(setsockopt(y, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
    n.imr_ifindex = LO;
    OK(setsockopt(y, IPPROTO_IP, IP_DROP_MEMBERSHIP, &n, sizeof(n)));
    struct ip_mreq_source s = {.imr_multiaddr = n.imr_multiaddr, .imr_interface = {htonl(0x0a530002)}};
    s.imr_sourceaddr.s_addr = htonl(0x0a530001);
    ERR(setsockopt(y, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &s, sizeof(s) + 1), EINVAL);
    OK(setsockopt(y, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &s, sizeof(s)));
    ERR(setsockopt(y, IPPROTO_IP, IP_BLOCK_SOURCE, &s, sizeof(s)), EINVAL);
    OK(setsockopt(y, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &s, sizeof(s)));
    ERR(setsockopt(y, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &s, sizeof(s)), EINVAL);
    int z = udp(AF_INET6);
    struct ipv6_mreq six = {.ipv6mr_interface = DEVICE};
    inet_pton(AF_INET6, "ff15::99", &six.ipv6mr_multiaddr);
    ERR(setsockopt(z, IPPROTO_IPV6, IPV6_JOIN_GROUP, &six, sizeof(six) - 1), EINVAL);
    OK(setsockopt(z, IPPROTO_IPV6, IPV6_JOIN_GROUP, &six, sizeof(six)));
    six.ipv6mr_interface = 0;
    ERR(setsockopt(z, IPPROTO_IPV6, IPV6_JOIN_GROUP, &six, sizeof(six)), EADDRINUSE);
    OK(setsockopt(z, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &six, sizeof(six)));
    ERR(setsockopt(z, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &six, sizeof(six)), EADDRNOTAVAIL);
    /* IPv4's groups on an IPv6 socket. */
    OK(setsockopt(z, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
    ERR(setsockopt(y, IPPROTO_IPV6, IPV6_JOIN_GROUP, &six, sizeof(six)), ENOPROTOOPT);
}

CASE(twenty_memberships)
{
    need_device();
    int y = udp(AF_INET);
    for (unsigned i = 0; i < 21; i++) {
        struct ip_mreqn n = {.imr_multiaddr = {htonl(0xef010100 + i)}, .imr_ifindex = DEVICE};
        if (i < 20)
            OK(setsockopt(y, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof(n)));
        else
            ERR(setsockopt(y, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof(n)), ENOBUFS);
    }
}

CASE(no_route_no_device)
{
    if (getenv("CTEST_STACK4"))
        skip("the stack always has a device");
    struct ip_mreqn n = {.imr_multiaddr = {htonl(0xef010203)}};
    ERR(setsockopt(udp(AF_INET), IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof(n)), ENODEV);
}

/* Option, what it is at first, what can be set and read, what can't. */
BOTH(values)
{
    need_device();
    int u = udp(family), t = tcp(family), v4 = family == AF_INET;
    int ttl = v4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, l = level(family);
    EQ(get_int(u, l, ttl), 1);
    for (int n = -3; n < 260; n++) {
        if (n >= -1 && n <= 255) {
            set_int(u, l, ttl, n);
            EQ(get_int(u, l, ttl), n == -1 ? 1 : n);
        } else {
            ERR(setsockopt(u, l, ttl, &n, sizeof(n)), EINVAL);
        }
    }
    int n = 1;
    ERR(setsockopt(t, l, ttl, &n, sizeof(n)), v4 ? EINVAL : ENOPROTOOPT);
    EQ(get_int(t, l, ttl), 1);
    int loop = v4 ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP;
    EQ(get_int(u, l, loop), 1);
    n = 2;
    if (v4)
        OK(setsockopt(u, l, loop, &n, sizeof(n)));
    else
        ERR(setsockopt(u, l, loop, &n, sizeof(n)), EINVAL);
    OK(setsockopt(t, l, loop, &(int){0}, sizeof(int)));
    EQ(get_int(t, l, loop), 0);
    int all = v4 ? IP_MULTICAST_ALL : 29;
    EQ(get_int(u, l, all), 1);
    if (v4)
        ERR(setsockopt(u, l, all, &n, sizeof(n)), EINVAL);
    set_int(u, l, all, 0);
    EQ(get_int(u, l, all), 0);
    if (v4) {
        unsigned char byte = 9;
        OK(setsockopt(u, l, ttl, &byte, 1));
        EQ(get_int(u, l, ttl), 9);
        byte = 0;
        OK(setsockopt(u, l, loop, &byte, 1));
        EQ(get_int(u, l, loop), 0);
        ERR(setsockopt(u, l, loop, &byte, 0), EINVAL);
    } else {
        ERR(setsockopt(u, l, ttl, &n, 1), EINVAL);
        ERR(setsockopt(u, l, loop, &n, 1), EINVAL);
    }
}

CASE(interface_v4)
{
    need_device();
    int u = udp(AF_INET);
    struct ip_mreqn n = {.imr_ifindex = DEVICE};
    struct in_addr a = {htonl(0x0a530002)}, got;
    socklen_t len = sizeof(got);
    EQ(get_int(u, IPPROTO_IP, IP_MULTICAST_IF), 0);
    OK(setsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a)));
    OK(getsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &got, &len));
    EQ(len, sizeof(got));
    EQ(got.s_addr, a.s_addr);
    OK(setsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &n, sizeof(n)));
    EQ(get_int(u, IPPROTO_IP, IP_MULTICAST_IF), 0);
    n.imr_ifindex = 77;
    ERR(setsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &n, sizeof(n)), EADDRNOTAVAIL);
    a.s_addr = htonl(0x0a530099);
    ERR(setsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a)), EADDRNOTAVAIL);
    ERR(setsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &a, 3), EINVAL);
    ERR(setsockopt(tcp(AF_INET), IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a)), EINVAL);
    a.s_addr = 0;
    OK(setsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a)));
}

CASE(interface_v6)
{
    need_device();
    int u = udp(AF_INET6), n = 77;
    EQ(get_int(u, IPPROTO_IPV6, IPV6_MULTICAST_IF), 0);
    set_int(u, IPPROTO_IPV6, IPV6_MULTICAST_IF, DEVICE);
    EQ(get_int(u, IPPROTO_IPV6, IPV6_MULTICAST_IF), DEVICE);
    ERR(setsockopt(u, IPPROTO_IPV6, IPV6_MULTICAST_IF, &n, sizeof(n)), ENODEV);
    n = -1;
    ERR(setsockopt(u, IPPROTO_IPV6, IPV6_MULTICAST_IF, &n, sizeof(n)), ENODEV);
    set_int(u, IPPROTO_IPV6, IPV6_MULTICAST_IF, 0);
    n = 1;
    ERR(setsockopt(tcp(AF_INET6), IPPROTO_IPV6, IPV6_MULTICAST_IF, &n, sizeof(n)), ENOPROTOOPT);
    ERR(setsockopt(udp(AF_INET), IPPROTO_IPV6, IPV6_MULTICAST_IF, &n, sizeof(n)), ENOPROTOOPT);
}

BOTH(connected_to_a_group)
{
    need_device();
    struct addr a = any_port(family), g = group(family, port_of(&a));
    int y = shared_udp(family, &a), x = udp(family);
    OK(join_group(y, family, &g, DEVICE));
    choose(x, family, DEVICE);
    OK(connect(x, &g.sa, g.len));
    EQ(send(x, "hi", 2, 0), 2);
    TRUE(comes(y, "hi"));
    struct addr peer = peer_of(x);
    TRUE(same_addr(&peer, &g));
    /* A socket connected to somebody else hears nothing of the group. */
    struct addr other = device_addr(family, 9);
    OK(connect(y, &other.sa, other.len));
    EQ(send(x, "hi", 2, 0), 2);
    TRUE(comes(y, NULL));
}

BOTH(stream_to_a_group)
{
    struct addr g = group(family, 80);
    ERR(connect(tcp(family), &g.sa, g.len), ENETUNREACH);
}

static void broadcast_to(const char *text)
{
    need_device();
    struct addr a = any_port(AF_INET), to = ipv4(text, port_of(&a));
    int one = shared_udp(AF_INET, &a), two = shared_udp(AF_INET, &a), three = shared_udp(AF_INET, &to);
    struct addr own = device_addr(AF_INET, port_of(&a));
    int four = shared_udp(AF_INET, &own), x = udp(AF_INET);
    ERR(sendto(x, "b", 1, 0, &to.sa, to.len), EACCES);
    set_int(x, SOL_SOCKET, SO_BROADCAST, 1);
    say(x, "all", &to);
    TRUE(comes(one, "all"));
    TRUE(comes(two, "all"));
    TRUE(comes(three, "all"));
    TRUE(comes(four, NULL));
}

CASE(limited_broadcast) { broadcast_to("255.255.255.255"); }

CASE(directed_broadcast) { broadcast_to("10.83.0.255"); }

/* SO_REUSEPORT: each peer always reaches the same one, and many peers reach all about evenly. */
BOTH(reuseport_spreads_datagrams)
{
    struct addr a = any_port(family);
    int fds[4], counts[4] = {0};
    for (int i = 0; i < 4; i++) {
        fds[i] = udp(family);
        set_int(fds[i], SOL_SOCKET, SO_REUSEPORT, 1);
        OK(bind(fds[i], &a.sa, a.len));
        set_nonblocking(fds[i]);
    }
    struct addr to = loopback(family, port_of(&a));
    for (int i = 0; i < 400; i++) {
        int x = udp(family), seen = 0;
        for (int twice = 0; twice < 2; twice++)
            say(x, "x", &to);
        for (int j = 0; j < 4; j++) {
            char c;
            while (recv(fds[j], &c, 1, 0) == 1) {
                counts[j]++;
                seen |= 1 << j;
            }
        }
        TRUE(seen == 1 || seen == 2 || seen == 4 || seen == 8);
        OK(close(x));
    }
    for (int j = 0; j < 4; j++)
        RANGE(counts[j], 120, 280);
}
