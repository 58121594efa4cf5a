//! The C entry points, one function a row: check the pointers, look the descriptor up, make one safe call, convert.
//!
//! Every `tunsock_*` function has the arguments, the return value and the errno of the Linux call it is named after. A
//! descriptor that is not ours goes to the kernel by libc's own function. `include/tunsock.h` is generated from this room,
//! so the comments on public items are written for readers of C.
// The C ABI is what this room is for. `pub` is what the header generator reads; nothing here is Rust's to import.
#![allow(unreachable_pub)]
// Each function's contract is the C one: pointers valid for what the call's manual page says, or refused with EFAULT.
#![allow(clippy::missing_safety_doc)]

mod attributes;
mod calls;
mod cmsg;
mod constants;
mod control;
mod data;
pub(crate) mod errno;
mod filters;
pub(crate) mod gai;
mod hostent;
mod interfaces;
mod ip_options;
mod levels;
mod message;
mod multicast;
mod netdb;
mod netlink;
mod option_value;
mod options;
pub(crate) mod originals;
mod packet_filter;
mod raw;
mod resolver;
mod sigio;
pub(crate) mod signals;
mod sockaddr;
mod tcp_options;
mod transfer;
pub(crate) mod types;
pub(crate) mod user;
mod wait;
mod winsock;
mod winsock_names;
mod winsock_options;

pub(crate) use calls::*;
pub(crate) use control::*;
pub(crate) use data::*;
pub(crate) use filters::*;
pub(crate) use gai::*;
pub(crate) use hostent::*;
pub(crate) use interfaces::*;
pub(crate) use message::*;
pub(crate) use netdb::*;
pub(crate) use options::*;
pub(crate) use resolver::*;
pub(crate) use transfer::*;
pub(crate) use wait::*;

use std::ops::Deref;
use std::sync::Arc;

use libc::c_int;

use crate::fd::{self, Object, SocketFile};
use crate::runtime::critical::Critical;

/// A socket in a call of its own. Handlers wait until it is dropped: one that leaves by siglongjmp must leave no reference behind.
struct InCall {
    file: Arc<SocketFile>,
    /// The number is a relay's end: the kernel has a part in what is asked of it.
    relayed: bool,
    _inside: Critical,
}

impl Deref for InCall {
    type Target = Arc<SocketFile>;
    fn deref(&self) -> &Arc<SocketFile> {
        &self.file
    }
}

/// The socket that `fd` stands for; `None`: the kernel's affair.
#[inline]
fn socket_of(fd: c_int) -> Option<InCall> {
    let inside = Critical::enter();
    let file = socket_in(fd::settle(fd))?;
    Some(InCall {
        file,
        relayed: false,
        _inside: inside,
    })
}

/// [`socket_of`] for calls that are slow anyway, and move no bytes: one fstat makes sure that the number has not changed hands
/// beyond our sight. A relay's end stands for its socket here.
fn checked_socket_of(fd: c_int) -> Option<InCall> {
    let inside = Critical::enter();
    let object = match fd::lookup_checked(fd) {
        Some(Object::Inherited(file)) => Some(fd::settled(file)),
        object => object,
    };
    let relayed = matches!(object, Some(Object::Relay(_)));
    let file = match object {
        Some(Object::Relay(file)) => file,
        object => socket_in(object)?,
    };
    Some(InCall {
        file,
        relayed,
        _inside: inside,
    })
}

#[inline]
fn socket_in(object: Option<Object>) -> Option<Arc<SocketFile>> {
    match object {
        Some(Object::Socket(socket) | Object::Inherited(socket)) => Some(socket),
        // An epoll set of ours is a kernel descriptor too: for calls on sockets the kernel has the right answer (ENOTSOCK, EINVAL).
        // So is a relay's end, which the kernel reads and writes.
        Some(Object::Epoll(_) | Object::Relay(_) | Object::Netlink(_)) | None => None,
    }
}
