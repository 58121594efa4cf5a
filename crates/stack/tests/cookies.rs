//! SYN cookies (RFC 4987): a flood does not fill memory, and who is real gets through with the options that were offered.

mod script;

use script::*;
use tunsock_stack::*;

/// A listener at port 80 whose SYN queue is full.
fn flooded() -> (Script, SocketId) {
    let mut s = Script::new();
    let listener = s.listen();
    for port in 1000..21_000 {
        s.peer_port = port;
        s.inject(seg(SYN, 0, 0, b"").options(&[2, 4, 5, 180]));
    }
    while s.try_sent_ago().is_some() {}
    s.peer_port = 5000;
    (s, listener)
}

#[test]
fn a_flood_is_answered_without_being_remembered() {
    let (s, _) = flooded();
    assert!(
        s.stack.sockets().len() < 200,
        "{} entries",
        s.stack.sockets().len()
    );
    assert!(s.stack.stats().syn_cookies_sent > 19_000);
}

#[test]
fn a_real_client_gets_through_with_its_options() {
    let (mut s, listener) = flooded();
    s.peer_port = 30_000;
    s.inject(
        seg(SYN, 0, 0, b"").options(&[&[2, 4, 5, 180, 4, 2, 3, 3, 9][..], &ts(77, 0)].concat()),
    );
    let syn_ack = s.expect(SYN | ACK, 0, 1, b"");
    assert!(syn_ack.option(4).is_some() && syn_ack.option(3).is_some());
    let stamp = syn_ack.option(8).expect("timestamps");
    let val = u32::from_be_bytes(stamp[..4].try_into().expect("4"));
    assert_eq!(stamp[4..], 77u32.to_be_bytes());
    assert_eq!(s.stack.accept(s.now, listener), Err(Error::WouldBlock));
    s.inject(seg(ACK, 1, 1, b"hello").window(100).options(&ts(78, val)));
    let (id, _) = s.stack.accept(s.now, listener).expect("established");
    assert_eq!(s.recv(id), Ok(b"hello".to_vec()));
    // The window of 100 counts as 51 200: its scale was not forgotten.
    s.send(id, &[0; 40_000]);
    let first = loop {
        let got = s.sent();
        if !got.data.is_empty() {
            break got;
        }
    };
    assert_eq!(
        first.data.len(),
        1440 - 12,
        "the MSS that two bits can name"
    );
    let later: usize = std::iter::from_fn(|| s.try_sent_ago())
        .map(|(_, seg)| seg.data.len())
        .sum();
    assert!(
        later > 10_000,
        "more than an unscaled window of 100 was sent: {later}"
    );
}

#[test]
fn forged_and_stale_cookies_are_refused() {
    let (mut s, listener) = flooded();
    s.peer_port = 30_001;
    for guess in 0..5000u32 {
        s.inject(seg(ACK, 1, 1 + guess * 0x0001_0001, b"x"));
    }
    assert_eq!(s.stack.accept(s.now, listener), Err(Error::WouldBlock));
    while s.try_sent_ago().is_some() {}
    s.inject(seg(SYN, 0, 0, b""));
    s.expect(SYN | ACK, 0, 1, b"");
    s.wait(127_000);
    while s.try_sent_ago().is_some() {}
    s.inject(seg(ACK, 1, 1, b""));
    assert_eq!(s.sent().flags & RST, RST);
    assert_eq!(s.stack.accept(s.now, listener), Err(Error::WouldBlock));
}

#[test]
fn a_cookie_agrees_on_no_ecn_whatever_the_ack_says() {
    let (mut s, listener) = flooded();
    s.peer_port = 30_002;
    s.inject(seg(SYN | ECE | CWR, 0, 0, b"").options(&[2, 4, 5, 180]));
    assert_eq!(s.sent().flags, SYN | ACK);
    s.inject(seg(ACK | ECE | CWR, 1, 1, b""));
    let (id, _) = s.stack.accept(s.now, listener).expect("established");
    s.send(id, b"x");
    assert_eq!(s.sent().tos, 0);
}
