//! Whose memory this is. A child of vfork(2) (or posix_spawn(3)) runs in its parent's memory, but its descriptors are copies: what it
//! closes and replaces before its exec is its own affair, and must not touch the parent's table.

use std::sync::atomic::{AtomicI32, Ordering};

use libc::c_int;

use crate::fd;

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

/// Whether a change of `fd`'s number concerns the kernel alone: it is ours, but the process that changes it borrows our memory.
pub(super) fn is_kernels_alone(fd: c_int) -> bool {
    fd::lookup(fd).is_some() && is_borrowed()
}

fn this_process() -> i32 {
    // The system call itself: safe in signal handlers, and never a number remembered from before a fork.
    rustix::process::getpid().as_raw_nonzero().get()
}
