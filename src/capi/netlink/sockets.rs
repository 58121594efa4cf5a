//! sock_diag(7): the stack's sockets, and the kernel's of the other families.

use std::net::SocketAddr;

use netlink_packet_core::{DefaultNla, Parseable};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, InetResponseHeader, SocketId as Named, Timer,
};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use slotmap::Key;
use tunsock_stack::{Kind, SockOpt, SockOptName, SocketId, SocketInfo, Stack, State};

use super::answer::{List, Message, Request};
use super::attributes::{Attributes, ask};
use super::filter::Filter;
use crate::capi::errno::{CResult, Errno};
use crate::capi::tcp_options;
use crate::runtime::sys;

/// sizeof(struct inet_diag_req_v2).
const HEADER_LEN: usize = 56;
/// Of linux/inet_diag.h.
const INET_DIAG_REQ_BYTECODE: u16 = 1;
const INET_DIAG_SKMEMINFO: u16 = 7;
const INET_DIAG_NOCOOKIE: [u8; 8] = [0xff; 8];
/// NETLINK_SOCK_DIAG of linux/netlink.h.
const NETLINK_SOCK_DIAG: u32 = 4;
/// SK_MEMINFO_VARS of linux/sock_diag.h.
const MEMORY_VARS: usize = 9;
/// The kernel's lists come in datagrams of at most so many octets.
const RECV_LEN: usize = 64 * 1024;

/// The sockets of one kind that the request is about; `None`: of a protocol that the stack has no sockets of.
fn is_of(protocol: u8, one: &SocketInfo) -> Option<bool> {
    match libc::c_int::from(protocol) {
        // What is neither bound to a port's users nor connected stands in no table of the kernel's.
        libc::IPPROTO_TCP => Some(one.kind == Kind::Stream && one.state != State::Closed),
        libc::IPPROTO_UDP => Some(one.kind == Kind::Datagram),
        libc::IPPROTO_RAW => Some(matches!(one.kind, Kind::Raw(_))),
        _ => None,
    }
}

fn known(protocol: u8) -> bool {
    let protocol = libc::c_int::from(protocol);
    matches!(
        protocol,
        libc::IPPROTO_TCP | libc::IPPROTO_UDP | libc::IPPROTO_RAW
    )
}

/// inet_diag_dump: those of a family whose state and ports are asked for, and that pass the filter. EINVAL, ENOENT.
pub(super) fn list(request: &Request<'_>) -> CResult<List> {
    let asked = InetRequest::parse(request.body).map_err(|_| Errno(libc::EINVAL))?;
    // The crate keeps the states that it knows.
    let states = request
        .body
        .get(4..8)
        .and_then(|octets| octets.try_into().ok());
    let states = u32::from_ne_bytes(states.unwrap_or_default());
    let given = Attributes::of(request.body, HEADER_LEN, false)?;
    let filter = match given.get(INET_DIAG_REQ_BYTECODE) {
        Some(code) => Some(Filter::new(code)?),
        None => None,
    };
    if !known(asked.protocol) {
        return Ok(List::failed(Errno(libc::ENOENT), false));
    }
    let port = |asked: u16, is: u16| asked == 0 || asked == is;
    let wanted = |one: &SocketInfo| {
        is_of(asked.protocol, one) == Some(true)
            && family(one) == asked.family
            && states >> tcp_options::state_number(one.state) & 1 != 0
            && port(asked.socket_id.source_port, ports(one).0)
            && port(asked.socket_id.destination_port, ports(one).1)
            && filter.as_ref().is_none_or(|filter| filter.passes(one))
    };
    let messages = ask(|stack: &Stack| {
        let all = stack.sockets().into_iter().filter(wanted);
        all.map(|one| message(stack, &one, &asked)).collect()
    })?;
    Ok(List {
        messages,
        ..List::default()
    })
}

/// inet_diag_cmd_exact: the socket of these two addresses, else who listens at the first. EINVAL; ENOENT also
/// when it is not the one whose cookie was given.
pub(super) fn one(request: &Request<'_>) -> CResult<Message> {
    let asked = InetRequest::parse(request.body).map_err(|_| Errno(libc::EINVAL))?;
    let id = &asked.socket_id;
    let local = SocketAddr::new(id.source_address, id.source_port);
    let peer = SocketAddr::new(id.destination_address, id.destination_port);
    ask(|stack: &Stack| {
        let all = stack.sockets().into_iter();
        let all: Vec<SocketInfo> = all
            .filter(|one| is_of(asked.protocol, one) == Some(true) && family(one) == asked.family)
            .collect();
        let exact = |one: &&SocketInfo| one.local == local && one.peer == peer;
        let open = |one: &&SocketInfo| {
            one.local.port() == local.port()
                && (one.local.ip() == local.ip() || one.local.ip().is_unspecified())
                && matches!(one.state, State::Listen | State::Closed)
        };
        let found = all.iter().find(exact).or_else(|| all.iter().find(open));
        let found = found.ok_or(Errno(libc::ENOENT))?;
        if ![INET_DIAG_NOCOOKIE, cookie(found)].contains(&id.cookie) {
            return Err(Errno(libc::ENOENT));
        }
        Ok(message(stack, found, &asked))
    })?
}

/// AF_INET or AF_INET6, as the socket was made: addresses of IPv4 are written in IPv6's form on the latter.
fn family(one: &SocketInfo) -> u8 {
    match one.local {
        SocketAddr::V4(_) => libc::AF_INET as u8,
        SocketAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

/// Both ports; of a raw socket the first is its protocol (raw_hash_sk).
pub(super) fn ports(one: &SocketInfo) -> (u16, u16) {
    match one.kind {
        Kind::Raw(protocol) => (protocol.into(), 0),
        _ => (one.local.port(), one.peer.port()),
    }
}

/// SO_COOKIE's octets; what is no socket has none.
fn cookie(one: &SocketInfo) -> [u8; 8] {
    one.id.map_or([0; 8], |id| id.data().as_ffi().to_ne_bytes())
}

/// struct inet_diag_msg (inet_sk_diag_fill) and the attributes that were asked for.
fn message(stack: &Stack, one: &SocketInfo, asked: &InetRequest) -> Message {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let bound =
        |id| match stack.get_option(id, SockOptName::Number(tunsock_stack::Attribute::BoundIf)) {
            Ok(SockOpt::Number(_, index)) => index.unsigned_abs(),
            _ => 0,
        };
    let (source_port, destination_port) = ports(one);
    let header = InetResponseHeader {
        family: family(one),
        state: tcp_options::state_number(one.state),
        timer: (one.state == State::TimeWait).then_some(Timer::TimeWait),
        socket_id: Named {
            source_port,
            destination_port,
            source_address: one.local.ip(),
            destination_address: one.peer.ip(),
            interface_id: one.id.map_or(0, bound),
            cookie: cookie(one),
        },
        recv_queue: number(one.recv_q),
        send_queue: number(one.send_q),
        uid: rustix::process::getuid().as_raw(),
        // As fstat shows it.
        inode: one.id.map_or(0, |id| id.data().as_ffi() as u32),
    };
    let nlas = match one.id {
        Some(id) => attributes(stack, one, id, &asked.extensions),
        None => Vec::new(),
    };
    let response = InetResponse {
        header,
        nlas: nlas.into(),
    };
    Message::Socket(SockDiagMessage::InetResponse(Box::new(response)))
}

/// inet_diag_msg_attrs_fill, inet_sk_diag_fill.
fn attributes(stack: &Stack, one: &SocketInfo, id: SocketId, asked: &ExtensionFlags) -> Vec<Nla> {
    let mut found = Vec::new();
    let option = |name| stack.get_option(id, name).ok();
    if asked.contains(ExtensionFlags::TOS)
        && let Some(SockOpt::Tos(tos)) = option(SockOptName::Tos)
    {
        found.push(Nla::Tos(tos));
    }
    if one.local.is_ipv6() {
        if asked.contains(ExtensionFlags::TCLASS)
            && let Some(SockOpt::TClass(class)) = option(SockOptName::TClass)
        {
            found.push(Nla::Tc(class));
        }
        if matches!(one.state, State::Listen | State::Closed)
            && let Some(SockOpt::V6Only(only)) = option(SockOptName::V6Only)
        {
            found.push(Nla::SkV6Only(only));
        }
    }
    if asked.contains(ExtensionFlags::SKMEMINFO) {
        let memory = memory(stack, one, id);
        let octets = memory.into_iter().flat_map(u32::to_ne_bytes).collect();
        found.push(Nla::Other(DefaultNla::new(INET_DIAG_SKMEMINFO, octets)));
    }
    if one.kind != Kind::Stream {
        return found;
    }
    if asked.contains(ExtensionFlags::INFO) {
        let told = match stack.tcp_info(sys::now(), id) {
            Ok(info) => tcp_options::encode(&info),
            Err(_) => tcp_options::unconnected(one.state),
        };
        found.push(Nla::TcpInfo(told.to_vec()));
    }
    if asked.contains(ExtensionFlags::CONG)
        && let Some(SockOpt::Congestion(which)) = option(SockOptName::Congestion)
    {
        let name = tcp_options::congestion_name(which);
        let name = name.split(|octet| *octet == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        found.push(Nla::Congestion(name));
    }
    found
}

/// What SO_MEMINFO tells: received, its limit, sent, its limit, and the send queue.
fn memory(stack: &Stack, one: &SocketInfo, id: SocketId) -> [u32; MEMORY_VARS] {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut vars = [0; MEMORY_VARS];
    if let Ok(SockOpt::RcvBuf(size)) = stack.get_option(id, SockOptName::RcvBuf) {
        vars[1] = number(size);
    }
    if let Ok(SockOpt::SndBuf(size)) = stack.get_option(id, SockOptName::SndBuf) {
        vars[3] = number(size);
    }
    // A listener's queues hold connections.
    if one.state != State::Listen {
        (vars[0], vars[2], vars[5]) = (number(one.recv_q), number(one.send_q), number(one.send_q));
    }
    vars
}

/// What the kernel answers about its sockets, as if it were to that port. What its socket(2) says.
pub(super) fn by_kernel(message: &[u8], port: u32) -> CResult<Vec<Vec<u8>>> {
    let failed = |why: rustix::io::Errno| Errno(why.raw_os_error());
    let _room = sys::RaisedLimit::new();
    let protocol = NETLINK_SOCK_DIAG
        .try_into()
        .map_err(|_| Errno(libc::EINVAL))?;
    let kernel = net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        Some(net::Protocol::from_raw(protocol)),
    )
    .map_err(failed)?;
    let to = SocketAddrNetlink::new(0, 0);
    net::sendto(&kernel, message, SendFlags::NOSIGNAL, &to).map_err(failed)?;
    let mut answers = Vec::new();
    let mut room = vec![0; RECV_LEN];
    // It answers at once, and goes on with a list when the part before was read.
    while let Ok((len, _)) = net::recv(&kernel, &mut room[..], RecvFlags::empty()) {
        let mut datagram = room.get(..len).unwrap_or_default().to_vec();
        address(&mut datagram, port);
        answers.push(datagram);
    }
    Ok(answers)
}

/// Writes the port into every message of a datagram.
fn address(datagram: &mut [u8], port: u32) {
    let mut rest = datagram;
    while let Some((header, _)) = rest.split_first_chunk_mut::<16>() {
        let len = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        header[12..].copy_from_slice(&port.to_ne_bytes());
        let next = len.next_multiple_of(4).max(header.len());
        rest = rest.get_mut(next..).unwrap_or_default();
    }
}
