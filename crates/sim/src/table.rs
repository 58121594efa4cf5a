//! Throughput against loss, in virtual time: what one stream gets through one bottleneck.

use std::fmt::Write as _;
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use tunsock_stack::{Config, Domain, Error, Instant, Kind, RecvFlags, SendFlags, SocketId, Stack};

use crate::dice::Dice;
use crate::net::{Fate, Link};
use crate::packet;
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

/// The table as text: kilobits per second, a row for each loss rate.
pub fn table() -> String {
    let mut out = String::from(
        "# kbit/s of 1 MB through 100 Mbit/s, median of 3 seeds; written by tunsock-sim --table\n",
    );
    let _ = writeln!(
        out,
        "loss/1e6{}",
        TRIPS
            .map(|ms| format!(" {:>9}", format!("{ms}ms")))
            .concat()
    );
    for loss in LOSSES {
        let _ = write!(out, "{loss:>8}");
        for ms in TRIPS {
            let mut runs: Vec<u64> = (0..RUNS)
                .map(|seed| goodput(seed, loss, ms * 500))
                .collect();
            runs.sort_unstable();
            let _ = write!(out, " {:>9}", runs[runs.len() / 2]);
        }
        out.push('\n');
    }
    out
}

struct Host {
    stack: Stack,
    link: Link,
}

/// One transfer; kilobits per second, 0 when it does not end.
fn goodput(seed: u64, loss: u32, delay: u64) -> u64 {
    transfer(seed, loss, delay).unwrap_or(0)
}

fn host(seed: u64, index: usize, loss: u32, delay: u64) -> Host {
    let plan = LinkPlan {
        loss: if index == 0 { loss } else { 0 },
        delay,
        rate: RATE,
        queue: (2 * delay).max(20_000),
        in_order: true,
        ..LinkPlan::default()
    };
    let config = Config {
        addrs: format!("{}/16", address(index, false))
            .parse()
            .into_iter()
            .collect(),
        seed: [seed as u8 + 1; 32],
        ..Config::default()
    };
    Host {
        stack: Stack::new(config, Instant::from_micros(1_000_000)),
        link: Link::new(plan, 1500),
    }
}

fn transfer(seed: u64, loss: u32, delay: u64) -> Result<u64, Error> {
    let mut dice = Dice::new(seed, 4);
    let mut now = 1_000_000;
    let mut hosts = [host(seed, 0, loss, delay), host(seed, 1, loss, delay)];
    let clock = Instant::from_micros(now);
    let to = SocketAddr::new(address(1, false), PORT);
    let listener = hosts[1].stack.socket(Domain::V4, Kind::Stream)?;
    hosts[1].stack.bind(listener, to)?;
    hosts[1].stack.listen(clock, listener, 5)?;
    let client = hosts[0].stack.socket(Domain::V4, Kind::Stream)?;
    match hosts[0].stack.connect(clock, client, to) {
        Err(Error::InProgress) => {}
        other => other?,
    }
    let mut wire = std::collections::BTreeMap::new();
    let (mut serial, mut sent, mut got) = (0u64, 0usize, 0usize);
    let mut server: Option<SocketId> = None;
    let data = vec![0x5a; 65_536];
    let mut buf = vec![0; 65_536];
    while got < BYTES && now < 3_600_000_000 {
        let clock = Instant::from_micros(now);
        while sent < BYTES {
            let part = &data[..data.len().min(BYTES - sent)];
            match hosts[0].stack.send(
                clock,
                client,
                &[IoSlice::new(part)],
                SendFlags::empty(),
                None,
            ) {
                Ok(n) => sent += n,
                Err(_) => break,
            }
        }
        server = server.or_else(|| {
            hosts[1]
                .stack
                .accept(clock, listener)
                .ok()
                .map(|(id, _)| id)
        });
        if let Some(id) = server {
            while let Ok(r) = hosts[1].stack.recv(
                clock,
                id,
                &mut [IoSliceMut::new(&mut buf)],
                RecvFlags::empty(),
            ) {
                got += r.len;
                if r.len == 0 {
                    break;
                }
            }
        }
        for (from, host) in hosts.iter_mut().enumerate() {
            let Host { stack, link } = host;
            stack.transmit(clock, &mut |parts| {
                let frame: Vec<u8> = parts.iter().flat_map(|p| p.iter().copied()).collect();
                debug_assert!(packet::view(&frame[packet::VNET..]).is_some());
                if let Fate::Arrive(at, _) = link.carry(&mut dice, now, &frame) {
                    serial += 1;
                    wire.insert((at, serial), (1 - from, frame));
                }
            });
            while stack.poll_event().is_some() {}
        }
        let timer = hosts
            .iter()
            .filter_map(|h| h.stack.next_deadline())
            .map(Instant::as_micros)
            .min();
        let arrival = wire.first_key_value().map(|((at, _), _)| *at);
        let Some(next) = timer.into_iter().chain(arrival).min() else {
            break;
        };
        now = now.max(next);
        let clock = Instant::from_micros(now);
        hosts.iter_mut().for_each(|h| h.stack.handle_timers(clock));
        while let Some(entry) = wire.first_entry().filter(|e| e.key().0 <= now) {
            let (host, frame) = entry.remove();
            hosts[host].stack.handle_frame(clock, &frame);
        }
    }
    let took = now - 1_000_000;
    Ok(if got < BYTES {
        0
    } else {
        BYTES as u64 * 8_000 / took.max(1)
    })
}
