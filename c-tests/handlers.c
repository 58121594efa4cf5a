/* Signal handlers that make socket calls of their own, leave by siglongjmp, or end a blocked call by alarm(2). */
#include "harness.h"

#include <dirent.h>
#include <setjmp.h>

static void on_signal(int signo, void (*handler)(int), int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    action.sa_flags = flags;
    OK(sigaction(signo, &action, NULL));
}

/* --- handlers that talk ------------------------------------------------------------------------------------------- */

static struct pair own;
static volatile sig_atomic_t rounds, refused;

/* A message to itself and back: must simply work, wherever the thread was interrupted. */
static void talk_to_itself(int signo)
{
    int before = errno;
    char c = 0;
    (void)signo;
    if (write(own.client, "h", 1) != 1 || read(own.server, &c, 1) != 1 || c != 'h')
        refused++;
    rounds++;
    errno = before;
}

static void every_moment(int which)
{
    struct itimerval every = {{0, 150}, {0, 150}};
    OK(setitimer(which, &every, NULL));
}

static void no_more(int which)
{
    struct itimerval never = {{0, 0}, {0, 0}};
    OK(setitimer(which, &never, NULL));
}

BOTH(a_handler_talks_while_its_thread_sends_and_receives)
{
    struct pair p = tcp_pair(family);
    static unsigned char data[4000], got[4000];
    own = tcp_pair(family);
    pattern(data, sizeof(data), 3);
    on_signal(SIGALRM, talk_to_itself, SA_RESTART);
    every_moment(ITIMER_REAL);
    for (long long end = now_ms() + 700; now_ms() < end;) {
        send_all(p.client, data, sizeof(data));
        recv_all(p.server, got, sizeof(got));
        EQ(memcmp(data, got, sizeof(data)), 0);
    }
    no_more(ITIMER_REAL);
    TRUE(rounds > 20);
    EQ(refused, 0);
}

BOTH(a_handler_talks_while_its_thread_opens_and_closes)
{
    struct addr at;
    int l = listener(family, 4, &at);
    own = tcp_pair(family);
    on_signal(SIGALRM, talk_to_itself, SA_RESTART);
    every_moment(ITIMER_REAL);
    for (long long end = now_ms() + 500; now_ms() < end;) {
        struct pair p = pair_through(l, &at);
        int ep = (int)OK(epoll_create1(0));
        struct epoll_event e = {.events = EPOLLOUT, .data = {.fd = p.client}};
        OK(epoll_ctl(ep, EPOLL_CTL_ADD, p.client, &e));
        EQ(epoll_wait(ep, &e, 1, 0), 1);
        TRUE(events_of(p.server, POLLOUT, 0) == POLLOUT);
        OK(close(ep));
        OK(close(p.client));
        OK(close(p.server));
    }
    no_more(ITIMER_REAL);
    TRUE(rounds > 20);
    EQ(refused, 0);
}

static int shared_set;

static void change_the_set(int signo)
{
    int before = errno;
    struct epoll_event e = {.events = EPOLLIN, .data = {.fd = own.server}};
    (void)signo;
    if (epoll_ctl(shared_set, EPOLL_CTL_MOD, own.server, &e) != 0 || epoll_wait(shared_set, &e, 1, 0) != 0)
        refused++;
    rounds++;
    errno = before;
}

BOTH(a_handler_uses_the_set_that_its_thread_uses)
{
    struct epoll_event e = {.events = EPOLLIN};
    int pipes[2];
    own = tcp_pair(family);
    OK(pipe(pipes));
    shared_set = (int)OK(epoll_create1(0));
    OK(epoll_ctl(shared_set, EPOLL_CTL_ADD, own.server, &e));
    on_signal(SIGALRM, change_the_set, SA_RESTART);
    every_moment(ITIMER_REAL);
    for (long long end = now_ms() + 400; now_ms() < end;) {
        OK(epoll_ctl(shared_set, EPOLL_CTL_ADD, pipes[0], &e));
        EQ(epoll_wait(shared_set, &e, 1, 0), 0);
        OK(epoll_ctl(shared_set, EPOLL_CTL_DEL, pipes[0], NULL));
    }
    no_more(ITIMER_REAL);
    TRUE(rounds > 20);
    EQ(refused, 0);
}

static void blocking_wait(int signo)
{
    char c;
    (void)signo;
    if (recv(own.server, &c, 1, 0) != 1)
        refused++;
    rounds++;
}

static void send_later(void *arg) { send_all(*(int *)arg, "later", 5); }

BOTH(a_handler_may_block)
{
    struct pair p = tcp_pair(family);
    struct task t, u, v;
    char c;
    own = tcp_pair(family);
    on_signal(SIGUSR1, blocking_wait, SA_RESTART);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    start(&u, 6 * SHORT_MS, send_later, &own.client);
    start(&v, 12 * SHORT_MS, send_later, &p.client);
    EQ(recv(p.server, &c, 1, 0), 1);
    EQ(rounds, 1);
    EQ(refused, 0);
    join(&t);
    join(&u);
    join(&v);
}

static void close_in_handler(int signo)
{
    (void)signo;
    close(own.client);
}

BOTH(a_handler_closes)
{
    struct pair p = tcp_pair(family);
    struct task t;
    char c;
    own = tcp_pair(family);
    on_signal(SIGUSR1, close_in_handler, 0);
    send_signal_after(&t, SHORT_MS, SIGUSR1);
    ERR(recv(p.server, &c, 1, 0), EINTR);
    EQ(recv(own.server, &c, 1, 0), 0);
    join(&t);
}

/* --- what a handler is told ----------------------------------------------------------------------------------------- */

static volatile sig_atomic_t told_code, told_value, told_signo;

static void take_notes(int signo, siginfo_t *info, void *context)
{
    (void)context;
    told_signo = signo;
    told_code = info->si_code;
    told_value = info->si_value.sival_int;
    rounds++;
}

CASE(siginfo_survives)
{
    struct sigaction action, old;
    union sigval value = {.sival_int = 4711};
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = take_notes;
    action.sa_flags = SA_SIGINFO;
    OK(sigaction(SIGUSR2, &action, NULL));
    OK(sigqueue(getpid(), SIGUSR2, value));
    EQ(told_signo, SIGUSR2);
    EQ(told_code, SI_QUEUE);
    EQ(told_value, 4711);
    OK(sigaction(SIGUSR2, NULL, &old));
    TRUE(old.sa_sigaction == take_notes);
    TRUE((old.sa_flags & SA_SIGINFO) != 0);
}

static void count(int signo)
{
    (void)signo;
    rounds++;
}

CASE(sigaction_tells_what_was_set)
{
    struct sigaction action, old;
    memset(&action, 0, sizeof(action));
    action.sa_handler = count;
    action.sa_flags = SA_RESTART;
    sigaddset(&action.sa_mask, SIGUSR2);
    OK(sigaction(SIGUSR1, &action, &old));
    TRUE(old.sa_handler == SIG_DFL);
    OK(sigaction(SIGUSR1, NULL, &old));
    TRUE(old.sa_handler == count);
    EQ(old.sa_flags & (SA_SIGINFO | SA_RESTART | SA_NODEFER), SA_RESTART);
    EQ(sigismember(&old.sa_mask, SIGUSR2), 1);
    EQ(sigismember(&old.sa_mask, SIGINT), 0);
    action.sa_handler = SIG_IGN;
    OK(sigaction(SIGUSR1, &action, &old));
    TRUE(old.sa_handler == count);
    OK(sigaction(SIGUSR1, NULL, &old));
    TRUE(old.sa_handler == SIG_IGN);
    ERR(sigaction(SIGKILL, &action, NULL), EINVAL);
    ERR(sigaction(0, &action, NULL), EINVAL);
    ERR(sigaction(65, NULL, NULL), EINVAL);
    ERR(sigaction(minus_one, NULL, NULL), EINVAL);
}

CASE(signal_tells_what_was_set)
{
    TRUE(signal(SIGUSR1, count) == SIG_DFL);
    TRUE(signal(SIGUSR1, SIG_IGN) == count);
    TRUE(signal(SIGUSR1, count) == SIG_IGN);
    EQ(raise(SIGUSR1), 0);
    EQ(raise(SIGUSR1), 0);
    EQ(rounds, 2);
    errno = 0;
    TRUE(signal(SIGKILL, count) == SIG_ERR && errno == EINVAL);
    TRUE(signal(4711, count) == SIG_ERR);
    TRUE(signal(SIGUSR1, SIG_ERR) == SIG_ERR);
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
CASE(signal_restarts_and_siginterrupt_changes_that)
{
    struct sigaction old;
    signal(SIGUSR1, count);
    OK(sigaction(SIGUSR1, NULL, &old));
    EQ(old.sa_flags & SA_RESTART, SA_RESTART);
    OK(siginterrupt(SIGUSR1, 1));
    OK(sigaction(SIGUSR1, NULL, &old));
    EQ(old.sa_flags & SA_RESTART, 0);
    TRUE(old.sa_handler == count);
    signal(SIGUSR1, count);
    OK(sigaction(SIGUSR1, NULL, &old));
    EQ(old.sa_flags & SA_RESTART, 0);
    OK(siginterrupt(SIGUSR1, 0));
    OK(sigaction(SIGUSR1, NULL, &old));
    EQ(old.sa_flags & SA_RESTART, SA_RESTART);
    EQ(raise(SIGUSR1), 0);
    EQ(rounds, 1);
}

CASE(sigset_tells_what_was_set)
{
    sigset_t mask;
    struct sigaction old;
    TRUE(sigset(SIGUSR1, count) == SIG_DFL);
    OK(sigaction(SIGUSR1, NULL, &old));
    TRUE(old.sa_handler == count && (old.sa_flags & (SA_RESTART | SA_SIGINFO | SA_NODEFER | SA_RESETHAND)) == 0);
    EQ(raise(SIGUSR1), 0);
    EQ(rounds, 1);
    TRUE(sigset(SIGUSR1, SIG_HOLD) == count);
    TRUE(sigset(SIGUSR1, SIG_HOLD) == SIG_HOLD);
    OK(sigprocmask(SIG_BLOCK, NULL, &mask));
    EQ(sigismember(&mask, SIGUSR1), 1);
    EQ(raise(SIGUSR1), 0);
    EQ(rounds, 1);
    TRUE(sigset(SIGUSR1, SIG_IGN) == SIG_HOLD);
    EQ(rounds, 1);
    TRUE(sigset(SIGUSR1, count) == SIG_IGN);
    OK(sigprocmask(SIG_BLOCK, NULL, &mask));
    EQ(sigismember(&mask, SIGUSR1), 0);
    errno = 0;
    TRUE(sigset(SIGKILL, count) == SIG_ERR && errno == EINVAL);
    TRUE(sigset(4711, count) == SIG_ERR);
}

/* A handler of sigset's talks too, wherever it interrupts its thread. */
BOTH(a_handler_of_sigset_talks)
{
    struct pair p = tcp_pair(family);
    own = tcp_pair(family);
    static char data[2000];
    sigset(SIGALRM, talk_to_itself);
    every_moment(ITIMER_REAL);
    for (long long end = now_ms() + 300; now_ms() < end;) {
        ssize_t n;
        while ((n = send(p.client, data, sizeof(data), 0)) == -1 && errno == EINTR)
            ;
        OK(n);
        for (size_t got = 0; got < (size_t)n;) {
            ssize_t part = recv(p.server, data, sizeof(data) - got, 0);
            if (part == -1 && errno == EINTR)
                continue;
            got += (size_t)OK(part);
        }
    }
    no_more(ITIMER_REAL);
    TRUE(rounds > 10);
    EQ(refused, 0);
}

CASE(a_handler_for_once)
{
    struct sigaction old;
    on_signal(SIGUSR1, count, SA_RESETHAND);
    EQ(raise(SIGUSR1), 0);
    EQ(rounds, 1);
    OK(sigaction(SIGUSR1, NULL, &old));
    TRUE(old.sa_handler == SIG_DFL);
}

BOTH(a_handler_for_once_under_load)
{
    struct pair p = tcp_pair(family);
    struct itimerval soon = {{0, 0}, {0, 130}};
    for (int i = 1; i <= 300; i++) {
        char c;
        on_signal(SIGALRM, count, SA_RESETHAND | SA_RESTART);
        soon.it_value.tv_usec = 20 + i % 50;
        OK(setitimer(ITIMER_REAL, &soon, NULL));
        while (rounds < i) {
            send_all(p.client, "x", 1);
            recv_all(p.server, &c, 1);
        }
        EQ(rounds, i);
    }
}

static volatile sig_atomic_t handler_depth, deepest;

static void stay_a_while(int signo)
{
    (void)signo;
    handler_depth++;
    if (handler_depth > deepest)
        deepest = handler_depth;
    for (volatile int i = 0; i < 20000; i++)
        ;
    handler_depth--;
    rounds++;
}

BOTH(a_handler_is_not_interrupted_by_its_own_signal)
{
    struct pair p = tcp_pair(family);
    char c;
    on_signal(SIGALRM, stay_a_while, SA_RESTART);
    every_moment(ITIMER_REAL);
    for (long long end = now_ms() + 300; now_ms() < end;) {
        send_all(p.client, "x", 1);
        recv_all(p.server, &c, 1);
    }
    no_more(ITIMER_REAL);
    TRUE(rounds > 10);
    EQ(deepest, 1);
}

/* Signals are counted: real-time ones queue, and none is lost or comes twice because a call was under way. */
BOTH(queued_signals_all_come)
{
    struct pair p = tcp_pair(family);
    int number = SIGRTMIN + 3;
    char c;
    on_signal(number, count, SA_RESTART);
    for (int i = 0; i < 2000; i++) {
        send_all(p.client, "x", 1);
        EQ(raise(number), 0);
        recv_all(p.server, &c, 1);
    }
    EQ(rounds, 2000);
}

struct flood {
    pthread_t to;
    int number;
};

static void signal_often(void *arg)
{
    struct flood *f = arg;
    for (int i = 0; i < 3000; i++)
        while (pthread_kill(f->to, f->number) != 0)
            sleep_ms(1);
}

BOTH(queued_signals_from_another_thread_all_come)
{
    struct pair p = tcp_pair(family);
    struct flood f = {pthread_self(), SIGRTMIN + 4};
    struct task t;
    char c;
    on_signal(f.number, count, SA_RESTART);
    start(&t, 0, signal_often, &f);
    for (long long end = now_ms() + LONG_MS; rounds < 3000 && now_ms() < end;) {
        send_all(p.client, "x", 1);
        recv_all(p.server, &c, 1);
    }
    join(&t);
    EQ(rounds, 3000);
}

BOTH(the_mask_is_the_programs_after_calls_under_signals)
{
    struct pair p = tcp_pair(family);
    sigset_t mine, now;
    char c;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR2);
    OK(sigprocmask(SIG_SETMASK, &mine, NULL));
    on_signal(SIGALRM, count, SA_RESTART);
    every_moment(ITIMER_REAL);
    for (long long end = now_ms() + 300; now_ms() < end;) {
        send_all(p.client, "x", 1);
        recv_all(p.server, &c, 1);
        OK(sigprocmask(SIG_SETMASK, NULL, &now));
        EQ(sigismember(&now, SIGUSR2), 1);
        EQ(sigismember(&now, SIGALRM), 0);
        EQ(sigismember(&now, SIGUSR1), 0);
    }
    no_more(ITIMER_REAL);
}

/* --- SIGPIPE ----------------------------------------------------------------------------------------------------------- */

static pthread_t piped;

static void note_thread(int signo)
{
    (void)signo;
    piped = pthread_self();
    rounds++;
}

static void write_to_the_void(void *arg)
{
    struct pair *p = arg;
    ERR(send(p->client, "x", 1, 0), EPIPE);
    EQ(rounds, 1);
    TRUE(pthread_equal(piped, pthread_self()));
    ERR(send(p->client, "x", 1, MSG_NOSIGNAL), EPIPE);
    EQ(rounds, 1);
}

BOTH(sigpipe_comes_to_the_calling_thread)
{
    struct pair p = tcp_pair(family);
    struct task t;
    on_signal(SIGPIPE, note_thread, 0);
    OK(shutdown(p.client, SHUT_WR));
    start(&t, 0, write_to_the_void, &p);
    join(&t);
}

/* --- siglongjmp ---------------------------------------------------------------------------------------------------------- */

static sigjmp_buf back;

static void jump(int signo)
{
    (void)signo;
    siglongjmp(back, 1);
}

BOTH(longjmp_out_of_recv)
{
    struct pair p = tcp_pair(family);
    struct task t;
    char c;
    on_signal(SIGUSR1, jump, 0);
    if (sigsetjmp(back, 1) == 0) {
        send_signal_after(&t, SHORT_MS, SIGUSR1);
        recv(p.server, &c, 1, 0);
        TRUE(!"recv returned");
    }
    send_all(p.client, "xy", 2);
    EQ(recv(p.server, &c, 1, 0), 1);
    EQ(c, 'x');
    OK(close(p.server)); /* with a byte unread */
    wait_for(p.client, POLLERR | POLLHUP);
    join(&t);
}

BOTH(a_socket_left_by_longjmp_closes)
{
    struct pair p = tcp_pair(family);
    struct task t;
    char c;
    on_signal(SIGUSR1, jump, 0);
    if (sigsetjmp(back, 1) == 0) {
        send_signal_after(&t, SHORT_MS, SIGUSR1);
        recv(p.server, &c, 1, 0);
        TRUE(!"recv returned");
    }
    OK(close(p.server));
    EQ(recv(p.client, &c, 1, 0), 0);
    join(&t);
}

BOTH(a_listener_left_by_longjmp_closes)
{
    struct addr at;
    struct task t;
    int l = listener(family, 3, &at);
    on_signal(SIGUSR1, jump, 0);
    if (sigsetjmp(back, 1) == 0) {
        send_signal_after(&t, SHORT_MS, SIGUSR1);
        accept(l, NULL, NULL);
        TRUE(!"accept returned");
    }
    OK(close(l));
    ERR(connect(tcp(family), &at.sa, at.len), ECONNREFUSED);
    join(&t);
}

BOTH(sockets_left_by_longjmp_out_of_poll_close)
{
    struct pair p = tcp_pair(family), q = tcp_pair(family);
    struct pollfd fds[2] = {{p.server, POLLIN, 0}, {q.server, POLLIN, 0}};
    struct task t;
    char c;
    on_signal(SIGUSR1, jump, 0);
    if (sigsetjmp(back, 1) == 0) {
        send_signal_after(&t, SHORT_MS, SIGUSR1);
        poll(fds, 2, -1);
        TRUE(!"poll returned");
    }
    OK(close(p.server));
    OK(close(q.server));
    EQ(recv(p.client, &c, 1, 0), 0);
    EQ(recv(q.client, &c, 1, 0), 0);
    join(&t);
}

BOTH(longjmp_out_of_epoll_wait)
{
    struct pair p = tcp_pair(family);
    struct epoll_event e = {.events = EPOLLIN};
    struct task t;
    int ep = (int)OK(epoll_create1(0));
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &e));
    on_signal(SIGUSR1, jump, 0);
    if (sigsetjmp(back, 1) == 0) {
        send_signal_after(&t, SHORT_MS, SIGUSR1);
        epoll_wait(ep, &e, 1, -1);
        TRUE(!"epoll_wait returned");
    }
    send_all(p.client, "x", 1);
    EQ(epoll_wait(ep, &e, 1, LONG_MS), 1);
    OK(close(p.server));
    OK(close(ep));
    join(&t);
}

static int open_descriptors(void)
{
    int n = 0;
    DIR *all = opendir("/proc/self/fd"); /* whoever they are of, and however high */
    TRUE(all != NULL);
    while (readdir(all) != NULL)
        n++;
    closedir(all);
    return n;
}

/* Sets that are left by siglongjmp and closed are gone, with all that they had: `ours` says whether sockets are in them. */
static void leave_sets(int family, bool ours)
{
    struct pair p = tcp_pair(family);
    int in = (int)OK(eventfd(0, 0)), before = 0;
    on_signal(SIGALRM, jump, 0);
    for (volatile int i = 0; i < 24; i++) {
        struct itimerval soon = {{0, 0}, {0, 3000}};
        struct epoll_event e = {.events = EPOLLIN};
        volatile int ep = (int)OK(epoll_create1(0));
        OK(epoll_ctl(ep, EPOLL_CTL_ADD, ours ? p.server : in, &e));
        EQ(events_of(ep, POLLIN, 0), 0);
        if (sigsetjmp(back, 1) == 0) {
            OK(setitimer(ITIMER_REAL, &soon, NULL));
            epoll_wait(ep, &e, 1, -1);
            TRUE(!"epoll_wait returned");
        }
        /* What comes after the wait was left is of the same set. */
        OK(epoll_ctl(ep, EPOLL_CTL_ADD, p.client, &(struct epoll_event){.events = EPOLLOUT}));
        EQ(epoll_wait(ep, &e, 1, 0), 1);
        EQ(events_of(ep, POLLIN, 0), POLLIN);
        OK(close(ep));
        if (i == 4)
            before = open_descriptors();
    }
    RANGE(open_descriptors(), 0, before + 3); /* not one a set */
    send_all(p.client, "x", 1);
    wait_for(p.server, POLLIN);
}

BOTH(sets_of_sockets_left_by_longjmp_close)
{
    leave_sets(family, true);
}

BOTH(sets_of_others_left_by_longjmp_close)
{
    leave_sets(family, false);
}

/* Whatever the thread was doing, and many times: nothing stays locked, nothing stays open. */
BOTH(longjmp_out_of_anything)
{
    struct pair p = tcp_pair(family);
    struct itimerval soon = {{0, 0}, {0, 100}};
    static volatile int jumps;
    static char data[3000];
    char c;
    on_signal(SIGALRM, jump, 0);
    for (volatile int i = 0; i < 400; i++) {
        soon.it_value.tv_usec = 30 + i % 200;
        if (sigsetjmp(back, 1) == 0) {
            OK(setitimer(ITIMER_REAL, &soon, NULL));
            for (;;) {
                send(p.client, data, sizeof(data), MSG_DONTWAIT);
                recv(p.server, data, sizeof(data), MSG_DONTWAIT);
                events_of(p.server, POLLIN, 0);
            }
        }
        jumps++;
    }
    EQ(jumps, 400);
    OK(shutdown(p.client, SHUT_WR));
    while (recv(p.server, data, sizeof(data), 0) > 0)
        ;
    OK(close(p.server));
    EQ(recv(p.client, &c, 1, 0), 0);
}

/* --- alarm ------------------------------------------------------------------------------------------------------------------ */

BOTH(alarm_ends_a_blocked_recv)
{
    struct pair p = tcp_pair(family);
    char c;
    on_signal(SIGALRM, count, 0);
    alarm(1);
    ERR(recv(p.server, &c, 1, 0), EINTR);
    EQ(rounds, 1);
    send_all(p.client, "x", 1);
    EQ(recv(p.server, &c, 1, 0), 1);
}

BOTH(alarm_ends_a_blocked_connect)
{
    struct addr at;
    int l = listener(family, 0, &at), fd = tcp(family);
    OK(connect(tcp(family), &at.sa, at.len));
    sleep_ms(SHORT_MS);
    on_signal(SIGALRM, count, 0);
    alarm(1);
    ERR(connect(fd, &at.sa, at.len), EINTR);
    EQ(rounds, 1);
    OK(close(fd));
    OK(close(l));
}

BOTH(alarm_does_not_end_a_restarting_recv)
{
    struct pair p = tcp_pair(family);
    struct task t;
    char c;
    signal(SIGALRM, count);
    start(&t, 1000 + 4 * SHORT_MS, send_later, &p.client);
    alarm(1);
    EQ(recv(p.server, &c, 1, 0), 1);
    EQ(rounds, 1);
    join(&t);
}
