//! The short way in of the plainest datagrams: IPv4 from the device, a header without options, in one piece, for one socket. What is
//! looked at is what the long way looks at (`ip/input.rs`, `udp/input.rs`), in one go; whatever is not of that kind, or in any way wrong, is left
//! to the long way, which counts and answers it.

use std::net::{Ipv4Addr, SocketAddr};

use slotmap::Key;

use crate::ip::{DstKind, Iface};
use crate::socket::control::Arrival;
use crate::socket::{Ready, SocketId};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::datagram::Plain;

/// Ends that are remembered.
const PLACES: usize = 64;

/// Whose the datagrams of late were: a place for each of a few ends, which the next with the same hash takes.
#[derive(Debug)]
pub(crate) struct Recent {
    places: Box<[Known; PLACES]>,
    /// Rises when any socket enters or leaves the tables: what was remembered until then holds no more.
    version: u64,
}

/// One that is remembered.
#[derive(Copy, Clone, Debug)]
struct Known {
    ends: Ends,
    id: SocketId,
    version: u64,
}

/// Both ends of a datagram as numbers. Without any connected socket it does not matter who sent it: `far` is 0 then.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Ends {
    near: u64,
    far: u64,
}

impl Ends {
    fn place(self) -> usize {
        // No harm in a hash that can be foreseen: who is pushed out of a place goes by the keyed tables.
        let mixed = (self.near ^ self.far.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize % PLACES
    }
}

impl Default for Recent {
    fn default() -> Recent {
        let nobody = Known {
            ends: Ends { near: 0, far: 0 },
            id: SocketId::null(),
            version: 0,
        };
        Recent {
            places: Box::new([nobody; PLACES]),
            version: 1,
        }
    }
}

impl Recent {
    /// The tables have changed.
    pub(super) fn forget(&mut self) {
        self.version += 1;
    }

    #[inline]
    fn get(&self, ends: Ends) -> Option<SocketId> {
        let known = self.places[ends.place()];
        (known.ends == ends && known.version == self.version).then_some(known.id)
    }

    fn put(&mut self, ends: Ends, id: SocketId) {
        let version = self.version;
        self.places[ends.place()] = Known { ends, id, version };
    }
}

/// Takes a frame from the device if it is such a datagram.
#[inline]
pub(crate) fn input(stack: &mut Stack, now: Instant, frame: &[u8]) -> bool {
    match Plain::parse(frame) {
        Some(plain) => take(stack, now, &plain),
        None => false,
    }
}

fn take(stack: &mut Stack, now: Instant, plain: &Plain<'_>) -> bool {
    // Raw sockets and filters look at whole packets; who is bound to an interface does not take from all.
    let looked_at = stack.raw.any() || stack.filters_matter || stack.ifaces_matter;
    if looked_at || !stack.ip.is_stranger(plain.src) {
        return false;
    }
    let Some(id) = owner(stack, plain) else {
        return false;
    };
    stack.note_arrival(id, plain.ttl);
    let Some(socket) = stack.sockets.get_mut(id) else {
        return false;
    };
    let rcvbuf = socket.opts.rcvbuf();
    let Some(udp) = socket.udp_mut() else {
        return false;
    };
    let arrival = Arrival {
        dst: dst(plain),
        ttl: plain.ttl,
        tos: plain.tos,
        interface: Iface::Device.index() as u8,
        at: now,
    };
    stack.packets = stack.packets.wrapping_add(1);
    if udp
        .queue
        .push(src(plain), plain.data, rcvbuf, arrival, 0, [&[]; 2])
    {
        stack.notify(id, Ready::IN);
    } else {
        stack.stats.queue_full += 1;
    }
    true
}

fn src(plain: &Plain<'_>) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(plain.src).into(), plain.src_port)
}

fn dst(plain: &Plain<'_>) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(plain.dst).into(), plain.dst_port)
}

/// The one socket that it is for. `None`: nobody, or one of several, or it is not for this host alone.
#[inline]
fn owner(stack: &mut Stack, plain: &Plain<'_>) -> Option<SocketId> {
    let number = |ip: u32, port: u16| u64::from(ip) << 16 | u64::from(port);
    let ends = Ends {
        near: number(plain.dst, plain.dst_port),
        far: match stack.udp.connected.is_empty() {
            true => 0,
            false => number(plain.src, plain.src_port),
        },
    };
    stack.udp.recent.get(ends).or_else(|| {
        let dst = dst(plain);
        // From outside nobody speaks to our loopback.
        let ours = stack.ip.dst_kind(dst.ip()) == Some(DstKind::Unicast);
        if !ours || dst.ip().is_loopback() {
            return None;
        }
        let id = stack.udp_only(src(plain), dst)?;
        stack.udp.recent.put(ends, id);
        Some(id)
    })
}
