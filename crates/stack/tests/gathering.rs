//! Short writes that are each followed by another, and files' octets that a send queue takes over.

mod script;

use std::io::IoSlice;
use std::time::Duration;

use script::*;
use tunsock_stack::*;

/// A SYN's options of a peer with MSS 1000.
const MSS: [u8; 4] = [2, 4, 3, 232];

/// A server's end of a connection whose peer acknowledges everything.
struct Server {
    s: Script,
    id: SocketId,
    /// Octets sent, and acknowledged, so far.
    sent: u32,
}

impl Server {
    fn new(config: Config) -> Server {
        let mut s = Script::with(config);
        let id = s.accepted(&MSS, 65_535);
        Server { s, id, sent: 0 }
    }

    fn write(&mut self, text: &[u8], flags: SendFlags) {
        let id = self.id;
        let taken = (self.s.stack).send(self.s.now, id, &[IoSlice::new(text)], flags, None);
        assert_eq!(taken, Ok(text.len()));
    }

    /// The segments that go now, acknowledged.
    fn segments(&mut self) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while let Some((_, segment)) = self.s.try_sent_ago() {
            self.sent += segment.data.len() as u32;
            out.push(segment.data);
        }
        self.s.inject(seg(ACK, 1, 1 + self.sent, b""));
        out
    }

    /// How many segments carry a header and what follows it.
    fn pair(&mut self) -> usize {
        self.write(b"header", SendFlags::GATHER);
        let first = self.segments();
        self.write(b"body", SendFlags::GATHER);
        let second = self.segments();
        self.s.stack.release_end();
        let all: Vec<u8> = first.iter().chain(&second).flatten().copied().collect();
        assert_eq!(all, b"headerbody");
        first.len() + second.len()
    }

    /// One of whose writes it is known that they come in twos.
    fn learned(&mut self) {
        let one = (0..100).position(|_| self.pair() == 1);
        assert!(one.is_some_and(|n| n >= 8), "held after {one:?} pairs");
        assert_eq!(self.pair(), 1);
    }

    fn header_alone(&mut self) -> usize {
        self.write(b"header", SendFlags::GATHER);
        self.segments().len()
    }
}

fn no_delay() -> Server {
    let mut server = Server::new(Config::default());
    let set = (server.s.stack).set_option(server.s.now, server.id, SockOpt::NoDelay(true));
    assert_eq!(set, Ok(()));
    server
}

#[test]
fn a_header_goes_with_its_body_once_it_always_had_one() {
    for mut server in [Server::new(Config::default()), no_delay()] {
        server.learned();
    }
}

#[test]
fn a_header_without_a_body_goes_when_the_caller_does_something_else() {
    let mut server = no_delay();
    server.learned();
    assert_eq!(server.header_alone(), 0);
    server.s.stack.release_end();
    assert_eq!(server.segments(), [b"header".to_vec()]);
    // It was the only one that waited.
    assert_eq!(server.header_alone(), 1);
    server.s.stack.release_end();
    server.learned();
}

#[test]
fn a_header_without_a_body_goes_by_itself_after_a_millisecond() {
    let mut server = no_delay();
    server.learned();
    assert_eq!(server.header_alone(), 0);
    server.s.wait(1);
    assert_eq!(server.segments(), [b"header".to_vec()]);
    // A program that went away makes it take longer.
    for _ in 0..32 {
        assert_eq!(server.pair(), 2);
    }
    server.learned();
}

#[test]
fn writes_with_a_pause_between_are_no_pairs() {
    let mut server = no_delay();
    for _ in 0..100 {
        assert_eq!(server.header_alone(), 1);
        server.s.now = server.s.now + Duration::from_micros(200);
        server.write(b"body", SendFlags::GATHER);
        assert_eq!(server.segments().len(), 1);
        server.s.now = server.s.now + Duration::from_micros(200);
    }
}

#[test]
fn nothing_waits_that_is_pushed_or_ends_the_stream() {
    let mut server = Server::new(Config::default());
    server.learned();
    server.write(b"header", SendFlags::GATHER | SendFlags::EOR);
    assert_eq!(server.segments().len(), 1);
    assert_eq!(server.pair(), 1);
    server.write(b"header", SendFlags::empty());
    assert_eq!(server.segments().len(), 1);
    assert_eq!(server.pair(), 1);
    assert_eq!(server.header_alone(), 0);
    let shut = (server.s.stack).shutdown(server.s.now, server.id, Shutdown::Write);
    assert_eq!(shut, Ok(()));
    assert_eq!(server.segments(), [b"header".to_vec()]);
}

/// What `len` octets of a file look like in memory that can be taken over.
fn file(len: usize) -> (Buffers, Vec<u8>) {
    let text: Vec<u8> = (0..len).map(|i| (i * 7 % 251) as u8).collect();
    let mut buffers = Buffers::default();
    fill(&mut buffers, &text);
    (buffers, text)
}

fn fill(buffers: &mut Buffers, mut text: &[u8]) {
    for mut piece in buffers.space(text.len()) {
        let (now, later) = text.split_at(piece.len());
        piece.copy_from_slice(now);
        text = later;
    }
    assert!(text.is_empty());
}

#[test]
fn a_file_comes_out_as_if_it_had_been_written() {
    for held in [0, 6, 1024, 1025] {
        for len in [100, 16_384, 40_000, 100_000, Buffers::MAX] {
            let mut server = Server::new(Config::default());
            let (mut buffers, text) = file(len);
            let mut want = vec![b'h'; held];
            server.write(&want, SendFlags::empty());
            let (mut at, mut got) = (0, Vec::new());
            while got.len() < held + len {
                if at < len {
                    let now = server.s.now;
                    let left = len - at;
                    let sent = (server.s.stack).send_buffers(
                        now,
                        server.id,
                        &mut buffers,
                        left,
                        SendFlags::empty(),
                    );
                    match sent {
                        Ok(sent) => at += sent.expect("a stream"),
                        Err(error) => assert_eq!(error, Error::WouldBlock),
                    }
                    if at < len {
                        // What was not taken is to be read again.
                        fill(&mut buffers, &text[at..]);
                    }
                }
                got.extend(server.segments().concat());
            }
            want.extend_from_slice(&text);
            assert!(got == want, "{held} octets and {len} of a file");
        }
    }
}

#[test]
fn a_file_that_finds_no_room_is_still_there() {
    let mut server = Server::new(Config::default());
    let now = server.s.now;
    for opt in [SockOpt::NoDelay(true), SockOpt::SndBuf(2048)] {
        assert_eq!(server.s.stack.set_option(now, server.id, opt), Ok(()));
    }
    // Many pieces, and few octets, that nobody acknowledges.
    for _ in 0..6 {
        server.write(b"x", SendFlags::empty());
        while server.s.try_sent_ago().is_some() {
            server.sent += 1;
        }
    }
    let (mut buffers, text) = file(40_000);
    let now = server.s.now;
    let flags = SendFlags::empty();
    let sent = (server.s.stack).send_buffers(now, server.id, &mut buffers, 40_000, flags);
    assert_eq!(sent, Err(Error::WouldBlock));
    let left: Vec<u8> = buffers
        .text(40_000)
        .iter()
        .flat_map(|p| p.to_vec())
        .collect();
    assert!(left == text, "the file's octets are gone");

    assert!(server.segments().is_empty());
    let now = server.s.now;
    let sent = (server.s.stack).send_buffers(now, server.id, &mut buffers, 40_000, flags);
    let taken = sent.expect("room").expect("a stream");
    assert!(taken > 0);
    let mut got = Vec::new();
    while got.len() < taken {
        got.extend(server.segments().concat());
    }
    assert!(got == text[..taken], "other octets than the file's");
}

#[test]
fn a_file_is_no_datagram_and_needs_a_connection() {
    let mut server = Server::new(Config::default());
    let (mut buffers, _) = file(20_000);
    let flags = SendFlags::empty();
    let now = server.s.now;
    let udp = (server.s.stack).socket(Domain::V4, Kind::Datagram);
    let udp = udp.expect("a socket");
    let sent = (server.s.stack).send_buffers(now, udp, &mut buffers, 20_000, flags);
    assert_eq!(sent, Ok(None));
    let tcp = (server.s.stack).socket(Domain::V4, Kind::Stream);
    let tcp = tcp.expect("a socket");
    let sent = (server.s.stack).send_buffers(now, tcp, &mut buffers, 20_000, flags);
    assert_eq!(sent, Err(Error::BrokenPipe));
}
