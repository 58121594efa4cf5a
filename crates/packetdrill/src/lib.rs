//! `crates/stack` behind packetdrill's shared-object interface, so that packet scripts run against it in virtual time:
//!
//! ```text
//! LD_PRELOAD=$SO packetdrill --so_filename=$SO --so_flags=addr=192.168.0.1/16,mtu=1500 … script.pkt
//! ```
//!
//! The preload is wanted by scripts that look at TCP_INFO: those ask the C library's `getsockopt` and not the interface's.
//! What `--so_flags` may say stands in `settings.rs`; sysctls of the network namespace are heeded as far as the stack knows
//! their like.
//!
//! Layers: `entry.rs` and `preload.rs` (C functions, pointers, errno) → `calls.rs` (one safe function a call) → `host.rs` (lock, clock, waiting) →
//! `world.rs` (the stack, its packets and descriptors).

mod abi;
mod address;
mod calls;
mod cmsg;
mod device;
mod entry;
mod epoll;
mod errno;
mod host;
mod info;
mod netlink;
mod options;
#[cfg(not(test))]
mod preload;
mod proc;
mod queue;
mod routes;
mod settings;
mod world;
