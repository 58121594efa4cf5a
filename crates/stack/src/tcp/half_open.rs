//! Passive opens between SYN and ACK (SYN-RECEIVED from LISTEN), in a form much smaller than a connection.

use std::num::NonZeroU16;
use std::time::Duration;

use bitflags::bitflags;

use super::emit;
use super::flows::Flow;
use super::input::Segment;
use super::layer::TcpLayer;
use super::listener;
use super::seq::SeqNum;
use super::tcb::{Birth, Tcb};
use super::timers::SYN_ACK_RETRIES;
use super::tuple::Tuple;
use super::{connection, ecn, gso_for, mtu_search, sizing};
use crate::fifo::{Linked, Links};
use crate::ip::IcmpError;
use crate::socket::table::Socket;
use crate::socket::{SocketId, State};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::fast_open::FastOpenOption;
use crate::wire::tcp::{Flags, Header, Options};

slotmap::new_key_type! {
    /// Handle of a half-open connection.
    pub(crate) struct HalfOpenId;
}

/// First wait for the ACK (RFC 6298 2.1).
const FIRST_WAIT: Duration = Duration::from_secs(1);

bitflags! {
    /// What a SYN said that was answered.
    #[derive(Copy, Clone, Debug)]
    struct Said: u8 {
        /// It had a timestamp.
        const TS = 1;
        /// It had SACK-permitted.
        const SACK = 2;
        /// It asked for ECN and we agree.
        const ECN = 4;
        /// It was not remembered but recalled from a cookie.
        const COOKIE = 8;
    }
}

/// A SYN that was answered.
#[derive(Copy, Clone, Debug)]
pub(crate) struct HalfOpen {
    /// Who listened.
    pub(crate) listener: SocketId,
    /// The 4-tuple.
    pub(crate) tuple: Tuple,
    /// In [`TcpLayer::half_open_due`].
    links: Links,
    /// The peer's initial sequence number.
    pub(crate) irs: SeqNum,
    /// Ours.
    pub(crate) iss: SeqNum,
    /// The SYN's window.
    window: u16,
    /// The SYN's MSS.
    mss: Option<NonZeroU16>,
    /// The SYN's window scale.
    wscale: Option<u8>,
    /// The SYN's TSval, if it had one.
    ts_val: u32,
    /// What else it said.
    said: Said,
    /// Window shift that we offer.
    our_wscale: u8,
    /// MSS that we offer.
    our_mss: u16,
    /// Window that we offer, unscaled.
    our_window: u16,
    /// SYN-ACKs sent again.
    retries: u8,
    /// When the SYN-ACK was last sent.
    sent: Instant,
}

impl HalfOpen {
    /// When the SYN-ACK is to be sent again: each wait is twice as long as the one before (RFC 6298 5.5).
    pub(crate) fn due(&self) -> Instant {
        self.sent + FIRST_WAIT * (1 << u32::from(self.retries))
    }

    /// The SYN's options cannot be kept: none was agreed on.
    pub(crate) fn forgo_options(&mut self) {
        self.wscale = None;
        self.said.remove(Said::TS | Said::SACK);
    }

    /// ECN is not agreed on.
    pub(crate) fn forgo_ecn(&mut self) {
        self.said.remove(Said::ECN);
    }

    /// The SYN's TSval.
    fn ts(&self) -> Option<u32> {
        self.said.contains(Said::TS).then_some(self.ts_val)
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
        self.mss = mss.and_then(NonZeroU16::new);
        self.wscale = wscale;
        self.said.set(Said::SACK, sack_ok);
        self.said.remove(Said::ECN);
        self.said.insert(Said::COOKIE);
    }
}

impl Linked for HalfOpen {
    fn links(&mut self) -> &mut Links {
        &mut self.links
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
    let our_mss = birth.mss_option();
    let ts = options.ts.filter(|_| stack.config.timestamps);
    let mut said = Said::empty();
    said.set(Said::TS, ts.is_some());
    said.set(Said::SACK, options.sack_permitted);
    said.set(
        Said::ECN,
        ecn::agrees(stack.config.ecn, seg.header, seg.tos),
    );
    let text = usize::from(our_mss).saturating_sub(if ts.is_some() { 12 } else { 0 });
    Some(HalfOpen {
        listener,
        tuple,
        links: Links::default(),
        irs: seg.header.seq,
        iss: birth.iss,
        window: seg.header.window,
        // None is smaller than the smallest that is heeded.
        mss: options.mss.map(|mss| mss.max(1)).and_then(NonZeroU16::new),
        wscale: options.wscale,
        ts_val: ts.map_or(0, |(val, _)| val),
        said,
        our_wscale: birth.wscale,
        our_mss,
        our_window: sizing::syn_window(birth.buffers.recv, text),
        retries: 0,
        sent: now,
    })
}

/// A SYN for a listener: remembers it and answers (RFC 9293 3.10.7.2), the first time with this Fast Open option. The caller has
/// looked at the queues' limits.
pub(crate) fn open(
    stack: &mut Stack,
    now: Instant,
    listener: SocketId,
    tuple: Tuple,
    seg: &Segment<'_>,
    option: Option<FastOpenOption>,
) {
    let Some(entry) = describe(stack, now, listener, tuple, seg) else {
        return;
    };
    let id = stack.tcp.half_open.insert(entry);
    stack.tcp.flows.insert(tuple, Flow::HalfOpen(id));
    wait_for_ack(&mut stack.tcp, id, 0);
    listener::count_half_open(stack, listener, 1);
    send_syn_ack(stack, now, id, option);
}

/// What a connection from this listener is made from.
fn birth(stack: &Stack, now: Instant, listener: SocketId, tuple: Tuple) -> Option<Birth> {
    let socket = stack.sockets.get(listener)?;
    let by = socket.bound_if();
    let path = stack.ip.path_by(tuple.remote, Some(tuple.local), by);
    let path = path.ok()?;
    let tuning = socket.tcp()?.tuning.clone();
    let (iss, ts_offset) = stack.tcp.beginnings(&tuple, now);
    Some(Birth {
        tuple,
        path,
        iss,
        timestamps: stack.config.timestamps,
        ts_offset,
        buffers: connection::buffers(&socket.opts),
        wscale: connection::window_shift(&stack.config, &socket.opts),
        congestion: tuning.congestion.unwrap_or(stack.config.congestion),
        tuning,
        gso: gso_for(stack, &tuple, &path),
        search_from: mtu_search::start(&stack.config, &path),
        ecn: false,
    })
}

fn send_syn_ack(stack: &mut Stack, now: Instant, id: HalfOpenId, option: Option<FastOpenOption>) {
    let Some(entry) = stack.tcp.half_open.get(id).copied() else {
        return;
    };
    let offset = stack.tcp.ts_offset(&entry.tuple);
    let ts_val = (now.as_millis() as u32).wrapping_add(offset);
    emit_syn_ack(stack, &entry, ts_val, option);
}

/// Sends the SYN-ACK for a SYN, with this TSval and Fast Open option.
pub(crate) fn emit_syn_ack(
    stack: &mut Stack,
    entry: &HalfOpen,
    ts_val: u32,
    fast_open: Option<FastOpenOption>,
) {
    let options = Options {
        mss: Some(entry.our_mss),
        // RFC 7323 2.2, 3.2 and RFC 2018 2: only what the SYN had.
        wscale: entry.wscale.map(|_| entry.our_wscale),
        ts: entry.ts().map(|recent| (ts_val, recent)),
        sack_permitted: entry.said.contains(Said::SACK),
        fast_open,
        ..Options::default()
    };
    let header = Header {
        seq: entry.iss,
        ack: entry.irs + 1,
        flags: if entry.said.contains(Said::ECN) {
            Flags::SYN | Flags::ACK | Flags::ECE
        } else {
            Flags::SYN | Flags::ACK
        },
        window: entry.our_window,
        options,
        ..Header::default()
    };
    let listener = stack.sockets.get(entry.listener);
    let by = listener.map_or(0, Socket::bound_if);
    emit::control_by(stack, &entry.tuple, by, header);
}

/// Puts `id` into the queue of those whose SYN-ACK was sent again `retries` times.
fn wait_for_ack(tcp: &mut TcpLayer, id: HalfOpenId, retries: u8) {
    if let Some(queue) = tcp.half_open_due.get_mut(usize::from(retries)) {
        queue.push(&mut tcp.half_open, id);
    }
}

fn leave_queue(tcp: &mut TcpLayer, id: HalfOpenId) {
    let retries = tcp.half_open.get(id).map_or(0, |entry| entry.retries);
    if let Some(queue) = tcp.half_open_due.get_mut(usize::from(retries)) {
        queue.take(&mut tcp.half_open, id);
    }
}

/// Sends the SYN-ACKs again whose time has come (RFC 6298 5).
pub(crate) fn expire(stack: &mut Stack, now: Instant) {
    for retries in 0..stack.tcp.half_open_due.len() {
        while let Some((id, _)) = (stack.tcp.half_open_due.get(retries))
            .and_then(|queue| queue.front(&stack.tcp.half_open))
            .filter(|(_, entry)| entry.due() <= now)
        {
            on_timer(stack, now, id);
        }
    }
}

/// The SYN-ACK's timer.
fn on_timer(stack: &mut Stack, now: Instant, id: HalfOpenId) {
    let Some(entry) = stack.tcp.half_open.get(id) else {
        return;
    };
    let retries = entry.retries + 1;
    if u32::from(retries) > SYN_ACK_RETRIES || !listener::exists(stack, entry.listener) {
        remove(stack, id);
        return;
    }
    leave_queue(&mut stack.tcp, id);
    if let Some(entry) = stack.tcp.half_open.get_mut(id) {
        entry.retries = retries;
        entry.sent = now;
    }
    wait_for_ack(&mut stack.tcp, id, retries);
    send_syn_ack(stack, now, id, None);
}

/// Forgets a half-open connection.
pub(crate) fn remove(stack: &mut Stack, id: HalfOpenId) {
    leave_queue(&mut stack.tcp, id);
    if let Some(entry) = stack.tcp.half_open.remove(id) {
        stack.tcp.flows.remove(&entry.tuple, Flow::HalfOpen(id));
        let (local, remote) = (entry.tuple.local_addr(), entry.tuple.remote_addr());
        stack.ports.vacated(local, remote);
        listener::count_half_open(stack, entry.listener, -1);
    }
}

/// An ICMP error about a SYN-ACK: who can't be reached is not waited for (Linux: tcp_req_err). There is no connection yet that
/// MUST-56 would shield.
pub(crate) fn icmp_error(stack: &mut Stack, id: HalfOpenId, error: &IcmpError) {
    // Which errors those are: tcp_v4_err, tcp_v6_err.
    let unreachable = match (error.remote.is_ipv6(), error.message.kind) {
        (true, _) => error.hard,
        (false, 3) => error.message.code <= 1,
        (false, _) => error.mtu.is_none(),
    };
    let ours = stack
        .tcp
        .half_open
        .get(id)
        .is_some_and(|entry| error.seq == Some(entry.iss.raw()));
    if !ours {
        stack.stats.out_of_window_icmps += 1;
    } else if unreachable && error.mtu.is_none() {
        remove(stack, id);
    }
}

/// A segment for a half-open connection (RFC 9293 3.10.7.4, SYN-RECEIVED).
pub(crate) fn input(stack: &mut Stack, now: Instant, id: HalfOpenId, seg: &Segment<'_>) {
    let Some(entry) = stack.tcp.half_open.get(id).copied() else {
        return;
    };
    let h = seg.header;
    let (nxt, edge) = (entry.irs + 1, entry.irs + 1 + u32::from(entry.our_window));
    // At the window's end an empty segment passes, a FIN does not (Linux: tcp_in_window): it would make a connection and not open it.
    let in_window = h.seq == nxt
        || (h.seq.after(nxt) && h.seq.before(edge))
        || (h.seq == edge && seg.len() == 0);
    if h.has(Flags::RST) {
        // RFC 5961 3.2, and back to LISTEN as RFC 9293 has it for passive opens.
        if h.seq == entry.irs + 1 {
            remove(stack, id);
        }
        return;
    }
    if h.has(Flags::SYN) {
        // The SYN again: our answer was lost. Another one: the old one's ACK will sort it out (RFC 5961 4.2).
        send_syn_ack(stack, now, id, None);
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
            .ts()
            .is_some_and(|recent| (val.wrapping_sub(recent) as i32) < 0)
    };
    if !in_window || h.options.ts.is_some_and(older) {
        send_syn_ack(stack, now, id, None);
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
    let Some(mut tcb) = control_block(stack, now, &entry) else {
        return;
    };
    tcb.snd.nxt = entry.iss + 1;
    tcb.snd.max = entry.iss + 1;
    let stamp = tcb.rate.on_send(entry.sent, 0, 1);
    tcb.snd.sent.push(entry.iss, 1, 1, entry.sent, stamp);
    if entry.retries > 0 || entry.said.contains(Said::COOKIE) {
        tcb.snd.sent.resend(entry.iss, 1, 1, now, stamp);
        tcb.timers.retries = u32::from(entry.retries);
    }
    let Some(child) = listener::enqueue(stack, entry.listener, tcb) else {
        return;
    };
    connection::input(stack, now, child, *seg);
}

/// The control block of a connection whose SYN is described, in SYN-RECEIVED, before the SYN-ACK.
pub(super) fn control_block(stack: &Stack, now: Instant, entry: &HalfOpen) -> Option<Tcb> {
    let birth = birth(stack, now, entry.listener, entry.tuple)?;
    let mut tcb = Tcb::new(
        Birth {
            iss: entry.iss,
            wscale: entry.our_wscale,
            ..birth
        },
        now,
    );
    let options = Options {
        mss: entry.mss.map(NonZeroU16::get),
        wscale: entry.wscale,
        ts: entry.ts().map(|val| (val, 0)),
        sack_permitted: entry.said.contains(Said::SACK),
        ..Options::default()
    };
    tcb.syn.window = entry.our_window;
    tcb.take_syn(now, entry.irs, entry.window, &options);
    tcb.state = State::SynReceived;
    tcb.ecn.ok = entry.said.contains(Said::ECN);
    Some(tcb)
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
        tuning: tcb.tuning.clone(),
        link: Link::Connected,
        ..TcpSocket::default()
    };
    let (local, peer) = (tcb.tuple.local_addr(), tcb.tuple.remote_addr());
    let mut socket = Socket::new(
        parent.domain,
        stack_config,
        Proto::Tcp(TcpSocket {
            tcb: Some(Box::new(tcb)),
            ..tcp
        }),
    );
    socket.opts = parent.opts.clone();
    socket.extra = parent.inherited();
    socket.set_local(Some(local));
    socket.set_peer(Some(peer));
    // The port is the listener's: it does not go back to the pool when the connection ends (SOCK_BINDPORT_LOCK is inherited).
    socket.port_locked = parent.port_locked;
    socket.addr_locked = parent.addr_locked;
    socket
}
