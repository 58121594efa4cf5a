/* syscall(2): the calls on sockets by their numbers. */
#include "harness.h"

#include <linux/sockios.h>
#include <sys/syscall.h>

BOTH(a_connection_by_numbers)
{
    struct addr at = loopback(family, 0), from = {.len = sizeof(from.ss)};
    char c[8];
    int l = (int)OK(syscall(SYS_socket, family, SOCK_STREAM, 0));
    OK(syscall(SYS_bind, l, &at.sa, at.len));
    OK(syscall(SYS_listen, l, 5));
    OK(syscall(SYS_getsockname, l, &at.sa, &at.len));
    int a = (int)OK(syscall(SYS_socket, family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    OK(syscall(SYS_connect, a, &at.sa, at.len));
    int b = (int)OK(syscall(SYS_accept4, l, &from.sa, &from.len, SOCK_NONBLOCK));
    struct addr own = local_of(a);
    TRUE(same_addr(&own, &from));
    EQ(syscall(SYS_sendto, a, "abc", 3, MSG_NOSIGNAL, NULL, 0), 3);
    EQ(syscall(SYS_write, a, "def", 3), 3);
    struct pollfd f = {b, POLLIN, 0};
    while (recv(b, c, 6, MSG_PEEK) != 6)
        EQ(syscall(SYS_ppoll, &f, 1, NULL, NULL, 0), 1);
    EQ(syscall(SYS_recvfrom, b, c, 2, 0, NULL, NULL), 2);
    EQ(syscall(SYS_read, b, c + 2, 4), 4);
    TRUE(memcmp(c, "abcdef", 6) == 0);
    ERR(syscall(SYS_recvfrom, b, c, 2, 0, NULL, NULL), EAGAIN);
    OK(syscall(SYS_shutdown, a, SHUT_WR));
    wait_for(b, POLLRDHUP);
    EQ(syscall(SYS_read, b, c, 4), 0);
    OK(syscall(SYS_close, a));
    ERR(fcntl(a, F_GETFD), EBADF);
}

BOTH(messages_by_numbers)
{
    struct pair p = udp_pair(family);
    char c[8], d[8];
    struct iovec out = {"abc", 3}, in = {c, 8}, in2 = {d, 8};
    struct msghdr m = {.msg_iov = &out, .msg_iovlen = 1};
    struct mmsghdr many[2] = {{.msg_hdr = m}, {.msg_hdr = m}};
    EQ(syscall(SYS_sendmsg, p.client, &m, 0), 3);
    EQ(syscall(SYS_sendmmsg, p.client, many, 2, 0), 2);
    EQ(syscall(SYS_writev, p.client, &out, 1), 3);
    m.msg_iov = many[0].msg_hdr.msg_iov = &in;
    many[1].msg_hdr.msg_iov = &in2;
    EQ(syscall(SYS_recvmsg, p.server, &m, 0), 3);
    EQ(syscall(SYS_recvmmsg, p.server, many, 2, 0, NULL), 2);
    EQ(many[1].msg_len, 3);
    EQ(syscall(SYS_readv, p.server, &in, 1), 3);
    EQ(syscall(SYS_pwritev2, p.client, &out, 1, -1L, 0L, 0), 3);
    EQ(syscall(SYS_preadv2, p.server, &in, 1, -1L, 0L, 0), 3);
}

BOTH(options_by_numbers)
{
    int fd = tcp(family), on = 1, n = 0;
    socklen_t len = sizeof(n);
    OK(syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)));
    OK(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &n, &len));
    EQ(n, 1);
    OK(syscall(SYS_ioctl, fd, FIONBIO, &on));
    EQ(syscall(SYS_fcntl, fd, F_GETFL), O_RDWR | O_NONBLOCK);
    ERR(syscall(SYS_getpeername, fd, &(struct addr){0}.sa, &len), ENOTCONN);
}

BOTH(descriptors_by_numbers)
{
    struct pair p = tcp_pair(family);
    int d = (int)OK(syscall(SYS_dup, p.client));
    EQ(syscall(SYS_dup3, p.client, 77, O_CLOEXEC), 77);
    EQ(write(d, "a", 1), 1);
    EQ(write(77, "b", 1), 1);
    int e = (int)OK(syscall(SYS_fcntl, d, F_DUPFD_CLOEXEC, 90));
    TRUE(e >= 90);
    OK(syscall(SYS_close_range, 77, e, 0));
    ERR(write(e, "c", 1), EBADF);
    OK(close(p.client));
    OK(syscall(SYS_close, d));
    wait_for(p.server, POLLRDHUP);
    /* Numbers that the kernel gives out again. */
    while ((d = (int)OK(syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR))) < p.client)
        ;
    EQ(d, p.client);
    EQ(write(p.client, "abc", 3), 3);
    int ends[2];
    OK(syscall(SYS_pipe2, ends, O_CLOEXEC));
    EQ(write(ends[1], "abc", 3), 3);
}

BOTH(waiting_by_numbers)
{
    struct pair p = tcp_pair(family);
    struct timespec t = {0, 20000000}, zero = {0, 0};
    struct pollfd f = {p.server, POLLIN, 0};
    uint64_t mask = 0;
    EQ(syscall(SYS_ppoll, &f, 1, &t, &mask, 8), 0);
    EQ(t.tv_sec * 1000000000 + t.tv_nsec, 0);
    ERR(syscall(SYS_ppoll, &f, 1, &t, &mask, 16), EINVAL);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(p.server, &set);
    struct { void *mask; size_t size; } sixth = {&mask, 8};
    t.tv_nsec = 20000000;
    EQ(syscall(SYS_pselect6, p.server + 1, &set, NULL, NULL, &t, &sixth), 0);
    EQ(t.tv_nsec, 0);
    send_all(p.client, "abc", 3);
    FD_SET(p.server, &set);
    t.tv_sec = 5;
    EQ(syscall(SYS_pselect6, p.server + 1, &set, NULL, NULL, &t, NULL), 1);
    RANGE(t.tv_sec, 3, 4);
    TRUE(FD_ISSET(p.server, &set));
    EQ(syscall(SYS_ppoll, &f, 1, NULL, NULL, 0), 1);
    EQ(f.revents, POLLIN);
    sixth.size = 7;
    ERR(syscall(SYS_pselect6, p.server + 1, &set, NULL, NULL, &zero, &sixth), EINVAL);
#ifdef SYS_poll
    EQ(syscall(SYS_poll, &f, 1, -1), 1);
#endif
#ifdef SYS_select
    struct timeval v = {0, 0};
    EQ(syscall(SYS_select, p.server + 1, &set, NULL, NULL, &v), 1);
#endif
}

BOTH(epoll_by_numbers)
{
    struct pair p = tcp_pair(family);
    struct epoll_event e = {EPOLLIN, {.u64 = 7}}, got;
    struct timespec zero = {0, 0};
    uint64_t mask = 0;
    int set = (int)OK(syscall(SYS_epoll_create1, EPOLL_CLOEXEC));
    OK(syscall(SYS_epoll_ctl, set, EPOLL_CTL_ADD, p.server, &e));
    EQ(syscall(SYS_epoll_pwait, set, &got, 1, 0, NULL, 8), 0);
    send_all(p.client, "abc", 3);
    EQ(syscall(SYS_epoll_pwait, set, &got, 1, -1, &mask, 8), 1);
    EQ(got.data.u64, 7);
    ERR(syscall(SYS_epoll_pwait, set, &got, 1, -1, &mask, 4), EINVAL);
    EQ(syscall(SYS_epoll_pwait2, set, &got, 1, &zero, NULL, 0), 1);
#ifdef SYS_epoll_wait
    EQ(syscall(SYS_epoll_wait, set, &got, 1, -1), 1);
#endif
}

BOTH(transfers_by_numbers)
{
    struct pair p = tcp_pair(family);
    int ends[2];
    char c[8];
    OK(pipe(ends));
    EQ(write(ends[1], "abc", 3), 3);
    EQ(syscall(SYS_splice, ends[0], NULL, p.client, NULL, 3, 0), 3);
    recv_all(p.server, c, 3);
    int f = (int)OK(open("/proc/self/exe", O_RDONLY));
    EQ(syscall(SYS_sendfile, p.client, f, NULL, 4), 4);
    recv_all(p.server, c, 4);
    TRUE(memcmp(c, "\177ELF", 4) == 0);
}

CASE(other_numbers)
{
    tcp(AF_INET);
    EQ(syscall(SYS_getpid), getpid());
    ERR(syscall(99999), ENOSYS);
    ERR(syscall(SYS_socketpair, AF_INET, SOCK_STREAM, 0, (int[2]){0}), EOPNOTSUPP);
    int u[2];
    OK(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, u));
    EQ(syscall(SYS_write, u[0], "a", 1), 1);
    struct stat s;
    OK(syscall(SYS_fstat, u[0], &s));
    TRUE(S_ISSOCK(s.st_mode));
}

/* Through a ring the kernel would be asked to read from a socket of its own. */
CASE(io_uring_setup_gives_a_ring)
{
    char params[256] = {0};
    long fd = kernel_call(SYS_io_uring_setup, 1, params);
    if (fd < 0)
        skip("this kernel gives no rings");
    close((int)fd);
    memset(params, 0, sizeof(params));
    OK(syscall(SYS_io_uring_setup, 1, params));
}

CASE(exit_group)
{
    tcp(AF_INET);
    pid_t child = fork();
    if (child == 0)
        syscall(SYS_exit_group, 7);
    int status;
    EQ(waitpid(child, &status, 0), child);
    EQ(WEXITSTATUS(status), 7);
}
