//! The seam between a stack's driver and whatever carries its packets.

use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// Length in bytes of the `struct virtio_net_hdr` every frame begins with: u8 flags, u8 gso_type,
/// then hdr_len, gso_size, csum_start and csum_offset, each a u16 in native byte order
/// (linux/virtio_net.h, the legacy layout without num_buffers).
pub const VNET_HDR_LEN: usize = 10;

/// The longest frame: the header and an IP packet of 65 535 bytes. A buffer given to
/// [`Device::recv`] is at least this long.
pub const FRAME_MAX: usize = VNET_HDR_LEN + 65_535;

/// `flags` bit: the checksum at csum_start + csum_offset holds the pseudo-header's sum only; the
/// sum from csum_start to the end is still to be added (VIRTIO_NET_HDR_F_NEEDS_CSUM).
pub const HDR_F_NEEDS_CSUM: u8 = 1;
/// `flags` bit: the checksum was verified already (VIRTIO_NET_HDR_F_DATA_VALID).
pub const HDR_F_DATA_VALID: u8 = 2;
/// `gso_type`: not a super-segment (VIRTIO_NET_HDR_GSO_NONE).
pub const GSO_NONE: u8 = 0;
/// `gso_type`: TCP over IPv4 (VIRTIO_NET_HDR_GSO_TCPV4). Bit 0x80 may be set beside it: CWR is set
/// in the segment and belongs to the first piece only (VIRTIO_NET_HDR_GSO_ECN).
pub const GSO_TCPV4: u8 = 1;
/// `gso_type`: TCP over IPv6 (VIRTIO_NET_HDR_GSO_TCPV6); bit 0x80 as for [`GSO_TCPV4`].
pub const GSO_TCPV6: u8 = 4;

/// What a device takes off the stack's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// The largest IP packet in bytes that is not a super-segment.
    pub mtu: u32,
    /// Frames may be sent with [`HDR_F_NEEDS_CSUM`], and may arrive with it.
    pub csum: bool,
    /// TCP super-segments over IPv4, up to 64 KB, may be sent and may arrive.
    pub tso4: bool,
    /// TCP super-segments over IPv6, up to 64 KB, may be sent and may arrive.
    pub tso6: bool,
}

/// Why a device did not carry a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkError {
    /// Nothing to receive now.
    WouldBlock,
    /// The frame was dropped: a queue is full, or the host's side is set down (as with a cable
    /// that is unplugged). Later frames may pass; the stack treats it as any other loss.
    Full,
    /// The device does not exist any more and will not come back.
    Gone,
    /// The system refused; the frame was dropped. `EINVAL` means the frame was malformed.
    Io(Errno),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::WouldBlock => f.write_str("no packet is waiting"),
            LinkError::Full => f.write_str("packet dropped: the link cannot take it now"),
            LinkError::Gone => f.write_str("the device is gone"),
            LinkError::Io(errno) => write!(f, "the device failed: {errno}"),
        }
    }
}

impl std::error::Error for LinkError {}

/// One end of a link. A *frame* is a header of [`VNET_HDR_LEN`] bytes and an IPv4 or IPv6 packet.
///
/// `now_us` is always CLOCK_MONOTONIC in microseconds (or a simulation's virtual time); it never
/// goes back from one call to the next.
///
/// How to drive one: when [`fd`](Device::fd) is readable, or [`next_deadline`](Device::next_deadline)
/// is reached, call [`poll`](Device::poll), then [`recv`](Device::recv) until it says
/// [`LinkError::WouldBlock`]. No method ever blocks.
pub trait Device: Send {
    /// Puts one frame into `buf`, which is at least [`FRAME_MAX`] bytes long, and returns its length.
    ///
    /// # Errors
    /// `WouldBlock`: nothing is there. `Gone`: the device vanished. `Io`: anything else.
    fn recv(&mut self, now_us: u64, buf: &mut [u8]) -> Result<usize, LinkError>;

    /// As [`Device::recv`], into several buffers that one after the other hold [`FRAME_MAX`] bytes; only where [`Device::scatters`].
    /// What lies behind the frame in them is left alone.
    ///
    /// # Errors
    /// As for `recv`; `Io(EOPNOTSUPP)` where it is not supported.
    fn recv_scattered(
        &mut self,
        _now_us: u64,
        _bufs: &mut [IoSliceMut<'_>],
    ) -> Result<usize, LinkError> {
        Err(LinkError::Io(Errno::OPNOTSUPP))
    }

    /// Whether [`Device::recv_scattered`] is there. Constant for the life of the device.
    fn scatters(&self) -> bool {
        false
    }

    /// Sends one frame, given as slices; the first begins with the whole header.
    ///
    /// # Errors
    /// `Full`: dropped. `Gone`: the device vanished. `Io`: anything else, dropped too.
    fn send(&mut self, now_us: u64, frame: &[IoSlice<'_>]) -> Result<(), LinkError>;

    /// Sends several frames in this order, as [`Device::send`] would one after the other; all of them are tried, unless the device is gone.
    ///
    /// # Errors
    /// The last of `send`'s, if there was one.
    fn send_all(&mut self, now_us: u64, frames: &[&[IoSlice<'_>]]) -> Result<(), LinkError> {
        let mut result = Ok(());
        for frame in frames {
            match self.send(now_us, frame) {
                Ok(()) => {}
                Err(LinkError::Gone) => return Err(LinkError::Gone),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// When `poll` and `recv` have to be called although `fd` is not readable, in microseconds of the
    /// same clock; it may lie in the past. `None`: never.
    fn next_deadline(&self) -> Option<u64>;

    /// Lets what was held back until now go out.
    fn poll(&mut self, now_us: u64);

    /// What to wait on for readability. `None` for a device in memory without one.
    fn fd(&self) -> Option<BorrowedFd<'_>>;

    /// What the stack may count on. Constant for the life of the device.
    fn caps(&self) -> Caps;

    /// Writes out what a wrapper has only buffered: the capture file. For the end of the process,
    /// where nothing is dropped. Frames that are held back stay so.
    fn flush(&mut self) {}
}

impl<D: Device + ?Sized> Device for Box<D> {
    fn recv(&mut self, now_us: u64, buf: &mut [u8]) -> Result<usize, LinkError> {
        (**self).recv(now_us, buf)
    }

    fn recv_scattered(
        &mut self,
        now_us: u64,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Result<usize, LinkError> {
        (**self).recv_scattered(now_us, bufs)
    }

    fn scatters(&self) -> bool {
        (**self).scatters()
    }

    fn send(&mut self, now_us: u64, frame: &[IoSlice<'_>]) -> Result<(), LinkError> {
        (**self).send(now_us, frame)
    }

    fn send_all(&mut self, now_us: u64, frames: &[&[IoSlice<'_>]]) -> Result<(), LinkError> {
        (**self).send_all(now_us, frames)
    }

    fn next_deadline(&self) -> Option<u64> {
        (**self).next_deadline()
    }

    fn poll(&mut self, now_us: u64) {
        (**self).poll(now_us);
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        (**self).fd()
    }

    fn caps(&self) -> Caps {
        (**self).caps()
    }

    fn flush(&mut self) {
        (**self).flush();
    }
}

/// Replaces the contents of `into` by the bytes of `frame`.
pub(crate) fn gather(frame: &[IoSlice<'_>], into: &mut Vec<u8>) {
    into.clear();
    into.reserve(frame.iter().map(|slice| slice.len()).sum());
    for slice in frame {
        into.extend_from_slice(slice);
    }
}

/// The earlier of two deadlines, where `None` is never.
pub(crate) fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
