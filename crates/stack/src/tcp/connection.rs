//! A connection within its stack: segments, timers and calls act on the control block; their verdicts are carried out here.

use std::io::IoSlice;
use std::net::IpAddr;

use super::bytes::Slices;
use super::ecn;
use super::emit::{self, Dress, Head};
use super::input::Segment;
use super::layer::{TcpSocket, TimerKey};
use super::output::Plan;
use super::tcb::{Cx, Fate, Tcb, Verdict};
use super::time_wait;
use crate::config::Config;
use crate::error::Error;
use crate::ip::IcmpError;
use crate::socket::table::{CommonOpts, Proto, Socket};
use crate::socket::{Ready, SocketId, State};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::tcp::{Flags, Header, Options};

/// Octets a connection may have queued to send. SO_SNDBUF's doubled value counts the kernel's overhead; half of it is for data.
pub(crate) fn send_capacity(opts: &CommonOpts) -> usize {
    if opts.sndbuf_locked {
        (opts.sndbuf / 2).max(2304)
    } else {
        opts.sndbuf
    }
}

/// Octets a connection may have unread: the window (tcp_adv_win_scale = 1 makes it half of the doubled SO_RCVBUF).
pub(crate) fn recv_capacity(opts: &CommonOpts) -> usize {
    if opts.rcvbuf_locked {
        (opts.rcvbuf / 2).max(1152)
    } else {
        opts.rcvbuf
    }
}

/// Window shift to offer: the smallest with which the largest buffer can be told (RFC 7323 2.3).
pub(crate) fn window_shift(config: &Config, opts: &CommonOpts) -> u8 {
    let largest = if opts.rcvbuf_locked {
        recv_capacity(opts)
    } else {
        config.buf_max.max(opts.rcvbuf)
    };
    (0..14)
        .find(|shift| largest >> shift <= 65_535)
        .unwrap_or(14)
}

/// The socket, its TCP part and its control block.
fn parts(
    sockets: &mut slotmap::SlotMap<SocketId, Socket>,
    id: SocketId,
) -> Option<(&mut TcpSocket, &CommonOpts)> {
    let socket = sockets.get_mut(id)?;
    match &mut socket.proto {
        Proto::Tcp(tcp) => Some((tcp, &socket.opts)),
        Proto::Udp(_) => None,
    }
}

/// Lets `act` change the control block and carries out what follows.
pub(crate) fn with_tcb(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    act: impl FnOnce(&mut Tcb, &mut Cx<'_>) -> Verdict,
) {
    let Some((tcp, _)) = parts(&mut stack.sockets, id) else {
        return;
    };
    let Some(tcb) = tcp
        .tcb
        .as_deref_mut()
        .filter(|tcb| tcb.state != State::Closed)
    else {
        return;
    };
    let verdict = act(
        tcb,
        &mut Cx {
            now,
            pool: &mut stack.tcp.pool,
        },
    );
    settle(stack, now, id, verdict);
}

/// A segment for this connection.
pub(crate) fn input(stack: &mut Stack, now: Instant, id: SocketId, seg: Segment<'_>) {
    with_tcb(stack, now, id, |tcb, cx| tcb.on_segment(cx, seg));
}

/// An armed deadline, armed for `at`, has come.
pub(crate) fn on_timer(stack: &mut Stack, now: Instant, at: Instant, id: SocketId) {
    let Some((tcp, _)) = parts(&mut stack.sockets, id) else {
        return;
    };
    if tcp.armed != Some(at) {
        return; // an earlier one was armed since
    }
    tcp.armed = None;
    with_tcb(stack, now, id, |tcb, cx| {
        // Armed too early is the common case: deadlines mostly move back.
        if tcb.deadline().is_some_and(|deadline| deadline <= now) {
            tcb.on_timer(cx)
        } else {
            Verdict::default()
        }
    });
}

/// Carries out a verdict.
fn settle(stack: &mut Stack, now: Instant, id: SocketId, verdict: Verdict) {
    if let Some(seq) = verdict.reset_reply
        && let Some(tuple) = tcb(stack, id).map(|tcb| tcb.tuple)
    {
        emit::reset(stack, &tuple, seq, None);
    }
    if verdict.wake.contains(Ready::RDHUP)
        && let Some((tcp, _)) = parts(&mut stack.sockets, id)
    {
        tcp.shut_rd = true;
        tcp.done = true;
    }
    stack.notify(id, verdict.wake);
    match verdict.fate {
        Fate::Keep => {
            let Stack {
                sockets,
                tcp: layer,
                ..
            } = stack;
            if let Some((tcp, _)) = parts(sockets, id)
                && tcp.undelivered
                && tcp.tcb.as_deref().is_some_and(|tcb| tcb.snd.fin_acked())
            {
                delivered(tcp, &mut layer.undelivered);
            }
            schedule(stack, id);
        }
        Fate::Closed => end(stack, id, None),
        Fate::Failed(error) => end(stack, id, Some(error)),
        Fate::Abort(error) => {
            send_abort(stack, now, id);
            end(stack, id, error);
        }
        Fate::TimeWait => enter_time_wait(stack, now, id),
    }
}

/// A closed connection has nothing left to deliver.
fn delivered(tcp: &mut TcpSocket, count: &mut usize) {
    if std::mem::take(&mut tcp.undelivered) {
        *count = count.saturating_sub(1);
    }
}

/// The control block, if there is one.
pub(crate) fn tcb(stack: &Stack, id: SocketId) -> Option<&Tcb> {
    stack.sockets.get(id)?.tcp()?.tcb.as_deref()
}

/// Arms the earliest deadline if it is earlier than what is armed, and queues the socket for transmission.
pub(crate) fn schedule(stack: &mut Stack, id: SocketId) {
    arm(stack, id);
    let Some((tcp, _)) = parts(&mut stack.sockets, id) else {
        return;
    };
    if tcp.tcb.is_some() && !tcp.queued {
        tcp.queued = true;
        stack.tcp.tx.push_back(id);
    }
}

/// Arms the earliest deadline if it is earlier than what is armed.
fn arm(stack: &mut Stack, id: SocketId) {
    let Some((tcp, _)) = parts(&mut stack.sockets, id) else {
        return;
    };
    let Some(deadline) = tcp.tcb.as_deref().and_then(Tcb::deadline) else {
        return;
    };
    if tcp.armed.is_some_and(|armed| armed <= deadline) {
        return;
    }
    tcp.armed = Some(deadline);
    stack.tcp.arm(deadline, TimerKey::Conn(id));
    sweep_deadlines(stack);
}

/// Deadlines of connections that are over (a keepalive two hours ahead) would pile up: when most mean nothing they are dropped, at
/// a cost that the arming of as many has paid for.
fn sweep_deadlines(stack: &mut Stack) {
    let Stack { sockets, tcp, .. } = stack;
    let live = sockets.len() + tcp.half_open.len();
    if tcp.deadlines_armed() <= 2 * live + 1024 {
        return;
    }
    let half_open = std::mem::take(&mut tcp.half_open);
    tcp.retain_deadlines(|at, key| match key {
        TimerKey::Conn(id) => sockets
            .get(id)
            .and_then(Socket::tcp)
            .is_some_and(|tcp| tcp.armed == Some(at)),
        TimerKey::HalfOpen(id) => half_open.contains_key(id),
    });
    tcp.half_open = half_open;
}

/// Sends what may be sent now.
pub(crate) fn output(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    sink: &mut dyn FnMut(&[IoSlice<'_>]),
) {
    let Stack {
        sockets, ip, stats, ..
    } = stack;
    let Some((tcp, opts)) = parts(sockets, id) else {
        return;
    };
    tcp.queued = false;
    let Some(tcb) = tcp.tcb.as_deref_mut() else {
        return;
    };
    while let Some(plan) = tcb.next_segment(now) {
        let dress = dress(tcb, opts, &plan);
        let header = tcb.header_for(&plan, now);
        let mut text = Slices::new();
        let offset = plan.seq.since(tcb.snd.base) as usize;
        if plan.len > 0 {
            tcb.snd.queue.slices(offset, plan.len as usize, &mut text);
        }
        let head = Head::build(ip, &dress, &header, &text);
        text.insert(0, IoSlice::new(head.bytes()));
        if dress.local {
            ip.loop_back(&text);
        } else {
            stats.frames_out += 1;
            sink(&text);
        }
        drop(text);
        tcb.sent(&plan, now);
    }
    tcb.note_waits(now);
    arm(stack, id);
}

fn dress(tcb: &Tcb, opts: &CommonOpts, plan: &Plan) -> Dress {
    let dst: IpAddr = tcb.tuple.remote;
    let (ttl, tos) = opts.ttl_tos(dst);
    let mss = tcb.eff_mss();
    Dress {
        src: tcb.tuple.local,
        dst,
        ttl,
        // Linux keeps the program's IP_TOS out of the ECN bits of TCP.
        tos: tos & !ecn::MASK | tcb.ecn_bits(plan.seq, plan.len),
        local: tcb.path.local,
        gso_size: (plan.len > mss).then_some(mss),
    }
}

/// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=RST,ACK>`: the connection is given up.
fn send_abort(stack: &mut Stack, now: Instant, id: SocketId) {
    let Some(tcb) = tcb(stack, id) else { return };
    if matches!(tcb.state, State::SynSent | State::Closed) {
        return;
    }
    // RFC 7323 3.2: a reset of a connection with timestamps may carry one; Linux's do.
    let ts = tcb.ts.ok.then(|| (tcb.ts.val(now), tcb.ts.recent));
    let header = Header {
        seq: tcb.snd.max,
        ack: tcb.rcv.nxt,
        flags: Flags::RST | Flags::ACK,
        options: Options {
            ts,
            ..Options::default()
        },
        ..Header::default()
    };
    let tuple = tcb.tuple;
    emit::control(stack, &tuple, header);
}

/// Gives a connection up with a reset to the peer; no error is left behind.
pub(crate) fn abort(stack: &mut Stack, now: Instant, id: SocketId) {
    with_tcb(stack, now, id, |_, _| Verdict::end(Fate::Abort(None)));
}

/// The connection is over: its flow goes; what was received stays readable; an orphan's socket goes altogether.
pub(crate) fn end(stack: &mut Stack, id: SocketId, error: Option<Error>) {
    let Stack {
        sockets,
        tcp: layer,
        ..
    } = stack;
    let Some(socket) = sockets.get_mut(id) else {
        return;
    };
    let port_locked = socket.port_locked;
    let Proto::Tcp(tcp) = &mut socket.proto else {
        return;
    };
    let Some(tcb) = tcp.tcb.as_deref_mut() else {
        return;
    };
    if tcb.state != State::Closed {
        tcb.state = State::Closed;
        layer.flows.remove(&tcb.tuple);
        tcb.snd.queue.clear(&mut layer.pool);
        tcb.timers = Default::default();
        tcb.snd.hold_until = None;
        tcb.snd.sent = Default::default();
        tcb.rcv.assembler.clear();
        delivered(tcp, &mut layer.undelivered);
    }
    tcp.shut_rd = true;
    tcp.shut_wr = true;
    if error.is_some() {
        socket.pending_error = error;
    }
    let (orphan, lingering) = (tcp.orphan, tcp.lingering);
    if orphan && !lingering {
        discard(stack, id);
        return;
    }
    // Linux, tcp_set_state(TCP_CLOSE): a port that was not asked for by bind goes back.
    if !port_locked {
        stack.ports.release(id);
    }
    let mut wake = Ready::IN | Ready::OUT | Ready::HUP | Ready::RDHUP;
    if error.is_some() {
        wake |= Ready::ERR;
    }
    stack.notify(id, wake);
}

/// The socket ceases to exist.
pub(crate) fn discard(stack: &mut Stack, id: SocketId) {
    if let Some((tcp, _)) = parts(&mut stack.sockets, id)
        && let Some(mut tcb) = tcp.tcb.take()
    {
        tcb.release(&mut stack.tcp.pool);
    }
    stack.forget(id);
}

fn enter_time_wait(stack: &mut Stack, now: Instant, id: SocketId) {
    let Some(numbers) = tcb(stack, id).map(time_wait::Numbers::of) else {
        return;
    };
    let orphan = stack
        .sockets
        .get(id)
        .and_then(Socket::tcp)
        .is_some_and(|tcp| tcp.orphan);
    // The port stays taken for as long as the remnant lives; a socket that is still open holds it itself.
    let hold = if orphan { stack.ports.detach(id) } else { None };
    // The connection's flow goes with its end; the remnant's comes in its place.
    end(stack, id, None);
    time_wait::enter(stack, now, numbers, hold);
}

/// ICMP about a segment of ours: in SYN-SENT it ends the attempt (Linux), later it is remembered and reported should the
/// connection fail (MUST-56); a smaller MTU is believed when it is about an octet in flight (RFC 5927 4.1).
pub(crate) fn icmp_error(stack: &mut Stack, now: Instant, id: SocketId, error: &IcmpError) {
    let Some(tcb) = tcb(stack, id) else { return };
    let believable = error.seq.is_some_and(|seq| {
        let seq = super::seq::SeqNum::new(seq);
        seq.after_eq(tcb.snd.una) && seq.before(tcb.snd.max)
    });
    if !believable {
        return;
    }
    if let Some(mtu) = error.mtu {
        let (local, remote) = (tcb.tuple.local, tcb.tuple.remote);
        stack.ip.update_path_mtu(remote, mtu);
        if let Ok(path) = stack.ip.path(remote, Some(local)) {
            with_tcb(stack, now, id, |tcb, _| {
                // What changes nothing, a forged error or the next one of the same flight, sends nothing again (RFC 5927 7).
                if tcb.path_changed(path) {
                    tcb.resend_all(now);
                }
                Verdict::default()
            });
        }
        return;
    }
    let what = error.error;
    with_tcb(stack, now, id, |tcb, _| {
        if matches!(tcb.state, State::SynSent | State::SynReceived) {
            return Verdict::end(Fate::Failed(what));
        }
        tcb.soft_error = Some(what);
        Verdict::default()
    });
}
