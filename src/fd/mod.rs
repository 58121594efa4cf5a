//! Descriptors: which numbers are ours, what they stand for, and waiting over ours and the kernel's together.
//!
//! A descriptor of ours is a real kernel descriptor (a duplicate of one AF_UNIX socket, or a kernel epoll), so numbers, limits,
//! `fstat`, inheritance over `exec` and `dup2` keep their meaning; [`table`] maps the number to what it stands for.

mod dup;
mod epoll;
mod netlink;
mod poll;
mod relay;
mod select;
mod sending;
mod settings;
mod sigio;
mod socket;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tunsock_stack::Error;

use crate::runtime::MutexGuard;

pub(crate) use dup::{close, dup, dup2, forget};
pub(crate) use epoll::{EpollSet, epoll_create, epoll_ctl, epoll_wait};
pub(crate) use netlink::{NetlinkFile, Protocol, any_netlink, netlink_of, open_netlink};
pub(crate) use poll::poll;
pub(crate) use relay::{RelaysForking, at_exit, before_vfork, consider, lend, lend_copy};
pub(crate) use select::{FdBits, select};
pub(crate) use socket::{SocketFile, open};
pub(crate) use table::{lookup, lookup_checked, never_ours};

/// What a descriptor of ours stands for.
#[derive(Clone)]
pub(crate) enum Object {
    /// A socket of the stack.
    Socket(Arc<SocketFile>),
    /// A socket of the stack whose number is a relay's end: what moves bytes is the kernel's affair, the rest the socket's.
    Relay(Arc<SocketFile>),
    /// A socket that this process has from its parent, who has the stack.
    Inherited(Arc<SocketFile>),
    /// A kernel epoll descriptor that was made through us and may hold sockets of the stack.
    Epoll(Arc<EpollSet>),
    /// A netlink socket whose requests the stack answers; for the rest a socket of the kernel's.
    Netlink(Arc<NetlinkFile>),
}

/// Why a descriptor call did not succeed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fail {
    /// The stack says so.
    Stack(Error),
    /// A signal handler ran (EINTR).
    Interrupted,
    /// SO_RCVTIMEO or SO_SNDTIMEO ran out (EAGAIN; for connect EINPROGRESS).
    TimedOut,
    /// The kernel says so, or we in its words.
    Os(rustix::io::Errno),
}

impl From<Error> for Fail {
    fn from(error: Error) -> Fail {
        Fail::Stack(error)
    }
}

impl From<rustix::io::Errno> for Fail {
    fn from(errno: rustix::io::Errno) -> Fail {
        Fail::Os(errno)
    }
}

/// Outcome of a descriptor call.
pub(crate) type FdResult<T> = Result<T, Fail>;

/// A fork in progress: no number changes hands while the process is doubled, and what the child may do with its copies is prepared. Begun
/// before the runtime's, and over after it.
pub(crate) struct Forking {
    loan: relay::LoanForking,
    _answering: MutexGuard<'static, ()>,
    _changing: table::Changing,
}

impl Forking {
    /// Before the fork.
    pub(crate) fn begin() -> Forking {
        Forking {
            _changing: table::changing(),
            _answering: netlink::answering(),
            loan: relay::LoanForking::begin(),
        }
    }

    /// In the child: its sockets are its parent's.
    pub(crate) fn end_in_child(self) {
        self.loan.end_in_child();
    }
}

/// [`lookup`] for a call that moves bytes or waits: an inherited connection becomes a relay's end first, if it can.
#[inline]
pub(crate) fn settle(fd: libc::c_int) -> Option<Object> {
    match lookup(fd) {
        Some(Object::Inherited(file)) => Some(settled(file)),
        object => object,
    }
}

/// See [`settle`].
pub(crate) fn settled(file: Arc<SocketFile>) -> Object {
    if relay::take_over(&file) {
        Object::Relay(file)
    } else {
        Object::Inherited(file)
    }
}
