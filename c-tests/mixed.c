/* One wait over sockets and what the kernel has: pipes, eventfd, timerfd, AF_UNIX. */
#include "harness.h"

static int timer_in(int ms)
{
    int fd = (int)OK(timerfd_create(CLOCK_MONOTONIC, 0));
    struct itimerspec t = {{0, 0}, {ms / 1000, (ms % 1000) * 1000000L}};
    OK(timerfd_settime(fd, 0, &t, NULL));
    return fd;
}

static void put(void *arg) { EQ(write(*(int *)arg, "12345678", 8), 8); }

BOTH(poll_wakes_by_the_pipe)
{
    struct pair p = tcp_pair(family);
    struct task t;
    int q[2];
    OK(pipe(q));
    struct pollfd f[2] = {{p.server, POLLIN, 0}, {q[0], POLLIN, 0}};
    start(&t, SHORT_MS, put, &q[1]);
    EQ(poll(f, 2, LONG_MS), 1);
    EQ(f[0].revents, 0);
    EQ(f[1].revents, POLLIN);
    join(&t);
}

BOTH(poll_wakes_by_the_socket)
{
    struct pair p = tcp_pair(family);
    struct task t;
    int q[2];
    OK(pipe(q));
    struct pollfd f[2] = {{q[0], POLLIN, 0}, {p.server, POLLIN, 0}};
    start(&t, SHORT_MS, put, &p.client);
    EQ(poll(f, 2, LONG_MS), 1);
    EQ(f[0].revents, 0);
    EQ(f[1].revents, POLLIN);
    join(&t);
}

BOTH(poll_reports_both_at_once)
{
    struct pair p = tcp_pair(family);
    int q[2];
    OK(pipe(q));
    put(&q[1]);
    put(&p.client);
    wait_for(p.server, POLLIN);
    struct pollfd f[4] = {{q[0], POLLIN, 0}, {p.server, POLLIN, 0}, {q[1], POLLOUT, 0}, {p.client, POLLOUT, 0}};
    EQ(poll(f, 4, 0), 4);
    EQ(f[0].revents, POLLIN);
    EQ(f[1].revents, POLLIN);
    EQ(f[2].revents, POLLOUT);
    EQ(f[3].revents, POLLOUT);
}

BOTH(poll_times_out_on_both)
{
    struct pair p = tcp_pair(family);
    int q[2];
    OK(pipe(q));
    struct pollfd f[2] = {{q[0], POLLIN, 9}, {p.server, POLLIN, 9}};
    long long begin = now_ms();
    EQ(poll(f, 2, 60), 0);
    RANGE(now_ms() - begin, 59, LONG_MS);
    EQ(f[0].revents | f[1].revents, 0);
}

BOTH(poll_with_a_timer)
{
    struct pair p = tcp_pair(family);
    struct pollfd f[2] = {{p.server, POLLIN, 0}, {timer_in(50), POLLIN, 0}};
    long long begin = now_ms();
    EQ(poll(f, 2, -1), 1);
    EQ(f[1].revents, POLLIN);
    RANGE(now_ms() - begin, 45, LONG_MS);
}

BOTH(poll_with_an_eventfd)
{
    struct pair p = tcp_pair(family);
    struct task t;
    int e = (int)OK(eventfd(0, 0));
    struct pollfd f[2] = {{p.server, POLLIN, 0}, {e, POLLIN, 0}};
    start(&t, SHORT_MS, put, &e);
    EQ(poll(f, 2, LONG_MS), 1);
    EQ(f[1].revents, POLLIN);
    join(&t);
}

BOTH(poll_with_a_hung_up_pipe)
{
    struct pair p = tcp_pair(family);
    int q[2];
    OK(pipe(q));
    OK(close(q[1]));
    struct pollfd f[2] = {{q[0], POLLIN, 0}, {p.server, POLLIN, 0}};
    EQ(poll(f, 2, LONG_MS), 1);
    EQ(f[0].revents, POLLHUP);
}

BOTH(poll_with_a_regular_file)
{
    struct pair p = tcp_pair(family);
    int file = (int)OK(open("/proc/self/exe", O_RDONLY));
    struct pollfd f[2] = {{p.server, POLLIN, 0}, {file, POLLIN, 0}};
    EQ(poll(f, 2, LONG_MS), 1);
    EQ(f[1].revents, POLLIN);
}

BOTH(select_over_both)
{
    struct pair p = tcp_pair(family);
    struct task t;
    int q[2];
    fd_set r;
    OK(pipe(q));
    int top = (q[0] > p.server ? q[0] : p.server) + 1;
    for (int round = 0; round < 2; round++) {
        FD_ZERO(&r);
        FD_SET(q[0], &r);
        FD_SET(p.server, &r);
        start(&t, SHORT_MS, put, round ? &q[1] : &p.client);
        EQ(select(top, &r, NULL, NULL, NULL), 1);
        TRUE(FD_ISSET(round ? q[0] : p.server, &r));
        TRUE(!FD_ISSET(round ? p.server : q[0], &r));
        join(&t);
        char got[8];
        recv_all(p.server, got, round ? 0 : 8);
    }
}

BOTH(select_over_both_ready)
{
    struct pair p = tcp_pair(family);
    int q[2];
    fd_set r, w;
    OK(pipe(q));
    put(&q[1]);
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_SET(q[0], &r);
    FD_SET(p.server, &r);
    FD_SET(q[1], &w);
    FD_SET(p.client, &w);
    EQ(select(FD_SETSIZE, &r, &w, NULL, NULL), 3);
    TRUE(FD_ISSET(q[0], &r) && !FD_ISSET(p.server, &r));
    TRUE(FD_ISSET(q[1], &w) && FD_ISSET(p.client, &w));
}

static void add(int ep, int fd, unsigned events)
{
    struct epoll_event e = {.events = events, .data = {.fd = fd}};
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
}

BOTH(epoll_over_both)
{
    struct pair p = tcp_pair(family);
    struct epoll_event e[8];
    struct task t;
    char got[8];
    int q[2], ep = (int)OK(epoll_create1(0));
    OK(pipe(q));
    add(ep, q[0], EPOLLIN);
    add(ep, p.server, EPOLLIN);
    for (int round = 0; round < 4; round++) {
        int to = round % 2 ? q[1] : p.client, at = round % 2 ? q[0] : p.server;
        start(&t, SHORT_MS / 2, put, &to);
        EQ(epoll_wait(ep, e, 8, LONG_MS), 1);
        EQ(e[0].data.fd, at);
        EQ(e[0].events, EPOLLIN);
        join(&t);
        EQ(read(at, got, 8), 8);
    }
    put(&q[1]);
    put(&p.client);
    wait_for(p.server, POLLIN);
    EQ(epoll_wait(ep, e, 8, LONG_MS), 2);
}

BOTH(epoll_with_a_timer)
{
    struct pair p = tcp_pair(family);
    struct epoll_event e;
    int ep = (int)OK(epoll_create1(0)), timer = timer_in(50);
    add(ep, p.server, EPOLLIN | EPOLLET);
    add(ep, timer, EPOLLIN | EPOLLET);
    EQ(epoll_wait(ep, &e, 1, LONG_MS), 1);
    EQ(e.data.fd, timer);
    EQ(epoll_wait(ep, &e, 1, SHORT_MS), 0); /* edge: once */
}

BOTH(epoll_is_fair_when_there_is_room_for_one)
{
    struct pair p = tcp_pair(family);
    struct epoll_event e;
    int q[2], ep = (int)OK(epoll_create1(0)), sock = 0, pipes = 0;
    OK(pipe(q));
    put(&q[1]);
    put(&p.client);
    wait_for(p.server, POLLIN);
    add(ep, q[0], EPOLLIN);
    add(ep, p.server, EPOLLIN);
    for (int i = 0; i < 20; i++) {
        EQ(epoll_wait(ep, &e, 1, 0), 1);
        *(e.data.fd == q[0] ? &pipes : &sock) += 1;
    }
    RANGE(sock, 5, 15);
    RANGE(pipes, 5, 15);
}

BOTH(unix_sockets_beside_ours)
{
    struct pair p = tcp_pair(family);
    int u[2];
    char got[8];
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, u));
    put(&u[1]);
    struct pollfd f[2] = {{u[0], POLLIN | POLLOUT, 0}, {p.server, POLLIN | POLLOUT, 0}};
    EQ(poll(f, 2, 0), 2);
    EQ(f[0].revents, POLLIN | POLLOUT);
    EQ(f[1].revents, POLLOUT);
    EQ(recv(u[0], got, 8, 0), 8);
}

BOTH(interrupted_over_both)
{
    struct pair p = tcp_pair(family);
    struct task t;
    int q[2];
    OK(pipe(q));
    struct pollfd f[2] = {{q[0], POLLIN, 0}, {p.server, POLLIN, 0}};
    catch_signal(SIGUSR1, SA_RESTART);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    ERR(poll(f, 2, LONG_MS), EINTR);
    join(&t);
}

BOTH(waiting_costs_no_processor_time)
{
    struct pair p = tcp_pair(family);
    struct timespec before, after;
    int q[2];
    OK(pipe(q));
    struct pollfd f[2] = {{q[0], POLLIN, 0}, {p.server, POLLIN, 0}};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    EQ(poll(f, 2, 400), 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    RANGE((after.tv_sec - before.tv_sec) * 1000000LL + (after.tv_nsec - before.tv_nsec) / 1000, 0, 40000);
}
