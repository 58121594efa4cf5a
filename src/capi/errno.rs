//! The only errno table, and the only place where errno is written.

use libc::{c_int, c_void, ssize_t};
use tunsock_stack::Error;

use crate::fd::Fail;
use crate::runtime::critical::Critical;
use crate::runtime::sys;

/// An errno value on its way to the caller.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Errno(pub(crate) c_int);

/// Outcome of an entry point before it is put into C's words.
pub(crate) type CResult<T> = Result<T, Errno>;

impl From<Error> for Errno {
    /// The table. docs/errno.md lists it row by row and is checked against it.
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
            // Linux maps ICMP protocol unreachable to ENOPROTOOPT (icmp_err_convert).
            Error::ProtocolUnreachable => libc::ENOPROTOOPT,
            Error::Protocol => libc::EPROTO,
            Error::HostDown => libc::EHOSTDOWN,
            Error::NoNetwork => libc::ENONET,
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
            Error::NoSuchOption => libc::ENOPROTOOPT,
            Error::Domain => libc::EDOM,
            Error::NoFilter => libc::ENOENT,
            Error::BadHandle => libc::EBADF,
        })
    }
}

impl From<Fail> for Errno {
    fn from(fail: Fail) -> Errno {
        match fail {
            Fail::Stack(error) => Errno::from(error),
            Fail::Interrupted => Errno(libc::EINTR),
            // socket(7): SO_RCVTIMEO and SO_SNDTIMEO. connect has its own word for it, see `calls::tunsock_connect`.
            Fail::TimedOut => Errno(libc::EAGAIN),
            Fail::Os(errno) => Errno(errno.raw_os_error()),
        }
    }
}

/// What a C function returns when it fails.
pub(crate) trait Failed {
    /// The value that says so.
    const FAILED: Self;
}

impl Failed for c_int {
    const FAILED: c_int = -1;
}

impl Failed for ssize_t {
    const FAILED: ssize_t = -1;
}

impl Failed for *mut c_void {
    const FAILED: *mut c_void = std::ptr::null_mut();
}

/// Runs an entry point's body: the value on success, with errno as it was before; else -1 (or NULL) and errno.
#[inline]
pub(crate) fn answer<T: Failed>(body: impl FnOnce() -> CResult<T>) -> T {
    let _inside = Critical::enter();
    let before = get();
    match body() {
        Ok(value) => {
            // The body may have allocated or called libc; a call that succeeds leaves errno alone.
            set(before);
            value
        }
        Err(Errno(errno)) => {
            set(errno);
            T::FAILED
        }
    }
}

/// errno as it is.
pub(crate) fn get() -> c_int {
    sys::errno()
}

/// Writes errno; the one function that does.
pub(crate) fn set(errno: c_int) {
    sys::set_errno(errno);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[(Error, &str)] = &[
        (Error::WouldBlock, "EAGAIN"),
        (Error::InProgress, "EINPROGRESS"),
        (Error::AlreadyConnecting, "EALREADY"),
        (Error::IsConnected, "EISCONN"),
        (Error::NotConnected, "ENOTCONN"),
        (Error::ConnectionRefused, "ECONNREFUSED"),
        (Error::ConnectionReset, "ECONNRESET"),
        (Error::ConnectionAborted, "ECONNABORTED"),
        (Error::BrokenPipe, "EPIPE"),
        (Error::TimedOut, "ETIMEDOUT"),
        (Error::HostUnreachable, "EHOSTUNREACH"),
        (Error::NetworkUnreachable, "ENETUNREACH"),
        (Error::ProtocolUnreachable, "ENOPROTOOPT"),
        (Error::Protocol, "EPROTO"),
        (Error::HostDown, "EHOSTDOWN"),
        (Error::NoNetwork, "ENONET"),
        (Error::NetworkDown, "ENETDOWN"),
        (Error::AddressInUse, "EADDRINUSE"),
        (Error::AddressNotAvailable, "EADDRNOTAVAIL"),
        (Error::NoPort, "EAGAIN"),
        (Error::AddressFamily, "EAFNOSUPPORT"),
        (Error::Invalid, "EINVAL"),
        (Error::MessageTooLong, "EMSGSIZE"),
        (Error::DestinationRequired, "EDESTADDRREQ"),
        (Error::NotSupported, "EOPNOTSUPP"),
        (Error::AccessDenied, "EACCES"),
        (Error::NotPermitted, "EPERM"),
        (Error::NoBuffers, "ENOBUFS"),
        (Error::NoDevice, "ENODEV"),
        (Error::NoSuchOption, "ENOPROTOOPT"),
        (Error::Domain, "EDOM"),
        (Error::NoFilter, "ENOENT"),
        (Error::BadHandle, "EBADF"),
    ];

    fn name(errno: c_int) -> String {
        // SAFETY: strerrorname_np gives NULL or a string that lives for ever.
        unsafe extern "C" {
            fn strerrorname_np(errno: c_int) -> *const libc::c_char;
        }
        // SAFETY: as above; every errno of the table has a name.
        unsafe { std::ffi::CStr::from_ptr(strerrorname_np(errno)) }
            .to_string_lossy()
            .into_owned()
    }

    #[test]
    fn the_document_and_the_table_agree() {
        let document = include_str!("../../docs/errno.md");
        for &(error, expected) in ALL {
            let listed = document
                .lines()
                .find(|line| line.starts_with(&format!("| `{error:?}` |")))
                .unwrap_or_else(|| panic!("docs/errno.md has no row for {error:?}"));
            let said = name(Errno::from(error).0);
            assert_eq!(said, expected);
            assert!(
                listed.contains(&format!("`{said}`")),
                "{error:?} is {said}, the document says {listed}"
            );
        }
        let rows = document
            .lines()
            .filter(|l| l.starts_with("| `") && !l.starts_with("| `Fail::"))
            .count();
        assert_eq!(rows, ALL.len(), "docs/errno.md has a row the table has not");
    }

    #[test]
    fn success_leaves_errno_alone_and_failure_writes_it() {
        set(libc::ENOENT);
        let ok: c_int = answer(|| {
            set(libc::EIO);
            Ok(3)
        });
        assert_eq!((ok, get()), (3, libc::ENOENT));
        let failed: c_int = answer(|| Err(Errno(libc::EPIPE)));
        assert_eq!((failed, get()), (-1, libc::EPIPE));
    }
}
