//! The same seed gives the same packets: two stacks on a link in memory, with faults on it and a capture around it, in virtual time.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::time::Duration;

use tunsock_link::{
    Capture, CaptureConfig, Device, FRAME_MAX, FaultConfig, Faults, LinkError, MemoryConfig,
    MemoryDevice,
};
use tunsock_stack::{Config, Domain, Error, Instant, Kind, RecvFlags, SendFlags, Stack};

/// What `tunsock run --pcap FILE --loss 1% --delay 10ms --reorder 1% --seed N` puts between a stack and the world.
type Link = Capture<Faults<MemoryDevice>>;

struct Host {
    stack: Stack,
    device: Box<dyn Device>,
}

fn config(host: u8) -> Config {
    Config {
        addrs: vec![format!("10.0.0.{host}/24").parse().expect("a prefix")],
        seed: [host; 32],
        ..Config::default()
    }
}

impl Host {
    fn receive(&mut self, now: Instant, room: &mut [u8]) {
        self.device.poll(now.as_micros());
        loop {
            match self.device.recv(now.as_micros(), room) {
                Ok(len) => self.stack.handle_frame(now, &room[..len]),
                Err(LinkError::WouldBlock) => break,
                Err(error) => panic!("{error:?}"),
            }
        }
        self.stack.handle_timers(now);
    }

    fn send(&mut self, now: Instant) {
        let Host { stack, device } = self;
        stack.transmit(now, &mut |frame| {
            device.send(now.as_micros(), frame).expect("room in memory");
        });
    }

    fn next(&self) -> Option<u64> {
        let stack = self.stack.next_deadline().map(Instant::as_micros);
        stack.into_iter().chain(self.device.next_deadline()).min()
    }
}

fn octet(at: usize) -> u8 {
    (at * 31 + at / 257) as u8
}

/// Fetches `len` octets over the faulty link; the capture's octets, and what arrived.
fn fetch(seed: u64, len: usize, path: &std::path::Path) -> (Vec<u8>, Vec<u8>) {
    let (near, far) = MemoryDevice::pair(MemoryConfig::default()).expect("a pair");
    let faults = FaultConfig {
        loss: 0.01,
        reorder: 0.01,
        duplicate: 0.005,
        corrupt: 0.005,
        delay_us: 10_000,
        seed,
        ..FaultConfig::default()
    };
    let capture = CaptureConfig {
        path: path.to_owned(),
        append: false,
        device: "memory".into(),
        epoch_offset_ns: Some(0),
    };
    let link: Link = Capture::create(Faults::new(near, faults), &capture).expect("a file");
    let mut now = Instant::from_micros(1_000_000);
    let mut client = Host {
        stack: Stack::new(config(1), now),
        device: Box::new(link),
    };
    let mut server = Host {
        stack: Stack::new(config(2), now),
        device: Box::new(far),
    };
    let at: SocketAddr = "10.0.0.2:80".parse().expect("an address");
    let listener = server
        .stack
        .socket(Domain::V4, Kind::Stream)
        .expect("socket");
    server.stack.bind(listener, at).expect("bind");
    server.stack.listen(now, listener, 1).expect("listen");
    let fetcher = client
        .stack
        .socket(Domain::V4, Kind::Stream)
        .expect("socket");
    assert_eq!(
        client.stack.connect(now, fetcher, at),
        Err(Error::InProgress)
    );
    let data: Vec<u8> = (0..len).map(octet).collect();
    let (mut accepted, mut sent, mut got) = (None, 0, Vec::new());
    let mut room = vec![0; FRAME_MAX];
    let mut buf = vec![0; 16_384];
    while got.len() < len {
        assert!(
            now.as_micros() < 600_000_000,
            "stuck at {} of {len}",
            got.len()
        );
        client.receive(now, &mut room);
        server.receive(now, &mut room);
        if accepted.is_none() {
            accepted = server.stack.accept(now, listener).ok().map(|(id, _)| id);
        }
        if let Some(id) = accepted {
            let slices = [IoSlice::new(&data[sent..])];
            sent += server
                .stack
                .send(now, id, &slices, SendFlags::empty(), None)
                .unwrap_or(0);
        }
        let mut bufs = [IoSliceMut::new(&mut buf)];
        if let Ok(part) = client
            .stack
            .recv(now, fetcher, &mut bufs, RecvFlags::empty())
        {
            got.extend_from_slice(&buf[..part.len]);
        }
        client.send(now);
        server.send(now);
        let next = [client.next(), server.next()].into_iter().flatten().min();
        // What was just sent to the undelayed side has arrived already: a step of 50 us lets it be read.
        let soon = now + Duration::from_micros(50);
        now = next.map_or(soon, |at| {
            soon.min(Instant::from_micros(at))
                .max(now + Duration::from_micros(1))
        });
    }
    client.device.flush();
    drop(client);
    (std::fs::read(path).expect("the capture"), got)
}

#[test]
fn same_seed_same_packets_and_the_right_bytes() {
    let dir = std::env::temp_dir().join(format!("tunsock-replay-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let len = 300_000;
    let want: Vec<u8> = (0..len).map(octet).collect();
    let (first, got) = fetch(7, len, &dir.join("a"));
    assert!(got == want, "the bytes are those that were sent");
    let (second, got) = fetch(7, len, &dir.join("b"));
    assert!(got == want);
    assert!(
        first == second,
        "seed 7 twice: the same capture, byte for byte"
    );
    let (third, got) = fetch(8, len, &dir.join("c"));
    assert!(got == want);
    assert!(first != third, "another seed: other packets");
    assert!(first.len() > len, "the capture holds the packets");
    std::fs::remove_dir_all(&dir).expect("cleaned");
}
