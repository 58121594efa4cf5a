//! What a program writes becomes pieces of the send queue (tcp_sendmsg_locked), and how much the queue takes (sk_stream_memory_free).

use std::io::IoSlice;

use super::buffers::Buffers;
use super::bytes::Pool;
use super::memory::Whose;
use super::pieces::PIECE_COST;
use super::seq::SeqNum;
use super::tcb::Tcb;
use super::vars::Send;
use crate::config::Config;
use crate::socket::SendFlags;

/// Largest piece, octets (Linux: 64 KB without MAX_TCP_HEADER and one).
const PIECE_MAX: u32 = 65_215;
/// A peer whose largest window was no more than this has a tiny one (Linux: TCP_MSS_DEFAULT).
const TINY_WINDOW: u32 = 536;
/// Segments of the window that a send buffer has room for at least (Linux: TCP_INIT_CWND).
const WINDOW_MIN: u32 = 10;
/// What Linux puts before and behind a segment's octets: MAX_TCP_HEADER and `struct skb_shared_info`; `struct sk_buff`.
const FRAME_COST: u32 = 640;
const BUFFER_COST: u32 = 256;

impl Send {
    /// What the queue costs, octets: what is in it, and its pieces (sk_wmem_queued).
    pub(crate) fn charge(&self) -> usize {
        self.queue
            .len()
            .saturating_add(self.pieces.len().saturating_mul(PIECE_COST))
    }

    /// Linux's sk_stream_memory_free: whether another piece may be begun. `unsent`: octets written and not sent.
    fn takes_more(&self, unsent: u32, lowat: u32) -> bool {
        self.charge() < self.capacity as usize && unsent < lowat
    }

    /// Linux's __sk_stream_is_writeable: a third of the buffer is free, and less than half of TCP_NOTSENT_LOWAT waits to be sent.
    pub(crate) fn writable(&self, lowat: u32) -> bool {
        let charge = self.charge();
        let unsent = self.data_end().since(self.max);
        !self.refused
            && (self.capacity as usize).saturating_sub(charge) >= charge / 2
            && self.takes_more(unsent.saturating_mul(2), lowat)
    }
}

impl Tcb {
    /// Takes into the send queue what fits of `text`; returns how many octets.
    pub(crate) fn write(
        &mut self,
        config: &Config,
        pool: &mut Pool,
        text: &mut Text<'_>,
        flags: SendFlags,
    ) -> usize {
        let lowat = self.lowat(config);
        if let Text::Slices(data) = text
            && let Some(taken) = self.write_short(pool, data, flags, lowat)
        {
            return taken;
        }
        let total = text.len();
        let (oob, more) = (
            flags.contains(SendFlags::OOB),
            flags.contains(SendFlags::MORE),
        );
        let goal = if oob {
            self.eff_mss()
        } else {
            self.piece_goal()
        };
        let mut writing = Writing {
            goal,
            oob,
            sent: self.snd.max.later(self.snd.base),
            reach: self.reach(),
            lowat,
        };
        let taken = match text {
            Text::Slices(data) => self.write_parts(pool, data, total, &mut writing),
            Text::Buffers(buffers, len) => {
                // A write that finds no room is tried again, with the same buffers.
                if self.has_room(&writing) && self.snd.queue.adopt(pool, buffers, *len) {
                    let taken = self.write_part(pool, Part::Placed(*len), &mut writing);
                    debug_assert!(taken > 0);
                    self.snd.queue.forget_unreadable(pool);
                    taken
                } else {
                    self.write_parts(pool, &buffers.text(*len), total, &mut writing)
                }
            }
        };
        self.snd.starved = taken < total;
        if taken == 0 {
            return 0;
        }
        if taken == total && flags.contains(SendFlags::EOR) {
            self.snd.pieces.close();
        }
        // What was cut short for lack of room is pushed whatever the flags say (Linux: tcp_sendmsg_locked, wait_for_space).
        if !more || taken < total || self.push_forced() {
            self.mark_push();
        }
        taken
    }

    /// Whether a write takes anything at all, but for lack of memory.
    fn has_room(&self, writing: &Writing) -> bool {
        let unsent = self.snd.data_end().since(writing.sent);
        self.snd.pieces.room(writing.sent, writing.goal) > 0
            || self.snd.takes_more(unsent, writing.lowat)
    }

    /// All of them, `total` octets, or as far as there is room.
    fn write_parts(
        &mut self,
        pool: &mut Pool,
        data: &[IoSlice<'_>],
        total: usize,
        writing: &mut Writing,
    ) -> usize {
        self.snd.queue.expect(pool, total);
        let mut taken = 0;
        for part in data {
            let n = self.write_part(pool, Part::Copied(part), writing);
            taken += n;
            if n < part.len() {
                break;
            }
        }
        taken
    }

    fn write_part(&mut self, pool: &mut Pool, part: Part<'_>, writing: &mut Writing) -> usize {
        let mut taken = 0;
        while taken < part.len() {
            let end = self.snd.data_end();
            let mut room = self.snd.pieces.room(writing.sent, writing.goal) as usize;
            let mut fresh = false;
            if room == 0 {
                let unsent = end.since(writing.sent);
                if !self.snd.takes_more(unsent, writing.lowat) {
                    break;
                }
                room = writing.goal as usize;
                fresh = true;
            }
            let whose = match self.snd.queue.is_empty() {
                true => Whose::Writing,
                false => Whose::Filled,
            };
            let memory = match part {
                Part::Copied(_) => pool.room(whose, &self.snd.queue),
                Part::Placed(_) => usize::MAX,
            };
            let n = room.min(part.len() - taken).min(memory);
            self.snd.refused = n == 0;
            if n == 0 {
                break;
            }
            if fresh {
                self.snd.pieces.begin(end);
            }
            match part {
                Part::Copied(part) => {
                    let octets = part.get(taken..taken + n).unwrap_or_default();
                    self.snd.queue.push(pool, octets);
                }
                Part::Placed(_) => self.snd.queue.extend(n),
            }
            self.snd.pieces.grow(end + n as u32);
            taken += n;
            if n == room && !writing.oob {
                self.piece_full(writing);
            }
        }
        taken
    }

    /// A piece is full: Linux sends at this point, of all there is once it is more than half the largest window, else if nothing waits
    /// before it (forced_push, tcp_push_one). Here what may go will go after the call; the pieces are cut as if it had.
    fn piece_full(&mut self, writing: &mut Writing) {
        let forced = self.push_forced();
        if forced {
            self.mark_push();
        }
        let end = self.snd.data_end();
        if forced || self.snd.pieces.last_start(writing.sent) == writing.sent {
            let to = writing.reach.earlier(end);
            if to.after(writing.sent) {
                self.snd.pieces.cut(self.snd.base, to);
                writing.sent = to;
            }
        }
    }

    /// TCP_NOTSENT_LOWAT in force, octets.
    pub(crate) fn lowat(&self, config: &Config) -> u32 {
        match self.tuning.notsent_lowat {
            0 => config.notsent_lowat,
            lowat => lowat,
        }
    }

    /// How far sending may go now, in whole segments.
    fn reach(&self) -> SeqNum {
        let window = self.snd.wnd.saturating_sub(self.snd.flight());
        let usable = window.min(self.cc.cwnd().saturating_sub(self.pipe()));
        let mss = self.eff_mss();
        self.snd.max + usable / mss * mss
    }

    /// Octets of a full piece, and at most of what goes at a time: whole segments, within half the largest window (tcp_xmit_size_goal,
    /// tcp_bound_to_half_wnd).
    pub(super) fn piece_goal(&self) -> u32 {
        let cutoff = match self.snd.max_wnd {
            tiny if tiny <= TINY_WINDOW => tiny,
            wide => wide / 2,
        };
        let mss = self.eff_mss();
        (PIECE_MAX.min(cutoff) / mss * mss).max(mss)
    }

    /// More than half the largest window was written since the last push (Linux: forced_push).
    fn push_forced(&self) -> bool {
        self.snd
            .data_end()
            .after(self.snd.pushed + (self.snd.max_wnd / 2).min(1 << 30))
    }

    /// What is written so far is pushed (tcp_mark_push).
    pub(crate) fn mark_push(&mut self) {
        self.snd.pieces.push();
        self.snd.pushed = self.snd.data_end();
    }

    /// After what may be sent was sent: whether there is room again, and somebody to be told (tcp_check_space).
    pub(crate) fn check_room(&mut self, config: &Config, pressed: bool) -> bool {
        if !self.snd.full {
            return false;
        }
        // Who has filled the congestion window needs no larger buffer (tcp_should_expand_sndbuf).
        if !pressed && self.pipe() < self.cc.cwnd() {
            self.grow_send_buffer(config.tcp_wmem[2]);
        }
        if !self.snd.writable(self.lowat(config)) {
            return false;
        }
        self.snd.full = false;
        self.snd.starved = false;
        true
    }

    /// What a send buffer that nobody has fixed grows to: twice the congestion window, as Linux's buffers would cost it
    /// (tcp_sndbuf_expand). `most`: its limit, octets.
    pub(crate) fn grow_send_buffer(&mut self, most: usize) {
        if self.snd.locked {
            return;
        }
        let mss = self.eff_mss();
        let each = (mss + FRAME_COST).next_power_of_two() + BUFFER_COST;
        let window = (self.cc.cwnd() / mss).max(WINDOW_MIN) as usize;
        let wanted = window.saturating_mul(2 * each as usize).min(most);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        self.snd.capacity = self.snd.capacity.max(wanted);
    }
}

/// What a program writes.
pub(crate) enum Text<'a> {
    /// To be copied.
    Slices(&'a [IoSlice<'a>]),
    /// So many octets, to be taken over with the memory that they are in.
    Buffers(&'a mut Buffers, usize),
}

impl Text<'_> {
    /// Octets.
    pub(crate) fn len(&self) -> usize {
        match self {
            Text::Slices(data) => data.iter().map(|part| part.len()).sum(),
            Text::Buffers(_, len) => *len,
        }
    }
}

/// A part of it.
#[derive(Copy, Clone)]
enum Part<'a> {
    Copied(&'a [u8]),
    /// So many octets that stand in the queue already.
    Placed(usize),
}

impl Part<'_> {
    fn len(self) -> usize {
        match self {
            Part::Copied(part) => part.len(),
            Part::Placed(len) => len,
        }
    }
}

/// One write on its way.
struct Writing {
    /// Octets of a full piece.
    goal: u32,
    /// MSG_OOB: nothing is sent before all is written.
    oob: bool,
    /// What lies before this has been sent.
    sent: SeqNum,
    /// As far as may be sent.
    reach: SeqNum,
    /// TCP_NOTSENT_LOWAT in force, octets.
    lowat: u32,
}
