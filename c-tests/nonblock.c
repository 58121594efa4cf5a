/* Non-blocking connect and the ways to ask for it. */
#include "harness.h"

static int start_connect(int family, const struct addr *to)
{
    int fd = tcp(family);
    set_nonblocking(fd);
    ERR(connect(fd, &to->sa, to->len), EINPROGRESS);
    return fd;
}

/* A connection that stays in SYN-SENT: the listener's backlog is full. */
static int pending(int family)
{
    struct addr at;
    listener(family, 0, &at);
    OK(connect(tcp(family), &at.sa, at.len));
    sleep_ms(SHORT_MS);
    return start_connect(family, &at);
}

BOTH(connect_completes)
{
    struct addr at;
    listener(family, 1, &at);
    int fd = start_connect(family, &at);
    wait_for(fd, POLLOUT);
    EQ(events_of(fd, POLLIN | POLLOUT | POLLRDHUP, 0), POLLOUT);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
    peer_of(fd);
}

BOTH(connect_again_after_it_completed)
{
    struct addr at;
    listener(family, 1, &at);
    int fd = start_connect(family, &at);
    wait_for(fd, POLLOUT);
    EQ(connect(fd, &at.sa, at.len), 0); /* reports the success once */
    ERR(connect(fd, &at.sa, at.len), EISCONN);
}

BOTH(refused_events)
{
    struct addr a = loopback(family, free_port(family));
    int fd = start_connect(family, &a);
    wait_for(fd, POLLOUT);
    EQ(events_of(fd, POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP);
}

BOTH(refused_so_error_once)
{
    struct addr a = loopback(family, free_port(family));
    int fd = start_connect(family, &a);
    wait_for(fd, POLLOUT);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
    EQ(events_of(fd, POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
}

BOTH(refused_read_gives_the_error_then_the_end)
{
    struct addr a = loopback(family, free_port(family));
    char c;
    int fd = start_connect(family, &a);
    wait_for(fd, POLLOUT);
    ERR(read(fd, &c, 1), ECONNREFUSED);
    EQ(read(fd, &c, 1), 0);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
}

BOTH(refused_write_gives_the_error_then_epipe)
{
    struct addr a = loopback(family, free_port(family));
    int fd = start_connect(family, &a);
    wait_for(fd, POLLOUT);
    ERR(send(fd, "x", 1, MSG_NOSIGNAL), ECONNREFUSED);
    ERR(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
}

BOTH(refused_connect_gives_the_error)
{
    struct addr a = loopback(family, free_port(family));
    int fd = start_connect(family, &a);
    wait_for(fd, POLLOUT);
    ERR(connect(fd, &a.sa, a.len), ECONNREFUSED);
    ERR(connect(fd, &a.sa, a.len), EINPROGRESS); /* a fresh attempt */
}

BOTH(connect_after_so_error_took_it)
{
    struct addr a = loopback(family, free_port(family)), at;
    int fd = start_connect(family, &a);
    wait_for(fd, POLLOUT);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    ERR(connect(fd, &a.sa, a.len), ECONNABORTED);
    listener(family, 1, &at);
    ERR(connect(fd, &at.sa, at.len), EINPROGRESS);
    wait_for(fd, POLLOUT);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
    peer_of(fd);
}

BOTH(connecting_is_not_ready)
{
    int fd = pending(family);
    EQ(events_of(fd, POLLIN | POLLOUT | POLLRDHUP, SHORT_MS), 0);
}

BOTH(connecting_twice)
{
    int fd = pending(family);
    struct addr a = loopback(family, 9);
    ERR(connect(fd, &a.sa, a.len), EALREADY);
}

BOTH(connecting_read_and_write)
{
    int fd = pending(family);
    char c;
    ERR(recv(fd, &c, 1, 0), EAGAIN);
    ERR(send(fd, "x", 1, MSG_NOSIGNAL), EAGAIN);
}

BOTH(connecting_has_a_local_name)
{
    int fd = pending(family);
    struct addr mine = local_of(fd), a;
    TRUE(port_of(&mine) != 0);
    a.len = sizeof(a.ss);
    ERR(getpeername(fd, &a.sa, &a.len), ENOTCONN);
}

BOTH(connecting_then_shutdown)
{
    int fd = pending(family);
    OK(shutdown(fd, SHUT_RDWR));
    EQ(events_of(fd, POLLIN | POLLOUT, LONG_MS), POLLOUT | POLLERR | POLLHUP);
    ERR(send(fd, "x", 1, MSG_NOSIGNAL), ECONNRESET);
    ERR(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
}

BOTH(connecting_then_listen)
{
    int fd = pending(family);
    ERR(listen(fd, 1), EINVAL);
}

BOTH(fionbio)
{
    struct pair p = tcp_pair(family);
    int on = 1, off = 0;
    char c;
    OK(ioctl(p.client, FIONBIO, &on));
    EQ(fcntl(p.client, F_GETFL), O_RDWR | O_NONBLOCK);
    ERR(recv(p.client, &c, 1, 0), EAGAIN);
    OK(ioctl(p.client, FIONBIO, &off));
    EQ(fcntl(p.client, F_GETFL), O_RDWR);
}

BOTH(setfl_changes_what_it_may)
{
    struct pair p = tcp_pair(family);
    OK(fcntl(p.client, F_SETFL, O_NONBLOCK | O_RDONLY | O_CREAT));
    EQ(fcntl(p.client, F_GETFL), O_RDWR | O_NONBLOCK);
    OK(fcntl(p.client, F_SETFL, 0));
    EQ(fcntl(p.client, F_GETFL), O_RDWR);
}

BOTH(datagram_recv)
{
    struct addr at;
    char c;
    int fd = bound_udp(family, &at);
    set_nonblocking(fd);
    ERR(recv(fd, &c, 1, 0), EAGAIN);
    ERR(recvfrom(fd, &c, 1, 0, NULL, NULL), EAGAIN);
}

BOTH(large_reads_in_pieces)
{
    struct pair p = tcp_pair(family);
    static unsigned char data[300000], got[300000];
    size_t sent = 0, have = 0;
    pattern(data, sizeof(data), 5);
    set_nonblocking(p.client);
    set_nonblocking(p.server);
    while (have < sizeof(data)) {
        if (sent < sizeof(data)) {
            ssize_t n = send(p.client, data + sent, sizeof(data) - sent, 0);
            TRUE(n > 0 || errno == EAGAIN);
            sent += n > 0 ? (size_t)n : 0;
        }
        TRUE(events_of(p.server, POLLIN, LONG_MS) == POLLIN);
        ssize_t n = recv(p.server, got + have, 7777, 0);
        TRUE(n > 0 || errno == EAGAIN);
        have += n > 0 ? (size_t)n : 0;
    }
    EQ(memcmp(data, got, sizeof(data)), 0);
}
