//! CUBIC (RFC 9438) with HyStart++ (RFC 9406).

use std::time::Duration;

use super::hystart::{Growth, HyStart};
use super::{Ack, Congestion, initial_window};
use crate::time::Instant;

/// RFC 9438 4.6: multiplicative decrease.
const BETA: f64 = 0.7;
/// RFC 9438 5: aggressiveness, segments per second cubed.
const C: f64 = 0.4;
/// RFC 9438 4.3: Reno-friendly increase, segments per window.
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// The curve is looked at this often (Linux: bictcp_update) where a round trip takes longer, and else with every acknowledgement.
const LOOK: Duration = Duration::from_micros(1_000_000 / 32);

/// One congestion avoidance epoch. Windows are in segments.
#[derive(Copy, Clone, Debug)]
struct Epoch {
    start: Instant,
    /// The plateau's time after the start, seconds.
    k: f64,
    /// The plateau.
    w_max: f64,
    /// What Reno would have.
    w_est: f64,
    /// When the curve is next looked at.
    look: Instant,
    /// Growth until then, segments for each that is acknowledged.
    slope: f64,
}

/// CUBIC.
#[derive(Debug)]
pub(crate) struct Cubic {
    mss: u32,
    cwnd: u32,
    ssthresh: u32,
    /// Window before the last reduction, with fast convergence applied; segments.
    w_max: f64,
    /// Window before the last reduction; segments.
    cwnd_prior: f64,
    epoch: Option<Box<Epoch>>,
    /// Fractions of an octet that growth still owes.
    remainder: f64,
    /// In slow start.
    hystart: Option<Box<HyStart>>,
    /// w_max before the last reduction, for an undo.
    w_max_prior: f64,
}

impl Cubic {
    /// With segments of `mss` octets.
    pub(crate) fn new(mss: u32) -> Cubic {
        Cubic {
            mss,
            cwnd: initial_window(mss),
            ssthresh: u32::MAX,
            w_max: 0.0,
            cwnd_prior: 0.0,
            epoch: None,
            remainder: 0.0,
            hystart: None,
            w_max_prior: 0.0,
        }
    }

    fn segments(&self, octets: u32) -> f64 {
        f64::from(octets) / f64::from(self.mss)
    }

    /// RFC 9438 4.6 and 4.7.
    fn decrease(&mut self, flight: u32) {
        let cwnd = self.segments(self.cwnd);
        self.w_max_prior = self.w_max;
        self.cwnd_prior = cwnd;
        self.w_max = if cwnd < self.w_max {
            cwnd * (1.0 + BETA) / 2.0
        } else {
            cwnd
        };
        let base = f64::from(self.cwnd.min(flight.max(self.mss)));
        self.ssthresh = ((base * BETA) as u32).max(2 * self.mss);
        self.epoch = None;
        self.remainder = 0.0;
    }

    /// RFC 9438 4.2 to 4.5.
    fn avoid(&mut self, ack: &Ack) {
        let cwnd = self.segments(self.cwnd);
        let w_max = self.w_max;
        let epoch = self.epoch.get_or_insert_with(|| {
            let w_max = w_max.max(cwnd);
            Box::new(Epoch {
                start: ack.now,
                k: ((w_max - cwnd) / C).cbrt(),
                w_max,
                w_est: cwnd,
                look: ack.now,
                slope: 0.0,
            })
        });
        let acked = f64::from(ack.acked) / f64::from(self.mss);
        let alpha = if epoch.w_est >= self.cwnd_prior {
            1.0
        } else {
            ALPHA
        };
        epoch.w_est += alpha * acked / cwnd;
        let mut grown = cwnd;
        if ack.now >= epoch.look {
            let rtt = ack.rtt.unwrap_or_default();
            epoch.look = ack.now + if rtt > LOOK { LOOK } else { Duration::ZERO };
            let t = ack.now.since(epoch.start).as_secs_f64();
            let w_cubic = |t: f64| C * (t - epoch.k).powi(3) + epoch.w_max;
            let (now, target) = (w_cubic(t), w_cubic(t + rtt.as_secs_f64()));
            if now < epoch.w_est {
                grown = epoch.w_est.max(cwnd);
                epoch.slope = 0.0;
            } else {
                epoch.slope = (target.clamp(cwnd, 1.5 * cwnd) - cwnd) / cwnd;
            }
        }
        grown += epoch.slope * acked;
        self.remainder += (grown - cwnd) * f64::from(self.mss);
        let whole = self.remainder.max(0.0) as u32;
        self.remainder -= f64::from(whole);
        self.cwnd = self.cwnd.saturating_add(whole);
    }
}

impl Congestion for Cubic {
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
        if self.cwnd < self.ssthresh {
            let window = self.cwnd / self.mss;
            match self.hystart.get_or_insert_default().on_ack(ack, window) {
                _ if !ack.limited => {}
                Growth::By(octets) => self.cwnd = self.cwnd.saturating_add(octets),
                Growth::Exit => self.ssthresh = self.cwnd,
            }
        } else if !ack.limited {
            // An idle spell must not count as time in which the window grew (RFC 9438 5.8).
            self.epoch = None;
        } else if ack.acked > 0 {
            self.avoid(ack);
        }
    }

    fn on_loss(&mut self, _now: Instant, _flight: u32) {
        // RFC 9438 4.6 allows it where, as here, the window only grows when it is used (5.8).
        self.decrease(self.cwnd);
    }

    fn on_timeout(&mut self, _now: Instant, _flight: u32, first: bool) {
        if first {
            self.decrease(self.cwnd);
        }
        // RFC 9438 4.8: slow start begins anew, and what follows it begins at its own plateau.
        self.cwnd = self.mss;
        self.w_max = 0.0;
        self.hystart = None;
    }

    fn undo(&mut self, cwnd: u32, ssthresh: u32) {
        self.cwnd = self.cwnd.max(cwnd);
        self.ssthresh = self.ssthresh.max(ssthresh);
        self.w_max = self.w_max_prior;
        self.epoch = None;
    }

    fn take_over(&mut self, cwnd: u32, ssthresh: u32) {
        self.cwnd = cwnd.max(self.mss);
        self.ssthresh = ssthresh;
    }

    fn on_idle_restart(&mut self) {
        self.cwnd = self.cwnd.min(initial_window(self.mss));
        self.epoch = None;
    }

    fn rest(&mut self) {
        // Rounds begin anew, and an idle spell must not count as time in which the window grew (RFC 9438 5.8).
        self.hystart = None;
        self.epoch = None;
    }

    fn set_mss(&mut self, mss: u32) {
        if self.cwnd == initial_window(self.mss) {
            self.cwnd = initial_window(mss);
        }
        let ratio = f64::from(self.mss) / f64::from(mss);
        self.w_max *= ratio;
        self.cwnd_prior *= ratio;
        self.epoch = None;
        self.mss = mss;
        self.cwnd = self.cwnd.max(mss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::seq::SeqNum;

    #[test]
    fn the_window_grows_back_to_its_plateau_in_k_seconds() {
        let mss = 1000;
        let mut cc = Cubic::new(mss);
        cc.set_cwnd(1_000_000);
        cc.ssthresh = 1_000_000;
        cc.on_loss(Instant::ZERO, 1_000_000);
        cc.set_cwnd(cc.ssthresh());
        assert_eq!(cc.cwnd(), 700_000);
        // K = cbrt((1000 - 700) / 0.4) = 9.09 s.
        let rtt = Duration::from_millis(100);
        let mut now = Instant::from_micros(1);
        let mut at_k = 0;
        for round in 0..120 {
            let window = cc.cwnd();
            let mut acked = 0;
            while acked < window {
                now = now + rtt / (window / mss);
                cc.on_ack(&Ack {
                    now,
                    acked: mss,
                    rtt: Some(rtt),
                    una: SeqNum::default(),
                    nxt: SeqNum::default(),
                    limited: true,
                });
                acked += mss;
            }
            if round == 90 {
                at_k = cc.cwnd();
            }
        }
        assert!(
            (980_000..=1_010_000).contains(&at_k),
            "at the plateau: {at_k}"
        );
        assert!(cc.cwnd() > 1_005_000, "beyond it afterwards: {}", cc.cwnd());
    }

    #[test]
    fn rfc9438_4_8_after_a_timeout_the_curve_begins_at_its_plateau() {
        let mut cc = Cubic::new(1000);
        cc.set_cwnd(100_000);
        cc.ssthresh = 100_000;
        cc.on_timeout(Instant::ZERO, 100_000, true);
        assert_eq!((cc.cwnd(), cc.ssthresh()), (1000, 70_000));
        cc.set_cwnd(70_000);
        let ack = |ms: u64| Ack {
            now: Instant::from_micros(1000 * ms),
            acked: 1000,
            rtt: Some(Duration::from_millis(100)),
            una: SeqNum::default(),
            nxt: SeqNum::default(),
            limited: true,
        };
        // Towards a plateau of a hundred segments it would be six in a second.
        (1..=70).for_each(|n| cc.on_ack(&ack(n * 10)));
        assert!(cc.cwnd() < 71_000, "{}", cc.cwnd());
        // Of a needless one nothing is left.
        cc.undo(100_000, 100_000);
        assert_eq!(cc.cwnd(), 100_000);
    }

    #[test]
    fn linux_what_reno_would_have_is_looked_at_every_thirty_second_of_a_second() {
        let mut cc = Cubic::new(1000);
        cc.set_cwnd(7000);
        cc.ssthresh = 7000;
        cc.cwnd_prior = 10.0;
        let mut now = Instant::from_micros(1);
        let mut ack = |ms: u64| {
            now = now + Duration::from_millis(ms);
            cc.on_ack(&Ack {
                now,
                acked: 1000,
                rtt: Some(Duration::from_millis(100)),
                una: SeqNum::default(),
                nxt: SeqNum::default(),
                limited: true,
            });
            cc.cwnd() / 1000
        };
        // Seven acknowledgements at a time: at half a segment a window the eighth is there after fourteen, and found with the third lot.
        let lots: Vec<u32> = (0..3)
            .flat_map(|_| [ack(88), ack(2), ack(2), ack(2), ack(2), ack(2), ack(2)])
            .collect();
        assert_eq!(
            lots.iter().filter(|window| **window == 7).count(),
            14,
            "{lots:?}"
        );
        assert_eq!(lots[14], 8);
    }

    /// Segments at which slow start is left on a path that delivers one each `gap` and holds `pipe` of them.
    fn leaves_slow_start_at(gap: Duration, pipe: u32) -> u32 {
        let mut cc = Cubic::new(1000);
        let mut now = Instant::from_micros(1);
        let (mut una, mut nxt) = (SeqNum::new(0), SeqNum::new(10_000));
        for _ in 0..40 {
            let window = cc.cwnd() / 1000;
            // The queue builds up once the pipe is full.
            let rtt = gap * window.max(pipe);
            let end = nxt;
            // What was sent in a burst comes back as fast as the pipe lets it through, and then nothing until the next one.
            now = now + rtt.saturating_sub(gap * window);
            while una.before(end) {
                una += 1000;
                nxt = una + cc.cwnd();
                now = now + gap;
                cc.on_ack(&Ack {
                    now,
                    acked: 1000,
                    rtt: Some(rtt),
                    una,
                    nxt,
                    limited: true,
                });
            }
            if cc.cwnd() >= cc.ssthresh() {
                return cc.cwnd() / 1000;
            }
        }
        panic!("slow start never ended");
    }

    #[test]
    fn slow_start_ends_when_acknowledgements_come_without_a_pause() {
        let at = leaves_slow_start_at(Duration::from_micros(100), 200);
        assert!((150..400).contains(&at), "left at {at} of 200");
    }

    #[test]
    fn the_eighth_late_acknowledgement_is_the_last_that_counts_in_full() {
        let mut cc = Cubic::new(1000);
        let mut una = 10_000;
        let mut ack = |ms: u64, rtt: u64| {
            una += 2000;
            cc.on_ack(&Ack {
                now: Instant::from_micros(1 + 1000 * ms),
                acked: 2000,
                rtt: Some(Duration::from_millis(rtt)),
                una: SeqNum::new(una),
                nxt: SeqNum::new(if ms == 0 { una } else { 100_000 }),
                limited: true,
            });
            cc.cwnd()
        };
        assert_eq!(ack(0, 200), 12_000, "a round of its own");
        let grown: Vec<u32> = (0..10).map(|n| ack(200 + 3 * n, 240)).collect();
        // RFC 9406 4.2: the window is updated, then the round-trip time looked at.
        assert_eq!(grown[6..], [26_000, 28_000, 28_500, 29_000]);
    }

    #[test]
    fn slow_start_ends_when_the_delay_grows() {
        // Pauses of three milliseconds: no train.
        let at = leaves_slow_start_at(Duration::from_millis(3), 70);
        assert!((70..700).contains(&at), "left at {at} of 70");
    }
}
