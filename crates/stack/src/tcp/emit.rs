//! From a header and its text to a frame.

use std::io::IoSlice;
use std::net::IpAddr;

use smallvec::SmallVec;

use super::batch::Batch;
use super::bytes::Slices;
use super::direct::{PLAIN_LEN, Plain};
use super::marks::{self, Going};
use super::output::Plan;
use super::seq::SeqNum;
use super::tcb::Tcb;
use super::tuple::Tuple;
use crate::ip::{Iface, IpLayer, TxMeta, proto};
use crate::sink::Sink;
use crate::socket::attribute::Extra;
use crate::socket::table::DEFAULT_TTL;
use crate::stack::{Stack, Stats};
use crate::time::Instant;
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

impl Form {
    /// That of the segment of `plan`.
    #[inline]
    fn of(tcb: &mut Tcb, plan: &Plan, now: Instant) -> Form {
        match tcb.plain_header(plan, now) {
            Some(plain) => Form::Plain(plain),
            None => Form::Any(tcb.header_for(plan, now)),
        }
    }
}

/// All headers of one frame.
pub(crate) struct Head {
    bytes: [u8; HEAD_LEN],
    len: usize,
}

impl Head {
    /// Nothing yet.
    const EMPTY: Head = Head {
        bytes: [0; HEAD_LEN],
        len: 0,
    };

    /// Dresses `header` and `text`. The checksum is left to the device where it can, and inside always.
    fn build(&mut self, ip: &mut IpLayer, dress: &Dress, header: &Header, text: &[IoSlice<'_>]) {
        let text_len: usize = text.iter().map(|s| s.len()).sum();
        let tcp_len = header.emit_len() + text_len;
        let (vnet_part, rest) = self.bytes.split_at_mut(vnet::LEN);
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
        self.len = vnet::LEN + ip_len + header_len;
    }

    /// Dresses a header in either form, and `text`.
    fn fill(&mut self, ip: &mut IpLayer, dress: &Dress, form: &Form, text: &[IoSlice<'_>]) {
        match form {
            Form::Any(header) => self.build(ip, dress, header, text),
            Form::Plain(plain) => {
                let text_len = text.iter().map(|s| s.len()).sum();
                if !self.plain(ip, dress, plain, text_len) {
                    self.build(ip, dress, &plain.header(), text);
                } else if cfg!(debug_assertions) {
                    let quick = self.bytes().to_vec();
                    self.build(ip, dress, &plain.header(), text);
                    assert_eq!(self.bytes(), quick);
                }
            }
        }
    }

    /// As [`Head::build`] of a plain header over IPv4 before `text_len` octets, which may not be cut into fragments and whose checksum is left
    /// to the device; false: it is no such segment.
    #[inline]
    fn plain(&mut self, ip: &IpLayer, dress: &Dress, plain: &Plain, text_len: usize) -> bool {
        const IP: usize = vnet::LEN;
        const TCP: usize = IP + ipv4::HEADER_LEN;
        const END: usize = TCP + PLAIN_LEN;
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (dress.src, dress.dst) else {
            return false;
        };
        if !dress.df || !(dress.local || ip.offload().csum) {
            return false;
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
        let bytes = &mut self.bytes;
        bytes[..IP].copy_from_slice(&vnet.emit());
        bytes[IP..TCP].copy_from_slice(&repr.emit());
        bytes[TCP..END].copy_from_slice(&plain.emit(sum.partial()));
        self.len = END;
        true
    }

    /// The headers' octets.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Where a connection's segments leave.
pub(super) struct Exit<'a> {
    pub(super) ip: &'a mut IpLayer,
    pub(super) stats: &'a mut Stats,
    /// The interface that the socket is bound to.
    pub(super) by: Option<Iface>,
    pub(super) sink: &'a mut dyn Sink,
    /// Segments that go together.
    pub(super) batch: Batch,
}

impl Exit<'_> {
    /// Dresses the segment of `plan`, which goes with others at the next [`Exit::hand_out`] or before.
    pub(super) fn keep(&mut self, tcb: &mut Tcb, plan: &Plan, dress: &Dress, now: Instant) {
        if self.batch.is_full() {
            self.hand_out(tcb);
        }
        let form = Form::of(tcb, plan, now);
        let mut text = Slices::new();
        let at = plan.text().since(tcb.snd.base) as usize;
        tcb.snd.queue.slices(at, plan.len as usize, &mut text);
        let mut head = Head::EMPTY;
        head.fill(self.ip, dress, &form, &text);
        self.stats.frames_out += 1;
        self.batch.push(head, plan.text(), plan.len);
    }

    /// Lets those go that wait for each other, all of connection `tcb`.
    #[inline]
    pub(super) fn hand_out(&mut self, tcb: &Tcb) {
        if !self.batch.is_empty() {
            self.batch.hand_out(tcb, self.sink);
        }
    }

    /// Lets the segment of `plan` go. Whether the program is to be told of it.
    #[inline]
    pub(super) fn send(
        &mut self,
        tcb: &mut Tcb,
        plan: &Plan,
        dress: &Dress,
        now: Instant,
        extra: Option<&mut Extra>,
        rcvbuf: usize,
    ) -> bool {
        let form = Form::of(tcb, plan, now);
        let mut head = Head::EMPTY;
        let (mut text, few);
        let (at, len) = (plan.text().since(tcb.snd.base), plan.len as usize);
        let frame = match tcb.snd.queue.slice(at as usize, len) {
            Some(piece) => {
                let piece = IoSlice::new(piece);
                head.fill(self.ip, dress, &form, &[piece]);
                few = [IoSlice::new(head.bytes()), piece];
                if len > 0 { &few[..] } else { &few[..1] }
            }
            None => {
                text = Slices::new();
                tcb.snd.queue.slices(at as usize, len, &mut text);
                head.fill(self.ip, dress, &form, &text);
                text.insert(0, IoSlice::new(head.bytes()));
                &text[..]
            }
        };
        if dress.local {
            let home = || self.ip.iface_of(dress.dst).unwrap_or(Iface::Loopback);
            let iface = self.by.unwrap_or_else(home);
            self.ip.loop_back(iface, frame);
        } else {
            self.stats.frames_out += 1;
            self.sink.frame(frame);
        }
        extra.is_some_and(|extra| {
            let going = Going {
                tcb,
                dress,
                frame,
                len: plan.len,
            };
            marks::sent(extra, plan, now, rcvbuf, &going)
        })
    }
}

fn whole_checksum(sum: Sum, header: &[u8], text: &[IoSlice<'_>]) -> u16 {
    if text.is_empty() {
        return sum.add(header).finish();
    }
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
