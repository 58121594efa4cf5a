//! Who holds which port: bind conflicts as Linux judges them, and ephemeral ports.
//!
//! A port's holders are kept as *shapes* (address and the flags that matter to conflicts) with counts, so ten thousand
//! accepted connections on one port are one entry, and a bind costs the same whether there are ten sockets or a million.

use std::net::{IpAddr, SocketAddr};

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use slotmap::SecondaryMap;
use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::keyed::{KeyedMap, KeyedState};
use crate::socket::{Kind, SocketId};

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
}

/// A hold on a port that outlives its socket (TIME-WAIT). Give it back with [`PortTable::release_hold`].
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hold {
    proto: Kind,
    port: u16,
    shape: Shape,
}

/// Holders of one port: what they look like and how many there are of each.
type Bucket = SmallVec<[(Shape, u32); 1]>;

/// All ports of both protocols.
#[derive(Debug)]
pub(crate) struct PortTable {
    buckets: KeyedMap<(Kind, u16), Bucket>,
    held: SecondaryMap<SocketId, Hold>,
    hash: KeyedState,
    /// RFC 6056 3.3.4: per-bucket counters of the double-hash selection.
    counters: [u16; 256],
    first: u16,
    last: u16,
    rng: ChaCha8Rng,
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
        }
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
    fn conflicts(&self, proto: Kind, new: &Shape) -> bool {
        if !self.overlaps(new) {
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

impl PortTable {
    /// No port is taken; ephemeral ones are `first..=last`.
    pub(crate) fn new(ports: (u16, u16), rng: &mut ChaCha8Rng) -> PortTable {
        use rand_core::SeedableRng;
        let first = ports.0.max(1);
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        PortTable {
            buckets: KeyedState::map(rng),
            held: SecondaryMap::new(),
            hash: KeyedState::new(rng),
            counters: [0; 256],
            first,
            last: ports.1.max(first),
            rng: ChaCha8Rng::from_seed(seed),
        }
    }

    /// Takes `port` (0: an ephemeral one) for `id`. `AddressInUse` when somebody is in the way or no port is left.
    pub(crate) fn bind(
        &mut self,
        proto: Kind,
        id: SocketId,
        shape: Shape,
        port: u16,
    ) -> Result<u16> {
        let port = match port {
            0 => self.free_port(proto, &shape)?,
            port if self.is_free(proto, &shape, port) => port,
            _ => return Err(Error::AddressInUse),
        };
        self.adopt(proto, id, shape, port);
        Ok(port)
    }

    /// Lets `id` hold `port` without asking for conflicts: a connection accepted from a listener.
    pub(crate) fn adopt(&mut self, proto: Kind, id: SocketId, shape: Shape, port: u16) {
        self.release(id);
        let hold = Hold { proto, port, shape };
        if self.held.insert(id, hold).is_none() && !self.held.contains_key(id) {
            return; // a stale handle holds nothing
        }
        self.enter(hold);
    }

    /// An ephemeral port for a TCP connect from `src` to `dst`: RFC 6056 3.3.4 (keyed offset, counter, walk). A port that other
    /// connects hold may be shared when `in_use` says the 4-tuple is free. `AddressNotAvailable` when none is left.
    pub(crate) fn connect_port(
        &mut self,
        id: SocketId,
        mut shape: Shape,
        src: IpAddr,
        dst: SocketAddr,
        in_use: &dyn Fn(u16) -> bool,
    ) -> Result<u16> {
        shape.connected = true;
        let range = u32::from(self.last - self.first) + 1;
        let offset = self.hash.hash(&(0u8, src, dst)) as u32;
        let index = self.hash.hash(&(1u8, src, dst)) as usize % self.counters.len();
        for _ in 0..range {
            let Some(counter) = self.counters.get_mut(index) else {
                break;
            };
            let step = u32::from(*counter);
            *counter = counter.wrapping_add(1);
            let port = self.first + (offset.wrapping_add(step) % range) as u16;
            let shareable = match self.buckets.get(&(Kind::Stream, port)) {
                None => true,
                Some(holders) => holders.iter().all(|(shape, _)| shape.connected) && !in_use(port),
            };
            if shareable {
                self.adopt(Kind::Stream, id, shape, port);
                return Ok(port);
            }
        }
        Err(Error::AddressNotAvailable)
    }

    /// `id` holds no port any longer.
    pub(crate) fn release(&mut self, id: SocketId) {
        if let Some(hold) = self.held.remove(id) {
            self.leave(hold);
        }
    }

    /// Whether `id` holds a port.
    pub(crate) fn holds(&self, id: SocketId) -> bool {
        self.held.contains_key(id)
    }

    /// Holds on ports, those of sockets and those that outlive theirs.
    pub(crate) fn holds_count(&self) -> usize {
        let counts = |holders: &Bucket| holders.iter().map(|(_, n)| *n as usize).sum::<usize>();
        self.buckets.values().map(counts).sum()
    }

    /// Checks that every hold has its owner: a socket, or one of `detached`.
    pub(crate) fn audit<S>(
        &self,
        sockets: &slotmap::SlotMap<SocketId, S>,
        detached: usize,
    ) -> std::result::Result<(), String> {
        if let Some((id, hold)) = self.held.iter().find(|(id, _)| !sockets.contains_key(*id)) {
            return Err(format!("{id:?} has gone and holds {hold:?}"));
        }
        let (there, owned) = (self.holds_count(), self.held.len() + detached);
        if there != owned {
            return Err(format!("{there} holds on ports, {owned} owners"));
        }
        Ok(())
    }

    /// Takes the hold away from `id` so that it can outlive the socket.
    pub(crate) fn detach(&mut self, id: SocketId) -> Option<Hold> {
        self.held.remove(id)
    }

    /// Ends a hold taken by [`PortTable::detach`].
    pub(crate) fn release_hold(&mut self, hold: Hold) {
        self.leave(hold);
    }

    /// TCP: `id` starts to listen (or stops). `AddressInUse` when another holder does not allow a listener.
    pub(crate) fn set_listening(&mut self, id: SocketId, listening: bool) -> Result<()> {
        let Some(hold) = self.held.get(id).copied() else {
            return Ok(());
        };
        let shape = Shape {
            listening,
            connected: false,
            ..hold.shape
        };
        self.leave(hold);
        if listening && !self.is_free(hold.proto, &shape, hold.port) {
            self.enter(hold);
            return Err(Error::AddressInUse);
        }
        self.reshape(id, shape);
        Ok(())
    }

    /// The socket's address became another (UDP connect), or its options did: the hold follows, unasked.
    pub(crate) fn update(&mut self, id: SocketId, change: impl FnOnce(&mut Shape)) {
        if let Some(hold) = self.held.get(id).copied() {
            self.leave(hold);
            let mut shape = hold.shape;
            change(&mut shape);
            self.reshape(id, shape);
        }
    }

    /// Replaces the shape of a hold that has been taken out of its bucket.
    fn reshape(&mut self, id: SocketId, shape: Shape) {
        if let Some(hold) = self.held.get_mut(id) {
            hold.shape = shape;
            let hold = *hold;
            self.enter(hold);
        }
    }

    fn is_free(&self, proto: Kind, shape: &Shape, port: u16) -> bool {
        self.buckets.get(&(proto, port)).is_none_or(|holders| {
            holders
                .iter()
                .all(|(holder, _)| !holder.conflicts(proto, shape))
        })
    }

    /// A random free port; from there a walk over the whole range, so none is missed.
    fn free_port(&mut self, proto: Kind, shape: &Shape) -> Result<u16> {
        let range = u32::from(self.last - self.first) + 1;
        let start = self.rng.next_u32() % range;
        // Port 0 asks for a port of one's own: SO_REUSEADDR does not make one land on somebody else's.
        let alone = Shape {
            reuse_addr: false,
            reuse_port: false,
            ..*shape
        };
        for strict in [true, false] {
            let wanted = if strict { &alone } else { shape };
            for step in 0..range {
                let port = self.first + ((start + step) % range) as u16;
                if self.is_free(proto, wanted, port) {
                    return Ok(port);
                }
            }
        }
        Err(Error::AddressInUse)
    }

    fn enter(&mut self, hold: Hold) {
        let holders = self.buckets.entry((hold.proto, hold.port)).or_default();
        match holders.iter_mut().find(|(shape, _)| *shape == hold.shape) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => holders.push((hold.shape, 1)),
        }
    }

    fn leave(&mut self, hold: Hold) {
        let key = (hold.proto, hold.port);
        let Some(holders) = self.buckets.get_mut(&key) else {
            return;
        };
        if let Some(at) = holders.iter().position(|(shape, _)| *shape == hold.shape)
            && let Some((_, count)) = holders.get_mut(at)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                holders.swap_remove(at);
            }
        }
        if holders.is_empty() {
            self.buckets.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::SeedableRng;
    use slotmap::SlotMap;

    struct Fixture {
        table: PortTable,
        ids: SlotMap<SocketId, ()>,
    }

    fn fixture(ports: (u16, u16)) -> Fixture {
        Fixture {
            table: PortTable::new(ports, &mut ChaCha8Rng::seed_from_u64(7)),
            ids: SlotMap::with_key(),
        }
    }

    impl Fixture {
        fn bind(&mut self, proto: Kind, shape: Shape, port: u16) -> Result<SocketId> {
            let id = self.ids.insert(());
            self.table.bind(proto, id, shape, port).map(|_| id)
        }
    }

    fn shape(addr: &str) -> Shape {
        Shape::new(addr.parse().unwrap(), false, false, false)
    }

    fn reuse(addr: &str) -> Shape {
        Shape::new(addr.parse().unwrap(), false, true, false)
    }

    fn v6only() -> Shape {
        Shape::new("::".parse().unwrap(), true, false, false)
    }

    const TCP: Kind = Kind::Stream;
    const UDP: Kind = Kind::Datagram;

    #[test]
    fn wildcard_and_exact_addresses_conflict_within_their_reach() {
        for (first, second, free) in [
            (shape("0.0.0.0"), shape("0.0.0.0"), false),
            (shape("0.0.0.0"), shape("10.0.0.1"), false),
            (shape("10.0.0.1"), shape("0.0.0.0"), false),
            (shape("10.0.0.1"), shape("10.0.0.2"), true),
            (shape("::"), shape("0.0.0.0"), false),
            (shape("10.0.0.1"), shape("::"), false),
            (v6only(), shape("0.0.0.0"), true),
            (shape("10.0.0.1"), v6only(), true),
            (shape("fd00::1"), shape("0.0.0.0"), true),
            (shape("fd00::1"), v6only(), false),
        ] {
            for proto in [TCP, UDP] {
                let mut f = fixture((1, 9));
                f.bind(proto, first, 80).unwrap();
                let second = f.bind(proto, second, 80).is_ok();
                assert_eq!(second, free, "{first:?} then {second:?}");
            }
        }
    }

    #[test]
    fn protocols_and_ports_do_not_disturb_each_other() {
        let mut f = fixture((1, 9));
        let id = f.bind(TCP, shape("0.0.0.0"), 80).unwrap();
        assert!(f.bind(UDP, shape("0.0.0.0"), 80).is_ok());
        assert!(f.bind(TCP, shape("0.0.0.0"), 81).is_ok());
        assert!(f.bind(TCP, shape("0.0.0.0"), 80).is_err());
        f.table.release(id);
        assert!(f.bind(TCP, shape("0.0.0.0"), 80).is_ok());
    }

    #[test]
    fn reuseaddr_shares_until_one_listens() {
        let mut f = fixture((1, 9));
        let a = f.bind(TCP, reuse("0.0.0.0"), 80).unwrap();
        let b = f.bind(TCP, reuse("0.0.0.0"), 80).unwrap();
        assert_eq!(f.bind(TCP, shape("0.0.0.0"), 80), Err(Error::AddressInUse));
        assert_eq!(f.table.set_listening(a, true), Ok(()));
        assert_eq!(f.table.set_listening(b, true), Err(Error::AddressInUse));
        assert!(f.bind(TCP, reuse("10.0.0.1"), 80).is_err());
        f.table.release(a);
        assert_eq!(f.table.set_listening(b, true), Ok(()));
    }

    #[test]
    fn a_server_starts_again_beside_its_old_connections() {
        let mut f = fixture((1, 9));
        let listener = f.bind(TCP, reuse("0.0.0.0"), 80).unwrap();
        f.table.set_listening(listener, true).unwrap();
        for _ in 0..1000 {
            let child = f.ids.insert(());
            f.table.adopt(TCP, child, reuse("10.0.0.1"), 80);
        }
        f.table.release(listener);
        let again = f.bind(TCP, reuse("0.0.0.0"), 80).unwrap();
        assert_eq!(f.table.set_listening(again, true), Ok(()));
        assert_eq!(f.table.buckets.get(&(TCP, 80)).unwrap().len(), 2);
        assert!(f.bind(TCP, shape("10.0.0.1"), 80).is_err());
    }

    #[test]
    fn a_hold_outlives_its_socket() {
        let mut f = fixture((1, 9));
        let id = f.bind(TCP, shape("0.0.0.0"), 80).unwrap();
        let hold = f.table.detach(id).unwrap();
        f.table.release(id);
        assert!(f.bind(TCP, shape("0.0.0.0"), 80).is_err());
        f.table.release_hold(hold);
        assert!(f.bind(TCP, shape("0.0.0.0"), 80).is_ok());
        assert!(f.table.buckets.len() == 1 && f.table.held.len() == 1);
    }

    #[test]
    fn reuseport_needs_all_of_them() {
        let mut f = fixture((1, 9));
        let any = "0.0.0.0".parse().unwrap();
        let share = Shape::new(any, false, false, true);
        let a = f.bind(TCP, share, 80).unwrap();
        let b = f.bind(TCP, share, 80).unwrap();
        assert_eq!(f.table.set_listening(a, true), Ok(()));
        assert_eq!(f.table.set_listening(b, true), Ok(()));
        assert!(f.bind(TCP, shape("0.0.0.0"), 80).is_err());
        assert!(f.bind(TCP, reuse("0.0.0.0"), 80).is_err());
    }

    #[test]
    fn options_changed_later_count() {
        let mut f = fixture((1, 9));
        let a = f.bind(UDP, shape("0.0.0.0"), 80).unwrap();
        assert!(f.bind(UDP, reuse("0.0.0.0"), 80).is_err());
        f.table.update(a, |shape| shape.reuse_addr = true);
        assert!(f.bind(UDP, reuse("0.0.0.0"), 80).is_ok());
    }

    #[test]
    fn every_ephemeral_port_is_found_before_none_is_left() {
        let mut f = fixture((1000, 1099));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let id = f.ids.insert(());
            let port = f.table.bind(UDP, id, reuse("0.0.0.0"), 0).unwrap();
            assert!((1000..=1099).contains(&port));
            assert!(seen.insert(port), "port {port} twice");
        }
        assert_eq!(f.bind(UDP, shape("0.0.0.0"), 0), Err(Error::AddressInUse));
    }

    #[test]
    fn connects_share_ports_by_4_tuple_and_bound_ports_are_left_alone() {
        let mut f = fixture((1000, 1049));
        f.bind(TCP, shape("0.0.0.0"), 1010).unwrap();
        let src: IpAddr = "10.0.0.1".parse().unwrap();
        let mut tuples = std::collections::BTreeSet::new();
        for server in ["10.0.0.2:80", "10.0.0.2:81", "10.0.0.3:80"] {
            let dst: SocketAddr = server.parse().unwrap();
            for _ in 0..49 {
                let id = f.ids.insert(());
                let in_use = |port| tuples.contains(&(port, dst));
                let port = f
                    .table
                    .connect_port(id, shape("10.0.0.1"), src, dst, &in_use)
                    .unwrap();
                assert!(port != 1010 && tuples.insert((port, dst)));
            }
            let id = f.ids.insert(());
            let in_use = |port| tuples.contains(&(port, dst));
            let none = f
                .table
                .connect_port(id, shape("10.0.0.1"), src, dst, &in_use);
            assert_eq!(none, Err(Error::AddressNotAvailable));
        }
    }
}
