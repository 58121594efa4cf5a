//! The MUSTs of RFC 9293 that have no better place: `must_NN` in a name is the number of Appendix B. docs/rfc.md has the whole table.

mod script;

use std::net::{Ipv4Addr, SocketAddr};

use script::*;
use tunsock_stack::*;

#[test]
fn must_01_windows_are_unsigned() {
    let mut s = Script::new();
    let id = s.accepted(&[2, 4, 3, 232, 3, 3, 14], 65_535);
    // 65535 << 14 has the sign bits of narrower types set.
    s.inject(seg(ACK, 1, 1, b"").window(65_535));
    s.send(id, &[1; 9000]);
    for n in 0..9 {
        s.expect(ACK, 1 + 1000 * n, 1, &[1; 1000]);
    }
}

#[test]
fn must_02_03_checksums_are_made_and_looked_at() {
    let mut s = Script::new();
    let id = s.plain();
    let mut segment = s.segment(seg(ACK, 1, 1, b"data"));
    segment[16] ^= 1;
    s.packet(6, &segment);
    s.expect_nothing();
    assert_eq!(s.recv(id), Err(Error::WouldBlock));
    assert_eq!(s.stack.stats().bad_checksum, 1);
    // `Script` looks at the checksum of all that the stack sends.
    s.inject(seg(ACK, 1, 1, b"data"));
    s.expect(ACK, 1, 5, b"");
}

#[test]
fn must_04_05_06_07_options_in_any_segment_known_or_not_or_broken() {
    let mut s = Script::new();
    // NOP, NOP, MSS, an unknown one of four octets, end of options, and something behind it.
    let id = s.accepted(&[1, 1, 2, 4, 3, 232, 253, 4, 9, 9, 0, 7], 65_535);
    s.send(id, &[1; 1500]);
    s.expect(ACK, 1, 1, &[1; 1000]);
    s.inject(seg(ACK, 1, 1001, b""));
    s.expect(ACK, 1001, 1, &[1; 500]);
    // MUST-5, MUST-6.
    s.inject(seg(ACK, 1, 1501, b"data").options(&[253, 6, 1, 2, 3, 4, 1, 1]));
    s.wait(50);
    s.expect(ACK, 1501, 5, b"");
    // MUST-7: lengths of 0, 1 and beyond the header.
    for broken in [[253, 0, 1, 1], [253, 1, 1, 1], [253, 99, 1, 1]] {
        s.inject(seg(ACK, 5, 1501, b"").options(&broken));
        assert_eq!(s.state(id), State::Established);
    }
}

#[test]
fn must_08_09_initial_sequence_numbers_follow_the_clock_and_a_secret() {
    let iss_at = |seed: u8, ms: u64| {
        let mut s = Script::with(Config::default());
        if seed != 0 {
            let config = Config {
                addrs: vec!["10.0.0.1/24".parse().expect("prefix")],
                seed: [seed; 32],
                ..Config::default()
            };
            s.stack = Stack::new(config, s.now);
        }
        s.wait(ms);
        let id = s.stack.socket(Domain::V4, Kind::Stream).expect("socket");
        s.stack
            .bind(id, SocketAddr::from((US, 4000)))
            .expect("bind");
        let to = SocketAddr::from((PEER, 5000));
        assert_eq!(s.stack.connect(s.now, id, to), Err(Error::InProgress));
        s.sent();
        s.iss
    };
    // MUST-8: one up every 4 microseconds.
    assert_eq!(iss_at(0, 1000).wrapping_sub(iss_at(0, 0)), 250_000);
    // MUST-9: nothing to be learnt from another host's.
    let distance = iss_at(1, 0).wrapping_sub(iss_at(2, 0)) as i32;
    assert!(distance.unsigned_abs() > 1_000_000, "{distance}");
}

#[test]
fn must_11_a_reset_returns_a_passive_open_to_listen_and_ends_an_active_one() {
    let mut s = Script::new();
    let listener = s.listen();
    s.inject(seg(SYN, 0, 0, b""));
    s.expect(SYN | ACK, 0, 1, b"");
    s.inject(seg(RST, 1, 0, b""));
    assert_eq!(s.state(listener), State::Listen);
    assert_eq!(s.stack.take_error(listener), None);
    let mut s = Script::new();
    let id = s.connecting();
    s.expect(SYN, 0, 0, b"");
    s.inject(seg(SYN, 0, 0, b""));
    s.expect(SYN | ACK, 0, 1, b"");
    s.inject(seg(RST, 1, 0, b""));
    assert_eq!(s.stack.take_error(id), Some(Error::ConnectionRefused));
}

#[test]
fn must_12_the_program_learns_how_a_connection_ended() {
    let mut s = Script::new();
    let id = s.plain();
    s.inject(seg(ACK | FIN, 1, 1, b""));
    assert_eq!(s.recv(id), Ok(vec![]), "closed in order");
    let mut s = Script::new();
    let id = s.plain();
    s.inject(seg(RST, 1, 0, b""));
    assert_eq!(s.recv(id), Err(Error::ConnectionReset), "aborted");
}

#[test]
fn must_13_time_wait_lasts_twice_the_msl() {
    let mut s = Script::new();
    let id = s.plain();
    s.stack.close(s.now, id);
    s.expect(ACK | FIN, 1, 1, b"");
    s.inject(seg(ACK | FIN, 1, 2, b""));
    s.expect(ACK, 2, 2, b"");
    let states = |s: &Script| -> Vec<State> {
        let rows = s.stack.sockets();
        rows.iter()
            .map(|row| row.state)
            .filter(|state| *state != State::Listen)
            .collect()
    };
    // Linux: TCP_TIMEWAIT_LEN, 60 s.
    s.wait(59_000);
    assert_eq!(states(&s), [State::TimeWait]);
    s.wait(2_000);
    assert_eq!(states(&s), []);
}

#[test]
fn must_16_segments_are_as_large_as_both_sides_and_the_options_allow() {
    let mut s = Script::new();
    let mut options = vec![2, 4, 3, 232];
    options.extend(ts(1, 0));
    let id = s.accepted(&options, 65_535);
    s.send(id, &[1; 2000]);
    assert_eq!(
        s.sent().data.len(),
        988,
        "the peer's MSS less our timestamp"
    );
    let mut s = Script::new();
    let id = s.accepted(&[2, 4, 35, 40], 65_535);
    s.send(id, &[1; 4000]);
    assert_eq!(s.sent().data.len(), 1460, "our link's");
}

#[test]
fn must_20_data_is_sent_again_for_a_quarter_of_an_hour_and_then_the_connection_ends() {
    let mut s = Script::new();
    let id = s.plain();
    s.send(id, b"data");
    s.wait(700_000);
    assert_eq!(s.state(id), State::Established);
    s.wait(700_000);
    assert_eq!(s.state(id), State::Closed);
    assert_eq!(s.stack.take_error(id), Some(Error::TimedOut));
}

#[test]
fn must_24_to_29_keepalives_are_asked_for_and_patient() {
    let mut s = Script::new();
    let id = s.plain();
    s.wait(10 * 3_600_000);
    s.expect_nothing(); // MUST-25
    s.stack
        .set_option(s.now, id, SockOpt::KeepAlive(true))
        .expect("MUST-24");
    assert_eq!(
        s.stack.get_option(id, SockOptName::KeepIdle),
        Ok(SockOpt::KeepIdle(7200)),
        "MUST-28"
    );
    s.stack
        .set_option(s.now, id, SockOpt::KeepIdle(100))
        .expect("MUST-27");
    // MUST-26: idle time counts from what was last heard.
    s.inject(seg(ACK, 1, 1, b"data"));
    s.expect(ACK, 1, 5, b"");
    s.wait(99_000);
    s.expect_nothing();
    s.wait(2_000);
    s.expect(ACK, 0, 5, b"");
    // MUST-29: one lost answer is nothing.
    s.wait(75_000);
    s.expect(ACK, 0, 5, b"");
    assert_eq!(s.state(id), State::Established);
    s.inject(seg(ACK, 5, 1, b""));
    s.wait(99_000);
    s.expect_nothing();
}

#[test]
fn must_26_no_keepalive_while_data_is_outstanding() {
    let mut s = Script::new();
    let id = s.plain();
    s.stack
        .set_option(s.now, id, SockOpt::KeepAlive(true))
        .expect("option");
    s.stack
        .set_option(s.now, id, SockOpt::KeepIdle(1))
        .expect("option");
    s.send(id, b"data");
    s.wait(10_000);
    while let Some((_, segment)) = s.try_sent_ago() {
        assert_eq!((segment.seq, &segment.data[..]), (1, &b"data"[..]));
    }
}

#[test]
fn must_34_a_shrinking_window_is_borne() {
    let mut s = Script::new();
    let id = s.plain();
    s.send(id, &[1; 4000]);
    for n in 0..4 {
        s.expect(ACK, 1 + 1000 * n, 1, &[1; 1000]);
    }
    // The peer takes back what is in flight already.
    s.inject(seg(ACK, 1, 1001, b"").window(500));
    s.expect_nothing();
    s.send(id, &[2; 100]);
    s.expect_nothing();
    s.inject(seg(ACK, 1, 4001, b"").window(5000));
    s.expect(ACK, 4001, 1, &[2; 100]);
    assert_eq!(s.state(id), State::Established);
}

#[test]
fn must_41_42_listening_beside_connections_of_the_same_port() {
    let mut s = Script::new();
    let open = |s: &mut Script| {
        let id = s.stack.socket(Domain::V4, Kind::Stream).expect("socket");
        s.stack
            .set_option(s.now, id, SockOpt::ReuseAddr(true))
            .expect("option");
        s.stack.bind(id, SocketAddr::from((US, 80))).expect("bind");
        id
    };
    let active = open(&mut s);
    let to = SocketAddr::from((PEER, 5001));
    assert_eq!(s.stack.connect(s.now, active, to), Err(Error::InProgress));
    s.sent();
    let listener = open(&mut s);
    assert_eq!(s.stack.listen(s.now, listener, 5), Ok(()), "MUST-42");
    assert_eq!(s.state(active), State::SynSent, "MUST-41");
    s.us_port = 80;
    s.inject(seg(SYN, 0, 0, b""));
    let syn_ack = s.sent();
    assert_eq!(syn_ack.flags, SYN | ACK);
}

#[test]
fn must_43_44_45_local_addresses_are_named_or_chosen_and_kept() {
    let mut s = Script::new();
    let id = s.connecting();
    let source = |s: &Script| Ipv4Addr::from([12, 13, 14, 15].map(|at| s.last_ip[at]));
    s.expect(SYN, 0, 0, b"");
    assert_eq!(source(&s), US, "MUST-44: chosen by IP");
    let local = s.stack.local_addr(id).expect("local");
    assert_eq!(local.ip(), US);
    s.inject(seg(SYN | ACK, 0, 1, b""));
    s.expect(ACK, 1, 1, b"");
    assert_eq!(source(&s), US, "MUST-45: the same for all segments");
    let elsewhere = SocketAddr::from(([10, 0, 0, 99], 0));
    let id = s.stack.socket(Domain::V4, Kind::Stream).expect("socket");
    assert_eq!(s.stack.bind(id, elsewhere), Err(Error::AddressNotAvailable));
    let named = SocketAddr::from((US, 4000));
    assert_eq!(s.stack.bind(id, named), Ok(()), "MUST-43");
    let to = SocketAddr::from((PEER, 5000));
    assert_eq!(s.stack.connect(s.now, id, to), Err(Error::InProgress));
    assert_eq!(s.stack.local_addr(id), Ok(named));
}

#[test]
fn must_46_no_connection_to_a_broadcast_or_multicast_address() {
    let mut s = Script::new();
    for to in [[255, 255, 255, 255], [10, 0, 0, 255], [224, 0, 0, 1]] {
        let id = s.stack.socket(Domain::V4, Kind::Stream).expect("socket");
        let to = SocketAddr::from((to, 80));
        assert_eq!(
            s.stack.connect(s.now, id, to),
            Err(Error::NetworkUnreachable)
        );
    }
    s.expect_nothing();
}

#[test]
fn must_47_54_56_soft_errors_do_not_end_a_connection_but_explain_its_end() {
    let mut s = Script::new();
    let id = s.plain();
    s.send(id, b"data");
    s.expect(ACK, 1, 1, b"data");
    for code in [0, 1, 5] {
        s.icmp(3, code, 1);
        assert_eq!(s.state(id), State::Established, "MUST-56");
    }
    s.icmp(3, 1, 1);
    s.wait(1_400_000);
    assert_eq!(
        s.stack.take_error(id),
        Some(Error::HostUnreachable),
        "MUST-47, MUST-54"
    );
}

#[test]
fn must_48_49_the_program_sets_dscp_and_ttl() {
    let mut s = Script::new();
    let id = s.plain();
    s.stack
        .set_option(s.now, id, SockOpt::Tos(0xb8))
        .expect("MUST-48");
    s.stack
        .set_option(s.now, id, SockOpt::Ttl(7))
        .expect("MUST-49");
    s.send(id, b"data");
    s.expect(ACK, 1, 1, b"data");
    assert_eq!((s.last_ip[1], s.last_ip[8]), (0xb8, 7));
}

#[test]
fn must_50_ip_options_are_ignored() {
    let mut s = Script::new();
    s.plain();
    // Record route, stream identifier (long dead), security: what may come in and means nothing to us.
    for options in [
        vec![7, 7, 4, 0, 0, 0, 0, 1],
        vec![136, 4, 1, 2],
        vec![130, 4, 0, 0],
    ] {
        s.ip_options = options;
        s.inject(seg(ACK, 1, 1, b"data"));
        s.sent();
    }
    s.ip_options = vec![];
    s.inject(seg(ACK, 5, 1, b"more"));
    s.expect(ACK, 1, 9, b"");
}

#[test]
fn must_55_source_quench_is_nothing() {
    let mut s = Script::new();
    let id = s.plain();
    s.send(id, &[1; 4000]);
    for n in 0..4 {
        s.expect(ACK, 1 + 1000 * n, 1, &[1; 1000]);
    }
    let before = s.stack.tcp_info(s.now, id);
    s.icmp(4, 0, 1);
    s.expect_nothing();
    assert_eq!(s.stack.tcp_info(s.now, id), before);
}

#[test]
fn must_57_63_syns_from_or_to_many_are_dropped() {
    let mut s = Script::new();
    s.listen();
    for (from, to) in [
        ([10, 0, 0, 2], [255, 255, 255, 255]),
        ([10, 0, 0, 2], [10, 0, 0, 255]),
        ([10, 0, 0, 2], [224, 0, 0, 1]),
        ([255, 255, 255, 255], [10, 0, 0, 1]),
        ([10, 0, 0, 255], [10, 0, 0, 1]),
        ([224, 0, 0, 1], [10, 0, 0, 1]),
        ([127, 0, 0, 1], [10, 0, 0, 1]),
        ([0, 0, 0, 0], [10, 0, 0, 1]),
    ] {
        (s.from, s.to) = (Ipv4Addr::from(from), Ipv4Addr::from(to));
        s.inject(seg(SYN, 0, 0, b""));
        s.expect_nothing();
    }
    (s.from, s.to) = (PEER, US);
    s.inject(seg(SYN, 0, 0, b""));
    s.expect(SYN | ACK, 0, 1, b"");
}

#[test]
fn must_58_59_one_acknowledgement_for_all_that_was_queued() {
    let mut s = Script::new();
    s.plain();
    for n in 0..10 {
        s.take(seg(ACK, 1 + 1000 * n, 1, &[1; 1000]));
    }
    s.expect(ACK, 1, 10_001, b"");
    s.expect_nothing();
}

#[test]
fn must_60_61_push_marks_the_end_of_what_was_written() {
    let mut s = Script::new();
    let id = s.plain();
    s.send(id, &[1; 2500]);
    assert_eq!(s.sent().flags, ACK);
    assert_eq!(s.sent().flags, ACK);
    s.inject(seg(ACK, 1, 2001, b""));
    assert_eq!(s.sent().flags, ACK | PSH);
    // And when it goes again.
    s.wait(1_500);
    assert_eq!(s.sent().flags, ACK | PSH);
}

#[test]
fn must_64_options_need_no_alignment() {
    let mut s = Script::new();
    // One NOP puts everything on odd octets.
    let mut options = vec![
        1, 2, 4, 3, 232, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 4, 2, 3, 3, 5,
    ];
    options.push(0);
    let listener = s.listen();
    s.inject(seg(SYN, 0, 0, b"").options(&options));
    let syn_ack = s.expect(SYN | ACK, 0, 1, b"");
    assert_eq!(
        syn_ack.option(8).map(|body| &body[4..]),
        Some(&[0, 0, 0, 1][..])
    );
    assert!(syn_ack.option(3).is_some() && syn_ack.option(4).is_some());
    let mut odd = vec![1];
    odd.extend(&ts(2, 0)[2..]);
    s.inject(seg(ACK, 1, 1, b"").options(&odd));
    assert!(s.stack.accept(s.now, listener).is_ok());
}

#[test]
fn must_65_67_mss_goes_with_syns_alone_and_says_what_the_link_carries() {
    let mut s = Script::new();
    let id = s.connecting();
    let syn = s.sent();
    assert_eq!(syn.option(2), Some(&1460u16.to_be_bytes()[..]), "MUST-67");
    s.inject(seg(SYN | ACK, 0, 1, b"").options(&[2, 4, 3, 232]));
    assert_eq!(s.sent().option(2), None);
    s.send(id, b"data");
    assert_eq!(s.sent().option(2), None, "MUST-65");
}

#[test]
fn must_66_reset_and_urgent_count_when_the_window_is_closed() {
    let full = || {
        let mut s = Script::with(Config {
            tcp_rmem: [4096, 8000, 8000],
            ..Config::default()
        });
        let id = s.plain();
        for n in 0..4 {
            s.inject(seg(ACK, 1 + 1000 * n, 1, &[1; 1000]));
        }
        while s.try_sent_ago().is_some() {}
        s.inject(seg(ACK, 4001, 1, b"x"));
        assert_eq!(s.sent().window, 0);
        (s, id)
    };
    let (mut s, id) = full();
    s.inject(seg(ACK | URG, 4001, 1, b"x").urgent(1));
    assert!(s.stack.readiness(id).contains(Ready::IN));
    assert_eq!(s.stack.readable_bytes(id), Ok(4000));
    let (mut s, id) = full();
    s.inject(seg(RST, 4001, 0, b""));
    assert_eq!(s.state(id), State::Closed);
}

#[test]
fn must_68_69_every_option_has_a_length_and_padding_is_zeros_or_nops() {
    let mut s = Script::new();
    s.connecting();
    let syn = s.sent();
    let mut rest = &syn.options[..];
    let mut kinds = Vec::new();
    while let [kind, tail @ ..] = rest {
        match *kind {
            0 => {
                assert!(tail.iter().all(|octet| *octet == 0), "MUST-69");
                break;
            }
            1 => rest = tail,
            kind => {
                kinds.push(kind);
                let len = usize::from(tail[0]);
                assert!(len >= 2, "MUST-68");
                rest = &rest[len..];
            }
        }
    }
    assert_eq!(kinds, [2, 4, 8, 3]);
}
