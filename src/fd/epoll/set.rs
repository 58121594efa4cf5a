//! The sockets of an epoll set: what is registered, what is ready, who waits. The rules are those of fs/eventpoll.c.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use libc::{c_int, epoll_event};
use rustix::io::Errno;
use slotmap::{Key, KeyData, SlotMap, new_key_type};
use smallvec::SmallVec;
use tunsock_stack::{Ready, SocketId};

use super::super::poll::{to_interest, to_poll};
use crate::runtime::{self, ALWAYS, Core, Hook, Mutex, MutexGuard, Queue, Waker, sys};

new_key_type! {
    /// An entry's name in its set, and the token of its hook.
    pub(super) struct EntryKey;
}

/// What outlives the set's descriptors for as long as a socket's hook refers to it. Its lock is taken inside the runtime's.
pub(super) struct SetInner {
    state: Mutex<State>,
}

/// Everything about a set.
#[derive(Default)]
pub(super) struct State {
    entries: SlotMap<EntryKey, Entry>,
    /// epoll(7): an entry is the pair of descriptor number and open file description.
    by_number: HashMap<(c_int, SocketId), EntryKey>,
    /// Entries that may be ready, each once; looked at again when reported. Among them names of entries that are no more.
    ready: VecDeque<EntryKey>,
    /// How many entries are in the ready list.
    queued: usize,
    waiters: SmallVec<[Arc<Waker>; 2]>,
    /// An eventfd in the kernel's set, readable while `ready` has something: for whoever waits for the kernel's descriptor.
    bridge: Option<Bridge>,
    /// Sets inside this one.
    pub(super) children: SmallVec<[Weak<SetInner>; 1]>,
    /// The kernel's set has descriptors of its own.
    pub(super) kernel_used: bool,
    /// Threads that wait in the kernel's own epoll_wait.
    pub(super) in_kernel: usize,
    /// Whose turn it was to be first, the kernel's or ours.
    pub(super) kernel_first: bool,
    /// Entries looked at, all in all: what waiting costs.
    pub(super) looks: u64,
}

struct Bridge {
    fd: c_int,
    raised: bool,
}

/// One registered socket.
struct Entry {
    number: c_int,
    id: SocketId,
    /// As the program gave them.
    events: u32,
    data: u64,
    /// In the ready list.
    queued: bool,
    /// EPOLLONESHOT has fired.
    disarmed: bool,
}

impl Entry {
    fn interest(&self) -> Ready {
        to_interest((self.events & 0xffff) as i16) | ALWAYS
    }

    /// What to report of this readiness: the bits asked for, in the kernel's spelling.
    fn report(&self, ready: Ready) -> u32 {
        let bits = to_poll(ready) as u16 as u32;
        bits & (self.events | (libc::EPOLLERR | libc::EPOLLHUP) as u32)
    }

    fn has(&self, flag: c_int) -> bool {
        self.events & flag as u32 != 0
    }
}

impl SetInner {
    pub(super) fn new() -> SetInner {
        SetInner {
            state: Mutex::new(State::default()),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The mark of the bridge among the kernel's events: an address of ours, so no pointer or number of the program's.
    pub(super) fn mark(&self) -> u64 {
        std::ptr::from_ref(self) as usize as u64
    }

    /// EPOLL_CTL_ADD. EEXIST.
    pub(super) fn add(
        self: &Arc<Self>,
        core: &mut Core,
        number: c_int,
        id: SocketId,
        event: epoll_event,
    ) -> Result<(), Errno> {
        let mut state = self.lock();
        if state.by_number.contains_key(&(number, id)) {
            return Err(Errno::EXIST);
        }
        let entry = Entry {
            number,
            id,
            events: event.events,
            data: event.u64,
            queued: false,
            disarmed: false,
        };
        let exclusive = entry.has(libc::EPOLLEXCLUSIVE);
        let key = state.entries.insert(entry);
        state.by_number.insert((number, id), key);
        state.look_again(core, key);
        drop(state);
        core.hook(id, self.clone(), key.data().as_ffi(), exclusive);
        Ok(())
    }

    /// EPOLL_CTL_MOD. ENOENT; EINVAL for an exclusive entry.
    pub(super) fn modify(
        &self,
        core: &Core,
        number: c_int,
        id: SocketId,
        event: epoll_event,
    ) -> Result<(), Errno> {
        let mut state = self.lock();
        let Some(&key) = state.by_number.get(&(number, id)) else {
            return Err(Errno::NOENT);
        };
        let Some(entry) = state.entries.get_mut(key) else {
            return Err(Errno::NOENT);
        };
        if entry.has(libc::EPOLLEXCLUSIVE) {
            return Err(Errno::INVAL);
        }
        entry.events = event.events;
        entry.data = event.u64;
        entry.disarmed = false;
        state.look_again(core, key);
        Ok(())
    }

    /// EPOLL_CTL_DEL. ENOENT.
    pub(super) fn delete(
        self: &Arc<Self>,
        core: &mut Core,
        number: c_int,
        id: SocketId,
    ) -> Result<(), Errno> {
        let mut state = self.lock();
        let Some(&key) = state.by_number.get(&(number, id)) else {
            return Err(Errno::NOENT);
        };
        state.remove(key);
        drop(state);
        let hook: Arc<dyn Hook> = self.clone();
        core.unhook(id, &hook, key.data().as_ffi());
        Ok(())
    }

    /// Puts what is ready into `out`, in turn; the number of events.
    pub(super) fn collect(&self, core: &Core, out: &mut [epoll_event]) -> usize {
        if out.is_empty() {
            return 0;
        }
        let mut state = self.lock();
        let mut found = 0;
        for _ in 0..state.ready.len() {
            let Some(place) = out.get_mut(found) else {
                break;
            };
            let Some(key) = state.ready.pop_front() else {
                break;
            };
            state.looks += 1;
            let Some(entry) = state.entries.get_mut(key) else {
                continue;
            };
            let events = entry.report(core.readiness(entry.id));
            if events == 0 || entry.disarmed {
                entry.queued = false;
                state.queued -= 1;
                continue;
            }
            *place = epoll_event {
                events,
                u64: entry.data,
            };
            found += 1;
            entry.disarmed = entry.has(libc::EPOLLONESHOT);
            // Level: it stays, and is looked at the next time.
            entry.queued = !entry.disarmed && !entry.has(libc::EPOLLET);
            if entry.queued {
                state.ready.push_back(key);
            } else {
                state.queued -= 1;
            }
        }
        // ep_done_scan: what is still there is for whoever waits, too.
        if found > 0 && state.anything() {
            state.wake_one();
        }
        state.sync_bridge();
        found
    }

    /// Drops from the ready list what is not ready any more, so that the bridge tells the truth; sets inside too.
    pub(super) fn settle(&self, core: &Core, depth: usize) {
        let mut state = self.lock();
        for _ in 0..state.ready.len() {
            let Some(key) = state.ready.pop_front() else {
                break;
            };
            state.looks += 1;
            let Some(entry) = state.entries.get_mut(key) else {
                continue;
            };
            if entry.disarmed || entry.report(core.readiness(entry.id)) == 0 {
                entry.queued = false;
                state.queued -= 1;
            } else {
                state.ready.push_back(key);
            }
        }
        state.sync_bridge();
        if depth == 0 || state.children.is_empty() {
            return;
        }
        state.children.retain(|child| child.strong_count() > 0);
        let children: SmallVec<[Arc<SetInner>; 2]> =
            state.children.iter().filter_map(Weak::upgrade).collect();
        drop(state);
        for child in children {
            child.settle(core, depth - 1);
        }
    }

    /// Puts the bridge into the kernel's set `epfd`: from now on who waits there hears of our sockets too.
    pub(super) fn build_bridge(&self, epfd: c_int) -> Result<(), Errno> {
        let mut state = self.lock();
        if state.bridge.is_some() {
            return Ok(());
        }
        let fd = sys::eventfd()?;
        let mut event = epoll_event {
            events: libc::EPOLLIN as u32,
            u64: self.mark(),
        };
        if let Err(errno) = sys::epoll_ctl(epfd, libc::EPOLL_CTL_ADD, fd, Some(&mut event)) {
            let _ = sys::close(fd);
            return Err(errno);
        }
        runtime::reserve(fd);
        state.bridge = Some(Bridge { fd, raised: false });
        state.sync_bridge();
        Ok(())
    }

    /// Wakes the threads that wait in the kernel's own epoll_wait, which do not know of our sockets yet.
    pub(super) fn call_back_from_kernel(&self, epfd: c_int) {
        if self.lock().in_kernel == 0 {
            return;
        }
        if self.build_bridge(epfd).is_ok()
            && let Some(bridge) = &mut self.lock().bridge
            && !bridge.raised
        {
            bridge.raised = true;
            sys::eventfd_signal(bridge.fd);
        }
    }

    /// Lowers the bridge unless something is ready.
    pub(super) fn sync_bridge(&self) {
        self.lock().sync_bridge();
    }

    /// Wakes everybody who waits, to look at how the set has changed.
    pub(super) fn wake_all(&self) {
        self.lock().waiters.iter().for_each(|waiter| waiter.wake());
    }

    /// The set's last descriptor is closed: no socket knows it any more.
    pub(super) fn dissolve(self: &Arc<Self>, core: &mut Core) {
        let mut state = self.lock();
        let entries: Vec<(SocketId, EntryKey)> = state
            .by_number
            .drain()
            .map(|((_, id), key)| (id, key))
            .collect();
        state.entries.clear();
        state.ready.clear();
        state.queued = 0;
        drop(state);
        let hook: Arc<dyn Hook> = self.clone();
        for (id, key) in entries {
            core.unhook(id, &hook, key.data().as_ffi());
        }
    }
}

impl State {
    /// Whether it has sockets of ours, or sets that may have.
    pub(super) fn concerns_us(&self) -> bool {
        !self.entries.is_empty() || !self.children.is_empty()
    }

    /// A set is inside this one, once more if it is already.
    pub(super) fn nest(&mut self, child: &Arc<SetInner>) {
        self.children.retain(|child| child.strong_count() > 0);
        self.children.push(Arc::downgrade(child));
    }

    /// It is inside once less.
    pub(super) fn unnest(&mut self, child: &Arc<SetInner>) {
        let place = |other: &Weak<SetInner>| std::ptr::eq(other.as_ptr(), Arc::as_ptr(child));
        if let Some(place) = self.children.iter().position(place) {
            self.children.swap_remove(place);
        }
    }

    /// Whether something of ours may be ready.
    pub(super) fn anything(&self) -> bool {
        self.queued > 0
    }

    /// The entry is put into the ready list, unless it is there.
    fn queue(&mut self, key: EntryKey) {
        if let Some(entry) = self.entries.get_mut(key)
            && !entry.queued
        {
            entry.queued = true;
            self.queued += 1;
            self.ready.push_back(key);
        }
    }

    /// The entry is no more. Its name in the ready list goes when the list is walked through, or has more of that kind than of others.
    fn remove(&mut self, key: EntryKey) {
        let Some(entry) = self.entries.remove(key) else {
            return;
        };
        self.by_number.remove(&(entry.number, entry.id));
        if entry.queued {
            self.queued -= 1;
            if self.ready.len() > 2 * self.queued + STALE_MAX {
                let entries = &self.entries;
                self.ready.retain(|key| entries.contains_key(*key));
            }
            self.sync_bridge();
        }
    }

    /// ADD and MOD report what is ready already (ep_insert, ep_modify).
    fn look_again(&mut self, core: &Core, key: EntryKey) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if entry.report(core.readiness(entry.id)) != 0 && !entry.queued {
            self.queue(key);
            self.wake_one();
            self.sync_bridge();
        }
    }

    /// True when there was a thread to wake.
    fn wake_one(&mut self) -> bool {
        self.waiters.retain(|waiter| !waiter.abandoned());
        let waiter = self.waiters.iter().find(|waiter| !waiter.signaled());
        if let Some(waiter) = waiter {
            waiter.wake();
        }
        waiter.is_some()
    }

    fn sync_bridge(&mut self) {
        let full = self.anything();
        if let Some(bridge) = &mut self.bridge
            && bridge.raised != full
        {
            bridge.raised = full;
            if full {
                sys::eventfd_signal(bridge.fd);
            } else {
                sys::eventfd_clear(bridge.fd);
            }
        }
    }
}

/// Names of entries that are no more in a ready list that has few others.
const STALE_MAX: usize = 64;

impl Hook for SetInner {
    /// ep_poll_callback.
    fn on_event(&self, token: u64, events: Ready) -> bool {
        let mut state = self.lock();
        let key = EntryKey::from(KeyData::from_ffi(token));
        let Some(entry) = state.entries.get_mut(key) else {
            return false;
        };
        if entry.disarmed || !events.intersects(entry.interest()) {
            return false;
        }
        if !entry.queued {
            state.queue(key);
            state.sync_bridge();
        }
        state.wake_one()
    }

    fn on_close(&self, token: u64) {
        self.lock().remove(EntryKey::from(KeyData::from_ffi(token)));
    }
}

impl Queue for SetInner {
    fn join(&self, waker: &Arc<Waker>) {
        self.lock().waiters.push(waker.clone());
    }

    /// A thread that leaves without having looked passes its wake-up on.
    fn leave(&self, waker: &Arc<Waker>) {
        let mut state = self.lock();
        state.waiters.retain(|other| !Arc::ptr_eq(other, waker));
        if waker.signaled() && state.anything() {
            state.wake_one();
        }
    }
}

impl Drop for SetInner {
    fn drop(&mut self) {
        if let Some(bridge) = &self.state.get_mut().bridge {
            runtime::release(bridge.fd);
            let _ = sys::close(bridge.fd);
        }
    }
}
