//! The IP layer: addresses and routes, packets in, packets out, fragments, path MTU.

pub(crate) mod input;
pub(crate) mod options;
mod output;
pub(crate) mod quote;
pub(crate) mod reassembly;
mod route;
mod table;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};

use rand_chacha::ChaCha8Rng;

use crate::config::{Config, Offload};
use crate::error::Error;
use crate::keyed::KeyedState;
use crate::socket::control::{Arrival, ExtendedError, Origin};
use crate::socket::errqueue::Report;
use crate::time::Instant;
use crate::wire::ip_options::IpOptions;

pub(crate) use output::{PacketQueue, TxMeta, header_len};
pub(crate) use reassembly::Reassembly;
pub(crate) use route::{LOCAL_MTU, Path, Routes};
pub use table::{RouteEntry, RouteKind, Way};

/// IP protocol numbers (IANA).
pub(crate) mod proto {
    /// ICMPv4.
    pub(crate) const ICMP: u8 = 1;
    /// Group membership of IPv4.
    pub(crate) const IGMP: u8 = 2;
    /// TCP.
    pub(crate) const TCP: u8 = 6;
    /// UDP.
    pub(crate) const UDP: u8 = 17;
    /// ICMPv6.
    pub(crate) const ICMPV6: u8 = 58;
}

/// The stack's interfaces.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Iface {
    /// `lo`: what goes round inside.
    Loopback,
    /// The device.
    Device,
}

impl Iface {
    /// The interface of this number (1 and 2).
    pub(crate) fn from_index(index: u32) -> Option<Iface> {
        match index {
            1 => Some(Iface::Loopback),
            2 => Some(Iface::Device),
            _ => None,
        }
    }

    /// Its number, as if_nametoindex gives it.
    pub(crate) fn index(self) -> u32 {
        match self {
            Iface::Loopback => 1,
            Iface::Device => 2,
        }
    }
}

/// Where a packet goes that is ready.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Via {
    /// To the device.
    pub(crate) device: bool,
    /// Round inside, to arrive by that interface.
    pub(crate) inside: Option<Iface>,
}

impl Via {
    /// By the device and nowhere else.
    pub(crate) const OUT: Via = Via {
        device: true,
        inside: None,
    };
}

/// Whom a packet was sent to.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum DstKind {
    /// An address of ours.
    Unicast,
    /// 255.255.255.255 or a prefix's broadcast address.
    Broadcast,
    /// A group.
    Multicast,
}

/// What of a received packet's headers the transport needs.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct RxMeta {
    /// Source address, never IPv4-mapped.
    pub(crate) src: IpAddr,
    /// Destination address.
    pub(crate) dst: IpAddr,
    /// TTL or hop limit as received.
    pub(crate) ttl: u8,
    /// TOS or traffic class as received (ECN in the low two bits).
    pub(crate) tos: u8,
    /// The transport checksum needs no verification.
    pub(crate) csum_ok: bool,
    /// Bytes of each segment when this is a super-segment, else 0.
    pub(crate) gso_size: u16,
    /// Came round inside, from ourselves.
    pub(crate) local: bool,
    /// Arrived by it. What we send to a group or a broadcast address comes back by the device.
    pub(crate) iface: Iface,
    /// Whom it was sent to.
    pub(crate) dst_kind: DstKind,
}

/// An ICMP error about a packet that we sent.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct IcmpError {
    /// What a socket call reports for it.
    pub(crate) error: Error,
    /// The connection cannot go on (RFC 1122 4.2.3.9: port and protocol unreachable, prohibited).
    pub(crate) hard: bool,
    /// Source of the packet in question: us.
    pub(crate) local: SocketAddr,
    /// Destination of the packet in question.
    pub(crate) remote: SocketAddr,
    /// TCP: its sequence number. Believe the error only when it is within SND.UNA..SND.NXT (RFC 5927 4.1).
    pub(crate) seq: Option<u32>,
    /// Fragmentation needed, packet too big: the next hop's MTU. TCP, once it believes the error, calls
    /// [`IpLayer::update_path_mtu`]; for UDP the IP layer has done so.
    pub(crate) mtu: Option<u32>,
    /// The message itself.
    pub(crate) message: IcmpMessage,
}

/// What an ICMP error says besides the packet that it quotes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct IcmpMessage {
    /// Who sent it.
    pub(crate) offender: IpAddr,
    /// Whom it was sent to.
    pub(crate) dst: IpAddr,
    /// Its type.
    pub(crate) kind: u8,
    /// Its code.
    pub(crate) code: u8,
    /// The next hop's MTU, or where a parameter is wrong; else 0.
    pub(crate) info: u32,
    /// TTL or hop limit as received.
    pub(crate) ttl: u8,
    /// TOS or traffic class as received.
    pub(crate) tos: u8,
    /// Came by it.
    pub(crate) iface: Iface,
    /// When it came.
    pub(crate) at: Instant,
}

impl IcmpError {
    /// The report for an error queue (ip_icmp_error, ipv6_icmp_error), without name and data.
    pub(crate) fn report(&self) -> Report {
        let m = &self.message;
        let error = ExtendedError {
            error: Some(self.error),
            origin: match m.offender {
                IpAddr::V4(_) => Origin::Icmp,
                IpAddr::V6(_) => Origin::Icmp6,
            },
            kind: m.kind,
            code: m.code,
            info: m.info,
            data: 0,
            offender: Some(m.offender),
        };
        Report {
            arrival: Some(Arrival {
                dst: SocketAddr::new(m.dst, 0),
                ttl: m.ttl,
                tos: m.tos,
                interface: m.iface.index() as u8,
                at: m.at,
            }),
            ..Report::bare(error)
        }
    }
}

/// The IP layer's state.
#[derive(Debug)]
pub(crate) struct IpLayer {
    routes: Routes,
    queue: PacketQueue,
    ids: output::Ids,
    pub(crate) reassembly: Reassembly,
    offload: Offload,
    now: Instant,
    /// When the stack has something to do next, if that was asked and nothing has happened since.
    deadline: Cell<Option<Option<Instant>>>,
    /// The options of the packet that is looked at, if it has any.
    arrived_options: Option<Box<IpOptions>>,
}

impl IpLayer {
    /// The layer as `config` describes it.
    pub(crate) fn new(config: &Config, rng: &mut ChaCha8Rng) -> IpLayer {
        IpLayer {
            routes: Routes::new(config, rng),
            queue: PacketQueue::default(),
            ids: output::Ids::new(KeyedState::new(rng)),
            reassembly: Reassembly::new(rng),
            offload: config.offload,
            now: Instant::ZERO,
            deadline: Cell::new(None),
            arrived_options: None,
        }
    }

    /// What the device does for us.
    pub(crate) fn offload(&self) -> Offload {
        self.offload
    }

    /// Time goes on; every entry point of the stack that has a `now` says so, and may change what is due next.
    #[inline]
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.time_is(now);
        self.forget_deadline();
    }

    /// Time goes on, and nothing else happens.
    #[inline]
    pub(crate) fn time_is(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// The stack's next deadline may have become another.
    #[inline]
    pub(crate) fn forget_deadline(&mut self) {
        self.deadline.set(None);
    }

    /// The stack's next deadline, if it was found since it may last have changed.
    #[inline]
    pub(crate) fn known_deadline(&self) -> Option<Option<Instant>> {
        self.deadline.get()
    }

    /// The stack's next deadline.
    #[inline]
    pub(crate) fn know_deadline(&self, deadline: Option<Instant>) {
        self.deadline.set(Some(deadline));
    }

    /// Our address for answers to a packet that was sent to `dst` (fib_compute_spec_dst).
    pub(crate) fn local_for(&self, dst: IpAddr) -> IpAddr {
        if self.is_local(dst) {
            return dst;
        }
        self.path(dst, None).map_or(dst, |path| path.src)
    }

    /// The time last heard of.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }
}
