//! SIGIO and SIGURG: a socket's events as signals (fcntl(2), "Managing signals"; fs/fcntl.c, send_sigio and send_sigurg).
//!
//! What is to be sent is collected under the core's lock and sent when the lock has been given back: the handler may run in the
//! very thread that sends, and its calls on sockets have to find the lock free.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};

use libc::{c_int, c_long};
use rustix::io::Errno;
use tunsock_stack::Ready;

use super::sys;

/// Who gets the signals (struct f_owner_ex).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A thread.
    Thread(c_int),
    /// A process; 0: nobody.
    Process(c_int),
    /// A process group.
    Group(c_int),
}

impl Owner {
    /// Nobody.
    pub(crate) const NONE: Owner = Owner::Process(0);

    fn is_none(self) -> bool {
        matches!(self, Owner::Thread(0) | Owner::Process(0) | Owner::Group(0))
    }

    /// ESRCH when there is nobody of that number.
    pub(crate) fn check(self) -> Result<(), Errno> {
        if self.is_none() {
            return Ok(());
        }
        match self.plain(0) {
            Err(Errno::SRCH) => Err(Errno::SRCH),
            Err(Errno::INVAL) => Err(Errno::SRCH),
            _ => Ok(()),
        }
    }

    /// A signal that tells nothing more.
    fn plain(self, signal: c_int) -> Result<(), Errno> {
        let (number, id) = match self {
            Owner::Thread(id) => (libc::SYS_tkill, id),
            Owner::Process(id) => (libc::SYS_kill, id),
            Owner::Group(id) => (libc::SYS_kill, -id),
        };
        // SAFETY: no memory is passed.
        unsafe { sys::syscall(number, [id as usize, signal as usize, 0, 0, 0, 0]) }.map(drop)
    }

    /// A signal with its information, which the kernel takes for the sender's own process only.
    fn queued(self, signal: c_int, info: &Info) -> Result<(), Errno> {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let info = std::ptr::from_ref(info) as usize;
        // SAFETY: the kernel reads 128 bytes at `info`, which has as many.
        unsafe {
            match self {
                Owner::Thread(id) => sys::syscall(
                    libc::SYS_rt_tgsigqueueinfo,
                    [own as usize, id as usize, signal as usize, info, 0, 0],
                ),
                Owner::Process(id) => sys::syscall(
                    libc::SYS_rt_sigqueueinfo,
                    [id as usize, signal as usize, info, 0, 0, 0],
                ),
                Owner::Group(_) => Err(Errno::PERM),
            }
        }
        .map(drop)
    }
}

/// siginfo_t as 64-bit machines have it: number, errno, code; from byte 16 the band, from byte 24 the descriptor.
#[repr(C, align(8))]
struct Info {
    signal: c_int,
    errno: c_int,
    code: c_int,
    hole: c_int,
    band: c_long,
    fd: c_int,
    rest: [c_int; 25],
}

const _: () = assert!(size_of::<Info>() == 128);

/// A socket's part: whom to tell, and of what.
#[derive(Default)]
pub(crate) struct SigIo {
    /// [`Owner`]: its kind in the upper half, its number in the lower.
    owner: AtomicU64,
    /// F_SETSIG, 0: SIGIO.
    signal: AtomicI32,
    /// The descriptor that O_ASYNC was set by last.
    fd: AtomicI32,
    /// O_ASYNC.
    on: AtomicBool,
    /// Room is news: a call found none, or a connection is being opened (SOCKWQ_ASYNC_NOSPACE).
    room_wanted: AtomicBool,
    /// Threads that wait for a stream's data and see themselves that it has come (SOCKWQ_ASYNC_WAITDATA).
    readers: AtomicU32,
}

/// What a signal says of a socket (POLL_* of bits/siginfo-consts.h) and the events of poll with it (band_table).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum News {
    In,
    Out,
    Error,
    Urgent,
    HangUp,
}

impl News {
    fn code_and_band(self) -> (c_int, c_long) {
        let (code, band) = match self {
            News::In => (1, libc::POLLIN | libc::POLLRDNORM),
            News::Out => (2, libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND),
            News::Error => (4, libc::POLLERR),
            News::Urgent => (5, libc::POLLPRI | libc::POLLRDBAND),
            News::HangUp => (6, libc::POLLHUP | libc::POLLERR),
        };
        (code, c_long::from(band))
    }
}

/// A signal to be sent.
pub(crate) struct Signal {
    owner: Owner,
    /// 0: SIGIO without information.
    number: c_int,
    news: News,
    fd: c_int,
}

impl SigIo {
    /// F_SETOWN, F_SETOWN_EX.
    pub(crate) fn set_owner(&self, owner: Owner) {
        let (kind, id) = match owner {
            Owner::Thread(id) => (0u64, id),
            Owner::Process(id) => (1, id),
            Owner::Group(id) => (2, id),
        };
        self.owner.store(kind << 32 | u64::from(id as u32), Relaxed);
    }

    /// F_GETOWN, F_GETOWN_EX.
    pub(crate) fn owner(&self) -> Owner {
        let both = self.owner.load(Relaxed);
        let id = both as u32 as c_int;
        match both >> 32 {
            _ if id == 0 => Owner::NONE,
            0 => Owner::Thread(id),
            1 => Owner::Process(id),
            _ => Owner::Group(id),
        }
    }

    /// F_SETSIG; 0: SIGIO.
    pub(crate) fn set_signal(&self, signal: c_int) {
        self.signal.store(signal, Relaxed);
    }

    /// F_GETSIG.
    pub(crate) fn signal(&self) -> c_int {
        self.signal.load(Relaxed)
    }

    /// O_ASYNC, set by this descriptor.
    pub(crate) fn switch(&self, on: bool, fd: c_int) {
        if on {
            self.fd.store(fd, Relaxed);
        }
        self.on.store(on, Relaxed);
    }

    /// O_ASYNC.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// From now on it is news that there is room to send (sk_set_bit: while O_ASYNC is on).
    pub(crate) fn want_room(&self) {
        if self.is_on() {
            self.room_wanted.store(true, Relaxed);
        }
    }

    /// A thread begins or ends to wait for a stream's data.
    pub(crate) fn reads(&self, begins: bool) {
        if begins {
            self.readers.fetch_add(1, Relaxed);
        } else {
            self.readers.fetch_sub(1, Relaxed);
        }
    }

    /// The socket had these events: what is to be told of them.
    pub(super) fn note(&self, events: Ready, stream: bool, out: &mut Vec<Signal>) {
        let owner = self.owner();
        if owner.is_none() {
            return;
        }
        let mut tell = |number, news| {
            let fd = self.fd.load(Relaxed);
            out.push(Signal {
                owner,
                number,
                news,
                fd,
            });
        };
        let on = self.is_on();
        let number = self.signal();
        // sk_send_sigurg: whoever owns the socket hears of urgent data, with O_ASYNC or without.
        if stream && events.contains(Ready::PRI) {
            tell(libc::SIGURG, News::Urgent);
            if on {
                tell(number, News::Urgent);
            }
        }
        if !on {
            return;
        }
        if events.contains(Ready::ERR) {
            return tell(number, News::Error);
        }
        let waited_for = stream && self.readers.load(Relaxed) > 0;
        if !waited_for && stream && events.contains(Ready::HUP) {
            tell(number, News::HangUp);
        } else if !waited_for && events.intersects(Ready::IN | Ready::RDHUP) {
            tell(number, News::In);
        }
        if events.contains(Ready::OUT) && self.room_wanted.swap(false, Relaxed) {
            tell(number, News::Out);
        }
    }
}

impl Signal {
    /// Sends it. Nobody hears of a failure, as on Linux.
    pub(super) fn send(&self) {
        /// SI_KERNEL of bits/siginfo-consts.h.
        const SI_KERNEL: c_int = 0x80;
        let mut info = Info {
            signal: self.number,
            errno: 0,
            code: SI_KERNEL,
            hole: 0,
            band: 0,
            fd: 0,
            rest: [0; 25],
        };
        let informed = self.number != 0 && self.number != libc::SIGURG;
        if informed {
            (info.code, info.band) = self.news.code_and_band();
            info.fd = self.fd;
            // sig_specific_sicodes: the codes of these mean something else.
            const OWN_CODES: [c_int; 7] = [
                libc::SIGILL,
                libc::SIGFPE,
                libc::SIGSEGV,
                libc::SIGBUS,
                libc::SIGTRAP,
                libc::SIGCHLD,
                libc::SIGSYS,
            ];
            if OWN_CODES.contains(&self.number) {
                info.code = libc::SI_SIGIO;
            }
            let mut sent = self.owner.queued(self.number, &info);
            if sent == Err(Errno::PERM) {
                // do_rt_sigqueueinfo: codes of the kernel's are taken from a thread for itself only, or the main thread for the process.
                info.code = libc::SI_SIGIO;
                sent = self.owner.queued(self.number, &info);
            }
            match sent {
                // send_sigio_to_task: when no more can be queued, a plain SIGIO says that something was lost.
                Err(Errno::AGAIN) => {}
                Err(_) => {
                    let _ = self.owner.plain(self.number);
                    return;
                }
                Ok(()) => return,
            }
            (info.code, info.band, info.fd) = (SI_KERNEL, 0, 0);
        }
        let number = if self.number == libc::SIGURG {
            libc::SIGURG
        } else {
            libc::SIGIO
        };
        info.signal = number;
        if self.owner.queued(number, &info).is_err() {
            let _ = self.owner.plain(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(io: &SigIo, events: Ready, stream: bool) -> Vec<(c_int, News)> {
        let mut out = Vec::new();
        io.note(events, stream, &mut out);
        out.iter().map(|s| (s.number, s.news)).collect()
    }

    #[test]
    fn nobody_hears_anything_at_first() {
        let io = SigIo::default();
        io.switch(true, 3);
        assert_eq!(told(&io, Ready::all(), true), []);
        io.set_owner(Owner::Group(7));
        assert_eq!(io.owner(), Owner::Group(7));
        io.switch(false, 3);
        assert_eq!(told(&io, Ready::IN | Ready::OUT, true), []);
    }

    #[test]
    fn news_as_linux_tells_them() {
        let io = SigIo::default();
        io.set_owner(Owner::Process(1));
        assert_eq!(told(&io, Ready::PRI, true), [(libc::SIGURG, News::Urgent)]);
        io.switch(true, 3);
        io.set_signal(40);
        assert_eq!(told(&io, Ready::IN | Ready::OUT, true), [(40, News::In)]);
        io.want_room();
        assert_eq!(told(&io, Ready::OUT, true), [(40, News::Out)]);
        assert_eq!(told(&io, Ready::OUT, true), []);
        assert_eq!(
            told(&io, Ready::ERR | Ready::HUP | Ready::IN, true),
            [(40, News::Error)]
        );
        io.reads(true);
        assert_eq!(told(&io, Ready::IN, true), []);
        assert_eq!(told(&io, Ready::IN, false), [(40, News::In)]);
        io.reads(false);
        assert_eq!(
            told(&io, Ready::IN | Ready::HUP, true),
            [(40, News::HangUp)]
        );
    }
}
