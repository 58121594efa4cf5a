//! select, poll, epoll: times, masks and sets in C's clothes.

use std::time::Duration;

use libc::{c_int, c_long, c_ulong};

use super::errno::{CResult, Errno, answer};
use super::types::{
    tunsock_fd_set, tunsock_nfds_t, tunsock_pollfd, tunsock_sigset_t, tunsock_timespec,
    tunsock_timeval,
};
use super::{originals, user};
use crate::fd::{self, FdBits, FdResult, Object};
use crate::runtime::sys::cancellation_point;

const EINVAL: Errno = Errno(libc::EINVAL);

/// Size of the kernel's signal set, bytes; C's type has room for more.
const SIGSET: usize = 8;

/// Waits until a descriptor of a set is readable (readfds), writable (writefds) or has urgent data (exceptfds); the sets, of
/// numbers below nfds, are left with those that are. NULL sets and a NULL time (for ever) are allowed; the time left is stored back.
///
/// Returns how many bits are set, 0 when the time is over, or -1 with errno EBADF, EINTR, EINVAL or EFAULT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_select(
    nfds: c_int,
    readfds: *mut tunsock_fd_set,
    writefds: *mut tunsock_fd_set,
    exceptfds: *mut tunsock_fd_set,
    timeout: *mut tunsock_timeval,
) -> c_int {
    cancellation_point();
    let ours: CResult<Option<CResult<c_int>>> = (|| {
        let start = std::time::Instant::now();
        let time = if timeout.is_null() {
            None
        } else {
            // SAFETY: the caller vouches; any bytes are a timeval.
            Some(duration_of_timeval(unsafe { user::peek(timeout)? })?)
        };
        // SAFETY: the caller vouches for the sets.
        let outcome = unsafe { select_ours(nfds, [readfds, writefds, exceptfds], time, None)? };
        if outcome.is_some()
            && let Some(time) = time
        {
            // Linux stores what is left (select(2), "On Linux, select() modifies timeout").
            let left = time.saturating_sub(start.elapsed());
            let left = tunsock_timeval {
                tv_sec: left.as_secs() as c_long,
                tv_usec: c_long::from(left.subsec_micros()),
            };
            // SAFETY: it was read above.
            unsafe { timeout.write_unaligned(left) };
        }
        Ok(outcome)
    })();
    match ours.transpose() {
        Some(outcome) => answer(|| outcome?),
        // SAFETY: the caller's own arguments.
        None => unsafe {
            originals::select(
                nfds,
                readfds.cast(),
                writefds.cast(),
                exceptfds.cast(),
                timeout.cast(),
            )
        },
    }
}

/// As tunsock_select, with nanoseconds, a time that is not changed, and a signal mask (or NULL) that holds while it waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_pselect(
    nfds: c_int,
    readfds: *mut tunsock_fd_set,
    writefds: *mut tunsock_fd_set,
    exceptfds: *mut tunsock_fd_set,
    timeout: *const tunsock_timespec,
    mask: *const tunsock_sigset_t,
) -> c_int {
    cancellation_point();
    let ours: CResult<Option<CResult<c_int>>> = (|| {
        let time = optional_time(timeout)?;
        let mask = optional_mask(mask)?;
        // SAFETY: the caller vouches for the sets.
        unsafe { select_ours(nfds, [readfds, writefds, exceptfds], time, mask.as_ref()) }
    })();
    match ours.transpose() {
        Some(outcome) => answer(|| outcome?),
        // SAFETY: the caller's own arguments.
        None => unsafe {
            originals::pselect(
                nfds,
                readfds.cast(),
                writefds.cast(),
                exceptfds.cast(),
                timeout.cast(),
                mask.cast(),
            )
        },
    }
}

/// What fd's select says; `Ok(None)`: nothing of ours in the sets. The inner result is its failure.
///
/// # Safety
/// Sets that pass the checks have `nfds` bits and are the caller's to write.
unsafe fn select_ours(
    nfds: c_int,
    sets: [*mut tunsock_fd_set; 3],
    time: Option<Duration>,
    mask: Option<&libc::sigset_t>,
) -> CResult<Option<CResult<c_int>>> {
    let bits = usize::try_from(nfds).map_err(|_| EINVAL)?;
    // A set may have any size (programs allocate larger ones than FD_SETSIZE): as many words as nfds needs.
    let words = bits.div_ceil(c_ulong::BITS as usize);
    // SAFETY: the caller vouches.
    let [read, write, except] = [
        unsafe { set_of(sets[0], words)? },
        unsafe { set_of(sets[1], words)? },
        unsafe { set_of(sets[2], words)? },
    ];
    let outcome = fd::select(nfds, read, write, except, time, mask);
    Ok(outcome.map(|outcome| outcome.map_err(Errno::from)))
}

/// # Safety
/// A set that passes the check is the caller's to write, and nobody else's meanwhile.
unsafe fn set_of<'a>(set: *mut tunsock_fd_set, words: usize) -> CResult<Option<&'a mut FdBits>> {
    if set.is_null() || words == 0 {
        return Ok(None);
    }
    user::check(set, words * size_of::<c_ulong>())?;
    if !set.is_aligned() {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: the caller vouches; aligned and not NULL.
    Ok(Some(unsafe {
        std::slice::from_raw_parts_mut(set.cast::<c_ulong>(), words)
    }))
}

/// Waits until a descriptor has what its entry asks for; entries with a negative descriptor are skipped. timeout is in
/// milliseconds, negative for ever.
///
/// Returns how many entries have revents, 0 when the time is over, or -1 with errno EINTR, EFAULT, EINVAL (more entries than
/// descriptors are allowed) or ENOMEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_poll(
    fds: *mut tunsock_pollfd,
    count: tunsock_nfds_t,
    timeout: c_int,
) -> c_int {
    cancellation_point();
    // SAFETY: the caller vouches for the entries.
    let ours = unsafe { entries(fds, count) }
        .map(|entries| fd::poll(entries, milliseconds(timeout), None));
    match ours.transpose() {
        Some(outcome) => answer(|| Ok(outcome??)),
        // SAFETY: the caller's own arguments.
        None => unsafe { originals::poll(fds.cast(), count, timeout) },
    }
}

/// As tunsock_poll, with a time (NULL: for ever) and a signal mask (or NULL) that holds while it waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ppoll(
    fds: *mut tunsock_pollfd,
    count: tunsock_nfds_t,
    timeout: *const tunsock_timespec,
    mask: *const tunsock_sigset_t,
) -> c_int {
    cancellation_point();
    let ours: CResult<Option<FdResult<c_int>>> = (|| {
        let time = optional_time(timeout)?;
        let mask = optional_mask(mask)?;
        // SAFETY: the caller vouches for the entries.
        Ok(fd::poll(
            unsafe { entries(fds, count)? },
            time,
            mask.as_ref(),
        ))
    })();
    match ours.transpose() {
        Some(outcome) => answer(|| Ok(outcome??)),
        // SAFETY: the caller's own arguments.
        None => unsafe { originals::ppoll(fds.cast(), count, timeout.cast(), mask.cast()) },
    }
}

/// # Safety
/// Entries that pass the checks are the caller's to write, and nobody else's meanwhile.
unsafe fn entries<'a>(
    fds: *mut tunsock_pollfd,
    count: tunsock_nfds_t,
) -> CResult<&'a mut [libc::pollfd]> {
    let count = usize::try_from(count).map_err(|_| EINVAL)?;
    if count == 0 {
        return Ok(&mut []);
    }
    // poll(2), EINVAL: "The nfds value exceeds the RLIMIT_NOFILE value". The limit itself is looked at only when this is large.
    if count > 1024 && count as u64 > descriptor_limit() {
        return Err(EINVAL);
    }
    user::check(fds, count.saturating_mul(size_of::<libc::pollfd>()))?;
    if !fds.is_aligned() {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: the caller vouches; aligned, not NULL, and the layout is the system's (types.rs).
    Ok(unsafe { std::slice::from_raw_parts_mut(fds.cast(), count) })
}

fn descriptor_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(u64::MAX)
}

/// Makes an epoll set. size must be above 0 and means nothing.
///
/// Returns a descriptor, or -1 with errno EINVAL, EMFILE, ENFILE or ENOMEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_epoll_create(size: c_int) -> c_int {
    answer(|| {
        if size > 0 {
            Ok(fd::epoll_create(false)?)
        } else {
            Err(EINVAL)
        }
    })
}

/// Makes an epoll set. Flags: EPOLL_CLOEXEC; any other: EINVAL.
///
/// Returns a descriptor, or -1 with errno EINVAL, EMFILE, ENFILE or ENOMEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_epoll_create1(flags: c_int) -> c_int {
    answer(|| match flags {
        0 => Ok(fd::epoll_create(false)?),
        libc::EPOLL_CLOEXEC => Ok(fd::epoll_create(true)?),
        _ => Err(EINVAL),
    })
}

/// Adds (EPOLL_CTL_ADD), changes (EPOLL_CTL_MOD) or removes (EPOLL_CTL_DEL) a descriptor of a set.
///
/// Returns 0, or -1 with errno EBADF, EEXIST, ENOENT, EINVAL, EPERM, ELOOP, ENOMEM, ENOSPC or EFAULT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_epoll_ctl(
    epfd: c_int,
    op: c_int,
    fd: c_int,
    event: *mut libc::epoll_event,
) -> c_int {
    if fd::lookup(epfd).is_none() && fd::lookup(fd).is_none() {
        // SAFETY: the caller's own arguments.
        return unsafe { originals::epoll_ctl(epfd, op, fd, event.cast()) };
    }
    // A removal has no event (epoll_ctl(2), "BUGS": before Linux 2.6.9 a pointer was needed).
    let wanted = match op {
        libc::EPOLL_CTL_DEL => Ok(None),
        // SAFETY: the caller vouches; any bytes are an event.
        _ => unsafe { user::peek(event.cast_const()) }.map(Some),
    };
    match wanted
        .map(|wanted| fd::epoll_ctl(epfd, op, fd, wanted))
        .transpose()
    {
        Some(outcome) => answer(|| {
            outcome??;
            Ok(0)
        }),
        // SAFETY: the caller's own arguments.
        None => unsafe { originals::epoll_ctl(epfd, op, fd, event.cast()) },
    }
}

/// Waits for events of a set and stores up to count of them. timeout is in milliseconds, negative for ever.
///
/// Returns how many were stored, 0 when the time is over, or -1 with errno EBADF, EINVAL (not a set, or count below 1),
/// EFAULT or EINTR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_epoll_wait(
    epfd: c_int,
    events: *mut libc::epoll_event,
    count: c_int,
    timeout: c_int,
) -> c_int {
    cancellation_point();
    // SAFETY: the caller vouches for the room.
    match unsafe { epoll_ours(epfd, events, count, Ok(milliseconds(timeout)), Ok(None)) } {
        Some(outcome) => answer(|| outcome),
        // SAFETY: the caller's own arguments.
        None => unsafe { originals::epoll_wait(epfd, events.cast(), count, timeout) },
    }
}

/// As tunsock_epoll_wait, with a signal mask (or NULL) that holds while it waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_epoll_pwait(
    epfd: c_int,
    events: *mut libc::epoll_event,
    count: c_int,
    timeout: c_int,
    mask: *const tunsock_sigset_t,
) -> c_int {
    cancellation_point();
    // SAFETY: the caller vouches for the room.
    match unsafe {
        epoll_ours(
            epfd,
            events,
            count,
            Ok(milliseconds(timeout)),
            optional_mask(mask),
        )
    } {
        Some(outcome) => answer(|| outcome),
        // SAFETY: the caller's own arguments.
        None => unsafe { originals::epoll_pwait(epfd, events.cast(), count, timeout, mask.cast()) },
    }
}

/// As tunsock_epoll_pwait, with a time in seconds and nanoseconds (NULL: for ever).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_epoll_pwait2(
    epfd: c_int,
    events: *mut libc::epoll_event,
    count: c_int,
    timeout: *const tunsock_timespec,
    mask: *const tunsock_sigset_t,
) -> c_int {
    cancellation_point();
    // SAFETY: the caller vouches for the room.
    match unsafe {
        epoll_ours(
            epfd,
            events,
            count,
            optional_time(timeout),
            optional_mask(mask),
        )
    } {
        Some(outcome) => answer(|| outcome),
        // SAFETY: the caller's own arguments.
        None => unsafe {
            originals::epoll_pwait2(epfd, events.cast(), count, timeout.cast(), mask.cast())
        },
    }
}

/// # Safety
/// Room that passes the checks is the caller's to write, and nobody else's meanwhile.
unsafe fn epoll_ours(
    epfd: c_int,
    events: *mut libc::epoll_event,
    count: c_int,
    time: CResult<Option<Duration>>,
    mask: CResult<Option<libc::sigset_t>>,
) -> Option<CResult<c_int>> {
    let Some(Object::Epoll(_)) = fd::lookup(epfd) else {
        return None;
    };
    let room = (|| {
        // ep_check_params: the number first, then the memory.
        let count = usize::try_from(count)
            .ok()
            .filter(|&count| count > 0)
            .ok_or(EINVAL)?;
        let bytes = count
            .checked_mul(size_of::<libc::epoll_event>())
            .filter(|&len| len <= c_int::MAX as usize);
        user::check(events, bytes.ok_or(EINVAL)?)?;
        if !events.is_aligned() {
            return Err(Errno(libc::EFAULT));
        }
        // SAFETY: the caller vouches; aligned and not NULL.
        Ok((
            unsafe { std::slice::from_raw_parts_mut(events, count) },
            time?,
            mask?,
        ))
    })();
    match room {
        Ok((room, time, mask)) => {
            let outcome = fd::epoll_wait(epfd, room, time, mask.as_ref())?;
            Some(outcome.map(|count| count as c_int).map_err(Errno::from))
        }
        Err(errno) => Some(Err(errno)),
    }
}

/// poll's and epoll's milliseconds; negative: for ever.
fn milliseconds(timeout: c_int) -> Option<Duration> {
    u64::try_from(timeout).ok().map(Duration::from_millis)
}

/// A time to wait; EINVAL unless it is in range (poll_select_set_timeout).
pub(super) fn duration_of(time: tunsock_timespec) -> CResult<Duration> {
    let secs = u64::try_from(time.tv_sec).map_err(|_| EINVAL)?;
    let nanos = u32::try_from(time.tv_nsec)
        .ok()
        .filter(|&nanos| nanos < 1_000_000_000)
        .ok_or(EINVAL)?;
    Ok(Duration::new(secs, nanos))
}

/// The other way.
pub(super) fn timespec_of(time: Duration) -> tunsock_timespec {
    tunsock_timespec {
        tv_sec: c_long::try_from(time.as_secs()).unwrap_or(c_long::MAX),
        tv_nsec: c_long::from(time.subsec_nanos()),
    }
}

/// select's time: more than a million microseconds carry into the seconds, negative ones are EINVAL (kern_select).
fn duration_of_timeval(time: tunsock_timeval) -> CResult<Duration> {
    let secs = u64::try_from(time.tv_sec).map_err(|_| EINVAL)?;
    let micros = u64::try_from(time.tv_usec).map_err(|_| EINVAL)?;
    Ok(Duration::from_secs(secs).saturating_add(Duration::from_micros(micros)))
}

fn optional_time(time: *const tunsock_timespec) -> CResult<Option<Duration>> {
    if time.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller vouches; any bytes are a timespec.
    duration_of(unsafe { user::peek(time)? }).map(Some)
}

fn optional_mask(mask: *const tunsock_sigset_t) -> CResult<Option<libc::sigset_t>> {
    if mask.is_null() {
        return Ok(None);
    }
    // Only the kernel's part is read: callers that know its size pass no more.
    // SAFETY: the caller vouches; any bytes are signals.
    let bits = unsafe { user::peek(mask.cast::<[u8; SIGSET]>())? };
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: a signal set is plain bits, larger than the kernel's part of it.
    Ok(Some(unsafe {
        set.as_mut_ptr()
            .cast::<[u8; SIGSET]>()
            .write_unaligned(bits);
        set.assume_init()
    }))
}
