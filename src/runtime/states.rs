//! `--log debug`: how the states of connections and listeners change.

use std::net::SocketAddr;

use hashbrown::HashMap;
use tunsock_stack::{Kind, Stack, State};

use super::log::{Level, enabled, log};

/// The states that were told last, by local and peer address. Stays empty while nobody wants to know.
#[derive(Default)]
pub(super) struct States {
    told: HashMap<(SocketAddr, SocketAddr), State>,
}

impl States {
    /// Tells what has changed since the last time: a walk over every socket, so only when asked for. States that were passed
    /// in between are not told.
    #[inline]
    pub(super) fn tell(&mut self, stack: &Stack) {
        if enabled(Level::Debug) {
            self.changes(stack, &mut |(local, peer), before, after| {
                log(
                    Level::Debug,
                    format_args!("tcp {local} {peer}: {before} → {after}"),
                );
            });
        }
    }

    fn changes(
        &mut self,
        stack: &Stack,
        tell: &mut dyn FnMut((SocketAddr, SocketAddr), State, State),
    ) {
        let mut now = HashMap::new();
        for info in stack.sockets() {
            if info.kind == Kind::Stream && info.state != State::Closed {
                now.insert((info.local, info.peer), info.state);
            }
        }
        for (&key, &after) in &now {
            let before = self.told.get(&key).copied().unwrap_or(State::Closed);
            if before != after {
                tell(key, before, after);
            }
        }
        for (&key, &before) in &self.told {
            if !now.contains_key(&key) {
                tell(key, before, State::Closed);
            }
        }
        self.told = now;
    }
}

#[cfg(test)]
mod tests {
    use tunsock_stack::{Config, Domain, Instant};

    use super::*;

    #[test]
    fn a_listener_comes_and_goes() {
        let now = Instant::from_micros(1);
        let mut stack = Stack::new(Config::default(), now);
        let mut states = States::default();
        let mut heard = Vec::new();
        let mut listen = |stack: &Stack| {
            states.changes(stack, &mut |key, before, after| {
                heard.push(format!("{} {} {before} {after}", key.0, key.1));
            });
        };
        let id = stack.socket(Domain::V4, Kind::Stream).unwrap();
        listen(&stack);
        stack.bind(id, "127.0.0.1:7".parse().unwrap()).unwrap();
        stack.listen(now, id, 1).unwrap();
        listen(&stack);
        listen(&stack);
        stack.close(now, id);
        listen(&stack);
        assert_eq!(
            heard,
            [
                "127.0.0.1:7 0.0.0.0:0 CLOSED LISTEN",
                "127.0.0.1:7 0.0.0.0:0 LISTEN CLOSED"
            ]
        );
    }
}
