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
    lookup(fd)?;
    let (entry, closed) = {
        let _inside = Critical::enter();
        let changing = table::changing();
        changing.lookup(fd)?;
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
    lookup(fd)?;
    copy(fd, || sys::dup_from(fd, cloexec, min))
}

/// dup2(2) and dup3(2) (`flags`: 0 or O_CLOEXEC; that dup3 refuses `old == new` is the caller's affair). `None`: neither end is ours.
pub(crate) fn dup2(old: c_int, new: c_int, flags: c_int) -> Option<FdResult<c_int>> {
    if runtime::is_reserved(old) || runtime::is_reserved(new) {
        return Some(Err(Fail::Os(Errno::BADF)));
    }
    if old == new {
        return lookup_checked(old).map(|_| Ok(new));
    }
    if lookup(old).is_some()
        && let Some(copied) = copy(old, || sys::dup3(old, new, flags))
    {
        return Some(copied);
    }
    lookup(new)?;
    let copied = {
        let _inside = Critical::enter();
        let _changing = table::changing();
        sys::dup3(old, new, flags)
    };
    Some(copied.inspect(|&new| forget(new)).map_err(Fail::Os))
}

/// Another number for what `old` stands for, made by `make`. `None`: `old` is not ours, nothing done.
fn copy(old: c_int, make: impl FnOnce() -> Result<c_int, Errno>) -> Option<FdResult<c_int>> {
    let (object, placed) = {
        let _inside = Critical::enter();
        // All at once, else `old` could become a relay's end in between, and the copy would not.
        let changing = table::changing();
        let object = changing.lookup(old)?;
        let placed = make().and_then(|new| install(new, object.clone()));
        (object, placed)
    };
    let copied = placed.map(|(new, before)| {
        before.into_iter().for_each(finish);
        relay::consider(new, &object);
        new
    });
    Some(copied.map_err(Fail::Os))
}

/// The kernel has just handed this number out (open, pipe, accept of its own …): an entry of ours at it is stale.
pub(crate) fn forget(fd: c_int) {
    if let Some(entry) = table::take(fd) {
        finish(entry);
    }
}

/// The number stands for this now; what it stood for before is closed.
pub(super) fn put(fd: c_int, object: Object) -> FdResult<c_int> {
    let (fd, before) = install(fd, object).map_err(Fail::Os)?;
    before.into_iter().for_each(finish);
    Ok(fd)
}

/// The number stands for this now, and what it stood for before comes back; or the number is closed.
fn install(fd: c_int, object: Object) -> Result<(c_int, Option<Arc<Entry>>), Errno> {
    match table::install(fd, object) {
        Ok(before) => Ok((fd, before)),
        Err(errno) => {
            let _ = sys::close(fd);
            Err(errno)
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
