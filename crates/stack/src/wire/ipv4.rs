//! IPv4 headers, RFC 791 3.1.

use std::net::Ipv4Addr;

use super::{be16, checksum, put16};

/// Length of a header without options, bytes.
pub(crate) const HEADER_LEN: usize = 20;
/// Flag bit in the fragment word: don't fragment.
pub(crate) const DF: u16 = 0x4000;
/// Flag bit in the fragment word: more fragments.
pub(crate) const MF: u16 = 0x2000;
/// Bits of the fragment word that say where in its packet a fragment lies, in units of 8 bytes.
pub(crate) const OFFSET: u16 = 0x1fff;

/// Why a header was not accepted.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Bad {
    /// Too short or inconsistent.
    Malformed,
    /// The header checksum is wrong.
    Checksum,
}

/// A header's fields.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Bytes of the header with its options.
    pub(crate) header_len: usize,
    /// Bytes of the packet.
    pub(crate) total_len: usize,
    /// Type of service: DSCP and ECN.
    pub(crate) tos: u8,
    /// Identification.
    pub(crate) id: u16,
    /// More fragments follow.
    pub(crate) more: bool,
    /// Offset of this fragment, bytes.
    pub(crate) offset: usize,
    /// Time to live.
    pub(crate) ttl: u8,
    /// Protocol.
    pub(crate) proto: u8,
    /// Source.
    pub(crate) src: Ipv4Addr,
    /// Destination.
    pub(crate) dst: Ipv4Addr,
}

impl Header {
    /// The header at the front of a whole packet: everything that RFC 1122 3.2.1 wants checked is checked.
    pub(crate) fn parse(packet: &[u8]) -> Result<Header, Bad> {
        let header = Header::parse_quoted(packet).ok_or(Bad::Malformed)?;
        if header.total_len < header.header_len || header.total_len > packet.len() {
            return Err(Bad::Malformed);
        }
        let bytes = packet.get(..header.header_len).ok_or(Bad::Malformed)?;
        if checksum::of(bytes) != 0 {
            return Err(Bad::Checksum);
        }
        Ok(header)
    }

    /// A header quoted in an ICMP error: the packet behind it is cut, and routers may have changed fields, so neither lengths
    /// nor checksum are looked at.
    pub(crate) fn parse_quoted(packet: &[u8]) -> Option<Header> {
        let h = packet.first_chunk::<HEADER_LEN>()?;
        let header_len = usize::from(h[0] & 0x0f) * 4;
        if h[0] >> 4 != 4 || header_len < HEADER_LEN || header_len > packet.len() {
            return None;
        }
        let fragment = be16(h, 6);
        Some(Header {
            header_len,
            total_len: usize::from(be16(h, 2)),
            tos: h[1],
            id: be16(h, 4),
            more: fragment & MF != 0,
            offset: usize::from(fragment & OFFSET) * 8,
            ttl: h[8],
            proto: h[9],
            src: Ipv4Addr::new(h[12], h[13], h[14], h[15]),
            dst: Ipv4Addr::new(h[16], h[17], h[18], h[19]),
        })
    }
}

/// What goes into an outgoing header.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Repr {
    /// Source.
    pub(crate) src: Ipv4Addr,
    /// Destination.
    pub(crate) dst: Ipv4Addr,
    /// Protocol.
    pub(crate) proto: u8,
    /// Time to live.
    pub(crate) ttl: u8,
    /// Type of service.
    pub(crate) tos: u8,
    /// Identification.
    pub(crate) id: u16,
    /// Flags and fragment offset in 8-byte units, as on the wire.
    pub(crate) fragment: u16,
    /// Bytes behind the header.
    pub(crate) payload_len: usize,
}

impl Repr {
    /// The header with its checksum. Packets above 65535 bytes are the caller's error; the length field saturates.
    pub(crate) fn emit(&self) -> [u8; HEADER_LEN] {
        let mut h = [0; HEADER_LEN];
        let total = self.payload_len.saturating_add(HEADER_LEN);
        h[0] = 0x45;
        h[1] = self.tos;
        put16(&mut h, 2, u16::try_from(total).unwrap_or(u16::MAX));
        put16(&mut h, 4, self.id);
        put16(&mut h, 6, self.fragment);
        h[8] = self.ttl;
        h[9] = self.proto;
        h[12..16].copy_from_slice(&self.src.octets());
        h[16..20].copy_from_slice(&self.dst.octets());
        let checksum = checksum::of_header(&h);
        put16(&mut h, 10, checksum);
        h
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Vec<u8> {
        let repr = Repr {
            src: Ipv4Addr::new(10, 0, 0, 1),
            dst: Ipv4Addr::new(10, 0, 0, 2),
            proto: 17,
            ttl: 64,
            tos: 0x2e,
            id: 0x1234,
            fragment: MF | 5,
            payload_len: 8,
        };
        let mut packet = repr.emit().to_vec();
        packet.extend([7; 8]);
        packet
    }

    #[test]
    fn emit_then_parse() {
        let header = Header::parse(&packet()).unwrap();
        assert_eq!((header.header_len, header.total_len), (20, 28));
        assert_eq!((header.tos, header.id, header.ttl), (0x2e, 0x1234, 64));
        assert_eq!((header.more, header.offset, header.proto), (true, 40, 17));
        assert_eq!(header.src, Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(header.dst, Ipv4Addr::new(10, 0, 0, 2));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let good = packet();
        assert_eq!(Header::parse(&good[..27]), Err(Bad::Malformed));
        assert_eq!(Header::parse(&good[..19]), Err(Bad::Malformed));
        for (at, value, why) in [
            (0, 0x65, Bad::Malformed),
            (0, 0x44, Bad::Malformed),
            (0, 0x4f, Bad::Malformed),
            (3, 19, Bad::Malformed),
            (8, 63, Bad::Checksum),
        ] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(Header::parse(&bad), Err(why), "byte {at}");
        }
    }
}
