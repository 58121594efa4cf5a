/* fork(2) with open sockets. */
#include "harness.h"

static int status_of(pid_t child)
{
    int status = -1;
    EQ(waitpid(child, &status, 0), child);
    TRUE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

BOTH(child_uses_an_inherited_connection)
{
    struct pair p = tcp_pair(family);
    char c;
    pid_t child = (pid_t)OK(fork());
    if (child == 0)
        _exit(send(p.client, "c", 1, MSG_NOSIGNAL) == 1 ? 0 : 1);
    EQ(status_of(child), 0);
    recv_all(p.server, &c, 1);
    EQ(c, 'c');
}

BOTH(child_accepts_on_an_inherited_listener)
{
    struct addr at;
    int l = listener(family, 1, &at);
    OK(connect(tcp(family), &at.sa, at.len));
    pid_t child = (pid_t)OK(fork());
    if (child == 0)
        _exit(accept(l, NULL, NULL) >= 0 ? 0 : 1);
    EQ(status_of(child), 0);
}

BOTH(connection_ends_at_the_last_close)
{
    struct pair p = tcp_pair(family);
    int go[2];
    char c;
    OK(pipe(go));
    pid_t child = (pid_t)OK(fork());
    if (child == 0) {
        close(p.server);
        close(go[1]); /* else it would wait for itself when the parent fails */
        if (read(go[0], &c, 1) != 1)
            _exit(1);
        _exit(0); /* which closes the child's copy */
    }
    OK(close(p.client));
    EQ(events_of(p.server, POLLIN | POLLRDHUP, 2 * SHORT_MS), 0);
    EQ(write(go[1], "g", 1), 1);
    EQ(status_of(child), 0);
    EQ(recv(p.server, &c, 1, 0), 0);
}

BOTH(parent_goes_on)
{
    struct pair p = tcp_pair(family);
    char c;
    pid_t child = (pid_t)OK(fork());
    if (child == 0)
        _exit(7);
    EQ(status_of(child), 7);
    send_all(p.client, "x", 1);
    recv_all(p.server, &c, 1);
    EQ(c, 'x');
    EQ(events_of(p.server, POLLIN | POLLRDHUP, 0), 0); /* the child's end closed nothing */
}

BOTH(parent_goes_on_while_the_child_lives)
{
    struct pair p = tcp_pair(family);
    unsigned char data[1000], got[1000];
    int stop[2];
    OK(pipe(stop));
    pid_t child = (pid_t)OK(fork());
    if (child == 0) {
        char c;
        close(stop[1]);
        _exit(read(stop[0], &c, 1) == 0 ? 0 : 1);
    }
    for (unsigned i = 0; i < 100; i++) {
        pattern(data, sizeof(data), i);
        send_all(p.client, data, sizeof(data));
        recv_all(p.server, got, sizeof(got));
        EQ(memcmp(data, got, sizeof(got)), 0);
    }
    OK(close(stop[1]));
    EQ(status_of(child), 0);
}

BOTH(closing_in_the_child_does_not_close_in_the_parent)
{
    struct pair p = tcp_pair(family);
    char c;
    pid_t child = (pid_t)OK(fork());
    if (child == 0) {
        close(p.client);
        close(p.server);
        _exit(0);
    }
    EQ(status_of(child), 0);
    send_all(p.server, "x", 1);
    recv_all(p.client, &c, 1);
}

BOTH(child_before_any_socket)
{
    pid_t child = (pid_t)OK(fork());
    if (child == 0)
        _exit(0);
    EQ(status_of(child), 0);
    struct pair p = tcp_pair(family);
    char c;
    send_all(p.client, "x", 1);
    recv_all(p.server, &c, 1);
}

BOTH(child_has_its_own_sockets_when_the_parent_has_none)
{
    pid_t child = (pid_t)OK(fork());
    if (child == 0) {
        struct pair p = tcp_pair(family);
        char c;
        send_all(p.client, "x", 1);
        recv_all(p.server, &c, 1);
        _exit(c == 'x' ? 0 : 1);
    }
    EQ(status_of(child), 0);
}

BOTH(child_opens_a_socket_while_the_parent_has_some)
{
    tcp_pair(family);
    pid_t child = (pid_t)OK(fork());
    if (child == 0)
        _exit(socket(family, SOCK_STREAM, 0) >= 0 ? 0 : 1);
    EQ(status_of(child), 0);
}

BOTH(child_uses_pipes_and_files)
{
    int p[2];
    char c = 0;
    tcp_pair(family);
    OK(pipe(p));
    pid_t child = (pid_t)OK(fork());
    if (child == 0)
        _exit(write(p[1], "p", 1) == 1 && events_of(p[0], POLLIN, 100) == POLLIN ? 0 : 1);
    EQ(status_of(child), 0);
    EQ(read(p[0], &c, 1), 1);
    EQ(c, 'p');
}

BOTH(system_works_with_open_sockets)
{
    struct pair p = tcp_pair(family);
    char c;
    EQ(system("exit 3") >> 8, 3);
    FILE *f = popen("echo out", "r");
    char line[16];
    TRUE(fgets(line, sizeof(line), f) != NULL);
    EQ(strcmp(line, "out\n"), 0);
    EQ(pclose(f), 0);
    send_all(p.client, "x", 1);
    recv_all(p.server, &c, 1);
}

/* --- fork while other threads are in the middle of calls -------------------------------------------------------------------------- */

struct crowd {
    int fd;
    volatile bool over;
};

static void ask_again_and_again(void *arg)
{
    struct crowd *c = arg;
    char byte;
    while (!c->over)
        ERR(recv(c->fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
}

/* What the other threads hold at that moment, nobody in the child lets go of. */
BOTH(children_end_whatever_other_threads_hold)
{
    enum { N = 6, FORKS = 400 };
    static struct task t[N];
    struct crowd crowd = {tcp_pair(family).server, false};
    for (int i = 0; i < N; i++)
        start(&t[i], 0, ask_again_and_again, &crowd);
    long long end = now_ms() + 1500;
    for (int i = 0; i < FORKS && now_ms() < end; i++) {
        pid_t child = (pid_t)OK(fork());
        if (child == 0) {
            char byte;
            recv(crowd.fd, &byte, 1, MSG_DONTWAIT);
            _exit(7);
        }
        EQ(status_of(child), 7);
    }
    crowd.over = true;
    for (int i = 0; i < N; i++)
        join(&t[i]);
}

static void open_one(void *arg) { tcp(*(int *)arg); }

BOTH(fork_while_another_thread_opens_the_first_socket)
{
    struct task t;
    start(&t, 0, open_one, &family);
    for (int i = 0; i < 40; i++) {
        pid_t child = (pid_t)OK(fork());
        if (child == 0) {
            socket(family, SOCK_STREAM, 0);
            _exit(7);
        }
        EQ(status_of(child), 7);
    }
    join(&t);
}

static volatile pid_t forked;
static void fork_here(int signo)
{
    (void)signo;
    forked = fork();
}

BOTH(fork_in_a_handler_amid_a_blocking_call)
{
    struct pair p = tcp_pair(family);
    struct sigaction action = {.sa_handler = fork_here};
    struct task t;
    char c;
    OK(sigaction(SIGUSR1, &action, NULL));
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    ssize_t n = recv(p.server, &c, 1, 0);
    int error = errno;
    if (forked == 0)
        _exit(n == -1 ? 7 : 1); /* it ends there too */
    EQ(n, -1);
    EQ(error, EINTR);
    EQ(status_of(forked), 7);
    join(&t);
    send_all(p.client, "x", 1);
    recv_all(p.server, &c, 1);
    EQ(c, 'x');
}
