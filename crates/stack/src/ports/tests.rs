//! Who may have which port, and how it is chosen.

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
        self.table.bind(proto, id, shape, port, 0).map(|_| id)
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
    assert_eq!(f.table.shapes_at(TCP, 80).count(), 2);
    assert!(f.bind(TCP, shape("10.0.0.1"), 80).is_err());
}

#[test]
fn a_hold_outlives_its_socket() {
    let mut f = fixture((1, 9));
    let id = f.bind(TCP, shape("0.0.0.0"), 80).unwrap();
    let hold = f.table.share(id).unwrap();
    f.table.release(id);
    assert!(f.bind(TCP, shape("0.0.0.0"), 80).is_err());
    f.table.release_hold(hold);
    assert!(f.bind(TCP, shape("0.0.0.0"), 80).is_ok());
    assert!(f.table.buckets.len() == 1 && f.table.held.len() == 1);
}

#[test]
fn a_hold_fits_into_an_octet() {
    let local: IpAddr = "10.0.0.1".parse().unwrap();
    for addr in ["10.0.0.1", "0.0.0.0", "::"] {
        for bits in 0..16u8 {
            let bit = |n: u8| bits & (1 << n) != 0;
            let mut shape = Shape::new(addr.parse().unwrap(), bit(0), bit(1), bit(2));
            shape.connected = bit(3);
            let hold = Hold {
                proto: TCP,
                port: 80,
                shape,
            };
            let packed = hold.pack(local).expect("fits");
            assert_eq!(packed.unpack(local, 80), hold);
        }
    }
    let elsewhere = Hold {
        proto: TCP,
        port: 80,
        shape: shape("10.0.0.2"),
    };
    assert_eq!(elsewhere.pack(local), None);
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
        let port = f.table.bind(UDP, id, reuse("0.0.0.0"), 0, 0).unwrap();
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
                .connect_port(id, shape("10.0.0.1"), (src, dst), 0, &in_use)
                .unwrap();
            assert!(port != 1010 && tuples.insert((port, dst)));
        }
        let id = f.ids.insert(());
        let in_use = |port| tuples.contains(&(port, dst));
        let none = f
            .table
            .connect_port(id, shape("10.0.0.1"), (src, dst), 0, &in_use);
        assert_eq!(none, Err(Error::AddressNotAvailable));
    }
}

/// The ports that are taken towards somebody, as a stack's table of 4-tuples knows them.
struct World {
    f: Fixture,
    taken: std::collections::HashMap<(u16, SocketAddr), SocketId>,
}

const SRC: &str = "10.0.0.1";

impl World {
    fn new(ports: (u16, u16)) -> World {
        World {
            f: fixture(ports),
            taken: Default::default(),
        }
    }

    fn connect(&mut self, dst: SocketAddr) -> Result<u16> {
        self.connect_of(dst, 0)
    }

    /// With IP_LOCAL_PORT_RANGE.
    fn connect_of(&mut self, dst: SocketAddr, own: u32) -> Result<u16> {
        let id = self.f.ids.insert(());
        let taken = &self.taken;
        let in_use = |port| taken.contains_key(&(port, dst));
        let src = SRC.parse().unwrap();
        let port = (self.f.table).connect_port(id, shape(SRC), (src, dst), own, &in_use)?;
        let before = self.taken.insert((port, dst), id);
        assert!(before.is_none(), "port {port} given twice");
        Ok(port)
    }

    fn close(&mut self, port: u16, dst: SocketAddr) {
        let id = self.taken.remove(&(port, dst)).unwrap();
        self.f.table.release(id);
    }

    /// Looks that `what` takes.
    fn looks<T>(&mut self, what: impl FnOnce(&mut World) -> T) -> (u64, T) {
        let before = self.f.table.looks;
        let result = what(self);
        (self.f.table.looks - before, result)
    }
}

#[test]
fn the_last_ports_to_a_destination_are_found_without_looking_at_all() {
    let mut w = World::new((32768, 60999));
    let all: u16 = 28232;
    let servers: [SocketAddr; 3] =
        ["10.0.0.2:80", "10.0.0.3:80", "10.0.0.2:81"].map(|server| server.parse().unwrap());
    for dst in servers {
        let (looks, _) = w.looks(|w| {
            for n in 0..all {
                let (looks, port) = w.looks(|w| w.connect(dst).unwrap());
                // Linux: first the ports of the first one's parity.
                assert_eq!(port % 2 == 0, n < all / 2, "port {port} as number {n}");
                assert!(looks <= u64::from(WALK + STRIKES) + 1, "{looks} looks");
            }
        });
        assert!(looks <= 2 * u64::from(all), "{looks} looks for {all} ports");
        let (looks, none) = w.looks(|w| w.connect(dst));
        assert_eq!((looks, none), (0, Err(Error::AddressNotAvailable)));
    }
    // Full to all three: a port that becomes free to one of them is found at once, by that one alone.
    for round in 0..1000u16 {
        let dst = servers[usize::from(round) % 3];
        let port = 32768 + round.wrapping_mul(7919) % all;
        w.close(port, dst);
        let (looks, again) = w.looks(|w| w.connect(dst));
        assert_eq!(again, Ok(port));
        assert!(looks <= 1, "{looks} looks");
        for other in servers {
            let (looks, none) = w.looks(|w| w.connect(other));
            assert_eq!(none, Err(Error::AddressNotAvailable));
            assert!(looks <= 1, "{looks} looks for none");
        }
    }
    // A socket may lose its 4-tuple and keep its port.
    w.taken.remove(&(40_000, servers[0]));
    w.f.table
        .vacated(SocketAddr::new(SRC.parse().unwrap(), 40_000), servers[0]);
    assert_eq!(w.connect(servers[0]), Ok(40_000));
}

#[test]
fn many_destinations_in_want_forget_each_other_and_find_what_is_left() {
    let mut w = World::new((1000, 1199));
    let servers: Vec<SocketAddr> = (0..100)
        .map(|n| SocketAddr::from(([10, 0, 1, n], 80)))
        .collect();
    for _ in 0..200 {
        for dst in &servers {
            assert!(w.connect(*dst).is_ok());
        }
    }
    for dst in &servers {
        assert_eq!(w.connect(*dst), Err(Error::AddressNotAvailable));
        w.close(1100, *dst);
        assert_eq!(w.connect(*dst), Ok(1100));
    }
}

#[test]
fn binds_to_port_0_look_no_further_than_they_must() {
    for (proto, shape) in [(UDP, shape("0.0.0.0")), (TCP, reuse("0.0.0.0"))] {
        let mut f = fixture((32768, 60999));
        let ids: Vec<SocketId> = (0..28232)
            .map(|_| f.bind(proto, shape, 0).expect("a port is left"))
            .collect();
        let looks = f.table.looks;
        assert!(looks < 40 * 28232, "{looks} looks");
        if proto == UDP {
            assert_eq!(f.bind(proto, shape, 0), Err(Error::AddressInUse));
            assert_eq!(f.table.looks, looks);
        }
        f.table.release(ids[5000]);
        assert!(f.bind(proto, shape, 0).is_ok());
        assert!(f.table.looks <= looks + 2);
    }
}

fn own(first: u32, last: u32) -> u32 {
    last << 16 | first
}

#[test]
fn a_range_of_ones_own_counts_where_it_lies_within_the_others() {
    let of = |own| {
        let range = Range::new(1000, 1999).narrowed(own);
        let halves = range.halves();
        let ports: Vec<u16> = (0..halves[0].len + halves[1].len)
            .map(|place| range.port(place))
            .collect();
        assert_eq!(
            ports.len(),
            1 + usize::from(ports.iter().max().unwrap() - ports.iter().min().unwrap())
        );
        (*ports.iter().min().unwrap(), *ports.iter().max().unwrap())
    };
    assert_eq!(of(0), (1000, 1999));
    assert_eq!(of(own(1100, 1199)), (1100, 1199));
    assert_eq!(of(own(1100, 0)), (1100, 1999));
    assert_eq!(of(own(0, 1199)), (1000, 1199));
    assert_eq!(of(own(500, 1199)), (1000, 1199));
    assert_eq!(of(own(1100, 2500)), (1100, 1999));
    assert_eq!(of(own(2500, 3000)), (1000, 1999));
    assert_eq!(of(own(1100, 1100)), (1100, 1100));
}

#[test]
fn sockets_with_ranges_of_their_own_find_each_of_their_ports_and_no_other() {
    let mut w = World::new((1000, 60999));
    let dst: SocketAddr = "10.0.0.2:80".parse().unwrap();
    let (low, high) = (own(2000, 2999), own(2500, 3499));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let (looks, port) = w.looks(|w| w.connect_of(dst, low).unwrap());
        assert!((2000..=2999).contains(&port) && seen.insert(port));
        assert!(looks <= u64::from(WALK + STRIKES) + 1, "{looks} looks");
    }
    for _ in 0..500 {
        let port = w.connect_of(dst, high).unwrap();
        assert!((3000..=3499).contains(&port) && seen.insert(port));
    }
    for (range, freed) in [
        (low, 2000),
        (low, 2999),
        (high, 2500),
        (high, 3499),
        (low, 2700),
    ] {
        for range in [low, high] {
            assert_eq!(w.connect_of(dst, range), Err(Error::AddressNotAvailable));
        }
        w.close(freed, dst);
        let (looks, port) = w.looks(|w| w.connect_of(dst, range));
        assert_eq!(port, Ok(freed));
        assert!(looks <= 1, "{looks} looks");
    }
    assert!(w.connect(dst).is_ok());
    // bind(2) too, and identifiers of pings are nobody's ports.
    let mut f = fixture((1000, 1001));
    let bind = |f: &mut Fixture, proto, own| {
        let id = f.ids.insert(());
        f.table.bind(proto, id, shape("0.0.0.0"), 0, own)
    };
    assert_eq!(bind(&mut f, UDP, own(1001, 1001)), Ok(1001));
    assert_eq!(bind(&mut f, UDP, own(1001, 1001)), Err(Error::AddressInUse));
    assert_eq!(bind(&mut f, UDP, 0), Ok(1000));
    for _ in 0..100 {
        assert!(bind(&mut f, Kind::Ping, 0).is_ok());
    }
}
