//! Raw and ping sockets: who may have one (raw(7), icmp(7)), and their options.

use libc::c_int;
use tunsock_stack::{Domain, Kind, RawOpt, RawOptName, SockOpt, SockOptName};

use super::errno::{CResult, Errno};
use super::options::{Given, Value};
use crate::fd::SocketFile;
use crate::runtime::sys;

const EINVAL: Errno = Errno(libc::EINVAL);
const EOPNOTSUPP: Errno = Errno(libc::EOPNOTSUPP);

/// ICMP_FILTER of linux/icmp.h, on the level SOL_RAW.
pub(super) const ICMP_FILTER: c_int = 1;
/// ICMP6_FILTER of netinet/icmp6.h, on the level IPPROTO_ICMPV6.
pub(super) const ICMP6_FILTER: c_int = 1;
/// Protocols of raw sockets that have a filter.
pub(super) const ICMP: u8 = libc::IPPROTO_ICMP as u8;
pub(super) const ICMPV6: u8 = libc::IPPROTO_ICMPV6 as u8;

/// A raw socket of that protocol: as on Linux for who has CAP_NET_RAW, though what it sends leaves by the stack alone.
pub(super) fn raw_kind(protocol: c_int) -> CResult<Kind> {
    let protocol = u8::try_from(protocol)
        .ok()
        .filter(|&protocol| protocol != 0)
        .ok_or(Errno(libc::EPROTONOSUPPORT))?;
    if sys::may_open_raw() {
        Ok(Kind::Raw(protocol))
    } else {
        Err(Errno(libc::EPERM))
    }
}

/// A ping socket: for the groups that the machine lets have one (net.ipv4.ping_group_range).
pub(super) fn ping_kind() -> CResult<Kind> {
    if sys::may_open_ping() {
        Ok(Kind::Ping)
    } else {
        Err(Errno(libc::EACCES))
    }
}

/// Sets an option of raw sockets; `None`: it is not one, or not here.
pub(super) fn set(
    socket: &SocketFile,
    level: c_int,
    name: c_int,
    given: &Given,
) -> Option<CResult<()>> {
    let (domain, kind) = socket.kind();
    let raw = matches!(kind, Kind::Raw(_));
    let option = match (level, name, domain) {
        (libc::IPPROTO_IP, libc::IP_HDRINCL, Domain::V4) if raw => {
            given.ip_int().map(|n| RawOpt::HdrIncl(n != 0))
        }
        (libc::IPPROTO_IPV6 | libc::SOL_RAW, libc::IPV6_HDRINCL, Domain::V6) if raw => {
            given.int().map(|n| RawOpt::HdrIncl(n != 0))
        }
        (libc::SOL_RAW, ICMP_FILTER, Domain::V4) if raw => {
            if kind != Kind::Raw(libc::IPPROTO_ICMP as u8) {
                return Some(Err(EOPNOTSUPP));
            }
            given
                .some_of::<4>()
                .map(|b| RawOpt::IcmpFilter(u32::from_ne_bytes(b)))
        }
        (libc::IPPROTO_ICMPV6, _, Domain::V6) if raw => {
            if kind != Kind::Raw(libc::IPPROTO_ICMPV6 as u8) {
                return Some(Err(EOPNOTSUPP));
            }
            if name != ICMP6_FILTER {
                return None;
            }
            given
                .some_of::<32>()
                .map(|b| RawOpt::Icmp6Filter(words(&b)))
        }
        (libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM, Domain::V6)
            if kind == Kind::Raw(libc::IPPROTO_ICMPV6 as u8) =>
        {
            // RFC 3542 3.1: an attempt to set it on an ICMPv6 socket fails.
            given.int().and(Err(EINVAL))
        }
        (libc::IPPROTO_IPV6 | libc::SOL_RAW, libc::IPV6_CHECKSUM, Domain::V6) if raw => {
            given.int().and_then(|at| match at {
                ..0 => Ok(RawOpt::Checksum(None)),
                // Farther than any packet reaches is as good as the end: sending says EINVAL.
                _ if at % 2 == 0 => Ok(RawOpt::Checksum(Some(u16::try_from(at).unwrap_or(0xfffe)))),
                _ => Err(EINVAL),
            })
        }
        _ => return None,
    };
    Some(option.and_then(|option| Ok(socket.set_option(SockOpt::Raw(option))?)))
}

/// Reads an option of raw sockets; `None`: it is not one, or not here.
pub(super) fn get(socket: &SocketFile, level: c_int, name: c_int) -> Option<CResult<Value>> {
    let (domain, kind) = socket.kind();
    let raw = matches!(kind, Kind::Raw(_));
    let which = match (level, name, domain) {
        (libc::IPPROTO_IP, libc::IP_HDRINCL, Domain::V4) => RawOptName::HdrIncl,
        // Nothing but a raw socket of IPv4 ever has it, and others may ask.
        (libc::IPPROTO_IP, libc::IP_HDRINCL, Domain::V6) if !raw => {
            return Some(Ok(Value::IpInt(0)));
        }
        (libc::IPPROTO_IPV6 | libc::SOL_RAW, libc::IPV6_HDRINCL, Domain::V6) if raw => {
            RawOptName::HdrIncl
        }
        (libc::SOL_RAW, ICMP_FILTER, Domain::V4) if raw => RawOptName::IcmpFilter,
        (libc::IPPROTO_ICMPV6, ICMP6_FILTER, Domain::V6) if raw => RawOptName::Icmp6Filter,
        (libc::IPPROTO_IPV6 | libc::SOL_RAW, libc::IPV6_CHECKSUM, Domain::V6) if raw => {
            RawOptName::Checksum
        }
        _ => return None,
    };
    let v4 = domain == Domain::V4;
    Some(match socket.get_option(SockOptName::Raw(which)) {
        Ok(SockOpt::Raw(value)) => Ok(match value {
            RawOpt::HdrIncl(on) if v4 => Value::IpInt(c_int::from(on)),
            RawOpt::HdrIncl(on) => Value::Int(c_int::from(on)),
            RawOpt::IcmpFilter(filter) => Value::Int(filter as c_int),
            RawOpt::Icmp6Filter(filter) => {
                let mut bytes = [0; 32];
                for (place, word) in bytes.chunks_exact_mut(4).zip(filter) {
                    place.copy_from_slice(&word.to_ne_bytes());
                }
                Value::Filter(bytes)
            }
            RawOpt::Checksum(at) => Value::Int(at.map_or(-1, c_int::from)),
        }),
        Ok(_) => Err(EINVAL),
        Err(fail) => Err(fail.into()),
    })
}

fn words(bytes: &[u8; 32]) -> [u32; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    words
}
