//! Numbers of the header. Each is the system's number of the same name without `TUNSOCK_`, which build.rs has the C compiler compare.
// They are for the header: Rust uses libc's.
#![allow(dead_code)]

use libc::{c_int, c_uint};

/// Address families: AF_UNSPEC.
pub const TUNSOCK_AF_UNSPEC: c_int = 0;
/// Address families: AF_UNIX.
pub const TUNSOCK_AF_UNIX: c_int = 1;
/// Address families: AF_INET.
pub const TUNSOCK_AF_INET: c_int = 2;
/// Address families: AF_INET6.
pub const TUNSOCK_AF_INET6: c_int = 10;
/// Socket types and what may be or-ed to them: SOCK_STREAM.
pub const TUNSOCK_SOCK_STREAM: c_int = 1;
/// Socket types and what may be or-ed to them: SOCK_DGRAM.
pub const TUNSOCK_SOCK_DGRAM: c_int = 2;
/// Socket types and what may be or-ed to them: SOCK_RAW.
pub const TUNSOCK_SOCK_RAW: c_int = 3;
/// Socket types and what may be or-ed to them: SOCK_NONBLOCK.
pub const TUNSOCK_SOCK_NONBLOCK: c_int = 2048;
/// Socket types and what may be or-ed to them: SOCK_CLOEXEC.
pub const TUNSOCK_SOCK_CLOEXEC: c_int = 0x80000;
/// Protocols: IPPROTO_IP.
pub const TUNSOCK_IPPROTO_IP: c_int = 0;
/// Protocols: IPPROTO_ICMP.
pub const TUNSOCK_IPPROTO_ICMP: c_int = 1;
/// Protocols: IPPROTO_TCP.
pub const TUNSOCK_IPPROTO_TCP: c_int = 6;
/// Protocols: IPPROTO_UDP.
pub const TUNSOCK_IPPROTO_UDP: c_int = 17;
/// Protocols: IPPROTO_IPV6.
pub const TUNSOCK_IPPROTO_IPV6: c_int = 41;
/// Option levels and options: SOL_SOCKET.
pub const TUNSOCK_SOL_SOCKET: c_int = 1;
/// Option levels and options: SO_REUSEADDR.
pub const TUNSOCK_SO_REUSEADDR: c_int = 2;
/// Option levels and options: SO_TYPE.
pub const TUNSOCK_SO_TYPE: c_int = 3;
/// Option levels and options: SO_ERROR.
pub const TUNSOCK_SO_ERROR: c_int = 4;
/// Option levels and options: SO_BROADCAST.
pub const TUNSOCK_SO_BROADCAST: c_int = 6;
/// Option levels and options: SO_SNDBUF.
pub const TUNSOCK_SO_SNDBUF: c_int = 7;
/// Option levels and options: SO_RCVBUF.
pub const TUNSOCK_SO_RCVBUF: c_int = 8;
/// Option levels and options: SO_KEEPALIVE.
pub const TUNSOCK_SO_KEEPALIVE: c_int = 9;
/// Option levels and options: SO_OOBINLINE.
pub const TUNSOCK_SO_OOBINLINE: c_int = 10;
/// Option levels and options: SO_LINGER.
pub const TUNSOCK_SO_LINGER: c_int = 13;
/// Option levels and options: SO_REUSEPORT.
pub const TUNSOCK_SO_REUSEPORT: c_int = 15;
/// Option levels and options: SO_RCVLOWAT.
pub const TUNSOCK_SO_RCVLOWAT: c_int = 18;
/// Option levels and options: SO_SNDLOWAT.
pub const TUNSOCK_SO_SNDLOWAT: c_int = 19;
/// Option levels and options: SO_RCVTIMEO.
pub const TUNSOCK_SO_RCVTIMEO: c_int = 20;
/// Option levels and options: SO_SNDTIMEO.
pub const TUNSOCK_SO_SNDTIMEO: c_int = 21;
/// Option levels and options: SO_ACCEPTCONN.
pub const TUNSOCK_SO_ACCEPTCONN: c_int = 30;
/// Option levels and options: SO_PROTOCOL.
pub const TUNSOCK_SO_PROTOCOL: c_int = 38;
/// Option levels and options: SO_DOMAIN.
pub const TUNSOCK_SO_DOMAIN: c_int = 39;
/// Option levels and options: TCP_NODELAY.
pub const TUNSOCK_TCP_NODELAY: c_int = 1;
/// Option levels and options: TCP_MAXSEG.
pub const TUNSOCK_TCP_MAXSEG: c_int = 2;
/// Option levels and options: TCP_KEEPIDLE.
pub const TUNSOCK_TCP_KEEPIDLE: c_int = 4;
/// Option levels and options: TCP_KEEPINTVL.
pub const TUNSOCK_TCP_KEEPINTVL: c_int = 5;
/// Option levels and options: TCP_KEEPCNT.
pub const TUNSOCK_TCP_KEEPCNT: c_int = 6;
/// Option levels and options: IP_OPTIONS.
pub const TUNSOCK_IP_OPTIONS: c_int = 4;
/// Option levels and options: IP_RECVOPTS.
pub const TUNSOCK_IP_RECVOPTS: c_int = 6;
/// Option levels and options: IP_RETOPTS.
pub const TUNSOCK_IP_RETOPTS: c_int = 7;
/// Option levels and options: IP_TOS.
pub const TUNSOCK_IP_TOS: c_int = 1;
/// Option levels and options: IP_TTL.
pub const TUNSOCK_IP_TTL: c_int = 2;
/// Option levels and options: IPV6_UNICAST_HOPS.
pub const TUNSOCK_IPV6_UNICAST_HOPS: c_int = 16;
/// Option levels and options: IPV6_V6ONLY.
pub const TUNSOCK_IPV6_V6ONLY: c_int = 26;
/// Option levels and options: IPV6_TCLASS.
pub const TUNSOCK_IPV6_TCLASS: c_int = 67;
/// Option levels and options: SOL_IP.
pub const TUNSOCK_SOL_IP: c_int = 0;
/// Option levels and options: SOL_IPV6.
pub const TUNSOCK_SOL_IPV6: c_int = 41;
/// Option levels and options: SOL_TCP.
pub const TUNSOCK_SOL_TCP: c_int = 6;
/// Option levels and options: SOL_UDP.
pub const TUNSOCK_SOL_UDP: c_int = 17;
/// Option levels and options: SOL_RAW.
pub const TUNSOCK_SOL_RAW: c_int = 255;
/// Option levels and options: SOL_ICMPV6.
pub const TUNSOCK_SOL_ICMPV6: c_int = 58;
/// Option levels and options: SO_NO_CHECK.
pub const TUNSOCK_SO_NO_CHECK: c_int = 11;
/// Option levels and options: SO_PRIORITY.
pub const TUNSOCK_SO_PRIORITY: c_int = 12;
/// Option levels and options: SO_BINDTODEVICE.
pub const TUNSOCK_SO_BINDTODEVICE: c_int = 25;
/// Option levels and options: SO_ATTACH_FILTER.
pub const TUNSOCK_SO_ATTACH_FILTER: c_int = 26;
/// Option levels and options: SO_GET_FILTER.
pub const TUNSOCK_SO_GET_FILTER: c_int = 26;
/// Option levels and options: SO_DETACH_FILTER.
pub const TUNSOCK_SO_DETACH_FILTER: c_int = 27;
/// Option levels and options: SO_ATTACH_REUSEPORT_CBPF.
pub const TUNSOCK_SO_ATTACH_REUSEPORT_CBPF: c_int = 51;
/// Option levels and options: SO_DETACH_REUSEPORT_BPF.
pub const TUNSOCK_SO_DETACH_REUSEPORT_BPF: c_int = 68;
/// Option levels and options: SO_LOCK_FILTER.
pub const TUNSOCK_SO_LOCK_FILTER: c_int = 44;
/// Option levels and options: SO_TIMESTAMP.
pub const TUNSOCK_SO_TIMESTAMP: c_int = 29;
/// Option levels and options: SO_SNDBUFFORCE.
pub const TUNSOCK_SO_SNDBUFFORCE: c_int = 32;
/// Option levels and options: SO_RCVBUFFORCE.
pub const TUNSOCK_SO_RCVBUFFORCE: c_int = 33;
/// Option levels and options: SO_TIMESTAMPNS.
pub const TUNSOCK_SO_TIMESTAMPNS: c_int = 35;
/// Option levels and options: SO_MARK.
pub const TUNSOCK_SO_MARK: c_int = 36;
/// Option levels and options: SO_TIMESTAMPING.
pub const TUNSOCK_SO_TIMESTAMPING: c_int = 37;
/// Option levels and options: SO_RXQ_OVFL.
pub const TUNSOCK_SO_RXQ_OVFL: c_int = 40;
/// Option levels and options: SO_PEEK_OFF.
pub const TUNSOCK_SO_PEEK_OFF: c_int = 42;
/// Option levels and options: SO_SELECT_ERR_QUEUE.
pub const TUNSOCK_SO_SELECT_ERR_QUEUE: c_int = 45;
/// Option levels and options: SO_BUSY_POLL.
pub const TUNSOCK_SO_BUSY_POLL: c_int = 46;
/// Option levels and options: SO_MAX_PACING_RATE.
pub const TUNSOCK_SO_MAX_PACING_RATE: c_int = 47;
/// Option levels and options: SO_INCOMING_CPU.
pub const TUNSOCK_SO_INCOMING_CPU: c_int = 49;
/// Option levels and options: SO_MEMINFO.
pub const TUNSOCK_SO_MEMINFO: c_int = 55;
/// Option levels and options: SO_COOKIE.
pub const TUNSOCK_SO_COOKIE: c_int = 57;
/// Option levels and options: SO_ZEROCOPY.
pub const TUNSOCK_SO_ZEROCOPY: c_int = 60;
/// Option levels and options: SO_BINDTOIFINDEX.
pub const TUNSOCK_SO_BINDTOIFINDEX: c_int = 62;
/// Option levels and options: SO_TIMESTAMP_NEW.
pub const TUNSOCK_SO_TIMESTAMP_NEW: c_int = 63;
/// Option levels and options: SO_TIMESTAMPNS_NEW.
pub const TUNSOCK_SO_TIMESTAMPNS_NEW: c_int = 64;
/// Option levels and options: SO_TIMESTAMPING_NEW.
pub const TUNSOCK_SO_TIMESTAMPING_NEW: c_int = 65;
/// Option levels and options: SO_PREFER_BUSY_POLL.
pub const TUNSOCK_SO_PREFER_BUSY_POLL: c_int = 69;
/// Option levels and options: SO_DEBUG.
pub const TUNSOCK_SO_DEBUG: c_int = 1;
/// Option levels and options: SO_DONTROUTE.
pub const TUNSOCK_SO_DONTROUTE: c_int = 5;
/// Option levels and options: SO_BSDCOMPAT.
pub const TUNSOCK_SO_BSDCOMPAT: c_int = 14;
/// Option levels and options: SO_PEERCRED.
pub const TUNSOCK_SO_PEERCRED: c_int = 17;
/// Option levels and options: SO_INCOMING_NAPI_ID.
pub const TUNSOCK_SO_INCOMING_NAPI_ID: c_int = 56;
/// Option levels and options: SO_BUSY_POLL_BUDGET.
pub const TUNSOCK_SO_BUSY_POLL_BUDGET: c_int = 70;
/// Option levels and options: SO_BUF_LOCK.
pub const TUNSOCK_SO_BUF_LOCK: c_int = 72;
/// Option levels and options: IP_MINTTL.
pub const TUNSOCK_IP_MINTTL: c_int = 21;
/// Option levels and options: IP_UNICAST_IF.
pub const TUNSOCK_IP_UNICAST_IF: c_int = 50;
/// Option levels and options: IPV6_MINHOPCOUNT.
pub const TUNSOCK_IPV6_MINHOPCOUNT: c_int = 73;
/// Option levels and options: IPV6_UNICAST_IF.
pub const TUNSOCK_IPV6_UNICAST_IF: c_int = 76;
/// Option levels and options: TCP_REPAIR.
pub const TUNSOCK_TCP_REPAIR: c_int = 19;
/// Option levels and options: TCP_REPAIR_QUEUE.
pub const TUNSOCK_TCP_REPAIR_QUEUE: c_int = 20;
/// Option levels and options: TCP_CORK.
pub const TUNSOCK_TCP_CORK: c_int = 3;
/// Option levels and options: TCP_SYNCNT.
pub const TUNSOCK_TCP_SYNCNT: c_int = 7;
/// Option levels and options: TCP_LINGER2.
pub const TUNSOCK_TCP_LINGER2: c_int = 8;
/// Option levels and options: TCP_DEFER_ACCEPT.
pub const TUNSOCK_TCP_DEFER_ACCEPT: c_int = 9;
/// Option levels and options: TCP_WINDOW_CLAMP.
pub const TUNSOCK_TCP_WINDOW_CLAMP: c_int = 10;
/// Option levels and options: TCP_INFO.
pub const TUNSOCK_TCP_INFO: c_int = 11;
/// Option levels and options: TCP_QUICKACK.
pub const TUNSOCK_TCP_QUICKACK: c_int = 12;
/// Option levels and options: TCP_CONGESTION.
pub const TUNSOCK_TCP_CONGESTION: c_int = 13;
/// Option levels and options: TCP_USER_TIMEOUT.
pub const TUNSOCK_TCP_USER_TIMEOUT: c_int = 18;
/// Option levels and options: TCP_FASTOPEN.
pub const TUNSOCK_TCP_FASTOPEN: c_int = 23;
/// Option levels and options: TCP_NOTSENT_LOWAT.
pub const TUNSOCK_TCP_NOTSENT_LOWAT: c_int = 25;
/// Option levels and options: TCP_CC_INFO.
pub const TUNSOCK_TCP_CC_INFO: c_int = 26;
/// Option levels and options: TCP_FASTOPEN_CONNECT.
pub const TUNSOCK_TCP_FASTOPEN_CONNECT: c_int = 30;
/// Option levels and options: TCP_FASTOPEN_KEY.
pub const TUNSOCK_TCP_FASTOPEN_KEY: c_int = 33;
/// Option levels and options: TCP_FASTOPEN_NO_COOKIE.
pub const TUNSOCK_TCP_FASTOPEN_NO_COOKIE: c_int = 34;
/// Option levels and options: TCP_INQ.
pub const TUNSOCK_TCP_INQ: c_int = 36;
/// Option levels and options: IP_HDRINCL.
pub const TUNSOCK_IP_HDRINCL: c_int = 3;
/// Option levels and options: IP_PKTINFO.
pub const TUNSOCK_IP_PKTINFO: c_int = 8;
/// Option levels and options: IP_MTU_DISCOVER.
pub const TUNSOCK_IP_MTU_DISCOVER: c_int = 10;
/// Option levels and options: IP_RECVERR.
pub const TUNSOCK_IP_RECVERR: c_int = 11;
/// Option levels and options: IP_RECVTTL.
pub const TUNSOCK_IP_RECVTTL: c_int = 12;
/// Option levels and options: IP_RECVTOS.
pub const TUNSOCK_IP_RECVTOS: c_int = 13;
/// Option levels and options: IP_MTU.
pub const TUNSOCK_IP_MTU: c_int = 14;
/// Option levels and options: IP_FREEBIND.
pub const TUNSOCK_IP_FREEBIND: c_int = 15;
/// Option levels and options: IP_TRANSPARENT.
pub const TUNSOCK_IP_TRANSPARENT: c_int = 19;
/// Option levels and options: IP_RECVORIGDSTADDR.
pub const TUNSOCK_IP_RECVORIGDSTADDR: c_int = 20;
/// Option levels and options: IP_LOCAL_PORT_RANGE.
pub const TUNSOCK_IP_LOCAL_PORT_RANGE: c_int = 51;
/// Option levels and options: IP_BIND_ADDRESS_NO_PORT.
pub const TUNSOCK_IP_BIND_ADDRESS_NO_PORT: c_int = 24;
/// Option levels and options: IP_MULTICAST_IF.
pub const TUNSOCK_IP_MULTICAST_IF: c_int = 32;
/// Option levels and options: IP_MULTICAST_TTL.
pub const TUNSOCK_IP_MULTICAST_TTL: c_int = 33;
/// Option levels and options: IP_MULTICAST_LOOP.
pub const TUNSOCK_IP_MULTICAST_LOOP: c_int = 34;
/// Option levels and options: IP_ADD_MEMBERSHIP.
pub const TUNSOCK_IP_ADD_MEMBERSHIP: c_int = 35;
/// Option levels and options: IP_DROP_MEMBERSHIP.
pub const TUNSOCK_IP_DROP_MEMBERSHIP: c_int = 36;
/// Option levels and options: IP_UNBLOCK_SOURCE.
pub const TUNSOCK_IP_UNBLOCK_SOURCE: c_int = 37;
/// Option levels and options: IP_BLOCK_SOURCE.
pub const TUNSOCK_IP_BLOCK_SOURCE: c_int = 38;
/// Option levels and options: IP_ADD_SOURCE_MEMBERSHIP.
pub const TUNSOCK_IP_ADD_SOURCE_MEMBERSHIP: c_int = 39;
/// Option levels and options: IP_DROP_SOURCE_MEMBERSHIP.
pub const TUNSOCK_IP_DROP_SOURCE_MEMBERSHIP: c_int = 40;
/// Option levels and options: IP_MSFILTER.
pub const TUNSOCK_IP_MSFILTER: c_int = 41;
/// Option levels and options: IP_MULTICAST_ALL.
pub const TUNSOCK_IP_MULTICAST_ALL: c_int = 49;
/// Option levels and options: MCAST_JOIN_GROUP.
pub const TUNSOCK_MCAST_JOIN_GROUP: c_int = 42;
/// Option levels and options: MCAST_BLOCK_SOURCE.
pub const TUNSOCK_MCAST_BLOCK_SOURCE: c_int = 43;
/// Option levels and options: MCAST_UNBLOCK_SOURCE.
pub const TUNSOCK_MCAST_UNBLOCK_SOURCE: c_int = 44;
/// Option levels and options: MCAST_LEAVE_GROUP.
pub const TUNSOCK_MCAST_LEAVE_GROUP: c_int = 45;
/// Option levels and options: MCAST_JOIN_SOURCE_GROUP.
pub const TUNSOCK_MCAST_JOIN_SOURCE_GROUP: c_int = 46;
/// Option levels and options: MCAST_LEAVE_SOURCE_GROUP.
pub const TUNSOCK_MCAST_LEAVE_SOURCE_GROUP: c_int = 47;
/// Option levels and options: MCAST_MSFILTER.
pub const TUNSOCK_MCAST_MSFILTER: c_int = 48;
/// Option levels and options: IPV6_CHECKSUM.
pub const TUNSOCK_IPV6_CHECKSUM: c_int = 7;
/// Option levels and options: IPV6_MULTICAST_IF.
pub const TUNSOCK_IPV6_MULTICAST_IF: c_int = 17;
/// Option levels and options: IPV6_MULTICAST_HOPS.
pub const TUNSOCK_IPV6_MULTICAST_HOPS: c_int = 18;
/// Option levels and options: IPV6_MULTICAST_LOOP.
pub const TUNSOCK_IPV6_MULTICAST_LOOP: c_int = 19;
/// Option levels and options: IPV6_JOIN_GROUP.
pub const TUNSOCK_IPV6_JOIN_GROUP: c_int = 20;
/// Option levels and options: IPV6_LEAVE_GROUP.
pub const TUNSOCK_IPV6_LEAVE_GROUP: c_int = 21;
/// Option levels and options: IPV6_MTU_DISCOVER.
pub const TUNSOCK_IPV6_MTU_DISCOVER: c_int = 23;
/// Option levels and options: IPV6_MTU.
pub const TUNSOCK_IPV6_MTU: c_int = 24;
/// Option levels and options: IPV6_RECVERR.
pub const TUNSOCK_IPV6_RECVERR: c_int = 25;
/// Option levels and options: IPV6_MULTICAST_ALL.
pub const TUNSOCK_IPV6_MULTICAST_ALL: c_int = 29;
/// Option levels and options: IPV6_HDRINCL.
pub const TUNSOCK_IPV6_HDRINCL: c_int = 36;
/// Option levels and options: IPV6_RECVPKTINFO.
pub const TUNSOCK_IPV6_RECVPKTINFO: c_int = 49;
/// Option levels and options: IPV6_RECVHOPLIMIT.
pub const TUNSOCK_IPV6_RECVHOPLIMIT: c_int = 51;
/// Option levels and options: IPV6_DONTFRAG.
pub const TUNSOCK_IPV6_DONTFRAG: c_int = 62;
/// Option levels and options: IPV6_RECVTCLASS.
pub const TUNSOCK_IPV6_RECVTCLASS: c_int = 66;
/// Option levels and options: IPV6_RECVORIGDSTADDR.
pub const TUNSOCK_IPV6_RECVORIGDSTADDR: c_int = 74;
/// Option levels and options: IPV6_TRANSPARENT.
pub const TUNSOCK_IPV6_TRANSPARENT: c_int = 75;
/// Option levels and options: IPV6_FREEBIND.
pub const TUNSOCK_IPV6_FREEBIND: c_int = 78;
/// Option levels and options: UDP_CORK.
pub const TUNSOCK_UDP_CORK: c_int = 1;
/// Option levels and options: UDP_SEGMENT.
pub const TUNSOCK_UDP_SEGMENT: c_int = 103;
/// Option levels and options: UDP_GRO.
pub const TUNSOCK_UDP_GRO: c_int = 104;
/// Option levels and options: ICMP_FILTER.
pub const TUNSOCK_ICMP_FILTER: c_int = 1;
/// Option levels and options: ICMP6_FILTER.
pub const TUNSOCK_ICMP6_FILTER: c_int = 1;
/// Control messages: SCM_TS_OPT_ID.
pub const TUNSOCK_SCM_TS_OPT_ID: c_int = 81;
/// Control messages: IPV6_PKTINFO.
pub const TUNSOCK_IPV6_PKTINFO: c_int = 50;
/// Control messages: IPV6_HOPLIMIT.
pub const TUNSOCK_IPV6_HOPLIMIT: c_int = 52;
/// Control messages: IP_ORIGDSTADDR.
pub const TUNSOCK_IP_ORIGDSTADDR: c_int = 20;
/// Control messages: IPV6_ORIGDSTADDR.
pub const TUNSOCK_IPV6_ORIGDSTADDR: c_int = 74;
/// Flags of send and recv: MSG_OOB.
pub const TUNSOCK_MSG_OOB: c_int = 1;
/// Flags of send and recv: MSG_PEEK.
pub const TUNSOCK_MSG_PEEK: c_int = 2;
/// Flags of send and recv: MSG_DONTROUTE.
pub const TUNSOCK_MSG_DONTROUTE: c_int = 4;
/// Flags of send and recv: MSG_CTRUNC.
pub const TUNSOCK_MSG_CTRUNC: c_int = 8;
/// Flags of send and recv: MSG_TRUNC.
pub const TUNSOCK_MSG_TRUNC: c_int = 32;
/// Flags of send and recv: MSG_DONTWAIT.
pub const TUNSOCK_MSG_DONTWAIT: c_int = 64;
/// Flags of send and recv: MSG_EOR.
pub const TUNSOCK_MSG_EOR: c_int = 128;
/// Flags of send and recv: MSG_WAITALL.
pub const TUNSOCK_MSG_WAITALL: c_int = 256;
/// Flags of send and recv: MSG_ERRQUEUE.
pub const TUNSOCK_MSG_ERRQUEUE: c_int = 0x2000;
/// Flags of send and recv: MSG_NOSIGNAL.
pub const TUNSOCK_MSG_NOSIGNAL: c_int = 0x4000;
/// Flags of send and recv: MSG_MORE.
pub const TUNSOCK_MSG_MORE: c_int = 0x8000;
/// Flags of send and recv: MSG_WAITFORONE.
pub const TUNSOCK_MSG_WAITFORONE: c_int = 0x10000;
/// Flags of send and recv: MSG_FASTOPEN.
pub const TUNSOCK_MSG_FASTOPEN: c_int = 0x20000000;
/// Flags of send and recv: MSG_ZEROCOPY.
pub const TUNSOCK_MSG_ZEROCOPY: c_int = 0x4000000;
/// Ways to shut down: SHUT_RD.
pub const TUNSOCK_SHUT_RD: c_int = 0;
/// Ways to shut down: SHUT_WR.
pub const TUNSOCK_SHUT_WR: c_int = 1;
/// Ways to shut down: SHUT_RDWR.
pub const TUNSOCK_SHUT_RDWR: c_int = 2;
/// Events of poll: POLLIN.
pub const TUNSOCK_POLLIN: c_int = 1;
/// Events of poll: POLLPRI.
pub const TUNSOCK_POLLPRI: c_int = 2;
/// Events of poll: POLLOUT.
pub const TUNSOCK_POLLOUT: c_int = 4;
/// Events of poll: POLLERR.
pub const TUNSOCK_POLLERR: c_int = 8;
/// Events of poll: POLLHUP.
pub const TUNSOCK_POLLHUP: c_int = 16;
/// Events of poll: POLLNVAL.
pub const TUNSOCK_POLLNVAL: c_int = 32;
/// Events of poll: POLLRDNORM.
pub const TUNSOCK_POLLRDNORM: c_int = 64;
/// Events of poll: POLLRDBAND.
pub const TUNSOCK_POLLRDBAND: c_int = 128;
/// Events of poll: POLLWRNORM.
pub const TUNSOCK_POLLWRNORM: c_int = 256;
/// Events of poll: POLLWRBAND.
pub const TUNSOCK_POLLWRBAND: c_int = 512;
/// Events of poll: POLLRDHUP.
pub const TUNSOCK_POLLRDHUP: c_int = 0x2000;
/// Events, operations and flags of epoll: EPOLLIN.
pub const TUNSOCK_EPOLLIN: c_uint = 1;
/// Events, operations and flags of epoll: EPOLLPRI.
pub const TUNSOCK_EPOLLPRI: c_uint = 2;
/// Events, operations and flags of epoll: EPOLLOUT.
pub const TUNSOCK_EPOLLOUT: c_uint = 4;
/// Events, operations and flags of epoll: EPOLLERR.
pub const TUNSOCK_EPOLLERR: c_uint = 8;
/// Events, operations and flags of epoll: EPOLLHUP.
pub const TUNSOCK_EPOLLHUP: c_uint = 16;
/// Events, operations and flags of epoll: EPOLLRDHUP.
pub const TUNSOCK_EPOLLRDHUP: c_uint = 0x2000;
/// Events, operations and flags of epoll: EPOLLEXCLUSIVE.
pub const TUNSOCK_EPOLLEXCLUSIVE: c_uint = 0x10000000;
/// Events, operations and flags of epoll: EPOLLONESHOT.
pub const TUNSOCK_EPOLLONESHOT: c_uint = 0x40000000;
/// Events, operations and flags of epoll: EPOLLET.
pub const TUNSOCK_EPOLLET: c_uint = 0x80000000;
/// Events, operations and flags of epoll: EPOLL_CTL_ADD.
pub const TUNSOCK_EPOLL_CTL_ADD: c_int = 1;
/// Events, operations and flags of epoll: EPOLL_CTL_DEL.
pub const TUNSOCK_EPOLL_CTL_DEL: c_int = 2;
/// Events, operations and flags of epoll: EPOLL_CTL_MOD.
pub const TUNSOCK_EPOLL_CTL_MOD: c_int = 3;
/// Events, operations and flags of epoll: EPOLL_CLOEXEC.
pub const TUNSOCK_EPOLL_CLOEXEC: c_int = 0x80000;
/// Requests of fcntl and ioctl: F_DUPFD.
pub const TUNSOCK_F_DUPFD: c_int = 0;
/// Requests of fcntl and ioctl: F_GETFD.
pub const TUNSOCK_F_GETFD: c_int = 1;
/// Requests of fcntl and ioctl: F_SETFD.
pub const TUNSOCK_F_SETFD: c_int = 2;
/// Requests of fcntl and ioctl: F_GETFL.
pub const TUNSOCK_F_GETFL: c_int = 3;
/// Requests of fcntl and ioctl: F_SETFL.
pub const TUNSOCK_F_SETFL: c_int = 4;
/// Requests of fcntl and ioctl: F_DUPFD_CLOEXEC.
pub const TUNSOCK_F_DUPFD_CLOEXEC: c_int = 1030;
/// Requests of fcntl and ioctl: FD_CLOEXEC.
pub const TUNSOCK_FD_CLOEXEC: c_int = 1;
/// Requests of fcntl and ioctl: O_RDWR.
pub const TUNSOCK_O_RDWR: c_int = 2;
/// Requests of fcntl and ioctl: O_NONBLOCK.
pub const TUNSOCK_O_NONBLOCK: c_int = 2048;
/// Requests of fcntl and ioctl: O_CLOEXEC.
pub const TUNSOCK_O_CLOEXEC: c_int = 0x80000;
/// Requests of fcntl and ioctl: FIONBIO.
pub const TUNSOCK_FIONBIO: c_int = 0x5421;
/// Requests of fcntl and ioctl: FIONREAD.
pub const TUNSOCK_FIONREAD: c_int = 0x541b;
/// Requests of fcntl and ioctl: SIOCATMARK.
pub const TUNSOCK_SIOCATMARK: c_int = 0x8905;
/// Requests of fcntl and ioctl: SIOCOUTQ.
pub const TUNSOCK_SIOCOUTQ: c_int = 0x5411;
/// Flags and answers of getaddrinfo and getnameinfo: AI_PASSIVE.
pub const TUNSOCK_AI_PASSIVE: c_int = 1;
/// Flags and answers of getaddrinfo and getnameinfo: AI_CANONNAME.
pub const TUNSOCK_AI_CANONNAME: c_int = 2;
/// Flags and answers of getaddrinfo and getnameinfo: AI_NUMERICHOST.
pub const TUNSOCK_AI_NUMERICHOST: c_int = 4;
/// Flags and answers of getaddrinfo and getnameinfo: AI_V4MAPPED.
pub const TUNSOCK_AI_V4MAPPED: c_int = 8;
/// Flags and answers of getaddrinfo and getnameinfo: AI_ALL.
pub const TUNSOCK_AI_ALL: c_int = 16;
/// Flags and answers of getaddrinfo and getnameinfo: AI_ADDRCONFIG.
pub const TUNSOCK_AI_ADDRCONFIG: c_int = 32;
/// Flags and answers of getaddrinfo and getnameinfo: AI_NUMERICSERV.
pub const TUNSOCK_AI_NUMERICSERV: c_int = 1024;
/// Flags and answers of getaddrinfo and getnameinfo: NI_NUMERICHOST.
pub const TUNSOCK_NI_NUMERICHOST: c_int = 1;
/// Flags and answers of getaddrinfo and getnameinfo: NI_NUMERICSERV.
pub const TUNSOCK_NI_NUMERICSERV: c_int = 2;
/// Flags and answers of getaddrinfo and getnameinfo: NI_NAMEREQD.
pub const TUNSOCK_NI_NAMEREQD: c_int = 8;
/// Flags and answers of getaddrinfo and getnameinfo: NI_DGRAM.
pub const TUNSOCK_NI_DGRAM: c_int = 16;
/// Flags and answers of getaddrinfo and getnameinfo: EAI_BADFLAGS.
pub const TUNSOCK_EAI_BADFLAGS: c_int = -1;
/// Flags and answers of getaddrinfo and getnameinfo: EAI_NONAME.
pub const TUNSOCK_EAI_NONAME: c_int = -2;
/// Flags and answers of getaddrinfo and getnameinfo: EAI_AGAIN.
pub const TUNSOCK_EAI_AGAIN: c_int = -3;
/// Flags and answers of getaddrinfo and getnameinfo: EAI_FAIL.
pub const TUNSOCK_EAI_FAIL: c_int = -4;
/// Flags and answers of getaddrinfo and getnameinfo: EAI_NODATA.
pub const TUNSOCK_EAI_NODATA: c_int = -5;
/// Flags and answers of getaddrinfo and getnameinfo: EAI_FAMILY.
pub const TUNSOCK_EAI_FAMILY: c_int = -6;
/// Flags and answers of getaddrinfo and getnameinfo: EAI_SOCKTYPE.
pub const TUNSOCK_EAI_SOCKTYPE: c_int = -7;
/// Flags and answers of getaddrinfo and getnameinfo: EAI_SERVICE.
pub const TUNSOCK_EAI_SERVICE: c_int = -8;
/// Flags and answers of getaddrinfo and getnameinfo: EAI_ADDRFAMILY.
pub const TUNSOCK_EAI_ADDRFAMILY: c_int = -9;
/// Flags and answers of getaddrinfo and getnameinfo: EAI_MEMORY.
pub const TUNSOCK_EAI_MEMORY: c_int = -10;
/// Flags and answers of getaddrinfo and getnameinfo: EAI_SYSTEM.
pub const TUNSOCK_EAI_SYSTEM: c_int = -11;
/// Flags and answers of getaddrinfo and getnameinfo: EAI_OVERFLOW.
pub const TUNSOCK_EAI_OVERFLOW: c_int = -12;
/// Reasons of gethostbyname: HOST_NOT_FOUND.
pub const TUNSOCK_HOST_NOT_FOUND: c_int = 1;
/// Reasons of gethostbyname: TRY_AGAIN.
pub const TUNSOCK_TRY_AGAIN: c_int = 2;
/// Reasons of gethostbyname: NO_RECOVERY.
pub const TUNSOCK_NO_RECOVERY: c_int = 3;
/// Reasons of gethostbyname: NO_DATA.
pub const TUNSOCK_NO_DATA: c_int = 4;
/// Limits: SOMAXCONN.
pub const TUNSOCK_SOMAXCONN: c_int = 4096;
/// Limits: FD_SETSIZE.
pub const TUNSOCK_FD_SETSIZE: c_int = 1024;
