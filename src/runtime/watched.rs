//! Who waits for which socket, and hears of its events.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use smallvec::SmallVec;
use tunsock_stack::{Ready, SocketId};

use super::core::Core;
use super::sigio::SigIo;
use super::waker::Waker;

/// Who is to hear of a socket's events.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) threads: SmallVec<[Watcher; 2]>,
    pub(super) hooks: SmallVec<[Hooked; 1]>,
    /// Its events are signals too; whether it is a stream.
    pub(super) sigio: Option<(Arc<SigIo>, bool)>,
}

/// A thread that waits for a socket.
pub(super) struct Watcher {
    pub(super) waker: Arc<Waker>,
    interest: Ready,
    exclusive: bool,
}

/// A standing listener to a socket's events: an epoll set.
pub(crate) trait Hook: Send + Sync {
    /// The socket registered as `token` had these events. True when a waiting thread was woken for it.
    fn on_event(&self, token: u64, events: Ready) -> bool;
    /// The socket is closed; `token` means nothing any more.
    fn on_close(&self, token: u64);
}

pub(super) struct Hooked {
    pub(super) hook: Arc<dyn Hook>,
    pub(super) token: u64,
    exclusive: bool,
}

/// Events that nobody has to ask for (poll(2)).
pub(crate) const ALWAYS: Ready = Ready::ERR.union(Ready::HUP);

impl Core {
    /// Wakes who waits for one of `events`.
    pub(super) fn tell(&mut self, id: SocketId, events: Ready) {
        let Some(watched) = self.watched.get(id) else {
            return;
        };
        let events_always = events & ALWAYS;
        let mut exclusive_done = false;
        for watcher in &watched.threads {
            if (watcher.interest & events).is_empty() && events_always.is_empty() {
                continue;
            }
            if watcher.exclusive {
                // One arrival, one thread; an error concerns all.
                if exclusive_done && events_always.is_empty() || watcher.waker.signaled() {
                    continue;
                }
                exclusive_done = true;
            }
            watcher.waker.wake();
            // The role goes to one that waits without it, if to any.
            if watcher.waker.place.load(Relaxed) != usize::MAX {
                self.woken = Some(watcher.waker.clone());
            }
        }
        let mut exclusive_done = false;
        for hooked in &watched.hooks {
            if hooked.exclusive && exclusive_done {
                continue;
            }
            exclusive_done |= hooked.hook.on_event(hooked.token, events) && hooked.exclusive;
        }
        if let Some((sigio, stream)) = &watched.sigio {
            sigio.note(events, *stream, &mut self.signals);
        }
    }

    /// Threads are to be woken whenever something may have moved.
    pub(super) fn moves_others(&self) -> bool {
        !self.movement.is_empty()
    }

    /// Whether epoll sets or signals tell of the socket's events, or more than one thread waits for them.
    pub(super) fn has_listeners(&self, id: SocketId) -> bool {
        let watched = self.watched.get(id);
        watched.is_some_and(|w| w.threads.len() > 1 || !w.hooks.is_empty() || w.sigio.is_some())
    }

    /// A thread starts to wait for a socket. `exclusive`: of all such threads an arrival wakes one.
    pub(super) fn watch(
        &mut self,
        id: SocketId,
        waker: &Arc<Waker>,
        interest: Ready,
        exclusive: bool,
    ) {
        let watcher = Watcher {
            waker: waker.clone(),
            interest,
            exclusive,
        };
        if let Some(watched) = self.watched_mut(id) {
            watched.threads.push(watcher);
        }
    }

    /// The thread waits no more. What woke an exclusive one and is still there goes to the next.
    pub(super) fn unwatch(&mut self, id: SocketId, waker: &Arc<Waker>) {
        let Some(watched) = self.watched.get_mut(id) else {
            return;
        };
        let threads = &mut watched.threads;
        let Some(place) = threads.iter().position(|w| Arc::ptr_eq(&w.waker, waker)) else {
            return;
        };
        let left = threads.remove(place);
        if left.exclusive && !threads.is_empty() {
            self.pass_on(id, left.interest);
        }
    }

    /// Who listens to a socket, who may be nobody.
    #[inline]
    fn watched_mut(&mut self, id: SocketId) -> Option<&mut Watched> {
        if !self.watched.contains_key(id) {
            self.watched.insert(id, Watched::default());
        }
        self.watched.get_mut(id)
    }

    /// A thread that an arrival wakes alone has gone: if something of what it waited for is there, the next one hears of it.
    fn pass_on(&mut self, id: SocketId, interest: Ready) {
        let ready = self.readiness(id);
        if ready.intersects(interest)
            && let Some(watched) = self.watched.get(id)
            && let Some(next) = watched
                .threads
                .iter()
                .find(|w| w.exclusive && ready.intersects(w.interest) && !w.waker.signaled())
        {
            next.waker.wake();
        }
    }

    /// Some thread has left its wait without a return: its registrations go. Rare, hence the walk over all.
    pub(super) fn forget_abandoned(&mut self) {
        for watched in self.watched.values_mut() {
            watched.threads.retain(|watcher| !watcher.waker.abandoned());
        }
        self.movement.retain(|waker| !waker.abandoned());
    }

    /// From now on `hook` hears of the socket's events under the name `token`.
    pub(crate) fn hook(&mut self, id: SocketId, hook: Arc<dyn Hook>, token: u64, exclusive: bool) {
        let hooked = Hooked {
            hook,
            token,
            exclusive,
        };
        if let Some(watched) = self.watched_mut(id) {
            watched.hooks.push(hooked);
        }
    }

    /// From now on the socket's events are signals too.
    pub(crate) fn signal_events(&mut self, id: SocketId, sigio: Arc<SigIo>, stream: bool) {
        self.tells = true;
        if let Some(watched) = self.watched_mut(id) {
            watched.sigio = Some((sigio, stream));
        }
    }

    /// `hook` hears no more of `token`.
    pub(crate) fn unhook(&mut self, id: SocketId, hook: &Arc<dyn Hook>, token: u64) {
        let Some(watched) = self.watched.get_mut(id) else {
            return;
        };
        let same = |h: &Hooked| h.token == token && Arc::ptr_eq(&h.hook, hook);
        if let Some(place) = watched.hooks.iter().position(same) {
            watched.hooks.swap_remove(place);
        }
    }

    /// The socket is closed: epoll sets forget it (epoll(7)).
    pub(super) fn forget_hooks(&mut self, id: SocketId) {
        if let Some(watched) = self.watched.remove(id) {
            for hooked in watched.hooks {
                hooked.hook.on_close(hooked.token);
            }
        }
    }

    /// A thread waits for whatever moves.
    pub(super) fn watch_movement(&mut self, waker: &Arc<Waker>) {
        self.movement.push(waker.clone());
    }

    /// It waits no more.
    pub(super) fn unwatch_movement(&mut self, waker: &Arc<Waker>) {
        self.movement.retain(|other| !Arc::ptr_eq(other, waker));
    }
}
