/* SO_LINGER and close(2). */
#include "harness.h"

static void set_linger(int fd, int on, int seconds)
{
    struct linger l = {on, seconds};
    OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
}

BOTH(zero_resets)
{
    struct pair p = tcp_pair(family);
    char c;
    set_linger(p.client, 1, 0);
    OK(close(p.client));
    ERR(recv(p.server, &c, 1, 0), ECONNRESET);
}

BOTH(zero_resets_even_with_data_to_send)
{
    struct pair p = tcp_pair(family);
    fill(p.client);
    set_linger(p.client, 1, 0);
    OK(close(p.client));
    wait_for(p.server, POLLERR);
    drain(p.server, SIZE_MAX);
    ERR(send(p.server, "x", 1, MSG_NOSIGNAL), EPIPE);
}

BOTH(nothing_to_send_returns_soon)
{
    struct pair p = tcp_pair(family);
    char c;
    long long begin = now_ms();
    set_linger(p.client, 1, 30);
    OK(shutdown(p.server, SHUT_WR));
    EQ(recv(p.client, &c, 1, 0), 0);
    OK(close(p.client));
    RANGE(now_ms() - begin, 0, LONG_MS);
    EQ(recv(p.server, &c, 1, 0), 0);
}

static void drain_all(void *arg) { drain(*(int *)arg, SIZE_MAX); }

BOTH(waits_until_the_data_is_taken)
{
    struct pair p = tcp_pair(family);
    struct task t;
    fill(p.client);
    OK(fcntl(p.client, F_SETFL, 0));
    set_linger(p.client, 1, 30);
    start(&t, 4 * SHORT_MS, drain_all, &p.server);
    long long begin = now_ms();
    OK(close(p.client));
    RANGE(now_ms() - begin, 3 * SHORT_MS, 2 * LONG_MS);
    join(&t);
}

BOTH(gives_up_after_its_time)
{
    struct pair p = tcp_pair(family);
    size_t filled = fill(p.client);
    OK(fcntl(p.client, F_SETFL, 0));
    set_linger(p.client, 1, 1);
    long long begin = now_ms();
    OK(close(p.client));
    RANGE(now_ms() - begin, 900, LONG_MS);
    EQ(drain(p.server, filled + 1), filled); /* it is delivered all the same */
}

BOTH(without_it_close_returns_at_once)
{
    struct pair p = tcp_pair(family);
    size_t filled = fill(p.client);
    OK(fcntl(p.client, F_SETFL, 0));
    long long begin = now_ms();
    OK(close(p.client));
    RANGE(now_ms() - begin, 0, LONG_MS);
    EQ(drain(p.server, filled + 1), filled);
}

BOTH(a_duplicate_means_no_close_yet)
{
    struct pair p = tcp_pair(family);
    int copy = (int)OK(dup(p.client));
    char c;
    set_linger(p.client, 1, 0);
    OK(close(p.client));
    EQ(events_of(p.server, POLLIN, SHORT_MS), 0);
    OK(close(copy));
    ERR(recv(p.server, &c, 1, 0), ECONNRESET);
}

BOTH(on_a_listener)
{
    struct addr at;
    int l = listener(family, 1, &at);
    long long begin = now_ms();
    set_linger(l, 1, 30);
    OK(close(l));
    RANGE(now_ms() - begin, 0, LONG_MS);
}

BOTH(on_an_unconnected_socket)
{
    int fd = tcp(family);
    long long begin = now_ms();
    set_linger(fd, 1, 30);
    OK(close(fd));
    RANGE(now_ms() - begin, 0, LONG_MS);
}
