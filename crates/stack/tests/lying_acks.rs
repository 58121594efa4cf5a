//! Receivers that want more than their share (Savage et al., "TCP congestion control with a misbehaving receiver"; RFC 3465, RFC 5681
//! 3.1): dividing acknowledgements, acknowledging early, making up duplicates.

mod script;

use script::{ACK, Script, seg};
use tunsock_stack::{Config, CongestionControl, SocketId};

/// MSS 1000 and no other options.
const MSS: [u8; 4] = [2, 4, 3, 232];

fn connection(congestion: CongestionControl) -> (Script, SocketId) {
    let mut s = Script::with(Config {
        congestion,
        ..Config::default()
    });
    let id = s.accepted(&MSS, 65_535);
    s.send(id, &[7; 40_000]);
    (s, id)
}

fn cwnd(s: &Script, id: SocketId) -> u32 {
    s.stack.tcp_info(s.now, id).expect("a connection").snd_cwnd
}

fn ack(s: &mut Script, upto: u32) {
    s.take(seg(ACK, 1, upto, b""));
    s.stack.transmit(s.now, &mut |_| {});
}

#[test]
fn rfc3465_2_1_acknowledging_octet_by_octet_opens_the_window_no_wider() {
    for congestion in [CongestionControl::Cubic, CongestionControl::Reno] {
        let (mut honest, id) = connection(congestion);
        honest.wait(10);
        for segment in 1..=5 {
            ack(&mut honest, 1 + segment * 1000);
        }
        let fair = cwnd(&honest, id);
        let (mut greedy, id) = connection(congestion);
        greedy.wait(10);
        for octet in 1..=5000 {
            ack(&mut greedy, 1 + octet);
        }
        let got = cwnd(&greedy, id);
        assert!(fair > 10, "{congestion:?}: slow start opens it, {fair}");
        assert!(
            got <= fair,
            "{congestion:?}: {got} by division, {fair} by right"
        );
    }
}

#[test]
fn rfc9293_3_10_7_4_acknowledging_what_was_not_sent_opens_nothing() {
    for congestion in [CongestionControl::Cubic, CongestionControl::Reno] {
        let (mut s, id) = connection(congestion);
        s.wait(10);
        let before = (cwnd(&s, id), s.stack.unsent_bytes(id));
        for ahead in 0..100 {
            ack(&mut s, 20_000 + ahead * 1000);
        }
        assert_eq!((cwnd(&s, id), s.stack.unsent_bytes(id)), before);
    }
}

#[test]
fn rfc5681_3_2_made_up_duplicates_let_go_no_more_than_was_in_flight() {
    let (mut s, id) = connection(CongestionControl::Reno);
    s.wait(10);
    let mut sent = 0;
    for _ in 0..1000 {
        s.take(seg(ACK, 1, 1, b""));
        let now = s.now;
        s.stack.transmit(now, &mut |parts| {
            sent += parts.iter().map(|part| part.len()).sum::<usize>();
        });
    }
    // Ten segments are in flight and cannot have caused more than ten duplicates: beyond what limited transmit and the retransmission
    // add, no more than as many go.
    assert!(sent <= 15 * 1064, "{sent} octets let go by duplicates");
    assert!(cwnd(&s, id) <= 20, "{}", cwnd(&s, id));
}
