//! The ACK field of a segment for a synchronized connection (RFC 9293 3.10.7.4, fifth; RFC 5961 5).

use super::input::{GO_ON, STOP, Segment, Step};
use super::seq::SeqNum;
use super::tcb::{Cx, Fate, Tcb, Verdict};
use crate::socket::{Ready, State};
use crate::time::{Instant, Span};
use crate::wire::tcp::{Flags, Header};

impl Tcb {
    /// Fifth, check the ACK field.
    pub(super) fn acknowledgement(
        &mut self,
        cx: &mut Cx<'_>,
        seg: &Segment<'_>,
        verdict: &mut Verdict,
    ) -> Step {
        let h = seg.header;
        if self.state == State::SynReceived {
            if !(h.ack.after(self.snd.una) && h.ack.before_eq(self.snd.max)) {
                verdict.reset_reply = Some(h.ack);
                return STOP;
            }
            self.snd.wnd = self.scaled_window(h);
            self.snd.max_wnd = self.snd.wnd;
            self.snd.wl1 = h.seq;
            self.snd.wl2 = h.ack;
            self.syn_acknowledged(cx.now);
            self.established(cx, verdict);
            self.syn_text_answered(cx, h);
        }
        // RFC 5961 5.2: older than the largest window ever, or for octets that we never sent.
        if h.ack.after(self.snd.max) || h.ack.before(self.snd.una - self.snd.max_wnd.max(1)) {
            self.challenge(cx.now, seg);
            return STOP;
        }
        // Only now: who does not know what we have sent may not set TS.Recent either (Linux: tcp_ack).
        self.take_timestamp(cx.now, seg);
        if h.ack.before(self.snd.una) {
            // An ACK that others have overtaken: its SACK blocks may still tell something new (Linux: tcp_ack, old_ack).
            if self.sack_ok && h.options.sack_len > 0 && !self.snd.sent.is_empty() {
                let news = self.take_acknowledgement(cx.now, h);
                self.recover(cx.now, news, 0, false, h);
            }
            return GO_ON;
        }
        self.counts.last_ack = cx.now;
        let window_before = self.snd.wnd;
        self.update_window(cx.now, h);
        let dup = h.ack == self.snd.una
            && Tcb::is_pure_ack(h, seg.payload)
            && self.snd.wnd == window_before
            && self.snd.max.after(self.snd.una);
        if !self.snd.sent.is_empty() {
            let news = self.take_acknowledgement(cx.now, h);
            if let Some(rtt) = news.rtt {
                self.rtt.sample(rtt);
            }
            let segments = news.delivered.div_ceil(self.eff_mss());
            self.counts.delivered = self.counts.delivered.wrapping_add(segments);
            if self.ecn.ok && h.has(Flags::ECE) {
                self.counts.delivered_ce = self.counts.delivered_ce.wrapping_add(segments);
            }
            self.counts.dsack_dups += u32::from(news.dsack > 0);
            let acked = h.ack.since(self.snd.una);
            self.counts.bytes_acked += u64::from(acked);
            if acked > 0 {
                self.new_ack(cx, h.ack);
            }
            self.recover(cx.now, news, acked, dup, h);
            // RFC 8985 7.2: an acknowledgement of nothing new does not put the probe off.
            if acked > 0 || news.delivered > 0 || self.timers.tail_probe.is_none() {
                self.arm_tail_probe(cx.now);
            }
        }
        self.after_ack(cx, verdict)
    }

    /// Our SYN is acknowledged: the first round-trip time, if it was sent once (Karn's rule).
    pub(super) fn syn_acknowledged(&mut self, now: Instant) {
        let mut sample = None;
        self.snd.una = self.snd.iss + 1;
        self.snd.sent.acknowledge(self.snd.una, |record| {
            sample = (!record.resent).then(|| Span::between(record.at, now));
        });
        self.counts.delivered = self.counts.delivered.wrapping_add(1);
        if let Some(rtt) = sample {
            self.rtt.sample(rtt);
            self.rtt.note_min(rtt, now);
        }
    }

    /// SEG.WND in octets: the one in a SYN is never scaled (RFC 7323 2.2).
    fn scaled_window(&self, h: &Header) -> u32 {
        let shift = if h.has(Flags::SYN) {
            0
        } else {
            self.snd.wscale
        };
        u32::from(h.window) << shift
    }

    /// RFC 9293 3.10.7.4, window update, with Linux's amendment (tcp_may_update_window): an ACK of new octets always counts, for
    /// SND.WND is counted from them, and the same place acknowledged again counts when it says more, or nothing.
    pub(super) fn update_window(&mut self, now: Instant, h: &Header) {
        let window = self.scaled_window(h);
        let again = self.snd.wl1 == h.seq && self.snd.wl2.before_eq(h.ack);
        let counts = h.ack.after(self.snd.una)
            || self.snd.wl1.before(h.seq)
            || (again && (window > self.snd.wnd || window == 0));
        if !counts {
            return;
        }
        let opened = self.snd.wnd == 0 && h.window != 0;
        self.snd.wnd = window;
        self.snd.max_wnd = self.snd.max_wnd.max(self.snd.wnd);
        self.snd.wl1 = h.seq;
        self.snd.wl2 = h.ack;
        if opened {
            self.timers.persist = None;
            self.timers.persist_backoff = 0;
            self.timers.probe_now = false;
            if self.timers.rto.is_none() {
                // What was in flight when the window closed met a closed door.
                self.resend_all(now);
            }
        }
    }

    /// Octets are acknowledged for the first time; the scoreboard knows already.
    pub(super) fn new_ack(&mut self, cx: &mut Cx<'_>, ack: SeqNum) {
        self.snd.una = ack;
        self.snd.nxt = self.snd.nxt.later(ack);
        let text = (ack.since(self.snd.base) as usize).min(self.snd.queue.len());
        if text == self.snd.queue.len() {
            self.snd.queue.clear(cx.pool);
        } else {
            self.snd.queue.consume(cx.pool, text);
        }
        // An empty queue needs less than one that takes large chunks: it asks again.
        self.snd.refused &= !self.snd.queue.is_empty();
        self.snd.base += text as u32;
        self.snd.pieces.acknowledge(self.snd.base);
        if self.snd.up.is_some_and(|up| up.before_eq(ack)) {
            self.snd.up = None;
        }
        // As on Linux MSG_MORE outlasts no acknowledgement (TCP_CORK does).
        self.snd.hold_until = None;
        self.soft_error = None;
        self.rtt.reset_backoff();
        self.timers.retries = 0;
        self.timers.stalled_since = None;
        self.search_acknowledged();
        // RFC 6298 5.2 and 5.3.
        self.timers.rto = (!self.snd.sent.is_empty()).then(|| cx.now + self.rtt.rto());
    }

    /// What an acknowledged FIN changes.
    fn after_ack(&mut self, cx: &mut Cx<'_>, verdict: &mut Verdict) -> Step {
        if !self.snd.fin_acked() {
            return GO_ON;
        }
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                self.arm_fin_wait_2(cx.now);
                // Lingering close waits for this.
                verdict.wake |= Ready::OUT;
                GO_ON
            }
            State::Closing => {
                verdict.fate = Fate::TimeWait;
                STOP
            }
            State::LastAck => {
                verdict.fate = Fate::Closed;
                STOP
            }
            _ => GO_ON,
        }
    }
}
