//! Options whose value is one number and that few sockets use: what is set, and in which bounds (sk_setsockopt, do_ip_setsockopt,
//! do_ipv6_setsockopt, udp_lib_setsockopt).

use crate::error::{Error, Result};
use crate::ip::Iface;
use crate::socket::arrivals;
use crate::socket::options;
use crate::socket::table::{CommonOpts, Proto, Socket};
use crate::socket::{Domain, Kind, SocketId, State};
use crate::stack::Stack;
use crate::time::Instant;

pub(crate) use super::extra::{Extra, ExtraOpts};

/// An option with a number for its value. Flags are 0 or 1; set, any number but 0 is 1 unless said otherwise.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Attribute {
    /// SO_ZEROCOPY: MSG_ZEROCOPY is answered through the error queue. 0 or 1.
    ZeroCopy,
    /// SO_TIMESTAMP: datagrams come with their time of arrival, in microseconds. It and the next three exclude each other.
    Timestamp,
    /// SO_TIMESTAMPNS: the same in nanoseconds.
    TimestampNs,
    /// SO_TIMESTAMP_NEW: as `Timestamp`, with 64 bits on every machine.
    TimestampNew,
    /// SO_TIMESTAMPNS_NEW.
    TimestampNsNew,
    /// SO_RXQ_OVFL: datagrams come with the count of those that were dropped.
    RxqOvfl,
    /// SO_SELECT_ERR_QUEUE: a datagram socket's error queue is urgent data to poll too.
    SelectErrQueue,
    /// IP_RECVERR: errors go to the error queue (IPv4, mapped addresses too).
    RecvErr,
    /// IPV6_RECVERR.
    RecvErr6,
    /// IP_PKTINFO.
    PktInfo,
    /// IPV6_RECVPKTINFO.
    PktInfo6,
    /// IP_RECVTTL.
    RecvTtl,
    /// IP_RECVTOS.
    RecvTos,
    /// IP_RECVORIGDSTADDR.
    OrigDst,
    /// IPV6_RECVHOPLIMIT.
    RecvHopLimit,
    /// IPV6_RECVTCLASS.
    RecvTClass,
    /// IPV6_RECVORIGDSTADDR.
    OrigDst6,
    /// IPV6_DONTFRAG.
    DontFrag,
    /// IP_FREEBIND, IPV6_FREEBIND: bind takes an address that is not ours.
    FreeBind,
    /// IP_TRANSPARENT, IPV6_TRANSPARENT: the same, for who has the right.
    Transparent,
    /// IP_BIND_ADDRESS_NO_PORT: bind to port 0 leaves the port to connect.
    BindAddressNoPort,
    /// SO_NO_CHECK: UDP over IPv4 without a checksum.
    NoCheck,
    /// UDP_CORK.
    UdpCork,
    /// UDP_GRO: datagrams that came together are read together.
    UdpGro,
    /// SO_DEBUG: kept, as on Linux.
    Debug,
    /// SO_DONTROUTE: IPv4 packets go to who is on the link only.
    DontRoute,
    /// SO_PREFER_BUSY_POLL: kept; a waiting thread's look at the device is never held up by an interrupt's.
    PreferBusyPoll,
    /// IP_RECVOPTS: datagrams come with the options of their IPv4 header.
    RecvOpts,
    /// IP_RETOPTS: the same as an answer would have them.
    RetOpts,
    /// SO_LOCK_FILTER: the filter stays as it is, and so does this.
    LockFilter,
    /// TCP_INQ: receive calls tell what is left. 0 or 1.
    Inq,
    /// SO_TIMESTAMPING: `SOF_TIMESTAMPING_*`.
    Timestamping,
    /// SO_TIMESTAMPING_NEW: as `Timestamping`, with 64 bits on every machine.
    TimestampingNew,
    /// SO_MARK.
    Mark,
    /// SO_PRIORITY.
    Priority,
    /// SO_SNDBUFFORCE, set only, bytes: SO_SNDBUF without the limit.
    SndBufForce,
    /// SO_RCVBUFFORCE, set only, bytes.
    RcvBufForce,
    /// IP_MTU_DISCOVER: `IP_PMTUDISC_*`, 0..=5.
    MtuDiscover,
    /// IPV6_MTU_DISCOVER: `IPV6_PMTUDISC_*`, 0..=5.
    MtuDiscover6,
    /// IP_MTU, read only: of the path to the peer, bytes.
    Mtu,
    /// IPV6_MTU: read, of the path to the peer, bytes; set, the largest packet, 0 or 1280 and more.
    Mtu6,
    /// UDP_SEGMENT: bytes of each datagram that a longer send is cut into, 0..=65535.
    UdpSegment,
    /// SO_PEEK_OFF: where MSG_PEEK begins, bytes; negative: always at the first one. TCP and UDP.
    PeekOff,
    /// SO_BINDTOIFINDEX: the only interface that packets leave and come by, 0: any. SO_BINDTODEVICE is the same by name.
    BoundIf,
    /// IP_MINTTL: TCP segments over IPv4 with a smaller TTL are dropped, 0..=255.
    MinTtl,
    /// IPV6_MINHOPCOUNT: the same over IPv6.
    MinHopCount,
    /// IP_UNICAST_IF: the interface that unicast datagrams leave by, 0: any. Its number is in network byte order.
    UnicastIf,
    /// IPV6_UNICAST_IF.
    UnicastIf6,
    /// SO_BUSY_POLL_BUDGET, set only, 0..=65535: kept; whoever looks takes what there is.
    BusyPollBudget,
    /// SO_BUF_LOCK: which buffers' sizes are fixed, 1: the send buffer's, 2: the receive buffer's.
    BufLock,
    /// SO_INCOMING_CPU: the CPU that took in the last packet (see [`Stack::on_cpu`]); set, the one whose packets are wanted before those
    /// of others with SO_REUSEPORT. -1: none.
    IncomingCpu,
    /// IP_LOCAL_PORT_RANGE: the ephemeral ports that the socket may be given, first in the low half and last in the high one, 0: any.
    LocalPortRange,
}

/// Attributes up to this one are flags.
const LAST_FLAG: u8 = Attribute::Inq as u8;

/// IP_PMTUDISC_* (ip(7)).
pub(crate) mod pmtu {
    /// Never don't-fragment.
    pub(crate) const DONT: i32 = 0;
    /// Don't-fragment, fragments where the path is known to be too small.
    pub(crate) const WANT: i32 = 1;
    /// Always don't-fragment.
    pub(crate) const DO: i32 = 2;
    /// Don't-fragment, and no heed to the path's MTU.
    pub(crate) const PROBE: i32 = 3;
    /// The device's MTU, no don't-fragment, nothing larger.
    pub(crate) const INTERFACE: i32 = 4;
    /// As `INTERFACE`, fragments for what is larger.
    pub(crate) const OMIT: i32 = 5;
}

/// `SOF_TIMESTAMPING_*` (linux/net_tstamp.h).
pub(crate) mod sof {
    pub(crate) const TX_SOFTWARE: u32 = 1 << 1;
    pub(crate) const RX_SOFTWARE: u32 = 1 << 3;
    pub(crate) const SOFTWARE: u32 = 1 << 4;
    pub(crate) const OPT_ID: u32 = 1 << 7;
    pub(crate) const TX_SCHED: u32 = 1 << 8;
    pub(crate) const TX_ACK: u32 = 1 << 9;
    pub(crate) const OPT_CMSG: u32 = 1 << 10;
    pub(crate) const OPT_TSONLY: u32 = 1 << 11;
    pub(crate) const OPT_STATS: u32 = 1 << 12;
    pub(crate) const BIND_PHC: u32 = 1 << 15;
    pub(crate) const OPT_ID_TCP: u32 = 1 << 16;
    /// All that there are: up to TX_COMPLETION.
    pub(crate) const MASK: u32 = (1 << 19) - 1;
    /// What a control message may choose for one call: hardware, software, sched, ack, completion.
    pub(crate) const TX_RECORD_MASK: u32 = 1 | TX_SOFTWARE | TX_SCHED | TX_ACK | 1 << 18;
}

/// setsockopt(2).
pub(crate) fn set(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    attribute: Attribute,
    value: i32,
) -> Result<()> {
    let socket = stack.sockets.get_mut(id).ok_or(Error::BadHandle)?;
    applies(socket, attribute)?;
    match attribute {
        Attribute::Timestamping => return set_timestamping(stack, id, value as u32, false),
        Attribute::TimestampingNew => return set_timestamping(stack, id, value as u32, true),
        Attribute::ZeroCopy | Attribute::Inq if !(0..=1).contains(&value) => {
            return Err(Error::Invalid);
        }
        Attribute::SndBufForce | Attribute::RcvBufForce => {
            options::force_buffer(socket, attribute == Attribute::SndBufForce, value);
            if socket.kind() == Kind::Stream {
                crate::tcp::calls::option_changed(stack, now, id);
            }
            return Ok(());
        }
        Attribute::BufLock => {
            if !(0..=3).contains(&value) {
                return Err(Error::Invalid);
            }
            socket.opts.sndbuf_locked = value & 1 != 0;
            socket.opts.rcvbuf_locked = value & 2 != 0;
            if socket.kind() == Kind::Stream {
                crate::tcp::calls::option_changed(stack, now, id);
            }
            return Ok(());
        }
        Attribute::LockFilter if value == 0 && socket.has(Attribute::LockFilter) => {
            return Err(Error::NotPermitted);
        }
        Attribute::UdpCork if value == 0 => {
            return crate::udp::calls::uncork(stack, id);
        }
        _ => {}
    }
    let clears = attribute as u8 <= LAST_FLAG && value == 0;
    if clears && socket.extra.is_none() {
        return Ok(());
    }
    let opts = &mut socket.extra_mut().opts;
    match attribute {
        Attribute::Timestamp
        | Attribute::TimestampNs
        | Attribute::TimestampNew
        | Attribute::TimestampNsNew => opts.set_stamp(attribute, value != 0),
        flag if flag as u8 <= LAST_FLAG => opts.put(flag, value != 0),
        Attribute::Mark => opts.mark = value,
        Attribute::Priority => opts.priority = value,
        Attribute::MinTtl | Attribute::MinHopCount => {
            let value = u8::try_from(value).map_err(|_| Error::Invalid)?;
            opts.min_ttl[usize::from(attribute == Attribute::MinHopCount)] = value;
            stack.min_ttl_matters = true;
        }
        Attribute::UnicastIf | Attribute::UnicastIf6 => {
            let index = u32::from_be_bytes(value.to_ne_bytes());
            if index != 0 && Iface::from_index(index).is_none() {
                return Err(Error::AddressNotAvailable);
            }
            if index != 0 && opts.bound_if != 0 {
                return Err(Error::Invalid);
            }
            opts.unicast_if[usize::from(attribute == Attribute::UnicastIf6)] = index;
        }
        Attribute::BusyPollBudget => {
            opts.busy_poll_budget = u16::try_from(value).map_err(|_| Error::Invalid)?;
        }
        Attribute::PeekOff => opts.peek_off = value,
        Attribute::IncomingCpu => {
            opts.incoming_cpu = value;
            stack.cpu_matters = true;
            stack.arrivals_matter = true;
        }
        Attribute::LocalPortRange => {
            // do_ip_setsockopt: an end may be open.
            let (first, last) = (value as u32 & 0xffff, value as u32 >> 16);
            if first != 0 && last != 0 && first > last {
                return Err(Error::Invalid);
            }
            opts.local_ports = value as u32;
        }
        Attribute::BoundIf => {
            opts.bound_if = u32::try_from(value).map_err(|_| Error::Invalid)?;
            stack.bound_to_iface(id);
        }
        Attribute::MtuDiscover | Attribute::MtuDiscover6 => {
            if !(pmtu::DONT..=pmtu::OMIT).contains(&value) {
                return Err(Error::Invalid);
            }
            opts.pmtu[usize::from(attribute == Attribute::MtuDiscover6)] = value;
        }
        Attribute::Mtu6 => {
            if value != 0 && value < 1280 {
                return Err(Error::Invalid);
            }
            opts.mtu6 = value as u32;
        }
        Attribute::UdpSegment => {
            opts.udp_segment = u16::try_from(value).map_err(|_| Error::Invalid)?;
        }
        _ => return Err(Error::NoSuchOption),
    }
    Ok(())
}

impl Stack {
    /// The socket's interface has changed: so does who is in its way on its port.
    fn bound_to_iface(&mut self, id: SocketId) {
        self.ifaces_matter = true;
        let index = self.sockets.get(id).map_or(0, Socket::bound_if);
        self.ports.update(id, |shape| *shape = shape.by(index));
    }
}

/// getsockopt(2).
pub(crate) fn get(stack: &Stack, id: SocketId, attribute: Attribute) -> Result<i32> {
    let socket = stack.sockets.get(id).ok_or(Error::BadHandle)?;
    // sk_getsockopt tells every socket that it has no SO_ZEROCOPY.
    if attribute != Attribute::ZeroCopy {
        applies(socket, attribute)?;
    }
    let opts = socket.rare();
    Ok(match attribute {
        Attribute::Timestamp
        | Attribute::TimestampNs
        | Attribute::TimestampNew
        | Attribute::TimestampNsNew => i32::from(opts.stamp() == Some(attribute)),
        flag if flag as u8 <= LAST_FLAG => i32::from(opts.has(flag)),
        Attribute::Timestamping => opts.timestamping as i32,
        // "Be strict about only returning values when they were set through the same option."
        Attribute::TimestampingNew if opts.stamps_new => opts.timestamping as i32,
        Attribute::TimestampingNew => 0,
        Attribute::Mark => opts.mark,
        Attribute::Priority => opts.priority,
        Attribute::MinTtl => i32::from(opts.min_ttl[0]),
        Attribute::MinHopCount => i32::from(opts.min_ttl[1]),
        Attribute::UnicastIf => i32::from_ne_bytes(opts.unicast_if[0].to_be_bytes()),
        Attribute::UnicastIf6 => i32::from_ne_bytes(opts.unicast_if[1].to_be_bytes()),
        Attribute::BufLock => {
            let CommonOpts {
                sndbuf_locked,
                rcvbuf_locked,
                ..
            } = socket.opts;
            i32::from(sndbuf_locked) | i32::from(rcvbuf_locked) << 1
        }
        Attribute::BusyPollBudget => i32::from(opts.busy_poll_budget),
        Attribute::PeekOff => opts.peek_off,
        Attribute::LocalPortRange => opts.local_ports as i32,
        Attribute::IncomingCpu => arrivals::incoming_cpu(stack, socket, opts),
        Attribute::BoundIf => opts.bound_if as i32,
        Attribute::MtuDiscover => opts.pmtu(false),
        Attribute::MtuDiscover6 => opts.pmtu(true),
        Attribute::UdpSegment => i32::from(opts.udp_segment),
        Attribute::Mtu | Attribute::Mtu6 => path_mtu(stack, socket)?,
        _ => return Err(Error::NoSuchOption),
    })
}

/// Whether such a socket has such an option.
fn applies(socket: &Socket, attribute: Attribute) -> Result<()> {
    let there = match attribute {
        Attribute::RecvErr6
        | Attribute::PktInfo6
        | Attribute::RecvHopLimit
        | Attribute::RecvTClass
        | Attribute::OrigDst6
        | Attribute::DontFrag
        | Attribute::MtuDiscover6
        | Attribute::MinHopCount
        | Attribute::UnicastIf6
        | Attribute::Mtu6 => socket.domain == Domain::V6,
        Attribute::UdpCork | Attribute::UdpGro | Attribute::UdpSegment => {
            socket.kind() == Kind::Datagram
        }
        Attribute::Inq => socket.kind() == Kind::Stream,
        // "sk->sk_family == PF_INET || PF_INET6": TCP and UDP. SO_PEEK_OFF: their proto_ops have set_peek_off.
        Attribute::ZeroCopy | Attribute::PeekOff
            if !matches!(socket.kind(), Kind::Stream | Kind::Datagram) =>
        {
            return Err(Error::NotSupported);
        }
        _ => true,
    };
    if there {
        Ok(())
    } else {
        Err(Error::NoSuchOption)
    }
}

/// IP_MTU, IPV6_MTU: of a connected socket's path.
fn path_mtu(stack: &Stack, socket: &Socket) -> Result<i32> {
    let connected = match &socket.proto {
        Proto::Tcp(tcp) => !matches!(tcp.state(), State::Closed | State::Listen),
        _ => true,
    };
    let peer = socket.peer().filter(|_| connected);
    let peer = peer.ok_or(Error::NotConnected)?;
    let bound = socket.local().map(|local| local.ip());
    let from = bound.filter(|ip| !ip.is_unspecified());
    let path = stack.ip.path_by(peer.ip(), from, socket.bound_if())?;
    // IP_MAX_MTU: what IPv4's length field can say.
    let most = if peer.is_ipv4() { 65_535 } else { u32::MAX };
    Ok(i32::try_from(path.mtu.min(most)).unwrap_or(i32::MAX))
}

/// sock_set_timestamping.
fn set_timestamping(stack: &mut Stack, id: SocketId, flags: u32, new: bool) -> Result<()> {
    let socket = stack.sockets.get_mut(id).ok_or(Error::BadHandle)?;
    let had = socket.rare().timestamping;
    if flags & !sof::MASK != 0 || (flags & sof::OPT_ID_TCP != 0 && flags & sof::OPT_ID == 0) {
        return Err(Error::Invalid);
    }
    let mut key = None;
    if flags & sof::OPT_ID != 0 && had & sof::OPT_ID == 0 {
        key = Some(match &socket.proto {
            Proto::Tcp(tcp) => {
                let tcb = tcp.tcb.as_deref().filter(|tcb| tcb.state != State::Closed);
                let tcb = tcb.ok_or(Error::Invalid)?;
                let first = if flags & sof::OPT_ID_TCP != 0 {
                    tcb.snd.data_end()
                } else {
                    tcb.snd.una
                };
                first.raw()
            }
            _ => 0,
        });
    }
    if flags & sof::OPT_STATS != 0 && flags & sof::OPT_TSONLY == 0 {
        return Err(Error::Invalid);
    }
    if flags & sof::BIND_PHC != 0 {
        // There is no hardware clock to bind to.
        return Err(Error::NotSupported);
    }
    if flags == 0 && !new && socket.extra.is_none() {
        return Ok(());
    }
    stack.arrivals_matter |= flags & sof::OPT_STATS != 0;
    let extra = socket.extra_mut();
    extra.opts.timestamping = flags;
    extra.opts.stamps_new = new;
    if let Some(key) = key {
        extra.stamp_key = key;
    }
    Ok(())
}
