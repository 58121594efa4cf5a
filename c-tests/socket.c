/* socket(2): which kinds there are, what the flags do, which number comes out. */
#include "harness.h"

#include <sys/resource.h>

BOTH(stream) { TRUE(OK(socket(family, SOCK_STREAM, 0)) > 2); }

BOTH(datagram) { TRUE(OK(socket(family, SOCK_DGRAM, 0)) > 2); }

BOTH(stream_with_its_protocol) { OK(socket(family, SOCK_STREAM, IPPROTO_TCP)); }

BOTH(datagram_with_its_protocol) { OK(socket(family, SOCK_DGRAM, IPPROTO_UDP)); }

BOTH(stream_with_udp) { ERR(socket(family, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT); }

BOTH(datagram_with_tcp) { ERR(socket(family, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT); }

BOTH(negative_protocol) { ERR(socket(family, SOCK_STREAM, -1), EINVAL); }

BOTH(huge_protocol) { ERR(socket(family, SOCK_STREAM, 100000), EINVAL); }

BOTH(seqpacket_is_no_inet_type) { ERR(socket(family, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT); }

BOTH(type_zero) { ERR(socket(family, 0, 0), ESOCKTNOSUPPORT); }

BOTH(type_too_large) { ERR(socket(family, 11, 0), EINVAL); }

BOTH(unknown_type_flag) { ERR(socket(family, SOCK_STREAM | 0x100, 0), EINVAL); }

CASE(unknown_family) { ERR(socket(200, SOCK_STREAM, 0), EAFNOSUPPORT); }

CASE(negative_family) { ERR(socket(-1, SOCK_STREAM, 0), EAFNOSUPPORT); }

CASE(unspecified_family) { ERR(socket(AF_UNSPEC, SOCK_STREAM, 0), EAFNOSUPPORT); }

CASE(unix_sockets_are_untouched)
{
    int p[2];
    char c = 0;
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
    EQ(write(p[0], "x", 1), 1);
    EQ(read(p[1], &c, 1), 1);
    EQ(c, 'x');
    EQ(get_int(p[0], SOL_SOCKET, SO_DOMAIN), AF_UNIX);
}

BOTH(lowest_free_number)
{
    int a = (int)OK(dup(0));
    OK(close(a));
    int b = tcp(family);
    EQ(b, a);
    int c = tcp(family);
    EQ(c, a + 1);
    OK(close(b));
    EQ(udp(family), a);
}

BOTH(descriptor_zero_when_stdin_is_closed)
{
    OK(close(0));
    EQ(socket(family, SOCK_STREAM, 0), 0);
}

BOTH(cloexec_is_off)
{
    EQ(fcntl(tcp(family), F_GETFD), 0);
}

BOTH(cloexec_flag)
{
    int fd = (int)OK(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EQ(fcntl(fd, F_GETFL), O_RDWR);
}

BOTH(nonblock_flag)
{
    int fd = (int)OK(socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    char c;
    EQ(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
    EQ(fcntl(fd, F_GETFD), 0);
    ERR(recv(fd, &c, 1, 0), EAGAIN);
}

BOTH(fstat_says_socket)
{
    struct stat st;
    OK(fstat(tcp(family), &st));
    TRUE(S_ISSOCK(st.st_mode));
}

BOTH(not_a_terminal)
{
    int fd = tcp(family);
    EQ(isatty(fd), 0);
    TRUE(errno == ENOTTY);
}

BOTH(proc_link_names_a_socket)
{
    char path[64], target[128];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", tcp(family));
    ssize_t n = OK(readlink(path, target, sizeof(target) - 1));
    target[n] = 0;
    TRUE(strncmp(target, "socket:[", 8) == 0);
}

BOTH(no_seeking)
{
    int fd = tcp(family);
    char c;
    ERR(lseek(fd, 0, SEEK_CUR), ESPIPE);
    ERR(pread(fd, &c, 1, 0), ESPIPE);
    ERR(pwrite(fd, &c, 1, 0), ESPIPE);
}

BOTH(no_truncation_no_sync)
{
    int fd = tcp(family);
    ERR(ftruncate(fd, 0), EINVAL);
    ERR(fsync(fd), EINVAL);
}

BOTH(out_of_descriptors)
{
    struct rlimit limit;
    OK(close(tcp(family)));
    int next = (int)OK(dup(0));
    OK(close(next));
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = (rlim_t)next + 2;
    OK(setrlimit(RLIMIT_NOFILE, &limit));
    EQ(tcp(family), next);
    EQ(udp(family), next + 1);
    ERR(socket(family, SOCK_STREAM, 0), EMFILE);
    OK(close(next));
    EQ(tcp(family), next);
}

BOTH(many_sockets)
{
    int first = tcp(family);
    for (int i = 1; i < 600; i++)
        EQ(tcp(family), first + i);
    for (int i = 0; i < 600; i++)
        OK(close(first + i));
    EQ(tcp(family), first);
}

CASE(close_range_takes_sockets_too)
{
    int a = tcp(AF_INET), b = tcp(AF_INET6);
    struct addr any = loopback(AF_INET, 0);
    OK(bind(a, &any.sa, any.len));
    OK(close_range((unsigned)a, (unsigned)b, 0));
    ERR(listen(a, 1), EBADF);
    ERR(fcntl(b, F_GETFD), EBADF);
    EQ(tcp(AF_INET), a);
}
