//! Byte queues that hold no memory while empty: chunks from a pool that the whole stack shares.

use std::collections::VecDeque;
use std::io::IoSlice;

use smallvec::SmallVec;

/// Octets in a chunk.
pub(crate) const CHUNK: usize = 4096;
/// Chunks that the pool keeps for reuse at least, and as many as are in use otherwise: what breathes in and out with every window is
/// not the allocator's affair. More are given back to it.
const POOL_KEEPS: usize = 2048;
/// An empty queue gives up an index longer than this.
const INDEX_KEEPS: usize = 8;

type Chunk = Box<[u8; CHUNK]>;

/// Slices of one segment's payload: 64 KB in chunks, and two partial ones.
pub(crate) type Slices<'a> = SmallVec<[IoSlice<'a>; 20]>;

/// Free chunks, shared by every queue of a stack.
#[derive(Default)]
pub(crate) struct Pool {
    free: Vec<Chunk>,
    /// Chunks that queues hold now.
    in_use: usize,
}

impl Pool {
    fn take(&mut self) -> Chunk {
        self.in_use += 1;
        self.free.pop().unwrap_or_else(|| Box::new([0; CHUNK]))
    }

    fn give(&mut self, chunk: Chunk) {
        self.in_use = self.in_use.saturating_sub(1);
        if self.free.len() < POOL_KEEPS.max(self.in_use) {
            self.free.push(chunk);
        }
    }

    /// Chunks held by queues.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use
    }

    /// Octets held by queues, in whole chunks.
    #[cfg(test)]
    pub(crate) fn bytes_in_use(&self) -> usize {
        self.in_use * CHUNK
    }
}

/// Octets in order, read at the front, written anywhere behind it. A chunk that nothing was written to is absent, so a
/// write far behind the front costs one chunk, not the gap.
#[derive(Default)]
pub(crate) struct ByteQueue {
    chunks: VecDeque<Option<Chunk>>,
    /// Octets of the first chunk that are consumed already; less than `CHUNK`.
    head: usize,
    /// Octets from the front that are valid.
    len: usize,
}

impl ByteQueue {
    /// Octets that can be read.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Chunks it holds.
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.iter().flatten().count()
    }

    /// Whether nothing can be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends `data`.
    pub(crate) fn push(&mut self, pool: &mut Pool, data: &[u8]) {
        self.write_at(pool, self.len, data);
        self.len += data.len();
    }

    /// Writes `data` `offset` octets behind the front without making it readable; see [`ByteQueue::extend`].
    pub(crate) fn write_at(&mut self, pool: &mut Pool, offset: usize, mut data: &[u8]) {
        let mut at = self.head + offset;
        while !data.is_empty() {
            let (index, start) = (at / CHUNK, at % CHUNK);
            while self.chunks.len() <= index {
                self.chunks.push_back(None);
            }
            let chunk = self.chunks[index].get_or_insert_with(|| pool.take());
            let n = data.len().min(CHUNK - start);
            chunk[start..start + n].copy_from_slice(&data[..n]);
            data = &data[n..];
            at += n;
        }
    }

    /// Makes `n` more octets readable that were written before.
    pub(crate) fn extend(&mut self, n: usize) {
        self.len += n;
    }

    /// The octets `offset..offset + len`, as slices. What is not there is left out.
    pub(crate) fn slices<'a>(&'a self, offset: usize, len: usize, out: &mut Slices<'a>) {
        let end = self.len.min(offset.saturating_add(len));
        let mut at = offset;
        while at < end {
            let (index, start) = ((self.head + at) / CHUNK, (self.head + at) % CHUNK);
            let n = (end - at).min(CHUNK - start);
            match self.chunks.get(index) {
                Some(Some(chunk)) => out.push(IoSlice::new(&chunk[start..start + n])),
                _ => return,
            }
            at += n;
        }
    }

    /// Copies from `offset` on into `buf` as much as there is; returns how much.
    pub(crate) fn copy_out(&self, offset: usize, buf: &mut [u8]) -> usize {
        let mut done = 0;
        let mut at = self.head + offset;
        let end = self.head + self.len;
        while done < buf.len() && at < end {
            let (index, start) = (at / CHUNK, at % CHUNK);
            let n = (buf.len() - done).min(CHUNK - start).min(end - at);
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
    pub(crate) fn consume(&mut self, pool: &mut Pool, n: usize) {
        let n = n.min(self.len);
        self.len -= n;
        self.head += n;
        while self.head >= CHUNK {
            self.head -= CHUNK;
            if let Some(Some(chunk)) = self.chunks.pop_front() {
                pool.give(chunk);
            }
        }
    }

    /// Gives every chunk back when nothing readable is left. Not to be called while octets wait behind a gap.
    pub(crate) fn release_if_empty(&mut self, pool: &mut Pool) {
        if self.len == 0 {
            self.clear(pool);
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.len = 0;
        self.head = 0;
        for chunk in self.chunks.drain(..).flatten() {
            pool.give(chunk);
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
