/* SO_PEEK_OFF (socket(7)): where MSG_PEEK begins. */
#include "harness.h"

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif

/* Linux has it on TCP since 6.9. */
static void peek_from(int fd, int offset)
{
    if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) != 0 && errno == EOPNOTSUPP)
        skip("no SO_PEEK_OFF on such sockets");
    EQ(get_int(fd, SOL_SOCKET, SO_PEEK_OFF), offset);
}

#define PEEKS(fd, room, text) peeks(fd, room, text, __LINE__)
static void peeks(int fd, size_t room, const char *text, int line)
{
    char got[64] = "";
    ssize_t n = recv(fd, got, room, MSG_PEEK | MSG_DONTWAIT);
    check_eq(__FILE__, line, "recv(fd, got, room, MSG_PEEK)", n, (long long)strlen(text));
    check_true(__FILE__, line, text, memcmp(got, text, strlen(text)) == 0);
}

BOTH(is_off_at_first)
{
    EQ(get_int(udp(family), SOL_SOCKET, SO_PEEK_OFF), -1);
    int fd = udp(family);
    for (int i = -3; i < 3; i++) {
        set_int(fd, SOL_SOCKET, SO_PEEK_OFF, i);
        EQ(get_int(fd, SOL_SOCKET, SO_PEEK_OFF), i);
    }
    int value = 1;
    ERR(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &value, 3), EINVAL);
}

BOTH(raw_sockets_have_none)
{
    int fd = socket(family, SOCK_RAW, 253), value = 0;
    socklen_t len = sizeof(value);
    if (fd < 0)
        skip("no raw sockets");
    ERR(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &value, sizeof(value)), EOPNOTSUPP);
    ERR(getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &value, &len), EOPNOTSUPP);
}

BOTH(stream_peeks_go_on)
{
    struct pair p = tcp_pair(family);
    char got[16];
    peek_from(p.server, 0);
    send_all(p.client, "abcdefgh", 8);
    while (recv(p.server, got, 16, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT) == -1)
        sleep_ms(1);
    peek_from(p.server, 0);
    PEEKS(p.server, 3, "abc");
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), 3);
    PEEKS(p.server, 2, "de");
    PEEKS(p.server, 16, "fgh");
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), 8);
    ERR(recv(p.server, got, 16, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
    /* What is there counts for poll, peeked at or not. */
    EQ(events_of(p.server, POLLIN, 0), POLLIN);
}

BOTH(stream_reads_take_the_offset_back)
{
    struct pair p = tcp_pair(family);
    char got[16];
    peek_from(p.server, 5);
    send_all(p.client, "abcdefgh", 8);
    wait_for(p.server, POLLIN);
    while (recv(p.server, got, 2, MSG_PEEK | MSG_DONTWAIT) == -1)
        sleep_ms(1);
    EQ(memcmp(got, "fg", 2), 0);
    EQ(recv(p.server, got, 4, 0), 4);
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), 3);
    PEEKS(p.server, 16, "h");
    EQ(recv(p.server, got, 16, 0), 4);
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), 0);
    set_int(p.server, SOL_SOCKET, SO_PEEK_OFF, -1);
    send_all(p.client, "ijk", 3);
    wait_for(p.server, POLLIN);
    PEEKS(p.server, 2, "ij");
    PEEKS(p.server, 2, "ij");
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), -1);
}

struct later {
    int fd;
    const char *text;
};

static void send_later(void *arg)
{
    struct later *l = arg;
    send_all(l->fd, l->text, strlen(l->text));
}

BOTH(stream_peek_waits_for_what_lies_behind)
{
    struct pair p = tcp_pair(family);
    struct later l = {p.client, "defg"};
    struct task t;
    char got[8];
    peek_from(p.server, 3);
    send_all(p.client, "abc", 3);
    wait_for(p.server, POLLIN);
    start(&t, SHORT_MS, send_later, &l);
    EQ(recv(p.server, got, 2, MSG_PEEK), 2);
    EQ(memcmp(got, "de", 2), 0);
    join(&t);
    EQ(recv(p.server, got, 2, MSG_PEEK | MSG_WAITALL), 2);
    EQ(memcmp(got, "fg", 2), 0);
}

BOTH(stream_peek_for_all_counts_from_the_offset)
{
    struct pair p = tcp_pair(family);
    struct later l = {p.client, "defg"};
    struct task t;
    char got[8];
    peek_from(p.server, 2);
    send_all(p.client, "abc", 3);
    wait_for(p.server, POLLIN);
    start(&t, SHORT_MS, send_later, &l);
    EQ(recv(p.server, got, 4, MSG_PEEK | MSG_WAITALL), 4);
    EQ(memcmp(got, "cdef", 4), 0);
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), 6);
    join(&t);
}

BOTH(stream_peek_at_the_end)
{
    struct pair p = tcp_pair(family);
    char got[8];
    peek_from(p.server, 0);
    send_all(p.client, "abc", 3);
    OK(close(p.client));
    wait_for(p.server, POLLIN | POLLRDHUP);
    PEEKS(p.server, 8, "abc");
    EQ(recv(p.server, got, 8, MSG_PEEK), 0);
    EQ(recv(p.server, got, 8, 0), 3);
}

BOTH(stream_children_have_the_listeners)
{
    struct addr at;
    int l = listener(family, 1, &at);
    peek_from(l, 7);
    struct pair p = pair_through(l, &at);
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), 7);
}

static void send_datagrams(int fd)
{
    OK(send(fd, "abc", 3, 0));
    OK(send(fd, "", 0, 0));
    OK(send(fd, "defgh", 5, 0));
}

BOTH(datagram_peeks_go_on)
{
    struct pair p = udp_pair(family);
    char got[8];
    set_int(p.server, SOL_SOCKET, SO_PEEK_OFF, 0);
    send_datagrams(p.client);
    wait_for(p.server, POLLIN);
    PEEKS(p.server, 2, "ab");
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), 2);
    PEEKS(p.server, 8, "c");
    PEEKS(p.server, 8, ""); /* the empty one, once */
    PEEKS(p.server, 8, "defgh");
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), 8);
    ERR(recv(p.server, got, 8, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
    EQ(events_of(p.server, POLLIN, 0), POLLIN);
    EQ(recv(p.server, got, 8, 0), 3);
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), 5);
    set_int(p.server, SOL_SOCKET, SO_PEEK_OFF, 2);
    PEEKS(p.server, 2, "fg");
    EQ(recv(p.server, got, 8, 0), 0);
    EQ(recv(p.server, got, 8, 0), 5);
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), 0);
}

/* How long it was, and whether it was cut, are told of the whole datagram. */
BOTH(datagram_peeks_tell_the_length)
{
    struct pair p = udp_pair(family);
    char got[8];
    struct iovec piece = {got, 2};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1};
    set_int(p.server, SOL_SOCKET, SO_PEEK_OFF, 1);
    OK(send(p.client, "abcde", 5, 0));
    wait_for(p.server, POLLIN);
    EQ(recvmsg(p.server, &m, MSG_PEEK), 2);
    EQ(m.msg_flags & MSG_TRUNC, MSG_TRUNC);
    EQ(memcmp(got, "bc", 2), 0);
    piece.iov_len = 8;
    EQ(recvmsg(p.server, &m, MSG_PEEK), 2);
    EQ(m.msg_flags & MSG_TRUNC, 0);
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), 5);
    set_int(p.server, SOL_SOCKET, SO_PEEK_OFF, 2);
    piece.iov_len = 3;
    EQ(recvmsg(p.server, &m, MSG_PEEK), 3);
    EQ(m.msg_flags & MSG_TRUNC, MSG_TRUNC); /* Linux: less than the whole was asked for */
    set_int(p.server, SOL_SOCKET, SO_PEEK_OFF, 1);
    EQ(recv(p.server, got, 2, MSG_PEEK | MSG_TRUNC), 5);
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), 6);
}

BOTH(datagram_peek_waits_for_what_lies_behind)
{
    struct pair p = udp_pair(family);
    struct later l = {p.client, "late"};
    struct task t;
    char got[8];
    set_int(p.server, SOL_SOCKET, SO_PEEK_OFF, 4);
    OK(send(p.client, "abc", 3, 0));
    wait_for(p.server, POLLIN);
    start(&t, SHORT_MS, send_later, &l);
    EQ(recv(p.server, got, 8, MSG_PEEK), 3);
    EQ(memcmp(got, "ate", 3), 0);
    join(&t);
}

BOTH(datagram_peeks_without_an_offset)
{
    struct pair p = udp_pair(family);
    send_datagrams(p.client);
    wait_for(p.server, POLLIN);
    PEEKS(p.server, 8, "abc");
    PEEKS(p.server, 8, "abc");
    EQ(get_int(p.server, SOL_SOCKET, SO_PEEK_OFF), -1);
}
