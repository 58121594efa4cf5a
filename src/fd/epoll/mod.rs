//! epoll over ours and the kernel's.
//!
//! The program's epoll descriptor is the kernel's own and holds the kernel's descriptors. Sockets of ours are registered here, in
//! a list beside it ([`set`]); a wait is one ppoll over both. Whoever waits for the kernel's descriptor itself (poll, select, an
//! epoll set that holds it) hears of our sockets by an eventfd that is put into the kernel's set when that is first needed, the
//! bridge.

mod left;
mod set;
#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use libc::{c_int, epoll_event};
use rustix::io::Errno;

use super::dup::put;
use super::poll::to_sigset;
use super::table::{self, lookup_checked};
use super::{Fail, FdResult, Object, SocketFile, lookup, settled};
use crate::runtime::critical::{self, Critical};
use crate::runtime::sys::{self, SigSet};
use crate::runtime::{self, Core, End, Held, KernelFds, Request, Runtime, Watch};
use left::InKernel;
pub(super) use left::tidy;
use set::SetInner;

/// An epoll set: shared by every descriptor that dup made of it.
pub(crate) struct EpollSet {
    inner: Arc<SetInner>,
}

/// epoll_create1(2).
pub(crate) fn epoll_create(cloexec: bool) -> FdResult<c_int> {
    let epfd = sys::epoll_create(if cloexec { libc::EPOLL_CLOEXEC } else { 0 })?;
    put(epfd, Object::Epoll(Arc::new(EpollSet::new())))
}

/// epoll_ctl(2). `None`: neither the set nor the descriptor is ours.
pub(crate) fn epoll_ctl(
    epfd: c_int,
    op: c_int,
    fd: c_int,
    event: Option<epoll_event>,
) -> Option<FdResult<()>> {
    let _inside = Critical::enter();
    left::tidy();
    if runtime::is_reserved(epfd) || runtime::is_reserved(fd) {
        return Some(Err(Fail::Os(Errno::BADF)));
    }
    // A relay's end is the kernel's to watch, and so is a netlink socket.
    let target = match lookup_checked(fd) {
        Some(Object::Inherited(file)) => Some(settled(file)),
        target => target,
    };
    let target = target.filter(|target| !matches!(target, Object::Relay(_) | Object::Netlink(_)));
    let set = match (lookup_checked(epfd), &target) {
        (Some(Object::Epoll(set)), _) => set,
        // Not a set; the kernel says the same of its own kinds.
        (Some(Object::Socket(_) | Object::Relay(_) | Object::Netlink(_)), Some(_)) => {
            return Some(Err(Fail::Os(Errno::INVAL)));
        }
        (None, Some(Object::Socket(_) | Object::Inherited(_))) => match adopt(epfd) {
            Ok(set) => set,
            Err(fail) => return Some(Err(fail)),
        },
        _ => return None,
    };
    Some(match target {
        Some(Object::Socket(file) | Object::Inherited(file)) => {
            set.control(epfd, op, fd, &file, event)
        }
        Some(Object::Epoll(child)) => set.control_set(epfd, op, fd, &child, event),
        Some(Object::Relay(_) | Object::Netlink(_)) | None => {
            set.control_kernel(epfd, op, fd, event)
        }
    })
}

/// epoll_pwait2(2): the number of events put into `events`. `None` timeout: for ever. `None`: not ours.
pub(crate) fn epoll_wait(
    epfd: c_int,
    events: &mut [epoll_event],
    timeout: Option<Duration>,
    sigmask: Option<&libc::sigset_t>,
) -> Option<FdResult<usize>> {
    let _inside = Critical::enter();
    left::tidy();
    let set = match lookup(epfd)? {
        Object::Epoll(set) => set,
        _ => return Some(Err(Fail::Os(Errno::INVAL))),
    };
    if events.is_empty() {
        return Some(Err(Fail::Os(Errno::INVAL)));
    }
    let mask = sigmask.map(to_sigset);
    Some(set.wait(epfd, events, timeout, mask))
}

/// Readies a set for poll(2) on its descriptor. The runtime that has to be driven meanwhile; `None` when the set has nothing of ours.
pub(super) fn prepare_for_poll(set: &Arc<EpollSet>, epfd: c_int) -> Option<&'static Runtime> {
    let runtime = runtime::get()?;
    if !set.inner.lock().concerns_us() {
        return None;
    }
    // Without a bridge (EMFILE) the kernel's descriptors are all that is heard of.
    let _ = set.inner.build_bridge(epfd);
    if let Ok(core) = runtime.lock() {
        set.inner.settle(&core, NESTING);
    }
    Some(runtime)
}

impl EpollSet {
    fn new() -> EpollSet {
        EpollSet {
            inner: Arc::new(SetInner::new()),
        }
    }

    /// epoll_ctl on one of our sockets.
    fn control(
        &self,
        epfd: c_int,
        op: c_int,
        fd: c_int,
        file: &SocketFile,
        event: Option<epoll_event>,
    ) -> FdResult<()> {
        let mut core = file.runtime().lock().map_err(tunsock_stack::Error::from)?;
        let id = file.id();
        let inner = &self.inner;
        let outcome = match (op, event) {
            (libc::EPOLL_CTL_ADD, Some(event)) => {
                check_exclusive(event.events, true)?;
                inner.add(&mut core, fd, id, event)
            }
            (libc::EPOLL_CTL_MOD, Some(event)) => {
                check_exclusive(event.events, false)?;
                inner.modify(&core, fd, id, event)
            }
            (libc::EPOLL_CTL_DEL, _) => inner.delete(&mut core, fd, id),
            (libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD, None) => Err(Errno::FAULT),
            _ => Err(Errno::INVAL),
        };
        if op == libc::EPOLL_CTL_ADD && outcome.is_ok() {
            inner.call_back_from_kernel(epfd);
        }
        outcome.map_err(Fail::Os)
    }

    /// epoll_ctl on another set: the kernel nests its own, with its checks (ELOOP), and the bridge tells of our sockets.
    fn control_set(
        &self,
        epfd: c_int,
        op: c_int,
        fd: c_int,
        child: &Arc<EpollSet>,
        event: Option<epoll_event>,
    ) -> FdResult<()> {
        self.control_kernel(epfd, op, fd, event)?;
        match op {
            libc::EPOLL_CTL_ADD => {
                child.inner.build_bridge(fd)?;
                self.inner.lock().nest(&child.inner);
            }
            libc::EPOLL_CTL_DEL => self.inner.lock().unnest(&child.inner),
            _ => {}
        }
        Ok(())
    }

    fn control_kernel(
        &self,
        epfd: c_int,
        op: c_int,
        fd: c_int,
        mut event: Option<epoll_event>,
    ) -> FdResult<()> {
        sys::epoll_ctl(epfd, op, fd, event.as_mut())?;
        if op == libc::EPOLL_CTL_ADD {
            let first = !std::mem::replace(&mut self.inner.lock().kernel_used, true);
            // Who waits already does not watch the kernel's set yet. Wakers change under the runtime's lock only.
            if first
                && let Some(runtime) = runtime::get()
                && let Ok(_core) = runtime.lock()
            {
                self.inner.wake_all();
            }
        }
        Ok(())
    }

    fn wait(
        &self,
        epfd: c_int,
        events: &mut [epoll_event],
        timeout: Option<Duration>,
        mask: Option<SigSet>,
    ) -> FdResult<usize> {
        let started = sys::now();
        loop {
            let runtime = runtime::get().filter(|runtime| runtime.alive());
            let left = timeout.map(|t| t.saturating_sub(sys::now().since(started)));
            let ours = {
                let mut state = self.inner.lock();
                let ours = runtime.filter(|_| state.concerns_us());
                // Together: whoever adds a socket of ours from here on calls this thread back.
                state.in_kernel += usize::from(ours.is_none());
                ours
            };
            if let Some(runtime) = ours {
                return self.wait_both(runtime, epfd, events, left, mask);
            }
            let asleep = InKernel::enter(self);
            let found = kernel_wait(epfd, events, left, mask.as_ref());
            asleep.leave();
            let found = found?;
            let real = self.without_bridge(events, found);
            // Only the bridge: the set has got its first socket of ours meanwhile.
            if real > 0 || found == 0 {
                return Ok(real);
            }
            self.inner.sync_bridge();
        }
    }

    /// The reference of a wait in progress, which is what [`epoll_wait`] has.
    fn held(&self) -> Held {
        /// # Safety
        /// The pointer came from an `Arc` whose reference is given up here.
        unsafe fn give_back(pointer: *const ()) {
            // SAFETY: the caller's promise.
            unsafe { Arc::decrement_strong_count(pointer.cast::<EpollSet>()) }
        }
        // SAFETY: sets live in an Arc only, and whoever waits has a reference in its frame.
        unsafe { Held::new(std::ptr::from_ref(self).cast(), give_back) }
    }

    fn wait_both(
        &self,
        runtime: &'static Runtime,
        epfd: c_int,
        events: &mut [epoll_event],
        timeout: Option<Duration>,
        mask: Option<SigSet>,
    ) -> FdResult<usize> {
        let inner = &self.inner;
        let mut request = Request::new();
        request.watches.push(Watch::Queue(&**inner));
        request.held.push(self.held());
        request.timeout = timeout;
        request.nonblocking = timeout == Some(Duration::ZERO);
        // ep_poll: who does not wait is not interrupted either.
        request.mask = mask.filter(|_| !request.nonblocking);
        if inner.lock().kernel_used {
            request.kernel.push(epfd, libc::POLLIN);
        }
        let outcome = runtime.wait(&mut request, &mut |core, _, kernel| {
            let found = self.look(core, kernel, epfd, events);
            (found != Ok(0)).then_some(found)
        });
        match outcome {
            Err(End::TimedOut) => Ok(0),
            Err(End::WouldBlock | End::Interrupted) if request.nonblocking => Ok(0),
            Err(End::WouldBlock) => Err(Fail::Os(Errno::INTR)),
            outcome => super::socket::settle(outcome),
        }
    }

    /// What there is to report, ours and the kernel's, each first in its turn.
    fn look(
        &self,
        core: &Core,
        kernel: &mut KernelFds,
        epfd: c_int,
        events: &mut [epoll_event],
    ) -> FdResult<usize> {
        let (kernel_used, nests, kernel_first, ours) = {
            let mut state = self.inner.lock();
            state.kernel_first = !state.kernel_first;
            (
                state.kernel_used,
                !state.children.is_empty(),
                state.kernel_first,
                state.anything(),
            )
        };
        if !kernel_used {
            return Ok(self.inner.collect(core, events));
        }
        if kernel.is_empty() {
            kernel.push(epfd, libc::POLLIN);
        }
        if nests {
            self.inner.settle(core, NESTING);
        }
        // With nothing of ours the sleep's ppoll asks the kernel too; there is no need to ask before.
        let told = kernel.all().iter().any(|fd| fd.revents != 0);
        let ask = told || ours && !kernel.fresh();
        let mut found = 0;
        if ask && kernel_first {
            found = self.kernel_now(epfd, events)?;
        }
        if let Some(rest) = events.get_mut(found..) {
            found += self.inner.collect(core, rest);
        }
        if ask
            && !kernel_first
            && let Some(rest) = events.get_mut(found..)
        {
            found += self.kernel_now(epfd, rest)?;
        }
        Ok(found)
    }

    fn kernel_now(&self, epfd: c_int, events: &mut [epoll_event]) -> FdResult<usize> {
        if events.is_empty() {
            return Ok(0);
        }
        match kernel_wait(epfd, events, Some(Duration::ZERO), None) {
            Ok(found) => Ok(self.without_bridge(events, found)),
            Err(Fail::Interrupted) => Ok(0),
            Err(fail) => Err(fail),
        }
    }

    /// Takes the bridge's event out of the first `found`.
    fn without_bridge(&self, events: &mut [epoll_event], found: usize) -> usize {
        let mark = self.inner.mark();
        let events = events.get_mut(..found).unwrap_or(&mut []);
        match events.iter().position(|event| event.u64 == mark) {
            Some(place) => {
                events[place..].rotate_left(1);
                found - 1
            }
            None => found,
        }
    }
}

impl Drop for EpollSet {
    fn drop(&mut self) {
        if let Some(runtime) = runtime::get()
            && let Ok(mut core) = runtime.lock()
        {
            self.inner.dissolve(&mut core);
        }
    }
}

/// An epoll descriptor that was made beyond our sight gets its list when one of our sockets is to go in. EBADF, EINVAL.
fn adopt(epfd: c_int) -> FdResult<Arc<EpollSet>> {
    // The master is in no set: ENOENT says that this is one (and nothing is changed).
    match sys::epoll_ctl(epfd, libc::EPOLL_CTL_DEL, table::master()?, None) {
        Err(Errno::NOENT) | Ok(()) => {}
        Err(errno) => return Err(Fail::Os(errno)),
    }
    let set = Arc::new(EpollSet::new());
    set.inner.lock().kernel_used = true;
    put(epfd, Object::Epoll(set.clone()))?;
    Ok(set)
}

/// do_epoll_ctl: EPOLLEXCLUSIVE goes with ADD only, and with few other bits.
fn check_exclusive(events: u32, add: bool) -> FdResult<()> {
    let with = libc::EPOLLEXCLUSIVE
        | libc::EPOLLIN
        | libc::EPOLLOUT
        | libc::EPOLLERR
        | libc::EPOLLHUP
        | libc::EPOLLWAKEUP
        | libc::EPOLLET;
    if events & libc::EPOLLEXCLUSIVE as u32 != 0 && (!add || events & !(with as u32) != 0) {
        return Err(Fail::Os(Errno::INVAL));
    }
    Ok(())
}

/// The kernel's own epoll_pwait. The timeout is rounded up to its milliseconds.
fn kernel_wait(
    epfd: c_int,
    events: &mut [epoll_event],
    timeout: Option<Duration>,
    mask: Option<&SigSet>,
) -> FdResult<usize> {
    let timeout = timeout.map_or(-1, |t| {
        c_int::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
    });
    // SAFETY: epoll_event and MaybeUninit of it have the same layout, and the kernel writes whole events.
    let place: &mut [MaybeUninit<epoll_event>] =
        unsafe { std::slice::from_raw_parts_mut(events.as_mut_ptr().cast(), events.len()) };
    let waits = timeout != 0 || mask.is_some();
    let found = if waits {
        critical::outside(|| sys::epoll_pwait(epfd, place, timeout, mask))
    } else {
        sys::epoll_pwait(epfd, place, timeout, mask)
    };
    found.map_err(|errno| match errno {
        Errno::INTR => Fail::Interrupted,
        errno => Fail::Os(errno),
    })
}

/// How deep sets may lie in sets (fs/eventpoll.c, EP_MAX_NESTS).
const NESTING: usize = 4;
