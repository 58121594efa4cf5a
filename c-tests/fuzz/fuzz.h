/* Random calls of the sockets API. A seed and the number of a step decide all that the step does, so that steps can be left out of a sequence without
 * a change to the others. What every call said is written as a line of a transcript; the driver (tests/fuzz.rs) compares the kernel's with tunsock's. */
#ifndef C_TESTS_FUZZ_H
#define C_TESTS_FUZZ_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#define LEN(a) (sizeof(a) / sizeof((a)[0]))
/* One of the values of a list. */
#define ONE_OF(...) ((const long[]){__VA_ARGS__})[below(LEN(((const long[]){__VA_ARGS__})))]

/* --- random choices (tools.c) ------------------------------------------------------------------------------------------- */

void begin_step(uint64_t seed, unsigned step);
uint32_t below(uint32_t n); /* 0 to n - 1 */
bool chance(unsigned percent);

/* --- descriptors -------------------------------------------------------------------------------------------------------- */

#define SLOTS 14
enum what { NOTHING, TCP, LISTENING, STREAM, UDP, RAW, PING, OTHER, EPOLL };
struct slot {
    int fd;
    enum what what;
};
extern struct slot slots[SLOTS];
extern const char *const names[]; /* of the kinds */
int some_slot(void);              /* mostly one that is open */
int slot_of(enum what what);      /* one of that kind, if there is any */
void put(int slot, int fd, enum what what); /* what was there is closed */
int wrong_fd(void);

/* --- the transcript ----------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
/* The result of a call, and the call: to be called with errno as the call left it. */
__attribute__((format(printf, 2, 3))) void result(long value, const char *format, ...);
/* The same of a call that gives a descriptor: its number is not compared. */
__attribute__((format(printf, 2, 3))) void result_fd(long value, const char *format, ...);
void say_bytes(const char *what, const void *bytes, size_t len);
void say_address(const char *what, const void *address, socklen_t room, socklen_t len);
void end_of_line(void);
extern volatile int broken_pipes;

/* --- arguments ---------------------------------------------------------------------------------------------------------- */

struct where {
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage ss;
        char bytes[256];
    };
    const void *at; /* this, or a bad pointer */
    socklen_t len;
    char text[96];
};
void some_address(struct where *w, int slot, bool bad);
void address_of_slot(struct where *w, int slot); /* where that socket can be reached */
int send_flags(int slot);
int recv_flags(void);
void *bad_memory(void);
int family_of(int slot);
#define ROOM 70000
extern char scratch[ROOM]; /* what is sent from */
extern char arena[ROOM];   /* what is received into */
void fill_arena(void);
/* How many octets at the end of so many in `arena` were written. */
size_t touched(size_t room);

/* --- the steps ---------------------------------------------------------------------------------------------------------- */

void random_step(void);
void last_look(void);
void option_step(void);       /* options.c */
void option_probe(void);
void message_send_step(void); /* messages.c */
void message_recv_step(void);
void send_step(void);         /* octets.c */
void recv_step(void);
void copy_step(void);
void vector_step(void);
/* What a call of so much room has brought: of pings and raw packets only how much. */
void say_received(int slot, long n, size_t room);

/* --- the two modes ------------------------------------------------------------------------------------------------------ */

int stress(uint64_t seed, int threads, unsigned steps); /* stress.c */
/* How many are open, eventfds apart. */
int count_descriptors(int *eventfds);
/* A namespace of one's own with lo up; on kernel sockets also with a device as the stack's. */
void own_network(bool with_device);

#endif
