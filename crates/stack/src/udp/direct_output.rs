//! The short way out of a datagram that goes where others of the socket went of late, over IPv4 and the device, in one piece: a template takes
//! the place of everything that the long way (`udp/calls.rs`, `udp/output.rs`) finds out anew. It is made there, and thrown away with the way
//! that it belongs to.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use super::Way;
use super::output::{self, Datagram};
use crate::error::Result;
use crate::ip::Via;
use crate::socket::attribute::Attribute;
use crate::socket::control::SendControl;
use crate::socket::table::Proto;
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

/// Ends that are remembered of a socket which sends to several.
const PLACES: usize = 16;
/// After so many datagrams that went elsewhere than the one before it is one.
const SEVERAL: u8 = 8;

/// Where a socket's datagrams go.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// Where more than one went without another in between.
    one: Option<Flow>,
    /// Where the last went that took the long way.
    last: Option<SocketAddrV4>,
    /// How many of those went elsewhere than the one before.
    changes: u8,
    /// A place for each of a few ends, which the next with the same hash takes.
    several: Option<Box<[Place; PLACES]>>,
}

/// One of several.
#[derive(Copy, Clone, Debug, Default)]
struct Place {
    /// Where the last went that took the long way, of those that belong here.
    last: Option<SocketAddrV4>,
    flow: Option<Flow>,
}

/// Where a flow is to be kept.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Keep {
    One,
    At(usize),
}

fn place_of(dest: SocketAddrV4) -> usize {
    let number = u64::from(dest.ip().to_bits()) << 16 | u64::from(dest.port());
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % PLACES
}

impl Flows {
    /// All were made from what holds no more.
    pub(super) fn forget(&mut self) {
        *self = Flows::default();
    }

    #[inline]
    fn get(&self, dest: SocketAddrV4) -> Option<&Flow> {
        match &self.one {
            Some(one) if one.dest == dest => Some(one),
            _ => {
                let flow = self.several.as_deref()?[place_of(dest)].flow.as_ref();
                flow.filter(|flow| flow.dest == dest)
            }
        }
    }

    /// A datagram to `dest` took the long way. Where to keep what the next ones can be made from, if they are likely to come.
    fn note(&mut self, dest: SocketAddrV4) -> Option<Keep> {
        if self.last == Some(dest) {
            return Some(Keep::One);
        }
        self.last = Some(dest);
        if self.changes < SEVERAL {
            self.changes += 1;
            return None;
        }
        let at = place_of(dest);
        let place = &mut self.several.get_or_insert_default()[at];
        if place.last == Some(dest) {
            return Some(Keep::At(at));
        }
        place.last = Some(dest);
        None
    }

    fn keep(&mut self, keep: Keep, flow: Option<Flow>) {
        match keep {
            Keep::One => self.one = flow,
            Keep::At(at) => {
                // An older one to the same end would be found first.
                let dest = flow.map(|flow| flow.dest);
                self.one = self.one.filter(|one| Some(one.dest) != dest);
                self.several.get_or_insert_default()[at].flow = flow;
            }
        }
    }
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
        let SocketAddr::V4(to) = dest.or_else(|| socket.peer())? else {
            return None;
        };
        let flow = udp.flows.get(to)?;
        let hindered = socket.pending_error.is_some() || udp.write_shut || udp.corked.is_some();
        let plain = (flags - SendFlags::GATHER).is_empty() && control.is_plain();
        if hindered || !plain || flow.version != self.ip.version() {
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

    /// A datagram to `dest` took the long way: the next need not, if there is nothing about the socket that each is to be looked at for.
    pub(super) fn udp_learn(&mut self, id: SocketId, dest: SocketAddr) {
        // To port 0 goes only what names no destination (udp_sendmsg).
        let dest = match dest {
            SocketAddr::V4(dest) if dest.port() != 0 => dest,
            _ => return,
        };
        if let Some(keep) = self.udp_flows(id).and_then(|flows| flows.note(dest)) {
            let flow = self.udp_flow(id, dest);
            if let Some(flows) = self.udp_flows(id) {
                flows.keep(keep, flow);
            }
        }
    }

    fn udp_flows(&mut self, id: SocketId) -> Option<&mut Flows> {
        Some(&mut self.sockets.get_mut(id)?.udp_mut()?.flows)
    }

    fn udp_flow(&self, id: SocketId, dest: SocketAddrV4) -> Option<Flow> {
        let socket = self.sockets.get(id)?;
        let Proto::Udp(udp) = &socket.proto else {
            return None;
        };
        let Way { dst, path, version } = udp.way?;
        let (way_holds, out) = (dst == *dest.ip(), path.via == Via::OUT && !path.local);
        let opts = socket.rare();
        let of_each =
            opts.timestamping != 0 || opts.udp_segment != 0 || opts.has(Attribute::UdpCork);
        let df = || output::limits(self, socket, &path, dst).df;
        if !way_holds || !out || of_each || version != self.ip.version() || !df() {
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
