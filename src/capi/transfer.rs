//! Between files, pipes and sockets, and reads and writes with flags: sendfile, splice, preadv2, pwritev2.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::*};

use libc::{c_int, c_uint, off_t, size_t, ssize_t};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::BorrowedFd;
use rustix::io::Errno as Os;
use rustix::pipe::{SpliceFlags, tee};
use tunsock_stack::{Buffers, SendControl};

use super::data::{
    clamp, gather, raise_sigpipe, recv_bytes, recv_nowhere, recv_pieces, scatter, send_bytes,
    send_pieces, unreadable,
};
use super::errno::{CResult, Errno, answer};
use super::types::tunsock_iovec;
use super::{originals, socket_of, user};
use crate::fd::{Fail, SocketFile};
use crate::runtime::sys::{self, cancellation_point};

/// Copies len bytes from a file to a socket: from *at, which is moved on, or from the file's own position when at is NULL.
///
/// Returns how many bytes were copied, or -1 with errno as tunsock_send or as the file's read; EINVAL for a file without positions
/// (a pipe, a socket), ESPIPE with a position given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_sendfile(
    to: c_int,
    from: c_int,
    at: *mut libc::off_t,
    len: size_t,
) -> ssize_t {
    cancellation_point();
    let Some(socket) = socket_of(to) else {
        // SAFETY: the caller's own arguments. Of a socket of ours the kernel sees a socket, and has the right errno for it.
        return unsafe { originals::sendfile(to, from, at, len) };
    };
    answer(|| {
        let position = if at.is_null() {
            None
        } else {
            // SAFETY: any bytes are a number; the caller vouches for what passes the check.
            Some(unsafe { user::peek(at)? })
        };
        // do_splice_direct: what is appended has no place of its own.
        if socket.status() & libc::O_APPEND != 0 {
            return Err(Errno(libc::EINVAL));
        }
        let copied = copy_file(&socket, from, position, clamp(len))?;
        if let Some(position) = position {
            // SAFETY: it was read from just now, and the caller vouches that it can be written.
            unsafe { at.write_unaligned(position.saturating_add(copied as libc::off_t)) };
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
    let failed = || Errno(super::errno::get());
    // SAFETY: plain numbers; lseek is not a name that we export.
    let seek = |offset, whence| unsafe { libc::lseek(from, offset, whence) };
    let start = match position {
        Some(position) => position,
        None => match seek(0, libc::SEEK_CUR) {
            // splice_direct_to_actor: without a position nothing is known of where to go on.
            -1 if super::errno::get() == libc::ESPIPE => return Err(Errno(libc::EINVAL)),
            -1 => return Err(failed()),
            start => start,
        },
    };
    let mut spare = Spare::take();
    let buffers = spare.buffers();
    let mut done = 0usize;
    let outcome = loop {
        let want = (len - done).min(Buffers::MAX);
        let got = match read_at(from, buffers, want, start.saturating_add(done as i64)) {
            Err(errno) => break Err(errno),
            Ok(0) => break Ok(()),
            Ok(got) => got.min(want),
        };
        match send_buffers(socket, buffers, got, done > 0) {
            Ok((sent, goes_on)) => {
                done += sent;
                if done == len || sent == 0 || (sent < got && !goes_on) {
                    break Ok(());
                }
            }
            Err(errno) => break Err(errno),
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

/// Reads at a position of a file, as pread does, to where a send queue may take the bytes from.
fn read_at(from: c_int, buffers: &mut Buffers, want: usize, at: off_t) -> CResult<usize> {
    let mut pieces = buffers.space(want);
    let got = match &mut pieces[..] {
        // preadv2 takes -1 for the file's own position.
        several @ [_, _, ..] if at >= 0 => {
            let count = several.len() as c_int;
            // SAFETY: an IoSliceMut has the layout of an iovec, and each is room that is ours.
            unsafe { originals::preadv2(from, several.as_mut_ptr().cast(), count, at, 0) }
        }
        [one, ..] => {
            // SAFETY: the slice is ours.
            unsafe { originals::pread64(from, one.as_mut_ptr().cast(), one.len(), at) }
        }
        [] => 0,
    };
    usize::try_from(got).map_err(|_| Errno(super::errno::get()))
}

/// Sends the first `len` bytes that stand in `buffers`. Returns how many were taken, and whether the others are to be tried again, since the
/// call waits until all are. `resumed`: the call has sent some already.
fn send_buffers(
    socket: &SocketFile,
    buffers: &mut Buffers,
    len: usize,
    resumed: bool,
) -> CResult<(usize, bool)> {
    let outcome = match len < FEW {
        true => Ok(None),
        false => socket
            .send_buffers(buffers, len, resumed)
            .map_err(Errno::from),
    };
    if outcome == Err(Errno(libc::EPIPE)) {
        raise_sigpipe();
    }
    if let Some(sent) = outcome? {
        return Ok((sent, !socket.nonblocking()));
    }
    let text = buffers.text(len);
    let sent = send_pieces(socket, &text, 0, None, &SendControl::default())?;
    Ok((sent as usize, false))
}

/// Fewer bytes are copied in any case.
const FEW: usize = 16 << 10;

/// The memory that a file's bytes are read to. One stays for the next call; calls at the same time have their own.
struct Spare(Option<Box<Buffers>>);

/// The one that stays, or null.
static SPARE: AtomicPtr<Buffers> = AtomicPtr::new(ptr::null_mut());

impl Spare {
    fn take() -> Spare {
        let spare = SPARE.swap(ptr::null_mut(), Acquire);
        if spare.is_null() {
            return Spare(None);
        }
        // SAFETY: the box that `drop` took apart; the swap made it ours alone.
        Spare(Some(unsafe { Box::from_raw(spare) }))
    }

    fn buffers(&mut self) -> &mut Buffers {
        self.0.get_or_insert_default()
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        let Some(buffers) = self.0.take() else { return };
        let spare = SPARE.swap(Box::into_raw(buffers), AcqRel);
        if !spare.is_null() {
            // SAFETY: as in `take`.
            drop(unsafe { Box::from_raw(spare) });
        }
    }
}

/// As tunsock_readv with flags (RWF_NOWAIT: does not wait), where at is -1. On a socket any other at is ESPIPE.
///
/// More errno values: EOPNOTSUPP (a flag that is not known, or not for sockets).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_preadv2(
    fd: c_int,
    pieces: *const tunsock_iovec,
    count: c_int,
    at: off_t,
    flags: c_int,
) -> ssize_t {
    cancellation_point();
    let Some(socket) = socket_of(fd).filter(|_| at == -1) else {
        // SAFETY: the caller's own arguments. A position on a socket is refused by the kernel, which sees a socket too.
        return unsafe { originals::preadv2(fd, pieces.cast(), count, at, flags) };
    };
    answer(|| {
        let count = usize::try_from(count).map_err(|_| Errno(libc::EINVAL))?;
        // SAFETY: the caller vouches for the pieces.
        let pieces = unsafe { scatter(pieces, count, libc::EINVAL)? };
        if pieces
            .as_ref()
            .is_some_and(|pieces| pieces.iter().all(|piece| piece.is_empty()))
        {
            return Ok(0);
        }
        let flags = message_flags(flags)? & !libc::MSG_NOSIGNAL;
        let Some(mut pieces) = pieces else {
            return Ok(recv_nowhere(&socket, 1, flags)?.0);
        };
        Ok(recv_pieces(&socket, &mut pieces, flags, None)?.0)
    })
}

/// As tunsock_writev with flags (RWF_NOWAIT: does not wait), where at is -1. On a socket any other at is ESPIPE.
///
/// More errno values: EOPNOTSUPP (a flag that is not known, or not for sockets).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_pwritev2(
    fd: c_int,
    pieces: *const tunsock_iovec,
    count: c_int,
    at: off_t,
    flags: c_int,
) -> ssize_t {
    cancellation_point();
    let Some(socket) = socket_of(fd).filter(|_| at == -1) else {
        // SAFETY: as in `tunsock_preadv2`.
        return unsafe { originals::pwritev2(fd, pieces.cast(), count, at, flags) };
    };
    answer(|| {
        let count = usize::try_from(count).map_err(|_| Errno(libc::EINVAL))?;
        // SAFETY: the caller vouches for the pieces.
        let pieces = unsafe { gather(pieces, count, libc::EINVAL)? };
        if pieces
            .as_ref()
            .is_some_and(|pieces| pieces.iter().all(|piece| piece.is_empty()))
        {
            return Ok(0);
        }
        let flags = message_flags(flags)?;
        let Some(pieces) = pieces else {
            return Err(unreadable(&socket, flags, true));
        };
        send_pieces(&socket, &pieces, flags, None, &SendControl::default())
    })
}

/// RWF_NOAPPEND and RWF_NOSIGNAL of linux/fs.h.
const RWF_NOAPPEND: c_int = 0x20;
const RWF_NOSIGNAL: c_int = 0x100;

/// kiocb_set_rw_flags for a file that is a socket, and what sock_read_iter and sock_write_iter make of the flags.
fn message_flags(flags: c_int) -> CResult<c_int> {
    // How data gets to a medium means nothing to a socket.
    const NO_EFFECT: c_int = libc::RWF_HIPRI | libc::RWF_DSYNC | libc::RWF_SYNC;
    let known = NO_EFFECT | libc::RWF_NOWAIT | libc::RWF_APPEND | RWF_NOAPPEND | RWF_NOSIGNAL;
    if flags & !known != 0 {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    if flags & libc::RWF_APPEND != 0 && flags & RWF_NOAPPEND != 0 {
        return Err(Errno(libc::EINVAL));
    }
    let mut message = 0;
    if flags & libc::RWF_NOWAIT != 0 {
        message |= libc::MSG_DONTWAIT;
    }
    if flags & RWF_NOSIGNAL != 0 {
        message |= libc::MSG_NOSIGNAL;
    }
    Ok(message)
}

/// Moves up to len bytes between a pipe and a socket. from_at and to_at belong to files and are NULL for pipes and sockets.
/// Flags: SPLICE_F_NONBLOCK (does not wait for the pipe), SPLICE_F_MORE; SPLICE_F_MOVE and SPLICE_F_GIFT have no effect.
///
/// Returns how many bytes were moved, 0 at the end of the input, or -1 with errno EBADF, EINVAL (neither end is a pipe, or a
/// position or flag that can't be), ESPIPE (a position for a pipe), EAGAIN, EINTR, EPIPE, or as tunsock_recv or tunsock_send.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_splice(
    from: c_int,
    from_at: *mut off_t,
    to: c_int,
    to_at: *mut off_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    cancellation_point();
    let (source, target) = (socket_of(from), socket_of(to));
    let ours = if source.is_some() { from } else { to };
    let pipe = if source.is_some() { to } else { from };
    let pair = match (&source, &target) {
        (Some(socket), None) | (None, Some(socket)) => Some(socket),
        _ => None,
    };
    let Some(socket) = pair.filter(|_| can_splice(ours, pipe, [from_at, to_at], len, flags)) else {
        // SAFETY: the caller's own arguments. Of a socket of ours the kernel sees a socket too: what is wrong with the rest it says.
        return unsafe { originals::splice(from, from_at, to, to_at, len, flags) };
    };
    let flags = SpliceFlags::from_bits_truncate(flags);
    answer(|| match source.is_some() {
        true => to_pipe(socket, pipe, clamp(len), flags),
        // do_splice.
        false if socket.status() & libc::O_APPEND != 0 => Err(Errno(libc::EINVAL)),
        false => from_pipe(socket, pipe, clamp(len), flags),
    })
}

/// Whether the kernel would begin to move bytes: a pipe at the other end, no positions, known flags, something to do.
fn can_splice(ours: c_int, pipe: c_int, at: [*mut off_t; 2], len: size_t, flags: c_uint) -> bool {
    const KNOWN: c_uint = 0xf;
    let is_pipe = sys::fcntl(pipe, libc::F_GETPIPE_SZ, 0).is_ok();
    ours != pipe && is_pipe && at.iter().all(|at| at.is_null()) && len > 0 && flags & !KNOWN == 0
}

/// tcp_splice_read and its kin: room in the pipe is waited for first, then data.
fn to_pipe(socket: &SocketFile, pipe: c_int, len: usize, flags: SpliceFlags) -> CResult<ssize_t> {
    let access = sys::fcntl(pipe, libc::F_GETFL, 0).map_err(Fail::Os)?;
    if access & libc::O_ACCMODE == libc::O_RDONLY {
        return Err(Errno(libc::EBADF));
    }
    let wait = access & libc::O_NONBLOCK == 0 && !flags.contains(SpliceFlags::NONBLOCK);
    let room = pipe_room(pipe, wait)?;
    let mut bytes = vec![0; len.min(room)];
    let (got, _) = recv_bytes(socket, &mut bytes, 0)?;
    let mut rest = bytes.get(..got as usize).unwrap_or_default();
    while !rest.is_empty() {
        // SAFETY: the slice is ours.
        let written = unsafe {
            sys::syscall(
                libc::SYS_write,
                [pipe as usize, rest.as_ptr() as usize, rest.len(), 0, 0, 0],
            )
        };
        match written {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            // Somebody else filled the pipe meanwhile: these bytes have left the socket and must go in.
            Err(Os::INTR) => {}
            Err(Os::AGAIN) => drop(pipe_room(pipe, true)),
            Err(errno) => return Err(Fail::Os(errno).into()),
        }
    }
    Ok(got)
}

/// How many bytes fit into a pipe for certain, at least one page (wait_for_space).
fn pipe_room(pipe: c_int, wait: bool) -> CResult<usize> {
    /// What fits while poll says that something does (pipe(7), PIPE_BUF).
    const PAGE: usize = 4096;
    // SAFETY: the caller's number, borrowed for this call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(pipe) };
    let mut polled = [PollFd::new(&borrowed, PollFlags::OUT)];
    let now = rustix::event::Timespec::default();
    let ready = poll(&mut polled, if wait { None } else { Some(&now) }).map_err(Fail::Os)?;
    if polled[0].revents().contains(PollFlags::ERR) {
        raise_sigpipe();
        return Err(Errno(libc::EPIPE));
    }
    if ready == 0 {
        return Err(Errno(libc::EAGAIN));
    }
    let size = sys::fcntl(pipe, libc::F_GETPIPE_SZ, 0).map_err(Fail::Os)?;
    let empty = rustix::io::ioctl_fionread(borrowed) == Ok(0);
    Ok(if empty {
        (size as usize).max(PAGE)
    } else {
        PAGE
    })
}

/// splice_to_socket. What the socket does not take has to stay in the pipe, so the bytes are looked at in a copy of the pipe first.
fn from_pipe(socket: &SocketFile, pipe: c_int, len: usize, flags: SpliceFlags) -> CResult<ssize_t> {
    let copy = Copy::new().map_err(Fail::Os)?;
    let mut bytes = Vec::new();
    let mut done = 0;
    let mut wait = flags & SpliceFlags::NONBLOCK;
    while done < len {
        let seen = match copy.look(pipe, len - done, wait) {
            Ok(0) => break,
            Ok(seen) => seen,
            Err(_) if done > 0 => break,
            Err(errno) => return Err(Fail::Os(errno).into()),
        };
        bytes.resize(seen, 0);
        take(copy.read, &mut bytes).map_err(Fail::Os)?;
        let more = flags.contains(SpliceFlags::MORE);
        let sent = match send_bytes(socket, &bytes, if more { libc::MSG_MORE } else { 0 }, None) {
            Ok(sent) => sent as usize,
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        };
        take(pipe, bytes.get_mut(..sent).unwrap_or_default()).map_err(Fail::Os)?;
        done += sent;
        if sent < seen {
            break;
        }
        // What is there, is moved; for more nobody waits.
        wait = SpliceFlags::NONBLOCK;
    }
    Ok(done as ssize_t)
}

/// A pipe of our own for looking into another.
struct Copy {
    read: c_int,
    write: c_int,
}

impl Copy {
    fn new() -> Result<Copy, Os> {
        sys::pipe().map(|(read, write)| Copy { read, write })
    }

    /// Copies what stands in `pipe`; 0 when there is nothing and nobody to write it.
    fn look(&self, pipe: c_int, len: usize, flags: SpliceFlags) -> Result<usize, Os> {
        // SAFETY: numbers borrowed for this call; the kernel checks the caller's.
        let (pipe, write) = unsafe {
            (
                BorrowedFd::borrow_raw(pipe),
                BorrowedFd::borrow_raw(self.write),
            )
        };
        tee(pipe, write, len, flags)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = sys::close(self.read);
        let _ = sys::close(self.write);
    }
}

/// Reads exactly `room` bytes, which are there.
fn take(pipe: c_int, room: &mut [u8]) -> Result<(), Os> {
    let mut rest = room;
    while !rest.is_empty() {
        // SAFETY: the slice is ours.
        let got = unsafe {
            sys::syscall(
                libc::SYS_read,
                [
                    pipe as usize,
                    rest.as_mut_ptr() as usize,
                    rest.len(),
                    0,
                    0,
                    0,
                ],
            )
        };
        match got {
            // Another reader was faster.
            Ok(0) | Err(Os::AGAIN) => break,
            Ok(got) => rest = rest.get_mut(got..).unwrap_or_default(),
            Err(Os::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
