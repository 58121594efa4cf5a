//! Descriptors: close, dup, fcntl, ioctl.

use libc::{c_int, c_long, c_uint, c_ulong, c_void};
use tunsock_stack::{Domain, Kind};

use super::calls::adopted;
use super::errno::{CResult, Errno, answer};
use super::{cmsg, interfaces, netlink, originals, sigio, socket_of, user};
use crate::fd::{self, FdResult, SocketFile};
use crate::runtime::owner;
use crate::runtime::sys::cancellation_point;

/// Who gets the signals, an int: asm-generic/sockios.h.
const FIOSETOWN: c_ulong = 0x8901;
const SIOCSPGRP: c_ulong = 0x8902;
const FIOGETOWN: c_ulong = 0x8903;
const SIOCGPGRP: c_ulong = 0x8904;
/// What of a stream was never sent: linux/sockios.h.
const SIOCOUTQNSD: c_ulong = 0x894b;
/// SIOCATMARK of linux/sockios.h.
const SIOCATMARK: c_ulong = 0x8905;
/// When the datagram read last had arrived, as timeval or timespec: linux/sockios.h.
const SIOCGSTAMP: c_ulong = 0x8906;
const SIOCGSTAMPNS: c_ulong = 0x8907;
const SIOCGSTAMP_NEW: c_ulong = 0x8010_8906;
const SIOCGSTAMPNS_NEW: c_ulong = 0x8010_8907;
/// The block of interface and routing requests of linux/sockios.h.
const INTERFACE_REQUESTS: std::ops::RangeInclusive<c_ulong> = 0x890b..=0x89ff;

/// Whether a change of `fd`'s number concerns the kernel alone: it is ours, but the process that changes it borrows our memory.
fn is_kernels_alone(fd: c_int) -> bool {
    fd::lookup(fd).is_some() && owner::is_borrowed()
}

/// Closes a descriptor. The connection ends when its last descriptor is closed; what was written is still delivered.
///
/// Returns 0, or -1 with errno EBADF or EINTR (the descriptor is closed all the same).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_close(fd: c_int) -> c_int {
    cancellation_point();
    if is_kernels_alone(fd) {
        // SAFETY: a plain number.
        return unsafe { originals::close(fd) };
    }
    match fd::close(fd) {
        Some(outcome) => answer(|| {
            outcome?;
            Ok(0)
        }),
        // SAFETY: a plain number.
        None => unsafe { originals::close(fd) },
    }
}

/// F_DUPFD. `None`: the kernel's affair.
fn another(fd: c_int, cloexec: bool, min: c_int) -> Option<FdResult<c_int>> {
    if is_kernels_alone(fd) {
        fd::lend_copy(fd, cloexec, min)
    } else {
        fd::dup(fd, cloexec, min)
    }
}

/// Another descriptor, the lowest free one, for the same socket.
///
/// Returns it, or -1 with errno EBADF or EMFILE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_dup(fd: c_int) -> c_int {
    match another(fd, false, 0) {
        Some(outcome) => answer(|| Ok(outcome?)),
        // SAFETY: a plain number.
        None => adopted(unsafe { originals::dup(fd) }),
    }
}

/// Makes new_fd stand for what old_fd stands for; what new_fd was is closed first. Equal numbers: nothing happens.
///
/// Returns new_fd, or -1 with errno EBADF, EMFILE or EINTR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_dup2(old_fd: c_int, new_fd: c_int) -> c_int {
    if is_kernels_alone(old_fd) || is_kernels_alone(new_fd) {
        if let Some(lent) = fd::lend(old_fd, new_fd, 0) {
            return answer(|| Ok(lent?));
        }
        // SAFETY: plain numbers.
        return unsafe { originals::dup2(old_fd, new_fd) };
    }
    match fd::dup2(old_fd, new_fd, 0) {
        Some(outcome) => answer(|| Ok(outcome?)),
        // SAFETY: plain numbers.
        None => unsafe { originals::dup2(old_fd, new_fd) },
    }
}

/// As tunsock_dup2, with O_CLOEXEC in flags. EINVAL for other flags and for equal numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_dup3(old_fd: c_int, new_fd: c_int, flags: c_int) -> c_int {
    if old_fd == new_fd || flags & !libc::O_CLOEXEC != 0 {
        return answer(|| Err(Errno(libc::EINVAL)));
    }
    if is_kernels_alone(old_fd) || is_kernels_alone(new_fd) {
        if let Some(lent) = fd::lend(old_fd, new_fd, flags) {
            return answer(|| Ok(lent?));
        }
        // SAFETY: plain numbers.
        return unsafe { originals::dup3(old_fd, new_fd, flags) };
    }
    match fd::dup2(old_fd, new_fd, flags) {
        Some(outcome) => answer(|| Ok(outcome?)),
        // SAFETY: plain numbers.
        None => unsafe { originals::dup3(old_fd, new_fd, flags) },
    }
}

/// Acts on a descriptor: F_GETFL and F_SETFL (O_NONBLOCK, O_ASYNC; O_APPEND and O_NOATIME are kept), F_GETFD and F_SETFD, F_DUPFD and F_DUPFD_CLOEXEC, F_SETOWN, F_SETSIG
/// and their kin, and the system's others. arg is the command's int, or the address of its structure.
///
/// Returns what the command returns, or -1 with errno EBADF, EINVAL, EMFILE, ESRCH (nobody to signal) or EFAULT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_fcntl(fd: c_int, command: c_int, arg: c_long) -> c_int {
    // C's int in a register as wide as long: the upper half is nobody's.
    let number = arg as c_int;
    if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) {
        let cloexec = command == libc::F_DUPFD_CLOEXEC;
        return match another(fd, cloexec, number) {
            Some(outcome) => answer(|| Ok(outcome?)),
            // SAFETY: plain numbers.
            None => adopted(unsafe { originals::fcntl(fd, command, arg) }),
        };
    }
    // These concern the number alone: an inherited connection need not become a relay's end for them.
    let of_number = matches!(command, libc::F_GETFD | libc::F_SETFD);
    let Some(socket) = (!of_number).then(|| socket_of(fd)).flatten() else {
        // SAFETY: the caller's own arguments.
        return unsafe { originals::fcntl(fd, command, arg) };
    };
    match command {
        libc::F_GETFL => answer(|| {
            let flag = |on, flag| if on { flag } else { 0 };
            Ok(libc::O_RDWR
                | socket.status()
                | flag(socket.nonblocking(), libc::O_NONBLOCK)
                | flag(socket.signals(), libc::O_ASYNC))
        }),
        libc::F_SETFL => answer(|| {
            // setfl: sockets do no direct I/O.
            if number & libc::O_DIRECT != 0 {
                return Err(Errno(libc::EINVAL));
            }
            socket.set_status(number & (libc::O_APPEND | libc::O_NOATIME));
            socket.set_signals(number & libc::O_ASYNC != 0, fd)?;
            socket.set_nonblocking(number & libc::O_NONBLOCK != 0);
            Ok(0)
        }),
        _ => match sigio::control(&socket, command, arg) {
            Some(outcome) => answer(|| outcome),
            // The rest is refused alike for every socket (locks, leases): the kernel's answer.
            // SAFETY: the caller's own arguments.
            None => unsafe { originals::fcntl(fd, command, arg) },
        },
    }
}

/// Acts on a descriptor: FIONBIO, FIOASYNC, FIONREAD, SIOCATMARK, SIOCOUTQ (TIOCOUTQ), SIOCOUTQNSD, FIOSETOWN, FIOGETOWN (SIOCSPGRP,
/// SIOCGPGRP), each with the address of an int; SIOCGSTAMP, SIOCGSTAMPNS; SIOCGIFCONF with a
/// struct ifconf, and SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFADDR and their kin with a struct ifreq: the stack's interfaces, not the machine's.
///
/// Returns 0, or -1 with errno EBADF, EFAULT, EINVAL, ENODEV (no such interface), EADDRNOTAVAIL (it has no address), EPERM (a request
/// that changes an interface) or ENOTTY (a request that is not for such a socket).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int {
    let Some(socket) = socket_of(fd) else {
        let plain = c_ulong::from(request as c_uint);
        if INTERFACE_REQUESTS.contains(&plain) && netlink::is_ours(fd) {
            return answer(|| interfaces::request(false, plain, arg));
        }
        // SAFETY: the caller's own arguments.
        return unsafe { originals::ioctl(fd, request, arg) };
    };
    // The kernel takes an unsigned int: what C programs pass in a (signed) int may have its sign extended.
    match c_ulong::from(request as c_uint) {
        libc::FIONBIO => answer(|| {
            // SAFETY: any bytes are an int.
            socket.set_nonblocking(unsafe { user::read(arg.cast::<c_int>())? } != 0);
            Ok(0)
        }),
        libc::FIOASYNC => answer(|| {
            // SAFETY: any bytes are an int.
            let on = unsafe { user::read(arg.cast::<c_int>())? } != 0;
            socket.set_signals(on, fd)?;
            Ok(0)
        }),
        libc::FIONREAD => answer(|| number_out(arg, socket.readable_bytes()?)),
        libc::TIOCOUTQ => answer(|| number_out(arg, socket.unsent_bytes()?)),
        SIOCOUTQNSD if is_stream(&socket) => answer(|| number_out(arg, socket.never_sent_bytes()?)),
        SIOCATMARK if is_stream(&socket) => answer(|| at_mark(&socket, arg)),
        // sock_do_ioctl: not of this protocol, then perhaps about an interface.
        SIOCOUTQNSD | SIOCATMARK => {
            let v4 = socket.kind().0 == Domain::V4;
            answer(|| interfaces::request(v4, c_ulong::from(request as c_uint), arg))
        }
        FIOSETOWN | SIOCSPGRP => answer(|| {
            // SAFETY: any bytes are an int.
            sigio::set_owner(&socket, unsafe { user::read(arg.cast::<c_int>())? })
        }),
        FIOGETOWN | SIOCGPGRP => answer(|| {
            user::write(arg.cast::<c_int>(), sigio::owner(&socket))?;
            Ok(0)
        }),
        SIOCGSTAMP | SIOCGSTAMP_NEW => answer(|| last_stamp(&socket, arg, 1000)),
        SIOCGSTAMPNS | SIOCGSTAMPNS_NEW => answer(|| last_stamp(&socket, arg, 1)),
        request if INTERFACE_REQUESTS.contains(&request) => {
            let v4 = socket.kind().0 == Domain::V4;
            answer(|| interfaces::request(v4, request, arg))
        }
        // FIOCLEX and FIONCLEX concern the number; a terminal's requests are ENOTTY for every socket.
        // SAFETY: the caller's own arguments.
        _ => unsafe { originals::ioctl(fd, request, arg) },
    }
}

/// Whether the next byte to be read is the one after the urgent byte.
///
/// Returns 1 or 0, or -1 with errno EBADF or ENOTTY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_sockatmark(fd: c_int) -> c_int {
    let mut mark: c_int = 0;
    // SAFETY: `mark` is an int.
    match unsafe { tunsock_ioctl(fd, SIOCATMARK, (&raw mut mark).cast()) } {
        0 => mark,
        failed => failed,
    }
}

/// SIOCGSTAMP and its kin (sock_gettstamp): ENOENT before the first datagram. `unit`: nanoseconds in one of the fraction.
fn last_stamp(socket: &SocketFile, arg: *mut c_void, unit: u32) -> CResult<c_int> {
    let at = socket.last_stamp()?.ok_or(Errno(libc::ENOENT))?;
    let at = cmsg::wall_clock(at);
    let pair = [at.as_secs(), u64::from(at.subsec_nanos() / unit)];
    user::write(arg.cast(), pair)?;
    Ok(0)
}

/// Closes every descriptor from first to last. Flags: CLOSE_RANGE_CLOEXEC marks them instead, CLOSE_RANGE_UNSHARE.
///
/// Returns 0, or -1 with errno EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    let ours = first <= last
        && flags & !(libc::CLOSE_RANGE_UNSHARE | libc::CLOSE_RANGE_CLOEXEC) as c_int == 0;
    if ours && flags & libc::CLOSE_RANGE_CLOEXEC as c_int == 0 {
        return close_around(first, last, flags);
    }
    // SAFETY: plain numbers. Marking goes for our numbers as for any: the library's own are close-on-exec already.
    unsafe { originals::close_range(first, last, flags) }
}

/// Closes every descriptor from first on. Nothing is returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_closefrom(first: c_int) {
    close_around(first.max(0) as c_uint, c_uint::MAX, 0);
}

/// close_range that ends our sockets in the range as close does and passes the library's own descriptors over.
fn close_around(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    // SAFETY: plain numbers.
    let by_kernel = |first, last| unsafe { originals::close_range(first, last, flags) };
    let none = crate::runtime::get().is_none() && !fd::any_netlink();
    if none || owner::is_borrowed() {
        return by_kernel(first, last);
    }
    let open = open_numbers()
        .into_iter()
        .filter(|&fd| first <= fd && fd <= last);
    let mut from = Some(first);
    for fd in open {
        let number = fd as c_int;
        let own = crate::runtime::is_reserved(number);
        if !own && fd::lookup(number).is_none() {
            continue;
        }
        if let Some(from) = from.filter(|&from| from < fd) {
            by_kernel(from, fd - 1);
        }
        if !own {
            // A close that fails has closed all the same.
            let _ = fd::close(number);
        }
        from = fd.checked_add(1);
    }
    match from {
        Some(from) if from <= last => by_kernel(from, last),
        _ => 0,
    }
}

/// Every open number, lowest first.
fn open_numbers() -> Vec<c_uint> {
    let entries = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let mut open: Vec<c_uint> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    open.sort_unstable();
    open
}

fn is_stream(socket: &SocketFile) -> bool {
    socket.kind().1 == Kind::Stream
}

fn at_mark(socket: &SocketFile, arg: *mut c_void) -> CResult<c_int> {
    number_out(arg, usize::from(socket.at_mark()?))
}

/// Stores a count in the caller's int.
fn number_out(arg: *mut c_void, count: usize) -> CResult<c_int> {
    user::write(
        arg.cast::<c_int>(),
        c_int::try_from(count).unwrap_or(c_int::MAX),
    )?;
    Ok(0)
}
