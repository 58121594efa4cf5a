/* fcntl(2) and ioctl(2) on sockets. */
#include "harness.h"

#include <linux/sockios.h>

BOTH(getfl)
{
    EQ(fcntl(tcp(family), F_GETFL), O_RDWR);
    EQ(fcntl(udp(family), F_GETFL), O_RDWR);
}

/* Flags that mean nothing for a socket are kept; which of them F_SETFL changes at all. */
BOTH(setfl_keeps_what_it_may_change)
{
    int fds[] = {tcp(family), udp(family)};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        int fd = fds[i], flags[] = {O_APPEND, O_NOATIME, O_NONBLOCK, O_APPEND | O_NONBLOCK | O_NOATIME, O_APPEND, 0};
        for (size_t j = 0; j < ARRAY_LEN(flags); j++) {
            OK(fcntl(fd, F_SETFL, flags[j]));
            EQ(fcntl(fd, F_GETFL), O_RDWR | flags[j]);
        }
        OK(fcntl(fd, F_SETFL, O_APPEND));
        ERR(fcntl(fd, F_SETFL, O_DIRECT | O_NONBLOCK), EINVAL);
        EQ(fcntl(fd, F_GETFL), O_RDWR | O_APPEND);
        OK(fcntl(fd, F_SETFL, O_CREAT | O_TRUNC | O_SYNC | O_WRONLY | O_CLOEXEC));
        EQ(fcntl(fd, F_GETFL), O_RDWR);
        EQ(fcntl(fd, F_GETFD), 0);
        int on = 1;
        OK(fcntl(fd, F_SETFL, O_APPEND));
        OK(ioctl(fd, FIONBIO, &on));
        EQ(fcntl(fd, F_GETFL), O_RDWR | O_APPEND | O_NONBLOCK);
        EQ(fcntl(dup(fd), F_GETFL), O_RDWR | O_APPEND | O_NONBLOCK);
    }
}

BOTH(setfl_of_a_listener_is_its_own)
{
    struct addr at;
    int l = listener(family, 1, &at);
    OK(fcntl(l, F_SETFL, O_APPEND));
    struct pair p = pair_through(l, &at);
    EQ(fcntl(p.server, F_GETFL), O_RDWR);
    EQ(fcntl(l, F_GETFL), O_RDWR | O_APPEND);
}

BOTH(setfd)
{
    int fd = tcp(family);
    OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    OK(fcntl(fd, F_SETFD, 0));
    EQ(fcntl(fd, F_GETFD), 0);
}

BOTH(unknown_command)
{
    ERR(fcntl(tcp(family), 7777, 0), EINVAL);
}

CASE(bad_descriptor)
{
    int n;
    ERR(fcntl(-1, F_GETFL), EBADF);
    ERR(fcntl(955, F_GETFD), EBADF);
    ERR(ioctl(-1, FIONREAD, &n), EBADF);
    ERR(ioctl(955, FIONBIO, &n), EBADF);
}

BOTH(fionread_counts)
{
    struct pair p = tcp_pair(family);
    int n = -1;
    char c[3];
    OK(ioctl(p.server, FIONREAD, &n));
    EQ(n, 0);
    send_all(p.client, "12345", 5);
    wait_for(p.server, POLLIN);
    OK(ioctl(p.server, FIONREAD, &n));
    EQ(n, 5);
    recv_all(p.server, c, 3);
    OK(ioctl(p.server, FIONREAD, &n));
    EQ(n, 2);
}

BOTH(fionread_after_the_end)
{
    struct pair p = tcp_pair(family);
    int n = -1;
    send_all(p.client, "12", 2);
    OK(close(p.client));
    wait_for(p.server, POLLRDHUP);
    OK(ioctl(p.server, FIONREAD, &n));
    EQ(n, 2);
    char c[2];
    recv_all(p.server, c, 2);
    OK(ioctl(p.server, FIONREAD, &n));
    EQ(n, 0);
}

BOTH(fionread_on_a_listener)
{
    struct addr at;
    int n;
    ERR(ioctl(listener(family, 1, &at), FIONREAD, &n), EINVAL);
}

BOTH(outq_is_what_was_not_acknowledged)
{
    struct pair p = tcp_pair(family);
    int n = -1;
    OK(ioctl(p.client, SIOCOUTQ, &n));
    EQ(n, 0);
    size_t filled = fill(p.client);
    OK(ioctl(p.client, TIOCOUTQ, &n));
    RANGE(n, 1, (long long)filled);
    EQ(drain(p.server, filled), filled);
    for (long long end = now_ms() + LONG_MS; n != 0 && now_ms() < end; sleep_ms(2))
        OK(ioctl(p.client, SIOCOUTQ, &n));
    EQ(n, 0);
}

BOTH(fionbio_on_a_datagram_socket)
{
    int fd = udp(family), on = 1;
    OK(ioctl(fd, FIONBIO, &on));
    EQ(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
}

BOTH(fioclex)
{
    int fd = tcp(family);
    OK(ioctl(fd, FIOCLEX));
    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    OK(ioctl(fd, FIONCLEX));
    EQ(fcntl(fd, F_GETFD), 0);
}

BOTH(bad_pointer_to_ioctl)
{
    struct pair p = tcp_pair(family);
    ERR(ioctl(p.client, FIONREAD, bad_pointer), EFAULT);
    ERR(ioctl(p.client, FIONBIO, bad_pointer), EFAULT);
}

BOTH(unknown_request)
{
    int n = 0;
    ERR(ioctl(tcp(family), 0xdeadbe, &n), ENOTTY);
}

BOTH(terminal_requests_are_refused)
{
    struct winsize w;
    ERR(ioctl(tcp(family), TIOCGWINSZ, &w), ENOTTY);
}

CASE(pipes_are_untouched)
{
    int p[2], n = -1, on = 1;
    char c;
    tcp(AF_INET);
    OK(pipe(p));
    EQ(write(p[1], "abc", 3), 3);
    OK(ioctl(p[0], FIONREAD, &n));
    EQ(n, 3);
    OK(ioctl(p[0], FIONBIO, &on));
    EQ(fcntl(p[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    EQ(read(p[0], &c, 1), 1);
}

extern int isfdtype(int fd, int type); /* sys/socket.h has it for __USE_MISC only in some versions of libc */

BOTH(isfdtype_of_a_socket)
{
    int fd = tcp(family), p[2];
    OK(pipe(p));
    EQ(isfdtype(fd, S_IFSOCK), 1);
    EQ(isfdtype(fd, S_IFREG), 0);
    EQ(isfdtype(p[0], S_IFSOCK), 0);
    EQ(isfdtype(955, S_IFSOCK), -1);
}

BOTH(fstat_says_socket)
{
    struct stat s;
    OK(fstat(tcp(family), &s));
    TRUE(S_ISSOCK(s.st_mode));
    EQ(s.st_mode & 07777, 0777);
    EQ(s.st_size, 0);
    EQ(s.st_nlink, 1);
    EQ(s.st_uid, getuid());
    OK(fstatat(udp(family), "", &s, AT_EMPTY_PATH));
    TRUE(S_ISSOCK(s.st_mode));
    struct statx x;
    OK(statx(tcp(family), "", AT_EMPTY_PATH, STATX_TYPE, &x));
    TRUE(S_ISSOCK(x.stx_mode));
}

BOTH(fstat_tells_sockets_apart)
{
    int a = tcp(family), b = tcp(family), c = dup(a);
    struct stat sa, sb, sc;
    OK(fstat(a, &sa));
    OK(fstat(b, &sb));
    OK(fstat(c, &sc));
    TRUE(sa.st_ino != sb.st_ino);
    TRUE(sa.st_ino == sc.st_ino && sa.st_dev == sb.st_dev);
}

BOTH(socketpair_of_the_internet)
{
    int p[2];
    ERR(socketpair(family, SOCK_STREAM, 0, p), EOPNOTSUPP);
    ERR(socketpair(family, SOCK_DGRAM, 0, p), EOPNOTSUPP);
    ERR(socketpair(family, SOCK_STREAM, IPPROTO_UDP, p), EPROTONOSUPPORT);
    ERR(socketpair(family, 77, 0, p), EINVAL);
}

BOTH(not_a_terminal)
{
    int fd = tcp(family);
    EQ(isatty(fd), 0);
    TRUE(ttyname(fd) == NULL);
}

BOTH(outqnsd_is_what_was_not_sent)
{
    struct pair p = tcp_pair(family);
    int n = -1, all = -1;
    OK(ioctl(p.client, SIOCOUTQNSD, &n));
    EQ(n, 0);
    size_t filled = fill(p.client);
    for (int i = 0; i < 50; i++) {
        OK(ioctl(p.client, SIOCOUTQNSD, &n));
        OK(ioctl(p.client, SIOCOUTQ, &all));
        RANGE(n, 0, all);
        sleep_ms(1);
    }
    RANGE(n, 1, (long long)filled);
    ERR(ioctl(p.client, SIOCOUTQNSD, bad_pointer), EFAULT);
    struct addr at;
    ERR(ioctl(listener(family, 1, &at), SIOCOUTQNSD, &n), EINVAL);
}

BOTH(requests_of_tcp_on_udp)
{
    int fd = udp(family), n = 7;
    ERR(ioctl(fd, SIOCATMARK, &n), ENOTTY);
    ERR(ioctl(fd, SIOCOUTQNSD, &n), ENOTTY);
    ERR(sockatmark(fd), ENOTTY);
    EQ(n, 7);
}
