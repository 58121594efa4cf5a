//! Routes, source addresses, path MTU.

use super::*;

#[test]
fn routes_by_longest_prefix_and_sources_by_prefix() {
    let config = Config {
        addrs: vec![
            "10.0.0.1/24".parse().unwrap(),
            "10.1.0.1/16".parse().unwrap(),
        ],
        routes: vec![Route {
            dest: "192.0.2.0/24".parse().unwrap(),
            gateway: None,
            mtu: None,
        }],
        ..Config::default()
    };
    let stack = Stack::new(config, T0);
    let path = |to: &str, from: Option<&str>| stack.ip.path(ip(to), from.map(ip));
    assert_eq!(path("10.1.2.3", None).unwrap().src, ip("10.1.0.1"));
    assert_eq!(path("10.0.0.3", None).unwrap().src, ip("10.0.0.1"));
    assert_eq!(path("192.0.2.3", None).unwrap().src, ip("10.0.0.1"));
    let bound = path("192.0.2.3", Some("10.1.0.1")).unwrap();
    assert_eq!((bound.src, bound.mtu), (ip("10.1.0.1"), 1500));
    assert_eq!(path("198.51.100.1", None), Err(Error::NetworkUnreachable));
    assert_eq!(path("fd00::2", None), Err(Error::NetworkUnreachable));
    assert_eq!(path("10.0.0.3", Some("127.0.0.1")), Err(Error::Invalid));
    let own = path("10.1.0.1", None).unwrap();
    assert_eq!((own.src, own.mtu, own.local), (ip("10.1.0.1"), 65536, true));
    assert_eq!(path("127.7.7.7", None).unwrap().src, ip("127.0.0.1"));
    assert_eq!(path("::1", None).unwrap().src, ip("::1"));
}

#[test]
fn a_path_mtu_is_learnt_from_errors_about_our_own_packets_and_forgotten() {
    let mut stack = host();
    let id = bound(&mut stack, Domain::V4, "10.0.0.1:9");
    let far = "198.51.100.7";
    let mtu = |stack: &Stack| stack.ip.path(ip(far), None).unwrap().mtu;
    let quote = |port| {
        packet(
            "10.0.0.1",
            far,
            proto::UDP,
            &datagram("10.0.0.1", far, port, &[]),
        )
    };
    let error = |mtu, quote: &[u8]| icmp_message("10.0.0.254", "10.0.0.1", [3, 4], mtu, quote);
    feed(&mut stack, &error(1400, &quote((10, 53))));
    assert_eq!(mtu(&stack), 1500, "no socket sent that");
    feed(&mut stack, &error(1400, &quote((9, 53))));
    assert_eq!(mtu(&stack), 1400);
    feed(&mut stack, &error(1450, &quote((9, 53))));
    assert_eq!(mtu(&stack), 1400, "never raised");
    feed(&mut stack, &error(68, &quote((9, 53))));
    assert_eq!(mtu(&stack), 552, "never below the floor");
    // Larger datagrams are cut to it.
    let data = [std::io::IoSlice::new(&[0; 1000])];
    let dest = SocketAddr::new(ip(far), 53);
    stack
        .send(T0, id, &data, SendFlags::empty(), Some(dest))
        .unwrap();
    let packets = sent(&mut stack, T0);
    assert_eq!(packets.len(), 2);
    assert!(packets.iter().all(|packet| packet.len() <= 552));
    stack
        .ip
        .set_now(Instant::from_micros(5_000_000 + 600_000_000));
    assert_eq!(mtu(&stack), 1500);
}

#[test]
fn a_way_is_remembered_until_another_is_the_right_one() {
    let config = |mtu| Config {
        addrs: vec![
            "10.0.0.1/24".parse().unwrap(),
            "10.1.0.1/24".parse().unwrap(),
        ],
        routes: vec![Route {
            dest: "192.0.2.0/24".parse().unwrap(),
            gateway: Some(ip("10.0.0.254")),
            mtu,
        }],
        ..Config::default()
    };
    let mut stack = Stack::new(config(None), T0);
    let id = stack.socket(Domain::V4, Kind::Datagram).unwrap();
    let send = |stack: &mut Stack, to: &str| {
        let data = [std::io::IoSlice::new(&[0; 1000])];
        let dest = Some(SocketAddr::new(ip(to), 53));
        stack.send(T0, id, &data, SendFlags::empty(), dest)?;
        let packets = sent(stack, T0);
        let source = IpAddr::from(<[u8; 4]>::try_from(&packets[0][12..16]).unwrap());
        Ok((packets.len(), source))
    };
    let (first, second) = (ip("10.0.0.1"), ip("10.1.0.1"));
    for _ in 0..2 {
        assert_eq!(send(&mut stack, "192.0.2.7"), Ok((1, first)));
        assert_eq!(send(&mut stack, "10.1.0.7"), Ok((1, second)));
    }
    // To others.
    let broadcast = ip("10.1.0.255").to_string();
    assert_eq!(send(&mut stack, &broadcast), Err(Error::AccessDenied));
    let allowed = |stack: &mut Stack, on| stack.set_option(T0, id, SockOpt::Broadcast(on));
    allowed(&mut stack, true).unwrap();
    assert_eq!(send(&mut stack, &broadcast), Ok((1, second)));
    allowed(&mut stack, false).unwrap();
    assert_eq!(send(&mut stack, &broadcast), Err(Error::AccessDenied));
    // By no gateway.
    let data = [std::io::IoSlice::new(&[0; 10])];
    let dest = Some(SocketAddr::new(ip("192.0.2.7"), 53));
    let near = SendControl {
        dont_route: true,
        ..SendControl::default()
    };
    assert_eq!(send(&mut stack, "192.0.2.7"), Ok((1, first)));
    let refused = stack.send_with(T0, id, &data, SendFlags::empty(), dest, &near);
    assert_eq!(refused, Err(Error::NetworkUnreachable));
    // By other routes.
    assert_eq!(send(&mut stack, "192.0.2.7"), Ok((1, first)));
    stack.retune(config(Some(600)));
    assert_eq!(send(&mut stack, "192.0.2.7"), Ok((2, first)));
    stack.retune(config(None));
    assert_eq!(send(&mut stack, "192.0.2.7"), Ok((1, first)));
    // What was learnt, for as long as it holds.
    stack.ip.update_path_mtu(ip("192.0.2.7"), 600);
    for _ in 0..2 {
        assert_eq!(send(&mut stack, "192.0.2.7"), Ok((2, first)));
    }
    stack
        .ip
        .set_now(Instant::from_micros(5_000_000 + 600_000_000));
    assert_eq!(send(&mut stack, "192.0.2.7"), Ok((1, first)));
    // By a socket that has an address of its own, and then none again.
    let peer = SocketAddr::new(ip("10.1.0.7"), 53);
    stack.connect(T0, id, peer).unwrap();
    assert_eq!(send(&mut stack, "192.0.2.7"), Ok((1, second)));
    stack.disconnect(T0, id).unwrap();
    assert_eq!(send(&mut stack, "192.0.2.7"), Ok((1, first)));
    // By another interface.
    let by_loopback = SockOpt::Number(Attribute::BoundIf, 1);
    stack.set_option(T0, id, by_loopback).unwrap();
    stack.send(T0, id, &data, SendFlags::empty(), dest).unwrap();
    assert!(sent(&mut stack, T0).is_empty(), "it comes round inside");
}

#[test]
fn many_addresses_are_as_good_as_few() {
    let addrs: Vec<_> = (1..=200)
        .map(|n| format!("10.0.{n}.1/24").parse().unwrap())
        .collect();
    let config = Config {
        addrs,
        ..Config::default()
    };
    let mut stack = Stack::new(config, T0);
    for n in [1, 77, 200] {
        let (us, peer) = (format!("10.0.{n}.1"), format!("10.0.{n}.2"));
        let ping = icmp_message(&peer, &us, [8, 0], 1, &[]);
        assert_eq!(feed(&mut stack, &ping).len(), 1);
        assert!(stack.ip.is_broadcast(ip(&format!("10.0.{n}.255"))));
        assert!(!stack.ip.is_local(ip(&peer)));
    }
}
