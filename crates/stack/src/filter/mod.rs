//! Socket filters: programs of the classic BPF machine that look at each packet before a socket gets it (SO_ATTACH_FILTER, bpf(4);
//! Linux: Documentation/networking/filter.rst, net/core/filter.c).
//!
//! A program is checked once, when it is attached: it has no loops, stays within its own bounds and ends with a return. So a run takes
//! at most as many steps as the program has instructions, and needs no memory but the machine's own sixteen words.

mod check;
mod choose;
mod run;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

pub(crate) use choose::leave_group;

use crate::error::{Error, Result};
use crate::ip::{DstKind, RxMeta};
use crate::socket::SocketId;
use crate::socket::attribute::Attribute;
use crate::socket::table::Socket;
use crate::stack::Stack;

/// One instruction, as struct sock_filter of linux/filter.h has it.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to pass over when a comparison holds.
    pub jt: u8,
    /// Instructions to pass over when it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// A program that has been checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter(Arc<[Instruction]>);

/// Most instructions of a program (BPF_MAXINSNS).
pub const INSTRUCTIONS_MAX: usize = 4096;

impl Filter {
    /// Checks a program. `Invalid`: Linux does not take it (bpf_check_classic).
    pub fn new(program: &[Instruction]) -> Result<Filter> {
        if check::is_sound(program) {
            Ok(Filter(program.into()))
        } else {
            Err(Error::Invalid)
        }
    }

    /// The program.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}

/// A packet as a filter sees it: three pieces of memory, one behind the other.
#[derive(Copy, Clone)]
pub(crate) struct View<'a> {
    /// From the IP header on.
    pub(crate) parts: [&'a [u8]; 3],
    /// Where among their octets the program's offset 0 is: the transport's header, or the IP header.
    pub(crate) start: usize,
    /// Where it came from.
    pub(crate) meta: &'a RxMeta,
    /// The protocol of the transport's header.
    pub(crate) proto: u8,
    /// The CPU.
    pub(crate) cpu: u32,
}

impl<'a> View<'a> {
    /// A packet of which the program sees the transport's header first.
    pub(crate) fn transport(
        network: &'a [u8],
        header: &'a [u8],
        payload: &'a [u8],
        meta: &'a RxMeta,
        proto: u8,
    ) -> View<'a> {
        View {
            parts: [network, header, payload],
            start: network.len(),
            meta,
            proto,
            cpu: 0,
        }
    }

    /// Octets from the program's offset 0 on.
    pub(crate) fn len(&self) -> usize {
        let all: usize = self.parts.iter().map(|part| part.len()).sum();
        all - self.start.min(all)
    }

    /// The octet at a place counted from the IP header.
    fn octet(&self, mut at: usize) -> Option<u8> {
        for part in self.parts {
            match part.get(at) {
                Some(octet) => return Some(*octet),
                None => at -= part.len(),
            }
        }
        None
    }

    /// The link's header in front of the IP header: the loopback's is Ethernet's, all zeros but for the type.
    fn link_header(&self) -> &'static [u8] {
        const V4: [u8; 14] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x00];
        const V6: [u8; 14] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x86, 0xdd];
        match self.meta.src {
            _ if !self.meta.local => &[],
            IpAddr::V4(_) => &V4,
            IpAddr::V6(_) => &V6,
        }
    }

    /// skb->pkt_type: PACKET_LOOPBACK for what was sent to many here, else PACKET_HOST.
    fn kind(&self) -> u32 {
        const HOST: u32 = 0;
        const LOOPBACK: u32 = 5;
        if self.meta.local && self.meta.dst_kind != DstKind::Unicast {
            LOOPBACK
        } else {
            HOST
        }
    }
}

/// The IP header, with what belongs to it, in front of `transport` in `packet`. Of a datagram put together from fragments `packet` is
/// the first one's, and what is behind the fixed header is left out.
pub(crate) fn network_header<'a>(packet: &'a [u8], transport: &[u8]) -> &'a [u8] {
    let together = packet.as_ptr_range().end == transport.as_ptr_range().end;
    let len = match packet.first() {
        _ if together => packet.len().saturating_sub(transport.len()),
        Some(first) if first >> 4 == 4 => usize::from(first & 15) * 4,
        _ => crate::wire::ipv6::HEADER_LEN,
    };
    packet.get(..len).unwrap_or(packet)
}

impl Socket {
    fn filter(&self) -> Option<&Filter> {
        self.extra_opts()?.filter.as_ref()
    }
}

impl Stack {
    /// How many octets of a packet, from the program's offset 0 on and `least` at least, the socket's filter lets through. `None`: the
    /// packet is not for the socket (Linux: sk_filter_trim_cap). Nothing is looked at before some socket had a filter.
    pub(crate) fn filtered(
        &mut self,
        id: SocketId,
        view: &View<'_>,
        least: usize,
    ) -> Option<usize> {
        let len = view.len();
        if !self.filters_matter {
            return Some(len);
        }
        let Some(filter) = self.sockets.get(id).and_then(Socket::filter) else {
            return Some(len);
        };
        let view = View {
            cpu: u32::try_from(self.cpu).unwrap_or(0),
            ..*view
        };
        let ports = &mut self.ports;
        match run::run(filter.instructions(), &view, &mut || ports.random()) {
            0 => None,
            keep => Some(len.min(least.max(keep as usize))),
        }
    }

    /// SO_ATTACH_FILTER: from now on the socket gets of each packet what the program returns, in octets counted from UDP's and TCP's
    /// header, on raw IPv4 sockets from the IP header, on others of that kind from what they are given. Connections inherit their
    /// listener's. `NotPermitted`: SO_LOCK_FILTER.
    pub fn attach_filter(&mut self, id: SocketId, filter: Filter) -> Result<()> {
        let socket = self.sockets.get_mut(id).ok_or(Error::BadHandle)?;
        may_change(socket)?;
        self.cpu_matters |= run::asks_cpu(filter.instructions());
        socket.extra_mut().opts.filter = Some(filter);
        self.filters_matter = true;
        Ok(())
    }

    /// SO_DETACH_FILTER. `NotPermitted`: SO_LOCK_FILTER. `NoFilter`: there is none.
    pub fn detach_filter(&mut self, id: SocketId) -> Result<()> {
        let socket = self.sockets.get_mut(id).ok_or(Error::BadHandle)?;
        may_change(socket)?;
        let extra = socket.extra.as_deref_mut().ok_or(Error::NoFilter)?;
        let had = extra.opts.filter.take();
        had.map(|_| ()).ok_or(Error::NoFilter)
    }

    /// SO_GET_FILTER: the socket's filter, if it has one.
    pub fn filter(&self, id: SocketId) -> Result<Option<Filter>> {
        let socket = self.sockets.get(id).ok_or(Error::BadHandle)?;
        Ok(socket.filter().cloned())
    }

    /// Whether the socket's filter may be changed. `NotPermitted`: SO_LOCK_FILTER.
    pub fn may_filter(&self, id: SocketId) -> Result<()> {
        may_change(self.sockets.get(id).ok_or(Error::BadHandle)?)
    }
}

fn may_change(socket: &Socket) -> Result<()> {
    if socket.has(Attribute::LockFilter) {
        return Err(Error::NotPermitted);
    }
    Ok(())
}
