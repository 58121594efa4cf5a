//! The short way in of the plainest segments: IPv4 from the device, no options but timestamps, for a connection whose segments came of late. What is
//! looked at is what the long way looks at (`ip/input.rs`, `tcp::input`), in one go; whatever is not of that kind, or in any way wrong, is
//! left to the long way, which counts and answers it.

use std::net::{IpAddr, Ipv4Addr};

use super::connection;
use super::input::Segment;
use super::tuple::Tuple;
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::segment::Plain;

/// Takes a frame from the device if it is such a segment.
#[inline]
pub(crate) fn input(stack: &mut Stack, now: Instant, frame: &[u8]) -> bool {
    match Plain::parse(frame) {
        Some(plain) => take(stack, now, &plain),
        None => false,
    }
}

#[inline]
fn take(stack: &mut Stack, now: Instant, plain: &Plain<'_>) -> bool {
    #[cfg(test)]
    if stack.tcp.predicts_nothing {
        return false;
    }
    // Raw sockets and filters look at whole packets; who is bound to an interface, or wants near neighbours alone, does not take from all.
    let looked_at =
        stack.raw.any() || stack.filters_matter || stack.ifaces_matter || stack.min_ttl_matters;
    if looked_at || !stack.ip.is_stranger(plain.src) {
        return false;
    }
    let tuple = Tuple {
        local: IpAddr::V4(Ipv4Addr::from_bits(plain.dst)),
        remote: IpAddr::V4(Ipv4Addr::from_bits(plain.src)),
        local_port: plain.header.dst_port,
        remote_port: plain.header.src_port,
    };
    // That the destination is an address of ours, and no loopback, was seen when it was remembered.
    let Some(id) = stack.recent_flow(&tuple) else {
        return false;
    };
    stack.packets = stack.packets.wrapping_add(1);
    let seg = Segment {
        header: &plain.header,
        payload: plain.text,
        gso_size: plain.gso_size,
        tos: plain.tos,
        ttl: plain.ttl,
    };
    connection::input(stack, now, id, seg);
    true
}
