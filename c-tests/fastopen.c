/* TCP Fast Open (RFC 7413, tcp(7)): MSG_FASTOPEN, TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE.
 * The frame sets what the stack is told of Fast Open; the program tells its namespace's kernel the same. */
#include "harness.h"
#include "peer.h"

#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif
#ifndef TCP_FASTOPEN_KEY
#define TCP_FASTOPEN_KEY 33
#endif
#ifndef TCP_FASTOPEN_NO_COOKIE
#define TCP_FASTOPEN_NO_COOKIE 34
#endif
#ifndef TCPI_OPT_SYN_DATA
#define TCPI_OPT_SYN_DATA 32
#endif

static void put_sysctl(const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        skip("the namespace's sysctls cannot be set");
    close(fd);
}

static void prepare(void)
{
    const char *bits = getenv("CTEST_FASTOPEN");
    put_sysctl("tcp_fastopen", bits ? bits : "1");
}

static int syn_data(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    memset(&info, 0, sizeof(info));
    OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
    return (info.tcpi_options & TCPI_OPT_SYN_DATA) != 0;
}

/* A listener of the program that takes data in SYNs. */
static int fast_listener(int family, int queue, struct addr *where)
{
    int fd = tcp(family);
    struct addr any = loopback(family, 0);
    OK(bind(fd, &any.sa, any.len));
    set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, queue);
    OK(listen(fd, 8));
    *where = local_of(fd);
    return fd;
}

/* The client has a cookie for `where` when this returns. */
static void meet(int family, int listener, const struct addr *where)
{
    int c = tcp(family);
    EQ(sendto(c, "x", 1, MSG_FASTOPEN, &where->sa, where->len), 1);
    EQ(syn_data(c), 0);
    int s = (int)OK(accept(listener, NULL, NULL));
    char byte;
    EQ(recv(s, &byte, 1, 0), 1);
    close(c);
    close(s);
}

BOTH(off_is_not_supported)
{
    prepare();
    int fd = tcp(family);
    struct addr to = loopback(family, free_port(family));
    ERR(sendto(fd, "abc", 3, MSG_FASTOPEN, &to.sa, to.len), EOPNOTSUPP);
    ERR(sendto(fd, "abc", 3, MSG_FASTOPEN, NULL, 0), EOPNOTSUPP);
    int on = 1;
    ERR(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)), EOPNOTSUPP);
    EQ(get_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT), 0);
    /* What belongs to the server can be set nevertheless. */
    set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, 5);
    EQ(get_int(fd, IPPROTO_TCP, TCP_FASTOPEN), 5);
}

BOTH(options_have_their_ranges)
{
    prepare();
    int fd = tcp(family), v;
    EQ(get_int(fd, IPPROTO_TCP, TCP_FASTOPEN), 0);
    set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, 3);
    EQ(get_int(fd, IPPROTO_TCP, TCP_FASTOPEN), 3);
    set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, 1 << 20);
    EQ(get_int(fd, IPPROTO_TCP, TCP_FASTOPEN), 4096);
    v = -1;
    ERR(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &v, sizeof(v)), EINVAL);
    const int switches[] = {TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE};
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        EQ(get_int(fd, IPPROTO_TCP, switches[i]), 0);
        set_int(fd, IPPROTO_TCP, switches[i], 1);
        EQ(get_int(fd, IPPROTO_TCP, switches[i]), 1);
        v = 2;
        ERR(setsockopt(fd, IPPROTO_TCP, switches[i], &v, sizeof(v)), EINVAL);
        v = -1;
        ERR(setsockopt(fd, IPPROTO_TCP, switches[i], &v, sizeof(v)), EINVAL);
        set_int(fd, IPPROTO_TCP, switches[i], 0);
    }
    int d = udp(family);
    ERR(setsockopt(d, IPPROTO_TCP, TCP_FASTOPEN, &v, sizeof(v)), ENOPROTOOPT);
}

BOTH(options_of_a_connected_socket)
{
    prepare();
    struct pair p = tcp_pair(family);
    int v = 1;
    ERR(setsockopt(p.client, IPPROTO_TCP, TCP_FASTOPEN, &v, sizeof(v)), EINVAL);
    ERR(setsockopt(p.client, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &v, sizeof(v)), EINVAL);
    ERR(setsockopt(p.client, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &v, sizeof(v)), EINVAL);
    struct addr to = peer_of(p.client);
    ERR(sendto(p.client, "x", 1, MSG_FASTOPEN, &to.sa, to.len), EISCONN);
    ERR(send(p.server, "x", 1, MSG_FASTOPEN), EISCONN);
}

BOTH(keys_are_one_or_two)
{
    prepare();
    int fd = tcp(family);
    unsigned char key[32], got[40];
    for (int i = 0; i < 32; i++)
        key[i] = (unsigned char)(i + 1);
    const socklen_t wrong[] = {0, 1, 15, 17, 31, 33};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ERR(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, wrong[i]), EINVAL);
    for (socklen_t n = 16; n <= 32; n += 16) {
        OK(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, n));
        socklen_t len = sizeof(got);
        OK(getsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, got, &len));
        EQ(len, n);
        EQ(memcmp(key, got, n), 0);
    }
    socklen_t len = 7;
    memset(got, 0xee, sizeof(got));
    OK(getsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, got, &len));
    EQ(len, 7);
    EQ(got[7], 0xee);
    ERR(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, null_pointer, 16), EFAULT);
}

BOTH(unconnected_needs_an_address)
{
    prepare();
    int fd = tcp(family);
    struct addr to = loopback(family, free_port(family));
    ERR(send(fd, "x", 1, MSG_FASTOPEN), EINVAL);
    to.sa.sa_family = AF_UNSPEC;
    ERR(sendto(fd, "x", 1, MSG_FASTOPEN, &to.sa, to.len), EOPNOTSUPP);
    to.sa.sa_family = AF_UNIX;
    ERR(sendto(fd, "x", 1, MSG_FASTOPEN, &to.sa, to.len), EAFNOSUPPORT);
    to.sa.sa_family = (sa_family_t)family;
    ERR(sendto(fd, "x", 1, MSG_FASTOPEN, &to.sa, 5), EINVAL);
    OK(listen(fd, 1));
    ERR(sendto(fd, "x", 1, MSG_FASTOPEN, &to.sa, to.len), EISCONN);
}

BOTH(refused_when_nobody_listens)
{
    prepare();
    struct addr to = loopback(family, free_port(family));
    int fd = tcp(family);
    ERR(sendto(fd, "abc", 3, MSG_FASTOPEN, &to.sa, to.len), ECONNREFUSED);
    int nb = tcp(family);
    ERR(sendto(nb, "abc", 3, MSG_FASTOPEN | MSG_DONTWAIT, &to.sa, to.len), EINPROGRESS);
    wait_for(nb, POLLOUT | POLLERR);
    EQ(get_int(nb, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
}

BOTH(data_travels_with_the_syn)
{
    prepare();
    struct addr where;
    int l = fast_listener(family, 4, &where);
    meet(family, l, &where);
    int c = tcp(family);
    EQ(sendto(c, "hello", 5, MSG_FASTOPEN | MSG_DONTWAIT, &where.sa, where.len), 5);
    wait_for(l, POLLIN);
    int s = (int)OK(accept(l, NULL, NULL));
    char got[16];
    EQ(recv(s, got, sizeof(got), 0), 5);
    EQ(memcmp(got, "hello", 5), 0);
    EQ(send(s, "world", 5, 0), 5);
    EQ(recv(c, got, 5, MSG_WAITALL), 5);
    EQ(syn_data(c), 1);
    EQ(syn_data(s), 1);
    struct addr a = peer_of(s), b = local_of(c);
    TRUE(same_addr(&a, &b));
}

BOTH(a_blocking_call_sends_everything)
{
    prepare();
    struct addr where;
    int l = fast_listener(family, 4, &where);
    meet(family, l, &where);
    static char out[200000], in[200000];
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (char)(i * 7);
    int c = tcp(family);
    struct iovec pieces[3] = {{out, 10}, {out + 10, 5000}, {out + 5010, sizeof(out) - 5010}};
    struct msghdr m = {.msg_name = &where.sa, .msg_namelen = where.len, .msg_iov = pieces, .msg_iovlen = 3};
    EQ(sendmsg(c, &m, MSG_FASTOPEN), sizeof(out));
    int s = (int)OK(accept(l, NULL, NULL));
    EQ(recv(s, in, sizeof(in), MSG_WAITALL), sizeof(in));
    EQ(memcmp(in, out, sizeof(in)), 0);
    EQ(syn_data(c), 1);
}

BOTH(nothing_to_send_is_a_plain_connect)
{
    prepare();
    struct addr where;
    int l = fast_listener(family, 4, &where);
    meet(family, l, &where);
    int c = tcp(family);
    ERR(sendto(c, "", 0, MSG_FASTOPEN | MSG_DONTWAIT, &where.sa, where.len), EINPROGRESS);
    wait_for(c, POLLOUT);
    EQ(send(c, "x", 1, 0), 1);
    int s = (int)OK(accept(l, NULL, NULL));
    char byte;
    EQ(recv(s, &byte, 1, 0), 1);
    EQ(syn_data(c), 0);
    int b = tcp(family);
    EQ(sendto(b, "", 0, MSG_FASTOPEN, &where.sa, where.len), 0);
    ERR(sendto(b, "x", 1, MSG_FASTOPEN, &where.sa, where.len), EISCONN);
}

BOTH(many_messages_at_once)
{
    prepare();
    struct addr where;
    int l = fast_listener(family, 4, &where);
    meet(family, l, &where);
    int c = tcp(family);
    struct iovec one = {"one", 3}, two = {"two", 3};
    struct mmsghdr m[2] = {
        {.msg_hdr = {.msg_name = &where.sa, .msg_namelen = where.len, .msg_iov = &one, .msg_iovlen = 1}},
        {.msg_hdr = {.msg_iov = &two, .msg_iovlen = 1}},
    };
    /* The second is told that the socket is connected. */
    EQ(sendmmsg(c, m, 2, MSG_FASTOPEN), 1);
    EQ(m[0].msg_len, 3);
    int s = (int)OK(accept(l, NULL, NULL));
    char got[4];
    EQ(recv(s, got, sizeof(got), 0), 3);
}

BOTH(connect_waits_for_something_to_send)
{
    prepare();
    struct addr where;
    int l = fast_listener(family, 4, &where);
    int first = tcp(family);
    set_int(first, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    OK(connect(first, &where.sa, where.len));
    EQ(send(first, "x", 1, 0), 1);
    EQ(syn_data(first), 0);
    close((int)OK(accept(l, NULL, NULL)));
    /* With a cookie connect returns at once, and nothing has been sent. */
    int c = tcp(family);
    set_int(c, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    OK(connect(c, &where.sa, where.len));
    struct pollfd p = {.fd = l, .events = POLLIN};
    EQ(poll(&p, 1, SHORT_MS), 0);
    p.fd = c;
    p.events = POLLIN | POLLOUT;
    EQ(poll(&p, 1, 0), 1);
    EQ(p.revents, POLLOUT);
    char got[8];
    ERR(recv(c, got, sizeof(got), MSG_DONTWAIT), EAGAIN);
    struct addr a;
    a.len = sizeof(a.ss);
    ERR(getpeername(c, &a.sa, &a.len), ENOTCONN);
    EQ(write(c, "abc", 3), 3);
    int s = (int)OK(accept(l, NULL, NULL));
    EQ(recv(s, got, sizeof(got), 0), 3);
    EQ(syn_data(c), 1);
    ERR(connect(c, &where.sa, where.len), EISCONN);
}

BOTH(connect_that_nobody_follows_sends_nothing)
{
    prepare();
    struct addr where;
    int l = fast_listener(family, 4, &where);
    meet(family, l, &where);
    int c = tcp(family);
    set_int(c, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    OK(fcntl(c, F_SETFL, O_NONBLOCK));
    OK(connect(c, &where.sa, where.len));
    ERR(connect(c, &where.sa, where.len), EISCONN);
    ERR(send(c, "", 0, 0), EINPROGRESS);
    wait_for(l, POLLIN);
    close(c);
    int d = tcp(family);
    set_int(d, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    OK(connect(d, &where.sa, where.len));
    close(d);
    close((int)OK(accept(l, NULL, NULL)));
    struct pollfd p = {.fd = l, .events = POLLIN};
    EQ(poll(&p, 1, SHORT_MS), 0);
}

BOTH(without_a_cookie_when_asked)
{
    prepare();
    struct addr where;
    int l = fast_listener(family, 4, &where);
    set_int(l, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1);
    int c = tcp(family);
    set_int(c, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1);
    EQ(sendto(c, "first", 5, MSG_FASTOPEN | MSG_DONTWAIT, &where.sa, where.len), 5);
    int s = (int)OK(accept(l, NULL, NULL));
    char got[8];
    EQ(recv(s, got, sizeof(got), 0), 5);
    EQ(send(s, "y", 1, 0), 1);
    EQ(recv(c, got, 1, 0), 1);
    EQ(syn_data(c), 1);
    EQ(syn_data(s), 1);
}

BOTH(a_listener_that_does_not_take_it_gets_it_later)
{
    prepare();
    struct addr where;
    int l = fast_listener(family, 4, &where);
    meet(family, l, &where);
    set_int(l, IPPROTO_TCP, TCP_FASTOPEN, 0);
    int c = tcp(family);
    EQ(sendto(c, "late", 4, MSG_FASTOPEN | MSG_DONTWAIT, &where.sa, where.len), 4);
    int s = (int)OK(accept(l, NULL, NULL));
    char got[8];
    EQ(recv(s, got, sizeof(got), 0), 4);
    EQ(syn_data(c), 0);
    EQ(syn_data(s), 0);
}

BOTH(other_keys_other_cookies)
{
    prepare();
    struct addr where;
    int l = fast_listener(family, 4, &where);
    meet(family, l, &where);
    unsigned char keys[32];
    memset(keys, 9, sizeof(keys));
    OK(setsockopt(l, IPPROTO_TCP, TCP_FASTOPEN_KEY, keys, 16));
    char got[8];
    /* Refused, and the new cookie learnt: the second time it goes through. */
    for (int round = 0; round < 2; round++) {
        int c = tcp(family);
        EQ(sendto(c, "k", 1, MSG_FASTOPEN | MSG_DONTWAIT, &where.sa, where.len), 1);
        int s = (int)OK(accept(l, NULL, NULL));
        EQ(recv(s, got, sizeof(got), 0), 1);
        EQ(syn_data(c), round);
    }
    /* The key of before as the second one: what it made is believed. */
    memset(keys, 7, 16);
    OK(setsockopt(l, IPPROTO_TCP, TCP_FASTOPEN_KEY, keys, 32));
    int c = tcp(family);
    EQ(sendto(c, "k", 1, MSG_FASTOPEN | MSG_DONTWAIT, &where.sa, where.len), 1);
    int s = (int)OK(accept(l, NULL, NULL));
    EQ(recv(s, got, sizeof(got), 0), 1);
    EQ(syn_data(c), 1);
}

/* Against the kernel's own Fast Open. */

static void program_opens(int family, int port)
{
    struct addr to = peer_addr(family, port);
    for (int round = 0; round < 3; round++) {
        int c = tcp(family);
        EQ(sendto(c, "request", 7, MSG_FASTOPEN, &to.sa, to.len), 7);
        char got[8];
        EQ(recv(c, got, 6, MSG_WAITALL), 6);
        EQ(syn_data(c), round > 0);
        close(c);
    }
}

BOTH(a_kernel_server_takes_it)
{
    prepare();
    int port, queue = 4;
    int l = k_bound(family, SOCK_STREAM, &port);
    OK(kernel_call(SYS_setsockopt, l, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)));
    pid_t child = program(program_opens, family, port);
    for (int round = 0; round < 3; round++) {
        int s = k_accept(l);
        char got[16];
        EQ(k_recv(s, got, sizeof(got)), 7);
        k_send(s, "answer", 6);
        EQ(k_recv(s, got, sizeof(got)), 0);
        k_close(s);
    }
    program_ends(child, 0);
}

static void program_takes(int family, int port)
{
    struct addr any = wildcard(family, port);
    int l = tcp(family);
    set_int(l, SOL_SOCKET, SO_REUSEADDR, 1);
    OK(bind(l, &any.sa, any.len));
    set_int(l, IPPROTO_TCP, TCP_FASTOPEN, 4);
    OK(listen(l, 8));
    for (int round = 0; round < 3; round++) {
        int s = (int)OK(accept(l, NULL, NULL));
        char got[16];
        EQ(recv(s, got, sizeof(got), 0), 7);
        EQ(syn_data(s), round > 0);
        EQ(send(s, "answer", 6, 0), 6);
        EQ(recv(s, got, sizeof(got), 0), 0);
        close(s);
    }
}

BOTH(a_kernel_client_is_served)
{
    prepare();
    pid_t child = program(program_takes, family, PROGRAM_PORT);
    struct addr to = program_addr(family, PROGRAM_PORT);
    for (int round = 0; round < 3; round++) {
        int c;
        for (long long end = now_ms() + LONG_MS;; sleep_ms(10)) {
            c = k_socket(family, SOCK_STREAM);
            if (kernel_call(SYS_sendto, c, "request", 7, MSG_FASTOPEN, &to.sa, to.len) == 7)
                break;
            TRUE(now_ms() < end);
            k_close(c);
        }
        char got[8];
        EQ(k_recv(c, got, sizeof(got)), 6);
        k_close(c);
    }
    program_ends(child, 0);
}
