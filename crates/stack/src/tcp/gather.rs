//! Writes that follow each other without a pause, gathered into full super-segments, and short ones put together with what follows them.
//!
//! A program that sends much does so call after call. What is left of each behind its full super-segments would go alone, at the price of a frame and
//! mostly of an acknowledgement; the next call brings what fills it. So it waits for that, until whoever drives the stack says that the
//! caller is about to do something else ([`Stack::release_end`]), or for [`LONGEST`] if no call comes (a background thread that sees to it may be
//! some milliseconds late). Linux has TCP autocorking for the like: there it waits while the device still has segments of the connection.
//!
//! A server that writes a header and then what it is the header of does so every time ([`Pairs`]). Once it has been seen often enough in a row that nothing
//! came between two such writes, the first waits for the second in the same way, and one segment carries both.
//!
//! Urgent data, MSG_EOR, MSG_MORE and a FIN know none of these waits, TCP_NODELAY only the last: it switches off Nagle's wait for an
//! acknowledgement, and no autocorking. A header that waited in vain until its time was over makes the next one wait only after four times
//! as many pairs, a million in the end.

use std::time::Duration;

use super::calls;
use super::connection::{schedule, tcb_mut};
use super::tcb::Tcb;
use crate::socket::{SendFlags, SocketId, State};
use crate::stack::Stack;
use crate::time::Instant;

/// Octets of a write from which on others are waited for.
const MUCH: usize = 8 << 10;

/// The time between two writes that follow each other, besides a nanosecond for each octet of the first.
const BETWEEN: Duration = Duration::from_micros(50);

/// How long an end is held if nothing else happens.
const LONGEST: Duration = Duration::from_millis(1);

/// Short writes in a row that were each followed by another, after which the first of two is held.
const PAIRS: u32 = 16;

/// As many at most, when programs have gone to do something else after the first.
const PAIRS_MOST: u32 = 1 << 20;

/// Who writes much, and when the last write was. One at a time: two that take turns are not without pauses.
#[derive(Default)]
pub(crate) struct Gathering {
    id: Option<SocketId>,
    wrote: Instant,
    between: Duration,
    /// Whose end is held, and until when.
    held: Option<(SocketId, Instant)>,
    pairs: Pairs,
}

/// Whether a short write is mostly followed by another on the same connection at once.
struct Pairs {
    /// The last call was a short write on this connection that followed none.
    first: Option<SocketId>,
    wrote: Instant,
    /// So many were followed, since one was not.
    streak: u32,
    /// So many have to be before one is held.
    needed: u32,
}

impl Default for Pairs {
    fn default() -> Pairs {
        Pairs {
            first: None,
            wrote: Instant::default(),
            streak: 0,
            needed: PAIRS,
        }
    }
}

impl Pairs {
    /// `id` writes: whether another write is to be expected at once. `short`: it may be the first of two.
    #[inline]
    fn writes(&mut self, id: SocketId, now: Instant, short: bool) -> bool {
        let first = self.first.take();
        if first == Some(id) && now.micros_since(self.wrote) <= BETWEEN.as_micros() as u64 {
            self.streak = self.streak.saturating_add(1);
            return false;
        }
        if first.is_some() {
            self.streak = 0;
        }
        if short {
            self.first = Some(id);
            self.wrote = now;
        }
        short && self.streak >= self.needed
    }

    /// The program does something else.
    #[inline]
    fn interrupt(&mut self) {
        if self.first.take().is_some() {
            self.streak = 0;
        }
    }
}

impl Gathering {
    /// When an end that is held goes of itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.held.map(|(_, until)| until)
    }

    /// Whether a write of `len` octets is any of its business: it is much, or something is held.
    #[inline]
    pub(crate) fn heeds(&self, len: usize) -> bool {
        len >= MUCH || self.held.is_some()
    }

    /// `id` writes `len` octets: whether another write is to be expected at once, with which they may go.
    #[inline]
    pub(crate) fn pairs_begin(
        &mut self,
        id: SocketId,
        now: Instant,
        len: usize,
        flags: SendFlags,
    ) -> bool {
        let short = (1..MUCH).contains(&len) && may_wait(flags);
        self.pairs.writes(id, now, short)
    }

    /// `id` writes `len` octets: whether it did just before.
    fn goes_on(&mut self, id: SocketId, now: Instant, len: usize) -> bool {
        let again = self.id == Some(id) && now.since(self.wrote) <= self.between;
        self.id = Some(id);
        self.wrote = now;
        self.between = BETWEEN + Duration::from_nanos(len as u64);
        again
    }
}

/// Whether what is written with these flags may wait.
fn may_wait(flags: SendFlags) -> bool {
    let pushed = SendFlags::OOB | SendFlags::EOR | SendFlags::MORE;
    flags.contains(SendFlags::GATHER) && !flags.intersects(pushed)
}

/// `taken` octets were written on a connection: whether their end is held. `first`: as [`Gathering::pairs_begin`] has said. True: all of them
/// are, and there is nothing to be sent for now.
pub(crate) fn note_write(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    taken: usize,
    flags: SendFlags,
    first: bool,
) -> bool {
    let gathering = &mut stack.tcp.gathering;
    let other = gathering.held.is_some_and(|(held, _)| held != id);
    if other {
        stack.release_held();
    }
    let gathering = &mut stack.tcp.gathering;
    let again = may_wait(flags) && taken >= MUCH && gathering.goes_on(id, now, taken);
    let Some(tcb) = tcb_mut(&mut stack.sockets, id) else {
        return false;
    };
    let whole = first && tcb.begins_pair(taken);
    let much = again && tcb.gso > 0 && !tcb.tuning.nodelay;
    tcb.snd.gathers = whole || much;
    stack.tcp.gathering.held = (whole || much).then(|| (id, now + LONGEST));
    whole
}

/// The time for which an end may be held is over.
pub(crate) fn expire(stack: &mut Stack, now: Instant) {
    let gathering = &mut stack.tcp.gathering;
    if gathering.held.is_none_or(|(_, until)| until > now) {
        return;
    }
    if gathering.pairs.first.is_some() {
        gathering.pairs.needed = (gathering.pairs.needed * 4).min(PAIRS_MOST);
    }
    stack.release_end();
}

impl Stack {
    /// Whether an end is held that closing `id` would throw away: it is to be released, and sent, before.
    pub fn close_loses_end(&self, id: SocketId) -> bool {
        let held = self.tcp.gathering.held;
        held.is_some_and(|(held, _)| held == id) && calls::close_resets(self, id)
    }

    /// Whoever sent with [`SendFlags::GATHER`] does something else now: what is held of it goes with the next [`Stack::transmit`].
    pub fn release_end(&mut self) {
        self.tcp.gathering.pairs.interrupt();
        self.release_held();
    }

    fn release_held(&mut self) {
        let Some((id, _)) = self.tcp.gathering.held.take() else {
            return;
        };
        self.ip.forget_deadline();
        if let Some(tcb) = tcb_mut(&mut self.sockets, id) {
            tcb.snd.gathers = false;
            schedule(self, id);
        }
    }
}

impl Tcb {
    /// Whether `len` octets, all that are unsent, wait for more: they are no full super-segment, and more is written at once.
    pub(super) fn gathers(&self, len: u32) -> bool {
        let urgent = self.snd.up.is_some_and(|up| up.after(self.snd.nxt));
        self.snd.gathers && !urgent && len < self.segment_limit()
    }

    /// Whether a write of `taken` octets may wait for the next one: there is nothing else to be sent, and nothing that has to be said with it.
    fn begins_pair(&self, taken: usize) -> bool {
        let snd = &self.snd;
        let unsent = snd.data_end().since(snd.nxt);
        let special = snd.up.is_some() || snd.fin || snd.full || snd.hold_until.is_some();
        self.state == State::Established
            && unsent as usize == taken
            && unsent < self.eff_mss()
            && !special
            && !self.tuning.cork
    }
}
