//! What happens to which frame, and when.

use super::*;
use crate::memory::{MemoryConfig, MemoryDevice};

/// What came out: when, and which bytes.
type Trace = Vec<(u64, Vec<u8>)>;

fn link(config: FaultConfig) -> (Faults<MemoryDevice>, MemoryDevice) {
    let (a, b) = MemoryDevice::pair(MemoryConfig::default()).unwrap();
    (Faults::new(a, config), b)
}

/// A frame of `len` bytes of packet that says which it is.
fn frame(number: u32, len: usize) -> Vec<u8> {
    let mut frame = vec![0; VNET_HDR_LEN + len];
    frame[VNET_HDR_LEN..VNET_HDR_LEN + 4].copy_from_slice(&number.to_be_bytes());
    frame
}

fn numbers(trace: &Trace) -> Vec<u32> {
    let number = |f: &[u8]| u32::from_be_bytes([f[10], f[11], f[12], f[13]]);
    trace.iter().map(|(_, f)| number(f)).collect()
}

fn drain(device: &mut impl Device, now_us: u64, trace: &mut Trace) {
    let mut buf = [0; 2000];
    while let Ok(len) = device.recv(now_us, &mut buf) {
        trace.push((now_us, buf[..len].to_vec()));
    }
}

/// Sends `count` frames out through the faults, one every `gap_us`, and lets time go on to the end.
fn send_out(config: FaultConfig, count: u32, gap_us: u64) -> (Trace, FaultStats) {
    let (mut near, mut far) = link(config);
    let mut trace = Trace::new();
    for number in 0..count {
        let now = u64::from(number) * gap_us;
        while let Some(due) = near.next_deadline().filter(|&due| due < now) {
            near.poll(due);
            drain(&mut far, due, &mut trace);
        }
        near.send(now, &[IoSlice::new(&frame(number, 1000))])
            .unwrap();
        drain(&mut far, now, &mut trace);
    }
    while let Some(due) = near.next_deadline() {
        near.poll(due);
        drain(&mut far, due, &mut trace);
    }
    (trace, near.stats().1)
}

/// The same the other way.
fn send_in(config: FaultConfig, count: u32, gap_us: u64) -> (Trace, FaultStats) {
    let (mut near, mut far) = link(config);
    let mut trace = Trace::new();
    for number in 0..count {
        let now = u64::from(number) * gap_us;
        while let Some(due) = near.next_deadline().filter(|&due| due < now) {
            drain(&mut near, due, &mut trace);
        }
        far.send(now, &[IoSlice::new(&frame(number, 1000))])
            .unwrap();
        drain(&mut near, now, &mut trace);
    }
    while let Some(due) = near.next_deadline() {
        drain(&mut near, due, &mut trace);
    }
    (trace, near.stats().0)
}

const EVERYTHING: FaultConfig = FaultConfig {
    loss: 0.05,
    reorder: 0.05,
    duplicate: 0.05,
    corrupt: 0.05,
    delay_us: 20_000,
    jitter_us: 3000,
    rate_bps: Some(20_000_000),
    seed: 7,
    burst: 0.0,
    reorder_us: 0,
    queue_bytes: None,
};

#[test]
fn off_changes_nothing() {
    let config = FaultConfig {
        seed: 3,
        ..FaultConfig::default()
    };
    assert!(config.is_off() && !EVERYTHING.is_off());
    for (trace, stats) in [send_out(config, 100, 10), send_in(config, 100, 10)] {
        assert_eq!(numbers(&trace), (0..100).collect::<Vec<_>>());
        assert!(
            trace
                .iter()
                .zip(0u32..)
                .all(|((at, f), n)| { *at == u64::from(n) * 10 && *f == frame(n, 1000) })
        );
        assert_eq!(
            stats,
            FaultStats {
                frames: 100,
                ..FaultStats::default()
            }
        );
    }
}

#[test]
fn same_seed_same_fate() {
    for run in [send_out, send_in] {
        let (trace, stats) = run(EVERYTHING, 2000, 450);
        assert_eq!((trace.clone(), stats), run(EVERYTHING, 2000, 450));
        let FaultStats {
            frames,
            lost,
            overflowed: _,
            duplicated,
            corrupted,
            reordered,
            queued_us,
            queued_max_us,
        } = stats;
        assert_eq!(frames, 2000);
        assert!(queued_max_us >= 400 && queued_us >= queued_max_us);
        for count in [lost, duplicated, corrupted, reordered] {
            assert!((60..140).contains(&count), "{stats:?}");
        }
        let other = FaultConfig {
            seed: 8,
            ..EVERYTHING
        };
        assert_ne!(trace, run(other, 2000, 450).0);
    }
    assert_ne!(
        numbers(&send_out(EVERYTHING, 2000, 450).0),
        numbers(&send_in(EVERYTHING, 2000, 450).0)
    );
}

/// Written down, so that a change of the generator is noticed: it would break everybody's seeds.
/// The numbers were checked against another implementation of ChaCha8: frame k is lost where the first 53 bits
/// of block k of the stream are under a tenth.
#[test]
fn seeds_keep_their_meaning() {
    let config = FaultConfig {
        loss: 0.1,
        seed: 7,
        ..FaultConfig::default()
    };
    let lost = |trace: &Trace| -> Vec<u32> {
        let arrived = numbers(trace);
        (0..50).filter(|n| !arrived.contains(n)).collect()
    };
    assert_eq!(lost(&send_out(config, 50, 10).0), [10, 17, 21, 27, 28, 46]);
    assert_eq!(lost(&send_in(config, 50, 10).0), [5, 15, 31, 34, 44, 48]);
}

#[test]
fn one_direction_does_not_shift_the_other() {
    let config = FaultConfig {
        loss: 0.3,
        corrupt: 0.3,
        ..EVERYTHING
    };
    let run = |chatter: bool| {
        let (mut near, mut far) = link(config);
        let (mut trace, mut other) = (Trace::new(), Trace::new());
        for number in 0..200 {
            let now = u64::from(number) * 1000;
            near.send(now, &[IoSlice::new(&frame(number, 1000))])
                .unwrap();
            if chatter {
                far.send(now, &[IoSlice::new(&frame(number, 600))]).unwrap();
            }
            drain(&mut near, now, &mut other);
            drain(&mut far, now, &mut trace);
        }
        assert_eq!(other.is_empty(), !chatter);
        trace
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn one_option_does_not_shift_another() {
    let lossy = FaultConfig {
        loss: 0.2,
        seed: 11,
        ..FaultConfig::default()
    };
    let more = FaultConfig {
        corrupt: 0.5,
        delay_us: 1000,
        jitter_us: 500,
        ..lossy
    };
    let (plain, _) = send_out(lossy, 300, 100);
    let (changed, stats) = send_out(more, 300, 100);
    assert!(stats.corrupted > 50);
    assert_eq!(plain.len(), changed.len());
}

#[test]
fn delay_is_what_it_says() {
    let config = FaultConfig {
        delay_us: 50_000,
        ..FaultConfig::default()
    };
    for (trace, _) in [send_out(config, 20, 7000), send_in(config, 20, 7000)] {
        let at: Vec<u64> = trace.iter().map(|(at, _)| *at).collect();
        assert_eq!(at, (0..20).map(|n| n * 7000 + 50_000).collect::<Vec<_>>());
    }
}

#[test]
fn jitter_spreads_and_keeps_the_order() {
    let config = FaultConfig {
        delay_us: 10_000,
        jitter_us: 4000,
        ..FaultConfig::default()
    };
    let (trace, _) = send_out(config, 1000, 20_000);
    let delays: Vec<u64> = trace.iter().map(|(at, _)| at % 20_000).collect();
    let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
    assert!((6000..6200).contains(least) && (13_800..=14_000).contains(most));
    let (trace, _) = send_out(config, 1000, 10);
    assert_eq!(numbers(&trace), (0..1000).collect::<Vec<_>>());
    // More jitter than delay does not turn time round.
    let config = FaultConfig {
        delay_us: 1000,
        jitter_us: 4000,
        ..FaultConfig::default()
    };
    assert!(
        send_out(config, 100, 100_000)
            .0
            .iter()
            .all(|(at, _)| at % 100_000 <= 5000)
    );
}

#[test]
fn reordered_frames_are_overtaken() {
    for rate_bps in [None, Some(1_000_000)] {
        let config = FaultConfig {
            reorder: 0.1,
            rate_bps,
            ..FaultConfig::default()
        };
        // Back to back at this rate, 8 ms a frame; without one, ten a millisecond.
        let gap = if rate_bps.is_some() { 8000 } else { 100 };
        let (trace, stats) = send_out(config, 200, gap);
        let numbers = numbers(&trace);
        let late = numbers.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
        assert!(
            stats.reordered >= 8 && late >= stats.reordered / 2,
            "{late} {stats:?}"
        );
        let mut sorted = numbers;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..200).collect::<Vec<_>>());
    }
}

#[test]
fn duplicates_and_damage() {
    let config = FaultConfig {
        duplicate: 1.0,
        corrupt: 1.0,
        ..FaultConfig::default()
    };
    for (trace, stats) in [send_out(config, 50, 10), send_in(config, 50, 10)] {
        assert_eq!(
            (stats.duplicated, stats.corrupted, trace.len()),
            (50, 50, 100)
        );
        for (number, pair) in (0..50).zip(trace.chunks(2)) {
            let sound = frame(number, 1000);
            let differ = |f: &[u8]| f.iter().zip(&sound).filter(|(a, b)| a != b).count();
            // One of the two is changed, in one byte of the packet.
            let mut counts = [differ(&pair[0].1), differ(&pair[1].1)];
            counts.sort_unstable();
            assert_eq!(counts, [0, 1]);
            assert_eq!(pair[0].1[..VNET_HDR_LEN], [0; VNET_HDR_LEN]);
        }
    }
}

#[test]
fn damage_takes_the_checksum_mark_away() {
    let mut marked = frame(1, 100);
    marked[0] = HDR_F_DATA_VALID | HDR_F_NEEDS_CSUM | 0x80;
    damage(&mut marked, Some(Damage { at: 99, mask: 0xff }));
    assert_eq!((marked[0], marked[109]), (0x80, 0xff));
}

#[test]
fn rate_paces_and_drops_the_tail() {
    // 8 Mbit/s: a packet of 1000 bytes a millisecond, and a queue of 262 of them.
    let config = FaultConfig {
        rate_bps: Some(8_000_000),
        ..FaultConfig::default()
    };
    let (trace, stats) = send_out(config, 400, 0);
    assert_eq!(numbers(&trace), (0..262).collect::<Vec<_>>());
    assert_eq!(stats.overflowed, 138);
    let at: Vec<u64> = trace.iter().map(|(at, _)| *at).collect();
    assert_eq!(at, (1..=262).map(|n| n * 1000).collect::<Vec<_>>());
    // What leaves room lets more in.
    assert_eq!(send_out(config, 1000, 1000).1.overflowed, 0);
    let shut = FaultConfig {
        rate_bps: Some(0),
        ..FaultConfig::default()
    };
    assert!(send_out(shut, 10, 10).0.is_empty());
    // 100 ms of a fast link is more than 256 KiB.
    let fast = FaultConfig {
        rate_bps: Some(80_000_000),
        ..FaultConfig::default()
    };
    assert_eq!(send_out(fast, 2000, 0).0.len(), 1000);
}

#[test]
fn a_queue_holds_what_it_says() {
    // 8 Mbit/s: a packet of 1000 bytes a millisecond.
    let config = FaultConfig {
        rate_bps: Some(8_000_000),
        queue_bytes: Some(32_000),
        ..FaultConfig::default()
    };
    let (trace, stats) = send_out(config, 100, 0);
    assert_eq!(numbers(&trace), (0..32).collect::<Vec<_>>());
    assert_eq!((stats.overflowed, stats.queued_max_us), (68, 32_000));
    assert_eq!(stats.queued_us, (1..=32).map(|n| n * 1000).sum());
}

#[test]
fn losses_come_in_bursts() {
    let config = FaultConfig {
        loss: 0.01,
        burst: 0.75,
        ..FaultConfig::default()
    };
    let (trace, stats) = send_out(config, 20_000, 10);
    let arrived = numbers(&trace);
    let bursts = arrived
        .windows(2)
        .filter(|pair| pair[1] - pair[0] > 1)
        .count() as f64;
    let mean = stats.lost as f64 / bursts;
    assert!(
        (150.0..250.0).contains(&bursts) && (3.2..5.0).contains(&mean),
        "{bursts} {mean}"
    );
}

#[test]
fn reordered_frames_are_late_by_what_was_asked_for() {
    let config = FaultConfig {
        reorder: 0.1,
        reorder_us: 30_000,
        delay_us: 5000,
        ..FaultConfig::default()
    };
    let (trace, stats) = send_out(config, 500, 1000);
    let late = |(at, f): &&(u64, Vec<u8>)| {
        let number = u32::from_be_bytes([f[10], f[11], f[12], f[13]]);
        at - u64::from(number) * 1000 == 35_000
    };
    assert_eq!(trace.iter().filter(late).count() as u64, stats.reordered);
    assert!(stats.reordered > 20);
}

#[test]
fn directions_may_differ() {
    let lossy = FaultConfig {
        loss: 1.0,
        ..FaultConfig::default()
    };
    let (a, mut far) = MemoryDevice::pair(MemoryConfig::default()).unwrap();
    let mut near = Faults::with_directions(a, lossy, FaultConfig::default());
    let (mut out, mut back) = (Trace::new(), Trace::new());
    near.send(0, &[IoSlice::new(&frame(1, 100))]).unwrap();
    far.send(0, &[IoSlice::new(&frame(2, 100))]).unwrap();
    drain(&mut far, 0, &mut out);
    drain(&mut near, 0, &mut back);
    assert_eq!((out.len(), back.len()), (1, 0));
}

#[test]
fn absurd_settings_do_no_harm() {
    let config = FaultConfig {
        loss: f64::NAN,
        reorder: f64::INFINITY,
        duplicate: -1.0,
        corrupt: 2.0,
        delay_us: u64::MAX,
        jitter_us: u64::MAX,
        rate_bps: Some(1),
        seed: u64::MAX,
        burst: f64::NAN,
        reorder_us: u64::MAX,
        queue_bytes: Some(u64::MAX),
    };
    let (mut near, mut far) = link(config);
    for now in [0, 5, u64::MAX - 1, u64::MAX] {
        near.send(now, &[IoSlice::new(&frame(1, 1000))]).unwrap();
        near.send(now, &[IoSlice::new(&[0; 3])]).unwrap();
        far.send(now, &[IoSlice::new(&frame(1, 1000))]).unwrap();
        far.send(now, &[IoSlice::new(&[])]).unwrap();
        near.poll(now);
        drain(&mut near, now, &mut Trace::new());
        drain(&mut far, now, &mut Trace::new());
    }
}

#[test]
fn a_flood_of_lost_frames_does_not_hold_the_caller() {
    let (mut near, mut far) = link(FaultConfig {
        loss: 1.0,
        ..FaultConfig::default()
    });
    for number in 0..400 {
        far.send(0, &[IoSlice::new(&frame(number, 100))]).unwrap();
    }
    let mut buf = [0; 2000];
    assert_eq!(near.recv(0, &mut buf), Err(LinkError::WouldBlock));
    assert_eq!(near.next_deadline(), Some(0));
    assert_eq!(near.recv(0, &mut buf), Err(LinkError::WouldBlock));
    assert_eq!(near.next_deadline(), None);
    assert_eq!(near.stats().0.lost, 400);
}

#[test]
fn gone_is_passed_on() {
    let (mut near, far) = link(FaultConfig {
        delay_us: 10,
        ..FaultConfig::default()
    });
    assert_eq!(near.caps(), far.caps());
    drop(far);
    near.send(0, &[IoSlice::new(&frame(1, 100))]).unwrap();
    near.poll(10);
    assert_eq!(near.recv(10, &mut [0; 2000]), Err(LinkError::Gone));
}
