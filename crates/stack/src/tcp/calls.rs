//! Socket calls on TCP sockets.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use crate::error::{Error, Result};
use crate::socket::*;
use crate::stack::Stack;
use crate::time::Instant;

pub(crate) fn listen(_s: &mut Stack, _now: Instant, _id: SocketId, _backlog: usize) -> Result<()> {
    Err(Error::NotSupported)
}
pub(crate) fn accept(
    _s: &mut Stack,
    _now: Instant,
    _id: SocketId,
) -> Result<(SocketId, SocketAddr)> {
    Err(Error::NotSupported)
}
pub(crate) fn connect(_s: &mut Stack, _now: Instant, _id: SocketId, _to: SocketAddr) -> Result<()> {
    Err(Error::NotSupported)
}
pub(crate) fn disconnect(_s: &mut Stack, _now: Instant, _id: SocketId) -> Result<()> {
    Err(Error::NotSupported)
}
pub(crate) fn send(
    _s: &mut Stack,
    _now: Instant,
    _id: SocketId,
    _data: &[IoSlice<'_>],
    _flags: SendFlags,
) -> Result<usize> {
    Err(Error::NotSupported)
}
pub(crate) fn recv(
    _s: &mut Stack,
    _now: Instant,
    _id: SocketId,
    _bufs: &mut [IoSliceMut<'_>],
    _flags: RecvFlags,
) -> Result<Received> {
    Err(Error::NotSupported)
}
pub(crate) fn shutdown(_s: &mut Stack, _now: Instant, _id: SocketId, _how: Shutdown) -> Result<()> {
    Err(Error::NotSupported)
}
/// Ends by removing the socket from `stack.sockets` (at once, or when TCP is through with it), with `stack.forget(id)`.
pub(crate) fn close(s: &mut Stack, _now: Instant, id: SocketId) -> Closed {
    s.forget(id);
    Closed::Done
}
pub(crate) fn lingering(_s: &Stack, _id: SocketId) -> bool {
    false
}
pub(crate) fn release(s: &mut Stack, _now: Instant, id: SocketId) {
    s.forget(id);
}
pub(crate) fn readiness(_s: &Stack, _id: SocketId) -> Ready {
    Ready::OUT | Ready::HUP
}
pub(crate) fn set_option(
    _s: &mut Stack,
    _now: Instant,
    _id: SocketId,
    _opt: SockOpt,
) -> Result<()> {
    Err(Error::NoSuchOption)
}
pub(crate) fn option_changed(_s: &mut Stack, _now: Instant, _id: SocketId) {}
pub(crate) fn get_option(_s: &Stack, _id: SocketId, _name: SockOptName) -> Result<SockOpt> {
    Err(Error::NoSuchOption)
}
pub(crate) fn state(_s: &Stack, _id: SocketId) -> Result<State> {
    Ok(State::Closed)
}
pub(crate) fn readable_bytes(_s: &Stack, _id: SocketId) -> Result<usize> {
    Ok(0)
}
pub(crate) fn unsent_bytes(_s: &Stack, _id: SocketId) -> Result<usize> {
    Ok(0)
}
pub(crate) fn at_mark(_s: &Stack, _id: SocketId) -> Result<bool> {
    Ok(false)
}
pub(crate) fn peer_addr(_s: &Stack, _id: SocketId) -> Result<SocketAddr> {
    Err(Error::NotConnected)
}
pub(crate) fn list(_s: &Stack, _out: &mut Vec<SocketInfo>) {}
pub(crate) fn has_undelivered(_s: &Stack) -> bool {
    false
}
