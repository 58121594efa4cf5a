//! Raw and ping sockets in virtual time.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use tunsock_stack::{
    Attribute, Config, Domain, Error, Instant, Kind, RawOpt, RecvFlags, SendFlags, SockOpt,
    SocketId, Stack,
};

const NOW: Instant = Instant::from_micros(5_000_000);
const ICMP: u8 = 1;

fn host() -> Stack {
    let config = Config {
        addrs: vec![
            "10.0.0.1/24".parse().unwrap(),
            "fd00::1/64".parse().unwrap(),
        ],
        ..Config::default()
    };
    Stack::new(config, NOW)
}

fn sent(stack: &mut Stack) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    stack.transmit(NOW, &mut |parts: &[IoSlice<'_>]| {
        let frame: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        packets.push(frame[10..].to_vec());
    });
    packets
}

fn send(stack: &mut Stack, id: SocketId, data: &[u8], to: &str) -> Result<usize, Error> {
    let to: SocketAddr = to.parse().unwrap();
    stack.send(NOW, id, &[IoSlice::new(data)], SendFlags::empty(), Some(to))
}

fn recv(stack: &mut Stack, id: SocketId) -> Option<(Vec<u8>, IpAddr)> {
    let mut room = vec![0; 70_000];
    let mut bufs = [IoSliceMut::new(&mut room)];
    let got = stack.recv(NOW, id, &mut bufs, RecvFlags::empty()).ok()?;
    let (len, from) = (got.len, got.from?.ip());
    room.truncate(len);
    Some((room, from))
}

fn feed(stack: &mut Stack, packet: &[u8]) {
    let mut frame = vec![0; 10];
    frame.extend_from_slice(packet);
    stack.handle_frame(NOW, &frame);
}

fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn packet(proto: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 9, 0, 0, 64, proto, 0, 0];
    packet.extend([10, 0, 0, 2, 10, 0, 0, 1]);
    packet[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    packet[6..8].copy_from_slice(&fragment.to_be_bytes());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

fn echo(kind: u8, ident: u16) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(ident.to_be_bytes());
    message.extend([0, 1]);
    message.extend(b"payload!");
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

#[test]
fn a_raw_socket_gets_whole_packets_of_its_protocol_before_the_protocol_does() {
    let mut stack = host();
    let icmp = stack.socket(Domain::V4, Kind::Raw(ICMP)).unwrap();
    let ospf = [0, 1].map(|_| stack.socket(Domain::V4, Kind::Raw(89)).unwrap());
    let request = packet(ICMP, 0, &echo(8, 7));
    feed(&mut stack, &request);
    assert_eq!(recv(&mut stack, icmp).unwrap().0, request);
    // The echo was answered nevertheless.
    assert_eq!(sent(&mut stack).len(), 1);
    let hello = packet(89, 0, b"hello");
    feed(&mut stack, &hello);
    for id in ospf {
        let (data, from) = recv(&mut stack, id).unwrap();
        assert_eq!((data, from), (hello.clone(), "10.0.0.2".parse().unwrap()));
    }
    assert_eq!(sent(&mut stack).len(), 0);
    // RFC 1122 3.2.2.1: of what nobody speaks there is an error.
    feed(&mut stack, &packet(90, 0, b"hello"));
    assert_eq!(sent(&mut stack).len(), 1);
}

#[test]
fn fragments_are_put_together_under_a_header_that_fits() {
    let mut stack = host();
    let id = stack.socket(Domain::V4, Kind::Raw(89)).unwrap();
    feed(&mut stack, &packet(89, 0x2000, &[1; 16]));
    feed(&mut stack, &packet(89, 2, &[2; 5]));
    let (data, _) = recv(&mut stack, id).unwrap();
    assert_eq!(data[20..], [[1; 16].as_slice(), &[2; 5]].concat());
    assert_eq!(data[2..4], 41u16.to_be_bytes());
    assert_eq!(data[6..8], [0, 0]);
    assert_eq!(checksum(&data[..20]), 0);
}

#[test]
fn bound_and_connected_sockets_see_their_own_alone() {
    let mut stack = host();
    let ids = [0; 3].map(|_| stack.socket(Domain::V4, Kind::Raw(89)).unwrap());
    stack.bind(ids[0], "10.0.0.1:0".parse().unwrap()).unwrap();
    stack.bind(ids[1], "127.0.0.1:0".parse().unwrap()).unwrap();
    stack
        .connect(NOW, ids[2], "10.0.0.3:0".parse().unwrap())
        .unwrap();
    feed(&mut stack, &packet(89, 0, b"hello"));
    assert!(recv(&mut stack, ids[0]).is_some());
    assert_eq!(recv(&mut stack, ids[1]), None);
    assert_eq!(recv(&mut stack, ids[2]), None);
}

#[test]
fn an_icmp_filter_keeps_types_out() {
    let mut stack = host();
    let id = stack.socket(Domain::V4, Kind::Raw(ICMP)).unwrap();
    let filter = SockOpt::Raw(RawOpt::IcmpFilter(!(1 << 0)));
    stack.set_option(NOW, id, filter).unwrap();
    feed(&mut stack, &packet(ICMP, 0, &echo(8, 7)));
    assert_eq!(recv(&mut stack, id), None);
    feed(&mut stack, &packet(ICMP, 0, &echo(0, 7)));
    assert!(recv(&mut stack, id).is_some());
    let other = stack.socket(Domain::V4, Kind::Raw(89)).unwrap();
    assert_eq!(
        stack.set_option(NOW, other, filter),
        Err(Error::NotSupported)
    );
}

#[test]
fn what_is_sent_gets_a_header_or_brings_its_own() {
    let mut stack = host();
    let id = stack.socket(Domain::V4, Kind::Raw(89)).unwrap();
    assert_eq!(send(&mut stack, id, b"hello", "10.0.0.2:0"), Ok(5));
    let packets = sent(&mut stack);
    assert_eq!((packets[0][9], &packets[0][20..]), (89, &b"hello"[..]));
    let whole = SockOpt::Raw(RawOpt::HdrIncl(true));
    stack.set_option(NOW, id, whole).unwrap();
    let mut own = vec![
        0x45, 0, 0, 0, 0, 0, 0, 0, 33, 89, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
    ];
    own.extend(b"mine");
    assert_eq!(send(&mut stack, id, &own, "10.0.0.2:0"), Ok(24));
    let packets = sent(&mut stack);
    // raw(7): length, checksum, source and identification are filled in.
    assert_eq!(packets[0][2..4], [0, 24]);
    assert_eq!(packets[0][8], 33);
    assert_eq!(packets[0][12..16], [10, 0, 0, 1]);
    assert_ne!(packets[0][4..6], [0, 0]);
    assert_eq!(checksum(&packets[0][..20]), 0);
    let short = send(&mut stack, id, &own[..19], "10.0.0.2:0");
    assert_eq!(short, Err(Error::Invalid));
    let long = send(&mut stack, id, &[0x45; 1501], "10.0.0.2:0");
    assert_eq!(long, Err(Error::MessageTooLong));
}

#[test]
fn path_mtu_discovery_decides_whether_a_raw_packet_is_cut() {
    let mut stack = host();
    let id = stack.socket(Domain::V4, Kind::Raw(89)).unwrap();
    let flags = |packet: &Vec<u8>| packet[6] & 0xe0;
    // ip(7): IP_PMTUDISC_DONT, _WANT, _DO, _PROBE, _INTERFACE, _OMIT: DF on what fits, pieces of what does not.
    for (value, df, pieces) in [
        (0, 0, 2),
        (1, 0x40, 2),
        (2, 0x40, 0),
        (3, 0x40, 0),
        (4, 0, 0),
        (5, 0, 2),
    ] {
        let option = SockOpt::Number(Attribute::MtuDiscover, value);
        stack.set_option(NOW, id, option).unwrap();
        assert_eq!(send(&mut stack, id, b"hello", "10.0.0.2:0"), Ok(5));
        assert_eq!(flags(&sent(&mut stack)[0]), df, "{value}");
        let long = send(&mut stack, id, &[7; 2000], "10.0.0.2:0");
        if pieces == 0 {
            assert_eq!(long, Err(Error::MessageTooLong), "{value}");
        } else {
            assert_eq!(long, Ok(2000), "{value}");
        }
        assert_eq!(sent(&mut stack).len(), pieces, "{value}");
    }
}

#[test]
fn rfc3542_3_1_the_checksum_of_icmpv6_is_the_kernels_work() {
    let mut stack = host();
    let id = stack.socket(Domain::V6, Kind::Raw(58)).unwrap();
    send(&mut stack, id, &echo(128, 7), "[fd00::1]:0").unwrap();
    assert_eq!(sent(&mut stack).len(), 0);
    // Its own request and the reply, both without a header.
    let kinds: Vec<u8> = (0..2)
        .filter_map(|_| recv(&mut stack, id))
        .map(|(d, _)| d[0])
        .collect();
    assert_eq!(kinds, [128, 129]);
    let odd = SockOpt::Raw(RawOpt::Checksum(Some(3)));
    assert_eq!(stack.set_option(NOW, id, odd), Err(Error::Invalid));
    let wrong = send(&mut stack, id, &echo(128, 7), "[fd00::1]:99");
    assert_eq!(wrong, Err(Error::Invalid));
}

#[test]
fn a_ping_socket_sends_echo_requests_under_its_identifier_and_sees_its_replies() {
    let mut stack = host();
    let ids = [0; 2].map(|_| stack.socket(Domain::V4, Kind::Ping).unwrap());
    stack.bind(ids[0], "0.0.0.0:77".parse().unwrap()).unwrap();
    let alone = SockOpt::ReuseAddr(false);
    stack.set_option(NOW, ids[1], alone).unwrap();
    let taken = stack.bind(ids[1], "10.0.0.1:77".parse().unwrap());
    assert_eq!(taken, Err(Error::AddressInUse));
    send(&mut stack, ids[0], &echo(8, 1), "10.0.0.2:0").unwrap();
    let packets = sent(&mut stack);
    assert_eq!(packets[0][24..26], 77u16.to_be_bytes());
    assert_eq!(checksum(&packets[0][20..]), 0);
    feed(&mut stack, &packet(ICMP, 0, &echo(0, 77)));
    feed(&mut stack, &packet(ICMP, 0, &echo(0, 78)));
    assert_eq!(recv(&mut stack, ids[0]).unwrap().0, echo(0, 77));
    assert_eq!(recv(&mut stack, ids[0]), None);
    // Nothing but echo requests.
    let reply = send(&mut stack, ids[0], &echo(0, 1), "10.0.0.2:0");
    assert_eq!(reply, Err(Error::Invalid));
    let short = send(&mut stack, ids[0], &[8, 0, 0, 0], "10.0.0.2:0");
    assert_eq!(short, Err(Error::Invalid));
    // An identifier comes by itself.
    send(&mut stack, ids[1], &echo(8, 1), "10.0.0.2:0").unwrap();
    assert_ne!(stack.local_addr(ids[1]).unwrap().port(), 0);
    for id in ids {
        stack.close(NOW, id);
    }
    sent(&mut stack);
    assert!(stack.census().is_empty());
}
