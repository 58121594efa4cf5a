//! Sending and receiving bytes.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use libc::{c_int, c_void, size_t, ssize_t};
use smallvec::SmallVec;
use tunsock_stack::{Controls, Domain, Error, Kind, Received, RecvFlags, SendControl, SendFlags};

use super::calls::only_v6;
use super::errno::{CResult, Errno, answer};
use super::sockaddr::{self, RawAddr, Target};
use super::types::{tunsock_iovec, tunsock_sockaddr, tunsock_socklen_t};
use super::{netlink, originals, socket_of, user};
use crate::fd::{Fail, SocketFile};
use crate::runtime::sys::{self, cancellation_point};

/// Most bytes that one call moves on Linux (MAX_RW_COUNT: INT_MAX rounded down to a page).
const MAX_RW_COUNT: usize = 0x7fff_f000;
/// Most pieces that one call takes (UIO_MAXIOV).
pub(super) const MAX_PIECES: usize = 1024;

/// Sends bytes on a connected socket. Flags: MSG_DONTWAIT, MSG_NOSIGNAL, MSG_OOB, MSG_MORE, MSG_EOR, MSG_ZEROCOPY,
/// MSG_DONTROUTE; others are ignored as Linux ignores them.
///
/// Returns how many bytes were taken, or -1 with errno EBADF, ENOTSOCK, EFAULT, EAGAIN, EINTR, EPIPE (with SIGPIPE unless
/// MSG_NOSIGNAL), ECONNRESET, ENOTCONN, EDESTADDRREQ, EMSGSIZE (datagram too long), ECONNREFUSED, ENOBUFS or ENETDOWN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_send(
    fd: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    cancellation_point();
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe {
            netlink::send(fd, data, len, flags, std::ptr::null(), 0)
                .unwrap_or_else(|| originals::send(fd, data, len, flags))
        };
    };
    answer(|| {
        // SAFETY: the caller vouches for `data`.
        let data = unsafe { to_send(&socket, data, len, flags, true)? };
        send_bytes(&socket, data, flags, None)
    })
}

/// As tunsock_send, to an address. On a stream socket the address is ignored.
///
/// More errno values: EINVAL (wrong length or port 0), EAFNOSUPPORT, EACCES (broadcast without TUNSOCK_SO_BROADCAST),
/// EOPNOTSUPP (MSG_OOB on a datagram socket), ENETUNREACH. With MSG_FASTOPEN a stream socket is connected to the address, with data in
/// the SYN when the server is known to take it: errno also as of tunsock_connect, EOPNOTSUPP when Fast Open is switched off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_sendto(
    fd: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
    addr: *const tunsock_sockaddr,
    addr_len: tunsock_socklen_t,
) -> ssize_t {
    cancellation_point();
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe {
            netlink::send(fd, data, len, flags, addr, addr_len)
                .unwrap_or_else(|| originals::sendto(fd, data, len, flags, addr.cast(), addr_len))
        };
    };
    answer(|| {
        // import_ubuf comes before move_addr_to_kernel.
        if user::outside(data, clamp(len)) {
            return Err(Errno(libc::EFAULT));
        }
        // Of such an address `destination` has nothing to say, unless the flags or the length are what it looks at first.
        if socket.kind() == (Domain::V4, Kind::Datagram)
            && flags & libc::MSG_OOB == 0
            && len <= 0xffff
            // SAFETY: the caller vouches for `addr`.
            && let to @ Some(_) = unsafe { sockaddr::plain_v4(addr, addr_len) }
        {
            // SAFETY: the caller vouches for `data`.
            let data = unsafe { to_send(&socket, data, len, flags, false)? };
            return send_bytes(&socket, data, flags, to);
        }
        let to = if addr.is_null() {
            None
        } else {
            // SAFETY: the caller vouches for `addr`.
            Some(unsafe { RawAddr::read_fast(addr, addr_len)? })
        };
        let to = destination(&socket, to, clamp(len), flags)?;
        // SAFETY: the caller vouches for `data`.
        let data = unsafe { to_send(&socket, data, len, flags, to.is_none())? };
        send_bytes(&socket, data, flags, to)
    })
}

/// As tunsock_send without flags.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t {
    cancellation_point();
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe {
            netlink::send(fd, data, len, 0, std::ptr::null(), 0)
                .unwrap_or_else(|| originals::write(fd, data, len))
        };
    };
    answer(|| {
        // SAFETY: the caller vouches for `data`.
        let data = unsafe { to_send(&socket, data, len, 0, true)? };
        send_bytes(&socket, data, 0, None)
    })
}

/// As tunsock_write from several pieces of memory. EINVAL for a negative count or one above 1024.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_writev(
    fd: c_int,
    pieces: *const tunsock_iovec,
    count: c_int,
) -> ssize_t {
    cancellation_point();
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe {
            netlink::write_pieces(fd, pieces, count)
                .unwrap_or_else(|| originals::writev(fd, pieces.cast(), count))
        };
    };
    answer(|| {
        let count = usize::try_from(count).map_err(|_| Errno(libc::EINVAL))?;
        // SAFETY: the caller vouches for the pieces.
        let Some(pieces) = (unsafe { gather(pieces, count, libc::EINVAL)? }) else {
            return Err(unreadable(&socket, 0, true));
        };
        // do_iter_readv_writev: nothing to write asks nothing, even of a datagram socket.
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Ok(0);
        }
        send_pieces(&socket, &pieces, 0, None, &SendControl::default())
    })
}

/// Receives bytes. Flags: MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_OOB, MSG_TRUNC, MSG_ERRQUEUE.
///
/// Returns how many bytes came, 0 at the end of a stream, or -1 with errno EBADF, ENOTSOCK, EFAULT, EAGAIN, EINTR, ENOTCONN,
/// ECONNRESET, ECONNREFUSED, ETIMEDOUT, EINVAL (MSG_OOB without urgent data) or ENETDOWN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_recv(
    fd: c_int,
    data: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    cancellation_point();
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return netlink::after_read(fd, unsafe { originals::recv(fd, data, len, flags) });
    };
    // SAFETY: the caller vouches for `data`.
    answer(|| unsafe { recv_count(&socket, data, len, flags) })
}

/// As tunsock_recv; stores the sender's address at addr (which may be NULL) and its true length at addr_len, 0 for a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_recvfrom(
    fd: c_int,
    data: *mut c_void,
    len: size_t,
    flags: c_int,
    addr: *mut tunsock_sockaddr,
    addr_len: *mut tunsock_socklen_t,
) -> ssize_t {
    cancellation_point();
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe {
            netlink::receive_from(fd, data, len, flags, addr, addr_len)
                .unwrap_or_else(|| originals::recvfrom(fd, data, len, flags, addr.cast(), addr_len))
        };
    };
    answer(|| {
        // SAFETY: the caller vouches for `data`.
        let (got, received) = unsafe { recv_memory(&socket, data, len, flags)? };
        if !addr.is_null() {
            let from = received.from.map(|from| (from, socket.kind().0));
            // SAFETY: the caller vouches for `addr` and `addr_len`.
            unsafe { sockaddr::write_fast(from, addr, addr_len)? };
        }
        Ok(got)
    })
}

/// As tunsock_recv without flags.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_read(fd: c_int, data: *mut c_void, len: size_t) -> ssize_t {
    cancellation_point();
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return netlink::after_read(fd, unsafe { originals::read(fd, data, len) });
    };
    // sock_read_iter: "match SYS5 behaviour", a read of nothing asks nothing.
    answer(|| match len {
        0 if user::outside(data, 0) => Err(Errno(libc::EFAULT)),
        0 => Ok(0),
        // SAFETY: the caller vouches for `data`.
        _ => unsafe { recv_count(&socket, data, len, 0) },
    })
}

/// As tunsock_read into several pieces of memory. EINVAL for a negative count or one above 1024.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_readv(
    fd: c_int,
    pieces: *const tunsock_iovec,
    count: c_int,
) -> ssize_t {
    cancellation_point();
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return netlink::after_read(fd, unsafe { originals::readv(fd, pieces.cast(), count) });
    };
    answer(|| {
        let count = usize::try_from(count).map_err(|_| Errno(libc::EINVAL))?;
        // SAFETY: the caller vouches for the pieces.
        let Some(mut pieces) = (unsafe { scatter(pieces, count, libc::EINVAL)? }) else {
            return Ok(recv_nowhere(&socket, 1, 0)?.0);
        };
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Ok(0);
        }
        Ok(recv_pieces(&socket, &mut pieces, 0, None)?.0)
    })
}

/// A length as the kernel takes it: at most MAX_RW_COUNT.
pub(super) fn clamp(len: size_t) -> usize {
    len.min(MAX_RW_COUNT)
}

/// The address that a send call goes to: checked on datagram sockets, ignored on streams unless MSG_FASTOPEN opens one.
pub(super) fn destination(
    socket: &SocketFile,
    to: Option<RawAddr>,
    len: usize,
    flags: c_int,
) -> CResult<Option<SocketAddr>> {
    let checked = check_destination(socket, to, len, flags);
    if checked.is_err() {
        // inet_send_prepare has given the socket a port before anybody looks at the address.
        socket.autobind();
    }
    checked
}

/// What udp_sendmsg and its kin say of a destination. Before the address udp_sendmsg looks at the length, above 65535 bytes it is
/// EMSGSIZE; udpv6_sendmsg does not.
fn check_destination(
    socket: &SocketFile,
    to: Option<RawAddr>,
    len: usize,
    flags: c_int,
) -> CResult<Option<SocketAddr>> {
    match (to, socket.kind()) {
        (Some(to), (_, Kind::Stream)) if flags & libc::MSG_FASTOPEN != 0 => opens(socket, &to),
        _ if too_long_for_v4(socket, len) => Err(Errno(libc::EMSGSIZE)),
        (_, (domain, kind)) if flags & libc::MSG_OOB != 0 && !takes_urgent_flag(domain, kind) => {
            Err(Errno(libc::EOPNOTSUPP))
        }
        (_, (_, Kind::Stream)) | (None, _) => Ok(None),
        // udpv6_sendmsg hands it to udp_sendmsg before it looks at the port, if it may.
        (Some(to), (Domain::V6, Kind::Datagram)) if to.leads_to_v4() && only_v6(socket) => {
            Err(Errno(libc::ENETUNREACH))
        }
        (Some(to), (domain, Kind::Datagram)) => to.for_send(domain),
        (Some(to), (domain, Kind::Raw(_) | Kind::Ping)) => to.for_raw(domain).map(Some),
    }
}

/// udp_sendmsg, raw_sendmsg, ping_v4_sendmsg: "if (len > 0xFFFF) return -EMSGSIZE".
fn too_long_for_v4(socket: &SocketFile, len: usize) -> bool {
    let (domain, kind) = socket.kind();
    len > 0xffff && domain == Domain::V4 && kind != Kind::Stream
}

/// udp_sendmsg and those of raw and ping sockets refuse MSG_OOB, udpv6_sendmsg does not look at it.
fn takes_urgent_flag(domain: Domain, kind: Kind) -> bool {
    matches!(
        (domain, kind),
        (_, Kind::Stream) | (Domain::V6, Kind::Datagram)
    )
}

/// The address that MSG_FASTOPEN connects to. tcp_sendmsg_fastopen looks at the socket before anybody looks at the address.
fn opens(socket: &SocketFile, to: &RawAddr) -> CResult<Option<SocketAddr>> {
    let (domain, kind) = socket.kind();
    match to.for_connect(domain, kind) {
        Ok(Target::Connect(to)) => Ok(Some(to)),
        Ok(Target::Disconnect) => Err(Errno(libc::EOPNOTSUPP)),
        Err(errno) => match socket.send(
            &[],
            SendFlags::FASTOPEN,
            true,
            None,
            &SendControl::default(),
        ) {
            Ok(_) => Ok(None),
            Err(Fail::Stack(Error::Invalid)) => Err(errno),
            Err(fail) => Err(fail.into()),
        },
    }
}

/// The bytes to send. Linux looks at them last, so of a bad pointer on a socket that could not send anyway the state is what it says
/// (`unaddressed`: the call names no destination).
///
/// # Safety
/// As for `user::bytes`.
unsafe fn to_send<'a>(
    socket: &SocketFile,
    data: *const c_void,
    len: usize,
    flags: c_int,
    unaddressed: bool,
) -> CResult<&'a [u8]> {
    let len = clamp(len);
    // SAFETY: the caller vouches.
    match unsafe { user::bytes(data, len) } {
        Ok(data) => Ok(data),
        Err(fault) if user::outside(data, len) => Err(fault),
        Err(_) if too_long_for_v4(socket, len) => Err(Errno(libc::EMSGSIZE)),
        Err(_) => Err(unreadable(socket, flags, unaddressed)),
    }
}

/// What Linux says of data that it finds to be nowhere when it copies it, which it does last.
pub(super) fn unreadable(socket: &SocketFile, flags: c_int, unaddressed: bool) -> Errno {
    let fault = Errno(libc::EFAULT);
    match socket.kind().1 {
        Kind::Stream if flags & libc::MSG_FASTOPEN != 0 => fault,
        // A stream takes nothing of nothing, or says what is wrong with it.
        Kind::Stream => send_bytes(socket, &[], flags, None).err().unwrap_or(fault),
        _ if unaddressed && !socket.has_peer() => Errno(libc::EDESTADDRREQ),
        _ => fault,
    }
}

pub(super) fn send_bytes(
    socket: &SocketFile,
    data: &[u8],
    flags: c_int,
    to: Option<SocketAddr>,
) -> CResult<ssize_t> {
    send_pieces(
        socket,
        &[IoSlice::new(data)],
        flags,
        to,
        &SendControl::default(),
    )
}

/// The one way out: flags, the call, SIGPIPE.
pub(super) fn send_pieces(
    socket: &SocketFile,
    pieces: &[IoSlice<'_>],
    flags: c_int,
    to: Option<SocketAddr>,
    control: &SendControl,
) -> CResult<ssize_t> {
    let (domain, kind) = socket.kind();
    let mut wanted = SendFlags::empty();
    wanted.set(SendFlags::OOB, flags & libc::MSG_OOB != 0);
    wanted.set(SendFlags::MORE, flags & libc::MSG_MORE != 0);
    wanted.set(SendFlags::ZEROCOPY, flags & libc::MSG_ZEROCOPY != 0);
    wanted.set(SendFlags::EOR, flags & libc::MSG_EOR != 0);
    let fast_open = kind == Kind::Stream && flags & libc::MSG_FASTOPEN != 0;
    wanted.set(SendFlags::FASTOPEN, fast_open);
    if wanted.contains(SendFlags::OOB) && !takes_urgent_flag(domain, kind) {
        socket.autobind();
        return Err(Errno(libc::EOPNOTSUPP));
    }
    let control = SendControl {
        dont_route: flags & libc::MSG_DONTROUTE != 0,
        ..*control
    };
    let outcome = socket
        .send(
            pieces,
            wanted,
            flags & libc::MSG_DONTWAIT != 0,
            to,
            &control,
        )
        .map_err(Errno::from);
    if outcome == Err(Errno(libc::EPIPE)) && kind == Kind::Stream && flags & libc::MSG_NOSIGNAL == 0
    {
        raise_sigpipe();
    }
    outcome.map(|sent| sent as ssize_t)
}

/// SIGPIPE to the calling thread, as sk_stream_error does: a handler has run when this returns.
pub(super) fn raise_sigpipe() {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let tid = rustix::thread::gettid().as_raw_nonzero().get();
    // SAFETY: plain numbers; kill by thread can't miss.
    let _ = unsafe {
        sys::syscall(
            libc::SYS_tgkill,
            [pid as usize, tid as usize, libc::SIGPIPE as usize, 0, 0, 0],
        )
    };
}

/// [`recv_memory`] for a caller who wants to know how much, not from whom.
///
/// # Safety
/// As for [`recv_memory`].
unsafe fn recv_count(
    socket: &SocketFile,
    data: *mut c_void,
    len: size_t,
    flags: c_int,
) -> CResult<ssize_t> {
    if flags & !libc::MSG_DONTWAIT == 0
        && socket.kind().1 == Kind::Stream
        // SAFETY: the caller's promise.
        && let Ok(room) = unsafe { user::room(data, clamp(len)) }
    {
        return Ok(socket.recv_plain(room, flags != 0)? as ssize_t);
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { recv_memory(socket, data, len, flags)? }.0)
}

/// Receives into the caller's memory; what bad memory means depends on the socket.
///
/// # Safety
/// `data` has room for `len` bytes unless it is recognisably bad.
unsafe fn recv_memory(
    socket: &SocketFile,
    data: *mut c_void,
    len: size_t,
    flags: c_int,
) -> CResult<(ssize_t, Received)> {
    let len = clamp(len);
    // SAFETY: the caller vouches for `data`.
    match unsafe { user::room(data, len) } {
        Ok(room) => recv_bytes(socket, room, flags),
        Err(fault) if user::outside(data, len) => Err(fault),
        Err(_) => recv_nowhere(socket, len, flags),
    }
}

/// Receives up to `len` bytes into memory that is nowhere, which Linux finds when it copies: what the socket has to say comes first.
pub(super) fn recv_nowhere(
    socket: &SocketFile,
    len: usize,
    flags: c_int,
) -> CResult<(ssize_t, Received)> {
    let fault = Err(Errno(libc::EFAULT));
    let stream = socket.kind().1 == Kind::Stream && flags & libc::MSG_ERRQUEUE == 0;
    // tcp_recvmsg discards without looking at the memory.
    if stream && flags & libc::MSG_TRUNC != 0 {
        return recv_bytes(socket, &mut vec![0; len.min(DISCARD_AT_ONCE)], flags);
    }
    if stream {
        let looks = (flags | libc::MSG_PEEK) & !libc::MSG_WAITALL;
        let (got, received) = recv_bytes(socket, &mut [0], looks)?;
        return if got > 0 { fault } else { Ok((0, received)) };
    }
    // udp_recvmsg takes the datagram off its queue before it copies.
    let (_, received) = recv_bytes(socket, &mut [], flags)?;
    match received.full_len {
        0 => Ok((0, received)),
        _ => fault,
    }
}

/// Bytes that one recv with MSG_TRUNC and no memory discards at most.
const DISCARD_AT_ONCE: usize = 1 << 20;

pub(super) fn recv_bytes(
    socket: &SocketFile,
    room: &mut [u8],
    flags: c_int,
) -> CResult<(ssize_t, Received)> {
    recv_pieces(socket, &mut [IoSliceMut::new(room)], flags, None)
}

/// The one way in: flags, the call, what the return value counts.
pub(super) fn recv_pieces(
    socket: &SocketFile,
    pieces: &mut [IoSliceMut<'_>],
    flags: c_int,
    controls: Option<&mut Controls>,
) -> CResult<(ssize_t, Received)> {
    let (_, kind) = socket.kind();
    let stream = kind == Kind::Stream;
    // raw_recvmsg, rawv6_recvmsg, ping_recvmsg; udp_recvmsg does not know MSG_OOB.
    if matches!(kind, Kind::Raw(_) | Kind::Ping) && flags & libc::MSG_OOB != 0 {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    let mut wanted = RecvFlags::empty();
    wanted.set(RecvFlags::PEEK, flags & libc::MSG_PEEK != 0);
    wanted.set(RecvFlags::OOB, stream && flags & libc::MSG_OOB != 0);
    wanted.set(RecvFlags::TRUNC, flags & libc::MSG_TRUNC != 0);
    let errors = flags & libc::MSG_ERRQUEUE != 0;
    wanted.set(RecvFlags::ERRQUEUE, errors);
    let dontwait = flags & libc::MSG_DONTWAIT != 0;
    let waitall = stream && !errors && flags & libc::MSG_WAITALL != 0;
    let received = socket.recv(pieces, wanted, dontwait, waitall, controls)?;
    let count = if !stream && !errors && wanted.contains(RecvFlags::TRUNC) {
        received.full_len
    } else {
        received.len
    };
    Ok((count as ssize_t, received))
}

/// Pieces to send from; their number is checked first (`too_many` names the errno), then their lengths, then whether user space can have
/// them. `None`: one is nowhere all the same, which is for the socket to say something of.
///
/// # Safety
/// Pieces that pass the checks are readable for `'a`.
pub(super) unsafe fn gather<'a>(
    pieces: *const tunsock_iovec,
    count: usize,
    too_many: c_int,
) -> CResult<Option<SmallVec<[IoSlice<'a>; 16]>>> {
    // SAFETY: the caller vouches.
    let pieces = unsafe { list(pieces, count, too_many)? };
    let mut left = MAX_RW_COUNT;
    let mut out = SmallVec::with_capacity(pieces.len());
    for piece in pieces {
        let len = piece.iov_len.min(left);
        // SAFETY: the caller vouches.
        match unsafe { user::bytes(piece.iov_base, len) } {
            Ok(bytes) => out.push(IoSlice::new(bytes)),
            Err(_) => return Ok(None),
        }
        left -= len;
    }
    Ok(Some(out))
}

/// Pieces to receive into, as `gather`.
///
/// # Safety
/// Pieces that pass the checks are writable and nobody else's for `'a`.
pub(super) unsafe fn scatter<'a>(
    pieces: *const tunsock_iovec,
    count: usize,
    too_many: c_int,
) -> CResult<Option<SmallVec<[IoSliceMut<'a>; 16]>>> {
    // SAFETY: the caller vouches.
    let pieces = unsafe { list(pieces, count, too_many)? };
    let mut left = MAX_RW_COUNT;
    let mut out = SmallVec::with_capacity(pieces.len());
    for piece in pieces {
        let len = piece.iov_len.min(left);
        // SAFETY: the caller vouches.
        match unsafe { user::room(piece.iov_base, len) } {
            Ok(room) => out.push(IoSliceMut::new(room)),
            // What comes before a bad piece has room for as much as that.
            Err(_) if left < MAX_RW_COUNT => break,
            Err(_) => return Ok(None),
        }
        left -= len;
    }
    Ok(Some(out))
}

/// The caller's array of pieces, with import_iovec's checks: number, then "negative" lengths.
///
/// # Safety
/// An array that passes the checks is readable for `'a`.
unsafe fn list<'a>(
    pieces: *const tunsock_iovec,
    count: usize,
    too_many: c_int,
) -> CResult<&'a [tunsock_iovec]> {
    if count > MAX_PIECES {
        return Err(Errno(too_many));
    }
    if count == 0 {
        return Ok(&[]);
    }
    user::check(pieces, count * size_of::<tunsock_iovec>())?;
    if !pieces.is_aligned() {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: the caller vouches; aligned, not NULL, at most 1024 entries.
    let pieces = unsafe { std::slice::from_raw_parts(pieces, count) };
    if pieces
        .iter()
        .any(|piece| isize::try_from(piece.iov_len).is_err())
    {
        return Err(Errno(libc::EINVAL));
    }
    if pieces
        .iter()
        .any(|piece| user::outside(piece.iov_base, clamp(piece.iov_len)))
    {
        return Err(Errno(libc::EFAULT));
    }
    Ok(pieces)
}

/// A sender as recvmsg needs it: address and the family to write it in.
pub(super) fn sender(socket: &SocketFile, received: &Received) -> Option<(SocketAddr, Domain)> {
    received.from.map(|from| (from, socket.kind().0))
}
