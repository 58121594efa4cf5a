//! Who holds which port: bind conflicts as Linux judges them, and ephemeral ports.
//!
//! A port's holders are kept as *shapes* (address and the flags that matter to conflicts) with counts, so ten thousand
//! accepted connections on one port are one entry, and a bind costs the same whether there are ten sockets or a million.

mod scarce;
mod shape;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use self::scarce::{Asker, Range, Scarce, Span, Who};
use self::shape::Shapes;
pub(crate) use self::shape::{Hold, PackedHold, Shape};
use crate::error::{Error, Result};
use crate::keyed::{EndKey, FoldedMap, FoldedState, KeyedState};
use crate::slab::Beside;
use crate::socket::{Kind, SocketId};

/// Ports that are looked at one after the other before it is noted which are worth a look.
const WALK: u32 = 64;
/// Ports of one half that are looked at before the other half has its turn.
const STRIKES: u32 = 256;

/// Holders of one port that look alike.
#[derive(Copy, Clone, Debug)]
struct Holders {
    /// The number of their shape.
    shape: u32,
    /// How many.
    count: NonZeroU32,
}

/// Holders of one port.
#[derive(Copy, Clone, Debug)]
enum Bucket {
    /// They all look alike.
    One(Holders),
    /// They do not: they stand in `PortTable::mixed`.
    Mixed,
}

/// A socket's hold.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Kept {
    proto: Kind,
    port: u16,
    shape: u32,
}

/// All ports of both protocols.
#[derive(Debug)]
pub(crate) struct PortTable {
    buckets: FoldedMap<(Kind, u16), Bucket>,
    mixed: FoldedMap<(Kind, u16), Vec<Holders>>,
    shapes: Shapes,
    held: Beside<SocketId, Kept>,
    hash: KeyedState,
    /// RFC 6056 3.3.4: per-bucket counters of the double-hash selection.
    counters: [u16; 256],
    range: Range,
    scarce: Scarce,
    /// Ports looked at for an ephemeral one, all in all: what choosing costs.
    looks: u64,
    rng: ChaCha8Rng,
}

/// How an ephemeral port is looked for.
struct Search {
    asker: Asker,
    /// The preferred half of the ports first.
    halves: [Span; 2],
    /// Where to begin; any number.
    start: u32,
}

impl PortTable {
    /// No port is taken; ephemeral ones are `first..=last`.
    pub(crate) fn new(ports: (u16, u16), rng: &mut ChaCha8Rng) -> PortTable {
        use rand_core::SeedableRng;
        let first = ports.0.max(1);
        let own = rng.fork();
        let range = Range::new(first, ports.1);
        let hash = FoldedState::from(KeyedState::new(rng));
        PortTable {
            buckets: FoldedMap::with_hasher(hash),
            mixed: FoldedMap::with_hasher(hash),
            shapes: Shapes::new(hash),
            held: Beside::default(),
            hash: KeyedState::new(rng),
            counters: [0; 256],
            range,
            scarce: Scarce::default(),
            looks: 0,
            rng: own,
        }
    }

    /// Takes `port` (0: an ephemeral one, of those that IP_LOCAL_PORT_RANGE `own` leaves) for `id`. `AddressInUse` when somebody is
    /// in the way or no port is left.
    pub(crate) fn bind(
        &mut self,
        proto: Kind,
        id: SocketId,
        shape: Shape,
        port: u16,
        own: u32,
    ) -> Result<u16> {
        let port = match port {
            0 => self.free_port(proto, &shape, own)?,
            port if self.is_free(proto, &shape, port) => port,
            _ => return Err(Error::AddressInUse),
        };
        self.adopt(proto, id, shape, port);
        Ok(port)
    }

    /// Lets `id` hold `port` without asking for conflicts: a connection accepted from a listener.
    pub(crate) fn adopt(&mut self, proto: Kind, id: SocketId, shape: Shape, port: u16) {
        self.release(id);
        let shape = self.enter(Hold { proto, port, shape });
        let kept = Kept { proto, port, shape };
        if !self.held.insert(id, kept) {
            self.leave(kept); // a stale handle holds nothing
        }
    }

    /// An ephemeral port for a TCP connect from `src` to `dst`, of those that IP_LOCAL_PORT_RANGE `own` leaves: RFC 6056 3.3.4 (keyed
    /// offset, counter, walk). A port that other connects hold may be shared when `in_use` says the 4-tuple is free.
    /// `AddressNotAvailable` when none is left.
    pub(crate) fn connect_port(
        &mut self,
        id: SocketId,
        mut shape: Shape,
        (src, dst): (IpAddr, SocketAddr),
        own: u32,
        in_use: &dyn Fn(u16) -> bool,
    ) -> Result<u16> {
        shape.connected = true;
        // Both functions of RFC 6056 3.3.4 are halves of one.
        let hash = self.hash.hash(&(src, EndKey(dst)));
        let (offset, index) = (hash as u32, (hash >> 32) as usize % self.counters.len());
        let counter = self.counters.get(index).copied().unwrap_or(0);
        let range = self.range.narrowed(own);
        let halves = range.halves();
        let start = (offset % halves[0].len).wrapping_add(counter.into());
        let search = Search {
            asker: Asker {
                who: Who::Connect { src, dst },
                range,
            },
            halves,
            start,
        };
        let shareable = |ports: &PortTable, port| {
            // A 4-tuple in TIME-WAIT is in use though its port may have no holder: one closed after TIME-WAIT began gave it back.
            ports.shapes_at(Kind::Stream, port).all(|s| s.connected) && !in_use(port)
        };
        let (steps, port) = self
            .search(&search, &shareable)
            .ok_or(Error::AddressNotAvailable)?;
        if let Some(counter) = self.counters.get_mut(index) {
            // The next one is looked for behind this one.
            *counter = counter.wrapping_add(steps as u16).wrapping_add(1);
        }
        self.adopt(Kind::Stream, id, shape, port);
        Ok(port)
    }

    /// A port of which `usable` is true: at most [`WALK`] one after the other, from then on those that may be. With how many places it
    /// lies behind the start. `None` when there is none.
    fn search(
        &mut self,
        search: &Search,
        usable: &dyn Fn(&PortTable, u16) -> bool,
    ) -> Option<(u32, u16)> {
        let Search {
            asker,
            halves,
            start,
        } = search;
        if !self.scarce.knows(asker) {
            let half = halves[0];
            for step in 0..half.len.min(WALK) {
                let port = (asker.range).port(half.from + start.wrapping_add(step) % half.len);
                self.looks += 1;
                if usable(self, port) {
                    return Some((step, port));
                }
            }
            self.scarce.remember(*asker);
        }
        // A few of each half, and all of them only when there is no other way: nobody waits long for the first half to be struck off.
        let halves = halves.iter().filter(|half| half.len > 0);
        let turns = [STRIKES, u32::MAX].map(|most| halves.clone().map(move |half| (half, most)));
        for (half, most) in turns.into_iter().flatten() {
            let begin = start % half.len;
            for _ in 0..most {
                let Some(place) = self.scarce.next(asker, *half, half.from + begin) else {
                    break;
                };
                let port = asker.range.port(place);
                self.looks += 1;
                if usable(self, port) {
                    let at = place - half.from;
                    return Some(((at + half.len - begin) % half.len, port));
                }
            }
        }
        None
    }

    /// The 4-tuple of a TCP connection is free again: who was in want of ports may have it.
    pub(crate) fn vacated(&mut self, local: SocketAddr, remote: SocketAddr) {
        self.scarce.vacated(local.ip(), local.port(), remote);
    }

    /// A number from the source that chooses ports.
    pub(crate) fn random(&mut self) -> u32 {
        self.rng.next_u32()
    }

    /// `id` holds no port any longer.
    pub(crate) fn release(&mut self, id: SocketId) {
        if let Some(kept) = self.held.remove(id) {
            self.leave(kept);
        }
    }

    /// Whether `id` holds a port.
    pub(crate) fn holds(&self, id: SocketId) -> bool {
        self.held.contains_key(id)
    }

    /// Holds on ports, those of sockets and those that outlive theirs.
    pub(crate) fn holds_count(&self) -> usize {
        let counts = |holders: &[Holders]| {
            let counts = holders.iter().map(|holders| holders.count.get() as usize);
            counts.sum::<usize>()
        };
        let alike = self.buckets.values().map(|bucket| match bucket {
            Bucket::One(holders) => counts(std::slice::from_ref(holders)),
            Bucket::Mixed => 0,
        });
        let mixed = self.mixed.values().map(|holders| counts(holders));
        alike.sum::<usize>() + mixed.sum::<usize>()
    }

    /// Checks that every hold has its owner: a socket, or one of `remnants`.
    pub(crate) fn audit(
        &self,
        sockets: &crate::socket::table::Sockets,
        remnants: usize,
    ) -> std::result::Result<(), String> {
        if let Some((id, kept)) = self.held.iter().find(|(id, _)| !sockets.contains_key(*id)) {
            return Err(format!("{id:?} has gone and holds {kept:?}"));
        }
        let (there, owned) = (self.holds_count(), self.held.len() + remnants);
        if there != owned {
            return Err(format!("{there} holds on ports, {owned} owners"));
        }
        Ok(())
    }

    /// A second hold that looks like that of `id`, and outlives it.
    pub(crate) fn share(&mut self, id: SocketId) -> Option<Hold> {
        let hold = self.held.get(id).and_then(|kept| self.hold(*kept))?;
        self.enter(hold);
        Some(hold)
    }

    /// Ends a hold taken by [`PortTable::share`].
    pub(crate) fn release_hold(&mut self, hold: Hold) {
        let Hold { proto, port, shape } = hold;
        if let Some(shape) = self.shapes.find(&shape) {
            self.leave(Kept { proto, port, shape });
        }
    }

    /// TCP: `id` starts to listen (or stops). `AddressInUse` when another holder does not allow a listener.
    pub(crate) fn set_listening(&mut self, id: SocketId, listening: bool) -> Result<()> {
        let Some(hold) = self.held.get(id).and_then(|kept| self.hold(*kept)) else {
            return Ok(());
        };
        let shape = Shape {
            listening,
            connected: false,
            ..hold.shape
        };
        self.release_hold(hold);
        if listening && !self.is_free(hold.proto, &shape, hold.port) {
            self.reshape(id, hold.shape);
            return Err(Error::AddressInUse);
        }
        self.reshape(id, shape);
        Ok(())
    }

    /// The socket's address became another (UDP connect), or its options did: the hold follows, unasked.
    pub(crate) fn update(&mut self, id: SocketId, change: impl FnOnce(&mut Shape)) {
        if let Some(hold) = self.held.get(id).and_then(|kept| self.hold(*kept)) {
            let mut shape = hold.shape;
            change(&mut shape);
            if shape != hold.shape {
                self.release_hold(hold);
                self.reshape(id, shape);
            }
        }
    }

    /// Replaces the shape of a hold that has been taken out of its bucket.
    fn reshape(&mut self, id: SocketId, shape: Shape) {
        if let Some(Kept { proto, port, .. }) = self.held.get(id).copied() {
            let shape = self.enter(Hold { proto, port, shape });
            if let Some(kept) = self.held.get_mut(id) {
                kept.shape = shape;
            }
        }
    }

    fn hold(&self, kept: Kept) -> Option<Hold> {
        let Kept { proto, port, shape } = kept;
        let shape = *self.shapes.get(shape)?;
        Some(Hold { proto, port, shape })
    }

    /// What the holders of a port look like.
    fn shapes_at(&self, proto: Kind, port: u16) -> impl Iterator<Item = &Shape> {
        let key = (proto, port);
        let holders = match self.buckets.get(&key) {
            None => &[],
            Some(Bucket::One(holders)) => std::slice::from_ref(holders),
            Some(Bucket::Mixed) => self.mixed.get(&key).map_or(&[][..], Vec::as_slice),
        };
        holders.iter().filter_map(|of| self.shapes.get(of.shape))
    }

    fn is_free(&self, proto: Kind, shape: &Shape, port: u16) -> bool {
        self.shapes_at(proto, port)
            .all(|holder| !holder.conflicts(proto, shape))
    }

    /// A free port, looked for from a random one on.
    fn free_port(&mut self, proto: Kind, shape: &Shape, own: u32) -> Result<u16> {
        let start = self.rng.next_u32();
        let range = match proto {
            // Linux: ping_get_port. Identifiers of echo requests are no ports.
            Kind::Ping => Range::new(1, u16::MAX),
            _ => self.range.narrowed(own),
        };
        let [even, odd] = range.halves();
        // Connects prefer the even ones, so TCP's others do not; UDP has no such order (Linux: inet_csk_find_open_port,
        // udp_lib_get_port).
        let other = proto == Kind::Stream || start & 1 << 31 != 0;
        let halves = if other && odd.len > 0 {
            [odd, even]
        } else {
            [even, odd]
        };
        // Port 0 asks for a port of one's own: SO_REUSEADDR does not make one land on somebody else's.
        let alone = Shape {
            reuse_addr: false,
            reuse_port: false,
            ..*shape
        };
        for shape in [alone, *shape] {
            let search = Search {
                asker: Asker {
                    who: Who::Bind { proto, shape },
                    range,
                },
                halves,
                start,
            };
            let free = |ports: &PortTable, port| ports.is_free(proto, &shape, port);
            if let Some((_, port)) = self.search(&search, &free) {
                return Ok(port);
            }
        }
        Err(Error::AddressInUse)
    }

    /// Notes a hold. The number of its shape.
    fn enter(&mut self, hold: Hold) -> u32 {
        let key = (hold.proto, hold.port);
        let shape = self.shapes.take(hold.shape);
        let fresh = Holders {
            shape,
            count: NonZeroU32::MIN,
        };
        let more = |holders: &mut Holders| holders.count = holders.count.saturating_add(1);
        let one = match self.buckets.get_mut(&key) {
            None => {
                self.buckets.insert(key, Bucket::One(fresh));
                return shape;
            }
            Some(Bucket::One(holders)) if holders.shape == shape => {
                more(holders);
                return shape;
            }
            Some(Bucket::One(holders)) => Some(*holders),
            Some(Bucket::Mixed) => None,
        };
        self.buckets.insert(key, Bucket::Mixed);
        let mixed = self.mixed.entry(key).or_default();
        mixed.extend(one);
        match mixed.iter_mut().find(|holders| holders.shape == shape) {
            Some(holders) => more(holders),
            None => mixed.push(fresh),
        }
        shape
    }

    /// Forgets a hold.
    fn leave(&mut self, kept: Kept) {
        let key = (kept.proto, kept.port);
        let fewer = |holders: &mut Holders| {
            let left = NonZeroU32::new(holders.count.get() - 1);
            holders.count = left.unwrap_or(holders.count);
            left.is_some()
        };
        match self.buckets.get_mut(&key) {
            Some(Bucket::One(holders)) if holders.shape == kept.shape => {
                if !fewer(holders) {
                    self.buckets.remove(&key);
                }
            }
            Some(Bucket::Mixed) => {
                let Some(mixed) = self.mixed.get_mut(&key) else {
                    return;
                };
                mixed.retain_mut(|holders| holders.shape != kept.shape || fewer(holders));
                if let [last] = mixed[..] {
                    self.buckets.insert(key, Bucket::One(last));
                    self.mixed.remove(&key);
                }
            }
            Some(Bucket::One(_)) | None => return,
        }
        self.shapes.give(kept.shape);
        self.scarce.freed(kept.proto, kept.port);
    }
}
