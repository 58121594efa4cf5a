/* close(2): what the peer sees, what others who use the number see. */
#include "harness.h"

#include <sys/syscall.h>

BOTH(peer_reads_everything_then_the_end)
{
    struct pair p = tcp_pair(family);
    char got[8];
    send_all(p.client, "final", 5);
    OK(close(p.client));
    recv_all(p.server, got, 5);
    EQ(recv(p.server, got, 1, 0), 0);
}

BOTH(large_data_is_delivered_after_close)
{
    struct pair p = tcp_pair(family);
    size_t filled = fill(p.client);
    OK(close(p.client));
    EQ(drain(p.server, filled + 1), filled);
}

BOTH(with_unread_data_it_is_a_reset)
{
    struct pair p = tcp_pair(family);
    char c;
    send_all(p.client, "unread", 6);
    wait_for(p.server, POLLIN);
    OK(close(p.server));
    ERR(recv(p.client, &c, 1, 0), ECONNRESET);
}

BOTH(twice)
{
    int fd = tcp(family);
    OK(close(fd));
    ERR(close(fd), EBADF);
}

CASE(bad_descriptor)
{
    ERR(close(-1), EBADF);
    ERR(close(800), EBADF);
}

BOTH(every_call_on_a_closed_number)
{
    struct addr a = loopback(family, 1);
    int fd = tcp(family), one = 1;
    socklen_t len = sizeof(one);
    OK(close(fd));
    ERR(bind(fd, &a.sa, a.len), EBADF);
    ERR(listen(fd, 1), EBADF);
    ERR(accept(fd, NULL, NULL), EBADF);
    ERR(connect(fd, &a.sa, a.len), EBADF);
    ERR(getsockname(fd, &a.sa, &a.len), EBADF);
    ERR(getpeername(fd, &a.sa, &a.len), EBADF);
    ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), EBADF);
    ERR(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, &len), EBADF);
    ERR(fcntl(fd, F_GETFL), EBADF);
    ERR(dup(fd), EBADF);
    EQ(events_of(fd, POLLIN, 0), POLLNVAL);
}

BOTH(number_is_reused_by_the_kernel)
{
    int p[2], fd = tcp(family);
    char c = 0;
    OK(close(fd));
    OK(pipe(p));
    EQ(p[0], fd);
    EQ(write(p[1], "k", 1), 1);
    EQ(read(p[0], &c, 1), 1);
    EQ(c, 'k');
    ERR(recv(p[0], &c, 1, 0), ENOTSOCK);
}

BOTH(number_of_a_file_becomes_a_socket)
{
    int fd = (int)OK(open("/dev/null", O_RDONLY));
    char c;
    EQ(read(fd, &c, 1), 0);
    OK(close(fd));
    EQ(tcp(family), fd);
    ERR(read(fd, &c, 1), ENOTCONN);
}

struct reader {
    int fd;
    ssize_t got;
    char byte;
};

static void read_one(void *arg)
{
    struct reader *r = arg;
    r->got = recv(r->fd, &r->byte, 1, 0);
}

BOTH(in_another_thread_leaves_a_reader_blocked)
{
    struct pair p = tcp_pair(family);
    struct reader r = {p.server, -2, 0};
    struct task t;
    start(&t, 0, read_one, &r);
    sleep_ms(SHORT_MS);
    OK(close(p.server));
    sleep_ms(2 * SHORT_MS);
    TRUE(!t.done);
    send_all(p.client, "!", 1); /* the reader still holds the socket */
    join(&t);
    EQ(r.got, 1);
    EQ(r.byte, '!');
}

BOTH(closed_listener_refuses)
{
    struct addr at;
    int l = listener(family, 1, &at), c = tcp(family);
    OK(connect(c, &at.sa, at.len));
    OK(accept(l, NULL, NULL));
    OK(close(l));
    ERR(connect(tcp(family), &at.sa, at.len), ECONNREFUSED);
}

BOTH(while_connecting_is_quiet)
{
    struct addr at;
    int l = listener(family, 0, &at);
    OK(connect(tcp(family), &at.sa, at.len)); /* fills the backlog */
    int fd = tcp(family);
    set_nonblocking(fd);
    ERR(connect(fd, &at.sa, at.len), EINPROGRESS);
    OK(close(fd));
    OK(accept(l, NULL, NULL));
    set_nonblocking(l);
    sleep_ms(SHORT_MS);
    ERR(accept(l, NULL, NULL), EAGAIN);
}

BOTH(unread_end_is_no_reset)
{
    struct pair p = tcp_pair(family);
    char c;
    OK(shutdown(p.client, SHUT_WR));
    wait_for(p.server, POLLRDHUP);
    OK(close(p.server)); /* only the FIN was unread */
    EQ(recv(p.client, &c, 1, 0), 0);
}

BOTH(both_ends_at_once)
{
    struct addr at;
    int l = listener(family, 1, &at);
    for (int i = 0; i < 50; i++) {
        struct pair p = pair_through(l, &at);
        OK(close(p.client));
        OK(close(p.server));
    }
}

BOTH(fclose_closes_the_connection)
{
    struct pair p = tcp_pair(family);
    char c;
    FILE *f = fdopen(p.client, "r+");
    EQ(fclose(f), 0);
    EQ(recv(p.server, &c, 1, 0), 0);
    ERR(fcntl(p.client, F_GETFD), EBADF);
}

BOTH(behind_the_back_of_libc)
{
    /* A number closed and taken again by system calls that no library sees. */
    struct addr a = loopback(family, 0);
    int fd = tcp(family), one = 1;
    OK(kernel_call(SYS_close, fd));
    EQ(kernel_call(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR), fd);
    ERR(bind(fd, &a.sa, a.len), ENOTSOCK);
    ERR(listen(fd, 1), ENOTSOCK);
    ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), ENOTSOCK);
    EQ(write(fd, "x", 1), 1);
    OK(close(fd));
}
