//! Sockets of the stack for the library's own questions: without a descriptor, so the program never sees them.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::time::Duration;

use smallvec::smallvec;
use tunsock_stack::{Domain, Error, Instant, Kind, Ready, RecvFlags, SendFlags, SocketId, Stack};

use crate::runtime::{self, End, Request, Runtime, Watch, sys};

/// A connected socket, closed when it is dropped. Its calls block the calling thread only, and go on after signal handlers.
pub(super) struct Socket {
    runtime: &'static Runtime,
    id: SocketId,
}

/// When something has to be over.
#[derive(Copy, Clone)]
pub(super) struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub(super) fn after(time: Duration) -> Deadline {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Deadline(Instant::from_micros(
            sys::now().as_micros().saturating_add(micros),
        ))
    }

    fn left(self) -> Duration {
        Duration::from_micros(self.0.as_micros().saturating_sub(sys::now().as_micros()))
    }
}

impl Socket {
    /// A datagram socket that talks to `peer` only, from a port that nobody can guess.
    pub(super) fn datagram(peer: SocketAddr) -> Result<Socket, Error> {
        let socket = Socket::new(peer, Kind::Datagram)?;
        let id = socket.id;
        socket
            .runtime
            .with(|stack, now| stack.connect(now, id, peer))?;
        Ok(socket)
    }

    /// A TCP connection to `peer`.
    pub(super) fn stream(peer: SocketAddr, by: Deadline) -> Result<Socket, Error> {
        let socket = Socket::new(peer, Kind::Stream)?;
        socket.wait(Ready::OUT | Ready::IN, by, |stack, now, id| {
            match stack.connect(now, id, peer) {
                Err(Error::InProgress | Error::AlreadyConnecting) => Err(Error::WouldBlock),
                outcome => outcome,
            }
        })?;
        Ok(socket)
    }

    fn new(peer: SocketAddr, kind: Kind) -> Result<Socket, Error> {
        let runtime = runtime::start().map_err(|_| Error::NetworkDown)?;
        let domain = if peer.is_ipv4() {
            Domain::V4
        } else {
            Domain::V6
        };
        let mut core = runtime.lock()?;
        if core.gone() {
            return Err(Error::NetworkDown);
        }
        let id = core.stack.socket(domain, kind)?;
        core.adopt(id);
        Ok(Socket { runtime, id })
    }

    /// Sends everything.
    pub(super) fn send(&self, data: &[u8], by: Deadline) -> Result<(), Error> {
        let mut rest = data;
        while !rest.is_empty() {
            let taken = self.wait(Ready::OUT, by, |stack, now, id| {
                stack.send(now, id, &[IoSlice::new(rest)], SendFlags::empty(), None)
            })?;
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Receives a datagram or the next bytes; 0 is a stream's end. `TimedOut` at the deadline.
    pub(super) fn recv(&self, room: &mut [u8], by: Deadline) -> Result<usize, Error> {
        let interest = Ready::IN | Ready::RDHUP;
        let received = self.wait(interest, by, |stack, now, id| {
            stack.recv(now, id, &mut [IoSliceMut::new(room)], RecvFlags::empty())
        })?;
        Ok(received.len)
    }

    /// Receives exactly so many bytes of a stream.
    pub(super) fn recv_exact(&self, room: &mut [u8], by: Deadline) -> Result<(), Error> {
        let mut rest = room;
        while !rest.is_empty() {
            match self.recv(rest, by)? {
                0 => return Err(Error::ConnectionReset),
                n => rest = rest.get_mut(n..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// The address that packets to the peer carry.
    pub(super) fn local_addr(&self) -> Result<SocketAddr, Error> {
        let id = self.id;
        self.runtime.with(|stack, _| stack.local_addr(id))
    }

    /// Tries until it is not `WouldBlock` any more.
    fn wait<T>(
        &self,
        interest: Ready,
        by: Deadline,
        mut call: impl FnMut(&mut Stack, Instant, SocketId) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let id = self.id;
        loop {
            let mut request = Request::new();
            request.watches = smallvec![Watch::Socket {
                id,
                interest,
                exclusive: false,
            }];
            request.timeout = Some(by.left());
            let outcome = self.runtime.wait(&mut request, &mut |core, now, _| {
                if core.gone() {
                    return Some(Err(Error::NetworkDown));
                }
                match call(&mut core.stack, now, id) {
                    Err(Error::WouldBlock) => None,
                    outcome => Some(outcome),
                }
            });
            match outcome {
                Ok(outcome) => return outcome,
                // A handler of the program's has run; names are not what it interrupts.
                Err(End::Interrupted) => {}
                Err(End::TimedOut) => return Err(Error::TimedOut),
                Err(End::WouldBlock) => return Err(Error::WouldBlock),
                Err(End::Down) => return Err(Error::NetworkDown),
                Err(End::Os(_)) => return Err(Error::NoBuffers),
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Without SO_LINGER there is nothing to wait for.
        let _ = self.runtime.close(self.id);
    }
}

/// A number that nobody can guess, from the stack of this process.
pub(super) fn random() -> Result<u32, Error> {
    let runtime = runtime::start().map_err(|_| Error::NetworkDown)?;
    runtime.with(|stack, _| Ok(stack.random()))
}
