//! The retransmission timeout (RFC 6298).

use std::time::Duration;

use crate::time::{Instant, Span};

/// Before the first measurement (RFC 6298 2.1).
const RTO_INITIAL: Duration = Duration::from_secs(1);
/// Lower bound of the variance's share, as Linux has it (TCP_RTO_MIN); RFC 6298 2.4 asks for a whole second.
const RTO_MIN: Duration = Duration::from_millis(200);
/// Upper bound (RFC 6298 2.5 allows 60 s or more; Linux has 120 s).
const RTO_MAX: Duration = Duration::from_secs(120);

/// A minimum that is this old is forgotten (Linux: tcp_min_rtt_wlen).
const MIN_RTT_WINDOW: Duration = Duration::from_secs(300);

/// Smoothed round-trip time and what follows from it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct RttEstimator {
    /// SRTT; `None` before the first sample.
    srtt: Option<Span>,
    rttvar: Span,
    rto: Span,
    /// Doublings since the last sample (RFC 6298 5.5).
    backoff: u32,
    /// Smallest round-trip time, and when it was seen.
    min: Option<(Span, Instant)>,
}

impl Default for RttEstimator {
    fn default() -> Self {
        RttEstimator {
            srtt: None,
            rttvar: Span::ZERO,
            rto: RTO_INITIAL.into(),
            backoff: 0,
            min: None,
        }
    }
}

impl RttEstimator {
    /// Takes a sample of a segment that was not retransmitted, or one vouched for by a timestamp (RFC 6298 2 and 3).
    pub(crate) fn sample(&mut self, r: impl Into<Span>) {
        const MIN: u64 = RTO_MIN.as_micros() as u64;
        const MAX: u64 = RTO_MAX.as_micros() as u64;
        // No more than a span can hold: all fits into 64 bits.
        let r = u64::from(r.into().as_micros());
        let (srtt, four_rttvar) = match self.srtt {
            None => (r, 2 * r),
            Some(srtt) => {
                let (srtt, rttvar) = (srtt.as_micros().into(), u64::from(self.rttvar.as_micros()));
                ((7 * srtt + r) / 8, 3 * rttvar + r.abs_diff(srtt))
            }
        };
        self.srtt = Some(Span::from_micros(srtt));
        self.rttvar = Span::from_micros(four_rttvar / 4);
        self.rto = Span::from_micros((srtt + four_rttvar.max(MIN)).min(MAX));
        self.backoff = 0;
    }

    /// The timeout to arm now, back-off included.
    pub(crate) fn rto(&self) -> Duration {
        Duration::from_micros(self.rto_micros())
    }

    /// The same in microseconds.
    #[inline]
    pub(crate) fn rto_micros(&self) -> u64 {
        match self.backoff {
            // Never above RTO_MAX.
            0 => self.rto.as_micros().into(),
            backoff => {
                (u64::from(self.rto.as_micros()) << backoff.min(16)).min(RTO_MAX.as_micros() as u64)
            }
        }
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
        self.rttvar.get()
    }

    /// Doublings since the last sample.
    pub(crate) fn backoff(&self) -> u32 {
        self.backoff
    }

    /// Smallest round-trip time known.
    pub(crate) fn min(&self) -> Option<Duration> {
        self.min.map(|(rtt, _)| rtt.get())
    }

    /// The same as connections keep it.
    #[inline]
    pub(crate) fn min_span(&self) -> Option<Span> {
        self.min.map(|(rtt, _)| rtt)
    }

    /// A round-trip time was measured on octets sent once.
    pub(crate) fn note_min(&mut self, rtt: Span, now: Instant) {
        const WINDOW: u64 = MIN_RTT_WINDOW.as_micros() as u64;
        match self.min {
            Some((min, at)) if min < rtt && now.micros_since(at) < WINDOW => {}
            _ => self.min = Some((rtt, now)),
        }
    }

    /// SRTT, if there is one.
    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.srtt.map(Span::get)
    }

    /// SRTT in microseconds.
    #[inline]
    pub(crate) fn srtt_micros(&self) -> Option<u64> {
        self.srtt.map(|srtt| srtt.as_micros().into())
    }

    /// RFC 6298 5.7: after a lost SYN the first data uses at least 3 s.
    pub(crate) fn after_lost_syn(&mut self) {
        if self.srtt.is_none() {
            self.rto = Duration::from_secs(3).into();
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
