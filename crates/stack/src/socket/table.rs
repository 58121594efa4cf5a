//! What is inside a socket: the part common to TCP and UDP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::config::Config;
use crate::error::Error;
use crate::multicast::McSocket;
use crate::ports::Shape;
use crate::raw::RawSocket;
use crate::slab::Slab;
use crate::socket::attribute::Extra;
use crate::socket::{Domain, Kind, Ready, SocketId, State};
use crate::tcp::TcpSocket;
use crate::udp::UdpSocket;

/// Every socket of a stack.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Slab<SocketId, Box<Socket>>);

impl Sockets {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the handle is a socket's.
    pub(crate) fn contains_key(&self, id: SocketId) -> bool {
        self.0.contains_key(id)
    }

    /// The socket, unless the handle is stale.
    pub(crate) fn get(&self, id: SocketId) -> Option<&Socket> {
        self.0.get(id).map(Box::as_ref)
    }

    /// The socket, to change.
    pub(crate) fn get_mut(&mut self, id: SocketId) -> Option<&mut Socket> {
        self.0.get_mut(id).map(Box::as_mut)
    }

    /// The socket at a place of the table (`slab::index`).
    pub(crate) fn at(&self, index: u32) -> Option<(SocketId, &Socket)> {
        self.0.at(index).map(|(id, socket)| (id, socket.as_ref()))
    }

    /// Adds one.
    pub(crate) fn insert(&mut self, socket: Socket) -> SocketId {
        self.0.insert(Box::new(socket))
    }

    /// Takes one away; its handle is stale from now on.
    pub(crate) fn remove(&mut self, id: SocketId) -> Option<Box<Socket>> {
        self.0.remove(id)
    }

    /// All, with their handles.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SocketId, &Socket)> {
        self.0.iter().map(|(id, socket)| (id, socket.as_ref()))
    }
}

/// An address and a port in 20 octets: a `SocketAddr` has room for what no address in here has.
#[derive(Copy, Clone, Debug)]
struct End {
    ip: IpAddr,
    port: u16,
}

impl From<SocketAddr> for End {
    fn from(addr: SocketAddr) -> End {
        End {
            ip: addr.ip(),
            port: addr.port(),
        }
    }
}

impl From<End> for SocketAddr {
    fn from(end: End) -> SocketAddr {
        SocketAddr::new(end.ip, end.port)
    }
}

/// A socket. Addresses in here are never IPv4-mapped: `socket::address` converts at the edge.
#[derive(Debug)]
pub(crate) struct Socket {
    /// AF_INET or AF_INET6.
    pub(crate) domain: Domain,
    /// Options common to both kinds.
    pub(crate) opts: CommonOpts,
    /// Local address once bound (by bind or by an implicit bind).
    local: Option<End>,
    /// Peer once connected.
    peer: Option<End>,
    /// bind(2) gave an address that is not the wildcard (Linux: SOCK_BINDADDR_LOCK): disconnecting keeps it.
    pub(crate) addr_locked: bool,
    /// bind(2) gave a port that is not 0 (Linux: SOCK_BINDPORT_LOCK): disconnecting keeps it.
    pub(crate) port_locked: bool,
    /// What its waiters have not been told yet.
    pub(crate) events: Ready,
    /// SO_ERROR.
    pub(crate) pending_error: Option<Error>,
    /// What concerns groups, once the program has said anything about them.
    pub(crate) multicast: Option<Box<McSocket>>,
    /// What most sockets have nothing of: rare options, the error queue.
    pub(crate) extra: Option<Box<Extra>>,
    /// The part that is the protocol's.
    pub(crate) proto: Proto,
}

/// The protocol's part of a socket.
#[derive(Debug)]
pub(crate) enum Proto {
    /// SOCK_STREAM.
    Tcp(TcpSocket),
    /// SOCK_DGRAM.
    Udp(Box<UdpSocket>),
    /// SOCK_RAW and ping sockets.
    Raw(Box<RawSocket>),
}

/// Options common to both kinds, as read back by getsockopt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommonOpts {
    /// SO_REUSEADDR.
    pub(crate) reuse_addr: bool,
    /// SO_REUSEPORT.
    pub(crate) reuse_port: bool,
    /// SO_BROADCAST.
    pub(crate) broadcast: bool,
    /// IPV6_V6ONLY.
    pub(crate) v6only: bool,
    /// SO_KEEPALIVE.
    pub(crate) keepalive: bool,
    /// SO_OOBINLINE.
    pub(crate) oob_inline: bool,
    /// IP_TTL, `None` for the default.
    pub(crate) ttl: Option<u8>,
    /// IPV6_UNICAST_HOPS, `None` for the default.
    pub(crate) hops: Option<u8>,
    /// IP_TOS.
    pub(crate) tos: u8,
    /// IPV6_TCLASS.
    pub(crate) tclass: u8,
    /// Send buffer, bytes (what SO_SNDBUF reads: the doubled value when it was set).
    sndbuf: u32,
    /// Receive buffer, bytes.
    rcvbuf: u32,
    /// SO_SNDBUF was set: no growth by itself (Linux: SOCK_SNDBUF_LOCK).
    pub(crate) sndbuf_locked: bool,
    /// SO_RCVBUF was set (Linux: SOCK_RCVBUF_LOCK).
    pub(crate) rcvbuf_locked: bool,
    /// SO_RCVLOWAT, bytes, at least 1.
    rcvlowat: u32,
    /// SO_LINGER.
    linger: Option<Box<Duration>>,
}

/// Default time to live and hop limit (Linux: ip_default_ttl, IPV6_DEFAULT_HOPLIMIT).
pub(crate) const DEFAULT_TTL: u8 = 64;

/// A buffer's size in four octets.
pub(crate) fn in_four(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

impl CommonOpts {
    /// The options of a fresh socket.
    pub(crate) fn new(config: &Config) -> CommonOpts {
        CommonOpts {
            reuse_addr: false,
            reuse_port: false,
            broadcast: false,
            v6only: false,
            keepalive: false,
            oob_inline: false,
            ttl: None,
            hops: None,
            tos: 0,
            tclass: 0,
            sndbuf: in_four(config.tcp_wmem[1]),
            rcvbuf: in_four(config.tcp_rmem[1]),
            sndbuf_locked: false,
            rcvbuf_locked: false,
            rcvlowat: 1,
            linger: None,
        }
    }

    /// Send buffer, octets (what SO_SNDBUF reads: the doubled value when it was set).
    pub(crate) fn sndbuf(&self) -> usize {
        self.sndbuf as usize
    }

    /// Receive buffer, octets.
    pub(crate) fn rcvbuf(&self) -> usize {
        self.rcvbuf as usize
    }

    /// SO_RCVLOWAT, octets, at least 1.
    pub(crate) fn rcvlowat(&self) -> usize {
        self.rcvlowat as usize
    }

    /// SO_LINGER.
    pub(crate) fn linger(&self) -> Option<Duration> {
        self.linger.as_deref().copied()
    }

    /// Another send buffer, octets.
    pub(crate) fn set_sndbuf(&mut self, size: usize) {
        self.sndbuf = in_four(size);
    }

    /// Another receive buffer, octets.
    pub(crate) fn set_rcvbuf(&mut self, size: usize) {
        self.rcvbuf = in_four(size);
    }

    /// Another SO_RCVLOWAT, octets.
    pub(crate) fn set_rcvlowat(&mut self, size: usize) {
        self.rcvlowat = in_four(size.max(1));
    }

    /// Another SO_LINGER.
    pub(crate) fn set_linger(&mut self, linger: Option<Duration>) {
        self.linger = linger.map(Box::new);
    }

    /// TTL or hop limit, and TOS or traffic class, for packets to `dst`.
    pub(crate) fn ttl_tos(&self, dst: IpAddr) -> (u8, u8) {
        match dst {
            IpAddr::V4(_) => (self.ttl.unwrap_or(DEFAULT_TTL), self.tos),
            IpAddr::V6(_) => (self.hops.unwrap_or(DEFAULT_TTL), self.tclass),
        }
    }
}

impl Socket {
    /// A fresh socket.
    pub(crate) fn new(domain: Domain, config: &Config, proto: Proto) -> Socket {
        Socket {
            domain,
            opts: CommonOpts::new(config),
            local: None,
            peer: None,
            addr_locked: false,
            port_locked: false,
            events: Ready::empty(),
            pending_error: None,
            multicast: None,
            extra: None,
            proto,
        }
    }

    /// Local address once bound (by bind or by an implicit bind).
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.local.map(SocketAddr::from)
    }

    /// Peer once connected.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer.map(SocketAddr::from)
    }

    /// Another local address from now on, or none.
    pub(crate) fn set_local(&mut self, local: Option<SocketAddr>) {
        self.local = local.map(End::from);
        self.forget_way();
    }

    /// Another peer from now on, or none.
    pub(crate) fn set_peer(&mut self, peer: Option<SocketAddr>) {
        self.peer = peer.map(End::from);
    }

    /// What kind of socket it is.
    pub(crate) fn kind(&self) -> Kind {
        match &self.proto {
            Proto::Tcp(_) => Kind::Stream,
            Proto::Udp(_) => Kind::Datagram,
            Proto::Raw(raw) => raw.kind,
        }
    }

    /// Whether it is a TCP connection in ESTABLISHED.
    #[inline]
    pub(crate) fn is_established(&self) -> bool {
        let tcp = self.tcp();
        tcp.is_some_and(|tcp| tcp.state() == State::Established)
    }

    /// The wildcard address of the socket's family.
    pub(crate) fn wildcard(&self) -> IpAddr {
        wildcard(self.domain)
    }

    /// The part of datagram sockets; raw and ping sockets have it too.
    pub(crate) fn udp(&self) -> Option<&UdpSocket> {
        match &self.proto {
            Proto::Udp(udp) => Some(udp),
            Proto::Raw(raw) => Some(&raw.inbox),
            Proto::Tcp(_) => None,
        }
    }

    /// The part of datagram sockets, to change.
    pub(crate) fn udp_mut(&mut self) -> Option<&mut UdpSocket> {
        match &mut self.proto {
            Proto::Udp(udp) => Some(udp),
            Proto::Raw(raw) => Some(&mut raw.inbox),
            Proto::Tcp(_) => None,
        }
    }

    /// What of the socket matters to others on its port when it is bound to `addr`.
    pub(crate) fn shape(&self, addr: IpAddr) -> Shape {
        let opts = &self.opts;
        Shape::new(addr, opts.v6only, opts.reuse_addr, opts.reuse_port).by(self.bound_if())
    }

    /// See [`UdpSocket::forget_way`].
    pub(crate) fn forget_way(&mut self) {
        if let Proto::Udp(udp) = &mut self.proto {
            udp.forget_way();
        }
    }

    /// The part of raw and ping sockets.
    pub(crate) fn raw(&self) -> Option<&RawSocket> {
        match &self.proto {
            Proto::Raw(raw) => Some(raw),
            Proto::Udp(_) | Proto::Tcp(_) => None,
        }
    }

    /// The part of raw and ping sockets, to change.
    pub(crate) fn raw_mut(&mut self) -> Option<&mut RawSocket> {
        match &mut self.proto {
            Proto::Raw(raw) => Some(raw),
            Proto::Udp(_) | Proto::Tcp(_) => None,
        }
    }

    /// The TCP part.
    pub(crate) fn tcp(&self) -> Option<&TcpSocket> {
        match &self.proto {
            Proto::Tcp(tcp) => Some(tcp),
            Proto::Udp(_) | Proto::Raw(_) => None,
        }
    }

    /// The TCP part, to change.
    pub(crate) fn tcp_mut(&mut self) -> Option<&mut TcpSocket> {
        match &mut self.proto {
            Proto::Tcp(tcp) => Some(tcp),
            Proto::Udp(_) | Proto::Raw(_) => None,
        }
    }
}

/// The wildcard address of a family.
pub(crate) fn wildcard(domain: Domain) -> IpAddr {
    match domain {
        Domain::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Domain::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
