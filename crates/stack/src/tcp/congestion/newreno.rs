//! Slow start and congestion avoidance of RFC 5681.

use super::{Ack, Congestion, initial_window};
use crate::time::Instant;

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

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    fn set_cwnd(&mut self, cwnd: u32) {
        self.cwnd = cwnd.max(self.mss);
    }

    fn on_ack(&mut self, ack: &Ack) {
        if !ack.limited {
            return;
        }
        if self.cwnd < self.ssthresh {
            // RFC 3465 with L as large as what one acknowledgement of a super-segment covers.
            self.cwnd = self.cwnd.saturating_add(ack.acked);
            return;
        }
        self.acked = self.acked.saturating_add(ack.acked);
        // A window of whole segments is all that is ever out; to ask for the rest of it too would cost a small window a good part
        // of its growth.
        let window = (self.cwnd / self.mss * self.mss).max(self.mss);
        if self.acked >= window {
            self.acked -= window;
            self.cwnd = self.cwnd.saturating_add(self.mss);
        }
    }

    fn on_loss(&mut self, _now: Instant, flight: u32) {
        self.halve(flight);
    }

    fn on_timeout(&mut self, _now: Instant, flight: u32, first: bool) {
        if first {
            self.halve(flight);
        }
        self.cwnd = self.mss;
    }

    fn undo(&mut self, cwnd: u32, ssthresh: u32) {
        self.cwnd = self.cwnd.max(cwnd);
        self.ssthresh = self.ssthresh.max(ssthresh);
    }

    fn take_over(&mut self, cwnd: u32, ssthresh: u32) {
        self.cwnd = cwnd.max(self.mss);
        self.ssthresh = ssthresh;
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
    use crate::tcp::seq::SeqNum;

    #[test]
    fn slow_start_doubles_and_avoidance_adds_one_segment_a_window() {
        let mut cc = NewReno::new(1000);
        let now = Instant::ZERO;
        let ack = |acked, limited| Ack {
            now,
            acked,
            rtt: None,
            una: SeqNum::default(),
            nxt: SeqNum::default(),
            limited,
        };
        assert_eq!(cc.cwnd(), 10_000);
        cc.on_ack(&ack(10_000, true));
        assert_eq!(cc.cwnd(), 20_000);
        cc.on_ack(&ack(10_000, false));
        assert_eq!(
            cc.cwnd(),
            20_000,
            "a window that was not used does not grow"
        );
        cc.on_loss(now, 20_000);
        cc.set_cwnd(cc.ssthresh());
        assert_eq!(cc.cwnd(), 10_000);
        cc.on_ack(&ack(10_000, true));
        assert_eq!(cc.cwnd(), 11_000);
        cc.on_timeout(now, 11_000, true);
        assert_eq!((cc.cwnd(), cc.ssthresh()), (1000, 5500));
    }

    #[test]
    fn half_a_segment_left_by_halving_does_not_slow_growth() {
        let mut cc = NewReno::new(1000);
        cc.ssthresh = 3500;
        cc.set_cwnd(3500);
        let ack = Ack {
            now: Instant::ZERO,
            acked: 1000,
            rtt: None,
            una: SeqNum::default(),
            nxt: SeqNum::default(),
            limited: true,
        };
        for _ in 0..3 {
            cc.on_ack(&ack);
        }
        assert_eq!(cc.cwnd(), 4500);
    }
}
