//! Making, naming, connecting and shutting down sockets.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use libc::c_int;
use tunsock_stack::{Domain, Error, Kind, Shutdown, SockOpt, SockOptName};

use super::errno::{CResult, Errno, answer};
use super::sockaddr::{self, RawAddr, Target};
use super::types::{tunsock_sockaddr, tunsock_socklen_t};
use super::{checked_socket_of, netlink, originals, raw, socket_of};
use crate::fd::{self, Fail, SocketFile};
use crate::runtime::owner;
use crate::runtime::sys::cancellation_point;

/// SOCK_NONBLOCK and SOCK_CLOEXEC: what may be or-ed to a socket's type.
const TYPE_FLAGS: c_int = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
/// SOCK_TYPE_MASK of the kernel: the type's own bits.
const TYPE_MASK: c_int = 0xf;
/// SOCK_MAX of the kernel: one above SOCK_PACKET.
const TYPE_MAX: c_int = 11;
/// Linux's IPPROTO_MAX: one above IPPROTO_MPTCP.
const PROTOCOL_MAX: c_int = libc::IPPROTO_MPTCP + 1;

/// Makes a socket. AF_INET and AF_INET6 with SOCK_STREAM (TCP) or SOCK_DGRAM (UDP) are the stack's own; AF_NETLINK
/// with NETLINK_ROUTE or NETLINK_SOCK_DIAG tells of the stack; any other family is the system's. SOCK_NONBLOCK and SOCK_CLOEXEC may be or-ed to the type.
///
/// Returns a descriptor, or -1 with errno EINVAL (bad type or protocol), EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT,
/// EPERM (raw and packet sockets, which never reach the machine's own network), EMFILE, ENFILE, ENOMEM, or what opening the
/// device said (EADDRNOTAVAIL, ENETDOWN, EACCES).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    let family = match domain {
        libc::AF_INET => Domain::V4,
        libc::AF_INET6 => Domain::V6,
        libc::AF_PACKET => return answer(|| Err(Errno(libc::EPERM))),
        _ => {
            if domain == libc::AF_NETLINK
                && let Some(opened) = netlink::open(kind, protocol)
            {
                return opened;
            }
            // SAFETY: plain numbers.
            let fd = unsafe { originals::socket(domain, kind, protocol) };
            return adopted(fd);
        }
    };
    answer(|| {
        let (nonblock, cloexec) = type_flags(kind)?;
        let kind = which(kind & TYPE_MASK, protocol, family)?;
        Ok(fd::open(family, kind, nonblock, cloexec)?)
    })
}

/// The kernel gave this number out: whatever we thought of it is over.
pub(crate) fn adopted(fd: c_int) -> c_int {
    if fd >= 0 {
        forget(fd);
    }
    fd
}

/// The number stands for something of the kernel's now.
pub(crate) fn forget(fd: c_int) {
    if fd::lookup(fd).is_some() && !owner::is_borrowed() {
        fd::forget(fd);
    }
}

/// (non-blocking, close on exec) of a socket type's or accept4's flags.
fn type_flags(kind: c_int) -> CResult<(bool, bool)> {
    if kind & !(TYPE_MASK | TYPE_FLAGS) != 0 {
        return Err(Errno(libc::EINVAL));
    }
    Ok((
        kind & libc::SOCK_NONBLOCK != 0,
        kind & libc::SOCK_CLOEXEC != 0,
    ))
}

/// Which of the stack's sockets is meant: __sock_create's and inet_create's checks in their order.
fn which(kind: c_int, protocol: c_int, domain: Domain) -> CResult<Kind> {
    if kind >= TYPE_MAX || !(0..PROTOCOL_MAX).contains(&protocol) {
        return Err(Errno(libc::EINVAL));
    }
    match (kind, protocol) {
        (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => Ok(Kind::Stream),
        (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => Ok(Kind::Datagram),
        (libc::SOCK_DGRAM, libc::IPPROTO_ICMP) if domain == Domain::V4 => raw::ping_kind(),
        (libc::SOCK_DGRAM, libc::IPPROTO_ICMPV6) if domain == Domain::V6 => raw::ping_kind(),
        (libc::SOCK_STREAM | libc::SOCK_DGRAM, _) => Err(Errno(libc::EPROTONOSUPPORT)),
        (libc::SOCK_RAW, _) => raw::raw_kind(protocol),
        // SOCK_PACKET in AF_INET is AF_PACKET's old name (__sock_create).
        (10, _) if domain == Domain::V4 => Err(Errno(libc::EPERM)),
        _ => Err(Errno(libc::ESOCKTNOSUPPORT)),
    }
}

/// Gives a socket its own address.
///
/// Returns 0, or -1 with errno EBADF, ENOTSOCK, EFAULT, EINVAL (bound already, or a wrong length), EAFNOSUPPORT,
/// EADDRINUSE, EADDRNOTAVAIL (not an address of the stack) or EACCES (a port below 1024 without the right).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_bind(
    fd: c_int,
    addr: *const tunsock_sockaddr,
    len: tunsock_socklen_t,
) -> c_int {
    let Some(socket) = checked_socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return netlink::bind(fd, addr, len)
            .unwrap_or_else(|| unsafe { originals::bind(fd, addr.cast(), len) });
    };
    answer(|| {
        let (domain, kind) = socket.kind();
        socket.bind(RawAddr::read(addr, len)?.for_bind(domain, kind)?)?;
        Ok(0)
    })
}

/// Lets a socket accept connections; at most backlog + 1 wait to be accepted. An unbound socket gets a free port.
///
/// Returns 0, or -1 with errno EBADF, ENOTSOCK, EINVAL (connected), EADDRINUSE or EOPNOTSUPP (not a stream socket).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_listen(fd: c_int, backlog: c_int) -> c_int {
    let Some(socket) = checked_socket_of(fd) else {
        // SAFETY: plain numbers.
        return unsafe { originals::listen(fd, backlog) };
    };
    answer(|| {
        socket.listen(backlog)?;
        Ok(0)
    })
}

/// Takes the next waiting connection and stores the peer's address at addr (which may be NULL) and its true length at len.
///
/// Returns the connection's descriptor, or -1 with errno EBADF, ENOTSOCK, EINVAL (not listening, or a negative length),
/// EFAULT, EAGAIN (nothing waits and the socket does not block, or TUNSOCK_SO_RCVTIMEO ran out), EINTR, EMFILE, ENFILE,
/// ECONNABORTED or EOPNOTSUPP (not a stream socket).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_accept(
    fd: c_int,
    addr: *mut tunsock_sockaddr,
    len: *mut tunsock_socklen_t,
) -> c_int {
    cancellation_point();
    if socket_of(fd).is_none() {
        // SAFETY: the caller's own arguments.
        return adopted(unsafe { originals::accept(fd, addr.cast(), len) });
    }
    // SAFETY: the caller's own arguments.
    unsafe { tunsock_accept4(fd, addr, len, 0) }
}

/// As tunsock_accept; SOCK_NONBLOCK and SOCK_CLOEXEC in flags are set on the new descriptor. Any other flag: EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_accept4(
    fd: c_int,
    addr: *mut tunsock_sockaddr,
    len: *mut tunsock_socklen_t,
    flags: c_int,
) -> c_int {
    cancellation_point();
    let Some(socket) = checked_socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return adopted(unsafe { originals::accept4(fd, addr.cast(), len, flags) });
    };
    answer(|| {
        if flags & !TYPE_FLAGS != 0 {
            return Err(Errno(libc::EINVAL));
        }
        let (nonblock, cloexec) = type_flags(flags)?;
        let (new, peer) = socket.accept(nonblock, cloexec)?;
        if !addr.is_null()
            && let Err(errno) = sockaddr::write(peer, socket.kind().0, addr, len)
        {
            // As on Linux the connection is lost then.
            let _ = fd::close(new);
            return Err(errno);
        }
        Ok(new)
    })
}

/// Connects a socket. For a datagram socket this only sets the peer; the family AF_UNSPEC takes the peer away again.
///
/// Returns 0, or -1 with errno EBADF, ENOTSOCK, EFAULT, EINVAL, EAFNOSUPPORT, EISCONN, EALREADY, EINPROGRESS (the socket does
/// not block, or TUNSOCK_SO_SNDTIMEO ran out: the attempt goes on), ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH,
/// EADDRNOTAVAIL (no free port), ECONNABORTED, EINTR (the attempt goes on) or ENETDOWN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_connect(
    fd: c_int,
    addr: *const tunsock_sockaddr,
    len: tunsock_socklen_t,
) -> c_int {
    cancellation_point();
    let Some(socket) = checked_socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return netlink::connect(fd, addr, len)
            .unwrap_or_else(|| unsafe { originals::connect(fd, addr.cast(), len) });
    };
    answer(|| {
        let (domain, kind) = socket.kind();
        let raw = RawAddr::read(addr, len)?;
        let target = match raw.for_connect(domain, kind) {
            // __ip6_datagram_connect.
            Ok(Target::Connect(_)) if domain == Domain::V6 && raw.is_v4() && only_v6(&socket) => {
                socket.autobind();
                return Err(Errno(libc::EAFNOSUPPORT));
            }
            Ok(target) => target,
            // __inet_stream_connect looks at the state before tcp_v4_connect looks at the address.
            Err(errno) if kind == Kind::Stream && raw.has_family() => {
                return match socket.connect(of_other_family(domain)) {
                    Ok(()) => Ok(0),
                    Err(Fail::Stack(Error::AddressFamily)) => Err(errno),
                    Err(fail) => Err(fail.into()),
                };
            }
            Err(errno) => {
                // inet_dgram_connect gives the socket a port before anybody looks at the address.
                if raw.has_family() {
                    socket.autobind();
                }
                return Err(errno);
            }
        };
        let outcome = match target {
            Target::Connect(to) => socket.connect(to),
            Target::Disconnect => socket.disconnect(),
        };
        match outcome {
            Ok(()) => Ok(0),
            // socket(7): a connect that SO_SNDTIMEO ends goes on in the background.
            Err(Fail::TimedOut) => Err(Errno(libc::EINPROGRESS)),
            Err(fail) => Err(fail.into()),
        }
    })
}

/// An address that a stream socket of this domain refuses with EAFNOSUPPORT, if it is asked for one at all.
fn of_other_family(domain: Domain) -> SocketAddr {
    match domain {
        Domain::V4 => (Ipv6Addr::LOCALHOST, 0).into(),
        Domain::V6 => (Ipv4Addr::LOCALHOST, 0).into(),
    }
}

/// IPV6_V6ONLY.
pub(super) fn only_v6(socket: &SocketFile) -> bool {
    socket.get_option(SockOptName::V6Only) == Ok(SockOpt::V6Only(true))
}

/// Ends receiving (SHUT_RD), sending (SHUT_WR) or both (SHUT_RDWR) on a connection, and wakes who waits for it.
///
/// Returns 0, or -1 with errno EBADF, ENOTSOCK, EINVAL (bad how) or ENOTCONN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_shutdown(fd: c_int, how: c_int) -> c_int {
    // A relay passes its end's shutdown on, after what was written before.
    let Some(socket) = checked_socket_of(fd).filter(|socket| !socket.relayed) else {
        // SAFETY: plain numbers.
        return unsafe { originals::shutdown(fd, how) };
    };
    answer(|| {
        let how = match how {
            libc::SHUT_RD => Shutdown::Read,
            libc::SHUT_WR => Shutdown::Write,
            libc::SHUT_RDWR => Shutdown::Both,
            _ => return Err(Errno(libc::EINVAL)),
        };
        socket.shutdown(how)?;
        Ok(0)
    })
}

/// Stores a socket's own address at addr, cut to *len bytes, and its true length at len.
///
/// Returns 0, or -1 with errno EBADF, ENOTSOCK, EFAULT or EINVAL (negative length).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_getsockname(
    fd: c_int,
    addr: *mut tunsock_sockaddr,
    len: *mut tunsock_socklen_t,
) -> c_int {
    let Some(socket) = checked_socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return netlink::name_of(fd, addr, len, false)
            .unwrap_or_else(|| unsafe { originals::getsockname(fd, addr.cast(), len) });
    };
    answer(|| {
        sockaddr::write(socket.local_addr()?, socket.kind().0, addr, len)?;
        Ok(0)
    })
}

/// Stores the peer's address at addr, cut to *len bytes, and its true length at len.
///
/// Returns 0, or -1 with errno EBADF, ENOTSOCK, ENOTCONN, EFAULT or EINVAL (negative length).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_getpeername(
    fd: c_int,
    addr: *mut tunsock_sockaddr,
    len: *mut tunsock_socklen_t,
) -> c_int {
    let Some(socket) = checked_socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return netlink::name_of(fd, addr, len, true)
            .unwrap_or_else(|| unsafe { originals::getpeername(fd, addr.cast(), len) });
    };
    answer(|| {
        sockaddr::write(socket.peer_addr()?, socket.kind().0, addr, len)?;
        Ok(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_sockets_as_linux_tells_them_apart() {
        let v4 = |kind, protocol| which(kind, protocol, Domain::V4).map_err(|Errno(errno)| errno);
        assert_eq!(v4(libc::SOCK_STREAM, 0), Ok(Kind::Stream));
        assert_eq!(v4(libc::SOCK_STREAM, libc::IPPROTO_TCP), Ok(Kind::Stream));
        assert_eq!(v4(libc::SOCK_DGRAM, libc::IPPROTO_UDP), Ok(Kind::Datagram));
        assert_eq!(
            v4(libc::SOCK_STREAM, libc::IPPROTO_UDP),
            Err(libc::EPROTONOSUPPORT)
        );
        assert_eq!(
            v4(libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
            Err(libc::EPROTONOSUPPORT)
        );
        assert_eq!(v4(libc::SOCK_STREAM, -1), Err(libc::EINVAL));
        assert_eq!(v4(libc::SOCK_STREAM, 263), Err(libc::EINVAL));
        assert_eq!(
            v4(libc::SOCK_DGRAM, libc::IPPROTO_ICMPV6),
            Err(libc::EPROTONOSUPPORT)
        );
        assert_eq!(v4(libc::SOCK_RAW, 0), Err(libc::EPROTONOSUPPORT));
        assert_eq!(v4(libc::SOCK_RDM, 0), Err(libc::ESOCKTNOSUPPORT));
        assert_eq!(v4(0, 0), Err(libc::ESOCKTNOSUPPORT));
        assert_eq!(v4(12, 0), Err(libc::EINVAL));
        assert_eq!(
            type_flags(libc::SOCK_STREAM | 0x10),
            Err(Errno(libc::EINVAL))
        );
        assert_eq!(
            type_flags(libc::SOCK_STREAM | libc::SOCK_CLOEXEC),
            Ok((false, true))
        );
    }
}
