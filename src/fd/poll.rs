//! poll and ppoll over ours and the kernel's.

use std::sync::Arc;
use std::time::Duration;

use libc::{c_int, c_short};
use rustix::io::Errno;
use smallvec::SmallVec;
use tunsock_stack::Ready;

use super::socket::settle;
use super::{FdResult, Object, SocketFile, epoll, settle as settle_number};
use crate::runtime::critical::{self, Critical};
use crate::runtime::sys::SigSet;
use crate::runtime::{Core, End, Request, Runtime, Watch};

/// ppoll(2). `None` timeout: for ever. `None`: no descriptor of ours in it, the kernel may answer it alone.
pub(crate) fn poll(
    fds: &mut [libc::pollfd],
    timeout: Option<Duration>,
    sigmask: Option<&libc::sigset_t>,
) -> Option<FdResult<c_int>> {
    let _inside = Critical::enter();
    let mut mixed = Mixed::new(fds.iter().map(|fd| (fd.fd, fd.events)))?;
    let outcome = mixed.wait(timeout, sigmask);
    // revents are written however it ends, as do_sys_poll does.
    for (place, found) in fds.iter_mut().zip(&mixed.fds) {
        place.revents = if outcome.is_ok() { found.revents } else { 0 };
    }
    Some(outcome.map(|()| {
        let set = fds.iter().filter(|fd| fd.revents != 0).count();
        c_int::try_from(set).unwrap_or(c_int::MAX)
    }))
}

/// A list of descriptors, ours and the kernel's, to be waited for together.
pub(super) struct Mixed {
    pub(super) fds: SmallVec<[Asked; 8]>,
    sockets: SmallVec<[Arc<SocketFile>; 4]>,
    runtime: &'static Runtime,
    /// For select, which does not see everything that poll reports: hang-ups nobody asked about end no wait.
    pub(super) quiet: bool,
}

/// One descriptor with what is asked and what was found.
pub(super) struct Asked {
    pub(super) fd: c_int,
    pub(super) events: c_short,
    pub(super) revents: c_short,
    /// Its index among the sockets; `None`: the kernel's.
    socket: Option<usize>,
}

impl Mixed {
    /// Sorts the list. `None`: nothing of ours in it.
    pub(super) fn new(list: impl Iterator<Item = (c_int, c_short)>) -> Option<Mixed> {
        let mut fds = SmallVec::new();
        let mut sockets: SmallVec<[Arc<SocketFile>; 4]> = SmallVec::new();
        let mut runtime = None;
        for (fd, events) in list {
            let mut socket = None;
            match if fd < 0 { None } else { settle_number(fd) } {
                Some(Object::Socket(file) | Object::Inherited(file)) => {
                    runtime = Some(file.runtime());
                    socket = Some(sockets.len());
                    sockets.push(file);
                }
                // A set with sockets of ours tells the kernel's poll about them; somebody has to drive meanwhile.
                Some(Object::Epoll(set)) => runtime = runtime.or(epoll::prepare_for_poll(&set, fd)),
                Some(Object::Relay(_) | Object::Netlink(_)) | None => {}
            }
            fds.push(Asked {
                fd,
                events,
                revents: 0,
                socket,
            });
        }
        Some(Mixed {
            fds,
            sockets,
            runtime: runtime?,
            quiet: false,
        })
    }

    /// Waits until something is found.
    pub(super) fn wait(
        &mut self,
        timeout: Option<Duration>,
        sigmask: Option<&libc::sigset_t>,
    ) -> FdResult<()> {
        let runtime = self.runtime;
        let mut request = Request::new();
        request.timeout = timeout;
        request.nonblocking = timeout == Some(Duration::ZERO);
        request.mask = sigmask.map(to_sigset);
        for asked in self.fds.iter() {
            match asked.socket.and_then(|index| self.sockets.get(index)) {
                Some(file) => {
                    request.held.push(file.held());
                    request.watches.push(Watch::Socket {
                        id: file.id(),
                        interest: to_interest(asked.events),
                        exclusive: false,
                    });
                }
                None if asked.fd >= 0 => request.kernel.push(asked.fd, asked.events),
                None => {}
            }
        }
        let outcome = runtime.wait(&mut request, &mut |core, _, kernel| {
            let ours = self.look(Some(core));
            if ours > 0
                && let Err(errno) = kernel.refresh()
            {
                return Some(Err(errno.into()));
            }
            let found = ours + self.take(kernel.all_mut());
            (found > 0).then_some(Ok(()))
        });
        match outcome {
            Err(End::TimedOut) => Ok(()),
            Err(End::WouldBlock) if request.nonblocking => Ok(()),
            Err(End::Down) => self.look_at_the_dead(&mut request),
            Err(End::WouldBlock) => Err(Errno::AGAIN.into()),
            outcome => settle(outcome),
        }
    }

    /// How our sockets stand; the number of them that have something to report. Without a core they are dead.
    fn look(&mut self, core: Option<&Core>) -> usize {
        let dead = Ready::IN | Ready::OUT | Ready::ERR | Ready::HUP | Ready::RDHUP;
        let mut found = 0;
        for asked in self.fds.iter_mut() {
            if let Some(file) = asked.socket.and_then(|index| self.sockets.get(index)) {
                let ready = core.map_or(dead, |core| core.readiness(file.id()));
                asked.revents = to_poll(ready) & (asked.events | libc::POLLERR | libc::POLLHUP);
                found += usize::from(counts(asked, self.quiet));
            }
        }
        found
    }

    /// What the kernel found; the number of descriptors that have something to report.
    fn take(&mut self, kernel: &mut [libc::pollfd]) -> usize {
        let quiet = self.quiet;
        let mut found = 0;
        let theirs = self
            .fds
            .iter_mut()
            .filter(|asked| asked.socket.is_none() && asked.fd >= 0);
        for (asked, answer) in theirs.zip(kernel) {
            asked.revents = answer.revents;
            if counts(asked, quiet) {
                found += 1;
            } else if answer.revents != 0 {
                // ppoll would return for it again and again; select does not see it.
                answer.fd = -1;
                answer.revents = 0;
            }
        }
        found
    }

    /// In a forked child the inherited sockets are over, and the kernel's descriptors are as good as ever.
    fn look_at_the_dead(&mut self, request: &mut Request<'_>) -> FdResult<()> {
        self.look(None);
        let (kernel, mask) = (&mut request.kernel, request.mask.as_ref());
        critical::outside(|| kernel.query(mask))?;
        self.take(request.kernel.all_mut());
        Ok(())
    }
}

/// Whether what was found ends the wait.
fn counts(asked: &Asked, quiet: bool) -> bool {
    if !quiet {
        return asked.revents != 0;
    }
    asked.revents & libc::POLLNVAL != 0 || select_bits(asked.events, asked.revents) != 0
}

/// Which of select's three questions, given as poll's events, an answer of poll says yes to (fs/select.c: POLLIN_SET, POLLOUT_SET,
/// POLLEX_SET).
pub(super) fn select_bits(asked: c_short, found: c_short) -> c_short {
    use libc::*;
    let mut yes = 0;
    if found & (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR) != 0 {
        yes |= POLLIN;
    }
    if found & (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR) != 0 {
        yes |= POLLOUT;
    }
    if found & POLLPRI != 0 {
        yes |= POLLPRI;
    }
    yes & asked
}

/// Readiness as poll's bits.
pub(super) fn to_poll(ready: Ready) -> c_short {
    use libc::*;
    let mut bits = 0;
    for (bit, poll) in [
        (Ready::IN, POLLIN | POLLRDNORM),
        (Ready::PRI, POLLPRI),
        (Ready::OUT, POLLOUT | POLLWRNORM),
        (Ready::BAND, POLLWRBAND),
        (Ready::ERR, POLLERR),
        (Ready::HUP, POLLHUP),
        (Ready::RDHUP, POLLRDHUP),
    ] {
        if ready.contains(bit) {
            bits |= poll;
        }
    }
    bits
}

/// poll's bits as what to be woken for.
pub(super) fn to_interest(events: c_short) -> Ready {
    use libc::*;
    let mut interest = Ready::empty();
    interest.set(Ready::IN, events & (POLLIN | POLLRDNORM) != 0);
    interest.set(Ready::PRI, events & POLLPRI != 0);
    interest.set(
        Ready::OUT,
        events & (POLLOUT | POLLWRNORM | POLLWRBAND) != 0,
    );
    interest.set(Ready::RDHUP, events & POLLRDHUP != 0);
    interest
}

/// The kernel's 64 bits of libc's signal set.
pub(super) fn to_sigset(set: &libc::sigset_t) -> SigSet {
    // SAFETY: libc's sigset_t begins with the kernel's, which is 64 bits; it is longer and at least as aligned.
    unsafe { std::ptr::from_ref(set).cast::<SigSet>().read() }
}

const _: () = assert!(
    size_of::<libc::sigset_t>() >= size_of::<SigSet>()
        && align_of::<libc::sigset_t>() >= align_of::<SigSet>()
);
