//! Socket calls on UDP sockets. Addresses here are the stack's own (never IPv4-mapped).

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use crate::error::{Error, Result};
use crate::ip::{Path, TxMeta, header_len, proto};
use crate::ports::Shape;
use crate::socket::address::check_family;
use crate::socket::table::Socket;
use crate::socket::{Domain, Kind, Ready, Received, RecvFlags, SendFlags, Shutdown, SocketId};
use crate::stack::Stack;
use crate::udp::is_bound;
use crate::wire::checksum;
use crate::wire::udp::{CSUM_OFFSET, HEADER_LEN, Header};
use crate::wire::vnet::{self, VnetHdr};

/// Most data in a datagram over IPv4: 65535 less the headers.
const MAX_V4: usize = 65535 - 20 - HEADER_LEN;
/// Most data in a datagram over IPv6: the payload length counts the UDP header only.
const MAX_V6: usize = 65535 - HEADER_LEN;

/// connect(2) to `peer`. The local address becomes the one that packets to `peer` carry.
pub(crate) fn connect(stack: &mut Stack, id: SocketId, peer: SocketAddr) -> Result<()> {
    let socket = socket(stack, id)?;
    let (bound, broadcast) = (source(socket), socket.opts.broadcast);
    let ip = stack.ip.resolve_unspecified(peer.ip(), bound);
    let peer = SocketAddr::new(ip, peer.port());
    check_family(bound, ip)?;
    let path = stack.ip.path(ip, usable_source(stack, bound))?;
    if stack.ip.is_broadcast(ip) && !broadcast {
        return Err(Error::AccessDenied);
    }
    let socket = socket_mut(stack, id)?;
    if let Some(local) = &mut socket.local
        && local.ip().is_unspecified()
    {
        local.set_ip(path.src);
        stack.ports.update(id, |shape| shape.addr = path.src);
    }
    let socket = socket_mut(stack, id)?;
    socket.peer = Some(peer);
    stack.udp_place(id);
    Ok(())
}

/// connect(2) with AF_UNSPEC (Linux: __udp_disconnect): what bind did not fix is given up.
pub(crate) fn disconnect(stack: &mut Stack, id: SocketId) -> Result<()> {
    let socket = socket_mut(stack, id)?;
    socket.peer = None;
    let wildcard = socket.wildcard();
    let (keep_addr, keep_port) = (socket.addr_locked, socket.port_locked);
    if let Some(local) = &mut socket.local {
        if !keep_addr {
            local.set_ip(wildcard);
        }
        if !keep_port {
            local.set_port(0);
        }
        let ip = local.ip();
        if !keep_port && !keep_addr {
            socket.local = None;
        }
        stack.ports.update(id, |shape| shape.addr = ip);
    }
    if !keep_port {
        stack.ports.release(id);
    }
    stack.udp_place(id);
    Ok(())
}

/// send(2) and its kin: one datagram, or with MSG_MORE a part of one.
pub(crate) fn send(
    stack: &mut Stack,
    id: SocketId,
    data: &[IoSlice<'_>],
    flags: SendFlags,
    dest: Option<SocketAddr>,
) -> Result<usize> {
    // Vectors may name the same memory more than once: the sum can be more than there is.
    let len = data
        .iter()
        .fold(0usize, |len, part| len.saturating_add(part.len()));
    if len > 0xffff {
        return Err(Error::MessageTooLong);
    }
    if flags.contains(SendFlags::OOB) {
        return Err(Error::NotSupported);
    }
    let socket = socket(stack, id)?;
    let corked = socket.udp().and_then(|udp| udp.corked.as_ref());
    let dest = match (corked, dest, socket.peer) {
        (Some((dest, _)), _, _) => *dest,
        (None, Some(dest), _) if dest.port() == 0 => return Err(Error::Invalid),
        (None, Some(dest), _) | (None, None, Some(dest)) => dest,
        (None, None, None) => return Err(Error::DestinationRequired),
    };
    let (bound, broadcast) = (source(socket), socket.opts.broadcast);
    let ip = stack.ip.resolve_unspecified(dest.ip(), bound);
    let dest = SocketAddr::new(ip, dest.port());
    check_family(bound, ip)?;
    let path = stack.ip.path(ip, usable_source(stack, bound))?;
    if stack.ip.is_broadcast(ip) && !broadcast {
        return Err(Error::AccessDenied);
    }
    may_send(stack, id, ip, len)?;
    let udp = socket_mut(stack, id)?.udp_mut();
    let udp = udp.ok_or(Error::NotSupported)?;
    if flags.contains(SendFlags::MORE) || udp.corked.is_some() {
        let (_, held) = udp.corked.get_or_insert_with(|| (dest, Vec::new()));
        for part in data {
            held.extend_from_slice(part);
        }
        if !flags.contains(SendFlags::MORE)
            && let Some((_, whole)) = udp.corked.take()
        {
            emit(stack, id, &path, dest, &[IoSlice::new(&whole)])?;
        }
        return Ok(len);
    }
    emit(stack, id, &path, dest, data)?;
    Ok(len)
}

/// What Linux looks at once the route is known, in its order: length (which costs what was held back), pending error, shutdown.
fn may_send(stack: &mut Stack, id: SocketId, dest: IpAddr, len: usize) -> Result<()> {
    let socket = socket_mut(stack, id)?;
    let pending = socket.pending_error;
    let udp = socket.udp_mut().ok_or(Error::NotSupported)?;
    let limit = if dest.is_ipv4() { MAX_V4 } else { MAX_V6 };
    let held = udp.corked.as_ref().map_or(0, |(_, held)| held.len());
    if held + len > limit {
        udp.corked = None;
        return Err(Error::MessageTooLong);
    }
    let shut = udp.write_shut;
    if let Some(error) = pending {
        socket.pending_error = None;
        return Err(error);
    }
    if shut {
        return Err(Error::BrokenPipe);
    }
    Ok(())
}

/// recv(2) and its kin. `WouldBlock` when nothing waits; 0 bytes from nobody after SHUT_RD.
pub(crate) fn recv(
    stack: &mut Stack,
    id: SocketId,
    bufs: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
) -> Result<Received> {
    let socket = socket_mut(stack, id)?;
    if let Some(error) = socket.pending_error.take() {
        return Err(error);
    }
    let Some(udp) = socket.udp_mut() else {
        return Err(Error::NotSupported);
    };
    match udp.queue.read(bufs, flags.contains(RecvFlags::PEEK)) {
        Some((from, len, full_len)) => Ok(Received {
            len,
            full_len,
            from: Some(from),
            oob: false,
        }),
        None if udp.read_shut => Ok(Received::default()),
        None => Err(Error::WouldBlock),
    }
}

/// shutdown(2). Linux inet_shutdown: an unconnected socket is told ENOTCONN, and shut down nevertheless.
pub(crate) fn shutdown(stack: &mut Stack, id: SocketId, how: Shutdown) -> Result<()> {
    let socket = socket_mut(stack, id)?;
    let connected = socket.peer.is_some();
    if let Some(udp) = socket.udp_mut() {
        udp.read_shut |= how != Shutdown::Write;
        udp.write_shut |= how != Shutdown::Read;
    }
    let ready = readiness(stack, id);
    stack.notify(id, ready);
    if connected {
        Ok(())
    } else {
        Err(Error::NotConnected)
    }
}

/// close(2): the socket is gone at once.
pub(crate) fn close(stack: &mut Stack, id: SocketId) {
    if let Some(socket) = stack.sockets.get_mut(id) {
        socket.local = None;
        socket.peer = None;
        stack.udp_place(id);
    }
    stack.forget(id);
}

/// Linux datagram_poll.
pub(crate) fn readiness(stack: &Stack, id: SocketId) -> Ready {
    let Some(socket) = stack.sockets.get(id) else {
        return Ready::ERR | Ready::HUP;
    };
    let Some(udp) = socket.udp() else {
        return Ready::empty();
    };
    let mut ready = Ready::OUT;
    ready.set(Ready::ERR, socket.pending_error.is_some());
    ready.set(Ready::IN, !udp.queue.is_empty() || udp.read_shut);
    ready.set(Ready::RDHUP, udp.read_shut);
    ready.set(Ready::HUP, udp.read_shut && udp.write_shut);
    ready
}

/// A port for a socket that has none. Linux inet_dgram_connect and inet_send_prepare do this first, and what fails afterwards
/// leaves the socket bound.
pub(crate) fn autobind(stack: &mut Stack, id: SocketId) -> Result<()> {
    let socket = socket(stack, id)?;
    if is_bound(socket) {
        return Ok(());
    }
    let ip = socket.local.map_or(socket.wildcard(), |local| local.ip());
    bind(stack, id, SocketAddr::new(ip, 0)).map_err(|error| match error {
        // Linux: inet_autobind answers EAGAIN when no port is left.
        Error::AddressInUse => Error::WouldBlock,
        other => other,
    })
}

/// Takes the port and enters the tables; the address has been checked.
pub(crate) fn bind(stack: &mut Stack, id: SocketId, addr: SocketAddr) -> Result<()> {
    let socket = socket(stack, id)?;
    let opts = &socket.opts;
    let v6only = socket.domain == Domain::V6 && opts.v6only;
    let shape = Shape::new(addr.ip(), v6only, opts.reuse_addr, opts.reuse_port);
    let port = stack.ports.bind(Kind::Datagram, id, shape, addr.port())?;
    let socket = socket_mut(stack, id)?;
    socket.local = Some(SocketAddr::new(addr.ip(), port));
    stack.udp_place(id);
    Ok(())
}

fn socket(stack: &Stack, id: SocketId) -> Result<&Socket> {
    stack.sockets.get(id).ok_or(Error::BadHandle)
}

fn socket_mut(stack: &mut Stack, id: SocketId) -> Result<&mut Socket> {
    stack.sockets.get_mut(id).ok_or(Error::BadHandle)
}

/// The address that the socket is bound to, with wildcards as they are.
fn source(socket: &Socket) -> Option<IpAddr> {
    socket.local.map(|local| local.ip())
}

/// The source that packets must carry. A socket bound to a broadcast or group address sends from the device's own (Linux:
/// inet_saddr is 0 then).
fn usable_source(stack: &Stack, bound: Option<IpAddr>) -> Option<IpAddr> {
    bound.filter(|ip| !ip.is_unspecified() && !ip.is_multicast() && !stack.ip.is_broadcast(*ip))
}

/// Builds the packet and queues it: in one piece with don't-fragment (Linux: ip_dont_fragment under IP_PMTUDISC_WANT), else cut.
fn emit(
    stack: &mut Stack,
    id: SocketId,
    path: &Path,
    dest: SocketAddr,
    data: &[IoSlice<'_>],
) -> Result<()> {
    let socket = socket(stack, id)?;
    let (ttl, tos) = socket.opts.ttl_tos(dest.ip());
    // RFC 1112 6.1: groups are not left without being told to.
    let ttl = if dest.ip().is_multicast() { 1 } else { ttl };
    let meta = TxMeta {
        src: path.src,
        dst: dest.ip(),
        proto: proto::UDP,
        ttl,
        tos,
        df: true,
    };
    let len = HEADER_LEN + data.iter().map(|part| part.len()).sum::<usize>();
    let header = Header {
        src_port: socket.local.map_or(0, |local| local.port()),
        dst_port: dest.port(),
        len,
        checksum: 0,
    };
    if !stack.ip.fits(&meta, len, path.mtu) {
        return emit_fragments(stack, &meta, &header, data, path.mtu);
    }
    // Round inside nobody looks at the checksum; the device may be able to finish it.
    let partial = path.local || stack.ip.offload().csum;
    let ip_len = header_len(meta.dst);
    let vnet = if partial {
        VnetHdr {
            flags: vnet::NEEDS_CSUM,
            csum_start: ip_len as u16,
            csum_offset: CSUM_OFFSET as u16,
            ..VnetHdr::default()
        }
    } else {
        VnetHdr::default()
    };
    let mut frame = stack.ip.start_frame(&vnet, &meta, len);
    let at = frame.len();
    append(&mut frame, &header, data);
    set_checksum(&mut frame, at, &meta, len, partial);
    stack.ip.push(meta.dst, frame)
}

fn emit_fragments(
    stack: &mut Stack,
    meta: &TxMeta,
    header: &Header,
    data: &[IoSlice<'_>],
    mtu: u32,
) -> Result<()> {
    let mut whole = stack.ip.queue().buffer();
    append(&mut whole, header, data);
    set_checksum(&mut whole, 0, meta, header.len, false);
    let result = stack.ip.send_fragments(meta, &whole, mtu);
    stack.ip.queue().recycle(whole);
    result
}

fn append(frame: &mut Vec<u8>, header: &Header, data: &[IoSlice<'_>]) {
    frame.extend_from_slice(&header.emit());
    for part in data {
        frame.extend_from_slice(part);
    }
}

/// Fills in the checksum of the datagram at `at`: complete, or only the pseudo-header's sum for whoever finishes it.
fn set_checksum(frame: &mut [u8], at: usize, meta: &TxMeta, len: usize, partial: bool) {
    let Some(datagram) = frame.get_mut(at..) else {
        return;
    };
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let pseudo = checksum::pseudo_header(meta.src, meta.dst, proto::UDP, len);
    let value = if partial {
        pseudo.partial()
    } else {
        // RFC 768: a computed zero is sent as all ones.
        match pseudo.add(datagram).finish() {
            0 => 0xffff,
            sum => sum,
        }
    };
    crate::wire::put16(datagram, CSUM_OFFSET, value);
}
