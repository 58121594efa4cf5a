//! Raw sockets (raw(7)) and ping sockets (icmp(7)): whole protocols for one program, and echo requests for anybody.
//!
//! A raw socket sees every packet of its protocol before the protocol does, and takes nothing away from it. A ping socket's
//! port is the identifier of its echo requests; it sees the replies that carry it.

pub(crate) mod calls;
pub(crate) mod input;
mod options;

use rand_chacha::ChaCha8Rng;
use smallvec::SmallVec;

use crate::ip::proto;
use crate::keyed::{KeyedMap, KeyedState};
use crate::socket::table::Socket;
use crate::socket::{Domain, Kind, SocketId, SocketInfo};
use crate::stack::Stack;
use crate::udp::{UdpSocket, listed};

pub(crate) use options::{get as get_option, set as set_option};

/// Protocol number of a socket that only sends, whole packets (raw(7)).
pub(crate) const IPPROTO_RAW: u8 = 255;

/// Sockets that see the same packets.
type Group = SmallVec<[SocketId; 2]>;

/// All raw sockets by family and protocol, and all ping sockets by identifier.
#[derive(Debug)]
pub(crate) struct RawLayer {
    raw: KeyedMap<(Domain, u8), Group>,
    ping: KeyedMap<u16, Group>,
}

/// The raw or ping part of a socket.
#[derive(Debug)]
pub(crate) struct RawSocket {
    /// Queue and shutdown, as on a UDP socket.
    pub(crate) inbox: UdpSocket,
    /// [`Kind::Raw`] or [`Kind::Ping`].
    pub(crate) kind: Kind,
    /// IP_HDRINCL, IPV6_HDRINCL: what is sent begins with the IP header.
    pub(crate) hdrincl: bool,
    /// ICMP_FILTER: a bit set keeps that type out (types below 32).
    pub(crate) icmp_filter: u32,
    /// ICMP6_FILTER (RFC 3542 3.2): a bit set keeps that type out.
    pub(crate) icmp6_filter: [u32; 8],
    /// IPV6_CHECKSUM: where the checksum is, bytes from the start; it is made and looked at.
    pub(crate) checksum: Option<u16>,
    /// The identifier under which the socket stands in the table of ping sockets.
    entered: Option<u16>,
}

impl RawLayer {
    /// No sockets.
    pub(crate) fn new(rng: &mut ChaCha8Rng) -> RawLayer {
        RawLayer {
            raw: KeyedState::map(rng),
            ping: KeyedState::map(rng),
        }
    }

    /// Whether any socket takes whole packets.
    pub(crate) fn any(&self) -> bool {
        !self.raw.is_empty()
    }

    /// Who sees packets of `protocol`.
    fn group(&self, domain: Domain, protocol: u8) -> Group {
        // Nearly always nobody: no hash is computed then.
        if self.raw.is_empty() {
            return Group::new();
        }
        self.raw
            .get(&(domain, protocol))
            .cloned()
            .unwrap_or_default()
    }
}

impl RawSocket {
    /// The part of a fresh socket of this family and kind.
    pub(crate) fn new(domain: Domain, kind: Kind) -> RawSocket {
        let protocol = match kind {
            Kind::Raw(protocol) => Some(protocol),
            _ => None,
        };
        RawSocket {
            inbox: UdpSocket::default(),
            kind,
            hdrincl: protocol == Some(IPPROTO_RAW),
            icmp_filter: 0,
            icmp6_filter: [0; 8],
            // Linux rawv6_init_sk.
            checksum: (domain == Domain::V6 && protocol == Some(proto::ICMPV6)).then_some(2),
            entered: None,
        }
    }

    /// The protocol of what is sent and received.
    pub(crate) fn protocol(&self, domain: Domain) -> u8 {
        match (self.kind, domain) {
            (Kind::Raw(protocol), _) => protocol,
            (_, Domain::V4) => proto::ICMP,
            (_, Domain::V6) => proto::ICMPV6,
        }
    }
}

impl Stack {
    /// A new raw socket enters its table; a ping socket enters when it has an identifier.
    pub(crate) fn raw_enter(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get(id)
            && let Kind::Raw(protocol) = socket.kind()
        {
            let key = (socket.domain, protocol);
            self.raw.raw.entry(key).or_default().push(id);
        }
    }

    /// Puts a ping socket where its identifier says, and takes it from where it was.
    pub(crate) fn ping_place(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id) else {
            return;
        };
        let port = socket.local().map(|local| local.port()).filter(|&p| p != 0);
        let Some(raw) = socket.raw_mut().filter(|raw| raw.kind == Kind::Ping) else {
            return;
        };
        let old = std::mem::replace(&mut raw.entered, port);
        if old == port {
            return;
        }
        if let Some(old) = old {
            strike(&mut self.raw.ping, old, id);
        }
        if let Some(port) = port {
            self.raw.ping.entry(port).or_default().push(id);
        }
    }

    /// The socket leaves the tables.
    pub(crate) fn raw_leave(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id) else {
            return;
        };
        let domain = socket.domain;
        let Some(raw) = socket.raw_mut() else {
            return;
        };
        match (raw.kind, raw.entered.take()) {
            (Kind::Raw(protocol), _) => strike(&mut self.raw.raw, (domain, protocol), id),
            (_, Some(port)) => strike(&mut self.raw.ping, port, id),
            _ => {}
        }
    }
}

fn strike<K: std::hash::Hash + Eq>(map: &mut KeyedMap<K, Group>, key: K, id: SocketId) {
    if let Some(group) = map.get_mut(&key) {
        group.retain(|member| *member != id);
        if group.is_empty() {
            map.remove(&key);
        }
    }
}

/// A raw or ping socket's row in the listing; the local port is the protocol or the identifier, as Linux lists it.
pub(crate) fn row(id: SocketId, socket: &Socket) -> Option<SocketInfo> {
    let raw = socket.raw()?;
    let local = socket.local()?;
    Some(listed(id, socket, &raw.inbox, local))
}
