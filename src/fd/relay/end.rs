//! A socketpair's ends: the system calls on them, none by a name that this library exports.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::time::Duration;

use libc::c_int;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recv as receive, recvmsg,
    send as transmit, sendmsg, shutdown, socketpair,
};
use smallvec::SmallVec;

use crate::runtime::sys::{self, RaisedLimit};

/// The number for one call.
fn borrow<'a>(end: c_int) -> BorrowedFd<'a> {
    // SAFETY: the borrow ends with the call that it is made for, and the kernel checks the number.
    unsafe { BorrowedFd::borrow_raw(end) }
}

/// A new pair of stream sockets at high numbers, close-on-exec.
pub(super) fn pair() -> Result<(c_int, c_int), Errno> {
    let _room = RaisedLimit::new();
    let (kind, flags) = (SocketType::STREAM, SocketFlags::CLOEXEC);
    let (a, b) = socketpair(AddressFamily::UNIX, kind, flags, None)?;
    Ok((
        sys::move_high(a.into_raw_fd()),
        sys::move_high(b.into_raw_fd()),
    ))
}

/// Bytes taken; never waits, and raises no SIGPIPE.
pub(super) fn send(end: c_int, data: &[u8]) -> Result<usize, Errno> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    transmit(borrow(end), data, flags)
}

/// Bytes read, or with `keep` only looked at; never waits.
pub(super) fn recv(end: c_int, room: &mut [u8], keep: bool) -> Result<usize, Errno> {
    let mut flags = RecvFlags::DONTWAIT;
    flags.set(RecvFlags::PEEK, keep);
    receive(borrow(end), room, flags).map(|(len, _)| len)
}

/// What goes to the other end is over.
pub(super) fn end_writing(end: c_int) {
    // With a valid number it can't fail.
    let _ = shutdown(borrow(end), Shutdown::Write);
}

/// The other end writes no more; and it is closed, or neither end writes any more.
pub(super) fn over(end: c_int) -> (bool, bool) {
    let (end, asked) = (borrow(end), PollFlags::RDHUP);
    let mut fds = [PollFd::from_borrowed_fd(end, asked)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // It fails for want of memory only: there is another look with the next news.
    let _ = poll(&mut fds, Some(&now));
    let found = fds[0].revents();
    (
        found.intersects(PollFlags::RDHUP | PollFlags::HUP),
        found.contains(PollFlags::HUP),
    )
}

/// Whether the other end was closed with bytes unread (SO_ERROR, thereby cleared).
pub(super) fn was_reset(end: c_int) -> bool {
    matches!(
        sockopt::socket_error(borrow(end)),
        Ok(Err(Errno::CONNRESET))
    )
}

/// SO_RCVTIMEO and SO_SNDTIMEO.
pub(super) fn set_timeouts(
    end: c_int,
    recv: Option<Duration>,
    send: Option<Duration>,
) -> Result<(), Errno> {
    sockopt::set_socket_timeout(borrow(end), Timeout::Recv, recv)?;
    sockopt::set_socket_timeout(borrow(end), Timeout::Send, send)
}

/// A new pair of packet sockets at high numbers, close-on-exec: a process and one that inherits its sockets talk over it.
pub(super) fn line() -> Result<(c_int, c_int), Errno> {
    let _room = RaisedLimit::new();
    let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    let (a, b) = socketpair(AddressFamily::UNIX, kind, flags, None)?;
    Ok((
        sys::move_high(a.into_raw_fd()),
        sys::move_high(b.into_raw_fd()),
    ))
}

/// Tells the other end about a socket, with copies of these descriptors.
pub(super) fn tell(line: c_int, socket: u64, descriptors: &[c_int]) -> Result<(), Errno> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    let borrowed: SmallVec<[BorrowedFd<'_>; 2]> =
        descriptors.iter().map(|&number| borrow(number)).collect();
    if !borrowed.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&borrowed));
    }
    let text = socket.to_ne_bytes();
    let flags = SendFlags::NOSIGNAL;
    sendmsg(borrow(line), &[IoSlice::new(&text)], &mut control, flags).map(drop)
}

/// A socket, and descriptors at high numbers, close-on-exec.
pub(super) type Told = (u64, SmallVec<[c_int; 2]>);

/// What the other end told. `None`: there is no other end any more. Never waits.
pub(super) fn hear(line: c_int) -> Result<Option<Told>, Errno> {
    let _room = RaisedLimit::new();
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let mut text = [0; size_of::<u64>()];
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let pieces = &mut [IoSliceMut::new(&mut text)];
    let got = recvmsg(borrow(line), pieces, &mut control, flags)?;
    let mut descriptors = SmallVec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(given) = message {
            descriptors.extend(given.map(|fd| sys::move_high(fd.into_raw_fd())));
        }
    }
    Ok((got.bytes == text.len()).then(|| (u64::from_ne_bytes(text), descriptors)))
}
