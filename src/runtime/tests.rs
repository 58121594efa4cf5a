//! What the lock guards, driven by hand.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use tunsock_stack::{Domain, Error, Instant, Kind, Ready, RecvFlags, SendFlags, SocketId};

use super::core::Driver;
use super::testing::{THERE, cores};
use super::{Core, sys};

/// Lets what either has sent arrive, until nothing more moves.
fn carry(here: &mut Core, there: &mut Core) {
    for _ in 0..10 {
        let now = sys::now();
        for core in [&mut *here, &mut *there] {
            core.pump(now, None);
            core.flush(now);
        }
    }
}

/// A connection: one end's socket, the other's.
fn connect(here: &mut Core, there: &mut Core, port: u16) -> (SocketId, SocketId) {
    let now = sys::now();
    let at: SocketAddr = format!("{THERE}:{port}").parse().expect("an address");
    let listener = (there.stack.socket(Domain::V4, Kind::Stream)).expect("a socket");
    there.stack.bind(listener, at).expect("a free port");
    there.stack.listen(now, listener, 1).expect("bound");
    let client = (here.stack.socket(Domain::V4, Kind::Stream)).expect("a socket");
    let begun = here.stack.connect(now, client, at);
    assert_eq!(begun, Err(Error::InProgress));
    here.flush(now);
    carry(here, there);
    let (server, _) = there.stack.accept(now, listener).expect("it has come");
    (client, server)
}

#[test]
fn room_and_data_that_come_together_wake_a_writer_and_a_reader() {
    let (mut here, mut there) = cores();
    let (client, server) = connect(&mut here, &mut there, 7);
    let reader = here.take_waker().expect("an eventfd");
    let writer = here.take_waker().expect("an eventfd");
    here.watch(client, &reader, Ready::IN, true);
    here.watch(client, &writer, Ready::OUT, true);
    let (text, answer) = (vec![0; 64 << 10], [IoSlice::new(b"x")]);
    let mut room = vec![0; 1 << 20];
    let mut together = 0;
    for _ in 0..200 {
        let now = sys::now();
        // The queue is full, and everybody has heard of what was before.
        while (here.stack)
            .send(
                now,
                client,
                &[IoSlice::new(&text)],
                SendFlags::empty(),
                None,
            )
            .is_ok()
        {}
        here.flush(now);
        let _ = (reader.take_signal(), writer.take_signal());
        if here.stack.readiness(client).contains(Ready::OUT) {
            continue;
        }
        there.pump(now, None);
        while (there.stack)
            .recv(
                now,
                server,
                &mut [IoSliceMut::new(&mut room)],
                RecvFlags::empty(),
            )
            .is_ok()
        {}
        let sent = (there.stack).send(now, server, &answer, SendFlags::empty(), None);
        assert_eq!(sent, Ok(1));
        there.flush(now);
        here.pump(now, None);
        here.flush(now);
        if here.stack.readiness(client).contains(Ready::OUT) {
            assert!(reader.signaled(), "nobody was told of data");
            assert!(writer.signaled(), "nobody was told of room");
            together += 1;
        }
    }
    assert!(together > 0, "room and data never came together");
}

/// Writes `len` octets, which the other end can take.
fn write(core: &mut Core, id: SocketId, len: usize) {
    let now = sys::now();
    let text = vec![0; len];
    let sent = (core.stack).send(now, id, &[IoSlice::new(&text)], SendFlags::empty(), None);
    assert_eq!(sent, Ok(len));
    core.flush(now);
}

/// Lets `server` send until `client` is a stream whose reader has taken everything.
fn stream(here: &mut Core, client: SocketId, there: &mut Core, server: SocketId) {
    let mut room = vec![0; 1 << 20];
    for _ in 0..200 {
        if here.streams(client) {
            return;
        }
        write(there, server, 64 << 10);
        carry(here, there);
        let now = sys::now();
        let bufs = &mut [IoSliceMut::new(&mut room)];
        let _ = here.stack.recv(now, client, bufs, RecvFlags::empty());
        here.flush(now);
        carry(here, there);
    }
    panic!("no stream");
}

/// A moment at which no deadline is due.
fn settled(core: &mut Core) -> Instant {
    let now = sys::now();
    core.pump(now, None);
    core.flush(now);
    now
}

#[test]
fn what_comes_between_a_streams_frames_is_told_of_at_once() {
    let (mut here, mut there) = cores();
    let (client, server) = connect(&mut here, &mut there, 7);
    let (other, beside) = connect(&mut here, &mut there, 8);
    stream(&mut here, client, &mut there, server);
    let reader = here.take_waker().expect("an eventfd");
    here.watch(other, &reader, Ready::IN, true);
    let _ = reader.take_signal();
    let now = settled(&mut here);
    write(&mut there, server, 64 << 10);
    write(&mut there, beside, 1);
    let mut room = vec![0; 1 << 20];
    here.set_taker(true);
    let read = here.read_in_place(now, client, &mut room);
    assert!(read.is_some_and(|n| n > 0), "{read:?} read in place");
    assert!(here.stack.readiness(other).contains(Ready::IN));
    here.complete(now, None);
    assert!(reader.signaled(), "nobody was told of it");
}

/// Whether the acknowledgement of what was read in place waits for another call, while the background thread sleeps as the driver or not.
fn holds_acknowledgement(asleep: bool) -> bool {
    let (mut here, mut there) = cores();
    let (client, server) = connect(&mut here, &mut there, 7);
    stream(&mut here, client, &mut there, server);
    if asleep {
        // Its wake-up for the frame came to nothing: the calling thread was sooner.
        let waker = here.take_waker().expect("an eventfd");
        waker.fall_asleep();
        here.driver = Some(Driver {
            waker,
            background: true,
            since: sys::now(),
            until: None,
        });
    }
    let now = settled(&mut here);
    write(&mut there, server, 60_000);
    let mut room = vec![0; 64 << 10];
    here.set_taker(true);
    let read = here.read_in_place(now, client, &mut room);
    assert!(read.is_some_and(|n| n > 0), "{read:?} read in place");
    here.complete(now, None);
    there.pump(sys::now(), None);
    there.stack.unsent_bytes(server) != Ok(0)
}

#[test]
fn an_acknowledgement_is_held_only_where_somebody_will_send_it() {
    // Several times: what went after a long pause would be sent by small steps.
    assert!((0..10).any(|_| holds_acknowledgement(false)));
    assert!((0..10).any(|_| !holds_acknowledgement(true)));
}

#[test]
fn what_an_acknowledgement_lets_go_is_not_held_with_ours() {
    let (mut here, mut there) = cores();
    let (client, server) = connect(&mut here, &mut there, 7);
    stream(&mut here, client, &mut there, server);
    // More than the first window has room for: the rest waits for the acknowledgement that comes with the stream.
    write(&mut here, client, 80_000);
    let now = settled(&mut here);
    let before = here.stack.never_sent_bytes(client).expect("a connection");
    assert!(before > 0);
    there.pump(sys::now(), None);
    write(&mut there, server, 60_000);
    let mut room = vec![0; 64 << 10];
    here.set_taker(true);
    let read = here.read_in_place(now, client, &mut room);
    assert!(read.is_some_and(|n| n > 0), "{read:?} read in place");
    here.complete(now, None);
    let after = here.stack.never_sent_bytes(client).expect("a connection");
    assert!(after < before, "{after} of {before} still wait");
}

#[test]
fn a_writer_hears_of_acknowledgements_while_the_window_is_closed() {
    let (mut here, mut there) = cores();
    let (client, _server) = connect(&mut here, &mut there, 7);
    let now = settled(&mut here);
    let text = vec![0; 64 << 10];
    let waiting = |core: &Core| core.stack.never_sent_bytes(client).expect("a connection");
    let write = |core: &mut Core, len: usize| {
        let (text, flags) = ([IoSlice::new(&text[..len])], SendFlags::empty());
        let sent = core.stack.send(now, client, &text, flags, None);
        core.complete(now, Some(client));
        sent.expect("room")
    };
    // More than the first window has room for.
    write(&mut here, 20_000);
    let before = waiting(&here);
    assert!(before > 0, "nothing waits");
    // The acknowledgement lies at the device, where nobody waits for it; what is written now is not sent without it.
    there.pump(sys::now(), None);
    there.flush(sys::now());
    let written = write(&mut here, text.len());
    let after = waiting(&here);
    assert!(
        after < before + written,
        "{after} wait, {before} before and {written} since"
    );
}
