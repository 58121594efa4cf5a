//! TCP's part of [`Stack::audit`].

use slotmap::SecondaryMap;

use super::flows::Flow;
use super::layer::TcpSocket;
use super::pacing::Pacing;
use super::tcb::Tcb;
use super::vars::AckDue;
use crate::socket::{SocketId, State};
use crate::stack::Stack;

/// Fails with the words unless the condition holds.
macro_rules! hold {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err(format!($($words)+));
        }
    };
}

/// What the walk over all sockets adds up.
#[derive(Default)]
struct Sums {
    connections: usize,
    chunks: usize,
    undelivered: usize,
    /// Connections opened by text in a SYN whose handshakes go on, by listener.
    pending: SecondaryMap<SocketId, usize>,
    /// Half-open connections by listener.
    half_open: SecondaryMap<SocketId, usize>,
}

impl Stack {
    /// Checks TCP's invariants.
    pub(crate) fn audit_tcp(&self) -> Result<(), String> {
        let mut sums = Sums::default();
        for (id, entry) in self.tcp.half_open.iter() {
            let flow = self.flow(&entry.tuple);
            hold!(
                flow == Some(Flow::HalfOpen(id)),
                "half-open {:?}: its flow is {flow:?}",
                entry.tuple
            );
            if let Some(n) = sums.half_open.get_mut(entry.listener) {
                *n += 1;
            } else if self.sockets.contains_key(entry.listener) {
                sums.half_open.insert(entry.listener, 1);
            }
        }
        for (id, remnant) in self.tcp.time_wait.iter() {
            let flow = self.flow(&remnant.tuple);
            hold!(
                flow == Some(Flow::TimeWait(id)),
                "TIME-WAIT {:?}: its flow is {flow:?}",
                remnant.tuple
            );
        }
        for (id, socket) in self.sockets.iter() {
            if let Some(tcp) = socket.tcp() {
                self.audit_socket(id, tcp, &mut sums).map_err(|e| {
                    format!(
                        "{id:?} {:?}->{:?} {}: {e}",
                        socket.local(),
                        socket.peer(),
                        tcp.state()
                    )
                })?;
            }
        }
        let counted = sums.connections + self.tcp.half_open.len() + self.tcp.time_wait.len();
        hold!(
            counted == self.tcp.flows.len(),
            "{} flows for {counted} connections",
            self.tcp.flows.len()
        );
        let held = self.tcp.pool.in_use();
        hold!(
            sums.chunks == held,
            "{held} chunks accounted, {} held",
            sums.chunks
        );
        self.tcp.pool.account.audit()?;
        let told = self.tcp.undelivered;
        hold!(
            sums.undelivered == told,
            "{told} undelivered accounted, {} there",
            sums.undelivered
        );
        for (id, socket) in self.sockets.iter() {
            let listener = socket.tcp().and_then(|tcp| tcp.listener.as_deref());
            let here = sums.pending.get(id).copied().unwrap_or(0);
            hold!(
                listener.is_none_or(|listener| listener.pending_count() == here),
                "{id:?}: {:?} pending counted, {here} there",
                listener.map(|listener| listener.pending_count())
            );
        }
        for (key, ids) in &self.tcp.listeners {
            for id in ids {
                let listens = self
                    .sockets
                    .get(*id)
                    .and_then(|s| s.tcp())
                    .is_some_and(|t| t.listener.is_some());
                hold!(listens, "{key:?}: {id:?} is no listener");
            }
        }
        Ok(())
    }

    fn audit_socket(&self, id: SocketId, tcp: &TcpSocket, sums: &mut Sums) -> Result<(), String> {
        sums.undelivered += usize::from(tcp.undelivered);
        if let Some(listener) = &tcp.listener {
            let here = sums.half_open.get(id).copied().unwrap_or(0);
            hold!(
                listener.half_open_count() == here,
                "{} half-open counted, {here} there",
                listener.half_open_count()
            );
            for child in &listener.queue {
                hold!(
                    self.sockets.contains_key(*child),
                    "a queued connection has gone"
                );
            }
            hold!(
                listener.queue.len() <= listener.backlog + 1,
                "{} queued, backlog {}",
                listener.queue.len(),
                listener.backlog
            );
        }
        let Some(tcb) = tcp.tcb.as_deref() else {
            hold!(!tcp.orphan, "an orphan without a connection");
            return Ok(());
        };
        sums.chunks += tcb.snd.queue.chunk_count() + tcb.rcv.queue.chunk_count();
        if tcb.state == State::Closed {
            hold!(!tcp.orphan || tcp.lingering, "an orphan that is over");
            hold!(
                tcb.snd.queue.chunk_count() == 0,
                "over, and still something to send"
            );
            return Ok(());
        }
        sums.connections += 1;
        if tcb.fast_open_pending()
            && let Some(listener) = tcb.fast_open.as_deref().and_then(|state| state.listener)
            && let Some(n) = sums.pending.entry(listener)
        {
            *n.or_default() += 1;
        }
        let flow = self.flow(&tcb.tuple);
        hold!(flow == Some(Flow::Conn(id)), "its flow is {flow:?}");
        hold!(tcb.orphan == tcp.orphan, "orphan in one place only");
        let deadline = tcb.deadline();
        let armed = deadline.is_none_or(|at| tcp.armed.is_some_and(|armed| armed <= at));
        hold!(armed, "deadline {deadline:?}, armed {:?}", tcp.armed);
        tcb.audit(tcp.queued)
    }
}

impl Tcb {
    /// Checks one connection. `queued`: it will be asked for segments before anything else happens.
    fn audit(&self, queued: bool) -> Result<(), String> {
        let s = &self.snd;
        let fin = u32::from(s.fin);
        hold!(
            s.una.before_eq(s.nxt) && s.nxt.before_eq(s.max),
            "una {:?} nxt {:?} max {:?}",
            s.una,
            s.nxt,
            s.max
        );
        let syn_out = s.una == s.iss && s.base == s.iss + 1;
        let in_step = s.una == s.base || syn_out || s.fin_acked();
        hold!(in_step, "una {:?}, queue begins at {:?}", s.una, s.base);
        hold!(
            s.max.before_eq(s.data_end() + fin),
            "max {:?} after the queue's end {:?} (fin {fin})",
            s.max,
            s.data_end()
        );
        // One octet for the SYN or the FIN, which no window keeps back.
        let syn_text = self.fast_open.as_deref().map_or(0, |state| state.text);
        let reach = s.max_wnd.max(syn_text).saturating_add(1);
        hold!(
            s.max.since(s.una) <= reach,
            "{} in flight, largest window {}",
            s.max.since(s.una),
            s.max_wnd
        );
        s.sent.audit(s.una, s.max)?;
        if !syn_out {
            s.pieces.audit(s.base, s.max, s.data_end())?;
        }
        self.audit_receiver()?;
        self.audit_timers(queued)
    }

    fn audit_receiver(&self) -> Result<(), String> {
        let r = &self.rcv;
        if self.state == State::SynSent {
            hold!(r.queue.is_empty(), "text before the peer's SYN");
            return Ok(());
        }
        let fin = u32::from(r.fin_reached());
        hold!(
            r.base + r.queue.len() as u32 + fin == r.nxt,
            "base {:?}, {} octets, fin {fin}, nxt {:?}",
            r.base,
            r.queue.len(),
            r.nxt
        );
        hold!(
            r.adv.after_eq(r.nxt),
            "window ends at {:?} before nxt {:?}",
            r.adv,
            r.nxt
        );
        hold!(
            r.adv.since(r.nxt) <= 1 << 30,
            "a window of {}",
            r.adv.since(r.nxt)
        );
        r.assembler.audit(r.nxt, r.adv)
    }

    fn audit_timers(&self, queued: bool) -> Result<(), String> {
        if queued {
            return Ok(());
        }
        hold!(
            self.rcv.ack != AckDue::Now,
            "an ACK is due and nobody sends it"
        );
        let t = &self.timers;
        hold!(
            self.rcv.ack != AckDue::Delayed || t.delayed_ack.is_some(),
            "a delayed ACK without its timer"
        );
        let s = &self.snd;
        let sending = !matches!(self.state, State::SynSent | State::SynReceived);
        let waits = s.una != s.max || (sending && !s.all_sent());
        // Whatever drives it on: retransmission, probe, hold, pace. Keepalive and the ACK's timer do not.
        let driving = [
            t.rto,
            t.reorder,
            t.tail_probe,
            t.persist,
            s.hold_until,
            t.cork,
            self.pacing.as_deref().and_then(Pacing::deadline),
        ];
        let driven = s.gathers || driving.iter().any(Option::is_some);
        hold!(
            !waits || driven,
            "una {:?} nxt {:?} max {:?} queue ends {:?} wnd {}: nothing will send it",
            s.una,
            s.nxt,
            s.max,
            s.data_end(),
            s.wnd
        );
        hold!(
            waits || t.rto.is_none(),
            "nothing is outstanding and the retransmission timer runs"
        );
        hold!(
            t.keepalive.is_none() || self.tuning.keepalive,
            "keepalive runs unasked"
        );
        Ok(())
    }
}
