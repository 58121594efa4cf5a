//! close, dup, dup2 and numbers that change hands.

use libc::c_int;

use super::FdResult;

/// close(2). `None`: not ours, nothing done. Otherwise the number itself is closed here too.
pub(crate) fn close(fd: c_int) -> Option<FdResult<()>> {
    let _ = fd;
    todo!()
}

/// dup(2), F_DUPFD and F_DUPFD_CLOEXEC: the lowest free number not below `min`. `None`: not ours.
pub(crate) fn dup(fd: c_int, cloexec: bool, min: c_int) -> Option<FdResult<c_int>> {
    let _ = (fd, cloexec, min);
    todo!()
}

/// dup2(2) and dup3(2) (`flags`: 0 or O_CLOEXEC; `old == new` is checked by the caller for dup3). `None`: neither end is ours.
pub(crate) fn dup2(old: c_int, new: c_int, flags: c_int) -> Option<FdResult<c_int>> {
    let _ = (old, new, flags);
    todo!()
}

/// The kernel has just handed this number out (open, pipe, accept of its own …): an entry of ours at it is stale.
pub(crate) fn forget(fd: c_int) {
    let _ = fd;
    todo!()
}
