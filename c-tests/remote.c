/* Across a real link: the kernel at the other end. */
#include "peer.h"

static void echoes_to_peer(int family, int port)
{
    static char block[65536];
    int fd = program_connects(family, port);
    for (ssize_t n; (n = OK(recv(fd, block, sizeof(block), 0))) > 0;)
        send_all(fd, block, (size_t)n);
}

/* Sends and reads back so that neither buffer stays full. */
static void k_echo(int fd, size_t total, unsigned seed)
{
    unsigned char *data = malloc(total), *got = malloc(total);
    pattern(data, total, seed);
    for (size_t at = 0; at < total;) {
        size_t n = total - at < 16384 ? total - at : 16384, have = 0;
        k_send(fd, data + at, n);
        while (have < n) {
            ssize_t r = OK(k_recv(fd, got + at + have, n - have));
            TRUE(r > 0);
            have += (size_t)r;
        }
        at += n;
    }
    EQ(memcmp(data, got, total), 0);
    OK(kernel_call(SYS_shutdown, fd, SHUT_WR));
    char c;
    EQ(k_recv(fd, &c, 1), 0);
}

BOTH(program_connects_and_echoes)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(echoes_to_peer, family, port);
    k_echo(k_accept(l), 1000000, 1);
    program_ends(child, 0);
}

static void echoes_as_server(int family, int port)
{
    static char block[65536];
    int fd = program_accepts(family, port);
    for (ssize_t n; (n = OK(recv(fd, block, sizeof(block), 0))) > 0;)
        send_all(fd, block, (size_t)n);
}

BOTH(program_serves_and_echoes)
{
    pid_t child = program(echoes_as_server, family, PROGRAM_PORT);
    k_echo(k_connect(family, PROGRAM_PORT), 1000000, 2);
    program_ends(child, 0);
}

static void sends_ten_megabytes(int family, int port) { send_pattern(program_connects(family, port), 10000000, 3); }

BOTH(ten_megabytes_out)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(sends_ten_megabytes, family, port);
    EQ(k_read_pattern(k_accept(l), 10000000, 3), 10000000);
    program_ends(child, 0);
}

static void reads_ten_megabytes(int family, int port)
{
    size_t size = 10000000, have = 0;
    unsigned char *want = malloc(size), *got = malloc(size);
    int fd = program_connects(family, port);
    pattern(want, size, 4);
    for (ssize_t n; (n = OK(recv(fd, got + have, size - have, 0))) > 0;)
        have += (size_t)n;
    EQ(have, size);
    EQ(memcmp(want, got, size), 0);
}

BOTH(ten_megabytes_in)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(reads_ten_megabytes, family, port);
    size_t size = 10000000;
    unsigned char *data = malloc(size);
    int s = k_accept(l);
    pattern(data, size, 4);
    k_send(s, data, size);
    OK(kernel_call(SYS_shutdown, s, SHUT_WR));
    program_ends(child, 0);
}

static void is_refused(int family, int port)
{
    struct addr a = peer_addr(family, port);
    ERR(connect(tcp(family), &a.sa, a.len), ECONNREFUSED);
}

BOTH(peer_refuses)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    k_close(l);
    program_ends(program(is_refused, family, port), 0);
}

static void listens_elsewhere(int family, int port) { OK(close(program_accepts(family, port))); }

BOTH(program_refuses)
{
    pid_t child = program(listens_elsewhere, family, PROGRAM_PORT);
    int fd = k_socket(family, SOCK_STREAM);
    struct addr a = program_addr(family, PROGRAM_PORT + 1);
    for (long long end = now_ms() + LONG_MS; now_ms() < end; sleep_ms(5)) {
        if (kernel_call(SYS_connect, fd, &a.sa, a.len) == -1 && errno == ECONNREFUSED)
            break;
        TRUE(errno == ENETUNREACH || errno == EHOSTUNREACH || errno == EADDRNOTAVAIL); /* the device isn't there yet */
    }
    ERR(kernel_call(SYS_connect, fd, &a.sa, a.len), ECONNREFUSED);
    k_connect(family, PROGRAM_PORT);
    program_ends(child, 0);
}

static void sees_a_reset(int family, int port)
{
    char c;
    int fd = program_connects(family, port);
    send_all(fd, "x", 1);
    ERR(recv(fd, &c, 1, 0), ECONNRESET);
    EQ(recv(fd, &c, 1, 0), 0);
}

BOTH(peer_resets)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(sees_a_reset, family, port);
    int s = k_accept(l);
    struct pollfd f = {s, POLLIN, 0};
    EQ(kernel_call(SYS_poll, &f, 1, LONG_MS), 1);
    k_close(s); /* with unread data */
    program_ends(child, 0);
}

static void resets(int family, int port)
{
    int fd = program_connects(family, port);
    reset(fd);
}

BOTH(program_resets)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(resets, family, port);
    int s = k_accept(l);
    char c;
    ERR(k_recv(s, &c, 1), ECONNRESET);
    program_ends(child, 0);
}

static void half_closes(int family, int port)
{
    char got[6];
    int fd = program_connects(family, port);
    send_all(fd, "question", 8);
    OK(shutdown(fd, SHUT_WR));
    recv_all(fd, got, 6);
    EQ(memcmp(got, "answer", 6), 0);
    EQ(recv(fd, got, 1, 0), 0);
}

BOTH(half_close)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(half_closes, family, port);
    int s = k_accept(l);
    char got[16];
    size_t have = 0;
    for (ssize_t n; (n = OK(k_recv(s, got + have, sizeof(got) - have))) > 0;)
        have += (size_t)n;
    EQ(have, 8);
    k_send(s, "answer", 6);
    k_close(s);
    program_ends(child, 0);
}

static void sends_datagrams(int family, int port)
{
    static unsigned char data[30000], got[30000];
    struct addr a = peer_addr(family, port);
    int fd = udp(family);
    OK(connect(fd, &a.sa, a.len));
    for (size_t len = 1; len <= sizeof(data); len = len * 3 + 1) {
        pattern(data, len, (unsigned)len);
        EQ(send(fd, data, len, 0), len);
        EQ(recv(fd, got, sizeof(got), 0), len);
        EQ(memcmp(data, got, len), 0);
    }
    EQ(send(fd, "", 0, 0), 0); /* the end */
}

BOTH(datagrams_and_fragments)
{
    static char data[70000];
    int port, fd = k_bound(family, SOCK_DGRAM, &port);
    pid_t child = program(sends_datagrams, family, port);
    for (;;) {
        struct addr from;
        from.len = sizeof(from.ss);
        ssize_t n = OK(kernel_call(SYS_recvfrom, fd, data, sizeof(data), 0, &from.sa, &from.len));
        if (n == 0)
            break;
        EQ(kernel_call(SYS_sendto, fd, data, n, 0, &from.sa, from.len), n);
    }
    program_ends(child, 0);
}

static void hears_of_the_closed_port(int family, int port)
{
    struct addr a = peer_addr(family, port);
    char c;
    int fd = udp(family);
    OK(connect(fd, &a.sa, a.len));
    EQ(send(fd, "x", 1, 0), 1);
    ERR(recv(fd, &c, 1, 0), ECONNREFUSED);
}

BOTH(datagram_to_a_closed_port)
{
    int port, fd = k_bound(family, SOCK_DGRAM, &port);
    k_close(fd);
    program_ends(program(hears_of_the_closed_port, family, port), 0);
}

static void has_sane_segments(int family, int port)
{
    char c;
    int fd = program_connects(family, port);
    RANGE(get_int(fd, IPPROTO_TCP, TCP_MAXSEG), 1200, 65535);
    struct addr mine = local_of(fd), want = program_addr(family, port_of(&mine));
    TRUE(same_addr(&mine, &want));
    EQ(recv(fd, &c, 1, 0), 0);
}

BOTH(source_address_and_segment_size)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(has_sane_segments, family, port);
    k_close(k_accept(l));
    program_ends(child, 0);
}

static void takes_fifty(int family, int port)
{
    struct addr a = wildcard(family, port);
    int l = tcp(family);
    OK(bind(l, &a.sa, a.len));
    OK(listen(l, 64));
    for (int i = 0; i < 50; i++) {
        char c;
        int s = (int)OK(accept(l, NULL, NULL));
        recv_all(s, &c, 1);
        send_all(s, &c, 1);
        OK(close(s));
    }
}

BOTH(fifty_at_once)
{
    pid_t child = program(takes_fifty, family, PROGRAM_PORT);
    int fd[50];
    char c;
    for (int i = 0; i < 50; i++)
        fd[i] = k_connect(family, PROGRAM_PORT);
    for (int i = 49; i >= 0; i--) {
        c = (char)i;
        k_send(fd[i], &c, 1);
    }
    for (int i = 0; i < 50; i++) {
        EQ(k_recv(fd[i], &c, 1), 1);
        EQ(c, i);
        EQ(k_recv(fd[i], &c, 1), 0);
    }
    program_ends(child, 0);
}

static void sleeps_with_a_listener(int family, int port)
{
    struct addr a = wildcard(family, port);
    int l = tcp(family);
    OK(bind(l, &a.sa, a.len));
    OK(listen(l, 8));
    sleep_ms(4000);
    char c;
    int s = (int)OK(accept(l, NULL, NULL));
    recv_all(s, &c, 1);
}

BOTH(handshake_while_the_program_sleeps)
{
    pid_t child = program(sleeps_with_a_listener, family, PROGRAM_PORT);
    long long begin = now_ms();
    int fd = k_connect(family, PROGRAM_PORT);
    RANGE(now_ms() - begin, 0, 3500);
    k_send(fd, "x", 1);
    program_ends(child, 0);
}
