//! IGMP's packets: version 1 (RFC 1112), 2 (RFC 2236) and 3 (RFC 3376).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::host::{Message, Query, Record};
use crate::ip::{RxMeta, Via, proto};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::vnet::VnetHdr;
use crate::wire::{be16, be32, checksum, ipv4, put16, put32};

const QUERY: u8 = 0x11;
const REPORT_V1: u8 = 0x12;
const REPORT_V2: u8 = 0x16;
const LEAVE: u8 = 0x17;
const REPORT_V3: u8 = 0x22;

/// RFC 2236 9.
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// RFC 3376 4.2.14: IGMPv3-capable routers.
const REPORTS_TO: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// Bytes of a message without sources or records.
const HEADER_LEN: usize = 8;
/// Bytes of the IPv4 header with the Router Alert option.
const IP_LEN: usize = ipv4::HEADER_LEN + 4;
/// RFC 3376 4: type of service of what a host sends.
const TOS: u8 = 0xc0;
/// RFC 3376 7.2.1: a version 1 query says nothing of a delay; it is this.
const DELAY_V1: Duration = Duration::from_secs(10);

/// A message that came by the device or round inside.
pub(crate) fn input(stack: &mut Stack, now: Instant, meta: &RxMeta, message: &[u8]) {
    if message.len() < HEADER_LEN {
        stack.stats.malformed += 1;
        return;
    }
    if !meta.csum_ok && checksum::of(message) != 0 {
        stack.stats.bad_checksum += 1;
        return;
    }
    if meta.local {
        return;
    }
    let group = Ipv4Addr::from(be32(message, 4));
    match message.first() {
        Some(&QUERY) => match query(message, group) {
            Some(query) => stack.multicast.v4.heard_query(now, &query),
            None => stack.stats.malformed += 1,
        },
        Some(&(REPORT_V1 | REPORT_V2)) if meta.dst.is_multicast() => {
            stack.multicast.v4.heard_report(now, group.into());
        }
        _ => {}
    }
}

/// RFC 3376 4.1 and 7.1: which version a query is of is told by its length.
fn query(message: &[u8], group: Ipv4Addr) -> Option<Query> {
    let code = message.get(1).copied()?;
    let tenths = |n: u32| Duration::from_millis(u64::from(n) * 100);
    let mut query = Query {
        version: 3,
        group: (!group.is_unspecified()).then_some(IpAddr::V4(group)),
        sources: Vec::new(),
        max_response: tenths(expanded(code)),
        robustness: 0,
        interval: Duration::ZERO,
    };
    match (message.len(), code) {
        (HEADER_LEN, 0) => {
            query.version = 1;
            query.group = None;
            query.max_response = DELAY_V1;
        }
        (HEADER_LEN, _) => {
            query.version = 2;
            query.max_response = tenths(u32::from(code));
        }
        (12.., _) => {
            query.robustness = message.get(8)? & 7;
            query.interval = Duration::from_secs(u64::from(expanded(*message.get(9)?)));
            let count = usize::from(be16(message, 10));
            let sources = message.get(12..12 + count * 4)?;
            query.sources = sources
                .chunks_exact(4)
                .map(|s| IpAddr::V4(be32(s, 0).into()))
                .collect();
            if query.group.is_none() && !query.sources.is_empty() {
                return None;
            }
        }
        // RFC 3376 7.1: other lengths are ignored.
        _ => return None,
    }
    Some(query)
}

/// RFC 3376 4.1.1 and 4.1.7, RFC 3810 5.1.9: from 128 on a floating-point number.
pub(super) fn expanded(code: u8) -> u32 {
    match code {
        0..128 => u32::from(code),
        _ => u32::from(code & 0x0f | 0x10) << ((code >> 4 & 7) + 3),
    }
}

/// Sends what is due.
pub(super) fn run(stack: &mut Stack, now: Instant) {
    for message in stack.multicast.v4.run(now) {
        match message {
            Message::Records(records) => send_records(stack, &records),
            Message::Report { version, group } => {
                let kind = if version == 1 { REPORT_V1 } else { REPORT_V2 };
                send_short(stack, kind, group, None);
            }
            Message::Leave(group) => send_short(stack, LEAVE, group, Some(ALL_ROUTERS)),
        }
    }
}

/// RFC 2236 2: a report goes to the group itself, a leave to all routers.
fn send_short(stack: &mut Stack, kind: u8, group: IpAddr, to: Option<Ipv4Addr>) {
    let IpAddr::V4(group) = group else {
        return;
    };
    let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
    put32(&mut message, 4, group.into());
    send(stack, to.unwrap_or(group), message);
}

/// RFC 3376 4.2.16: as many reports as the device's packets ask for.
fn send_records(stack: &mut Stack, records: &[Record]) {
    let room = (stack.ip.device_mtu() as usize).saturating_sub(IP_LEN);
    for report in super::mld::reports(REPORT_V3, records, room) {
        send(stack, REPORTS_TO, report);
    }
}

/// One message in a packet with TTL 1 and Router Alert (RFC 2113). A host without an address says 0.0.0.0 (RFC 3376 4.2.13).
fn send(stack: &mut Stack, to: Ipv4Addr, mut message: Vec<u8>) {
    let sum = checksum::of(&message);
    put16(&mut message, 2, sum);
    let own = stack.ip.addrs().iter().find_map(|net| match net.addr() {
        IpAddr::V4(addr) => Some(addr),
        IpAddr::V6(_) => None,
    });
    let repr = ipv4::Repr {
        src: own.unwrap_or(Ipv4Addr::UNSPECIFIED),
        dst: to,
        proto: proto::IGMP,
        ttl: 1,
        tos: TOS,
        id: 0,
        fragment: ipv4::DF,
        payload_len: message.len() + 4,
    };
    let mut header = [0; IP_LEN];
    header[..ipv4::HEADER_LEN].copy_from_slice(&repr.emit());
    header[0] = 0x46;
    header[ipv4::HEADER_LEN..].copy_from_slice(&[0x94, 4, 0, 0]);
    put16(&mut header, 10, 0);
    let sum = checksum::of(&header);
    put16(&mut header, 10, sum);
    let mut frame = stack.ip.queue().buffer();
    frame.extend_from_slice(&VnetHdr::default().emit());
    frame.extend_from_slice(&header);
    frame.extend_from_slice(&message);
    // A full queue loses it; that is counted there, and what matters is said twice.
    let _ = stack.ip.push(Via::OUT, frame);
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn codes_from_128_on_are_floating_point() {
        assert_eq!(expanded(127), 127);
        assert_eq!(expanded(128), 128);
        assert_eq!(expanded(0x8f), 31 << 3);
        assert_eq!(expanded(0xff), 31 << 10);
    }

    #[test]
    fn the_length_tells_the_version() {
        let group = Ipv4Addr::new(224, 1, 2, 3);
        let of =
            |bytes: &[u8]| query(bytes, group).map(|q| (q.version, q.max_response.as_millis()));
        assert_eq!(of(&[0x11, 0, 0, 0, 0, 0, 0, 0]), Some((1, 10_000)));
        assert_eq!(of(&[0x11, 20, 0, 0, 0, 0, 0, 0]), Some((2, 2_000)));
        assert_eq!(of(&[0x11, 20, 0, 0, 224, 1, 2, 3, 0, 0]), None);
        let v3 = [0x11, 20, 0, 0, 224, 1, 2, 3, 2, 125, 0, 0];
        assert_eq!(of(&v3), Some((3, 2_000)));
        let cut = [0x11, 20, 0, 0, 224, 1, 2, 3, 2, 125, 0, 1, 10, 0, 0];
        assert_eq!(of(&cut), None);
    }
}
