//! The way from a host into the network: what it loses, delays, repeats, garbles and refuses.

use crate::dice::Dice;
use crate::packet;
use crate::plan::LinkPlan;

/// Longest bad state, microseconds.
const BAD_MAX: u64 = 3_000_000;

/// An uplink and its state.
pub(crate) struct Link {
    pub(crate) plan: LinkPlan,
    /// Largest IP packet carried, octets.
    pub(crate) mtu: u32,
    /// Nothing gets through before this time.
    pub(crate) down_until: u64,
    bad: bool,
    bad_until: u64,
    busy_until: u64,
    last_arrival: u64,
}

/// What becomes of a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It arrives then; the flag says garbled.
    Arrive(u64, bool),
    /// It arrives twice.
    Twice(u64, u64),
    /// It is lost.
    Lost(&'static str),
    /// It does not fit; the flag says whether the sender is told.
    TooBig(bool),
}

impl Link {
    /// A fresh one.
    pub(crate) fn new(plan: LinkPlan, mtu: u32) -> Link {
        Link {
            plan,
            mtu,
            down_until: 0,
            bad: false,
            bad_until: 0,
            busy_until: 0,
            last_arrival: 0,
        }
    }

    /// Decides about a frame sent at `now`.
    pub(crate) fn carry(&mut self, d: &mut Dice, now: u64, frame: &[u8]) -> Fate {
        if packet::size_on_path(frame) > self.mtu as usize {
            return Fate::TooBig(self.plan.icmp);
        }
        if now < self.down_until {
            return Fate::Lost("outage");
        }
        let p = &self.plan;
        if let Some((to_bad, to_good, loss)) = p.burst {
            // What is bad ends by itself even when nobody sends.
            self.bad &= now < self.bad_until;
            let leaves = if self.bad { to_good } else { to_bad };
            if d.chance(leaves) {
                self.bad = !self.bad;
                self.bad_until = now + BAD_MAX;
            }
            if self.bad && d.chance(loss) {
                return Fate::Lost("burst");
            }
        }
        if d.chance(p.loss) {
            return Fate::Lost("loss");
        }
        let mut out = now;
        if let Some(takes) = (frame.len() as u64 * 1_000_000).checked_div(p.rate) {
            let start = self.busy_until.max(now);
            if start - now > p.queue {
                return Fate::Lost("queue");
            }
            self.busy_until = start + takes;
            out = self.busy_until;
        }
        let mut at = out + p.delay;
        if p.jitter > 0 {
            at += d.below(p.jitter);
        }
        if p.in_order {
            at = at.max(self.last_arrival);
            self.last_arrival = at;
        }
        if d.chance(p.reorder.0) {
            at += d.below(p.reorder.1 + 1);
        }
        if d.chance(p.duplicate) {
            return Fate::Twice(at, at + d.below(2 * p.delay + 10));
        }
        Fate::Arrive(at, d.chance(p.corrupt))
    }
}

/// Garbles one place of a packet (behind the virtio-net header) such that the checksums cannot but tell: at most 15 bits in a row.
/// The IPv6 header's first eight octets have no checksum of their own and are spared.
pub(crate) fn garble(d: &mut Dice, frame: &mut [u8]) {
    let from = if frame[packet::VNET] >> 4 == 6 {
        packet::VNET + 8
    } else {
        packet::VNET
    };
    let at = from + d.below((frame.len() - from) as u64) as usize;
    frame[at] ^= d.range(1, 255) as u8;
}
