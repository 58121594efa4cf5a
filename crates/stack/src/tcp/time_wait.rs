//! TIME-WAIT (RFC 9293 3.6.1, 3.10.7.4), in a form of its own that holds what the state needs and no more.

use std::time::Duration;

use super::emit;
use super::flows::Flow;
use super::input::Segment;
use super::layer::TcpLayer;
use super::listener;
use super::seq::SeqNum;
use super::tcb::Tcb;
use super::tuple::Tuple;
use crate::fifo::{Linked, Links};
use crate::ip::Iface;
use crate::ports::{Hold, PackedHold};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::tcp::{Flags, Header, Options};

slotmap::new_key_type! {
    /// Handle of a TIME-WAIT remnant.
    pub(crate) struct TimeWaitId;
}

/// 2 MSL, as Linux has it (TCP_TIMEWAIT_LEN).
pub(crate) const TIME_WAIT: Duration = Duration::from_secs(60);

/// TIME-WAIT starts anew at most this often.
const RESTART_INTERVAL: Duration = Duration::from_secs(1);

/// A connection that is over and whose late segments must not be taken for another's.
#[derive(Debug)]
pub(crate) struct TimeWait {
    /// The 4-tuple.
    pub(crate) tuple: Tuple,
    /// In [`super::layer::TcpLayer::time_wait_ends`].
    links: Links,
    /// RCV.NXT, after the peer's FIN.
    rcv_nxt: SeqNum,
    /// SND.NXT, after our FIN.
    snd_nxt: SeqNum,
    /// Our last window field.
    window: u16,
    /// TS.Recent, if the connection had timestamps.
    ts_recent: Option<u32>,
    /// The port, held until the end.
    hold: Option<PackedHold>,
    /// When it ends.
    ends: Instant,
}

impl Linked for TimeWait {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

impl TimeWait {
    /// When it ends.
    pub(crate) fn ends(&self) -> Instant {
        self.ends
    }

    /// The interface that the connection was bound to, 0: none.
    pub(crate) fn bound_if(&self) -> u32 {
        self.hold.map_or(0, PackedHold::iface)
    }

    /// Whether the port is held by the remnant itself.
    pub(crate) fn holds(&self) -> bool {
        self.hold.is_some()
    }
}

/// What TIME-WAIT needs of a connection.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Numbers {
    tuple: Tuple,
    rcv_nxt: SeqNum,
    snd_nxt: SeqNum,
    window: u16,
    ts_recent: Option<u32>,
}

impl Numbers {
    /// Of this connection, now.
    pub(crate) fn of(tcb: &Tcb) -> Numbers {
        Numbers {
            tuple: tcb.tuple,
            rcv_nxt: tcb.rcv.nxt,
            snd_nxt: tcb.snd.max,
            // Rounded up, as ever: the edge does not move left.
            window: ((tcb.rcv.wnd() + ((1 << tcb.rcv.wscale) - 1)) >> tcb.rcv.wscale).min(65_535)
                as u16,
            ts_recent: tcb.ts.ok.then_some(tcb.ts.recent),
        }
    }
}

/// Begins TIME-WAIT for a connection that has ended, and acknowledges the peer's FIN.
pub(crate) fn enter(stack: &mut Stack, now: Instant, numbers: Numbers, hold: Option<Hold>) {
    let Numbers {
        tuple,
        rcv_nxt,
        snd_nxt,
        window,
        ts_recent,
    } = numbers;
    let packed = hold.and_then(|hold| hold.pack(tuple.local));
    if let (Some(hold), None) = (hold, packed) {
        stack.ports.release_hold(hold);
    }
    let remnant = TimeWait {
        tuple,
        links: Links::default(),
        rcv_nxt,
        snd_nxt,
        window,
        ts_recent,
        hold: packed,
        ends: now + TIME_WAIT,
    };
    let TcpLayer {
        time_wait,
        time_wait_ends,
        ..
    } = &mut stack.tcp;
    let id = time_wait.insert(remnant);
    time_wait_ends.push(time_wait, id);
    stack.tcp.flows.insert(tuple, Flow::TimeWait(id));
    acknowledge(stack, now, id);
}

fn acknowledge(stack: &mut Stack, now: Instant, id: TimeWaitId) {
    let Some(tw) = stack.tcp.time_wait.get(id) else {
        return;
    };
    let (tuple, by) = (tw.tuple, tw.bound_if());
    let val = (now.as_millis() as u32).wrapping_add(stack.tcp.ts_offset(&tuple));
    let header = Header {
        seq: tw.snd_nxt,
        ack: tw.rcv_nxt,
        flags: Flags::ACK,
        window: tw.window,
        options: Options {
            ts: tw.ts_recent.map(|recent| (val, recent)),
            ..Options::default()
        },
        ..Header::default()
    };
    emit::control_by(stack, &tuple, by, header);
}

/// Ends it.
fn remove(stack: &mut Stack, id: TimeWaitId) {
    let TcpLayer {
        time_wait,
        time_wait_ends,
        flows,
        ..
    } = &mut stack.tcp;
    time_wait_ends.take(time_wait, id);
    if let Some(tw) = time_wait.remove(id) {
        flows.remove(&tw.tuple, Flow::TimeWait(id));
        let (local, remote) = (tw.tuple.local_addr(), tw.tuple.remote_addr());
        stack.ports.vacated(local, remote);
        if let Some(hold) = tw.hold {
            let hold = hold.unpack(tw.tuple.local, tw.tuple.local_port);
            stack.ports.release_hold(hold);
        }
    }
}

/// Ends those whose time has come.
pub(crate) fn expire(stack: &mut Stack, now: Instant) {
    while let Some((id, _)) = stack
        .tcp
        .time_wait_ends
        .front(&stack.tcp.time_wait)
        .filter(|(_, tw)| tw.ends <= now)
    {
        remove(stack, id);
    }
}

/// A segment for a connection in TIME-WAIT.
pub(crate) fn input(
    stack: &mut Stack,
    now: Instant,
    id: TimeWaitId,
    iface: Iface,
    seg: &Segment<'_>,
) {
    let Some(tw) = stack.tcp.time_wait.get_mut(id) else {
        return;
    };
    let h = seg.header;
    let tuple = tw.tuple;
    let ts = h.options.ts.map(|(val, _)| val);
    let newer_ts = matches!((ts, tw.ts_recent), (Some(val), Some(recent)) if (val.wrapping_sub(recent) as i32) > 0);
    if h.has(Flags::RST) {
        // As Linux with tcp_rfc1337 = 0; only an exact one (RFC 5961 3.2).
        if h.seq == tw.rcv_nxt {
            remove(stack, id);
        }
        return;
    }
    // RFC 6191 2 and RFC 9293 MAY-2: a new SYN beyond the old sequence space, or with a later timestamp, may begin anew.
    if h.has(Flags::SYN) && !h.has(Flags::ACK) && (newer_ts || h.seq.after(tw.rcv_nxt)) {
        if let Some(listener) = listener::find(stack, &tuple, iface, None) {
            remove(stack, id);
            listener::input(stack, now, listener, tuple, seg);
        }
        return;
    }
    if h.has(Flags::FIN) && h.seq.before(tw.rcv_nxt) {
        // The peer's FIN again: our ACK was lost; 2 MSL start anew. Once a second is enough, whoever sends it how often.
        let ends = now + TIME_WAIT;
        if ends.since(tw.ends) >= RESTART_INTERVAL {
            tw.ends = ends;
            let TcpLayer {
                time_wait,
                time_wait_ends,
                ..
            } = &mut stack.tcp;
            time_wait_ends.take(time_wait, id);
            time_wait_ends.push(time_wait, id);
        }
        acknowledge(stack, now, id);
    } else if seg.len() > 0 || h.seq != tw.rcv_nxt {
        acknowledge(stack, now, id);
    }
}
