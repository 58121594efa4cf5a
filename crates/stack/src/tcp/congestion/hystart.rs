//! HyStart++ (RFC 9406): slow start ends when the round-trip time begins to grow, before the queue overflows; and, as Linux's HyStart
//! has it, when acknowledgements stream in without a pause for half a round trip: then the path is full. The growth of the delay
//! alone is seen when as much as the path carries stands in the queue already.

use std::time::Duration;

use super::Ack;
use crate::tcp::seq::SeqNum;
use crate::time::Instant;

/// RFC 9406 4.3.
const MIN_RTT_THRESH: Duration = Duration::from_millis(4);
const MAX_RTT_THRESH: Duration = Duration::from_millis(16);
const MIN_RTT_DIVISOR: u32 = 8;
const N_RTT_SAMPLE: u32 = 8;
const CSS_GROWTH_DIVISOR: u32 = 4;
const CSS_ROUNDS: u32 = 5;
/// Longest pause within a train of acknowledgements (Linux: hystart_ack_delta_us).
const TRAIN_PAUSE: Duration = Duration::from_millis(2);
/// A train of fewer segments than this says nothing (Linux: hystart_low_window).
const TRAIN_WINDOW: u32 = 16;

/// Where slow start stands.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Phase {
    Standard,
    /// Conservative slow start: the baseline that began it, and rounds so far.
    Conservative {
        baseline: Duration,
        rounds: u32,
    },
}

/// Per-connection state, in slow start only.
#[derive(Copy, Clone, Debug)]
pub(super) struct HyStart {
    phase: Phase,
    /// SND.NXT when the round began: it ends when this is acknowledged.
    window_end: Option<SeqNum>,
    last_min: Option<Duration>,
    current_min: Option<Duration>,
    samples: u32,
    /// The smallest round-trip time of all.
    least: Option<Duration>,
    /// When the round's train began and when its last acknowledgement came; `None` after a pause.
    train: Option<(Instant, Instant)>,
}

/// What slow start does with an acknowledgement.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Growth {
    /// Grow by this many octets.
    By(u32),
    /// Slow start is over.
    Exit,
}

impl Default for HyStart {
    fn default() -> HyStart {
        HyStart {
            phase: Phase::Standard,
            window_end: None,
            last_min: None,
            current_min: None,
            samples: 0,
            least: None,
            train: None,
        }
    }
}

impl HyStart {
    /// RFC 9406 4.2. The limit L on growth per ACK is left out: one ACK may answer a whole super-segment.
    pub(super) fn on_ack(&mut self, ack: &Ack, window: u32) -> Growth {
        // The octet at windowEnd is the first of the next round: with its acknowledgement that begins.
        let round_over = self.window_end.is_none_or(|end| ack.una.after(end));
        if round_over {
            self.last_min = self.current_min.take();
            self.samples = 0;
            self.train = Some((ack.now, ack.now));
            self.window_end = Some(ack.nxt);
            if let Phase::Conservative { rounds, .. } = &mut self.phase {
                *rounds += 1;
                if *rounds >= CSS_ROUNDS {
                    return Growth::Exit;
                }
            }
        }
        if let Some(rtt) = ack.rtt {
            self.current_min = Some(self.current_min.map_or(rtt, |min| min.min(rtt)));
            self.samples += 1;
            self.least = Some(self.least.map_or(rtt, |least| least.min(rtt)));
        }
        if self.train_is_long(ack) && window >= TRAIN_WINDOW {
            return Growth::Exit;
        }
        // The window grows first: what the acknowledgement tells holds for the next ones.
        let growth = match self.phase {
            Phase::Standard => Growth::By(ack.acked),
            Phase::Conservative { .. } => Growth::By(ack.acked / CSS_GROWTH_DIVISOR),
        };
        self.judge();
        growth
    }

    /// Linux, hystart_update: the train is as long as half the path. Where the program holds sending up it shows the program.
    fn train_is_long(&mut self, ack: &Ack) -> bool {
        let (Some((begin, last)), Some(least)) = (self.train, self.least) else {
            return false;
        };
        let unbroken = ack.limited && ack.now.since(last) <= TRAIN_PAUSE;
        self.train = unbroken.then_some((begin, ack.now));
        unbroken && ack.now.since(begin) > least / 2
    }

    fn judge(&mut self) {
        let (Some(current), Some(last)) = (self.current_min, self.last_min) else {
            return;
        };
        if self.samples < N_RTT_SAMPLE {
            return;
        }
        match self.phase {
            Phase::Standard => {
                let thresh = (last / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH);
                if current >= last + thresh {
                    self.phase = Phase::Conservative {
                        baseline: current,
                        rounds: 0,
                    };
                }
            }
            Phase::Conservative { baseline, .. } if current < baseline => {
                self.phase = Phase::Standard
            }
            Phase::Conservative { .. } => {}
        }
    }
}
