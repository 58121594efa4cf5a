/* dup(2), dup2(2), dup3(2), F_DUPFD on sockets. */
#include "harness.h"

BOTH(both_numbers_are_the_socket)
{
    struct pair p = tcp_pair(family);
    int copy = (int)OK(dup(p.client));
    char got[2];
    TRUE(copy != p.client);
    send_all(p.client, "a", 1);
    send_all(copy, "b", 1);
    recv_all(p.server, got, 2);
    EQ(memcmp(got, "ab", 2), 0);
}

BOTH(lowest_number)
{
    int fd = tcp(family), a = (int)OK(dup(fd)), b = (int)OK(dup(fd));
    EQ(b, a + 1);
    OK(close(a));
    EQ(dup(fd), a);
}

BOTH(closing_one_keeps_the_connection)
{
    struct pair p = tcp_pair(family);
    int copy = (int)OK(dup(p.client));
    char c;
    OK(close(p.client));
    EQ(events_of(p.server, POLLIN | POLLRDHUP, SHORT_MS), 0);
    send_all(copy, "x", 1);
    recv_all(p.server, &c, 1);
    OK(close(copy));
    EQ(recv(p.server, &c, 1, 0), 0);
}

BOTH(file_flags_are_shared)
{
    struct pair p = tcp_pair(family);
    int copy = (int)OK(dup(p.client));
    set_nonblocking(copy);
    EQ(fcntl(p.client, F_GETFL), O_RDWR | O_NONBLOCK);
}

BOTH(cloexec_is_not_shared)
{
    int fd = (int)OK(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int copy = (int)OK(dup(fd));
    EQ(fcntl(copy, F_GETFD), 0);
    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    OK(fcntl(copy, F_SETFD, FD_CLOEXEC));
    OK(fcntl(fd, F_SETFD, 0));
    EQ(fcntl(copy, F_GETFD), FD_CLOEXEC);
}

BOTH(shutdown_is_shared)
{
    struct pair p = tcp_pair(family);
    int copy = (int)OK(dup(p.client));
    OK(shutdown(copy, SHUT_WR));
    ERR(send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
}

BOTH(options_are_shared)
{
    int fd = tcp(family), copy = (int)OK(dup(fd));
    set_int(copy, IPPROTO_TCP, TCP_NODELAY, 1);
    EQ(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
}

BOTH(dup2_to_a_free_number)
{
    struct pair p = tcp_pair(family);
    char c;
    EQ(dup2(p.client, 200), 200);
    send_all(200, "x", 1);
    recv_all(p.server, &c, 1);
    EQ(fcntl(200, F_GETFD), 0);
}

BOTH(dup2_over_a_socket_closes_it)
{
    struct pair p = tcp_pair(family), q = tcp_pair(family);
    char c;
    EQ(dup2(p.client, q.client), q.client);
    EQ(recv(q.server, &c, 1, 0), 0);
    send_all(q.client, "x", 1);
    recv_all(p.server, &c, 1);
}

BOTH(dup2_over_a_file)
{
    struct pair p = tcp_pair(family);
    char c;
    int fd = (int)OK(open("/dev/null", O_RDWR));
    EQ(dup2(p.client, fd), fd);
    EQ(write(fd, "x", 1), 1);
    recv_all(p.server, &c, 1);
}

BOTH(dup2_of_a_file_over_a_socket)
{
    struct pair p = tcp_pair(family);
    char c;
    int fd = (int)OK(open("/dev/null", O_RDWR));
    EQ(dup2(fd, p.client), p.client);
    EQ(recv(p.server, &c, 1, 0), 0);
    EQ(read(p.client, &c, 1), 0);
    ERR(recv(p.client, &c, 1, 0), ENOTSOCK);
}

BOTH(dup2_onto_itself)
{
    struct pair p = tcp_pair(family);
    char c;
    EQ(dup2(p.client, p.client), p.client);
    send_all(p.client, "x", 1);
    recv_all(p.server, &c, 1);
    ERR(dup2(900, 900), EBADF);
}

BOTH(dup2_of_nothing)
{
    int fd = tcp(family);
    ERR(dup2(901, fd), EBADF);
    EQ(fcntl(fd, F_GETFD), 0); /* the target was not touched */
    ERR(dup2(fd, -1), EBADF);
    ERR(dup2(fd, 1 << 30), EBADF);
}

BOTH(dup3_flags)
{
    int fd = tcp(family);
    EQ(dup3(fd, 210, O_CLOEXEC), 210);
    EQ(fcntl(210, F_GETFD), FD_CLOEXEC);
    ERR(dup3(fd, fd, 0), EINVAL);
    ERR(dup3(fd, 211, O_NONBLOCK), EINVAL);
}

BOTH(dupfd_has_a_least_number)
{
    struct pair p = tcp_pair(family);
    char c;
    int fd = (int)OK(fcntl(p.client, F_DUPFD, 100));
    TRUE(fd >= 100);
    send_all(fd, "x", 1);
    recv_all(p.server, &c, 1);
    EQ(fcntl(fd, F_GETFD), 0);
    fd = (int)OK(fcntl(p.client, F_DUPFD_CLOEXEC, 100));
    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ERR(fcntl(p.client, F_DUPFD, -1), EINVAL);
}

BOTH(listener)
{
    struct addr at;
    int l = listener(family, 2, &at), copy = (int)OK(dup(l));
    OK(close(l));
    OK(connect(tcp(family), &at.sa, at.len));
    OK(accept(copy, NULL, NULL));
    OK(close(copy));
    ERR(connect(tcp(family), &at.sa, at.len), ECONNREFUSED);
}

BOTH(standard_output_onto_a_socket)
{
    struct pair p = tcp_pair(family);
    char got[8];
    int keep = (int)OK(dup(1));
    EQ(dup2(p.client, 1), 1);
    EQ(printf("%s", "stdout"), 6);
    EQ(fflush(stdout), 0);
    recv_all(p.server, got, 6);
    EQ(memcmp(got, "stdout", 6), 0);
    EQ(dup2(keep, 1), 1);
}

BOTH(standard_input_from_a_socket)
{
    struct pair p = tcp_pair(family);
    char line[32];
    EQ(dup2(p.server, 0), 0);
    send_all(p.client, "typed\n", 6);
    TRUE(fgets(line, sizeof(line), stdin) != NULL);
    EQ(strcmp(line, "typed\n"), 0);
}

BOTH(fstat_is_the_same_file)
{
    struct stat a, b;
    int fd = tcp(family), copy = (int)OK(dup(fd));
    OK(fstat(fd, &a));
    OK(fstat(copy, &b));
    EQ(a.st_ino, b.st_ino);
    EQ(a.st_dev, b.st_dev);
}
