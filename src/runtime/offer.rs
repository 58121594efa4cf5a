//! Offering the CPU to others, once, where the other end may be waiting for it.
//!
//! Both ends of a connection may share a CPU. A thread that is about to sleep until the answer comes is then better off to let the other end
//! run first (sched_yield(2)): the answer is there when it runs again, without a sleep and a wake-up. And one that writes without a
//! pause fills the other end's receive queue, until nothing of what is read there is in any cache, unless it lets that one run now and then.
//!
//! This is not spinning: an offer is made once, and nothing is looked at twice. Whether it is made before a sleep is found out by trying ([`Trial`]). A writer's
//! are mostly left out where many came to nothing, and none is made for many times as long as somebody has kept the CPU.

use std::time::Duration;

use tunsock_stack::Instant;

use super::core::Core;
use super::critical::Critical;
use super::thread::THREAD;
use super::trial::Trial;
use super::wait::{Attempt, Request, Watch};
use super::{Guard, Runtime, sys};

/// Who takes the CPU for longer than this is no peer that reads, or answers, and sleeps again.
const LONG: Duration = Duration::from_micros(200);

/// Then no offer is made for this many times as long, so that trying again costs a small part of the time only.
const PAUSE: u32 = 512;

/// More of [`Offer`]'s `long` make a pause: whoever has much to catch up on takes long once.
const FORGIVEN: u32 = 3;

/// Who was away for longer than this was stopped.
const SLICE: Duration = Duration::from_millis(100);

/// Who had the CPU back sooner has been alone.
const ALONE: Duration = Duration::from_micros(2);

/// So many offers in a row may be good for nothing: the other end may have run of itself.
const PATIENCE: u32 = 16;

/// Of two to the power of this many occasions one is used at least, as the other end may have come to this CPU meanwhile.
const MOST: u32 = 3;

/// Octets that are sent between two offers. Half as many cost more switching, eight times as many are no longer in the cache.
const PILE: usize = 256 << 10;

/// Of so many offers that brought frames one is followed by a look for more.
const DOUBT: u32 = 16;

/// When a writer is to offer the CPU.
#[derive(Debug, Default)]
struct Offer {
    /// Occasions to let pass.
    skip: u32,
    /// Offers since one was good for anything.
    misses: u32,
    /// Not before.
    after: Instant,
    /// Two for each that took long, one less for each that did not.
    long: u32,
}

impl Offer {
    /// An occasion: whether to use it.
    fn due(&mut self, now: Instant) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        now >= self.after
    }

    /// The CPU was offered, and is had back at `now`, after `away`; whether it was good for anything.
    fn judge(&mut self, now: Instant, away: Duration, good: bool) {
        if away <= LONG {
            self.long = self.long.saturating_sub(1);
        } else {
            self.long += 2;
            if self.long > FORGIVEN {
                self.long = 0;
                self.after = now + away.min(SLICE) * PAUSE;
            }
        }
        self.misses = if good {
            0
        } else {
            self.misses.saturating_add(1)
        };
        let doubled = self.misses.saturating_sub(PATIENCE).min(MOST);
        self.skip = (1 << doubled) - 1;
    }
}

/// The occasions of a process.
#[derive(Debug)]
pub(super) struct Offers {
    /// A thread is about to wait.
    before_sleep: Trial,
    /// A writer has sent much.
    while_sending: Offer,
    /// Octets of bulk transfers sent since.
    sent: usize,
    /// Offers before a sleep that brought frames.
    taken: u32,
}

impl Default for Offers {
    fn default() -> Offers {
        Offers {
            before_sleep: Trial::new(),
            while_sending: Offer::default(),
            sent: 0,
            taken: 0,
        }
    }
}

impl Core {
    /// So many octets of a bulk transfer were sent.
    pub(super) fn note_sent(&mut self, octets: usize) {
        self.offers.sent = self.offers.sent.saturating_add(octets);
    }

    /// A call has sent what it had. True: much has gone since the CPU was last offered, and the calling thread is to do so now.
    #[inline]
    pub(super) fn has_sent_much(&mut self, now: Instant) -> bool {
        if self.offers.sent < PILE {
            return false;
        }
        self.offers.sent = 0;
        self.offers.while_sending.due(now)
    }

    /// Frames were there when the CPU was had back, and perhaps only one was taken. Whether they come in crowds is found out by a look for all
    /// now and then.
    fn doubt(&mut self) {
        self.offers.taken = self.offers.taken.wrapping_add(1);
        self.crowded |= self.offers.taken.is_multiple_of(DOUBT);
    }

    /// A wait has ended that could have begun otherwise, at `end`. `left`: when the thread's wait before it did; `offered`: it began with an offer, which
    /// brought nothing.
    pub(super) fn note_wait(&mut self, left: Instant, end: Instant, offered: bool) {
        self.offers.note(left, end, offered, !offered);
    }
}

/// Offers the CPU at the end of a call that has sent much: the other end may be here to read it. A thread of a real-time class (sched(7)) would have it
/// back when it pleases the others of its class: no offer of such a one's.
#[cold]
pub(super) fn offer_while_sending(core: Guard) {
    if !sys::shares_the_cpu() {
        return;
    }
    let runtime = core.runtime;
    // This is no sleep: handlers run when the call is over, as they would without it.
    let _inside = Critical::enter();
    drop(core);
    let before = sys::now();
    sys::yield_cpu();
    let now = sys::now();
    let away = now.since(before);
    let mut core = runtime.relock();
    core.offers.while_sending.judge(now, away, away >= ALONE);
}

/// How a wait begins.
pub(super) enum Beginning<T> {
    /// With an offer, which has brought what was wanted.
    Done(T),
    /// With a sleep, from that time on, and whether there was an offer before it; `None`: such a wait is not to be compared with others.
    Sleep(Guard, Instant, Option<bool>),
}

impl Runtime {
    /// Offers the CPU once before a thread waits, if that makes such waits shorter, and takes what has come then. Handlers are put off
    /// meanwhile and run in the sleep, or when the call is over. Who waits for several things serves several others mostly, and is woken
    /// ahead of them when it sleeps: no offer of such a one's, nor of a stream's reader, who is better off when much has come.
    pub(super) fn offer_before_sleep<T>(
        &'static self,
        mut core: Guard,
        began: Instant,
        request: &mut Request<'_>,
        attempt: Attempt<'_, T>,
    ) -> Beginning<T> {
        let one =
            matches!(request.watches[..], [Watch::Socket { .. }]) && request.kernel.is_empty();
        if !one
            || core.driver.is_some()
            // Nobody would watch the device for them.
            || !core.followers.is_empty()
            || request.mask.is_some()
            || !self.spin.time(request.spin).is_zero()
            || request.stream.is_some_and(|id| core.streams(id))
        {
            return Beginning::Sleep(core, began, None);
        }
        if !core.offers.before_sleep.offers() {
            return Beginning::Sleep(core, began, Some(false));
        }
        core.flush(began);
        drop(core);
        sys::yield_cpu();
        let mut core = self.relock();
        core.set_taker(false);
        let now = sys::now();
        let came = core.driver.is_none() && core.take_one(now);
        if came {
            core.doubt();
        }
        // In any case: while the lock was free somebody else may have taken what came, and told nobody, as nobody was waiting yet.
        let Some(value) = attempt(&mut core, now, &mut request.kernel) else {
            return Beginning::Sleep(core, now, Some(true));
        };
        core.flush(now);
        let left = THREAD.with(|thread| thread.left.replace(now));
        core.offers.note(left, now, true, true);
        Beginning::Done(value)
    }
}

impl Offers {
    fn note(&mut self, left: Instant, end: Instant, offered: bool, came: bool) {
        // A thread's first has none before it, and one that began before the trial went on belongs to neither side.
        if left != Instant::ZERO && offered == self.before_sleep.offers() {
            self.before_sleep.ended(end.since(left), came);
        }
    }
}

#[cfg(test)]
mod tests {
    use tunsock_stack::{Domain, Kind, Ready};

    use super::*;
    use crate::runtime::KernelFds;

    /// Of so many occasions, those that are used when every offer ends like this.
    fn used(offer: &mut Offer, occasions: u32, away: Duration, good: bool) -> u32 {
        let mut now = Instant::from_micros(1 << 40);
        let mut used = 0;
        for _ in 0..occasions {
            now = now + Duration::from_micros(10);
            if offer.due(now) {
                used += 1;
                now = now + away;
                offer.judge(now, away, good);
            }
        }
        used
    }

    #[test]
    fn an_offer_that_helps_is_made_each_time() {
        let mut offer = Offer::default();
        assert_eq!(used(&mut offer, 1000, Duration::from_micros(5), true), 1000);
    }

    #[test]
    fn one_that_does_not_help_is_made_more_rarely_but_never_given_up() {
        let mut offer = Offer::default();
        let soon = Duration::from_nanos(300);
        assert_eq!(used(&mut offer, PATIENCE, soon, false), PATIENCE);
        let (most, occasions) = (1 << MOST, 1 << 12);
        let now_and_then = used(&mut offer, occasions, soon, false);
        assert!((occasions / most..occasions / most + 3).contains(&now_and_then));
        // The other end has come to this CPU: the next offer shows it.
        let good = used(&mut offer, occasions, Duration::from_micros(5), true);
        assert!(good > occasions - most, "{good}");
    }

    #[test]
    fn whoever_keeps_the_cpu_is_offered_it_rarely() {
        let slice = Duration::from_millis(3);
        // A second of occasions every 10 microseconds.
        let mut offer = Offer::default();
        assert_eq!(used(&mut offer, 100_000, slice, true), 2);
    }

    #[test]
    fn a_writer_is_away_for_long_once_when_there_is_much_to_catch_up_on() {
        let mut offer = Offer::default();
        let now = Instant::from_micros(1 << 40);
        offer.judge(now, Duration::from_millis(3), true);
        assert!(offer.due(now));
        // Every second time is too often.
        let turns = (0..10).take_while(|_| {
            offer.judge(now, Duration::from_micros(20), true);
            offer.judge(now, Duration::from_millis(3), true);
            offer.due(now)
        });
        assert_eq!(turns.count(), 1);
    }

    /// A runtime whose waits begin with offers, and a request to wait for a socket of it.
    fn offering() -> (&'static Runtime, Guard, Request<'static>) {
        let (runtime, peer) = crate::runtime::testing::alone();
        std::mem::forget(peer);
        let mut core = runtime.lock().expect("nobody else has it");
        let began = sys::now();
        while !core.offers.before_sleep.offers() {
            core.note_wait(began, began + Duration::from_micros(10), false);
        }
        let socket = core.stack.socket(Domain::V4, Kind::Datagram);
        let mut request = Request::new();
        request.watches.push(Watch::Socket {
            id: socket.expect("a socket"),
            interest: Ready::IN,
            exclusive: true,
        });
        (runtime, core, request)
    }

    #[test]
    fn what_others_took_meanwhile_is_looked_for() {
        let (runtime, core, mut request) = offering();
        let mut tries = 0;
        let mut attempt = |_: &mut Core, _: Instant, _: &mut KernelFds| {
            tries += 1;
            Some(())
        };
        // No frame comes, so who has taken it, if the try finds something, was somebody else.
        let offered = runtime.offer_before_sleep(core, sys::now(), &mut request, &mut attempt);
        assert!(matches!(offered, Beginning::Done(())));
        assert_eq!(tries, 1);
    }

    #[test]
    fn who_would_leave_others_without_a_driver_makes_no_offer() {
        let (runtime, mut core, mut request) = offering();
        let other = core.take_waker().expect("an eventfd");
        core.followers.push(other);
        let mut attempt = |_: &mut Core, _: Instant, _: &mut KernelFds| Some(());
        let offered = runtime.offer_before_sleep(core, sys::now(), &mut request, &mut attempt);
        assert!(matches!(offered, Beginning::Sleep(_, _, None)));
    }

    #[test]
    fn waits_of_the_other_side_and_a_threads_first_count_for_neither() {
        let mut offers = Offers::default();
        let (zero, now) = (Instant::ZERO, Instant::from_micros(1 << 40));
        for _ in 0..1 << 20 {
            offers.note(zero, now, false, true);
            offers.note(now, now, true, true);
        }
        assert!(!offers.before_sleep.offers());
    }
}
