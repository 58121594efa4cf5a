//! A socket's signals: O_ASYNC, F_SETOWN, F_SETSIG.

use std::sync::Arc;

use libc::c_int;
use tunsock_stack::{Error, Kind};

use super::{Fail, FdResult, SocketFile};
use crate::runtime::{Owner, SigIo};

impl SocketFile {
    /// F_GETOWN, F_GETOWN_EX.
    pub(crate) fn owner(&self) -> Owner {
        self.sigio.get().map_or(Owner::NONE, |sigio| sigio.owner())
    }

    /// F_SETOWN, F_SETOWN_EX. ESRCH when there is nobody of that number.
    pub(crate) fn set_owner(&self, owner: Owner) -> FdResult<()> {
        owner.check().map_err(Fail::Os)?;
        self.made()?.set_owner(owner);
        Ok(())
    }

    /// F_GETSIG.
    pub(crate) fn signal(&self) -> c_int {
        self.sigio.get().map_or(0, |sigio| sigio.signal())
    }

    /// F_SETSIG; 0: SIGIO.
    pub(crate) fn set_signal(&self, signal: c_int) -> FdResult<()> {
        self.made()?.set_signal(signal);
        Ok(())
    }

    /// O_ASYNC.
    pub(crate) fn signals(&self) -> bool {
        self.sigio.get().is_some_and(|sigio| sigio.is_on())
    }

    /// Sets O_ASYNC by this descriptor (F_SETFL, FIOASYNC).
    pub(crate) fn set_signals(&self, on: bool, fd: c_int) -> FdResult<()> {
        if on || self.sigio.get().is_some() {
            let sigio = self.made()?;
            sigio.switch(on, fd);
            // tcp_finish_connect tells whoever listens by then.
            let stream = self.kind().1 == Kind::Stream;
            if on && stream && self.opening() {
                sigio.want_room();
            }
        }
        Ok(())
    }

    /// A call finds no room, or opens a connection: that there is room will be news.
    pub(super) fn wants_room(&self) {
        if let Some(sigio) = self.sigio.get() {
            sigio.want_room();
        }
    }

    /// While it lives, a thread waits for the stream's data.
    pub(super) fn reading(&self) -> Option<Reading<'_>> {
        let sigio = self.sigio.get()?;
        sigio.reads(true);
        Some(Reading(sigio))
    }

    /// The socket's part in it, registered when it is first asked for.
    fn made(&self) -> FdResult<&SigIo> {
        if let Some(there) = self.sigio.get() {
            return Ok(there);
        }
        let mut core = self.runtime().lock().map_err(Error::from)?;
        // Under the lock, so that what is registered is what is kept.
        let sigio = self.sigio.get_or_init(Box::default);
        let stream = self.kind().1 == Kind::Stream;
        core.signal_events(self.id(), Arc::clone(sigio), stream);
        Ok(sigio)
    }
}

/// See [`SocketFile::reading`].
pub(super) struct Reading<'a>(&'a SigIo);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.reads(false);
    }
}
