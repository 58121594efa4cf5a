/* Ephemeral ports: a range that is used up (net.ipv4.ip_local_port_range, --local-ports), and one of a socket's own
 * (IP_LOCAL_PORT_RANGE). */
#include "harness.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

enum { FIRST = 40000, LAST = 40003, ALL = LAST - FIRST + 1 };

/* The range is these four ports: on the kernel by what is written here, on the stack by what it was started with. */
static void tiny(void)
{
    char text[32];
    int fd = OK(open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY));
    int n = snprintf(text, sizeof(text), "%d %d", FIRST, LAST);
    if (write(fd, text, (size_t)n) != n)
        skip("the range of ports can't be set here");
    close(fd);
}

/* Marks a port as seen, which it was not, and lies in the range. */
static void see(bool *seen, int port)
{
    RANGE(port, FIRST, LAST);
    TRUE(!seen[port - FIRST]);
    seen[port - FIRST] = true;
}

static int port_at(int fd)
{
    struct addr a = local_of(fd);
    return port_of(&a);
}

/* A listener on a port outside the range. */
static struct addr far_listener(int family, int port)
{
    struct addr at = loopback(family, port);
    int l = tcp(family);
    OK(bind(l, &at.sa, at.len));
    OK(listen(l, 64));
    return at;
}

BOTH(tiny_range_used_up_by_connects)
{
    tiny();
    struct addr at = far_listener(family, 5001), other = far_listener(family, 5002);
    bool seen[ALL] = {0};
    int fds[ALL];
    for (int i = 0; i < ALL; i++) {
        fds[i] = tcp(family);
        OK(connect(fds[i], &at.sa, at.len));
        see(seen, port_at(fds[i]));
    }
    int fd = tcp(family);
    ERR(connect(fd, &at.sa, at.len), EADDRNOTAVAIL);
    EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
    /* To another they may be used once more. */
    int more = tcp(family);
    OK(connect(more, &other.sa, other.len));
    RANGE(port_at(more), FIRST, LAST);
    /* What comes free is found by the socket that got none. */
    int port = port_at(fds[1]);
    reset(fds[1]);
    OK(connect(fd, &at.sa, at.len));
    EQ(port_at(fd), port);
}

BOTH(tiny_range_used_up_by_binds)
{
    tiny();
    struct addr any = loopback(family, 0);
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        bool seen[ALL] = {0};
        int fds[ALL];
        for (int i = 0; i < ALL; i++) {
            fds[i] = OK(socket(family, type, 0));
            OK(bind(fds[i], &any.sa, any.len));
            see(seen, port_at(fds[i]));
        }
        int fd = OK(socket(family, type, 0));
        ERR(bind(fd, &any.sa, any.len), EADDRINUSE);
        if (type == SOCK_STREAM)
            ERR(listen(fd, 1), EADDRINUSE);
        int port = port_at(fds[2]);
        close(fds[2]);
        OK(bind(fd, &any.sa, any.len));
        EQ(port_at(fd), port);
    }
}

BOTH(tiny_range_used_up_by_datagrams)
{
    tiny();
    struct addr to = loopback(family, 9);
    bool seen[ALL] = {0};
    for (int i = 0; i < ALL; i++) {
        int fd = udp(family);
        OK(connect(fd, &to.sa, to.len));
        see(seen, port_at(fd));
    }
    ERR(connect(udp(family), &to.sa, to.len), EAGAIN);
    ERR(sendto(udp(family), "x", 1, 0, &to.sa, to.len), EAGAIN);
    /* A port of the program's own choice is none of the range's. */
    struct addr own = loopback(family, LAST + 1);
    OK(bind(udp(family), &own.sa, own.len));
}

/* --- IP_LOCAL_PORT_RANGE ---------------------------------------------------------------------------------------- */

static unsigned range(unsigned first, unsigned last) { return last << 16 | first; }

BOTH(own_range_is_checked)
{
    const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        int fd = OK(socket(family, types[i], 0));
        EQ(get_int(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE), 0);
        const unsigned right[] = {range(40000, 40009), range(40000, 40000), range(0, 40000), range(40000, 0),
                                  range(1, 65535),     range(1, 2),         0};
        for (size_t n = 0; n < ARRAY_LEN(right); n++) {
            unsigned value = right[n];
            OK(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &value, sizeof(value)));
            EQ((unsigned)get_int(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE), value);
        }
        unsigned wrong[2] = {range(40001, 40000), 0}, fine[2] = {range(1, 2), 0};
        ERR(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, wrong, 4), EINVAL);
        ERR(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, fine, 0), EINVAL);
        ERR(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, fine, 1), EINVAL);
        ERR(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, fine, 3), EINVAL);
        ERR(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, fine, 8), EINVAL);
        ERR(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, bad_pointer, 4), EFAULT);
        EQ(get_int(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE), 0);
        /* A small room gets a byte of a small number, as with the others of this level. */
        OK(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, fine, 4));
        unsigned char bytes[8];
        socklen_t len = 2;
        OK(getsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, bytes, &len));
        EQ(len, 2);
        EQ(bytes[0], 1);
    }
}

static int with_range(int family, int type, unsigned value)
{
    int fd = OK(socket(family, type, 0));
    OK(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &value, sizeof(value)));
    return fd;
}

BOTH(own_range_bounds_bind)
{
    struct addr any = loopback(family, 0);
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        bool seen[ALL] = {0};
        for (int i = 0; i < ALL; i++) {
            int fd = with_range(family, type, range(FIRST, LAST));
            OK(bind(fd, &any.sa, any.len));
            see(seen, port_at(fd));
        }
        ERR(bind(with_range(family, type, range(FIRST, LAST)), &any.sa, any.len), EADDRINUSE);
        /* Other sockets have the others. */
        int fd = OK(socket(family, type, 0));
        OK(bind(fd, &any.sa, any.len));
        TRUE(port_at(fd) < FIRST || port_at(fd) > LAST);
        /* A port that is asked for is none of the range's affair. */
        struct addr own = loopback(family, LAST + 1);
        OK(bind(with_range(family, type, range(FIRST, LAST)), &own.sa, own.len));
    }
}

BOTH(own_range_bounds_connect)
{
    struct addr at = far_listener(family, 5001);
    bool seen[ALL] = {0};
    for (int i = 0; i < ALL; i++) {
        int fd = with_range(family, SOCK_STREAM, range(FIRST, LAST));
        OK(connect(fd, &at.sa, at.len));
        see(seen, port_at(fd));
    }
    ERR(connect(with_range(family, SOCK_STREAM, range(FIRST, LAST)), &at.sa, at.len), EADDRNOTAVAIL);
    int wider = with_range(family, SOCK_STREAM, range(FIRST, LAST + 1));
    OK(connect(wider, &at.sa, at.len));
    EQ(port_at(wider), LAST + 1);
    struct addr to = loopback(family, 9);
    bool seen_udp[ALL] = {0};
    for (int i = 0; i < ALL; i++) {
        int fd = with_range(family, SOCK_DGRAM, range(FIRST, LAST));
        OK(connect(fd, &to.sa, to.len));
        see(seen_udp, port_at(fd));
    }
    ERR(connect(with_range(family, SOCK_DGRAM, range(FIRST, LAST)), &to.sa, to.len), EAGAIN);
    /* Without a port of bind's the range is connect's. */
    int late = with_range(family, SOCK_STREAM, range(LAST + 2, LAST + 2));
    struct addr any = loopback(family, 0);
    set_int(late, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, 1);
    OK(bind(late, &any.sa, any.len));
    EQ(port_at(late), 0);
    OK(connect(late, &at.sa, at.len));
    EQ(port_at(late), LAST + 2);
}

/* An end that lies outside the range of all is that of all. */
BOTH(own_range_lies_within_that_of_all)
{
    struct addr any = loopback(family, 0);
    for (int i = 0; i < 20; i++) {
        int fd = with_range(family, SOCK_DGRAM, range(1, 32799));
        OK(bind(fd, &any.sa, any.len));
        RANGE(port_at(fd), 32768, 32799);
        fd = with_range(family, SOCK_DGRAM, range(60900, 65535));
        OK(bind(fd, &any.sa, any.len));
        RANGE(port_at(fd), 60900, 60999);
        fd = with_range(family, SOCK_DGRAM, range(60950, 0));
        OK(bind(fd, &any.sa, any.len));
        RANGE(port_at(fd), 60950, 60999);
        fd = with_range(family, SOCK_DGRAM, range(100, 200));
        OK(bind(fd, &any.sa, any.len));
        RANGE(port_at(fd), 32768, 60999);
    }
}

BOTH(own_range_of_a_listener)
{
    int l = with_range(family, SOCK_STREAM, range(FIRST, FIRST));
    OK(listen(l, 1));
    EQ(port_at(l), FIRST);
    ERR(listen(with_range(family, SOCK_STREAM, range(FIRST, FIRST)), 1), EADDRINUSE);
    struct addr at = loopback(family, FIRST);
    struct pair p = pair_through(l, &at);
    EQ((unsigned)get_int(p.server, IPPROTO_IP, IP_LOCAL_PORT_RANGE), range(FIRST, FIRST));
}
