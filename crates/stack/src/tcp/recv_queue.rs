//! What a connection has received and its program has not read.
//!
//! Small segments are copied into chunks. A large one in order stays where the device put it: the frame's buffer itself joins the queue and
//! another takes its place, so that its octets are copied once in user space, into the program's buffer.

use std::collections::VecDeque;

use super::bytes::{ByteQueue, CHUNK, Chunk, Pool};

/// Octets in order, read at the front; those behind a gap lie as written.
#[derive(Default)]
pub(crate) struct RecvQueue {
    /// Chunks, behind the [`Front`] that it keeps.
    tail: ByteQueue,
}

/// Buffers as they came; a queue without one keeps no frame.
#[derive(Default)]
pub(crate) struct Front {
    blocks: VecDeque<Block>,
    /// Octets in all blocks.
    len: usize,
}

/// A buffer and which of its octets are still to be read.
struct Block {
    buffer: Buffer,
    start: usize,
    end: usize,
}

enum Buffer {
    /// Its owner hands it over when the segment in it has been dealt with.
    Coming,
    Frame(Box<[u8]>),
    Chunk(Chunk),
}

impl Buffer {
    fn bytes(&self) -> &[u8] {
        match self {
            Buffer::Coming => &[],
            Buffer::Frame(frame) => frame,
            Buffer::Chunk(chunk) => &chunk[..],
        }
    }

    fn give(self, pool: &mut Pool) {
        match self {
            Buffer::Coming => {}
            Buffer::Frame(frame) => pool.give_frame(frame),
            Buffer::Chunk(chunk) => pool.give(chunk),
        }
    }
}

impl RecvQueue {
    /// Octets that can be read.
    pub(crate) fn len(&self) -> usize {
        self.front_len() + self.tail.len()
    }

    /// Whether nothing can be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has no memory at all.
    #[inline]
    pub(crate) fn holds_nothing(&self) -> bool {
        self.tail.holds_nothing()
    }

    /// What can be read, if it lies in one chunk.
    #[inline]
    pub(crate) fn one_piece(&self) -> Option<&[u8]> {
        self.tail.one_piece()
    }

    /// Chunks that it holds; a frame counts as many as it measures.
    pub(crate) fn chunk_count(&self) -> usize {
        let front = self
            .tail
            .front()
            .into_iter()
            .flat_map(|front| &front.blocks);
        let front: usize = front
            .map(|block| block.buffer.bytes().len().div_ceil(CHUNK))
            .sum();
        front + self.tail.chunk_count()
    }

    fn front_len(&self) -> usize {
        self.tail.front().map_or(0, |front| front.len)
    }

    /// Appends `data`.
    pub(crate) fn push(&mut self, pool: &mut Pool, data: &[u8]) {
        self.tail.push(pool, data);
    }

    /// Appends a segment's text where nothing lies behind a gap: by its frame's buffer, if it is worth it and the buffer is to be had
    /// ([`Pool::lend`]), else by a copy.
    pub(crate) fn push_text(&mut self, pool: &mut Pool, data: &[u8]) {
        if !pool.keep(data) {
            return self.tail.push(pool, data);
        }
        let mut front = self
            .tail
            .detach_front()
            .unwrap_or_else(|| pool.take_front());
        front.len += self.tail.len() + data.len();
        let blocks = &mut front.blocks;
        self.tail.drain(pool, |chunk, start, end| {
            blocks.push_back(Block {
                buffer: Buffer::Chunk(chunk),
                start,
                end,
            });
        });
        blocks.push_back(Block {
            buffer: Buffer::Coming,
            start: 0,
            end: data.len(),
        });
        self.tail.attach_front(pool, front);
    }

    /// The buffer that [`RecvQueue::push_text`] counted on: its text begins at `offset`. Given back when nobody waits for it.
    pub(crate) fn fill(&mut self, frame: Box<[u8]>, offset: usize) -> Result<(), Box<[u8]>> {
        let last = self.tail.front_mut().and_then(|f| f.blocks.back_mut());
        match last {
            Some(block) if matches!(block.buffer, Buffer::Coming) => {
                block.start = offset;
                block.end += offset;
                block.buffer = Buffer::Frame(frame);
                Ok(())
            }
            _ => Err(frame),
        }
    }

    /// Writes `data` `offset` octets behind the front without making it readable; see [`RecvQueue::extend`].
    pub(crate) fn write_at(&mut self, pool: &mut Pool, offset: usize, data: &[u8]) {
        let offset = offset.saturating_sub(self.front_len());
        self.tail.write_at(pool, offset, data);
    }

    /// Makes `n` more octets readable that were written before.
    pub(crate) fn extend(&mut self, n: usize) {
        self.tail.extend(n);
    }

    /// Gives up what lies behind the readable octets.
    pub(crate) fn forget_unreadable(&mut self, pool: &mut Pool) {
        self.tail.forget_unreadable(pool);
    }

    /// Copies from `offset` on into `buf` as much as there is; returns how much.
    pub(crate) fn copy_out(&self, offset: usize, buf: &mut [u8]) -> usize {
        let Some(front) = self.tail.front() else {
            return self.tail.copy_out(offset, buf);
        };
        let mut done = 0;
        let mut skip = offset;
        for block in &front.blocks {
            let bytes = block.buffer.bytes().get(block.start..block.end);
            let bytes = bytes.unwrap_or_default();
            let bytes = bytes.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(block.end - block.start);
            let room = buf.get_mut(done..).unwrap_or_default();
            let n = room.len().min(bytes.len());
            if let (Some(to), Some(from)) = (room.get_mut(..n), bytes.get(..n)) {
                to.copy_from_slice(from);
            }
            done += n;
            if done == buf.len() {
                return done;
            }
        }
        done + self
            .tail
            .copy_out(skip, buf.get_mut(done..).unwrap_or_default())
    }

    /// Drops `n` octets at the front (at most what is there).
    pub(crate) fn consume(&mut self, pool: &mut Pool, n: usize) {
        let Some(front) = self.tail.front_mut() else {
            return self.tail.consume(pool, n);
        };
        let mut left = n.min(front.len);
        let rest = n - left;
        front.len -= left;
        while let Some(block) = front.blocks.front_mut() {
            let len = block.end - block.start;
            if left < len {
                block.start += left;
                break;
            }
            left -= len;
            if let Some(block) = front.blocks.pop_front() {
                block.buffer.give(pool);
            }
        }
        if front.blocks.is_empty()
            && let Some(front) = self.tail.detach_front()
        {
            pool.give_front(front);
        }
        if rest > 0 {
            self.tail.consume(pool, rest);
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        if let Some(mut front) = self.tail.detach_front() {
            front.len = 0;
            for block in front.blocks.drain(..) {
                block.buffer.give(pool);
            }
            pool.give_front(front);
        }
        self.tail.clear(pool);
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes::KEEP;
    use super::*;

    fn text(len: usize, seed: usize) -> Vec<u8> {
        (0..len).map(|i| ((i * 7 + seed) % 251) as u8).collect()
    }

    /// As the stack does with a frame that its owner lends: 62 octets of headers, then the text.
    fn arrive(queue: &mut RecvQueue, pool: &mut Pool, text: &[u8]) {
        let mut frame = vec![0; 62];
        frame.extend_from_slice(text);
        let mut frame = frame.into_boxed_slice();
        pool.lend(&frame);
        queue.push_text(pool, &frame[62..]);
        if let (Some(offset), _) = pool.kept(&frame) {
            let spare = pool.take_frame(frame.len());
            let full = std::mem::replace(&mut frame, spare);
            assert!(queue.fill(full, offset).is_ok());
        }
    }

    #[test]
    fn large_and_small_come_out_in_order_and_memory_goes_back() {
        let mut pool = Pool::default();
        let mut queue = RecvQueue::default();
        let sizes = [100, 65_160, 65_160, 752, 40_000, 10, KEEP - 1, KEEP, 9000];
        let mut all = Vec::new();
        for (i, size) in sizes.into_iter().enumerate() {
            let text = text(size, i);
            arrive(&mut queue, &mut pool, &text);
            all.extend_from_slice(&text);
            assert_eq!(queue.len(), all.len());
        }
        assert_eq!(pool.in_use(), queue.chunk_count());
        let mut out = vec![0; 50_000];
        assert_eq!(queue.copy_out(60_000, &mut out), 50_000);
        assert_eq!(out, all[60_000..110_000]);
        let mut read = 0;
        while read < all.len() {
            let n = queue.copy_out(0, &mut out[..7777]);
            assert_eq!(out[..n], all[read..read + n]);
            queue.consume(&mut pool, n);
            read += n;
            assert_eq!(queue.len(), all.len() - read);
        }
        assert!(queue.tail.front().is_none());
        queue.clear(&mut pool);
        assert_eq!(pool.in_use(), 0);
    }

    #[test]
    fn octets_behind_a_gap_lie_behind_what_is_kept() {
        let mut pool = Pool::default();
        let mut queue = RecvQueue::default();
        let first = text(50_000, 1);
        arrive(&mut queue, &mut pool, &first);
        queue.write_at(&mut pool, 51_000, b"behind");
        assert_eq!(queue.len(), 50_000);
        queue.write_at(&mut pool, 50_000, &text(1000, 2));
        queue.extend(1006);
        let mut out = [0; 8];
        assert_eq!(queue.copy_out(50_998, &mut out), 8);
        assert_eq!(out[2..], *b"behind");
        queue.clear(&mut pool);
        assert_eq!((queue.len(), pool.in_use()), (0, 0));
    }

    #[test]
    fn a_text_outside_the_lent_buffer_is_copied() {
        let mut pool = Pool::default();
        let mut queue = RecvQueue::default();
        let frame = text(66_000, 1).into_boxed_slice();
        let elsewhere = text(40_000, 2);
        pool.lend(&frame);
        queue.push_text(&mut pool, &elsewhere);
        assert_eq!(pool.kept(&frame), (None, None));
        let mut out = vec![0; 40_000];
        assert_eq!(queue.copy_out(0, &mut out), 40_000);
        assert_eq!(out, elsewhere);
        queue.clear(&mut pool);
    }
}
