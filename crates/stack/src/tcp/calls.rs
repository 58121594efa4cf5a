//! Socket calls on TCP sockets other than send and recv, in Linux's order of checks (net/ipv4/af_inet.c, tcp.c).

use std::net::SocketAddr;
use std::time::Duration;

use super::connection::{self, schedule, with_tcb};
use super::flows::{self, Flow};
use super::layer::{Link, TcpSocket};
use super::tcb::{Birth, Tcb, Verdict};
use super::tuple::Tuple;
use super::{fastopen_client, gso_for, listener, mtu_search};
use crate::config::Ecn;
use crate::error::{Error, Result};
use crate::ip::DstKind;
use crate::socket::address::outward;
use crate::socket::table::Socket;
use crate::socket::{Closed, Kind, Ready, Shutdown, SocketId, SocketInfo, State, TcpInfo};
use crate::stack::Stack;
use crate::time::Instant;

pub(crate) use super::data::{
    at_mark, never_sent_bytes, peekable_bytes, readable_bytes, readiness, recv, recv_controls,
    send, send_buffers, unsent_bytes,
};
pub(crate) use super::options::{buffers, get_option, option_changed, set_option};

pub(super) fn socket(stack: &Stack, id: SocketId) -> Result<(&Socket, &TcpSocket)> {
    let socket = stack.sockets.get(id).ok_or(Error::BadHandle)?;
    Ok((socket, socket.tcp().ok_or(Error::NotSupported)?))
}

pub(super) fn tcp_mut(stack: &mut Stack, id: SocketId) -> Result<&mut TcpSocket> {
    stack
        .sockets
        .get_mut(id)
        .ok_or(Error::BadHandle)?
        .tcp_mut()
        .ok_or(Error::NotSupported)
}

/// listen(2).
pub(crate) fn listen(stack: &mut Stack, _now: Instant, id: SocketId, backlog: usize) -> Result<()> {
    listener::listen(stack, id, backlog)
}

/// accept(2).
pub(crate) fn accept(
    stack: &mut Stack,
    _now: Instant,
    id: SocketId,
) -> Result<(SocketId, SocketAddr)> {
    if socket(stack, id)?.1.listener.is_none() {
        return Err(Error::Invalid);
    }
    let child = listener::dequeue(stack, id).ok_or(Error::WouldBlock)?;
    let peer = stack
        .sockets
        .get(child)
        .and_then(|s| s.peer())
        .ok_or(Error::ConnectionAborted)?;
    if let Some(state) =
        connection::tcb_mut(&mut stack.sockets, child).and_then(|tcb| tcb.fast_open.as_deref_mut())
    {
        state.accepted = true;
    }
    Ok((child, peer))
}

/// Whether connect(2) would begin a connection: only then it looks at the address (__inet_stream_connect).
pub(crate) fn is_fresh(stack: &Stack, id: SocketId) -> Result<bool> {
    Ok(socket(stack, id)?.1.is_fresh())
}

/// connect(2) (inet_stream_connect).
pub(crate) fn connect(stack: &mut Stack, now: Instant, id: SocketId, to: SocketAddr) -> Result<()> {
    let (_, tcp) = socket(stack, id)?;
    match (tcp.link, tcp.state()) {
        (Link::Connected, _) => Err(Error::IsConnected),
        (Link::Disconnecting, _) => Err(Error::Invalid),
        (Link::Unconnected, State::Closed) => {
            let mut tcb = prepare(stack, now, id, to)?;
            let deferred = fastopen_client::on_connect(stack, now, id, &mut tcb);
            begin(stack, id, tcb, to)?;
            if deferred {
                Ok(())
            } else {
                Err(Error::InProgress)
            }
        }
        (Link::Unconnected, _) => Err(Error::IsConnected),
        // As far as the program knows it is connected (inet_stream_connect).
        (Link::Connecting, _) if fastopen_client::deferred(stack, id) => Err(Error::IsConnected),
        (Link::Connecting, State::SynSent | State::SynReceived) => Err(Error::AlreadyConnecting),
        (Link::Connecting, State::Closed) => {
            let socket = stack.sockets.get_mut(id).ok_or(Error::BadHandle)?;
            let error = socket
                .pending_error
                .take()
                .unwrap_or(Error::ConnectionAborted);
            // sock_error of __inet_stream_connect: what is left of the attempt goes.
            disconnect(stack, now, id)?;
            Err(error)
        }
        (Link::Connecting, _) => {
            tcp_mut(stack, id)?.link = Link::Connected;
            Ok(())
        }
    }
}

/// Chooses source address and port (tcp_v4_connect).
pub(super) fn prepare(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    to: SocketAddr,
) -> Result<Tcb> {
    let (sock, tcp) = socket(stack, id)?;
    let bound = sock.local().filter(|_| stack.ports.holds(id));
    let src = sock
        .local()
        .map(|local| local.ip())
        .filter(|ip| !ip.is_unspecified() && sock.addr_locked)
        // __inet_bind: "Use device", when it is everybody's.
        .filter(|ip| !ip.is_multicast() && !stack.ip.is_broadcast(*ip));
    let to = SocketAddr::new(stack.ip.resolve_unspecified(to.ip(), src), to.port());
    if stack
        .ip
        .dst_kind(to.ip())
        .is_some_and(|kind| kind != DstKind::Unicast)
    {
        return Err(Error::NetworkUnreachable);
    }
    let (by, own) = (sock.bound_if(), sock.local_ports());
    stack.may_route(sock, to.ip())?;
    let path = stack.ip.path_by(to.ip(), src, by)?;
    let (opts, shape) = (sock.opts.clone(), sock.shape(path.src));
    let tuning = tcp.tuning.clone();
    let tuple_of = |port: u16| Tuple::new(SocketAddr::new(path.src, port), to);
    let port = match bound {
        Some(local) if stack.flow(&tuple_of(local.port())).is_some() => {
            return Err(Error::AddressNotAvailable);
        }
        Some(local) => local.port(),
        None => {
            let Stack {
                sockets,
                tcp,
                ports,
                ..
            } = stack;
            let in_use = |port| flows::find(sockets, tcp, &tuple_of(port)).is_some();
            ports.connect_port(id, shape, (path.src, to), own, &in_use)?
        }
    };
    let tuple = tuple_of(port);
    let (iss, ts_offset) = stack.tcp.beginnings(&tuple, now);
    let birth = Birth {
        tuple,
        path,
        iss,
        timestamps: stack.config.timestamps,
        ts_offset,
        buffers: connection::buffers(&opts),
        wscale: connection::window_shift(&stack.config, &opts),
        congestion: tuning.congestion.unwrap_or(stack.config.congestion),
        tuning,
        gso: gso_for(stack, &tuple, &path),
        search_from: mtu_search::start(&stack.config, &path),
        ecn: stack.config.ecn == Ecn::Request,
    };
    Ok(Tcb::new(birth, now))
}

/// The connection is in SYN-SENT; the SYN goes with the next transmission.
pub(super) fn begin(stack: &mut Stack, id: SocketId, tcb: Tcb, to: SocketAddr) -> Result<()> {
    let tuple = tcb.tuple;
    let sock = stack.sockets.get_mut(id).ok_or(Error::BadHandle)?;
    sock.set_local(Some(tuple.local_addr()));
    sock.set_peer(Some(to));
    // tcp_connect_init: what a dissolved connection left behind is not this one's.
    sock.pending_error = None;
    let tcp = sock.tcp_mut().ok_or(Error::NotSupported)?;
    if let Some(mut old) = tcp.tcb.replace(Box::new(tcb)) {
        old.release(&mut stack.tcp.pool);
    }
    tcp.link = Link::Connecting;
    tcp.shut_rd = false;
    tcp.shut_wr = false;
    tcp.done = false;
    // A port that was bound to the wildcard is this address's now (inet_bhash2_update_saddr).
    let ip = tuple.local_addr().ip();
    stack.ports.update(id, |shape| shape.addr = ip);
    stack.tcp.flows.insert(tuple, Flow::Conn(id));
    schedule(stack, id);
    Ok(())
}

/// connect(2) with AF_UNSPEC (tcp_disconnect): the peer of a living connection sees a reset.
pub(crate) fn disconnect(stack: &mut Stack, now: Instant, id: SocketId) -> Result<()> {
    let state = socket(stack, id)?.1.state();
    match state {
        State::Listen => listener::stop(stack, now, id),
        State::Closed => {}
        State::SynSent => connection::end(stack, id, Some(Error::ConnectionReset)),
        _ => {
            connection::abort(stack, now, id);
            if let Some(socket) = stack.sockets.get_mut(id) {
                socket.pending_error = Some(Error::ConnectionReset);
            }
        }
    }
    let Stack {
        sockets,
        tcp: layer,
        ports,
        ..
    } = stack;
    let sock = sockets.get_mut(id).ok_or(Error::BadHandle)?;
    let wildcard = sock.wildcard();
    sock.set_peer(None);
    // tcp_disconnect: the port goes back, but inet_sport stays, and getsockname tells it.
    if let Some(local) = sock.local()
        && !sock.addr_locked
    {
        sock.set_local(Some(SocketAddr::new(wildcard, local.port())));
        ports.update(id, |shape| shape.addr = wildcard);
    }
    let tcp = sock.tcp_mut().ok_or(Error::NotSupported)?;
    if let Some(mut tcb) = tcp.tcb.take() {
        tcb.release(&mut layer.pool);
    }
    tcp.link = Link::Unconnected;
    tcp.shut_rd = false;
    tcp.shut_wr = false;
    tcp.done = false;
    // tcp_set_state: on the way to CLOSED, not in it.
    if state != State::Closed && !stack.sockets.get(id).is_some_and(|s| s.port_locked) {
        stack.ports.release(id);
    }
    // tcp_disconnect ends with sk_error_report.
    stack.notify(id, Ready::ERR);
    Ok(())
}

/// shutdown(2) (inet_shutdown, tcp_shutdown).
pub(crate) fn shutdown(stack: &mut Stack, now: Instant, id: SocketId, how: Shutdown) -> Result<()> {
    let state = socket(stack, id)?.1.state();
    let (rd, wr) = (how != Shutdown::Write, how != Shutdown::Read);
    match state {
        State::Listen if !rd => return Ok(()),
        State::Listen => {
            disconnect(stack, now, id)?;
            stack.notify(id, Ready::IN | Ready::OUT | Ready::HUP | Ready::RDHUP);
            return Ok(());
        }
        State::SynSent => return disconnect(stack, now, id),
        _ => {}
    }
    let tcp = tcp_mut(stack, id)?;
    tcp.shut_rd |= rd;
    tcp.shut_wr |= wr;
    if let Some(tcb) = tcp.tcb.as_deref_mut() {
        tcb.deaf |= rd;
    }
    if tcp.link == Link::Connecting {
        tcp.link = match state {
            State::Closed | State::SynReceived => Link::Disconnecting,
            _ => Link::Connected,
        };
    }
    if wr {
        with_tcb(stack, now, id, |tcb, _| queue_fin(tcb));
    }
    let mut wake = Ready::IN | Ready::OUT;
    if rd {
        wake |= Ready::RDHUP;
    }
    if rd && wr {
        wake |= Ready::HUP;
    }
    stack.notify(id, wake);
    if state == State::Closed {
        Err(Error::NotConnected)
    } else {
        Ok(())
    }
}

/// RFC 9293 3.10.4: the FIN stands behind what is queued.
fn queue_fin(tcb: &mut Tcb) -> Verdict {
    tcb.snd.hold_until = None;
    match tcb.state {
        State::Established => {
            tcb.snd.fin = true;
            tcb.state = State::FinWait1;
        }
        // The FIN waits until our SYN is acknowledged; the state changes with that.
        State::SynReceived => tcb.snd.fin = true,
        State::CloseWait => {
            tcb.snd.fin = true;
            tcb.state = State::LastAck;
        }
        _ => {}
    }
    Verdict::default()
}

/// close(2) of the last descriptor (tcp_close): unread data or SO_LINGER with zero time reset the peer, else the FIN follows the data.
pub(crate) fn close(stack: &mut Stack, now: Instant, id: SocketId) -> Closed {
    let Ok((sock, tcp)) = socket(stack, id) else {
        return Closed::Done;
    };
    let linger = sock.opts.linger();
    let resets = resets(sock, tcp);
    match tcp.state() {
        State::Listen => {
            listener::stop(stack, now, id);
            connection::discard(stack, id);
            return Closed::Done;
        }
        State::Closed => {
            connection::discard(stack, id);
            return Closed::Done;
        }
        State::SynSent => {
            connection::end(stack, id, None);
            connection::discard(stack, id);
            return Closed::Done;
        }
        _ => {}
    }
    if resets {
        connection::abort(stack, now, id);
        connection::discard(stack, id);
        return Closed::Done;
    }
    let through = fin_through(tcp);
    let waits = linger.filter(|_| !through);
    stack.tcp.undelivered += usize::from(!through);
    if let Ok(tcp) = tcp_mut(stack, id) {
        tcp.orphan = true;
        tcp.undelivered = !through;
        tcp.lingering = waits.is_some();
    }
    with_tcb(stack, now, id, |tcb, cx| {
        tcb.orphan = true;
        let verdict = queue_fin(tcb);
        tcb.arm_fin_wait_2(cx.now);
        verdict
    });
    waits.map_or(Closed::Done, Closed::Linger)
}

/// Whether closing a connection resets it.
fn resets(sock: &Socket, tcp: &TcpSocket) -> bool {
    let unread = tcp.tcb.as_deref().is_some_and(|tcb| tcb.readable() > 0);
    unread || sock.opts.linger() == Some(Duration::ZERO)
}

/// Whether closing `id` throws away what it still has to send.
pub(crate) fn close_resets(stack: &Stack, id: SocketId) -> bool {
    socket(stack, id).is_ok_and(|(sock, tcp)| resets(sock, tcp))
}

/// What was written, and the FIN, is acknowledged.
fn fin_through(tcp: &TcpSocket) -> bool {
    tcp.tcb
        .as_deref()
        .is_none_or(|tcb| tcb.state == State::Closed || tcb.snd.fin_acked())
}

/// Whether a lingering close has to go on waiting.
pub(crate) fn lingering(stack: &Stack, id: SocketId) -> bool {
    socket(stack, id).is_ok_and(|(_, tcp)| tcp.lingering && !fin_through(tcp))
}

/// Ends a lingering close.
pub(crate) fn release(stack: &mut Stack, _now: Instant, id: SocketId) {
    let Ok(tcp) = tcp_mut(stack, id) else { return };
    tcp.lingering = false;
    if tcp.state() == State::Closed {
        connection::discard(stack, id);
    }
}

/// The RFC's state.
pub(crate) fn state(stack: &Stack, id: SocketId) -> Result<State> {
    Ok(socket(stack, id)?.1.state())
}

/// TCP_INFO, also of a connection that has ended.
pub(crate) fn info(stack: &Stack, now: Instant, id: SocketId) -> Result<TcpInfo> {
    let (_, tcp) = socket(stack, id)?;
    let tcb = tcp.tcb.as_deref().ok_or(Error::Invalid)?;
    Ok(tcb.info(now))
}

/// getpeername(2): while there is a connection (inet_getname).
pub(crate) fn peer_addr(stack: &Stack, id: SocketId) -> Result<SocketAddr> {
    let (sock, tcp) = socket(stack, id)?;
    match tcp.state() {
        State::Closed | State::SynSent | State::Listen => Err(Error::NotConnected),
        _ => sock.peer().ok_or(Error::NotConnected),
    }
}

/// Rows for a listing: sockets, half-open connections, TIME-WAIT remnants.
pub(crate) fn list(stack: &Stack, out: &mut Vec<SocketInfo>) {
    let row = |id, state, local, peer, recv_q, send_q| SocketInfo {
        id,
        kind: Kind::Stream,
        state,
        local,
        peer,
        recv_q,
        send_q,
    };
    for (id, sock) in stack.sockets.iter() {
        let Some(tcp) = sock.tcp() else { continue };
        let nowhere = SocketAddr::new(sock.wildcard(), 0);
        let local = outward(sock.domain, sock.local().unwrap_or(nowhere));
        let any = outward(sock.domain, nowhere);
        let id = Some(id);
        out.push(match (&tcp.listener, &tcp.tcb) {
            (Some(l), _) => row(id, State::Listen, local, any, l.queue.len(), l.backlog),
            (None, Some(tcb)) => {
                let unsent = id.map_or(0, |id| unsent_bytes(stack, id).unwrap_or(0));
                let peer = outward(sock.domain, sock.peer().unwrap_or(nowhere));
                row(id, tcb.state, local, peer, tcb.readable(), unsent)
            }
            (None, None) => row(id, State::Closed, local, any, 0, 0),
        });
    }
    let passing = |state, tuple: &Tuple| {
        let (local, peer) = (tuple.local_addr(), tuple.remote_addr());
        row(None, state, local, peer, 0, 0)
    };
    let half_open = stack.tcp.half_open.values();
    out.extend(half_open.map(|entry| passing(State::SynReceived, &entry.tuple)));
    let time_wait = stack.tcp.time_wait.values();
    out.extend(time_wait.map(|tw| passing(State::TimeWait, &tw.tuple)));
}

/// Whether a closed connection still has octets or a FIN that the peer has not acknowledged.
pub(crate) fn has_undelivered(stack: &Stack) -> bool {
    stack.tcp.undelivered > 0
}
