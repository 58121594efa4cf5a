//! Waiting: until a socket, a kernel descriptor, a time or a signal. Who waits drives, if nobody else does.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use libc::c_int;
use rustix::io::Errno;
use smallvec::SmallVec;
use tunsock_stack::{Instant, Ready, SocketId};

use super::core::{Core, Driver};
use super::critical;
use super::offer::{Beginning, offer_while_sending};
use super::sleep::SleepRecord;
use super::spin::Spun;
use super::sys::{self, SigSet};
use super::thread::THREAD;
use super::waker::{HeldList, Waker};
use super::{Guard, Runtime};

/// What a thread waits for, and how.
pub(crate) struct Request<'a> {
    /// Whose events wake it.
    pub(crate) watches: SmallVec<[Watch<'a>; 2]>,
    /// Kernel descriptors whose events wake it.
    pub(crate) kernel: KernelFds,
    /// How long; `None`: for ever.
    pub(crate) timeout: Option<Duration>,
    /// Not at all (O_NONBLOCK, MSG_DONTWAIT, a timeout of zero).
    pub(crate) nonblocking: bool,
    /// Signals blocked during the wait instead of the thread's own mask (ppoll, pselect, epoll_pwait).
    pub(crate) mask: Option<SigSet>,
    /// A call that Linux restarts after handlers with SA_RESTART (signal(7)), as long as this is true: one that has done a part of
    /// its work returns that instead.
    pub(crate) restart: Option<&'a Cell<bool>>,
    /// Looks for packets at least this long before it sleeps (SO_BUSY_POLL); see `spin`.
    pub(crate) spin: Duration,
    /// The try can read this connection's octets from the device itself ([`Core::read_in_place`]).
    pub(crate) stream: Option<SocketId>,
    /// References that the callers' frames have: given back for them when a handler leaves the wait by siglongjmp, or the thread ends.
    pub(crate) held: HeldList,
}

/// One thing to wait for.
pub(crate) enum Watch<'a> {
    /// A socket's events. `exclusive`: of all such waiters an arrival wakes one.
    Socket {
        /// Which.
        id: SocketId,
        /// Which of its events, besides ERR and HUP.
        interest: Ready,
        /// One arrival, one waiter.
        exclusive: bool,
    },
    /// Something that keeps its own list of waiters: an epoll set.
    Queue(&'a dyn Queue),
    /// Whatever moves the stack.
    Movement,
}

/// A list of waiting threads. Called under the runtime's lock.
pub(crate) trait Queue {
    /// This thread waits.
    fn join(&self, waker: &Arc<Waker>);
    /// It waits no more.
    fn leave(&self, waker: &Arc<Waker>);
}

/// Why a wait ended without success.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was not to wait.
    WouldBlock,
    /// The timeout is over.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
    /// The runtime belongs to another process.
    Down,
    /// The kernel refused.
    Os(Errno),
}

/// Descriptors of the kernel, with what is asked and what was found of each.
pub(crate) struct KernelFds {
    // Three places at the front are the wait's own: the thread's waker, the device and the timer.
    fds: SmallVec<[libc::pollfd; 8]>,
    /// The answers are those of this moment.
    fresh: bool,
}

const OWN: usize = 3;
const NOTHING: libc::pollfd = libc::pollfd {
    fd: -1,
    events: 0,
    revents: 0,
};

impl KernelFds {
    /// None yet.
    pub(crate) fn new() -> KernelFds {
        KernelFds {
            fds: SmallVec::from_slice(&[NOTHING; OWN]),
            fresh: false,
        }
    }

    /// One more to wait for.
    pub(crate) fn push(&mut self, fd: c_int, events: i16) {
        self.fds.push(libc::pollfd {
            fd,
            events,
            revents: 0,
        });
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.fds.len() == OWN
    }

    /// All of them, in the order of `push`.
    pub(crate) fn all(&self) -> &[libc::pollfd] {
        self.fds.get(OWN..).unwrap_or(&[])
    }

    /// All of them, to silence one (`fd` -1).
    pub(crate) fn all_mut(&mut self) -> &mut [libc::pollfd] {
        self.fds.get_mut(OWN..).unwrap_or(&mut [])
    }

    /// Asks the kernel how they stand, without waiting. The answers are there until the next sleep.
    pub(crate) fn query(&mut self, mask: Option<&SigSet>) -> sys::SysResult<()> {
        let asked = sys::ppoll(self.all_mut(), Some(0), mask).map(drop);
        match asked {
            Ok(()) => self.fresh = true,
            Err(_) => self.clear(),
        }
        asked
    }

    /// Asks the kernel unless its answers are of this moment anyway.
    pub(crate) fn refresh(&mut self) -> sys::SysResult<()> {
        if self.fresh || self.is_empty() {
            return Ok(());
        }
        match self.query(None) {
            // A signal is for the wait to report, if it comes to one.
            Err(Errno::INTR) => Ok(()),
            asked => asked,
        }
    }

    /// Whether the answers are of this moment.
    pub(crate) fn fresh(&self) -> bool {
        self.fresh
    }

    /// Whether any has something to say.
    pub(super) fn any(&self) -> bool {
        self.all().iter().any(|fd| fd.revents != 0)
    }

    fn clear(&mut self) {
        self.fresh = false;
        self.fds.iter_mut().for_each(|fd| fd.revents = 0);
    }
}

impl<'a> Request<'a> {
    /// A request to wait for nothing, for ever.
    pub(crate) fn new() -> Request<'a> {
        Request {
            watches: SmallVec::new(),
            kernel: KernelFds::new(),
            timeout: None,
            nonblocking: false,
            mask: None,
            restart: None,
            spin: Duration::ZERO,
            stream: None,
            held: HeldList::new(),
        }
    }
}

/// A try at what the thread wants, under the lock: `None` while it has to wait.
pub(crate) type Attempt<'a, T> = &'a mut dyn FnMut(&mut Core, Instant, &mut KernelFds) -> Option<T>;

/// How a call's first try has ended.
pub(crate) enum First<T> {
    /// The call is over.
    Done(T),
    /// It has to wait, or to look again if it may not: [`Runtime::go_on`].
    Not(Guard, Instant),
}

impl Runtime {
    /// Tries, and as long as that gives `None` waits for what the request names and tries again.
    pub(crate) fn wait<T>(
        &'static self,
        request: &mut Request<'_>,
        attempt: Attempt<'_, T>,
    ) -> Result<T, End> {
        let kernel = &mut request.kernel;
        match self.begin(None, |core, now| attempt(core, now, kernel))? {
            First::Done(value) => Ok(value),
            First::Not(core, now) => self.go_on(core, now, request, attempt),
        }
    }

    /// Tries for the first time, which is all that most calls need. `writer`: the stream of a call that sends. What that leaves may wait for the
    /// next such call (`tcp/gather.rs`).
    #[inline]
    pub(crate) fn begin<T>(
        &'static self,
        writer: Option<SocketId>,
        attempt: impl FnOnce(&mut Core, Instant) -> Option<T>,
    ) -> Result<First<T>, End> {
        let mut core = self.lock()?;
        let now = sys::now();
        let free = core.driver.as_ref().is_none_or(|d| d.background);
        core.set_taker(free);
        if let Some(value) = attempt(&mut core, now) {
            if writer.is_none() {
                core.stack.release_end();
            }
            core.complete(now, writer);
            if writer.is_some() && core.has_sent_much(now) {
                offer_while_sending(core);
            }
            return Ok(First::Done(value));
        }
        core.set_taker(false);
        Ok(First::Not(core, now))
    }

    /// [`Runtime::wait`] from where [`Runtime::begin`] has come to.
    pub(crate) fn go_on<T>(
        &'static self,
        mut core: Guard,
        mut now: Instant,
        request: &mut Request<'_>,
        attempt: Attempt<'_, T>,
    ) -> Result<T, End> {
        if request.nonblocking {
            core.flush(now);
            return last_try(core, now, request, attempt);
        }
        let began = now;
        let offered;
        (core, now, offered) = match self.offer_before_sleep(core, now, request, attempt) {
            Beginning::Done(value) => return Ok(value),
            Beginning::Sleep(core, now, offered) => (core, now, offered),
        };
        let deadline = request.timeout.map(|t| deadline(began, t));
        let left = THREAD.with(|thread| thread.left.get());
        let quick = began.since(left) < QUICK;
        // Whatever the try set going (a connect to ourselves is over in no time) is flushed once we are there to hear of it.
        let waker = match core.take_waker() {
            Ok(waker) => waker,
            Err(errno) => {
                core.flush(now);
                return Err(End::Os(errno));
            }
        };
        waker.hold(std::mem::take(&mut request.held));
        for watch in &request.watches {
            match *watch {
                Watch::Socket {
                    id,
                    interest,
                    exclusive,
                } => core.watch(id, &waker, interest, exclusive),
                Watch::Queue(queue) => queue.join(&waker),
                Watch::Movement => core.watch_movement(&waker),
            }
        }
        let mut sleeper = Sleeper {
            runtime: self,
            waker,
            deadline,
            saved_mask: None,
        };
        let (mut core, result) = sleeper.run(core, now, request, attempt);
        for watch in &request.watches {
            match *watch {
                Watch::Socket { id, .. } => core.unwatch(id, &sleeper.waker),
                Watch::Queue(queue) => queue.leave(&sleeper.waker),
                Watch::Movement => core.unwatch_movement(&sleeper.waker),
            }
        }
        let end = core.pumped;
        match (&result, offered) {
            (Ok(_), Some(offered)) => core.note_wait(left, end, offered),
            (Err(End::TimedOut), Some(true)) => core.note_wait(left, sys::now(), true),
            _ => {}
        }
        core.leave(&sleeper.waker, self, quick && result.is_ok());
        THREAD.with(|thread| thread.left.set(core.pumped));
        core.give_waker(sleeper.waker);
        drop(core);
        // Only now: a handler that was held back runs here, and may call us.
        if let Some(mask) = sleeper.saved_mask {
            critical::restore(mask);
        }
        result
    }
}

/// What one waiting thread keeps from sleep to sleep.
pub(super) struct Sleeper {
    pub(super) runtime: &'static Runtime,
    pub(super) waker: Arc<Waker>,
    pub(super) deadline: Option<Instant>,
    /// The thread's own signal mask, once all signals are blocked outside the sleeps so that none is missed between them.
    saved_mask: Option<SigSet>,
}

impl Sleeper {
    fn run<T>(
        &mut self,
        mut core: Guard,
        mut now: Instant,
        request: &mut Request<'_>,
        attempt: Attempt<'_, T>,
    ) -> (Guard, Result<T, End>) {
        let mut look = false;
        let mut interrupted = false;
        let mut slept = false;
        let mut flushed = false;
        loop {
            if !std::mem::take(&mut flushed) {
                core.flush(now);
            }
            if self.waker.take_signal() || look {
                look = false;
                if let Some(value) = attempt(&mut core, now, &mut request.kernel) {
                    core.flush(now);
                    return (core, Ok(value));
                }
                continue;
            }
            let restart = request.restart.is_some_and(Cell::get);
            if interrupted && !(restart && sys::handlers_restart()) {
                return (core, Err(End::Interrupted));
            }
            if self.deadline.is_some_and(|d| d <= now) {
                return (core, Err(End::TimedOut));
            }
            let spin_for = self.runtime.spin.time(request.spin);
            let spins = !spin_for.is_zero();
            // With a mask of the call's own, what that blocks must not come between two sleeps either.
            if (slept || spins || request.mask.is_some()) && self.saved_mask.is_none() {
                // A handler that was put off has had all signals blocked already; the thread's own mask is what it says.
                // Blocked first: from then on no handler can be put off between the two.
                let mask = sys::block_signals();
                self.saved_mask = Some(critical::take_put_off().unwrap_or(mask));
            }
            slept = true;
            if spins {
                let spun;
                (core, now, spun) = self.spin(core, now, request, spin_for);
                if let Spun::News = spun {
                    look = request.kernel.any() || core.gone();
                    continue;
                }
            }
            let before = now;
            let handlers = critical::handlers_run();
            let (guard, woken) = self.sleep(core, now, request);
            core = guard;
            now = sys::now();
            core.crowded |= now.since(before) <= NO_SLEEP;
            // A handler may also run just before ppoll (which then ends at once, see `end_sleep`), or when that is over already, for an
            // event that turns out not to be the one that is waited for.
            interrupted = woken == Err(Errno::INTR) || critical::handlers_run() != handlers;
            match woken {
                Ok(_) => request.kernel.fresh = true,
                Err(Errno::INTR) => request.kernel.clear(),
                Err(errno) => return (core, Err(End::Os(errno))),
            }
            if core.drives(&self.waker) {
                let ready = request.kernel.fds.get(1).map_or(0, |fd| fd.revents);
                core.woken = None;
                if ready == libc::POLLIN && request.stream.is_some_and(|id| core.streams(id)) {
                    core.set_taker(true);
                    if let Some(value) = attempt(&mut core, now, &mut request.kernel) {
                        core.complete(now, None);
                        return (core, Ok(value));
                    }
                    core.set_taker(false);
                }
                // What has come for this thread alone is taken before anything is sent: one acknowledgement says both.
                if !core.pump_after_sleep(now, ready, &self.waker) {
                    core.flush(now);
                }
                flushed = true;
                if !self.waker.signaled() {
                    core.pass_role_on(now);
                }
            }
            look = interrupted
                || request.kernel.any()
                || core.gone()
                || self.deadline.is_some_and(|d| d <= now);
        }
    }

    /// Lets the lock go and sleeps in one ppoll.
    fn sleep(
        &mut self,
        mut core: Guard,
        now: Instant,
        request: &mut Request<'_>,
    ) -> (Guard, sys::SysResult<usize>) {
        let drives = core.take_role(&self.waker, now, self.deadline);
        let (mut until, mut device, mut timer) = (self.deadline, -1, -1);
        if drives {
            until = core.driver.as_ref().and_then(|driver| driver.until);
            device = core.device_fd();
            until = until.filter(|&until| !core.timer.fire_by(until, now));
            timer = core.timer.fd();
        }
        let own = [self.waker.fd(), device, timer];
        for (place, fd) in request.kernel.fds.iter_mut().zip(own) {
            *place = libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            };
        }
        let timeout = until.map(|t| t.as_micros().saturating_sub(now.as_micros()));
        self.waker.fall_asleep();
        drop(core);
        // A handler that was put off runs in the sleep, and ends it.
        if let Some(mask) = critical::take_put_off() {
            self.saved_mask.get_or_insert(mask);
        }
        let mask = request.mask.as_ref().or(self.saved_mask.as_ref());
        let frame = SleepRecord::enter(&self.waker);
        let fds = &mut request.kernel.fds;
        let woken = critical::outside(|| sys::cancellable(|| sys::ppoll(fds, timeout, mask)));
        frame.leave();
        let mut core = self.runtime.relock();
        self.waker.wake_up();
        if let Some(timer) = request.kernel.fds.get(2)
            && timer.revents != 0
        {
            core.timer_polled(&self.waker, timer.revents);
        }
        (core, woken)
    }
}

impl Core {
    /// Whether the thread of this waker has the driver's role.
    pub(super) fn drives(&self, waker: &Arc<Waker>) -> bool {
        self.driver
            .as_ref()
            .is_some_and(|d| Arc::ptr_eq(&d.waker, waker))
    }

    /// ppoll said this of the timer. Whoever has lost the role in its sleep leaves it alone: another driver relies on it.
    pub(super) fn timer_polled(&mut self, waker: &Arc<Waker>, events: i16) {
        if events != 0 && self.drives(waker) {
            self.timer.polled(events);
        }
    }

    /// The thread is about to sleep: true when it has the driver's role while it does.
    pub(super) fn take_role(
        &mut self,
        waker: &Arc<Waker>,
        now: Instant,
        deadline: Option<Instant>,
    ) -> bool {
        let free = match &self.driver {
            None => true,
            Some(driver) if Arc::ptr_eq(&driver.waker, waker) => true,
            Some(driver) if driver.background => {
                driver.waker.wake();
                true
            }
            Some(_) => false,
        };
        if free {
            self.leave_followers(waker);
            let until = earlier(deadline, self.next_deadline());
            self.driver = Some(Driver {
                waker: waker.clone(),
                background: false,
                since: now,
                until,
            });
        } else if waker.place.load(Relaxed) == usize::MAX {
            waker.place.store(self.followers.len(), Relaxed);
            self.followers.push(waker.clone());
        }
        free
    }

    /// The thread waits no more: the role goes to another that does, or the background thread keeps watch.
    pub(super) fn release_role(&mut self, waker: &Arc<Waker>, runtime: &Runtime) {
        if !self.drives(waker) {
            return self.leave_followers(waker);
        }
        self.driver = None;
        if let Some(next) = self.followers.pop() {
            next.place.store(usize::MAX, Relaxed);
            next.wake();
            self.driver = Some(Driver {
                waker: next,
                background: false,
                since: self.pumped,
                until: Some(Instant::ZERO),
            });
        } else if self.background_parked {
            self.background_parked = false;
            runtime.background.unpark();
        }
    }

    /// As [`Core::release_role`]; a `quick` thread, whose last answer was followed by the next wait at once, leaves the role to whoever
    /// waits next, which is mostly itself: nobody is woken for that short while. The background thread sees to the case that it errs.
    fn leave(&mut self, waker: &Arc<Waker>, runtime: &Runtime, quick: bool) {
        if !quick || !self.drives(waker) {
            return self.release_role(waker, runtime);
        }
        self.driver = None;
        if self.background_parked {
            self.background_parked = false;
            runtime.background.unpark();
        }
    }

    /// A driver that has woken another thread, and has nothing for itself, gives it the role: that one is running now, and will be
    /// here again before the next frame if it is a busy one.
    fn pass_role_on(&mut self, now: Instant) {
        if let Some(next) = self.woken.take()
            && next.place.load(Relaxed) != usize::MAX
            && !next.abandoned()
        {
            self.leave_followers(&next);
            self.driver = Some(Driver {
                waker: next,
                background: false,
                since: now,
                until: Some(Instant::ZERO),
            });
        }
    }

    /// No other thread comes back from its sleep any more: the role is free.
    pub(super) fn drive_alone(&mut self) {
        self.driver = None;
        for waker in std::mem::take(&mut self.followers) {
            waker.place.store(usize::MAX, Relaxed);
        }
    }

    /// What a driver does after its sleep: `ready` is what ppoll said of the device. As [`Core::pump`].
    pub(super) fn pump_after_sleep(&mut self, now: Instant, ready: i16, waker: &Waker) -> bool {
        if ready & libc::POLLNVAL != 0 {
            self.set_gone();
            return false;
        }
        let due = || self.next_deadline().is_some_and(|d| d <= now);
        (ready != 0 || self.device_fd() < 0 || due()) && self.pump(now, Some(waker))
    }

    /// The thread waits no more without the role, if it did.
    pub(super) fn leave_followers(&mut self, waker: &Waker) {
        let place = waker.place.load(Relaxed);
        if place < self.followers.len() {
            waker.place.store(usize::MAX, Relaxed);
            self.followers.swap_remove(place);
            if let Some(moved) = self.followers.get(place) {
                moved.place.store(place, Relaxed);
            }
        }
    }
}

/// A sleep this short was none: what it waited for was there already.
const NO_SLEEP: Duration = Duration::from_micros(2);

/// A call that does not wait: what has arrived already counts, as on a kernel that has processed it by now.
fn last_try<T>(
    mut core: Guard,
    now: Instant,
    request: &mut Request<'_>,
    attempt: Attempt<'_, T>,
) -> Result<T, End> {
    if core.driver.as_ref().is_none_or(|d| d.background) {
        core.pump(now, None);
        core.flush(now);
    }
    let mut interrupted = false;
    if !request.kernel.is_empty() || request.mask.is_some() {
        // The mask may let handlers run, which is no time to hold the lock.
        let runtime = core.runtime;
        drop(core);
        let (kernel, mask) = (&mut request.kernel, request.mask.as_ref());
        let asked = critical::outside(|| kernel.query(mask));
        core = runtime.relock();
        match asked {
            Ok(_) => {}
            Err(Errno::INTR) => interrupted = true,
            Err(errno) => return Err(End::Os(errno)),
        }
    }
    let value = attempt(&mut core, now, &mut request.kernel);
    core.flush(now);
    match value {
        Some(value) => Ok(value),
        None if interrupted => Err(End::Interrupted),
        None => Err(End::WouldBlock),
    }
}

/// A thread that waits again this soon is busy with the network and nothing else.
const QUICK: Duration = Duration::from_micros(200);

/// `timeout` from now on, never early: both ends are rounded up.
fn deadline(now: Instant, timeout: Duration) -> Instant {
    now + timeout + Duration::from_nanos(1999)
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
