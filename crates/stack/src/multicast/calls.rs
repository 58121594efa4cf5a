//! Joining and leaving (Linux: ip_mc_join_group, ip_mc_leave_group, ip_mc_source, ip_mc_msfilter and those of IPv6).

use std::net::{IpAddr, Ipv4Addr};

use super::{McSocket, Membership, Wish};
use crate::error::{Error, Result};
use crate::ip::Iface;
use crate::socket::{Domain, SocketId};
use crate::stack::Stack;
use crate::time::Instant;

/// IPv4 memberships of one socket (Linux: igmp_max_memberships).
const MEMBERSHIPS_MAX: usize = 20;
/// IPv4 sources of one membership (Linux: igmp_max_msf).
const SOURCES_MAX_V4: usize = 10;
/// IPv6 sources of one membership (Linux: mld_max_msf).
const SOURCES_MAX_V6: usize = 64;
/// IPv6 memberships of one socket; Linux bounds their memory (optmem_max, 128 KB) to about as many.
const MEMBERSHIPS_MAX_V6: usize = 2048;

/// Where a group is joined or left.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct GroupPlace {
    /// The group.
    pub group: IpAddr,
    /// The interface's number; 0: by address, else by the route to the group.
    pub index: u32,
    /// An address of the interface (IPv4 only), or 0.0.0.0.
    pub addr: Ipv4Addr,
}

/// What a socket asks of a group.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum GroupChange {
    /// IP_ADD_MEMBERSHIP, IPV6_ADD_MEMBERSHIP, MCAST_JOIN_GROUP.
    Join,
    /// IP_DROP_MEMBERSHIP, IPV6_DROP_MEMBERSHIP, MCAST_LEAVE_GROUP.
    Leave,
    /// IP_ADD_SOURCE_MEMBERSHIP, MCAST_JOIN_SOURCE_GROUP.
    JoinSource(IpAddr),
    /// IP_DROP_SOURCE_MEMBERSHIP, MCAST_LEAVE_SOURCE_GROUP.
    LeaveSource(IpAddr),
    /// IP_BLOCK_SOURCE, MCAST_BLOCK_SOURCE.
    Block(IpAddr),
    /// IP_UNBLOCK_SOURCE, MCAST_UNBLOCK_SOURCE.
    Unblock(IpAddr),
}

impl Stack {
    /// Joins or leaves a group, or changes whose packets to it are wanted.
    ///
    /// `Invalid`: no group, or no member where one has to be. `NoDevice`: no such
    /// interface, or no route. `AddressInUse`: a member already. `NoBuffers`: too many groups or sources.
    /// `AddressNotAvailable`: no member, no such source, or the source is there already.
    pub fn change_group(
        &mut self,
        now: Instant,
        id: SocketId,
        place: GroupPlace,
        change: GroupChange,
    ) -> Result<()> {
        self.ip.set_now(now);
        // ip_mc_leave_group looks for the membership alone.
        if change != GroupChange::Leave || place.group.is_ipv6() {
            self.may_join(id, place.group)?;
        }
        match change {
            GroupChange::Join => self.join(now, id, place, Wish::everybody())?,
            GroupChange::Leave => self.leave(now, id, place)?,
            GroupChange::JoinSource(source) => self.join_source(now, id, place, source)?,
            GroupChange::LeaveSource(source) => self.drop_source(now, id, place, source, false)?,
            GroupChange::Block(source) => self.add_source(now, id, place, source, true)?,
            GroupChange::Unblock(source) => self.drop_source(now, id, place, source, true)?,
        }
        self.multicast_timers(now);
        Ok(())
    }

    /// IP_MSFILTER, MCAST_MSFILTER: replaces the filter of a membership. INCLUDE without sources leaves the group.
    pub fn set_source_filter(
        &mut self,
        now: Instant,
        id: SocketId,
        place: GroupPlace,
        exclude: bool,
        sources: &[IpAddr],
    ) -> Result<()> {
        self.ip.set_now(now);
        self.may_join(id, place.group)?;
        let iface = self.place_iface(place)?;
        if !exclude && sources.is_empty() {
            self.leave(now, id, place)?;
        } else {
            let at = self.member(id, place.group, Some(iface))?;
            if sources.len() > sources_max(place.group) {
                return Err(Error::NoBuffers);
            }
            let mut wish = Wish {
                exclude,
                sources: Vec::new(),
            };
            for source in sources {
                if !wish.sources.contains(source) {
                    wish.sources.push(*source);
                }
            }
            self.rewish(now, id, at, wish)?;
        }
        self.multicast_timers(now);
        Ok(())
    }

    /// Reads the filter of a membership: EXCLUDE or not, and the sources. `AddressNotAvailable`: no member.
    pub fn source_filter(&self, id: SocketId, place: GroupPlace) -> Result<(bool, Vec<IpAddr>)> {
        if !place.group.is_multicast() {
            return Err(Error::Invalid);
        }
        let iface = self.place_iface(place)?;
        let at = self
            .member(id, place.group, Some(iface))
            .map_err(|_| Error::AddressNotAvailable)?;
        let membership = self.membership(id, at)?;
        Ok((membership.wish.exclude, membership.wish.sources.clone()))
    }

    /// The socket is closed: it leaves its groups.
    pub(crate) fn leave_all(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id) else {
            return;
        };
        let Some(mc) = socket.multicast.take() else {
            return;
        };
        let now = self.ip.now();
        for m in &mc.memberships {
            let place = (m.iface, m.group);
            self.multicast.change(now, place, Some(&m.wish), None);
        }
        if !mc.memberships.is_empty() {
            self.multicast_timers(now);
        }
    }

    fn may_join(&self, id: SocketId, group: IpAddr) -> Result<()> {
        let socket = self.sockets.get(id).ok_or(Error::BadHandle)?;
        if socket.domain == Domain::V4 && group.is_ipv6() {
            return Err(Error::NoSuchOption);
        }
        if group.is_multicast() {
            Ok(())
        } else {
            Err(Error::Invalid)
        }
    }

    /// The interface that is meant (Linux: ip_mc_find_dev, ipv6_sock_mc_join).
    fn place_iface(&self, place: GroupPlace) -> Result<Iface> {
        let by_addr = || self.ip.iface_of(IpAddr::V4(place.addr));
        let iface = match place.index {
            0 if !place.addr.is_unspecified() => by_addr(),
            0 => self
                .ip
                .group_reachable(place.group)
                .then_some(Iface::Device),
            index => Iface::from_index(index),
        };
        iface.ok_or(Error::NoDevice)
    }

    fn join(&mut self, now: Instant, id: SocketId, place: GroupPlace, wish: Wish) -> Result<()> {
        let v6 = place.group.is_ipv6();
        // ipv6_sock_mc_join: without an interface any membership counts, before the interface is looked for.
        if v6 && place.index == 0 && self.member(id, place.group, None).is_ok() {
            return Err(Error::AddressInUse);
        }
        let iface = self.place_iface(place)?;
        if self.member(id, place.group, Some(iface)).is_ok() {
            return Err(Error::AddressInUse);
        }
        let socket = self.sockets.get_mut(id).ok_or(Error::BadHandle)?;
        let domain = socket.domain;
        let mc = (socket.multicast).get_or_insert_with(|| Box::new(McSocket::new(domain)));
        let same_family = |m: &&Membership| m.group.is_ipv6() == v6;
        let count = mc.memberships.iter().filter(same_family).count();
        let most = if v6 {
            MEMBERSHIPS_MAX_V6
        } else {
            MEMBERSHIPS_MAX
        };
        if count >= most {
            return Err(Error::NoBuffers);
        }
        let group = place.group;
        self.multicast
            .change(now, (iface, group), None, Some(&wish));
        mc.memberships.push(Membership {
            group,
            iface,
            addr: place.addr,
            wish,
        });
        Ok(())
    }

    fn leave(&mut self, now: Instant, id: SocketId, place: GroupPlace) -> Result<()> {
        let iface = self.place_iface(place).ok();
        let v6 = place.group.is_ipv6();
        if !v6 && iface.is_none() && place.index == 0 && place.addr.is_unspecified() {
            return Err(Error::NoDevice);
        }
        let socket = self.sockets.get_mut(id).ok_or(Error::BadHandle)?;
        let memberships = socket.multicast.as_mut().map(|mc| &mut mc.memberships);
        let memberships = memberships.ok_or(Error::AddressNotAvailable)?;
        let fits = |m: &Membership| {
            m.group == place.group
                && match iface {
                    _ if v6 && place.index == 0 => true,
                    Some(iface) => m.iface == iface,
                    None => !v6 && place.index == 0 && m.addr == place.addr,
                }
        };
        let at = memberships.iter().position(fits);
        let gone = memberships.remove(at.ok_or(Error::AddressNotAvailable)?);
        self.multicast
            .change(now, (gone.iface, gone.group), Some(&gone.wish), None);
        Ok(())
    }

    fn join_source(
        &mut self,
        now: Instant,
        id: SocketId,
        place: GroupPlace,
        source: IpAddr,
    ) -> Result<()> {
        // One more source of a group that is joined already is fine.
        match self.join(now, id, place, Wish::default()) {
            Ok(()) | Err(Error::AddressInUse) => self.add_source(now, id, place, source, false),
            failed => failed,
        }
    }

    /// Adds a source to the filter of a membership in that mode; a filter without sources may change its mode (Linux: ip_mc_source,
    /// ip6_mc_source).
    fn add_source(
        &mut self,
        now: Instant,
        id: SocketId,
        place: GroupPlace,
        source: IpAddr,
        exclude: bool,
    ) -> Result<()> {
        let (at, mut wish) = self.wish_in_mode(now, id, place, exclude)?;
        if wish.sources.len() >= sources_max(place.group) {
            return Err(Error::NoBuffers);
        }
        if wish.sources.contains(&source) {
            return Err(Error::AddressNotAvailable);
        }
        wish.sources.push(source);
        self.rewish(now, id, at, wish)
    }

    fn drop_source(
        &mut self,
        now: Instant,
        id: SocketId,
        place: GroupPlace,
        source: IpAddr,
        exclude: bool,
    ) -> Result<()> {
        let (at, mut wish) = self.wish_in_mode(now, id, place, exclude)?;
        let there = wish.sources.iter().position(|s| *s == source);
        wish.sources
            .swap_remove(there.ok_or(Error::AddressNotAvailable)?);
        // RFC 3678 4.1.1: nobody included is no membership.
        if wish.sources.is_empty() && !exclude {
            return self.leave(now, id, place);
        }
        self.rewish(now, id, at, wish)
    }

    /// The membership's place and its filter, which must be in that mode or without sources; then it changes its mode.
    fn wish_in_mode(
        &mut self,
        now: Instant,
        id: SocketId,
        place: GroupPlace,
        exclude: bool,
    ) -> Result<(usize, Wish)> {
        let iface = self.place_iface(place)?;
        let any = place.group.is_ipv6() && place.index == 0;
        let at = self.member(id, place.group, (!any).then_some(iface))?;
        let mut wish = self.membership(id, at)?.wish.clone();
        if wish.exclude != exclude {
            if !wish.sources.is_empty() {
                return Err(Error::Invalid);
            }
            wish.exclude = exclude;
            self.rewish(now, id, at, wish.clone())?;
        }
        Ok((at, wish))
    }

    fn rewish(&mut self, now: Instant, id: SocketId, at: usize, wish: Wish) -> Result<()> {
        let socket = self.sockets.get_mut(id).ok_or(Error::BadHandle)?;
        let mc = socket.multicast.as_mut().ok_or(Error::Invalid)?;
        let m = mc.memberships.get_mut(at).ok_or(Error::Invalid)?;
        let (place, old) = ((m.iface, m.group), std::mem::replace(&mut m.wish, wish));
        self.multicast.change(now, place, Some(&old), Some(&m.wish));
        Ok(())
    }

    /// Where in the socket's list the membership is; `Invalid`: nowhere.
    fn member(&self, id: SocketId, group: IpAddr, iface: Option<Iface>) -> Result<usize> {
        let socket = self.sockets.get(id).ok_or(Error::BadHandle)?;
        let memberships = socket.multicast.as_ref().map(|mc| &mc.memberships);
        let fits = |m: &Membership| m.group == group && iface.is_none_or(|iface| m.iface == iface);
        memberships
            .and_then(|all| all.iter().position(fits))
            .ok_or(Error::Invalid)
    }

    fn membership(&self, id: SocketId, at: usize) -> Result<&Membership> {
        let socket = self.sockets.get(id).ok_or(Error::BadHandle)?;
        let mc = socket.multicast.as_ref();
        mc.and_then(|mc| mc.memberships.get(at))
            .ok_or(Error::Invalid)
    }
}

fn sources_max(group: IpAddr) -> usize {
    if group.is_ipv4() {
        SOURCES_MAX_V4
    } else {
        SOURCES_MAX_V6
    }
}
