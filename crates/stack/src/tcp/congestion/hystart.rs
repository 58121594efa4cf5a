//! HyStart++ (RFC 9406): slow start ends when the round-trip time begins to grow, before the queue overflows.

use std::time::Duration;

use super::Ack;
use crate::tcp::seq::SeqNum;

/// RFC 9406 4.3.
const MIN_RTT_THRESH: Duration = Duration::from_millis(4);
const MAX_RTT_THRESH: Duration = Duration::from_millis(16);
const MIN_RTT_DIVISOR: u32 = 8;
const N_RTT_SAMPLE: u32 = 8;
const CSS_GROWTH_DIVISOR: u32 = 4;
const CSS_ROUNDS: u32 = 5;

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
        }
    }
}

impl HyStart {
    /// RFC 9406 4.2. The limit L on growth per ACK is left out: one ACK may answer a whole super-segment.
    pub(super) fn on_ack(&mut self, ack: &Ack) -> Growth {
        let round_over = self.window_end.is_none_or(|end| ack.una.after_eq(end));
        if round_over {
            self.last_min = self.current_min.take();
            self.samples = 0;
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
        }
        self.judge();
        match self.phase {
            Phase::Standard => Growth::By(ack.acked),
            Phase::Conservative { .. } => Growth::By(ack.acked / CSS_GROWTH_DIVISOR),
        }
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
