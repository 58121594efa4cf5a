//! Readiness changes on their way to the owner: each socket stands in the queue at most once, with the bits gathered in itself.

use std::collections::VecDeque;

use crate::socket::{Ready, SocketId};
use crate::stack::Stack;

/// Sockets whose waiters are to be woken.
pub(crate) type EventQueue = VecDeque<SocketId>;

impl Stack {
    /// Tells `id`'s waiters that `what` happened (edge: also when the bits were set before).
    pub(crate) fn notify(&mut self, id: SocketId, what: Ready) {
        if what.is_empty() {
            return;
        }
        if let Some(socket) = self.sockets.get_mut(id) {
            if socket.events.is_empty() {
                self.events.push_back(id);
            }
            socket.events |= what;
        }
    }

    /// The next socket whose waiters are to be woken, with what happened since it was last returned: the bits that a
    /// wake-up of the kernel would carry (an arrival gives `IN` even if the socket was readable before).
    pub fn poll_event(&mut self) -> Option<(SocketId, Ready)> {
        while let Some(id) = self.events.pop_front() {
            // One that has gone since has nobody to be woken.
            if let Some(socket) = self.sockets.get_mut(id) {
                return Some((id, std::mem::take(&mut socket.events)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Domain, Instant, Kind, Ready, Stack};

    #[test]
    fn bits_gather_and_each_socket_is_queued_once() {
        let mut stack = Stack::new(Config::default(), Instant::ZERO);
        let mut socket = || stack.socket(Domain::V4, Kind::Stream).unwrap();
        let (a, b) = (socket(), socket());
        stack.notify(a, Ready::IN);
        stack.notify(b, Ready::OUT);
        stack.notify(a, Ready::HUP);
        assert_eq!(stack.poll_event(), Some((a, Ready::IN | Ready::HUP)));
        stack.notify(a, Ready::IN);
        stack.forget(b);
        assert_eq!(stack.poll_event(), Some((a, Ready::IN)));
        assert_eq!(stack.poll_event(), None);
    }
}
