//! Sockets as the C face sees them: kinds, readiness, flags, options.

pub(crate) mod address;
mod info;
pub(crate) mod options;
pub(crate) mod table;

use std::net::SocketAddr;
use std::time::Duration;

use bitflags::bitflags;

use crate::config::CongestionControl;
use crate::error::Error;

pub use info::{CaState, TcpInfo};

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
    }

    /// Flags of a send call that concern the stack.
    #[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
    pub struct SendFlags: u32 {
        /// MSG_OOB: the last byte is urgent.
        const OOB = 1;
        /// MSG_MORE: more follows; hold a partial segment back.
        const MORE = 2;
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
    /// TCP_CONGESTION.
    Congestion(CongestionControl),
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
    Congestion,
    Ttl,
    Tos,
    UnicastHops,
    TClass,
    V6Only,
}

/// A row of the socket listing.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SocketInfo {
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
