//! What the lock guards, driven by hand.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use tunsock_stack::{Domain, Error, Kind, Ready, RecvFlags, SendFlags, SocketId};

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
fn connect(here: &mut Core, there: &mut Core) -> (SocketId, SocketId) {
    let now = sys::now();
    let at: SocketAddr = format!("{THERE}:7").parse().expect("an address");
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
    let (client, server) = connect(&mut here, &mut there);
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
