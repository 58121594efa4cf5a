//! IPv6 headers and extension headers, RFC 8200.

use std::net::Ipv6Addr;

use super::{be16, be32, put16, put32};

/// Length of the fixed header, bytes.
pub(crate) const HEADER_LEN: usize = 40;
/// Length of a fragment header, bytes.
pub(crate) const FRAGMENT_LEN: usize = 8;

/// Next header values, RFC 8200 4.
pub(crate) mod next {
    /// Hop-by-hop options.
    pub(crate) const HOP_BY_HOP: u8 = 0;
    /// Routing header.
    pub(crate) const ROUTING: u8 = 43;
    /// Fragment header.
    pub(crate) const FRAGMENT: u8 = 44;
    /// Nothing follows.
    pub(crate) const NONE: u8 = 59;
    /// Destination options.
    pub(crate) const DESTINATION: u8 = 60;
}

/// The fixed header's fields, RFC 8200 3.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Traffic class: DSCP and ECN.
    pub(crate) tclass: u8,
    /// Bytes behind the fixed header.
    pub(crate) payload_len: usize,
    /// What follows.
    pub(crate) next: u8,
    /// Hop limit.
    pub(crate) hops: u8,
    /// Source.
    pub(crate) src: Ipv6Addr,
    /// Destination.
    pub(crate) dst: Ipv6Addr,
}

impl Header {
    /// The header at the front of a packet that may be cut (quoted in an ICMP error). `None`: not IPv6 or too short.
    pub(crate) fn parse_quoted(packet: &[u8]) -> Option<Header> {
        let h = packet.first_chunk::<HEADER_LEN>()?;
        if h[0] >> 4 != 6 {
            return None;
        }
        let addr = |at: usize| {
            let mut octets = [0u8; 16];
            octets.copy_from_slice(&h[at..at + 16]);
            Ipv6Addr::from(octets)
        };
        Some(Header {
            tclass: (be16(h, 0) >> 4) as u8,
            payload_len: usize::from(be16(h, 4)),
            next: h[6],
            hops: h[7],
            src: addr(8),
            dst: addr(24),
        })
    }

    /// The header of a whole packet. `None` also when the packet is shorter than the header says.
    pub(crate) fn parse(packet: &[u8]) -> Option<Header> {
        let header = Header::parse_quoted(packet)?;
        (packet.len() >= HEADER_LEN + header.payload_len).then_some(header)
    }
}

/// What goes into an outgoing header.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Repr {
    /// Source.
    pub(crate) src: Ipv6Addr,
    /// Destination.
    pub(crate) dst: Ipv6Addr,
    /// What follows.
    pub(crate) next: u8,
    /// Hop limit.
    pub(crate) hops: u8,
    /// Traffic class.
    pub(crate) tclass: u8,
    /// Bytes behind the fixed header.
    pub(crate) payload_len: usize,
}

impl Repr {
    /// The header. Payloads above 65535 bytes are the caller's error; the length field saturates.
    pub(crate) fn emit(&self) -> [u8; HEADER_LEN] {
        let mut h = [0; HEADER_LEN];
        put32(&mut h, 0, 6 << 28 | u32::from(self.tclass) << 20);
        put16(
            &mut h,
            4,
            u16::try_from(self.payload_len).unwrap_or(u16::MAX),
        );
        h[6] = self.next;
        h[7] = self.hops;
        h[8..24].copy_from_slice(&self.src.octets());
        h[24..40].copy_from_slice(&self.dst.octets());
        h
    }
}

/// A fragment header, RFC 8200 4.5.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fragment {
    /// What follows the header.
    pub(crate) next: u8,
    /// Offset of this fragment, bytes.
    pub(crate) offset: usize,
    /// More fragments follow.
    pub(crate) more: bool,
    /// Identification.
    pub(crate) id: u32,
}

impl Fragment {
    /// The fragment header at the front of `bytes`.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Fragment> {
        let h = bytes.first_chunk::<FRAGMENT_LEN>()?;
        let word = be16(h, 2);
        Some(Fragment {
            next: h[0],
            offset: usize::from(word & 0xfff8),
            more: word & 1 != 0,
            id: be32(h, 4),
        })
    }

    /// The header as bytes. `offset` is a multiple of 8.
    pub(crate) fn emit(&self) -> [u8; FRAGMENT_LEN] {
        let mut h = [0; FRAGMENT_LEN];
        h[0] = self.next;
        let offset = u16::try_from(self.offset).unwrap_or(u16::MAX) & 0xfff8;
        put16(&mut h, 2, offset | u16::from(self.more));
        put32(&mut h, 4, self.id);
        h
    }
}

/// An extension header of the common form (next header, length in 8-byte units without the first): what follows, and its bytes.
pub(crate) fn extension(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let len = (usize::from(*bytes.get(1)?) + 1) * 8;
    Some((bytes[0], bytes.get(..len)?))
}

/// What an options header demands of the packet, RFC 8200 4.2.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Options {
    /// Go on.
    Fine,
    /// Drop it and say nothing.
    Discard,
    /// Drop it and send Parameter Problem, code 2, pointing at this byte of the header, multicast or not.
    Problem(usize),
    /// The same, but not when it went to a multicast address.
    ProblemUnlessMulticast(usize),
    /// An option runs over the end.
    Malformed,
}

/// Judges the options of a whole hop-by-hop or destination options header.
pub(crate) fn options(header: &[u8]) -> Options {
    const PAD1: u8 = 0;
    const PADN: u8 = 1;
    const ROUTER_ALERT: u8 = 5; // RFC 2711: nothing for a host to do
    let mut at = 2;
    while let Some(&kind) = header.get(at) {
        if kind == PAD1 {
            at += 1;
            continue;
        }
        let Some(&len) = header.get(at + 1) else {
            return Options::Malformed;
        };
        let end = at + 2 + usize::from(len);
        if end > header.len() {
            return Options::Malformed;
        }
        if !matches!(kind, PADN | ROUTER_ALERT) {
            match kind >> 6 {
                0 => {}
                1 => return Options::Discard,
                2 => return Options::Problem(at),
                _ => return Options::ProblemUnlessMulticast(at),
            }
        }
        at = end;
    }
    Options::Fine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emit_then_parse() {
        let repr = Repr {
            src: "fd00::1".parse().unwrap(),
            dst: "fd00::2".parse().unwrap(),
            next: 17,
            hops: 3,
            tclass: 0xb8,
            payload_len: 2,
        };
        let mut packet = repr.emit().to_vec();
        assert_eq!(Header::parse(&packet), None);
        packet.extend([1, 2]);
        let header = Header::parse(&packet).unwrap();
        assert_eq!((header.tclass, header.payload_len), (0xb8, 2));
        assert_eq!((header.next, header.hops), (17, 3));
        assert_eq!((header.src, header.dst), (repr.src, repr.dst));
    }

    #[test]
    fn fragment_header_round_trip() {
        let fragment = Fragment {
            next: 17,
            offset: 1448,
            more: true,
            id: 0xdead_beef,
        };
        assert_eq!(Fragment::parse(&fragment.emit()), Some(fragment));
    }

    #[test]
    fn unknown_options_by_their_action_bits() {
        let header = |kind: u8| [59, 0, kind, 1, 0, 1, 1, 0];
        assert_eq!(options(&header(0x3e)), Options::Fine);
        assert_eq!(options(&header(0x7e)), Options::Discard);
        assert_eq!(options(&header(0xbe)), Options::Problem(2));
        assert_eq!(options(&header(0xfe)), Options::ProblemUnlessMulticast(2));
        assert_eq!(options(&[59, 0, 1, 5, 0, 0, 0, 0]), Options::Malformed);
        assert_eq!(options(&[59, 0, 0, 0, 0, 0, 0, 1]), Options::Malformed);
    }
}
