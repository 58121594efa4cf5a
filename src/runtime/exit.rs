//! The end of the process: what was written reaches the peers, with its FIN, as a kernel would see to it afterwards.

use std::sync::atomic::{AtomicU32, Ordering::*};
use std::time::Duration;

use rustix::thread::futex;

use super::wait::{End, Request, Watch};
use super::{Runtime, get, sys};

/// How long the peers may acknowledge nothing before we give up.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often progress is looked for when nothing wakes us.
const LOOK: Duration = Duration::from_secs(1);

/// How long the other threads stand still once everything is delivered: much longer than it takes the process to be gone.
const AFTERWARDS: u64 = 1_000_000;

/// The process is ending. The kernel would have stopped its other threads by now; so they get no further here, instead of seeing
/// their sockets closed under them.
pub(super) struct Exiting {
    /// 0: no. Otherwise the thread that ends the process, or `OVER`.
    thread: AtomicU32,
}

/// Everything is delivered (or given up).
const OVER: u32 = u32::MAX;

impl Exiting {
    pub(super) const fn new() -> Exiting {
        Exiting {
            thread: AtomicU32::new(0),
        }
    }

    /// Whether this thread has to stand still.
    #[inline]
    pub(super) fn concerns_this_thread(&self) -> bool {
        let thread = self.thread.load(Acquire);
        thread != 0 && thread != OVER && thread != this_thread()
    }

    /// Stands still until the process is gone, or (a destructor might wait for this very thread) for a second after the delivery.
    #[cold]
    pub(super) fn stand_still(&self) {
        while self.concerns_this_thread() {
            let thread = self.thread.load(Acquire);
            let _ = futex::wait(&self.thread, futex::Flags::PRIVATE, thread, None);
        }
        let _ = sys::ppoll(&mut [], Some(AFTERWARDS), None);
    }

    fn begin(&self) {
        self.thread.store(this_thread(), Release);
    }

    fn end(&self) {
        self.thread.store(OVER, Release);
        let _ = futex::wake(&self.thread, futex::Flags::PRIVATE, u32::MAX >> 1);
    }
}

fn this_thread() -> u32 {
    rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs()
}

/// Delivers what was written: closes every socket and drives until the peers have it, or acknowledge nothing for long. For the
/// end of the process; may be called again.
pub(crate) fn at_exit() {
    let Some(runtime) = get() else {
        return;
    };
    {
        let Ok(mut core) = runtime.lock() else {
            return;
        };
        runtime.exiting.begin();
        core.drive_alone();
        let now = sys::now();
        core.close_all(now);
        core.flush(now);
    }
    deliver(runtime);
    if let Ok(mut core) = runtime.lock() {
        core.flush_capture();
    }
    runtime.exiting.end();
}

fn deliver(runtime: &'static Runtime) {
    let mut left = usize::MAX;
    let mut progress = sys::now();
    loop {
        let mut request = Request::new();
        request.timeout = Some(LOOK);
        request.watches.push(Watch::Movement);
        let done = runtime.wait(&mut request, &mut |core, _, _| {
            (core.gone() || !core.stack.has_undelivered()).then_some(())
        });
        match done {
            Ok(()) | Err(End::Down | End::Os(_) | End::WouldBlock) => return,
            // A handler ran; it would have ended us if it wanted to.
            Err(End::Interrupted | End::TimedOut) => {}
        }
        let Ok(core) = runtime.lock() else {
            return;
        };
        let now = sys::now();
        let sockets = core.stack.sockets();
        let queued = sockets
            .iter()
            .fold(0usize, |sum, s| sum.saturating_add(s.send_q));
        if queued < left {
            left = queued;
            progress = now;
        } else if now.since(progress) >= PATIENCE {
            return;
        }
    }
}
