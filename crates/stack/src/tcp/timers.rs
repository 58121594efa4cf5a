//! A connection's deadlines, and what happens when one has come (RFC 9293 3.8.1 to 3.8.6, RFC 6298 5, RFC 1122 4.2.3.6).

use std::sync::LazyLock;
use std::time::Duration;

use super::cold::Calm;
use super::pacing::Pacing;
use super::tcb::{Cx, Fate, Tcb, Verdict};
use super::vars::AckDue;
use crate::error::Error;
use crate::socket::State;
use crate::time::{Instant, earliest};

/// SYN retransmissions before giving up, as Linux (tcp_syn_retries: 127 s); RFC 9293 MUST-23 asks for 3 minutes.
pub(crate) const SYN_RETRIES: u32 = 6;
/// SYN-ACK retransmissions (tcp_synack_retries).
pub(crate) const SYN_ACK_RETRIES: u32 = 5;
/// Time-outs of the same octets after which the path may swallow packets of this size without a word (tcp_retries1; RFC 4821 7.7).
const BLACK_HOLE_RETRIES: u32 = 3;
/// Retransmissions of data (tcp_retries2: about 15 minutes; R2 of RFC 9293 3.8.3).
const RETRIES: u32 = 15;
/// The same when the program has closed the socket (tcp_orphan_retries).
const ORPHAN_RETRIES: u32 = 8;
/// Delayed acknowledgement (RFC 9293 MUST-40: below 0.5 s; Linux: 40 ms).
pub(crate) const DELAYED_ACK: Duration = Duration::from_millis(40);
/// Longest pause between zero-window probes.
const PROBE_MAX: Duration = Duration::from_secs(120);
/// Between two looks whether the device takes anything again (Linux: TCP_RESOURCE_PROBE_INTERVAL).
const HELD_BACK: Duration = Duration::from_millis(500);

/// Deadlines and counts. Only the earliest is armed with the stack.
#[derive(Copy, Clone, PartialEq, Debug, Default)]
pub(crate) struct Timers {
    /// Retransmission.
    pub(crate) rto: Option<Instant>,
    /// Retransmissions of the same octets so far.
    pub(crate) retries: u32,
    /// When what is not acknowledged was last sent before it was sent again; or when the window closed.
    pub(crate) stalled_since: Option<Instant>,
    /// Zero-window probe, or the override of sender-side SWS avoidance.
    pub(crate) persist: Option<Instant>,
    /// Probes sent without any answer.
    pub(crate) probes_out: u32,
    /// Doublings of the probe interval.
    pub(crate) persist_backoff: u32,
    /// A probe is to go out with the next transmission.
    pub(crate) probe_now: bool,
    /// The device took nothing when there was something to send and nothing was out.
    pub(crate) held_back: bool,
    /// What is there is to be sent however small (RFC 9293 3.8.6.2.1 (4); the end of TCP_CORK's patience).
    pub(crate) override_sws: bool,
    /// RACK waits for what may only be reordered.
    pub(crate) reorder: Option<Instant>,
    /// Tail loss probe.
    pub(crate) tail_probe: Option<Instant>,
    /// TCP_CORK holds a partial segment back until then.
    pub(crate) cork: Option<Instant>,
    /// Delayed acknowledgement.
    pub(crate) delayed_ack: Option<Instant>,
    /// Keepalive.
    pub(crate) keepalive: Option<Instant>,
    /// Keepalive probes without answer.
    pub(crate) keepalive_out: u32,
    /// FIN-WAIT-2 of an orphan.
    pub(crate) fin_wait_2: Option<Instant>,
}

impl Calm for Timers {
    fn calm() -> &'static Timers {
        static CALM: LazyLock<Timers> = LazyLock::new(Timers::default);
        &CALM
    }
}

/// Linux, secs_to_retrans(): SYN-ACKs that are sent again within this many seconds, for TCP_DEFER_ACCEPT.
pub(crate) fn syn_ack_retries_for(seconds: i32) -> u8 {
    if seconds <= 0 {
        return 0;
    }
    let (mut retries, mut timeout, mut period) = (1u8, 1i64, 1i64);
    while i64::from(seconds) > period && retries < u8::MAX {
        retries += 1;
        timeout = (timeout * 2).min(120);
        period += timeout;
    }
    retries
}

fn due(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| at <= now)
}

impl Tcb {
    /// The earliest deadline.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let t = &self.timers;
        earliest([
            t.rto,
            t.reorder,
            t.tail_probe,
            t.persist,
            t.delayed_ack,
            t.keepalive,
            t.fin_wait_2,
            self.snd.hold_until,
            t.cork,
            self.pacing.as_deref().and_then(Pacing::deadline),
        ])
    }

    /// Does what is due at `cx.now`. Segments come out of the next transmission.
    pub(crate) fn on_timer(&mut self, cx: &mut Cx<'_>) -> Verdict {
        let now = cx.now;
        self.check_app_limited();
        if due(self.timers.delayed_ack, now) {
            self.timers.delayed_ack = None;
            if self.rcv.ack == AckDue::Delayed {
                self.rcv.ack = AckDue::Now;
                // No answer took it along.
                self.rcv.interactive = false;
            }
        }
        if due(self.snd.hold_until, now) {
            self.snd.hold_until = None;
            self.mark_push();
        }
        if due(self.timers.cork, now) {
            self.timers.cork = None;
            self.timers.override_sws = true;
        }
        if due(self.timers.reorder, now) {
            self.timers.reorder = None;
            self.on_reorder_timeout(now);
        }
        if due(self.timers.tail_probe, now) {
            self.on_tail_probe(now);
        }
        if due(self.timers.fin_wait_2, now) {
            return Verdict::end(Fate::Closed);
        }
        for (is_due, handler) in [
            (
                due(self.timers.rto, now),
                Self::on_rto as fn(&mut Tcb, Instant) -> Fate,
            ),
            (due(self.timers.persist, now), Self::on_persist),
            (due(self.timers.keepalive, now), Self::on_keepalive),
        ] {
            if is_due {
                let fate = handler(self, now);
                if fate != Fate::Keep {
                    return Verdict::end(fate);
                }
            }
        }
        Verdict::default()
    }

    /// RFC 6298 5.4 to 5.7 and RFC 9293 3.8.3.
    fn on_rto(&mut self, now: Instant) -> Fate {
        self.timers.rto = None;
        if self.snd.una == self.snd.max {
            return Fate::Keep;
        }
        let limit = match self.state {
            State::SynSent => self.tuning.syn_retries.into(),
            // One more for an open that was taken already (Linux: tcp_fastopen_synack_timer).
            State::SynReceived => SYN_ACK_RETRIES + u32::from(self.fast_open_pending()),
            _ if self.orphan => ORPHAN_RETRIES,
            _ => RETRIES,
        };
        let since = *self.timers.stalled_since.get_or_insert(self.snd.last_sent);
        let over = self.timers.retries >= limit || self.user_timeout_over(since, now);
        self.fast_open_timeout(self.timers.retries, over);
        if over {
            return Fate::Failed(self.soft_error.unwrap_or(Error::TimedOut));
        }
        if matches!(self.state, State::SynSent | State::SynReceived) {
            self.snd.nxt = self.snd.iss;
        } else if self.snd.wnd == 0 {
            // The peer took its window back: that is no loss, it is probed without end (RFC 9293 3.8.6.1).
            self.timers.probe_now = true;
            self.timers.probes_out += 1;
            self.timers.persist_backoff = 0;
            self.timers.reorder = None;
            self.timers.tail_probe = None;
            self.arm_persist(now);
            return Fate::Keep;
        } else {
            if self.timers.retries >= BLACK_HOLE_RETRIES {
                self.shorten_segments(now);
            }
            self.on_retransmission_timeout(now);
        }
        self.timers.retries += 1;
        self.rtt.back_off();
        self.timers.rto = Some(now + self.rtt.rto());
        Fate::Keep
    }

    /// TCP_USER_TIMEOUT has passed since `since` (RFC 9293 3.8.3, MUST-21; RFC 5482).
    fn user_timeout_over(&self, since: Instant, now: Instant) -> bool {
        self.tuning
            .user_timeout()
            .is_some_and(|most| now.since(since) >= most)
    }

    /// The peer's window keeps us from sending: probe it, for as long as it answers (RFC 9293 3.8.6.1, MUST-36, MUST-37).
    fn on_persist(&mut self, now: Instant) -> Fate {
        self.timers.persist = None;
        let taken_back = self.snd.wnd == 0 && !self.snd.sent.is_empty();
        if !taken_back && (self.snd.all_sent() || self.snd.flight() > 0) {
            return Fate::Keep;
        }
        let limit = if self.orphan { ORPHAN_RETRIES } else { RETRIES };
        let since = *self.timers.stalled_since.get_or_insert(now);
        let held_back = self.timers.held_back;
        let too_long = (self.snd.wnd == 0 || held_back) && self.user_timeout_over(since, now);
        if self.timers.probes_out >= limit || too_long {
            return Fate::Failed(self.soft_error.unwrap_or(Error::TimedOut));
        }
        if held_back {
            // The peer is not at fault, nor the path: no back-off.
            self.timers.probes_out += 1;
            self.timers.persist = Some(now + HELD_BACK);
            return Fate::Keep;
        }
        if self.snd.wnd > 0 {
            self.timers.override_sws = true;
        } else {
            self.timers.probe_now = true;
            self.timers.probes_out += 1;
        }
        self.timers.persist_backoff = (self.timers.persist_backoff + 1).min(16);
        self.arm_persist(now);
        Fate::Keep
    }

    /// The device took nothing.
    pub(crate) fn held_back(&mut self, now: Instant) {
        let synchronized = !matches!(self.state, State::SynSent | State::SynReceived);
        let waits = !self.snd.all_sent() && self.snd.sent.is_empty();
        if synchronized && waits && self.timers.persist.is_none() {
            self.timers.held_back = true;
            self.arm_persist(now);
        }
    }

    /// Arms the probe timer with exponential back-off (SHLD-30).
    pub(crate) fn arm_persist(&mut self, now: Instant) {
        let wait = self
            .rtt
            .rto()
            .saturating_mul(1 << self.timers.persist_backoff.min(16))
            .min(PROBE_MAX);
        self.timers.persist = Some(now + wait);
    }

    /// RFC 9293 3.8.4 (MUST-24 to MUST-29): only when asked for, only when idle, never on one lost probe.
    fn on_keepalive(&mut self, now: Instant) -> Fate {
        self.timers.keepalive = None;
        if !self.tuning.keepalive || !self.keepalive_applies() {
            return Fate::Keep;
        }
        let idle_until = self.rcv.last_rx.max(self.snd.last_sent) + self.tuning.keep_idle();
        if self.timers.keepalive_out == 0 && (now < idle_until || self.snd.flight() > 0) {
            self.timers.keepalive = Some(idle_until.max(now + Duration::from_millis(1)));
            if self.snd.flight() > 0 {
                self.timers.keepalive = Some(now + self.tuning.keep_idle());
            }
            return Fate::Keep;
        }
        // tcp(7): with TCP_USER_TIMEOUT it decides, not the number of probes.
        let over = if self.tuning.user_timeout == 0 {
            self.timers.keepalive_out >= u32::from(self.tuning.keep_cnt)
        } else {
            self.timers.keepalive_out > 0 && self.user_timeout_over(self.rcv.last_rx, now)
        };
        if over {
            return Fate::Abort(Some(self.soft_error.unwrap_or(Error::TimedOut)));
        }
        self.timers.keepalive_out += 1;
        self.timers.probe_now = true;
        self.timers.keepalive = Some(now + self.tuning.keep_intvl());
        Fate::Keep
    }

    fn keepalive_applies(&self) -> bool {
        !matches!(
            self.state,
            State::SynSent | State::SynReceived | State::Closed
        )
    }

    /// Starts or stops the keepalive timer after SO_KEEPALIVE or its times changed, or the connection was made.
    pub(crate) fn arm_keepalive(&mut self, now: Instant) {
        self.timers.keepalive_out = 0;
        self.timers.keepalive = (self.tuning.keepalive && self.keepalive_applies())
            .then(|| (self.rcv.last_rx.max(self.snd.last_sent) + self.tuning.keep_idle()).max(now));
    }

    /// Starts an orphan's FIN-WAIT-2 limit.
    pub(crate) fn arm_fin_wait_2(&mut self, now: Instant) {
        if self.orphan && self.state == State::FinWait2 {
            self.timers.fin_wait_2 = Some(now + self.tuning.linger2());
        }
    }

    /// Something arrived from the peer: it lives.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.rcv.last_rx = now;
        self.timers.probes_out = 0;
        self.timers.keepalive_out = 0;
    }
}
