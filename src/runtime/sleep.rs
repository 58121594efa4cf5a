//! A thread's sleep, which a signal handler may interrupt, and leave for good (siglongjmp, pthread_exit, pthread_cancel).

use std::ptr;
use std::sync::Arc;

use super::core::Core;
use super::thread::THREAD;
use super::waker::Waker;
use super::{Runtime, sys};

thread_local! {
    /// Dropped when the thread ends.
    static ENDING: Ending = const { Ending };
}

/// A thread that was cancelled in its sleep, or left it by pthread_exit in a handler, is tidied away at its end.
struct Ending;

impl Drop for Ending {
    fn drop(&mut self) {
        if !THREAD.with(|thread| thread.sleeps.get()).waker.is_null()
            && let Some(runtime) = super::get()
        {
            // Taking the lock from up here does it: see `disown`.
            drop(runtime.lock());
        }
    }
}

/// A thread's sleep: its waker, and where on the stack it was called.
#[derive(Copy, Clone)]
pub(super) struct Sleep {
    waker: *const Waker,
    frame: usize,
}

impl Sleep {
    /// The thread does not sleep.
    pub(super) const NONE: Sleep = Sleep {
        waker: ptr::null(),
        frame: 0,
    };
}

/// A handler runs in this thread: if that is about to sleep, it shall not, for the handler has interrupted it.
pub(super) fn end_sleep() {
    let sleep = THREAD.with(|thread| thread.sleeps.get());
    if !sleep.waker.is_null() {
        // SAFETY: a sleep's frame holds a reference to its waker; one that was left by siglongjmp never drops it.
        unsafe { &*sleep.waker }.write();
    }
}

/// The mark of a sleep in [`super::thread::Thread`]; marks nest when a handler sleeps too.
pub(super) struct SleepRecord {
    outer: Sleep,
}

impl SleepRecord {
    pub(super) fn enter(waker: &Arc<Waker>) -> SleepRecord {
        let here = 0u8;
        // Too late at the very end of a thread, and then there is nobody to leave anything behind.
        let _ = ENDING.try_with(|_| ());
        let sleep = Sleep {
            waker: Arc::as_ptr(waker),
            frame: &raw const here as usize,
        };
        SleepRecord {
            outer: THREAD.with(|thread| thread.sleeps.replace(sleep)),
        }
    }

    pub(super) fn leave(self) {
        THREAD.with(|thread| thread.sleeps.set(self.outer));
    }
}

/// Called with the lock just taken. If a signal handler interrupted a sleep of this very thread, the role goes to somebody else: the
/// sleep does not watch the device now. If the handler left it by siglongjmp, it is tidied away.
#[inline]
pub(super) fn disown_interrupted_sleep(core: &mut Core, runtime: &Runtime) {
    let sleep = THREAD.with(|thread| thread.sleeps.get());
    if !sleep.waker.is_null() {
        disown(core, runtime, sleep);
    }
}

#[cold]
fn disown(core: &mut Core, runtime: &Runtime, sleep: Sleep) {
    let own = |waker: &Arc<Waker>| ptr::eq(Arc::as_ptr(waker), sleep.waker);
    if let Some(driver) = &core.driver
        && own(&driver.waker)
    {
        let waker = driver.waker.clone();
        core.release_role(&waker, runtime);
    } else if let Some(waker) = core.followers.iter().find(|w| own(w)).cloned() {
        // It must not be handed the role either.
        core.leave_followers(&waker);
    }
    // Stacks grow downwards: a caller above the sleep's frame means that the frame is gone. (A handler on an alternate stack is
    // elsewhere.)
    let here = 0u8;
    if &raw const here as usize > sleep.frame && !sys::on_alternate_stack() {
        THREAD.with(|thread| thread.sleeps.set(Sleep::NONE));
        // SAFETY: the abandoned frame's reference is never dropped, so the waker is alive.
        unsafe { &*sleep.waker }.abandon();
        core.forget_abandoned();
    }
}
