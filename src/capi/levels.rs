//! Levels of getsockopt and setsockopt: which of a socket's protocols answers, and what is said before anybody looks at an option.

use libc::c_int;
use tunsock_stack::{Domain, Kind};

use super::errno::{CResult, Errno};
use super::raw;
use crate::fd::SocketFile;

const ENOPROTOOPT: Errno = Errno(libc::ENOPROTOOPT);

/// Whether the level, on such a socket, is one whose code looks at the caller's length at all: what sock_common_getsockopt's way by protocol and
/// family says before that.
pub(super) fn reaches(socket: &SocketFile, level: c_int, name: c_int) -> CResult<()> {
    let (domain, kind) = socket.kind();
    match (level, domain, kind) {
        (libc::SOL_SOCKET, ..)
        | (libc::IPPROTO_TCP, _, Kind::Stream)
        | (libc::IPPROTO_UDP, _, Kind::Datagram)
        | (libc::IPPROTO_IP, Domain::V4, _)
        | (libc::IPPROTO_IPV6 | libc::SOL_RAW, Domain::V6, Kind::Raw(_)) => Ok(()),
        // raw_getsockopt, rawv6_getsockopt: a filter belongs to a socket of ICMP.
        (libc::SOL_RAW, Domain::V4, Kind::Raw(_)) if name != raw::ICMP_FILTER => Err(ENOPROTOOPT),
        (libc::SOL_RAW, Domain::V4, Kind::Raw(raw::ICMP)) => Ok(()),
        (libc::IPPROTO_ICMPV6, Domain::V6, Kind::Raw(raw::ICMPV6)) => match name {
            raw::ICMP6_FILTER => Ok(()),
            _ => Err(ENOPROTOOPT),
        },
        (libc::SOL_RAW, Domain::V4, Kind::Raw(_))
        | (libc::IPPROTO_ICMPV6, Domain::V6, Kind::Raw(_)) => Err(Errno(libc::EOPNOTSUPP)),
        // ipv6_getsockopt: IPv4's options too, but on a raw socket.
        (libc::IPPROTO_IP, Domain::V6, Kind::Raw(_)) => Err(ENOPROTOOPT),
        (libc::IPPROTO_IP | libc::IPPROTO_IPV6, Domain::V6, _) => Ok(()),
        // A level nobody knows ends in do_ip_getsockopt or ipv6_getsockopt.
        (_, Domain::V4, _) => Err(Errno(libc::EOPNOTSUPP)),
        (_, Domain::V6, _) => Err(ENOPROTOOPT),
    }
}

/// Whether a level takes a negative length of the caller's for a large one.
pub(super) fn unsigned_length(socket: &SocketFile, level: c_int) -> bool {
    let raw_v6 = matches!(socket.kind(), (Domain::V6, Kind::Raw(_)));
    level == libc::IPPROTO_IPV6 || (level == libc::SOL_RAW && raw_v6)
}

/// ipv6_setsockopt, ipv6_getsockopt: IPv4's options are there for AF_INET6 too, but not on raw sockets.
pub(super) fn lacks(socket: &SocketFile, level: c_int) -> bool {
    level == libc::IPPROTO_IP && matches!(socket.kind(), (Domain::V6, Kind::Raw(_)))
}
