/* recvmsg(2) with MSG_ERRQUEUE: ICMP errors, MSG_ZEROCOPY, SO_TIMESTAMPING. */
#include "harness.h"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif
#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif

/* A report, with everything that came beside it. */
struct report {
    ssize_t len;
    int flags;
    struct addr name;
    struct sock_extended_err ee;
    struct addr offender;
    bool has_error, has_time;
    struct timespec time;
    char data[2048];
};

static int take(int fd, struct report *r, size_t room)
{
    char control[512];
    struct iovec v = {r->data, room};
    struct msghdr m;
    memset(r, 0, sizeof(*r));
    memset(&m, 0, sizeof(m));
    m.msg_name = &r->name.ss;
    m.msg_namelen = sizeof(r->name.ss);
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof(control);
    v.iov_base = r->data;
    r->len = recvmsg(fd, &m, MSG_ERRQUEUE);
    if (r->len < 0)
        return -1;
    r->flags = m.msg_flags & ~MSG_CMSG_CLOEXEC;
    r->name.len = m.msg_namelen;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        bool v4 = c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR;
        bool v6 = c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR;
        if (v4 || v6) {
            r->has_error = true;
            memcpy(&r->ee, CMSG_DATA(c), sizeof(r->ee));
            r->offender.len = v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
            EQ(c->cmsg_len, CMSG_LEN(sizeof(r->ee) + r->offender.len));
            memcpy(&r->offender.ss, CMSG_DATA(c) + sizeof(r->ee), r->offender.len);
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPING) {
            struct timespec all[3];
            EQ(c->cmsg_len, CMSG_LEN(sizeof(all)));
            memcpy(all, CMSG_DATA(c), sizeof(all));
            r->has_time = true;
            r->time = all[0];
            EQ(all[1].tv_sec | all[1].tv_nsec | all[2].tv_sec | all[2].tv_nsec, 0);
        } else {
            check_true(__FILE__, __LINE__, "a known control message", false);
        }
    }
    return 0;
}

static void recverr(int fd, int family)
{
    if (family == AF_INET6)
        set_int(fd, SOL_IPV6, IPV6_RECVERR, 1);
    else
        set_int(fd, SOL_IP, IP_RECVERR, 1);
}

static bool is_now(const struct timespec *t)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    long long ns = (now.tv_sec - t->tv_sec) * 1000000000LL + now.tv_nsec - t->tv_nsec;
    return ns > -1000000000LL && ns < 10000000000LL;
}

BOTH(empty_is_eagain)
{
    struct report r;
    ERR(take(udp(family), &r, 16), EAGAIN);
    ERR(take(tcp(family), &r, 16), EAGAIN);
    struct pair p = tcp_pair(family);
    ERR(take(p.client, &r, 16), EAGAIN);
    ERR(recv(p.client, r.data, 4, MSG_ERRQUEUE), EAGAIN);
}

/* A port nobody has: the whole story of the refusal, also on an unconnected socket. */
BOTH(refused_datagram)
{
    struct addr at, gone;
    int fd = bound_udp(family, &at), other = bound_udp(family, &gone);
    struct report r;
    close(other);
    recverr(fd, family);
    EQ(sendto(fd, "hello", 5, 0, &gone.sa, gone.len), 5);
    EQ(events_of(fd, POLLIN, LONG_MS), POLLERR);
    OK(take(fd, &r, sizeof(r.data)));
    EQ(r.len, 5);
    EQ(memcmp(r.data, "hello", 5), 0);
    EQ(r.flags, MSG_ERRQUEUE);
    TRUE(same_addr(&r.name, &gone));
    EQ(r.name.len, gone.len);
    TRUE(r.has_error);
    EQ(r.ee.ee_errno, ECONNREFUSED);
    EQ(r.ee.ee_origin, family == AF_INET ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6);
    EQ(r.ee.ee_type, family == AF_INET ? 3 : 1);
    EQ(r.ee.ee_code, family == AF_INET ? 3 : 4);
    EQ(r.ee.ee_info | r.ee.ee_data | r.ee.ee_pad, 0);
    struct addr us = loopback(family, 0);
    TRUE(same_addr(&r.offender, &us));
    EQ(events_of(fd, POLLIN, 0), 0);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
    ERR(take(fd, &r, 16), EAGAIN);
}

BOTH(mapped_refused_datagram)
{
    if (family == AF_INET)
        return;
    struct addr gone, mapped;
    int fd = udp(AF_INET6), other = bound_udp(AF_INET, &gone);
    struct report r;
    close(other);
    mapped = ipv6("::ffff:127.0.0.1", port_of(&gone));
    /* IPV6_RECVERR alone does not do for packets of IPv4. */
    set_int(fd, SOL_IPV6, IPV6_RECVERR, 1);
    EQ(sendto(fd, "hello", 5, 0, &mapped.sa, mapped.len), 5);
    sleep_ms(SHORT_MS);
    ERR(take(fd, &r, 16), EAGAIN);
    set_int(fd, SOL_IP, IP_RECVERR, 1);
    EQ(sendto(fd, "hello", 5, 0, &mapped.sa, mapped.len), 5);
    EQ(events_of(fd, POLLIN, LONG_MS), POLLERR);
    OK(take(fd, &r, 16));
    EQ(r.len, 5);
    TRUE(same_addr(&r.name, &mapped));
    EQ(r.ee.ee_origin, SO_EE_ORIGIN_ICMP);
    struct addr us = ipv6("::ffff:127.0.0.1", 0);
    TRUE(same_addr(&r.offender, &us));
}

/* The pending error goes with the report, and comes with the next one. */
BOTH(so_error_follows_the_queue)
{
    struct addr gone;
    int fd = udp(family), other = bound_udp(family, &gone);
    struct report r;
    char c;
    close(other);
    recverr(fd, family);
    EQ(sendto(fd, "a", 1, 0, &gone.sa, gone.len), 1);
    wait_for(fd, POLLERR);
    ERR(sendto(fd, "b", 1, 0, &gone.sa, gone.len), ECONNREFUSED);
    EQ(sendto(fd, "c", 1, 0, &gone.sa, gone.len), 1);
    sleep_ms(SHORT_MS);
    ERR(recv(fd, &c, 1, MSG_DONTWAIT), ECONNREFUSED);
    ERR(recv(fd, &c, 1, MSG_DONTWAIT), EAGAIN);
    OK(take(fd, &r, 16));
    EQ(r.data[0], 'a');
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    OK(take(fd, &r, 16));
    EQ(r.data[0], 'c');
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
    ERR(take(fd, &r, 16), EAGAIN);
}

BOTH(cut_report)
{
    struct addr gone;
    int fd = udp(family), other = bound_udp(family, &gone);
    struct report r;
    close(other);
    recverr(fd, family);
    EQ(sendto(fd, "hello", 5, 0, &gone.sa, gone.len), 5);
    wait_for(fd, POLLERR);
    OK(take(fd, &r, 2));
    EQ(r.len, 2);
    EQ(r.flags, MSG_ERRQUEUE | MSG_TRUNC);
}

BOTH(no_room_for_control)
{
    struct addr gone;
    int fd = udp(family), other = bound_udp(family, &gone);
    char data[8], control[8];
    struct iovec v = {data, 8};
    struct msghdr m;
    close(other);
    recverr(fd, family);
    for (int i = 0; i < 2; i++) {
        EQ(sendto(fd, "hello", 5, 0, &gone.sa, gone.len), 5);
        wait_for(fd, POLLERR);
        memset(&m, 0, sizeof(m));
        m.msg_iov = &v;
        m.msg_iovlen = 1;
        m.msg_control = i ? control : NULL;
        m.msg_controllen = i ? sizeof(control) : 0;
        EQ(recvmsg(fd, &m, MSG_ERRQUEUE), 5);
        EQ(m.msg_flags & ~MSG_CMSG_CLOEXEC, MSG_ERRQUEUE | MSG_CTRUNC);
        EQ(m.msg_controllen, 0);
    }
}

BOTH(without_the_option_nothing_is_queued)
{
    struct pair p = udp_pair(family);
    struct report r;
    close(p.server);
    EQ(send(p.client, "x", 1, 0), 1);
    wait_for(p.client, POLLERR);
    ERR(take(p.client, &r, 16), EAGAIN);
    EQ(get_int(p.client, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
}

/* Too long for the path with IP_PMTUDISC_DO: this host itself is the offender. */
BOTH(local_error)
{
    struct addr to = loopback(family, 9);
    int fd = udp(family);
    static char data[65536];
    struct report r;
    recverr(fd, family);
    if (family == AF_INET)
        set_int(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    else
        set_int(fd, SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
    ERR(sendto(fd, data, 65530, 0, &to.sa, to.len), EMSGSIZE);
    OK(take(fd, &r, 16));
    EQ(r.len, 0);
    EQ(r.ee.ee_errno, EMSGSIZE);
    EQ(r.ee.ee_origin, SO_EE_ORIGIN_LOCAL);
    EQ(r.ee.ee_type | r.ee.ee_code | r.ee.ee_data, 0);
    EQ(r.ee.ee_info, family == AF_INET ? 65535 : 65536);
    EQ(r.offender.ss.ss_family, AF_UNSPEC);
    EQ(port_of(&r.name), family == AF_INET ? 0 : 9);
    to.v4.sin_port = r.name.v4.sin_port;
    TRUE(same_addr(&r.name, &to));
    /* What Linux refuses before it looks at the route leaves nothing. */
    ERR(take(fd, &r, 16), EAGAIN);
}

BOTH(bounded_by_the_receive_buffer)
{
    struct addr gone;
    int fd = udp(family), other = bound_udp(family, &gone), n = 0;
    struct report r;
    close(other);
    recverr(fd, family);
    set_int(fd, SOL_SOCKET, SO_RCVBUF, 4096);
    for (int i = 0; i < 100; i++)
        sendto(fd, "x", 1, 0, &gone.sa, gone.len);
    sleep_ms(SHORT_MS);
    while (take(fd, &r, 16) == 0)
        n++;
    RANGE(n, 2, 20);
}

/* --- MSG_ZEROCOPY ----------------------------------------------------------------------------------------------- */

static void zerocopy_report(int fd, int family, unsigned first, unsigned last)
{
    struct report r;
    OK(take(fd, &r, 16));
    EQ(r.len, 0);
    EQ(r.flags, MSG_ERRQUEUE);
    TRUE(r.has_error);
    EQ(r.ee.ee_errno, 0);
    EQ(r.ee.ee_origin, SO_EE_ORIGIN_ZEROCOPY);
    EQ(r.ee.ee_type, 0);
    EQ(r.ee.ee_code, SO_EE_CODE_ZEROCOPY_COPIED);
    EQ(r.ee.ee_info, first);
    EQ(r.ee.ee_data, last);
    EQ(r.name.len, 0);
    (void)family;
}

BOTH(zerocopy_stream)
{
    struct pair p = tcp_pair(family);
    char data[4000], got[4000];
    memset(data, 'z', sizeof(data));
    set_int(p.client, SOL_SOCKET, SO_ZEROCOPY, 1);
    for (int i = 0; i < 3; i++) {
        EQ(send(p.client, data, sizeof(data), MSG_ZEROCOPY), sizeof(data));
        recv_all(p.server, got, sizeof(got));
        EQ(memcmp(got, data, sizeof(got)), 0);
    }
    EQ(events_of(p.client, POLLIN, LONG_MS), POLLERR);
    EQ(get_int(p.client, SOL_SOCKET, SO_ERROR), 0);
    sleep_ms(SHORT_MS * 3);
    zerocopy_report(p.client, family, 0, 2);
    EQ(events_of(p.client, POLLIN, 0), 0);
    /* The error queue is no error: sending and receiving go on beside it. */
    EQ(send(p.client, data, 10, MSG_ZEROCOPY), 10);
    recv_all(p.server, got, 10);
    wait_for(p.client, POLLERR);
    EQ(send(p.client, data, 10, 0), 10);
    send_all(p.server, "back", 4);
    recv_all(p.client, got, 4);
    zerocopy_report(p.client, family, 3, 3);
}

BOTH(zerocopy_not_asked_for)
{
    struct pair p = tcp_pair(family);
    struct report r;
    char got[8];
    EQ(send(p.client, "abc", 3, MSG_ZEROCOPY), 3);
    recv_all(p.server, got, 3);
    sleep_ms(SHORT_MS);
    ERR(take(p.client, &r, 16), EAGAIN);
}

BOTH(zerocopy_datagram)
{
    struct pair p = udp_pair(family);
    char got[8];
    set_int(p.client, SOL_SOCKET, SO_ZEROCOPY, 1);
    EQ(send(p.client, "abc", 3, MSG_ZEROCOPY), 3);
    EQ(recv(p.server, got, 8, 0), 3);
    EQ(send(p.client, "abc", 3, MSG_ZEROCOPY), 3);
    EQ(recv(p.server, got, 8, 0), 3);
    wait_for(p.client, POLLERR);
    sleep_ms(SHORT_MS);
    zerocopy_report(p.client, family, 0, 1);
}

BOTH(zerocopy_inherited)
{
    struct addr at;
    int listening = listener(family, 4, &at);
    set_int(listening, SOL_SOCKET, SO_ZEROCOPY, 1);
    struct pair p = pair_through(listening, &at);
    char got[4];
    EQ(get_int(p.server, SOL_SOCKET, SO_ZEROCOPY), 1);
    EQ(send(p.server, "abc", 3, MSG_ZEROCOPY), 3);
    recv_all(p.client, got, 3);
    wait_for(p.server, POLLERR);
    zerocopy_report(p.server, family, 0, 0);
}

BOTH(zerocopy_of_a_connection_that_ends)
{
    struct pair p = tcp_pair(family);
    struct report r;
    static char data[200000];
    set_int(p.client, SOL_SOCKET, SO_ZEROCOPY, 1);
    set_nonblocking(p.client);
    RANGE(send(p.client, data, sizeof(data), MSG_ZEROCOPY), 1, (long long)sizeof(data));
    reset(p.server);
    wait_for(p.client, POLLHUP);
    OK(take(p.client, &r, 16));
    EQ(r.ee.ee_origin, SO_EE_ORIGIN_ZEROCOPY);
    EQ(r.ee.ee_info, 0);
    EQ(r.ee.ee_data, 0);
    EQ(get_int(p.client, SOL_SOCKET, SO_ERROR), ECONNRESET);
}

/* --- SO_TIMESTAMPING -------------------------------------------------------------------------------------------- */

static void stamped(int fd, int family, unsigned what, unsigned key)
{
    struct report r;
    do { /* what is sent again is stamped again */
        wait_for(fd, POLLERR);
        OK(take(fd, &r, 16));
        TRUE(r.has_error && r.has_time);
        EQ(r.ee.ee_errno, ENOMSG);
        EQ(r.ee.ee_origin, SO_EE_ORIGIN_TIMESTAMPING);
    } while (what == SCM_TSTAMP_ACK && r.ee.ee_info != SCM_TSTAMP_ACK && r.ee.ee_data == key);
    EQ(r.ee.ee_info, what);
    EQ(r.ee.ee_data, key);
    EQ(r.name.len, 0);
    TRUE(is_now(&r.time));
    (void)family;
}

BOTH(stamps_of_a_stream)
{
    struct pair p = tcp_pair(family);
    char got[100];
    set_int(p.client, SOL_SOCKET, SO_TIMESTAMPING,
            SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK |
                SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY);
    for (unsigned i = 1; i <= 2; i++) {
        EQ(send(p.client, got, 100, 0), 100);
        recv_all(p.server, got, 100);
        stamped(p.client, family, SCM_TSTAMP_SCHED, 100 * i - 1);
        stamped(p.client, family, SCM_TSTAMP_SND, 100 * i - 1);
        stamped(p.client, family, SCM_TSTAMP_ACK, 100 * i - 1);
    }
}

static void read_all(void *arg)
{
    drain(*(int *)arg, 8 << 20);
}

/* However often it has to wait, a call is stamped once, at its last octet. */
BOTH(stamps_of_a_long_write)
{
    struct pair p = tcp_pair(family);
    struct task t = {0};
    struct report r;
    static char data[8 << 20];
    set_int(p.client, SOL_SOCKET, SO_SNDBUF, 50000);
    set_int(p.client, SOL_SOCKET, SO_TIMESTAMPING,
            SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE |
                SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY);
    start(&t, 0, read_all, &p.server);
    EQ(send(p.client, data, sizeof(data), 0), sizeof(data));
    join(&t);
    stamped(p.client, family, SCM_TSTAMP_SND, sizeof(data) - 1);
    stamped(p.client, family, SCM_TSTAMP_ACK, sizeof(data) - 1);
    sleep_ms(SHORT_MS);
    ERR(take(p.client, &r, 16), EAGAIN);
}

BOTH(stamps_of_datagrams)
{
    struct pair p = udp_pair(family);
    char got[100];
    set_int(p.client, SOL_SOCKET, SO_TIMESTAMPING,
            SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |
                SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY);
    for (unsigned i = 0; i < 3; i++) {
        EQ(send(p.client, "abc", 3, 0), 3);
        EQ(recv(p.server, got, 100, 0), 3);
        stamped(p.client, family, SCM_TSTAMP_SCHED, i);
        stamped(p.client, family, SCM_TSTAMP_SND, i);
    }
}

/* Without OPT_TSONLY the packet comes back, the data at its end. */
BOTH(the_packet_comes_back)
{
    struct pair p = udp_pair(family);
    struct report r;
    set_int(p.client, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
    EQ(send(p.client, "abcdef", 6, 0), 6);
    wait_for(p.client, POLLERR);
    OK(take(p.client, &r, sizeof(r.data)));
    RANGE(r.len, 6, 100);
    EQ(memcmp(r.data + r.len - 6, "abcdef", 6), 0);
    EQ(r.ee.ee_data, 0);
}

BOTH(stamps_for_one_call)
{
    struct pair p = udp_pair(family);
    struct report r;
    char control[CMSG_SPACE(sizeof(uint32_t))];
    struct iovec v = {"abc", 3};
    struct msghdr m;
    uint32_t flags = SOF_TIMESTAMPING_TX_SOFTWARE;
    set_int(p.client, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY);
    EQ(send(p.client, "abc", 3, 0), 3);
    sleep_ms(SHORT_MS);
    ERR(take(p.client, &r, 16), EAGAIN);
    memset(&m, 0, sizeof(m));
    memset(control, 0, sizeof(control));
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof(control);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SO_TIMESTAMPING;
    c->cmsg_len = CMSG_LEN(sizeof(flags));
    memcpy(CMSG_DATA(c), &flags, sizeof(flags));
    EQ(sendmsg(p.client, &m, 0), 3);
    stamped(p.client, family, SCM_TSTAMP_SND, 0);
    flags = SOF_TIMESTAMPING_RX_SOFTWARE;
    memcpy(CMSG_DATA(c), &flags, sizeof(flags));
    ERR(sendmsg(p.client, &m, 0), EINVAL);
}

BOTH(stamping_needs_a_connection)
{
    int fd = tcp(family), id = SOF_TIMESTAMPING_OPT_ID, tcp_id = 1 << 16; /* SOF_TIMESTAMPING_OPT_ID_TCP */
    ERR(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &id, sizeof(id)), EINVAL);
    ERR(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &tcp_id, sizeof(tcp_id)), EINVAL);
    struct pair p = tcp_pair(family);
    OK(setsockopt(p.client, SOL_SOCKET, SO_TIMESTAMPING, &id, sizeof(id)));
    int both[2] = {7, 7};
    socklen_t len = sizeof(both);
    OK(getsockopt(p.client, SOL_SOCKET, SO_TIMESTAMPING, both, &len));
    EQ(len, 8);
    EQ(both[0], id);
    EQ(both[1], 0);
}
