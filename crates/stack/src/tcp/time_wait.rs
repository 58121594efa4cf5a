//! TIME-WAIT (RFC 9293 3.6.1, 3.10.7.4), in a form of its own that holds what the state needs and no more.

use std::time::Duration;

use super::emit;
use super::input::Segment;
use super::layer::Flow;
use super::listener;
use super::seq::SeqNum;
use super::tcb::Tcb;
use super::tuple::Tuple;
use crate::ports::Hold;
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
    /// RCV.NXT, after the peer's FIN.
    rcv_nxt: SeqNum,
    /// SND.NXT, after our FIN.
    snd_nxt: SeqNum,
    /// Our last window field.
    window: u16,
    /// TS.Recent, if the connection had timestamps.
    ts_recent: Option<u32>,
    /// The port, held until the end.
    hold: Option<Hold>,
    /// When it ends.
    ends: Instant,
}

impl TimeWait {
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
    let remnant = TimeWait {
        tuple,
        rcv_nxt,
        snd_nxt,
        window,
        ts_recent,
        hold,
        ends: now + TIME_WAIT,
    };
    let id = stack.tcp.time_wait.insert(remnant);
    stack.tcp.time_wait_ends.push_back((now + TIME_WAIT, id));
    stack.tcp.flows.insert(tuple, Flow::TimeWait(id));
    acknowledge(stack, now, id);
}

fn acknowledge(stack: &mut Stack, now: Instant, id: TimeWaitId) {
    let Some(tw) = stack.tcp.time_wait.get(id) else {
        return;
    };
    let tuple = tw.tuple;
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
    emit::control(stack, &tuple, header);
}

/// Ends it.
fn remove(stack: &mut Stack, id: TimeWaitId) {
    if let Some(tw) = stack.tcp.time_wait.remove(id) {
        stack.tcp.flows.remove(&tw.tuple);
        if let Some(hold) = tw.hold {
            stack.ports.release_hold(hold);
        }
    }
}

/// Ends those whose time has come.
pub(crate) fn expire(stack: &mut Stack, now: Instant) {
    while let Some((at, id)) = stack
        .tcp
        .time_wait_ends
        .front()
        .copied()
        .filter(|(at, _)| *at <= now)
    {
        stack.tcp.time_wait_ends.pop_front();
        match stack.tcp.time_wait.get(id) {
            // Started again in between: its later end stands further back.
            Some(tw) if tw.ends > at => {}
            _ => remove(stack, id),
        }
    }
}

/// A segment for a connection in TIME-WAIT.
pub(crate) fn input(stack: &mut Stack, now: Instant, id: TimeWaitId, seg: &Segment<'_>) {
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
        if let Some(listener) = listener::find(stack, &tuple) {
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
            stack.tcp.time_wait_ends.push_back((ends, id));
        }
        acknowledge(stack, now, id);
    } else if seg.len() > 0 || h.seq != tw.rcv_nxt {
        acknowledge(stack, now, id);
    }
}
