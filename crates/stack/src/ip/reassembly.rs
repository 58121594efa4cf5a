//! Fragments back together, RFC 791 3.2 and RFC 8200 4.5. Pieces that overlap kill their datagram (RFC 5722, for IPv4 as well).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use crate::keyed::{KeyedMap, KeyedState};
use crate::time::Instant;

/// Which datagram a fragment belongs to.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    /// Source.
    pub(crate) src: IpAddr,
    /// Destination.
    pub(crate) dst: IpAddr,
    /// Identification.
    pub(crate) id: u32,
    /// IPv4: protocol. IPv6: 0 (RFC 8200 4.5 leaves it out).
    pub(crate) proto: u8,
}

/// A fragment as it came.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Piece<'a> {
    /// Offset in the datagram, bytes.
    pub(crate) offset: usize,
    /// More follow.
    pub(crate) more: bool,
    /// What follows the headers (IPv6: the fragment header's next header).
    pub(crate) next: u8,
    /// TOS or traffic class.
    pub(crate) tos: u8,
    /// The data.
    pub(crate) data: &'a [u8],
    /// The whole packet as it came, to be quoted should the rest never arrive.
    pub(crate) packet: &'a [u8],
}

/// A datagram put together.
#[derive(Debug)]
pub(crate) struct Whole {
    /// What follows the headers.
    pub(crate) next: u8,
    /// TOS or traffic class of the first fragment, with CE when any piece had it (RFC 3168 5.3).
    pub(crate) tos: u8,
    /// The data.
    pub(crate) data: Vec<u8>,
    /// The first fragment as it came, cut: for ICMP errors.
    pub(crate) quote: Vec<u8>,
}

/// A datagram of which something is missing.
#[derive(Debug)]
struct Partial {
    /// Pieces by offset; they do not overlap.
    pieces: BTreeMap<usize, Vec<u8>>,
    /// Bytes in pieces.
    have: usize,
    /// Length, once the last fragment is there.
    total: Option<usize>,
    next: u8,
    tos: u8,
    /// Head of the first fragment's packet.
    quote: Option<Vec<u8>>,
    /// An overlap was seen: everything more is dropped until the time is over.
    dead: bool,
    cost: usize,
    timer: (Instant, u64),
}

/// Datagrams that wait for their missing pieces.
#[derive(Debug)]
pub(crate) struct Reassembly {
    partials: KeyedMap<Key, Partial>,
    /// By deadline; the second part tells equal deadlines apart.
    timers: BTreeMap<(Instant, u64), Key>,
    serial: u64,
    cost: usize,
    evicted: u64,
}

/// Most bytes that all incomplete datagrams may take (Linux: ipfrag_high_thresh).
const COST_MAX: usize = 4 << 20;
/// Accounted for each piece and each datagram beyond its data, bytes.
const OVERHEAD: usize = 128;
/// Largest datagram, bytes behind the header.
const TOTAL_MAX: usize = 65535;
/// Bytes of the first fragment kept to be quoted (as much as an ICMPv6 error carries).
const QUOTE_MAX: usize = 1232;
/// How long missing pieces are waited for: IPv4 as on Linux (ipfrag_time).
const TIMEOUT_V4: Duration = Duration::from_secs(30);
/// IPv6: RFC 8200 4.5.
const TIMEOUT_V6: Duration = Duration::from_secs(60);

impl Reassembly {
    /// Nothing waits.
    pub(crate) fn new(rng: &mut ChaCha8Rng) -> Reassembly {
        Reassembly {
            partials: KeyedState::map(rng),
            timers: BTreeMap::new(),
            serial: 0,
            cost: 0,
            evicted: 0,
        }
    }

    /// Takes a fragment; gives the datagram when it was the last one missing. The caller has checked that pieces but the last are a
    /// multiple of 8 and that none reaches beyond 65535.
    pub(crate) fn add(&mut self, now: Instant, key: Key, piece: &Piece<'_>) -> Option<Whole> {
        if piece.data.is_empty() || piece.offset.saturating_add(piece.data.len()) > TOTAL_MAX {
            return None;
        }
        if !self.partials.contains_key(&key) {
            self.open(now, key, piece);
        }
        let partial = self.partials.get_mut(&key)?;
        let before = partial.cost;
        let complete = partial.insert(piece);
        let (before, after) = (before, partial.cost);
        self.cost = self.cost.saturating_sub(before).saturating_add(after);
        if complete {
            let partial = self.remove(&key)?;
            return Some(partial.join());
        }
        while self.cost > COST_MAX && self.evict_oldest() {}
        None
    }

    /// Gives up datagrams whose time is over, calling `expired` with the first fragment of those where it had come.
    pub(crate) fn expire(&mut self, now: Instant, mut expired: impl FnMut(Key, Vec<u8>)) {
        while let Some((&(deadline, _), &key)) = self.timers.first_key_value()
            && deadline <= now
        {
            let Some(partial) = self.remove(&key) else {
                break;
            };
            if let (false, Some(quote)) = (partial.dead, partial.quote) {
                expired(key, quote);
            }
        }
    }

    /// When [`Reassembly::expire`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers.first_key_value().map(|(key, _)| key.0)
    }

    /// Datagrams given up for want of memory.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    fn open(&mut self, now: Instant, key: Key, piece: &Piece<'_>) {
        let timeout = if key.src.is_ipv4() {
            TIMEOUT_V4
        } else {
            TIMEOUT_V6
        };
        self.serial = self.serial.wrapping_add(1);
        let timer = (now + timeout, self.serial);
        self.timers.insert(timer, key);
        let partial = Partial {
            pieces: BTreeMap::new(),
            have: 0,
            total: None,
            next: piece.next,
            tos: piece.tos,
            quote: None,
            dead: false,
            cost: OVERHEAD,
            timer,
        };
        self.cost = self.cost.saturating_add(partial.cost);
        self.partials.insert(key, partial);
    }

    fn remove(&mut self, key: &Key) -> Option<Partial> {
        let partial = self.partials.remove(key)?;
        self.timers.remove(&partial.timer);
        self.cost = self.cost.saturating_sub(partial.cost);
        Some(partial)
    }

    fn evict_oldest(&mut self) -> bool {
        let Some((_, &key)) = self.timers.first_key_value() else {
            return false;
        };
        self.evicted += 1;
        self.remove(&key).is_some()
    }
}

impl Partial {
    /// Puts a piece in; whether all are there now.
    fn insert(&mut self, piece: &Piece<'_>) -> bool {
        let end = piece.offset + piece.data.len();
        if self.dead || self.is_duplicate(piece) {
            return false;
        }
        let highest = self
            .pieces
            .last_key_value()
            .map_or(0, |(at, data)| at + data.len());
        let contradicts = match self.total {
            Some(total) => end > total || (!piece.more && end != total),
            None => !piece.more && highest > end,
        };
        if contradicts || self.overlaps(piece.offset, end) {
            self.kill();
            return false;
        }
        if !piece.more {
            self.total = Some(end);
        }
        if piece.offset == 0 {
            // RFC 8200 4.5: next header and the rest of the headers are those of the first fragment.
            self.next = piece.next;
            let ce = self.tos & 3 == 3;
            self.tos = piece.tos | if ce { 3 } else { 0 };
            let quoted = piece.packet.get(..QUOTE_MAX).unwrap_or(piece.packet);
            self.quote = Some(quoted.to_vec());
            self.cost += quoted.len();
        } else if piece.tos & 3 == 3 {
            self.tos |= 3;
        }
        self.have += piece.data.len();
        self.cost += piece.data.len() + OVERHEAD;
        self.pieces.insert(piece.offset, piece.data.to_vec());
        self.total == Some(self.have)
    }

    /// The same bytes at the same place once more: a copy made by the network, not an attack.
    fn is_duplicate(&self, piece: &Piece<'_>) -> bool {
        self.pieces
            .get(&piece.offset)
            .is_some_and(|data| data == piece.data)
    }

    fn overlaps(&self, start: usize, end: usize) -> bool {
        self.pieces
            .range(..end)
            .next_back()
            .is_some_and(|(at, data)| at + data.len() > start)
    }

    fn kill(&mut self) {
        self.dead = true;
        self.pieces.clear();
        self.quote = None;
        self.cost = OVERHEAD;
    }

    fn join(self) -> Whole {
        let mut data = Vec::with_capacity(self.have);
        for piece in self.pieces.values() {
            data.extend_from_slice(piece);
        }
        Whole {
            next: self.next,
            tos: self.tos,
            data,
            quote: self.quote.unwrap_or_default(),
        }
    }
}
