//! When what is sent, how much, and in what pieces.

mod script;

use std::io::IoSlice;
use std::time::Duration;

use script::*;
use tunsock_stack::*;

/// SYN options of a peer with MSS 1000 that permits SACK.
const SACK: [u8; 8] = [2, 4, 3, 232, 4, 2, 1, 1];

fn sack(left: u32, right: u32, iss: u32) -> Vec<u8> {
    let mut out = vec![1, 1, 5, 10];
    out.extend(iss.wrapping_add(left).to_be_bytes());
    out.extend(iss.wrapping_add(right).to_be_bytes());
    out
}

impl Local for Script {
    fn selective(&mut self, ack: u32, left: u32, right: u32) {
        let block = sack(left, right, self.iss);
        self.inject(seg(ACK, 1, ack, b"").options(&block));
    }

    fn info(&self, id: SocketId) -> TcpInfo {
        self.stack.tcp_info(self.now, id).expect("a connection")
    }

    fn drain(&mut self) -> Vec<(u32, usize)> {
        let mut got = Vec::new();
        while let Some((_, segment)) = self.try_sent_ago() {
            got.push((segment.seq, segment.data.len()));
        }
        got
    }

    fn send_more(&mut self, id: SocketId, data: &[u8]) {
        let taken = self
            .stack
            .send(self.now, id, &[IoSlice::new(data)], SendFlags::MORE, None);
        assert_eq!(taken, Ok(data.len()));
    }
}

trait Local {
    fn selective(&mut self, ack: u32, left: u32, right: u32);
    fn info(&self, id: SocketId) -> TcpInfo;
    fn drain(&mut self) -> Vec<(u32, usize)>;
    fn send_more(&mut self, id: SocketId, data: &[u8]);
}

/// A device that cuts super-segments.
fn with_offload() -> Script {
    Script::with(Config {
        offload: Offload {
            csum: true,
            tso4: true,
            tso6: true,
        },
        ..Config::default()
    })
}

/// A connection whose round trip takes 100 ms.
fn slow(mut s: Script, options: &[u8]) -> (Script, SocketId) {
    let listener = s.listen();
    s.inject(seg(SYN, 0, 0, b"").options(options));
    s.expect(SYN | ACK, 0, 1, b"");
    s.wait(100);
    s.inject(seg(ACK, 1, 1, b""));
    let id = s.stack.accept(s.now, listener).expect("accepted").0;
    (s, id)
}

#[test]
fn a_reset_carries_the_timestamp() {
    let mut s = Script::new();
    let mut options = vec![2, 4, 3, 232];
    options.extend(ts(1, 0));
    let id = s.accepted(&options, 65_535);
    s.inject(seg(ACK, 1, 1, b"data").options(&ts(3, 0)));
    s.drain();
    s.stack.close(s.now, id);
    let reset = s.sent();
    assert_eq!((reset.flags, reset.seq, reset.ack), (RST | ACK, 1, 5));
    assert_eq!(
        reset.option(8).map(|body| &body[4..]),
        Some(&[0, 0, 0, 3][..])
    );
}

#[test]
fn a_window_that_goes_unused_does_not_grow() {
    // Five of ten segments: not more than half.
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send(id, &[1; 5000]);
    s.wait(100);
    s.inject(seg(ACK, 1, 5001, b""));
    assert_eq!(s.info(id).snd_cwnd, 10);
    // Six are.
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send(id, &[1; 6000]);
    s.wait(100);
    s.inject(seg(ACK, 1, 2001, b""));
    assert_eq!(s.info(id).snd_cwnd, 12);
    s.inject(seg(ACK, 1, 6001, b""));
    assert_eq!(s.info(id).snd_cwnd, 12, "twice what was out");
}

#[test]
fn the_window_comes_down_to_seven_tenths_of_the_whole_flight() {
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send(id, &[1; 10_000]);
    s.drain();
    s.wait(100);
    s.selective(1, 1001, 2001);
    s.selective(1, 1001, 3001);
    s.selective(1, 1001, 4001);
    assert_eq!(s.drain(), [(1, 1000)]);
    let info = s.info(id);
    assert_eq!(info.ca_state, CaState::Recovery);
    assert_eq!((info.snd_ssthresh, info.lost, info.sacked), (Some(7), 1, 3));
}

#[test]
fn a_hole_sent_again_has_a_round_trip_of_its_own() {
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send(id, &[1; 10_000]);
    s.drain();
    s.wait(100);
    s.selective(1, 1001, 4001);
    assert_eq!(s.drain(), [(1, 1000)]);
    // The timer, begun when the hole was sent first, would run out after 300 ms; it begins anew when the hole is sent again.
    s.wait(250);
    assert_eq!(s.drain(), []);
    assert_eq!(s.info(id).ca_state, CaState::Recovery);
    s.wait(100);
    assert_eq!(s.info(id).ca_state, CaState::Loss);
}

#[test]
fn what_was_selected_before_a_time_out_does_not_widen_the_window_after_it() {
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send(id, &[1; 40_000]);
    s.drain();
    s.wait(100);
    s.selective(1, 1001, 10_001);
    s.drain();
    s.wait(2000);
    assert_eq!(s.info(id).ca_state, CaState::Loss);
    s.drain();
    let before = s.info(id).snd_cwnd;
    s.inject(seg(ACK, 1, 10_001, b""));
    assert!(
        s.info(id).snd_cwnd <= before + 1,
        "{} after {before}",
        s.info(id).snd_cwnd
    );
}

#[test]
fn the_first_two_duplicates_let_new_segments_go() {
    let (mut s, id) = slow(with_offload(), &SACK);
    s.send(id, &[1; 15_000]);
    s.drain();
    s.wait(100);
    s.selective(1, 1001, 2001);
    assert_eq!(s.drain(), [(10_001, 1000)]);
    s.wait(10);
    s.selective(1, 1001, 3001);
    assert_eq!(s.drain(), [(11_001, 1000)]);
    // Only reordered after all; what SACK told of before does not count again.
    s.inject(seg(ACK, 1, 3001, b""));
    assert_eq!(s.info(id).snd_cwnd, 11);
}

#[test]
fn an_idle_window_is_brought_back_to_the_first() {
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send(id, &[1; 30_000]);
    for n in 1..=15 {
        s.wait(100);
        s.inject(seg(ACK, 1, (1 + 2000 * n).min(30_001), b""));
    }
    assert!(s.info(id).snd_cwnd > 10);
    s.drain();
    s.wait(10_000);
    s.send(id, &[1; 30_000]);
    assert_eq!(s.drain().len(), 10);
}

#[test]
fn the_tail_is_probed_before_the_timer_runs_out() {
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send(id, &[1; 3000]);
    s.drain();
    s.wait(195);
    s.expect_nothing();
    s.wait(15);
    assert_eq!(s.drain(), [(2001, 1000)], "after two round trips");
    // A single segment's acknowledgement may be delayed: its probe would come after the RTO, and goes in its place.
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send(id, &[1; 1000]);
    s.drain();
    s.wait(299);
    s.expect_nothing();
    s.wait(2);
    assert_eq!(s.drain(), [(1, 1000)]);
    assert_eq!(s.info(id).retransmits, 0);
    s.wait(301);
    assert_eq!(s.drain(), [(1, 1000)]);
    assert_eq!(
        s.info(id).retransmits,
        1,
        "the timer, not backed off by the probe"
    );
}

#[test]
fn super_segments_are_sized_by_the_rate() {
    // 10 segments in 100 ms: a millisecond's worth is less than the least.
    let (mut s, id) = slow(with_offload(), &SACK);
    s.send(id, &[1; 10_000]);
    assert_eq!(s.drain(), [0, 1, 2, 3, 4].map(|n| (1 + 2000 * n, 2000)));
    // On a short path as much as half the window.
    let mut s = with_offload();
    let id = s.accepted(&SACK, 65_535);
    s.send(id, &[1; 10_000]);
    assert_eq!(s.drain(), [(1, 5000), (5001, 5000)]);
}

#[test]
fn more_window_is_waited_for_only_while_it_is_near() {
    let (mut s, id) = slow(with_offload(), &SACK);
    s.send(id, &[1; 30_000]);
    s.drain();
    s.wait(100);
    // The first acknowledgement after a pause: nothing says that another is close.
    s.inject(seg(ACK, 1, 1001, b""));
    assert_eq!(s.drain(), [(10_001, 2000)]);
}

#[test]
fn the_small_end_of_a_large_write_is_held_like_any_small_segment() {
    let mut s = with_offload();
    let id = s.plain();
    s.send_more(id, &[1; 3100]);
    assert_eq!(s.drain(), [(1, 3000)]);
    // The first acknowledgement lets it go: MSG_MORE is no cork.
    s.inject(seg(ACK, 1, 2001, b""));
    assert_eq!(s.drain(), [(3001, 100)]);
}

#[test]
fn an_overtaken_acknowledgement_still_tells_what_it_sacks() {
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send(id, &[1; 10_000]);
    s.drain();
    s.wait(100);
    s.inject(seg(ACK, 1, 4001, b""));
    s.selective(3001, 5001, 7001);
    assert_eq!(s.info(id).sacked, 2);
}

#[test]
fn tcp_info_counts_what_happened() {
    let mut s = Script::new();
    let id = s.plain();
    s.inject(seg(ACK, 1, 1, &[1; 1500]));
    s.send(id, &[1; 2500]);
    s.inject(seg(ACK, 1501, 1001, b""));
    s.now = s.now + Duration::from_millis(250);
    let info = s.info(id);
    assert_eq!(
        (info.bytes_received, info.bytes_acked, info.bytes_sent),
        (1500, 1000, 2500)
    );
    assert_eq!((info.data_segs_in, info.data_segs_out), (1, 3));
    assert_eq!((info.unacked, info.delivered, info.snd_mss), (2, 2, 1000));
    assert_eq!(info.last_data_recv, Duration::from_millis(250));
    assert!(!info.sack && !info.timestamps && info.wscale.is_none());
}

#[test]
fn what_more_held_back_goes_by_the_timer_and_is_pushed() {
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send_more(id, b"head");
    // The retransmission timeout: 100 ms and 200 ms for its variance.
    s.wait(299);
    s.expect_nothing();
    s.wait(2);
    let held = s.sent();
    assert_eq!((held.flags, &held.data[..]), (ACK | PSH, &b"head"[..]));
}

#[test]
fn no_delay_draws_the_cork_once() {
    let mut s = Script::new();
    let id = s.plain();
    let set = |s: &mut Script, option| {
        s.stack.set_option(s.now, id, option).expect("option");
    };
    set(&mut s, SockOpt::Cork(true));
    s.send(id, b"head");
    s.expect_nothing();
    set(&mut s, SockOpt::NoDelay(true));
    s.expect(ACK, 1, 1, b"head");
    s.inject(seg(ACK, 1, 5, b""));
    s.send(id, b"tail");
    s.expect_nothing();
}

#[test]
fn a_closed_window_is_no_idleness() {
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send(id, &[1; 10_000]);
    s.wait(100);
    s.inject(seg(ACK, 1, 10_001, b"").window(0));
    assert_eq!(s.info(id).snd_cwnd, 20);
    s.drain();
    s.send(id, &[1; 1000]);
    s.wait(3000);
    assert_eq!(s.info(id).snd_cwnd, 20);
}

#[test]
fn timestamps_can_be_left_out() {
    let config = || Config {
        timestamps: false,
        ..Config::default()
    };
    let mut s = Script::with(config());
    s.connecting();
    assert_eq!(s.sent().option(8), None);
    let mut s = Script::with(config());
    s.listen();
    let mut options = SACK.to_vec();
    options.extend(ts(1, 0));
    s.inject(seg(SYN, 0, 0, b"").options(&options));
    assert_eq!(s.sent().option(8), None);
}

#[test]
fn data_for_a_program_that_is_gone_is_answered_with_a_reset_that_fits() {
    let mut s = Script::new();
    let id = s.plain();
    s.stack.close(s.now, id);
    s.expect(ACK | FIN, 1, 1, b"");
    // The peer has not seen the FIN: its next expected octet is 1.
    s.inject(seg(ACK, 1, 1, b"data"));
    let reset = s.sent();
    assert_eq!((reset.flags, reset.seq), (RST, 1));
}

#[test]
fn a_tail_probe_sends_something_new_past_the_congestion_window() {
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send(id, &[1; 20_000]);
    assert_eq!(s.drain().len(), 10);
    s.wait(210);
    assert_eq!(s.drain(), [(10_001, 1000)]);
}

#[test]
fn what_a_client_says_first_is_no_answer() {
    let mut s = Script::new();
    let id = s.connecting();
    s.sent();
    s.inject(seg(SYN | ACK, 0, 1, b"").options(&SACK));
    s.sent();
    s.send(id, b"request");
    s.sent();
    s.inject(seg(ACK, 1, 8, b"answer"));
    s.expect(ACK, 8, 7, b"");
}

#[test]
fn where_much_is_reordered_what_arrives_counts_at_once() {
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send(id, &[1; 10_000]);
    s.drain();
    s.wait(100);
    s.selective(1, 9001, 10_001);
    assert_eq!(s.info(id).snd_cwnd, 10, "one alone may be a loss");
    s.wait(1);
    s.selective(1, 3001, 4001);
    let info = s.info(id);
    assert_eq!(
        (info.snd_cwnd, info.reordering, info.reord_seen),
        (11, 7, 1)
    );
}

#[test]
fn three_segments_are_three_with_timestamps_too() {
    let mut s = Script::new();
    let listener = s.listen();
    let mut options = vec![2, 4, 3, 232, 4, 2];
    options.extend(ts(1, 0));
    s.inject(seg(SYN, 0, 0, b"").options(&options));
    let echo = |s: &mut Script| {
        let stamp = s.sent().option(8).map(|o| o[..4].to_vec());
        u32::from_be_bytes(stamp.and_then(|o| o.try_into().ok()).expect("a timestamp"))
    };
    let first = echo(&mut s);
    s.wait(100);
    s.inject(seg(ACK, 1, 1, b"").options(&ts(2, first)));
    let id = s.stack.accept(s.now, listener).expect("accepted").0;
    s.send(id, &[1; 9880]);
    let stamp = echo(&mut s);
    assert_eq!(s.drain().len(), 9);
    s.wait(100);
    let mut options = ts(3, stamp);
    options.extend(sack(989, 3953, s.iss));
    s.inject(seg(ACK, 1, 1, b"").options(&options));
    assert_eq!(s.drain(), [(1, 988)], "not after a quarter of a round trip");
}

#[test]
fn what_one_acknowledgement_tells_of_together_was_not_reordered() {
    let (mut s, id) = slow(Script::new(), &SACK);
    s.send(id, &[1; 10_000]);
    s.drain();
    s.wait(100);
    // The first segment waited for company, the second is lost.
    s.selective(1001, 2001, 3001);
    let info = s.info(id);
    assert_eq!((info.reordering, info.reord_seen), (3, 0));
}

#[test]
fn a_third_of_a_window_of_three_and_a_half_segments_is_one() {
    let (mut s, id) = slow(with_offload(), &SACK);
    let reno = SockOpt::Congestion(CongestionControl::Reno);
    assert_eq!(s.stack.set_option(s.now, id, reno), Ok(()));
    s.send(id, &[1; 7000]);
    s.drain();
    s.wait(100);
    s.selective(1, 1001, 7001);
    s.drain();
    s.wait(100);
    s.inject(seg(ACK, 1, 7001, b""));
    s.send(id, &[1; 20_000]);
    let octets = |sent: Vec<(u32, usize)>| sent.iter().map(|(_, len)| len).sum::<usize>();
    assert_eq!(octets(s.drain()), 3000);
    s.wait(100);
    s.inject(seg(ACK, 1, 9001, b""));
    assert_eq!(octets(s.drain()), 2000, "none is kept for the next one");
}

/// Two writes of 8200 octets that follow each other: the first is sent and acknowledged.
fn writes_on(s: &mut Script, id: SocketId, flags: SendFlags) -> Vec<(u32, usize)> {
    let text = [1; 8200];
    let taken = s.stack.send(s.now, id, &[IoSlice::new(&text)], flags, None);
    assert_eq!(taken, Ok(8200));
    let first: usize = s.drain().iter().map(|(_, len)| len).sum();
    assert_eq!(first, 8200, "nothing shows yet that more follows");
    s.inject(seg(ACK, 1, 8201, b""));
    let taken = s.stack.send(s.now, id, &[IoSlice::new(&text)], flags, None);
    assert_eq!(taken, Ok(8200));
    s.drain()
}

fn octets(sent: &[(u32, usize)]) -> usize {
    sent.iter().map(|(_, len)| len).sum()
}

#[test]
fn writes_without_a_pause_are_gathered_until_the_caller_does_something_else() {
    let (mut s, id) = slow(with_offload(), &SACK);
    let sent = octets(&writes_on(&mut s, id, SendFlags::GATHER));
    assert!(sent < 8200, "{sent} sent, and nothing held");
    // A third goes on where the second ended.
    let text = [1; 8200];
    let taken = s
        .stack
        .send(s.now, id, &[IoSlice::new(&text)], SendFlags::GATHER, None);
    assert_eq!(taken, Ok(8200));
    let more = octets(&s.drain());
    s.stack.release_end();
    let rest = octets(&s.drain());
    assert!(rest > 0, "{sent} and {more} sent, and nothing held");
    s.inject(seg(ACK, 1, 8201 + (sent + more + rest) as u32, b""));
    assert_eq!(sent + more + rest + octets(&s.drain()), 16_400);
}

#[test]
fn what_is_held_of_a_write_goes_by_itself_after_a_millisecond() {
    let (mut s, id) = slow(with_offload(), &SACK);
    let sent = octets(&writes_on(&mut s, id, SendFlags::GATHER));
    assert!(sent < 8200, "{sent} sent, and nothing held");
    s.wait(1);
    assert_eq!(sent + octets(&s.drain()), 8200);
}

#[test]
fn nothing_is_held_that_is_pushed() {
    let (mut s, id) = slow(with_offload(), &SACK);
    assert_eq!(octets(&writes_on(&mut s, id, SendFlags::empty())), 8200);
    let (mut s, id) = slow(with_offload(), &SACK);
    let set = s.stack.set_option(s.now, id, SockOpt::NoDelay(true));
    assert_eq!(set, Ok(()));
    assert_eq!(octets(&writes_on(&mut s, id, SendFlags::GATHER)), 8200);
    let (mut s, id) = slow(with_offload(), &SACK);
    let flags = SendFlags::GATHER | SendFlags::EOR;
    assert_eq!(octets(&writes_on(&mut s, id, flags)), 8200);
    // A FIN takes what was held along.
    let (mut s, id) = slow(with_offload(), &SACK);
    let sent = octets(&writes_on(&mut s, id, SendFlags::GATHER));
    assert_eq!(s.stack.shutdown(s.now, id, Shutdown::Write), Ok(()));
    assert_eq!(sent + octets(&s.drain()), 8200);
}
