/* getsockopt and setsockopt of options with a number for their value: each value on each family and kind of socket. */
#include "harness.h"

enum { NONE = INT_MIN };

/* Set `value` (NONE: nothing): `set_errno`, or read back `got` in `len` bytes, or `get_errno`. */
static const struct row {
    int level, name, family, kind;
    const char *label;
    int value, set_errno, got, len, get_errno;
} grid[] = {
#include "options_grid.h"
};

static void look(const struct row *r)
{
    char bytes[64] = {0}, what[160];
    socklen_t len = sizeof(bytes);
    int fd = socket(r->family, r->kind, 0), got = 0;
    snprintf(what, sizeof(what), "%s %s %s value %d", r->label, r->family == AF_INET ? "v4" : "v6",
             r->kind == SOCK_STREAM ? "stream" : "datagram", r->value);
    if (r->value != NONE) {
        errno = 0;
        int set = setsockopt(fd, r->level, r->name, &r->value, sizeof(r->value));
        check_eq(what, __LINE__, "setsockopt: errno", set ? errno : 0, r->set_errno);
        if (set) {
            close(fd);
            return;
        }
    }
    errno = 0;
    int outcome = getsockopt(fd, r->level, r->name, bytes, &len);
    check_eq(what, __LINE__, "getsockopt: errno", outcome ? errno : 0, r->get_errno);
    if (outcome == 0) {
        check_eq(what, __LINE__, "length", len, r->len);
        memcpy(&got, bytes, sizeof(got));
        check_eq(what, __LINE__, "value", got, r->got);
    }
    close(fd);
}

BOTH(every_value_of_every_option)
{
    for (size_t i = 0; i < ARRAY_LEN(grid); i++)
        if (grid[i].family == family)
            look(&grid[i]);
}

/* Options of IP may be one byte; those of IPv6, UDP and TCP may not. */
BOTH(one_byte)
{
    int fd = udp(family);
    unsigned char one = 1, got = 0;
    socklen_t len = 1;
    OK(setsockopt(fd, SOL_IP, IP_RECVTTL, &one, 1));
    OK(getsockopt(fd, SOL_IP, IP_RECVTTL, &got, &len));
    EQ(len, 1);
    EQ(got, 1);
    ERR(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &one, 1), EINVAL);
    ERR(setsockopt(fd, IPPROTO_UDP, 1 /* UDP_CORK */, &one, 1), EINVAL);
    if (family == AF_INET6)
        ERR(setsockopt(fd, SOL_IPV6, IPV6_RECVERR, &one, 1), EINVAL);
}

BOTH(mtu_of_a_connection)
{
    struct pair p = udp_pair(family), t = tcp_pair(family);
    int level = family == AF_INET ? SOL_IP : SOL_IPV6, name = family == AF_INET ? IP_MTU : IPV6_MTU;
    EQ(get_int(p.client, level, name), family == AF_INET ? 65535 : 65536);
    EQ(get_int(t.client, level, name), family == AF_INET ? 65535 : 65536);
    EQ(get_int(t.server, level, name), family == AF_INET ? 65535 : 65536);
}

BOTH(free_bind)
{
    struct addr far = family == AF_INET ? ipv4("198.51.100.7", 4000) : ipv6("2001:db8::7", 4000);
    int fd = udp(family), t = tcp(family);
    ERR(bind(fd, &far.sa, far.len), EADDRNOTAVAIL);
    ERR(bind(t, &far.sa, far.len), EADDRNOTAVAIL);
    set_int(fd, SOL_IP, IP_FREEBIND, 1);
    set_int(t, SOL_IP, IP_FREEBIND, 1);
    OK(bind(fd, &far.sa, far.len));
    OK(bind(t, &far.sa, far.len));
    struct addr got = local_of(fd);
    TRUE(same_addr(&got, &far));
    OK(listen(t, 1));
}

BOTH(address_without_a_port)
{
    struct addr at, here = loopback(family, 0);
    int listening = listener(family, 4, &at), fd = tcp(family);
    set_int(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    OK(bind(fd, &here.sa, here.len));
    struct addr got = local_of(fd);
    EQ(port_of(&got), 0);
    TRUE(same_addr(&got, &here));
    OK(connect(fd, &at.sa, at.len));
    got = local_of(fd);
    TRUE(port_of(&got) != 0);
    close(listening);
    fd = udp(family);
    set_int(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    OK(bind(fd, &here.sa, here.len));
    got = local_of(fd);
    EQ(port_of(&got), 0);
    OK(connect(fd, &at.sa, at.len));
    got = local_of(fd);
    TRUE(port_of(&got) != 0);
}

BOTH(accepted_connections_inherit)
{
    struct addr at;
    int listening = listener(family, 4, &at);
    set_int(listening, SOL_IP, IP_RECVTTL, 1);
    set_int(listening, SOL_SOCKET, SO_RXQ_OVFL, 1);
    set_int(listening, SOL_SOCKET, SO_PRIORITY, 3);
    set_int(listening, IPPROTO_TCP, 36 /* TCP_INQ */, 1);
    struct pair p = pair_through(listening, &at);
    EQ(get_int(p.server, SOL_IP, IP_RECVTTL), 1);
    EQ(get_int(p.server, SOL_SOCKET, SO_RXQ_OVFL), 1);
    EQ(get_int(p.server, SOL_SOCKET, SO_PRIORITY), 0);
    EQ(get_int(p.server, IPPROTO_TCP, 36), 1);
    EQ(get_int(p.client, SOL_IP, IP_RECVTTL), 0);
}

BOTH(cookie)
{
    struct pair p = udp_pair(family);
    uint64_t a = 0, b = 0, again = 0;
    socklen_t len = 8;
    OK(getsockopt(p.client, SOL_SOCKET, 57 /* SO_COOKIE */, &a, &len));
    EQ(len, 8);
    OK(getsockopt(p.server, SOL_SOCKET, 57, &b, &len));
    OK(getsockopt(p.client, SOL_SOCKET, 57, &again, &len));
    TRUE(a != 0 && b != 0 && a != b && a == again);
    len = 4;
    ERR(getsockopt(p.client, SOL_SOCKET, 57, &a, &len), EINVAL);
    ERR(setsockopt(p.client, SOL_SOCKET, 57, &a, 8), ENOPROTOOPT);
}
