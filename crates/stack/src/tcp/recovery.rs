//! What was lost and what follows: entering and leaving recovery (RFC 5681 3.2, RFC 6675 5, RFC 8985), NewReno for peers without
//! SACK (RFC 6582), and taking a reduction back that turns out to have been needless (RFC 3522, 4015, 5682, 3708).
//!
//! This is the one place that decides about loss. `sent.rs` knows what is in flight, `rack.rs` what is overdue, `prr.rs` how much to
//! send meanwhile, `congestion/` how much when all is well; `output.rs` asks them.

use std::sync::LazyLock;

use super::cold::Calm;
use super::congestion::{Congestion, Lost};
use super::prr::Prr;
use super::rack::{Rack, TailProbe};
use super::rate::{Newest, Rate};
use super::sent::Sent;
use super::seq::SeqNum;
use super::tcb::Tcb;
use crate::time::{Instant, Span};
use crate::wire::tcp::Header;

/// Duplicate acknowledgements that mean a loss (RFC 5681 3.2).
const DUP_THRESH: u32 = 3;

/// Where loss recovery stands.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Phase {
    /// Nothing is known to be lost.
    #[default]
    Open,
    /// The window comes down because of a router's mark, until something sent after it is acknowledged.
    Cwr,
    /// Fast recovery until `recover` is acknowledged.
    Fast,
    /// After a time-out, until `recover` is acknowledged.
    Loss,
}

/// What is needed to take a reduction back.
#[derive(Copy, Clone, PartialEq, Debug)]
struct Undo {
    cwnd: u32,
    ssthresh: u32,
    /// TSval of the first retransmission (RFC 3522 3.2).
    stamp: Option<u32>,
    /// Retransmitted octets for which no DSACK has come (RFC 3708).
    unconfirmed: u32,
    /// The reduction was a time-out's, and F-RTO is still looking (RFC 5682 3).
    frto: bool,
}

/// Loss recovery's variables.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Recovery {
    /// Where it stands.
    pub(crate) phase: Phase,
    /// RACK.
    pub(crate) rack: Rack,
    /// Tail loss probe.
    pub(crate) tail_probe: TailProbe,
    /// Rate during fast recovery.
    pub(crate) prr: Prr,
    /// Duplicate acknowledgements in a row.
    dup_acks: u32,
    /// SND.NXT when the loss was found.
    recover: Option<SeqNum>,
    /// Without SACK: octets that duplicate acknowledgements say have arrived.
    reno_sacked: u32,
    undo: Option<Box<Undo>>,
}

/// What one acknowledgement told of what was sent.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct AckNews {
    /// Octets newly acknowledged or SACKed.
    pub(crate) delivered: u32,
    /// Round-trip time of octets sent once.
    pub(crate) rtt: Option<Span>,
    /// Octets sent once, from before the loss was found, are among them.
    original: bool,
    /// A DSACK block reported octets received twice: how many.
    pub(crate) dsack: u32,
    /// The most recently sent of what was delivered.
    pub(crate) newest: Option<Newest>,
}

impl AckNews {
    /// `record` is acknowledged or SACKed. `recover`: SND.NXT when a loss was last found.
    #[inline]
    fn take(&mut self, now: Instant, record: &Sent, recover: Option<SeqNum>, rate: &mut Rate) {
        self.delivered += record.len;
        if !record.resent {
            self.rtt = Some(Span::between(record.at, now));
            self.original |= recover.is_none_or(|recover| record.end().before_eq(recover));
        }
        rate.on_delivery(now, record, &mut self.newest);
    }
}

impl Calm for Recovery {
    fn calm() -> &'static Recovery {
        static CALM: LazyLock<Recovery> = LazyLock::new(Recovery::default);
        &CALM
    }
}

impl Recovery {
    /// Everything up to `una` was acknowledged and nothing is out.
    pub(crate) fn forget(&mut self, una: SeqNum) {
        if self.phase != Phase::Open || self.undo.is_some() {
            return;
        }
        self.rack.forget_delivered();
        self.prr = Prr::default();
        self.dup_acks = 0;
        self.reno_sacked = 0;
        self.recover = self.recover.filter(|recover| recover.after(una));
    }

    /// Nothing at all is amiss.
    pub(super) fn at_rest(&self) -> bool {
        self.phase == Phase::Open && !self.disordered()
    }

    /// Nothing is in doubt, nothing is being reduced or may have to be taken back, and no probe is out.
    #[inline]
    pub(super) fn untroubled(&self) -> bool {
        self.at_rest()
            && self.reno_sacked == 0
            && self.undo.is_none()
            && self.tail_probe.end.is_none()
    }

    /// Duplicate acknowledgements have come and nothing is taken for lost.
    pub(crate) fn disordered(&self) -> bool {
        self.dup_acks > 0
    }
}

impl Tcb {
    /// Octets in the network, as far as we know.
    pub(crate) fn pipe(&self) -> u32 {
        self.snd
            .sent
            .pipe()
            .saturating_sub(self.recovery.reno_sacked)
    }

    /// No loss is being recovered from.
    pub(crate) fn recovery_open(&self) -> bool {
        matches!(self.recovery.phase, Phase::Open | Phase::Cwr)
    }

    /// Enters an acknowledgement with its SACK blocks into the scoreboard.
    pub(crate) fn take_acknowledgement(&mut self, now: Instant, h: &Header) -> AckNews {
        self.check_app_limited();
        let mut news = AckNews::default();
        let una = self.snd.una;
        let recover = self.recovery.recover;
        let stamp = self.recovery.undo.as_ref().and_then(|undo| undo.stamp);
        let echo = h.options.ts.map(|(_, ecr)| ecr).filter(|_| self.ts.ok);
        let ts_earlier =
            matches!((echo, stamp), (Some(e), Some(s)) if (e.wrapping_sub(s) as i32) < 0);
        let fack = self.recovery.rack.fack();
        let min_rtt = self.rtt.min_span();
        let (rack, rate) = (&mut self.recovery.rack, &mut self.rate);
        let mut each = |record: &Sent| {
            news.take(now, record, recover, rate);
            rack.delivered(record, now, ts_earlier, fack, min_rtt);
        };
        let mut dsack = 0;
        if self.sack_ok && h.options.sack_len > 0 {
            for (index, (left, right)) in h.options.sack_blocks().iter().copied().enumerate() {
                // A block that lies about what was sent is no block (RFC 2018, RFC 6675 4).
                if !left.before(right) || right.after(self.snd.max) {
                    continue;
                }
                if index == 0 && is_dsack((left, right), h.ack, h.options.sack_blocks().get(1)) {
                    dsack = right.since(left);
                    continue;
                }
                if right.after(una.later(h.ack)) {
                    self.snd.sent.sack(left.later(h.ack), right, &mut each);
                }
            }
        }
        if h.ack.after(una) {
            self.snd.sent.acknowledge(h.ack, &mut each);
        }
        news.dsack = dsack;
        if let Some(rtt) = news.rtt {
            self.rtt.note_min(rtt, now);
        }
        news
    }

    /// The same where all that is out is acknowledged, nothing of it was SACKed or taken for lost, and nothing may have to be taken back.
    pub(super) fn take_all_acknowledged(&mut self, now: Instant) -> AckNews {
        self.check_app_limited();
        let mut news = AckNews::default();
        let min_rtt = self.rtt.min_span();
        let rate = &mut self.rate;
        let recovery = &mut *self.recovery;
        let (recover, fack) = (recovery.recover, recovery.rack.fack());
        self.snd.sent.acknowledge_all(|record| {
            news.take(now, record, recover, rate);
            (recovery.rack).delivered(record, now, false, fack, min_rtt);
        });
        if let Some(rtt) = news.rtt {
            self.rtt.note_min(rtt, now);
        }
        news
    }

    /// Draws the conclusions from an acknowledgement: SND.UNA has moved by `acked`, or this was a duplicate.
    pub(crate) fn recover(
        &mut self,
        now: Instant,
        news: AckNews,
        acked: u32,
        dup: bool,
        h: &Header,
    ) {
        let lost_before = self.lost_so_far();
        self.judge(now, &news, acked, dup, h);
        self.sample_rate(now, &news, lost_before);
    }

    fn judge(&mut self, now: Instant, news: &AckNews, acked: u32, dup: bool, h: &Header) {
        if news.dsack > 0 {
            self.on_dsack(news.dsack);
        }
        if self.tail_probe_acked(self.snd.una, news.dsack > 0, dup && news.delivered == 0) {
            self.repaired_by_probe(now, acked);
        }
        // What SACK blocks or duplicates told of before has been counted then.
        // Where much is reordered anyway, what arrives counts though it is not in order (Linux: tcp_may_raise_cwnd).
        let patient = self.recovery.rack.extent() > DUP_THRESH * self.full_mss();
        let grows = match acked {
            0 if patient && self.sack_ok => news.delivered,
            0 => 0,
            _ if self.sack_ok => news.delivered,
            _ => acked.saturating_sub(self.recovery.reno_sacked),
        };
        if acked > 0 {
            self.recovery.dup_acks = 0;
            self.recovery.reno_sacked = 0;
        }
        self.try_undo(news, acked, h);
        let before = self.snd.sent.lost();
        if self.sack_ok {
            self.rack_detect_loss(now);
        } else if dup {
            self.reno_dup_ack(now);
        }
        let through = self
            .recovery
            .recover
            .is_none_or(|recover| self.snd.una.after_eq(recover));
        let marked = self.recovery.phase == Phase::Open && self.marked(now, h);
        let open = self.recovery.phase == Phase::Open && self.snd.sent.lost() > 0;
        let probe_lost = open && self.search_failed();
        match self.recovery.phase {
            // It goes again without more ado.
            Phase::Open if probe_lost => {}
            Phase::Open | Phase::Cwr if self.snd.sent.lost() > 0 => {
                self.enter_fast_recovery(now, acked, news.delivered);
                self.reduce(news.delivered, false);
            }
            Phase::Open if marked => {
                self.enter_cwr(now, acked, news.delivered);
                self.reduce(news.delivered, acked > 0);
            }
            Phase::Open => self.open_ack(now, grows, news.rtt),
            // Something above it, for that carries CWR (Linux: tcp_fastretrans_alert).
            Phase::Cwr
                if self
                    .recovery
                    .recover
                    .is_none_or(|end| self.snd.una.after(end)) =>
            {
                self.recovery.phase = Phase::Open;
                self.window_to_ssthresh();
            }
            Phase::Cwr => self.reduce(news.delivered, acked > 0),
            Phase::Fast if through => self.leave_recovery(),
            Phase::Fast => {
                if !self.sack_ok && acked > 0 {
                    self.reno_partial_ack(now);
                }
                let safe = acked > 0 && self.snd.sent.lost() <= before;
                // Without SACK a duplicate tells of a segment's worth; all together of no more than was outstanding, for who sends more
                // of them made them up (RFC 5681 3.2, at its end).
                let told = if dup && !self.sack_ok && self.recovery.prr.more_is_due() {
                    self.full_mss()
                } else {
                    0
                };
                self.reduce(news.delivered.max(told), safe);
            }
            Phase::Loss => {
                // What was SACKed before the time-out left the network then: to count it again would let a window's worth go at once.
                self.open_ack(now, grows, news.rtt);
                if through {
                    self.repaired();
                }
            }
        }
    }

    /// FlightSize for the new ssthresh (RFC 5681 3.1): all that was outstanding when the acknowledgement came that moved SND.UNA by
    /// `acked`, without what limited transmit added. In a window of six segments the one that it covers makes a good part.
    fn flight_size(&self, acked: u32) -> u32 {
        (self.snd.nxt.since(self.snd.una).saturating_add(acked)).min(self.cc.cwnd())
    }

    /// An acknowledgement outside fast recovery, for the congestion control.
    pub(super) fn open_ack(&mut self, now: Instant, acked: u32, rtt: Option<Span>) {
        let limited = self.window_used() || self.recovery.phase == Phase::Loss;
        let nxt = self.snd.nxt;
        self.cc.on_ack(&super::congestion::Ack {
            now,
            acked,
            rtt: rtt.map(Span::get),
            una: self.snd.una,
            nxt,
            limited,
        });
    }

    /// PRR for an acknowledgement in fast recovery.
    fn reduce(&mut self, delivered: u32, safe: bool) {
        if self.cc.governs() {
            return;
        }
        let (pipe, ssthresh, mss) = (self.pipe(), self.cc.ssthresh(), self.full_mss());
        let cwnd = self.recovery.prr.cwnd(delivered, pipe, ssthresh, mss, safe);
        self.cc.set_cwnd(cwnd);
    }

    fn remember(&mut self, frto: bool) {
        if self.recovery.undo.is_none() {
            let (cwnd, ssthresh) = (self.cc.cwnd(), self.cc.ssthresh());
            self.recovery.undo = Some(Box::new(Undo {
                cwnd,
                ssthresh,
                stamp: None,
                unconfirmed: 0,
                frto,
            }));
        }
    }

    /// On an acknowledgement that moved SND.UNA by `acked` and told of `delivered` octets, or on a timer, without any.
    fn enter_fast_recovery(&mut self, now: Instant, acked: u32, delivered: u32) {
        self.remember(false);
        // A reduction that a mark has begun goes on, there is none in addition (Linux: tcp_enter_recovery).
        if self.recovery.phase != Phase::Cwr {
            self.begin_reduction(now, acked, delivered);
        }
        self.recovery.phase = Phase::Fast;
        self.recovery.recover = Some(self.snd.nxt);
        self.recovery.tail_probe.end = None;
        self.timers.tail_probe = None;
    }

    fn leave_recovery(&mut self) {
        self.repaired();
        self.window_to_ssthresh();
    }

    fn begin_reduction(&mut self, now: Instant, acked: u32, delivered: u32) {
        self.cc.on_loss(now, self.flight_size(acked));
        // RFC 9937 6, RecoverFS: what was SACKed before will not be delivered any more, what this acknowledgement told of is counted as
        // delivered after it.
        let outstanding = self.snd.nxt.since(self.snd.una);
        let fresh = outstanding.saturating_sub(self.snd.sent.sacked());
        self.recovery.prr = Prr::begin(fresh.saturating_add(delivered));
    }

    /// A router's mark: the window comes down as for a loss, in proportion to what is delivered (RFC 9937 3: also for ECN).
    fn enter_cwr(&mut self, now: Instant, acked: u32, delivered: u32) {
        self.begin_reduction(now, acked, delivered);
        self.recovery.phase = Phase::Cwr;
        self.recovery.recover = Some(self.snd.nxt);
    }

    /// What was lost has been repaired.
    fn repaired(&mut self) {
        self.recovery.phase = Phase::Open;
        self.recovery.undo = None;
        self.recovery.rack.recovery_over();
        self.cc.on_recovered();
    }

    /// A tail loss probe has repaired a loss: one loss, one reduction (RFC 8985 7.4.2).
    fn repaired_by_probe(&mut self, now: Instant, acked: u32) {
        if !self.cc.governs() {
            self.cc.on_loss(now, self.flight_size(acked));
            self.cc.set_cwnd(self.cc.ssthresh());
            return;
        }
        let mss = self.full_mss();
        self.cc.on_lost(&Lost {
            now,
            start: self.snd.una - mss,
            len: mss,
            tx_in_flight: self.pipe().saturating_add(mss),
            lost: mss,
            // A tail is where the program had nothing more to send.
            app_limited: true,
            sack: self.sack_ok,
        });
    }

    /// The end of a reduction.
    fn window_to_ssthresh(&mut self) {
        if !self.cc.governs() {
            self.cc.set_cwnd(self.cc.ssthresh());
        }
    }

    /// RFC 5681 2 and 3.2 for a peer without SACK.
    fn reno_dup_ack(&mut self, now: Instant) {
        let mss = self.full_mss();
        self.recovery.dup_acks = self.recovery.dup_acks.saturating_add(1);
        let most = self.snd.sent.pipe().saturating_sub(mss);
        self.recovery.reno_sacked = self.recovery.reno_sacked.saturating_add(mss).min(most);
        let again = self
            .recovery
            .recover
            .is_some_and(|recover| self.snd.una.before(recover));
        if self.recovery_open() && self.recovery.dup_acks == DUP_THRESH && !again {
            self.mark_front_lost(now);
        }
    }

    /// RFC 6582 3.2 step 3: a partial acknowledgement names the next hole.
    fn reno_partial_ack(&mut self, now: Instant) {
        self.mark_front_lost(now);
    }

    /// The segment at SND.UNA is missing.
    fn mark_front_lost(&mut self, now: Instant) {
        let mss = self.full_mss();
        let (rate, cc, sack) = (&mut self.rate, &mut self.cc, self.sack_ok);
        (self.snd.sent).mark_range_lost(self.snd.una, mss, |record| {
            tell_lost(now, rate, cc.as_mut(), sack, record);
        });
    }

    /// The retransmission timer has run out: all that is not SACKed goes again as the window allows (RFC 6298 5.4 to 5.6).
    pub(crate) fn on_retransmission_timeout(&mut self, now: Instant) {
        self.search_interrupted();
        let fresh = self.recovery_open();
        if fresh || self.timers.retries == 0 {
            self.remember(fresh && self.timers.retries == 0);
        }
        // A loss that fast recovery has answered already is not answered again (Linux: tcp_enter_loss).
        let answered = matches!(self.recovery.phase, Phase::Fast | Phase::Cwr)
            && (self.recovery.recover).is_some_and(|recover| self.snd.una.before(recover));
        let first = self.timers.retries == 0 && !answered;
        self.cc.on_timeout(now, self.flight_size(0), first);
        let (rate, cc, sack) = (&mut self.rate, &mut self.cc, self.sack_ok);
        (self.snd.sent).mark_all_lost(|record| tell_lost(now, rate, cc.as_mut(), sack, record));
        self.recovery.phase = Phase::Loss;
        self.recovery.recover = Some(self.snd.nxt);
        self.recovery.dup_acks = 0;
        self.recovery.reno_sacked = 0;
        self.recovery.tail_probe = TailProbe::default();
        self.timers.tail_probe = None;
        self.timers.reorder = None;
    }

    /// RACK's reordering timer has run out (RFC 8985 6.3).
    pub(crate) fn on_reorder_timeout(&mut self, now: Instant) {
        self.rack_detect_loss(now);
        let open = self.recovery_open() && self.snd.sent.lost() > 0;
        if open && !self.search_failed() {
            self.enter_fast_recovery(now, 0, 0);
            self.reduce(0, false);
        }
    }

    /// Everything outstanding has to be sent again although the network is not at fault: segments had become too long for the path,
    /// or the peer had taken its window back.
    pub(crate) fn resend_all(&mut self, now: Instant) {
        if self.snd.sent.is_empty() {
            return;
        }
        self.search_interrupted();
        self.snd.sent.mark_all_lost(|_| {});
        self.recovery.phase = Phase::Loss;
        self.recovery.recover = Some(self.snd.nxt);
        self.recovery.reno_sacked = 0;
        self.timers.rto = Some(now + self.rtt.rto());
    }

    /// `len` octets have been sent again.
    pub(crate) fn note_resend(&mut self, len: u32, now: Instant) {
        let val = self.ts.val(now);
        let ts_ok = self.ts.ok;
        if let Some(undo) = &mut self.recovery.undo {
            undo.unconfirmed = undo.unconfirmed.saturating_add(len);
            if ts_ok && undo.stamp.is_none() {
                undo.stamp = Some(val);
            }
        }
    }

    /// RFC 2883, RFC 3708: the peer received octets twice.
    fn on_dsack(&mut self, len: u32) {
        self.recovery.rack.on_dsack(self.snd.una, self.snd.nxt);
        if let Some(undo) = &mut self.recovery.undo
            && undo.unconfirmed > 0
        {
            undo.unconfirmed = undo.unconfirmed.saturating_sub(len);
            if undo.unconfirmed == 0 {
                self.take_back();
            }
        }
    }

    /// Whether what was taken for lost had only been late: by the echoed timestamp (RFC 3522 3.2), or because after a time-out octets
    /// arrive that were sent once (RFC 5682 3, with SACK).
    fn try_undo(&mut self, news: &AckNews, acked: u32, h: &Header) {
        let Some(undo) = (self.recovery.undo.as_deref().copied()).filter(|_| !self.recovery_open())
        else {
            return;
        };
        let echo = h
            .options
            .ts
            .map(|(_, ecr)| ecr)
            .filter(|ecr| self.ts.ok && *ecr != 0);
        let eifel = acked > 0
            && matches!((echo, undo.stamp), (Some(e), Some(s)) if (e.wrapping_sub(s) as i32) < 0);
        let frto = undo.frto && self.sack_ok && self.recovery.phase == Phase::Loss && news.original;
        if eifel || frto {
            self.take_back();
        } else if acked > 0
            && let Some(undo) = &mut self.recovery.undo
        {
            // Only the first acknowledgement after the time-out can tell.
            undo.frto = false;
        }
    }

    /// RFC 4015 3.2: cwnd and ssthresh as if nothing had happened; what was marked lost is in flight.
    fn take_back(&mut self) {
        let Some(undo) = self.recovery.undo.take() else {
            return;
        };
        self.cc.undo(undo.cwnd, undo.ssthresh);
        self.snd.sent.unmark_lost();
        self.recovery.phase = Phase::Open;
        self.recovery.rack.recovery_over();
        self.timers.retries = 0;
        self.rtt.reset_backoff();
    }
}

/// The rate's and the algorithm's share of `record`'s loss.
pub(crate) fn tell_lost(
    now: Instant,
    rate: &mut Rate,
    cc: &mut dyn Congestion,
    sack: bool,
    record: &Sent,
) {
    let lost = rate.on_loss(record);
    cc.on_lost(&Lost {
        now,
        start: record.start,
        len: record.len,
        tx_in_flight: record.stamp.in_flight(),
        lost,
        app_limited: record.stamp.app_limited(),
        sack,
    });
}

/// RFC 2883 4: the first block reports a duplicate when it lies below the acknowledgement or within the second.
fn is_dsack(first: (SeqNum, SeqNum), ack: SeqNum, second: Option<&(SeqNum, SeqNum)>) -> bool {
    first.1.before_eq(ack)
        || second.is_some_and(|second| first.0.after_eq(second.0) && first.1.before_eq(second.1))
}
