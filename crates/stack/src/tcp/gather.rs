//! Writes that follow each other without a pause, gathered into full super-segments.
//!
//! A program that sends much does so call after call. What is left of each behind its full super-segments would go alone, at the price of a frame and
//! mostly of an acknowledgement; the next call brings what fills it. And where the windows have room for much, several writes go together, as
//! frames that the device takes in one system call: the receiver is woken for all of them once. So both wait, until whoever drives the stack says that the
//! caller is about to do something else ([`Stack::release_end`]), or for [`LONGEST`] if no call comes (a background thread that sees to it may be
//! some milliseconds late). Linux has TCP autocorking for the like: there it waits while the device still has segments of the connection.
//! TCP_NODELAY, urgent data, MSG_EOR, MSG_MORE and a FIN know no such wait.

use std::time::Duration;

use super::calls;
use super::connection::{schedule, tcb_mut};
use super::tcb::Tcb;
use crate::socket::{SendFlags, SocketId};
use crate::stack::Stack;
use crate::time::Instant;

/// Octets of a write from which on others are waited for.
const MUCH: usize = 8 << 10;

/// The time between two writes that follow each other, besides a nanosecond for each octet of the first.
const BETWEEN: Duration = Duration::from_micros(50);

/// Octets that go together, some super-segments in one system call.
const PILE: u32 = 256 << 10;

/// What of the text written waits for the next write.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Gathers {
    /// Nothing is held.
    #[default]
    Nothing,
    /// What fills no super-segment.
    End,
    /// Whatever is not sent.
    All,
}

/// How long an end is held if nothing else happens.
const LONGEST: Duration = Duration::from_millis(1);

/// Who writes much, and when the last write was. One at a time: two that take turns are not without pauses.
#[derive(Default)]
pub(crate) struct Gathering {
    id: Option<SocketId>,
    wrote: Instant,
    between: Duration,
    until: Option<Instant>,
}

impl Gathering {
    /// When an end that is held goes of itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Whether a write of `len` octets is any of its business: it is much, or something is held.
    #[inline]
    pub(crate) fn heeds(&self, len: usize) -> bool {
        len >= MUCH || self.until.is_some()
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

/// `taken` octets were written on a connection: whether their end is held.
pub(crate) fn note_write(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    taken: usize,
    flags: SendFlags,
) {
    let pushed = SendFlags::OOB | SendFlags::EOR | SendFlags::MORE;
    let gathering = &mut stack.tcp.gathering;
    let fits = taken >= MUCH && flags.contains(SendFlags::GATHER) && !flags.intersects(pushed);
    let other = gathering.id != Some(id);
    if other && gathering.until.is_some() {
        stack.release_end();
    }
    let gathering = &mut stack.tcp.gathering;
    let again = fits && gathering.goes_on(id, now, taken);
    let Some(tcb) = tcb_mut(&mut stack.sockets, id) else {
        return;
    };
    let holds = again && tcb.gso > 0 && !tcb.tuning.nodelay;
    tcb.snd.gathers = match holds {
        false => Gathers::Nothing,
        true if tcb.piles_up() => Gathers::All,
        true => Gathers::End,
    };
    if holds {
        gathering.until = Some(now + LONGEST);
    } else if !other {
        gathering.until = None;
    }
}

/// The time for which an end may be held is over.
pub(crate) fn expire(stack: &mut Stack, now: Instant) {
    if stack.tcp.gathering.until.is_some_and(|until| until <= now) {
        stack.release_end();
    }
}

impl Stack {
    /// Whether an end is held that closing `id` would throw away: it is to be released, and sent, before.
    pub fn close_loses_end(&self, id: SocketId) -> bool {
        let gathering = &self.tcp.gathering;
        let held = gathering.until.is_some() && gathering.id == Some(id);
        held && calls::close_resets(self, id)
    }

    /// Whoever sent with [`SendFlags::GATHER`] does something else now: what is held of it goes with the next [`Stack::transmit`].
    pub fn release_end(&mut self) {
        let gathering = &mut self.tcp.gathering;
        if gathering.until.take().is_none() {
            return;
        }
        self.ip.forget_deadline();
        let Some(id) = gathering.id else {
            return;
        };
        if let Some(tcb) = tcb_mut(&mut self.sockets, id) {
            tcb.snd.gathers = Gathers::Nothing;
            schedule(self, id);
        }
    }
}

impl Tcb {
    /// Whether all that is unsent waits for more: the windows and the buffer have room for several times as much as goes together then,
    /// nothing is lost, and no pace is kept.
    fn piles_up(&self) -> bool {
        let snd = &self.snd;
        let unsent = snd.data_end().since(snd.nxt);
        let room = snd.wnd.min(self.cc.cwnd()).min(snd.capacity);
        unsent < PILE && room >= 4 * PILE && self.recovery_open() && self.pacing.is_none()
    }

    fn pushes_urgent(&self) -> bool {
        self.snd.up.is_some_and(|up| up.after(self.snd.nxt))
    }

    /// Whether nothing new is to go yet.
    pub(super) fn gathers_all(&self, fin_due: bool) -> bool {
        self.snd.gathers == Gathers::All && !fin_due && !self.pushes_urgent()
    }

    /// Whether `len` octets, all that are unsent, wait for more: they are no full super-segment, and more is written at once.
    pub(super) fn gathers(&self, len: u32) -> bool {
        let waits = self.snd.gathers != Gathers::Nothing;
        waits && !self.pushes_urgent() && len < self.segment_limit()
    }
}
