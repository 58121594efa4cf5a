//! Options common to both kinds, with the checks and clamps of Linux (sk_setsockopt, do_ip_setsockopt, do_ipv6_setsockopt).

use crate::error::{Error, Result};
use crate::multicast;
use crate::raw;
use crate::socket::table::{CommonOpts, DEFAULT_TTL, Socket};
use crate::socket::{Domain, Kind, SockOpt, SockOptName, SocketId};
use crate::stack::Stack;
use crate::tcp;

/// Smallest SO_SNDBUF as read back (Linux: SOCK_MIN_SNDBUF), bytes.
const MIN_SNDBUF: usize = 4608;
/// Smallest SO_RCVBUF as read back (Linux: SOCK_MIN_RCVBUF), bytes.
const MIN_RCVBUF: usize = 2304;
/// The ECN bits of TOS and traffic class: on TCP they are the protocol's (Linux: INET_ECN_MASK).
const ECN_MASK: u8 = 3;

/// Sets an option of the common ones. `Ok(false)`: it is not one of them.
pub(crate) fn set(stack: &mut Stack, id: SocketId, opt: SockOpt) -> Result<bool> {
    if let SockOpt::Multicast(opt) = opt {
        multicast::set_option(stack, id, opt)?;
        return Ok(true);
    }
    let max = stack.config.buf_max;
    let has_port = stack.ports.holds(id);
    let socket = stack.sockets.get_mut(id).ok_or(Error::BadHandle)?;
    let v6 = socket.domain == Domain::V6;
    match opt {
        SockOpt::V6Only(_) if !v6 => return Err(Error::NoSuchOption),
        // inet_num: only while the socket has no port.
        SockOpt::V6Only(_) if has_port => return Err(Error::Invalid),
        SockOpt::V6Only(on) => socket.opts.v6only = on,
        SockOpt::UnicastHops(_) | SockOpt::TClass(_) if !v6 => return Err(Error::NoSuchOption),
        SockOpt::UnicastHops(hops) => socket.opts.hops = limit(hops, 0)?,
        SockOpt::Ttl(ttl) => socket.opts.ttl = limit(ttl, 1)?,
        SockOpt::Tos(tos) => {
            let tos = without_ecn(socket.kind(), socket.opts.tos, tos);
            if std::mem::replace(&mut socket.opts.tos, tos) != tos {
                socket.follow_tos();
            }
        }
        // Kept: it is the device's queueing discipline that would heed it (`fq`).
        SockOpt::MaxPacingRate(rate) if socket.kind() != Kind::Stream => {
            socket.extra_mut().opts.max_pacing_rate = rate;
        }
        SockOpt::TClass(tclass) => {
            socket.opts.tclass = without_ecn(socket.kind(), socket.opts.tclass, tclass);
        }
        SockOpt::ReuseAddr(on) => {
            socket.opts.reuse_addr = on;
            stack.ports.update(id, |shape| shape.reuse_addr = on);
        }
        SockOpt::ReusePort(on) => {
            socket.opts.reuse_port = on;
            stack.ports.update(id, |shape| shape.reuse_port = on);
        }
        SockOpt::KeepAlive(on) => socket.opts.keepalive = on,
        SockOpt::Broadcast(on) => socket.opts.broadcast = on,
        SockOpt::OobInline(on) => socket.opts.oob_inline = on,
        SockOpt::Linger(time) => socket.opts.set_linger(time),
        SockOpt::SndBuf(bytes) => {
            socket.opts.set_sndbuf(doubled(bytes, max).max(MIN_SNDBUF));
            socket.opts.sndbuf_locked = true;
        }
        SockOpt::RcvBuf(bytes) => {
            socket.opts.set_rcvbuf(doubled(bytes, max).max(MIN_RCVBUF));
            socket.opts.rcvbuf_locked = true;
        }
        SockOpt::RcvLowat(bytes) => socket.opts.set_rcvlowat(bytes),
        SockOpt::Multicast(_) => {}
        SockOpt::Raw(opt) => raw::set_option(socket, opt)?,
        SockOpt::NoDelay(_)
        | SockOpt::KeepIdle(_)
        | SockOpt::KeepIntvl(_)
        | SockOpt::KeepCnt(_)
        | SockOpt::MaxSeg(_)
        | SockOpt::Cork(_)
        | SockOpt::QuickAck(_)
        | SockOpt::UserTimeout(_)
        | SockOpt::SynCnt(_)
        | SockOpt::Linger2(_)
        | SockOpt::WindowClamp(_)
        | SockOpt::NotSentLowat(_)
        | SockOpt::DeferAccept(_)
        | SockOpt::MaxPacingRate(_)
        | SockOpt::Congestion(_)
        | SockOpt::FastOpen(_)
        | SockOpt::FastOpenConnect(_)
        | SockOpt::FastOpenNoCookie(_)
        | SockOpt::FastOpenKey(_)
        | SockOpt::Number(..) => return Ok(false),
    }
    Ok(true)
}

/// Reads an option of the common ones. `Ok(None)`: it is not one of them.
pub(crate) fn get(socket: &Socket, name: SockOptName) -> Result<Option<SockOpt>> {
    let v6 = socket.domain == Domain::V6;
    let CommonOpts {
        reuse_addr,
        reuse_port,
        broadcast,
        v6only,
        keepalive,
        oob_inline,
        ttl,
        hops,
        tos,
        tclass,
        ..
    } = socket.opts;
    let opts = &socket.opts;
    let grown = socket.tcp().and_then(tcp::calls::buffers);
    Ok(Some(match name {
        SockOptName::ReuseAddr => SockOpt::ReuseAddr(reuse_addr),
        SockOptName::ReusePort => SockOpt::ReusePort(reuse_port),
        SockOptName::KeepAlive => SockOpt::KeepAlive(keepalive),
        SockOptName::Broadcast => SockOpt::Broadcast(broadcast),
        SockOptName::OobInline => SockOpt::OobInline(oob_inline),
        SockOptName::Linger => SockOpt::Linger(opts.linger()),
        SockOptName::SndBuf => SockOpt::SndBuf(grown.map_or(opts.sndbuf(), |(send, _)| send)),
        SockOptName::RcvBuf => SockOpt::RcvBuf(grown.map_or(opts.rcvbuf(), |(_, recv)| recv)),
        SockOptName::RcvLowat => SockOpt::RcvLowat(opts.rcvlowat()),
        SockOptName::Ttl => SockOpt::Ttl(i32::from(ttl.unwrap_or(DEFAULT_TTL))),
        SockOptName::Tos => SockOpt::Tos(tos),
        SockOptName::V6Only | SockOptName::UnicastHops | SockOptName::TClass if !v6 => {
            return Err(Error::NoSuchOption);
        }
        SockOptName::V6Only => SockOpt::V6Only(v6only),
        SockOptName::UnicastHops => SockOpt::UnicastHops(i32::from(hops.unwrap_or(DEFAULT_TTL))),
        SockOptName::TClass => SockOpt::TClass(tclass),
        SockOptName::Raw(name) => SockOpt::Raw(raw::get_option(socket, name)?),
        SockOptName::MaxPacingRate if socket.kind() != Kind::Stream => {
            let rate = socket.extra_opts().map(|opts| opts.max_pacing_rate);
            SockOpt::MaxPacingRate(rate.unwrap_or(u64::MAX))
        }
        SockOptName::NoDelay
        | SockOptName::KeepIdle
        | SockOptName::KeepIntvl
        | SockOptName::KeepCnt
        | SockOptName::MaxSeg
        | SockOptName::Cork
        | SockOptName::QuickAck
        | SockOptName::UserTimeout
        | SockOptName::SynCnt
        | SockOptName::Linger2
        | SockOptName::WindowClamp
        | SockOptName::NotSentLowat
        | SockOptName::DeferAccept
        | SockOptName::MaxPacingRate
        | SockOptName::Congestion
        | SockOptName::Multicast(_)
        | SockOptName::FastOpen
        | SockOptName::FastOpenConnect
        | SockOptName::FastOpenNoCookie
        | SockOptName::FastOpenKey
        | SockOptName::Number(_) => return Ok(None),
    }))
}

/// SO_SNDBUFFORCE, SO_RCVBUFFORCE: no limit but the number's; a negative one is 0.
pub(crate) fn force_buffer(socket: &mut Socket, send: bool, bytes: i32) {
    let bytes = usize::try_from(bytes).unwrap_or(0);
    let bytes = doubled(bytes, i32::MAX as usize);
    if send {
        socket.opts.set_sndbuf(bytes.max(MIN_SNDBUF));
        socket.opts.sndbuf_locked = true;
    } else {
        socket.opts.set_rcvbuf(bytes.max(MIN_RCVBUF));
        socket.opts.rcvbuf_locked = true;
    }
}

/// A TTL or hop limit from `least` to 255, or -1 for the default.
fn limit(value: i32, least: u8) -> Result<Option<u8>> {
    match u8::try_from(value) {
        Ok(value) if value >= least => Ok(Some(value)),
        _ if value == -1 => Ok(None),
        _ => Err(Error::Invalid),
    }
}

fn without_ecn(kind: Kind, old: u8, new: u8) -> u8 {
    match kind {
        Kind::Stream => (new & !ECN_MASK) | (old & ECN_MASK),
        Kind::Datagram | Kind::Raw(_) | Kind::Ping => new,
    }
}

/// Linux doubles what it is given, to have room for its own bookkeeping (socket(7)).
fn doubled(bytes: usize, max: usize) -> usize {
    bytes.min(max / 2).saturating_mul(2)
}
