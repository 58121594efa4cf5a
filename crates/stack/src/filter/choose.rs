//! Programs that choose among sockets which share an address (SO_ATTACH_REUSEPORT_CBPF; Linux: net/core/sock_reuseport.c).

use std::net::SocketAddr;

use smallvec::SmallVec;

use super::{Filter, View, may_change, run};
use crate::error::{Error, Result};
use crate::ports::Shape;
use crate::socket::table::Socket;
use crate::socket::{Kind, SocketId};
use crate::stack::Stack;
use crate::tcp::listeners_beside;

/// Sockets that share an address with SO_REUSEPORT, in the order in which they came to it.
pub(crate) type Sharers = SmallVec<[SocketId; 8]>;

impl Socket {
    fn chooser(&self) -> Option<&Filter> {
        self.extra_opts()?.chooser.as_ref()
    }

    /// Whether a program counts the sockets that share this one's address.
    pub(crate) fn is_numbered(&self) -> bool {
        self.chooser().is_some()
    }

    fn put_chooser(&mut self, chooser: Option<Filter>) {
        if chooser.is_some() || self.extra.is_some() {
            self.extra_mut().opts.chooser = chooser;
        }
    }
}

impl Stack {
    /// SO_ATTACH_REUSEPORT_CBPF: what the program returns is the number of the socket that gets a datagram or a connection, of those
    /// that share the address, in the order in which they were bound (TCP: began to listen); a number that there is not leaves the choice
    /// to the addresses. The program sees what is behind the transport's header. `Invalid`: the socket shares nothing (SO_REUSEPORT).
    /// `NotPermitted`: SO_LOCK_FILTER.
    pub fn attach_chooser(&mut self, id: SocketId, program: Filter) -> Result<()> {
        self.may_choose(id)?;
        self.cpu_matters |= run::asks_cpu(program.instructions());
        self.choosers_matter = true;
        self.give_chooser(id, Some(program));
        Ok(())
    }

    /// SO_DETACH_REUSEPORT_BPF. `Invalid`: the socket shares nothing. `NoFilter`: there is no such program.
    pub fn detach_chooser(&mut self, id: SocketId) -> Result<()> {
        let socket = self.sockets.get(id).ok_or(Error::BadHandle)?;
        if !shares(socket) {
            return Err(Error::Invalid);
        }
        if socket.chooser().is_none() {
            return Err(Error::NoFilter);
        }
        self.give_chooser(id, None);
        Ok(())
    }

    /// Whether [`Stack::attach_chooser`] would take a program.
    pub fn may_choose(&self, id: SocketId) -> Result<()> {
        let socket = self.sockets.get(id).ok_or(Error::BadHandle)?;
        may_change(socket)?;
        if shares(socket) {
            Ok(())
        } else {
            Err(Error::Invalid)
        }
    }

    /// All who share the address have the same program.
    fn give_chooser(&mut self, id: SocketId, program: Option<Filter>) {
        for sharer in self.sharers(id).into_iter().chain([id]) {
            if let Some(socket) = self.sockets.get_mut(sharer) {
                socket.put_chooser(program.clone());
            }
        }
    }

    /// The port that bind(2) gives the socket. Who has a program already shares with nobody who is there (inet_csk_bind_conflict,
    /// udp_lib_lport_inuse).
    pub(crate) fn bind_port(&mut self, id: SocketId, addr: SocketAddr) -> Result<u16> {
        let socket = self.get(id)?;
        let (kind, own) = (socket.kind(), socket.local_ports());
        let shape = socket.shape(addr.ip());
        let first = Shape {
            reuse_port: shape.reuse_port && !socket.is_numbered(),
            ..shape
        };
        let port = self.ports.bind(kind, id, first, addr.port(), own)?;
        if first != shape {
            self.ports.update(id, |of| *of = shape);
        }
        Ok(port)
    }

    /// The socket has come to an address: the program is that of those who were there.
    pub(crate) fn join_choosers(&mut self, id: SocketId) {
        if !self.choosers_matter || !self.sockets.get(id).is_some_and(shares) {
            return;
        }
        let first = self.sharers(id).into_iter().find(|other| *other != id);
        let Some(first) = first.and_then(|id| self.sockets.get(id)) else {
            return;
        };
        let program = first.chooser().cloned();
        if let Some(socket) = self.sockets.get_mut(id) {
            socket.put_chooser(program);
        }
    }

    /// Those of `ids` whose number their program returns for a packet. `None`: no program, or no such number.
    pub(crate) fn chosen(
        &self,
        mut ids: impl Iterator<Item = SocketId> + Clone,
        view: Option<&View<'_>>,
    ) -> Option<SocketId> {
        let view = view.filter(|_| self.choosers_matter)?;
        let of = |id: SocketId| self.sockets.get(id).filter(|socket| shares(socket));
        let program = ids.clone().find_map(|id| of(id)?.chooser())?;
        let view = View {
            // Behind the header of UDP or TCP.
            start: view.start + view.parts[1].len(),
            cpu: u32::try_from(self.cpu).unwrap_or(0),
            ..*view
        };
        // The same for one packet, however often it is asked.
        let mut random = || self.udp.random(self.packets);
        let number = run::run(program.instructions(), &view, &mut random);
        ids.by_ref()
            .filter(|id| of(*id).is_some())
            .nth(number as usize)
    }

    fn sharers(&self, id: SocketId) -> Sharers {
        let Some(socket) = self.sockets.get(id) else {
            return Sharers::new();
        };
        let beside = match (socket.kind(), socket.local()) {
            (Kind::Datagram, Some(local)) => self.udp_beside(local),
            (Kind::Stream, Some(local)) => listeners_beside(self, local),
            _ => &[],
        };
        // Not yet among them: alone.
        if !beside.contains(&id) {
            return Sharers::new();
        }
        let shares = |id: &SocketId| self.sockets.get(*id).is_some_and(shares);
        beside.iter().copied().filter(shares).collect()
    }
}

/// A socket leaves those at its address; the last takes its place if they are numbered (reuseport_detach_sock).
pub(crate) fn leave_group<const N: usize>(
    group: &mut SmallVec<[SocketId; N]>,
    id: SocketId,
    numbered: bool,
) where
    [SocketId; N]: smallvec::Array<Item = SocketId>,
{
    let Some(at) = group.iter().position(|member| *member == id) else {
        return;
    };
    if numbered {
        group.swap_remove(at);
    } else {
        group.remove(at);
    }
}

fn shares(socket: &Socket) -> bool {
    let connected = socket.kind() == Kind::Stream && socket.peer().is_some();
    socket.opts.reuse_port && matches!(socket.kind(), Kind::Stream | Kind::Datagram) && !connected
}
