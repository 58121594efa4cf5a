//! Network interfaces: the stack's, which are `lo` and its device, and never the machine's.

use std::net::IpAddr;

use libc::{c_char, c_int, c_short, c_uint, c_ulong, c_void};
use tunsock_stack::{Attribute, Interface, SockOpt, SockOptName, Stack};

use super::errno::{self, CResult, Errno, answer};
use super::options::Given;
use super::types::{tunsock_if_nameindex, tunsock_ifaddrs, tunsock_sockaddr};
use super::{attributes, user};
use crate::fd::SocketFile;
use crate::runtime;

/// Room for an interface's name, its NUL included.
const NAME_LEN: usize = 16;
/// sizeof(struct ifreq): a name and a union of 24 bytes.
const REQUEST_LEN: usize = 40;

// The requests of linux/sockios.h that ask.
const SIOCGIFNAME: c_ulong = 0x8910;
const SIOCGIFCONF: c_ulong = 0x8912;
const SIOCGIFFLAGS: c_ulong = 0x8913;
const SIOCGIFADDR: c_ulong = 0x8915;
const SIOCGIFDSTADDR: c_ulong = 0x8917;
const SIOCGIFBRDADDR: c_ulong = 0x8919;
const SIOCGIFNETMASK: c_ulong = 0x891b;
const SIOCGIFMETRIC: c_ulong = 0x891d;
const SIOCGIFMTU: c_ulong = 0x8921;
const SIOCGIFHWADDR: c_ulong = 0x8927;
const SIOCGIFINDEX: c_ulong = 0x8933;
const SIOCGIFTXQLEN: c_ulong = 0x8942;
const SIOCETHTOOL: c_ulong = 0x8946;

/// ARPHRD_LOOPBACK and ARPHRD_NONE of linux/if_arp.h: a TUN device has no link-layer address.
const ARPHRD_LOOPBACK: u16 = 772;
const ARPHRD_NONE: u16 = 0xfffe;
/// IFF_LOWER_UP of linux/if.h, which getifaddrs shows and SIOCGIFFLAGS has no room for.
pub(super) const IFF_LOWER_UP: c_uint = 1 << 16;
/// Transmit queues of the kernel's devices of the same kinds.
pub(super) const QUEUE_LOOPBACK: c_int = 1000;
pub(super) const QUEUE_TUN: c_int = 500;

/// The number of the interface of this name.
///
/// Returns it, or 0 with errno ENODEV.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_if_nametoindex(name: *const c_char) -> c_uint {
    let found = c_name(name).and_then(|name| {
        let all = interfaces()?;
        let found = all.iter().find(|one| one.name.as_bytes() == name);
        found.map(|one| one.index).ok_or(Errno(libc::ENODEV))
    });
    found.unwrap_or_else(|Errno(why)| {
        errno::set(why);
        0
    })
}

/// The name of the interface of this number, written to name, which has room for 16 bytes.
///
/// Returns name, or NULL with errno ENXIO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_if_indextoname(index: c_uint, name: *mut c_char) -> *mut c_char {
    let told = interfaces().and_then(|all| {
        let found = all.iter().find(|one| one.index == index);
        user::copy_out(name.cast(), &padded(found.ok_or(Errno(libc::ENXIO))?))
    });
    match told {
        Ok(()) => name,
        Err(Errno(why)) => {
            errno::set(why);
            std::ptr::null_mut()
        }
    }
}

/// Every interface, by number and name; an entry of zeros ends the list. Free it with tunsock_if_freenameindex.
///
/// Returns the list, or NULL with errno ENOBUFS or what opening the device said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_if_nameindex() -> *mut tunsock_if_nameindex {
    let all = match interfaces() {
        Ok(all) => all,
        Err(Errno(why)) => {
            errno::set(why);
            return std::ptr::null_mut();
        }
    };
    let end = tunsock_if_nameindex {
        if_index: 0,
        if_name: std::ptr::null_mut(),
    };
    let mut list: Vec<tunsock_if_nameindex> = all
        .iter()
        .map(|one| tunsock_if_nameindex {
            if_index: one.index,
            if_name: Box::into_raw(Box::new(padded(one))).cast(),
        })
        .collect();
    list.push(end);
    Box::into_raw(list.into_boxed_slice()).cast()
}

/// Frees what tunsock_if_nameindex returned. Nothing is returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_if_freenameindex(list: *mut tunsock_if_nameindex) {
    if list.is_null() {
        return;
    }
    let mut count = 0;
    // SAFETY: the caller gives back what `tunsock_if_nameindex` made: names of that length, and a last entry without one.
    unsafe {
        while let entry = list.add(count).read()
            && !entry.if_name.is_null()
        {
            drop(Box::from_raw(entry.if_name.cast::<[u8; NAME_LEN]>()));
            count += 1;
        }
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(
            list,
            count + 1,
        )));
    }
}

/// Every interface and every address of each, as a list stored at list. Free it with tunsock_freeifaddrs.
///
/// Returns 0, or -1 with errno EFAULT or what opening the device said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_getifaddrs(list: *mut *mut tunsock_ifaddrs) -> c_int {
    answer(|| {
        user::check(list, size_of::<*mut tunsock_ifaddrs>())?;
        let all = interfaces()?;
        let mut nodes: Vec<Box<Node>> = all.iter().map(Node::link).collect();
        for v6 in [false, true] {
            for one in &all {
                let family = one.addrs.iter().filter(|net| net.addr().is_ipv6() == v6);
                nodes.extend(family.map(|net| Node::address(one, net.addr(), net.netmask())));
            }
        }
        let mut next: *mut tunsock_ifaddrs = std::ptr::null_mut();
        for mut node in nodes.into_iter().rev() {
            node.head.ifa_next = next;
            next = Box::into_raw(node).cast();
        }
        user::write(list, next)?;
        Ok(0)
    })
}

/// Frees what tunsock_getifaddrs stored. Nothing is returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_freeifaddrs(list: *mut tunsock_ifaddrs) {
    let mut next = list;
    while !next.is_null() {
        // SAFETY: the caller gives back a list of `tunsock_getifaddrs`; its entries are the heads of such nodes.
        let node = unsafe { Box::from_raw(next.cast::<Node>()) };
        next = node.head.ifa_next;
    }
}

/// One entry of the list and everything that it points to.
#[repr(C)]
struct Node {
    head: tunsock_ifaddrs,
    name: [u8; NAME_LEN],
    addr: Storage,
    mask: Storage,
    /// struct rtnl_link_stats, all zeros: the stack counts elsewhere.
    stats: [u32; 24],
}

/// Room for an address, aligned like one.
#[repr(C, align(8))]
struct Storage([u8; 32]);

impl Node {
    fn new(one: &Interface) -> Box<Node> {
        let mut node = Box::new(Node {
            head: tunsock_ifaddrs {
                ifa_next: std::ptr::null_mut(),
                ifa_name: std::ptr::null_mut(),
                ifa_flags: c_uint::from(flags(one) as u16) | IFF_LOWER_UP,
                ifa_addr: std::ptr::null_mut(),
                ifa_netmask: std::ptr::null_mut(),
                ifa_ifu: std::ptr::null_mut(),
                ifa_data: std::ptr::null_mut(),
            },
            name: padded(one),
            addr: Storage([0; 32]),
            mask: Storage([0; 32]),
            stats: [0; 24],
        });
        node.head.ifa_name = node.name.as_mut_ptr().cast();
        node
    }

    /// struct sockaddr_ll: family, protocol, number, hardware type, packet type, length of the address.
    fn link(one: &Interface) -> Box<Node> {
        let mut node = Node::new(one);
        // A TUN device has no link-layer address, which is told by none.
        if one.loopback {
            node.addr.0[..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
            node.addr.0[4..8].copy_from_slice(&one.index.to_ne_bytes());
            node.addr.0[8..10].copy_from_slice(&hardware(one).to_ne_bytes());
            node.addr.0[11] = 6;
            node.head.ifa_addr = place(&mut node.addr);
        }
        node.head.ifa_data = node.stats.as_mut_ptr().cast();
        node
    }

    fn address(one: &Interface, addr: IpAddr, mask: IpAddr) -> Box<Node> {
        let mut node = Node::new(one);
        let scope = match addr {
            IpAddr::V6(a) if a.is_unicast_link_local() => one.index,
            _ => 0,
        };
        fill(&mut node.addr.0, addr, scope);
        fill(&mut node.mask.0, mask, 0);
        node.head.ifa_addr = place(&mut node.addr);
        node.head.ifa_netmask = place(&mut node.mask);
        // getifaddrs(3): a broadcast address or a peer's; `lo` gives its own, a TUN device has none.
        if one.loopback && addr.is_ipv4() {
            node.head.ifa_ifu = node.head.ifa_addr;
        }
        node
    }
}

fn place(storage: &mut Storage) -> *mut tunsock_sockaddr {
    (&raw mut storage.0).cast()
}

/// struct sockaddr_in or sockaddr_in6.
fn fill(to: &mut [u8; 32], addr: IpAddr, scope: u32) {
    match addr {
        IpAddr::V4(a) => {
            to[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            to[4..8].copy_from_slice(&a.octets());
        }
        IpAddr::V6(a) => {
            to[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            to[8..24].copy_from_slice(&a.octets());
            to[24..28].copy_from_slice(&scope.to_ne_bytes());
        }
    }
}

/// The requests about interfaces of a socket (netdevice(7)); ENOTTY for those that are none, EPERM for those that
/// would change something.
/// `v4`: the socket is of AF_INET.
pub(super) fn request(v4: bool, request: c_ulong, arg: *mut c_void) -> CResult<c_int> {
    if request == SIOCGIFCONF {
        return configuration(&interfaces()?, arg);
    }
    // sock_do_ioctl reads it before anybody looks at the request.
    let mut bytes = [0; REQUEST_LEN];
    user::copy_in(&mut bytes, arg)?;
    match request {
        // inet6_ioctl leaves these to nobody.
        SIOCGIFADDR | SIOCGIFDSTADDR | SIOCGIFBRDADDR | SIOCGIFNETMASK if !v4 => {
            return Err(Errno(libc::ENOTTY));
        }
        SIOCGIFNAME | SIOCGIFFLAGS | SIOCGIFADDR | SIOCGIFDSTADDR | SIOCGIFBRDADDR
        | SIOCGIFNETMASK | SIOCGIFMETRIC | SIOCGIFMTU | SIOCGIFHWADDR | SIOCGIFINDEX
        | SIOCGIFTXQLEN | SIOCETHTOOL => {}
        // SIOCSIFNAME and the other even numbers in between.
        0x8911 | 0x8914..=0x8924 | 0x8943 => return Err(Errno(libc::EPERM)),
        _ => return Err(Errno(libc::ENOTTY)),
    }
    let all = interfaces()?;
    if request == SIOCGIFNAME {
        let index = u32::from_ne_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
        let found = all.iter().find(|one| one.index == index);
        bytes[..NAME_LEN].copy_from_slice(&padded(found.ok_or(Errno(libc::ENODEV))?));
    } else {
        let name = bytes[..NAME_LEN - 1].split(|byte| *byte == 0).next();
        let found = all
            .iter()
            .find(|one| Some(one.name.as_bytes()) == name)
            .ok_or(Errno(libc::ENODEV))?;
        // Speed, duplex and the like are an Ethernet device's, as the kernel says of its loopback (dev_ethtool).
        if request == SIOCETHTOOL {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        about(found, request, &mut bytes)?;
    }
    user::copy_out(arg, &bytes)?;
    Ok(0)
}

/// Fills in what was asked of one interface.
fn about(one: &Interface, request: c_ulong, bytes: &mut [u8; REQUEST_LEN]) -> CResult<()> {
    let number = |bytes: &mut [u8; REQUEST_LEN], n: c_int| {
        bytes[16..20].copy_from_slice(&n.to_ne_bytes());
    };
    let address = |bytes: &mut [u8; REQUEST_LEN], addr: IpAddr| {
        let mut room = [0; 32];
        fill(&mut room, addr, 0);
        bytes[16..32].copy_from_slice(&room[..16]);
    };
    match request {
        SIOCGIFFLAGS => bytes[16..18].copy_from_slice(&flags(one).to_ne_bytes()),
        SIOCGIFINDEX => number(bytes, one.index as c_int),
        SIOCGIFMTU => number(bytes, one.mtu as c_int),
        SIOCGIFMETRIC => number(bytes, 0),
        SIOCGIFTXQLEN if one.loopback => number(bytes, QUEUE_LOOPBACK),
        SIOCGIFTXQLEN => number(bytes, QUEUE_TUN),
        SIOCGIFHWADDR => {
            bytes[16..32].fill(0);
            bytes[16..18].copy_from_slice(&hardware(one).to_ne_bytes());
        }
        _ => {
            let first = one.addrs.iter().find(|net| net.addr().is_ipv4());
            let net = first.ok_or(Errno(libc::EADDRNOTAVAIL))?;
            address(
                bytes,
                match request {
                    SIOCGIFADDR | SIOCGIFDSTADDR => net.addr(),
                    SIOCGIFNETMASK => net.netmask(),
                    // No broadcast address was set; the net's last is one nevertheless.
                    _ => IpAddr::from([0, 0, 0, 0]),
                },
            );
        }
    }
    Ok(())
}

/// SIOCGIFCONF: the interfaces that have IPv4 addresses, as many as find room; without a buffer the room that they need.
fn configuration(all: &[Interface], arg: *mut c_void) -> CResult<c_int> {
    // struct ifconf: a length, and the buffer at 8.
    let mut bytes = [0; 16];
    user::copy_in(&mut bytes, arg)?;
    let room = c_int::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let at = usize::from_ne_bytes(std::array::from_fn(|i| bytes[8 + i]));
    let mut out = Vec::new();
    for one in all {
        for net in one.addrs.iter().filter(|net| net.addr().is_ipv4()) {
            let mut entry = [0; REQUEST_LEN];
            entry[..NAME_LEN].copy_from_slice(&padded(one));
            let mut addr = [0; 32];
            fill(&mut addr, net.addr(), 0);
            entry[16..32].copy_from_slice(&addr[..16]);
            out.extend_from_slice(&entry);
        }
    }
    if at != 0 {
        let room = usize::try_from(room).unwrap_or(0);
        out.truncate(room - room % REQUEST_LEN);
        user::copy_out(at as *mut c_void, &out)?;
    }
    let len = c_int::try_from(out.len()).unwrap_or(c_int::MAX);
    user::write(arg.cast::<c_int>(), len)?;
    Ok(0)
}

/// SO_BINDTODEVICE (sock_setbindtodevice): an empty name, of none. ENODEV, EPERM.
pub(super) fn bind_to(socket: &SocketFile, given: &Given) -> CResult<()> {
    let name: [u8; NAME_LEN - 1] = given.some_of()?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let index = if name.is_empty() {
        0
    } else {
        let all = interfaces()?;
        let found = all.iter().find(|one| one.name.as_bytes() == name);
        found.ok_or(Errno(libc::ENODEV))?.index
    };
    attributes::may_bind_again(socket)?;
    let index = c_int::try_from(index).unwrap_or(0);
    Ok(socket.set_option(SockOpt::Number(Attribute::BoundIf, index))?)
}

/// SO_BINDTODEVICE as read (sock_getbindtodevice): the name with one NUL, nothing at all when there is none; of a caller with `room`
/// bytes. EINVAL, ENODEV.
pub(super) fn bound_to(socket: &SocketFile, room: usize) -> CResult<Vec<u8>> {
    let bound = socket.get_option(SockOptName::Number(Attribute::BoundIf))?;
    let index = match bound {
        SockOpt::Number(_, 0) => return Ok(Vec::new()),
        SockOpt::Number(_, index) => index as u32,
        _ => return Err(Errno(libc::EINVAL)),
    };
    if room < NAME_LEN {
        return Err(Errno(libc::EINVAL));
    }
    let all = interfaces()?;
    let found = all.iter().find(|one| one.index == index);
    let name = &found.ok_or(Errno(libc::ENODEV))?.name;
    Ok([name.as_bytes(), b"\0"].concat())
}

/// The stack's interfaces.
pub(super) fn interfaces() -> CResult<Vec<Interface>> {
    runtime::survey(Stack::interfaces).map_err(|why| Errno(why.raw_os_error()))
}

/// IFF_* (netdevice(7)).
pub(super) fn flags(one: &Interface) -> c_short {
    let flags = if one.loopback {
        libc::IFF_UP | libc::IFF_LOOPBACK | libc::IFF_RUNNING
    } else {
        libc::IFF_UP
            | libc::IFF_POINTOPOINT
            | libc::IFF_RUNNING
            | libc::IFF_NOARP
            | libc::IFF_MULTICAST
    };
    flags as c_short
}

pub(super) fn hardware(one: &Interface) -> u16 {
    if one.loopback {
        ARPHRD_LOOPBACK
    } else {
        ARPHRD_NONE
    }
}

/// The name with NULs behind it; a longer one is cut, as no device has one.
fn padded(one: &Interface) -> [u8; NAME_LEN] {
    let mut name = [0; NAME_LEN];
    let len = one.name.len().min(NAME_LEN - 1);
    name[..len].copy_from_slice(&one.name.as_bytes()[..len]);
    name
}

/// The caller's name, at most as long as names are; ENODEV for a longer one, which is no interface's.
fn c_name(at: *const c_char) -> CResult<Vec<u8>> {
    let mut name = Vec::new();
    for offset in 0..NAME_LEN {
        // SAFETY: any byte is one.
        match unsafe { user::read(at.cast::<u8>().wrapping_add(offset))? } {
            0 => return Ok(name),
            byte => name.push(byte),
        }
    }
    Err(Errno(libc::ENODEV))
}
