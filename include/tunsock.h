/*
 * tunsock.h: the sockets API of Linux, answered by a TCP/IP stack of its own inside the program's process.
 *
 * Every tunsock_* call has the arguments, the return value and the errno of the Linux call it is named after. It may be given any
 * descriptor: one that is not a socket of the stack goes to the system. Link with -ltunsock.
 *
 * With TUNSOCK_POSIX_NAMES defined before this header is included, the plain names (socket, bind, read, ...) and the system's own
 * types (struct sockaddr_in, fd_set, ...) mean these calls: ordinary source compiles as it stands, whether it includes the system's
 * headers before or after this one or not at all.
 *
 * This file is generated. Do not edit it.
 */
#ifndef TUNSOCK_H
#define TUNSOCK_H

#ifdef TUNSOCK_POSIX_NAMES
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* for accept4, ppoll, epoll_pwait2 and the like, in C as C++ has it anyway */
#endif
/*
 * The plain names' symbols. A pragma, not a macro: members, methods and variables of these names stay what they are. Where the
 * compiler does not take it (C++ that has included the system's headers before), the plain symbol is used, which -ltunsock answers too.
 */
#pragma redefine_extname socket tunsock_socket
#pragma redefine_extname bind tunsock_bind
#pragma redefine_extname listen tunsock_listen
#pragma redefine_extname accept tunsock_accept
#pragma redefine_extname accept4 tunsock_accept4
#pragma redefine_extname connect tunsock_connect
#pragma redefine_extname shutdown tunsock_shutdown
#pragma redefine_extname getsockname tunsock_getsockname
#pragma redefine_extname getpeername tunsock_getpeername
#pragma redefine_extname send tunsock_send
#pragma redefine_extname sendto tunsock_sendto
#pragma redefine_extname write tunsock_write
#pragma redefine_extname writev tunsock_writev
#pragma redefine_extname recv tunsock_recv
#pragma redefine_extname recvfrom tunsock_recvfrom
#pragma redefine_extname read tunsock_read
#pragma redefine_extname readv tunsock_readv
#ifndef __USE_FILE_OFFSET64
#pragma redefine_extname sendfile tunsock_sendfile
#endif
#ifndef __USE_FILE_OFFSET64
#pragma redefine_extname preadv2 tunsock_preadv2
#endif
#ifndef __USE_FILE_OFFSET64
#pragma redefine_extname pwritev2 tunsock_pwritev2
#endif
#pragma redefine_extname splice tunsock_splice
#pragma redefine_extname sendmsg tunsock_sendmsg
#pragma redefine_extname recvmsg tunsock_recvmsg
#pragma redefine_extname sendmmsg tunsock_sendmmsg
#pragma redefine_extname recvmmsg tunsock_recvmmsg
#pragma redefine_extname getsockopt tunsock_getsockopt
#pragma redefine_extname setsockopt tunsock_setsockopt
#pragma redefine_extname select tunsock_select
#pragma redefine_extname pselect tunsock_pselect
#pragma redefine_extname poll tunsock_poll
#pragma redefine_extname ppoll tunsock_ppoll
#pragma redefine_extname epoll_create tunsock_epoll_create
#pragma redefine_extname epoll_create1 tunsock_epoll_create1
#pragma redefine_extname epoll_ctl tunsock_epoll_ctl
#pragma redefine_extname epoll_wait tunsock_epoll_wait
#pragma redefine_extname epoll_pwait tunsock_epoll_pwait
#pragma redefine_extname epoll_pwait2 tunsock_epoll_pwait2
#pragma redefine_extname close tunsock_close
#pragma redefine_extname dup tunsock_dup
#pragma redefine_extname dup2 tunsock_dup2
#pragma redefine_extname dup3 tunsock_dup3
#ifndef __USE_FILE_OFFSET64
#pragma redefine_extname fcntl tunsock_fcntl
#endif
#pragma redefine_extname ioctl tunsock_ioctl
#pragma redefine_extname sockatmark tunsock_sockatmark
#pragma redefine_extname close_range tunsock_close_range
#pragma redefine_extname closefrom tunsock_closefrom
#pragma redefine_extname freeaddrinfo tunsock_freeaddrinfo
#pragma redefine_extname getaddrinfo tunsock_getaddrinfo
#pragma redefine_extname getnameinfo tunsock_getnameinfo
#pragma redefine_extname gethostbyname tunsock_gethostbyname
#pragma redefine_extname gethostbyname2 tunsock_gethostbyname2
#pragma redefine_extname gethostbyaddr tunsock_gethostbyaddr
#pragma redefine_extname gethostbyname_r tunsock_gethostbyname_r
#pragma redefine_extname gethostbyname2_r tunsock_gethostbyname2_r
#pragma redefine_extname gethostbyaddr_r tunsock_gethostbyaddr_r
#pragma redefine_extname gethostid tunsock_gethostid
#pragma redefine_extname setipv4sourcefilter tunsock_setipv4sourcefilter
#pragma redefine_extname getipv4sourcefilter tunsock_getipv4sourcefilter
#pragma redefine_extname setsourcefilter tunsock_setsourcefilter
#pragma redefine_extname getsourcefilter tunsock_getsourcefilter
#pragma redefine_extname if_nametoindex tunsock_if_nametoindex
#pragma redefine_extname if_indextoname tunsock_if_indextoname
#pragma redefine_extname if_freenameindex tunsock_if_freenameindex
#pragma redefine_extname if_nameindex tunsock_if_nameindex
#pragma redefine_extname freeifaddrs tunsock_freeifaddrs
#pragma redefine_extname getifaddrs tunsock_getifaddrs
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>
#endif

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Numbers */

#define TUNSOCK_AF_UNSPEC 0

#define TUNSOCK_AF_UNIX 1

#define TUNSOCK_AF_INET 2

#define TUNSOCK_AF_INET6 10

#define TUNSOCK_SOCK_STREAM 1

#define TUNSOCK_SOCK_DGRAM 2

#define TUNSOCK_SOCK_RAW 3

#define TUNSOCK_SOCK_NONBLOCK 2048

#define TUNSOCK_SOCK_CLOEXEC 524288

#define TUNSOCK_IPPROTO_IP 0

#define TUNSOCK_IPPROTO_ICMP 1

#define TUNSOCK_IPPROTO_TCP 6

#define TUNSOCK_IPPROTO_UDP 17

#define TUNSOCK_IPPROTO_IPV6 41

#define TUNSOCK_SOL_SOCKET 1

#define TUNSOCK_SO_REUSEADDR 2

#define TUNSOCK_SO_TYPE 3

#define TUNSOCK_SO_ERROR 4

#define TUNSOCK_SO_BROADCAST 6

#define TUNSOCK_SO_SNDBUF 7

#define TUNSOCK_SO_RCVBUF 8

#define TUNSOCK_SO_KEEPALIVE 9

#define TUNSOCK_SO_OOBINLINE 10

#define TUNSOCK_SO_LINGER 13

#define TUNSOCK_SO_REUSEPORT 15

#define TUNSOCK_SO_RCVLOWAT 18

#define TUNSOCK_SO_SNDLOWAT 19

#define TUNSOCK_SO_RCVTIMEO 20

#define TUNSOCK_SO_SNDTIMEO 21

#define TUNSOCK_SO_ACCEPTCONN 30

#define TUNSOCK_SO_PROTOCOL 38

#define TUNSOCK_SO_DOMAIN 39

#define TUNSOCK_TCP_NODELAY 1

#define TUNSOCK_TCP_MAXSEG 2

#define TUNSOCK_TCP_KEEPIDLE 4

#define TUNSOCK_TCP_KEEPINTVL 5

#define TUNSOCK_TCP_KEEPCNT 6

#define TUNSOCK_IP_OPTIONS 4

#define TUNSOCK_IP_RECVOPTS 6

#define TUNSOCK_IP_RETOPTS 7

#define TUNSOCK_IP_TOS 1

#define TUNSOCK_IP_TTL 2

#define TUNSOCK_IPV6_UNICAST_HOPS 16

#define TUNSOCK_IPV6_V6ONLY 26

#define TUNSOCK_IPV6_TCLASS 67

#define TUNSOCK_SOL_IP 0

#define TUNSOCK_SOL_IPV6 41

#define TUNSOCK_SOL_TCP 6

#define TUNSOCK_SOL_UDP 17

#define TUNSOCK_SOL_RAW 255

#define TUNSOCK_SOL_ICMPV6 58

#define TUNSOCK_SO_NO_CHECK 11

#define TUNSOCK_SO_PRIORITY 12

#define TUNSOCK_SO_BINDTODEVICE 25

#define TUNSOCK_SO_ATTACH_FILTER 26

#define TUNSOCK_SO_GET_FILTER 26

#define TUNSOCK_SO_DETACH_FILTER 27

#define TUNSOCK_SO_ATTACH_REUSEPORT_CBPF 51

#define TUNSOCK_SO_DETACH_REUSEPORT_BPF 68

#define TUNSOCK_SO_LOCK_FILTER 44

#define TUNSOCK_SO_TIMESTAMP 29

#define TUNSOCK_SO_SNDBUFFORCE 32

#define TUNSOCK_SO_RCVBUFFORCE 33

#define TUNSOCK_SO_TIMESTAMPNS 35

#define TUNSOCK_SO_MARK 36

#define TUNSOCK_SO_TIMESTAMPING 37

#define TUNSOCK_SO_RXQ_OVFL 40

#define TUNSOCK_SO_PEEK_OFF 42

#define TUNSOCK_SO_SELECT_ERR_QUEUE 45

#define TUNSOCK_SO_BUSY_POLL 46

#define TUNSOCK_SO_MAX_PACING_RATE 47

#define TUNSOCK_SO_INCOMING_CPU 49

#define TUNSOCK_SO_MEMINFO 55

#define TUNSOCK_SO_COOKIE 57

#define TUNSOCK_SO_ZEROCOPY 60

#define TUNSOCK_SO_BINDTOIFINDEX 62

#define TUNSOCK_SO_TIMESTAMP_NEW 63

#define TUNSOCK_SO_TIMESTAMPNS_NEW 64

#define TUNSOCK_SO_TIMESTAMPING_NEW 65

#define TUNSOCK_SO_PREFER_BUSY_POLL 69

#define TUNSOCK_SO_DEBUG 1

#define TUNSOCK_SO_DONTROUTE 5

#define TUNSOCK_SO_BSDCOMPAT 14

#define TUNSOCK_SO_PEERCRED 17

#define TUNSOCK_SO_INCOMING_NAPI_ID 56

#define TUNSOCK_SO_BUSY_POLL_BUDGET 70

#define TUNSOCK_SO_BUF_LOCK 72

#define TUNSOCK_IP_MINTTL 21

#define TUNSOCK_IP_UNICAST_IF 50

#define TUNSOCK_IPV6_MINHOPCOUNT 73

#define TUNSOCK_IPV6_UNICAST_IF 76

#define TUNSOCK_TCP_REPAIR 19

#define TUNSOCK_TCP_REPAIR_QUEUE 20

#define TUNSOCK_TCP_CORK 3

#define TUNSOCK_TCP_SYNCNT 7

#define TUNSOCK_TCP_LINGER2 8

#define TUNSOCK_TCP_DEFER_ACCEPT 9

#define TUNSOCK_TCP_WINDOW_CLAMP 10

#define TUNSOCK_TCP_INFO 11

#define TUNSOCK_TCP_QUICKACK 12

#define TUNSOCK_TCP_CONGESTION 13

#define TUNSOCK_TCP_USER_TIMEOUT 18

#define TUNSOCK_TCP_FASTOPEN 23

#define TUNSOCK_TCP_NOTSENT_LOWAT 25

#define TUNSOCK_TCP_CC_INFO 26

#define TUNSOCK_TCP_FASTOPEN_CONNECT 30

#define TUNSOCK_TCP_FASTOPEN_KEY 33

#define TUNSOCK_TCP_FASTOPEN_NO_COOKIE 34

#define TUNSOCK_TCP_INQ 36

#define TUNSOCK_IP_HDRINCL 3

#define TUNSOCK_IP_PKTINFO 8

#define TUNSOCK_IP_MTU_DISCOVER 10

#define TUNSOCK_IP_RECVERR 11

#define TUNSOCK_IP_RECVTTL 12

#define TUNSOCK_IP_RECVTOS 13

#define TUNSOCK_IP_MTU 14

#define TUNSOCK_IP_FREEBIND 15

#define TUNSOCK_IP_TRANSPARENT 19

#define TUNSOCK_IP_RECVORIGDSTADDR 20

#define TUNSOCK_IP_LOCAL_PORT_RANGE 51

#define TUNSOCK_IP_BIND_ADDRESS_NO_PORT 24

#define TUNSOCK_IP_MULTICAST_IF 32

#define TUNSOCK_IP_MULTICAST_TTL 33

#define TUNSOCK_IP_MULTICAST_LOOP 34

#define TUNSOCK_IP_ADD_MEMBERSHIP 35

#define TUNSOCK_IP_DROP_MEMBERSHIP 36

#define TUNSOCK_IP_UNBLOCK_SOURCE 37

#define TUNSOCK_IP_BLOCK_SOURCE 38

#define TUNSOCK_IP_ADD_SOURCE_MEMBERSHIP 39

#define TUNSOCK_IP_DROP_SOURCE_MEMBERSHIP 40

#define TUNSOCK_IP_MSFILTER 41

#define TUNSOCK_IP_MULTICAST_ALL 49

#define TUNSOCK_MCAST_JOIN_GROUP 42

#define TUNSOCK_MCAST_BLOCK_SOURCE 43

#define TUNSOCK_MCAST_UNBLOCK_SOURCE 44

#define TUNSOCK_MCAST_LEAVE_GROUP 45

#define TUNSOCK_MCAST_JOIN_SOURCE_GROUP 46

#define TUNSOCK_MCAST_LEAVE_SOURCE_GROUP 47

#define TUNSOCK_MCAST_MSFILTER 48

#define TUNSOCK_IPV6_CHECKSUM 7

#define TUNSOCK_IPV6_MULTICAST_IF 17

#define TUNSOCK_IPV6_MULTICAST_HOPS 18

#define TUNSOCK_IPV6_MULTICAST_LOOP 19

#define TUNSOCK_IPV6_JOIN_GROUP 20

#define TUNSOCK_IPV6_LEAVE_GROUP 21

#define TUNSOCK_IPV6_MTU_DISCOVER 23

#define TUNSOCK_IPV6_MTU 24

#define TUNSOCK_IPV6_RECVERR 25

#define TUNSOCK_IPV6_MULTICAST_ALL 29

#define TUNSOCK_IPV6_HDRINCL 36

#define TUNSOCK_IPV6_RECVPKTINFO 49

#define TUNSOCK_IPV6_RECVHOPLIMIT 51

#define TUNSOCK_IPV6_DONTFRAG 62

#define TUNSOCK_IPV6_RECVTCLASS 66

#define TUNSOCK_IPV6_RECVORIGDSTADDR 74

#define TUNSOCK_IPV6_TRANSPARENT 75

#define TUNSOCK_IPV6_FREEBIND 78

#define TUNSOCK_UDP_CORK 1

#define TUNSOCK_UDP_SEGMENT 103

#define TUNSOCK_UDP_GRO 104

#define TUNSOCK_ICMP_FILTER 1

#define TUNSOCK_ICMP6_FILTER 1

#define TUNSOCK_SCM_TS_OPT_ID 81

#define TUNSOCK_IPV6_PKTINFO 50

#define TUNSOCK_IPV6_HOPLIMIT 52

#define TUNSOCK_IP_ORIGDSTADDR 20

#define TUNSOCK_IPV6_ORIGDSTADDR 74

#define TUNSOCK_MSG_OOB 1

#define TUNSOCK_MSG_PEEK 2

#define TUNSOCK_MSG_DONTROUTE 4

#define TUNSOCK_MSG_CTRUNC 8

#define TUNSOCK_MSG_TRUNC 32

#define TUNSOCK_MSG_DONTWAIT 64

#define TUNSOCK_MSG_EOR 128

#define TUNSOCK_MSG_WAITALL 256

#define TUNSOCK_MSG_ERRQUEUE 8192

#define TUNSOCK_MSG_NOSIGNAL 16384

#define TUNSOCK_MSG_MORE 32768

#define TUNSOCK_MSG_WAITFORONE 65536

#define TUNSOCK_MSG_FASTOPEN 536870912

#define TUNSOCK_MSG_ZEROCOPY 67108864

#define TUNSOCK_SHUT_RD 0

#define TUNSOCK_SHUT_WR 1

#define TUNSOCK_SHUT_RDWR 2

#define TUNSOCK_POLLIN 1

#define TUNSOCK_POLLPRI 2

#define TUNSOCK_POLLOUT 4

#define TUNSOCK_POLLERR 8

#define TUNSOCK_POLLHUP 16

#define TUNSOCK_POLLNVAL 32

#define TUNSOCK_POLLRDNORM 64

#define TUNSOCK_POLLRDBAND 128

#define TUNSOCK_POLLWRNORM 256

#define TUNSOCK_POLLWRBAND 512

#define TUNSOCK_POLLRDHUP 8192

#define TUNSOCK_EPOLLIN 1

#define TUNSOCK_EPOLLPRI 2

#define TUNSOCK_EPOLLOUT 4

#define TUNSOCK_EPOLLERR 8

#define TUNSOCK_EPOLLHUP 16

#define TUNSOCK_EPOLLRDHUP 8192

#define TUNSOCK_EPOLLEXCLUSIVE 268435456

#define TUNSOCK_EPOLLONESHOT 1073741824

#define TUNSOCK_EPOLLET 2147483648

#define TUNSOCK_EPOLL_CTL_ADD 1

#define TUNSOCK_EPOLL_CTL_DEL 2

#define TUNSOCK_EPOLL_CTL_MOD 3

#define TUNSOCK_EPOLL_CLOEXEC 524288

#define TUNSOCK_F_DUPFD 0

#define TUNSOCK_F_GETFD 1

#define TUNSOCK_F_SETFD 2

#define TUNSOCK_F_GETFL 3

#define TUNSOCK_F_SETFL 4

#define TUNSOCK_F_DUPFD_CLOEXEC 1030

#define TUNSOCK_FD_CLOEXEC 1

#define TUNSOCK_O_RDWR 2

#define TUNSOCK_O_NONBLOCK 2048

#define TUNSOCK_O_CLOEXEC 524288

#define TUNSOCK_FIONBIO 21537

#define TUNSOCK_FIONREAD 21531

#define TUNSOCK_SIOCATMARK 35077

#define TUNSOCK_SIOCOUTQ 21521

#define TUNSOCK_AI_PASSIVE 1

#define TUNSOCK_AI_CANONNAME 2

#define TUNSOCK_AI_NUMERICHOST 4

#define TUNSOCK_AI_V4MAPPED 8

#define TUNSOCK_AI_ALL 16

#define TUNSOCK_AI_ADDRCONFIG 32

#define TUNSOCK_AI_NUMERICSERV 1024

#define TUNSOCK_NI_NUMERICHOST 1

#define TUNSOCK_NI_NUMERICSERV 2

#define TUNSOCK_NI_NAMEREQD 8

#define TUNSOCK_NI_DGRAM 16

#define TUNSOCK_EAI_BADFLAGS -1

#define TUNSOCK_EAI_NONAME -2

#define TUNSOCK_EAI_AGAIN -3

#define TUNSOCK_EAI_FAIL -4

#define TUNSOCK_EAI_NODATA -5

#define TUNSOCK_EAI_FAMILY -6

#define TUNSOCK_EAI_SOCKTYPE -7

#define TUNSOCK_EAI_SERVICE -8

#define TUNSOCK_EAI_ADDRFAMILY -9

#define TUNSOCK_EAI_MEMORY -10

#define TUNSOCK_EAI_SYSTEM -11

#define TUNSOCK_EAI_OVERFLOW -12

#define TUNSOCK_HOST_NOT_FOUND 1

#define TUNSOCK_TRY_AGAIN 2

#define TUNSOCK_NO_RECOVERY 3

#define TUNSOCK_NO_DATA 4

#define TUNSOCK_SOMAXCONN 4096

#define TUNSOCK_FD_SETSIZE 1024

/* IPv4 addresses in host byte order */
#define TUNSOCK_INADDR_ANY ((uint32_t)0x00000000)
#define TUNSOCK_INADDR_LOOPBACK ((uint32_t)0x7f000001)
#define TUNSOCK_INADDR_BROADCAST ((uint32_t)0xffffffff)
#define TUNSOCK_INADDR_NONE ((uint32_t)0xffffffff)

/* Types, laid out as the system's */

#ifdef TUNSOCK_POSIX_NAMES

#define tunsock_sockaddr sockaddr
#define tunsock_in_addr in_addr
#define tunsock_sockaddr_in sockaddr_in
#define tunsock_in6_addr in6_addr
#define tunsock_sockaddr_in6 sockaddr_in6
#define tunsock_sockaddr_storage sockaddr_storage
#define tunsock_timeval timeval
#define tunsock_timespec timespec
#define tunsock_pollfd pollfd
#define tunsock_iovec iovec
#define tunsock_msghdr msghdr
#define tunsock_mmsghdr mmsghdr
#define tunsock_linger linger
#define tunsock_addrinfo addrinfo
#define tunsock_hostent hostent
#define tunsock_if_nameindex if_nameindex
#define tunsock_ifaddrs ifaddrs
#define tunsock_epoll_event epoll_event
typedef socklen_t tunsock_socklen_t;
typedef nfds_t tunsock_nfds_t;
typedef fd_set tunsock_fd_set;
typedef sigset_t tunsock_sigset_t;
/* Structures that the system keeps back when its headers came before this one in strictly conforming C. */
struct mmsghdr;
struct addrinfo;
struct if_nameindex;
struct ifaddrs;
struct timespec;

#else

/** Length of an address, bytes. */
typedef uint32_t tunsock_socklen_t;
/** Number of entries for tunsock_poll. */
typedef unsigned long tunsock_nfds_t;

/*
 The generic address that calls take; cast the address of the family's own structure to it.
 */
struct tunsock_sockaddr {
    /*
     Address family, TUNSOCK_AF_INET or TUNSOCK_AF_INET6.
     */
    unsigned short sa_family;
    /*
     The family's own bytes.
     */
    char sa_data[14];
};

/*
 An IPv4 address.
 */
struct tunsock_in_addr {
    /*
     The address in network byte order.
     */
    unsigned int s_addr;
};

/*
 Address of an IPv4 socket, 16 bytes.
 */
struct tunsock_sockaddr_in {
    /*
     TUNSOCK_AF_INET.
     */
    unsigned short sin_family;
    /*
     Port in network byte order.
     */
    unsigned short sin_port;
    /*
     Internet address.
     */
    struct tunsock_in_addr sin_addr;
    /*
     Padding to the size of struct tunsock_sockaddr.
     */
    uint8_t sin_zero[8];
};

/*
 An IPv6 address.
 */
struct tunsock_in6_addr {
    /*
     The address in network byte order (s6_addr in the system's headers, where that name is a macro).
     */
    uint8_t s6_bytes[16];
};

/*
 Address of an IPv6 socket, 28 bytes.
 */
struct tunsock_sockaddr_in6 {
    /*
     TUNSOCK_AF_INET6.
     */
    unsigned short sin6_family;
    /*
     Port in network byte order.
     */
    unsigned short sin6_port;
    /*
     Flow label in network byte order.
     */
    unsigned int sin6_flowinfo;
    /*
     Internet address.
     */
    struct tunsock_in6_addr sin6_addr;
    /*
     Interface of a link-local address.
     */
    unsigned int sin6_scope_id;
};

/*
 Room for an address of any family.
 */
struct tunsock_sockaddr_storage {
    /*
     Address family.
     */
    unsigned short ss_family;
    /*
     Room.
     */
    char ss_padding[118];
    /*
     Forces the alignment of a long.
     */
    unsigned long ss_align;
};

/*
 Seconds and microseconds.
 */
struct tunsock_timeval {
    /*
     Seconds.
     */
    long tv_sec;
    /*
     Microseconds, 0 to 999999.
     */
    long tv_usec;
};

/*
 Seconds and nanoseconds.
 */
struct tunsock_timespec {
    /*
     Seconds.
     */
    long tv_sec;
    /*
     Nanoseconds, 0 to 999999999.
     */
    long tv_nsec;
};

/*
 One descriptor for tunsock_poll.
 */
struct tunsock_pollfd {
    /*
     Descriptor; negative: skipped.
     */
    int fd;
    /*
     What to wait for, TUNSOCK_POLLIN and the like.
     */
    short events;
    /*
     What has come.
     */
    short revents;
};

/*
 A set of descriptors for tunsock_select, numbers below 1024.
 */
typedef struct {
    /*
     One bit a descriptor.
     */
    unsigned long fds_bits[16];
} tunsock_fd_set;

/*
 A set of signals.
 */
typedef struct {
    /*
     One bit a signal.
     */
    unsigned long sig_bits[16];
} tunsock_sigset_t;

/*
 A piece of memory for scattered reads and gathered writes.
 */
struct tunsock_iovec {
    /*
     Where it begins.
     */
    void *iov_base;
    /*
     Its length, bytes.
     */
    size_t iov_len;
};

/*
 A message for tunsock_sendmsg and tunsock_recvmsg.
 */
struct tunsock_msghdr {
    /*
     Address of the other end, or NULL.
     */
    void *msg_name;
    /*
     Length of the address, bytes.
     */
    tunsock_socklen_t msg_namelen;
    /*
     Pieces of memory.
     */
    struct tunsock_iovec *msg_iov;
    /*
     How many pieces.
     */
    size_t msg_iovlen;
    /*
     Control messages, or NULL.
     */
    void *msg_control;
    /*
     Length of the control messages, bytes.
     */
    size_t msg_controllen;
    /*
     Flags of a received message.
     */
    int msg_flags;
};

/*
 A message of tunsock_sendmmsg and tunsock_recvmmsg.
 */
struct tunsock_mmsghdr {
    /*
     The message.
     */
    struct tunsock_msghdr msg_hdr;
    /*
     Bytes sent or received.
     */
    unsigned int msg_len;
};

/*
 Value of TUNSOCK_SO_LINGER.
 */
struct tunsock_linger {
    /*
     Not zero: close waits.
     */
    int l_onoff;
    /*
     How long, seconds; 0 resets the connection.
     */
    int l_linger;
};

/*
 One answer of tunsock_getaddrinfo.
 */
struct tunsock_addrinfo {
    /*
     AI_* flags.
     */
    int ai_flags;
    /*
     Address family.
     */
    int ai_family;
    /*
     Socket type.
     */
    int ai_socktype;
    /*
     Protocol.
     */
    int ai_protocol;
    /*
     Length of ai_addr, bytes.
     */
    tunsock_socklen_t ai_addrlen;
    /*
     The address.
     */
    struct tunsock_sockaddr *ai_addr;
    /*
     Canonical name, in the first answer when asked for.
     */
    char *ai_canonname;
    /*
     The next answer, or NULL.
     */
    struct tunsock_addrinfo *ai_next;
};

/*
 What tunsock_gethostbyname knows of a host.
 */
struct tunsock_hostent {
    /*
     Official name.
     */
    char *h_name;
    /*
     Other names, ended by NULL.
     */
    char **h_aliases;
    /*
     Address family.
     */
    int h_addrtype;
    /*
     Length of an address, bytes.
     */
    int h_length;
    /*
     Addresses in network byte order, ended by NULL.
     */
    char **h_addr_list;
};

/*
 One interface of tunsock_if_nameindex.
 */
struct tunsock_if_nameindex {
    /*
     Its number.
     */
    unsigned int if_index;
    /*
     Its name.
     */
    char *if_name;
};

/*
 One address of an interface, of tunsock_getifaddrs.
 */
struct tunsock_ifaddrs {
    /*
     The next, or NULL.
     */
    struct tunsock_ifaddrs *ifa_next;
    /*
     The interface's name.
     */
    char *ifa_name;
    /*
     IFF_UP and the like.
     */
    unsigned int ifa_flags;
    /*
     The address, or NULL.
     */
    struct tunsock_sockaddr *ifa_addr;
    /*
     Its netmask, or NULL.
     */
    struct tunsock_sockaddr *ifa_netmask;
    /*
     Its broadcast address, or the peer's of a point-to-point link; or NULL.
     */
    struct tunsock_sockaddr *ifa_ifu;
    /*
     Statistics of the link, in the entry of its link-layer address.
     */
    void *ifa_data;
};

/** A descriptor's event for tunsock_epoll_ctl and tunsock_epoll_wait. */
struct tunsock_epoll_event {
    /** TUNSOCK_EPOLLIN and the like. */
    uint32_t events;
    /** The caller's own. */
    union {
        void *ptr;
        int fd;
        uint32_t u32;
        uint64_t u64;
    } data;
}
#ifdef __x86_64__
__attribute__((packed))
#endif
;

#endif

/* Sets of descriptors */

#define TUNSOCK_FD_BITS_ (8 * (int)sizeof(unsigned long))
#define TUNSOCK_FD_WORD_(fd, set) (((unsigned long *)(void *)(set))[(fd) / TUNSOCK_FD_BITS_])
#define TUNSOCK_FD_BIT_(fd) (1UL << ((fd) % TUNSOCK_FD_BITS_))
/** Puts a descriptor into a set. */
#define TUNSOCK_FD_SET(fd, set) ((void)(TUNSOCK_FD_WORD_(fd, set) |= TUNSOCK_FD_BIT_(fd)))
/** Takes a descriptor out of a set. */
#define TUNSOCK_FD_CLR(fd, set) ((void)(TUNSOCK_FD_WORD_(fd, set) &= ~TUNSOCK_FD_BIT_(fd)))
/** Whether a descriptor is in a set. */
#define TUNSOCK_FD_ISSET(fd, set) ((TUNSOCK_FD_WORD_(fd, set) & TUNSOCK_FD_BIT_(fd)) != 0)
/** Empties a set. */
#define TUNSOCK_FD_ZERO(set) \
    do { \
        int tunsock_word_; \
        for (tunsock_word_ = 0; tunsock_word_ < 1024 / TUNSOCK_FD_BITS_; tunsock_word_++) \
            ((unsigned long *)(void *)(set))[tunsock_word_] = 0; \
    } while (0)

/* Byte order */

/** A 16-bit number from host to network byte order, and back. */
static inline uint16_t tunsock_htons(uint16_t number) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return number;
#else
    return __builtin_bswap16(number);
#endif
}

/** A 32-bit number from host to network byte order, and back. */
static inline uint32_t tunsock_htonl(uint32_t number) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return number;
#else
    return __builtin_bswap32(number);
#endif
}

#define tunsock_ntohs tunsock_htons
#define tunsock_ntohl tunsock_htonl

#ifdef __cplusplus
extern "C" {
#endif

/* Sockets */

/*
 Makes a socket. AF_INET and AF_INET6 with SOCK_STREAM (TCP) or SOCK_DGRAM (UDP) are the stack's own; AF_NETLINK
 with NETLINK_ROUTE or NETLINK_SOCK_DIAG tells of the stack; any other family is the system's. SOCK_NONBLOCK and SOCK_CLOEXEC may be or-ed to the type.

 Returns a descriptor, or -1 with errno EINVAL (bad type or protocol), EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT,
 EPERM (raw and packet sockets, which never reach the machine's own network), EMFILE, ENFILE, ENOMEM, or what opening the
 device said (EADDRNOTAVAIL, ENETDOWN, EACCES).
 */
int tunsock_socket(int domain, int kind, int protocol);

/*
 Gives a socket its own address.

 Returns 0, or -1 with errno EBADF, ENOTSOCK, EFAULT, EINVAL (bound already, or a wrong length), EAFNOSUPPORT,
 EADDRINUSE, EADDRNOTAVAIL (not an address of the stack) or EACCES (a port below 1024 without the right).
 */
int tunsock_bind(int fd, const struct tunsock_sockaddr *addr, tunsock_socklen_t len);

/*
 Lets a socket accept connections; at most backlog + 1 wait to be accepted. An unbound socket gets a free port.

 Returns 0, or -1 with errno EBADF, ENOTSOCK, EINVAL (connected), EADDRINUSE or EOPNOTSUPP (not a stream socket).
 */
int tunsock_listen(int fd, int backlog);

/*
 Takes the next waiting connection and stores the peer's address at addr (which may be NULL) and its true length at len.

 Returns the connection's descriptor, or -1 with errno EBADF, ENOTSOCK, EINVAL (not listening, or a negative length),
 EFAULT, EAGAIN (nothing waits and the socket does not block, or TUNSOCK_SO_RCVTIMEO ran out), EINTR, EMFILE, ENFILE,
 ECONNABORTED or EOPNOTSUPP (not a stream socket).
 */
int tunsock_accept(int fd, struct tunsock_sockaddr *addr, tunsock_socklen_t *len);

/*
 As tunsock_accept; SOCK_NONBLOCK and SOCK_CLOEXEC in flags are set on the new descriptor. Any other flag: EINVAL.
 */
int tunsock_accept4(int fd, struct tunsock_sockaddr *addr, tunsock_socklen_t *len, int flags);

/*
 Connects a socket. For a datagram socket this only sets the peer; the family AF_UNSPEC takes the peer away again.

 Returns 0, or -1 with errno EBADF, ENOTSOCK, EFAULT, EINVAL, EAFNOSUPPORT, EISCONN, EALREADY, EINPROGRESS (the socket does
 not block, or TUNSOCK_SO_SNDTIMEO ran out: the attempt goes on), ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH,
 EADDRNOTAVAIL (no free port), ECONNABORTED, EINTR (the attempt goes on) or ENETDOWN.
 */
int tunsock_connect(int fd, const struct tunsock_sockaddr *addr, tunsock_socklen_t len);

/*
 Ends receiving (SHUT_RD), sending (SHUT_WR) or both (SHUT_RDWR) on a connection, and wakes who waits for it.

 Returns 0, or -1 with errno EBADF, ENOTSOCK, EINVAL (bad how) or ENOTCONN.
 */
int tunsock_shutdown(int fd, int how);

/*
 Stores a socket's own address at addr, cut to *len bytes, and its true length at len.

 Returns 0, or -1 with errno EBADF, ENOTSOCK, EFAULT or EINVAL (negative length).
 */
int tunsock_getsockname(int fd, struct tunsock_sockaddr *addr, tunsock_socklen_t *len);

/*
 Stores the peer's address at addr, cut to *len bytes, and its true length at len.

 Returns 0, or -1 with errno EBADF, ENOTSOCK, ENOTCONN, EFAULT or EINVAL (negative length).
 */
int tunsock_getpeername(int fd, struct tunsock_sockaddr *addr, tunsock_socklen_t *len);

/* Data */

/*
 Sends bytes on a connected socket. Flags: MSG_DONTWAIT, MSG_NOSIGNAL, MSG_OOB, MSG_MORE, MSG_EOR, MSG_ZEROCOPY,
 MSG_DONTROUTE; others are ignored as Linux ignores them.

 Returns how many bytes were taken, or -1 with errno EBADF, ENOTSOCK, EFAULT, EAGAIN, EINTR, EPIPE (with SIGPIPE unless
 MSG_NOSIGNAL), ECONNRESET, ENOTCONN, EDESTADDRREQ, EMSGSIZE (datagram too long), ECONNREFUSED, ENOBUFS or ENETDOWN.
 */
ssize_t tunsock_send(int fd, const void *data, size_t len, int flags);

/*
 As tunsock_send, to an address. On a stream socket the address is ignored.

 More errno values: EINVAL (wrong length or port 0), EAFNOSUPPORT, EACCES (broadcast without TUNSOCK_SO_BROADCAST),
 EOPNOTSUPP (MSG_OOB on a datagram socket), ENETUNREACH. With MSG_FASTOPEN a stream socket is connected to the address, with data in
 the SYN when the server is known to take it: errno also as of tunsock_connect, EOPNOTSUPP when Fast Open is switched off.
 */
ssize_t tunsock_sendto(int fd, const void *data, size_t len, int flags, const struct tunsock_sockaddr *addr, tunsock_socklen_t addr_len);

/*
 As tunsock_send without flags.
 */
ssize_t tunsock_write(int fd, const void *data, size_t len);

/*
 As tunsock_write from several pieces of memory. EINVAL for a negative count or one above 1024.
 */
ssize_t tunsock_writev(int fd, const struct tunsock_iovec *pieces, int count);

/*
 Receives bytes. Flags: MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_OOB, MSG_TRUNC, MSG_ERRQUEUE.

 Returns how many bytes came, 0 at the end of a stream, or -1 with errno EBADF, ENOTSOCK, EFAULT, EAGAIN, EINTR, ENOTCONN,
 ECONNRESET, ECONNREFUSED, ETIMEDOUT, EINVAL (MSG_OOB without urgent data) or ENETDOWN.
 */
ssize_t tunsock_recv(int fd, void *data, size_t len, int flags);

/*
 As tunsock_recv; stores the sender's address at addr (which may be NULL) and its true length at addr_len, 0 for a stream.
 */
ssize_t tunsock_recvfrom(int fd, void *data, size_t len, int flags, struct tunsock_sockaddr *addr, tunsock_socklen_t *addr_len);

/*
 As tunsock_recv without flags.
 */
ssize_t tunsock_read(int fd, void *data, size_t len);

/*
 As tunsock_read into several pieces of memory. EINVAL for a negative count or one above 1024.
 */
ssize_t tunsock_readv(int fd, const struct tunsock_iovec *pieces, int count);

/* Between files, pipes and sockets */

/*
 Copies len bytes from a file to a socket: from *at, which is moved on, or from the file's own position when at is NULL.

 Returns how many bytes were copied, or -1 with errno as tunsock_send or as the file's read; EINVAL for a file without positions
 (a pipe, a socket), ESPIPE with a position given.
 */
ssize_t tunsock_sendfile(int to, int from, off_t *at, size_t len);

/*
 As tunsock_readv with flags (RWF_NOWAIT: does not wait), where at is -1. On a socket any other at is ESPIPE.

 More errno values: EOPNOTSUPP (a flag that is not known, or not for sockets).
 */
ssize_t tunsock_preadv2(int fd, const struct tunsock_iovec *pieces, int count, off_t at, int flags);

/*
 As tunsock_writev with flags (RWF_NOWAIT: does not wait), where at is -1. On a socket any other at is ESPIPE.

 More errno values: EOPNOTSUPP (a flag that is not known, or not for sockets).
 */
ssize_t tunsock_pwritev2(int fd, const struct tunsock_iovec *pieces, int count, off_t at, int flags);

/*
 Moves up to len bytes between a pipe and a socket. from_at and to_at belong to files and are NULL for pipes and sockets.
 Flags: SPLICE_F_NONBLOCK (does not wait for the pipe), SPLICE_F_MORE; SPLICE_F_MOVE and SPLICE_F_GIFT have no effect.

 Returns how many bytes were moved, 0 at the end of the input, or -1 with errno EBADF, EINVAL (neither end is a pipe, or a
 position or flag that can't be), ESPIPE (a position for a pipe), EAGAIN, EINTR, EPIPE, or as tunsock_recv or tunsock_send.
 */
ssize_t tunsock_splice(int from, off_t *from_at, int to, off_t *to_at, size_t len, unsigned int flags);

/* Messages */

/*
 As tunsock_sendto with the address and the pieces of memory of a message.

 More errno values: EMSGSIZE (more than 1024 pieces), EINVAL (a control message that is not known or not supported).
 */
ssize_t tunsock_sendmsg(int fd, const struct tunsock_msghdr *message, int flags);

/*
 As tunsock_recvfrom into the pieces of memory of a message. Sets msg_namelen, msg_controllen and
 msg_flags (MSG_TRUNC, MSG_CTRUNC, MSG_OOB, MSG_ERRQUEUE).

 More errno values: EMSGSIZE (more than 1024 pieces), EINVAL (a negative msg_namelen).
 */
ssize_t tunsock_recvmsg(int fd, struct tunsock_msghdr *message, int flags);

/*
 Sends several messages; each one's msg_len gets the bytes sent.

 Returns how many messages were sent, or -1 with errno as tunsock_sendmsg when the first already failed.
 */
int tunsock_sendmmsg(int fd, struct tunsock_mmsghdr *messages, unsigned int count, int flags);

/*
 Receives several messages; each one's msg_len gets its bytes. MSG_WAITFORONE in flags: waits for the first only. The
 time, when given, is looked at after each message, and what is left of it is stored back.

 Returns how many messages came, or -1 with errno as tunsock_recvmsg when the first already failed.
 */
int tunsock_recvmmsg(int fd, struct tunsock_mmsghdr *messages, unsigned int count, int flags, struct tunsock_timespec *timeout);

/* Options */

/*
 Reads an option into value, cut to *len bytes, and stores how many were written at len. Levels and names are the system's:
 SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP and IPPROTO_IPV6 with the options that docs/options.md lists.

 Returns 0, or -1 with errno EBADF, ENOTSOCK, EFAULT, EINVAL (negative length), ENOPROTOOPT (option not known) or EOPNOTSUPP
 (level not known).
 */
int tunsock_getsockopt(int fd, int level, int name, void *value, tunsock_socklen_t *len);

/*
 Sets an option. An option that the stack does not act on is refused, never taken in silence.

 Returns 0, or -1 with errno EBADF, ENOTSOCK, EFAULT, EINVAL (wrong length or value), ENOPROTOOPT (option or level not known),
 EDOM (a time out of range), EPERM or EACCES.
 */
int tunsock_setsockopt(int fd, int level, int name, const void *value, tunsock_socklen_t len);

/* Waiting */

/*
 Waits until a descriptor of a set is readable (readfds), writable (writefds) or has urgent data (exceptfds); the sets, of
 numbers below nfds, are left with those that are. NULL sets and a NULL time (for ever) are allowed; the time left is stored back.

 Returns how many bits are set, 0 when the time is over, or -1 with errno EBADF, EINTR, EINVAL or EFAULT.
 */
int tunsock_select(int nfds, tunsock_fd_set *readfds, tunsock_fd_set *writefds, tunsock_fd_set *exceptfds, struct tunsock_timeval *timeout);

/*
 As tunsock_select, with nanoseconds, a time that is not changed, and a signal mask (or NULL) that holds while it waits.
 */
int tunsock_pselect(int nfds, tunsock_fd_set *readfds, tunsock_fd_set *writefds, tunsock_fd_set *exceptfds, const struct tunsock_timespec *timeout, const tunsock_sigset_t *mask);

/*
 Waits until a descriptor has what its entry asks for; entries with a negative descriptor are skipped. timeout is in
 milliseconds, negative for ever.

 Returns how many entries have revents, 0 when the time is over, or -1 with errno EINTR, EFAULT, EINVAL (more entries than
 descriptors are allowed) or ENOMEM.
 */
int tunsock_poll(struct tunsock_pollfd *fds, tunsock_nfds_t count, int timeout);

/*
 As tunsock_poll, with a time (NULL: for ever) and a signal mask (or NULL) that holds while it waits.
 */
int tunsock_ppoll(struct tunsock_pollfd *fds, tunsock_nfds_t count, const struct tunsock_timespec *timeout, const tunsock_sigset_t *mask);

/*
 Makes an epoll set. size must be above 0 and means nothing.

 Returns a descriptor, or -1 with errno EINVAL, EMFILE, ENFILE or ENOMEM.
 */
int tunsock_epoll_create(int size);

/*
 Makes an epoll set. Flags: EPOLL_CLOEXEC; any other: EINVAL.

 Returns a descriptor, or -1 with errno EINVAL, EMFILE, ENFILE or ENOMEM.
 */
int tunsock_epoll_create1(int flags);

/*
 Adds (EPOLL_CTL_ADD), changes (EPOLL_CTL_MOD) or removes (EPOLL_CTL_DEL) a descriptor of a set.

 Returns 0, or -1 with errno EBADF, EEXIST, ENOENT, EINVAL, EPERM, ELOOP, ENOMEM, ENOSPC or EFAULT.
 */
int tunsock_epoll_ctl(int epfd, int op, int fd, struct tunsock_epoll_event *event);

/*
 Waits for events of a set and stores up to count of them. timeout is in milliseconds, negative for ever.

 Returns how many were stored, 0 when the time is over, or -1 with errno EBADF, EINVAL (not a set, or count below 1),
 EFAULT or EINTR.
 */
int tunsock_epoll_wait(int epfd, struct tunsock_epoll_event *events, int count, int timeout);

/*
 As tunsock_epoll_wait, with a signal mask (or NULL) that holds while it waits.
 */
int tunsock_epoll_pwait(int epfd, struct tunsock_epoll_event *events, int count, int timeout, const tunsock_sigset_t *mask);

/*
 As tunsock_epoll_pwait, with a time in seconds and nanoseconds (NULL: for ever).
 */
int tunsock_epoll_pwait2(int epfd, struct tunsock_epoll_event *events, int count, const struct tunsock_timespec *timeout, const tunsock_sigset_t *mask);

/* Descriptors */

/*
 Closes a descriptor. The connection ends when its last descriptor is closed; what was written is still delivered.

 Returns 0, or -1 with errno EBADF or EINTR (the descriptor is closed all the same).
 */
int tunsock_close(int fd);

/*
 Another descriptor, the lowest free one, for the same socket.

 Returns it, or -1 with errno EBADF or EMFILE.
 */
int tunsock_dup(int fd);

/*
 Makes new_fd stand for what old_fd stands for; what new_fd was is closed first. Equal numbers: nothing happens.

 Returns new_fd, or -1 with errno EBADF, EMFILE or EINTR.
 */
int tunsock_dup2(int old_fd, int new_fd);

/*
 As tunsock_dup2, with O_CLOEXEC in flags. EINVAL for other flags and for equal numbers.
 */
int tunsock_dup3(int old_fd, int new_fd, int flags);

/*
 Acts on a descriptor: F_GETFL and F_SETFL (O_NONBLOCK, O_ASYNC; O_APPEND and O_NOATIME are kept), F_GETFD and F_SETFD, F_DUPFD and F_DUPFD_CLOEXEC, F_SETOWN, F_SETSIG
 and their kin, and the system's others. arg is the command's int, or the address of its structure.

 Returns what the command returns, or -1 with errno EBADF, EINVAL, EMFILE, ESRCH (nobody to signal) or EFAULT.
 */
int tunsock_fcntl(int fd, int command, ...);

/*
 Acts on a descriptor: FIONBIO, FIOASYNC, FIONREAD, SIOCATMARK, SIOCOUTQ (TIOCOUTQ), SIOCOUTQNSD, FIOSETOWN, FIOGETOWN (SIOCSPGRP,
 SIOCGPGRP), each with the address of an int; SIOCGSTAMP, SIOCGSTAMPNS; SIOCGIFCONF with a
 struct ifconf, and SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFADDR and their kin with a struct ifreq: the stack's interfaces, not the machine's.

 Returns 0, or -1 with errno EBADF, EFAULT, EINVAL, ENODEV (no such interface), EADDRNOTAVAIL (it has no address), EPERM (a request
 that changes an interface) or ENOTTY (a request that is not for such a socket).
 */
int tunsock_ioctl(int fd, unsigned long request, ...);

/*
 Whether the next byte to be read is the one after the urgent byte.

 Returns 1 or 0, or -1 with errno EBADF or ENOTTY.
 */
int tunsock_sockatmark(int fd);

/*
 Closes every descriptor from first to last. Flags: CLOSE_RANGE_CLOEXEC marks them instead, CLOSE_RANGE_UNSHARE.

 Returns 0, or -1 with errno EINVAL.
 */
int tunsock_close_range(unsigned int first, unsigned int last, int flags);

/*
 Closes every descriptor from first on. Nothing is returned.
 */
void tunsock_closefrom(int first);

/* Names */

/*
 Finds the addresses of a host (by number, localhost, the hosts file or DNS over the stack) and the port of a service. NULL for either
 is allowed, not for both. The answers are a list to be freed with tunsock_freeaddrinfo, in the order to try them.

 Returns 0, or EAI_NONAME, EAI_AGAIN (no name server has answered), EAI_NODATA (the name has no such address), EAI_SERVICE,
 EAI_SOCKTYPE, EAI_FAMILY, EAI_ADDRFAMILY, EAI_BADFLAGS, EAI_IDN_ENCODE or EAI_MEMORY.
 */
int tunsock_getaddrinfo(const char *node, const char *service, const struct tunsock_addrinfo *hints, struct tunsock_addrinfo **answers);

/*
 Frees the answers of tunsock_getaddrinfo. NULL is allowed.
 */
void tunsock_freeaddrinfo(struct tunsock_addrinfo *answers);

/*
 Writes the host and the service of an address as text: a name when one is known and not forbidden by NI_NUMERICHOST and
 NI_NUMERICSERV, else a number.

 Returns 0, or EAI_FAMILY, EAI_BADFLAGS, EAI_NONAME (nothing asked for, or NI_NAMEREQD and no name), EAI_AGAIN (no name server has
 answered) or EAI_OVERFLOW (the text does not fit).
 */
int tunsock_getnameinfo(const struct tunsock_sockaddr *addr, tunsock_socklen_t len, char *host, tunsock_socklen_t host_len, char *service, tunsock_socklen_t service_len, int flags);

/* Names, the older calls */

/*
 Finds the IPv4 addresses of a host, as tunsock_getaddrinfo does.

 Returns a structure that is valid until the thread's next call of this kind, or NULL with h_errno HOST_NOT_FOUND, NO_DATA (no
 such address), NO_RECOVERY or TRY_AGAIN (no name server has answered).
 */
struct tunsock_hostent *tunsock_gethostbyname(const char *name);

/*
 As tunsock_gethostbyname for AF_INET or AF_INET6.
 */
struct tunsock_hostent *tunsock_gethostbyname2(const char *name, int family);

/*
 Finds the name of an address of len bytes (4 for AF_INET, 16 for AF_INET6), as tunsock_gethostbyname.
 */
struct tunsock_hostent *tunsock_gethostbyaddr(const void *addr, tunsock_socklen_t len, int family);

/*
 As tunsock_gethostbyname into the caller's memory: entry, and room for what it points to. The answer's address, or NULL, is
 stored at answer, h_errno at why.

 Returns 0, or an errno value: ERANGE (the room is too small), or with h_errno TRY_AGAIN EAGAIN.
 */
int tunsock_gethostbyname_r(const char *name, struct tunsock_hostent *entry, char *room, size_t len, struct tunsock_hostent **answer, int *why);

/*
 As tunsock_gethostbyname_r for AF_INET or AF_INET6.
 */
int tunsock_gethostbyname2_r(const char *name, int family, struct tunsock_hostent *entry, char *room, size_t len, struct tunsock_hostent **answer, int *why);

/*
 As tunsock_gethostbyaddr into the caller's memory, as tunsock_gethostbyname_r.
 */
int tunsock_gethostbyaddr_r(const void *addr, tunsock_socklen_t addr_len, int family, struct tunsock_hostent *entry, char *room, size_t len, struct tunsock_hostent **answer, int *why);

/*
 The number in /etc/hostid, else one made of this machine's IPv4 address by its name, as gethostid(3).
 */
long tunsock_gethostid(void);

extern int *__h_errno_location(void);

/* Groups */

/*
 Replaces the filter of a membership in an IPv4 group: numsrc sources at slist, of which fmode (MCAST_INCLUDE 1, MCAST_EXCLUDE 0)
 says whether they are the wanted or the unwanted ones.

 Returns 0, or -1 with errno as IP_MSFILTER of tunsock_setsockopt.
 */
int tunsock_setipv4sourcefilter(int fd, struct tunsock_in_addr interface, struct tunsock_in_addr group, uint32_t fmode, uint32_t numsrc, const struct tunsock_in_addr *slist);

/*
 Reads the filter of a membership in an IPv4 group. numsrc holds the room at slist, and gets the number of sources that there are.

 Returns 0, or -1 with errno as IP_MSFILTER of tunsock_getsockopt.
 */
int tunsock_getipv4sourcefilter(int fd, struct tunsock_in_addr interface, struct tunsock_in_addr group, uint32_t *fmode, uint32_t *numsrc, struct tunsock_in_addr *slist);

/*
 As tunsock_setipv4sourcefilter for a group of either family, on the interface of that number.

 Returns 0, or -1 with errno as MCAST_MSFILTER of tunsock_setsockopt.
 */
int tunsock_setsourcefilter(int fd, uint32_t interface, const struct tunsock_sockaddr *group, tunsock_socklen_t group_len, uint32_t fmode, uint32_t numsrc, const struct tunsock_sockaddr_storage *slist);

/*
 As tunsock_getipv4sourcefilter for a group of either family, on the interface of that number.

 Returns 0, or -1 with errno as MCAST_MSFILTER of tunsock_getsockopt.
 */
int tunsock_getsourcefilter(int fd, uint32_t interface, const struct tunsock_sockaddr *group, tunsock_socklen_t group_len, uint32_t *fmode, uint32_t *numsrc, struct tunsock_sockaddr_storage *slist);

/* Interfaces */

/*
 The number of the interface of this name.

 Returns it, or 0 with errno ENODEV.
 */
unsigned int tunsock_if_nametoindex(const char *name);

/*
 The name of the interface of this number, written to name, which has room for 16 bytes.

 Returns name, or NULL with errno ENXIO.
 */
char *tunsock_if_indextoname(unsigned int index, char *name);

/*
 Every interface, by number and name; an entry of zeros ends the list. Free it with tunsock_if_freenameindex.

 Returns the list, or NULL with errno ENOBUFS or what opening the device said.
 */
struct tunsock_if_nameindex *tunsock_if_nameindex(void);

/*
 Frees what tunsock_if_nameindex returned. Nothing is returned.
 */
void tunsock_if_freenameindex(struct tunsock_if_nameindex *list);

/*
 Every interface and every address of each, as a list stored at list. Free it with tunsock_freeifaddrs.

 Returns 0, or -1 with errno EFAULT or what opening the device said.
 */
int tunsock_getifaddrs(struct tunsock_ifaddrs **list);

/*
 Frees what tunsock_getifaddrs stored. Nothing is returned.
 */
void tunsock_freeifaddrs(struct tunsock_ifaddrs *list);

#ifdef __cplusplus
}
#endif

#endif /* TUNSOCK_H */
