//! TCP.

pub(crate) mod calls;

use std::io::IoSlice;

use rand_chacha::ChaCha8Rng;

use crate::config::Config;
use crate::ip::{IcmpError, RxMeta};
use crate::stack::Stack;
use crate::time::Instant;

#[derive(Debug)]
pub(crate) struct TcpLayer {}

impl TcpLayer {
    pub(crate) fn new(_config: &Config, _rng: &mut ChaCha8Rng) -> TcpLayer {
        TcpLayer {}
    }
}

#[derive(Debug)]
pub(crate) struct TcpSocket {}

impl TcpSocket {
    pub(crate) fn new(_config: &Config) -> TcpSocket {
        TcpSocket {}
    }
}

pub(crate) fn input(_stack: &mut Stack, _now: Instant, _meta: &RxMeta, _segment: &[u8]) {}

pub(crate) fn icmp_error(_stack: &mut Stack, _now: Instant, _error: &IcmpError) {}

pub(crate) fn transmit(_stack: &mut Stack, _now: Instant, _sink: &mut dyn FnMut(&[IoSlice<'_>])) {}

pub(crate) fn handle_timers(_stack: &mut Stack, _now: Instant) {}

pub(crate) fn next_deadline(_stack: &Stack) -> Option<Instant> {
    None
}
