/* A program under test with a kernel peer beside it: the case forks, the child is the program, and the parent talks to it over kernel
 * sockets by raw system calls, which nobody comes between. On the kernel's way both are on the loopback; on tunsock's the
 * peer is the host side of the device and the addresses come from the environment. */
#ifndef C_TESTS_PEER_H
#define C_TESTS_PEER_H

#include "harness.h"

#include <sys/syscall.h>

static inline struct addr from_environment(int family, const char *name4, const char *name6, int port)
{
    const char *text = getenv(family == AF_INET ? name4 : name6);
    if (!text)
        return loopback(family, port);
    return family == AF_INET ? ipv4(text, port) : ipv6(text, port);
}

/* Where the program finds its peer. */
static inline struct addr peer_addr(int family, int port)
{
    return from_environment(family, "CTEST_HOST4", "CTEST_HOST6", port);
}

/* Where the peer finds the program. */
static inline struct addr program_addr(int family, int port)
{
    return from_environment(family, "CTEST_STACK4", "CTEST_STACK6", port);
}

static inline int k_socket(int family, int type) { return (int)OK(kernel_call(SYS_socket, family, type, 0)); }

static inline void k_close(int fd) { OK(kernel_call(SYS_close, fd)); }

/* A kernel socket on the wildcard, listening when it is a stream; its port. */
static inline int k_bound(int family, int type, int *port)
{
    struct addr a = wildcard(family, 0);
    int fd = k_socket(family, type);
    OK(kernel_call(SYS_bind, fd, &a.sa, a.len));
    if (type == SOCK_STREAM)
        OK(kernel_call(SYS_listen, fd, 8));
    a.len = sizeof(a.ss);
    OK(kernel_call(SYS_getsockname, fd, &a.sa, &a.len));
    *port = port_of(&a);
    return fd;
}

static inline int k_accept(int fd) { return (int)OK(kernel_call(SYS_accept, fd, NULL, NULL)); }

/* Connects to the program as soon as it listens. */
static inline int k_connect(int family, int port)
{
    struct addr a = program_addr(family, port);
    for (long long end = now_ms() + LONG_MS;; sleep_ms(10)) {
        int fd = k_socket(family, SOCK_STREAM);
        if (kernel_call(SYS_connect, fd, &a.sa, a.len) == 0)
            return fd;
        TRUE(now_ms() < end);
        k_close(fd);
    }
}

static inline ssize_t k_recv(int fd, void *data, size_t len) { return kernel_call(SYS_recvfrom, fd, data, len, 0, NULL, NULL); }

static inline void k_send(int fd, const void *data, size_t len)
{
    for (size_t done = 0; done < len;)
        done += (size_t)OK(kernel_call(SYS_sendto, fd, (const char *)data + done, len - done, MSG_NOSIGNAL, NULL, 0));
}

/* Reads until the end; the number of bytes, which must be those of pattern(seed). */
static inline size_t k_read_pattern(int fd, size_t expected, unsigned seed)
{
    unsigned char *want = malloc(expected + 1), *got = malloc(expected + 1);
    size_t have = 0;
    pattern(want, expected, seed);
    for (;;) {
        ssize_t n = OK(k_recv(fd, got + have, expected + 1 - have));
        have += (size_t)n;
        TRUE(have <= expected);
        if (n == 0)
            break;
    }
    EQ(memcmp(want, got, have), 0);
    free(want);
    free(got);
    return have;
}

/* A port for the program to listen on. */
#define PROGRAM_PORT 7070

/* Starts the program: `run` in a child that ends as it pleases, or with 0 when `run` returns. */
static inline pid_t program(void (*run)(int family, int port), int family, int port)
{
    pid_t child = (pid_t)OK(fork());
    if (child == 0) {
        alarm(35);
        run(family, port);
        exit(0);
    }
    return child;
}

static inline void program_ends(pid_t child, int with)
{
    int status = -1;
    EQ(waitpid(child, &status, 0), child);
    TRUE(WIFEXITED(status));
    EQ(WEXITSTATUS(status), with);
}

static inline int program_connects(int family, int port)
{
    struct addr a = peer_addr(family, port);
    int fd = tcp(family);
    OK(connect(fd, &a.sa, a.len));
    return fd;
}

static inline int program_accepts(int family, int port)
{
    struct addr a = wildcard(family, port);
    int l = tcp(family);
    set_int(l, SOL_SOCKET, SO_REUSEADDR, 1);
    OK(bind(l, &a.sa, a.len));
    OK(listen(l, 8));
    return (int)OK(accept(l, NULL, NULL));
}

static inline void send_pattern(int fd, size_t len, unsigned seed)
{
    unsigned char *data = malloc(len);
    pattern(data, len, seed);
    send_all(fd, data, len);
    free(data);
}

#endif
