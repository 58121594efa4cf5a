/* The calls, except those of options and messages. */
#include "fuzz.h"

const char *const names[] = {"nothing", "tcp", "listener", "stream", "udp", "raw", "ping", "other", "epoll"};

static void nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* What waits for more to send by a timer is switched off: what can be seen would depend on the time. */
static void no_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int some_family(void)
{
    return chance(50) ? AF_INET : AF_INET6;
}

/* --- descriptors come and go -------------------------------------------------------------------------------------------- */

static void open_any(int slot)
{
    /* No family and no protocol that a module of the machine's might answer for. */
    int family = chance(90) ? some_family() : (int)ONE_OF(AF_UNSPEC, 100, -1);
    int type = (int)ONE_OF(SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM, SOCK_DGRAM, SOCK_RAW, 0, 11, 15, -1);
    int protocol = (int)ONE_OF(0, 0, 0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, 200, 255, -1);
    if (type == SOCK_RAW && chance(50))
        protocol = 200;
    int flags = SOCK_NONBLOCK | (int)ONE_OF(0, SOCK_CLOEXEC, 0, 0x100);
    int fd = socket(family, type < 0 ? type : type | flags, protocol);
    result_fd(fd, "%d: socket(%d, %d | %#x, %d)", slot, family, type, flags, protocol);
    if (fd >= 0 && type == SOCK_STREAM)
        no_delay(fd);
    enum what what = type == SOCK_STREAM ? TCP : type == SOCK_RAW ? RAW : protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ? PING : UDP;
    put(slot, fd, what);
}

static void wildcard_or_loopback(struct where *w, int family)
{
    memset(w, 0, sizeof *w);
    w->sa.sa_family = (sa_family_t)family;
    w->len = family == AF_INET ? sizeof w->v4 : sizeof w->v6;
    if (chance(70)) {
        if (family == AF_INET)
            w->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        else
            w->v6.sin6_addr = in6addr_loopback;
    }
}

static int open_bound(int family, int type)
{
    struct where w;
    int fd = socket(family, type | SOCK_NONBLOCK, 0);
    wildcard_or_loopback(&w, family);
    int ok = bind(fd, &w.sa, w.len);
    if (ok != 0)
        result(ok, "bind of a new socket");
    return fd;
}

static void open_listener(int slot)
{
    int family = some_family(), backlog = (int)ONE_OF(0, 1, 5, 128, -1);
    int fd = open_bound(family, SOCK_STREAM);
    no_delay(fd);
    int ok = listen(fd, backlog);
    result(ok, "%d: listen on a new socket of family %d, backlog %d", slot, family, backlog);
    put(slot, fd, LISTENING);
}

static void open_udp(int slot)
{
    int family = some_family();
    int fd = open_bound(family, SOCK_DGRAM);
    result_fd(fd, "%d: a bound UDP socket of family %d", slot, family);
    put(slot, fd, UDP);
}

static void open_udp_pair(int slot)
{
    struct where w;
    int other = (slot + 1) % SLOTS, family = some_family();
    put(slot, open_bound(family, SOCK_DGRAM), UDP);
    put(other, open_bound(family, SOCK_DGRAM), UDP);
    address_of_slot(&w, slot);
    int there = connect(slots[other].fd, &w.sa, w.len);
    address_of_slot(&w, other);
    int back = connect(slots[slot].fd, &w.sa, w.len);
    result(there | back, "%d, %d: UDP sockets of family %d, connected to each other", slot, other, family);
}

static void open_tcp_pair(int slot)
{
    struct where w;
    int other = (slot + 1) % SLOTS, third = (slot + 2) % SLOTS, family = some_family();
    put(third, open_bound(family, SOCK_STREAM), LISTENING);
    no_delay(slots[third].fd);
    listen(slots[third].fd, 5);
    address_of_slot(&w, third);
    put(slot, socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0), STREAM);
    no_delay(slots[slot].fd);
    int ok = connect(slots[slot].fd, &w.sa, w.len);
    struct pollfd ready[2] = {{slots[third].fd, POLLIN, 0}, {slots[slot].fd, POLLOUT, 0}};
    poll(ready, 1, 10000);
    poll(ready + 1, 1, 10000);
    put(other, accept4(slots[third].fd, NULL, NULL, SOCK_NONBLOCK), STREAM);
    result(slots[other].fd < 0 ? -1 : 0, "%d, %d: a connection of family %d", slot, other, family);
    say(", connect %d", ok);
    if (chance(80))
        put(third, -1, NOTHING);
}

static void open_special(int slot)
{
    int family = some_family(), protocol = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6, fd;
    switch (below(3)) {
    case 0:
        fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, protocol);
        result_fd(fd, "%d: a ping socket of family %d", slot, family);
        put(slot, fd, PING);
        break;
    default:
        protocol = chance(30) ? protocol : (int)ONE_OF(200, 255);
        fd = socket(family, SOCK_RAW | SOCK_NONBLOCK, protocol);
        result_fd(fd, "%d: a raw socket of family %d, protocol %d", slot, family, protocol);
        put(slot, fd, RAW);
        break;
    }
}

static void open_other(int slot)
{
    int two[2] = {-1, -1}, other = (slot + 1) % SLOTS;
    switch (below(5)) {
    case 0:
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, two);
        break;
    case 1: {
        /* Refused; whose families are there is the same. */
        int family = some_family();
        int ok = socketpair(family, (int)ONE_OF(SOCK_STREAM, SOCK_DGRAM, SOCK_RAW), 0, two);
        result(ok, "socketpair(%d)", family);
        return;
    }
    case 2:
        if (pipe2(two, O_NONBLOCK) != 0)
            abort();
        break;
    case 3:
        two[0] = eventfd(0, EFD_NONBLOCK);
        break;
    case 4:
        two[0] = epoll_create1((int)ONE_OF(0, EPOLL_CLOEXEC));
        result_fd(two[0], "%d: epoll_create1", slot);
        put(slot, two[0], EPOLL);
        return;
    }
    result(0, "%d: a pipe or the like", slot);
    put(slot, two[0], OTHER);
    if (two[1] >= 0)
        put(other, two[1], OTHER);
}

static void open_step(void)
{
    int slot = (int)below(SLOTS);
    switch (below(10)) {
    case 0: return open_any(slot);
    case 1: return open_listener(slot);
    case 2: case 3: return open_udp(slot);
    case 4: return open_udp_pair(slot);
    case 5: case 6: case 7: return open_tcp_pair(slot);
    case 8: return open_special(slot);
    case 9: return open_other(slot);
    }
}

static void close_step(void)
{
    if (chance(10)) {
        int fd = wrong_fd();
        int ok = close(fd);
        result(ok, "close(%d)", fd);
        return;
    }
    int slot = some_slot();
    int ok = slots[slot].what == NOTHING ? 0 : close(slots[slot].fd);
    result(ok, "close(%d %s)", slot, names[slots[slot].what]);
    slots[slot] = (struct slot){-1, NOTHING};
}

static void dup_step(void)
{
    int from = some_slot(), to = (int)below(SLOTS), fd;
    int source = chance(95) ? slots[from].fd : wrong_fd();
    enum what what = slots[from].what;
    switch (below(5)) {
    case 0:
        fd = dup(source);
        result_fd(fd, "%d: dup(%d %s)", to, from, names[what]);
        break;
    case 1: {
        int flags = (int)ONE_OF(0, O_CLOEXEC, O_NONBLOCK, -1), onto = slots[to].fd;
        fd = dup3(source, onto, flags);
        int ok = fd < 0 ? -1 : fd == onto;
        result(ok, "dup3(%d %s, %d, %#x)", from, names[what], to, flags);
        if (fd >= 0)
            slots[to].what = what;
        return;
    }
    case 2: {
        int onto = slots[to].fd;
        fd = dup2(source, onto);
        int ok = fd < 0 ? -1 : fd == onto;
        result(ok, "dup2(%d %s, %d)", from, names[what], to);
        if (fd >= 0)
            slots[to].what = what;
        return;
    }
    default: {
        int command = (int)ONE_OF(F_DUPFD, F_DUPFD_CLOEXEC), least = (int)ONE_OF(0, 100, -1, 0x7fffffff);
        fd = fcntl(source, command, least);
        result_fd(fd, "%d: fcntl(%d %s, %d, %d)", to, from, names[what], command, least);
        break;
    }
    }
    if (fd >= 0)
        put(to, fd, what);
}

/* --- addresses and connections ------------------------------------------------------------------------------------------ */

static void bind_step(void)
{
    struct where w;
    int slot = some_slot();
    some_address(&w, slot, true);
    int ok = bind(slots[slot].fd, w.at, w.len);
    result(ok, "bind(%d %s, %s)", slot, names[slots[slot].what], w.text);
}

static void connect_step(void)
{
    struct where w;
    int slot = some_slot();
    some_address(&w, slot, true);
    /* A raw socket that is told so receives nothing any more on Linux (__udp_disconnect, raw_unhash). */
    if (chance(8) && slots[slot].what != RAW)
        w.sa.sa_family = AF_UNSPEC;
    if (w.sa.sa_family == AF_UNSPEC && slots[slot].what == RAW)
        return;
    int ok = connect(slots[slot].fd, w.at, w.len);
    result(ok, "connect(%d %s, %s%s)", slot, names[slots[slot].what], w.text, w.sa.sa_family == AF_UNSPEC ? " unspec" : "");
    if (slots[slot].what == TCP)
        slots[slot].what = STREAM;
    if (slots[slot].what == STREAM && w.sa.sa_family == AF_UNSPEC && ok == 0)
        slots[slot].what = TCP;
    /* Linux 6.18 sends the second datagram after that to where connect was told to go (inet->cork.fl). */
    bool dgram = slots[slot].what == UDP || slots[slot].what == RAW || slots[slot].what == PING;
    if (ok != 0 && dgram && family_of(slot) == AF_INET)
        put(slot, -1, NOTHING);
}

static void listen_step(void)
{
    int slot = chance(60) ? slot_of(TCP) : some_slot();
    int ok = listen(slots[slot].fd, (int)ONE_OF(0, 1, 128, -1));
    result(ok, "listen(%d %s)", slot, names[slots[slot].what]);
    if (ok == 0)
        slots[slot].what = LISTENING;
}

static void accept_step(void)
{
    struct where w;
    int slot = chance(80) ? slot_of(LISTENING) : some_slot(), to = (int)below(SLOTS), fd;
    memset(&w, 0x5a, sizeof w);
    w.len = (socklen_t)(chance(60) ? (long)sizeof w.ss : ONE_OF(0, 2, 8, 16, 28, -1));
    socklen_t room = w.len;
    int flags = SOCK_NONBLOCK | (int)ONE_OF(0, 0, 0, SOCK_CLOEXEC, 1);
    void *at = chance(95) ? &w : bad_memory();
    socklen_t *len = chance(95) ? &w.len : bad_memory();
    if (slots[slot].what == OTHER || slots[slot].what == EPOLL || chance(70)) {
        fd = accept4(slots[slot].fd, at, len, flags);
        result_fd(fd, "%d: accept4(%d %s, %s, %s%d, %#x)", to, slot, names[slots[slot].what], at == &w ? "room" : "bad", len == &w.len ? "" : "bad ",
                  (int)room, flags);
    } else {
        fd = accept(slots[slot].fd, at, len);
        result_fd(fd, "%d: accept(%d %s, %s, %s%d)", to, slot, names[slots[slot].what], at == &w ? "room" : "bad", len == &w.len ? "" : "bad ", (int)room);
        if (fd >= 0)
            nonblocking(fd);
    }
    if (fd >= 0) {
        if (at == &w)
            say_address("from", &w, room, w.len);
        no_delay(fd);
        put(to, fd, STREAM);
    }
}

static void name_step(void)
{
    struct where w;
    int slot = some_slot(), peer = chance(50);
    memset(&w, 0x5a, sizeof w);
    socklen_t room = w.len = (socklen_t)(chance(60) ? (long)sizeof w.ss : ONE_OF(0, 1, 2, 4, 8, 16, 24, 28, 29, -1));
    void *at = chance(95) ? &w : bad_memory();
    socklen_t *len = chance(95) ? &w.len : bad_memory();
    int fd = chance(97) ? slots[slot].fd : wrong_fd();
    int ok = peer ? getpeername(fd, at, len) : getsockname(fd, at, len);
    result(ok, "%s(%d %s%s, %s, %s%d)", peer ? "getpeername" : "getsockname", slot, names[slots[slot].what], fd == slots[slot].fd ? "" : " wrong",
           at == &w ? "room" : "bad", len == &w.len ? "" : "bad ", (int)room);
    if (ok == 0 && slots[slot].what != OTHER)
        say_address("is", &w, room, w.len);
}

static void shutdown_step(void)
{
    int slot = chance(70) ? slot_of(STREAM) : some_slot();
    /* What is shut before it is connected stays so on Linux, for a connection that nobody can use. */
    if (slots[slot].what == TCP)
        return;
    int how = (int)ONE_OF(SHUT_RD, SHUT_WR, SHUT_RDWR, 3, -1);
    int ok = shutdown(slots[slot].fd, how);
    result(ok, "shutdown(%d %s, %d)", slot, names[slots[slot].what], how);
}

/* --- descriptors' flags and requests ------------------------------------------------------------------------------------ */

static void fcntl_step(void)
{
    int slot = some_slot();
    int command = (int)ONE_OF(F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETOWN, F_GETSIG, F_SETSIG, F_GETLK, F_SETLEASE, F_GETLEASE, F_NOTIFY,
                              F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS, F_SET_RW_HINT, F_SETOWN, 999, -1);
    long value = ONE_OF(0, 1, 2, O_APPEND, 64, 65, -1);
    if (command == F_SETFL)
        value = O_NONBLOCK | ONE_OF(0, O_APPEND, O_NOATIME, O_DIRECT, O_RDONLY, O_WRONLY, O_TRUNC);
    if (command == F_SETOWN)
        value = ONE_OF(0, 0x7ffffffe, -0x7ffffffe);
    if (command == F_GETLK || command == F_SETSIG || command == F_SET_RW_HINT)
        value = command == F_SETSIG ? ONE_OF(0, 64, 65, -1) : 0;
    int fd = chance(97) ? slots[slot].fd : wrong_fd();
    int ok = fcntl(fd, command, value);
    result(ok, "fcntl(%d %s%s, %d, %#lx)", slot, names[slots[slot].what], fd == slots[slot].fd ? "" : " wrong", command, value);
}

static void ioctl_step(void)
{
    int slot = some_slot();
    unsigned long request = (unsigned long)ONE_OF(FIONREAD, FIONREAD, FIONBIO, FIOASYNC, FIOCLEX, FIONCLEX, SIOCATMARK, TIOCOUTQ, 0x894b, 0x8906, 0x8907,
                                                  0x8910, 0x8933, 0x8913, 0x8915, 0x891b, 0x8921, 0x8927, 0x8912, 0x8902, 0x8904, 0x5401, 0x5413, 0x540f,
                                                  0x12345678, 0);
    char value[64] = {0};
    if (request == FIONBIO)
        value[0] = 1;
    if (request >= 0x8913 && request <= 0x8933)
        memcpy(value, chance(80) ? "lo" : "none", 5);
    if (request == 0x8910)
        memcpy(value + 16, (int[]){1}, 4);
    if (request == 0x8912)
        memset(value, 0, 16); /* how long the list is */
    void *at = chance(94) ? value : bad_memory();
    if (slots[slot].what == OTHER || slots[slot].what == EPOLL)
        return;
    int ok = ioctl(slots[slot].fd, request, at);
    result(ok, "ioctl(%d %s, %#lx, %s)", slot, names[slots[slot].what], request, at == value ? "value" : "bad");
    /* What is not acknowledged yet depends on the peer's timer; times are nobody's. */
    bool timed = request == TIOCOUTQ || request == 0x894b || request == 0x8906 || request == 0x8907;
    if (ok == 0 && !timed)
        say_bytes("value", value, 40);
}

/* --- waiting ------------------------------------------------------------------------------------------------------------ */

static void poll_step(void)
{
    struct pollfd all[SLOTS];
    nfds_t count = SLOTS;
    bool odd = chance(10);
    int which = (int)below(2);
    for (int i = 0; i < SLOTS; i++)
        all[i] = (struct pollfd){slots[i].what == NOTHING ? -1 : slots[i].fd, chance(80) ? POLLIN | POLLOUT | POLLPRI | POLLRDHUP : (short)below(65536), 0};
    if (odd)
        all[below(SLOTS)].fd = wrong_fd();
    struct pollfd *list = chance(97) ? all : bad_memory();
    struct timespec now = {0, ONE_OF(0, 0, 0, -1, 1000000000)};
    if (chance(3))
        count = (nfds_t)ONE_OF(0, -1, 1 << 30);
    int n = which ? poll(list, count, 0) : ppoll(list, count, &now, NULL);
    result(n, "%s(%s, %ld, %ld)", which ? "poll" : "ppoll", list == all ? "all" : "bad", (long)count, which ? 0 : now.tv_nsec);
    for (int i = 0; i < SLOTS && n >= 0; i++)
        if (all[i].revents)
            say(" %d:%#x", i, all[i].revents);
}

static void select_step(void)
{
    fd_set sets[3];
    int top = 0, which = (int)below(2);
    for (int s = 0; s < 3; s++) {
        FD_ZERO(&sets[s]);
        for (int i = 0; i < SLOTS; i++)
            if (slots[i].what != NOTHING && slots[i].fd < FD_SETSIZE && chance(80)) {
                FD_SET(slots[i].fd, &sets[s]);
                top = slots[i].fd >= top ? slots[i].fd + 1 : top;
            }
    }
    if (chance(5))
        top = (int)ONE_OF(0, -1, 3);
    fd_set *given[3];
    for (int s = 0; s < 3; s++)
        given[s] = chance(80) ? &sets[s] : NULL;
    struct timeval soon = {0, ONE_OF(0, 0, 0, -1)};
    struct timespec now = {0, ONE_OF(0, 0, 0, -1)};
    long n = which ? select(top, given[0], given[1], given[2], &soon) : pselect(top, given[0], given[1], given[2], &now, NULL);
    result(n, "%s(%s%s%s, %ld)", which ? "select" : "pselect", given[0] ? "r" : "", given[1] ? "w" : "", given[2] ? "e" : "",
           which ? soon.tv_usec : now.tv_nsec);
    for (int s = 0; s < 3 && n >= 0; s++)
        for (int i = 0; i < SLOTS && given[s]; i++)
            if (slots[i].what != NOTHING && slots[i].fd < top && FD_ISSET(slots[i].fd, &sets[s]))
                say(" %d:%c", i, "rwe"[s]);
}

static void epoll_step(void)
{
    int set = slot_of(EPOLL), slot = some_slot();
    if (chance(60)) {
        int op = (int)ONE_OF(EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, 7);
        struct epoll_event event = {(uint32_t)ONE_OF(EPOLLIN, EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP, EPOLLIN | EPOLLET, EPOLLOUT | EPOLLONESHOT,
                                                     EPOLLIN | EPOLLEXCLUSIVE, 0, EPOLLIN | EPOLLOUT | EPOLLET),
                                    {.u64 = (uint64_t)slot}};
        struct epoll_event *at = chance(95) ? &event : bad_memory();
        int fd = chance(96) ? slots[slot].fd : wrong_fd();
        int ok = epoll_ctl(slots[set].fd, op, fd, at);
        result(ok, "epoll_ctl(%d %s, %d, %d %s%s, %s%#x)", set, names[slots[set].what], op, slot, names[slots[slot].what],
               fd == slots[slot].fd ? "" : " wrong", at == &event ? "" : "bad ", event.events);
        return;
    }
    struct epoll_event got[SLOTS * 2];
    int most = (int)ONE_OF(28, 28, 28, 28, 0, -1);
    /* Memory that is only found when there is something to write: never there, for what would be written is taken back then. */
    struct epoll_event *at = chance(96) ? got : (void *)0xffff800000000000;
    struct timespec now = {0, 0};
    int n = chance(80) ? epoll_wait(slots[set].fd, at, most, 0) : epoll_pwait2(slots[set].fd, at, most, &now, NULL);
    result(n, "epoll_wait(%d %s, %s, %d)", set, names[slots[set].what], at == got ? "room" : "bad", most);
    /* In no order: several became ready in one step. */
    uint32_t events[SLOTS] = {0};
    for (int i = 0; i < n; i++)
        if (got[i].data.u64 < SLOTS)
            events[got[i].data.u64] |= got[i].events;
    for (int i = 0; i < SLOTS; i++)
        if (events[i])
            say(" %d:%#x", i, events[i]);
}

/* --- all of them -------------------------------------------------------------------------------------------------------- */

void random_step(void)
{
    static const struct {
        int weight;
        void (*act)(void);
    } acts[] = {
        {14, open_step},  {4, close_step},  {4, dup_step},    {6, bind_step},  {9, connect_step},   {3, listen_step},        {5, accept_step},
        {5, name_step},   {4, shutdown_step}, {12, send_step}, {10, recv_step}, {4, copy_step},     {4, vector_step},        {3, fcntl_step},
        {4, ioctl_step},  {8, poll_step},   {3, select_step}, {6, epoll_step}, {12, option_step},   {6, option_probe},       {8, message_send_step},
        {8, message_recv_step},
    };
    int total = 0;
    for (size_t i = 0; i < LEN(acts); i++)
        total += acts[i].weight;
    int at = (int)below((uint32_t)total);
    for (size_t i = 0; i < LEN(acts); i++)
        if ((at -= acts[i].weight) < 0) {
            acts[i].act();
            break;
        }
    end_of_line();
}

/* What is left in each socket. */
void last_look(void)
{
    poll_step();
    for (int slot = 0; slot < SLOTS; slot++) {
        if (slots[slot].what == NOTHING || slots[slot].what >= OTHER)
            continue;
        int error = 0;
        socklen_t len = sizeof error;
        int ok = getsockopt(slots[slot].fd, SOL_SOCKET, SO_ERROR, &error, &len);
        result(ok, "SO_ERROR of %d %s", slot, names[slots[slot].what]);
        say(" %d", error);
        for (int i = 0; i < 20; i++) {
            fill_arena();
            long n = recv(slots[slot].fd, arena, sizeof arena, MSG_DONTWAIT);
            result(n, "recv(%d %s)", slot, names[slots[slot].what]);
            say_received(slot, n, sizeof arena);
            if (n <= 0)
                break;
        }
    }
    end_of_line();
    for (int slot = 0; slot < SLOTS; slot++)
        put(slot, -1, NOTHING);
}
