//! Socket addresses between C's bytes and ours, with Linux's rules for lengths and families.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::{c_int, c_void};
use tunsock_stack::{Domain, Kind};

use super::errno::{CResult, Errno};
use super::types::{tunsock_sockaddr, tunsock_socklen_t};
use super::user;

/// Largest address of any family: sizeof(struct sockaddr_storage).
const STORAGE: usize = 128;
/// sizeof(struct sockaddr_in).
const IN_LEN: usize = 16;
/// What Linux asks of an AF_INET6 address: RFC 2133's structure, without sin6_scope_id (SIN6_LEN_RFC2133).
const IN6_LEN_MIN: usize = 24;
/// sizeof(struct sockaddr_in6).
const IN6_LEN: usize = 28;

const EINVAL: Errno = Errno(libc::EINVAL);
const EAFNOSUPPORT: Errno = Errno(libc::EAFNOSUPPORT);

/// An address as the caller passed it: its bytes, not yet understood.
#[derive(Copy, Clone)]
pub(super) struct RawAddr {
    bytes: [u8; STORAGE],
    len: usize,
}

/// What connect(2) was asked for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// An address.
    Connect(SocketAddr),
    /// AF_UNSPEC: dissolve the association.
    Disconnect,
}

impl RawAddr {
    /// Takes the caller's bytes: EINVAL for a length below 0 or above 128, EFAULT for a bad pointer (move_addr_to_kernel).
    pub(super) fn read(addr: *const tunsock_sockaddr, len: tunsock_socklen_t) -> CResult<RawAddr> {
        let mut raw = RawAddr::empty(len)?;
        user::copy_in(&mut raw.bytes[..raw.len], addr.cast())?;
        Ok(raw)
    }

    /// As `read` for a call on the data path: the pointer is only checked for plain nonsense.
    ///
    /// # Safety
    /// `addr` is readable for `len` bytes.
    pub(super) unsafe fn read_fast(
        addr: *const tunsock_sockaddr,
        len: tunsock_socklen_t,
    ) -> CResult<RawAddr> {
        let mut raw = RawAddr::empty(len)?;
        // SAFETY: the caller vouches.
        raw.bytes[..raw.len].copy_from_slice(unsafe { user::bytes(addr.cast(), raw.len)? });
        Ok(raw)
    }

    /// sendmsg's variant of `read_fast`: a length above 128 is taken as 128 (__copy_msghdr).
    ///
    /// # Safety
    /// As `read_fast`.
    pub(super) unsafe fn read_clamped(
        addr: *const c_void,
        len: tunsock_socklen_t,
    ) -> CResult<RawAddr> {
        if len > i32::MAX as tunsock_socklen_t {
            return Err(EINVAL);
        }
        // SAFETY: the caller vouches.
        unsafe { RawAddr::read_fast(addr.cast(), len.min(STORAGE as tunsock_socklen_t)) }
    }

    fn empty(len: tunsock_socklen_t) -> CResult<RawAddr> {
        // C's length is an int to the kernel: a "negative" one arrives here above i32::MAX.
        let len = usize::try_from(len)
            .ok()
            .filter(|&len| len <= STORAGE)
            .ok_or(EINVAL)?;
        Ok(RawAddr {
            bytes: [0; STORAGE],
            len,
        })
    }

    /// For bind(2), inet_bind and inet6_bind.
    pub(super) fn for_bind(&self, domain: Domain, kind: Kind) -> CResult<SocketAddr> {
        let raw = matches!(kind, Kind::Raw(_));
        match domain {
            // raw_bind does not look at the family.
            Domain::V4 if raw => Ok(self.v4()?.into()),
            Domain::V4 => {
                let addr = self.v4()?;
                // inet_bind lets AF_UNSPEC pass for the wildcard address only ("BSD-ish programs").
                match self.family() {
                    libc::AF_INET => Ok(addr.into()),
                    libc::AF_UNSPEC if addr.ip().is_unspecified() => Ok(addr.into()),
                    _ => Err(EAFNOSUPPORT),
                }
            }
            Domain::V6 => {
                let addr = self.v6()?;
                match self.family() {
                    libc::AF_INET6 => Ok(addr.into()),
                    // rawv6_bind.
                    _ if raw => Err(EINVAL),
                    _ => Err(EAFNOSUPPORT),
                }
            }
        }
    }

    /// Whether it is long enough to have a family.
    pub(super) fn has_family(&self) -> bool {
        self.len >= size_of::<libc::sa_family_t>()
    }

    /// Whether it says that it is a sockaddr_in.
    pub(super) fn is_v4(&self) -> bool {
        self.has_family() && self.family() == libc::AF_INET
    }

    /// Whether it is an IPv4 address, or an IPv6 address that stands for one.
    pub(super) fn leads_to_v4(&self) -> bool {
        match self.v6() {
            Ok(addr) if self.family() == libc::AF_INET6 => addr.ip().to_ipv4_mapped().is_some(),
            _ => self.is_v4(),
        }
    }

    /// For connect(2): inet_stream_connect, inet_dgram_connect and what they call.
    pub(super) fn for_connect(&self, domain: Domain, kind: Kind) -> CResult<Target> {
        if self.len < size_of::<libc::sa_family_t>() {
            return Err(EINVAL);
        }
        let family = self.family();
        if family == libc::AF_UNSPEC {
            return Ok(Target::Disconnect);
        }
        let addr = match (domain, kind, family) {
            // ip6_datagram_connect takes an IPv4 address too.
            (Domain::V6, Kind::Datagram, libc::AF_INET) => mapped(self.v4()?),
            // ip6_datagram_connect_v6_only looks at the family before the length.
            (Domain::V6, Kind::Raw(_) | Kind::Ping, _) if family != libc::AF_INET6 => {
                return Err(EAFNOSUPPORT);
            }
            (Domain::V6, ..) => {
                let addr = self.v6()?;
                if family != libc::AF_INET6 {
                    return Err(EAFNOSUPPORT);
                }
                addr.into()
            }
            (Domain::V4, ..) => {
                let addr = self.v4()?;
                if family != libc::AF_INET {
                    return Err(EAFNOSUPPORT);
                }
                addr.into()
            }
        };
        Ok(Target::Connect(addr))
    }

    /// For sendto(2) and sendmsg(2) on a datagram socket: udp_sendmsg, udpv6_sendmsg. `None`: as if no address were given.
    pub(super) fn for_send(&self, domain: Domain) -> CResult<Option<SocketAddr>> {
        let family = self.family();
        let addr = match domain {
            Domain::V4 => {
                let addr = self.v4()?;
                // udp_sendmsg takes AF_UNSPEC for AF_INET.
                if family != libc::AF_INET && family != libc::AF_UNSPEC {
                    return Err(EAFNOSUPPORT);
                }
                SocketAddr::from(addr)
            }
            Domain::V6 => {
                if self.len < size_of::<libc::sa_family_t>() {
                    return Err(EINVAL);
                }
                match family {
                    libc::AF_INET6 => self.v6()?.into(),
                    libc::AF_INET => mapped(self.v4()?),
                    libc::AF_UNSPEC => return Ok(None),
                    _ => return Err(EINVAL),
                }
            }
        };
        if addr.port() == 0 {
            Err(EINVAL)
        } else {
            Ok(Some(addr))
        }
    }

    /// For the send calls of a raw or ping socket, where a port means nothing: raw_sendmsg, rawv6_sendmsg.
    pub(super) fn for_raw(&self, domain: Domain) -> CResult<SocketAddr> {
        let (addr, family) = match domain {
            Domain::V4 => (SocketAddr::from(self.v4()?), libc::AF_INET),
            Domain::V6 => (SocketAddr::from(self.v6()?), libc::AF_INET6),
        };
        if self.family() == family || self.family() == libc::AF_UNSPEC {
            Ok(addr)
        } else {
            Err(EAFNOSUPPORT)
        }
    }

    fn family(&self) -> c_int {
        c_int::from(u16::from_ne_bytes([self.bytes[0], self.bytes[1]]))
    }

    fn port(&self) -> u16 {
        u16::from_be_bytes([self.bytes[2], self.bytes[3]])
    }

    fn v4(&self) -> CResult<SocketAddrV4> {
        if self.len < IN_LEN {
            return Err(EINVAL);
        }
        let [a, b, c, d] = self.take(4);
        Ok(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), self.port()))
    }

    fn v6(&self) -> CResult<SocketAddrV6> {
        if self.len < IN6_LEN_MIN {
            return Err(EINVAL);
        }
        let flow = u32::from_be_bytes(self.take(4));
        // Bytes that the caller did not give are zero here.
        let scope = u32::from_ne_bytes(self.take(24));
        Ok(SocketAddrV6::new(
            Ipv6Addr::from(self.take::<16>(8)),
            self.port(),
            flow,
            scope,
        ))
    }

    fn take<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut out = [0; N];
        // In bounds for every use above: 24 + 4 <= STORAGE.
        out.copy_from_slice(&self.bytes[at..at + N]);
        out
    }
}

/// The address of a datagram on an AF_INET socket when it is what it mostly is, a sockaddr_in of its own length with a port. `None`: see
/// [`RawAddr`], for it is something else, or wrong.
///
/// # Safety
/// As [`RawAddr::read_fast`].
#[inline]
pub(super) unsafe fn plain_v4(
    addr: *const tunsock_sockaddr,
    len: tunsock_socklen_t,
) -> Option<SocketAddr> {
    if usize::try_from(len) != Ok(IN_LEN) {
        return None;
    }
    // SAFETY: the caller vouches.
    let bytes = unsafe { user::bytes(addr.cast(), IN_LEN).ok()? };
    let [f0, f1, p0, p1, a, b, c, d, ..] = *bytes else {
        return None;
    };
    let family = c_int::from(u16::from_ne_bytes([f0, f1]));
    let port = u16::from_be_bytes([p0, p1]);
    (family == libc::AF_INET && port != 0)
        .then(|| SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port).into())
}

/// Puts an address into the caller's memory: as much as `*len` allows, and its true length into `*len`.
///
/// EFAULT for bad pointers, EINVAL for a negative length (move_addr_to_user).
pub(super) fn write(
    addr: SocketAddr,
    domain: Domain,
    to: *mut tunsock_sockaddr,
    len: *mut tunsock_socklen_t,
) -> CResult<()> {
    // SAFETY: any bytes are an integer.
    let room = unsafe { user::read(len)? };
    let room = usize::try_from(room as c_int).map_err(|_| EINVAL)?;
    let (bytes, full) = encode(addr, domain);
    user::copy_out(to.cast(), &bytes[..full.min(room)])?;
    user::write(len, full as tunsock_socklen_t)
}

/// As `write` for a call on the data path: pointers are only checked for plain nonsense.
///
/// # Safety
/// `to` has `*len` bytes of room and `len` is writable.
pub(super) unsafe fn write_fast(
    addr: Option<(SocketAddr, Domain)>,
    to: *mut tunsock_sockaddr,
    len: *mut tunsock_socklen_t,
) -> CResult<()> {
    user::check(len, size_of::<tunsock_socklen_t>())?;
    // SAFETY: the caller vouches.
    let room = unsafe { len.read_unaligned() };
    let room = usize::try_from(room as c_int).map_err(|_| EINVAL)?;
    let (bytes, full) = match addr {
        Some((addr, domain)) => encode(addr, domain),
        None => ([0; IN6_LEN], 0),
    };
    let copied = full.min(room);
    if copied > 0 {
        // SAFETY: the caller vouches.
        let out = unsafe { user::room(to.cast(), copied)? };
        out.copy_from_slice(&bytes[..copied]);
    }
    // SAFETY: the caller vouches.
    unsafe { len.write_unaligned(full as tunsock_socklen_t) };
    Ok(())
}

/// The bytes of a sockaddr_in or sockaddr_in6 for a socket of `domain`, and how many count.
pub(crate) fn encode(addr: SocketAddr, domain: Domain) -> ([u8; IN6_LEN], usize) {
    let mut out = [0; IN6_LEN];
    // sa_family is in host order, ports and addresses in network order, sin6_scope_id in host order.
    match (domain, addr) {
        (Domain::V4, addr) => {
            let ip = match addr {
                SocketAddr::V4(addr) => *addr.ip(),
                // A mapped address never reaches an IPv4 socket; should it, its IPv4 part is what is meant.
                SocketAddr::V6(addr) => addr.ip().to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED),
            };
            out[0..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            out[2..4].copy_from_slice(&addr.port().to_be_bytes());
            out[4..8].copy_from_slice(&ip.octets());
            (out, IN_LEN)
        }
        (Domain::V6, addr) => {
            let (ip, flow, scope) = match addr {
                // An unbound dual-stack socket is ::, not ::ffff:0.0.0.0.
                SocketAddr::V4(addr) if addr.ip().is_unspecified() => (Ipv6Addr::UNSPECIFIED, 0, 0),
                SocketAddr::V4(addr) => (addr.ip().to_ipv6_mapped(), 0, 0),
                SocketAddr::V6(addr) => (*addr.ip(), addr.flowinfo(), addr.scope_id()),
            };
            out[0..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            out[2..4].copy_from_slice(&addr.port().to_be_bytes());
            out[4..8].copy_from_slice(&flow.to_be_bytes());
            out[8..24].copy_from_slice(&ip.octets());
            out[24..28].copy_from_slice(&scope.to_ne_bytes());
            (out, IN6_LEN)
        }
    }
}

fn mapped(addr: SocketAddrV4) -> SocketAddr {
    SocketAddrV6::new(addr.ip().to_ipv6_mapped(), addr.port(), 0, 0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(bytes: &[u8], len: usize) -> CResult<RawAddr> {
        let mut padded = [0u8; 256];
        padded[..bytes.len()].copy_from_slice(bytes);
        RawAddr::read(padded.as_ptr().cast(), len as tunsock_socklen_t)
    }

    fn v4(family: c_int, ip: [u8; 4], port: u16, len: usize) -> RawAddr {
        let (mut bytes, _) = encode((ip, port).into(), Domain::V4);
        bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        raw(&bytes, len).unwrap()
    }

    fn v6(family: c_int, ip: &str, port: u16, len: usize) -> RawAddr {
        let ip: Ipv6Addr = ip.parse().unwrap();
        let (mut bytes, _) = encode((ip, port).into(), Domain::V6);
        bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        raw(&bytes, len).unwrap()
    }

    #[test]
    fn lengths_and_pointers() {
        assert_eq!(raw(&[], 129).err(), Some(EINVAL));
        assert_eq!(
            RawAddr::read(std::ptr::null(), u32::MAX).err(),
            Some(EINVAL)
        );
        assert_eq!(
            RawAddr::read(std::ptr::null(), 16).err(),
            Some(Errno(libc::EFAULT))
        );
        assert!(RawAddr::read(std::ptr::null(), 0).is_ok());
    }

    #[test]
    fn bind_rules() {
        let any = [0, 0, 0, 0];
        assert_eq!(
            v4(libc::AF_INET, any, 7, 15).for_bind(Domain::V4, Kind::Stream),
            Err(EINVAL)
        );
        assert_eq!(
            v4(libc::AF_UNSPEC, any, 7, 16).for_bind(Domain::V4, Kind::Stream),
            Ok((any, 7).into())
        );
        assert_eq!(
            v4(libc::AF_UNSPEC, [1, 2, 3, 4], 7, 16).for_bind(Domain::V4, Kind::Stream),
            Err(EAFNOSUPPORT)
        );
        assert_eq!(
            v6(libc::AF_INET6, "::1", 7, 28).for_bind(Domain::V4, Kind::Stream),
            Err(EAFNOSUPPORT)
        );
        assert_eq!(
            v4(libc::AF_INET, any, 7, 16).for_bind(Domain::V6, Kind::Stream),
            Err(EINVAL)
        );
        assert_eq!(
            v4(libc::AF_INET, any, 7, 28).for_bind(Domain::V6, Kind::Stream),
            Err(EAFNOSUPPORT)
        );
        assert_eq!(
            v6(libc::AF_INET6, "::1", 7, 24).for_bind(Domain::V6, Kind::Stream),
            Ok("[::1]:7".parse().unwrap())
        );
    }

    #[test]
    fn connect_rules() {
        use Kind::{Datagram, Stream};
        let connect = |addr: RawAddr, domain, kind| addr.for_connect(domain, kind);
        let lo = [127, 0, 0, 1];
        assert_eq!(
            connect(v4(libc::AF_INET, lo, 7, 1), Domain::V4, Stream),
            Err(EINVAL)
        );
        assert_eq!(
            connect(v4(libc::AF_UNSPEC, lo, 7, 2), Domain::V4, Stream),
            Ok(Target::Disconnect)
        );
        assert_eq!(
            connect(v6(libc::AF_INET6, "::1", 7, 28), Domain::V4, Stream),
            Err(EAFNOSUPPORT)
        );
        assert_eq!(
            connect(v4(libc::AF_INET, lo, 7, 16), Domain::V6, Stream),
            Err(EINVAL)
        );
        let mapped = Target::Connect("[::ffff:127.0.0.1]:7".parse().unwrap());
        assert_eq!(
            connect(v4(libc::AF_INET, lo, 7, 16), Domain::V6, Datagram),
            Ok(mapped)
        );
    }

    #[test]
    fn send_rules() {
        let lo = [127, 0, 0, 1];
        assert_eq!(
            v4(libc::AF_UNSPEC, lo, 7, 16).for_send(Domain::V4),
            Ok(Some((lo, 7).into()))
        );
        assert_eq!(
            v4(libc::AF_INET, lo, 0, 16).for_send(Domain::V4),
            Err(EINVAL)
        );
        assert_eq!(
            v6(libc::AF_INET6, "::1", 7, 28).for_send(Domain::V4),
            Err(EAFNOSUPPORT)
        );
        assert_eq!(
            v6(libc::AF_UNSPEC, "::1", 7, 28).for_send(Domain::V6),
            Ok(None)
        );
        assert_eq!(
            v6(libc::AF_UNIX, "::1", 7, 28).for_send(Domain::V6),
            Err(EINVAL)
        );
    }

    #[test]
    fn results_are_cut_and_tell_the_true_length() {
        let mut out = [0xffu8; 32];
        let mut len: tunsock_socklen_t = 6;
        let addr = SocketAddr::from(([10, 1, 2, 3], 0x1234));
        write(addr, Domain::V4, out.as_mut_ptr().cast(), &mut len).unwrap();
        assert_eq!(len, 16);
        assert_eq!(out[2..7], [0x12, 0x34, 10, 1, 0xff]);
        let mut negative = -1i32 as tunsock_socklen_t;
        assert_eq!(
            write(addr, Domain::V4, out.as_mut_ptr().cast(), &mut negative),
            Err(EINVAL)
        );
        let mut len: tunsock_socklen_t = 28;
        write(addr, Domain::V6, out.as_mut_ptr().cast(), &mut len).unwrap();
        assert_eq!(
            (len, &out[8..24]),
            (
                28,
                &Ipv4Addr::new(10, 1, 2, 3).to_ipv6_mapped().octets()[..]
            )
        );
    }
}
