//! UDP headers, RFC 768.

use super::be16;

/// Length of the header, bytes.
pub(crate) const HEADER_LEN: usize = 8;
/// Where the checksum is, bytes from the header's start.
pub(crate) const CSUM_OFFSET: usize = 6;

/// A header's fields.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Source port; 0 when none.
    pub(crate) src_port: u16,
    /// Destination port.
    pub(crate) dst_port: u16,
    /// Bytes of header and data.
    pub(crate) len: usize,
    /// Checksum; 0 when none was computed.
    pub(crate) checksum: u16,
}

impl Header {
    /// The header at the front of a datagram and the data that its length field covers.
    pub(crate) fn parse(datagram: &[u8]) -> Option<(Header, &[u8])> {
        let h = datagram.first_chunk::<HEADER_LEN>()?;
        let header = Header {
            src_port: be16(h, 0),
            dst_port: be16(h, 2),
            len: usize::from(be16(h, 4)),
            checksum: be16(h, 6),
        };
        let data = datagram.get(HEADER_LEN..header.len)?;
        Some((header, data))
    }

    /// The header as bytes.
    pub(crate) fn emit(&self) -> [u8; HEADER_LEN] {
        let mut h = [0; HEADER_LEN];
        h[0..2].copy_from_slice(&self.src_port.to_be_bytes());
        h[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        let len = u16::try_from(self.len).unwrap_or(u16::MAX);
        h[4..6].copy_from_slice(&len.to_be_bytes());
        h[6..8].copy_from_slice(&self.checksum.to_be_bytes());
        h
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emit_then_parse() {
        let header = Header {
            src_port: 1000,
            dst_port: 53,
            len: 10,
            checksum: 0xbeef,
        };
        let mut datagram = header.emit().to_vec();
        datagram.extend([1, 2, 3]);
        assert_eq!(Header::parse(&datagram), Some((header, &[1, 2][..])));
        assert_eq!(Header::parse(&datagram[..9]), None);
        datagram[5] = 7;
        assert_eq!(Header::parse(&datagram), None);
    }
}
