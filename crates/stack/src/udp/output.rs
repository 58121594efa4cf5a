//! Datagrams out: which source and which size they may have, headers, checksums, time stamps.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::ip::options::insert;
use crate::ip::{Iface, Path, TxMeta, header_len, proto};
use crate::socket::attribute::{Attribute, pmtu, sof};
use crate::socket::control::{Arrival, SendControl};
use crate::socket::errqueue::{SCHEDULED, SENT, ZEROCOPY_MAX, stamp_report};
use crate::socket::table::Socket;
use crate::socket::{Ready, SocketId};
use crate::stack::Stack;
use crate::wire::checksum;
use crate::wire::ip_options::Octets;
use crate::wire::udp::{CSUM_OFFSET, HEADER_LEN, Header};
use crate::wire::vnet::{self, VnetHdr};

/// Most datagrams that one send with UDP_SEGMENT makes (UDP_MAX_SEGMENTS).
const SEGMENTS_MAX: usize = 128;

/// A send call whose destination and route are settled.
pub(super) struct Datagram<'a> {
    /// The route.
    pub(super) path: Path,
    /// Where to.
    pub(super) dest: SocketAddr,
    /// What control messages ask for.
    pub(super) control: &'a SendControl,
    /// `SOF_TIMESTAMPING_*` asked for.
    pub(super) stamps: u32,
}

/// The packets' properties: options and control messages put together.
pub(super) struct Dress {
    /// What the IP header says.
    pub(super) meta: TxMeta,
    /// Bytes of the largest packet.
    pub(super) mtu: u32,
    /// What is longer goes in fragments; otherwise it is refused.
    cut: bool,
    /// SO_NO_CHECK.
    pub(super) no_check: bool,
    /// Our port.
    pub(super) src_port: u16,
    /// IP_OPTIONS.
    pub(super) options: Octets,
}

/// The way of a datagram to `dst`: from IP_PKTINFO's source, which must be ours, and by its interface where that is a choice.
pub(crate) fn path(
    stack: &Stack,
    id: SocketId,
    control: &SendControl,
    dst: IpAddr,
) -> Result<Path> {
    let Some((ip, interface)) = control.source else {
        return stack.path_from(id, dst, None, None, control.dont_route);
    };
    let iface = match interface {
        0 => Ok(None),
        index => Iface::from_index(index).map(Some).ok_or(Error::NoDevice),
    };
    // ip_route_output_key_hash_rcu looks at the source first.
    if dst.is_ipv6() {
        iface?;
    }
    // ip6_datagram_send_ctl: not another one than the socket's.
    let bound = stack.sockets.get(id).map_or(0, Socket::bound_if);
    if dst.is_ipv6() && interface != 0 && bound != 0 && bound != interface {
        return Err(Error::Invalid);
    }
    let from = Some(ip).filter(|ip| !ip.is_unspecified());
    if let Some(ip) = from {
        let socket = stack.sockets.get(id).ok_or(Error::BadHandle)?;
        if ip.is_ipv4() != dst.is_ipv4() {
            return Err(Error::Invalid);
        }
        // ipv6_chk_addr_and_flags: the loopback's own address is on no other interface.
        let elsewhere = ip.is_ipv6() && ip.is_loopback() && iface == Ok(Some(Iface::Device));
        if elsewhere && !socket.may_be_anybody() {
            return Err(Error::Invalid);
        }
        // ip_route_output_key_hash_rcu, ip6_datagram_send_ctl.
        match stack.ip.is_local(ip) || socket.may_be_anybody() {
            true => {}
            false if ip.is_ipv4() => return Err(Error::NetworkUnreachable),
            false => return Err(Error::Invalid),
        }
    }
    stack.path_from(id, dst, from, iface?, control.dont_route)
}

/// Sends the datagram, or with UDP_SEGMENT as many as it makes.
pub(super) fn send(
    stack: &mut Stack,
    id: SocketId,
    send: &Datagram<'_>,
    data: &[IoSlice<'_>],
) -> Result<()> {
    let socket = stack.get(id)?;
    let dress = dress(stack, id, socket, send);
    let of_socket = socket.rare().udp_segment;
    let size = usize::from(send.control.segment.unwrap_or(of_socket));
    let stamped = send.stamps & (sof::TX_SOFTWARE | sof::TX_SCHED) != 0;
    let mut copy = (stamped && send.stamps & sof::OPT_TSONLY == 0).then(Vec::new);
    if size == 0 {
        emit(stack, id, send, &dress, data, copy.as_mut())?;
    } else {
        let len: usize = data.iter().map(|part| part.len()).sum();
        // udp_send_skb.
        if header_len(send.dest.ip()) + HEADER_LEN + len.min(size) > dress.mtu as usize {
            return Err(Error::MessageTooLong);
        }
        if len > size * SEGMENTS_MAX || dress.no_check {
            return Err(Error::Invalid);
        }
        let whole: Vec<u8> = data.iter().flat_map(|part| part.iter().copied()).collect();
        if whole.is_empty() {
            emit(stack, id, send, &dress, data, copy.as_mut())?;
        }
        for piece in whole.chunks(size) {
            emit(
                stack,
                id,
                send,
                &dress,
                &[IoSlice::new(piece)],
                copy.as_mut(),
            )?;
        }
    }
    let (dst, packet) = (send.dest.ip(), || copy.unwrap_or_default());
    stamp(
        stack,
        id,
        &send.path,
        dst,
        send.control,
        send.stamps,
        packet,
    );
    Ok(())
}

/// MSG_ZEROCOPY: the data is copied, so its memory is free when the call returns.
pub(super) fn zerocopy(stack: &mut Stack, id: SocketId) {
    let Some(socket) = stack.sockets.get_mut(id) else {
        return;
    };
    if !socket.has(Attribute::ZeroCopy) {
        return;
    }
    let extra = socket.extra_mut();
    if extra.errors.len() >= ZEROCOPY_MAX {
        return;
    }
    let number = extra.zerocopy_next;
    extra.zerocopy_next = number.wrapping_add(1);
    extra.errors.zerocopy(number, number);
    stack.notify(id, Ready::ERR);
}

/// Tells when the datagram went: nothing lies between the queue before the device and the device (__skb_tstamp_tx).
pub(crate) fn stamp(
    stack: &mut Stack,
    id: SocketId,
    path: &Path,
    dst: IpAddr,
    control: &SendControl,
    stamps: u32,
    packet: impl FnOnce() -> Vec<u8>,
) {
    if stamps & (sof::TX_SOFTWARE | sof::TX_SCHED) == 0 {
        return;
    }
    let now = stack.ip.now();
    let (ttl, tos) = stack.ttl_tos_of(id, dst);
    let Some(socket) = stack.sockets.get_mut(id) else {
        return;
    };
    let rcvbuf = socket.opts.rcvbuf();
    let arrival = Arrival {
        dst: SocketAddr::new(dst, 0),
        ttl: control.ttl.unwrap_or(ttl),
        tos: control.tos.unwrap_or(tos),
        interface: if path.local { 1 } else { 2 },
        at: now,
    };
    let extra = socket.extra_mut();
    let mut key = 0;
    if stamps & sof::OPT_ID != 0 {
        key = control.stamp_id.unwrap_or_else(|| {
            let key = extra.stamp_key;
            extra.stamp_key = key.wrapping_add(1);
            key
        });
    }
    let packet: Option<Arc<[u8]>> = (stamps & sof::OPT_TSONLY == 0).then(|| Arc::from(packet()));
    let mut told = false;
    for (bit, what) in [(sof::TX_SCHED, SCHEDULED), (sof::TX_SOFTWARE, SENT)] {
        if stamps & bit != 0 {
            let mut report = stamp_report(stamps, what, key, now, packet.clone(), 0);
            // Without the packet there is nothing to tell of (ipv4_datagram_support_cmsg).
            if stamps & (sof::OPT_CMSG | sof::OPT_TSONLY) == sof::OPT_CMSG {
                report.error.offender = Some(path.src);
                report.local = Some(path.src);
                report.arrival = Some(arrival);
            }
            told |= extra.errors.push(report, rcvbuf);
        }
    }
    if told {
        stack.notify(id, Ready::ERR);
    }
}

/// What a socket's path MTU discovery (ip(7), IP_MTU_DISCOVER) makes of a way to somewhere.
pub(crate) struct Limits {
    /// The longest packet, octets.
    pub(crate) mtu: u32,
    /// Packets in one piece say so (ip_dont_fragment).
    pub(crate) df: bool,
    /// What is longer goes in fragments; otherwise it is refused.
    pub(crate) cut: bool,
}

/// The limits of what `socket` sends to `dst` over `path`.
pub(crate) fn limits(stack: &Stack, socket: &Socket, path: &Path, dst: IpAddr) -> Limits {
    let opts = socket.rare();
    let discover = opts.pmtu(dst.is_ipv6());
    let by_device = matches!(discover, pmtu::PROBE | pmtu::INTERFACE | pmtu::OMIT);
    let mut mtu = match by_device && !path.local {
        true => stack.config.mtu,
        false => path.mtu,
    };
    if dst.is_ipv6() && opts.mtu6 != 0 {
        mtu = mtu.min(opts.mtu6);
    }
    Limits {
        mtu,
        df: matches!(discover, pmtu::WANT | pmtu::DO | pmtu::PROBE),
        cut: matches!(discover, pmtu::DONT | pmtu::WANT | pmtu::OMIT),
    }
}

/// How `socket` sends such a datagram.
pub(super) fn dress(stack: &Stack, id: SocketId, socket: &Socket, send: &Datagram<'_>) -> Dress {
    let dst = send.dest.ip();
    let (opts, control) = (socket.rare(), send.control);
    let (ttl, tos) = stack.ttl_tos_of(id, dst);
    let Limits { mtu, df, cut } = limits(stack, socket, &send.path, dst);
    let whole = || {
        control
            .dont_fragment
            .unwrap_or(opts.has(Attribute::DontFrag))
    };
    Dress {
        meta: TxMeta {
            src: send.path.src,
            dst,
            proto: proto::UDP,
            ttl: control.ttl.unwrap_or(ttl),
            tos: control.tos.unwrap_or(tos),
            df,
        },
        mtu,
        cut: cut && !(dst.is_ipv6() && whole()),
        no_check: opts.has(Attribute::NoCheck) && dst.is_ipv4(),
        src_port: socket.local().map_or(0, |local| local.port()),
        options: stack.options_from(socket, send.path.src),
    }
}

/// Builds the packet and queues it: in one piece, else cut, unless that is forbidden (__ip_append_data, __ip6_append_data).
fn emit(
    stack: &mut Stack,
    id: SocketId,
    send: &Datagram<'_>,
    dress: &Dress,
    data: &[IoSlice<'_>],
    copy: Option<&mut Vec<u8>>,
) -> Result<()> {
    let meta = dress.meta;
    let len = HEADER_LEN + data.iter().map(|part| part.len()).sum::<usize>();
    let header = Header {
        src_port: dress.src_port,
        dst_port: send.dest.port(),
        len,
        checksum: 0,
    };
    let options = &dress.options;
    if !stack.ip.fits(&meta, len + options.len(), dress.mtu) {
        if !dress.cut {
            too_long(stack, id, send.dest, dress.mtu);
            return Err(Error::MessageTooLong);
        }
        return emit_fragments(stack, send, &header, data, dress, copy);
    }
    // Round inside nobody looks at the checksum; the device may be able to finish it.
    let finished = send.path.local || stack.ip.offload().csum;
    let partial = !dress.no_check && finished && options.is_empty();
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
    if !dress.no_check {
        set_checksum(&mut frame, at, &meta, len, partial);
    }
    insert(&mut frame, options);
    if let Some(copy) = copy {
        copy.clear();
        copy.extend_from_slice(frame.get(vnet::LEN..).unwrap_or_default());
    }
    stack.ip.push(send.path.via, frame)
}

/// The error queue hears of a datagram that may not be cut (ip_local_error, ipv6_local_error).
pub(crate) fn too_long(stack: &mut Stack, id: SocketId, dest: SocketAddr, mtu: u32) {
    let peer = stack.sockets.get(id).and_then(|socket| socket.peer());
    // Of IPv4 it names the connected port only (inet_dport).
    let port = match (dest.is_ipv4(), peer) {
        (true, peer) => peer.map_or(0, |peer| peer.port()),
        (false, _) => dest.port(),
    };
    let name = SocketAddr::new(dest.ip(), port);
    let mtu = if dest.is_ipv4() { mtu.min(65_535) } else { mtu };
    stack.report_local_error(id, Error::MessageTooLong, name, mtu);
}

fn emit_fragments(
    stack: &mut Stack,
    send: &Datagram<'_>,
    header: &Header,
    data: &[IoSlice<'_>],
    dress: &Dress,
    copy: Option<&mut Vec<u8>>,
) -> Result<()> {
    let meta = &dress.meta;
    let mut whole = stack.ip.queue().buffer();
    append(&mut whole, header, data);
    if !dress.no_check {
        set_checksum(&mut whole, 0, meta, header.len, false);
    }
    if let Some(copy) = copy {
        copy.clone_from(&whole);
    }
    let result = stack
        .ip
        .send_fragments(meta, &whole, dress.mtu, send.path.via, &dress.options);
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
