//! `struct virtio_net_hdr`, virtio 1.2 5.1.6, legacy layout of 10 bytes as a TUN device with IFF_VNET_HDR uses it:
//! u8 flags, u8 gso_type, u16 hdr_len, u16 gso_size, u16 csum_start, u16 csum_offset, all in native byte order.

/// Length of the header, bytes.
pub(crate) const LEN: usize = 10;
/// The checksum at csum_start + csum_offset holds only the folded, uncomplemented pseudo-header sum.
pub(crate) const NEEDS_CSUM: u8 = 1;
/// The checksum was found valid below.
pub(crate) const DATA_VALID: u8 = 2;
/// IPv4 TCP super-segment.
pub(crate) const GSO_TCPV4: u8 = 1;
/// IPv6 TCP super-segment.
pub(crate) const GSO_TCPV6: u8 = 4;
/// UDP segmentation offload.
pub(crate) const GSO_UDP_L4: u8 = 5;
/// Bit in gso_type: the TCP segment carries ECN's CWR.
pub(crate) const GSO_ECN: u8 = 0x80;

/// The header's fields. The default says: a plain, complete packet.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VnetHdr {
    /// NEEDS_CSUM, DATA_VALID.
    pub(crate) flags: u8,
    /// GSO_*.
    pub(crate) gso_type: u8,
    /// Bytes of all headers of a super-segment.
    pub(crate) hdr_len: u16,
    /// Payload bytes of each segment that a super-segment is cut into.
    pub(crate) gso_size: u16,
    /// Where checksumming starts, bytes from the IP header.
    pub(crate) csum_start: u16,
    /// Where the checksum is stored, bytes from csum_start.
    pub(crate) csum_offset: u16,
}

impl VnetHdr {
    /// Splits a frame into header and IP packet; `None` when it is too short.
    pub(crate) fn parse(frame: &[u8]) -> Option<(VnetHdr, &[u8])> {
        let (h, packet) = frame.split_first_chunk::<LEN>()?;
        let word = |at: usize| u16::from_ne_bytes([h[at], h[at + 1]]);
        let header = VnetHdr {
            flags: h[0],
            gso_type: h[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
        };
        Some((header, packet))
    }

    /// The header as bytes.
    pub(crate) fn emit(&self) -> [u8; LEN] {
        let mut out = [0; LEN];
        out[0] = self.flags;
        out[1] = self.gso_type;
        out[2..4].copy_from_slice(&self.hdr_len.to_ne_bytes());
        out[4..6].copy_from_slice(&self.gso_size.to_ne_bytes());
        out[6..8].copy_from_slice(&self.csum_start.to_ne_bytes());
        out[8..10].copy_from_slice(&self.csum_offset.to_ne_bytes());
        out
    }

    /// Whether the transport checksum needs no verification: found valid below, or never computed.
    pub(crate) fn csum_ok(&self) -> bool {
        self.flags & (NEEDS_CSUM | DATA_VALID) != 0
    }

    /// Bytes of each segment or datagram that a super-segment stands for, 0 when it is a plain packet.
    pub(crate) fn segment_size(&self) -> u16 {
        match self.gso_type & !GSO_ECN {
            GSO_TCPV4 | GSO_TCPV6 | GSO_UDP_L4 => self.gso_size,
            // 0: plain. 3 (VIRTIO_NET_HDR_GSO_UDP): one large datagram that was not cut into fragments.
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emit_then_parse() {
        let header = VnetHdr {
            flags: NEEDS_CSUM,
            gso_type: GSO_TCPV6 | GSO_ECN,
            hdr_len: 74,
            gso_size: 1428,
            csum_start: 40,
            csum_offset: 16,
        };
        let mut frame = header.emit().to_vec();
        frame.push(0x60);
        assert_eq!(VnetHdr::parse(&frame), Some((header, &[0x60][..])));
        assert_eq!(VnetHdr::parse(&frame[..9]), None);
        assert_eq!(header.segment_size(), 1428);
    }
}
