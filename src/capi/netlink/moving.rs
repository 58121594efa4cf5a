//! Sending requests and receiving answers.

use std::time::Instant;

use libc::{c_int, c_uint, c_void, msghdr, size_t, ssize_t};

use super::answer::{self, Asker};
use super::{
    NAME_LEN, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK, bytes_of, kernel_name, netlink_of,
    read_name, write_name,
};
use crate::capi::errno::{self, answer};
use crate::capi::types::{
    tunsock_iovec, tunsock_mmsghdr, tunsock_msghdr, tunsock_sockaddr, tunsock_socklen_t,
    tunsock_timespec,
};
use crate::capi::{data, message, originals, user, wait};
use crate::fd;

/// sendmsg(2). `None`: not ours.
///
/// # Safety
/// The caller vouches for what the message points to, as for the C function.
pub(in crate::capi) unsafe fn send_message(
    fd: c_int,
    message: *const tunsock_msghdr,
    flags: c_int,
) -> Option<ssize_t> {
    let socket = netlink_of(fd)?;
    // SAFETY: any bytes are a header.
    let Ok(given) = (unsafe { user::read(message.cast::<msghdr>()) }) else {
        return None;
    };
    let to_kernel = match given.msg_name.is_null() || given.msg_namelen == 0 {
        true => socket.file.faces_kernel(fd),
        false => match read_name(given.msg_name, given.msg_namelen) {
            Ok(Some(name)) => name.nl_pid == 0 && name.nl_groups == 0,
            // The kernel says what is wrong with it.
            _ => false,
        },
    };
    if !to_kernel {
        return None;
    }
    if let Err(errno) = socket.file.link(fd) {
        errno::set(errno.raw_os_error());
        return Some(-1);
    }
    let mut to = kernel_name(socket.file.port());
    let whole = msghdr {
        msg_name: (&raw mut to).cast(),
        msg_namelen: NAME_LEN as u32,
        ..given
    };
    // It may have to wait for room: handlers run meanwhile.
    drop(socket);
    // SAFETY: the address is on this stack, the rest the caller's own.
    let sent = unsafe { originals::sendmsg(fd, (&raw const whole).cast(), flags) };
    if sent >= 0 {
        serve(fd);
    }
    Some(sent)
}

/// send(2), sendto(2), write(2). `None`: not ours.
///
/// # Safety
/// As `send_message`, of data and address.
pub(in crate::capi) unsafe fn send(
    fd: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
    addr: *const tunsock_sockaddr,
    addr_len: tunsock_socklen_t,
) -> Option<ssize_t> {
    let piece = tunsock_iovec {
        iov_base: data.cast_mut(),
        iov_len: data::clamp(len),
    };
    let message = tunsock_msghdr {
        msg_name: addr.cast_mut().cast(),
        msg_namelen: addr_len,
        msg_iov: (&raw const piece).cast_mut().cast(),
        msg_iovlen: 1,
        ..NO_MESSAGE
    };
    // SAFETY: header and piece are on this stack, the rest the caller's own.
    unsafe { send_message(fd, &raw const message, flags) }
}

/// writev(2). `None`: not ours, or nothing that could be sent.
///
/// # Safety
/// As `send_message`, of the pieces.
pub(in crate::capi) unsafe fn write_pieces(
    fd: c_int,
    pieces: *const tunsock_iovec,
    count: c_int,
) -> Option<ssize_t> {
    let count = usize::try_from(count).ok().filter(|_| fd::any_netlink())?;
    {
        // SAFETY: the caller vouches for the pieces.
        let all = unsafe { data::gather(pieces, count, libc::EINVAL) }.ok()?;
        // do_iter_readv_writev: nothing to write asks nothing.
        if all.iter().all(|piece| piece.is_empty()) {
            return None;
        }
    }
    let message = tunsock_msghdr {
        msg_iov: pieces.cast_mut(),
        msg_iovlen: count,
        ..NO_MESSAGE
    };
    // SAFETY: the header is on this stack, the rest the caller's own.
    unsafe { send_message(fd, &raw const message, 0) }
}

/// A header of nothing.
const NO_MESSAGE: tunsock_msghdr = tunsock_msghdr {
    msg_name: std::ptr::null_mut(),
    msg_namelen: 0,
    msg_iov: std::ptr::null_mut(),
    msg_iovlen: 0,
    msg_control: std::ptr::null_mut(),
    msg_controllen: 0,
    msg_flags: 0,
};

/// Answers what was asked. A call that has sent has sent: of failures in here nobody hears.
fn serve(fd: c_int) {
    let Some(socket) = netlink_of(fd) else {
        return;
    };
    let before = errno::get();
    let asked = |name| option(fd, name);
    let protocol = socket.file.protocol();
    socket.file.serve(|request, port, waiting| {
        let asker = Asker {
            protocol,
            port,
            strict: asked(NETLINK_GET_STRICT_CHK),
            short_errors: asked(NETLINK_CAP_ACK),
            waiting,
        };
        answer::to_request(request, &asker)
    });
    errno::set(before);
}

/// A switch of SOL_NETLINK as the kernel has it.
fn option(fd: c_int, name: c_int) -> bool {
    let (mut value, mut len): (c_int, _) = (0, size_of::<c_int>() as u32);
    // SAFETY: value and length are on this stack.
    let asked = unsafe {
        originals::getsockopt(
            fd,
            libc::SOL_NETLINK,
            name,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    asked == 0 && value != 0
}

/// After a call by which the program may have read from `fd`: answers that waited for room go on.
#[inline]
pub(in crate::capi) fn after_read(fd: c_int, got: ssize_t) -> ssize_t {
    if got >= 0
        && let Some(socket) = netlink_of(fd)
    {
        let before = errno::get();
        socket.file.has_read();
        errno::set(before);
    }
    got
}

/// recvmsg(2): what the library's end sent is the kernel's word. `None`: not ours.
///
/// # Safety
/// The caller vouches for what the message points to, as for the C function.
pub(in crate::capi) unsafe fn receive_message(
    fd: c_int,
    message: *mut tunsock_msghdr,
    flags: c_int,
) -> Option<ssize_t> {
    let end = netlink_of(fd)?.file.port();
    // SAFETY: any bytes are a header.
    let Ok(given) = (unsafe { user::read(message.cast::<msghdr>()) }) else {
        return None;
    };
    let mut from = kernel_name(0);
    let named = !given.msg_name.is_null();
    // A negative length is the kernel's to refuse.
    let length = match named && (given.msg_namelen as c_int) < 0 {
        true => given.msg_namelen,
        false => NAME_LEN as u32,
    };
    let mut whole = msghdr {
        msg_name: (&raw mut from).cast(),
        msg_namelen: length,
        ..given
    };
    // SAFETY: the address is on this stack, the rest the caller's own.
    let got = unsafe { originals::recvmsg(fd, (&raw mut whole).cast(), flags) };
    if got < 0 {
        return Some(got);
    }
    if from.nl_pid == end {
        from.nl_pid = 0;
        // SAFETY: the kernel has just written control messages of this length there.
        unsafe { credit_kernel(&whole) };
    }
    let stored: ssize_t = answer(|| {
        if named {
            let copied = NAME_LEN.min(given.msg_namelen as usize);
            let bytes = bytes_of(&from);
            user::copy_out(given.msg_name, bytes.get(..copied).unwrap_or_default())?;
        } else {
            whole.msg_namelen = given.msg_namelen;
        }
        whole.msg_name = given.msg_name;
        user::write(message.cast::<msghdr>(), whole)?;
        Ok(got)
    });
    after_read(fd, got);
    Some(stored)
}

/// SCM_CREDENTIALS of an answer are the kernel's: process, user and group 0.
///
/// # Safety
/// The header's control messages are as the kernel wrote them.
unsafe fn credit_kernel(message: &msghdr) {
    // SAFETY: the caller vouches; the macros look at the lengths.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(message);
        while !next.is_null() {
            let head = next.read_unaligned();
            let size = libc::CMSG_LEN(size_of::<libc::ucred>() as u32) as usize;
            if (head.cmsg_level, head.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_CREDENTIALS)
                && head.cmsg_len as usize >= size
            {
                let kernel: libc::ucred = std::mem::zeroed();
                libc::CMSG_DATA(next)
                    .cast::<libc::ucred>()
                    .write_unaligned(kernel);
            }
            next = libc::CMSG_NXTHDR(message, next);
        }
    }
}

/// recvfrom(2). `None`: not ours.
///
/// # Safety
/// As the C function's.
pub(in crate::capi) unsafe fn receive_from(
    fd: c_int,
    data: *mut c_void,
    len: size_t,
    flags: c_int,
    addr: *mut tunsock_sockaddr,
    addr_len: *mut tunsock_socklen_t,
) -> Option<ssize_t> {
    let end = netlink_of(fd)?.file.port();
    let mut from = kernel_name(0);
    let mut room = NAME_LEN as tunsock_socklen_t;
    // SAFETY: address and length are on this stack, the rest the caller's own.
    let got =
        unsafe { originals::recvfrom(fd, data, len, flags, (&raw mut from).cast(), &raw mut room) };
    if got < 0 {
        return Some(got);
    }
    if from.nl_pid == end {
        from.nl_pid = 0;
    }
    let stored: ssize_t = answer(|| {
        if !addr.is_null() {
            write_name(&from, addr.cast(), addr_len)?;
        }
        Ok(got)
    });
    after_read(fd, got);
    Some(stored)
}

/// sendmmsg(2). `None`: not ours.
///
/// # Safety
/// The caller vouches for the messages.
pub(in crate::capi) unsafe fn send_several(
    fd: c_int,
    messages: *mut tunsock_mmsghdr,
    count: c_uint,
    flags: c_int,
) -> Option<c_int> {
    netlink_of(fd)?;
    Some(each(messages, count, |head| {
        // SAFETY: the caller vouches for the message.
        let sent = unsafe { message::tunsock_sendmsg(fd, head, flags) };
        (sent, true)
    }))
}

/// recvmmsg(2), which looks at the time after each message. `None`: not ours.
///
/// # Safety
/// The caller vouches for the messages.
pub(in crate::capi) unsafe fn receive_several(
    fd: c_int,
    messages: *mut tunsock_mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut tunsock_timespec,
) -> Option<c_int> {
    netlink_of(fd)?;
    let mut end = None;
    if !timeout.is_null() {
        let looked: c_int = answer(|| {
            // SAFETY: any bytes are a timespec.
            let time = wait::duration_of(unsafe { user::read(timeout)? })?;
            end = Instant::now().checked_add(time);
            Ok(0)
        });
        if looked < 0 {
            return Some(looked);
        }
    }
    let mut now = flags & !libc::MSG_WAITFORONE;
    let got = each(messages, count, |head| {
        // SAFETY: the caller vouches for the message.
        let got = unsafe { message::tunsock_recvmsg(fd, head, now) };
        if flags & libc::MSG_WAITFORONE != 0 {
            now |= libc::MSG_DONTWAIT;
        }
        (got, end.is_none_or(|end| Instant::now() < end))
    });
    if let Some(end) = end.filter(|_| got >= 0) {
        let left = end.saturating_duration_since(Instant::now());
        let left = wait::timespec_of(left);
        let stored: c_int = answer(|| user::write(timeout, left).map(|()| 0));
        return Some(if stored < 0 { stored } else { got });
    }
    Some(got)
}

/// Moves messages one by one until one fails or is the last: the number moved, or -1 when the first failed. Each may wait, so nothing is held.
fn each(
    messages: *mut tunsock_mmsghdr,
    count: c_uint,
    mut one: impl FnMut(*mut tunsock_msghdr) -> (ssize_t, bool),
) -> c_int {
    let before = errno::get();
    let count = count.min(message::MAX_MESSAGES) as c_int;
    for done in 0..count {
        let entry = messages.wrapping_add(done as usize);
        let head = entry.wrapping_byte_add(std::mem::offset_of!(tunsock_mmsghdr, msg_hdr));
        let len = entry.wrapping_byte_add(std::mem::offset_of!(tunsock_mmsghdr, msg_len));
        let (moved, goes_on) = one(head.cast());
        let failed = moved < 0 || {
            let stored: c_int = answer(|| user::write(len.cast(), moved as c_uint).map(|()| 0));
            stored < 0
        };
        if failed && done == 0 {
            return -1;
        }
        if failed {
            errno::set(before);
            return done;
        }
        if !goes_on {
            return done + 1;
        }
    }
    count
}
