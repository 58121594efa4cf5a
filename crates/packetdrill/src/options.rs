//! getsockopt and setsockopt: level, name and octets to the stack's options and back.

use std::time::Duration;

use libc::c_int;
use tunsock_stack::{CongestionControl, Domain, Kind, SockOpt, SockOptName};

use crate::errno::{CResult, Errno};
use crate::host::Host;
use crate::info;
use crate::world::File;

/// TCP_INQ, which is also TCP_CM_INQ (linux/tcp.h).
pub(crate) const TCP_INQ: c_int = 36;
/// TCP_NOTSENT_LOWAT (linux/tcp.h).
const TCP_NOTSENT_LOWAT: c_int = 25;
/// Names of congestion control.
const CONGESTION: [(&str, CongestionControl); 2] = [
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
        (libc::IPPROTO_IP, libc::IP_TTL) => SockOptName::Ttl,
        (libc::IPPROTO_IP, libc::IP_TOS) => SockOptName::Tos,
        (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS) => SockOptName::UnicastHops,
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => SockOptName::TClass,
        (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) => SockOptName::V6Only,
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
        // Named, not numbered.
        SockOptName::Congestion => return Err(Errno(libc::EINVAL)),
        SockOptName::Ttl => SockOpt::Ttl(value),
        SockOptName::Tos => SockOpt::Tos(octet),
        SockOptName::UnicastHops => SockOpt::UnicastHops(value),
        SockOptName::TClass => SockOpt::TClass(octet),
        SockOptName::V6Only => SockOpt::V6Only(on),
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
        | SockOpt::WindowClamp(n)
        | SockOpt::NotSentLowat(n) => n as c_int,
        SockOpt::Congestion(which) => {
            let name = CONGESTION.iter().find(|(_, known)| *known == which);
            return name.map_or(Vec::new(), |(name, _)| name.as_bytes().to_vec());
        }
        SockOpt::Ttl(n) | SockOpt::UnicastHops(n) | SockOpt::Linger2(n) => n,
        SockOpt::DeferAccept(n) => n,
        SockOpt::Tos(n) | SockOpt::TClass(n) => c_int::from(n),
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
        if (level, name) == (libc::IPPROTO_TCP, TCP_INQ) {
            let on = int_at(value, 0).ok_or(Errno(libc::EINVAL))? != 0;
            return self.with(|world| match world.file(fd) {
                Some(File::Socket { inq, .. }) => {
                    *inq = on;
                    Ok(())
                }
                _ => Err(Errno(libc::EBADF)),
            });
        }
        let name = name_of(level, name)?;
        if name == SockOptName::Congestion {
            let option = congestion(value)?;
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
                    (libc::SO_TYPE, _, Kind::Datagram) => libc::SOCK_DGRAM,
                    (libc::SO_DOMAIN, Domain::V4, _) => libc::AF_INET,
                    (libc::SO_DOMAIN, Domain::V6, _) => libc::AF_INET6,
                    (_, _, Kind::Stream) => libc::IPPROTO_TCP,
                    (_, _, Kind::Datagram) => libc::IPPROTO_UDP,
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
