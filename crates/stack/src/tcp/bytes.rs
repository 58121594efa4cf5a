//! Byte queues that hold no memory while empty: chunks from a pool that the whole stack shares.

use std::collections::VecDeque;
use std::io::IoSlice;

use smallvec::SmallVec;

use super::memory::{Account, Whose};
use super::recv_queue::Front;
use crate::socket::SocketId;

/// Octets in a chunk, and what memory is counted in.
pub(crate) const CHUNK: usize = 4096;
/// Octets in a chunk of a queue that begins with much: copying into few long pieces, and the kernel's copying from them, is faster.
pub(super) const LARGE: usize = 8 * CHUNK;
/// A segment's text from this size on may stay in its frame's buffer of 66 KB: never more than about twice the memory of its octets.
pub(crate) const KEEP: usize = 32 * 1024;
/// What much is.
pub(super) const MUCH: usize = LARGE / 2;
/// Chunks that the pool keeps for reuse at least, and as many as are in use otherwise: what breathes in and out with every window is
/// not the allocator's affair. More are given back to it.
const POOL_KEEPS: usize = 2048;
/// An empty queue gives up an index longer than this.
const INDEX_KEEPS: usize = 8;
/// Emptied queues that the pool keeps.
const SPARES: usize = 64;

/// Frames' buffers that the pool keeps for reuse at least: as many as are taken from the device in one go.
const FRAMES: usize = 64;

/// What octets are copied into: `CHUNK` or `LARGE` octets.
pub(crate) type Chunk = Box<[u8]>;

/// Slices of one segment's payload: 64 KB in chunks, and two partial ones.
pub(crate) type Slices<'a> = SmallVec<[IoSlice<'a>; 20]>;

/// Free chunks, shared by every queue of a stack.
#[derive(Default)]
pub(crate) struct Pool {
    free: Vec<Chunk>,
    /// The same of large ones.
    free_large: Vec<Chunk>,
    /// What emptied queues have left behind, for the next ones: a request and its answer cost no allocation.
    #[expect(
        clippy::vec_box,
        reason = "the boxes themselves go from queue to queue"
    )]
    spare: Vec<Box<Chunks>>,
    /// Chunks that queues hold now, and may hold.
    pub(crate) account: Account,
    /// Frames' buffers that were read.
    frames: Vec<Box<[u8]>>,
    /// Frames that queues hold now.
    frames_in_use: usize,
    /// What queues of frames have left behind.
    #[expect(
        clippy::vec_box,
        reason = "the boxes themselves go from queue to queue"
    )]
    fronts: Vec<Box<Front>>,
    /// Where the buffer lies that may be kept now, and what was asked for of it.
    lent: Lent,
}

/// A frame's buffer while its segment is dealt with: addresses only, to tell whether a text lies in it.
#[derive(Default)]
struct Lent {
    /// First octet and length; nothing while no buffer may be kept.
    buffer: Option<(usize, usize)>,
    /// First octet of the text for which the buffer is to be kept.
    kept: Option<usize>,
    /// A queue took a text of it in order.
    next: bool,
    /// Whose queue that is.
    taker: Option<SocketId>,
    /// The buffer is the program's, and what is kept of it has been read with that: so many octets.
    placed: Option<usize>,
}

impl Pool {
    /// With nothing in it. `marks`: octets, as [`Account::new`] has them.
    pub(crate) fn new(marks: [usize; 3]) -> Pool {
        Pool {
            account: Account::new(marks),
            ..Pool::default()
        }
    }

    fn take(&mut self, size: usize) -> Chunk {
        self.account.take_many(size / CHUNK);
        self.free_list(size)
            .pop()
            .unwrap_or_else(|| vec![0; size].into_boxed_slice())
    }

    fn free_list(&mut self, size: usize) -> &mut Vec<Chunk> {
        match size == LARGE {
            true => &mut self.free_large,
            false => &mut self.free,
        }
    }

    /// What the free chunks measure, in small ones.
    fn free_chunks(&self) -> usize {
        self.free.len() + self.free_large.len() * (LARGE / CHUNK)
    }

    /// Octets that `queue` may take in now.
    pub(crate) fn room(&self, whose: Whose, queue: &ByteQueue) -> usize {
        (self.account.room(whose)).saturating_sub(self.least_room(queue))
    }

    /// Room that `queue` leaves to others, octets: it takes memory in large chunks and may need the whole of one for its last octet.
    pub(crate) fn least_room(&self, queue: &ByteQueue) -> usize {
        match queue.chunk_size() {
            LARGE => LARGE,
            _ => 0,
        }
    }

    /// From now on a queue may keep `frame`'s buffer for a text in it, until [`Pool::kept`].
    pub(crate) fn lend(&mut self, frame: &[u8]) {
        self.lent = Lent {
            buffer: Some((frame.as_ptr().addr(), frame.len())),
            ..Lent::default()
        };
    }

    /// As [`Pool::lend`] for a text that is in the program's own buffer already, until [`Pool::placed`].
    pub(crate) fn place(&mut self, text: &[u8]) {
        self.lend(text);
        self.lent.placed = Some(0);
    }

    /// How much of the text is the next to be read, and to be taken off its queue.
    pub(crate) fn placed(&mut self) -> usize {
        std::mem::take(&mut self.lent).placed.unwrap_or(0)
    }

    /// A queue wants to keep the buffer in which `text` lies. False: it has to copy, also when memory is too scarce for a whole buffer.
    pub(crate) fn keep(&mut self, text: &[u8]) -> bool {
        let at = text.as_ptr().addr();
        let Some((start, len)) = self.lent.buffer else {
            return false;
        };
        let inside = at >= start && (at - start).saturating_add(text.len()) <= len;
        self.lent.next |= inside;
        if let Some(placed) = &mut self.lent.placed {
            let front = inside && at == start && *placed == 0;
            *placed += if front { text.len() } else { 0 };
            return front;
        }
        if text.len() < KEEP {
            return false;
        }
        let chunks = len.div_ceil(CHUNK);
        let room = self.account.room(Whose::Filled) / CHUNK;
        if !inside || self.account.pressed() || room < chunks {
            return false;
        }
        self.lent.buffer = None;
        self.lent.kept = Some(at);
        self.account.take_many(chunks);
        self.frames_in_use += 1;
        true
    }

    /// The last segment was `id`'s: if its queue took a text of the buffer, this is whose it is.
    pub(crate) fn note_taker(&mut self, id: SocketId) {
        if self.lent.next {
            self.lent.taker = Some(id);
        }
    }

    /// The segment in `frame` is dealt with. Where the text begins for which a queue keeps the buffer, if one does, and whose text was the next of
    /// its connection.
    pub(crate) fn kept(&mut self, frame: &[u8]) -> (Option<usize>, Option<SocketId>) {
        let lent = std::mem::take(&mut self.lent);
        let offset = (lent.kept).map(|at| at.wrapping_sub(frame.as_ptr().addr()));
        (offset, lent.taker)
    }

    /// A buffer of `len` octets in place of one that was kept.
    pub(crate) fn take_frame(&mut self, len: usize) -> Box<[u8]> {
        match self.frames.pop() {
            Some(frame) if frame.len() == len => frame,
            _ => vec![0; len].into_boxed_slice(),
        }
    }

    /// A kept buffer was read.
    pub(super) fn give_frame(&mut self, frame: Box<[u8]>) {
        let chunks = frame.len().div_ceil(CHUNK);
        self.account.give_many(chunks);
        self.frames_in_use = self.frames_in_use.saturating_sub(1);
        let held = self.account.in_use() + self.free_chunks() + self.spare_chunks();
        let fits = held.saturating_add(chunks) <= self.account.high();
        if fits && self.frames.len() < FRAMES.max(self.frames_in_use) {
            self.frames.push(frame);
        }
    }

    /// What the spare frames measure, in chunks.
    fn spare_chunks(&self) -> usize {
        let one = self.frames.first().map_or(0, |frame| frame.len());
        self.frames.len() * one.div_ceil(CHUNK)
    }

    /// An empty list of frames.
    pub(super) fn take_front(&mut self) -> Box<Front> {
        self.fronts.pop().unwrap_or_default()
    }

    /// A list of frames is empty again.
    pub(super) fn give_front(&mut self, front: Box<Front>) {
        if self.fronts.len() < SPARES {
            self.fronts.push(front);
        }
    }

    /// A chunk was read.
    pub(super) fn give(&mut self, chunk: Chunk) {
        self.account.give_many(chunk.len() / CHUNK);
        let held = self.account.in_use() + self.spare_chunks();
        // What is kept counts as held: both together are within the limit.
        let most = self.account.high().saturating_sub(held);
        let keeps = POOL_KEEPS.max(self.account.in_use()).min(most);
        if self.free_chunks() < keeps {
            self.free_list(chunk.len()).push(chunk);
        }
    }

    /// Chunks held by queues, frames as so many of them.
    pub(crate) fn in_use(&self) -> usize {
        self.account.in_use()
    }

    /// Octets held by queues, in whole chunks.
    #[cfg(test)]
    pub(crate) fn bytes_in_use(&self) -> usize {
        self.in_use() * CHUNK
    }
}

/// Octets in order, read at the front, written anywhere behind it. An empty one is a null pointer: most connections are idle.
#[derive(Default)]
pub(crate) struct ByteQueue(Option<Box<Chunks>>);

impl ByteQueue {
    /// Octets that can be read.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |chunks| chunks.len)
    }

    /// Chunks it holds, a large one as what it measures.
    pub(crate) fn chunk_count(&self) -> usize {
        self.0.as_ref().map_or(0, |chunks| chunks.chunk_count())
    }

    /// Whether it has no memory at all.
    #[inline]
    pub(crate) fn holds_nothing(&self) -> bool {
        self.0.is_none()
    }

    /// What can be read, if it lies in one chunk and nothing else is before it.
    #[inline]
    pub(super) fn one_piece(&self) -> Option<&[u8]> {
        let chunks = self.0.as_deref().filter(|chunks| chunks.front.is_none())?;
        let chunk = chunks.chunks.front()?.as_deref()?;
        chunk.get(chunks.head..chunks.head + chunks.len)
    }

    fn chunk_size(&self) -> usize {
        self.0.as_ref().map_or(CHUNK, |chunks| chunks.size())
    }

    /// `n` octets are about to be appended: an empty queue takes large chunks for many, if there is ample memory.
    pub(crate) fn expect(&mut self, pool: &mut Pool, n: usize) {
        if !self.is_empty() {
            return;
        }
        let ample = n >= MUCH
            && !pool.account.pressed()
            && pool.account.room(Whose::Writing) >= n.saturating_add(2 * LARGE);
        if ample {
            self.chunks(pool).large = true;
        } else if let Some(chunks) = &mut self.0 {
            chunks.large = false;
        }
    }

    /// Whether nothing can be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn chunks(&mut self, pool: &mut Pool) -> &mut Chunks {
        self.0
            .get_or_insert_with(|| pool.spare.pop().unwrap_or_default())
    }

    /// Appends `data`.
    pub(crate) fn push(&mut self, pool: &mut Pool, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let chunks = self.chunks(pool);
        chunks.write_at(pool, chunks.len, data);
        chunks.len += data.len();
    }

    /// Writes `data` `offset` octets behind the front without making it readable; see [`ByteQueue::extend`].
    pub(crate) fn write_at(&mut self, pool: &mut Pool, offset: usize, data: &[u8]) {
        self.chunks(pool).write_at(pool, offset, data);
    }

    /// Makes `n` more octets readable that were written before.
    pub(crate) fn extend(&mut self, n: usize) {
        if let Some(chunks) = &mut self.0 {
            chunks.len += n;
        }
    }

    /// The octets `offset..offset + len`, if they lie in one piece.
    #[inline]
    pub(crate) fn slice(&self, offset: usize, len: usize) -> Option<&[u8]> {
        if len == 0 {
            return Some(&[]);
        }
        let chunks = self.0.as_deref()?;
        if offset + len > chunks.len {
            return None;
        }
        let (index, start) = chunks.place(chunks.head + offset);
        let chunk = chunks.chunks.get(index)?.as_deref()?;
        chunk.get(start..start + len)
    }

    /// The octets `offset..offset + len`, as slices. What is not there is left out.
    pub(crate) fn slices<'a>(&'a self, offset: usize, len: usize, out: &mut Slices<'a>) {
        if let Some(chunks) = &self.0 {
            chunks.slices(offset, len, out);
        }
    }

    /// Copies from `offset` on into `buf` as much as there is; returns how much.
    pub(crate) fn copy_out(&self, offset: usize, buf: &mut [u8]) -> usize {
        self.0
            .as_ref()
            .map_or(0, |chunks| chunks.copy_out(offset, buf))
    }

    /// Drops `n` octets at the front (at most what is there).
    pub(crate) fn consume(&mut self, pool: &mut Pool, n: usize) {
        if let Some(chunks) = &mut self.0 {
            chunks.consume(pool, n);
        }
    }

    /// Hands every chunk over with the range of its readable octets, in order, and is empty. Not to be called while octets wait
    /// behind a gap.
    pub(super) fn drain(&mut self, pool: &mut Pool, mut to: impl FnMut(Chunk, usize, usize)) {
        let Some(mut chunks) = self.0.take() else {
            return;
        };
        let (mut start, mut left) = (chunks.head, chunks.len);
        for chunk in chunks.chunks.drain(..).flatten() {
            let n = left.min(chunk.len() - start);
            if n > 0 {
                to(chunk, start, start + n);
            } else {
                pool.give(chunk);
            }
            left -= n;
            start = 0;
        }
        chunks.clear(pool);
        if pool.spare.len() < SPARES {
            pool.spare.push(chunks);
        }
    }

    /// All that it holds is dropped, and large `chunks` are taken in its place, of which the `len` octets from `head` on are readable. Empty
    /// chunks are left for those taken.
    pub(super) fn replace(&mut self, pool: &mut Pool, new: &mut [Chunk], head: usize, len: usize) {
        let chunks = self.chunks(pool);
        chunks.clear(pool);
        (chunks.large, chunks.head, chunks.len) = (true, head, len);
        for chunk in new {
            let taken = std::mem::replace(chunk, pool.take(LARGE));
            chunks.chunks.push_back(Some(taken));
        }
    }

    /// What a receive queue has before its first chunk.
    pub(super) fn front(&self) -> Option<&Front> {
        self.0.as_ref()?.front.as_deref()
    }

    /// The same, to be changed.
    pub(super) fn front_mut(&mut self) -> Option<&mut Front> {
        self.0.as_mut()?.front.as_deref_mut()
    }

    /// Takes it out.
    pub(super) fn detach_front(&mut self) -> Option<Box<Front>> {
        self.0.as_mut()?.front.take()
    }

    /// Puts it in.
    pub(super) fn attach_front(&mut self, pool: &mut Pool, front: Box<Front>) {
        self.chunks(pool).front = Some(front);
    }

    /// Gives all memory back when nothing readable is left. Not to be called while octets wait behind a gap.
    pub(crate) fn release_if_empty(&mut self, pool: &mut Pool) {
        if self.is_empty() && self.front().is_none() {
            self.clear(pool);
        }
    }

    /// Drops what was written and not made readable.
    pub(crate) fn forget_unreadable(&mut self, pool: &mut Pool) {
        if let Some(chunks) = &mut self.0 {
            let holds = (chunks.head + chunks.len).div_ceil(chunks.size());
            for chunk in chunks
                .chunks
                .drain(holds.min(chunks.chunks.len())..)
                .flatten()
            {
                pool.give(chunk);
            }
        }
        self.release_if_empty(pool);
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        if let Some(mut chunks) = self.0.take() {
            chunks.clear(pool);
            if pool.spare.len() < SPARES {
                pool.spare.push(chunks);
            }
        }
    }
}

/// What a queue that is not empty consists of. A chunk that nothing was written to is absent, so a write far behind the front costs
/// one chunk, not the gap.
#[derive(Default)]
struct Chunks {
    chunks: VecDeque<Option<Chunk>>,
    /// What a receive queue has before them ([`super::recv_queue`]): here, so that an idle one is a pointer.
    front: Option<Box<Front>>,
    /// The chunks are large ones.
    large: bool,
    /// Octets of the first chunk that are consumed already; less than it has.
    head: usize,
    /// Octets from the front that are valid.
    len: usize,
}

impl Chunks {
    /// Chunks it holds, a large one as what it measures.
    fn chunk_count(&self) -> usize {
        self.chunks.iter().flatten().count() * (self.size() / CHUNK)
    }

    /// Octets of a chunk.
    fn size(&self) -> usize {
        match self.large {
            true => LARGE,
            false => CHUNK,
        }
    }

    /// Where the octet `at`, counted from the first chunk's beginning, is: which chunk, and where in it.
    fn place(&self, at: usize) -> (usize, usize) {
        // Two divisions by constants, which are shifts.
        match self.large {
            true => (at / LARGE, at % LARGE),
            false => (at / CHUNK, at % CHUNK),
        }
    }

    /// Writes `data` `offset` octets behind the front without making it readable.
    fn write_at(&mut self, pool: &mut Pool, offset: usize, mut data: &[u8]) {
        let size = self.size();
        let mut at = self.head + offset;
        while !data.is_empty() {
            let (index, start) = self.place(at);
            if data.len() <= size - start && index == self.chunks.len() {
                // Mostly: a short text, and the first.
                let mut chunk = pool.take(size);
                chunk[start..start + data.len()].copy_from_slice(data);
                return self.chunks.push_back(Some(chunk));
            }
            while self.chunks.len() <= index {
                self.chunks.push_back(None);
            }
            let chunk = self.chunks[index].get_or_insert_with(|| pool.take(size));
            let n = data.len().min(size - start);
            chunk[start..start + n].copy_from_slice(&data[..n]);
            data = &data[n..];
            at += n;
        }
    }

    /// The octets `offset..offset + len`, as slices. What is not there is left out.
    fn slices<'a>(&'a self, offset: usize, len: usize, out: &mut Slices<'a>) {
        let size = self.size();
        let end = self.len.min(offset.saturating_add(len));
        let mut at = offset;
        while at < end {
            let (index, start) = self.place(self.head + at);
            let n = (end - at).min(size - start);
            match self.chunks.get(index) {
                Some(Some(chunk)) => out.push(IoSlice::new(&chunk[start..start + n])),
                _ => return,
            }
            at += n;
        }
    }

    /// Copies from `offset` on into `buf` as much as there is; returns how much.
    fn copy_out(&self, offset: usize, buf: &mut [u8]) -> usize {
        let size = self.size();
        let mut done = 0;
        let mut at = self.head + offset;
        let end = self.head + self.len;
        while done < buf.len() && at < end {
            let (index, start) = self.place(at);
            let n = (buf.len() - done).min(size - start).min(end - at);
            match self.chunks.get(index) {
                Some(Some(chunk)) => buf[done..done + n].copy_from_slice(&chunk[start..start + n]),
                _ => return done,
            }
            done += n;
            at += n;
        }
        done
    }

    /// Drops `n` octets at the front (at most what is there).
    fn consume(&mut self, pool: &mut Pool, n: usize) {
        let n = n.min(self.len);
        self.len -= n;
        self.head += n;
        let size = self.size();
        while self.head >= size {
            self.head -= size;
            if let Some(Some(chunk)) = self.chunks.pop_front() {
                pool.give(chunk);
            }
        }
    }

    /// Drops everything.
    fn clear(&mut self, pool: &mut Pool) {
        self.len = 0;
        self.head = 0;
        self.large = false;
        while let Some(chunk) = self.chunks.pop_front() {
            if let Some(chunk) = chunk {
                pool.give(chunk);
            }
        }
        if self.chunks.capacity() > INDEX_KEEPS {
            self.chunks = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_and_memory_goes_back() {
        let mut pool = Pool::default();
        let mut q = ByteQueue::default();
        let data: Vec<u8> = (0..50_000u32).map(|i| (i * 7 % 251) as u8).collect();
        for part in data.chunks(777) {
            q.push(&mut pool, part);
        }
        let mut out = vec![0; 1000];
        assert_eq!(q.copy_out(12_345, &mut out), 1000);
        assert_eq!(out, data[12_345..13_345]);
        let mut slices = Slices::new();
        q.slices(4_000, 9_000, &mut slices);
        let joined: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
        assert_eq!(joined, data[4_000..13_000]);
        drop(slices);
        q.consume(&mut pool, 49_000);
        let mut rest = vec![0; 2000];
        assert_eq!(q.copy_out(0, &mut rest), 1000);
        assert_eq!(rest[..1000], data[49_000..]);
        q.consume(&mut pool, 1000);
        q.release_if_empty(&mut pool);
        assert_eq!(pool.bytes_in_use(), 0);
    }

    #[test]
    fn a_queue_that_begins_with_much_takes_large_chunks() {
        let mut pool = Pool::default();
        let mut q = ByteQueue::default();
        let data: Vec<u8> = (0..100_000u32).map(|i| (i * 7 % 251) as u8).collect();
        q.expect(&mut pool, data.len());
        q.push(&mut pool, &data);
        assert_eq!(pool.bytes_in_use(), data.len().div_ceil(LARGE) * LARGE);
        let mut slices = Slices::new();
        q.slices(10, 65_000, &mut slices);
        assert_eq!(slices.len(), 2);
        drop(slices);
        q.consume(&mut pool, LARGE + 1);
        // It is not empty: what it began with decides.
        q.expect(&mut pool, 1);
        let mut out = vec![0; 1000];
        assert_eq!(q.copy_out(40_000, &mut out), 1000);
        assert_eq!(out, data[LARGE + 40_001..LARGE + 41_001]);
        q.consume(&mut pool, data.len());
        q.release_if_empty(&mut pool);
        assert_eq!(pool.bytes_in_use(), 0);
        q.expect(&mut pool, 1);
        q.push(&mut pool, b"x");
        assert_eq!(pool.bytes_in_use(), CHUNK);
        q.clear(&mut pool);
    }

    #[test]
    fn large_chunks_are_for_ample_memory() {
        let mut pool = Pool::new([5 * LARGE; 3]);
        let mut q = ByteQueue::default();
        q.expect(&mut pool, 4 * LARGE);
        assert_eq!(pool.least_room(&q), 0);
        q.expect(&mut pool, LARGE);
        assert_eq!(pool.least_room(&q), LARGE);
        assert!(pool.room(Whose::Filled, &q) > LARGE);
        q.push(&mut pool, &[0; 2 * LARGE + 1]);
        let room = pool.room(Whose::Filled, &q);
        q.push(&mut pool, &vec![0; room]);
        assert!(pool.account.audit().is_ok());
        q.clear(&mut pool);
        assert_eq!(pool.bytes_in_use(), 0);
    }

    #[test]
    fn a_write_behind_a_gap_costs_one_chunk() {
        let mut pool = Pool::default();
        let mut q = ByteQueue::default();
        q.write_at(&mut pool, 1 << 20, b"x");
        assert_eq!(pool.bytes_in_use(), CHUNK);
        assert_eq!(q.len(), 0);
        q.clear(&mut pool);
        assert_eq!(pool.bytes_in_use(), 0);
    }
}
