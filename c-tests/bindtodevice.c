/* SO_BINDTODEVICE and SO_BINDTOIFINDEX (socket(7)): one interface for what comes and goes. */
#include "device.h"

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

enum { NONE = 0 };

static void bind_to(int fd, int index)
{
    set_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX, index);
}

static int bound_to(int index, int fd)
{
    bind_to(fd, index);
    return fd;
}

static const char *device_name(void)
{
    static struct ifreq request;
    request.ifr_ifindex = DEVICE;
    OK(ioctl(udp(AF_INET), SIOCGIFNAME, &request));
    return request.ifr_name;
}

BOTH(name_and_number_are_one)
{
    need_device();
    int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        int fd = OK(socket(family, types[i], types[i] == SOCK_RAW ? 253 : 0));
        char name[32];
        socklen_t len = sizeof(name);
        OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
        EQ(len, 0);
        EQ(get_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX), NONE);
        OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
        EQ(get_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX), LO);
        bind_to(fd, DEVICE);
        len = sizeof(name);
        OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
        EQ(len, strlen(device_name()) + 1);
        EQ(strcmp(name, device_name()), 0);
        OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
        EQ(get_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX), NONE);
    }
}

BOTH(what_is_refused)
{
    int fd = tcp(family), value = -1;
    char name[32] = "lo";
    socklen_t len = 15;
    ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nosuchdevice", 12), ENODEV);
    ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "l", 1), ENODEV);
    ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, minus_one), EINVAL);
    ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, bad_pointer, 4), EFAULT);
    ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &value, sizeof(value)), EINVAL);
    ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &value, 3), EINVAL);
    OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, sizeof(name)));
    ERR(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len), EINVAL);
    OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 1));
    OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
    EQ(len, 0);
}

/* A number that no interface has is taken; nothing leads there. */
BOTH(an_interface_that_is_not_there)
{
    int fd = udp(family), err = family == AF_INET ? ENODEV : ENETUNREACH;
    struct addr to = loopback(family, 9);
    char name[32];
    socklen_t len = sizeof(name);
    bind_to(fd, 4711);
    ERR(sendto(fd, "x", 1, 0, &to.sa, to.len), err);
    ERR(connect(fd, &to.sa, to.len), err);
    ERR(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len), ENODEV);
    fd = tcp(family);
    bind_to(fd, 4711);
    ERR(connect(fd, &to.sa, to.len), err);
}

CASE(addresses_and_interfaces)
{
    need_device();
    struct addr lo4 = loopback(AF_INET, 0), lo6 = loopback(AF_INET6, 0);
    struct addr dev6 = device_addr(AF_INET6, 0);
    OK(bind(bound_to(DEVICE, tcp(AF_INET)), &lo4.sa, lo4.len));
    ERR(bind(bound_to(DEVICE, tcp(AF_INET6)), &lo6.sa, lo6.len), EADDRNOTAVAIL);
    ERR(bind(bound_to(DEVICE, udp(AF_INET6)), &lo6.sa, lo6.len), EADDRNOTAVAIL);
    OK(bind(bound_to(LO, udp(AF_INET6)), &dev6.sa, dev6.len));
    ERR(bind(bound_to(4711, tcp(AF_INET6)), &lo6.sa, lo6.len), ENODEV);
}

BOTH(each_interface_has_its_ports)
{
    need_device();
    int types[] = {SOCK_STREAM, SOCK_DGRAM};
    int of[] = {NONE, LO, DEVICE};
    for (size_t t = 0; t < ARRAY_LEN(types); t++)
        for (size_t i = 0; i < ARRAY_LEN(of); i++)
            for (size_t j = 0; j < ARRAY_LEN(of); j++) {
                struct addr at = wildcard(family, 0);
                int one = bound_to(of[i], OK(socket(family, types[t], 0)));
                int two = bound_to(of[j], OK(socket(family, types[t], 0)));
                OK(bind(one, &at.sa, at.len));
                at = local_of(one);
                if (of[i] != NONE && of[j] != NONE && of[i] != of[j])
                    OK(bind(two, &at.sa, at.len));
                else
                    ERR(bind(two, &at.sa, at.len), EADDRINUSE);
                OK(close(one));
                OK(close(two));
            }
}

/* The port's hold follows when the interface is chosen after bind. */
BOTH(the_interface_may_be_chosen_after_bind)
{
    need_device();
    struct addr at = wildcard(family, 0);
    int one = tcp(family);
    OK(bind(one, &at.sa, at.len));
    at = local_of(one);
    bind_to(one, LO);
    ERR(bind(tcp(family), &at.sa, at.len), EADDRINUSE);
    OK(bind(bound_to(DEVICE, tcp(family)), &at.sa, at.len));
}

/* Who gets a datagram to `to`, sent by a socket that is bound to `by`: of three receivers, bound to nothing, to lo, to the device. */
static void datagram(int family, int by, const struct addr *at, const char *who, int line)
{
    struct addr any = wildcard(family, 0), to = *at;
    int of[] = {NONE, LO, DEVICE};
    for (size_t i = 0; i < ARRAY_LEN(of); i++) {
        int rx = bound_to(of[i], udp(family)), tx = bound_to(by, udp(family));
        OK(bind(rx, &any.sa, any.len));
        struct addr here = local_of(rx);
        if (family == AF_INET)
            to.v4.sin_port = here.v4.sin_port;
        else
            to.v6.sin6_port = here.v6.sin6_port;
        char c;
        check_eq(__FILE__, line, "sendto", sendto(tx, "x", 1, 0, &to.sa, to.len), who[0] == '!' ? -1 : 1);
        if (who[0] == '!')
            check_eq(__FILE__, line, "errno", errno, ENETUNREACH);
        bool comes = strchr(who, "nld"[i]) != NULL;
        events_of(rx, POLLIN, comes ? LONG_MS : 2);
        check_eq(__FILE__, line, of[i] == NONE ? "to any" : of[i] == LO ? "to lo" : "to the device",
                 recv(rx, &c, 1, MSG_DONTWAIT), comes ? 1 : -1);
        OK(close(rx));
        OK(close(tx));
    }
}

CASE(datagrams_to_ourselves_v4)
{
    struct addr lo = loopback(AF_INET, 0), own = device_addr(AF_INET, 0), far = ipv4("10.83.0.9", 0);
    datagram(AF_INET, NONE, &lo, "nl", __LINE__);
    datagram(AF_INET, LO, &lo, "nl", __LINE__);
    datagram(AF_INET, DEVICE, &lo, "", __LINE__);
    datagram(AF_INET, NONE, &own, "nd", __LINE__);
    datagram(AF_INET, LO, &own, "nl", __LINE__);
    datagram(AF_INET, DEVICE, &own, "nd", __LINE__);
    datagram(AF_INET, NONE, &far, "", __LINE__);
    datagram(AF_INET, LO, &far, "nl", __LINE__); /* Linux takes the word of the interface for the route's */
    datagram(AF_INET, DEVICE, &far, "", __LINE__);
}

CASE(datagrams_to_ourselves_v6)
{
    struct addr lo = loopback(AF_INET6, 0), own = device_addr(AF_INET6, 0), far = ipv6("fd83::9", 0);
    datagram(AF_INET6, NONE, &lo, "nl", __LINE__);
    datagram(AF_INET6, LO, &lo, "nl", __LINE__);
    datagram(AF_INET6, DEVICE, &lo, "!", __LINE__);
    datagram(AF_INET6, NONE, &own, "nd", __LINE__);
    datagram(AF_INET6, LO, &own, "!", __LINE__);
    datagram(AF_INET6, DEVICE, &own, "nd", __LINE__);
    datagram(AF_INET6, NONE, &far, "", __LINE__);
    datagram(AF_INET6, LO, &far, "!", __LINE__);
    datagram(AF_INET6, DEVICE, &far, "", __LINE__);
}

/* Of two sockets on one port the one that is bound to the interface has what comes by it. */
BOTH(the_bound_socket_comes_first)
{
    struct addr any = wildcard(family, 0), own = device_addr(family, 0), lo = loopback(family, 0);
    int one = udp(family), two = udp(family), tx = udp(family);
    char c;
    set_int(one, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(two, SOL_SOCKET, SO_REUSEADDR, 1);
    bind_to(one, DEVICE);
    OK(bind(one, &any.sa, any.len));
    any = local_of(one);
    OK(bind(two, &any.sa, any.len));
    in_port_t port = family == AF_INET ? any.v4.sin_port : any.v6.sin6_port;
    *(family == AF_INET ? &own.v4.sin_port : &own.v6.sin6_port) = port;
    *(family == AF_INET ? &lo.v4.sin_port : &lo.v6.sin6_port) = port;
    OK(sendto(tx, "d", 1, 0, &own.sa, own.len));
    OK(sendto(tx, "l", 1, 0, &lo.sa, lo.len));
    EQ(recv(one, &c, 1, 0), 1);
    EQ(c, 'd');
    EQ(recv(two, &c, 1, 0), 1);
    EQ(c, 'l');
    ERR(recv(one, &c, 1, MSG_DONTWAIT), EAGAIN);
}

BOTH(source_address_of_the_interface)
{
    struct addr own = device_addr(family, 0), to = device_addr(family, 9);
    int fd = bound_to(DEVICE, udp(family));
    *(family == AF_INET ? ((uint8_t *)&to.v4.sin_addr) + 3 : ((uint8_t *)&to.v6.sin6_addr) + 15) = 77;
    OK(connect(fd, &to.sa, to.len));
    struct addr got = local_of(fd);
    *(family == AF_INET ? &own.v4.sin_port : &own.v6.sin6_port) = htons(port_of(&got));
    TRUE(same_addr(&got, &own));
}

BOTH(connections_by_their_interface)
{
    struct addr own = device_addr(family, 0), lo = loopback(family, 0), at;
    struct {
        int server, client;
        const struct addr *to;
        int error;
    } cases[] = {
        {NONE, NONE, &lo, 0},   {LO, NONE, &lo, 0},       {DEVICE, NONE, &lo, ECONNREFUSED}, {LO, LO, &lo, 0},
        {NONE, NONE, &own, 0},  {DEVICE, NONE, &own, 0},  {LO, NONE, &own, ECONNREFUSED},    {DEVICE, DEVICE, &own, 0},
        {NONE, DEVICE, &own, 0}, {LO, DEVICE, &own, ECONNREFUSED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct addr any = wildcard(family, 0), to = *cases[i].to;
        int l = bound_to(cases[i].server, tcp(family)), fd = bound_to(cases[i].client, tcp(family));
        char c;
        OK(bind(l, &any.sa, any.len));
        OK(listen(l, 4));
        at = local_of(l);
        *(family == AF_INET ? &to.v4.sin_port : &to.v6.sin6_port) = htons(port_of(&at));
        if (cases[i].error != 0) {
            ERR(connect(fd, &to.sa, to.len), cases[i].error);
        } else {
            OK(connect(fd, &to.sa, to.len));
            int child = OK(accept(l, NULL, NULL));
            EQ(get_int(child, SOL_SOCKET, SO_BINDTOIFINDEX), cases[i].server);
            send_all(fd, "x", 1);
            EQ(recv(child, &c, 1, 0), 1);
            OK(close(child));
        }
        OK(close(fd));
        OK(close(l));
    }
}

CASE(a_connection_to_our_own_address_by_lo)
{
    struct addr own = device_addr(AF_INET, 0), any = wildcard(AF_INET, 0), at;
    int l = bound_to(LO, tcp(AF_INET)), fd = bound_to(LO, tcp(AF_INET));
    char c;
    OK(bind(l, &any.sa, any.len));
    OK(listen(l, 4));
    at = local_of(l);
    own.v4.sin_port = at.v4.sin_port;
    OK(connect(fd, &own.sa, own.len));
    int child = OK(accept(l, NULL, NULL));
    send_all(fd, "x", 1);
    EQ(recv(child, &c, 1, 0), 1);
    OK(close(child));
    EQ(recv(fd, &c, 1, 0), 0);
}

/* Servers on one port, one for each interface. */
BOTH(a_server_for_each_interface)
{
    struct addr own = device_addr(family, 0), lo = loopback(family, 0), any = wildcard(family, 0);
    int of[] = {LO, DEVICE}, l[2];
    for (int i = 0; i < 2; i++) {
        l[i] = bound_to(of[i], tcp(family));
        OK(bind(l[i], &any.sa, any.len));
        any = local_of(l[i]);
        OK(listen(l[i], 4));
    }
    *(family == AF_INET ? &lo.v4.sin_port : &lo.v6.sin6_port) = htons(port_of(&any));
    *(family == AF_INET ? &own.v4.sin_port : &own.v6.sin6_port) = htons(port_of(&any));
    OK(connect(tcp(family), &lo.sa, lo.len));
    OK(connect(tcp(family), &own.sa, own.len));
    for (int i = 0; i < 2; i++) {
        set_nonblocking(l[i]);
        EQ(get_int(OK(accept(l[i], NULL, NULL)), SOL_SOCKET, SO_BINDTOIFINDEX), of[i]);
        ERR(accept(l[i], NULL, NULL), EAGAIN);
    }
}

/* What is bound stays so, but for who has the right. */
BOTH(the_right_to_leave)
{
    needs_root_of_the_machine();
    int fd = tcp(family), other = tcp(family);
    OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
    OK(setresuid(65534, 65534, 65534));
    ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0), EPERM);
    int index = LO;
    ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof(index)), EPERM);
    ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nosuch", 6), ENODEV);
    OK(setsockopt(other, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
}

/* IP_PKTINFO names the interface that a packet came by: for our own address that which has the address. */
BOTH(packets_tell_their_interface)
{
    struct addr own = device_addr(family, 0), got;
    int rx = udp(family), tx = udp(family);
    int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    set_int(rx, level, family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, 1);
    OK(bind(rx, &own.sa, own.len));
    got = local_of(rx);
    OK(sendto(tx, "x", 1, 0, &got.sa, got.len));
    char data, space[64];
    struct iovec piece = {&data, 1};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
    EQ(recvmsg(rx, &m, 0), 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    TRUE(c != NULL && c->cmsg_level == level);
    if (family == AF_INET) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof(info));
        EQ(info.ipi_ifindex, DEVICE);
    } else {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof(info));
        EQ(info.ipi6_ifindex, DEVICE);
    }
}
