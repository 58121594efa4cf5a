//! Super-segments of one connection that are handed out together.

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
fn super_segments_of_a_write_go_together() {
    let (mut net, id) = wide();
    let gone = write(&mut net, id, 300_000);
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert!(gone[0].0 == 5 && gone[0].1 > 300_000, "{gone:?}");
}

#[test]
fn many_go_in_several_heaps() {
    let (mut net, id) = wide();
    let gone = write(&mut net, id, 1_000_000);
    let frames: usize = gone.iter().map(|(frames, _)| frames).sum();
    assert!(gone.len() >= 2 && frames >= 16, "{gone:?}");
    assert!(gone.iter().all(|(frames, _)| *frames <= 8), "{gone:?}");
}
