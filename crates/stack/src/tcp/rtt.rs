//! The retransmission timeout (RFC 6298).

use std::time::Duration;

/// Before the first measurement (RFC 6298 2.1).
const RTO_INITIAL: Duration = Duration::from_secs(1);
/// Lower bound of the variance's share, as Linux has it (TCP_RTO_MIN); RFC 6298 2.4 asks for a whole second.
const RTO_MIN: Duration = Duration::from_millis(200);
/// Upper bound (RFC 6298 2.5 allows 60 s or more; Linux has 120 s).
const RTO_MAX: Duration = Duration::from_secs(120);

/// Smoothed round-trip time and what follows from it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct RttEstimator {
    /// SRTT; `None` before the first sample.
    srtt: Option<Duration>,
    rttvar: Duration,
    rto: Duration,
    /// Doublings since the last sample (RFC 6298 5.5).
    backoff: u32,
}

impl Default for RttEstimator {
    fn default() -> Self {
        RttEstimator {
            srtt: None,
            rttvar: Duration::ZERO,
            rto: RTO_INITIAL,
            backoff: 0,
        }
    }
}

impl RttEstimator {
    /// Takes a sample of a segment that was not retransmitted, or one vouched for by a timestamp (RFC 6298 2 and 3).
    pub(crate) fn sample(&mut self, r: Duration) {
        match self.srtt {
            None => {
                self.srtt = Some(r);
                self.rttvar = r / 2;
            }
            Some(srtt) => {
                let delta = srtt.abs_diff(r);
                self.rttvar = (self.rttvar * 3 + delta) / 4;
                self.srtt = Some((srtt * 7 + r) / 8);
            }
        }
        let srtt = self.srtt.unwrap_or(r);
        self.rto = (srtt + (self.rttvar * 4).max(RTO_MIN)).min(RTO_MAX);
        self.backoff = 0;
    }

    /// The timeout to arm now, back-off included.
    pub(crate) fn rto(&self) -> Duration {
        self.rto
            .saturating_mul(1 << self.backoff.min(16))
            .min(RTO_MAX)
    }

    /// A timeout has run out (RFC 6298 5.5).
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// New data was acknowledged: the path is alive (RFC 6298 5.7's spirit, as Linux does it).
    pub(crate) fn reset_backoff(&mut self) {
        self.backoff = 0;
    }

    /// RTTVAR.
    pub(crate) fn rttvar(&self) -> Duration {
        self.rttvar
    }

    /// Doublings since the last sample.
    pub(crate) fn backoff(&self) -> u32 {
        self.backoff
    }

    /// SRTT, if there is one.
    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.srtt
    }

    /// RFC 6298 5.7: after a lost SYN the first data uses at least 3 s.
    pub(crate) fn after_lost_syn(&mut self) {
        if self.srtt.is_none() {
            self.rto = Duration::from_secs(3);
        }
        self.backoff = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_rfc_6298() {
        let mut rtt = RttEstimator::default();
        assert_eq!(rtt.rto(), Duration::from_secs(1));
        rtt.back_off();
        rtt.back_off();
        assert_eq!(rtt.rto(), Duration::from_secs(4));
        rtt.sample(Duration::from_millis(100));
        assert_eq!(rtt.rto(), Duration::from_millis(300));
        for _ in 0..200 {
            rtt.sample(Duration::from_millis(100));
        }
        assert_eq!(
            rtt.rto(),
            Duration::from_millis(300),
            "variance share has a floor of 200 ms"
        );
        for _ in 0..40 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto(), Duration::from_secs(120));
    }
}
