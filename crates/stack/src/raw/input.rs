//! Packets and ICMP errors for raw and ping sockets.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::{Group, RawSocket};
use crate::filter::{View, network_header};
use crate::ip::{IcmpError, RxMeta, proto};
use crate::socket::control::Arrival;
use crate::socket::errqueue::Report;
use crate::socket::table::Socket;
use crate::socket::{Domain, Kind, Ready, SocketId};
use crate::stack::Stack;
use crate::wire::{checksum, ipv4, put16};

/// A copy of an IPv4 packet for every raw socket of its protocol (Linux: raw_v4_input), header included. `head` begins with
/// the packet's header, `payload` is what is behind it. Whether any socket stands for the protocol.
pub(crate) fn input_v4(
    stack: &mut Stack,
    meta: &RxMeta,
    protocol: u8,
    payload: &[u8],
    head: &[u8],
) -> bool {
    let group = stack.raw.group(Domain::V4, protocol);
    if group.is_empty() {
        return false;
    }
    let mut packet = None;
    let mut taken = false;
    for id in group {
        let Some(socket) = stack.sockets.get(id) else {
            continue;
        };
        if !addresses_match(socket, meta) {
            continue;
        }
        taken = true;
        let filtered = socket
            .raw()
            .is_some_and(|raw| protocol == proto::ICMP && filtered_v4(raw, payload));
        if filtered || !stack.multicast_allows(id, meta.iface, meta.dst, meta.src) {
            continue;
        }
        let packet = packet.get_or_insert_with(|| whole_packet(head, payload));
        let (network, transport) = packet.split_at(packet.len() - payload.len());
        let view = View {
            start: 0,
            ..View::transport(network, transport, &[], meta, protocol)
        };
        enqueue(stack, id, &view, packet);
    }
    taken
}

/// A copy of what is behind the headers of an IPv6 `packet` for every raw socket of that protocol (Linux: ipv6_raw_deliver).
pub(crate) fn input_v6(
    stack: &mut Stack,
    meta: &RxMeta,
    protocol: u8,
    payload: &[u8],
    packet: &[u8],
) -> bool {
    let group = stack.raw.group(Domain::V6, protocol);
    let mut taken = false;
    for id in group {
        let Some(socket) = stack.sockets.get(id) else {
            continue;
        };
        let bound = socket.local().map(|local| local.ip());
        let to_group = meta.dst.is_multicast()
            && bound.is_some_and(|bound| !bound.is_unspecified())
            && peer_matches(socket, meta)
            && stack.multicast_allows(id, meta.iface, meta.dst, meta.src);
        if !addresses_match(socket, meta) && !to_group {
            continue;
        }
        taken = true;
        let Some(raw) = socket.raw() else {
            continue;
        };
        let out = protocol == proto::ICMPV6 && filtered_v6(raw, payload);
        if !out && (meta.csum_ok || checksum_fits(raw, meta, protocol, payload)) {
            let network = network_header(packet, payload);
            let view = View::transport(network, payload, &[], meta, protocol);
            enqueue(stack, id, &view, payload);
        }
    }
    taken
}

/// An echo reply: for the ping socket of its identifier (Linux: ping_rcv, ping_lookup).
pub(crate) fn echo_reply(
    stack: &mut Stack,
    meta: &RxMeta,
    ident: u16,
    message: &[u8],
    packet: &[u8],
) {
    if let Some(id) = ping_lookup(stack, ident, meta.dst) {
        let protocol = match meta.dst {
            IpAddr::V4(_) => proto::ICMP,
            IpAddr::V6(_) => proto::ICMPV6,
        };
        let network = network_header(packet, message);
        let view = View::transport(network, message, &[], meta, protocol);
        enqueue(stack, id, &view, message);
    }
}

fn ping_lookup(stack: &Stack, ident: u16, local: IpAddr) -> Option<SocketId> {
    let group = stack.raw.ping.get(&ident)?;
    // Of several that share the identifier Linux finds the latest.
    group.iter().copied().rev().find(|id| {
        stack.sockets.get(*id).is_some_and(|socket| {
            let domain = if local.is_ipv4() {
                Domain::V4
            } else {
                Domain::V6
            };
            let bound = socket.local().map(|local| local.ip());
            socket.domain == domain
                && bound.is_none_or(|bound| bound.is_unspecified() || bound == local)
        })
    })
}

/// An ICMP error about a packet that a raw or ping socket may have sent; `transport` is what it quotes behind the IP header. Hard
/// errors are told to connected sockets (Linux: raw_err, rawv6_err, ping_err).
pub(crate) fn icmp_error(stack: &mut Stack, error: &IcmpError, protocol: u8, transport: &[u8]) {
    let (local, remote) = (error.local.ip(), error.remote.ip());
    let domain = if remote.is_ipv4() {
        Domain::V4
    } else {
        Domain::V6
    };
    let mut concerned: Group = stack.raw.group(domain, protocol);
    if matches!(protocol, proto::ICMP | proto::ICMPV6)
        && let Some(&[hi, lo]) = transport.get(4..6)
        && let Some(id) = ping_lookup(stack, u16::from_be_bytes([hi, lo]), local)
    {
        concerned.push(id);
    }
    for id in concerned {
        let Some(socket) = stack.sockets.get_mut(id) else {
            continue;
        };
        let bound = socket.local().map(|local| local.ip());
        let from_it = bound.is_none_or(|bound| bound.is_unspecified() || bound == local);
        if let Some(mtu) = error.mtu.filter(|_| from_it) {
            stack.ip.update_path_mtu(remote, mtu);
        }
        let to_it = socket.peer().is_some_and(|peer| peer.ip() == remote);
        let wanted = from_it && socket.wants_errors(remote.is_ipv6());
        if wanted {
            // raw_err gives what is behind the IP header, ping_err the echo request's data.
            let skip = if socket.kind() == Kind::Ping { 8 } else { 0 };
            let report = Report {
                name: Some(SocketAddr::new(remote, 0)),
                data: transport.get(skip..).map(Arc::from),
                ..error.report()
            };
            stack.report_error(id, report);
        }
        if (wanted || (error.hard && to_it))
            && from_it
            && let Some(socket) = stack.sockets.get_mut(id)
        {
            socket.pending_error = Some(error.error);
            stack.notify(id, Ready::ERR);
        }
    }
}

/// Linux raw_v4_match, raw_v6_match: bound to the packet's destination or to none, connected to its source or to nobody, bound to
/// its interface or to none.
fn addresses_match(socket: &Socket, meta: &RxMeta) -> bool {
    let bound = socket.local().map(|local| local.ip());
    bound.is_none_or(|bound| bound.is_unspecified() || bound == meta.dst)
        && peer_matches(socket, meta)
        && socket.hears(meta.iface)
}

fn peer_matches(socket: &Socket, meta: &RxMeta) -> bool {
    socket.peer().is_none_or(|peer| peer.ip() == meta.src)
}

/// Linux icmp_filter: types of 32 and above always pass, and a message too short to have a header never does.
fn filtered_v4(raw: &RawSocket, message: &[u8]) -> bool {
    match message.get(..8).and_then(|header| header.first()) {
        None => true,
        Some(&kind @ 0..32) => raw.icmp_filter >> kind & 1 != 0,
        Some(_) => false,
    }
}

/// Linux icmpv6_filter.
fn filtered_v6(raw: &RawSocket, message: &[u8]) -> bool {
    let Some(&kind) = message.first() else {
        return true;
    };
    let word = raw.icmp6_filter.get(usize::from(kind >> 5));
    word.is_some_and(|word| word >> (kind & 31) & 1 != 0)
}

/// IPV6_CHECKSUM: packets whose checksum is wrong are not for the program (RFC 3542 3.1).
fn checksum_fits(raw: &RawSocket, meta: &RxMeta, protocol: u8, payload: &[u8]) -> bool {
    if raw.checksum.is_none() {
        return true;
    }
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let sum = checksum::pseudo_header(meta.src, meta.dst, protocol, len);
    sum.add(payload).finish() == 0
}

/// The header in `head` and the payload. Of a datagram put together from fragments the header becomes that of the whole.
fn whole_packet(head: &[u8], payload: &[u8]) -> Vec<u8> {
    let len = ipv4::Header::parse_quoted(head).map_or(0, |header| header.header_len);
    let mut packet = head.get(..len).unwrap_or_default().to_vec();
    let total = u16::try_from(len + payload.len()).unwrap_or(u16::MAX);
    let fragment = crate::wire::be16(&packet, 6) & (ipv4::MF | 0x1fff);
    if fragment != 0 || crate::wire::be16(&packet, 2) != total {
        put16(&mut packet, 2, total);
        put16(&mut packet, 6, 0);
        put16(&mut packet, 10, 0);
        let sum = checksum::of(&packet);
        put16(&mut packet, 10, sum);
    }
    packet.extend_from_slice(payload);
    packet
}

/// Queues what the socket is given of a packet, as much as its filter leaves of it.
fn enqueue(stack: &mut Stack, id: SocketId, view: &View<'_>, data: &[u8]) {
    let Some(keep) = stack.filtered(id, view, 1) else {
        return;
    };
    let data = data.get(..keep).unwrap_or(data);
    let meta = view.meta;
    let arrival = Arrival {
        dst: SocketAddr::new(meta.dst, 0),
        ttl: meta.ttl,
        tos: meta.tos,
        interface: meta.iface.index() as u8,
        at: stack.ip.now(),
    };
    let options = stack.told_options(id);
    let Some(socket) = stack.sockets.get_mut(id) else {
        return;
    };
    let rcvbuf = socket.opts.rcvbuf();
    let Some(raw) = socket.raw_mut() else {
        return;
    };
    // sin_port of a raw socket's sender is 0 (raw(7)).
    let from = SocketAddr::new(meta.src, 0);
    let options = [&options[0][..], &options[1][..]];
    let queue = &mut raw.inbox.queue;
    if queue.push(from, data, rcvbuf, arrival, 0, options) {
        stack.notify(id, Ready::IN);
    } else {
        stack.stats.queue_full += 1;
    }
}
