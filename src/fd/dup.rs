//! close, dup, dup2 and numbers that change hands.

use std::sync::Arc;

use libc::c_int;
use rustix::io::Errno;

use super::table::{self, Entry, lookup_checked};
use super::{Fail, FdResult, Object, lookup, relay};
use crate::runtime::critical::Critical;
use crate::runtime::{self, sys};

/// close(2). `None`: not ours, nothing done. Otherwise the number itself is closed here too. The library's own numbers
/// do not exist for the program: EBADF.
pub(crate) fn close(fd: c_int) -> Option<FdResult<()>> {
    if runtime::is_reserved(fd) {
        return Some(Err(Fail::Os(Errno::BADF)));
    }
    lookup_checked(fd)?;
    let (entry, closed) = {
        let _inside = Critical::enter();
        let _changing = table::changing();
        // The entry goes first: once the kernel has the number back, another thread may get it.
        (table::take(fd)?, sys::close(fd))
    };
    if let Object::Epoll(_) = entry.object {
        let _inside = Critical::enter();
        super::epoll::tidy();
    }
    finish(entry);
    Some(closed.map_err(Fail::Os))
}

/// dup(2), F_DUPFD and F_DUPFD_CLOEXEC: the lowest free number not below `min`. `None`: not ours.
pub(crate) fn dup(fd: c_int, cloexec: bool, min: c_int) -> Option<FdResult<c_int>> {
    if runtime::is_reserved(fd) {
        return Some(Err(Fail::Os(Errno::BADF)));
    }
    let object = lookup_checked(fd)?;
    let command = if cloexec {
        libc::F_DUPFD_CLOEXEC
    } else {
        libc::F_DUPFD
    };
    let new = sys::fcntl(fd, command, min).map_err(Fail::Os);
    Some(new.and_then(|new| put_copy(new, object)))
}

/// dup2(2) and dup3(2) (`flags`: 0 or O_CLOEXEC; that dup3 refuses `old == new` is the caller's affair). `None`: neither end is ours.
pub(crate) fn dup2(old: c_int, new: c_int, flags: c_int) -> Option<FdResult<c_int>> {
    if runtime::is_reserved(old) || runtime::is_reserved(new) {
        return Some(Err(Fail::Os(Errno::BADF)));
    }
    let object = lookup_checked(old);
    if object.is_none() && lookup(new).is_none() {
        return None;
    }
    if old == new {
        return object.map(|_| Ok(new));
    }
    let copied = {
        let _inside = Critical::enter();
        let _changing = table::changing();
        sys::dup3(old, new, flags)
    };
    if let Err(errno) = copied {
        return Some(Err(Fail::Os(errno)));
    }
    let Some(object) = object else {
        forget(new);
        return Some(Ok(new));
    };
    Some(put_copy(new, object))
}

/// The kernel has just handed this number out (open, pipe, accept of its own …): an entry of ours at it is stale.
pub(crate) fn forget(fd: c_int) {
    if let Some(entry) = table::take(fd) {
        finish(entry);
    }
}

/// [`put`] of what another number stands for as well.
fn put_copy(fd: c_int, object: Object) -> FdResult<c_int> {
    let placed = put(fd, object.clone())?;
    relay::consider(fd, &object);
    Ok(placed)
}

/// The number stands for this now; what it stood for before is closed.
pub(super) fn put(fd: c_int, object: Object) -> FdResult<c_int> {
    match table::install(fd, object) {
        Ok(before) => {
            if let Some(entry) = before {
                finish(entry);
            }
            Ok(fd)
        }
        Err(errno) => {
            let _ = sys::close(fd);
            Err(Fail::Os(errno))
        }
    }
}

/// A number gave its reference up. The last one of a socket closes it, in this thread, with the wait that SO_LINGER asks for.
fn finish(entry: Arc<Entry>) {
    match table::into_object(entry) {
        Some(Object::Socket(file) | Object::Relay(file)) => {
            if let Some(file) = Arc::into_inner(file) {
                file.close();
            }
        }
        Some(Object::Inherited(file)) => {
            if let Some(file) = Arc::into_inner(file) {
                relay::given_back(&file);
            }
        }
        Some(Object::Epoll(_) | Object::Netlink(_)) | None => {}
    }
}
