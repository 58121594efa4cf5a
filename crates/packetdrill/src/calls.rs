//! One function a call: what happens between decoded arguments and the stack.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use libc::{c_int, epoll_event, pollfd};
use tunsock_stack::{
    Closed, Controls, Domain, Error, Kind, Ready, Received, RecvFlags, SendFlags, Shutdown,
    SockOpt, SocketId, State,
};

use crate::address::Address;
use crate::epoll::{EpollSet, bits};
use crate::errno::{CResult, Errno};
use crate::host::Host;
use crate::world::{File, World};

impl Host {
    /// socket(2).
    pub(crate) fn socket(&self, domain: c_int, kind: c_int, protocol: c_int) -> CResult<c_int> {
        let domain = match domain {
            libc::AF_INET => Domain::V4,
            libc::AF_INET6 => Domain::V6,
            _ => return Err(Errno(libc::EAFNOSUPPORT)),
        };
        let nonblock = kind & libc::SOCK_NONBLOCK != 0;
        let kind = match (kind & 0xf, protocol) {
            (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => Kind::Stream,
            (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => Kind::Datagram,
            _ => return Err(Errno(libc::EPROTONOSUPPORT)),
        };
        self.with(|world| {
            world.heed();
            let id = world.stack().socket(domain, kind)?;
            if kind == Kind::Stream {
                let now = world.instant();
                // Without a limit of its own, and paced.
                let paced = world.fair.then_some(SockOpt::MaxPacingRate(u64::MAX - 1));
                for option in world.settings.socket_options().into_iter().chain(paced) {
                    world.stack().set_option(now, id, option)?;
                }
            }
            world.install(File::Socket { id, nonblock })
        })
    }

    /// The family of a socket.
    pub(crate) fn domain(&self, fd: c_int) -> CResult<Domain> {
        self.with(|world| {
            let (id, _) = world.socket(fd)?;
            Ok(world.stack().kind(id)?.0)
        })
    }

    /// bind(2).
    pub(crate) fn bind(&self, fd: c_int, addr: Address) -> CResult<()> {
        let Address::Inet(addr) = addr else {
            return Err(Errno(libc::EAFNOSUPPORT));
        };
        self.with(|world| {
            let (id, _) = world.socket(fd)?;
            Ok(world.stack().bind(id, addr)?)
        })
    }

    /// listen(2).
    pub(crate) fn listen(&self, fd: c_int, backlog: c_int) -> CResult<()> {
        self.with(|world| {
            let (id, _) = world.socket(fd)?;
            let now = world.instant();
            // A negative one is a large one (Linux compares as unsigned).
            let backlog = usize::try_from(backlog).unwrap_or(4096);
            Ok(world.stack().listen(now, id, backlog)?)
        })
    }

    /// accept(2).
    pub(crate) fn accept(&self, fd: c_int) -> CResult<(c_int, SocketAddr)> {
        let (id, nonblock) = self.with(|world| world.socket(fd))?;
        self.unless(nonblock, |world| {
            let now = world.instant();
            let (child, peer) = world.stack().accept(now, id)?;
            let file = File::Socket {
                id: child,
                nonblock: false,
            };
            Ok((world.install(file)?, peer))
        })
    }

    /// connect(2).
    pub(crate) fn connect(&self, fd: c_int, addr: Address) -> CResult<()> {
        let (id, nonblock) = self.with(|world| world.socket(fd))?;
        let addr = match addr {
            Address::Inet(addr) => addr,
            Address::Unspecified => {
                return self.with(|world| {
                    let now = world.instant();
                    Ok(world.stack().disconnect(now, id)?)
                });
            }
        };
        let call = |world: &mut World| -> CResult<()> {
            let now = world.instant();
            Ok(world.stack().connect(now, id, addr)?)
        };
        let begun = self.with(call);
        if nonblock || begun != Err(Errno(libc::EINPROGRESS)) {
            return begun;
        }
        self.wait(None, |world| {
            let over = Ready::OUT | Ready::ERR | Ready::HUP;
            if world.readiness(id).intersects(over) {
                call(world)
            } else {
                Err(Errno(libc::EAGAIN))
            }
        })
    }

    /// recv(2) and its kin.
    pub(crate) fn recv(
        &self,
        fd: c_int,
        bufs: &mut [IoSliceMut<'_>],
        flags: c_int,
        mut controls: Option<&mut Controls>,
    ) -> CResult<Received> {
        let (id, nonblock) = self.with(|world| world.socket(fd))?;
        let errors = flags & libc::MSG_ERRQUEUE != 0;
        let table = [
            (libc::MSG_ERRQUEUE, RecvFlags::ERRQUEUE),
            (libc::MSG_PEEK, RecvFlags::PEEK),
            (libc::MSG_OOB, RecvFlags::OOB),
            (libc::MSG_TRUNC, RecvFlags::TRUNC),
        ];
        let recv_flags = table
            .into_iter()
            .filter(|(bit, _)| flags & bit != 0)
            .map(|(_, flag)| flag)
            .collect();
        self.unless(
            nonblock || errors || flags & libc::MSG_DONTWAIT != 0,
            |world| {
                let now = world.instant();
                let stack = world.stack();
                Ok(stack.recv_with(now, id, bufs, recv_flags, controls.as_deref_mut())?)
            },
        )
    }

    /// send(2) and its kin. A blocking one returns when all is taken.
    pub(crate) fn send(
        &self,
        fd: c_int,
        data: &[u8],
        flags: c_int,
        dest: Option<Address>,
    ) -> CResult<usize> {
        let (id, nonblock) = self.with(|world| world.socket(fd))?;
        let dest = match dest {
            Some(Address::Inet(dest)) => Some(dest),
            // tcp_sendmsg_fastopen has a word for this one.
            Some(Address::Unspecified) if flags & libc::MSG_FASTOPEN != 0 => {
                return Err(Errno(libc::EOPNOTSUPP));
            }
            _ => None,
        };
        let table = [
            (libc::MSG_FASTOPEN, SendFlags::FASTOPEN),
            (libc::MSG_OOB, SendFlags::OOB),
            (libc::MSG_MORE, SendFlags::MORE),
            (libc::MSG_ZEROCOPY, SendFlags::ZEROCOPY),
            (libc::MSG_EOR, SendFlags::EOR),
        ];
        let send_flags: SendFlags = table
            .into_iter()
            .filter(|(bit, _)| flags & bit != 0)
            .map(|(_, flag)| flag)
            .collect();
        let nonblock = nonblock || flags & libc::MSG_DONTWAIT != 0;
        let mut done = 0;
        if !nonblock && self.with(|world| world.stack().opens(id, send_flags)) {
            done = self.open(id, data, dest)?;
            if done >= data.len() {
                return Ok(done);
            }
        }
        let mut send_flags = match nonblock {
            true => send_flags,
            false => send_flags - SendFlags::FASTOPEN,
        };
        let mut full = false;
        let outcome = self.unless(nonblock, |world| {
            // As on Linux who waits is woken when a third of the buffer is free, not when anything fits.
            let room = Ready::OUT | Ready::ERR | Ready::HUP;
            if full && !world.readiness(id).intersects(room) {
                return Err(Errno(libc::EAGAIN));
            }
            let now = world.instant();
            let rest = data.get(done..).unwrap_or_default();
            done += world
                .stack()
                .send(now, id, &[IoSlice::new(rest)], send_flags, dest)?;
            full = true;
            send_flags |= SendFlags::RESUMED;
            if done >= data.len() || nonblock {
                return Ok(());
            }
            Err(Errno(libc::EAGAIN))
        });
        match outcome {
            Err(error) if done == 0 => Err(error),
            _ => Ok(done),
        }
    }

    /// A blocking send that opens the connection: what went with the SYN and right behind the handshake.
    fn open(&self, id: SocketId, data: &[u8], dest: Option<SocketAddr>) -> CResult<usize> {
        let mut done = 0;
        let mut begun = false;
        self.wait(None, |world| {
            if begun && world.stack().opening(id) {
                return Err(Errno(libc::EAGAIN));
            }
            let now = world.instant();
            let rest = [IoSlice::new(data.get(done..).unwrap_or_default())];
            let flags = SendFlags::FASTOPEN | SendFlags::BLOCKS;
            match world.stack().send(now, id, &rest, flags, dest) {
                Ok(taken) => done += taken,
                Err(Error::InProgress | Error::AlreadyConnecting) => {}
                Err(error) => return Err(error.into()),
            }
            begun = true;
            match world.stack().opening(id) {
                true => Err(Errno(libc::EAGAIN)),
                false => Ok(()),
            }
        })?;
        Ok(done)
    }

    /// F_GETFL.
    pub(crate) fn flags(&self, fd: c_int) -> CResult<c_int> {
        let (_, nonblock) = self.with(|world| world.socket(fd))?;
        Ok(libc::O_RDWR | if nonblock { libc::O_NONBLOCK } else { 0 })
    }

    /// F_SETFL.
    pub(crate) fn set_flags(&self, fd: c_int, flags: c_int) -> CResult<()> {
        self.with(|world| match world.file(fd) {
            Some(File::Socket { nonblock, .. }) => {
                *nonblock = flags & libc::O_NONBLOCK != 0;
                Ok(())
            }
            Some(File::Epoll(_)) => Ok(()),
            None => Err(Errno(libc::EBADF)),
        })
    }

    /// FIONREAD, SIOCINQ.
    pub(crate) fn readable_bytes(&self, fd: c_int) -> CResult<usize> {
        self.with(|world| {
            let (id, _) = world.socket(fd)?;
            Ok(world.stack().readable_bytes(id)?)
        })
    }

    /// SIOCOUTQ.
    pub(crate) fn unsent_bytes(&self, fd: c_int) -> CResult<usize> {
        self.with(|world| {
            let (id, _) = world.socket(fd)?;
            Ok(world.stack().unsent_bytes(id)?)
        })
    }

    /// SIOCATMARK.
    pub(crate) fn at_mark(&self, fd: c_int) -> CResult<bool> {
        self.with(|world| {
            let (id, _) = world.socket(fd)?;
            Ok(world.stack().at_mark(id)?)
        })
    }

    /// close(2); the number itself is the caller's to close.
    pub(crate) fn close(&self, fd: c_int) -> CResult<()> {
        let Some(File::Socket { id, nonblock, .. }) = self.with(|world| world.remove(fd)) else {
            return Ok(());
        };
        let lingers = self.with(|world| {
            world.forget(id);
            let now = world.instant();
            (world.stack().close(now, id), world.now)
        });
        if let (Closed::Linger(time), began) = lingers {
            if !nonblock {
                let until = began + time.as_micros() as u64;
                let _ = self.wait(Some(until), |world| match world.stack().lingering(id) {
                    true => Err(Errno(libc::EAGAIN)),
                    false => Ok(()),
                });
            }
            self.with(|world| {
                let now = world.instant();
                world.stack().release(now, id);
            });
        }
        Ok(())
    }

    /// shutdown(2).
    pub(crate) fn shutdown(&self, fd: c_int, how: c_int) -> CResult<()> {
        let how = match how {
            libc::SHUT_RD => Shutdown::Read,
            libc::SHUT_WR => Shutdown::Write,
            libc::SHUT_RDWR => Shutdown::Both,
            _ => return Err(Errno(libc::EINVAL)),
        };
        self.with(|world| {
            let (id, _) = world.socket(fd)?;
            let now = world.instant();
            Ok(world.stack().shutdown(now, id, how)?)
        })
    }

    /// Whether the socket listens.
    pub(crate) fn listening(&self, id: SocketId) -> bool {
        self.with(|world| world.stack().state(id) == Ok(State::Listen))
    }

    /// poll(2); `timeout` in milliseconds.
    pub(crate) fn poll(&self, fds: &mut [pollfd], timeout: c_int) -> CResult<usize> {
        let until = self.until(timeout);
        let outcome = self.wait(until, |world| {
            let mut found = 0;
            for entry in fds.iter_mut().filter(|entry| entry.fd >= 0) {
                let unasked = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
                let ready = match world.socket(entry.fd) {
                    // The low bits of poll and epoll are the same; POLLRDHUP lies at 0x2000 in both.
                    Ok((id, _)) => bits(world.readiness(id)) as i16,
                    Err(_) => libc::POLLNVAL,
                };
                entry.revents = ready & (entry.events | unasked);
                found += usize::from(entry.revents != 0);
            }
            if found > 0 || timeout == 0 {
                Ok(found)
            } else {
                Err(Errno(libc::EAGAIN))
            }
        });
        none_in_time(outcome)
    }

    /// epoll_create(2).
    pub(crate) fn epoll_create(&self, size: c_int) -> CResult<c_int> {
        if size <= 0 {
            return Err(Errno(libc::EINVAL));
        }
        self.with(|world| world.install(File::Epoll(EpollSet::default())))
    }

    /// epoll_ctl(2).
    pub(crate) fn epoll_ctl(
        &self,
        epfd: c_int,
        op: c_int,
        fd: c_int,
        event: Option<epoll_event>,
    ) -> CResult<()> {
        self.with(|world| {
            let (id, _) = world.socket(fd)?;
            world.with_set(epfd, |_, set| set.control(op, fd, id, event))
        })
    }

    /// epoll_wait(2); `timeout` in milliseconds.
    pub(crate) fn epoll_wait(
        &self,
        epfd: c_int,
        most: c_int,
        timeout: c_int,
    ) -> CResult<Vec<epoll_event>> {
        let most = usize::try_from(most).unwrap_or(0);
        if most == 0 {
            return Err(Errno(libc::EINVAL));
        }
        let until = self.until(timeout);
        let outcome = self.wait(until, |world| {
            let found = world.with_set(epfd, |world, set| {
                Ok(set.ready(most, |id| world.readiness(id)))
            })?;
            if !found.is_empty() || timeout == 0 {
                Ok(found)
            } else {
                Err(Errno(libc::EAGAIN))
            }
        });
        none_in_time(outcome)
    }

    /// splice(2) between a socket and a pipe of the kernel's.
    pub(crate) fn splice(&self, from: c_int, to: c_int, len: usize, wait: bool) -> CResult<usize> {
        let (source, sink) = self.with(|world| (world.socket(from).ok(), world.socket(to).ok()));
        let mut buf = vec![0u8; len.min(1 << 20)];
        let dontwait = if wait { 0 } else { libc::MSG_DONTWAIT };
        match (source, sink) {
            (Some((id, _)), None) => {
                let stuck = self.with(|world| {
                    let stack = world.stack();
                    let at_mark = stack.at_mark(id).unwrap_or(false);
                    at_mark && stack.readiness(id).contains(Ready::PRI)
                });
                let outcome = self.recv(
                    from,
                    &mut [IoSliceMut::new(&mut buf)],
                    if stuck { libc::MSG_DONTWAIT } else { dontwait },
                    None,
                );
                let received = match outcome {
                    // tcp_splice_read: urgent data in the way ends it, and is no reason to wait.
                    Err(Errno(libc::EAGAIN)) if stuck => return Ok(0),
                    outcome => outcome?,
                };
                let data = buf.get(..received.len).unwrap_or_default();
                // SAFETY: packetdrill keeps the descriptor open during the call.
                let pipe = unsafe { rustix::fd::BorrowedFd::borrow_raw(to) };
                Ok(rustix::io::write(pipe, data)?)
            }
            (None, Some(_)) => {
                // SAFETY: as above.
                let pipe = unsafe { rustix::fd::BorrowedFd::borrow_raw(from) };
                let n = rustix::io::read(pipe, &mut buf)?;
                self.send(to, buf.get(..n).unwrap_or_default(), dontwait, None)
            }
            _ => Err(Errno(libc::EINVAL)),
        }
    }

    /// sendfile(2) from a file of the kernel's: from `offset` on, which is moved, else from where the file stands.
    #[cfg(not(test))]
    pub(crate) fn sendfile(
        &self,
        to: c_int,
        from: c_int,
        offset: Option<&mut i64>,
        len: usize,
    ) -> CResult<usize> {
        let mut buf = vec![0u8; len.min(1 << 20)];
        // SAFETY: packetdrill keeps the descriptor open during the call.
        let file = unsafe { rustix::fd::BorrowedFd::borrow_raw(from) };
        let begin = match &offset {
            Some(offset) => u64::try_from(**offset).map_err(|_| Errno(libc::EINVAL))?,
            None => rustix::fs::tell(file)?,
        };
        let n = rustix::io::pread(file, &mut buf, begin)?;
        if n == 0 {
            return Ok(0);
        }
        let sent = self.send(to, buf.get(..n).unwrap_or_default(), 0, None)?;
        // Only as far as the socket took it.
        let end = begin.saturating_add(sent as u64);
        match offset {
            Some(offset) => *offset = i64::try_from(end).unwrap_or(i64::MAX),
            None => {
                rustix::fs::seek(file, rustix::fs::SeekFrom::Start(end))?;
            }
        }
        Ok(sent)
    }

    /// Runs `act`, waiting while it says EAGAIN unless `nonblock`.
    fn unless<T>(&self, nonblock: bool, act: impl FnMut(&mut World) -> CResult<T>) -> CResult<T> {
        if nonblock {
            self.with(act)
        } else {
            self.wait(None, act)
        }
    }

    /// When a wait of `timeout` milliseconds is over; negative: never.
    fn until(&self, timeout: c_int) -> Option<u64> {
        let span = u64::try_from(timeout).ok()? * 1000;
        Some(self.with(|world| world.now) + span)
    }
}

/// Nothing became ready in time: no events.
fn none_in_time<T: Default>(outcome: CResult<T>) -> CResult<T> {
    match outcome {
        Err(Errno(libc::EAGAIN)) => Ok(T::default()),
        outcome => outcome,
    }
}
