//! The direct path of a request or an answer: what mostly is, looked at first. Each function here comes to what the general one would come to
//! and leaves what it does not cover to that (as header prediction does for what is received).

use std::io::IoSlice;

use super::bytes::Pool;
use super::memory::Whose;
use super::output::Plan;
use super::seq::SeqNum;
use super::tcb::Tcb;
use super::vars::AckDue;
use crate::socket::SendFlags;
use crate::time::Instant;
use crate::wire::tcp::{Flags, HEADER_LEN, Header, Options};

/// Octets of a header whose only options are timestamps, with their padding.
pub(super) const PLAIN_LEN: usize = HEADER_LEN + 12;

impl Tcb {
    /// Whether a synchronized connection has nothing to send: [`Tcb::next_segment`] would find nothing, and change nothing.
    #[inline]
    pub(super) fn has_nothing_to_send(&self) -> bool {
        self.snd.all_sent()
            && self.rcv.ack != AckDue::Now
            && self.snd.sent.lost() == 0
            && self.pacing.is_none()
            && !self.timers.probe_now
            && !self.recovery.tail_probe.due
    }

    /// [`Tcb::plan_new`] of one short piece that nothing holds back: it fits into one segment and into the windows, nothing is out that Nagle's
    /// rule would have it wait for, and no FIN stands behind it.
    #[inline]
    pub(super) fn plan_short(&mut self) -> Option<Plan> {
        let snd = &self.snd;
        let pushed = snd.pieces.only()?;
        let (len, flight) = (snd.data_end().since(snd.nxt), snd.flight());
        let held = snd.fin
            || snd.gathers
            || snd.una == snd.iss
            || snd.hold_until.is_some()
            || snd.search.is_some()
            || self.tuning.cork
            || (flight > 0 && !self.tuning.nodelay);
        if held || len > self.eff_mss() || snd.wnd.saturating_sub(flight) < len {
            return None;
        }
        if self.cc.cwnd().saturating_sub(self.pipe()) < len {
            return None;
        }
        if self.timers.override_sws {
            self.timers.override_sws = false;
        }
        let push = match pushed {
            true => Flags::PSH,
            false => Flags::empty(),
        };
        Some(Plan {
            seq: self.snd.nxt,
            len,
            flags: Flags::ACK | push,
            whole: false,
        })
    }

    /// [`Tcb::write`] of less than a segment to a queue with nothing in it: one piece, pushed.
    #[inline]
    pub(super) fn write_short(
        &mut self,
        pool: &mut Pool,
        data: &[IoSlice<'_>],
        flags: SendFlags,
        lowat: u32,
    ) -> Option<usize> {
        let [part] = data else { return None };
        let len = part.len();
        let special = SendFlags::OOB | SendFlags::MORE | SendFlags::EOR;
        let snd = &mut self.snd;
        let plain = len > 0
            && snd.queue.is_empty()
            && snd.pieces.is_empty()
            && snd.max == snd.base
            && snd.capacity > 0
            && lowat > 0
            && !flags.intersects(special);
        if !plain || len >= self.eff_mss() as usize {
            return None;
        }
        let snd = &mut self.snd;
        snd.queue.expect(pool, len);
        if pool.room(Whose::Writing, &snd.queue) < len {
            return None;
        }
        snd.refused = false;
        snd.starved = false;
        snd.queue.push(pool, part);
        let end = snd.data_end();
        snd.pieces.start_pushed(end);
        snd.pushed = end;
        Some(len)
    }

    /// [`Tcb::header_for`] of a segment whose only options are timestamps.
    #[inline]
    pub(super) fn plain_header(&mut self, plan: &Plan, now: Instant) -> Option<Plain> {
        let control = plan.flags & (Flags::SYN | Flags::RST | Flags::ACK);
        let plain = self.ts.ok
            && control == Flags::ACK
            && self.snd.up.is_none()
            && self.has_no_sack_report();
        plain.then(|| Plain {
            seq: plan.seq,
            ack: self.rcv.nxt,
            flags: plan.flags | self.ecn_flags(plan.seq, plan.len),
            window: self.window_field(),
            ts: (self.ts.val(now), self.ts.recent),
            ports: (self.tuple.local_port, self.tuple.remote_port),
        })
    }
}

/// A segment's header that has timestamps and no other options, in host order.
pub(crate) struct Plain {
    seq: SeqNum,
    ack: SeqNum,
    flags: Flags,
    window: u16,
    ts: (u32, u32),
    /// Ours and the peer's.
    ports: (u16, u16),
}

impl Plain {
    /// As the general form has it.
    pub(super) fn header(&self) -> Header {
        Header {
            src_port: self.ports.0,
            dst_port: self.ports.1,
            seq: self.seq,
            ack: self.ack,
            flags: self.flags,
            window: self.window,
            urgent: 0,
            options: Options {
                ts: Some(self.ts),
                ..Options::default()
            },
        }
    }

    /// As it is on the wire, with `checksum` in its place.
    pub(super) fn emit(&self, checksum: u16) -> [u8; PLAIN_LEN] {
        let mut out = [0; PLAIN_LEN];
        out[0..2].copy_from_slice(&self.ports.0.to_be_bytes());
        out[2..4].copy_from_slice(&self.ports.1.to_be_bytes());
        out[4..8].copy_from_slice(&self.seq.raw().to_be_bytes());
        out[8..12].copy_from_slice(&self.ack.raw().to_be_bytes());
        out[12] = (PLAIN_LEN as u8 / 4) << 4;
        out[13] = self.flags.bits();
        out[14..16].copy_from_slice(&self.window.to_be_bytes());
        out[16..18].copy_from_slice(&checksum.to_be_bytes());
        // As `Options::emit` pads them.
        out[20..24].copy_from_slice(&[1, 1, 8, 10]);
        out[24..28].copy_from_slice(&self.ts.0.to_be_bytes());
        out[28..32].copy_from_slice(&self.ts.1.to_be_bytes());
        out
    }
}
