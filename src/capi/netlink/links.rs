//! RTM_GETLINK: interfaces.

use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkHeader, LinkInfo, LinkLayerType, LinkMessage, LinkMode,
    Map, State,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use tunsock_stack::{Interface, Stack};

use super::answer::{List, Message, Request};
use super::attributes::{Attributes, ask};
use crate::capi::errno::{CResult, Errno};
use crate::capi::interfaces::{IFF_LOWER_UP, QUEUE_LOOPBACK, QUEUE_TUN, flags, hardware};

/// sizeof(struct ifinfomsg).
const HEADER_LEN: usize = 16;
/// Of linux/if_link.h.
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_TARGET_NETNSID: u16 = 46;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_INFO_KIND: u16 = 1;
/// What a TUN device carries at least and at most (linux/if_tun.h: ETH_MIN_MTU, tun_net_initialize).
const TUN_MTU_MIN: u32 = 68;
const TUN_MTU_MAX: u32 = 65535;
/// GSO_LEGACY_MAX_SIZE, GSO_MAX_SEGS of linux/netdevice.h.
const GSO_MAX_SIZE: u32 = 65536;
const GSO_MAX_SEGS: u32 = 65535;
/// Octets of an Ethernet address, which `lo` has of zeros.
const ETH_ALEN: usize = 6;

/// rtnl_dump_ifinfo.
pub(super) fn list(request: &Request<'_>) -> CResult<List> {
    let family = AddressFamily::from(request.body.first().copied().unwrap_or(0));
    // rtnl_bridge_getlink: ports of bridges.
    if family == AddressFamily::Bridge {
        return Ok(List::default());
    }
    let known = match request.strict {
        true => strict_header(request.body),
        // Old programs send a family alone.
        false if request.body.len() < HEADER_LEN => Ok(1),
        false => Ok(HEADER_LEN),
    };
    let header = match known {
        Ok(header) => header,
        Err(why) => return Ok(List::failed(why, false)),
    };
    let given = match Attributes::of(request.body, header, request.strict) {
        Ok(given) => given,
        Err(why) => return Ok(List::failed(why, false)),
    };
    // rtnl_dump_ifinfo; and there is no other namespace to be named.
    let allowed = [IFLA_MASTER, IFLA_LINKINFO, IFLA_EXT_MASK];
    let strange = request.strict && !given.numbers().all(|number| allowed.contains(&number));
    if strange || given.get(IFLA_TARGET_NETNSID).is_some() {
        return Ok(List::failed(Errno(libc::EINVAL), false));
    }
    let all = ask(Stack::interfaces)?;
    // link_master_filtered: no interface of the stack has a master.
    let master = given.number(IFLA_MASTER)?.is_some_and(|index| index != 0);
    let of_tun = match given.get(IFLA_LINKINFO) {
        Some(nested) => Attributes::of(nested, 0, false)?.text(IFLA_INFO_KIND) == Some(b"tun"),
        None => false,
    };
    let shown = all.iter().filter(|one| !(master || of_tun && one.loopback));
    let family = match family {
        AddressFamily::Inet6 => AddressFamily::Inet6,
        _ => AddressFamily::Unspec,
    };
    Ok(List {
        messages: shown
            .map(|one| Message::Route(message(one, family)))
            .collect(),
        filtered: master || of_tun,
        failed: None,
    })
}

/// rtnl_valid_dump_ifinfo_req: nothing but the family may be said in the header.
fn strict_header(body: &[u8]) -> CResult<usize> {
    let header = body.get(..HEADER_LEN).ok_or(Errno(libc::EINVAL))?;
    match header.iter().skip(1).all(|octet| *octet == 0) {
        true => Ok(HEADER_LEN),
        false => Err(Errno(libc::EINVAL)),
    }
}

/// rtnl_getlink: the interface of a number or a name. EINVAL, ENODEV.
pub(super) fn one(request: &Request<'_>) -> CResult<RouteNetlinkMessage> {
    let header = LinkHeader::parse(request.body).map_err(|_| Errno(libc::EINVAL))?;
    let given = Attributes::of(request.body, HEADER_LEN, request.strict)?;
    if given.get(IFLA_TARGET_NETNSID).is_some() {
        return Err(Errno(libc::EINVAL));
    }
    let name = (given.text(IFLA_IFNAME)).or_else(|| given.text(IFLA_ALT_IFNAME));
    let all = ask(Stack::interfaces)?;
    let found = match (header.index, name) {
        (0, None) => return Err(Errno(libc::EINVAL)),
        (0, Some(name)) => all.iter().find(|one| one.name.as_bytes() == name),
        (index, _) => all.iter().find(|one| one.index == index),
    };
    let found = found.ok_or(Errno(libc::ENODEV))?;
    Ok(message(found, AddressFamily::Unspec))
}

/// RTM_NEWLINK (rtnl_fill_ifinfo), without counters: the stack counts elsewhere.
fn message(one: &Interface, family: AddressFamily) -> RouteNetlinkMessage {
    use LinkAttribute as A;
    let bits = u32::from(flags(one) as u16) | IFF_LOWER_UP;
    let (queue, state) = match one.loopback {
        true => (QUEUE_LOOPBACK, State::Unknown),
        false => (QUEUE_TUN, State::Up),
    };
    let (least, most) = match one.loopback {
        true => (0, 0),
        false => (TUN_MTU_MIN, TUN_MTU_MAX),
    };
    let mut attributes = vec![
        A::IfName(one.name.clone()),
        A::TxQueueLen(queue.unsigned_abs()),
        A::OperState(state),
        A::Mode(LinkMode::Default),
        A::Mtu(one.mtu),
        A::MinMtu(least),
        A::MaxMtu(most),
        A::Group(0),
        A::Promiscuity(0),
        A::AllMulticast(0),
        A::NumTxQueues(1),
        A::GsoMaxSegs(GSO_MAX_SEGS),
        A::GsoMaxSize(GSO_MAX_SIZE),
        A::NumRxQueues(1),
        A::Carrier(1),
        A::CarrierChanges(0),
        A::CarrierUpCount(0),
        A::CarrierDownCount(0),
        A::ProtoDown(0),
    ];
    if one.loopback {
        attributes.push(A::Address(vec![0; ETH_ALEN]));
        attributes.push(A::Broadcast(vec![0; ETH_ALEN]));
    } else {
        attributes.push(A::LinkInfo(vec![LinkInfo::Kind(InfoKind::Tun)]));
    }
    attributes.push(A::Qdisc("noqueue".into()));
    attributes.push(A::Map(Map::default()));
    let mut message = LinkMessage::default();
    message.header = LinkHeader {
        interface_family: family,
        index: one.index,
        link_layer_type: LinkLayerType::from(hardware(one)),
        flags: LinkFlags::from_bits_retain(bits),
        change_mask: LinkFlags::empty(),
    };
    message.attributes = attributes;
    RouteNetlinkMessage::NewLink(message)
}
