//! IPv6 extension headers.

use super::*;

/// Next header, payload, destination, expected code and pointer.
type Faulty<'a> = (u8, Vec<u8>, &'a str, Option<(u8, u32)>);

const PEER: &str = "fd00::2";
const US: &str = "fd00::1";

/// The headers, then a datagram to port 53.
fn chain(headers: &[&[u8]]) -> Vec<u8> {
    let data = datagram(PEER, US, (9, 53), b"x");
    [&headers.concat()[..], &data].concat()
}

fn pad(next: u8) -> [u8; 8] {
    [next, 0, 1, 4, 0, 0, 0, 0]
}

fn option(next: u8, kind: u8) -> [u8; 8] {
    [next, 0, kind, 4, 0, 0, 0, 0]
}

fn routing(next: u8, left: u8) -> [u8; 8] {
    [next, 0, 0, left, 0, 0, 0, 0]
}

#[test]
fn known_headers_are_passed_over() {
    let atomic = [17, 0, 0, 0, 0, 0, 0, 9];
    let fine: &[(u8, Vec<u8>)] = &[
        (17, chain(&[])),
        (0, chain(&[&pad(60), &pad(43), &routing(44, 0), &atomic])),
        (60, chain(&[&option(17, 0x3e)])),
        (0, chain(&[&pad(60), &option(17, 5)])),
    ];
    for (next, payload) in fine {
        let mut stack = host();
        let id = bound(&mut stack, Domain::V6, "[::]:53");
        let answer = feed(&mut stack, &packet(PEER, US, *next, payload));
        assert!(answer.is_empty());
        assert_eq!(recv(&mut stack, id), Some(b"x".to_vec()), "{payload:?}");
    }
}

#[test]
fn what_is_wrong_is_reported() {
    let faulty: &[Faulty<'_>] = &[
        (60, chain(&[&pad(0), &pad(17)]), US, Some((1, 40))),
        (60, chain(&[&option(17, 0x7e)]), US, None),
        (60, chain(&[&option(17, 0xbe)]), US, Some((2, 42))),
        (0, chain(&[&pad(60), &option(17, 0xfe)]), US, Some((2, 50))),
        (60, chain(&[&option(17, 0xbe)]), "ff02::1", Some((2, 42))),
        (60, chain(&[&option(17, 0xfe)]), "ff02::1", None),
        (43, chain(&[&routing(17, 1)]), US, Some((0, 42))),
        (0, chain(&[&pad(200)]), US, Some((1, 40))),
        (200, chain(&[]), US, Some((1, 6))),
        (59, chain(&[]), US, None),
        (
            44,
            chain(&[&[17, 0, 0, 1, 0, 0, 0, 9], b"abc"]),
            US,
            Some((0, 4)),
        ),
        (
            44,
            chain(&[&[17, 0, 0xff, 0xf8, 0, 0, 0, 9]]),
            US,
            Some((0, 42)),
        ),
        // First fragments without the whole UDP header, and with a cut options header.
        (
            44,
            vec![17, 0, 0, 1, 0, 0, 0, 9, 0, 9, 0, 53],
            US,
            Some((3, 0)),
        ),
        (
            44,
            [&[60, 0, 0, 1, 0, 0, 0, 9][..], &[17, 9, 0, 0, 0, 0, 0, 0]].concat(),
            US,
            Some((3, 0)),
        ),
        (60, vec![17, 9, 0, 0], US, None),
        (44, vec![17, 0], US, None),
    ];
    for (next, payload, dst, expected) in faulty {
        let mut stack = host();
        let id = bound(&mut stack, Domain::V6, "[::]:53");
        let answer = feed(&mut stack, &packet(PEER, dst, *next, payload));
        let got = answer.first().map(|_| {
            let (kind, code, pointer, _) = only_icmp(&answer, PEER);
            assert_eq!(kind, 4);
            (code, pointer)
        });
        assert_eq!(got, *expected, "next header {next}, {payload:?}");
        assert_eq!(recv(&mut stack, id), None);
    }
}
