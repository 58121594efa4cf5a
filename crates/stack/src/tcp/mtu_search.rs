//! Path MTU discovery by probing (RFC 4821; Linux: tcp_mtu_probe): a segment larger than the others is sent ahead of enough text that
//! its loss shows without a time-out. It costs no more than a segment sent again, and no congestion window.
//!
//! Sizes are those of [`Send::mss`](super::vars::Send::mss): payload of one packet without TCP options.

use std::time::Duration;

use super::mss::path_mss;
use super::output::Plan;
use super::seq::SeqNum;
use super::tcb::Tcb;
use crate::config::{Config, MtuProbing};
use crate::ip::Path;
use crate::time::Instant;
use crate::wire::tcp::Flags;

/// The search is over when what is left of it is less than this (Linux: tcp_probe_threshold).
const NEAR: u32 = 8;
/// Segments that the congestion window must have room for: a probe may keep sending from being as even as it was (Linux: 11).
const SEGMENTS: u32 = 10;
/// Segments behind a probe that tell of its loss (RFC 4821 7.4; Linux: tcp_reordering and one).
const BEHIND: u32 = 4;
/// How long what was found is believed, when more may be possible (RFC 4821 7.3; Linux: tcp_probe_interval).
const FOUND_FOR: Duration = Duration::from_secs(600);

/// What is known of the largest packet that the path carries.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Search {
    /// Segments of this size get through (search_low).
    low: u32,
    /// No larger one does (search_high).
    high: u32,
    /// The peer takes no larger one.
    most: u32,
    /// The one that is out to find out.
    probe: Option<Probe>,
    /// When the search began.
    since: Instant,
}

impl Search {
    /// One that begins between segments of `low` octets and what the peer will say.
    pub(super) fn new(low: u32, now: Instant) -> Box<Search> {
        Box::new(Search {
            low,
            high: low,
            most: low,
            probe: None,
            since: now,
        })
    }
}

/// Where the search begins on `path` if it does so with the connection.
pub(super) fn start(config: &Config, path: &Path) -> Option<u32> {
    (config.mtu_probing == MtuProbing::Always && !path.local).then_some(config.base_mss)
}

/// One segment, sent once.
#[derive(Copy, Clone, Debug)]
struct Probe {
    start: SeqNum,
    end: SeqNum,
    size: u32,
}

/// Whether a probe is to go.
pub(super) enum Probing {
    /// No.
    No,
    /// It needs acknowledgements that are on their way; nothing else is to take its text.
    Soon,
    /// This one.
    Now(Plan),
}

impl Tcb {
    /// The peer takes segments of `mss` octets at most.
    pub(super) fn search_up_to(&mut self, mss: u32) {
        if let Some(search) = &mut self.snd.search {
            (search.low, search.high, search.most) = (search.low.min(mss), mss, mss);
        }
    }

    /// Segments of more than `low` octets are not trusted any longer.
    pub(super) fn search_from(&mut self, low: u32, now: Instant) {
        let most = self.snd.search.as_ref().map_or(self.snd.mss, |s| s.most);
        self.snd.search = Some(Box::new(Search {
            low,
            high: most,
            most,
            probe: None,
            since: now,
        }));
    }

    /// What was found long ago may be too little by now: what the peer and the device allow is tried again.
    fn search_again(&mut self, now: Instant) {
        let mss = self.snd.mss;
        if let Some(search) = &mut self.snd.search
            && now.since(search.since) >= FOUND_FOR
        {
            (search.low, search.high, search.since) = (mss, search.most, now);
        }
    }

    /// Whether the next new text goes as a probe: only while nothing is amiss, and with enough behind it (RFC 4821 7.2, 7.4).
    pub(super) fn plan_probe(&mut self, now: Instant) -> Probing {
        let Some(search) = self.snd.search.as_deref().copied() else {
            return Probing::No;
        };
        let mss = self.eff_mss();
        let (wnd, cwnd, pipe) = (self.snd.wnd, self.cc.cwnd(), self.pipe());
        let calm = self.recovery.at_rest() && self.snd.sent.sacked() == 0 && self.snd.up.is_none();
        if search.probe.is_some() || !calm || cwnd < SEGMENTS * mss {
            return Probing::No;
        }
        let high = search.high.min(path_mss(&self.tuple, self.path.mtu));
        let size = search.low.midpoint(high);
        if high.saturating_sub(search.low) < NEAR || size <= self.snd.mss {
            self.search_again(now);
            return Probing::No;
        }
        let len = size - (self.snd.mss - mss);
        let needed = len + BEHIND * mss;
        let snd = &self.snd;
        if snd.data_end().since(snd.nxt) < needed
            || wnd < needed
            || snd.pieces.limit(snd.nxt, len) < len
        {
            return Probing::No;
        }
        if snd.flight() + needed > wnd {
            return Probing::Soon;
        }
        if pipe + len + mss > cwnd {
            return if pipe == 0 {
                Probing::No
            } else {
                Probing::Soon
            };
        }
        let push = match snd.pieces.pushes(snd.nxt, len) {
            true => Flags::PSH,
            false => Flags::empty(),
        };
        let plan = Plan {
            seq: snd.nxt,
            len,
            flags: Flags::ACK | push,
            whole: true,
        };
        if let Some(search) = &mut self.snd.search {
            search.probe = Some(Probe {
                start: plan.seq,
                end: plan.seq + len,
                size,
            });
        }
        Probing::Now(plan)
    }

    /// SND.UNA has moved: a probe that is acknowledged has found the path to carry its size.
    pub(super) fn search_acknowledged(&mut self) {
        let una = self.snd.una;
        let Some(search) = &mut self.snd.search else {
            return;
        };
        let Some(probe) = search.probe.take_if(|probe| probe.end.before_eq(una)) else {
            return;
        };
        search.low = probe.size;
        let by_path = path_mss(&self.tuple, self.path.mtu);
        self.snd.mss = probe.size.min(by_path).max(self.snd.mss);
        self.cc.set_mss(self.full_mss());
    }

    /// Something at SND.UNA is lost. If it is a probe, the path does not carry its size, and that is all it means (RFC 4821 7.5).
    /// Whether it was, and is the only thing lost.
    pub(super) fn search_failed(&mut self) -> bool {
        let (una, lost) = (self.snd.una, self.snd.sent.lost());
        let Some(search) = &mut self.snd.search else {
            return false;
        };
        let Some(probe) = search.probe.take() else {
            return false;
        };
        let len = probe.end.since(probe.start);
        let alone = probe.start == una && lost <= len;
        if alone {
            search.high = probe.size - 1;
            // Without SACK only a segment's length of it is known to be missing.
            self.snd.sent.mark_range_lost(probe.start, len, |_| {});
        }
        alone
    }

    /// All that was out may be lost: that tells nothing of a probe's size (RFC 4821 7.6.3).
    pub(super) fn search_interrupted(&mut self) {
        if let Some(search) = &mut self.snd.search {
            search.probe = None;
        }
    }
}
