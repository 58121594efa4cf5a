//! IPv4 options of sockets and of packets: IP_OPTIONS, and what is told of those that come.

use std::net::{IpAddr, Ipv4Addr};

use super::RxMeta;
use crate::error::{Error, Result};
use crate::icmp::{self, Report};
use crate::socket::attribute::Attribute;
use crate::socket::table::Socket;
use crate::socket::{Kind, SocketId};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::ip_options::{Host, IpOptions, Octets};
use crate::wire::{checksum, ipv4, put16, vnet};

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Puts built options behind the header of a finished frame (virtio-net header included); the transport's checksum must be complete.
pub(crate) fn insert(frame: &mut Vec<u8>, options: &[u8]) {
    let end = vnet::LEN + ipv4::HEADER_LEN;
    if options.is_empty() || frame.len() < end {
        return;
    }
    frame.splice(end..end, options.iter().copied());
    let Some(packet) = frame.get_mut(vnet::LEN..) else {
        return;
    };
    let header_len = ipv4::HEADER_LEN + options.len();
    packet[0] = 0x40 | (header_len / 4) as u8;
    let total = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    put16(packet, 2, total);
    put16(packet, 10, 0);
    let sum = checksum::of(packet.get(..header_len).unwrap_or_default());
    put16(packet, 10, sum);
}

impl Stack {
    /// IP_OPTIONS: what every IPv4 packet of a datagram, raw or ping socket has behind its header, at most 40 octets; record route and
    /// time stamps are begun by us. `Invalid`: malformed, a source route, or one for which only who is `privileged` has the right.
    /// `NoSuchOption`: TCP sends none.
    pub fn set_ip_options(&mut self, id: SocketId, octets: &[u8], privileged: bool) -> Result<()> {
        let ip = &self.ip;
        let host = Host {
            local: &|addr| ip.is_local(addr.into()),
            receives: None,
            privileged,
        };
        let options = IpOptions::to_send(octets, &host).ok_or(Error::Invalid)?;
        let socket = self.sockets.get_mut(id).ok_or(Error::BadHandle)?;
        socket.forget_way();
        if options.is_empty() {
            if let Some(extra) = socket.extra.as_deref_mut() {
                extra.opts.ip_options = None;
            }
            return Ok(());
        }
        if socket.kind() == Kind::Stream {
            return Err(Error::NoSuchOption);
        }
        socket.extra_mut().opts.ip_options = Some(Box::new(options));
        Ok(())
    }

    /// IP_OPTIONS as they were set, filled up to whole words.
    pub fn ip_options(&self, id: SocketId) -> Result<Vec<u8>> {
        let socket = self.sockets.get(id).ok_or(Error::BadHandle)?;
        let options = socket
            .extra_opts()
            .and_then(|opts| opts.ip_options.as_deref());
        Ok(options.map_or(Vec::new(), |options| options.undone().to_vec()))
    }

    /// Options of a packet of this socket's that goes from `src` now.
    pub(crate) fn options_from(&self, socket: &Socket, src: IpAddr) -> Octets {
        match (
            src,
            socket
                .extra_opts()
                .and_then(|opts| opts.ip_options.as_deref()),
        ) {
            (IpAddr::V4(src), Some(options)) => options.build(src, self.day_ms()),
            _ => Octets::new(),
        }
    }

    /// Milliseconds since midnight UT (RFC 791, RFC 792).
    pub(crate) fn day_ms(&self) -> u32 {
        let now = u64::from(self.config.day_ms) + self.ip.now().as_millis();
        (now % DAY_MS) as u32
    }

    /// The options of a packet that is for us, filled in as its receiver does; the packet with them. `None`: it is dropped, and its
    /// sender told why (ip_rcv_options).
    pub(crate) fn take_options(
        &mut self,
        now: Instant,
        meta: &RxMeta,
        packet: &[u8],
        header_len: usize,
    ) -> Option<Vec<u8>> {
        let octets = Octets::from_slice(packet.get(ipv4::HEADER_LEN..header_len)?);
        let us = match self.ip.local_for(meta.dst) {
            IpAddr::V4(us) => us,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        let ip = &self.ip;
        let host = Host {
            local: &|addr| ip.is_local(addr.into()),
            receives: Some((us, self.day_ms())),
            privileged: false,
        };
        let options = match IpOptions::look(octets, &host) {
            Ok(options) if !options.routed() => options,
            // RFC 1122 3.2.1.8: a host need not take source routes, and says nothing (Linux: accept_source_route).
            Ok(_) => {
                self.stats.not_ours += 1;
                return None;
            }
            Err(at) => {
                self.stats.malformed += 1;
                let report = Report::ParameterProblem {
                    code: 0,
                    pointer: at.into(),
                    to_multicast: false,
                };
                icmp::report(self, now, meta, packet, report);
                return None;
            }
        };
        let mut packet = packet.to_vec();
        if let Some(to) = packet.get_mut(ipv4::HEADER_LEN..header_len) {
            to.copy_from_slice(options.octets());
        }
        // The checksum stays that of the packet as it came, as there.
        self.ip.arrived_options = Some(Box::new(options));
        Some(packet)
    }

    /// Options of an answer to the packet that is looked at, which goes from `src` (ip_options_echo).
    pub(crate) fn answering_options(&self, src: IpAddr) -> Octets {
        match (src, self.ip.arrived_options.as_deref()) {
            (IpAddr::V4(src), Some(options)) => {
                let answer = options.echo(&|addr| self.ip.is_local(addr.into()));
                answer.map_or_else(Octets::new, |answer| answer.build(src, self.day_ms()))
            }
            _ => Octets::new(),
        }
    }

    /// What the socket is told of the options of the packet that is looked at: IP_RECVOPTS, IP_RETOPTS.
    pub(crate) fn told_options(&self, id: SocketId) -> [Octets; 2] {
        let socket = self.sockets.get(id);
        let (Some(options), Some(socket)) = (self.ip.arrived_options.as_deref(), socket) else {
            return Default::default();
        };
        let received = match socket.has(Attribute::RecvOpts) {
            true => Octets::from_slice(options.octets()),
            false => Octets::new(),
        };
        let returned = socket
            .has(Attribute::RetOpts)
            .then(|| options.echo(&|addr| self.ip.is_local(addr.into())))
            .flatten();
        [
            received,
            returned.map_or_else(Octets::new, |options| options.undone()),
        ]
    }
}
