//! Time as the stack sees it: a number handed in by whoever drives it.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

/// A point in time, in microseconds since an origin that the driver chose. Never read from a clock here.
///
/// Kept as one more than the number, so that an `Option` of it needs no more room: connections have many.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

impl Instant {
    /// The origin.
    pub const ZERO: Instant = Instant(NonZeroU64::MIN);

    /// The point `us` microseconds after the origin; the very last one is that of `u64::MAX - 1`.
    pub const fn from_micros(us: u64) -> Instant {
        Instant(NonZeroU64::MIN.saturating_add(us))
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// Milliseconds since the origin, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.as_micros() / 1000
    }

    /// As [`Instant::since`], in microseconds: what is only compared need not become seconds and nanoseconds.
    #[inline]
    pub(crate) const fn micros_since(self, earlier: Instant) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }

    /// The time from `earlier` to `self`, zero when `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.micros_since(earlier))
    }
}

/// The first of some points in time of which each may be missing. Asked several times for each packet.
#[inline]
pub(crate) fn earliest<const N: usize>(all: [Option<Instant>; N]) -> Option<Instant> {
    // What is missing, 0 as a number, is later than everything: a comparison each, and no branch.
    let micros = |at: Option<Instant>| at.map_or(0, |at| at.0.get()).wrapping_sub(1);
    let first = all
        .iter()
        .fold(u64::MAX, |first, at| first.min(micros(*at)));
    NonZeroU64::new(first.wrapping_add(1)).map(Instant)
}

impl Default for Instant {
    /// The origin.
    fn default() -> Instant {
        Instant::ZERO
    }
}

impl std::fmt::Debug for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Instant({})", self.as_micros())
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Instant;
    /// Saturates at the end of time instead of overflowing.
    fn add(self, d: Duration) -> Instant {
        let micros = d.as_secs().saturating_mul(1_000_000);
        let micros = micros.saturating_add(u64::from(d.subsec_micros()));
        Instant(self.0.saturating_add(micros))
    }
}

/// Whole microseconds of `d`; more than 64 bits hold become as many as they do.
#[inline]
pub(crate) fn whole_micros(d: Duration) -> u64 {
    let whole = d.as_secs().saturating_mul(1_000_000);
    whole.saturating_add(u64::from(d.subsec_micros()))
}

/// A span of time as connections keep it: microseconds, 71 minutes at most, in four octets, an `Option` of it too.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(NonZeroU32);

impl Span {
    /// No time at all.
    pub(crate) const ZERO: Span = Span(NonZeroU32::MIN);

    /// Of so many microseconds; what is longer than a span can be becomes the longest.
    #[inline]
    pub(crate) const fn from_micros(us: u64) -> Span {
        let us = if us < u32::MAX as u64 {
            us as u32
        } else {
            u32::MAX
        };
        Span(NonZeroU32::MIN.saturating_add(us))
    }

    /// From `earlier` to `later`, none when `earlier` is later.
    #[inline]
    pub(crate) const fn between(earlier: Instant, later: Instant) -> Span {
        Span::from_micros(later.micros_since(earlier))
    }

    /// Microseconds.
    pub(crate) const fn as_micros(self) -> u32 {
        self.0.get() - 1
    }

    /// As the standard library has it.
    pub(crate) const fn get(self) -> Duration {
        Duration::from_micros(self.as_micros() as u64)
    }
}

impl From<Duration> for Span {
    /// Rounds down to whole microseconds; what is longer than a span can be becomes the longest.
    fn from(d: Duration) -> Span {
        Span::from_micros(whole_micros(d))
    }
}

impl Default for Span {
    fn default() -> Span {
        Span::ZERO
    }
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_what_is_there_is_the_earliest() {
        let [first, second, last] = [0, 7, u64::MAX].map(|us| Some(Instant::from_micros(us)));
        assert_eq!(earliest([None, last, second, None, first]), first);
        assert_eq!(earliest([last, second]), second);
        assert_eq!(earliest([None, last]), last);
        assert_eq!(earliest([None, None]), None);
        assert_eq!(earliest([]), None);
    }

    #[test]
    fn instants_and_spans_keep_their_numbers_and_their_options_cost_nothing() {
        for us in [0, 1, 999, 1 << 40, u64::MAX - 1] {
            assert_eq!(Instant::from_micros(us).as_micros(), us);
        }
        assert_eq!(Instant::from_micros(u64::MAX).as_micros(), u64::MAX - 1);
        let end = Instant::from_micros(5) + Duration::MAX;
        assert_eq!(
            end.since(Instant::ZERO).as_micros(),
            u128::from(u64::MAX - 1)
        );
        assert_eq!(Instant::ZERO.since(end), Duration::ZERO);
        for us in [0, 1, 4_000_000_000] {
            assert_eq!(
                Span::from(Duration::from_micros(us)).get().as_micros(),
                u128::from(us)
            );
        }
        assert_eq!(Span::from(Duration::MAX).as_micros(), u32::MAX - 1);
        assert_eq!(size_of::<Option<Instant>>(), 8);
        assert_eq!(size_of::<Option<Span>>(), 4);
    }
}
