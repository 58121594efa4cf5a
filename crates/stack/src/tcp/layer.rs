//! What all TCP sockets of a stack share, and the TCP part of one socket.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::IpAddr;

use rand_chacha::ChaCha8Rng;
use smallvec::SmallVec;

use super::bytes::Pool;
use super::fastopen::{FastOpenLayer, FastOpenSettings};
use super::flows::Flows;
use super::gather::Gathering;
use super::half_open::{HalfOpen, HalfOpenId};
use super::listener::Listener;
use super::memory::Refused;
use super::options::SharedTuning;
use super::seq::SeqNum;
use super::tcb::Tcb;
use super::time_wait::{TimeWait, TimeWaitId};
use super::timers::SYN_ACK_RETRIES;
use super::tuple::Tuple;
use crate::config::{Config, FastOpenKeys};
use crate::fifo::Fifo;
use crate::keyed::{KeyedMap, KeyedState};
use crate::slab::Slab;
use crate::socket::{SocketId, State};
use crate::time::{Instant, earliest};

/// What all TCP sockets of a stack share.
pub(crate) struct TcpLayer {
    /// Connections by 4-tuple.
    pub(crate) flows: Flows,
    /// Listeners by bound address (or a family's wildcard) and port; several with SO_REUSEPORT.
    pub(crate) listeners: KeyedMap<(IpAddr, u16), SmallVec<[SocketId; 1]>>,
    /// The SYN queues of all listeners.
    pub(crate) half_open: Slab<HalfOpenId, HalfOpen>,
    /// The same in order of the next SYN-ACK, by how many were sent again: who waits as often waits as long.
    pub(crate) half_open_due: [Fifo; SYN_ACK_RETRIES as usize + 1],
    /// TIME-WAIT remnants.
    pub(crate) time_wait: Slab<TimeWaitId, TimeWait>,
    /// The same in order of their ends: all wait equally long.
    pub(crate) time_wait_ends: Fifo,
    /// Sockets that may have something to send.
    pub(crate) tx: VecDeque<SocketId>,
    /// Sockets whose writes were refused for want of memory.
    pub(crate) refused: Refused,
    /// Memory of all buffers.
    pub(crate) pool: Pool,
    /// Closed connections that still have octets or a FIN to deliver.
    pub(crate) undelivered: usize,
    /// Who writes without a pause.
    pub(crate) gathering: Gathering,
    /// Fast Open's keys and what is remembered of servers.
    pub(crate) fast_open: FastOpenLayer,
    deadlines: BinaryHeap<Reverse<(Instant, SocketId)>>,
    secret: KeyedState,
    /// Every segment takes the general path: what prediction is held against.
    #[cfg(test)]
    pub(crate) predicts_nothing: bool,
    /// Segments that did not.
    #[cfg(test)]
    pub(crate) predicted: usize,
}

impl TcpLayer {
    /// With nothing in it.
    pub(crate) fn new(config: &Config, rng: &mut ChaCha8Rng) -> TcpLayer {
        let (flows, listeners) = (Flows::new(rng), KeyedState::map(rng));
        let secret = KeyedState::new(rng);
        TcpLayer {
            flows,
            listeners,
            half_open: Slab::default(),
            time_wait: Slab::default(),
            time_wait_ends: Fifo::default(),
            half_open_due: Default::default(),
            tx: VecDeque::new(),
            refused: Refused::default(),
            pool: Pool::new(config.tcp_mem),
            undelivered: 0,
            gathering: Gathering::default(),
            deadlines: BinaryHeap::new(),
            fast_open: FastOpenLayer::new(config, secret),
            secret,
            #[cfg(test)]
            predicts_nothing: false,
            #[cfg(test)]
            predicted: 0,
        }
    }

    /// Other keys for Fast Open.
    pub(crate) fn retune_keys(&mut self, keys: FastOpenKeys) {
        self.fast_open.set_keys(keys);
    }

    /// Where a connection's numbers begin: its ISN, a clock of 4 microseconds and a keyed hash of the 4-tuple (RFC 6528 3), and its
    /// [`TcpLayer::ts_offset`]. The hash's halves say nothing of each other.
    pub(crate) fn beginnings(&self, tuple: &Tuple, now: Instant) -> (SeqNum, u32) {
        let clock = (now.as_micros() / 4) as u32;
        let hash = tuple.keyed_for(0, &self.secret);
        (
            SeqNum::new(clock.wrapping_add(hash as u32)),
            (hash >> 32) as u32,
        )
    }

    /// RFC 7323 5.4: timestamps start anywhere.
    pub(crate) fn ts_offset(&self, tuple: &Tuple) -> u32 {
        (tuple.keyed_for(0, &self.secret) >> 32) as u32
    }

    /// A keyed proof that we said something (SYN cookies).
    pub(crate) fn proof(&self, what: &impl std::hash::Hash) -> u64 {
        self.secret.hash(&(3u8, what))
    }

    /// A keyed number by which a tuple is given to one of several listeners.
    pub(crate) fn spread(&self, tuple: &Tuple) -> usize {
        tuple.keyed_for(2, &self.secret) as usize
    }

    /// Whether no socket has anything to send, and none waits for memory that another has given back.
    pub(crate) fn is_silent(&self) -> bool {
        self.tx.is_empty() && self.refused.is_empty()
    }

    /// Arms a connection's deadline. There is no disarming: who finds himself called early arms again.
    pub(crate) fn arm(&mut self, at: Instant, id: SocketId) {
        self.deadlines.push(Reverse((at, id)));
    }

    /// The next deadline that is due at `now`, with the time it was armed for.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, SocketId)> {
        let Reverse((at, _)) = self.deadlines.peek()?;
        if *at > now {
            return None;
        }
        let due = self.deadlines.pop().map(|Reverse(due)| due);
        // What many connections needed once is given back when few do.
        if self.deadlines.len() < self.deadlines.capacity() / 8 {
            self.deadlines.shrink_to(1024.max(2 * self.deadlines.len()));
        }
        due
    }

    /// Deadlines in the heap, those that mean nothing any more included.
    pub(crate) fn deadlines_armed(&self) -> usize {
        self.deadlines.len()
    }

    /// Keeps the deadlines of which `live` is true.
    pub(crate) fn retain_deadlines(&mut self, mut live: impl FnMut(Instant, SocketId) -> bool) {
        self.deadlines.retain(|Reverse((at, id))| live(*at, *id));
        self.deadlines.shrink_to(1024.max(2 * self.deadlines.len()));
    }

    /// TIME-WAIT remnants that hold their port.
    pub(crate) fn time_wait_holds(&self) -> usize {
        self.time_wait.values().filter(|tw| tw.holds()).count()
    }

    /// The earliest deadline of anybody.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let armed = self.deadlines.peek().map(|Reverse((at, _))| *at);
        let ends = self.time_wait_ends.front(&self.time_wait);
        let ends = ends.map(|(_, tw)| tw.ends());
        if self.half_open.len() == 0 {
            return earliest([armed, ends, self.gathering.deadline()]);
        }
        let again = (self.half_open_due.iter())
            .filter_map(|queue| queue.front(&self.half_open))
            .map(|(_, entry)| entry.due());
        earliest([armed, ends, again.min(), self.gathering.deadline()])
    }
}

impl std::fmt::Debug for TcpLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpLayer")
            .field("flows", &self.flows.len())
            .finish_non_exhaustive()
    }
}

/// What connect(2) has come to (the kernel's `socket->state`): apart from the TCP state, for a connection may be over and still
/// have to be reported.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Link {
    /// connect may be called.
    #[default]
    Unconnected,
    /// connect was called and its outcome is not reported.
    Connecting,
    /// connected, or it was.
    Connected,
    /// shutdown was called before connect told its outcome: only AF_UNSPEC leads out of that (inet_shutdown, SS_DISCONNECTING).
    Disconnecting,
}

/// The TCP part of a socket.
#[derive(Default)]
pub(crate) struct TcpSocket {
    /// The connection, also after its end while there is something to read.
    pub(crate) tcb: Option<Box<Tcb>>,
    /// The listener's part.
    pub(crate) listener: Option<Box<Listener>>,
    /// Options as set.
    pub(crate) tuning: SharedTuning,
    /// Fast Open's options, where any was set.
    pub(crate) fast_open: Option<Box<FastOpenSettings>>,
    /// What connect has come to.
    pub(crate) link: Link,
    /// SHUT_RD, or the peer's FIN (sk_shutdown & RCV_SHUTDOWN).
    pub(crate) shut_rd: bool,
    /// SHUT_WR, or the connection's end (sk_shutdown & SEND_SHUTDOWN).
    pub(crate) shut_wr: bool,
    /// The peer's FIN was reached: reading ends with 0 whatever happens later (SOCK_DONE).
    pub(crate) done: bool,
    /// Closed by the program: it goes when TCP is through.
    pub(crate) orphan: bool,
    /// A closing call waits for the end: the handle stays until `release`.
    pub(crate) lingering: bool,
    /// It counts in `TcpLayer::undelivered`.
    pub(crate) undelivered: bool,
    /// It is in `TcpLayer::tx`.
    pub(crate) queued: bool,
    /// The deadline that is armed for it.
    pub(crate) armed: Option<Instant>,
}

impl TcpSocket {
    /// A fresh one.
    pub(crate) fn new(_config: &Config) -> TcpSocket {
        TcpSocket::default()
    }

    /// It was never connected, or has told how that ended (Linux: SS_UNCONNECTED in TCP_CLOSE).
    pub(crate) fn is_fresh(&self) -> bool {
        (self.link, self.state()) == (Link::Unconnected, State::Closed)
    }

    /// The RFC's state.
    pub(crate) fn state(&self) -> State {
        match (&self.listener, &self.tcb) {
            (Some(_), _) => State::Listen,
            (None, Some(tcb)) => tcb.state,
            (None, None) => State::Closed,
        }
    }
}

impl std::fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpSocket")
            .field("state", &self.state())
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}
