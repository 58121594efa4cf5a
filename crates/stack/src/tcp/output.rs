//! What to send next (RFC 9293 3.7.4, 3.8.6): a segment is decided here at the moment it goes, not before.

use std::time::Duration;

use super::mtu_search::Probing;
use super::seq::SeqNum;
use super::tcb::Tcb;
use super::timers::DELAYED_ACK;
use super::vars::AckDue;
use crate::socket::State;
use crate::time::Instant;
use crate::wire::tcp::{Flags, Header, Options};

/// MSG_MORE and TCP_CORK hold a partial segment back for at most this long on a short path (tcp(7), TCP_CORK).
const HOLD: Duration = Duration::from_millis(200);

/// Sending is put off for more window only while the last transmission is not longer ago than this.
const DEFER_MAX: Duration = Duration::from_millis(1);

/// A segment that is to go now.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// SEG.SEQ.
    pub(crate) seq: SeqNum,
    /// Text octets, from the send queue's `seq - base` on.
    pub(crate) len: u32,
    /// Control bits without URG, ECE and CWR, which the header gets.
    pub(crate) flags: Flags,
    /// It is one packet however long it is, and none that may be cut.
    pub(crate) whole: bool,
}

impl Plan {
    /// Sequence number of the text's first octet.
    pub(super) fn text(&self) -> SeqNum {
        self.seq + u32::from(self.flags.contains(Flags::SYN))
    }

    fn bare(seq: SeqNum, flags: Flags) -> Plan {
        Plan {
            seq,
            len: 0,
            flags,
            whole: true,
        }
    }

    /// Sequence number after the segment.
    fn end(&self) -> SeqNum {
        let control =
            u32::from(self.flags.contains(Flags::SYN)) + u32::from(self.flags.contains(Flags::FIN));
        self.seq + self.len + control
    }
}

impl Tcb {
    /// The next segment, or `None` when nothing is to be sent now. After sending it, call [`Tcb::sent`].
    pub(crate) fn next_segment(&mut self, now: Instant) -> Option<Plan> {
        match self.state {
            State::Closed | State::Listen | State::TimeWait => None,
            State::SynSent => self.plan_syn(),
            State::SynReceived => self.next_in_syn_received(now),
            _ if self.has_nothing_to_send() => None,
            _ => self.next_synchronized(now),
        }
    }

    fn next_in_syn_received(&mut self, now: Instant) -> Option<Plan> {
        if self.snd.nxt == self.snd.iss {
            return Some(Plan::bare(self.snd.iss, Flags::SYN | Flags::ACK));
        }
        // RFC 7413 4.2.2: an answer need not wait for the handshake; what is lost of it does.
        if self.fast_open_pending()
            && let Some(plan) = self.plan_new(now)
        {
            return Some(plan);
        }
        self.bare_ack()
    }

    fn next_synchronized(&mut self, now: Instant) -> Option<Plan> {
        self.restart_after_idle(now);
        // Looked at before it is changed: a connection at rest stays so.
        if self.recovery.tail_probe.due
            && std::mem::take(&mut self.recovery.tail_probe.due)
            && let Some(plan) = self.plan_tail_probe(now)
        {
            return Some(plan);
        }
        if !self.must_wait(now)
            && let Some(plan) = self.plan_lost().or_else(|| self.plan_new(now))
        {
            return Some(plan);
        }
        if self.timers.probe_now && std::mem::take(&mut self.timers.probe_now) {
            // As Linux does: an octet that is acknowledged already makes the peer say where it stands, and how wide its window is.
            return Some(Plan::bare(self.snd.una - 1, Flags::ACK));
        }
        self.bare_ack()
    }

    fn bare_ack(&self) -> Option<Plan> {
        (self.rcv.ack == AckDue::Now).then(|| Plan::bare(self.snd.nxt, Flags::ACK))
    }

    /// RFC 5681 4.1.
    fn restart_after_idle(&mut self, now: Instant) {
        if self.snd.sent.is_empty()
            && !self.snd.all_sent()
            && self.snd.wnd > 0
            && now.micros_since(self.snd.last_sent) > self.rtt.rto_micros()
            && self.recovery_open()
        {
            self.cc.on_idle_restart();
        }
    }

    /// What is lost is sent again, first things first, as far as the congestion window has room (RFC 6675 5 step C, RFC 9937).
    fn plan_lost(&self) -> Option<Plan> {
        let lost = self.snd.sent.next_lost()?;
        let mss = self.eff_mss();
        let room = self.cc.cwnd().saturating_sub(self.pipe());
        let want = lost
            .len
            .min(self.segment_limit())
            .min(self.syn_text_room(lost.start))
            .min(self.piece_again(lost.start));
        let want = self.snd.pieces.limit(lost.start, want);
        let len = if room >= want { want } else { room / mss * mss };
        (len > 0).then(|| self.plan_again(lost.start, len))
    }

    /// How much from `start` on goes again together: what went together the first time (Linux: tcp_xmit_retransmit_queue).
    fn piece_again(&self, start: SeqNum) -> u32 {
        match self.snd.pieces.rest(start) {
            Some(rest) if start + rest != self.snd.data_end() => rest,
            // And the FIN.
            _ => u32::MAX,
        }
    }

    /// `start..start + len` again; its last sequence number may be the FIN's.
    fn plan_again(&self, start: SeqNum, len: u32) -> Plan {
        let text = self.snd.data_end().since(start).min(len);
        let mut flags = Flags::ACK;
        if self.snd.fin && text < len {
            flags |= Flags::FIN;
        }
        Plan {
            seq: start,
            len: text,
            flags: flags | self.push_for(start, text),
            whole: false,
        }
    }

    /// MUST-60, MUST-61: PSH on the last octet buffered, also when it goes again. On super-segments too, as Linux has it: the
    /// receiver's merging is told not to wait for more. A single segment that fills a hole may be merged with what lies behind it, and
    /// save acknowledgements where there is congestion (Linux: __tcp_transmit_skb).
    fn push_for(&self, start: SeqNum, len: u32) -> Flags {
        if len > self.eff_mss() || self.snd.pieces.pushes(start, len) {
            Flags::PSH
        } else {
            Flags::empty()
        }
    }

    /// RFC 8985 7.3: a new segment if there is one, else the last one again.
    fn plan_tail_probe(&mut self, now: Instant) -> Option<Plan> {
        let fresh = self.plan_beyond_cwnd().or_else(|| self.plan_new(now));
        if let Some(plan) = fresh {
            self.recovery.tail_probe.end = Some(plan.end());
            self.recovery.tail_probe.is_resend = false;
            return Some(plan);
        }
        let last = *self.snd.sent.iter().rev().find(|r| !r.sacked())?;
        let mut len = last.len.min(self.eff_mss());
        // MSG_EOR keeps apart what it kept apart the first time.
        while let part = self.snd.pieces.limit(last.end() - len, len)
            && part < len
        {
            len -= part;
        }
        let start = last.end() - len;
        // A peer that has taken its window back does not take the tail again either (Linux: __tcp_retransmit_skb).
        let edge = self.snd.una + self.snd.wnd;
        if !start.before(edge) {
            return None;
        }
        self.recovery.tail_probe.end = Some(self.snd.nxt);
        self.recovery.tail_probe.is_resend = true;
        Some(self.plan_again(start, len.min(edge.since(start))))
    }

    /// One new segment, if the peer's window has room for it; a tail probe does not ask the congestion window (RFC 8985 7.3).
    fn plan_beyond_cwnd(&self) -> Option<Plan> {
        let snd = &self.snd;
        let unsent = snd.data_end().since(snd.nxt).min(snd.queue.len() as u32);
        let room = snd.wnd.saturating_sub(snd.flight());
        let len = unsent.min(self.eff_mss());
        let len = snd.pieces.limit(snd.nxt, len);
        (len > 0 && len <= room && !self.snd.all_sent()).then(|| Plan {
            seq: snd.nxt,
            len,
            flags: match snd.fin && len == unsent {
                true => Flags::ACK | Flags::FIN,
                false => Flags::ACK,
            } | self.push_for(snd.nxt, len),
            whole: false,
        })
    }

    /// New text, and the FIN behind it, as far as the windows allow.
    fn plan_new(&mut self, now: Instant) -> Option<Plan> {
        // Mostly it is asked when all is sent.
        if self.snd.all_sent() {
            return None;
        }
        let short = self.plan_short();
        if short.is_some() {
            debug_assert_eq!(short, self.plan_any(now));
            return short;
        }
        self.plan_any(now)
    }

    /// [`Tcb::plan_new`] of whatever there is.
    fn plan_any(&mut self, now: Instant) -> Option<Plan> {
        match self.plan_probe(now) {
            Probing::No => {}
            Probing::Soon => return None,
            Probing::Now(plan) => return Some(plan),
        }
        let snd = &self.snd;
        let written = snd.data_end().since(snd.nxt);
        // What MSG_EOR closed goes by itself, and what stands behind it makes it nobody's last segment (Linux: TCP_NAGLE_PUSH).
        let unsent = snd.pieces.limit(snd.nxt, written);
        let closed = unsent < written;
        let fin_due = snd.fin && !closed && snd.nxt.before_eq(snd.data_end());
        if unsent == 0 && !fin_due {
            return None;
        }
        // A SYN takes no window.
        let syn = u32::from(snd.una == snd.iss);
        let flight = snd.flight().saturating_sub(syn);
        let allowed = self.cc.cwnd();
        let usable = snd
            .wnd
            .saturating_sub(flight)
            .min(allowed.saturating_sub(self.pipe().saturating_sub(syn)));
        // Never more than half the window at a time, ours or the peer's: what goes in two pieces is acknowledged in two (Linux:
        // tcp_cwnd_test, tcp_bound_to_half_wnd).
        let mss = self.eff_mss();
        let half = (allowed / 2 / mss * mss).max(mss).min(self.piece_goal());
        let len = unsent.min(usable).min(self.segment_limit()).min(half);
        if len == 0 && unsent > 0 {
            self.window_closed(now, flight);
            return None;
        }
        if len == unsent && unsent == written && !fin_due && self.gathers(len) {
            return None;
        }
        let mut len = self.whole_segments(now, len, unsent, usable);
        if len == 0 && unsent > 0 {
            return None;
        }
        // The end of a super-segment is held back by the same rules that a segment of its size is.
        let end = len % mss;
        let whole = fin_due || (closed && len == unsent);
        if len > mss && end > 0 && !whole && !self.small_may_go(end, end, flight + len, now) {
            len -= end;
        }
        if len < unsent || !whole {
            let small = len < self.eff_mss();
            if small && !self.small_may_go(len, unsent, flight, now) {
                return None;
            }
        }
        let mut flags = Flags::ACK | self.push_for(self.snd.nxt, len);
        if fin_due && len == unsent {
            flags |= Flags::FIN;
        }
        self.timers.override_sws = false;
        Some(Plan {
            seq: self.snd.nxt,
            len,
            flags,
            whole: false,
        })
    }

    /// Nothing fits: with nothing in flight only a probe will learn of a window again.
    fn window_closed(&mut self, now: Instant, flight: u32) {
        if flight == 0 && self.timers.persist.is_none() && self.timers.rto.is_none() {
            self.timers.persist_backoff = 0;
            self.arm_persist(now);
        }
    }

    /// Cuts a piece that is not the queue's end down to whole segments, and waits for more window rather than send a small
    /// super-segment while acknowledgements are on their way (Linux: tcp_tso_should_defer).
    fn whole_segments(&self, now: Instant, len: u32, unsent: u32, usable: u32) -> u32 {
        if len == unsent {
            return len;
        }
        let mss = self.eff_mss();
        if len < mss {
            return len;
        }
        // Of whole segments: a third of a window of three and a half is one of them.
        let third = self.snd.wnd.min(self.cc.cwnd() / mss * mss) / 3;
        let worthwhile = self.segment_limit().min(third);
        if self.gso > 0 && usable < worthwhile && self.recovery_open() && self.ack_is_near(now) {
            0
        } else {
            len / mss * mss
        }
    }

    /// The next acknowledgement will come soon enough to wait for it: acknowledgements are dense, and that of the oldest octets out is
    /// due within half a round trip, and within a millisecond (Linux: tcp_tso_should_defer).
    fn ack_is_near(&self, now: Instant) -> bool {
        let srtt = self.rtt.srtt().unwrap_or_default();
        now.since(self.snd.last_sent) <= DEFER_MAX
            && self
                .snd
                .sent
                .iter()
                .next()
                .is_some_and(|oldest| oldest.at + srtt <= now + (srtt / 2).min(DEFER_MAX))
    }

    /// RFC 9293 3.7.4 (Nagle, in Minshall's form) and 3.8.6.2.1 (SWS avoidance) for a piece below one segment.
    fn small_may_go(&mut self, len: u32, unsent: u32, flight: u32, now: Instant) -> bool {
        if self.timers.override_sws {
            return true;
        }
        if len < unsent {
            // The window cuts it: (3) half the largest window, (4) or the override time.
            if len >= self.snd.max_wnd.div_ceil(2) {
                return true;
            }
            self.window_closed(now, flight);
            return false;
        }
        if self.snd.hold_until.is_some() {
            return false;
        }
        if self.tuning.cork {
            // tcp(7): for 200 ms at most; the time begins when there is something to hold.
            let hold = self.hold();
            self.timers.cork.get_or_insert(now + hold);
            return false;
        }
        let urgent = self.snd.up.is_some_and(|up| up.after(self.snd.nxt));
        let small_in_flight = self.snd.small_end.after(self.snd.una);
        self.tuning.nodelay || urgent || flight == 0 || !small_in_flight
    }

    /// For how long MSG_MORE and TCP_CORK hold a partial segment back: as on Linux the retransmission timeout.
    pub(crate) fn hold(&self) -> Duration {
        self.rtt.rto().max(HOLD)
    }

    /// The header for `plan`.
    pub(crate) fn header_for(&mut self, plan: &Plan, now: Instant) -> Header {
        let syn = plan.flags.contains(Flags::SYN);
        let window = if syn {
            self.syn_window()
        } else {
            self.window_field()
        };
        let with_ack = plan.flags.contains(Flags::ACK);
        let urgent = self.urgent_pointer(plan);
        let mut flags = plan.flags;
        flags.set(Flags::URG, urgent.is_some());
        match plan.flags & (Flags::SYN | Flags::ACK) {
            syn if syn == Flags::SYN => flags |= self.ecn_syn_flags(),
            syn_ack if syn_ack == Flags::SYN | Flags::ACK => {
                // RFC 3168 6.1.1; of a simultaneous open it agrees to nothing.
                flags.set(Flags::ECE, self.ecn.ok);
            }
            ack if ack == Flags::ACK => flags |= self.ecn_flags(plan.seq, plan.len),
            _ => {}
        }
        Header {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq: plan.seq,
            ack: if with_ack {
                self.rcv.nxt
            } else {
                SeqNum::default()
            },
            flags,
            window,
            urgent: urgent.unwrap_or(0),
            options: if syn {
                self.syn_options(now, with_ack)
            } else {
                self.options(now)
            },
        }
    }

    /// The urgent pointer, on everything in front of the urgent octet, so that it is heard of while the window is closed (RFC 9293
    /// 3.8.5). What it cannot reach yet it does not announce. Linux then points as far ahead as it can say (tcp_transmit_skb), in the
    /// belief that a later segment corrects that; when the later ones are lost and go again without a pointer, their receiver takes
    /// an ordinary octet out of the stream.
    fn urgent_pointer(&self, plan: &Plan) -> Option<u16> {
        if plan.flags.intersects(Flags::SYN | Flags::RST) {
            return None;
        }
        let up = self.snd.up.filter(|up| up.after(plan.seq))?;
        u16::try_from(up.since(plan.seq)).ok()
    }

    /// SYN: everything we can. SYN-ACK of a simultaneous open: what the peer's SYN had (RFC 7323 2.2, 3.2).
    fn syn_options(&self, now: Instant, answer: bool) -> Options {
        Options {
            mss: Some(self.syn.mss),
            wscale: (!answer || self.syn.scaling).then_some(self.syn.wscale),
            ts: (if answer {
                self.ts.ok
            } else {
                self.syn.timestamps
            })
            .then(|| (self.ts.val(now), if answer { self.ts.recent } else { 0 })),
            sack_permitted: !answer || self.sack_ok,
            fast_open: self.fast_open_option(),
            ..Options::default()
        }
    }

    /// SEG.WND of a SYN, which is never scaled (RFC 7323 2.2), and with it RCV.WND.
    fn syn_window(&mut self) -> u16 {
        let rcv = &mut self.rcv;
        let space = rcv.capacity().saturating_sub(rcv.queue.len()) as u32;
        let space = space.min(self.syn.window.into());
        let window = space.max(rcv.adv.since(rcv.nxt)).min(65_535);
        rcv.adv = rcv.adv.later(rcv.nxt + window);
        window as u16
    }

    fn options(&self, now: Instant) -> Options {
        let mut options = Options {
            ts: self.ts.ok.then(|| (self.ts.val(now), self.ts.recent)),
            ..Options::default()
        };
        for (slot, block) in options.sack.iter_mut().zip(self.sack_report()) {
            *slot = block;
            options.sack_len += 1;
        }
        options
    }

    /// SEG.WND, and with it RCV.WND: the right edge never moves left (MUST-34) and moves right only by steps that are worth it
    /// (RFC 9293 3.8.6.2.2).
    pub(super) fn window_field(&mut self) -> u16 {
        let limit = self.window_limit();
        let rcv = &mut self.rcv;
        let clamp = match self.tuning.window_clamp {
            0 => u32::MAX,
            clamp => clamp,
        };
        let space = (rcv.capacity().saturating_sub(rcv.queue.len()) as u32).min(clamp.min(limit));
        let current = rcv.adv.since(rcv.nxt);
        let step = (rcv.capacity / 2).min(self.snd.mss);
        let window = if space >= current.saturating_add(step) {
            space
        } else {
            current
        };
        // Rounded up to what the scaled field can say, so that the edge does not move left by rounding.
        let shift = rcv.wscale;
        let field = window.saturating_add((1u32 << shift) - 1) >> shift;
        let field = field.min(65_535);
        rcv.adv = rcv.adv.later(rcv.nxt + (field << shift));
        field as u16
    }

    /// The program has read: whether the peer should hear of the room (RFC 9293 3.8.6.2.2; a quarter of the buffer saves ACKs).
    pub(crate) fn window_update_due(&self) -> bool {
        if matches!(self.state, State::SynSent | State::SynReceived) || self.rcv.fin.is_some() {
            return false;
        }
        let space = self.rcv.capacity().saturating_sub(self.rcv.queue.len()) as u32;
        let space = space.min(self.window_limit());
        let gain = space.saturating_sub(self.rcv.wnd());
        let capacity = self.rcv.capacity;
        // While the peer has room for many segments the next ordinary ACK tells it early enough.
        let ample = self.rcv.wnd() > (32 * self.snd.mss).min(capacity / 2);
        !ample && gain > 0 && gain >= (capacity / 4).max(2 * self.snd.mss).min(capacity / 2)
    }

    /// `plan` has gone out.
    pub(crate) fn sent(&mut self, plan: &Plan, now: Instant) {
        let end = plan.end();
        let mut eff_mss = self.eff_mss();
        let mss = if plan.whole {
            end.since(plan.seq)
        } else {
            eff_mss
        };
        self.stirred = true;
        if plan.flags.contains(Flags::ACK) {
            self.rcv.ack = AckDue::No;
            self.rcv.repeated = match self.rcv.last_ack_sent == self.rcv.nxt {
                true => self.rcv.repeated.saturating_add(1),
                false => 0,
            };
            self.rcv.gathered = 0;
            self.rcv.unacked = 0;
            self.rcv.pushed = false;
            self.rcv.quick = self.rcv.quick.saturating_sub(1);
            self.rcv.last_ack_sent = self.rcv.nxt;
            if self.rcv.dsack.take().is_some() {
                eff_mss = self.eff_mss();
            }
            if self.timers.delayed_ack.is_some() {
                self.timers.delayed_ack = None;
            }
        }
        let fresh = plan.seq == self.snd.max;
        let again = end != plan.seq && !fresh;
        self.counts.sent(plan.len, eff_mss.max(mss), again);
        if end == plan.seq {
            return;
        }
        let len = end.since(plan.seq);
        let in_flight = self.pipe();
        if in_flight == 0 && self.rate.app_limited() {
            self.cc.on_restart(now);
        }
        let stamp = self.rate.on_send(now, in_flight, len);
        self.pace(len, now);
        if fresh {
            self.snd.sent.push(plan.seq, len, mss, now, stamp);
        } else {
            self.snd.sent.resend(plan.seq, len, mss, now, stamp);
            self.note_resend(len, now);
        }
        self.recovery.prr.out = self.recovery.prr.out.saturating_add(len);
        // Soon after something was received: an answer. What a client says first is none.
        let answers = self.rcv.nxt.since(self.rcv.irs) > 1;
        let soon = now.micros_since(self.counts.last_data) < DELAYED_ACK.as_micros() as u64;
        if soon && plan.len > 0 && answers {
            self.rcv.interactive = true;
        }
        let syn = plan.flags.contains(Flags::SYN);
        if plan.len > 0 && plan.len < eff_mss && fresh && !syn {
            self.snd.small_end = end;
        }
        if fresh && plan.len > 0 {
            let text = plan.seq + u32::from(syn);
            self.snd.pieces.sent(self.snd.base, text, text + plan.len);
        }
        self.snd.max = self.snd.max.later(end);
        if plan.seq == self.snd.nxt {
            // A SYN that is sent again leaves its text where it is.
            self.snd.nxt = match syn {
                true => self.snd.max,
                false => end,
            };
        }
        self.snd.last_sent = now;
        self.note_usage(eff_mss);
        // RFC 6298 5.1; and the first hole sent again has its own round trip to be waited for (RFC 6675 5.1, Linux:
        // tcp_xmit_retransmit_queue): RACK may send it a second time long after SND.UNA last moved.
        let head_again = again && plan.seq == self.snd.una;
        let timers = &mut *self.timers;
        if timers.rto.is_none() || head_again {
            timers.rto = Some(now + self.rtt.rto());
        }
        timers.cork = None;
        timers.persist = None;
        if std::mem::take(&mut timers.held_back) {
            timers.stalled_since = None;
            timers.probes_out = 0;
        }
        if fresh && self.recovery.tail_probe.end.is_none() {
            self.arm_tail_probe(now);
        }
    }
}
