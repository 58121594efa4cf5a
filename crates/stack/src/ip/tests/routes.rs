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
