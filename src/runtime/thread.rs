//! What is known of the calling thread: one place for all of it, as asking where a thread's own place is costs a call each time.

use std::cell::Cell;

use tunsock_stack::Instant;

use super::sleep::Sleep;
use super::sys::SigSet;

thread_local! {
    pub(super) static THREAD: Thread = const {
        Thread {
            depth: Cell::new(0),
            put_off: Cell::new(false),
            holds_lock: Cell::new(false),
            handlers: Cell::new(0),
            mask: Cell::new(0),
            left: Cell::new(Instant::ZERO),
            sleeps: Cell::new(Sleep::NONE),
        }
    };
}

/// The calling thread.
pub(super) struct Thread {
    /// How many [`super::critical::Critical`] it has.
    pub(super) depth: Cell<u32>,
    /// A signal was put off: all signals are blocked.
    pub(super) put_off: Cell<bool>,
    /// It holds a runtime's lock.
    pub(super) holds_lock: Cell<bool>,
    /// How many handlers have run in it.
    pub(super) handlers: Cell<u32>,
    /// The mask that holds when the signal that was put off is to come.
    pub(super) mask: Cell<SigSet>,
    /// When its last wait ended.
    pub(super) left: Cell<Instant>,
    /// Its innermost sleep, if there is one. When a call finds it set, a signal handler runs inside the sleep (or left it by siglongjmp):
    /// nobody reads the device on its behalf.
    pub(super) sleeps: Cell<Sleep>,
}
