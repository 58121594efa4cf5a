//! The options of IP_MULTICAST_* and IPV6_MULTICAST_* (Linux: do_ip_setsockopt, do_ipv6_setsockopt).

use std::net::{IpAddr, Ipv4Addr};

use crate::error::{Error, Result};
use crate::ip::Iface;
use crate::socket::{Domain, Kind, McOpt, McOptName, SocketId};
use crate::stack::Stack;

/// setsockopt(2).
pub(crate) fn set(stack: &mut Stack, id: SocketId, opt: McOpt) -> Result<()> {
    let chosen = match opt {
        McOpt::If4 { index, addr } => choose4(stack, index, addr)?,
        McOpt::If6(0) => None,
        McOpt::If6(index) => Some(Iface::from_index(index).ok_or(Error::NoDevice)?),
        _ => None,
    };
    let socket = stack.sockets.get_mut(id).ok_or(Error::BadHandle)?;
    let (v6, stream) = (socket.domain == Domain::V6, socket.kind() == Kind::Stream);
    let domain = socket.domain;
    let mc = (socket.multicast).get_or_insert_with(|| Box::new(super::McSocket::new(domain)));
    let [loop4, loop6] = &mut mc.loops;
    let [all4, all6] = &mut mc.all;
    match opt {
        McOpt::Ttl(_) | McOpt::If4 { .. } if stream => return Err(Error::Invalid),
        McOpt::Hops(_) | McOpt::If6(_) if stream => return Err(Error::NoSuchOption),
        McOpt::Hops(_) | McOpt::If6(_) | McOpt::Loop6(_) | McOpt::All6(_) if !v6 => {
            return Err(Error::NoSuchOption);
        }
        McOpt::Ttl(ttl) => mc.ttl = limit(ttl)?,
        McOpt::Hops(hops) => mc.hops = limit(hops)?,
        McOpt::Loop4(on) => *loop4 = on,
        McOpt::Loop6(on) => *loop6 = on,
        McOpt::All4(on) => *all4 = on,
        McOpt::All6(on) => *all6 = on,
        McOpt::If4 { addr, .. } => (mc.iface4, mc.addr4) = (chosen, addr),
        McOpt::If6(_) => mc.iface6 = chosen,
    }
    Ok(())
}

/// getsockopt(2).
pub(crate) fn get(stack: &Stack, id: SocketId, name: McOptName) -> Result<McOpt> {
    let socket = stack.sockets.get(id).ok_or(Error::BadHandle)?;
    let default = super::McSocket::new(socket.domain);
    let mc = socket.multicast.as_deref().unwrap_or(&default);
    let v6 = socket.domain == Domain::V6;
    let index = |iface: Option<Iface>| iface.map_or(0, Iface::index);
    let ([loop4, loop6], [all4, all6]) = (mc.loops, mc.all);
    Ok(match name {
        McOptName::Hops | McOptName::If6 | McOptName::Loop6 | McOptName::All6 if !v6 => {
            return Err(Error::NoSuchOption);
        }
        McOptName::Ttl => McOpt::Ttl(i32::from(mc.ttl)),
        McOptName::Hops => McOpt::Hops(i32::from(mc.hops)),
        McOptName::Loop4 => McOpt::Loop4(loop4),
        McOptName::Loop6 => McOpt::Loop6(loop6),
        McOptName::All4 => McOpt::All4(all4),
        McOptName::All6 => McOpt::All6(all6),
        McOptName::If4 => McOpt::If4 {
            index: index(mc.iface4),
            addr: mc.addr4,
        },
        McOptName::If6 => McOpt::If6(index(mc.iface6)),
    })
}

/// IP_MULTICAST_IF: by number, else by address; neither takes the choice back.
fn choose4(stack: &Stack, index: u32, addr: Ipv4Addr) -> Result<Option<Iface>> {
    if index == 0 && addr.is_unspecified() {
        return Ok(None);
    }
    let iface = match index {
        0 => stack.ip.iface_of(IpAddr::V4(addr)),
        index => Iface::from_index(index),
    };
    iface.map(Some).ok_or(Error::AddressNotAvailable)
}

/// A TTL or hop limit, -1 for the default, 1.
fn limit(value: i32) -> Result<u8> {
    match value {
        -1 => Ok(1),
        value => u8::try_from(value).map_err(|_| Error::Invalid),
    }
}
