//! libc's own functions of the names that we export, and the kernel behind them.
//!
//! The dynamic linker hands our `read` to everybody in the process, ourselves included. What is not ours is passed on to the next
//! `read` in the search order, found once before `main` ([`resolve`]); until then, and in a statically linked program where there is
//! no next one, the system call is made directly. Nothing here ever calls a name that we export.
#![allow(clippy::too_many_arguments)] // as many as the C functions have

use std::sync::atomic::{AtomicPtr, Ordering};

use crate::runtime::sys;

use libc::{
    c_char, c_int, c_long, c_uint, c_ulong, c_void, mode_t, off_t, size_t, socklen_t, ssize_t,
};

macro_rules! originals {
    ($( fn $name:ident($($arg:ident: $type:ty),*) -> $ret:ty $fallback:block )*) => {
        mod slot {
            $( #[allow(non_upper_case_globals)]
            pub(super) static $name: super::AtomicPtr<libc::c_void> = super::AtomicPtr::new(std::ptr::null_mut()); )*
        }

        $( #[doc = concat!("libc's `", stringify!($name), "`.\n\n# Safety\nAs the C function of this name.")]
        #[inline]
        pub(crate) unsafe fn $name($($arg: $type),*) -> $ret {
            let next = slot::$name.load(Ordering::Relaxed);
            if next.is_null() {
                // SAFETY: the caller keeps the C function's contract.
                unsafe {
                    $fallback
                }
            } else {
                // SAFETY: `resolve` stored the address of the libc function of this name, whose C prototype this is.
                unsafe {
                    std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) -> $ret>(next)($($arg),*)
                }
            }
        } )*

        /// Finds every function once. Called before `main`, when no other thread is there.
        pub(crate) fn resolve() {
            $( store(&slot::$name, concat!(stringify!($name), "\0")); )*
            store(&VFORK, "vfork\0");
        }
    };
}

fn store(slot: &AtomicPtr<c_void>, name: &str) {
    // SAFETY: `name` ends with a NUL byte; dlsym only reads it.
    let next = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr().cast::<c_char>()) };
    slot.store(next, Ordering::Relaxed);
}

/// libc's vfork, to jump to; without one libc's fork, which does all that vfork promises.
pub(crate) fn address_of_vfork() -> *const c_void {
    let next = VFORK.load(Ordering::Relaxed);
    if next.is_null() {
        libc::fork as *const c_void
    } else {
        next
    }
}

static VFORK: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// The kernel's answer with errno set. libc's `syscall` is among the names that we export.
macro_rules! kernel {
    ($number:ident $(, $arg:expr)*) => { by_kernel(libc::$number, &[$($arg as usize),*]) as _ };
}

/// libc's `syscall` under another name.
///
/// # Safety
/// As the system call of this number demands of its arguments, at most six.
pub(crate) unsafe fn by_kernel(number: c_long, args: &[usize]) -> c_long {
    let mut all = [0; 6];
    for (place, arg) in all.iter_mut().zip(args) {
        *place = *arg;
    }
    // SAFETY: the caller vouches.
    match unsafe { sys::syscall(number, all) } {
        Ok(value) => value as c_long,
        Err(errno) => {
            super::errno::set(errno.raw_os_error());
            -1
        }
    }
}

/// What the kernel's signal masks measure, bytes.
const SIGSET: size_t = 8;

originals! {
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int { kernel!(SYS_socket, domain, kind, protocol) }
    fn bind(fd: c_int, addr: *const c_void, len: socklen_t) -> c_int { kernel!(SYS_bind, fd, addr, len) }
    fn listen(fd: c_int, backlog: c_int) -> c_int { kernel!(SYS_listen, fd, backlog) }
    fn accept(fd: c_int, addr: *mut c_void, len: *mut socklen_t) -> c_int { kernel!(SYS_accept, fd, addr, len) }
    fn accept4(fd: c_int, addr: *mut c_void, len: *mut socklen_t, flags: c_int) -> c_int { kernel!(SYS_accept4, fd, addr, len, flags) }
    fn connect(fd: c_int, addr: *const c_void, len: socklen_t) -> c_int { kernel!(SYS_connect, fd, addr, len) }
    fn shutdown(fd: c_int, how: c_int) -> c_int { kernel!(SYS_shutdown, fd, how) }
    fn getsockname(fd: c_int, addr: *mut c_void, len: *mut socklen_t) -> c_int { kernel!(SYS_getsockname, fd, addr, len) }
    fn getpeername(fd: c_int, addr: *mut c_void, len: *mut socklen_t) -> c_int { kernel!(SYS_getpeername, fd, addr, len) }
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut socklen_t) -> c_int { kernel!(SYS_getsockopt, fd, level, name, value, len) }
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: socklen_t) -> c_int { kernel!(SYS_setsockopt, fd, level, name, value, len) }
    fn socketpair(domain: c_int, kind: c_int, protocol: c_int, fds: *mut c_int) -> c_int { kernel!(SYS_socketpair, domain, kind, protocol, fds) }

    fn send(fd: c_int, data: *const c_void, len: size_t, flags: c_int) -> ssize_t { kernel!(SYS_sendto, fd, data, len, flags, 0usize, 0usize) }
    fn sendto(fd: c_int, data: *const c_void, len: size_t, flags: c_int, addr: *const c_void, addr_len: socklen_t) -> ssize_t { kernel!(SYS_sendto, fd, data, len, flags, addr, addr_len) }
    fn sendmsg(fd: c_int, message: *const c_void, flags: c_int) -> ssize_t { kernel!(SYS_sendmsg, fd, message, flags) }
    fn sendmmsg(fd: c_int, messages: *mut c_void, count: c_uint, flags: c_int) -> c_int { kernel!(SYS_sendmmsg, fd, messages, count, flags) }
    fn recv(fd: c_int, data: *mut c_void, len: size_t, flags: c_int) -> ssize_t { kernel!(SYS_recvfrom, fd, data, len, flags, 0usize, 0usize) }
    fn recvfrom(fd: c_int, data: *mut c_void, len: size_t, flags: c_int, addr: *mut c_void, addr_len: *mut socklen_t) -> ssize_t { kernel!(SYS_recvfrom, fd, data, len, flags, addr, addr_len) }
    fn recvmsg(fd: c_int, message: *mut c_void, flags: c_int) -> ssize_t { kernel!(SYS_recvmsg, fd, message, flags) }
    fn recvmmsg(fd: c_int, messages: *mut c_void, count: c_uint, flags: c_int, timeout: *mut c_void) -> c_int { kernel!(SYS_recvmmsg, fd, messages, count, flags, timeout) }
    fn read(fd: c_int, data: *mut c_void, len: size_t) -> ssize_t { kernel!(SYS_read, fd, data, len) }
    fn write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t { kernel!(SYS_write, fd, data, len) }
    fn readv(fd: c_int, pieces: *const c_void, count: c_int) -> ssize_t { kernel!(SYS_readv, fd, pieces, count) }
    fn writev(fd: c_int, pieces: *const c_void, count: c_int) -> ssize_t { kernel!(SYS_writev, fd, pieces, count) }
    fn pread64(fd: c_int, data: *mut c_void, len: size_t, at: off_t) -> ssize_t { kernel!(SYS_pread64, fd, data, len, at) }
    fn sendfile(to: c_int, from: c_int, at: *mut off_t, len: size_t) -> ssize_t { kernel!(SYS_sendfile, to, from, at, len) }

    fn preadv2(fd: c_int, pieces: *const c_void, count: c_int, at: off_t, flags: c_int) -> ssize_t { kernel!(SYS_preadv2, fd, pieces, count, at, 0, flags) }
    fn pwritev2(fd: c_int, pieces: *const c_void, count: c_int, at: off_t, flags: c_int) -> ssize_t { kernel!(SYS_pwritev2, fd, pieces, count, at, 0, flags) }
    fn splice(from: c_int, from_at: *mut off_t, to: c_int, to_at: *mut off_t, len: size_t, flags: c_uint) -> ssize_t { kernel!(SYS_splice, from, from_at, to, to_at, len, flags) }

    fn close(fd: c_int) -> c_int { kernel!(SYS_close, fd) }
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int { kernel!(SYS_close_range, first, last, flags) }
    fn dup(fd: c_int) -> c_int { kernel!(SYS_dup, fd) }
    fn dup2(old: c_int, new: c_int) -> c_int { dup2_by_kernel(old, new) }
    fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int { kernel!(SYS_dup3, old, new, flags) }
    fn fcntl(fd: c_int, command: c_int, arg: c_long) -> c_int { kernel!(SYS_fcntl, fd, command, arg) }
    fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int { kernel!(SYS_ioctl, fd, request, arg) }
    fn fstat(fd: c_int, stat: *mut c_void) -> c_int { kernel!(SYS_fstat, fd, stat) }
    fn __fxstat(version: c_int, fd: c_int, stat: *mut c_void) -> c_int { let _ = version; kernel!(SYS_fstat, fd, stat) }
    fn fstatat(dir: c_int, path: *const c_char, stat: *mut c_void, flags: c_int) -> c_int { kernel!(SYS_newfstatat, dir, path, stat, flags) }
    fn statx(dir: c_int, path: *const c_char, flags: c_int, mask: c_uint, stat: *mut c_void) -> c_int { kernel!(SYS_statx, dir, path, flags, mask, stat) }
    fn fclose(file: *mut c_void) -> c_int { if found_now(&slot::fclose, "fclose\0") { fclose(file) } else { -1 } }
    fn fdopen(fd: c_int, mode: *const c_char) -> *mut c_void { if found_now(&slot::fdopen, "fdopen\0") { fdopen(fd, mode) } else { std::ptr::null_mut() } }
    fn posix_spawn_file_actions_adddup2(actions: *mut c_void, old: c_int, new: c_int) -> c_int { if found_now(&slot::posix_spawn_file_actions_adddup2, "posix_spawn_file_actions_adddup2\0") { posix_spawn_file_actions_adddup2(actions, old, new) } else { libc::ENOSYS } }
    fn vdprintf(fd: c_int, format: *const c_char, arguments: *mut c_void) -> c_int { if found_now(&slot::vdprintf, "vdprintf\0") { vdprintf(fd, format, arguments) } else { -1 } }
    fn __vdprintf_chk(fd: c_int, flag: c_int, format: *const c_char, arguments: *mut c_void) -> c_int { if found_now(&slot::__vdprintf_chk, "__vdprintf_chk\0") { __vdprintf_chk(fd, flag, format, arguments) } else { -1 } }
    fn fileno(file: *mut c_void) -> c_int { if found_now(&slot::fileno, "fileno\0") { fileno(file) } else { -1 } }
    fn fileno_unlocked(file: *mut c_void) -> c_int { if found_now(&slot::fileno_unlocked, "fileno_unlocked\0") { fileno_unlocked(file) } else { -1 } }

    fn sigaction(signal: c_int, new: *const c_void, old: *mut c_void) -> c_int { if found_now(&slot::sigaction, "sigaction\0") { sigaction(signal, new, old) } else { -1 } }

    fn select(nfds: c_int, readfds: *mut c_void, writefds: *mut c_void, exceptfds: *mut c_void, timeout: *mut c_void) -> c_int { select_by_kernel(nfds, readfds, writefds, exceptfds, timeout) }
    fn pselect(nfds: c_int, readfds: *mut c_void, writefds: *mut c_void, exceptfds: *mut c_void, timeout: *const c_void, mask: *const c_void) -> c_int { pselect_by_kernel(nfds, readfds, writefds, exceptfds, timeout, mask) }
    fn poll(fds: *mut c_void, count: c_ulong, timeout: c_int) -> c_int { poll_by_kernel(fds, count, timeout) }
    fn ppoll(fds: *mut c_void, count: c_ulong, timeout: *const c_void, mask: *const c_void) -> c_int { ppoll_by_kernel(fds, count, timeout, mask) }
    fn epoll_ctl(epfd: c_int, op: c_int, fd: c_int, event: *mut c_void) -> c_int { kernel!(SYS_epoll_ctl, epfd, op, fd, event) }
    fn epoll_wait(epfd: c_int, events: *mut c_void, count: c_int, timeout: c_int) -> c_int { kernel!(SYS_epoll_pwait, epfd, events, count, timeout, 0usize, SIGSET) }
    fn epoll_pwait(epfd: c_int, events: *mut c_void, count: c_int, timeout: c_int, mask: *const c_void) -> c_int { kernel!(SYS_epoll_pwait, epfd, events, count, timeout, mask, SIGSET) }
    fn epoll_pwait2(epfd: c_int, events: *mut c_void, count: c_int, timeout: *const c_void, mask: *const c_void) -> c_int { kernel!(SYS_epoll_pwait2, epfd, events, count, timeout, mask, SIGSET) }

    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int { kernel!(SYS_openat, libc::AT_FDCWD, path, flags, mode) }
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int { kernel!(SYS_openat, libc::AT_FDCWD, path, flags, mode) }
    fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int { kernel!(SYS_openat, dir, path, flags, mode) }
    fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int { kernel!(SYS_openat, dir, path, flags, mode) }
    fn creat(path: *const c_char, mode: mode_t) -> c_int { kernel!(SYS_openat, libc::AT_FDCWD, path, CREAT, mode) }
    fn creat64(path: *const c_char, mode: mode_t) -> c_int { kernel!(SYS_openat, libc::AT_FDCWD, path, CREAT, mode) }
    fn pipe(fds: *mut c_int) -> c_int { kernel!(SYS_pipe2, fds, 0) }
    fn pipe2(fds: *mut c_int, flags: c_int) -> c_int { kernel!(SYS_pipe2, fds, flags) }
    fn eventfd(initial: c_uint, flags: c_int) -> c_int { kernel!(SYS_eventfd2, initial, flags) }
    fn signalfd(fd: c_int, mask: *const c_void, flags: c_int) -> c_int { kernel!(SYS_signalfd4, fd, mask, SIGSET, flags) }
    fn timerfd_create(clock: c_int, flags: c_int) -> c_int { kernel!(SYS_timerfd_create, clock, flags) }
    fn inotify_init1(flags: c_int) -> c_int { kernel!(SYS_inotify_init1, flags) }
    fn memfd_create(name: *const c_char, flags: c_uint) -> c_int { kernel!(SYS_memfd_create, name, flags) }

    fn getnameinfo(addr: *const c_void, len: socklen_t, host: *mut c_char, host_len: socklen_t, service: *mut c_char, service_len: socklen_t, flags: c_int) -> c_int { if found_now(&slot::getnameinfo, "getnameinfo\0") { getnameinfo(addr, len, host, host_len, service, service_len, flags) } else { libc::EAI_FAMILY } }
}

/// creat(2)'s flags.
const CREAT: c_int = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;

/// Looks a function up that no system call can stand in for, when an initialiser that runs before ours calls it (libselinux closes
/// a stream in its own).
fn found_now(slot: &AtomicPtr<c_void>, name: &str) -> bool {
    store(slot, name);
    !slot.load(Ordering::Relaxed).is_null()
}

/// dup2 with system calls that every architecture has: dup3 refuses equal numbers.
unsafe fn dup2_by_kernel(old: c_int, new: c_int) -> c_int {
    // SAFETY: plain numbers.
    unsafe {
        if old != new {
            return kernel!(SYS_dup3, old, new, 0);
        }
        let flags: c_int = kernel!(SYS_fcntl, old, libc::F_GETFD);
        if flags < 0 { -1 } else { new }
    }
}

/// The mask argument of pselect6(2): a pointer to its address and size.
#[repr(C)]
struct MaskArg(*const c_void, size_t);

unsafe fn pselect_by_kernel(
    nfds: c_int,
    readfds: *mut c_void,
    writefds: *mut c_void,
    exceptfds: *mut c_void,
    timeout: *const c_void,
    mask: *const c_void,
) -> c_int {
    let arg = MaskArg(mask, SIGSET);
    // SAFETY: the kernel rewrites the time; C's pselect doesn't, so it gets a copy. Pointers are the kernel's to check.
    unsafe {
        let mut time = if timeout.is_null() {
            None
        } else {
            Some(timeout.cast::<libc::timespec>().read_unaligned())
        };
        let time = time
            .as_mut()
            .map_or(std::ptr::null_mut(), |time| &raw mut *time);
        kernel!(
            SYS_pselect6,
            nfds,
            readfds,
            writefds,
            exceptfds,
            time,
            &raw const arg
        )
    }
}

unsafe fn select_by_kernel(
    nfds: c_int,
    readfds: *mut c_void,
    writefds: *mut c_void,
    exceptfds: *mut c_void,
    timeout: *mut c_void,
) -> c_int {
    // SAFETY: as above; select takes microseconds and rewrites them with what is left.
    unsafe {
        if timeout.is_null() {
            return kernel!(
                SYS_pselect6,
                nfds,
                readfds,
                writefds,
                exceptfds,
                0usize,
                0usize
            );
        }
        let value = timeout.cast::<libc::timeval>();
        let given = value.read_unaligned();
        let mut time = libc::timespec {
            tv_sec: given.tv_sec,
            tv_nsec: given.tv_usec.saturating_mul(1000),
        };
        let result = kernel!(
            SYS_pselect6,
            nfds,
            readfds,
            writefds,
            exceptfds,
            &raw mut time,
            0usize
        );
        value.write_unaligned(libc::timeval {
            tv_sec: time.tv_sec,
            tv_usec: time.tv_nsec / 1000,
        });
        result
    }
}

unsafe fn poll_by_kernel(fds: *mut c_void, count: c_ulong, timeout: c_int) -> c_int {
    let time = libc::timespec {
        tv_sec: libc::time_t::from(timeout / 1000),
        tv_nsec: c_long::from(timeout % 1000) * 1_000_000,
    };
    let time = if timeout < 0 {
        std::ptr::null()
    } else {
        &raw const time
    };
    // SAFETY: the kernel checks the pointers.
    unsafe { ppoll_by_kernel(fds, count, time.cast(), std::ptr::null()) }
}

unsafe fn ppoll_by_kernel(
    fds: *mut c_void,
    count: c_ulong,
    timeout: *const c_void,
    mask: *const c_void,
) -> c_int {
    // SAFETY: as in `pselect_by_kernel`.
    unsafe {
        let mut time = if timeout.is_null() {
            None
        } else {
            Some(timeout.cast::<libc::timespec>().read_unaligned())
        };
        let time = time
            .as_mut()
            .map_or(std::ptr::null_mut(), |time| &raw mut *time);
        kernel!(SYS_ppoll, fds, count, time, mask, SIGSET)
    }
}
