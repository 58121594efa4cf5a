//! The edge between the caller's addresses and the stack's: inside there are no IPv4-mapped addresses (RFC 4291 2.5.5.2).

use std::net::{IpAddr, SocketAddr};

use crate::error::{Error, Result};
use crate::ip::Iface;
use crate::socket::table::Socket;
use crate::socket::{Domain, Kind};

/// What an address is given for; Linux's checks differ.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// bind(2).
    Bind,
    /// connect(2).
    Peer,
    /// A destination given with a datagram.
    Destination,
}

/// A caller's address as the stack keeps it, or the error that Linux gives for it.
pub(crate) fn inward(
    domain: Domain,
    kind: Kind,
    v6only: bool,
    addr: SocketAddr,
    purpose: Use,
) -> Result<SocketAddr> {
    match (domain, addr.ip()) {
        (Domain::V4, IpAddr::V4(_)) => Ok(addr),
        (Domain::V4, IpAddr::V6(_)) => Err(Error::AddressFamily),
        // Linux udpv6_sendmsg and __ip6_datagram_connect take a sockaddr_in on an IPv6 socket; TCP and bind do not.
        (Domain::V6, IpAddr::V4(_)) => match (kind, purpose, v6only) {
            (Kind::Datagram, Use::Peer | Use::Destination, false) => Ok(addr),
            (Kind::Datagram, Use::Destination, true) => Err(Error::NetworkUnreachable),
            _ => Err(Error::AddressFamily),
        },
        // rawv6_bind, rawv6_sendmsg, ping_v6_sendmsg: IPv6 means IPv6.
        (Domain::V6, IpAddr::V6(ip))
            if matches!(kind, Kind::Raw(_) | Kind::Ping) && ip.to_ipv4_mapped().is_some() =>
        {
            Err(match purpose {
                Use::Bind => Error::AddressNotAvailable,
                Use::Peer | Use::Destination => Error::NetworkUnreachable,
            })
        }
        (Domain::V6, IpAddr::V6(ip)) => match (ip.to_ipv4_mapped(), v6only, purpose) {
            (None, _, _) => Ok(SocketAddr::new(addr.ip(), addr.port())),
            (Some(_), true, Use::Bind) => Err(Error::Invalid),
            (Some(_), true, Use::Peer | Use::Destination) => Err(Error::NetworkUnreachable),
            (Some(v4), false, _) => Ok(SocketAddr::new(IpAddr::V4(v4), addr.port())),
        },
    }
}

/// An address of the stack as the caller of a socket of `domain` sees it.
pub(crate) fn outward(domain: Domain, addr: SocketAddr) -> SocketAddr {
    match (domain, addr.ip()) {
        (Domain::V6, IpAddr::V4(v4)) => {
            SocketAddr::new(IpAddr::V6(v4.to_ipv6_mapped()), addr.port())
        }
        _ => addr,
    }
}

/// A socket bound to an address of one family sends to no other; only the IPv6 wildcard is open to both. The errors are Linux's.
pub(crate) fn check_family(bound: Option<IpAddr>, dest: IpAddr) -> Result<()> {
    match (bound, dest) {
        (Some(IpAddr::V4(_)), IpAddr::V6(_)) => Err(Error::AddressFamily),
        (Some(IpAddr::V6(ip)), IpAddr::V4(_)) if !ip.is_unspecified() => {
            Err(Error::NetworkUnreachable)
        }
        _ => Ok(()),
    }
}

/// bind and connect want to know the interface of an address that is another host's on each (__ipv6_addr_needs_scope_id): by the address, or by what
/// the socket is bound to, or for groups sends by. `Invalid`.
pub(crate) fn may_have_scope(socket: &Socket, addr: SocketAddr) -> Result<()> {
    let SocketAddr::V6(addr) = addr else {
        return Ok(());
    };
    let octets = addr.ip().octets();
    let group = addr.ip().is_multicast() && matches!(octets[1] & 0x0f, 1 | 2);
    let chosen = group
        && socket
            .multicast
            .as_deref()
            .is_some_and(|mc| mc.iface6.is_some());
    let needs = group || addr.ip().is_unicast_link_local();
    if needs && addr.scope_id() == 0 && socket.bound_if() == 0 && !chosen {
        return Err(Error::Invalid);
    }
    Ok(())
}

/// What bind asks of a socket that is bound to an interface (inet6_bind, ipv6_chk_addr): that it is there, and has ::1 if that is
/// to be bound.
pub(crate) fn may_bind_by(socket: &Socket, ip: IpAddr) -> Result<()> {
    if socket.domain == Domain::V4 || ip.is_unspecified() || ip.is_ipv4() || ip.is_multicast() {
        return Ok(());
    }
    match socket.bound_if() {
        0 => Ok(()),
        index => match Iface::from_index(index) {
            None => Err(Error::NoDevice),
            Some(Iface::Device) if ip.is_loopback() => Err(Error::AddressNotAvailable),
            Some(_) => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(s: &str) -> SocketAddr {
        s.parse().unwrap()
    }

    #[test]
    fn mapped_addresses_turn_plain_and_back() {
        let mapped = addr("[::ffff:10.1.2.3]:80");
        let plain = inward(Domain::V6, Kind::Stream, false, mapped, Use::Peer);
        assert_eq!(plain, Ok(addr("10.1.2.3:80")));
        assert_eq!(outward(Domain::V6, addr("10.1.2.3:80")), mapped);
        assert_eq!(
            outward(Domain::V4, addr("10.1.2.3:80")),
            addr("10.1.2.3:80")
        );
    }

    #[test]
    fn families_are_refused_as_on_linux() {
        let (v4, v6) = (addr("10.1.2.3:80"), addr("[fd00::1]:80"));
        let mapped = addr("[::ffff:10.1.2.3]:80");
        let (stream, dgram) = (Kind::Stream, Kind::Datagram);
        let family = Err(Error::AddressFamily);
        assert_eq!(inward(Domain::V4, stream, false, v6, Use::Peer), family);
        assert_eq!(inward(Domain::V6, stream, false, v4, Use::Peer), family);
        assert_eq!(inward(Domain::V6, dgram, false, v4, Use::Peer), Ok(v4));
        assert_eq!(inward(Domain::V6, dgram, false, v4, Use::Bind), family);
        assert_eq!(inward(Domain::V6, dgram, true, v4, Use::Peer), family);
        assert_eq!(
            inward(Domain::V6, dgram, true, v4, Use::Destination),
            Err(Error::NetworkUnreachable)
        );
        assert_eq!(
            inward(Domain::V6, dgram, true, mapped, Use::Bind),
            Err(Error::Invalid)
        );
        assert_eq!(
            inward(Domain::V6, dgram, true, mapped, Use::Peer),
            Err(Error::NetworkUnreachable)
        );
    }
}
