//! Relay ends: what carries a socket of the stack to where no name of ours is called.
//!
//! libc's streams on standard input and output, and programs that inherit these by exec, make their system calls beyond our sight. So
//! when such a number is to stand for a connection, it becomes one end of a socketpair, and so does every other number of the socket;
//! a thread of the library ([`pump`]) carries bytes between the other end and the stack. Reading, writing, waiting, dup and inheritance are
//! then the kernel's own, with its back-pressure, half-close and resets; names, addresses and most options stay the stack's.
//!
//! A program that never does this pays nothing: there is no thread, no descriptor, and no question asked on the way of a call.

mod end;
mod loan;
mod pump;

use std::sync::Arc;

use libc::c_int;
use rustix::io::Errno;
use tunsock_stack::Kind;

use super::table::{self, Changing};
use super::{FdResult, Object, SocketFile};
use crate::runtime::critical::Critical;
use crate::runtime::{release, reserve, sys};

pub(crate) use loan::{LoanForking, before_vfork, given_back, lend, lend_copy, take_over};
pub(crate) use pump::{RelaysForking, at_exit};

/// The highest of the numbers that libc's streams use by themselves.
const STANDARD: c_int = libc::STDERR_FILENO;

/// A number was made, or is to be made, to stand for what another stands for (dup and its kin): a connection on a standard number gets
/// a relay. Without memory or descriptors for one it stays as it is.
pub(crate) fn consider(number: c_int, object: &Object) {
    if number > STANDARD {
        return;
    }
    let _inside = Critical::enter();
    match object {
        Object::Socket(file) if fits(file) => {
            // A child may have made one before it ended.
            pump::catch_up();
            if !table::numbers_of(file).is_empty() {
                let _ = carry(file);
            }
        }
        Object::Inherited(file) => drop(take_over(file)),
        _ => {}
    }
}

/// Whether a relay can stand for the socket: a connection.
fn fits(file: &SocketFile) -> bool {
    file.kind().1 == Kind::Stream && file.peer_addr().is_ok()
}

/// Gives every number of a connection one end of a socketpair, whose other end the pump has. EMFILE, ENOMEM.
fn carry(file: &Arc<SocketFile>) -> FdResult<()> {
    let _inside = Critical::enter();
    let changing = table::changing();
    let (theirs, ours) = end::pair()?;
    reserve(theirs);
    reserve(ours);
    let begun = prepare(file, theirs).and_then(|()| pump::begin(file.clone(), ours));
    match begun {
        Ok(()) => {
            for number in table::numbers_of(file) {
                replace(&changing, number, theirs, file);
            }
        }
        Err(_) => {
            release(ours);
            let _ = sys::close(ours);
        }
    }
    release(theirs);
    let _ = sys::close(theirs);
    Ok(begun?)
}

/// What the program has set for the socket holds for its end too. The octet that is always unread at our end goes first.
fn prepare(file: &SocketFile, theirs: c_int) -> Result<(), Errno> {
    end::send(theirs, &[0])?;
    if file.nonblocking() {
        sys::fcntl(theirs, libc::F_SETFL, libc::O_NONBLOCK)?;
    }
    end::set_timeouts(theirs, file.recv_timeout(), file.send_timeout())
}

/// The number stands for the relay's end from now on, marked close-on-exec as it was.
fn replace(changing: &Changing, number: c_int, theirs: c_int, file: &Arc<SocketFile>) {
    // What the kernel has given out since the program closed a number beyond our sight is no copy of the socket.
    if pump::ending() || changing.lookup(number).is_none() {
        return;
    }
    let flags = sys::fcntl(number, libc::F_GETFD, 0).unwrap_or(0);
    let cloexec = if flags & libc::FD_CLOEXEC != 0 {
        libc::O_CLOEXEC
    } else {
        0
    };
    if sys::dup3(theirs, number, cloexec).is_ok() {
        // The entry before was one of several owners: the pump is another.
        let _ = table::install(number, Object::Relay(file.clone()));
    }
}
