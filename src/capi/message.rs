//! sendmsg, recvmsg and their many-message forms.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use libc::{c_int, c_uint, ssize_t};
use tunsock_stack::{Controls, Domain, Kind, SendControl};

use super::calls::only_v6;
use super::data::{
    destination, gather, recv_nowhere, recv_pieces, scatter, send_bytes, send_pieces, sender,
    unreadable,
};
use super::errno::{CResult, Errno, answer};
use super::sockaddr::{RawAddr, encode};
use super::types::{tunsock_mmsghdr, tunsock_msghdr, tunsock_socklen_t, tunsock_timespec};
use super::{cmsg, netlink, originals, socket_of, user};
use crate::fd::SocketFile;
use crate::runtime::sys::cancellation_point;

/// Most messages that one call takes (UIO_MAXIOV).
pub(super) const MAX_MESSAGES: c_uint = 1024;

/// As tunsock_sendto with the address and the pieces of memory of a message.
///
/// More errno values: EMSGSIZE (more than 1024 pieces), EINVAL (a control message that is not known or not supported).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_sendmsg(
    fd: c_int,
    message: *const tunsock_msghdr,
    flags: c_int,
) -> ssize_t {
    cancellation_point();
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe {
            netlink::send_message(fd, message, flags)
                .unwrap_or_else(|| originals::sendmsg(fd, message.cast(), flags))
        };
    };
    // SAFETY: the caller vouches for what the message points to.
    answer(|| unsafe { send_message(&socket, &header(message)?, flags) })
}

/// As tunsock_recvfrom into the pieces of memory of a message. Sets msg_namelen, msg_controllen and
/// msg_flags (MSG_TRUNC, MSG_CTRUNC, MSG_OOB, MSG_ERRQUEUE).
///
/// More errno values: EMSGSIZE (more than 1024 pieces), EINVAL (a negative msg_namelen).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_recvmsg(
    fd: c_int,
    message: *mut tunsock_msghdr,
    flags: c_int,
) -> ssize_t {
    cancellation_point();
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe {
            netlink::receive_message(fd, message, flags)
                .unwrap_or_else(|| originals::recvmsg(fd, message.cast(), flags))
        };
    };
    // SAFETY: the caller vouches for what the message points to.
    answer(|| unsafe { receive_message(&socket, message, flags) })
}

/// Sends several messages; each one's msg_len gets the bytes sent.
///
/// Returns how many messages were sent, or -1 with errno as tunsock_sendmsg when the first already failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_sendmmsg(
    fd: c_int,
    messages: *mut tunsock_mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    cancellation_point();
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe {
            netlink::send_several(fd, messages, count, flags)
                .unwrap_or_else(|| originals::sendmmsg(fd, messages.cast(), count, flags))
        };
    };
    answer(|| {
        each(messages, count, |entry| {
            // SAFETY: the caller vouches for the array and what it points to.
            let sent =
                unsafe { send_message(&socket, &header(&raw const (*entry).msg_hdr)?, flags)? };
            // SAFETY: `header` has looked at this entry.
            unsafe { (&raw mut (*entry).msg_len).write_unaligned(sent as c_uint) };
            Ok(true)
        })
    })
}

/// Receives several messages; each one's msg_len gets its bytes. MSG_WAITFORONE in flags: waits for the first only. The
/// time, when given, is looked at after each message, and what is left of it is stored back.
///
/// Returns how many messages came, or -1 with errno as tunsock_recvmsg when the first already failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_recvmmsg(
    fd: c_int,
    messages: *mut tunsock_mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut tunsock_timespec,
) -> c_int {
    cancellation_point();
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe {
            netlink::receive_several(fd, messages, count, flags, timeout).unwrap_or_else(|| {
                originals::recvmmsg(fd, messages.cast(), count, flags, timeout.cast())
            })
        };
    };
    answer(|| {
        let end = if timeout.is_null() {
            None
        } else {
            // SAFETY: any bytes are a timespec.
            let time = super::wait::duration_of(unsafe { user::read(timeout)? })?;
            Instant::now().checked_add(time)
        };
        // do_recvmmsg: a pending error comes before what can be received.
        if flags & libc::MSG_ERRQUEUE == 0
            && let Some(error) = socket.take_error()
        {
            return Err(error.into());
        }
        let mut flags = flags;
        let got = each(messages, count, |entry| {
            // SAFETY: the caller vouches for the array and what it points to.
            let len = unsafe {
                receive_message(
                    &socket,
                    &raw mut (*entry).msg_hdr,
                    flags & !libc::MSG_WAITFORONE,
                )?
            };
            // SAFETY: `receive_message` has looked at this entry.
            unsafe { (&raw mut (*entry).msg_len).write_unaligned(len as c_uint) };
            if flags & libc::MSG_WAITFORONE != 0 {
                flags |= libc::MSG_DONTWAIT;
            }
            Ok(end.is_none_or(|end| Instant::now() < end))
        })?;
        if let Some(end) = end.filter(|_| got > 0) {
            let left: Duration = end.saturating_duration_since(Instant::now());
            user::write(timeout, super::wait::timespec_of(left))?;
        }
        Ok(got)
    })
}

/// Runs `one` over the messages until it fails or says stop: the number done, or the error when the first failed.
fn each(
    messages: *mut tunsock_mmsghdr,
    count: c_uint,
    mut one: impl FnMut(*mut tunsock_mmsghdr) -> CResult<bool>,
) -> CResult<c_int> {
    let count = count.min(MAX_MESSAGES);
    for done in 0..count {
        let entry = messages.wrapping_add(done as usize);
        user::check(entry, size_of::<tunsock_mmsghdr>())?;
        match one(entry) {
            Ok(true) => {}
            Ok(false) => return Ok(done as c_int + 1),
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => return Ok(done as c_int),
        }
    }
    Ok(count as c_int)
}

/// The caller's message header.
///
/// # Safety
/// A header that passes the check is readable.
unsafe fn header(message: *const tunsock_msghdr) -> CResult<tunsock_msghdr> {
    user::check(message, size_of::<tunsock_msghdr>())?;
    // SAFETY: the caller vouches.
    Ok(unsafe { message.read_unaligned() })
}

unsafe fn send_message(
    socket: &SocketFile,
    message: &tunsock_msghdr,
    flags: c_int,
) -> CResult<ssize_t> {
    let to = if message.msg_name.is_null() {
        None
    } else {
        // SAFETY: the caller vouches for the name.
        Some(unsafe { RawAddr::read_clamped(message.msg_name, message.msg_namelen)? })
    };
    // SAFETY: the caller vouches for the pieces.
    let pieces = unsafe { gather(message.msg_iov, message.msg_iovlen, libc::EMSGSIZE)? };
    // An empty name (msg_namelen 0) is no name.
    let to = to.filter(|_| message.msg_namelen != 0);
    // SAFETY: the caller vouches for the control messages.
    let control = unsafe { cmsg::memory(message.msg_control, message.msg_controllen)? };
    let Some(pieces) = pieces else {
        return Err(unreadable(socket, flags, to.is_none()));
    };
    let len = pieces
        .iter()
        .fold(0usize, |sum, piece| sum.saturating_add(piece.len()));
    let to = destination(socket, to, len, flags)?;
    let control = match control {
        [] => SendControl::default(),
        control => cmsg::read(socket, control, to).map_err(|errno| {
            socket.autobind();
            before_control(socket, to, flags).unwrap_or(errno)
        })?,
    };
    send_pieces(socket, &pieces, flags, to, &control)
}

/// What Linux says before it looks at control messages: of a stream that it is none any more (sk_stream_wait_connect), of another socket that
/// it has nobody to send to.
fn before_control(socket: &SocketFile, to: Option<SocketAddr>, flags: c_int) -> Option<Errno> {
    match (socket.kind().1, to) {
        (Kind::Stream, _) if flags & libc::MSG_FASTOPEN != 0 => None,
        (Kind::Stream, _) => send_bytes(socket, &[], flags, None).err(),
        (_, None) => (!socket.has_peer()).then_some(Errno(libc::EDESTADDRREQ)),
        // udpv6_sendmsg hands it to udp_sendmsg, if it may.
        (_, Some(to)) => {
            (socket.kind().0 == Domain::V6 && to.ip().to_canonical().is_ipv4() && only_v6(socket))
                .then_some(Errno(libc::ENETUNREACH))
        }
    }
}

unsafe fn receive_message(
    socket: &SocketFile,
    message: *mut tunsock_msghdr,
    flags: c_int,
) -> CResult<ssize_t> {
    // SAFETY: the caller vouches for the header and what it points to.
    let head = unsafe { header(message)? };
    if !head.msg_name.is_null() && head.msg_namelen > i32::MAX as tunsock_socklen_t {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: as above.
    let pieces = unsafe { scatter(head.msg_iov, head.msg_iovlen, libc::EMSGSIZE)? };
    let Some(mut pieces) = pieces else {
        return Ok(recv_nowhere(socket, 1, flags)?.0);
    };
    let mut controls = Controls::new();
    let (count, received) = recv_pieces(socket, &mut pieces, flags, Some(&mut controls))?;
    let (bytes, full) =
        sender(socket, &received).map_or(([0; 28], 0), |(from, domain)| encode(from, domain));
    if !head.msg_name.is_null() {
        let copied = full.min(head.msg_namelen as usize);
        if copied > 0 {
            // SAFETY: as above.
            unsafe { user::room(head.msg_name, copied)? }.copy_from_slice(&bytes[..copied]);
        }
    }
    let errors = flags & libc::MSG_ERRQUEUE != 0;
    let mut out_flags = flags & libc::MSG_CMSG_CLOEXEC;
    out_flags |= if errors { libc::MSG_ERRQUEUE } else { 0 };
    // SAFETY: as above.
    let (control_len, all) =
        unsafe { cmsg::write(&controls, head.msg_control, head.msg_controllen)? };
    out_flags |= if all { 0 } else { libc::MSG_CTRUNC };
    out_flags |= if received.cut { libc::MSG_TRUNC } else { 0 };
    out_flags |= if received.oob { libc::MSG_OOB } else { 0 };
    // SAFETY: the header is the caller's, writable; only the fields that Linux writes are touched.
    unsafe {
        if !head.msg_name.is_null() {
            (&raw mut (*message).msg_namelen).write_unaligned(full as tunsock_socklen_t);
        }
        (&raw mut (*message).msg_controllen).write_unaligned(control_len);
        (&raw mut (*message).msg_flags).write_unaligned(out_flags);
    }
    Ok(count)
}
