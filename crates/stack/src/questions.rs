//! What the stack's owner may ask: of a socket's queues, and of everything that there is.

use ipnet::IpNet;

use crate::error::{Error, Result};
use crate::socket::{Kind, SocketId, SocketInfo};
use crate::stack::Stack;
use crate::{raw, tcp, udp};

impl Stack {
    /// FIONREAD: bytes readable now (UDP: length of the next datagram). `Invalid` on a listener.
    pub fn readable_bytes(&self, id: SocketId) -> Result<usize> {
        let socket = self.get(id)?;
        match socket.udp() {
            None => tcp::calls::readable_bytes(self, id),
            Some(udp) => Ok(udp.queue.first_len().unwrap_or(0)),
        }
    }

    /// Bytes that MSG_PEEK would find on a stream: those behind SO_PEEK_OFF.
    pub fn peekable_bytes(&self, id: SocketId) -> Result<usize> {
        tcp::calls::peekable_bytes(self, id)
    }

    /// SIOCOUTQ: bytes not yet acknowledged.
    pub fn unsent_bytes(&self, id: SocketId) -> Result<usize> {
        match self.get(id)?.kind() {
            Kind::Stream => tcp::calls::unsent_bytes(self, id),
            // A datagram is gone as soon as it is sent.
            Kind::Datagram | Kind::Raw(_) | Kind::Ping => Ok(0),
        }
    }

    /// SIOCOUTQNSD: bytes of a stream that were never sent. `Error::NotSupported` of other sockets.
    pub fn never_sent_bytes(&self, id: SocketId) -> Result<usize> {
        match self.get(id)?.kind() {
            Kind::Stream => tcp::calls::never_sent_bytes(self, id),
            Kind::Datagram | Kind::Raw(_) | Kind::Ping => Err(Error::NotSupported),
        }
    }

    /// SIOCATMARK: the next byte read is the urgent one.
    pub fn at_mark(&self, id: SocketId) -> Result<bool> {
        match self.get(id)?.kind() {
            Kind::Stream => tcp::calls::at_mark(self, id),
            Kind::Datagram | Kind::Raw(_) | Kind::Ping => Err(Error::NotSupported),
        }
    }

    /// Every socket, half-open connection and TIME-WAIT remnant, for listings.
    pub fn sockets(&self) -> Vec<SocketInfo> {
        let mut rows = Vec::new();
        tcp::calls::list(self, &mut rows);
        let all = || self.sockets.iter();
        rows.extend(all().filter_map(|(id, socket)| udp::row(id, socket)));
        rows.extend(all().filter_map(|(id, socket)| raw::row(id, socket)));
        rows
    }

    /// Whether any closed connection still has data or a FIN to deliver (for the end of a process).
    pub fn has_undelivered(&self) -> bool {
        self.ip.has_packets() || tcp::calls::has_undelivered(self)
    }

    /// The host's addresses with their prefix lengths, without the loopback ones.
    pub fn addrs(&self) -> &[IpNet] {
        &self.config.addrs
    }
}
