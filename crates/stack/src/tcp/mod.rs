//! TCP (RFC 9293).
//!
//! The life of a segment: [`input`] finds the 4-tuple's flow. A connection's segment goes through `input.rs` step by step in the
//! RFC's order and comes back as a verdict, which `connection.rs` carries out (wake, end, TIME-WAIT); what is to be sent is not
//! decided there but at the next [`transmit`], segment by segment, by `output.rs`. What was lost is decided in `recovery.rs` alone,
//! how much may be in flight in `congestion/`. Passive opens (`half_open.rs`) and TIME-WAIT (`time_wait.rs`) have forms of their own
//! that hold little. Socket calls are in `calls.rs` and `data.rs`, in Linux's order of checks.

mod ack;
mod assembler;
mod audit;
mod bytes;
pub(crate) mod calls;
mod congestion;
mod connection;
mod data;
mod ecn;
mod emit;
mod half_open;
mod info;
mod input;
mod layer;
mod listener;
mod mss;
mod options;
mod output;
mod prr;
mod rack;
mod recovery;
mod rtt;
mod sent;
pub(crate) mod seq;
mod syn_cookie;
mod tcb;
mod time_wait;
mod timers;
mod tuple;
mod vars;

use std::io::IoSlice;

use crate::ip::{DstKind, IcmpError, Path, RxMeta, proto};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::checksum::pseudo_header;
use crate::wire::tcp::{Flags, Header};

use input::Segment;
use layer::{Flow, TimerKey};
pub(crate) use layer::{TcpLayer, TcpSocket};
use tuple::Tuple;

/// Takes a TCP segment that arrived at `now`.
pub(crate) fn input(stack: &mut Stack, now: Instant, meta: &RxMeta, segment: &[u8]) {
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
    let seg = Segment {
        header: &header,
        payload,
        gso_size: meta.gso_size,
        tos: meta.tos,
    };
    match stack.tcp.flows.get(&tuple).copied() {
        Some(Flow::Conn(id)) => connection::input(stack, now, id, seg),
        Some(Flow::HalfOpen(id)) => half_open::input(stack, now, id, &seg),
        Some(Flow::TimeWait(id)) => time_wait::input(stack, now, id, &seg),
        None => match listener::find(stack, &tuple) {
            Some(id) => listener::input(stack, now, id, tuple, &seg),
            None => closed(stack, &tuple, &seg),
        },
    }
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

/// An ICMP error about a segment of ours (RFC 9293 3.9.2.2, RFC 5927 4).
pub(crate) fn icmp_error(stack: &mut Stack, now: Instant, error: &IcmpError) {
    let tuple = Tuple::new(error.local, error.remote);
    match stack.tcp.flows.get(&tuple).copied() {
        Some(Flow::Conn(id)) => connection::icmp_error(stack, now, id, error),
        Some(Flow::HalfOpen(id)) => half_open::icmp_error(stack, id, error),
        _ => {}
    }
}

/// Hands every segment that may go now to `sink`, those to ourselves round inside.
pub(crate) fn transmit(stack: &mut Stack, now: Instant, sink: &mut dyn FnMut(&[IoSlice<'_>])) {
    while let Some(id) = stack.tcp.tx.pop_front() {
        connection::output(stack, now, id, sink);
    }
}

/// Lets every deadline up to `now` do its work.
pub(crate) fn handle_timers(stack: &mut Stack, now: Instant) {
    // Bounded, so that a deadline armed for the past by mistake costs a wake-up and not the program.
    for _ in 0..2 * stack.tcp.deadlines_armed() + 16 {
        let Some((at, key)) = stack.tcp.pop_due(now) else {
            break;
        };
        match key {
            TimerKey::Conn(id) => connection::on_timer(stack, now, at, id),
            TimerKey::HalfOpen(id) => half_open::on_timer(stack, now, id),
        }
    }
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
