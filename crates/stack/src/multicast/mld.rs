//! MLD's packets: version 1 (RFC 2710) and 2 (RFC 3810).

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::host::{Message, Query, Record, record};
use super::igmp;
use crate::ip::{RxMeta, TxMeta, Via, proto};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::vnet::VnetHdr;
use crate::wire::{be16, checksum, ipv6, put16};

/// Multicast Listener Query.
pub(crate) const QUERY: u8 = 130;
/// Version 1 Multicast Listener Report.
pub(crate) const REPORT_V1: u8 = 131;
/// Multicast Listener Done.
const DONE: u8 = 132;
/// Version 2 Multicast Listener Report.
const REPORT_V2: u8 = 143;

/// RFC 2710 4.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// RFC 3810 5.2.14: MLDv2-capable routers.
const REPORTS_TO: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
/// Hop-by-hop header with Router Alert (RFC 2711) and padding, ICMPv6 behind it.
const ROUTER_ALERT: [u8; 8] = [proto::ICMPV6, 0, 5, 2, 0, 0, 1, 0];
/// Bytes of a version 1 message, and of a version 2 query without sources.
const LEN_V1: usize = 24;
const LEN_V2: usize = 28;
/// Bytes of a version 2 report without records.
const REPORT_LEN: usize = 8;

/// A message about groups; its checksum holds. RFC 2710 3, RFC 3810 5: from a link-local address, never routed.
pub(crate) fn input(stack: &mut Stack, now: Instant, meta: &RxMeta, message: &[u8]) {
    let IpAddr::V6(src) = meta.src else {
        return;
    };
    let nobody = src.is_unspecified() && message.first() != Some(&QUERY);
    if meta.local || meta.ttl != 1 || !(src.is_unicast_link_local() || nobody) {
        stack.stats.not_ours += 1;
        return;
    }
    let Some(group) = address(message, 8) else {
        stack.stats.malformed += 1;
        return;
    };
    match message.first() {
        Some(&QUERY) => match query(message, group) {
            Some(query) => stack.multicast.v6.heard_query(now, &query),
            None => stack.stats.malformed += 1,
        },
        Some(&REPORT_V1) if meta.dst.is_multicast() => {
            stack.multicast.v6.heard_report(now, group.into());
        }
        _ => {}
    }
}

/// RFC 3810 5.1 and 8.1: the length tells the version.
fn query(message: &[u8], group: Ipv6Addr) -> Option<Query> {
    let code = be16(message, 4);
    let mut query = Query {
        version: 3,
        group: (!group.is_unspecified()).then_some(IpAddr::V6(group)),
        sources: Vec::new(),
        max_response: Duration::from_millis(u64::from(expanded(code))),
        robustness: 0,
        interval: Duration::ZERO,
    };
    match message.len() {
        LEN_V1 => {
            query.version = 2;
            query.max_response = Duration::from_millis(u64::from(code));
        }
        LEN_V2.. => {
            query.robustness = message.get(24)? & 7;
            let interval = igmp::expanded(*message.get(25)?);
            query.interval = Duration::from_secs(u64::from(interval));
            let count = usize::from(be16(message, 26));
            let sources = message.get(LEN_V2..LEN_V2 + count * 16)?;
            query.sources = sources
                .chunks_exact(16)
                .filter_map(|s| address(s, 0))
                .map(IpAddr::V6)
                .collect();
            if query.group.is_none() && !query.sources.is_empty() {
                return None;
            }
        }
        _ => return None,
    }
    Some(query)
}

/// RFC 3810 5.1.3: from 32768 on a floating-point number.
fn expanded(code: u16) -> u32 {
    match code {
        0..0x8000 => u32::from(code),
        _ => u32::from(code & 0x0fff | 0x1000) << ((code >> 12 & 7) + 3),
    }
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(octets.into())
}

/// Sends what is due.
pub(super) fn run(stack: &mut Stack, now: Instant) {
    for message in stack.multicast.v6.run(now) {
        match message {
            Message::Records(records) => {
                let overhead = ipv6::HEADER_LEN + ROUTER_ALERT.len();
                let room = (stack.ip.device_mtu() as usize).saturating_sub(overhead);
                for report in reports(REPORT_V2, &records, room) {
                    send(stack, REPORTS_TO, report);
                }
            }
            Message::Report { group, .. } => send_short(stack, REPORT_V1, group, None),
            Message::Leave(group) => send_short(stack, DONE, group, Some(ALL_ROUTERS)),
        }
    }
}

/// RFC 2710 3: a report goes to the group itself, a done to all routers.
fn send_short(stack: &mut Stack, kind: u8, group: IpAddr, to: Option<Ipv6Addr>) {
    let IpAddr::V6(group) = group else {
        return;
    };
    let mut message = vec![0; 8];
    message[0] = kind;
    message.extend_from_slice(&group.octets());
    send(stack, to.unwrap_or(group), message);
}

/// One message in a packet with hop limit 1 and Router Alert. Without a link-local address the source is :: (RFC 3590).
fn send(stack: &mut Stack, to: Ipv6Addr, mut message: Vec<u8>) {
    let own = stack.ip.addrs().iter().find_map(|net| match net.addr() {
        IpAddr::V6(addr) if addr.is_unicast_link_local() => Some(addr),
        _ => None,
    });
    let src = IpAddr::V6(own.unwrap_or(Ipv6Addr::UNSPECIFIED));
    let dst = IpAddr::V6(to);
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let sum = checksum::pseudo_header(src, dst, proto::ICMPV6, len).add(&message);
    put16(&mut message, 2, sum.finish());
    let meta = TxMeta {
        src,
        dst,
        proto: ipv6::next::HOP_BY_HOP,
        ttl: 1,
        tos: 0,
        df: true,
    };
    let len = ROUTER_ALERT.len() + message.len();
    let mut frame = stack.ip.start_frame(&VnetHdr::default(), &meta, len);
    frame.extend_from_slice(&ROUTER_ALERT);
    frame.extend_from_slice(&message);
    // A full queue loses it; that is counted there, and what matters is said twice.
    let _ = stack.ip.push(Via::OUT, frame);
}

/// Reports of version 3 (IGMP) or 2 (MLD), which look the same but for their addresses: each at most `room` bytes. A list of
/// sources that is longer goes on in another record, but for EXCLUDE, which is cut (RFC 3376 4.2.16, RFC 3810 5.2.15).
pub(super) fn reports(kind: u8, records: &[Record], room: usize) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut report = Vec::new();
    for part in records {
        let size = match part.group {
            IpAddr::V4(_) => 4,
            IpAddr::V6(_) => 16,
        };
        let most = room.saturating_sub(REPORT_LEN + 4 + size) / size;
        let most = most.clamp(1, usize::from(u16::MAX));
        let whole = matches!(part.kind, record::IS_EXCLUDE | record::TO_EXCLUDE);
        let mut rest: &[IpAddr] = &part.sources;
        if whole {
            rest = rest.get(..most).unwrap_or(rest);
        }
        loop {
            let (now, later) = rest.split_at(rest.len().min(most));
            let len = 4 + size + now.len() * size;
            if !report.is_empty() && report.len() + len > room {
                out.push(std::mem::take(&mut report));
            }
            if report.is_empty() {
                report.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
            }
            let count = be16(&report, 6).saturating_add(1);
            put16(&mut report, 6, count);
            report.extend_from_slice(&[part.kind, 0]);
            report.extend_from_slice(&(now.len() as u16).to_be_bytes());
            push_address(&mut report, part.group);
            now.iter()
                .for_each(|source| push_address(&mut report, *source));
            if later.is_empty() {
                break;
            }
            rest = later;
        }
    }
    if !report.is_empty() {
        out.push(report);
    }
    out
}

fn push_address(bytes: &mut Vec<u8>, addr: IpAddr) {
    match addr {
        IpAddr::V4(a) => bytes.extend_from_slice(&a.octets()),
        IpAddr::V6(a) => bytes.extend_from_slice(&a.octets()),
    }
}
