//! fork(2): the stack stays with the parent. The child's copies of its sockets are dead, and say so.

use std::sync::atomic::Ordering::AcqRel;

use super::{Guard, MutexGuard, STARTING, get, holds_lock, release, sys};

/// A fork in progress: the runtime's locks, so that the child's copy is of no moment in the middle of something. Dropped in the parent
/// when it is over.
pub(crate) struct Forking {
    /// `None`: there is no stack yet, or it is not this process's, or the fork comes from a handler inside a call that has the lock.
    core: Option<Guard>,
    _starting: Option<MutexGuard<'static, ()>>,
}

impl Forking {
    /// Before the fork. The caller sees to it that no handler runs meanwhile.
    pub(crate) fn begin() -> Forking {
        let _starting = (!holds_lock()).then(|| STARTING.lock());
        let core = get().and_then(|runtime| runtime.lock().ok());
        Forking { core, _starting }
    }

    /// In the child: the stack stays with the parent; here every inherited socket is dead.
    pub(crate) fn end_in_child(mut self) {
        let Some(runtime) = get() else {
            return;
        };
        if runtime.dead.swap(true, AcqRel) {
            return;
        }
        match &mut self.core {
            Some(core) => core.stay_behind(),
            None => {
                for fd in runtime.descriptors {
                    release(fd);
                    let _ = sys::close(fd);
                }
            }
        }
    }
}
