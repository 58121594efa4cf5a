/* Octets sent, received and copied. */
#include "fuzz.h"

#include <sys/mman.h>

static size_t some_length(int slot)
{
    if (slots[slot].what == PING && chance(60))
        return 8 + below(40);
    if (slots[slot].what == RAW && chance(60))
        return 20 + below(60);
    return chance(90) ? below(600) : (size_t)ONE_OF(0, 1, 1472, 1500, 4000, 65507, 65508, 65535, 65536);
}

/* How much a stream's buffers hold is counted by what the kernel's memory for it costs; so little is sent that it never matters. */
static size_t within(int slot, size_t len)
{
    return slots[slot].what == STREAM && len > 4000 ? 4000 : len;
}

static void prepare(int slot, size_t len)
{
    for (size_t i = 0; i < len && i < sizeof scratch; i++)
        scratch[i] = (char)(i * 7 + len);
    if (slots[slot].what == PING) /* an echo request */
        memcpy(scratch, family_of(slot) == AF_INET ? "\x08\0\0\0\0\0\0\1" : "\x80\0\0\0\0\0\0\1", 8);
}

void send_step(void)
{
    struct where w;
    int slot = some_slot();
    size_t len = within(slot, some_length(slot));
    /* A raw socket of ICMP's finds no type in less than this. */
    if (slots[slot].what == RAW && len < 2)
        len = 2;
    const void *data = chance(97) || slots[slot].what == RAW ? scratch : bad_memory();
    if (data != scratch && chance(40))
        len = 0;
    int flags = send_flags(slot);
    long n;
    prepare(slot, len);
    /* Of bad memory for a destination Linux says what it says of the route first. */
    switch (data == scratch ? below(4) : below(2)) {
    case 0:
        n = send(slots[slot].fd, data, len, flags);
        result(n, "send(%d %s, %s, %zu, %#x)", slot, names[slots[slot].what], data == scratch ? "data" : "bad", len, flags);
        break;
    case 1:
        if (slots[slot].what == OTHER)
            return;
        n = write(slots[slot].fd, data, len);
        result(n, "write(%d %s, %s, %zu)", slot, names[slots[slot].what], data == scratch ? "data" : "bad", len);
        break;
    default:
        some_address(&w, slot, true);
        n = sendto(slots[slot].fd, data, len, flags, w.at, w.len);
        result(n, "sendto(%d %s, %s, %zu, %#x, %s)", slot, names[slots[slot].what], data == scratch ? "data" : "bad", len, flags, w.text);
        break;
    }
}

/* The checksum of a ping and its number are the system's own. */
void say_received(int slot, long n, size_t room)
{
    size_t got = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
    if (slots[slot].what == PING || slots[slot].what == RAW)
        say(" octets[%zu]", touched(got) > 0 ? got : 0);
    else
        say_bytes("octets", arena, got);
    if (touched(room) > got && n >= 0)
        say(" TOUCHED %zu", touched(room));
}

void recv_step(void)
{
    struct where w;
    int slot = some_slot();
    size_t room = chance(70) ? below(1000) : (size_t)ONE_OF(0, 1, 65536);
    void *data = chance(97) ? arena : bad_memory();
    int flags = recv_flags();
    long n;
    fill_arena();
    memset(&w, 0x5a, sizeof w);
    switch (below(4)) {
    case 0:
        n = recv(slots[slot].fd, data, room, flags);
        result(n, "recv(%d %s, %s, %zu, %#x)", slot, names[slots[slot].what], data == arena ? "room" : "bad", room, flags);
        break;
    case 1:
        n = read(slots[slot].fd, data, room);
        result(n, "read(%d %s, %s, %zu)", slot, names[slots[slot].what], data == arena ? "room" : "bad", room);
        break;
    default: {
        socklen_t had = w.len = (socklen_t)(chance(60) ? (long)sizeof w.ss : ONE_OF(0, 1, 8, 16, 28, -1));
        void *at = chance(90) ? &w : bad_memory();
        socklen_t *len = chance(95) ? &w.len : bad_memory();
        n = recvfrom(slots[slot].fd, data, room, flags, at, len);
        result(n, "recvfrom(%d %s, %s, %zu, %#x, %s, %s%d)", slot, names[slots[slot].what], data == arena ? "room" : "bad", room, flags,
               at == &w ? "room" : "bad", len == &w.len ? "" : "bad ", (int)had);
        if (n >= 0 && at == &w && slots[slot].what != OTHER)
            say_address("from", &w, had, w.len);
    }
    }
    say_received(slot, n, room);
}

void copy_step(void)
{
    int slot = some_slot();
    size_t count = within(slot, chance(80) ? below(600) : (size_t)ONE_OF(0, 1, 4096));
    /* A datagram socket keeps back what sendfile and splice say that more follows. */
    bool keeps = slots[slot].what == UDP || slots[slot].what == RAW || slots[slot].what == PING;
    switch (keeps ? 2 : below(3)) {
    case 0: {
        int file = memfd_create("file", 0);
        off_t at = (off_t)ONE_OF(0, 0, 5, 300, 1000, -1);
        prepare(slot, 300);
        if (write(file, scratch, 300) != 300)
            abort();
        lseek(file, 0, SEEK_SET);
        bool with = chance(60);
        long n = sendfile(slots[slot].fd, file, with ? &at : NULL, count);
        result(n, "sendfile(%d %s, %zu)", slot, names[slots[slot].what], count);
        say(" at %ld %ld", with ? (long)at : -2, (long)lseek(file, 0, SEEK_CUR));
        close(file);
        break;
    }
    case 1: {
        int ends[2];
        if (pipe2(ends, O_NONBLOCK) != 0)
            abort();
        prepare(slot, 200);
        if (write(ends[1], scratch, 200) != 200)
            abort();
        unsigned flags = (unsigned)ONE_OF(SPLICE_F_NONBLOCK, SPLICE_F_NONBLOCK, SPLICE_F_NONBLOCK | SPLICE_F_MOVE, 64);
        long n = splice(ends[0], NULL, slots[slot].fd, NULL, count, flags);
        result(n, "splice(pipe, %d %s, %zu, %#x)", slot, names[slots[slot].what], count, flags);
        close(ends[0]);
        close(ends[1]);
        break;
    }
    default: {
        int ends[2];
        if (pipe2(ends, O_NONBLOCK) != 0)
            abort();
        unsigned flags = (unsigned)ONE_OF(SPLICE_F_NONBLOCK, SPLICE_F_NONBLOCK, SPLICE_F_NONBLOCK | SPLICE_F_MORE, 64);
        long n = splice(slots[slot].fd, NULL, ends[1], NULL, count, flags);
        result(n, "splice(%d %s, pipe, %zu, %#x)", slot, names[slots[slot].what], count, flags);
        fill_arena();
        if (n > 0 && read(ends[0], arena, sizeof arena) == n)
            say_received(slot, n, sizeof arena);
        close(ends[0]);
        close(ends[1]);
    }
    }
}

void vector_step(void)
{
    int slot = some_slot(), count = chance(85) ? (int)below(4) : (int)ONE_OF(0, -1, 1025, 0x7fffffff);
    struct iovec pieces[1025];
    fill_arena();
    bool in = chance(50);
    size_t total = 0, each = below(300);
    for (size_t i = 0; i < LEN(pieces); i++) {
        pieces[i] = (struct iovec){(in ? arena : scratch) + total, i < 4 ? each : 0};
        total += pieces[i].iov_len;
    }
    if (count > 0 && chance(8))
        pieces[below((uint32_t)count < 4 ? (uint32_t)count : 4)].iov_base = bad_memory();
    if (count > 0 && chance(4))
        pieces[below((uint32_t)count < 4 ? (uint32_t)count : 4)].iov_len = (size_t)-1;
    if (slots[slot].what == OTHER)
        return;
    void *list = chance(97) ? (void *)pieces : bad_memory();
    prepare(slot, 1200);
    int way = (int)below(3), flags = (int)ONE_OF(0, 0, RWF_NOWAIT, 0x1000);
    long at = ONE_OF(-1, -1, 0);
    const char *call = in ? "readv" : "writev";
    long n = way == 0 && in ? preadv2(slots[slot].fd, list, count, at, flags) : way == 0 ? pwritev2(slots[slot].fd, list, count, at, flags)
             : in           ? readv(slots[slot].fd, list, count)
                            : writev(slots[slot].fd, list, count);
    if (way == 0)
        result(n, "p%s2(%d %s, %s%d, %ld, %#x)", call, slot, names[slots[slot].what], list == pieces ? "" : "bad ", count, at, flags);
    else
        result(n, "%s(%d %s, %s%d)", call, slot, names[slots[slot].what], list == pieces ? "" : "bad ", count);
    if (in)
        say_received(slot, n, total);
}
