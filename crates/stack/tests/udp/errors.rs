//! The error queue, and what control messages ask for and bring, between two hosts.

use super::*;

/// What the error queue has next: its data, the name and the error.
fn report(
    net: &mut Net,
    host: usize,
    id: SocketId,
) -> Result<(Vec<u8>, Received, ExtendedError), Error> {
    let mut data = vec![0; 2000];
    let mut controls = Controls::new();
    let mut bufs = [IoSliceMut::new(&mut data)];
    let now = net.now;
    let received =
        net.hosts[host].recv_with(now, id, &mut bufs, RecvFlags::ERRQUEUE, Some(&mut controls))?;
    data.truncate(received.len);
    let error = controls.iter().find_map(|control| match control {
        Control::Error(error) | Control::Error6(error) => Some(*error),
        _ => None,
    });
    Ok((data, received, error.expect("an extended error")))
}

fn set(net: &mut Net, host: usize, id: SocketId, what: Attribute, value: i32) {
    let now = net.now;
    net.hosts[host]
        .set_option(now, id, SockOpt::Number(what, value))
        .unwrap();
}

#[test]
fn a_refusal_names_its_offender_and_brings_the_data() {
    for (domain, to, offender, option) in [
        (V4, "10.0.0.2:53", "10.0.0.2", Attribute::RecvErr),
        (V6, "[fd00::2]:53", "fd00::2", Attribute::RecvErr6),
        (
            V6,
            "[::ffff:10.0.0.2]:53",
            "::ffff:10.0.0.2",
            Attribute::RecvErr,
        ),
    ] {
        let mut net = Net::new();
        let c = net.socket(A, domain);
        set(&mut net, A, c, option, 1);
        net.send(A, c, b"hello", Some(to)).unwrap();
        assert_eq!(net.hosts[A].poll_event(), Some((c, Ready::ERR)));
        let (data, received, error) = report(&mut net, A, c).unwrap();
        assert_eq!(data, b"hello");
        assert_eq!(received.from, Some(addr(to)));
        assert_eq!(error.error, Some(Error::ConnectionRefused));
        assert_eq!(error.offender, Some(offender.parse().unwrap()), "{to}");
        assert_eq!(net.hosts[A].take_error(c), None);
        assert!(report(&mut net, A, c).is_err());
        assert!(!net.hosts[A].readiness(c).contains(Ready::ERR));
    }
}

#[test]
fn too_long_for_the_device_is_this_hosts_own_error() {
    for (domain, to, option, discover) in [
        (
            V4,
            "10.0.0.2:53",
            Attribute::RecvErr,
            Attribute::MtuDiscover,
        ),
        (
            V6,
            "[fd00::2]:53",
            Attribute::RecvErr6,
            Attribute::MtuDiscover6,
        ),
    ] {
        let mut net = Net::new();
        net.bound(B, domain, to);
        let c = net.socket(A, domain);
        set(&mut net, A, c, option, 1);
        // IP_PMTUDISC_WANT cuts; DO, PROBE and INTERFACE do not; DONT and OMIT do.
        for (how, cut) in [
            (1, true),
            (2, false),
            (3, false),
            (4, false),
            (0, true),
            (5, true),
        ] {
            set(&mut net, A, c, discover, how);
            let outcome = net.send(A, c, &[7; 2000], Some(to));
            if cut {
                assert_eq!(outcome, Ok(2000), "IP_PMTUDISC {how}");
                continue;
            }
            assert_eq!(outcome, Err(Error::MessageTooLong), "IP_PMTUDISC {how}");
            let (_, _, error) = report(&mut net, A, c).unwrap();
            assert_eq!(error.origin, Origin::Local);
            assert_eq!(error.info, 1500);
        }
    }
}

#[test]
fn dont_fragment_is_what_path_mtu_discovery_says() {
    for (how, df) in [
        (0, false),
        (1, true),
        (2, true),
        (3, true),
        (4, false),
        (5, false),
    ] {
        let mut net = Net::new();
        let c = net.socket(A, V4);
        set(&mut net, A, c, Attribute::MtuDiscover, how);
        let now = net.now;
        let to = Some(addr("10.0.0.2:53"));
        net.hosts[A]
            .send(now, c, &[IoSlice::new(b"x")], SendFlags::empty(), to)
            .unwrap();
        let mut seen = None;
        net.hosts[A].transmit(now, &mut |parts| {
            let frame: Vec<u8> = parts.iter().flat_map(|p| p.iter().copied()).collect();
            seen = Some(frame[10 + 6] & 0x40 != 0);
        });
        assert_eq!(seen, Some(df), "IP_PMTUDISC {how}");
    }
}

#[test]
fn a_router_s_mtu_is_reported_unless_it_is_not_to_be_believed() {
    for (how, queued, believed) in [
        (1, true, true),
        (2, true, true),
        (0, false, true),
        (4, true, false),
    ] {
        let mut net = Net::new();
        let c = net.bound(A, V4, "10.0.0.1:4000");
        net.connect(A, c, "10.0.0.2:53").unwrap();
        set(&mut net, A, c, Attribute::RecvErr, 1);
        set(&mut net, A, c, Attribute::MtuDiscover, how);
        let frame = frag_needed(1300);
        let now = net.now;
        net.hosts[A].handle_frame(now, &frame);
        let got = report(&mut net, A, c).ok();
        assert_eq!(got.is_some(), queued, "IP_PMTUDISC {how}");
        if let Some((data, _, error)) = got {
            assert_eq!(data, b"data");
            assert_eq!((error.kind, error.code, error.info), (3, 4, 1300));
            assert_eq!(error.error, Some(Error::MessageTooLong));
        }
        let mtu = net.hosts[A].get_option(c, SockOptName::Number(Attribute::Mtu));
        let expected = if believed { 1300 } else { 1500 };
        assert_eq!(
            mtu,
            Ok(SockOpt::Number(Attribute::Mtu, expected)),
            "IP_PMTUDISC {how}"
        );
    }
}

/// From 10.0.0.9: a datagram from 10.0.0.1:4000 to 10.0.0.2:53 did not fit.
fn frag_needed(mtu: u16) -> Vec<u8> {
    let fold = |bytes: &[u8]| {
        let mut sum: u32 = bytes
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    };
    let header = |proto: u8, len: usize, src: u8, dst: u8| {
        let mut ip = vec![0x45, 0, 0, 20 + len as u8, 0, 1, 0, 0, 64, proto, 0, 0];
        ip.extend([10, 0, 0, src, 10, 0, 0, dst]);
        let sum = fold(&ip);
        ip[10..12].copy_from_slice(&sum);
        ip
    };
    let udp = [
        &4000u16.to_be_bytes()[..],
        &53u16.to_be_bytes(),
        &12u16.to_be_bytes(),
        &[0, 0],
        b"data",
    ]
    .concat();
    let quoted = [header(17, udp.len(), 1, 2), udp].concat();
    let mut icmp = vec![3, 4, 0, 0, 0, 0];
    icmp.extend(mtu.to_be_bytes());
    icmp.extend(quoted);
    let sum = fold(&icmp);
    icmp[2..4].copy_from_slice(&sum);
    [vec![0; 10], header(1, icmp.len(), 9, 1), icmp].concat()
}

#[test]
fn the_error_queue_is_bounded() {
    let mut net = Net::new();
    let c = net.socket(A, V4);
    set(&mut net, A, c, Attribute::RecvErr, 1);
    let now = net.now;
    net.hosts[A]
        .set_option(now, c, SockOpt::RcvBuf(5000))
        .unwrap();
    for _ in 0..100 {
        let _ = net.send(A, c, &[0; 100], Some("10.0.0.2:53"));
    }
    let count = std::iter::from_fn(|| report(&mut net, A, c).ok()).count();
    assert!((2..=10).contains(&count), "{count} reports");
}

#[test]
fn a_datagram_may_have_ttl_tos_and_source_of_its_own() {
    let mut net = Net::new();
    let s = net.bound(B, V4, "10.0.0.2:53");
    let c = net.socket(A, V4);
    for what in [
        Attribute::RecvTtl,
        Attribute::RecvTos,
        Attribute::PktInfo,
        Attribute::Timestamp,
    ] {
        set(&mut net, B, s, what, 1);
    }
    let control = SendControl {
        ttl: Some(7),
        tos: Some(0x10),
        source: Some(("10.0.0.1".parse().unwrap(), 2)),
        ..SendControl::default()
    };
    let (now, to) = (net.now, Some(addr("10.0.0.2:53")));
    let data = [IoSlice::new(b"x")];
    let none = SendFlags::empty();
    net.hosts[A]
        .send_with(now, c, &data, none, to, &control)
        .unwrap();
    net.settle();
    let (mut buf, mut controls) = ([0; 10], Controls::new());
    let mut bufs = [IoSliceMut::new(&mut buf)];
    net.hosts[B]
        .recv_with(now, s, &mut bufs, RecvFlags::empty(), Some(&mut controls))
        .unwrap();
    let us = "10.0.0.2".parse().unwrap();
    let expected = [
        Control::Stamp(Attribute::Timestamp, now),
        Control::PktInfo {
            interface: 2,
            local: us,
            dst: us,
        },
        Control::Ttl(7),
        Control::Tos(0x10),
    ];
    assert_eq!(controls[..], expected);
    let stranger = SendControl {
        source: Some(("10.0.0.77".parse().unwrap(), 0)),
        ..SendControl::default()
    };
    let refused = net.hosts[A].send_with(now, c, &data, none, to, &stranger);
    assert_eq!(refused, Err(Error::NetworkUnreachable));
    let nowhere = SendControl {
        source: Some(("0.0.0.0".parse().unwrap(), 9)),
        ..SendControl::default()
    };
    let refused = net.hosts[A].send_with(now, c, &data, none, to, &nowhere);
    assert_eq!(refused, Err(Error::NoDevice));
}
