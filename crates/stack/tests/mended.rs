//! What simulation has found, segment by segment.

mod script;

use std::io::IoSlice;

use script::*;
use tunsock_stack::*;

/// Both SYNs of a simultaneous open have been seen; ours had window shift 0.
fn crossed(options: &[u8]) -> (Script, SocketId) {
    let mut s = Script::with(Config {
        rcvbuf: 30_000,
        buf_max: 30_000,
        ..Config::default()
    });
    let id = s.connecting();
    let syn = s.expect(SYN, 0, 0, b"");
    assert_eq!(syn.option(3), Some(&[0][..]));
    s.inject(seg(SYN, 0, 0, b"").options(options));
    (s, id)
}

#[test]
fn rfc7323_2_2_a_simultaneous_open_answers_window_scaling_even_with_shift_0() {
    let (mut s, _) = crossed(&[2, 4, 3, 232, 3, 3, 7]);
    let syn_ack = s.expect(SYN | ACK, 0, 1, b"");
    assert_eq!(syn_ack.option(3), Some(&[0][..]));
    let (mut s, _) = crossed(&[2, 4, 3, 232]);
    let syn_ack = s.expect(SYN | ACK, 0, 1, b"");
    assert_eq!(syn_ack.option(3), None);
}

#[test]
fn rfc7323_2_2_the_window_of_a_syn_ack_is_not_scaled() {
    let (mut s, id) = crossed(&[2, 4, 3, 232, 3, 3, 7]);
    s.expect(SYN | ACK, 0, 1, b"");
    s.inject(
        seg(SYN | ACK, 0, 1, b"")
            .options(&[2, 4, 3, 232, 3, 3, 7])
            .window(2000),
    );
    assert_eq!(s.state(id), State::Established);
    s.send(id, &[7; 5000]);
    s.expect(ACK, 1, 1, &[7; 1000]);
    s.expect(ACK, 1001, 1, &[7; 1000]);
    s.expect_nothing();
}
