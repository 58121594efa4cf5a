/* Several threads on shared descriptors. What the calls say is nobody's affair; everybody comes back, and nothing is left open. */
#include "fuzz.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define SHARED 24

/* A number belongs to whoever took it out of here; the others may use it all the same, as programs with races do. */
static _Atomic int shared[SHARED];
static uint64_t the_seed;
static unsigned the_steps;

static int look(void)
{
    return atomic_load(&shared[below(SHARED)]);
}

static void give(int fd)
{
    if (fd < 0)
        return;
    int before = atomic_exchange(&shared[below(SHARED)], fd);
    if (before >= 0)
        close(before);
}

/* Waits are short: for the socket itself or for who waits for it. */
static void bound_waits(int fd)
{
    struct timeval soon = {0, 2000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
}

static socklen_t loopback(struct where *w, int family)
{
    memset(w, 0, sizeof *w);
    w->sa.sa_family = (sa_family_t)family;
    if (family == AF_INET)
        w->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        w->v6.sin6_addr = in6addr_loopback;
    return family == AF_INET ? sizeof w->v4 : sizeof w->v6;
}

static void open_one(void)
{
    struct where w;
    int family = chance(50) ? AF_INET : AF_INET6, flags = chance(50) ? SOCK_NONBLOCK : 0;
    int type = chance(60) ? SOCK_STREAM : SOCK_DGRAM;
    int fd = chance(85) ? socket(family, type | flags, 0) : chance(50) ? epoll_create1(0) : socket(family, SOCK_RAW | flags, 200);
    if (fd < 0)
        return;
    bound_waits(fd);
    if (chance(70))
        bind(fd, &w.sa, loopback(&w, family));
    if (type == SOCK_STREAM && chance(50))
        listen(fd, 4);
    give(fd);
}

static void reach_one(void)
{
    struct where w;
    int fd = look();
    w.len = sizeof w.ss;
    if (getsockname(look(), &w.sa, &w.len) != 0)
        return;
    if (chance(40)) {
        int new = socket(w.sa.sa_family, chance(70) ? SOCK_STREAM : SOCK_DGRAM, 0);
        if (new >= 0) {
            bound_waits(new);
            connect(new, &w.sa, w.len);
            give(new);
        }
    } else if (chance(20)) {
        w.sa.sa_family = AF_UNSPEC;
        connect(fd, &w.sa, w.len);
    } else {
        connect(fd, &w.sa, w.len);
    }
}

static void end_one(void)
{
    int fd = atomic_exchange(&shared[below(SHARED)], -1);
    if (fd >= 0)
        close(fd);
}

static void copy_one(void)
{
    int at = (int)below(SHARED);
    /* dup2 onto a number that this thread has taken, so that it is nobody else's meanwhile. */
    int mine = atomic_exchange(&shared[at], -1), from = look();
    if (mine < 0)
        return give(dup(from));
    if (dup2(from, mine) < 0)
        dup3(from, mine, O_CLOEXEC);
    give(mine);
}

static void move_octets(void)
{
    char out[3000], in[3000];
    memset(out, 7, sizeof out);
    struct iovec pieces[3] = {{out, 10}, {out + 10, below(2900)}, {out, 0}}, places[2] = {{in, 5}, {in + 5, below(2900)}};
    struct where w = {.len = sizeof w.ss};
    char control[200];
    struct msghdr send_head = {.msg_iov = pieces, .msg_iovlen = below(4)};
    struct msghdr recv_head = {.msg_iov = places, .msg_iovlen = below(3), .msg_name = &w, .msg_namelen = sizeof w.ss, .msg_control = control,
                               .msg_controllen = below(200)};
    int fd = look(), flags = (int)ONE_OF(0, 0, MSG_DONTWAIT, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_ERRQUEUE, MSG_WAITALL, MSG_MORE, MSG_ZEROCOPY);
    flags |= MSG_NOSIGNAL;
    switch (below(9)) {
    case 0: send(fd, out, below(sizeof out), flags); break;
    case 1: recv(fd, in, below(sizeof in), flags); break;
    case 2: sendmsg(fd, &send_head, flags); break;
    case 3: recvmsg(fd, &recv_head, flags); break;
    case 4: if (write(fd, out, below(200)) < 0) break; break;
    case 5: if (read(fd, in, below(200)) < 0) break; break;
    case 6:
        if (getsockname(look(), &w.sa, &w.len) == 0)
            sendto(fd, out, below(1000), flags, &w.sa, w.len);
        break;
    case 7: recvfrom(fd, in, sizeof in, flags | MSG_DONTWAIT, &w.sa, &w.len); break;
    case 8: {
        struct mmsghdr many[2] = {{send_head, 0}, {send_head, 0}}, come[2] = {{recv_head, 0}, {recv_head, 0}};
        struct timespec soon = {0, 1000000};
        if (chance(50))
            sendmmsg(fd, many, 2, flags);
        else
            recvmmsg(fd, come, 2, flags | MSG_WAITFORONE, &soon);
    }
    }
}

static void wait_a_moment(void)
{
    struct pollfd some[6];
    struct epoll_event event = {EPOLLIN | EPOLLOUT | (chance(50) ? EPOLLET : 0), {.u32 = 1}}, come[8];
    struct timespec now = {0, 1000000};
    struct timeval soon = {0, 1000};
    fd_set in, out;
    int fd = look();
    switch (below(4)) {
    case 0:
        for (size_t i = 0; i < LEN(some); i++)
            some[i] = (struct pollfd){look(), POLLIN | POLLOUT | POLLPRI, 0};
        ppoll(some, LEN(some), &now, NULL);
        break;
    case 1: epoll_ctl(look(), (int)ONE_OF(EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL), fd, &event); break;
    case 2: epoll_wait(fd, come, LEN(come), 1); break;
    case 3:
        FD_ZERO(&in);
        FD_ZERO(&out);
        if (fd >= 0 && fd < FD_SETSIZE) {
            FD_SET(fd, &in);
            FD_SET(fd, &out);
        }
        select(fd + 1, &in, &out, NULL, &soon);
    }
}

static void ask_and_set(void)
{
    char value[256] = {0};
    int fd = look(), level = (int)ONE_OF(SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP), name = (int)below(64);
    socklen_t len = (socklen_t)ONE_OF(4, 4, 8, 12, 20, 136, 256);
    *(int *)value = (int)ONE_OF(0, 1, 2, 64, 1000, -1);
    /* No filters, no time without end, nothing of the machine's. */
    if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO || name == SO_LINGER || name == 66 || name == 67))
        return;
    if (level == IPPROTO_TCP && (name == 31 || name == 13))
        return;
    if (chance(50))
        getsockopt(fd, level, name, value, &len);
    else
        setsockopt(fd, level, name, value, len);
    int number = 1;
    ioctl(fd, (unsigned long)ONE_OF(FIONREAD, FIONBIO, TIOCOUTQ, SIOCATMARK), &number);
}

static void *one_thread(void *argument)
{
    for (unsigned step = 0; step < the_steps; step++) {
        begin_step(the_seed * 64 + (uintptr_t)argument, step);
        switch (below(16)) {
        case 0: case 1: open_one(); break;
        case 2: case 3: reach_one(); break;
        case 4: give(accept4(look(), NULL, NULL, (int)ONE_OF(0, SOCK_NONBLOCK))); break;
        case 5: end_one(); break;
        case 6: copy_one(); break;
        case 7: shutdown(look(), (int)below(3)); break;
        case 8: case 9: wait_a_moment(); break;
        case 10: case 11: ask_and_set(); break;
        default: move_octets();
        }
    }
    return NULL;
}

int stress(uint64_t seed, int threads, unsigned steps)
{
    pthread_t all[64];
    signal(SIGPIPE, SIG_IGN);
    the_seed = seed;
    the_steps = steps;
    for (int i = 0; i < SHARED; i++)
        atomic_store(&shared[i], -1);
    /* What the library has once is there before the count. */
    int first = socket(AF_INET, SOCK_DGRAM, 0);
    if (first < 0)
        abort();
    close(first);
    int eventfds_before, before = count_descriptors(&eventfds_before);
    threads = threads < 1 ? 1 : threads > (int)LEN(all) ? (int)LEN(all) : threads;
    for (int i = 0; i < threads; i++)
        if (pthread_create(&all[i], NULL, one_thread, (void *)(uintptr_t)i) != 0)
            abort();
    for (int i = 0; i < threads; i++)
        pthread_join(all[i], NULL);
    for (int i = 0; i < SHARED; i++)
        if (atomic_load(&shared[i]) >= 0)
            close(atomic_load(&shared[i]));
    /* The library keeps what a thread sleeps on, an eventfd, for the next thread. Nobody else has any here. */
    int eventfds, lost = count_descriptors(&eventfds) - before;
    int wakers = getenv("CTEST_TUNSOCK") ? threads : 0;
    if (lost != 0 || eventfds - eventfds_before > wakers) {
        printf("    descriptors lost: %d, eventfds: %d\n", lost, eventfds - eventfds_before);
        return 1;
    }
    printf("    all closed\n");
    return 0;
}
