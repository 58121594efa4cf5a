/* sendfile(2), splice(2), tee(2), vmsplice(2), and reads and writes by position: what of it a socket can do. */
#include "harness.h"

#include <sys/sendfile.h>

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100
#endif

/* A file of `len` patterned bytes, at position 0. */
static int file_of(size_t len, unsigned seed)
{
    char name[] = "/tmp/ctest-XXXXXX";
    int fd = (int)OK(mkstemp(name));
    OK(unlink(name));
    char *data = malloc(len + 1);
    pattern(data, len, seed);
    EQ(write(fd, data, len), len);
    free(data);
    EQ(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void expect(int fd, size_t from, size_t len, unsigned seed)
{
    char *want = malloc(from + len), *got = malloc(len);
    pattern(want, from + len, seed);
    recv_all(fd, got, len);
    TRUE(memcmp(got, want + from, len) == 0);
    free(want);
    free(got);
}

BOTH(sendfile_from_its_position)
{
    struct pair p = tcp_pair(family);
    int f = file_of(5000, 1);
    EQ(sendfile(p.client, f, NULL, 3000), 3000);
    EQ(lseek(f, 0, SEEK_CUR), 3000);
    EQ(sendfile(p.client, f, NULL, 3000), 2000);
    EQ(sendfile(p.client, f, NULL, 3000), 0);
    expect(p.server, 0, 5000, 1);
}

BOTH(sendfile_from_an_offset)
{
    struct pair p = tcp_pair(family);
    int f = file_of(5000, 2);
    off_t at = 1000;
    EQ(sendfile(p.client, f, &at, 500), 500);
    EQ(at, 1500);
    EQ(lseek(f, 0, SEEK_CUR), 0);
    expect(p.server, 1000, 500, 2);
    at = 9000;
    EQ(sendfile(p.client, f, &at, 500), 0);
    EQ(at, 9000);
    at = -5;
    ERR(sendfile(p.client, f, &at, 500), EINVAL);
}

BOTH(sendfile64_is_the_same)
{
    struct pair p = tcp_pair(family);
    int f = file_of(100, 3);
    off64_t at = 10;
    EQ(sendfile64(p.client, f, &at, 90), 90);
    EQ(at, 100);
    expect(p.server, 10, 90, 3);
}

BOTH(sendfile_of_nothing)
{
    struct pair p = tcp_pair(family);
    int f = file_of(10, 3);
    EQ(sendfile(p.client, f, NULL, 0), 0);
    EQ(lseek(f, 0, SEEK_CUR), 0);
}

static void reader(void *arg)
{
    int fd = *(int *)arg;
    expect(fd, 0, 3000000, 4);
}

BOTH(sendfile_waits_until_all_is_taken)
{
    struct pair p = tcp_pair(family);
    int f = file_of(3000000, 4);
    struct task t;
    start(&t, 20, reader, &p.server);
    EQ(sendfile(p.client, f, NULL, 3000000), 3000000);
    EQ(lseek(f, 0, SEEK_CUR), 3000000);
    join(&t);
}

BOTH(sendfile_that_does_not_wait)
{
    struct pair p = tcp_pair(family);
    int f = file_of(8000000, 5);
    set_nonblocking(p.client);
    long long sent = 0, n;
    while ((n = sendfile(p.client, f, NULL, 8000000)) > 0)
        sent += n;
    TRUE(errno == EAGAIN);
    EQ(lseek(f, 0, SEEK_CUR), sent);
    TRUE(sent > 0 && sent < 8000000);
    expect(p.server, 0, (size_t)sent, 5);
}

/* What a web server does: a header, and a file behind it. */
static void answers(void *arg)
{
    struct pair *p = arg;
    static const size_t sizes[] = {100, 20000, 102400, 300000};
    for (int i = 0; i < 120; i++) {
        char header[8];
        recv_all(p->server, header, 8);
        TRUE(memcmp(header, "a header", 8) == 0);
        expect(p->server, (size_t)i, sizes[i % 4], 6);
        OK(send(p->server, "?", 1, 0));
    }
}

BOTH(sendfile_behind_a_header)
{
    static const size_t sizes[] = {100, 20000, 102400, 300000};
    struct pair p = tcp_pair(family);
    int f = file_of(300200, 6);
    struct task t;
    start(&t, 20, answers, &p);
    for (int i = 0; i < 120; i++) {
        off_t at = i;
        char asked;
        if (i == 60)
            OK(setsockopt(p.client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
        EQ(send(p.client, "a header", 8, 0), 8);
        EQ(sendfile(p.client, f, &at, sizes[i % 4]), sizes[i % 4]);
        EQ(at, i + (off_t)sizes[i % 4]);
        recv_all(p.client, &asked, 1);
    }
    join(&t);
}

/* It waits for the room that many small pieces take, and what goes then is the file. */
static void after_small_writes(void *arg)
{
    int fd = *(int *)arg;
    char small[5];
    recv_all(fd, small, sizeof small);
    TRUE(memcmp(small, "xxxxx", sizeof small) == 0);
    expect(fd, 0, 100000, 9);
}

BOTH(sendfile_behind_many_small_writes)
{
    struct pair p = tcp_pair(family);
    int f = file_of(100000, 9);
    struct task t;
    OK(setsockopt(p.client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
    OK(setsockopt(p.client, SOL_SOCKET, SO_SNDBUF, &(int){2048}, sizeof(int)));
    for (int i = 0; i < 5; i++)
        EQ(send(p.client, "x", 1, 0), 1);
    start(&t, 20, after_small_writes, &p.server);
    EQ(sendfile(p.client, f, NULL, 100000), 100000);
    join(&t);
}

/* A header that nothing follows, after many that had a file behind them, is not left lying. */
BOTH(sendfile_that_does_not_come)
{
    struct pair p = tcp_pair(family);
    int f = file_of(100, 7);
    char header[8];
    for (int i = 0; i < 60; i++) {
        off_t at = 0;
        EQ(send(p.client, "a header", 8, 0), 8);
        EQ(sendfile(p.client, f, &at, 100), 100);
        recv_all(p.server, header, 8);
        expect(p.server, 0, 100, 7);
    }
    EQ(send(p.client, "a header", 8, 0), 8);
    struct pollfd readable = {p.server, POLLIN, 0};
    EQ(poll(&readable, 1, 10000), 1);
    recv_all(p.server, header, 8);
}

/* The file ends before what was asked for does. */
BOTH(sendfile_of_less_than_asked_for)
{
    struct pair p = tcp_pair(family);
    int f = file_of(50000, 8);
    off_t at = 10000;
    EQ(sendfile(p.client, f, &at, 1000000), 40000);
    EQ(at, 50000);
    expect(p.server, 10000, 40000, 8);
}

BOTH(sendfile_from_a_socket)
{
    struct pair p = tcp_pair(family);
    struct pair q = tcp_pair(family);
    off_t at = 0;
    int f = file_of(10, 1);
    send_all(p.client, "abc", 3);
    wait_for(p.server, POLLIN);
    ERR(sendfile(q.client, p.server, NULL, 3), EINVAL);
    ERR(sendfile(q.client, p.server, &at, 3), ESPIPE);
    ERR(sendfile(f, p.server, NULL, 3), EINVAL);
    ERR(sendfile(f, p.server, &at, 3), ESPIPE);
    char c[3];
    recv_all(p.server, c, 3);
}

BOTH(sendfile_from_a_pipe)
{
    struct pair p = tcp_pair(family);
    int ends[2];
    off_t at = 0;
    OK(pipe(ends));
    EQ(write(ends[1], "abc", 3), 3);
    ERR(sendfile(p.client, ends[0], NULL, 3), EINVAL);
    ERR(sendfile(p.client, ends[0], &at, 3), ESPIPE);
}

BOTH(sendfile_bad_descriptors)
{
    struct pair p = tcp_pair(family);
    int f = file_of(10, 1);
    ERR(sendfile(p.client, 955, NULL, 3), EBADF);
    ERR(sendfile(955, f, NULL, 3), EBADF);
    ERR(sendfile(p.client, f, bad_pointer, 3), EFAULT);
    int null = (int)OK(open("/dev/null", O_WRONLY));
    ERR(sendfile(p.client, null, NULL, 3), EBADF);
}

BOTH(sendfile_to_the_unconnected)
{
    signal(SIGPIPE, SIG_IGN);
    int f = file_of(10, 1), fd = tcp(family);
    ERR(sendfile(fd, f, NULL, 3), EPIPE);
    EQ(lseek(f, 0, SEEK_CUR), 0);
    ERR(sendfile(udp(family), f, NULL, 3), family == AF_INET ? EDESTADDRREQ : EDESTADDRREQ);
}

BOTH(sendfile_after_shutdown_raises_sigpipe)
{
    struct pair p = tcp_pair(family);
    int f = file_of(10, 1);
    catch_signal(SIGPIPE, 0);
    OK(shutdown(p.client, SHUT_WR));
    ERR(sendfile(p.client, f, NULL, 3), EPIPE);
    EQ(caught_signals, 1);
}

BOTH(sendfile_over_udp)
{
    struct pair p = udp_pair(family);
    int f = file_of(1000, 6);
    EQ(sendfile(p.client, f, NULL, 1000), 1000);
    expect(p.server, 0, 1000, 6);
}

BOTH(splice_into_a_pipe)
{
    struct pair p = tcp_pair(family);
    int ends[2];
    char c[8] = "";
    OK(pipe(ends));
    send_all(p.client, "12345", 5);
    wait_for(p.server, POLLIN);
    EQ(splice(p.server, NULL, ends[1], NULL, 3, 0), 3);
    EQ(splice(p.server, NULL, ends[1], NULL, 100, 0), 2);
    EQ(read(ends[0], c, 8), 5);
    TRUE(memcmp(c, "12345", 5) == 0);
    OK(close(p.client));
    EQ(splice(p.server, NULL, ends[1], NULL, 100, 0), 0);
}

BOTH(splice_out_of_a_pipe)
{
    struct pair p = tcp_pair(family);
    int ends[2];
    char c[8];
    OK(pipe(ends));
    EQ(write(ends[1], "12345", 5), 5);
    EQ(splice(ends[0], NULL, p.client, NULL, 3, SPLICE_F_MOVE), 3);
    EQ(splice(ends[0], NULL, p.client, NULL, 100, 0), 2);
    recv_all(p.server, c, 5);
    TRUE(memcmp(c, "12345", 5) == 0);
    OK(close(ends[1]));
    EQ(splice(ends[0], NULL, p.client, NULL, 100, 0), 0);
}

BOTH(splice_more_joins)
{
    struct pair p = tcp_pair(family);
    int ends[2];
    char c[8];
    OK(pipe(ends));
    EQ(write(ends[1], "12345", 5), 5);
    EQ(splice(ends[0], NULL, p.client, NULL, 3, SPLICE_F_MORE), 3);
    EQ(splice(ends[0], NULL, p.client, NULL, 2, 0), 2);
    wait_for(p.server, POLLIN);
    EQ(read(p.server, c, 8), 5);
}

BOTH(splice_does_not_wait)
{
    struct pair p = tcp_pair(family);
    int ends[2];
    OK(pipe(ends));
    ERR(splice(ends[0], NULL, p.client, NULL, 3, SPLICE_F_NONBLOCK), EAGAIN);
    set_nonblocking(p.server);
    ERR(splice(p.server, NULL, ends[1], NULL, 3, 0), EAGAIN);
    send_all(p.client, "abc", 3);
    wait_for(p.server, POLLIN);
    set_nonblocking(ends[1]);
    static char full[65536];
    EQ(write(ends[1], full, sizeof(full)), sizeof(full));
    ERR(splice(p.server, NULL, ends[1], NULL, 3, SPLICE_F_NONBLOCK), EAGAIN);
    char c[3];
    recv_all(p.server, c, 3);
}

static void write_late(void *arg)
{
    EQ(write(*(int *)arg, "late", 4), 4);
}

BOTH(splice_waits_for_data)
{
    struct pair p = tcp_pair(family);
    int ends[2];
    OK(pipe(ends));
    struct task t;
    start(&t, SHORT_MS, write_late, &p.client);
    EQ(splice(p.server, NULL, ends[1], NULL, 100, SPLICE_F_NONBLOCK), 4);
    join(&t);
    start(&t, SHORT_MS, write_late, &ends[1]);
    char c[4];
    EQ(read(ends[0], c, 4), 4);
    join(&t);
    start(&t, SHORT_MS, write_late, &ends[1]);
    EQ(splice(ends[0], NULL, p.client, NULL, 100, 0), 4);
    join(&t);
}

BOTH(splice_leaves_in_the_pipe_what_finds_no_room)
{
    struct pair p = tcp_pair(family);
    int ends[2], left = -1;
    static char data[65536];
    OK(pipe(ends));
    fill(p.client);
    pattern(data, sizeof(data), 7);
    EQ(write(ends[1], data, sizeof(data)), sizeof(data));
    ERR(splice(ends[0], NULL, p.client, NULL, sizeof(data), 0), EAGAIN);
    OK(ioctl(ends[0], FIONREAD, &left));
    EQ(left, (int)sizeof(data));
}

/* In both directions at once: socket, pipe, socket, as a proxy does it. */
static void pump(void *arg)
{
    int *fds = arg, ends[2];
    OK(pipe(ends));
    for (;;) {
        long n = OK(splice(fds[0], NULL, ends[1], NULL, 1 << 20, SPLICE_F_MOVE));
        if (n == 0)
            break;
        while (n > 0)
            n -= OK(splice(ends[0], NULL, fds[1], NULL, (size_t)n, SPLICE_F_MOVE));
    }
    OK(shutdown(fds[1], SHUT_WR));
}

static void source(void *arg)
{
    char *data = malloc(2000000);
    pattern(data, 2000000, 8);
    send_all(*(int *)arg, data, 2000000);
    OK(shutdown(*(int *)arg, SHUT_WR));
    free(data);
}

BOTH(splice_pumps_a_stream)
{
    struct pair a = tcp_pair(family), b = tcp_pair(family);
    int between[2] = {a.server, b.client};
    struct task from, through;
    start(&from, 0, source, &a.client);
    start(&through, 0, pump, between);
    expect(b.server, 0, 2000000, 8);
    char c;
    EQ(read(b.server, &c, 1), 0);
    join(&from);
    join(&through);
}

BOTH(splice_of_datagrams)
{
    struct pair p = udp_pair(family);
    int ends[2];
    char c[8];
    OK(pipe(ends));
    send_all(p.client, "one", 3);
    send_all(p.client, "two", 3);
    wait_for(p.server, POLLIN);
    EQ(splice(p.server, NULL, ends[1], NULL, 100, 0), 3);
    EQ(splice(p.server, NULL, ends[1], NULL, 2, 0), 2);
    EQ(read(ends[0], c, 8), 5);
    TRUE(memcmp(c, "onetw", 5) == 0);
    EQ(write(ends[1], "abc", 3), 3);
    EQ(splice(ends[0], NULL, p.server, NULL, 100, 0), 3);
    EQ(recv(p.client, c, 8, 0), 3);
}

BOTH(splice_with_positions)
{
    struct pair p = tcp_pair(family);
    int ends[2];
    loff_t at = 0;
    OK(pipe(ends));
    ERR(splice(p.server, &at, ends[1], NULL, 3, 0), EINVAL);
    ERR(splice(p.server, NULL, ends[1], &at, 3, 0), ESPIPE);
    ERR(splice(ends[0], &at, p.client, NULL, 3, 0), ESPIPE);
    EQ(write(ends[1], "abc", 3), 3);
    ERR(splice(ends[0], NULL, p.client, &at, 3, 0), EINVAL);
}

BOTH(splice_without_a_pipe)
{
    struct pair p = tcp_pair(family);
    int f = file_of(10, 1);
    ERR(splice(p.server, NULL, p.client, NULL, 3, 0), EINVAL);
    ERR(splice(f, NULL, p.client, NULL, 3, 0), EINVAL);
    ERR(splice(p.server, NULL, f, NULL, 3, 0), EINVAL);
}

BOTH(splice_bad_arguments)
{
    struct pair p = tcp_pair(family);
    int ends[2];
    OK(pipe(ends));
    ERR(splice(p.server, NULL, ends[1], NULL, 3, 0x100), EINVAL);
    EQ(splice(p.server, NULL, ends[1], NULL, 0, 0), 0);
    EQ(splice(p.server, NULL, 955, NULL, 0, 0), 0);
    ERR(splice(p.server, NULL, 955, NULL, 3, 0), EBADF);
    ERR(splice(955, NULL, p.client, NULL, 3, 0), EBADF);
    ERR(splice(p.server, NULL, ends[0], NULL, 3, 0), EBADF);
    ERR(splice(ends[1], NULL, p.client, NULL, 3, 0), EBADF);
}

BOTH(splice_of_a_listener)
{
    struct addr at;
    int ends[2], l = listener(family, 1, &at);
    OK(pipe(ends));
    ERR(splice(l, NULL, ends[1], NULL, 3, 0), ENOTCONN);
    EQ(write(ends[1], "abc", 3), 3);
    signal(SIGPIPE, SIG_IGN);
    ERR(splice(ends[0], NULL, l, NULL, 3, 0), EPIPE);
}

BOTH(splice_into_a_broken_pipe)
{
    struct pair p = tcp_pair(family);
    int ends[2];
    char c[3];
    OK(pipe(ends));
    catch_signal(SIGPIPE, 0);
    OK(close(ends[0]));
    send_all(p.client, "abc", 3);
    wait_for(p.server, POLLIN);
    ERR(splice(p.server, NULL, ends[1], NULL, 3, 0), EPIPE);
    EQ(caught_signals, 1);
    recv_all(p.server, c, 3);
}

BOTH(splice_into_an_ended_stream)
{
    struct pair p = tcp_pair(family);
    int ends[2];
    OK(pipe(ends));
    catch_signal(SIGPIPE, 0);
    OK(shutdown(p.client, SHUT_WR));
    EQ(write(ends[1], "abc", 3), 3);
    ERR(splice(ends[0], NULL, p.client, NULL, 3, 0), EPIPE);
    EQ(caught_signals, 1);
}

BOTH(splice_of_a_reset_connection)
{
    struct pair p = tcp_pair(family);
    int ends[2];
    OK(pipe(ends));
    reset(p.client);
    wait_for(p.server, POLLERR);
    ERR(splice(p.server, NULL, ends[1], NULL, 3, 0), ECONNRESET);
    EQ(splice(p.server, NULL, ends[1], NULL, 3, 0), 0);
}

BOTH(tee_and_vmsplice_are_for_pipes)
{
    struct pair p = tcp_pair(family);
    int ends[2];
    struct iovec v = {"abc", 3};
    OK(pipe(ends));
    ERR(tee(p.server, ends[1], 3, 0), EINVAL);
    ERR(tee(ends[0], p.client, 3, 0), EINVAL);
    ERR(vmsplice(p.client, &v, 1, 0), EBADF);
}

BOTH(no_positions_on_a_socket)
{
    struct pair p = tcp_pair(family);
    char c[4];
    struct iovec v = {c, 4};
    ERR(pread(p.server, c, 4, 0), ESPIPE);
    ERR(pread64(p.server, c, 4, 0), ESPIPE);
    ERR(pwrite(p.server, c, 4, 0), ESPIPE);
    ERR(pwrite64(p.server, c, 4, 0), ESPIPE);
    ERR(preadv(p.server, &v, 1, 0), ESPIPE);
    ERR(pwritev(p.server, &v, 1, 0), ESPIPE);
    ERR(preadv2(p.server, &v, 1, 0, 0), ESPIPE);
    ERR(pwritev2(p.server, &v, 1, 0, 0), ESPIPE);
    ERR(preadv2(p.server, &v, 1, -2, 0), EINVAL);
    ERR(pwritev2(p.server, &v, 1, -2, 0), EINVAL);
    ERR(lseek(p.server, 0, SEEK_CUR), ESPIPE);
    ERR(ftruncate(p.server, 0), EINVAL);
}

BOTH(preadv2_and_pwritev2_without_a_position)
{
    struct pair p = tcp_pair(family);
    char a[3], b[8] = "";
    struct iovec out[2] = {{"abc", 3}, {"def", 3}}, in[2] = {{a, 3}, {b, 8}};
    EQ(pwritev2(p.client, out, 2, -1, 0), 6);
    wait_for(p.server, POLLIN);
    EQ(preadv2(p.server, in, 2, -1, 0), 6);
    TRUE(memcmp(a, "abc", 3) == 0 && memcmp(b, "def", 3) == 0);
}

BOTH(preadv2_nowait)
{
    struct pair p = tcp_pair(family);
    char c[8];
    struct iovec v = {c, 8}, none = {c, 0};
    ERR(preadv2(p.server, &v, 1, -1, RWF_NOWAIT), EAGAIN);
    send_all(p.client, "abc", 3);
    wait_for(p.server, POLLIN);
    EQ(preadv2(p.server, &v, 1, -1, RWF_NOWAIT | RWF_HIPRI), 3);
    ERR(preadv2(p.server, &v, 1, -1, 0x1000), EOPNOTSUPP);
    ERR(preadv2(p.server, &v, minus_one, -1, 0), EINVAL);
    ERR(preadv2(p.server, &v, 1024 - minus_one, -1, 0), EINVAL);
    EQ(preadv2(p.server, &none, 1, -1, 0x1000), 0);
    EQ(preadv2(p.server, &none, 0, -1, 0), 0);
}

BOTH(pwritev2_nowait)
{
    struct pair p = tcp_pair(family);
    static char data[4 << 20];
    struct iovec v = {data, sizeof(data)};
    long long n, sent = 0;
    while ((n = pwritev2(p.client, &v, 1, -1, RWF_NOWAIT)) > 0)
        sent += n;
    TRUE(errno == EAGAIN);
    TRUE(sent > 0);
    EQ(fcntl(p.client, F_GETFL), O_RDWR);
    ERR(pwritev2(p.client, &v, 1, -1, 0x1000), EOPNOTSUPP);
    EQ(pwritev2(udp_pair(family).client, &(struct iovec){"abc", 3}, 1, -1, RWF_DSYNC | RWF_SYNC | RWF_APPEND), 3);
}
