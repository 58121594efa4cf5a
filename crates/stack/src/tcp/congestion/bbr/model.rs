//! The path's model (draft-ietf-ccwg-bbr 5.5): bandwidth, aggregation, and what losses say of both.

use super::{BETA, Bbr, LOSS_THRESH, NONE, STARTUP_HOLES, Sample, State, too_high};
use crate::time::Instant;

/// BBR.ExtraAckedFilterLen, round trips.
const EXTRA_ACKED_ROUNDS: u64 = 10;
/// What of the bandwidth stays however long losses go on at a rate that probing tolerates.
const TOLERATED: f64 = 0.97;
/// Rounds that the rate of loss is averaged over.
const LOSS_ROUNDS: f64 = 8.0;
/// Growth of the bandwidth in a round trip below which it counts as none.
const FULL_BW_GROWTH: f64 = 1.25;
/// Round trips without growth that mean a full path.
const FULL_BW_ROUNDS: u32 = 3;

/// BBR.max_bw_filter: the largest of the current and the previous probing cycle.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct MaxBw {
    previous: u64,
    current: u64,
}

impl MaxBw {
    /// BBR.max_bw, octets a second.
    pub(super) fn get(&self) -> u64 {
        self.previous.max(self.current)
    }

    fn update(&mut self, bw: u64) {
        self.current = self.current.max(bw);
    }

    /// AdvanceMaxBwFilter; a cycle without a sample does not displace one that had some.
    fn advance(&mut self) {
        if self.current > 0 {
            self.previous = std::mem::take(&mut self.current);
        }
    }
}

/// BBR.extra_acked: octets that aggregation brings beyond what the bandwidth explains.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct ExtraAcked {
    interval_start: Instant,
    delivered: u64,
    /// The largest of this window of rounds and of the one before.
    current: u32,
    previous: u32,
    window_round: u64,
}

impl ExtraAcked {
    pub(super) fn restart(&mut self, now: Instant) {
        self.interval_start = now;
        self.delivered = 0;
    }

    /// The largest of late, octets.
    pub(super) fn most(&self) -> u32 {
        self.current.max(self.previous)
    }
}

impl Bbr {
    /// UpdateModelAndState. True while samples are to be disregarded.
    pub(super) fn update_model(&mut self, sample: &Sample) -> bool {
        let rate = rate_of(sample);
        self.update_latest_signals(sample, rate);
        self.update_congestion_signals(sample, rate);
        self.update_aggregation(sample);
        self.check_full_bw(sample, rate);
        self.check_startup_done(sample);
        self.check_drain_done(sample);
        self.update_cycle_phase(sample, rate);
        self.update_min_rtt(sample);
        let limited = self.check_probe_rtt(sample);
        // AdvanceLatestDeliverySignals.
        if self.loss_round_start {
            self.bw_latest = rate;
            self.inflight_latest = sample.delivered;
        }
        // BoundBWForModel.
        self.bw = self.max_bw.get().min(self.bw_shortterm);
        limited
    }

    /// UpdateLatestDeliverySignals.
    fn update_latest_signals(&mut self, sample: &Sample, rate: u64) {
        self.bw_latest = self.bw_latest.max(rate);
        self.inflight_latest = self.inflight_latest.max(sample.delivered);
        self.loss_round_start = sample.prior_delivered >= self.loss_round_delivered;
        if self.loss_round_start {
            self.loss_round_delivered = self.delivered;
        }
    }

    /// UpdateCongestionSignals with UpdateMaxBw and UpdateRound.
    fn update_congestion_signals(&mut self, sample: &Sample, rate: u64) {
        self.round_start = sample.prior_delivered >= self.next_round_delivered;
        if self.round_start {
            self.start_round();
            self.round_count += 1;
            self.rounds_since_probe_up = self.rounds_since_probe_up.saturating_add(1);
            let lost = f64::from(sample.lost) / f64::from(sample.tx_in_flight.max(1));
            self.loss_rate += (lost - self.loss_rate) / LOSS_ROUNDS;
        }
        if rate > 0 && (rate >= self.max_bw.get() || !sample.app_limited) {
            self.max_bw.update(rate);
        }
        if !self.loss_round_start {
            return;
        }
        // AdaptLowerBoundsFromCongestion: once a round, and not while more is sent on purpose.
        let telling = sample.prior_delivered >= self.probe_rtt_end;
        if self.loss_in_round && telling && !self.state.accelerates() {
            self.lower_bounds(sample.sack);
        }
        self.loss_in_round = false;
    }

    /// InitLowerBounds and LossLowerBounds. Beyond the draft: losses at a rate that probing tolerates do not add up round by round, for
    /// those are random more often than not; they take three hundredths of the bandwidth and leave a bandwidth-delay product in flight.
    fn lower_bounds(&mut self, sack: bool) {
        let max_bw = self.max_bw.get();
        let (mut least_bw, mut least_inflight) = (0, 0);
        if self.loss_rate <= LOSS_THRESH && sack {
            least_bw = (max_bw as f64 * TOLERATED) as u64;
            least_inflight = self.inflight(max_bw, 1.0);
        }
        let less = |n: f64| n * BETA;
        let bw = match self.bw_shortterm {
            u64::MAX => max_bw,
            bw => bw,
        };
        self.bw_shortterm = (less(bw as f64) as u64).max(self.bw_latest).max(least_bw);
        let inflight = match self.inflight_shortterm {
            NONE => self.cwnd,
            inflight => inflight,
        };
        self.inflight_shortterm = (less(f64::from(inflight)) as u32)
            .max(self.inflight_latest)
            .max(least_inflight);
    }

    /// UpdateACKAggregation.
    fn update_aggregation(&mut self, sample: &Sample) {
        let extra = &mut self.extra_acked;
        let interval = sample.now.since(extra.interval_start).as_secs_f64();
        let mut expected = (self.bw as f64 * interval) as u64;
        if extra.delivered <= expected {
            extra.restart(sample.now);
            expected = 0;
        }
        extra.delivered += u64::from(sample.acked);
        let beyond = (extra.delivered - expected).min(u64::from(self.cwnd)) as u32;
        let rounds = if self.full_bw_reached {
            EXTRA_ACKED_ROUNDS / 2
        } else {
            1
        };
        if self.round_start && self.round_count >= extra.window_round + rounds {
            extra.window_round = self.round_count;
            extra.previous = std::mem::take(&mut extra.current);
        }
        extra.current = extra.current.max(beyond);
    }

    /// StartRound.
    pub(super) fn start_round(&mut self) {
        self.next_round_delivered = self.delivered;
    }

    /// ResetFullBW, with the rate to begin from.
    pub(super) fn reset_full_bw(&mut self, from: u64) {
        self.full_bw = from;
        self.full_bw_count = 0;
        self.full_bw_now = false;
    }

    /// CheckFullBWReached.
    fn check_full_bw(&mut self, sample: &Sample, rate: u64) {
        if self.full_bw_now || !self.round_start || sample.app_limited || rate == 0 {
            return;
        }
        if rate as f64 >= self.full_bw as f64 * FULL_BW_GROWTH {
            self.reset_full_bw(rate);
            return;
        }
        self.full_bw_count += 1;
        self.full_bw_now = self.full_bw_count >= FULL_BW_ROUNDS;
        self.full_bw_reached |= self.full_bw_now;
    }

    /// CheckStartupHighLoss.
    pub(super) fn check_startup_high_loss(&mut self, sample: &Sample) {
        if self.state == State::Startup && !self.full_bw_reached {
            let many = self.loss_round_start
                && self.holes >= STARTUP_HOLES
                && too_high(sample.lost, sample.tx_in_flight, true);
            let without_sack = !sample.sack && sample.newly_lost > 0;
            if sample.recovering && (many || without_sack) {
                self.leave_startup_early();
            }
        }
        if self.loss_round_start {
            self.holes = 0;
            self.hole_end = None;
        }
    }

    /// The path is full as losses or marks show.
    pub(super) fn leave_startup_early(&mut self) {
        self.undo.state = Some(State::Startup);
        self.full_bw_reached = true;
        let bdp = self.bdp_multiple(self.bw, 1.0);
        self.inflight_longterm = bdp.max(self.inflight_latest);
    }

    /// NoteLoss.
    pub(super) fn note_loss(&mut self) {
        if !self.loss_in_round {
            self.loss_round_delivered = self.delivered;
            self.save_state();
        }
        self.loss_in_round = true;
    }

    /// HandleInflightTooHigh.
    pub(super) fn inflight_too_high(&mut self, now: Instant, in_flight: u32, app_limited: bool) {
        self.prev_probe_too_high = true;
        self.bw_probe_sample = false;
        if !app_limited {
            let least = (f64::from(self.target_inflight()) * BETA) as u32;
            self.inflight_longterm = in_flight.max(least);
        }
        if self.state == State::Up {
            self.undo.state = Some(State::Up);
            self.start_down(now);
        }
    }

    /// ResetCongestionSignals.
    pub(super) fn reset_congestion_signals(&mut self) {
        self.loss_in_round = false;
        self.bw_latest = 0;
        self.inflight_latest = 0;
    }

    /// ResetShortTermModel.
    pub(super) fn reset_short_term(&mut self) {
        self.bw_shortterm = u64::MAX;
        self.inflight_shortterm = NONE;
    }

    /// AdvanceMaxBwFilter.
    pub(super) fn advance_max_bw(&mut self) {
        self.max_bw.advance();
    }
}

/// RS.delivery_rate, octets a second; 0: none.
fn rate_of(sample: &Sample) -> u64 {
    sample.interval.map_or(0, |interval| {
        (f64::from(sample.delivered) / interval.as_secs_f64()) as u64
    })
}
