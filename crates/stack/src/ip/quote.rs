//! Looking into a packet that is quoted in an ICMP error, or that one is about to be sent for: which transport, and where.

use std::net::IpAddr;

use super::proto;
use crate::wire::{ipv4, ipv6};

/// What a possibly cut packet says of itself.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Quoted<'a> {
    /// Source.
    pub(crate) src: IpAddr,
    /// Destination.
    pub(crate) dst: IpAddr,
    /// The transport protocol.
    pub(crate) proto: u8,
    /// It is a fragment other than the first: `transport` holds no header.
    pub(crate) later_fragment: bool,
    /// What is there of the transport header and its data.
    pub(crate) transport: &'a [u8],
}

impl<'a> Quoted<'a> {
    /// Looks into `packet`; `None` when not even the IP header is there.
    pub(crate) fn parse(packet: &'a [u8]) -> Option<Quoted<'a>> {
        if let Some(header) = ipv4::Header::parse_quoted(packet) {
            return Some(Quoted {
                src: IpAddr::V4(header.src),
                dst: IpAddr::V4(header.dst),
                proto: header.proto,
                later_fragment: header.offset != 0,
                transport: packet.get(header.header_len..)?,
            });
        }
        let header = ipv6::Header::parse_quoted(packet)?;
        let mut quoted = Quoted {
            src: IpAddr::V6(header.src),
            dst: IpAddr::V6(header.dst),
            proto: header.next,
            later_fragment: false,
            transport: packet.get(ipv6::HEADER_LEN..)?,
        };
        quoted.skip_extensions();
        Some(quoted)
    }

    /// RFC 1122 3.2.2, RFC 4443 2.4 (e.1): no error is sent about an ICMP error, and what cannot be told is not asked about.
    pub(crate) fn is_icmp_error(&self) -> bool {
        let kind = self.transport.first().copied();
        match (self.proto, self.later_fragment) {
            (proto::ICMP, false) => !matches!(kind, Some(0 | 8 | 9 | 10 | 13..=18)),
            (proto::ICMPV6, false) => kind.is_none_or(|kind| kind < 128),
            _ => false,
        }
    }

    /// The first two words of the transport header: source and destination port.
    pub(crate) fn ports(&self) -> Option<(u16, u16)> {
        if self.later_fragment {
            return None;
        }
        let h = self.transport.first_chunk::<4>()?;
        Some((
            u16::from_be_bytes([h[0], h[1]]),
            u16::from_be_bytes([h[2], h[3]]),
        ))
    }

    /// Whether the transport header is there as a whole. What lies behind an extension header that is cut is not.
    pub(crate) fn has_transport_header(&self) -> bool {
        use ipv6::next::{DESTINATION, FRAGMENT, HOP_BY_HOP, NONE, ROUTING};
        let least = match self.proto {
            HOP_BY_HOP | DESTINATION | FRAGMENT | ROUTING if self.dst.is_ipv6() => return false,
            NONE if self.dst.is_ipv6() => 0,
            proto::TCP => 20,
            proto::UDP | proto::ICMP | proto::ICMPV6 => 8,
            _ => 1,
        };
        self.transport.len() >= least
    }

    fn skip_extensions(&mut self) {
        use ipv6::next::{DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING};
        while !self.later_fragment {
            let (next, len) = match self.proto {
                HOP_BY_HOP | DESTINATION | ROUTING => match ipv6::extension(self.transport) {
                    Some((next, bytes)) => (next, bytes.len()),
                    None => return,
                },
                FRAGMENT => match ipv6::Fragment::parse(self.transport) {
                    Some(fragment) => {
                        self.later_fragment = fragment.offset != 0;
                        (fragment.next, ipv6::FRAGMENT_LEN)
                    }
                    None => return,
                },
                _ => return,
            };
            self.proto = next;
            self.transport = self.transport.get(len..).unwrap_or_default();
        }
    }
}
