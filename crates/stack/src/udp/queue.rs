//! Datagrams received and not read: one ring of bytes and one of lengths, so that no datagram costs an allocation.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::net::SocketAddr;

use crate::socket::Received;
use crate::socket::control::Arrival;
use crate::time::Instant;

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
    /// Octets of IP options behind its bytes: as received, and as an answer would have them.
    options: [u8; 2],
    /// It is empty and was peeked at: SO_PEEK_OFF has passed it.
    peeked: bool,
}

impl Head {
    /// Octets that it takes in the ring.
    fn bytes(&self) -> usize {
        self.len
            + self
                .options
                .iter()
                .map(|len| usize::from(*len))
                .sum::<usize>()
    }
}

/// What one read brought.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    /// The datagram.
    pub(crate) head: Head,
    /// Bytes copied.
    pub(crate) copied: usize,
    /// Some of it that was asked for found no room.
    pub(crate) cut: bool,
    /// The IP options that the program is told of, if there are any: as received, and as an answer would have them.
    pub(crate) options: Option<[Vec<u8>; 2]>,
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
        options: [&[u8]; 2],
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
            options: options.map(|octets| octets.len() as u8),
            peeked: false,
        });
        self.bytes.extend(data);
        for octets in options.iter().filter(|octets| !octets.is_empty()) {
            self.bytes.extend(*octets);
        }
        true
    }

    /// A datagram that is not for the program: counted as one that found no room.
    pub(crate) fn refuse(&mut self) {
        self.drops = self.drops.wrapping_add(1);
    }

    /// Copies the first datagram out, as much as fits, and removes it.
    pub(crate) fn read(&mut self, bufs: &mut [IoSliceMut<'_>]) -> Option<Read> {
        let head = self.heads.pop_front()?;
        let copied = self.copy_out(0, head.len, bufs);
        let options = self.options_at(head.len, &head);
        self.charged = self.charged.saturating_sub(charge(head.len));
        self.forget_first(head.bytes());
        let cut = copied < head.len;
        Some(Read {
            head,
            copied,
            cut,
            options,
        })
    }

    /// As [`ReceiveQueue::read`], for who asks for nothing but the data and their sender; when it came.
    pub(crate) fn read_plain(
        &mut self,
        bufs: &mut [IoSliceMut<'_>],
        received: &mut Received,
    ) -> Option<Instant> {
        let head = self.heads.front()?;
        let (len, octets, at) = (head.len, head.bytes(), head.arrival.at);
        received.from = Some(head.from);
        let copied = match (&mut *bufs, self.bytes.as_slices().0.get(..len)) {
            // Mostly into one piece of memory, and not round the end of the ring.
            ([buf], Some(data)) => {
                let n = data.len().min(buf.len());
                buf[..n].copy_from_slice(&data[..n]);
                n
            }
            _ => self.copy_out(0, len, bufs),
        };
        received.len = copied;
        received.full_len = len;
        received.cut = copied < len;
        self.heads.pop_front();
        self.charged = self.charged.saturating_sub(charge(len));
        if self.heads.is_empty() && self.bytes.capacity() <= KEEP {
            self.bytes.clear();
        } else {
            self.forget_first(octets);
        }
        Some(at)
    }

    /// The octets of the first datagram, which was read, go.
    fn forget_first(&mut self, octets: usize) {
        self.bytes.drain(..octets);
        if self.heads.is_empty() && self.bytes.capacity() > KEEP {
            self.bytes = VecDeque::new();
            self.heads = VecDeque::new();
        }
    }

    /// Copies what lies `offset` bytes behind the first one, up to its datagram's end. Without an offset, or at 0, that is the first
    /// datagram; with one an empty datagram is seen once (__skb_try_recv_from_queue, udp_recvmsg).
    pub(crate) fn peek(
        &mut self,
        bufs: &mut [IoSliceMut<'_>],
        offset: Option<usize>,
    ) -> Option<Read> {
        let mut left = offset.unwrap_or(0);
        let mut begin = 0;
        for head in &mut self.heads {
            if offset.is_some() && left >= head.len && (left > 0 || head.peeked) {
                left -= head.len;
                begin += head.bytes();
                continue;
            }
            head.peeked |= head.len == 0;
            let head = *head;
            let room: usize = bufs.iter().map(|buf| buf.len()).sum();
            let copied = self.copy_out(begin + left, head.len - left, bufs);
            // "else if (copied < ulen)": held against the whole, unless all that is left found room to spare.
            let cut = room <= head.len - left && room < head.len;
            let options = self.options_at(begin + head.len, &head);
            return Some(Read {
                head,
                copied,
                cut,
                options,
            });
        }
        None
    }

    /// Copies `len` bytes from `begin` on, as many as find room.
    fn copy_out(&self, begin: usize, len: usize, bufs: &mut [IoSliceMut<'_>]) -> usize {
        let (a, b) = self.bytes.as_slices();
        let end = begin + len;
        let first = a.get(begin.min(a.len())..end.min(a.len()));
        let in_b = |at: usize| at.saturating_sub(a.len());
        let second = b.get(in_b(begin)..in_b(end));
        scatter(
            [first.unwrap_or_default(), second.unwrap_or_default()],
            bufs,
        )
    }

    /// The options that stand at a place of the ring.
    fn options_at(&self, at: usize, head: &Head) -> Option<[Vec<u8>; 2]> {
        let [received, returned] = head.options.map(usize::from);
        if received + returned == 0 {
            return None;
        }
        let octets =
            |from: usize, len: usize| self.bytes.range(from..from + len).copied().collect();
        Some([octets(at, received), octets(at + received, returned)])
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
pub(crate) fn scatter(parts: [&[u8]; 2], bufs: &mut [IoSliceMut<'_>]) -> usize {
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

    fn push(queue: &mut ReceiveQueue, data: &[u8], rcvbuf: usize) -> bool {
        let from = "10.0.0.1:9".parse().unwrap();
        let arrival = Arrival {
            dst: from,
            ttl: 64,
            tos: 0,
            interface: 1,
            at: Instant::ZERO,
        };
        queue.push(from, data, rcvbuf, arrival, 0, [&[]; 2])
    }

    fn read(queue: &mut ReceiveQueue, sizes: &[usize], peek: bool) -> Option<(Vec<u8>, usize)> {
        let mut store: Vec<Vec<u8>> = sizes.iter().map(|n| vec![0; *n]).collect();
        let mut bufs: Vec<_> = store.iter_mut().map(|b| IoSliceMut::new(b)).collect();
        let read = if peek {
            queue.peek(&mut bufs, None)?
        } else {
            queue.read(&mut bufs)?
        };
        assert_eq!(read.cut, read.copied < read.head.len);
        let mut all = store.concat();
        all.truncate(read.copied);
        Some((all, read.head.len))
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
    fn peeks_from_an_offset_on() {
        let mut queue = ReceiveQueue::default();
        // Round the ring: the second datagram lies in both halves.
        for len in [100, 60] {
            assert!(push(&mut queue, &vec![0; len], 1 << 20));
        }
        read(&mut queue, &[100], false);
        for text in ["abc", "", "defgh"] {
            assert!(push(&mut queue, text.as_bytes(), 1 << 20));
        }
        read(&mut queue, &[60], false);
        let mut at = |offset: usize, room: usize| {
            let mut store = vec![0; room];
            let mut bufs = [IoSliceMut::new(&mut store)];
            let read = queue.peek(&mut bufs, Some(offset))?;
            store.truncate(read.copied);
            Some((String::from_utf8(store).unwrap(), read.cut))
        };
        let is = |text: &str, cut| Some((text.to_owned(), cut));
        assert_eq!(at(0, 2), is("ab", true));
        assert_eq!(at(2, 9), is("c", false));
        assert_eq!(at(3, 9), is("", false));
        assert_eq!(at(3, 9), is("defgh", false));
        assert_eq!(at(5, 3), is("fgh", true));
        assert_eq!(at(5, 4), is("fgh", false));
        assert_eq!(at(8, 9), None);
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
