//! Which octets beyond rcv_nxt have arrived (RFC 9293 3.10.7.4, RFC 2018 4).

use smallvec::SmallVec;

use super::seq::SeqNum;
use crate::wire::tcp::{MAX_SACK_BLOCKS, SackBlock};

/// Ranges remembered per connection; a segment that would make one more is not kept (it will be sent again).
const MAX_RANGES: usize = 512;

/// Out-of-order ranges, ascending, disjoint and not touching, all after rcv_nxt. Mostly there are none, and no memory.
#[derive(Default)]
pub(crate) struct Assembler(Option<Box<Ranges>>);

#[derive(Default)]
struct Ranges {
    ranges: SmallVec<[SackBlock; 2]>,
    /// Where the latest arrivals were, newest first: what RFC 2018 4 wants reported first.
    recent: SmallVec<[SeqNum; MAX_SACK_BLOCKS]>,
}

impl Assembler {
    /// Whether nothing is out of order.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn ranges(&self) -> &[SackBlock] {
        self.0.as_ref().map_or(&[], |inner| &inner.ranges)
    }

    /// Records `start..end`; false when it can't be remembered.
    pub(crate) fn add(&mut self, start: SeqNum, end: SeqNum) -> bool {
        self.0.get_or_insert_default().add(start, end)
    }

    /// Whether all of `start..end` is here already.
    pub(crate) fn contains(&self, start: SeqNum, end: SeqNum) -> bool {
        let ranges = self.ranges();
        let at = ranges.partition_point(|(_, e)| e.before_eq(start));
        ranges
            .get(at)
            .is_some_and(|(s, e)| s.before_eq(start) && e.after_eq(end))
    }

    /// rcv_nxt has come to `rcv_nxt`: returns how far it may go on over ranges that touch it, and forgets those.
    pub(crate) fn advance(&mut self, rcv_nxt: SeqNum) -> SeqNum {
        let Some(inner) = &mut self.0 else {
            return rcv_nxt;
        };
        let mut nxt = rcv_nxt;
        let mut gone = 0;
        for (start, end) in &inner.ranges {
            if start.after(nxt) {
                break;
            }
            nxt = nxt.later(*end);
            gone += 1;
        }
        inner.ranges.drain(..gone);
        if inner.ranges.is_empty() {
            self.0 = None;
        }
        nxt
    }

    /// SACK blocks to report, the one with the latest arrival first (RFC 2018 4); at most `max`.
    pub(crate) fn sack_blocks(&self, max: usize) -> SmallVec<[SackBlock; MAX_SACK_BLOCKS]> {
        let mut out: SmallVec<[SackBlock; MAX_SACK_BLOCKS]> = SmallVec::new();
        let Some(inner) = &self.0 else {
            return out;
        };
        for seq in &inner.recent {
            let at = inner.ranges.partition_point(|(_, e)| e.before_eq(*seq));
            if let Some(block) = inner.ranges.get(at).filter(|(s, _)| s.before_eq(*seq))
                && !out.contains(block)
                && out.len() < max.min(MAX_SACK_BLOCKS)
            {
                out.push(*block);
            }
        }
        out
    }

    /// Behind the last octet of the last range.
    pub(crate) fn reach(&self) -> Option<SeqNum> {
        self.ranges().last().map(|(_, end)| *end)
    }

    /// Checks that the ranges are what the type says, after `nxt` and not beyond `edge`.
    pub(crate) fn audit(&self, nxt: SeqNum, edge: SeqNum) -> Result<(), String> {
        let mut after = nxt;
        for (start, end) in self.ranges() {
            if !start.after(after) || !end.after(*start) || end.after(edge) {
                return Err(format!(
                    "range {start:?}..{end:?} after {after:?}, window ends at {edge:?}"
                ));
            }
            after = *end;
        }
        Ok(())
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Assembler::default();
    }
}

impl Ranges {
    fn add(&mut self, start: SeqNum, end: SeqNum) -> bool {
        // The ranges are ascending: find the first that ends at or after `start`.
        let first = self.ranges.partition_point(|(_, e)| e.before(start));
        let mut last = first;
        let (mut lo, mut hi) = (start, end);
        while let Some((s, e)) = self.ranges.get(last).filter(|(s, _)| s.before_eq(end)) {
            lo = lo.earlier(*s);
            hi = hi.later(*e);
            last += 1;
        }
        if first == last && self.ranges.len() >= MAX_RANGES {
            return false;
        }
        if first == last {
            self.ranges.insert(first, (lo, hi));
        } else {
            self.ranges[first] = (lo, hi);
            self.ranges.drain(first + 1..last);
        }
        self.recent.retain(|seq| seq.before(lo) || seq.after_eq(hi));
        self.recent.insert(0, start);
        self.recent.truncate(MAX_SACK_BLOCKS);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: u32) -> SeqNum {
        SeqNum::new(n.wrapping_sub(50)) // so that some ranges lie across the wrap
    }

    #[test]
    fn agrees_with_a_bitmap() {
        // A small linear congruential generator: the case list is fixed.
        let mut state = 12345u32;
        let mut next = |n: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % n
        };
        for _ in 0..200 {
            let mut assembler = Assembler::default();
            let mut bitmap = [false; 200];
            let mut nxt = 0usize;
            for _ in 0..40 {
                let a =
                    nxt as u32 + 1 + next((199 - nxt as u32).max(1)).min(198 - nxt.min(197) as u32);
                let b = (a + 1 + next(20)).min(200);
                if a >= 200 {
                    continue;
                }
                assert!(assembler.add(s(a), s(b)));
                bitmap[a as usize..b as usize]
                    .iter_mut()
                    .for_each(|bit| *bit = true);
                if next(4) == 0 {
                    bitmap[nxt] = true;
                    nxt += 1;
                    while nxt < 200 && bitmap[nxt] {
                        nxt += 1;
                    }
                    let from = bitmap[..nxt].len();
                    let got = assembler.advance(s(from as u32));
                    assert_eq!(got, s(nxt as u32));
                    if nxt >= 199 {
                        break;
                    }
                }
                for (start, end) in assembler.ranges() {
                    let (start, end) = (start.since(s(0)) as usize, end.since(s(0)) as usize);
                    assert!(bitmap[start..end].iter().all(|bit| *bit));
                    assert!(!bitmap[start - 1] && bitmap.get(end) != Some(&true));
                }
            }
        }
    }

    #[test]
    fn the_latest_arrival_is_reported_first() {
        let mut a = Assembler::default();
        a.add(s(10), s(20));
        a.add(s(30), s(40));
        a.add(s(50), s(60));
        a.add(s(35), s(45));
        assert_eq!(
            a.sack_blocks(3).as_slice(),
            &[(s(30), s(45)), (s(50), s(60)), (s(10), s(20))]
        );
        assert_eq!(a.sack_blocks(1).as_slice(), &[(s(30), s(45))]);
    }
}
