//! Netlink sockets in C's words: addresses, groups and options that differ between the socket that the kernel has and the one that the
//! program means; and the requests, which are answered in here from the stack's interfaces, routes and sockets.

mod addresses;
mod answer;
mod attributes;
mod filter;
mod links;
mod moving;
mod routes;
mod rules;
mod sockets;

use libc::{c_int, c_uint, c_void};

use super::errno::{CResult, Errno, answer};
use super::types::{tunsock_sockaddr, tunsock_socklen_t};
use super::{originals, user};
use crate::fd::{self, NetlinkFile, Protocol};
use crate::runtime::critical::Critical;
pub(super) use moving::{
    after_read, receive_from, receive_message, receive_several, send, send_message, send_several,
    write_pieces,
};

/// Of linux/netlink.h: protocols, options of SOL_NETLINK.
const NETLINK_ROUTE: c_int = 0;
const NETLINK_SOCK_DIAG: c_int = 4;
const NETLINK_ADD_MEMBERSHIP: c_int = 1;
const NETLINK_DROP_MEMBERSHIP: c_int = 2;
const NETLINK_LIST_MEMBERSHIPS: c_int = 9;
const NETLINK_CAP_ACK: c_int = 10;
const NETLINK_GET_STRICT_CHK: c_int = 12;

/// RTNLGRP_MAX of linux/rtnetlink.h, and what the kernel gives every protocol at least.
const ROUTE_GROUPS: u32 = 39;
const LEAST_GROUPS: u32 = 32;

/// sizeof(struct sockaddr_nl): family, padding, port, groups.
const NAME_LEN: usize = size_of::<libc::sockaddr_nl>();

/// A netlink socket of ours in a call. Handlers wait until it is dropped.
struct InCall {
    file: std::sync::Arc<NetlinkFile>,
    _inside: Critical,
}

/// The netlink socket of ours that `fd` stands for.
#[inline]
fn netlink_of(fd: c_int) -> Option<InCall> {
    if !fd::any_netlink() {
        return None;
    }
    let inside = Critical::enter();
    Some(InCall {
        file: fd::netlink_of(fd)?,
        _inside: inside,
    })
}

/// socket(2) for AF_NETLINK. `None`: a protocol that is the kernel's affair.
pub(super) fn open(kind: c_int, protocol: c_int) -> Option<c_int> {
    let protocol = match protocol {
        NETLINK_ROUTE => Protocol::Route,
        NETLINK_SOCK_DIAG => Protocol::SockDiag,
        _ => return None,
    };
    Some(answer(|| Ok(fd::open_netlink(protocol, kind)?)))
}

/// The kernel's own address of a message: port 0, no groups.
fn kernel_name(port: u32) -> libc::sockaddr_nl {
    // SAFETY: all zeros are an address.
    let mut name: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    name.nl_family = libc::AF_NETLINK as u16;
    name.nl_pid = port;
    name
}

/// The caller's address, if it is one of a netlink socket.
fn read_name(at: *const c_void, len: tunsock_socklen_t) -> CResult<Option<libc::sockaddr_nl>> {
    if (len as usize) < NAME_LEN {
        return Ok(None);
    }
    // SAFETY: any bytes are an address.
    let name = unsafe { user::read(at.cast::<libc::sockaddr_nl>())? };
    Ok((c_int::from(name.nl_family) == libc::AF_NETLINK).then_some(name))
}

/// Stores an address as move_addr_to_user does: cut to the caller's length, and its true length.
fn write_name(
    name: &libc::sockaddr_nl,
    at: *mut c_void,
    len: *mut tunsock_socklen_t,
) -> CResult<()> {
    // SAFETY: any bytes are a length.
    let room = unsafe { user::read(len)? } as c_int;
    let room = usize::try_from(room).map_err(|_| Errno(libc::EINVAL))?;
    let bytes = bytes_of(name);
    user::copy_out(at, bytes.get(..room.min(NAME_LEN)).unwrap_or_default())?;
    user::write(len, NAME_LEN as tunsock_socklen_t)
}

fn bytes_of(name: &libc::sockaddr_nl) -> [u8; NAME_LEN] {
    let mut bytes = [0; NAME_LEN];
    let parts = [name.nl_pid, name.nl_groups];
    bytes[..2].copy_from_slice(&name.nl_family.to_ne_bytes());
    for (place, part) in bytes[4..].chunks_exact_mut(4).zip(parts) {
        place.copy_from_slice(&part.to_ne_bytes());
    }
    bytes
}

/// bind(2) (netlink_bind): the kernel gives the port, the groups are kept here. `None`: not ours.
pub(super) fn bind(
    fd: c_int,
    addr: *const tunsock_sockaddr,
    len: tunsock_socklen_t,
) -> Option<c_int> {
    let socket = netlink_of(fd)?;
    let mut name = match read_name(addr.cast(), len) {
        Ok(Some(name)) => name,
        // The kernel says what is wrong with it.
        _ => return None,
    };
    let groups = std::mem::take(&mut name.nl_groups);
    // SAFETY: the address is on this stack, and as long as is said.
    let bound = unsafe { originals::bind(fd, (&raw const name).cast(), NAME_LEN as u32) };
    if bound == 0 && (groups != 0 || socket.file.has_groups()) {
        let rest = !u64::from(u32::MAX);
        (socket.file).change_groups(|before| before & rest | u64::from(groups));
    }
    Some(bound)
}

/// connect(2): whoever is connected to the kernel is connected to the library's end. `None`: the kernel's affair.
pub(super) fn connect(
    fd: c_int,
    addr: *const tunsock_sockaddr,
    len: tunsock_socklen_t,
) -> Option<c_int> {
    let socket = netlink_of(fd)?;
    let name = read_name(addr.cast(), len).ok()??;
    if name.nl_pid != 0 || name.nl_groups != 0 {
        return None;
    }
    let to = kernel_name(socket.file.port());
    // SAFETY: the address is on this stack, and as long as is said.
    Some(unsafe { originals::connect(fd, (&raw const to).cast(), NAME_LEN as u32) })
}

/// getsockname(2) (`peer`: getpeername). `None`: not ours.
pub(super) fn name_of(
    fd: c_int,
    addr: *mut tunsock_sockaddr,
    len: *mut tunsock_socklen_t,
    peer: bool,
) -> Option<c_int> {
    let socket = netlink_of(fd)?;
    let mut name = kernel_name(0);
    let mut room = NAME_LEN as tunsock_socklen_t;
    let ask = if peer {
        originals::getpeername
    } else {
        originals::getsockname
    };
    // SAFETY: address and length are on this stack.
    let asked = unsafe { ask(fd, (&raw mut name).cast(), &raw mut room) };
    if asked != 0 {
        return Some(asked);
    }
    if !peer {
        name.nl_groups = socket.file.groups() as u32;
    } else if name.nl_pid == socket.file.port() {
        name.nl_pid = 0;
    }
    Some(answer(|| {
        write_name(&name, addr.cast(), len)?;
        Ok(0)
    }))
}

/// setsockopt(2) of what concerns groups (netlink_setsockopt). `None`: the kernel's affair.
pub(super) fn set_option(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: tunsock_socklen_t,
) -> Option<c_int> {
    let joins = match (level, name) {
        (libc::SOL_NETLINK, NETLINK_ADD_MEMBERSHIP) => true,
        (libc::SOL_NETLINK, NETLINK_DROP_MEMBERSHIP) => false,
        _ => return None,
    };
    let socket = netlink_of(fd)?;
    Some(answer(|| {
        if (len as usize) < size_of::<c_uint>() {
            return Err(Errno(libc::EINVAL));
        }
        // SAFETY: any bytes are a number.
        let group = unsafe { user::read(value.cast::<c_uint>())? };
        if !(1..=groups_of(socket.file.protocol())).contains(&group) {
            return Err(Errno(libc::EINVAL));
        }
        let bit = 1 << (group - 1);
        (socket.file).change_groups(|before| if joins { before | bit } else { before & !bit });
        Ok(0)
    }))
}

/// getsockopt(2) where the kernel knows otherwise: groups, and the protocol. `None`: the kernel's affair.
pub(super) fn get_option(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut tunsock_socklen_t,
) -> Option<c_int> {
    let lists = match (level, name) {
        (libc::SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS) => true,
        (libc::SOL_SOCKET, libc::SO_PROTOCOL) => false,
        _ => return None,
    };
    let socket = netlink_of(fd)?;
    Some(answer(|| {
        // SAFETY: any bytes are a length.
        let room = unsafe { user::read(len)? } as c_int;
        let room = usize::try_from(room).map_err(|_| Errno(libc::EINVAL))?;
        if !lists {
            let protocol = match socket.file.protocol() {
                Protocol::Route => NETLINK_ROUTE,
                Protocol::SockDiag => NETLINK_SOCK_DIAG,
            };
            let bytes = protocol.to_ne_bytes();
            let copied = room.min(bytes.len());
            user::copy_out(value, bytes.get(..copied).unwrap_or_default())?;
            user::write(len, copied as tunsock_socklen_t)?;
            return Ok(0);
        }
        // netlink_getsockopt: whole words, as many as there is room for; the length is that of all.
        let words = match socket.file.has_groups() {
            true => groups_of(socket.file.protocol()).div_ceil(u32::BITS) as usize,
            false => 0,
        };
        let groups = socket.file.groups();
        let words = [groups as u32, (groups >> u32::BITS) as u32]
            .map(u32::to_ne_bytes)
            .into_iter()
            .take(words);
        let all: Vec<u8> = words.flatten().collect();
        let whole = room.min(all.len()) / 4 * 4;
        user::copy_out(value, all.get(..whole).unwrap_or_default())?;
        user::write(len, all.len() as tunsock_socklen_t)?;
        Ok(0)
    }))
}

fn groups_of(protocol: Protocol) -> u32 {
    match protocol {
        Protocol::Route => ROUTE_GROUPS,
        Protocol::SockDiag => LEAST_GROUPS,
    }
}

/// Whether `fd` is a netlink socket of ours: its requests about interfaces are answered as for every socket.
pub(super) fn is_ours(fd: c_int) -> bool {
    netlink_of(fd).is_some()
}
