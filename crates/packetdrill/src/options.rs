//! getsockopt and setsockopt: level, name and octets to the stack's options and back.

use std::time::Duration;

use libc::c_int;
use tunsock_stack::{
    Attribute, CongestionControl, Domain, FastOpenKeys, Kind, SockOpt, SockOptName,
};

use crate::errno::{CResult, Errno};
use crate::host::Host;
use crate::info;

/// TCP_INQ, which is also TCP_CM_INQ (linux/tcp.h).
pub(crate) const TCP_INQ: c_int = 36;
/// TCP_NOTSENT_LOWAT (linux/tcp.h).
const TCP_NOTSENT_LOWAT: c_int = 25;
/// TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE (linux/tcp.h).
const TCP_FASTOPEN_KEY: c_int = 33;
const TCP_FASTOPEN_NO_COOKIE: c_int = 34;
/// SO_ZEROCOPY (asm-generic/socket.h), IPV6_FREEBIND (linux/in6.h).
const SO_ZEROCOPY: c_int = 60;
const IPV6_FREEBIND: c_int = 78;
/// Names of congestion control.
const CONGESTION: [(&str, CongestionControl); 3] = [
    ("bbr", CongestionControl::Bbr),
    ("cubic", CongestionControl::Cubic),
    ("reno", CongestionControl::Reno),
];
/// A kernel's `struct linger`: on, seconds.
const LINGER_LEN: usize = 8;

/// Names of the stack's options.
fn name_of(level: c_int, name: c_int) -> CResult<SockOptName> {
    Ok(match (level, name) {
        (libc::SOL_SOCKET, libc::SO_REUSEADDR) => SockOptName::ReuseAddr,
        (libc::SOL_SOCKET, libc::SO_REUSEPORT) => SockOptName::ReusePort,
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE) => SockOptName::KeepAlive,
        (libc::SOL_SOCKET, libc::SO_BROADCAST) => SockOptName::Broadcast,
        (libc::SOL_SOCKET, libc::SO_OOBINLINE) => SockOptName::OobInline,
        (libc::SOL_SOCKET, libc::SO_LINGER) => SockOptName::Linger,
        (libc::SOL_SOCKET, libc::SO_SNDBUF) => SockOptName::SndBuf,
        (libc::SOL_SOCKET, libc::SO_RCVBUF) => SockOptName::RcvBuf,
        (libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE) => SockOptName::MaxPacingRate,
        (libc::SOL_SOCKET, libc::SO_RCVLOWAT) => SockOptName::RcvLowat,
        (libc::IPPROTO_TCP, libc::TCP_NODELAY) => SockOptName::NoDelay,
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE) => SockOptName::KeepIdle,
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL) => SockOptName::KeepIntvl,
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT) => SockOptName::KeepCnt,
        (libc::IPPROTO_TCP, libc::TCP_MAXSEG) => SockOptName::MaxSeg,
        (libc::IPPROTO_TCP, libc::TCP_CORK) => SockOptName::Cork,
        (libc::IPPROTO_TCP, libc::TCP_QUICKACK) => SockOptName::QuickAck,
        (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT) => SockOptName::UserTimeout,
        (libc::IPPROTO_TCP, libc::TCP_SYNCNT) => SockOptName::SynCnt,
        (libc::IPPROTO_TCP, libc::TCP_LINGER2) => SockOptName::Linger2,
        (libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP) => SockOptName::WindowClamp,
        (libc::IPPROTO_TCP, TCP_NOTSENT_LOWAT) => SockOptName::NotSentLowat,
        (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT) => SockOptName::DeferAccept,
        (libc::IPPROTO_TCP, libc::TCP_CONGESTION) => SockOptName::Congestion,
        (libc::IPPROTO_TCP, libc::TCP_FASTOPEN) => SockOptName::FastOpen,
        (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT) => SockOptName::FastOpenConnect,
        (libc::IPPROTO_TCP, TCP_FASTOPEN_KEY) => SockOptName::FastOpenKey,
        (libc::IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE) => SockOptName::FastOpenNoCookie,
        (libc::IPPROTO_IP, libc::IP_TTL) => SockOptName::Ttl,
        (libc::IPPROTO_IP, libc::IP_TOS) => SockOptName::Tos,
        (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS) => SockOptName::UnicastHops,
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => SockOptName::TClass,
        (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) => SockOptName::V6Only,
        (level, name) => SockOptName::Number(attribute_of(level, name)?),
    })
}

/// Names of the stack's rare options, as far as scripts use them.
fn attribute_of(level: c_int, name: c_int) -> CResult<Attribute> {
    Ok(match (level, name) {
        (libc::SOL_SOCKET, SO_ZEROCOPY) => Attribute::ZeroCopy,
        (libc::SOL_SOCKET, libc::SO_TIMESTAMPING) => Attribute::Timestamping,
        (libc::SOL_SOCKET, libc::SO_MARK) => Attribute::Mark,
        (libc::SOL_SOCKET, libc::SO_PRIORITY) => Attribute::Priority,
        (libc::IPPROTO_TCP, TCP_INQ) => Attribute::Inq,
        (libc::IPPROTO_IP, libc::IP_RECVERR) => Attribute::RecvErr,
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER) => Attribute::MtuDiscover,
        (libc::IPPROTO_IP, libc::IP_FREEBIND) => Attribute::FreeBind,
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => Attribute::RecvErr6,
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER) => Attribute::MtuDiscover6,
        (libc::IPPROTO_IPV6, IPV6_FREEBIND) => Attribute::FreeBind,
        _ => return Err(Errno(libc::ENOPROTOOPT)),
    })
}

/// The option `name` with the integer `value`, and for SO_LINGER its seconds.
fn option_of(name: SockOptName, value: c_int, seconds: c_int) -> CResult<SockOpt> {
    let on = value != 0;
    let size = usize::try_from(value).unwrap_or(0);
    let count = u32::try_from(value).map_err(|_| Errno(libc::EINVAL));
    let octet = value as u8;
    Ok(match name {
        SockOptName::ReuseAddr => SockOpt::ReuseAddr(on),
        SockOptName::ReusePort => SockOpt::ReusePort(on),
        SockOptName::KeepAlive => SockOpt::KeepAlive(on),
        SockOptName::Broadcast => SockOpt::Broadcast(on),
        SockOptName::OobInline => SockOpt::OobInline(on),
        SockOptName::Linger => {
            let time = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            SockOpt::Linger(on.then_some(time))
        }
        SockOptName::SndBuf => SockOpt::SndBuf(size),
        SockOptName::RcvBuf => SockOpt::RcvBuf(size),
        SockOptName::RcvLowat => SockOpt::RcvLowat(size),
        SockOptName::MaxPacingRate if value == -1 => SockOpt::MaxPacingRate(u64::MAX),
        SockOptName::MaxPacingRate => SockOpt::MaxPacingRate(u64::from(value as u32)),
        SockOptName::NoDelay => SockOpt::NoDelay(on),
        SockOptName::KeepIdle => SockOpt::KeepIdle(count?),
        SockOptName::KeepIntvl => SockOpt::KeepIntvl(count?),
        SockOptName::KeepCnt => SockOpt::KeepCnt(count?),
        SockOptName::MaxSeg => SockOpt::MaxSeg(count?),
        SockOptName::Cork => SockOpt::Cork(on),
        SockOptName::QuickAck => SockOpt::QuickAck(on),
        SockOptName::UserTimeout => SockOpt::UserTimeout(count?),
        SockOptName::SynCnt => SockOpt::SynCnt(count?),
        SockOptName::Linger2 => SockOpt::Linger2(value),
        SockOptName::WindowClamp => SockOpt::WindowClamp(count?),
        SockOptName::NotSentLowat => SockOpt::NotSentLowat(value as u32),
        SockOptName::DeferAccept => SockOpt::DeferAccept(value),
        SockOptName::Multicast(_) | SockOptName::Raw(_) => {
            return Err(Errno(libc::ENOPROTOOPT));
        }
        SockOptName::FastOpen => SockOpt::FastOpen(count?),
        SockOptName::FastOpenConnect if value & !1 == 0 => SockOpt::FastOpenConnect(on),
        SockOptName::FastOpenNoCookie if value & !1 == 0 => SockOpt::FastOpenNoCookie(on),
        SockOptName::FastOpenConnect | SockOptName::FastOpenNoCookie => {
            return Err(Errno(libc::EINVAL));
        }
        // Named or given as octets, not numbered.
        SockOptName::FastOpenKey | SockOptName::Congestion => return Err(Errno(libc::EINVAL)),
        SockOptName::Ttl => SockOpt::Ttl(value),
        SockOptName::Tos => SockOpt::Tos(octet),
        SockOptName::UnicastHops => SockOpt::UnicastHops(value),
        SockOptName::TClass => SockOpt::TClass(octet),
        SockOptName::V6Only => SockOpt::V6Only(on),
        SockOptName::Number(attribute) => SockOpt::Number(attribute, value),
    })
}

/// An option's value as getsockopt gives it.
fn value_of(option: SockOpt) -> Vec<u8> {
    let value = match option {
        SockOpt::ReuseAddr(on)
        | SockOpt::ReusePort(on)
        | SockOpt::KeepAlive(on)
        | SockOpt::Broadcast(on)
        | SockOpt::OobInline(on)
        | SockOpt::NoDelay(on)
        | SockOpt::Cork(on)
        | SockOpt::QuickAck(on)
        | SockOpt::FastOpenConnect(on)
        | SockOpt::FastOpenNoCookie(on)
        | SockOpt::V6Only(on) => c_int::from(on),
        SockOpt::Linger(time) => {
            let seconds = time.map_or(0, |time| time.as_secs() as c_int);
            let mut bytes = c_int::from(time.is_some()).to_ne_bytes().to_vec();
            bytes.extend_from_slice(&seconds.to_ne_bytes());
            return bytes;
        }
        SockOpt::SndBuf(n) | SockOpt::RcvBuf(n) | SockOpt::RcvLowat(n) => n as c_int,
        SockOpt::KeepIdle(n)
        | SockOpt::KeepIntvl(n)
        | SockOpt::KeepCnt(n)
        | SockOpt::MaxSeg(n)
        | SockOpt::UserTimeout(n)
        | SockOpt::SynCnt(n)
        | SockOpt::FastOpen(n)
        | SockOpt::WindowClamp(n)
        | SockOpt::NotSentLowat(n) => n as c_int,
        SockOpt::MaxPacingRate(rate) => u32::try_from(rate).unwrap_or(u32::MAX) as c_int,
        SockOpt::FastOpenKey(keys) => return keys.iter().flat_map(FastOpenKeys::octets).collect(),
        SockOpt::Congestion(which) => {
            let name = CONGESTION.iter().find(|(_, known)| *known == which);
            return name.map_or(Vec::new(), |(name, _)| name.as_bytes().to_vec());
        }
        SockOpt::Ttl(n) | SockOpt::UnicastHops(n) | SockOpt::Linger2(n) => n,
        SockOpt::DeferAccept(n) | SockOpt::Number(_, n) => n,
        SockOpt::Tos(n) | SockOpt::TClass(n) => c_int::from(n),
        // No script names them.
        SockOpt::Multicast(_) | SockOpt::Raw(_) => return Vec::new(),
    };
    value.to_ne_bytes().to_vec()
}

/// TCP_CONGESTION's name.
fn congestion(name: &[u8]) -> CResult<SockOpt> {
    let name = name.split(|octet| *octet == 0).next().unwrap_or_default();
    CONGESTION
        .iter()
        .find(|(known, _)| known.as_bytes() == name)
        .map(|(_, which)| SockOpt::Congestion(*which))
        .ok_or(Errno(libc::ENOENT))
}

fn int_at(bytes: &[u8], at: usize) -> Option<c_int> {
    let four = bytes.get(at..at + 4)?;
    Some(c_int::from_ne_bytes(four.try_into().ok()?))
}

impl Host {
    /// setsockopt(2).
    pub(crate) fn set_option(
        &self,
        fd: c_int,
        level: c_int,
        name: c_int,
        value: &[u8],
    ) -> CResult<()> {
        let (id, _) = self.with(|world| world.socket(fd))?;
        let name = name_of(level, name)?;
        let named = match name {
            SockOptName::Congestion => Some(congestion(value)?),
            SockOptName::FastOpenKey => {
                let keys = FastOpenKeys::new(value).ok_or(Errno(libc::EINVAL))?;
                Some(SockOpt::FastOpenKey(Some(keys)))
            }
            _ => None,
        };
        if let Some(option) = named {
            return self.with(|world| {
                let now = world.instant();
                Ok(world.stack().set_option(now, id, option)?)
            });
        }
        let first = match (int_at(value, 0), value.first()) {
            (Some(value), _) => value,
            // The options of IP may be octets.
            (None, Some(octet)) if level == libc::IPPROTO_IP => c_int::from(*octet),
            _ => return Err(Errno(libc::EINVAL)),
        };
        if name == SockOptName::Linger && value.len() < LINGER_LEN {
            return Err(Errno(libc::EINVAL));
        }
        let option = option_of(name, first, int_at(value, 4).unwrap_or(0))?;
        self.with(|world| {
            let now = world.instant();
            Ok(world.stack().set_option(now, id, option)?)
        })
    }

    /// getsockopt(2): the value's octets.
    pub(crate) fn option(&self, fd: c_int, level: c_int, name: c_int) -> CResult<Vec<u8>> {
        let (id, _) = self.with(|world| world.socket(fd))?;
        let int = |value: c_int| Ok(value.to_ne_bytes().to_vec());
        match (level, name) {
            (libc::SOL_SOCKET, libc::SO_ERROR) => {
                let error = self.with(|world| world.stack().take_error(id));
                int(error.map_or(0, |error| Errno::from(error).0))
            }
            (libc::SOL_SOCKET, libc::SO_ACCEPTCONN) => int(c_int::from(self.listening(id))),
            (libc::SOL_SOCKET, libc::SO_TYPE | libc::SO_DOMAIN | libc::SO_PROTOCOL) => {
                let (domain, kind) = self.with(|world| world.stack().kind(id))?;
                int(match (name, domain, kind) {
                    (libc::SO_TYPE, _, Kind::Stream) => libc::SOCK_STREAM,
                    (libc::SO_TYPE, _, Kind::Datagram | Kind::Ping) => libc::SOCK_DGRAM,
                    (libc::SO_TYPE, _, Kind::Raw(_)) => libc::SOCK_RAW,
                    (libc::SO_DOMAIN, Domain::V4, _) => libc::AF_INET,
                    (libc::SO_DOMAIN, Domain::V6, _) => libc::AF_INET6,
                    (_, _, Kind::Stream) => libc::IPPROTO_TCP,
                    (_, _, Kind::Datagram) => libc::IPPROTO_UDP,
                    (_, _, Kind::Raw(protocol)) => c_int::from(protocol),
                    (_, _, Kind::Ping) => libc::IPPROTO_ICMP,
                })
            }
            (libc::SOL_SOCKET, info::SO_MEMINFO) => Ok(info::memory(self, id)),
            // None of our algorithms has anything to tell.
            (libc::IPPROTO_TCP, libc::TCP_CC_INFO) => Ok(Vec::new()),
            (libc::IPPROTO_TCP, libc::TCP_INFO) => info::tcp(self, id),
            _ => {
                let name = name_of(level, name)?;
                Ok(value_of(
                    self.with(|world| world.stack().get_option(id, name))?,
                ))
            }
        }
    }
}
