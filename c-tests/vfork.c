/* vfork(2): the child runs in its parent's memory, with copies of its descriptors. What it closes and replaces before its exec, as
 * posix_spawn and the runtimes of other languages do, leaves the parent's sockets alone. */
#include "harness.h"

static void goes_on(struct pair p)
{
    char c;
    send_all(p.client, "c", 1);
    recv_all(p.server, &c, 1);
    EQ(c, 'c');
    send_all(p.server, "s", 1);
    recv_all(p.client, &c, 1);
    EQ(c, 's');
}

/* The child ends with what its last call returned. */
#define IN_CHILD(calls)                                \
    do {                                               \
        int status = -1;                               \
        pid_t child = vfork();                         \
        if (child == 0)                                \
            _exit((calls) < 0);                        \
        TRUE(child > 0);                               \
        EQ(waitpid(child, &status, 0), child);         \
        EQ(status, 0);                                 \
    } while (0)

BOTH(child_closes_its_copies)
{
    struct pair p = tcp_pair(family);
    IN_CHILD((close(p.client), close(p.server)));
    goes_on(p);
}

BOTH(child_replaces_its_copies)
{
    struct pair p = tcp_pair(family);
    IN_CHILD((dup2(STDERR_FILENO, p.client), dup3(STDERR_FILENO, p.server, O_CLOEXEC)));
    goes_on(p);
}

BOTH(child_closes_all_above_standard_error)
{
    struct pair p = tcp_pair(family);
    IN_CHILD((closefrom(3), 0));
    goes_on(p);
}

BOTH(child_opens_at_the_number)
{
    struct pair p = tcp_pair(family);
    int low = p.client < p.server ? p.client : p.server;
    IN_CHILD((close(low), fcntl(STDERR_FILENO, F_DUPFD, low) == low ? 0 : -1));
    goes_on(p);
}

BOTH(child_gives_up)
{
    struct pair p = tcp_pair(family);
    IN_CHILD(0);
    goes_on(p);
}
