//! Where segments end: in SACK blocks, in what goes at a time, in what goes again.

mod script;

use script::*;
use tunsock_stack::*;

/// SYN options of a peer with MSS 1000 that permits SACK.
const SACK: [u8; 8] = [2, 4, 3, 232, 4, 2, 1, 1];

/// A connection whose round trip takes 100 ms, over a device that cuts super-segments; the peer's window is `window`.
fn slow(window: u16) -> (Script, SocketId) {
    let mut s = Script::with(Config {
        offload: Offload {
            csum: true,
            tso4: true,
            tso6: true,
        },
        ..Config::default()
    });
    let listener = s.listen();
    s.inject(seg(SYN, 0, 0, b"").options(&SACK).window(window));
    s.expect(SYN | ACK, 0, 1, b"");
    s.wait(100);
    s.inject(seg(ACK, 1, 1, b"").window(window));
    let id = s.stack.accept(s.now, listener).expect("accepted").0;
    (s, id)
}

fn selective(s: &mut Script, ack: u32, left: u32, right: u32) {
    let mut block = vec![1, 1, 5, 10];
    block.extend(s.iss.wrapping_add(left).to_be_bytes());
    block.extend(s.iss.wrapping_add(right).to_be_bytes());
    s.inject(seg(ACK, 1, ack, b"").options(&block));
}

/// What has gone: flags, first octet, length, milliseconds ago.
fn gone(s: &mut Script) -> Vec<(u8, u32, usize, u64)> {
    let mut got = Vec::new();
    while let Some((ago, segment)) = s.try_sent_ago() {
        got.push((segment.flags, segment.seq, segment.data.len(), ago));
    }
    got
}

#[test]
fn a_block_for_part_of_a_segment_tells_nothing_of_it() {
    let (mut s, id) = slow(65_535);
    s.send(id, &[1; 4000]);
    gone(&mut s);
    s.wait(100);
    selective(&mut s, 1, 4000, 4001);
    let info = s.stack.tcp_info(s.now, id).expect("a connection");
    assert_eq!(info.sacked, 0);
    s.wait(90);
    assert_eq!(gone(&mut s), [], "nothing is overdue");
    // Nor does it put the probe of the tail off: two round trips after the sending.
    s.wait(20);
    assert_eq!(gone(&mut s), [(PSH | ACK, 3001, 1000, 8)]);
    // The whole segment does tell, and what is before it goes again.
    s.wait(100);
    selective(&mut s, 1, 3001, 4001);
    let info = s.stack.tcp_info(s.now, id).expect("a connection");
    assert_eq!(info.sacked, 1);
    s.wait(30);
    let again = gone(&mut s);
    assert_eq!(again.first().map(|got| got.1), Some(1), "{again:?}");
}

#[test]
fn a_short_last_segment_is_a_whole_one() {
    let (mut s, id) = slow(65_535);
    s.send(id, &[1; 3500]);
    gone(&mut s);
    s.wait(100);
    selective(&mut s, 1, 3001, 3501);
    s.wait(30);
    let again: Vec<_> = gone(&mut s).iter().map(|got| (got.1, got.2)).collect();
    assert_eq!(again.first(), Some(&(1, 1000)), "what is before it goes");
}

#[test]
fn no_more_than_half_the_peers_window_goes_at_a_time() {
    let (mut s, id) = slow(5000);
    s.send(id, &[1; 5000]);
    let sizes: Vec<usize> = gone(&mut s).iter().map(|got| got.2).collect();
    assert_eq!(sizes, [2000, 2000, 1000]);
}

#[test]
fn linux_what_goes_again_is_cut_where_it_was_and_alone_has_no_push() {
    let (mut s, id) = slow(65_535);
    s.send(id, &[1; 6000]);
    let first = gone(&mut s);
    assert!(first.iter().all(|got| (got.0, got.2) == (PSH | ACK, 2000)));
    s.wait(100);
    selective(&mut s, 1, 3001, 6001);
    s.wait(100);
    let again: Vec<_> = gone(&mut s).iter().map(|g| (g.0, g.1, g.2)).collect();
    assert_eq!(again[..2], [(PSH | ACK, 1, 2000), (ACK, 2001, 1000)]);
}
