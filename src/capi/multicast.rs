//! Options about groups: C's structures to the stack's and back (ip(7), ipv6(7), RFC 3678).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::{c_int, c_void};
use tunsock_stack::{
    Domain, GroupChange, GroupPlace, Kind, McOpt, McOptName, SockOpt, SockOptName,
};

use super::errno::{CResult, Errno};
use super::options::{Given, Value};
use super::types::tunsock_socklen_t;
use super::user;
use crate::fd::SocketFile;

const EINVAL: Errno = Errno(libc::EINVAL);
const ENOBUFS: Errno = Errno(libc::ENOBUFS);
const EADDRNOTAVAIL: Errno = Errno(libc::EADDRNOTAVAIL);
const EPROTO: Errno = Errno(libc::EPROTO);

/// What linux/in.h and linux/in6.h have and libc may not.
pub(super) const MCAST_MSFILTER: c_int = 48;
const IPV6_MULTICAST_ALL: c_int = 29;

/// Bytes of struct ip_mreq and struct ip_mreqn.
const MREQ: usize = 8;
const MREQN: usize = 12;
/// Bytes of struct ip_mreq_source.
const MREQ_SOURCE: usize = 12;
/// Bytes of struct ipv6_mreq.
const MREQ6: usize = 20;
/// struct group_req: a number, an address at 8.
const GROUP_REQ: usize = 136;
/// struct group_source_req: as group_req, the source at 136.
const GROUP_SOURCE_REQ: usize = 264;
/// struct ip_msfilter without sources: group, interface, mode, count.
const MSFILTER: usize = 16;
/// struct group_filter without sources: number, group at 8, mode at 136, count at 140.
const GROUP_FILTER: usize = 144;
/// sizeof(struct sockaddr_storage).
const STORAGE: usize = 128;
/// MCAST_EXCLUDE and MCAST_INCLUDE, values of the mode.
const EXCLUDE: u32 = 0;
const INCLUDE: u32 = 1;
/// More than any filter may have (igmp_max_msf, mld_max_msf): the count is looked at before the length.
const SOURCES: [u32; 2] = [10, 64];
/// Most bytes of an option's value (Linux: optmem_max).
const OPTION_MAX: usize = 128 << 10;

/// Sets an option about groups; `None`: it is not one.
pub(super) fn set(
    socket: &SocketFile,
    level: c_int,
    name: c_int,
    given: &Given,
) -> Option<CResult<()>> {
    match level {
        libc::IPPROTO_IP => set_v4(socket, name, given),
        libc::IPPROTO_IPV6 if socket.kind().0 == Domain::V6 => set_v6(socket, name, given),
        _ => None,
    }
}

fn set_v4(socket: &SocketFile, name: c_int, given: &Given) -> Option<CResult<()>> {
    let option = |option: CResult<McOpt>| -> CResult<()> {
        Ok(socket.set_option(SockOpt::Multicast(option?))?)
    };
    let number = || match given.len {
        0 => Err(EINVAL),
        _ => given.ip_int(),
    };
    Some(match name {
        libc::IP_MULTICAST_TTL => option(number().map(McOpt::Ttl)),
        libc::IP_MULTICAST_LOOP => option(number().map(|n| McOpt::Loop4(n != 0))),
        libc::IP_MULTICAST_ALL => option(match number() {
            Ok(n @ 0..=1) => Ok(McOpt::All4(n == 1)),
            Ok(_) => Err(EINVAL),
            Err(errno) => Err(errno),
        }),
        libc::IP_MULTICAST_IF => option(interface_v4(socket, given)),
        libc::IP_ADD_MEMBERSHIP => member_v4(socket, given, GroupChange::Join),
        libc::IP_DROP_MEMBERSHIP => member_v4(socket, given, GroupChange::Leave),
        libc::IP_BLOCK_SOURCE => source_v4(socket, given, GroupChange::Block),
        libc::IP_UNBLOCK_SOURCE => source_v4(socket, given, GroupChange::Unblock),
        libc::IP_ADD_SOURCE_MEMBERSHIP => source_v4(socket, given, GroupChange::JoinSource),
        libc::IP_DROP_SOURCE_MEMBERSHIP => source_v4(socket, given, GroupChange::LeaveSource),
        libc::IP_MSFILTER => filter_v4(socket, given),
        _ => return set_any(socket, name, given, libc::AF_INET),
    })
}

fn set_v6(socket: &SocketFile, name: c_int, given: &Given) -> Option<CResult<()>> {
    let option = |option: CResult<McOpt>| -> CResult<()> {
        Ok(socket.set_option(SockOpt::Multicast(option?))?)
    };
    // do_ipv6_setsockopt: not on a stream.
    let of_stream = socket.kind().1 == Kind::Stream;
    Some(match name {
        libc::IPV6_MULTICAST_HOPS | libc::IPV6_MULTICAST_IF if of_stream => {
            given.or_zero(Given::int).and(Err(Errno(libc::ENOPROTOOPT)))
        }
        libc::IPV6_MULTICAST_HOPS => option(given.or_zero(Given::int).map(McOpt::Hops)),
        libc::IPV6_MULTICAST_LOOP => option(match given.or_zero(Given::int) {
            Ok(n @ 0..=1) => Ok(McOpt::Loop6(n == 1)),
            Ok(_) => Err(EINVAL),
            Err(errno) => Err(errno),
        }),
        IPV6_MULTICAST_ALL => option(given.or_zero(Given::int).map(|n| McOpt::All6(n != 0))),
        // A negative number is no interface's (dev_get_by_index).
        libc::IPV6_MULTICAST_IF => option(given.or_zero(Given::int).map(|n| McOpt::If6(n as u32))),
        libc::IPV6_ADD_MEMBERSHIP => member_v6(socket, given, GroupChange::Join),
        libc::IPV6_DROP_MEMBERSHIP => member_v6(socket, given, GroupChange::Leave),
        _ => return set_any(socket, name, given, libc::AF_INET6),
    })
}

/// RFC 3678 5: the calls that are the same for both families.
fn set_any(socket: &SocketFile, name: c_int, given: &Given, family: c_int) -> Option<CResult<()>> {
    let source = |change| source_any(socket, given, family, change);
    Some(match name {
        libc::MCAST_JOIN_GROUP => group_any(socket, given, family, GroupChange::Join),
        libc::MCAST_LEAVE_GROUP => group_any(socket, given, family, GroupChange::Leave),
        libc::MCAST_BLOCK_SOURCE => source(GroupChange::Block),
        libc::MCAST_UNBLOCK_SOURCE => source(GroupChange::Unblock),
        libc::MCAST_JOIN_SOURCE_GROUP => source(GroupChange::JoinSource),
        libc::MCAST_LEAVE_SOURCE_GROUP => source(GroupChange::LeaveSource),
        MCAST_MSFILTER => filter_any(socket, given, family),
        _ => return None,
    })
}

/// IP_MULTICAST_IF: struct ip_mreqn, struct ip_mreq or a mere address.
fn interface_v4(socket: &SocketFile, given: &Given) -> CResult<McOpt> {
    if socket.kind().1 == Kind::Stream || given.len < 4 {
        return Err(EINVAL);
    }
    let request = match given.len {
        MREQN.. => given.bytes::<MREQN>()?,
        MREQ.. => padded(given.bytes::<MREQ>()?),
        _ => {
            let mut request = [0; MREQN];
            request[4..8].copy_from_slice(&given.bytes::<4>()?);
            request
        }
    };
    Ok(McOpt::If4 {
        index: u32_at(&request, 8),
        addr: v4_at(&request, 4),
    })
}

fn member_v4(socket: &SocketFile, given: &Given, change: GroupChange) -> CResult<()> {
    if socket.kind().1 == Kind::Stream {
        return Err(EPROTO);
    }
    let request: [u8; MREQN] = match given.len {
        MREQN.. => given.bytes()?,
        _ => padded(given.bytes::<MREQ>()?),
    };
    let place = GroupPlace {
        group: v4_at(&request, 0).into(),
        index: u32_at(&request, 8),
        addr: v4_at(&request, 4),
    };
    Ok(socket.change_group(place, change)?)
}

fn member_v6(socket: &SocketFile, given: &Given, change: GroupChange) -> CResult<()> {
    if given.len < MREQ6 {
        return Err(EINVAL);
    }
    if socket.kind().1 == Kind::Stream {
        return Err(EPROTO);
    }
    let request = given.bytes::<MREQ6>()?;
    let place = GroupPlace {
        group: v6_at(&request, 0).into(),
        index: u32_at(&request, 16),
        addr: Ipv4Addr::UNSPECIFIED,
    };
    Ok(socket.change_group(place, change)?)
}

/// struct ip_mreq_source: group, interface, source.
fn source_v4(socket: &SocketFile, given: &Given, change: fn(IpAddr) -> GroupChange) -> CResult<()> {
    if given.len != MREQ_SOURCE {
        return Err(EINVAL);
    }
    let request = given.bytes::<MREQ_SOURCE>()?;
    let place = GroupPlace {
        group: v4_at(&request, 0).into(),
        index: 0,
        addr: v4_at(&request, 4),
    };
    Ok(socket.change_group(place, change(v4_at(&request, 8).into()))?)
}

/// struct group_req (do_mcast_join_leave, ipv6_mcast_join_leave).
fn group_any(
    socket: &SocketFile,
    given: &Given,
    family: c_int,
    change: GroupChange,
) -> CResult<()> {
    let request = given.bytes::<GROUP_REQ>()?;
    let wrong = if family == libc::AF_INET {
        EINVAL
    } else {
        EADDRNOTAVAIL
    };
    let place = place_of(&request, family).ok_or(wrong)?;
    Ok(socket.change_group(place, change)?)
}

/// struct group_source_req.
fn source_any(
    socket: &SocketFile,
    given: &Given,
    family: c_int,
    change: fn(IpAddr) -> GroupChange,
) -> CResult<()> {
    let request = given.bytes::<GROUP_SOURCE_REQ>()?;
    let place = place_of(&request, family).ok_or(EADDRNOTAVAIL)?;
    let source = sockaddr_at(&request, GROUP_REQ, family).ok_or(EADDRNOTAVAIL)?;
    Ok(socket.change_group(place, change(source))?)
}

/// IP_MSFILTER: struct ip_msfilter.
fn filter_v4(socket: &SocketFile, given: &Given) -> CResult<()> {
    let bytes = filter_bytes(given, MSFILTER, 12, 4, 0)?;
    let place = GroupPlace {
        group: v4_at(&bytes, 0).into(),
        index: 0,
        addr: v4_at(&bytes, 4),
    };
    let sources = bytes[MSFILTER..].chunks_exact(4);
    let sources: Vec<IpAddr> = sources.map(|s| v4_at(s, 0).into()).collect();
    let exclude = mode_of(u32_at(&bytes, 8))?;
    Ok(socket.set_source_filter(place, exclude, &sources)?)
}

/// MCAST_MSFILTER: struct group_filter.
fn filter_any(socket: &SocketFile, given: &Given, family: c_int) -> CResult<()> {
    let which = usize::from(family != libc::AF_INET);
    let bytes = filter_bytes(given, GROUP_FILTER, 140, STORAGE, which)?;
    let place = place_of(&bytes, family).ok_or(EADDRNOTAVAIL)?;
    let sources = bytes[GROUP_FILTER..].chunks_exact(STORAGE);
    let sources: Option<Vec<IpAddr>> = sources.map(|s| sockaddr_at(s, 0, family)).collect();
    let exclude = mode_of(u32_at(&bytes, 136))?;
    let sources = sources.ok_or(EADDRNOTAVAIL)?;
    Ok(socket.set_source_filter(place, exclude, &sources)?)
}

/// A filter with exactly the sources that it says it has.
fn filter_bytes(
    given: &Given,
    head: usize,
    count_at: usize,
    each: usize,
    which: usize,
) -> CResult<Vec<u8>> {
    if given.len < head {
        return Err(EINVAL);
    }
    if given.len > OPTION_MAX {
        return Err(ENOBUFS);
    }
    let mut bytes = vec![0; given.len];
    user::copy_in(&mut bytes, given.value)?;
    let count = u32_at(&bytes, count_at);
    if count > SOURCES[which] {
        return Err(ENOBUFS);
    }
    let len = head + count as usize * each;
    if len > bytes.len() {
        return Err(EINVAL);
    }
    bytes.truncate(len);
    Ok(bytes)
}

fn mode_of(mode: u32) -> CResult<bool> {
    match mode {
        EXCLUDE => Ok(true),
        INCLUDE => Ok(false),
        _ => Err(EINVAL),
    }
}

/// Reads an option about groups; `None`: it is not one.
pub(super) fn get(socket: &SocketFile, level: c_int, name: c_int) -> Option<CResult<Value>> {
    let (domain, _) = socket.kind();
    let which = match (level, name) {
        (libc::IPPROTO_IP, libc::IP_MULTICAST_TTL) => McOptName::Ttl,
        (libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP) => McOptName::Loop4,
        (libc::IPPROTO_IP, libc::IP_MULTICAST_ALL) => McOptName::All4,
        (libc::IPPROTO_IP, libc::IP_MULTICAST_IF) => McOptName::If4,
        (libc::IPPROTO_IPV6, _) if domain == Domain::V4 => return None,
        (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS) => McOptName::Hops,
        (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP) => McOptName::Loop6,
        (libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL) => McOptName::All6,
        (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF) => McOptName::If6,
        _ => return None,
    };
    Some(match socket.get_option(SockOptName::Multicast(which)) {
        Ok(SockOpt::Multicast(value)) => Ok(match value {
            McOpt::Ttl(n) => Value::IpInt(n),
            McOpt::Loop4(on) | McOpt::All4(on) => Value::IpInt(c_int::from(on)),
            McOpt::Hops(n) => Value::Int(n),
            McOpt::Loop6(on) | McOpt::All6(on) => Value::Int(c_int::from(on)),
            McOpt::If4 { addr, .. } => Value::Int(c_int::from_ne_bytes(addr.octets())),
            McOpt::If6(index) => Value::Int(index as c_int),
        }),
        Ok(_) => Err(EINVAL),
        Err(fail) => Err(fail.into()),
    })
}

/// IP_MSFILTER and MCAST_MSFILTER, whose value says which group is meant and is filled in; `None`: another option.
pub(super) fn get_filter(
    socket: &SocketFile,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut tunsock_socklen_t,
    room: usize,
) -> Option<CResult<()>> {
    let family = match (level, socket.kind().0) {
        (libc::IPPROTO_IP, _) => libc::AF_INET,
        (libc::IPPROTO_IPV6, Domain::V6) => libc::AF_INET6,
        _ => return None,
    };
    Some(match (name, family) {
        (libc::IP_MSFILTER, libc::AF_INET) => read_v4(socket, value, len, room),
        (MCAST_MSFILTER, _) => read_any(socket, value, len, room, family),
        _ => return None,
    })
}

fn read_v4(
    socket: &SocketFile,
    value: *mut c_void,
    len: *mut tunsock_socklen_t,
    room: usize,
) -> CResult<()> {
    if room < MSFILTER {
        return Err(EINVAL);
    }
    let mut bytes = [0; MSFILTER];
    user::copy_in(&mut bytes, value)?;
    let place = GroupPlace {
        group: v4_at(&bytes, 0).into(),
        index: 0,
        addr: v4_at(&bytes, 4),
    };
    let (exclude, sources) = socket.source_filter(place)?;
    let wanted = (u32_at(&bytes, 12) as usize)
        .min(sources.len())
        .min((room - MSFILTER) / 4);
    let mut out = bytes.to_vec();
    put_u32(&mut out, 8, if exclude { EXCLUDE } else { INCLUDE });
    put_u32(&mut out, 12, sources.len() as u32);
    for source in sources.iter().take(wanted) {
        if let IpAddr::V4(addr) = source {
            out.extend_from_slice(&addr.octets());
        }
    }
    user::write(len, out.len() as tunsock_socklen_t)?;
    user::copy_out(value, &out)
}

fn read_any(
    socket: &SocketFile,
    value: *mut c_void,
    len: *mut tunsock_socklen_t,
    room: usize,
    family: c_int,
) -> CResult<()> {
    if room < GROUP_FILTER {
        return Err(EINVAL);
    }
    let mut bytes = [0; GROUP_FILTER];
    user::copy_in(&mut bytes, value)?;
    // ip_mc_gsfget, ip6_mc_msfget's caller.
    let wrong = match family {
        libc::AF_INET => EINVAL,
        _ => EADDRNOTAVAIL,
    };
    let place = place_of(&bytes, family).ok_or(wrong)?;
    let (exclude, sources) = socket.source_filter(place)?;
    let wanted = (u32_at(&bytes, 140) as usize)
        .min(sources.len())
        .min((room - GROUP_FILTER) / STORAGE);
    let mut out = bytes.to_vec();
    put_u32(&mut out, 136, if exclude { EXCLUDE } else { INCLUDE });
    put_u32(&mut out, 140, sources.len() as u32);
    for source in sources.iter().take(wanted) {
        let mut entry = [0; STORAGE];
        entry[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        match source {
            IpAddr::V4(addr) => entry[4..8].copy_from_slice(&addr.octets()),
            IpAddr::V6(addr) => entry[8..24].copy_from_slice(&addr.octets()),
        }
        out.extend_from_slice(&entry);
    }
    user::write(len, out.len() as tunsock_socklen_t)?;
    user::copy_out(value, &out)
}

/// The number at 0 and the address at 8 of struct group_req and its kin.
fn place_of(bytes: &[u8], family: c_int) -> Option<GroupPlace> {
    Some(GroupPlace {
        group: sockaddr_at(bytes, 8, family)?,
        index: u32_at(bytes, 0),
        addr: Ipv4Addr::UNSPECIFIED,
    })
}

/// The address of a sockaddr at `at`, if it is of that family.
fn sockaddr_at(bytes: &[u8], at: usize, family: c_int) -> Option<IpAddr> {
    let there = bytes.get(at..at + 2)?;
    if c_int::from(u16::from_ne_bytes([there[0], there[1]])) != family {
        return None;
    }
    Some(match family {
        libc::AF_INET => v4_at(bytes, at + 4).into(),
        _ => v6_at(bytes, at + 8).into(),
    })
}

fn padded(short: [u8; MREQ]) -> [u8; MREQN] {
    let mut long = [0; MREQN];
    long[..MREQ].copy_from_slice(&short);
    long
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_ne_bytes)
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_ne_bytes());
    }
}

fn v4_at(bytes: &[u8], at: usize) -> Ipv4Addr {
    let octets: Option<[u8; 4]> = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
    octets.unwrap_or_default().into()
}

fn v6_at(bytes: &[u8], at: usize) -> Ipv6Addr {
    let octets: Option<[u8; 16]> = bytes.get(at..at + 16).and_then(|b| b.try_into().ok());
    octets.unwrap_or_default().into()
}
