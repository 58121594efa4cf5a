//! What simulation has found, segment by segment.

mod script;

use std::io::IoSlice;

use script::*;
use tunsock_stack::*;

/// Both SYNs of a simultaneous open have been seen; ours had window shift 0.
fn crossed(options: &[u8]) -> (Script, SocketId) {
    let mut s = Script::with(Config {
        tcp_rmem: [4096, 60_000, 60_000],
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
    s.expect(ACK, 1, 1, b"");
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
    // 80 000 octets ahead there is nothing to be said yet: whatever the pointer named would be taken out of the stream should the
    // later segments be lost.
    for (at, pointer) in [(1, None), (15_001, Some(65_000)), (30_001, Some(50_000))] {
        let got = s.sent();
        let told = (got.flags & URG == URG).then_some(got.urgent);
        assert_eq!((got.seq, told), (at, pointer));
        assert_eq!(got.data.len(), 15_000);
        s.inject(seg(ACK, 1, at + 15_000, b"").window(60_000));
    }
}

#[test]
fn rfc9293_3_8_5_urgent_data_is_announced_through_a_closed_window() {
    let mut s = Script::new();
    let id = s.accepted(&[2, 4, 3, 232], 1000);
    s.send(id, &[7; 1000]);
    assert_eq!(s.sent().flags & URG, 0);
    s.inject(seg(ACK, 1, 1001, b"").window(0));
    send_urgent(&mut s, id, b"now!");
    s.inject(seg(ACK, 1, 1001, b"x").window(0));
    s.inject(seg(ACK, 2, 1001, b"y").window(0));
    let got = s.sent();
    assert_eq!((got.flags & URG, got.seq, got.data.len()), (URG, 1001, 0));
    assert_eq!(got.urgent, 4);
}

#[test]
fn an_urgent_pointer_to_what_has_come_already_means_nothing() {
    let mut s = Script::new();
    let id = s.plain();
    s.inject(seg(ACK, 1, 1, b"abc"));
    s.inject(seg(ACK | URG, 4, 1, b"def").urgent(0));
    s.inject(seg(ACK | URG, 1, 1, b"abcdefg").urgent(2));
    assert_eq!(s.recv(id), Ok(b"abcdefg".to_vec()));
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
    s.expect(ACK, 2001, 101, b"");
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

#[test]
fn rfc9293_3_10_4_a_close_in_syn_received_waits_for_the_handshake() {
    let mut s = Script::new();
    let id = s.connecting();
    s.expect(SYN, 0, 0, b"");
    s.inject(seg(SYN, 0, 0, b""));
    s.expect(SYN | ACK, 0, 1, b"");
    s.stack.close(s.now, id);
    s.wait(1500);
    s.expect(SYN | ACK, 0, 1, b"");
    s.expect_nothing();
    s.inject(seg(ACK, 1, 1, b""));
    s.expect(FIN | ACK, 1, 1, b"");
    s.inject(seg(ACK | FIN, 1, 2, b""));
    s.expect(ACK, 2, 2, b"");
    s.wait(61_000);
    assert!(s.stack.census().is_empty(), "{:?}", s.stack.census());
}

#[test]
fn rfc5961_5_a_segment_with_a_wrong_ack_does_not_touch_the_timestamp() {
    let mut s = Script::new();
    let mut options = vec![2, 4, 3, 232];
    options.extend(ts(1, 0));
    let id = s.accepted(&options, 65_535);
    s.inject(seg(ACK, 1, 5_000_000, b"").options(&ts(0x4000_0000, 0)));
    s.expect(ACK, 1, 1, b"");
    s.inject(seg(ACK, 1, 1, b"hi").options(&ts(3, 0)));
    assert_eq!(s.recv(id), Ok(b"hi".to_vec()));
}

#[test]
fn time_wait_remembers_no_more_for_being_told_often() {
    let mut s = Script::new();
    let id = s.plain();
    s.stack.close(s.now, id);
    s.expect(FIN | ACK, 1, 1, b"");
    s.inject(seg(FIN | ACK, 1, 2, b""));
    s.expect(ACK, 2, 2, b"");
    for _ in 0..5000 {
        s.inject(seg(FIN | ACK, 1, 2, b""));
        s.wait(1);
    }
    let census = s.stack.census();
    assert_eq!(census.time_wait, 1);
    assert!(census.deadlines < 20, "{census:?}");
    s.wait(60_500);
    assert_eq!(s.stack.census().time_wait, 0);
}

/// An ICMP "fragmentation needed" about the segment at `seq`.
fn too_big(s: &mut Script, seq: u32, mtu: u16) {
    let mut inner = vec![0x45, 0, 5, 220, 0, 0, 0x40, 0, 64, 6, 0, 0];
    inner.extend(US.octets());
    inner.extend(PEER.octets());
    inner.extend(s.us_port.to_be_bytes());
    inner.extend(s.peer_port.to_be_bytes());
    inner.extend(s.iss.wrapping_add(seq).to_be_bytes());
    let mut icmp = vec![3, 4, 0, 0, 0, 0];
    icmp.extend(mtu.to_be_bytes());
    icmp.extend(inner);
    let fold = |bytes: &[u8]| {
        let mut sum: u32 = bytes
            .chunks(2)
            .map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0)))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    };
    let check = fold(&icmp);
    icmp[2..4].copy_from_slice(&check);
    let mut ip = vec![0x45, 0, 0, 20 + icmp.len() as u8, 0, 1, 0, 0, 64, 1, 0, 0];
    ip.extend([10, 0, 0, 254]);
    ip.extend(US.octets());
    let check = fold(&ip);
    ip[10..12].copy_from_slice(&check);
    let frame = [vec![0; 10], ip, icmp].concat();
    s.stack.handle_frame(s.now, &frame);
}

#[test]
fn rfc5927_7_a_too_big_that_changes_nothing_sends_nothing_again() {
    let mut s = Script::new();
    let id = s.accepted(&[2, 4, 5, 180], 65_535);
    s.send(id, &[7; 2920]);
    s.expect(ACK, 1, 1, &[7; 1460]);
    s.expect(ACK, 1461, 1, &[7; 1460]);
    too_big(&mut s, 1, 1500);
    s.expect_nothing();
    too_big(&mut s, 1, 1240);
    s.expect(ACK, 1, 1, &[7; 1200]);
    // The next one of the same flight has nothing new to say.
    too_big(&mut s, 1461, 1240);
    s.wait(50);
    let mut again = 0;
    while let Some((_, got)) = s.try_sent_ago() {
        again += usize::from(got.seq == 1);
    }
    assert_eq!(again, 0);
}

#[test]
fn rfc9293_3_10_7_4_a_fin_at_the_windows_end_makes_no_connection() {
    let mut s = Script::with(Config {
        tcp_rmem: [4096, 4096, 4096],
        ..Config::default()
    });
    let listener = s.listen();
    s.inject(seg(SYN, 0, 0, b"").options(&[2, 4, 3, 232]));
    let window = s.sent().window;
    // The third segment and the text before the FIN were lost.
    s.inject(seg(ACK | FIN, 1 + u32::from(window), 1, b""));
    s.expect(SYN | ACK, 0, 1, b"");
    let none = s.stack.accept(s.now, listener).map(|_| ());
    assert_eq!(none, Err(Error::WouldBlock));
    assert_eq!(s.stack.audit(), Ok(()));
    s.inject(seg(ACK, 1, 1, b""));
    let (id, _) = s.stack.accept(s.now, listener).expect("accepted");
    assert_eq!(s.state(id), State::Established);
}

#[test]
fn a_connect_passes_over_ports_whose_connection_is_in_time_wait() {
    let mut s = Script::with(Config {
        ports: (50_000, 50_001),
        ..Config::default()
    });
    let port = |s: &Script, id| s.stack.local_addr(id).expect("bound").port();
    let first = s.connecting();
    let mut ports = vec![port(&s, first)];
    s.sent();
    s.inject(seg(SYN | ACK, 0, 1, b""));
    s.expect(ACK, 1, 1, b"");
    // A socket still open when TIME-WAIT begins gives its port back at close, and the remnant stays.
    let shut = s.stack.shutdown(s.now, first, Shutdown::Write);
    assert_eq!(shut, Ok(()));
    s.expect(ACK | FIN, 1, 1, b"");
    s.inject(seg(ACK | FIN, 1, 2, b""));
    s.expect(ACK, 2, 2, b"");
    s.stack.close(s.now, first);
    s.wait(1500);
    let second = s.connecting();
    ports.push(port(&s, second));
    ports.sort_unstable();
    assert_eq!(ports, [50_000, 50_001]);
    let id = s.stack.socket(Domain::V4, Kind::Stream).expect("socket");
    let third = s.stack.connect(s.now, id, (PEER, 5000).into());
    assert_eq!(third, Err(Error::AddressNotAvailable));
}
