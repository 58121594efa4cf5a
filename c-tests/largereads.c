/* Fast streams into large buffers, while other traffic comes in between. */
#include "peer.h"

#include <poll.h>
#include <sys/uio.h>

#define LARGE (256u << 10)
#define TOTAL (24u << 20)
#define OTHER (2u << 20)

/* A stream that is read: what came so far has to be the front of its pattern. */
struct stream {
    int fd, open;
    unsigned char *want;
    size_t total, have;
};

static struct stream stream(int fd, size_t total, unsigned seed)
{
    struct stream s = {fd, 1, malloc(total), total, 0};
    pattern(s.want, total, seed);
    return s;
}

static void check(struct stream *s, const unsigned char *got, size_t n)
{
    TRUE(s->have + n <= s->total);
    EQ(memcmp(s->want + s->have, got, n), 0);
}

static unsigned char room[LARGE];

/* Reads once, in the `turn`th of several ways. */
static void read_once(struct stream *s, unsigned turn)
{
    struct iovec two[2] = {{room, 1000}, {room + 1000, LARGE - 1000}};
    struct msghdr msg = {.msg_iov = two, .msg_iovlen = 2};
    ssize_t n;
    switch (turn % 16) {
    case 5:
        n = OK(recv(s->fd, room, LARGE, MSG_PEEK));
        check(s, room, (size_t)n);
        return;
    case 9:
        n = OK(readv(s->fd, two, 2));
        break;
    case 11:
        n = OK(recvmsg(s->fd, &msg, 0));
        break;
    case 13:
        n = OK(recv(s->fd, room, 100000, MSG_WAITALL));
        break;
    case 14:
        n = OK(recv(s->fd, room, 3000, 0));
        break;
    case 15:
        n = recv(s->fd, room, LARGE, MSG_DONTWAIT);
        if (n < 0) {
            EQ(errno, EAGAIN);
            return;
        }
        break;
    default:
        n = OK(turn % 2 ? read(s->fd, room, LARGE) : recv(s->fd, room, LARGE, 0));
    }
    check(s, room, (size_t)n);
    s->have += (size_t)n;
    s->open = n > 0;
}

static void a_datagram(int fd)
{
    ssize_t n = OK(recv(fd, room, LARGE, 0));
    TRUE(n >= 2);
    unsigned char want[4000];
    pattern(want, sizeof(want), room[0]);
    want[0] = room[0];
    EQ(memcmp(room, want, (size_t)n), 0);
}

/* Where the peer's datagrams go. */
#define DATAGRAMS 7071

static void reads_two_streams_and_datagrams(int family, int port)
{
    struct stream streams[2];
    int u = OK(socket(family, SOCK_DGRAM, 0));
    struct addr a = wildcard(family, DATAGRAMS);
    OK(bind(u, &a.sa, a.len));
    streams[0] = stream(program_connects(family, port), TOTAL, 1);
    streams[1] = stream(program_connects(family, port), OTHER, 2);
    for (unsigned turn = 0; streams[0].open || streams[1].open; turn++) {
        struct pollfd fds[3] = {{u, POLLIN, 0}, {streams[0].fd, POLLIN, 0}, {streams[1].fd, POLLIN, 0}};
        for (int i = 0; i < 2; i++)
            fds[1 + i].fd = streams[i].open ? streams[i].fd : -1;
        EQ(OK(poll(fds, 3, LONG_MS)) > 0, 1);
        if (fds[0].revents)
            a_datagram(u);
        /* Several calls in a row, so that those behind the first find the queue empty and wait. */
        for (int i = 0; i < 2; i++)
            for (unsigned again = 0; fds[1 + i].revents && streams[i].open && again < (i ? 1 : 8); again++) {
                if (again && i == 0 && streams[0].have > TOTAL / 4 * 3)
                    break;
                read_once(&streams[i], turn + again);
            }
    }
    for (int i = 0; i < 2; i++) {
        EQ(streams[i].have, streams[i].total);
        EQ(recv(streams[i].fd, room, LARGE, 0), 0);
    }
}

/* The second stream, in pieces with pauses, and datagrams, which are lost if the program has no room for them. */
static void sends_beside(int family, int fd)
{
    struct addr to = program_addr(family, DATAGRAMS);
    int u = k_socket(family, SOCK_DGRAM);
    unsigned char *other = malloc(OTHER), small[4000];
    pattern(other, OTHER, 2);
    for (size_t sent = 0, turn = 0; sent < OTHER; turn++) {
        size_t n = turn % 2 ? 70000 : 900;
        n = n < OTHER - sent ? n : OTHER - sent;
        k_send(fd, other + sent, n);
        sent += n;
        pattern(small, sizeof(small), turn % 256);
        small[0] = (unsigned char)turn;
        kernel_call(SYS_sendto, u, small, 100 + turn % 30 * 100, 0, &to.sa, to.len);
        if (turn % 4 == 0)
            sleep_ms(1);
    }
    OK(kernel_call(SYS_shutdown, fd, SHUT_WR));
}

BOTH(two_streams_and_datagrams_arrive_whole)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(reads_two_streams_and_datagrams, family, port);
    int first = k_accept(l), second = k_accept(l);
    /* Two senders, so that neither waits for the other's reader. */
    pid_t beside = (pid_t)OK(fork());
    if (beside == 0) {
        alarm(35);
        sends_beside(family, second);
        exit(0);
    }
    unsigned char *data = malloc(TOTAL);
    pattern(data, TOTAL, 1);
    for (size_t sent = 0, turn = 0; sent < TOTAL; turn++) {
        size_t n = (turn % 7 + 1) * 60000;
        n = n < TOTAL - sent ? n : TOTAL - sent;
        k_send(first, data + sent, n);
        sent += n;
    }
    OK(kernel_call(SYS_shutdown, first, SHUT_WR));
    program_ends(beside, 0);
    program_ends(child, 0);
}

static void reads_until_reset(int family, int port)
{
    struct stream s = stream(program_connects(family, port), TOTAL, 3);
    ssize_t n;
    while ((n = recv(s.fd, room, LARGE, 0)) > 0) {
        check(&s, room, (size_t)n);
        s.have += (size_t)n;
    }
    int why = errno;
    EQ(n, -1);
    EQ(why, ECONNRESET);
}

BOTH(a_stream_that_is_reset_is_right_until_then)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(reads_until_reset, family, port);
    int s = k_accept(l);
    unsigned char *data = malloc(TOTAL);
    pattern(data, TOTAL, 3);
    k_send(s, data, TOTAL / 2);
    struct linger abort = {1, 0};
    OK(kernel_call(SYS_setsockopt, s, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort)));
    k_close(s);
    program_ends(child, 0);
}

static void finds_the_urgent_octet(int family, int port)
{
    struct stream s = stream(program_connects(family, port), TOTAL, 4);
    set_int(s.fd, SOL_SOCKET, SO_OOBINLINE, 1);
    for (unsigned turn = 0; s.have < TOTAL; turn++) {
        ssize_t n = OK(recv(s.fd, room, LARGE, 0));
        TRUE(n > 0);
        check(&s, room, (size_t)n);
        s.have += (size_t)n;
    }
    EQ(recv(s.fd, room, LARGE, 0), 0);
}

BOTH(urgent_octets_stay_where_they_are)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(finds_the_urgent_octet, family, port);
    int s = k_accept(l);
    unsigned char *data = malloc(TOTAL);
    pattern(data, TOTAL, 4);
    for (size_t sent = 0; sent < TOTAL;) {
        size_t n = TOTAL - sent < 1000000 ? TOTAL - sent : 1000000;
        k_send(s, data + sent, n - 1);
        sent += n - 1;
        sent += (size_t)OK(kernel_call(SYS_sendto, s, data + sent, 1, MSG_OOB | MSG_NOSIGNAL, NULL, 0));
    }
    OK(kernel_call(SYS_shutdown, s, SHUT_WR));
    program_ends(child, 0);
}
