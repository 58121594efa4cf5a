//! Sending and receiving bytes.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use libc::{c_int, c_void, size_t, ssize_t};
use smallvec::SmallVec;
use tunsock_stack::{Domain, Kind, Received, RecvFlags, SendFlags};

use super::errno::{CResult, Errno, answer};
use super::sockaddr::{self, RawAddr};
use super::types::{tunsock_iovec, tunsock_sockaddr, tunsock_socklen_t};
use super::{originals, socket_of, user};
use crate::fd::SocketFile;

/// Most bytes that one call moves on Linux (MAX_RW_COUNT: INT_MAX rounded down to a page).
const MAX_RW_COUNT: usize = 0x7fff_f000;
/// Most pieces that one call takes (UIO_MAXIOV).
pub(super) const MAX_PIECES: usize = 1024;

/// Sends bytes on a connected socket. Flags: MSG_DONTWAIT, MSG_NOSIGNAL, MSG_OOB, MSG_MORE; others are ignored as Linux ignores them.
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
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe { originals::send(fd, data, len, flags) };
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
/// EOPNOTSUPP (MSG_FASTOPEN, MSG_OOB on a datagram socket), ENETUNREACH.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_sendto(
    fd: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
    addr: *const tunsock_sockaddr,
    addr_len: tunsock_socklen_t,
) -> ssize_t {
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe { originals::sendto(fd, data, len, flags, addr.cast(), addr_len) };
    };
    answer(|| {
        let to = if addr.is_null() {
            None
        } else {
            // SAFETY: the caller vouches for `addr`.
            Some(unsafe { RawAddr::read_fast(addr, addr_len)? })
        };
        let to = destination(&socket, to, clamp(len))?;
        // SAFETY: the caller vouches for `data`.
        let data = unsafe { to_send(&socket, data, len, flags, to.is_none())? };
        send_bytes(&socket, data, flags, to)
    })
}

/// As tunsock_send without flags.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t {
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe { originals::write(fd, data, len) };
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
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe { originals::writev(fd, pieces.cast(), count) };
    };
    answer(|| {
        let count = usize::try_from(count).map_err(|_| Errno(libc::EINVAL))?;
        // SAFETY: the caller vouches for the pieces.
        let pieces = unsafe { gather(pieces, count, libc::EINVAL)? };
        // do_iter_readv_writev: nothing to write asks nothing, even of a datagram socket.
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Ok(0);
        }
        send_pieces(&socket, &pieces, 0, None)
    })
}

/// Receives bytes. Flags: MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_OOB, MSG_TRUNC; MSG_ERRQUEUE finds an empty queue (EAGAIN).
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
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe { originals::recv(fd, data, len, flags) };
    };
    // SAFETY: the caller vouches for `data`.
    answer(|| Ok(unsafe { recv_memory(&socket, data, len, flags)? }.0))
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
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe { originals::recvfrom(fd, data, len, flags, addr.cast(), addr_len) };
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
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe { originals::read(fd, data, len) };
    };
    // sock_read_iter: "match SYS5 behaviour", a read of nothing asks nothing.
    // SAFETY: the caller vouches for `data`.
    answer(|| match unsafe { user::room(data, clamp(len))? } {
        [] => Ok(0),
        room => Ok(recv_bytes(&socket, room, 0)?.0),
    })
}

/// As tunsock_read into several pieces of memory. EINVAL for a negative count or one above 1024.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_readv(
    fd: c_int,
    pieces: *const tunsock_iovec,
    count: c_int,
) -> ssize_t {
    let Some(socket) = socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return unsafe { originals::readv(fd, pieces.cast(), count) };
    };
    answer(|| {
        let count = usize::try_from(count).map_err(|_| Errno(libc::EINVAL))?;
        // SAFETY: the caller vouches for the pieces.
        let mut pieces = unsafe { scatter(pieces, count, libc::EINVAL)? };
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Ok(0);
        }
        Ok(recv_pieces(&socket, &mut pieces, 0)?.0)
    })
}

/// Copies len bytes from a file to a socket: from *at, which is moved on, or from the file's own position when at is NULL.
///
/// Returns how many bytes were copied, or -1 with errno as tunsock_send or as the file's read. A socket as the file is EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_sendfile(
    to: c_int,
    from: c_int,
    at: *mut libc::off_t,
    len: size_t,
) -> ssize_t {
    let Some(socket) = socket_of(to) else {
        if socket_of(from).is_some() {
            // As on Linux, where a socket can't be read from by position.
            return answer(|| Err(Errno(libc::EINVAL)));
        }
        // SAFETY: the caller's own arguments.
        return unsafe { originals::sendfile(to, from, at, len) };
    };
    answer(|| {
        let position = if at.is_null() {
            None
        } else {
            // SAFETY: any bytes are a number.
            Some(unsafe { user::read(at)? })
        };
        let copied = copy_file(&socket, from, position, clamp(len))?;
        if let Some(position) = position {
            user::write(at, position.saturating_add(copied as libc::off_t))?;
        }
        Ok(copied)
    })
}

/// Reads by position and sends, so that bytes which the socket does not take stay in the file.
fn copy_file(
    socket: &SocketFile,
    from: c_int,
    position: Option<libc::off_t>,
    len: usize,
) -> CResult<ssize_t> {
    const CHUNK: usize = 256 << 10;
    let failed = || Errno(super::errno::get());
    // SAFETY: plain numbers; lseek is not a name that we export.
    let seek = |offset, whence| unsafe { libc::lseek(from, offset, whence) };
    let start = match position {
        Some(position) => position,
        None => match seek(0, libc::SEEK_CUR) {
            -1 => return Err(failed()),
            start => start,
        },
    };
    let mut chunk = vec![0u8; len.min(CHUNK)];
    let mut done = 0usize;
    let outcome = loop {
        let want = (len - done).min(chunk.len());
        // SAFETY: `chunk` has that much room.
        let got = unsafe {
            originals::pread64(
                from,
                chunk.as_mut_ptr().cast(),
                want,
                start.saturating_add(done as i64),
            )
        };
        match usize::try_from(got) {
            Err(_) => break Err(failed()),
            Ok(0) => break Ok(()),
            Ok(got) => match send_bytes(socket, &chunk[..got.min(want)], 0, None) {
                Ok(sent) => {
                    done += sent as usize;
                    if (sent as usize) < got {
                        break Ok(());
                    }
                }
                Err(errno) => break Err(errno),
            },
        }
    };
    if done == 0 {
        outcome?;
    }
    if position.is_none() {
        seek(start.saturating_add(done as i64), libc::SEEK_SET);
    }
    Ok(done as ssize_t)
}

/// A length as the kernel takes it: at most MAX_RW_COUNT.
fn clamp(len: size_t) -> usize {
    len.min(MAX_RW_COUNT)
}

/// The address that a send call goes to: checked on datagram sockets, ignored on streams. Before the address udp_sendmsg looks at
/// the length, above 65535 bytes it is EMSGSIZE; udpv6_sendmsg does not.
pub(super) fn destination(
    socket: &SocketFile,
    to: Option<RawAddr>,
    len: usize,
) -> CResult<Option<SocketAddr>> {
    match (to, socket.kind()) {
        (Some(_), (Domain::V4, Kind::Datagram)) if len > 0xffff => Err(Errno(libc::EMSGSIZE)),
        (Some(to), (domain, Kind::Datagram)) => to.for_send(domain),
        (_, (_, Kind::Stream)) | (None, _) => Ok(None),
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
    // SAFETY: the caller vouches.
    let fault = match unsafe { user::bytes(data, clamp(len)) } {
        Ok(data) => return Ok(data),
        Err(fault) => fault,
    };
    match socket.kind().1 {
        // A stream takes nothing of nothing, or says what is wrong with it.
        Kind::Stream => send_bytes(socket, &[], flags, None).and(Err(fault)),
        Kind::Datagram if unaddressed && socket.peer_addr().is_err() => {
            Err(Errno(libc::EDESTADDRREQ))
        }
        Kind::Datagram => Err(fault),
    }
}

fn send_bytes(
    socket: &SocketFile,
    data: &[u8],
    flags: c_int,
    to: Option<SocketAddr>,
) -> CResult<ssize_t> {
    send_pieces(socket, &[IoSlice::new(data)], flags, to)
}

/// The one way out: flags, the call, SIGPIPE.
pub(super) fn send_pieces(
    socket: &SocketFile,
    pieces: &[IoSlice<'_>],
    flags: c_int,
    to: Option<SocketAddr>,
) -> CResult<ssize_t> {
    let (_, kind) = socket.kind();
    let mut wanted = SendFlags::empty();
    wanted.set(SendFlags::OOB, flags & libc::MSG_OOB != 0);
    wanted.set(SendFlags::MORE, flags & libc::MSG_MORE != 0);
    // udp_sendmsg refuses MSG_OOB; TCP Fast Open is not there, which tcp_sendmsg_fastopen says with the same word.
    if (kind == Kind::Datagram && wanted.contains(SendFlags::OOB))
        || (kind == Kind::Stream && flags & libc::MSG_FASTOPEN != 0)
    {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    let outcome = socket
        .send(pieces, wanted, flags & libc::MSG_DONTWAIT != 0, to)
        .map_err(Errno::from);
    if outcome == Err(Errno(libc::EPIPE)) && kind == Kind::Stream && flags & libc::MSG_NOSIGNAL == 0
    {
        raise_sigpipe();
    }
    outcome.map(|sent| sent as ssize_t)
}

/// SIGPIPE to the calling thread, as sk_stream_error does: a handler has run when this returns.
fn raise_sigpipe() {
    // SAFETY: plain numbers; std's and libc's wrappers of these are not needed, and kill by thread can't miss.
    unsafe {
        let pid = libc::syscall(libc::SYS_getpid);
        let tid = libc::syscall(libc::SYS_gettid);
        libc::syscall(libc::SYS_tgkill, pid, tid, libc::SIGPIPE);
    }
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
    let bad = match unsafe { user::room(data, len) } {
        Ok(room) => return recv_bytes(socket, room, flags),
        Err(errno) => errno,
    };
    match socket.kind().1 {
        // tcp_recvmsg discards without looking at the memory.
        Kind::Stream if flags & libc::MSG_TRUNC != 0 => {
            recv_bytes(socket, &mut vec![0; len.min(DISCARD_AT_ONCE)], flags)
        }
        Kind::Stream => Err(bad),
        // udp_recvmsg takes the datagram off its queue before it copies.
        Kind::Datagram => recv_bytes(socket, &mut [], flags).and(Err(bad)),
    }
}

/// Bytes that one recv with MSG_TRUNC and no memory discards at most.
const DISCARD_AT_ONCE: usize = 1 << 20;

fn recv_bytes(socket: &SocketFile, room: &mut [u8], flags: c_int) -> CResult<(ssize_t, Received)> {
    recv_pieces(socket, &mut [IoSliceMut::new(room)], flags)
}

/// The one way in: flags, the call, what the return value counts.
pub(super) fn recv_pieces(
    socket: &SocketFile,
    pieces: &mut [IoSliceMut<'_>],
    flags: c_int,
) -> CResult<(ssize_t, Received)> {
    // There is no error queue (IP_RECVERR is refused), so it is always empty (inet_recv_error).
    if flags & libc::MSG_ERRQUEUE != 0 {
        return Err(Errno(libc::EAGAIN));
    }
    let (_, kind) = socket.kind();
    let stream = kind == Kind::Stream;
    let mut wanted = RecvFlags::empty();
    wanted.set(RecvFlags::PEEK, flags & libc::MSG_PEEK != 0);
    // udp_recvmsg does not know MSG_OOB.
    wanted.set(RecvFlags::OOB, stream && flags & libc::MSG_OOB != 0);
    wanted.set(RecvFlags::TRUNC, flags & libc::MSG_TRUNC != 0);
    let dontwait = flags & libc::MSG_DONTWAIT != 0;
    let waitall = stream && flags & libc::MSG_WAITALL != 0;
    let received = socket.recv(pieces, wanted, dontwait, waitall)?;
    let count = if !stream && wanted.contains(RecvFlags::TRUNC) {
        received.full_len
    } else {
        received.len
    };
    Ok((count as ssize_t, received))
}

/// Pieces to send from; their number is checked first (`too_many` names the errno), then their lengths, then their addresses.
///
/// # Safety
/// Pieces that pass the checks are readable for `'a`.
pub(super) unsafe fn gather<'a>(
    pieces: *const tunsock_iovec,
    count: usize,
    too_many: c_int,
) -> CResult<SmallVec<[IoSlice<'a>; 16]>> {
    // SAFETY: the caller vouches.
    let pieces = unsafe { list(pieces, count, too_many)? };
    let mut left = MAX_RW_COUNT;
    let mut out = SmallVec::with_capacity(pieces.len());
    for piece in pieces {
        let len = piece.iov_len.min(left);
        // SAFETY: the caller vouches.
        match unsafe { user::bytes(piece.iov_base, len) } {
            Ok(bytes) => out.push(IoSlice::new(bytes)),
            // What comes before a bad piece is sent: a partial count, as on Linux.
            Err(_) if left < MAX_RW_COUNT => break,
            Err(errno) => return Err(errno),
        }
        left -= len;
    }
    Ok(out)
}

/// Pieces to receive into, as `gather`.
///
/// # Safety
/// Pieces that pass the checks are writable and nobody else's for `'a`.
pub(super) unsafe fn scatter<'a>(
    pieces: *const tunsock_iovec,
    count: usize,
    too_many: c_int,
) -> CResult<SmallVec<[IoSliceMut<'a>; 16]>> {
    // SAFETY: the caller vouches.
    let pieces = unsafe { list(pieces, count, too_many)? };
    let mut left = MAX_RW_COUNT;
    let mut out = SmallVec::with_capacity(pieces.len());
    for piece in pieces {
        let len = piece.iov_len.min(left);
        // SAFETY: the caller vouches.
        match unsafe { user::room(piece.iov_base, len) } {
            Ok(room) => out.push(IoSliceMut::new(room)),
            Err(_) if left < MAX_RW_COUNT => break,
            Err(errno) => return Err(errno),
        }
        left -= len;
    }
    Ok(out)
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
    Ok(pieces)
}

/// A sender as recvmsg needs it: address and the family to write it in.
pub(super) fn sender(socket: &SocketFile, received: &Received) -> Option<(SocketAddr, Domain)> {
    received.from.map(|from| (from, socket.kind().0))
}
