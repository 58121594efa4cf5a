//! The TCP header and its options (RFC 9293 3.1, RFC 7323 2.2 and 3.2, RFC 2018 2 and 3, RFC 7413 4.1.1).

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::fast_open::{self, FastOpenOption};
use crate::tcp::seq::SeqNum;

/// Octets of a header without options.
pub(crate) const HEADER_LEN: usize = 20;
/// Octets of the longest header.
pub(crate) const MAX_HEADER_LEN: usize = 60;
/// Where the checksum stands in the header.
pub(crate) const CHECKSUM_OFFSET: usize = 16;
/// SACK blocks that fit beside nothing else (RFC 2018 3).
pub(crate) const MAX_SACK_BLOCKS: usize = 4;

bitflags::bitflags! {
    /// Control bits (RFC 9293 3.1).
    #[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
    pub(crate) struct Flags: u8 {
        const FIN = 0x01;
        const SYN = 0x02;
        const RST = 0x04;
        const PSH = 0x08;
        const ACK = 0x10;
        const URG = 0x20;
        const ECE = 0x40;
        const CWR = 0x80;
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Raw {
    pub(super) src_port: U16,
    pub(super) dst_port: U16,
    pub(super) seq: U32,
    pub(super) ack: U32,
    pub(super) data_offset: u8,
    pub(super) flags: u8,
    pub(super) window: U16,
    pub(super) checksum: U16,
    pub(super) urgent: U16,
}

/// A SACK block: octets from the first to just before the second are held by the receiver.
pub(crate) type SackBlock = (SeqNum, SeqNum);

/// The options that we know. Unknown ones are skipped by their length (MUST-6).
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Options {
    /// Maximum segment size, octets; 0 is treated as absent.
    pub(crate) mss: Option<u16>,
    /// Window scale shift, at most 14 (RFC 7323 2.3).
    pub(crate) wscale: Option<u8>,
    /// TSval and TSecr.
    pub(crate) ts: Option<(u32, u32)>,
    /// SACK-permitted, on SYN only.
    pub(crate) sack_permitted: bool,
    /// SACK blocks, the first `sack_len` of them valid.
    pub(crate) sack: [SackBlock; MAX_SACK_BLOCKS],
    /// How many blocks.
    pub(crate) sack_len: usize,
    /// Fast Open, on SYN only.
    pub(crate) fast_open: Option<FastOpenOption>,
}

impl Options {
    /// The blocks.
    pub(crate) fn sack_blocks(&self) -> &[SackBlock] {
        self.sack.get(..self.sack_len).unwrap_or(&[])
    }

    /// Parses the octets after the fixed header. An option whose length is wrong ends the parsing (MUST-7): what came
    /// before it counts.
    fn parse(mut bytes: &[u8]) -> Options {
        let mut options = Options::default();
        // What nearly every segment has (RFC 7323 appendix A).
        if let &[1, 1, 8, 10, a, b, c, d, e, f, g, h] = bytes {
            let (val, ecr) = ([a, b, c, d], [e, f, g, h]);
            options.ts = Some((u32::from_be_bytes(val), u32::from_be_bytes(ecr)));
            return options;
        }
        while let [kind, rest @ ..] = bytes {
            match kind {
                0 => break,
                1 => {
                    bytes = rest;
                    continue;
                }
                _ => {}
            }
            let Some(len) = rest.first().map(|len| usize::from(*len)) else {
                break;
            };
            let Some(body) = bytes.get(2..len) else { break };
            match (kind, body) {
                (2, &[a, b]) => {
                    options.mss = Some(u16::from_be_bytes([a, b])).filter(|mss| *mss != 0)
                }
                (3, &[shift]) => options.wscale = Some(shift.min(14)),
                (4, []) => options.sack_permitted = true,
                (5, blocks) => options.parse_sack(blocks),
                (8, &[a, b, c, d, e, f, g, h]) => {
                    options.ts = Some((
                        u32::from_be_bytes([a, b, c, d]),
                        u32::from_be_bytes([e, f, g, h]),
                    ));
                }
                (&kind @ (fast_open::KIND | fast_open::EXPERIMENT), body) => {
                    FastOpenOption::parse(kind, body, &mut options.fast_open);
                }
                _ => {}
            }
            bytes = bytes.get(len..).unwrap_or(&[]);
        }
        options
    }

    fn parse_sack(&mut self, blocks: &[u8]) {
        let (blocks, _) = blocks.as_chunks::<8>();
        for (slot, block) in self.sack.iter_mut().zip(blocks) {
            let [a, b, c, d, e, f, g, h] = *block;
            let left = SeqNum::new(u32::from_be_bytes([a, b, c, d]));
            let right = SeqNum::new(u32::from_be_bytes([e, f, g, h]));
            *slot = (left, right);
            self.sack_len += 1;
        }
    }

    /// Octets that [`Options::emit`] writes, a multiple of 4.
    pub(crate) fn emit_len(&self) -> usize {
        let mut len = 0;
        if self.mss.is_some() {
            len += 4;
        }
        // Beside a timestamp SACK-permitted takes the place of its padding.
        if self.sack_permitted && self.ts.is_none() {
            len += 4;
        }
        if self.ts.is_some() {
            len += 12;
        }
        if self.wscale.is_some() {
            len += 4;
        }
        if self.sack_len > 0 {
            len += 4 + 8 * self.sack_len;
        }
        len + self.fast_open.map_or(0, |option| option.emit_len())
    }

    /// Writes the options with their padding; `out` has at least [`Options::emit_len`] octets.
    fn emit(&self, out: &mut [u8]) {
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(room) = out.get_mut(at..at + bytes.len()) {
                room.copy_from_slice(bytes);
            }
            at += bytes.len();
        };
        if let Some(mss) = self.mss {
            put(&[2, 4]);
            put(&mss.to_be_bytes());
        }
        // In Linux's order and padding (tcp_options_write): middleboxes know no other.
        let permitted: [u8; 2] = if self.sack_permitted { [4, 2] } else { [1, 1] };
        if let Some((val, ecr)) = self.ts {
            put(&permitted);
            put(&[8, 10]);
            put(&val.to_be_bytes());
            put(&ecr.to_be_bytes());
        } else if self.sack_permitted {
            put(&[1, 1, 4, 2]);
        }
        if let Some(shift) = self.wscale {
            put(&[1, 3, 3, shift]);
        }
        if self.sack_len > 0 {
            put(&[1, 1, 5, 2 + 8 * self.sack_len as u8]);
            for (left, right) in self.sack_blocks() {
                put(&left.raw().to_be_bytes());
                put(&right.raw().to_be_bytes());
            }
        }
        if let Some(option) = self.fast_open {
            option.emit(put);
        }
    }
}

/// A segment's header in host order.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Header {
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) seq: SeqNum,
    pub(crate) ack: SeqNum,
    pub(crate) flags: Flags,
    /// As on the wire: unscaled.
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) options: Options,
}

impl Header {
    /// Splits a segment into header and payload; `None` when it is too short or its data offset lies (MUST-2, MUST-3).
    /// The checksum is not looked at.
    pub(crate) fn parse(segment: &[u8]) -> Option<(Header, &[u8])> {
        let (raw, rest) = Raw::ref_from_prefix(segment).ok()?;
        let options_len = (usize::from(raw.data_offset >> 4) * 4).checked_sub(HEADER_LEN)?;
        let (options, payload) = rest.split_at_checked(options_len)?;
        let mut header = Header {
            src_port: raw.src_port.get(),
            dst_port: raw.dst_port.get(),
            seq: SeqNum::new(raw.seq.get()),
            ack: SeqNum::new(raw.ack.get()),
            flags: Flags::from_bits_truncate(raw.flags),
            window: raw.window.get(),
            urgent: raw.urgent.get(),
            options: Options::parse(options),
        };
        if !header.has(Flags::SYN) {
            header.options.fast_open = None;
        }
        Some((header, payload))
    }

    /// Octets that [`Header::emit`] writes.
    pub(crate) fn emit_len(&self) -> usize {
        HEADER_LEN + self.options.emit_len()
    }

    /// Writes the header with a zero checksum into `out` and returns its length; 0 when `out` is too short.
    pub(crate) fn emit(&self, out: &mut [u8]) -> usize {
        let len = self.emit_len();
        let Some(out) = out.get_mut(..len) else {
            return 0;
        };
        let raw = Raw {
            src_port: self.src_port.into(),
            dst_port: self.dst_port.into(),
            seq: self.seq.raw().into(),
            ack: self.ack.raw().into(),
            data_offset: (len as u8 / 4) << 4,
            flags: self.flags.bits(),
            window: self.window.into(),
            checksum: 0.into(),
            urgent: self.urgent.into(),
        };
        let (fixed, options) = out.split_at_mut(HEADER_LEN);
        fixed.copy_from_slice(raw.as_bytes());
        self.options.emit(options);
        len
    }

    /// Whether a control bit is set.
    pub(crate) fn has(&self, flag: Flags) -> bool {
        self.flags.contains(flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        let mut options = Options {
            mss: Some(1460),
            wscale: Some(9),
            ts: Some((7, 9)),
            sack_permitted: true,
            ..Options::default()
        };
        options.sack[0] = (SeqNum::new(1), SeqNum::new(2));
        options.sack_len = 1;
        Header {
            src_port: 1,
            dst_port: 2,
            seq: SeqNum::new(3),
            ack: SeqNum::new(4),
            flags: Flags::SYN | Flags::ACK,
            window: 5,
            urgent: 6,
            options,
        }
    }

    #[test]
    fn emits_what_it_parses() {
        let header = sample();
        let mut out = [0u8; MAX_HEADER_LEN + 3];
        let len = header.emit(&mut out);
        assert_eq!(len, header.emit_len());
        let (parsed, payload) = Header::parse(&out[..len + 3]).expect("parses");
        assert_eq!(parsed, header);
        assert_eq!(payload.len(), 3);
    }

    #[test]
    fn illegal_option_lengths_end_the_options_and_not_the_program() {
        // RFC 9293 MUST-7.
        for bad in [
            &[8u8, 0][..],
            &[8, 1],
            &[2],
            &[5, 200, 1],
            &[254, 3, 1, 2, 4],
        ] {
            let options = Options::parse(bad);
            assert_eq!(options.ts, None);
        }
        let options = Options::parse(&[253, 4, 9, 9, 2, 4, 5, 180]);
        assert_eq!(
            options.mss,
            Some(1460),
            "unknown options are skipped by length"
        );
    }

    #[test]
    fn data_offset_outside_the_segment_is_refused() {
        let mut out = [0u8; 20];
        sample().emit(&mut [0; 60]);
        out[12] = 0xf0;
        assert!(Header::parse(&out).is_none());
        out[12] = 0x40;
        assert!(Header::parse(&out).is_none());
        assert!(Header::parse(&out[..19]).is_none());
    }
}
