//! Host and service names: numbers, localhost, the hosts file, /etc/services, and DNS over the stack. Never a question over the
//! machine's own network.

mod addrinfo;
mod dns;
mod hosts;
mod lookup;
mod nsswitch;
mod resolv_conf;
mod service;
mod settings;
mod socket;
mod sort;

use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::{c_char, c_int, c_void};

pub(crate) use addrinfo::{Answer, Hints, resolve};
pub(crate) use dns::message::Ask;
pub(crate) use dns::{NoUse, Raw, State, Wanted};
pub(crate) use hosts::Host;
pub(crate) use lookup::{Miss, Why, by_addr, by_name};
pub(crate) use nsswitch::Status;
pub(crate) use service::{port_of, service_of};
pub(crate) use settings::has_family;

/// An address that a name or a numeric string stands for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    /// The address.
    pub(crate) ip: IpAddr,
    /// Interface of a link-local IPv6 address, or 0.
    pub(crate) scope: u32,
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Address {
        Address { ip, scope: 0 }
    }
}

/// Whether `name` is `localhost` or ends in `.localhost` (RFC 6761 6.3: always the loopback addresses, never asked of DNS).
pub(crate) fn is_localhost(name: &[u8]) -> bool {
    let name = name.strip_suffix(b".").unwrap_or(name);
    name.eq_ignore_ascii_case(b"localhost")
        || name.len() > 10 && name[name.len() - 10..].eq_ignore_ascii_case(b".localhost")
}

/// A host's name without the domain of this machine, if it has that (NI_NOFQDN).
pub(crate) fn without_own_domain(name: Vec<u8>) -> Vec<u8> {
    let domain_of = |name: &[u8]| {
        let mut parts = name.splitn(2, |&byte| byte == b'.');
        parts.nth(1).map(<[u8]>::to_vec)
    };
    let own = settings::host_name();
    let by_file = || {
        let host = lookup::in_file(&own, Wanted::Both)?;
        domain_of(host.names.first()?)
    };
    let domain = domain_of(&own).or_else(by_file).unwrap_or_default();
    match name.len().checked_sub(domain.len() + 1) {
        Some(cut @ 1..) if !domain.is_empty() && name.get(cut) == Some(&b'.') => {
            let same = |tail: &[u8]| tail.eq_ignore_ascii_case(&domain);
            let short = name.get(cut + 1..).is_some_and(same);
            name.get(..cut).filter(|_| short).unwrap_or(&name).to_vec()
        }
        _ => name,
    }
}

/// A numeric address: IPv4 in every form that inet_aton(3) takes, or IPv6 with an optional `%scope` (a number or an interface).
pub(crate) fn numeric(text: &CStr) -> Option<Address> {
    if let Some(ip) = numeric_v4(text) {
        return Some(IpAddr::V4(ip).into());
    }
    let text = text.to_str().ok()?;
    let (ip, scope) = text
        .split_once('%')
        .map_or((text, None), |(ip, scope)| (ip, Some(scope)));
    let ip: Ipv6Addr = ip.parse().ok()?;
    let scope = match scope {
        None => 0,
        Some(scope) => scope.parse().ok().or_else(|| interface_index(scope))?,
    };
    Some(Address {
        ip: ip.into(),
        scope,
    })
}

/// inet_aton(3) without what may follow the address there.
fn numeric_v4(text: &CStr) -> Option<Ipv4Addr> {
    // inet_aton takes trailing white space with anything behind it; a host name has no white space.
    if text.to_bytes().iter().any(u8::is_ascii_whitespace) {
        return None;
    }
    unsafe extern "C" {
        fn inet_aton(text: *const c_char, addr: *mut libc::in_addr) -> c_int;
    }
    let mut addr = libc::in_addr { s_addr: 0 };
    // SAFETY: a C string, and room for the answer; libc's function only parses.
    let known = unsafe { inet_aton(text.as_ptr(), &mut addr) } != 0;
    known.then(|| Ipv4Addr::from(addr.s_addr.to_ne_bytes()))
}

fn interface_index(name: &str) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: a C string. libc asks the kernel over a socket of its own, which sends nothing.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// An address as inet_ntop(3) writes it.
pub(crate) fn text_of(ip: IpAddr) -> String {
    unsafe extern "C" {
        fn inet_ntop(
            family: c_int,
            addr: *const c_void,
            out: *mut c_char,
            len: libc::socklen_t,
        ) -> *const c_char;
    }
    let (family, octets) = match ip {
        IpAddr::V4(ip) => (libc::AF_INET, [&ip.octets()[..], &[0; 12]].concat()),
        IpAddr::V6(ip) => (libc::AF_INET6, ip.octets().to_vec()),
    };
    let mut out = [0u8; 46];
    // SAFETY: 16 bytes of address, and INET6_ADDRSTRLEN bytes of room; libc's function only writes text.
    unsafe { inet_ntop(family, octets.as_ptr().cast(), out.as_mut_ptr().cast(), 46) };
    CStr::from_bytes_until_nul(&out)
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_form() {
        let ip = |text| numeric(text).map(|address| address.ip.to_string());
        assert_eq!(ip(c"10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(ip(c"127.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(ip(c"0x7f000001").as_deref(), Some("127.0.0.1"));
        assert_eq!(ip(c"::1").as_deref(), Some("::1"));
        assert_eq!(numeric(c"fe80::1%3").map(|address| address.scope), Some(3));
        assert_eq!(numeric(c"fe80::1%nosuchinterface"), None);
        assert_eq!(numeric(c"10.0.0.1 x"), None);
        assert_eq!(numeric(c"example"), None);
        assert_eq!(numeric(c""), None);
    }

    #[test]
    fn what_is_called_localhost() {
        for name in [
            &b"localhost"[..],
            b"LOCALHOST",
            b"a.localhost",
            b"localhost.",
        ] {
            assert!(is_localhost(name));
        }
        assert!(!is_localhost(b"notlocalhost"));
        assert!(!is_localhost(b".localhost"));
    }

    #[test]
    fn text_is_libcs() {
        assert_eq!(text_of("10.1.2.3".parse().unwrap()), "10.1.2.3");
        assert_eq!(text_of("fd83::2".parse().unwrap()), "fd83::2");
    }
}
