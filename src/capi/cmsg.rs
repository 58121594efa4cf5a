//! Control messages: `struct cmsghdr` and what follows it, to the stack's words and back (cmsg(3), put_cmsg, ip_cmsg_send,
//! ip6_datagram_send_ctl, __sock_cmsg_send).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libc::{c_int, c_void};
use smallvec::SmallVec;
use tunsock_stack::{
    Attribute, Control, Domain, ExtendedError, Instant, Kind, Origin, SendControl,
};

use super::attributes::{
    IP_RECVOPTS, IP_RETOPTS, IPV6_DONTFRAG, IPV6_ORIGDSTADDR, SCM_TS_OPT_ID, SO_TIMESTAMP_NEW,
    SO_TIMESTAMPING_NEW, SO_TIMESTAMPNS_NEW, TCP_INQ,
};
use super::errno::{CResult, Errno};
use super::{attributes, sockaddr, user};
use crate::fd::SocketFile;
use crate::runtime::sys;

const EINVAL: Errno = Errno(libc::EINVAL);
/// sizeof(struct cmsghdr): length (which counts it), level, type.
const HEAD: usize = 16;
/// Most bytes of control messages that one call may have (net.core.optmem_max of Linux 6.x).
const OPTMEM_MAX: usize = 128 << 10;
/// Control messages are aligned to this.
const ALIGN: usize = 8;
/// Of asm-generic/socket.h.
const SCM_TIMESTAMPING_OPT_STATS: c_int = 54;
/// sizeof(struct in_pktinfo), sizeof(struct in6_pktinfo).
const IN_PKTINFO: usize = 12;
const IN6_PKTINFO: usize = 20;

/// What one control message carries, at most three timespecs.
type Bytes = SmallVec<[u8; 64]>;

/// Writes the messages one behind the other; how many bytes they take, and whether all had room.
///
/// # Safety
/// `control` has `room` bytes that are the caller's to write, unless it is recognisably bad.
pub(super) unsafe fn write(
    controls: &[Control],
    control: *mut c_void,
    room: usize,
) -> CResult<(usize, bool)> {
    if controls.is_empty() {
        return Ok((0, true));
    }
    if control.is_null() || room < HEAD {
        return Ok((0, false));
    }
    // SAFETY: the caller vouches.
    let out = unsafe { user::room(control, room)? };
    let since = WallClock::now();
    let (mut at, mut whole) = (0, true);
    for message in controls {
        let (level, kind, data) = encode(message, &since);
        let rest = out.get_mut(at..).unwrap_or_default();
        if rest.len() < HEAD {
            whole = false;
            continue;
        }
        let len = (HEAD + data.len()).min(rest.len());
        whole &= len == HEAD + data.len();
        let space = (HEAD + data.len().next_multiple_of(ALIGN)).min(rest.len());
        let (head, body) = rest.split_at_mut(HEAD);
        head[..8].copy_from_slice(&len.to_ne_bytes());
        head[8..12].copy_from_slice(&level.to_ne_bytes());
        head[12..].copy_from_slice(&kind.to_ne_bytes());
        body[..len - HEAD].copy_from_slice(&data[..len - HEAD]);
        at += space;
    }
    Ok((at, whole))
}

/// The stack's clock against the wall's: time stamps are CLOCK_REALTIME's.
struct WallClock {
    now: Instant,
    wall: Duration,
}

impl WallClock {
    fn now() -> WallClock {
        WallClock {
            now: sys::now(),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    fn of(&self, at: Instant) -> Duration {
        let ago = self.now.as_micros().saturating_sub(at.as_micros());
        self.wall.saturating_sub(Duration::from_micros(ago))
    }
}

/// A time of the stack's as CLOCK_REALTIME's.
pub(super) fn wall_clock(at: Instant) -> Duration {
    WallClock::now().of(at)
}

/// Level, type and data.
fn encode(message: &Control, clock: &WallClock) -> (c_int, c_int, Bytes) {
    let int = |n: u32| Bytes::from_slice(&n.to_ne_bytes());
    match *message {
        Control::Stamp(form, at) => stamp(form, clock.of(at)),
        Control::Timestamping { software, new } => {
            let at = clock.of(software);
            let mut data = two(at.as_secs(), u64::from(at.subsec_nanos()));
            data.resize(48, 0);
            let kind = match new {
                true => SO_TIMESTAMPING_NEW,
                false => libc::SO_TIMESTAMPING,
            };
            (libc::SOL_SOCKET, kind, data)
        }
        Control::OptStats(ref data) => {
            let kind = SCM_TIMESTAMPING_OPT_STATS;
            (libc::SOL_SOCKET, kind, Bytes::from_slice(data))
        }
        Control::Drops(n) => (libc::SOL_SOCKET, libc::SO_RXQ_OVFL, int(n)),
        Control::PktInfo {
            interface,
            local,
            dst,
        } => {
            let mut data = int(interface);
            data.extend_from_slice(&v4(local).octets());
            data.extend_from_slice(&v4(dst).octets());
            (libc::SOL_IP, libc::IP_PKTINFO, data)
        }
        Control::PktInfo6 { dst, interface } => {
            let mut data = Bytes::from_slice(&v6(dst).octets());
            data.extend_from_slice(&interface.to_ne_bytes());
            (libc::SOL_IPV6, libc::IPV6_PKTINFO, data)
        }
        Control::Ttl(ttl) => (libc::SOL_IP, libc::IP_TTL, int(u32::from(ttl))),
        Control::RecvOpts(ref octets) => (libc::IPPROTO_IP, IP_RECVOPTS, Bytes::from_slice(octets)),
        Control::RetOpts(ref octets) => (libc::IPPROTO_IP, IP_RETOPTS, Bytes::from_slice(octets)),
        Control::Tos(tos) => (libc::SOL_IP, libc::IP_TOS, Bytes::from_slice(&[tos])),
        Control::HopLimit(hops) => (libc::SOL_IPV6, libc::IPV6_HOPLIMIT, int(u32::from(hops))),
        Control::TClass(class) => (libc::SOL_IPV6, libc::IPV6_TCLASS, int(u32::from(class))),
        Control::OrigDst(dst @ SocketAddr::V4(_)) => {
            (libc::SOL_IP, libc::IP_ORIGDSTADDR, name(dst, Domain::V4))
        }
        Control::OrigDst(dst) => (libc::SOL_IPV6, IPV6_ORIGDSTADDR, name(dst, Domain::V6)),
        Control::GroSize(size) => (libc::SOL_UDP, libc::UDP_GRO, int(u32::from(size))),
        Control::Inq(n) => (libc::SOL_TCP, TCP_INQ, int(n)),
        Control::Error(error) => (libc::SOL_IP, libc::IP_RECVERR, extended(&error, Domain::V4)),
        Control::Error6(error) => (
            libc::SOL_IPV6,
            libc::IPV6_RECVERR,
            extended(&error, Domain::V6),
        ),
    }
}

/// SO_TIMESTAMP's timeval or SO_TIMESTAMPNS's timespec. Old and new are the same on a 64-bit machine but for the type.
fn stamp(form: Attribute, at: Duration) -> (c_int, c_int, Bytes) {
    let (kind, fraction) = match form {
        Attribute::TimestampNs => (libc::SO_TIMESTAMPNS, at.subsec_nanos()),
        Attribute::TimestampNsNew => (SO_TIMESTAMPNS_NEW, at.subsec_nanos()),
        Attribute::TimestampNew => (SO_TIMESTAMP_NEW, at.subsec_micros()),
        _ => (libc::SO_TIMESTAMP, at.subsec_micros()),
    };
    (
        libc::SOL_SOCKET,
        kind,
        two(at.as_secs(), u64::from(fraction)),
    )
}

fn two(seconds: u64, fraction: u64) -> Bytes {
    let mut data = Bytes::from_slice(&seconds.to_ne_bytes());
    data.extend_from_slice(&fraction.to_ne_bytes());
    data
}

/// struct sock_extended_err and the offender's address behind it, all zeros when there is none.
fn extended(error: &ExtendedError, domain: Domain) -> Bytes {
    let (number, origin) = match error.origin {
        Origin::Local => (None, libc::SO_EE_ORIGIN_LOCAL),
        Origin::Icmp => (None, libc::SO_EE_ORIGIN_ICMP),
        Origin::Icmp6 => (None, libc::SO_EE_ORIGIN_ICMP6),
        Origin::Timestamping => (Some(libc::ENOMSG), SO_EE_ORIGIN_TIMESTAMPING),
        Origin::ZeroCopy => (Some(0), SO_EE_ORIGIN_ZEROCOPY),
    };
    let number = number.unwrap_or_else(|| error.error.map_or(0, |error| Errno::from(error).0));
    let mut data = Bytes::from_slice(&number.to_ne_bytes());
    data.extend_from_slice(&[origin, error.kind, error.code, 0]);
    data.extend_from_slice(&error.info.to_ne_bytes());
    data.extend_from_slice(&error.data.to_ne_bytes());
    let len = match domain {
        Domain::V4 => 16,
        Domain::V6 => 28,
    };
    match error.offender {
        Some(ip) => {
            let mut bytes = name(SocketAddr::new(ip, 0), domain);
            bytes.resize(len, 0);
            data.extend_from_slice(&bytes);
        }
        None => data.resize(data.len() + len, 0),
    }
    data
}

/// SO_EE_ORIGIN_TXSTATUS, which is SO_EE_ORIGIN_TIMESTAMPING, and SO_EE_ORIGIN_ZEROCOPY (linux/errqueue.h).
const SO_EE_ORIGIN_TIMESTAMPING: u8 = 4;
const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;

fn name(addr: SocketAddr, domain: Domain) -> Bytes {
    let (bytes, len) = sockaddr::encode(addr, domain);
    Bytes::from_slice(&bytes[..len])
}

fn v4(ip: IpAddr) -> Ipv4Addr {
    match ip {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => ip.to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED),
    }
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// A send call's control messages as they stand in the caller's memory. ENOBUFS for more than anybody needs (sock_kmalloc).
///
/// # Safety
/// `control` has `len` readable bytes, unless it is recognisably bad.
pub(super) unsafe fn memory<'a>(control: *mut c_void, len: usize) -> CResult<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if len > OPTMEM_MAX {
        return Err(Errno(libc::ENOBUFS));
    }
    // SAFETY: the caller vouches.
    unsafe { user::bytes(control, len) }
}

/// What the control messages of a call that sends to `to` (`None`: the peer) ask for. EINVAL for one that Linux would act on and that is not
/// known, as it says of those that it does not know; levels that a kind of socket does not look at, or not for that destination, are passed over.
pub(super) fn read(
    socket: &SocketFile,
    control: &[u8],
    to: Option<SocketAddr>,
) -> CResult<SendControl> {
    let mut out = SendControl::default();
    let mut rest = control;
    let (domain, kind) = socket.kind();
    let stream = kind == Kind::Stream;
    // udpv6_sendmsg hands what goes to an IPv4 address to udp_sendmsg.
    let to = to.or_else(|| socket.peer_addr().ok());
    let v4 = domain == Domain::V4 || to.is_some_and(|to| to.ip().to_canonical().is_ipv4());
    while let Some((head, _)) = rest.split_first_chunk::<HEAD>() {
        let entry = usize::from_ne_bytes(std::array::from_fn(|at| head[at]));
        let field = |at: usize| c_int::from_ne_bytes(std::array::from_fn(|i| head[at + i]));
        let data = rest.get(HEAD..entry).ok_or(EINVAL)?;
        let message = Message {
            kind: field(12),
            data,
        };
        match (field(8), domain, kind) {
            (libc::SOL_SOCKET, ..) => of_socket(&message, &mut out)?,
            (libc::SOL_UDP, _, Kind::Datagram) => match message.kind {
                libc::UDP_SEGMENT => out.segment = Some(u16::from_ne_bytes(message.exactly()?)),
                _ => return Err(EINVAL),
            },
            (libc::SOL_IP, ..) if !stream && v4 => of_ip(&message, &mut out)?,
            (libc::SOL_IPV6, ..) if !stream && !v4 => of_ipv6(&message, &mut out)?,
            // ip_cmsg_send, for an IPv6 socket: a source, which has to be an IPv4 address.
            (libc::SOL_IPV6, Domain::V6, Kind::Datagram) if message.kind == libc::IPV6_PKTINFO => {
                of_ipv6(&message, &mut out)?;
                if out.source.is_none_or(|(from, _)| from.is_ipv6()) {
                    return Err(EINVAL);
                }
            }
            _ => {}
        }
        rest = rest.get(entry.next_multiple_of(ALIGN)..).unwrap_or(&[]);
    }
    Ok(out)
}

/// One control message of a send call, without its level.
struct Message<'a> {
    kind: c_int,
    data: &'a [u8],
}

impl Message<'_> {
    /// Data of that length and no other.
    fn exactly<const N: usize>(&self) -> CResult<[u8; N]> {
        self.data.try_into().map_err(|_| EINVAL)
    }

    /// An int of that range.
    fn int(&self, range: std::ops::RangeInclusive<c_int>) -> CResult<c_int> {
        let number = c_int::from_ne_bytes(self.exactly()?);
        range.contains(&number).then_some(number).ok_or(EINVAL)
    }
}

/// __sock_cmsg_send.
fn of_socket(message: &Message<'_>, out: &mut SendControl) -> CResult<()> {
    match message.kind {
        // Passed over: they are other families'.
        libc::SCM_RIGHTS | libc::SCM_CREDENTIALS => {}
        libc::SO_TIMESTAMPING | SO_TIMESTAMPING_NEW => {
            out.timestamping = Some(u32::from_ne_bytes(message.exactly()?));
        }
        // Kept for nobody, as the options of these names: no rule and no queue looks at them.
        libc::SO_MARK => {
            attributes::allowed(Attribute::Mark, 0)?;
            message.exactly::<4>()?;
        }
        libc::SO_PRIORITY => {
            let priority = c_int::from_ne_bytes(message.exactly()?);
            attributes::allowed(Attribute::Priority, priority)?;
        }
        SCM_TS_OPT_ID => out.stamp_id = Some(u32::from_ne_bytes(message.exactly()?)),
        _ => return Err(EINVAL),
    }
    Ok(())
}

/// ip_cmsg_send.
fn of_ip(message: &Message<'_>, out: &mut SendControl) -> CResult<()> {
    match message.kind {
        libc::IP_PKTINFO => {
            let data: [u8; IN_PKTINFO] = message.exactly()?;
            let interface = u32::from_ne_bytes([data[0], data[1], data[2], data[3]]);
            let from = Ipv4Addr::new(data[4], data[5], data[6], data[7]);
            out.source = Some((from.into(), interface));
        }
        libc::IP_TTL => out.ttl = Some(message.int(1..=255)? as u8),
        libc::IP_TOS if message.data.len() == 1 => out.tos = Some(message.data[0]),
        libc::IP_TOS => out.tos = Some(message.int(0..=255)? as u8),
        _ => return Err(EINVAL),
    }
    Ok(())
}

/// ip6_datagram_send_ctl; -1 is the default.
fn of_ipv6(message: &Message<'_>, out: &mut SendControl) -> CResult<()> {
    match message.kind {
        libc::IPV6_PKTINFO => {
            // More than the structure is taken, less is not.
            let data: &[u8; IN6_PKTINFO] = message.data.first_chunk().ok_or(EINVAL)?;
            let octets: [u8; 16] = std::array::from_fn(|at| data[at]);
            let from = Ipv6Addr::from(octets);
            let interface = u32::from_ne_bytes([data[16], data[17], data[18], data[19]]);
            let from = from.to_ipv4_mapped().map_or(IpAddr::V6(from), IpAddr::V4);
            out.source = Some((from, interface));
        }
        libc::IPV6_HOPLIMIT => out.ttl = u8::try_from(message.int(-1..=255)?).ok(),
        libc::IPV6_TCLASS => out.tos = u8::try_from(message.int(-1..=255)?).ok(),
        IPV6_DONTFRAG => out.dont_fragment = Some(message.int(0..=1)? != 0),
        _ => return Err(EINVAL),
    }
    Ok(())
}
