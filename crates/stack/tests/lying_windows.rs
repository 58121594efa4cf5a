//! Peers that lie about their window: it shrinks, closes for good, is larger than anything, or is all of it in turn (RFC 9293 3.8.6,
//! MUST-34 to MUST-36, RFC 1122 4.2.2.16 and 4.2.2.17). What we hold stays bounded, and a peer that answers is waited for without end.

mod script;

use script::{ACK, Script, seg};
use tunsock_stack::{Config, Error, SendFlags, SocketId, State};

/// MSS 1000, SACK-permitted, window scale 14.
const SYN_OPTIONS: [u8; 10] = [2, 4, 3, 232, 4, 2, 3, 3, 14, 1];
/// A send buffer may cost this, octets.
const SNDBUF: usize = 256 << 10;

fn script() -> Script {
    Script::with(Config {
        tcp_wmem: [4096, SNDBUF, SNDBUF],
        ..Config::default()
    })
}

/// Writes until no more is taken; how much that was.
fn fill(s: &mut Script, id: SocketId) -> usize {
    let data = [std::io::IoSlice::new(&[7; 10_000])];
    let mut taken = 0;
    loop {
        match s.stack.send(s.now, id, &data, SendFlags::empty(), None) {
            Ok(n) => taken += n,
            Err(error) => {
                assert_eq!(error, Error::WouldBlock);
                return taken;
            }
        }
    }
}

/// What is sent from now on: the sequence number after the last octet and how many segments there were.
fn sent(s: &mut Script) -> (u32, usize) {
    let (mut end, mut segments) = (0, 0);
    while let Some((_, seg)) = s.try_sent_ago() {
        end = end.max(seg.seq + seg.data.len() as u32);
        segments += 1;
    }
    (end, segments)
}

fn bounded(s: &Script) {
    let memory = s.stack.census().memory;
    assert!(memory <= 2 * SNDBUF, "{memory} octets held");
    assert_eq!(s.stack.audit(), Ok(()));
}

#[test]
fn rfc9293_3_8_6_1_a_window_of_zero_is_probed_without_end_while_the_peer_answers() {
    let mut s = script();
    let id = s.plain();
    s.inject(seg(ACK, 1, 1, b"").window(0));
    let taken = fill(&mut s, id);
    bounded(&s);
    assert_eq!(sent(&mut s).1, 0, "nothing goes into a closed window");
    // Three days of a peer that answers every probe: MUST-35, MUST-36, RFC 1122 4.2.2.17.
    let (mut probes, mut apart) = (0, Vec::new());
    let began = s.now;
    let mut last = s.now;
    while s.now.since(began).as_secs() < 3 * 86_400 {
        s.wait(1000);
        let (_, segments) = sent(&mut s);
        if segments > 0 {
            apart.push(s.now.since(last).as_secs());
            last = s.now;
            probes += segments;
            s.inject(seg(ACK, 1, 1, b"").window(0));
            assert_eq!(sent(&mut s).1, 0, "an answer is not answered");
        }
    }
    assert_eq!(s.state(id), State::Established);
    assert!(
        apart.iter().all(|seconds| *seconds <= 122),
        "at most two minutes apart"
    );
    assert!(
        (2000..=6000).contains(&probes),
        "{probes} probes in three days"
    );
    bounded(&s);
    // It opens at last, and everything goes.
    let mut acked = 1;
    while acked < 1 + taken as u32 {
        s.inject(seg(ACK, 1, acked, b""));
        let (end, segments) = sent(&mut s);
        assert!(segments > 0, "stuck at {acked}");
        acked = acked.max(end);
    }
    s.inject(seg(ACK, 1, acked, b""));
    assert_eq!(s.stack.unsent_bytes(id), Ok(0));
    assert_eq!(s.stack.census().chunks, 0);
}

#[test]
fn rfc9293_3_8_6_2_1_a_window_that_shrinks_takes_nothing_back_and_loses_nothing() {
    let mut s = script();
    let id = s.plain();
    fill(&mut s, id);
    let (out, _) = sent(&mut s);
    assert!(out > 5000, "{out} octets out");
    // MUST-34: to less than is out, then to nothing, then open again, over and over.
    let mut acked = 1;
    for round in 0..200u32 {
        for window in [1000, 1, 0] {
            s.inject(seg(ACK, 1, acked, b"").window(window));
            let (end, _) = sent(&mut s);
            assert!(
                end <= acked + out.max(70_000),
                "round {round}: {end} is far beyond {acked}"
            );
        }
        bounded(&s);
        s.inject(seg(ACK, 1, acked, b"").window(20_000));
        let (end, _) = sent(&mut s);
        assert!(end <= acked + 20_000, "round {round}");
        s.wait(400);
        let (again, _) = sent(&mut s);
        acked = acked.max(end).max(again).min(acked + 20_000);
    }
    assert_eq!(s.state(id), State::Established);
    assert!(acked > 20_000, "{acked}: it went on");
    assert_eq!(s.stack.audit(), Ok(()));
}

#[test]
fn rfc7323_2_2_a_window_of_a_gigabyte_lets_no_more_go_than_congestion_control_says() {
    let mut s = script();
    let id = s.accepted(&SYN_OPTIONS, 65_535);
    fill(&mut s, id);
    let (end, _) = sent(&mut s);
    assert!(end <= 1 + 10_000, "the initial window, not {end}");
    bounded(&s);
    // Each acknowledgement claims a window of a gigabyte; the send buffer stays what it is.
    let mut acked = 1;
    for _ in 0..300 {
        s.wait(10);
        acked = acked.max(sent(&mut s).0);
        s.inject(seg(ACK, 1, acked, b""));
        fill(&mut s, id);
        bounded(&s);
    }
    let cwnd = s.stack.tcp_info(s.now, id).expect("a connection").snd_cwnd;
    assert!(
        cwnd as usize <= 4 * SNDBUF / 1000,
        "a window of {cwnd} segments was never used"
    );
}

#[test]
fn windows_of_every_size_in_turn_keep_memory_and_segments_bounded() {
    let mut s = script();
    let id = s.accepted(&SYN_OPTIONS, 65_535);
    let (mut acked, mut segments, mut lie) = (1u32, 0, 12_345u32);
    for _ in 0..1000 {
        lie = lie.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        fill(&mut s, id);
        let window = [0, 1, 3, 0, 65_535, 7][(lie >> 16) as usize % 6];
        // Old acknowledgements too: a window is taken from the latest segment alone (SND.WL1, SND.WL2).
        let back = if lie & 1 << 30 == 0 {
            0
        } else {
            acked.min(5000) - 1
        };
        s.inject(seg(ACK, 1, acked - back, b"").window(window));
        let (end, n) = sent(&mut s);
        segments += n;
        acked = acked.max(end);
        if lie & 1 << 28 == 0 {
            s.wait(1);
        }
    }
    bounded(&s);
    assert_eq!(s.state(id), State::Established);
    assert!(segments < 1000 * 64, "{segments} segments");
    assert!(acked > 1000, "{acked}: it went on");
}
