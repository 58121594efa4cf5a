//! Proportional rate reduction (RFC 9937, which replaces RFC 6937): how much is sent per acknowledgement during recovery.

/// State of one recovery; all amounts are octets.
#[derive(Copy, Clone, PartialEq, Debug, Default)]
pub(crate) struct Prr {
    /// In flight when recovery began (RecoverFS).
    recover_fs: u32,
    /// Delivered since (prr_delivered).
    delivered: u32,
    /// Sent since (prr_out).
    pub(crate) out: u32,
}

impl Prr {
    /// Recovery begins with this much outstanding.
    pub(crate) fn begin(recover_fs: u32) -> Prr {
        Prr {
            recover_fs: recover_fs.max(1),
            ..Prr::default()
        }
    }

    /// Less was delivered than was in flight when recovery began.
    pub(crate) fn more_is_due(&self) -> bool {
        self.delivered < self.recover_fs
    }

    /// The congestion window after an acknowledgement that delivered `delivered` octets with `pipe` in flight now. `safe`: SND.UNA
    /// has moved and nothing new was found lost.
    pub(crate) fn cwnd(
        &mut self,
        delivered: u32,
        pipe: u32,
        ssthresh: u32,
        mss: u32,
        safe: bool,
    ) -> u32 {
        self.delivered = self.delivered.saturating_add(delivered);
        let send = if pipe > ssthresh {
            let share = (u64::from(self.delivered) * u64::from(ssthresh))
                .div_ceil(u64::from(self.recover_fs));
            (share as u32).saturating_sub(self.out)
        } else {
            // Conservative reduction bound, or slow-start reduction bound when progress is good.
            let mut limit = self.delivered.saturating_sub(self.out).max(delivered);
            if safe {
                limit = limit.saturating_add(mss);
            }
            limit.min(ssthresh - pipe)
        };
        // The first retransmission always goes.
        let send = if self.out == 0 { send.max(mss) } else { send };
        pipe.saturating_add(send)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_comes_down_in_proportion_to_what_is_delivered() {
        let mut prr = Prr::begin(100_000);
        let (mut pipe, mut sent) = (100_000, 0);
        for _ in 0..99 {
            pipe -= 1000;
            let cwnd = prr.cwnd(1000, pipe, 50_000, 1000, false);
            let send = cwnd.saturating_sub(pipe) / 1000 * 1000;
            prr.out += send;
            sent += send;
            pipe += send;
        }
        assert!((48_000..=52_000).contains(&sent), "sent {sent}");
        assert!((48_000..=53_000).contains(&pipe), "in flight {pipe}");
    }
}
