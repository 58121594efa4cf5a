//! Packets on their way out: headers, the queue to the device, the queue round to ourselves.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::IpAddr;

use super::IpLayer;
use crate::error::Result;

/// Frames that wait, in buffers that are used again.
#[derive(Debug, Default)]
pub(crate) struct PacketQueue {
    /// To the device.
    pub(crate) device: VecDeque<Vec<u8>>,
    /// To ourselves.
    pub(crate) local: VecDeque<Vec<u8>>,
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
        let _ = (buf, src, dst, proto, ttl, tos, payload_len, df);
        todo!()
    }

    /// Queues one packet whose transport checksum is complete, to the device or round to ourselves; cut into fragments when it is
    /// larger than the path and `df` is not set. `MessageTooLong`: too large and `df`. `NoBuffers`: the queue is full.
    #[allow(clippy::too_many_arguments)] // the header's fields
    pub(crate) fn send(
        &mut self,
        src: IpAddr,
        dst: IpAddr,
        proto: u8,
        ttl: u8,
        tos: u8,
        payload: &[&[u8]],
        df: bool,
    ) -> Result<()> {
        let _ = (src, dst, proto, ttl, tos, payload, df);
        todo!()
    }

    /// Queues a whole frame (virtio-net header included) for ourselves; [`crate::Stack::transmit`] processes it.
    pub(crate) fn loop_back(&mut self, parts: &[IoSlice<'_>]) {
        let _ = parts;
        todo!()
    }
}
