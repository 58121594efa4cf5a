//! What is inside a socket: the part common to TCP and UDP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::config::Config;
use crate::error::Error;
use crate::socket::{Domain, Kind};
use crate::tcp::TcpSocket;
use crate::udp::UdpSocket;

/// A socket. Addresses in here are never IPv4-mapped: `socket::address` converts at the edge.
#[derive(Debug)]
pub(crate) struct Socket {
    /// AF_INET or AF_INET6.
    pub(crate) domain: Domain,
    /// Options common to both kinds.
    pub(crate) opts: CommonOpts,
    /// Local address once bound (by bind or by an implicit bind).
    pub(crate) local: Option<SocketAddr>,
    /// Peer once connected.
    pub(crate) peer: Option<SocketAddr>,
    /// bind(2) gave an address that is not the wildcard (Linux: SOCK_BINDADDR_LOCK): disconnecting keeps it.
    pub(crate) addr_locked: bool,
    /// bind(2) gave a port that is not 0 (Linux: SOCK_BINDPORT_LOCK): disconnecting keeps it.
    pub(crate) port_locked: bool,
    /// SO_ERROR.
    pub(crate) pending_error: Option<Error>,
    /// The part that is the protocol's.
    pub(crate) proto: Proto,
}

/// The protocol's part of a socket.
#[derive(Debug)]
pub(crate) enum Proto {
    /// SOCK_STREAM.
    Tcp(Box<TcpSocket>),
    /// SOCK_DGRAM.
    Udp(Box<UdpSocket>),
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
    pub(crate) sndbuf: usize,
    /// Receive buffer, bytes.
    pub(crate) rcvbuf: usize,
    /// SO_SNDBUF was set: no growth by itself (Linux: SOCK_SNDBUF_LOCK).
    pub(crate) sndbuf_locked: bool,
    /// SO_RCVBUF was set (Linux: SOCK_RCVBUF_LOCK).
    pub(crate) rcvbuf_locked: bool,
    /// SO_RCVLOWAT, bytes, at least 1.
    pub(crate) rcvlowat: usize,
    /// SO_LINGER.
    pub(crate) linger: Option<Duration>,
}

/// Default time to live and hop limit (Linux: ip_default_ttl, IPV6_DEFAULT_HOPLIMIT).
pub(crate) const DEFAULT_TTL: u8 = 64;

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
            sndbuf: config.sndbuf,
            rcvbuf: config.rcvbuf,
            sndbuf_locked: false,
            rcvbuf_locked: false,
            rcvlowat: 1,
            linger: None,
        }
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
            pending_error: None,
            proto,
        }
    }

    /// SOCK_STREAM or SOCK_DGRAM.
    pub(crate) fn kind(&self) -> Kind {
        match self.proto {
            Proto::Tcp(_) => Kind::Stream,
            Proto::Udp(_) => Kind::Datagram,
        }
    }

    /// The wildcard address of the socket's family.
    pub(crate) fn wildcard(&self) -> IpAddr {
        wildcard(self.domain)
    }

    /// The UDP part.
    pub(crate) fn udp(&self) -> Option<&UdpSocket> {
        match &self.proto {
            Proto::Udp(udp) => Some(udp),
            Proto::Tcp(_) => None,
        }
    }

    /// The UDP part, to change.
    pub(crate) fn udp_mut(&mut self) -> Option<&mut UdpSocket> {
        match &mut self.proto {
            Proto::Udp(udp) => Some(udp),
            Proto::Tcp(_) => None,
        }
    }

    /// The TCP part.
    pub(crate) fn tcp(&self) -> Option<&TcpSocket> {
        match &self.proto {
            Proto::Tcp(tcp) => Some(tcp),
            Proto::Udp(_) => None,
        }
    }

    /// The TCP part, to change.
    pub(crate) fn tcp_mut(&mut self) -> Option<&mut TcpSocket> {
        match &mut self.proto {
            Proto::Tcp(tcp) => Some(tcp),
            Proto::Udp(_) => None,
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
