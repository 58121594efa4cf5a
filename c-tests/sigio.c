/* Signals for what happens to a socket: O_ASYNC, F_SETOWN, F_SETSIG, SIGURG (fcntl(2), socket(7)). */
#include "harness.h"

#include <linux/sockios.h>
#include <sys/syscall.h>

static volatile sig_atomic_t count, last_signal, last_code, last_fd, last_band, codes; /* codes: a bit for each si_code */
static volatile pid_t last_thread;

static void on_signal(int signo, siginfo_t *info, void *context)
{
    (void)context;
    count++;
    last_signal = signo;
    last_code = info->si_code;
    last_fd = info->si_fd;
    last_band = (sig_atomic_t)info->si_band;
    if (info->si_code > 0 && info->si_code < 30)
        codes |= 1 << info->si_code;
    last_thread = (pid_t)kernel_call(SYS_gettid);
}

static void catch_info(int signo)
{
    struct sigaction a = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    OK(sigaction(signo, &a, NULL));
}

/* `fd` tells this process of its events, by `signo` (0: SIGIO as it is). */
static void tell(int fd, int signo)
{
    catch_info(signo ? signo : SIGIO);
    OK(fcntl(fd, F_SETOWN, getpid()));
    if (signo)
        OK(fcntl(fd, F_SETSIG, signo));
    OK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
}

/* Until the handler has run for the `n`th time. */
static void wait_count(int n)
{
    for (long long end = now_ms() + LONG_MS; count < n && now_ms() < end; sleep_ms(1))
        ;
    RANGE(count, n, n + 1);
}

static void nothing_more(int n)
{
    sleep_ms(SHORT_MS);
    EQ(count, n);
}

BOTH(owner_of_a_fresh_socket)
{
    int fd = tcp(family);
    EQ(fcntl(fd, F_GETOWN), 0);
    EQ(fcntl(fd, F_GETSIG), 0);
    struct f_owner_ex ex = {7, 7};
    OK(fcntl(fd, F_GETOWN_EX, &ex));
    EQ(ex.pid, 0);
}

BOTH(owner_is_stored)
{
    int fd = udp(family);
    OK(setpgid(0, 0));
    OK(fcntl(fd, F_SETOWN, getpid()));
    EQ(fcntl(fd, F_GETOWN), getpid());
    OK(fcntl(fd, F_SETOWN, -getpgrp()));
    struct f_owner_ex ex = {7, 7};
    OK(fcntl(fd, F_GETOWN_EX, &ex));
    EQ(ex.type, F_OWNER_PGRP);
    EQ(ex.pid, getpgrp());
    int n = 0;
    OK(ioctl(fd, SIOCGPGRP, &n));
    EQ(n, -getpgrp());
    ex = (struct f_owner_ex){F_OWNER_TID, (pid_t)kernel_call(SYS_gettid)};
    OK(fcntl(fd, F_SETOWN_EX, &ex));
    ex.type = 7;
    OK(fcntl(fd, F_GETOWN_EX, &ex));
    EQ(ex.type, F_OWNER_TID);
    n = getpid();
    OK(ioctl(fd, SIOCSPGRP, &n));
    n = 0;
    OK(ioctl(fd, FIOGETOWN, &n));
    EQ(n, getpid());
    OK(fcntl(fd, F_SETOWN, 0));
    EQ(fcntl(fd, F_GETOWN), 0);
}

BOTH(owner_is_checked)
{
    int fd = tcp(family), n = 3999999;
    ERR(fcntl(fd, F_SETOWN, 3999999), ESRCH);
    ERR(fcntl(fd, F_SETOWN, -3999999), ESRCH);
    ERR(fcntl(fd, F_SETOWN, INT_MIN), EINVAL);
    ERR(ioctl(fd, FIOSETOWN, &n), ESRCH);
    ERR(ioctl(fd, FIOSETOWN, bad_pointer), EFAULT);
    struct f_owner_ex ex = {9, getpid()};
    ERR(fcntl(fd, F_SETOWN_EX, &ex), EINVAL);
    ex.type = F_OWNER_PID;
    ex.pid = 3999999;
    ERR(fcntl(fd, F_SETOWN_EX, &ex), ESRCH);
    ERR(fcntl(fd, F_SETOWN_EX, bad_pointer), EFAULT);
    ERR(fcntl(fd, F_GETOWN_EX, bad_pointer), EFAULT);
    ERR(fcntl(fd, F_SETSIG, 65), EINVAL);
    ERR(fcntl(fd, F_SETSIG, -1), EINVAL);
    OK(fcntl(fd, F_SETSIG, 64));
    EQ(fcntl(fd, F_GETSIG), 64);
}

BOTH(async_is_a_flag)
{
    int fd = tcp(family), on = 1, off = 0, copy = dup(fd);
    OK(fcntl(fd, F_SETFL, O_ASYNC));
    EQ(fcntl(copy, F_GETFL), O_RDWR | O_ASYNC);
    OK(ioctl(fd, FIOASYNC, &off));
    EQ(fcntl(fd, F_GETFL), O_RDWR);
    OK(ioctl(fd, FIOASYNC, &on));
    EQ(fcntl(fd, F_GETFL), O_RDWR | O_ASYNC);
    OK(ioctl(fd, FIONBIO, &on));
    EQ(fcntl(fd, F_GETFL), O_RDWR | O_ASYNC | O_NONBLOCK);
}

BOTH(nobody_is_told_without_an_owner)
{
    struct pair p = tcp_pair(family);
    catch_info(SIGIO);
    OK(fcntl(p.server, F_SETFL, O_ASYNC));
    send_all(p.client, "abc", 3);
    nothing_more(0);
}

BOTH(nobody_is_told_without_async)
{
    struct pair p = tcp_pair(family);
    catch_info(SIGIO);
    OK(fcntl(p.server, F_SETOWN, getpid()));
    send_all(p.client, "abc", 3);
    nothing_more(0);
}

BOTH(data_is_sigio)
{
    struct pair p = tcp_pair(family);
    tell(p.server, 0);
    send_all(p.client, "abc", 3);
    wait_count(1);
    EQ(last_signal, SIGIO);
    EQ(last_code, SI_KERNEL);
    char c[3];
    recv_all(p.server, c, 3);
    int before = count;
    send_all(p.client, "abc", 3);
    wait_count(before + 1);
}

BOTH(data_with_a_signal_of_choice)
{
    struct pair p = tcp_pair(family);
    tell(p.server, SIGRTMIN + 3);
    send_all(p.client, "abc", 3);
    wait_count(1);
    EQ(last_signal, SIGRTMIN + 3);
    EQ(last_code, POLL_IN);
    EQ(last_fd, p.server);
    EQ(last_band, POLLIN | POLLRDNORM);
}

BOTH(sigio_chosen_has_its_information)
{
    struct pair p = tcp_pair(family);
    tell(p.server, SIGIO);
    send_all(p.client, "abc", 3);
    wait_count(1);
    EQ(last_code, POLL_IN);
    EQ(last_fd, p.server);
}

BOTH(descriptor_is_the_last_that_asked)
{
    struct pair p = tcp_pair(family);
    int copy = dup(p.server);
    tell(p.server, SIGRTMIN);
    OK(fcntl(copy, F_SETFL, 0));
    OK(fcntl(copy, F_SETFL, O_ASYNC));
    send_all(p.client, "abc", 3);
    wait_count(1);
    EQ(last_fd, copy);
}

BOTH(datagrams_are_told)
{
    struct pair p = udp_pair(family);
    tell(p.server, SIGRTMIN);
    send_all(p.client, "abc", 3);
    wait_count(1);
    EQ(last_code, POLL_IN);
    send_all(p.client, "abc", 3);
    wait_count(2);
}

BOTH(connections_are_told)
{
    struct addr at;
    int l = listener(family, 5, &at);
    tell(l, SIGRTMIN);
    OK(connect(tcp(family), &at.sa, at.len));
    wait_count(1);
    EQ(last_code, POLL_IN);
    EQ(last_fd, l);
    /* Neither the flag nor the owner goes on to what is accepted. */
    int s = (int)OK(accept(l, NULL, NULL));
    EQ(fcntl(s, F_GETFL), O_RDWR);
    EQ(fcntl(s, F_GETOWN), 0);
}

BOTH(handshake_is_told)
{
    struct addr at;
    listener(family, 5, &at);
    int fd = tcp(family);
    set_nonblocking(fd);
    tell(fd, SIGRTMIN);
    if (connect(fd, &at.sa, at.len) == -1)
        TRUE(errno == EINPROGRESS);
    wait_count(1);
    EQ(last_code, POLL_OUT);
    EQ(last_band, POLLOUT | POLLWRNORM | POLLWRBAND);
}

BOTH(refusal_is_told)
{
    struct addr at = loopback(family, free_port(family));
    int fd = tcp(family);
    set_nonblocking(fd);
    tell(fd, SIGRTMIN);
    if (connect(fd, &at.sa, at.len) == -1)
        TRUE(errno == EINPROGRESS || errno == ECONNREFUSED);
    wait_count(1);
    TRUE(codes & 1 << POLL_ERR);
}

BOTH(end_is_told)
{
    struct pair p = tcp_pair(family);
    tell(p.server, SIGRTMIN);
    OK(shutdown(p.client, SHUT_WR));
    wait_count(1);
    EQ(last_code, POLL_IN);
}

BOTH(both_ends_are_a_hang_up)
{
    struct pair p = tcp_pair(family);
    OK(shutdown(p.server, SHUT_WR));
    wait_for(p.client, POLLRDHUP);
    tell(p.server, SIGRTMIN);
    OK(shutdown(p.client, SHUT_WR));
    wait_count(1);
    TRUE(codes & 1 << POLL_HUP);
}

BOTH(reset_is_told)
{
    struct pair p = tcp_pair(family);
    tell(p.server, SIGRTMIN);
    reset(p.client);
    wait_count(1);
    TRUE(codes & 1 << POLL_ERR);
}

BOTH(room_is_told_after_none_was_found)
{
    struct pair p = tcp_pair(family);
    tell(p.client, SIGRTMIN);
    send_all(p.client, "abc", 3);
    char c[3];
    recv_all(p.server, c, 3);
    nothing_more(0);
    size_t filled = fill(p.client);
    TRUE(filled > 0);
    int before = count;
    EQ(drain(p.server, filled), filled);
    wait_count(before + 1);
    EQ(last_code, POLL_OUT);
    EQ(last_fd, p.client);
}

/* A write that is taken in part has found the end of the room. */
BOTH(room_is_told_after_a_part_was_taken)
{
    enum { MUCH = 32 << 20 };
    struct pair p = tcp_pair(family);
    char *much = calloc(1, MUCH);
    set_nonblocking(p.client);
    tell(p.client, SIGRTMIN);
    ssize_t taken = OK(send(p.client, much, MUCH, 0));
    TRUE(taken < MUCH);
    int before = count;
    EQ(drain(p.server, (size_t)taken), (size_t)taken);
    wait_count(before + 1);
    EQ(last_code, POLL_OUT);
}

static int by_poll(int fd)
{
    return events_of(fd, POLLOUT, 0) & POLLOUT;
}

static int by_poll_for_input(int fd)
{
    return events_of(fd, POLLIN, 0) != 0 || by_poll(fd);
}

static int by_select(int fd)
{
    struct timeval none = {0, 0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return (int)OK(select(fd + 1, NULL, &set, NULL, &none));
}

static int by_epoll(int fd)
{
    struct epoll_event e = {.events = EPOLLOUT};
    int ep = (int)OK(epoll_create1(0));
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    int found = (int)OK(epoll_wait(ep, &e, 1, 0));
    OK(close(ep));
    return found;
}

/* Every write was taken whole: only the question was answered with no. */
static void told_after(int family, int (*writable)(int))
{
    struct addr at;
    int l = listener(family, 1, &at), size = 40000;
    set_int(l, SOL_SOCKET, SO_RCVBUF, 4096);
    int fd = tcp(family);
    OK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
    OK(connect(fd, &at.sa, at.len));
    int server = (int)OK(accept(l, NULL, NULL));
    static char piece[512];
    size_t sent = 0;
    set_nonblocking(fd);
    tell(fd, SIGRTMIN);
    do { /* until what is on its way has come to rest */
        for (; writable(fd); sent += sizeof(piece))
            EQ(send(fd, piece, sizeof(piece), 0), sizeof(piece));
        sleep_ms(2 * SHORT_MS);
    } while (writable(fd));
    int before = count;
    EQ(drain(server, sent), sent);
    wait_count(before + 1);
    EQ(last_code, POLL_OUT);
}

BOTH(room_is_told_after_poll_found_none)
{
    told_after(family, by_poll);
}

BOTH(room_is_told_after_poll_for_input)
{
    told_after(family, by_poll_for_input);
}

BOTH(room_is_told_after_select_found_none)
{
    told_after(family, by_select);
}

BOTH(room_is_told_after_epoll_found_none)
{
    told_after(family, by_epoll);
}

/* O_ASYNC comes while the handshake goes on: its end is told. The listener is full, so that takes a while. */
BOTH(handshake_is_told_to_who_asks_meanwhile)
{
    struct addr at;
    int l = listener(family, 0, &at), fd = tcp(family);
    OK(connect(tcp(family), &at.sa, at.len));
    set_nonblocking(fd);
    ERR(connect(fd, &at.sa, at.len), EINPROGRESS);
    sleep_ms(SHORT_MS);
    tell(fd, SIGRTMIN);
    EQ(count, 0);
    OK(accept(l, NULL, NULL));
    OK(accept(l, NULL, NULL));
    wait_count(1);
    EQ(last_code, POLL_OUT);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
}

BOTH(urgent_is_sigurg_for_the_owner)
{
    struct pair p = tcp_pair(family);
    catch_info(SIGURG);
    OK(fcntl(p.server, F_SETOWN, getpid()));
    EQ(send(p.client, "!", 1, MSG_OOB), 1);
    wait_count(1);
    EQ(last_signal, SIGURG);
}

BOTH(urgent_is_told_with_its_code_too)
{
    struct pair p = tcp_pair(family);
    catch_info(SIGURG);
    tell(p.server, SIGRTMIN);
    EQ(send(p.client, "!", 1, MSG_OOB), 1);
    for (long long end = now_ms() + LONG_MS; !(codes & 1 << POLL_PRI) && now_ms() < end; sleep_ms(1))
        ;
    TRUE(codes & 1 << POLL_PRI);
}

static volatile sig_atomic_t handled;
static int handled_fd;

static void reads_in_the_handler(int signo)
{
    char c[16];
    (void)signo;
    ssize_t n = recv(handled_fd, c, sizeof(c), MSG_DONTWAIT);
    if (n > 0)
        handled += (int)n;
    else if (n < 0 && errno != EAGAIN)
        handled = -1000;
}

/* The program that has nothing but its handler: all is read there, whatever thread of whose call brought it. */
BOTH(handler_that_reads)
{
    struct pair p = tcp_pair(family);
    struct sigaction a = {.sa_handler = reads_in_the_handler, .sa_flags = SA_RESTART};
    OK(sigaction(SIGIO, &a, NULL));
    handled_fd = p.server;
    OK(fcntl(p.server, F_SETOWN, getpid()));
    OK(fcntl(p.server, F_SETFL, O_ASYNC));
    for (int i = 1; i <= 50; i++) {
        send_all(p.client, "12345", 5);
        for (long long end = now_ms() + LONG_MS; handled < 5 * i && now_ms() < end; sleep_ms(1))
            ;
        EQ(handled, 5 * i);
    }
}

static void wait_here(void *arg)
{
    *(volatile pid_t *)arg = (pid_t)kernel_call(SYS_gettid);
    for (long long end = now_ms() + LONG_MS; count == 0 && now_ms() < end; sleep_ms(1))
        ;
}

static void thread_is_told(int family)
{
    struct pair p = tcp_pair(family);
    static volatile pid_t thread;
    struct task t;
    thread = 0;
    start(&t, 0, wait_here, (void *)&thread);
    while (thread == 0)
        sleep_ms(1);
    tell(p.server, SIGRTMIN);
    struct f_owner_ex ex = {F_OWNER_TID, thread};
    OK(fcntl(p.server, F_SETOWN_EX, &ex));
    send_all(p.client, "abc", 3);
    join(&t);
    EQ(count, 1);
    EQ(last_thread, thread);
    EQ(last_fd, p.server);
    EQ(last_band, POLLIN | POLLRDNORM);
}

BOTH(a_thread_is_told)
{
    thread_is_told(family);
}

BOTH(code_tells_a_thread_of_data)
{
    thread_is_told(family);
    EQ(last_code, POLL_IN);
}

static void send_from_here(void *arg)
{
    send_all(*(int *)arg, "abc", 3);
}

/* Whichever thread's call it was that brought the data. */
BOTH(process_is_told_by_a_thread)
{
    struct pair p = tcp_pair(family);
    struct task t;
    tell(p.server, SIGRTMIN);
    start(&t, 5, send_from_here, &p.client);
    wait_count(1);
    join(&t);
    EQ(last_fd, p.server);
    EQ(last_band, POLLIN | POLLRDNORM);
}

BOTH(another_process_is_told)
{
    int ready[2];
    char c;
    OK(pipe(ready));
    pid_t child = fork();
    if (child == 0) {
        sigset_t set;
        int got = 0;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        sigprocmask(SIG_BLOCK, &set, NULL);
        if (write(ready[1], "r", 1) != 1)
            _exit(2);
        struct timespec limit = {5, 0};
        got = sigtimedwait(&set, NULL, &limit);
        _exit(got == SIGUSR2 ? 0 : 1);
    }
    EQ(read(ready[0], &c, 1), 1);
    struct pair p = tcp_pair(family);
    OK(fcntl(p.server, F_SETOWN, child));
    OK(fcntl(p.server, F_SETSIG, SIGUSR2));
    OK(fcntl(p.server, F_SETFL, O_ASYNC));
    send_all(p.client, "abc", 3);
    int status;
    EQ(waitpid(child, &status, 0), child);
    EQ(WEXITSTATUS(status), 0);
}

BOTH(switched_off_again)
{
    struct pair p = tcp_pair(family);
    tell(p.server, 0);
    OK(fcntl(p.server, F_SETFL, 0));
    send_all(p.client, "abc", 3);
    nothing_more(0);
}

static void late(void *arg)
{
    EQ(send(*(int *)arg, "late", 4, 0), 4);
}

/* Who waits for the data sees it come. */
BOTH(reader_that_waits_is_not_told)
{
    struct pair p = tcp_pair(family);
    char c[8];
    struct task t;
    tell(p.server, 0);
    start(&t, SHORT_MS, late, &p.client);
    EQ(recv(p.server, c, 8, 0), 4);
    join(&t);
    nothing_more(0);
}
