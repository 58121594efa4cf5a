//! SEGMENT ARRIVES for a connection (RFC 9293 3.10.7.3 and 3.10.7.4), one step a function, in the RFC's order.

use std::time::Duration;

use super::seq::SeqNum;
use super::tcb::{Cx, Fate, Tcb, Verdict};
use super::timers::DELAYED_ACK;
use super::vars::{AckDue, Urgent};
use crate::error::Error;
use crate::socket::{Ready, State};
use crate::time::Instant;
use crate::wire::tcp::{Flags, Header};

/// Answers to segments that are out of order in the bad sense go out at most this often (Linux: tcp_invalid_ratelimit).
const CHALLENGE_INTERVAL: Duration = Duration::from_millis(500);
/// TS.Recent is too old to judge by after this long (RFC 7323 5.5: 24 days).
const TS_RECENT_LIFE: Duration = Duration::from_secs(24 * 86400);

/// Acknowledgements that go at once at the beginning and after a pause (Linux: TCP_MAX_QUICKACKS).
const QUICK_ACKS: u32 = 16;
/// Repetitions of an acknowledgement after which the peer knows of a hole.
const TOLD_ENOUGH: u8 = 3;
/// Arrivals behind a hole that one acknowledgement may tell of (Linux: tcp_comp_sack_nr).
const GATHERED_MOST: u8 = 44;
/// How long they are gathered at most (Linux: tcp_comp_sack_delay_ns), and below what it is not worth a timer.
const GATHER_MAX: Duration = Duration::from_millis(1);
const GATHER_MIN: Duration = Duration::from_micros(100);

/// A segment on its way through the steps.
#[derive(Copy, Clone)]
pub(crate) struct Segment<'a> {
    /// Its header.
    pub(crate) header: &'a Header,
    /// Its text.
    pub(crate) payload: &'a [u8],
    /// Payload of the segments that a super-segment stands for, or 0.
    pub(crate) gso_size: u16,
    /// TOS or traffic class of its packet.
    pub(crate) tos: u8,
    /// TTL or hop limit of its packet.
    pub(crate) ttl: u8,
}

impl Segment<'_> {
    pub(super) fn has(&self, flag: Flags) -> bool {
        self.header.has(flag)
    }

    /// SEG.LEN: text, SYN and FIN.
    pub(crate) fn len(&self) -> u32 {
        self.payload.len() as u32
            + u32::from(self.has(Flags::SYN))
            + u32::from(self.has(Flags::FIN))
    }

    fn end(&self) -> SeqNum {
        self.header.seq + self.len()
    }
}

/// Whether the steps go on.
pub(super) type Step = std::ops::ControlFlow<()>;
pub(super) const GO_ON: Step = Step::Continue(());
pub(super) const STOP: Step = Step::Break(());

impl Tcb {
    /// Handles a segment that belongs to this connection.
    pub(crate) fn on_segment(&mut self, cx: &mut Cx<'_>, seg: Segment<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let len = seg.payload.len() as u32;
        let before = self.rcv.nxt;
        self.stirred = true;
        let _ = match self.state {
            State::SynSent => self.syn_sent(cx, &seg, &mut verdict),
            _ => self.synchronized(cx, &seg, &mut verdict),
        };
        self.counts.received(cx.now, len, seg.gso_size);
        if len > 0 && self.rcv.nxt.after(before) {
            self.counts.bytes_received += u64::from(self.rcv.nxt.since(before));
        }
        verdict
    }

    /// RFC 9293 3.10.7.3.
    fn syn_sent(&mut self, cx: &mut Cx<'_>, seg: &Segment<'_>, verdict: &mut Verdict) -> Step {
        let h = seg.header;
        let ack_ok =
            seg.has(Flags::ACK) && h.ack.after(self.snd.iss) && h.ack.before_eq(self.snd.max);
        if seg.has(Flags::ACK) && !ack_ok {
            if !seg.has(Flags::RST) {
                verdict.reset_reply = Some(h.ack);
            }
            return STOP;
        }
        if seg.has(Flags::RST) {
            if ack_ok {
                verdict.fate = Fate::Failed(Error::ConnectionRefused);
            }
            return STOP;
        }
        if !seg.has(Flags::SYN) {
            return STOP;
        }
        if ack_ok && self.foreign_echo(cx.now, h) {
            verdict.reset_reply = Some(h.ack);
            return STOP;
        }
        self.take_syn(cx.now, h.seq, h.window, &h.options);
        self.heard(cx.now);
        if !ack_ok {
            // Simultaneous open (MUST-10): answer with our SYN again, and an ACK.
            self.state = State::SynReceived;
            self.snd.nxt = self.snd.iss;
            self.timers.rto = None;
            // Its text is not taken before the handshake is through (Linux: tcp_rcv_synsent_state_process).
            return STOP;
        }
        self.snd.wl2 = h.ack;
        self.ecn_answered(h);
        self.syn_acknowledged(cx.now);
        self.established(cx, verdict);
        self.syn_text_answered(cx, h);
        self.rcv.ack = AckDue::Now;
        if self.more_follows() {
            self.rcv.ack = AckDue::Delayed;
            self.timers.delayed_ack = Some(cx.now + DELAYED_ACK);
            self.rcv.interactive = true;
        }
        self.urgent(seg, verdict);
        self.text(cx, seg, verdict)?;
        self.fin(seg, verdict)
    }

    /// Both SYNs are through.
    pub(super) fn established(&mut self, cx: &mut Cx<'_>, verdict: &mut Verdict) {
        self.state = if self.snd.fin {
            // The program has closed in SYN-RECEIVED.
            State::FinWait1
        } else {
            State::Established
        };
        if self.timers.retries > 0 {
            self.rtt.after_lost_syn();
            // RFC 6928 2: a lost SYN means a path that is not for a large first window.
            self.cc.on_timeout(cx.now, 0, false);
        }
        let timeouts = std::mem::take(&mut self.timers.retries);
        if !cx.pool.account.pressed() {
            self.grow_send_buffer(cx.config.tcp_wmem[2]);
        }
        self.timers.rto = None;
        self.snd.nxt = self.snd.max;
        self.handshake_through(cx.now, timeouts);
        self.arm_keepalive(cx.now);
        self.counts.last_data = cx.now;
        verdict.wake |= Ready::OUT | Ready::IN;
    }

    /// RFC 9293 3.10.7.4.
    fn synchronized(&mut self, cx: &mut Cx<'_>, seg: &Segment<'_>, verdict: &mut Verdict) -> Step {
        if self.syn_again(cx.now, seg) {
            return STOP;
        }
        self.paws(cx.now, seg)?;
        self.acceptable(cx.now, seg)?;
        self.reset(cx.now, seg, verdict)?;
        self.syn_in_window(cx.now, seg)?;
        if !seg.has(Flags::ACK) {
            return STOP;
        }
        self.heard(cx.now);
        self.acknowledgement(cx, seg, verdict)?;
        if seg.has(Flags::SYN) {
            // The SYN of a simultaneous open, heard before: the peer is told so (Linux: tcp_data_queue).
            self.note_duplicate(seg.header.seq, seg.header.seq + 1);
            self.rcv.ack = AckDue::Now;
        }
        self.urgent(seg, verdict);
        self.text(cx, seg, verdict)?;
        self.fin(seg, verdict)
    }

    /// RFC 7323 5.3 R1. A segment without the option is let through, as Linux does (3.2 says SHOULD drop).
    fn paws(&mut self, now: Instant, seg: &Segment<'_>) -> Step {
        let Some((val, _)) = seg.header.options.ts.filter(|_| self.ts.ok) else {
            return GO_ON;
        };
        let older = (val.wrapping_sub(self.ts.recent) as i32) < 0;
        if !older || seg.has(Flags::RST) || now.since(self.ts.recent_at) > TS_RECENT_LIFE {
            return GO_ON;
        }
        self.challenge(now, seg);
        STOP
    }

    /// First, check the sequence number. An empty segment right at the window's end passes: its ACK counts (as Linux has it).
    fn acceptable(&mut self, now: Instant, seg: &Segment<'_>) -> Step {
        let edge = self.rcv.nxt + self.rcv.wnd();
        let seq = seg.header.seq;
        if self.simultaneous_syn(seg) {
            return GO_ON;
        }
        let fits = if seg.len() == 0 {
            seq.after_eq(self.rcv.nxt) && seq.before_eq(edge)
        } else {
            // With a zero window a segment at RCV.NXT still brings its ACK, URG or RST; its text is cut off later.
            seg.end().after(self.rcv.nxt) && (seq.before(edge) || seq == self.rcv.nxt)
        };
        if fits {
            return GO_ON;
        }
        if !seg.has(Flags::RST) {
            // MUST-59's reason: a repeated segment means that our ACK was lost; those of text are answered always.
            if seg.payload.is_empty() && !seg.has(Flags::FIN) {
                self.challenge(now, seg);
            } else {
                self.note_duplicate(seq, seg.end());
                self.rcv.ack = AckDue::Now;
            }
        }
        STOP
    }

    /// Second, check the RST bit (RFC 5961 3.2).
    fn reset(&mut self, now: Instant, seg: &Segment<'_>, verdict: &mut Verdict) -> Step {
        if !seg.has(Flags::RST) {
            return GO_ON;
        }
        if seg.header.seq != self.rcv.nxt {
            self.challenge(now, seg);
            return STOP;
        }
        // tcp_reset() of Linux; a refused passive open never gets here, it has its own compact form.
        let error = match self.state {
            State::SynReceived if !self.fast_open_pending() => Error::ConnectionRefused,
            State::CloseWait => Error::BrokenPipe,
            _ => Error::ConnectionReset,
        };
        verdict.fate = Fate::Failed(error);
        STOP
    }

    /// Fourth, check the SYN bit (RFC 5961 4.2).
    fn syn_in_window(&mut self, now: Instant, seg: &Segment<'_>) -> Step {
        if !seg.has(Flags::SYN) {
            return GO_ON;
        }
        if self.simultaneous_syn(seg) {
            return GO_ON;
        }
        self.challenge(now, seg);
        STOP
    }

    /// The SYN-ACK of a simultaneous open (RFC 9293 3.5, figure 8): its SYN was seen, so it lies before the window; its ACK counts.
    fn simultaneous_syn(&self, seg: &Segment<'_>) -> bool {
        self.state == State::SynReceived
            && seg.has(Flags::SYN)
            && seg.has(Flags::ACK)
            && seg.header.seq == self.rcv.irs
    }

    /// An ACK in answer to something doubtful, not more often than is good for the network (RFC 5961 7).
    pub(super) fn challenge(&mut self, now: Instant, _seg: &Segment<'_>) {
        if self.may_challenge(now) {
            self.rcv.ack = AckDue::Now;
        }
    }

    /// Whether an answer to something doubtful may go now; the next not before long.
    pub(super) fn may_challenge(&mut self, now: Instant) -> bool {
        let may = now >= self.challenge_after;
        if may {
            self.challenge_after = now + CHALLENGE_INTERVAL;
        }
        may
    }

    /// RFC 7323 4.3 (2).
    pub(super) fn take_timestamp(&mut self, now: Instant, seg: &Segment<'_>) {
        if let Some((val, _)) = seg.header.options.ts.filter(|_| self.ts.ok)
            && (val.wrapping_sub(self.ts.recent) as i32) >= 0
            && seg.header.seq.before_eq(self.rcv.last_ack_sent)
        {
            self.ts.recent = val;
            self.ts.recent_at = now;
        }
    }

    /// Sixth, check the URG bit (MUST-31, MUST-62; the pointer names the octet after the urgent one, RFC 6093).
    fn urgent(&mut self, seg: &Segment<'_>, verdict: &mut Verdict) {
        let receiving = matches!(
            self.state,
            State::Established | State::FinWait1 | State::FinWait2
        );
        if !seg.has(Flags::URG) || !receiving || seg.header.urgent == 0 {
            return;
        }
        let seq = seg.header.seq + u32::from(seg.header.urgent) - 1;
        // It has come before (tcp_check_urg), or is no newer than what is known.
        if seq.before(self.rcv.nxt) || self.rcv.urgent.is_some_and(|u| seq.before_eq(u.seq)) {
            return;
        }
        self.rcv.urgent = Some(Urgent {
            seq,
            octet: None,
            taken: false,
        });
        verdict.wake |= Ready::PRI;
    }

    /// Seventh, process the segment text.
    fn text(&mut self, cx: &mut Cx<'_>, seg: &Segment<'_>, verdict: &mut Verdict) -> Step {
        if seg.payload.is_empty() {
            return GO_ON;
        }
        let receiving = matches!(
            self.state,
            State::SynReceived | State::Established | State::FinWait1 | State::FinWait2
        );
        if !receiving || self.rcv.fin_reached() {
            return GO_ON;
        }
        if self.orphan && (seg.header.seq + seg.payload.len() as u32).after(self.rcv.nxt) {
            // RFC 9293 3.6.1 (MUST-13's neighbour): data for a program that has gone is answered with a reset.
            // Named as the peer acknowledges it: there it is exact, whether our FIN has arrived or not (Linux: TCP_ABORT_ON_DATA).
            verdict.reset_reply = Some(seg.header.ack);
            verdict.fate = Fate::Closed;
            return STOP;
        }
        // RFC 1122 4.2.2.13: so is data that the program has said it will not read (tcp_rcv_state_process, TCPABORTONDATA).
        let half = matches!(self.state, State::FinWait1 | State::FinWait2);
        if self.deaf && half && (seg.header.seq + seg.payload.len() as u32).after(self.rcv.nxt) {
            verdict.reset_reply = Some(seg.header.ack);
            verdict.fate = Fate::Failed(Error::ConnectionReset);
            return STOP;
        }
        self.ecn_received(seg.header, seg.tos);
        let text_seq = seg.header.seq + u32::from(seg.has(Flags::SYN));
        let (start, data) = self.trim(text_seq, seg.payload);
        self.note_duplicate(text_seq, text_seq + seg.payload.len() as u32);
        if data.is_empty() {
            // A window probe, or a repetition.
            self.rcv.ack = AckDue::Now;
            return GO_ON;
        }
        self.store(cx, seg, start, data, verdict);
        GO_ON
    }

    /// Octets that were received before are reported with the next ACK (RFC 2883 4).
    fn note_duplicate(&mut self, seq: SeqNum, end: SeqNum) {
        let end = end.earlier(self.rcv.nxt);
        if self.sack_ok && seq.before(end) {
            self.rcv.dsack = Some((seq, end));
        }
    }

    /// Cuts off what lies outside RCV.NXT and the window.
    fn trim<'a>(&self, seq: SeqNum, payload: &'a [u8]) -> (SeqNum, &'a [u8]) {
        let skip = (self.rcv.nxt.since(seq) as usize).min(payload.len());
        let start = seq + skip as u32;
        let payload = payload.get(skip..).unwrap_or(&[]);
        let edge = self.rcv.nxt + self.rcv.wnd();
        // Nothing comes behind the FIN.
        let edge = self.rcv.fin.map_or(edge, |fin| edge.earlier(fin));
        let room = edge.since(start) as usize;
        (start, payload.get(..room.min(payload.len())).unwrap_or(&[]))
    }

    /// Text that lies within the window and is not known yet, from `start` on, as far as there is memory for it.
    pub(super) fn store(
        &mut self,
        cx: &mut Cx<'_>,
        seg: &Segment<'_>,
        start: SeqNum,
        data: &[u8],
        verdict: &mut Verdict,
    ) {
        let room = self.admit(cx.pool, data.len(), start == self.rcv.nxt);
        let data = data.get(..room).unwrap_or_default();
        if data.is_empty() {
            self.rcv.ack = AckDue::Now;
            return;
        }
        let end = start + data.len() as u32;
        if start == self.rcv.nxt && self.rcv.assembler.is_empty() {
            self.rcv.queue.push_text(cx.pool, data);
            self.rcv.nxt = end;
            self.measure_window(cx.now);
            self.delay_ack(cx.now, seg);
        } else {
            // MUST-58, SHLD-31: out of order, or filling a hole: acknowledge at once.
            let known = self.rcv.assembler.contains(start, end);
            if start == self.rcv.nxt || known || !self.gather_duplicates(cx.now) {
                self.rcv.ack = AckDue::Now;
            }
            self.rcv.interactive = false;
            self.quicken();
            if self.sack_ok && known {
                self.rcv.dsack = Some((start, end));
                return;
            }
            if start != self.rcv.nxt && !self.rcv.assembler.add(start, end) {
                return;
            }
            let offset = start.since(self.rcv.base) as usize;
            self.rcv.queue.write_at(cx.pool, offset, data);
            if start != self.rcv.nxt {
                self.take_urgent_octet(start, data, verdict);
                return;
            }
            let nxt = self.rcv.assembler.advance(end);
            self.rcv.queue.extend(nxt.since(self.rcv.nxt) as usize);
            self.rcv.nxt = nxt;
        }
        self.take_urgent_octet(start, data, verdict);
        verdict.wake |= Ready::IN;
    }

    /// The urgent octet, if it lies in `data`.
    fn take_urgent_octet(&mut self, start: SeqNum, data: &[u8], verdict: &mut Verdict) {
        if let Some(urgent) = &mut self.rcv.urgent
            && urgent.octet.is_none()
            && urgent.seq.after_eq(start)
            && let Some(octet) = data.get(urgent.seq.since(start) as usize)
        {
            urgent.octet = Some(*octet);
            verdict.wake |= Ready::PRI;
        }
    }

    /// RFC 9293 3.8.6.3: every second full-sized segment at least, and within 40 ms (MUST-40). A super-segment counts as
    /// the segments that it stands for (MUST-58's aggregation: one ACK for all of them).
    fn delay_ack(&mut self, now: Instant, seg: &Segment<'_>) {
        self.rcv.pushed |= seg.has(Flags::PSH);
        let len = seg.payload.len() as u32;
        let unit = if seg.gso_size == 0 {
            len
        } else {
            u32::from(seg.gso_size)
        };
        self.rcv.seen_mss = self.rcv.seen_mss.max(unit).min(self.snd.mss.max(536));
        let first = self.rcv.nxt.since(self.rcv.irs) == 1 + len;
        if first || now.micros_since(self.counts.last_data) > self.rtt.rto_micros() {
            self.quicken();
        }
        self.rcv.unacked = self.rcv.unacked.saturating_add(len);
        let quick = self.rcv.quick > 0 && !self.rcv.interactive;
        if self.rcv.unacked >= 2 * self.rcv.seen_mss || seg.has(Flags::FIN) || quick {
            self.rcv.ack = AckDue::Now;
        } else if self.rcv.ack == AckDue::No {
            self.rcv.ack = AckDue::Delayed;
            self.timers.delayed_ack = Some(now + DELAYED_ACK);
        }
    }

    /// When the peer has been told three times of a hole, it knows: further arrivals behind it are told of together, a twentieth of a
    /// round trip later, instead of each with an acknowledgement of its own (Linux: tcp_comp_sack_delay_ns, tcp_comp_sack_nr).
    /// Returns whether this one waits for others.
    fn gather_duplicates(&mut self, now: Instant) -> bool {
        let delay = (self.rtt.srtt().unwrap_or_default() / 20).min(GATHER_MAX);
        let waits = self.sack_ok
            && self.rcv.repeated >= TOLD_ENOUGH
            && self.rcv.gathered < GATHERED_MOST
            && self.rcv.ack != AckDue::Now
            && delay >= GATHER_MIN;
        if waits {
            self.rcv.gathered += 1;
            self.rcv.ack = AckDue::Delayed;
            let at = now + delay;
            let due = self.timers.delayed_ack.map_or(at, |due| due.min(at));
            self.timers.delayed_ack = Some(due);
        }
        waits
    }

    /// The next acknowledgements go at once: the peer is in slow start, or has lost something (Linux: tcp_incr_quickack).
    pub(super) fn quicken(&mut self) {
        let segments = self.rcv.wnd() / (2 * self.rcv.seen_mss.max(1));
        self.rcv.quick = self.rcv.quick.max(segments.clamp(2, QUICK_ACKS) as u8);
    }

    /// Eighth, check the FIN bit; also when a hole before an earlier FIN has been filled.
    fn fin(&mut self, seg: &Segment<'_>, verdict: &mut Verdict) -> Step {
        if seg.has(Flags::FIN) && self.rcv.fin.is_none() {
            let fin = seg.end() - 1;
            // A FIN beyond the window is not taken: it will come again. One before what has arrived is a lie.
            let beyond = fin.after(self.rcv.nxt + self.rcv.wnd());
            let reach = self.rcv.assembler.reach().unwrap_or(self.rcv.nxt);
            if !beyond && fin.after_eq(reach.later(self.rcv.nxt)) {
                self.rcv.fin = Some(fin);
            }
        }
        if seg.has(Flags::FIN) {
            self.rcv.ack = AckDue::Now;
        }
        if self.rcv.fin != Some(self.rcv.nxt) || self.state == State::SynReceived {
            return GO_ON;
        }
        self.rcv.nxt += 1;
        self.rcv.adv = self.rcv.adv.later(self.rcv.nxt);
        self.rcv.ack = AckDue::Now;
        verdict.wake |= Ready::IN | Ready::RDHUP;
        match self.state {
            State::Established => self.state = State::CloseWait,
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => {
                verdict.fate = Fate::TimeWait;
            }
            _ => {}
        }
        GO_ON
    }
}
