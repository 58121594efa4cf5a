//! A link in memory: what one end sends, the other receives. For tests and simulations.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::device::{Caps, Device, LinkError, gather};
use crate::sys::Descriptor;

/// What a link in memory is like, the same in both directions.
#[derive(Debug, Clone, Copy)]
pub struct MemoryConfig {
    /// What both ends say of themselves. Nothing is cut or completed on the way: with `tso4` a
    /// super-segment arrives as it was sent.
    pub caps: Caps,
    /// How many bytes of frames, headers included, may wait in one direction; more are dropped.
    pub capacity: usize,
    /// Give both ends an eventfd to wait on; otherwise their `fd` is `None`.
    pub eventfd: bool,
}

impl Default for MemoryConfig {
    /// 1500 bytes, no offload, 4 MiB, no eventfd.
    fn default() -> MemoryConfig {
        MemoryConfig {
            caps: Caps {
                mtu: 1500,
                csum: false,
                tso4: false,
                tso6: false,
            },
            capacity: 4 << 20,
            eventfd: false,
        }
    }
}

/// One end of a link in memory. When the other end is dropped, this one is [`LinkError::Gone`]
/// once it has received what was waiting.
#[derive(Debug)]
pub struct MemoryDevice {
    caps: Caps,
    capacity: usize,
    /// What the other end sent.
    inbound: Arc<Mutex<Queue>>,
    /// What this end sent.
    outbound: Arc<Mutex<Queue>>,
    /// Readable while `inbound` holds frames or the other end is gone; the same that `inbound` has.
    readable: Option<Arc<Descriptor>>,
}

impl MemoryDevice {
    /// Makes both ends of a link.
    ///
    /// # Errors
    /// What eventfd(2) says, when eventfds are asked for.
    pub fn pair(config: MemoryConfig) -> Result<(MemoryDevice, MemoryDevice), Errno> {
        let signal = || -> Result<Option<Arc<Descriptor>>, Errno> {
            if !config.eventfd {
                return Ok(None);
            }
            let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            Ok(Some(Arc::new(Descriptor::new_high(fd))))
        };
        let (a, b) = (Queue::new(signal()?), Queue::new(signal()?));
        let (a_signal, b_signal) = (a.signal.clone(), b.signal.clone());
        let (a, b) = (Arc::new(Mutex::new(a)), Arc::new(Mutex::new(b)));
        let end = |inbound: &Arc<Mutex<Queue>>, outbound: &Arc<Mutex<Queue>>, readable| {
            let (inbound, outbound) = (inbound.clone(), outbound.clone());
            MemoryDevice {
                caps: config.caps,
                capacity: config.capacity,
                inbound,
                outbound,
                readable,
            }
        };
        Ok((end(&a, &b, a_signal), end(&b, &a, b_signal)))
    }
}

impl Device for MemoryDevice {
    fn recv(&mut self, _now_us: u64, buf: &mut [u8]) -> Result<usize, LinkError> {
        self.inbound.lock().pop(buf)
    }

    fn send(&mut self, _now_us: u64, frame: &[IoSlice<'_>]) -> Result<(), LinkError> {
        self.outbound.lock().push(frame, self.capacity)
    }

    fn next_deadline(&self) -> Option<u64> {
        None
    }

    fn poll(&mut self, _now_us: u64) {}

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.readable.as_deref().map(AsFd::as_fd)
    }

    fn caps(&self) -> Caps {
        self.caps
    }
}

impl Drop for MemoryDevice {
    fn drop(&mut self) {
        self.inbound.lock().close();
        self.outbound.lock().close();
    }
}

/// One direction.
#[derive(Debug)]
struct Queue {
    frames: VecDeque<Vec<u8>>,
    /// The sum of the frames' lengths.
    bytes: usize,
    /// An end was dropped.
    closed: bool,
    /// Holds 1 while there is something to receive, closing included, and 0 otherwise.
    signal: Option<Arc<Descriptor>>,
    /// Empty buffers to use again.
    spare: Vec<Vec<u8>>,
}

impl Queue {
    fn new(signal: Option<Arc<Descriptor>>) -> Queue {
        Queue {
            frames: VecDeque::new(),
            bytes: 0,
            closed: false,
            signal,
            spare: Vec::new(),
        }
    }

    fn push(&mut self, frame: &[IoSlice<'_>], capacity: usize) -> Result<(), LinkError> {
        if self.closed {
            return Err(LinkError::Gone);
        }
        let len: usize = frame.iter().map(|slice| slice.len()).sum();
        if self.bytes.saturating_add(len) > capacity {
            return Err(LinkError::Full);
        }
        let mut buf = self.spare.pop().unwrap_or_default();
        gather(frame, &mut buf);
        self.bytes += len;
        self.frames.push_back(buf);
        if self.frames.len() == 1 {
            self.set_signal();
        }
        Ok(())
    }

    fn pop(&mut self, buf: &mut [u8]) -> Result<usize, LinkError> {
        let Some(frame) = self.frames.pop_front() else {
            return Err(if self.closed {
                LinkError::Gone
            } else {
                LinkError::WouldBlock
            });
        };
        self.bytes -= frame.len();
        let len = frame.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..len), frame.get(..len)) {
            to.copy_from_slice(from);
        }
        if self.spare.len() < SPARE_MAX {
            self.spare.push(frame);
        }
        if self.frames.is_empty() && !self.closed {
            self.clear_signal();
        }
        Ok(len)
    }

    fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.set_signal();
        }
    }

    fn set_signal(&self) {
        if let Some(signal) = &self.signal {
            // Can only fail where the counter is full, and then it is readable already.
            let _ = rustix::io::write(signal, &1u64.to_ne_bytes());
        }
    }

    fn clear_signal(&self) {
        if let Some(signal) = &self.signal {
            // Fails where it is 0 already.
            let _ = rustix::io::read(signal, &mut [0u8; 8]);
        }
    }
}

/// How many empty buffers one direction keeps.
const SPARE_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec};

    fn send(device: &mut MemoryDevice, bytes: &[u8]) -> Result<(), LinkError> {
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        device.send(0, &[IoSlice::new(head), IoSlice::new(tail)])
    }

    fn recv(device: &mut MemoryDevice) -> Result<Vec<u8>, LinkError> {
        let mut buf = [0; 100];
        let len = device.recv(0, &mut buf)?;
        Ok(buf[..len].to_vec())
    }

    fn readable(device: &MemoryDevice) -> bool {
        let fd = device.fd().unwrap();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        rustix::event::poll(
            &mut fds,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        )
        .unwrap()
            > 0
    }

    #[test]
    fn carries_both_ways_in_order() {
        let (mut a, mut b) = MemoryDevice::pair(MemoryConfig::default()).unwrap();
        assert!(a.fd().is_none());
        assert_eq!(recv(&mut a), Err(LinkError::WouldBlock));
        send(&mut a, b"one").unwrap();
        send(&mut a, b"two").unwrap();
        send(&mut b, b"back").unwrap();
        assert_eq!(recv(&mut b).unwrap(), b"one");
        assert_eq!(recv(&mut b).unwrap(), b"two");
        assert_eq!(recv(&mut b), Err(LinkError::WouldBlock));
        assert_eq!(recv(&mut a).unwrap(), b"back");
    }

    #[test]
    fn full_by_bytes() {
        let config = MemoryConfig {
            capacity: 10,
            ..MemoryConfig::default()
        };
        let (mut a, mut b) = MemoryDevice::pair(config).unwrap();
        send(&mut a, b"123456").unwrap();
        assert_eq!(send(&mut a, b"12345"), Err(LinkError::Full));
        send(&mut a, b"1234").unwrap();
        send(&mut b, b"the other direction"[..10].as_ref()).unwrap();
        recv(&mut b).unwrap();
        send(&mut a, b"abcdef").unwrap();
        assert_eq!(recv(&mut b).unwrap(), b"1234");
        assert_eq!(recv(&mut b).unwrap(), b"abcdef");
    }

    #[test]
    fn gone_after_what_was_waiting() {
        let (mut a, mut b) = MemoryDevice::pair(MemoryConfig::default()).unwrap();
        send(&mut a, b"last words").unwrap();
        drop(a);
        assert_eq!(send(&mut b, b"hello?"), Err(LinkError::Gone));
        assert_eq!(recv(&mut b).unwrap(), b"last words");
        assert_eq!(recv(&mut b), Err(LinkError::Gone));
    }

    #[test]
    fn eventfd_says_when_to_look() {
        let config = MemoryConfig {
            eventfd: true,
            ..MemoryConfig::default()
        };
        let (mut a, mut b) = MemoryDevice::pair(config).unwrap();
        assert!(!readable(&a) && !readable(&b));
        send(&mut a, b"one").unwrap();
        send(&mut a, b"two").unwrap();
        assert!(!readable(&a) && readable(&b));
        recv(&mut b).unwrap();
        assert!(readable(&b));
        recv(&mut b).unwrap();
        assert!(!readable(&b));
        send(&mut a, b"three").unwrap();
        assert!(readable(&b));
        drop(b);
        assert!(readable(&a));
    }
}
