//! res_query and its kin of resolv.h, over the stack. (res_init, res_mkquery and what else touches no network stay libc's.)

use std::ffi::CStr;
use std::net::{Ipv4Addr, SocketAddr};

use libc::{c_char, c_int, c_uchar, c_void};

use super::netdb::text;
use super::{errno, hostent, user};
use crate::names::{Ask, NoUse, Raw, State, Status};

/// The front of struct __res_state, resolv.h (glibc, 64 bits).
#[repr(C)]
struct ResState {
    retrans: c_int,
    retry: c_int,
    options: u64,
    nscount: c_int,
    nsaddr_list: [libc::sockaddr_in; 3],
    id: u16,
    dnsrch: [*mut c_char; 7],
    defdname: [c_char; 256],
    pfcode: u64,
    bits: u32,
    sort_list: [[u32; 2]; 10],
    hooks: [*mut c_void; 2],
    res_h_errno: c_int,
}

/// resolv.h: the state is filled in; ask over TCP.
const RES_INIT: u64 = 1;
const RES_USEVC: u64 = 8;

unsafe extern "C" {
    /// libc's state of the calling thread: `_res`.
    fn __res_state() -> *mut ResState;
}

/// Asks DNS, over the stack, for records of a name exactly as it is: class and kind are numbers of arpa/nameser.h. At most len bytes of
/// the answer are stored; an answer that is cut has its TC bit set.
///
/// Returns the answer's length (which may be more than len), or -1 with h_errno HOST_NOT_FOUND, NO_DATA, NO_RECOVERY or TRY_AGAIN (no
/// name server has answered).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_res_query(
    name: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    len: c_int,
) -> c_int {
    // SAFETY: libc's own state, and the caller's own arguments.
    unsafe { tunsock_res_nquery(own_state(), name, class, kind, answer, len) }
}

/// As tunsock_res_query with servers, times and options of a state that res_ninit has filled (struct __res_state of resolv.h).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_res_nquery(
    state: *mut c_void,
    name: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    len: c_int,
) -> c_int {
    // SAFETY: the caller vouches for a C string, the state and the room.
    unsafe {
        let name = text(name).map(CStr::to_bytes);
        told(state, answer, len, |raw| {
            raw.query(name.ok_or(NoUse::NO_NAME)?, ask(class, kind)?)
        })
    }
}

/// As tunsock_res_query with the domains of the search list behind the name where its dots ask for that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_res_search(
    name: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    len: c_int,
) -> c_int {
    // SAFETY: libc's own state, and the caller's own arguments.
    unsafe { tunsock_res_nsearch(own_state(), name, class, kind, answer, len) }
}

/// As tunsock_res_search with a state.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_res_nsearch(
    state: *mut c_void,
    name: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    len: c_int,
) -> c_int {
    // SAFETY: the caller vouches for a C string, the state and the room.
    unsafe {
        let name = text(name).map(CStr::to_bytes);
        told(state, answer, len, |raw| {
            raw.search(name.ok_or(NoUse::NO_NAME)?, ask(class, kind)?)
        })
    }
}

/// As tunsock_res_query for name, a dot and domain. NULL for a domain is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_res_querydomain(
    name: *const c_char,
    domain: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    len: c_int,
) -> c_int {
    // SAFETY: libc's own state, and the caller's own arguments.
    unsafe { tunsock_res_nquerydomain(own_state(), name, domain, class, kind, answer, len) }
}

/// As tunsock_res_querydomain with a state.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_res_nquerydomain(
    state: *mut c_void,
    name: *const c_char,
    domain: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    len: c_int,
) -> c_int {
    // SAFETY: the caller vouches for C strings, the state and the room.
    unsafe {
        let name = text(name).map(CStr::to_bytes);
        let full = match (name, text(domain).map(CStr::to_bytes)) {
            (Some(name), Some(domain)) => Some([name, b".", domain].concat()),
            (name, None) => name.map(<[u8]>::to_vec),
            (None, _) => None,
        };
        told(state, answer, len, |raw| {
            raw.query(&full.ok_or(NoUse::NO_NAME)?, ask(class, kind)?)
        })
    }
}

/// Sends a DNS message of the caller's own making to the name servers, over the stack, and stores at most len bytes of the answer.
///
/// Returns the answer's length, or -1 with errno EINVAL (no DNS message), ECONNREFUSED (no name server is there) or ETIMEDOUT (none has
/// answered).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_res_send(
    message: *const c_uchar,
    message_len: c_int,
    answer: *mut c_uchar,
    len: c_int,
) -> c_int {
    // SAFETY: libc's own state, and the caller's own arguments.
    unsafe { tunsock_res_nsend(own_state(), message, message_len, answer, len) }
}

/// As tunsock_res_send with a state.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_res_nsend(
    state: *mut c_void,
    message: *const c_uchar,
    message_len: c_int,
    answer: *mut c_uchar,
    len: c_int,
) -> c_int {
    let message_len = usize::try_from(message_len).unwrap_or(0);
    // SAFETY: the caller vouches for the message.
    let message = unsafe { user::bytes(message.cast(), message_len) };
    let Some(message) = message.ok().filter(|m| m.len() >= HEADER && len >= 12) else {
        errno::set(libc::EINVAL);
        return -1;
    };
    let mut stored = -1;
    // SAFETY: the caller vouches for the state and the room.
    let outcome = unsafe {
        let mut sink = |reply: &[u8]| stored = store(reply, answer, len);
        Raw::new(settings(state.cast()), &mut sink).send(message)
    };
    if let Err(silence) = outcome {
        errno::set(why_silent(silence.refused));
    }
    stored
}

/// A DNS message is at least its header.
const HEADER: usize = 12;

fn why_silent(refused: bool) -> c_int {
    if refused {
        libc::ECONNREFUSED
    } else {
        libc::ETIMEDOUT
    }
}

fn ask(class: c_int, kind: c_int) -> Result<Ask, NoUse> {
    match (u16::try_from(class), u16::try_from(kind)) {
        (Ok(class), Ok(kind)) => Ok(Ask { kind, class }),
        _ => Err(NoUse::NO_NAME),
    }
}

fn own_state() -> *mut c_void {
    // SAFETY: takes nothing.
    unsafe { __res_state().cast() }
}

/// What the program has set in a state; `None`: nothing, it was never filled in.
///
/// # Safety
/// NULL, or a state.
unsafe fn settings(state: *const ResState) -> Option<State> {
    // SAFETY: the caller vouches.
    let state = unsafe { state.as_ref() }.filter(|state| state.options & RES_INIT != 0)?;
    let count = usize::try_from(state.nscount).unwrap_or(0);
    let server = |addr: &libc::sockaddr_in| {
        let ip = Ipv4Addr::from(u32::from_be(addr.sin_addr.s_addr));
        let used = c_int::from(addr.sin_family) == libc::AF_INET;
        used.then(|| SocketAddr::from((ip, u16::from_be(addr.sin_port))))
    };
    let servers = state.nsaddr_list.iter().take(count).filter_map(server);
    Some(State {
        servers: servers.collect(),
        timeout: u64::try_from(state.retrans).unwrap_or(0),
        attempts: u32::try_from(state.retry).unwrap_or(0),
        use_vc: state.options & RES_USEVC != 0,
    })
}

/// Asks, stores the last answer and tells how it went: its length, or -1 with h_errno.
///
/// # Safety
/// A state or NULL; room for `len` bytes.
unsafe fn told(
    state: *mut c_void,
    answer: *mut c_uchar,
    len: c_int,
    question: impl FnOnce(&mut Raw<'_>) -> Result<(), NoUse>,
) -> c_int {
    let before = errno::get();
    let state: *mut ResState = state.cast();
    let mut stored = -1;
    // SAFETY: the caller vouches for the state and the room.
    let outcome = unsafe {
        let mut sink = |reply: &[u8]| stored = store(reply, answer, len);
        question(&mut Raw::new(settings(state), &mut sink))
    };
    errno::set(before);
    let (result, why) = match outcome {
        Ok(()) => (stored, 0),
        Err(no_use) => {
            if no_use.miss.status == Status::Unavailable {
                errno::set(why_silent(no_use.refused));
            }
            (-1, hostent::h_errno_of(no_use.miss.why))
        }
    };
    if why != 0 {
        hostent::set_h_errno(why);
        // SAFETY: the caller vouches.
        if let Some(state) = unsafe { state.as_mut() } {
            state.res_h_errno = why;
        }
    }
    result
}

/// As much of a reply as there is room for; one that is cut says so (TC, RFC 1035 4.1.1).
///
/// # Safety
/// `answer` has room for `len` bytes.
unsafe fn store(reply: &[u8], answer: *mut c_uchar, len: c_int) -> c_int {
    let room = usize::try_from(len).unwrap_or(0);
    let fits = reply.len().min(room);
    if !answer.is_null() {
        // SAFETY: the caller vouches for the room.
        unsafe {
            answer.copy_from_nonoverlapping(reply.as_ptr(), fits);
            if fits < reply.len() && fits > 2 {
                *answer.add(2) |= 2;
            }
        }
    }
    c_int::try_from(reply.len()).unwrap_or(c_int::MAX)
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn the_state_is_laid_out_as_libcs() {
        assert_eq!(offset_of!(ResState, nsaddr_list), 20);
        assert_eq!(offset_of!(ResState, dnsrch), 72);
        assert_eq!(offset_of!(ResState, pfcode), 384);
        assert_eq!(offset_of!(ResState, res_h_errno), 496);
    }

    #[test]
    fn an_answer_that_is_cut_says_so() {
        let mut room = [0; 4];
        // SAFETY: room of four bytes.
        let len = unsafe { store(&[1; 9], room.as_mut_ptr(), 4) };
        assert_eq!((len, room), (9, [1, 1, 3, 1]));
    }
}
