/* Socket filters: SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER, SO_GET_FILTER (socket(7), bpf(4)). */
#include <linux/filter.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include "harness.h"

#ifndef SO_LOCK_FILTER
#define SO_LOCK_FILTER 44
#endif
#ifndef SO_ATTACH_BPF
#define SO_ATTACH_BPF 50
#endif
#ifndef BPF_MOD
#define BPF_MOD 0x90
#endif
#ifndef BPF_XOR
#define BPF_XOR 0xa0
#endif

#define S(code, k) {(unsigned short)(code), 0, 0, (unsigned)(k)}
#define J(code, k, jt, jf) {(unsigned short)(BPF_JMP | (code)), jt, jf, (unsigned)(k)}
#define RET(k) S(BPF_RET | BPF_K, k)
#define RET_A S(BPF_RET | BPF_A, 0)
#define ABS(size, k) S(BPF_LD | (size) | BPF_ABS, k)
#define ALL 0xffffffff

static int attach_n(int fd, struct sock_filter *program, size_t n)
{
    struct sock_fprog fprog = {(unsigned short)n, program};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &fprog, sizeof(fprog));
}

#define ATTACH(fd, ...)                                                                 \
    ({                                                                                  \
        struct sock_filter program_[] = {__VA_ARGS__};                                  \
        attach_n(fd, program_, ARRAY_LEN(program_));                                    \
    })

static int detach(int fd)
{
    int nothing = 0;
    return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &nothing, sizeof(nothing));
}

static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW};

static int make(int family, int type) { return (int)OK(socket(family, type, type == SOCK_RAW ? 253 : 0)); }

/* --- what is taken ---------------------------------------------------------------------------------------------- */

/* Codes that are instructions; every other one is refused. */
static const unsigned short codes[] = {
    0x00, 0x01, 0x02, 0x03, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x81, 0xb1, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c,
    0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0x84, 0x94, 0x9c, 0xa4, 0xac, 0x05, 0x15, 0x1d, 0x25,
    0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x06, 0x16, 0x07, 0x87,
};

BOTH(instructions_that_are_taken)
{
    int fd = udp(family);
    for (unsigned code = 0; code < 0x400; code++) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(codes); i++)
            known |= codes[i] == code;
        int outcome = ATTACH(fd, S(code, 1), RET(1), RET(1));
        /* Loads from the memory, of what nobody stored. */
        if (code == 0x60 || code == 0x61)
            known = false;
        if ((outcome == 0) != known)
            fprintf(stderr, "code %#x\n", code);
        EQ(outcome, known ? 0 : -1);
    }
}

BOTH(programs_that_are_refused)
{
    int fd = udp(family);
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        OK(ATTACH(make(family, types[i]), RET(ALL)));
    ERR(attach_n(fd, (struct sock_filter[]){RET(1)}, 0), EINVAL);
    ERR(attach_n(fd, NULL, 1), EINVAL);
    ERR(attach_n(fd, bad_pointer, 1), EFAULT);
    ERR(ATTACH(fd, S(BPF_LD | BPF_IMM, 1)), EINVAL); /* it does not end with a return */
    ERR(ATTACH(fd, RET(1), J(BPF_JA, 0, 0, 0)), EINVAL);
    OK(ATTACH(fd, J(BPF_JA, 0, 0, 0), RET(1)));
    ERR(ATTACH(fd, J(BPF_JA, 1, 0, 0), RET(1)), EINVAL); /* jumps behind the end */
    ERR(ATTACH(fd, J(BPF_JA, ALL, 0, 0), RET(1)), EINVAL);
    ERR(ATTACH(fd, J(BPF_JEQ | BPF_K, 0, 1, 0), RET(1)), EINVAL);
    ERR(ATTACH(fd, J(BPF_JEQ | BPF_K, 0, 0, 1), RET(1)), EINVAL);
    OK(ATTACH(fd, J(BPF_JEQ | BPF_K, 0, 1, 0), RET(1), RET(2)));
    ERR(ATTACH(fd, S(BPF_ALU | BPF_DIV | BPF_K, 0), RET(1)), EINVAL);
    ERR(ATTACH(fd, S(BPF_ALU | BPF_MOD | BPF_K, 0), RET(1)), EINVAL);
    ERR(ATTACH(fd, S(BPF_ALU | BPF_LSH | BPF_K, 32), RET(1)), EINVAL);
    ERR(ATTACH(fd, S(BPF_ALU | BPF_RSH | BPF_K, 32), RET(1)), EINVAL);
    OK(ATTACH(fd, S(BPF_ALU | BPF_RSH | BPF_K, 31), RET(1)));
    ERR(ATTACH(fd, S(BPF_ST, 16), RET(1)), EINVAL);
    OK(ATTACH(fd, S(BPF_ST, 15), RET(1)));
    ERR(ATTACH(fd, S(BPF_LD | BPF_MEM, 3), RET(1)), EINVAL);
    OK(ATTACH(fd, S(BPF_ST, 3), S(BPF_LD | BPF_MEM, 3), S(BPF_LDX | BPF_MEM, 3), RET(1)));
    ERR(ATTACH(fd, S(BPF_STX, 3), S(BPF_LD | BPF_MEM, 4), RET(1)), EINVAL);
    /* A word that is stored on one of two ways only. */
    ERR(ATTACH(fd, J(BPF_JEQ | BPF_K, 0, 1, 0), S(BPF_ST, 3), S(BPF_LD | BPF_MEM, 3), RET(1)), EINVAL);
    OK(ATTACH(fd, J(BPF_JEQ | BPF_K, 0, 0, 2), S(BPF_ST, 3), S(BPF_LD | BPF_MEM, 3), RET(1)));
    /* What is known of a packet: a number in fours below 64. */
    for (unsigned ad = 0; ad < 80; ad++)
        EQ(ATTACH(fd, ABS(BPF_W, SKF_AD_OFF + (int)ad), RET(1)), ad < 64 && ad % 4 == 0 ? 0 : -1);
    OK(ATTACH(fd, ABS(BPF_B, SKF_AD_OFF - 1), ABS(BPF_B, SKF_NET_OFF), ABS(BPF_B, SKF_LL_OFF), ABS(BPF_B, INT_MIN), RET(1)));
}

BOTH(longest_program)
{
    static struct sock_filter program[4097];
    int fd = udp(family);
    for (size_t i = 0; i < ARRAY_LEN(program); i++)
        program[i] = (struct sock_filter)RET(ALL);
    OK(attach_n(fd, program, 4096));
    ERR(attach_n(fd, program, 4097), EINVAL);
    ERR(attach_n(fd, program, 65535), EINVAL);
}

BOTH(lengths_and_states)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        int fd = make(family, types[i]), zero = 0;
        struct sock_filter program[] = {RET(ALL)};
        struct sock_fprog fprog[2] = {{1, program}, {1, program}};
        ERR(detach(fd), ENOENT);
        ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, fprog, 0), EINVAL);
        ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, fprog, 4), EINVAL);
        ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, fprog, 15), EINVAL);
        ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, fprog, 17), EINVAL);
        ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, bad_pointer, 16), EFAULT);
        ERR(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &zero, 3), EINVAL);
        ERR(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, null_pointer, 4), EFAULT);
        OK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, fprog, 16));
        OK(detach(fd));
        ERR(detach(fd), ENOENT);
    }
}

BOTH(filter_is_read_back)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        int fd = make(family, types[i]);
        struct sock_filter got[8];
        socklen_t len = 8;
        memset(got, 7, sizeof(got));
        OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &len));
        EQ(len, 0);
        EQ(got[0].code, 0x0707);
        OK(ATTACH(fd, S(BPF_LD | BPF_IMM, 1), J(BPF_JEQ | BPF_K, 3, 1, 0), RET(4), RET(5)));
        /* The length counts instructions, and 0 asks for it. */
        len = 0;
        OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, null_pointer, &len));
        EQ(len, 4);
        len = 3;
        ERR(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &len), EINVAL);
        EQ(len, 3);
        len = 8;
        ERR(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, bad_pointer, &len), EFAULT);
        OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &len));
        EQ(len, 4);
        struct sock_filter want[] = {S(BPF_LD | BPF_IMM, 1), J(BPF_JEQ | BPF_K, 3, 1, 0), RET(4), RET(5)};
        EQ(memcmp(got, want, sizeof(want)), 0);
        EQ(got[4].code, 0x0707);
        len = (socklen_t)-1;
        ERR(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &len), EINVAL);
    }
}

BOTH(locked_filter)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        int fd = make(family, types[i]), off = 0, locked = 2;
        EQ(get_int(fd, SOL_SOCKET, SO_LOCK_FILTER), 0);
        OK(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &off, sizeof(off)));
        OK(ATTACH(fd, RET(ALL)));
        OK(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &locked, sizeof(locked)));
        EQ(get_int(fd, SOL_SOCKET, SO_LOCK_FILTER), 1);
        ERR(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &off, sizeof(off)), EPERM);
        OK(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &locked, sizeof(locked)));
        ERR(ATTACH(fd, RET(ALL)), EPERM);
        ERR(attach_n(fd, NULL, 0), EPERM);
        ERR(detach(fd), EPERM);
        ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof(fd)), EPERM);
    }
}

/* A descriptor that is no program of the kernel's. */
BOTH(programs_by_descriptor)
{
    int fd = udp(family);
    ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, (int[]){-1}, sizeof(int)), EBADF);
    ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof(int)), EINVAL);
    ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, (int[]){0, 0}, 8), EINVAL);
    ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &fd, 3), EINVAL);
}

/* --- what programs do ------------------------------------------------------------------------------------------- */

enum { DATA = 1000, HEADER = 8 };

/* What a program makes of a datagram of 1000 octets, 0, 1, 2 … 255, 0 …: how many are left, with the header; 0: it is dropped. */
static unsigned verdict_on(struct pair p, struct sock_filter *program, size_t n)
{
    unsigned char data[DATA], got[DATA + 1];
    OK(attach_n(p.server, program, n));
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)i;
    EQ(send(p.client, data, sizeof(data), 0), DATA);
    /* What is sent without a filter comes behind it. */
    OK(detach(p.server));
    EQ(send(p.client, "end", 3, 0), 3);
    ssize_t len = OK(recv(p.server, got, sizeof(got), 0));
    if (len == 3 && memcmp(got, "end", 3) == 0)
        return 0;
    EQ(memcmp(got, data, (size_t)len), 0);
    char end[4];
    EQ(recv(p.server, end, sizeof(end), 0), 3);
    return (unsigned)len + HEADER;
}

#define VERDICT(p, ...)                                                                 \
    ({                                                                                  \
        struct sock_filter program_[] = {__VA_ARGS__};                                  \
        verdict_on(p, program_, ARRAY_LEN(program_));                                   \
    })

BOTH(datagrams_are_dropped_and_cut)
{
    struct pair p = udp_pair(family);
    EQ(VERDICT(p, RET(0)), 0);
    EQ(VERDICT(p, RET(1)), HEADER); /* the header always stays */
    EQ(VERDICT(p, RET(8)), HEADER);
    EQ(VERDICT(p, RET(11)), 11);
    EQ(VERDICT(p, RET(1008)), 1008);
    EQ(VERDICT(p, RET(ALL)), 1008);
    EQ(VERDICT(p, S(BPF_LD | BPF_W | BPF_LEN, 0), S(BPF_ALU | BPF_RSH | BPF_K, 1), RET_A), 504);
}

BOTH(loads)
{
    struct pair p = udp_pair(family);
    struct addr from = local_of(p.client), to = local_of(p.server);
    /* From UDP's header on. */
    EQ(VERDICT(p, ABS(BPF_H, 0), J(BPF_JEQ | BPF_K, port_of(&from), 0, 1), RET(99), RET(0)), 99);
    EQ(VERDICT(p, ABS(BPF_H, 2), J(BPF_JEQ | BPF_K, port_of(&to), 0, 1), RET(99), RET(0)), 99);
    EQ(VERDICT(p, ABS(BPF_H, 4), RET_A), 1008);
    EQ(VERDICT(p, ABS(BPF_B, 8 + 77), RET_A), 77);
    EQ(VERDICT(p, ABS(BPF_W, 8 + 1), J(BPF_JEQ | BPF_K, 0x01020304, 0, 1), RET(99), RET(0)), 99);
    EQ(VERDICT(p, S(BPF_LDX | BPF_IMM, 70), S(BPF_LD | BPF_B | BPF_IND, 8 + 7), RET_A), 77);
    EQ(VERDICT(p, S(BPF_LDX | BPF_IMM, 170), S(BPF_LD | BPF_B | BPF_IND, 8 - 70), RET_A), 100);
    EQ(VERDICT(p, S(BPF_LDX | BPF_B | BPF_MSH, 8 + 0xab), S(BPF_MISC | BPF_TXA, 0), RET_A), 44);
    EQ(VERDICT(p, S(BPF_LDX | BPF_W | BPF_LEN, 0), S(BPF_MISC | BPF_TXA, 0), RET_A), 1008);
    /* The last octets, and what reaches beyond. */
    EQ(VERDICT(p, ABS(BPF_B, 1007), RET(99)), 99);
    EQ(VERDICT(p, ABS(BPF_B, 1008), RET(99)), 0);
    EQ(VERDICT(p, ABS(BPF_H, 1006), RET(99)), 99);
    EQ(VERDICT(p, ABS(BPF_H, 1007), RET(99)), 0);
    EQ(VERDICT(p, ABS(BPF_W, 1004), RET(99)), 99);
    EQ(VERDICT(p, ABS(BPF_W, 1005), RET(99)), 0);
    EQ(VERDICT(p, ABS(BPF_W, 0x7fffffff), RET(99)), 0);
    EQ(VERDICT(p, ABS(BPF_W, INT_MIN), RET(99)), 0);
    EQ(VERDICT(p, S(BPF_LDX | BPF_IMM, ALL), S(BPF_LD | BPF_B | BPF_IND, 0), RET(99)), 0);
    EQ(VERDICT(p, S(BPF_LDX | BPF_B | BPF_MSH, 1008), RET(99)), 0);
}

BOTH(loads_of_the_headers_before)
{
    struct pair p = udp_pair(family);
    bool v4 = family == AF_INET;
    int header = v4 ? 20 : 40;
    EQ(VERDICT(p, ABS(BPF_B, SKF_NET_OFF), S(BPF_ALU | BPF_RSH | BPF_K, 4), S(BPF_ALU | BPF_ADD | BPF_K, 90), RET_A), v4 ? 94 : 96);
    EQ(VERDICT(p, ABS(BPF_B, SKF_NET_OFF + (v4 ? 9 : 6)), RET_A), IPPROTO_UDP);
    EQ(VERDICT(p, ABS(BPF_B, SKF_NET_OFF + (v4 ? 12 : 23)), J(BPF_JEQ | BPF_K, v4 ? 127 : 1, 0, 1), RET(99), RET(0)), 99);
    EQ(VERDICT(p, ABS(BPF_H, SKF_NET_OFF + header + 4), RET_A), 1008); /* and on */
    EQ(VERDICT(p, ABS(BPF_B, SKF_NET_OFF + header + 1007), RET(99)), 99);
    EQ(VERDICT(p, ABS(BPF_B, SKF_NET_OFF + header + 1008), RET(99)), 0);
    EQ(VERDICT(p, ABS(BPF_W, SKF_NET_OFF - 4), RET(99)), 0);
    EQ(VERDICT(p, S(BPF_LDX | BPF_IMM, v4 ? 9 : 6), S(BPF_LD | BPF_B | BPF_IND, SKF_NET_OFF), RET_A), IPPROTO_UDP);
    /* The loopback's frames begin with an Ethernet header. */
    EQ(VERDICT(p, ABS(BPF_H, SKF_LL_OFF + 12), J(BPF_JEQ | BPF_K, v4 ? 0x0800 : 0x86dd, 0, 1), RET(99), RET(0)), 99);
    EQ(VERDICT(p, ABS(BPF_W, SKF_LL_OFF), J(BPF_JEQ | BPF_K, 0, 0, 1), RET(99), RET(0)), 99);
    EQ(VERDICT(p, ABS(BPF_B, SKF_LL_OFF + 14 + (v4 ? 9 : 6)), RET_A), IPPROTO_UDP);
}

BOTH(what_is_known_of_a_packet)
{
    struct pair p = udp_pair(family);
    bool v4 = family == AF_INET;
    EQ(VERDICT(p, ABS(BPF_W, SKF_AD_OFF + SKF_AD_PROTOCOL), J(BPF_JEQ | BPF_K, v4 ? 0x0800 : 0x86dd, 0, 1), RET(99), RET(0)), 99);
    EQ(VERDICT(p, ABS(BPF_W, SKF_AD_OFF + SKF_AD_PKTTYPE), J(BPF_JEQ | BPF_K, 0, 0, 1), RET(99), RET(0)), 99);
    EQ(VERDICT(p, ABS(BPF_W, SKF_AD_OFF + SKF_AD_IFINDEX), J(BPF_JEQ | BPF_K, 1, 0, 1), RET(99), RET(0)), 99);
    EQ(VERDICT(p, ABS(BPF_B, SKF_AD_OFF + SKF_AD_HATYPE), J(BPF_JEQ | BPF_K, 772, 0, 1), RET(99), RET(0)), 99);
    EQ(VERDICT(p, ABS(BPF_W, SKF_AD_OFF + SKF_AD_MARK), J(BPF_JEQ | BPF_K, 0, 0, 1), RET(99), RET(0)), 99);
    EQ(VERDICT(p, ABS(BPF_W, SKF_AD_OFF + SKF_AD_PAY_OFFSET), S(BPF_ALU | BPF_ADD | BPF_K, 90), RET_A), 98);
    EQ(VERDICT(p, ABS(BPF_W, SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT), S(BPF_ALU | BPF_ADD | BPF_K, 90), RET_A), 90);
    EQ(VERDICT(p, ABS(BPF_W, SKF_AD_OFF + SKF_AD_RANDOM), J(BPF_JGE | BPF_K, 0, 0, 1), RET(99), RET(0)), 99);
    EQ(VERDICT(p, S(BPF_LD | BPF_IMM, 0x0f), S(BPF_LDX | BPF_IMM, 0x7c), ABS(BPF_W, SKF_AD_OFF + SKF_AD_ALU_XOR_X), RET_A), 0x73);
    /* CPUs are few, and a thread that is nowhere in particular is on one of them. */
    EQ(VERDICT(p, ABS(BPF_W, SKF_AD_OFF + SKF_AD_CPU), J(BPF_JGE | BPF_K, 8192, 1, 0), RET(99), RET(0)), 99);
}

/* Netlink's attributes in a datagram: two octets of length, two of type, what it holds; in fours. */
BOTH(attributes_in_a_packet)
{
    struct pair p = udp_pair(family);
    const struct {
        unsigned short len, type;
        unsigned char in[4];
        unsigned short len2, type2, len3, type3, len4, type4;
    } data = {5, 7, {1, 0, 0, 0}, 12, 9, 4, 5, 4, 6};
    const struct {
        int ad;
        unsigned from, type, want;
    } looks[] = {
        {SKF_AD_NLATTR, 8, 7, 8},   {SKF_AD_NLATTR, 8, 9, 16},       {SKF_AD_NLATTR, 8, 5, 0},
        {SKF_AD_NLATTR, 20, 5, 20}, {SKF_AD_NLATTR_NEST, 16, 5, 20}, {SKF_AD_NLATTR_NEST, 16, 6, 24},
        {SKF_AD_NLATTR_NEST, 16, 7, 0}, {SKF_AD_NLATTR_NEST, 8, 5, 0}, {SKF_AD_NLATTR, 24, 6, 24}, {SKF_AD_NLATTR, 25, 6, 0},
        {SKF_AD_NLATTR, 4000, 6, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
        OK(ATTACH(p.server, S(BPF_LD | BPF_IMM, looks[i].from), S(BPF_LDX | BPF_IMM, looks[i].type),
                  ABS(BPF_W, SKF_AD_OFF + looks[i].ad), J(BPF_JEQ | BPF_K, looks[i].want, 0, 1), RET(ALL), RET(9)));
        EQ(send(p.client, &data, sizeof(data), 0), sizeof(data));
        char got[64];
        EQ(recv(p.server, got, sizeof(got), 0), sizeof(data));
    }
}

static unsigned calculated(struct pair p, unsigned code, unsigned a, unsigned by, bool x)
{
    struct sock_filter of_k[] = {S(BPF_LD | BPF_IMM, a), S(BPF_ALU | code | BPF_K, by), RET_A};
    struct sock_filter of_x[] = {S(BPF_LD | BPF_IMM, a), S(BPF_LDX | BPF_IMM, by), S(BPF_ALU | code | BPF_X, 0), RET_A};
    return x ? verdict_on(p, of_x, ARRAY_LEN(of_x)) : verdict_on(p, of_k, ARRAY_LEN(of_k));
}

BOTH(arithmetic)
{
    struct pair p = udp_pair(family);
    static const struct {
        unsigned code, a, by, want;
    } rows[] = {
        {BPF_ADD, 100, 23, 123},      {BPF_ADD, ALL, 101, 100},   {BPF_SUB, 100, 23, 77},    {BPF_SUB, 100, ALL, 101},
        {BPF_MUL, 10, 20, 200},       {BPF_MUL, 0x80000001, 50, 50}, {BPF_DIV, 1000, 9, 111}, {BPF_DIV, ALL, 0x1000000, 255},
        {BPF_MOD, 1000, 301, 97},     {BPF_AND, 0xff, 0x3c, 60},  {BPF_OR, 0x41, 0x22, 0x63}, {BPF_XOR, 0xff, 0xf0, 15},
        {BPF_LSH, 3, 6, 192},         {BPF_RSH, 0x80000000, 25, 64},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int x = 0; x <= 1; x++)
            EQ(calculated(p, rows[i].code, rows[i].a, rows[i].by, x), rows[i].want);
    EQ(calculated(p, BPF_DIV, 1000, 0, true), 0); /* the end of the program */
    EQ(calculated(p, BPF_MOD, 1000, 0, true), 0);
    EQ(VERDICT(p, S(BPF_LDX | BPF_IMM, 0), S(BPF_ALU | BPF_DIV | BPF_X, 0), RET(99)), 0);
    EQ(calculated(p, BPF_LSH, 100, 32, true), 100);
    EQ(calculated(p, BPF_RSH, 200, 33, true), 100);
    EQ(VERDICT(p, S(BPF_LD | BPF_IMM, -100), S(BPF_ALU | BPF_NEG, 0), RET_A), 100);
    EQ(VERDICT(p, S(BPF_LD | BPF_IMM, 100), S(BPF_MISC | BPF_TAX, 0), S(BPF_LD | BPF_IMM, 0), S(BPF_MISC | BPF_TXA, 0), RET_A), 100);
    EQ(VERDICT(p, S(BPF_LD | BPF_IMM, 100), S(BPF_ST, 15), S(BPF_LDX | BPF_IMM, 11), S(BPF_STX, 0), S(BPF_LD | BPF_MEM, 0),
               S(BPF_LDX | BPF_MEM, 15), S(BPF_ALU | BPF_ADD | BPF_X, 0), RET_A), 111);
    EQ(VERDICT(p, RET_A), 0); /* registers begin at 0 */
    EQ(VERDICT(p, S(BPF_MISC | BPF_TXA, 0), S(BPF_ALU | BPF_ADD | BPF_K, 55), RET_A), 55);
}

BOTH(jumps)
{
    struct pair p = udp_pair(family);
    static const struct {
        unsigned code, a, by;
        bool holds;
    } rows[] = {
        {BPF_JEQ, 5, 5, true},   {BPF_JEQ, 5, 6, false},          {BPF_JGT, 6, 5, true},   {BPF_JGT, 5, 5, false},
        {BPF_JGT, ALL, 1, true}, {BPF_JGE, 5, 5, true},           {BPF_JGE, 4, 5, false},  {BPF_JSET, 6, 3, true},
        {BPF_JSET, 6, 9, false}, {BPF_JSET, ALL, 1u << 31, true}, {BPF_JGE, 1, ALL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned want = rows[i].holds ? 50 : 60;
        EQ(VERDICT(p, S(BPF_LD | BPF_IMM, rows[i].a), J(rows[i].code | BPF_K, rows[i].by, 1, 2), RET(40), RET(50), RET(60)), want);
        EQ(VERDICT(p, S(BPF_LD | BPF_IMM, rows[i].a), S(BPF_LDX | BPF_IMM, rows[i].by), J(rows[i].code | BPF_X, 0, 1, 2), RET(40),
                   RET(50), RET(60)), want);
    }
    EQ(VERDICT(p, J(BPF_JA, 2, 0, 0), RET(40), RET(50), RET(60)), 60);
}

/* --- where they stand ------------------------------------------------------------------------------------------- */

/* What is dropped is counted, and the next ones come. */
BOTH(dropped_datagrams_are_counted)
{
    struct pair p = udp_pair(family);
    char byte, room[256];
    set_int(p.server, SOL_SOCKET, SO_RXQ_OVFL, 1);
    OK(ATTACH(p.server, ABS(BPF_B, 8), J(BPF_JEQ | BPF_K, 'x', 1, 0), RET(ALL), RET(0)));
    OK(send(p.client, "x", 1, 0));
    OK(send(p.client, "x", 1, 0));
    OK(send(p.client, "y", 1, 0));
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    EQ(recvmsg(p.server, &msg, 0), 1);
    EQ(byte, 'y');
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    TRUE(c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL);
    unsigned drops;
    memcpy(&drops, CMSG_DATA(c), sizeof(drops));
    EQ(drops, 2);
    ERR(recv(p.server, &byte, 1, MSG_DONTWAIT), EAGAIN);
}

/* Of what is cut nothing is missing to the reader. */
BOTH(cut_datagrams_are_whole)
{
    struct pair p = udp_pair(family);
    char got[16];
    OK(ATTACH(p.server, RET(8 + 3)));
    OK(send(p.client, "abcdef", 6, 0));
    EQ(recv(p.server, got, 2, MSG_TRUNC | MSG_PEEK), 3);
    int queued = 0;
    OK(ioctl(p.server, FIONREAD, &queued));
    EQ(queued, 3);
    struct iovec iov = {got, sizeof(got)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    EQ(recvmsg(p.server, &msg, 0), 3);
    EQ(msg.msg_flags & MSG_TRUNC, 0);
    EQ(memcmp(got, "abc", 3), 0);
}

static int segments(int fd)
{
    struct sock_filter program[] = {
        /* Segments without text and those whose first octet is not x. */
        ABS(BPF_B, 12),  S(BPF_ALU | BPF_RSH | BPF_K, 4), S(BPF_ALU | BPF_LSH | BPF_K, 2), S(BPF_MISC | BPF_TAX, 0),
        S(BPF_LD | BPF_W | BPF_LEN, 0), J(BPF_JEQ | BPF_X, 0, 2, 0), S(BPF_LD | BPF_B | BPF_IND, 0), J(BPF_JEQ | BPF_K, 'x', 1, 0),
        RET(ALL), RET(0),
    };
    return attach_n(fd, program, ARRAY_LEN(program));
}

BOTH(segments_are_dropped_and_come_again)
{
    struct pair p = tcp_pair(family);
    char got[4];
    OK(segments(p.server));
    send_all(p.client, "a", 1);
    recv_all(p.server, got, 1);
    send_all(p.client, "x", 1);
    EQ(events_of(p.server, POLLIN, SHORT_MS), 0);
    OK(detach(p.server));
    recv_all(p.server, got, 1);
    EQ(got[0], 'x');
}

/* The rest of a segment that was cut has not arrived. */
BOTH(segments_are_cut_and_come_again)
{
    struct pair p = tcp_pair(family);
    char got[8];
    OK(ATTACH(p.server, ABS(BPF_B, 12), S(BPF_ALU | BPF_RSH | BPF_K, 2), S(BPF_ALU | BPF_AND | BPF_K, 0x3c),
              S(BPF_ALU | BPF_ADD | BPF_K, 3), RET_A));
    send_all(p.client, "abcdef", 6);
    recv_all(p.server, got, 3);
    EQ(memcmp(got, "abc", 3), 0);
    recv_all(p.server, got, 3);
    EQ(memcmp(got, "def", 3), 0);
}

BOTH(headers_of_segments)
{
    struct pair p = tcp_pair(family);
    struct addr from = local_of(p.client), to = local_of(p.server);
    bool v4 = family == AF_INET;
    char got;
    OK(ATTACH(p.server, ABS(BPF_H, 0), J(BPF_JEQ | BPF_K, port_of(&from), 0, 8), ABS(BPF_H, 2), J(BPF_JEQ | BPF_K, port_of(&to), 0, 6),
              ABS(BPF_B, SKF_NET_OFF + (v4 ? 9 : 6)), J(BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 4),
              ABS(BPF_W, SKF_AD_OFF + SKF_AD_PAY_OFFSET), J(BPF_JGE | BPF_K, 20, 0, 2), J(BPF_JGT | BPF_K, 60, 1, 0), RET(ALL),
              RET(0)));
    send_all(p.client, "a", 1);
    recv_all(p.server, &got, 1);
    EQ(got, 'a');
}

/* A listener's filter sees the SYNs; its connections have it too. */
BOTH(listeners)
{
    struct addr at;
    int l = listener(family, 4, &at), c = tcp(family);
    char got;
    OK(ATTACH(l, ABS(BPF_B, 13), J(BPF_JSET | BPF_K, 2, 1, 0), RET(ALL), RET(0)));
    set_nonblocking(c);
    ERR(connect(c, &at.sa, at.len), EINPROGRESS);
    EQ(events_of(c, POLLOUT, SHORT_MS), 0);
    OK(segments(l));
    int locked = 1;
    OK(setsockopt(l, SOL_SOCKET, SO_LOCK_FILTER, &locked, sizeof(locked)));
    wait_for(c, POLLOUT); /* its SYN comes again */
    EQ(get_int(c, SOL_SOCKET, SO_ERROR), 0);
    int s = (int)OK(accept(l, NULL, NULL));
    socklen_t len = 0;
    OK(getsockopt(s, SOL_SOCKET, SO_GET_FILTER, NULL, &len));
    EQ(len, 10);
    EQ(get_int(s, SOL_SOCKET, SO_LOCK_FILTER), 1);
    ERR(detach(s), EPERM);
    send_all(c, "a", 1);
    recv_all(s, &got, 1);
    send_all(c, "x", 1);
    EQ(events_of(s, POLLIN, SHORT_MS), 0);
    reset(c);
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

/* Echo replies with one identifier only, as ping(8) has it. */
CASE(pings_own_replies)
{
    int fd = (int)OK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)), own = 0x1234;
    struct addr lo = loopback(AF_INET, 0);
    OK(ATTACH(fd, S(BPF_LDX | BPF_B | BPF_MSH, 0), S(BPF_LD | BPF_H | BPF_IND, 4), J(BPF_JEQ | BPF_K, own, 0, 1), RET(ALL),
              S(BPF_LD | BPF_B | BPF_IND, 0), J(BPF_JEQ | BPF_K, ICMP_ECHOREPLY, 1, 0), RET(0xfffffff), RET(0)));
    for (int id = own - 1; id <= own + 1; id++) {
        struct icmphdr echo = {.type = ICMP_ECHO, .un.echo = {htons((unsigned short)id), htons(1)}};
        echo.checksum = sum(&echo, sizeof(echo));
        EQ(sendto(fd, &echo, sizeof(echo), 0, &lo.sa, lo.len), sizeof(echo));
    }
    /* The requests pass too, of whatever identifier: they are no replies. */
    unsigned char got[128];
    int requests = 0, replies = 0;
    while (requests < 3 || replies < 1) {
        EQ(recv(fd, got, sizeof(got), 0), 28);
        if (got[20] == ICMP_ECHO)
            requests++;
        else {
            EQ(got[20], ICMP_ECHOREPLY);
            EQ(got[24] << 8 | got[25], own);
            replies++;
        }
    }
    sleep_ms(SHORT_MS);
    ERR(recv(fd, got, sizeof(got), MSG_DONTWAIT), EAGAIN);
}

/* Raw sockets: from the IP header on, over IPv6 from what is behind it; the first octet always stays. */
BOTH(raw_packets)
{
    int fd = (int)OK(socket(family, SOCK_RAW, 253));
    struct addr lo = loopback(family, 0);
    bool v4 = family == AF_INET;
    int behind = v4 ? 20 : 0;
    unsigned char got[64];
    OK(ATTACH(fd, S(BPF_LD | BPF_W | BPF_LEN, 0), J(BPF_JEQ | BPF_K, behind + 4, 0, 3), ABS(BPF_B, behind),
              J(BPF_JEQ | BPF_K, 'a', 0, 1), RET(behind + 2), RET(0)));
    EQ(sendto(fd, "bcde", 4, 0, &lo.sa, lo.len), 4);
    EQ(sendto(fd, "abcd", 4, 0, &lo.sa, lo.len), 4);
    EQ(recv(fd, got, sizeof(got), 0), behind + 2);
    EQ(got[behind], 'a');
    EQ(got[behind + 1], 'b');
    OK(ATTACH(fd, ABS(BPF_B, SKF_NET_OFF + (v4 ? 9 : 6)), J(BPF_JEQ | BPF_K, 253, 0, 1), RET(1), RET(0)));
    EQ(sendto(fd, "abcd", 4, 0, &lo.sa, lo.len), 4);
    EQ(recv(fd, got, sizeof(got), 0), 1);
    OK(ATTACH(fd, ABS(BPF_W, SKF_AD_OFF + SKF_AD_PAY_OFFSET), S(BPF_ALU | BPF_ADD | BPF_K, 1), RET_A));
    EQ(sendto(fd, "abcd", 4, 0, &lo.sa, lo.len), 4);
    EQ(recv(fd, got, sizeof(got), 0), behind + 1);
}
