//! The names that `_FORTIFY_SOURCE` puts in place of the plain ones: they also get the room's size as the compiler knows it.

use libc::{c_int, c_void, size_t, ssize_t};

use crate::capi::types::*;
use crate::capi::*;

unsafe extern "C" {
    /// libc's end of a program whose buffer would overflow.
    fn __chk_fail() -> !;
}

/// Ends the program when it asks for more than its buffer holds, as libc does.
fn check(asked: size_t, room: size_t) {
    if asked > room {
        // SAFETY: does not return and asks for nothing.
        unsafe { __chk_fail() }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __read_chk(
    fd: c_int,
    data: *mut c_void,
    len: size_t,
    room: size_t,
) -> ssize_t {
    check(len, room);
    // SAFETY: the caller's own arguments.
    unsafe { tunsock_read(fd, data, len) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __recv_chk(
    fd: c_int,
    data: *mut c_void,
    len: size_t,
    room: size_t,
    flags: c_int,
) -> ssize_t {
    check(len, room);
    // SAFETY: the caller's own arguments.
    unsafe { tunsock_recv(fd, data, len, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __recvfrom_chk(
    fd: c_int,
    data: *mut c_void,
    len: size_t,
    room: size_t,
    flags: c_int,
    addr: *mut tunsock_sockaddr,
    addr_len: *mut tunsock_socklen_t,
) -> ssize_t {
    check(len, room);
    // SAFETY: the caller's own arguments.
    unsafe { tunsock_recvfrom(fd, data, len, flags, addr, addr_len) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __poll_chk(
    fds: *mut tunsock_pollfd,
    count: tunsock_nfds_t,
    timeout: c_int,
    room: size_t,
) -> c_int {
    check(count as size_t, room / size_of::<tunsock_pollfd>());
    // SAFETY: the caller's own arguments.
    unsafe { tunsock_poll(fds, count, timeout) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __ppoll_chk(
    fds: *mut tunsock_pollfd,
    count: tunsock_nfds_t,
    timeout: *const tunsock_timespec,
    mask: *const tunsock_sigset_t,
    room: size_t,
) -> c_int {
    check(count as size_t, room / size_of::<tunsock_pollfd>());
    // SAFETY: the caller's own arguments.
    unsafe { tunsock_ppoll(fds, count, timeout, mask) }
}
