//! What has to hold of whole connections and of worlds at their end.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use tunsock_stack::{Error, Ready, RecvFlags, SendFlags, SocketId, State};

use crate::app::Phase;
use crate::pattern;
use crate::plan::{Ending, Hostile};
use crate::watch::Direction;
use crate::world::{ECHO, World, address};

/// Losses in a row without which nobody gives a connection up.
const LOSSES: u64 = 5;
/// Losses in a row with which an orphan may be given up silently.
const ORPHAN_LOSSES: u64 = 8;

impl World {
    fn directions(&self, app: usize) -> (Option<&Direction>, Option<&Direction>) {
        let Some((local, peer)) = self.apps[app].tuple else {
            return (None, None);
        };
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        (self.watch.get(local, peer), self.watch.get(peer, local))
    }

    fn losses(&self, app: usize) -> u64 {
        let (out, back) = self.directions(app);
        out.map_or(0, |d| d.lost) + back.map_or(0, |d| d.lost)
    }

    /// Losses of this connection in a row, at most: without the acknowledgement of anything new between them.
    fn streak(&self, app: usize) -> u64 {
        let (out, back) = self.directions(app);
        out.map_or(0, |d| d.worst).max(back.map_or(0, |d| d.worst))
    }

    /// Somebody at its ends is gone for good.
    fn cut_off(&self, app: usize) -> bool {
        let hosts = self.plan.conns[app / 2].hosts;
        hosts.iter().any(|host| self.hosts[*host].vanished)
    }

    /// A program is through: if with an error, something must have caused it.
    pub(crate) fn cause(&self, app: usize) -> Result<(), String> {
        let program = &self.apps[app];
        let Some(error) = program.error else {
            return Ok(());
        };
        let hosts = self.plan.conns[app / 2].hosts;
        if hosts[0] == hosts[1] || self.plan.hostile == Hostile::Ruin || program.abrupt {
            return Ok(());
        }
        let (out, _) = self.directions(app);
        let caused = match error {
            Error::ConnectionReset
            | Error::ConnectionRefused
            | Error::BrokenPipe
            | Error::NotConnected => out.is_some_and(|d| d.resets > 0),
            Error::TimedOut => {
                self.streak(app) >= LOSSES
                    || self.cut_off(app)
                    || self.crowded(self.apps[app | 1].host)
            }
            Error::HostUnreachable
            | Error::NetworkUnreachable
            | Error::ProtocolUnreachable
            | Error::Protocol
            | Error::HostDown
            | Error::NoNetwork => out.is_some_and(|d| d.errors > 0),
            _ => false,
        };
        if caused {
            Ok(())
        } else {
            Err(format!(
                "c{} side {}: {error:?} without a cause",
                app / 2,
                app % 2
            ))
        }
    }

    /// At the curfew every clean connection is through, and nobody sends without end.
    pub(crate) fn judge_at_curfew(&self) -> Result<(), String> {
        for (i, conn) in self.plan.conns.iter().enumerate() {
            if conn.clean && self.plan.hostile != Hostile::Ruin && !self.excused(2 * i) {
                for app in [2 * i, 2 * i + 1] {
                    self.judge_clean(app)
                        .map_err(|e| format!("c{i} side {}: {e}", app % 2))?;
                }
            }
        }
        for (app, program) in self.apps.iter().enumerate() {
            let peer = self.plan.conns[app / 2].hosts[1 - app % 2];
            let lone = self.hosts[peer].vanished && !self.hosts[program.host].vanished;
            if lone && program.plan.keepalive && program.phase == Phase::Running {
                return Err(format!(
                    "c{} side {}: keepalive does not notice that h{peer} is gone",
                    app / 2,
                    app % 2
                ));
            }
        }
        for (n, host) in self.hosts.iter().enumerate() {
            for row in host.stack.sockets() {
                let dying = matches!(
                    row.state,
                    State::FinWait1
                        | State::Closing
                        | State::LastAck
                        | State::SynSent
                        | State::SynReceived
                );
                if row.send_q > 0 && row.state != State::Listen && (dying || self.gone(row.peer)) {
                    return Err(format!("h{n} still sends at the end of time: {row:?}"));
                }
            }
        }
        Ok(())
    }

    /// What waiters are told is what the socket says of itself, and nothing of the kind happens by itself.
    pub(crate) fn judge_event(&self, host: usize, id: SocketId, told: Ready) -> Result<(), String> {
        let mut lasting = Ready::ERR | Ready::HUP | Ready::RDHUP;
        let app = self.hosts[host].apps.get(&id);
        if app.is_some_and(|app| self.apps[*app].plan.zerocopy) {
            // The receipts may have been read already.
            lasting -= Ready::ERR;
        }
        let is = self.hosts[host].stack.readiness(id);
        if !is.contains(told & lasting) {
            return Err(format!("h{host}: {id:?} is told {told:?} and is {is:?}"));
        }
        if told.is_empty() {
            return Err(format!("h{host}: {id:?} is woken for nothing"));
        }
        Ok(())
    }

    fn gone(&self, peer: SocketAddr) -> bool {
        let at =
            |v6| (0..self.hosts.len()).find(|host| address(*host, v6) == peer.ip().to_canonical());
        at(false)
            .or(at(true))
            .is_some_and(|host| self.hosts[host].vanished)
    }

    /// Why a clean connection may have failed: cut off, or given up for losses.
    fn excused(&self, app: usize) -> bool {
        let pair = [app & !1, app | 1];
        let timed_out = pair
            .iter()
            .any(|a| self.apps[*a].error == Some(Error::TimedOut));
        let reset = pair
            .iter()
            .any(|a| self.apps[*a].error == Some(Error::ConnectionReset));
        let gave_up = pair.iter().any(|a| {
            let program = &self.apps[*a];
            program.phase == Phase::Done
        });
        // The last segment of the handshake was lost until the other side gave up: nobody tells the opener.
        let unmet = pair.iter().any(|a| self.apps[*a].phase == Phase::Waiting);
        // Its turn never came: those before it took too long.
        let unborn = pair.iter().all(|a| self.apps[*a].phase == Phase::Waiting);
        let crowd = unmet && self.crowded(self.apps[app | 1].host);
        self.cut_off(app)
            || unborn && self.plan.conns[app / 2].follows.is_some()
            || crowd
            || (unmet || reset) && self.cookies(self.apps[app | 1].host)
            || pair.iter().any(|a| self.streak(*a) >= LOSSES) && (unmet || timed_out)
            || pair.iter().any(|a| self.streak(*a) >= ORPHAN_LOSSES) && gave_up
    }

    /// The host has answered SYNs by cookies: then a lost third segment leaves the opener alone, and a later one that
    /// overtakes it brings a reset, for nobody remembers anything (RFC 4987 3.6).
    pub(crate) fn cookies(&self, host: usize) -> bool {
        self.hosts[host].stack.stats().syn_cookies_sent > 0
    }

    /// Connections were turned away for want of room in the queue.
    fn crowded(&self, host: usize) -> bool {
        self.hosts[host].stack.stats().queue_full > 0
    }

    fn judge_clean(&self, app: usize) -> Result<(), String> {
        let (program, peer) = (&self.apps[app], &self.apps[app ^ 1]);
        let told = || {
            let state = program
                .id
                .map(|id| self.hosts[program.host].stack.state(id));
            format!(
                "{:?} {:?}: sent {} of {}, got {} of {}, eof {}, error {:?}, lost {}",
                program.phase,
                state,
                program.sent,
                program.plan.bytes,
                program.got,
                peer.plan.bytes,
                program.eof,
                program.error,
                self.losses(app)
            )
        };
        if program.phase != Phase::Done {
            return Err(format!("stalled: {}", told()));
        }
        if program.error.is_some() || program.sent != program.plan.bytes {
            return Err(format!("not clean: {}", told()));
        }
        let reads = program.plan.ending != Ending::CloseAfterSend;
        if reads && (!program.eof || program.got != peer.sent) {
            return Err(format!("not everything arrived: {}", told()));
        }
        Ok(())
    }

    /// When nothing moves any more, nothing is left.
    pub(crate) fn judge_at_end(&self) -> Result<(), String> {
        for (n, host) in self.hosts.iter().enumerate() {
            host.stack
                .audit()
                .map_err(|e| format!("h{n} at the end: {e}"))?;
            let census = host.stack.census();
            if !census.is_empty()
                || host.stack.next_deadline().is_some()
                || host.stack.has_undelivered()
            {
                return Err(format!(
                    "h{n} is not empty at the end: {census:?} {:?}",
                    host.stack.sockets()
                ));
            }
        }
        Ok(())
    }

    /// A datagram, some longer than any path carries.
    pub(crate) fn datagram(&mut self, from: usize, to: usize) -> Result<(), String> {
        let key = self.dice.any();
        let len = self.dice.spread(1, 6_000) as usize;
        let mut data = key.to_le_bytes().to_vec();
        data.resize(8 + len, 0);
        pattern::fill(key, 0, &mut data[8..]);
        let to = SocketAddr::new(address(to, self.dice.percent(50)), ECHO);
        let to = match to.ip() {
            std::net::IpAddr::V4(a) => SocketAddr::new(a.to_ipv6_mapped().into(), ECHO),
            _ => to,
        };
        let clock = self.clock(from);
        let host = &mut self.hosts[from];
        match host.stack.send(
            clock,
            host.echo,
            &[IoSlice::new(&data)],
            SendFlags::empty(),
            Some(to),
        ) {
            Ok(n) if n != data.len() => Err(format!("sendto took {n} of {}", data.len())),
            Err(Error::Invalid | Error::BadHandle | Error::AddressFamily) => {
                Err("sendto refused a good datagram".into())
            }
            _ => Ok(()),
        }
    }

    /// Datagrams that came are whole.
    pub(crate) fn echo(&mut self, host: usize) -> Result<(), String> {
        let clock = self.clock(host);
        let host = &mut self.hosts[host];
        let mut buf = vec![0; 10_000];
        for _ in 0..1000 {
            let got = host.stack.recv(
                clock,
                host.echo,
                &mut [IoSliceMut::new(&mut buf)],
                RecvFlags::empty(),
            );
            match got {
                Ok(r) => {
                    let data = &buf[..r.len];
                    let Some((key, text)) = data.split_first_chunk::<8>() else {
                        return Err(format!("a datagram of {} octets that nobody sent", r.len));
                    };
                    if pattern::matching(u64::from_le_bytes(*key), 0, text) != text.len() {
                        return Err(format!("a datagram of {} octets with wrong text", r.len));
                    }
                }
                Err(Error::WouldBlock) => return Ok(()),
                Err(_) => {}
            }
        }
        Ok(())
    }
}
