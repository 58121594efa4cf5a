/* Pacing and what TCP tells of rates: SO_MAX_PACING_RATE, TCP_CONGESTION bbr, TCP_CC_INFO, TCP_INFO's rates. */
#include "harness.h"

#include <linux/inet_diag.h>

#ifndef TCP_CC_INFO
#define TCP_CC_INFO 26
#endif

/* struct tcp_info of linux/tcp.h as far as it is looked at here; the system's header may end earlier. */
enum {
    PACING_RATE = 104,
    MAX_PACING_RATE = 112,
    DELIVERY_RATE = 160,
    DELIVERED = 192,
    DELIVERED_CE = 196,
    INFO_LEN = 248,
};

static uint64_t info(int fd, size_t at, size_t size)
{
    unsigned char bytes[INFO_LEN] = {0};
    socklen_t len = sizeof(bytes);
    OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, bytes, &len));
    TRUE(len >= at + size);
    uint64_t value = 0;
    memcpy(&value, bytes + at, size);
    return value;
}

/* Through and through: `octets` from one end to the other, milliseconds. */
static long long transfer(struct pair p, size_t octets)
{
    static char buffer[65536];
    long long begin = now_ms();
    size_t sent = 0, got = 0;
    set_nonblocking(p.client);
    while (got < octets) {
        if (sent < octets) {
            ssize_t n = send(p.client, buffer, octets - sent < sizeof(buffer) ? octets - sent : sizeof(buffer), 0);
            if (n > 0)
                sent += n;
        }
        struct pollfd fds[2] = {{p.server, POLLIN, 0}, {p.client, sent < octets ? POLLOUT : 0, 0}};
        OK(poll(fds, 2, LONG_MS));
        if (fds[0].revents & POLLIN) {
            ssize_t n = OK(recv(p.server, buffer, sizeof(buffer), 0));
            got += n;
        }
    }
    return now_ms() - begin;
}

BOTH(the_limit_is_told_in_four_and_in_eight_bytes)
{
    int fd = tcp(family);
    uint64_t wide = 0;
    uint32_t narrow = 0;
    socklen_t len = sizeof(wide);
    OK(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &wide, &len));
    EQ(len, sizeof(wide));
    TRUE(wide == UINT64_MAX);
    len = sizeof(narrow);
    OK(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &narrow, &len));
    EQ(len, sizeof(narrow));
    EQ(narrow, UINT32_MAX);
    set_int(fd, SOL_SOCKET, SO_MAX_PACING_RATE, 123456);
    len = sizeof(wide);
    OK(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &wide, &len));
    EQ(wide, 123456);
    wide = 1ULL << 40;
    OK(setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &wide, sizeof(wide)));
    len = sizeof(narrow);
    OK(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &narrow, &len));
    EQ(narrow, UINT32_MAX);
    wide = 0;
    len = 12;
    uint64_t room[2] = {0};
    OK(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, room, &len));
    EQ(len, 8);
    EQ(room[0], 1LL << 40);
    set_int(fd, SOL_SOCKET, SO_MAX_PACING_RATE, -1);
    len = sizeof(wide);
    OK(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &wide, &len));
    TRUE(wide == UINT64_MAX);
    ERR(setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &wide, 2), EINVAL);
}

BOTH(a_limit_holds)
{
    struct pair p = tcp_pair(family);
    set_int(p.client, SOL_SOCKET, SO_MAX_PACING_RATE, 4000000);
    long long took = transfer(p, 2000000);
    RANGE(took, 300, LONG_MS);
    EQ(info(p.client, MAX_PACING_RATE, 8), 4000000);
    EQ(info(p.client, PACING_RATE, 8), 4000000);
}

BOTH(a_limit_of_zero_is_none)
{
    struct pair p = tcp_pair(family);
    set_int(p.client, SOL_SOCKET, SO_MAX_PACING_RATE, 0);
    RANGE(transfer(p, 500000), 0, LONG_MS);
}

BOTH(rates_are_told)
{
    struct pair p = tcp_pair(family);
    EQ(info(p.client, DELIVERED, 4), 1);
    EQ(info(p.client, DELIVERY_RATE, 8), 0);
    TRUE(info(p.client, MAX_PACING_RATE, 8) == UINT64_MAX);
    transfer(p, 1000000);
    sleep_ms(SHORT_MS);
    TRUE(info(p.client, DELIVERY_RATE, 8) > 10000);
    TRUE(info(p.client, PACING_RATE, 8) > 10000);
    TRUE(info(p.client, PACING_RATE, 8) < UINT64_MAX);
    TRUE(info(p.client, DELIVERED, 4) > 10);
    EQ(info(p.client, DELIVERED_CE, 4), 0);
}

BOTH(bbr_can_be_had)
{
    struct pair p = tcp_pair(family);
    OK(setsockopt(p.client, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3));
    char name[16] = "";
    socklen_t len = sizeof(name);
    OK(getsockopt(p.client, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    EQ(len, 16);
    EQ(strcmp(name, "bbr"), 0);
    TRUE(transfer(p, 1000000) < LONG_MS);
}

BOTH(an_algorithm_tells_of_itself)
{
    int fd = tcp(family);
    union tcp_cc_info cc;
    OK(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    socklen_t len = sizeof(cc);
    OK(getsockopt(fd, IPPROTO_TCP, TCP_CC_INFO, &cc, &len));
    EQ(len, 0);
    struct pair p = tcp_pair(family);
    OK(setsockopt(p.client, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3));
    transfer(p, 300000);
    len = sizeof(cc);
    memset(&cc, 0, sizeof(cc));
    OK(getsockopt(p.client, IPPROTO_TCP, TCP_CC_INFO, &cc, &len));
    EQ(len, sizeof(cc.bbr));
    TRUE(cc.bbr.bbr_bw_lo != 0 || cc.bbr.bbr_bw_hi != 0);
    TRUE(cc.bbr.bbr_min_rtt < 1000000);
    RANGE(cc.bbr.bbr_pacing_gain, 80, 800);
    RANGE(cc.bbr.bbr_cwnd_gain, 128, 800);
    len = 4;
    OK(getsockopt(p.client, IPPROTO_TCP, TCP_CC_INFO, &cc, &len));
    EQ(len, 4);
}
