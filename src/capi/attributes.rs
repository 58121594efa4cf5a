//! The options with a number for their value that few sockets use: C's levels, names, lengths and rights.

use libc::c_int;
use rustix::thread::{CapabilitySet, capabilities};
use tunsock_stack::{Attribute, Domain, Kind, SockOpt, SockOptName};

use super::errno::{CResult, Errno};
use crate::fd::SocketFile;

/// asm-generic/socket.h, linux/tcp.h, linux/in6.h: what libc lacks or has for other systems only.
pub(super) const SO_TIMESTAMP_NEW: c_int = 63;
pub(super) const SO_TIMESTAMPNS_NEW: c_int = 64;
pub(super) const SO_TIMESTAMPING_NEW: c_int = 65;
pub(super) const SCM_TS_OPT_ID: c_int = 81;
pub(super) const SO_ZEROCOPY: c_int = 60;
pub(super) const SO_MEMINFO: c_int = 55;
pub(super) const TCP_INQ: c_int = 36;
pub(super) const IPV6_DONTFRAG: c_int = 62;
pub(super) const IPV6_ORIGDSTADDR: c_int = 74;
const IPV6_TRANSPARENT: c_int = 75;
const IPV6_FREEBIND: c_int = 78;
const IP_BIND_ADDRESS_NO_PORT: c_int = 24;
const SO_BINDTOIFINDEX: c_int = 62;
const SO_PREFER_BUSY_POLL: c_int = 69;
const SO_BUSY_POLL_BUDGET: c_int = 70;
const SO_BUF_LOCK: c_int = 72;
pub(super) const IP_RECVOPTS: c_int = 6;
pub(super) const IP_RETOPTS: c_int = 7;
const IP_UNICAST_IF: c_int = 50;
const IP_LOCAL_PORT_RANGE: c_int = 51;
const IPV6_MINHOPCOUNT: c_int = 73;
const IPV6_UNICAST_IF: c_int = 76;

/// The option of that level and name, on such a socket. `None`: not one of these.
pub(super) fn find(level: c_int, name: c_int, (domain, kind): (Domain, Kind)) -> Option<Attribute> {
    Some(match (level, name) {
        (libc::SOL_SOCKET, name) => of_socket(name)?,
        (libc::IPPROTO_IP, name) => of_ip(name)?,
        (libc::IPPROTO_IPV6, name) if domain == Domain::V6 => of_ipv6(name)?,
        (libc::IPPROTO_TCP, TCP_INQ) if kind == Kind::Stream => Attribute::Inq,
        (libc::IPPROTO_UDP, name) if kind == Kind::Datagram => match name {
            libc::UDP_CORK => Attribute::UdpCork,
            libc::UDP_SEGMENT => Attribute::UdpSegment,
            libc::UDP_GRO => Attribute::UdpGro,
            _ => return None,
        },
        _ => return None,
    })
}

fn of_socket(name: c_int) -> Option<Attribute> {
    Some(match name {
        SO_ZEROCOPY => Attribute::ZeroCopy,
        libc::SO_TIMESTAMP => Attribute::Timestamp,
        libc::SO_TIMESTAMPNS => Attribute::TimestampNs,
        SO_TIMESTAMP_NEW => Attribute::TimestampNew,
        SO_TIMESTAMPNS_NEW => Attribute::TimestampNsNew,
        libc::SO_TIMESTAMPING => Attribute::Timestamping,
        SO_TIMESTAMPING_NEW => Attribute::TimestampingNew,
        libc::SO_RXQ_OVFL => Attribute::RxqOvfl,
        libc::SO_SELECT_ERR_QUEUE => Attribute::SelectErrQueue,
        libc::SO_NO_CHECK => Attribute::NoCheck,
        libc::SO_MARK => Attribute::Mark,
        libc::SO_PRIORITY => Attribute::Priority,
        libc::SO_PEEK_OFF => Attribute::PeekOff,
        SO_BINDTOIFINDEX => Attribute::BoundIf,
        libc::SO_INCOMING_CPU => Attribute::IncomingCpu,
        libc::SO_DEBUG => Attribute::Debug,
        libc::SO_DONTROUTE => Attribute::DontRoute,
        libc::SO_LOCK_FILTER => Attribute::LockFilter,
        SO_BUF_LOCK => Attribute::BufLock,
        SO_BUSY_POLL_BUDGET => Attribute::BusyPollBudget,
        SO_PREFER_BUSY_POLL => Attribute::PreferBusyPoll,
        libc::SO_SNDBUFFORCE => Attribute::SndBufForce,
        libc::SO_RCVBUFFORCE => Attribute::RcvBufForce,
        _ => return None,
    })
}

fn of_ip(name: c_int) -> Option<Attribute> {
    Some(match name {
        libc::IP_RECVERR => Attribute::RecvErr,
        libc::IP_PKTINFO => Attribute::PktInfo,
        IP_RECVOPTS => Attribute::RecvOpts,
        IP_RETOPTS => Attribute::RetOpts,
        libc::IP_RECVTTL => Attribute::RecvTtl,
        libc::IP_RECVTOS => Attribute::RecvTos,
        libc::IP_RECVORIGDSTADDR => Attribute::OrigDst,
        libc::IP_MTU_DISCOVER => Attribute::MtuDiscover,
        libc::IP_MTU => Attribute::Mtu,
        libc::IP_FREEBIND => Attribute::FreeBind,
        libc::IP_MINTTL => Attribute::MinTtl,
        IP_UNICAST_IF => Attribute::UnicastIf,
        IP_LOCAL_PORT_RANGE => Attribute::LocalPortRange,
        libc::IP_TRANSPARENT => Attribute::Transparent,
        IP_BIND_ADDRESS_NO_PORT => Attribute::BindAddressNoPort,
        _ => return None,
    })
}

fn of_ipv6(name: c_int) -> Option<Attribute> {
    Some(match name {
        libc::IPV6_RECVERR => Attribute::RecvErr6,
        libc::IPV6_RECVPKTINFO => Attribute::PktInfo6,
        libc::IPV6_RECVHOPLIMIT => Attribute::RecvHopLimit,
        libc::IPV6_RECVTCLASS => Attribute::RecvTClass,
        IPV6_ORIGDSTADDR => Attribute::OrigDst6,
        libc::IPV6_MTU_DISCOVER => Attribute::MtuDiscover6,
        libc::IPV6_MTU => Attribute::Mtu6,
        IPV6_DONTFRAG => Attribute::DontFrag,
        IPV6_FREEBIND => Attribute::FreeBind,
        IPV6_MINHOPCOUNT => Attribute::MinHopCount,
        IPV6_UNICAST_IF => Attribute::UnicastIf6,
        IPV6_TRANSPARENT => Attribute::Transparent,
        _ => return None,
    })
}

/// How many bytes getsockopt has of it: SO_TIMESTAMPING's structure has a second number, which is 0 here.
pub(super) fn is_pair(attribute: Attribute) -> bool {
    matches!(
        attribute,
        Attribute::Timestamping | Attribute::TimestampingNew
    )
}

/// Whether the value is one that getsockopt tells, and setsockopt takes.
pub(super) fn readable(attribute: Attribute) -> bool {
    !matches!(
        attribute,
        Attribute::SndBufForce | Attribute::RcvBufForce | Attribute::BusyPollBudget
    )
}

/// do_ip_setsockopt: "if (optlen < 1) return -EINVAL" of those for which no value is not 0.
pub(super) fn needs_value(attribute: Attribute, level: c_int) -> bool {
    let some = matches!(
        attribute,
        Attribute::FreeBind | Attribute::Transparent | Attribute::MinTtl
    );
    some && level == libc::IPPROTO_IP
}

/// EPERM where Linux asks for a right that the process has not (capabilities(7)).
pub(super) fn allowed(attribute: Attribute, value: c_int) -> CResult<()> {
    let any = match attribute {
        Attribute::Mark => CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW,
        Attribute::Priority if !(0..=6).contains(&value) => {
            CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW
        }
        Attribute::Transparent if value != 0 => CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW,
        Attribute::Debug if value != 0 && !has_any(CapabilitySet::NET_ADMIN) => {
            return Err(Errno(libc::EACCES));
        }
        Attribute::PreferBusyPoll if value != 0 => CapabilitySet::NET_ADMIN,
        Attribute::SndBufForce | Attribute::RcvBufForce => CapabilitySet::NET_ADMIN,
        _ => return Ok(()),
    };
    if has_any(any) {
        Ok(())
    } else {
        Err(Errno(libc::EPERM))
    }
}

/// sock_bindtoindex_locked: what is bound to an interface stays so, but for who has the right. EPERM.
pub(super) fn may_bind_again(socket: &SocketFile) -> CResult<()> {
    let bound = socket.get_option(SockOptName::Number(Attribute::BoundIf))?;
    let free = bound == SockOpt::Number(Attribute::BoundIf, 0);
    if free || has_any(CapabilitySet::NET_RAW) {
        Ok(())
    } else {
        Err(Errno(libc::EPERM))
    }
}

/// sk_setsockopt: a larger SO_BUSY_POLL_BUDGET than before is for who has the right. EPERM.
pub(super) fn may_spend(socket: &SocketFile, budget: c_int) -> CResult<()> {
    let now = socket.get_option(SockOptName::Number(Attribute::BusyPollBudget))?;
    let more = matches!(now, SockOpt::Number(_, now) if budget > now);
    if more && !has_any(CapabilitySet::NET_ADMIN) {
        return Err(Errno(libc::EPERM));
    }
    Ok(())
}

/// Whether the process has any of these rights.
pub(super) fn has_any(rights: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.intersects(rights))
}

/// Numbers of SO_MEMINFO (SK_MEMINFO_VARS of linux/sock_diag.h).
pub(super) const MEMINFO_VARS: usize = 9;

/// SO_MEMINFO, bytes: what is received and not read (0), the receive buffer's limit (1), what is sent and not acknowledged (2), the send
/// buffer's limit (3), the send queue (5). The others count what the stack has not got.
pub(super) fn memory(socket: &SocketFile) -> CResult<[u32; MEMINFO_VARS]> {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut vars = [0; MEMINFO_VARS];
    if let SockOpt::RcvBuf(size) = socket.get_option(SockOptName::RcvBuf)? {
        vars[1] = number(size);
    }
    if let SockOpt::SndBuf(size) = socket.get_option(SockOptName::SndBuf)? {
        vars[3] = number(size);
    }
    // A listener has neither.
    vars[0] = socket.readable_bytes().map_or(0, number);
    vars[5] = socket.unsent_bytes().map_or(0, number);
    vars[2] = vars[5];
    Ok(vars)
}
