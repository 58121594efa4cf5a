//! TCP (RFC 9293).
//!
//! The life of a segment: [`input`] finds the 4-tuple's flow. A connection's segment goes through `input.rs` step by step in the
//! RFC's order and comes back as a verdict, which `connection.rs` carries out (wake, end, TIME-WAIT); what is to be sent is not
//! decided there but at the next [`transmit`], segment by segment, by `output.rs`. What was lost is decided in `recovery.rs` alone,
//! how much may be in flight in `congestion/`. Passive opens (`half_open.rs`) and TIME-WAIT (`time_wait.rs`) have forms of their own
//! that hold little; a SYN whose text is taken makes a connection at once (`fastopen_server.rs`). Socket calls are in `calls.rs` and `data.rs`, in Linux's order of checks.

mod ack;
mod assembler;
mod audit;
mod batch;
mod buffers;
mod bytes;
pub(crate) mod calls;
mod cold;
mod congestion;
mod connection;
mod data;
mod direct;
pub(crate) mod direct_input;
mod ecn;
mod emit;
mod fastopen;
pub(crate) mod fastopen_client;
mod fastopen_server;
mod flows;
mod gather;
mod half_open;
mod in_place;
mod info;
mod input;
mod layer;
mod listener;
pub(crate) mod marks;
mod memory;
mod mss;
mod mtu_search;
mod options;
mod output;
mod pacing;
mod pieces;
mod predicted;
mod prr;
mod rack;
mod rate;
mod records;
mod recovery;
mod recv_queue;
mod rtt;
mod sent;
pub(crate) mod seq;
mod sizing;
mod syn_cookie;
mod tcb;
mod time_wait;
mod timers;
mod tuple;
mod vars;
mod write;

use crate::filter::{View, network_header};
use crate::ip::{DstKind, IcmpError, Iface, Path, RxMeta, proto};
use crate::sink::Sink;
use crate::socket::SocketId;
use crate::socket::table::Socket;
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::checksum::pseudo_header;
use crate::wire::tcp::{Flags, Header};

pub use buffers::Buffers;
pub(crate) use bytes::CHUNK;
use flows::Flow;
pub use in_place::Place;
use input::Segment;
pub(crate) use layer::{TcpLayer, TcpSocket};
pub(crate) use listener::beside as listeners_beside;
use time_wait::TimeWait;
use tuple::Tuple;

/// Takes a TCP segment that arrived at `now`; `quote` is its whole packet.
pub(crate) fn input(stack: &mut Stack, now: Instant, meta: &RxMeta, segment: &[u8], quote: &[u8]) {
    let Some((header, payload)) = Header::parse(segment) else {
        stack.stats.malformed += 1;
        return;
    };
    // MUST-3. Nothing is verified again where it was verified, or never computed, below.
    if !meta.csum_ok {
        let sum = pseudo_header(meta.src, meta.dst, proto::TCP, segment.len() as u32).add(segment);
        if sum.finish() != 0 {
            stack.stats.bad_checksum += 1;
            return;
        }
    }
    // MUST-57, MUST-63: not from or to a broadcast or multicast address.
    if meta.dst_kind != DstKind::Unicast || meta.src.is_multicast() || meta.src.is_unspecified() {
        stack.stats.not_ours += 1;
        return;
    }
    let tuple = Tuple {
        local: meta.dst,
        remote: meta.src,
        local_port: header.dst_port,
        remote_port: header.src_port,
    };
    let mut seg = Segment {
        header: &header,
        payload,
        gso_size: meta.gso_size,
        tos: meta.tos,
        ttl: meta.ttl,
    };
    let view = || {
        let (head, text) = segment.split_at(segment.len() - payload.len());
        let network = network_header(quote, segment);
        View::transport(network, head, text, meta, proto::TCP)
    };
    let flow = stack.flow_of_segment(&tuple, meta.local);
    let flow = flow.filter(|flow| !stack.ifaces_matter || hears(stack, *flow, meta.iface));
    if stack.min_ttl_matters && !takes_ttl(stack, flow, &tuple, &view()) {
        return;
    }
    if stack.filters_matter {
        match filtered(stack, flow, &tuple, &view()) {
            Some(keep) => seg.payload = seg.payload.get(..keep).unwrap_or(seg.payload),
            None => return,
        }
    }
    match flow {
        Some(Flow::Conn(id)) => connection::input(stack, now, id, seg),
        Some(Flow::HalfOpen(id)) => half_open::input(stack, now, id, &seg),
        Some(Flow::TimeWait(id)) => time_wait::input(stack, now, id, meta.iface, &seg),
        None => match listener::find(stack, &tuple, meta.iface, Some(&view())) {
            Some(id) => listener::input(stack, now, id, tuple, &seg),
            None => closed(stack, &tuple, &seg),
        },
    }
}

/// Whether a segment has come with as many hops left as its socket wants (RFC 5082; Linux: tcp_v4_rcv, TCPMINTTLDROP).
fn takes_ttl(stack: &Stack, flow: Option<Flow>, tuple: &Tuple, view: &View<'_>) -> bool {
    owner(stack, flow, tuple, view)
        .and_then(|id| stack.sockets.get(id))
        .is_none_or(|socket| socket.takes_ttl(!tuple.is_v4(), view.meta.ttl))
}

/// The socket that a segment is for: a connection, or a listener.
fn owner(stack: &Stack, flow: Option<Flow>, tuple: &Tuple, view: &View<'_>) -> Option<SocketId> {
    match flow {
        Some(Flow::Conn(id)) => Some(id),
        Some(Flow::HalfOpen(id)) => stack.tcp.half_open.get(id).map(|entry| entry.listener),
        Some(Flow::TimeWait(_)) => None,
        None => listener::find(stack, tuple, view.meta.iface, Some(view)),
    }
}

/// How many octets of the payload the filter of the segment's socket leaves; `None`: the segment is not for it (tcp_filter).
fn filtered(
    stack: &mut Stack,
    flow: Option<Flow>,
    tuple: &Tuple,
    view: &View<'_>,
) -> Option<usize> {
    let Some(id) = owner(stack, flow, tuple, view) else {
        return Some(view.len());
    };
    let head = view.parts[1].len();
    let keep = stack.filtered(id, view, head)?;
    Some(keep.saturating_sub(head))
}

/// Whether segments that come by `iface` are the flow's (INET_MATCH).
fn hears(stack: &Stack, flow: Flow, iface: Iface) -> bool {
    let of = |id| stack.sockets.get(id).map(Socket::bound_if);
    let bound = match flow {
        Flow::Conn(id) => of(id),
        Flow::HalfOpen(id) => (stack.tcp.half_open.get(id)).and_then(|entry| of(entry.listener)),
        Flow::TimeWait(id) => stack.tcp.time_wait.get(id).map(TimeWait::bound_if),
    };
    bound.is_none_or(|index| index == 0 || index == iface.index())
}

/// The frame in `buffer` is done with; see [`Stack::handle_buffer`].
pub(crate) fn keep_frame(stack: &mut Stack, buffer: &mut Box<[u8]>) -> Option<SocketId> {
    connection::keep_frame(stack, buffer)
}

/// A segment for nobody (RFC 9293 3.10.7.1).
fn closed(stack: &mut Stack, tuple: &Tuple, seg: &Segment<'_>) {
    let h = seg.header;
    if h.has(Flags::RST) {
        return;
    }
    if h.has(Flags::ACK) {
        emit::reset(stack, tuple, h.ack, None);
    } else {
        emit::reset(stack, tuple, seq::SeqNum::new(0), Some(h.seq + seg.len()));
    }
}

/// An ICMP error about a segment of ours, of which `quoted` is there (RFC 9293 3.9.2.2, RFC 5927 4).
pub(crate) fn icmp_error(stack: &mut Stack, now: Instant, error: &IcmpError, quoted: &[u8]) {
    let tuple = Tuple::new(error.local, error.remote);
    match stack.flow(&tuple) {
        Some(Flow::Conn(id)) => connection::icmp_error(stack, now, id, error, quoted),
        Some(Flow::HalfOpen(id)) => half_open::icmp_error(stack, id, error),
        _ => {}
    }
}

/// The routes are others now: connections learn what their ways carry. Segments become longer only when a probe has found that longer
/// ones arrive.
pub(crate) fn rerouted(stack: &mut Stack) {
    let Stack { sockets, ip, .. } = stack;
    let ids: Vec<_> = sockets.iter().map(|(id, _)| id).collect();
    for id in ids {
        if let Some(tcb) = connection::tcb_mut(sockets, id)
            && let Ok(path) = ip.path(tcb.tuple.remote, Some(tcb.tuple.local))
        {
            tcb.path_changed(path);
        }
    }
}

/// The device takes nothing of what may go now.
pub(crate) fn hold_back(stack: &mut Stack, now: Instant) {
    for at in 0..stack.tcp.tx.len() {
        if let Some(&id) = stack.tcp.tx.get(at) {
            connection::hold_back(stack, now, id);
        }
    }
}

/// Hands every segment that may go now to `sink`, those to ourselves round inside.
pub(crate) fn transmit(stack: &mut Stack, now: Instant, sink: &mut dyn Sink) {
    while let Some(id) = stack.tcp.tx.pop_front() {
        connection::output(stack, now, id, sink);
    }
    memory::wake(stack);
}

/// Lets every deadline up to `now` do its work.
pub(crate) fn handle_timers(stack: &mut Stack, now: Instant) {
    // Bounded, so that a deadline armed for the past by mistake costs a wake-up and not the program.
    for _ in 0..2 * stack.tcp.deadlines_armed() + 16 {
        let Some((at, id)) = stack.tcp.pop_due(now) else {
            break;
        };
        connection::on_timer(stack, now, at, id);
    }
    gather::expire(stack, now);
    half_open::expire(stack, now);
    time_wait::expire(stack, now);
}

/// When [`handle_timers`] has something to do next.
pub(crate) fn next_deadline(stack: &Stack) -> Option<Instant> {
    stack.tcp.next_deadline()
}

/// How many segments a super-segment has at least on this way; 0: the device does not cut them, there are none.
fn gso_for(stack: &Stack, tuple: &Tuple, path: &Path) -> u32 {
    let offload = stack.ip.offload();
    let cuts = if tuple.is_v4() {
        offload.tso4
    } else {
        offload.tso6
    };
    if path.local || !offload.csum || !cuts {
        return 0;
    }
    u32::from(stack.config.tso_segments_min).max(1)
}
#[cfg(test)]
mod sizes;
