//! Sequence numbers: arithmetic modulo 2^32 and no total order (RFC 9293 3.4).

use std::ops::{Add, AddAssign, Sub};

/// A sequence number. There is no `Ord`: compare with [`SeqNum::before`] and its kin, which are meaningful for numbers less
/// than 2^31 apart.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct SeqNum(u32);

impl SeqNum {
    /// From the wire's value, host order.
    pub(crate) const fn new(raw: u32) -> SeqNum {
        SeqNum(raw)
    }

    /// The wire's value, host order.
    pub(crate) const fn raw(self) -> u32 {
        self.0
    }

    /// Signed distance from `other` to `self`.
    const fn cmp_distance(self, other: SeqNum) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }

    /// `self < other`.
    pub(crate) const fn before(self, other: SeqNum) -> bool {
        self.cmp_distance(other) < 0
    }

    /// `self <= other`.
    pub(crate) const fn before_eq(self, other: SeqNum) -> bool {
        self.cmp_distance(other) <= 0
    }

    /// `self > other`.
    pub(crate) const fn after(self, other: SeqNum) -> bool {
        self.cmp_distance(other) > 0
    }

    /// `self >= other`.
    pub(crate) const fn after_eq(self, other: SeqNum) -> bool {
        self.cmp_distance(other) >= 0
    }

    /// Octets from `earlier` to `self`, zero when `self` is before it.
    pub(crate) const fn since(self, earlier: SeqNum) -> u32 {
        let d = self.cmp_distance(earlier);
        if d < 0 { 0 } else { d as u32 }
    }

    /// The later of two.
    pub(crate) const fn later(self, other: SeqNum) -> SeqNum {
        if self.before(other) { other } else { self }
    }

    /// The earlier of two.
    pub(crate) const fn earlier(self, other: SeqNum) -> SeqNum {
        if self.before(other) { self } else { other }
    }
}

impl Add<u32> for SeqNum {
    type Output = SeqNum;
    fn add(self, n: u32) -> SeqNum {
        SeqNum(self.0.wrapping_add(n))
    }
}

impl AddAssign<u32> for SeqNum {
    fn add_assign(&mut self, n: u32) {
        *self = *self + n;
    }
}

impl Sub<u32> for SeqNum {
    type Output = SeqNum;
    fn sub(self, n: u32) -> SeqNum {
        SeqNum(self.0.wrapping_sub(n))
    }
}

impl std::fmt::Debug for SeqNum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_hold_across_the_wrap() {
        let a = SeqNum::new(u32::MAX - 3);
        let b = a + 10;
        assert!(a.before(b) && b.after(a) && a.before_eq(a) && a.after_eq(a));
        assert_eq!(b.since(a), 10);
        assert_eq!(a.since(b), 0);
        assert_eq!(a.later(b), b);
        assert_eq!(a.earlier(b), a);
        assert_eq!((b - 10), a);
    }
}
