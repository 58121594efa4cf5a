//! Writes that follow each other without a pause, and the frames that go together.

mod pair;

use std::io::IoSlice;
use std::time::Duration;

use pair::{Pair, config};
use tunsock_stack::*;

/// Counts frames and octets of each time that some are given.
#[derive(Default)]
struct Heap(Vec<(usize, usize)>);

impl Sink for Heap {
    fn frame(&mut self, frame: &[IoSlice<'_>]) {
        self.frames(&[frame]);
    }

    fn frames(&mut self, frames: &[&[IoSlice<'_>]]) {
        let octets = frames.iter().flat_map(|f| f.iter()).map(|part| part.len());
        self.0.push((frames.len(), octets.sum()));
    }
}

fn with_offload(host: usize) -> Config {
    Config {
        offload: Offload {
            csum: true,
            tso4: true,
            tso6: true,
        },
        ..config(host)
    }
}

/// A connection whose windows have opened to more than a megabyte, with nothing under way.
fn wide() -> (Pair, SocketId) {
    let mut net = Pair::with(with_offload(0), with_offload(1));
    let (client, server, _) = net.connected(80);
    let data = pair::pattern(6 << 20);
    assert!(
        net.transfer(0, client, server, &data, Duration::from_secs(60)) == data,
        "damaged"
    );
    net.pass(Duration::from_millis(100));
    let info = net.hosts[0]
        .tcp_info(net.now, client)
        .expect("a connection");
    let window = u64::from(info.snd_cwnd) * u64::from(info.snd_mss);
    assert!(window > 1 << 20, "{window}");
    (net, client)
}

/// Writes `len` octets a microsecond after the last, and what goes then.
fn write(net: &mut Pair, id: SocketId, len: usize) -> Vec<(usize, usize)> {
    net.now = net.now + Duration::from_micros(1);
    let text = vec![7; len];
    let flags = SendFlags::GATHER;
    let taken = net.hosts[0].send(net.now, id, &[IoSlice::new(&text)], flags, None);
    assert_eq!(taken, Ok(len));
    gone(net)
}

fn gone(net: &mut Pair) -> Vec<(usize, usize)> {
    let mut heap = Heap::default();
    net.hosts[0].transmit_to(net.now, &mut heap);
    heap.0
}

#[test]
fn fast_writes_go_together() {
    let (mut net, id) = wide();
    let first = write(&mut net, id, 100_000);
    assert_eq!(
        first.iter().map(|(frames, _)| frames).sum::<usize>(),
        2,
        "{first:?}"
    );
    assert_eq!(write(&mut net, id, 100_000), [], "more is to come");
    assert_eq!(write(&mut net, id, 100_000), [], "and more");
    let third = write(&mut net, id, 100_000);
    assert_eq!(third.len(), 1, "{third:?}");
    assert!(third[0].0 >= 4 && third[0].1 > 250_000, "{third:?}");
}

#[test]
fn what_waits_goes_when_the_caller_does_something_else_or_after_a_millisecond() {
    let (mut net, id) = wide();
    write(&mut net, id, 100_000);
    assert_eq!(write(&mut net, id, 100_000), []);
    net.hosts[0].release_end();
    assert!(!gone(&mut net).is_empty());

    let (mut net, id) = wide();
    write(&mut net, id, 100_000);
    assert_eq!(write(&mut net, id, 100_000), []);
    net.now = net.now + Duration::from_millis(1);
    let now = net.now;
    assert!(net.hosts[0].next_deadline().is_some_and(|at| at <= now));
    net.hosts[0].handle_timers(now);
    assert!(!gone(&mut net).is_empty());
}

#[test]
fn what_waits_goes_with_a_fin_and_with_urgent_data() {
    let (mut net, id) = wide();
    write(&mut net, id, 100_000);
    assert_eq!(write(&mut net, id, 100_000), []);
    let now = net.now;
    assert_eq!(net.hosts[0].shutdown(now, id, Shutdown::Write), Ok(()));
    assert!(!gone(&mut net).is_empty());

    let (mut net, id) = wide();
    write(&mut net, id, 100_000);
    assert_eq!(write(&mut net, id, 100_000), []);
    let (now, flags) = (net.now, SendFlags::OOB | SendFlags::GATHER);
    let sent = net.hosts[0].send(now, id, &[IoSlice::new(b"!")], flags, None);
    assert_eq!(sent, Ok(1));
    assert!(!gone(&mut net).is_empty());
}

#[test]
fn narrow_windows_keep_nothing_waiting() {
    let mut net = Pair::with(with_offload(0), with_offload(1));
    let (id, ..) = net.connected(80);
    for _ in 0..4 {
        write(&mut net, id, 9000);
    }
    let info = net.hosts[0].tcp_info(net.now, id).expect("a connection");
    assert!(
        info.unacked >= 8,
        "the first window is used: {}",
        info.unacked
    );
}
