//! What Linux does where it could have done otherwise.

use super::*;

#[test]
fn a_connect_without_bind_is_undone_by_disconnect() {
    let mut net = Net::new();
    let c = net.socket(A, V4);
    assert_eq!(net.hosts[A].local_addr(c), Ok(addr("0.0.0.0:0")));
    net.connect(A, c, "10.0.0.2:53").unwrap();
    let local = net.hosts[A].local_addr(c).unwrap();
    assert_eq!(local.ip(), addr("10.0.0.1:0").ip());
    assert_ne!(local.port(), 0);
    net.hosts[A].disconnect(net.now, c).unwrap();
    assert_eq!(net.hosts[A].local_addr(c), Ok(addr("0.0.0.0:0")));
    assert_eq!(net.hosts[A].sockets(), vec![]);
}

#[test]
fn nobody_there_refuses_connected_sockets_only() {
    for (domain, server) in [
        (V4, "10.0.0.2:53"),
        (V6, "[fd00::2]:53"),
        (V4, "127.0.0.1:53"),
        (V6, "[::ffff:10.0.0.2]:53"),
    ] {
        let mut net = Net::new();
        let c = net.socket(A, domain);
        net.send(A, c, b"x", Some(server)).unwrap();
        assert_eq!(net.recv(A, c), Err(Error::WouldBlock));
        net.connect(A, c, server).unwrap();
        while net.hosts[A].poll_event().is_some() {}
        net.send(A, c, b"x", None).unwrap();
        assert_eq!(net.hosts[A].poll_event(), Some((c, Ready::ERR)));
        assert!(net.hosts[A].readiness(c).contains(Ready::ERR));
        assert_eq!(net.recv(A, c), Err(Error::ConnectionRefused), "{server}");
        assert_eq!(net.recv(A, c), Err(Error::WouldBlock));
        net.send(A, c, b"x", None).unwrap();
        assert_eq!(net.hosts[A].take_error(c), Some(Error::ConnectionRefused));
        assert_eq!(net.hosts[A].take_error(c), None);
        net.send(A, c, b"x", None).unwrap();
        assert_eq!(net.send(A, c, b"x", None), Err(Error::ConnectionRefused));
    }
}

#[test]
fn shutdown_as_on_linux() {
    let mut net = Net::new();
    let s = net.bound(B, V4, "10.0.0.2:53");
    let c = net.socket(A, V4);
    net.connect(A, c, "10.0.0.2:53").unwrap();
    net.send(A, c, b"x", None).unwrap();
    let (now, a) = (net.now, &mut net.hosts[A]);
    a.shutdown(now, c, Shutdown::Write).unwrap();
    assert_eq!(net.send(A, c, b"x", None), Err(Error::BrokenPipe));
    assert_eq!(net.recv(A, c), Err(Error::WouldBlock));
    let (_, from) = net.recv(B, s).unwrap();
    net.send(B, s, b"late", Some(&from.to_string())).unwrap();
    let (now, a) = (net.now, &mut net.hosts[A]);
    a.shutdown(now, c, Shutdown::Read).unwrap();
    let all = Ready::IN | Ready::OUT | Ready::BAND | Ready::RDHUP | Ready::HUP;
    assert_eq!(a.readiness(c), all);
    assert_eq!(net.recv(A, c).unwrap().0, b"late");
    let (data, received) = net.recv_with(A, c, 9, RecvFlags::empty()).unwrap();
    assert_eq!((data, received.from), (vec![], None));
    let (now, b) = (net.now, &mut net.hosts[B]);
    let unconnected = b.shutdown(now, s, Shutdown::Read);
    assert_eq!(unconnected, Err(Error::NotConnected));
    assert!(b.readiness(s).contains(Ready::RDHUP));
}

#[test]
fn a_full_receive_buffer_drops_and_the_rest_stays() {
    let mut net = Net::new();
    let s = net.bound(B, V4, "10.0.0.2:53");
    let c = net.socket(A, V4);
    let small = SockOpt::RcvBuf(1);
    net.hosts[B].set_option(net.now, s, small).unwrap();
    let name = SockOptName::RcvBuf;
    assert_eq!(net.hosts[B].get_option(s, name), Ok(SockOpt::RcvBuf(2304)));
    for n in 0..10u8 {
        net.send(A, c, &[n], Some("10.0.0.2:53")).unwrap();
    }
    let got: Vec<u8> = (0..10)
        .filter_map(|_| net.recv(B, s).ok())
        .map(|(data, _)| data[0])
        .collect();
    assert_eq!(got, [0, 1]);
    assert_eq!(net.hosts[B].stats().queue_full, 8);
}

#[test]
fn what_cannot_be_sent_says_why() {
    let mut net = Net::new();
    let (c4, c6) = (net.socket(A, V4), net.socket(A, V6));
    let cases = [
        (c4, "10.0.0.2:0", Error::Invalid),
        (c4, "192.0.2.1:53", Error::NetworkUnreachable),
        (c4, "[fd00::2]:53", Error::AddressFamily),
        (c6, "[2001:db8::1]:53", Error::NetworkUnreachable),
    ];
    for (id, to, error) in cases {
        assert_eq!(net.send(A, id, b"x", Some(to)), Err(error), "{to}");
    }
    let c4 = net.socket(A, V4); // the other one was bound by what it tried
    let a = &mut net.hosts[A];
    let foreign = a.bind(c4, addr("10.0.0.9:53"));
    assert_eq!(foreign, Err(Error::AddressNotAvailable));
    assert_eq!(a.bind(c4, addr("127.9.9.9:53")), Ok(()));
    assert_eq!(a.bind(c4, addr("127.9.9.9:54")), Err(Error::Invalid));
    assert_eq!(a.listen(net.now, c4, 1), Err(Error::NotSupported));
    assert_eq!(a.accept(net.now, c4), Err(Error::NotSupported));
    // Bound to loopback: nothing leaves (Linux: EINVAL).
    let out = net.send(A, c4, b"x", Some("10.0.0.2:53"));
    assert_eq!(out, Err(Error::Invalid));
    assert_eq!(net.crossed, 0);
}

#[test]
fn the_unspecified_destination_is_loopback() {
    for (domain, any, server) in [
        (V4, "0.0.0.0:53", "127.0.0.1:53"),
        (V6, "[::]:53", "[::1]:53"),
        (V6, "[::ffff:0.0.0.0]:53", "[::ffff:127.0.0.1]:53"),
    ] {
        let mut net = Net::new();
        let s = net.bound(A, domain, server);
        let c = net.socket(A, domain);
        net.connect(A, c, any).unwrap();
        assert_eq!(net.hosts[A].peer_addr(c), Ok(addr(server)));
        net.send(A, c, b"x", None).unwrap();
        assert_eq!(net.recv(A, s).unwrap().0, b"x");
    }
}

#[test]
fn families_do_not_mix_once_bound() {
    for (local, to, error) in [
        ("[::1]:0", "[::ffff:127.0.0.1]:9", Error::NetworkUnreachable),
        ("[::ffff:127.0.0.1]:0", "[::1]:9", Error::AddressFamily),
        ("[::ffff:0.0.0.0]:0", "[::1]:9", Error::AddressFamily),
    ] {
        let mut net = Net::new();
        let c = net.bound(A, V6, local);
        assert_eq!(net.connect(A, c, to), Err(error), "{local} to {to}");
        assert_eq!(net.send(A, c, b"x", Some(to)), Err(error));
        let stream = net.hosts[A].socket(V6, Kind::Stream).unwrap();
        net.hosts[A].bind(stream, addr(local)).unwrap();
        assert_eq!(net.connect(A, stream, to), Err(error));
    }
    let mut net = Net::new();
    let c = net.bound(A, V6, "[::ffff:10.0.0.1]:0");
    net.connect(A, c, "[::]:9").unwrap();
    let peer = net.hosts[A].peer_addr(c);
    assert_eq!(peer, Ok(addr("[::ffff:127.0.0.1]:9")));
}

#[test]
fn errors_come_in_linux_s_order() {
    let mut net = Net::new();
    let c = net.socket(A, V4);
    // Bound by an attempt that failed.
    let unreachable = Err(Error::NetworkUnreachable);
    assert_eq!(net.connect(A, c, "192.0.2.1:9"), unreachable);
    assert_ne!(net.hosts[A].local_addr(c).unwrap().port(), 0);
    let unreachable = Err(Error::NetworkUnreachable);
    net.connect(A, c, "10.0.0.2:9").unwrap();
    net.send(A, c, b"x", None).unwrap();
    let too_long = Err(Error::MessageTooLong);
    assert_eq!(
        net.send(A, c, &[0; 65508], Some("192.0.2.1:9")),
        unreachable
    );
    assert_eq!(net.send(A, c, &[0; 65508], None), too_long);
    assert_eq!(net.send(A, c, b"x", Some("192.0.2.1:9")), unreachable);
    // A connect leaves the error where it is.
    net.connect(A, c, "10.0.0.2:10").unwrap();
    assert_eq!(net.send(A, c, b"x", None), Err(Error::ConnectionRefused));
    // Port 0: connected, but not so that getpeername would say it.
    net.connect(A, c, "10.0.0.2:0").unwrap();
    assert_eq!(net.hosts[A].peer_addr(c), Err(Error::NotConnected));
    // What was held back is lost with what made it too long.
    let s = net.bound(B, V4, "10.0.0.2:53");
    net.connect(A, c, "10.0.0.2:53").unwrap();
    let part = [IoSlice::new(b"held")];
    let held = net.hosts[A].send(net.now, c, &part, SendFlags::MORE, None);
    assert_eq!(held, Ok(4));
    assert_eq!(net.send(A, c, &[0; 65507], None), too_long);
    net.send(A, c, b"alone", None).unwrap();
    assert_eq!(net.recv(B, s).unwrap().0, b"alone");
}

#[test]
fn options_have_linux_s_bounds() {
    let mut net = Net::new();
    let (c4, c6) = (net.socket(A, V4), net.socket(A, V6));
    let now = net.now;
    let a = &mut net.hosts[A];
    for (id, opt, result) in [
        (c4, SockOpt::Ttl(0), Err(Error::Invalid)),
        (c4, SockOpt::Ttl(256), Err(Error::Invalid)),
        (c4, SockOpt::Ttl(255), Ok(())),
        (c4, SockOpt::UnicastHops(1), Err(Error::NoSuchOption)),
        (c4, SockOpt::V6Only(true), Err(Error::NoSuchOption)),
        (c6, SockOpt::UnicastHops(-2), Err(Error::Invalid)),
        (c6, SockOpt::UnicastHops(0), Ok(())),
        (c4, SockOpt::NoDelay(true), Err(Error::NoSuchOption)),
        (c4, SockOpt::SndBuf(0), Ok(())),
        (c4, SockOpt::RcvBuf(100_000), Ok(())),
        (c4, SockOpt::RcvLowat(0), Ok(())),
    ] {
        assert_eq!(a.set_option(now, id, opt), result, "{opt:?}");
    }
    for (id, name, opt) in [
        (c4, SockOptName::Ttl, SockOpt::Ttl(255)),
        (c6, SockOptName::Ttl, SockOpt::Ttl(64)),
        (c6, SockOptName::UnicastHops, SockOpt::UnicastHops(0)),
        (c4, SockOptName::SndBuf, SockOpt::SndBuf(4608)),
        (c4, SockOptName::RcvBuf, SockOpt::RcvBuf(200_000)),
        (c6, SockOptName::RcvBuf, SockOpt::RcvBuf(212_992)),
        (c4, SockOptName::RcvLowat, SockOpt::RcvLowat(1)),
    ] {
        assert_eq!(a.get_option(id, name), Ok(opt));
    }
    let back = a.set_option(now, c4, SockOpt::Ttl(-1));
    assert_eq!(back, Ok(()));
    assert_eq!(a.get_option(c4, SockOptName::Ttl), Ok(SockOpt::Ttl(64)));
}
