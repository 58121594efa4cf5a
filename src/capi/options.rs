//! getsockopt and setsockopt: C's levels, names, lengths and bytes to the stack's options and back.

use std::time::Duration;

use libc::{c_int, c_void};
use tunsock_stack::{Attribute, Domain, FastOpenKeys, Kind, SockOpt, SockOptName};

use super::errno::{CResult, Errno, answer};
pub(super) use super::option_value::Value;
use super::option_value::{Room, encode};
use super::types::{tunsock_linger, tunsock_socklen_t, tunsock_timeval};
use super::{
    attributes, checked_socket_of, interfaces, ip_options, levels, multicast, netlink, originals,
    packet_filter, raw, tcp_options, user,
};
use crate::fd::SocketFile;

const EINVAL: Errno = Errno(libc::EINVAL);
const ENOPROTOOPT: Errno = Errno(libc::ENOPROTOOPT);

/// SO_RCVTIMEO_NEW and SO_SNDTIMEO_NEW of asm-generic/socket.h: on 64-bit machines what the old ones are.
const SO_RCVTIMEO_NEW: c_int = 66;
const SO_SNDTIMEO_NEW: c_int = 67;
/// Of asm-generic/socket.h too.
const SO_PEERGROUPS: c_int = 59;
const SO_PASSPIDFD: c_int = 76;
const SO_PEERPIDFD: c_int = 77;
const SO_PASSRIGHTS: c_int = 83;

/// Reads an option into value, cut to *len bytes, and stores how many were written at len. Levels and names are the system's:
/// SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP and IPPROTO_IPV6 with the options that docs/options.md lists.
///
/// Returns 0, or -1 with errno EBADF, ENOTSOCK, EFAULT, EINVAL (negative length), ENOPROTOOPT (option not known) or EOPNOTSUPP
/// (level not known).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut tunsock_socklen_t,
) -> c_int {
    let error = level == libc::SOL_SOCKET && name == libc::SO_ERROR;
    let Some(socket) = checked_socket_of(fd).filter(|socket| !(socket.relayed && error)) else {
        // SAFETY: the caller's own arguments.
        return netlink::get_option(fd, level, name, value, len)
            .unwrap_or_else(|| unsafe { originals::getsockopt(fd, level, name, value, len) });
    };
    answer(|| {
        levels::reaches(&socket, level, name)?;
        // SAFETY: any bytes are a length.
        let room = unsafe { user::read(len)? } as c_int;
        let room = match usize::try_from(room) {
            Ok(room) => room,
            // do_ipv6_getsockopt and do_rawv6_getsockopt: "min_t(unsigned int, sizeof(int), len)".
            Err(_)
                if levels::unsigned_length(&socket, level) && name != multicast::MCAST_MSFILTER =>
            {
                c_int::MAX as usize
            }
            Err(_) => return Err(EINVAL),
        };
        if let Some(outcome) = multicast::get_filter(&socket, level, name, value, len, room) {
            return outcome.map(|()| 0);
        }
        if (level, name) == (libc::SOL_SOCKET, libc::SO_BINDTODEVICE) {
            let device = interfaces::bound_to(&socket, room)?;
            user::copy_out(value, &device)?;
            user::write(len, device.len() as tunsock_socklen_t)?;
            return Ok(0);
        }
        let options = ip_options::get(&socket, (level, name), value, len, room);
        if let Some(outcome) = options {
            return outcome.map(|()| 0);
        }
        if level == libc::SOL_SOCKET
            && let Some(outcome) = packet_filter::get(&socket, name, value, len, room)
        {
            return outcome.map(|()| 0);
        }
        let answer = get(&socket, level, name)?;
        if matches!(answer, Value::Long(_)) && room < size_of::<u64>() {
            return Err(EINVAL);
        }
        let mut bytes: Room = [0; _];
        let full = encode(&answer, room, &mut bytes);
        let written = full.min(room);
        user::copy_out(value, &bytes[..written])?;
        user::write(len, written as tunsock_socklen_t)?;
        Ok(0)
    })
}

/// Sets an option. An option that the stack does not act on is refused, never taken in silence.
///
/// Returns 0, or -1 with errno EBADF, ENOTSOCK, EFAULT, EINVAL (wrong length or value), ENOPROTOOPT (option or level not known),
/// EDOM (a time out of range), EPERM or EACCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: tunsock_socklen_t,
) -> c_int {
    let Some(socket) = checked_socket_of(fd) else {
        // SAFETY: the caller's own arguments.
        return netlink::set_option(fd, level, name, value, len)
            .unwrap_or_else(|| unsafe { originals::setsockopt(fd, level, name, value, len) });
    };
    answer(|| {
        let given = usize::try_from(len as c_int).map_err(|_| EINVAL)?;
        set(&socket, level, name, &Given { value, len: given })?;
        if socket.relayed && waits_by(level, name) {
            // SAFETY: the caller's own arguments.
            return Ok(unsafe { originals::setsockopt(fd, level, name, value, len) });
        }
        Ok(0)
    })
}

/// Options by which the kernel's calls wait: on a relay's end these are what is called.
fn waits_by(level: c_int, name: c_int) -> bool {
    level == libc::SOL_SOCKET
        && matches!(
            name,
            libc::SO_RCVTIMEO
                | libc::SO_SNDTIMEO
                | SO_RCVTIMEO_NEW
                | SO_SNDTIMEO_NEW
                | libc::SO_RCVLOWAT
        )
}

/// A value as the caller passed it.
pub(super) struct Given {
    pub(super) value: *const c_void,
    pub(super) len: usize,
}

impl Given {
    /// An int; EINVAL when there are fewer bytes.
    pub(super) fn int(&self) -> CResult<c_int> {
        self.of()
    }

    /// do_ipv6_setsockopt: a NULL value means 0 there, given a length.
    pub(super) fn or_zero<T>(&self, act: impl FnOnce(&Given) -> CResult<T>) -> CResult<T> {
        let zero: c_int = 0;
        if !self.value.is_null() {
            return act(self);
        }
        act(&Given {
            value: (&raw const zero).cast(),
            len: self.len,
        })
    }

    fn flag(&self) -> CResult<bool> {
        Ok(self.int()? != 0)
    }

    /// do_ip_setsockopt: an int, or one byte when there are fewer bytes than an int, or 0 when there is none.
    pub(super) fn ip_int(&self) -> CResult<c_int> {
        match self.len {
            0 => Ok(0),
            1..4 => {
                // SAFETY: any byte will do.
                let byte: u8 = unsafe { user::read(self.value.cast())? };
                Ok(c_int::from(byte))
            }
            _ => self.int(),
        }
    }

    /// A structure of plain numbers; EINVAL when there are fewer bytes than it has.
    fn of<T: PlainNumbers>(&self) -> CResult<T> {
        if self.len < size_of::<T>() {
            return Err(EINVAL);
        }
        // SAFETY: any bytes are such a structure.
        unsafe { user::read(self.value.cast()) }
    }

    /// The first `N` bytes; EINVAL when there are fewer.
    pub(super) fn bytes<const N: usize>(&self) -> CResult<[u8; N]> {
        if self.len < N {
            return Err(EINVAL);
        }
        self.some_of()
    }

    /// Up to `N` bytes, zeros behind them.
    pub(super) fn some_of<const N: usize>(&self) -> CResult<[u8; N]> {
        let mut bytes = [0; N];
        user::copy_in(&mut bytes[..self.len.min(N)], self.value)?;
        Ok(bytes)
    }

    /// sock_set_timeout: EDOM for microseconds out of range, no time for negative seconds, for ever for zero.
    fn time(&self) -> CResult<Option<Duration>> {
        let time: tunsock_timeval = self.of()?;
        let micros = u32::try_from(time.tv_usec)
            .ok()
            .filter(|&micros| micros < 1_000_000);
        let micros = micros.ok_or(Errno(libc::EDOM))?;
        let Ok(secs) = u64::try_from(time.tv_sec) else {
            return Ok(Some(Duration::ZERO));
        };
        Ok(Some(Duration::new(secs, micros * 1000)).filter(|time| !time.is_zero()))
    }
}

/// Types of which every bit pattern is a value.
trait PlainNumbers: Copy {}
impl PlainNumbers for c_int {}
impl PlainNumbers for u64 {}
impl PlainNumbers for tunsock_linger {}
impl PlainNumbers for tunsock_timeval {}

fn set(socket: &SocketFile, level: c_int, name: c_int, given: &Given) -> CResult<()> {
    if levels::lacks(socket, level) {
        return Err(ENOPROTOOPT);
    }
    // do_ipv6_setsockopt reads an int's worth before it looks at the name.
    if level == libc::IPPROTO_IPV6 && socket.kind().0 == Domain::V6 && given.len >= 4 {
        given.or_zero(Given::int)?;
    }
    let of_groups = multicast::set(socket, level, name, given);
    let of_groups = of_groups.or_else(|| ip_options::set(socket, level, name, given));
    if let Some(outcome) = of_groups.or_else(|| raw::set(socket, level, name, given)) {
        return outcome;
    }
    if (level, name) == (libc::SOL_SOCKET, libc::SO_BINDTODEVICE) {
        return interfaces::bind_to(socket, given);
    }
    if level == libc::SOL_SOCKET
        && let Some(outcome) = packet_filter::set(socket, name, given)
    {
        return outcome;
    }
    if let Some(attribute) = attributes::find(level, name, socket.kind()) {
        // do_ip_setsockopt: of this one no other length will do.
        let exact = attribute == Attribute::LocalPortRange;
        if exact && given.len != size_of::<c_int>() {
            return Err(EINVAL);
        }
        let value = match level {
            // do_ip_setsockopt does not know it.
            libc::IPPROTO_IP if attribute == Attribute::Mtu => return Err(ENOPROTOOPT),
            libc::IPPROTO_IP => given.ip_int()?,
            // Of which do_ipv6_setsockopt does not ask for an int's length.
            libc::IPPROTO_IPV6 if attribute == Attribute::DontFrag && given.len < 4 => 0,
            libc::IPPROTO_IPV6 => given.or_zero(Given::int)?,
            _ => given.int()?,
        };
        attributes::allowed(attribute, value)?;
        let exactly = matches!(attribute, Attribute::UnicastIf | Attribute::UnicastIf6);
        if (given.len == 0 && attributes::needs_value(attribute, level))
            || (exactly && given.len != size_of::<c_int>())
        {
            return Err(EINVAL);
        }
        if attribute == Attribute::BoundIf {
            attributes::may_bind_again(socket)?;
        }
        if attribute == Attribute::BusyPollBudget {
            attributes::may_spend(socket, value)?;
        }
        return Ok(socket.set_option(SockOpt::Number(attribute, value))?);
    }
    let option = match (level, socket.kind()) {
        (libc::SOL_SOCKET, _) => match set_socket(socket, name, given)? {
            Some(option) => option,
            None => return Ok(()),
        },
        (libc::IPPROTO_TCP, (_, Kind::Stream)) => set_tcp(name, given)?,
        (libc::IPPROTO_IP, _) => set_ip(name, given)?,
        (libc::IPPROTO_IPV6, (Domain::V6, _)) => set_ipv6(name, given)?,
        // udp_lib_setsockopt reads an int before it looks at the name, do_rawv6_setsockopt too.
        (libc::IPPROTO_UDP, (_, Kind::Datagram)) | (libc::SOL_RAW, (Domain::V6, Kind::Raw(_))) => {
            return given.int().and(Err(ENOPROTOOPT));
        }
        _ => return Err(ENOPROTOOPT),
    };
    Ok(socket.set_option(option)?)
}

/// SOL_SOCKET (sk_setsockopt). `None`: the descriptor's own affair, and done.
fn set_socket(socket: &SocketFile, name: c_int, given: &Given) -> CResult<Option<SockOpt>> {
    // Whatever the option, an int's worth of bytes is read first.
    let number = given.int()?;
    let on = number != 0;
    Ok(Some(match name {
        libc::SO_REUSEADDR => SockOpt::ReuseAddr(on),
        libc::SO_REUSEPORT => SockOpt::ReusePort(on),
        libc::SO_KEEPALIVE => SockOpt::KeepAlive(on),
        libc::SO_BROADCAST => SockOpt::Broadcast(on),
        libc::SO_OOBINLINE => SockOpt::OobInline(on),
        libc::SO_LINGER => {
            let linger: tunsock_linger = given.of()?;
            let secs = u64::from(linger.l_linger as u32);
            SockOpt::Linger((linger.l_onoff != 0).then(|| Duration::from_secs(secs)))
        }
        // The kernel takes the number as unsigned and clamps it to its limit, so a negative one is the largest.
        libc::SO_SNDBUF => SockOpt::SndBuf(buffer_size(number)),
        libc::SO_RCVBUF => SockOpt::RcvBuf(buffer_size(number)),
        // sk_setsockopt: a negative mark is the largest, 0 is 1.
        libc::SO_RCVLOWAT => SockOpt::RcvLowat(if number < 0 {
            c_int::MAX as usize
        } else {
            number.max(1) as usize
        }),
        // 4 bytes of which all ones are no limit, or 8.
        libc::SO_MAX_PACING_RATE => SockOpt::MaxPacingRate(match (given.len, number) {
            (8.., _) => given.of()?,
            (_, -1) => u64::MAX,
            _ => u64::from(number as u32),
        }),
        libc::SO_RCVTIMEO | SO_RCVTIMEO_NEW => {
            socket.set_recv_timeout(given.time()?);
            return Ok(None);
        }
        libc::SO_SNDTIMEO | SO_SNDTIMEO_NEW => {
            socket.set_send_timeout(given.time()?);
            return Ok(None);
        }
        libc::SO_BUSY_POLL => {
            socket.set_busy_poll(u32::try_from(number).map_err(|_| EINVAL)?);
            return Ok(None);
        }
        // sk_setsockopt: it is from before 2.2, and means nothing any more.
        libc::SO_BSDCOMPAT => return Ok(None),
        // Other families'.
        libc::SO_PASSCRED | libc::SO_PASSSEC | SO_PASSPIDFD | SO_PASSRIGHTS => {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        // SO_TYPE, SO_ERROR and the like can't be set, which Linux says with the same word.
        _ => return Err(ENOPROTOOPT),
    }))
}

/// The size that SO_SNDBUF and SO_RCVBUF ask for, before it is doubled.
fn buffer_size(number: c_int) -> usize {
    usize::try_from(number)
        .unwrap_or(c_int::MAX as usize / 2)
        .min(c_int::MAX as usize / 2)
}

/// IPPROTO_TCP.
fn set_tcp(name: c_int, given: &Given) -> CResult<SockOpt> {
    if name == tcp_options::TCP_FASTOPEN_KEY {
        return set_keys(given);
    }
    if name != libc::TCP_CONGESTION {
        return tcp_options::set_number(name, given.int()?);
    }
    // do_tcp_setsockopt: at least one byte of a name, at most TCP_CA_NAME_MAX - 1 of it.
    if given.len == 0 {
        return Err(EINVAL);
    }
    let mut text = [0u8; tcp_options::NAME_LEN];
    let len = given.len.min(tcp_options::NAME_LEN - 1);
    user::copy_in(&mut text[..len], given.value)?;
    tcp_options::set_congestion(&text)
}

/// TCP_FASTOPEN_KEY: one key or two.
fn set_keys(given: &Given) -> CResult<SockOpt> {
    let mut octets = [0u8; 2 * tcp_options::KEY_LEN];
    let room = match given.len {
        tcp_options::KEY_LEN => &mut octets[..tcp_options::KEY_LEN],
        n if n == octets.len() => &mut octets[..],
        _ => return Err(EINVAL),
    };
    user::copy_in(room, given.value)?;
    Ok(SockOpt::FastOpenKey(FastOpenKeys::new(room)))
}

/// IPPROTO_IP (do_ip_setsockopt).
fn set_ip(name: c_int, given: &Given) -> CResult<SockOpt> {
    match name {
        libc::IP_TTL => {
            // "if (optlen < 1) goto e_inval", then -1 or 1..=255.
            let ttl = if given.len == 0 {
                return Err(EINVAL);
            } else {
                given.ip_int()?
            };
            if ttl == -1 || (1..=255).contains(&ttl) {
                Ok(SockOpt::Ttl(ttl))
            } else {
                Err(EINVAL)
            }
        }
        // The kernel keeps the low eight bits.
        libc::IP_TOS => Ok(SockOpt::Tos(given.ip_int()? as u8)),
        _ => Err(ENOPROTOOPT),
    }
}

/// IPPROTO_IPV6 (do_ipv6_setsockopt).
fn set_ipv6(name: c_int, given: &Given) -> CResult<SockOpt> {
    given.or_zero(|given| set_ipv6_value(name, given))
}

fn set_ipv6_value(name: c_int, given: &Given) -> CResult<SockOpt> {
    match name {
        libc::IPV6_V6ONLY => Ok(SockOpt::V6Only(given.flag()?)),
        libc::IPV6_UNICAST_HOPS => match given.int()? {
            hops @ -1..=255 => Ok(SockOpt::UnicastHops(hops)),
            _ => Err(EINVAL),
        },
        libc::IPV6_TCLASS => match given.int()? {
            // -1 is the default, 0.
            class @ -1..=255 => Ok(SockOpt::TClass(class.max(0) as u8)),
            _ => Err(EINVAL),
        },
        _ => Err(ENOPROTOOPT),
    }
}

fn get(socket: &SocketFile, level: c_int, name: c_int) -> CResult<Value> {
    let of_groups = multicast::get(socket, level, name);
    if let Some(outcome) = of_groups.or_else(|| raw::get(socket, level, name)) {
        return outcome;
    }
    let (domain, kind) = socket.kind();
    if let Some(attribute) =
        attributes::find(level, name, socket.kind()).filter(|a| attributes::readable(*a))
    {
        let value = stack_value(socket, SockOptName::Number(attribute))?;
        return Ok(match value {
            Value::Int(number) if level == libc::IPPROTO_IP => Value::IpInt(number),
            value => value,
        });
    }
    match (level, domain, kind) {
        (libc::SOL_SOCKET, ..) => get_socket(socket, name),
        (libc::IPPROTO_TCP, _, Kind::Stream) if name == libc::TCP_INFO => {
            Ok(Value::Info(tcp_options::info(socket)?))
        }
        (libc::IPPROTO_TCP, _, Kind::Stream) if name == libc::TCP_REPAIR => Ok(Value::Int(0)),
        (libc::IPPROTO_TCP, _, Kind::Stream) if name == libc::TCP_CC_INFO => {
            Ok(Value::CcInfo(tcp_options::congestion_info(socket)?))
        }
        (libc::IPPROTO_TCP, _, Kind::Stream) => stack_value(socket, tcp_options::stack_name(name)?),
        (libc::IPPROTO_IP, ..) => stack_value(
            socket,
            match name {
                libc::IP_TTL => SockOptName::Ttl,
                libc::IP_TOS => SockOptName::Tos,
                _ => return Err(ENOPROTOOPT),
            },
        ),
        (libc::IPPROTO_IPV6, Domain::V6, _) => stack_value(
            socket,
            match name {
                libc::IPV6_V6ONLY => SockOptName::V6Only,
                libc::IPV6_UNICAST_HOPS => SockOptName::UnicastHops,
                libc::IPV6_TCLASS => SockOptName::TClass,
                _ => return Err(ENOPROTOOPT),
            },
        ),
        // The level is one that `reaches`, but has no option of that name.
        _ => Err(ENOPROTOOPT),
    }
}

fn get_socket(socket: &SocketFile, name: c_int) -> CResult<Value> {
    let (domain, kind) = socket.kind();
    let of_stack = match name {
        libc::SO_TYPE => {
            return Ok(Value::Int(match kind {
                Kind::Stream => libc::SOCK_STREAM,
                Kind::Datagram | Kind::Ping => libc::SOCK_DGRAM,
                Kind::Raw(_) => libc::SOCK_RAW,
            }));
        }
        libc::SO_DOMAIN => {
            return Ok(Value::Int(match domain {
                Domain::V4 => libc::AF_INET,
                Domain::V6 => libc::AF_INET6,
            }));
        }
        libc::SO_PROTOCOL => {
            return Ok(Value::Int(match kind {
                Kind::Stream => libc::IPPROTO_TCP,
                Kind::Datagram => libc::IPPROTO_UDP,
                Kind::Raw(protocol) => c_int::from(protocol),
                Kind::Ping if domain == Domain::V4 => libc::IPPROTO_ICMP,
                Kind::Ping => libc::IPPROTO_ICMPV6,
            }));
        }
        libc::SO_ACCEPTCONN => return Ok(Value::Int(c_int::from(socket.listening()))),
        libc::SO_ERROR => {
            return Ok(Value::Int(
                socket.take_error().map_or(0, |error| Errno::from(error).0),
            ));
        }
        libc::SO_RCVTIMEO | SO_RCVTIMEO_NEW => return Ok(Value::Time(socket.recv_timeout())),
        libc::SO_SNDTIMEO | SO_SNDTIMEO_NEW => return Ok(Value::Time(socket.send_timeout())),
        libc::SO_BUSY_POLL => return Ok(Value::Int(socket.busy_poll() as c_int)),
        libc::SO_BSDCOMPAT => return Ok(Value::Int(0)),
        // No queue of a device is anybody's in particular.
        libc::SO_INCOMING_NAPI_ID => return Ok(Value::Int(0)),
        libc::SO_PASSCRED | libc::SO_PASSSEC | SO_PASSPIDFD | SO_PASSRIGHTS => {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        // Nobody's: a peer has no process here.
        libc::SO_PEERCRED => return Ok(Value::Nobody),
        SO_PEERGROUPS | SO_PEERPIDFD => return Err(Errno(libc::ENODATA)),
        // Unique among the stack's sockets, and never 0.
        libc::SO_COOKIE => return Ok(Value::Long(socket.cookie())),
        attributes::SO_MEMINFO => return Ok(Value::Memory(attributes::memory(socket)?)),
        // socket(7): always 1, and not changeable.
        libc::SO_SNDLOWAT => return Ok(Value::Int(1)),
        libc::SO_REUSEADDR => SockOptName::ReuseAddr,
        libc::SO_REUSEPORT => SockOptName::ReusePort,
        libc::SO_KEEPALIVE => SockOptName::KeepAlive,
        libc::SO_BROADCAST => SockOptName::Broadcast,
        libc::SO_OOBINLINE => SockOptName::OobInline,
        libc::SO_LINGER => SockOptName::Linger,
        libc::SO_SNDBUF => SockOptName::SndBuf,
        libc::SO_RCVBUF => SockOptName::RcvBuf,
        libc::SO_RCVLOWAT => SockOptName::RcvLowat,
        libc::SO_MAX_PACING_RATE => SockOptName::MaxPacingRate,
        _ => return Err(ENOPROTOOPT),
    };
    stack_value(socket, of_stack)
}

/// Asks the stack and puts its answer in C's words.
fn stack_value(socket: &SocketFile, name: SockOptName) -> CResult<Value> {
    let count = |n: usize| Value::Int(c_int::try_from(n).unwrap_or(c_int::MAX));
    let number = |n: u32| Value::Int(c_int::try_from(n).unwrap_or(c_int::MAX));
    Ok(match socket.get_option(name)? {
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
        | SockOpt::V6Only(on) => Value::Int(c_int::from(on)),
        SockOpt::Linger(linger) => Value::Linger(linger),
        SockOpt::SndBuf(bytes) | SockOpt::RcvBuf(bytes) | SockOpt::RcvLowat(bytes) => count(bytes),
        SockOpt::KeepIdle(n)
        | SockOpt::KeepIntvl(n)
        | SockOpt::KeepCnt(n)
        | SockOpt::SynCnt(n)
        | SockOpt::UserTimeout(n)
        | SockOpt::WindowClamp(n)
        | SockOpt::FastOpen(n)
        | SockOpt::MaxSeg(n) => number(n),
        SockOpt::FastOpenKey(keys) => Value::Keys(keys),
        SockOpt::NotSentLowat(n) => Value::Int(n as c_int),
        SockOpt::Linger2(n) | SockOpt::DeferAccept(n) => Value::Int(n),
        SockOpt::MaxPacingRate(rate) => Value::Rate(rate),
        SockOpt::Congestion(which) => Value::Name(tcp_options::congestion_name(which)),
        SockOpt::Ttl(ttl) => Value::IpInt(ttl),
        SockOpt::Tos(tos) => Value::IpInt(c_int::from(tos)),
        SockOpt::Number(attribute, value) if attributes::is_pair(attribute) => Value::Pair(value),
        SockOpt::Number(_, value) => Value::Int(value),
        SockOpt::UnicastHops(hops) => Value::Int(hops),
        SockOpt::TClass(class) => Value::Int(c_int::from(class)),
        // `multicast` and `raw` ask for these themselves.
        SockOpt::Multicast(_) | SockOpt::Raw(_) => return Err(ENOPROTOOPT),
    })
}

#[cfg(test)]
#[allow(clippy::undocumented_unsafe_blocks)] // all of it on the test's own memory
mod tests {
    use super::*;

    fn given<T>(value: &T, len: usize) -> Given {
        Given {
            value: (&raw const *value).cast(),
            len,
        }
    }

    #[test]
    fn times_as_linux_takes_them() {
        let time = |tv_sec, tv_usec| given(&tunsock_timeval { tv_sec, tv_usec }, 16).time();
        assert_eq!(time(1, 500_000), Ok(Some(Duration::from_millis(1500))));
        assert_eq!(time(0, 0), Ok(None));
        assert_eq!(time(-1, 0), Ok(Some(Duration::ZERO)));
        assert_eq!(time(0, 1_000_000), Err(Errno(libc::EDOM)));
        assert_eq!(time(0, -1), Err(Errno(libc::EDOM)));
        assert_eq!(given(&0u64, 8).time(), Err(EINVAL));
    }

    #[test]
    fn ranges_of_tcp_options() {
        assert_eq!(tcp_options::set_number(libc::TCP_KEEPIDLE, 0), Err(EINVAL));
        assert_eq!(
            tcp_options::set_number(libc::TCP_KEEPIDLE, 32767),
            Ok(SockOpt::KeepIdle(32767))
        );
        assert_eq!(tcp_options::set_number(libc::TCP_KEEPCNT, 128), Err(EINVAL));
        assert_eq!(
            tcp_options::set_number(libc::TCP_KEEPINTVL, -1),
            Err(EINVAL)
        );
        assert_eq!(tcp_options::set_number(libc::TCP_ULP, 1), Err(ENOPROTOOPT));
    }

    #[test]
    fn ip_options_take_bytes_and_ints() {
        assert_eq!(set_ip(libc::IP_TTL, &given(&64u8, 1)), Ok(SockOpt::Ttl(64)));
        assert_eq!(set_ip(libc::IP_TTL, &given(&0i32, 4)), Err(EINVAL));
        assert_eq!(
            set_ip(libc::IP_TTL, &given(&-1i32, 4)),
            Ok(SockOpt::Ttl(-1))
        );
        assert_eq!(set_ip(libc::IP_TTL, &given(&64i32, 0)), Err(EINVAL));
        assert_eq!(set_ip(libc::IP_HDRINCL, &given(&1i32, 4)), Err(ENOPROTOOPT));
        assert_eq!(set_ipv6(libc::IPV6_V6ONLY, &given(&1u8, 1)), Err(EINVAL));
        let null = Given {
            value: std::ptr::null(),
            len: 4,
        };
        assert_eq!(
            set_ipv6(libc::IPV6_V6ONLY, &null),
            Ok(SockOpt::V6Only(false))
        );
        assert_eq!(set_ip(libc::IP_TOS, &null), Err(Errno(libc::EFAULT)));
    }

    #[test]
    fn values_are_cut_as_linux_cuts_them() {
        let mut out: Room = [0; _];
        assert_eq!(encode(&Value::Int(7), 1, &mut out), 4);
        assert_eq!(encode(&Value::IpInt(64), 1, &mut out), 1);
        assert_eq!(encode(&Value::IpInt(64), 0, &mut out), 4);
        assert_eq!(
            encode(&Value::Linger(Some(Duration::from_secs(3))), 8, &mut out),
            8
        );
        assert_eq!(out[..8], [1i32.to_ne_bytes(), 3i32.to_ne_bytes()].concat());
        assert_eq!(encode(&Value::Time(None), 16, &mut out), 16);
    }
}
