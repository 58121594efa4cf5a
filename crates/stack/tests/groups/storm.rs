//! Queries, reports and raw packets with anything changed in them, while sockets come, join, filter and go.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::reports::{query, query6};
use super::*;

const ROUNDS: usize = 60_000;
/// VIRTIO_NET_HDR_F_DATA_VALID: what was changed gets past the checksums.
const DATA_VALID: u8 = 2;

fn pick<'a, T>(rng: &mut ChaCha8Rng, from: &'a [T]) -> &'a T {
    &from[rng.next_u32() as usize % from.len()]
}

fn frame(rng: &mut ChaCha8Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = vec![DATA_VALID, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut packet = pick(rng, seeds).clone();
    for _ in 0..rng.next_u32() % 3 {
        let head = if packet[0] >> 4 == 4 { 20 } else { 40 };
        let at = head + rng.next_u32() as usize % packet.len().saturating_sub(head).max(1);
        if let Some(byte) = packet.get_mut(at) {
            *byte = *pick(rng, &[0, 1, 8, 0x7f, 0x80, 0xff]);
        }
    }
    frame.extend(packet);
    frame
}

fn act(host: &mut Host, rng: &mut ChaCha8Rng, ids: &mut Vec<SocketId>) {
    let v6 = rng.next_u32().is_multiple_of(2);
    let (groups, sources): (&[&str], &[&str]) = if v6 {
        (
            &["ff15::123", "ff02::99", "ff01::1"],
            &["fd00::7", "fd00::8"],
        )
    } else {
        (
            &["239.1.2.3", "224.0.0.5", "239.9.9.9"],
            &["10.0.0.7", "10.0.0.8"],
        )
    };
    if ids.len() < 4 || rng.next_u32().is_multiple_of(50) && ids.len() < 20 {
        let kind = *pick(
            rng,
            &[Kind::Datagram, Kind::Raw(2), Kind::Raw(58), Kind::Ping],
        );
        ids.push(host.stack.socket(Domain::V6, kind).unwrap());
    }
    let group: &str = pick::<&str>(rng, groups);
    let source = ip(pick::<&str>(rng, sources));
    let id = *pick(rng, ids);
    let change = match rng.next_u32() % 6 {
        0 => GroupChange::Join,
        1 => GroupChange::Leave,
        2 => GroupChange::JoinSource(source),
        3 => GroupChange::LeaveSource(source),
        4 => GroupChange::Block(source),
        _ => GroupChange::Unblock(source),
    };
    let at = GroupPlace {
        index: 1 + rng.next_u32() % 2,
        ..place(group)
    };
    let _ = host.stack.change_group(host.now, id, at, change);
    if rng.next_u32().is_multiple_of(60) {
        ids.retain(|other| *other != id);
        host.stack.close(host.now, id);
    }
}

#[test]
fn nothing_that_comes_or_goes_upsets_it_and_in_the_end_nothing_is_left() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut host = Host::new();
    let mut ids = Vec::new();
    let seeds = [
        query(10, "0.0.0.0", Some(&[])),
        query(10, "239.1.2.3", Some(&["10.0.0.7", "10.0.0.8"])),
        query(200, "239.9.9.9", None),
        query(0, "0.0.0.0", None),
        query6(1000, "::", true, "fe80::2"),
        query6(1000, "ff15::123", true, "fe80::2"),
        query6(40000, "ff15::123", false, "fe80::2"),
    ];
    for round in 0..ROUNDS {
        let frame = frame(&mut rng, &seeds);
        host.stack.handle_frame(host.now, &frame);
        act(&mut host, &mut rng, &mut ids);
        if round % 7 == 0 {
            host.now = host.now + Duration::from_millis(u64::from(rng.next_u32() % 900));
            host.stack.handle_timers(host.now);
        }
        for packet in host.sent() {
            assert!(packet.len() <= 1500);
        }
        let id = *pick(&mut rng, &ids);
        host.recv(id);
    }
    for id in ids {
        host.stack.close(host.now, id);
    }
    host.pass(Duration::from_secs(1000));
    while host.stack.poll_event().is_some() {}
    assert!(host.stack.census().is_empty(), "{:?}", host.stack.census());
    host.stack.audit().unwrap();
}
