//! tunsock's stack: one virtual host's IPv4, IPv6, ICMP, UDP and TCP as pure state.
//!
//! Nothing here does I/O, reads a clock, draws OS randomness, takes a lock or starts a thread. Whoever owns a [`Stack`]
//! hands it frames ([`Stack::handle_frame`]), socket calls and the passing of time ([`Stack::handle_timers`]), each with
//! `now`, and then collects what came of it: frames ([`Stack::transmit`]), readiness changes ([`Stack::poll_event`]) and the
//! next deadline ([`Stack::next_deadline`]). Same input and seed, same output, to the bit.
//!
//! A *frame* is a 10-byte virtio-net header (`struct virtio_net_hdr`, `wire::vnet`) followed by an IP packet of up to 64 KB.
#![forbid(unsafe_code)]

mod audit;
pub mod config;
pub mod error;
mod events;
mod fifo;
pub mod filter;
mod icmp;
mod ip;
mod keyed;
mod multicast;
mod ports;
mod questions;
mod raw;
mod sink;
mod slab;
pub mod socket;
pub mod stack;
mod tcp;
pub mod time;
mod udp;
mod wire;

pub use audit::Census;
pub use config::{
    Config, CongestionControl, Ecn, FastOpen, FastOpenKeys, MtuProbing, Offload, Route,
};
pub use error::{Error, Result};
pub use ip::{RouteEntry, RouteKind, Way};
pub use multicast::{GroupChange, GroupPlace};
pub use sink::Sink;
pub use socket::{
    Attribute, BbrInfo, CaState, Closed, Control, Controls, Domain, ExtendedError, FastOpenFailure,
    Interface, Kind, McOpt, McOptName, Origin, RawOpt, RawOptName, Ready, Received, RecvFlags,
    SendControl, SendFlags, Shutdown, SockOpt, SockOptName, SocketId, SocketInfo, State, TcpInfo,
};
pub use stack::{Stack, Stats};
pub use tcp::{Buffers, Place};
pub use time::Instant;
