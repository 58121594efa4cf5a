//! Socket buffers: what a write takes, how it is cut, and how buffers grow.

mod script;

use std::collections::HashSet;
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::time::Duration;

use script::{ACK, PSH, SYN, Script, URG, seg};
use tunsock_stack::{
    Config, Domain, Error, Instant, Kind, Ready, RecvFlags, Result, SendFlags, SockOpt,
    SockOptName, SocketId, Stack,
};

/// MSS 1000, window scale 7.
const MSS_1000: &[u8] = &[2, 4, 3, 232, 1, 3, 3, 7];

fn write(s: &mut Script, id: SocketId, len: usize, flags: SendFlags) -> Result<usize> {
    let data = vec![0; len];
    s.stack.send(s.now, id, &[IoSlice::new(&data)], flags, None)
}

/// Octets of every segment that went, and whether it was pushed.
fn went(s: &mut Script) -> Vec<(usize, bool)> {
    std::iter::from_fn(|| s.try_sent_ago())
        .map(|(_, seg)| (seg.data.len(), seg.flags & PSH != 0))
        .collect()
}

/// A connection with segments of 1000 octets, a first window of 32792 and then one of 257 << 7.
fn connection(config: Config) -> (Script, SocketId) {
    let mut s = Script::with(config);
    let listener = s.listen();
    s.inject(seg(SYN, 0, 0, b"").options(MSS_1000).window(32_792));
    let _ = s.sent();
    s.inject(seg(ACK, 1, 1, b"").window(257));
    let (id, _) = s.stack.accept(s.now, listener).expect("accepted");
    (s, id)
}

#[test]
fn a_write_takes_what_linux_takes() {
    // 10000 octets go at once, then pieces of half the window, until they and their cost reach the buffer's size.
    let config = Config {
        tcp_wmem: [4096, 50_000, 4 << 20],
        ..Config::default()
    };
    let (mut s, id) = connection(config);
    assert_eq!(write(&mut s, id, 59_000, SendFlags::empty()), Ok(58_000));
    assert_eq!(
        write(&mut s, id, 1, SendFlags::empty()),
        Err(Error::WouldBlock)
    );
    assert!(!s.stack.readiness(id).contains(Ready::OUT));
    assert_eq!(s.stack.audit(), Ok(()));
    let _ = went(&mut s);
    // A third of it has to be free before anybody is told.
    for ack in [10_001, 26_001] {
        assert!(!s.stack.readiness(id).contains(Ready::OUT));
        s.inject(seg(ACK, 1, ack, b"").window(257));
    }
    assert!(s.stack.readiness(id).contains(Ready::OUT));
    assert_eq!(s.stack.audit(), Ok(()));
}

#[test]
fn not_sent_low_water_mark_bounds_a_write() {
    for of_all in [false, true] {
        let mark = if of_all { 4000 } else { u32::MAX };
        let (mut s, id) = connection(Config {
            notsent_lowat: mark,
            tcp_wmem: [4096, 256 << 10, 4 << 20],
            ..Config::default()
        });
        if !of_all {
            s.stack
                .set_option(s.now, id, SockOpt::NotSentLowat(4000))
                .expect("option");
        }
        let shown = if of_all { 0 } else { 4000 };
        assert_eq!(
            s.stack.get_option(id, SockOptName::NotSentLowat),
            Ok(SockOpt::NotSentLowat(shown))
        );
        assert_eq!(write(&mut s, id, 59_000, SendFlags::empty()), Ok(26_000));
    }
}

#[test]
fn writes_that_end_a_record_keep_segments_apart_also_when_they_go_again() {
    let mut s = Script::new();
    let id = s.plain();
    s.stack
        .set_option(s.now, id, SockOpt::NoDelay(true))
        .expect("option");
    let records = [(300, true), (400, true), (500, false), (600, false)];
    for (len, ends) in records {
        let flags = if ends {
            SendFlags::EOR
        } else {
            SendFlags::empty()
        };
        assert_eq!(write(&mut s, id, len, flags), Ok(len));
    }
    let apart = vec![(300, true), (400, true), (1000, false), (100, true)];
    assert_eq!(went(&mut s), apart);
    // The tail probe, and after it the time-out: the first record alone, then the window opens for the others.
    s.wait(5_000);
    let again = went(&mut s);
    assert!(
        again.iter().all(|sent| apart.contains(sent)),
        "{again:?} is not of {apart:?}"
    );
    s.inject(seg(ACK, 1, 301, b"").window(65_535));
    let next = went(&mut s);
    assert_eq!(next.first(), Some(&apart[1]), "{next:?}");
}

#[test]
fn a_long_write_is_pushed_at_half_the_largest_window() {
    let config = Config {
        tcp_wmem: [4096, 400_000, 4 << 20],
        ..Config::default()
    };
    let (mut s, id) = connection(config);
    assert_eq!(write(&mut s, id, 100_000, SendFlags::empty()), Ok(100_000));
    let (mut at, mut pushed) = (1, Vec::new());
    let mut acked = 1;
    while acked < 100_001 {
        for (len, push) in went(&mut s) {
            at += len as u32;
            if push {
                pushed.push(at);
            }
        }
        acked = at;
        s.inject(seg(ACK, 1, acked, b"").window(257));
    }
    let gaps: Vec<u32> = pushed.windows(2).map(|p| p[1] - p[0]).collect();
    assert!(
        pushed.last() == Some(&100_001) && pushed.len() > 3 && pushed.len() < 8,
        "{pushed:?}"
    );
    assert!(gaps.iter().all(|gap| *gap <= 32_000), "{pushed:?}");
}

#[test]
fn a_receive_buffer_grows_with_what_the_program_reads_in_a_round_trip() {
    let grown = |fixed: bool, reads: bool| {
        let mut s = Script::new();
        let id = s.accepted(&[2, 4, 5, 180, 1, 3, 3, 7], 65_535);
        s.inject(seg(ACK, 1, 1, b"").window(65_535));
        if fixed {
            s.stack
                .set_option(s.now, id, SockOpt::RcvBuf(65_536))
                .expect("option");
        }
        let mut seq = 1;
        for round in 0..12 {
            for _ in 0..(10 << round.min(4)) {
                s.inject(seg(ACK, seq, 1, &[0; 1460]).window(65_535));
                seq += 1460;
            }
            s.wait(20);
            while reads && s.recv(id).is_ok() {}
            let _ = went(&mut s);
        }
        assert_eq!(s.stack.audit(), Ok(()));
        match s.stack.get_option(id, SockOptName::RcvBuf) {
            Ok(SockOpt::RcvBuf(size)) => size,
            other => panic!("{other:?}"),
        }
    };
    assert!(grown(false, true) > 262_144, "{}", grown(false, true));
    assert_eq!(grown(true, true), 131_072);
    assert_eq!(grown(false, false), 131_072);
}

/// A stack with `pairs` connections to itself.
fn to_itself(config: Config, pairs: usize) -> (Stack, Instant, Vec<(SocketId, SocketId)>) {
    let mut now = Instant::from_micros(1_000_000);
    let mut stack = Stack::new(config, now);
    let to = SocketAddr::from(([127, 0, 0, 1], 80));
    let listener = stack.socket(Domain::V4, Kind::Stream).expect("socket");
    stack.bind(listener, to).expect("bind");
    stack.listen(now, listener, pairs).expect("listen");
    let connections = (0..pairs).map(|_| {
        let client = stack.socket(Domain::V4, Kind::Stream).expect("socket");
        let begun = stack.connect(now, client, to);
        assert_eq!(begun, Err(Error::InProgress));
        now = now + Duration::from_millis(1);
        stack.transmit(now, &mut |_| ());
        let (server, _) = stack.accept(now, listener).expect("accepted");
        stack.connect(now, client, to).expect("connected");
        (client, server)
    });
    let connections = connections.collect();
    (stack, now, connections)
}

#[test]
fn memory_of_all_buffers_stays_within_its_limit_and_everything_arrives() {
    const EACH: usize = 200_000;
    let limit = 1 << 20;
    let config = Config {
        tcp_mem: [limit / 2, limit * 3 / 4, limit],
        ..Config::default()
    };
    let (mut stack, mut now, connections) = to_itself(config, 40);
    let data = vec![7; EACH];
    let mut buf = vec![0; 30_000];
    let mut state = vec![(0, 0); connections.len()];
    let (mut waiting, mut waited, mut most) = (HashSet::new(), 0, 0);
    for round in 0..20_000 {
        for (n, (client, server)) in connections.iter().enumerate() {
            let (sent, got) = &mut state[n];
            if *sent < EACH && !waiting.contains(client) {
                let rest = [IoSlice::new(&data[*sent..])];
                match stack.send(now, *client, &rest, SendFlags::empty(), None) {
                    Ok(taken) => *sent += taken,
                    Err(Error::WouldBlock) => {
                        assert!(!stack.readiness(*client).contains(Ready::OUT));
                        waiting.insert(*client);
                        waited += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
            // Some read seldom.
            if (round + n) % (1 + 7 * (n % 3)) == 0 {
                let into = &mut [IoSliceMut::new(&mut buf)];
                if let Ok(received) = stack.recv(now, *server, into, RecvFlags::empty()) {
                    *got += received.len;
                }
            }
        }
        stack.transmit(now, &mut |_| ());
        while let Some((id, what)) = stack.poll_event() {
            if what.contains(Ready::OUT) {
                waiting.remove(&id);
            }
        }
        assert_eq!(stack.audit(), Ok(()));
        most = most.max(stack.census().memory);
        now = now + Duration::from_millis(5);
        stack.handle_timers(now);
        if state.iter().all(|(_, got)| *got == EACH) {
            break;
        }
    }
    let missing: usize = state.iter().map(|(_, got)| EACH - got).sum();
    assert_eq!(missing, 0, "{waited} waits, {} waiting", waiting.len());
    assert!(
        most <= limit && most > limit / 2 && waited > 0,
        "{most} of {limit}, {waited}"
    );
    assert_eq!(stack.census().memory, 0);
}

#[test]
fn what_is_out_of_order_makes_room_for_what_is_in_order() {
    let limit = 64 << 10;
    let config = Config {
        tcp_mem: [limit / 2, limit / 2, limit],
        ..Config::default()
    };
    let mut s = Script::with(config);
    let id = s.accepted(&[2, 4, 3, 232, 4, 2, 1, 1], 65_535);
    // Every second segment, until no more is kept.
    for n in 0..60 {
        s.inject(seg(ACK, 1001 + 2000 * n, 1, &[0; 1000]));
    }
    let kept = s.stack.census().memory;
    assert!(kept > limit / 4 && kept <= limit, "{kept} octets kept");
    assert_eq!(s.stack.audit(), Ok(()));
    let _ = went(&mut s);
    for n in 0..60 {
        s.inject(seg(ACK, 1 + 1000 * n, 1, &[0; 1000]));
        assert_eq!(s.stack.audit(), Ok(()));
        let _ = s.recv(id);
    }
    let last = std::iter::from_fn(|| s.try_sent_ago()).last();
    assert_eq!(last.map(|(_, seg)| seg.ack), Some(60_001));
}

#[test]
fn a_receive_buffer_grows_though_windows_come_with_pauses() {
    let mut s = Script::new();
    let listener = s.listen();
    s.inject(seg(SYN, 0, 0, b"").options(MSS_1000));
    let _ = s.sent();
    s.wait(100);
    s.inject(seg(ACK, 1, 1, b""));
    let (id, _) = s.stack.accept(s.now, listener).expect("accepted");
    let before = s.stack.get_option(id, SockOptName::RcvBuf);
    // Slow start over 100 ms: an odd number of segments, so that the last one's acknowledgement waits for its timer.
    let mut at = 1;
    for segments in [11, 21, 41, 61] {
        for _ in 0..segments {
            s.inject(seg(ACK, at, 1, &[7; 1000]));
            at += 1000;
            let _ = s.recv(id);
        }
        s.wait(100);
        let _ = went(&mut s);
    }
    assert_eq!(before, Ok(SockOpt::RcvBuf(131_072)));
    let after = s.stack.get_option(id, SockOptName::RcvBuf);
    assert!(
        matches!(after, Ok(SockOpt::RcvBuf(size)) if size > 200_000),
        "{after:?}"
    );
}

#[test]
fn an_urgent_octet_left_in_the_stream_keeps_nothing_out() {
    let limit = 64 << 10;
    let config = Config {
        tcp_mem: [limit / 2, limit / 2, limit],
        tcp_wmem: [4096, 1 << 20, 1 << 20],
        ..Config::default()
    };
    let mut s = Script::with(config);
    let id = s.accepted(&[2, 4, 3, 232], 1000);
    s.inject(seg(ACK | URG, 1, 1, b"ab!").urgent(3));
    assert_eq!(s.recv(id), Ok(b"ab".to_vec()));
    // What waits to be sent takes what filled queues may have.
    while write(&mut s, id, 10_000, SendFlags::empty()).is_ok() {}
    assert!(s.stack.census().memory >= limit * 5 / 8);
    s.inject(seg(ACK, 4, 1, &[7; 1000]));
    assert_eq!(s.recv(id), Ok(vec![7; 1000]));
    assert_eq!(s.stack.audit(), Ok(()));
}
