//! Datagrams across and round inside.

use super::*;

#[test]
fn datagrams_cross_and_are_answered() {
    for offload in [false, true] {
        let offload = Offload {
            csum: offload,
            ..Offload::default()
        };
        for (domain, server, from) in [
            (V4, "10.0.0.2:53", "10.0.0.1"),
            (V6, "[fd00::2]:53", "fd00::1"),
        ] {
            let mut net = Net::with(1500, offload);
            let s = net.bound(B, domain, server);
            let c = net.socket(A, domain);
            assert_eq!(net.send(A, c, b"question", Some(server)), Ok(8));
            let (data, peer) = net.recv(B, s).unwrap();
            assert_eq!(data, b"question");
            assert_eq!(peer.ip(), from.parse::<std::net::IpAddr>().unwrap());
            assert_eq!(peer.port(), net.hosts[A].local_addr(c).unwrap().port());
            assert_eq!(net.send(B, s, b"", Some(&peer.to_string())), Ok(0));
            assert_eq!(net.recv(A, c), Ok((vec![], addr(server))));
            assert_eq!(net.recv(A, c), Err(Error::WouldBlock));
            assert_eq!(net.crossed, 2);
        }
    }
}

#[test]
fn every_length_arrives_whole_in_fragments_too() {
    for (domain, server, max) in [
        (V4, "10.0.0.2:53", 65507),
        (V6, "[fd00::2]:53", 65527),
        (V4, "127.0.0.1:53", 65507),
        (V6, "[::1]:53", 65527),
    ] {
        let mut net = Net::new();
        let local = server.contains("127.") || server.contains("::1]");
        let host = if local { A } else { B };
        let s = net.bound(host, domain, server);
        let c = net.socket(A, domain);
        for len in [0, 1, 1451, 1452, 1453, 1471, 1472, 1473, 9000, max] {
            let data: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
            assert_eq!(net.send(A, c, &data, Some(server)), Ok(len), "{server}");
            assert_eq!(net.recv(host, s).unwrap().0, data, "{len} to {server}");
        }
        let data = vec![0; max + 1];
        assert_eq!(
            net.send(A, c, &data, Some(server)),
            Err(Error::MessageTooLong)
        );
        assert_eq!(net.crossed == 0, local);
    }
}

#[test]
fn a_lost_fragment_loses_the_datagram_and_the_sender_hears_of_it() {
    let mut net = Net::new();
    let s = net.bound(B, V4, "10.0.0.2:53");
    let c = net.socket(A, V4);
    // The last fragment: no MF, but an offset.
    net.lose = |from, frame| {
        let word = u16::from_be_bytes([frame[16], frame[17]]);
        from == A && word & 0x2000 == 0 && word & 0x1fff != 0
    };
    net.send(A, c, &[1; 4000], Some("10.0.0.2:53")).unwrap();
    assert_eq!(net.recv(B, s), Err(Error::WouldBlock));
    let deadline = net.hosts[B].next_deadline().unwrap();
    assert_eq!(deadline.since(net.now).as_secs(), 30);
    let crossed = net.crossed;
    net.now = deadline;
    net.hosts[B].handle_timers(net.now);
    net.settle();
    assert_eq!(net.crossed, crossed + 1, "one Time Exceeded");
    assert_eq!(net.hosts[B].next_deadline(), None);
}

#[test]
fn a_connected_socket_has_one_peer() {
    let mut net = Net::new();
    let s = net.bound(B, V4, "10.0.0.2:53");
    let other = net.bound(B, V4, "10.0.0.2:54");
    let c = net.bound(A, V4, "0.0.0.0:1000");
    net.send(B, other, b"before", Some("10.0.0.1:1000"))
        .unwrap();
    net.connect(A, c, "10.0.0.2:53").unwrap();
    assert_eq!(net.hosts[A].local_addr(c), Ok(addr("10.0.0.1:1000")));
    assert_eq!(net.hosts[A].peer_addr(c), Ok(addr("10.0.0.2:53")));
    assert_eq!(net.hosts[A].state(c), Ok(State::Established));
    net.send(B, other, b"stranger", Some("10.0.0.1:1000"))
        .unwrap();
    net.send(B, s, b"friend", Some("10.0.0.1:1000")).unwrap();
    // Behaviour of Linux: what was queued before connect stays readable.
    assert_eq!(net.recv(A, c).unwrap().0, b"before");
    assert_eq!(net.recv(A, c).unwrap().0, b"friend");
    assert_eq!(net.recv(A, c), Err(Error::WouldBlock));
    assert_eq!(net.send(A, c, b"to the peer", None), Ok(11));
    assert_eq!(net.recv(B, s).unwrap().0, b"to the peer");
    assert_eq!(net.send(A, c, b"to another", Some("10.0.0.2:54")), Ok(10));
    assert_eq!(net.recv(B, other).unwrap().0, b"to another");

    net.hosts[A].disconnect(net.now, c).unwrap();
    assert_eq!(net.hosts[A].local_addr(c), Ok(addr("0.0.0.0:1000")));
    assert_eq!(net.hosts[A].peer_addr(c), Err(Error::NotConnected));
    assert_eq!(net.send(A, c, b"x", None), Err(Error::DestinationRequired));
    net.send(B, other, b"anybody", Some("10.0.0.1:1000"))
        .unwrap();
    assert_eq!(net.recv(A, c).unwrap().0, b"anybody");
}

#[test]
fn dual_stack_sockets_speak_both_families() {
    let mut net = Net::new();
    let s = net.bound(B, V6, "[::]:53");
    let (c4, c6) = (net.socket(A, V4), net.socket(A, V6));
    net.send(A, c4, b"four", Some("10.0.0.2:53")).unwrap();
    let (data, from) = net.recv(B, s).unwrap();
    assert_eq!(data, b"four");
    assert!(from.to_string().starts_with("[::ffff:10.0.0.1]:"));
    net.send(B, s, b"back", Some(&from.to_string())).unwrap();
    assert_eq!(net.recv(A, c4), Ok((b"back".to_vec(), addr("10.0.0.2:53"))));
    net.send(A, c6, b"six", Some("[fd00::2]:53")).unwrap();
    assert_eq!(net.recv(B, s).unwrap().0, b"six");
    net.connect(A, c6, "[::ffff:10.0.0.2]:53").unwrap();
    let local = net.hosts[A].local_addr(c6).unwrap().to_string();
    assert!(local.starts_with("[::ffff:10.0.0.1]:"), "{local}");

    let only = net.socket(B, V6);
    let (now, b) = (net.now, &mut net.hosts[B]);
    b.set_option(now, only, SockOpt::V6Only(true)).unwrap();
    assert_eq!(b.bind(only, addr("[::]:53")), Err(Error::AddressInUse));
    b.bind(only, addr("[::]:54")).unwrap();
    let four = net.bound(B, V4, "0.0.0.0:54");
    net.send(A, c4, b"x", Some("10.0.0.2:54")).unwrap();
    assert_eq!(net.recv(B, only), Err(Error::WouldBlock));
    assert_eq!(net.recv(B, four).unwrap().0, b"x");
    assert_eq!(
        net.send(B, only, b"x", Some("[::ffff:10.0.0.1]:9")),
        Err(Error::NetworkUnreachable)
    );
    let again = SockOpt::V6Only(false);
    let set = net.hosts[B].set_option(net.now, only, again);
    assert_eq!(set, Err(Error::Invalid));
}

#[test]
fn the_exact_address_comes_before_the_wildcard() {
    let mut net = Net::new();
    let any = net.socket(B, V4);
    let exact = net.socket(B, V4);
    for (id, at) in [(exact, "10.0.0.2:53"), (any, "0.0.0.0:53")] {
        let (now, b) = (net.now, &mut net.hosts[B]);
        b.set_option(now, id, SockOpt::ReuseAddr(true)).unwrap();
        b.bind(id, addr(at)).unwrap();
    }
    let c = net.socket(A, V4);
    net.send(A, c, b"x", Some("10.0.0.2:53")).unwrap();
    assert_eq!(net.recv(B, exact).unwrap().0, b"x");
    net.hosts[B].close(net.now, exact);
    net.send(A, c, b"y", Some("10.0.0.2:53")).unwrap();
    assert_eq!(net.recv(B, any).unwrap().0, b"y");
    assert_eq!(net.hosts[B].readiness(exact), Ready::ERR | Ready::HUP);
    assert_eq!(net.recv(B, exact), Err(Error::BadHandle));
}

#[test]
fn reuseport_spreads_and_keeps_flows_together() {
    let mut net = Net::new();
    let servers: Vec<SocketId> = (0..4)
        .map(|_| {
            let id = net.socket(B, V4);
            let (now, b) = (net.now, &mut net.hosts[B]);
            b.set_option(now, id, SockOpt::ReusePort(true)).unwrap();
            b.bind(id, addr("0.0.0.0:53")).unwrap();
            id
        })
        .collect();
    let mut counts = [0; 4];
    for _ in 0..100 {
        let c = net.socket(A, V4);
        for _ in 0..3 {
            net.send(A, c, b"x", Some("10.0.0.2:53")).unwrap();
        }
        for (at, id) in servers.iter().enumerate() {
            let got = (0..3).filter(|_| net.recv(B, *id).is_ok()).count();
            assert!(got == 0 || got == 3, "a flow was split");
            counts[at] += got;
        }
    }
    assert_eq!(counts.iter().sum::<usize>(), 300);
    assert!(counts.iter().all(|&count| count > 30), "{counts:?}");
}

#[test]
fn broadcast_needs_leave_and_reaches_everybody_here_and_there() {
    let mut net = Net::new();
    let here = net.bound(A, V4, "0.0.0.0:67");
    let there = net.bound(B, V4, "0.0.0.0:67");
    let c = net.socket(A, V4);
    let all = ["255.255.255.255:67", "10.0.0.255:67", "127.255.255.255:67"];
    for to in all {
        let refused = net.send(A, c, b"x", Some(to));
        assert_eq!(refused, Err(Error::AccessDenied));
    }
    let leave = SockOpt::Broadcast(true);
    net.hosts[A].set_option(net.now, c, leave).unwrap();
    for to in ["255.255.255.255:67", "10.0.0.255:67"] {
        assert_eq!(net.send(A, c, b"x", Some(to)), Ok(1));
        assert_eq!(net.recv(A, here).unwrap().0, b"x");
        assert_eq!(net.recv(B, there).unwrap().0, b"x");
    }
    let crossed = net.crossed;
    net.send(A, c, b"x", Some("127.255.255.255:67")).unwrap();
    assert_eq!(net.recv(A, here).unwrap().0, b"x");
    assert_eq!(net.crossed, crossed);
    // Nobody listens at 68: no port unreachable about a broadcast.
    let crossed = net.crossed;
    net.send(A, c, b"x", Some("10.0.0.255:68")).unwrap();
    assert_eq!(net.crossed, crossed + 1);
}

#[test]
fn peek_truncation_and_scattered_buffers() {
    let mut net = Net::new();
    let s = net.bound(B, V4, "10.0.0.2:53");
    let c = net.socket(A, V4);
    net.send(A, c, b"datagram", Some("10.0.0.2:53")).unwrap();
    net.send(A, c, b"next", Some("10.0.0.2:53")).unwrap();
    assert_eq!(net.hosts[B].readable_bytes(s), Ok(8));
    for flags in [RecvFlags::PEEK, RecvFlags::TRUNC] {
        let (data, received) = net.recv_with(B, s, 4, flags).unwrap();
        assert_eq!(data, b"data");
        assert_eq!((received.len, received.full_len), (4, 8));
    }
    assert_eq!(net.hosts[B].readable_bytes(s), Ok(4));
    let (mut x, mut y) = ([0; 3], [0; 3]);
    let mut bufs = [IoSliceMut::new(&mut x), IoSliceMut::new(&mut y)];
    let received = net.hosts[B].recv(net.now, s, &mut bufs, RecvFlags::empty());
    assert_eq!(received.unwrap().len, 4);
    assert_eq!((&x, &y), (b"nex", b"t\0\0"));
}

#[test]
fn more_holds_the_datagram_back() {
    let mut net = Net::new();
    let s = net.bound(B, V4, "10.0.0.2:53");
    let c = net.socket(A, V4);
    net.connect(A, c, "10.0.0.2:53").unwrap();
    let (now, a) = (net.now, &mut net.hosts[A]);
    let part = [IoSlice::new(b"one "), IoSlice::new(b"datagram ")];
    assert_eq!(a.send(now, c, &part, SendFlags::MORE, None), Ok(13));
    net.settle();
    assert_eq!(net.recv(B, s), Err(Error::WouldBlock));
    net.send(A, c, b"only", None).unwrap();
    assert_eq!(net.recv(B, s).unwrap().0, b"one datagram only");
}

#[test]
fn own_addresses_go_round_inside() {
    let mut net = Net::new();
    let s = net.bound(A, V4, "0.0.0.0:53");
    let c = net.socket(A, V4);
    for (to, from) in [
        ("10.0.0.1:53", "10.0.0.1"),
        ("127.0.0.1:53", "127.0.0.1"),
        ("127.8.8.8:53", "127.0.0.1"),
    ] {
        net.send(A, c, b"x", Some(to)).unwrap();
        let (_, peer) = net.recv(A, s).unwrap();
        assert_eq!(peer.ip().to_string(), from);
    }
    assert_eq!(net.crossed, 0);
}

#[test]
fn same_seed_same_frames() {
    let run = || {
        let mut net = Net::new();
        let mut all = Vec::new();
        for n in 0..20 {
            let c = net.socket(A, V4);
            let slices = [IoSlice::new(&[7; 4000])];
            let to = Some(SocketAddr::from(([10, 0, 0, 2], 1000 + n)));
            let flags = SendFlags::empty();
            net.hosts[A].send(net.now, c, &slices, flags, to).unwrap();
            net.hosts[A].transmit(net.now, &mut |parts| {
                for part in parts {
                    all.extend_from_slice(part);
                }
            });
        }
        all
    };
    assert_eq!(run(), run());
}
