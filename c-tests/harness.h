/* The frame of the C suite: a case is a function with a name, run alone in a fresh process.
 *
 *   prog --list      one case name a line
 *   prog CASE        exit 0: passed, 1: failed (said on stderr), 77: skipped (reason on stderr)
 *
 * The same sources run on the kernel's sockets and on tunsock's, so nothing in here knows which of them answers. */
#ifndef C_TESTS_HARNESS_H
#define C_TESTS_HARNESS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

struct test_case {
    const char *name;
    void (*run)(int family);
    int family;
    struct test_case *next;
};
void register_case(struct test_case *c);

#define REGISTER_(id, label, function, fam)                                             \
    static struct test_case case_##id = {label, function, fam, NULL};                   \
    __attribute__((constructor)) static void register_##id(void) { register_case(&case_##id); }

/* CASE(name) { ... }: one case; `family` is AF_INET. */
#define CASE(id)                                                                        \
    static void run_##id(int family);                                                   \
    REGISTER_(id, #id, run_##id, AF_INET)                                               \
    static void run_##id(__attribute__((unused)) int family)

/* BOTH(name) { ... }: two cases, name_v4 and name_v6; `family` says which. */
#define BOTH(id)                                                                        \
    static void run_##id(int family);                                                   \
    REGISTER_(id##_v4, #id "_v4", run_##id, AF_INET)                                    \
    REGISTER_(id##_v6, #id "_v6", run_##id, AF_INET6)                                   \
    static void run_##id(int family)

/* --- checks: the first one that does not hold ends the case ------------------------------------------------------ */

long long check_eq(const char *file, int line, const char *what, long long got, long long want);
long long check_ok(const char *file, int line, const char *what, long long got);
void check_err(const char *file, int line, const char *what, long long got, int want_errno);
void check_true(const char *file, int line, const char *what, bool holds);
void check_range(const char *file, int line, const char *what, long long got, long long low, long long high);
__attribute__((noreturn)) void skip(const char *reason);
/* Skips the case unless the process is root, and not only of a user namespace of its own: it has other users to become, and every right. */
void needs_root_of_the_machine(void);

/* The value is exactly `want`. */
#define EQ(expr, want) check_eq(__FILE__, __LINE__, #expr, (errno = 0, (long long)(expr)), (long long)(want))
/* The call did not fail; its value is handed on. */
#define OK(expr) check_ok(__FILE__, __LINE__, #expr, (errno = 0, (long long)(expr)))
/* The call returned -1 with this errno. */
#define ERR(expr, e) check_err(__FILE__, __LINE__, #expr, (errno = 0, (long long)(expr)), (e))
#define TRUE(cond) check_true(__FILE__, __LINE__, #cond, (cond))
#define RANGE(expr, low, high) check_range(__FILE__, __LINE__, #expr, (long long)(expr), (low), (high))

/* For calls that are wrong on purpose, so that the compiler doesn't see it. */
extern void *volatile bad_pointer;
extern void *volatile null_pointer;
extern volatile int minus_one;

/* --- time ------------------------------------------------------------------------------------------------------- */

long long now_ms(void); /* CLOCK_MONOTONIC */
void sleep_ms(int ms);
#define SHORT_MS 40   /* "long enough that it would have happened" */
#define LONG_MS 10000 /* "it certainly happens before this", however busy the machine is */

/* --- addresses -------------------------------------------------------------------------------------------------- */

struct addr {
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage ss;
    };
};
struct addr loopback(int family, int port); /* 127.0.0.1 or ::1; port in host order */
struct addr wildcard(int family, int port);
struct addr ipv4(const char *text, int port);
struct addr ipv6(const char *text, int port);
struct addr local_of(int fd);
struct addr peer_of(int fd);
int port_of(const struct addr *a);
int free_port(int family); /* a TCP port that nobody listens on */
bool same_addr(const struct addr *a, const struct addr *b);

/* --- sockets ---------------------------------------------------------------------------------------------------- */

struct pair {
    int client, server;
};
int tcp(int family);
int udp(int family);
int bound_udp(int family, struct addr *at);                      /* on loopback, ephemeral port */
int listener(int family, int backlog, struct addr *at);          /* on loopback, ephemeral port */
struct pair tcp_pair(int family);                                /* connected over loopback */
struct pair pair_through(int listening, const struct addr *at);  /* one more connection through a listener */
struct pair udp_pair(int family);                                /* connected to each other */
void reset(int fd);                                              /* closes with RST */
void set_nonblocking(int fd);
int get_int(int fd, int level, int name);
void set_int(int fd, int level, int name, int value);
int events_of(int fd, int events, int ms); /* revents of one poll */
void wait_for(int fd, int events);         /* until poll gives all of them; the case fails after LONG_MS */
void send_all(int fd, const void *data, size_t len);
void recv_all(int fd, void *data, size_t len);
size_t fill(int fd);                 /* non-blocking writes until EAGAIN; bytes taken. Leaves fd non-blocking */
size_t drain(int fd, size_t at_most); /* reads until at_most bytes, EOF or error */
void pattern(void *data, size_t len, unsigned seed);

/* A system call by its instruction, at most six arguments: always the kernel's, whoever answers the library's names. errno as usual. */
long kernel_call(long number, ...);

/* --- threads and signals ---------------------------------------------------------------------------------------- */

struct task {
    pthread_t thread;
    void (*run)(void *arg);
    void *arg;
    int delay_ms;
    int starter; /* a descriptor that tells whether the starting thread sleeps, -1: none to be had */
    volatile bool done;
};
/* With a delay: then, and not before the calling thread sleeps, which it is about to do (for a second; then all the same). */
void start(struct task *t, int delay_ms, void (*run)(void *), void *arg);
void join(struct task *t);
/* A descriptor that tells of the calling thread; whether that sleeps now. */
int state_of_this_thread(void);
bool sleeps(int state);
void catch_signal(int signo, int sa_flags); /* counted in caught_signals */
extern volatile sig_atomic_t caught_signals;
void until_caught(void); /* for what is to come after the first signal: that, and SHORT_MS more */
void send_signal_after(struct task *t, int delay_ms, int signo); /* to the calling thread */

#endif
