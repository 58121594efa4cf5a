//! Several frames in one system call: asynchronous input and output of Linux (io_submit(2)), which a TUN device does at once.
//!
//! writev(2) gives a device one frame, and whoever that wakes on the same processor runs before the next. Frames that are given together are there
//! together when it does.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::c_ulong;
use rustix::io::Errno;
use smallvec::SmallVec;

use crate::call::syscall;

/// Most frames in one call.
const MOST: usize = 16;

/// `struct iocb` (linux/aio_abi.h).
#[repr(C)]
#[derive(Copy, Clone, Default)]
struct Iocb {
    data: u64,
    /// In the other order on a big-endian machine; both are zero.
    key: u32,
    rw_flags: i32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buf: u64,
    nbytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    resfd: u32,
}

/// `struct io_event` (linux/aio_abi.h).
#[repr(C)]
#[derive(Copy, Clone, Default)]
struct IoEvent {
    data: u64,
    obj: u64,
    /// Octets, or minus an errno.
    res: i64,
    res2: i64,
}

const _: () = assert!(size_of::<Iocb>() == 64 && size_of::<IoEvent>() == 32);

/// IOCB_CMD_PWRITEV.
const PWRITEV: u16 = 8;

/// A context of the kernel's (io_setup(2)). It belongs to the process that made it: a forked child has none, and must not use its copy.
#[derive(Debug)]
pub(crate) struct Aio(c_ulong);

impl Aio {
    /// A context for [`MOST`] frames.
    ///
    /// # Errors
    /// ENOSYS or EPERM where there is none to be had, EAGAIN where the machine has no more (fs.aio-max-nr), ENOMEM.
    pub(crate) fn new() -> Result<Aio, Errno> {
        let mut context: c_ulong = 0;
        // SAFETY: io_setup writes one word through the pointer.
        unsafe {
            let place = (&raw mut context) as usize;
            syscall(libc::SYS_io_setup, [MOST, place, 0, 0, 0, 0])?;
        }
        Ok(Aio(context))
    }

    /// Writes each of the first [`MOST`] of `frames` to `fd`, which must not block. Returns how many were taken, from the first
    /// on, and the last error of those.
    ///
    /// # Errors
    /// The call itself failed: nothing was taken.
    pub(crate) fn write_all(
        &mut self,
        fd: BorrowedFd<'_>,
        frames: &[&[IoSlice<'_>]],
    ) -> Result<(usize, Option<Errno>), Errno> {
        let fd = fd.as_raw_fd() as u32;
        let mut requests: SmallVec<[Iocb; MOST]> = (frames.iter().take(MOST))
            .map(|frame| Iocb {
                opcode: PWRITEV,
                fd,
                buf: frame.as_ptr() as u64,
                nbytes: frame.len() as u64,
                ..Iocb::default()
            })
            .collect();
        let mut pointers: SmallVec<[*mut Iocb; MOST]> =
            requests.iter_mut().map(ptr::from_mut).collect();
        let count = pointers.len();
        // SAFETY: `count` pointers to requests, each of a frame's slices, which have the layout of `struct iovec` (std::io::IoSlice). All of them
        // are borrowed until every request taken has been reported below, so the kernel reads nothing that is gone.
        let taken = unsafe {
            let pointers = pointers.as_mut_ptr() as usize;
            let args = [self.0 as usize, count, pointers, 0, 0, 0];
            syscall(libc::SYS_io_submit, args)?
        };
        Ok((taken, self.reap(taken)))
    }

    /// Waits for `count` requests, which a device that does not block has done already. The last error of theirs.
    fn reap(&mut self, count: usize) -> Option<Errno> {
        let mut failed = None;
        let mut left = count;
        while left > 0 {
            let mut events = [IoEvent::default(); MOST];
            let want = left.min(MOST);
            // SAFETY: room for `want` events; no time limit.
            let got = unsafe {
                let events = events.as_mut_ptr() as usize;
                let args = [self.0 as usize, want, want, events, 0, 0];
                syscall(libc::SYS_io_getevents, args)
            };
            let got = match got {
                Ok(got) => got,
                Err(Errno::INTR) => continue,
                // The context is gone, and what was asked of it with it (io_destroy waits for that).
                Err(errno) => return Some(errno),
            };
            for event in events.iter().take(got).filter(|event| event.res < 0) {
                failed = Some(Errno::from_raw_os_error(-event.res as i32));
            }
            left -= got.min(left);
        }
        failed
    }
}

impl Drop for Aio {
    fn drop(&mut self) {
        // SAFETY: the context is ours and is not used again; nothing of it is under way.
        let _ = unsafe { syscall(libc::SYS_io_destroy, [self.0 as usize, 0, 0, 0, 0, 0]) };
    }
}
