//! Congestion control: how much may be in flight. One small trait, one file an algorithm; what is lost, and how much is sent
//! while it is being repaired, is decided elsewhere (`tcp/recovery.rs`, `tcp/prr.rs`).

mod cubic;
mod hystart;
mod newreno;

use std::time::Duration;

use cubic::Cubic;
use newreno::NewReno;

use super::seq::SeqNum;
use crate::config::CongestionControl;
use crate::time::Instant;

/// An acknowledgement outside fast recovery.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Ack {
    /// When it arrived.
    pub(crate) now: Instant,
    /// Octets newly acknowledged.
    pub(crate) acked: u32,
    /// Round-trip time of octets sent once.
    pub(crate) rtt: Option<Duration>,
    /// SND.UNA after it.
    pub(crate) una: SeqNum,
    /// SND.NXT.
    pub(crate) nxt: SeqNum,
    /// The congestion window, not the program, bounded what was in flight (RFC 7661's point: an unused window proves nothing).
    pub(crate) limited: bool,
}

/// An algorithm's view of a connection. All amounts are octets.
pub(crate) trait Congestion: Send {
    /// The congestion window.
    fn cwnd(&self) -> u32;
    /// The slow-start threshold.
    fn ssthresh(&self) -> u32;
    /// Recovery dictates the window (PRR, the end of recovery).
    fn set_cwnd(&mut self, cwnd: u32);
    /// An acknowledgement outside fast recovery.
    fn on_ack(&mut self, ack: &Ack);
    /// Fast recovery begins with `flight` octets in flight: sets ssthresh; the window comes down by PRR.
    fn on_loss(&mut self, now: Instant, flight: u32);
    /// The retransmission timer ran out with `flight` octets in flight; `first` for a segment's first time-out (RFC 5681 3.1).
    fn on_timeout(&mut self, now: Instant, flight: u32, first: bool);
    /// The last reduction was needless: these were the values before it (RFC 4015).
    fn undo(&mut self, cwnd: u32, ssthresh: u32);
    /// Begins with the window and the threshold of another algorithm.
    fn take_over(&mut self, cwnd: u32, ssthresh: u32);
    /// Nothing was sent for longer than an RTO (RFC 5681 4.1).
    fn on_idle_restart(&mut self);
    /// The segment size changed to `mss`.
    fn set_mss(&mut self, mss: u32);
}

/// RFC 6928: the initial window for a segment size, octets.
pub(crate) fn initial_window(mss: u32) -> u32 {
    10 * mss
}

/// The algorithm `which` for segments of `mss` octets.
pub(crate) fn new(which: CongestionControl, mss: u32) -> Box<dyn Congestion> {
    match which {
        CongestionControl::Cubic => Box::new(Cubic::new(mss)),
        CongestionControl::Reno => Box::new(NewReno::new(mss)),
    }
}
