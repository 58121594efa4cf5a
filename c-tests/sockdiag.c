/* sock_diag(7): sockets, told by a netlink socket. */
#include "harness.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/un.h>

#define ALL_STATES 0xfffu
#define ESTABLISHED 1
#define CLOSED 7
#define LISTENING 10

struct request {
    struct nlmsghdr head;
    struct inet_diag_req_v2 diag;
    char attributes[256];
};

static int diag(void)
{
    return (int)OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
}

static struct request about(int family, int protocol, unsigned states, int flags)
{
    struct request r = {
        .head = {.nlmsg_len = NLMSG_LENGTH(sizeof(r.diag)), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_seq = 99,
                 .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | flags)},
        .diag = {.sdiag_family = (unsigned char)family, .sdiag_protocol = (unsigned char)protocol, .idiag_states = states},
    };
    return r;
}

/* One socket as it was told. */
struct told {
    struct inet_diag_msg m;
    bool has_info, has_memory;
    struct tcp_info info;
    unsigned memory[9];
    char congestion[16];
};

static void read_attributes(struct nlmsghdr *m, struct told *t)
{
    int left = (int)(m->nlmsg_len - NLMSG_SPACE(sizeof(t->m)));
    for (struct rtattr *a = (struct rtattr *)((char *)m + NLMSG_SPACE(sizeof(t->m))); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        size_t len = RTA_PAYLOAD(a);
        if (a->rta_type == INET_DIAG_INFO) {
            t->has_info = true;
            memcpy(&t->info, RTA_DATA(a), len < sizeof(t->info) ? len : sizeof(t->info));
        }
        if (a->rta_type == INET_DIAG_SKMEMINFO) {
            TRUE(len >= sizeof(t->memory));
            t->has_memory = true;
            memcpy(t->memory, RTA_DATA(a), sizeof(t->memory));
        }
        if (a->rta_type == INET_DIAG_CONG && len <= sizeof(t->congestion))
            memcpy(t->congestion, RTA_DATA(a), len);
    }
}

/* Asks; the sockets with this port of their own (0: any), as many as there is room for, and what ended the answer: 0 or an errno. */
static int ask(int fd, const struct request *r, int port, struct told *all, int room, int *count)
{
    static union {
        char bytes[32768];
        struct nlmsghdr first;
    } a;
    bool list = (r->head.nlmsg_flags & NLM_F_DUMP) != 0;
    *count = 0;
    EQ(send(fd, r, r->head.nlmsg_len, 0), r->head.nlmsg_len);
    for (;;) {
        struct sockaddr_nl from;
        socklen_t len = sizeof(from);
        int left = (int)OK(recvfrom(fd, a.bytes, sizeof(a.bytes), MSG_DONTWAIT, (struct sockaddr *)&from, &len));
        EQ(from.nl_pid, 0);
        for (struct nlmsghdr *m = &a.first; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
            EQ(m->nlmsg_seq, 99);
            EQ(m->nlmsg_pid, getpid());
            if (m->nlmsg_type == NLMSG_ERROR)
                return -((struct nlmsgerr *)NLMSG_DATA(m))->error;
            if (m->nlmsg_type == NLMSG_DONE)
                return -*(int *)NLMSG_DATA(m);
            EQ(m->nlmsg_type, SOCK_DIAG_BY_FAMILY);
            struct told one = {0};
            memcpy(&one.m, NLMSG_DATA(m), sizeof(one.m));
            read_attributes(m, &one);
            EQ(one.m.idiag_family, r->diag.sdiag_family);
            if (port && ntohs(one.m.id.idiag_sport) != port)
                continue;
            TRUE(*count < room);
            all[(*count)++] = one;
        }
        if (!list)
            return 0;
    }
}

static uint64_t cookie_of(int fd)
{
    uint64_t cookie;
    socklen_t len = sizeof(cookie);
    OK(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len));
    return cookie;
}

static uint64_t cookie_in(const struct told *t)
{
    return (uint64_t)t->m.id.idiag_cookie[1] << 32 | t->m.id.idiag_cookie[0];
}

BOTH(listeners_and_connections)
{
    int fd = diag(), count;
    struct addr at;
    int listening = listener(family, 5, &at);
    int port = port_of(&at);
    struct told all[4];
    struct request r = about(family, IPPROTO_TCP, ALL_STATES, NLM_F_DUMP);
    r.diag.idiag_ext = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1) | 1 << (INET_DIAG_SKMEMINFO - 1);
    EQ(ask(fd, &r, port, all, 4, &count), 0);
    EQ(count, 1);
    EQ(all[0].m.idiag_state, LISTENING);
    EQ(all[0].m.idiag_wqueue, 5);
    EQ(all[0].m.idiag_rqueue, 0);
    EQ(all[0].m.id.idiag_dport, 0);
    EQ(all[0].m.idiag_uid, getuid());
    EQ(cookie_in(&all[0]), cookie_of(listening));
    EQ(memcmp(all[0].m.id.idiag_src, family == AF_INET ? (void *)&at.v4.sin_addr : (void *)&at.v6.sin6_addr, family == AF_INET ? 4 : 16), 0);
    struct stat st;
    OK(fstat(listening, &st));
    EQ(all[0].m.idiag_inode, (unsigned)st.st_ino);

    struct pair p = pair_through(listening, &at);
    send_all(p.client, "hello", 5);
    wait_for(p.server, POLLIN);
    EQ(ask(fd, &r, port, all, 4, &count), 0);
    EQ(count, 2);
    const struct told *server = &all[all[0].m.idiag_state == LISTENING ? 1 : 0];
    EQ(server->m.idiag_state, ESTABLISHED);
    EQ(server->m.idiag_rqueue, 5);
    EQ(cookie_in(server), cookie_of(p.server));
    TRUE(server->has_info);
    EQ(server->info.tcpi_state, ESTABLISHED);
    TRUE(server->has_memory);
    EQ(server->memory[SK_MEMINFO_RCVBUF], get_int(p.server, SOL_SOCKET, SO_RCVBUF));
    char name[16];
    socklen_t len = sizeof(name);
    OK(getsockopt(p.server, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    EQ(strcmp(server->congestion, name), 0);

    /* By state, by port, without what was not asked for. */
    r = about(family, IPPROTO_TCP, 1u << LISTENING, NLM_F_DUMP);
    EQ(ask(fd, &r, port, all, 4, &count), 0);
    EQ(count, 1);
    TRUE(!all[0].has_info && !all[0].has_memory);
    r = about(family, IPPROTO_TCP, ALL_STATES, NLM_F_DUMP);
    r.diag.id.idiag_dport = htons((uint16_t)port);
    EQ(ask(fd, &r, 0, all, 4, &count), 0);
    EQ(count, 1);
    EQ(cookie_in(&all[0]), cookie_of(p.client));
    r.diag.id.idiag_dport = 0;
    r.diag.id.idiag_sport = htons((uint16_t)port);
    EQ(ask(fd, &r, 0, all, 4, &count), 0);
    EQ(count, 2);
    OK(close(p.client));
    OK(close(p.server));
}

BOTH(one_by_its_addresses)
{
    int fd = diag(), count;
    struct pair p = tcp_pair(family);
    struct addr local = local_of(p.client), peer = peer_of(p.client);
    struct told one;
    struct request r = about(family, IPPROTO_TCP, ALL_STATES, 0);
    r.diag.id.idiag_sport = htons((uint16_t)port_of(&local));
    r.diag.id.idiag_dport = htons((uint16_t)port_of(&peer));
    size_t len = family == AF_INET ? 4 : 16;
    memcpy(r.diag.id.idiag_src, family == AF_INET ? (void *)&local.v4.sin_addr : (void *)&local.v6.sin6_addr, len);
    memcpy(r.diag.id.idiag_dst, family == AF_INET ? (void *)&peer.v4.sin_addr : (void *)&peer.v6.sin6_addr, len);
    r.diag.id.idiag_cookie[0] = r.diag.id.idiag_cookie[1] = (unsigned)INET_DIAG_NOCOOKIE;
    EQ(ask(fd, &r, 0, &one, 1, &count), 0);
    EQ(count, 1);
    EQ(cookie_in(&one), cookie_of(p.client));
    r.diag.id.idiag_cookie[0] = 12345;
    EQ(ask(fd, &r, 0, &one, 1, &count), ENOENT);
    r.diag.id.idiag_cookie[0] = (unsigned)INET_DIAG_NOCOOKIE;
    r.diag.id.idiag_sport = htons(1);
    r.diag.id.idiag_dport = htons(2);
    EQ(ask(fd, &r, 0, &one, 1, &count), ENOENT);
}

BOTH(datagram_sockets)
{
    int fd = diag(), count;
    struct addr at;
    int bound = bound_udp(family, &at);
    struct told one;
    struct request r = about(family, IPPROTO_UDP, ALL_STATES, NLM_F_DUMP);
    EQ(ask(fd, &r, port_of(&at), &one, 1, &count), 0);
    EQ(count, 1);
    EQ(one.m.idiag_state, CLOSED);
    EQ(cookie_in(&one), cookie_of(bound));
    struct pair p = udp_pair(family);
    struct addr own = local_of(p.client), peer = peer_of(p.client);
    EQ(ask(fd, &r, port_of(&own), &one, 1, &count), 0);
    EQ(count, 1);
    EQ(one.m.idiag_state, ESTABLISHED);
    EQ(ntohs(one.m.id.idiag_dport), port_of(&peer));
    r = about(family, IPPROTO_UDP, 1u << CLOSED, NLM_F_DUMP);
    EQ(ask(fd, &r, port_of(&own), &one, 1, &count), 0);
    EQ(count, 0);
}

/* A little program picks sockets, as ss(8) sends one for `sport = :PORT and dst 127.0.0.0/8`. */
static void add_program(struct request *r, const void *code, size_t len)
{
    struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->head.nlmsg_len));
    a->rta_type = INET_DIAG_REQ_BYTECODE;
    a->rta_len = (unsigned short)RTA_LENGTH(len);
    memcpy(RTA_DATA(a), code, len);
    r->head.nlmsg_len = NLMSG_ALIGN(r->head.nlmsg_len) + (unsigned)RTA_ALIGN(a->rta_len);
}

CASE(picked_by_a_program)
{
    int fd = diag(), count;
    struct addr at, other;
    listener(AF_INET, 5, &at);
    listener(AF_INET, 5, &other);
    struct told all[4];
    struct {
        struct inet_diag_bc_op compare, port;
        struct inet_diag_bc_op source;
        struct inet_diag_hostcond host;
        unsigned addr;
    } code = {
        .compare = {INET_DIAG_BC_S_EQ, 8, sizeof(code) + 4},
        .port = {0, 0, (unsigned short)port_of(&at)},
        .source = {INET_DIAG_BC_S_COND, 16, 20},
        .host = {.family = AF_INET, .prefix_len = 8, .port = -1},
        .addr = htonl(0x7f000000),
    };
    EQ(sizeof(code), 24);
    struct request r = about(AF_INET, IPPROTO_TCP, 1u << LISTENING, NLM_F_DUMP);
    add_program(&r, &code, sizeof(code));
    EQ(ask(fd, &r, 0, all, 4, &count), 0);
    EQ(count, 1);
    EQ(ntohs(all[0].m.id.idiag_sport), port_of(&at));
    code.addr = htonl(0x0a000000);
    r = about(AF_INET, IPPROTO_TCP, 1u << LISTENING, NLM_F_DUMP);
    add_program(&r, &code, sizeof(code));
    EQ(ask(fd, &r, 0, all, 4, &count), 0);
    EQ(count, 0);
    struct inet_diag_bc_op loops = {INET_DIAG_BC_JMP, 4, 0};
    r = about(AF_INET, IPPROTO_TCP, 1u << LISTENING, NLM_F_DUMP);
    add_program(&r, &loops, sizeof(loops));
    EQ(ask(fd, &r, 0, all, 4, &count), EINVAL);
}

/* Those of other families are the kernel's. */
CASE(local_sockets)
{
    int fd = diag(), both[2];
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, both));
    struct stat st;
    OK(fstat(both[0], &st));
    struct {
        struct nlmsghdr head;
        struct unix_diag_req unix_;
    } r = {{sizeof(r), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 99, 0}, {.sdiag_family = AF_UNIX, .udiag_states = ~0u}};
    EQ(send(fd, &r, sizeof(r), 0), sizeof(r));
    static union {
        char bytes[65536];
        struct nlmsghdr first;
    } a;
    bool found = false;
    for (bool over = false; !over;) {
        int left = (int)OK(recv(fd, a.bytes, sizeof(a.bytes), MSG_DONTWAIT));
        for (struct nlmsghdr *m = &a.first; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
            EQ(m->nlmsg_pid, getpid());
            TRUE(m->nlmsg_type != NLMSG_ERROR);
            over |= m->nlmsg_type == NLMSG_DONE;
            if (m->nlmsg_type == SOCK_DIAG_BY_FAMILY)
                found |= ((struct unix_diag_msg *)NLMSG_DATA(m))->udiag_ino == (unsigned)st.st_ino;
        }
    }
    TRUE(found);
}

CASE(what_can_not_be_asked)
{
    needs_root_of_the_machine();
    int count;
    struct told one;
    struct addr at;
    listener(AF_INET, 5, &at);
    OK(setresuid(65534, 65534, 65534));
    int fd = diag();
    struct request r = about(AF_INET, 200, ALL_STATES, NLM_F_DUMP);
    EQ(ask(fd, &r, 0, &one, 1, &count), ENOENT);
    r = about(AF_INET, IPPROTO_TCP, ALL_STATES, 0);
    r.diag.id.idiag_sport = htons((uint16_t)port_of(&at));
    r.diag.id.idiag_src[0] = at.v4.sin_addr.s_addr;
    r.diag.id.idiag_cookie[0] = r.diag.id.idiag_cookie[1] = (unsigned)INET_DIAG_NOCOOKIE;
    EQ(ask(fd, &r, 0, &one, 1, &count), 0);
    EQ(one.m.idiag_state, LISTENING);
    r.head.nlmsg_type = SOCK_DESTROY;
    int why = ask(fd, &r, 0, &one, 1, &count);
    TRUE(why == EPERM || why == EOPNOTSUPP); /* a kernel may have been built without it */
    r = about(AF_INET, IPPROTO_TCP, ALL_STATES, NLM_F_DUMP);
    r.head.nlmsg_len = NLMSG_LENGTH(20);
    EQ(ask(fd, &r, 0, &one, 1, &count), EINVAL);
    r.head.nlmsg_type = 77;
    EQ(ask(fd, &r, 0, &one, 1, &count), EINVAL);
}
