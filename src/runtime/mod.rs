//! One stack in this process: its lock, who drives it, waiting, deadlines, signals, the end.
//!
//! Made at the first AF_INET or AF_INET6 socket, never before. Every call takes the one lock ([`Runtime::with`]), does its work
//! to completion in the caller's thread (frames go out before the lock is let go), and only a call that has to wait
//! ([`Runtime::wait`]) sleeps, without the lock.
//!
//! Lock order: the runtime's lock, then an epoll set's. Signal handlers wait until their thread has left the library ([`critical`]); one
//! that was installed past us and calls us while its own thread holds the lock is told that the call would block. Of a forked child everything here is dead ([`fork`]).

mod background;
mod core;
pub(crate) mod critical;
mod device;
mod exit;
mod fork;
mod log;
mod mutex;
mod offer;
pub(crate) mod owner;
pub(crate) mod place;
mod reserved;
mod sigio;
mod sleep;
mod spin;
mod states;
pub(crate) mod sys;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod thread;
mod timer;
mod trial;
mod wait;
mod waker;
mod watched;

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::time::Duration;

use once_cell::sync::OnceCell;
use rustix::io::Errno;
use tunsock_stack::{Closed, Error, Instant, SocketId, Stack};

pub(crate) use self::core::Core;
pub(crate) use exit::at_exit;
pub(crate) use fork::Forking;
pub(crate) use log::{Level, log};
pub(crate) use mutex::{Mutex, MutexGuard};
pub(crate) use reserved::{is_reserved, release, reserve};
use sigio::Signal;
pub(crate) use sigio::{Owner, SigIo};
pub(crate) use wait::{End, First, KernelFds, Queue, Request, Watch};
pub(crate) use waker::{Held, Waker};
pub(crate) use watched::{ALWAYS, Hook};

use background::Background;
use critical::Critical;
use spin::Spin;
use thread::THREAD;

/// The stack of this process and everything that moves it.
pub(crate) struct Runtime {
    core: Mutex<Core>,
    /// The device's and the timer's, -1 where there is none.
    descriptors: [i32; 2],
    background: Background,
    /// This is a forked child's copy: the stack stayed with the parent.
    dead: AtomicBool,
    /// Sockets closed while their thread held the lock, to be closed when it is let go.
    deferred: Mutex<Vec<SocketId>>,
    deferred_any: AtomicBool,
    exiting: exit::Exiting,
    spin: Spin,
}

static RUNTIME: OnceCell<Runtime> = OnceCell::new();

/// Held while the runtime is being made: a fork waits for the end of that.
static STARTING: Mutex<()> = Mutex::new(());

/// Whether the calling thread holds a runtime's lock.
#[inline]
fn holds_lock() -> bool {
    THREAD.with(|thread| thread.holds_lock.get())
}

/// From now on it does, or does not. What was before.
#[inline]
fn set_holds_lock(holds: bool) -> bool {
    THREAD.with(|thread| thread.holds_lock.replace(holds))
}

/// This process's runtime, if a socket was ever opened.
pub(crate) fn get() -> Option<&'static Runtime> {
    RUNTIME.get()
}

/// This process's runtime, made now if need be. The error is the one for socket(2); why was said on standard error.
pub(crate) fn start() -> Result<&'static Runtime, Errno> {
    // Unit tests share one process: whichever of them is first, no device is made.
    #[cfg(test)]
    testing::hosts();
    if let Some(runtime) = RUNTIME.get() {
        if runtime.dead.load(Acquire) {
            device::complain_of_sharing();
            return Err(Errno::ADDRNOTAVAIL);
        }
        return Ok(runtime);
    }
    if set_holds_lock(true) {
        // In a signal handler, on top of a call of the same thread that does it.
        return Err(Errno::AGAIN);
    }
    let made = make();
    set_holds_lock(false);
    made
}

/// A question about the host: its interfaces, routes and sockets. While this process has no stack it opens the device only if it has to, for
/// whoever does has it for himself: what `tunsock run` has settled is known without. ENETDOWN, EAGAIN (in a handler on top of a call that has
/// the lock), and what [`start`] says.
pub(crate) fn survey<T>(question: impl FnOnce(&Stack) -> T) -> Result<T, Errno> {
    if get().is_none()
        && let Some(stack) = device::described(sys::now())
    {
        return Ok(question(&stack));
    }
    let runtime = match get() {
        Some(runtime) => runtime,
        None => start()?,
    };
    let asked = runtime.ask(|stack| Ok(question(stack)));
    asked.map_err(|error| match error {
        Error::WouldBlock => Errno::AGAIN,
        _ => Errno::NETDOWN,
    })
}

fn make() -> Result<&'static Runtime, Errno> {
    let _inside = Critical::enter();
    let _starting = STARTING.lock();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let _room = sys::RaisedLimit::new();
    let now = sys::now();
    let (stack, device, spin) = device::open(now)?;
    let runtime = RUNTIME.get_or_init(|| Runtime::new(stack, device, spin, now));
    background::start(runtime);
    Ok(runtime)
}

impl Runtime {
    /// A runtime over this stack and device, without a background thread yet; waiting threads look for packets for `spin`
    /// before they sleep.
    fn new(
        stack: Stack,
        device: Box<dyn tunsock_link::Device>,
        spin: Duration,
        now: Instant,
    ) -> Runtime {
        let core = Core::new(stack, device, now);
        Runtime {
            descriptors: [core.device_fd(), core.timer.fd()],
            core: Mutex::new(core),
            background: Background::new(),
            dead: AtomicBool::new(false),
            deferred: Mutex::new(Vec::new()),
            deferred_any: AtomicBool::new(false),
            exiting: exit::Exiting::new(),
            spin: Spin::new(spin),
        }
    }

    /// One call of the stack, to completion: what it makes the stack send is sent before this returns.
    pub(crate) fn with<T>(
        &'static self,
        call: impl FnOnce(&mut Stack, Instant) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut core = self.lock()?;
        if core.gone() {
            return Err(Error::NetworkDown);
        }
        let now = sys::now();
        let result = call(&mut core.stack, now);
        core.flush(now);
        result
    }

    /// A question to the stack that changes nothing. In a forked child its copy answers, which is as the stack was at the fork.
    pub(crate) fn ask<T>(
        &'static self,
        question: impl FnOnce(&Stack) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.dead.load(Acquire) {
            return question(&self.core.lock().stack);
        }
        self.with(|stack, _| question(stack))
    }

    /// Whether the stack is this process's own, not a forked child's copy.
    pub(crate) fn alive(&self) -> bool {
        !self.dead.load(Acquire)
    }

    /// The lock itself, for what concerns more than the stack.
    pub(crate) fn lock(&'static self) -> Result<Guard, Busy> {
        if self.dead.load(Acquire) {
            return Err(Busy::Dead);
        }
        if holds_lock() {
            return Err(Busy::Nested);
        }
        let mut guard = self.relock();
        sleep::disown_interrupted_sleep(&mut guard, self);
        Ok(guard)
    }

    /// The lock if nobody has it: whoever does is moving the stack.
    fn try_lock(&'static self) -> Option<Guard> {
        if self.dead.load(Acquire) || set_holds_lock(true) {
            return None;
        }
        let inside = Critical::enter();
        let Some(core) = self.core.try_lock() else {
            set_holds_lock(false);
            return None;
        };
        Some(Guard {
            core: ManuallyDrop::new(core),
            runtime: self,
            _inside: inside,
        })
    }

    /// The lock again after a sleep, when the thread is known not to hold it.
    fn relock(&'static self) -> Guard {
        loop {
            let inside = Critical::enter();
            set_holds_lock(true);
            let guard = Guard {
                core: ManuallyDrop::new(self.core.lock()),
                runtime: self,
                _inside: inside,
            };
            if !self.exiting.concerns_this_thread() {
                return guard;
            }
            drop(guard);
            self.exiting.stand_still();
        }
    }

    /// The last reference to a socket is gone. What is left to do for SO_LINGER is the answer.
    pub(crate) fn close(&'static self, id: SocketId) -> Closed {
        match self.lock() {
            Ok(mut core) => {
                let now = sys::now();
                let sent = core.stack.stats().frames_out;
                let closed = core.close(id, now);
                core.flush(now);
                core.take_answer(now, sent);
                closed
            }
            Err(Busy::Nested) => {
                // In a signal handler, on top of a call of the same thread, which will see to it.
                if let Some(mut deferred) = self.deferred.try_lock() {
                    deferred.push(id);
                    self.deferred_any.store(true, Release);
                }
                Closed::Done
            }
            Err(Busy::Dead) => Closed::Done,
        }
    }

    fn close_deferred(&self, core: &mut Core) {
        self.deferred_any.store(false, Release);
        let Some(mut deferred) = self.deferred.try_lock() else {
            return;
        };
        let now = sys::now();
        for id in deferred.drain(..) {
            if let Closed::Linger(_) = core.close(id, now) {
                core.stack.release(now, id);
            }
        }
        drop(deferred);
        core.flush(now);
    }
}

/// Why the lock was not to be had.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    /// This thread holds it already: a signal handler interrupted its call.
    Nested,
    /// The stack is another process's.
    Dead,
}

impl From<Busy> for Error {
    fn from(busy: Busy) -> Error {
        match busy {
            Busy::Nested => Error::WouldBlock,
            Busy::Dead => Error::NetworkDown,
        }
    }
}

impl From<Busy> for End {
    fn from(busy: Busy) -> End {
        match busy {
            Busy::Nested => End::WouldBlock,
            Busy::Dead => End::Down,
        }
    }
}

/// The runtime's lock, held.
pub(crate) struct Guard {
    core: ManuallyDrop<MutexGuard<'static, Core>>,
    runtime: &'static Runtime,
    /// Dropped last: handlers that were put off run then.
    _inside: Critical,
}

impl Deref for Guard {
    type Target = Core;
    fn deref(&self) -> &Core {
        &self.core
    }
}

impl DerefMut for Guard {
    fn deref_mut(&mut self) -> &mut Core {
        &mut self.core
    }
}

#[cold]
fn send(signals: Vec<Signal>) {
    signals.iter().for_each(Signal::send);
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        if self.runtime.deferred_any.load(Acquire) && !self.runtime.dead.load(Acquire) {
            self.runtime.close_deferred(&mut self.core);
        }
        let signals = self.core.take_signals();
        // SAFETY: dropped here and nowhere else; the flag falls after the lock, so that a signal handler in between is
        // refused instead of waiting for its own thread.
        unsafe { ManuallyDrop::drop(&mut self.core) };
        set_holds_lock(false);
        if let Some(signals) = signals {
            send(signals);
        }
    }
}
