/* A connection on standard input, output and error: what libc's streams and other programs make of it, and the program's own calls beside
 * them, on this number and on the others of the same socket. */
#include "peer.h"

#include <stdarg.h>

/* A connection of which one end is at a standard number, with its other number still open. */
struct placed {
    struct pair p;
    int number;
};

static struct placed placed(int family, int number)
{
    struct placed s = {tcp_pair(family), number};
    EQ(dup2(s.p.client, number), number);
    return s;
}

static void expect(int fd, const char *text)
{
    char got[256] = "";
    recv_all(fd, got, strlen(text));
    EQ(strcmp(got, text), 0);
}

static void at_end(int fd)
{
    char c;
    EQ(read(fd, &c, 1), 0);
}

BOTH(streams_and_calls_keep_their_order)
{
    struct placed s = placed(family, 1);
    for (int i = 0; i < 50; i++) {
        EQ(printf("%02d", i), 2);
        EQ(fflush(stdout), 0);
        send_all(s.p.client, "a", 1);
        EQ(write(1, "b", 1), 1);
        EQ(dprintf(1, "c"), 1);
    }
    for (int i = 0; i < 50; i++) {
        char want[8];
        snprintf(want, sizeof(want), "%02dabc", i);
        expect(s.p.server, want);
    }
}

BOTH(stream_reads_and_the_call_goes_on)
{
    struct placed s = placed(family, 0);
    char line[16] = "";
    setvbuf(stdin, NULL, _IONBF, 0);
    send_all(s.p.server, "one\ntwo\nthree\n", 14);
    TRUE(fgets(line, sizeof(line), stdin) != NULL);
    EQ(strcmp(line, "one\n"), 0);
    expect(s.p.client, "two\n");
    expect(0, "three\n");
    send_all(s.p.server, "four\n", 5);
    EQ(scanf("%15s", line), 1);
    EQ(strcmp(line, "four"), 0);
}

BOTH(what_came_before_is_read_too)
{
    struct pair p = tcp_pair(family);
    char line[16];
    send_all(p.server, "early\n", 6);
    wait_for(p.client, POLLIN);
    EQ(dup2(p.client, 0), 0);
    TRUE(fgets(line, sizeof(line), stdin) != NULL);
    EQ(strcmp(line, "early\n"), 0);
}

BOTH(both_ways_on_one_number)
{
    struct placed s = placed(family, 0);
    FILE *f = fdopen(0, "r+");
    char line[16];
    TRUE(f != NULL);
    EQ(fprintf(f, "question\n"), 9);
    EQ(fflush(f), 0);
    expect(s.p.server, "question\n");
    send_all(s.p.server, "answer\n", 7);
    TRUE(fgets(line, sizeof(line), f) != NULL);
    EQ(strcmp(line, "answer\n"), 0);
}

BOTH(names_are_the_connections)
{
    struct placed s = placed(family, 1);
    struct addr own = local_of(1), peer = peer_of(1), before = local_of(s.p.client), other = local_of(s.p.server);
    TRUE(same_addr(&own, &before));
    TRUE(same_addr(&peer, &other));
    EQ(get_int(1, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    EQ(get_int(1, SOL_SOCKET, SO_DOMAIN), family);
    EQ(get_int(1, SOL_SOCKET, SO_ERROR), 0);
    set_int(1, IPPROTO_TCP, TCP_NODELAY, 1);
    EQ(get_int(s.p.client, IPPROTO_TCP, TCP_NODELAY), 1);
}

BOTH(same_file_at_both_numbers)
{
    struct placed s = placed(family, 1);
    struct stat a, b;
    OK(fstat(1, &a));
    OK(fstat(s.p.client, &b));
    EQ(a.st_ino, b.st_ino);
    TRUE(S_ISSOCK(a.st_mode));
}

BOTH(flags_are_shared)
{
    struct pair p = tcp_pair(family);
    char c;
    set_nonblocking(p.client);
    EQ(dup2(p.client, 0), 0);
    TRUE(fcntl(0, F_GETFL) & O_NONBLOCK);
    ERR(read(0, &c, 1), EAGAIN);
    TRUE(getchar() == EOF && ferror(stdin) && errno == EAGAIN);
    OK(fcntl(0, F_SETFL, 0));
    EQ(fcntl(p.client, F_GETFL) & O_NONBLOCK, 0);
    EQ(fcntl(p.client, F_GETFD), 0);
}

BOTH(close_on_exec_stays_each_numbers_own)
{
    struct pair p = tcp_pair(family);
    OK(fcntl(p.client, F_SETFD, FD_CLOEXEC));
    EQ(dup2(p.client, 1), 1);
    EQ(fcntl(p.client, F_GETFD), FD_CLOEXEC);
    EQ(fcntl(1, F_GETFD), 0);
}

BOTH(timeouts_hold)
{
    struct pair p = tcp_pair(family);
    struct timeval t = {0, 50000};
    char c;
    OK(setsockopt(p.client, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
    EQ(dup2(p.client, 0), 0);
    ERR(read(0, &c, 1), EAGAIN);
    t.tv_usec = 20000;
    OK(setsockopt(0, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
    ERR(recv(p.client, &c, 1, 0), EAGAIN);
}

BOTH(readiness)
{
    struct placed s = placed(family, 0);
    char c;
    EQ(events_of(0, POLLIN | POLLOUT, 0), POLLOUT);
    send_all(s.p.server, "x", 1);
    wait_for(0, POLLIN);
    wait_for(s.p.client, POLLIN);
    EQ(read(0, &c, 1), 1);
    EQ(events_of(0, POLLIN, SHORT_MS), 0);
    OK(shutdown(s.p.server, SHUT_WR));
    wait_for(0, POLLIN | POLLRDHUP);
    at_end(0);
}

BOTH(epoll_and_select)
{
    struct placed s = placed(family, 0);
    int set = (int)OK(epoll_create1(0)), other = tcp(family);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 7};
    fd_set reading;
    OK(epoll_ctl(set, EPOLL_CTL_ADD, 0, &event));
    event.data.u32 = 8;
    OK(epoll_ctl(set, EPOLL_CTL_ADD, other, &event)); /* HUP: never connected */
    EQ(epoll_wait(set, &event, 1, LONG_MS), 1);
    EQ(event.data.u32, 8);
    OK(epoll_ctl(set, EPOLL_CTL_DEL, other, NULL));
    EQ(epoll_wait(set, &event, 1, 0), 0);
    send_all(s.p.server, "x", 1);
    EQ(epoll_wait(set, &event, 1, LONG_MS), 1);
    EQ(event.data.u32, 7);
    FD_ZERO(&reading);
    FD_SET(0, &reading);
    EQ(select(1, &reading, NULL, NULL, NULL), 1);
}

BOTH(peer_that_reads_nothing_holds_the_writer_up)
{
    struct placed s = placed(family, 1);
    size_t sent = 0, got;
    do
        sent += fill(1);
    while (events_of(1, POLLOUT, 5 * SHORT_MS) != 0); /* until there is no room anywhere */
    TRUE(sent > 1000);
    OK(shutdown(1, SHUT_WR));
    set_nonblocking(s.p.server);
    for (got = 0; got < sent;) {
        wait_for(s.p.server, POLLIN);
        size_t n = drain(s.p.server, sent - got);
        TRUE(n > 0);
        got += n;
    }
    wait_for(s.p.server, POLLIN);
    at_end(s.p.server);
}

BOTH(reader_that_reads_nothing_holds_the_peer_up)
{
    struct placed s = placed(family, 0);
    size_t sent = fill(s.p.server), got;
    TRUE(sent > 1000);
    set_nonblocking(0);
    for (got = 0; got < sent;) {
        wait_for(0, POLLIN);
        size_t n = drain(0, sent - got);
        TRUE(n > 0);
        got += n;
    }
    wait_for(s.p.server, POLLOUT);
}

static void writes_8_mb(void *arg)
{
    static char data[1 << 20];
    struct placed *s = arg;
    for (unsigned i = 0; i < 8; i++) {
        pattern(data, sizeof(data), i);
        send_all(s->number, data, sizeof(data));
    }
    OK(shutdown(s->number, SHUT_WR));
}

static void echoes(void *arg)
{
    static char data[100000];
    int fd = *(int *)arg;
    for (ssize_t n; (n = OK(read(fd, data, sizeof(data)))) > 0;)
        send_all(fd, data, (size_t)n);
    OK(shutdown(fd, SHUT_WR));
}

BOTH(much_goes_both_ways)
{
    struct placed s = placed(family, 0);
    static char want[1 << 20], got[1 << 20];
    struct task writer, echo;
    start(&echo, 0, echoes, &s.p.server);
    start(&writer, 0, writes_8_mb, &s);
    for (unsigned i = 0; i < 8; i++) {
        pattern(want, sizeof(want), i);
        recv_all(0, got, sizeof(got));
        EQ(memcmp(want, got, sizeof(got)), 0);
    }
    at_end(0);
    join(&writer);
    join(&echo);
}

BOTH(half_close_leaves_the_other_half)
{
    struct placed s = placed(family, 1);
    OK(shutdown(1, SHUT_WR));
    at_end(s.p.server);
    ERR(send(1, "x", 1, MSG_NOSIGNAL), EPIPE);
    send_all(s.p.server, "still", 5);
    expect(1, "still");
    OK(shutdown(s.p.server, SHUT_WR));
    at_end(1);
}

BOTH(stream_sees_the_end)
{
    struct placed s = placed(family, 0);
    send_all(s.p.server, "z", 1);
    OK(close(s.p.server));
    EQ(getchar(), 'z');
    EQ(getchar(), EOF);
    TRUE(feof(stdin));
}

BOTH(reset_is_seen)
{
    struct placed s = placed(family, 0);
    char c;
    reset(s.p.server);
    wait_for(0, POLLIN | POLLHUP);
    ERR(read(0, &c, 1), ECONNRESET);
    ERR(send(0, "x", 1, MSG_NOSIGNAL), EPIPE);
}

BOTH(closing_with_bytes_unread_resets)
{
    struct placed s = placed(family, 0);
    char c;
    send_all(s.p.server, "unread", 6);
    wait_for(0, POLLIN);
    OK(close(s.p.client));
    OK(close(0));
    wait_for(s.p.server, POLLIN | POLLHUP);
    ERR(read(s.p.server, &c, 1), ECONNRESET);
}

BOTH(last_close_ends_it)
{
    struct placed s = placed(family, 1);
    int third = (int)OK(dup(1));
    OK(close(1));
    OK(close(s.p.client));
    EQ(events_of(s.p.server, POLLIN, SHORT_MS), 0);
    send_all(third, "end", 3);
    OK(close(third));
    expect(s.p.server, "end");
    at_end(s.p.server);
}

BOTH(replaced_and_put_back)
{
    struct pair p = tcp_pair(family);
    int keep = (int)OK(dup(1)), null = (int)OK(open("/dev/null", O_WRONLY));
    EQ(dup2(p.client, 1), 1);
    EQ(printf("first"), 5);
    EQ(fflush(stdout), 0);
    EQ(dup2(null, 1), 1);
    EQ(printf("nowhere"), 7);
    EQ(fflush(stdout), 0);
    EQ(dup2(p.client, 1), 1);
    EQ(printf("second"), 6);
    EQ(fflush(stdout), 0);
    EQ(dup2(keep, 1), 1);
    expect(p.server, "firstsecond");
    OK(close(p.client));
    at_end(p.server);
}

BOTH(lowest_number_by_dup)
{
    struct pair p = tcp_pair(family);
    OK(close(0));
    EQ(dup(p.client), 0);
    send_all(p.server, "low\n", 4);
    char line[8];
    TRUE(fgets(line, sizeof(line), stdin) != NULL);
    EQ(strcmp(line, "low\n"), 0);
}

BOTH(another_program_writes)
{
    struct placed s = placed(family, 1);
    int status = system("echo from elsewhere; echo and twice");
    EQ(status, 0);
    expect(s.p.server, "from elsewhere\nand twice\n");
}

BOTH(another_program_reads)
{
    struct placed s = placed(family, 0);
    send_all(s.p.server, "a line\nanother\n", 15);
    EQ(WEXITSTATUS(system("read x && test \"$x\" = 'a line'")), 0);
    expect(0, "another\n");
}

BOTH(forked_child_shares_it)
{
    struct placed s = placed(family, 1);
    pid_t child = fork();
    if (child == 0) {
        printf("child");
        fflush(stdout);
        char c;
        _exit(read(1, &c, 1) == 1 && c == 'q' ? 7 : 8);
    }
    expect(s.p.server, "child");
    send_all(s.p.server, "q", 1);
    program_ends(child, 7);
    EQ(printf("parent"), 6);
    EQ(fflush(stdout), 0);
    expect(s.p.server, "parent");
}

BOTH(connection_lives_as_long_as_a_child_has_it)
{
    struct placed s = placed(family, 1);
    pid_t child = fork();
    if (child == 0) {
        char c;
        _exit(read(1, &c, 1) == 1 && write(1, "last", 4) == 4 ? 7 : 8);
    }
    OK(close(1));
    OK(close(s.p.client));
    EQ(events_of(s.p.server, POLLIN, SHORT_MS), 0);
    send_all(s.p.server, "q", 1);
    expect(s.p.server, "last");
    at_end(s.p.server);
    program_ends(child, 7);
}

/* --- with a peer elsewhere, at the end of the program ------------------------------------------------------------- */

static void prints_and_returns(int family, int port)
{
    EQ(dup2(program_connects(family, port), 1), 1);
    for (int i = 0; i < 10000; i++)
        printf("%05d\n", i);
}

static void prints_to_its_own_stream(int family, int port)
{
    FILE *f = fdopen(program_connects(family, port), "w");
    for (int i = 0; i < 10000; i++)
        fprintf(f, "%05d\n", i);
}

static void all_lines_come(int family, void (*run)(int, int))
{
    int port, l = k_bound(family, SOCK_STREAM, &port);
    pid_t child = program(run, family, port);
    int s = k_accept(l);
    static char got[70000], want[8];
    size_t have = 0;
    for (ssize_t n; (n = OK(k_recv(s, got + have, sizeof(got) - have))) > 0;)
        have += (size_t)n;
    EQ(have, 60000);
    for (int i = 0; i < 10000; i++) {
        snprintf(want, sizeof(want), "%05d\n", i);
        EQ(memcmp(got + 6 * i, want, 6), 0);
    }
    program_ends(child, 0);
}

BOTH(exit_writes_standard_output_out) { all_lines_come(family, prints_and_returns); }

BOTH(exit_writes_other_streams_out) { all_lines_come(family, prints_to_its_own_stream); }
