//! What connections cost in memory, counted at the allocator: idle ones, those of the SYN queue, those in TIME-WAIT.
//!
//! Every allocation counts as the C library rounds it: 8 octets of its own, sizes in steps of 16, 32 at least.

mod script;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::time::Duration;

use script::{ACK, Script, seg};
use tunsock_stack::*;

/// The system's allocator, with what each thread holds counted.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// What malloc(3) of the C library takes for `size` octets.
fn chunk(size: usize) -> isize {
    ((size + 8).next_multiple_of(16)).max(32) as isize
}

fn count(change: isize) {
    let _ = HELD.try_with(|held| held.set(held.get() + change));
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every request goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(chunk(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-chunk(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn held() -> isize {
    HELD.with(Cell::get)
}

const SERVER: [u8; 4] = [10, 0, 0, 2];

fn host(last: u8) -> Config {
    Config {
        addrs: vec![format!("10.0.0.{last}/8").parse().expect("prefix")],
        seed: [last; 32],
        // Many connections in no time at all must not come round to a port whose last connection is in TIME-WAIT.
        ports: (1024, 65_535),
        ..Config::default()
    }
}

/// Two hosts on a wire without latency.
struct Hosts {
    now: Instant,
    client: Stack,
    server: Stack,
    frames: Vec<Vec<u8>>,
}

impl Hosts {
    fn new() -> Hosts {
        let now = Instant::from_micros(1_000_000);
        Hosts {
            now,
            client: Stack::new(host(1), now),
            server: Stack::new(host(2), now),
            frames: Vec::new(),
        }
    }

    fn carry(now: Instant, from: &mut Stack, to: &mut Stack, frames: &mut Vec<Vec<u8>>) -> bool {
        from.transmit(now, &mut |parts| {
            frames.push(parts.iter().flat_map(|p| p.iter().copied()).collect());
        });
        while from.poll_event().is_some() {}
        let some = !frames.is_empty();
        for frame in frames.drain(..) {
            to.handle_frame(now, &frame);
        }
        some
    }

    /// Until nobody has anything to say.
    fn settle(&mut self) {
        loop {
            let a = Self::carry(
                self.now,
                &mut self.client,
                &mut self.server,
                &mut self.frames,
            );
            let b = Self::carry(
                self.now,
                &mut self.server,
                &mut self.client,
                &mut self.frames,
            );
            if !a && !b {
                return;
            }
        }
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

    fn listener(&mut self) -> SocketId {
        let id = self
            .server
            .socket(Domain::V4, Kind::Stream)
            .expect("socket");
        self.server
            .bind(id, SocketAddr::from((SERVER, 80)))
            .expect("bind");
        self.server.listen(self.now, id, 4096).expect("listen");
        id
    }

    fn connect(&mut self, listener: SocketId) -> (SocketId, SocketId) {
        let id = self
            .client
            .socket(Domain::V4, Kind::Stream)
            .expect("socket");
        let to = SocketAddr::from((SERVER, 80));
        assert_eq!(
            self.client.connect(self.now, id, to),
            Err(Error::InProgress)
        );
        self.settle();
        assert_eq!(self.client.connect(self.now, id, to), Ok(()));
        let (server, _) = self.server.accept(self.now, listener).expect("accepted");
        (id, server)
    }
}

/// A request and its answer, read on both sides.
fn exchange(hosts: &mut Hosts, client: SocketId, server: SocketId, len: usize) {
    let data = vec![7; len];
    let mut buf = vec![0; len];
    let now = hosts.now;
    for turn in [true, false] {
        let (from, from_id, to, to_id) = if turn {
            (&mut hosts.client, client, &mut hosts.server, server)
        } else {
            (&mut hosts.server, server, &mut hosts.client, client)
        };
        let sent = from.send(
            now,
            from_id,
            &[IoSlice::new(&data)],
            SendFlags::empty(),
            None,
        );
        assert_eq!(sent, Ok(len));
        Hosts::carry(now, from, to, &mut hosts.frames);
        let mut got = 0;
        while got < len {
            let mut parts = [IoSliceMut::new(&mut buf)];
            let read = to.recv(now, to_id, &mut parts, RecvFlags::empty());
            got += read.map_or(0, |r| r.len);
            Hosts::carry(now, to, from, &mut hosts.frames);
            Hosts::carry(now, from, to, &mut hosts.frames);
        }
    }
    hosts.settle();
}

#[test]
fn an_idle_connection_costs_at_most_a_kilobyte() {
    for (octets, many) in [(0, 10_000), (100, 5000), (100_000, 1000)] {
        let mut hosts = Hosts::new();
        let listener = hosts.listener();
        // What is shared, and the first growth of everything, is there before counting begins.
        let (client, server) = hosts.connect(listener);
        exchange(&mut hosts, client, server, octets.max(1));
        hosts.pass(Duration::from_secs(5));
        let before = held();
        let mut pairs = Vec::with_capacity(many);
        let list = chunk(many * size_of::<(SocketId, SocketId)>());
        for _ in 0..many {
            let (client, server) = hosts.connect(listener);
            if octets > 0 {
                exchange(&mut hosts, client, server, octets);
            }
            pairs.push((client, server));
        }
        hosts.pass(Duration::from_secs(120));
        let each = (held() - before - list) as usize / (2 * many);
        println!("idle connection after {octets} octets each way: {each} octets a side");
        assert!(
            each <= 960,
            "{each} octets a side after {octets} octets each way"
        );
        // It is still alive.
        let (client, server) = pairs[many / 2];
        exchange(&mut hosts, client, server, 1000);
    }
}

/// The frame of a SYN that a client has sent, for others to be made after.
fn syn(hosts: &mut Hosts) -> Vec<u8> {
    let id = hosts
        .client
        .socket(Domain::V4, Kind::Stream)
        .expect("socket");
    let to = SocketAddr::from((SERVER, 80));
    let _ = hosts.client.connect(hosts.now, id, to);
    let mut frame = Vec::new();
    hosts.client.transmit(hosts.now, &mut |parts| {
        frame = parts.iter().flat_map(|p| p.iter().copied()).collect();
    });
    // VIRTIO_NET_HDR_F_DATA_VALID: TCP's checksum need not be right.
    frame[0] = 2;
    frame
}

/// The same from another address and port.
fn spoof(frame: &mut [u8], number: u32) {
    let ip = &mut frame[10..];
    ip[12..16].copy_from_slice(&(0x0a01_0000 + number).to_be_bytes());
    ip[20..22].copy_from_slice(&(1024 + number as u16 % 60_000).to_be_bytes());
    ip[10..12].fill(0);
    let sum: u32 = ip[..20]
        .chunks(2)
        .map(|c| u32::from(c[0]) << 8 | u32::from(c[1]))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
}

#[test]
fn a_syn_that_waits_costs_at_most_128_octets_and_a_flood_no_more_than_the_queue() {
    let mut hosts = Hosts::new();
    let listener = hosts.listener();
    let mut frame = syn(&mut hosts);
    hosts.server.handle_frame(hosts.now, &frame);
    hosts.server.transmit(hosts.now, &mut |_| {});
    let mut answers = 0;
    let mut frames = 0;
    let mut take = |hosts: &mut Hosts, number: u32| {
        spoof(&mut frame, number);
        hosts.server.handle_frame(hosts.now, &frame);
        hosts.server.transmit(hosts.now, &mut |_| answers += 1);
        frames += 1;
    };
    let before = held();
    for number in 0..100_000 {
        take(&mut hosts, number);
        let waiting = hosts.server.census().half_open;
        if [1000, 4000].contains(&waiting) && number < 4096 {
            let each = (held() - before) as usize / waiting;
            println!("{waiting} SYNs in the queue: {each} octets each");
            assert!(each <= 128, "{each} octets a SYN");
        }
    }
    assert_eq!(hosts.server.census().half_open, 4096);
    assert!(held() - before <= 4096 * 128, "{}", held() - before);
    assert_eq!(
        (answers, frames),
        (100_000, 100_000),
        "by cookie if not from the queue"
    );
    // The queue empties by itself, and with it the memory.
    hosts.now = hosts.now + Duration::from_secs(1);
    while let Some(next) = hosts.server.next_deadline() {
        hosts.now = hosts.now.max(next);
        hosts.server.handle_timers(hosts.now);
        hosts.server.transmit(hosts.now, &mut |_| {});
    }
    assert_eq!(hosts.server.census().half_open, 0);
    println!(
        "after the flood: {} octets more than before",
        held() - before
    );
    assert!(held() - before <= 256 * 1024);
    hosts.server.close(hosts.now, listener);
}

#[test]
fn a_connection_in_time_wait_costs_at_most_128_octets() {
    let mut hosts = Hosts::new();
    let listener = hosts.listener();
    let close = |hosts: &mut Hosts| {
        let (client, server) = hosts.connect(listener);
        // Who closes first waits.
        hosts.server.close(hosts.now, server);
        hosts.settle();
        hosts.client.close(hosts.now, client);
        hosts.settle();
    };
    close(&mut hosts);
    let before = held();
    for number in 1..=20_000 {
        close(&mut hosts);
        if [4000, 8000, 20_000].contains(&number) {
            assert_eq!(hosts.server.census().time_wait, number + 1);
            let each = (held() - before) as usize / number;
            println!("{number} in TIME-WAIT: {each} octets each");
            assert!(each <= 128, "{each} octets a connection in TIME-WAIT");
        }
    }
    hosts.pass(Duration::from_secs(61));
    assert_eq!(hosts.server.census().time_wait, 0);
    println!(
        "when all are over: {} octets more than before",
        held() - before
    );
    assert!(held() - before <= 512 * 1024);
}

/// MSS 1000, SACK-permitted, window scale 7.
const SYN_OPTIONS: [u8; 10] = [2, 4, 3, 232, 4, 2, 3, 3, 7, 1];

/// Takes `data` from the peer at `seq` and throws the answers away.
fn take(s: &mut Script, seq: u32, data: &[u8]) {
    s.take(seg(ACK, seq, 1, data));
    s.stack.transmit(s.now, &mut |_| {});
}

#[test]
fn single_octets_in_order_cost_what_the_same_in_one_piece_costs() {
    let mut s = Script::new();
    s.accepted(&SYN_OPTIONS, 65_535);
    take(&mut s, 1, b"x");
    let before = held();
    for octet in 0..60_000 {
        take(&mut s, 2 + octet, b"y");
    }
    let grown = held() - before;
    println!("60000 segments of an octet each: {grown} octets");
    assert!(grown <= 2 * 60_000, "{grown}");
}

#[test]
fn single_octets_out_of_order_cost_no_more_than_the_window() {
    for (apart, most) in [(2, 64 << 10), (4096, 3 << 20)] {
        let mut s = Script::new();
        s.accepted(&SYN_OPTIONS, 65_535);
        let before = held();
        let mut kept = 0;
        for octet in 0..20_000u32 {
            take(&mut s, 3 + octet * apart, b"y");
            kept = kept.max(held() - before);
        }
        println!("20000 octets, {apart} apart: {kept} octets");
        assert!(kept <= most, "{kept} octets for octets {apart} apart");
        // What is missing is still taken.
        let missing = vec![1; 1000];
        take(&mut s, 1, &missing);
    }
}

#[test]
fn a_peer_that_sacks_single_octets_costs_a_small_multiple_of_what_is_in_flight() {
    let mut s = Script::new();
    let id = s.accepted(&SYN_OPTIONS, 65_535);
    s.send(id, &[7; 10_000]);
    let before = held();
    let mut most = 0;
    for block in 0..1600u32 {
        let mut options = vec![1, 1, 5, 26];
        for n in 0..3 {
            let left = s.iss.wrapping_add(3 + (block * 3 + n) * 2);
            options.extend(left.to_be_bytes());
            options.extend(left.wrapping_add(1).to_be_bytes());
        }
        s.take(seg(ACK, 1, 1, b"").options(&options));
        s.stack.transmit(s.now, &mut |_| {});
        most = most.max(held() - before);
    }
    println!("4800 octets SACKed one by one, 10000 in flight: {most} octets");
    assert!(most <= 4 * 10_000, "{most}");
    // Everything acknowledged: the bookkeeping goes.
    s.take(seg(ACK, 1, 10_001, b""));
    s.stack.transmit(s.now, &mut |_| {});
    assert_eq!(s.stack.unsent_bytes(id), Ok(0));
    assert_eq!(s.stack.audit(), Ok(()));
}
