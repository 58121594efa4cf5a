//! Pacing: octets leave in super-segments of about a millisecond's worth, spread over time, for those who ask for it (BBR,
//! SO_MAX_PACING_RATE). One deadline for each super-segment, none for each packet.

use std::time::Duration;

use super::mss::{GSO_MAX, on_short_path};
use super::tcb::Tcb;
use crate::time::Instant;

/// SO_MAX_PACING_RATE when it was not set.
pub(crate) const UNLIMITED: u64 = u64::MAX;
/// Octets sent, in segments, before pacing sets in (Linux: the first ten).
const FREE_SEGMENTS: u32 = 10;
/// What goes together may take this long at least, nanoseconds: sleeping is no finer.
const GRAIN: u64 = 100_000;

/// When the next super-segment may go.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Pacing {
    /// Nanoseconds since the clock's origin.
    next: u64,
    /// Nothing goes before then.
    waits: bool,
}

impl Pacing {
    /// When sending goes on, if it waits.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.waits
            .then(|| Instant::from_micros(self.next.div_ceil(1000)))
    }
}

/// Octets that go together at `rate` octets a second (draft-ietf-ccwg-bbr 5.6.3: a millisecond's worth; on a short path more, as
/// Linux has it).
pub(crate) fn quantum(rate: u64, min_rtt: Duration, mss: u32) -> u32 {
    let even = (rate / 1000).saturating_add(on_short_path(min_rtt));
    (even.min(u64::from(GSO_MAX)) as u32).max(2 * mss)
}

/// Nanoseconds that `octets` take.
fn span(octets: u32, rate: u64) -> u64 {
    (u128::from(octets) * 1_000_000_000 / u128::from(rate.max(1))).min(u128::from(u64::MAX)) as u64
}

fn nanos(now: Instant) -> u64 {
    now.as_micros().saturating_mul(1000)
}

impl Tcb {
    /// Octets a second at which sending is held; `None`: it is not.
    pub(crate) fn paced_at(&self) -> Option<u64> {
        let most = self.tuning.max_pacing_rate;
        let rate = match self.cc.pacing_rate() {
            Some(rate) => rate.min(most),
            None if most == UNLIMITED => return None,
            None => self.window_rate().min(most),
        };
        // A rate of 0 is none (Linux: tcp_update_skb_after_send).
        (rate > 0 && rate != UNLIMITED).then_some(rate)
    }

    /// TCP_INFO's pacing rate: what would be held to.
    pub(crate) fn told_pacing_rate(&self) -> u64 {
        let rate = self.cc.pacing_rate().unwrap_or_else(|| self.window_rate());
        rate.min(self.tuning.max_pacing_rate)
    }

    /// The window let go evenly over a round trip, twice as fast while it doubles, and a fifth faster later (Linux:
    /// tcp_update_pacing_rate, tcp_pacing_ss_ratio, tcp_pacing_ca_ratio).
    fn window_rate(&self) -> u64 {
        let Some(srtt) = self.rtt.srtt().filter(|srtt| !srtt.is_zero()) else {
            return UNLIMITED;
        };
        let (cwnd, ssthresh) = (self.cc.cwnd(), self.cc.ssthresh());
        let percent = if cwnd < ssthresh / 2 { 200 } else { 120 };
        let octets = u128::from(cwnd.max(self.pipe())) * percent / 100;
        (octets * 1_000_000_000 / srtt.as_nanos()).min(u128::from(UNLIMITED - 1)) as u64
    }

    /// Whether what there is to send has to wait; if so its deadline is set.
    pub(crate) fn must_wait(&mut self, now: Instant) -> bool {
        let Some(pacing) = self.pacing.as_deref_mut() else {
            return false;
        };
        let now = nanos(now);
        if pacing.next <= now {
            pacing.waits = false;
            return false;
        }
        if !pacing.waits {
            let Some(rate) = self.paced_at() else {
                self.pacing = None;
                return false;
            };
            let ahead = self.burst(rate) / 4;
            let something = self.snd.sent.lost() > 0 || !self.snd.all_sent();
            if let Some(pacing) = self.pacing.as_deref_mut() {
                pacing.waits = something && pacing.next > now.saturating_add(ahead);
            }
        }
        self.pacing.as_deref().is_some_and(|pacing| pacing.waits)
    }

    /// Nanoseconds' worth that may go at a time.
    fn burst(&self, rate: u64) -> u64 {
        let min_rtt = self.rtt.min().unwrap_or_default();
        span(quantum(rate, min_rtt, self.snd.mss), rate).max(GRAIN)
    }

    /// `len` octets have gone: what follows waits for as long as they take. Who wakes late makes up for half a burst of it, or the grain
    /// (Linux: tcp_update_skb_after_send, fq_dequeue).
    pub(crate) fn pace(&mut self, len: u32, now: Instant) {
        let Some(rate) = self.paced_at() else {
            self.pacing = None;
            return;
        };
        if self.counts.data_segs_out <= FREE_SEGMENTS {
            return;
        }
        let late = (self.burst(rate) / 2).max(GRAIN);
        let pacing = self.pacing.get_or_insert_default();
        let from = pacing.next.max(nanos(now).saturating_sub(late));
        pacing.next = from.saturating_add(span(len, rate));
    }
}
