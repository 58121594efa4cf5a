//! The runtime of `winsock2.h`: Winsock's rules for starting, handles and errors, over the calls of this room.
//!
//! `winsock2.h` is written by hand and names these functions; they are no part of `tunsock.h`.
#![allow(non_snake_case, non_camel_case_types)] // Winsock's own names

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{c_char, c_int, c_long, c_uint, c_ushort, c_void};

use super::errno;
use super::types::*;
use super::*;

/// SOCKET: unsigned, as wide as a pointer.
pub(super) type Socket = usize;
/// INVALID_SOCKET.
const INVALID: Socket = usize::MAX;
/// SOCKET_ERROR.
const FAILED: c_int = -1;

pub(super) const WSAEFAULT: c_int = 10014;
pub(super) const WSAEINVAL: c_int = 10022;
const WSAENOTSOCK: c_int = 10038;
pub(super) const WSAEAFNOSUPPORT: c_int = 10047;
const WSAVERNOTSUPPORTED: c_int = 10092;
const WSANOTINITIALISED: c_int = 10093;
pub(super) const WSANO_DATA: c_int = 11004;

/// What tunsock_WSAStartup tells; `winsock2.h` calls it WSADATA.
#[repr(C)]
pub struct tunsock_wsadata {
    /// Version that was agreed on: major in the low byte, minor in the high byte.
    wVersion: c_ushort,
    /// Highest version there is.
    wHighVersion: c_ushort,
    /// Name of the library.
    szDescription: [c_char; 257],
    /// State of the library.
    szSystemStatus: [c_char; 129],
    /// Not used since version 2.
    iMaxSockets: c_ushort,
    /// Not used since version 2.
    iMaxUdpDg: c_ushort,
    /// Not used since version 2.
    lpVendorInfo: *mut c_char,
}

/// How often WSAStartup was called and not yet undone.
static STARTED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// WSAGetLastError's value.
    static LAST_ERROR: Cell<c_int> = const { Cell::new(0) };
}

/// Sets WSAGetLastError's value.
pub(super) fn set_last_error(error: c_int) {
    // A thread on its way out has nobody to ask for it any more.
    let _ = LAST_ERROR.try_with(|last| last.set(error));
}

/// Version 2.2 as a WORD.
const HIGHEST: c_ushort = 0x0202;

/// The version to agree on: the highest there is that is not above the one asked for. `None`: there is none.
fn agreed(asked: c_ushort) -> Option<c_ushort> {
    let (major, minor) = (asked & 0xff, asked >> 8);
    match (major, minor) {
        (0, _) => None,
        (1, 0) => Some(0x0001),
        (1, _) => Some(0x0101),
        (2, 0) => Some(0x0002),
        (2, 1) => Some(0x0102),
        _ => Some(HIGHEST),
    }
}

/// WSAStartup: 0, or WSAVERNOTSUPPORTED or WSAEFAULT. Each success is undone by one WSACleanup.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_WSAStartup(asked: c_ushort, data: *mut tunsock_wsadata) -> c_int {
    if user::check(data, size_of::<tunsock_wsadata>()).is_err() {
        return WSAEFAULT;
    }
    let text = |text: &[u8], out: &mut [c_char]| {
        out.fill(0);
        out.iter_mut()
            .zip(text)
            .for_each(|(to, &from)| *to = from as c_char);
    };
    let version = agreed(asked);
    let mut filled = tunsock_wsadata {
        // Also on refusal, so that the caller sees what it could have had.
        wVersion: version.unwrap_or(HIGHEST),
        wHighVersion: HIGHEST,
        szDescription: [0; 257],
        szSystemStatus: [0; 129],
        iMaxSockets: 0,
        iMaxUdpDg: 0,
        lpVendorInfo: std::ptr::null_mut(),
    };
    text(b"tunsock", &mut filled.szDescription);
    text(b"Running", &mut filled.szSystemStatus);
    // SAFETY: the caller vouches for the room.
    unsafe { data.write(filled) };
    if version.is_none() {
        return WSAVERNOTSUPPORTED;
    }
    STARTED.fetch_add(1, Ordering::Relaxed);
    0
}

/// WSACleanup: 0, or SOCKET_ERROR with WSANOTINITIALISED. Sockets that are still open stay open until the process ends.
#[unsafe(no_mangle)]
pub extern "C" fn tunsock_WSACleanup() -> c_int {
    let taken = STARTED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
        count.checked_sub(1)
    });
    if taken.is_ok() {
        0
    } else {
        fail(WSANOTINITIALISED)
    }
}

/// WSAGetLastError: why this thread's last call failed.
#[unsafe(no_mangle)]
pub extern "C" fn tunsock_WSAGetLastError() -> c_int {
    LAST_ERROR.try_with(Cell::get).unwrap_or(0)
}

/// WSASetLastError.
#[unsafe(no_mangle)]
pub extern "C" fn tunsock_WSASetLastError(error: c_int) {
    set_last_error(error);
}

/// socket: a SOCKET or INVALID_SOCKET.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_socket(family: c_int, kind: c_int, protocol: c_int) -> Socket {
    // SAFETY: plain numbers.
    socket_or_invalid(|| unsafe { tunsock_socket(family, kind, protocol) })
}

/// accept: a SOCKET or INVALID_SOCKET. The length is an int here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_accept(
    socket: Socket,
    addr: *mut tunsock_sockaddr,
    len: *mut c_int,
) -> Socket {
    // SAFETY: the caller's own arguments; int and socklen_t have one size.
    socket_or_invalid(|| unsafe { tunsock_accept(number(socket), addr, len.cast()) })
}

/// bind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_bind(
    socket: Socket,
    addr: *const tunsock_sockaddr,
    len: c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    result(|| unsafe { tunsock_bind(number(socket), addr, len as c_uint) })
}

/// listen; SOMAXCONN is the largest int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_listen(socket: Socket, backlog: c_int) -> c_int {
    // SAFETY: plain numbers.
    result(|| unsafe { tunsock_listen(number(socket), backlog) })
}

/// connect; WSAEWOULDBLOCK when a socket that does not block begins to connect.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_connect(
    socket: Socket,
    addr: *const tunsock_sockaddr,
    len: c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    result(|| unsafe { tunsock_connect(number(socket), addr, len as c_uint) })
}

/// shutdown: SD_RECEIVE, SD_SEND, SD_BOTH are SHUT_RD, SHUT_WR, SHUT_RDWR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_shutdown(socket: Socket, how: c_int) -> c_int {
    // SAFETY: plain numbers.
    result(|| unsafe { tunsock_shutdown(number(socket), how) })
}

/// closesocket.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_closesocket(socket: Socket) -> c_int {
    // SAFETY: plain numbers.
    result(|| unsafe { tunsock_close(number(socket)) })
}

/// ioctlsocket: FIONBIO, FIONREAD, SIOCATMARK with a u_long of 32 bits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_ioctlsocket(
    socket: Socket,
    request: c_long,
    arg: *mut c_uint,
) -> c_int {
    // SAFETY: the caller's own arguments.
    result(|| unsafe { tunsock_ioctl(number(socket), request as libc::c_ulong, arg.cast()) })
}

/// send. A broken connection is WSAESHUTDOWN or WSAECONNRESET, never a signal.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_send(
    socket: Socket,
    data: *const c_char,
    len: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    counted(len, |len| unsafe {
        tunsock_send(number(socket), data.cast(), len, flags | libc::MSG_NOSIGNAL)
    })
}

/// sendto.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_sendto(
    socket: Socket,
    data: *const c_char,
    len: c_int,
    flags: c_int,
    addr: *const tunsock_sockaddr,
    addr_len: c_int,
) -> c_int {
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: the caller's own arguments.
    counted(len, |len| unsafe {
        tunsock_sendto(
            number(socket),
            data.cast(),
            len,
            flags,
            addr,
            addr_len as c_uint,
        )
    })
}

/// recv.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_recv(
    socket: Socket,
    data: *mut c_char,
    len: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    counted(len, |len| unsafe {
        tunsock_recv(number(socket), data.cast(), len, flags)
    })
}

/// recvfrom.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_recvfrom(
    socket: Socket,
    data: *mut c_char,
    len: c_int,
    flags: c_int,
    addr: *mut tunsock_sockaddr,
    addr_len: *mut c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    counted(len, |len| unsafe {
        tunsock_recvfrom(
            number(socket),
            data.cast(),
            len,
            flags,
            addr,
            addr_len.cast(),
        )
    })
}

/// getsockname.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_getsockname(
    socket: Socket,
    addr: *mut tunsock_sockaddr,
    len: *mut c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    result(|| unsafe { tunsock_getsockname(number(socket), addr, len.cast()) })
}

/// getpeername.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_getpeername(
    socket: Socket,
    addr: *mut tunsock_sockaddr,
    len: *mut c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    result(|| unsafe { tunsock_getpeername(number(socket), addr, len.cast()) })
}

/// select. The first argument is ignored, as in Winsock, and the time is not changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_select(
    _nfds: c_int,
    readfds: *mut tunsock_fd_set,
    writefds: *mut tunsock_fd_set,
    exceptfds: *mut tunsock_fd_set,
    timeout: *const tunsock_timeval,
) -> c_int {
    result(|| {
        let time = if timeout.is_null() {
            None
        } else {
            // SAFETY: any bytes are a timeval.
            match unsafe { user::read(timeout) } {
                Ok(time) => Some(time),
                Err(fault) => return errno::answer(|| Err(fault)),
            }
        };
        let mut time = time;
        let time = time
            .as_mut()
            .map_or(std::ptr::null_mut(), |time| &raw mut *time);
        // SAFETY: the caller's own sets, each of FD_SETSIZE bits.
        unsafe {
            tunsock_select(
                libc::FD_SETSIZE as c_int,
                readfds,
                writefds,
                exceptfds,
                time,
            )
        }
    })
}

/// gethostbyname.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_gethostbyname(name: *const c_char) -> *mut tunsock_hostent {
    // SAFETY: the caller's own argument.
    host(|| unsafe { tunsock_gethostbyname(name) })
}

/// gethostbyaddr.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_gethostbyaddr(
    addr: *const c_char,
    len: c_int,
    family: c_int,
) -> *mut tunsock_hostent {
    // SAFETY: the caller's own arguments.
    host(|| unsafe { tunsock_gethostbyaddr(addr.cast::<c_void>(), len as c_uint, family) })
}

/// A handle as a descriptor; one that can't be a descriptor is none.
pub(super) fn number(socket: Socket) -> c_int {
    c_int::try_from(socket).unwrap_or(-1)
}

/// Whether WSAStartup was called; WSANOTINITIALISED if not.
pub(super) fn started() -> bool {
    let started = STARTED.load(Ordering::Relaxed) != 0;
    if !started {
        set_last_error(WSANOTINITIALISED);
    }
    started
}

fn fail(error: c_int) -> c_int {
    set_last_error(error);
    FAILED
}

/// Runs a call that returns -1 and errno on failure, with Winsock's rules around it.
pub(super) fn result(call: impl FnOnce() -> c_int) -> c_int {
    if !started() {
        return FAILED;
    }
    let outcome = call();
    if outcome < 0 {
        return fail(error_of(errno::get()));
    }
    outcome
}

/// As `result` for a call that returns a socket.
pub(super) fn socket_or_invalid(call: impl FnOnce() -> c_int) -> Socket {
    Socket::try_from(result(call)).unwrap_or(INVALID)
}

/// As `result` for a call that takes and returns a number of bytes.
fn counted(len: c_int, call: impl FnOnce(usize) -> isize) -> c_int {
    result(|| match usize::try_from(len) {
        // No more than `len`, so an int holds it.
        Ok(len) => call(len) as c_int,
        Err(_) => errno::answer(|| Err(errno::Errno(libc::EFAULT))),
    })
}

fn host(call: impl FnOnce() -> *mut tunsock_hostent) -> *mut tunsock_hostent {
    if !started() {
        return std::ptr::null_mut();
    }
    let found = call();
    if found.is_null() {
        // WSAHOST_NOT_FOUND, WSATRY_AGAIN, WSANO_RECOVERY, WSANO_DATA: h_errno's values in their order.
        match hostent::h_errno() {
            why @ 1..=4 => set_last_error(11000 + why),
            _ => set_last_error(error_of(errno::get())),
        }
    }
    found
}

/// Winsock's error for an errno. Most are 10000 and the number that the errno has in 4.3BSD.
pub(super) fn error_of(errno: c_int) -> c_int {
    match errno {
        libc::EINTR => 10004,
        libc::EBADF | libc::ENOTSOCK => WSAENOTSOCK,
        libc::EACCES | libc::EPERM => 10013,
        libc::EFAULT => WSAEFAULT,
        libc::EINVAL | libc::ENOTTY | libc::EDOM => WSAEINVAL,
        libc::EMFILE | libc::ENFILE => 10024,
        // A connect that goes on is "would block" there.
        libc::EAGAIN | libc::EINPROGRESS => 10035,
        libc::EALREADY => 10037,
        libc::EDESTADDRREQ => 10039,
        libc::EMSGSIZE => 10040,
        libc::EPROTOTYPE => 10041,
        libc::ENOPROTOOPT => 10042,
        libc::EPROTONOSUPPORT => 10043,
        libc::ESOCKTNOSUPPORT => 10044,
        libc::EOPNOTSUPP => 10045,
        libc::EPFNOSUPPORT => 10046,
        libc::EAFNOSUPPORT => WSAEAFNOSUPPORT,
        libc::EADDRINUSE => 10048,
        libc::EADDRNOTAVAIL => 10049,
        libc::ENETDOWN => 10050,
        libc::ENETUNREACH => 10051,
        libc::ENETRESET => 10052,
        libc::ECONNABORTED => 10053,
        libc::ECONNRESET => 10054,
        libc::ENOBUFS | libc::ENOMEM => 10055,
        libc::EISCONN => 10056,
        libc::ENOTCONN => 10057,
        libc::EPIPE | libc::ESHUTDOWN => 10058,
        libc::ETIMEDOUT => 10060,
        libc::ECONNREFUSED => 10061,
        libc::EHOSTDOWN => 10064,
        libc::EHOSTUNREACH => 10065,
        // WSASYSCALLFAILURE.
        _ => 10107,
    }
}

#[cfg(test)]
#[allow(clippy::undocumented_unsafe_blocks)] // all of it on the test's own memory
mod tests {
    use super::*;

    #[test]
    fn versions_are_agreed_on() {
        assert_eq!(agreed(0x0202), Some(0x0202));
        assert_eq!(agreed(0x0101), Some(0x0101));
        assert_eq!(agreed(0x0501), Some(0x0101));
        assert_eq!(agreed(0x0003), Some(0x0202));
        assert_eq!(agreed(0x0200), None);
    }

    #[test]
    fn nothing_works_before_startup_and_calls_are_counted() {
        assert_eq!(tunsock_WSACleanup(), FAILED);
        assert_eq!(tunsock_WSAGetLastError(), WSANOTINITIALISED);
        assert_eq!(
            unsafe { tunsock_ws_socket(libc::AF_INET, libc::SOCK_STREAM, 0) },
            INVALID
        );
        assert_eq!(tunsock_WSAGetLastError(), WSANOTINITIALISED);
        let mut data = std::mem::MaybeUninit::<tunsock_wsadata>::zeroed();
        unsafe {
            assert_eq!(tunsock_WSAStartup(0x0202, std::ptr::null_mut()), WSAEFAULT);
            assert_eq!(tunsock_WSAStartup(0x0202, data.as_mut_ptr()), 0);
            assert_eq!(tunsock_WSAStartup(0x0101, data.as_mut_ptr()), 0);
            assert_eq!(data.assume_init_ref().wVersion, 0x0101);
        }
        tunsock_WSASetLastError(0);
        assert_eq!(
            (
                tunsock_WSACleanup(),
                tunsock_WSACleanup(),
                tunsock_WSACleanup()
            ),
            (0, 0, FAILED)
        );
    }
}
