//! Linux's errno numbers for what the stack says.

use libc::c_int;
use tunsock_stack::Error;

/// An errno value on its way to the caller.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Errno(pub(crate) c_int);

/// Outcome of a call.
pub(crate) type CResult<T> = Result<T, Errno>;

impl From<Error> for Errno {
    fn from(error: Error) -> Errno {
        Errno(match error {
            Error::WouldBlock => libc::EAGAIN,
            Error::InProgress => libc::EINPROGRESS,
            Error::AlreadyConnecting => libc::EALREADY,
            Error::IsConnected => libc::EISCONN,
            Error::NotConnected => libc::ENOTCONN,
            Error::ConnectionRefused => libc::ECONNREFUSED,
            Error::ConnectionReset => libc::ECONNRESET,
            Error::ConnectionAborted => libc::ECONNABORTED,
            Error::BrokenPipe => libc::EPIPE,
            Error::TimedOut => libc::ETIMEDOUT,
            Error::HostUnreachable => libc::EHOSTUNREACH,
            Error::NetworkUnreachable => libc::ENETUNREACH,
            Error::Protocol => libc::EPROTO,
            Error::HostDown => libc::EHOSTDOWN,
            Error::NoNetwork => libc::ENONET,
            Error::ProtocolUnreachable | Error::NoSuchOption => libc::ENOPROTOOPT,
            Error::NetworkDown => libc::ENETDOWN,
            Error::AddressInUse => libc::EADDRINUSE,
            Error::AddressNotAvailable => libc::EADDRNOTAVAIL,
            Error::NoPort => libc::EAGAIN,
            Error::AddressFamily => libc::EAFNOSUPPORT,
            Error::Invalid => libc::EINVAL,
            Error::MessageTooLong => libc::EMSGSIZE,
            Error::DestinationRequired => libc::EDESTADDRREQ,
            Error::NotSupported => libc::EOPNOTSUPP,
            Error::AccessDenied => libc::EACCES,
            Error::NotPermitted => libc::EPERM,
            Error::NoBuffers => libc::ENOBUFS,
            Error::NoDevice => libc::ENODEV,
            Error::Domain => libc::EDOM,
            Error::NoFilter => libc::ENOENT,
            Error::BadHandle => libc::EBADF,
        })
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Errno {
        Errno(errno.raw_os_error())
    }
}

/// Writes errno.
pub(crate) fn set(errno: Errno) {
    // SAFETY: the C library gives each thread an errno of its own, valid as long as the thread.
    unsafe { *libc::__errno_location() = errno.0 }
}
