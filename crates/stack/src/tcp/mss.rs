//! How long segments are: the peer's MSS, the path's, what options take, and how many make a super-segment.

use std::time::Duration;

use smallvec::SmallVec;

use super::pacing;
use super::tcb::Tcb;
use super::tuple::Tuple;
use crate::ip::Path;
use crate::time::Instant;
use crate::wire::tcp::{HEADER_LEN, MAX_SACK_BLOCKS, SackBlock};

/// Send MSS when the peer names none (RFC 9293 MUST-15), IPv4 and IPv6.
const DEFAULT_MSS: [u32; 2] = [536, 1220];
/// Where probing for a path that carries less begins (tcp_base_mss; RFC 4821 7.2).
const BASE_MSS: u32 = 1024;
/// No segment smaller than this is formed however small the peer's MSS (Linux: tcp_min_snd_mss).
const MIN_MSS: u32 = 48;
/// Largest payload of one super-segment: an IP packet has at most 65535 octets, with headers and options in it.
pub(crate) const GSO_MAX: u32 = 65_535 - 60 - 60;

/// Payload of one packet without TCP options.
pub(super) fn path_mss(tuple: &Tuple, mtu: u32) -> u32 {
    let ip = if tuple.is_v4() { 20 } else { 40 };
    mtu.min(65_535)
        .saturating_sub(ip + HEADER_LEN as u32)
        .max(MIN_MSS)
}

/// Octets that a super-segment may have beyond what evenness allows: on a short path the cost of many small ones outweighs it (Linux:
/// tcp_tso_rtt_log).
pub(crate) fn on_short_path(min_rtt: Duration) -> u64 {
    u64::from(GSO_MAX) >> (min_rtt.as_micros() >> 9).min(31)
}

/// MSS option of a SYN: what the path carries in one packet (RFC 9293 MUST-67), TCP_MAXSEG at most.
pub(super) fn mss_option(tuple: &Tuple, mtu: u32, max_seg: u32) -> u16 {
    let by_path = path_mss(tuple, mtu);
    let asked = match max_seg {
        0 => by_path,
        max_seg => by_path.min(max_seg),
    };
    asked.min(65_495) as u16
}

impl Tcb {
    /// RFC 9293 MUST-14 to MUST-16: the peer's MSS, or the default, never above what the path carries.
    pub(super) fn set_peer_mss(&mut self, mss: Option<u16>) {
        let default = DEFAULT_MSS[usize::from(!self.tuple.is_v4())];
        let mut mss = mss.map_or(default, u32::from).max(MIN_MSS);
        if self.tuning.max_seg != 0 {
            mss = mss.min(self.tuning.max_seg.into());
        }
        self.search_up_to(mss);
        self.snd.mss = mss.min(path_mss(&self.tuple, self.path.mtu));
        self.cc.set_mss(self.full_mss());
    }

    /// The path's MTU has become known to be smaller (RFC 1191, RFC 8201). Whether segments have to be shorter than they were.
    pub(crate) fn path_changed(&mut self, path: Path) -> bool {
        self.path = path.into();
        let limit = path_mss(&self.tuple, self.path.mtu);
        let shorter = limit < self.snd.mss;
        if shorter {
            self.snd.mss = limit;
            self.cc.set_mss(self.full_mss());
        }
        shorter
    }

    /// A black hole for packets of this size is suspected (RFC 4821 7.7): smaller segments, down to what every path carries (RFC 8200 5
    /// for IPv6, RFC 1122's 576 octets for IPv4).
    pub(crate) fn shorten_segments(&mut self, now: Instant) {
        let floor = if self.tuple.is_v4() { 536 } else { 1220 };
        let shorter = (self.snd.mss / 2).min(BASE_MSS).max(floor);
        if shorter < self.snd.mss {
            // A mere outage looks the same: probes will tell.
            self.search_from(shorter, now);
            self.snd.mss = shorter;
            self.cc.set_mss(self.full_mss());
        }
    }

    /// Payload of one full-sized segment with the options that every one carries. Segments are counted in this unit: by 1460 octets,
    /// three segments of 1448 are not quite three.
    pub(crate) fn full_mss(&self) -> u32 {
        let timestamps = if self.ts.ok { 12 } else { 0 };
        self.snd.mss.saturating_sub(timestamps).max(1)
    }

    /// Payload of one full-sized segment with the options that it carries now.
    pub(crate) fn eff_mss(&self) -> u32 {
        let options = self.data_options_len();
        self.snd.mss.saturating_sub(options).max(1)
    }

    /// Largest payload handed down in one frame.
    pub(crate) fn segment_limit(&self) -> u32 {
        let mss = self.eff_mss();
        // Who cuts a super-segment repeats its urgent pointer in every piece, where it would name another octet, and CWR.
        if self.gso == 0 || mss >= GSO_MAX || self.snd.up.is_some() || self.ecn.cwr_due {
            return mss;
        }
        let least = self.gso.saturating_mul(mss);
        let octets = self.millisecond().max(least).min(GSO_MAX);
        (octets / mss * mss).max(mss)
    }

    /// Octets that go in a millisecond when the window is let go evenly at twice its rate; on a short path more, since there the
    /// cost of many small pieces outweighs evenness (Linux: tcp_tso_autosize, tcp_tso_rtt_log).
    fn millisecond(&self) -> u32 {
        let min_rtt = self.rtt.min().unwrap_or_default();
        if let Some(rate) = self.paced_at() {
            return pacing::quantum(rate, min_rtt, 0);
        }
        let srtt = self.rtt.srtt().unwrap_or_default().as_micros().max(1);
        let evenly = (u128::from(self.cc.cwnd()) * 2000 / srtt).min(u128::from(u32::MAX)) as u64;
        evenly
            .saturating_add(on_short_path(min_rtt))
            .min(u64::from(u32::MAX)) as u32
    }

    fn data_options_len(&self) -> u32 {
        let ts = if self.ts.ok { 12 } else { 0 };
        if self.has_no_sack_report() {
            return ts;
        }
        let blocks = self.sack_report().len() as u32;
        ts + if blocks == 0 { 0 } else { 4 + 8 * blocks }
    }

    /// Whether the next segment has no SACK blocks.
    #[inline]
    pub(super) fn has_no_sack_report(&self) -> bool {
        self.rcv.dsack.is_none() && (!self.sack_ok || self.rcv.assembler.is_empty())
    }

    /// SACK blocks for the next segment: a duplicate first (RFC 2883 4), then the latest arrivals (RFC 2018 4), as many as fit
    /// beside the timestamp (RFC 2018 3).
    pub(crate) fn sack_report(&self) -> SmallVec<[SackBlock; MAX_SACK_BLOCKS]> {
        if self.has_no_sack_report() {
            return SmallVec::new();
        }
        let max = if self.ts.ok { 3 } else { 4 };
        let mut blocks: SmallVec<[SackBlock; MAX_SACK_BLOCKS]> =
            self.rcv.dsack.into_iter().collect();
        blocks.extend(self.rcv.assembler.sack_blocks(max - blocks.len()));
        blocks
    }
}
