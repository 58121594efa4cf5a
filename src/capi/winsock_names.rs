//! The second half of `winsock2.h`'s runtime, and that of `ws2tcpip.h`: names and addresses, WSAPoll, WSASocket.
#![allow(non_snake_case, non_camel_case_types)] // Winsock's own names

use std::ffi::CStr;

use libc::{c_char, c_int, c_short, c_uint, c_ushort, c_void};

use super::errno::{self, Errno};
use super::types::*;
use super::winsock::{
    Socket, WSAEAFNOSUPPORT, WSAEFAULT, WSAEINVAL, WSANO_DATA, error_of, number, result,
    set_last_error, socket_or_invalid, started, tunsock_WSAGetLastError,
};
use super::*;

// libc's own, which ask nobody: numbers and texts, and files.
unsafe extern "C" {
    fn inet_pton(family: c_int, text: *const c_char, addr: *mut c_void) -> c_int;
    fn inet_ntop(
        family: c_int,
        addr: *const c_void,
        text: *mut c_char,
        room: c_uint,
    ) -> *const c_char;
}

/// WSA_NOT_ENOUGH_MEMORY.
const WSA_NOT_ENOUGH_MEMORY: c_int = 8;
const WSAESOCKTNOSUPPORT: c_int = 10044;
const WSATYPE_NOT_FOUND: c_int = 10109;
const WSAHOST_NOT_FOUND: c_int = 11001;
const WSATRY_AGAIN: c_int = 11002;
const WSANO_RECOVERY: c_int = 11003;

/// WSA_FLAG_OVERLAPPED: sockets are ready for what there is of it, which is nothing beyond the plain calls.
const WSA_FLAG_OVERLAPPED: c_uint = 0x01;
/// WSA_FLAG_NO_HANDLE_INHERIT: programs that this one starts do not get the handle.
const WSA_FLAG_NO_HANDLE_INHERIT: c_uint = 0x80;

/// struct pollfd as WSAPoll has it; `winsock2.h` calls it WSAPOLLFD.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_wsapollfd {
    /// The handle; a negative one is passed over.
    fd: Socket,
    /// What is waited for.
    events: c_short,
    /// What there is.
    revents: c_short,
}

/// WSASocket: a SOCKET or INVALID_SOCKET. WSAEINVAL for a protocol's description, a group, or flags that there are not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_WSASocketA(
    family: c_int,
    kind: c_int,
    protocol: c_int,
    description: *mut c_void,
    group: c_uint,
    flags: c_uint,
) -> Socket {
    let known = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT;
    socket_or_invalid(|| {
        if !description.is_null() || group != 0 || flags & !known != 0 {
            return errno::answer(|| Err(Errno(libc::EINVAL)));
        }
        let kept = match flags & WSA_FLAG_NO_HANDLE_INHERIT {
            0 => 0,
            _ => libc::SOCK_CLOEXEC,
        };
        // SAFETY: plain numbers.
        unsafe { tunsock_socket(family, kind | kept, protocol) }
    })
}

/// WSAPoll: how many handles have something, 0 when the time (milliseconds, negative: for ever) is over, SOCKET_ERROR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_WSAPoll(
    fds: *mut tunsock_wsapollfd,
    count: c_uint,
    timeout: c_int,
) -> c_int {
    result(|| {
        let Some(count) = usize::try_from(count).ok().filter(|&count| count > 0) else {
            return errno::answer(|| Err(Errno(libc::EINVAL)));
        };
        let len = count.saturating_mul(size_of::<tunsock_wsapollfd>());
        if user::check(fds, len).is_err() {
            return errno::answer(|| Err(Errno(libc::EFAULT)));
        }
        // SAFETY: the caller vouches for as many entries as it says.
        let entries = unsafe { std::slice::from_raw_parts_mut(fds, count) };
        let mut all: Vec<tunsock_pollfd> = (entries.iter())
            .map(|entry| tunsock_pollfd {
                // A handle that can't be a descriptor is negative, and passed over.
                fd: number(entry.fd),
                events: entry.events,
                revents: 0,
            })
            .collect();
        // SAFETY: as many entries as there are.
        let ready = unsafe { tunsock_poll(all.as_mut_ptr(), all.len() as tunsock_nfds_t, timeout) };
        if ready >= 0 {
            for (entry, polled) in entries.iter_mut().zip(&all) {
                entry.revents = polled.revents;
            }
        }
        ready
    })
}

/// gethostname: 0 or SOCKET_ERROR; WSAEFAULT when the name finds no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_gethostname(name: *mut c_char, len: c_int) -> c_int {
    result(|| {
        let room = usize::try_from(len).unwrap_or(0);
        if room == 0 || user::check(name, room).is_err() {
            return errno::answer(|| Err(Errno(libc::EFAULT)));
        }
        // SAFETY: the caller vouches for the room.
        let outcome = unsafe { libc::gethostname(name, room) };
        // SAFETY: within the room.
        let ends = unsafe { std::slice::from_raw_parts(name, room) }.contains(&0);
        match outcome {
            0 if ends => 0,
            _ => errno::answer(|| Err(Errno(libc::EFAULT))),
        }
    })
}

/// getaddrinfo: 0, or one of Winsock's errors, which WSAGetLastError returns too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const tunsock_addrinfo,
    answers: *mut *mut tunsock_addrinfo,
) -> c_int {
    // SAFETY: the caller's own arguments.
    named(|| unsafe { tunsock_getaddrinfo(node, service, hints, answers) })
}

/// freeaddrinfo.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_freeaddrinfo(answers: *mut tunsock_addrinfo) {
    // SAFETY: the caller's own argument.
    unsafe { tunsock_freeaddrinfo(answers) }
}

/// getnameinfo: 0, or one of Winsock's errors, which WSAGetLastError returns too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_getnameinfo(
    addr: *const tunsock_sockaddr,
    len: c_int,
    host: *mut c_char,
    host_len: c_uint,
    service: *mut c_char,
    service_len: c_uint,
    flags: c_int,
) -> c_int {
    let len = len as c_uint;
    // SAFETY: the caller's own arguments.
    named(|| unsafe { tunsock_getnameinfo(addr, len, host, host_len, service, service_len, flags) })
}

/// gai_strerror: what an error of these calls means.
#[unsafe(no_mangle)]
pub extern "C" fn tunsock_ws_gai_strerror(error: c_int) -> *const c_char {
    let text: &CStr = match error {
        0 => c"Success",
        WSA_NOT_ENOUGH_MEMORY => c"Memory allocation failure",
        WSAEINVAL => c"Invalid flags or arguments",
        WSAEFAULT => c"Not enough room for the answer",
        WSAESOCKTNOSUPPORT => c"Socket type not supported",
        WSAEAFNOSUPPORT => c"Address family not supported",
        WSATYPE_NOT_FOUND => c"Service not known for the socket type",
        WSAHOST_NOT_FOUND => c"Name or service not known",
        WSATRY_AGAIN => c"Temporary failure in name resolution",
        WSANO_RECOVERY => c"Failure in name resolution that stays",
        WSANO_DATA => c"No address of that kind for the name",
        _ => c"Unknown error",
    };
    text.as_ptr()
}

/// inet_pton: 1, 0 when the text is no address, -1 and WSAEAFNOSUPPORT or WSAEFAULT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_inet_pton(
    family: c_int,
    text: *const c_char,
    addr: *mut c_void,
) -> c_int {
    if text.is_null() || addr.is_null() {
        set_last_error(WSAEFAULT);
        return -1;
    }
    // SAFETY: the caller vouches for a C string, and for the room of an address of the family.
    let outcome = unsafe { inet_pton(family, text, addr) };
    if outcome < 0 {
        set_last_error(WSAEAFNOSUPPORT);
    }
    outcome
}

/// inet_ntop: the text, or NULL and WSAEAFNOSUPPORT, WSAEFAULT, or WSAEINVAL when it finds no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_inet_ntop(
    family: c_int,
    addr: *const c_void,
    text: *mut c_char,
    room: usize,
) -> *const c_char {
    if text.is_null() || addr.is_null() {
        set_last_error(WSAEFAULT);
        return std::ptr::null();
    }
    let room = c_uint::try_from(room).unwrap_or(c_uint::MAX);
    // SAFETY: the caller vouches for an address of the family and the room.
    let found = unsafe { inet_ntop(family, addr, text, room) };
    if found.is_null() {
        let why = match family {
            libc::AF_INET | libc::AF_INET6 => WSAEINVAL,
            _ => WSAEAFNOSUPPORT,
        };
        set_last_error(why);
    }
    found
}

/// getservbyname, of /etc/services.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_getservbyname(
    name: *const c_char,
    protocol: *const c_char,
) -> *mut c_void {
    if name.is_null() {
        set_last_error(WSAEFAULT);
        return std::ptr::null_mut();
    }
    // SAFETY: the caller's own C strings.
    listed(|| unsafe { libc::getservbyname(name, protocol).cast() })
}

/// getservbyport: the port in network byte order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_getservbyport(
    port: c_int,
    protocol: *const c_char,
) -> *mut c_void {
    // As htons gives it, whatever the sign.
    let port = c_int::from(port as c_ushort);
    // SAFETY: the caller's own C string.
    listed(|| unsafe { libc::getservbyport(port, protocol).cast() })
}

/// getprotobyname, of /etc/protocols.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_getprotobyname(name: *const c_char) -> *mut c_void {
    if name.is_null() {
        set_last_error(WSAEFAULT);
        return std::ptr::null_mut();
    }
    // SAFETY: the caller's own C string.
    listed(|| unsafe { libc::getprotobyname(name).cast() })
}

/// getprotobynumber.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_getprotobynumber(number: c_int) -> *mut c_void {
    // SAFETY: a plain number.
    listed(|| unsafe { libc::getprotobynumber(number).cast() })
}

/// An entry of a file; WSANO_DATA when there is none.
fn listed(find: impl FnOnce() -> *mut c_void) -> *mut c_void {
    if !started() {
        return std::ptr::null_mut();
    }
    let found = find();
    if found.is_null() {
        set_last_error(WSANO_DATA);
    }
    found
}

/// A call that returns EAI_*, with Winsock's rules around it.
fn named(call: impl FnOnce() -> c_int) -> c_int {
    if !started() {
        return tunsock_WSAGetLastError();
    }
    let error = match call() {
        0 => 0,
        libc::EAI_AGAIN => WSATRY_AGAIN,
        libc::EAI_BADFLAGS => WSAEINVAL,
        libc::EAI_FAIL => WSANO_RECOVERY,
        libc::EAI_FAMILY => WSAEAFNOSUPPORT,
        libc::EAI_MEMORY => WSA_NOT_ENOUGH_MEMORY,
        libc::EAI_SERVICE => WSATYPE_NOT_FOUND,
        libc::EAI_SOCKTYPE => WSAESOCKTNOSUPPORT,
        libc::EAI_OVERFLOW => WSAEFAULT,
        libc::EAI_SYSTEM => error_of(errno::get()),
        EAI_NODATA | EAI_ADDRFAMILY => WSANO_DATA,
        _ => WSAHOST_NOT_FOUND,
    };
    if error != 0 {
        set_last_error(error);
    }
    error
}

/// netdb.h: the name has no address; none of the family.
const EAI_NODATA: c_int = -5;
const EAI_ADDRFAMILY: c_int = -9;
