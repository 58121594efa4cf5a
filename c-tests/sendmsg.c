/* sendmsg(2) and recvmsg(2): vectors, names, control data, flags that come back. */
#include "harness.h"

static struct msghdr message(struct iovec *v, size_t n)
{
    struct msghdr m;
    memset(&m, 0, sizeof(m));
    m.msg_iov = v;
    m.msg_iovlen = n;
    return m;
}

BOTH(gathers_and_scatters)
{
    struct pair p = tcp_pair(family);
    char a[3], b[4];
    struct iovec out[3] = {{"ab", 2}, {NULL, 0}, {"cdefg", 5}}, in[2] = {{a, 3}, {b, 4}};
    struct msghdr m = message(out, 3), r = message(in, 2);
    EQ(sendmsg(p.client, &m, 0), 7);
    wait_for(p.server, POLLIN);
    EQ(recvmsg(p.server, &r, 0), 7);
    EQ(memcmp(a, "abc", 3) | memcmp(b, "defg", 4), 0);
}

BOTH(receiving_leaves_the_vectors_alone)
{
    struct pair p = tcp_pair(family);
    char a[8];
    struct iovec in = {a, 8};
    struct msghdr r = message(&in, 1);
    send_all(p.client, "abc", 3);
    EQ(recvmsg(p.server, &r, 0), 3);
    TRUE(in.iov_base == a && in.iov_len == 8);
    TRUE(r.msg_iov == &in);
    EQ(r.msg_iovlen, 1);
}

BOTH(flags_are_cleared)
{
    struct pair p = tcp_pair(family);
    char a[8];
    struct iovec in = {a, 8};
    struct msghdr r = message(&in, 1);
    r.msg_flags = -1;
    send_all(p.client, "abc", 3);
    EQ(recvmsg(p.server, &r, 0), 3);
    EQ(r.msg_flags & ~MSG_CMSG_CLOEXEC, 0);
}

BOTH(no_name_on_tcp)
{
    struct pair p = tcp_pair(family);
    struct addr name;
    char a[8];
    struct iovec in = {a, 8};
    struct msghdr r = message(&in, 1);
    r.msg_name = &name.ss;
    r.msg_namelen = sizeof(name.ss);
    send_all(p.client, "abc", 3);
    EQ(recvmsg(p.server, &r, 0), 3);
    EQ(r.msg_namelen, 0);
}

BOTH(control_length_becomes_zero)
{
    struct pair p = tcp_pair(family);
    char a[8], control[64];
    struct iovec in = {a, 8};
    struct msghdr r = message(&in, 1);
    r.msg_control = control;
    r.msg_controllen = sizeof(control);
    send_all(p.client, "abc", 3);
    EQ(recvmsg(p.server, &r, 0), 3);
    EQ(r.msg_controllen, 0);
}

BOTH(end_of_stream)
{
    struct pair p = tcp_pair(family);
    char a[8];
    struct iovec in = {a, 8};
    struct msghdr r = message(&in, 1);
    OK(shutdown(p.client, SHUT_WR));
    EQ(recvmsg(p.server, &r, 0), 0);
}

BOTH(datagram_with_its_sender)
{
    struct addr from, to, name;
    char a[3], b[16];
    int x = bound_udp(family, &from), y = bound_udp(family, &to);
    struct iovec out[2] = {{"hel", 3}, {"lo", 2}}, in[2] = {{a, 3}, {b, 16}};
    struct msghdr m = message(out, 2), r = message(in, 2);
    m.msg_name = &to.ss;
    m.msg_namelen = to.len;
    r.msg_name = &name.ss;
    r.msg_namelen = sizeof(name.ss);
    EQ(sendmsg(x, &m, 0), 5);
    EQ(recvmsg(y, &r, 0), 5);
    EQ(r.msg_namelen, from.len);
    TRUE(same_addr(&name, &from));
    EQ(r.msg_flags, 0);
    EQ(memcmp(a, "hel", 3) | memcmp(b, "lo", 2), 0);
}

BOTH(datagram_truncated)
{
    struct pair p = udp_pair(family);
    char a[4];
    struct iovec in = {a, 4};
    struct msghdr r = message(&in, 1);
    EQ(send(p.client, "12345678", 8, 0), 8);
    EQ(recvmsg(p.server, &r, 0), 4);
    EQ(r.msg_flags, MSG_TRUNC);
    EQ(send(p.client, "12345678", 8, 0), 8);
    EQ(recvmsg(p.server, &r, MSG_TRUNC), 8);
    EQ(r.msg_flags, MSG_TRUNC);
}

BOTH(name_truncated)
{
    struct addr from, to;
    unsigned char name[8];
    char a[8];
    int x = bound_udp(family, &from), y = bound_udp(family, &to);
    struct iovec in = {a, 8};
    struct msghdr r = message(&in, 1);
    memset(name, 0xee, sizeof(name));
    r.msg_name = name;
    r.msg_namelen = 4;
    EQ(sendto(x, "x", 1, 0, &to.sa, to.len), 1);
    EQ(recvmsg(y, &r, 0), 1);
    EQ(r.msg_namelen, from.len);
    EQ(memcmp(name, &from.ss, 4), 0);
    EQ(name[4], 0xee);
}

BOTH(empty_datagram)
{
    struct pair p = udp_pair(family);
    struct msghdr m = message(NULL, 0), r = message(NULL, 0);
    EQ(sendmsg(p.client, &m, 0), 0);
    EQ(recvmsg(p.server, &r, 0), 0);
    EQ(r.msg_flags, 0);
}

BOTH(too_many_vectors)
{
    struct pair p = tcp_pair(family);
    static struct iovec v[IOV_MAX + 1];
    struct msghdr m = message(v, IOV_MAX + 1);
    ERR(sendmsg(p.client, &m, 0), EMSGSIZE);
    ERR(recvmsg(p.server, &m, MSG_DONTWAIT), EMSGSIZE);
}

BOTH(bad_pointers)
{
    struct pair p = tcp_pair(family);
    struct msghdr m = message(bad_pointer, 1);
    ERR(sendmsg(p.client, bad_pointer, 0), EFAULT);
    ERR(recvmsg(p.client, bad_pointer, 0), EFAULT);
    ERR(sendmsg(p.client, &m, 0), EFAULT);
    ERR(recvmsg(p.client, &m, 0), EFAULT);
}

BOTH(unconnected)
{
    struct iovec v = {"x", 1};
    struct msghdr m = message(&v, 1);
    ERR(sendmsg(tcp(family), &m, MSG_NOSIGNAL), EPIPE);
    ERR(recvmsg(tcp(family), &m, 0), ENOTCONN);
    ERR(sendmsg(udp(family), &m, 0), EDESTADDRREQ);
}

BOTH(peek)
{
    struct pair p = tcp_pair(family);
    char a[8];
    struct iovec in = {a, 8};
    struct msghdr r = message(&in, 1);
    send_all(p.client, "abc", 3);
    wait_for(p.server, POLLIN);
    EQ(recvmsg(p.server, &r, MSG_PEEK), 3);
    EQ(recvmsg(p.server, &r, 0), 3);
    ERR(recvmsg(p.server, &r, MSG_DONTWAIT), EAGAIN);
}

BOTH(waitall_over_vectors)
{
    struct pair p = tcp_pair(family);
    char a[2], b[4];
    struct iovec in[2] = {{a, 2}, {b, 4}};
    struct msghdr r = message(in, 2);
    send_all(p.client, "abcdefgh", 8);
    EQ(recvmsg(p.server, &r, MSG_WAITALL), 6);
    EQ(memcmp(b, "cdef", 4), 0);
}

BOTH(error_queue_is_empty)
{
    struct pair p = udp_pair(family);
    char a[8];
    struct iovec in = {a, 8};
    struct msghdr r = message(&in, 1);
    ERR(recvmsg(p.client, &r, MSG_ERRQUEUE), EAGAIN);
}

BOTH(datagrams_in_bulk)
{
    struct pair p = udp_pair(family);
    struct iovec v[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
    struct mmsghdr m[3];
    char got[3][8];
    memset(m, 0, sizeof(m));
    for (int i = 0; i < 3; i++)
        m[i].msg_hdr = message(&v[i], 1);
    EQ(sendmmsg(p.client, m, 3, 0), 3);
    EQ(m[2].msg_len, 3);
    for (int i = 0; i < 3; i++) {
        v[i] = (struct iovec){got[i], 8};
        m[i].msg_hdr = message(&v[i], 1);
    }
    EQ(recvmmsg(p.server, m, 3, 0, NULL), 3);
    EQ(m[0].msg_len, 1);
    EQ(m[1].msg_len, 2);
    EQ(memcmp(got[2], "ccc", 3), 0);
    ERR(recvmmsg(p.server, m, 3, MSG_DONTWAIT, NULL), EAGAIN);
}

/* A mark and a priority for one message (CAP_NET_ADMIN is there). */
BOTH(mark_and_priority_of_a_message)
{
    static const int types[] = {SO_MARK, SO_PRIORITY};
    struct pair pairs[] = {udp_pair(family), tcp_pair(family)};
    char c[4];
    for (size_t i = 0; i < 4; i++) {
        struct pair p = pairs[i / 2];
        union { char bytes[64]; struct cmsghdr head; } u = {{0}};
        struct iovec v = {"abc", 3};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = u.bytes, .msg_controllen = CMSG_SPACE(4)};
        u.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = types[i % 2]};
        EQ(sendmsg(p.client, &m, 0), 3);
        EQ(recv(p.server, c, 4, 0), 3);
        u.head.cmsg_len = CMSG_LEN(8);
        m.msg_controllen = CMSG_SPACE(8);
        ERR(sendmsg(p.client, &m, 0), EINVAL);
    }
}
