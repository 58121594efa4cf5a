/* shutdown(2): half closes, and who notices what. */
#include "harness.h"

BOTH(write_side_sends_the_end)
{
    struct pair p = tcp_pair(family);
    char got[8];
    send_all(p.client, "bye", 3);
    OK(shutdown(p.client, SHUT_WR));
    recv_all(p.server, got, 3);
    EQ(recv(p.server, got, 1, 0), 0);
}

BOTH(half_close_keeps_the_other_way_open)
{
    struct pair p = tcp_pair(family);
    char got[8];
    OK(shutdown(p.client, SHUT_WR));
    EQ(recv(p.server, got, 1, 0), 0);
    send_all(p.server, "answer", 6);
    recv_all(p.client, got, 6);
    EQ(memcmp(got, "answer", 6), 0);
    OK(close(p.server));
    EQ(recv(p.client, got, 1, 0), 0);
}

BOTH(queued_data_goes_before_the_end)
{
    struct pair p = tcp_pair(family);
    size_t filled = fill(p.client);
    OK(shutdown(p.client, SHUT_WR));
    EQ(drain(p.server, filled + 1), filled);
}

BOTH(writing_after_it)
{
    struct pair p = tcp_pair(family);
    OK(shutdown(p.client, SHUT_WR));
    ERR(send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
}

BOTH(read_side_ends_reading)
{
    struct pair p = tcp_pair(family);
    char c;
    OK(shutdown(p.server, SHUT_RD));
    EQ(recv(p.server, &c, 1, 0), 0);
    EQ(events_of(p.server, POLLIN | POLLRDHUP, 0), POLLIN | POLLRDHUP);
}

BOTH(read_side_sends_nothing)
{
    struct pair p = tcp_pair(family);
    OK(shutdown(p.server, SHUT_RD));
    EQ(events_of(p.client, POLLIN | POLLOUT | POLLRDHUP, SHORT_MS), POLLOUT);
    send_all(p.client, "x", 1);
    sleep_ms(SHORT_MS);
    EQ(events_of(p.client, POLLIN | POLLOUT | POLLRDHUP, 0), POLLOUT);
}

BOTH(read_side_still_gives_what_was_queued)
{
    struct pair p = tcp_pair(family);
    char got[8];
    send_all(p.client, "old", 3);
    wait_for(p.server, POLLIN);
    OK(shutdown(p.server, SHUT_RD));
    EQ(recv(p.server, got, 8, 0), 3);
    EQ(recv(p.server, got, 8, 0), 0);
}

BOTH(read_side_still_gives_what_comes_later)
{
    struct pair p = tcp_pair(family);
    char got[8];
    OK(shutdown(p.server, SHUT_RD));
    send_all(p.client, "new", 3);
    sleep_ms(SHORT_MS);
    EQ(recv(p.server, got, 8, 0), 3);
    EQ(recv(p.server, got, 8, 0), 0);
}

BOTH(both_sides)
{
    struct pair p = tcp_pair(family);
    char c;
    OK(shutdown(p.client, SHUT_RDWR));
    EQ(recv(p.server, &c, 1, 0), 0);
    EQ(recv(p.client, &c, 1, 0), 0);
    ERR(send(p.client, &c, 1, MSG_NOSIGNAL), EPIPE);
    EQ(events_of(p.client, POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
}

BOTH(peer_sees_rdhup)
{
    struct pair p = tcp_pair(family);
    OK(shutdown(p.client, SHUT_WR));
    wait_for(p.server, POLLRDHUP);
    EQ(events_of(p.server, POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP);
    EQ(events_of(p.server, 0, 0), 0);
}

BOTH(both_halves_shut_give_hangup)
{
    struct pair p = tcp_pair(family);
    OK(shutdown(p.client, SHUT_WR));
    OK(shutdown(p.server, SHUT_WR));
    wait_for(p.server, POLLHUP);
    EQ(events_of(p.server, POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
    EQ(events_of(p.server, 0, 0), POLLHUP);
}

BOTH(twice)
{
    struct pair p = tcp_pair(family);
    OK(shutdown(p.client, SHUT_WR));
    OK(shutdown(p.client, SHUT_WR));
}

BOTH(after_both_ends_closed_it_is_not_connected)
{
    struct pair p = tcp_pair(family);
    char c;
    OK(shutdown(p.server, SHUT_WR));
    EQ(recv(p.client, &c, 1, 0), 0);
    OK(shutdown(p.client, SHUT_WR));
    sleep_ms(SHORT_MS);
    ERR(shutdown(p.client, SHUT_WR), ENOTCONN);
}

BOTH(unconnected)
{
    ERR(shutdown(tcp(family), SHUT_RDWR), ENOTCONN);
    ERR(shutdown(tcp(family), SHUT_RD), ENOTCONN);
}

BOTH(unconnected_datagram)
{
    ERR(shutdown(udp(family), SHUT_RDWR), ENOTCONN);
}

BOTH(connected_datagram)
{
    struct pair p = udp_pair(family);
    char c;
    OK(shutdown(p.client, SHUT_RDWR));
    EQ(recv(p.client, &c, 1, 0), 0);
    ERR(send(p.client, &c, 1, MSG_NOSIGNAL), EPIPE);
}

BOTH(unknown_way)
{
    struct pair p = tcp_pair(family);
    ERR(shutdown(p.client, 3), EINVAL);
    ERR(shutdown(p.client, -1), EINVAL);
}

BOTH(after_a_reset)
{
    struct pair p = tcp_pair(family);
    reset(p.server);
    wait_for(p.client, POLLHUP);
    ERR(shutdown(p.client, SHUT_WR), ENOTCONN);
}

static void shut_read(void *arg) { OK(shutdown(*(int *)arg, SHUT_RD)); }

BOTH(wakes_a_blocked_reader)
{
    struct pair p = tcp_pair(family);
    struct task t;
    char c;
    start(&t, SHORT_MS, shut_read, &p.client);
    EQ(recv(p.client, &c, 1, 0), 0);
    join(&t);
}

static void shut_write(void *arg) { OK(shutdown(*(int *)arg, SHUT_WR)); }

BOTH(wakes_a_blocked_writer)
{
    struct pair p = tcp_pair(family);
    struct task t;
    fill(p.client);
    OK(fcntl(p.client, F_SETFL, 0));
    start(&t, SHORT_MS, shut_write, &p.client);
    ERR(send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
    join(&t);
}

CASE(bad_descriptors)
{
    int p[2];
    ERR(shutdown(-1, SHUT_RD), EBADF);
    OK(pipe(p));
    ERR(shutdown(p[0], SHUT_RD), ENOTSOCK);
}

BOTH(fresh_name_is_kept)
{
    struct pair p = tcp_pair(family);
    struct addr before = peer_of(p.client);
    OK(shutdown(p.client, SHUT_WR));
    struct addr after = peer_of(p.client);
    TRUE(same_addr(&before, &after));
}
