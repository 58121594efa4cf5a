//! Routing netlink (rtnetlink(7)), synchronous: the host side of a device, and a look at what is taken.
//!
//! Nothing here changes a link other than the one it is told to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoKind, LinkAttribute, LinkFlags, LinkInfo,
    LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::slot::Slot;
use crate::sys::Descriptor;
use crate::sysctl;

/// What the kernel's end of a device shall look like.
#[derive(Debug, Clone, Copy)]
pub struct HostSide<'a> {
    /// The device's name.
    pub device: &'a str,
    /// MTU in bytes.
    pub mtu: u32,
    /// The host's own addresses on the device, with their prefixes.
    pub addrs: &'a [IpNet],
    /// Nets that the host sends into the device besides those of `addrs`.
    pub routes: &'a [IpNet],
}

/// Sets MTU and queue length, adds the addresses (IPv6 ones without duplicate address detection),
/// brings the device up, adds the routes. What is there already is left. The device gets no
/// IPv6 link-local address, so the host sends no router solicitations into it.
///
/// # Errors
/// The first step that failed; those before it stay done. EPERM without CAP_NET_ADMIN, ENODEV when
/// there is no such device, EACCES or EOPNOTSUPP when an IPv6 address is asked for and IPv6 is off
/// ([`ipv6_available`](crate::ipv6_available)), EINVAL when it is asked for at an MTU under 1280 (RFC 8200 5).
pub fn configure(host: &HostSide<'_>) -> Result<(), NetlinkError> {
    let mut netlink = Netlink::open()?;
    let Some(link) = netlink.link(host.device)? else {
        return Err(NetlinkError {
            op: format!("find {}", host.device),
            errno: Errno::NODEV,
        });
    };
    let ipv6 = host
        .addrs
        .iter()
        .chain(host.routes)
        .any(|net| matches!(net, IpNet::V6(_)));
    if ipv6 && host.mtu < IPV6_MIN_MTU {
        let op = format!(
            "give {} an IPv6 address at an MTU under {IPV6_MIN_MTU}",
            host.device
        );
        return Err(NetlinkError {
            op,
            errno: Errno::INVAL,
        });
    }
    netlink.set_link(link.index, host.mtu, TX_QUEUE_LEN)?;
    if ipv6 {
        sysctl::switch_ipv6_on(host.device);
    }
    for addr in host.addrs {
        netlink.add_address(link.index, *addr)?;
    }
    netlink.set_up(link.index, true)?;
    for route in host.routes {
        netlink.add_route(link.index, *route)?;
    }
    netlink.wait_until_local(host.addrs)
}

/// How long the kernel may take to make its own IPv6 addresses reachable.
const LOCAL_ROUTE_WAIT: Duration = Duration::from_millis(500);

/// How long the kernel may take to send by a device that has just been attached to.
const RUNNING_WAIT: Duration = Duration::from_millis(500);

/// A netlink request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetlinkError {
    /// What was tried, in words.
    pub op: String,
    /// What the kernel answered.
    pub errno: Errno,
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.op, self.errno)
    }
}

impl std::error::Error for NetlinkError {}

/// A network device of this namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkEntry {
    /// Interface index.
    pub index: u32,
    /// Interface name.
    pub name: String,
    /// MTU in bytes.
    pub mtu: u32,
    /// Administratively up (IFF_UP).
    pub up: bool,
    /// A device of the tun driver (TUN or TAP).
    pub is_tun: bool,
}

/// An address of this namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressEntry {
    /// Interface index.
    pub index: u32,
    /// The address and its prefix.
    pub net: IpNet,
}

/// A routing netlink socket of the calling thread's network namespace.
#[derive(Debug)]
pub struct Netlink {
    fd: Descriptor,
    sequence: u32,
    buf: Vec<u8>,
}

impl Netlink {
    /// Opens the socket. Needs no rights; changing anything does (CAP_NET_ADMIN).
    ///
    /// # Errors
    /// What socket(2) says.
    pub fn open() -> Result<Netlink, NetlinkError> {
        let fd = rustix::net::socket_with(
            rustix::net::AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|errno| NetlinkError {
            op: "open a netlink socket".into(),
            errno,
        })?;
        Ok(Netlink {
            fd: Descriptor::new_high(fd),
            sequence: 0,
            buf: vec![0; RECV_LEN],
        })
    }

    /// All devices.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn links(&mut self) -> Result<Vec<LinkEntry>, NetlinkError> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        self.dump(request, "list devices", |message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(link_entry(link)),
            _ => None,
        })
    }

    /// The device of this name, if there is one.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn link(&mut self, name: &str) -> Result<Option<LinkEntry>, NetlinkError> {
        Ok(self.links()?.into_iter().find(|link| link.name == name))
    }

    /// All addresses, IPv4 and IPv6.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn addresses(&mut self) -> Result<Vec<AddressEntry>, NetlinkError> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        self.dump(request, "list addresses", |message| match message {
            RouteNetlinkMessage::NewAddress(address) => address_entry(&address),
            _ => None,
        })
    }

    /// The destinations of all routes of all tables, IPv4 and IPv6, default routes included.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn routes(&mut self) -> Result<Vec<IpNet>, NetlinkError> {
        let mut all = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut route = RouteMessage::default();
            route.header.address_family = family;
            let request = RouteNetlinkMessage::GetRoute(route);
            all.extend(self.dump(request, "list routes", |message| match message {
                RouteNetlinkMessage::NewRoute(route) => route_destination(&route),
                _ => None,
            })?);
        }
        Ok(all)
    }

    /// The first slot whose name and nets nobody uses in this namespace: no device of that name, no
    /// address in the nets, no route into them. Routes wider than 10.83.0.0/16 and
    /// fd83:7475:6e73::/48 (a default route, a whole 10.0.0.0/8) do not count, ours are more specific.
    ///
    /// Between this look and the device's making another process may take the slot; then
    /// [`Tun::open`](crate::Tun::open) says [`InUse`](crate::OpenError::InUse) and one looks again.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn free_slot(&mut self) -> Result<Option<Slot>, NetlinkError> {
        let links = self.links()?;
        let mut nets: Vec<IpNet> = self.addresses()?.iter().map(|entry| entry.net).collect();
        nets.extend(self.routes()?.into_iter().filter(|net| match net {
            IpNet::V4(net) => net.prefix_len() >= 16,
            IpNet::V6(net) => net.prefix_len() >= 48,
        }));
        Ok((0..=u8::MAX).map(Slot).find(|slot| {
            let name = slot.device();
            !links.iter().any(|link| link.name == name) && !nets.iter().any(|n| slot.overlaps(n))
        }))
    }

    /// Sets MTU (bytes) and transmit queue length (packets) and stops the kernel from giving the
    /// device an IPv6 link-local address.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn set_link(
        &mut self,
        index: u32,
        mtu: u32,
        tx_queue_len: u32,
    ) -> Result<(), NetlinkError> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.attributes = vec![
            LinkAttribute::Mtu(mtu),
            LinkAttribute::TxQueueLen(tx_queue_len),
        ];
        let request = RouteNetlinkMessage::SetLink(link);
        self.change(request, 0, || {
            format!("set the MTU of device {index} to {mtu}")
        })?;

        let mut link = LinkMessage::default();
        link.header.index = index;
        let inet6 = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        link.attributes = vec![LinkAttribute::AfSpecUnspec(vec![inet6])];
        let request = RouteNetlinkMessage::SetLink(link);
        match self.change(request, 0, || {
            format!("set the address mode of device {index}")
        }) {
            // A kernel without IPv6, or a device that has none because its MTU is under 1280.
            Err(error) if error.errno != Errno::PERM => Ok(()),
            result => result,
        }
    }

    /// Sets the device administratively up or down.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn set_up(&mut self, index: u32, up: bool) -> Result<(), NetlinkError> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.header.flags = if up {
            LinkFlags::Up
        } else {
            LinkFlags::empty()
        };
        link.header.change_mask = LinkFlags::Up;
        let word = if up { "up" } else { "down" };
        self.change(RouteNetlinkMessage::SetLink(link), 0, || {
            format!("set device {index} {word}")
        })
    }

    /// Adds an address with its prefix (and so the route to that net). One that is there is left.
    ///
    /// # Errors
    /// What the kernel answered. EACCES or EOPNOTSUPP: IPv6 is off here.
    pub fn add_address(&mut self, index: u32, net: IpNet) -> Result<(), NetlinkError> {
        let mut address = AddressMessage::default();
        address.header.family = family(net.addr());
        address.header.prefix_len = net.prefix_len();
        address.header.index = index;
        address.attributes = vec![
            AddressAttribute::Local(net.addr()),
            AddressAttribute::Address(net.addr()),
        ];
        match net {
            IpNet::V4(net) if net.prefix_len() < 31 => {
                address
                    .attributes
                    .push(AddressAttribute::Broadcast(net.broadcast()));
            }
            IpNet::V4(_) => {}
            IpNet::V6(_) => {
                address.header.flags = AddressHeaderFlags::Nodad;
                address
                    .attributes
                    .push(AddressAttribute::Flags(AddressFlags::Nodad));
            }
        }
        let request = RouteNetlinkMessage::NewAddress(address);
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        match self.change(request, flags, || {
            format!("add address {net} to device {index}")
        }) {
            Err(error) if error.errno == Errno::EXIST => Ok(()),
            result => result,
        }
    }

    /// Sends what goes to `net` into the device, which is up. A route to `net` that is there is replaced.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn add_route(&mut self, index: u32, net: IpNet) -> Result<(), NetlinkError> {
        let mut route = RouteMessage::default();
        route.header.address_family = family(net.addr());
        route.header.destination_prefix_length = net.prefix_len();
        route.header.table = RouteHeader::RT_TABLE_MAIN;
        route.header.protocol = RouteProtocol::Static;
        route.header.kind = RouteType::Unicast;
        route.header.scope = match net {
            IpNet::V4(_) => RouteScope::Link,
            IpNet::V6(_) => RouteScope::Universe,
        };
        route.attributes = vec![
            RouteAttribute::Destination(net.network().into()),
            RouteAttribute::Oif(index),
        ];
        let request = RouteNetlinkMessage::NewRoute(route);
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        self.change(request, flags, || format!("route {net} to device {index}"))
    }

    /// Waits until packets to these addresses of the host are delivered there. For IPv6 ones a work queue of the kernel
    /// makes the route after the address (addrconf_dad_work), even without duplicate address detection; until then what is sent to
    /// them is lost, and a SYN among it costs a second. After half a second it is left at that.
    fn wait_until_local(&mut self, addrs: &[IpNet]) -> Result<(), NetlinkError> {
        let wanted: Vec<IpNet> = addrs
            .iter()
            .filter(|net| matches!(net, IpNet::V6(_)))
            .map(|net| IpNet::from(net.addr()))
            .collect();
        let end = Instant::now() + LOCAL_ROUTE_WAIT;
        while !wanted.is_empty() && Instant::now() < end {
            let routes = self.routes()?;
            if wanted.iter().all(|net| routes.contains(net)) {
                break;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Waits until the device of this name carries packets, if it is up. The kernel makes that so in a work queue after somebody has attached to
    /// a device that had nobody (linkwatch_do_dev); until then what the host sends by it is lost, and the answer to a SYN among it costs a
    /// second. After half a second it is left at that.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn wait_until_running(&mut self, name: &str) -> Result<(), NetlinkError> {
        let fail = |errno| NetlinkError {
            op: format!("look at {name}"),
            errno,
        };
        let end = Instant::now() + RUNNING_WAIT;
        loop {
            let flags = self.link_flags(name).map_err(fail)?;
            let waits = flags.contains(LinkFlags::Up) && !flags.contains(LinkFlags::Running);
            if !waits || Instant::now() >= end {
                return Ok(());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn link_flags(&mut self, name: &str) -> Result<LinkFlags, Errno> {
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName(name.into()));
        self.send(RouteNetlinkMessage::GetLink(link), 0)?;
        loop {
            let len = self.receive()?;
            for (header, bytes) in Messages(self.buf.get(..len).unwrap_or_default()) {
                if header.sequence_number != self.sequence {
                    continue;
                }
                match NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes).map(|m| m.payload) {
                    Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link))) => {
                        return Ok(link.header.flags);
                    }
                    Ok(NetlinkPayload::Error(error)) => {
                        return Err(Errno::from_raw_os_error(error.raw_code().saturating_neg()));
                    }
                    _ => return Err(Errno::PROTO),
                }
            }
        }
    }

    /// Deletes a device.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn delete_link(&mut self, index: u32) -> Result<(), NetlinkError> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        self.change(RouteNetlinkMessage::DelLink(link), 0, || {
            format!("delete device {index}")
        })
    }

    /// Sends a request that changes something and waits for its acknowledgement.
    fn change(
        &mut self,
        request: RouteNetlinkMessage,
        flags: u16,
        op: impl Fn() -> String,
    ) -> Result<(), NetlinkError> {
        let fail = |errno| NetlinkError { op: op(), errno };
        self.send(request, NLM_F_ACK | flags).map_err(fail)?;
        let sequence = self.sequence;
        loop {
            let len = self.receive().map_err(fail)?;
            let messages = Messages(self.buf.get(..len).unwrap_or_default());
            for (header, bytes) in messages {
                if header.sequence_number != sequence {
                    continue;
                }
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes);
                match message.map(|message| message.payload) {
                    Ok(NetlinkPayload::Error(error)) => {
                        return match error.raw_code() {
                            0 => Ok(()),
                            code => Err(fail(Errno::from_raw_os_error(code.saturating_neg()))),
                        };
                    }
                    Ok(_) => {}
                    Err(_) => return Err(fail(Errno::BADMSG)),
                }
            }
        }
    }

    /// Lists what `pick` makes of the answers. Starts over when the list changed meanwhile.
    fn dump<T>(
        &mut self,
        request: RouteNetlinkMessage,
        op: &'static str,
        pick: impl Fn(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        let fail = |errno| NetlinkError {
            op: op.into(),
            errno,
        };
        for _ in 0..DUMP_TRIES {
            self.send(request.clone(), NLM_F_DUMP).map_err(fail)?;
            if let Some(list) = self.collect(&pick).map_err(fail)? {
                return Ok(list);
            }
        }
        Err(fail(Errno::INTR))
    }

    /// The answers to one dump request; `None` when they are inconsistent (NLM_F_DUMP_INTR).
    fn collect<T>(
        &mut self,
        pick: &impl Fn(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Errno> {
        let mut list = Vec::new();
        let mut consistent = true;
        loop {
            let len = self.receive()?;
            for (header, bytes) in Messages(self.buf.get(..len).unwrap_or_default()) {
                if header.sequence_number != self.sequence {
                    continue;
                }
                consistent &= header.flags & NLM_F_DUMP_INTR == 0;
                // An entry that the parser does not understand is one that we did not make.
                let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) else {
                    continue;
                };
                match message.payload {
                    NetlinkPayload::Done(_) => return Ok(consistent.then_some(list)),
                    NetlinkPayload::Error(error) => {
                        return Err(Errno::from_raw_os_error(error.raw_code().saturating_neg()));
                    }
                    NetlinkPayload::InnerMessage(message) => list.extend(pick(message)),
                    _ => {}
                }
            }
        }
    }

    fn send(&mut self, request: RouteNetlinkMessage, flags: u16) -> Result<(), Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::net::sendto(&self.fd, &bytes, SendFlags::empty(), &kernel).map(|_| ())
    }

    /// One datagram from the kernel into `buf`. Returns its length.
    fn receive(&mut self) -> Result<usize, Errno> {
        loop {
            match rustix::net::recvfrom(&self.fd, &mut self.buf[..], RecvFlags::TRUNC) {
                Ok((_, len, _)) if len > self.buf.len() => return Err(Errno::MSGSIZE),
                Ok((len, _, from)) => {
                    let from = from.and_then(|addr| SocketAddrNetlink::try_from(addr).ok());
                    // Anybody may write to a netlink socket; only port 0 is the kernel.
                    if from.is_some_and(|addr| addr.pid() == 0) {
                        return Ok(len);
                    }
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// The messages in one datagram, each with its header: netlink(7), NLMSG_NEXT.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (NetlinkHeader, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        use netlink_packet_core::{NetlinkBuffer, Parseable};
        let buffer = NetlinkBuffer::new_checked(self.0).ok()?;
        let header = NetlinkHeader::parse(&buffer).ok()?;
        let len = header.length as usize;
        let message = self.0.get(..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((header, message))
    }
}

fn family(addr: IpAddr) -> AddressFamily {
    match addr {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn link_entry(link: LinkMessage) -> LinkEntry {
    let mut entry = LinkEntry {
        index: link.header.index,
        name: String::new(),
        mtu: 0,
        up: link.header.flags.contains(LinkFlags::Up),
        is_tun: false,
    };
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => entry.name = name,
            LinkAttribute::Mtu(mtu) => entry.mtu = mtu,
            LinkAttribute::LinkInfo(infos) => {
                entry.is_tun = infos.contains(&LinkInfo::Kind(InfoKind::Tun));
            }
            _ => {}
        }
    }
    entry
}

fn address_entry(address: &AddressMessage) -> Option<AddressEntry> {
    let mut own = None;
    for attribute in &address.attributes {
        match attribute {
            // IFA_ADDRESS is the peer's on a point-to-point device, IFA_LOCAL ours wherever both are.
            AddressAttribute::Local(addr) => own = Some(*addr),
            AddressAttribute::Address(addr) if own.is_none() => own = Some(*addr),
            _ => {}
        }
    }
    let net = IpNet::new(own?, address.header.prefix_len).ok()?;
    Some(AddressEntry {
        index: address.header.index,
        net,
    })
}

fn route_destination(route: &RouteMessage) -> Option<IpNet> {
    let prefix = route.header.destination_prefix_length;
    let addr = route
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(addr)) => Some(IpAddr::V4(*addr)),
            RouteAttribute::Destination(RouteAddress::Inet6(addr)) => Some(IpAddr::V6(*addr)),
            _ => None,
        });
    let addr = addr.or(match route.header.address_family {
        AddressFamily::Inet => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        AddressFamily::Inet6 => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        _ => None,
    })?;
    IpNet::new(addr, prefix).ok()
}

/// RFC 8200 5: below this the kernel takes IPv6 off a device.
const IPV6_MIN_MTU: u32 = 1280;
/// Packets the kernel queues for us while we are busy; 500, the default, is 750 KB.
const TX_QUEUE_LEN: u32 = 10_000;
/// The kernel's dump datagrams are at most 32 KB.
const RECV_LEN: usize = 64 * 1024;
/// How often a list is asked for that changes while it is read.
const DUMP_TRIES: u32 = 8;

#[cfg(test)]
mod tests;
