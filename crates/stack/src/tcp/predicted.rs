//! Header prediction (Linux: tcp_rcv_established): most segments of an established connection are the next in order, and acknowledge all that
//! is out, and of the steps in `input.rs` and `ack.rs` few have anything to do for them. Those few are taken here, in the same order and by the
//! same functions; what is the least bit different goes through all.

use super::connection;
use super::input::Segment;
use super::tcb::{Cx, Tcb, Verdict};
use crate::socket::table::Proto;
use crate::socket::{Ready, SocketId, State};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::tcp::{Flags, Header};

/// Takes a segment for `id` if it is the expected one. False: nothing was done with it.
pub(super) fn input(stack: &mut Stack, now: Instant, id: SocketId, seg: &Segment<'_>) -> bool {
    #[cfg(test)]
    if stack.tcp.predicts_nothing {
        return false;
    }
    let Stack {
        sockets,
        tcp: layer,
        config,
        events,
        ..
    } = stack;
    let Some(socket) = sockets.get_mut(id) else {
        return false;
    };
    let marked = (socket.extra.as_deref()).is_some_and(|extra| !extra.marks.is_empty());
    let Proto::Tcp(tcp) = &mut socket.proto else {
        return false;
    };
    let Some(tcb) = tcp.tcb.as_deref_mut() else {
        return false;
    };
    if marked || !tcb.expects(seg) {
        return false;
    }
    #[cfg(test)]
    {
        layer.predicted += 1;
    }
    let mut cx = Cx {
        now,
        pool: &mut layer.pool,
        config,
    };
    let wake = tcb.take_expected(&mut cx, seg);
    layer.pool.note_taker(id);
    if !wake.is_empty() {
        if socket.events.is_empty() {
            events.push_back(id);
        }
        socket.events |= wake;
    }
    if connection::queue_if_needed(tcp, layer, now, id) {
        return true;
    }
    // Of deadlines only this one can have become an earlier one.
    let Some(tcb) = tcp.tcb.as_deref() else {
        return true;
    };
    let armed_for_it = |armed| tcb.timers.delayed_ack.is_none_or(|due| armed <= due);
    if tcp.armed.is_some_and(armed_for_it) {
        debug_assert!(tcb.deadline().is_none_or(|due| tcp.armed <= Some(due)));
    } else {
        connection::arm(stack, id);
    }
    true
}

impl Tcb {
    /// Whether `seg` has nothing about it that any of the general steps would look at twice: a segment of an established connection that is
    /// next in order and within the window, nothing missing before it or known behind it, with no control bits but ACK and PSH and no options but
    /// the timestamps agreed upon, whose ACK covers all that was sent, while no loss, no probe and no mark is being dealt with.
    fn expects(&self, seg: &Segment<'_>) -> bool {
        let (h, snd, rcv) = (seg.header, &self.snd, &self.rcv);
        let stamped = match h.options.ts {
            // RFC 7323 5.3 R1: no older than TS.Recent.
            Some((val, _)) => self.ts.ok && val.wrapping_sub(self.ts.recent) as i32 >= 0,
            None => !self.ts.ok,
        };
        let plain = h.flags.difference(Flags::PSH) == Flags::ACK && h.options.sack_len == 0;
        let next = h.seq == rcv.nxt && seg.payload.len() <= rcv.wnd() as usize;
        let whole = rcv.assembler.is_empty() && rcv.fin.is_none() && rcv.urgent.is_none();
        let all = h.ack == snd.max && snd.nxt == snd.max && snd.wnd > 0;
        let usual = self.state == State::Established
            && !self.orphan
            && !self.ecn.ok
            && self.fast_open.is_none();
        usual && plain && stamped && next && whole && all && self.nothing_amiss()
    }

    /// What was sent is neither lost nor SACKed, and nobody waits to see whether it is.
    fn nothing_amiss(&self) -> bool {
        self.snd.sent.sacked() == 0 && self.snd.sent.lost() == 0 && self.recovery.untroubled()
    }

    /// The steps of [`Tcb::on_segment`] for a segment that [`Tcb::expects`] is true of. Whom to wake.
    fn take_expected(&mut self, cx: &mut Cx<'_>, seg: &Segment<'_>) -> Ready {
        let (now, h, len) = (cx.now, seg.header, seg.payload.len() as u32);
        let before = self.rcv.nxt;
        self.stirred = true;
        self.heard(now);
        self.take_timestamp(now, seg);
        self.counts.last_ack = now;
        self.update_window(now, h);
        if !self.snd.sent.is_empty() {
            self.all_acknowledged(cx, h);
        }
        let mut verdict = Verdict::default();
        if len > 0 {
            self.store(cx, seg, before, seg.payload, &mut verdict);
            self.counts.bytes_received += u64::from(self.rcv.nxt.since(before));
        }
        self.counts.received(now, len, seg.gso_size);
        verdict.wake
    }

    /// [`Tcb::acknowledgement`] where all that is out is acknowledged and none of it was in doubt: there is no loss to find, nothing to be
    /// probed for, and no reduction to go on with or to take back.
    fn all_acknowledged(&mut self, cx: &mut Cx<'_>, h: &Header) {
        let now = cx.now;
        let news = self.take_all_acknowledged(now);
        if let Some(rtt) = news.rtt {
            self.rtt.sample(rtt);
        }
        let segments = news.delivered.div_ceil(self.eff_mss());
        self.counts.delivered = self.counts.delivered.wrapping_add(segments);
        let acked = h.ack.since(self.snd.una);
        self.counts.bytes_acked += u64::from(acked);
        self.new_ack(cx, h.ack);
        let grows = if self.sack_ok { news.delivered } else { acked };
        self.open_ack(now, grows, news.rtt);
        self.sample_rate(now, &news, self.lost_so_far());
        let timers = &mut *self.timers;
        timers.tail_probe = None;
        if self.sack_ok {
            timers.reorder = None;
        }
    }
}

#[cfg(test)]
mod tests;
