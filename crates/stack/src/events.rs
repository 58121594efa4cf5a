//! Readiness changes on their way to the owner: each socket stands in the queue at most once, with the bits gathered.

use std::collections::VecDeque;

use slotmap::SecondaryMap;

use crate::socket::{Ready, SocketId};
use crate::stack::Stack;

/// Sockets whose waiters are to be woken.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    pending: SecondaryMap<SocketId, Ready>,
    queue: VecDeque<SocketId>,
}

impl EventQueue {
    /// Adds `what` to what `id`'s waiters are told.
    pub(crate) fn push(&mut self, id: SocketId, what: Ready) {
        if what.is_empty() {
            return;
        }
        match self.pending.get_mut(id) {
            Some(bits) if !bits.is_empty() => *bits |= what,
            Some(bits) => {
                *bits = what;
                self.queue.push_back(id);
            }
            None => {
                // A stale key is refused by the map; then nobody is queued either.
                if self.pending.insert(id, what).is_none() && self.pending.contains_key(id) {
                    self.queue.push_back(id);
                }
            }
        }
    }

    /// The next socket and what happened to it.
    pub(crate) fn pop(&mut self) -> Option<(SocketId, Ready)> {
        while let Some(id) = self.queue.pop_front() {
            if let Some(bits) = self.pending.get_mut(id)
                && !bits.is_empty()
            {
                return Some((id, std::mem::take(bits)));
            }
        }
        None
    }

    /// Drops what is pending for a handle that ceases to exist.
    pub(crate) fn forget(&mut self, id: SocketId) {
        self.pending.remove(id);
    }
}

impl Stack {
    /// Tells `id`'s waiters that `what` happened (edge: also when the bits were set before).
    pub(crate) fn notify(&mut self, id: SocketId, what: Ready) {
        self.events.push(id, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    #[test]
    fn bits_gather_and_each_socket_is_queued_once() {
        let mut ids: SlotMap<SocketId, ()> = SlotMap::with_key();
        let (a, b) = (ids.insert(()), ids.insert(()));
        let mut queue = EventQueue::default();
        queue.push(a, Ready::IN);
        queue.push(b, Ready::OUT);
        queue.push(a, Ready::HUP);
        assert_eq!(queue.pop(), Some((a, Ready::IN | Ready::HUP)));
        queue.push(a, Ready::IN);
        queue.forget(b);
        assert_eq!(queue.pop(), Some((a, Ready::IN)));
        assert_eq!(queue.pop(), None);
    }
}
