//! How a sleeping thread of this process is woken.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::Relaxed};

use smallvec::SmallVec;

use super::{Mutex, sys};

/// References that the frames of a waiting thread have, to be given back if it leaves its wait without a return.
pub(crate) type HeldList = SmallVec<[Held; 1]>;

/// One such reference: a raw pointer, and what gives it back.
#[derive(Copy, Clone)]
pub(crate) struct Held {
    pointer: *const (),
    give_back: unsafe fn(*const ()),
}

// SAFETY: a counted reference to something that may be shared and sent; see `Held::new`.
unsafe impl Send for Held {}
// SAFETY: as above; a `Held` itself does nothing by reference.
unsafe impl Sync for Held {}

impl Held {
    /// # Safety
    /// `give_back` of the pointer may be called once, by any thread, when the frame that owns the reference is gone.
    pub(crate) unsafe fn new(pointer: *const (), give_back: unsafe fn(*const ())) -> Held {
        Held { pointer, give_back }
    }
}

/// An eventfd that one waiting thread polls, and what is known about that thread. Everything here changes under the runtime's lock
/// only (but for what [`Waker::write`] says), hence the relaxed atomics. A thread that is awake is not written to.
pub(crate) struct Waker {
    /// -1 once the thread has left its wait by siglongjmp, and in a forked child.
    fd: AtomicI32,
    signaled: AtomicBool,
    asleep: AtomicBool,
    written: AtomicBool,
    /// Index among the followers, `usize::MAX` when it is none.
    pub(super) place: AtomicUsize,
    /// What the thread has in its hands while it waits, if `holds`; else what it had last.
    held: Mutex<HeldList>,
    holds: AtomicBool,
}

impl Waker {
    /// A waker of its own.
    pub(super) fn new() -> sys::SysResult<Waker> {
        let fd = sys::eventfd()?;
        super::reserve(fd);
        Ok(Waker {
            fd: AtomicI32::new(fd),
            signaled: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            written: AtomicBool::new(false),
            place: AtomicUsize::new(usize::MAX),
            held: Mutex::new(HeldList::new()),
            holds: AtomicBool::new(false),
        })
    }

    /// What to poll.
    pub(super) fn fd(&self) -> i32 {
        self.fd.load(Relaxed)
    }

    /// The thread is about to wait with these references in its frames.
    pub(super) fn hold(&self, held: HeldList) {
        *self.held.lock() = held;
        self.holds.store(true, Relaxed);
    }

    /// The thread has left its wait without a return: what its frames held goes back. Nobody waits here any more.
    pub(super) fn abandon(&self) {
        let held = std::mem::take(&mut *self.held.lock());
        let holds = self.holds.load(Relaxed);
        self.holds.store(false, Relaxed);
        for held in held.into_iter().filter(|_| holds) {
            // SAFETY: the frame is gone without having given it back, and the list is emptied as it is walked through.
            unsafe { (held.give_back)(held.pointer) };
        }
        self.close();
    }

    /// Nobody polls this any more, in this process.
    pub(super) fn close(&self) {
        let fd = self.fd.swap(-1, Relaxed);
        if fd >= 0 {
            super::release(fd);
            let _ = sys::close(fd);
        }
    }

    /// Whether nobody waits here any more, although it may still be registered.
    pub(crate) fn abandoned(&self) -> bool {
        self.fd() < 0
    }

    /// Something happened that the thread is to look at.
    pub(crate) fn wake(&self) {
        self.signaled.store(true, Relaxed);
        if self.asleep.load(Relaxed) {
            self.write();
        }
    }

    /// Makes the sleep that goes on, or the next one, end at once. The thread itself calls it in a signal handler too, without the lock.
    pub(super) fn write(&self) {
        if !self.written.load(Relaxed) {
            self.written.store(true, Relaxed);
            sys::eventfd_signal(self.fd());
        }
    }

    /// Whether it has been woken and has not looked yet.
    pub(crate) fn signaled(&self) -> bool {
        self.signaled.load(Relaxed)
    }

    /// It looks now.
    pub(super) fn take_signal(&self) -> bool {
        let signaled = self.signaled.load(Relaxed);
        self.signaled.store(false, Relaxed);
        signaled
    }

    /// Whether the thread sleeps, or is about to.
    pub(super) fn asleep(&self) -> bool {
        self.asleep.load(Relaxed)
    }

    /// The thread goes to sleep once it has let the lock go.
    pub(super) fn fall_asleep(&self) {
        self.asleep.store(true, Relaxed);
    }

    /// The thread has the lock again.
    pub(super) fn wake_up(&self) {
        self.asleep.store(false, Relaxed);
        if self.written.load(Relaxed) {
            self.written.store(false, Relaxed);
            sys::eventfd_clear(self.fd());
        }
    }

    /// Back to how it was made.
    pub(super) fn reset(&self) {
        self.wake_up();
        self.signaled.store(false, Relaxed);
        self.holds.store(false, Relaxed);
        self.place.store(usize::MAX, Relaxed);
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.abandon();
    }
}
