//! The open file description of a socket: what dup shares.

use std::io::{IoSlice, IoSliceMut};

use super::*;
use tunsock_stack::{Received, RecvFlags, SendFlags, Shutdown, SockOpt, SockOptName};

/// A socket's open file description: shared by every descriptor that dup made of it.
pub(crate) struct SocketFile {}

/// socket(2) for AF_INET and AF_INET6.
pub(crate) fn open(domain: Domain, kind: Kind, nonblock: bool, cloexec: bool) -> FdResult<c_int> {
    let _ = (domain, kind, nonblock, cloexec);
    todo!()
}

#[allow(unused_variables)]
impl SocketFile {
    /// bind(2).
    pub(crate) fn bind(&self, addr: SocketAddr) -> FdResult<()> {
        todo!()
    }

    /// listen(2); a negative backlog is a large one, as on Linux.
    pub(crate) fn listen(&self, backlog: c_int) -> FdResult<()> {
        todo!()
    }

    /// connect(2). Non-blocking: `Error::InProgress` while it goes on.
    pub(crate) fn connect(&self, addr: SocketAddr) -> FdResult<()> {
        todo!()
    }

    /// connect(2) with AF_UNSPEC.
    pub(crate) fn disconnect(&self) -> FdResult<()> {
        todo!()
    }

    /// shutdown(2).
    pub(crate) fn shutdown(&self, how: Shutdown) -> FdResult<()> {
        todo!()
    }

    /// accept4(2): the new descriptor and the peer.
    pub(crate) fn accept(&self, nonblock: bool, cloexec: bool) -> FdResult<(c_int, SocketAddr)> {
        todo!()
    }

    /// send(2) and its kin: bytes taken. `dontwait`: MSG_DONTWAIT.
    pub(crate) fn send(
        &self,
        data: &[IoSlice<'_>],
        flags: SendFlags,
        dontwait: bool,
        dest: Option<SocketAddr>,
    ) -> FdResult<usize> {
        todo!()
    }

    /// recv(2) and its kin. `dontwait`: MSG_DONTWAIT; `waitall`: MSG_WAITALL. With `RecvFlags::TRUNC` on TCP bytes are discarded.
    pub(crate) fn recv(
        &self,
        bufs: &mut [IoSliceMut<'_>],
        flags: RecvFlags,
        dontwait: bool,
        waitall: bool,
    ) -> FdResult<Received> {
        todo!()
    }

    /// getsockname(2).
    pub(crate) fn local_addr(&self) -> FdResult<SocketAddr> {
        todo!()
    }

    /// getpeername(2).
    pub(crate) fn peer_addr(&self) -> FdResult<SocketAddr> {
        todo!()
    }

    /// SO_ERROR: the pending error, thereby cleared.
    pub(crate) fn take_error(&self) -> Option<Error> {
        todo!()
    }

    /// setsockopt(2) of what the stack knows.
    pub(crate) fn set_option(&self, opt: SockOpt) -> FdResult<()> {
        todo!()
    }

    /// getsockopt(2) of what the stack knows.
    pub(crate) fn get_option(&self, name: SockOptName) -> FdResult<SockOpt> {
        todo!()
    }

    /// SO_RCVTIMEO; `None`: for ever. Bounds receive and accept.
    pub(crate) fn set_recv_timeout(&self, timeout: Option<Duration>) {
        todo!()
    }

    /// SO_RCVTIMEO.
    pub(crate) fn recv_timeout(&self) -> Option<Duration> {
        todo!()
    }

    /// SO_SNDTIMEO; `None`: for ever. Bounds send and connect.
    pub(crate) fn set_send_timeout(&self, timeout: Option<Duration>) {
        todo!()
    }

    /// SO_SNDTIMEO.
    pub(crate) fn send_timeout(&self) -> Option<Duration> {
        todo!()
    }

    /// O_NONBLOCK.
    pub(crate) fn nonblocking(&self) -> bool {
        todo!()
    }

    /// Sets O_NONBLOCK (F_SETFL, FIONBIO).
    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        todo!()
    }

    /// FIONREAD.
    pub(crate) fn readable_bytes(&self) -> FdResult<usize> {
        todo!()
    }

    /// SIOCOUTQ.
    pub(crate) fn unsent_bytes(&self) -> FdResult<usize> {
        todo!()
    }

    /// SIOCATMARK.
    pub(crate) fn at_mark(&self) -> FdResult<bool> {
        todo!()
    }

    /// SO_ACCEPTCONN.
    pub(crate) fn listening(&self) -> bool {
        todo!()
    }

    /// SO_DOMAIN and SO_TYPE.
    pub(crate) fn kind(&self) -> (Domain, Kind) {
        todo!()
    }
}
