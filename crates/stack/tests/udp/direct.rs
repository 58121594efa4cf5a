//! The short ways of plain datagrams do what the long ones do: two hosts that differ in nothing but that one may not take them.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

/// Hosts that are told the same.
struct Twins {
    now: Instant,
    /// The second one's datagrams go the long ways.
    hosts: [Stack; 2],
    sockets: Vec<SocketId>,
    rng: ChaCha8Rng,
}

impl Twins {
    fn new(seed: u64, csum: bool) -> Twins {
        let offload = Offload {
            csum,
            ..Offload::default()
        };
        let hosts = [0, 1].map(|_| Net::with(1500, offload).hosts.into_iter().next().unwrap());
        Twins {
            now: Instant::from_micros(1_000_000),
            hosts,
            sockets: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    fn below(&mut self, n: usize) -> usize {
        self.rng.next_u32() as usize % n
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Both do the same, with the same outcome.
    fn both<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        mut act: impl FnMut(&mut Stack, Instant) -> T,
    ) -> T {
        let now = self.now;
        let [a, b] = &mut self.hosts;
        let (one, other) = (act(a, now), act(b, now));
        assert_eq!(one, other, "{what}");
        one
    }

    /// What both have to send, of which they have counted the same.
    fn out(&mut self, what: &str) -> Vec<Vec<u8>> {
        let frames = self.both(what, |stack, now| {
            let mut frames: Vec<Vec<u8>> = Vec::new();
            stack.transmit(now, &mut |parts| {
                frames.push(parts.iter().flat_map(|part| part.iter().copied()).collect());
            });
            frames
        });
        self.both(what, |stack, _| {
            let events: Vec<_> = std::iter::from_fn(|| stack.poll_event()).collect();
            (events, stack.stats())
        });
        frames
    }

    fn open(&mut self, domain: Domain, bound: &str, reuse: bool) -> SocketId {
        let id = self.both("socket", |stack, now| {
            let id = stack.socket(domain, Kind::Datagram).unwrap();
            stack
                .set_option(now, id, SockOpt::ReusePort(reuse))
                .unwrap();
            id
        });
        let _ = self.both("bind", |stack, _| stack.bind(id, addr(bound)));
        self.sockets.push(id);
        id
    }

    /// Reads what there is on one of the sockets.
    fn read(&mut self) {
        let sockets = self.sockets.clone();
        let (id, room) = (self.pick(&sockets), self.pick(&[0, 5, 2000]));
        let flags = self.pick(&[RecvFlags::empty(), RecvFlags::empty(), RecvFlags::PEEK]);
        let _ = self.both("recv", |stack, now| {
            let mut halves = (vec![0; room / 2], vec![0; room - room / 2]);
            let mut one = vec![0; room];
            let mut bufs = [
                IoSliceMut::new(&mut halves.0),
                IoSliceMut::new(&mut halves.1),
            ];
            let got = match room {
                5 => stack.recv(now, id, &mut bufs, flags),
                _ => stack.recv(now, id, &mut [IoSliceMut::new(&mut one)], flags),
            };
            (got, one, halves, stack.last_stamp(id))
        });
    }

    /// Something about the sockets changes.
    fn change(&mut self) {
        let sockets = self.sockets.clone();
        let id = self.pick(&sockets);
        let peer = self.pick(&[
            "10.0.0.2:1000",
            "10.0.0.2:2000",
            "10.0.0.3:1000",
            "[fd00::2]:7",
        ]);
        match self.below(9) {
            0 => {
                let _ = self.both("connect", |stack, now| stack.connect(now, id, addr(peer)));
            }
            1 => {
                let _ = self.both("disconnect", |stack, now| stack.disconnect(now, id));
            }
            2 => {
                self.both("close", |stack, now| stack.close(now, id));
                self.sockets.retain(|other| *other != id);
                let (domain, bound) = self.pick(&[
                    (V4, "0.0.0.0:53"),
                    (V4, "10.0.0.1:53"),
                    (V6, "[::]:53"),
                    (V4, "0.0.0.0:54"),
                    (V4, "10.0.0.1:55"),
                ]);
                let reuse = self.below(2) == 0;
                self.open(domain, bound, reuse);
            }
            change => {
                let on = self.below(2) as i32;
                let opt = match change {
                    3 => SockOpt::Ttl(self.pick(&[1, 64, 255])),
                    4 => SockOpt::Tos(self.pick(&[0, 0x10, 0xb8])),
                    5 => SockOpt::RcvBuf(self.pick(&[0, 4000, 200_000])),
                    6 => SockOpt::Number(Attribute::MtuDiscover, self.pick(&[0, 1, 2])),
                    7 => SockOpt::Number(Attribute::NoCheck, on),
                    _ => SockOpt::Number(Attribute::RecvTos, on),
                };
                let _ = self.both("option", |stack, now| stack.set_option(now, id, opt));
            }
        }
    }

    /// A frame with a datagram for host 1, or with something in it that makes it another thing.
    fn frame(&mut self) -> Vec<u8> {
        let odd = self.below(3) == 0;
        let sometimes = |rng: &mut ChaCha8Rng, plain: u32, others: &[u32]| {
            let other = others[rng.next_u32() as usize % others.len()];
            if odd && rng.next_u32().is_multiple_of(4) {
                other
            } else {
                plain
            }
        };
        let rng = &mut self.rng;
        let flags = sometimes(rng, 0, &[1, 2, 3]) as u8;
        let gso = sometimes(rng, 0, &[1, 3, 5]) as u8;
        let first = sometimes(rng, 0x45, &[0x46, 0x44, 0x65, 0x40]) as u8;
        let fragment = sometimes(rng, 0x4000, &[0, 0x2000, 0x2001, 1, 0xc000, 0x8000]) as u16;
        let ttl = sometimes(rng, 64, &[0, 1, 255]) as u8;
        let protocol = sometimes(rng, 17, &[6, 1, 99]) as u8;
        let src = [10, 0, 0, 2 + (rng.next_u32() % 2) as u8];
        let strange = [
            [127, 0, 0, 1],
            [10, 0, 0, 1],
            [10, 0, 0, 255],
            [0; 4],
            [224, 0, 0, 5],
            [255; 4],
            [240, 0, 0, 1],
            [0, 0, 0, 1],
        ];
        let src = match sometimes(rng, 99, &[0, 1, 2, 3, 4, 5, 6, 7]) {
            99 => src,
            at => strange[at as usize],
        };
        let dst = match sometimes(rng, 99, &[0, 1, 2, 4, 5]) {
            99 => [10, 0, 0, 1],
            at => strange[at as usize],
        };
        let src_port = [1000, 2000, 0][rng.next_u32() as usize % 3] as u16;
        let dst_port = [53, 54, 55, 99][rng.next_u32() as usize % 4] as u16;
        let len = [0, 1, 7, 64, 1000][rng.next_u32() as usize % 5];
        let total = [28, 27, 31][sometimes(rng, 0, &[1, 2]) as usize] + len as u16;
        let of_udp = [8, 7, 11, 0][sometimes(rng, 0, &[1, 2, 3]) as usize] + len as u16;
        let padding = sometimes(rng, 0, &[1, 4]) as usize;
        let (ip_sum, udp_sum) = (sometimes(rng, 0, &[1]), sometimes(rng, 0, &[0, 1, 2]));

        let mut packet = vec![first, 0x28];
        packet.extend(total.to_be_bytes());
        packet.extend([0, 7]);
        packet.extend(fragment.to_be_bytes());
        packet.extend([ttl, protocol, 0, 0]);
        packet.extend(src);
        packet.extend(dst);
        let sum = !sum(&packet, 0);
        packet[10..12].copy_from_slice(&(sum ^ ip_sum as u16).to_be_bytes());
        let mut datagram = Vec::new();
        datagram.extend(src_port.to_be_bytes());
        datagram.extend(dst_port.to_be_bytes());
        datagram.extend(of_udp.to_be_bytes());
        datagram.extend([0, 0]);
        datagram.extend((0..len).map(|i| (i * 7) as u8));
        let covered = datagram.get(..usize::from(of_udp)).unwrap_or(&datagram);
        let pseudo = u32::from(self::sum(&[src, dst].concat(), 0)) + 17 + u32::from(of_udp);
        let udp = match (!self::sum(covered, pseudo), udp_sum) {
            (_, 2) => 0,
            (0, 0) => 0xffff,
            (right, 0) => right,
            (right, _) => right ^ 4,
        };
        datagram[6..8].copy_from_slice(&udp.to_be_bytes());
        let gso_size = [(len / 2) as u8, 0];
        let mut frame = vec![flags, gso, 0, 0, gso_size[0], gso_size[1], 0, 0, 0, 0];
        frame.extend(packet);
        frame.extend(datagram);
        frame.extend(vec![9; padding]);
        if odd && self.below(10) == 0 {
            let len = self.below(frame.len());
            frame.truncate(len);
        }
        frame
    }

    /// One of the sockets sends, `to_many`: to any of many ends, in no order.
    fn send(&mut self, to_many: bool) -> bool {
        let sockets = self.sockets.clone();
        let id = self.pick(&sockets);
        let dest = self.pick(&[
            None,
            Some("10.0.0.2:1000"),
            Some("10.0.0.2:1000"),
            Some("10.0.0.2:0"),
            Some("10.0.0.3:2000"),
            Some("10.0.0.255:53"),
            Some("127.0.0.1:53"),
            Some("[::ffff:10.0.0.2]:1000"),
            Some("[fd00::2]:1000"),
        ]);
        let one_of_many = format!("10.0.0.{}:1000", 2 + self.below(24));
        let dest = match to_many {
            true => Some(one_of_many.as_str()),
            false => dest,
        };
        let flags = match self.below(8) {
            0 => SendFlags::MORE,
            1 => SendFlags::OOB,
            _ => SendFlags::GATHER,
        };
        let ttl = (self.below(8) == 0).then_some(3);
        let times = 1 + self.below(5);
        for _ in 0..times {
            let len = self.pick(&[0, 1, 63, 64, 1471, 1472, 1473, 5000, 65507, 65508]);
            let data: Vec<u8> = (0..len).map(|i| (i * 11) as u8).collect();
            let parts = match self.below(3) {
                0 => vec![
                    IoSlice::new(&data[..len / 3]),
                    IoSlice::new(&data[len / 3..]),
                ],
                _ => vec![IoSlice::new(&data)],
            };
            let control = SendControl {
                ttl,
                ..SendControl::default()
            };
            let to = dest.map(addr);
            let now = self.now;
            let [a, b] = &mut self.hosts;
            // What was learnt of ways is forgotten with any option.
            let _ = b.set_option(now, id, SockOpt::RcvLowat(1));
            let one = a.send_with(now, id, &parts, flags, to, &control);
            let other = b.send_with(now, id, &parts, flags, to, &control);
            assert_eq!(one, other, "{len} octets to {dest:?}");
            if !self.out("sent").is_empty() && one.is_err() {
                return false;
            }
        }
        true
    }
}

/// The ones' complement sum of 16-bit words, from `begin` on, an odd last octet filled up.
fn sum(bytes: &[u8], begin: u32) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum = begin + bytes.chunks(2).map(word).sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn open_some(twins: &mut Twins) {
    twins.open(V4, "0.0.0.0:53", false);
    twins.open(V6, "[::]:54", true);
    twins.open(V4, "10.0.0.1:55", true);
    twins.open(V4, "10.0.0.1:55", true);
}

#[test]
fn what_comes_in_is_told_alike_by_both_ways() {
    for seed in 0..4 {
        let mut twins = Twins::new(seed, false);
        // Once a socket was bound to an interface, all is looked at the long way.
        let id = twins.hosts[1].socket(V4, Kind::Datagram).unwrap();
        let bound = SockOpt::Number(Attribute::BoundIf, 1);
        twins.hosts[1].set_option(twins.now, id, bound).unwrap();
        let id = twins.hosts[0].socket(V4, Kind::Datagram).unwrap();
        twins.hosts[0]
            .set_option(twins.now, id, SockOpt::ReuseAddr(false))
            .unwrap();
        open_some(&mut twins);
        let mut arrived = 0;
        for _ in 0..4000 {
            twins.now = twins.now + std::time::Duration::from_micros(100);
            match twins.below(12) {
                0 => twins.change(),
                1..4 => twins.read(),
                _ => {
                    let frame = twins.frame();
                    twins.both("frame", |stack, now| stack.handle_frame(now, &frame));
                    arrived += 1;
                }
            }
            twins.out("answers");
        }
        assert!(arrived > 1000);
    }
}

#[test]
fn what_goes_out_is_the_same_by_both_ways() {
    for seed in 0..4 {
        let mut twins = Twins::new(seed, seed % 2 == 0);
        open_some(&mut twins);
        for _ in 0..1500 {
            twins.now = twins.now + std::time::Duration::from_micros(100);
            match twins.below(6) {
                0 => twins.change(),
                1 => twins.read(),
                2 => {
                    let frame = twins.frame();
                    twins.both("frame", |stack, now| stack.handle_frame(now, &frame));
                }
                _ => assert!(twins.send(false), "frames of a call that failed"),
            }
            twins.out("answers");
        }
    }
}

#[test]
fn what_goes_to_many_is_the_same_by_both_ways() {
    for seed in 0..3 {
        let mut twins = Twins::new(seed, seed % 2 == 0);
        twins.open(V4, "0.0.0.0:53", false);
        for round in 0..1500 {
            twins.now = twins.now + std::time::Duration::from_micros(100);
            if round % 200 == 199 {
                twins.change();
            }
            assert!(twins.send(true), "frames of a call that failed");
        }
    }
}
