//! Whose memory this is. A child of vfork(2) (or posix_spawn(3)) runs in its parent's memory, but its descriptors are copies: what it
//! closes, copies and replaces before its exec is its own affair, and must not touch the parent's table.

use std::sync::atomic::{AtomicI32, Ordering};

/// The process that the memory belongs to; 0: not known yet.
static OWNER: AtomicI32 = AtomicI32::new(0);

/// The calling process takes the memory as its own: at its beginning, and after fork.
pub(crate) fn take() {
    OWNER.store(this_process(), Ordering::Relaxed);
}

/// Whether the calling process borrows the memory of another.
pub(crate) fn is_borrowed() -> bool {
    let owner = OWNER.load(Ordering::Relaxed);
    owner != 0 && owner != this_process()
}

fn this_process() -> i32 {
    // The system call itself: safe in signal handlers, and never a number remembered from before a fork.
    rustix::process::getpid().as_raw_nonzero().get()
}
