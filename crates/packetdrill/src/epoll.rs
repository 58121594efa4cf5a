//! epoll sets, as far as packet scripts look at them.

use libc::{c_int, epoll_event};
use tunsock_stack::{Ready, SocketId};

use crate::errno::{CResult, Errno};

/// Bits that are reported unasked.
const ALWAYS: u32 = (libc::EPOLLERR | libc::EPOLLHUP) as u32;

/// One registration.
struct Entry {
    fd: c_int,
    id: SocketId,
    events: u32,
    data: u64,
    /// Edge: something has happened since it was reported last.
    pending: bool,
    /// EPOLLONESHOT has fired.
    disarmed: bool,
}

/// An epoll set.
#[derive(Default)]
pub(crate) struct EpollSet {
    entries: Vec<Entry>,
}

/// The kernel's bits for readiness.
pub(crate) fn bits(ready: Ready) -> u32 {
    let table = [
        (Ready::IN, libc::EPOLLIN | libc::EPOLLRDNORM),
        (Ready::PRI, libc::EPOLLPRI),
        (Ready::OUT, libc::EPOLLOUT | libc::EPOLLWRNORM),
        (Ready::ERR, libc::EPOLLERR),
        (Ready::HUP, libc::EPOLLHUP),
        (Ready::RDHUP, libc::EPOLLRDHUP),
    ];
    table
        .into_iter()
        .filter(|(bit, _)| ready.contains(*bit))
        .fold(0, |all, (_, bits)| all | bits as u32)
}

impl EpollSet {
    /// epoll_ctl(2).
    pub(crate) fn control(
        &mut self,
        op: c_int,
        fd: c_int,
        id: SocketId,
        event: Option<epoll_event>,
    ) -> CResult<()> {
        let at = self.entries.iter().position(|e| e.fd == fd && e.id == id);
        match (op, at, event) {
            (libc::EPOLL_CTL_ADD, Some(_), _) => Err(Errno(libc::EEXIST)),
            (libc::EPOLL_CTL_ADD, None, Some(event)) => {
                self.entries.push(Entry {
                    fd,
                    id,
                    events: event.events,
                    data: event.u64,
                    pending: true,
                    disarmed: false,
                });
                Ok(())
            }
            (libc::EPOLL_CTL_MOD | libc::EPOLL_CTL_DEL, None, _) => Err(Errno(libc::ENOENT)),
            (libc::EPOLL_CTL_DEL, Some(at), _) => {
                self.entries.remove(at);
                Ok(())
            }
            (libc::EPOLL_CTL_MOD, Some(at), Some(event)) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.events = event.events;
                    entry.data = event.u64;
                    entry.pending = true;
                    entry.disarmed = false;
                }
                Ok(())
            }
            (libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD, _, None) => Err(Errno(libc::EFAULT)),
            _ => Err(Errno(libc::EINVAL)),
        }
    }

    /// The stack said that `what` happened to `id`.
    pub(crate) fn happened(&mut self, id: SocketId, what: Ready) {
        let what = bits(what);
        for entry in self.entries.iter_mut().filter(|entry| entry.id == id) {
            entry.pending |= what & (entry.events | ALWAYS) != 0;
        }
    }

    /// The descriptor is closed.
    pub(crate) fn forget(&mut self, id: SocketId) {
        self.entries.retain(|entry| entry.id != id);
    }

    /// What epoll_wait reports now, at most `most` events.
    pub(crate) fn ready(
        &mut self,
        most: usize,
        readiness: impl Fn(SocketId) -> Ready,
    ) -> Vec<epoll_event> {
        let mut found = Vec::new();
        for entry in &mut self.entries {
            let edge = entry.events & libc::EPOLLET as u32 != 0;
            if found.len() == most || entry.disarmed || (edge && !entry.pending) {
                continue;
            }
            let events = bits(readiness(entry.id)) & (entry.events | ALWAYS);
            entry.pending = false;
            if events == 0 {
                continue;
            }
            entry.disarmed = entry.events & libc::EPOLLONESHOT as u32 != 0;
            found.push(epoll_event {
                events,
                u64: entry.data,
            });
        }
        found
    }
}
