//! The end of the process: what was written reaches the peers, with its FIN, as a kernel would see to it afterwards.

use std::time::Duration;

use super::wait::{End, Request, Watch};
use super::{Runtime, get, sys};

/// How long the peers may acknowledge nothing before we give up.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often progress is looked for when nothing wakes us.
const LOOK: Duration = Duration::from_secs(1);

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
        let now = sys::now();
        core.close_all(now);
        core.flush(now);
    }
    deliver(runtime);
    if let Ok(mut core) = runtime.lock() {
        core.flush_capture();
    }
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
