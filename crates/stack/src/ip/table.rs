//! The routes as a host lists them (rtnetlink(7)), and which of them a destination takes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{DstKind, Iface};
use crate::error::{Error, Result};
use crate::stack::Stack;

/// What becomes of packets to a route's destinations.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// They leave by the device.
    Unicast,
    /// They are for this host.
    Local,
    /// They are for every host of the link.
    Broadcast,
    /// They are for a group.
    Multicast,
}

/// An entry of the host's routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// Destination prefix.
    pub dest: IpNet,
    /// What becomes of packets.
    pub kind: RouteKind,
    /// Next hop; `None`: the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The address of ours that the entry goes with; `None` of a route that was configured.
    pub source: Option<IpAddr>,
    /// Number of the interface.
    pub interface: u32,
    /// Largest IP packet of the way, bytes, where it is less than the device's.
    pub mtu: Option<u32>,
}

/// How packets to one destination go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The entry that leads there; `None`: there is none, the interface was asked for by its number (IPv4 only).
    pub entry: Option<RouteEntry>,
    /// What becomes of packets.
    pub kind: RouteKind,
    /// Source address of packets.
    pub source: IpAddr,
    /// Number of the interface that they leave by: `lo`'s for those to ourselves.
    pub interface: u32,
}

impl Stack {
    /// Every route, those that come with addresses included: first what leaves by the device, then what is ours (Linux: the tables
    /// `main` and `local`), each in the order of the prefixes, IPv4 before IPv6.
    pub fn routes(&self) -> Vec<RouteEntry> {
        let mut routes = self.main_routes();
        routes.sort_by_key(|route| route.dest);
        let mut local = self.local_routes();
        local.sort_by_key(|route| route.dest);
        routes.extend(local);
        routes
    }

    /// How packets to `dst` go, from `src` if that is an address, by the interface of the number `by` unless it is 0. The errors of a
    /// socket that would send there: `NetworkUnreachable`, `NoDevice`, `Invalid`.
    pub fn way_to(&self, dst: IpAddr, src: Option<IpAddr>, by: u32) -> Result<Way> {
        let dst = self.ip.resolve_unspecified(dst, src);
        if src.is_some_and(|src| src.is_ipv4() != dst.is_ipv4()) {
            return Err(Error::Invalid);
        }
        let path = self.ip.path_by(dst, src, by)?;
        let kind = match self.ip.dst_kind(dst) {
            Some(DstKind::Unicast) => RouteKind::Local,
            Some(DstKind::Broadcast) => RouteKind::Broadcast,
            Some(DstKind::Multicast) => RouteKind::Multicast,
            None => RouteKind::Unicast,
        };
        let iface = match path.via.device {
            true => Iface::Device,
            false => Iface::Loopback,
        };
        Ok(Way {
            entry: self.entry_for(dst, kind),
            kind,
            source: path.src,
            interface: iface.index(),
        })
    }

    /// The longest prefix that leads to `dst`; what is ours goes before the rest.
    fn entry_for(&self, dst: IpAddr, kind: RouteKind) -> Option<RouteEntry> {
        let leads = |route: &RouteEntry| route.dest.contains(&dst);
        let longest = |routes: Vec<RouteEntry>| {
            let leading = routes.into_iter().filter(leads);
            leading.max_by_key(|route| route.dest.prefix_len())
        };
        let ours = longest(self.local_routes()).filter(|_| kind != RouteKind::Unicast);
        ours.or_else(|| longest(self.main_routes()))
    }

    /// The prefixes of the addresses, and what was configured.
    fn main_routes(&self) -> Vec<RouteEntry> {
        let device = Iface::Device.index();
        let connected = self.ip.addrs().iter().map(|net| RouteEntry {
            dest: net.trunc(),
            kind: RouteKind::Unicast,
            gateway: None,
            source: Some(net.addr()),
            interface: device,
            mtu: None,
        });
        let configured = self.config.routes.iter().map(|route| RouteEntry {
            dest: route.dest.trunc(),
            kind: RouteKind::Unicast,
            gateway: route.gateway,
            source: None,
            interface: device,
            mtu: route.mtu,
        });
        // RFC 3021: the net of a single address is that address.
        let connected =
            connected.filter(|route| route.dest.prefix_len() < route.dest.max_prefix_len());
        connected.chain(configured).collect()
    }

    /// Our addresses, those of the loopback, broadcast addresses, and the groups of IPv6 (addrconf_add_mroute).
    fn local_routes(&self) -> Vec<RouteEntry> {
        let (lo, device) = (Iface::Loopback.index(), Iface::Device.index());
        let entry = |dest: IpNet, kind, source, interface| RouteEntry {
            dest,
            kind,
            gateway: None,
            source: Some(source),
            interface,
            mtu: None,
        };
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let loopback = LOOPBACK.trunc();
        let mut routes = vec![
            entry(loopback.into(), RouteKind::Local, localhost, lo),
            entry(localhost.into(), RouteKind::Local, localhost, lo),
            entry(
                IpAddr::V4(loopback.broadcast()).into(),
                RouteKind::Broadcast,
                localhost,
                lo,
            ),
            entry(
                IpAddr::V6(Ipv6Addr::LOCALHOST).into(),
                RouteKind::Local,
                Ipv6Addr::LOCALHOST.into(),
                lo,
            ),
        ];
        for net in self.ip.addrs() {
            let own = net.addr();
            routes.push(entry(own.into(), RouteKind::Local, own, device));
            if net.addr().is_ipv4() && net.prefix_len() < 31 {
                let all = net.broadcast();
                routes.push(entry(all.into(), RouteKind::Broadcast, own, device));
            }
        }
        if let Some(own) = self.ip.addrs().iter().find(|net| net.addr().is_ipv6()) {
            let groups = entry(GROUPS.into(), RouteKind::Multicast, own.addr(), device);
            routes.push(groups);
        }
        routes
    }
}

/// What `lo` has (RFC 1122 3.2.1.3).
const LOOPBACK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8);
/// Every group of IPv6 (RFC 4291 2.7).
const GROUPS: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::from_bits(0xff << 120), 8);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Route};
    use crate::time::Instant;

    fn stack() -> Stack {
        let config = Config {
            addrs: vec![
                "10.83.0.2/24".parse().unwrap(),
                "fd83::2/64".parse().unwrap(),
            ],
            routes: vec![
                Route {
                    dest: "0.0.0.0/0".parse().unwrap(),
                    gateway: Some("10.83.0.1".parse().unwrap()),
                    mtu: None,
                },
                Route {
                    dest: "10.9.0.0/16".parse().unwrap(),
                    gateway: None,
                    mtu: Some(1400),
                },
            ],
            ..Config::default()
        };
        Stack::new(config, Instant::from_micros(0))
    }

    fn way(dst: &str) -> Way {
        stack().way_to(dst.parse().unwrap(), None, 0).unwrap()
    }

    #[test]
    fn the_list_is_the_kernels_of_such_a_host() {
        let all = stack().routes();
        let told: Vec<String> = all
            .iter()
            .map(|route| format!("{:?} {} {}", route.kind, route.dest, route.interface))
            .collect();
        let expected = [
            "Unicast 0.0.0.0/0 2",
            "Unicast 10.9.0.0/16 2",
            "Unicast 10.83.0.0/24 2",
            "Unicast fd83::/64 2",
            "Local 10.83.0.2/32 2",
            "Broadcast 10.83.0.255/32 2",
            "Local 127.0.0.0/8 1",
            "Local 127.0.0.1/32 1",
            "Broadcast 127.255.255.255/32 1",
            "Local ::1/128 1",
            "Local fd83::2/128 2",
            "Multicast ff00::/8 2",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_way_is_that_of_the_longest_prefix() {
        let found = |dst: &str| {
            let way = way(dst);
            let entry = way.entry.expect("an entry");
            (
                way.kind,
                entry.dest.to_string(),
                way.interface,
                way.source.to_string(),
            )
        };
        let own = "10.83.0.2".to_owned();
        let expected = |kind, dest: &str, by| (kind, dest.to_owned(), by, own.clone());
        let unicast = RouteKind::Unicast;
        assert_eq!(found("10.83.0.7"), expected(unicast, "10.83.0.0/24", 2));
        assert_eq!(found("8.8.8.8"), expected(unicast, "0.0.0.0/0", 2));
        assert_eq!(found("10.9.1.1"), expected(unicast, "10.9.0.0/16", 2));
        let local = RouteKind::Local;
        assert_eq!(found("10.83.0.2"), expected(local, "10.83.0.2/32", 1));
        let all = RouteKind::Broadcast;
        assert_eq!(found("10.83.0.255"), expected(all, "10.83.0.255/32", 2));
        assert_eq!(way("::1").interface, 1);
        assert_eq!(way("ff15::1").kind, RouteKind::Multicast);
    }

    #[test]
    fn what_no_route_leads_to_is_an_error() {
        let stack = stack();
        let to = |dst: &str, by| stack.way_to(dst.parse().unwrap(), None, by);
        assert_eq!(to("2001:db8::1", 0), Err(Error::NetworkUnreachable));
        assert_eq!(to("10.83.0.1", 9), Err(Error::NoDevice));
        let src = Some("fd83::2".parse().unwrap());
        let mixed = stack.way_to("10.83.0.1".parse().unwrap(), src, 0);
        assert_eq!(mixed, Err(Error::Invalid));
    }
}
