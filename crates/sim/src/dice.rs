//! Everything random, from a seed. Probabilities are parts per million, so that no rounding differs between machines.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A seeded source of choices.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The source number `stream` of `seed`: one each for plan, network and so on, so that one does not disturb the other.
    pub(crate) fn new(seed: u64, stream: u64) -> Dice {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&stream.to_le_bytes());
        Dice(ChaCha8Rng::from_seed(key))
    }

    /// Any number.
    pub(crate) fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// `0..n` (0 for n = 0).
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.any()) * u128::from(n)) >> 64) as u64
    }

    /// `low..=high`.
    pub(crate) fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// `low..=high`, each doubling as likely as any other.
    pub(crate) fn spread(&mut self, low: u64, high: u64) -> u64 {
        let low = low.max(1);
        let doublings = (high.max(low) / low).ilog2();
        let top = low << self.below(u64::from(doublings) + 1);
        self.range(top, (2 * top).min(high).max(top))
    }

    /// True in `ppm` of a million cases.
    pub(crate) fn chance(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.below(1_000_000) < u64::from(ppm)
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        self.chance(percent * 10_000)
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// Random octets.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}
