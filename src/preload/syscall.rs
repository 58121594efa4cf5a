//! syscall(2): calls by number. Runtimes (libuv, Go's cgo parts, Rust programs) make the younger ones so, and mean the same sockets.
//!
//! Numbers that have a name among ours go to the same function; of the others those that give out a descriptor are told to the
//! table; the rest is the kernel's. The instruction itself, in a program's own code, nobody sees.

use libc::{c_int, c_long, c_uint, c_ulong, c_void};

use crate::capi::errno::{Errno, answer};
use crate::capi::*;
use crate::capi::{adopted, originals, user};
use crate::runtime::sys::SigSet;

/// Arguments as they lie in the registers; C's narrower types are the lower halves.
type Args = [c_long; 6];

// syscall is variadic in C: see fcntl in `sockets`. Of the seventh argument of this function the caller's stack has some value always.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    let args = [a, b, c, d, e, f];
    // SAFETY: the caller's own arguments, whose meaning the number says.
    unsafe {
        let known = on_sockets(number, args)
            .or_else(|| on_data(number, args))
            .or_else(|| on_descriptors(number, args))
            .or_else(|| on_waiting(number, args));
        known.unwrap_or_else(|| by_kernel(number, args))
    }
}

/// A pointer in a register.
fn at<T>(arg: c_long) -> *mut T {
    std::ptr::with_exposed_provenance_mut(arg as usize)
}

unsafe fn by_kernel(number: c_long, args: Args) -> c_long {
    // SAFETY: the caller's own arguments.
    let result = unsafe { originals::by_kernel(number, &args.map(|arg| arg as usize)) };
    if gives_out_a_number(number) {
        adopted(result as c_int);
    }
    result
}

/// Calls whose result is a descriptor of the kernel's.
fn gives_out_a_number(number: c_long) -> bool {
    #[cfg(target_arch = "x86_64")]
    if matches!(
        number,
        libc::SYS_open
            | libc::SYS_creat
            | libc::SYS_eventfd
            | libc::SYS_signalfd
            | libc::SYS_inotify_init
    ) {
        return true;
    }
    matches!(
        number,
        libc::SYS_openat
            | libc::SYS_openat2
            | libc::SYS_eventfd2
            | libc::SYS_signalfd4
            | libc::SYS_timerfd_create
            | libc::SYS_inotify_init1
            | libc::SYS_memfd_create
            | libc::SYS_pidfd_open
            | libc::SYS_pidfd_getfd
            | libc::SYS_perf_event_open
            | libc::SYS_userfaultfd
            | libc::SYS_mq_open
            | libc::SYS_bpf
    )
}

unsafe fn on_sockets(number: c_long, [a, b, c, d, e, _]: Args) -> Option<c_long> {
    let fd = a as c_int;
    // SAFETY: the caller's own arguments.
    let result = unsafe {
        match number {
            libc::SYS_socket => tunsock_socket(fd, b as c_int, c as c_int),
            libc::SYS_socketpair => super::files::socketpair(fd, b as c_int, c as c_int, at(d)),
            libc::SYS_bind => tunsock_bind(fd, at(b), c as u32),
            libc::SYS_listen => tunsock_listen(fd, b as c_int),
            libc::SYS_accept => tunsock_accept(fd, at(b), at(c)),
            libc::SYS_accept4 => tunsock_accept4(fd, at(b), at(c), d as c_int),
            libc::SYS_connect => tunsock_connect(fd, at(b), c as u32),
            libc::SYS_shutdown => tunsock_shutdown(fd, b as c_int),
            libc::SYS_getsockname => tunsock_getsockname(fd, at(b), at(c)),
            libc::SYS_getpeername => tunsock_getpeername(fd, at(b), at(c)),
            libc::SYS_getsockopt => tunsock_getsockopt(fd, b as c_int, c as c_int, at(d), at(e)),
            libc::SYS_setsockopt => tunsock_setsockopt(fd, b as c_int, c as c_int, at(d), e as u32),
            _ => return None,
        }
    };
    Some(c_long::from(result))
}

unsafe fn on_data(number: c_long, [a, b, c, d, e, f]: Args) -> Option<c_long> {
    let fd = a as c_int;
    // SAFETY: the caller's own arguments.
    let result = unsafe {
        match number {
            libc::SYS_read => tunsock_read(fd, at(b), c as usize),
            libc::SYS_write => tunsock_write(fd, at(b), c as usize),
            libc::SYS_readv => tunsock_readv(fd, at(b), c as c_int),
            libc::SYS_writev => tunsock_writev(fd, at(b), c as c_int),
            // Of the position's two halves the first has all of it on 64-bit machines.
            libc::SYS_preadv2 => tunsock_preadv2(fd, at(b), c as c_int, d, f as c_int),
            libc::SYS_pwritev2 => tunsock_pwritev2(fd, at(b), c as c_int, d, f as c_int),
            libc::SYS_sendto => tunsock_sendto(fd, at(b), c as usize, d as c_int, at(e), f as u32),
            libc::SYS_recvfrom => tunsock_recvfrom(fd, at(b), c as usize, d as c_int, at(e), at(f)),
            libc::SYS_sendmsg => tunsock_sendmsg(fd, at(b), c as c_int),
            libc::SYS_recvmsg => tunsock_recvmsg(fd, at(b), c as c_int),
            libc::SYS_sendmmsg => {
                tunsock_sendmmsg(fd, at(b), c as c_uint, d as c_int) as libc::ssize_t
            }
            libc::SYS_recvmmsg => {
                tunsock_recvmmsg(fd, at(b), c as c_uint, d as c_int, at(e)) as libc::ssize_t
            }
            libc::SYS_sendfile => tunsock_sendfile(fd, b as c_int, at(c), d as usize),
            libc::SYS_splice => {
                tunsock_splice(fd, at(b), c as c_int, at(d), e as usize, f as c_uint)
            }
            _ => return None,
        }
    };
    Some(result as c_long)
}

unsafe fn on_descriptors(number: c_long, [a, b, c, ..]: Args) -> Option<c_long> {
    let fd = a as c_int;
    // SAFETY: the caller's own arguments.
    let result = unsafe {
        match number {
            libc::SYS_close => tunsock_close(fd),
            libc::SYS_close_range => tunsock_close_range(a as c_uint, b as c_uint, c as c_int),
            libc::SYS_dup => tunsock_dup(fd),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_dup2 => tunsock_dup2(fd, b as c_int),
            libc::SYS_dup3 => tunsock_dup3(fd, b as c_int, c as c_int),
            libc::SYS_fcntl => tunsock_fcntl(fd, b as c_int, c),
            libc::SYS_ioctl => tunsock_ioctl(fd, c_ulong::from(b as c_uint), at::<c_void>(c)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_pipe => super::files::pipe(at(a)),
            libc::SYS_pipe2 => super::files::pipe2(at(a), b as c_int),
            libc::SYS_fstat => super::stat::fstat(fd, at(b)),
            libc::SYS_exit_group => super::process::_exit(fd),
            // A ring reads and writes sockets inside the kernel, which has none of ours. Programs that try it have another way.
            libc::SYS_io_uring_setup => fails(libc::ENOSYS),
            _ => return None,
        }
    };
    Some(c_long::from(result))
}

unsafe fn on_waiting(number: c_long, args: Args) -> Option<c_long> {
    let [a, b, c, d, e, f] = args;
    let fd = a as c_int;
    // SAFETY: the caller's own arguments.
    let result = unsafe {
        match number {
            #[cfg(target_arch = "x86_64")]
            libc::SYS_select => tunsock_select(fd, at(b), at(c), at(d), at(e)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll => tunsock_poll(at(a), b as c_ulong, c as c_int),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_create => tunsock_epoll_create(fd),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait => tunsock_epoll_wait(fd, at(b), c as c_int, d as c_int),
            libc::SYS_pselect6 => select_with_mask(args),
            libc::SYS_ppoll => {
                let time = TimeLeft::begin(at(c));
                match is_mask(d, e) {
                    true => time.end(tunsock_ppoll(at(a), b as c_ulong, at(c), at(d))),
                    false => fails(libc::EINVAL),
                }
            }
            libc::SYS_epoll_create1 => tunsock_epoll_create1(fd),
            libc::SYS_epoll_ctl => tunsock_epoll_ctl(fd, b as c_int, c as c_int, at(d)),
            libc::SYS_epoll_pwait if is_mask(e, f) => {
                tunsock_epoll_pwait(fd, at(b), c as c_int, d as c_int, at(e))
            }
            libc::SYS_epoll_pwait2 if is_mask(e, f) => {
                tunsock_epoll_pwait2(fd, at(b), c as c_int, at(d), at(e))
            }
            libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => fails(libc::EINVAL),
            _ => return None,
        }
    };
    Some(c_long::from(result))
}

/// set_user_sigmask: a mask comes with its size.
fn is_mask(mask: c_long, size: c_long) -> bool {
    mask == 0 || size as usize == size_of::<SigSet>()
}

/// pselect6(2): the mask and its size stand in memory; the time left is stored back.
unsafe fn select_with_mask([a, b, c, d, e, f]: Args) -> c_int {
    let mut mask = [0; 2];
    let time = TimeLeft::begin(at(e));
    // SAFETY: the caller's own arguments.
    unsafe {
        if f != 0 {
            match user::read::<[c_long; 2]>(at(f)) {
                Ok(given) => mask = given,
                Err(errno) => return fails(errno.0),
            }
        }
        if !is_mask(mask[0], mask[1]) {
            return fails(libc::EINVAL);
        }
        time.end(tunsock_pselect(
            a as c_int,
            at(b),
            at(c),
            at(d),
            at(e),
            at(mask[0]),
        ))
    }
}

/// The system calls ppoll and pselect6 store what is left of their time, which libc's functions hide (poll_select_finish).
struct TimeLeft {
    place: *mut libc::timespec,
    given: Option<std::time::Duration>,
    began: std::time::Instant,
}

impl TimeLeft {
    fn begin(place: *mut libc::timespec) -> TimeLeft {
        let given = if place.is_null() {
            None
        } else {
            // SAFETY: any bytes are a timespec. What is wrong with it the call itself says.
            unsafe { user::read(place) }.ok().and_then(|time| {
                let seconds = u64::try_from(time.tv_sec).ok()?;
                let nanos = u32::try_from(time.tv_nsec)
                    .ok()
                    .filter(|n| *n < 1_000_000_000)?;
                Some(std::time::Duration::new(seconds, nanos))
            })
        };
        TimeLeft {
            place,
            given,
            began: std::time::Instant::now(),
        }
    }

    fn end(self, result: c_int) -> c_int {
        if let Some(given) = self.given {
            let left = given.saturating_sub(self.began.elapsed());
            let left = libc::timespec {
                tv_sec: left.as_secs() as libc::time_t,
                tv_nsec: left.subsec_nanos().into(),
            };
            // A place that can't be written is left alone, as the kernel leaves it.
            let _ = user::write(self.place, left);
        }
        result
    }
}

/// -1 with this errno.
fn fails(errno: c_int) -> c_int {
    answer(|| Err(Errno(errno)))
}
