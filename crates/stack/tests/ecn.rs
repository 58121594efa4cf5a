//! Explicit congestion notification (RFC 3168 6.1), segment by segment.

mod script;

use script::*;
use tunsock_stack::*;

const ECT0: u8 = 2;
const CE: u8 = 3;

/// An accepted connection whose peer asked for ECN.
fn agreed(ecn: Ecn) -> (Script, SocketId) {
    let mut s = Script::with(Config {
        ecn,
        ..Config::default()
    });
    let listener = s.listen();
    s.inject(seg(SYN | ECE | CWR, 0, 0, b"").options(&[2, 4, 3, 232]));
    let syn_ack = s.sent();
    let wanted = if ecn == Ecn::Off {
        SYN | ACK
    } else {
        SYN | ACK | ECE
    };
    assert_eq!((syn_ack.flags, syn_ack.tos), (wanted, 0));
    s.inject(seg(ACK, 1, 1, b""));
    let (id, _) = s.stack.accept(s.now, listener).expect("accepted");
    (s, id)
}

#[test]
fn text_is_ecn_capable_and_nothing_else_is() {
    let (mut s, id) = agreed(Ecn::Accept);
    s.send(id, b"data");
    let data = s.expect(ACK, 1, 1, b"data");
    assert_eq!(data.tos, ECT0);
    s.wait(1000);
    let again = s.expect(ACK, 1, 1, b"data");
    assert_eq!(again.tos, 0, "a retransmission is not (RFC 3168 6.1.5)");
    s.inject(seg(ACK, 1, 5, b"question"));
    s.wait(50);
    while let Some((_, seg)) = s.try_sent_ago() {
        assert!(
            !seg.data.is_empty() || seg.tos == 0,
            "a pure ACK is not (RFC 3168 6.1.4)"
        );
    }
}

#[test]
fn off_is_off_and_a_marked_syn_is_refused_ecn() {
    let (mut s, id) = agreed(Ecn::Off);
    s.send(id, b"data");
    assert_eq!(s.sent().tos, 0);
    let mut s = Script::new();
    s.listen();
    s.inject(seg(SYN | ECE | CWR, 0, 0, b"").tos(ECT0));
    assert_eq!(s.sent().flags, SYN | ACK);
}

#[test]
fn a_mark_is_echoed_until_cwr() {
    let (mut s, id) = agreed(Ecn::Accept);
    s.inject(seg(ACK, 1, 1, b"a").tos(CE));
    s.expect(ACK | ECE, 1, 2, b"");
    s.inject(seg(ACK, 2, 1, b"b").tos(ECT0));
    s.expect(ACK | ECE, 1, 3, b"");
    s.inject(seg(ACK | CWR, 3, 1, b"c").tos(ECT0));
    s.expect(ACK, 1, 4, b"");
    assert_eq!(s.recv(id), Ok(b"abc".to_vec()));
}

#[test]
fn an_echo_reduces_the_window_once_a_round_trip_and_is_answered_with_cwr() {
    let (mut s, id) = agreed(Ecn::Accept);
    s.send(id, &[0; 30_000]);
    let first: Vec<Seg> = std::iter::from_fn(|| s.try_sent_ago())
        .map(|(_, seg)| seg)
        .collect();
    assert_eq!(first.len(), 10);
    let info = |s: &Script| s.stack.tcp_info(s.now, id).expect("info");
    // RFC 9937: the window comes down in proportion to what is delivered.
    let mut flags: Vec<u8> = Vec::new();
    let mut in_flight = 10;
    for n in 1..=10 {
        s.inject(seg(ACK | ECE, 1, 1 + n * 1000, b""));
        let sent = std::iter::from_fn(|| s.try_sent_ago());
        let before = flags.len();
        flags.extend(sent.map(|(_, seg)| seg.flags));
        in_flight += flags.len() - before;
        in_flight -= 1;
        assert_eq!(info(&s).ca_state, CaState::Cwr);
    }
    assert_eq!(
        in_flight, 7,
        "from 10 by CUBIC's factor, once in a round trip"
    );
    assert_eq!(info(&s).delivered_ce, 10);
    assert!(info(&s).ecn);
    s.inject(seg(ACK, 1, 11_001, b""));
    assert_eq!(info(&s).ca_state, CaState::Open);
    assert_eq!(info(&s).snd_cwnd, 7);
    flags.extend(std::iter::from_fn(|| s.try_sent_ago()).map(|(_, seg)| seg.flags));
    assert_eq!(
        flags.iter().filter(|f| **f & CWR != 0).count(),
        1,
        "CWR once: {flags:?}"
    );
    assert_eq!(flags[0] & CWR, CWR, "with the first new text");
    assert_eq!(s.stack.tcp_info(s.now, id).expect("info").total_retrans, 0);
}

#[test]
fn an_active_open_asks_when_told_to_and_falls_back() {
    let mut s = Script::with(Config {
        ecn: Ecn::Request,
        ..Config::default()
    });
    let id = s.connecting();
    assert_eq!(s.sent().flags, SYN | ECE | CWR);
    s.wait(1001);
    assert_eq!(
        s.sent().flags,
        SYN,
        "asked again without (RFC 3168 6.1.1.1)"
    );
    s.inject(seg(SYN | ACK | ECE, 0, 1, b"").options(&[2, 4, 3, 232]));
    s.expect(ACK, 1, 1, b"");
    s.send(id, b"x");
    assert_eq!(s.sent().tos, 0, "not agreed on");
    let mut s = Script::with(Config {
        ecn: Ecn::Request,
        ..Config::default()
    });
    let id = s.connecting();
    s.sent();
    s.inject(seg(SYN | ACK | ECE, 0, 1, b"").options(&[2, 4, 3, 232]));
    s.expect(ACK, 1, 1, b"");
    s.send(id, b"x");
    assert_eq!(s.sent().tos, ECT0);
}
