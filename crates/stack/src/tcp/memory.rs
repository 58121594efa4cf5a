//! How much memory the buffers of all connections hold together, and what happens when it becomes scarce (Linux: tcp_mem).
//!
//! Above the second of three marks memory is under pressure until it is below the first again: buffers grow no further and windows open
//! no wider than a few segments, but what was promised to a peer stays promised (MUST-34). The third mark is never passed. Shortly
//! before it only queues that are empty take anything, and at last only those that receive, so that connections still get on: a write
//! waits until there is room, a segment is dropped, after what its own connection holds out of order, and comes again.

use super::bytes::{CHUNK, Pool};
use super::data;
use super::tcb::Tcb;
use crate::socket::{Ready, SocketId};
use crate::stack::Stack;

/// Of the third mark this share is for queues that are empty, and half of that for those that receive: what they take is what frees
/// the memory of those that send.
const RESERVE: usize = 4;
/// Segments that a window opens to under pressure (Linux: tcp_adjust_rcv_ssthresh).
const PRESSED_SEGMENTS: u32 = 4;

/// Who asks for memory.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    /// A queue that holds something: for a receiver, something to read.
    Filled,
    /// An empty send queue.
    Writing,
    /// An empty receive queue.
    Receiving,
}

/// What is held, in chunks.
#[derive(Debug)]
pub(crate) struct Account {
    in_use: usize,
    most: usize,
    /// Pressure ends below the first and begins above the second mark.
    marks: [usize; 2],
    high: usize,
    pressed: bool,
}

impl Default for Account {
    /// Without limits.
    fn default() -> Account {
        Account::new([usize::MAX; 3])
    }
}

impl Account {
    /// With three marks in octets, of whole chunks.
    pub(crate) fn new([low, pressure, high]: [usize; 3]) -> Account {
        Account {
            in_use: 0,
            most: 0,
            marks: [low / CHUNK, pressure / CHUNK],
            high: high / CHUNK,
            pressed: false,
        }
    }

    /// So many chunks more, or as much otherwise.
    pub(crate) fn take_many(&mut self, chunks: usize) {
        self.in_use += chunks;
        self.most = self.most.max(self.in_use);
        self.pressed |= self.in_use > self.marks[1];
    }

    /// So many chunks less.
    pub(crate) fn give_many(&mut self, chunks: usize) {
        self.in_use = self.in_use.saturating_sub(chunks);
        self.pressed &= self.in_use >= self.marks[0];
    }

    /// Chunks held by queues.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use
    }

    /// Chunks that there may be.
    pub(crate) fn high(&self) -> usize {
        self.high
    }

    /// Memory is scarce.
    pub(crate) fn pressed(&self) -> bool {
        self.pressed
    }

    /// Octets that a queue may take in now, wherever in a chunk they begin.
    pub(crate) fn room(&self, whose: Whose) -> usize {
        let reserve = self.high / RESERVE;
        let high = match whose {
            Whose::Filled => self.high - reserve,
            Whose::Writing => self.high - reserve / 2,
            Whose::Receiving => self.high,
        };
        let free = high.saturating_sub(self.in_use);
        free.saturating_sub(1).saturating_mul(CHUNK)
    }

    /// Checks that no more was ever held than may be.
    pub(crate) fn audit(&self) -> Result<(), String> {
        match self.most > self.high {
            true => Err(format!("{} chunks held, {} allowed", self.most, self.high)),
            false => Ok(()),
        }
    }
}

impl Tcb {
    /// How many of `len` octets from the network there is memory for, if need be at the price of what lies out of order, which the peer
    /// keeps until it is acknowledged (RFC 2018 8; Linux: tcp_prune_queue). The others are to be dropped.
    pub(crate) fn admit(&mut self, pool: &mut Pool, len: usize, in_order: bool) -> usize {
        // Least is left for queues that hold something.
        if len <= pool.account.room(Whose::Filled) {
            return len;
        }
        let room = |tcb: &Tcb, pool: &Pool| {
            // An urgent octet that its program leaves at the mark is nothing that it could read and so make room.
            let empty = data::in_stream(tcb) == 0 && tcb.rcv.assembler.is_empty();
            let whose = match empty && in_order {
                true => Whose::Receiving,
                false => Whose::Filled,
            };
            pool.account.room(whose)
        };
        let free = room(self, pool);
        if free >= len || !in_order || self.rcv.assembler.is_empty() {
            return len.min(free);
        }
        self.rcv.assembler.clear();
        self.rcv.queue.forget_unreadable(pool);
        len.min(room(self, pool))
    }

    /// How far a window may open, octets.
    pub(crate) fn window_limit(&self) -> u32 {
        match self.rcv.pressed {
            true => PRESSED_SEGMENTS * u32::from(self.syn.mss),
            false => u32::MAX,
        }
    }
}

/// Sockets whose writes were refused for want of memory, by the room in the account that they wait for to be exceeded.
#[derive(Default)]
pub(crate) struct Refused {
    /// Those that wait for any.
    any: Vec<SocketId>,
    /// Those that take large chunks, and how large these are.
    large: (Vec<SocketId>, usize),
}

impl Refused {
    /// One more, of a queue with this [`Pool::least_room`].
    pub(crate) fn push(&mut self, id: SocketId, least_room: usize) {
        if least_room == 0 {
            self.any.push(id);
        } else {
            self.large.0.push(id);
            self.large.1 = least_room;
        }
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.any.is_empty() && self.large.0.is_empty()
    }

    /// Those for whom there is `room`.
    fn take(&mut self, room: usize) -> (Vec<SocketId>, Vec<SocketId>) {
        let mut served = (Vec::new(), Vec::new());
        if room > 0 {
            served.0 = std::mem::take(&mut self.any);
        }
        if room > self.large.1 {
            served.1 = std::mem::take(&mut self.large.0);
        }
        served
    }
}

/// Memory has been given back: those whose writes were refused for want of it are told, as far as there is any.
pub(super) fn wake(stack: &mut Stack) {
    if stack.tcp.refused.is_empty() {
        return;
    }
    let room = stack.tcp.pool.account.room(Whose::Filled);
    let (any, large) = stack.tcp.refused.take(room);
    for id in any.into_iter().chain(large) {
        if clear(stack, id) {
            stack.notify(id, Ready::OUT);
        }
    }
}

fn clear(stack: &mut Stack, id: SocketId) -> bool {
    let tcb = super::connection::tcb_mut(&mut stack.sockets, id);
    tcb.is_some_and(|tcb| std::mem::take(&mut tcb.snd.refused))
}
