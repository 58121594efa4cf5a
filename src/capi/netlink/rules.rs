//! RTM_GETRULE: which tables are looked up. As on a host where nobody has changed anything.

use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleHeader, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::answer::{List, Message, Request};

/// Tables and preferences of fib_default_rules_init and fib6_rules_net_init.
const LOCAL: (u8, u32) = (255, 0);
const MAIN: (u8, u32) = (254, 32766);
const DEFAULT: (u8, u32) = (253, 32767);

/// RTNL_FAMILY_IPMR and RTNL_FAMILY_IP6MR of linux/rtnetlink.h: how groups' packets are forwarded, which a host does not do.
pub(super) const FORWARDING: [u8; 2] = [128, 129];

/// fib_nl_dumprule.
pub(super) fn list(request: &Request<'_>) -> List {
    let family = request.body.first().copied().unwrap_or(0);
    if FORWARDING.contains(&family) {
        return List::default();
    }
    let family = AddressFamily::from(family);
    let mut messages = Vec::new();
    if family != AddressFamily::Inet6 {
        let all = [LOCAL, MAIN, DEFAULT];
        messages.extend(all.map(|rule| message(AddressFamily::Inet, rule)));
    }
    if family != AddressFamily::Inet {
        messages.extend([LOCAL, MAIN].map(|rule| message(AddressFamily::Inet6, rule)));
    }
    List {
        messages,
        ..List::default()
    }
}

/// RTM_NEWRULE (fib_nl_fill_rule).
fn message(family: AddressFamily, (table, preference): (u8, u32)) -> Message {
    let mut message = RuleMessage::default();
    message.header = RuleHeader {
        family,
        table,
        action: RuleAction::ToTable,
        ..RuleHeader::default()
    };
    message.attributes = vec![
        RuleAttribute::Table(table.into()),
        RuleAttribute::SuppressPrefixLen(u32::MAX),
        RuleAttribute::Protocol(RouteProtocol::Kernel),
    ];
    if preference != 0 {
        message.attributes.push(RuleAttribute::Priority(preference));
    }
    Message::Route(RouteNetlinkMessage::NewRule(message))
}
