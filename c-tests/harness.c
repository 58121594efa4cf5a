#include "harness.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>

void *volatile bad_pointer = (void *)16;
void *volatile null_pointer;
volatile int minus_one = -1;

/* A case that takes longer than this has failed; CTEST_SECONDS says otherwise. */
#define CASE_SECONDS 40

static struct test_case *first_case, **next_case = &first_case;

void register_case(struct test_case *c)
{
    *next_case = c;
    next_case = &c->next;
}

__attribute__((format(printf, 3, 4), noreturn)) static void fail(const char *file, int line, const char *format, ...)
{
    const char *base = strrchr(file, '/');
    va_list args;
    fprintf(stderr, "%s:%d: ", base ? base + 1 : file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(NULL);
    _exit(1);
}

long long check_eq(const char *file, int line, const char *what, long long got, long long want)
{
    int e = errno;
    if (got != want)
        fail(file, line, "%s: expected %lld, got %lld (0x%llx) (errno %d %s)", what, want, got, (unsigned long long)got, e, strerror(e));
    errno = e;
    return got;
}

long long check_ok(const char *file, int line, const char *what, long long got)
{
    int e = errno;
    if (got < 0)
        fail(file, line, "%s: expected success, got %lld (errno %d %s)", what, got, e, strerror(e));
    return got;
}

void check_err(const char *file, int line, const char *what, long long got, int want_errno)
{
    int e = errno;
    if (got != -1)
        fail(file, line, "%s: expected -1 with errno %d %s, got %lld", what, want_errno, strerror(want_errno), got);
    if (e != want_errno)
        fail(file, line, "%s: expected errno %d %s, got errno %d %s", what, want_errno, strerror(want_errno), e, strerror(e));
}

void check_true(const char *file, int line, const char *what, bool holds)
{
    if (!holds)
        fail(file, line, "does not hold: %s (errno %d %s)", what, errno, strerror(errno));
}

void check_range(const char *file, int line, const char *what, long long got, long long low, long long high)
{
    if (got < low || got > high)
        fail(file, line, "%s: expected %lld to %lld, got %lld (errno %d %s)", what, low, high, got, errno, strerror(errno));
}

void skip(const char *reason)
{
    fprintf(stderr, "skipped: %s\n", reason);
    fflush(NULL);
    _exit(77);
}

void needs_root_of_the_machine(void)
{
    unsigned long inside = 1, outside = 1, count = 0;
    FILE *map = fopen("/proc/self/uid_map", "r"); /* user_namespaces(7) */
    if (map) {
        if (fscanf(map, "%lu %lu %lu", &inside, &outside, &count) != 3)
            count = 0;
        fclose(map);
    }
    if (geteuid() != 0 || inside != 0 || outside != 0 || count < 65536)
        skip("needs root of the machine");
}

long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

void sleep_ms(int ms)
{
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
    while (nanosleep(&t, &t) == -1 && errno == EINTR)
        ;
}

struct addr ipv4(const char *text, int port)
{
    struct addr a = {.len = sizeof(a.v4)};
    a.v4.sin_family = AF_INET;
    a.v4.sin_port = htons((uint16_t)port);
    EQ(inet_pton(AF_INET, text, &a.v4.sin_addr), 1);
    return a;
}

struct addr ipv6(const char *text, int port)
{
    struct addr a = {.len = sizeof(a.v6)};
    a.v6.sin6_family = AF_INET6;
    a.v6.sin6_port = htons((uint16_t)port);
    EQ(inet_pton(AF_INET6, text, &a.v6.sin6_addr), 1);
    return a;
}

struct addr loopback(int family, int port) { return family == AF_INET ? ipv4("127.0.0.1", port) : ipv6("::1", port); }

struct addr wildcard(int family, int port) { return family == AF_INET ? ipv4("0.0.0.0", port) : ipv6("::", port); }

struct addr local_of(int fd)
{
    struct addr a = {.len = sizeof(a.ss)};
    OK(getsockname(fd, &a.sa, &a.len));
    return a;
}

struct addr peer_of(int fd)
{
    struct addr a = {.len = sizeof(a.ss)};
    OK(getpeername(fd, &a.sa, &a.len));
    return a;
}

int port_of(const struct addr *a) { return ntohs(a->sa.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port); }

bool same_addr(const struct addr *a, const struct addr *b)
{
    if (a->sa.sa_family != b->sa.sa_family || port_of(a) != port_of(b))
        return false;
    if (a->sa.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(struct in6_addr)) == 0;
}

int tcp(int family) { return (int)OK(socket(family, SOCK_STREAM, 0)); }

int udp(int family) { return (int)OK(socket(family, SOCK_DGRAM, 0)); }

int bound_udp(int family, struct addr *at)
{
    int fd = udp(family);
    struct addr a = loopback(family, 0);
    OK(bind(fd, &a.sa, a.len));
    *at = local_of(fd);
    return fd;
}

int listener(int family, int backlog, struct addr *at)
{
    int fd = tcp(family);
    struct addr a = loopback(family, 0);
    OK(bind(fd, &a.sa, a.len));
    OK(listen(fd, backlog));
    *at = local_of(fd);
    return fd;
}

int free_port(int family)
{
    int fd = tcp(family);
    struct addr a = loopback(family, 0);
    OK(bind(fd, &a.sa, a.len));
    a = local_of(fd);
    OK(close(fd));
    return port_of(&a);
}

struct pair pair_through(int listening, const struct addr *at)
{
    struct pair p;
    p.client = tcp(at->sa.sa_family);
    OK(connect(p.client, &at->sa, at->len));
    p.server = (int)OK(accept(listening, NULL, NULL));
    return p;
}

struct pair tcp_pair(int family)
{
    struct addr at;
    int listening = listener(family, 8, &at);
    struct pair p = pair_through(listening, &at);
    OK(close(listening));
    return p;
}

struct pair udp_pair(int family)
{
    struct addr client, server;
    struct pair p;
    p.client = bound_udp(family, &client);
    p.server = bound_udp(family, &server);
    OK(connect(p.client, &server.sa, server.len));
    OK(connect(p.server, &client.sa, client.len));
    return p;
}

void reset(int fd)
{
    struct linger l = {1, 0};
    OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
    OK(close(fd));
}

void set_nonblocking(int fd) { OK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK)); }

int get_int(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    OK(getsockopt(fd, level, name, &value, &len));
    EQ(len, sizeof(value));
    return value;
}

void set_int(int fd, int level, int name, int value) { OK(setsockopt(fd, level, name, &value, sizeof(value))); }

int events_of(int fd, int events, int ms)
{
    struct pollfd p = {fd, (short)events, 0};
    int n = (int)OK(poll(&p, 1, ms));
    EQ(n, p.revents != 0);
    return p.revents;
}

void wait_for(int fd, int events)
{
    long long end = now_ms() + LONG_MS;
    int got = 0;
    while (now_ms() < end) {
        got = events_of(fd, events, (int)(end - now_ms()));
        if ((got & events) == events)
            return;
        sleep_ms(1);
    }
    EQ(got & events, events);
}

void send_all(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = OK(send(fd, at, len, MSG_NOSIGNAL));
        at += n;
        len -= (size_t)n;
    }
}

void recv_all(int fd, void *data, size_t len)
{
    char *at = data;
    while (len > 0) {
        ssize_t n = OK(recv(fd, at, len, 0));
        TRUE(n > 0);
        at += n;
        len -= (size_t)n;
    }
}

size_t fill(int fd)
{
    static char block[64 * 1024];
    size_t total = 0;
    set_nonblocking(fd);
    /* What travels still makes room, and the last of it waits for the persist timer: full is when it stays full. */
    for (int refused = 0; refused < 10;) {
        ssize_t n = send(fd, block, sizeof(block), MSG_NOSIGNAL);
        if (n >= 0) {
            total += (size_t)n;
            refused = 0;
            continue;
        }
        TRUE(errno == EAGAIN);
        refused++;
        sleep_ms(SHORT_MS);
    }
    return total;
}

size_t drain(int fd, size_t at_most)
{
    static char block[64 * 1024];
    size_t total = 0;
    while (total < at_most) {
        size_t want = at_most - total < sizeof(block) ? at_most - total : sizeof(block);
        ssize_t n = recv(fd, block, want, 0);
        if (n <= 0)
            break;
        total += (size_t)n;
    }
    return total;
}

void pattern(void *data, size_t len, unsigned seed)
{
    unsigned char *at = data;
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        at[i] = (unsigned char)(seed >> 24);
    }
}

/* /proc/self/task/TID/stat of the calling thread, at a number that is in nobody's way. */
int state_of_this_thread(void)
{
    char name[64];
    snprintf(name, sizeof(name), "/proc/self/task/%ld/stat", kernel_call(SYS_gettid));
    int low = (int)kernel_call(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
    if (low < 0)
        return -1;
    int high = (int)kernel_call(SYS_fcntl, low, F_DUPFD_CLOEXEC, 700);
    kernel_call(SYS_close, low);
    return high;
}

bool sleeps(int stat)
{
    char text[512];
    ssize_t n = kernel_call(SYS_pread64, stat, text, sizeof(text) - 1, 0);
    if (n <= 0)
        return true; /* the thread has ended, or nothing can be known */
    text[n] = 0;
    const char *name_end = strrchr(text, ')');
    return !name_end || strncmp(name_end, ") S", 3) == 0;
}

/* Asleep at two looks in a row: not just waiting for a lock. */
static void until_asleep(int stat)
{
    int seen = 0;
    for (long long end = now_ms() + 1000; seen < 2 && now_ms() < end; sleep_ms(2))
        seen = sleeps(stat) ? seen + 1 : 0;
}

static void *task_main(void *arg)
{
    struct task *t = arg;
    if (t->delay_ms > 0)
        sleep_ms(t->delay_ms);
    if (t->starter >= 0) {
        until_asleep(t->starter);
        kernel_call(SYS_close, t->starter);
    }
    t->run(t->arg);
    t->done = true;
    return NULL;
}

void start(struct task *t, int delay_ms, void (*run)(void *), void *arg)
{
    t->run = run;
    t->arg = arg;
    t->delay_ms = delay_ms;
    t->done = false;
    t->starter = delay_ms > 0 ? state_of_this_thread() : -1;
    EQ(pthread_create(&t->thread, NULL, task_main, t), 0);
}

void join(struct task *t) { EQ(pthread_join(t->thread, NULL), 0); }

volatile sig_atomic_t caught_signals;

static void on_signal(int signo)
{
    (void)signo;
    caught_signals++;
}

void catch_signal(int signo, int sa_flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    action.sa_flags = sa_flags;
    OK(sigaction(signo, &action, NULL));
}

void until_caught(void)
{
    for (long long end = now_ms() + LONG_MS; caught_signals == 0 && now_ms() < end;)
        sleep_ms(1);
    sleep_ms(SHORT_MS);
}

struct signal_order {
    pthread_t to;
    int signo;
};

static void deliver(void *arg)
{
    struct signal_order *order = arg;
    EQ(pthread_kill(order->to, order->signo), 0);
    free(order);
}

void send_signal_after(struct task *t, int delay_ms, int signo)
{
    struct signal_order *order = malloc(sizeof(*order));
    order->to = pthread_self();
    order->signo = signo;
    start(t, delay_ms, deliver, order);
}


static void on_alarm(int signo)
{
    static const char text[] = "timed out: the case did not end within its bound\n";
    (void)signo;
    if (write(2, text, sizeof(text) - 1) < 0) {
    }
    _exit(1);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (struct test_case *c = first_case; c; c = c->next)
            puts(c->name);
        return 0;
    }
    /* A run on tunsock must not quietly be a run on the kernel. */
    if (getenv("CTEST_TUNSOCK") && !dlsym(RTLD_DEFAULT, "tunsock_socket")) {
        fprintf(stderr, "libtunsock is not in this process\n");
        return 1;
    }
    close_range(3, ~0u, 0); /* numbers are part of what is tested */
    for (struct test_case *c = first_case; argc == 2 && c; c = c->next) {
        if (strcmp(c->name, argv[1]) != 0)
            continue;
        signal(SIGALRM, on_alarm);
        const char *bound = getenv("CTEST_SECONDS");
        alarm(bound ? (unsigned)atoi(bound) : CASE_SECONDS);
        c->run(c->family);
        return 0;
    }
    fprintf(stderr, "usage: %s --list | CASE\n", argv[0]);
    return 2;
}

/* --- the kernel itself ------------------------------------------------------------------------------------------- */

long kernel_call(long number, ...)
{
    long a[6], result;
    va_list list;
    va_start(list, number);
    for (size_t i = 0; i < ARRAY_LEN(a); i++)
        a[i] = va_arg(list, long);
    va_end(list);
#if defined(__x86_64__)
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    register long r9 __asm__("r9") = a[5];
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a[0];
    register long x1 __asm__("x1") = a[1];
    register long x2 __asm__("x2") = a[2];
    register long x3 __asm__("x3") = a[3];
    register long x4 __asm__("x4") = a[4];
    register long x5 __asm__("x5") = a[5];
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    result = x0;
#else
#error "kernel_call is not written for this processor"
#endif
    if (result < 0 && result >= -4095) {
        errno = (int)-result;
        return -1;
    }
    return result;
}
