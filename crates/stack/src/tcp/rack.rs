//! RACK: loss by time (RFC 8985 6), and the tail loss probe (RFC 8985 7).

use std::time::Duration;

use super::recovery::tell_lost;
use super::rtt::RttEstimator;
use super::sent::Sent;
use super::seq::SeqNum;
use super::tcb::Tcb;
use crate::socket::State;
use crate::time::{Instant, Span};

/// RFC 8985 6.2: SACKed segments that mean a loss although nothing was ever seen reordered.
const DUP_THRESH: u32 = 3;
/// RFC 8985 6.2 step 4: rounds for which a widened window lasts.
const REO_WND_PERSIST: u8 = 16;
/// RFC 8985 7.2: the longest an acknowledgement may be delayed when only one segment is out.
const WORST_DELAYED_ACK: Duration = Duration::from_millis(200);
/// Allowance for timers elsewhere when more than one is out (Linux: TCP_TIMEOUT_MIN).
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// RACK's variables (RFC 8985 5.3).
#[derive(Copy, Clone, PartialEq, Debug, Default)]
pub(crate) struct Rack {
    /// The latest sent of all that was delivered: when, and its end.
    newest: Option<(Instant, SeqNum)>,
    /// Its round-trip time.
    rtt: Span,
    /// Highest sequence number delivered.
    fack: Option<SeqNum>,
    /// Something was delivered out of order.
    reordering_seen: bool,
    /// The farthest that it was behind, octets.
    extent: u32,
    /// How many acknowledgements told of such, and when the last did.
    reorderings: u32,
    reordered_at: Option<Instant>,
    /// Quarters of the smallest round-trip time that reordering is waited for.
    reo_wnd_mult: u8,
    /// Recoveries left before it shrinks again.
    reo_wnd_persist: u8,
    /// SND.NXT when a DSACK was last counted: one a round.
    dsack_round: Option<SeqNum>,
}

/// The tail loss probe that is out.
#[derive(Copy, Clone, PartialEq, Debug, Default)]
pub(crate) struct TailProbe {
    /// SND.NXT after the probe; `None` when none is out.
    pub(crate) end: Option<SeqNum>,
    /// It was a retransmission.
    pub(crate) is_resend: bool,
    /// It is to go with the next transmission.
    pub(crate) due: bool,
}

impl Rack {
    /// How far behind something was delivered, octets.
    pub(crate) fn extent(&self) -> u32 {
        self.extent
    }

    /// Highest sequence number delivered.
    pub(crate) fn fack(&self) -> Option<SeqNum> {
        self.fack
    }

    /// How many acknowledgements told of something delivered out of order.
    pub(crate) fn reorderings(&self) -> u32 {
        self.reorderings
    }

    /// RFC 8985 6.2 steps 2 and 3: `record` was delivered, by ACK or SACK. `ts_earlier`: the echoed timestamp is from before its
    /// retransmission. `fack`: [`Rack::fack`] before the acknowledgement that is being handled, since what one acknowledgement tells of
    /// together is in no order: a delayed one moves SND.UNA over segments that arrived before those in its SACK blocks.
    pub(crate) fn delivered(
        &mut self,
        record: &Sent,
        now: Instant,
        ts_earlier: bool,
        fack: Option<SeqNum>,
        min_rtt: Option<Span>,
    ) {
        let rtt = Span::between(record.at, now);
        if record.resent {
            // The ACK may be for the earlier transmission.
            if ts_earlier || min_rtt.is_some_and(|min| rtt < min) {
                return;
            }
        } else if let Some(fack) = fack.filter(|fack| record.end().before(*fack)) {
            self.reordering_seen = true;
            self.extent = self.extent.max(fack.since(record.start));
            self.reorderings += u32::from(self.reordered_at != Some(now));
            self.reordered_at = Some(now);
        }
        self.fack = Some(
            self.fack
                .map_or(record.end(), |fack| fack.later(record.end())),
        );
        self.rtt = rtt;
        if self
            .newest
            .is_none_or(|newest| sent_after((record.at, record.end()), newest))
        {
            self.newest = Some((record.at, record.end()));
        }
    }

    /// A DSACK shows a needless retransmission: wait longer for reordering (RFC 8985 6.2 step 4).
    pub(crate) fn on_dsack(&mut self, snd_una: SeqNum, snd_nxt: SeqNum) {
        if self.dsack_round.is_some_and(|round| snd_una.before(round)) {
            return;
        }
        self.dsack_round = Some(snd_nxt);
        self.reo_wnd_mult = self.reo_wnd_mult.max(1).saturating_add(1);
        self.reo_wnd_persist = REO_WND_PERSIST;
    }

    /// A recovery has ended.
    pub(crate) fn recovery_over(&mut self) {
        self.reo_wnd_persist = self.reo_wnd_persist.saturating_sub(1);
        if self.reo_wnd_persist == 0 {
            self.reo_wnd_mult = 1;
        }
    }

    /// Everything that was sent is acknowledged: what the next octets are not held against is forgotten, reordering is not.
    pub(crate) fn forget_delivered(&mut self) {
        *self = Rack {
            newest: None,
            rtt: Span::ZERO,
            fack: None,
            dsack_round: None,
            reo_wnd_mult: match self.reo_wnd_mult {
                1 => 0,
                mult => mult,
            },
            ..*self
        };
    }

    /// How long reordering is waited for.
    fn reo_wnd(&self, impatient: bool, rtt: &RttEstimator) -> Duration {
        if !self.reordering_seen && impatient {
            return Duration::ZERO;
        }
        let quarter = rtt.min().unwrap_or_default() / 4;
        (quarter * u32::from(self.reo_wnd_mult.max(1))).min(rtt.srtt().unwrap_or_default())
    }
}

/// RFC 8985 6.2: sent later, or at the same time and further on.
fn sent_after(a: (Instant, SeqNum), b: (Instant, SeqNum)) -> bool {
    a.0 > b.0 || (a.0 == b.0 && a.1.after(b.1))
}

impl Tcb {
    /// RFC 8985 6.2 step 5: marks what was sent long enough before something that was delivered. Returns octets marked, and arms the
    /// reordering timer for what is not old enough yet.
    pub(crate) fn rack_detect_loss(&mut self, now: Instant) -> u32 {
        self.timers.reorder = None;
        if self.snd.sent.is_empty() {
            return 0;
        }
        let impatient =
            !self.recovery_open() || self.snd.sent.sacked() >= DUP_THRESH * self.full_mss();
        let (rack, rate, cc, sack) = (
            &self.recovery.rack,
            &mut self.rate,
            &mut self.cc,
            self.sack_ok,
        );
        let (Some(newest), Some(fack)) = (rack.newest, rack.fack) else {
            return 0;
        };
        // Nothing is lost in no time: within one tick of the clock a retransmission to ourselves would be taken for lost, and repeated,
        // for ever.
        let patience =
            (rack.rtt.get() + rack.reo_wnd(impatient, &self.rtt)).max(Duration::from_micros(1));
        let mut wait = Duration::ZERO;
        let marked = self.snd.sent.mark_lost(|record| {
            if record.start.after_eq(fack) && !record.resent
                || !sent_after(newest, (record.at, record.end()))
            {
                return false;
            }
            let remaining = (record.at + patience).since(now);
            if remaining.is_zero() {
                tell_lost(now, rate, cc.as_mut(), sack, record);
                return true;
            }
            wait = wait.max(remaining);
            false
        });
        if !wait.is_zero() {
            self.timers.reorder = Some(now + wait);
        }
        marked
    }

    /// RFC 8985 7.2: when the tail is probed. Called after sending new octets and after ACKs.
    pub(crate) fn arm_tail_probe(&mut self, now: Instant) {
        self.timers.tail_probe = None;
        let applies = self.sack_ok
            && self.state != State::SynReceived
            && self.recovery_open()
            && self.recovery.tail_probe.end.is_none()
            && self.snd.sent.pipe() > 0
            && self.snd.sent.sacked() == 0
            && self.snd.wnd > 0;
        if !applies {
            return;
        }
        let alone = || self.snd.sent.pipe() <= self.full_mss();
        let timeout = match self.rtt.srtt_micros() {
            Some(srtt) if alone() => 2 * srtt + WORST_DELAYED_ACK.as_micros() as u64,
            Some(srtt) => 2 * srtt + TIMER_SLACK.as_micros() as u64,
            None => 1_000_000,
        };
        let at = now + Duration::from_micros(timeout);
        // When the RTO would come first, the probe goes in its place.
        self.timers.tail_probe = Some(self.timers.rto.map_or(at, |rto| at.min(rto)));
    }

    /// RFC 8985 7.3: the probe goes with the next transmission; the retransmission timer starts anew behind it.
    pub(crate) fn on_tail_probe(&mut self, now: Instant) {
        self.timers.tail_probe = None;
        if self.snd.sent.is_empty() {
            return;
        }
        self.recovery.tail_probe.due = true;
        self.timers.rto = Some(now + self.rtt.rto());
    }

    /// RFC 8985 7.4: whether the probe repaired a loss that nobody would have seen otherwise.
    pub(crate) fn tail_probe_acked(&mut self, ack: SeqNum, dsack: bool, dup: bool) -> bool {
        let probe = self.recovery.tail_probe;
        let Some(end) = probe.end.filter(|end| ack.after_eq(*end)) else {
            return false;
        };
        if !probe.is_resend || dsack {
            self.recovery.tail_probe.end = None;
            return false;
        }
        if ack.after(end) {
            self.recovery.tail_probe.end = None;
            return true;
        }
        if dup {
            // Both the original and the probe arrived.
            self.recovery.tail_probe.end = None;
        }
        false
    }
}
