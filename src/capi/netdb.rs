//! The calls of netdb.h that turn names into addresses and back, in C's memory.

use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use libc::{c_char, c_int};
use tunsock_stack::Domain;

use super::errno;
use super::sockaddr::encode;
use super::types::{tunsock_addrinfo, tunsock_sockaddr, tunsock_socklen_t};
use super::{originals, user};
use crate::names::{self, Answer, Hints, Why};

/// Finds the addresses of a host (by number, localhost, the hosts file or DNS over the stack) and the port of a service. NULL for either
/// is allowed, not for both. The answers are a list to be freed with tunsock_freeaddrinfo, in the order to try them.
///
/// Returns 0, or EAI_NONAME, EAI_AGAIN (no name server has answered), EAI_NODATA (the name has no such address), EAI_SERVICE,
/// EAI_SOCKTYPE, EAI_FAMILY, EAI_ADDRFAMILY, EAI_BADFLAGS, EAI_IDN_ENCODE or EAI_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const tunsock_addrinfo,
    answers: *mut *mut tunsock_addrinfo,
) -> c_int {
    let before = errno::get();
    // SAFETY: the caller vouches: C strings or NULL, hints or NULL, room for a pointer.
    let outcome = unsafe {
        let asked = hints.as_ref().map_or(
            // RFC 3493 6.1 has no flags without hints; glibc has these two.
            Hints {
                flags: libc::AI_V4MAPPED | libc::AI_ADDRCONFIG,
                ..Hints::default()
            },
            |hints| Hints {
                flags: hints.ai_flags,
                family: hints.ai_family,
                socktype: hints.ai_socktype,
                protocol: hints.ai_protocol,
            },
        );
        names::resolve(text(node), text(service), asked, names::has_family).and_then(
            |(found, canonical)| {
                let list = list(&found, canonical, asked.flags)?;
                answers.write(list);
                Ok(())
            },
        )
    };
    errno::set(before);
    outcome.err().unwrap_or(0)
}

/// Frees the answers of tunsock_getaddrinfo. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_freeaddrinfo(answers: *mut tunsock_addrinfo) {
    let mut next = answers;
    while !next.is_null() {
        // SAFETY: a list that tunsock_getaddrinfo (or libc's) made: each node one block, its name another.
        unsafe {
            let node = next;
            next = (*node).ai_next;
            libc::free((*node).ai_canonname.cast());
            libc::free(node.cast());
        }
    }
}

/// # Safety
/// NULL, or a C string that lives for `'a`.
pub(super) unsafe fn text<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller vouches.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// The list in libc's own shape (a block for each node with its address behind it), so that libc's freeaddrinfo can free it too.
fn list(
    found: &[Answer],
    canonical: Option<CString>,
    flags: c_int,
) -> Result<*mut tunsock_addrinfo, c_int> {
    let mut head: *mut tunsock_addrinfo = std::ptr::null_mut();
    for answer in found.iter().rev() {
        let addr = match answer.addr.ip {
            IpAddr::V4(ip) => SocketAddr::from((ip, answer.port)),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, answer.port, 0, answer.addr.scope).into(),
        };
        let (domain, family) = match addr {
            SocketAddr::V4(_) => (Domain::V4, libc::AF_INET),
            SocketAddr::V6(_) => (Domain::V6, libc::AF_INET6),
        };
        let (bytes, len) = encode(addr, domain);
        // SAFETY: room for the node and the address behind it; both are plain data.
        unsafe {
            let node: *mut tunsock_addrinfo =
                libc::malloc(size_of::<tunsock_addrinfo>() + len).cast();
            if node.is_null() {
                tunsock_freeaddrinfo(head);
                return Err(libc::EAI_MEMORY);
            }
            let place = node.add(1).cast::<u8>();
            place.copy_from_nonoverlapping(bytes.as_ptr(), len);
            node.write(tunsock_addrinfo {
                ai_flags: flags,
                ai_family: family,
                ai_socktype: answer.socktype,
                ai_protocol: answer.protocol,
                ai_addrlen: len as tunsock_socklen_t,
                ai_addr: place.cast(),
                ai_canonname: std::ptr::null_mut(),
                ai_next: head,
            });
            head = node;
        }
    }
    if let Some(name) = canonical
        && !head.is_null()
    {
        // SAFETY: a C string; the copy is freed with the list.
        unsafe {
            (*head).ai_canonname = libc::strdup(name.as_ptr());
            if (*head).ai_canonname.is_null() {
                tunsock_freeaddrinfo(head);
                return Err(libc::EAI_MEMORY);
            }
        }
    }
    Ok(head)
}

/// Writes the host and the service of an address as text: a name when one is known and not forbidden by NI_NUMERICHOST and
/// NI_NUMERICSERV, else a number.
///
/// Returns 0, or EAI_FAMILY, EAI_BADFLAGS, EAI_NONAME (nothing asked for, or NI_NAMEREQD and no name), EAI_AGAIN (no name server has
/// answered) or EAI_OVERFLOW (the text does not fit).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_getnameinfo(
    addr: *const tunsock_sockaddr,
    len: tunsock_socklen_t,
    host: *mut c_char,
    host_len: tunsock_socklen_t,
    service: *mut c_char,
    service_len: tunsock_socklen_t,
    flags: c_int,
) -> c_int {
    let before = errno::get();
    // SAFETY: the caller vouches for the address and the rooms.
    let outcome = unsafe {
        match inet_address(addr, len) {
            Some((ip, scope, port)) => {
                let host = (host, host_len);
                let service = (service, service_len);
                name_info(ip, scope, port, host, service, flags)
            }
            // AF_UNIX and lengths that fit nothing: libc's affair.
            None => Err(originals::getnameinfo(
                addr.cast(),
                len,
                host,
                host_len,
                service,
                service_len,
                flags,
            )),
        }
    };
    errno::set(before);
    outcome.err().unwrap_or(0)
}

/// (address, scope, port) of an AF_INET or AF_INET6 address that is long enough.
unsafe fn inet_address(
    addr: *const tunsock_sockaddr,
    len: tunsock_socklen_t,
) -> Option<(IpAddr, u32, u16)> {
    // SAFETY: the caller vouches for `len` bytes.
    let bytes = unsafe { user::bytes(addr.cast(), len as usize).ok()? };
    let family = c_int::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    match family {
        libc::AF_INET if bytes.len() >= 16 => {
            let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some((Ipv4Addr::from(ip).into(), 0, port))
        }
        libc::AF_INET6 if bytes.len() >= 28 => {
            let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            let scope = u32::from_ne_bytes(bytes.get(24..28)?.try_into().ok()?);
            Some((Ipv6Addr::from(ip).into(), scope, port))
        }
        _ => None,
    }
}

/// The caller's room for a text.
type Room = (*mut c_char, tunsock_socklen_t);

unsafe fn name_info(
    ip: IpAddr,
    scope: u32,
    port: u16,
    host: Room,
    service: Room,
    flags: c_int,
) -> Result<(), c_int> {
    const KNOWN: c_int = libc::NI_NUMERICHOST
        | libc::NI_NUMERICSERV
        | libc::NI_NOFQDN
        | libc::NI_NAMEREQD
        | libc::NI_DGRAM
        | 0xe0; // NI_IDN and its two
    if flags & !KNOWN != 0 {
        return Err(libc::EAI_BADFLAGS);
    }
    let wants = |(to, len): Room| !to.is_null() && len > 0;
    if !wants(host) && !wants(service) {
        return Err(libc::EAI_NONAME);
    }
    if wants(host) {
        let text = host_text(ip, scope, flags)?;
        // SAFETY: the caller vouches for the room.
        unsafe { put_text(host, &text)? };
    }
    if wants(service) {
        let protocol = if flags & libc::NI_DGRAM != 0 {
            c"udp"
        } else {
            c"tcp"
        };
        let known = if flags & libc::NI_NUMERICSERV != 0 {
            None
        } else {
            names::service_of(port, protocol)
        };
        let text = known.map_or_else(|| port.to_string().into_bytes(), CString::into_bytes);
        // SAFETY: the caller vouches for the room.
        unsafe { put_text(service, &text)? };
    }
    Ok(())
}

/// The name or the number of a host, as gni_host_inet of glibc.
fn host_text(ip: IpAddr, scope: u32, flags: c_int) -> Result<Vec<u8>, c_int> {
    if flags & libc::NI_NUMERICHOST == 0 {
        match names::by_addr(ip) {
            Ok(host) => {
                let name = host.names.into_iter().next().unwrap_or_default();
                return Ok(if flags & libc::NI_NOFQDN != 0 {
                    names::without_own_domain(name)
                } else {
                    name
                });
            }
            Err(miss) if miss.why == Why::TryAgain => return Err(libc::EAI_AGAIN),
            Err(_) => {}
        }
    }
    if flags & libc::NI_NAMEREQD != 0 {
        return Err(libc::EAI_NONAME);
    }
    let text = names::text_of(ip);
    Ok(if scope != 0 {
        format!("{text}%{scope}").into_bytes()
    } else {
        text.into_bytes()
    })
}

/// # Safety
/// The room is writable for its length.
unsafe fn put_text((to, len): Room, text: &[u8]) -> Result<(), c_int> {
    if text.len() >= len as usize {
        return Err(libc::EAI_OVERFLOW);
    }
    // SAFETY: the caller vouches; the text and its end fit.
    unsafe {
        to.cast::<u8>()
            .copy_from_nonoverlapping(text.as_ptr(), text.len());
        to.add(text.len()).write(0);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::undocumented_unsafe_blocks)] // all of it on the test's own memory
mod tests {
    use super::*;

    #[test]
    fn a_list_of_answers_in_c_memory() {
        let mut answers = std::ptr::null_mut();
        let outcome = unsafe {
            tunsock_getaddrinfo(
                c"127.0.0.1".as_ptr(),
                c"80".as_ptr(),
                std::ptr::null(),
                &mut answers,
            )
        };
        assert_eq!(outcome, 0);
        unsafe {
            assert_eq!((*answers).ai_addrlen, 16);
            tunsock_freeaddrinfo(answers);
        }
    }
}
