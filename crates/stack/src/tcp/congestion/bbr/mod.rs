//! BBR, version 3 (draft-ietf-ccwg-bbr): the window and the pace follow a model of the path, its bandwidth and its shortest
//! round-trip time, which the sender refreshes by sending now a little faster, now a little slower than the path delivers.
//!
//! The draft's names and its order of steps are kept: this file has the events and what is controlled, `model.rs` the path's
//! model, `probe.rs` the state machine.

mod model;
mod probe;

use std::time::Duration;

use model::{ExtraAcked, MaxBw};

use super::{Ack, Congestion, Lost, Sample, initial_window};
use crate::socket::BbrInfo;
use crate::tcp::pacing::quantum;
use crate::tcp::seq::SeqNum;
use crate::time::Instant;

/// BBR.PacingMarginPercent: the pace stays this much below the bandwidth.
const PACING_MARGIN: f64 = 0.99;
/// BBR.LossThresh.
const LOSS_THRESH: f64 = 0.02;
/// BBR.Beta.
const BETA: f64 = 0.7;
/// BBR.Headroom.
const HEADROOM: f64 = 0.15;
/// BBR.MinPipeCwnd, segments.
const MIN_PIPE: u32 = 4;
/// BBRStartupFullLossCnt: holes in a round trip that mean a full path, with the loss rate above its threshold.
const STARTUP_HOLES: u32 = 6;
/// No bound.
const NONE: u32 = u32::MAX;
/// The first pace is the initial window's in this time, until a round-trip time is known.
const FIRST_RTT: Duration = Duration::from_millis(1);

/// BBR.state.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Startup,
    Drain,
    Down,
    Cruise,
    Refill,
    Up,
    ProbeRtt,
}

impl State {
    /// IsInAProbeBWState.
    fn probes_bandwidth(self) -> bool {
        matches!(
            self,
            State::Down | State::Cruise | State::Refill | State::Up
        )
    }

    /// IsProbingBW: sending at or above what the path is known to carry.
    fn accelerates(self) -> bool {
        matches!(self, State::Startup | State::Refill | State::Up)
    }

    /// BBR.pacing_gain (the draft's table in 5.6.1).
    fn pacing_gain(self) -> f64 {
        match self {
            State::Startup => 2.77,
            State::Drain => 0.5,
            State::Down => 0.9,
            State::Up => 1.25,
            State::Cruise | State::Refill | State::ProbeRtt => 1.0,
        }
    }

    /// BBR.cwnd_gain.
    fn cwnd_gain(self) -> f64 {
        match self {
            State::Up => 2.25,
            State::ProbeRtt => 0.5,
            _ => 2.0,
        }
    }
}

/// BBR.ack_phase: what acknowledgements tell of, with respect to probing.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
enum AckPhase {
    #[default]
    Init,
    Refilling,
    Starting,
    Feedback,
    Stopping,
}

/// What is put back when a loss turns out to be none.
#[derive(Copy, Clone, Debug)]
struct Undo {
    state: Option<State>,
    bw_shortterm: u64,
    inflight_shortterm: u32,
    inflight_longterm: u32,
}

/// BBR. Bandwidths are octets a second, amounts octets.
#[derive(Debug)]
pub(crate) struct Bbr {
    mss: u32,
    cwnd: u32,
    state: State,
    /// C.pacing_rate.
    pacing_rate: u64,
    /// C.send_quantum.
    send_quantum: u32,
    /// Loss recovery is on (the draft's InLossRecovery).
    recovering: bool,
    /// C.delivered as last told.
    delivered: u64,

    round_count: u64,
    round_start: bool,
    next_round_delivered: u64,
    idle_restart: bool,
    drain_start_round: u64,

    max_bw: MaxBw,
    bw_shortterm: u64,
    bw: u64,
    inflight_longterm: u32,
    inflight_shortterm: u32,
    extra_acked: ExtraAcked,

    bw_latest: u64,
    inflight_latest: u32,
    loss_round_delivered: u64,
    loss_round_start: bool,
    loss_in_round: bool,
    /// Part that is lost, averaged over some eight rounds.
    loss_rate: f64,
    /// Until what is sent when this much was delivered samples show ProbeRTT's rate, not the path's.
    probe_rtt_end: u64,
    /// Discontiguous losses in the round, and where the last one ended.
    holes: u32,
    hole_end: Option<SeqNum>,

    full_bw_reached: bool,
    full_bw_now: bool,
    full_bw: u64,
    full_bw_count: u32,

    ack_phase: AckPhase,
    bw_probe_sample: bool,
    bw_probe_up_acked: u32,
    probe_up_acked_per_inc: u32,
    bw_probe_up_rounds: u32,
    rounds_since_probe_up: u32,
    bw_probe_wait: Duration,
    cycle_stamp: Instant,
    prev_probe_too_high: bool,
    prev_probe_precautionary: bool,

    min_rtt: Option<Duration>,
    min_rtt_stamp: Instant,
    probe_rtt_min_delay: Option<Duration>,
    probe_rtt_min_stamp: Instant,
    probe_rtt_expired: bool,
    probe_rtt_done: Option<Instant>,
    probe_rtt_round_done: bool,

    prior_cwnd: u32,
    undo: Undo,
}

impl Bbr {
    /// With segments of `mss` octets (OnInit).
    pub(crate) fn new(mss: u32) -> Bbr {
        let cwnd = initial_window(mss);
        let mut bbr = Bbr {
            mss,
            cwnd,
            state: State::Startup,
            pacing_rate: 0,
            send_quantum: 2 * mss,
            recovering: false,
            delivered: 0,
            round_count: 0,
            round_start: false,
            next_round_delivered: 0,
            idle_restart: false,
            drain_start_round: 0,
            max_bw: MaxBw::default(),
            bw_shortterm: u64::MAX,
            bw: 0,
            inflight_longterm: NONE,
            inflight_shortterm: NONE,
            extra_acked: ExtraAcked::default(),
            bw_latest: 0,
            inflight_latest: 0,
            loss_round_delivered: 0,
            loss_round_start: false,
            loss_in_round: false,
            loss_rate: 0.0,
            probe_rtt_end: 0,
            holes: 0,
            hole_end: None,
            full_bw_reached: false,
            full_bw_now: false,
            full_bw: 0,
            full_bw_count: 0,
            ack_phase: AckPhase::Init,
            bw_probe_sample: false,
            bw_probe_up_acked: 0,
            probe_up_acked_per_inc: NONE,
            bw_probe_up_rounds: 0,
            rounds_since_probe_up: 0,
            bw_probe_wait: Duration::ZERO,
            cycle_stamp: Instant::ZERO,
            prev_probe_too_high: false,
            prev_probe_precautionary: false,
            min_rtt: None,
            min_rtt_stamp: Instant::ZERO,
            probe_rtt_min_delay: None,
            probe_rtt_min_stamp: Instant::ZERO,
            probe_rtt_expired: false,
            probe_rtt_done: None,
            probe_rtt_round_done: false,
            prior_cwnd: 0,
            undo: Undo {
                state: None,
                bw_shortterm: 0,
                inflight_shortterm: 0,
                inflight_longterm: 0,
            },
        };
        bbr.init_pacing_rate(FIRST_RTT);
        bbr
    }

    /// InitPacingRate.
    fn init_pacing_rate(&mut self, rtt: Duration) {
        let bandwidth = f64::from(self.cwnd) / rtt.max(Duration::from_micros(1)).as_secs_f64();
        self.pacing_rate = (State::Startup.pacing_gain() * bandwidth) as u64;
    }

    /// The path carries at least this, octets in flight.
    fn min_pipe(&self) -> u32 {
        MIN_PIPE * self.mss
    }

    /// BDPMultiple.
    fn bdp_multiple(&self, bw: u64, gain: f64) -> u32 {
        match self.min_rtt {
            None => initial_window(self.mss),
            Some(rtt) => (bw as f64 * rtt.as_secs_f64() * gain) as u32,
        }
    }

    /// QuantizationBudget.
    fn with_quanta(&self, inflight: u32) -> u32 {
        let up = if self.state == State::Up {
            2 * self.mss
        } else {
            0
        };
        let budget = self.send_quantum.saturating_mul(3);
        inflight.max(budget).max(self.min_pipe()).saturating_add(up)
    }

    /// Inflight.
    fn inflight(&self, bw: u64, gain: f64) -> u32 {
        self.with_quanta(self.bdp_multiple(bw, gain))
    }

    /// InflightWithHeadroom.
    fn inflight_with_headroom(&self) -> u32 {
        if self.inflight_longterm == NONE {
            return NONE;
        }
        let headroom = ((HEADROOM * f64::from(self.inflight_longterm)) as u32).max(self.mss);
        (self.inflight_longterm.saturating_sub(headroom)).max(self.min_pipe())
    }

    /// ProbeRTTCwnd.
    fn probe_rtt_cwnd(&self) -> u32 {
        let gain = State::ProbeRtt.cwnd_gain();
        self.bdp_multiple(self.bw, gain).max(self.min_pipe())
    }

    /// TargetInflight.
    fn target_inflight(&self) -> u32 {
        self.bdp_multiple(self.bw, 1.0).min(self.cwnd)
    }

    /// SetPacingRateWithGain.
    fn set_pacing_rate(&mut self, gain: f64) {
        let rate = (gain * self.bw as f64 * PACING_MARGIN) as u64;
        if rate > 0 && (self.full_bw_reached || rate > self.pacing_rate) {
            self.pacing_rate = rate;
        }
    }

    /// UpdateControlParameters.
    fn control(&mut self, sample: &Sample) {
        self.set_pacing_rate(self.state.pacing_gain());
        let min_rtt = self.min_rtt.unwrap_or_default();
        self.send_quantum = quantum(self.pacing_rate, min_rtt, self.mss);
        self.set_window(sample);
    }

    /// SetCwnd with its bounds.
    fn set_window(&mut self, sample: &Sample) {
        let most = self
            .bdp_multiple(self.bw, self.state.cwnd_gain())
            .saturating_add(self.extra_acked.most());
        let max_inflight = self.with_quanta(most);
        let grown = self.cwnd.saturating_add(sample.acked);
        if self.full_bw_reached {
            self.cwnd = grown.min(max_inflight);
        } else if self.cwnd < max_inflight
            || sample.total_delivered < u64::from(initial_window(self.mss))
        {
            self.cwnd = grown;
        }
        self.cwnd = self.cwnd.max(self.min_pipe());
        if self.state == State::ProbeRtt {
            self.cwnd = self.cwnd.min(self.probe_rtt_cwnd());
        }
        // BoundCwndForModel.
        let bound = match self.state {
            State::Down | State::Refill | State::Up => self.inflight_longterm,
            State::ProbeRtt | State::Cruise => self.inflight_with_headroom(),
            State::Startup | State::Drain => NONE,
        };
        let bound = bound.min(self.inflight_shortterm).max(self.min_pipe());
        self.cwnd = self.cwnd.min(bound);
    }

    /// SaveCwnd.
    fn save_cwnd(&mut self) {
        self.prior_cwnd = if !self.recovering && self.state != State::ProbeRtt {
            self.cwnd
        } else {
            self.prior_cwnd.max(self.cwnd)
        };
    }

    /// RestoreCwnd.
    fn restore_cwnd(&mut self) {
        self.cwnd = self.cwnd.max(self.prior_cwnd);
    }

    /// SaveStateUponLoss.
    fn save_state(&mut self) {
        self.save_cwnd();
        self.undo = Undo {
            state: None,
            bw_shortterm: self.bw_shortterm,
            inflight_shortterm: self.inflight_shortterm,
            inflight_longterm: self.inflight_longterm,
        };
    }
}

impl Congestion for Bbr {
    fn cwnd(&self) -> u32 {
        self.cwnd
    }

    /// It has none.
    fn ssthresh(&self) -> u32 {
        u32::MAX
    }

    fn set_cwnd(&mut self, cwnd: u32) {
        self.cwnd = cwnd.max(self.mss);
    }

    fn on_ack(&mut self, _ack: &Ack) {}

    /// OnEnterFastRecovery. What was lost is told apart, in `on_lost`.
    fn on_loss(&mut self, _now: Instant, _flight: u32) {
        if !self.recovering {
            self.save_cwnd();
        }
        self.recovering = true;
    }

    /// OnEnterRTO.
    fn on_timeout(&mut self, _now: Instant, flight: u32, _first: bool) {
        // Without anything in flight it was a SYN's.
        if flight > 0 {
            self.save_state();
            self.recovering = true;
        }
        self.cwnd = self.mss;
    }

    /// HandleSpuriousLossDetection.
    fn undo(&mut self, _cwnd: u32, _ssthresh: u32) {
        self.recovering = false;
        self.restore_cwnd();
        self.loss_in_round = false;
        self.reset_full_bw(0);
        let undo = self.undo;
        self.bw_shortterm = self.bw_shortterm.max(undo.bw_shortterm);
        self.inflight_shortterm = self.inflight_shortterm.max(undo.inflight_shortterm);
        self.inflight_longterm = self.inflight_longterm.max(undo.inflight_longterm);
        match undo.state {
            Some(State::Startup) if self.state != State::Startup => {
                self.full_bw_reached = false;
                if self.state != State::ProbeRtt {
                    self.state = State::Startup;
                }
            }
            Some(State::Up) if !matches!(self.state, State::Up | State::ProbeRtt) => {
                self.start_refill();
            }
            _ => {}
        }
        self.undo.state = None;
    }

    fn take_over(&mut self, cwnd: u32, _ssthresh: u32) {
        self.cwnd = cwnd.max(self.mss);
    }

    /// Its pace is what keeps a restart from being a burst.
    fn on_idle_restart(&mut self) {}

    fn set_mss(&mut self, mss: u32) {
        if self.cwnd == initial_window(self.mss) {
            self.cwnd = initial_window(mss);
        }
        self.mss = mss;
        self.cwnd = self.cwnd.max(mss);
    }

    fn governs(&self) -> bool {
        true
    }

    fn wants_samples(&self) -> bool {
        true
    }

    /// UpdateOnACK.
    fn on_sample(&mut self, sample: &Sample) -> bool {
        self.delivered = sample.total_delivered;
        if self.min_rtt.is_none() {
            // The clocks start with the first measurement.
            self.min_rtt_stamp = sample.now;
            self.probe_rtt_min_stamp = sample.now;
            self.extra_acked.restart(sample.now);
            if let Some(rtt) = sample.rtt {
                self.init_pacing_rate(rtt);
            }
        }
        let limited = self.update_model(sample);
        self.control(sample);
        limited
    }

    /// HandleLostPacket.
    fn on_lost(&mut self, lost: &Lost) {
        self.note_loss();
        if self.hole_end != Some(lost.start) {
            self.holes = self.holes.saturating_add(1);
        }
        self.hole_end = Some(lost.start + lost.len);
        if self.bw_probe_sample && too_high(lost.lost, lost.tx_in_flight, lost.sack) {
            self.inflight_too_high(lost.now, inflight_at_loss(lost), lost.app_limited);
        }
    }

    /// The draft leaves the answer to a mark open and asks that there be one (3.7): here a mark is what a loss rate above the
    /// threshold is.
    fn on_mark(&mut self, now: Instant) -> bool {
        self.note_loss();
        if self.state == State::Startup {
            self.leave_startup_early();
        } else if self.bw_probe_sample {
            self.inflight_too_high(now, self.inflight_latest, false);
        }
        true
    }

    fn on_recovered(&mut self) {
        if std::mem::take(&mut self.recovering) {
            self.restore_cwnd();
        }
    }

    /// HandleRestartFromIdle.
    fn on_restart(&mut self, now: Instant) {
        self.idle_restart = true;
        self.extra_acked.restart(now);
        if self.state.probes_bandwidth() {
            self.set_pacing_rate(1.0);
        } else if self.state == State::ProbeRtt {
            self.check_probe_rtt_done(now, 0);
        }
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.pacing_rate)
    }

    fn bbr_info(&self) -> Option<BbrInfo> {
        let fixed = |gain: f64| (gain * 256.0) as u32;
        Some(BbrInfo {
            bw: self.bw,
            min_rtt: self.min_rtt,
            pacing_gain: fixed(self.state.pacing_gain()),
            cwnd_gain: fixed(self.state.cwnd_gain()),
        })
    }
}

/// IsInflightTooHigh.
fn too_high(lost: u32, tx_in_flight: u32, sack: bool) -> bool {
    f64::from(lost) > f64::from(tx_in_flight) * LOSS_THRESH || (lost > 0 && !sack)
}

/// InflightAtLoss: how much in flight it was with which the loss rate crossed its threshold.
fn inflight_at_loss(lost: &Lost) -> u32 {
    let before = f64::from(lost.tx_in_flight.saturating_sub(lost.len));
    let lost_before = f64::from(lost.lost.saturating_sub(lost.len));
    let prefix = (LOSS_THRESH * before - lost_before) / (1.0 - LOSS_THRESH);
    (before + prefix).max(0.0) as u32
}
