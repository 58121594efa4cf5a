//! Passive opens between SYN and ACK (SYN-RECEIVED from LISTEN), in a form much smaller than a connection.

use std::time::Duration;

use super::emit;
use super::input::Segment;
use super::layer::{Flow, TimerKey};
use super::listener;
use super::seq::SeqNum;
use super::tcb::{Birth, Tcb};
use super::timers::SYN_ACK_RETRIES;
use super::tuple::Tuple;
use super::{connection, ecn, gso_for};
use crate::error::Error;
use crate::ip::IcmpError;
use crate::socket::table::Socket;
use crate::socket::{SocketId, State};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::tcp::{Flags, Header, Options};

slotmap::new_key_type! {
    /// Handle of a half-open connection.
    pub(crate) struct HalfOpenId;
}

/// First wait for the ACK (RFC 6298 2.1).
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// A SYN that was answered.
#[derive(Copy, Clone, Debug)]
pub(crate) struct HalfOpen {
    /// Who listened.
    pub(crate) listener: SocketId,
    /// The 4-tuple.
    pub(crate) tuple: Tuple,
    /// The peer's initial sequence number.
    pub(crate) irs: SeqNum,
    /// Ours.
    pub(crate) iss: SeqNum,
    /// The SYN's window.
    window: u16,
    /// The SYN's MSS.
    mss: Option<u16>,
    /// The SYN's window scale.
    wscale: Option<u8>,
    /// The SYN's TSval.
    ts: Option<u32>,
    /// The SYN had SACK-permitted.
    sack_ok: bool,
    /// The SYN asked for ECN and we agree.
    ecn: bool,
    /// Window shift that we offer.
    our_wscale: u8,
    /// MSS that we offer.
    our_mss: u16,
    /// Window that we offer, unscaled.
    our_window: u16,
    /// SYN-ACKs sent again.
    retries: u8,
    /// It was not remembered but recalled from a cookie.
    cookie: bool,
    /// When the SYN-ACK was first sent.
    sent: Instant,
}

impl HalfOpen {
    /// The SYN's options cannot be kept: none was agreed on.
    pub(crate) fn forgo_options(&mut self) {
        self.wscale = None;
        self.ts = None;
        self.sack_ok = false;
    }

    /// ECN is not agreed on.
    pub(crate) fn forgo_ecn(&mut self) {
        self.ecn = false;
    }

    /// What a cookie says of a SYN that was not kept. The round-trip time is not known: the SYN-ACK counts as sent again.
    pub(crate) fn recall(
        &mut self,
        irs: SeqNum,
        iss: SeqNum,
        mss: Option<u16>,
        wscale: Option<u8>,
        sack_ok: bool,
    ) {
        self.irs = irs;
        self.iss = iss;
        self.mss = mss;
        self.wscale = wscale;
        self.sack_ok = sack_ok;
        self.ecn = false;
        self.cookie = true;
    }
}

/// What is to be remembered of a SYN for a listener.
pub(crate) fn describe(
    stack: &Stack,
    now: Instant,
    listener: SocketId,
    tuple: Tuple,
    seg: &Segment<'_>,
) -> Option<HalfOpen> {
    let birth = birth(stack, now, listener, tuple)?;
    let options = &seg.header.options;
    Some(HalfOpen {
        listener,
        tuple,
        irs: seg.header.seq,
        iss: birth.iss,
        window: seg.header.window,
        mss: options.mss,
        wscale: options.wscale,
        ts: (options.ts.filter(|_| stack.config.timestamps)).map(|(val, _)| val),
        sack_ok: options.sack_permitted,
        ecn: ecn::agrees(stack.config.ecn, seg.header, seg.tos),
        our_wscale: birth.wscale,
        our_mss: birth.mss_option(),
        our_window: birth.rcvbuf.min(65_535) as u16,
        retries: 0,
        cookie: false,
        sent: now,
    })
}

/// A SYN for a listener: remembers it and answers (RFC 9293 3.10.7.2). The caller has looked at the queues' limits.
pub(crate) fn open(
    stack: &mut Stack,
    now: Instant,
    listener: SocketId,
    tuple: Tuple,
    seg: &Segment<'_>,
) {
    let Some(entry) = describe(stack, now, listener, tuple, seg) else {
        return;
    };
    let id = stack.tcp.half_open.insert(entry);
    stack.tcp.flows.insert(tuple, Flow::HalfOpen(id));
    stack.tcp.arm(now + FIRST_WAIT, TimerKey::HalfOpen(id));
    listener::count_half_open(stack, listener, 1);
    send_syn_ack(stack, now, id);
}

/// What a connection from this listener is made from.
fn birth(stack: &Stack, now: Instant, listener: SocketId, tuple: Tuple) -> Option<Birth> {
    let socket = stack.sockets.get(listener)?;
    let path = stack.ip.path(tuple.remote, Some(tuple.local)).ok()?;
    let tuning = socket.tcp()?.tuning;
    Some(Birth {
        tuple,
        path,
        iss: stack.tcp.isn(&tuple, now),
        timestamps: stack.config.timestamps,
        ts_offset: stack.tcp.ts_offset(&tuple),
        sndbuf: connection::send_capacity(&socket.opts),
        rcvbuf: connection::recv_capacity(&socket.opts),
        wscale: connection::window_shift(&stack.config, &socket.opts),
        tuning,
        gso: gso_for(stack, &tuple, &path),
        ecn: false,
        congestion: tuning.congestion.unwrap_or(stack.config.congestion),
    })
}

fn send_syn_ack(stack: &mut Stack, now: Instant, id: HalfOpenId) {
    let Some(entry) = stack.tcp.half_open.get(id).copied() else {
        return;
    };
    let offset = stack.tcp.ts_offset(&entry.tuple);
    emit_syn_ack(stack, &entry, (now.as_millis() as u32).wrapping_add(offset));
}

/// Sends the SYN-ACK for a SYN, with this TSval.
pub(crate) fn emit_syn_ack(stack: &mut Stack, entry: &HalfOpen, ts_val: u32) {
    let options = Options {
        mss: Some(entry.our_mss),
        // RFC 7323 2.2, 3.2 and RFC 2018 2: only what the SYN had.
        wscale: entry.wscale.map(|_| entry.our_wscale),
        ts: entry.ts.map(|recent| (ts_val, recent)),
        sack_permitted: entry.sack_ok,
        ..Options::default()
    };
    let header = Header {
        seq: entry.iss,
        ack: entry.irs + 1,
        flags: if entry.ecn {
            Flags::SYN | Flags::ACK | Flags::ECE
        } else {
            Flags::SYN | Flags::ACK
        },
        window: entry.our_window,
        options,
        ..Header::default()
    };
    emit::control(stack, &entry.tuple, header);
}

/// The SYN-ACK's timer (RFC 6298 5).
pub(crate) fn on_timer(stack: &mut Stack, now: Instant, id: HalfOpenId) {
    let Some(entry) = stack.tcp.half_open.get_mut(id) else {
        return;
    };
    let orphaned = stack
        .sockets
        .get(entry.listener)
        .is_none_or(|s| s.tcp().is_none_or(|t| t.listener.is_none()));
    if u32::from(entry.retries) >= SYN_ACK_RETRIES || orphaned {
        remove(stack, id);
        return;
    }
    entry.retries += 1;
    let wait = FIRST_WAIT * (1 << u32::from(entry.retries));
    stack.tcp.arm(now + wait, TimerKey::HalfOpen(id));
    send_syn_ack(stack, now, id);
}

/// Forgets a half-open connection.
pub(crate) fn remove(stack: &mut Stack, id: HalfOpenId) {
    if let Some(entry) = stack.tcp.half_open.remove(id) {
        stack.tcp.flows.remove(&entry.tuple);
        listener::count_half_open(stack, entry.listener, -1);
    }
}

/// An ICMP error about a SYN-ACK: who can't be reached is not waited for (Linux: tcp_req_err). There is no connection yet that
/// MUST-56 would shield.
pub(crate) fn icmp_error(stack: &mut Stack, id: HalfOpenId, error: &IcmpError) {
    let unreachable = matches!(
        error.error,
        Error::HostUnreachable | Error::NetworkUnreachable
    );
    let ours = stack
        .tcp
        .half_open
        .get(id)
        .is_some_and(|entry| error.seq == Some(entry.iss.raw()));
    if unreachable && ours && error.mtu.is_none() {
        remove(stack, id);
    }
}

/// A segment for a half-open connection (RFC 9293 3.10.7.4, SYN-RECEIVED).
pub(crate) fn input(stack: &mut Stack, now: Instant, id: HalfOpenId, seg: &Segment<'_>) {
    let Some(entry) = stack.tcp.half_open.get(id).copied() else {
        return;
    };
    let h = seg.header;
    let in_window = h.seq.after_eq(entry.irs + 1)
        && h.seq.before_eq(entry.irs + 1 + u32::from(entry.our_window));
    if h.has(Flags::RST) {
        // RFC 5961 3.2, and back to LISTEN as RFC 9293 has it for passive opens.
        if h.seq == entry.irs + 1 {
            remove(stack, id);
        }
        return;
    }
    if h.has(Flags::SYN) {
        // The SYN again: our answer was lost. Another one: the old one's ACK will sort it out (RFC 5961 4.2).
        send_syn_ack(stack, now, id);
        return;
    }
    if !h.has(Flags::ACK) {
        return;
    }
    if h.ack != entry.iss + 1 {
        emit::reset(stack, &entry.tuple, h.ack, None);
        return;
    }
    let older = |(val, _): (u32, u32)| {
        entry
            .ts
            .is_some_and(|recent| (val.wrapping_sub(recent) as i32) < 0)
    };
    if !in_window || h.options.ts.is_some_and(older) {
        send_syn_ack(stack, now, id);
        return;
    }
    // TCP_DEFER_ACCEPT: the bare ACK is not enough until SYN-ACKs enough were sent again (Linux: tcp_check_req).
    let defer = stack
        .sockets
        .get(entry.listener)
        .and_then(Socket::tcp)
        .map_or(0, |tcp| tcp.tuning.defer_accept);
    if entry.retries < defer && seg.payload.is_empty() && !h.has(Flags::FIN) {
        return;
    }
    // Linux (tcp_abort_on_overflow = 0): a full accept queue drops the ACK; the SYN-ACK's timer asks for it again.
    if !listener::has_room(stack, entry.listener) {
        if !listener::exists(stack, entry.listener) {
            remove(stack, id);
            emit::reset(stack, &entry.tuple, h.ack, None);
        } else {
            stack.stats.queue_full += 1;
        }
        return;
    }
    remove(stack, id);
    promote(stack, now, entry, seg);
}

/// The third segment of the handshake is here: the connection gets its control block and stands in the accept queue.
pub(crate) fn promote(stack: &mut Stack, now: Instant, entry: HalfOpen, seg: &Segment<'_>) {
    let Some(birth) = birth(stack, now, entry.listener, entry.tuple) else {
        return;
    };
    let mut tcb = Tcb::new(
        Birth {
            iss: entry.iss,
            wscale: entry.our_wscale,
            ..birth
        },
        now,
    );
    let options = Options {
        mss: entry.mss,
        wscale: entry.wscale,
        ts: entry.ts.map(|val| (val, 0)),
        sack_permitted: entry.sack_ok,
        ..Options::default()
    };
    tcb.take_syn(now, entry.irs, entry.window, &options);
    tcb.state = State::SynReceived;
    tcb.ecn.ok = entry.ecn;
    tcb.snd.nxt = entry.iss + 1;
    tcb.snd.max = entry.iss + 1;
    tcb.snd.sent.push(entry.iss, 1, entry.sent);
    if entry.retries > 0 || entry.cookie {
        tcb.snd.sent.resend(entry.iss, 1, now);
        tcb.timers.retries = u32::from(entry.retries);
    }
    let Some(child) = listener::enqueue(stack, entry.listener, tcb) else {
        return;
    };
    connection::input(stack, now, child, *seg);
}

/// A socket for an accepted connection: the listener's options, as Linux's inet_csk_clone_lock() copies them.
pub(crate) fn clone_socket(
    parent: &Socket,
    stack_config: &crate::config::Config,
    tcb: Tcb,
) -> Socket {
    use super::layer::{Link, TcpSocket};
    use crate::socket::table::Proto;
    let tcp = TcpSocket {
        tuning: tcb.tuning,
        link: Link::Connected,
        ..TcpSocket::default()
    };
    let (local, peer) = (tcb.tuple.local_addr(), tcb.tuple.remote_addr());
    let mut socket = Socket::new(
        parent.domain,
        stack_config,
        Proto::Tcp(Box::new(TcpSocket {
            tcb: Some(Box::new(tcb)),
            ..tcp
        })),
    );
    socket.opts = parent.opts.clone();
    socket.local = Some(local);
    socket.peer = Some(peer);
    // The port is the listener's: it does not go back to the pool when the connection ends (SOCK_BINDPORT_LOCK is inherited).
    socket.port_locked = parent.port_locked;
    socket.addr_locked = parent.addr_locked;
    socket
}
