//! What is noted of packets that come: on which CPU, from how far.

use crate::socket::attribute::ExtraOpts;
use crate::socket::table::{Proto, Socket};
use crate::socket::{SocketId, State};
use crate::stack::Stack;

/// SO_INCOMING_CPU as read: nobody took notes for this socket before the option was first used anywhere.
pub(crate) fn incoming_cpu(stack: &Stack, socket: &Socket, opts: &ExtraOpts) -> i32 {
    let heard = match &socket.proto {
        Proto::Tcp(tcp) => {
            let tcb = tcp.tcb.as_deref();
            tcb.is_some_and(|tcb| tcb.state != State::SynSent)
        }
        Proto::Udp(udp) => udp.heard(),
        Proto::Raw(raw) => raw.inbox.heard(),
    };
    match opts.incoming_cpu {
        -1 if heard => stack.cpu,
        noted => noted,
    }
}

impl Stack {
    /// The stack runs on this CPU from here on; to be said before frames go in and out once [`Stack::cpu_matters`].
    pub fn on_cpu(&mut self, cpu: u32) {
        self.cpu = i32::try_from(cpu).unwrap_or(-1);
    }

    /// Whether any socket has SO_INCOMING_CPU.
    pub fn cpu_matters(&self) -> bool {
        self.cpu_matters
    }

    /// A packet has come for the socket: SO_INCOMING_CPU follows (sk_incoming_cpu_update), and its TTL or hop limit is what
    /// SCM_TIMESTAMPING_OPT_STATS tells. Nothing while nobody wants either.
    pub(crate) fn note_arrival(&mut self, id: SocketId, ttl: u8) {
        if self.arrivals_matter
            && let Some(socket) = self.sockets.get_mut(id)
            && let Some(extra) = socket.extra.as_deref_mut()
        {
            extra.last_ttl = ttl;
            if self.cpu_matters {
                extra.opts.incoming_cpu = self.cpu;
            }
        }
    }

    /// Whether the socket wants the packets of this CPU (reuseport_select_sock_by_hash).
    pub(crate) fn wants_cpu(&self, id: SocketId) -> bool {
        let opts = self.sockets.get(id).and_then(Socket::extra_opts);
        opts.is_some_and(|opts| opts.incoming_cpu == self.cpu)
    }
}
