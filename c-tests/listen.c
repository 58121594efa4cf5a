/* listen(2): the backlog, what a listener refuses, what happens to those who wait. */
#include "harness.h"

BOTH(unbound_takes_an_ephemeral_port_on_the_wildcard)
{
    int fd = tcp(family);
    OK(listen(fd, 4));
    struct addr got = local_of(fd), any = wildcard(family, port_of(&got));
    TRUE(port_of(&got) != 0);
    TRUE(same_addr(&got, &any));
}

BOTH(datagram) { ERR(listen(udp(family), 1), EOPNOTSUPP); }

BOTH(connected)
{
    struct pair p = tcp_pair(family);
    ERR(listen(p.client, 1), EINVAL);
}

BOTH(again_changes_the_backlog)
{
    struct addr at;
    int fd = listener(family, 0, &at);
    OK(listen(fd, 5));
    for (int i = 0; i < 5; i++) {
        int c = tcp(family);
        OK(connect(c, &at.sa, at.len));
    }
}

BOTH(negative_backlog_is_a_large_one)
{
    struct addr at;
    listener(family, -1, &at);
    for (int i = 0; i < 4; i++)
        OK(connect(tcp(family), &at.sa, at.len));
}

/* With backlog n, n+1 handshakes complete and the next client is not refused but waits. */
static void backlog(int family, int n)
{
    struct addr at;
    int fd = listener(family, n, &at), late;
    for (int i = 0; i <= n; i++)
        OK(connect(tcp(family), &at.sa, at.len));
    sleep_ms(SHORT_MS);
    late = tcp(family);
    set_nonblocking(late);
    ERR(connect(late, &at.sa, at.len), EINPROGRESS);
    EQ(events_of(late, POLLIN | POLLOUT, 3 * SHORT_MS), 0);
    OK(accept(fd, NULL, NULL));
    wait_for(late, POLLOUT); /* its SYN goes out again after a second */
    EQ(get_int(late, SOL_SOCKET, SO_ERROR), 0);
}

BOTH(backlog_zero) { backlog(family, 0); }

BOTH(backlog_three) { backlog(family, 3); }

BOTH(acceptconn_says_so)
{
    struct addr at;
    int fd = tcp(family);
    EQ(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
    fd = listener(family, 1, &at);
    EQ(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
}

BOTH(reading_and_writing)
{
    struct addr at;
    char c = 0;
    int fd = listener(family, 1, &at);
    ERR(recv(fd, &c, 1, 0), ENOTCONN);
    ERR(read(fd, &c, 1), ENOTCONN);
    ERR(send(fd, &c, 1, MSG_NOSIGNAL), EPIPE);
}

BOTH(connecting_a_listener)
{
    struct addr at, other;
    int fd = listener(family, 1, &at);
    listener(family, 1, &other);
    ERR(connect(fd, &other.sa, other.len), EISCONN);
}

BOTH(readable_when_a_client_waits)
{
    struct addr at;
    int fd = listener(family, 1, &at);
    EQ(events_of(fd, POLLIN | POLLOUT, 0), 0);
    OK(connect(tcp(family), &at.sa, at.len));
    wait_for(fd, POLLIN);
    EQ(events_of(fd, POLLIN | POLLOUT | POLLPRI, 0), POLLIN);
    OK(accept(fd, NULL, NULL));
    EQ(events_of(fd, POLLIN | POLLOUT, 0), 0);
}

BOTH(close_resets_those_who_wait)
{
    struct addr at;
    char c;
    int fd = listener(family, 2, &at), client = tcp(family);
    OK(connect(client, &at.sa, at.len));
    wait_for(fd, POLLIN);
    OK(close(fd));
    ERR(recv(client, &c, 1, 0), ECONNRESET);
    ERR(connect(tcp(family), &at.sa, at.len), ECONNREFUSED);
}

BOTH(shutdown_read_resets_and_refuses)
{
    struct addr at;
    char c;
    int fd = listener(family, 2, &at), client = tcp(family);
    OK(connect(client, &at.sa, at.len));
    wait_for(fd, POLLIN);
    OK(shutdown(fd, SHUT_RD));
    ERR(recv(client, &c, 1, 0), ECONNRESET);
    ERR(connect(tcp(family), &at.sa, at.len), ECONNREFUSED);
    ERR(accept(fd, NULL, NULL), EINVAL);
}

BOTH(listen_again_after_shutdown)
{
    struct addr at = loopback(family, free_port(family)), got;
    int fd = tcp(family);
    OK(bind(fd, &at.sa, at.len));
    OK(listen(fd, 2));
    OK(shutdown(fd, SHUT_RDWR));
    OK(listen(fd, 2));
    got = local_of(fd);
    TRUE(same_addr(&got, &at)); /* a port that was asked for is kept */
    OK(connect(tcp(family), &at.sa, at.len));
    OK(accept(fd, NULL, NULL));
}

BOTH(listen_again_after_shutdown_on_an_ephemeral_port)
{
    struct addr at;
    int fd = listener(family, 2, &at);
    OK(shutdown(fd, SHUT_RD));
    OK(listen(fd, 2));
    at = local_of(fd); /* a port that was chosen for us was given back */
    OK(connect(tcp(family), &at.sa, at.len));
    OK(accept(fd, NULL, NULL));
}

BOTH(shutdown_write_does_nothing)
{
    struct addr at;
    int fd = listener(family, 2, &at);
    OK(shutdown(fd, SHUT_WR));
    OK(connect(tcp(family), &at.sa, at.len));
    OK(accept(fd, NULL, NULL));
}

BOTH(shut_listener_looks_unconnected)
{
    struct addr at;
    int fd = listener(family, 2, &at);
    OK(shutdown(fd, SHUT_RD));
    EQ(events_of(fd, POLLIN | POLLOUT | POLLRDHUP, 0), POLLOUT | POLLHUP);
}

/* IP_BIND_ADDRESS_NO_PORT: listen finds the port that bind did not, at the address that it got. */
CASE(the_port_comes_later)
{
    struct addr at = ipv4("127.0.0.2", 0);
    int l = tcp(AF_INET);
    set_int(l, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    OK(bind(l, &at.sa, at.len));
    OK(listen(l, 1));
    struct addr got = local_of(l);
    TRUE(port_of(&got) != 0);
    at = ipv4("127.0.0.2", port_of(&got));
    TRUE(same_addr(&got, &at));
    OK(connect(tcp(AF_INET), &at.sa, at.len));
    at = loopback(AF_INET, port_of(&got));
    ERR(connect(tcp(AF_INET), &at.sa, at.len), ECONNREFUSED);
}
