//! IGMP and MLD: reports on joins and leaves, answers to queries, old queriers.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const GROUP: &str = "239.1.2.3";
const GROUP6: &str = "ff15::123";

/// What an IGMP packet says: to whom, type, and of version 3 the records (type, group, sources) else the group.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Said {
    to: IpAddr,
    kind: u8,
    records: Vec<(u8, IpAddr, Vec<IpAddr>)>,
}

fn said(to: &str, kind: u8, records: &[(u8, &str, &[&str])]) -> Said {
    let record = |(kind, group, sources): &(u8, &str, &[&str])| {
        let sources = sources.iter().map(|s| ip(s)).collect();
        (*kind, ip(group), sources)
    };
    Said {
        to: ip(to),
        kind,
        records: records.iter().map(record).collect(),
    }
}

/// Reads an IGMP or MLD packet; everything that the RFCs ask of it is asserted.
#[track_caller]
fn read(packet: &[u8]) -> Said {
    let (to, message, size) = if packet[0] >> 4 == 4 {
        // RFC 3376 4: TTL 1, Router Alert, type of service 0xc0.
        assert_eq!(
            (packet[0], packet[1], packet[8], packet[9]),
            (0x46, 0xc0, 1, 2)
        );
        assert_eq!(packet[20..24], [0x94, 4, 0, 0]);
        assert_eq!(packet[12..16], [10, 0, 0, 1]);
        assert_eq!(checksum(&packet[..24]), 0);
        assert_eq!(checksum(&packet[24..]), 0);
        let to: [u8; 4] = packet[16..20].try_into().unwrap();
        (IpAddr::from(to), &packet[24..], 4)
    } else {
        // RFC 3810 5: hop limit 1, Router Alert, from a link-local address.
        assert_eq!((packet[6], packet[7]), (0, 1));
        assert_eq!(packet[40..48], [58, 0, 5, 2, 0, 0, 1, 0]);
        assert_eq!(packet[8..10], [0xfe, 0x80]);
        let mut pseudo = packet[8..40].to_vec();
        pseudo.extend((packet.len() as u32 - 48).to_be_bytes());
        pseudo.extend([0, 0, 0, 58]);
        pseudo.extend(&packet[48..]);
        assert_eq!(checksum(&pseudo), 0);
        let to: [u8; 16] = packet[24..40].try_into().unwrap();
        (IpAddr::from(to), &packet[48..], 16)
    };
    let addr = |at: usize| -> IpAddr {
        match size {
            4 => <[u8; 4]>::try_from(&message[at..at + 4]).unwrap().into(),
            _ => <[u8; 16]>::try_from(&message[at..at + 16]).unwrap().into(),
        }
    };
    let kind = message[0];
    let mut records = Vec::new();
    if matches!(kind, 0x22 | 143) {
        let mut at = 8;
        for _ in 0..u16::from_be_bytes([message[6], message[7]]) {
            let count = usize::from(u16::from_be_bytes([message[at + 2], message[at + 3]]));
            let sources = (0..count).map(|n| addr(at + 4 + size * (n + 1))).collect();
            records.push((message[at], addr(at + 4), sources));
            at += 4 + size * (count + 1);
        }
        assert_eq!(at, message.len());
    } else {
        records.push((0, addr(message.len() - size), Vec::new()));
    }
    Said { to, kind, records }
}

#[track_caller]
fn all(sent: Vec<(Duration, Vec<u8>)>) -> Vec<(Duration, Said)> {
    let read = |(at, packet): (Duration, Vec<u8>)| (at, read(&packet));
    sent.into_iter().map(read).collect()
}

/// A query: maximum response code, group, and of version 3 the sources.
pub(crate) fn query(code: u8, group: &str, sources: Option<&[&str]>) -> Vec<u8> {
    let IpAddr::V4(addr) = ip(group) else {
        panic!("IPv4");
    };
    let mut message = vec![0x11, code, 0, 0];
    message.extend(addr.octets());
    if let Some(sources) = sources {
        message.extend([2, 125]);
        message.extend((sources.len() as u16).to_be_bytes());
        for source in sources {
            let IpAddr::V4(addr) = ip(source) else {
                panic!("IPv4");
            };
            message.extend(addr.octets());
        }
    }
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let to = if group == "0.0.0.0" {
        "224.0.0.1"
    } else {
        group
    };
    packet4("10.0.0.2", to, 2, &message)
}

pub(crate) fn query6(code: u16, group: &str, v2: bool, src: &str) -> Vec<u8> {
    let IpAddr::V6(addr) = ip(group) else {
        panic!("IPv6");
    };
    let mut message = vec![130, 0, 0, 0];
    message.extend(code.to_be_bytes());
    message.extend([0, 0]);
    message.extend(addr.octets());
    if v2 {
        message.extend([2, 125, 0, 0]);
    }
    let to = if group == "::" { "ff02::1" } else { group };
    packet6(src, to, message)
}

#[test]
fn rfc3376_5_1_a_join_and_a_leave_are_told_at_once_and_again_within_a_second() {
    let mut host = Host::new();
    let id = host.udp("0.0.0.0:5000");
    host.join(id, GROUP);
    let joined = said("224.0.0.22", 0x22, &[(4, GROUP, &[])]);
    let told = all(host.pass(10 * SECOND));
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], (Duration::ZERO, joined.clone()));
    assert_eq!(told[1].1, joined);
    assert!(told[1].0 <= SECOND);
    host.change(id, GROUP, GroupChange::Leave).unwrap();
    let left = said("224.0.0.22", 0x22, &[(3, GROUP, &[])]);
    let told = all(host.pass(10 * SECOND));
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], (Duration::ZERO, left.clone()));
    assert_eq!(told[1].1, left);
    assert_eq!(host.stack.census().groups, 0);
    assert_eq!(host.stack.next_deadline(), None);
}

#[test]
fn rfc3810_6_1_the_same_for_ipv6() {
    let mut host = Host::new();
    let id = host.udp("[::]:5000");
    host.join(id, GROUP6);
    let joined = said("ff02::16", 143, &[(4, GROUP6, &[])]);
    let told = all(host.pass(10 * SECOND));
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], (Duration::ZERO, joined.clone()));
    assert!(told[1].1 == joined && told[1].0 <= SECOND);
    host.stack.close(host.now, id);
    let told = all(host.pass(10 * SECOND));
    assert_eq!(told[0].1, said("ff02::16", 143, &[(3, GROUP6, &[])]));
    assert_eq!(host.stack.census().groups, 0);
}

#[test]
fn groups_of_the_host_itself_are_not_spoken_of() {
    let mut host = Host::new();
    let (a, b) = (host.udp("0.0.0.0:5000"), host.udp("[::]:5001"));
    host.join(a, "224.0.0.1");
    host.join(b, "ff02::1");
    host.join(b, "ff01::99");
    assert_eq!(all(host.pass(10 * SECOND)), []);
}

#[test]
fn a_second_member_is_nothing_new_and_the_last_one_leaves() {
    let mut host = Host::new();
    let (a, b) = (host.udp("0.0.0.0:5000"), host.udp("0.0.0.0:5000"));
    host.join(a, GROUP);
    host.pass(10 * SECOND);
    host.join(b, GROUP);
    assert_eq!(all(host.pass(10 * SECOND)), []);
    host.stack.close(host.now, a);
    assert_eq!(all(host.pass(10 * SECOND)), []);
    host.stack.close(host.now, b);
    assert_eq!(all(host.pass(10 * SECOND)).len(), 2);
}

#[test]
fn rfc3376_5_1_sources_are_allowed_and_blocked() {
    let mut host = Host::new();
    let id = host.udp("0.0.0.0:5000");
    let (one, two) = (ip("10.0.0.7"), ip("10.0.0.8"));
    host.change(id, GROUP, GroupChange::JoinSource(one))
        .unwrap();
    host.change(id, GROUP, GroupChange::JoinSource(two))
        .unwrap();
    let told = all(host.pass(10 * SECOND));
    assert_eq!(
        told[0].1,
        said("224.0.0.22", 0x22, &[(5, GROUP, &["10.0.0.7"])])
    );
    assert_eq!(
        told[1].1,
        said("224.0.0.22", 0x22, &[(5, GROUP, &["10.0.0.7", "10.0.0.8"])])
    );
    host.change(id, GROUP, GroupChange::LeaveSource(one))
        .unwrap();
    let told = all(host.pass(10 * SECOND));
    assert_eq!(
        told[0].1,
        said("224.0.0.22", 0x22, &[(6, GROUP, &["10.0.0.7"])])
    );
    // Somebody who wants all but one makes it EXCLUDE of what nobody wants.
    let other = host.udp("0.0.0.0:5000");
    host.join(other, GROUP);
    host.change(other, GROUP, GroupChange::Block(one)).unwrap();
    let told = all(host.pass(10 * SECOND));
    let excluded = said("224.0.0.22", 0x22, &[(4, GROUP, &["10.0.0.7"])]);
    assert!(told.iter().any(|(_, said)| *said == excluded), "{told:?}");
}

#[test]
fn rfc3376_5_2_queries_are_answered_within_their_time() {
    let mut host = Host::new();
    let id = host.udp("0.0.0.0:5000");
    host.join(id, GROUP);
    host.change(id, "239.9.9.9", GroupChange::JoinSource(ip("10.0.0.7")))
        .unwrap();
    host.pass(10 * SECOND);
    host.feed(&query(20, "0.0.0.0", Some(&[])));
    let told = all(host.pass(10 * SECOND));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].0 <= 2 * SECOND);
    let both = [(2, GROUP, &[][..]), (1, "239.9.9.9", &["10.0.0.7"][..])];
    assert_eq!(told[0].1, said("224.0.0.22", 0x22, &both));
    host.feed(&query(10, GROUP, Some(&[])));
    let told = all(host.pass(10 * SECOND));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1, said("224.0.0.22", 0x22, &[(2, GROUP, &[])]));
    // About sources: those that are wanted.
    host.feed(&query(10, "239.9.9.9", Some(&["10.0.0.7", "10.0.0.8"])));
    let told = all(host.pass(10 * SECOND));
    assert_eq!(
        told[0].1,
        said("224.0.0.22", 0x22, &[(1, "239.9.9.9", &["10.0.0.7"])])
    );
    host.feed(&query(10, "239.9.9.9", Some(&["10.0.0.8"])));
    assert_eq!(all(host.pass(10 * SECOND)), []);
    host.feed(&query(10, "239.4.4.4", Some(&[])));
    assert_eq!(all(host.pass(10 * SECOND)), []);
}

#[test]
fn rfc3376_7_2_1_an_old_querier_is_spoken_to_in_its_version_until_it_is_gone() {
    let mut host = Host::new();
    let id = host.udp("0.0.0.0:5000");
    host.join(id, GROUP);
    host.pass(10 * SECOND);
    host.feed(&query(30, "0.0.0.0", None));
    let told = all(host.pass(10 * SECOND));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].0 <= 3 * SECOND);
    assert_eq!(told[0].1, said(GROUP, 0x16, &[(0, GROUP, &[])]));
    // RFC 2236 3: a join is reported twice within ten seconds, a leave told to all routers.
    host.join(id, "239.9.9.9");
    let told = all(host.pass(20 * SECOND));
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        told[0],
        (
            Duration::ZERO,
            said("239.9.9.9", 0x16, &[(0, "239.9.9.9", &[])])
        )
    );
    assert!(told[1].0 <= 10 * SECOND);
    host.change(id, "239.9.9.9", GroupChange::Leave).unwrap();
    let told = all(host.pass(20 * SECOND));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1, said("224.0.0.2", 0x17, &[(0, "239.9.9.9", &[])]));
    // Twice 125 seconds and ten more after the query it is forgotten.
    host.pass(220 * SECOND);
    host.join(id, "239.8.8.8");
    let told = all(host.pass(SECOND));
    assert_eq!(
        told[0].1,
        said("224.0.0.22", 0x22, &[(4, "239.8.8.8", &[])])
    );
}

#[test]
fn rfc2236_3_a_report_of_somebody_else_saves_ours() {
    let mut host = Host::new();
    let id = host.udp("0.0.0.0:5000");
    host.join(id, GROUP);
    host.pass(10 * SECOND);
    host.feed(&query(100, "0.0.0.0", None));
    let IpAddr::V4(group) = ip(GROUP) else {
        panic!("IPv4");
    };
    let mut report = vec![0x16, 0, 0, 0];
    report.extend(group.octets());
    let sum = checksum(&report);
    report[2..4].copy_from_slice(&sum.to_be_bytes());
    host.feed(&packet4("10.0.0.9", GROUP, 2, &report));
    assert_eq!(all(host.pass(20 * SECOND)), []);
    // Nor does who was not the last to report tell of the leave.
    host.change(id, GROUP, GroupChange::Leave).unwrap();
    assert_eq!(all(host.pass(20 * SECOND)), []);
}

#[test]
fn rfc1112_a_querier_of_version_1_hears_reports_of_version_1_and_of_no_leave() {
    let mut host = Host::new();
    let id = host.udp("0.0.0.0:5000");
    host.join(id, GROUP);
    host.pass(10 * SECOND);
    host.feed(&query(0, "0.0.0.0", None));
    let told = all(host.pass(11 * SECOND));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1, said(GROUP, 0x12, &[(0, GROUP, &[])]));
    host.change(id, GROUP, GroupChange::Leave).unwrap();
    assert_eq!(all(host.pass(20 * SECOND)), []);
}

#[test]
fn rfc3810_mld_queries_of_both_versions() {
    let mut host = Host::new();
    let id = host.udp("[::]:5000");
    host.join(id, GROUP6);
    host.pass(10 * SECOND);
    host.feed(&query6(2000, "::", true, "fe80::2"));
    let told = all(host.pass(10 * SECOND));
    assert_eq!(told.len(), 1);
    assert!(told[0].0 <= 2 * SECOND);
    assert_eq!(told[0].1, said("ff02::16", 143, &[(2, GROUP6, &[])]));
    // RFC 3810 5.1.14: from a link-local address, or it is nothing.
    host.feed(&query6(2000, "::", true, "fd00::2"));
    assert_eq!(all(host.pass(10 * SECOND)), []);
    host.feed(&query6(2000, "::", false, "fe80::2"));
    let told = all(host.pass(10 * SECOND));
    assert_eq!(told[0].1, said(GROUP6, 131, &[(0, GROUP6, &[])]));
    host.change(id, GROUP6, GroupChange::Leave).unwrap();
    let told = all(host.pass(10 * SECOND));
    assert_eq!(told[0].1, said("ff02::2", 132, &[(0, GROUP6, &[])]));
}

#[test]
fn garbled_queries_are_nothing() {
    let mut host = Host::new();
    let id = host.udp("0.0.0.0:5000");
    host.join(id, GROUP);
    host.pass(10 * SECOND);
    let good = query(10, "0.0.0.0", Some(&[]));
    for at in 20..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        host.feed(&bad);
    }
    for len in 20..good.len() {
        host.feed(&packet4("10.0.0.2", "224.0.0.1", 2, &good[20..len]));
    }
    assert_eq!(all(host.pass(20 * SECOND)), []);
}

#[test]
fn a_long_list_of_sources_is_told_in_packets_that_fit() {
    let mut host = Host::new();
    for n in 0..60u8 {
        let id = host.udp("0.0.0.0:5000");
        for m in 0..10u8 {
            let source = IpAddr::from([10, 9, n, m]);
            host.change(id, GROUP, GroupChange::JoinSource(source))
                .unwrap();
        }
    }
    host.pass(10 * SECOND);
    host.feed(&query(10, "0.0.0.0", Some(&[])));
    let told = host.pass(10 * SECOND);
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|(_, packet)| packet.len() <= 1500));
    let count: usize = all(told)
        .iter()
        .flat_map(|(_, said)| said.records.iter().map(|(_, _, sources)| sources.len()))
        .sum();
    assert_eq!(count, 600);
}
