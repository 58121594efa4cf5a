//! A stack's own bookkeeping checked against itself: what simulations ask after a step. It changes nothing.

use crate::socket::Kind;
use crate::stack::Stack;
use crate::tcp::CHUNK;

/// How much of everything a stack holds now.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Sockets of every kind, closed ones that still have to deliver included.
    pub sockets: usize,
    /// 4-tuples that lead somewhere.
    pub flows: usize,
    /// Passive opens that wait for their ACK.
    pub half_open: usize,
    /// TIME-WAIT remnants.
    pub time_wait: usize,
    /// Buffer chunks that queues hold.
    pub chunks: usize,
    /// Octets that these chunks are.
    pub memory: usize,
    /// Holds on ports.
    pub ports: usize,
    /// Groups that a socket is in, or that are still being left.
    pub groups: usize,
    /// Deadlines of TCP, those included that mean nothing any more.
    pub deadlines: usize,
}

impl Census {
    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        *self == Census::default()
    }
}

impl Stack {
    /// What the stack holds.
    pub fn census(&self) -> Census {
        Census {
            sockets: self.sockets.len(),
            flows: self.tcp.flows.len(),
            half_open: self.tcp.half_open.len(),
            time_wait: self.tcp.time_wait.len(),
            chunks: self.tcp.pool.in_use(),
            memory: self.tcp.pool.in_use() * CHUNK,
            ports: self.ports.holds_count(),
            groups: self.multicast.groups(),
            deadlines: self.tcp.deadlines_armed()
                + self.tcp.half_open.len()
                + self.tcp.time_wait.len(),
        }
    }

    /// Checks every invariant of the stack's state; the first that does not hold, in words. To be called when nothing waits
    /// for [`Stack::transmit`]. Its cost grows with the number of sockets: for tests.
    pub fn audit(&self) -> Result<(), String> {
        self.audit_tcp()?;
        for (id, socket) in self.sockets.iter() {
            let bound =
                socket.kind() == Kind::Datagram && socket.local().is_some_and(|l| l.port() != 0);
            if bound && !self.ports.holds(id) {
                return Err(format!(
                    "{id:?}: bound to {:?} without holding the port",
                    socket.local()
                ));
            }
        }
        self.ports.audit(&self.sockets, self.tcp.time_wait_holds())
    }
}
