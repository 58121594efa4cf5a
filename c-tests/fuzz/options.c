/* getsockopt and setsockopt, over every level and number. */
#include "fuzz.h"

#ifndef SO_TXTIME
#define SO_TXTIME 61
#endif

struct option {
    int level, name;
};

static bool among(int name, const int *list, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (list[i] == name)
            return true;
    return false;
}

/* docs/options.md, "whatever is not here is refused": options of Linux that the stack does not know, by number. */
static bool refused(const struct option *o)
{
    static const int of_socket[] = {26, 27, 28, 41, 43, 44, 48, 50, 51, 52, 53, 54, 61, 68, 71, 73, 74, 75, 79};
    static const int of_ip[] = {6, 9, 16, 17, 18, 22, 23, 25, 26, 51, 52};
    static const int of_ipv6[] = {1, 2, 3, 4, 5, 6, 8, 11, 22, 27, 28, 30, 31, 32, 33, 34, 35, 50, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 70, 72, 77};
    static const int of_tcp[] = {14, 16, 17, 19, 20, 21, 22, 24, 26, 27, 28, 29, 31, 32, 35, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46};
    static const int of_udp[] = {100, 101, 102};
    switch (o->level) {
    case SOL_SOCKET: return among(o->name, of_socket, LEN(of_socket));
    case IPPROTO_IP: return among(o->name, of_ip, LEN(of_ip));
    case IPPROTO_IPV6: return among(o->name, of_ipv6, LEN(of_ipv6));
    case IPPROTO_TCP: return among(o->name, of_tcp, LEN(of_tcp));
    case IPPROTO_UDP: return among(o->name, of_udp, LEN(of_udp));
    default: return false;
    }
}

/* Not asked at all. */
static bool left_out(const struct option *o)
{
    if (refused(o))
        return true;
    switch (o->level) {
    case SOL_SOCKET:
        return o->name == SO_DONTROUTE || o->name >= 80; /* what comes with newer kernels */
    case IPPROTO_IP:
        /* docs/deviations.md, "IPv4 options"; from 64 on the tables of netfilter, the machine's own. */
        return o->name == 4 || o->name == 7 || o->name == IP_ROUTER_ALERT || (o->name >= 64 && o->name < 200);
    case IPPROTO_IPV6:
        return o->name == 64 || o->name == 65 || o->name == 68 || o->name == 69 || o->name >= 79;
    case IPPROTO_TCP:
        return o->name >= 44;
    }
    return false;
}

/* On a socket that data goes through these make what can be seen a matter of time, or of what memory costs. */
static bool changes_pace(const struct option *o)
{
    if (o->level == SOL_SOCKET)
        return o->name == SO_SNDBUF || o->name == SO_RCVBUF || o->name == SO_SNDBUFFORCE || o->name == SO_RCVBUFFORCE || o->name == SO_MAX_PACING_RATE ||
               o->name == SO_LINGER || o->name == SO_TXTIME;
    if (o->level == IPPROTO_UDP)
        return o->name == 1; /* UDP_CORK: of the parts that follow nothing but the data is looked at */
    if (o->level == IPPROTO_TCP)
        return o->name == TCP_NODELAY || o->name == TCP_CORK || o->name == TCP_MAXSEG || o->name == TCP_WINDOW_CLAMP || o->name == TCP_NOTSENT_LOWAT ||
               o->name == TCP_USER_TIMEOUT || o->name == 37 /* TCP_TX_DELAY */ || o->name == TCP_DEFER_ACCEPT;
    return false;
}

/* Values that are the machine's, a moment's or this process's. */
static bool nobodys_value(const struct option *o)
{
    if (o->level == SOL_SOCKET)
        return o->name == SO_INCOMING_CPU || o->name == 55 /* SO_MEMINFO */ || o->name == 57 /* SO_COOKIE */ || o->name == 56;
    if (o->level == IPPROTO_TCP)
        return o->name == TCP_INFO || o->name == TCP_MAXSEG || o->name == TCP_WINDOW_CLAMP || o->name == TCP_CONGESTION || o->name == TCP_QUICKACK || o->name == 26 /* TCP_CC_INFO */ || o->name == TCP_TIMESTAMP || o->name == 28 /* TCP_SAVED_SYN */;
    return false;
}

static void some_option(struct option *o)
{
    do {
        o->level = (int)ONE_OF(SOL_SOCKET, SOL_SOCKET, IPPROTO_IP, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, SOL_RAW,
                               IPPROTO_ICMPV6, 77, -1);
        switch (o->level) {
        case SOL_SOCKET: o->name = (int)below(80); break;
        case IPPROTO_IP: o->name = (int)below(54); break;
        case IPPROTO_IPV6: o->name = (int)below(82); break;
        case IPPROTO_TCP: o->name = (int)below(48); break;
        case IPPROTO_UDP: o->name = (int)ONE_OF(0, 1, 2, 100, 101, 102, 103, 104, 105); break;
        default: o->name = (int)below(10);
        }
        if (chance(2))
            o->name = (int)ONE_OF(-1, 1000, 0x7fffffff);
    } while (left_out(o));
}

static const char *level_name(int level)
{
    switch (level) {
    case SOL_SOCKET: return "SOL_SOCKET";
    case IPPROTO_IP: return "IP";
    case IPPROTO_IPV6: return "IPV6";
    case IPPROTO_TCP: return "TCP";
    case IPPROTO_UDP: return "UDP";
    case SOL_RAW: return "SOL_RAW";
    case IPPROTO_ICMPV6: return "ICMPV6";
    default: return "level ?";
    }
}

/* Numbers, addresses, groups: what options are made of. The text says what it is. */
static size_t some_value(char *value, const struct option *o, char *text, size_t text_len)
{
    memset(value, 0, 256);
    size_t len;
    int number = (int)ONE_OF(0, 1, 1, 1, 2, 3, 4, 5, 8, 64, 100, 255, 256, 1000, 65535, 65536, 0x7fffffff, -1, -2, -2147483647 - 1);
    memcpy(value, &number, 4);
    len = chance(75) ? 4 : (size_t)ONE_OF(0, 1, 2, 3, 5, 7, 8, 12, 16, 20, 24, 28, 32, 64, 136, 255);
    snprintf(text, text_len, "%d", number);
    bool group = (o->level == IPPROTO_IP && ((o->name >= 32 && o->name <= 40) || o->name == 8)) || (o->level == IPPROTO_IPV6 && o->name >= 17 && o->name <= 28);
    if (group && chance(70)) {
        int interface = (int)ONE_OF(0, 1, 2, 9);
        const char *what = ((const char *[]){"239.1.2.3", "127.0.0.1", "10.83.0.2"})[below(3)];
        if (o->level == IPPROTO_IP) {
            inet_pton(AF_INET, what, value);
            inet_pton(AF_INET, chance(50) ? "0.0.0.0" : "127.0.0.1", value + 4);
            memcpy(value + 8, &interface, 4);
            len = (size_t)ONE_OF(4, 8, 12);
        } else {
            what = chance(70) ? "ff15::1" : "::1";
            inet_pton(AF_INET6, what, value);
            memcpy(value + 16, &interface, 4);
            len = 20;
        }
        snprintf(text, text_len, "%s on %d", what, interface);
    }
    if (o->level == IPPROTO_TCP && o->name == TCP_CONGESTION) {
        const char *what = ((const char *[]){"reno", "cubic", "reno\0x"})[below(3)];
        strcpy(value, what);
        len = chance(70) ? strlen(what) : 16;
        snprintf(text, text_len, "%s", what);
    }
    if (o->level == SOL_SOCKET && (o->name == SO_SNDBUF || o->name == SO_RCVBUF || o->name == SO_SNDBUFFORCE || o->name == SO_RCVBUFFORCE)) {
        /* The most is the machine's (net.core.wmem_max). */
        number = (int)ONE_OF(0, 1, 2304, 4608, 100000);
        memcpy(value, &number, 4);
        snprintf(text, text_len, "%d", number);
    }
    if (o->level == SOL_SOCKET && o->name == SO_BINDTODEVICE) {
        const char *what = ((const char *[]){"lo", "", "none", "a name that is too long"})[below(4)];
        strcpy(value, what);
        len = strlen(what) + below(2);
        snprintf(text, text_len, "%s", what);
    }
    if (o->level == SOL_SOCKET && o->name == SO_LINGER && len >= 4) {
        len = len < 8 ? len : 8;
        number = (int)below(3);
        memcpy(value + 4, &number, 4);
    }
    return len;
}

static void set(int fd, const struct option *o, const char *who)
{
    char value[256], text[64];
    size_t given = some_value(value, o, text, sizeof text);
    socklen_t len = chance(97) ? (socklen_t)given : (socklen_t)ONE_OF(-1, 0x7fffffff, 0);
    /* A length beyond what is there reads whatever is behind it: not for options that take any length. */
    if (len > 256 && len < 0x80000000u)
        len = 256;
    void *at = chance(96) ? value : bad_memory();
    int ok = setsockopt(fd, o->level, o->name, at, len);
    result(ok, "setsockopt(%s, %s %d, %s, %d)", who, level_name(o->level), o->name, at == value ? text : "bad", (int)len);
}

static void get(int fd, const struct option *o, const char *who, bool probe)
{
    socklen_t len = chance(60) ? 4 : (socklen_t)ONE_OF(0, 1, 2, 3, 5, 8, 12, 16, 20, 64, 256, 1000, -1), had = len;
    void *at = chance(96) ? arena : bad_memory();
    socklen_t *len_at = chance(97) ? &len : bad_memory();
    fill_arena();
    /* Some take arguments from the same memory. */
    memset(arena, 0, 256);
    int ok = getsockopt(fd, o->level, o->name, at, len_at);
    result(ok, "getsockopt(%s, %s %d, %s, %s%d)", who, level_name(o->level), o->name, at == arena ? "room" : "bad", len_at == &len ? "" : "bad ", (int)had);
    if (ok == 0 && !(o->level == IPPROTO_TCP && o->name == TCP_INFO)) /* which grows with each kernel */
        say(" length %d", (int)len);
    /* Buffers grow with what goes through them. */
    bool grown = !probe && o->level == SOL_SOCKET && (o->name == SO_SNDBUF || o->name == SO_RCVBUF);
    if (ok == 0 && at == arena && !nobodys_value(o) && !grown && len <= 256)
        say_bytes("value", arena, len);
}

void option_step(void)
{
    struct option o;
    char who[32];
    int slot = some_slot();
    if (slots[slot].what == OTHER || slots[slot].what == EPOLL) {
        /* Only that it is no socket, or none of ours: other families' options are the kernel's. */
        if (slots[slot].what == OTHER)
            return;
    }
    int fd = chance(98) ? slots[slot].fd : wrong_fd();
    snprintf(who, sizeof who, "%d%s", slot, fd == slots[slot].fd ? "" : " wrong");
    some_option(&o);
    if (chance(50) && !changes_pace(&o))
        set(fd, &o, who);
    else
        get(fd, &o, who, false);
}

/* A socket of its own in some state: options are set and read there, also those that change how data goes. */
void option_probe(void)
{
    static const struct {
        int family, type, protocol;
    } kinds[] = {
        {AF_INET, SOCK_STREAM, 0},   {AF_INET6, SOCK_STREAM, 0},   {AF_INET, SOCK_DGRAM, 0},
        {AF_INET6, SOCK_DGRAM, 0},   {AF_INET, SOCK_RAW, 200},     {AF_INET6, SOCK_RAW, 200},
        {AF_INET, SOCK_RAW, 1},      {AF_INET6, SOCK_RAW, 58},     {AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
        {AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6},
    };
    size_t k = below(LEN(kinds));
    if (chance(50))
        k = below(4);
    int fd = socket(kinds[k].family, kinds[k].type | SOCK_NONBLOCK, kinds[k].protocol), state = (int)below(3), other = -1;
    struct where w;
    memset(&w, 0, sizeof w);
    w.sa.sa_family = (sa_family_t)kinds[k].family;
    w.len = kinds[k].family == AF_INET ? sizeof w.v4 : sizeof w.v6;
    if (kinds[k].family == AF_INET)
        w.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        w.v6.sin6_addr = in6addr_loopback;
    int ok = 0;
    if (state >= 1)
        ok = bind(fd, &w.sa, w.len);
    if (state == 2 && kinds[k].type == SOCK_STREAM) {
        ok = listen(fd, 1);
    } else if (state == 2) {
        w.v4.sin_port = htons(4009);
        ok = connect(fd, &w.sa, w.len);
    }
    char who[64];
    snprintf(who, sizeof who, "new {%d, %d, %d} %s", kinds[k].family, kinds[k].type, kinds[k].protocol,
             state == 0 ? "" : state == 1 ? "bound" : kinds[k].type == SOCK_STREAM ? "listening" : "connected");
    result(fd < 0 ? fd : ok, "%s", who);
    for (int i = 0; i < 3 && fd >= 0; i++) {
        struct option o;
        some_option(&o);
        if (chance(80))
            set(fd, &o, "it");
        get(fd, &o, "it", true);
        if (chance(30)) {
            some_option(&o);
            get(fd, &o, "it", true);
        }
    }
    if (fd >= 0)
        close(fd);
    if (other >= 0)
        close(other);
}
