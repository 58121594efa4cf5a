//! Netlink sockets that the stack answers (netlink(7)).
//!
//! The number is a netlink socket of the kernel's, of the protocol that programs use among themselves (NETLINK_USERSOCK); the library has
//! another one ([`Ends`]). What the program asks the kernel goes to the library's end instead, and the answers come from there: so the queue,
//! waiting, sizes, truncation, port numbers and options are the kernel's own, and nothing reaches the machine's interfaces.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};

use libc::c_int;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    self, AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType,
};
use rustix::rand::{GetRandomFlags, getrandom};

use super::dup::put;
use super::{FdResult, Object, table};
use crate::runtime::{self, Mutex, MutexGuard, sys};

/// NETLINK_USERSOCK of linux/netlink.h.
const NETLINK_USERSOCK: u32 = 2;
/// How often another socket may have the port that was drawn.
const PORT_TRIES: usize = 16;

/// What a netlink socket asks about.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Protocol {
    /// NETLINK_ROUTE: interfaces, addresses, routes (rtnetlink(7)).
    Route,
    /// NETLINK_SOCK_DIAG: sockets (sock_diag(7)).
    SockDiag,
}

/// A netlink socket: shared by every descriptor that dup made of it.
pub(crate) struct NetlinkFile {
    protocol: Protocol,
    /// The library's end.
    end: c_int,
    /// Its port: whom the program's requests go to in the kernel's place.
    port: u32,
    /// The program's port, once it has one that the end knows.
    asker: AtomicU32,
    state: Mutex<State>,
}

/// What changes, guarded by [`answering`] too.
#[derive(Default)]
struct State {
    /// Groups that the program listens to, a bit each from 0; nobody sends to them, for what they tell of never changes.
    groups: u64,
    /// It has listened to any: the kernel makes room for them then.
    has_groups: bool,
    /// Answers that found no room yet, oldest first.
    pending: VecDeque<Vec<u8>>,
}

/// One such socket was opened at some time.
static ANY: AtomicBool = AtomicBool::new(false);

/// The kernel runs one request of a socket at a time; one lock does for all of them, so that a fork finds nobody in the middle of an answer.
static ANSWERING: Mutex<()> = Mutex::new(());

/// Held while answers are made, and over a fork. Taken after the numbers' lock and before the core's.
pub(super) fn answering() -> MutexGuard<'static, ()> {
    ANSWERING.lock()
}

/// Whether there may be such a socket.
#[inline]
pub(crate) fn any_netlink() -> bool {
    ANY.load(Relaxed)
}

/// socket(2) for AF_NETLINK; `kind` as the program gave it, flags included. What the kernel says of `kind`, EMFILE, ENFILE.
pub(crate) fn open_netlink(protocol: Protocol, kind: c_int) -> FdResult<c_int> {
    let file = Arc::new(NetlinkFile::new(protocol)?);
    // SAFETY: plain numbers.
    let made = unsafe {
        sys::syscall(
            libc::SYS_socket,
            [
                libc::AF_NETLINK as usize,
                kind as usize,
                NETLINK_USERSOCK as usize,
                0,
                0,
                0,
            ],
        )
    };
    let number = made? as c_int;
    let placed = put(number, Object::Netlink(file))?;
    ANY.store(true, Relaxed);
    Ok(placed)
}

/// The number for one call.
fn borrow<'a>(fd: c_int) -> BorrowedFd<'a> {
    // SAFETY: the borrow ends with the call that it is made for, and the kernel checks the number.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// The port in a netlink address.
fn port_of(addr: SocketAddrAny) -> Option<u32> {
    let addr = SocketAddrNetlink::try_from(addr).ok()?;
    Some(addr.pid())
}

impl NetlinkFile {
    fn new(protocol: Protocol) -> Result<NetlinkFile, Errno> {
        let _room = sys::RaisedLimit::new();
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let usersock =
            net::Protocol::from_raw(NETLINK_USERSOCK.try_into().map_err(|_| Errno::INVAL)?);
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let end = net::socket_with(family, kind, flags, Some(usersock))?;
        let end = sys::move_high(end.into_raw_fd());
        runtime::reserve(end);
        // From here on it is closed with the file.
        let mut file = NetlinkFile {
            protocol,
            end,
            port: 0,
            asker: AtomicU32::new(0),
            state: Mutex::new(State::default()),
        };
        file.port = bind_somewhere(end)?;
        Ok(file)
    }

    /// What it asks about.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Where requests go that are meant for the kernel, and where its answers come from.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Before a request is sent by this number of it: both ends know each other, as the kernel gives a sender a port (netlink_autobind).
    pub(crate) fn link(&self, number: c_int) -> Result<(), Errno> {
        if self.asker.load(Acquire) != 0 {
            return Ok(());
        }
        let mut port = port_of(net::getsockname(borrow(number))?);
        if port == Some(0) {
            match net::bind(borrow(number), &SocketAddrNetlink::new(0, 0)) {
                // Another thread was faster.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(errno),
            }
            port = port_of(net::getsockname(borrow(number))?);
        }
        let port = port.ok_or(Errno::INVAL)?;
        // Nobody else can ask from now on.
        net::connect(borrow(self.end), &SocketAddrNetlink::new(port, 0))?;
        self.asker.store(port, Release);
        Ok(())
    }

    /// Whether what is sent by this number without an address goes to the kernel (netlink_connect, NETLINK_ROUTE's number 0).
    pub(crate) fn faces_kernel(&self, number: c_int) -> bool {
        let peer = net::getpeername(borrow(number));
        let port = peer.ok().flatten().and_then(port_of);
        port.is_some_and(|port| port == 0 || port == self.port)
    }

    /// Answers every request that has come, with `answer`: the datagrams for one request of that port, and whether more of an earlier answer waits.
    pub(crate) fn serve(&self, mut answer: impl FnMut(&[u8], u32, bool) -> Vec<Vec<u8>>) {
        let _answering = answering();
        let mut state = self.state.lock();
        let asker = self.asker.load(Acquire);
        while let Ok(Some((request, from))) = self.next_request() {
            if from == asker {
                let waiting = !state.pending.is_empty();
                state.pending.extend(answer(&request, asker, waiting));
            }
            self.pass_on(&mut state, asker);
        }
    }

    /// The program has read: what waited for room may find it now.
    pub(crate) fn has_read(&self) {
        let _answering = answering();
        let mut state = self.state.lock();
        self.pass_on(&mut state, self.asker.load(Acquire));
    }

    /// The oldest request that was not looked at, and whose it is.
    fn next_request(&self) -> Result<Option<(Vec<u8>, u32)>, Errno> {
        let look = RecvFlags::DONTWAIT | RecvFlags::PEEK | RecvFlags::TRUNC;
        let mut nothing: [MaybeUninit<u8>; 0] = [];
        let (_, len) = match net::recv(borrow(self.end), &mut nothing, look) {
            Err(Errno::AGAIN) => return Ok(None),
            outcome => outcome?,
        };
        let mut request = vec![0; len];
        let (_, len, from) =
            net::recvfrom(borrow(self.end), &mut request[..], RecvFlags::DONTWAIT)?;
        request.truncate(len);
        Ok(from.and_then(port_of).map(|from| (request, from)))
    }

    /// Sends answers until the program's socket is full: then they wait until it has read (the kernel's netlink_dump goes on so).
    fn pass_on(&self, state: &mut State, asker: u32) {
        let to = SocketAddrNetlink::new(asker, 0);
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        while let Some(oldest) = state.pending.front() {
            match net::sendto(borrow(self.end), oldest, flags, &to) {
                Ok(_) => drop(state.pending.pop_front()),
                Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => break,
                // The program's end is closed.
                Err(_) => state.pending.clear(),
            }
        }
    }

    /// Groups the program listens to: the first 32 as bind and getsockname know them.
    pub(crate) fn groups(&self) -> u64 {
        let _answering = answering();
        self.state.lock().groups
    }

    /// Whether the program ever listened to a group.
    pub(crate) fn has_groups(&self) -> bool {
        let _answering = answering();
        self.state.lock().has_groups
    }

    /// Changes the groups.
    pub(crate) fn change_groups(&self, change: impl FnOnce(u64) -> u64) {
        let _answering = answering();
        let mut state = self.state.lock();
        state.groups = change(state.groups);
        state.has_groups = true;
    }
}

impl Drop for NetlinkFile {
    fn drop(&mut self) {
        runtime::release(self.end);
        let _ = sys::close(self.end);
    }
}

/// Gives the end a port that no process number is: programs expect their own (netlink(7)). Returns it.
fn bind_somewhere(end: c_int) -> Result<u32, Errno> {
    for _ in 0..PORT_TRIES {
        let mut drawn = [0; 4];
        getrandom(&mut drawn[..], GetRandomFlags::empty())?;
        let port = u32::from_ne_bytes(drawn) | 1 << 31;
        match net::bind(borrow(end), &SocketAddrNetlink::new(port, 0)) {
            Err(Errno::ADDRINUSE) => {}
            Err(errno) => return Err(errno),
            Ok(()) => return Ok(port),
        }
    }
    Err(Errno::ADDRINUSE)
}

/// The socket that a number stands for.
pub(crate) fn netlink_of(fd: c_int) -> Option<Arc<NetlinkFile>> {
    // Most numbers are not, and need not be looked at any closer.
    if !matches!(table::lookup(fd)?, Object::Netlink(_)) {
        return None;
    }
    match table::lookup_checked(fd) {
        Some(Object::Netlink(file)) => Some(file),
        _ => None,
    }
}
