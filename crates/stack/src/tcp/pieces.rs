//! How written octets are cut and charged before they are sent: Linux's write and retransmission queues, as boundaries over the
//! byte queue.
//!
//! A piece stands for one of Linux's buffers. What a program can see hangs on them: how much a write takes, when the socket is
//! writable again, where a push is set and what MSG_EOR keeps apart. Segments go over the boundaries of pieces, as they do on Linux
//! (tcp_grow_skb), except over that of MSG_EOR.

use super::seq::SeqNum;

/// What a piece costs beside its octets (Linux 6.18 on 64 bits: truesize of an empty one, seen in SO_MEMINFO).
pub(crate) const PIECE_COST: usize = 832;
/// Acknowledged pieces in front that are not worth moving the others for.
const GONE: usize = 16;

/// Octets up to `end` from where the piece before ends.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Piece {
    end: SeqNum,
    /// The segment with the last octet carries PSH.
    push: bool,
    /// MSG_EOR: nothing is put into a segment behind the last octet.
    closed: bool,
}

/// The pieces from SND.UNA to the end of what is written. One begins at SND.NXT if there is anything unsent.
#[derive(Default)]
pub(crate) struct Pieces(Store);

/// A request or an answer is one piece: it costs no memory of its own.
#[derive(Default)]
enum Store {
    #[default]
    None,
    One(Piece),
    Many(Box<Many>),
}

struct Many {
    all: Vec<Piece>,
    /// So many in front are acknowledged.
    gone: usize,
}

impl Pieces {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list().len()
    }

    /// Whether there is none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.0, Store::None)
    }

    /// If there is one and no other: whether it is pushed.
    #[inline]
    pub(crate) fn only(&self) -> Option<bool> {
        match &self.0 {
            Store::One(piece) => Some(piece.push),
            Store::None | Store::Many(_) => None,
        }
    }

    /// The first piece, all of it at once: up to `end`, and pushed.
    #[inline]
    pub(crate) fn start_pushed(&mut self, end: SeqNum) {
        self.0 = Store::One(Piece {
            end,
            push: true,
            closed: false,
        });
    }

    /// Octets that the last piece takes in addition if it is to have `goal`, when what lies before `sent` has been sent.
    pub(crate) fn room(&self, sent: SeqNum, goal: u32) -> u32 {
        let Some(last) = self
            .list()
            .last()
            .filter(|p| p.end.after(sent) && !p.closed)
        else {
            return 0;
        };
        goal.saturating_sub(last.end.since(self.last_start(sent)))
    }

    /// Where the last piece begins, when what lies before `sent` has been sent.
    pub(crate) fn last_start(&self, sent: SeqNum) -> SeqNum {
        let before = self.len().checked_sub(2);
        let before = before.and_then(|at| self.list().get(at));
        before.map_or(sent, |p| p.end.later(sent))
    }

    /// A new piece of nothing at `end`.
    pub(crate) fn begin(&mut self, end: SeqNum) {
        let piece = Piece {
            end,
            push: false,
            closed: false,
        };
        match &mut self.0 {
            Store::None => self.0 = Store::One(piece),
            Store::One(_) => self.insert(1, piece),
            Store::Many(many) => many.all.push(piece),
        }
    }

    /// The last piece ends at `end` now; whatever push it had has to wait for what was added.
    pub(crate) fn grow(&mut self, end: SeqNum) {
        if let Some(last) = self.last_mut() {
            last.end = end;
            last.push = false;
        }
    }

    /// The last piece is pushed.
    pub(crate) fn push(&mut self) {
        if let Some(last) = self.last_mut() {
            last.push = true;
        }
    }

    /// Nothing joins the last piece.
    pub(crate) fn close(&mut self) {
        if let Some(last) = self.last_mut() {
            last.closed = true;
        }
    }

    /// Makes a boundary of `at`, which lies after `base`, where the first piece begins.
    pub(crate) fn cut(&mut self, base: SeqNum, at: SeqNum) {
        let index = self.after(at);
        let begins = match index.checked_sub(1).and_then(|i| self.list().get(i)) {
            Some(before) => before.end,
            None => base,
        };
        if begins.before(at) && index < self.len() {
            let piece = Piece {
                end: at,
                push: false,
                closed: false,
            };
            self.insert(index, piece);
        }
    }

    /// `start..end` has gone out as one segment: one piece is what it is now.
    pub(crate) fn sent(&mut self, base: SeqNum, start: SeqNum, end: SeqNum) {
        // All of the only piece: that is what it was.
        if matches!(&self.0, Store::One(piece) if piece.end == end) {
            return;
        }
        self.cut(base, end);
        let (first, past) = (self.after(start), self.after(end));
        let Some(last) = past.checked_sub(1).filter(|last| *last > first) else {
            return;
        };
        let push = self.from(first).iter().take(past - first).any(|p| p.push);
        if let Store::Many(many) = &mut self.0 {
            let (first, last) = (many.gone + first, many.gone + last);
            if let Some(piece) = many.all.get_mut(last) {
                piece.push = push;
            }
            many.all.drain(first..last);
        }
    }

    /// All before `una` is acknowledged.
    pub(crate) fn acknowledge(&mut self, una: SeqNum) {
        let acked = self.after(una);
        if acked == self.len() {
            self.0 = Store::None;
        } else if let Store::Many(many) = &mut self.0 {
            many.gone += acked;
            if many.gone >= GONE && many.gone > many.all.len() / 2 {
                many.all.drain(..many.gone);
                many.gone = 0;
            }
        }
    }

    /// How much of `len` octets from `start` on one segment may hold: no more than up to MSG_EOR's boundary.
    pub(crate) fn limit(&self, start: SeqNum, len: u32) -> u32 {
        let end = start + len;
        self.from(self.after(start))
            .iter()
            .take_while(|p| p.end.before(end))
            .find(|p| p.closed)
            .map_or(len, |p| p.end.since(start))
    }

    /// Octets from `start` to the end of its piece; `None` behind the last one.
    pub(crate) fn rest(&self, start: SeqNum) -> Option<u32> {
        let piece = self.from(self.after(start)).first()?;
        Some(piece.end.since(start))
    }

    /// Whether a push lies in the `len` octets from `start` on.
    pub(crate) fn pushes(&self, start: SeqNum, len: u32) -> bool {
        let end = start + len;
        self.from(self.after(start))
            .iter()
            .take_while(|p| p.end.before_eq(end))
            .any(|p| p.push)
    }

    /// Checks that they lie one behind the other up to `end`, with a boundary at `nxt`.
    pub(crate) fn audit(&self, base: SeqNum, nxt: SeqNum, end: SeqNum) -> Result<(), String> {
        let mut at = base;
        let mut boundary = nxt.before_eq(base) || nxt.after_eq(end);
        for piece in self.list() {
            if !piece.end.after(at) {
                return Err(format!("{piece:?} after {at:?}"));
            }
            at = piece.end;
            boundary |= at == nxt;
        }
        if at != end || !boundary {
            return Err(format!(
                "pieces from {base:?} end at {at:?}, written is {end:?}, sent {nxt:?}"
            ));
        }
        Ok(())
    }

    /// Index of the first piece that ends after `at`.
    fn after(&self, at: SeqNum) -> usize {
        self.list().partition_point(|p| p.end.before_eq(at))
    }

    /// The pieces that are not acknowledged.
    fn list(&self) -> &[Piece] {
        match &self.0 {
            Store::None => &[],
            Store::One(piece) => std::slice::from_ref(piece),
            Store::Many(many) => many.all.get(many.gone..).unwrap_or(&[]),
        }
    }

    fn from(&self, index: usize) -> &[Piece] {
        self.list().get(index..).unwrap_or(&[])
    }

    fn last_mut(&mut self) -> Option<&mut Piece> {
        match &mut self.0 {
            Store::None => None,
            Store::One(piece) => Some(piece),
            Store::Many(many) => many.all.last_mut(),
        }
    }

    /// Makes `piece` that with this index; there is one before or behind it.
    fn insert(&mut self, index: usize, piece: Piece) {
        match &mut self.0 {
            Store::None => self.0 = Store::One(piece),
            Store::One(one) => {
                let all = match index {
                    0 => vec![piece, *one],
                    _ => vec![*one, piece],
                };
                self.0 = Store::Many(Box::new(Many { all, gone: 0 }));
            }
            Store::Many(many) => many.all.insert(many.gone + index, piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: u32) -> SeqNum {
        SeqNum::new(n.wrapping_sub(100))
    }

    fn written(pieces: &mut Pieces, ends: &[u32]) {
        for end in ends {
            pieces.begin(s(*end));
        }
    }

    #[test]
    fn a_segment_makes_one_piece_of_those_that_it_covers() {
        let mut p = Pieces::default();
        written(&mut p, &[10, 20, 30]);
        p.push();
        p.sent(s(0), s(0), s(25));
        assert_eq!(p.len(), 2);
        assert!(!p.pushes(s(0), 25) && p.pushes(s(25), 5) && !p.pushes(s(25), 4));
        assert_eq!(p.audit(s(0), s(25), s(30)), Ok(()));
        assert!(p.audit(s(0), s(24), s(30)).is_err());
        p.sent(s(0), s(25), s(27));
        assert_eq!(p.len(), 3);
        p.acknowledge(s(26));
        assert_eq!(p.len(), 2);
        p.acknowledge(s(30));
        assert_eq!(p.len(), 0);
    }

    #[test]
    fn a_piece_grows_while_unsent_and_not_closed() {
        let mut p = Pieces::default();
        assert_eq!(p.room(s(0), 100), 0);
        written(&mut p, &[10]);
        assert_eq!(p.room(s(0), 100), 90);
        assert_eq!(p.room(s(10), 100), 0, "sent");
        p.cut(s(0), s(4));
        assert_eq!((p.len(), p.room(s(4), 100)), (2, 94));
        p.cut(s(0), s(4));
        assert_eq!(p.len(), 2);
        p.close();
        assert_eq!(p.room(s(4), 100), 0);
        p.begin(s(30));
        assert_eq!(
            (p.limit(s(4), 26), p.limit(s(4), 6), p.limit(s(10), 20)),
            (6, 6, 20)
        );
    }
}
