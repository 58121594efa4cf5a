//! Datagrams and ICMP errors in.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::filter::{View, network_header};
use crate::icmp;
use crate::ip::{DstKind, IcmpError, RxMeta, proto};
use crate::socket::attribute::{Attribute, pmtu};
use crate::socket::control::Arrival;
use crate::socket::errqueue::Report;
use crate::socket::table::Socket;
use crate::socket::{Ready, SocketId};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::checksum;
use crate::wire::udp::{HEADER_LEN, Header};

/// A datagram for us; `quote` is its whole packet, for errors.
pub(crate) fn input(stack: &mut Stack, now: Instant, meta: &RxMeta, datagram: &[u8], quote: &[u8]) {
    let Some((header, data)) = Header::parse(datagram) else {
        stack.stats.malformed += 1;
        return;
    };
    if !checksum_fits(meta, &header, datagram) {
        stack.stats.bad_checksum += 1;
        return;
    }
    let src = SocketAddr::new(meta.src, header.src_port);
    let dst = SocketAddr::new(meta.dst, header.dst_port);
    let arrival = Arrival {
        dst,
        ttl: meta.ttl,
        tos: meta.tos,
        interface: meta.iface.index() as u8,
        at: now,
    };
    let came = Came {
        meta,
        network: network_header(quote, datagram),
        header,
        src,
        arrival,
    };
    let mut anybody = false;
    let mut each = |stack: &mut Stack, id| {
        anybody = true;
        deliver(stack, id, &came, data);
    };
    match meta.dst_kind {
        DstKind::Unicast => {
            let head = header.emit();
            let view = View::transport(came.network, &head, data, meta, proto::UDP);
            if let Some(id) = stack.udp_lookup(src, dst, meta.iface, Some(&view)) {
                each(stack, id);
            }
        }
        DstKind::Broadcast | DstKind::Multicast => {
            for id in stack.udp_lookup_all(meta, src, dst) {
                each(stack, id);
            }
        }
    }
    if !anybody {
        stack.stats.not_ours += 1;
        // RFC 1122 4.1.3.1.
        icmp::report(stack, now, meta, quote, icmp::Report::PortUnreachable);
    }
}

/// A datagram to one socket. Of UDP segmentation offload it is several of that size in one, which one reads so with UDP_GRO.
fn deliver(stack: &mut Stack, id: SocketId, came: &Came<'_>, data: &[u8]) {
    let (header, gso_size) = (&came.header, came.meta.gso_size);
    let together = |socket: &Socket| socket.has(Attribute::UdpGro);
    match usize::from(gso_size) {
        size if size > 0 && data.len() > size && !stack.sockets.get(id).is_some_and(together) => {
            for piece in data.chunks(size) {
                let len = HEADER_LEN + piece.len();
                enqueue(stack, id, came, &Header { len, ..*header }, piece, 0);
            }
        }
        _ => enqueue(stack, id, came, header, data, gso_size),
    }
}

/// RFC 768: zero means none was computed, on IPv4; on IPv6 there must be one (RFC 8200 8.1).
fn checksum_fits(meta: &RxMeta, header: &Header, datagram: &[u8]) -> bool {
    if meta.csum_ok {
        return true;
    }
    if header.checksum == 0 {
        return meta.src.is_ipv4();
    }
    let bytes = datagram.get(..header.len).unwrap_or(datagram);
    let len = u32::try_from(header.len).unwrap_or(u32::MAX);
    let sum = checksum::pseudo_header(meta.src, meta.dst, proto::UDP, len);
    sum.add(bytes).finish() == 0
}

/// How a datagram came.
struct Came<'a> {
    meta: &'a RxMeta,
    /// The IP header.
    network: &'a [u8],
    header: Header,
    src: SocketAddr,
    arrival: Arrival,
}

fn enqueue(
    stack: &mut Stack,
    id: SocketId,
    came: &Came<'_>,
    header: &Header,
    data: &[u8],
    gro: u16,
) {
    let mut data = data;
    if stack.filters_matter {
        let head = header.emit();
        let view = View::transport(came.network, &head, data, came.meta, proto::UDP);
        let Some(keep) = stack.filtered(id, &view, HEADER_LEN) else {
            if let Some(udp) = stack.sockets.get_mut(id).and_then(Socket::udp_mut) {
                udp.queue.refuse();
            }
            return;
        };
        data = data.get(..keep.saturating_sub(HEADER_LEN)).unwrap_or(data);
    }
    stack.note_arrival(id, came.arrival.ttl);
    let options = stack.told_options(id);
    let Some(socket) = stack.sockets.get_mut(id) else {
        return;
    };
    let rcvbuf = socket.opts.rcvbuf();
    let Some(udp) = socket.udp_mut() else {
        return;
    };
    let options = [&options[0][..], &options[1][..]];
    let Came { src, arrival, .. } = *came;
    if udp.queue.push(src, data, rcvbuf, arrival, gro, options) {
        stack.notify(id, Ready::IN);
    } else {
        stack.stats.queue_full += 1;
    }
}

/// An ICMP error about a datagram of ours, of which `transport` is quoted. Linux __udp4_lib_err, __udp6_lib_err: with IP_RECVERR all
/// of them, else only hard errors, and only on connected sockets.
pub(crate) fn icmp_error(stack: &mut Stack, error: &IcmpError, transport: &[u8]) {
    let Some(id) = stack.udp_lookup(error.remote, error.local, error.message.iface, None) else {
        stack.stats.not_ours += 1;
        return;
    };
    let v6 = error.remote.is_ipv6();
    let Some(socket) = stack.sockets.get_mut(id) else {
        return;
    };
    let discover = socket.rare().pmtu(v6);
    let mut hard = error.hard;
    if let Some(mtu) = error.mtu {
        // ip_sk_accept_pmtu.
        if !matches!(discover, pmtu::INTERFACE | pmtu::OMIT) {
            stack.ip.update_path_mtu(error.remote.ip(), mtu);
        } else if v6 {
            return;
        }
        if discover == pmtu::DONT && !v6 {
            return;
        }
        hard |= discover != pmtu::DONT;
    }
    if !socket.wants_errors(v6) {
        if !hard || socket.peer() != Some(error.remote) {
            return;
        }
    } else {
        let report = Report {
            name: Some(error.remote),
            data: transport.get(HEADER_LEN..).map(Arc::from),
            ..error.report()
        };
        stack.report_error(id, report);
    }
    if let Some(socket) = stack.sockets.get_mut(id) {
        socket.pending_error = Some(error.error);
    }
    stack.notify(id, Ready::ERR);
}
