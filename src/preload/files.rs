//! Calls that give out or take back a number without being ours: whatever stood at the number before is over.
//!
//! libc closes numbers where nobody sees it (`fclose`, `posix_spawn`, the resolver). When the kernel then gives the number out
//! again, an entry of ours at it would be stale; these hooks drop it.

use libc::{c_char, c_int, c_uint, c_void, mode_t};

use crate::capi::{adopted, originals};
use crate::fd;

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
    creat(path: *const c_char, mode: mode_t) = originals::creat;
    creat64(path: *const c_char, mode: mode_t) = originals::creat64;
    eventfd(initial: c_uint, flags: c_int) = originals::eventfd;
    timerfd_create(clock: c_int, flags: c_int) = originals::timerfd_create;
    inotify_init1(flags: c_int) = originals::inotify_init1;
    memfd_create(name: *const c_char, flags: c_uint) = originals::memfd_create;
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
            fd::forget(fds.read_unaligned());
            fd::forget(fds.add(1).read_unaligned());
        }
    }
    result
}

/// stdio closes the number itself; the socket behind it ends here, as its last descriptor is about to go.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fclose(file: *mut c_void) -> c_int {
    // SAFETY: the caller's FILE; fileno only reads its number, -1 when it has none.
    unsafe {
        let before = *libc::__errno_location();
        let fd = if file.is_null() {
            -1
        } else {
            libc::fileno(file.cast())
        };
        if fd >= 0 {
            fd::forget(fd);
        }
        *libc::__errno_location() = before;
        originals::fclose(file)
    }
}
