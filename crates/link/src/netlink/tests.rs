//! What a namespace holds.

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

#[test]
fn lists_this_namespace() {
    let mut netlink = Netlink::open().unwrap();
    let links = netlink.links().unwrap();
    assert!(
        links.iter().any(|link| link.name == "lo" && !link.is_tun),
        "{links:?}"
    );
    assert_eq!(netlink.link("lo").unwrap().unwrap().name, "lo");
    assert_eq!(netlink.link("no-such-device").unwrap(), None);
    let addresses = netlink.addresses().unwrap();
    assert!(
        addresses
            .iter()
            .all(|a| links.iter().any(|link| link.index == a.index))
    );
    netlink.routes().unwrap();
    assert!(netlink.free_slot().unwrap().is_some());
}

#[test]
fn a_change_that_fails_says_so() {
    let mut netlink = Netlink::open().unwrap();
    let error = netlink.set_up(u32::MAX >> 1, true).unwrap_err();
    assert!(
        matches!(error.errno, Errno::NODEV | Errno::PERM | Errno::INVAL),
        "{error}"
    );
    let host = HostSide {
        device: "no-such-device",
        mtu: 1500,
        addrs: &[],
        routes: &[],
    };
    assert_eq!(configure(&host).unwrap_err().errno, Errno::NODEV);
}
