/* Signals that meet a blocked call: EINTR, restarts, partial counts. */
#include "harness.h"

struct order {
    int fd;
    const char *text;
};

static void send_text(void *arg)
{
    struct order *o = arg;
    send_all(o->fd, o->text, strlen(o->text));
}

BOTH(recv_is_interrupted)
{
    struct pair p = tcp_pair(family);
    struct task t;
    char c;
    catch_signal(SIGUSR1, 0);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    ERR(recv(p.client, &c, 1, 0), EINTR);
    EQ(caught_signals, 1);
    join(&t);
}

static void send_text_afterwards(void *arg)
{
    until_caught();
    send_text(arg);
}

BOTH(recv_restarts)
{
    struct pair p = tcp_pair(family);
    struct task t, u;
    struct order o = {p.client, "x"};
    char c;
    catch_signal(SIGUSR1, SA_RESTART);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    start(&u, 0, send_text_afterwards, &o);
    EQ(recv(p.server, &c, 1, 0), 1);
    EQ(caught_signals, 1);
    join(&t);
    join(&u);
}

BOTH(recv_with_a_timeout_never_restarts)
{
    struct pair p = tcp_pair(family);
    struct task t;
    struct timeval tv = {3, 0};
    char c;
    OK(setsockopt(p.client, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    catch_signal(SIGUSR1, SA_RESTART);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    ERR(recv(p.client, &c, 1, 0), EINTR);
    join(&t);
}

BOTH(waitall_gives_what_came)
{
    struct pair p = tcp_pair(family);
    struct task t;
    char got[10];
    send_all(p.client, "abc", 3);
    catch_signal(SIGUSR1, 0);
    send_signal_after(&t, 2 * SHORT_MS, SIGUSR1);
    EQ(recv(p.server, got, 10, MSG_WAITALL), 3);
    join(&t);
}

BOTH(accept_is_interrupted)
{
    struct addr at;
    struct task t;
    int l = listener(family, 1, &at);
    catch_signal(SIGUSR1, 0);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    ERR(accept(l, NULL, NULL), EINTR);
    join(&t);
}

static void connect_to(void *arg)
{
    struct addr *at = arg;
    OK(connect(tcp(at->sa.sa_family), &at->sa, at->len));
}

static void connect_afterwards(void *arg)
{
    until_caught();
    connect_to(arg);
}

BOTH(accept_restarts)
{
    struct addr at;
    struct task t, u;
    int l = listener(family, 1, &at);
    catch_signal(SIGUSR1, SA_RESTART);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    start(&u, 0, connect_afterwards, &at);
    OK(accept(l, NULL, NULL));
    EQ(caught_signals, 1);
    join(&t);
    join(&u);
}

BOTH(connect_is_interrupted_and_goes_on)
{
    struct addr at;
    struct task t;
    int l = listener(family, 0, &at), fd = tcp(family);
    OK(connect(tcp(family), &at.sa, at.len));
    sleep_ms(SHORT_MS);
    catch_signal(SIGUSR1, 0);
    send_signal_after(&t, 2 * SHORT_MS, SIGUSR1);
    ERR(connect(fd, &at.sa, at.len), EINTR);
    set_nonblocking(fd);
    ERR(connect(fd, &at.sa, at.len), EALREADY);
    OK(accept(l, NULL, NULL));
    wait_for(fd, POLLOUT);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
    peer_of(fd);
    join(&t);
}

BOTH(send_is_interrupted)
{
    struct pair p = tcp_pair(family);
    struct task t;
    fill(p.client);
    OK(fcntl(p.client, F_SETFL, 0));
    catch_signal(SIGUSR1, 0);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    ERR(send(p.client, "x", 1, 0), EINTR);
    join(&t);
}

BOTH(send_gives_the_partial_count)
{
    struct pair p = tcp_pair(family);
    struct task t;
    size_t size = 64 * 1024 * 1024;
    char *data = calloc(1, size);
    catch_signal(SIGUSR1, SA_RESTART);
    send_signal_after(&t, 4 * SHORT_MS, SIGUSR1);
    RANGE(send(p.client, data, size, 0), 1, (long long)size - 1);
    join(&t);
}

BOTH(ignored_signals_do_not_interrupt)
{
    struct pair p = tcp_pair(family);
    struct task t, u;
    struct order o = {p.client, "x"};
    char c;
    signal(SIGUSR1, SIG_IGN);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    start(&u, 2 * SHORT_MS, send_text, &o);
    EQ(recv(p.server, &c, 1, 0), 1);
    join(&t);
    join(&u);
}

BOTH(blocked_signals_do_not_interrupt)
{
    struct pair p = tcp_pair(family);
    struct task t, u;
    struct order o = {p.client, "x"};
    sigset_t s;
    char c;
    catch_signal(SIGUSR1, 0);
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    EQ(pthread_sigmask(SIG_BLOCK, &s, NULL), 0);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    start(&u, 2 * SHORT_MS, send_text, &o);
    EQ(recv(p.server, &c, 1, 0), 1);
    EQ(caught_signals, 0);
    join(&t);
    join(&u);
}

BOTH(datagram_recv_is_interrupted)
{
    struct addr at;
    struct task t;
    char c;
    int fd = bound_udp(family, &at);
    catch_signal(SIGUSR1, 0);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    ERR(recv(fd, &c, 1, 0), EINTR);
    join(&t);
}

static int handler_fd;
static volatile sig_atomic_t handler_sent;

static void send_in_handler(int signo)
{
    (void)signo;
    handler_sent = (int)send(handler_fd, "h", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

BOTH(a_handler_may_send)
{
    struct pair p = tcp_pair(family);
    struct task t;
    char c;
    handler_fd = p.client;
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = send_in_handler;
    action.sa_flags = SA_RESTART;
    OK(sigaction(SIGUSR1, &action, NULL));
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    EQ(recv(p.server, &c, 1, 0), 1); /* what its own handler sent */
    EQ(c, 'h');
    EQ(handler_sent, 1);
    join(&t);
}

BOTH(many_signals_lose_no_data)
{
    struct pair p = tcp_pair(family);
    struct itimerval every = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    static unsigned char data[200000], got[200000];
    size_t sent = 0, have = 0;
    pattern(data, sizeof(data), 9);
    catch_signal(SIGVTALRM, 0);
    OK(setitimer(ITIMER_VIRTUAL, &every, NULL));
    while (have < sizeof(got)) {
        size_t chunk = sizeof(data) - sent < 3000 ? sizeof(data) - sent : 3000;
        if (chunk > 0) {
            ssize_t n = send(p.client, data + sent, chunk, 0);
            TRUE(n > 0 || errno == EINTR);
            sent += n > 0 ? (size_t)n : 0;
        }
        ssize_t n = recv(p.server, got + have, sizeof(got) - have, MSG_DONTWAIT);
        TRUE(n > 0 || errno == EINTR || errno == EAGAIN);
        have += n > 0 ? (size_t)n : 0;
    }
    OK(setitimer(ITIMER_VIRTUAL, &never, NULL));
    EQ(memcmp(data, got, sizeof(got)), 0);
}

BOTH(blocking_connect_under_signals)
{
    struct addr at;
    struct itimerval every = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
    int l = listener(family, 4, &at);
    catch_signal(SIGVTALRM, SA_RESTART);
    OK(setitimer(ITIMER_VIRTUAL, &every, NULL));
    for (int i = 0; i < 30; i++) {
        struct pair p = pair_through(l, &at);
        OK(close(p.client));
        OK(close(p.server));
    }
    OK(setitimer(ITIMER_VIRTUAL, &never, NULL));
}
