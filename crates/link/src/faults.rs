//! Faults on purpose, the same ones for the same seed.
//!
//! Each direction has its own random stream, and each frame takes the same number of draws from it
//! whatever is switched on. So what happens to the k-th frame of a direction depends on the seed,
//! the direction and k alone: traffic the other way does not shift it, nor does another option.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::device::{
    Caps, Device, HDR_F_DATA_VALID, HDR_F_NEEDS_CSUM, LinkError, VNET_HDR_LEN, earlier, gather,
};

/// What goes wrong on the link, each way. The default is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FaultConfig {
    /// Probability, 0 to 1, that a frame is lost.
    pub loss: f64,
    /// Probability, 0 to 1, that after a lost frame the next one is lost too, if that is more than
    /// `loss`: losses come in bursts of 1 / (1 - `burst`) frames on average (Gilbert's model).
    pub burst: f64,
    /// Probability, 0 to 1, that a frame is held back for a moment, so that later ones overtake it.
    pub reorder: f64,
    /// How long that moment is, microseconds. 0: half a millisecond to one and a half, or as many
    /// of the frame's own times at the link's rate.
    pub reorder_us: u64,
    /// Probability, 0 to 1, that a frame arrives twice.
    pub duplicate: f64,
    /// Probability, 0 to 1, that a byte of the packet is changed.
    pub corrupt: f64,
    /// Time on the way, one direction, in microseconds.
    pub delay_us: u64,
    /// The delay varies by up to this much either way, evenly, in microseconds; it does not fall under
    /// 0. Frames keep their order, as in one queue: only `reorder` changes that.
    pub jitter_us: u64,
    /// Bits of packets per second, each way; more wait in a queue, and what does not fit in there is
    /// dropped. `Some(0)` lets nothing through.
    pub rate_bps: Option<u64>,
    /// What that queue holds, bytes of packets. `None`: 256 KiB or 100 ms, whichever is more.
    pub queue_bytes: Option<u64>,
    /// What all chance is drawn from.
    pub seed: u64,
}

impl FaultConfig {
    /// Nothing can happen to any frame, so the wrapper may be left away.
    pub fn is_off(&self) -> bool {
        *self
            == FaultConfig {
                seed: self.seed,
                ..FaultConfig::default()
            }
    }
}

/// What happened in one direction, in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultStats {
    /// Taken in.
    pub frames: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Dropped because the queue before the rate limit, or the link's memory, was full.
    pub overflowed: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// Changed by a byte.
    pub corrupted: u64,
    /// Held back so that others overtake.
    pub reordered: u64,
    /// What all of them that were not dropped have waited before the rate limit, their own sending included, microseconds.
    pub queued_us: u64,
    /// The longest that one of them has waited there, microseconds.
    pub queued_max_us: u64,
}

/// A device with faults, in both directions.
///
/// The device inside should be opened without offload: a fault strikes a frame, and one super-segment
/// stands for many. The wrapper reports no offload whatever is inside.
///
/// What is lost here was sent as far as the stack can tell: `send` says `Ok`.
#[derive(Debug)]
pub struct Faults<D: Device> {
    inner: D,
    incoming: Direction,
    outgoing: Direction,
    /// `recv` stopped before the device was empty.
    unread: bool,
    scratch: Vec<u8>,
}

impl<D: Device> Faults<D> {
    /// Puts faults around a device, the same in both directions.
    pub fn new(inner: D, config: FaultConfig) -> Faults<D> {
        Faults::with_directions(inner, config, config)
    }

    /// Puts faults around a device, some for the frames received and others for those sent.
    pub fn with_directions(inner: D, incoming: FaultConfig, outgoing: FaultConfig) -> Faults<D> {
        Faults {
            inner,
            incoming: Direction::new(incoming, 0),
            outgoing: Direction::new(outgoing, 1),
            unread: false,
            scratch: Vec::new(),
        }
    }

    /// What happened to frames received and to frames sent.
    pub fn stats(&self) -> (FaultStats, FaultStats) {
        (self.incoming.stats, self.outgoing.stats)
    }

    /// Sends what is due.
    fn release(&mut self, now_us: u64) {
        while let Some(frame) = self.outgoing.take_due(now_us) {
            // A frame the device does not take is lost on the way; that the device is gone, the next
            // recv says.
            let _ = self.inner.send(now_us, &[IoSlice::new(&frame)]);
            self.outgoing.recycle(frame);
        }
    }

    /// The next frame whose time has come, into `buf`.
    fn deliver(&mut self, now_us: u64, buf: &mut [u8]) -> Option<usize> {
        let frame = self.incoming.take_due(now_us)?;
        let len = frame.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..len), frame.get(..len)) {
            to.copy_from_slice(from);
        }
        self.incoming.recycle(frame);
        Some(len)
    }
}

impl<D: Device> Device for Faults<D> {
    fn recv(&mut self, now_us: u64, buf: &mut [u8]) -> Result<usize, LinkError> {
        if let Some(len) = self.deliver(now_us, buf) {
            return Ok(len);
        }
        self.unread = false;
        for _ in 0..READ_MAX {
            let len = match self.inner.recv(now_us, buf) {
                Ok(len) => len,
                Err(error) => return self.deliver(now_us, buf).ok_or(error),
            };
            let frame = buf.get_mut(..len).unwrap_or_default();
            let plan = self.incoming.plan(now_us, packet_len(len));
            if let Some(due) = plan.copy {
                self.incoming.hold(due, &[IoSlice::new(frame)], None);
            }
            match plan.first {
                Some(due) if due <= now_us => {
                    damage(frame, plan.damage);
                    return Ok(len);
                }
                Some(due) => self.incoming.hold(due, &[IoSlice::new(frame)], plan.damage),
                None => {}
            }
        }
        self.unread = true;
        self.deliver(now_us, buf).ok_or(LinkError::WouldBlock)
    }

    fn send(&mut self, now_us: u64, frame: &[IoSlice<'_>]) -> Result<(), LinkError> {
        self.release(now_us);
        let len = frame.iter().map(|slice| slice.len()).sum();
        let plan = self.outgoing.plan(now_us, packet_len(len));
        let mut result = Ok(());
        match plan.first {
            Some(due) if due > now_us => self.outgoing.hold(due, frame, plan.damage),
            Some(_) if plan.damage.is_some() => {
                gather(frame, &mut self.scratch);
                damage(&mut self.scratch, plan.damage);
                result = self.inner.send(now_us, &[IoSlice::new(&self.scratch)]);
            }
            Some(_) => result = self.inner.send(now_us, frame),
            None => {}
        }
        match plan.copy {
            Some(due) if due > now_us => self.outgoing.hold(due, frame, None),
            Some(_) => result = result.and(self.inner.send(now_us, frame)),
            None => {}
        }
        result
    }

    fn next_deadline(&self) -> Option<u64> {
        if self.unread {
            return Some(0);
        }
        let held = earlier(self.incoming.next_due(), self.outgoing.next_due());
        earlier(held, self.inner.next_deadline())
    }

    fn poll(&mut self, now_us: u64) {
        self.inner.poll(now_us);
        self.release(now_us);
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.fd()
    }

    fn caps(&self) -> Caps {
        Caps {
            csum: false,
            tso4: false,
            tso6: false,
            ..self.inner.caps()
        }
    }

    fn flush(&mut self) {
        self.inner.flush();
    }
}

/// What becomes of one frame.
#[derive(Debug, Clone, Copy, Default)]
struct Plan {
    /// When it arrives, microseconds; `None`: never.
    first: Option<u64>,
    /// When it arrives again.
    copy: Option<u64>,
    /// How the first one is changed.
    damage: Option<Damage>,
}

/// A byte of the packet (counted after the virtio-net header) and what it is XORed with, never 0.
#[derive(Debug, Clone, Copy)]
struct Damage {
    at: usize,
    mask: u8,
}

/// One direction: its chance, its queue and its frames on the way.
#[derive(Debug)]
struct Direction {
    config: FaultConfig,
    rng: ChaCha8Rng,
    /// The last frame was lost by chance.
    losing: bool,
    /// When the rate limit has sent all it was given, nanoseconds.
    idle_ns: u64,
    /// When the last frame that kept its place arrives, microseconds.
    last_due_us: u64,
    /// Frames held so far: those of one time arrive in this order.
    sequence: u64,
    held: BinaryHeap<Held>,
    /// The sum of the held frames' lengths.
    held_bytes: usize,
    /// Empty buffers to use again.
    spare: Vec<Vec<u8>>,
    stats: FaultStats,
}

impl Direction {
    fn new(config: FaultConfig, stream: u64) -> Direction {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&config.seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream);
        Direction {
            config,
            rng,
            losing: false,
            idle_ns: 0,
            last_due_us: 0,
            sequence: 0,
            held: BinaryHeap::new(),
            held_bytes: 0,
            spare: Vec::new(),
            stats: FaultStats::default(),
        }
    }

    /// Decides over a frame with a packet of `len` bytes that enters the link now.
    fn plan(&mut self, now_us: u64, len: usize) -> Plan {
        let config = self.config;
        let [loss, duplicate, corrupt, at, mask, reorder, hold, jitter] =
            std::array::from_fn(|_| self.rng.next_u64());
        self.stats.frames += 1;
        let again = if self.losing { config.burst } else { 0.0 };
        self.losing = happens(config.loss, loss) || happens(again, loss);
        if self.losing {
            self.stats.lost += 1;
            return Plan::default();
        }
        let Some(leaves_us) = self.serialize(now_us, len) else {
            self.stats.overflowed += 1;
            return Plan::default();
        };
        let queued_us = leaves_us.saturating_sub(now_us);
        self.stats.queued_us = self.stats.queued_us.saturating_add(queued_us);
        self.stats.queued_max_us = self.stats.queued_max_us.max(queued_us);
        let mut plan = Plan::default();
        if happens(config.corrupt, corrupt) && len > 0 {
            let mask = 1 + below(mask, 255) as u8;
            plan.damage = Some(Damage {
                at: below(at, len as u64) as usize,
                mask,
            });
            self.stats.corrupted += 1;
        }
        let arrives_us = leaves_us.saturating_add(vary(&config, jitter));
        if happens(config.reorder, reorder) {
            self.stats.reordered += 1;
            plan.first = Some(arrives_us.saturating_add(hold_us(&config, len, hold)));
        } else {
            plan.first = Some(self.in_order(arrives_us));
        }
        if happens(config.duplicate, duplicate) {
            match self.serialize(now_us, len) {
                Some(leaves_us) => {
                    let arrives_us = leaves_us.saturating_add(vary(&config, jitter));
                    plan.copy = Some(self.in_order(arrives_us));
                    self.stats.duplicated += 1;
                }
                None => self.stats.overflowed += 1,
            }
        }
        plan
    }

    /// When the last bit of a packet has passed the rate limit, microseconds. `None`: the queue is full.
    fn serialize(&mut self, now_us: u64, len: usize) -> Option<u64> {
        let Some(rate) = self.config.rate_bps else {
            return Some(now_us);
        };
        if rate == 0 {
            return None;
        }
        let now_ns = now_us.saturating_mul(1000);
        let starts_ns = self.idle_ns.max(now_ns);
        let waiting = u128::from(starts_ns - now_ns) * u128::from(rate) / BYTE_NS;
        let usual = QUEUE_BYTES.max(rate / 8 / 10);
        let limit = self.config.queue_bytes.unwrap_or(usual);
        if waiting + len as u128 > u128::from(limit) {
            return None;
        }
        self.idle_ns = starts_ns.saturating_add(transmit_ns(len, rate));
        Some(self.idle_ns.div_ceil(1000))
    }

    /// Not before those that were before it.
    fn in_order(&mut self, arrives_us: u64) -> u64 {
        self.last_due_us = self.last_due_us.max(arrives_us);
        self.last_due_us
    }

    fn hold(&mut self, due_us: u64, frame: &[IoSlice<'_>], change: Option<Damage>) {
        let mut buf = self.spare.pop().unwrap_or_default();
        gather(frame, &mut buf);
        if self.held_bytes.saturating_add(buf.len()) > HELD_BYTES {
            self.stats.overflowed += 1;
            return self.recycle(buf);
        }
        damage(&mut buf, change);
        self.held_bytes += buf.len();
        self.sequence += 1;
        self.held.push(Held {
            due_us,
            sequence: self.sequence,
            frame: buf,
        });
    }

    fn next_due(&self) -> Option<u64> {
        self.held.peek().map(|held| held.due_us)
    }

    fn take_due(&mut self, now_us: u64) -> Option<Vec<u8>> {
        if self.next_due()? > now_us {
            return None;
        }
        let frame = self.held.pop()?.frame;
        self.held_bytes -= frame.len();
        Some(frame)
    }

    fn recycle(&mut self, frame: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(frame);
        }
    }
}

/// A frame on its way. The greatest is the one that arrives first, as BinaryHeap wants it.
#[derive(Debug)]
struct Held {
    due_us: u64,
    sequence: u64,
    frame: Vec<u8>,
}

impl Ord for Held {
    fn cmp(&self, other: &Held) -> Ordering {
        (other.due_us, other.sequence).cmp(&(self.due_us, self.sequence))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Held) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Held) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Held {}

/// Whether something of this probability happens at this draw.
fn happens(probability: f64, draw: u64) -> bool {
    // 53 bits, as many as an f64 holds: evenly in [0, 1).
    ((draw >> 11) as f64) * (1.0 / (1u64 << 53) as f64) < probability
}

/// A number in [0, `end`) out of a draw.
fn below(draw: u64, end: u64) -> u64 {
    ((u128::from(draw) * u128::from(end)) >> 64) as u64
}

/// The delay of one frame, microseconds.
fn vary(config: &FaultConfig, draw: u64) -> u64 {
    let span = config.jitter_us.saturating_mul(2).saturating_add(1);
    config
        .delay_us
        .saturating_add(below(draw, span))
        .saturating_sub(config.jitter_us)
}

/// How long a frame is held back for reordering, microseconds: what was asked for, or one to three times the larger of half a
/// millisecond and the time the frame itself takes at the link's rate, so that what is sent right
/// after it overtakes it.
fn hold_us(config: &FaultConfig, len: usize, draw: u64) -> u64 {
    if config.reorder_us > 0 {
        return config.reorder_us;
    }
    let frame_us = match config.rate_bps {
        Some(rate) if rate > 0 => transmit_ns(len, rate).div_ceil(1000),
        _ => 0,
    };
    let unit = frame_us.max(HOLD_US);
    unit.saturating_add(below(draw, unit.saturating_mul(2)))
}

/// How long a packet takes at `rate` bits per second (not 0), nanoseconds.
fn transmit_ns(len: usize, rate: u64) -> u64 {
    u64::try_from(len as u128 * BYTE_NS / u128::from(rate)).unwrap_or(u64::MAX)
}

fn packet_len(frame_len: usize) -> usize {
    frame_len.saturating_sub(VNET_HDR_LEN)
}

/// Changes a byte of the packet, and no header may say that its checksum is none of our business.
fn damage(frame: &mut [u8], change: Option<Damage>) {
    let Some(Damage { at, mask }) = change else {
        return;
    };
    if let Some(byte) = frame.get_mut(VNET_HDR_LEN + at) {
        *byte ^= mask;
        frame[0] &= !(HDR_F_NEEDS_CSUM | HDR_F_DATA_VALID);
    }
}

/// Nanoseconds times bits per second that make a byte.
const BYTE_NS: u128 = 8_000_000_000;
/// The least that the queue before the rate limit holds when nothing else is asked for.
const QUEUE_BYTES: u64 = 256 * 1024;
/// The most that is on the way in one direction: 2 Gbit/s for a second.
const HELD_BYTES: usize = 256 << 20;
/// The least that a reordered frame is held back.
const HOLD_US: u64 = 500;
/// How many frames one call of `recv` takes from the device before it says that it found none due.
const READ_MAX: usize = 256;
/// How many empty buffers one direction keeps.
const SPARE_MAX: usize = 256;

#[cfg(test)]
mod tests;
