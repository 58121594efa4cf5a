/* sendmsg, recvmsg and their many: names, pieces, control messages. */
#include "fuzz.h"

/* Appends one control message; wrong lengths sometimes. */
static size_t append(char *control, size_t at, int level, int type, const void *data, size_t len)
{
    struct cmsghdr *header = (struct cmsghdr *)(control + at);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = chance(95) ? CMSG_LEN(len) : (size_t)ONE_OF(0, 1, 15, 16, 17, 4096, -1);
    memcpy(CMSG_DATA(header), data, len);
    say(" {%d %d %zd}", level, type, (ssize_t)header->cmsg_len);
    return at + CMSG_SPACE(len);
}

static size_t some_control(char *control)
{
    size_t at = 0;
    bool source = false; /* of several, one may contradict the other */
    char data[32] = {0};
    for (int n = (int)below(3); n >= 0; n--) {
        int number = (int)ONE_OF(0, 1, 2, 64, 255, 256, -1);
        memcpy(data, &number, 4);
        switch (below(9)) {
        case 0: at = append(control, at, IPPROTO_IP, IP_TTL, data, 4); break;
        case 1: at = append(control, at, IPPROTO_IP, IP_TOS, data, 4); break;
        case 2: {
            if (source)
                break;
            source = true;
            struct in_pktinfo info = {.ipi_ifindex = (int)ONE_OF(0, 0, 1, 2, 9)};
            inet_pton(AF_INET, chance(50) ? "127.0.0.1" : chance(50) ? "0.0.0.0" : "192.0.2.1", &info.ipi_spec_dst);
            at = append(control, at, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
            break;
        }
        case 3: {
            if (source)
                break;
            source = true;
            struct in6_pktinfo info = {.ipi6_ifindex = (unsigned)ONE_OF(0, 0, 1, 2, 9)};
            inet_pton(AF_INET6, chance(50) ? "::1" : chance(50) ? "::" : "2001:db8::1", &info.ipi6_addr);
            at = append(control, at, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
            break;
        }
        case 4: at = append(control, at, IPPROTO_IPV6, (int)ONE_OF(IPV6_HOPLIMIT, IPV6_TCLASS, IPV6_DONTFRAG), data, 4); break;
        case 5: at = append(control, at, IPPROTO_UDP, 103, data, 2); break; /* UDP_SEGMENT */
        case 6: at = append(control, at, SOL_SOCKET, (int)ONE_OF(36, 37, 12, 1, 2), data, 4); break; /* SO_MARK, SO_TIMESTAMPING, SO_PRIORITY, SCM_* */
        case 7: at = append(control, at, (int)ONE_OF(SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, IPPROTO_TCP, 99), (int)ONE_OF(0, 99, 1000), data, 4); break;
        case 8: at = append(control, at, IPPROTO_IP, (int)ONE_OF(IP_TTL, IP_TOS), data, (size_t)ONE_OF(0, 1, 2, 8)); break;
        }
    }
    return at;
}

struct message {
    struct mmsghdr head;
    struct iovec pieces[4];
    struct where name;
    _Alignas(16) char control[256];
};

static void prepare_send(struct message *m, int slot, bool bad)
{
    memset(m, 0, sizeof *m);
    struct msghdr *h = &m->head.msg_hdr;
    size_t count = below(4), each = below(400);
    /* A raw socket of ICMP's finds no type in less than this. */
    if (slots[slot].what == RAW)
        count += count == 0, each += 2;
    for (size_t i = 0; i < LEN(m->pieces); i++)
        m->pieces[i] = (struct iovec){scratch + i * each, each};
    h->msg_iov = m->pieces;
    h->msg_iovlen = count;
    if (slots[slot].what == PING)
        memcpy(scratch, "\x08\0\0\0\0\0\0\1", 8);
    say(" {%zu*%zu", count, each);
    if (slots[slot].what != STREAM || chance(20)) {
        if (chance(70)) {
            some_address(&m->name, slot, bad);
            h->msg_name = (void *)m->name.at;
            h->msg_namelen = m->name.len;
            say(" to %s", m->name.text);
        }
    }
    if (chance(40)) {
        h->msg_control = m->control;
        h->msg_controllen = some_control(m->control);
        if (chance(5))
            h->msg_controllen = (size_t)ONE_OF(1, 8, 15, 16, 17, 250, 0x7fffffff, -1);
        say(" control %zd", (ssize_t)h->msg_controllen);
    }
    if (bad && chance(4)) {
        h->msg_iovlen = (size_t)ONE_OF(1025, -1, 1024 * 1024);
        say(" pieces %zd", (ssize_t)h->msg_iovlen);
    }
    if (bad && chance(3)) {
        void **field = chance(50) ? (void **)&h->msg_iov : chance(50) ? &h->msg_control : &m->pieces[0].iov_base;
        *field = bad_memory();
        if (field == &h->msg_control)
            h->msg_controllen = (size_t)ONE_OF(0, 16, 64);
        say(" bad %s", field == (void **)&h->msg_iov ? "pieces" : field == &h->msg_control ? "control" : "data");
    }
    say("}");
    end_of_line();
}

void message_send_step(void)
{
    static struct message many[4];
    int slot = some_slot(), flags = send_flags(slot) & ~MSG_MORE;
    if (slots[slot].what == OTHER || slots[slot].what == EPOLL)
        return;
    for (size_t i = 0; i < 1600; i++)
        scratch[i] = (char)(i * 3 + (size_t)slot);
    if (chance(60)) {
        end_of_line();
        say("   ");
        prepare_send(&many[0], slot, true);
        void *at = chance(97) ? &many[0].head.msg_hdr : bad_memory();
        long n = sendmsg(slots[slot].fd, at, flags);
        result(n, "sendmsg(%d, kind %d, %s, %#x)", slot, slots[slot].what, at == &many[0].head.msg_hdr ? "that" : "bad", flags);
        return;
    }
    struct mmsghdr heads[4];
    unsigned count = chance(90) ? below(5) : (unsigned)ONE_OF(0, 1025, -1);
    end_of_line();
    say("   ");
    for (int i = 0; i < 4; i++) {
        prepare_send(&many[i], slot, chance(20));
        heads[i] = many[i].head;
        heads[i].msg_len = 0xa5a5;
    }
    /* More than there are would be read behind them: only where the first is refused. */
    if (count > 4)
        heads[0].msg_hdr.msg_iov = (void *)16, heads[0].msg_hdr.msg_iovlen = 1;
    void *at = chance(97) ? heads : bad_memory();
    int n = sendmmsg(slots[slot].fd, at, count, flags);
    result(n, "sendmmsg(%d, kind %d, %s, %u, %#x)", slot, slots[slot].what, at == heads ? "those" : "bad", count, flags);
    for (int i = 0; i < 4; i++)
        say(" %#x", heads[i].msg_len);
}

/* Control messages as they came; of times only that they are there. */
static void say_control(struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        size_t len = c->cmsg_len - CMSG_LEN(0);
        say(" {%d %d %zu}", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
        bool time = c->cmsg_level == SOL_SOCKET && (c->cmsg_type == SO_TIMESTAMP || c->cmsg_type == SO_TIMESTAMPNS || c->cmsg_type == SO_TIMESTAMPING ||
                                                    (c->cmsg_type >= 63 && c->cmsg_type <= 65) || c->cmsg_type == 54);
        bool error = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) || (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
        if (error) {
            /* struct sock_extended_err, then the address that it came from; a time stamp's is a matter of time. */
            say_bytes("", CMSG_DATA(c), 8);
            if (len >= 16 + 8)
                say_address("by", CMSG_DATA(c) + 16, (socklen_t)len - 16, (socklen_t)len - 16);
        } else if (c->cmsg_level == IPPROTO_IP && (c->cmsg_type == IP_ORIGDSTADDR)) {
            say_address("", CMSG_DATA(c), (socklen_t)len, (socklen_t)len);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == 74) { /* IPV6_ORIGDSTADDR */
            say_address("", CMSG_DATA(c), (socklen_t)len, (socklen_t)len);
        } else if (!time) {
            say_bytes("", CMSG_DATA(c), len);
        }
        if (c->cmsg_len < CMSG_LEN(0))
            break;
    }
}

static void prepare_recv(struct message *m, bool bad)
{
    memset(m, 0, sizeof *m);
    struct msghdr *h = &m->head.msg_hdr;
    size_t count = below(4), each = chance(80) ? 400 : below(100);
    for (size_t i = 0; i < LEN(m->pieces); i++)
        m->pieces[i] = (struct iovec){arena + i * each, each};
    h->msg_iov = m->pieces;
    h->msg_iovlen = count;
    h->msg_flags = 0x55;
    say(" {%zu*%zu", count, each);
    if (chance(70)) {
        h->msg_name = &m->name;
        h->msg_namelen = (socklen_t)(chance(70) ? (long)sizeof(struct sockaddr_storage) : ONE_OF(0, 1, 8, 16, 28));
        if (bad && chance(3))
            h->msg_namelen = (socklen_t)-1;
        say(" name %d", (int)h->msg_namelen);
    }
    if (chance(75)) {
        h->msg_control = m->control;
        h->msg_controllen = chance(80) ? sizeof m->control : (size_t)ONE_OF(0, 8, 15, 16, 17, 20, 24, 32, 40);
        say(" control %zu", (size_t)h->msg_controllen);
    }
    if (bad && chance(10)) {
        switch (below(4)) {
        case 0: h->msg_iov = bad_memory(); break;
        case 1: h->msg_iovlen = (size_t)ONE_OF(1025, -1); break;
        case 2: h->msg_name = bad_memory(); h->msg_namelen = 28; break;
        case 3: h->msg_control = bad_memory(); h->msg_controllen = 64; break;
        }
        say(" spoilt %p %zd %p %p", (void *)(h->msg_iov == m->pieces ? NULL : h->msg_iov), (ssize_t)h->msg_iovlen,
            h->msg_name == &m->name ? NULL : h->msg_name, h->msg_control == m->control ? NULL : h->msg_control);
    }
    say("}");
    end_of_line();
}

static void say_message(struct message *m, struct msghdr *h, long n)
{
    say(" flags %#x", h->msg_flags);
    if (h->msg_name == &m->name)
        say_address("from", &m->name, sizeof m->name.ss, h->msg_namelen);
    else
        say(" namelen %d", (int)h->msg_namelen);
    if (n < 0)
        return;
    say(" controllen %zu", (size_t)h->msg_controllen);
    if (h->msg_control == m->control && h->msg_controllen <= sizeof m->control)
        say_control(h);
}

void message_recv_step(void)
{
    static struct message many[4];
    int slot = some_slot(), flags = recv_flags();
    bool whole = slots[slot].what == UDP || slots[slot].what == STREAM; /* the rest have checksums and numbers in what they receive */
    if (slots[slot].what == OTHER || slots[slot].what == EPOLL)
        return;
    fill_arena();
    end_of_line();
    say("   ");
    if (chance(70)) {
        prepare_recv(&many[0], true);
        struct msghdr *h = &many[0].head.msg_hdr;
        void *at = chance(97) ? h : bad_memory();
        long n = recvmsg(slots[slot].fd, at, flags);
        result(n, "recvmsg(%d, kind %d, %s, %#x)", slot, slots[slot].what, at == h ? "that" : "bad", flags);
        if (at == h && n >= 0)
            say_message(&many[0], h, n);
    } else {
        struct mmsghdr heads[4];
        unsigned count = chance(95) ? below(5) : 0;
        for (int i = 0; i < 4; i++) {
            /* What is wrong with a later one becomes the socket's pending error on Linux. */
            prepare_recv(&many[i], i == 0 && chance(50));
            heads[i] = many[i].head;
        }
        struct timespec soon = {0, ONE_OF(0, 1, -1)};
        struct timespec *time = chance(80) ? NULL : chance(90) ? &soon : bad_memory();
        void *at = chance(97) ? heads : bad_memory();
        int n = recvmmsg(slots[slot].fd, at, count, flags & ~MSG_WAITALL, time);
        result(n, "recvmmsg(%d, kind %d, %s, %u, %#x, %s)", slot, slots[slot].what, at == heads ? "those" : "bad", count, flags,
               time == &soon ? "time" : time ? "bad" : "NULL");
        if (time == &soon && n <= 0)
            say(" left %ld", (long)soon.tv_nsec);
        for (int i = 0; i < n; i++) {
            say(" len %u", heads[i].msg_len);
            say_message(&many[i], &heads[i].msg_hdr, heads[i].msg_len);
        }
    }
    if (whole)
        say_bytes("octets", arena, touched(1600));
}
