/* Connections in child processes: used as they are, and as the standard input and output of another program, whichever way that is started. */
#include "harness.h"

#include <spawn.h>

extern char **environ;

static int status_of(pid_t child)
{
    int status = -1;
    EQ(waitpid(child, &status, 0), child);
    TRUE(WIFEXITED(status));
    return WEXITSTATUS(status);
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
    wait_for(fd, POLLIN);
    EQ(read(fd, &c, 1), 0);
}

/* Exit status 0 when all of it held. */
#define IN_CHILD(...)              \
    ({                             \
        pid_t child_ = fork();     \
        if (child_ == 0) {         \
            __VA_ARGS__;           \
            _exit(0);              \
        }                          \
        TRUE(child_ > 0);          \
        child_;                    \
    })

BOTH(child_reads_and_writes)
{
    struct pair p = tcp_pair(family);
    pid_t child = IN_CHILD({
        expect(p.client, "question");
        send_all(p.client, "answer", 6);
    });
    send_all(p.server, "question", 8);
    expect(p.server, "answer");
    EQ(status_of(child), 0);
    send_all(p.client, "and on", 6);
    expect(p.server, "and on");
    send_all(p.server, "back", 4);
    expect(p.client, "back");
}

BOTH(child_finds_what_came_before)
{
    struct pair p = tcp_pair(family);
    send_all(p.server, "early", 5);
    wait_for(p.client, POLLIN);
    EQ(status_of(IN_CHILD(expect(p.client, "early"))), 0);
}

BOTH(child_knows_the_names)
{
    struct pair p = tcp_pair(family);
    struct addr own = local_of(p.client), peer = peer_of(p.client);
    pid_t child = IN_CHILD({
        struct addr own_there = local_of(p.client), peer_there = peer_of(p.client);
        TRUE(same_addr(&own, &own_there) && same_addr(&peer, &peer_there));
        EQ(get_int(p.client, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
        EQ(get_int(p.client, SOL_SOCKET, SO_ERROR), 0);
    });
    EQ(status_of(child), 0);
}

BOTH(childs_number_keeps_its_place)
{
    struct pair p = tcp_pair(family);
    OK(fcntl(p.client, F_SETFD, FD_CLOEXEC));
    pid_t child = IN_CHILD({
        char path[64], before[64] = "", after[64] = "";
        snprintf(path, sizeof(path), "/proc/self/fd/%d", p.client);
        OK(readlink(path, before, sizeof(before) - 1));
        EQ(fcntl(p.client, F_GETFD), FD_CLOEXEC);
        OK(fcntl(p.client, F_SETFD, 0));
        EQ(fcntl(p.client, F_GETFD), 0);
        OK(readlink(path, after, sizeof(after) - 1));
        EQ(strcmp(before, after), 0);
        send_all(p.client, "used", 4);
        EQ(fcntl(p.client, F_GETFD), 0);
    });
    expect(p.server, "used");
    EQ(status_of(child), 0);
    EQ(fcntl(p.client, F_GETFD), FD_CLOEXEC);
}

BOTH(child_waits)
{
    struct pair p = tcp_pair(family);
    pid_t child = IN_CHILD({
        int set = (int)OK(epoll_create1(0));
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = 3};
        EQ(events_of(p.client, POLLIN | POLLOUT, 0), POLLOUT);
        OK(epoll_ctl(set, EPOLL_CTL_ADD, p.client, &event));
        send_all(p.client, "go", 2);
        EQ(epoll_wait(set, &event, 1, LONG_MS), 1);
        EQ(event.data.u32, 3);
        expect(p.client, "now");
    });
    expect(p.server, "go");
    send_all(p.server, "now", 3);
    EQ(status_of(child), 0);
}

BOTH(child_ends_its_half)
{
    struct pair p = tcp_pair(family);
    pid_t child = IN_CHILD({
        send_all(p.client, "last", 4);
        OK(shutdown(p.client, SHUT_WR));
        expect(p.client, "still");
    });
    expect(p.server, "last");
    at_end(p.server);
    send_all(p.server, "still", 5);
    EQ(status_of(child), 0);
}

BOTH(child_sees_the_end)
{
    struct pair p = tcp_pair(family);
    pid_t child = IN_CHILD({
        close(p.server);
        at_end(p.client);
    });
    OK(close(p.client));
    OK(close(p.server));
    EQ(status_of(child), 0);
}

BOTH(much_goes_through_a_child)
{
    struct pair p = tcp_pair(family);
    static char data[1 << 20], got[1 << 20];
    pid_t child = IN_CHILD({
        static char part[50000];
        close(p.server);
        for (ssize_t n; (n = OK(read(p.client, part, sizeof(part)))) > 0;)
            send_all(p.client, part, (size_t)n);
    });
    OK(close(p.client));
    pattern(data, sizeof(data), 3);
    for (int i = 0; i < 4; i++) {
        /* In pieces: what is on its way there and back has to find room somewhere. */
        for (size_t at = 0; at < sizeof(data); at += 1 << 15) {
            send_all(p.server, data + at, 1 << 15);
            recv_all(p.server, got + at, 1 << 15);
        }
        EQ(memcmp(data, got, sizeof(data)), 0);
    }
    OK(shutdown(p.server, SHUT_WR));
    at_end(p.server);
    EQ(status_of(child), 0);
}

BOTH(connection_goes_on_without_the_parent)
{
    struct pair p = tcp_pair(family);
    pid_t child = IN_CHILD({
        close(p.server);
        sleep_ms(SHORT_MS); /* the parent has closed its own by now */
        send_all(p.client, "late", 4);
    });
    OK(close(p.client));
    expect(p.server, "late");
    at_end(p.server);
    EQ(status_of(child), 0);
}

BOTH(closing_both_ends_it_while_the_child_lives)
{
    struct pair p = tcp_pair(family);
    int go[2];
    OK(pipe(go));
    pid_t child = IN_CHILD({
        char c;
        close(go[1]);
        close(p.client);
        close(p.server);
        EQ(read(go[0], &c, 1), 0);
    });
    OK(close(p.client));
    at_end(p.server);
    OK(close(go[1]));
    EQ(status_of(child), 0);
}

BOTH(child_closes_what_it_has_used)
{
    struct pair p = tcp_pair(family);
    int go[2];
    OK(pipe(go));
    pid_t child = IN_CHILD({
        char c;
        close(go[1]);
        close(p.server);
        send_all(p.client, "used", 4);
        close(p.client);
        EQ(read(go[0], &c, 1), 0);
    });
    OK(close(p.client));
    expect(p.server, "used");
    at_end(p.server);
    OK(close(go[1]));
    EQ(status_of(child), 0);
}

BOTH(child_and_parent_in_turn)
{
    for (int i = 0; i < 10; i++) {
        struct pair p = tcp_pair(family);
        int keep = (int)OK(dup(1));
        EQ(status_of(IN_CHILD(send_all(p.client, "one", 3))), 0);
        EQ(dup2(p.client, 1), 1);
        EQ(printf("two"), 3);
        EQ(fflush(stdout), 0);
        expect(p.server, "onetwo");
        EQ(events_of(p.server, POLLIN | POLLRDHUP, SHORT_MS), 0);
        send_all(p.server, "three", 5);
        expect(p.client, "three");
        EQ(dup2(keep, 1), 1);
        send_all(p.server, "four", 4);
        EQ(status_of(IN_CHILD(expect(p.client, "four"); send_all(p.client, "five", 4))), 0);
        expect(p.server, "five");
        OK(close(p.server));
        OK(close(p.client));
        OK(close(keep));
    }
}

BOTH(grandchild_uses_it)
{
    struct pair p = tcp_pair(family);
    pid_t child = IN_CHILD({
        pid_t grandchild = IN_CHILD({
            close(p.server);
            sleep_ms(SHORT_MS);
            send_all(p.client, "far", 3);
        });
        close(p.client); /* which ends nothing */
        _exit(status_of(grandchild));
    });
    OK(close(p.client));
    expect(p.server, "far");
    at_end(p.server);
    EQ(status_of(child), 0);
}

BOTH(children_have_one_connection_each)
{
    enum { N = 8 };
    struct pair p[N];
    pid_t child[N];
    for (int i = 0; i < N; i++) {
        p[i] = tcp_pair(family);
        child[i] = IN_CHILD({
            char c = (char)('a' + i);
            for (int j = 0; j <= i; j++)
                close(p[j].server);
            send_all(p[i].client, &c, 1);
            expect(p[i].client, "done");
        });
        OK(close(p[i].client));
    }
    for (int i = 0; i < N; i++) {
        char want[2] = {(char)('a' + i), 0};
        expect(p[i].server, want);
        send_all(p[i].server, "done", 4);
        at_end(p[i].server);
        EQ(status_of(child[i]), 0);
    }
}

/* --- another program on it ---------------------------------------------------------------------------------------- */

static void is_echoed(int fd)
{
    static char data[100000], got[100000];
    pattern(data, sizeof(data), 5);
    for (int i = 0; i < 10; i++) {
        size_t at = (size_t)i * 10000;
        send_all(fd, data + at, 10000);
        recv_all(fd, got + at, 10000);
    }
    EQ(memcmp(data, got, sizeof(data)), 0);
    OK(shutdown(fd, SHUT_WR));
    at_end(fd);
}

BOTH(fork_and_exec)
{
    struct pair p = tcp_pair(family);
    pid_t child = IN_CHILD({
        OK(dup2(p.client, 0));
        OK(dup2(p.client, 1));
        closefrom(3);
        execlp("cat", "cat", NULL);
        _exit(1);
    });
    OK(close(p.client));
    is_echoed(p.server);
    EQ(status_of(child), 0);
}

BOTH(vfork_and_exec)
{
    struct pair p = tcp_pair(family);
    pid_t child = vfork();
    if (child == 0) {
        if (dup2(p.client, 0) == 0 && dup2(p.client, 1) == 1 && close(p.client) == 0 && close(p.server) == 0)
            execlp("cat", "cat", NULL);
        _exit(1);
    }
    TRUE(child > 0);
    OK(close(p.client));
    is_echoed(p.server);
    EQ(status_of(child), 0);
}

BOTH(vfork_and_exec_one_after_the_other)
{
    for (int i = 0; i < 5; i++) {
        struct pair p = tcp_pair(family);
        pid_t child = vfork();
        if (child == 0) {
            dup3(p.client, 1, 0);
            close(p.server);
            execlp("echo", "echo", "hello", NULL);
            _exit(1);
        }
        OK(close(p.client));
        expect(p.server, "hello\n");
        EQ(status_of(child), 0);
        at_end(p.server);
        OK(close(p.server));
    }
}

BOTH(vfork_and_exec_at_once)
{
    struct pair p = tcp_pair(family);
    enum { N = 4 };
    pid_t child[N];
    for (int i = 0; i < N; i++) {
        child[i] = vfork();
        if (child[i] == 0) {
            dup2(p.client, 1);
            close(p.server);
            execlp("echo", "echo", "hello", NULL);
            _exit(1);
        }
    }
    OK(close(p.client));
    for (int i = 0; i < N; i++)
        expect(p.server, "hello\n");
    for (int i = 0; i < N; i++)
        EQ(status_of(child[i]), 0);
    at_end(p.server);
}

BOTH(vfork_in_a_child_of_vfork)
{
    struct pair p = tcp_pair(family);
    pid_t child = vfork();
    if (child == 0) {
        dup2(p.client, 1);
        pid_t grandchild = vfork();
        if (grandchild == 0) {
            close(p.server);
            execlp("echo", "echo", "hello", NULL);
            _exit(1);
        }
        close(p.server);
        int status = 1;
        _exit(grandchild < 0 || waitpid(grandchild, &status, 0) != grandchild || status != 0);
    }
    // The parent's number is still the connection, both ways, and nothing else.
    TRUE(child > 0);
    expect(p.server, "hello\n");
    EQ(status_of(child), 0);
    EQ(write(p.client, "there", 5), 5);
    expect(p.server, "there");
    EQ(write(p.server, "back", 4), 4);
    expect(p.client, "back");
    OK(close(p.client));
    at_end(p.server);
}

BOTH(vfork_and_exec_on_a_copy)
{
    struct pair p = tcp_pair(family);
    pid_t child = vfork();
    if (child == 0) {
        int copy = dup(p.client), other = fcntl(p.client, F_DUPFD_CLOEXEC, 50);
        close(p.client);
        close(p.server);
        if (copy >= 0 && other >= 50 && dup2(other, 0) == 0 && dup2(copy, 1) == 1 && close(copy) == 0)
            execlp("cat", "cat", NULL);
        _exit(1);
    }
    OK(close(p.client));
    is_echoed(p.server);
    EQ(status_of(child), 0);
}

BOTH(vfork_childs_copies_are_its_own)
{
    struct pair p = tcp_pair(family);
    pid_t child = vfork();
    if (child == 0) {
        dup(p.client);
        fcntl(p.client, F_DUPFD, 50);
        _exit(0);
    }
    EQ(status_of(child), 0);
    ERR(fcntl(50, F_GETFD), EBADF);
    ERR(close(50), EBADF);
    OK(close(p.client));
    at_end(p.server);
}

BOTH(vfork_child_puts_something_else_there)
{
    struct pair p = tcp_pair(family);
    int null = (int)OK(open("/dev/null", O_RDWR));
    pid_t child = vfork();
    if (child == 0) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof(peer);
        if (dup2(null, p.client) == p.client && getpeername(p.client, (struct sockaddr *)&peer, &len) < 0 && errno == ENOTSOCK &&
            dup2(p.client, 1) == 1) {
            close(p.server);
            execlp("echo", "echo", "nobody hears it", NULL);
        }
        _exit(1);
    }
    EQ(status_of(child), 0);
    send_all(p.client, "own", 3);
    expect(p.server, "own");
    OK(close(p.client));
    at_end(p.server);
}

BOTH(vfork_leaves_the_parents_to_it)
{
    struct pair p = tcp_pair(family);
    pid_t child = vfork();
    if (child == 0) {
        dup2(p.client, 1);
        close(p.server);
        execlp("echo", "echo", "one", NULL);
        _exit(1);
    }
    EQ(status_of(child), 0);
    expect(p.server, "one\n");
    send_all(p.client, "two", 3);
    expect(p.server, "two");
    send_all(p.server, "three", 5);
    expect(p.client, "three");
}

BOTH(spawned)
{
    struct pair p = tcp_pair(family);
    posix_spawn_file_actions_t actions;
    char *args[] = {"cat", NULL};
    pid_t child;
    EQ(posix_spawn_file_actions_init(&actions), 0);
    EQ(posix_spawn_file_actions_adddup2(&actions, p.client, 0), 0);
    EQ(posix_spawn_file_actions_adddup2(&actions, p.client, 1), 0);
    EQ(posix_spawn_file_actions_addclose(&actions, p.client), 0);
    EQ(posix_spawn_file_actions_addclose(&actions, p.server), 0);
    EQ(posix_spawnp(&child, "cat", &actions, NULL, args, environ), 0);
    EQ(posix_spawn_file_actions_destroy(&actions), 0);
    OK(close(p.client));
    is_echoed(p.server);
    EQ(status_of(child), 0);
}

BOTH(server_that_forks)
{
    struct addr at;
    int l = listener(family, 8, &at);
    pid_t child[5];
    int client[5];
    for (int i = 0; i < 5; i++) {
        client[i] = tcp(family);
        OK(connect(client[i], &at.sa, at.len));
        int s = (int)OK(accept(l, NULL, NULL));
        child[i] = IN_CHILD({
            close(l);
            for (int j = 0; j <= i; j++)
                close(client[j]);
            dup2(s, 0);
            dup2(s, 1);
            close(s);
            execlp("sh", "sh", "-c", "read line; echo \"you said $line\"", NULL);
            _exit(1);
        });
        OK(close(s));
    }
    for (int i = 4; i >= 0; i--) {
        send_all(client[i], "hello\n", 6);
        expect(client[i], "you said hello\n");
        at_end(client[i]);
        EQ(status_of(child[i]), 0);
    }
}

BOTH(error_output_too)
{
    struct pair p = tcp_pair(family);
    pid_t child = IN_CHILD({
        dup2(p.client, 2);
        execlp("sh", "sh", "-c", "echo complaint >&2", NULL);
        _exit(1);
    });
    expect(p.server, "complaint\n");
    EQ(status_of(child), 0);
}
