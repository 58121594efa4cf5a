//! What one busy connection costs among many idle ones, and what connecting costs when ports run out: two stacks in one process, no
//! device between them.
//!
//! ```sh
//! cargo run --release -p tunsock-stack --example crowd -- 100000 200000   # idle connections, exchanges on the busy one
//! ```
//!
//! Wall-clock times are of the machine; `perf stat -e instructions:u` with no exchanges and with many tells the difference in
//! instructions.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::time::{Duration, Instant as Clock};

use tunsock_stack::*;

/// Ports that the server listens at: each takes as many connections as the client has ports.
const PORTS: u16 = 4;

struct Hosts {
    now: Instant,
    client: Stack,
    server: Stack,
    listeners: Vec<SocketId>,
    frame: Vec<u8>,
}

fn host(last: u8) -> Config {
    Config {
        addrs: vec![format!("10.0.0.{last}/24").parse().expect("prefix")],
        seed: [last; 32],
        ..Config::default()
    }
}

/// Carries every frame, one after the other; how many there were.
fn carry(now: Instant, from: &mut Stack, to: &mut Stack, frame: &mut Vec<u8>) -> u64 {
    let mut frames = 0;
    from.transmit(now, &mut |parts| {
        frame.clear();
        parts.iter().for_each(|part| frame.extend_from_slice(part));
        to.handle_frame(now, frame);
        frames += 1;
    });
    while from.poll_event().is_some() {}
    frames
}

impl Hosts {
    fn new() -> Hosts {
        let now = Instant::from_micros(1_000_000);
        let mut server = Stack::new(host(2), now);
        let listeners = (0..PORTS)
            .map(|port| {
                let id = server.socket(Domain::V4, Kind::Stream).expect("socket");
                let at = SocketAddr::from(([10, 0, 0, 2], 80 + port));
                server.bind(id, at).expect("bind");
                server.listen(now, id, 4096).expect("listen");
                id
            })
            .collect();
        Hosts {
            now,
            client: Stack::new(host(1), now),
            server,
            listeners,
            frame: Vec::new(),
        }
    }

    fn settle(&mut self) -> u64 {
        let mut all = 0;
        loop {
            let Hosts {
                now,
                client,
                server,
                frame,
                ..
            } = self;
            let n = carry(*now, client, server, frame) + carry(*now, server, client, frame);
            if n == 0 {
                return all;
            }
            all += n;
        }
    }

    fn connect(&mut self, number: usize) -> Option<(SocketId, SocketId)> {
        let which = number % usize::from(PORTS);
        let to = SocketAddr::from(([10, 0, 0, 2], 80 + which as u16));
        let id = self.client.socket(Domain::V4, Kind::Stream).ok()?;
        if self.client.connect(self.now, id, to) != Err(Error::InProgress) {
            return None;
        }
        self.settle();
        let (server, _) = self.server.accept(self.now, self.listeners[which]).ok()?;
        Some((id, server))
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = [self.client.next_deadline(), self.server.next_deadline()]
            .into_iter()
            .flatten()
            .min()
            .filter(|next| *next <= end)
        {
            self.now = self.now.max(next);
            self.client.handle_timers(self.now);
            self.server.handle_timers(self.now);
            self.settle();
        }
        self.now = end;
    }
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// A request of 64 octets and its answer; frames that it took.
fn exchange(hosts: &mut Hosts, (client, server): (SocketId, SocketId)) -> u64 {
    let mut buf = [7; 64];
    let now = hosts.now;
    let flags = SendFlags::empty();
    let _ = hosts
        .client
        .send(now, client, &[IoSlice::new(&buf)], flags, None);
    let mut frames = hosts.settle();
    let mut parts = [IoSliceMut::new(&mut buf)];
    let _ = hosts
        .server
        .recv(now, server, &mut parts, RecvFlags::empty());
    let _ = hosts
        .server
        .send(now, server, &[IoSlice::new(&buf)], flags, None);
    frames += hosts.settle();
    let mut parts = [IoSliceMut::new(&mut buf)];
    let _ = hosts
        .client
        .recv(now, client, &mut parts, RecvFlags::empty());
    hosts.now = now + Duration::from_micros(20);
    frames
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse().unwrap_or(0));
    let (idle, exchanges): (usize, u64) = (
        args.next().unwrap_or(1000) as usize,
        args.next().unwrap_or(100_000),
    );
    let mut hosts = Hosts::new();
    let busy = hosts.connect(0).expect("connected");
    let before = resident_kb();
    let began = Clock::now();
    let mut slowest = Duration::ZERO;
    for number in 1..=idle {
        let one = Clock::now();
        if hosts.connect(number).is_none() {
            println!("no connection after {number}");
            break;
        }
        slowest = slowest.max(one.elapsed());
    }
    let took = began.elapsed();
    hosts.pass(Duration::from_secs(10));
    println!(
        "{idle} idle: {:.0} connections/s, the slowest {slowest:?}; {} octets resident a side",
        idle as f64 / took.as_secs_f64(),
        (resident_kb() - before) * 1024 / (2 * idle.max(1) as u64)
    );
    let began = Clock::now();
    let mut frames = 0;
    for _ in 0..exchanges {
        frames += exchange(&mut hosts, busy);
        if let Some(next) = hosts
            .client
            .next_deadline()
            .filter(|next| *next <= hosts.now)
        {
            hosts.client.handle_timers(hosts.now.max(next));
        }
        if let Some(next) = hosts
            .server
            .next_deadline()
            .filter(|next| *next <= hosts.now)
        {
            hosts.server.handle_timers(hosts.now.max(next));
        }
    }
    if exchanges > 0 {
        println!(
            "{exchanges} exchanges on one: {:.1} ns a frame, {frames} frames",
            began.elapsed().as_nanos() as f64 / frames as f64
        );
    }
}
