//! Throughput against loss, in virtual time: what one stream gets through one bottleneck.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use tunsock_stack::{
    Config, CongestionControl, Domain, Error, Instant, Kind, RecvFlags, SendFlags, SocketId, Stack,
};

use crate::dice::Dice;
use crate::net::{Fate, Link};
use crate::plan::LinkPlan;
use crate::world::{PORT, address};

/// The path's rate, octets per second.
const RATE: u64 = 12_500_000;
/// Octets that are sent.
const BYTES: usize = 1_000_000;
/// Runs for each entry; the median counts.
const RUNS: u64 = 3;
/// Losses, parts per million, and round-trip times, milliseconds.
const LOSSES: [u32; 7] = [0, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000];
const TRIPS: [u64; 3] = [2, 20, 100];
/// Columns, each for every round-trip time: algorithm, whether buffers begin as usual and have to grow, name.
const COLUMNS: [(CongestionControl, bool, &str); 3] = [
    (CongestionControl::Cubic, false, ""),
    (CongestionControl::Bbr, false, "bbr-"),
    (CongestionControl::Cubic, true, "grow-"),
];

/// The table as text: kilobits per second, a row for each loss rate.
pub fn table() -> String {
    let mut out = String::from(
        "# kbit/s of 1 MB through 100 Mbit/s, median of 3 seeds; written by tunsock-sim --table\n\
         # grow: with buffers of the usual size at first, else with buffers that hold nothing up\n",
    );
    let _ = writeln!(
        out,
        "loss/1e6{}",
        COLUMNS
            .map(|(.., name)| TRIPS
                .map(|ms| format!(" {:>10}", format!("{name}{ms}ms")))
                .concat())
            .concat()
    );
    for loss in LOSSES {
        let _ = write!(out, "{loss:>8}");
        for (congestion, grow, ms) in COLUMNS
            .iter()
            .flat_map(|(which, grow, _)| TRIPS.map(|ms| (*which, *grow, ms)))
        {
            let mut runs: Vec<u64> = (0..RUNS)
                .map(|seed| goodput(seed, congestion, grow, loss, ms * 500))
                .collect();
            runs.sort_unstable();
            let _ = write!(out, " {:>10}", runs[runs.len() / 2]);
        }
        out.push('\n');
    }
    out
}

/// One transfer; kilobits per second, 0 when it does not end.
fn goodput(seed: u64, congestion: CongestionControl, grow: bool, loss: u32, delay: u64) -> u64 {
    let Ok(mut run) = Run::new(seed, congestion, grow, loss, delay) else {
        return 0;
    };
    while run.got < BYTES && run.now < 3_600_000_000 {
        run.programs();
        run.send_frames();
        if !run.advance() {
            break;
        }
    }
    if run.got < BYTES {
        return 0;
    }
    BYTES as u64 * 8_000 / (run.now - BEGIN).max(1)
}

/// Where virtual time begins.
const BEGIN: u64 = 1_000_000;

/// One stream from the first host to the second.
struct Run {
    now: u64,
    dice: Dice,
    stacks: [Stack; 2],
    links: [Link; 2],
    /// Frames by arrival: for whom.
    wire: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    serial: u64,
    client: SocketId,
    listener: SocketId,
    server: Option<SocketId>,
    sent: usize,
    got: usize,
    buf: Vec<u8>,
}

fn stack(seed: u64, congestion: CongestionControl, grow: bool, index: usize) -> Stack {
    let mut config = Config {
        addrs: format!("{}/16", address(index, false))
            .parse()
            .into_iter()
            .collect(),
        seed: [seed as u8 + 1; 32],
        congestion,
        ..Config::default()
    };
    if !grow {
        // Buffers that hold nothing up: then the entries are about congestion control alone.
        config.tcp_wmem = [4096, 4 << 20, 4 << 20];
        config.tcp_rmem = [4096, 8 << 20, 8 << 20];
    }
    Stack::new(config, Instant::from_micros(BEGIN))
}

fn link(loss: u32, delay: u64) -> Link {
    let plan = LinkPlan {
        loss,
        delay,
        rate: RATE,
        queue: (2 * delay).max(20_000),
        in_order: true,
        ..LinkPlan::default()
    };
    Link::new(plan, 1500)
}

impl Run {
    fn new(
        seed: u64,
        congestion: CongestionControl,
        grow: bool,
        loss: u32,
        delay: u64,
    ) -> Result<Run, Error> {
        let clock = Instant::from_micros(BEGIN);
        let [mut a, mut b] = [0, 1].map(|index| stack(seed, congestion, grow, index));
        let to = SocketAddr::new(address(1, false), PORT);
        let listener = b.socket(Domain::V4, Kind::Stream)?;
        b.bind(listener, to)?;
        b.listen(clock, listener, 5)?;
        let client = a.socket(Domain::V4, Kind::Stream)?;
        match a.connect(clock, client, to) {
            Err(Error::InProgress) => {}
            other => other?,
        }
        Ok(Run {
            now: BEGIN,
            dice: Dice::new(seed, 4),
            stacks: [a, b],
            links: [link(loss, delay), link(0, delay)],
            wire: BTreeMap::new(),
            serial: 0,
            client,
            listener,
            server: None,
            sent: 0,
            got: 0,
            buf: vec![0x5a; 65_536],
        })
    }

    /// One writes what fits, the other reads what is there.
    fn programs(&mut self) {
        let clock = Instant::from_micros(self.now);
        let [a, b] = &mut self.stacks;
        while self.sent < BYTES {
            let part = &self.buf[..self.buf.len().min(BYTES - self.sent)];
            match a.send(
                clock,
                self.client,
                &[IoSlice::new(part)],
                SendFlags::empty(),
                None,
            ) {
                Ok(n) => self.sent += n,
                Err(_) => break,
            }
        }
        if self.server.is_none() {
            self.server = b.accept(clock, self.listener).ok().map(|(id, _)| id);
        }
        let Some(id) = self.server else { return };
        let mut bufs = [IoSliceMut::new(&mut self.buf)];
        while let Ok(r) = b.recv(clock, id, &mut bufs, RecvFlags::empty()) {
            self.got += r.len;
            if r.len == 0 {
                break;
            }
        }
    }

    fn send_frames(&mut self) {
        let clock = Instant::from_micros(self.now);
        for from in 0..2 {
            let (dice, link, wire) = (&mut self.dice, &mut self.links[from], &mut self.wire);
            let (now, serial) = (self.now, &mut self.serial);
            self.stacks[from].transmit(clock, &mut |parts| {
                let frame: Vec<u8> = parts.iter().flat_map(|p| p.iter().copied()).collect();
                if let Fate::Arrive(at, _) = link.carry(dice, now, &frame) {
                    *serial += 1;
                    wire.insert((at, *serial), (1 - from, frame));
                }
            });
            while self.stacks[from].poll_event().is_some() {}
        }
    }

    /// To the next arrival or deadline; false when there is none.
    fn advance(&mut self) -> bool {
        let timers = self.stacks.iter().filter_map(Stack::next_deadline);
        let arrival = self.wire.first_key_value().map(|((at, _), _)| *at);
        let Some(next) = timers.map(Instant::as_micros).chain(arrival).min() else {
            return false;
        };
        self.now = self.now.max(next);
        let clock = Instant::from_micros(self.now);
        self.stacks.iter_mut().for_each(|s| s.handle_timers(clock));
        while let Some(entry) = self.wire.first_entry().filter(|e| e.key().0 <= self.now) {
            let (host, frame) = entry.remove();
            self.stacks[host].handle_frame(clock, &frame);
        }
        true
    }
}
