//! The plainest frames with a TCP segment, in one piece: virtio-net header, IPv4 header without options, TCP header with timestamps or without any
//! options, text. What others take apart header by header is looked at here in one go.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::datagram::Ip;
use super::ipv4;
use super::tcp::{self, Flags, Header, Options};
use super::vnet::{self, VnetHdr};
use crate::tcp::seq::SeqNum;

/// Octets in front of TCP's options.
const HEADERS: usize = vnet::LEN + ipv4::HEADER_LEN + tcp::HEADER_LEN;
/// The protocol's number.
const TCP: u8 = 6;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    vnet: [u8; vnet::LEN],
    ip: Ip,
    tcp: tcp::Raw,
}

/// What came in such a frame.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Plain<'a> {
    /// Source.
    pub(crate) src: u32,
    /// Destination.
    pub(crate) dst: u32,
    /// Time to live.
    pub(crate) ttl: u8,
    /// Type of service.
    pub(crate) tos: u8,
    /// Octets of each segment when this is a super-segment, else 0.
    pub(crate) gso_size: u16,
    /// TCP's header.
    pub(crate) header: Header,
    /// The text.
    pub(crate) text: &'a [u8],
}

impl<'a> Plain<'a> {
    /// The segment in a frame, if it is of this kind, the IP checksum is right, and TCP's need not be verified. For what is wrong with another,
    /// and what to do about it, ask the parsers of the headers.
    #[inline]
    pub(crate) fn parse(frame: &'a [u8]) -> Option<Plain<'a>> {
        let (raw, _) = Raw::ref_from_prefix(frame).ok()?;
        let (ip, tcp) = (&raw.ip, &raw.tcp);
        if !ip.is_plain(TCP) {
            return None;
        }
        let (vnet, packet) = VnetHdr::parse(frame)?;
        // Behind the packet there may be padding.
        let packet = packet.get(..usize::from(ip.total_len.get()))?;
        let (_, behind) = packet.split_at_checked(HEADERS - vnet::LEN)?;
        let (ts, text) = match (tcp.data_offset >> 4, behind) {
            (5, text) => (None, text),
            // In the form of RFC 7323 appendix A.
            (8, &[1, 1, 8, 10, a, b, c, d, e, f, g, h, ref text @ ..]) => {
                let (val, ecr) = ([a, b, c, d], [e, f, g, h]);
                (
                    Some((u32::from_be_bytes(val), u32::from_be_bytes(ecr))),
                    text,
                )
            }
            _ => return None,
        };
        if !vnet.csum_ok() {
            return None;
        }
        Some(Plain {
            src: ip.src.get(),
            dst: ip.dst.get(),
            ttl: ip.ttl,
            tos: ip.tos,
            gso_size: vnet.segment_size(),
            header: Header {
                src_port: tcp.src_port.get(),
                dst_port: tcp.dst_port.get(),
                seq: SeqNum::new(tcp.seq.get()),
                ack: SeqNum::new(tcp.ack.get()),
                flags: Flags::from_bits_truncate(tcp.flags),
                window: tcp.window.get(),
                urgent: tcp.urgent.get(),
                options: Options {
                    ts,
                    ..Options::default()
                },
            },
            text,
        })
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::wire::checksum;

    /// A frame of 30 octets of text.
    fn frame(rng: &mut ChaCha8Rng) -> Vec<u8> {
        let ts = (!rng.next_u32().is_multiple_of(3)).then(|| (rng.next_u32(), rng.next_u32()));
        let header = Header {
            src_port: rng.next_u32() as u16,
            dst_port: 80,
            seq: SeqNum::new(rng.next_u32()),
            ack: SeqNum::new(rng.next_u32()),
            flags: Flags::from_bits_truncate(rng.next_u32() as u8),
            window: 7,
            urgent: 1,
            options: Options {
                ts,
                ..Options::default()
            },
        };
        let mut segment = [3; tcp::MAX_HEADER_LEN + 30];
        let len = header.emit(&mut segment) + 30;
        let mut frame = VnetHdr {
            flags: vnet::NEEDS_CSUM,
            gso_type: [0, vnet::GSO_TCPV4, 3][rng.next_u32() as usize % 3],
            gso_size: 10,
            ..VnetHdr::default()
        };
        frame.flags = [vnet::NEEDS_CSUM, vnet::DATA_VALID, 0][rng.next_u32() as usize % 3];
        let ip = ipv4::Repr {
            src: [10, 0, 0, 1].into(),
            dst: [10, 0, 0, 2].into(),
            proto: TCP,
            ttl: 64,
            tos: 3,
            id: 5,
            fragment: ipv4::DF,
            payload_len: len,
        };
        segment[len - 1] = 9;
        [&frame.emit()[..], &ip.emit(), &segment[..len], &[0, 0]].concat()
    }

    /// As the parsers of the headers have it.
    fn by_headers(frame: &[u8]) -> Option<(u32, u32, Header, Vec<u8>, u16, bool)> {
        let (vnet, packet) = VnetHdr::parse(frame)?;
        let ip = ipv4::Header::parse(packet).ok()?;
        let segment = packet.get(ip.header_len..ip.total_len)?;
        let (header, text) = Header::parse(segment)?;
        let plain = ip.header_len == ipv4::HEADER_LEN && ip.offset == 0 && !ip.more;
        let plain = plain && ip.proto == TCP && vnet.csum_ok();
        let (src, dst) = (ip.src.to_bits(), ip.dst.to_bits());
        Some((src, dst, header, text.to_vec(), vnet.segment_size(), plain))
    }

    #[test]
    fn what_is_taken_in_one_go_is_what_the_headers_parsers_say() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut plain, mut other) = (0, 0);
        for _ in 0..20_000 {
            let mut frame = frame(&mut rng);
            // Wrong somewhere, half of them with the IP header's checksum put right.
            if !rng.next_u32().is_multiple_of(4) {
                let at = rng.next_u32() as usize % (HEADERS + 14);
                frame[at] ^= 1 << (rng.next_u32() % 8);
                if rng.next_u32().is_multiple_of(2) {
                    frame[20..22].fill(0);
                    let sum = checksum::of(&frame[10..30]);
                    frame[20..22].copy_from_slice(&sum.to_be_bytes());
                }
            }
            let len = frame.len() - (rng.next_u32() as usize % 40).saturating_sub(20);
            let frame = &frame[..len];
            let Some(taken) = Plain::parse(frame) else {
                other += 1;
                continue;
            };
            plain += 1;
            let general = by_headers(frame).unwrap_or_else(|| panic!("{frame:x?}"));
            let text = taken.text.to_vec();
            let of = (
                taken.src,
                taken.dst,
                taken.header,
                text,
                taken.gso_size,
                true,
            );
            assert_eq!(of, general);
            assert_eq!((taken.ttl, taken.tos), (frame[18], frame[11]));
        }
        assert!(plain > 4000 && other > 4000, "{plain} {other}");
    }
}
