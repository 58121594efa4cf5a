//! Groups: who is in them, what is received for them, and what routers are told (IGMP, MLD).

mod calls;
mod filter;
mod host;
pub(crate) mod igmp;
pub(crate) mod mld;
mod options;

use std::net::{IpAddr, Ipv4Addr};

use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::ip::{Iface, Path};
use crate::keyed::{KeyedMap, KeyedState};
use crate::socket::attribute::Attribute;
use crate::socket::table::Socket;
use crate::socket::{Domain, SocketId};
use crate::stack::Stack;
use crate::time::{Instant, earliest};

pub use calls::{GroupChange, GroupPlace};
pub(crate) use filter::{Filter, Wish};
pub(crate) use host::Host;
pub(crate) use options::{get as get_option, set as set_option};

/// Groups of all interfaces.
#[derive(Debug)]
pub(crate) struct MulticastLayer {
    /// IPv4 groups on the device.
    v4: Host,
    /// IPv6 groups on the device.
    v6: Host,
    /// Groups on `lo`, where nobody is told anything.
    loopback: KeyedMap<IpAddr, Filter>,
}

/// What a socket has to do with groups: made when a program first sets something of it.
#[derive(Clone, Debug)]
pub(crate) struct McSocket {
    /// IP_MULTICAST_TTL.
    pub(crate) ttl: u8,
    /// IPV6_MULTICAST_HOPS.
    pub(crate) hops: u8,
    /// IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP.
    pub(crate) loops: [bool; 2],
    /// IP_MULTICAST_ALL, IPV6_MULTICAST_ALL: groups that others joined count too.
    pub(crate) all: [bool; 2],
    /// IP_MULTICAST_IF: the interface, and the address that was given for it.
    pub(crate) iface4: Option<Iface>,
    /// The address of IP_MULTICAST_IF, or 0.0.0.0.
    pub(crate) addr4: Ipv4Addr,
    /// IPV6_MULTICAST_IF.
    pub(crate) iface6: Option<Iface>,
    /// Groups that the socket has joined.
    pub(crate) memberships: Vec<Membership>,
}

/// A socket's membership in one group on one interface.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pub(crate) group: IpAddr,
    pub(crate) iface: Iface,
    /// The interface's address as it was given at the join (Linux compares it at a leave).
    pub(crate) addr: Ipv4Addr,
    pub(crate) wish: Wish,
}

/// Index of a family in the pairs of [`McSocket`].
pub(crate) fn family(addr: IpAddr) -> usize {
    usize::from(addr.is_ipv6())
}

impl McSocket {
    /// As a new socket has it.
    pub(crate) fn new(domain: Domain) -> McSocket {
        McSocket {
            // RFC 1112 6.1: groups are not left without being told to.
            ttl: 1,
            hops: 1,
            loops: [true; 2],
            all: [all4(domain), true],
            iface4: None,
            addr4: Ipv4Addr::UNSPECIFIED,
            iface6: None,
            memberships: Vec::new(),
        }
    }
}

/// IP_MULTICAST_ALL of a new socket: inet_create sets it, inet6_create does not.
fn all4(domain: Domain) -> bool {
    domain == Domain::V4
}

impl MulticastLayer {
    /// Nobody is in any group but those of all hosts.
    pub(crate) fn new(rng: &mut ChaCha8Rng) -> MulticastLayer {
        MulticastLayer {
            v4: Host::new(rng),
            v6: Host::new(rng),
            loopback: KeyedState::map(rng),
        }
    }

    /// Whether a packet from `src` to the group `dst` that arrives by `iface` is for this host. IGMP itself is, whoever sends it
    /// to a group that is joined (Linux: ip_check_mc_rcu).
    pub(crate) fn receives(&self, iface: Iface, dst: IpAddr, src: IpAddr, igmp: bool) -> bool {
        if is_everybody(dst) {
            return true;
        }
        match iface {
            Iface::Loopback => self.loopback.get(&dst).is_some_and(|f| f.allows(src)),
            Iface::Device => {
                let filter = self.host(dst).filter(dst);
                filter.is_some_and(|filter| igmp || filter.allows(src))
            }
        }
    }

    fn host(&self, group: IpAddr) -> &Host {
        match group {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        }
    }

    fn host_mut(&mut self, group: IpAddr) -> &mut Host {
        match group {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        }
    }

    /// A socket's wish about a group on an interface changes from one to another; `None`: no member.
    fn change(
        &mut self,
        now: Instant,
        (iface, group): (Iface, IpAddr),
        old: Option<&Wish>,
        new: Option<&Wish>,
    ) {
        let apply = |filter: &mut Filter| {
            old.into_iter().for_each(|wish| filter.remove(wish));
            new.into_iter().for_each(|wish| filter.add(wish));
        };
        match iface {
            Iface::Device => self.host_mut(group).change(now, group, apply),
            Iface::Loopback => {
                let filter = self.loopback.entry(group).or_default();
                apply(filter);
                if filter.is_unused() {
                    self.loopback.remove(&group);
                }
            }
        }
    }

    /// When there is something to tell next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        earliest([self.v4.next_deadline(), self.v6.next_deadline()])
    }

    /// Groups that anybody is in, or that are still being left.
    pub(crate) fn groups(&self) -> usize {
        self.v4.len() + self.v6.len() + self.loopback.len()
    }
}

/// Groups that every host is in and nobody reports: 224.0.0.1, ff01::1, ff02::1 (RFC 1112 4, RFC 4291 2.8).
pub(crate) fn is_everybody(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(a) => a.octets() == [224, 0, 0, 1],
        IpAddr::V6(a) => matches!(a.segments(), [0xff01 | 0xff02, 0, 0, 0, 0, 0, 0, 1]),
    }
}

impl Stack {
    /// Tells routers what is due.
    pub(crate) fn multicast_timers(&mut self, now: Instant) {
        igmp::run(self, now);
        mld::run(self, now);
    }

    /// Whether a socket wants a packet from `src` to `dst` that came by `iface` (Linux: ip_mc_sf_allow, inet6_mc_check).
    pub(crate) fn multicast_allows(
        &self,
        id: SocketId,
        iface: Iface,
        dst: IpAddr,
        src: IpAddr,
    ) -> bool {
        if !dst.is_multicast() {
            return true;
        }
        let Some(socket) = self.sockets.get(id) else {
            return true;
        };
        let Some(mc) = socket.multicast.as_deref() else {
            return dst.is_ipv6() || all4(socket.domain);
        };
        let same = |m: &&Membership| m.group == dst && m.iface == iface;
        match mc.memberships.iter().find(same) {
            Some(membership) => membership.wish.allows(src),
            None => mc.all.get(family(dst)).copied().unwrap_or(true),
        }
    }

    /// How a socket's packets get to `dst`: by the interface that it has chosen for groups, and with a copy for ourselves when
    /// somebody here is in the group (RFC 1112 6.1; Linux: ip_mc_output, ip6_finish_output2).
    pub(crate) fn path_of(&self, id: SocketId, dst: IpAddr) -> Result<Path> {
        self.path_from(id, dst, None, None, false)
    }

    /// [`Stack::path_of`] for one packet that has a source or an interface of its own, or (`near`) may pass no gateway.
    pub(crate) fn path_from(
        &self,
        id: SocketId,
        dst: IpAddr,
        from: Option<IpAddr>,
        by: Option<Iface>,
        near: bool,
    ) -> Result<Path> {
        let socket = self.sockets.get(id).ok_or(Error::BadHandle)?;
        let bound = socket.local().map(|local| local.ip());
        // An address that connect chose binds to no family (udpv6_sendmsg, __ip6_datagram_connect).
        let fixed = bound.filter(|ip| ip.is_ipv4() || socket.addr_locked);
        crate::socket::address::check_family(fixed, dst)?;
        // A socket bound to a broadcast or group address sends from the device's own (Linux: inet_saddr is 0 then).
        let src = bound.filter(|ip| {
            let usable = !ip.is_unspecified() && !ip.is_multicast() && !self.ip.is_broadcast(*ip);
            usable && ip.is_ipv4() == dst.is_ipv4()
        });
        let src = from.or(src);
        if !dst.is_multicast() {
            let by = by.map_or_else(|| socket.unicast_if(dst.is_ipv6()), Iface::index);
            if near {
                self.stays_on_link(dst)?;
            }
            self.may_route(socket, dst)?;
            return self.ip.path_by(dst, src, by);
        }
        let by = by.map_or(socket.bound_if(), Iface::index);
        let by = match by {
            0 => None,
            index => Some(Iface::from_index(index).ok_or(Error::NoDevice)?),
        };
        let default = McSocket::new(socket.domain);
        let mc = socket.multicast.as_deref().unwrap_or(&default);
        let (iface, src) = match dst {
            IpAddr::V4(_) => {
                let given = Some(IpAddr::V4(mc.addr4)).filter(|a| !a.is_unspecified());
                (mc.iface4, src.or(given))
            }
            // __ip6_datagram_connect, udpv6_sendmsg: what is bound to ::1 can't leave.
            IpAddr::V6(_) => (mc.iface6, src),
        };
        let by = by.or(iface);
        // ip_route_output_key_hash_rcu: with neither interface nor source the routes are asked, of which a gateway's does not do.
        let near = near || socket.has(Attribute::DontRoute);
        if near && dst.is_ipv4() && by.is_none() && src.is_none() && !self.ip.on_link(dst) {
            return Err(Error::NetworkUnreachable);
        }
        let mut path = self.ip.path_to_group(dst, src, by)?;
        if path.via.device {
            let loops = mc.loops.get(family(dst)).copied().unwrap_or(true);
            let here = loops && self.multicast.receives(Iface::Device, dst, path.src, false);
            path.via.inside = here.then_some(Iface::Device);
            let ttl = if dst.is_ipv4() { mc.ttl } else { mc.hops };
            // Node-local groups (RFC 4291 2.7) and packets without a hop to go stay here.
            path.via.device = ttl > 0 && !is_node_local(dst);
        }
        Ok(path)
    }

    /// SO_DONTROUTE: no way by a gateway. `NetworkUnreachable`.
    pub(crate) fn may_route(&self, socket: &Socket, dst: IpAddr) -> Result<()> {
        if socket.has(Attribute::DontRoute) {
            self.stays_on_link(dst)?;
        }
        Ok(())
    }

    /// That IPv4 packets to `dst` pass no gateway; IPv6's may (Linux: RT_SCOPE_LINK). `NetworkUnreachable`.
    pub(crate) fn stays_on_link(&self, dst: IpAddr) -> Result<()> {
        let beyond = dst.is_ipv4() && self.ip.dst_kind(dst).is_none() && !self.ip.on_link(dst);
        if beyond {
            return Err(Error::NetworkUnreachable);
        }
        Ok(())
    }

    /// TTL or hop limit, and TOS or traffic class, of a socket's packets to `dst`.
    pub(crate) fn ttl_tos_of(&self, id: SocketId, dst: IpAddr) -> (u8, u8) {
        let Some(socket) = self.sockets.get(id) else {
            return (1, 0);
        };
        let (ttl, tos) = socket.opts.ttl_tos(dst);
        if !dst.is_multicast() {
            return (ttl, tos);
        }
        let mc = socket.multicast.as_deref();
        let ttl = match dst {
            IpAddr::V4(_) => mc.map_or(1, |mc| mc.ttl),
            IpAddr::V6(_) => mc.map_or(1, |mc| mc.hops),
        };
        (ttl, tos)
    }
}

/// Groups of scopes 0 and 1, whose packets stay here (RFC 4291 2.7).
fn is_node_local(group: IpAddr) -> bool {
    matches!(group, IpAddr::V6(a) if a.octets()[1] & 0x0f <= 1)
}
