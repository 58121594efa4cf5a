/* Compiled, never linked: the header's types and numbers are the system's. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/icmp6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <linux/sockios.h>

#include "tunsock.h"

#define SIZE(ours, system) _Static_assert(sizeof(ours) == sizeof(system), "size of " #ours)
#define FIELD(ours, system, field)                                                               \
    _Static_assert(offsetof(ours, field) == offsetof(system, field), "offset in " #ours);        \
    _Static_assert(sizeof(((ours *)0)->field) == sizeof(((system *)0)->field), "size in " #ours)

SIZE(struct tunsock_sockaddr, struct sockaddr);
FIELD(struct tunsock_sockaddr, struct sockaddr, sa_family);
FIELD(struct tunsock_sockaddr, struct sockaddr, sa_data);

SIZE(struct tunsock_in_addr, struct in_addr);
FIELD(struct tunsock_in_addr, struct in_addr, s_addr);

_Static_assert(sizeof(struct tunsock_sockaddr_in) == 16, "16 bytes");
_Static_assert(offsetof(struct tunsock_sockaddr_in, sin_port) == 2, "port at 2");
_Static_assert(offsetof(struct tunsock_sockaddr_in, sin_addr) == 4, "address at 4");
_Static_assert(offsetof(struct tunsock_sockaddr_in, sin_zero) == 8, "padding at 8");
SIZE(struct tunsock_sockaddr_in, struct sockaddr_in);
FIELD(struct tunsock_sockaddr_in, struct sockaddr_in, sin_family);
FIELD(struct tunsock_sockaddr_in, struct sockaddr_in, sin_port);
FIELD(struct tunsock_sockaddr_in, struct sockaddr_in, sin_addr);
FIELD(struct tunsock_sockaddr_in, struct sockaddr_in, sin_zero);

SIZE(struct tunsock_in6_addr, struct in6_addr);
SIZE(struct tunsock_sockaddr_in6, struct sockaddr_in6);
FIELD(struct tunsock_sockaddr_in6, struct sockaddr_in6, sin6_family);
FIELD(struct tunsock_sockaddr_in6, struct sockaddr_in6, sin6_port);
FIELD(struct tunsock_sockaddr_in6, struct sockaddr_in6, sin6_flowinfo);
FIELD(struct tunsock_sockaddr_in6, struct sockaddr_in6, sin6_addr);
FIELD(struct tunsock_sockaddr_in6, struct sockaddr_in6, sin6_scope_id);

SIZE(struct tunsock_sockaddr_storage, struct sockaddr_storage);
FIELD(struct tunsock_sockaddr_storage, struct sockaddr_storage, ss_family);

SIZE(struct tunsock_timeval, struct timeval);
FIELD(struct tunsock_timeval, struct timeval, tv_sec);
FIELD(struct tunsock_timeval, struct timeval, tv_usec);

SIZE(struct tunsock_timespec, struct timespec);
FIELD(struct tunsock_timespec, struct timespec, tv_sec);
FIELD(struct tunsock_timespec, struct timespec, tv_nsec);

SIZE(struct tunsock_pollfd, struct pollfd);
FIELD(struct tunsock_pollfd, struct pollfd, fd);
FIELD(struct tunsock_pollfd, struct pollfd, events);
FIELD(struct tunsock_pollfd, struct pollfd, revents);

SIZE(tunsock_fd_set, fd_set);
SIZE(tunsock_sigset_t, sigset_t);
SIZE(tunsock_socklen_t, socklen_t);
SIZE(tunsock_nfds_t, nfds_t);

SIZE(struct tunsock_iovec, struct iovec);
FIELD(struct tunsock_iovec, struct iovec, iov_base);
FIELD(struct tunsock_iovec, struct iovec, iov_len);

SIZE(struct tunsock_msghdr, struct msghdr);
FIELD(struct tunsock_msghdr, struct msghdr, msg_name);
FIELD(struct tunsock_msghdr, struct msghdr, msg_namelen);
FIELD(struct tunsock_msghdr, struct msghdr, msg_iov);
FIELD(struct tunsock_msghdr, struct msghdr, msg_iovlen);
FIELD(struct tunsock_msghdr, struct msghdr, msg_control);
FIELD(struct tunsock_msghdr, struct msghdr, msg_controllen);
FIELD(struct tunsock_msghdr, struct msghdr, msg_flags);

SIZE(struct tunsock_mmsghdr, struct mmsghdr);
FIELD(struct tunsock_mmsghdr, struct mmsghdr, msg_hdr);
FIELD(struct tunsock_mmsghdr, struct mmsghdr, msg_len);

SIZE(struct tunsock_linger, struct linger);
FIELD(struct tunsock_linger, struct linger, l_onoff);
FIELD(struct tunsock_linger, struct linger, l_linger);

SIZE(struct tunsock_epoll_event, struct epoll_event);
FIELD(struct tunsock_epoll_event, struct epoll_event, events);
FIELD(struct tunsock_epoll_event, struct epoll_event, data);

SIZE(struct tunsock_addrinfo, struct addrinfo);
FIELD(struct tunsock_addrinfo, struct addrinfo, ai_flags);
FIELD(struct tunsock_addrinfo, struct addrinfo, ai_family);
FIELD(struct tunsock_addrinfo, struct addrinfo, ai_socktype);
FIELD(struct tunsock_addrinfo, struct addrinfo, ai_protocol);
FIELD(struct tunsock_addrinfo, struct addrinfo, ai_addrlen);
FIELD(struct tunsock_addrinfo, struct addrinfo, ai_addr);
FIELD(struct tunsock_addrinfo, struct addrinfo, ai_canonname);
FIELD(struct tunsock_addrinfo, struct addrinfo, ai_next);

SIZE(struct tunsock_hostent, struct hostent);
FIELD(struct tunsock_hostent, struct hostent, h_name);
FIELD(struct tunsock_hostent, struct hostent, h_aliases);
FIELD(struct tunsock_hostent, struct hostent, h_addrtype);
FIELD(struct tunsock_hostent, struct hostent, h_length);
FIELD(struct tunsock_hostent, struct hostent, h_addr_list);

#define NUMBER(name) _Static_assert((long long)TUNSOCK_##name == (long long)(unsigned)(name) || (long long)TUNSOCK_##name == (long long)(name), #name)
NUMBER(AF_INET);
NUMBER(AF_INET6);
NUMBER(AF_UNIX);
NUMBER(AF_UNSPEC);
NUMBER(AI_ADDRCONFIG);
NUMBER(AI_ALL);
NUMBER(AI_CANONNAME);
NUMBER(AI_NUMERICHOST);
NUMBER(AI_NUMERICSERV);
NUMBER(AI_PASSIVE);
NUMBER(AI_V4MAPPED);
NUMBER(EAI_ADDRFAMILY);
NUMBER(EAI_AGAIN);
NUMBER(EAI_BADFLAGS);
NUMBER(EAI_FAIL);
NUMBER(EAI_FAMILY);
NUMBER(EAI_MEMORY);
NUMBER(EAI_NODATA);
NUMBER(EAI_NONAME);
NUMBER(EAI_OVERFLOW);
NUMBER(EAI_SERVICE);
NUMBER(EAI_SOCKTYPE);
NUMBER(EAI_SYSTEM);
NUMBER(EPOLLERR);
NUMBER(EPOLLET);
NUMBER(EPOLLEXCLUSIVE);
NUMBER(EPOLLHUP);
NUMBER(EPOLLIN);
NUMBER(EPOLLONESHOT);
NUMBER(EPOLLOUT);
NUMBER(EPOLLPRI);
NUMBER(EPOLLRDHUP);
NUMBER(EPOLL_CLOEXEC);
NUMBER(EPOLL_CTL_ADD);
NUMBER(EPOLL_CTL_DEL);
NUMBER(EPOLL_CTL_MOD);
NUMBER(FD_CLOEXEC);
NUMBER(FD_SETSIZE);
NUMBER(FIONBIO);
NUMBER(FIONREAD);
NUMBER(F_DUPFD);
NUMBER(F_DUPFD_CLOEXEC);
NUMBER(F_GETFD);
NUMBER(F_GETFL);
NUMBER(F_SETFD);
NUMBER(F_SETFL);
NUMBER(HOST_NOT_FOUND);
NUMBER(IPPROTO_ICMP);
NUMBER(IPPROTO_IP);
NUMBER(IPPROTO_IPV6);
NUMBER(IPPROTO_TCP);
NUMBER(IPPROTO_UDP);
NUMBER(IPV6_TCLASS);
NUMBER(IPV6_UNICAST_HOPS);
NUMBER(IPV6_V6ONLY);
NUMBER(IP_OPTIONS);
NUMBER(IP_RECVOPTS);
NUMBER(IP_RETOPTS);
NUMBER(IP_TOS);
NUMBER(IP_TTL);
NUMBER(MSG_CTRUNC);
NUMBER(MSG_DONTWAIT);
NUMBER(MSG_ERRQUEUE);
NUMBER(MSG_EOR);
NUMBER(MSG_MORE);
NUMBER(MSG_NOSIGNAL);
NUMBER(MSG_OOB);
NUMBER(MSG_PEEK);
NUMBER(MSG_DONTROUTE);
NUMBER(MSG_TRUNC);
NUMBER(MSG_WAITALL);
NUMBER(MSG_WAITFORONE);
NUMBER(NI_DGRAM);
NUMBER(NI_NAMEREQD);
NUMBER(NI_NUMERICHOST);
NUMBER(NI_NUMERICSERV);
NUMBER(NO_DATA);
NUMBER(NO_RECOVERY);
NUMBER(O_CLOEXEC);
NUMBER(O_NONBLOCK);
NUMBER(O_RDWR);
NUMBER(POLLERR);
NUMBER(POLLHUP);
NUMBER(POLLIN);
NUMBER(POLLNVAL);
NUMBER(POLLOUT);
NUMBER(POLLPRI);
NUMBER(POLLRDBAND);
NUMBER(POLLRDHUP);
NUMBER(POLLRDNORM);
NUMBER(POLLWRBAND);
NUMBER(POLLWRNORM);
NUMBER(SHUT_RD);
NUMBER(SHUT_RDWR);
NUMBER(SHUT_WR);
NUMBER(SIOCATMARK);
NUMBER(SIOCOUTQ);
NUMBER(SOCK_CLOEXEC);
NUMBER(SOCK_DGRAM);
NUMBER(SOCK_NONBLOCK);
NUMBER(SOCK_RAW);
NUMBER(SOCK_STREAM);
NUMBER(SOL_SOCKET);
NUMBER(SOMAXCONN);
NUMBER(SO_ACCEPTCONN);
NUMBER(SO_BROADCAST);
NUMBER(SO_DOMAIN);
NUMBER(SO_ERROR);
NUMBER(SO_KEEPALIVE);
NUMBER(SO_LINGER);
NUMBER(SO_OOBINLINE);
NUMBER(SO_PROTOCOL);
NUMBER(SO_RCVBUF);
NUMBER(SO_RCVLOWAT);
NUMBER(SO_RCVTIMEO);
NUMBER(SO_REUSEADDR);
NUMBER(SO_REUSEPORT);
NUMBER(SO_SNDBUF);
NUMBER(SO_SNDLOWAT);
NUMBER(SO_SNDTIMEO);
NUMBER(SO_TYPE);
NUMBER(TCP_KEEPCNT);
NUMBER(TCP_KEEPIDLE);
NUMBER(TCP_KEEPINTVL);
NUMBER(TCP_MAXSEG);
NUMBER(TCP_NODELAY);
NUMBER(TRY_AGAIN);

NUMBER(SOL_IP);
NUMBER(SOL_IPV6);
NUMBER(SOL_TCP);
NUMBER(SOL_UDP);
NUMBER(SOL_RAW);
NUMBER(SOL_ICMPV6);
NUMBER(SO_NO_CHECK);
NUMBER(SO_PRIORITY);
NUMBER(SO_BINDTODEVICE);
NUMBER(SO_ATTACH_FILTER);
NUMBER(SO_GET_FILTER);
NUMBER(SO_DETACH_FILTER);
NUMBER(SO_LOCK_FILTER);
NUMBER(SO_ATTACH_REUSEPORT_CBPF);
#ifdef SO_DETACH_REUSEPORT_BPF
NUMBER(SO_DETACH_REUSEPORT_BPF);
#endif
NUMBER(SO_TIMESTAMP);
NUMBER(SO_SNDBUFFORCE);
NUMBER(SO_RCVBUFFORCE);
NUMBER(SO_TIMESTAMPNS);
NUMBER(SO_MARK);
NUMBER(SO_TIMESTAMPING);
NUMBER(SO_RXQ_OVFL);
NUMBER(SO_PEEK_OFF);
NUMBER(SO_SELECT_ERR_QUEUE);
NUMBER(SO_BUSY_POLL);
NUMBER(SO_MAX_PACING_RATE);
NUMBER(TCP_REPAIR);
NUMBER(TCP_REPAIR_QUEUE);
NUMBER(TCP_CORK);
NUMBER(TCP_SYNCNT);
NUMBER(TCP_LINGER2);
NUMBER(TCP_DEFER_ACCEPT);
NUMBER(TCP_WINDOW_CLAMP);
NUMBER(TCP_INFO);
NUMBER(TCP_QUICKACK);
NUMBER(TCP_CONGESTION);
NUMBER(TCP_USER_TIMEOUT);
NUMBER(TCP_FASTOPEN);
NUMBER(TCP_FASTOPEN_CONNECT);
NUMBER(IP_HDRINCL);
NUMBER(IP_PKTINFO);
NUMBER(IP_MTU_DISCOVER);
NUMBER(IP_RECVERR);
NUMBER(IP_RECVTTL);
NUMBER(IP_RECVTOS);
NUMBER(IP_MTU);
NUMBER(IP_FREEBIND);
NUMBER(IP_TRANSPARENT);
NUMBER(IP_RECVORIGDSTADDR);
NUMBER(IP_MULTICAST_IF);
NUMBER(IP_MULTICAST_TTL);
NUMBER(IP_MULTICAST_LOOP);
NUMBER(IP_ADD_MEMBERSHIP);
NUMBER(IP_DROP_MEMBERSHIP);
NUMBER(IP_UNBLOCK_SOURCE);
NUMBER(IP_BLOCK_SOURCE);
NUMBER(IP_ADD_SOURCE_MEMBERSHIP);
NUMBER(IP_DROP_SOURCE_MEMBERSHIP);
NUMBER(IP_MSFILTER);
NUMBER(IP_MULTICAST_ALL);
NUMBER(MCAST_JOIN_GROUP);
NUMBER(MCAST_BLOCK_SOURCE);
NUMBER(MCAST_UNBLOCK_SOURCE);
NUMBER(MCAST_LEAVE_GROUP);
NUMBER(MCAST_JOIN_SOURCE_GROUP);
NUMBER(MCAST_LEAVE_SOURCE_GROUP);
NUMBER(MCAST_MSFILTER);
NUMBER(IPV6_CHECKSUM);
NUMBER(IPV6_MULTICAST_IF);
NUMBER(IPV6_MULTICAST_HOPS);
NUMBER(IPV6_MULTICAST_LOOP);
NUMBER(IPV6_JOIN_GROUP);
NUMBER(IPV6_LEAVE_GROUP);
NUMBER(IPV6_MTU_DISCOVER);
NUMBER(IPV6_MTU);
NUMBER(IPV6_RECVERR);
NUMBER(IPV6_HDRINCL);
NUMBER(IPV6_RECVPKTINFO);
NUMBER(IPV6_RECVHOPLIMIT);
NUMBER(IPV6_RECVTCLASS);
NUMBER(IPV6_PKTINFO);
NUMBER(IPV6_HOPLIMIT);
NUMBER(IP_ORIGDSTADDR);
NUMBER(MSG_FASTOPEN);
NUMBER(MSG_ZEROCOPY);
NUMBER(SO_DEBUG);
NUMBER(SO_DONTROUTE);
NUMBER(SO_BSDCOMPAT);
NUMBER(SO_PEERCRED);
NUMBER(IP_MINTTL);

/* What an older C library may not know yet. */
#ifdef SO_INCOMING_CPU
NUMBER(SO_INCOMING_CPU);
#endif
#ifdef SO_MEMINFO
NUMBER(SO_MEMINFO);
#endif
#ifdef SO_COOKIE
NUMBER(SO_COOKIE);
#endif
#ifdef SO_ZEROCOPY
NUMBER(SO_ZEROCOPY);
#endif
#ifdef SO_BINDTOIFINDEX
NUMBER(SO_BINDTOIFINDEX);
#endif
#ifdef SO_TIMESTAMP_NEW
NUMBER(SO_TIMESTAMP_NEW);
#endif
#ifdef SO_TIMESTAMPNS_NEW
NUMBER(SO_TIMESTAMPNS_NEW);
#endif
#ifdef SO_TIMESTAMPING_NEW
NUMBER(SO_TIMESTAMPING_NEW);
#endif
#ifdef SO_PREFER_BUSY_POLL
NUMBER(SO_PREFER_BUSY_POLL);
#endif
#ifdef TCP_NOTSENT_LOWAT
NUMBER(TCP_NOTSENT_LOWAT);
#endif
#ifdef TCP_CC_INFO
NUMBER(TCP_CC_INFO);
#endif
#ifdef TCP_FASTOPEN_KEY
NUMBER(TCP_FASTOPEN_KEY);
#endif
#ifdef TCP_FASTOPEN_NO_COOKIE
NUMBER(TCP_FASTOPEN_NO_COOKIE);
#endif
#ifdef TCP_INQ
NUMBER(TCP_INQ);
#endif
#ifdef IP_BIND_ADDRESS_NO_PORT
NUMBER(IP_BIND_ADDRESS_NO_PORT);
#endif
#ifdef IPV6_MULTICAST_ALL
NUMBER(IPV6_MULTICAST_ALL);
#endif
#ifdef IPV6_DONTFRAG
NUMBER(IPV6_DONTFRAG);
#endif
#ifdef IPV6_RECVORIGDSTADDR
NUMBER(IPV6_RECVORIGDSTADDR);
#endif
#ifdef IPV6_TRANSPARENT
NUMBER(IPV6_TRANSPARENT);
#endif
#ifdef IPV6_FREEBIND
NUMBER(IPV6_FREEBIND);
#endif
#ifdef UDP_CORK
NUMBER(UDP_CORK);
#endif
#ifdef UDP_SEGMENT
NUMBER(UDP_SEGMENT);
#endif
#ifdef UDP_GRO
NUMBER(UDP_GRO);
#endif
#ifdef ICMP_FILTER
NUMBER(ICMP_FILTER);
#endif
#ifdef ICMP6_FILTER
NUMBER(ICMP6_FILTER);
#endif
#ifdef SCM_TS_OPT_ID
NUMBER(SCM_TS_OPT_ID);
#endif
#ifdef IPV6_ORIGDSTADDR
NUMBER(IPV6_ORIGDSTADDR);
#endif
#ifdef SO_INCOMING_NAPI_ID
NUMBER(SO_INCOMING_NAPI_ID);
#endif
#ifdef SO_BUF_LOCK
NUMBER(SO_BUF_LOCK);
#endif
#ifdef IP_LOCAL_PORT_RANGE
NUMBER(IP_LOCAL_PORT_RANGE);
#endif
#ifdef IP_UNICAST_IF
NUMBER(IP_UNICAST_IF);
#endif
#ifdef IPV6_MINHOPCOUNT
NUMBER(IPV6_MINHOPCOUNT);
#endif
#ifdef IPV6_UNICAST_IF
NUMBER(IPV6_UNICAST_IF);
#endif
#ifdef SO_BUSY_POLL_BUDGET
NUMBER(SO_BUSY_POLL_BUDGET);
#endif
