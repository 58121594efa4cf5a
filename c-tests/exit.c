/* What was written is delivered when the program ends, however it ends. */
#include "peer.h"

static void writes_and_returns(int family, int port) { send_pattern(program_connects(family, port), 50000, 1); }

static void writes_and_exits(int family, int port)
{
    send_pattern(program_connects(family, port), 50000, 1);
    exit(5);
}

static void writes_and_underscore_exits(int family, int port)
{
    send_pattern(program_connects(family, port), 50000, 1);
    _exit(5);
}

static void writes_and_quick_exits(int family, int port)
{
    send_pattern(program_connects(family, port), 50000, 1);
    quick_exit(5);
}

static void writes_closes_and_underscore_exits(int family, int port)
{
    int fd = program_connects(family, port);
    send_pattern(fd, 50000, 1);
    OK(close(fd));
    _exit(5);
}

static void delivered(int family, void (*run)(int, int), int status)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(run, family, port);
    int s = k_accept(l);
    sleep_ms(SHORT_MS); /* the program is long at its end */
    EQ(k_read_pattern(s, 50000, 1), 50000);
    program_ends(child, status);
}

BOTH(return_delivers) { delivered(family, writes_and_returns, 0); }

BOTH(exit_delivers) { delivered(family, writes_and_exits, 5); }

BOTH(underscore_exit_delivers) { delivered(family, writes_and_underscore_exits, 5); }

BOTH(quick_exit_delivers) { delivered(family, writes_and_quick_exits, 5); }

BOTH(close_and_underscore_exit_deliver) { delivered(family, writes_closes_and_underscore_exits, 5); }

static void writes_much(int family, int port)
{
    send_pattern(program_connects(family, port), 3000000, 2);
}

BOTH(much_is_delivered_to_a_slow_reader)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(writes_much, family, port);
    int s = k_accept(l);
    sleep_ms(300);
    EQ(k_read_pattern(s, 3000000, 2), 3000000);
    program_ends(child, 0);
}

static void serves_and_returns(int family, int port)
{
    send_pattern(program_accepts(family, port), 13, 3); /* the tutorials' server: no close */
}

BOTH(server_that_writes_and_returns)
{
    pid_t child = program(serves_and_returns, family, PROGRAM_PORT);
    int fd = k_connect(family, PROGRAM_PORT);
    EQ(k_read_pattern(fd, 13, 3), 13);
    program_ends(child, 0);
}

static void leaves_data_unread(int family, int port)
{
    int fd = program_connects(family, port);
    send_all(fd, "?", 1);
    wait_for(fd, POLLIN);
}

BOTH(unread_data_is_a_reset)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(leaves_data_unread, family, port);
    int s = k_accept(l);
    char c;
    EQ(k_recv(s, &c, 1), 1);
    k_send(s, "answer", 6);
    program_ends(child, 0);
    ERR(k_recv(s, &c, 1), ECONNRESET);
}

static void says_hello_and_waits(int family, int port)
{
    char c;
    int fd = program_connects(family, port);
    send_all(fd, "h", 1);
    recv(fd, &c, 1, 0);
}

BOTH(killed_program_closes_its_connections)
{
    int port, status, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(says_hello_and_waits, family, port);
    int s = k_accept(l);
    char c;
    struct pollfd f = {s, POLLIN, 0};
    EQ(k_recv(s, &c, 1), 1);
    OK(kill(child, SIGKILL));
    EQ(waitpid(child, &status, 0), child);
    EQ(kernel_call(SYS_poll, &f, 1, LONG_MS / 2), 1);
    EQ(k_recv(s, &c, 1), 0);
}

static void only_opens(int family, int port)
{
    (void)port;
    tcp(family);
    udp(family);
}

BOTH(nothing_sent_is_no_delay)
{
    long long begin = now_ms();
    program_ends(program(only_opens, family, 0), 0);
    RANGE(now_ms() - begin, 0, LONG_MS);
}

static void connection_is_idle(int family, int port)
{
    char c;
    int fd = program_connects(family, port);
    EQ(recv(fd, &c, 1, 0), 1);
}

BOTH(idle_connection_is_no_delay)
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(connection_is_idle, family, port);
    int s = k_accept(l);
    char c;
    long long begin = now_ms();
    k_send(s, "x", 1);
    program_ends(child, 0);
    RANGE(now_ms() - begin, 0, LONG_MS);
    EQ(k_recv(s, &c, 1), 0);
}
