//! Datagrams and ICMP errors in.

use std::net::SocketAddr;

use crate::icmp::{self, Report};
use crate::ip::{IcmpError, RxMeta, proto};
use crate::socket::{Ready, SocketId};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::checksum;
use crate::wire::udp::Header;

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
    let receivers = stack.udp_receivers(meta.dst_kind, src, dst);
    if receivers.is_empty() {
        stack.stats.not_ours += 1;
        // RFC 1122 4.1.3.1.
        icmp::report(stack, now, meta, quote, Report::PortUnreachable);
        return;
    }
    for id in receivers {
        match usize::from(meta.gso_size) {
            // UDP segmentation offload: several datagrams of that size in one.
            size if size > 0 && data.len() > size => {
                for piece in data.chunks(size) {
                    enqueue(stack, id, src, piece);
                }
            }
            _ => enqueue(stack, id, src, data),
        }
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

fn enqueue(stack: &mut Stack, id: SocketId, src: SocketAddr, data: &[u8]) {
    let Some(socket) = stack.sockets.get_mut(id) else {
        return;
    };
    let rcvbuf = socket.opts.rcvbuf;
    let Some(udp) = socket.udp_mut() else {
        return;
    };
    if udp.queue.push(src, data, rcvbuf) {
        stack.notify(id, Ready::IN);
    } else {
        stack.stats.queue_full += 1;
    }
}

/// An ICMP error about a datagram of ours. Linux __udp4_lib_err: only hard errors, only on connected sockets.
pub(crate) fn icmp_error(stack: &mut Stack, error: &IcmpError) {
    let Some(id) = stack.udp_lookup(error.remote, error.local) else {
        stack.stats.not_ours += 1;
        return;
    };
    if let Some(mtu) = error.mtu {
        stack.ip.update_path_mtu(error.remote.ip(), mtu);
    }
    let Some(socket) = stack.sockets.get_mut(id) else {
        return;
    };
    if error.hard && socket.peer == Some(error.remote) {
        socket.pending_error = Some(error.error);
        stack.notify(id, Ready::ERR);
    }
}
