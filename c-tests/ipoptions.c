/* IPv4 options: IP_OPTIONS, IP_RECVOPTS, IP_RETOPTS (ip(7), RFC 791 3.1). */
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>

#include "harness.h"

enum { NOOP = 1, RECORD = 7, STAMP = 68, ALERT = 148, LOOSE = 131 };

static int set_options(int fd, const void *octets, size_t len)
{
    return setsockopt(fd, IPPROTO_IP, IP_OPTIONS, octets, (socklen_t)len);
}

/* The options are these octets. */
static void options_are(int fd, const void *want, size_t len)
{
    unsigned char got[64];
    socklen_t room = sizeof(got);
    memset(got, 0x77, sizeof(got));
    OK(getsockopt(fd, IPPROTO_IP, IP_OPTIONS, got, &room));
    EQ(room, len);
    EQ(memcmp(got, want, len), 0);
    EQ(got[len], 0x77);
}

BOTH(options_are_kept)
{
    const int types[] = {SOCK_DGRAM, SOCK_RAW};
    for (size_t i = 0; i < (family == AF_INET ? 2 : 1); i++) {
        int fd = (int)OK(socket(family, types[i], types[i] == SOCK_RAW ? 253 : 0));
        unsigned char rr[11] = {RECORD, 11, 4}, kept[12] = {RECORD, 11, 4}, cut[4] = {0};
        options_are(fd, "", 0);
        OK(set_options(fd, rr, sizeof(rr)));
        options_are(fd, kept, sizeof(kept)); /* whole words */
        socklen_t room = 2;
        OK(getsockopt(fd, IPPROTO_IP, IP_OPTIONS, cut, &room));
        EQ(room, 2);
        EQ(cut[0], RECORD);
        EQ(cut[2], 0);
        OK(set_options(fd, "\1\1\1\1", 4));
        options_are(fd, "\1\1\1\1", 4);
        ERR(set_options(fd, "\7\1\4", 3), EINVAL);
        options_are(fd, "\1\1\1\1", 4); /* as they were */
        ERR(set_options(fd, bad_pointer, 4), EFAULT);
        OK(set_options(fd, null_pointer, 0));
        options_are(fd, "", 0);
        /* What is behind the end counts for nothing. */
        OK(set_options(fd, "\0\7\7\7", 4));
        options_are(fd, "\0\0\0\0", 4);
    }
}

BOTH(malformed_options)
{
    int fd = udp(family);
    static const struct {
        const char *octets;
        size_t len;
        bool fine;
    } rows[] = {
        {"\7", 1, false},             /* no length */
        {"\7\1\4\0", 4, false},       /* too short for itself */
        {"\7\5\4\0", 4, false},       /* longer than there is */
        {"\7\3\3\0", 4, false},       /* its pointer before the first place */
        {"\7\3\4\0", 4, true},        /* no place */
        {"\7\6\4\0\0\0", 6, false},   /* half a place */
        {"\7\7\4\0\0\0\0", 7, true},  {"\7\7\5\0\0\0\0", 7, false}, {"\7\3\4\7\3\4", 6, false}, /* twice */
        {"\104\4\5\0", 4, true},      {"\104\4\4\0", 4, false},     {"\104\3\5", 3, false},
        {"\104\10\5\0\0\0\0\0", 8, true}, {"\104\10\5\1\0\0\0\0", 8, false}, {"\104\14\5\1\0\0\0\0\0\0\0\0", 12, true},
        {"\104\14\5\3\12\11\10\7\0\0\0\0", 12, true}, {"\104\4\5\360", 4, false}, {"\104\4\5\340", 4, true},
        {"\224\4\0\0", 4, true},      {"\224\2", 2, false},         {"\1\1\1", 3, true},
        {"\203\7\10\12\11\10\7", 7, false}, /* a source route in the middle */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].fine)
            OK(set_options(fd, rows[i].octets, rows[i].len));
        else
            ERR(set_options(fd, rows[i].octets, rows[i].len), EINVAL);
    }
    unsigned char much[44];
    memset(much, NOOP, sizeof(much));
    OK(set_options(fd, much, 40));
    ERR(set_options(fd, much, 41), EINVAL);
    ERR(set_options(fd, much, 44), EINVAL);
}

CASE(streams_have_none)
{
    int fd = tcp(AF_INET);
    options_are(fd, "", 0);
    OK(set_options(fd, NULL, 0));
    ERR(set_options(fd, "\7\1\4", 3), EINVAL);
    struct pair p = tcp_pair(AF_INET);
    options_are(p.server, "", 0);
}

CASE(streams_send_them)
{
    struct addr at;
    int l = listener(AF_INET, 1, &at), fd = tcp(AF_INET);
    unsigned char rr[12] = {NOOP, RECORD, 11, 4};
    OK(set_options(fd, rr, sizeof(rr)));
    OK(connect(fd, &at.sa, at.len));
    OK(accept(l, NULL, NULL));
}

CASE(source_routes_are_sent)
{
    unsigned char loose[8] = {NOOP, LOOSE, 7, 4, 127, 0, 0, 1};
    OK(set_options(udp(AF_INET), loose, sizeof(loose)));
}

/* A datagram and the control message of that kind that came with it; its length. */
static size_t told(int fd, int kind, unsigned char *octets, size_t room)
{
    char data[8], control[512];
    struct iovec iov = {data, sizeof(data)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    OK(recvmsg(fd, &msg, 0));
    EQ(msg.msg_flags & MSG_CTRUNC, 0);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == kind) {
            size_t len = c->cmsg_len - CMSG_LEN(0);
            TRUE(len <= room);
            memcpy(octets, CMSG_DATA(c), len);
            return len;
        }
    return 0;
}

CASE(flags_of_reports)
{
    const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        int fd = (int)OK(socket(AF_INET, types[i], 0));
        EQ(get_int(fd, IPPROTO_IP, IP_RECVOPTS), 0);
        EQ(get_int(fd, IPPROTO_IP, IP_RETOPTS), 0);
        set_int(fd, IPPROTO_IP, IP_RECVOPTS, 7);
        EQ(get_int(fd, IPPROTO_IP, IP_RECVOPTS), 1);
        EQ(get_int(fd, IPPROTO_IP, IP_RETOPTS), 0);
        set_int(fd, IPPROTO_IP, IP_RETOPTS, 1);
        set_int(fd, IPPROTO_IP, IP_RECVOPTS, 0);
        EQ(get_int(fd, IPPROTO_IP, IP_RECVOPTS), 0);
        EQ(get_int(fd, IPPROTO_IP, IP_RETOPTS), 1);
    }
}

CASE(route_is_recorded)
{
    struct pair p = udp_pair(AF_INET);
    unsigned char rr[16] = {NOOP, RECORD, 15, 4}, got[64];
    OK(set_options(p.client, rr, sizeof(rr)));
    set_int(p.server, IPPROTO_IP, IP_RECVOPTS, 1);
    OK(send(p.client, "x", 1, 0));
    EQ(told(p.server, IP_RECVOPTS, got, sizeof(got)), 16);
    unsigned char want[16] = {NOOP, RECORD, 15, 12, 127, 0, 0, 1, 127, 0, 0, 1};
    EQ(memcmp(got, want, sizeof(want)), 0);
    /* An answer has them without the first word's filling, and a place for who answers. */
    set_int(p.server, IPPROTO_IP, IP_RECVOPTS, 0);
    set_int(p.server, IPPROTO_IP, IP_RETOPTS, 1);
    OK(send(p.client, "x", 1, 0));
    EQ(told(p.server, IP_RETOPTS, got, sizeof(got)), 16);
    unsigned char back[16] = {RECORD, 15, 12, 127, 0, 0, 1, 127, 0, 0, 1};
    EQ(memcmp(got, back, sizeof(back)), 0);
    OK(set_options(p.server, got, 16));
    set_int(p.client, IPPROTO_IP, IP_RECVOPTS, 1);
    OK(send(p.server, "y", 1, 0));
    EQ(told(p.client, IP_RECVOPTS, got, sizeof(got)), 16);
    unsigned char both[16] = {RECORD, 15, 16, 127, 0, 0, 1, 127, 0, 0, 1, 127, 0, 0, 1};
    EQ(memcmp(got, both, sizeof(both)), 0);
    /* Without options nothing is told. */
    OK(set_options(p.client, NULL, 0));
    OK(send(p.client, "x", 1, 0));
    EQ(told(p.server, IP_RETOPTS, got, sizeof(got)), 0);
}

/* Each datagram has its own, peeked at or read. */
CASE(reports_are_each_datagrams_own)
{
    struct pair p = udp_pair(AF_INET);
    unsigned char got[64];
    char data[8];
    set_int(p.server, IPPROTO_IP, IP_RECVOPTS, 1);
    set_int(p.server, IPPROTO_IP, IP_RETOPTS, 1);
    for (int i = 1; i <= 3; i++) {
        unsigned char many[12];
        memset(many, NOOP, sizeof(many));
        OK(set_options(p.client, many, (size_t)i * 4));
        OK(send(p.client, "datagram", (size_t)i, 0));
    }
    EQ(recv(p.server, data, sizeof(data), MSG_PEEK), 1);
    EQ(told(p.server, IP_RECVOPTS, got, sizeof(got)), 4);
    EQ(recv(p.server, data, sizeof(data), 0), 2);
    EQ(memcmp(data, "da", 2), 0);
    EQ(told(p.server, IP_RECVOPTS, got, sizeof(got)), 12);
    ERR(recv(p.server, data, sizeof(data), MSG_DONTWAIT), EAGAIN);
}

CASE(times_are_stamped)
{
    struct pair p = udp_pair(AF_INET);
    unsigned char both[20] = {STAMP, 20, 5, 1}, times[12] = {STAMP, 12, 5, 0}, got[64], full[4] = {STAMP, 4, 5, 0x20};
    set_int(p.server, IPPROTO_IP, IP_RECVOPTS, 1);
    OK(set_options(p.client, both, sizeof(both)));
    OK(send(p.client, "x", 1, 0));
    EQ(told(p.server, IP_RECVOPTS, got, sizeof(got)), 20);
    EQ(got[2], 21);
    EQ(got[3], 1);
    EQ(memcmp(got + 4, "\177\0\0\1", 4), 0);
    EQ(memcmp(got + 12, "\177\0\0\1", 4), 0);
    /* Milliseconds since midnight, the same day's or the next's. */
    unsigned first, second, wall = (unsigned)(time(NULL) % 86400) * 1000;
    memcpy(&first, got + 8, 4);
    memcpy(&second, got + 16, 4);
    first = ntohl(first);
    second = ntohl(second);
    TRUE((second + 86400000 - first) % 86400000 < 60000);
    TRUE((wall + 86400000 + 60000 - first) % 86400000 < 120000);
    OK(set_options(p.client, times, sizeof(times)));
    OK(send(p.client, "x", 1, 0));
    EQ(told(p.server, IP_RECVOPTS, got, sizeof(got)), 12);
    EQ(got[2], 13);
    /* Who finds no place counts. */
    OK(set_options(p.client, full, sizeof(full)));
    OK(send(p.client, "x", 1, 0));
    EQ(told(p.server, IP_RECVOPTS, got, sizeof(got)), 4);
    EQ(got[3], 0x30);
}

/* Of those whose addresses are named only those write their time. */
CASE(times_of_the_named)
{
    struct pair p = udp_pair(AF_INET);
    unsigned char ours[12] = {STAMP, 12, 5, 3, 10, 9, 8, 7}, got[64];
    set_int(p.server, IPPROTO_IP, IP_RECVOPTS, 1);
    OK(set_options(p.client, ours, sizeof(ours)));
    OK(send(p.client, "x", 1, 0));
    EQ(told(p.server, IP_RECVOPTS, got, sizeof(got)), 12);
    EQ(memcmp(got + 4, ours + 4, 4), 0);
}

static unsigned short sum(const void *data, size_t len)
{
    const unsigned char *at = data;
    unsigned total = 0;
    for (size_t i = 0; i < len; i++)
        total += i % 2 ? at[i] : (unsigned)at[i] << 8;
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return htons((unsigned short)~total);
}

/* As `ping -R`: the answer has the request's route, and goes on with it. */
CASE(echo_replies_return_them)
{
    int fd = (int)OK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    struct addr lo = loopback(AF_INET, 0);
    unsigned char rr[40] = {NOOP, RECORD, 39, 4}, got[256];
    struct icmphdr echo = {.type = ICMP_ECHO, .un.echo = {htons(0x4711), htons(1)}};
    echo.checksum = sum(&echo, sizeof(echo));
    OK(set_options(fd, rr, sizeof(rr)));
    EQ(sendto(fd, &echo, sizeof(echo), 0, &lo.sa, lo.len), sizeof(echo));
    for (int replies = 0; replies == 0;) {
        ssize_t len = OK(recv(fd, got, sizeof(got), 0));
        EQ(got[0], 0x4f);
        EQ(len, 68);
        replies += got[60] == ICMP_ECHOREPLY;
    }
    /* By whom it was sent and heard, there and back. */
    unsigned char want[40] = {RECORD, 39, 20, 127, 0, 0, 1, 127, 0, 0, 1, 127, 0, 0, 1, 127, 0, 0, 1};
    EQ(memcmp(got + 20, want, sizeof(want)), 0);
}

/* What makes no sense is told where it is wrong. */
CASE(malformed_packets_are_reported)
{
    int raw = (int)OK(socket(AF_INET, SOCK_RAW, IPPROTO_RAW)), icmp = (int)OK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    struct addr lo = loopback(AF_INET, 0);
    unsigned char got[256], packet[28] = {0x46, 0, 0, 28, 0, 1, 0, 0, 64, 253, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1, NOOP, RECORD, 3, 2};
    int all = 0;
    OK(setsockopt(icmp, SOL_RAW, 1 /* ICMP_FILTER */, &all, sizeof(all)));
    EQ(sendto(raw, packet, sizeof(packet), 0, &lo.sa, lo.len), sizeof(packet));
    do
        OK(recv(icmp, got, sizeof(got), 0));
    while (got[20] != ICMP_PARAMETERPROB);
    EQ(got[21], 0);
    EQ(got[24], 23); /* the pointer of the option */
}

/* Options leave less room; in pieces, they stand on each that they should. */
CASE(long_datagrams)
{
    struct pair p = udp_pair(AF_INET);
    static char data[60000], got[60000];
    unsigned char rr[40] = {NOOP, RECORD, 39, 4};
    pattern(data, sizeof(data), 1);
    set_int(p.server, SOL_SOCKET, SO_RCVBUF, 1 << 18);
    OK(set_options(p.client, rr, sizeof(rr)));
    for (size_t len = 59000; len <= sizeof(data); len += 500) {
        EQ(send(p.client, data, len, 0), len);
        EQ(recv(p.server, got, sizeof(got), 0), len);
        EQ(memcmp(got, data, len), 0);
    }
}
