//! Fragments, whole, in disorder, forged and missing.

use super::*;

/// A datagram to port 53 of either family, cut by the host's own code, in packets to itself as if from the peer.
fn fragments(peer: &str, us: &str, data: &[u8], mtu: u32) -> Vec<Vec<u8>> {
    let net = if ip(peer).is_ipv4() { 24 } else { 64 };
    let config = Config {
        addrs: vec![format!("{peer}/{net}").parse().unwrap()],
        mtu,
        ..Config::default()
    };
    let mut sender = Stack::new(config, T0);
    let meta = TxMeta {
        src: ip(peer),
        dst: ip(us),
        proto: proto::UDP,
        ttl: 64,
        tos: 0,
        df: false,
    };
    let bytes = datagram(peer, us, (9, 53), data);
    let via = sender.ip.path(ip(us), None).unwrap().via;
    sender
        .ip
        .send_fragments(&meta, &bytes, mtu, via, &[])
        .unwrap();
    sent(&mut sender, T0)
}

fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, rng.next_u32() as usize % (i + 1));
    }
}

#[test]
fn fragments_in_any_order_with_copies_make_the_original() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for round in 0..200 {
        let (peer, us, domain) = match round % 2 {
            0 => ("10.0.0.2", "10.0.0.1", Domain::V4),
            _ => ("fd00::2", "fd00::1", Domain::V6),
        };
        let mut data = vec![0; rng.next_u32() as usize % 20_000 + 100];
        rng.fill_bytes(&mut data);
        let mtu = 100 + rng.next_u32() % 1400;
        let mut pieces = fragments(peer, us, &data, mtu);
        let copy = pieces[rng.next_u32() as usize % pieces.len()].clone();
        shuffle(&mut pieces, &mut rng);
        let last = pieces.pop().unwrap();
        pieces.insert(rng.next_u32() as usize % (pieces.len() + 1), copy);
        pieces.push(last);
        let mut stack = host();
        let to = SocketAddr::new(ip(us), 53).to_string();
        let id = bound(&mut stack, domain, &to);
        for piece in &pieces[..pieces.len() - 1] {
            assert_eq!(recv(&mut stack, id), None);
            feed(&mut stack, piece);
        }
        let early = recv(&mut stack, id);
        if early.is_none() {
            assert!(stack.next_deadline().is_some() || pieces.len() == 1);
            feed(&mut stack, &pieces[pieces.len() - 1]);
        }
        let got = early.or_else(|| recv(&mut stack, id));
        assert_eq!(got, Some(data), "round {round}");
    }
}

#[test]
fn overlapping_fragments_lose_their_datagram() {
    for (peer, us, header) in [("10.0.0.2", "10.0.0.1", 20), ("fd00::2", "fd00::1", 48)] {
        let data: Vec<u8> = (0..3000).map(|i| i as u8).collect();
        let mut pieces = fragments(peer, us, &data, 1280);
        let mut stack = host();
        let to = SocketAddr::new(ip(us), 53).to_string();
        let domain = if header == 20 { Domain::V4 } else { Domain::V6 };
        let id = bound(&mut stack, domain, &to);
        // The second piece once more, with other bytes.
        let mut forged = pieces[1].clone();
        forged[header + 5] ^= 0xff;
        pieces.insert(2, forged);
        for piece in &pieces {
            feed(&mut stack, piece);
        }
        feed(&mut stack, &pieces[0]);
        assert_eq!(recv(&mut stack, id), None);
        // No word about it when the time is over either.
        let deadline = stack.next_deadline().unwrap();
        stack.handle_timers(deadline);
        assert!(sent(&mut stack, deadline).is_empty());
        assert_eq!(stack.next_deadline(), None);
        for piece in fragments(peer, us, &data, 1280) {
            feed(&mut stack, &piece);
        }
        assert_eq!(recv(&mut stack, id), Some(data));
    }
}

#[test]
fn missing_fragments_are_reported_when_the_first_was_there() {
    for (peer, us, kind, seconds) in [
        ("10.0.0.2", "10.0.0.1", 11, 30),
        ("fd00::2", "fd00::1", 3, 60),
    ] {
        let pieces = fragments(peer, us, &[5; 3000], 1280);
        for (skip, reported) in [(0, false), (1, true), (2, true)] {
            let mut stack = host();
            for (at, piece) in pieces.iter().enumerate() {
                if at != skip {
                    feed(&mut stack, piece);
                }
            }
            let deadline = stack.next_deadline().unwrap();
            assert_eq!(deadline.since(T0).as_secs(), seconds);
            stack.handle_timers(deadline);
            let answer = sent(&mut stack, deadline);
            assert_eq!(!answer.is_empty(), reported);
            if reported {
                let (k, code, _, body) = only_icmp(&answer, peer);
                assert_eq!((k, code), (kind, 1));
                assert_eq!(body, pieces[0][..body.len()]);
            }
        }
    }
}

#[test]
fn a_flood_of_first_fragments_stays_within_its_memory() {
    let mut stack = host();
    let src = "10.0.0.2".parse().unwrap();
    let dst = "10.0.0.1".parse().unwrap();
    for id in 0..20_000u16 {
        let repr = ipv4::Repr {
            src,
            dst,
            proto: 17,
            ttl: 9,
            tos: 0,
            id,
            fragment: ipv4::MF,
            payload_len: 1024,
        };
        feed(&mut stack, &[&repr.emit()[..], &[0; 1024]].concat());
    }
    assert!(stack.stats().queue_full > 15_000);
    let data = vec![1; 3000];
    let id = bound(&mut stack, Domain::V4, "10.0.0.1:53");
    for piece in fragments("10.0.0.3", "10.0.0.1", &data, 1280) {
        feed(&mut stack, &piece);
    }
    assert_eq!(recv(&mut stack, id), Some(data), "newcomers are served");
}
