//! A fuzzer from a seed: frames of two stacks that talk to each other, changed in every way, and frames out of nothing. No panic,
//! no invariant broken, memory bounded.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use tunsock_stack::{
    Config, Domain, Instant, Kind, RecvFlags, SendFlags, Shutdown, SocketId, Stack,
};

use crate::dice::Dice;
use crate::packet::{VNET, mend};
use crate::world::{ECHO, PORT, address};

/// Frames kept to be changed.
const CORPUS: usize = 128;
/// Connections that each side tries to have.
const CONNECTIONS: usize = 6;
/// Buffer of every socket, octets.
const BUFFER: usize = 65_536;
/// Sockets that a listener's queue may hold beside.
const BACKLOG: usize = 16;

/// Numbers at which arithmetic goes wrong.
const INTERESTING: [u32; 11] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    u32::MAX,
];

/// Two stacks, and somebody between them.
struct Fuzz {
    dice: Dice,
    now: Instant,
    stacks: [Stack; 2],
    listeners: [SocketId; 2],
    echoes: [SocketId; 2],
    /// What each side's programs have open.
    open: [Vec<SocketId>; 2],
    corpus: Vec<Vec<u8>>,
}

/// Runs `frames` changed frames through two stacks; what did not hold, if anything.
pub fn mutate(seed: u64, frames: u64) -> Result<(), String> {
    let mut fuzz = Fuzz::new(seed)?;
    for n in 0..frames {
        fuzz.step();
        if n.is_multiple_of(32) {
            fuzz.look()
                .map_err(|words| format!("seed {seed}, frame {n}: {words}"))?;
        }
    }
    fuzz.end().map_err(|words| format!("seed {seed}: {words}"))
}

impl Fuzz {
    fn new(seed: u64) -> Result<Fuzz, String> {
        let now = Instant::from_micros(1_000_000);
        let mut made = Vec::new();
        for host in 0..2 {
            let (stack, listener, echo) =
                Fuzz::host(seed, host, now).map_err(|e| format!("host: {e:?}"))?;
            made.push((stack, listener, echo));
        }
        let [(a, la, ea), (b, lb, eb)]: [_; 2] =
            made.try_into().map_err(|_| "two hosts".to_string())?;
        Ok(Fuzz {
            dice: Dice::new(seed, 3),
            now,
            stacks: [a, b],
            listeners: [la, lb],
            echoes: [ea, eb],
            open: [Vec::new(), Vec::new()],
            corpus: Vec::new(),
        })
    }

    fn host(
        seed: u64,
        host: usize,
        now: Instant,
    ) -> tunsock_stack::Result<(Stack, SocketId, SocketId)> {
        let mut key = [host as u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let nets = [
            format!("{}/16", address(host, false)),
            format!("{}/64", address(host, true)),
        ];
        let mut stack = Stack::new(
            Config {
                addrs: nets.iter().filter_map(|net| net.parse().ok()).collect(),
                seed: key,
                tcp_wmem: [4096, BUFFER, BUFFER],
                tcp_rmem: [4096, BUFFER, BUFFER],
                buf_max: BUFFER,
                ..Config::default()
            },
            now,
        );
        let any = |port| SocketAddr::new([0u16; 8].into(), port);
        let listener = stack.socket(Domain::V6, Kind::Stream)?;
        stack.bind(listener, any(PORT))?;
        stack.listen(now, listener, BACKLOG)?;
        let echo = stack.socket(Domain::V6, Kind::Datagram)?;
        stack.bind(echo, any(ECHO))?;
        Ok((stack, listener, echo))
    }

    fn step(&mut self) {
        let by = std::time::Duration::from_micros(self.dice.spread(1, 200_000));
        self.now = self.now + by;
        for host in 0..2 {
            if self.stacks[host]
                .next_deadline()
                .is_some_and(|at| at <= self.now)
            {
                self.stacks[host].handle_timers(self.now);
            }
            self.act(host);
            self.exchange(host);
        }
        let mut frame = self.some_frame();
        for _ in 0..self.dice.range(1, 4) {
            self.change(&mut frame);
        }
        if self.dice.percent(75) {
            mend(&mut frame);
        }
        let to = self.dice.below(2) as usize;
        self.stacks[to].handle_frame(self.now, &frame);
    }

    /// Frames cross the wire, some do not arrive; all are remembered.
    fn exchange(&mut self, from: usize) {
        let mut frames = Vec::new();
        self.stacks[from].transmit(self.now, &mut |parts| {
            frames.push(
                parts
                    .iter()
                    .flat_map(|p| p.iter().copied())
                    .collect::<Vec<u8>>(),
            );
        });
        for frame in frames {
            if !self.dice.percent(10) {
                self.stacks[1 - from].handle_frame(self.now, &frame);
            }
            if self.corpus.len() < CORPUS {
                self.corpus.push(frame);
            } else {
                let at = self.dice.below(CORPUS as u64) as usize;
                self.corpus[at] = frame;
            }
        }
        while self.stacks[from].poll_event().is_some() {}
    }

    /// The programs of a host: they open, write, read and close without any plan.
    fn act(&mut self, host: usize) {
        let (now, d) = (self.now, &mut self.dice);
        let (stack, open) = (&mut self.stacks[host], &mut self.open[host]);
        while let Ok((id, _)) = stack.accept(now, self.listeners[host]) {
            open.push(id);
        }
        if open.len() < CONNECTIONS && d.percent(30) {
            let v6 = d.percent(50);
            let domain = if v6 { Domain::V6 } else { Domain::V4 };
            if let Ok(id) = stack.socket(domain, Kind::Stream) {
                let _ = stack.connect(now, id, SocketAddr::new(address(1 - host, v6), PORT));
                open.push(id);
            }
        }
        let mut buf = [0; 4096];
        let mut kept = Vec::new();
        for id in open.drain(..) {
            let data = [d.any() as u8; 3000];
            let len = d.below(3000) as usize;
            match d.below(40) {
                0 => {
                    stack.close(now, id);
                    continue;
                }
                1 => drop(stack.shutdown(now, id, Shutdown::Write)),
                2..=6 => {
                    let flags = d.pick(&[SendFlags::empty(), SendFlags::OOB, SendFlags::MORE]);
                    let _ = stack.send(now, id, &[IoSlice::new(&data[..len])], flags, None);
                }
                7..=30 => {
                    let flags = d.pick(&[RecvFlags::empty(), RecvFlags::PEEK, RecvFlags::OOB]);
                    let _ = stack.recv(now, id, &mut [IoSliceMut::new(&mut buf)], flags);
                }
                _ => {}
            }
            let over = stack.state(id) == Ok(tunsock_stack::State::Closed);
            if over && d.percent(20) {
                stack.close(now, id);
            } else {
                kept.push(id);
            }
        }
        *open = kept;
        if d.percent(5) {
            let to = SocketAddr::new(address(1 - host, true), ECHO);
            let data = vec![7; d.spread(1, 5000) as usize];
            let echo = self.echoes[host];
            let _ = stack.send(
                now,
                echo,
                &[IoSlice::new(&data)],
                SendFlags::empty(),
                Some(to),
            );
            let _ = stack.recv(
                now,
                echo,
                &mut [IoSliceMut::new(&mut buf)],
                RecvFlags::empty(),
            );
        }
    }

    fn some_frame(&mut self) -> Vec<u8> {
        let n = self.corpus.len() as u64;
        if n == 0 || self.dice.percent(2) {
            let mut frame = vec![0; self.dice.spread(1, 2000) as usize];
            self.dice.fill(&mut frame);
            return frame;
        }
        let at = self.dice.below(n) as usize;
        self.corpus[at].clone()
    }

    /// One change.
    fn change(&mut self, frame: &mut Vec<u8>) {
        let d = &mut self.dice;
        let len = frame.len() as u64;
        let v6 = frame.get(VNET).is_some_and(|b| b >> 4 == 6);
        match d.below(16) {
            0..=2 => {
                let at = VNET as u64 + d.below(len.saturating_sub(VNET as u64));
                put(frame, at as usize, &[d.any() as u8]);
            }
            3 => frame.truncate(d.below(len + 1) as usize),
            4 => frame.resize((len + d.spread(1, 3000)) as usize, d.any() as u8),
            5 => {
                let at = VNET as u64 + d.below(60);
                put(frame, at as usize, &d.pick(&INTERESTING).to_be_bytes());
            }
            6..=12 => change_tcp(d, frame, VNET + if v6 { 40 } else { 20 }),
            // IP: protocol, lengths, fragment fields.
            13 => {
                let proto = d.pick(&[0, 1, 6, 17, 43, 44, 58, 59, 60, 255]);
                put(frame, VNET + if v6 { 6 } else { 9 }, &[proto]);
            }
            14 => put(
                frame,
                VNET + d.pick(&[0, 2, 4, 6]),
                &(d.any() as u16).to_be_bytes(),
            ),
            // What the device says.
            _ => {
                let at = d.below(VNET as u64) as usize;
                put(frame, at, &[d.pick(&[0, 1, 2, 3, 4, 5, 0x80, 255])]);
            }
        }
    }

    /// Nothing broken, nothing grown without bound.
    fn look(&mut self) -> Result<(), String> {
        for host in 0..2 {
            self.exchange(host);
            self.stacks[host]
                .audit()
                .map_err(|e| format!("h{host}: {e}"))?;
            let c = self.stacks[host].census();
            let sockets = self.open[host].len() + 2 + BACKLOG + 1;
            // Orphans are bounded by what the programs have closed in the time that an orphan may live.
            let orphans = 4000;
            let chunks = c.sockets * (2 * BUFFER / 4096 + 4);
            if c.sockets > sockets + orphans || c.chunks > chunks || c.half_open > 200 {
                return Err(format!("h{host}: {c:?}"));
            }
            if c.deadlines > 2 * (c.sockets + c.half_open) + 64 * c.time_wait + 1100 {
                return Err(format!("h{host}: too many deadlines: {c:?}"));
            }
        }
        Ok(())
    }

    /// Everything is closed and goes.
    fn end(&mut self) -> Result<(), String> {
        for host in 0..2 {
            let all = std::mem::take(&mut self.open[host]);
            for id in all
                .into_iter()
                .chain([self.listeners[host], self.echoes[host]])
            {
                self.stacks[host].close(self.now, id);
            }
        }
        for _ in 0..200_000 {
            self.exchange(0);
            self.exchange(1);
            let next = self.stacks.iter().filter_map(Stack::next_deadline).min();
            let Some(at) = next else { break };
            self.now = self.now.max(at);
            self.stacks
                .iter_mut()
                .for_each(|s| s.handle_timers(self.now));
        }
        for (host, stack) in self.stacks.iter().enumerate() {
            stack
                .audit()
                .map_err(|e| format!("h{host} at the end: {e}"))?;
            if !stack.census().is_empty() {
                return Err(format!(
                    "h{host} is not empty at the end: {:?} {:?}",
                    stack.census(),
                    stack.sockets()
                ));
            }
        }
        Ok(())
    }
}

/// Changes a TCP header at `at`: control bits, sequence and acknowledgement number, data offset, window, urgent pointer, options.
fn change_tcp(d: &mut Dice, frame: &mut [u8], at: usize) {
    match d.below(7) {
        0 | 1 => put(frame, at + 13, &[d.any() as u8]),
        2 | 3 => {
            let at = at + d.pick(&[4, 8]);
            let old = get32(frame, at);
            let by = d.spread(1, 100_000) as u32;
            let new = if d.percent(50) {
                old.wrapping_add(by)
            } else {
                old.wrapping_sub(by)
            };
            put(frame, at, &new.to_be_bytes());
        }
        4 => put(frame, at + 12, &[d.any() as u8]),
        5 => put(
            frame,
            at + d.pick(&[14, 18]),
            &(d.any() as u16).to_be_bytes(),
        ),
        _ => {
            let at = at + 20 + d.below(40) as usize;
            let kind = d.pick(&[0, 1, 2, 3, 4, 5, 8, 19, 34, 254]);
            put(frame, at, &[kind, d.below(42) as u8]);
        }
    }
}

/// Overwrites what is there.
fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    for (slot, byte) in frame.iter_mut().skip(at).zip(bytes) {
        *slot = *byte;
    }
}

fn get32(frame: &[u8], at: usize) -> u32 {
    let word = frame.get(at..at + 4).and_then(|b| b.try_into().ok());
    word.map_or(0, u32::from_be_bytes)
}
