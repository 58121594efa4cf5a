//! RTM_GETADDR: addresses.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeader, AddressHeaderFlags, AddressMessage,
    AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use tunsock_stack::{Interface, Stack};

use super::answer::{List, Message, Request};
use super::attributes::{Attributes, ask};
use crate::capi::errno::{CResult, Errno};

/// sizeof(struct ifaddrmsg).
const HEADER_LEN: usize = 8;
/// Of linux/if_addr.h.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// A lifetime without an end (INFINITY_LIFE_TIME).
const FOREVER: u32 = u32::MAX;

/// inet_dump_ifaddr and inet6_dump_addr; a family that is neither: both.
pub(super) fn list(request: &Request<'_>) -> CResult<List> {
    let family = AddressFamily::from(request.body.first().copied().unwrap_or(0));
    let wanted = match request.strict {
        true => strict_header(request.body),
        false => Ok(0),
    };
    let index = match wanted {
        Ok(index) => index,
        Err(why) => return Ok(List::failed(why, false)),
    };
    let all = ask(Stack::interfaces)?;
    if index != 0 && all.iter().all(|one| one.index != index) {
        return Ok(List::failed(Errno(libc::ENODEV), true));
    }
    let mut messages = Vec::new();
    for v6 in [false, true] {
        if (family == AddressFamily::Inet && v6) || (family == AddressFamily::Inet6 && !v6) {
            continue;
        }
        for one in all.iter().filter(|one| index == 0 || one.index == index) {
            let addrs = one.addrs.iter().filter(|net| net.addr().is_ipv6() == v6);
            messages.extend(addrs.map(|net| Message::Route(message(one, net))));
        }
    }
    Ok(List {
        messages,
        filtered: index != 0,
        failed: None,
    })
}

/// inet_valid_dump_ifaddr_req: the number of an interface and nothing else may be said.
fn strict_header(body: &[u8]) -> CResult<u32> {
    let header = AddressHeader::parse(body).map_err(|_| Errno(libc::EINVAL))?;
    let said = body.iter().skip(1).take(3).any(|octet| *octet != 0);
    match said || body.len() > HEADER_LEN {
        true => Err(Errno(libc::EINVAL)),
        false => Ok(header.index),
    }
}

/// inet6_rtm_getaddr: where an IPv6 address is. EINVAL, EADDRNOTAVAIL; EOPNOTSUPP of other families.
pub(super) fn one(request: &Request<'_>) -> CResult<RouteNetlinkMessage> {
    let family = AddressFamily::from(request.body.first().copied().unwrap_or(0));
    if family != AddressFamily::Inet6 {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    let header = AddressHeader::parse(request.body).map_err(|_| Errno(libc::EINVAL))?;
    let given = Attributes::of(request.body, HEADER_LEN, request.strict)?;
    let addr = match given.address(IFA_LOCAL, true)? {
        Some(addr) => Some(addr),
        None => given.address(IFA_ADDRESS, true)?,
    };
    let addr = addr.ok_or(Errno(libc::EINVAL))?;
    let all = ask(Stack::interfaces)?;
    let mut on = all
        .iter()
        .filter(|one| header.index == 0 || one.index == header.index);
    let found = on.find_map(|one| {
        let net = one.addrs.iter().find(|net| net.addr() == addr)?;
        Some(message(one, net))
    });
    found.ok_or(Errno(libc::EADDRNOTAVAIL))
}

/// RTM_NEWADDR (inet_fill_ifaddr, inet6_fill_ifaddr): for ever, and never checked for duplicates on the link.
fn message(one: &Interface, net: &IpNet) -> RouteNetlinkMessage {
    use AddressAttribute as A;
    let addr = net.addr();
    let mut flags = AddressFlags::Permanent;
    flags.set(AddressFlags::Nodad, addr.is_ipv6() && !one.loopback);
    let mut life = CacheInfo::default();
    (life.ifa_preferred, life.ifa_valid) = (FOREVER, FOREVER);
    let attributes = match addr {
        IpAddr::V4(_) => vec![
            A::Address(addr),
            A::Local(addr),
            A::Label(one.name.clone()),
            A::Flags(flags),
            A::CacheInfo(life),
        ],
        IpAddr::V6(_) => {
            let mut six = vec![A::Address(addr), A::CacheInfo(life), A::Flags(flags)];
            if one.loopback {
                six.push(A::Protocol(AddressProtocol::Loopback));
            }
            six
        }
    };
    let mut message = AddressMessage::default();
    message.header = AddressHeader {
        family: match addr {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        },
        prefix_len: net.prefix_len(),
        flags: AddressHeaderFlags::from_bits_retain(flags.bits() as u8),
        scope: scope(addr),
        index: one.index,
    };
    message.attributes = attributes;
    RouteNetlinkMessage::NewAddress(message)
}

/// RT_SCOPE_* as ip(8) and the kernel give it to an address.
fn scope(addr: IpAddr) -> AddressScope {
    match addr {
        addr if addr.is_loopback() => AddressScope::Host,
        IpAddr::V6(addr) if addr.is_unicast_link_local() => AddressScope::Link,
        _ => AddressScope::Universe,
    }
}
