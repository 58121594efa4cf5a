//! Path MTU discovery by probing (RFC 4821): what is sent larger than the rest, and what follows from its arrival or loss.

use std::time::Duration;

use tunsock_stack::*;

mod script;

use script::*;

/// MSS 1460 and SACK-permitted.
const OPTIONS: [u8; 8] = [2, 4, 5, 180, 4, 2, 1, 1];

fn config(mtu: Option<u32>) -> Config {
    Config {
        mtu_probing: MtuProbing::Always,
        base_mss: 512,
        routes: vec![Route {
            dest: "10.0.0.2/32".parse().expect("a prefix"),
            gateway: None,
            mtu,
        }],
        ..Config::default()
    }
}

/// A connection that was made while its path carried 640 octets, and now carries 1500.
fn widened() -> (Script, SocketId) {
    let mut s = Script::with(config(Some(640)));
    let id = s.accepted(&OPTIONS, 65_535);
    s.stack.retune(config(None));
    (s, id)
}

/// Where what is sent now begins, and how long it is.
fn sent(s: &mut Script) -> Vec<(u32, usize)> {
    std::iter::from_fn(|| s.try_sent_ago())
        .map(|(_, seg)| (seg.seq, seg.data.len()))
        .collect()
}

fn lengths(s: &mut Script) -> Vec<usize> {
    sent(s).into_iter().map(|(_, len)| len).collect()
}

/// A SACK option with one block.
fn sack(left: u32, right: u32, s: &Script) -> Vec<u8> {
    let mut option = vec![1, 1, 5, 10];
    for edge in [left, right] {
        option.extend(s.iss.wrapping_add(edge).to_be_bytes());
    }
    option
}

fn info(s: &Script, id: SocketId) -> TcpInfo {
    s.stack.tcp_info(s.now, id).expect("a connection")
}

#[test]
fn rfc4821_7_2_what_a_probe_has_found_is_used() {
    let (mut s, id) = widened();
    // Too little behind it for its loss to show without a time-out.
    s.send(id, &[1; 3000]);
    assert_eq!(lengths(&mut s), [600; 5]);
    s.inject(seg(ACK, 1, 3001, b""));
    s.send(id, &[1; 4000]);
    // Half way between 512 and 1460.
    assert_eq!(lengths(&mut s), [986, 600, 600, 600, 600, 600, 14]);
    s.inject(seg(ACK, 1, 7001, b""));
    s.send(id, &[1; 2000]);
    assert_eq!(lengths(&mut s), [986, 986, 28]);
    s.inject(seg(ACK, 1, 9001, b""));
    s.send(id, &[1; 8000]);
    assert_eq!(lengths(&mut s)[0], 1223, "between 986 and 1460");
    s.stack.audit().expect("sound");
}

#[test]
fn rfc4821_7_5_a_lost_probe_tells_of_its_size_and_not_of_congestion() {
    for with_sack in [true, false] {
        let mut s = Script::with(config(Some(640)));
        let options = if with_sack {
            &OPTIONS[..]
        } else {
            &OPTIONS[..4]
        };
        let id = s.accepted(options, 65_535);
        s.stack.retune(config(None));
        s.send(id, &[1; 4000]);
        assert_eq!(sent(&mut s)[0], (1, 986));
        let before = info(&s, id);
        let mut again = Vec::new();
        for end in [1587, 2187, 2787, 3387, 3987] {
            let block = sack(987, end, &s);
            s.inject(seg(ACK, 1, 1, b"").options(if with_sack { &block } else { &[] }));
            again.extend(sent(&mut s));
            s.wait(1);
        }
        // Its octets in two segments of the size that is known, once, and nothing else.
        assert_eq!(again, [(1, 600), (601, 386)], "SACK: {with_sack}");
        let after = info(&s, id);
        assert_eq!(after.ca_state as u8 & !1, CaState::Open as u8);
        assert_eq!(
            (after.snd_cwnd, after.snd_ssthresh),
            (before.snd_cwnd, None)
        );
        s.inject(seg(ACK, 1, 4001, b""));
        s.send(id, &[1; 6000]);
        assert_eq!(lengths(&mut s)[0], 748, "between 512 and 985");
        s.stack.audit().expect("sound");
    }
}

#[test]
fn rfc4821_7_7_after_a_black_hole_the_way_up_is_found_by_probes() {
    let mut s = Script::new();
    let id = s.accepted(&OPTIONS, 65_535);
    s.send(id, &[1; 60_000]);
    assert_eq!(lengths(&mut s), [1460; 10]);
    // Nothing arrives, four time-outs long; then what is short does. The path carries 1000 octets of text.
    s.wait(20_000);
    sent(&mut s);
    let mut have = vec![true];
    have.resize(60_001, false);
    let (mut una, mut longest, mut rounds) = (1, 0, 0);
    while una < have.len() && rounds < 2000 {
        rounds += 1;
        for (seq, len) in sent(&mut s).into_iter().filter(|(_, len)| *len <= 1000) {
            longest = longest.max(len);
            have[seq as usize..seq as usize + len].fill(true);
        }
        s.wait(20);
        una += have[una..].iter().take_while(|have| **have).count();
        let hole = have[una..].iter().take_while(|have| !**have).count();
        let beyond = have[una + hole..].iter().take_while(|have| **have).count();
        let left = (una + hole) as u32;
        let block = match beyond {
            0 => Vec::new(),
            len => sack(left, left + len as u32, &s),
        };
        s.inject(seg(ACK, 1, una as u32, b"").options(&block));
    }
    assert_eq!(una, have.len(), "everything arrives");
    assert!(longest > 900, "{longest} of 1000");
    s.stack.audit().expect("sound");
}

#[test]
fn nothing_is_probed_for_without_suspicion() {
    let mut s = Script::with(Config {
        mtu_probing: MtuProbing::Suspicion,
        ..config(Some(640))
    });
    let id = s.accepted(&OPTIONS, 65_535);
    s.stack.retune(config(None));
    s.send(id, &[1; 6000]);
    assert_eq!(lengths(&mut s), [600; 10]);
    s.wait(Duration::from_secs(1).as_millis() as u64);
    assert_eq!(lengths(&mut s)[0], 600);
}
