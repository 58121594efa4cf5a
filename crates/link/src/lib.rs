//! What carries a stack's IP packets: a TUN device ([`Tun`]), a link in memory ([`MemoryDevice`]),
//! and two wrappers that go around either: [`Capture`] writes every packet to a pcapng file,
//! [`Faults`] loses, delays and damages packets on purpose.
//!
//! Wrappers nest in one order: stack ↔ `Capture` ↔ `Faults` ↔ device. The capture therefore shows
//! what the stack sent and what reached it: an outgoing packet that the faults lose is in the file,
//! an incoming one that they lose is not. That is what a capture on the sending host would show.
//!
//! Everything here talks to the kernel through `rustix` or [`syscall`], so no call passes through a libc name.

mod aio;
mod call;
mod capture;
mod device;
mod faults;
mod memory;
mod netlink;
mod slot;
mod sys;
mod sysctl;
mod tun;

pub use call::syscall;
pub use capture::{Capture, CaptureConfig};
pub use device::{
    Caps, Device, FRAME_MAX, GSO_NONE, GSO_TCPV4, GSO_TCPV6, HDR_F_DATA_VALID, HDR_F_NEEDS_CSUM,
    LinkError, VNET_HDR_LEN,
};
pub use faults::{FaultConfig, FaultStats, Faults};
pub use memory::{MemoryConfig, MemoryDevice};
pub use netlink::{AddressEntry, HostSide, LinkEntry, Netlink, NetlinkError, configure};
pub use slot::Slot;
pub use sysctl::ipv6_available;
pub use tun::{OpenError, Tun, TunConfig, create_persistent, delete_persistent};
