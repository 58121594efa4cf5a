/* What comes with the time stamps of sent octets: SOF_TIMESTAMPING_OPT_STATS and SOF_TIMESTAMPING_OPT_CMSG (networking/timestamping). */
#include "harness.h"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/netlink.h>

#ifndef SCM_TIMESTAMPING_OPT_STATS
#define SCM_TIMESTAMPING_OPT_STATS 54
#endif

enum { STAMPS = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE |
                SOF_TIMESTAMPING_OPT_ID };

/* One report: its data, and its control messages in their order. */
struct report {
    ssize_t len;
    unsigned char data[1024];
    int count;
    struct {
        int level, type;
        size_t len;
        unsigned char data[512];
    } message[8];
    struct sock_extended_err ee;
    struct addr offender;
};

static void take(int fd, int family, struct report *r)
{
    static char control[2048];
    struct iovec v = {r->data, sizeof(r->data)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    wait_for(fd, POLLERR);
    memset(r, 0, sizeof(*r));
    r->len = OK(recvmsg(fd, &m, MSG_ERRQUEUE));
    EQ(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC), 0);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        TRUE(r->count < 8);
        size_t len = c->cmsg_len - CMSG_LEN(0);
        r->message[r->count].level = c->cmsg_level;
        r->message[r->count].type = c->cmsg_type;
        r->message[r->count].len = len;
        memcpy(r->message[r->count++].data, CMSG_DATA(c), len);
    }
    TRUE(r->count >= 2);
    EQ(r->message[0].level, SOL_SOCKET);
    EQ(r->message[0].type, SO_TIMESTAMPING);
    int last = r->count - 1;
    EQ(r->message[last].level, family == AF_INET ? SOL_IP : SOL_IPV6);
    EQ(r->message[last].type, family == AF_INET ? IP_RECVERR : IPV6_RECVERR);
    memcpy(&r->ee, r->message[last].data, sizeof(r->ee));
    EQ(r->ee.ee_errno, ENOMSG);
    EQ(r->ee.ee_origin, SO_EE_ORIGIN_TIMESTAMPING);
    r->offender.len = (socklen_t)(r->message[last].len - sizeof(r->ee));
    memcpy(&r->offender.ss, r->message[last].data + sizeof(r->ee), r->offender.len);
}

/* An attribute's value; its length has to be `len`. */
static unsigned long long attribute(const struct report *r, int type, size_t len)
{
    const unsigned char *at = r->message[1].data, *end = at + r->message[1].len;
    while (at < end) {
        struct nlattr a;
        unsigned long long value = 0;
        memcpy(&a, at, sizeof(a));
        TRUE(a.nla_len >= NLA_HDRLEN && a.nla_len <= end - at);
        if (a.nla_type == type) {
            EQ(a.nla_len - NLA_HDRLEN, len);
            memcpy(&value, at + NLA_HDRLEN, len);
            return value;
        }
        at += NLA_ALIGN(a.nla_len);
    }
    EQ(at, end);
    return ~0ull;
}

/* TCP_NLA_* of linux/tcp.h, as far as Linux 5.0 has them, with their lengths. */
static const struct {
    int type;
    size_t len;
} attributes[] = {{1, 8},  {2, 8},  {3, 8},  {4, 8},  {5, 8},  {6, 8},  {7, 8},  {8, 4},  {9, 4},  {10, 4}, {11, 1},
                  {12, 1}, {13, 4}, {14, 1}, {15, 4}, {16, 4}, {17, 4}, {18, 8}, {19, 8}, {20, 4}, {21, 4}, {22, 4}};

enum { DATA_SEGS_OUT = 4, TOTAL_RETRANS = 5, PACING_RATE = 6, SND_CWND = 8, REORDERING = 9, RECUR_RETRANS = 11, SNDQ_SIZE = 13, CA_STATE = 14,
       SND_SSTHRESH = 15, DELIVERED = 16, BYTES_SENT = 18, BYTES_RETRANS = 19, BYTES_NOTSENT = 24, EDT = 25, TTL = 26 };

BOTH(figures_of_a_stream)
{
    struct pair p = tcp_pair(family);
    char got[8];
    unsigned what[] = {SCM_TSTAMP_SCHED, SCM_TSTAMP_SND, SCM_TSTAMP_ACK};
    unsigned long long went = 0;
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    set_int(p.client, SOL_SOCKET, SO_TIMESTAMPING,
            STAMPS | SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_OPT_TSONLY | SOF_TIMESTAMPING_OPT_STATS);
    send_all(p.client, "hello", 5);
    recv_all(p.server, got, 5);
    for (size_t i = 0; i < 3; i++) {
        static struct report r;
        take(p.client, family, &r);
        bool acked = what[i] == SCM_TSTAMP_ACK;
        EQ(r.ee.ee_info, what[i]);
        EQ(r.ee.ee_data, 4);
        EQ(r.count, 3);
        EQ(r.message[1].level, SOL_SOCKET);
        EQ(r.message[1].type, SCM_TIMESTAMPING_OPT_STATS);
        EQ(r.len, r.message[1].len);
        EQ(memcmp(r.data, r.message[1].data, (size_t)r.len), 0);
        for (size_t a = 0; a < ARRAY_LEN(attributes); a++)
            TRUE(attribute(&r, attributes[a].type, attributes[a].len) != ~0ull || attributes[a].type == PACING_RATE);
        EQ(attribute(&r, DATA_SEGS_OUT, 8), 1);
        EQ(attribute(&r, TOTAL_RETRANS, 8), 0);
        EQ(attribute(&r, SND_CWND, 4), 10);
        EQ(attribute(&r, REORDERING, 4), 3);
        EQ(attribute(&r, RECUR_RETRANS, 1), 0);
        EQ(attribute(&r, SNDQ_SIZE, 4), acked ? 0 : 5);
        EQ(attribute(&r, CA_STATE, 1), 0);
        EQ(attribute(&r, SND_SSTHRESH, 4), 0x7fffffff);
        EQ(attribute(&r, DELIVERED, 4), acked ? 2 : 1);
        EQ(attribute(&r, BYTES_SENT, 8), 5);
        EQ(attribute(&r, BYTES_RETRANS, 8), 0);
        unsigned long long left = attribute(&r, BYTES_NOTSENT, 4), sent = attribute(&r, EDT, 8);
        unsigned long long ttl = attribute(&r, TTL, 1);
        if (left != ~0ull) /* Linux 5.0 */
            EQ(left, acked ? 0 : 5);
        if (sent != ~0ull) { /* Linux 5.5 */
            clock_gettime(CLOCK_MONOTONIC, &now);
            RANGE(sent, begin.tv_sec * 1000000000LL + begin.tv_nsec - 1000, now.tv_sec * 1000000000LL + now.tv_nsec);
            TRUE(went == 0 || went == sent);
            went = sent;
        }
        if (ttl != ~0ull) { /* Linux 5.12 */
            EQ(acked, true);
            EQ(ttl, 64);
        }
    }
}

static void ask_for_everything(int fd, int family)
{
    if (family == AF_INET) {
        set_int(fd, SOL_IP, IP_PKTINFO, 1);
        set_int(fd, SOL_IP, IP_RECVTTL, 1);
        set_int(fd, SOL_IP, IP_RECVTOS, 1);
    } else {
        set_int(fd, SOL_IPV6, IPV6_RECVPKTINFO, 1);
        set_int(fd, SOL_IPV6, IPV6_RECVHOPLIMIT, 1);
        set_int(fd, SOL_IPV6, IPV6_RECVTCLASS, 1);
    }
}

/* What IP tells of the packet from loopback to loopback that was sent. */
static void tells_of_the_packet(const struct report *r, int family)
{
    struct addr lo = loopback(family, 0);
    TRUE(same_addr(&r->offender, &lo));
    TRUE(r->count >= 4);
    if (family == AF_INET) {
        struct in_pktinfo info;
        EQ(r->message[1].type, IP_PKTINFO);
        memcpy(&info, r->message[1].data, sizeof(info));
        EQ(info.ipi_ifindex, 1);
        EQ(info.ipi_spec_dst.s_addr, lo.v4.sin_addr.s_addr);
        EQ(info.ipi_addr.s_addr, lo.v4.sin_addr.s_addr);
        EQ(r->message[2].type, IP_TTL);
        EQ(r->message[2].data[0], 64);
        EQ(r->message[3].type, IP_TOS);
    } else {
        struct in6_pktinfo info;
        EQ(r->message[1].type, IPV6_PKTINFO);
        memcpy(&info, r->message[1].data, sizeof(info));
        EQ(info.ipi6_ifindex, 1);
        EQ(memcmp(&info.ipi6_addr, &lo.v6.sin6_addr, 16), 0);
        EQ(r->message[2].type, IPV6_HOPLIMIT);
        EQ(r->message[2].data[0], 64);
    }
}

BOTH(packets_of_a_stream)
{
    struct pair p = tcp_pair(family);
    static struct report r;
    char got[8];
    set_int(p.client, SOL_SOCKET, SO_TIMESTAMPING, STAMPS | SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_OPT_CMSG);
    ask_for_everything(p.client, family);
    send_all(p.client, "hello", 5);
    recv_all(p.server, got, 5);
    for (int i = 0; i < 2; i++) {
        take(p.client, family, &r);
        EQ(r.ee.ee_info, i == 0 ? SCM_TSTAMP_SCHED : SCM_TSTAMP_SND);
        tells_of_the_packet(&r, family);
        TRUE(r.len > 40 && memcmp(r.data + r.len - 5, "hello", 5) == 0);
    }
    take(p.client, family, &r); /* of the acknowledgement nothing but the octets */
    EQ(r.ee.ee_info, SCM_TSTAMP_ACK);
    EQ(r.count, 2);
    EQ(r.offender.sa.sa_family, AF_UNSPEC);
    EQ(r.len, 5);
    EQ(memcmp(r.data, "hello", 5), 0);
}

BOTH(packets_that_do_not_come_back)
{
    struct pair p = tcp_pair(family), u = udp_pair(family);
    int fds[] = {p.client, u.client};
    for (size_t i = 0; i < 2; i++) {
        static struct report r;
        set_int(fds[i], SOL_SOCKET, SO_TIMESTAMPING, STAMPS | SOF_TIMESTAMPING_OPT_CMSG | SOF_TIMESTAMPING_OPT_TSONLY);
        ask_for_everything(fds[i], family);
        send_all(fds[i], "hello", 5);
        take(fds[i], family, &r);
        EQ(r.count, 2);
        EQ(r.offender.sa.sa_family, AF_UNSPEC);
        EQ(r.len, 0);
    }
}

BOTH(packets_of_datagrams)
{
    struct pair p = udp_pair(family);
    static struct report r;
    set_int(p.client, SOL_SOCKET, SO_TIMESTAMPING, STAMPS | SOF_TIMESTAMPING_OPT_CMSG);
    ask_for_everything(p.client, family);
    send_all(p.client, "hello", 5);
    take(p.client, family, &r);
    tells_of_the_packet(&r, family);
}

/* Figures are TCP's; without OPT_TSONLY they can't be had. */
BOTH(figures_of_others)
{
    struct pair p = udp_pair(family), t = tcp_pair(family);
    static struct report r;
    int flags = STAMPS | SOF_TIMESTAMPING_OPT_STATS;
    ERR(setsockopt(t.client, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)), EINVAL);
    set_int(p.client, SOL_SOCKET, SO_TIMESTAMPING, flags | SOF_TIMESTAMPING_OPT_TSONLY);
    send_all(p.client, "hello", 5);
    take(p.client, family, &r);
    EQ(r.count, 2);
    EQ(r.len, 0);
}
