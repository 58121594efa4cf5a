//! What was lost and what is sent again: duplicate acknowledgements, fast retransmit and NewReno's recovery
//! (RFC 5681 3.2, RFC 6582), limited transmit (RFC 3042), and the retransmission timer's consequences (RFC 6298 5).
//!
//! This is the one place that decides about loss; `output.rs` asks what to send, `congestion/` how much.

use super::seq::SeqNum;
use super::tcb::Tcb;

/// Duplicate acknowledgements that mean a loss (RFC 5681 3.2).
const DUP_THRESH: u32 = 3;

/// Where loss recovery stands.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Phase {
    /// Nothing is known to be lost.
    #[default]
    Open,
    /// Fast recovery until `recover` is acknowledged.
    Fast,
    /// After a time-out, until `recover` is acknowledged.
    Loss,
}

/// Loss recovery's variables.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Recovery {
    /// Where it stands.
    pub(crate) phase: Phase,
    /// Duplicate acknowledgements in a row.
    dup_acks: u32,
    /// RFC 6582's `recover`: highest sequence number sent when the loss was found.
    recover: Option<SeqNum>,
    /// The segment at SND.UNA is to be sent again at once.
    pub(crate) resend_una: bool,
    /// Octets by which duplicate acknowledgements widen the window: those octets have left the network.
    inflation: u32,
}

impl Tcb {
    /// What may be in flight, octets: cwnd and what duplicate acknowledgements add to it.
    pub(crate) fn flight_allowance(&self) -> u32 {
        self.cc.cwnd().saturating_add(self.recovery.inflation)
    }

    /// A duplicate acknowledgement has arrived (RFC 5681 2). `segments`: what the peer received, as far as one ACK tells.
    pub(crate) fn on_dup_ack(&mut self) {
        let mss = self.snd.mss;
        let recovery = &mut self.recovery;
        recovery.dup_acks = recovery.dup_acks.saturating_add(1);
        match recovery.phase {
            // RFC 5681 3.2 step 4.
            Phase::Fast => recovery.inflation = recovery.inflation.saturating_add(mss),
            Phase::Loss => {}
            Phase::Open if recovery.dup_acks < DUP_THRESH => {
                // RFC 3042: one new segment for each of the first two.
                recovery.inflation = recovery.dup_acks * mss;
            }
            Phase::Open => {
                // RFC 6582 3.2 step 1: not for a loss that the last recovery has dealt with already.
                if recovery
                    .recover
                    .is_some_and(|recover| self.snd.una.before_eq(recover))
                {
                    recovery.inflation = 0;
                    return;
                }
                self.enter_fast_recovery();
            }
        }
    }

    fn enter_fast_recovery(&mut self) {
        self.cc.on_loss(self.snd.flight());
        self.snd.timed = None;
        self.recovery.phase = Phase::Fast;
        self.recovery.recover = Some(self.snd.max);
        self.recovery.resend_una = true;
        // RFC 5681 3.2 step 3: three segments have left the network.
        self.recovery.inflation = DUP_THRESH * self.snd.mss;
    }

    /// `acked` new octets were acknowledged and SND.UNA has moved.
    pub(crate) fn on_new_ack(&mut self, acked: u32) {
        let flight = self.snd.flight();
        let limited = self.snd.cwnd_limited;
        let through = self
            .recovery
            .recover
            .is_none_or(|recover| self.snd.una.after_eq(recover));
        let recovery = &mut self.recovery;
        recovery.dup_acks = 0;
        match recovery.phase {
            Phase::Open => {
                recovery.inflation = 0;
                if through {
                    recovery.recover = None;
                }
                self.cc.on_ack(acked, limited);
            }
            Phase::Fast if through => {
                recovery.phase = Phase::Open;
                recovery.inflation = 0;
                self.cc.on_recovered(flight);
            }
            Phase::Fast => {
                // RFC 6582 3.2 step 3, partial acknowledgement: the next hole is at SND.UNA.
                recovery.resend_una = true;
                recovery.inflation = recovery.inflation.saturating_sub(acked);
                if acked >= self.snd.mss {
                    recovery.inflation = recovery.inflation.saturating_add(self.snd.mss);
                }
            }
            Phase::Loss => {
                if through {
                    recovery.phase = Phase::Open;
                    recovery.recover = None;
                }
                self.cc.on_ack(acked, true);
            }
        }
    }

    /// The retransmission timer has run out: everything from SND.UNA on is sent again as the window allows (RFC 6298 5.4 to 5.6).
    pub(crate) fn on_retransmission_timeout(&mut self) {
        let first = self.timers.retries == 0;
        self.cc.on_timeout(self.snd.flight(), first);
        self.snd.timed = None;
        self.recovery = Recovery {
            phase: Phase::Loss,
            recover: Some(self.snd.max),
            ..Recovery::default()
        };
        self.snd.nxt = self.snd.una;
    }

    /// No loss is being recovered from.
    pub(crate) fn recovery_open(&self) -> bool {
        self.recovery.phase == Phase::Open
    }
}
