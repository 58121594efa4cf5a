//! The names and nets that a private stack uses when it is not told any.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// One of the 256 sets of a device name and nets that a private stack uses when it is not told any:
/// `tunsockN`, 10.83.N.0/24, fd83:7475:6e73:N::/64; the host is .1, the stack .2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(pub u8);

impl Slot {
    /// The device's name.
    pub fn device(self) -> String {
        format!("tunsock{}", self.0)
    }

    /// The host's addresses, IPv4 and IPv6, with prefixes.
    pub fn host_addrs(self) -> [IpNet; 2] {
        self.addrs(1)
    }

    /// The stack's addresses, IPv4 and IPv6, with prefixes.
    pub fn stack_addrs(self) -> [IpNet; 2] {
        self.addrs(2)
    }

    fn addrs(self, host: u8) -> [IpNet; 2] {
        let v4 = Ipv4Addr::new(10, 83, self.0, host);
        let v6 = Ipv6Addr::new(0xfd83, 0x7475, 0x6e73, self.0.into(), 0, 0, 0, host.into());
        [
            IpNet::V4(Ipv4Net::new_assert(v4, 24)),
            IpNet::V6(Ipv6Net::new_assert(v6, 64)),
        ]
    }

    /// Whether a net of this slot shares an address with `net`.
    pub(crate) fn overlaps(self, net: &IpNet) -> bool {
        self.addrs(0)
            .iter()
            .any(|own| own.contains(&net.network()) || net.contains(&own.network()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_disjoint_and_in_order() {
        let [v4, v6] = Slot(7).stack_addrs();
        assert_eq!(v4.to_string(), "10.83.7.2/24");
        assert_eq!(v6.to_string(), "fd83:7475:6e73:7::2/64");
        assert_eq!(Slot(7).host_addrs()[0].to_string(), "10.83.7.1/24");
        assert_eq!(Slot(255).device(), "tunsock255");
        assert!(Slot(7).overlaps(&v4) && Slot(7).overlaps(&v6));
        assert!(!Slot(8).overlaps(&v4) && !Slot(8).overlaps(&v6));
        assert!(Slot(8).overlaps(&"10.83.0.0/16".parse().unwrap()));
        assert!(Slot(8).overlaps(&"10.83.8.128/25".parse().unwrap()));
    }
}
