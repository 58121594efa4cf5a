//! A send call from its beginning to its end, over as many looks at the stack as it takes.

use std::cell::Cell;
use std::io::IoSlice;
use std::net::SocketAddr;

use smallvec::SmallVec;
use tunsock_stack::{Error, Instant, SendControl, SendFlags, SocketId, Stack};

/// The call.
pub(super) struct Sending<'a> {
    data: &'a [IoSlice<'a>],
    /// What is left of `data`, once something was taken.
    rest: SmallVec<[IoSlice<'a>; 8]>,
    flags: SendFlags,
    dest: Option<SocketAddr>,
    total: usize,
    /// It returns only when all is taken (a blocking call on a stream).
    whole: bool,
    control: &'a SendControl,
    /// Bytes taken.
    pub(super) sent: usize,
    /// It waits for the handshake of the connection that it opened, or found being opened (MSG_FASTOPEN).
    pub(super) opening: Option<Error>,
}

impl<'a> Sending<'a> {
    /// A call that has not begun.
    pub(super) fn new(
        data: &'a [IoSlice<'a>],
        flags: SendFlags,
        dest: Option<SocketAddr>,
        whole: bool,
        control: &'a SendControl,
    ) -> Sending<'a> {
        Sending {
            data,
            rest: SmallVec::new(),
            flags,
            dest,
            total: data.iter().map(|slice| slice.len()).sum(),
            whole,
            control,
            sent: 0,
            opening: None,
        }
    }

    /// Looks at the stack once: bytes taken in all, `WouldBlock` when it has to wait, or an error. `restart` is cleared once a part
    /// is done that a signal must not undo.
    pub(super) fn attempt(
        &mut self,
        stack: &mut Stack,
        now: Instant,
        id: SocketId,
        restart: &Cell<bool>,
    ) -> Result<usize, Error> {
        if self.whole && (self.opening.is_some() || stack.opens(id, self.flags)) {
            self.open(stack, now, id, restart)?;
            if self.sent >= self.total {
                return Ok(self.sent);
            }
        }
        if self.sent == 0 {
            let mut flags = self.flags;
            flags.set(SendFlags::WHOLE, self.whole);
            let taken = stack.send_with(now, id, self.data, flags, self.dest, self.control)?;
            self.take(taken);
            if !self.whole || self.sent >= self.total {
                return Ok(self.sent);
            }
            restart.set(false);
        }
        while self.sent < self.total {
            // The error belongs to the next call: this one has a count to return (tcp_sendmsg).
            if stack.failing(id) {
                break;
            }
            let flags = self.flags | SendFlags::RESUMED | SendFlags::WHOLE;
            match stack.send_with(now, id, &self.rest, flags, self.dest, self.control) {
                Ok(taken) => self.take(taken),
                Err(Error::WouldBlock) => return Err(Error::WouldBlock),
                Err(_) => break,
            }
        }
        Ok(self.sent)
    }

    /// A connection is opened by this call: it waits for the handshake even when all went with the SYN (tcp_sendmsg_fastopen).
    fn open(
        &mut self,
        stack: &mut Stack,
        now: Instant,
        id: SocketId,
        restart: &Cell<bool>,
    ) -> Result<(), Error> {
        if self.opening.is_some() && stack.opening(id) {
            return Err(Error::WouldBlock);
        }
        let flags = self.flags | SendFlags::FASTOPEN | SendFlags::BLOCKS;
        let rest = if self.sent == 0 {
            self.data
        } else {
            &self.rest
        };
        let goes_on = match stack.send_with(now, id, rest, flags, self.dest, self.control) {
            Ok(taken) => {
                self.take(taken);
                Error::InProgress
            }
            Err(error @ (Error::InProgress | Error::AlreadyConnecting)) => error,
            Err(error) => {
                // What went with a SYN that came to nothing was not sent.
                self.sent = 0;
                return Err(error);
            }
        };
        restart.set(false);
        if stack.opening(id) {
            self.opening.get_or_insert(goes_on);
            return Err(Error::WouldBlock);
        }
        self.opening = None;
        self.flags -= SendFlags::FASTOPEN;
        Ok(())
    }

    /// `taken` bytes more are on their way.
    fn take(&mut self, taken: usize) {
        if self.sent == 0 && taken >= self.total {
            self.sent = taken;
            return;
        }
        if self.sent == 0 && self.whole && taken < self.total {
            self.rest.extend_from_slice(self.data);
        }
        self.sent += taken;
        let all: usize = self.rest.iter().map(|slice| slice.len()).sum();
        let mut rest: &mut [IoSlice<'_>] = &mut self.rest;
        let before = rest.len();
        IoSlice::advance_slices(&mut rest, taken.min(all));
        let gone = before - rest.len();
        self.rest.drain(..gone);
    }
}
