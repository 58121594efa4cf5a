//! System calls that need a signal mask, a raw number or no errno. None of them passes through a name that this library exports.

use std::mem::MaybeUninit;
use std::ptr;

use libc::{c_int, c_long};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
pub(crate) use tunsock_link::syscall;
use tunsock_stack::Instant;

/// The kernel's sigset_t: 64 signals.
pub(crate) type SigSet = u64;

/// Outcome of a system call.
pub(crate) type SysResult<T> = Result<T, Errno>;

/// Now, on CLOCK_MONOTONIC.
pub(crate) fn now() -> Instant {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // Since the machine's start: never negative, and far from what a word holds.
    let (seconds, micros) = (t.tv_sec as u64, t.tv_nsec as u64 / 1000);
    Instant::from_micros(seconds.wrapping_mul(1_000_000).wrapping_add(micros))
}

/// The CPU that the calling thread runs on.
pub(crate) fn this_cpu() -> u32 {
    rustix::thread::sched_getcpu() as u32
}

/// Whether the calling thread is of a class whose threads share the CPU by turns (sched(7)): of no real-time class.
pub(crate) fn shares_the_cpu() -> bool {
    // SAFETY: the call has no pointers.
    let class = unsafe { syscall(libc::SYS_sched_getscheduler, [0; 6]) };
    let shares = |class| {
        [libc::SCHED_OTHER, libc::SCHED_BATCH, libc::SCHED_IDLE]
            .iter()
            .any(|&one| class == one as usize)
    };
    // With the flag that a child is to begin in the usual class.
    class.is_ok_and(|class| shares(class & !(libc::SCHED_RESET_ON_FORK as usize)))
}

/// sched_yield(2). A filter that refuses it makes it nothing.
pub(crate) fn yield_cpu() {
    // SAFETY: no memory is passed.
    let _ = unsafe { syscall(libc::SYS_sched_yield, [0; 6]) };
}

/// The CPUs that this process may use now, at least one.
pub(crate) fn cpus() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count().max(1) as usize)
}

/// ppoll(2). `timeout` in microseconds, `None`: for ever. `mask`: signals blocked during the wait, `None`: as they are.
pub(crate) fn ppoll(
    fds: &mut [libc::pollfd],
    timeout: Option<u64>,
    mask: Option<&SigSet>,
) -> SysResult<usize> {
    let mut spec = to_timespec(timeout.unwrap_or(0));
    let spec_ptr = timeout.map_or(0, |_| &raw mut spec as usize);
    // SAFETY: the slice, the timespec and the mask outlive the call; the lengths are theirs.
    unsafe {
        syscall(
            libc::SYS_ppoll,
            [
                fds.as_mut_ptr() as usize,
                fds.len(),
                spec_ptr,
                mask.map_or(0, |m| ptr::from_ref(m) as usize),
                size_of::<SigSet>(),
                0,
            ],
        )
    }
}

/// Runs a call that sleeps as a cancellation point (pthreads(7)): pthread_cancel may end the thread in it, as by siglongjmp. No lock is held.
pub(crate) fn cancellable<T>(sleep: impl FnOnce() -> T) -> T {
    const ASYNCHRONOUS: c_int = 1;
    let mut before: c_int = 0;
    // SAFETY: plain numbers. A cancellation runs over frames that have nothing to destroy but what `Waker::abandon` gives back.
    unsafe { pthread_setcanceltype(ASYNCHRONOUS, &raw mut before) };
    let outcome = sleep();
    // SAFETY: as above; the type that was there.
    unsafe { pthread_setcanceltype(before, &raw mut before) };
    outcome
}

/// A cancellation that is pending happens now, if it is enabled (pthread_testcancel(3)).
#[inline]
pub(crate) fn cancellation_point() {
    // SAFETY: called by entry points first of all, when there is nothing to destroy.
    unsafe { pthread_testcancel() };
}

unsafe extern "C" {
    fn pthread_setcanceltype(kind: c_int, before: *mut c_int) -> c_int;
    fn pthread_testcancel();
}

/// epoll_pwait(2) with a timeout in milliseconds, -1: for ever.
pub(crate) fn epoll_pwait(
    epfd: c_int,
    events: &mut [MaybeUninit<libc::epoll_event>],
    timeout_ms: c_int,
    mask: Option<&SigSet>,
) -> SysResult<usize> {
    // SAFETY: the slice and the mask outlive the call; the lengths are theirs.
    unsafe {
        syscall(
            libc::SYS_epoll_pwait,
            [
                epfd as usize,
                events.as_mut_ptr() as usize,
                events.len().min(EPOLL_MAX),
                timeout_ms as usize,
                mask.map_or(0, |m| ptr::from_ref(m) as usize),
                size_of::<SigSet>(),
            ],
        )
    }
}

/// epoll_ctl(2).
pub(crate) fn epoll_ctl(
    epfd: c_int,
    op: c_int,
    fd: c_int,
    event: Option<&mut libc::epoll_event>,
) -> SysResult<()> {
    // SAFETY: the event outlives the call.
    unsafe {
        syscall(
            libc::SYS_epoll_ctl,
            [
                epfd as usize,
                op as usize,
                fd as usize,
                event.map_or(0, |e| ptr::from_mut(e) as usize),
                0,
                0,
            ],
        )
    }
    .map(drop)
}

/// epoll_create1(2).
pub(crate) fn epoll_create(flags: c_int) -> SysResult<c_int> {
    // SAFETY: no memory is passed.
    unsafe { syscall(libc::SYS_epoll_create1, [flags as usize, 0, 0, 0, 0, 0]) }.map(to_fd)
}

/// fcntl(2) with an integer argument.
pub(crate) fn fcntl(fd: c_int, command: c_int, argument: c_int) -> SysResult<c_int> {
    // SAFETY: only commands with an integer argument are used.
    unsafe {
        syscall(
            libc::SYS_fcntl,
            [fd as usize, command as usize, argument as usize, 0, 0, 0],
        )
    }
    .map(to_fd)
}

/// dup3(2).
pub(crate) fn dup3(old: c_int, new: c_int, flags: c_int) -> SysResult<c_int> {
    // SAFETY: no memory is passed.
    unsafe {
        syscall(
            libc::SYS_dup3,
            [old as usize, new as usize, flags as usize, 0, 0, 0],
        )
    }
    .map(to_fd)
}

/// close(2).
pub(crate) fn close(fd: c_int) -> SysResult<()> {
    // SAFETY: no memory is passed; the caller owns the number.
    unsafe { syscall(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// A new eventfd, non-blocking and close-on-exec, at a high number.
pub(crate) fn eventfd() -> SysResult<c_int> {
    // SAFETY: no memory is passed.
    make_high(|| unsafe {
        syscall(
            libc::SYS_eventfd2,
            [
                0,
                (libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) as usize,
                0,
                0,
                0,
                0,
            ],
        )
        .map(to_fd)
    })
}

/// A new AF_UNIX stream socket, close-on-exec, at a high number.
pub(crate) fn unix_socket() -> SysResult<c_int> {
    let (domain, kind) = (libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC);
    // SAFETY: no memory is passed.
    make_high(|| unsafe {
        syscall(
            libc::SYS_socket,
            [domain as usize, kind as usize, 0, 0, 0, 0],
        )
        .map(to_fd)
    })
}

/// A new timerfd on CLOCK_MONOTONIC, non-blocking and close-on-exec, at a high number.
pub(crate) fn timerfd() -> SysResult<c_int> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: no memory is passed.
    make_high(|| unsafe {
        syscall(
            libc::SYS_timerfd_create,
            [libc::CLOCK_MONOTONIC as usize, flags as usize, 0, 0, 0, 0],
        )
        .map(to_fd)
    })
}

/// Sets a timerfd to become readable once at `when`; `None`: never, and not now either. EBADF, EINVAL; and what a seccomp filter says.
pub(crate) fn timerfd_set(fd: c_int, when: Option<Instant>) -> SysResult<()> {
    // A time of zero disarms; one in the past fires at once.
    let micros = when.map_or(0, |t| t.as_micros().max(1));
    let zero = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let spec = libc::itimerspec {
        it_interval: zero,
        it_value: to_timespec(micros),
    };
    // SAFETY: the struct outlives the call.
    unsafe {
        syscall(
            libc::SYS_timerfd_settime,
            [
                fd as usize,
                libc::TFD_TIMER_ABSTIME as usize,
                &raw const spec as usize,
                0,
                0,
                0,
            ],
        )
    }
    .map(drop)
}

fn to_timespec(micros: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(micros / 1_000_000).unwrap_or(libc::time_t::MAX),
        tv_nsec: c_long::try_from(micros % 1_000_000 * 1000).unwrap_or(0),
    }
}

/// Adds one to an eventfd, which wakes whoever polls it.
pub(crate) fn eventfd_signal(fd: c_int) {
    let one = 1u64;
    // SAFETY: eight bytes are read from `one`. Failure (EAGAIN at the counter's end) leaves it readable, as meant.
    let _ = unsafe {
        syscall(
            libc::SYS_write,
            [fd as usize, &raw const one as usize, 8, 0, 0, 0],
        )
    };
}

/// Takes an eventfd's counter back to zero.
pub(crate) fn eventfd_clear(fd: c_int) {
    let mut count = 0u64;
    // SAFETY: eight bytes are written to `count`. EAGAIN means that it was zero.
    let _ = unsafe {
        syscall(
            libc::SYS_read,
            [fd as usize, &raw mut count as usize, 8, 0, 0, 0],
        )
    };
}

/// F_DUPFD: another number for what `fd` stands for, the lowest free one not below `min`. EBADF, EINVAL, EMFILE.
pub(crate) fn dup_from(fd: c_int, cloexec: bool, min: c_int) -> SysResult<c_int> {
    let command = if cloexec {
        libc::F_DUPFD_CLOEXEC
    } else {
        libc::F_DUPFD
    };
    fcntl(fd, command, min)
}

/// A new pipe at high numbers, close-on-exec: (reading end, writing end).
pub(crate) fn pipe() -> SysResult<(c_int, c_int)> {
    let mut ends: [c_int; 2] = [-1; 2];
    let _raised =
        (getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) < SCANTY).then(RaisedLimit::new);
    // SAFETY: two numbers are written to `ends`.
    unsafe {
        syscall(
            libc::SYS_pipe2,
            [&raw mut ends as usize, libc::O_CLOEXEC as usize, 0, 0, 0, 0],
        )?;
    }
    Ok((move_high(ends[0]), move_high(ends[1])))
}

/// Device and inode of what a number stands for.
pub(crate) fn identity(fd: c_int) -> SysResult<(u64, u64)> {
    if fd < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the borrow ends with this call, and the kernel checks the number.
    let borrowed = unsafe { rustix::fd::BorrowedFd::borrow_raw(fd) };
    let stat = rustix::fs::fstat(borrowed)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Every signal, except those of a faulting instruction: blocked, they would end the process past the program's handler.
pub(crate) const ALL_SIGNALS: SigSet = !(bit(libc::SIGSEGV)
    | bit(libc::SIGBUS)
    | bit(libc::SIGFPE)
    | bit(libc::SIGILL)
    | bit(libc::SIGTRAP)
    | bit(libc::SIGSYS));

const fn bit(signal: c_int) -> SigSet {
    1 << (signal - 1)
}

/// Blocks every signal that may wait in this thread and returns the mask that was there.
pub(crate) fn block_signals() -> SigSet {
    set_mask(libc::SIG_SETMASK, &ALL_SIGNALS)
}

/// Sends this thread a signal with `info` as it is: rt_tgsigqueueinfo(2) lets a thread tell itself anything. EAGAIN.
///
/// # Safety
/// `info` points to what the kernel passed to a handler.
pub(crate) unsafe fn signal_this_thread(
    signal: c_int,
    info: *const libc::siginfo_t,
) -> SysResult<()> {
    // SAFETY: the kernel reads a siginfo_t.
    unsafe {
        let process = syscall(libc::SYS_getpid, [0; 6])?;
        let thread = syscall(libc::SYS_gettid, [0; 6])?;
        syscall(
            libc::SYS_rt_tgsigqueueinfo,
            [process, thread, signal as usize, info as usize, 0, 0],
        )
    }
    .map(drop)
}

/// errno of this thread.
pub(crate) fn errno() -> c_int {
    // SAFETY: libc gives a valid pointer to the calling thread's errno.
    unsafe { *libc::__errno_location() }
}

/// Writes errno: for `capi/errno.rs`, and to put it back after a handler of the program's.
pub(crate) fn set_errno(errno: c_int) {
    // SAFETY: as in `errno`; nobody else holds a reference to it.
    unsafe { *libc::__errno_location() = errno }
}

/// Puts the mask back that [`block_signals`] returned.
pub(crate) fn restore_signals(mask: SigSet) {
    set_mask(libc::SIG_SETMASK, &mask);
}

/// Whether this thread runs on its alternate signal stack (sigaltstack(2)).
pub(crate) fn on_alternate_stack() -> bool {
    let mut stack = libc::stack_t {
        ss_sp: ptr::null_mut(),
        ss_flags: 0,
        ss_size: 0,
    };
    // SAFETY: nothing is set; the kernel fills `stack`, whose layout libc has right.
    let asked = unsafe {
        syscall(
            libc::SYS_sigaltstack,
            [0, &raw mut stack as usize, 0, 0, 0, 0],
        )
    };
    asked.is_ok() && stack.ss_flags & libc::SS_ONSTACK != 0
}

/// Whether every signal handler of this process asks for restarted calls (SA_RESTART), so that signal(7) lets a blocked call go on.
pub(crate) fn handlers_restart() -> bool {
    // struct sigaction as the kernel has it: handler, flags, (restorer,) mask; never more than 32 bytes.
    let mut action = [0usize; 8];
    // A faulting instruction interrupts no sleep.
    let interrupting = |signal: &usize| ALL_SIGNALS >> (signal - 1) & 1 != 0;
    (1..=64usize).filter(interrupting).all(|signal| {
        // SAFETY: `action` is longer than the kernel's struct; nothing is set.
        let asked = unsafe {
            syscall(
                libc::SYS_rt_sigaction,
                [
                    signal,
                    0,
                    action.as_mut_ptr() as usize,
                    size_of::<SigSet>(),
                    0,
                    0,
                ],
            )
        };
        asked.is_err()
            || action[0] == libc::SIG_DFL
            || action[0] == libc::SIG_IGN
            || action[1] & libc::SA_RESTART as usize != 0
    })
}

/// While this lives, the limit on descriptor numbers (RLIMIT_NOFILE) is the hard one: the library's own few descriptors do not count
/// against what the program allows itself.
pub(crate) struct RaisedLimit {
    before: Option<Rlimit>,
}

impl RaisedLimit {
    /// Raises the limit if it can be raised.
    pub(crate) fn new() -> RaisedLimit {
        let before = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        };
        let changed = before != raised && setrlimit(Resource::Nofile, raised).is_ok();
        RaisedLimit {
            before: changed.then_some(before),
        }
    }
}

impl Drop for RaisedLimit {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            // Lowering to what it was is always allowed.
            let _ = setrlimit(Resource::Nofile, before);
        }
    }
}

/// Makes a descriptor at a high number, if need be above the program's own limit.
fn make_high(make: impl Fn() -> SysResult<c_int>) -> SysResult<c_int> {
    let soft = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let _raised = (soft < SCANTY).then(RaisedLimit::new);
    make().map(move_high)
}

/// A limit below which the program counts its descriptors.
const SCANTY: u64 = 1024;

/// What a number stands for moves to a high number, out of the program's way; stays where it is when none is free.
pub(crate) fn move_high(fd: c_int) -> c_int {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
    let limit = c_int::try_from(limit).unwrap_or(c_int::MAX).min(1 << 20);
    // Below the limit a quarter, at most 256 numbers, are ours to look for room in.
    let floor = limit - (limit / 4).min(256);
    match fcntl(fd, libc::F_DUPFD_CLOEXEC, floor) {
        Ok(high) => {
            let _ = close(fd);
            high
        }
        Err(_) => fd,
    }
}

fn set_mask(how: c_int, mask: &SigSet) -> SigSet {
    let mut old: SigSet = 0;
    // SAFETY: both sets are 64 bits, as the size argument says; with valid arguments the call cannot fail.
    let _ = unsafe {
        syscall(
            libc::SYS_rt_sigprocmask,
            [
                how as usize,
                ptr::from_ref(mask) as usize,
                &raw mut old as usize,
                size_of::<SigSet>(),
                0,
                0,
            ],
        )
    };
    old
}

/// A successful result that is a descriptor number or a small integer.
fn to_fd(value: usize) -> c_int {
    value as c_int
}

/// Linux refuses more events than fit in an int of bytes (fs/eventpoll.c, EP_MAX_EVENTS).
const EPOLL_MAX: usize = i32::MAX as usize / size_of::<libc::epoll_event>();

/// Whether this thread may open raw sockets: CAP_NET_RAW, as for the kernel's (capabilities(7)).
pub(crate) fn may_open_raw() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_RAW))
}

/// Whether this process may open ping sockets: one of its groups is in the machine's range (icmp(7); Linux: ping_init_sock).
pub(crate) fn may_open_ping() -> bool {
    let Some((low, high)) = ping_group_range() else {
        return false;
    };
    let fits = |group: rustix::process::Gid| (low..=high).contains(&group.as_raw());
    fits(rustix::process::getegid())
        || rustix::process::getgroups().is_ok_and(|groups| groups.into_iter().any(fits))
}

/// The two numbers of net.ipv4.ping_group_range.
fn ping_group_range() -> Option<(u32, u32)> {
    use rustix::fs::{Mode, OFlags, open};
    let path = "/proc/sys/net/ipv4/ping_group_range";
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = [0; 64];
    let len = rustix::io::read(&file, &mut text).ok()?;
    let text = std::str::from_utf8(text.get(..len)?).ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
