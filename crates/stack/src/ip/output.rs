//! Packets on their way out: headers, fragments, the queue to the device and the queue round to ourselves.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::IpAddr;

use super::options::insert;
use super::{Iface, IpLayer, Path, Via};
use crate::error::{Error, Result};
use crate::keyed::KeyedState;
use crate::wire::ip_options::of_later_fragments;
use crate::wire::vnet::VnetHdr;
use crate::wire::{ipv4, ipv6, vnet};

/// Frames that wait, in buffers that are used again: in the steady state nothing is allocated.
#[derive(Debug, Default)]
pub(crate) struct PacketQueue {
    device: VecDeque<Vec<u8>>,
    local: VecDeque<(Vec<u8>, Iface)>,
    device_bytes: usize,
    local_bytes: usize,
    pool: Vec<Vec<u8>>,
    dropped: u64,
}

/// Most bytes that wait for the device; beyond it sending fails with `NoBuffers`.
const DEVICE_MAX: usize = 32 << 20;
/// Most bytes on their way round inside; beyond it they are lost like on any full queue.
const LOCAL_MAX: usize = 64 << 20;
/// Most buffers kept for use again.
const POOL_MAX: usize = 128;
/// Largest IP packet, bytes.
const PACKET_MAX: usize = 65535;

/// An outgoing packet's header, of either family.
#[derive(Copy, Clone, Debug)]
pub(crate) struct TxMeta {
    /// Source.
    pub(crate) src: IpAddr,
    /// Destination.
    pub(crate) dst: IpAddr,
    /// Protocol.
    pub(crate) proto: u8,
    /// TTL or hop limit.
    pub(crate) ttl: u8,
    /// TOS or traffic class.
    pub(crate) tos: u8,
    /// IPv4: set don't-fragment.
    pub(crate) df: bool,
}

impl PacketQueue {
    /// An empty buffer, with the room that it had when it was used before.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        self.pool.pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(crate) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.pool.len() < POOL_MAX {
            buffer.clear();
            self.pool.push(buffer);
        }
    }

    /// The next frame for the device.
    pub(crate) fn pop_device(&mut self) -> Option<Vec<u8>> {
        let frame = self.device.pop_front()?;
        self.device_bytes = self.device_bytes.saturating_sub(frame.len());
        Some(frame)
    }

    /// The next frame for ourselves, and the interface that it arrives by.
    pub(crate) fn pop_local(&mut self) -> Option<(Vec<u8>, Iface)> {
        let (frame, iface) = self.local.pop_front()?;
        self.local_bytes = self.local_bytes.saturating_sub(frame.len());
        Some((frame, iface))
    }

    /// How many frames for ourselves wait.
    pub(crate) fn local_len(&self) -> usize {
        self.local.len()
    }

    /// Whether anything waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.local.is_empty() && self.device.is_empty()
    }

    /// Frames lost because a queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn push_local(&mut self, frame: Vec<u8>, iface: Iface) {
        if self.local_bytes.saturating_add(frame.len()) > LOCAL_MAX {
            self.dropped += 1;
            self.recycle(frame);
        } else {
            self.local_bytes += frame.len();
            self.local.push_back((frame, iface));
        }
    }

    fn push_device(&mut self, frame: Vec<u8>) -> Result<()> {
        if self.device_bytes.saturating_add(frame.len()) > DEVICE_MAX {
            self.dropped += 1;
            self.recycle(frame);
            return Err(Error::NoBuffers);
        }
        self.device_bytes += frame.len();
        self.device.push_back(frame);
        Ok(())
    }
}

impl IpLayer {
    /// Writes an IPv4 header of 20 bytes with its checksum, or an IPv6 header of 40, to the head of `buf`; returns its length
    /// (0 when `buf` is too short or the families differ). Identification is 0 with `df` (RFC 6864 4.1).
    #[allow(clippy::too_many_arguments)] // the header's fields
    pub(crate) fn write_header(
        &mut self,
        buf: &mut [u8],
        src: IpAddr,
        dst: IpAddr,
        proto: u8,
        ttl: u8,
        tos: u8,
        payload_len: usize,
        df: bool,
    ) -> usize {
        let (header, len) = self.header(
            &TxMeta {
                src,
                dst,
                proto,
                ttl,
                tos,
                df,
            },
            payload_len,
        );
        match (buf.get_mut(..len), header.get(..len)) {
            (Some(to), Some(from)) => to.copy_from_slice(from),
            _ => return 0,
        }
        len
    }

    /// As [`IpLayer::send_with`], without options.
    pub(crate) fn send_by(&mut self, by: u32, meta: &TxMeta, payload: &[&[u8]]) -> Result<()> {
        self.send_with(by, meta, payload, &[])
    }

    /// Queues one packet whose transport checksum is complete, to the device or round to ourselves, by the interface of this number (0:
    /// whichever leads there), with these IPv4 options; cut into fragments when it is larger than the path and `df` is not set.
    /// `MessageTooLong`: too large and `df`. `NoBuffers`: the queue is full.
    pub(crate) fn send_with(
        &mut self,
        by: u32,
        meta: &TxMeta,
        payload: &[&[u8]],
        options: &[u8],
    ) -> Result<()> {
        let len: usize = payload.iter().map(|part| part.len()).sum();
        let Path { mtu, via, .. } = self.path_by(meta.dst, Some(meta.src), by)?;
        if self.fits(meta, len + options.len(), mtu) {
            let mut frame = self.start_frame(&VnetHdr::default(), meta, len);
            for part in payload {
                frame.extend_from_slice(part);
            }
            insert(&mut frame, options);
            return self.push(via, frame);
        }
        if meta.df || len > PACKET_MAX {
            return Err(Error::MessageTooLong);
        }
        let mut whole = self.queue.buffer();
        for part in payload {
            whole.extend_from_slice(part);
        }
        let result = self.send_fragments(meta, &whole, mtu, via, options);
        self.queue.recycle(whole);
        result
    }

    /// Whether a packet with `len` bytes behind the IP header goes in one piece.
    pub(crate) fn fits(&self, meta: &TxMeta, len: usize, mtu: u32) -> bool {
        let total = len.saturating_add(header_len(meta.dst));
        let limit = match meta.dst {
            IpAddr::V4(_) => PACKET_MAX,
            IpAddr::V6(_) => PACKET_MAX + ipv6::HEADER_LEN,
        };
        total <= limit.min(mtu as usize)
    }

    /// A frame with its virtio-net and IP headers, to be filled with exactly `len` bytes and given to [`IpLayer::push`].
    pub(crate) fn start_frame(&mut self, vnet: &VnetHdr, meta: &TxMeta, len: usize) -> Vec<u8> {
        let (header, header_len) = self.header(meta, len);
        let mut frame = self.queue.buffer();
        frame.reserve(vnet::LEN + header_len + len);
        frame.extend_from_slice(&vnet.emit());
        frame.extend_from_slice(header.get(..header_len).unwrap_or_default());
        frame
    }

    /// Queues a finished frame as `via` says. `NoBuffers`: the device's queue is full.
    pub(crate) fn push(&mut self, via: Via, frame: Vec<u8>) -> Result<()> {
        match (via.inside, via.device) {
            (Some(iface), true) => {
                let mut copy = self.queue.buffer();
                copy.extend_from_slice(&frame);
                self.queue.push_local(copy, iface);
                self.queue.push_device(frame)
            }
            (Some(iface), false) => {
                self.queue.push_local(frame, iface);
                Ok(())
            }
            (None, true) => self.queue.push_device(frame),
            // A group without members here and a TTL of 0.
            (None, false) => {
                self.queue.recycle(frame);
                Ok(())
            }
        }
    }

    /// Queues a whole frame (virtio-net header included) for ourselves, to arrive by `iface`; [`crate::Stack::transmit`] processes it.
    pub(crate) fn loop_back(&mut self, iface: Iface, parts: &[IoSlice<'_>]) {
        let mut frame = self.queue.buffer();
        for part in parts {
            frame.extend_from_slice(part);
        }
        self.queue.push_local(frame, iface);
    }

    /// The queues, for the stack's transmit.
    pub(crate) fn queue(&mut self) -> &mut PacketQueue {
        &mut self.queue
    }

    /// Whether packets for the device or ourselves wait.
    pub(crate) fn has_packets(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether packets for ourselves wait.
    pub(crate) fn has_local(&self) -> bool {
        self.queue.local_len() > 0
    }

    /// Frames lost because a queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    fn header(&mut self, meta: &TxMeta, payload_len: usize) -> ([u8; ipv6::HEADER_LEN], usize) {
        let mut out = [0; ipv6::HEADER_LEN];
        match (meta.src, meta.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let id = if meta.df {
                    0
                } else {
                    self.next_id(meta) as u16
                };
                let repr = ipv4::Repr {
                    src,
                    dst,
                    proto: meta.proto,
                    ttl: meta.ttl,
                    tos: meta.tos,
                    id,
                    fragment: if meta.df { ipv4::DF } else { 0 },
                    payload_len,
                };
                out[..ipv4::HEADER_LEN].copy_from_slice(&repr.emit());
                (out, ipv4::HEADER_LEN)
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let repr = ipv6::Repr {
                    src,
                    dst,
                    next: meta.proto,
                    hops: meta.ttl,
                    tclass: meta.tos,
                    payload_len,
                };
                (repr.emit(), ipv6::HEADER_LEN)
            }
            _ => (out, 0),
        }
    }

    /// Cuts `payload` to the path, with these options on the first fragment of an IPv4 packet and what is to be copied of them on the
    /// others. Offsets are in units of 8 bytes (RFC 791 3.2, RFC 8200 4.5).
    pub(crate) fn send_fragments(
        &mut self,
        meta: &TxMeta,
        payload: &[u8],
        mtu: u32,
        via: Via,
        options: &[u8],
    ) -> Result<()> {
        let v6 = meta.dst.is_ipv6();
        let overhead = header_len(meta.dst)
            + if v6 {
                ipv6::FRAGMENT_LEN
            } else {
                options.len()
            };
        let room = (mtu as usize).saturating_sub(overhead) & !7;
        let limit = if v6 {
            PACKET_MAX
        } else {
            PACKET_MAX - ipv4::HEADER_LEN - options.len()
        };
        if room == 0 || payload.len() > limit {
            return Err(Error::MessageTooLong);
        }
        let id = self.next_id(meta);
        let mut offset = 0;
        for piece in payload.chunks(room) {
            let more = offset + piece.len() < payload.len();
            let mut frame = self.fragment(meta, id, offset, more, piece);
            match offset {
                0 => insert(&mut frame, options),
                _ => insert(&mut frame, &of_later_fragments(options)),
            }
            self.push(via, frame)?;
            offset += piece.len();
        }
        Ok(())
    }

    fn fragment(
        &mut self,
        meta: &TxMeta,
        id: u32,
        offset: usize,
        more: bool,
        piece: &[u8],
    ) -> Vec<u8> {
        let mut frame = self.queue.buffer();
        frame.extend_from_slice(&VnetHdr::default().emit());
        match (meta.src, meta.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let more = if more { ipv4::MF } else { 0 };
                let repr = ipv4::Repr {
                    src,
                    dst,
                    proto: meta.proto,
                    ttl: meta.ttl,
                    tos: meta.tos,
                    id: id as u16,
                    fragment: (offset / 8) as u16 | more,
                    payload_len: piece.len(),
                };
                frame.extend_from_slice(&repr.emit());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let repr = ipv6::Repr {
                    src,
                    dst,
                    next: ipv6::next::FRAGMENT,
                    hops: meta.ttl,
                    tclass: meta.tos,
                    payload_len: ipv6::FRAGMENT_LEN + piece.len(),
                };
                frame.extend_from_slice(&repr.emit());
                let fragment = ipv6::Fragment {
                    next: meta.proto,
                    offset,
                    more,
                    id,
                };
                frame.extend_from_slice(&fragment.emit());
            }
            _ => {}
        }
        frame.extend_from_slice(piece);
        frame
    }

    /// An identification for a packet whose header somebody else has made.
    pub(crate) fn identification(&mut self, src: IpAddr, dst: IpAddr, proto: u8) -> u16 {
        self.next_id(&TxMeta {
            src,
            dst,
            proto,
            ttl: 0,
            tos: 0,
            df: false,
        }) as u16
    }

    /// Identification: a counter behind a keyed per-destination offset, not to be guessed (RFC 7739 5.3, RFC 6864 4.3).
    fn next_id(&mut self, meta: &TxMeta) -> u32 {
        self.ids.next(meta)
    }
}

/// Counters of the identification field.
#[derive(Debug)]
pub(crate) struct Ids {
    hash: KeyedState,
    counters: [u32; 256],
}

impl Ids {
    /// All counters begin at 0; the hash hides that.
    pub(crate) fn new(hash: KeyedState) -> Ids {
        Ids {
            hash,
            counters: [0; 256],
        }
    }

    fn next(&mut self, meta: &TxMeta) -> u32 {
        let hash = self.hash.hash(&(meta.src, meta.dst, meta.proto));
        let slot = (hash >> 32) as usize % self.counters.len();
        match self.counters.get_mut(slot) {
            Some(counter) => {
                *counter = counter.wrapping_add(1);
                counter.wrapping_add(hash as u32)
            }
            None => hash as u32,
        }
    }
}

/// Bytes of the IP header without options or extension headers.
pub(crate) fn header_len(dst: IpAddr) -> usize {
    match dst {
        IpAddr::V4(_) => ipv4::HEADER_LEN,
        IpAddr::V6(_) => ipv6::HEADER_LEN,
    }
}
