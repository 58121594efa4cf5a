//! RFC 9293 and its companions, segment by segment: each test names the section it covers.

mod script;

use script::*;
use tunsock_stack::*;

#[test]
fn rfc9293_3_10_7_1_closed_port_answers_with_reset() {
    let mut s = Script::new();
    s.us_port = 81;
    s.inject(seg(SYN, 0, 0, b"xy"));
    let rst = s.sent();
    assert_eq!((rst.flags, rst.seq, rst.ack), (RST | ACK, 0, 3));
    s.inject(seg(ACK, 5, 1234, b""));
    let rst = s.sent();
    assert_eq!((rst.flags, rst.seq), (RST, 1234));
    s.inject(seg(RST, 5, 0, b""));
    s.expect_nothing();
}

#[test]
fn rfc9293_3_10_7_2_listen() {
    let mut s = Script::new();
    s.listen();
    s.inject(seg(RST, 0, 0, b""));
    s.expect_nothing();
    s.inject(seg(ACK, 0, 77, b""));
    let rst = s.sent();
    assert_eq!((rst.flags, rst.seq), (RST, 77));
    s.inject(seg(FIN, 0, 0, b""));
    s.expect_nothing();
    s.inject(seg(SYN, 0, 0, b"").options(&[2, 4, 5, 180, 4, 2, 3, 3, 7]));
    let syn_ack = s.expect(SYN | ACK, 0, 1, b"");
    assert_eq!(
        syn_ack.option(2),
        Some(&1460u16.to_be_bytes()[..]),
        "MUST-14"
    );
    assert_eq!(syn_ack.option(4), Some(&[][..]));
    assert!(syn_ack.option(3).is_some());
    assert_eq!(
        syn_ack.option(8),
        None,
        "RFC 7323 3.2: not offered, not sent"
    );
}

#[test]
fn syn_ack_is_retransmitted_with_back_off_and_given_up() {
    let mut s = Script::new();
    let listener = s.listen();
    s.inject(seg(SYN, 0, 0, b""));
    s.expect(SYN | ACK, 0, 1, b"");
    s.wait(200_000);
    let mut times = Vec::new();
    while let Some(next) = s.try_sent_ago() {
        assert_eq!(next.1.flags, SYN | ACK);
        times.push(200_000 - next.0);
    }
    assert_eq!(times, [1_000, 3_000, 7_000, 15_000, 31_000]);
    assert_eq!(s.stack.sockets().len(), 1);
    assert_eq!(s.stack.accept(s.now, listener), Err(Error::WouldBlock));
}

#[test]
fn half_open_connection_is_reset_by_an_exact_rst_only() {
    let mut s = Script::new();
    s.listen();
    s.inject(seg(SYN, 0, 0, b""));
    s.expect(SYN | ACK, 0, 1, b"");
    s.inject(seg(RST, 9, 0, b""));
    assert_eq!(s.stack.sockets().len(), 2);
    s.inject(seg(ACK, 1, 99, b""));
    let rst = s.sent();
    assert_eq!(
        (rst.flags, rst.seq),
        (RST, 99),
        "RFC 9293 3.10.7.4: unacceptable ACK in SYN-RECEIVED"
    );
    s.inject(seg(RST, 1, 0, b""));
    assert_eq!(s.stack.sockets().len(), 1);
}

#[test]
fn rfc9293_3_10_7_3_syn_sent() {
    let mut s = Script::new();
    let id = s.connecting();
    let syn = s.sent();
    assert_eq!((syn.flags, syn.seq), (SYN, 0));
    assert!(
        syn.option(2).is_some()
            && syn.option(3).is_some()
            && syn.option(4).is_some()
            && syn.option(8).is_some()
    );
    s.inject(seg(SYN | ACK, 0, 5, b""));
    let rst = s.sent();
    assert_eq!((rst.flags, rst.seq), (RST, 5), "unacceptable ACK");
    s.inject(seg(RST, 0, 0, b""));
    assert_eq!(
        s.state(id),
        State::SynSent,
        "a reset without acceptable ACK is nothing"
    );
    s.inject(seg(SYN | ACK, 0, 1, b""));
    s.expect(ACK, 1, 1, b"");
    assert_eq!(s.state(id), State::Established);
}

#[test]
fn rfc9293_3_5_simultaneous_open() {
    let mut s = Script::new();
    let id = s.connecting();
    s.expect(SYN, 0, 0, b"");
    s.inject(seg(SYN, 0, 0, b""));
    s.expect(SYN | ACK, 0, 1, b"");
    assert_eq!(s.state(id), State::SynReceived);
    s.inject(seg(SYN | ACK, 0, 1, b""));
    assert_eq!(s.state(id), State::Established, "MUST-10");
    s.inject(seg(ACK, 1, 1, b"hi"));
    assert_eq!(s.recv(id), Ok(b"hi".to_vec()));
}

#[test]
fn rfc5961_3_reset_must_be_exact() {
    let mut s = Script::new();
    let id = s.plain();
    s.inject(seg(RST, 50, 0, b""));
    s.expect(ACK, 1, 1, b"");
    s.wait(1000);
    s.inject(seg(RST, 0x2000_0000, 0, b""));
    s.expect_nothing();
    assert_eq!(s.state(id), State::Established);
    s.inject(seg(RST, 1, 0, b""));
    assert_eq!(s.state(id), State::Closed);
    assert_eq!(s.recv(id), Err(Error::ConnectionReset));
    assert_eq!(s.recv(id), Ok(vec![]));
}

#[test]
fn rfc5961_4_syn_in_window_gets_a_challenge_at_a_limited_rate() {
    let mut s = Script::new();
    let id = s.plain();
    s.inject(seg(SYN, 10, 0, b""));
    s.expect(ACK, 1, 1, b"");
    for _ in 0..20 {
        s.inject(seg(SYN, 10, 0, b""));
    }
    s.expect_nothing();
    s.wait(600);
    s.inject(seg(SYN, 10, 0, b""));
    s.expect(ACK, 1, 1, b"");
    assert_eq!(s.state(id), State::Established);
}

#[test]
fn rfc5961_5_acknowledgements_of_what_was_not_sent_are_challenged() {
    let mut s = Script::new();
    let id = s.plain();
    s.inject(seg(ACK, 1, 1000, b"data"));
    s.expect(ACK, 1, 1, b"");
    assert_eq!(s.recv(id), Err(Error::WouldBlock), "its text is not taken");
    s.wait(600);
    s.inject(seg(ACK, 1, 0x8000_0001, b"data"));
    s.expect(ACK, 1, 1, b"");
    assert_eq!(s.recv(id), Err(Error::WouldBlock));
}

#[test]
fn timestamps_are_echoed_and_old_ones_refused() {
    let mut s = Script::new();
    let listener = s.listen();
    s.inject(seg(SYN, 0, 0, b"").options(&ts(100, 0)));
    let syn_ack = s.sent();
    let val = u32::from_be_bytes(
        syn_ack.option(8).expect("timestamps")[..4]
            .try_into()
            .expect("4"),
    );
    assert_eq!(
        &syn_ack.option(8).expect("timestamps")[4..],
        100u32.to_be_bytes()
    );
    s.inject(seg(ACK, 1, 1, b"").options(&ts(101, val)));
    let (id, _) = s.stack.accept(s.now, listener).expect("accepted");
    s.inject(seg(ACK, 1, 1, b"new").options(&ts(110, val)));
    s.wait(40);
    let ack = s.expect(ACK, 1, 4, b"");
    assert_eq!(
        &ack.option(8).expect("timestamps")[4..],
        110u32.to_be_bytes()
    );
    s.inject(seg(ACK, 4, 1, b"old").options(&ts(105, val)));
    s.expect(ACK, 1, 4, b"");
    assert_eq!(s.recv(id), Ok(b"new".to_vec()));
}

#[test]
fn rfc9293_3_8_6_3_delayed_acknowledgements() {
    let mut s = Script::new();
    let id = s.plain();
    // The peer is in slow start: the first is acknowledged at once.
    s.inject(seg(ACK, 1, 1, b"question"));
    s.expect(ACK, 1, 9, b"");
    // The program answers: from here on its answers take the acknowledgements along.
    s.send(id, b"answer");
    s.expect(ACK | PSH, 1, 9, b"answer");
    s.inject(seg(ACK, 9, 7, b"question"));
    s.expect_nothing();
    s.send(id, b"answer");
    s.expect(ACK | PSH, 7, 17, b"answer");
    // Every second full-sized segment, in any case.
    s.inject(seg(ACK, 17, 13, &[1; 1000]));
    s.expect_nothing();
    s.inject(seg(ACK, 1017, 13, &[1; 1000]));
    s.expect(ACK, 13, 2017, b"");
    // And never later than after 40 ms.
    s.inject(seg(ACK, 2017, 13, &[1; 1000]));
    s.expect_nothing();
    s.wait(39);
    s.expect_nothing();
    s.wait(2);
    s.expect(ACK, 13, 3017, b"");
    // No answer took that one along: the next ones go at once again.
    s.inject(seg(ACK, 3017, 13, &[1; 1000]));
    s.expect(ACK, 13, 4017, b"");
    s.wait(1000);
    s.expect_nothing();
}

#[test]
fn rfc2018_out_of_order_data_is_reported_newest_first_and_kept() {
    let mut s = Script::new();
    let id = s.accepted(&[2, 4, 3, 232, 4, 2], 65_535);
    s.inject(seg(ACK, 1001, 1, b"b"));
    let ack = s.expect(ACK, 1, 1, b"");
    let edges = |seg: &Seg| -> Vec<u32> {
        let body = seg.option(5).unwrap_or(&[]);
        body.chunks(4)
            .map(|c| u32::from_be_bytes(c.try_into().expect("4")).wrapping_sub(0xffff_ff00))
            .collect()
    };
    assert_eq!(edges(&ack), [1001, 1002]);
    s.inject(seg(ACK, 2001, 1, b"c"));
    assert_eq!(edges(&s.sent()), [2001, 2002, 1001, 1002]);
    s.inject(seg(ACK, 1, 1, &[b'a'; 1000]));
    let ack = s.expect(ACK, 1, 1002, b"");
    assert_eq!(edges(&ack), [2001, 2002]);
    assert_eq!(s.recv(id).map(|v| v.len()), Ok(1001));
}

#[test]
fn rfc9293_3_7_4_nagle_and_no_delay() {
    let mut s = Script::new();
    let id = s.plain();
    s.send(id, b"a");
    s.expect(ACK, 1, 1, b"a");
    s.send(id, b"b");
    s.send(id, b"c");
    s.expect_nothing();
    s.inject(seg(ACK, 1, 2, b""));
    s.expect(ACK, 2, 1, b"bc");
    s.stack
        .set_option(s.now, id, SockOpt::NoDelay(true))
        .expect("option");
    s.send(id, b"d");
    s.expect(ACK, 4, 1, b"d");
}

#[test]
fn rfc6298_retransmission_backs_off_and_karn_s_rule_holds() {
    let mut s = Script::new();
    let id = s.plain();
    s.send(id, b"lost");
    s.expect(ACK, 1, 1, b"lost");
    s.wait(3500);
    let times: Vec<u64> = (0..3)
        .map(|_| {
            let (ago, seg) = s.sent_ago();
            assert_eq!((seg.seq, &seg.data[..]), (1, &b"lost"[..]));
            3500 - ago
        })
        .collect();
    // The handshake gave a round-trip time of 0: the first timeout is the floor of 200 ms.
    assert_eq!(times, [200, 600, 1400]);
    s.expect(ACK, 1, 1, b"lost");
    s.expect_nothing();
    s.inject(seg(ACK, 1, 5, b""));
    s.wait(60_000);
    s.expect_nothing();
    assert_eq!(s.state(id), State::Established);
}

#[test]
fn rfc5681_three_duplicate_acknowledgements_retransmit_at_once() {
    let mut s = Script::new();
    let id = s.plain();
    s.send(id, &[b'x'; 5000]);
    for i in 0..5 {
        assert_eq!(s.sent().seq, 1 + 1000 * i);
    }
    s.inject(seg(ACK, 1, 1, b""));
    s.inject(seg(ACK, 1, 1, b""));
    s.expect_nothing();
    s.inject(seg(ACK, 1, 1, b""));
    let again = s.sent();
    assert_eq!((again.seq, again.data.len()), (1, 1000));
    s.expect_nothing();
    // RFC 6582: a partial acknowledgement names the next hole.
    s.inject(seg(ACK, 1, 3001, b""));
    assert_eq!(s.sent().seq, 3001);
    s.inject(seg(ACK, 1, 5001, b""));
    s.expect_nothing();
}

#[test]
fn rfc9293_3_8_6_1_zero_window_is_probed_for_ever() {
    let mut s = Script::new();
    let id = s.accepted(&[2, 4, 3, 232], 0);
    s.send(id, b"held back");
    s.expect_nothing();
    let mut probes = 0;
    for _ in 0..60 {
        s.wait(60_000);
        while let Some((_, probe)) = s.try_sent_ago() {
            assert_eq!(
                (probe.seq, probe.data.len()),
                (0, 0),
                "an octet that is acknowledged already"
            );
            probes += 1;
            s.inject(seg(ACK, 1, 1, b"").window(0));
        }
    }
    assert!((25..80).contains(&probes), "{probes} probes in an hour");
    assert_eq!(s.state(id), State::Established, "MUST-37");
    s.inject(seg(ACK, 1, 1, b"").window(100));
    s.expect(ACK, 1, 1, b"held back");
}

#[test]
fn rfc9293_3_8_6_2_silly_windows_are_avoided_on_both_sides() {
    let mut s = Script::new();
    let id = s.accepted(&[2, 4, 3, 232], 4000);
    s.send(id, &[b'x'; 10_000]);
    for i in 0..4 {
        assert_eq!(s.sent().seq, 1 + 1000 * i);
    }
    // The window opens by less than a segment and less than half of its largest.
    s.inject(seg(ACK, 1, 4001, b"").window(300));
    s.expect_nothing();
    s.wait(1000);
    let forced = s.sent();
    assert_eq!(forced.data.len(), 300, "the override time has passed");
    // The receiver's side: reading little by little does not send an update for each bit.
    let mut r = Script::new();
    let reader = r.plain();
    r.stack
        .set_option(r.now, reader, SockOpt::RcvBuf(8000))
        .expect("option");
    for i in 0..8 {
        r.inject(seg(ACK, 1 + 1000 * i, 1, &[0; 1000]));
    }
    r.wait(100);
    while r.try_sent_ago().is_some() {}
    let mut small = vec![0; 100];
    for _ in 0..5 {
        let mut bufs = [std::io::IoSliceMut::new(&mut small)];
        r.stack
            .recv(r.now, reader, &mut bufs, RecvFlags::empty())
            .expect("data");
        r.expect_nothing();
    }
}

#[test]
fn rfc9293_3_6_simultaneous_close_and_its_retransmission() {
    let mut s = Script::new();
    let id = s.plain();
    s.stack
        .shutdown(s.now, id, Shutdown::Write)
        .expect("shutdown");
    s.expect(FIN | ACK, 1, 1, b"");
    s.inject(seg(FIN | ACK, 1, 1, b""));
    s.expect(ACK, 2, 2, b"");
    assert_eq!(s.state(id), State::Closing);
    s.wait(250);
    let fin = s.sent();
    assert_eq!(
        (fin.flags & FIN, fin.seq),
        (FIN, 1),
        "the FIN is sent again in CLOSING"
    );
    s.inject(seg(ACK, 2, 2, b""));
    assert!(s.stack.sockets().iter().any(|i| i.state == State::TimeWait));
}

#[test]
fn half_close_reads_on_and_time_wait_answers() {
    let mut s = Script::new();
    let id = s.plain();
    s.stack
        .shutdown(s.now, id, Shutdown::Write)
        .expect("shutdown");
    s.expect(FIN | ACK, 1, 1, b"");
    s.inject(seg(ACK, 1, 2, b""));
    assert_eq!(s.state(id), State::FinWait2);
    s.inject(seg(ACK, 1, 2, b"still talking"));
    s.wait(50);
    s.expect(ACK, 2, 14, b"");
    assert_eq!(s.recv(id), Ok(b"still talking".to_vec()));
    s.inject(seg(FIN | ACK, 14, 2, b""));
    s.expect(ACK, 2, 15, b"");
    assert_eq!(s.recv(id), Ok(vec![]));
    assert_eq!(
        s.stack.send(
            s.now,
            id,
            &[std::io::IoSlice::new(b"x")],
            SendFlags::empty(),
            None
        ),
        Err(Error::BrokenPipe)
    );
    // RFC 9293 3.10.7.4 TIME-WAIT: the FIN again is acknowledged again.
    s.inject(seg(FIN | ACK, 14, 2, b""));
    s.expect(ACK, 2, 15, b"");
    // MAY-2: a new SYN beyond the old numbers begins anew.
    s.inject(seg(SYN, 1_000_000, 0, b""));
    let syn_ack = s.sent();
    assert_eq!((syn_ack.flags, syn_ack.ack), (SYN | ACK, 1_000_001));
}

#[test]
fn data_for_a_closed_socket_is_answered_with_reset() {
    let mut s = Script::new();
    let id = s.plain();
    assert_eq!(s.stack.close(s.now, id), Closed::Done);
    s.expect(FIN | ACK, 1, 1, b"");
    s.inject(seg(ACK, 1, 2, b""));
    s.inject(seg(ACK, 1, 2, b"late"));
    let rst = s.sent();
    assert_eq!((rst.flags & RST, rst.seq), (RST, 2));
    assert_eq!(s.stack.sockets().len(), 1);
}

#[test]
fn written_data_is_followed_by_the_fin_of_close() {
    let mut s = Script::new();
    let id = s.plain();
    s.send(id, &[b'x'; 30_000]);
    s.stack.close(s.now, id);
    let (mut end, mut fin) = (1, false);
    for _ in 0..100 {
        while let Some((_, got)) = s.try_sent_ago() {
            end = end.max(got.seq + got.data.len() as u32);
            fin |= got.flags & FIN != 0;
        }
        if fin {
            break;
        }
        s.inject(seg(ACK, 1, end, b""));
    }
    assert!(fin);
    assert_eq!(end, 30_001);
    assert!(s.stack.has_undelivered());
    s.inject(seg(ACK, 1, 30_002, b""));
    assert!(!s.stack.has_undelivered());
}

#[test]
fn linger_zero_resets() {
    let mut s = Script::new();
    let id = s.plain();
    s.stack
        .set_option(s.now, id, SockOpt::Linger(Some(std::time::Duration::ZERO)))
        .expect("option");
    assert_eq!(s.stack.close(s.now, id), Closed::Done);
    let rst = s.sent();
    assert_eq!((rst.flags & RST, rst.seq), (RST, 1));
}

#[test]
fn peers_without_mss_option_get_536_octets() {
    let mut s = Script::new();
    let id = s.accepted(&[], 65_535);
    s.send(id, &[b'x'; 2000]);
    assert_eq!(s.sent().data.len(), 536, "MUST-15");
}

#[test]
fn urgent_pointer_names_the_octet_after_the_urgent_one() {
    let mut s = Script::new();
    let id = s.plain();
    s.stack
        .send(
            s.now,
            id,
            &[std::io::IoSlice::new(b"abc")],
            SendFlags::OOB,
            None,
        )
        .expect("sent");
    let got = s.sent();
    assert_eq!((got.flags & URG, got.urgent), (URG, 3));
    s.inject(seg(ACK | URG, 1, 4, b"xyz").urgent(2));
    assert!(s.stack.readiness(id).contains(Ready::PRI));
    assert_eq!(s.recv(id), Ok(b"x".to_vec()));
    assert_eq!(s.stack.at_mark(id), Ok(true));
    assert_eq!(s.recv(id), Ok(b"z".to_vec()));
}

#[test]
fn window_is_never_taken_back() {
    // MUST-34, through a buffer that shrinks under data that was promised room.
    let mut s = Script::new();
    let id = s.accepted(&[2, 4, 3, 232, 3, 3, 7], 65_535);
    let mut edge = 0u64;
    let shift = 8;
    for i in 0..50u32 {
        if i == 10 {
            s.stack
                .set_option(s.now, id, SockOpt::RcvBuf(4000))
                .expect("option");
        }
        s.inject(seg(ACK, 1 + i * 2000, 1, &[0; 1000]));
        s.inject(seg(ACK, 1001 + i * 2000, 1, &[0; 1000]));
        while let Some((_, got)) = s.try_sent_ago() {
            let right = u64::from(got.ack) + (u64::from(got.window) << shift);
            assert!(right >= edge, "the right edge went from {edge} to {right}");
            edge = right;
        }
    }
}

#[test]
fn a_half_open_connection_to_nowhere_is_forgotten() {
    let mut s = Script::new();
    s.listen();
    s.inject(seg(SYN, 0, 0, b""));
    s.expect(SYN | ACK, 0, 1, b"");
    // About some other segment, or of another kind: nothing.
    s.icmp(3, 1, 77);
    s.icmp(3, 3, 0);
    assert_eq!(s.stack.sockets().len(), 2);
    assert_eq!(s.stack.stats().out_of_window_icmps, 1);
    s.icmp(3, 1, 0);
    assert_eq!(s.stack.sockets().len(), 1);
    s.inject(seg(ACK, 1, 1, b""));
    let reset = s.sent();
    assert_eq!((reset.flags, reset.seq), (RST, 1));
}

#[test]
fn linux_told_three_times_of_a_hole_the_peer_hears_of_further_arrivals_together() {
    let mut s = Script::new();
    let listener = s.listen();
    s.inject(seg(SYN, 0, 0, b"").options(&[2, 4, 3, 232, 4, 2, 1, 1]));
    s.expect(SYN | ACK, 0, 1, b"");
    s.wait(40);
    s.inject(seg(ACK, 1, 1, b""));
    let id = s.stack.accept(s.now, listener).expect("accepted").0;
    // The acknowledgement of the first octets is what the next three repeat.
    s.inject(seg(ACK, 1, 1, b"in order"));
    s.expect(ACK, 1, 9, b"");
    let mut at = 1009;
    let mut arrives = |s: &mut Script| {
        s.inject(seg(ACK, at, 1, &[7; 1000]));
        at += 1000;
    };
    for _ in 0..3 {
        arrives(&mut s);
        s.expect(ACK, 1, 9, b"");
    }
    for _ in 0..44 {
        arrives(&mut s);
        s.expect_nothing();
    }
    // Forty-four are enough.
    arrives(&mut s);
    s.expect(ACK, 1, 9, b"");
    arrives(&mut s);
    s.expect_nothing();
    // A twentieth of the round trip, a millisecond at most.
    s.wait(1);
    s.expect(ACK, 1, 9, b"");
    // What fills the hole is acknowledged at once.
    s.inject(seg(ACK, 9, 1, &[7; 1000]));
    s.expect(ACK, 1, at, b"");
    assert_eq!(s.recv(id).map(|data| data.len()), Ok(8 + at as usize - 9));
}
