//! Two hosts in one test process, over a link in memory: this process's runtime and a peer.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;

use once_cell::sync::Lazy;
use tunsock_link::{Caps, Device, LinkError, MemoryConfig, MemoryDevice};
use tunsock_stack::{Config, Instant, Offload, Stack};

use super::{Core, RUNTIME, Runtime, background, sys};

/// The host that `runtime::get` gives.
pub(crate) const HERE: &str = "10.83.0.2";
/// The peer's.
pub(crate) const THERE: &str = "10.83.0.1";

/// This process's runtime and the peer's, made once and left alone at the end.
pub(crate) fn hosts() -> (&'static Runtime, &'static Runtime) {
    *HOSTS
}

/// A runtime of a test's own, which nobody drives but the test, and the other end of its link.
pub(crate) fn alone() -> (&'static Runtime, MemoryDevice) {
    let (here, there) = link();
    (Box::leak(Box::new(host(HERE, 1, here))), there)
}

/// Two hosts of a test's own, which nobody drives but the test.
pub(crate) fn cores() -> (Core, Core) {
    let (here, there) = link();
    let now = sys::now();
    (
        Core::new(stack(HERE, 1, now), Box::new(Scattering(here)), now),
        Core::new(stack(THERE, 2, now), Box::new(there), now),
    )
}

static HOSTS: Lazy<(&'static Runtime, &'static Runtime)> = Lazy::new(|| {
    let (here, there) = link();
    let here = RUNTIME.get_or_init(|| host(HERE, 1, here));
    let there: &'static Runtime = Box::leak(Box::new(host(THERE, 2, there)));
    background::start(here);
    background::start(there);
    (here, there)
});

fn link() -> (MemoryDevice, MemoryDevice) {
    let config = MemoryConfig {
        caps: Caps {
            mtu: 1500,
            csum: true,
            tso4: true,
            tso6: true,
        },
        eventfd: true,
        ..MemoryConfig::default()
    };
    MemoryDevice::pair(config).expect("eventfds")
}

/// An end of the link that reads into several buffers, as a TUN device does.
struct Scattering(MemoryDevice);

impl Device for Scattering {
    fn recv(&mut self, now_us: u64, buf: &mut [u8]) -> Result<usize, LinkError> {
        self.0.recv(now_us, buf)
    }

    fn recv_scattered(
        &mut self,
        now_us: u64,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Result<usize, LinkError> {
        let mut frame = vec![0; bufs.iter().map(|buf| buf.len()).sum()];
        let len = self.0.recv(now_us, &mut frame)?;
        let mut rest = &frame[..len];
        for buf in bufs {
            let (part, behind) = rest.split_at(rest.len().min(buf.len()));
            buf[..part.len()].copy_from_slice(part);
            rest = behind;
        }
        Ok(len)
    }

    fn scatters(&self) -> bool {
        true
    }

    fn send(&mut self, now_us: u64, frame: &[IoSlice<'_>]) -> Result<(), LinkError> {
        self.0.send(now_us, frame)
    }

    fn next_deadline(&self) -> Option<u64> {
        self.0.next_deadline()
    }

    fn poll(&mut self, now_us: u64) {
        self.0.poll(now_us);
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.fd()
    }

    fn caps(&self) -> Caps {
        self.0.caps()
    }
}

fn host(addr: &str, seed: u8, device: MemoryDevice) -> Runtime {
    let now = sys::now();
    let stack = stack(addr, seed, now);
    Runtime::new(stack, Box::new(device), std::time::Duration::ZERO, now)
}

fn stack(addr: &str, seed: u8, now: Instant) -> Stack {
    let config = Config {
        addrs: vec![format!("{addr}/24").parse().expect("an address")],
        offload: Offload {
            csum: true,
            tso4: true,
            tso6: true,
        },
        seed: [seed; 32],
        ..Config::default()
    };
    Stack::new(config, now)
}
