//! fstat and its kin. What the kernel says of a socket's number is true of a socket, except that all of ours have one inode: programs
//! that compare inodes to know sockets apart are given the stack's own number for each.

use libc::{c_char, c_int, c_uint};

use crate::capi::originals;
use crate::fd::{self, Object};

/// The inode to show of a number; `None`: the kernel's.
fn inode(fd: c_int) -> Option<u64> {
    match fd::lookup(fd)? {
        Object::Socket(socket) | Object::Relay(socket) | Object::Inherited(socket) => {
            Some(socket.cookie())
        }
        Object::Epoll(_) | Object::Netlink(_) => None,
    }
}

/// Puts the inode in.
///
/// # Safety
/// After a result of 0 the kernel has written a whole structure at `stat`.
unsafe fn shown(fd: c_int, result: c_int, stat: *mut libc::stat) -> c_int {
    if result == 0
        && let Some(inode) = inode(fd)
    {
        // SAFETY: the caller vouches.
        unsafe { (&raw mut (*stat).st_ino).write_unaligned(inode) };
    }
    result
}

/// Whether a call that takes a path is about the descriptor itself.
///
/// # Safety
/// `path` is NULL or a string.
unsafe fn is_itself(path: *const c_char, flags: c_int) -> bool {
    // SAFETY: the caller vouches.
    flags & libc::AT_EMPTY_PATH != 0 && (path.is_null() || unsafe { path.read() } == 0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstat(fd: c_int, stat: *mut libc::stat) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { shown(fd, originals::fstat(fd, stat.cast()), stat) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstat64(fd: c_int, stat: *mut libc::stat) -> c_int {
    // SAFETY: the caller's own arguments; on 64-bit machines the two structures are one.
    unsafe { fstat(fd, stat) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __fxstat(version: c_int, fd: c_int, stat: *mut libc::stat) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { shown(fd, originals::__fxstat(version, fd, stat.cast()), stat) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __fxstat64(version: c_int, fd: c_int, stat: *mut libc::stat) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { __fxstat(version, fd, stat) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstatat(
    dir: c_int,
    path: *const c_char,
    stat: *mut libc::stat,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe {
        match originals::fstatat(dir, path, stat.cast(), flags) {
            0 if is_itself(path, flags) => shown(dir, 0, stat),
            result => result,
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstatat64(
    dir: c_int,
    path: *const c_char,
    stat: *mut libc::stat,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { fstatat(dir, path, stat, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statx(
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    stat: *mut libc::statx,
) -> c_int {
    // SAFETY: the caller's own arguments; after 0 the structure is written.
    unsafe {
        let result = originals::statx(dir, path, flags, mask, stat.cast());
        if result == 0
            && is_itself(path, flags)
            && let Some(inode) = inode(dir)
        {
            (&raw mut (*stat).stx_ino).write_unaligned(inode);
        }
        result
    }
}
