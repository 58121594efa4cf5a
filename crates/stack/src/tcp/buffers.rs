//! Octets on their way from a file into a send queue, where they become the queue's own without being copied.

use std::io::{IoSlice, IoSliceMut};

use smallvec::SmallVec;

use super::bytes::{ByteQueue, Chunk, LARGE, MUCH, Pool};
use super::memory::Whose;

/// Room before the text: what the queue holds already, mostly a header, is put there.
const LEAD: usize = 1024;

/// Chunks that one write takes at most: as many as a queue keeps an index for.
const MOST: usize = 8;

/// Memory that a caller fills and a stream's send queue takes over ([`crate::Stack::send_buffers`]), giving other for it.
///
/// It belongs to no stack, so that it can be filled (a file may let one wait) while nobody has the stack. What it measures it has from the first use on.
#[derive(Default)]
pub struct Buffers {
    chunks: SmallVec<[Chunk; MOST]>,
}

impl Buffers {
    /// Octets that one write moves at most.
    pub const MAX: usize = MOST * LARGE - LEAD;

    /// Where the first `len` octets of the text are to be put, in order; at most [`Buffers::MAX`].
    pub fn space(&mut self, len: usize) -> SmallVec<[IoSliceMut<'_>; MOST]> {
        let end = LEAD + len.min(Buffers::MAX);
        while self.chunks.len() * LARGE < end {
            self.chunks.push(vec![0; LARGE].into_boxed_slice());
        }
        let mut at = 0;
        let mut pieces = SmallVec::new();
        for chunk in &mut self.chunks {
            let (from, to) = (LEAD.saturating_sub(at), LARGE.min(end - at));
            if let Some(piece) = chunk.get_mut(from..to) {
                pieces.push(IoSliceMut::new(piece));
            }
            at += LARGE;
            if at >= end {
                break;
            }
        }
        pieces
    }

    /// The first `len` octets of the text.
    pub fn text(&self, len: usize) -> SmallVec<[IoSlice<'_>; MOST]> {
        let end = LEAD + len.min(Buffers::MAX);
        let chunks = self.chunks.iter().enumerate();
        chunks
            .map_while(|(index, chunk)| {
                let at = index * LARGE;
                let to = LARGE.min(end.checked_sub(at)?);
                chunk.get(LEAD.saturating_sub(at)..to)
            })
            .filter(|piece| !piece.is_empty())
            .map(IoSlice::new)
            .collect()
    }
}

impl ByteQueue {
    /// Takes over the memory that holds the first `len` octets of `buffers`' text, which stand behind the readable ones then, without being readable
    /// ([`ByteQueue::extend`], [`ByteQueue::forget_unreadable`]). False: they have to be copied, because they are few, memory is
    /// scarce or the queue holds more than there is room for before them.
    pub(super) fn adopt(&mut self, pool: &mut Pool, buffers: &mut Buffers, len: usize) -> bool {
        let held = self.len();
        let count = (LEAD + len).div_ceil(LARGE);
        let ample = !pool.account.pressed()
            && pool.account.room(Whose::Filled) >= count.saturating_add(1) * LARGE;
        if !(MUCH..=Buffers::MAX).contains(&len) || held > LEAD || !ample {
            return false;
        }
        let Some(chunks) = buffers.chunks.get_mut(..count) else {
            return false;
        };
        let front = LEAD - held;
        if let Some(room) = chunks[0].get_mut(front..LEAD) {
            self.copy_out(0, room);
        }
        self.replace(pool, chunks, front, held);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::bytes::Slices;

    fn filled(len: usize) -> (Buffers, Vec<u8>) {
        let text: Vec<u8> = (0..len).map(|i| (i * 7 % 251) as u8).collect();
        let mut buffers = Buffers::default();
        let mut rest = &text[..];
        for mut piece in buffers.space(len) {
            let (now, later) = rest.split_at(piece.len());
            piece.copy_from_slice(now);
            rest = later;
        }
        assert!(rest.is_empty());
        (buffers, text)
    }

    fn text(buffers: &Buffers, len: usize) -> Vec<u8> {
        let pieces = buffers.text(len);
        pieces.iter().flat_map(|p| p.iter().copied()).collect()
    }

    fn readable(queue: &ByteQueue) -> Vec<u8> {
        let mut out = vec![0; queue.len()];
        assert_eq!(queue.copy_out(0, &mut out), out.len());
        out
    }

    #[test]
    fn text_is_where_it_was_put() {
        for len in [1, 5, LARGE - LEAD, LARGE - LEAD + 1, 100_000, Buffers::MAX] {
            let (buffers, all) = filled(len);
            assert_eq!(text(&buffers, len), all);
            assert_eq!(text(&buffers, len - 1), all[..len - 1]);
        }
        assert!(Buffers::default().text(0).is_empty());
    }

    #[test]
    fn octets_come_out_in_order_and_memory_goes_back() {
        for held in [0, 1, 300, LEAD] {
            let mut pool = Pool::default();
            let mut queue = ByteQueue::default();
            let header: Vec<u8> = (0..held + 50).map(|i| (i % 13) as u8).collect();
            queue.push(&mut pool, &header);
            queue.consume(&mut pool, 50);
            let (mut buffers, text) = filled(100_000);
            assert!(queue.adopt(&mut pool, &mut buffers, text.len()));
            assert_eq!(queue.len(), held, "nothing is readable yet");
            assert_eq!(pool.bytes_in_use(), 4 * LARGE);
            queue.extend(text.len() - 1);
            queue.forget_unreadable(&mut pool);
            let mut all = header[50..].to_vec();
            all.extend_from_slice(&text[..text.len() - 1]);
            assert_eq!(readable(&queue), all);
            let mut slices = Slices::new();
            queue.slices(0, 65_000, &mut slices);
            assert!(slices.len() <= 3);
            drop(slices);
            queue.push(&mut pool, b"more");
            all.extend_from_slice(b"more");
            queue.consume(&mut pool, 40_000);
            assert_eq!(readable(&queue), all[40_000..]);
            queue.consume(&mut pool, all.len());
            queue.release_if_empty(&mut pool);
            assert_eq!(pool.bytes_in_use(), 0);
            // The memory given in return is as good.
            assert_eq!(buffers.space(text.len()).len(), 4);
        }
    }

    #[test]
    fn what_is_not_taken_goes_back() {
        let mut pool = Pool::default();
        let mut queue = ByteQueue::default();
        let (mut buffers, text) = filled(100_000);
        assert!(queue.adopt(&mut pool, &mut buffers, text.len()));
        queue.extend(10_000);
        queue.forget_unreadable(&mut pool);
        assert_eq!(pool.bytes_in_use(), LARGE);
        assert_eq!(readable(&queue), text[..10_000]);
        queue.clear(&mut pool);
        let (mut buffers, text) = filled(100_000);
        assert!(queue.adopt(&mut pool, &mut buffers, text.len()));
        queue.forget_unreadable(&mut pool);
        assert_eq!(pool.bytes_in_use(), 0);
    }

    #[test]
    fn what_is_little_or_finds_much_is_copied() {
        let mut pool = Pool::default();
        let mut queue = ByteQueue::default();
        let (mut buffers, _) = filled(100_000);
        assert!(!queue.adopt(&mut pool, &mut buffers, MUCH - 1));
        queue.push(&mut pool, &[0; LEAD + 1]);
        assert!(!queue.adopt(&mut pool, &mut buffers, 100_000));
        let mut pool = Pool::new([6 * LARGE; 3]);
        let mut queue = ByteQueue::default();
        assert!(
            !queue.adopt(&mut pool, &mut buffers, 100_000),
            "memory is scarce"
        );
    }
}
