//! What the options leave open is settled here: addresses, the kernel's end, routes. Pure functions: who calls them
//! says which addresses are free.

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::options::Options;

/// A route of the stack: packets to `dest` go to `gateway`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination prefix.
    pub dest: IpNet,
    /// Next hop.
    pub gateway: IpAddr,
}

/// Both ends of the device, settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The stack's addresses with their prefix lengths.
    pub addrs: Vec<IpNet>,
    /// The kernel's addresses on the device, with the prefix lengths of the stack's nets that they lie in.
    pub host_addrs: Vec<IpNet>,
    /// The stack's routes.
    pub routes: Vec<Route>,
}

/// Options that do not go together. Displayed as a sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError(String);

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NetworkError {}

impl Options {
    /// Settles addresses and routes. `automatic` are the stack's addresses when none was given: those of the first free
    /// slot (`tunsock_link::Netlink::free_slot`, `Slot::stack_addrs`).
    pub fn network(&self, automatic: &[IpNet]) -> Result<Network, NetworkError> {
        let addrs = self.stack_addrs(automatic)?;
        let host_addrs = self.kernel_addrs(&addrs)?;
        let routes = self.stack_routes(&addrs, &host_addrs)?;
        Ok(Network {
            addrs,
            host_addrs,
            routes,
        })
    }

    /// The same options with everything settled, to be handed to the program ([`Options::to_env`]).
    pub fn settled(&self, device: &str, network: &Network) -> Options {
        let mut gateways: Vec<IpAddr> = network.routes.iter().map(|route| route.gateway).collect();
        gateways.sort();
        gateways.dedup();
        Options {
            addrs: network.addrs.clone(),
            host_addrs: network.host_addrs.iter().map(IpNet::addr).collect(),
            gateways,
            routes: network.routes.iter().map(|route| route.dest).collect(),
            device: Some(device.to_owned()),
            managed: true,
            ..self.clone()
        }
    }

    fn stack_addrs(&self, automatic: &[IpNet]) -> Result<Vec<IpNet>, NetworkError> {
        if self.addrs.is_empty() {
            // RFC 8200 5: no IPv6 over a link of less than 1280 bytes.
            let fits = |net: &&IpNet| net.addr().is_ipv4() || self.mtu >= IPV6_MIN_MTU;
            return Ok(automatic.iter().filter(fits).copied().collect());
        }
        for net in &self.addrs {
            let addr = net.addr();
            let network = net.prefix_len() + 2 <= net.max_prefix_len() && addr == net.network();
            let broadcast = addr.is_ipv4() && network_has_broadcast(net) && addr == net.broadcast();
            if addr.is_multicast()
                || addr.is_unspecified()
                || addr.is_loopback()
                || network
                || broadcast
            {
                return Err(NetworkError(format!(
                    "--addr: {net} is not the address of a host"
                )));
            }
            if addr.is_ipv6() && self.mtu < IPV6_MIN_MTU {
                return Err(NetworkError(format!(
                    "--mtu: {} is too small for {net}: IPv6 needs 1280",
                    self.mtu
                )));
            }
        }
        Ok(self.addrs.clone())
    }

    fn kernel_addrs(&self, addrs: &[IpNet]) -> Result<Vec<IpNet>, NetworkError> {
        let mut hosts: Vec<IpNet> = Vec::new();
        for &host in &self.host_addrs {
            if addrs.iter().any(|net| net.addr() == host) {
                return Err(NetworkError(format!(
                    "--host-addr: {host} is the stack's own address"
                )));
            }
            let Some(net) = addrs.iter().find(|net| net.contains(&host)) else {
                return Err(NetworkError(format!(
                    "--host-addr: {host} lies in the net of no --addr"
                )));
            };
            hosts.push(with_prefix(host, net));
        }
        for net in addrs {
            let wanted = hosts.iter().all(|host| !net.contains(&host.addr()));
            if !wanted {
                continue;
            }
            match first_other(net, addrs) {
                Some(host) => hosts.push(with_prefix(host, net)),
                None => {
                    return Err(NetworkError(format!(
                        "--addr: the net of {net} has no room for the kernel's end; use a shorter prefix"
                    )));
                }
            }
        }
        Ok(hosts)
    }

    fn stack_routes(&self, addrs: &[IpNet], hosts: &[IpNet]) -> Result<Vec<Route>, NetworkError> {
        for (i, gateway) in self.gateways.iter().enumerate() {
            if !addrs
                .iter()
                .any(|net| net.contains(gateway) && net.addr() != *gateway)
            {
                return Err(NetworkError(format!(
                    "--gateway: {gateway} is no neighbour of the stack's"
                )));
            }
            if self.gateways[..i]
                .iter()
                .any(|other| other.is_ipv4() == gateway.is_ipv4())
            {
                return Err(NetworkError(format!(
                    "--gateway: {gateway} is a second one of its family"
                )));
            }
        }
        let gateway_of = |v4: bool| {
            let given = self.gateways.iter().copied();
            given
                .chain(hosts.iter().map(IpNet::addr))
                .find(|gateway| gateway.is_ipv4() == v4)
        };
        let everything = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
        let (dests, given) = if self.routes.is_empty() {
            (&everything[..], false)
        } else {
            (&self.routes[..], true)
        };
        let mut routes = Vec::new();
        for &dest in dests {
            match gateway_of(dest.addr().is_ipv4()) {
                Some(gateway) => routes.push(Route { dest, gateway }),
                None if given => {
                    return Err(NetworkError(format!(
                        "--route: the stack has no address of {dest}'s family"
                    )));
                }
                None => {}
            }
        }
        Ok(routes)
    }
}

/// The lowest host address of the net that is none of the stack's.
fn first_other(net: &IpNet, addrs: &[IpNet]) -> Option<IpAddr> {
    // `hosts` leaves out the network and broadcast addresses of IPv4. ::0 of an IPv6 net is the routers' anycast address
    // (RFC 4291 2.6.1), except on a /127 (RFC 6164) or /128.
    let anycast = (net.addr().is_ipv6() && net.prefix_len() < 127).then(|| net.network());
    net.hosts()
        .filter(|host| Some(*host) != anycast)
        .take(addrs.len() + 1)
        .find(|host| addrs.iter().all(|addr| addr.addr() != *host))
}

fn network_has_broadcast(net: &IpNet) -> bool {
    net.prefix_len() + 2 <= net.max_prefix_len()
}

fn with_prefix(addr: IpAddr, net: &IpNet) -> IpNet {
    with_len(addr, net.prefix_len())
}

fn with_len(addr: IpAddr, prefix_len: u8) -> IpNet {
    // A length taken from a net of the same family is never too long; the whole address is the harmless answer.
    IpNet::new(addr, prefix_len).unwrap_or_else(|_| IpNet::from(addr))
}

const IPV6_MIN_MTU: u32 = 1280;

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn options(vars: &[(&str, &str)]) -> Options {
        Options::from_env(vars.iter().copied()).unwrap().0
    }

    fn slot() -> Vec<IpNet> {
        nets(&["10.83.3.2/24", "fd83:7475:6e73:3::2/64"])
    }

    #[test]
    fn automatic_nets() {
        let network = Options::default().network(&slot()).unwrap();
        assert_eq!(
            network.addrs,
            nets(&["10.83.3.2/24", "fd83:7475:6e73:3::2/64"])
        );
        assert_eq!(
            network.host_addrs,
            nets(&["10.83.3.1/24", "fd83:7475:6e73:3::1/64"])
        );
        assert_eq!(network.routes.len(), 2);
        assert_eq!(network.routes[0].dest.to_string(), "0.0.0.0/0");
        assert_eq!(network.routes[1].gateway.to_string(), "fd83:7475:6e73:3::1");
        let small = options(&[("TUNSOCK_MTU", "576")]).network(&slot()).unwrap();
        assert_eq!(small.addrs, nets(&["10.83.3.2/24"]));
        assert_eq!(small.routes.len(), 1);
    }

    #[test]
    fn given_addresses() {
        let network = options(&[("TUNSOCK_ADDR", "10.9.0.1/24,10.8.0.5/31,fd09::7/64")])
            .network(&slot())
            .unwrap();
        assert_eq!(
            network.host_addrs,
            nets(&["10.9.0.2/24", "10.8.0.4/31", "fd09::1/64"])
        );
        let network = options(&[
            ("TUNSOCK_ADDR", "10.9.0.2/24"),
            ("TUNSOCK_HOST_ADDR", "10.9.0.200"),
        ])
        .network(&slot())
        .unwrap();
        assert_eq!(network.host_addrs, nets(&["10.9.0.200/24"]));
        assert_eq!(network.routes[0].gateway.to_string(), "10.9.0.200");
    }

    #[test]
    fn gateways_and_routes() {
        let network = options(&[
            ("TUNSOCK_ADDR", "10.9.0.2/24"),
            ("TUNSOCK_GATEWAY", "10.9.0.254"),
            ("TUNSOCK_ROUTE", "192.0.2.1/24,198.51.100.0/24"),
        ])
        .network(&slot())
        .unwrap();
        let gateway = "10.9.0.254".parse().unwrap();
        let dests = nets(&["192.0.2.0/24", "198.51.100.0/24"]);
        let want: Vec<Route> = dests
            .into_iter()
            .map(|dest| Route { dest, gateway })
            .collect();
        assert_eq!(network.routes, want);
    }

    #[test]
    fn what_does_not_go_together_is_said() {
        let wrong = |vars: &[(&str, &str)], part: &str| {
            let error = options(vars).network(&slot()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        wrong(
            &[("TUNSOCK_ADDR", "10.9.0.0/24")],
            "not the address of a host",
        );
        wrong(
            &[("TUNSOCK_ADDR", "10.9.0.255/24")],
            "not the address of a host",
        );
        wrong(
            &[("TUNSOCK_ADDR", "127.0.0.2/8")],
            "not the address of a host",
        );
        wrong(
            &[("TUNSOCK_ADDR", "224.0.0.1/24")],
            "not the address of a host",
        );
        wrong(&[("TUNSOCK_ADDR", "10.9.0.2/32")], "no room");
        wrong(
            &[("TUNSOCK_ADDR", "fd09::2/64"), ("TUNSOCK_MTU", "1000")],
            "1280",
        );
        let addr = ("TUNSOCK_ADDR", "10.9.0.2/24");
        wrong(&[addr, ("TUNSOCK_HOST_ADDR", "10.9.0.2")], "own address");
        wrong(
            &[addr, ("TUNSOCK_HOST_ADDR", "10.8.0.1")],
            "net of no --addr",
        );
        wrong(&[addr, ("TUNSOCK_GATEWAY", "10.8.0.1")], "no neighbour");
        wrong(&[addr, ("TUNSOCK_GATEWAY", "10.9.0.3,10.9.0.4")], "second");
        wrong(&[addr, ("TUNSOCK_ROUTE", "fd00::/8")], "family");
    }

    #[test]
    fn settled_options_settle_to_the_same() {
        let open = options(&[("TUNSOCK_ROUTE", "192.0.2.0/24")]);
        let network = open.network(&slot()).unwrap();
        let settled = open.settled("tunsock5", &network);
        assert!(settled.managed);
        let (back, _) = Options::from_env(settled.to_env()).unwrap();
        assert_eq!(back, settled);
        assert_eq!(back.network(&slot()).unwrap(), network);
        let all = Options::default().network(&slot()).unwrap();
        assert_eq!(
            Options::default()
                .settled("x", &all)
                .network(&slot())
                .unwrap(),
            all
        );
    }
}
