//! One stack in this process: its lock, who drives it, waiting, deadlines, signals.

/// Delivers what was written: closes every socket and drives until the peers have it, within bounds. For the end of the process.
pub(crate) fn at_exit() {
    todo!()
}

/// pthread_atfork's prepare: takes the lock, so that the child's copy is consistent.
pub(crate) fn before_fork() {
    todo!()
}

/// pthread_atfork's parent handler: gives the lock back.
pub(crate) fn after_fork_parent() {
    todo!()
}

/// pthread_atfork's child handler: the stack stays with the parent; here every inherited socket is dead.
pub(crate) fn after_fork_child() {
    todo!()
}
