//! Sockets as the C face sees them: kinds, readiness, flags, options.

pub(crate) mod address;
pub(crate) mod arrivals;
pub(crate) mod attribute;
pub(crate) mod control;
pub(crate) mod errqueue;
mod extra;
mod info;
pub(crate) mod options;
pub(crate) mod table;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bitflags::bitflags;

use crate::config::{CongestionControl, FastOpenKeys};
use crate::error::Error;

pub use attribute::Attribute;
pub use control::{Control, Controls, ExtendedError, Origin, SendControl};
pub use info::{BbrInfo, CaState, FastOpenFailure, Interface, TcpInfo};

slotmap::new_key_type! {
    /// A generation-checked handle of a socket: a stale one is refused, never another socket's.
    pub struct SocketId;
}

/// Address family of a socket.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Hash)]
pub enum Domain {
    /// AF_INET.
    V4,
    /// AF_INET6 (dual-stack unless IPV6_V6ONLY).
    V6,
}

/// Kind of a socket.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// SOCK_STREAM: TCP.
    Stream,
    /// SOCK_DGRAM: UDP.
    Datagram,
    /// SOCK_RAW of that IP protocol.
    Raw(u8),
    /// SOCK_DGRAM of ICMP or ICMPv6: echo requests (icmp(7)). Its port is the identifier.
    Ping,
}

bitflags! {
    /// What a socket is ready for. The bits mean what Linux's EPOLL* bits of the same name mean.
    #[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Hash)]
    pub struct Ready: u32 {
        /// EPOLLIN | EPOLLRDNORM: recv or accept would not block.
        const IN = 1;
        /// EPOLLPRI: urgent data or mark.
        const PRI = 2;
        /// EPOLLOUT | EPOLLWRNORM: enough room to send.
        const OUT = 4;
        /// EPOLLWRBAND: room for data of priority, which datagram sockets tell of with OUT.
        const BAND = 64;
        /// EPOLLERR: an error is pending.
        const ERR = 8;
        /// EPOLLHUP: both directions are over.
        const HUP = 16;
        /// EPOLLRDHUP: the peer sends no more.
        const RDHUP = 32;
    }

    /// Flags of a receive call that concern the stack (blocking and SIGPIPE are the caller's affair).
    #[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
    pub struct RecvFlags: u32 {
        /// MSG_PEEK: leave what is read in the queue.
        const PEEK = 1;
        /// MSG_OOB: the urgent byte.
        const OOB = 2;
        /// MSG_TRUNC: on TCP discard instead of copying; on UDP return the real length.
        const TRUNC = 4;
        /// MSG_ERRQUEUE: from the error queue.
        const ERRQUEUE = 8;
    }

    /// Flags of a send call that concern the stack.
    #[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
    pub struct SendFlags: u32 {
        /// MSG_OOB: the last byte is urgent.
        const OOB = 1;
        /// MSG_MORE: more follows; hold a partial segment back.
        const MORE = 2;
        /// MSG_FASTOPEN: open the connection, with data in the SYN when the server allows it.
        const FASTOPEN = 4;
        /// With `FASTOPEN`: the caller waits for the handshake and sends the rest as soon as it is through.
        const BLOCKS = 8;
        /// MSG_ZEROCOPY: tell through the error queue when the memory is free again.
        const ZEROCOPY = 16;
        /// This goes on with a call of which a part was taken: it is told of together with that.
        const RESUMED = 32;
        /// The caller goes on until all is taken: only the last octet is stamped (SO_TIMESTAMPING).
        const WHOLE = 64;
        /// MSG_EOR: what is written next is put into segments of its own.
        const EOR = 128;
        /// What fills no super-segment may wait for a write that follows without a pause; the caller sees to [`crate::Stack::release_end`] before it
        /// does something else.
        const GATHER = 256;
    }
}

/// What a receive call brought.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Received {
    /// Bytes put into the caller's buffers (or discarded, with `RecvFlags::TRUNC` on TCP). 0: end of stream on TCP.
    pub len: usize,
    /// Real length of the datagram, or `len` on TCP.
    pub full_len: usize,
    /// Who sent the datagram; `None` on TCP.
    pub from: Option<SocketAddr>,
    /// This was the urgent byte (msg_flags gets MSG_OOB).
    pub oob: bool,
    /// Some of the datagram found no room (msg_flags gets MSG_TRUNC).
    pub cut: bool,
}

/// shutdown(2)'s `how`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// SHUT_RD.
    Read,
    /// SHUT_WR.
    Write,
    /// SHUT_RDWR.
    Both,
}

/// A TCP connection's state, RFC 9293 3.3.2, or a datagram socket's bound/connected state for listing.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)] // the RFC's own names
pub enum State {
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

impl std::fmt::Display for State {
    /// RFC 9293 spelling: `SYN-RECEIVED`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Closed => "CLOSED",
            State::Listen => "LISTEN",
            State::SynSent => "SYN-SENT",
            State::SynReceived => "SYN-RECEIVED",
            State::Established => "ESTABLISHED",
            State::FinWait1 => "FIN-WAIT-1",
            State::FinWait2 => "FIN-WAIT-2",
            State::CloseWait => "CLOSE-WAIT",
            State::Closing => "CLOSING",
            State::LastAck => "LAST-ACK",
            State::TimeWait => "TIME-WAIT",
        })
    }
}

/// An option to set or its value when read. Units are those of the man pages (socket(7), tcp(7), ip(7), ipv6(7)).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum SockOpt {
    /// SO_REUSEADDR.
    ReuseAddr(bool),
    /// SO_REUSEPORT.
    ReusePort(bool),
    /// SO_KEEPALIVE.
    KeepAlive(bool),
    /// SO_BROADCAST.
    Broadcast(bool),
    /// SO_OOBINLINE.
    OobInline(bool),
    /// SO_LINGER: `None` off, else how long close waits (zero: reset).
    Linger(Option<Duration>),
    /// SO_SNDBUF in bytes: set is doubled and clamped as on Linux; get gives the doubled value.
    SndBuf(usize),
    /// SO_RCVBUF in bytes: as `SndBuf`.
    RcvBuf(usize),
    /// SO_RCVLOWAT, bytes.
    RcvLowat(usize),
    /// TCP_NODELAY.
    NoDelay(bool),
    /// TCP_KEEPIDLE, seconds 1..=32767.
    KeepIdle(u32),
    /// TCP_KEEPINTVL, seconds 1..=32767.
    KeepIntvl(u32),
    /// TCP_KEEPCNT, probes 1..=127.
    KeepCnt(u32),
    /// TCP_MAXSEG, bytes.
    MaxSeg(u32),
    /// TCP_CORK.
    Cork(bool),
    /// TCP_QUICKACK.
    QuickAck(bool),
    /// TCP_USER_TIMEOUT, milliseconds; 0: the default.
    UserTimeout(u32),
    /// TCP_SYNCNT, retransmissions 1..=127.
    SynCnt(u32),
    /// TCP_LINGER2, seconds; 0: the default, negative: not at all.
    Linger2(i32),
    /// TCP_WINDOW_CLAMP, bytes.
    WindowClamp(u32),
    /// TCP_NOTSENT_LOWAT, bytes.
    NotSentLowat(u32),
    /// TCP_DEFER_ACCEPT, seconds; 0: off.
    DeferAccept(i32),
    /// SO_MAX_PACING_RATE, octets a second; `u64::MAX`: unlimited. TCP only.
    MaxPacingRate(u64),
    /// TCP_CONGESTION.
    Congestion(CongestionControl),
    /// TCP_FASTOPEN: connections of a listener that may be pending at a time; 0: off.
    FastOpen(u32),
    /// TCP_FASTOPEN_CONNECT.
    FastOpenConnect(bool),
    /// TCP_FASTOPEN_NO_COOKIE.
    FastOpenNoCookie(bool),
    /// TCP_FASTOPEN_KEY; `None` (get only): there is none yet.
    FastOpenKey(Option<FastOpenKeys>),
    /// IP_TTL 1..=255, or -1 (set only) for the default.
    Ttl(i32),
    /// IP_TOS 0..=255.
    Tos(u8),
    /// IPV6_UNICAST_HOPS 0..=255, or -1 (set only) for the default.
    UnicastHops(i32),
    /// IPV6_TCLASS 0..=255.
    TClass(u8),
    /// IPV6_V6ONLY.
    V6Only(bool),
    /// What concerns groups.
    Multicast(McOpt),
    /// What raw sockets have.
    Raw(RawOpt),
    /// One of the rare ones, with a number for its value.
    Number(Attribute, i32),
}

/// IP_MULTICAST_* and IPV6_MULTICAST_*.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum McOpt {
    /// IP_MULTICAST_TTL 0..=255, or -1 (set only) for the default, 1.
    Ttl(i32),
    /// IPV6_MULTICAST_HOPS 0..=255, or -1 (set only) for the default, 1.
    Hops(i32),
    /// IP_MULTICAST_LOOP.
    Loop4(bool),
    /// IPV6_MULTICAST_LOOP.
    Loop6(bool),
    /// IP_MULTICAST_ALL.
    All4(bool),
    /// IPV6_MULTICAST_ALL.
    All6(bool),
    /// IP_MULTICAST_IF: by number, or when that is 0 by address; neither: no choice.
    If4 {
        /// The interface's number.
        index: u32,
        /// Its address, the source of what is sent.
        addr: Ipv4Addr,
    },
    /// IPV6_MULTICAST_IF: the interface's number, 0: no choice.
    If6(u32),
}

/// Which of [`McOpt`] is read.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // named after McOpt's
pub enum McOptName {
    Ttl,
    Hops,
    Loop4,
    Loop6,
    All4,
    All6,
    If4,
    If6,
}

/// Options of raw sockets (raw(7), RFC 3542 3).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum RawOpt {
    /// IP_HDRINCL, IPV6_HDRINCL.
    HdrIncl(bool),
    /// ICMP_FILTER: a bit set keeps that type out.
    IcmpFilter(u32),
    /// ICMP6_FILTER: a bit set keeps that type out.
    Icmp6Filter([u32; 8]),
    /// IPV6_CHECKSUM: where it is, bytes; `None`: off.
    Checksum(Option<u16>),
}

/// Which of [`RawOpt`] is read.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // named after RawOpt's
pub enum RawOptName {
    HdrIncl,
    IcmpFilter,
    Icmp6Filter,
    Checksum,
}

/// Which option `Stack::get_option` reads.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // named after SockOpt's
pub enum SockOptName {
    ReuseAddr,
    ReusePort,
    KeepAlive,
    Broadcast,
    OobInline,
    Linger,
    SndBuf,
    RcvBuf,
    RcvLowat,
    NoDelay,
    KeepIdle,
    KeepIntvl,
    KeepCnt,
    MaxSeg,
    Cork,
    QuickAck,
    UserTimeout,
    SynCnt,
    Linger2,
    WindowClamp,
    NotSentLowat,
    DeferAccept,
    MaxPacingRate,
    Congestion,
    FastOpen,
    FastOpenConnect,
    FastOpenNoCookie,
    FastOpenKey,
    Ttl,
    Tos,
    UnicastHops,
    TClass,
    V6Only,
    Multicast(McOptName),
    Raw(RawOptName),
    Number(Attribute),
}

/// A row of the socket listing.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SocketInfo {
    /// The socket; `None` of a half-open connection and of a TIME-WAIT remnant, which are none.
    pub id: Option<SocketId>,
    /// Kind.
    pub kind: Kind,
    /// TCP state; for UDP `Established` when connected, else `Closed`.
    pub state: State,
    /// Local address.
    pub local: SocketAddr,
    /// Peer, or the wildcard.
    pub peer: SocketAddr,
    /// Bytes received and not read (for a listener: connections to accept).
    pub recv_q: usize,
    /// Bytes sent and not acknowledged (for a listener: the backlog).
    pub send_q: usize,
}

/// What `Stack::close` leaves to the caller.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Closed {
    /// Nothing: the handle is gone.
    Done,
    /// SO_LINGER with a time: the handle stays valid; the caller waits until `Stack::lingering` is false or this long,
    /// then calls `Stack::release`. Close on a non-blocking socket need not wait.
    Linger(Duration),
}

/// A pending error, taken once (SO_ERROR).
pub type PendingError = Option<Error>;
