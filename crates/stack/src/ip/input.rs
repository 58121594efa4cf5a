//! Packets in: what is well-formed and for us goes up, the rest is counted.

use std::net::IpAddr;

use super::quote::Quoted;
use super::reassembly::{Key, Piece};
use super::{DstKind, Iface, RxMeta, proto};
use crate::icmp::{self, Report};
use crate::multicast;
use crate::raw;
use crate::stack::Stack;
use crate::tcp;
use crate::time::Instant;
use crate::udp;
use crate::wire::vnet::{self, VnetHdr};
use crate::wire::{checksum, ipv4, ipv6};

/// Where the protocol stands in a frame with an IPv4 packet.
const PROTOCOL_AT: usize = vnet::LEN + 9;

/// One frame, from the device or from ourselves (`inside`: by that interface).
pub(crate) fn input(stack: &mut Stack, now: Instant, frame: &[u8], inside: Option<Iface>) {
    if inside.is_none() {
        let direct = match frame.get(PROTOCOL_AT) {
            Some(&proto::TCP) => tcp::direct_input::input(stack, now, frame),
            Some(&proto::UDP) => udp::direct_input::input(stack, now, frame),
            _ => false,
        };
        if direct {
            return;
        }
    }
    let Some((vnet, packet)) = VnetHdr::parse(frame) else {
        stack.stats.malformed += 1;
        return;
    };
    stack.packets = stack.packets.wrapping_add(1);
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => input_v4(stack, now, &vnet, packet, inside),
        Some(6) => input_v6(stack, now, &vnet, packet, inside),
        _ => stack.stats.malformed += 1,
    }
}

/// Lets reassembly's time pass, RFC 1122 3.3.2, RFC 8200 4.5: Time Exceeded, code 1, when the first fragment had come.
pub(crate) fn expire_fragments(stack: &mut Stack, now: Instant) {
    let mut lost = Vec::new();
    let expired = |key: Key, quote: Vec<u8>| lost.push((key, quote));
    stack.ip.reassembly.expire(now, expired);
    for (key, quote) in lost {
        if let Some(dst_kind) = stack.ip.dst_kind(key.dst) {
            let meta = RxMeta {
                src: key.src,
                dst: key.dst,
                ttl: 0,
                tos: 0,
                csum_ok: true,
                gso_size: 0,
                local: stack.ip.is_local(key.src),
                iface: Iface::Device,
                dst_kind,
            };
            icmp::report(stack, now, &meta, &quote, Report::ReassemblyTimeout);
        }
    }
}

fn input_v4(stack: &mut Stack, now: Instant, vnet: &VnetHdr, packet: &[u8], inside: Option<Iface>) {
    let header = match ipv4::Header::parse(packet) {
        Ok(header) => header,
        Err(ipv4::Bad::Malformed) => {
            stack.stats.malformed += 1;
            return;
        }
        Err(ipv4::Bad::Checksum) => {
            stack.stats.bad_checksum += 1;
            return;
        }
    };
    // Bytes behind the packet are padding of the link.
    let packet = packet.get(..header.total_len).unwrap_or(packet);
    let payload = packet.get(header.header_len..).unwrap_or_default();
    let (src, dst) = (IpAddr::V4(header.src), IpAddr::V4(header.dst));
    let Some(dst_kind) = admit(stack, src, dst, inside, header.proto) else {
        stack.stats.not_ours += 1;
        return;
    };
    let mut meta = meta(vnet, (src, dst), header.ttl, header.tos, inside, dst_kind);
    if header.offset == 0 && !header.more {
        if header.header_len == ipv4::HEADER_LEN {
            deliver_v4(stack, now, &meta, header.proto, payload, packet);
        } else if let Some(packet) = stack.take_options(now, &meta, packet, header.header_len) {
            let payload = packet.get(header.header_len..).unwrap_or_default();
            deliver_v4(stack, now, &meta, header.proto, payload, &packet);
            stack.ip.arrived_options = None;
        }
        return;
    }
    let aligned = !header.more || payload.len().is_multiple_of(8);
    if !aligned || header.header_len + header.offset + payload.len() > 65535 {
        stack.stats.malformed += 1;
        return;
    }
    let key = Key {
        src,
        dst,
        id: u32::from(header.id),
        proto: header.proto,
    };
    let piece = Piece {
        offset: header.offset,
        more: header.more,
        next: header.proto,
        tos: header.tos,
        data: payload,
        packet,
    };
    if let Some(whole) = stack.ip.reassembly.add(now, key, &piece) {
        meta.tos = whole.tos;
        meta.csum_ok = false;
        meta.gso_size = 0;
        deliver_v4(stack, now, &meta, whole.next, &whole.data, &whole.quote);
    }
}

/// The segment in a packet of which `headers` is the front of the frame and `text_len` octets are elsewhere, if it is a plain one for us that
/// came by the device: TCP right behind a header without options, in one piece, nothing behind it.
pub(crate) fn plain_tcp<'a>(
    stack: &Stack,
    headers: &'a [u8],
    text_len: usize,
) -> Option<(RxMeta, &'a [u8])> {
    let (vnet, packet) = VnetHdr::parse(headers)?;
    let whole = packet.len() + text_len;
    let (addrs, ttl, tos, protocol, header_len) = if packet.first()? >> 4 == 4 {
        let header = ipv4::Header::parse_quoted(packet)?;
        let (fixed, _) = packet.split_first_chunk::<{ ipv4::HEADER_LEN }>()?;
        let plain = header.header_len == ipv4::HEADER_LEN && header.offset == 0 && !header.more;
        if !plain || header.total_len != whole || checksum::of(fixed) != 0 {
            return None;
        }
        let addrs = (IpAddr::V4(header.src), IpAddr::V4(header.dst));
        (
            addrs,
            header.ttl,
            header.tos,
            header.proto,
            ipv4::HEADER_LEN,
        )
    } else {
        let header = ipv6::Header::parse_quoted(packet)?;
        if ipv6::HEADER_LEN + header.payload_len != whole {
            return None;
        }
        let addrs = (IpAddr::V6(header.src), IpAddr::V6(header.dst));
        (
            addrs,
            header.hops,
            header.tclass,
            header.next,
            ipv6::HEADER_LEN,
        )
    };
    if protocol != proto::TCP {
        return None;
    }
    let dst_kind = admit(stack, addrs.0, addrs.1, None, protocol)?;
    let meta = meta(&vnet, addrs, ttl, tos, None, dst_kind);
    Some((meta, packet.get(header_len..)?))
}

fn deliver_v4(
    stack: &mut Stack,
    now: Instant,
    meta: &RxMeta,
    next: u8,
    payload: &[u8],
    quote: &[u8],
) {
    // Linux ip_protocol_deliver_rcu: raw sockets come first and take nothing away.
    let taken = raw::input::input_v4(stack, meta, next, payload, quote);
    match next {
        proto::TCP => deliver_tcp(stack, now, meta, payload, quote),
        proto::UDP => udp::input::input(stack, now, meta, payload, quote),
        proto::ICMP => icmp::input_v4(stack, now, meta, payload, quote),
        proto::IGMP => multicast::igmp::input(stack, now, meta, payload),
        _ if taken => {}
        // RFC 1122 3.2.2.1: protocol unreachable.
        _ => icmp::report(stack, now, meta, quote, Report::ProtocolUnreachable),
    }
}

/// RFC 9293 3.9.2.3: TCP knows no broadcast and no multicast.
fn deliver_tcp(stack: &mut Stack, now: Instant, meta: &RxMeta, segment: &[u8], quote: &[u8]) {
    if meta.dst_kind == DstKind::Unicast {
        tcp::input(stack, now, meta, segment, quote);
    } else {
        stack.stats.not_ours += 1;
    }
}

fn input_v6(stack: &mut Stack, now: Instant, vnet: &VnetHdr, packet: &[u8], inside: Option<Iface>) {
    let Some(header) = ipv6::Header::parse(packet) else {
        stack.stats.malformed += 1;
        return;
    };
    let end = ipv6::HEADER_LEN + header.payload_len;
    let packet = packet.get(..end).unwrap_or(packet);
    let (src, dst) = (IpAddr::V6(header.src), IpAddr::V6(header.dst));
    let Some(dst_kind) = admit(stack, src, dst, inside, header.next) else {
        stack.stats.not_ours += 1;
        return;
    };
    let meta = meta(
        vnet,
        (src, dst),
        header.hops,
        header.tclass,
        inside,
        dst_kind,
    );
    let mut chain = Chain {
        meta,
        quote: packet,
        rest: packet.get(ipv6::HEADER_LEN..).unwrap_or_default(),
        next: header.next,
        next_at: 6,
        at: ipv6::HEADER_LEN,
        first: true,
        reassembled: false,
    };
    if let Some(whole) = chain.walk(stack, now) {
        // RFC 8200 4.5: go on behind the fragment header. No fragments within fragments.
        chain.meta.tos = whole.tos;
        chain.meta.csum_ok = false;
        chain.meta.gso_size = 0;
        let mut inner = Chain {
            quote: &whole.quote,
            rest: &whole.data,
            next: whole.next,
            first: false,
            reassembled: true,
            ..chain
        };
        inner.walk(stack, now);
    }
}

/// The chain of headers of an IPv6 packet, RFC 8200 4.
struct Chain<'a> {
    meta: RxMeta,
    quote: &'a [u8],
    rest: &'a [u8],
    /// What `rest` begins with.
    next: u8,
    /// Where in the packet that was said.
    next_at: usize,
    /// Where in the packet `rest` is.
    at: usize,
    /// `rest` is right behind the fixed header.
    first: bool,
    /// `rest` was put together from fragments.
    reassembled: bool,
}

impl Chain<'_> {
    /// Walks to the end and delivers; gives the datagram when a fragment completed one.
    fn walk(&mut self, stack: &mut Stack, now: Instant) -> Option<super::reassembly::Whole> {
        loop {
            let taken = raw::input::input_v6(stack, &self.meta, self.next, self.rest, self.quote);
            match self.next {
                ipv6::next::HOP_BY_HOP if !self.first => {
                    // RFC 8200 4.1: elsewhere it is an unrecognized next header.
                    self.problem(stack, now, 1, self.next_at, true);
                    return None;
                }
                ipv6::next::HOP_BY_HOP | ipv6::next::DESTINATION => self.options(stack, now)?,
                ipv6::next::ROUTING => self.routing(stack, now)?,
                ipv6::next::FRAGMENT if self.reassembled => {
                    stack.stats.malformed += 1;
                    return None;
                }
                ipv6::next::FRAGMENT => {
                    if let Some(whole) = self.fragment(stack, now)? {
                        return Some(whole);
                    }
                    // An atomic fragment: go on behind it.
                }
                ipv6::next::NONE => return None,
                proto::TCP => {
                    deliver_tcp(stack, now, &self.meta, self.rest, self.quote);
                    return None;
                }
                proto::UDP => {
                    udp::input::input(stack, now, &self.meta, self.rest, self.quote);
                    return None;
                }
                proto::ICMPV6 => {
                    icmp::input_v6(stack, now, &self.meta, self.rest, self.quote);
                    return None;
                }
                _ if taken => return None,
                _ => {
                    // RFC 8200 4: unrecognized next header, code 1.
                    self.problem(stack, now, 1, self.next_at, false);
                    return None;
                }
            }
            self.first = false;
        }
    }

    fn options(&mut self, stack: &mut Stack, now: Instant) -> Option<()> {
        let Some((next, bytes)) = ipv6::extension(self.rest) else {
            stack.stats.malformed += 1;
            return None;
        };
        match ipv6::options(bytes) {
            ipv6::Options::Fine => {
                self.skip(next, bytes.len());
                return Some(());
            }
            ipv6::Options::Discard => {}
            ipv6::Options::Malformed => stack.stats.malformed += 1,
            ipv6::Options::Problem(at) => self.problem(stack, now, 2, self.at + at, true),
            ipv6::Options::ProblemUnlessMulticast(at) => {
                self.problem(stack, now, 2, self.at + at, false);
            }
        }
        None
    }

    /// RFC 8200 4.4: an unknown type with nothing left to visit is passed over, else a problem pointing at the type.
    /// Type 0 is unknown to us as RFC 5095 wants it.
    fn routing(&mut self, stack: &mut Stack, now: Instant) -> Option<()> {
        let Some((next, bytes)) = ipv6::extension(self.rest) else {
            stack.stats.malformed += 1;
            return None;
        };
        if bytes.get(3).is_some_and(|&left| left != 0) {
            self.problem(stack, now, 0, self.at + 2, false);
            return None;
        }
        self.skip(next, bytes.len());
        Some(())
    }

    /// `None`: done with this packet. `Some(None)`: an atomic fragment (RFC 6946), skipped. Else a complete datagram.
    #[allow(clippy::option_option)]
    fn fragment(
        &mut self,
        stack: &mut Stack,
        now: Instant,
    ) -> Option<Option<super::reassembly::Whole>> {
        let Some(fragment) = ipv6::Fragment::parse(self.rest) else {
            stack.stats.malformed += 1;
            return None;
        };
        if fragment.offset == 0 && !fragment.more {
            self.skip(fragment.next, ipv6::FRAGMENT_LEN);
            return Some(None);
        }
        let data = self.rest.get(ipv6::FRAGMENT_LEN..).unwrap_or_default();
        // RFC 7112 5: the first fragment holds all headers, code 3.
        let whole_chain = |packet| Quoted::parse(packet).is_some_and(|q| q.has_transport_header());
        if fragment.offset == 0 && !whole_chain(self.quote) {
            self.problem(stack, now, 3, 0, false);
            return None;
        }
        // RFC 8200 4.5: the length must be a multiple of 8; the problem points at the payload length.
        if fragment.more && !data.len().is_multiple_of(8) {
            self.problem(stack, now, 0, 4, false);
            return None;
        }
        // The datagram would be too long; the problem points at the fragment offset.
        if fragment.offset + data.len() > 65535 {
            self.problem(stack, now, 0, self.at + 2, false);
            return None;
        }
        let key = Key {
            src: self.meta.src,
            dst: self.meta.dst,
            id: fragment.id,
            proto: 0,
        };
        let piece = Piece {
            offset: fragment.offset,
            more: fragment.more,
            next: fragment.next,
            tos: self.meta.tos,
            data,
            packet: self.quote,
        };
        let (at, quote) = (self.at, self.quote);
        let whole = stack.ip.reassembly.add(now, key, &piece)?;
        self.next_at = at;
        self.at = at + ipv6::FRAGMENT_LEN;
        self.quote = quote;
        Some(Some(whole))
    }

    fn skip(&mut self, next: u8, len: usize) {
        self.next = next;
        self.next_at = self.at;
        self.at += len;
        self.rest = self.rest.get(len..).unwrap_or_default();
    }

    fn problem(&self, stack: &mut Stack, now: Instant, code: u8, at: usize, to_multicast: bool) {
        let report = Report::ParameterProblem {
            code,
            pointer: u32::try_from(at).unwrap_or(u32::MAX),
            to_multicast,
        };
        stack.stats.malformed += 1;
        icmp::report(stack, now, &self.meta, self.quote, report);
    }
}

/// Whether a packet from `src` to `dst` may come in, and whom it is for (RFC 1122 3.2.1.3, RFC 6890: martians are dropped).
fn admit(
    stack: &Stack,
    src: IpAddr,
    dst: IpAddr,
    inside: Option<Iface>,
    protocol: u8,
) -> Option<DstKind> {
    let mapped = |addr: IpAddr| matches!(addr, IpAddr::V6(a) if a.to_ipv4_mapped().is_some());
    let from = stack.ip.standing(src);
    if src.is_multicast() || from.broadcast || mapped(src) || mapped(dst) {
        return None;
    }
    if src.is_unspecified() && !speaks_without_address(dst, protocol) {
        return None;
    }
    // From outside nobody speaks as us or as loopback, nor to our loopback.
    if inside.is_none() && (from.local || dst.is_loopback()) {
        return None;
    }
    let kind = match stack.ip.dst_kind(dst) {
        // What a socket bound to `lo` sends comes back, whoever it is for (__mkroute_output: RTCF_LOCAL).
        None if inside == Some(Iface::Loopback) => DstKind::Unicast,
        kind => kind?,
    };
    let iface = inside.unwrap_or(Iface::Device);
    let welcome = kind != DstKind::Multicast || {
        let igmp = protocol == proto::IGMP && dst.is_ipv4();
        stack.multicast.receives(iface, dst, src, igmp)
    };
    welcome.then_some(kind)
}

/// Who has no address yet may still speak of groups (RFC 3376 4.2.13, RFC 3590; Linux: ip_mc_validate_source).
fn speaks_without_address(dst: IpAddr, protocol: u8) -> bool {
    match dst {
        IpAddr::V4(a) => {
            a.is_multicast() && (protocol == proto::IGMP || a.octets()[..3] == [224, 0, 0])
        }
        IpAddr::V6(a) => {
            a.is_multicast() && matches!(protocol, ipv6::next::HOP_BY_HOP | proto::ICMPV6)
        }
    }
}

fn meta(
    vnet: &VnetHdr,
    (src, dst): (IpAddr, IpAddr),
    ttl: u8,
    tos: u8,
    inside: Option<Iface>,
    dst_kind: DstKind,
) -> RxMeta {
    RxMeta {
        src,
        dst,
        ttl,
        tos,
        // What never left us says so too, but for what raw sockets made.
        csum_ok: vnet.csum_ok(),
        gso_size: vnet.segment_size(),
        local: inside.is_some(),
        iface: inside.unwrap_or(Iface::Device),
        dst_kind,
    }
}

/// Largest frame that is looked at: virtio-net header, IPv6 header, 65535 bytes.
pub(crate) const FRAME_MAX: usize = vnet::LEN + ipv6::HEADER_LEN + 65535;
