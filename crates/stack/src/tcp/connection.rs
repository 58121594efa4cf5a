//! A connection within its stack: segments, timers and calls act on the control block; their verdicts are carried out here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::batch::Batch;
use super::ecn;
use super::emit::{self, Dress, Exit};
use super::fastopen;
use super::flows::Flow;
use super::input::Segment;
use super::layer::{TcpLayer, TcpSocket};
use super::marks;
use super::output::Plan;
use super::predicted;
use super::sizing;
use super::tcb::{Buffers, Cx, Fate, Tcb, Verdict};
use super::time_wait;
use crate::config::Config;
use crate::error::Error;
use crate::ip::{IcmpError, Iface};
use crate::sink::Sink;
use crate::socket::attribute::{Extra, pmtu};
use crate::socket::errqueue::Report;
use crate::socket::table::{CommonOpts, Proto, Socket, Sockets};
use crate::socket::{Ready, SocketId, State};
use crate::stack::Stack;
use crate::time::{Instant, earliest};
use crate::wire::tcp::{Flags, Header, Options};

/// After this long without anything to wait for a connection is idle.
pub(super) const IDLE: Duration = Duration::from_secs(1);

/// The buffers of a connection of a socket with these options.
pub(crate) fn buffers(opts: &CommonOpts) -> Buffers {
    Buffers {
        send: opts.sndbuf(),
        send_locked: opts.sndbuf_locked,
        recv: sizing::window_of(opts.rcvbuf()),
        recv_locked: opts.rcvbuf_locked,
    }
}

/// Window shift to offer: the smallest with which the largest buffer can be told (RFC 7323 2.3). As on Linux that of a buffer which
/// may grow counts whole (tcp_select_initial_window).
pub(crate) fn window_shift(config: &Config, opts: &CommonOpts) -> u8 {
    let largest = if opts.rcvbuf_locked {
        sizing::window_of(opts.rcvbuf())
    } else {
        config.tcp_rmem[2].max(sizing::window_of(opts.rcvbuf()))
    };
    (0..14)
        .find(|shift| largest >> shift <= 65_535)
        .unwrap_or(14)
}

/// The socket, its TCP part and its control block.
fn parts(sockets: &mut Sockets, id: SocketId) -> Option<(&mut TcpSocket, &CommonOpts)> {
    let socket = sockets.get_mut(id)?;
    match &mut socket.proto {
        Proto::Tcp(tcp) => Some((tcp, &socket.opts)),
        Proto::Udp(_) | Proto::Raw(_) => None,
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
            config: &stack.config,
        },
    );
    stack.tcp.pool.note_taker(id);
    settle(stack, now, id, verdict);
}

/// A segment for this connection.
pub(crate) fn input(stack: &mut Stack, now: Instant, id: SocketId, seg: Segment<'_>) {
    stack.note_arrival(id, seg.ttl);
    if predicted::input(stack, now, id, &seg) {
        return;
    }
    with_tcb(stack, now, id, |tcb, cx| tcb.on_segment(cx, seg));
}

/// The frame of the last segment is done with. When a receive queue keeps its buffer, another of the same size is put in its place. Returns
/// whose text in it was the next of its connection.
pub(crate) fn keep_frame(stack: &mut Stack, frame: &mut Box<[u8]>) -> Option<SocketId> {
    let Stack {
        sockets,
        tcp: layer,
        ..
    } = stack;
    let (offset, id) = layer.pool.kept(frame);
    let Some(offset) = offset else {
        return id;
    };
    let spare = layer.pool.take_frame(frame.len());
    let full = std::mem::replace(frame, spare);
    let unwanted = match id.and_then(|id| tcb_mut(sockets, id)) {
        Some(tcb) => tcb.rcv.queue.fill(full, offset).err(),
        None => Some(full),
    };
    // The connection ended with this very segment, and its queue with it.
    if let Some(frame) = unwanted {
        layer.pool.give_frame(frame);
    }
    id
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
            let verdict = tcb.on_timer(cx);
            tcb.rest(now);
            verdict
        } else {
            tcb.rest(now);
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
    if tcb(stack, id).is_some_and(|tcb| tcb.fast_open.is_some()) {
        fastopen::settle(stack, now, id, verdict.fate);
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
            go_on(stack, now, id);
            marks::acknowledged(stack, now, id, false);
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

/// The control block, to be changed.
pub(crate) fn tcb_mut(sockets: &mut Sockets, id: SocketId) -> Option<&mut Tcb> {
    parts(sockets, id)?.0.tcb.as_deref_mut()
}

/// Arms the earliest deadline if it is earlier than what is armed, and queues the socket for transmission.
pub(crate) fn schedule(stack: &mut Stack, id: SocketId) {
    arm(stack, id);
    queue(stack, id);
}

/// Queues the socket for transmission, which arms its earliest deadline.
pub(crate) fn queue(stack: &mut Stack, id: SocketId) {
    if let Some((tcp, _)) = parts(&mut stack.sockets, id) {
        enqueue(tcp, &mut stack.tcp, id);
    }
}

/// The same with what it needs at hand.
#[inline]
pub(super) fn enqueue(tcp: &mut TcpSocket, layer: &mut TcpLayer, id: SocketId) {
    if tcp.tcb.is_some() && !tcp.queued {
        tcp.queued = true;
        layer.tx.push_back(id);
    }
}

/// After a segment, a timer or a call: what is to be sent goes with the next transmission, which arms the earliest deadline.
fn go_on(stack: &mut Stack, now: Instant, id: SocketId) {
    let Some((tcp, _)) = parts(&mut stack.sockets, id) else {
        return;
    };
    if !queue_if_needed(tcp, &mut stack.tcp, now, id) {
        arm(stack, id);
    }
}

/// Queues the connection for transmission unless [`output`] would find nothing to send and nobody to tell; what that does besides is done then,
/// but for the arming of a deadline. False: that is left to do.
#[inline]
pub(super) fn queue_if_needed(
    tcp: &mut TcpSocket,
    layer: &mut TcpLayer,
    now: Instant,
    id: SocketId,
) -> bool {
    let Some(tcb) = tcp.tcb.as_deref_mut() else {
        return true;
    };
    if tcp.queued {
        return true;
    }
    let opening = matches!(tcb.state, State::SynSent | State::SynReceived);
    if opening || !tcb.has_nothing_to_send() || tcb.snd.full {
        tcp.queued = true;
        layer.tx.push_back(id);
        return true;
    }
    tcb.rcv.pressed = layer.pool.account.pressed();
    tcb.note_waits(now);
    false
}

/// Arms the earliest deadline if it is earlier than what is armed. One that has none is looked at again when it may be idle.
pub(super) fn arm(stack: &mut Stack, id: SocketId) {
    let now = stack.ip.now();
    let Some((tcp, _)) = parts(&mut stack.sockets, id) else {
        return;
    };
    if let Some(deadline) = sooner(tcp, now) {
        tcp.armed = Some(deadline);
        stack.tcp.arm(deadline, id);
        sweep_deadlines(stack);
    }
}

/// The deadline that is to be armed in place of the one that is, if it is earlier.
#[inline]
fn sooner(tcp: &TcpSocket, now: Instant) -> Option<Instant> {
    let tcb = tcp.tcb.as_deref()?;
    let deadline = tcb.deadline();
    match tcp.armed {
        Some(armed) => deadline.filter(|deadline| *deadline < armed),
        None => earliest([deadline, tcb.stirred.then(|| now + IDLE)]),
    }
}

/// Deadlines of connections that are over (a keepalive two hours ahead) would pile up: when most mean nothing they are dropped, at
/// a cost that the arming of as many has paid for.
fn sweep_deadlines(stack: &mut Stack) {
    let Stack { sockets, tcp, .. } = stack;
    if tcp.deadlines_armed() <= 2 * sockets.len() + 1024 {
        return;
    }
    tcp.retain_deadlines(|at, id| {
        sockets
            .get(id)
            .and_then(Socket::tcp)
            .is_some_and(|tcp| tcp.armed == Some(at))
    });
}

/// Sends what may be sent now.
pub(crate) fn output(stack: &mut Stack, now: Instant, id: SocketId, sink: &mut dyn Sink) {
    let Stack {
        sockets,
        ip,
        stats,
        config,
        tcp: layer,
        ..
    } = stack;
    let Some(socket) = sockets.get_mut(id) else {
        return;
    };
    let by = Iface::from_index(socket.bound_if());
    let (opts, extra) = (&socket.opts, &mut socket.extra);
    let Proto::Tcp(tcp) = &mut socket.proto else {
        return;
    };
    tcp.queued = false;
    let df = dont_fragment(extra.as_deref(), &tcp.tcb);
    let mut told = false;
    let Some(tcb) = tcp.tcb.as_deref_mut() else {
        return;
    };
    tcb.rcv.pressed = layer.pool.account.pressed();
    let mut exit = Exit {
        ip,
        stats,
        by,
        sink,
        batch: Batch::default(),
    };
    while let Some(plan) = tcb.next_segment(now) {
        let dress = Dress {
            df,
            ..dress(tcb, opts, &plan)
        };
        if Batch::fits(plan.len) && extra.is_none() && !dress.local {
            exit.keep(tcb, &plan, &dress, now);
        } else {
            exit.hand_out(tcb);
            told |= exit.send(tcb, &plan, &dress, now, extra.as_deref_mut(), opts.rcvbuf());
        }
        tcb.sent(&plan, now);
    }
    exit.hand_out(tcb);
    let room = tcb.check_room(config, layer.pool.account.pressed());
    tcb.note_waits(now);
    let deadline = sooner(tcp, exit.ip.now());
    if told {
        stack.notify(id, Ready::ERR);
    }
    if room {
        stack.notify(id, Ready::OUT);
    }
    if deadline.is_some() {
        arm(stack, id);
    }
}

/// What it would send now has to wait for the device.
pub(crate) fn hold_back(stack: &mut Stack, now: Instant, id: SocketId) {
    if let Some(tcb) = tcb_mut(&mut stack.sockets, id) {
        tcb.held_back(now);
        arm(stack, id);
    }
}

/// Whether packets say don't-fragment (ip_dont_fragment).
fn dont_fragment(extra: Option<&Extra>, tcb: &Option<Box<Tcb>>) -> bool {
    let v6 = tcb.as_deref().is_some_and(|tcb| !tcb.tuple.is_v4());
    extra.is_none_or(|extra| matches!(extra.opts.pmtu(v6), pmtu::WANT | pmtu::DO))
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
        df: true,
        tos: tos & !ecn::MASK | tcb.ecn_bits(plan.seq, plan.len),
        local: tcb.path.local,
        gso_size: (plan.len > mss && !plan.whole).then_some(mss),
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
    let by = stack.sockets.get(id).map_or(0, Socket::bound_if);
    emit::control_by(stack, &tuple, by, header);
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
        ports,
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
        layer.flows.remove(&tcb.tuple, Flow::Conn(id));
        let (local, remote) = (tcb.tuple.local_addr(), tcb.tuple.remote_addr());
        ports.vacated(local, remote);
        tcb.snd.queue.clear(&mut layer.pool);
        tcb.snd.pieces = Default::default();
        // TCP_INFO tells to the last how often it was tried.
        let probes_out = tcb.timers.probes_out;
        tcb.timers = Default::default();
        if probes_out > 0 {
            tcb.timers.probes_out = probes_out;
        }
        tcb.pacing = None;
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
    let now = stack.ip.now();
    marks::acknowledged(stack, now, id, true);
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
    // The remnant is in the way of a bind as the connection was, whatever becomes of the socket (inet_twsk_hashdance).
    let hold = stack.ports.share(id);
    // The connection's flow goes with its end; the remnant's comes in its place.
    end(stack, id, None);
    time_wait::enter(stack, now, numbers, hold);
}

/// ICMP about a segment of ours: in SYN-SENT it ends the attempt (Linux), later it is remembered and reported should the
/// connection fail (MUST-56); a smaller MTU is believed when it is about an octet in flight (RFC 5927 4.1).
pub(crate) fn icmp_error(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    error: &IcmpError,
    quoted: &[u8],
) {
    let Some(tcb) = tcb(stack, id) else { return };
    let believable = error.seq.is_some_and(|seq| {
        let seq = super::seq::SeqNum::new(seq);
        seq.after_eq(tcb.snd.una) && seq.before(tcb.snd.max)
    });
    if !believable {
        stack.stats.out_of_window_icmps += 1;
        return;
    }
    if let Some(mtu) = error.mtu {
        let (local, remote) = (tcb.tuple.local, tcb.tuple.remote);
        stack.ip.update_path_mtu(remote, mtu);
        let by = stack.sockets.get(id).map_or(0, Socket::bound_if);
        if let Ok(path) = stack.ip.path_by(remote, Some(local), by) {
            with_tcb(stack, now, id, |tcb, _| {
                // What changes nothing, a forged error or the next one of the same flight, sends nothing again (RFC 5927 7).
                if tcb.path_changed(path) {
                    match tcb.state {
                        State::SynSent => tcb.renew_syn(),
                        _ => tcb.resend_all(now),
                    }
                }
                Verdict::default()
            });
        }
        return;
    }
    let what = error.error;
    let opening = matches!(tcb.state, State::SynSent | State::SynReceived);
    // A passive open that is accepted counts as connected (Linux: tcp_v4_err).
    let accepted = tcb.fast_open.as_deref().is_some_and(|s| s.accepted);
    if opening && !accepted {
        // Of an open the whole story is told, asked for or not; of a connection only the error, when asked for.
        let report = Report {
            name: Some(error.remote),
            data: Some(Arc::from(quoted)),
            ..error.report()
        };
        stack.report_error(id, report);
    } else if let Some(socket) = stack.sockets.get_mut(id)
        && socket.wants_errors(error.remote.is_ipv6())
    {
        socket.pending_error = Some(what);
        stack.notify(id, Ready::ERR);
        return;
    }
    with_tcb(stack, now, id, |tcb, _| {
        if opening && !accepted {
            return Verdict::end(Fate::Failed(what));
        }
        tcb.soft_error = Some(what);
        Verdict::default()
    });
}
