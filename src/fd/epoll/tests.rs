//! The rules of epoll(7) with sockets of ours, kernel descriptors and both.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use libc::{c_int, epoll_event};
use rustix::io::Errno;
use tunsock_stack::{Domain, Kind, RecvFlags, SendFlags};

use super::super::tests::{connected, ms, pollfd, recv, send};
use super::super::{Fail, close, dup, poll};
use super::set::SetInner;
use super::{epoll_create, epoll_ctl, epoll_wait};
use crate::runtime::testing::{HERE, hosts};
use crate::runtime::{Core, sys};

const IN: u32 = libc::EPOLLIN as u32;
const OUT: u32 = libc::EPOLLOUT as u32;
const ET: u32 = libc::EPOLLET as u32;
const ONESHOT: u32 = libc::EPOLLONESHOT as u32;

fn set() -> c_int {
    epoll_create(true).expect("an epoll set")
}

fn ctl(set: c_int, op: c_int, fd: c_int, events: u32) -> Result<(), Fail> {
    let event = epoll_event {
        events,
        u64: fd as u64,
    };
    epoll_ctl(set, op, fd, Some(event)).expect("ours")
}

fn add(set: c_int, fd: c_int, events: u32) {
    ctl(set, libc::EPOLL_CTL_ADD, fd, events).expect("EPOLL_CTL_ADD");
}

/// The events as (descriptor, events), in the order of descriptors.
fn wait(set: c_int, timeout: u64) -> Vec<(c_int, u32)> {
    let mut events = [epoll_event { events: 0, u64: 0 }; 16];
    let found = epoll_wait(set, &mut events, ms(timeout), None)
        .expect("ours")
        .expect("epoll_wait");
    let mut list: Vec<_> = events[..found]
        .iter()
        .map(|event| (event.u64 as c_int, event.events))
        .collect();
    list.sort();
    list
}

fn close_all(fds: &[c_int]) {
    for fd in fds {
        close(*fd).expect("ours").expect("close");
    }
}

#[test]
fn level_stays_and_edge_comes_once() {
    let (client, server) = connected();
    let (level, edge) = (set(), set());
    add(level, client, IN);
    add(edge, client, IN | ET);
    assert_eq!(wait(level, 10), []);
    send(server, b"one").expect("send");
    assert_eq!(wait(level, 20_000), [(client, IN)]);
    assert_eq!(wait(level, 0), [(client, IN)]);
    assert_eq!(wait(edge, 20_000), [(client, IN)]);
    assert_eq!(wait(edge, 20), []);
    send(server, b"two").expect("send");
    assert_eq!(wait(edge, 20_000), [(client, IN)]);
    recv(client, 100).expect("recv");
    assert_eq!(wait(level, 0), []);
    assert_eq!(wait(edge, 0), []);
    close_all(&[client, server, level, edge]);
}

#[test]
fn oneshot_fires_once_until_modified() {
    let (client, server) = connected();
    let set = set();
    add(set, client, IN | ONESHOT);
    send(server, b"x").expect("send");
    assert_eq!(wait(set, 20_000), [(client, IN)]);
    send(server, b"y").expect("send");
    assert_eq!(wait(set, 20), []);
    ctl(set, libc::EPOLL_CTL_MOD, client, IN | ONESHOT).expect("EPOLL_CTL_MOD");
    assert_eq!(wait(set, 0), [(client, IN)]);
    close_all(&[client, server, set]);
}

#[test]
fn control_errors_are_linuxs() {
    let (client, server) = connected();
    let set = set();
    let os = |errno| Err(Fail::Os(errno));
    use libc::{EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD};
    assert_eq!(ctl(set, EPOLL_CTL_MOD, client, IN), os(Errno::NOENT));
    assert_eq!(ctl(set, EPOLL_CTL_DEL, client, IN), os(Errno::NOENT));
    assert_eq!(ctl(set, EPOLL_CTL_ADD, client, IN), Ok(()));
    assert_eq!(ctl(set, EPOLL_CTL_ADD, client, IN), os(Errno::EXIST));
    assert_eq!(ctl(set, 77, client, IN), os(Errno::INVAL));
    assert_eq!(ctl(set, EPOLL_CTL_ADD, set, IN), os(Errno::INVAL));
    assert_eq!(ctl(set, EPOLL_CTL_ADD, 99_999, IN), os(Errno::BADF));
    assert_eq!(ctl(client, EPOLL_CTL_ADD, server, IN), os(Errno::INVAL));
    let exclusive = libc::EPOLLEXCLUSIVE as u32;
    assert_eq!(
        ctl(set, EPOLL_CTL_MOD, client, IN | exclusive),
        os(Errno::INVAL)
    );
    assert_eq!(ctl(set, EPOLL_CTL_DEL, client, IN), Ok(()));
    assert_eq!(ctl(set, EPOLL_CTL_ADD, client, IN | exclusive), Ok(()));
    let file = std::fs::File::open("/proc/self/exe").expect("a plain file");
    assert_eq!(
        ctl(set, EPOLL_CTL_ADD, file.as_raw_fd(), IN),
        os(Errno::PERM)
    );
    assert!(matches!(
        epoll_wait(set, &mut [], None, None),
        Some(Err(Fail::Os(Errno::INVAL)))
    ));
    close_all(&[client, server, set]);
}

#[test]
fn ours_and_the_kernels_come_together() {
    let (client, server) = connected();
    let (read, write) = rustix::pipe::pipe().expect("a pipe");
    let set = set();
    add(set, client, IN);
    add(set, read.as_raw_fd(), IN);
    assert_eq!(wait(set, 10), []);
    rustix::io::write(&write, b"x").expect("write");
    assert_eq!(wait(set, 20_000), [(read.as_raw_fd(), IN)]);
    send(server, b"y").expect("send");
    assert_eq!(recv(client, 1), Ok(b"y".to_vec()));
    // Nagle's algorithm holds this back until "y" is acknowledged, up to the delay of that.
    send(server, b"z").expect("send");
    let mut fds = [pollfd(client, libc::POLLIN)];
    assert_eq!(poll(&mut fds, ms(20_000), None), Some(Ok(1)));
    let mut both = vec![(client, IN), (read.as_raw_fd(), IN)];
    both.sort();
    // Each side comes at the latest in its turn, however busy the other is.
    let mut seen: Vec<_> = (0..8).flat_map(|_| wait(set, 20_000)).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, both);
    close_all(&[client, server, set]);
}

#[test]
fn a_waiter_hears_of_what_is_added_meanwhile() {
    let (client, server) = connected();
    let (read, write) = rustix::pipe::pipe().expect("a pipe");
    send(server, b"x").expect("send");
    let set = set();
    // The set is the kernel's alone while the thread goes to wait.
    let waiter = thread::spawn(move || wait(set, 20_000));
    thread::sleep(Duration::from_millis(20));
    add(set, client, IN);
    assert_eq!(waiter.join().expect("thread"), [(client, IN)]);
    recv(client, 1).expect("recv");
    let waiter = thread::spawn(move || wait(set, 20_000));
    thread::sleep(Duration::from_millis(20));
    rustix::io::write(&write, b"x").expect("write");
    add(set, read.as_raw_fd(), IN);
    assert_eq!(waiter.join().expect("thread"), [(read.as_raw_fd(), IN)]);
    close_all(&[client, server, set]);
}

#[test]
fn closing_the_last_descriptor_removes() {
    let (client, server) = connected();
    let set = set();
    let twin = dup(client, true, 0).expect("ours").expect("dup");
    add(set, client, OUT);
    assert_eq!(wait(set, 0), [(client, OUT)]);
    close_all(&[client]);
    assert_eq!(wait(set, 0), [(client, OUT)]);
    close_all(&[twin]);
    assert_eq!(wait(set, 0), []);
    close_all(&[server, set]);
}

#[test]
fn sets_nest_and_can_be_polled() {
    let (client, server) = connected();
    let (inner, outer) = (set(), set());
    add(inner, client, IN);
    add(outer, inner, IN);
    assert_eq!(wait(outer, 10), []);
    send(server, b"x").expect("send");
    assert_eq!(wait(outer, 20_000), [(inner, IN)]);
    let mut fds = [pollfd(inner, libc::POLLIN), pollfd(outer, libc::POLLIN)];
    assert_eq!(poll(&mut fds, ms(20_000), None), Some(Ok(2)));
    assert_eq!(wait(inner, 0), [(client, IN)]);
    recv(client, 1).expect("recv");
    assert_eq!(wait(outer, 0), []);
    assert_eq!(poll(&mut fds, ms(10), None), Some(Ok(0)));
    let sender = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        send(server, b"y").expect("send");
    });
    assert_eq!(poll(&mut fds, ms(20_000), None), Some(Ok(2)));
    sender.join().expect("thread");
    close_all(&[client, server, inner, outer]);
}

/// What a wait costs goes by the sockets that are ready, not by those that are in the set.
#[test]
fn a_wait_looks_at_ready_sockets_only() {
    const ALL: usize = 10_000;
    const READY: usize = 7;
    let (here, _) = hosts();
    let mut core = here.lock().expect("a runtime");
    let set = Arc::new(SetInner::new());
    let mut sockets = Vec::new();
    let at: SocketAddr = format!("{HERE}:0").parse().expect("an address");
    for number in 0..ALL {
        let id = core.stack.socket(Domain::V4, Kind::Datagram);
        let id = id.expect("a socket");
        core.stack.bind(id, at).expect("a port");
        let edge = if number % 2 == 0 { ET } else { 0 };
        let event = epoll_event {
            events: IN | edge,
            u64: number as u64,
        };
        // Numbers that no descriptor has: nothing here looks at them.
        let number = 1_000_000 + number as c_int;
        set.add(&mut core, number, id, event)
            .expect("a fresh entry");
        sockets.push(id);
    }
    let look = |core: &Core| {
        let before = set.lock().looks;
        let mut events = [epoll_event { events: 0, u64: 0 }; 64];
        let found = set.collect(core, &mut events);
        (found, set.lock().looks - before)
    };
    assert_eq!(look(&core), (0, 0));
    let now = sys::now();
    let sender = sockets[0];
    for &id in sockets.iter().rev().step_by(100).take(READY) {
        let to = core.stack.local_addr(id).expect("bound");
        let data = [IoSlice::new(b"x")];
        let flags = SendFlags::empty();
        (core.stack.send(now, sender, &data, flags, Some(to))).expect("a datagram");
    }
    core.flush(now);
    // All are at odd places, so they are reported for as long as they are ready.
    assert_eq!(look(&core), (READY, READY as u64));
    assert_eq!(look(&core), (READY, READY as u64));
    for &id in sockets.iter().rev().step_by(100).take(READY) {
        let mut room = [0];
        let mut bufs = [IoSliceMut::new(&mut room)];
        (core.stack.recv(now, id, &mut bufs, RecvFlags::empty())).expect("the datagram");
    }
    assert_eq!(look(&core), (0, READY as u64));
    assert_eq!(look(&core), (0, 0));
    set.dissolve(&mut core);
    for id in sockets {
        core.stack.close(now, id);
    }
}

#[test]
fn one_event_wakes_one_thread() {
    let (client, server) = connected();
    let set = set();
    add(set, client, IN | ET);
    let waiters: Vec<_> = (0..4)
        .map(|_| thread::spawn(move || wait(set, 3000)))
        .collect();
    thread::sleep(Duration::from_millis(50));
    send(server, b"x").expect("send");
    let woken = waiters
        .into_iter()
        .map(|thread| thread.join().expect("thread"))
        .filter(|events| !events.is_empty())
        .count();
    assert_eq!(woken, 1);
    close_all(&[client, server, set]);
}
