//! Slow start and congestion avoidance of RFC 5681 with RFC 6582's exit from recovery.

use super::{Congestion, initial_window};

/// NewReno.
#[derive(Debug)]
pub(crate) struct NewReno {
    mss: u32,
    cwnd: u32,
    ssthresh: u32,
    /// Octets acknowledged since the last growth in congestion avoidance (RFC 5681 3.1, appropriate byte counting).
    acked: u32,
}

impl NewReno {
    /// With segments of `mss` octets.
    pub(crate) fn new(mss: u32) -> NewReno {
        NewReno {
            mss,
            cwnd: initial_window(mss),
            ssthresh: u32::MAX,
            acked: 0,
        }
    }

    /// RFC 5681 (4).
    fn halve(&mut self, flight: u32) {
        self.ssthresh = (flight / 2).max(2 * self.mss);
        self.acked = 0;
    }
}

impl Congestion for NewReno {
    fn cwnd(&self) -> u32 {
        self.cwnd
    }

    fn on_ack(&mut self, acked: u32, limited: bool) {
        if !limited {
            return;
        }
        if self.cwnd < self.ssthresh {
            // RFC 3465 with L as large as what one acknowledgement of a super-segment covers.
            self.cwnd = self.cwnd.saturating_add(acked);
            return;
        }
        self.acked = self.acked.saturating_add(acked);
        if self.acked >= self.cwnd {
            self.acked -= self.cwnd;
            self.cwnd = self.cwnd.saturating_add(self.mss);
        }
    }

    fn on_loss(&mut self, flight: u32) {
        self.halve(flight);
        self.cwnd = self.ssthresh;
    }

    fn on_timeout(&mut self, flight: u32, first: bool) {
        if first {
            self.halve(flight);
        }
        self.cwnd = self.mss;
    }

    fn on_recovered(&mut self, flight: u32) {
        // RFC 6582 3.2 step 3 option 1: no burst when little is in flight.
        self.cwnd = self.ssthresh.min(flight.max(self.mss) + self.mss);
    }

    fn on_idle_restart(&mut self) {
        self.cwnd = self.cwnd.min(initial_window(self.mss));
    }

    fn set_mss(&mut self, mss: u32) {
        if self.cwnd == initial_window(self.mss) {
            self.cwnd = initial_window(mss);
        }
        self.mss = mss;
        self.cwnd = self.cwnd.max(mss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_start_doubles_and_avoidance_adds_one_segment_a_window() {
        let mut cc = NewReno::new(1000);
        assert_eq!(cc.cwnd(), 10_000);
        cc.on_ack(10_000, true);
        assert_eq!(cc.cwnd(), 20_000);
        cc.on_ack(10_000, false);
        assert_eq!(
            cc.cwnd(),
            20_000,
            "a window that was not used does not grow"
        );
        cc.on_loss(20_000);
        assert_eq!(cc.cwnd(), 10_000);
        cc.on_ack(10_000, true);
        assert_eq!(cc.cwnd(), 11_000);
        cc.on_timeout(11_000, true);
        assert_eq!((cc.cwnd(), cc.ssthresh), (1000, 5500));
    }
}
