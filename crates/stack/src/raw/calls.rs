//! Socket calls on raw and ping sockets. Receiving, readiness and shutdown are those of UDP.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::IPPROTO_RAW;
use crate::error::{Error, Result};
use crate::ip::options::insert;
use crate::ip::{Path, TxMeta};
use crate::socket::control::{self, SendControl};
use crate::socket::{Domain, Kind, SendFlags, SocketId};
use crate::stack::Stack;
use crate::udp::output;
use crate::wire::vnet::VnetHdr;
use crate::wire::{checksum, ipv4, ipv6, put16};

/// Bytes of the smallest echo request.
const ECHO_LEN: usize = 8;

/// bind(2); the address has been checked to be ours. A raw socket may be bound again, a ping socket may not.
pub(crate) fn bind(stack: &mut Stack, id: SocketId, addr: SocketAddr) -> Result<()> {
    let socket = stack.get(id)?;
    let port = match socket.kind() {
        Kind::Raw(_) => socket.local().map_or(0, |local| local.port()),
        _ => {
            // Linux ping_get_port: identifiers are one space, whatever the address and the family.
            let shape = socket.shape(Ipv4Addr::UNSPECIFIED.into());
            stack.ports.bind(Kind::Ping, id, shape, addr.port(), 0)?
        }
    };
    let socket = stack.get_mut(id)?;
    socket.set_local(Some(SocketAddr::new(addr.ip(), port)));
    stack.ping_place(id);
    Ok(())
}

/// An identifier for a ping socket that has none; Linux does this before it connects or sends.
pub(crate) fn autobind(stack: &mut Stack, id: SocketId) -> Result<()> {
    let socket = stack.get(id)?;
    let ip = socket.local().map_or(socket.wildcard(), |local| local.ip());
    if socket.kind() != Kind::Ping || socket.local().is_some_and(|local| local.port() != 0) {
        return Ok(());
    }
    bind(stack, id, SocketAddr::new(ip, 0)).map_err(|error| match error {
        Error::AddressInUse => Error::NoPort,
        other => other,
    })
}

/// connect(2) (Linux: __ip4_datagram_connect). The local address becomes the one that packets to `peer` carry.
pub(crate) fn connect(stack: &mut Stack, id: SocketId, peer: SocketAddr) -> Result<()> {
    let socket = stack.get(id)?;
    let broadcast = socket.opts.broadcast;
    let bound = socket.local().map(|local| local.ip());
    let ip = stack.ip.resolve_unspecified(peer.ip(), bound);
    let path = stack.path_of(id, ip)?;
    if stack.ip.is_broadcast(ip) && !broadcast {
        return Err(Error::AccessDenied);
    }
    let socket = stack.get_mut(id)?;
    socket.set_peer(Some(SocketAddr::new(ip, peer.port())));
    if let Some(local) = socket.local()
        && local.ip().is_unspecified()
    {
        socket.set_local(Some(SocketAddr::new(path.src, local.port())));
    }
    Ok(())
}

/// connect(2) with AF_UNSPEC: the peer is forgotten, and an address that bind did not fix.
pub(crate) fn disconnect(stack: &mut Stack, id: SocketId) -> Result<()> {
    let socket = stack.get_mut(id)?;
    socket.set_peer(None);
    let (wildcard, keep) = (socket.wildcard(), socket.addr_locked);
    if let Some(local) = socket.local()
        && !keep
    {
        socket.set_local(Some(SocketAddr::new(wildcard, local.port())));
    }
    let ping = socket.kind() == Kind::Ping;
    if ping && !socket.port_locked {
        if let Some(local) = socket.local() {
            socket.set_local(Some(SocketAddr::new(local.ip(), 0)));
        }
        stack.ports.release(id);
        stack.ping_place(id);
    }
    Ok(())
}

/// close(2): the socket is gone at once.
pub(crate) fn close(stack: &mut Stack, id: SocketId) {
    stack.raw_leave(id);
    stack.forget(id);
}

/// send(2) and its kin: one packet (Linux: raw_sendmsg, rawv6_sendmsg, ping_v4_sendmsg, ping_v6_sendmsg).
pub(crate) fn send(
    stack: &mut Stack,
    id: SocketId,
    data: &[IoSlice<'_>],
    flags: SendFlags,
    dest: Option<SocketAddr>,
    control: &SendControl,
) -> Result<usize> {
    // rawv6_sendmsg asks whether there is a destination first, raw_sendmsg how long it is.
    let socket = stack.get(id)?;
    if socket.domain == Domain::V6 && dest.is_none() && socket.peer().is_none() {
        return Err(Error::DestinationRequired);
    }
    let len = control::datagram_len(data)?;
    if flags.contains(SendFlags::OOB) {
        return Err(Error::NotSupported);
    }
    // One copy: checksums are put into it, and it may have to be cut.
    let mut bytes = stack.ip.queue().buffer();
    for part in data {
        bytes.extend_from_slice(part);
    }
    let result = send_bytes(stack, id, &mut bytes, dest, control);
    stack.ip.queue().recycle(bytes);
    result.map(|()| len)
}

fn send_bytes(
    stack: &mut Stack,
    id: SocketId,
    bytes: &mut [u8],
    dest: Option<SocketAddr>,
    control: &SendControl,
) -> Result<()> {
    let socket = stack.get(id)?;
    let (domain, kind, broadcast) = (socket.domain, socket.kind(), socket.opts.broadcast);
    let raw = socket.raw().ok_or(Error::NotSupported)?;
    let (hdrincl, offset) = (raw.hdrincl, raw.checksum);
    let own = raw.protocol(domain);
    if kind == Kind::Ping {
        check_echo(domain, bytes)?;
    }
    // rawv6_sendmsg: the port of a destination names the protocol.
    let protocol = match (kind, domain, dest.map_or(0, |dest| dest.port())) {
        (Kind::Raw(_), Domain::V6, port) if port != 0 && port != u16::from(own) => {
            if own != IPPROTO_RAW {
                return Err(Error::Invalid);
            }
            u8::try_from(port).map_err(|_| Error::Invalid)?
        }
        _ => own,
    };
    let peer = socket.peer();
    let to = dest.or(peer).ok_or(Error::DestinationRequired)?.ip();
    let stamps = control.timestamping(socket)?;
    let bound = socket.local().map(|local| local.ip());
    let ident = socket.local().map_or(0, |local| local.port());
    let to = stack.ip.resolve_unspecified(to, bound);
    let path = output::path(stack, id, control, to)?;
    if stack.ip.is_broadcast(to) && !broadcast {
        return Err(Error::AccessDenied);
    }
    if hdrincl {
        may_be_whole(&path, to, bytes)?;
    }
    let socket = stack.get_mut(id)?;
    // __ip_append_data allocates for raw sockets (transhdrlen 0) without a look at the socket's state.
    if hdrincl || kind == Kind::Ping {
        if let Some(error) = socket.pending_error.take() {
            return Err(error);
        }
        if socket.udp().is_some_and(|inbox| inbox.write_shut) {
            return Err(Error::BrokenPipe);
        }
    }
    if hdrincl {
        send_whole(stack, &path, to, bytes)?;
        output::stamp(stack, id, &path, to, control, stamps, || bytes.to_vec());
        return Ok(());
    }
    if kind == Kind::Ping {
        put16(bytes, 4, ident);
        finish_echo(&path, to, bytes);
    } else if let Some(offset) = offset {
        finish_checksum(&path, to, protocol, usize::from(offset), bytes)?;
    }
    let limits = output::limits(stack, stack.get(id)?, &path, to);
    let (ttl, tos) = stack.ttl_tos_of(id, to);
    let mut meta = TxMeta {
        src: path.src,
        dst: to,
        proto: protocol,
        ttl: control.ttl.unwrap_or(ttl),
        tos: control.tos.unwrap_or(tos),
        df: limits.df,
    };
    let options = stack.options_from(stack.get(id)?, path.src);
    if stack
        .ip
        .fits(&meta, bytes.len() + options.len(), limits.mtu)
    {
        let mut frame = stack
            .ip
            .start_frame(&VnetHdr::default(), &meta, bytes.len());
        frame.extend_from_slice(bytes);
        insert(&mut frame, &options);
        stack.ip.push(path.via, frame)?;
    } else if limits.cut {
        meta.df = false;
        stack
            .ip
            .send_fragments(&meta, bytes, limits.mtu, path.via, &options)?;
    } else {
        output::too_long(stack, id, SocketAddr::new(to, 0), limits.mtu);
        return Err(Error::MessageTooLong);
    }
    output::stamp(stack, id, &path, to, control, stamps, || bytes.to_vec());
    Ok(())
}

/// ping_common_sendmsg: nothing but echo requests.
fn check_echo(domain: Domain, bytes: &[u8]) -> Result<()> {
    let echo = match domain {
        Domain::V4 => 8,
        Domain::V6 => 128,
    };
    match bytes {
        _ if bytes.len() < ECHO_LEN => Err(Error::Invalid),
        [kind, 0, ..] if *kind == echo => Ok(()),
        _ => Err(Error::Invalid),
    }
}

fn finish_echo(path: &Path, to: IpAddr, bytes: &mut [u8]) {
    put16(bytes, 2, 0);
    let sum = match to {
        IpAddr::V4(_) => checksum::of(bytes),
        IpAddr::V6(_) => {
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            checksum::pseudo_header(path.src, to, crate::ip::proto::ICMPV6, len)
                .add(bytes)
                .finish()
        }
    };
    put16(bytes, 2, sum);
}

/// IPV6_CHECKSUM, RFC 3542 3.1 (Linux: rawv6_push_pending_frames).
fn finish_checksum(
    path: &Path,
    to: IpAddr,
    protocol: u8,
    at: usize,
    bytes: &mut [u8],
) -> Result<()> {
    if at + 1 >= bytes.len() {
        return Err(Error::Invalid);
    }
    put16(bytes, at, 0);
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let sum = checksum::pseudo_header(path.src, to, protocol, len).add(bytes);
    let value = match sum.finish() {
        0 if protocol == crate::ip::proto::UDP => 0xffff,
        sum => sum,
    };
    put16(bytes, at, value);
    Ok(())
}

/// Whether a packet with its header has a size that can go (raw_send_hdrinc, rawv6_send_hdrinc).
fn may_be_whole(path: &Path, to: IpAddr, bytes: &[u8]) -> Result<()> {
    let least = match to {
        IpAddr::V4(_) => ipv4::HEADER_LEN,
        IpAddr::V6(_) => ipv6::HEADER_LEN,
    };
    if bytes.len() > path.mtu as usize {
        return Err(Error::MessageTooLong);
    }
    if bytes.len() < least {
        return Err(Error::Invalid);
    }
    Ok(())
}

/// IP_HDRINCL (Linux: raw_send_hdrinc): the packet is the program's, but for what raw(7) says is filled in.
fn send_whole(stack: &mut Stack, path: &Path, to: IpAddr, bytes: &mut [u8]) -> Result<()> {
    if let IpAddr::V4(src) = path.src {
        let header_len = usize::from(bytes.first().copied().unwrap_or(0) & 0x0f) * 4;
        if header_len > bytes.len() || header_len < ipv4::HEADER_LEN {
            return Err(Error::Invalid);
        }
        fill_header(stack, src, to, bytes, header_len);
    }
    let mut frame = stack.ip.queue().buffer();
    frame.extend_from_slice(&VnetHdr::default().emit());
    frame.extend_from_slice(bytes);
    stack.ip.push(path.via, frame)
}

/// raw(7): checksum and total length always, source and identification when they are 0.
fn fill_header(stack: &mut Stack, src: Ipv4Addr, to: IpAddr, bytes: &mut [u8], header_len: usize) {
    let total = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    put16(bytes, 2, total);
    if crate::wire::be32(bytes, 12) == 0 {
        crate::wire::put32(bytes, 12, u32::from(src));
    }
    if crate::wire::be16(bytes, 4) == 0 {
        let protocol = bytes.get(9).copied().unwrap_or(0);
        let id = stack.ip.identification(src.into(), to, protocol);
        put16(bytes, 4, id);
    }
    put16(bytes, 10, 0);
    let sum = checksum::of(bytes.get(..header_len).unwrap_or_default());
    put16(bytes, 10, sum);
}
