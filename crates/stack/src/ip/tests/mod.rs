//! One host, packets made by hand, and what it answers.

mod extensions;
mod fragments;
mod icmp;
mod routes;

use std::net::{IpAddr, SocketAddr};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::quote::Quoted;
use super::{TxMeta, proto};
use crate::config::{Config, Offload, Route};
use crate::error::Error;
use crate::socket::{
    Attribute, Domain, Kind, RecvFlags, SendControl, SendFlags, SockOpt, SocketId,
};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::vnet::{self, VnetHdr};
use crate::wire::{checksum, ipv4, ipv6, put16, udp};

const T0: Instant = Instant::from_micros(5_000_000);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn host() -> Stack {
    host_with(Offload::default())
}

fn host_with(offload: Offload) -> Stack {
    let config = Config {
        addrs: vec![
            "10.0.0.1/24".parse().unwrap(),
            "fd00::1/64".parse().unwrap(),
        ],
        routes: vec![Route {
            dest: "0.0.0.0/0".parse().unwrap(),
            gateway: Some(ip("10.0.0.254")),
            mtu: None,
        }],
        offload,
        ..Config::default()
    };
    Stack::new(config, T0)
}

fn bound(stack: &mut Stack, domain: Domain, to: &str) -> SocketId {
    let id = stack.socket(domain, Kind::Datagram).unwrap();
    stack.bind(id, to.parse().unwrap()).unwrap();
    id
}

fn recv(stack: &mut Stack, id: SocketId) -> Option<Vec<u8>> {
    let mut data = vec![0; 70_000];
    let mut bufs = [std::io::IoSliceMut::new(&mut data)];
    let received = stack.recv(T0, id, &mut bufs, RecvFlags::empty()).ok()?;
    data.truncate(received.len);
    Some(data)
}

/// Everything that the host sends, without the virtio-net headers (which must be plain).
fn sent(stack: &mut Stack, now: Instant) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    stack.transmit(now, &mut |parts| {
        let frame: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let (header, packet) = VnetHdr::parse(&frame).unwrap();
        assert_eq!(header, VnetHdr::default());
        packets.push(packet.to_vec());
    });
    packets
}

fn feed(stack: &mut Stack, packet: &[u8]) -> Vec<Vec<u8>> {
    let mut frame = vec![0; vnet::LEN];
    frame.extend_from_slice(packet);
    stack.handle_frame(T0, &frame);
    sent(stack, T0)
}

fn packet(src: &str, dst: &str, proto: u8, payload: &[u8]) -> Vec<u8> {
    match (ip(src), ip(dst)) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => v4(src, dst, proto, 0x4000, payload),
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let repr = ipv6::Repr {
                src,
                dst,
                next: proto,
                hops: 64,
                tclass: 0,
                payload_len: payload.len(),
            };
            [&repr.emit()[..], payload].concat()
        }
        _ => panic!("mixed families"),
    }
}

fn v4(
    src: std::net::Ipv4Addr,
    dst: std::net::Ipv4Addr,
    proto: u8,
    fragment: u16,
    payload: &[u8],
) -> Vec<u8> {
    let repr = ipv4::Repr {
        src,
        dst,
        proto,
        ttl: 64,
        tos: 0,
        id: 77,
        fragment,
        payload_len: payload.len(),
    };
    [&repr.emit()[..], payload].concat()
}

fn datagram(src: &str, dst: &str, ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let header = udp::Header {
        src_port: ports.0,
        dst_port: ports.1,
        len: udp::HEADER_LEN + data.len(),
        checksum: 0,
    };
    let mut bytes = [&header.emit()[..], data].concat();
    let sum = checksum::pseudo_header(ip(src), ip(dst), proto::UDP, bytes.len() as u32);
    let value = sum.add(&bytes).finish();
    put16(&mut bytes, udp::CSUM_OFFSET, value);
    bytes
}

/// An ICMP message with its checksum.
fn icmp_message(src: &str, dst: &str, head: [u8; 2], rest: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![head[0], head[1], 0, 0];
    bytes.extend(rest.to_be_bytes());
    bytes.extend(body);
    let sum = match ip(dst) {
        IpAddr::V4(_) => checksum::Sum::default(),
        IpAddr::V6(_) => {
            checksum::pseudo_header(ip(src), ip(dst), proto::ICMPV6, bytes.len() as u32)
        }
    };
    let value = sum.add(&bytes).finish();
    put16(&mut bytes, 2, value);
    let protocol = if ip(dst).is_ipv4() {
        proto::ICMP
    } else {
        proto::ICMPV6
    };
    packet(src, dst, protocol, &bytes)
}

/// Type, code and second word of the only packet, an ICMP message with right checksums to `to`; and its body.
#[track_caller]
fn only_icmp(packets: &[Vec<u8>], to: &str) -> (u8, u8, u32, Vec<u8>) {
    assert_eq!(packets.len(), 1, "{packets:?}");
    let packet = &packets[0];
    let quoted = Quoted::parse(packet).unwrap();
    assert_eq!(quoted.dst, ip(to));
    let message = quoted.transport;
    let sum = if quoted.dst.is_ipv4() {
        ipv4::Header::parse(packet).unwrap();
        assert_eq!(quoted.proto, proto::ICMP);
        assert!(packet.len() <= 576);
        checksum::Sum::default()
    } else {
        ipv6::Header::parse(packet).unwrap();
        assert_eq!(quoted.proto, proto::ICMPV6);
        assert!(packet.len() <= 1280);
        checksum::pseudo_header(quoted.src, quoted.dst, proto::ICMPV6, message.len() as u32)
    };
    assert_eq!(sum.add(message).finish(), 0);
    let rest = crate::wire::be32(message, 4);
    (message[0], message[1], rest, message[8..].to_vec())
}

#[test]
fn udp_checksums_are_looked_at_unless_the_header_says_they_are_right() {
    for (peer, us, domain) in [
        ("10.0.0.2", "10.0.0.1", Domain::V4),
        ("fd00::2", "fd00::1", Domain::V6),
    ] {
        let mut stack = host();
        let to = SocketAddr::new(ip(us), 53).to_string();
        let id = bound(&mut stack, domain, &to);
        let good = datagram(peer, us, (9, 53), b"good");
        let (mut bad, mut none) = (good.clone(), good.clone());
        bad[9] ^= 1;
        put16(&mut none, 6, 0);
        feed(&mut stack, &packet(peer, us, proto::UDP, &good));
        assert_eq!(recv(&mut stack, id), Some(b"good".to_vec()));
        feed(&mut stack, &packet(peer, us, proto::UDP, &bad));
        assert_eq!(recv(&mut stack, id), None);
        feed(&mut stack, &packet(peer, us, proto::UDP, &none));
        assert_eq!(recv(&mut stack, id).is_some(), domain == Domain::V4);
        for flags in [vnet::NEEDS_CSUM, vnet::DATA_VALID] {
            let header = VnetHdr {
                flags,
                ..VnetHdr::default()
            };
            let bad = packet(peer, us, proto::UDP, &bad);
            stack.handle_frame(T0, &[&header.emit()[..], &bad].concat());
            assert!(recv(&mut stack, id).is_some());
        }
    }
}

#[test]
fn a_partial_checksum_is_one_that_the_kernel_can_finish() {
    let offload = Offload {
        csum: true,
        ..Offload::default()
    };
    for (peer, domain) in [("10.0.0.2", Domain::V4), ("fd00::2", Domain::V6)] {
        let mut stack = host_with(offload);
        let id = stack.socket(domain, Kind::Datagram).unwrap();
        let dest = SocketAddr::new(ip(peer), 53);
        let data = [std::io::IoSlice::new(b"odd length 15b")];
        stack
            .send(T0, id, &data, SendFlags::empty(), Some(dest))
            .unwrap();
        let mut frame = Vec::new();
        stack.transmit(T0, &mut |parts| frame = parts.concat_bytes());
        let (header, packet) = VnetHdr::parse(&frame).unwrap();
        assert_eq!(header.flags, vnet::NEEDS_CSUM);
        // What the kernel does: sum from csum_start to the end, store the complement at csum_start + csum_offset.
        let start = usize::from(header.csum_start);
        let sum = checksum::of(&packet[start..]);
        let mut done = packet[start..].to_vec();
        put16(&mut done, usize::from(header.csum_offset), sum);
        let quoted = Quoted::parse(packet).unwrap();
        let pseudo = checksum::pseudo_header(quoted.src, quoted.dst, proto::UDP, done.len() as u32);
        assert_eq!(pseudo.add(&done).finish(), 0);
    }
}

/// Test-only: the bytes of a frame given in parts.
trait ConcatBytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl ConcatBytes for [std::io::IoSlice<'_>] {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|part| part.iter().copied()).collect()
    }
}
