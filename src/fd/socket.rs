//! The open file description of a socket: what dup shares, and the calls on it.

use std::cell::Cell;
use std::io::{IoSlice, IoSliceMut};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use libc::c_int;
use once_cell::race::OnceBox;
use tunsock_stack::filter::Filter;
use tunsock_stack::{
    Attribute, Buffers, Closed, Controls, Domain, Error, GroupChange, GroupPlace, Instant, Kind,
    Ready, Received, RecvFlags, SendControl, SendFlags, Shutdown, SockOpt, SockOptName, SocketId,
    Stack, State, TcpInfo,
};

use super::dup::put;
use super::sending::Sending;
use super::settings::StatusFlags;
use super::{Fail, FdResult, Object, table};
use crate::runtime::place;
use crate::runtime::{self, ALWAYS, Core, End, First, Held, Request, Runtime, SigIo, Watch, sys};

/// A socket's open file description: shared by every descriptor that dup made of it. A call in progress holds a reference too,
/// so a close in another thread does not take the socket from under it (as on Linux).
pub(crate) struct SocketFile {
    runtime: &'static Runtime,
    id: SocketId,
    domain: Domain,
    kind: Kind,
    /// The flags of F_SETFL.
    pub(super) status: StatusFlags,
    /// SO_RCVTIMEO in microseconds, 0: none.
    pub(super) recv_timeout: AtomicU64,
    /// SO_SNDTIMEO in microseconds, 0: none.
    pub(super) send_timeout: AtomicU64,
    /// SO_BUSY_POLL in microseconds.
    pub(super) busy_poll: AtomicU32,
    /// O_ASYNC and whom to signal, once anybody has asked for it.
    pub(super) sigio: OnceBox<Arc<SigIo>>,
}

/// socket(2) for AF_INET and AF_INET6. EADDRNOTAVAIL, EPERM or ENODEV when there is no stack to be had.
pub(crate) fn open(domain: Domain, kind: Kind, nonblock: bool, cloexec: bool) -> FdResult<c_int> {
    let runtime = runtime::start()?;
    open_on(runtime, domain, kind, nonblock, cloexec)
}

/// [`open`] on a runtime of the caller's choice.
pub(super) fn open_on(
    runtime: &'static Runtime,
    domain: Domain,
    kind: Kind,
    nonblock: bool,
    cloexec: bool,
) -> FdResult<c_int> {
    // The number first: EMFILE leaves nothing behind.
    let fd = table::new_number(cloexec, 0)?;
    let made = runtime.lock().map_err(Error::from).and_then(|mut core| {
        let id = core.stack.socket(domain, kind)?;
        core.adopt(id);
        Ok(id)
    });
    match made {
        Ok(id) => put(
            fd,
            Object::Socket(Arc::new(SocketFile {
                runtime,
                id,
                domain,
                kind,
                status: StatusFlags::new(nonblock),
                recv_timeout: AtomicU64::new(0),
                send_timeout: AtomicU64::new(0),
                busy_poll: AtomicU32::new(0),
                sigio: OnceBox::new(),
            })),
        ),
        Err(error) => {
            let _ = sys::close(fd);
            Err(error.into())
        }
    }
}

impl SocketFile {
    /// bind(2).
    pub(crate) fn bind(&self, addr: SocketAddr) -> FdResult<()> {
        self.with(|stack, _, id| stack.bind(id, addr))
    }

    /// listen(2). Linux takes the backlog as unsigned: a negative one is as large as can be.
    pub(crate) fn listen(&self, backlog: c_int) -> FdResult<()> {
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX);
        self.with(|stack, now, id| stack.listen(now, id, backlog))
    }

    /// connect(2). Non-blocking: `Error::InProgress` while it goes on. A blocking call joins an attempt that goes on already, as
    /// on Linux (inet_stream_connect).
    pub(crate) fn connect(&self, addr: SocketAddr) -> FdResult<()> {
        let nonblocking = self.nonblocking();
        if self.kind == Kind::Stream {
            self.wants_room();
        }
        let mut began = None;
        let attempt = |stack: &mut Stack, now: Instant, id: SocketId, _: &Cell<bool>| {
            // While the attempt goes on a second connect is only a question; on wake-ups it learns the outcome.
            match stack.connect(now, id, addr) {
                Err(error @ (Error::InProgress | Error::AlreadyConnecting)) => {
                    began.get_or_insert(error);
                    if nonblocking {
                        return Err(error);
                    }
                    Err(Error::WouldBlock)
                }
                outcome => outcome,
            }
        };
        let interest = Ready::OUT | Ready::IN;
        let timeout = self.send_timeout();
        match self.run(interest, false, timeout, nonblocking, attempt) {
            // The first call says EINPROGRESS, one that joined says EALREADY.
            Err(Fail::TimedOut) if began == Some(Error::AlreadyConnecting) => {
                Err(Fail::Stack(Error::AlreadyConnecting))
            }
            outcome => outcome,
        }
    }

    /// connect(2) with AF_UNSPEC.
    pub(crate) fn disconnect(&self) -> FdResult<()> {
        // Any call sends the end that is held: the reset would throw it away.
        self.with(|_, _, _| Ok(()))?;
        self.with(|stack, now, id| stack.disconnect(now, id))
    }

    /// shutdown(2).
    pub(crate) fn shutdown(&self, how: Shutdown) -> FdResult<()> {
        self.with(|stack, now, id| stack.shutdown(now, id, how))
    }

    /// accept4(2): the new descriptor and the peer. When no number is to be had (EMFILE) the connection stays queued.
    pub(crate) fn accept(&self, nonblock: bool, cloexec: bool) -> FdResult<(c_int, SocketAddr)> {
        let timeout = self.recv_timeout();
        let restart = Cell::new(timeout.is_none());
        let mut request = self.request(Ready::IN, true, timeout, self.nonblocking());
        request.restart = Some(&restart);
        let outcome = self.runtime.wait(&mut request, &mut |core, now, _| {
            self.accept_one(core, now, cloexec).transpose()
        });
        let (fd, id, peer) = settle(outcome)?;
        let file = SocketFile {
            runtime: self.runtime,
            id,
            domain: self.domain,
            kind: self.kind,
            status: StatusFlags::new(nonblock),
            // Linux clones the listener's socket, times included (sk_clone_lock).
            recv_timeout: AtomicU64::new(self.recv_timeout.load(Relaxed)),
            send_timeout: AtomicU64::new(self.send_timeout.load(Relaxed)),
            busy_poll: AtomicU32::new(self.busy_poll()),
            sigio: OnceBox::new(),
        };
        put(fd, Object::Socket(Arc::new(file))).map(|fd| (fd, peer))
    }

    fn accept_one(
        &self,
        core: &mut Core,
        now: Instant,
        cloexec: bool,
    ) -> FdResult<Option<(c_int, SocketId, SocketAddr)>> {
        if core.gone() {
            return Err(Error::NetworkDown.into());
        }
        let listening = core.stack.state(self.id) == Ok(State::Listen);
        if listening && !core.stack.readiness(self.id).contains(Ready::IN) {
            return Ok(None);
        }
        let fd = table::new_number(cloexec, 0)?;
        match core.stack.accept(now, self.id) {
            Ok((id, peer)) => {
                core.adopt(id);
                Ok(Some((fd, id, peer)))
            }
            Err(error) => {
                let _ = sys::close(fd);
                match error {
                    Error::WouldBlock => Ok(None),
                    error => Err(error.into()),
                }
            }
        }
    }

    /// send(2) and its kin: bytes taken. `dontwait`: MSG_DONTWAIT. A blocking send on TCP takes everything; what it took before a
    /// signal, timeout or error broke it off is the answer, and an error stays for the next call.
    pub(crate) fn send(
        &self,
        data: &[IoSlice<'_>],
        flags: SendFlags,
        dontwait: bool,
        dest: Option<SocketAddr>,
        control: &SendControl,
    ) -> FdResult<usize> {
        if self.kind == Kind::Datagram
            && let Some(outcome) = self.send_datagram(data, flags, dest, control)
        {
            return outcome;
        }
        let nonblocking = dontwait || self.nonblocking();
        let timeout = self.send_timeout();
        let whole = !nonblocking && self.kind == Kind::Stream;
        // Every flush but that at the end of a call releases what is held.
        let flags = flags | SendFlags::GATHER;
        let asked = data
            .iter()
            .fold(0usize, |sum, part| sum.saturating_add(part.len()));
        let mut sending = Sending::new(data, flags, dest, whole, control);
        let attempt = |stack: &mut Stack, now: Instant, id: SocketId, restart: &Cell<bool>| {
            let outcome = sending.attempt(stack, now, id, restart);
            if outcome == Err(Error::WouldBlock) {
                self.wants_room();
            }
            outcome
        };
        let outcome = self.run(Ready::OUT, true, timeout, nonblocking, attempt);
        // tcp_sendmsg_locked: what did not all fit has found no room, whatever the call returns.
        if self.kind == Kind::Stream && outcome.as_ref().is_ok_and(|&sent| sent < asked) {
            self.wants_room();
        }
        match outcome {
            Err(_) if sending.sent > 0 => Ok(sending.sent),
            // The connection that this call opened goes on without it.
            Err(Fail::TimedOut) => match sending.opening {
                Some(goes_on) => Err(Fail::Stack(goes_on)),
                None => Err(Fail::TimedOut),
            },
            outcome => outcome,
        }
    }

    /// A datagram goes, or fails, at the first look at the stack, and as a whole. `None`: the stack would have it wait.
    fn send_datagram(
        &self,
        data: &[IoSlice<'_>],
        flags: SendFlags,
        dest: Option<SocketAddr>,
        control: &SendControl,
    ) -> Option<FdResult<usize>> {
        let attempt = |core: &mut Core, now: Instant| {
            if core.gone() {
                return Some(Err(Error::NetworkDown));
            }
            match core
                .stack
                .send_with(now, self.id, data, flags, dest, control)
            {
                Err(Error::WouldBlock) => None,
                outcome => Some(outcome),
            }
        };
        match self.runtime.begin(Some(self.id), attempt) {
            Ok(First::Done(outcome)) => Some(outcome.map_err(Fail::Stack)),
            Ok(First::Not(..)) => None,
            Err(end) => Some(Err(end.into())),
        }
    }

    /// As `send` of the first `len` octets that stand in `buffers`, but for as many as are taken at once. `resumed`: it is no call's beginning, so an
    /// error is for the next call (0 bytes sent) and a signal ends it. `None`: the socket is none that takes buffers over, and nothing was sent.
    pub(crate) fn send_buffers(
        &self,
        buffers: &mut Buffers,
        len: usize,
        resumed: bool,
    ) -> FdResult<Option<usize>> {
        let attempt = |stack: &mut Stack, now: Instant, id: SocketId, restart: &Cell<bool>| {
            if resumed {
                restart.set(false);
                if stack.failing(id) {
                    return Ok(Some(0));
                }
            }
            let outcome = stack.send_buffers(now, id, buffers, len, SendFlags::GATHER);
            if outcome == Err(Error::WouldBlock) {
                self.wants_room();
            }
            outcome
        };
        let (timeout, nonblocking) = (self.send_timeout(), self.nonblocking());
        let outcome = self.run(Ready::OUT, true, timeout, nonblocking, attempt)?;
        if outcome.is_some_and(|sent| sent < len) {
            self.wants_room();
        }
        Ok(outcome)
    }

    /// recv(2) and its kin. `dontwait`: MSG_DONTWAIT; `waitall`: MSG_WAITALL. With `RecvFlags::TRUNC` on TCP bytes are discarded.
    pub(crate) fn recv(
        &self,
        bufs: &mut [IoSliceMut<'_>],
        flags: RecvFlags,
        dontwait: bool,
        waitall: bool,
        mut controls: Option<&mut Controls>,
    ) -> FdResult<Received> {
        // Linux never waits for an urgent byte (tcp_recv_urg).
        let oob = flags.contains(RecvFlags::OOB) && self.kind == Kind::Stream;
        // Nor for the error queue (inet_recv_error).
        let errors = flags.contains(RecvFlags::ERRQUEUE);
        let nonblocking = dontwait || oob || errors || self.nonblocking();
        let timeout = self.recv_timeout();
        let _reading = (!nonblocking && self.kind == Kind::Stream).then(|| self.reading());
        if waitall && !nonblocking && self.kind == Kind::Stream {
            return self.recv_all(bufs, flags, timeout, controls);
        }
        if let [buf] = bufs
            && buf.len() >= place::ROOM
            && self.kind == Kind::Stream
            && flags.is_empty()
            && controls.is_none()
        {
            return self.recv_stream(buf, timeout, nonblocking);
        }
        let datagram = self.kind != Kind::Stream && !errors;
        // Put here at once: on the way through the wait it would be moved many times.
        let mut received = Received::default();
        let attempt = |stack: &mut Stack, now: Instant, id: SocketId, _: &Cell<bool>| {
            received = stack.recv_with(now, id, bufs, flags, controls.as_deref_mut())?;
            // Linux __skb_recv_udp: SHUT_RD ends a wait, but who does not wait is told only that there is nothing.
            if datagram && nonblocking && received.from.is_none() {
                return Err(Error::WouldBlock);
            }
            Ok(())
        };
        let interest = Ready::IN | Ready::RDHUP;
        self.run(interest, true, timeout, nonblocking, attempt)?;
        Ok(received)
    }

    /// [`SocketFile::recv`] of a stream into one buffer without flags, which is how most is read: octets.
    pub(crate) fn recv_plain(&self, buf: &mut [u8], dontwait: bool) -> FdResult<usize> {
        let nonblocking = dontwait || self.nonblocking();
        let timeout = self.recv_timeout();
        let _reading = (!nonblocking).then(|| self.reading());
        if buf.len() >= place::ROOM {
            return Ok(self.recv_stream(buf, timeout, nonblocking)?.len);
        }
        let attempt = |stack: &mut Stack, now: Instant, id: SocketId, _: &Cell<bool>| {
            let bufs = &mut [IoSliceMut::new(buf)];
            Ok(stack.recv(now, id, bufs, RecvFlags::empty())?.len)
        };
        let interest = Ready::IN | Ready::RDHUP;
        self.run(interest, true, timeout, nonblocking, attempt)
    }

    /// recv(2) into a large buffer: as long as the queue is empty, a fast stream is read from the device right there.
    fn recv_stream(
        &self,
        buf: &mut [u8],
        timeout: Option<Duration>,
        nonblocking: bool,
    ) -> FdResult<Received> {
        // signal(7): with a timeout set, a call is never restarted.
        let untouched = Cell::new(timeout.is_none());
        let interest = Ready::IN | Ready::RDHUP;
        let mut request = self.request(interest, true, timeout, nonblocking);
        request.restart = Some(&untouched);
        request.stream = Some(self.id);
        let queued = |core: &mut Core, now: Instant, buf: &mut [u8]| {
            let bufs = &mut [IoSliceMut::new(buf)];
            match core.stack.recv(now, self.id, bufs, RecvFlags::empty()) {
                Err(Error::WouldBlock) => None,
                outcome => Some(outcome.map_err(Fail::Stack)),
            }
        };
        let outcome = self.runtime.wait(&mut request, &mut |core, now, _| {
            if core.gone() {
                return Some(Err(Fail::Stack(Error::NetworkDown)));
            }
            let first = queued(core, now, buf);
            if first.is_some() || !core.streams(self.id) {
                return first;
            }
            match core.read_in_place(now, self.id, buf)? {
                0 => queued(core, now, buf),
                len => Some(Ok(Received {
                    len,
                    full_len: len,
                    ..Received::default()
                })),
            }
        });
        settle(outcome)
    }

    /// MSG_WAITALL on TCP: everything that was asked for, less at the end of the stream, on an error, a signal or a timeout.
    fn recv_all(
        &self,
        bufs: &mut [IoSliceMut<'_>],
        flags: RecvFlags,
        timeout: Option<Duration>,
        controls: Option<&mut Controls>,
    ) -> FdResult<Received> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        let over = ALWAYS | Ready::RDHUP;
        let mut got = Received::default();
        let mut rest = bufs;
        let attempt = |stack: &mut Stack, now: Instant, id: SocketId, restart: &Cell<bool>| {
            if flags.contains(RecvFlags::PEEK) {
                let enough = stack.peekable_bytes(id).is_ok_and(|n| n >= total);
                if !enough && !stack.readiness(id).intersects(over) {
                    return Err(Error::WouldBlock);
                }
                return stack.recv(now, id, rest, flags);
            }
            loop {
                if got.len > 0 && stack.has_error(id) {
                    return Ok(got);
                }
                let part = match stack.recv(now, id, rest, flags) {
                    Ok(part) => part,
                    Err(Error::WouldBlock) => return Err(Error::WouldBlock),
                    Err(_) if got.len > 0 => return Ok(got),
                    Err(error) => return Err(error),
                };
                got.len += part.len;
                restart.set(false);
                got.full_len += part.full_len;
                got.oob |= part.oob;
                if part.len == 0 || got.len >= total {
                    return Ok(got);
                }
                let left: usize = rest.iter().map(|buf| buf.len()).sum();
                IoSliceMut::advance_slices(&mut rest, part.len.min(left));
            }
        };
        let outcome = self.run(Ready::IN | Ready::RDHUP, true, timeout, false, attempt);
        let outcome = match outcome {
            Err(_) if got.len > 0 => Ok(got),
            outcome => outcome,
        };
        if let (Ok(got), Some(controls)) = (&outcome, controls) {
            let _ = self.with(|stack, _, id| {
                stack.stream_controls(id, got.len, controls);
                Ok(())
            });
        }
        outcome
    }

    /// getsockname(2).
    pub(crate) fn local_addr(&self) -> FdResult<SocketAddr> {
        let asked = self.runtime.ask(|stack| stack.local_addr(self.id));
        asked.map_err(Fail::Stack)
    }

    /// getpeername(2).
    pub(crate) fn peer_addr(&self) -> FdResult<SocketAddr> {
        let asked = self.runtime.ask(|stack| stack.peer_addr(self.id));
        asked.map_err(Fail::Stack)
    }

    /// Whether a call that names no destination has one.
    pub(crate) fn has_peer(&self) -> bool {
        self.runtime
            .ask(|stack| Ok(stack.has_peer(self.id)))
            .unwrap_or(false)
    }

    /// A port for a datagram socket that has none; without one it goes on.
    pub(crate) fn autobind(&self) {
        let _ = self.with(|stack, _, id| stack.autobind(id));
    }

    /// SO_ERROR: the pending error, thereby cleared.
    pub(crate) fn take_error(&self) -> Option<Error> {
        match self.with(|stack, _, id| Ok(stack.take_error(id))) {
            Ok(pending) => pending,
            Err(Fail::Stack(error)) if error != Error::WouldBlock => Some(error),
            Err(_) => None,
        }
    }

    /// setsockopt(2) of what the stack knows.
    pub(crate) fn set_option(&self, opt: SockOpt) -> FdResult<()> {
        self.with(|stack, now, id| {
            tell_cpu(
                stack,
                matches!(opt, SockOpt::Number(Attribute::IncomingCpu, _)),
            );
            stack.set_option(now, id, opt)
        })
    }

    /// getsockopt(2) of what the stack knows.
    pub(crate) fn get_option(&self, name: SockOptName) -> FdResult<SockOpt> {
        if !self.runtime.alive() {
            let asked = self.runtime.ask(|stack| stack.get_option(self.id, name));
            return asked.map_err(Fail::Stack);
        }
        self.with(|stack, _, id| {
            tell_cpu(stack, name == SockOptName::Number(Attribute::IncomingCpu));
            stack.get_option(id, name)
        })
    }

    /// IP_OPTIONS.
    pub(crate) fn set_ip_options(&self, octets: &[u8], privileged: bool) -> FdResult<()> {
        self.with(|stack, _, id| stack.set_ip_options(id, octets, privileged))
    }

    /// IP_OPTIONS as they are.
    pub(crate) fn ip_options(&self) -> FdResult<Vec<u8>> {
        self.with(|stack, _, id| stack.ip_options(id))
    }

    /// SO_ATTACH_FILTER.
    pub(crate) fn attach_filter(&self, filter: Filter) -> FdResult<()> {
        self.with(|stack, _, id| stack.attach_filter(id, filter.clone()))
    }

    /// SO_DETACH_FILTER.
    pub(crate) fn detach_filter(&self) -> FdResult<()> {
        self.with(|stack, _, id| stack.detach_filter(id))
    }

    /// SO_ATTACH_REUSEPORT_CBPF.
    pub(crate) fn attach_chooser(&self, program: Filter) -> FdResult<()> {
        self.with(|stack, _, id| stack.attach_chooser(id, program.clone()))
    }

    /// SO_DETACH_REUSEPORT_BPF.
    pub(crate) fn detach_chooser(&self) -> FdResult<()> {
        self.with(|stack, _, id| stack.detach_chooser(id))
    }

    /// SO_GET_FILTER.
    pub(crate) fn filter(&self) -> FdResult<Option<Filter>> {
        self.with(|stack, _, id| stack.filter(id))
    }

    /// That the filter may be changed, else EPERM.
    pub(crate) fn may_filter(&self) -> FdResult<()> {
        self.with(|stack, _, id| stack.may_filter(id))
    }

    /// Joins or leaves a group, or changes whose packets to it are wanted.
    pub(crate) fn change_group(&self, place: GroupPlace, change: GroupChange) -> FdResult<()> {
        self.with(|stack, now, id| stack.change_group(now, id, place, change))
    }

    /// Replaces the source filter of a membership.
    pub(crate) fn set_source_filter(
        &self,
        place: GroupPlace,
        exclude: bool,
        sources: &[IpAddr],
    ) -> FdResult<()> {
        self.with(|stack, now, id| stack.set_source_filter(now, id, place, exclude, sources))
    }

    /// The source filter of a membership: EXCLUDE or not, and the sources.
    pub(crate) fn source_filter(&self, place: GroupPlace) -> FdResult<(bool, Vec<IpAddr>)> {
        self.with(|stack, _, id| stack.source_filter(id, place))
    }

    /// TCP_INFO. `Error::Invalid` without a connection.
    pub(crate) fn tcp_info(&self) -> FdResult<TcpInfo> {
        self.with(|stack, now, id| stack.tcp_info(now, id))
    }

    /// FIONREAD.
    pub(crate) fn readable_bytes(&self) -> FdResult<usize> {
        self.with(|stack, _, id| stack.readable_bytes(id))
    }

    /// SIOCOUTQ.
    pub(crate) fn unsent_bytes(&self) -> FdResult<usize> {
        self.with(|stack, _, id| stack.unsent_bytes(id))
    }

    /// SO_COOKIE: the stack's name for the socket as a number.
    pub(crate) fn cookie(&self) -> u64 {
        slotmap::Key::data(&self.id).as_ffi()
    }

    /// SIOCGSTAMP.
    pub(crate) fn last_stamp(&self) -> FdResult<Option<Instant>> {
        self.with(|stack, _, id| Ok(stack.last_stamp(id)))
    }

    /// SIOCOUTQNSD.
    pub(crate) fn never_sent_bytes(&self) -> FdResult<usize> {
        self.with(|stack, _, id| stack.never_sent_bytes(id))
    }

    /// SIOCATMARK.
    pub(crate) fn at_mark(&self) -> FdResult<bool> {
        self.with(|stack, _, id| stack.at_mark(id))
    }

    /// Whether a connection attempt goes on.
    pub(super) fn opening(&self) -> bool {
        self.with(|stack, _, id| Ok(stack.opening(id))) == Ok(true)
    }

    /// SO_ACCEPTCONN.
    pub(crate) fn listening(&self) -> bool {
        self.kind == Kind::Stream && self.with(|stack, _, id| stack.state(id)) == Ok(State::Listen)
    }

    /// SO_DOMAIN and SO_TYPE.
    pub(crate) fn kind(&self) -> (Domain, Kind) {
        (self.domain, self.kind)
    }

    /// The stack's name for the socket.
    pub(super) fn id(&self) -> SocketId {
        self.id
    }

    /// The runtime that has the socket.
    pub(super) fn runtime(&self) -> &'static Runtime {
        self.runtime
    }

    /// The last descriptor was closed: SO_LINGER may make this thread wait.
    pub(super) fn close(self) {
        let (runtime, id, nonblocking) = (self.runtime, self.id, self.nonblocking());
        // Closed here; the destructor has nothing left to do.
        mem::forget(self);
        let Closed::Linger(time) = runtime.close(id) else {
            return;
        };
        if !nonblocking {
            let mut request = Request::new();
            request.watches.push(Watch::Movement);
            request.timeout = Some(time);
            // However the wait ends, close succeeds (inet_release).
            let _ = runtime.wait(&mut request, &mut |core, _, _| {
                (core.gone() || !core.stack.lingering(id)).then_some(())
            });
        }
        let _ = runtime.with(|stack, now| {
            stack.release(now, id);
            Ok(())
        });
    }

    fn with<T>(
        &self,
        call: impl FnOnce(&mut Stack, Instant, SocketId) -> Result<T, Error>,
    ) -> FdResult<T> {
        self.runtime
            .with(|stack, now| call(stack, now, self.id))
            .map_err(Fail::Stack)
    }

    fn request<'a>(
        &self,
        interest: Ready,
        exclusive: bool,
        timeout: Option<Duration>,
        nonblocking: bool,
    ) -> Request<'a> {
        let mut request = Request::new();
        request.watches.push(Watch::Socket {
            id: self.id,
            interest,
            exclusive,
        });
        request.timeout = timeout;
        request.nonblocking = nonblocking;
        // sk_busy_loop: of calls that receive.
        if interest.contains(Ready::IN | Ready::RDHUP) {
            request.spin = Duration::from_micros(u64::from(self.busy_poll()));
        }
        request.held.push(self.held());
        request
    }

    /// The reference of a call in progress, which is what every method here is called by.
    pub(super) fn held(&self) -> Held {
        /// # Safety
        /// The pointer came from an `Arc` whose reference is given up here.
        unsafe fn give_back(pointer: *const ()) {
            // SAFETY: the caller's promise.
            unsafe { Arc::decrement_strong_count(pointer.cast::<SocketFile>()) }
        }
        // SAFETY: sockets live in an Arc only, and whoever waits on one has a reference in its frames (`capi::InCall`, `Mixed`).
        unsafe { Held::new(std::ptr::from_ref(self).cast(), give_back) }
    }

    /// Calls the stack until it gives something other than `WouldBlock`, waiting in between if that is allowed. The cell is to be cleared
    /// once a part is done that a signal must not undo.
    fn run<T>(
        &self,
        interest: Ready,
        exclusive: bool,
        timeout: Option<Duration>,
        nonblocking: bool,
        mut call: impl FnMut(&mut Stack, Instant, SocketId, &Cell<bool>) -> Result<T, Error>,
    ) -> FdResult<T> {
        // signal(7): with a timeout set, a call is never restarted.
        let untouched = Cell::new(timeout.is_none());
        let writer = (interest == Ready::OUT && self.kind == Kind::Stream).then_some(self.id);
        let mut attempt = |core: &mut Core, now: Instant| {
            if core.gone() {
                return Some(Err(Fail::Stack(Error::NetworkDown)));
            }
            match call(&mut core.stack, now, self.id, &untouched) {
                Err(Error::WouldBlock) => None,
                outcome => Some(outcome.map_err(Fail::Stack)),
            }
        };
        let (core, now) = match self.runtime.begin(writer, &mut attempt) {
            Ok(First::Done(outcome)) => return outcome,
            Ok(First::Not(core, now)) => (core, now),
            Err(end) => return Err(end.into()),
        };
        let mut request = self.request(interest, exclusive, timeout, nonblocking);
        request.restart = Some(&untouched);
        let runtime = self.runtime;
        let outcome = runtime.go_on(core, now, &mut request, &mut |core, now, _| {
            attempt(core, now)
        });
        settle(outcome)
    }
}

impl Drop for SocketFile {
    /// The last reference was that of a call in another thread: nobody waits for SO_LINGER.
    fn drop(&mut self) {
        let (runtime, id) = (self.runtime, self.id);
        if let Closed::Linger(_) = runtime.close(id) {
            let _ = runtime.with(|stack, now| {
                stack.release(now, id);
                Ok(())
            });
        }
    }
}

/// The stack learns which CPU it runs on when it is asked.
fn tell_cpu(stack: &mut Stack, asked: bool) {
    if asked && !stack.cpu_matters() {
        stack.on_cpu(sys::this_cpu());
    }
}

/// A wait's outcome as a call's.
pub(super) fn settle<T>(outcome: Result<FdResult<T>, End>) -> FdResult<T> {
    outcome.unwrap_or_else(|end| Err(end.into()))
}

impl From<End> for Fail {
    fn from(end: End) -> Fail {
        match end {
            End::WouldBlock => Fail::Stack(Error::WouldBlock),
            End::TimedOut => Fail::TimedOut,
            End::Interrupted => Fail::Interrupted,
            End::Down => Fail::Stack(Error::NetworkDown),
            End::Os(errno) => Fail::Os(errno),
        }
    }
}
