//! Explicit congestion notification (RFC 3168 6.1): a router's mark on a packet counts as a loss without being one.

use super::seq::SeqNum;
use super::tcb::Tcb;
use super::vars::AckDue;
use crate::config::Ecn;
use crate::time::Instant;
use crate::wire::tcp::{Flags, Header};

/// The two ECN bits of TOS or traffic class (RFC 3168 5).
pub(crate) const MASK: u8 = 3;
/// ECT(0).
const ECT0: u8 = 2;
/// Congestion experienced.
const CE: u8 = 3;

/// A connection's ECN state.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct EcnState {
    /// Our SYN asks for it.
    pub(crate) asks: bool,
    /// Both sides agreed.
    pub(crate) ok: bool,
    /// A packet with an ECN codepoint has arrived.
    pub(crate) seen: bool,
    /// A mark has arrived: every ACK says so until the peer's CWR (RFC 3168 6.1.3).
    echo: bool,
    /// The next new segment tells that the window was reduced (RFC 3168 6.1.2).
    pub(crate) cwr_due: bool,
    /// One reduction a round trip: not again before this is acknowledged.
    until: Option<SeqNum>,
}

impl EcnState {
    /// Of a connection whose SYN asks for ECN or not.
    pub(crate) fn new(asks: bool) -> EcnState {
        EcnState {
            asks,
            ..EcnState::default()
        }
    }
}

/// Whether a SYN asks for ECN and we agree (RFC 3168 6.1.1). A SYN that is itself ECN-capable is a misuse and gets none (Linux).
pub(crate) fn agrees(ecn: Ecn, syn: &Header, tos: u8) -> bool {
    ecn != Ecn::Off && syn.has(Flags::ECE) && syn.has(Flags::CWR) && tos & MASK == 0
}

impl Tcb {
    /// The SYN-ACK to a SYN that asked: ECE alone agrees (RFC 3168 6.1.1).
    pub(crate) fn ecn_answered(&mut self, h: &Header) {
        self.ecn.ok = self.ecn.asks && h.has(Flags::ECE) && !h.has(Flags::CWR);
    }

    /// Control bits for a SYN: asked for at first only; a network that drops such SYNs gets plain ones (RFC 3168 6.1.1.1).
    pub(crate) fn ecn_syn_flags(&mut self) -> Flags {
        self.ecn.asks &= self.timers.retries == 0;
        if self.ecn.asks {
            Flags::ECE | Flags::CWR
        } else {
            Flags::empty()
        }
    }

    /// ECN bits of the packet with a segment: text sent for the first time is ECN-capable, nothing else (RFC 3168 6.1.4, 6.1.5).
    pub(crate) fn ecn_bits(&self, seq: SeqNum, len: u32) -> u8 {
        if self.ecn.ok && len > 0 && seq == self.snd.max {
            ECT0
        } else {
            0
        }
    }

    /// ECE and CWR for a segment that is about to go; CWR goes once, with new text.
    pub(crate) fn ecn_flags(&mut self, seq: SeqNum, len: u32) -> Flags {
        let mut flags = Flags::empty();
        if self.ecn.ok {
            flags.set(Flags::ECE, self.ecn.echo);
            if self.ecn.cwr_due && len > 0 && seq == self.snd.max {
                self.ecn.cwr_due = false;
                flags |= Flags::CWR;
            }
        }
        flags
    }

    /// A segment with text has arrived (RFC 3168 6.1.3).
    pub(crate) fn ecn_received(&mut self, h: &Header, tos: u8) {
        if !self.ecn.ok {
            return;
        }
        if h.has(Flags::CWR) {
            self.ecn.echo = false;
        }
        self.ecn.seen |= tos & MASK != 0;
        if tos & MASK == CE {
            self.ecn.echo = true;
            self.rcv.ack = AckDue::Now;
        }
    }

    /// Whether an ACK says that a mark has arrived for which the window has to come down (RFC 3168 6.1.2): once a round trip. Nothing is
    /// sent again.
    pub(crate) fn marked(&mut self, now: Instant, h: &Header) -> bool {
        let again = |until: SeqNum| self.snd.una.before_eq(until);
        if !self.ecn.ok || !h.has(Flags::ECE) || self.ecn.until.is_some_and(again) {
            return false;
        }
        self.ecn.until = Some(self.snd.nxt);
        self.ecn.cwr_due = true;
        !self.cc.on_mark(now)
    }
}
