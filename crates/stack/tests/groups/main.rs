//! Groups from outside, in virtual time: what routers are told and when (IGMP, MLD), who receives what.

mod reports;
mod sockets;
mod storm;

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tunsock_stack::{
    Config, Domain, Error, GroupChange, GroupPlace, Instant, Kind, RecvFlags, SendFlags, SocketId,
    Stack,
};

/// A host with one address of each family and a default route of IPv4, and the time.
pub(crate) struct Host {
    pub(crate) stack: Stack,
    pub(crate) now: Instant,
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn place(group: &str) -> GroupPlace {
    GroupPlace {
        group: ip(group),
        index: 0,
        addr: Ipv4Addr::UNSPECIFIED,
    }
}

impl Host {
    pub(crate) fn new() -> Host {
        let config = Config {
            addrs: vec![
                "10.0.0.1/24".parse().unwrap(),
                "fd00::1/64".parse().unwrap(),
                "fe80::1/64".parse().unwrap(),
            ],
            routes: vec![tunsock_stack::Route {
                dest: "0.0.0.0/0".parse().unwrap(),
                gateway: None,
                mtu: None,
            }],
            ..Config::default()
        };
        let now = Instant::from_micros(5_000_000);
        Host {
            stack: Stack::new(config, now),
            now,
        }
    }

    pub(crate) fn udp(&mut self, at: &str) -> SocketId {
        let at: SocketAddr = at.parse().unwrap();
        let domain = if at.is_ipv4() { Domain::V4 } else { Domain::V6 };
        let id = self.stack.socket(domain, Kind::Datagram).unwrap();
        let reuse = tunsock_stack::SockOpt::ReuseAddr(true);
        self.stack.set_option(self.now, id, reuse).unwrap();
        self.stack.bind(id, at).unwrap();
        id
    }

    pub(crate) fn change(
        &mut self,
        id: SocketId,
        group: &str,
        what: GroupChange,
    ) -> Result<(), Error> {
        self.stack.change_group(self.now, id, place(group), what)
    }

    pub(crate) fn join(&mut self, id: SocketId, group: &str) {
        self.change(id, group, GroupChange::Join).unwrap();
    }

    /// Every packet that is sent now, without the virtio-net header.
    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        self.stack.transmit(self.now, &mut |parts: &[IoSlice<'_>]| {
            let frame: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            packets.push(frame[10..].to_vec());
        });
        packets
    }

    /// Lets `time` pass; every packet that is sent meanwhile, with when.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<(Duration, Vec<u8>)> {
        let begin = self.now;
        let end = begin + time;
        let mut all = Vec::new();
        loop {
            let since = self.now.since(begin);
            all.extend(self.sent().into_iter().map(|packet| (since, packet)));
            match self.stack.next_deadline() {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => break,
            }
            self.stack.handle_timers(self.now);
        }
        self.now = end;
        all
    }

    pub(crate) fn feed(&mut self, packet: &[u8]) {
        let mut frame = vec![0; 10];
        frame.extend_from_slice(packet);
        self.stack.handle_frame(self.now, &frame);
    }

    pub(crate) fn recv(&mut self, id: SocketId) -> Option<(Vec<u8>, SocketAddr)> {
        let mut room = vec![0; 70_000];
        let mut bufs = [IoSliceMut::new(&mut room)];
        let flags = RecvFlags::empty();
        let got = self.stack.recv(self.now, id, &mut bufs, flags).ok()?;
        let from = got.from?;
        let len = got.len;
        room.truncate(len);
        Some((room, from))
    }

    pub(crate) fn send(&mut self, id: SocketId, data: &[u8], to: &str) -> Result<usize, Error> {
        let data = [IoSlice::new(data)];
        let to = Some(to.parse().unwrap());
        self.stack.send(self.now, id, &data, SendFlags::empty(), to)
    }
}

/// The Internet checksum.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn put_sum(bytes: &mut [u8], at: usize, sum: u16) {
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// An IPv4 packet with TTL 1.
pub(crate) fn packet4(src: &str, dst: &str, proto: u8, payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(src), IpAddr::V4(dst)) = (ip(src), ip(dst)) else {
        panic!("IPv4");
    };
    let mut packet = vec![0x45, 0, 0, 0, 0, 7, 0, 0, 1, proto, 0, 0];
    packet.extend(src.octets());
    packet.extend(dst.octets());
    put_sum(&mut packet, 2, (20 + payload.len()) as u16);
    let sum = checksum(&packet);
    put_sum(&mut packet, 10, sum);
    packet.extend(payload);
    packet
}

/// An ICMPv6 message with its checksum behind a hop-by-hop header with Router Alert, hop limit 1.
pub(crate) fn packet6(src: &str, dst: &str, mut message: Vec<u8>) -> Vec<u8> {
    let (IpAddr::V6(src), IpAddr::V6(dst)) = (ip(src), ip(dst)) else {
        panic!("IPv6");
    };
    let mut pseudo = [src.octets(), dst.octets()].concat();
    pseudo.extend((message.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, 58]);
    pseudo.extend(&message);
    let sum = checksum(&pseudo);
    put_sum(&mut message, 2, sum);
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, 0, 1];
    put_sum(&mut packet, 4, (8 + message.len()) as u16);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend([58, 0, 5, 2, 0, 0, 1, 0]);
    packet.extend(message);
    packet
}

/// A UDP datagram over IPv4, without a checksum.
pub(crate) fn datagram4(src: &str, dst: &str, port: u16, data: &[u8]) -> Vec<u8> {
    let mut udp = vec![0x30, 0x39];
    udp.extend(port.to_be_bytes());
    udp.extend((8 + data.len() as u16).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(data);
    packet4(src, dst, 17, &udp)
}
