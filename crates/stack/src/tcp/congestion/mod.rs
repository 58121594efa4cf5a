//! Congestion control: how much may be in flight. One small trait, one file an algorithm; what is lost, and how much is sent
//! while it is being repaired, is decided elsewhere (`tcp/recovery.rs`, `tcp/prr.rs`).

mod bbr;
mod cubic;
mod hystart;
mod newreno;

use std::time::Duration;

use bbr::Bbr;
use cubic::Cubic;
use newreno::NewReno;

use super::seq::SeqNum;
use crate::config::CongestionControl;
use crate::socket::BbrInfo;
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

/// What an acknowledgement that tells of something new says of the path (the RS of draft-ietf-ccwg-bbr 2.3), in recovery too.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Sample {
    /// When it arrived.
    pub(crate) now: Instant,
    /// Octets that it newly acknowledged or SACKed.
    pub(crate) acked: u32,
    /// Octets newly taken for lost.
    pub(crate) newly_lost: u32,
    /// Round-trip time of octets sent once.
    pub(crate) rtt: Option<Duration>,
    /// Octets delivered since the newest of them went ...
    pub(crate) delivered: u32,
    /// ... in this time; `None` when it is too short for a rate.
    pub(crate) interval: Option<Duration>,
    /// Octets delivered, ever, when the newest of them went.
    pub(crate) prior_delivered: u64,
    /// Octets delivered, ever.
    pub(crate) total_delivered: u64,
    /// Octets taken for lost since the newest of them went.
    pub(crate) lost: u32,
    /// Octets in flight when it had gone.
    pub(crate) tx_in_flight: u32,
    /// The program, not the network, may have been the limit.
    pub(crate) app_limited: bool,
    /// Octets in flight now.
    pub(crate) in_flight: u32,
    /// The window was used wholly in the last round trip.
    pub(crate) cwnd_limited: bool,
    /// The peer sends SACK blocks.
    pub(crate) sack: bool,
    /// Fast recovery is on.
    pub(crate) recovering: bool,
}

/// Octets that are taken for lost.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Lost {
    /// When that was found.
    pub(crate) now: Instant,
    /// First sequence number.
    pub(crate) start: SeqNum,
    /// How many.
    pub(crate) len: u32,
    /// Octets in flight when they had gone.
    pub(crate) tx_in_flight: u32,
    /// Octets taken for lost since, these included.
    pub(crate) lost: u32,
    /// The program may have been the limit when they went.
    pub(crate) app_limited: bool,
    /// The peer sends SACK blocks.
    pub(crate) sack: bool,
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
    /// Nothing is out and nothing to send: what the next octets are not held against may go.
    fn rest(&mut self) {}
    /// The segment size changed to `mss`.
    fn set_mss(&mut self, mss: u32);

    // What follows matters to algorithms that model the path; others leave it as it is.

    /// It sets the window from its model in recovery too: no PRR, and no way back to ssthresh.
    fn governs(&self) -> bool {
        false
    }

    /// [`Congestion::on_sample`] is to be called.
    fn wants_samples(&self) -> bool {
        false
    }

    /// What an acknowledgement says of the path. True: samples of what goes now show the program's rate, not the network's.
    fn on_sample(&mut self, _sample: &Sample) -> bool {
        false
    }

    /// These octets are taken for lost.
    fn on_lost(&mut self, _lost: &Lost) {}

    /// A router's mark (RFC 3168 6.1.2), once a round trip. False: the window comes down as after a loss.
    fn on_mark(&mut self, _now: Instant) -> bool {
        false
    }

    /// All that was lost has been repaired.
    fn on_recovered(&mut self) {}

    /// Something goes while nothing is in flight, after a time in which the program had nothing to send.
    fn on_restart(&mut self, _now: Instant) {}

    /// Octets a second at which it wants to send; `None`: as the window allows.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }

    /// TCP_CC_INFO of BBR.
    fn bbr_info(&self) -> Option<BbrInfo> {
        None
    }
}

/// RFC 6928: the initial window for a segment size, octets.
pub(crate) fn initial_window(mss: u32) -> u32 {
    10 * mss
}

/// The algorithm `which` for segments of `mss` octets.
pub(crate) fn new(which: CongestionControl, mss: u32) -> Box<dyn Congestion> {
    match which {
        CongestionControl::Cubic => Box::new(Cubic::new(mss)),
        CongestionControl::Bbr => Box::new(Bbr::new(mss)),
        CongestionControl::Reno => Box::new(NewReno::new(mss)),
    }
}

/// Octets of the default algorithm.
#[cfg(test)]
pub(super) const CUBIC_SIZE: usize = size_of::<Cubic>();
