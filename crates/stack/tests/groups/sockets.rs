//! Which sockets receive what is sent to a group, and what is sent where.

use super::*;
use tunsock_stack::{McOpt, SockOpt};

const GROUP: &str = "239.1.2.3";

fn option(host: &mut Host, id: SocketId, opt: McOpt) {
    let opt = SockOpt::Multicast(opt);
    host.stack.set_option(host.now, id, opt).unwrap();
}

#[test]
fn every_member_on_the_port_gets_a_copy_and_nobody_without_one() {
    let mut host = Host::new();
    let members = [host.udp("0.0.0.0:5000"), host.udp("239.1.2.3:5000")];
    let other = host.udp("0.0.0.0:6000");
    let bound = host.udp("10.0.0.1:5000");
    host.feed(&datagram4("10.0.0.2", GROUP, 5000, b"early"));
    assert_eq!(host.recv(members[0]), None);
    host.join(members[0], GROUP);
    host.join(other, GROUP);
    host.feed(&datagram4("10.0.0.2", GROUP, 5000, b"all"));
    for id in members {
        assert_eq!(host.recv(id).unwrap().0, b"all");
    }
    assert_eq!(host.recv(other), None);
    assert_eq!(host.recv(bound), None);
    // IP_MULTICAST_ALL off: what others joined is not for who did not.
    option(&mut host, members[1], McOpt::All4(false));
    host.feed(&datagram4("10.0.0.2", GROUP, 5000, b"again"));
    assert!(host.recv(members[0]).is_some());
    assert_eq!(host.recv(members[1]), None);
}

#[test]
fn source_filters_are_each_sockets_own() {
    let mut host = Host::new();
    let (picky, shy) = (host.udp("0.0.0.0:5000"), host.udp("0.0.0.0:5000"));
    let two = ip("10.0.0.2");
    host.change(picky, GROUP, GroupChange::JoinSource(two))
        .unwrap();
    host.join(shy, GROUP);
    host.change(shy, GROUP, GroupChange::Block(two)).unwrap();
    host.feed(&datagram4("10.0.0.2", GROUP, 5000, b"two"));
    host.feed(&datagram4("10.0.0.3", GROUP, 5000, b"three"));
    assert_eq!(host.recv(picky).unwrap().0, b"two");
    assert_eq!(host.recv(picky), None);
    assert_eq!(host.recv(shy).unwrap().0, b"three");
    assert_eq!(host.recv(shy), None);
}

#[test]
fn what_is_sent_to_a_group_comes_back_to_members_unless_told_not_to() {
    let mut host = Host::new();
    let (member, sender) = (host.udp("0.0.0.0:5000"), host.udp("0.0.0.0:6000"));
    host.join(member, GROUP);
    host.sent();
    host.send(sender, b"one", "239.1.2.3:5000").unwrap();
    let packets = host.sent();
    assert_eq!(packets.len(), 1);
    // RFC 1112 6.1: TTL 1 unless told otherwise.
    assert_eq!(packets[0][8], 1);
    assert_eq!(host.recv(member).unwrap().0, b"one");
    option(&mut host, sender, McOpt::Loop4(false));
    option(&mut host, sender, McOpt::Ttl(7));
    host.send(sender, b"two", "239.1.2.3:5000").unwrap();
    assert_eq!(host.sent()[0][8], 7);
    assert_eq!(host.recv(member), None);
    // Without a hop to go it stays here.
    option(&mut host, sender, McOpt::Loop4(true));
    option(&mut host, sender, McOpt::Ttl(0));
    host.send(sender, b"three", "239.1.2.3:5000").unwrap();
    assert_eq!(host.sent().len(), 0);
    assert_eq!(host.recv(member).unwrap().0, b"three");
}

#[test]
fn the_interface_can_be_chosen_and_lo_keeps_it_inside() {
    let mut host = Host::new();
    let (member, sender) = (host.udp("0.0.0.0:5000"), host.udp("0.0.0.0:6000"));
    let lo = GroupPlace {
        index: 1,
        ..place(GROUP)
    };
    let now = host.now;
    host.stack
        .change_group(now, member, lo, GroupChange::Join)
        .unwrap();
    host.send(sender, b"out", "239.1.2.3:5000").unwrap();
    assert_eq!(host.sent().len(), 1);
    assert_eq!(host.recv(member), None);
    option(
        &mut host,
        sender,
        McOpt::If4 {
            index: 0,
            addr: Ipv4Addr::LOCALHOST,
        },
    );
    host.send(sender, b"in", "239.1.2.3:5000").unwrap();
    assert_eq!(host.sent().len(), 0);
    let (data, from) = host.recv(member).unwrap();
    assert_eq!((data, from.ip()), (b"in".to_vec(), ip("127.0.0.1")));
}

#[test]
fn limits_and_refusals_are_linuxs() {
    let mut host = Host::new();
    let id = host.udp("0.0.0.0:5000");
    for n in 0..20 {
        host.join(id, &format!("239.0.0.{n}"));
    }
    let join = |host: &mut Host, group: &str| host.change(id, group, GroupChange::Join);
    assert_eq!(join(&mut host, "239.0.0.99"), Err(Error::NoBuffers));
    assert_eq!(join(&mut host, "239.0.0.1"), Err(Error::AddressInUse));
    assert_eq!(join(&mut host, "10.0.0.1"), Err(Error::Invalid));
    let leave = host.change(id, "239.0.0.99", GroupChange::Leave);
    assert_eq!(leave, Err(Error::AddressNotAvailable));
    let nowhere = GroupPlace {
        index: 77,
        ..place(GROUP)
    };
    let now = host.now;
    let outcome = host.stack.change_group(now, id, nowhere, GroupChange::Join);
    assert_eq!(outcome, Err(Error::NoDevice));
    let source = GroupChange::Block(ip("10.0.0.9"));
    assert_eq!(host.change(id, GROUP, source), Err(Error::Invalid));
}

#[test]
fn broadcasts_reach_every_socket_on_the_port_and_come_back() {
    let mut host = Host::new();
    let ids = [host.udp("0.0.0.0:5000"), host.udp("0.0.0.0:5000")];
    for to in ["255.255.255.255", "10.0.0.255"] {
        host.feed(&datagram4("10.0.0.2", to, 5000, b"all"));
        for id in ids {
            assert_eq!(host.recv(id).unwrap().0, b"all");
        }
    }
    let sender = host.udp("0.0.0.0:6000");
    let refused = host.send(sender, b"x", "10.0.0.255:5000");
    assert_eq!(refused, Err(Error::AccessDenied));
    let now = host.now;
    host.stack
        .set_option(now, sender, SockOpt::Broadcast(true))
        .unwrap();
    host.send(sender, b"own", "10.0.0.255:5000").unwrap();
    assert_eq!(host.sent().len(), 1);
    for id in ids {
        assert_eq!(host.recv(id).unwrap().0, b"own");
    }
}
