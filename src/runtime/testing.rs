//! Two hosts in one test process, over a link in memory: this process's runtime and a peer.

use once_cell::sync::Lazy;
use tunsock_link::{Caps, MemoryConfig, MemoryDevice};
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

/// Two hosts of a test's own, which nobody drives but the test.
pub(crate) fn cores() -> (Core, Core) {
    let (here, there) = link();
    let now = sys::now();
    (
        Core::new(stack(HERE, 1, now), Box::new(here), now),
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
