//! From a header and its text to a frame.

use std::io::IoSlice;
use std::net::IpAddr;

use smallvec::SmallVec;

use super::direct::{PLAIN_LEN, Plain};
use super::seq::SeqNum;
use super::tuple::Tuple;
use crate::ip::{IpLayer, TxMeta, proto};
use crate::socket::table::DEFAULT_TTL;
use crate::stack::Stack;
use crate::wire::checksum::{Sum, pseudo_header};
use crate::wire::ipv4;
use crate::wire::put16;
use crate::wire::tcp::{CHECKSUM_OFFSET, Flags, Header, MAX_HEADER_LEN};
use crate::wire::vnet::{self, VnetHdr};

/// virtio-net header, IPv6 header, TCP header with all its options.
const HEAD_LEN: usize = vnet::LEN + 40 + MAX_HEADER_LEN;

/// How a segment is to be dressed.
pub(crate) struct Dress {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    /// IPv4: don't fragment.
    pub(crate) df: bool,
    /// It goes round inside.
    pub(crate) local: bool,
    /// Payload octets of each segment when this is a super-segment.
    pub(crate) gso_size: Option<u32>,
}

/// A segment's header.
pub(crate) enum Form {
    /// With timestamps and no other options.
    Plain(Plain),
    /// Any.
    Any(Header),
}

/// All headers of one frame.
pub(crate) struct Head {
    bytes: [u8; HEAD_LEN],
    len: usize,
}

impl Head {
    /// Dresses `header` and `text`. The checksum is left to the device where it can, and inside always.
    fn build(ip: &mut IpLayer, dress: &Dress, header: &Header, text: &[IoSlice<'_>]) -> Head {
        let text_len: usize = text.iter().map(|s| s.len()).sum();
        let tcp_len = header.emit_len() + text_len;
        let mut head = Head {
            bytes: [0; HEAD_LEN],
            len: 0,
        };
        let (vnet_part, rest) = head.bytes.split_at_mut(vnet::LEN);
        let ip_len = ip.write_header(
            rest,
            dress.src,
            dress.dst,
            proto::TCP,
            dress.ttl,
            dress.tos,
            tcp_len,
            dress.df,
        );
        let tcp = rest.get_mut(ip_len..).unwrap_or_default();
        let header_len = header.emit(tcp);
        let sum = pseudo_header(dress.src, dress.dst, proto::TCP, tcp_len as u32);
        let mut vnet = VnetHdr::default();
        if dress.local || ip.offload().csum {
            vnet.flags = vnet::NEEDS_CSUM;
            vnet.csum_start = ip_len as u16;
            vnet.csum_offset = CHECKSUM_OFFSET as u16;
            put16(tcp, CHECKSUM_OFFSET, sum.partial());
        } else {
            let checksum = whole_checksum(sum, tcp.get(..header_len).unwrap_or_default(), text);
            put16(tcp, CHECKSUM_OFFSET, checksum);
        }
        if let Some(size) = dress.gso_size {
            vnet.gso_type = if dress.src.is_ipv4() {
                vnet::GSO_TCPV4
            } else {
                vnet::GSO_TCPV6
            };
            vnet.gso_size = size.min(65_535) as u16;
            vnet.hdr_len = (ip_len + header_len) as u16;
        }
        vnet_part.copy_from_slice(&vnet.emit());
        head.len = vnet::LEN + ip_len + header_len;
        head
    }

    /// Dresses a header in either form, and `text`.
    pub(crate) fn of(ip: &mut IpLayer, dress: &Dress, form: &Form, text: &[IoSlice<'_>]) -> Head {
        let plain = match form {
            Form::Any(header) => return Head::build(ip, dress, header, text),
            Form::Plain(plain) => plain,
        };
        let text_len = text.iter().map(|s| s.len()).sum();
        match Head::plain(ip, dress, plain, text_len) {
            Some(head) => {
                debug_assert_eq!(
                    head.bytes(),
                    Head::build(ip, dress, &plain.header(), text).bytes()
                );
                head
            }
            None => Head::build(ip, dress, &plain.header(), text),
        }
    }

    /// As [`Head::build`] of a plain header over IPv4 before `text_len` octets, which may not be cut into fragments and whose checksum is left
    /// to the device; `None`: it is no such segment.
    #[inline]
    fn plain(ip: &IpLayer, dress: &Dress, plain: &Plain, text_len: usize) -> Option<Head> {
        const IP: usize = vnet::LEN;
        const TCP: usize = IP + ipv4::HEADER_LEN;
        const END: usize = TCP + PLAIN_LEN;
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (dress.src, dress.dst) else {
            return None;
        };
        if !dress.df || !(dress.local || ip.offload().csum) {
            return None;
        }
        let tcp_len = PLAIN_LEN + text_len;
        let repr = ipv4::Repr {
            src,
            dst,
            proto: proto::TCP,
            ttl: dress.ttl,
            tos: dress.tos,
            id: 0,
            fragment: ipv4::DF,
            payload_len: tcp_len,
        };
        let mut vnet = VnetHdr {
            flags: vnet::NEEDS_CSUM,
            csum_start: ipv4::HEADER_LEN as u16,
            csum_offset: CHECKSUM_OFFSET as u16,
            ..VnetHdr::default()
        };
        if let Some(size) = dress.gso_size {
            vnet.gso_type = vnet::GSO_TCPV4;
            vnet.gso_size = size.min(65_535) as u16;
            vnet.hdr_len = (END - IP) as u16;
        }
        let sum = pseudo_header(dress.src, dress.dst, proto::TCP, tcp_len as u32);
        let mut bytes = [0; HEAD_LEN];
        bytes[..IP].copy_from_slice(&vnet.emit());
        bytes[IP..TCP].copy_from_slice(&repr.emit());
        bytes[TCP..END].copy_from_slice(&plain.emit(sum.partial()));
        Some(Head { bytes, len: END })
    }

    /// The headers' octets.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn whole_checksum(sum: Sum, header: &[u8], text: &[IoSlice<'_>]) -> u16 {
    let pieces: SmallVec<[&[u8]; 24]> = std::iter::once(header)
        .chain(text.iter().map(|s| &**s))
        .collect();
    sum.add_pieces(pieces).finish()
}

/// Sends a segment without text outside any connection: RST, SYN-ACK, an ACK from TIME-WAIT. The header's ports are set here.
pub(crate) fn control(stack: &mut Stack, tuple: &Tuple, header: Header) {
    control_by(stack, tuple, 0, header);
}

/// As [`control`], by the interface of this number (0: whichever leads there).
pub(crate) fn control_by(stack: &mut Stack, tuple: &Tuple, by: u32, header: Header) {
    let header = Header {
        src_port: tuple.local_port,
        dst_port: tuple.remote_port,
        ..header
    };
    let mut bytes = [0u8; MAX_HEADER_LEN];
    let len = header.emit(&mut bytes);
    let sum = pseudo_header(tuple.local, tuple.remote, proto::TCP, len as u32);
    let checksum = whole_checksum(sum, bytes.get(..len).unwrap_or_default(), &[]);
    put16(&mut bytes, CHECKSUM_OFFSET, checksum);
    let segment = bytes.get(..len).unwrap_or_default();
    // A full queue loses it as the network might: the peer will ask again.
    let meta = TxMeta {
        src: tuple.local,
        dst: tuple.remote,
        proto: proto::TCP,
        ttl: DEFAULT_TTL,
        tos: 0,
        df: true,
    };
    let _ = stack.ip.send_by(by, &meta, &[segment]);
}

/// `<SEQ=seq><CTL=RST>`, or with an acknowledgement `<SEQ=seq><ACK=ack><CTL=RST,ACK>`.
pub(crate) fn reset(stack: &mut Stack, tuple: &Tuple, seq: SeqNum, ack: Option<SeqNum>) {
    let flags = if ack.is_some() {
        Flags::RST | Flags::ACK
    } else {
        Flags::RST
    };
    control(
        stack,
        tuple,
        Header {
            seq,
            ack: ack.unwrap_or_default(),
            flags,
            ..Header::default()
        },
    );
}
