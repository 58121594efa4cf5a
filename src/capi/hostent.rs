//! gethostbyname and its kin, in C's memory.

use std::cell::RefCell;
use std::ffi::CStr;
use std::net::IpAddr;

use libc::{c_char, c_int, c_long, c_void, size_t};

use super::netdb::text;
use super::types::{tunsock_hostent, tunsock_socklen_t};
use super::{errno, user};
use crate::names::{self, Host, Miss, Wanted, Why};

// h_errno's values, netdb.h; libc's crate has none of them.
const HOST_NOT_FOUND: c_int = 1;
const TRY_AGAIN: c_int = 2;
const NO_RECOVERY: c_int = 3;
const NO_DATA: c_int = 4;
/// NETDB_INTERNAL: errno says why.
const NETDB_INTERNAL: c_int = -1;

thread_local! {
    /// What the last gethostby* call of this thread answered; valid until the next, as netdb.h's own.
    static LAST: RefCell<(Vec<u64>, tunsock_hostent)> = const { RefCell::new((Vec::new(), NO_HOST)) };
}

const NO_HOST: tunsock_hostent = tunsock_hostent {
    h_name: std::ptr::null_mut(),
    h_aliases: std::ptr::null_mut(),
    h_addrtype: 0,
    h_length: 0,
    h_addr_list: std::ptr::null_mut(),
};

/// Finds the IPv4 addresses of a host, as tunsock_getaddrinfo does.
///
/// Returns a structure that is valid until the thread's next call of this kind, or NULL with h_errno HOST_NOT_FOUND, NO_DATA (no
/// such address), NO_RECOVERY or TRY_AGAIN (no name server has answered).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_gethostbyname(name: *const c_char) -> *mut tunsock_hostent {
    // SAFETY: the caller's own argument.
    unsafe { tunsock_gethostbyname2(name, libc::AF_INET) }
}

/// As tunsock_gethostbyname for AF_INET or AF_INET6.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_gethostbyname2(
    name: *const c_char,
    family: c_int,
) -> *mut tunsock_hostent {
    // SAFETY: the caller vouches for a C string.
    in_thread(|| by_name(unsafe { text(name) }, family))
}

/// Finds the name of an address of len bytes (4 for AF_INET, 16 for AF_INET6), as tunsock_gethostbyname.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_gethostbyaddr(
    addr: *const c_void,
    len: tunsock_socklen_t,
    family: c_int,
) -> *mut tunsock_hostent {
    // SAFETY: the caller vouches for `len` bytes.
    in_thread(|| unsafe { by_addr(addr, len, family) })
}

/// As tunsock_gethostbyname into the caller's memory: entry, and room for what it points to. The answer's address, or NULL, is
/// stored at answer, h_errno at why.
///
/// Returns 0, or an errno value: ERANGE (the room is too small), or with h_errno TRY_AGAIN EAGAIN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_gethostbyname_r(
    name: *const c_char,
    entry: *mut tunsock_hostent,
    room: *mut c_char,
    len: size_t,
    answer: *mut *mut tunsock_hostent,
    why: *mut c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { tunsock_gethostbyname2_r(name, libc::AF_INET, entry, room, len, answer, why) }
}

/// As tunsock_gethostbyname_r for AF_INET or AF_INET6.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_gethostbyname2_r(
    name: *const c_char,
    family: c_int,
    entry: *mut tunsock_hostent,
    room: *mut c_char,
    len: size_t,
    answer: *mut *mut tunsock_hostent,
    why: *mut c_int,
) -> c_int {
    // SAFETY: the caller vouches for the memory.
    unsafe { in_room(by_name(text(name), family), entry, (room, len), answer, why) }
}

/// As tunsock_gethostbyaddr into the caller's memory, as tunsock_gethostbyname_r.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_gethostbyaddr_r(
    addr: *const c_void,
    addr_len: tunsock_socklen_t,
    family: c_int,
    entry: *mut tunsock_hostent,
    room: *mut c_char,
    len: size_t,
    answer: *mut *mut tunsock_hostent,
    why: *mut c_int,
) -> c_int {
    // SAFETY: the caller vouches for the memory.
    unsafe {
        in_room(
            by_addr(addr, addr_len, family),
            entry,
            (room, len),
            answer,
            why,
        )
    }
}

/// The number in /etc/hostid, else one made of this machine's IPv4 address by its name, as gethostid(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_gethostid() -> c_long {
    let before = errno::get();
    let file = std::fs::read("/etc/hostid").ok();
    let number = file.and_then(|bytes| Some(i32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)));
    let by_name = || {
        let name = rustix::system::uname().nodename().to_owned();
        let (host, _) = by_name(Some(&name), libc::AF_INET).ok()?;
        let ip = host.addrs.iter().find_map(|ip| match ip {
            IpAddr::V4(ip) => Some(u32::from_ne_bytes(ip.octets())),
            IpAddr::V6(_) => None,
        })?;
        Some(ip.rotate_left(16).cast_signed())
    };
    let number = number.or_else(by_name).unwrap_or(0);
    errno::set(before);
    c_long::from(number)
}

/// h_errno's value for a failure.
pub(super) fn h_errno_of(why: Why) -> c_int {
    match why {
        Why::HostNotFound => HOST_NOT_FOUND,
        Why::TryAgain => TRY_AGAIN,
        Why::NoRecovery => NO_RECOVERY,
        Why::NoData => NO_DATA,
    }
}

/// A host with the addresses of one family only; the error is an h_errno value and the errno of the calls with `_r`.
type Found = Result<(Host, c_int), Failure>;

/// Why there is no host.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Failure {
    h_errno: c_int,
    errno: c_int,
}

/// No such family.
const BAD_FAMILY: Failure = Failure {
    h_errno: NETDB_INTERNAL,
    errno: libc::EAFNOSUPPORT,
};

impl Failure {
    /// glibc: not found is not a failure of the call.
    fn plain(h_errno: c_int) -> Failure {
        Failure { h_errno, errno: 0 }
    }
}

impl From<Miss> for Failure {
    fn from(miss: Miss) -> Failure {
        let h_errno = h_errno_of(miss.why);
        let errno = match miss.why {
            Why::TryAgain => libc::EAGAIN,
            _ => 0,
        };
        Failure { h_errno, errno }
    }
}

fn by_name(name: Option<&CStr>, family: c_int) -> Found {
    let name = name.ok_or(Failure::plain(HOST_NOT_FOUND))?;
    let wanted = match family {
        libc::AF_INET => Wanted::V4,
        libc::AF_INET6 => Wanted::V6,
        _ => return Err(BAD_FAMILY),
    };
    let of_family = |ip: &IpAddr| ip.is_ipv4() == (family == libc::AF_INET);
    let mut host = match names::numeric(name) {
        Some(addr) => Host {
            addrs: vec![addr.ip],
            ..Host::new(name.to_bytes())
        },
        None if name.is_empty() => return Err(Failure::plain(HOST_NOT_FOUND)),
        None => names::by_name(name.to_bytes(), wanted)?,
    };
    host.addrs.retain(of_family);
    if host.addrs.is_empty() {
        Err(Failure::plain(NO_DATA))
    } else {
        Ok((host, family))
    }
}

/// # Safety
/// `addr` has `len` bytes.
unsafe fn by_addr(addr: *const c_void, len: tunsock_socklen_t, family: c_int) -> Found {
    let no_address = Failure::plain(NO_RECOVERY);
    // SAFETY: the caller vouches.
    let bytes = unsafe { user::bytes(addr, len as usize) }.map_err(|_| no_address)?;
    let ip = match family {
        libc::AF_INET => <[u8; 4]>::try_from(bytes).map(IpAddr::from),
        libc::AF_INET6 => <[u8; 16]>::try_from(bytes).map(IpAddr::from),
        _ => return Err(BAD_FAMILY),
    };
    let ip = ip.map_err(|_| no_address)?;
    let host = names::by_addr(ip)?;
    // The answer has the address that was asked for, mapped or not.
    Ok((
        Host {
            addrs: vec![ip],
            ..host
        },
        family,
    ))
}

/// Answers from memory of the thread's own.
fn in_thread(find: impl FnOnce() -> Found) -> *mut tunsock_hostent {
    let before = errno::get();
    let no_room = Failure::plain(NO_RECOVERY);
    let outcome = find().and_then(|(host, family)| {
        LAST.try_with(|last| {
            let mut last = last.try_borrow_mut().map_err(|_| no_room)?;
            let (memory, entry) = &mut *last;
            memory.clear();
            memory.resize(needed(&host, family).div_ceil(8), 0);
            let room = (memory.as_mut_ptr().cast::<c_char>(), memory.len() * 8);
            // SAFETY: the room was made to be large enough, and stays until the next call.
            *entry = unsafe { fill(&host, family, room) }.ok_or(no_room)?;
            Ok(&raw mut *entry)
        })
        .unwrap_or(Err(no_room))
    });
    errno::set(before);
    match outcome {
        Ok(entry) => {
            set_h_errno(0);
            entry
        }
        Err(failure) => {
            if failure.errno != 0 {
                errno::set(failure.errno);
            }
            set_h_errno(failure.h_errno);
            std::ptr::null_mut()
        }
    }
}

/// Answers into the caller's memory.
///
/// # Safety
/// Every pointer has the room that its C type says; `room` is writable for its length.
unsafe fn in_room(
    found: Found,
    entry: *mut tunsock_hostent,
    room: (*mut c_char, size_t),
    answer: *mut *mut tunsock_hostent,
    why: *mut c_int,
) -> c_int {
    let (result, h_errno, status) = match found {
        // SAFETY: the caller vouches.
        Ok((host, family)) => match unsafe { fill(&host, family, room) } {
            Some(filled) => {
                // SAFETY: the caller vouches.
                unsafe { entry.write(filled) };
                (entry, 0, 0)
            }
            None => (std::ptr::null_mut(), NETDB_INTERNAL, libc::ERANGE),
        },
        Err(failure) => (std::ptr::null_mut(), failure.h_errno, failure.errno),
    };
    // SAFETY: the caller vouches.
    unsafe {
        answer.write(result);
        if !why.is_null() {
            why.write(h_errno);
        }
    }
    status
}

/// Bytes that `fill` takes at most.
fn needed(host: &Host, family: c_int) -> usize {
    let pointers = (host.names.len() + host.addrs.len() + 1) * size_of::<*mut c_char>();
    let names: usize = host.names.iter().map(|name| name.len() + 1).sum();
    pointers + host.addrs.len() * addr_len(family) + names + size_of::<*mut c_char>()
}

fn addr_len(family: c_int) -> usize {
    if family == libc::AF_INET { 4 } else { 16 }
}

/// Lays a host out in `room`: pointers, addresses, names. `None`: too small.
///
/// # Safety
/// The room is writable for its length.
unsafe fn fill(host: &Host, family: c_int, room: (*mut c_char, size_t)) -> Option<tunsock_hostent> {
    let pad = room.0.align_offset(align_of::<*mut c_char>());
    if room.0.is_null() || room.1.checked_sub(pad)? < needed(host, family) {
        return None;
    }
    let (aliases, addrs) = (host.names.len().saturating_sub(1), host.addrs.len());
    // SAFETY: all that is written below is counted in `needed`, and the room is aligned for pointers.
    unsafe {
        let pointers = room.0.add(pad).cast::<*mut c_char>();
        let mut next = pointers.add(aliases + 1 + addrs + 1).cast::<u8>();
        let mut put = |bytes: &[u8]| {
            let place = next;
            place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            next = next.add(bytes.len());
            place.cast::<c_char>()
        };
        let addr_list = pointers.add(aliases + 1);
        for (at, ip) in host.addrs.iter().enumerate() {
            addr_list.add(at).write(match ip {
                IpAddr::V4(ip) => put(&ip.octets()),
                IpAddr::V6(ip) => put(&ip.octets()),
            });
        }
        addr_list.add(addrs).write(std::ptr::null_mut());
        let mut name = |at: usize| {
            let start = put(host.names.get(at).map_or(&[][..], Vec::as_slice));
            put(&[0]);
            start
        };
        let official = name(0);
        for at in 0..aliases {
            pointers.add(at).write(name(at + 1));
        }
        pointers.add(aliases).write(std::ptr::null_mut());
        Some(tunsock_hostent {
            h_name: official,
            h_aliases: pointers,
            h_addrtype: family,
            h_length: addr_len(family) as c_int,
            h_addr_list: addr_list,
        })
    }
}

unsafe extern "C" {
    fn __h_errno_location() -> *mut c_int;
}

pub(super) fn set_h_errno(why: c_int) {
    // SAFETY: libc gives a valid pointer to the calling thread's h_errno.
    unsafe { *__h_errno_location() = why }
}

/// h_errno of the calling thread.
pub(super) fn h_errno() -> c_int {
    // SAFETY: as above.
    unsafe { *__h_errno_location() }
}

#[cfg(test)]
#[allow(clippy::undocumented_unsafe_blocks)] // all of it on the test's own memory
mod tests {
    use super::*;

    #[test]
    fn a_host_in_the_callers_memory() {
        let mut host = Host::new(b"big.example");
        host.names.push(b"big".to_vec());
        host.addrs = vec!["10.1.1.1".parse().unwrap(), "10.1.1.2".parse().unwrap()];
        let mut memory = [0 as c_char; 200];
        let exact = needed(&host, libc::AF_INET);
        // One byte off, so that the room has to be aligned.
        let at = unsafe { memory.as_mut_ptr().add(1) };
        assert!(unsafe { fill(&host, libc::AF_INET, (at, exact - 1)) }.is_none());
        let entry = unsafe { fill(&host, libc::AF_INET, (at, 199)) }.unwrap();
        unsafe {
            assert_eq!(CStr::from_ptr(entry.h_name), c"big.example");
            assert_eq!(CStr::from_ptr(*entry.h_aliases), c"big");
            assert!((*entry.h_aliases.add(1)).is_null());
            assert_eq!(
                *(*entry.h_addr_list.add(1)).cast::<[u8; 4]>(),
                [10, 1, 1, 2]
            );
            assert!((*entry.h_addr_list.add(2)).is_null());
        }
    }

    #[test]
    fn names_for_which_no_server_is_there_are_to_be_tried_again() {
        assert_eq!(
            by_name(Some(c"needs.dns.example"), libc::AF_INET).err(),
            Some(Failure {
                h_errno: TRY_AGAIN,
                errno: libc::EAGAIN
            })
        );
        let no_data = Failure::plain(NO_DATA);
        assert_eq!(by_name(Some(c"::1"), libc::AF_INET).err(), Some(no_data));
        assert_eq!(
            by_name(Some(c"localhost"), libc::AF_INET6)
                .unwrap()
                .0
                .addrs
                .len(),
            1
        );
    }
}
