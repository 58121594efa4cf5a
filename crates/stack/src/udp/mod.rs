//! UDP, RFC 768: sockets by address, and what a UDP socket holds.

pub(crate) mod calls;
pub(crate) mod direct_input;
mod direct_output;
pub(crate) mod input;
pub(crate) mod output;
pub(crate) mod queue;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rand_chacha::ChaCha8Rng;
use smallvec::SmallVec;

use crate::config::Config;
use crate::filter::{View, leave_group};
use crate::ip::{Iface, Path, RxMeta};
use crate::keyed::{EndKey, KeyedMap, KeyedState};
use crate::socket::address::outward;
use crate::socket::control::SendControl;
use crate::socket::table::Socket;
use crate::socket::{Domain, Kind, SocketId, SocketInfo, State};
use crate::stack::Stack;
use crate::time::Instant;

use direct_input::Recent;
use direct_output::Flows;
pub(crate) use queue::{ReceiveQueue, scatter};

/// Sockets that share an address: nearly always one.
type Group = SmallVec<[SocketId; 2]>;

/// All bound UDP sockets, by address. A connected socket is only in `connected`, any other only in `bound`.
#[derive(Debug)]
pub(crate) struct UdpLayer {
    connected: KeyedMap<(EndKey, EndKey), Group>,
    bound: KeyedMap<EndKey, Group>,
    spread: KeyedState,
    recent: Recent,
}

/// The UDP part of a socket.
#[derive(Debug, Default)]
pub(crate) struct UdpSocket {
    /// Datagrams to be read.
    pub(crate) queue: ReceiveQueue,
    /// SHUT_RD.
    pub(crate) read_shut: bool,
    /// SHUT_WR.
    pub(crate) write_shut: bool,
    /// A datagram in the making (MSG_MORE, UDP_CORK).
    pub(crate) corked: Option<Box<Corked>>,
    /// When the datagram read last had arrived (SIOCGSTAMP).
    pub(crate) last_stamp: Option<Instant>,
    /// The way that the last datagram went.
    way: Option<Way>,
    /// What the next ones are made from.
    flows: Flows,
    /// Where the socket stands in the tables.
    place: Option<Place>,
}

/// A way that a socket's datagrams go, for the next ones to the same host (Linux: sk_dst_cache).
#[derive(Copy, Clone, Debug)]
struct Way {
    dst: IpAddr,
    path: Path,
    /// `IpLayer::version` when it was found.
    version: u64,
}

/// A datagram in the making.
#[derive(Debug)]
pub(crate) struct Corked {
    /// Where it goes.
    pub(crate) dest: SocketAddr,
    /// What the first part's control messages asked for.
    pub(crate) control: SendControl,
    /// Its data so far.
    pub(crate) data: Vec<u8>,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Place {
    Connected(SocketAddr, SocketAddr),
    Bound(SocketAddr),
}

impl UdpSocket {
    /// The next datagram's way is to be found anew: the socket's address or an option has changed.
    pub(crate) fn forget_way(&mut self) {
        self.way = None;
        self.flows.forget();
    }

    /// Whether anything has ever come.
    pub(crate) fn heard(&self) -> bool {
        self.last_stamp.is_some() || !self.queue.is_empty()
    }
}

impl UdpLayer {
    /// No sockets.
    pub(crate) fn new(_config: &Config, rng: &mut ChaCha8Rng) -> UdpLayer {
        UdpLayer {
            connected: KeyedState::map(rng),
            bound: KeyedState::map(rng),
            spread: KeyedState::new(rng),
            recent: Recent::default(),
        }
    }

    /// A number that cannot be foreseen, for `of`.
    pub(crate) fn random(&self, of: impl std::hash::Hash) -> u32 {
        self.spread.hash(&of) as u32
    }

    fn enter(&mut self, id: SocketId, place: Place) {
        self.recent.forget();
        let group = match place {
            Place::Connected(local, peer) => {
                let ends = (EndKey(local), EndKey(peer));
                self.connected.entry(ends).or_default()
            }
            Place::Bound(local) => self.bound.entry(EndKey(local)).or_default(),
        };
        group.push(id);
    }

    /// `numbered`: a program counts the members, and the last takes the place of who leaves.
    fn leave(&mut self, id: SocketId, place: Place, numbered: bool) {
        self.recent.forget();
        let strike = |group: &mut Group| {
            leave_group(group, id, numbered);
            group.is_empty()
        };
        match place {
            Place::Connected(local, peer) => {
                let ends = (EndKey(local), EndKey(peer));
                if self.connected.get_mut(&ends).is_some_and(strike) {
                    self.connected.remove(&ends);
                }
            }
            Place::Bound(local) => {
                let end = EndKey(local);
                if self.bound.get_mut(&end).is_some_and(strike) {
                    self.bound.remove(&end);
                }
            }
        }
    }
}

impl Stack {
    /// Puts a UDP socket where its local address and peer say, and takes it from where it was.
    pub(crate) fn udp_place(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id) else {
            return;
        };
        let place = match (socket.local(), socket.peer()) {
            (Some(local), _) if local.port() == 0 => None,
            (Some(local), Some(peer)) => Some(Place::Connected(local, peer)),
            (Some(local), None) => Some(Place::Bound(local)),
            (None, _) => None,
        };
        let numbered = socket.is_numbered();
        let Some(udp) = socket.udp_mut() else {
            return;
        };
        let old = std::mem::replace(&mut udp.place, place);
        if old == place {
            return;
        }
        if let Some(old) = old {
            self.udp.leave(id, old, numbered);
        }
        if let Some(place) = place {
            self.udp.enter(id, place);
            self.join_choosers(id);
        }
    }

    /// The sockets that are bound to an address.
    pub(crate) fn udp_beside(&self, local: SocketAddr) -> &[SocketId] {
        self.udp
            .bound
            .get(&EndKey(local))
            .map_or(&[], |group| group)
    }

    /// The socket that a datagram from `src` to `dst` is for: connected to `src`, else bound to `dst`, else to a wildcard
    /// (Linux: __udp4_lib_lookup; an AF_INET socket comes before a dual-stack one).
    fn udp_lookup(
        &self,
        src: SocketAddr,
        dst: SocketAddr,
        iface: Iface,
        view: Option<&View<'_>>,
    ) -> Option<SocketId> {
        let ends = (EndKey(dst), EndKey(src));
        (self.udp.connected.get(&ends).into_iter())
            .chain(self.udp_groups(dst))
            .find_map(|group| self.udp_choose(group, src, dst, iface, view))
    }

    /// What [`Stack::udp_lookup`] finds for a datagram from the device if it need not choose: the first of those groups whose sockets take
    /// such a datagram has one socket.
    fn udp_only(&self, src: SocketAddr, dst: SocketAddr) -> Option<SocketId> {
        let ends = (EndKey(dst), EndKey(src));
        (self.udp.connected.get(&ends).into_iter())
            .chain(self.udp_groups(dst))
            .find_map(|group| match group.as_slice() {
                [only] if !self.udp_accepts(*only, dst, Iface::Device) => None,
                [only] => Some(Some(*only)),
                _ => Some(None),
            })?
    }

    /// Every socket that a datagram to many from `src` to `dst` is for (Linux: __udp4_lib_mcast_deliver).
    fn udp_lookup_all(
        &self,
        meta: &RxMeta,
        src: SocketAddr,
        dst: SocketAddr,
    ) -> SmallVec<[SocketId; 8]> {
        let connected = self.udp.connected.get(&(EndKey(dst), EndKey(src)));
        [connected]
            .into_iter()
            .chain(self.udp_groups(dst).map(Some))
            .flatten()
            .flatten()
            .copied()
            .filter(|id| self.udp_accepts(*id, dst, meta.iface))
            .filter(|id| self.multicast_allows(*id, meta.iface, meta.dst, meta.src))
            .collect()
    }

    /// Groups bound to `dst`, the more exact first; none is looked up before it is asked for.
    fn udp_groups(&self, dst: SocketAddr) -> impl Iterator<Item = &Group> {
        let any4 = dst.is_ipv4().then_some(Ipv4Addr::UNSPECIFIED.into());
        let any6 = Ipv6Addr::UNSPECIFIED.into();
        [Some(dst.ip()), any4, Some(any6)]
            .into_iter()
            .flatten()
            .map(move |ip: IpAddr| EndKey(SocketAddr::new(ip, dst.port())))
            .filter_map(|end| self.udp.bound.get(&end))
    }

    /// An IPv6-only socket takes no IPv4, one that is bound to an interface nothing from another.
    fn udp_accepts(&self, id: SocketId, dst: SocketAddr, iface: Iface) -> bool {
        self.sockets.get(id).is_some_and(|socket| {
            let family = dst.is_ipv6() || socket.domain == Domain::V4 || !socket.opts.v6only;
            family && socket.hears(iface)
        })
    }

    /// One of a group: those that are bound to the interface come first (compute_score); spread by the addresses over those with
    /// SO_REUSEPORT, or chosen by their program from the packet, else the latest (Linux puts it first).
    fn udp_choose(
        &self,
        group: &Group,
        src: SocketAddr,
        dst: SocketAddr,
        iface: Iface,
        view: Option<&View<'_>>,
    ) -> Option<SocketId> {
        if let [only] = group.as_slice() {
            return self.udp_accepts(*only, dst, iface).then_some(*only);
        }
        let by = |id: &SocketId| self.sockets.get(*id).map_or(0, Socket::bound_if);
        let bound = self.ifaces_matter && group.iter().any(|id| by(id) == iface.index());
        let mut fit = (group.iter().copied())
            .filter(|id| self.udp_accepts(*id, dst, iface) && (!bound || by(id) != 0));
        let last = fit.clone().next_back()?;
        let shares = |id: &SocketId| self.sockets.get(*id).is_some_and(|s| s.opts.reuse_port);
        if let Some(id) = self.chosen(fit.clone(), view) {
            return Some(id);
        }
        let of_cpu = |id: &SocketId| shares(id) && self.wants_cpu(*id);
        if self.cpu_matters
            && let Some(id) = fit.clone().find(of_cpu)
        {
            return Some(id);
        }
        let count = fit.clone().filter(shares).count();
        if count < 2 || !shares(&last) {
            return Some(last);
        }
        let pick = self.udp.spread.hash(&(src, dst)) % count as u64;
        fit.by_ref().filter(shares).nth(pick as usize)
    }
}

/// Whether the socket has a port.
pub(crate) fn is_bound(socket: &Socket) -> bool {
    socket.local().is_some_and(|local| local.port() != 0)
}

/// A UDP socket's row in the listing; unbound ones have none.
pub(crate) fn row(id: SocketId, socket: &Socket) -> Option<SocketInfo> {
    let udp = socket.udp().filter(|_| socket.kind() == Kind::Datagram)?;
    let local = socket.local().filter(|local| local.port() != 0)?;
    Some(listed(id, socket, udp, local))
}

/// The row of a socket with datagrams.
pub(crate) fn listed(
    id: SocketId,
    socket: &Socket,
    inbox: &UdpSocket,
    local: SocketAddr,
) -> SocketInfo {
    let any: IpAddr = match local {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let peer = socket.peer().unwrap_or(SocketAddr::new(any, 0));
    SocketInfo {
        id: Some(id),
        kind: socket.kind(),
        state: match socket.peer() {
            Some(_) => State::Established,
            None => State::Closed,
        },
        local: outward(socket.domain, local),
        peer: outward(socket.domain, peer),
        recv_q: inbox.queue.charged(),
        send_q: 0,
    }
}
