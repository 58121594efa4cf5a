//! A link with faults between two network namespaces: a TUN device in each, and what goes into one comes out of the other,
//! late, seldom or never, by a seed.
//!
//! ```text
//! faultlink --left PID --right PID [--rate BPS] [--queue BYTES] [--delay US] [--seed N]
//!           [--loss P] [--burst P] [--reorder P] [--reorder-us US] [--back-loss P]
//! ```
//!
//! The devices are called `fault0`, 10.90.0.1/24 in the namespace of the process PID on the left, 10.90.1.1/24 on the right. Rate,
//! queue and delay are those of both directions; loss, burst and reordering strike what goes from left to right, `--back-loss` what comes
//! back. The program says `ready`, ends with its standard input, or after ten minutes, and tells what happened to the packets.

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{IoSlice, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustix::time::{ClockId, clock_gettime};
use tunsock_link::{Device, FRAME_MAX, FaultConfig, FaultStats, Faults, LinkError, Tun, TunConfig};

/// When the program ends at the latest, microseconds after its start.
const LIMIT_US: u64 = 600_000_000;
/// Frames that one direction may carry before it is the other's turn.
const BATCH: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let end = |side: &str, net: &str| -> Result<Tun, Box<dyn Error>> {
        let pid = options.get(side).ok_or("--left and --right are missing")?;
        let space = File::open(format!("/proc/{pid}/ns/net"))?;
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(Tun::open(&TunConfig {
            name: "fault0".into(),
            offload: false,
            host_addrs: vec![net.parse()?],
            ..TunConfig::default()
        })?)
    };
    let (left, mut right) = (end("left", "10.90.0.1/24")?, end("right", "10.90.1.1/24")?);
    let (there, back) = configs(&options)?;
    let mut left = Faults::with_directions(left, there, back);
    println!("ready");
    std::io::stdout().flush()?;
    pump(&mut left, &mut right)?;
    let (there, back) = left.stats();
    println!("{} {}", figures("there", &there), figures("back", &back));
    Ok(())
}

/// The options, without their hyphens.
fn options() -> Result<HashMap<String, String>, Box<dyn Error>> {
    const KNOWN: [&str; 11] = [
        "left",
        "right",
        "rate",
        "queue",
        "delay",
        "seed",
        "loss",
        "burst",
        "reorder",
        "reorder-us",
        "back-loss",
    ];
    let mut options = HashMap::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let name = word.strip_prefix("--").filter(|name| KNOWN.contains(name));
        let name = name.ok_or_else(|| format!("what is {word}?"))?;
        let value = words
            .next()
            .ok_or_else(|| format!("{word} wants a value"))?;
        options.insert(name.to_owned(), value);
    }
    Ok(options)
}

/// What strikes packets from left to right, and those that come back.
fn configs(
    options: &HashMap<String, String>,
) -> Result<(FaultConfig, FaultConfig), Box<dyn Error>> {
    let number = |name: &str| {
        options
            .get(name)
            .map(|text| text.parse::<u64>())
            .transpose()
    };
    let chance = |name: &str| {
        options
            .get(name)
            .map(|text| text.parse::<f64>())
            .transpose()
    };
    let common = FaultConfig {
        delay_us: number("delay")?.unwrap_or(0),
        rate_bps: number("rate")?,
        queue_bytes: number("queue")?,
        seed: number("seed")?.unwrap_or(0),
        ..FaultConfig::default()
    };
    let there = FaultConfig {
        loss: chance("loss")?.unwrap_or(0.0),
        burst: chance("burst")?.unwrap_or(0.0),
        reorder: chance("reorder")?.unwrap_or(0.0),
        reorder_us: number("reorder-us")?.unwrap_or(0),
        ..common
    };
    let back = FaultConfig {
        loss: chance("back-loss")?.unwrap_or(0.0),
        ..common
    };
    Ok((there, back))
}

fn figures(name: &str, stats: &FaultStats) -> String {
    let passed = (stats.frames - stats.lost - stats.overflowed).max(1);
    format!(
        "{name}_frames={} {name}_lost={} {name}_overflowed={} {name}_reordered={} {name}_queued_us={} {name}_queued_max_us={}",
        stats.frames,
        stats.lost,
        stats.overflowed,
        stats.reordered,
        stats.queued_us / passed,
        stats.queued_max_us
    )
}

fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}

/// Carries packets until the input ends.
fn pump(left: &mut Faults<Tun>, right: &mut Tun) -> Result<(), Box<dyn Error>> {
    let mut buf = vec![0; FRAME_MAX];
    let limit = now_us() + LIMIT_US;
    let input = std::io::stdin();
    loop {
        let now = now_us();
        left.poll(now);
        let more = carry(left, right, &mut buf)? | carry(right, left, &mut buf)?;
        let due = left.next_deadline().unwrap_or(limit).min(limit);
        let wait = if more {
            0
        } else {
            due.saturating_sub(now_us())
        };
        let timeout = Timespec {
            tv_sec: (wait / 1_000_000) as i64,
            tv_nsec: (wait % 1_000_000 * 1000) as i64,
        };
        let (Some(a), Some(b)) = (left.fd(), right.fd()) else {
            return Err("a device without a descriptor".into());
        };
        let mut fds = [
            PollFd::new(&a, PollFlags::IN),
            PollFd::new(&b, PollFlags::IN),
            PollFd::new(&input, PollFlags::IN),
        ];
        match poll(&mut fds, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        if !fds[2].revents().is_empty() || now_us() >= limit {
            return Ok(());
        }
    }
}

/// Takes what one end has to the other. True: there may be more.
fn carry(from: &mut dyn Device, to: &mut dyn Device, buf: &mut [u8]) -> Result<bool, LinkError> {
    for _ in 0..BATCH {
        let now = now_us();
        let len = match from.recv(now, buf) {
            Ok(len) => len,
            Err(LinkError::WouldBlock) => return Ok(false),
            Err(error) => return Err(error),
        };
        match to.send(now, &[IoSlice::new(buf.get(..len).unwrap_or_default())]) {
            Ok(()) | Err(LinkError::Full | LinkError::Io(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
