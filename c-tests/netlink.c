/* Netlink sockets (netlink(7), rtnetlink(7)): names, requests and their answers. Interface 1 is `lo`, 2 the device. */
#include "device.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

/* Of net/if.h, which can't stand beside linux/if.h. */
char *if_indextoname(unsigned index, char *name);
unsigned if_nametoindex(const char *name);

#define ROOM 32768
#define SEQUENCE 4711

/* An answer as it was received: messages one after the other. */
struct answer {
    size_t len;
    int flags;
    struct sockaddr_nl from;
    union {
        char bytes[ROOM];
        struct nlmsghdr first;
    };
};

/* What a request consists of. */
struct request {
    struct nlmsghdr head;
    union {
        struct rtgenmsg any;
        struct ifinfomsg link;
        struct ifaddrmsg addr;
        struct rtmsg route;
        struct ndmsg neighbour;
    };
    char attributes[256];
};

static int netlink(void)
{
    need_device();
    return (int)OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
}

static struct request ask_for(int type, int flags, size_t header)
{
    struct request r = {.head = {.nlmsg_type = (unsigned short)type, .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | flags),
                                 .nlmsg_seq = SEQUENCE}};
    r.head.nlmsg_len = (unsigned)NLMSG_LENGTH(header);
    return r;
}

static void add(struct request *r, int type, const void *value, size_t len)
{
    struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->head.nlmsg_len));
    a->rta_type = (unsigned short)type;
    a->rta_len = (unsigned short)RTA_LENGTH(len);
    memcpy(RTA_DATA(a), value, len);
    r->head.nlmsg_len = NLMSG_ALIGN(r->head.nlmsg_len) + (unsigned)RTA_ALIGN(a->rta_len);
}

static void tell(int fd, const struct request *r)
{
    EQ(send(fd, r, r->head.nlmsg_len, 0), r->head.nlmsg_len);
}

/* The next datagram: it is there already, and comes from the kernel. */
static void hear(int fd, struct answer *a)
{
    struct iovec piece = {a->bytes, sizeof(a->bytes)};
    struct msghdr m = {.msg_name = &a->from, .msg_namelen = sizeof(a->from), .msg_iov = &piece, .msg_iovlen = 1};
    a->len = (size_t)OK(recvmsg(fd, &m, MSG_DONTWAIT));
    a->flags = m.msg_flags;
    EQ(m.msg_namelen, sizeof(a->from));
    EQ(a->from.nl_family, AF_NETLINK);
    EQ(a->from.nl_pid, 0);
    EQ(a->from.nl_groups, 0);
}

static unsigned port_of_netlink(int fd)
{
    struct sockaddr_nl own;
    socklen_t len = sizeof(own);
    OK(getsockname(fd, (struct sockaddr *)&own, &len));
    EQ(len, sizeof(own));
    EQ(own.nl_family, AF_NETLINK);
    return own.nl_pid;
}

/* Asks, and has every message of the answers looked at; returns what ends them: 0 or an errno. */
static int ask(int fd, const struct request *r, void (*look)(struct nlmsghdr *, void *), void *arg)
{
    static struct answer a;
    unsigned port;
    bool list = (r->head.nlmsg_flags & NLM_F_DUMP) != 0;
    tell(fd, r);
    port = port_of_netlink(fd);
    for (;;) {
        hear(fd, &a);
        int left = (int)a.len;
        for (struct nlmsghdr *m = &a.first; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
            EQ(m->nlmsg_seq, r->head.nlmsg_seq);
            EQ(m->nlmsg_pid, port);
            if (m->nlmsg_type == NLMSG_ERROR)
                return -((struct nlmsgerr *)NLMSG_DATA(m))->error;
            EQ(!!(m->nlmsg_flags & NLM_F_MULTI), list);
            if (m->nlmsg_type == NLMSG_DONE)
                return -*(int *)NLMSG_DATA(m);
            if (look)
                look(m, arg);
        }
        if (!list)
            return 0;
    }
}

static struct rtattr *attribute(struct nlmsghdr *m, size_t header, int type)
{
    int left = (int)(m->nlmsg_len - NLMSG_SPACE(header));
    for (struct rtattr *a = (struct rtattr *)((char *)m + NLMSG_SPACE(header)); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if ((a->rta_type & NLA_TYPE_MASK) == type)
            return a;
    return NULL;
}

static unsigned number(struct nlmsghdr *m, size_t header, int type)
{
    struct rtattr *a = attribute(m, header, type);
    TRUE(a != NULL);
    EQ(RTA_PAYLOAD(a), 4);
    unsigned value;
    memcpy(&value, RTA_DATA(a), sizeof(value));
    return value;
}

static bool is_address(struct nlmsghdr *m, size_t header, int type, int family, const char *text)
{
    struct rtattr *a = attribute(m, header, type);
    char shown[INET6_ADDRSTRLEN];
    return a && inet_ntop(family, RTA_DATA(a), shown, sizeof(shown)) && strcmp(shown, text) == 0;
}

/* --- the socket ------------------------------------------------------------------------------------------------- */

CASE(kinds_and_options)
{
    int fd = netlink(), dgram = (int)OK(socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK, NETLINK_ROUTE));
    EQ(get_int(fd, SOL_SOCKET, SO_DOMAIN), AF_NETLINK);
    EQ(get_int(fd, SOL_SOCKET, SO_PROTOCOL), NETLINK_ROUTE);
    EQ(get_int(fd, SOL_SOCKET, SO_TYPE), SOCK_RAW);
    EQ(get_int(dgram, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    EQ(fcntl(dgram, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EQ(fcntl(dgram, F_GETFD), 0);
    set_int(fd, SOL_SOCKET, SO_RCVBUF, 50000);
    EQ(get_int(fd, SOL_SOCKET, SO_RCVBUF), 100000);
    set_int(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    set_int(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    EQ(get_int(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK), 1);
    ERR(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE), ESOCKTNOSUPPORT);
    ERR(listen(fd, 1), EOPNOTSUPP);
    ERR(accept(fd, NULL, NULL), EOPNOTSUPP);
    ERR(shutdown(fd, SHUT_RDWR), EOPNOTSUPP);
    char byte;
    ERR(recv(dgram, &byte, 1, 0), EAGAIN);
    struct stat st;
    OK(fstat(fd, &st));
    TRUE(S_ISSOCK(st.st_mode));
}

CASE(names)
{
    int first = netlink(), second = netlink(), third = netlink();
    struct sockaddr_nl name = {.nl_family = AF_NETLINK}, peer;
    socklen_t len = sizeof(peer);
    EQ(port_of_netlink(first), 0);
    OK(bind(first, (struct sockaddr *)&name, sizeof(name)));
    EQ(port_of_netlink(first), getpid());
    struct request r = ask_for(RTM_GETLINK, NLM_F_DUMP, sizeof(r.link));
    tell(second, &r);
    TRUE(port_of_netlink(second) != 0 && port_of_netlink(second) != (unsigned)getpid());
    name.nl_pid = 77;
    OK(bind(third, (struct sockaddr *)&name, sizeof(name)));
    EQ(port_of_netlink(third), 77);
    OK(bind(third, (struct sockaddr *)&name, sizeof(name)));
    name.nl_pid = 78;
    ERR(bind(third, (struct sockaddr *)&name, sizeof(name)), EINVAL);
    name.nl_pid = 77;
    ERR(bind(netlink(), (struct sockaddr *)&name, sizeof(name)), EADDRINUSE);
    ERR(bind(netlink(), (struct sockaddr *)&name, sizeof(name) - 1), EINVAL);
    name.nl_family = AF_INET;
    ERR(bind(netlink(), (struct sockaddr *)&name, sizeof(name)), EINVAL);
    OK(getpeername(first, (struct sockaddr *)&peer, &len));
    EQ(len, sizeof(peer));
    EQ(peer.nl_family, AF_NETLINK);
    EQ(peer.nl_pid, 0);
    char cut[6] = "......";
    len = 4;
    OK(getsockname(third, (struct sockaddr *)cut, &len));
    EQ(len, sizeof(name));
    EQ(cut[4], '.');
    EQ(ask(third, &r, NULL, NULL), 0);
}

CASE(connected_to_the_kernel)
{
    int fd = netlink();
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK}, peer;
    socklen_t len = sizeof(peer);
    OK(connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)));
    OK(getpeername(fd, (struct sockaddr *)&peer, &len));
    EQ(peer.nl_pid, 0);
    EQ(port_of_netlink(fd), getpid());
    struct request r = ask_for(RTM_GETLINK, NLM_F_DUMP, sizeof(r.link));
    EQ(ask(fd, &r, NULL, NULL), 0);
    EQ(sendto(fd, &r, r.head.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)), r.head.nlmsg_len);
    struct answer a;
    hear(fd, &a);
    EQ(a.first.nlmsg_type, RTM_NEWLINK);
}

CASE(groups)
{
    int fd = netlink();
    struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE};
    socklen_t len = sizeof(name);
    unsigned listed[8] = {0};
    OK(bind(fd, (struct sockaddr *)&name, sizeof(name)));
    name.nl_groups = 0;
    OK(getsockname(fd, (struct sockaddr *)&name, &len));
    EQ(name.nl_groups, RTMGRP_LINK | RTMGRP_IPV4_ROUTE);
    EQ(name.nl_pid, getpid());
    set_int(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_IPV6_IFADDR);
    set_int(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, RTNLGRP_LINK);
    OK(getsockname(fd, (struct sockaddr *)&name, &len));
    EQ(name.nl_groups, RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE);
    set_int(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, 33);
    len = sizeof(listed);
    OK(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, listed, &len));
    EQ(len, 8);
    EQ(listed[0], RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE);
    EQ(listed[1], 1);
    int group = 0;
    ERR(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)), EINVAL);
    group = 1000;
    ERR(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)), EINVAL);
    ERR(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, 2), EINVAL);
    EQ(events_of(fd, POLLIN, 0), 0);
}

CASE(sending_what_is_wrong)
{
    int fd = netlink();
    static char big[1 << 20];
    struct sockaddr_nl to = {.nl_family = AF_NETLINK};
    ERR(send(fd, "", 0, 0), ENODATA);
    ERR(write(fd, "", 0), ENODATA);
    ERR(send(fd, "abcdef", 6, MSG_OOB), EOPNOTSUPP);
    ERR(send(fd, big, sizeof(big), 0), EMSGSIZE);
    ERR(send(fd, bad_pointer, 20, 0), EFAULT);
    ERR(sendto(fd, "abcdef", 6, 0, (struct sockaddr *)&to, 8), EINVAL);
    to.nl_family = AF_INET;
    ERR(sendto(fd, "abcdef", 6, 0, (struct sockaddr *)&to, sizeof(to)), EINVAL);
    to.nl_family = AF_NETLINK;
    to.nl_pid = 0x7654321;
    ERR(sendto(fd, "abcdef", 6, 0, (struct sockaddr *)&to, sizeof(to)), ECONNREFUSED);
    /* Too short for a message, and one that says it is longer than it is: passed over. */
    EQ(send(fd, "abcdef", 6, 0), 6);
    struct request r = ask_for(RTM_GETLINK, NLM_F_DUMP, sizeof(r.link));
    EQ(send(fd, &r, r.head.nlmsg_len - 4, 0), r.head.nlmsg_len - 4);
    EQ(events_of(fd, POLLIN | POLLOUT, 0), POLLOUT);
}

CASE(waiting_for_answers)
{
    int fd = netlink(), copy, set = (int)OK(epoll_create1(0));
    struct request r = ask_for(RTM_GETLINK, NLM_F_DUMP, sizeof(r.link));
    struct epoll_event ev = {.events = EPOLLIN};
    char byte;
    OK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev));
    EQ(events_of(fd, POLLIN | POLLOUT, 0), POLLOUT);
    EQ(epoll_wait(set, &ev, 1, 0), 0);
    ERR(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    tell(fd, &r);
    EQ(events_of(fd, POLLIN | POLLOUT, 0), POLLIN | POLLOUT);
    EQ(epoll_wait(set, &ev, 1, 0), 1);
    int room = 7;
    ERR(ioctl(fd, FIONREAD, &room), ENOTTY);
    /* Its size first, as libraries do. */
    ssize_t size = OK(recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC));
    TRUE(size > (ssize_t)sizeof(struct nlmsghdr));
    struct iovec piece = {&byte, 1};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1};
    EQ(recvmsg(fd, &m, MSG_PEEK), 1);
    EQ(m.msg_flags & MSG_TRUNC, MSG_TRUNC);
    copy = (int)OK(dup(fd));
    OK(close(fd));
    static struct answer a;
    EQ(recv(copy, a.bytes, sizeof(a.bytes), 0), size);
    EQ(a.first.nlmsg_type, RTM_NEWLINK);
    for (bool over = false; !over;) {
        hear(copy, &a);
        int left = (int)a.len;
        for (struct nlmsghdr *one = &a.first; NLMSG_OK(one, left); one = NLMSG_NEXT(one, left))
            over |= one->nlmsg_type == NLMSG_DONE;
    }
    EQ(ask(copy, &r, NULL, NULL), 0);
    EQ(events_of(copy, POLLIN | POLLOUT, 0), POLLOUT);
    OK(close(copy));
    ERR(send(copy, &r, r.head.nlmsg_len, 0), EBADF);
}

/* In one list, and in one set, with sockets of other families. */
CASE(waiting_beside_others)
{
    int fd = netlink(), datagrams, set = (int)OK(epoll_create1(0));
    struct addr at;
    struct request r = ask_for(RTM_GETLINK, NLM_F_DUMP, sizeof(r.link));
    datagrams = bound_udp(AF_INET, &at);
    struct epoll_event first = {.events = EPOLLIN, .data.fd = fd}, second = {.events = EPOLLIN, .data.fd = datagrams}, got[2];
    OK(epoll_ctl(set, EPOLL_CTL_ADD, datagrams, &second));
    OK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &first));
    ERR(epoll_ctl(set, EPOLL_CTL_ADD, fd, &first), EEXIST);
    ERR(epoll_ctl(fd, EPOLL_CTL_ADD, datagrams, &second), EINVAL);
    struct pollfd list[2] = {{fd, POLLIN, 0}, {datagrams, POLLIN, 0}};
    EQ(poll(list, 2, 0), 0);
    EQ(epoll_wait(set, got, 2, 0), 0);
    tell(fd, &r);
    EQ(poll(list, 2, LONG_MS), 1);
    EQ(list[0].revents, POLLIN);
    EQ(epoll_wait(set, got, 2, LONG_MS), 1);
    EQ(got[0].data.fd, fd);
    EQ(sendto(datagrams, "x", 1, 0, &at.sa, at.len), 1);
    wait_for(datagrams, POLLIN);
    EQ(poll(list, 2, LONG_MS), 2);
    EQ(epoll_wait(set, got, 2, LONG_MS), 2);
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(fd, &readable);
    FD_SET(datagrams, &readable);
    EQ(select((fd > datagrams ? fd : datagrams) + 1, &readable, NULL, NULL, NULL), 2);
    OK(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
    EQ(epoll_wait(set, got, 2, LONG_MS), 1);
    EQ(got[0].data.fd, datagrams);
}

CASE(closed_in_a_range)
{
    int fd = netlink(), kept = (int)OK(dup2(netlink(), 100));
    struct request r = ask_for(RTM_GETLINK, NLM_F_DUMP, sizeof(r.link));
    OK(close_range((unsigned)fd, 99, 0));
    ERR(send(fd, &r, r.head.nlmsg_len, 0), EBADF);
    EQ(ask(kept, &r, NULL, NULL), 0);
    /* The number stands for something else. */
    int plain[2];
    OK(pipe(plain));
    EQ(plain[0], fd);
    EQ(write(plain[1], "abc", 3), 3);
    char bytes[3];
    EQ(read(fd, bytes, 3), 3);
    int other = netlink();
    EQ(dup2(plain[0], other), other);
    EQ(write(plain[1], "abc", 3), 3);
    EQ(read(other, bytes, 3), 3);
    ERR(send(other, "abc", 3, 0), ENOTSOCK);
}

static void ask_late(void *arg)
{
    struct request r = ask_for(RTM_GETLINK, 0, sizeof(r.link));
    r.link.ifi_index = LO;
    int fd = *(int *)arg;
    EQ(send(fd, &r, r.head.nlmsg_len, 0), r.head.nlmsg_len);
}

/* Who waits for an answer gets that to a question which another thread asks; a time limit ends the wait, and so does a signal. */
CASE(a_reader_waits)
{
    int fd = netlink();
    static struct answer a;
    struct task t;
    start(&t, SHORT_MS, ask_late, &fd);
    EQ(recv(fd, a.bytes, sizeof(a.bytes), 0) > 0, 1);
    EQ(a.first.nlmsg_type, RTM_NEWLINK);
    join(&t);
    struct timeval limit = {.tv_usec = SHORT_MS * 1000};
    OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    ERR(recv(fd, a.bytes, sizeof(a.bytes), 0), EAGAIN);
    limit.tv_usec = 0;
    OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    catch_signal(SIGUSR1, 0);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    ERR(recv(fd, a.bytes, sizeof(a.bytes), 0), EINTR);
    join(&t);
}

CASE(reading_and_writing)
{
    int fd = netlink();
    struct request r = ask_for(RTM_GETLINK, 0, sizeof(r.link));
    static char room[ROOM];
    struct nlmsghdr *head = (struct nlmsghdr *)room;
    r.link.ifi_index = LO;
    EQ(write(fd, &r, r.head.nlmsg_len), r.head.nlmsg_len);
    ssize_t got = OK(read(fd, room, sizeof(room)));
    EQ(got, head->nlmsg_len);
    EQ(head->nlmsg_type, RTM_NEWLINK);
    struct iovec two[2] = {{&r, 20}, {(char *)&r + 20, r.head.nlmsg_len - 20}};
    EQ(writev(fd, two, 2), r.head.nlmsg_len);
    struct iovec in[2] = {{room, 10}, {room + 10, sizeof(room) - 10}};
    EQ(readv(fd, in, 2), got);
    struct mmsghdr many[2] = {{.msg_hdr = {.msg_iov = two, .msg_iovlen = 2}}, {.msg_hdr = {.msg_iov = two, .msg_iovlen = 2}}};
    EQ(sendmmsg(fd, many, 2, 0), 2);
    EQ(many[1].msg_len, r.head.nlmsg_len);
    static char rooms[3][ROOM];
    struct sockaddr_nl from[3];
    struct iovec pieces[3];
    struct mmsghdr came[3] = {0};
    for (int i = 0; i < 3; i++) {
        pieces[i] = (struct iovec){rooms[i], ROOM};
        came[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &pieces[i], .msg_iovlen = 1};
    }
    EQ(recvmmsg(fd, came, 3, MSG_WAITFORONE, NULL), 2);
    EQ(came[1].msg_len, got);
    EQ(from[1].nl_pid, 0);
    struct sockaddr_nl sender;
    socklen_t len = sizeof(sender);
    tell(fd, &r);
    EQ(recvfrom(fd, room, sizeof(room), 0, (struct sockaddr *)&sender, &len), got);
    EQ(len, sizeof(sender));
    EQ(sender.nl_pid, 0);
    EQ(sender.nl_family, AF_NETLINK);
}

CASE(credentials_are_the_kernels)
{
    int fd = netlink();
    struct request r = ask_for(RTM_GETLINK, 0, sizeof(r.link));
    char control[256];
    static char room[ROOM];
    struct iovec piece = {room, sizeof(room)};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    r.link.ifi_index = LO;
    set_int(fd, SOL_SOCKET, SO_PASSCRED, 1);
    tell(fd, &r);
    OK(recvmsg(fd, &m, 0));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    TRUE(c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS);
    int who[3];
    memcpy(who, CMSG_DATA(c), sizeof(who));
    EQ(who[0], 0);
    EQ(who[1], 0);
    EQ(who[2], 0);
}

CASE(requests_of_netdevice)
{
    int fd = netlink();
    struct ifreq q = {.ifr_ifindex = DEVICE};
    struct ifconf c = {.ifc_len = 0};
    OK(ioctl(fd, SIOCGIFNAME, &q));
    EQ(if_nametoindex(q.ifr_name), DEVICE);
    OK(ioctl(fd, SIOCGIFMTU, &q));
    EQ(q.ifr_mtu, 1500);
    ERR(ioctl(fd, SIOCGIFADDR, &q), ENOTTY);
    OK(ioctl(fd, SIOCGIFCONF, &c));
    EQ(c.ifc_len, 2 * sizeof(struct ifreq));
}

/* --- errors and acknowledgements -------------------------------------------------------------------------------- */

/* The one datagram that answers: an error message. */
static struct nlmsgerr *error_of(int fd, const struct request *r, struct answer *a)
{
    tell(fd, r);
    hear(fd, a);
    EQ(a->first.nlmsg_type, NLMSG_ERROR);
    EQ(a->first.nlmsg_len, a->len);
    EQ(a->first.nlmsg_seq, SEQUENCE);
    ERR(recv(fd, a, 0, MSG_DONTWAIT), EAGAIN);
    struct nlmsgerr *e = NLMSG_DATA(&a->first);
    EQ(e->msg.nlmsg_type, r->head.nlmsg_type);
    return e;
}

CASE(acknowledgements)
{
    int fd = netlink();
    static struct answer a;
    struct request r = ask_for(NLMSG_NOOP, NLM_F_ACK, 0);
    EQ(error_of(fd, &r, &a)->error, 0);
    EQ(a.first.nlmsg_flags, NLM_F_CAPPED);
    EQ(a.len, NLMSG_LENGTH(sizeof(struct nlmsgerr)));
    /* Without a family there is nothing to be done. */
    r = ask_for(RTM_GETLINK, NLM_F_ACK, 0);
    EQ(error_of(fd, &r, &a)->error, 0);
    r = ask_for(RTM_GETLINK, NLM_F_ACK, sizeof(r.link));
    r.head.nlmsg_flags = NLM_F_ACK;
    EQ(error_of(fd, &r, &a)->error, 0);
    /* An answer, and then the acknowledgement. */
    r = ask_for(RTM_GETLINK, NLM_F_ACK, sizeof(r.link));
    r.link.ifi_index = LO;
    tell(fd, &r);
    hear(fd, &a);
    EQ(a.first.nlmsg_type, RTM_NEWLINK);
    EQ(a.first.nlmsg_flags, 0);
    hear(fd, &a);
    EQ(a.first.nlmsg_type, NLMSG_ERROR);
    ERR(recv(fd, &a, 1, MSG_DONTWAIT), EAGAIN);
}

CASE(errors_bring_the_request_back)
{
    int fd = netlink();
    static struct answer a;
    struct request r = ask_for(RTM_GETLINK, 0, sizeof(r.link));
    r.link.ifi_index = 77;
    EQ(error_of(fd, &r, &a)->error, -ENODEV);
    EQ(a.first.nlmsg_flags, 0);
    EQ(a.len, NLMSG_LENGTH(sizeof(int)) + r.head.nlmsg_len);
    set_int(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    EQ(error_of(fd, &r, &a)->error, -ENODEV);
    EQ(a.first.nlmsg_flags, NLM_F_CAPPED);
    EQ(a.len, NLMSG_LENGTH(sizeof(struct nlmsgerr)));
    r = ask_for(RTM_GETLINK, 0, sizeof(r.link));
    EQ(error_of(fd, &r, &a)->error, -EINVAL);
    r = ask_for(RTM_GETLINK, 0, 4);
    EQ(error_of(fd, &r, &a)->error, -EINVAL);
    r = ask_for(250, 0, 16);
    EQ(error_of(fd, &r, &a)->error, -EOPNOTSUPP);
    r = ask_for(RTM_GETADDR, 0, sizeof(r.addr));
    r.addr.ifa_family = AF_INET;
    EQ(error_of(fd, &r, &a)->error, -EOPNOTSUPP);
    r = ask_for(RTM_GETROUTE, 0, sizeof(r.route));
    EQ(error_of(fd, &r, &a)->error, -EOPNOTSUPP);
}

CASE(several_requests_in_one_datagram)
{
    int fd = netlink();
    static struct answer a;
    struct request two[2];
    char both[2 * sizeof(two[0])];
    size_t len = 0;
    for (int i = 0; i < 2; i++) {
        two[i] = ask_for(RTM_GETLINK, 0, sizeof(two[i].link));
        two[i].link.ifi_index = i == 0 ? LO : DEVICE;
        memcpy(both + len, &two[i], two[i].head.nlmsg_len);
        len += NLMSG_ALIGN(two[i].head.nlmsg_len);
    }
    EQ(send(fd, both, len, 0), len);
    for (int i = 0; i < 2; i++) {
        hear(fd, &a);
        EQ(a.first.nlmsg_type, RTM_NEWLINK);
        EQ(((struct ifinfomsg *)NLMSG_DATA(&a.first))->ifi_index, i == 0 ? LO : DEVICE);
    }
}

/* Who has no right to change anything is told so; on tunsock nobody has it. */
CASE(changes_are_refused)
{
    needs_root_of_the_machine();
    int fd = netlink();
    unsigned addr = htonl(0x0a090909);
    OK(setresuid(65534, 65534, 65534));
    struct request r = ask_for(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(r.addr));
    r.addr = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = LO};
    add(&r, IFA_LOCAL, &addr, sizeof(addr));
    int other = netlink();
    static struct answer a;
    EQ(error_of(other, &r, &a)->error, -EPERM);
    r = ask_for(RTM_DELROUTE, NLM_F_ACK, sizeof(r.route));
    EQ(error_of(other, &r, &a)->error, -EPERM);
    r = ask_for(RTM_SETLINK, NLM_F_ACK, sizeof(r.link));
    EQ(error_of(other, &r, &a)->error, -EPERM);
    OK(close(fd));
}

/* --- what is told ----------------------------------------------------------------------------------------------- */

struct seen {
    int lo, device, count;
    bool wrong;
};

static void look_at_link(struct nlmsghdr *m, void *arg)
{
    struct seen *seen = arg;
    struct ifinfomsg *link = NLMSG_DATA(m);
    EQ(m->nlmsg_type, RTM_NEWLINK);
    struct rtattr *name = attribute(m, sizeof(*link), IFLA_IFNAME);
    TRUE(name != NULL);
    char told[IFNAMSIZ];
    TRUE(if_indextoname((unsigned)link->ifi_index, told) == told);
    EQ(strcmp(told, RTA_DATA(name)), 0);
    TRUE(link->ifi_flags & IFF_UP);
    EQ(link->ifi_change, 0);
    EQ(number(m, sizeof(*link), IFLA_GROUP), 0);
    if (link->ifi_index == LO) {
        EQ(link->ifi_type, 772); /* ARPHRD_LOOPBACK */
        EQ(number(m, sizeof(*link), IFLA_MTU), 65536);
        EQ(number(m, sizeof(*link), IFLA_TXQLEN), 1000);
        TRUE(link->ifi_flags & IFF_LOOPBACK);
        EQ(RTA_PAYLOAD(attribute(m, sizeof(*link), IFLA_ADDRESS)), 6);
        seen->lo++;
    } else {
        EQ(link->ifi_index, DEVICE);
        EQ(link->ifi_type, 0xfffe); /* ARPHRD_NONE */
        EQ(number(m, sizeof(*link), IFLA_MTU), 1500);
        EQ(number(m, sizeof(*link), IFLA_TXQLEN), 500);
        TRUE(link->ifi_flags & IFF_POINTOPOINT);
        TRUE(attribute(m, sizeof(*link), IFLA_ADDRESS) == NULL);
        struct rtattr *info = attribute(m, sizeof(*link), IFLA_LINKINFO);
        TRUE(info != NULL);
        struct rtattr *kind = RTA_DATA(info);
        EQ(kind->rta_type, IFLA_INFO_KIND);
        EQ(strncmp(RTA_DATA(kind), "tun", 3), 0);
        seen->device++;
    }
}

CASE(links)
{
    int fd = netlink();
    struct seen seen = {0};
    struct request r = ask_for(RTM_GETLINK, NLM_F_DUMP, sizeof(r.link));
    EQ(ask(fd, &r, look_at_link, &seen), 0);
    EQ(seen.lo, 1);
    EQ(seen.device, 1);
    /* A family alone, as old programs ask. */
    r = ask_for(RTM_GETLINK, NLM_F_DUMP, sizeof(r.any));
    EQ(ask(fd, &r, look_at_link, &seen), 0);
    EQ(seen.lo, 2);
    r = ask_for(RTM_GETLINK, 0, sizeof(r.link));
    r.link.ifi_index = DEVICE;
    EQ(ask(fd, &r, look_at_link, &seen), 0);
    EQ(seen.device, 3);
    r = ask_for(RTM_GETLINK, 0, sizeof(r.link));
    add(&r, IFLA_IFNAME, "lo", 3);
    EQ(ask(fd, &r, look_at_link, &seen), 0);
    EQ(seen.lo, 3);
    r = ask_for(RTM_GETLINK, 0, sizeof(r.link));
    add(&r, IFLA_IFNAME, "nosuch0", 8);
    EQ(ask(fd, &r, NULL, NULL), ENODEV);
    /* Those of a kind, those with a master. */
    seen = (struct seen){0};
    r = ask_for(RTM_GETLINK, NLM_F_DUMP, sizeof(r.link));
    char kind[] = {8, 0, IFLA_INFO_KIND, 0, 't', 'u', 'n', 0};
    add(&r, IFLA_LINKINFO, kind, sizeof(kind));
    EQ(ask(fd, &r, look_at_link, &seen), 0);
    EQ(seen.lo, 0);
    EQ(seen.device, 1);
    unsigned master = 77;
    r = ask_for(RTM_GETLINK, NLM_F_DUMP, sizeof(r.link));
    add(&r, IFLA_MASTER, &master, sizeof(master));
    EQ(ask(fd, &r, look_at_link, &seen), 0);
    EQ(seen.device, 1);
    set_int(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    r = ask_for(RTM_GETLINK, NLM_F_DUMP, sizeof(r.link));
    r.link.ifi_index = LO;
    EQ(ask(fd, &r, NULL, NULL), EINVAL);
}

static void look_at_address(struct nlmsghdr *m, void *arg)
{
    struct seen *seen = arg;
    struct ifaddrmsg *addr = NLMSG_DATA(m);
    bool lo = addr->ifa_index == LO, v4 = addr->ifa_family == AF_INET;
    EQ(m->nlmsg_type, RTM_NEWADDR);
    if (!v4 && addr->ifa_scope == RT_SCOPE_LINK)
        return; /* the kernel may have a link-local one beside ours */
    const char *text = v4 ? (lo ? "127.0.0.1" : "10.83.0.2") : (lo ? "::1" : "fd83::2");
    TRUE(is_address(m, sizeof(*addr), IFA_ADDRESS, addr->ifa_family, text));
    EQ(addr->ifa_prefixlen, v4 ? (lo ? 8 : 24) : (lo ? 128 : 64));
    EQ(addr->ifa_scope, lo ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE);
    TRUE(number(m, sizeof(*addr), IFA_FLAGS) & IFA_F_PERMANENT);
    struct ifa_cacheinfo life;
    memcpy(&life, RTA_DATA(attribute(m, sizeof(*addr), IFA_CACHEINFO)), sizeof(life));
    EQ(life.ifa_valid, 0xffffffff);
    if (v4) {
        char name[IFNAMSIZ];
        TRUE(is_address(m, sizeof(*addr), IFA_LOCAL, AF_INET, text));
        TRUE(if_indextoname(addr->ifa_index, name) == name);
        EQ(strcmp(name, RTA_DATA(attribute(m, sizeof(*addr), IFA_LABEL))), 0);
    }
    seen->count++;
    seen->lo += lo;
    seen->device += !lo;
}

CASE(addresses)
{
    int fd = netlink();
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6};
    for (int i = 0; i < 3; i++) {
        struct seen seen = {0};
        struct request r = ask_for(RTM_GETADDR, NLM_F_DUMP, sizeof(r.addr));
        r.addr.ifa_family = (unsigned char)families[i];
        EQ(ask(fd, &r, look_at_address, &seen), 0);
        EQ(seen.lo, families[i] == AF_UNSPEC ? 2 : 1);
        EQ(seen.device, families[i] == AF_UNSPEC ? 2 : 1);
    }
    /* One address of IPv6. */
    struct seen seen = {0};
    struct addr own = device_addr(AF_INET6, 0);
    struct request r = ask_for(RTM_GETADDR, 0, sizeof(r.addr));
    r.addr.ifa_family = AF_INET6;
    add(&r, IFA_ADDRESS, &own.v6.sin6_addr, 16);
    EQ(ask(fd, &r, look_at_address, &seen), 0);
    EQ(seen.device, 1);
    own = ipv6("fd83::77", 0);
    r = ask_for(RTM_GETADDR, 0, sizeof(r.addr));
    r.addr.ifa_family = AF_INET6;
    add(&r, IFA_ADDRESS, &own.v6.sin6_addr, 16);
    EQ(ask(fd, &r, NULL, NULL), EADDRNOTAVAIL);
    /* Those of one interface, for who is strict. */
    r = ask_for(RTM_GETADDR, NLM_F_DUMP, sizeof(r.addr));
    r.addr.ifa_index = DEVICE;
    EQ(ask(fd, &r, look_at_address, &seen), 0);
    EQ(seen.lo, 2);
    set_int(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    seen = (struct seen){0};
    EQ(ask(fd, &r, look_at_address, &seen), 0);
    EQ(seen.lo, 0);
    EQ(seen.device, 2);
    r.addr.ifa_index = 77;
    EQ(ask(fd, &r, NULL, NULL), ENODEV);
    r.addr = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 8};
    EQ(ask(fd, &r, NULL, NULL), EINVAL);
}

static void look_at_route(struct nlmsghdr *m, void *arg)
{
    struct seen *seen = arg;
    struct rtmsg *route = NLMSG_DATA(m);
    int family = route->rtm_family;
    size_t h = sizeof(*route);
    EQ(m->nlmsg_type, RTM_NEWROUTE);
    EQ(number(m, h, RTA_TABLE), route->rtm_table);
    seen->count++;
    if (route->rtm_table == RT_TABLE_MAIN) {
        EQ(route->rtm_type, RTN_UNICAST);
        EQ(number(m, h, RTA_OIF), DEVICE);
        if (is_address(m, h, RTA_DST, AF_INET, "10.83.0.0") && family == AF_INET) {
            EQ(route->rtm_dst_len, 24);
            EQ(route->rtm_protocol, RTPROT_KERNEL);
            EQ(route->rtm_scope, RT_SCOPE_LINK);
            TRUE(is_address(m, h, RTA_PREFSRC, AF_INET, "10.83.0.2"));
            seen->device++;
        }
        if (is_address(m, h, RTA_DST, AF_INET6, "fd83::") && family == AF_INET6) {
            EQ(route->rtm_dst_len, 64);
            EQ(route->rtm_protocol, RTPROT_KERNEL);
            EQ(number(m, h, RTA_PRIORITY), 256);
            seen->device++;
        }
        if (family == AF_INET && route->rtm_dst_len == 0)
            EQ(route->rtm_protocol, RTPROT_BOOT);
        return;
    }
    EQ(route->rtm_table, RT_TABLE_LOCAL);
    EQ(route->rtm_protocol, RTPROT_KERNEL);
    if (is_address(m, h, RTA_DST, AF_INET, "127.0.0.0") && family == AF_INET) {
        EQ(route->rtm_type, RTN_LOCAL);
        EQ(route->rtm_dst_len, 8);
        EQ(route->rtm_scope, RT_SCOPE_HOST);
        EQ(number(m, h, RTA_OIF), LO);
        seen->lo++;
    }
    if (is_address(m, h, RTA_DST, AF_INET, "10.83.0.255") && family == AF_INET) {
        EQ(route->rtm_type, RTN_BROADCAST);
        seen->lo++;
    }
    if (is_address(m, h, RTA_DST, AF_INET6, "::1") && family == AF_INET6) {
        EQ(route->rtm_type, RTN_LOCAL);
        EQ(number(m, h, RTA_OIF), LO);
        seen->lo++;
    }
    if (is_address(m, h, RTA_DST, AF_INET6, "fd83::2") && family == AF_INET6) {
        EQ(route->rtm_type, RTN_LOCAL);
        EQ(route->rtm_dst_len, 128);
        seen->lo++;
    }
}

CASE(routes)
{
    int fd = netlink();
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6};
    for (int i = 0; i < 3; i++) {
        struct seen seen = {0};
        struct request r = ask_for(RTM_GETROUTE, NLM_F_DUMP, sizeof(r.route));
        r.route.rtm_family = (unsigned char)families[i];
        EQ(ask(fd, &r, look_at_route, &seen), 0);
        EQ(seen.lo, families[i] == AF_UNSPEC ? 4 : 2);
        EQ(seen.device, families[i] == AF_UNSPEC ? 2 : 1);
    }
    set_int(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    struct seen seen = {0};
    struct request r = ask_for(RTM_GETROUTE, NLM_F_DUMP, sizeof(r.route));
    r.route = (struct rtmsg){.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN};
    EQ(ask(fd, &r, look_at_route, &seen), 0);
    EQ(seen.count, 2);
    EQ(seen.device, 1);
    r.route.rtm_protocol = RTPROT_KERNEL;
    EQ(ask(fd, &r, look_at_route, &seen), 0);
    EQ(seen.count, 3);
    r.route = (struct rtmsg){.rtm_family = AF_INET, .rtm_type = RTN_BROADCAST};
    seen = (struct seen){0};
    EQ(ask(fd, &r, look_at_route, &seen), 0);
    EQ(seen.count, 2);
    r.route = (struct rtmsg){.rtm_family = AF_INET, .rtm_table = 77};
    EQ(ask(fd, &r, NULL, NULL), ENOENT);
    r.route = (struct rtmsg){.rtm_family = AF_INET, .rtm_dst_len = 8};
    EQ(ask(fd, &r, NULL, NULL), EINVAL);
    r = ask_for(RTM_GETROUTE, NLM_F_DUMP, sizeof(r.route));
    r.route.rtm_family = AF_INET;
    unsigned by = LO;
    add(&r, RTA_OIF, &by, sizeof(by));
    seen = (struct seen){0};
    EQ(ask(fd, &r, look_at_route, &seen), 0);
    EQ(seen.count, 3);
    by = 77;
    r = ask_for(RTM_GETROUTE, NLM_F_DUMP, sizeof(r.route));
    r.route.rtm_family = AF_INET;
    add(&r, RTA_OIF, &by, sizeof(by));
    EQ(ask(fd, &r, NULL, NULL), ENODEV);
}

/* The way to one destination: what it is, by which interface, with which source. */
struct way {
    int type;
    unsigned by;
    const char *source;
    bool came;
};

static void look_at_way(struct nlmsghdr *m, void *arg)
{
    struct way *way = arg;
    struct rtmsg *route = NLMSG_DATA(m);
    EQ(m->nlmsg_type, RTM_NEWROUTE);
    EQ(route->rtm_type, way->type);
    EQ(route->rtm_dst_len, route->rtm_family == AF_INET ? 32 : 128);
    EQ(number(m, sizeof(*route), RTA_OIF), way->by);
    TRUE(is_address(m, sizeof(*route), RTA_PREFSRC, route->rtm_family, way->source));
    way->came = true;
}

static int way_to(int fd, int family, const char *text, struct way way)
{
    char to[16];
    struct request r = ask_for(RTM_GETROUTE, 0, sizeof(r.route));
    EQ(inet_pton(family, text, to), 1);
    r.route.rtm_family = (unsigned char)family;
    r.route.rtm_dst_len = family == AF_INET ? 32 : 128;
    r.route.rtm_flags = RTM_F_LOOKUP_TABLE;
    add(&r, RTA_DST, to, family == AF_INET ? 4 : 16);
    int why = ask(fd, &r, look_at_way, &way);
    EQ(way.came, why == 0);
    return why;
}

CASE(ways)
{
    int fd = netlink();
    EQ(way_to(fd, AF_INET, "10.83.0.9", (struct way){RTN_UNICAST, DEVICE, "10.83.0.2", false}), 0);
    EQ(way_to(fd, AF_INET, "192.0.2.1", (struct way){RTN_UNICAST, DEVICE, "10.83.0.2", false}), 0);
    EQ(way_to(fd, AF_INET, "127.0.0.1", (struct way){RTN_LOCAL, LO, "127.0.0.1", false}), 0);
    EQ(way_to(fd, AF_INET, "10.83.0.2", (struct way){RTN_LOCAL, LO, "10.83.0.2", false}), 0);
    EQ(way_to(fd, AF_INET, "10.83.0.255", (struct way){RTN_BROADCAST, DEVICE, "10.83.0.2", false}), 0);
    EQ(way_to(fd, AF_INET, "239.1.2.3", (struct way){RTN_MULTICAST, DEVICE, "10.83.0.2", false}), 0);
    EQ(way_to(fd, AF_INET6, "fd83::9", (struct way){RTN_UNICAST, DEVICE, "fd83::2", false}), 0);
    EQ(way_to(fd, AF_INET6, "fd83::2", (struct way){RTN_LOCAL, LO, "fd83::2", false}), 0);
    EQ(way_to(fd, AF_INET6, "::1", (struct way){RTN_LOCAL, LO, "::1", false}), 0);
    /* By an interface of the asker's choice. */
    struct way way = {RTN_UNICAST, DEVICE, "10.83.0.2", false};
    unsigned to = htonl(0x0a530009), by = DEVICE;
    struct request r = ask_for(RTM_GETROUTE, 0, sizeof(r.route));
    r.route.rtm_family = AF_INET;
    r.route.rtm_dst_len = 32;
    add(&r, RTA_DST, &to, sizeof(to));
    add(&r, RTA_OIF, &by, sizeof(by));
    EQ(ask(fd, &r, look_at_way, &way), 0);
    TRUE(way.came);
    by = 77;
    r.head.nlmsg_len = (unsigned)NLMSG_LENGTH(sizeof(r.route));
    add(&r, RTA_DST, &to, sizeof(to));
    add(&r, RTA_OIF, &by, sizeof(by));
    EQ(ask(fd, &r, NULL, NULL), ENODEV);
    set_int(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    r.route.rtm_table = RT_TABLE_MAIN;
    EQ(ask(fd, &r, NULL, NULL), EINVAL);
}

/* RTM_F_FIB_MATCH: the entry that leads there. */
static void look_at_entry(struct nlmsghdr *m, void *arg)
{
    struct rtmsg *route = NLMSG_DATA(m);
    EQ(route->rtm_dst_len, 24);
    TRUE(is_address(m, sizeof(*route), RTA_DST, AF_INET, "10.83.0.0"));
    EQ(route->rtm_protocol, RTPROT_KERNEL);
    ++*(int *)arg;
}

CASE(entry_that_leads_there)
{
    int fd = netlink(), count = 0;
    unsigned to = htonl(0x0a530009);
    struct request r = ask_for(RTM_GETROUTE, 0, sizeof(r.route));
    r.route = (struct rtmsg){.rtm_family = AF_INET, .rtm_dst_len = 32, .rtm_flags = RTM_F_FIB_MATCH};
    add(&r, RTA_DST, &to, sizeof(to));
    EQ(ask(fd, &r, look_at_entry, &count), 0);
    EQ(count, 1);
}

static void look_at_rule(struct nlmsghdr *m, void *arg)
{
    struct rtmsg *rule = NLMSG_DATA(m);
    static const unsigned char tables[] = {RT_TABLE_LOCAL, RT_TABLE_MAIN, RT_TABLE_DEFAULT};
    int *count = arg;
    EQ(m->nlmsg_type, RTM_NEWRULE);
    TRUE(*count < 3);
    EQ(rule->rtm_table, tables[*count]);
    ++*count;
}

CASE(rules_and_neighbours)
{
    int fd = netlink(), count = 0;
    struct request r = ask_for(RTM_GETRULE, NLM_F_DUMP, sizeof(r.route));
    r.route.rtm_family = AF_INET;
    EQ(ask(fd, &r, look_at_rule, &count), 0);
    EQ(count, 3);
    count = 0;
    r.route.rtm_family = AF_INET6;
    EQ(ask(fd, &r, look_at_rule, &count), 0);
    EQ(count, 2);
    r = ask_for(RTM_GETNEIGH, NLM_F_DUMP, sizeof(r.neighbour));
    EQ(ask(fd, &r, NULL, NULL), 0);
}

/* --- more than fits, and more than one process ------------------------------------------------------------------ */

CASE(a_list_goes_on_when_it_is_read)
{
    int fd = netlink();
    set_int(fd, SOL_SOCKET, SO_RCVBUF, 1);
    struct seen seen = {0};
    struct request r = ask_for(RTM_GETROUTE, NLM_F_DUMP, sizeof(r.route));
    EQ(ask(fd, &r, look_at_route, &seen), 0);
    EQ(seen.lo, 4);
    EQ(ask(fd, &r, look_at_route, &seen), 0);
    EQ(seen.lo, 8);
}

CASE(a_child_asks_too)
{
    int fd = netlink(), other = udp(AF_INET);
    struct seen seen = {0};
    struct request r = ask_for(RTM_GETADDR, NLM_F_DUMP, sizeof(r.addr));
    EQ(ask(fd, &r, look_at_address, &seen), 0);
    pid_t child = (pid_t)OK(fork());
    if (child == 0) {
        struct seen again = {0};
        EQ(ask(fd, &r, look_at_address, &again), 0);
        EQ(again.count, 4);
        int own = netlink();
        EQ(ask(own, &r, look_at_address, &again), 0);
        EQ(again.count, 8);
        _exit(0);
    }
    int status;
    EQ(waitpid(child, &status, 0), child);
    EQ(status, 0);
    EQ(ask(fd, &r, look_at_address, &seen), 0);
    EQ(seen.count, 8);
    OK(close(other));
}

struct asking {
    int fd, rounds;
};

static void ask_often(void *arg)
{
    struct asking *a = arg;
    struct request r = ask_for(RTM_GETLINK, 0, sizeof(r.link));
    r.link.ifi_index = LO;
    static __thread char room[ROOM];
    for (int i = 0; i < a->rounds; i++) {
        EQ(send(a->fd, &r, r.head.nlmsg_len, 0), r.head.nlmsg_len);
        struct nlmsghdr *head = (struct nlmsghdr *)room;
        ssize_t got = OK(recv(a->fd, room, sizeof(room), 0));
        EQ(got, head->nlmsg_len);
        EQ(head->nlmsg_type, RTM_NEWLINK);
    }
}

CASE(threads_ask_on_one_socket)
{
    struct asking a = {netlink(), 200};
    struct task tasks[4];
    for (int i = 0; i < 4; i++)
        start(&tasks[i], 0, ask_often, &a);
    for (int i = 0; i < 4; i++)
        join(&tasks[i]);
    EQ(events_of(a.fd, POLLIN, 0), 0);
}
