//! What a hold on a port looks like, and the few such shapes that many holds share.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ip::Iface;
use crate::keyed::{FoldedMap, FoldedState, hash_ip};
use crate::socket::Kind;

/// What of a holder matters to others who want its port.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    /// Bound address or the wildcard of a family.
    pub(crate) addr: IpAddr,
    /// The IPv6 wildcard does not take IPv4.
    pub(crate) v6only: bool,
    /// SO_REUSEADDR.
    pub(crate) reuse_addr: bool,
    /// SO_REUSEPORT.
    pub(crate) reuse_port: bool,
    /// A TCP listener.
    pub(crate) listening: bool,
    /// Held by the choice of connect: other connects may share it (Linux: tb->fastreuse -1).
    pub(crate) connected: bool,
    /// The interface that the holder is bound to; 0: none, [`ABSENT`]: one that there is not.
    pub(crate) iface: u8,
}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Shape {
            addr,
            v6only,
            reuse_addr,
            reuse_port,
            listening,
            connected,
            iface,
        } = *self;
        let flags = [v6only, reuse_addr, reuse_port, listening, connected];
        let bits = (flags.iter()).fold(u32::from(iface), |bits, on| bits << 1 | u32::from(*on));
        hash_ip(addr, state);
        state.write_u32(bits);
    }
}

/// What stands for all numbers that no interface has.
const ABSENT: u8 = 3;

/// A hold on a port that outlives its socket (TIME-WAIT). Give it back with `PortTable::release_hold`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hold {
    pub(super) proto: Kind,
    pub(super) port: u16,
    pub(super) shape: Shape,
}

/// A [`Hold`] on a connection's port in one octet: all but what the connection's 4-tuple says.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct PackedHold(u8);

impl Hold {
    /// `None` when it is no TCP connection's with this local address.
    pub(crate) fn pack(&self, local: IpAddr) -> Option<PackedHold> {
        let Shape {
            addr,
            v6only,
            reuse_addr,
            reuse_port,
            listening,
            connected,
            iface,
        } = self.shape;
        let kind = match addr {
            addr if addr == local => 0,
            IpAddr::V4(addr) if addr.is_unspecified() => 1,
            IpAddr::V6(addr) if addr.is_unspecified() => 2,
            _ => return None,
        };
        if self.proto != Kind::Stream || listening {
            return None;
        }
        let bit = |on: bool, n: u8| u8::from(on) << n;
        let bits = bit(v6only, 2) | bit(reuse_addr, 3) | bit(reuse_port, 4) | bit(connected, 5);
        Some(PackedHold(kind | bits | iface << 6))
    }
}

impl PackedHold {
    /// The interface that the connection was bound to, 0: none.
    pub(crate) fn iface(self) -> u32 {
        u32::from(self.0 >> 6)
    }

    /// The hold of a connection with this local end.
    pub(crate) fn unpack(self, local: IpAddr, port: u16) -> Hold {
        let bit = |n: u8| self.0 & (1 << n) != 0;
        Hold {
            proto: Kind::Stream,
            port,
            shape: Shape {
                addr: match self.0 & 3 {
                    0 => local,
                    1 => Ipv4Addr::UNSPECIFIED.into(),
                    _ => Ipv6Addr::UNSPECIFIED.into(),
                },
                v6only: bit(2),
                reuse_addr: bit(3),
                reuse_port: bit(4),
                listening: false,
                connected: bit(5),
                iface: self.0 >> 6,
            },
        }
    }
}

impl Shape {
    /// A shape of a bound socket.
    pub(crate) fn new(addr: IpAddr, v6only: bool, reuse_addr: bool, reuse_port: bool) -> Shape {
        Shape {
            addr,
            v6only,
            reuse_addr,
            reuse_port,
            listening: false,
            connected: false,
            iface: 0,
        }
    }

    /// The same, bound to the interface of this number (0: to none).
    pub(crate) fn by(self, index: u32) -> Shape {
        let iface = match Iface::from_index(index) {
            _ if index == 0 => 0,
            Some(iface) => iface.index() as u8,
            None => ABSENT,
        };
        Shape { iface, ..self }
    }

    /// Whether both can get packets that come by one interface.
    fn meets(&self, other: &Shape) -> bool {
        self.iface == 0 || other.iface == 0 || self.iface == other.iface
    }

    /// Whether two holders' addresses can match the same packet (Linux: inet_rcv_saddr_equal).
    fn overlaps(&self, other: &Shape) -> bool {
        let dual = |shape: &Shape| shape.addr.is_ipv6() && !shape.v6only;
        match (self.addr.is_ipv4(), other.addr.is_ipv4()) {
            (true, false) => other.addr.is_unspecified() && dual(other),
            (false, true) => self.addr.is_unspecified() && dual(self),
            _ => {
                self.addr == other.addr || self.addr.is_unspecified() || other.addr.is_unspecified()
            }
        }
    }

    /// Whether `new` may not have the port because of `self` (Linux: inet_csk_bind_conflict, inet_rcv_saddr_equal).
    pub(super) fn conflicts(&self, proto: Kind, new: &Shape) -> bool {
        if !self.meets(new) || !self.overlaps(new) {
            return false;
        }
        if self.reuse_port && new.reuse_port {
            return false;
        }
        // SO_REUSEADDR on both lets them share, unless the holder is a TCP listener. That the new one wants to listen does not
        // matter: so a server starts again while connections of its last life are still there.
        let listener = proto == Kind::Stream && self.listening;
        !(self.reuse_addr && new.reuse_addr && !listener)
    }
}

/// The shapes there are, each once: ten thousand connects from one address look the same, and every hold on a port names its shape by
/// a number of four octets.
#[derive(Debug)]
pub(super) struct Shapes {
    /// With the number of holds that look so; none: the place is free.
    list: Vec<(Shape, u32)>,
    free: Vec<u32>,
    places: FoldedMap<Shape, u32>,
}

impl Shapes {
    /// Without any.
    pub(super) fn new(hash: FoldedState) -> Shapes {
        Shapes {
            list: Vec::new(),
            free: Vec::new(),
            places: FoldedMap::with_hasher(hash),
        }
    }

    /// The number of a shape that somebody has.
    pub(super) fn find(&self, shape: &Shape) -> Option<u32> {
        self.places.get(shape).copied()
    }

    /// The shape with a number.
    pub(super) fn get(&self, place: u32) -> Option<&Shape> {
        self.list.get(place as usize).map(|(shape, _)| shape)
    }

    /// One more hold that looks like this: the shape's number.
    pub(super) fn take(&mut self, shape: Shape) -> u32 {
        if let Some(place) = self.find(&shape) {
            if let Some((_, holds)) = self.list.get_mut(place as usize) {
                *holds = holds.saturating_add(1);
            }
            return place;
        }
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.list.push((shape, 0));
                self.list.len() as u32 - 1
            }
        };
        if let Some(entry) = self.list.get_mut(place as usize) {
            *entry = (shape, 1);
        }
        self.places.insert(shape, place);
        place
    }

    /// One hold fewer.
    pub(super) fn give(&mut self, place: u32) {
        let Some((shape, holds)) = self.list.get_mut(place as usize) else {
            return;
        };
        *holds = holds.saturating_sub(1);
        if *holds == 0 {
            self.places.remove(shape);
            self.free.push(place);
        }
    }
}
