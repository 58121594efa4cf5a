//! ICMP, RFC 792, RFC 1122 3.2.2, and ICMPv6, RFC 4443: echo, errors out, errors in.

mod errors;

use std::net::IpAddr;

use crate::ip::quote::Quoted;
use crate::ip::{DstKind, IcmpMessage, RxMeta, TxMeta, proto};
use crate::multicast::mld;
use crate::raw;
use crate::socket::table::DEFAULT_TTL;
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::checksum::{self, Sum};

/// ICMPv4 types (IANA).
mod v4 {
    pub(super) const ECHO_REPLY: u8 = 0;
    pub(super) const UNREACHABLE: u8 = 3;
    pub(super) const ECHO: u8 = 8;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const PARAMETER_PROBLEM: u8 = 12;
    pub(super) const TIMESTAMP: u8 = 13;
    pub(super) const TIMESTAMP_REPLY: u8 = 14;
}

/// ICMPv6 types (IANA).
mod v6 {
    pub(super) const UNREACHABLE: u8 = 1;
    pub(super) const TOO_BIG: u8 = 2;
    pub(super) const TIME_EXCEEDED: u8 = 3;
    pub(super) const PARAMETER_PROBLEM: u8 = 4;
    pub(super) const ECHO: u8 = 128;
    pub(super) const ECHO_REPLY: u8 = 129;
}

/// Bytes of every ICMP header that we send.
const HEADER_LEN: usize = 8;
/// RFC 1812 4.3.2.3: an ICMPv4 error is at most 576 bytes.
const QUOTE_V4: usize = 576 - 20 - HEADER_LEN;
/// RFC 4443 2.4 (c): an ICMPv6 error is at most 1280 bytes.
const QUOTE_V6: usize = 1280 - 40 - HEADER_LEN;

/// What is reported to the sender of a packet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Report {
    /// No socket has that port.
    PortUnreachable,
    /// IPv4: nobody speaks that protocol.
    ProtocolUnreachable,
    /// Fragments were missing when the time was over.
    ReassemblyTimeout,
    /// IPv6: something in the headers is wrong, at `pointer` bytes from the packet's start.
    ParameterProblem {
        /// RFC 4443 3.4.
        code: u8,
        /// Bytes from the start of the packet.
        pointer: u32,
        /// RFC 4443 2.4 (e.3): an option with action bits 10 is reported even when it was sent to a group.
        to_multicast: bool,
    },
}

/// Errors sent per second are limited, RFC 4443 2.4 (f): a token bucket.
#[derive(Debug)]
pub(crate) struct Limiter {
    tokens: u32,
    since: Instant,
}

/// Errors per second (Linux: icmp_msgs_per_sec).
const RATE: u64 = 1000;
/// Errors at once (Linux: icmp_msgs_burst).
const BURST: u32 = 50;

impl Limiter {
    /// A full bucket.
    pub(crate) fn new() -> Limiter {
        Limiter {
            tokens: BURST,
            since: Instant::ZERO,
        }
    }

    /// Whether one more error may go now.
    fn allow(&mut self, now: Instant) -> bool {
        let per_token = 1_000_000 / RATE;
        let elapsed = now.as_micros().saturating_sub(self.since.as_micros());
        let fresh = elapsed / per_token;
        if fresh >= u64::from(BURST) {
            self.tokens = BURST;
            self.since = now;
        } else {
            self.tokens = (self.tokens + fresh as u32).min(BURST);
            self.since = Instant::from_micros(self.since.as_micros() + fresh * per_token);
        }
        let allowed = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        allowed
    }
}

/// Sends an error about the packet `quote` that came with `meta`, unless the rules forbid it (RFC 1122 3.2.2, RFC 4443 2.4 (e)).
pub(crate) fn report(stack: &mut Stack, now: Instant, meta: &RxMeta, quote: &[u8], what: Report) {
    let to_group = meta.dst_kind != DstKind::Unicast;
    let despite_group = matches!(
        what,
        Report::ParameterProblem {
            to_multicast: true,
            ..
        }
    );
    if to_group && !(despite_group && meta.dst_kind == DstKind::Multicast) {
        return;
    }
    let Some(quoted) = Quoted::parse(quote) else {
        return;
    };
    // RFC 1122 3.2.2: nor about fragments other than the first; RFC 8200 4.5 wants some of those reported.
    if quoted.is_icmp_error() || (quoted.later_fragment && quoted.src.is_ipv4()) {
        return;
    }
    // Packets of our own that go round inside are no burden to anybody (Linux: icmp_global_allow skips loopback).
    if !meta.local && !stack.icmp_limiter.allow(now) {
        stack.stats.queue_full += 1;
        return;
    }
    let Some((kind, code, rest)) = encode(what, meta.src.is_ipv4()) else {
        return;
    };
    let limit = if meta.src.is_ipv4() {
        QUOTE_V4
    } else {
        QUOTE_V6
    };
    let quote = quote.get(..limit).unwrap_or(quote);
    let us = (!to_group).then_some(meta.dst);
    send(stack, meta.src, us, 0, [kind, code], rest, quote);
}

/// Type, code and second word of a report; `None` when the family has no such message.
fn encode(what: Report, ipv4: bool) -> Option<(u8, u8, u32)> {
    Some(match (what, ipv4) {
        (Report::PortUnreachable, true) => (v4::UNREACHABLE, 3, 0),
        (Report::PortUnreachable, false) => (v6::UNREACHABLE, 4, 0),
        (Report::ProtocolUnreachable, true) => (v4::UNREACHABLE, 2, 0),
        (Report::ProtocolUnreachable, false) => return None,
        (Report::ReassemblyTimeout, true) => (v4::TIME_EXCEEDED, 1, 0),
        (Report::ReassemblyTimeout, false) => (v6::TIME_EXCEEDED, 1, 0),
        (Report::ParameterProblem { code, pointer, .. }, true) => {
            (v4::PARAMETER_PROBLEM, code, pointer << 24)
        }
        (Report::ParameterProblem { code, pointer, .. }, false) => {
            (v6::PARAMETER_PROBLEM, code, pointer)
        }
    })
}

/// Sends one message from `us` (or whatever address the path has). What cannot be sent is lost, like any datagram.
fn send(
    stack: &mut Stack,
    to: IpAddr,
    us: Option<IpAddr>,
    tos: u8,
    [kind, code]: [u8; 2],
    rest: u32,
    body: &[u8],
) {
    if to.is_unspecified() {
        return;
    }
    let Ok(path) = stack.ip.path(to, us) else {
        return;
    };
    let mut header = [0u8; HEADER_LEN];
    header[0] = kind;
    header[1] = code;
    header[4..].copy_from_slice(&rest.to_be_bytes());
    let (protocol, sum) = match to {
        IpAddr::V4(_) => (proto::ICMP, Sum::default()),
        IpAddr::V6(_) => {
            let len = u32::try_from(HEADER_LEN + body.len()).unwrap_or(u32::MAX);
            let sum = checksum::pseudo_header(path.src, to, proto::ICMPV6, len);
            (proto::ICMPV6, sum)
        }
    };
    let checksum = sum.add(&header).add(body).finish();
    header[2..4].copy_from_slice(&checksum.to_be_bytes());
    let payload = [&header[..], body];
    // A full queue loses it; that is counted there.
    let meta = TxMeta {
        src: path.src,
        dst: to,
        proto: protocol,
        ttl: DEFAULT_TTL,
        tos,
        df: false,
    };
    // Of what a packet had that is answered, the answer has what it may (RFC 1122 3.2.2.6).
    let options = stack.answering_options(path.src);
    let _ = stack.ip.send_with(0, &meta, &payload, &options);
}

/// What sockets are told of an error message; of ICMPv4 `info` counts for parameter problems only.
fn message_of(meta: &RxMeta, now: Instant, [kind, code]: [u8; 2], info: u32) -> IcmpMessage {
    let tells = match meta.src {
        IpAddr::V4(_) => kind == v4::PARAMETER_PROBLEM,
        IpAddr::V6(_) => true,
    };
    IcmpMessage {
        offender: meta.src,
        dst: meta.dst,
        kind,
        code,
        info: if tells { info } else { 0 },
        ttl: meta.ttl,
        tos: meta.tos,
        iface: meta.iface,
        at: now,
    }
}

/// An ICMPv4 message for us, in `packet`.
pub(crate) fn input_v4(
    stack: &mut Stack,
    now: Instant,
    meta: &RxMeta,
    message: &[u8],
    packet: &[u8],
) {
    let Some((&[kind, code, _, _, r0, r1, r2, r3], body)) = message.split_first_chunk::<8>() else {
        stack.stats.malformed += 1;
        return;
    };
    if !meta.csum_ok && checksum::of(message) != 0 {
        stack.stats.bad_checksum += 1;
        return;
    }
    let rest = u32::from_be_bytes([r0, r1, r2, r3]);
    match kind {
        // RFC 1122 3.2.2.6: answered; to a broadcast or group it may be ignored (Linux: icmp_echo_ignore_broadcasts).
        v4::ECHO if meta.dst_kind == DstKind::Unicast => {
            let (to, us) = (meta.src, Some(meta.dst));
            send(stack, to, us, meta.tos, [v4::ECHO_REPLY, 0], rest, body);
        }
        v4::UNREACHABLE | v4::TIME_EXCEEDED | v4::PARAMETER_PROBLEM => {
            if let Some(fault) = errors::classify_v4(kind, code, rest, body) {
                let message = message_of(meta, now, [kind, code], rest >> 24);
                errors::input(stack, now, fault, message, body);
            }
        }
        v4::ECHO_REPLY => raw::input::echo_reply(stack, meta, (rest >> 16) as u16, message, packet),
        v4::TIMESTAMP if meta.dst_kind == DstKind::Unicast => {
            timestamp(stack, meta, rest, body);
        }
        // The rest (redirect, router discovery) is not for a host on a tunnel.
        _ => {}
    }
}

/// RFC 792, RFC 1122 3.2.2.8: their time comes back, with that of arrival and of the answer: the same here (icmp_timestamp).
fn timestamp(stack: &mut Stack, meta: &RxMeta, rest: u32, body: &[u8]) {
    let Some(theirs) = body.first_chunk::<4>() else {
        stack.stats.malformed += 1;
        return;
    };
    let ours = stack.day_ms().to_be_bytes();
    let body = [*theirs, ours, ours].concat();
    let (to, us) = (meta.src, Some(meta.dst));
    send(
        stack,
        to,
        us,
        meta.tos,
        [v4::TIMESTAMP_REPLY, 0],
        rest,
        &body,
    );
}

/// An ICMPv6 message for us, in `packet`.
pub(crate) fn input_v6(
    stack: &mut Stack,
    now: Instant,
    meta: &RxMeta,
    message: &[u8],
    packet: &[u8],
) {
    let Some((&[kind, code, _, _, r0, r1, r2, r3], body)) = message.split_first_chunk::<8>() else {
        stack.stats.malformed += 1;
        return;
    };
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let sum = checksum::pseudo_header(meta.src, meta.dst, proto::ICMPV6, len);
    if !meta.csum_ok && sum.add(message).finish() != 0 {
        stack.stats.bad_checksum += 1;
        return;
    }
    let rest = u32::from_be_bytes([r0, r1, r2, r3]);
    match kind {
        // RFC 4443 4.2: answered, to a group as well, from an address of ours.
        v6::ECHO => {
            let us = (meta.dst_kind == DstKind::Unicast).then_some(meta.dst);
            let reply = [v6::ECHO_REPLY, 0];
            send(stack, meta.src, us, meta.tos, reply, rest, body);
        }
        v6::UNREACHABLE | v6::TOO_BIG | v6::TIME_EXCEEDED | v6::PARAMETER_PROBLEM => {
            if let Some(fault) = errors::classify_v6(kind, code, rest) {
                let message = message_of(meta, now, [kind, code], rest);
                errors::input(stack, now, fault, message, body);
            }
        }
        v6::ECHO_REPLY => raw::input::echo_reply(stack, meta, (rest >> 16) as u16, message, packet),
        mld::QUERY | mld::REPORT_V1 => mld::input(stack, now, meta, message),
        // A tunnel has no neighbours or routers to discover.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_lets_a_burst_through_and_then_the_rate() {
        let mut limiter = Limiter::new();
        let at = |ms: u64| Instant::from_micros(10_000_000 + ms * 1000);
        let allowed =
            |limiter: &mut Limiter, ms| (0..100).filter(|_| limiter.allow(at(ms))).count();
        assert_eq!(allowed(&mut limiter, 0), 50);
        assert_eq!(allowed(&mut limiter, 0), 0);
        assert_eq!(allowed(&mut limiter, 10), 10);
        assert_eq!(allowed(&mut limiter, 1010), 50);
    }
}
