//! Whatever comes in, the stack stands: frames made at random and good frames with something changed, by the hundred thousand.

use std::io::{IoSlice, IoSliceMut};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tunsock_stack::{Config, Domain, Instant, Kind, RecvFlags, SendFlags, SocketId, Stack};

const ROUNDS: usize = 250_000;

fn host(n: u8) -> Stack {
    let addrs = [format!("10.0.0.{n}/24"), format!("fd00::{n}/64")];
    let config = Config {
        addrs: addrs.iter().map(|a| a.parse().unwrap()).collect(),
        seed: [n; 32],
        ..Config::default()
    };
    Stack::new(config, Instant::from_micros(1))
}

fn collect(stack: &mut Stack, now: Instant, frames: &mut Vec<Vec<u8>>) {
    stack.transmit(now, &mut |parts| {
        frames.push(parts.iter().flat_map(|part| part.iter().copied()).collect());
    });
}

/// Frames of a peer that talks to host 1 in every way it knows: datagrams whole and in fragments, connects, ICMP by way of errors.
fn good_frames() -> Vec<Vec<u8>> {
    let now = Instant::from_micros(1);
    let (mut peer, mut frames) = (host(2), Vec::new());
    for (domain, to, closed) in [
        (Domain::V4, "10.0.0.1:53", "10.0.0.2:99"),
        (Domain::V6, "[fd00::1]:53", "[fd00::2]:99"),
    ] {
        let id = peer.socket(domain, Kind::Datagram).unwrap();
        for len in [0, 3, 1000, 5000] {
            let data = vec![7; len];
            let slices = [IoSlice::new(&data)];
            let to = Some(to.parse().unwrap());
            peer.send(now, id, &slices, SendFlags::empty(), to).unwrap();
        }
        let id = peer.socket(domain, Kind::Stream).unwrap();
        let _ = peer.connect(now, id, to.parse().unwrap());
        collect(&mut peer, now, &mut frames);
        // Errors that quote host 1's packets.
        let mut us = host(1);
        let id = us.socket(domain, Kind::Datagram).unwrap();
        let slices = [IoSlice::new(b"nobody there")];
        let to = Some(closed.parse().unwrap());
        us.send(now, id, &slices, SendFlags::empty(), to).unwrap();
        let mut out = Vec::new();
        collect(&mut us, now, &mut out);
        for frame in out {
            peer.handle_frame(now, &frame);
        }
        collect(&mut peer, now, &mut frames);
    }
    assert!(frames.len() > 15, "{}", frames.len());
    frames
}

/// Sums the IPv4 header anew so that what was changed gets past it.
fn mend_ipv4(frame: &mut [u8]) {
    let Some(header) = frame.get_mut(10..30) else {
        return;
    };
    if header[0] != 0x45 {
        return;
    }
    header[10..12].fill(0);
    let mut sum: u32 = header
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    header[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

fn mutate(frame: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    for _ in 0..rng.next_u32() % 4 + 1 {
        if frame.is_empty() {
            return;
        }
        let len = frame.len();
        // Mostly in the headers.
        let at = match rng.next_u32() % 3 {
            0 => rng.next_u32() as usize % len,
            _ => rng.next_u32() as usize % len.min(90),
        };
        match rng.next_u32() % 6 {
            0 => frame[at] ^= 1 << (rng.next_u32() % 8),
            1 => frame[at] = rng.next_u32() as u8,
            2 => frame[at] = [0, 1, 0x7f, 0x80, 0xff][rng.next_u32() as usize % 5],
            3 => frame.truncate(at),
            4 => frame.insert(at, rng.next_u32() as u8),
            _ => {
                frame.remove(at);
            }
        }
    }
}

/// What 16-bit checksums are sure to find: one bit changed behind the device's own header, or the end cut off.
fn damage(frame: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let at = 10 + rng.next_u32() as usize % (frame.len() - 10);
    match rng.next_u32() % 3 {
        0 => frame.truncate(at),
        _ => frame[at] ^= 1 << (rng.next_u32() % 8),
    }
}

fn drain(stack: &mut Stack, now: Instant, ids: &[SocketId], room: &mut [u8]) {
    for id in ids {
        let mut bufs = [IoSliceMut::new(room)];
        let _ = stack.recv(now, *id, &mut bufs, RecvFlags::empty());
    }
    while stack.poll_event().is_some() {}
}

/// A bound datagram socket and a listener of each family.
fn open_sockets(stack: &mut Stack, now: Instant) -> Vec<SocketId> {
    let mut ids = Vec::new();
    for domain in [Domain::V4, Domain::V6] {
        let at = if domain == Domain::V4 {
            "10.0.0.1:53"
        } else {
            "[fd00::1]:53"
        };
        let datagram = stack.socket(domain, Kind::Datagram).unwrap();
        stack.bind(datagram, at.parse().unwrap()).unwrap();
        let listener = stack.socket(domain, Kind::Stream).unwrap();
        stack.bind(listener, at.parse().unwrap()).unwrap();
        stack.listen(now, listener, 16).unwrap();
        ids.extend([datagram, listener]);
    }
    ids
}

#[test]
fn changed_and_random_frames_never_panic_and_good_ones_still_arrive() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let good = good_frames();
    let mut stack = host(1);
    let mut now = Instant::from_micros(1);
    let ids = open_sockets(&mut stack, now);
    let mut room = vec![0; 70_000];
    let mut out = Vec::new();
    for round in 0..ROUNDS {
        let mut frame = good[rng.next_u32() as usize % good.len()].clone();
        match round % 8 {
            0 => {
                frame.truncate(rng.next_u32() as usize % 120);
                rng.fill_bytes(&mut frame);
            }
            1 => mutate(&mut frame, &mut rng),
            _ => {
                mutate(&mut frame, &mut rng);
                mend_ipv4(&mut frame);
                // Say that the transport checksum is right, so that more gets through.
                if let Some(flags) = frame.first_mut() {
                    *flags = 2;
                }
            }
        }
        stack.handle_frame(now, &frame);
        if round % 16 == 0 {
            now = Instant::from_micros(now.as_micros() + u64::from(rng.next_u32() % 100_000));
            stack.handle_timers(now);
            out.clear();
            collect(&mut stack, now, &mut out);
            drain(&mut stack, now, &ids, &mut room);
        }
    }
    let stats = stack.stats();
    assert_eq!(stats.frames_in, ROUNDS as u64);
    assert!(stats.malformed > 10_000 && stats.bad_checksum > 1000 && stats.not_ours > 1000);

    // A minute later, with all timers run out, the host works as on the first day.
    for _ in 0..2000 {
        match stack.next_deadline() {
            Some(deadline) => now = now.max(deadline),
            None => break,
        }
        stack.handle_timers(now);
        collect(&mut stack, now, &mut out);
    }
    for _ in 0..100_000 {
        drain(&mut stack, now, &ids, &mut room);
        if ids
            .iter()
            .all(|id| stack.readable_bytes(*id).unwrap_or(0) == 0)
        {
            break;
        }
    }
    for frame in &good {
        stack.handle_frame(now, frame);
    }
    let mut bufs = [IoSliceMut::new(&mut room)];
    let mut lens = Vec::new();
    while let Ok(received) = stack.recv(now, ids[0], &mut bufs, RecvFlags::empty()) {
        lens.push(received.len);
    }
    assert_eq!(lens[lens.len() - 4..], [0, 3, 1000, 5000]);
}

/// Two hosts with a connection each way, over a wire that changes, drops, doubles and delays frames.
struct Storm {
    rng: ChaCha8Rng,
    now: Instant,
    hosts: [Stack; 2],
    wire: Vec<(usize, Vec<u8>)>,
    /// Changed frames claim that their checksums are right.
    lie: bool,
}

impl Storm {
    fn new(seed: u64, lie: bool) -> Storm {
        Storm {
            rng: ChaCha8Rng::seed_from_u64(seed),
            now: Instant::from_micros(1),
            hosts: [host(1), host(2)],
            wire: Vec::new(),
            lie,
        }
    }

    fn step(&mut self) {
        self.now =
            Instant::from_micros(self.now.as_micros() + u64::from(self.rng.next_u32() % 9000));
        for from in 0..2 {
            self.hosts[from].handle_timers(self.now);
            let mut frames = Vec::new();
            collect(&mut self.hosts[from], self.now, &mut frames);
            while self.hosts[from].poll_event().is_some() {}
            self.wire
                .extend(frames.into_iter().map(|frame| (from, frame)));
        }
        for _ in 0..self.wire.len() {
            let at = match self.rng.next_u32() % 4 {
                0 => self.rng.next_u32() as usize % self.wire.len(),
                _ => 0,
            };
            let (from, mut frame) = self.wire.remove(at);
            match self.rng.next_u32() % 32 {
                0 => continue,
                1 => self.wire.push((from, frame.clone())),
                2..5 => {
                    if self.lie {
                        mutate(&mut frame, &mut self.rng);
                        mend_ipv4(&mut frame);
                    } else {
                        damage(&mut frame, &mut self.rng);
                    }
                    if let (true, Some(flags)) = (self.lie, frame.first_mut()) {
                        *flags = 2;
                    }
                }
                _ => {}
            }
            self.hosts[1 - from].handle_frame(self.now, &frame);
        }
    }
}

/// Sends a known stream both ways through the storm; what was read of it on each side.
fn transfer(storm: &mut Storm, domain: Domain, steps: usize) -> [Vec<u8>; 2] {
    let (at, flags) = match domain {
        Domain::V4 => ("10.0.0.2:80", RecvFlags::empty()),
        Domain::V6 => ("[fd00::2]:80", RecvFlags::empty()),
    };
    let now = storm.now;
    let [a, b] = &mut storm.hosts;
    let listener = b.socket(domain, Kind::Stream).unwrap();
    b.bind(listener, at.parse().unwrap()).unwrap();
    b.listen(now, listener, 4).unwrap();
    let client = a.socket(domain, Kind::Stream).unwrap();
    let _ = a.connect(now, client, at.parse().unwrap());
    let mut ends: [Option<SocketId>; 2] = [Some(client), None];
    let (mut sent, mut got) = ([0usize; 2], [Vec::new(), Vec::new()]);
    let mut room = vec![0; 5000];
    for _ in 0..steps {
        storm.step();
        if let (None, Ok((id, _))) = (ends[1], storm.hosts[1].accept(storm.now, listener)) {
            ends[1] = Some(id);
        }
        for side in 0..2 {
            let Some(id) = ends[side] else {
                continue;
            };
            let data: Vec<u8> = (sent[side]..sent[side] + 3000).map(pattern).collect();
            let host = &mut storm.hosts[side];
            let slices = [IoSlice::new(&data)];
            sent[side] += host
                .send(storm.now, id, &slices, SendFlags::empty(), None)
                .unwrap_or(0);
            let mut bufs = [IoSliceMut::new(&mut room)];
            if let Ok(received) = host.recv(storm.now, id, &mut bufs, flags) {
                got[side].extend_from_slice(&room[..received.len]);
            }
        }
    }
    got
}

fn pattern(at: usize) -> u8 {
    (at * 31 + at / 253) as u8
}

#[test]
fn streams_come_through_a_storm_whole_because_checksums_are_looked_at() {
    for domain in [Domain::V4, Domain::V6] {
        let mut storm = Storm::new(21, false);
        for (side, got) in transfer(&mut storm, domain, 3000).iter().enumerate() {
            assert!(got.len() > 100_000, "side {side}: {} bytes", got.len());
            let wrong = (0..got.len()).find(|&at| got[at] != pattern(at));
            assert_eq!(wrong, None, "side {side}");
        }
    }
}

#[test]
fn connections_under_forged_segments_never_panic() {
    for seed in 0..60 {
        let domain = [Domain::V4, Domain::V6][seed as usize % 2];
        let mut storm = Storm::new(seed, true);
        transfer(&mut storm, domain, 400);
    }
}
