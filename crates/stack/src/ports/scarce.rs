//! Choosing an ephemeral port where few are left: which ports are still worth a look, per asker.

use std::net::{IpAddr, SocketAddr};

use super::shape::Shape;
use crate::socket::Kind;

/// Askers remembered: each costs up to 8 KB, and a look when a port becomes free.
const MOST: usize = 32;

/// The ephemeral ports in the order in which they are walked through: first every other one from the first on, then those between.
/// Connects prefer the one half and bind(2) the other (Linux does so since 4.2), so that neither takes away what the other could share.
///
/// A range of one socket's own (IP_LOCAL_PORT_RANGE) is walked through as it stands: its first half is all of it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Range {
    first: u16,
    len: u32,
    parted: bool,
}

/// Places `from..from + len` of a [`Range`].
#[derive(Copy, Clone, Debug)]
pub(super) struct Span {
    /// First place.
    pub(super) from: u32,
    /// How many.
    pub(super) len: u32,
}

impl Range {
    /// Ports `first..=last`.
    pub(super) fn new(first: u16, last: u16) -> Range {
        Range {
            first,
            len: u32::from(last.max(first) - first) + 1,
            parted: true,
        }
    }

    /// The ports of these that a socket with IP_LOCAL_PORT_RANGE `own` (low half: first, high half: last; 0: none of its own) may be
    /// given: an end of its own counts where it lies within (Linux: inet_sk_get_local_port_range).
    pub(super) fn narrowed(self, own: u32) -> Range {
        if own == 0 {
            return self;
        }
        let (mut first, mut last) = (u32::from(self.first), u32::from(self.first) + self.len - 1);
        let (own_first, own_last) = (own & 0xffff, own >> 16);
        if (first..=last).contains(&own_first) {
            first = own_first;
        }
        if (first..=last).contains(&own_last) {
            last = own_last;
        }
        Range {
            first: first as u16,
            len: last - first + 1,
            parted: false,
        }
    }

    /// Ports of the first half: those of the first one's parity.
    fn even(&self) -> u32 {
        if self.parted {
            self.len.div_ceil(2)
        } else {
            self.len
        }
    }

    /// The two halves, the connects' first.
    pub(super) fn halves(&self) -> [Span; 2] {
        let even = self.even();
        [
            Span { from: 0, len: even },
            Span {
                from: even,
                len: self.len - even,
            },
        ]
    }

    /// The port at a place.
    pub(super) fn port(&self, place: u32) -> u16 {
        let even = self.even();
        let step = match place.checked_sub(even) {
            None if !self.parted => place,
            None => 2 * place,
            Some(odd) => 2 * odd + 1,
        };
        self.first.wrapping_add(step as u16)
    }

    fn place(&self, port: u16) -> Option<u32> {
        let step = u32::from(port.checked_sub(self.first)?);
        let place = match step % 2 {
            _ if !self.parted => step,
            0 => step / 2,
            _ => step / 2 + self.even(),
        };
        (step < self.len).then_some(place)
    }
}

/// Who asks for a port, and of which: whether one will do depends on this and on who holds it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Asker {
    /// Who.
    pub(super) who: Who,
    /// The ports that will do.
    pub(super) range: Range,
}

/// Who asks for a port.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Who {
    /// A TCP connect.
    Connect {
        /// From.
        src: IpAddr,
        /// To.
        dst: SocketAddr,
    },
    /// bind(2) to port 0.
    Bind {
        /// Protocol.
        proto: Kind,
        /// What the hold would be like.
        shape: Shape,
    },
}

impl Who {
    /// Whether a hold of `proto` that ended may have been what was in the way.
    fn minds(&self, proto: Kind) -> bool {
        match self {
            Who::Connect { .. } => proto == Kind::Stream,
            Who::Bind { proto: of, .. } => *of == proto,
        }
    }
}

/// The ports that may do for somebody: all but those that did not when last looked at, and have not become free since.
#[derive(Debug)]
struct Candidates {
    asker: Asker,
    /// By place.
    bits: Vec<u64>,
    /// Places whose bit is not set.
    struck: u32,
    /// When last asked for, as a number of requests.
    asked: u64,
}

impl Candidates {
    fn word(place: u32) -> (usize, u64) {
        (place as usize / 64, 1 << (place % 64))
    }

    /// The first at `at` or after it, before `end`.
    fn first(&self, at: u32, end: u32) -> Option<u32> {
        let (mut index, _) = Self::word(at);
        let mut word = self.bits.get(index)? & (u64::MAX << (at % 64));
        while word == 0 {
            index += 1;
            word = *self.bits.get(index)?;
        }
        let place = index as u32 * 64 + word.trailing_zeros();
        (place < end).then_some(place)
    }

    fn set(&mut self, place: u32) {
        let (index, bit) = Self::word(place);
        if let Some(word) = self.bits.get_mut(index).filter(|word| **word & bit == 0) {
            *word |= bit;
            self.struck = self.struck.saturating_sub(1);
        }
    }

    fn strike(&mut self, place: u32) {
        let (index, bit) = Self::word(place);
        if let Some(word) = self.bits.get_mut(index).filter(|word| **word & bit != 0) {
            *word &= !bit;
            self.struck += 1;
        }
    }
}

/// Those who found many ports taken in a row.
///
/// A port is struck off when it does not do, or is given out, and set again when a hold on it ends or its 4-tuple becomes free. So
/// every look that finds nothing is paid for by a connection or a hold that was made, and when all are struck off there is none: that
/// costs no look at all.
#[derive(Debug, Default)]
pub(super) struct Scarce {
    known: Vec<Candidates>,
    requests: u64,
}

impl Scarce {
    /// Whether `asker` is remembered.
    pub(super) fn knows(&self, asker: &Asker) -> bool {
        self.known.iter().any(|known| known.asker == *asker)
    }

    /// From now on `asker` is remembered, in place of whoever has not asked for longest.
    pub(super) fn remember(&mut self, asker: Asker) {
        if self.known.len() >= MOST
            && let Some(oldest) = (0..self.known.len()).min_by_key(|at| self.known[*at].asked)
        {
            self.known.swap_remove(oldest);
        }
        self.known.push(Candidates {
            asker,
            bits: vec![u64::MAX; asker.range.len.div_ceil(64) as usize],
            struck: 0,
            asked: self.requests,
        });
    }

    /// The next candidate of a half, from place `start` on and round; it is struck off. `None`: the half is exhausted.
    pub(super) fn next(&mut self, asker: &Asker, half: Span, start: u32) -> Option<u32> {
        self.requests += 1;
        let requests = self.requests;
        let known = self.known.iter_mut().find(|known| known.asker == *asker)?;
        known.asked = requests;
        let end = half.from + half.len;
        let place = known
            .first(start, end)
            .or_else(|| known.first(half.from, start))?;
        known.strike(place);
        Some(place)
    }

    /// A hold on `port` ended.
    pub(super) fn freed(&mut self, proto: Kind, port: u16) {
        self.set(port, |who| who.minds(proto));
    }

    /// A 4-tuple became free.
    pub(super) fn vacated(&mut self, src: IpAddr, port: u16, dst: SocketAddr) {
        self.set(port, |who| *who == Who::Connect { src, dst });
    }

    fn set(&mut self, port: u16, which: impl Fn(&Who) -> bool) {
        self.known.retain_mut(|known| {
            if which(&known.asker.who)
                && let Some(place) = known.asker.range.place(port)
            {
                known.set(place);
            }
            // With all ports before it again, an asker finds one by walking.
            known.struck > 0
        });
    }
}
