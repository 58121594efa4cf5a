//! fork(2): the stack stays with the parent. The child's copies of its sockets are dead, and say so.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering::AcqRel;

use super::{Guard, get, release, sys};

thread_local! {
    /// The lock, taken for a fork in progress.
    static HELD: Cell<Option<ManuallyDrop<Guard>>> = const { Cell::new(None) };
}

/// pthread_atfork's prepare: takes the lock, so that the child's copy is consistent.
pub(crate) fn before_fork() {
    if let Some(runtime) = get()
        && let Ok(core) = runtime.lock()
    {
        HELD.set(Some(ManuallyDrop::new(core)));
    }
}

/// pthread_atfork's parent handler: gives the lock back.
pub(crate) fn after_fork_parent() {
    give_back();
}

/// pthread_atfork's child handler: the stack stays with the parent; here every inherited socket is dead.
pub(crate) fn after_fork_child() {
    let Some(runtime) = get() else {
        return;
    };
    if runtime.dead.swap(true, AcqRel) {
        return;
    }
    // SAFETY: this is the only thread of the new process; nobody holds or changes the core (a fork from a signal handler inside
    // a call leaves it in the middle of that, but the numbers are still there to read).
    let numbers = unsafe { (*runtime.core.data_ptr()).descriptors() };
    for fd in numbers {
        release(fd);
        let _ = sys::close(fd);
    }
    give_back();
}

fn give_back() {
    // The forking thread is the one that goes on in both processes, and so is its thread-local storage.
    if let Some(guard) = HELD.take() {
        drop(ManuallyDrop::into_inner(guard));
    }
}
