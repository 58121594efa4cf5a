//! The short way out of a datagram that goes where the socket's last two went, over IPv4 and the device, in one piece: a template takes the place of
//! everything that the long way (`udp/calls.rs`, `udp/output.rs`) finds out anew. It is made there, and thrown away with the way that it
//! belongs to.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use super::Way;
use super::output::{self, Datagram};
use crate::error::Result;
use crate::ip::Via;
use crate::socket::attribute::Attribute;
use crate::socket::control::SendControl;
use crate::socket::table::{Proto, Socket};
use crate::socket::{SendFlags, SocketId};
use crate::stack::Stack;
use crate::wire::datagram::{OVERHEAD, Template};
use crate::wire::ipv4;

/// Most data in a datagram over IPv4: 65535 less the headers.
const MAX: usize = 65535 - OVERHEAD;

/// What datagrams to one end are made from.
#[derive(Copy, Clone, Debug)]
pub(super) struct Flow {
    dest: SocketAddrV4,
    /// `IpLayer::version` of the way.
    version: u64,
    /// Most octets of data that go in one piece.
    most: usize,
    template: Template,
}

impl Stack {
    /// Sends a datagram that asks for nothing out of the ordinary to where `Flow` leads. `None`: it is for the long way.
    #[inline]
    pub(crate) fn udp_send_directly(
        &mut self,
        id: SocketId,
        data: &[IoSlice<'_>],
        flags: SendFlags,
        dest: Option<SocketAddr>,
        control: &SendControl,
    ) -> Option<Result<usize>> {
        let socket = self.sockets.get(id)?;
        let Proto::Udp(udp) = &socket.proto else {
            return None;
        };
        let flow = udp.flow.as_ref()?;
        let there = match dest {
            Some(dest) => dest == SocketAddr::V4(flow.dest),
            None => socket.peer() == Some(SocketAddr::V4(flow.dest)),
        };
        let hindered = socket.pending_error.is_some() || udp.write_shut || udp.corked.is_some();
        let plain = (flags - SendFlags::GATHER).is_empty() && control.is_plain();
        if !there || hindered || !plain || flow.version != self.ip.version() {
            return None;
        }
        // Vectors may name the same memory more than once: the sum can be more than there is.
        let parts = data.iter().map(|part| &**part);
        let len = parts
            .clone()
            .fold(0usize, |len, part| len.saturating_add(part.len()));
        if len > flow.most {
            return None;
        }
        let mut frame = self.ip.queue().buffer();
        flow.template.frame(&mut frame, parts, len);
        Some(self.ip.push(Via::OUT, frame).map(|()| len))
    }

    /// A datagram that had `way` from the one before goes to `dest`: the next need not ask for more than that, if there is nothing about the socket
    /// that each is to be looked at for.
    pub(super) fn udp_learn(&mut self, id: SocketId, dest: SocketAddr) {
        let flow = self.udp_flow(id, dest);
        if let Some(udp) = self.sockets.get_mut(id).and_then(Socket::udp_mut) {
            udp.flow = flow;
        }
    }

    fn udp_flow(&self, id: SocketId, dest: SocketAddr) -> Option<Flow> {
        let socket = self.sockets.get(id)?;
        let Proto::Udp(udp) = &socket.proto else {
            return None;
        };
        // To port 0 goes only what names no destination (udp_sendmsg).
        let dest = match dest {
            SocketAddr::V4(dest) if dest.port() != 0 => dest,
            _ => return None,
        };
        let Way { dst, path, version } = udp.way?;
        let (way_holds, out) = (dst == *dest.ip(), path.via == Via::OUT && !path.local);
        let opts = socket.rare();
        let of_each =
            opts.timestamping != 0 || opts.udp_segment != 0 || opts.has(Attribute::UdpCork);
        if !way_holds || !out || of_each || version != self.ip.version() {
            return None;
        }
        let control = &SendControl::default();
        let send = Datagram {
            path,
            dest: dest.into(),
            control,
            stamps: 0,
        };
        let dress = output::dress(self, id, socket, &send);
        let meta = dress.meta;
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (meta.src, meta.dst) else {
            return None;
        };
        if !meta.df || dress.no_check || !dress.options.is_empty() {
            return None;
        }
        let repr = ipv4::Repr {
            src,
            dst,
            proto: meta.proto,
            ttl: meta.ttl,
            tos: meta.tos,
            id: 0,
            fragment: ipv4::DF,
            payload_len: 0,
        };
        let ports = (dress.src_port, dest.port());
        Some(Flow {
            dest,
            version,
            most: MAX.min((dress.mtu as usize).checked_sub(OVERHEAD)?),
            template: Template::new(&repr, ports, self.ip.offload().csum),
        })
    }
}
