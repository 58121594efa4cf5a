//! Echo and errors.

use super::*;

#[test]
fn echo_is_answered_with_the_same_bytes() {
    for (peer, us, request, reply) in [
        ("10.0.0.2", "10.0.0.1", 8, 0),
        ("fd00::2", "fd00::1", 128, 129),
    ] {
        let mut stack = host();
        let body: Vec<u8> = (0..200).collect();
        let ping = icmp_message(peer, us, [request, 0], 0x1234_0001, &body);
        let answer = feed(&mut stack, &ping);
        let quoted = Quoted::parse(&answer[0]).unwrap();
        assert_eq!(quoted.src, ip(us));
        let answer = only_icmp(&answer, peer);
        assert_eq!(answer, (reply, 0, 0x1234_0001, body));
        let mut garbled = ping.clone();
        *garbled.last_mut().unwrap() ^= 1;
        assert_eq!(feed(&mut stack, &garbled), Vec::<Vec<u8>>::new());
        assert_eq!(stack.stats().bad_checksum, 1);
    }
    let mut stack = host();
    let ping = icmp_message("10.0.0.2", "10.0.0.255", [8, 0], 1, &[]);
    assert!(feed(&mut stack, &ping).is_empty(), "broadcast");
}

#[test]
fn a_ping_longer_than_the_link_is_answered_in_fragments() {
    let mut stack = host();
    let ping = icmp_message("10.0.0.2", "10.0.0.1", [8, 0], 1, &[9; 4000]);
    let answer = feed(&mut stack, &ping);
    assert_eq!(answer.len(), 3);
    let mut peer = Config {
        addrs: vec!["10.0.0.2/24".parse().unwrap()],
        ..Config::default()
    };
    peer.seed = [3; 32];
    let header = ipv4::Header::parse(&answer[1]).unwrap();
    assert_eq!((header.offset, header.more), (1480, true));
    assert!(answer.iter().all(|packet| packet.len() <= 1500));
}

#[test]
fn unreachables_quote_the_packet_and_keep_the_rules() {
    for (peer, us, kind, code) in [("10.0.0.2", "10.0.0.1", 3, 3), ("fd00::2", "fd00::1", 1, 4)] {
        let mut stack = host();
        let long = packet(
            peer,
            us,
            proto::UDP,
            &datagram(peer, us, (9, 99), &[1; 1400]),
        );
        let (k, c, rest, body) = only_icmp(&feed(&mut stack, &long), peer);
        assert_eq!((k, c, rest), (kind, code, 0));
        assert_eq!(body, long[..body.len()]);
        assert!(body.len() >= 548);
    }
    let mut stack = host();
    let (peer, us) = ("10.0.0.2", "10.0.0.1");
    let unknown = packet(peer, us, 200, &[0; 8]);
    assert_eq!(only_icmp(&feed(&mut stack, &unknown), peer).1, 2);
    // Not about broadcasts, groups, packets from nobody, ICMP errors, nor to spoofed ourselves.
    let about_error = icmp_message(peer, us, [3, 3], 0, &unknown);
    let fragment = v4(
        "10.0.0.2".parse().unwrap(),
        "10.0.0.1".parse().unwrap(),
        200,
        0x0001,
        &[0; 8],
    );
    let closed = |from, to| packet(from, to, proto::UDP, &datagram(from, to, (9, 99), &[]));
    for silent in [
        closed(peer, "10.0.0.255"),
        closed(peer, "255.255.255.255"),
        closed(peer, "224.0.0.1"),
        closed("0.0.0.0", us),
        closed("10.0.0.255", us),
        closed("224.0.0.5", us),
        closed("127.0.0.1", us),
        closed(us, us),
        closed(peer, "127.0.0.1"),
        closed(peer, "10.0.0.9"),
        about_error,
        fragment,
    ] {
        assert!(feed(&mut stack, &silent).is_empty(), "{silent:?}");
    }
}

#[test]
fn errors_are_limited_in_rate() {
    let mut stack = host();
    let (peer, us) = ("10.0.0.2", "10.0.0.1");
    let closed = packet(peer, us, proto::UDP, &datagram(peer, us, (9, 99), &[]));
    let answers: usize = (0..500).map(|_| feed(&mut stack, &closed).len()).sum();
    assert_eq!(answers, 50);
}
