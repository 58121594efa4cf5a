//! The state machine (draft-ietf-ccwg-bbr 5.3): when to send faster, when slower, and when almost nothing.

use std::time::Duration;

use super::{AckPhase, Bbr, NONE, Sample, State, too_high};
use crate::time::Instant;

/// BBR.MinRTTFilterLen.
const MIN_RTT_FILTER: Duration = Duration::from_secs(10);
/// BBR.ProbeRTTInterval.
const PROBE_RTT_INTERVAL: Duration = Duration::from_secs(5);
/// BBR.ProbeRTTDuration.
const PROBE_RTT_DURATION: Duration = Duration::from_millis(200);
/// Time between probes for bandwidth: this and up to a second more.
const PROBE_WAIT: Duration = Duration::from_secs(2);
/// Round trips between them at most, so that Reno beside it has its share.
const PROBE_ROUNDS: u32 = 63;
/// Round trips that draining may take.
const DRAIN_ROUNDS: u64 = 3;

impl Bbr {
    /// CheckStartupDone.
    pub(super) fn check_startup_done(&mut self, sample: &Sample) {
        self.check_startup_high_loss(sample);
        if self.state == State::Startup && self.full_bw_reached {
            self.state = State::Drain;
            self.drain_start_round = self.round_count;
        }
    }

    /// CheckDrainDone.
    pub(super) fn check_drain_done(&mut self, sample: &Sample) {
        let drained = sample.in_flight <= self.inflight(self.bw, 1.0);
        let too_long = self.round_count > self.drain_start_round + DRAIN_ROUNDS;
        if self.state == State::Drain && (drained || too_long) {
            self.start_down(sample.now);
        }
    }

    /// StartProbeBW_DOWN.
    pub(super) fn start_down(&mut self, now: Instant) {
        self.reset_congestion_signals();
        self.probe_up_acked_per_inc = NONE;
        self.pick_probe_wait(now);
        self.cycle_stamp = now;
        self.ack_phase = AckPhase::Stopping;
        self.start_round();
        self.state = State::Down;
    }

    /// PickProbeWait. Flows that share a path are to probe at different times; what differs between them is when they are where, so
    /// that is scattered (there is no other source of chance here, and the same run has to give the same packets).
    fn pick_probe_wait(&mut self, now: Instant) {
        let mut mixed = now.as_micros() ^ self.delivered.rotate_left(32);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        self.rounds_since_probe_up = (mixed & 1) as u32;
        self.bw_probe_wait = PROBE_WAIT + Duration::from_micros((mixed >> 1) % 1_000_000);
    }

    /// StartProbeBW_REFILL.
    pub(super) fn start_refill(&mut self) {
        self.reset_short_term();
        self.bw_probe_up_rounds = 0;
        self.bw_probe_up_acked = 0;
        self.prev_probe_precautionary = false;
        self.ack_phase = AckPhase::Refilling;
        self.start_round();
        self.state = State::Refill;
    }

    /// StartProbeBW_UP.
    fn start_up(&mut self, rate: u64) {
        self.ack_phase = AckPhase::Starting;
        self.start_round();
        self.reset_full_bw(rate);
        self.state = State::Up;
        self.raise_slope();
    }

    /// UpdateProbeBWCyclePhase.
    pub(super) fn update_cycle_phase(&mut self, sample: &Sample, rate: u64) {
        if !self.full_bw_reached || self.adapt_long_term(sample) {
            return;
        }
        let state = self.state;
        match state {
            State::Down => {
                if self.time_to_probe(sample.now) {
                    self.start_refill();
                } else if self.time_to_cruise(sample) {
                    self.state = State::Cruise;
                }
            }
            State::Cruise if self.time_to_probe(sample.now) => self.start_refill(),
            State::Refill if self.round_start => {
                self.bw_probe_sample = true;
                self.start_up(rate);
            }
            State::Up if self.time_to_go_down(sample, rate) => {
                self.prev_probe_too_high = false;
                self.start_down(sample.now);
            }
            _ => {}
        }
    }

    /// IsTimeToProbeBW with IsRenoCoexistenceProbeTime.
    fn time_to_probe(&self, now: Instant) -> bool {
        let rounds = (self.target_inflight() / self.mss).min(PROBE_ROUNDS);
        now > self.cycle_stamp + self.bw_probe_wait || self.rounds_since_probe_up >= rounds
    }

    /// IsTimeToCruise.
    fn time_to_cruise(&self, sample: &Sample) -> bool {
        sample.in_flight <= self.inflight_with_headroom()
            && sample.in_flight <= self.inflight(self.max_bw.get(), 1.0)
    }

    /// IsTimeToGoDown.
    fn time_to_go_down(&mut self, sample: &Sample, rate: u64) -> bool {
        if self.prev_probe_too_high && sample.in_flight >= self.inflight_longterm {
            self.prev_probe_precautionary = true;
            return true;
        }
        if sample.cwnd_limited && self.cwnd >= self.inflight_longterm {
            self.reset_full_bw(rate);
            return false;
        }
        self.full_bw_now
    }

    /// RaiseInflightLongtermSlope.
    fn raise_slope(&mut self) {
        let growth = 1 << self.bw_probe_up_rounds;
        self.bw_probe_up_rounds = (self.bw_probe_up_rounds + 1).min(30);
        self.probe_up_acked_per_inc = (self.cwnd / growth).max(self.mss);
    }

    /// ProbeInflightLongtermUpward.
    fn probe_upward(&mut self, sample: &Sample) {
        if !sample.cwnd_limited || self.cwnd < self.inflight_longterm {
            return;
        }
        self.bw_probe_up_acked = self.bw_probe_up_acked.saturating_add(sample.acked);
        if self.bw_probe_up_acked >= self.probe_up_acked_per_inc {
            let steps = self.bw_probe_up_acked / self.probe_up_acked_per_inc.max(1);
            self.bw_probe_up_acked -= steps * self.probe_up_acked_per_inc;
            self.inflight_longterm =
                (self.inflight_longterm).saturating_add(steps.saturating_mul(self.mss));
        }
        if self.round_start {
            self.raise_slope();
        }
    }

    /// AdaptLongTermModel. True: it has decided on a state.
    fn adapt_long_term(&mut self, sample: &Sample) -> bool {
        if self.ack_phase == AckPhase::Starting && self.round_start {
            self.ack_phase = AckPhase::Feedback;
        }
        if self.ack_phase == AckPhase::Stopping && self.round_start {
            self.bw_probe_sample = false;
            self.ack_phase = AckPhase::Init;
            if self.state.probes_bandwidth() {
                if !sample.app_limited {
                    self.advance_max_bw();
                }
                if self.prev_probe_precautionary && !self.prev_probe_too_high {
                    self.start_refill();
                    return true;
                }
            }
        }
        if !too_high(sample.lost, sample.tx_in_flight, sample.sack)
            && self.inflight_longterm != NONE
        {
            self.inflight_longterm = self.inflight_longterm.max(sample.tx_in_flight);
            if self.state == State::Up {
                self.probe_upward(sample);
            }
        }
        false
    }

    /// UpdateMinRTT.
    pub(super) fn update_min_rtt(&mut self, sample: &Sample) {
        let now = sample.now;
        self.probe_rtt_expired = now > self.probe_rtt_min_stamp + PROBE_RTT_INTERVAL;
        if let Some(rtt) = sample.rtt
            && (self.probe_rtt_min_delay.is_none_or(|least| rtt < least) || self.probe_rtt_expired)
        {
            self.probe_rtt_min_delay = Some(rtt);
            self.probe_rtt_min_stamp = now;
        }
        let expired = now > self.min_rtt_stamp + MIN_RTT_FILTER;
        if let Some(delay) = self.probe_rtt_min_delay
            && (self.min_rtt.is_none_or(|least| delay < least) || expired)
        {
            self.min_rtt = Some(delay);
            self.min_rtt_stamp = self.probe_rtt_min_stamp;
        }
    }

    /// CheckProbeRTT. True while it is on: what is measured then says nothing of the bandwidth.
    pub(super) fn check_probe_rtt(&mut self, sample: &Sample) -> bool {
        if self.state != State::ProbeRtt && self.probe_rtt_expired && !self.idle_restart {
            // In this order: what is saved is the window of the state that is left.
            self.save_cwnd();
            self.state = State::ProbeRtt;
            self.probe_rtt_done = None;
            self.ack_phase = AckPhase::Stopping;
            self.start_round();
        }
        let on = self.state == State::ProbeRtt;
        if on {
            self.handle_probe_rtt(sample);
        }
        if sample.delivered > 0 {
            self.idle_restart = false;
        }
        on
    }

    /// HandleProbeRTT.
    fn handle_probe_rtt(&mut self, sample: &Sample) {
        if self.probe_rtt_done.is_none() {
            if sample.in_flight <= self.probe_rtt_cwnd() {
                self.probe_rtt_done = Some(sample.now + PROBE_RTT_DURATION);
                self.probe_rtt_round_done = false;
                self.start_round();
            }
            return;
        }
        self.probe_rtt_round_done |= self.round_start;
        if self.probe_rtt_round_done {
            self.check_probe_rtt_done(sample.now, sample.in_flight);
        }
    }

    /// CheckProbeRTTDone.
    pub(super) fn check_probe_rtt_done(&mut self, now: Instant, in_flight: u32) {
        if self.probe_rtt_done.is_none_or(|done| now <= done) {
            return;
        }
        self.probe_rtt_min_stamp = now;
        self.probe_rtt_end = self.delivered + u64::from(in_flight);
        self.restore_cwnd();
        // ExitProbeRTT.
        self.reset_short_term();
        if self.full_bw_reached {
            self.start_down(now);
            self.state = State::Cruise;
        } else {
            self.state = State::Startup;
        }
    }
}
