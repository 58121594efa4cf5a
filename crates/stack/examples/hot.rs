//! The stack's hot paths, for counting instructions: two hosts that talk through memory, in virtual time.
//!
//! ```text
//! hot WORKLOAD COUNT
//! ```
//!
//! Everything is the same in each run, so the difference between two counts divided by the difference of the counts is what one unit
//! costs at both ends together, without the kernel. `benches/instructions` does that and compares it with what it was.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::time::Duration;

use tunsock_stack::*;

/// Room for the largest frame.
const ROOM: usize = 66 * 1024;

/// Connections to one listener: fewer than there are ephemeral ports.
const MANY: usize = 20_000;

/// Two hosts and what is on the way to each.
struct Lab {
    hosts: [Stack; 2],
    now: Instant,
    on_the_way: [VecDeque<(Box<[u8]>, usize)>; 2],
    spare: Vec<Box<[u8]>>,
}

fn addr(host: usize, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + host as u8], port))
}

impl Lab {
    fn new() -> Lab {
        let host = |n: u8| {
            let config = Config {
                addrs: vec![format!("10.0.0.{n}/24").parse().expect("a prefix")],
                offload: Offload {
                    csum: true,
                    tso4: true,
                    tso6: true,
                },
                seed: [n; 32],
                ..Config::default()
            };
            Stack::new(config, Instant::ZERO)
        };
        Lab {
            hosts: [host(1), host(2)],
            now: Instant::ZERO,
            on_the_way: Default::default(),
            spare: Vec::new(),
        }
    }

    /// Carries frames until nobody has any, 5 µs a way.
    fn carry(&mut self) {
        loop {
            for from in 0..2 {
                self.collect(from);
            }
            if self.on_the_way.iter().all(VecDeque::is_empty) {
                return;
            }
            self.now = self.now + Duration::from_micros(5);
            for to in 0..2 {
                self.deliver(to);
            }
        }
    }

    fn collect(&mut self, from: usize) {
        let (spare, way) = (&mut self.spare, &mut self.on_the_way[1 - from]);
        self.hosts[from].transmit(self.now, &mut |frame| {
            let mut buffer = spare
                .pop()
                .unwrap_or_else(|| vec![0; ROOM].into_boxed_slice());
            let mut len = 0;
            for slice in frame {
                buffer[len..len + slice.len()].copy_from_slice(slice);
                len += slice.len();
            }
            way.push_back((buffer, len));
        });
        while self.hosts[from].poll_event().is_some() {}
    }

    fn deliver(&mut self, to: usize) {
        while let Some((mut buffer, len)) = self.on_the_way[to].pop_front() {
            self.hosts[to].handle_buffer(self.now, &mut buffer, len);
            self.spare.push(buffer);
        }
        let host = &mut self.hosts[to];
        if host.next_deadline().is_some_and(|d| d <= self.now) {
            host.handle_timers(self.now);
        }
    }

    /// Lets time pass until somebody has something to do.
    fn wait(&mut self) {
        let next = self.hosts.iter().filter_map(Stack::next_deadline).min();
        self.now = self.now.max(next.expect("somebody waits for something"));
        for host in &mut self.hosts {
            host.handle_timers(self.now);
        }
    }

    /// Ten seconds in which nobody does anything: what a connection does when it falls idle is done then.
    fn rest(&mut self) {
        let end = self.now + Duration::from_secs(10);
        loop {
            let next = self.hosts.iter().filter_map(Stack::next_deadline).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            for host in &mut self.hosts {
                host.handle_timers(self.now);
            }
            self.carry();
        }
        self.now = end;
    }

    fn listener(&mut self, port: u16) -> SocketId {
        let host = &mut self.hosts[1];
        let id = host.socket(Domain::V4, Kind::Stream).expect("a socket");
        host.bind(id, addr(1, port)).expect("a free port");
        host.listen(self.now, id, 4096).expect("a bound socket");
        id
    }

    /// A connection from host 0 to host 1's listener at `port`: its two ends.
    fn connection(&mut self, (listener, port): (SocketId, u16)) -> [SocketId; 2] {
        let host = &mut self.hosts[0];
        let near = host.socket(Domain::V4, Kind::Stream).expect("a socket");
        let began = host.connect(self.now, near, addr(1, port));
        assert_eq!(began, Err(Error::InProgress));
        self.carry();
        let (far, _) = self.hosts[1].accept(self.now, listener).expect("it came");
        self.hosts[0]
            .connect(self.now, near, addr(1, port))
            .expect("it is up");
        [near, far]
    }

    fn send(&mut self, host: usize, id: SocketId, data: &[u8]) -> usize {
        let data = [IoSlice::new(data)];
        let sent = self.hosts[host].send(self.now, id, &data, SendFlags::empty(), None);
        sent.unwrap_or(0)
    }

    fn recv(&mut self, host: usize, id: SocketId, room: &mut [u8]) -> usize {
        let mut room = [IoSliceMut::new(room)];
        let got = self.hosts[host].recv(self.now, id, &mut room, RecvFlags::empty());
        got.map_or(0, |got| got.len)
    }

    /// A request of 64 octets and its answer.
    fn exchange(&mut self, ends: [SocketId; 2], room: &mut [u8]) {
        for (host, id) in ends.into_iter().enumerate() {
            assert_eq!(self.send(host, id, &[7; 64]), 64);
            self.carry();
            assert_eq!(self.recv(1 - host, ends[1 - host], room), 64);
        }
        self.now = self.now + Duration::from_micros(20);
    }

    fn close(&mut self, [near, far]: [SocketId; 2]) {
        let _ = self.hosts[0].close(self.now, near);
        self.carry();
        let _ = self.hosts[1].close(self.now, far);
        self.carry();
        self.now = self.now + Duration::from_millis(1);
    }
}

/// `count` times 128 KB over one connection.
fn bulk(count: usize) {
    let mut lab = Lab::new();
    let listener = (lab.listener(80), 80);
    let [near, far] = lab.connection(listener);
    let data = vec![1; 128 * 1024];
    let mut room = vec![0; 128 * 1024];
    for _ in 0..count {
        let (mut sent, mut received) = (0, 0);
        while received < data.len() {
            let took = lab.send(0, near, data.get(sent..).unwrap_or_default());
            sent += took;
            lab.carry();
            let got = lab.recv(1, far, &mut room);
            received += got;
            if took == 0 && got == 0 {
                lab.wait();
            }
        }
    }
}

/// `count` requests and answers, beside `others` connections that are idle.
fn exchanges(count: usize, others: usize) {
    let mut lab = Lab::new();
    let busy = (lab.listener(80), 80);
    // A listener for as many as the client's ports allow.
    for port in 0..others.div_ceil(MANY) {
        let idle = (lab.listener(81 + port as u16), 81 + port as u16);
        for _ in 0..MANY.min(others - port * MANY) {
            lab.connection(idle);
        }
    }
    lab.rest();
    let ends = lab.connection(busy);
    let mut room = [0; 256];
    for _ in 0..count {
        lab.exchange(ends, &mut room);
    }
}

/// `count` connections, one after the other, opened and closed.
fn connections(count: usize) {
    let mut lab = Lab::new();
    let listener = (lab.listener(80), 80);
    for _ in 0..count {
        let ends = lab.connection(listener);
        lab.close(ends);
    }
}

/// `count` datagrams of 64 octets there and back.
fn datagrams(count: usize) {
    let mut lab = Lab::new();
    let ends = [0, 1].map(|host: usize| {
        let stack = &mut lab.hosts[host];
        let id = stack.socket(Domain::V4, Kind::Datagram).expect("a socket");
        stack.bind(id, addr(host, 53)).expect("a free port");
        stack
            .connect(Instant::ZERO, id, addr(1 - host, 53))
            .expect("a route");
        id
    });
    let mut room = [0; 256];
    for _ in 0..count {
        lab.exchange(ends, &mut room);
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let count = args.get(2).and_then(|count| count.parse().ok());
    let workload = args.get(1).map(String::as_str);
    let others = workload.and_then(|name| name.strip_prefix("exchange-of-")?.parse().ok());
    if let (Some(others), Some(count)) = (others, count) {
        exchanges(count, others);
        return;
    }
    match (workload, count) {
        (Some("bulk"), Some(count)) => bulk(count),
        (Some("exchange"), Some(count)) => exchanges(count, 0),
        (Some("connection"), Some(count)) => connections(count),
        (Some("datagram"), Some(count)) => datagrams(count),
        _ => {
            eprintln!("usage: hot bulk|exchange|exchange-of-N|connection|datagram COUNT");
            std::process::exit(2);
        }
    }
}
