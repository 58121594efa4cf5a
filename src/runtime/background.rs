//! The thread that drives while no thread of the program does.
//!
//! It is never woken for a call. It looks every millisecond whether the stack was left alone for that long, and then drives
//! until a thread of the program wants to wait; it sleeps without a timeout while such a thread waits for long. While it finds the
//! program busy with the stack it looks less and less often: each look takes the processor from somebody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use rustix::thread::futex;
use rustix::time::Timespec;
use tunsock_stack::Instant;

use super::core::Driver;
use super::log::{Level, log};
use super::sys;
use super::waker::Waker;
use super::{Guard, Runtime};

/// How long the stack may be left alone, and how often the thread looks.
const TICK: Duration = Duration::from_millis(1);

/// How often it looks at a stack that it always finds busy.
const BUSY_TICK: Duration = Duration::from_millis(4);

/// The stack's deepest call needs a fraction of this; thread-local storage of the program counts against it too.
const STACK_SIZE: usize = 512 * 1024;

/// Where the thread sleeps between its looks.
pub(super) struct Background {
    unparked: AtomicU32,
}

impl Background {
    /// Not started.
    pub(super) const fn new() -> Background {
        Background {
            unparked: AtomicU32::new(0),
        }
    }

    /// Makes a parked thread look again.
    pub(super) fn unpark(&self) {
        self.unparked.fetch_add(1, SeqCst);
        let _ = futex::wake(&self.unparked, futex::Flags::PRIVATE, 1);
    }

    fn sleep(&self, seen: u32, timeout: Option<Duration>) {
        let timeout = timeout.map(|t| Timespec {
            tv_sec: 0,
            tv_nsec: t.subsec_nanos().into(),
        });
        // Every outcome (woken, timed out, changed before) means: look.
        let _ = futex::wait(
            &self.unparked,
            futex::Flags::PRIVATE,
            seen,
            timeout.as_ref(),
        );
    }
}

/// Starts the thread, with every signal blocked: handlers are the program's threads' affair.
pub(super) fn start(runtime: &'static Runtime) {
    // Made here and not by the thread: for a moment it has a low number, which the program's next call may be waiting for.
    let Ok(waker) = Waker::new().map(Arc::new) else {
        return;
    };
    let mask = sys::block_signals();
    let started = std::thread::Builder::new()
        .name("tunsock".into())
        .stack_size(STACK_SIZE)
        .spawn(move || run(runtime, &waker));
    sys::restore_signals(mask);
    if let Err(error) = started {
        log(
            Level::Warn,
            format_args!(
                "no background thread ({error}): the network moves only while the program waits for it"
            ),
        );
    }
}

fn run(runtime: &'static Runtime, waker: &Arc<Waker>) {
    let background = &runtime.background;
    let mut timeout = Some(TICK);
    let mut tick = TICK;
    let mut seen = background.unparked.load(SeqCst);
    loop {
        background.sleep(seen, timeout);
        seen = background.unparked.load(SeqCst);
        tick = (tick * 2).min(BUSY_TICK);
        timeout = Some(tick);
        let Some(mut core) = runtime.try_lock() else {
            continue;
        };
        let now = sys::now();
        match &core.driver {
            Some(driver) if driver.waker.asleep() && now.since(driver.since) >= TICK => {
                core.background_parked = true;
                tick = TICK;
                timeout = None;
            }
            Some(_) => {}
            None if core.gone() => {
                core.background_parked = true;
                timeout = None;
            }
            None if now.since(core.pumped) >= TICK => {
                drive(runtime, core, now, waker);
                tick = TICK;
                timeout = Some(tick);
            }
            None if core.next_deadline().is_some_and(|d| d <= now) => {
                core.pump(now, None);
                core.flush(now);
            }
            None => {}
        }
    }
}

/// Drives until a thread of the program takes the role, or frames without it, or the device is gone.
fn drive(runtime: &'static Runtime, mut core: Guard, mut now: Instant, waker: &Arc<Waker>) {
    let mut ready = libc::POLLIN;
    let mut others = false;
    loop {
        core.pump_after_sleep(now, ready, waker);
        core.flush(now);
        let mine = core
            .driver
            .as_ref()
            .is_none_or(|d| Arc::ptr_eq(&d.waker, waker));
        // A thread that writes without a pause takes its acknowledgements itself: woken for each of them, this one would only take the
        // lock and the processor from it.
        if !mine || core.gone() || others {
            if mine {
                core.driver = None;
            }
            waker.reset();
            return;
        }
        let until = core.next_deadline();
        core.driver = Some(Driver {
            waker: waker.clone(),
            background: true,
            since: now,
            until,
        });
        waker.take_signal();
        let timer = core.timer.fd();
        let mut fds = [waker.fd(), core.device_fd(), timer].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        let timeout = until.map(|t| t.as_micros().saturating_sub(now.as_micros()));
        waker.fall_asleep();
        let pumped = core.pumped;
        drop(core);
        let _ = sys::ppoll(&mut fds, timeout, None);
        let Ok(guard) = runtime.lock() else {
            return;
        };
        core = guard;
        others = core.pumped != pumped;
        waker.wake_up();
        now = sys::now();
        ready = fds[1].revents;
        core.timer_polled(waker, fds[2].revents);
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use tunsock_link::Device;

    use super::*;
    use crate::runtime::testing;

    /// Whether `what` comes to hold of who drives, with the lock taken now and then; `between` is done each time.
    fn comes(
        runtime: &'static Runtime,
        what: fn(&super::super::Core) -> bool,
        mut between: impl FnMut(&mut Guard),
    ) -> bool {
        let began = sys::now();
        while sys::now().since(began) < Duration::from_secs(20) {
            let mut core = runtime.lock().expect("the stack is ours");
            if what(&core) {
                return true;
            }
            between(&mut core);
            drop(core);
            std::thread::sleep(Duration::from_micros(100));
        }
        false
    }

    #[test]
    fn it_leaves_the_device_to_a_thread_that_takes_frames_itself() {
        let (runtime, mut peer) = testing::alone();
        start(runtime);
        let drives = |core: &super::super::Core| core.driver.as_ref().is_some_and(|d| d.background);
        assert!(comes(runtime, drives, |_| {}), "it never drives");
        let leaves = |core: &super::super::Core| core.driver.is_none();
        let left = comes(runtime, leaves, |core| {
            let now = sys::now();
            core.pump(now, None);
            // Something wakes it: whoever takes it, it is nothing.
            let _ = peer.send(now.as_micros(), &[IoSlice::new(&[0; 64])]);
        });
        assert!(left, "it goes on beside the other");
    }
}
