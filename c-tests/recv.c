/* recv(2), recvfrom(2), read(2), readv(2) on TCP. */
#include "harness.h"

BOTH(returns_what_is_there)
{
    struct pair p = tcp_pair(family);
    char got[64];
    send_all(p.client, "abcdef", 6);
    wait_for(p.server, POLLIN);
    EQ(recv(p.server, got, 4, 0), 4);
    EQ(read(p.server, got + 4, 60), 2);
    EQ(memcmp(got, "abcdef", 6), 0);
}

BOTH(end_of_stream_is_zero_for_ever)
{
    struct pair p = tcp_pair(family);
    char c;
    OK(close(p.client));
    for (int i = 0; i < 3; i++)
        EQ(recv(p.server, &c, 1, 0), 0);
    EQ(read(p.server, &c, 1), 0);
}

BOTH(zero_length_does_not_wait)
{
    struct pair p = tcp_pair(family);
    char c;
    EQ(read(p.server, &c, 0), 0);
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    EQ(recv(p.server, &c, 0, 0), 0);
    EQ(recv(p.server, &c, 1, 0), 1);
}

BOTH(unconnected)
{
    char c;
    ERR(recv(tcp(family), &c, 1, 0), ENOTCONN);
    ERR(read(tcp(family), &c, 1), ENOTCONN);
}

BOTH(nonblocking_and_nothing_there)
{
    struct pair p = tcp_pair(family);
    char c;
    ERR(recv(p.server, &c, 1, MSG_DONTWAIT), EAGAIN);
    set_nonblocking(p.server);
    ERR(recv(p.server, &c, 1, 0), EAGAIN);
    ERR(read(p.server, &c, 1), EAGAIN);
}

struct order {
    int fd;
    const char *text;
};

static void send_text(void *arg)
{
    struct order *o = arg;
    send_all(o->fd, o->text, strlen(o->text));
}

BOTH(blocks_until_data_comes)
{
    struct pair p = tcp_pair(family);
    struct order o = {p.client, "late"};
    struct task t;
    char got[8];
    long long begin = now_ms();
    start(&t, 2 * SHORT_MS, send_text, &o);
    EQ(recv(p.server, got, sizeof(got), 0), 4);
    RANGE(now_ms() - begin, 2 * SHORT_MS - 5, LONG_MS);
    join(&t);
}

BOTH(peek_is_repeatable)
{
    struct pair p = tcp_pair(family);
    char got[8];
    send_all(p.client, "peek", 4);
    wait_for(p.server, POLLIN);
    for (int i = 0; i < 3; i++) {
        memset(got, 0, sizeof(got));
        EQ(recv(p.server, got, 8, MSG_PEEK), 4);
        EQ(memcmp(got, "peek", 4), 0);
    }
    EQ(recv(p.server, got, 2, MSG_PEEK), 2);
    EQ(recv(p.server, got, 8, 0), 4);
    EQ(recv(p.server, got, 8, MSG_DONTWAIT | MSG_PEEK) == -1 && errno == EAGAIN, 1);
}

BOTH(peek_blocks_too)
{
    struct pair p = tcp_pair(family);
    struct order o = {p.client, "abc"};
    struct task t;
    char got[8];
    start(&t, SHORT_MS, send_text, &o);
    EQ(recv(p.server, got, 8, MSG_PEEK), 3);
    join(&t);
}

BOTH(trunc_discards)
{
    struct pair p = tcp_pair(family);
    char got[8];
    send_all(p.client, "123456", 6);
    wait_for(p.server, POLLIN);
    memset(got, 'z', sizeof(got));
    EQ(recv(p.server, got, 4, MSG_TRUNC), 4);
    EQ(got[0], 'z');
    EQ(recv(p.server, got, 8, 0), 2);
    EQ(memcmp(got, "56", 2), 0);
}

BOTH(trunc_needs_no_buffer)
{
    struct pair p = tcp_pair(family);
    send_all(p.client, "123456", 6);
    wait_for(p.server, POLLIN);
    EQ(recv(p.server, NULL, 6, MSG_TRUNC), 6);
}

BOTH(waitall_waits_for_all)
{
    struct pair p = tcp_pair(family);
    struct order o = {p.client, "second"};
    struct task t;
    char got[16];
    send_all(p.client, "first", 5);
    start(&t, 2 * SHORT_MS, send_text, &o);
    EQ(recv(p.server, got, 11, MSG_WAITALL), 11);
    EQ(memcmp(got, "firstsecond", 11), 0);
    join(&t);
}

BOTH(waitall_is_short_at_the_end)
{
    struct pair p = tcp_pair(family);
    char got[16];
    send_all(p.client, "abc", 3);
    OK(shutdown(p.client, SHUT_WR));
    EQ(recv(p.server, got, 10, MSG_WAITALL), 3);
    EQ(recv(p.server, got, 10, MSG_WAITALL), 0);
}

BOTH(waitall_does_not_wait_when_nonblocking)
{
    struct pair p = tcp_pair(family);
    char got[16];
    send_all(p.client, "abc", 3);
    wait_for(p.server, POLLIN);
    EQ(recv(p.server, got, 10, MSG_WAITALL | MSG_DONTWAIT), 3);
    ERR(recv(p.server, got, 10, MSG_WAITALL | MSG_DONTWAIT), EAGAIN);
}

BOTH(waitall_over_a_megabyte)
{
    struct pair p = tcp_pair(family);
    size_t size = 3 * 1024 * 1024;
    char *text = malloc(size + 1), *got = malloc(size);
    struct order o = {p.client, text};
    struct task t;
    for (size_t i = 0; i < size; i++)
        text[i] = (char)('a' + i % 23);
    text[size] = 0;
    start(&t, 0, send_text, &o);
    EQ(recv(p.server, got, size, MSG_WAITALL), size);
    EQ(memcmp(got, text, size), 0);
    join(&t);
}

BOTH(after_a_reset)
{
    struct pair p = tcp_pair(family);
    char c;
    reset(p.client);
    ERR(recv(p.server, &c, 1, 0), ECONNRESET);
    EQ(recv(p.server, &c, 1, 0), 0);
    ERR(send(p.server, &c, 1, MSG_NOSIGNAL), EPIPE);
}

BOTH(what_arrived_before_a_reset_is_still_read)
{
    struct pair p = tcp_pair(family);
    char got[8];
    send_all(p.client, "data", 4);
    wait_for(p.server, POLLIN);
    reset(p.client);
    wait_for(p.server, POLLERR);
    EQ(recv(p.server, got, 8, 0), 4);
    ERR(recv(p.server, got, 8, 0), ECONNRESET);
    EQ(recv(p.server, got, 8, 0), 0);
}

static void reset_it(void *arg) { reset(*(int *)arg); }

BOTH(reset_wakes_a_blocked_reader)
{
    struct pair p = tcp_pair(family);
    struct task t;
    char c;
    start(&t, SHORT_MS, reset_it, &p.client);
    ERR(recv(p.server, &c, 1, 0), ECONNRESET);
    join(&t);
}

BOTH(readv_scatters)
{
    struct pair p = tcp_pair(family);
    char a[2], b[3], c[8];
    struct iovec v[4] = {{a, 2}, {NULL, 0}, {b, 3}, {c, 8}};
    send_all(p.client, "abcdefg", 7);
    wait_for(p.server, POLLIN);
    EQ(readv(p.server, v, 4), 7);
    EQ(memcmp(a, "ab", 2) | memcmp(b, "cde", 3) | memcmp(c, "fg", 2), 0);
}

BOTH(readv_of_nothing)
{
    struct pair p = tcp_pair(family);
    struct iovec v = {NULL, 0};
    EQ(readv(p.server, &v, 0), 0);
    EQ(readv(p.server, &v, 1), 0);
}

BOTH(readv_too_many)
{
    struct pair p = tcp_pair(family);
    static struct iovec v[IOV_MAX + 1];
    ERR(readv(p.server, v, IOV_MAX + 1), EINVAL);
}

BOTH(bad_buffer)
{
    struct pair p = tcp_pair(family);
    char c;
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
    ERR(recv(p.server, bad_pointer, 4, 0), EFAULT);
    EQ(recv(p.server, &c, 1, 0), 1);
}

BOTH(recvfrom_gives_no_address_on_tcp)
{
    struct pair p = tcp_pair(family);
    struct addr a;
    char c;
    send_all(p.client, "x", 1);
    memset(&a, 0xee, sizeof(a));
    a.len = sizeof(a.ss);
    EQ(recvfrom(p.server, &c, 1, 0, &a.sa, &a.len), 1);
    EQ(a.len, 0);
}

BOTH(oob_without_urgent_data)
{
    struct pair p = tcp_pair(family);
    char c;
    ERR(recv(p.server, &c, 1, MSG_OOB), EINVAL);
}

BOTH(error_queue_is_empty)
{
    struct pair p = tcp_pair(family);
    char c;
    ERR(recv(p.server, &c, 1, MSG_ERRQUEUE), EAGAIN);
}

BOTH(bad_descriptors)
{
    int p[2];
    char c;
    ERR(recv(-1, &c, 1, 0), EBADF);
    ERR(recv(901, &c, 1, 0), EBADF);
    OK(pipe(p));
    ERR(recv(p[0], &c, 1, 0), ENOTSOCK);
    int fd = tcp(family);
    OK(close(fd));
    ERR(recv(fd, &c, 1, 0), EBADF);
    ERR(read(fd, &c, 1), EBADF);
}

BOTH(stdio_reads_lines)
{
    struct pair p = tcp_pair(family);
    char line[32];
    FILE *in = fdopen(p.server, "r");
    TRUE(in != NULL);
    send_all(p.client, "one\ntwo\n", 8);
    OK(shutdown(p.client, SHUT_WR));
    TRUE(fgets(line, sizeof(line), in) != NULL);
    EQ(strcmp(line, "one\n"), 0);
    TRUE(fgets(line, sizeof(line), in) != NULL);
    EQ(strcmp(line, "two\n"), 0);
    TRUE(fgets(line, sizeof(line), in) == NULL);
    TRUE(feof(in));
}

BOTH(stdio_writes)
{
    struct pair p = tcp_pair(family);
    char got[16];
    FILE *out = fdopen(p.client, "w");
    TRUE(out != NULL);
    EQ(fprintf(out, "x=%d;", 7), 4);
    EQ(fflush(out), 0);
    recv_all(p.server, got, 4);
    EQ(memcmp(got, "x=7;", 4), 0);
    EQ(fclose(out), 0);
    EQ(recv(p.server, got, 1, 0), 0);
}
