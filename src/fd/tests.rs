//! Calls between two hosts in one process. The kernel's own descriptors take part where programs mix them.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use libc::c_int;
use tunsock_stack::{Domain, Error, Kind, RecvFlags, SendControl, SendFlags, Shutdown};

use super::socket::open_on;
use super::*;
use crate::runtime::Runtime;
use crate::runtime::testing::{HERE, THERE, hosts};

pub(super) fn file(fd: c_int) -> Arc<SocketFile> {
    match lookup_checked(fd) {
        Some(Object::Socket(file)) => file,
        _ => panic!("{fd} is no socket of ours"),
    }
}

fn tcp(runtime: &'static Runtime) -> c_int {
    open_on(runtime, Domain::V4, Kind::Stream, false, true).expect("a socket")
}

fn udp(runtime: &'static Runtime) -> c_int {
    open_on(runtime, Domain::V4, Kind::Datagram, false, true).expect("a socket")
}

fn any_port(host: &str) -> SocketAddr {
    format!("{host}:0").parse().expect("an address")
}

pub(super) fn send(fd: c_int, data: &[u8]) -> FdResult<usize> {
    file(fd).send(
        &[IoSlice::new(data)],
        SendFlags::empty(),
        false,
        None,
        &SendControl::default(),
    )
}

pub(super) fn recv(fd: c_int, room: usize) -> FdResult<Vec<u8>> {
    let mut buf = vec![0; room];
    let got = file(fd).recv(
        &mut [IoSliceMut::new(&mut buf)],
        RecvFlags::empty(),
        false,
        false,
        None,
    )?;
    buf.truncate(got.len);
    Ok(buf)
}

/// A connection: this host's end, the peer's end.
pub(super) fn connected() -> (c_int, c_int) {
    let (here, there) = hosts();
    let listener = tcp(there);
    file(listener).bind(any_port(THERE)).expect("bind");
    file(listener).listen(8).expect("listen");
    let addr = file(listener).local_addr().expect("name");
    let client = tcp(here);
    let accepting = thread::spawn(move || file(listener).accept(false, true));
    file(client).connect(addr).expect("connect");
    let (server, peer) = accepting.join().expect("thread").expect("accept");
    assert_eq!(peer, file(client).local_addr().expect("name"));
    close(listener).expect("ours").expect("close");
    (client, server)
}

pub(super) fn pollfd(fd: c_int, events: i16) -> libc::pollfd {
    libc::pollfd {
        fd,
        events,
        revents: 0,
    }
}

pub(super) fn ms(ms: u64) -> Option<Duration> {
    Some(Duration::from_millis(ms))
}

#[test]
fn a_stream_goes_both_ways_and_ends() {
    let (client, server) = connected();
    assert_eq!(send(client, b"hello"), Ok(5));
    assert_eq!(recv(server, 100), Ok(b"hello".to_vec()));
    assert_eq!(send(server, b"world!"), Ok(6));
    assert_eq!(recv(client, 3), Ok(b"wor".to_vec()));
    assert_eq!(recv(client, 100), Ok(b"ld!".to_vec()));
    file(client).shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(recv(server, 100), Ok(vec![]));
    assert_eq!(send(server, b"late"), Ok(4));
    assert_eq!(recv(client, 100), Ok(b"late".to_vec()));
    close(server).expect("ours").expect("close");
    assert_eq!(recv(client, 100), Ok(vec![]));
    // The number may be another test's at once; what it stood for is gone.
    let gone = Arc::downgrade(&file(client));
    close(client).expect("ours").expect("close");
    assert!(gone.upgrade().is_none());
}

#[test]
fn a_large_blocking_send_returns_everything() {
    let (client, server) = connected();
    const SIZE: usize = 24 << 20;
    let sender = thread::spawn(move || {
        let data: Vec<u8> = (0..SIZE).map(|i| (i % 251) as u8).collect();
        send(client, &data)
    });
    let mut at = 0;
    while at < SIZE {
        let part = recv(server, 1 << 20).expect("data");
        assert!(!part.is_empty(), "the stream ended at {at}");
        for (i, byte) in part.iter().enumerate() {
            assert_eq!(*byte, ((at + i) % 251) as u8);
        }
        at += part.len();
    }
    assert_eq!(sender.join().expect("thread"), Ok(SIZE));
    close(client).expect("ours").expect("close");
    close(server).expect("ours").expect("close");
}

#[test]
fn waitall_waits_for_all_or_the_end() {
    let (client, server) = connected();
    let receiver = thread::spawn(move || {
        let (mut a, mut b) = ([0; 4], [0; 8]);
        let mut bufs = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
        let first = file(server).recv(&mut bufs, RecvFlags::empty(), false, true, None);
        let mut rest = [0; 100];
        let mut bufs = [IoSliceMut::new(&mut rest)];
        let second = file(server).recv(&mut bufs, RecvFlags::empty(), false, true, None);
        (
            first.map(|r| r.len),
            [&a[..], &b[..]].concat(),
            second.map(|r| r.len),
        )
    });
    for piece in [&b"abc"[..], b"defgh", b"ijkl", b"mn"] {
        thread::sleep(Duration::from_millis(5));
        send(client, piece).expect("send");
    }
    close(client).expect("ours").expect("close");
    let (first, text, second) = receiver.join().expect("thread");
    assert_eq!((first, second), (Ok(12), Ok(2)));
    assert_eq!(text, b"abcdefghijkl");
    close(server).expect("ours").expect("close");
}

#[test]
fn timeouts_and_nonblocking_say_so() {
    let (client, server) = connected();
    let socket = file(client);
    socket.set_recv_timeout(ms(30));
    let before = Instant::now();
    assert_eq!(recv(client, 1), Err(Fail::TimedOut));
    assert!(before.elapsed() >= Duration::from_millis(30));
    socket.set_nonblocking(true);
    assert_eq!(recv(client, 1), Err(Fail::Stack(Error::WouldBlock)));
    assert_eq!(send(server, b"x"), Ok(1));
    // Whoever drives, what was sent before is there now.
    let end = Instant::now() + Duration::from_secs(20);
    while recv(client, 1) == Err(Fail::Stack(Error::WouldBlock)) {
        assert!(Instant::now() < end);
        thread::yield_now();
    }
    close(client).expect("ours").expect("close");
    close(server).expect("ours").expect("close");
}

#[test]
fn a_nonblocking_connect_is_polled() {
    let (here, there) = hosts();
    let client = tcp(here);
    file(client).set_nonblocking(true);
    let listener = tcp(there);
    file(listener).bind(any_port(THERE)).expect("bind");
    file(listener).listen(1).expect("listen");
    let addr = file(listener).local_addr().expect("name");
    assert_eq!(
        file(client).connect(addr),
        Err(Fail::Stack(Error::InProgress))
    );
    let mut fds = [pollfd(client, libc::POLLOUT)];
    assert_eq!(poll(&mut fds, ms(20_000), None), Some(Ok(1)));
    assert_eq!(fds[0].revents, libc::POLLOUT);
    assert_eq!(file(client).take_error(), None);
    close(listener).expect("ours").expect("close");
    let refused = tcp(here);
    assert_eq!(
        file(refused).connect(addr),
        Err(Fail::Stack(Error::ConnectionRefused))
    );
    for fd in [client, refused] {
        close(fd).expect("ours").expect("close");
    }
}

#[test]
fn poll_mixes_ours_and_the_kernels() {
    let (client, server) = connected();
    let (read, write) = rustix::pipe::pipe().expect("a pipe");
    let mut fds = [
        pollfd(client, libc::POLLIN),
        pollfd(-1, libc::POLLIN),
        pollfd(read.as_raw_fd(), libc::POLLIN),
    ];
    assert_eq!(poll(&mut fds, ms(20), None), Some(Ok(0)));
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        rustix::io::write(&write, b"x").expect("write");
        thread::sleep(Duration::from_millis(20));
        send(server, b"y").expect("send");
        (write, server)
    });
    assert_eq!(poll(&mut fds, ms(20_000), None), Some(Ok(1)));
    assert_eq!(fds.map(|fd| fd.revents), [0, 0, libc::POLLIN]);
    rustix::io::read(&read, &mut [0; 1]).expect("read");
    assert_eq!(poll(&mut fds, ms(20_000), None), Some(Ok(1)));
    assert_eq!(fds.map(|fd| fd.revents), [libc::POLLIN, 0, 0]);
    let (write, server) = writer.join().expect("thread");
    rustix::io::write(&write, b"x").expect("write");
    assert_eq!(poll(&mut fds, None, None), Some(Ok(2)));
    let mut closed = [pollfd(client, libc::POLLIN), pollfd(99_999, libc::POLLIN)];
    assert_eq!(poll(&mut closed, None, None), Some(Ok(2)));
    assert_eq!(closed[1].revents, libc::POLLNVAL);
    close(client).expect("ours").expect("close");
    close(server).expect("ours").expect("close");
}

#[test]
fn select_counts_bits() {
    let (client, server) = connected();
    let mut read = [0u64; 16];
    let mut write = [0u64; 16];
    let bit = |fd: c_int| (fd as usize / 64, 1u64 << (fd % 64));
    let (word, mask) = bit(client);
    read[word] |= mask;
    assert_eq!(
        select(client + 1, Some(&mut read), None, None, ms(10), None),
        Some(Ok(0))
    );
    assert_eq!(read, [0; 16]);
    read[word] |= mask;
    write[word] |= mask;
    send(server, b"x").expect("send");
    let mut fds = [pollfd(client, libc::POLLIN)];
    assert_eq!(poll(&mut fds, ms(20_000), None), Some(Ok(1)));
    assert_eq!(
        select(
            client + 1,
            Some(&mut read),
            Some(&mut write),
            None,
            None,
            None
        ),
        Some(Ok(2))
    );
    assert_eq!((read[word], write[word]), (mask, mask));
    let (bad_word, bad_mask) = bit(1000);
    read[bad_word] |= bad_mask;
    assert_eq!(
        select(1001, Some(&mut read), None, None, None, None),
        Some(Err(Fail::Os(rustix::io::Errno::BADF)))
    );
    assert_eq!(read[word], mask);
    close(client).expect("ours").expect("close");
    close(server).expect("ours").expect("close");
}

#[test]
fn dup_shares_and_dup2_replaces() {
    let (client, server) = connected();
    let twin = dup(client, true, 0).expect("ours").expect("dup");
    file(twin).set_nonblocking(true);
    assert!(file(client).nonblocking());
    close(client).expect("ours").expect("close");
    assert_eq!(send(twin, b"still"), Ok(5));
    assert_eq!(recv(server, 10), Ok(b"still".to_vec()));
    // A kernel descriptor over the last number: the connection ends.
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDONLY,
        rustix::fs::Mode::empty(),
    )
    .expect("/dev/null");
    assert_eq!(
        dup2(null.as_raw_fd(), twin, libc::O_CLOEXEC),
        Some(Ok(twin))
    );
    assert!(lookup(twin).is_none());
    assert_eq!(recv(server, 10), Ok(vec![]));
    // A number that changed hands beyond our sight heals itself.
    crate::runtime::sys::dup3(null.as_raw_fd(), server, libc::O_CLOEXEC).expect("dup3");
    assert!(lookup_checked(server).is_none());
    assert!(lookup(server).is_none());
    for fd in [twin, server] {
        crate::runtime::sys::close(fd).expect("close");
    }
}

/// What a loan's other end asks for is done while the program goes on: its close may come between the two steps.
#[test]
fn a_number_that_is_becoming_a_relays_end_is_closed_as_one() {
    let (client, server) = connected();
    let socket = file(client);
    let gone = Arc::downgrade(&socket);
    let (_other, end) = std::os::unix::net::UnixStream::pair().expect("a socketpair");
    let (tell, told) = mpsc::channel();
    let closing = {
        let changing = table::changing();
        crate::runtime::sys::dup3(end.as_raw_fd(), client, libc::O_CLOEXEC).expect("dup3");
        let closing = thread::spawn(move || {
            tell.send(rustix::thread::gettid()).expect("heard");
            close(client)
        });
        let thread = told.recv().expect("told").as_raw_nonzero();
        while !closing.is_finished() && !sleeps(thread.get()) {
            thread::sleep(Duration::from_millis(1));
        }
        table::install(client, Object::Relay(socket)).expect("an entry");
        drop(changing);
        closing
    };
    assert_eq!(closing.join().expect("thread"), Some(Ok(())));
    assert!(gone.upgrade().is_none());
    assert_eq!(recv(server, 10), Ok(vec![]));
    close(server).expect("ours").expect("close");
}

/// Whether a thread of this process sleeps (proc_pid_stat(5)).
fn sleeps(thread: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    stat.is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('S'))
    })
}

#[test]
fn datagrams_wake_the_receiver() {
    let (here, there) = hosts();
    let (a, b) = (udp(here), udp(there));
    file(a).bind(any_port(HERE)).expect("bind");
    file(b).bind(any_port(THERE)).expect("bind");
    let to = file(a).local_addr().expect("name");
    let receiver = thread::spawn(move || recv(a, 100));
    thread::sleep(Duration::from_millis(10));
    let sent = file(b).send(
        &[IoSlice::new(b"datagram")],
        SendFlags::empty(),
        false,
        Some(to),
        &SendControl::default(),
    );
    assert_eq!(sent, Ok(8));
    assert_eq!(receiver.join().expect("thread"), Ok(b"datagram".to_vec()));
    close(a).expect("ours").expect("close");
    close(b).expect("ours").expect("close");
}

#[test]
fn each_connection_goes_to_one_of_many_threads() {
    let (here, there) = hosts();
    let listener = tcp(there);
    file(listener).bind(any_port(THERE)).expect("bind");
    file(listener).listen(64).expect("listen");
    let addr = file(listener).local_addr().expect("name");
    let threads: Vec<_> = (0..8)
        .map(|_| thread::spawn(move || file(listener).accept(false, true).map(|(fd, _)| fd)))
        .collect();
    thread::sleep(Duration::from_millis(20));
    let clients: Vec<c_int> = (0..8)
        .map(|_| {
            let client = tcp(here);
            file(client).connect(addr).expect("connect");
            client
        })
        .collect();
    for thread in threads {
        let fd = thread.join().expect("thread").expect("accept");
        close(fd).expect("ours").expect("close");
    }
    for client in clients {
        assert_eq!(recv(client, 1), Ok(vec![]));
        close(client).expect("ours").expect("close");
    }
    close(listener).expect("ours").expect("close");
}
