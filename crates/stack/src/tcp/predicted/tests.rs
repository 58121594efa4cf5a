//! What prediction is held against: the same traffic between two hosts, once with it and once with every segment on the general path, has to
//! look the same in every frame, event, octet, deadline and figure.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::{
    Config, Domain, Instant, Kind, Offload, RecvFlags, SendFlags, SockOpt, SocketId, Stack,
};

/// Two hosts, and what is seen of them.
struct Twins {
    hosts: [Stack; 2],
    ids: [SocketId; 2],
    now: Instant,
    ways: [VecDeque<Vec<u8>>; 2],
    rng: ChaCha8Rng,
    /// Frames of a hundred that are lost, and that come late.
    trouble: u32,
    seen: Vec<String>,
}

fn addr(host: usize, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + host as u8], port))
}

impl Twins {
    fn new(seed: u64, predicts: bool) -> Twins {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let timestamps = rng.next_u32() % 4 > 0;
        let mut hosts = [1u8, 2].map(|n| {
            let config = Config {
                addrs: vec![format!("10.0.0.{n}/24").parse().expect("a prefix")],
                timestamps,
                offload: Offload {
                    csum: seed % 8 > 1,
                    ..Offload::default()
                },
                seed: [n; 32],
                ..Config::default()
            };
            Stack::new(config, Instant::ZERO)
        });
        for host in &mut hosts {
            host.tcp.predicts_nothing = !predicts;
        }
        let ids = [0, 1].map(|host: usize| {
            let id = hosts[host].socket(Domain::V4, Kind::Stream);
            id.expect("a socket")
        });
        hosts[1].bind(ids[1], addr(1, 80)).expect("a free port");
        hosts[1].listen(Instant::ZERO, ids[1], 1).expect("bound");
        let _ = hosts[0].connect(Instant::ZERO, ids[0], addr(1, 80));
        let mut twins = Twins {
            hosts,
            ids,
            now: Instant::ZERO,
            ways: Default::default(),
            rng,
            trouble: 0,
            seen: Vec::new(),
        };
        (0..8).for_each(|_| twins.carry());
        let (child, _) = (twins.hosts[1].accept(twins.now, twins.ids[1])).expect("a connection");
        twins.ids[1] = child;
        twins.trouble = [0, 0, 2, 10][seed as usize % 4];
        twins
    }

    fn chance(&mut self, of: u32) -> u32 {
        self.rng.next_u32() % of
    }

    /// Each host sends what it has.
    fn collect(&mut self) {
        for from in 0..2 {
            let way = &mut self.ways[1 - from];
            let seen = &mut self.seen;
            self.hosts[from].transmit(self.now, &mut |frame: &[IoSlice<'_>]| {
                let frame: Vec<u8> = frame.iter().flat_map(|part| part.to_vec()).collect();
                seen.push(format!("{from} sends {frame:?}"));
                way.push_back(frame);
            });
            while let Some(event) = self.hosts[from].poll_event() {
                self.seen.push(format!("{from} event {event:?}"));
            }
            let deadline = self.hosts[from].next_deadline();
            let info = self.hosts[from].tcp_info(self.now, self.ids[from]);
            self.seen.push(format!("{from} {deadline:?} {info:?}"));
        }
    }

    /// Each host hears what has come.
    fn carry(&mut self) {
        self.collect();
        self.now = self.now + Duration::from_micros(30);
        for to in 0..2 {
            for _ in 0..self.ways[to].len() {
                let Some(frame) = self.ways[to].pop_front() else {
                    break;
                };
                let fate = self.chance(100);
                if fate < self.trouble {
                    continue;
                }
                if fate < 2 * self.trouble {
                    self.ways[to].push_back(frame);
                    continue;
                }
                let len = frame.len();
                self.hosts[to].handle_buffer(self.now, &mut frame.into_boxed_slice(), len);
            }
        }
        self.timers();
    }

    fn timers(&mut self) {
        for host in &mut self.hosts {
            if host.next_deadline().is_some_and(|due| due <= self.now) {
                host.handle_timers(self.now);
            }
        }
        self.collect();
    }

    /// Something that a program may do.
    fn act(&mut self) {
        let host = self.chance(2) as usize;
        let (id, now) = (self.ids[host], self.now);
        match self.chance(20) {
            0..=7 => {
                let most = [200, 200, 200, 1448, 5000, 60_000][self.chance(6) as usize];
                let data = vec![7; self.chance(most) as usize];
                let flags = match self.chance(20) {
                    0 => SendFlags::MORE,
                    1 => SendFlags::OOB,
                    2 => SendFlags::EOR,
                    _ => SendFlags::empty(),
                };
                let took = self.hosts[host].send(now, id, &[IoSlice::new(&data)], flags, None);
                self.seen.push(format!("{host} sent {took:?}"));
            }
            8..=15 => {
                let most = [300, 300, 4000, 100_000][self.chance(4) as usize];
                let mut room = vec![0; self.chance(most) as usize];
                let flags = match self.chance(20) {
                    0 => RecvFlags::PEEK,
                    1 => RecvFlags::OOB,
                    2 => RecvFlags::TRUNC,
                    _ => RecvFlags::empty(),
                };
                let bufs = &mut [IoSliceMut::new(&mut room)];
                let got = self.hosts[host].recv(now, id, bufs, flags);
                self.seen.push(format!("{host} got {got:?} {room:?}"));
            }
            16 => {
                let on = self.chance(2) == 1;
                let opt = [SockOpt::NoDelay(on), SockOpt::Cork(on)][self.chance(2) as usize];
                let _ = self.hosts[host].set_option(now, id, opt);
            }
            17 => {
                let pause = [50, 1000, 45_000, 300_000, 3_000_000][self.chance(5) as usize];
                self.now = now + Duration::from_micros(self.chance(pause).into());
                self.timers();
            }
            _ => self.carry(),
        }
        self.collect();
        if self.chance(3) > 0 {
            self.carry();
        }
    }
}

/// What is seen, and how many segments were predicted.
fn run(seed: u64, predicts: bool) -> (Vec<String>, usize) {
    let mut twins = Twins::new(seed, predicts);
    (0..400).for_each(|_| twins.act());
    let predicted = twins.hosts.iter().map(|host| host.tcp.predicted).sum();
    (twins.seen, predicted)
}

#[test]
fn a_predicted_segment_does_what_any_other_would() {
    let mut all = 0;
    for seed in 0..12 {
        let (general, none) = run(seed, false);
        let (seen, predicted) = run(seed, true);
        assert_eq!(none, 0);
        all += predicted;
        let first = seen.iter().zip(&general).position(|(a, b)| a != b);
        if let Some(at) = first {
            panic!("seed {seed}, {at}: {}\nwithout: {}", seen[at], general[at]);
        }
        assert_eq!(seen.len(), general.len(), "seed {seed}");
    }
    assert!(all > 1000, "{all} predicted");
}
