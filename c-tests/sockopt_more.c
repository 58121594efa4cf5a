/* Options of SOL_SOCKET about CPUs, looking for packets, pacing and priorities. */
#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>

#include "harness.h"

#ifndef SO_INCOMING_CPU
#define SO_INCOMING_CPU 49
#endif
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif

static int make(int family, int type)
{
    return OK(socket(family, type, type == SOCK_RAW ? 253 : 0));
}

static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW};

BOTH(incoming_cpu_before_anything_came)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        int fd = make(family, types[i]);
        EQ(get_int(fd, SOL_SOCKET, SO_INCOMING_CPU), -1);
        for (int value = -2; value < 2000; value += 667) {
            set_int(fd, SOL_SOCKET, SO_INCOMING_CPU, value);
            EQ(get_int(fd, SOL_SOCKET, SO_INCOMING_CPU), value);
        }
        int value = 0;
        ERR(setsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &value, 3), EINVAL);
    }
}

/* The whole process on one CPU that it may use; which. */
static int one_cpu(void)
{
    cpu_set_t all, one;
    OK(sched_getaffinity(0, sizeof(all), &all));
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    OK(sched_setaffinity(0, sizeof(one), &one));
    return cpu;
}

BOTH(incoming_cpu_is_where_packets_came)
{
    int cpu = one_cpu();
    struct pair p = tcp_pair(family), u = udp_pair(family);
    char c;
    send_all(p.client, "x", 1);
    EQ(recv(p.server, &c, 1, 0), 1);
    EQ(get_int(p.server, SOL_SOCKET, SO_INCOMING_CPU), cpu);
    EQ(get_int(u.server, SOL_SOCKET, SO_INCOMING_CPU), -1);
    OK(send(u.client, "x", 1, 0));
    wait_for(u.server, POLLIN);
    EQ(get_int(u.server, SOL_SOCKET, SO_INCOMING_CPU), cpu);
    /* What is set lasts until the next packet. */
    set_int(p.server, SOL_SOCKET, SO_INCOMING_CPU, 77);
    EQ(get_int(p.server, SOL_SOCKET, SO_INCOMING_CPU), 77);
    send_all(p.client, "x", 1);
    EQ(recv(p.server, &c, 1, 0), 1);
    EQ(get_int(p.server, SOL_SOCKET, SO_INCOMING_CPU), cpu);
}

BOTH(incoming_cpu_chooses_among_listeners)
{
    enum { N = 3, CONNECTIONS = 24 };
    int cpu = one_cpu(), l[N];
    struct addr at = loopback(family, 0);
    for (int i = 0; i < N; i++) {
        l[i] = tcp(family);
        set_int(l[i], SOL_SOCKET, SO_REUSEPORT, 1);
        OK(bind(l[i], &at.sa, at.len));
        at = local_of(l[i]);
        OK(listen(l[i], 64));
    }
    set_int(l[1], SOL_SOCKET, SO_INCOMING_CPU, cpu);
    for (int i = 0; i < CONNECTIONS; i++)
        OK(connect(tcp(family), &at.sa, at.len));
    for (int i = 0; i < CONNECTIONS; i++)
        OK(accept(l[1], NULL, NULL));
}

BOTH(busy_poll)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        int fd = make(family, types[i]), value = -1;
        EQ(get_int(fd, SOL_SOCKET, SO_BUSY_POLL), 0);
        ERR(setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &value, sizeof(value)), EINVAL);
        value = 50;
        ERR(setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &value, 3), EINVAL);
        if (setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &value, sizeof(value)) != 0)
            skip("the kernel asks for a right");
        EQ(get_int(fd, SOL_SOCKET, SO_BUSY_POLL), 50);
        EQ(get_int(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL), 0);
    }
}

static void send_much(void *arg)
{
    static char much[4 << 20];
    send_all(*(int *)arg, much, sizeof(much));
}

static void answer_later(void *arg)
{
    send_all(*(int *)arg, "x", 1);
}

/* It changes nothing but how the thread waits: longer waits than it looks, shorter ones, times and signals. */
BOTH(busy_poll_still_waits)
{
    struct addr at;
    int l = listener(family, 1, &at), value = 300;
    if (setsockopt(l, SOL_SOCKET, SO_BUSY_POLL, &value, sizeof(value)) != 0)
        skip("the kernel asks for a right");
    struct pair p = pair_through(l, &at);
    EQ(get_int(p.server, SOL_SOCKET, SO_BUSY_POLL), 300); /* the listener's */
    char c;
    for (int delay = 0; delay <= SHORT_MS; delay += SHORT_MS) {
        struct task t;
        start(&t, delay, answer_later, &p.client);
        EQ(recv(p.server, &c, 1, 0), 1);
        join(&t);
    }
    struct timeval time = {0, 5000};
    OK(setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)));
    ERR(recv(p.server, &c, 1, 0), EAGAIN);
    ERR(recv(p.server, &c, 1, MSG_DONTWAIT), EAGAIN);
}

BOTH(rights_of_prefer_busy_poll)
{
    needs_root_of_the_machine();
    int fd = udp(family), on = 1;
    set_int(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, 7);
    EQ(get_int(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL), 1);
    OK(setresuid(65534, 65534, 65534));
    ERR(setsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof(on)), EPERM);
    on = 0;
    OK(setsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof(on)));
    EQ(get_int(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL), 0);
}

BOTH(rights_of_busy_poll_budget)
{
    enum { SO_BUSY_POLL_BUDGET_ = 70 };
    needs_root_of_the_machine();
    int fd = tcp(family), many = 9, value = 0;
    static const int bad[] = {-1, 65536};
    socklen_t len = sizeof(value);
    OK(setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET_, &many, sizeof(many)));
    ERR(getsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET_, &value, &len), ENOPROTOOPT);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ERR(setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET_, &bad[i], sizeof(bad[i])), EINVAL);
    OK(setresuid(65534, 65534, 65534));
    OK(setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET_, &many, sizeof(many)));
    many++;
    ERR(setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET_, &many, sizeof(many)), EPERM);
    many = 8;
    OK(setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET_, &many, sizeof(many)));
}

/* Nothing but the device's queueing discipline paces datagrams; the rate is kept. */
BOTH(pacing_rate_of_datagrams)
{
    for (size_t i = 1; i < ARRAY_LEN(types); i++) {
        int fd = make(family, types[i]);
        unsigned long wide = 0;
        unsigned narrow = 0;
        socklen_t len = sizeof(wide);
        OK(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &wide, &len));
        EQ(len, 8);
        EQ(wide, ~0ul);
        set_int(fd, SOL_SOCKET, SO_MAX_PACING_RATE, 1000);
        OK(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &wide, &len));
        EQ(wide, 1000);
        wide = 5ul << 33;
        OK(setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &wide, sizeof(wide)));
        len = sizeof(narrow);
        OK(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &narrow, &len));
        EQ(narrow, ~0u);
        set_int(fd, SOL_SOCKET, SO_MAX_PACING_RATE, -1);
        len = sizeof(wide);
        OK(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &wide, &len));
        EQ(wide, ~0ul);
    }
}

/* IP_TOS sets SO_PRIORITY when it changes. */
CASE(priority_follows_tos)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        int fd = make(AF_INET, types[i]);
        EQ(get_int(fd, SOL_SOCKET, SO_PRIORITY), 0);
        for (int tos = 255; tos >= 0; tos--) {
            static const int priority[] = {0, 2, 6, 4};
            set_int(fd, IPPROTO_IP, IP_TOS, tos);
            EQ(get_int(fd, SOL_SOCKET, SO_PRIORITY), priority[tos >> 3 & 3]);
        }
        set_int(fd, SOL_SOCKET, SO_PRIORITY, 5);
        set_int(fd, IPPROTO_IP, IP_TOS, 0);
        EQ(get_int(fd, SOL_SOCKET, SO_PRIORITY), 5);
        set_int(fd, IPPROTO_IP, IP_TOS, 0x40);
        EQ(get_int(fd, SOL_SOCKET, SO_PRIORITY), 0);
    }
    int fd = tcp(AF_INET6);
    set_int(fd, SOL_SOCKET, SO_PRIORITY, 5);
    set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, 0x10);
    EQ(get_int(fd, SOL_SOCKET, SO_PRIORITY), 5);
    set_int(fd, IPPROTO_IP, IP_TOS, 0x10);
    EQ(get_int(fd, SOL_SOCKET, SO_PRIORITY), 6);
}

/* A connection that is accepted has the listener's mark and no priority. */
CASE(mark_and_priority_of_a_child)
{
    struct addr at;
    int l = listener(AF_INET, 1, &at), mark = 42;
    if (setsockopt(l, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0)
        skip("no right to mark");
    set_int(l, SOL_SOCKET, SO_PRIORITY, 3);
    struct pair p = pair_through(l, &at);
    EQ(get_int(p.server, SOL_SOCKET, SO_MARK), 42);
    EQ(get_int(p.server, SOL_SOCKET, SO_PRIORITY), 0);
    EQ(get_int(p.client, SOL_SOCKET, SO_MARK), 0);
}

/* Options that nothing comes of on internet sockets, there as here. */
BOTH(options_of_other_families)
{
    static const int refused[] = {SO_PASSCRED, SO_PASSSEC};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        int fd = make(family, types[i]), value = 1;
        socklen_t len = sizeof(value);
        for (size_t j = 0; j < ARRAY_LEN(refused); j++) {
            ERR(setsockopt(fd, SOL_SOCKET, refused[j], &value, sizeof(value)), EOPNOTSUPP);
            ERR(getsockopt(fd, SOL_SOCKET, refused[j], &value, &len), EOPNOTSUPP);
        }
        struct ucred nobody = {1, 2, 3};
        len = sizeof(nobody);
        OK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &nobody, &len));
        EQ(len, sizeof(nobody));
        EQ(nobody.pid, 0);
        EQ((int)nobody.uid, -1);
        EQ((int)nobody.gid, -1);
        len = 4;
        OK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &nobody, &len));
        EQ(len, 4);
        EQ(get_int(fd, SOL_SOCKET, 56 /* SO_INCOMING_NAPI_ID */), 0);
        ERR(setsockopt(fd, SOL_SOCKET, 56, &value, sizeof(value)), ENOPROTOOPT);
        len = sizeof(value);
        ERR(getsockopt(fd, SOL_SOCKET, 59 /* SO_PEERGROUPS */, &value, &len), ENODATA);
        set_int(fd, SOL_SOCKET, SO_BSDCOMPAT, 1);
        EQ(get_int(fd, SOL_SOCKET, SO_BSDCOMPAT), 0);
    }
}

BOTH(debug_is_kept)
{
    needs_root_of_the_machine();
    int fd = tcp(family), on = 1;
    EQ(get_int(fd, SOL_SOCKET, SO_DEBUG), 0);
    set_int(fd, SOL_SOCKET, SO_DEBUG, 3);
    EQ(get_int(fd, SOL_SOCKET, SO_DEBUG), 1);
    OK(setresuid(65534, 65534, 65534));
    ERR(setsockopt(fd, SOL_SOCKET, SO_DEBUG, &on, sizeof(on)), EACCES);
    set_int(fd, SOL_SOCKET, SO_DEBUG, 0);
    EQ(get_int(fd, SOL_SOCKET, SO_DEBUG), 0);
}

/* Which buffers grow no more by themselves: those whose size was set, or that were locked as they are. */
BOTH(buffers_are_locked)
{
    enum { SO_BUF_LOCK_ = 72 };
    for (size_t i = 0; i < 2; i++) {
        int fd = make(family, types[i]), bad = 4;
        EQ(get_int(fd, SOL_SOCKET, SO_BUF_LOCK_), 0);
        set_int(fd, SOL_SOCKET, SO_SNDBUF, 10000);
        EQ(get_int(fd, SOL_SOCKET, SO_BUF_LOCK_), 1);
        set_int(fd, SOL_SOCKET, SO_RCVBUF, 10000);
        EQ(get_int(fd, SOL_SOCKET, SO_BUF_LOCK_), 3);
        for (int value = 0; value < 4; value++) {
            set_int(fd, SOL_SOCKET, SO_BUF_LOCK_, value);
            EQ(get_int(fd, SOL_SOCKET, SO_BUF_LOCK_), value);
        }
        ERR(setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK_, &bad, sizeof(bad)), EINVAL);
    }
}

BOTH(a_locked_buffer_does_not_grow)
{
    enum { SO_BUF_LOCK_ = 72, MUCH = 4 << 20 };
    struct pair p = tcp_pair(family);
    struct task t;
    set_int(p.server, SOL_SOCKET, SO_BUF_LOCK_, 2);
    int before = get_int(p.server, SOL_SOCKET, SO_RCVBUF);
    start(&t, 0, send_much, &p.client);
    EQ(drain(p.server, MUCH), MUCH);
    join(&t);
    EQ(get_int(p.server, SOL_SOCKET, SO_RCVBUF), before);
}

/* Writing a connection's state takes a right. */
BOTH(repair_without_the_right)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    struct pair p = tcp_pair(family);
    int fresh = tcp(family), fds[] = {fresh, p.client}, one = 1;
    EQ(kernel_call(SYS_capset, &head, none), 0);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        EQ(get_int(fds[i], IPPROTO_TCP, TCP_REPAIR), 0);
        ERR(setsockopt(fds[i], IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one)), EPERM);
        ERR(setsockopt(fds[i], IPPROTO_TCP, TCP_REPAIR_QUEUE, &one, sizeof(one)), EPERM);
        ERR(setsockopt(fds[i], IPPROTO_TCP, TCP_REPAIR, &one, 3), EINVAL);
    }
}
