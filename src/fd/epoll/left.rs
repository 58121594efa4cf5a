//! Waits in the kernel's own epoll_wait that a signal handler leaves by siglongjmp, or that end with their thread: what their frames
//! held is given back at the thread's next call on a set, or at its end.

use std::cell::RefCell;
use std::sync::Arc;

use smallvec::SmallVec;

use super::EpollSet;
use crate::runtime::sys;

/// One wait of this thread.
struct Wait {
    set: *const EpollSet,
    /// Where on the stack it was called: stacks grow downwards, so a caller above it has left it.
    frame: usize,
}

impl Wait {
    /// The frame is gone.
    fn give_back(self) {
        // SAFETY: the frame had a reference, which keeps the set alive, and did not give it back.
        let set = unsafe { Arc::from_raw(self.set) };
        set.inner.lock().in_kernel -= 1;
    }
}

/// The waits of this thread, one within the other.
#[derive(Default)]
struct Waits(SmallVec<[Wait; 2]>);

impl Waits {
    /// Gives back what those held that are `gone`.
    fn drop_those(&mut self, gone: impl Fn(&Wait) -> bool) {
        while self.0.last().is_some_and(&gone) {
            if let Some(wait) = self.0.pop() {
                wait.give_back();
            }
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.drop_those(|_| true);
    }
}

thread_local! {
    static WAITS: RefCell<Waits> = RefCell::default();
}

/// A thread that waits in the kernel.
pub(super) struct InKernel<'a> {
    set: &'a EpollSet,
    noted: bool,
}

impl InKernel<'_> {
    /// It is about to, and counted in the set. The caller has a reference to that, which is given back for it if it does not come back.
    pub(super) fn enter(set: &EpollSet) -> InKernel<'_> {
        let here = 0u8;
        let frame = &raw const here as usize;
        // Not at the very end of a thread, nor in a handler that came in the middle of this: nobody can leave anything behind there.
        let noted = WAITS.try_with(|waits| {
            let waits = waits.try_borrow_mut();
            waits.map(|mut waits| waits.0.push(Wait { set, frame }))
        });
        let noted = matches!(noted, Ok(Ok(())));
        InKernel { set, noted }
    }

    /// It has come back.
    pub(super) fn leave(self) {
        if self.noted {
            let _ = WAITS.try_with(|waits| waits.borrow_mut().0.pop());
        }
        self.set.inner.lock().in_kernel -= 1;
    }
}

/// Tidies up after waits of this thread that were left.
pub(in crate::fd) fn tidy() {
    let here = 0u8;
    let here = &raw const here as usize;
    let _ = WAITS.try_with(|waits| {
        if let Ok(mut waits) = waits.try_borrow_mut()
            && !waits.0.is_empty()
            && !sys::on_alternate_stack()
        {
            waits.drop_those(|wait| wait.frame < here);
        }
    });
}
