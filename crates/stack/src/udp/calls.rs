//! Socket calls on UDP sockets. Addresses here are the stack's own (never IPv4-mapped).

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use crate::error::{Error, Result};
use crate::ip::Path;
use crate::socket::address::outward;
use crate::socket::attribute::Attribute;
use crate::socket::control::{self, Controls, SendControl};
use crate::socket::table::{Proto, Socket};
use crate::socket::{Domain, Ready, Received, RecvFlags, SendFlags, Shutdown, SocketId};
use crate::stack::Stack;
use crate::udp::output::{self, Datagram};
use crate::udp::queue::Read;
use crate::udp::{Corked, Way, is_bound};
use crate::wire::udp::HEADER_LEN;

/// Most data in a datagram over IPv4: 65535 less the headers.
const MAX_V4: usize = 65535 - 20 - HEADER_LEN;
/// Most data in a datagram over IPv6: the payload length counts the UDP header only.
const MAX_V6: usize = 65535 - HEADER_LEN;

/// connect(2) to `peer`. The local address becomes the one that packets to `peer` carry.
pub(crate) fn connect(stack: &mut Stack, id: SocketId, peer: SocketAddr) -> Result<()> {
    let socket = stack.get(id)?;
    let (bound, broadcast) = (source(socket), socket.opts.broadcast);
    let ip = stack.ip.resolve_unspecified(peer.ip(), bound);
    let peer = SocketAddr::new(ip, peer.port());
    let path = stack.path_of(id, ip)?;
    if stack.ip.is_broadcast(ip) && !broadcast {
        return Err(Error::AccessDenied);
    }
    let socket = stack.get_mut(id)?;
    if let Some(local) = socket.local()
        && local.ip().is_unspecified()
    {
        socket.set_local(Some(SocketAddr::new(path.src, local.port())));
        stack.ports.update(id, |shape| shape.addr = path.src);
    }
    let socket = stack.get_mut(id)?;
    socket.set_peer(Some(peer));
    stack.udp_place(id);
    Ok(())
}

/// connect(2) with AF_UNSPEC (Linux: __udp_disconnect): what bind did not fix is given up.
pub(crate) fn disconnect(stack: &mut Stack, id: SocketId) -> Result<()> {
    let socket = stack.get_mut(id)?;
    socket.set_peer(None);
    let wildcard = socket.wildcard();
    let (keep_addr, keep_port) = (socket.addr_locked, socket.port_locked);
    if let Some(local) = socket.local() {
        let ip = if keep_addr { local.ip() } else { wildcard };
        let port = if keep_port { local.port() } else { 0 };
        let keeps = keep_port || keep_addr;
        socket.set_local(keeps.then_some(SocketAddr::new(ip, port)));
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
    control: &SendControl,
) -> Result<usize> {
    let len = control::datagram_len(data);
    let socket = stack.get(id)?;
    if socket.domain == Domain::V4 {
        len?;
    }
    let corked = socket.udp().and_then(|udp| udp.corked.as_deref());
    let dest = match (corked, dest, socket.peer()) {
        (Some(corked), _, _) => corked.dest,
        (None, Some(dest), _) if dest.port() == 0 => return Err(Error::Invalid),
        // udpv6_sendmsg names an IPv4 peer to udp_sendmsg, which looks at its port.
        (None, None, Some(peer))
            if peer.port() == 0 && peer.is_ipv4() && socket.domain == Domain::V6 =>
        {
            return Err(Error::Invalid);
        }
        (None, Some(dest), _) | (None, None, Some(dest)) => dest,
        (None, None, None) => return Err(Error::DestinationRequired),
    };
    let len = len?;
    // udp_sendmsg; udpv6_sendmsg does not look at it.
    if flags.contains(SendFlags::OOB) && dest.is_ipv4() {
        return Err(Error::NotSupported);
    }
    // The first part's control messages are the datagram's.
    let first = corked.map(|corked| corked.control);
    let control = first.as_ref().unwrap_or(control);
    let stamps = control.timestamping(socket)?;
    let ip = stack.ip.resolve_unspecified(dest.ip(), source(socket));
    let dest = SocketAddr::new(ip, dest.port());
    let path = way(stack, id, control, ip)?;
    let socket = may_send(stack, id, &path, dest, len)?;
    let more = flags.contains(SendFlags::MORE) || socket.has(Attribute::UdpCork);
    let udp = socket.udp_mut().ok_or(Error::NotSupported)?;
    let send = Datagram {
        path,
        dest,
        control,
        stamps,
    };
    if more || udp.corked.is_some() {
        let corked = udp.corked.get_or_insert_with(|| {
            Box::new(Corked {
                dest,
                control: *control,
                data: Vec::new(),
            })
        });
        for part in data {
            corked.data.extend_from_slice(part);
        }
        if !more && let Some(whole) = udp.corked.take() {
            output::send(stack, id, &send, &[IoSlice::new(&whole.data)])?;
        }
    } else {
        output::send(stack, id, &send, data)?;
        stack.udp_learn(id, dest);
    }
    if flags.contains(SendFlags::ZEROCOPY) && len > 0 {
        output::zerocopy(stack, id);
    }
    Ok(len)
}

/// The way of a datagram to `dst`: where the last one went there too, that one's. `AccessDenied`: to a broadcast address without
/// SO_BROADCAST.
fn way(stack: &mut Stack, id: SocketId, control: &SendControl, dst: IpAddr) -> Result<Path> {
    let version = stack.ip.version();
    let plain = control.source.is_none() && !control.dont_route;
    let socket = stack.get(id)?;
    let broadcast = socket.opts.broadcast;
    if plain
        && let Some(way) = socket.udp().and_then(|udp| udp.way)
        && way.dst == dst
        && way.version == version
    {
        return Ok(way.path);
    }
    let path = output::path(stack, id, control, dst)?;
    if stack.ip.is_broadcast(dst) && !broadcast {
        return Err(Error::AccessDenied);
    }
    // The ways to groups change with who is in them.
    if plain && !dst.is_multicast() && stack.ip.lasts(dst) {
        let way = Way { dst, path, version };
        (stack.get_mut(id)?.udp_mut())
            .ok_or(Error::NotSupported)?
            .way = Some(way);
    }
    Ok(path)
}

/// UDP_CORK is taken out: what was held back goes (udp_push_pending_frames).
pub(crate) fn uncork(stack: &mut Stack, id: SocketId) -> Result<()> {
    let socket = stack.get_mut(id)?;
    if let Some(extra) = socket.extra.as_deref_mut() {
        extra.opts.uncork();
    }
    let Some(corked) = socket.udp_mut().and_then(|udp| udp.corked.take()) else {
        return Ok(());
    };
    let Corked {
        dest,
        control,
        data,
    } = *corked;
    let stamps = control.timestamping(socket)?;
    let path = output::path(stack, id, &control, dest.ip())?;
    let send = Datagram {
        path,
        dest,
        control: &control,
        stamps,
    };
    // As there a failure is not the option's: the datagram is lost.
    let _ = output::send(stack, id, &send, &[IoSlice::new(&data)]);
    Ok(())
}

/// What Linux looks at once the route is known, in its order: length (which costs what was held back), pending error, shutdown.
fn may_send<'a>(
    stack: &'a mut Stack,
    id: SocketId,
    path: &Path,
    dest: SocketAddr,
    len: usize,
) -> Result<&'a mut Socket> {
    let socket = stack.get_mut(id)?;
    let udp = socket.udp_mut().ok_or(Error::NotSupported)?;
    let limit = if dest.is_ipv4() { MAX_V4 } else { MAX_V6 };
    let held = udp.corked.as_ref().map_or(0, |held| held.data.len());
    if held + len > limit {
        udp.corked = None;
        output::too_long(stack, id, dest, path.mtu);
        return Err(Error::MessageTooLong);
    }
    let shut = udp.write_shut;
    if let Some(error) = socket.pending_error.take() {
        return Err(error);
    }
    if shut {
        return Err(Error::BrokenPipe);
    }
    stack.get_mut(id)
}

/// [`recv`] without flags and control messages on a UDP socket that has no rare options, so no offset of peeks. `None`: it is another.
#[inline]
pub(crate) fn recv_directly(
    stack: &mut Stack,
    id: SocketId,
    bufs: &mut [IoSliceMut<'_>],
) -> Option<Result<Received>> {
    let socket = stack.sockets.get_mut(id)?;
    let Proto::Udp(udp) = &mut socket.proto else {
        return None;
    };
    if socket.extra.is_some() || socket.pending_error.is_some() || udp.read_shut {
        return None;
    }
    let mut received = Received::default();
    let Some(at) = udp.queue.read_plain(bufs, &mut received) else {
        return Some(Err(Error::WouldBlock));
    };
    udp.last_stamp = Some(at);
    if socket.domain == Domain::V6 {
        received.from = received.from.map(|from| outward(Domain::V6, from));
    }
    Some(Ok(received))
}

/// recv(2) and its kin. `WouldBlock` when nothing waits; 0 bytes from nobody after SHUT_RD.
pub(crate) fn recv(
    stack: &mut Stack,
    id: SocketId,
    bufs: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
    controls: Option<&mut Controls>,
) -> Result<Received> {
    let socket = stack.get_mut(id)?;
    if let Some(error) = socket.pending_error.take() {
        return Err(error);
    }
    let peeks = flags.contains(RecvFlags::PEEK);
    let offset = socket.peek_offset();
    let Some(udp) = socket.udp_mut() else {
        return Err(Error::NotSupported);
    };
    let read = match peeks {
        true => udp.queue.peek(bufs, offset),
        false => udp.queue.read(bufs),
    };
    match read {
        Some(read) => {
            let Read {
                head, copied, cut, ..
            } = read;
            udp.last_stamp = Some(head.arrival.at);
            // skb_consume_udp: by what the call returns, which MSG_TRUNC makes the whole.
            let moved = match flags.contains(RecvFlags::TRUNC) {
                true => head.len,
                false => copied,
            };
            socket.move_peek_offset(peeks, moved);
            if let Some(out) = controls
                && let Some(socket) = stack.sockets.get(id)
                && let Some(opts) = socket.extra_opts()
            {
                let local = stack.ip.local_for(head.arrival.dst.ip());
                control::of_datagram(socket.domain, opts, &read, local, out);
            }
            Ok(Received {
                len: copied,
                full_len: head.len,
                from: Some(head.from),
                oob: false,
                cut,
            })
        }
        None if udp.read_shut => Ok(Received::default()),
        None => Err(Error::WouldBlock),
    }
}

/// shutdown(2). Linux inet_shutdown: an unconnected socket is told ENOTCONN, and shut down nevertheless.
pub(crate) fn shutdown(stack: &mut Stack, id: SocketId, how: Shutdown) -> Result<()> {
    let socket = stack.get_mut(id)?;
    let connected = socket.peer().is_some();
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
        socket.set_local(None);
        socket.set_peer(None);
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
    let mut ready = Ready::OUT | Ready::BAND;
    let reports = socket.has_reports();
    ready.set(Ready::ERR, socket.pending_error.is_some() || reports);
    let urgent = ready.contains(Ready::ERR) && socket.has(Attribute::SelectErrQueue);
    ready.set(Ready::PRI, urgent);
    ready.set(Ready::IN, !udp.queue.is_empty() || udp.read_shut);
    ready.set(Ready::RDHUP, udp.read_shut);
    ready.set(Ready::HUP, udp.read_shut && udp.write_shut);
    ready
}

/// A port for a socket that has none. Linux inet_dgram_connect and inet_send_prepare do this first, and what fails afterwards
/// leaves the socket bound.
pub(crate) fn autobind(stack: &mut Stack, id: SocketId) -> Result<()> {
    let socket = stack.get(id)?;
    if is_bound(socket) {
        return Ok(());
    }
    let ip = socket.local().map_or(socket.wildcard(), |local| local.ip());
    bind(stack, id, SocketAddr::new(ip, 0)).map_err(|error| match error {
        // Linux: inet_autobind answers EAGAIN when no port is left.
        Error::AddressInUse => Error::NoPort,
        other => other,
    })
}

/// Takes the port and enters the tables; the address has been checked.
pub(crate) fn bind(stack: &mut Stack, id: SocketId, addr: SocketAddr) -> Result<()> {
    let port = stack.bind_port(id, addr)?;
    let socket = stack.get_mut(id)?;
    socket.set_local(Some(SocketAddr::new(addr.ip(), port)));
    stack.udp_place(id);
    Ok(())
}

/// The address that the socket is bound to, with wildcards as they are.
fn source(socket: &Socket) -> Option<IpAddr> {
    socket.local().map(|local| local.ip())
}
