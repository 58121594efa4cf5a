//! The scoreboard: what is in flight, when it was last sent, and what the peer's SACK blocks and our loss detection say about it
//! (RFC 6675 3 and 4, RFC 8985 5.2).
//!
//! One record stands for one transmission of any length, so a super-segment costs one; it is split where an ACK, a SACK block or
//! a retransmission cuts it. SACK blocks tell of segments: one that names part of a segment tells nothing of that one, as on Linux
//! (tcp_match_skb_to_sack). No receiver that holds what it was sent has reason to send it.

use super::rate::Stamp;
use super::records::Records;
use super::seq::SeqNum;
use crate::time::Instant;

/// Records that SACK blocks may cut what is in flight into: so many, and one more for each of so many octets.
const RECORDS: usize = 256;
const OCTETS_A_RECORD: u32 = 256;

/// What is known of octets that were sent.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Fate {
    InFlight,
    Sacked,
    Lost,
}

/// Octets that were sent together.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    /// First sequence number.
    pub(crate) start: SeqNum,
    /// Octets, SYN and FIN counted.
    pub(crate) len: u32,
    /// When they were last sent.
    pub(crate) at: Instant,
    /// For the delivery rate.
    pub(crate) stamp: Stamp,
    /// They went in segments of so many octets, counted from `start`.
    mss: u16,
    /// They were sent more than once.
    pub(crate) resent: bool,
    fate: Fate,
}

impl Sent {
    /// Sequence number after the last octet.
    pub(crate) fn end(&self) -> SeqNum {
        self.start + self.len
    }

    /// A SACK block covers them.
    pub(crate) fn sacked(&self) -> bool {
        self.fate == Fate::Sacked
    }

    /// They are believed lost and not sent again yet.
    pub(crate) fn lost(&self) -> bool {
        self.fate == Fate::Lost
    }

    fn in_flight(&self) -> bool {
        self.fate == Fate::InFlight
    }

    /// Octets of the segments that begin before `at`, and of those that end at it or before.
    fn segments_at(&self, at: SeqNum) -> (u32, u32) {
        let (offset, mss) = (at.since(self.start), u32::from(self.mss));
        let (up, down) = (offset.div_ceil(mss) * mss, offset / mss * mss);
        // What FIN adds to the last segment is no segment.
        (up.min(self.len), down)
    }
}

/// Everything between SND.UNA and SND.NXT, in order.
#[derive(Default)]
pub(crate) struct SentQueue {
    records: Records,
    /// Octets with `sacked`.
    sacked: u32,
    /// Octets with `lost`.
    lost: u32,
    /// Octets in all records.
    total: u32,
}

impl SentQueue {
    /// Octets believed to be in the network (RFC 6675 4, SetPipe).
    pub(crate) fn pipe(&self) -> u32 {
        self.total
            .saturating_sub(self.sacked)
            .saturating_sub(self.lost)
    }

    /// Octets that SACK blocks cover.
    pub(crate) fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Octets that wait to be sent again.
    pub(crate) fn lost(&self) -> u32 {
        self.lost
    }

    /// Whether nothing is outstanding.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Gives memory back that nothing is in.
    pub(crate) fn rest(&mut self) {
        self.records.rest();
    }

    /// The records, in order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Sent> {
        self.records.iter()
    }

    /// New octets have been sent, in segments of `mss` and perhaps a shorter one at the end. What went at the same moment is one record
    /// as long as that holds.
    pub(crate) fn push(&mut self, start: SeqNum, len: u32, mss: u32, at: Instant, stamp: Stamp) {
        let mss = segment_len(mss);
        self.total += len;
        if let Some(last) = self.records.back_mut()
            && last.at == at
            && last.end() == start
            && last.in_flight()
            && !last.resent
            && last.mss == mss
            && last.len.is_multiple_of(mss.into())
        {
            last.len += len;
            last.stamp.sent_with(stamp);
            return;
        }
        self.records.push_back(Sent {
            start,
            len,
            at,
            stamp,
            mss,
            resent: false,
            fate: Fate::InFlight,
        });
    }

    /// SND.UNA has come to `una`: tells `each` of every record, or part of one, that is acknowledged and was not SACKed before.
    pub(crate) fn acknowledge(&mut self, una: SeqNum, mut each: impl FnMut(&Sent)) {
        // What is left of a segment is no segment's length.
        let all = self.records.back().is_none_or(|r| r.end().before_eq(una));
        if !all && let Some(record) = self.holding(una) {
            let rest = record.start + record.segments_at(una).0;
            self.split_at(rest);
        }
        while let Some(first) = self.records.front_mut().filter(|r| r.start.before(una)) {
            let part = Sent {
                len: una.since(first.start).min(first.len),
                ..*first
            };
            if part.len == first.len {
                self.records.pop_front();
            } else {
                first.start += part.len;
                first.len -= part.len;
            }
            self.uncount(&part);
            self.total -= part.len;
            if !part.sacked() {
                each(&part);
            }
        }
    }

    /// All that is out is acknowledged, nothing of which was SACKed or is believed lost: tells `each` of every record.
    pub(crate) fn acknowledge_all(&mut self, mut each: impl FnMut(&Sent)) {
        debug_assert!(self.sacked == 0 && self.lost == 0);
        while let Some(record) = self.records.pop_front() {
            each(&record);
        }
        self.total = 0;
    }

    /// The peer holds `left..right`: tells `each` of what is news.
    ///
    /// A peer that names single segments cannot cut what is in flight into records that outweigh it: beyond a bound blocks that cut are
    /// not heeded, which is always allowed, for they are advice (RFC 2018 8).
    pub(crate) fn sack(&mut self, left: SeqNum, right: SeqNum, mut each: impl FnMut(&Sent)) {
        let (first, last) = (self.holding(left), self.holding(right));
        let bound = RECORDS + (self.total / OCTETS_A_RECORD) as usize;
        if self.records.len() >= bound && (first.is_some() || last.is_some()) {
            return;
        }
        let left = first.map_or(left, |r| r.start + r.segments_at(left).0);
        let right = last.map_or(right, |r| r.start + r.segments_at(right).1);
        if !left.before(right) {
            return;
        }
        self.for_range(left, right, |queue, index| {
            let Some(record) = queue.records.get(index).copied().filter(|r| !r.sacked()) else {
                return;
            };
            queue.uncount(&record);
            queue.sacked += record.len;
            each(&record);
            if let Some(record) = queue.records.get_mut(index) {
                record.fate = Fate::Sacked;
            }
        });
    }

    /// `start..start + len` has been sent again, in segments of `mss`.
    pub(crate) fn resend(&mut self, start: SeqNum, len: u32, mss: u32, at: Instant, stamp: Stamp) {
        let mss = segment_len(mss);
        self.for_range(start, start + len, |queue, index| {
            let Some(record) = queue.records.get(index).copied() else {
                return;
            };
            queue.uncount(&record);
            if let Some(record) = queue.records.get_mut(index) {
                *record = Sent {
                    at,
                    stamp,
                    mss,
                    resent: true,
                    fate: Fate::InFlight,
                    ..*record
                };
            }
        });
    }

    /// Marks what `is_lost` says of records that are in flight; returns octets marked.
    pub(crate) fn mark_lost(&mut self, mut is_lost: impl FnMut(&Sent) -> bool) -> u32 {
        let before = self.lost;
        for record in self.records.iter_mut() {
            if record.in_flight() && is_lost(record) {
                record.fate = Fate::Lost;
                self.lost += record.len;
            }
        }
        self.lost - before
    }

    /// Marks `start..start + len` lost (without SACK only the front is known to be missing).
    pub(crate) fn mark_range_lost(&mut self, start: SeqNum, len: u32, mut each: impl FnMut(&Sent)) {
        self.for_range(start, start + len, |queue, index| {
            if let Some(record) = queue.records.get_mut(index).filter(|r| r.in_flight()) {
                record.fate = Fate::Lost;
                queue.lost += record.len;
                each(record);
            }
        });
    }

    /// After a time-out all that is not SACKed counts as lost. A peer that discards what it SACKed (its first octet is missing
    /// although SACKed) is not believed any more (RFC 2018 8).
    pub(crate) fn mark_all_lost(&mut self, mut each: impl FnMut(&Sent)) {
        if self.records.front().is_some_and(Sent::sacked) {
            let sacked = self.records.iter_mut().filter(|r| r.sacked());
            sacked.for_each(|r| r.fate = Fate::InFlight);
            self.sacked = 0;
        }
        self.mark_lost(|record| {
            each(record);
            true
        });
    }

    /// Nothing was lost after all.
    pub(crate) fn unmark_lost(&mut self) {
        let lost = self.records.iter_mut().filter(|r| r.lost());
        lost.for_each(|r| r.fate = Fate::InFlight);
        self.lost = 0;
    }

    /// The first octets that wait to be sent again.
    pub(crate) fn next_lost(&self) -> Option<Sent> {
        if self.lost == 0 {
            return None;
        }
        self.records.iter().find(|r| r.lost()).copied()
    }

    /// Checks that the records cover `una..nxt` without gaps and that the sums are right.
    pub(crate) fn audit(&self, una: SeqNum, nxt: SeqNum) -> Result<(), String> {
        let (mut at, mut sacked, mut lost) = (una, 0, 0);
        for record in self.records.iter() {
            let sound = record.start == at && record.len > 0 && record.mss > 0;
            if !sound {
                return Err(format!("{record:?} where {at:?} was expected"));
            }
            at = record.end();
            sacked += if record.sacked() { record.len } else { 0 };
            lost += if record.lost() { record.len } else { 0 };
        }
        let sums = (self.total, self.sacked, self.lost);
        if at != nxt || sums != (at.since(una), sacked, lost) {
            return Err(format!(
                "records from {una:?} end at {at:?}, sent is {nxt:?}; {sums:?} counted, {sacked} SACKed, {lost} lost there"
            ));
        }
        Ok(())
    }

    fn uncount(&mut self, record: &Sent) {
        if record.sacked() {
            self.sacked -= record.len;
        }
        if record.lost() {
            self.lost -= record.len;
        }
    }

    /// Splits records at the range's ends and calls `act` with the index of each record inside.
    fn for_range(
        &mut self,
        left: SeqNum,
        right: SeqNum,
        mut act: impl FnMut(&mut SentQueue, usize),
    ) {
        self.split_at(left);
        self.split_at(right);
        let mut index = self.records.partition_point(|r| r.start.before(left));
        while self
            .records
            .get(index)
            .is_some_and(|r| r.start.before(right))
        {
            act(self, index);
            index += 1;
        }
    }

    /// The record that `at` lies within, and not at an end of.
    fn holding(&self, at: SeqNum) -> Option<Sent> {
        let index = self.records.partition_point(|r| r.end().before_eq(at));
        let record = self.records.get(index).copied();
        record.filter(|r| r.start.before(at))
    }

    fn split_at(&mut self, at: SeqNum) {
        let index = self.records.partition_point(|r| r.end().before_eq(at));
        let Some(record) = self.records.get_mut(index).filter(|r| r.start.before(at)) else {
            return;
        };
        let head_len = at.since(record.start);
        let tail = Sent {
            start: at,
            len: record.len - head_len,
            ..*record
        };
        record.len = head_len;
        self.records.insert(index + 1, tail);
    }

    /// Whether the counts agree with the records.
    #[cfg(test)]
    fn consistent(&self) -> bool {
        let sum = |f: fn(&&Sent) -> bool| self.records.iter().filter(f).map(|r| r.len).sum::<u32>();
        sum(|r| r.sacked()) == self.sacked
            && sum(|r| r.lost()) == self.lost
            && sum(|_| true) == self.total
    }
}

/// A segment's length, as records have it.
fn segment_len(mss: u32) -> u16 {
    u16::try_from(mss).unwrap_or(u16::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: u32) -> SeqNum {
        SeqNum::new(n.wrapping_sub(3000))
    }

    #[test]
    fn acks_sacks_and_resends_cut_records_where_they_must() {
        let mut q = SentQueue::default();
        let t = Instant::from_micros;
        let none = Stamp::default();
        q.push(s(0), 64_000, 1000, t(1), none);
        q.push(s(64_000), 1000, 1000, t(1), none);
        assert_eq!(q.iter().count(), 1);
        q.push(s(65_000), 1000, 1000, t(2), none);
        assert_eq!(q.pipe(), 66_000);
        let mut news = 0;
        q.sack(s(10_000), s(20_000), |r| news += r.len);
        q.sack(s(15_000), s(25_000), |r| news += r.len);
        assert_eq!((news, q.pipe()), (15_000, 51_000));
        assert!(q.consistent());
        assert_eq!(q.mark_lost(|r| r.start.before(s(10_000))), 10_000);
        assert_eq!(
            q.next_lost().map(|r| (r.start, r.len)),
            Some((s(0), 10_000))
        );
        q.resend(s(0), 1000, 1000, t(9), none);
        assert_eq!(
            q.next_lost().map(|r| (r.start, r.len)),
            Some((s(1000), 9000))
        );
        assert_eq!(q.pipe(), 42_000);
        let mut acked = 0;
        q.acknowledge(s(12_345), |r| acked += r.len);
        assert_eq!(acked, 10_000, "what was SACKed is no news");
        assert!(q.consistent());
        q.mark_all_lost(|_| {});
        assert_eq!(
            q.sacked(),
            0,
            "its first octet was SACKed and is missing: reneging"
        );
        assert_eq!(q.pipe(), 0);
        q.acknowledge(s(66_000), |_| {});
        assert!(q.is_empty() && q.consistent());
    }

    #[test]
    fn sack_blocks_tell_of_whole_segments() {
        let mut q = SentQueue::default();
        let at = Instant::from_micros(1);
        q.push(s(0), 4500, 1000, at, Stamp::default());
        q.push(s(4500), 1000, 1000, at, Stamp::default());
        assert_eq!(q.iter().count(), 2, "behind the short one another begins");
        let mut told = Vec::new();
        let mut sack = |q: &mut SentQueue, left, right| {
            q.sack(s(left), s(right), |r| told.push((r.start, r.len)));
            assert!(q.consistent());
        };
        sack(&mut q, 3999, 4000);
        sack(&mut q, 1, 1999);
        sack(&mut q, 4400, 4500);
        sack(&mut q, 999, 2001);
        sack(&mut q, 3500, 5499);
        assert_eq!(told, [(s(1000), 1000), (s(4000), 500)]);
        // An acknowledgement within a segment leaves the others' ends where they are.
        q.acknowledge(s(2300), |_| {});
        let mut news = 0;
        q.sack(s(3000), s(4000), |r| news += r.len);
        q.sack(s(2300), s(3000), |r| news += r.len);
        assert_eq!((news, q.pipe()), (1700, 1000));
        assert!(q.consistent());
        assert!(size_of::<Sent>() <= 40);
    }

    #[test]
    fn many_small_segments_are_all_heeded() {
        let mut q = SentQueue::default();
        for n in 0..1000 {
            q.push(
                s(n),
                1,
                1000,
                Instant::from_micros(n.into()),
                Stamp::default(),
            );
        }
        q.sack(s(10), s(990), |_| {});
        assert_eq!(q.sacked(), 980);
    }
}
