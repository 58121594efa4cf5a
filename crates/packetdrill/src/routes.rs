//! Routes of the namespace: scripts say there how large packets to the other end may be.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use tunsock_stack::Route;

use crate::netlink;

/// The routes of the main table that have a largest packet of their own.
pub(crate) fn with_mtu() -> Vec<Route> {
    let families = [AddressFamily::Inet, AddressFamily::Inet6].into_iter();
    let routes = families.flat_map(|family| {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        netlink::dump(RouteNetlinkMessage::GetRoute(request)).unwrap_or_default()
    });
    routes
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewRoute(route) => route_of(&route),
            _ => None,
        })
        .collect()
}

fn route_of(message: &RouteMessage) -> Option<Route> {
    if message.header.table != RouteHeader::RT_TABLE_MAIN {
        return None;
    }
    let (mut to, mut mtu) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(addr)) => to = Some(IpAddr::V4(*addr)),
            RouteAttribute::Destination(RouteAddress::Inet6(addr)) => to = Some(IpAddr::V6(*addr)),
            RouteAttribute::Metrics(metrics) => {
                mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    Some(Route {
        dest: IpNet::new(to?, message.header.destination_prefix_length).ok()?,
        gateway: None,
        mtu: Some(mtu?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_says_how_much_it_carries_is_found() {
        let mut message = RouteMessage::default();
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.destination_prefix_length = 32;
        let to = RouteAddress::Inet([192, 0, 2, 1].into());
        message.attributes = vec![RouteAttribute::Destination(to)];
        assert_eq!(route_of(&message), None);
        let metrics = vec![RouteMetric::Advmss(600), RouteMetric::Mtu(640)];
        message.attributes.push(RouteAttribute::Metrics(metrics));
        let route = route_of(&message).expect("a route");
        assert_eq!(
            (route.dest.to_string().as_str(), route.mtu),
            ("192.0.2.1/32", Some(640))
        );
        message.header.table = 255;
        assert_eq!(route_of(&message), None);
    }
}
