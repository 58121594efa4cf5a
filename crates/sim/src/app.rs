//! The programs: each end of a connection writes, reads, pauses and ends as its plan says, and believes nothing it is given.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::time::Duration;

use tunsock_stack::{
    Closed, Error, Instant, RecvFlags, SendFlags, Shutdown, SockOpt, SocketId, Stack, State,
};

use crate::pattern;
use crate::plan::{Ending, Opening, Pace, SidePlan};
use crate::promises::Promises;

/// Largest single call.
pub(crate) const CALL_MAX: usize = 65_536;

/// Where a program stands.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Not begun.
    Waiting,
    /// connect has been called.
    Connecting,
    /// Reading and writing.
    Running,
    /// Closed, and the close waits (SO_LINGER).
    Lingering,
    /// The handle is given back.
    Done,
}

/// One end of a connection.
pub(crate) struct App {
    /// When the turn that it has asked for last comes.
    pub(crate) waits_for: Option<u64>,
    pub(crate) plan: SidePlan,
    pub(crate) host: usize,
    pub(crate) id: Option<SocketId>,
    pub(crate) phase: Phase,
    /// Keys of the stream to the peer and of the one from it.
    pub(crate) keys: [u64; 2],
    /// Octets that send took.
    pub(crate) sent: u64,
    /// Place in the peer's stream.
    pub(crate) got: u64,
    /// Places of urgent octets in our stream.
    pub(crate) urgent: Vec<u64>,
    /// The stream's end was read.
    pub(crate) eof: bool,
    /// SHUT_WR was called.
    pub(crate) shut: bool,
    /// The program did something after which an error is no surprise.
    pub(crate) abrupt: bool,
    pub(crate) error: Option<Error>,
    pub(crate) tuple: Option<(SocketAddr, SocketAddr)>,
    pub(crate) promises: Promises,
    /// What may be read or written before the next pause.
    budget: [u64; 2],
    /// No reading or writing before these times.
    resume: [u64; 2],
    turns: u64,
}

/// What a program's turn needs.
pub(crate) struct Turn<'a> {
    pub(crate) stack: &'a mut Stack,
    /// The network's time, and the stack's.
    pub(crate) now: u64,
    pub(crate) clock: Instant,
    /// Octets to work with.
    pub(crate) scratch: &'a mut Vec<u8>,
    /// Places of urgent octets in the peer's stream.
    pub(crate) peer_urgent: &'a [u64],
    /// Octets that the peer has sent.
    pub(crate) peer_sent: u64,
    /// Octets in the stream may be anybody's.
    pub(crate) lenient: bool,
}

/// What came of a turn: when to be called again, or what was wrong.
pub(crate) type Outcome = Result<Option<u64>, String>;

impl App {
    /// A program that has not begun.
    pub(crate) fn new(plan: SidePlan, host: usize, keys: [u64; 2]) -> App {
        let budget = [&plan.read, &plan.write].map(|pace| pace.pause.map_or(u64::MAX, |(n, _)| n));
        App {
            waits_for: None,
            plan,
            host,
            id: None,
            phase: Phase::Waiting,
            keys,
            sent: 0,
            got: 0,
            urgent: Vec::new(),
            eof: false,
            shut: false,
            abrupt: false,
            error: None,
            tuple: None,
            promises: Promises::default(),
            budget,
            resume: [0; 2],
            turns: 0,
        }
    }

    /// Sets the options that its plan has.
    pub(crate) fn dress(&self, stack: &mut Stack, clock: Instant, id: SocketId) {
        let p = &self.plan;
        let mut options = vec![
            SockOpt::NoDelay(p.nodelay),
            SockOpt::OobInline(p.inline),
            SockOpt::KeepAlive(p.keepalive),
        ];
        if p.keepalive {
            options.extend([
                SockOpt::KeepIdle(10),
                SockOpt::KeepIntvl(5),
                SockOpt::KeepCnt(9),
            ]);
        }
        options.extend(p.sndbuf.map(SockOpt::SndBuf));
        options.extend(p.rcvbuf.map(SockOpt::RcvBuf));
        options.extend(p.max_seg.map(SockOpt::MaxSeg));
        options.extend(
            p.linger
                .map(|us| SockOpt::Linger(Some(Duration::from_micros(us)))),
        );
        options.extend(self.promise_options());
        for option in options {
            let _ = stack.set_option(clock, id, option);
        }
    }

    /// Opens the connection; with Fast Open the first piece of the stream goes with it, as much as is taken.
    pub(crate) fn open(
        &mut self,
        stack: &mut Stack,
        clock: Instant,
        id: SocketId,
        peer: SocketAddr,
        opening: Opening,
    ) -> Result<(), Error> {
        let flags = match opening {
            Opening::Connect => return stack.connect(clock, id, peer),
            Opening::Fast => SendFlags::FASTOPEN,
            Opening::Deferred => {
                stack.set_option(clock, id, SockOpt::FastOpenConnect(true))?;
                stack.connect(clock, id, peer)?;
                SendFlags::empty()
            }
        };
        let first = (self.plan.write.chunk.min(CALL_MAX) as u64).min(self.plan.bytes);
        let mut data = vec![0; first as usize];
        pattern::fill(self.keys[0], 0, &mut data);
        let dest = flags.contains(SendFlags::FASTOPEN).then_some(peer);
        self.sent = stack.send(clock, id, &[IoSlice::new(&data)], flags, dest)? as u64;
        Ok(())
    }

    /// A turn: does whatever can be done now.
    pub(crate) fn turn(&mut self, t: &mut Turn<'_>) -> Outcome {
        self.turns += 1;
        let Some(id) = self.id else { return Ok(None) };
        match self.phase {
            Phase::Waiting | Phase::Done => return Ok(None),
            Phase::Connecting => {
                if !self.connected(t, id)? {
                    return Ok(None);
                }
            }
            Phase::Lingering => {
                if !t.stack.lingering(id) {
                    self.release(t, id);
                }
                return Ok(None);
            }
            Phase::Running => {}
        }
        if self.plan.ending == Ending::ShutRead && !self.abrupt {
            let _ = t.stack.shutdown(t.clock, id, Shutdown::Read);
            self.abrupt = true;
        }
        self.read(t, id)?;
        self.receipts(t, id)?;
        self.write(t, id)?;
        self.read(t, id)?;
        self.receipts(t, id)?;
        self.finish(t, id)?;
        if matches!(self.phase, Phase::Lingering | Phase::Done) {
            return Ok(None);
        }
        Ok(self.resume.iter().copied().filter(|at| *at > t.now).min())
    }

    fn connected(&mut self, t: &mut Turn<'_>, id: SocketId) -> Result<bool, String> {
        let Some((_, peer)) = self.tuple else {
            return Ok(false);
        };
        match t.stack.connect(t.clock, id, peer) {
            Ok(()) => {
                self.phase = Phase::Running;
                Ok(true)
            }
            Err(Error::InProgress | Error::AlreadyConnecting) => Ok(false),
            Err(Error::IsConnected) => Err("connect: EISCONN before it was reported".into()),
            Err(error) => {
                self.fail(t, id, error);
                Ok(false)
            }
        }
    }

    /// A call failed for good: the program closes.
    fn fail(&mut self, t: &mut Turn<'_>, id: SocketId, error: Error) {
        self.error.get_or_insert(error);
        t.stack.close(t.clock, id);
        self.phase = Phase::Done;
    }

    fn may(&mut self, which: usize, now: u64) -> bool {
        if now < self.resume[which] {
            return false;
        }
        if self.budget[which] == 0 {
            self.budget[which] = self.pace(which).pause.map_or(u64::MAX, |(n, _)| n);
        }
        true
    }

    fn pace(&self, which: usize) -> Pace {
        [self.plan.read, self.plan.write][which]
    }

    /// Counts octets against the pace; true when it is time to pause.
    fn spend(&mut self, which: usize, now: u64, n: u64) -> bool {
        self.budget[which] = self.budget[which].saturating_sub(n);
        if self.budget[which] == 0
            && let Some((_, pause)) = self.pace(which).pause
        {
            self.resume[which] = now + pause;
            return true;
        }
        false
    }

    fn read(&mut self, t: &mut Turn<'_>, id: SocketId) -> Result<(), String> {
        if self.phase != Phase::Running || self.eof || self.plan.ending == Ending::Deaf {
            return Ok(());
        }
        if !self.may(0, t.now) {
            return Ok(());
        }
        self.urgent_octet(t, id)?;
        loop {
            let stop = match self.plan.ending {
                Ending::CloseEarly(n) => n.saturating_sub(self.got),
                _ => u64::MAX,
            };
            if stop == 0 {
                return Ok(());
            }
            let room = self.plan.read.chunk.min(CALL_MAX).min(stop as usize).max(1);
            t.scratch.resize(room, 0);
            if self.plan.peek {
                self.peek(t, id)?;
                if self.phase == Phase::Done {
                    return Ok(());
                }
            }
            let got = t.stack.recv(
                t.clock,
                id,
                &mut [IoSliceMut::new(t.scratch)],
                RecvFlags::empty(),
            );
            match got {
                Ok(r) if r.len == 0 => {
                    self.eof = true;
                    return self.check_end(t);
                }
                Ok(r) => {
                    if r.len > room {
                        return Err(format!("recv of {room} gave {}", r.len));
                    }
                    self.check(t, r.len)?;
                    if self.spend(0, t.now, r.len as u64) {
                        return Ok(());
                    }
                }
                Err(Error::WouldBlock) => return Ok(()),
                Err(error) => {
                    self.fail(t, id, error);
                    return Ok(());
                }
            }
        }
    }

    /// As a program in recv, whose buffer is there for a frame that is just taken from the device. True: the frame was this connection's next.
    pub(crate) fn read_in_place(&mut self, t: &mut Turn<'_>, frame: &[u8]) -> Result<bool, String> {
        let deaf = self.eof || self.plan.ending == Ending::Deaf || self.plan.peek;
        let Some(id) = self.id.filter(|_| self.phase == Phase::Running && !deaf) else {
            return Ok(false);
        };
        let Some(place) = t.stack.place_for(id) else {
            return Ok(false);
        };
        let Some((headers, text)) = frame.split_at_checked(place.headers) else {
            return Ok(false);
        };
        let stop = match self.plan.ending {
            Ending::CloseEarly(n) => n.saturating_sub(self.got),
            _ => u64::MAX,
        };
        if text.len() as u64 > stop || !self.may(0, t.now) {
            return Ok(false);
        }
        t.scratch.clear();
        t.scratch.extend_from_slice(text);
        match t.stack.handle_placed(t.clock, id, headers, t.scratch) {
            Some(n) => {
                self.check(t, n)?;
                self.spend(0, t.now, n as u64);
                Ok(true)
            }
            None if t.scratch.as_slice() != text => Err("a refused frame was changed".into()),
            None => Ok(false),
        }
    }

    /// What is seen with MSG_PEEK is what is read next.
    fn peek(&mut self, t: &mut Turn<'_>, id: SocketId) -> Result<(), String> {
        let got = t.stack.recv(
            t.clock,
            id,
            &mut [IoSliceMut::new(t.scratch)],
            RecvFlags::PEEK,
        );
        match got {
            Ok(r) => {
                let place = self.got;
                self.check(t, r.len)?;
                self.got = place;
            }
            Err(Error::WouldBlock) => {}
            Err(error) => self.fail(t, id, error),
        }
        Ok(())
    }

    /// Octets received are the next of the peer's stream; urgent ones may be missing.
    fn check(&mut self, t: &Turn<'_>, len: usize) -> Result<(), String> {
        if t.lenient {
            self.got += len as u64;
            return Ok(());
        }
        let mut buf = &t.scratch[..len];
        loop {
            let same = pattern::matching(self.keys[1], self.got, buf);
            self.got += same as u64;
            buf = &buf[same..];
            let Some(first) = buf.first() else { break };
            let skippable = !self.plan.inline && t.peer_urgent.binary_search(&self.got).is_ok();
            if !skippable {
                let want = pattern::octet(self.keys[1], self.got);
                return Err(format!("octet {} is {first}, sent was {want}", self.got));
            }
            self.got += 1;
        }
        if self.got > t.peer_sent {
            return Err(format!("read {} octets of {} sent", self.got, t.peer_sent));
        }
        Ok(())
    }

    /// At the end everything sent has been read, but urgent octets.
    fn check_end(&mut self, t: &Turn<'_>) -> Result<(), String> {
        while !self.plan.inline && t.peer_urgent.binary_search(&self.got).is_ok() {
            self.got += 1;
        }
        let _ = t;
        Ok(())
    }

    fn urgent_octet(&mut self, t: &mut Turn<'_>, id: SocketId) -> Result<(), String> {
        if t.peer_urgent.is_empty() || self.plan.inline || self.turns.is_multiple_of(2) {
            return Ok(());
        }
        let mut octet = [0];
        let got = t.stack.recv(
            t.clock,
            id,
            &mut [IoSliceMut::new(&mut octet)],
            RecvFlags::OOB,
        );
        let known = |at: &u64| pattern::octet(self.keys[1], *at) == octet[0];
        match got {
            Ok(r) if r.len == 1 && !t.lenient && !t.peer_urgent.iter().any(known) => {
                Err(format!("urgent octet {} was never sent", octet[0]))
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, t: &mut Turn<'_>, id: SocketId) -> Result<(), String> {
        if self.phase != Phase::Running || self.shut || self.sent >= self.plan.bytes {
            return Ok(());
        }
        if !self.may(1, t.now) {
            return Ok(());
        }
        while self.sent < self.plan.bytes {
            let left = self.plan.bytes - self.sent;
            let n = (self.plan.write.chunk.min(CALL_MAX) as u64).min(left) as usize;
            t.scratch.resize(n, 0);
            pattern::fill(self.keys[0], self.sent, t.scratch);
            let turn = self.sent.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let mut flags = self.promise_flags(turn);
            // Nobody here says when the program does something else: what is held goes by its timer.
            flags.set(SendFlags::GATHER, turn & 1 == 0);
            let apart = self.urgent.last().is_none_or(|last| self.sent > last + 4);
            if (turn % 100) < u64::from(self.plan.urgent) && apart {
                flags |= SendFlags::OOB;
            }
            if self.plan.more && turn.is_multiple_of(3) {
                flags |= SendFlags::MORE;
            }
            match t
                .stack
                .send(t.clock, id, &[IoSlice::new(t.scratch)], flags, None)
            {
                Ok(taken) => {
                    if taken == 0 || taken > n {
                        return Err(format!("send of {n} took {taken}"));
                    }
                    self.sent += taken as u64;
                    if flags.contains(SendFlags::OOB) {
                        self.urgent.push(self.sent - 1);
                    }
                    self.promised(flags, taken == n);
                    if self.spend(1, t.now, taken as u64) {
                        return Ok(());
                    }
                }
                Err(Error::WouldBlock) => return Ok(()),
                // Too many receipts are owed; one that comes gives another turn.
                Err(Error::NoBuffers) if self.plan.zerocopy => return Ok(()),
                Err(error) => {
                    self.fail(t, id, error);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Ends as planned when it is time.
    fn finish(&mut self, t: &mut Turn<'_>, id: SocketId) -> Result<(), String> {
        if self.phase != Phase::Running {
            return Ok(());
        }
        let all = self.sent >= self.plan.bytes;
        let moved = self.got.max(self.sent);
        match self.plan.ending {
            Ending::HalfClose | Ending::ShutRead | Ending::Deaf => {
                if all && !self.shut {
                    self.shut = true;
                    if let Err(error) = t.stack.shutdown(t.clock, id, Shutdown::Write) {
                        self.error.get_or_insert(error);
                    }
                }
                if self.shut && self.eof {
                    self.close(t, id);
                }
            }
            Ending::CloseAtEof if all && self.eof => self.close(t, id),
            Ending::CloseAfterSend if all => self.close(t, id),
            Ending::CloseEarly(n) if self.got >= n || self.eof => self.close(t, id),
            Ending::Abort(n) if moved >= n || (all && self.eof) => self.abort(t, id),
            Ending::Disconnect(n) if moved >= n || (all && self.eof) => {
                self.abrupt = true;
                if let Err(error) = t.stack.disconnect(t.clock, id) {
                    return Err(format!("disconnect: {error:?}"));
                }
                if t.stack.state(id) != Ok(State::Closed) {
                    return Err(format!("{:?} after disconnect", t.stack.state(id)));
                }
                self.close(t, id);
            }
            _ => {}
        }
        Ok(())
    }

    /// Closes, now.
    fn close(&mut self, t: &mut Turn<'_>, id: SocketId) {
        match t.stack.close(t.clock, id) {
            Closed::Done => self.phase = Phase::Done,
            Closed::Linger(_) => self.phase = Phase::Lingering,
        }
    }

    /// Closes with a reset.
    pub(crate) fn abort(&mut self, t: &mut Turn<'_>, id: SocketId) {
        self.abrupt = true;
        let _ = t
            .stack
            .set_option(t.clock, id, SockOpt::Linger(Some(Duration::ZERO)));
        t.stack.close(t.clock, id);
        self.phase = Phase::Done;
    }

    /// Patience, or the linger time, is over. `hard`: nothing of it may be left.
    pub(crate) fn give_up(&mut self, t: &mut Turn<'_>, hard: bool) {
        let Some(id) = self.id else {
            self.phase = Phase::Done;
            return;
        };
        self.abrupt = true;
        match self.phase {
            Phase::Done => {}
            Phase::Lingering => self.release(t, id),
            _ if hard => self.abort(t, id),
            _ => self.close(t, id),
        }
    }

    fn release(&mut self, t: &mut Turn<'_>, id: SocketId) {
        t.stack.release(t.clock, id);
        self.phase = Phase::Done;
    }
}
