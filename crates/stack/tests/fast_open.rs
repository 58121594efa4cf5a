//! TCP Fast Open (RFC 7413), segment by segment: each test names the section it covers.

mod script;

use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

use script::*;
use tunsock_stack::*;

const COOKIE: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
/// MSS 1000, SACK-permitted.
const OPTIONS: [u8; 8] = [2, 4, 3, 232, 1, 1, 4, 2];

fn config(fast_open: FastOpen) -> Config {
    Config {
        fast_open,
        ..Config::default()
    }
}

fn client() -> Script {
    Script::with(config(FastOpen::CLIENT))
}

/// Fast Open's option with this cookie.
fn option(cookie: &[u8]) -> Vec<u8> {
    let mut out = OPTIONS.to_vec();
    out.extend([34, 2 + cookie.len() as u8]);
    out.extend(cookie);
    out
}

/// A fresh socket opens a connection to the peer's port 5000 with `data`.
fn open(s: &mut Script, data: &[u8]) -> (SocketId, Result<usize>) {
    let id = s.stack.socket(Domain::V4, Kind::Stream).expect("socket");
    let sent = send_open(s, id, data);
    (id, sent)
}

fn send_open(s: &mut Script, id: SocketId, data: &[u8]) -> Result<usize> {
    s.us_port = 0;
    let to = SocketAddr::from((PEER, 5000));
    let data = [IoSlice::new(data)];
    s.stack
        .send(s.now, id, &data, SendFlags::FASTOPEN, Some(to))
}

fn info(s: &Script, id: SocketId) -> TcpInfo {
    s.stack.tcp_info(s.now, id).expect("a connection")
}

/// The stack gets a cookie from the peer; the connection it came by is gone.
fn meet(s: &mut Script) {
    let (id, sent) = open(s, b"");
    assert_eq!(sent, Err(Error::InProgress));
    s.expect(SYN, 0, 0, b"");
    s.inject(seg(SYN | ACK, 0, 1, b"").options(&option(&COOKIE)));
    s.expect(ACK, 1, 1, b"");
    s.inject(seg(RST, 1, 0, b""));
    s.stack.close(s.now, id);
    s.expect_nothing();
    s.stack.audit().expect("sound");
}

#[test]
fn rfc7413_4_1_3_a_cookie_is_asked_for_kept_and_shown() {
    let mut s = client();
    let (id, sent) = open(&mut s, b"request");
    assert_eq!(sent, Err(Error::InProgress), "there is no cookie yet");
    let syn = s.expect(SYN, 0, 0, b"");
    assert_eq!(syn.option(34), Some(&[][..]), "it is asked for");
    s.inject(seg(SYN | ACK, 0, 1, b"").options(&option(&COOKIE)));
    s.expect(ACK, 1, 1, b"");
    assert!(!info(&s, id).syn_data);
    assert_eq!(info(&s, id).fast_open_failure, FastOpenFailure::NoCookie);
    let (id, sent) = open(&mut s, b"request");
    assert_eq!(sent, Ok(7));
    let syn = s.expect(SYN, 0, 0, b"request");
    assert_eq!(syn.option(34), Some(&COOKIE[..]));
    assert!(!s.stack.readiness(id).contains(Ready::OUT));
    s.inject(seg(SYN | ACK, 0, 8, b"answer").options(&OPTIONS));
    s.expect(ACK, 8, 7, b"");
    assert_eq!(s.state(id), State::Established);
    assert_eq!(s.recv(id).as_deref(), Ok(&b"answer"[..]));
    let info = info(&s, id);
    assert!(info.syn_data);
    assert_eq!((info.delivered, info.bytes_acked), (1, 7));
    s.stack.audit().expect("sound");
}

#[test]
fn rfc7413_4_2_2_the_syn_holds_what_the_server_s_mss_and_the_options_leave() {
    let mut s = client();
    meet(&mut s);
    let (id, sent) = open(&mut s, &[7; 5000]);
    assert_eq!(
        sent,
        Ok(960),
        "40 octets are left to options, ours and others'"
    );
    s.expect(SYN, 0, 0, &[7; 960]);
    s.inject(seg(SYN | ACK, 0, 961, b"").options(&OPTIONS));
    s.expect(ACK, 961, 1, b"");
    s.send(id, &[8; 1000]);
    s.expect(ACK, 961, 1, &[8; 1000]);
}

#[test]
fn rfc7413_4_2_2_text_that_is_not_acknowledged_goes_again_at_once() {
    let mut s = client();
    meet(&mut s);
    for (acked, missing) in [(1, &b"request"[..]), (4, &b"uest"[..])] {
        let (id, _) = open(&mut s, b"request");
        s.expect(SYN, 0, 0, b"request");
        s.wait(20);
        s.inject(seg(SYN | ACK, 0, acked, b"").options(&OPTIONS));
        s.expect(ACK, acked, 1, missing);
        let info = info(&s, id);
        assert!(!info.syn_data);
        assert_eq!(info.fast_open_failure, FastOpenFailure::NotAcknowledged);
        assert_eq!(info.rtt, Duration::from_millis(20), "the SYN went once");
        s.stack.audit().expect("sound");
        s.inject(seg(ACK, 1, 8, b""));
        assert_eq!(s.stack.unsent_bytes(id), Ok(0));
        s.expect_nothing();
    }
    let (_, sent) = open(&mut s, b"again");
    assert_eq!(sent, Ok(5), "the cookie is kept");
}

#[test]
fn rfc7413_4_1_3_1_a_syn_that_is_sent_again_is_a_plain_one() {
    let mut s = client();
    meet(&mut s);
    let (id, _) = open(&mut s, b"request");
    s.expect(SYN, 0, 0, b"request");
    s.wait(1_500);
    let syn = s.expect(SYN, 0, 0, b"");
    assert_eq!(syn.option(34), None);
    s.stack.audit().expect("sound");
    s.inject(seg(SYN | ACK, 0, 1, b"").options(&OPTIONS));
    s.expect(ACK, 1, 1, b"request");
    assert_eq!(
        info(&s, id).fast_open_failure,
        FastOpenFailure::SynRetransmitted
    );
    s.inject(seg(ACK, 1, 8, b""));
    // The answer to the first one after all.
    let (id, _) = open(&mut s, b"request");
    s.expect(SYN, 0, 0, b"request");
    s.wait(1_500);
    s.expect(SYN, 0, 0, b"");
    s.inject(seg(SYN | ACK, 0, 8, b"").options(&OPTIONS));
    s.expect(ACK, 8, 1, b"");
    assert!(info(&s, id).syn_data);
    s.wait(5_000);
    s.expect_nothing();
}

#[test]
fn a_server_that_knows_no_fast_open_is_asked_once_in_the_experimental_kind() {
    let mut s = client();
    for kind in [34u8, 254, 34, 34] {
        open(&mut s, b"x").1.expect_err("no cookie");
        let syn = s.expect(SYN, 0, 0, b"");
        let body = if kind == 34 { &[][..] } else { &[0xf9, 0x89] };
        assert_eq!(syn.option(kind), Some(body));
        s.inject(seg(SYN | ACK, 0, 1, b"").options(&OPTIONS));
        s.expect(ACK, 1, 1, b"");
    }
    // One that knows the experimental kind only.
    let mut s = client();
    open(&mut s, b"x").1.expect_err("no cookie");
    s.expect(SYN, 0, 0, b"");
    s.inject(seg(SYN | ACK, 0, 1, b"").options(&OPTIONS));
    s.expect(ACK, 1, 1, b"");
    open(&mut s, b"x").1.expect_err("no cookie");
    s.expect(SYN, 0, 0, b"");
    let cookie = [2, 4, 3, 232, 254, 8, 0xf9, 0x89, 9, 8, 7, 6];
    s.inject(seg(SYN | ACK, 0, 1, b"").options(&cookie));
    s.expect(ACK, 1, 1, b"");
    assert_eq!(open(&mut s, b"x").1, Ok(1));
    let syn = s.expect(SYN, 0, 0, b"x");
    assert_eq!(syn.option(254), Some(&cookie[6..]));
}

#[test]
fn an_unasked_cookie_and_a_mistaken_one_are_not_kept() {
    let mut s = client();
    s.connecting();
    s.expect(SYN, 0, 0, b"");
    s.inject(seg(SYN | ACK, 0, 1, b"").options(&option(&COOKIE)));
    s.expect(ACK, 1, 1, b"");
    for bad in [&[1, 2][..], &[0; 5], &[0; 18]] {
        open(&mut s, b"x").1.expect_err("no cookie");
        s.sent();
        s.inject(seg(SYN | ACK, 0, 1, b"").options(&option(bad)));
        s.expect(ACK, 1, 1, b"");
    }
}

#[test]
fn rfc7413_4_1_3_1_swallowed_syns_make_a_pause() {
    let mut s = Script::with(Config {
        fast_open_pause: Duration::from_secs(100),
        ..config(FastOpen::CLIENT)
    });
    meet(&mut s);
    open(&mut s, b"x").1.expect("a cookie");
    s.wait(8_000); // three time-outs
    let plain = |s: &mut Script| {
        while s.try_sent_ago().is_some() {}
        let sent = open(s, b"x").1;
        let syn = s.sent();
        (sent, syn.option(34).is_none())
    };
    assert_eq!(plain(&mut s), (Err(Error::InProgress), true));
    s.wait(90_000);
    assert_eq!(plain(&mut s).0, Err(Error::InProgress));
    s.wait(10_000);
    assert_eq!(plain(&mut s), (Ok(1), false), "the pause is over");
}

#[test]
fn rfc1191_a_syn_too_long_for_the_path_goes_again_at_once_without_text() {
    let mut s = client();
    meet(&mut s);
    let (_, sent) = open(&mut s, &[5; 2000]);
    assert_eq!(sent, Ok(960));
    s.expect(SYN, 0, 0, &[5; 960]);
    let mut message = vec![3, 4, 0, 0, 0, 0, 2, 88]; // MTU 600
    let mut quote = vec![0x45, 0, 3, 232, 0, 0, 0x40, 0, 64, 6, 0, 0];
    quote.extend(US.octets());
    quote.extend(PEER.octets());
    quote.extend(s.us_port.to_be_bytes());
    quote.extend(s.peer_port.to_be_bytes());
    quote.extend(s.iss.to_be_bytes());
    message.extend(quote);
    let sum: u32 = message
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    s.packet(1, &message);
    let syn = s.expect(SYN, 0, 0, b"");
    assert_eq!(syn.option(2), Some(&560u16.to_be_bytes()[..]));
    s.inject(seg(SYN | ACK, 0, 1, b"").options(&OPTIONS));
    s.expect(ACK, 1, 1, &[5; 560]);
    s.expect(ACK, 561, 1, &[5; 400]);
    s.stack.audit().expect("sound");
}

#[test]
fn rfc9293_3_5_both_sides_open_with_text() {
    let mut s = client();
    meet(&mut s);
    let (id, _) = open(&mut s, b"request");
    s.expect(SYN, 0, 0, b"request");
    s.inject(seg(SYN, 0, 0, b"theirs").options(&OPTIONS));
    s.expect(SYN | ACK, 0, 1, b"");
    s.inject(seg(SYN | ACK, 0, 8, b"").options(&OPTIONS));
    let ack = s.expect(ACK, 8, 1, b"");
    assert!(ack.option(5).is_some(), "their SYN was a duplicate");
    assert_eq!(s.state(id), State::Established);
    assert!(info(&s, id).syn_data);
    s.inject(seg(ACK, 1, 8, b"theirs"));
    s.expect(ACK, 8, 7, b"");
    s.stack.audit().expect("sound");
}

#[test]
fn connect_defers_the_syn_until_something_is_written() {
    let mut s = client();
    meet(&mut s);
    s.us_port = 0;
    let id = s.stack.socket(Domain::V4, Kind::Stream).expect("socket");
    let on = SockOpt::FastOpenConnect(true);
    s.stack.set_option(s.now, id, on).expect("set");
    let to = SocketAddr::from((PEER, 5000));
    assert_eq!(s.stack.connect(s.now, id, to), Ok(()));
    assert_eq!(s.stack.connect(s.now, id, to), Err(Error::IsConnected));
    s.wait(10_000);
    s.expect_nothing();
    assert_eq!(s.stack.readiness(id), Ready::OUT);
    assert_eq!(s.recv(id), Err(Error::WouldBlock));
    s.stack.audit().expect("sound");
    s.send(id, b"request");
    s.expect(SYN, 0, 0, b"request");
    assert_eq!(
        send_open(&mut s, id, b"more"),
        Err(Error::AlreadyConnecting)
    );
}

/// A listener that takes text in SYNs, `queue` at a time, and the cookie for the peer.
fn server(queue: u32) -> (Script, SocketId, Vec<u8>) {
    let mut s = Script::with(config(FastOpen::SERVER));
    let id = s.listen();
    let limit = SockOpt::FastOpen(queue);
    s.stack.set_option(s.now, id, limit).expect("set");
    s.inject(seg(SYN, 0, 0, b"").options(&option(&[])));
    let syn_ack = s.expect(SYN | ACK, 0, 1, b"");
    let cookie = syn_ack.option(34).expect("a cookie").to_vec();
    assert_eq!(cookie.len(), 8);
    s.inject(seg(RST, 1, 0, b""));
    (s, id, cookie)
}

#[test]
fn rfc7413_4_2_2_text_of_a_syn_is_read_and_answered_before_the_ack() {
    let (mut s, listener, cookie) = server(5);
    s.inject(seg(SYN, 0, 0, b"request").options(&option(&cookie)));
    let syn_ack = s.expect(SYN | ACK, 0, 8, b"");
    assert_eq!(syn_ack.option(34), None, "the cookie is good");
    let (id, _) = s.stack.accept(s.now, listener).expect("accepted");
    assert_eq!(s.state(id), State::SynReceived);
    assert!(s.stack.readiness(id).contains(Ready::IN | Ready::OUT));
    assert_eq!(s.recv(id).as_deref(), Ok(&b"request"[..]));
    assert!(info(&s, id).syn_data);
    s.send(id, b"answer");
    s.expect(ACK, 1, 8, b"answer");
    s.stack.audit().expect("sound");
    s.wait(10);
    s.inject(seg(ACK, 8, 7, b""));
    assert_eq!(s.state(id), State::Established);
    assert_eq!(info(&s, id).delivered, 2);
    s.wait(5_000);
    s.expect_nothing();
    s.stack.audit().expect("sound");
}

#[test]
fn rfc7413_4_2_2_until_the_ack_the_syn_ack_alone_is_sent_again() {
    let (mut s, listener, cookie) = server(5);
    s.inject(seg(SYN, 0, 0, b"request").options(&option(&cookie)));
    s.expect(SYN | ACK, 0, 8, b"");
    let (id, _) = s.stack.accept(s.now, listener).expect("accepted");
    s.send(id, b"answer");
    s.expect(ACK, 1, 8, b"answer");
    s.wait(3_500);
    s.expect(SYN | ACK, 0, 8, b"");
    s.expect(SYN | ACK, 0, 8, b"");
    s.expect_nothing();
    s.stack.audit().expect("sound");
    // The SYN again is answered in the same way.
    s.inject(seg(SYN, 0, 0, b"request").options(&option(&cookie)));
    s.expect(SYN | ACK, 0, 8, b"");
    s.inject(seg(ACK, 8, 1, b""));
    s.expect(ACK, 1, 8, b"answer");
    s.inject(seg(ACK, 8, 7, b""));
    s.stack.audit().expect("sound");
    s.wait(5_000);
    s.expect_nothing();
}

#[test]
fn an_open_whose_ack_never_comes_is_given_up() {
    let (mut s, listener, cookie) = server(5);
    s.inject(seg(SYN, 0, 0, b"x").options(&option(&cookie)));
    s.wait(400_000);
    let mut syn_acks = 0;
    while let Some((_, seg)) = s.try_sent_ago() {
        assert_eq!(seg.flags, SYN | ACK);
        syn_acks += 1;
    }
    assert_eq!(syn_acks, 1 + 6, "once more than an ordinary one (Linux)");
    let (id, _) = s
        .stack
        .accept(s.now, listener)
        .expect("it stays in the queue");
    assert_eq!(s.recv(id).as_deref(), Ok(&b"x"[..]));
    assert_eq!(s.recv(id), Err(Error::TimedOut));
    s.stack.audit().expect("sound");
}

#[test]
fn rfc7413_4_1_2_a_bad_cookie_gets_an_ordinary_handshake_and_a_good_one() {
    let (mut s, listener, cookie) = server(5);
    for bad in [vec![9; 8], vec![9; 16], cookie[..6].to_vec()] {
        s.inject(seg(SYN, 0, 0, b"request").options(&option(&bad)));
        let syn_ack = s.expect(SYN | ACK, 0, 1, b"");
        assert_eq!(syn_ack.option(34), Some(&cookie[..]));
        assert_eq!(s.stack.accept(s.now, listener), Err(Error::WouldBlock));
        s.inject(seg(ACK, 1, 1, b"request"));
        let (id, _) = s.stack.accept(s.now, listener).expect("accepted");
        assert_eq!(s.recv(id).as_deref(), Ok(&b"request"[..]));
        assert!(!info(&s, id).syn_data);
        s.inject(seg(RST, 8, 0, b""));
        while s.try_sent_ago().is_some() {}
    }
    // Another host's.
    s.from = "10.0.0.3".parse().expect("an address");
    s.peer_port += 1;
    s.take(seg(SYN, 0, 0, b"request").options(&option(&cookie)));
    assert_eq!(s.stack.accept(s.now, listener), Err(Error::WouldBlock));
}

#[test]
fn rfc7413_4_1_2_cookies_of_the_key_before_are_believed_and_replaced() {
    let (mut s, listener, cookie) = server(5);
    let Ok(SockOpt::FastOpenKey(Some(old))) =
        s.stack.get_option(listener, SockOptName::FastOpenKey)
    else {
        panic!("there is a key in use");
    };
    let keys = FastOpenKeys {
        primary: [3; 16],
        backup: Some(old.primary),
    };
    let keys = SockOpt::FastOpenKey(Some(keys));
    s.stack.set_option(s.now, listener, keys).expect("set");
    s.inject(seg(SYN, 0, 0, b"request").options(&option(&cookie)));
    let syn_ack = s.expect(SYN | ACK, 0, 8, b"");
    let new = syn_ack.option(34).expect("a cookie").to_vec();
    assert_ne!(new, cookie);
    s.stack.accept(s.now, listener).expect("accepted");
    s.peer_port += 1;
    s.inject(seg(SYN, 0, 0, b"request").options(&option(&new)));
    assert_eq!(s.expect(SYN | ACK, 0, 8, b"").option(34), None);
}

#[test]
fn rfc7413_5_1_pending_connections_are_bounded_and_resets_free_nothing_for_a_while() {
    let (mut s, listener, cookie) = server(1);
    let syn = |s: &mut Script| {
        s.peer_port += 1;
        s.inject(seg(SYN, 0, 0, b"request").options(&option(&cookie)));
        let syn_ack = s.sent();
        assert_eq!(syn_ack.flags, SYN | ACK);
        syn_ack.ack == 8
    };
    assert!(syn(&mut s));
    let (first, iss) = (s.peer_port, s.iss);
    assert!(!syn(&mut s), "there is one already: an ordinary handshake");
    (s.peer_port, s.iss) = (first, iss);
    s.inject(seg(ACK, 8, 1, b""));
    s.peer_port += 1;
    assert!(syn(&mut s), "the first one's handshake is through");
    s.inject(seg(RST, 8, 0, b""));
    s.stack.audit().expect("sound");
    assert!(!syn(&mut s), "a reset one counts");
    s.wait(59_000);
    while s.try_sent_ago().is_some() {}
    assert!(!syn(&mut s));
    s.wait(1_500);
    while s.try_sent_ago().is_some() {}
    assert!(syn(&mut s));
    s.stack.audit().expect("sound");
    for _ in 0..3 {
        s.stack
            .accept(s.now, listener)
            .expect("all can be accepted");
    }
}

#[test]
fn a_reset_before_accept_leaves_the_text_and_says_so_behind_it() {
    let (mut s, listener, cookie) = server(5);
    s.inject(seg(SYN, 0, 0, b"request").options(&option(&cookie)));
    s.expect(SYN | ACK, 0, 8, b"");
    s.inject(seg(RST, 8, 0, b""));
    let (id, _) = s.stack.accept(s.now, listener).expect("accepted");
    assert_eq!(s.recv(id).as_deref(), Ok(&b"request"[..]));
    assert_eq!(s.recv(id), Err(Error::ConnectionReset));
    s.stack.audit().expect("sound");
}

#[test]
fn unaccepted_opens_are_reset_with_their_listener() {
    let (mut s, listener, cookie) = server(5);
    s.inject(seg(SYN, 0, 0, b"request").options(&option(&cookie)));
    s.expect(SYN | ACK, 0, 8, b"");
    s.stack.close(s.now, listener);
    let rst = s.sent();
    assert_eq!((rst.flags, rst.seq, rst.ack), (RST | ACK, 1, 8));
    s.stack.audit().expect("sound");
    assert_eq!(s.stack.sockets().len(), 0);
}

#[test]
fn an_answer_and_its_end_need_not_wait_for_the_ack() {
    let (mut s, listener, cookie) = server(5);
    s.inject(seg(SYN, 0, 0, b"request").options(&option(&cookie)));
    s.expect(SYN | ACK, 0, 8, b"");
    let (id, _) = s.stack.accept(s.now, listener).expect("accepted");
    s.recv(id).expect("the request");
    s.send(id, b"answer");
    s.expect(ACK, 1, 8, b"answer");
    s.stack.close(s.now, id);
    s.expect(FIN | ACK, 7, 8, b"");
    s.stack.audit().expect("sound");
    s.inject(seg(ACK, 8, 8, b""));
    s.inject(seg(FIN | ACK, 8, 8, b""));
    s.expect(ACK, 8, 9, b"");
    s.stack.audit().expect("sound");
}

#[test]
fn icmp_ends_an_open_that_nobody_has_accepted() {
    let (mut s, listener, cookie) = server(5);
    for accepted in [false, true] {
        s.peer_port += 1;
        s.inject(seg(SYN, 0, 0, b"x").options(&option(&cookie)));
        s.expect(SYN | ACK, 0, 2, b"");
        let before = accepted.then(|| s.stack.accept(s.now, listener).expect("accepted").0);
        s.icmp(3, 1, 0);
        let id = before.unwrap_or_else(|| s.stack.accept(s.now, listener).expect("accepted").0);
        let state = if accepted {
            State::SynReceived
        } else {
            State::Closed
        };
        assert_eq!(s.state(id), state);
        s.stack.audit().expect("sound");
    }
}

#[test]
fn rfc4987_a_full_syn_queue_takes_no_text() {
    let (mut s, listener, cookie) = server(5);
    for _ in 0..200 {
        s.peer_port += 1;
        s.take(seg(SYN, 0, 0, b"").options(&OPTIONS));
    }
    while s.try_sent_ago().is_some() {}
    s.peer_port += 1;
    s.inject(seg(SYN, 0, 0, b"request").options(&option(&cookie)));
    s.expect(SYN | ACK, 0, 1, b"");
    s.inject(seg(ACK, 1, 1, b"request"));
    let (id, _) = s
        .stack
        .accept(s.now, listener)
        .expect("a cookie of the other sort");
    assert_eq!(s.recv(id).as_deref(), Ok(&b"request"[..]));
}

#[test]
fn text_is_taken_where_cookies_are_not_asked_for_and_nowhere_else() {
    let open = FastOpen::SERVER | FastOpen::SERVER_NO_COOKIE | FastOpen::EVERY_LISTENER;
    for (bits, ack) in [
        (open, 8),
        (FastOpen::SERVER | FastOpen::EVERY_LISTENER, 1),
        (FastOpen::SERVER | FastOpen::SERVER_NO_COOKIE, 1),
        (open - FastOpen::SERVER, 1),
        (FastOpen::CLIENT, 1),
    ] {
        let mut s = Script::with(config(bits));
        s.listen();
        s.inject(seg(SYN, 0, 0, b"request").options(&OPTIONS));
        let syn_ack = s.expect(SYN | ACK, 0, ack, b"");
        assert_eq!(syn_ack.option(34), None, "nobody asked");
    }
}

#[test]
fn rfc3168_6_1_1_an_open_with_text_agrees_to_ecn() {
    let (mut s, listener, cookie) = server(5);
    s.inject(seg(SYN | ECE | CWR, 0, 0, b"x").options(&option(&cookie)));
    s.expect(SYN | ACK | ECE, 0, 2, b"");
    let (id, _) = s.stack.accept(s.now, listener).expect("accepted");
    s.send(id, b"answer");
    assert_eq!(s.expect(ACK, 1, 2, b"answer").tos & 3, 2, "ECT(0)");
}

#[test]
fn rfc7413_4_2_2_a_syn_longer_than_the_buffer_is_taken_in_part() {
    let (mut s, listener, cookie) = server(5);
    let small = SockOpt::RcvBuf(0);
    s.stack.set_option(s.now, listener, small).expect("set");
    s.inject(seg(SYN, 0, 0, &[1; 1400]).options(&option(&cookie)));
    let syn_ack = s.sent();
    assert!(
        syn_ack.flags == SYN | ACK && syn_ack.ack < 1401,
        "{syn_ack:?}"
    );
    assert_eq!(syn_ack.window, 0);
    let (id, _) = s.stack.accept(s.now, listener).expect("accepted");
    assert_eq!(
        s.recv(id).map(|text| text.len() as u32 + 1),
        Ok(syn_ack.ack)
    );
    s.stack.audit().expect("sound");
}
