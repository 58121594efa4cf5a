/* What the steps are made of: choices, descriptors, addresses, lines of the transcript. */
#include "fuzz.h"

#include <stdarg.h>

struct slot slots[SLOTS];
char scratch[ROOM], arena[ROOM];
volatile int broken_pipes;

static _Thread_local uint64_t state;

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

void begin_step(uint64_t seed, unsigned step)
{
    state = mix(seed * 0x9e3779b97f4a7c15ULL + step + 1);
}

uint32_t below(uint32_t n)
{
    state += 0x9e3779b97f4a7c15ULL;
    return (uint32_t)((mix(state) >> 32) * (uint64_t)n >> 32);
}

bool chance(unsigned percent)
{
    return below(100) < percent;
}

/* --- descriptors -------------------------------------------------------------------------------------------------------- */

int some_slot(void)
{
    int from = (int)below(SLOTS);
    if (chance(4))
        return from;
    for (int i = 0; i < SLOTS; i++)
        if (slots[(from + i) % SLOTS].what != NOTHING)
            return (from + i) % SLOTS;
    return from;
}

int slot_of(enum what what)
{
    int from = (int)below(SLOTS);
    for (int i = 0; i < SLOTS; i++)
        if (slots[(from + i) % SLOTS].what == what)
            return (from + i) % SLOTS;
    return some_slot();
}

void put(int slot, int fd, enum what what)
{
    if (slots[slot].fd >= 0 && slots[slot].what != NOTHING)
        close(slots[slot].fd);
    slots[slot].fd = fd;
    slots[slot].what = fd < 0 ? NOTHING : what;
}

int wrong_fd(void)
{
    return (int)ONE_OF(-1, 900, 65536, 0x7fffffff, -2147483647 - 1);
}

int family_of(int slot)
{
    int family = 0;
    socklen_t len = sizeof family;
    getsockopt(slots[slot].fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
    return family;
}

/* --- the transcript ----------------------------------------------------------------------------------------------------- */

static char line[16384];
static size_t used;

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + used, sizeof line - used, format, args);
    va_end(args);
    used += n < 0 ? 0 : (size_t)n;
    if (used >= sizeof line)
        used = sizeof line - 1;
}

static void put_line(void)
{
    if (used) {
        line[used] = 0;
        fputs(line, stdout);
        fputc('\n', stdout);
    }
    used = 0;
}

void end_of_line(void)
{
    if (broken_pipes) {
        say(" SIGPIPE*%d", broken_pipes);
        broken_pipes = 0;
    }
    put_line();
}

static void outcome(long value, bool number, int error)
{
    if (value == -1)
        say(" = %s", strerrorname_np(error) ? strerrorname_np(error) : "-1");
    else if (number)
        say(" = %ld", value);
    else
        say(" = a descriptor");
}

#define RESULT(number)                                                                  \
    int error = errno;                                                                  \
    va_list args;                                                                       \
    char call[512];                                                                     \
    va_start(args, format);                                                             \
    vsnprintf(call, sizeof call, format, args);                                         \
    va_end(args);                                                                       \
    put_line();                                                                         \
    say("    %s", call);                                                                \
    outcome(value, number, error)

void result(long value, const char *format, ...)
{
    RESULT(true);
}

void result_fd(long value, const char *format, ...)
{
    RESULT(false);
}

void say_bytes(const char *what, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ at[i]) * 16777619u;
    say(" %s[%zu]:", what, len);
    for (size_t i = 0; i < len && i < 24; i++)
        say("%02x", at[i]);
    if (len > 24)
        say("..%08x", sum);
}

/* Ports that the system chose are told by the order in which they are seen. */
static unsigned canonical(unsigned port)
{
    static unsigned seen[256], count;
    if (port < 32768)
        return port;
    for (unsigned i = 0; i < count; i++)
        if (seen[i] == port)
            return 100000 + i;
    if (count < LEN(seen))
        seen[count++] = port;
    return 100000 + count - 1;
}

void say_address(const char *what, const void *address, socklen_t room, socklen_t len)
{
    struct sockaddr_storage ss;
    memset(&ss, 0, sizeof ss);
    socklen_t have = len < room ? len : room;
    memcpy(&ss, address, have < sizeof ss ? have : sizeof ss);
    char text[64] = "?";
    say(" %s(%u)", what, len);
    if (have < 8)
        return say_bytes("", address, have < 2 ? have : 2);
    if (ss.ss_family == AF_INET) {
        struct sockaddr_in *v4 = (void *)&ss;
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        say(":%s:%u", text, canonical(ntohs(v4->sin_port)));
    } else if (ss.ss_family == AF_INET6) {
        struct sockaddr_in6 *v6 = (void *)&ss;
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        say(":[%s]:%u/%x%%%u", text, canonical(ntohs(v6->sin6_port)), v6->sin6_flowinfo, v6->sin6_scope_id);
    } else {
        say(":family %d", ss.ss_family);
    }
}

/* --- memory ------------------------------------------------------------------------------------------------------------- */

void *bad_memory(void)
{
    /* A hole of the address space is a fault of the program's in data calls (docs/deviations.md, "a data buffer in a hole"). */
    return (void *)ONE_OF(0, 16, (long)0xffff800000000000);
}

void fill_arena(void)
{
    memset(arena, 0xa5, sizeof arena);
}

size_t touched(size_t room)
{
    while (room && (unsigned char)arena[room - 1] == 0xa5)
        room--;
    return room;
}

/* --- addresses ---------------------------------------------------------------------------------------------------------- */

static void v4(struct where *w, const char *text, int port)
{
    w->v4.sin_family = AF_INET;
    w->v4.sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, text, &w->v4.sin_addr);
    w->len = sizeof w->v4;
    snprintf(w->text, sizeof w->text, "%s:%d", text, port);
}

static void v6(struct where *w, const char *text, int port, unsigned scope)
{
    w->v6.sin6_family = AF_INET6;
    w->v6.sin6_port = htons((uint16_t)port);
    w->v6.sin6_scope_id = scope;
    inet_pton(AF_INET6, text, &w->v6.sin6_addr);
    w->len = sizeof w->v6;
    snprintf(w->text, sizeof w->text, "[%s]:%d%%%u", text, port, scope);
}

void address_of_slot(struct where *w, int slot)
{
    memset(w, 0, sizeof *w);
    w->len = sizeof w->ss;
    if (getsockname(slots[slot].fd, &w->sa, &w->len) != 0 || w->len > sizeof w->v6) {
        v4(w, "127.0.0.1", 4000);
    } else if (w->sa.sa_family == AF_INET && w->v4.sin_addr.s_addr == 0) {
        w->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else if (w->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&w->v6.sin6_addr)) {
        w->v6.sin6_addr = in6addr_loopback;
    }
    snprintf(w->text, sizeof w->text, "address of %d", slot);
    w->at = w;
}

/* Addresses on this host, in its net where nobody answers, and such as can be nobody's. */
static void known_address(struct where *w, int family)
{
    static const char *const four[] = {"127.0.0.1", "127.0.0.1", "0.0.0.0", "10.83.0.2", "127.0.0.9", "10.83.0.77", "255.255.255.255",
                                       "239.1.2.3", "192.0.2.1", "127.255.255.255", "10.83.0.255", "10.83.0.0", "224.0.0.1", "0.1.2.3"};
    static const char *const six[] = {"::1", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "fd83::2", "fd83::77", "fe80::1",
                                      "ff15::123", "::ffff:10.83.0.2", "ff02::1", "fd83::78", "::ffff:239.1.2.3", "ff01::1"};
    int port = (int)ONE_OF(4000, 4001, 4002, 4003, 4000, 4001, 0);
    if (family == AF_INET6)
        v6(w, six[below(LEN(six))], port, 0);
    else
        v4(w, four[below(LEN(four))], port);
}

/* One thing about it made wrong. */
static void spoil(struct where *w)
{
    char was[64];
    snprintf(was, sizeof was, "%.60s", w->text);
    switch (below(4)) {
    case 0:
        w->len = (socklen_t)ONE_OF(0, 1, 2, 3, 4, 7, 8, 15, 16, 20, 23, 24, 27, 28, 29, 128, 129, 256, -1, 0x7fffffff);
        snprintf(w->text, sizeof w->text, "%s/length %d", was, (int)w->len);
        break;
    case 1:
        w->sa.sa_family = (sa_family_t)ONE_OF(0, 1, 2, 10, 16, 255, 65535);
        snprintf(w->text, sizeof w->text, "%s/family %d", was, w->sa.sa_family);
        break;
    case 2:
        w->at = bad_memory();
        snprintf(w->text, sizeof w->text, "%p/length %d", w->at, (int)w->len);
        break;
    case 3:
        w->v6.sin6_flowinfo = (uint32_t)ONE_OF(1, 0x0f000000, -1);
        snprintf(w->text, sizeof w->text, "%s/flow %x", was, w->v6.sin6_flowinfo);
        break;
    }
}

void some_address(struct where *w, int slot, bool bad)
{
    memset(w, 0, sizeof *w);
    w->at = w;
    int family = family_of(slot);
    if (chance(8))
        family = family == AF_INET ? AF_INET6 : AF_INET;
    if (chance(50)) {
        int other = some_slot();
        bool raw = slots[slot].what == RAW || slots[slot].what == PING;
        if (slots[other].what != NOTHING && slots[other].what < OTHER && !raw) {
            address_of_slot(w, other);
            return;
        }
    }
    do
        known_address(w, family);
    /* What a raw socket of IPv6 does with an IPv4 address is nobody's wish. */
    while ((slots[slot].what == RAW || slots[slot].what == PING) && w->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&w->v6.sin6_addr));
    if (bad && chance(12))
        spoil(w);
}

/* --- flags -------------------------------------------------------------------------------------------------------------- */

int send_flags(int slot)
{
    if (chance(60))
        return chance(50) ? 0 : MSG_NOSIGNAL;
    int flags = (int)ONE_OF(MSG_DONTWAIT, MSG_NOSIGNAL, MSG_EOR, MSG_CONFIRM, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_ERRQUEUE, MSG_CTRUNC,
                            MSG_FASTOPEN, MSG_ZEROCOPY, MSG_SYN, MSG_FIN, MSG_RST, MSG_MORE);
    if (chance(15))
        flags |= (int)ONE_OF(MSG_EOR, MSG_OOB, MSG_NOSIGNAL, MSG_DONTWAIT);
    /* What a stream keeps back goes by a timer; of a datagram's later parts nothing but the data is looked at. */
    flags &= slots[slot].what == OTHER ? -1 : ~MSG_MORE;
    /* On a connection it would be another connect. */
    return slots[slot].what == STREAM ? flags & ~MSG_FASTOPEN : flags;
}

int recv_flags(void)
{
    if (chance(50))
        return 0;
    int flags = (int)ONE_OF(MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_OOB, MSG_ERRQUEUE, MSG_NOSIGNAL, MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_EOR,
                            MSG_MORE, MSG_WAITFORONE, MSG_CONFIRM, MSG_FIN);
    if (chance(25))
        flags |= (int)ONE_OF(MSG_PEEK, MSG_TRUNC, MSG_OOB, MSG_ERRQUEUE, MSG_DONTWAIT);
    return flags;
}
