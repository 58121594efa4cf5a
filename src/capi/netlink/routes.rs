//! RTM_GETROUTE: the tables, and the way to one destination.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_route::route::{
    RouteAttribute, RouteCacheInfo, RouteFlags, RouteHeader, RouteMessage, RouteMetric,
    RoutePreference, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use tunsock_stack::{RouteEntry, RouteKind, Stack, Way};

use super::answer::{List, Message, Request};
use super::attributes::{Attributes, ask};
use super::rules;
use crate::capi::errno::{CResult, Errno};

const EINVAL: Errno = Errno(libc::EINVAL);

/// sizeof(struct rtmsg).
const HEADER_LEN: usize = 12;
/// Of linux/rtnetlink.h.
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_IIF: u16 = 3;
const RTA_OIF: u16 = 4;
const RTA_TABLE: u16 = 15;
const RTA_UID: u16 = 25;
const TABLE_MAIN: u8 = 254;
const TABLE_LOCAL: u8 = 255;
/// RTCF_LOCAL, RTCF_BROADCAST and RTCF_MULTICAST of linux/in_route.h.
const RTCF_LOCAL: u32 = 0x8000_0000;
const RTCF_BROADCAST: u32 = 0x1000_0000;
const RTCF_MULTICAST: u32 = 0x2000_0000;
/// IP6_RT_PRIO_ADDRCONF and IP6_RT_PRIO_USER of net/ip6_route.h.
const METRIC_CONNECTED: u32 = 256;
const METRIC_CONFIGURED: u32 = 1024;
/// sizeof(struct rta_cacheinfo).
const CACHE_INFO_LEN: usize = 32;

/// What of the tables a list is of; zeros and `None`: everything.
#[derive(Default)]
struct Filter {
    table: u32,
    protocol: u8,
    kind: u8,
    interface: Option<u32>,
    /// Only what was learnt of paths (RTM_F_CLONED).
    cloned: bool,
    any: bool,
}

/// inet_dump_fib and inet6_dump_fib; a family that is neither: both.
pub(super) fn list(request: &Request<'_>) -> CResult<List> {
    let family = request.body.first().copied().unwrap_or(0);
    if rules::FORWARDING.contains(&family) {
        return Ok(List::default());
    }
    let family = AddressFamily::from(family);
    let filter = match request.strict {
        true => strict_filter(request.body),
        false => Ok(Filter::default()),
    };
    let filter = match filter {
        Ok(filter) => filter,
        Err(why) => return Ok(List::failed(why, false)),
    };
    let tables = [0, u32::from(TABLE_MAIN), u32::from(TABLE_LOCAL)];
    let one_family = matches!(family, AddressFamily::Inet | AddressFamily::Inet6);
    if one_family && !tables.contains(&filter.table) {
        return Ok(List::failed(Errno(libc::ENOENT), true));
    }
    let (all, interfaces) = ask(|stack| (stack.routes(), stack.interfaces()))?;
    let known = |index| interfaces.iter().any(|one| one.index == index);
    if filter.interface.is_some_and(|index| !known(index)) {
        return Ok(List::failed(Errno(libc::ENODEV), true));
    }
    let (four, six): (Vec<_>, Vec<_>) = all.iter().partition(|route| route.dest.addr().is_ipv4());
    let mut shown = Vec::new();
    if family != AddressFamily::Inet6 {
        shown.extend(four);
    }
    if family != AddressFamily::Inet {
        shown.extend(six);
    }
    let passing = shown.into_iter().filter(|route| filter.passes(route));
    Ok(List {
        messages: passing.map(|route| Message::Route(listed(route))).collect(),
        filtered: filter.any,
        failed: None,
    })
}

impl Filter {
    fn passes(&self, route: &RouteEntry) -> bool {
        let wanted = |wanted: u8, is: u8| wanted == 0 || wanted == is;
        !self.cloned
            && (self.table == 0 || self.table == u32::from(table(route)))
            && wanted(self.protocol, protocol(route).into())
            && wanted(self.kind, kind(route.kind).into())
            && self.interface.is_none_or(|index| index == route.interface)
    }
}

/// ip_valid_fib_dump_req.
fn strict_filter(body: &[u8]) -> CResult<Filter> {
    let header = RouteHeader::parse(body).map_err(|_| EINVAL)?;
    let flags = header.flags;
    let said = header.destination_prefix_length != 0
        || header.source_prefix_length != 0
        || header.tos != 0
        || header.scope != RouteScope::Universe;
    if said || !(RouteFlags::Cloned | RouteFlags::Prefix).contains(flags) {
        return Err(EINVAL);
    }
    let given = Attributes::of(body, HEADER_LEN, true)?;
    if !given
        .numbers()
        .all(|number| matches!(number, RTA_TABLE | RTA_OIF))
    {
        return Err(EINVAL);
    }
    let mut filter = Filter {
        table: given.number(RTA_TABLE)?.unwrap_or(header.table.into()),
        protocol: header.protocol.into(),
        kind: header.kind.into(),
        interface: given.number(RTA_OIF)?,
        cloned: flags.contains(RouteFlags::Cloned),
        any: false,
    };
    filter.any = filter.table != 0
        || filter.protocol != 0
        || filter.kind != 0
        || filter.interface.is_some()
        || flags.contains(RouteFlags::Cloned);
    Ok(filter)
}

/// inet_rtm_getroute, inet6_rtm_getroute: the way that a packet would take. EINVAL, ENETUNREACH, ENODEV; EHOSTUNREACH for one that has
/// arrived and is not for us (nothing is forwarded); EOPNOTSUPP of other families.
pub(super) fn one(request: &Request<'_>) -> CResult<RouteNetlinkMessage> {
    let family = AddressFamily::from(request.body.first().copied().unwrap_or(0));
    let v6 = match family {
        AddressFamily::Inet => false,
        AddressFamily::Inet6 => true,
        _ => return Err(Errno(libc::EOPNOTSUPP)),
    };
    let header = RouteHeader::parse(request.body).map_err(|_| EINVAL)?;
    let given = Attributes::of(request.body, HEADER_LEN, request.strict)?;
    if request.strict {
        strict_question(&header, &given, v6)?;
    }
    let any = match v6 {
        true => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        false => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let dst = given.address(RTA_DST, v6)?.unwrap_or(any);
    let src = given
        .address(RTA_SRC, v6)?
        .filter(|src| !src.is_unspecified());
    let arrived = given.number(RTA_IIF)?.unwrap_or(0);
    let by = given.number(RTA_OIF)?.unwrap_or(0);
    let question = Question {
        dst,
        src,
        arrived,
        user: given.number(RTA_UID)?,
    };
    let (way, interfaces) = ask(|stack: &Stack| {
        let (src, by) = match arrived {
            0 => (src, by),
            _ => (None, 0),
        };
        (stack.way_to(dst, src, by), stack.interfaces())
    })?;
    if arrived != 0 && interfaces.iter().all(|one| one.index != arrived) {
        return Err(Errno(libc::ENODEV));
    }
    let way = way?;
    if arrived != 0 && way.kind == RouteKind::Unicast {
        return Err(Errno(libc::EHOSTUNREACH));
    }
    match (&way.entry, header.flags.contains(RouteFlags::FibMatch)) {
        (Some(entry), true) => Ok(listed(entry)),
        _ => Ok(question.answered(&way)),
    }
}

/// inet_rtm_valid_getroute_req, inet6_rtm_valid_getroute_req.
fn strict_question(header: &RouteHeader, given: &Attributes<'_>, v6: bool) -> CResult<()> {
    let all = if v6 { 128 } else { 32 };
    let fits = |len: u8, number: u16| match len {
        0 => given.get(number).is_none(),
        len => len == all,
    };
    let said = header.table != 0
        || header.protocol != RouteProtocol::Unspec
        || header.scope != RouteScope::Universe
        || header.kind != RouteType::Unspec;
    let flags = RouteFlags::Notify | RouteFlags::LookupTable | RouteFlags::FibMatch;
    match !said
        && fits(header.destination_prefix_length, RTA_DST)
        && fits(header.source_prefix_length, RTA_SRC)
        && flags.contains(header.flags)
    {
        true => Ok(()),
        false => Err(EINVAL),
    }
}

/// What was asked of the tables.
struct Question {
    dst: IpAddr,
    src: Option<IpAddr>,
    /// The interface that the packet has come by, 0: it is ours.
    arrived: u32,
    user: Option<u32>,
}

impl Question {
    /// RTM_NEWROUTE about one destination (rt_fill_info, rt6_fill_node).
    fn answered(&self, way: &Way) -> RouteNetlinkMessage {
        use RouteAttribute as A;
        let v6 = self.dst.is_ipv6();
        let entry = way.entry.as_ref();
        let whole = if v6 { 128 } else { 32 };
        // Of IPv4 the table is told when it is asked for, and `local` never: the path of such a packet does not know it.
        let table = match entry {
            Some(entry) if v6 => table(entry),
            _ => TABLE_MAIN,
        };
        let mut attributes = vec![A::Table(table.into()), A::Destination(self.dst.into())];
        match self.src {
            Some(src) => attributes.push(A::Source(src.into())),
            None if v6 => attributes.push(A::Source(Ipv6Addr::UNSPECIFIED.into())),
            None => {}
        }
        if v6 {
            attributes.push(A::PrefSource(way.source.into()));
            attributes.push(A::Priority(entry.map_or(METRIC_CONNECTED, metric)));
        }
        if let Some(mtu) = entry.and_then(|entry| entry.mtu) {
            attributes.push(A::Metrics(vec![RouteMetric::Mtu(mtu)]));
        }
        let gateway = entry.filter(|_| way.kind == RouteKind::Unicast);
        let gateway = gateway.and_then(|entry| entry.gateway);
        let gateway = gateway.filter(|hop| *hop != self.dst);
        let gateway = gateway.map(|hop| A::Gateway(hop.into()));
        let interface = A::Oif(way.interface);
        if v6 {
            attributes.extend(gateway);
            attributes.push(interface);
        } else if self.arrived == 0 {
            let own = || rustix::process::getuid().as_raw();
            attributes.extend([interface, A::PrefSource(way.source.into())]);
            attributes.extend(gateway);
            attributes.push(A::Uid(self.user.unwrap_or_else(own)));
        } else {
            attributes.push(interface);
        }
        if self.arrived != 0 {
            attributes.push(A::Iif(self.arrived));
        }
        attributes.extend(no_cache().map(A::CacheInfo));
        if v6 {
            attributes.push(A::Preference(RoutePreference::Medium));
        }
        let mut message = RouteMessage::default();
        message.header = RouteHeader {
            address_family: family_of(self.dst),
            destination_prefix_length: whole,
            source_prefix_length: if v6 || self.src.is_some() { whole } else { 0 },
            table,
            protocol: match entry {
                Some(entry) if v6 => protocol(entry),
                _ => RouteProtocol::Unspec,
            },
            kind: kind(way.kind),
            flags: Question::flags_of(way.kind, v6),
            ..RouteHeader::default()
        };
        message.attributes = attributes;
        RouteNetlinkMessage::NewRoute(message)
    }

    /// Of IPv4: that no table has it as it is, and RTCF_*.
    fn flags_of(kind: RouteKind, v6: bool) -> RouteFlags {
        let of_kind = match kind {
            _ if v6 => return RouteFlags::empty(),
            RouteKind::Unicast => 0,
            RouteKind::Local => RTCF_LOCAL,
            // What we send to all we get ourselves (RFC 1122 3.3.6).
            RouteKind::Broadcast => RTCF_LOCAL | RTCF_BROADCAST,
            RouteKind::Multicast => RTCF_LOCAL | RTCF_MULTICAST,
        };
        RouteFlags::from_bits_retain(of_kind) | RouteFlags::Cloned
    }
}

/// RTM_NEWROUTE of an entry (fib_dump_info, rt6_fill_node).
fn listed(route: &RouteEntry) -> RouteNetlinkMessage {
    use RouteAttribute as A;
    let v6 = route.dest.addr().is_ipv6();
    let mut attributes = vec![A::Table(table(route).into())];
    if route.dest.prefix_len() != 0 {
        attributes.push(A::Destination(route.dest.addr().into()));
    }
    if v6 {
        attributes.push(A::Priority(metric(route)));
    }
    if let Some(mtu) = route.mtu {
        attributes.push(A::Metrics(vec![RouteMetric::Mtu(mtu)]));
    }
    if !v6 {
        attributes.extend(route.source.map(|own| A::PrefSource(own.into())));
    }
    attributes.extend(route.gateway.map(|hop| A::Gateway(hop.into())));
    attributes.push(A::Oif(route.interface));
    if v6 {
        attributes.extend(no_cache().map(A::CacheInfo));
        attributes.push(A::Preference(RoutePreference::Medium));
    }
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family_of(route.dest.addr()),
        destination_prefix_length: route.dest.prefix_len(),
        table: table(route),
        protocol: protocol(route),
        scope: if v6 {
            RouteScope::Universe
        } else {
            scope(route)
        },
        kind: kind(route.kind),
        ..RouteHeader::default()
    };
    message.attributes = attributes;
    RouteNetlinkMessage::NewRoute(message)
}

fn family_of(addr: IpAddr) -> AddressFamily {
    match addr {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn table(route: &RouteEntry) -> u8 {
    match route.kind {
        RouteKind::Unicast => TABLE_MAIN,
        RouteKind::Local | RouteKind::Broadcast | RouteKind::Multicast => TABLE_LOCAL,
    }
}

/// Whose route it is: what comes with an address is the kernel's, the rest as `ip route add` has it.
fn protocol(route: &RouteEntry) -> RouteProtocol {
    match route.source {
        Some(_) => RouteProtocol::Kernel,
        None => RouteProtocol::Boot,
    }
}

/// How far away the destination is, of IPv4.
fn scope(route: &RouteEntry) -> RouteScope {
    match (route.kind, route.gateway) {
        (RouteKind::Local, _) => RouteScope::Host,
        (_, Some(_)) => RouteScope::Universe,
        (_, None) => RouteScope::Link,
    }
}

/// A route's preference, of IPv6.
fn metric(route: &RouteEntry) -> u32 {
    match (route.kind, route.source) {
        (RouteKind::Local, _) => 0,
        (_, Some(_)) => METRIC_CONNECTED,
        (_, None) => METRIC_CONFIGURED,
    }
}

fn kind(kind: RouteKind) -> RouteType {
    match kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Local => RouteType::Local,
        RouteKind::Broadcast => RouteType::Broadcast,
        RouteKind::Multicast => RouteType::Multicast,
    }
}

/// struct rta_cacheinfo of a route that nothing is kept of.
fn no_cache() -> Option<RouteCacheInfo> {
    RouteCacheInfo::parse(&[0; CACHE_INFO_LEN]).ok()
}
