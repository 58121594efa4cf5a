//! TCP's socket options, by what they do on the wire.

mod script;

use std::time::Duration;

use script::*;
use tunsock_stack::*;

#[track_caller]
fn set(s: &mut Script, id: SocketId, opt: SockOpt) {
    assert_eq!(s.stack.set_option(s.now, id, opt), Ok(()));
}

#[test]
fn quick_acknowledgements_at_the_start_until_a_dialogue_shows() {
    let mut s = Script::new();
    let id = s.plain();
    s.inject(seg(ACK, 1, 1, b"a"));
    s.expect(ACK, 1, 2, b"");
    s.send(id, b"answer");
    s.expect(ACK, 1, 2, b"answer");
    s.inject(seg(ACK, 2, 7, b"b"));
    s.expect_nothing();
    s.wait(41);
    s.expect(ACK, 7, 3, b"");
    s.inject(seg(ACK, 3, 7, b"c"));
    set(&mut s, id, SockOpt::QuickAck(true));
    s.expect(ACK, 7, 4, b"");
}

#[test]
fn cork_holds_a_partial_segment_until_it_is_drawn_or_200_ms() {
    let mut s = Script::new();
    let id = s.plain();
    set(&mut s, id, SockOpt::Cork(true));
    s.send(id, b"head");
    s.expect_nothing();
    s.send(id, &[b'x'; 1000]);
    assert_eq!(s.sent().data.len(), 1000, "whole segments go");
    s.inject(seg(ACK, 1, 1001, b""));
    s.wait(199);
    s.expect_nothing();
    s.wait(2);
    assert_eq!(s.sent().data.len(), 4);
    s.inject(seg(ACK, 1, 1005, b""));
    s.send(id, b"tail");
    s.expect_nothing();
    set(&mut s, id, SockOpt::Cork(false));
    s.expect(ACK, 1005, 1, b"tail");
}

#[test]
fn user_timeout_ends_a_connection_whose_data_is_not_acknowledged() {
    let mut s = Script::new();
    let id = s.plain();
    set(&mut s, id, SockOpt::UserTimeout(5000));
    s.send(id, b"anybody?");
    s.wait(4900);
    assert_eq!(s.state(id), State::Established);
    s.wait(4000);
    assert_eq!(s.stack.take_error(id), Some(Error::TimedOut));
}

#[test]
fn user_timeout_ends_a_connection_whose_data_the_device_does_not_take() {
    for opens in [true, false] {
        let mut s = Script::new();
        let id = s.plain();
        set(&mut s, id, SockOpt::UserTimeout(3000));
        let (data, flags) = ([std::io::IoSlice::new(b"anybody?")], SendFlags::empty());
        assert_eq!(s.stack.send(s.now, id, &data, flags, None), Ok(8));
        s.stack.hold_back(s.now);
        let until = s.now + Duration::from_millis(2900);
        while let Some(at) = s.stack.next_deadline().filter(|at| *at <= until) {
            s.now = at;
            s.stack.handle_timers(at);
            s.stack.hold_back(at);
        }
        let info = s.stack.tcp_info(s.now, id).expect("a connection");
        // The first after a retransmission timeout, then one in half a second.
        assert_eq!((info.probes, info.backoff, info.segs_out), (6, 0, 0));
        if opens {
            s.expect(ACK, 1, 1, b"anybody?");
            s.inject(seg(ACK, 1, 9, b""));
            s.wait(5000);
            assert_eq!(s.state(id), State::Established);
        } else {
            while let Some(at) = s
                .stack
                .next_deadline()
                .filter(|_| s.state(id) != State::Closed)
            {
                s.now = at;
                s.stack.handle_timers(at);
                s.stack.hold_back(at);
            }
            assert_eq!(s.stack.take_error(id), Some(Error::TimedOut));
        }
        s.stack.audit().expect("sound");
    }
}

#[test]
fn syn_count_bounds_a_connection_attempt() {
    let mut s = Script::new();
    let id = s.stack.socket(Domain::V4, Kind::Stream).expect("socket");
    set(&mut s, id, SockOpt::SynCnt(2));
    let to = std::net::SocketAddr::from((PEER, 5000));
    assert_eq!(s.stack.connect(s.now, id, to), Err(Error::InProgress));
    s.wait(20_000);
    assert_eq!(s.stack.take_error(id), Some(Error::TimedOut));
    let syns = std::iter::from_fn(|| s.try_sent_ago()).count();
    assert_eq!(syns, 3);
    assert_eq!(
        s.stack.set_option(s.now, id, SockOpt::SynCnt(0)),
        Err(Error::Invalid)
    );
    assert_eq!(
        s.stack.set_option(s.now, id, SockOpt::SynCnt(128)),
        Err(Error::Invalid)
    );
}

#[test]
fn linger2_bounds_an_orphan_s_wait_for_the_peer_s_fin() {
    for (opt, wait, left) in [(0, 59_000, 2), (0, 61_000, 1), (3, 3500, 1), (-1, 10, 1)] {
        let mut s = Script::new();
        let id = s.plain();
        set(&mut s, id, SockOpt::Linger2(opt));
        s.stack.close(s.now, id);
        s.expect(FIN | ACK, 1, 1, b"");
        s.inject(seg(ACK, 1, 2, b""));
        s.wait(wait);
        assert_eq!(
            s.stack.sockets().len(),
            left,
            "TCP_LINGER2 {opt} after {wait} ms"
        );
    }
}

#[test]
fn defer_accept_waits_for_data() {
    let mut s = Script::new();
    let listener = s.listen();
    set(&mut s, listener, SockOpt::DeferAccept(3));
    assert_eq!(
        s.stack.get_option(listener, SockOptName::DeferAccept),
        Ok(SockOpt::DeferAccept(3))
    );
    s.inject(seg(SYN, 0, 0, b""));
    s.expect(SYN | ACK, 0, 1, b"");
    s.inject(seg(ACK, 1, 1, b""));
    assert_eq!(s.stack.accept(s.now, listener), Err(Error::WouldBlock));
    s.inject(seg(ACK, 1, 1, b"GET"));
    let (id, _) = s
        .stack
        .accept(s.now, listener)
        .expect("accepted with its data");
    assert_eq!(s.recv(id), Ok(b"GET".to_vec()));
}

#[test]
fn window_clamp_bounds_what_is_offered() {
    let mut s = Script::new();
    let id = s.plain();
    set(&mut s, id, SockOpt::WindowClamp(4000));
    let mut edge = 0;
    for i in 0..80 {
        s.inject(seg(ACK, 1 + i * 1000, 1, &[0; 1000]));
        let _ = s.recv(id);
        while let Some((_, ack)) = s.try_sent_ago() {
            edge = ack.ack + u32::from(ack.window);
        }
    }
    assert!(
        edge <= 80_001 + 4000 + 1000,
        "what was offered before is kept, then 4000 octets: {edge}"
    );
    assert_eq!(
        s.stack.get_option(id, SockOptName::WindowClamp),
        Ok(SockOpt::WindowClamp(4000))
    );
}

#[test]
fn not_sent_low_water_mark_bounds_what_waits() {
    let mut s = Script::new();
    let id = s.accepted(&[2, 4, 3, 232], 3000);
    set(&mut s, id, SockOpt::NotSentLowat(2100));
    s.send(id, &[0; 4000]);
    assert!(
        s.stack.readiness(id).contains(Ready::OUT),
        "1000 octets wait"
    );
    s.send(id, &[0; 2000]);
    assert!(
        !s.stack.readiness(id).contains(Ready::OUT),
        "3000 octets wait"
    );
    while s.try_sent_ago().is_some() {}
    s.inject(seg(ACK, 1, 3001, b"").window(3000));
    assert!(s.stack.readiness(id).contains(Ready::OUT));
    let woken: Vec<_> = std::iter::from_fn(|| s.stack.poll_event())
        .filter(|e| e.0 == id)
        .collect();
    assert!(
        woken.iter().any(|(_, ready)| ready.contains(Ready::OUT)),
        "{woken:?}"
    );
}

#[test]
fn congestion_control_can_be_chosen() {
    let mut s = Script::new();
    let id = s.plain();
    let get = |s: &Script| s.stack.get_option(id, SockOptName::Congestion);
    assert_eq!(get(&s), Ok(SockOpt::Congestion(CongestionControl::Cubic)));
    set(&mut s, id, SockOpt::Congestion(CongestionControl::Reno));
    assert_eq!(get(&s), Ok(SockOpt::Congestion(CongestionControl::Reno)));
    assert_eq!(s.stack.tcp_info(s.now, id).expect("info").snd_cwnd, 10);
}

#[test]
fn reading_all_that_was_pushed_acknowledges_it_unless_an_answer_is_to_be_expected() {
    let mut s = Script::new();
    let id = s.plain();
    set(&mut s, id, SockOpt::QuickAck(false));
    s.wait(100);
    // A dialogue: the answer takes it along.
    s.inject(seg(ACK | PSH, 1, 1, b"question"));
    assert_eq!(s.recv(id), Ok(b"question".to_vec()));
    s.expect_nothing();
    s.send(id, b"answer");
    s.expect(ACK, 1, 9, b"answer");
    s.inject(seg(ACK, 9, 7, b""));
    // One way: after an unanswered one the next is acknowledged as it is read.
    s.inject(seg(ACK | PSH, 9, 7, b"first"));
    s.wait(50);
    s.expect(ACK, 7, 14, b"");
    assert_eq!(s.recv(id), Ok(b"first".to_vec()));
    s.stack
        .set_option(s.now, id, SockOpt::QuickAck(true))
        .expect("option");
    for _ in 0..20 {
        s.inject(seg(ACK, 14, 7, b""));
    }
    while s.try_sent_ago().is_some() {}
    s.inject(seg(ACK | PSH, 14, 7, b"second"));
    let _ = s.recv(id);
    assert!(s.expect(ACK, 7, 20, b"").window > 65_000);
}
