//! Two stacks on a link in virtual time: what every test of behaviour between two hosts starts from.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses its part

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tunsock_stack::*;

/// What a frame's fate depends on: direction (0: from `a`), and its number in that direction.
pub type Filter = Box<dyn FnMut(usize, u64, &[u8]) -> Fate>;

/// What becomes of a frame.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It arrives after the link's latency.
    Arrive,
    /// It is lost.
    Lose,
    /// It arrives this much later than others.
    Late(Duration),
    /// It arrives twice.
    Twice,
}

/// A narrow place on the way from host 0 to host 1.
#[derive(Clone, Debug)]
pub struct Bottleneck {
    /// Octets a second.
    pub rate: u64,
    /// Octets that may wait before it.
    pub queue: u64,
    /// Packets with more than this waiting before them are marked if they can be (CE); else they pass.
    pub mark_above: u64,
    /// When the last octet will be through.
    free_at: Instant,
    /// Octets carried, packets dropped for want of room, packets marked.
    pub carried: u64,
    pub dropped: u64,
    pub marked: u64,
    /// The longest wait since it was last looked at.
    pub longest: Duration,
}

impl Bottleneck {
    pub fn new(rate: u64, queue: u64) -> Bottleneck {
        Bottleneck {
            rate,
            queue,
            mark_above: u64::MAX,
            free_at: Instant::ZERO,
            carried: 0,
            dropped: 0,
            marked: 0,
            longest: Duration::ZERO,
        }
    }

    /// When the packet is through; `None`: no room.
    fn carry(&mut self, now: Instant, packet: &mut [u8]) -> Option<Duration> {
        let len = packet.len() as u64;
        let wait = self.free_at.since(now);
        let waiting = wait.as_micros() as u64 * self.rate / 1_000_000;
        if waiting + len > self.queue && waiting > 0 {
            self.dropped += 1;
            return None;
        }
        if waiting > self.mark_above && packet[0] >> 4 == 4 && packet[1] & 3 == 2 {
            self.marked += 1;
            packet[1] |= 3;
            // RFC 1624: the header's sum is one less by what the field is more.
            let sum = u32::from(u16::from_be_bytes([packet[10], packet[11]]));
            let sum = sum + 0xffff - 1;
            let sum = (sum & 0xffff) + (sum >> 16);
            packet[10..12].copy_from_slice(&(sum as u16).to_be_bytes());
        }
        self.carried += len;
        self.longest = self.longest.max(wait);
        self.free_at =
            self.free_at.max(now) + Duration::from_nanos(len * 1_000_000_000 / self.rate);
        Some(self.free_at.since(now))
    }
}

/// Two hosts, 10.0.0.1 / fd00::1 and 10.0.0.2 / fd00::2.
pub struct Pair {
    pub hosts: [Stack; 2],
    pub now: Instant,
    pub latency: Duration,
    pub filter: Filter,
    pub bottleneck: Option<Bottleneck>,
    /// Frames sent so far per direction.
    pub sent: [u64; 2],
    /// The last frames, for looking at: direction and the IP packet.
    pub log: Vec<(usize, Vec<u8>)>,
    wire: VecDeque<(Instant, u64, usize, Vec<u8>)>,
    count: u64,
}

pub fn addr(host: usize, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from([10, 0, 0, 1 + host as u8]), port)
}

pub fn addr6(host: usize, port: u16) -> SocketAddr {
    SocketAddr::new(
        IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1 + host as u16]),
        port,
    )
}

pub fn config(host: usize) -> Config {
    Config {
        addrs: vec![
            format!("10.0.0.{}/24", host + 1).parse().expect("prefix"),
            format!("fd00::{}/64", host + 1).parse().expect("prefix"),
        ],
        seed: [host as u8 + 1; 32],
        ..Config::default()
    }
}

impl Pair {
    pub fn new() -> Pair {
        Pair::with(config(0), config(1))
    }

    pub fn with(a: Config, b: Config) -> Pair {
        let now = Instant::from_micros(1_000_000);
        Pair {
            hosts: [Stack::new(a, now), Stack::new(b, now)],
            now,
            latency: Duration::from_millis(1),
            filter: Box::new(|_, _, _| Fate::Arrive),
            bottleneck: None,
            sent: [0; 2],
            log: Vec::new(),
            wire: VecDeque::new(),
            count: 0,
        }
    }

    fn put(&mut self, at: Instant, from: usize, frame: Vec<u8>) {
        self.count += 1;
        let entry = (at, self.count, from, frame);
        let place = self
            .wire
            .partition_point(|other| (other.0, other.1) <= (entry.0, entry.1));
        self.wire.insert(place, entry);
    }

    fn flush(&mut self, host: usize) {
        let mut frames = Vec::new();
        self.hosts[host].transmit(self.now, &mut |parts| {
            frames.push(
                parts
                    .iter()
                    .flat_map(|p| p.iter().copied())
                    .collect::<Vec<u8>>(),
            );
        });
        for mut frame in frames {
            let number = self.sent[host];
            self.sent[host] += 1;
            let mut due = self.now + self.latency;
            if let Some(narrow) = self.bottleneck.as_mut().filter(|_| host == 0) {
                let Some(wait) = narrow.carry(self.now, &mut frame[10..]) else {
                    continue;
                };
                due = due + wait;
            } else if self.bottleneck.is_none() {
                self.log.push((host, frame[10..].to_vec()));
            }
            match (self.filter)(host, number, &frame[10..]) {
                Fate::Arrive => self.put(due, host, frame),
                Fate::Lose => {}
                Fate::Late(by) => self.put(due + by, host, frame),
                Fate::Twice => {
                    self.put(due, host, frame.clone());
                    self.put(due, host, frame);
                }
            }
        }
    }

    /// One step: whatever is next, a frame's arrival or a deadline. False when nothing will happen any more.
    pub fn step(&mut self) -> bool {
        self.flush(0);
        self.flush(1);
        let arrival = self.wire.front().map(|(at, ..)| *at);
        let next = [
            arrival,
            self.hosts[0].next_deadline(),
            self.hosts[1].next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min();
        let Some(next) = next else { return false };
        self.now = self.now.max(next);
        for host in &mut self.hosts {
            host.handle_timers(self.now);
        }
        while let Some((at, _, from, _)) = self.wire.front()
            && *at <= self.now
        {
            let to = 1 - *from;
            let (_, _, _, frame) = self.wire.pop_front().expect("looked at");
            let len = frame.len();
            self.hosts[to].handle_buffer(self.now, &mut frame.into_boxed_slice(), len);
        }
        self.flush(0);
        self.flush(1);
        true
    }

    /// Steps until `done` or for `span` of virtual time at most; true when done.
    pub fn run(&mut self, span: Duration, mut done: impl FnMut(&mut Pair) -> bool) -> bool {
        let end = self.now + span;
        for _ in 0..2_000_000 {
            if done(self) {
                return true;
            }
            if self.now >= end {
                return false;
            }
            if !self.step() {
                return done(self);
            }
        }
        panic!("livelock: two million steps");
    }

    /// Lets `span` pass.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.flush(0);
            self.flush(1);
            let arrival = self.wire.front().map(|(at, ..)| *at);
            let next = [
                arrival,
                self.hosts[0].next_deadline(),
                self.hosts[1].next_deadline(),
            ]
            .into_iter()
            .flatten()
            .min();
            match next {
                Some(next) if next <= end => {
                    self.step();
                }
                _ => break,
            }
        }
        self.now = self.now.max(end);
    }

    pub fn socket(&mut self, host: usize, kind: Kind) -> SocketId {
        self.hosts[host].socket(Domain::V4, kind).expect("socket")
    }

    /// A listener on `host` at `port`.
    pub fn listener(&mut self, host: usize, port: u16) -> SocketId {
        let id = self.socket(host, Kind::Stream);
        self.hosts[host].bind(id, addr(host, port)).expect("bind");
        self.hosts[host].listen(self.now, id, 16).expect("listen");
        id
    }

    /// A connection from host 0 to host 1's `port`: client, server, listener.
    pub fn connected(&mut self, port: u16) -> (SocketId, SocketId, SocketId) {
        let listener = self.listener(1, port);
        let client = self.socket(0, Kind::Stream);
        assert_eq!(
            self.hosts[0].connect(self.now, client, addr(1, port)),
            Err(Error::InProgress)
        );
        let mut server = None;
        assert!(self.run(Duration::from_secs(60), |p| {
            if server.is_none() {
                server = p.hosts[1].accept(p.now, listener).ok().map(|(id, _)| id);
            }
            server.is_some() && p.hosts[0].state(client) == Ok(State::Established)
        }));
        assert_eq!(
            self.hosts[0].connect(self.now, client, addr(1, port)),
            Ok(())
        );
        (client, server.expect("accepted"), listener)
    }

    pub fn send(&mut self, host: usize, id: SocketId, data: &[u8]) -> Result<usize> {
        self.hosts[host].send(
            self.now,
            id,
            &[IoSlice::new(data)],
            SendFlags::empty(),
            None,
        )
    }

    pub fn recv(&mut self, host: usize, id: SocketId, max: usize) -> Result<Vec<u8>> {
        let mut buf = vec![0; max];
        let got = self.hosts[host].recv(
            self.now,
            id,
            &mut [IoSliceMut::new(&mut buf)],
            RecvFlags::empty(),
        )?;
        buf.truncate(got.len);
        Ok(buf)
    }

    /// Sends `data` from `from`, reads it all on the other host; what was read.
    pub fn transfer(
        &mut self,
        from: usize,
        sender: SocketId,
        receiver: SocketId,
        data: &[u8],
        span: Duration,
    ) -> Vec<u8> {
        let (mut sent, mut got) = (0, Vec::new());
        self.run(span, |p| {
            if sent < data.len()
                && let Ok(n) = p.send(from, sender, &data[sent..])
            {
                sent += n;
            }
            while let Ok(bytes) = p.recv(1 - from, receiver, 65_536) {
                if bytes.is_empty() {
                    break;
                }
                got.extend(bytes);
            }
            got.len() >= data.len()
        });
        got
    }
}

/// Bytes that no shift or repetition leaves unnoticed.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8)
        .collect()
}
