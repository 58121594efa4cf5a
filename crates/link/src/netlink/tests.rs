//! What a namespace holds.

use super::*;

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
