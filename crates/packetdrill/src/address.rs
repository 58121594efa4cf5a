//! sockaddr to SocketAddr and back, with Linux's checks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use libc::{c_int, sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, socklen_t};
use tunsock_stack::Domain;

use crate::errno::{CResult, Errno};

/// What a caller may name as an address.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Address {
    /// AF_UNSPEC.
    Unspecified,
    /// An internet address.
    Inet(SocketAddr),
}

/// Reads an address of `len` octets.
///
/// # Safety
/// `addr` is null or points to `len` readable octets.
pub(crate) unsafe fn read(
    domain: Domain,
    addr: *const sockaddr,
    len: socklen_t,
) -> CResult<Address> {
    let len = len as usize;
    if addr.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    if len < size_of::<sa_family_t>() {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: the caller vouches for `len` octets, and the family lies in them.
    let family = c_int::from(unsafe { (*addr).sa_family });
    match (family, domain) {
        (libc::AF_UNSPEC, _) => Ok(Address::Unspecified),
        (libc::AF_INET, _) if len >= size_of::<sockaddr_in>() => {
            // SAFETY: as above, and the length was checked; no alignment is asked for.
            let sin = unsafe { addr.cast::<sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(sin.sin_addr.s_addr));
            let addr = SocketAddr::new(IpAddr::V4(ip), u16::from_be(sin.sin_port));
            Ok(Address::Inet(addr))
        }
        // The scope may be left out (SIN6_LEN_RFC2133).
        (libc::AF_INET6, Domain::V6) if len >= size_of::<sockaddr_in6>() - 4 => {
            let mut bytes = [0u8; size_of::<sockaddr_in6>()];
            let n = len.min(bytes.len());
            // SAFETY: `n` octets are readable and fit.
            unsafe { addr.cast::<u8>().copy_to(bytes.as_mut_ptr(), n) };
            // SAFETY: every octet pattern is a sockaddr_in6, and the array is as long as one.
            let sin6: sockaddr_in6 =
                unsafe { bytes.as_ptr().cast::<sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(sin6.sin6_addr.s6_addr);
            let port = u16::from_be(sin6.sin6_port);
            let addr = SocketAddrV6::new(ip, port, sin6.sin6_flowinfo, sin6.sin6_scope_id);
            Ok(Address::Inet(SocketAddr::V6(addr)))
        }
        (libc::AF_INET, _) => Err(Errno(libc::EINVAL)),
        (libc::AF_INET6, Domain::V6) => Err(Errno(libc::EINVAL)),
        _ => Err(Errno(libc::EAFNOSUPPORT)),
    }
}

/// Writes `from` as far as `*len` allows and sets `*len` to its true length.
///
/// # Safety
/// `addr` is null or has `*len` writable octets; `len` is null or valid.
pub(crate) unsafe fn write(from: SocketAddr, addr: *mut sockaddr, len: *mut socklen_t) {
    if addr.is_null() || len.is_null() {
        return;
    }
    let mut bytes = [0u8; size_of::<sockaddr_in6>()];
    let true_len = match from {
        SocketAddr::V4(v4) => {
            bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            bytes[2..4].copy_from_slice(&v4.port().to_be_bytes());
            bytes[4..8].copy_from_slice(&v4.ip().octets());
            size_of::<sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            bytes[2..4].copy_from_slice(&v6.port().to_be_bytes());
            bytes[8..24].copy_from_slice(&v6.ip().octets());
            size_of::<sockaddr_in6>()
        }
    };
    // SAFETY: the caller vouches for `len` and for as many octets as it says.
    unsafe {
        let n = true_len.min(*len as usize);
        bytes.as_ptr().copy_to(addr.cast::<u8>(), n);
        *len = true_len as socklen_t;
    }
}
