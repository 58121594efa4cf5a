//! The plainest frames with a datagram, in one piece: virtio-net header, IPv4 header without options, UDP header, data. What others take
//! apart and put together header by header is done here in one go.

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::{self, Sum};
use super::udp::{self, CSUM_OFFSET};
use super::vnet::{self, DATA_VALID, NEEDS_CSUM};
use super::{ipv4, put16};

/// Octets in front of the data.
pub(crate) const HEADERS: usize = vnet::LEN + ipv4::HEADER_LEN + udp::HEADER_LEN;
/// Octets of both headers of the packet.
pub(crate) const OVERHEAD: usize = ipv4::HEADER_LEN + udp::HEADER_LEN;
/// The protocol's number.
const UDP: u8 = 17;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    flags: u8,
    gso_type: u8,
    rest_of_vnet: [u8; 8],
    ip: Ip,
    src_port: U16,
    dst_port: U16,
    len: U16,
    checksum: U16,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Ip {
    pub(super) version_and_len: u8,
    pub(super) tos: u8,
    pub(super) total_len: U16,
    pub(super) id: U16,
    pub(super) fragment: U16,
    pub(super) ttl: u8,
    pub(super) proto: u8,
    pub(super) checksum: U16,
    pub(super) src: U32,
    pub(super) dst: U32,
}

impl Ip {
    /// Whether it is a header without options, of a whole packet of this protocol, and its checksum is right.
    #[inline]
    pub(super) fn is_plain(&self, proto: u8) -> bool {
        self.version_and_len == 0x45
            && self.proto == proto
            // Neither the first nor another part of something.
            && self.fragment.get() & (ipv4::MF | ipv4::OFFSET) == 0
            && checksum::of_header(zerocopy::transmute_ref!(self)) == 0
    }
}

/// What came in such a frame.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plain<'a> {
    /// Source.
    pub(crate) src: u32,
    /// Destination.
    pub(crate) dst: u32,
    /// Source port.
    pub(crate) src_port: u16,
    /// Destination port.
    pub(crate) dst_port: u16,
    /// Time to live.
    pub(crate) ttl: u8,
    /// Type of service.
    pub(crate) tos: u8,
    /// The data.
    pub(crate) data: &'a [u8],
}

impl<'a> Plain<'a> {
    /// The datagram in a frame, if it is of this kind and both checksums are right. For what is wrong with another, and what to do about
    /// it, ask the parsers of the headers.
    #[inline]
    pub(crate) fn parse(frame: &'a [u8]) -> Option<Plain<'a>> {
        let (raw, behind) = Raw::ref_from_prefix(frame).ok()?;
        if raw.gso_type != 0 || !raw.ip.is_plain(UDP) {
            return None;
        }
        let total_len = usize::from(raw.ip.total_len.get());
        let len = usize::from(raw.len.get());
        // Behind the datagram, and behind the packet, there may be padding.
        let data = behind.get(..len.checked_sub(udp::HEADER_LEN)?)?;
        let lengths = ipv4::HEADER_LEN + len <= total_len && vnet::LEN + total_len <= frame.len();
        if !lengths {
            return None;
        }
        let plain = Plain {
            src: raw.ip.src.get(),
            dst: raw.ip.dst.get(),
            src_port: raw.src_port.get(),
            dst_port: raw.dst_port.get(),
            ttl: raw.ip.ttl,
            tos: raw.ip.tos,
            data,
        };
        // RFC 768: zero means that none was computed.
        let fine = raw.flags & (NEEDS_CSUM | DATA_VALID) != 0
            || raw.checksum.get() == 0
            || plain.sum(raw.checksum) == 0;
        fine.then_some(plain)
    }

    /// The checksum over everything with one in it, which is 0 when that is right.
    fn sum(&self, checksum: U16) -> u16 {
        let len = (udp::HEADER_LEN + self.data.len()) as u16;
        pseudo(self.src, self.dst)
            // In the pseudo-header and in the header.
            .add_word(len)
            .add_word(len)
            .add_word(self.src_port)
            .add_word(self.dst_port)
            .add_word(checksum.get())
            .add(self.data)
            .finish()
    }
}

/// Sum of the pseudo-header without the length.
fn pseudo(src: u32, dst: u32) -> Sum {
    let halves = |word: u32| [(word >> 16) as u16, word as u16];
    [halves(src), halves(dst)]
        .as_flattened()
        .iter()
        .fold(Sum::default().add_word(u16::from(UDP)), |sum, word| {
            sum.add_word(*word)
        })
}

/// The headers of datagrams that all go from one end to another, but for what changes from one to the next: lengths and checksums.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Template {
    headers: [u8; HEADERS],
    /// Of the IP header.
    ip: Sum,
    /// Of UDP's pseudo-header, without the length, and of the ports.
    udp: Sum,
    partial: bool,
}

impl Template {
    /// Between these ends. `repr` with don't-fragment and identification 0, as in every packet that is not to be cut (RFC 6864 4.1).
    /// `partial`: the device finishes the checksum.
    pub(crate) fn new(repr: &ipv4::Repr, ports: (u16, u16), partial: bool) -> Template {
        let repr = ipv4::Repr {
            payload_len: 0,
            ..*repr
        };
        let header = udp::Header {
            src_port: ports.0,
            dst_port: ports.1,
            len: 0,
            checksum: 0,
        };
        let vnet = match partial {
            true => vnet::VnetHdr {
                flags: NEEDS_CSUM,
                csum_start: ipv4::HEADER_LEN as u16,
                csum_offset: CSUM_OFFSET as u16,
                ..vnet::VnetHdr::default()
            },
            false => vnet::VnetHdr::default(),
        };
        let mut ip = repr.emit();
        put16(&mut ip, 2, 0);
        put16(&mut ip, 10, 0);
        let mut headers = [0; HEADERS];
        let (front, behind) = headers.split_at_mut(vnet::LEN);
        front.copy_from_slice(&vnet.emit());
        let (middle, behind) = behind.split_at_mut(ipv4::HEADER_LEN);
        middle.copy_from_slice(&ip);
        behind.copy_from_slice(&header.emit());
        let ends = pseudo(repr.src.to_bits(), repr.dst.to_bits());
        Template {
            headers,
            ip: Sum::default().add(&ip),
            udp: match partial {
                true => ends,
                false => ends.add_word(ports.0).add_word(ports.1),
            },
            partial,
        }
    }

    /// The frame of one with these data, `len` octets of them together, is put into the empty `frame`. At most 65507 octets.
    #[inline]
    pub(crate) fn frame<'a>(
        &self,
        frame: &mut Vec<u8>,
        data: impl Iterator<Item = &'a [u8]> + Clone,
        len: usize,
    ) {
        let of_udp = (udp::HEADER_LEN + len) as u16;
        let total_len = (OVERHEAD + len) as u16;
        let checksum = match self.partial {
            true => self.udp.add_word(of_udp).partial(),
            // RFC 768: a computed zero is sent as all ones.
            false => match self.whole_sum(data.clone(), of_udp) {
                0 => 0xffff,
                sum => sum,
            },
        };
        let mut headers = self.headers;
        let raw: &mut Raw = zerocopy::transmute_mut!(&mut headers);
        raw.ip.total_len = total_len.into();
        raw.ip.checksum = self.ip.add_word(total_len).finish().into();
        raw.len = of_udp.into();
        raw.checksum = checksum.into();
        frame.reserve(HEADERS + len);
        frame.extend_from_slice(&headers);
        for part in data {
            frame.extend_from_slice(part);
        }
    }

    /// The checksum of the header and the data. The length is in the pseudo-header and in the header.
    fn whole_sum<'a>(&self, data: impl Iterator<Item = &'a [u8]>, len: u16) -> u16 {
        let headers = self.udp.add_word(len).add_word(len);
        headers.add_pieces(data).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const ENDS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 1, 2, 3), Ipv4Addr::new(192, 168, 250, 1)];

    fn template(partial: bool) -> Template {
        let repr = ipv4::Repr {
            src: ENDS[0],
            dst: ENDS[1],
            proto: UDP,
            ttl: 63,
            tos: 0x2e,
            id: 0,
            fragment: ipv4::DF,
            payload_len: 0,
        };
        Template::new(&repr, (1000, 53), partial)
    }

    fn frame(partial: bool, pieces: &[&[u8]]) -> Vec<u8> {
        let mut frame = Vec::new();
        let len = pieces.iter().map(|piece| piece.len()).sum();
        template(partial).frame(&mut frame, pieces.iter().copied(), len);
        frame
    }

    #[test]
    fn a_frame_of_the_template_is_what_the_parsers_of_the_headers_want() {
        let odd: Vec<u8> = (0..1471).map(|i| (i * 7) as u8).collect();
        let cases: [&[&[u8]]; 4] = [&[], &[b"a"], &[b"abc", b"", b"defg"], &[&odd]];
        for pieces in cases {
            for partial in [false, true] {
                let frame = frame(partial, pieces);
                let (vnet, packet) = vnet::VnetHdr::parse(&frame).unwrap();
                let ip = ipv4::Header::parse(packet).unwrap();
                assert_eq!(ip.total_len, packet.len());
                assert_eq!((ip.src, ip.dst, ip.proto), (ENDS[0], ENDS[1], UDP));
                assert_eq!((ip.ttl, ip.tos, ip.id, ip.more), (63, 0x2e, 0, false));
                let datagram = &packet[ipv4::HEADER_LEN..];
                let (header, data) = udp::Header::parse(datagram).unwrap();
                assert_eq!((header.src_port, header.dst_port), (1000, 53));
                assert_eq!(header.len, datagram.len());
                assert_eq!(data, pieces.concat());
                let [src, dst] = ENDS.map(IpAddr::from);
                let pseudo = checksum::pseudo_header(src, dst, UDP, header.len as u32);
                if partial {
                    assert_eq!(vnet.flags, NEEDS_CSUM);
                    assert_eq!((vnet.csum_start, vnet.csum_offset), (20, 6));
                    assert_eq!(header.checksum, pseudo.partial());
                } else {
                    assert_eq!(vnet, vnet::VnetHdr::default());
                    assert_eq!(pseudo.add(datagram).finish(), 0);
                }
            }
        }
    }

    #[test]
    fn a_checksum_of_zero_is_sent_as_all_ones() {
        let without = frame(false, &[&[0, 0]]);
        let [.., a, b, _, _] = without[..] else {
            panic!("a frame has an end");
        };
        // What was missing to a sum of all ones is the checksum: as data it leaves none.
        let with = frame(false, &[&[a, b]]);
        assert_eq!(with[HEADERS - 2..HEADERS], [0xff, 0xff]);
        assert!(Plain::parse(&with).is_some());
    }

    #[test]
    fn what_was_put_together_is_taken_apart() {
        for partial in [false, true] {
            let mut frame = frame(partial, &[b"hello"]);
            // Padding of the link.
            frame.extend([9; 4]);
            let plain = Plain::parse(&frame).unwrap();
            assert_eq!(
                (plain.src, plain.dst),
                (ENDS[0].to_bits(), ENDS[1].to_bits())
            );
            assert_eq!((plain.src_port, plain.dst_port), (1000, 53));
            assert_eq!(
                (plain.ttl, plain.tos, plain.data),
                (63, 0x2e, &b"hello"[..])
            );
        }
    }

    #[test]
    fn what_is_of_another_kind_or_wrong_is_left_to_others() {
        let good = frame(false, &[b"hello"]);
        assert!(Plain::parse(&good).is_some());
        for len in 0..good.len() {
            assert_eq!(Plain::parse(&good[..len]), None, "{len} octets");
        }
        // Every bit of the packet is in one of the checksums; of the virtio-net header the segment's kind counts.
        for bit in 8 * vnet::LEN..8 * good.len() {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Plain::parse(&bad), None, "bit {bit}");
        }
        let mut cut = good.clone();
        cut[1] = vnet::GSO_UDP_L4;
        assert_eq!(Plain::parse(&cut), None);
    }
}
