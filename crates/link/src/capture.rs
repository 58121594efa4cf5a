//! Every packet into a pcapng file (draft-ietf-opsawg-pcapng), link type RAW (101), nanoseconds,
//! with its direction: `epb_flags` 1 is inbound, to the stack, 2 is outbound.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, getpid};
use rustix::time::{ClockId, clock_gettime};

use crate::device::{Caps, Device, HDR_F_NEEDS_CSUM, LinkError, VNET_HDR_LEN, earlier, gather};
use crate::sys::Descriptor;

/// Where packets are written.
#[derive(Debug, Clone)]
pub struct CaptureConfig {
    /// The file. Made if absent.
    pub path: PathBuf,
    /// Add to what is in the file, as a section of its own, instead of emptying it. So several
    /// programs in a row share one file.
    pub append: bool,
    /// The device's name, as the file gives it.
    pub device: String,
    /// Nanoseconds to add to the frames' times to get the time since 1970. `None`: measured now.
    pub epoch_offset_ns: Option<i64>,
}

/// A device whose every packet is written to a file.
///
/// It shows what the stack sends and receives: what [`Faults`](crate::Faults) inside it lose on the
/// way out is in the file. Frames go in without their virtio-net header and as the stack forms them,
/// so one packet may be a super-segment of up to 64 KB; a checksum left to the device is completed
/// in the file's copy.
///
/// The file is written at the latest one second after a packet ([`Device::next_deadline`] says so),
/// by [`Device::flush`] and on drop; always whole packets. If writing fails, one line on
/// stderr says so and the capture ends; the traffic goes on.
///
/// It belongs to the process that made it: a forked copy never writes.
pub struct Capture<D: Device> {
    inner: D,
    file: Option<File>,
    scratch: Vec<u8>,
}

impl<D: Device> Capture<D> {
    /// Opens the file and writes its head.
    ///
    /// # Errors
    /// What open(2) or write(2) say; EINVAL for a FIFO, socket or directory: a reader that is slow or
    /// leaves would stop the traffic or kill the program.
    pub fn create(inner: D, config: &CaptureConfig) -> Result<Capture<D>, Errno> {
        let file = File::create(config)?;
        Ok(Capture {
            inner,
            file: Some(file),
            scratch: Vec::new(),
        })
    }

    /// Whether packets are still being written.
    pub fn is_active(&self) -> bool {
        self.file.is_some()
    }

    /// The device inside.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// Does something to the file; ends the capture if that fails.
    fn with_file(&mut self, work: impl FnOnce(&mut File) -> Result<(), Errno>) {
        let Some(file) = &mut self.file else {
            return;
        };
        if let Err(errno) = work(file) {
            complain(&file.path, errno);
            self.file = None;
        }
    }

    fn record(&mut self, now_us: u64, direction: u32, frame: &[IoSlice<'_>]) {
        if self.file.is_none() {
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        match frame {
            // The whole packet in one piece and complete: no copy.
            [whole]
                if whole
                    .first()
                    .is_none_or(|flags| flags & HDR_F_NEEDS_CSUM == 0) =>
            {
                let packet = whole.get(VNET_HDR_LEN..).unwrap_or_default();
                self.with_file(|file| file.packet(now_us, direction, packet));
            }
            pieces => {
                gather(pieces, &mut scratch);
                if let Some((header, packet)) = scratch.split_at_mut_checked(VNET_HDR_LEN) {
                    complete_checksum(header, packet);
                    self.with_file(|file| file.packet(now_us, direction, packet));
                }
            }
        }
        self.scratch = scratch;
    }
}

impl<D: Device> Device for Capture<D> {
    fn recv(&mut self, now_us: u64, buf: &mut [u8]) -> Result<usize, LinkError> {
        let len = self.inner.recv(now_us, buf)?;
        let frame = buf.get(..len).unwrap_or_default();
        self.record(now_us, INBOUND, &[IoSlice::new(frame)]);
        Ok(len)
    }

    fn send(&mut self, now_us: u64, frame: &[IoSlice<'_>]) -> Result<(), LinkError> {
        let result = self.inner.send(now_us, frame);
        // A full queue loses what was sent; a device that is gone or refuses was sent nothing.
        if matches!(result, Ok(()) | Err(LinkError::Full)) {
            self.record(now_us, OUTBOUND, frame);
        }
        result
    }

    fn next_deadline(&self) -> Option<u64> {
        let write = self.file.as_ref().and_then(|file| file.write_by_us);
        earlier(self.inner.next_deadline(), write)
    }

    fn poll(&mut self, now_us: u64) {
        self.inner.poll(now_us);
        self.with_file(|file| match file.write_by_us {
            Some(by) if by <= now_us => file.write_out(),
            _ => Ok(()),
        });
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.fd()
    }

    fn caps(&self) -> Caps {
        self.inner.caps()
    }

    fn flush(&mut self) {
        self.with_file(File::write_out);
        self.inner.flush();
    }
}

impl<D: Device> Drop for Capture<D> {
    fn drop(&mut self) {
        self.with_file(File::write_out);
    }
}

impl<D: Device + fmt::Debug> fmt::Debug for Capture<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.file.as_ref().map(|file| &file.path);
        f.debug_struct("Capture")
            .field("inner", &self.inner)
            .field("path", &path)
            .finish()
    }
}

/// The file and what is not in it yet.
struct File {
    fd: Descriptor,
    path: PathBuf,
    /// Formats blocks into its buffer, which holds whole blocks only.
    blocks: PcapNgWriter<Vec<u8>>,
    epoch_offset_ns: i64,
    /// When the buffer is written at the latest, microseconds; `None` while it is empty.
    write_by_us: Option<u64>,
    owner: Pid,
}

impl File {
    fn create(config: &CaptureConfig) -> Result<File, Errno> {
        let how = if config.append {
            OFlags::APPEND
        } else {
            OFlags::TRUNC
        };
        // NONBLOCK: a FIFO without a reader must not stop us before it is refused.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NONBLOCK | how;
        let fd = rustix::fs::open(&config.path, flags, Mode::from_raw_mode(0o644))?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
        if !matches!(kind, FileType::RegularFile | FileType::CharacterDevice) {
            return Err(Errno::INVAL);
        }
        let mut file = File {
            fd: Descriptor::new_high(fd),
            path: config.path.clone(),
            blocks: PcapNgWriter::new(Vec::new()).map_err(block_error)?,
            epoch_offset_ns: config.epoch_offset_ns.unwrap_or_else(epoch_offset_ns),
            write_by_us: None,
            owner: getpid(),
        };
        let interface = InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed(&config.device)),
                // 10^-9 seconds, the unit in which EnhancedPacketBlock writes.
                InterfaceDescriptionOption::IfTsResol(9),
            ],
        };
        file.blocks
            .write_pcapng_block(interface)
            .map_err(block_error)?;
        file.write_out()?;
        Ok(file)
    }

    fn packet(&mut self, now_us: u64, direction: u32, packet: &[u8]) -> Result<(), Errno> {
        let since_epoch = i128::from(now_us) * 1000 + i128::from(self.epoch_offset_ns);
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(since_epoch.clamp(0, i128::from(u64::MAX)) as u64),
            original_len: packet.len() as u32,
            data: Cow::Borrowed(packet),
            options: vec![EnhancedPacketOption::Flags(direction)],
        };
        self.blocks.write_pcapng_block(block).map_err(block_error)?;
        let by = *self
            .write_by_us
            .get_or_insert(now_us.saturating_add(WRITE_AFTER_US));
        if by <= now_us || self.blocks.get_ref().len() >= WRITE_BYTES {
            return self.write_out();
        }
        Ok(())
    }

    /// Writes the buffer and empties it.
    fn write_out(&mut self) -> Result<(), Errno> {
        self.write_by_us = None;
        let buf = self.blocks.get_mut();
        let mut left = if getpid() == self.owner {
            &buf[..]
        } else {
            &[]
        };
        while !left.is_empty() {
            match rustix::io::write(&self.fd, left) {
                Ok(0) => return Err(Errno::IO),
                Ok(len) => left = left.get(len..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        buf.clear();
        Ok(())
    }
}

/// What has to be added to CLOCK_MONOTONIC to get the time since 1970.
fn epoch_offset_ns() -> i64 {
    let ns = |clock| {
        let time = clock_gettime(clock);
        i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
    };
    i64::try_from(ns(ClockId::Realtime) - ns(ClockId::Monotonic)).unwrap_or(0)
}

/// Writing into a Vec cannot fail; nor do we name an interface that is not there.
fn block_error(error: pcap_file::PcapError) -> Errno {
    match error {
        pcap_file::PcapError::IoError(error) => error
            .raw_os_error()
            .map_or(Errno::IO, Errno::from_raw_os_error),
        _ => Errno::INVAL,
    }
}

/// Adds the packet from csum_start on to the pseudo-header's sum that stands in the checksum field, as
/// the device would (virtio 1.2, 5.1.6.2; 0 becomes 0xffff, RFC 768).
fn complete_checksum(header: &[u8], packet: &mut [u8]) {
    let &[flags, _, _, _, _, _, start0, start1, offset0, offset1] = header else {
        return;
    };
    let start = usize::from(u16::from_ne_bytes([start0, start1]));
    let field = start + usize::from(u16::from_ne_bytes([offset0, offset1]));
    if flags & HDR_F_NEEDS_CSUM == 0 || packet.len() < field + 2 {
        return;
    }
    let words = packet.get(start..).unwrap_or_default().chunks(2);
    let mut sum = words.fold(0u64, |sum, word| match *word {
        [high, low] => sum + u64::from(u16::from_be_bytes([high, low])),
        [high] => sum + (u64::from(high) << 8),
        _ => sum,
    });
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let checksum = match !(sum as u16) {
        0 => 0xffff,
        checksum => checksum,
    };
    if let Some(bytes) = packet.get_mut(field..field + 2) {
        bytes.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The one line on stderr.
fn complain(path: &Path, errno: Errno) {
    let reason = io::Error::from(errno);
    let line = format!("tunsock: capture to {} ended: {reason}\n", path.display());
    // SAFETY: 2 is stderr. If the program has closed it, the write fails with EBADF and that is all.
    let stderr = unsafe { BorrowedFd::borrow_raw(2) };
    let _ = rustix::io::write(stderr.as_fd(), line.as_bytes());
}

/// `epb_flags`: bits 0 and 1, the direction.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;
/// A packet is in the file after this time at the latest, microseconds.
const WRITE_AFTER_US: u64 = 1_000_000;
/// The buffer is written when it holds as much.
const WRITE_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests;
