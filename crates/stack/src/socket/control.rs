//! What travels beside the data: control messages of recvmsg and sendmsg (cmsg(3)), without their encoding.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::socket::attribute::{Attribute, ExtraOpts, sof};
use crate::socket::table::Socket;
use crate::socket::{Domain, address};
use crate::time::Instant;
use crate::udp::queue::{Head, Read};

/// Where an extended error comes from (`SO_EE_ORIGIN_*`).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// This host.
    Local,
    /// An ICMPv4 message.
    Icmp,
    /// An ICMPv6 message.
    Icmp6,
    /// No error: a datagram or segment was sent, or octets were acknowledged (`ee_errno` is ENOMSG).
    Timestamping,
    /// No error: MSG_ZEROCOPY's memory is free again (`ee_errno` is 0).
    ZeroCopy,
}

/// `struct sock_extended_err` and the offender behind it (ip(7), IP_RECVERR).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ExtendedError {
    /// `ee_errno`; `None` as the origin says.
    pub error: Option<Error>,
    /// `ee_origin`.
    pub origin: Origin,
    /// `ee_type`: the ICMP message's type.
    pub kind: u8,
    /// `ee_code`.
    pub code: u8,
    /// `ee_info`.
    pub info: u32,
    /// `ee_data`.
    pub data: u32,
    /// Who sent the ICMP message; for an AF_INET6 socket an IPv4 address is ::ffff:a.b.c.d.
    pub offender: Option<IpAddr>,
}

/// A control message that recvmsg brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Control {
    /// SO_TIMESTAMP and its kin, in the form that was asked for.
    Stamp(Attribute, Instant),
    /// SCM_TIMESTAMPING: the time that software took; `new`: asked for by SO_TIMESTAMPING_NEW.
    Timestamping {
        /// The time.
        software: Instant,
        /// The form of SO_TIMESTAMPING_NEW.
        new: bool,
    },
    /// SCM_TIMESTAMPING_OPT_STATS: the attributes as they are.
    OptStats(Arc<[u8]>),
    /// SO_RXQ_OVFL: datagrams dropped before this one.
    Drops(u32),
    /// IP_PKTINFO.
    PktInfo {
        /// Index of the interface it came by.
        interface: u32,
        /// Our address for answers.
        local: IpAddr,
        /// The header's destination.
        dst: IpAddr,
    },
    /// IPV6_PKTINFO.
    PktInfo6 {
        /// The header's destination, IPv4 as ::ffff:a.b.c.d.
        dst: IpAddr,
        /// Index of the interface it came by.
        interface: u32,
    },
    /// IP_TTL.
    Ttl(u8),
    /// IP_TOS.
    Tos(u8),
    /// IP_RECVOPTS: the options as they came.
    RecvOpts(Arc<[u8]>),
    /// IP_RETOPTS: the options as an answer would have them.
    RetOpts(Arc<[u8]>),
    /// IPV6_HOPLIMIT.
    HopLimit(u8),
    /// IPV6_TCLASS.
    TClass(u8),
    /// IP_ORIGDSTADDR, IPV6_ORIGDSTADDR.
    OrigDst(SocketAddr),
    /// UDP_GRO: bytes of each datagram but the last.
    GroSize(u16),
    /// TCP_CM_INQ: octets left to read, 1 at the end of the stream.
    Inq(u32),
    /// IP_RECVERR.
    Error(ExtendedError),
    /// IPV6_RECVERR.
    Error6(ExtendedError),
}

/// The control messages of one receive call, in the order of Linux.
pub type Controls = SmallVec<[Control; 4]>;

/// What sendmsg's control messages ask for, for this call only.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct SendControl {
    /// IP_PKTINFO, IPV6_PKTINFO: the source address, and the interface's index or 0.
    pub source: Option<(IpAddr, u32)>,
    /// IP_TTL, IPV6_HOPLIMIT.
    pub ttl: Option<u8>,
    /// IP_TOS, IPV6_TCLASS.
    pub tos: Option<u8>,
    /// IPV6_DONTFRAG.
    pub dont_fragment: Option<bool>,
    /// SO_TIMESTAMPING: `SOF_TIMESTAMPING_TX_*` instead of the socket's.
    pub timestamping: Option<u32>,
    /// SCM_TS_OPT_ID: what `ee_data` will be.
    pub stamp_id: Option<u32>,
    /// UDP_SEGMENT: bytes of each datagram.
    pub segment: Option<u16>,
    /// MSG_DONTROUTE: over IPv4 to who is on the link only. TCP pays no heed to it.
    pub dont_route: bool,
}

/// Octets of one datagram or packet to be sent. `MessageTooLong` beyond what IP can carry.
pub(crate) fn datagram_len(data: &[IoSlice<'_>]) -> Result<usize> {
    // Vectors may name the same memory more than once: the sum can be more than there is.
    let len = data
        .iter()
        .fold(0usize, |len, part| len.saturating_add(part.len()));
    if len > 0xffff {
        return Err(Error::MessageTooLong);
    }
    Ok(len)
}

impl SendControl {
    /// Whether nothing is asked for.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.source.is_none()
            && self.ttl.is_none()
            && self.tos.is_none()
            && self.dont_fragment.is_none()
            && self.timestamping.is_none()
            && self.stamp_id.is_none()
            && self.segment.is_none()
            && !self.dont_route
    }

    /// The time stamps asked for, `SOF_TIMESTAMPING_*`. `Invalid`: what a control message may not ask for (__sock_cmsg_send).
    pub(crate) fn timestamping(&self, socket: &Socket) -> Result<u32> {
        let of_socket = socket.rare().timestamping;
        let wanted = match self.timestamping {
            None => of_socket,
            Some(flags) if flags & !sof::TX_RECORD_MASK != 0 => return Err(Error::Invalid),
            Some(flags) => of_socket & !sof::TX_RECORD_MASK | flags,
        };
        if self.stamp_id.is_some() && (socket.tcp().is_some() || wanted & sof::OPT_ID == 0) {
            return Err(Error::Invalid);
        }
        Ok(wanted)
    }
}

/// What of an arrived packet its control messages tell.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Arrival {
    /// The header's destination, never IPv4-mapped, and the port.
    pub(crate) dst: SocketAddr,
    /// TTL or hop limit.
    pub(crate) ttl: u8,
    /// TOS or traffic class.
    pub(crate) tos: u8,
    /// Index of the interface.
    pub(crate) interface: u8,
    /// When.
    pub(crate) at: Instant,
}

/// __sock_recv_cmsgs, before what the protocol adds: times. `software`: a packet's time that SO_TIMESTAMPING may tell.
pub(crate) fn stamps(opts: &ExtraOpts, at: Instant, software: Option<Instant>, out: &mut Controls) {
    if let Some(form) = opts.stamp() {
        out.push(Control::Stamp(form, at));
    }
    if let Some(software) = software.filter(|_| opts.timestamping & sof::SOFTWARE != 0) {
        let new = opts.stamps_new;
        out.push(Control::Timestamping { software, new });
    }
}

/// A received datagram's control messages (udp_recvmsg, udpv6_recvmsg). `local`: our address on its interface.
pub(crate) fn of_datagram(
    domain: Domain,
    opts: &ExtraOpts,
    read: &Read,
    local: IpAddr,
    out: &mut Controls,
) {
    let Head {
        arrival,
        drops,
        gro,
        ..
    } = read.head;
    let taken = opts.stamp().is_some() || opts.timestamping & sof::RX_SOFTWARE != 0;
    stamps(opts, arrival.at, taken.then_some(arrival.at), out);
    if drops != 0 && opts.has(Attribute::RxqOvfl) {
        out.push(Control::Drops(drops));
    }
    if gro != 0 && opts.has(Attribute::UdpGro) {
        out.push(Control::GroSize(gro));
    }
    of_packet(domain, opts, &arrival, local, read.options.as_ref(), out);
}

/// What the IP layer has to tell of a packet (ip_cmsg_recv_offset, ip6_datagram_recv_ctl).
pub(crate) fn of_packet(
    domain: Domain,
    opts: &ExtraOpts,
    arrival: &Arrival,
    local: IpAddr,
    options: Option<&[Vec<u8>; 2]>,
    out: &mut Controls,
) {
    let interface = u32::from(arrival.interface);
    let dst = arrival.dst.ip();
    if domain == Domain::V6 && opts.has(Attribute::PktInfo6) {
        let dst = address::outward(domain, arrival.dst).ip();
        out.push(Control::PktInfo6 { dst, interface });
    }
    if dst.is_ipv4() {
        if opts.has(Attribute::PktInfo) {
            out.push(Control::PktInfo {
                interface,
                local,
                dst,
            });
        }
        if opts.has(Attribute::RecvTtl) {
            out.push(Control::Ttl(arrival.ttl));
        }
        if opts.has(Attribute::RecvTos) {
            out.push(Control::Tos(arrival.tos));
        }
        if let Some([received, returned]) = options {
            if !received.is_empty() {
                out.push(Control::RecvOpts(received.as_slice().into()));
            }
            if !returned.is_empty() {
                out.push(Control::RetOpts(returned.as_slice().into()));
            }
        }
        if opts.has(Attribute::OrigDst) {
            out.push(Control::OrigDst(arrival.dst));
        }
        return;
    }
    if opts.has(Attribute::RecvHopLimit) {
        out.push(Control::HopLimit(arrival.ttl));
    }
    if opts.has(Attribute::RecvTClass) {
        out.push(Control::TClass(arrival.tos));
    }
    if opts.has(Attribute::OrigDst6) {
        out.push(Control::OrigDst(arrival.dst));
    }
}
