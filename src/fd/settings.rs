//! What of a socket's open file description is the library's own affair: times, flags.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use libc::c_int;

use super::SocketFile;

impl SocketFile {
    /// SO_RCVTIMEO; `None`: for ever. Bounds receive and accept.
    pub(crate) fn set_recv_timeout(&self, timeout: Option<Duration>) {
        self.recv_timeout.store(to_micros(timeout), Relaxed);
    }

    /// SO_RCVTIMEO.
    pub(crate) fn recv_timeout(&self) -> Option<Duration> {
        from_micros(self.recv_timeout.load(Relaxed))
    }

    /// SO_SNDTIMEO; `None`: for ever. Bounds send and connect.
    pub(crate) fn set_send_timeout(&self, timeout: Option<Duration>) {
        self.send_timeout.store(to_micros(timeout), Relaxed);
    }

    /// SO_SNDTIMEO.
    pub(crate) fn send_timeout(&self) -> Option<Duration> {
        from_micros(self.send_timeout.load(Relaxed))
    }

    /// SO_BUSY_POLL, microseconds: for how long a thread that is to wait for data looks for packets before it sleeps.
    pub(crate) fn set_busy_poll(&self, micros: u32) {
        self.busy_poll.store(micros, Relaxed);
    }

    /// SO_BUSY_POLL, microseconds.
    pub(crate) fn busy_poll(&self) -> u32 {
        self.busy_poll.load(Relaxed)
    }

    /// O_NONBLOCK.
    pub(crate) fn nonblocking(&self) -> bool {
        self.status.has(NONBLOCK)
    }

    /// Sets O_NONBLOCK (F_SETFL, FIONBIO).
    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        self.status.set(NONBLOCK, nonblocking);
    }

    /// Flags of the open file description that mean nothing for a socket, and are kept (O_APPEND, O_NOATIME).
    pub(crate) fn status(&self) -> c_int {
        let kept = |bit, flag| if self.status.has(bit) { flag } else { 0 };
        kept(APPEND, libc::O_APPEND) | kept(NOATIME, libc::O_NOATIME)
    }

    /// Sets them.
    pub(crate) fn set_status(&self, flags: c_int) {
        self.status.set(APPEND, flags & libc::O_APPEND != 0);
        self.status.set(NOATIME, flags & libc::O_NOATIME != 0);
    }
}

/// O_NONBLOCK, O_APPEND, O_NOATIME in one octet: there may be very many sockets.
pub(super) struct StatusFlags(AtomicU8);

const NONBLOCK: u8 = 1;
const APPEND: u8 = 2;
const NOATIME: u8 = 4;

impl StatusFlags {
    /// Of a new socket.
    pub(super) fn new(nonblocking: bool) -> StatusFlags {
        StatusFlags(AtomicU8::new(if nonblocking { NONBLOCK } else { 0 }))
    }

    fn has(&self, bit: u8) -> bool {
        self.0.load(Relaxed) & bit != 0
    }

    fn set(&self, bit: u8, on: bool) {
        if on {
            self.0.fetch_or(bit, Relaxed);
        } else {
            self.0.fetch_and(!bit, Relaxed);
        }
    }
}

fn to_micros(timeout: Option<Duration>) -> u64 {
    timeout.map_or(0, |t| {
        u64::try_from(t.as_micros()).unwrap_or(u64::MAX).max(1)
    })
}

fn from_micros(micros: u64) -> Option<Duration> {
    (micros != 0).then(|| Duration::from_micros(micros))
}
