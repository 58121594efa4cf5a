//! What simulation has found, segment by segment.

mod script;

use std::io::IoSlice;

use script::*;
use tunsock_stack::*;

/// Both SYNs of a simultaneous open have been seen; ours had window shift 0.
fn crossed(options: &[u8]) -> (Script, SocketId) {
    let mut s = Script::with(Config {
        rcvbuf: 30_000,
        buf_max: 30_000,
        ..Config::default()
    });
    let id = s.connecting();
    let syn = s.expect(SYN, 0, 0, b"");
    assert_eq!(syn.option(3), Some(&[0][..]));
    s.inject(seg(SYN, 0, 0, b"").options(options));
    (s, id)
}

#[test]
fn rfc7323_2_2_a_simultaneous_open_answers_window_scaling_even_with_shift_0() {
    let (mut s, _) = crossed(&[2, 4, 3, 232, 3, 3, 7]);
    let syn_ack = s.expect(SYN | ACK, 0, 1, b"");
    assert_eq!(syn_ack.option(3), Some(&[0][..]));
    let (mut s, _) = crossed(&[2, 4, 3, 232]);
    let syn_ack = s.expect(SYN | ACK, 0, 1, b"");
    assert_eq!(syn_ack.option(3), None);
}

#[test]
fn rfc7323_2_2_the_window_of_a_syn_ack_is_not_scaled() {
    let (mut s, id) = crossed(&[2, 4, 3, 232, 3, 3, 7]);
    s.expect(SYN | ACK, 0, 1, b"");
    s.inject(
        seg(SYN | ACK, 0, 1, b"")
            .options(&[2, 4, 3, 232, 3, 3, 7])
            .window(2000),
    );
    assert_eq!(s.state(id), State::Established);
    s.send(id, &[7; 5000]);
    s.expect(ACK, 1, 1, &[7; 1000]);
    s.expect(ACK, 1001, 1, &[7; 1000]);
    s.expect_nothing();
}

fn send_urgent(s: &mut Script, id: SocketId, data: &[u8]) {
    let taken = s
        .stack
        .send(s.now, id, &[IoSlice::new(data)], SendFlags::OOB, None);
    assert_eq!(taken, Ok(data.len()));
}

#[test]
fn rfc6093_an_urgent_octet_out_of_the_pointers_reach_is_not_taken_for_another() {
    let mut s = Script::with(Config {
        mtu: 65_535,
        ..Config::default()
    });
    let id = s.accepted(&[2, 4, 0x3a, 0x98, 3, 3, 4], 60_000);
    send_urgent(&mut s, id, &[7; 80_000]);
    // 80 000 octets behind 15 000: while nothing was sent there yet the pointer may say "far ahead".
    for (at, pointer) in [(1, 65_535), (15_001, 65_000), (30_001, 50_000)] {
        let got = s.sent();
        assert_eq!((got.seq, got.flags & URG, got.urgent), (at, URG, pointer));
        assert_eq!(got.data.len(), 15_000);
        s.inject(seg(ACK, 1, at + 15_000, b"").window(60_000));
    }
}

#[test]
fn rfc9293_3_8_5_super_segments_are_not_formed_while_something_urgent_waits() {
    let mut s = Script::with(Config {
        offload: Offload {
            csum: true,
            tso4: true,
            tso6: true,
        },
        ..Config::default()
    });
    let id = s.plain();
    send_urgent(&mut s, id, &[7; 2500]);
    for (seq, len, pointer) in [(1, 1000, 2500), (1001, 1000, 1500), (2001, 500, 500)] {
        let got = s.sent();
        assert_eq!((got.seq, got.data.len(), got.urgent), (seq, len, pointer));
    }
    s.inject(seg(ACK, 1, 2501, b""));
    s.send(id, &[7; 2500]);
    assert_eq!(s.sent().data.len(), 2500, "a super-segment again");
}

#[test]
fn an_urgent_octet_at_the_very_end_does_not_count_as_unread() {
    let mut s = Script::new();
    let id = s.plain();
    s.inject(seg(ACK | URG | FIN, 1, 1, b"ab!").urgent(3));
    s.expect(ACK, 1, 5, b"");
    assert_eq!(s.recv(id), Ok(b"ab".to_vec()));
    assert_eq!(s.recv(id), Ok(vec![]));
    s.stack.close(s.now, id);
    s.expect(FIN | ACK, 1, 5, b"");
}

#[test]
fn rfc9293_3_8_6_a_window_is_counted_from_the_octet_that_came_with_it() {
    let mut s = Script::new();
    let id = s.accepted(&[2, 4, 3, 232], 2000);
    s.send(id, &[7; 5000]);
    s.expect(ACK, 1, 1, &[7; 1000]);
    s.expect(ACK, 1001, 1, &[7; 1000]);
    // The peer had sent up to 101, and what it sends again has a sequence number from before that.
    s.inject(seg(ACK, 101, 1, b"").window(2000));
    s.inject(seg(ACK, 1, 2001, &[8; 100]).window(500));
    s.expect_nothing();
    s.wait(2000);
    let mut seen = 0;
    while let Some((_, got)) = s.try_sent_ago() {
        seen = seen.max(got.seq + got.data.len() as u32);
    }
    assert_eq!(seen, 2501, "the window ends there");
}

#[test]
fn rfc9293_3_8_6_2_2_time_wait_does_not_move_the_windows_edge_left() {
    let mut s = Script::new();
    let id = s.accepted(&[2, 4, 3, 232, 3, 3, 0], 65_535);
    s.inject(seg(ACK, 1, 1, &[7; 100]));
    s.wait(100);
    let edge = s.sent();
    let shift = 9;
    let offered = edge.ack + (u32::from(edge.window) << shift);
    assert_eq!(s.recv(id), Ok(vec![7; 100]));
    s.stack.close(s.now, id);
    s.expect(FIN | ACK, 1, 101, b"");
    s.inject(seg(FIN | ACK, 101, 2, b""));
    let last = s.sent();
    assert!(last.ack + (u32::from(last.window) << shift) >= offered);
}

#[test]
fn nothing_comes_behind_the_fin() {
    let mut s = Script::new();
    let id = s.plain();
    s.inject(seg(ACK | FIN, 11, 1, b""));
    s.inject(seg(ACK, 1, 1, &[7; 30]));
    assert_eq!(s.state(id), State::CloseWait);
    assert_eq!(s.recv(id), Ok(vec![7; 10]));
    assert_eq!(s.recv(id), Ok(vec![]));
    s.stack.audit().unwrap();
    let mut s = Script::new();
    let id = s.plain();
    s.inject(seg(ACK, 21, 1, &[7; 10]));
    s.inject(seg(ACK | FIN, 11, 1, b""));
    s.inject(seg(ACK, 1, 1, &[7; 20]));
    assert_eq!(s.state(id), State::Established);
    assert_eq!(s.recv(id), Ok(vec![7; 30]));
    s.inject(seg(ACK | FIN, 31, 1, b""));
    assert_eq!(s.recv(id), Ok(vec![]));
    s.stack.audit().unwrap();
}
