/* ICMP errors as sockets hear of them (icmp_err_convert, icmpv6_err_convert), and timestamp requests. The errors are made here, by a raw
 * socket, about datagrams that were really sent. */
#include "harness.h"

#include <linux/errqueue.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>

static unsigned sum_up(const unsigned char *p, size_t len)
{
    unsigned sum = 0;
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (unsigned)p[i] << 8 | p[i + 1];
    return sum;
}

static unsigned short finish(unsigned sum)
{
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((unsigned short)~sum);
}

static int raw_icmp(int family)
{
    int fd = socket(family, SOCK_RAW, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    if (fd < 0)
        skip("no raw sockets");
    return fd;
}

/* Tells ourselves of an error about a datagram from `from` to `to` (loopback addresses), by protocol 17 or another. */
static void tell(int raw, int family, int type, int code, unsigned rest, const struct addr *from, const struct addr *to)
{
    unsigned char m[8 + 40 + 8] = {(unsigned char)type, (unsigned char)code};
    size_t head = family == AF_INET ? 20 : 40, len = 8 + head + 8;
    unsigned char *quoted = m + 8;
    struct addr dst = loopback(family, 0);
    rest = htonl(rest);
    memcpy(m + 4, &rest, 4);
    if (family == AF_INET) {
        quoted[0] = 0x45;
        quoted[3] = 28;
        quoted[8] = 64;
        quoted[9] = IPPROTO_UDP;
        memcpy(quoted + 12, &from->v4.sin_addr, 4);
        memcpy(quoted + 16, &to->v4.sin_addr, 4);
        unsigned short sum = finish(sum_up(quoted, 20));
        memcpy(quoted + 10, &sum, 2);
    } else {
        quoted[0] = 0x60;
        quoted[5] = 8;
        quoted[6] = IPPROTO_UDP;
        quoted[7] = 64;
        memcpy(quoted + 8, &from->v6.sin6_addr, 16);
        memcpy(quoted + 24, &to->v6.sin6_addr, 16);
    }
    unsigned short ports[2] = {htons((unsigned short)port_of(from)), htons((unsigned short)port_of(to))};
    memcpy(quoted + head, ports, 4);
    quoted[head + 5] = 8;
    if (family == AF_INET) {
        unsigned short sum = finish(sum_up(m, len));
        memcpy(m + 2, &sum, 2);
    }
    EQ(sendto(raw, m, len, 0, &dst.sa, dst.len), len);
}

struct meaning {
    int type, code, error; /* 0: none */
    bool hard;             /* told to a connected socket that did not ask */
};

static const struct meaning of_v4[] = {
    {3, 0, ENETUNREACH, false},  {3, 1, EHOSTUNREACH, false},  {3, 2, ENOPROTOOPT, true},   {3, 3, ECONNREFUSED, true},
    {3, 5, EOPNOTSUPP, false},   {3, 6, ENETUNREACH, true},    {3, 7, EHOSTDOWN, true},     {3, 8, ENONET, true},
    {3, 9, ENETUNREACH, true},   {3, 10, EHOSTUNREACH, true},  {3, 11, ENETUNREACH, false}, {3, 12, EHOSTUNREACH, false},
    {3, 13, EHOSTUNREACH, true}, {3, 14, EHOSTUNREACH, true},  {3, 15, EHOSTUNREACH, true}, {3, 16, 0, false},
    {3, 99, 0, false},           {4, 0, 0, false},             {11, 0, EHOSTUNREACH, false}, {11, 1, 0, false},
    {12, 0, EPROTO, true},       {12, 1, EPROTO, true},        {5, 1, 0, false},
};

static const struct meaning of_v6[] = {
    {1, 0, ENETUNREACH, false},  {1, 1, EACCES, true}, {1, 2, EHOSTUNREACH, false}, {1, 3, EHOSTUNREACH, false},
    {1, 4, ECONNREFUSED, true},  {1, 5, EACCES, true}, {1, 6, EACCES, true},        {1, 7, EPROTO, true},
    {1, 200, EPROTO, true},      {3, 0, EHOSTUNREACH, false}, {3, 1, EHOSTUNREACH, false}, {4, 0, EPROTO, true},
    {4, 1, EPROTO, true},        {4, 2, EPROTO, true},
};

/* What SO_ERROR says a little later: nothing comes late over the loopback. */
static int error_of(int fd, bool expected)
{
    if (expected)
        wait_for(fd, POLLERR);
    else
        sleep_ms(2);
    return get_int(fd, SOL_SOCKET, SO_ERROR);
}

static void each(int family, void (*check)(int, int, const struct meaning *, int, const struct addr *, const struct addr *))
{
    int raw = raw_icmp(family);
    const struct meaning *all = family == AF_INET ? of_v4 : of_v6;
    size_t n = family == AF_INET ? ARRAY_LEN(of_v4) : ARRAY_LEN(of_v6);
    for (size_t i = 0; i < n; i++) {
        struct addr from, to;
        int fd = bound_udp(family, &from);
        bound_udp(family, &to);
        check(family, raw, &all[i], fd, &from, &to);
        OK(close(fd));
    }
}

static void connected(int family, int raw, const struct meaning *m, int fd, const struct addr *from, const struct addr *to)
{
    OK(connect(fd, &to->sa, to->len));
    tell(raw, family, m->type, m->code, 0, from, to);
    EQ(error_of(fd, m->hard), m->hard ? m->error : 0);
}

BOTH(hard_errors_reach_connected_sockets)
{
    each(family, connected);
}

static void asking(int family, int raw, const struct meaning *m, int fd, const struct addr *from, const struct addr *to)
{
    set_int(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, family == AF_INET ? IP_RECVERR : IPV6_RECVERR, 1);
    tell(raw, family, m->type, m->code, 0x07000000, from, to);
    EQ(error_of(fd, m->error != 0), m->error);
    if (m->error == 0)
        return;
    char space[256], data[8];
    struct iovec piece = {data, sizeof(data)};
    struct addr name;
    struct msghdr h = {.msg_name = &name.ss, .msg_namelen = sizeof(name.ss), .msg_iov = &piece, .msg_iovlen = 1,
                       .msg_control = space, .msg_controllen = sizeof(space)};
    OK(recvmsg(fd, &h, MSG_ERRQUEUE));
    name.len = h.msg_namelen;
    TRUE(same_addr(&name, to));
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    TRUE(c != NULL);
    struct sock_extended_err e;
    memcpy(&e, CMSG_DATA(c), sizeof(e));
    EQ(e.ee_errno, m->error);
    EQ(e.ee_type, m->type);
    EQ(e.ee_code, m->code);
    EQ(e.ee_origin, family == AF_INET ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6);
    EQ(e.ee_info, family == AF_INET6 ? 0x07000000 : m->type == 12 ? 7 : 0);
}

BOTH(all_errors_reach_who_asks)
{
    each(family, asking);
}

static void unconnected(int family, int raw, const struct meaning *m, int fd, const struct addr *from, const struct addr *to)
{
    tell(raw, family, m->type, m->code, 0, from, to);
    EQ(error_of(fd, false), 0);
}

BOTH(others_hear_nothing)
{
    each(family, unconnected);
}

/* RFC 792, icmp_timestamp: the time of the request comes back, with two of ours, milliseconds since midnight UT. */
static ssize_t reply(int raw, unsigned char *m, size_t len, unsigned char *got, size_t room)
{
    struct addr dst = loopback(AF_INET, 0);
    unsigned short sum;
    m[2] = m[3] = 0;
    sum = finish(sum_up(m, len));
    memcpy(m + 2, &sum, 2);
    EQ(sendto(raw, m, len, 0, &dst.sa, dst.len), len);
    for (long long end = now_ms() + 300; now_ms() < end; sleep_ms(1)) {
        ssize_t n = recv(raw, got, room, MSG_DONTWAIT);
        if (n > 20 && got[20] == ICMP_TIMESTAMPREPLY)
            return n;
    }
    return -1;
}

static unsigned number(const unsigned char *at)
{
    unsigned n;
    memcpy(&n, at, 4);
    return ntohl(n);
}

CASE(timestamp_requests_are_answered)
{
    enum { DAY = 86400000 };
    int raw = raw_icmp(AF_INET);
    unsigned char m[20] = {ICMP_TIMESTAMP, 0, 0, 0, 0x12, 0x34, 0, 9, 1, 2, 3, 4}, got[128];
    EQ(reply(raw, m, sizeof(m), got, sizeof(got)), 40);
    struct timespec now;
    OK(clock_gettime(CLOCK_REALTIME, &now));
    unsigned want = (unsigned)(now.tv_sec % 86400 * 1000 + now.tv_nsec / 1000000);
    EQ(got[21], 0);
    EQ(memcmp(got + 24, m + 4, 8), 0); /* identifier, sequence number, their time */
    EQ(number(got + 32), number(got + 36));
    unsigned late = (want + DAY - number(got + 32)) % DAY;
    TRUE(late < 10000 || late > DAY - 10000);
    EQ(finish(sum_up(got + 20, 20)), 0);
}

CASE(timestamp_requests_that_are_short_are_not)
{
    int raw = raw_icmp(AF_INET);
    unsigned char m[12] = {ICMP_TIMESTAMP, 0, 0, 0, 0, 1, 0, 1, 5, 6, 7, 8}, got[128];
    EQ(reply(raw, m, 8, got, sizeof(got)), -1);
    EQ(reply(raw, m, 12, got, sizeof(got)), 40);
    EQ(memcmp(got + 28, m + 8, 4), 0);
}
