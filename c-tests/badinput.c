/* What no program should pass: pointers, lengths, families, sizes, flags. Every answer is the kernel's; nothing crashes. */
#include "harness.h"

#include <sys/mman.h>

/* A page that is there and one after it that is not. */
static char *edge(void)
{
    long page = sysconf(_SC_PAGESIZE);
    char *at = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TRUE(at != MAP_FAILED);
    OK(munmap(at + page, (size_t)page));
    return at + page;
}

BOTH(null_address)
{
    int fd = tcp(family);
    ERR(bind(fd, null_pointer, 16), EFAULT);
    ERR(connect(fd, null_pointer, 16), EFAULT);
    ERR(getsockname(fd, NULL, NULL), EFAULT);
}

BOTH(wild_address)
{
    int fd = tcp(family);
    const struct sockaddr *wild = (const struct sockaddr *)0xdead0000beefULL;
    ERR(bind(fd, wild, 16), EFAULT);
    ERR(connect(fd, wild, 16), EFAULT);
}

BOTH(kernel_half_address)
{
    int fd = tcp(family);
    const struct sockaddr *high = (const struct sockaddr *)0xffff800000000000ULL;
    ERR(bind(fd, high, 16), EFAULT);
    ERR(connect(fd, high, 16), EFAULT);
}

BOTH(unmapped_address)
{
    int fd = tcp(family);
    ERR(bind(fd, (struct sockaddr *)(void *)edge(), 28), EFAULT);
    ERR(connect(fd, (struct sockaddr *)(void *)(edge() - 4), 28), EFAULT);
}

BOTH(address_at_the_edge_of_a_page)
{
    struct addr a = loopback(family, 0);
    char *at = edge() - a.len;
    memcpy(at, &a.sa, a.len);
    OK(bind(tcp(family), (struct sockaddr *)(void *)at, a.len));
}

BOTH(unaligned_address)
{
    struct addr a = loopback(family, 0);
    char buffer[64];
    memcpy(buffer + 1, &a.sa, a.len);
    OK(bind(tcp(family), (struct sockaddr *)(void *)(buffer + 1), a.len));
}

BOTH(bind_lengths)
{
    struct addr a = loopback(family, 0);
    ERR(bind(tcp(family), &a.sa, 0), EINVAL);
    ERR(bind(tcp(family), &a.sa, 2), EINVAL);
    ERR(bind(tcp(family), &a.sa, family == AF_INET ? 15 : 23), EINVAL);
    ERR(bind(tcp(family), &a.sa, 129), EINVAL);
    ERR(bind(tcp(family), &a.sa, (socklen_t)-1), EINVAL);
    OK(bind(tcp(family), &a.sa, sizeof(a.ss)));
}

CASE(bind_v6_length_without_scope)
{
    struct addr a = loopback(AF_INET6, 0);
    OK(bind(tcp(AF_INET6), &a.sa, 24));
}

CASE(bind_wrong_family)
{
    struct addr four = loopback(AF_INET, 0), six = loopback(AF_INET6, 0);
    ERR(bind(tcp(AF_INET), &six.sa, six.len), EAFNOSUPPORT);
    ERR(bind(tcp(AF_INET6), &four.sa, sizeof(four.v6)), EAFNOSUPPORT);
    ERR(bind(tcp(AF_INET6), &four.sa, four.len), EINVAL);
    four.sa.sa_family = AF_UNIX;
    ERR(bind(tcp(AF_INET), &four.sa, four.len), EAFNOSUPPORT);
}

CASE(bind_unspecified_family)
{
    struct addr a = wildcard(AF_INET, 0);
    a.sa.sa_family = AF_UNSPEC;
    OK(bind(tcp(AF_INET), &a.sa, a.len)); /* an old habit that Linux allows for the wildcard */
    a = loopback(AF_INET, 0);
    a.sa.sa_family = AF_UNSPEC;
    ERR(bind(tcp(AF_INET), &a.sa, a.len), EAFNOSUPPORT);
}

BOTH(connect_wrong_family)
{
    struct addr a = loopback(family, 9);
    a.sa.sa_family = 77;
    ERR(connect(tcp(family), &a.sa, a.len), EAFNOSUPPORT);
    ERR(connect(udp(family), &a.sa, a.len), EAFNOSUPPORT);
}

BOTH(connect_one_byte)
{
    struct addr a = loopback(family, 9);
    ERR(connect(tcp(family), &a.sa, 1), EINVAL);
    ERR(connect(udp(family), &a.sa, 1), EINVAL);
}

BOTH(null_buffers)
{
    struct pair p = tcp_pair(family);
    send_all(p.client, "abc", 3);
    wait_for(p.server, POLLIN);
    ERR(recv(p.server, null_pointer, 3, 0), EFAULT);
    ERR(send(p.client, null_pointer, 3, 0), EFAULT);
    EQ(send(p.client, NULL, 0, 0), 0);
    char got[3];
    recv_all(p.server, got, 3);
}

BOTH(null_buffers_of_datagrams)
{
    struct pair p = udp_pair(family);
    char c;
    ERR(send(p.client, null_pointer, 3, 0), EFAULT);
    EQ(send(p.client, "x", 1, 0), 1);
    wait_for(p.server, POLLIN);
    ERR(recv(p.server, null_pointer, 3, 0), EFAULT);
    ERR(recv(p.server, &c, 1, MSG_DONTWAIT), EAGAIN); /* that datagram is gone */
}

BOTH(null_vectors)
{
    struct pair p = tcp_pair(family);
    ERR(readv(p.client, null_pointer, 1), EFAULT);
    ERR(writev(p.client, null_pointer, 1), EFAULT);
    EQ(writev(p.client, NULL, 0), 0);
}

BOTH(vector_length_overflow)
{
    struct pair p = tcp_pair(family);
    char c;
    struct iovec v[2] = {{&c, (size_t)-1}, {&c, 1}};
    ERR(writev(p.client, v, 2), EINVAL);
    ERR(readv(p.client, v, 2), EINVAL);
}

BOTH(null_vector_with_length)
{
    struct pair p = tcp_pair(family);
    struct iovec v = {NULL, 5};
    ERR(writev(p.client, &v, 1), EFAULT);
}

BOTH(huge_recv_size)
{
    struct pair p = tcp_pair(family);
    static char big[64];
    volatile size_t huge = SIZE_MAX / 4;
    send_all(p.client, "abc", 3);
    wait_for(p.server, POLLIN);
    EQ(recv(p.server, big, huge, 0), 3);
}

BOTH(all_flags_at_once)
{
    struct pair p = tcp_pair(family);
    char c;
    ERR(recv(p.server, &c, 1, ~MSG_OOB & ~MSG_ERRQUEUE), EAGAIN);
}

BOTH(getsockname_bad_pointers)
{
    struct addr a;
    socklen_t len = sizeof(a.ss);
    int fd = tcp(family);
    ERR(getsockname(fd, bad_pointer, &len), EFAULT);
    ERR(getsockname(fd, &a.sa, bad_pointer), EFAULT);
    ERR(getpeername(tcp_pair(family).client, bad_pointer, &len), EFAULT);
}

BOTH(zero_length_name)
{
    socklen_t len = 0;
    OK(getsockname(tcp(family), NULL, &len));
    TRUE(len > 0);
}

BOTH(accept_null_length)
{
    struct addr at, a;
    int l = listener(family, 1, &at);
    OK(connect(tcp(family), &at.sa, at.len));
    ERR(accept(l, &a.sa, NULL), EFAULT);
}

BOTH(recvfrom_bad_address)
{
    struct pair p = udp_pair(family);
    socklen_t len = 28;
    char c;
    EQ(send(p.client, "x", 1, 0), 1);
    wait_for(p.server, POLLIN);
    ERR(recvfrom(p.server, &c, 1, 0, bad_pointer, &len), EFAULT);
}

BOTH(recvfrom_negative_length)
{
    struct pair p = udp_pair(family);
    struct addr a;
    char c;
    a.len = (socklen_t)-5;
    EQ(send(p.client, "x", 1, 0), 1);
    wait_for(p.server, POLLIN);
    ERR(recvfrom(p.server, &c, 1, 0, &a.sa, &a.len), EINVAL);
}

BOTH(sendto_bad_address)
{
    ERR(sendto(udp(family), "x", 1, 0, bad_pointer, 28), EFAULT);
}

BOTH(sendto_long_address)
{
    struct addr a = loopback(family, 9);
    ERR(sendto(udp(family), "x", 1, 0, &a.sa, 200), EINVAL);
}

BOTH(message_with_a_bad_name)
{
    struct iovec v = {"x", 1};
    struct msghdr m;
    memset(&m, 0, sizeof(m));
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    m.msg_name = bad_pointer;
    m.msg_namelen = 28;
    ERR(sendmsg(udp(family), &m, 0), EFAULT);
    m.msg_namelen = (socklen_t)-1;
    ERR(sendmsg(udp(family), &m, 0), EINVAL);
}

BOTH(message_with_bad_control)
{
    struct pair p = udp_pair(family);
    struct iovec v = {"x", 1};
    struct msghdr m;
    memset(&m, 0, sizeof(m));
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    m.msg_control = bad_pointer;
    m.msg_controllen = 64;
    ERR(sendmsg(p.client, &m, 0), EFAULT);
}

BOTH(message_with_garbled_control)
{
    struct pair p = udp_pair(family);
    struct iovec v = {"x", 1};
    union {
        struct cmsghdr h;
        char bytes[64];
    } control;
    struct msghdr m;
    memset(&m, 0, sizeof(m));
    memset(&control, 0, sizeof(control));
    control.h.cmsg_len = 3; /* shorter than its own header */
    control.h.cmsg_level = SOL_SOCKET;
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    m.msg_control = &control;
    m.msg_controllen = sizeof(control);
    ERR(sendmsg(p.client, &m, 0), EINVAL);
}

BOTH(select_bad_set)
{
    int fd = tcp(family);
    struct timeval tv = {0, 0};
    ERR(select(fd + 1, bad_pointer, NULL, NULL, &tv), EFAULT);
}

BOTH(poll_too_many)
{
    tcp(family);
    static struct pollfd f[4];
    volatile nfds_t many = 1u << 30;
    ERR(poll(f, many, 0), EINVAL);
}

BOTH(sockets_after_all_that)
{
    struct pair p = tcp_pair(family);
    char c;
    ERR(bind(p.client, bad_pointer, 16), EFAULT);
    send_all(p.client, "x", 1);
    recv_all(p.server, &c, 1);
    EQ(c, 'x');
}

BOTH(the_state_comes_before_the_bytes)
{
    struct addr nowhere = loopback(family, 0);
    char big[70000] = {0};
    int u = udp(family);
    ERR(send(tcp(family), null_pointer, 5, MSG_NOSIGNAL), EPIPE);
    ERR(write(u, null_pointer, 5), EDESTADDRREQ);
    ERR(sendto(u, big, sizeof big, 0, &nowhere.sa, nowhere.len), family == AF_INET ? EMSGSIZE : EINVAL);
    EQ(writev(u, null_pointer, 0), 0);
}
