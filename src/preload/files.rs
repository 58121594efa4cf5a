//! Calls that give out or take back a number without being ours: whatever stood at the number before is over.
//!
//! libc closes numbers where nobody sees it (`fclose`, `posix_spawn`, the resolver). When the kernel then gives the number out
//! again, an entry of ours at it would be stale; these hooks drop it.

use libc::{c_char, c_int, c_uint, c_void, mode_t};

use crate::capi::{adopted, forget, originals};

/// Passes a call on and drops what stood at the number it returns.
macro_rules! fresh {
    ($( $name:ident($($arg:ident: $type:ty),* $(,)?) = $target:path; )*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> c_int {
            // SAFETY: the caller's own arguments.
            adopted(unsafe { $target($($arg),*) })
        }
    )* };
}

fresh! {
    // open and openat are variadic in C: see fcntl in `sockets`. The mode is looked at only when the flags ask for it.
    open(path: *const c_char, flags: c_int, mode: mode_t) = originals::open;
    __open(path: *const c_char, flags: c_int, mode: mode_t) = originals::open;
    open64(path: *const c_char, flags: c_int, mode: mode_t) = originals::open64;
    __open64(path: *const c_char, flags: c_int, mode: mode_t) = originals::open64;
    openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) = originals::openat;
    openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) = originals::openat64;
    // What _FORTIFY_SOURCE makes of an open without a mode.
    __open_2(path: *const c_char, flags: c_int) = open_without_mode;
    __open64_2(path: *const c_char, flags: c_int) = open_without_mode;
    __openat_2(dir: c_int, path: *const c_char, flags: c_int) = openat_without_mode;
    __openat64_2(dir: c_int, path: *const c_char, flags: c_int) = openat_without_mode;
    creat(path: *const c_char, mode: mode_t) = originals::creat;
    creat64(path: *const c_char, mode: mode_t) = originals::creat64;
    eventfd(initial: c_uint, flags: c_int) = originals::eventfd;
    timerfd_create(clock: c_int, flags: c_int) = originals::timerfd_create;
    inotify_init1(flags: c_int) = originals::inotify_init1;
    memfd_create(name: *const c_char, flags: c_uint) = originals::memfd_create;
}

/// Ends the program when the flags ask for a mode that is not there, as libc does.
fn check_flags(flags: c_int) {
    if flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE {
        // SAFETY: does not return and asks for nothing.
        unsafe { __chk_fail() }
    }
}

unsafe extern "C" {
    fn __chk_fail() -> !;
}

unsafe fn open_without_mode(path: *const c_char, flags: c_int) -> c_int {
    check_flags(flags);
    // SAFETY: the caller's own arguments. The two opens differ in nothing on 64-bit machines.
    unsafe { originals::open64(path, flags, 0) }
}

unsafe fn openat_without_mode(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    check_flags(flags);
    // SAFETY: as above.
    unsafe { originals::openat64(dir, path, flags, 0) }
}

/// signalfd with a descriptor of its own only gives that one's mask anew.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signalfd(fd: c_int, mask: *const c_void, flags: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    let result = unsafe { originals::signalfd(fd, mask, flags) };
    if fd == -1 { adopted(result) } else { result }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipe(fds: *mut c_int) -> c_int {
    // SAFETY: the caller's own argument.
    unsafe { adopt_two(originals::pipe(fds), fds) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __pipe(fds: *mut c_int) -> c_int {
    // SAFETY: the caller's own argument.
    unsafe { pipe(fds) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipe2(fds: *mut c_int, flags: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { adopt_two(originals::pipe2(fds, flags), fds) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn socketpair(
    domain: c_int,
    kind: c_int,
    protocol: c_int,
    fds: *mut c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { adopt_two(originals::socketpair(domain, kind, protocol, fds), fds) }
}

/// # Safety
/// When `result` is 0 there are two numbers at `fds`.
unsafe fn adopt_two(result: c_int, fds: *mut c_int) -> c_int {
    if result == 0 {
        // SAFETY: the caller vouches.
        unsafe {
            forget(fds.read_unaligned());
            forget(fds.add(1).read_unaligned());
        }
    }
    result
}
