//! Signals and the library: a handler never runs in the middle of a call.
//!
//! On Linux a handler runs between two instructions of the program, never inside a system call. Here the call's instructions are the
//! library's own, done under its lock. Blocking signals around each call would cost two system calls. Instead, a handler that was
//! installed through our `sigaction` is looked at when it comes (`capi/signals.rs`): inside a call, all signals are blocked, the signal
//! is sent to the thread once more with everything that is known of it, and comes when the call is over. A thread that sleeps is
//! outside, so handlers run in the middle of a wait, as on Linux, and may leave it by siglongjmp.

use std::sync::atomic::{Ordering::SeqCst, compiler_fence};

use super::sys::{self, SigSet};
use super::thread::THREAD;

/// While a thread has one, it is inside the library, and handlers wait. They run when the last is dropped.
pub(crate) struct Critical(std::marker::PhantomData<*const ()>);

impl Critical {
    /// The thread is inside from now on.
    #[inline]
    pub(crate) fn enter() -> Critical {
        THREAD.with(|thread| thread.depth.set(thread.depth.get().wrapping_add(1)));
        compiler_fence(SeqCst);
        Critical(std::marker::PhantomData)
    }
}

impl Drop for Critical {
    #[inline]
    fn drop(&mut self) {
        compiler_fence(SeqCst);
        let handlers_wait = THREAD.with(|thread| {
            let depth = thread.depth.get().wrapping_sub(1);
            thread.depth.set(depth);
            depth == 0 && thread.put_off.get()
        });
        if handlers_wait {
            let_handlers_run();
        }
    }
}

/// The signals that were put off come now.
#[cold]
fn let_handlers_run() {
    // Linux's handlers run before libc writes the call's errno.
    let errno = sys::errno();
    if let Some(mask) = take_put_off() {
        sys::restore_signals(mask);
    }
    sys::set_errno(errno);
}

/// A handler is about to run with the thread inside: it is to come later, with `mask`. False when the thread is outside.
pub(crate) fn put_off(mask: SigSet) -> bool {
    THREAD.with(|thread| {
        if thread.depth.get() == 0 {
            return false;
        }
        thread.mask.set(mask);
        thread.put_off.set(true);
        true
    })
}

/// A handler of the program's runs now, in this thread.
pub(crate) fn handler_runs() {
    super::sleep::end_sleep();
    THREAD.with(|thread| thread.handlers.set(thread.handlers.get().wrapping_add(1)));
}

/// How many handlers have run in the calling thread.
pub(super) fn handlers_run() -> u32 {
    THREAD.with(|thread| thread.handlers.get())
}

/// Whether the calling thread is inside.
pub(crate) fn inside() -> bool {
    THREAD.with(|thread| thread.depth.get() != 0)
}

/// The mask to be restored, if a signal was put off. The caller restores it.
pub(super) fn take_put_off() -> Option<SigSet> {
    THREAD.with(|thread| thread.put_off.replace(false).then(|| thread.mask.get()))
}

/// Puts the mask back that [`sys::block_signals`] returned: at once when the thread is outside, else when it leaves.
pub(super) fn restore(mask: SigSet) {
    if !put_off(mask) {
        sys::restore_signals(mask);
    }
}

/// Runs a call that sleeps: meanwhile the thread is outside.
pub(crate) fn outside<T>(sleep: impl FnOnce() -> T) -> T {
    if THREAD.with(|thread| thread.put_off.get()) {
        let_handlers_run_before_a_sleep();
    }
    compiler_fence(SeqCst);
    let depth = THREAD.with(|thread| thread.depth.replace(0));
    let outcome = sleep();
    THREAD.with(|thread| thread.depth.set(depth));
    compiler_fence(SeqCst);
    outcome
}

#[cold]
fn let_handlers_run_before_a_sleep() {
    let depth = THREAD.with(|thread| thread.depth.replace(0));
    let_handlers_run();
    THREAD.with(|thread| thread.depth.set(depth));
}
