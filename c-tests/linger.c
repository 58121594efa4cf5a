/* SO_LINGER and close(2). */
#include "peer.h"

static void set_linger(int fd, int on, int seconds)
{
    struct linger l = {on, seconds};
    OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
}

BOTH(zero_resets)
{
    struct pair p = tcp_pair(family);
    char c;
    set_linger(p.client, 1, 0);
    OK(close(p.client));
    ERR(recv(p.server, &c, 1, 0), ECONNRESET);
}

BOTH(zero_resets_even_with_data_to_send)
{
    struct pair p = tcp_pair(family);
    fill(p.client);
    set_linger(p.client, 1, 0);
    OK(close(p.client));
    wait_for(p.server, POLLERR);
    drain(p.server, SIZE_MAX);
    ERR(send(p.server, "x", 1, MSG_NOSIGNAL), EPIPE);
}

BOTH(nothing_to_send_returns_soon)
{
    struct pair p = tcp_pair(family);
    char c;
    long long begin = now_ms();
    set_linger(p.client, 1, 30);
    OK(shutdown(p.server, SHUT_WR));
    EQ(recv(p.client, &c, 1, 0), 0);
    OK(close(p.client));
    RANGE(now_ms() - begin, 0, LONG_MS);
    EQ(recv(p.server, &c, 1, 0), 0);
}

static void drain_all(void *arg) { drain(*(int *)arg, SIZE_MAX); }

BOTH(waits_until_the_data_is_taken)
{
    struct pair p = tcp_pair(family);
    struct task t;
    fill(p.client);
    OK(fcntl(p.client, F_SETFL, 0));
    set_linger(p.client, 1, 30);
    start(&t, 4 * SHORT_MS, drain_all, &p.server);
    long long begin = now_ms();
    OK(close(p.client));
    RANGE(now_ms() - begin, 3 * SHORT_MS, 2 * LONG_MS);
    join(&t);
}

BOTH(gives_up_after_its_time)
{
    struct pair p = tcp_pair(family);
    size_t filled = fill(p.client);
    OK(fcntl(p.client, F_SETFL, 0));
    set_linger(p.client, 1, 1);
    long long begin = now_ms();
    OK(close(p.client));
    RANGE(now_ms() - begin, 900, LONG_MS);
    EQ(drain(p.server, filled + 1), filled); /* it is delivered all the same */
}

BOTH(without_it_close_returns_at_once)
{
    struct pair p = tcp_pair(family);
    size_t filled = fill(p.client);
    OK(fcntl(p.client, F_SETFL, 0));
    long long begin = now_ms();
    OK(close(p.client));
    RANGE(now_ms() - begin, 0, LONG_MS);
    EQ(drain(p.server, filled + 1), filled);
}

BOTH(a_duplicate_means_no_close_yet)
{
    struct pair p = tcp_pair(family);
    int copy = (int)OK(dup(p.client));
    char c;
    set_linger(p.client, 1, 0);
    OK(close(p.client));
    EQ(events_of(p.server, POLLIN, SHORT_MS), 0);
    OK(close(copy));
    ERR(recv(p.server, &c, 1, 0), ECONNRESET);
}

BOTH(on_a_listener)
{
    struct addr at;
    int l = listener(family, 1, &at);
    long long begin = now_ms();
    set_linger(l, 1, 30);
    OK(close(l));
    RANGE(now_ms() - begin, 0, LONG_MS);
}

BOTH(on_an_unconnected_socket)
{
    int fd = tcp(family);
    long long begin = now_ms();
    set_linger(fd, 1, 30);
    OK(close(fd));
    RANGE(now_ms() - begin, 0, LONG_MS);
}

/* What is read before the program goes on, and what it writes then, in pieces of ten segments. */
enum { FIRST = 40, LAST = 4 };

/* Whole segments in several writes when the windows are open and nothing is on its way. */
static int writes_pieces(int family, int port)
{
    int fd = tcp(family);
    struct addr to = peer_addr(family, port);
    char c;
    set_int(fd, IPPROTO_TCP, TCP_MAXSEG, 1000);
    OK(connect(fd, &to.sa, to.len));
    set_linger(fd, 1, 0);
    size_t piece = (size_t)get_int(fd, IPPROTO_TCP, TCP_MAXSEG) * 10;
    char *data = calloc(1, piece);
    for (int i = 0; i < FIRST; i++)
        EQ(OK(send(fd, data, piece, 0)), piece);
    EQ(OK(recv(fd, &c, 1, 0)), 1);
    for (int i = 0; i < LAST; i++)
        EQ(OK(send(fd, data, piece, 0)), piece);
    return fd;
}

static void writes_and_resets(int family, int port) { OK(close(writes_pieces(family, port))); }

static void writes_and_disconnects(int family, int port)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    OK(connect(writes_pieces(family, port), &nobody, sizeof(nobody)));
}

static void writes_and_exits(int family, int port) { writes_pieces(family, port); }

static void gets_all_pieces(int family, void (*what)(int, int))
{
    int port, l = k_bound(family, SOCK_STREAM, &port), mss = 1000;
    OK(kernel_call(SYS_setsockopt, l, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)));
    pid_t child = program(what, family, port);
    int s = k_accept(l);
    static char got[1 << 20];
    socklen_t len = sizeof(mss);
    OK(kernel_call(SYS_getsockopt, s, IPPROTO_TCP, TCP_MAXSEG, &mss, &len));
    size_t all = 0, first = (size_t)mss * 10 * FIRST;
    while (all < first) {
        ssize_t n = OK(k_recv(s, got, first - all));
        TRUE(n > 0);
        all += (size_t)n;
    }
    k_send(s, "x", 1);
    ssize_t n;
    while ((n = k_recv(s, got, sizeof(got))) > 0)
        all += (size_t)n;
    int why = errno;
    EQ(n, -1);
    EQ(why, ECONNRESET);
    EQ(all, first + (size_t)mss * 10 * LAST);
    program_ends(child, 0);
}

/* The windows had room for all that was written: it has gone before. */
BOTH(zero_resets_behind_what_could_be_sent) { gets_all_pieces(family, writes_and_resets); }
BOTH(zero_resets_behind_that_at_exit) { gets_all_pieces(family, writes_and_exits); }
BOTH(so_does_dissolving_the_connection) { gets_all_pieces(family, writes_and_disconnects); }
