/* Preloaded over the kernel's sockets by the test of the comparison itself: one errno of one call is another one. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int getpeername(int fd, struct sockaddr *restrict address, socklen_t *restrict len)
{
    int outcome = (int)syscall(SYS_getpeername, fd, address, len);
    if (outcome == -1 && errno == ENOTCONN)
        errno = EINVAL;
    return outcome;
}
