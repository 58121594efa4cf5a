//! TCP between two stacks in virtual time.

mod pair;

use std::time::Duration;

use pair::*;
use tunsock_stack::*;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_connection_carries_bytes_both_ways_and_ends_in_order() {
    let mut p = Pair::new();
    let (client, server, _) = p.connected(80);
    assert_eq!(p.transfer(0, client, server, b"hello", MINUTE), b"hello");
    assert_eq!(p.transfer(1, server, client, b"world!", MINUTE), b"world!");
    assert_eq!(p.hosts[0].close(p.now, client), Closed::Done);
    assert!(p.run(MINUTE, |p| p.recv(1, server, 10) == Ok(vec![])));
    assert_eq!(p.hosts[1].state(server), Ok(State::CloseWait));
    p.pass(Duration::from_millis(100));
    assert!(
        p.hosts[0]
            .sockets()
            .iter()
            .any(|s| s.state == State::FinWait2)
    );
    assert_eq!(p.hosts[1].close(p.now, server), Closed::Done);
    assert!(p.run(MINUTE, |p| {
        p.hosts[0]
            .sockets()
            .iter()
            .any(|s| s.state == State::TimeWait)
    }));
    p.pass(Duration::from_millis(100));
    assert!(!p.hosts[1].has_undelivered());
    assert_eq!(p.hosts[1].sockets().len(), 1, "only the listener is left");
    p.pass(2 * MINUTE);
    assert!(p.hosts[0].sockets().is_empty());
}

#[test]
fn megabytes_arrive_unharmed_with_and_without_offload() {
    for offload in [
        Offload::default(),
        Offload {
            csum: true,
            tso4: true,
            tso6: true,
        },
    ] {
        let mut p = Pair::with(
            Config {
                offload,
                ..config(0)
            },
            Config {
                offload,
                ..config(1)
            },
        );
        let (client, server, _) = p.connected(80);
        let data = pattern(5_000_000);
        assert!(p.transfer(0, client, server, &data, MINUTE) == data);
        assert!(p.transfer(1, server, client, &data, MINUTE) == data);
        assert_eq!(
            p.hosts[0].stats().bad_checksum + p.hosts[1].stats().bad_checksum,
            0
        );
    }
}

#[test]
fn loss_reordering_and_duplication_change_nothing() {
    for seed in 0..20u64 {
        let mut p = Pair::new();
        let mut state = seed.wrapping_mul(2).wrapping_add(0x1234_5678_9abc_def1);
        p.filter = Box::new(move |_, _, _| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            match (state >> 33) % 100 {
                0..5 => Fate::Lose,
                5..10 => Fate::Late(Duration::from_millis(3)),
                10..13 => Fate::Twice,
                _ => Fate::Arrive,
            }
        });
        let (client, server, _) = p.connected(80);
        let data = pattern(200_000);
        assert!(
            p.transfer(0, client, server, &data, 100 * MINUTE) == data,
            "seed {seed}"
        );
        p.hosts[0].close(p.now, client);
        assert!(
            p.run(10 * MINUTE, |p| p.recv(1, server, 10) == Ok(vec![])),
            "seed {seed}"
        );
        p.hosts[1].close(p.now, server);
        assert!(
            p.run(30 * MINUTE, |p| p.hosts[1].sockets().len() == 1),
            "seed {seed}: {:?}",
            p.hosts[1].sockets()
        );
        p.pass(20 * MINUTE);
        assert!(
            p.hosts[0].sockets().is_empty(),
            "seed {seed}: {:?}",
            p.hosts[0].sockets()
        );
    }
}

#[test]
fn nobody_listens_and_the_connection_is_refused() {
    let mut p = Pair::new();
    let client = p.socket(0, Kind::Stream);
    assert_eq!(
        p.hosts[0].connect(p.now, client, addr(1, 9)),
        Err(Error::InProgress)
    );
    assert_eq!(
        p.hosts[0].connect(p.now, client, addr(1, 9)),
        Err(Error::AlreadyConnecting)
    );
    p.run(MINUTE, |p| {
        p.hosts[0].readiness(client).contains(Ready::HUP)
    });
    assert_eq!(
        p.hosts[0].readiness(client),
        Ready::IN | Ready::OUT | Ready::ERR | Ready::HUP | Ready::RDHUP
    );
    assert_eq!(
        p.hosts[0].connect(p.now, client, addr(1, 9)),
        Err(Error::ConnectionRefused)
    );
    assert_eq!(
        p.hosts[0].connect(p.now, client, addr(1, 9)),
        Err(Error::InProgress),
        "a real attempt again"
    );
}

#[test]
fn nobody_answers_and_the_attempt_times_out() {
    let mut p = Pair::new();
    p.filter = Box::new(|_, _, _| Fate::Lose);
    let client = p.socket(0, Kind::Stream);
    let start = p.now;
    assert_eq!(
        p.hosts[0].connect(p.now, client, addr(1, 9)),
        Err(Error::InProgress)
    );
    assert!(p.run(10 * MINUTE, |p| {
        p.hosts[0].readiness(client).contains(Ready::ERR)
    }));
    assert_eq!(p.hosts[0].take_error(client), Some(Error::TimedOut));
    assert_eq!(p.sent[0], 7);
    assert_eq!(p.now.since(start), Duration::from_secs(127));
}

#[test]
fn own_loopback_connects_and_self_connect_works() {
    let mut p = Pair::new();
    let listener = p.socket(0, Kind::Stream);
    p.hosts[0]
        .bind(listener, "127.0.0.1:7".parse().unwrap())
        .unwrap();
    p.hosts[0].listen(p.now, listener, 5).unwrap();
    let client = p.socket(0, Kind::Stream);
    assert_eq!(
        p.hosts[0].connect(p.now, client, "127.0.0.1:7".parse().unwrap()),
        Err(Error::InProgress)
    );
    assert!(p.run(MINUTE, |p| p.hosts[0].state(client)
        == Ok(State::Established)));
    let (server, _) = p.hosts[0].accept(p.now, listener).unwrap();
    let data = pattern(1_000_000);
    let (mut sent, mut got) = (0, Vec::new());
    assert!(p.run(MINUTE, |p| {
        sent += p.send(0, client, &data[sent..]).unwrap_or(0);
        while let Ok(bytes) = p.recv(0, server, 100_000) {
            got.extend(bytes);
        }
        got.len() == data.len()
    }));
    assert!(got == data);
    assert_eq!(p.sent, [0, 0], "nothing left the host");
    // Simultaneous open with oneself.
    let lonely = p.socket(0, Kind::Stream);
    p.hosts[0]
        .bind(lonely, "127.0.0.1:9999".parse().unwrap())
        .unwrap();
    assert_eq!(
        p.hosts[0].connect(p.now, lonely, "127.0.0.1:9999".parse().unwrap()),
        Err(Error::InProgress)
    );
    assert!(p.run(MINUTE, |p| p.hosts[0].state(lonely)
        == Ok(State::Established)));
    p.send(0, lonely, b"me").unwrap();
    let mut back = Vec::new();
    assert!(p.run(MINUTE, |p| {
        back.extend(p.recv(0, lonely, 10).unwrap_or_default());
        back == b"me"
    }));
}

#[test]
fn a_slow_reader_closes_the_window_and_probes_open_it_again() {
    let mut p = Pair::new();
    let (client, server, _) = p.connected(80);
    p.hosts[1]
        .set_option(p.now, server, SockOpt::RcvBuf(20_000))
        .unwrap();
    let data = pattern(8_000_000);
    let mut sent = 0;
    for _ in 0..200 {
        sent += p.send(0, client, &data[sent..]).unwrap_or(0);
        p.pass(Duration::from_millis(20));
    }
    assert!(sent < data.len());
    p.pass(5 * MINUTE);
    assert_eq!(
        p.hosts[0].state(client),
        Ok(State::Established),
        "probing goes on without end"
    );
    let mut got = Vec::new();
    assert!(p.run(10 * MINUTE, |p| {
        sent += p.send(0, client, &data[sent..]).unwrap_or(0);
        got.extend(p.recv(1, server, 7000).unwrap_or_default());
        got.len() == data.len()
    }));
    assert!(got == data);
}

#[test]
fn close_with_unread_data_resets() {
    let mut p = Pair::new();
    let (client, server, _) = p.connected(80);
    p.send(0, client, b"unread").unwrap();
    p.pass(Duration::from_millis(50));
    p.hosts[1].close(p.now, server);
    p.pass(Duration::from_millis(50));
    assert_eq!(p.recv(0, client, 10), Err(Error::ConnectionReset));
    assert_eq!(p.recv(0, client, 10), Ok(vec![]));
    assert_eq!(p.send(0, client, b"x"), Err(Error::BrokenPipe));
}

#[test]
fn urgent_data_is_out_of_band_and_marks_the_stream() {
    let mut p = Pair::new();
    let (client, server, _) = p.connected(80);
    p.send(0, client, b"abc").unwrap();
    p.hosts[0]
        .send(
            p.now,
            client,
            &[std::io::IoSlice::new(b"dX")],
            SendFlags::OOB,
            None,
        )
        .unwrap();
    p.send(0, client, b"efg").unwrap();
    p.pass(Duration::from_millis(500));
    assert!(p.hosts[1].readiness(server).contains(Ready::PRI));
    let mut octet = [0u8; 4];
    let got = p.hosts[1]
        .recv(
            p.now,
            server,
            &mut [std::io::IoSliceMut::new(&mut octet)],
            RecvFlags::OOB,
        )
        .unwrap();
    assert_eq!((got.len, got.oob, octet[0]), (1, true, b'X'));
    assert_eq!(p.recv(1, server, 100), Ok(b"abcd".to_vec()));
    assert_eq!(p.hosts[1].at_mark(server), Ok(true));
    assert_eq!(p.recv(1, server, 100), Ok(b"efg".to_vec()));
    assert_eq!(p.hosts[1].at_mark(server), Ok(false));
}

#[test]
fn backlog_holds_one_more_than_it_says_and_then_syns_are_ignored() {
    let mut p = Pair::new();
    let listener = p.socket(1, Kind::Stream);
    p.hosts[1].bind(listener, addr(1, 80)).unwrap();
    p.hosts[1].listen(p.now, listener, 1).unwrap();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let c = p.socket(0, Kind::Stream);
            assert_eq!(
                p.hosts[0].connect(p.now, c, addr(1, 80)),
                Err(Error::InProgress)
            );
            p.pass(Duration::from_millis(20));
            c
        })
        .collect();
    let states: Vec<_> = clients
        .iter()
        .map(|c| p.hosts[0].state(*c).unwrap())
        .collect();
    assert_eq!(states[..2], [State::Established, State::Established]);
    assert_eq!(states[2..], [State::SynSent, State::SynSent]);
    p.hosts[1].accept(p.now, listener).unwrap();
    p.pass(10 * Duration::from_secs(1));
    let established = clients
        .iter()
        .filter(|c| p.hosts[0].state(**c) == Ok(State::Established))
        .count();
    assert_eq!(established, 3);
}

#[test]
fn keepalive_finds_a_dead_peer() {
    let mut p = Pair::new();
    let (client, _, _) = p.connected(80);
    p.hosts[0]
        .set_option(p.now, client, SockOpt::KeepIdle(10))
        .unwrap();
    p.hosts[0]
        .set_option(p.now, client, SockOpt::KeepIntvl(5))
        .unwrap();
    p.hosts[0]
        .set_option(p.now, client, SockOpt::KeepCnt(3))
        .unwrap();
    p.hosts[0]
        .set_option(p.now, client, SockOpt::KeepAlive(true))
        .unwrap();
    p.pass(MINUTE);
    assert_eq!(
        p.hosts[0].state(client),
        Ok(State::Established),
        "a living peer answers"
    );
    p.filter = Box::new(|_, _, _| Fate::Lose);
    p.pass(Duration::from_secs(40));
    assert_eq!(p.hosts[0].take_error(client), Some(Error::TimedOut));
}

#[test]
fn idle_connections_hold_no_deadline_and_nothing_is_sent() {
    let mut p = Pair::new();
    let (client, server, _) = p.connected(80);
    assert_eq!(p.transfer(0, client, server, b"x", MINUTE), b"x");
    p.pass(MINUTE);
    let sent = p.sent;
    p.pass(10 * MINUTE);
    assert_eq!(p.sent, sent);
    assert_eq!(p.hosts[0].next_deadline(), None);
    assert_eq!(p.hosts[1].next_deadline(), None);
}

#[test]
fn same_seed_same_packets() {
    let log = |_| {
        let mut p = Pair::new();
        p.filter = Box::new(|d, n, _| {
            if (n * 7 + d as u64) % 23 == 5 {
                Fate::Lose
            } else {
                Fate::Arrive
            }
        });
        let (client, server, _) = p.connected(80);
        let data = pattern(100_000);
        assert!(p.transfer(0, client, server, &data, MINUTE) == data);
        p.log
    };
    assert!(log(0) == log(1));
}

#[test]
fn deadlines_of_connections_that_are_over_do_not_pile_up() {
    // A keepalive two hours ahead on each of many short connections: none may keep the host from falling idle.
    let mut p = Pair::new();
    let listener = p.listener(1, 80);
    for _ in 0..3000 {
        let client = p.socket(0, Kind::Stream);
        p.hosts[0]
            .set_option(p.now, client, SockOpt::KeepAlive(true))
            .unwrap();
        let _ = p.hosts[0].connect(p.now, client, addr(1, 80));
        assert!(p.run(MINUTE, |p| p.hosts[0].state(client)
            == Ok(State::Established)));
        p.pass(Duration::from_millis(5));
        let (server, _) = p.hosts[1].accept(p.now, listener).unwrap();
        p.hosts[1].close(p.now, server);
        p.pass(Duration::from_millis(5));
        p.hosts[0].close(p.now, client);
        p.pass(Duration::from_millis(5));
    }
    p.pass(2 * MINUTE);
    assert!(p.hosts[0].sockets().is_empty());
    // What is left in the heap is swept: at most the thousand that are not worth sweeping fire for nothing.
    let mut wakes = 0;
    while p.hosts[0].next_deadline().is_some() {
        p.step();
        wakes += 1;
    }
    assert!(wakes < 1100, "{wakes} deadlines for nothing");
}

#[test]
fn a_path_that_swallows_long_packets_is_found_out() {
    // No ICMP comes back (RFC 2923 2.1, RFC 4821 7.7): packets above the hop's MTU are just gone.
    let long = |limit: usize| -> Filter {
        Box::new(move |_, _, packet| {
            if packet.len() > limit {
                Fate::Lose
            } else {
                Fate::Arrive
            }
        })
    };
    for (v6, limit) in [(false, 1300), (false, 620), (true, 1280)] {
        let mut p = Pair::new();
        let listener = if v6 {
            let id = p.hosts[1].socket(Domain::V6, Kind::Stream).unwrap();
            p.hosts[1].bind(id, addr6(1, 80)).unwrap();
            p.hosts[1].listen(p.now, id, 1).unwrap();
            id
        } else {
            p.listener(1, 80)
        };
        let domain = if v6 { Domain::V6 } else { Domain::V4 };
        let to = if v6 { addr6(1, 80) } else { addr(1, 80) };
        let client = p.hosts[0].socket(domain, Kind::Stream).unwrap();
        let _ = p.hosts[0].connect(p.now, client, to);
        p.pass(Duration::from_millis(50));
        let (server, _) = p.hosts[1].accept(p.now, listener).unwrap();
        p.filter = long(limit);
        let data = pattern(100_000);
        let got = p.transfer(0, client, server, &data, MINUTE);
        assert!(
            got == data,
            "{} of {} octets through {limit}",
            got.len(),
            data.len()
        );
    }
}
