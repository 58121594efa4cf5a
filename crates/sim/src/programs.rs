//! What the world does for its programs: it opens and accepts, gives them their turns and tells them when time is up.

use std::net::{IpAddr, SocketAddr};

use tunsock_stack::{Domain, Error, Kind, Ready, SockOpt, SocketId};

use crate::app::{App, Outcome, Phase, Turn};
use crate::plan::{ConnPlan, Hostile};
use crate::world::{Event, LIMIT, PORT, World, address, repeats};

impl World {
    pub(crate) fn on_event(
        &mut self,
        host: usize,
        id: SocketId,
        ready: Ready,
    ) -> Result<(), String> {
        if id == self.hosts[host].listener {
            return match self.plan.hosts[host].accept_pause {
                Some(us) => {
                    self.after(us, Event::Accept(host));
                    Ok(())
                }
                None => self.accept(host),
            };
        }
        if id == self.hosts[host].echo {
            return self.echo(host);
        }
        self.judge_event(host, id, ready)?;
        let app = self.hosts[host].apps.get(&id).copied();
        self.log
            .note(self.now, || format!("h{host}: {ready:?} for {app:?}"));
        match app {
            Some(app) => self.turn(app),
            // A connection in the accept queue.
            None => Ok(()),
        }
    }

    pub(crate) fn accept(&mut self, host: usize) -> Result<(), String> {
        loop {
            let clock = self.clock(host);
            let h = &mut self.hosts[host];
            let (id, peer) = match h.stack.accept(clock, h.listener) {
                Ok(accepted) => accepted,
                Err(Error::WouldBlock) => return Ok(()),
                // The listener was closed while the program did something else.
                Err(Error::BadHandle) if self.over() => return Ok(()),
                Err(error) => return Err(format!("accept: {error:?}")),
            };
            let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
            let app = self.expected.get(&(peer, host)).copied();
            let Some(app) = app.filter(|app| self.apps[*app].phase == Phase::Waiting) else {
                // A SYN cookie knows of no connection that was there already: what was under way when that was reset makes another.
                // Nor does a SYN with data that arrives twice.
                let cookies = h.stack.stats().syn_cookies_sent > 0;
                let ghost = app.is_some() && (cookies || repeats(&self.plan));
                if self.plan.hostile == Hostile::Ruin || ghost {
                    h.stack.close(clock, id);
                    continue;
                }
                return Err(format!(
                    "h{host} accepts {peer}, whom nobody expects ({app:?})"
                ));
            };
            self.log
                .note(self.now, || format!("h{host}: accepts c{}", app / 2));
            let local = h
                .stack
                .local_addr(id)
                .map_err(|e| format!("getsockname: {e:?}"))?;
            let local = SocketAddr::new(local.ip().to_canonical(), local.port());
            self.accepted += 1;
            let program = &mut self.apps[app];
            program.dress(&mut h.stack, clock, id);
            program.id = Some(id);
            program.phase = Phase::Running;
            program.tuple = Some((local, peer));
            h.apps.insert(id, app);
            self.watch_promises(app);
            self.patience(app);
            self.turn(app)?;
        }
    }

    fn patience(&mut self, app: usize) {
        if let Some(us) = self.apps[app].plan.patience {
            self.after(us, Event::GiveUp(app));
        }
    }

    /// The curfew is over.
    fn over(&self) -> bool {
        self.now > LIMIT
    }

    /// Tries again in a while.
    fn later(&mut self, app: usize, id: SocketId) -> Result<(), String> {
        let host = self.apps[app].host;
        let clock = self.clock(host);
        self.hosts[host].stack.close(clock, id);
        self.after(1_000_000, Event::Start(app));
        Ok(())
    }

    /// Whether the connection before this one is over; if not, asks again in a while.
    fn turn_has_come(&mut self, conn: &ConnPlan, app: usize) -> bool {
        let Some(before) = conn.follows else {
            return true;
        };
        let through = |app: usize| self.apps[app].phase == Phase::Done;
        let come = through(2 * before) && through(2 * before + 1);
        if !come {
            // Ever more seldom, for some never end by themselves.
            self.after((self.now / 16).max(50_000), Event::Start(app));
        }
        come
    }

    /// connect(2), perhaps after bind(2).
    pub(crate) fn start(&mut self, app: usize) -> Result<(), String> {
        let conn = self.plan.conns[app / 2].clone();
        let side = app % 2;
        let (host, other) = (conn.hosts[side], conn.hosts[1 - side]);
        if self.hosts[host].vanished {
            self.apps[app].phase = Phase::Done;
            return Ok(());
        }
        if self.over() || !self.turn_has_come(&conn, app) {
            return Ok(());
        }
        let clock = self.clock(host);
        let domain = if conn.v6 || conn.mapped {
            Domain::V6
        } else {
            Domain::V4
        };
        let outward = |ip: IpAddr| match ip {
            IpAddr::V4(a) if conn.mapped => IpAddr::V6(a.to_ipv6_mapped()),
            ip => ip,
        };
        let port = |side: usize| 10_000 + 2 * (app / 2) as u16 + side as u16;
        let stack = &mut self.hosts[host].stack;
        let id = stack
            .socket(domain, Kind::Stream)
            .map_err(|e| format!("socket: {e:?}"))?;
        let remote = if conn.simultaneous {
            port(1 - side)
        } else {
            PORT
        };
        let bound = conn.port.or_else(|| conn.simultaneous.then(|| port(side)));
        if let Some(port) = bound {
            let _ = stack.set_option(clock, id, SockOpt::ReuseAddr(true));
            let local = SocketAddr::new(outward(address(host, conn.v6)), port);
            match stack.bind(id, local) {
                Err(Error::AddressInUse) if conn.port.is_some() => return self.later(app, id),
                got => got.map_err(|e| format!("bind {local}: {e:?}"))?,
            }
        }
        self.apps[app].dress(stack, clock, id);
        let peer = SocketAddr::new(outward(address(other, conn.v6)), remote);
        let opened = self.apps[app].open(stack, clock, id, peer, conn.opening);
        match opened {
            Ok(()) | Err(Error::InProgress) => {}
            // The last connection over these ports is still in TIME-WAIT.
            Err(Error::AddressNotAvailable) if conn.port.is_some() => {
                return self.later(app, id);
            }
            got => return Err(format!("connect {peer}: {got:?}")),
        }
        let local = stack
            .local_addr(id)
            .map_err(|e| format!("getsockname: {e:?}"))?;
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        if !conn.simultaneous {
            self.expected.insert((local, other), app + 1);
        }
        self.log.note(self.now, || {
            format!("h{host}: c{} connects {local} to {peer}", app / 2)
        });
        let program = &mut self.apps[app];
        program.id = Some(id);
        program.phase = Phase::Connecting;
        program.tuple = Some((local, peer));
        self.hosts[host].apps.insert(id, app);
        self.watch_promises(app);
        self.patience(app);
        Ok(())
    }

    /// Calls `act` with a program and what its turn needs.
    pub(crate) fn with_app<R>(
        &mut self,
        app: usize,
        act: impl FnOnce(&mut App, &mut Turn<'_>) -> R,
    ) -> R {
        let clock = self.clock(self.apps[app].host);
        let (left, right) = self.apps.split_at_mut(app | 1);
        let pair = (&mut left[app & !1], &mut right[0]);
        let (me, peer) = if app.is_multiple_of(2) {
            pair
        } else {
            (pair.1, pair.0)
        };
        let mut turn = Turn {
            stack: &mut self.hosts[me.host].stack,
            now: self.now,
            clock,
            scratch: &mut self.scratch,
            peer_urgent: &peer.urgent,
            peer_sent: peer.sent,
            lenient: self.plan.hostile == Hostile::Ruin,
        };
        act(me, &mut turn)
    }

    pub(crate) fn turn(&mut self, app: usize) -> Result<(), String> {
        let before = self.apps[app].phase;
        let outcome: Outcome = self.with_app(app, |me, turn| me.turn(turn));
        let again = outcome.map_err(|e| format!("c{} side {}: {e}", app / 2, app % 2))?;
        // One turn in waiting is enough: each of several would ask for another.
        if let Some(at) = again
            && self.apps[app].waits_for != Some(at)
        {
            self.apps[app].waits_for = Some(at);
            self.after(at - self.now, Event::Turn(app));
        }
        self.after_turn(app, before)
    }

    fn after_turn(&mut self, app: usize, before: Phase) -> Result<(), String> {
        let program = &self.apps[app];
        if program.phase == before {
            return Ok(());
        }
        let (host, id, linger) = (program.host, program.id, program.plan.linger);
        match program.phase {
            Phase::Lingering => self.after(linger.unwrap_or(0), Event::GiveUp(app)),
            Phase::Done => {
                if let Some(id) = id {
                    self.hosts[host].apps.remove(&id);
                }
                self.log.note(self.now, || {
                    let p = &self.apps[app];
                    format!(
                        "c{} side {} is done: sent {} got {} eof {} {:?}",
                        app / 2,
                        app % 2,
                        p.sent,
                        p.got,
                        p.eof,
                        p.error
                    )
                });
                return self.cause(app);
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn give_up(&mut self, app: usize, hard: bool) {
        let before = self.apps[app].phase;
        self.with_app(app, |me, turn| me.give_up(turn, hard));
        // Who gives up needs no reason.
        let _ = self.after_turn(app, before);
    }

    /// Time is up: what should be through and is not has stalled; everybody else leaves.
    pub(crate) fn curfew(&mut self) -> Result<(), String> {
        self.log.note(self.now, || "curfew".into());
        self.judge_at_curfew()?;
        for app in 0..self.apps.len() {
            self.give_up(app, true);
        }
        for host in 0..self.hosts.len() {
            let clock = self.clock(host);
            let h = &mut self.hosts[host];
            h.stack.close(clock, h.listener);
            h.stack.close(clock, h.echo);
            self.settle(host)?;
        }
        Ok(())
    }
}
