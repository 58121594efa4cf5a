//! Spinning: a waiting thread looks for packets for a while before it sleeps.
//!
//! Waking a thread on another CPU takes 30 µs and more, a look at the device a third of one. Between looks the CPU is offered to whoever
//! else is ready on it, most often the very peer that is waited for (sched_yield(2)).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tunsock_stack::Instant;

use super::wait::{Request, Sleeper};
use super::{Core, Guard, sys};

/// How long the threads of this process spin, and how many do.
pub(super) struct Spin {
    /// Without anything happening for this long, a thread sleeps. Zero: nobody spins.
    time: Duration,
    /// More would only take turns: the CPUs that this process may use, at its beginning.
    most: usize,
    /// Threads that spin now.
    spinners: AtomicUsize,
    /// Until then nobody spins, microseconds: the CPU has others to serve.
    paused_until: AtomicU64,
}

/// Whoever is given the CPU between two looks and keeps it for longer than this is no peer that answers and sleeps again. A sleeper would be
/// woken ahead of such a one; who offers it the CPU again and again waits for it each time.
const LONG: Duration = Duration::from_micros(100);

/// Then nobody spins for this many times as long, so that trying again costs a small part of the time only.
const PAUSE: u32 = 16;

impl Spin {
    /// Every wait looks for `time` before it sleeps, or for as long as its socket asks for.
    pub(super) fn new(time: Duration) -> Spin {
        Spin {
            time,
            most: sys::cpus(),
            spinners: AtomicUsize::new(0),
            paused_until: AtomicU64::new(0),
        }
    }

    /// For how long a thread spins whose socket asks for `wanted` (SO_BUSY_POLL).
    pub(super) fn time(&self, wanted: Duration) -> Duration {
        self.time.max(wanted)
    }

    /// A place among the spinners, if there is one.
    fn enter(&self, now: Instant) -> Option<Place<'_>> {
        if now.as_micros() < self.paused_until.load(Relaxed) {
            return None;
        }
        if self.spinners.fetch_add(1, Relaxed) < self.most {
            return Some(Place(self));
        }
        self.spinners.fetch_sub(1, Relaxed);
        None
    }

    /// Offers the CPU to others. The time after that, and whether it may go on like this.
    fn offer(&self, before: Instant) -> (Instant, bool) {
        sys::yield_cpu();
        let now = sys::now();
        let away = now.since(before);
        if away > LONG {
            let until = now + away * PAUSE;
            self.paused_until.store(until.as_micros(), Relaxed);
        }
        (now, away <= LONG)
    }
}

/// A spinner's place, given back when it is dropped.
struct Place<'a>(&'a Spin);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.spinners.fetch_sub(1, Relaxed);
    }
}

/// What looking has come to.
pub(super) enum Spun {
    /// There is something to look at.
    News,
    /// Nothing came: the thread is to sleep.
    Nothing,
}

impl Sleeper {
    /// Looks until there is something for this thread, or nothing has come for the time that was asked for. Without the driver's role
    /// it looks at its own waker only: the driver will tell. Signals are blocked meanwhile, and end the sleep that follows.
    pub(super) fn spin(
        &mut self,
        mut core: Guard,
        mut now: Instant,
        request: &mut Request<'_>,
        time: Duration,
    ) -> (Guard, Instant, Spun) {
        let spin = &self.runtime.spin;
        let Some(_place) = spin.enter(now) else {
            return (core, now, Spun::Nothing);
        };
        let mut end = now + time;
        loop {
            let drives = core.drives(&self.waker) || core.take_role(&self.waker, now, None);
            if drives {
                if self.look(&mut core, now) {
                    end = now + time;
                }
                // Whoever was woken will be waiting here again at once, if it is a busy one.
                core.woken = None;
            }
            if self.waker.signaled() || core.gone() {
                return (core, now, Spun::News);
            }
            drop(core);
            let mut alone = true;
            while alone {
                (now, alone) = spin.offer(now);
                if drives || !request.kernel.is_empty() || self.waker.signaled() || now >= end {
                    break;
                }
            }
            let asked = request.kernel.is_empty() || request.kernel.query(None).is_ok();
            core = self.runtime.relock();
            // Whoever woke this thread while it was awake wrote to nothing that a sleep would see.
            if self.waker.signaled() || (asked && request.kernel.any()) {
                return (core, now, Spun::News);
            }
            if !alone || now >= end || !asked || self.deadline.is_some_and(|d| d <= now) {
                return (core, now, Spun::Nothing);
            }
        }
    }

    /// Takes what has arrived. True when there was something.
    fn look(&self, core: &mut Core, now: Instant) -> bool {
        let before = core.stack.stats().frames_in;
        core.pump(now, Some(&self.waker));
        core.flush(now);
        core.stack.stats().frames_in != before
    }
}
