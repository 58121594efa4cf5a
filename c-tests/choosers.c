/* Programs that choose among sockets which share an address: SO_ATTACH_REUSEPORT_CBPF, SO_DETACH_REUSEPORT_BPF (socket(7)). */
#include <linux/filter.h>

#include "harness.h"

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif
#ifndef SO_ATTACH_REUSEPORT_EBPF
#define SO_ATTACH_REUSEPORT_EBPF 52
#endif
#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF 68
#endif
#ifndef SO_LOCK_FILTER
#define SO_LOCK_FILTER 44
#endif

#define S(code, k) {(unsigned short)(code), 0, 0, (unsigned)(k)}

static int attach_n(int fd, struct sock_filter *program, size_t n)
{
    struct sock_fprog fprog = {(unsigned short)n, program};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &fprog, sizeof(fprog));
}

#define ATTACH(fd, ...)                                                                 \
    ({                                                                                  \
        struct sock_filter program_[] = {__VA_ARGS__};                                  \
        attach_n(fd, program_, ARRAY_LEN(program_));                                    \
    })

/* The number is the first octet of what is sent. */
#define FIRST_OCTET S(BPF_LD | BPF_B | BPF_ABS, 0), S(BPF_RET | BPF_A, 0)

static int detach(int fd)
{
    int nothing = 0;
    return setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &nothing, sizeof(nothing));
}

static int sharer(int family, int type, struct addr *at)
{
    int fd = (int)OK(socket(family, type, 0));
    set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    OK(bind(fd, &at->sa, at->len));
    *at = local_of(fd);
    return fd;
}

/* What is sent from anywhere comes to this one. */
static void comes_to(int fd, const struct addr *at, int octet)
{
    char c = (char)octet, got = 0;
    for (int i = 0; i < 4; i++) {
        int tx = udp(at->sa.sa_family);
        EQ(sendto(tx, &c, 1, 0, &at->sa, at->len), 1);
        close(tx);
        EQ(events_of(fd, POLLIN, LONG_MS), POLLIN);
        EQ(recv(fd, &got, 1, 0), 1);
        EQ(got, c);
    }
}

BOTH(datagrams_are_given_by_number)
{
    struct addr at = loopback(family, 0);
    int fds[4];
    for (int i = 0; i < 3; i++)
        fds[i] = sharer(family, SOCK_DGRAM, &at);
    OK(ATTACH(fds[1], FIRST_OCTET)); /* through whichever of them */
    for (int i = 0; i < 3; i++)
        comes_to(fds[i], &at, i);
    /* Who comes later has the next number. */
    fds[3] = sharer(family, SOCK_DGRAM, &at);
    comes_to(fds[3], &at, 3);
    comes_to(fds[0], &at, 0);
    /* The place of who goes is the last one's. */
    close(fds[0]);
    comes_to(fds[3], &at, 0);
    comes_to(fds[1], &at, 1);
    comes_to(fds[2], &at, 2);
}

/* A number that nobody has, or no program: by the addresses, and somebody gets it. */
BOTH(numbers_that_are_not_there)
{
    struct addr at = loopback(family, 0);
    int fds[2] = {sharer(family, SOCK_DGRAM, &at), sharer(family, SOCK_DGRAM, &at)}, got = 0;
    OK(ATTACH(fds[0], S(BPF_RET | BPF_K, 2)));
    for (int i = 0; i < 16; i++)
        EQ(sendto(udp(family), "x", 1, 0, &at.sa, at.len), 1);
    sleep_ms(SHORT_MS);
    char c;
    for (int i = 0; i < 2; i++)
        while (recv(fds[i], &c, 1, MSG_DONTWAIT) == 1)
            got++;
    EQ(got, 16);
    /* Nothing to look at is the number 0. */
    OK(ATTACH(fds[1], S(BPF_LD | BPF_W | BPF_ABS, 100), S(BPF_RET | BPF_K, 1)));
    comes_to(fds[0], &at, 'x');
    OK(detach(fds[0]));
    ERR(detach(fds[1]), ENOENT);
}

/* The program sees the datagram's data, its headers by SKF_NET_OFF, and how long it is. */
BOTH(what_programs_see)
{
    struct addr at = loopback(family, 0);
    int fds[2] = {sharer(family, SOCK_DGRAM, &at), sharer(family, SOCK_DGRAM, &at)};
    OK(ATTACH(fds[0], S(BPF_LD | BPF_W | BPF_LEN, 0), S(BPF_RET | BPF_A, 0)));
    comes_to(fds[1], &at, 0);
    OK(ATTACH(fds[0], S(BPF_LD | BPF_B | BPF_ABS, SKF_NET_OFF + (family == AF_INET ? 9 : 6)),
              S(BPF_ALU | BPF_SUB | BPF_K, IPPROTO_UDP), S(BPF_RET | BPF_A, 0)));
    comes_to(fds[0], &at, 0);
    OK(ATTACH(fds[0], S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_RANDOM), S(BPF_ALU | BPF_AND | BPF_K, 1), S(BPF_RET | BPF_A, 0)));
    int seen[2] = {0};
    for (int i = 0; i < 64; i++) {
        EQ(sendto(udp(family), "x", 1, 0, &at.sa, at.len), 1);
        char c;
        struct pollfd both[2] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}};
        EQ(poll(both, 2, LONG_MS), 1);
        int which = both[1].revents != 0;
        EQ(recv(fds[which], &c, 1, 0), 1);
        seen[which]++;
    }
    TRUE(seen[0] > 0 && seen[1] > 0); /* all to one: once in 2^63 */
}

BOTH(connections_are_given_by_number)
{
    struct addr at = loopback(family, 0);
    int l[3];
    for (int i = 0; i < 3; i++) {
        l[i] = sharer(family, SOCK_STREAM, &at);
        OK(listen(l[i], 16));
    }
    for (int which = 0; which < 3; which++) {
        OK(ATTACH(l[0], S(BPF_RET | BPF_K, which)));
        for (int i = 0; i < 6; i++) {
            int c = tcp(family);
            OK(connect(c, &at.sa, at.len));
            EQ(events_of(l[which], POLLIN, LONG_MS), POLLIN);
            int s = (int)OK(accept(l[which], NULL, NULL));
            send_all(c, "x", 1);
            char got;
            recv_all(s, &got, 1);
            reset(c);
            close(s);
        }
    }
    OK(detach(l[2]));
}

/* The first at an address brings its program along, later ones take what is there, and may have had none. */
BOTH(programs_from_before_the_address)
{
    struct addr at = loopback(family, 0);
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        int first = (int)OK(socket(family, type, 0)), late = (int)OK(socket(family, type, 0));
        set_int(first, SOL_SOCKET, SO_REUSEPORT, 1);
        set_int(late, SOL_SOCKET, SO_REUSEPORT, 1);
        OK(ATTACH(first, S(BPF_RET | BPF_K, 1)));
        OK(ATTACH(late, S(BPF_RET | BPF_K, 0)));
        OK(bind(first, &at.sa, at.len));
        struct addr there = local_of(first);
        ERR(bind(late, &there.sa, there.len), EADDRINUSE);
        int second = sharer(family, type, &there);
        if (type == SOCK_DGRAM)
            comes_to(second, &there, 'x');
    }
}

BOTH(sockets_that_share_nothing)
{
    const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        int fd = (int)OK(socket(family, types[i], 0)), locked = 1;
        ERR(ATTACH(fd, FIRST_OCTET), EINVAL);
        ERR(detach(fd), EINVAL);
        set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        ERR(detach(fd), ENOENT);
        OK(ATTACH(fd, FIRST_OCTET));
        OK(detach(fd));
        ERR(detach(fd), ENOENT);
        ERR(ATTACH(fd, S(BPF_LD | BPF_IMM, 1)), EINVAL);
        ERR(attach_n(fd, NULL, 1), EINVAL);
        ERR(attach_n(fd, bad_pointer, 1), EFAULT);
        struct sock_fprog fprog = {0, NULL};
        ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &fprog, 8), EINVAL);
        ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, (int[]){-1}, sizeof(int)), EBADF);
        ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &fd, sizeof(int)), EINVAL);
        socklen_t len = sizeof(fprog);
        ERR(getsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &fprog, &len), ENOPROTOOPT);
        OK(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &locked, sizeof(locked)));
        ERR(ATTACH(fd, FIRST_OCTET), EPERM);
    }
}
