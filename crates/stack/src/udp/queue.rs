//! Datagrams received and not read: one ring of bytes and one of lengths, so that no datagram costs an allocation.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::net::SocketAddr;

use crate::socket::control::Arrival;

/// A socket's receive queue.
#[derive(Debug, Default)]
pub(crate) struct ReceiveQueue {
    heads: VecDeque<Head>,
    bytes: VecDeque<u8>,
    /// What the datagrams count for against SO_RCVBUF, bytes.
    charged: usize,
    /// Datagrams that found no room, ever.
    drops: u32,
}

#[derive(Copy, Clone, Debug)]
pub(crate) struct Head {
    /// Who sent it.
    pub(crate) from: SocketAddr,
    /// Bytes of it.
    pub(crate) len: usize,
    /// How it came.
    pub(crate) arrival: Arrival,
    /// Datagrams dropped before it.
    pub(crate) drops: u32,
    /// UDP_GRO: bytes of each of the datagrams in it, 0: it is one.
    pub(crate) gro: u16,
}

/// Beyond this an emptied ring gives its memory back, bytes.
const KEEP: usize = 256 << 10;

impl ReceiveQueue {
    /// Appends a datagram. `false`: the queue is full (Linux __udp_enqueue_schedule_skb: with this one it would exceed SO_RCVBUF;
    /// an empty queue takes any).
    pub(crate) fn push(
        &mut self,
        from: SocketAddr,
        data: &[u8],
        rcvbuf: usize,
        arrival: Arrival,
        gro: u16,
    ) -> bool {
        let charged = self.charged + charge(data.len());
        if charged > rcvbuf && !self.is_empty() {
            self.drops = self.drops.wrapping_add(1);
            return false;
        }
        self.charged = charged;
        self.heads.push_back(Head {
            from,
            len: data.len(),
            arrival,
            drops: self.drops,
            gro,
        });
        self.bytes.extend(data);
        true
    }

    /// Copies the first datagram out, as much as fits, and removes it unless `peek`: what it was, bytes copied.
    pub(crate) fn read(
        &mut self,
        bufs: &mut [IoSliceMut<'_>],
        peek: bool,
    ) -> Option<(Head, usize)> {
        let head = *self.heads.front()?;
        let (a, b) = self.bytes.as_slices();
        let first = a.get(..head.len.min(a.len())).unwrap_or_default();
        let second = b.get(..head.len - first.len()).unwrap_or_default();
        let copied = scatter([first, second], bufs);
        if !peek {
            self.heads.pop_front();
            self.bytes.drain(..head.len);
            self.charged = self.charged.saturating_sub(charge(head.len));
            if self.heads.is_empty() && self.bytes.capacity() > KEEP {
                self.bytes = VecDeque::new();
                self.heads = VecDeque::new();
            }
        }
        Some((head, copied))
    }

    /// Length of the first datagram.
    pub(crate) fn first_len(&self) -> Option<usize> {
        self.heads.front().map(|head| head.len)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// What waits as `ss` counts it: with overhead.
    pub(crate) fn charged(&self) -> usize {
        self.charged
    }
}

/// What a datagram counts for: Linux's skb truesize, so that as many fit into a buffer as there. Measured over loopback on 6.18 by
/// rx_queue of /proc/net/udp: 832 to 197 bytes, 1280 to 645, 2304 to 1669, and so on; from 16 KB on 832 more than the data.
fn charge(len: usize) -> usize {
    const HEADS: usize = 379; // headroom and skb_shared_info, in the same piece of memory as the data
    const SK_BUFF: usize = 256;
    const SMALL_HEAD: usize = 576;
    match len + HEADS {
        ..=SMALL_HEAD => SMALL_HEAD + SK_BUFF,
        room @ ..=16384 => room.next_power_of_two() + SK_BUFF,
        _ => len + SMALL_HEAD + SK_BUFF,
    }
}

/// Copies two slices, one behind the other, into the buffers; the bytes that found room.
fn scatter(parts: [&[u8]; 2], bufs: &mut [IoSliceMut<'_>]) -> usize {
    let mut copied = 0;
    let [mut rest, mut later] = parts;
    for buf in bufs {
        let mut room: &mut [u8] = buf;
        while !room.is_empty() {
            if rest.is_empty() {
                rest = std::mem::take(&mut later);
            }
            let n = rest.len().min(room.len());
            if n == 0 {
                return copied;
            }
            let (to, left) = room.split_at_mut(n);
            let (from, remaining) = rest.split_at(n);
            to.copy_from_slice(from);
            (room, rest) = (left, remaining);
            copied += n;
        }
    }
    copied
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    fn push(queue: &mut ReceiveQueue, data: &[u8], rcvbuf: usize) -> bool {
        let from = "10.0.0.1:9".parse().unwrap();
        let arrival = Arrival {
            dst: from,
            ttl: 64,
            tos: 0,
            interface: 1,
            at: Instant::ZERO,
        };
        queue.push(from, data, rcvbuf, arrival, 0)
    }

    fn read(queue: &mut ReceiveQueue, sizes: &[usize], peek: bool) -> Option<(Vec<u8>, usize)> {
        let mut store: Vec<Vec<u8>> = sizes.iter().map(|n| vec![0; *n]).collect();
        let mut bufs: Vec<_> = store.iter_mut().map(|b| IoSliceMut::new(b)).collect();
        let (head, copied) = queue.read(&mut bufs, peek)?;
        let mut all = store.concat();
        all.truncate(copied);
        Some((all, head.len))
    }

    #[test]
    fn datagrams_keep_their_bounds_round_the_ring() {
        let mut queue = ReceiveQueue::default();
        for round in 0..1000usize {
            let datagram: Vec<u8> = (0..round % 97).map(|i| (i + round) as u8).collect();
            assert!(push(&mut queue, &datagram, 1 << 20));
            assert!(push(&mut queue, &[], 1 << 20));
            assert_eq!(queue.first_len(), Some(datagram.len()));
            let whole = read(&mut queue, &[3, 0, 200], true).unwrap();
            assert_eq!(whole, (datagram.clone(), datagram.len()));
            let cut = read(&mut queue, &[5], false).unwrap();
            assert_eq!(cut.0, datagram[..datagram.len().min(5)]);
            assert_eq!(cut.1, datagram.len());
            assert_eq!(read(&mut queue, &[5], false), Some((vec![], 0)));
        }
        assert!(queue.is_empty() && queue.charged() == 0);
    }

    #[test]
    fn a_full_queue_refuses() {
        let count = |len: usize, rcvbuf| {
            let mut queue = ReceiveQueue::default();
            let data = vec![0; len];
            (0..1000)
                .filter(|_| push(&mut queue, &data, rcvbuf))
                .count()
        };
        // What Linux takes.
        for (len, taken) in [(1, 256), (100, 256), (1000, 92), (1400, 92)] {
            assert_eq!(count(len, 212_992), taken, "{len} bytes");
        }
        for (len, taken) in [(1, 2), (1000, 1), (3000, 1)] {
            assert_eq!(count(len, 2304), taken, "{len} bytes");
        }
    }
}
