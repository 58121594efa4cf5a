//! By which 4-tuple a segment finds its connection. The table keeps handles and hashes; the tuple itself stands with the connection,
//! which is looked at next anyway, so an entry takes 9 octets and not six times as many.

use hashbrown::HashTable;
use rand_chacha::ChaCha8Rng;

use super::connection;
use super::half_open::HalfOpenId;
use super::layer::TcpLayer;
use super::time_wait::TimeWaitId;
use super::tuple::Tuple;
use crate::keyed::KeyedState;
use crate::slab;
use crate::socket::SocketId;
use crate::socket::table::Sockets;
use crate::stack::Stack;

/// Where the segments of a 4-tuple go.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// A connection with a control block of its own.
    Conn(SocketId),
    /// A SYN that was answered.
    HalfOpen(HalfOpenId),
    /// A connection that is over.
    TimeWait(TimeWaitId),
}

#[derive(Copy, Clone, Debug)]
struct Entry {
    /// Of the tuple, so that growing looks at no connection.
    hash: u32,
    /// The kind in the upper two bits, below them the place in its slab. An entry goes before its place is given to another.
    place: u32,
}

const KIND_SHIFT: u32 = 30;
const PLACE: u32 = (1 << KIND_SHIFT) - 1;

/// An entry's second half.
fn pack(flow: Flow) -> u32 {
    let (kind, index) = match flow {
        Flow::Conn(id) => (0, slab::index(id)),
        Flow::HalfOpen(id) => (1, slab::index(id)),
        Flow::TimeWait(id) => (2, slab::index(id)),
    };
    kind << KIND_SHIFT | index & PLACE
}

/// Flows by the keyed hash of their 4-tuple.
pub(crate) struct Flows {
    table: HashTable<Entry>,
    key: KeyedState,
    /// Connections whose segments came last by the device, by their ports: most segments are for one of these. Each of them is in the table, and
    /// its local address one that segments from outside may come to.
    recent: Box<[Option<SocketId>; RECENT]>,
}

/// How many connections are remembered, a power of two.
const RECENT: usize = 256;

/// Where a connection is remembered.
fn place(tuple: &Tuple) -> usize {
    usize::from(tuple.local_port ^ tuple.remote_port) % RECENT
}

/// The table takes its place from the low bits and its tag from the high ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) | u64::from(hash) << 32
}

impl Flows {
    /// Without any.
    pub(crate) fn new(rng: &mut ChaCha8Rng) -> Flows {
        Flows {
            table: HashTable::new(),
            key: KeyedState::new(rng),
            recent: Box::new([None; RECENT]),
        }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    fn hash(&self, tuple: &Tuple) -> u32 {
        tuple.keyed(&self.key) as u32
    }

    /// Adds the flow of a tuple that has none. Whoever `flow` names must know its tuple.
    pub(crate) fn insert(&mut self, tuple: Tuple, flow: Flow) {
        let hash = self.hash(&tuple);
        let place = pack(flow);
        let entry = Entry { hash, place };
        self.table
            .insert_unique(spread(hash), entry, |entry| spread(entry.hash));
    }

    /// Takes a flow away.
    pub(crate) fn remove(&mut self, tuple: &Tuple, flow: Flow) {
        let hash = self.hash(tuple);
        if let Some(recent) = self.recent.get_mut(place(tuple)) {
            *recent = None;
        }
        let place = pack(flow);
        if let Ok(entry) = self
            .table
            .find_entry(spread(hash), |entry| entry.place == place)
        {
            entry.remove();
        }
    }
}

/// Where the segments of `tuple` go.
pub(crate) fn find(sockets: &Sockets, layer: &TcpLayer, tuple: &Tuple) -> Option<Flow> {
    let hash = layer.flows.hash(tuple);
    let mut found = None;
    layer.flows.table.find(spread(hash), |entry| {
        if entry.hash != hash {
            return false;
        }
        let index = entry.place & PLACE;
        let flow = match entry.place >> KIND_SHIFT {
            0 => sockets.at(index).and_then(|(id, socket)| {
                let tcb = socket.tcp()?.tcb.as_deref()?;
                Some((Flow::Conn(id), &tcb.tuple))
            }),
            1 => (layer.half_open.at(index)).map(|(id, entry)| (Flow::HalfOpen(id), &entry.tuple)),
            _ => (layer.time_wait.at(index)).map(|(id, tw)| (Flow::TimeWait(id), &tw.tuple)),
        };
        found = flow.filter(|(_, of)| *of == tuple).map(|(flow, _)| flow);
        found.is_some()
    });
    found
}

impl Stack {
    /// Where the segments of `tuple` go.
    pub(crate) fn flow(&self, tuple: &Tuple) -> Option<Flow> {
        find(&self.sockets, &self.tcp, tuple)
    }

    /// The connection of `tuple`, if its segments came of late.
    #[inline]
    pub(super) fn recent_flow(&self, tuple: &Tuple) -> Option<SocketId> {
        let id = self.tcp.flows.recent[place(tuple)]?;
        connection::tcb(self, id).filter(|tcb| tcb.tuple == *tuple)?;
        Some(id)
    }

    /// Where a segment goes that has come with `tuple`, by the device (or from ourselves: `local`) and for an address of ours. The next is likely
    /// to be for the same connection.
    pub(super) fn flow_of_segment(&mut self, tuple: &Tuple, local: bool) -> Option<Flow> {
        if let Some(id) = self.recent_flow(tuple) {
            return Some(Flow::Conn(id));
        }
        let flow = self.flow(tuple);
        if let Some(Flow::Conn(id)) = flow.filter(|_| !local) {
            self.tcp.flows.recent[place(tuple)] = Some(id);
        }
        flow
    }
}
