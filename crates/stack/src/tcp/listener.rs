//! LISTEN: who listens where, the queue of connections to accept, the bound on half-open ones.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::emit;
use super::fastopen_server::{self, Answer, Pending};
use super::flows::Flow;
use super::half_open;
use super::input::Segment;
use super::tcb::Tcb;
use super::tuple::Tuple;
use super::{connection, syn_cookie};
use crate::error::{Error, Result};
use crate::filter::{View, leave_group};
use crate::ip::Iface;
use crate::socket::table::Socket;
use crate::socket::{Domain, Kind, Ready, SocketId};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::tcp::Flags;

/// listen(2) takes no more (net.core.somaxconn).
const SOMAXCONN: usize = 4096;
/// Half-open connections allowed beyond a small backlog.
const HALF_OPEN_MIN: usize = 128;

/// How long after the last cookie one is believed: two of its periods.
const COOKIES_LINGER: Duration = Duration::from_secs(128);

/// The listener's part of a socket.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    /// listen(2)'s backlog.
    pub(crate) backlog: usize,
    /// Connections to accept, oldest first.
    pub(crate) queue: VecDeque<SocketId>,
    /// Half-open connections that name this listener.
    half_open: usize,
    /// Connections opened by text in a SYN whose handshakes are not through.
    pending: Pending,
    /// SYN cookies were sent lately: an ACK out of nothing may carry one, until then.
    cookies_until: Option<Instant>,
}

impl Listener {
    /// Half-open connections that name this listener.
    pub(crate) fn half_open_count(&self) -> usize {
        self.half_open
    }

    /// Connections opened by text in a SYN whose handshakes go on.
    pub(crate) fn pending_count(&self) -> usize {
        self.pending.going_on()
    }
}

/// The keys under which a socket listens: a dual-stack wildcard also takes IPv4 (RFC 3493 3.7).
fn keys(domain: Domain, v6only: bool, local: SocketAddr) -> ([(IpAddr, u16); 2], usize) {
    let key = (local.ip(), local.port());
    let v4 = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), local.port());
    let dual = domain == Domain::V6 && !v6only && local.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    ([key, v4], if dual { 2 } else { 1 })
}

/// A queue's limit as listen and TCP_FASTOPEN take it.
pub(super) fn queue_limit(wanted: usize) -> usize {
    wanted.min(SOMAXCONN)
}

/// listen(2): a second call only changes the backlog. `backlog` is clipped to SOMAXCONN.
pub(crate) fn listen(stack: &mut Stack, id: SocketId, backlog: usize) -> Result<()> {
    let backlog = queue_limit(backlog);
    fastopen_server::on_listen(stack, id, backlog)?;
    let socket = stack.sockets.get_mut(id).ok_or(Error::BadHandle)?;
    let (domain, opts) = (socket.domain, socket.opts.clone());
    let wildcard = socket.wildcard();
    // An address that was bound to stays when the port has gone (SOCK_BINDADDR_LOCK).
    let fixed = socket.local().filter(|_| socket.addr_locked);
    let addr = fixed.map_or(wildcard, |local| local.ip());
    let (local, shape) = (socket.local(), socket.shape(addr));
    let own = socket.local_ports();
    let tcp = socket.tcp_mut().ok_or(Error::NotSupported)?;
    if let Some(listener) = &mut tcp.listener {
        listener.backlog = backlog;
        return Ok(());
    }
    if tcp.link != super::layer::Link::Unconnected || tcp.state() != crate::socket::State::Closed {
        return Err(Error::Invalid);
    }
    let local = match local {
        Some(local) if stack.ports.holds(id) => local,
        _ => {
            let port = stack.ports.bind(Kind::Stream, id, shape, 0, own)?;
            SocketAddr::new(addr, port)
        }
    };
    stack.ports.set_listening(id, true)?;
    let (keys, n) = keys(domain, opts.v6only, local);
    for key in keys.iter().take(n) {
        stack.tcp.listeners.entry(*key).or_default().push(id);
    }
    let socket = stack.sockets.get_mut(id).ok_or(Error::BadHandle)?;
    socket.set_local(Some(local));
    stack.join_choosers(id);
    let socket = stack.sockets.get_mut(id).ok_or(Error::BadHandle)?;
    if let Some(tcp) = socket.tcp_mut() {
        // A fresh life. A former connection's block went, with its memory, when the socket became unconnected (`calls::disconnect`).
        debug_assert!(tcp.tcb.is_none());
        tcp.shut_rd = false;
        tcp.shut_wr = false;
        tcp.done = false;
        tcp.listener = Some(Box::new(Listener {
            backlog,
            ..Listener::default()
        }));
    }
    Ok(())
}

/// Stops listening: queued connections are reset (Linux: inet_csk_listen_stop), half-open ones die with their next segment.
pub(crate) fn stop(stack: &mut Stack, now: Instant, id: SocketId) {
    let Some(socket) = stack.sockets.get_mut(id) else {
        return;
    };
    let (domain, v6only, local) = (socket.domain, socket.opts.v6only, socket.local());
    let numbered = socket.is_numbered();
    let Some(listener) = socket.tcp_mut().and_then(|tcp| tcp.listener.take()) else {
        return;
    };
    if let Some(local) = local {
        let (keys, n) = keys(domain, v6only, local);
        for key in keys.iter().take(n) {
            if let Some(ids) = stack.tcp.listeners.get_mut(key) {
                leave_group(ids, id, numbered);
                if ids.is_empty() {
                    stack.tcp.listeners.remove(key);
                }
            }
        }
    }
    let _ = stack.ports.set_listening(id, false);
    for child in listener.queue {
        connection::abort(stack, now, child);
        connection::discard(stack, child);
    }
}

/// The listener for a SYN: the exact address first, then the wildcard of the family (which a dual-stack socket shares).
/// Of those that are there, those that are bound to `iface` come first (compute_score).
pub(crate) fn find(
    stack: &Stack,
    tuple: &Tuple,
    iface: Iface,
    view: Option<&View<'_>>,
) -> Option<SocketId> {
    let any = if tuple.is_v4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    [tuple.local, any].iter().find_map(|addr| {
        let ids = stack.tcp.listeners.get(&(*addr, tuple.local_port))?;
        if !stack.ifaces_matter {
            return nth(ids.len(), stack, tuple, ids.iter(), view);
        }
        let by = |id: &SocketId| stack.sockets.get(*id).map_or(0, Socket::bound_if);
        [iface.index(), 0].into_iter().find_map(|index| {
            let fit = ids.iter().filter(|id| by(id) == index);
            nth(fit.clone().count(), stack, tuple, fit, view)
        })
    })
}

/// The listeners at an address.
pub(crate) fn beside(stack: &Stack, local: SocketAddr) -> &[SocketId] {
    let key = (local.ip(), local.port());
    stack.tcp.listeners.get(&key).map_or(&[], |ids| ids)
}

/// One of `n` listeners: by their program, else by the tuple.
fn nth<'a>(
    n: usize,
    stack: &Stack,
    tuple: &Tuple,
    mut ids: impl Iterator<Item = &'a SocketId> + Clone,
    view: Option<&View<'_>>,
) -> Option<SocketId> {
    if n > 1
        && let Some(id) = stack.chosen(ids.clone().copied(), view)
    {
        return Some(id);
    }
    match n {
        0 => None,
        1 => ids.next().copied(),
        n if stack.cpu_matters => {
            let chosen = stack.tcp.spread(tuple) % n;
            let mut chosen_id = None;
            for (at, id) in ids.enumerate() {
                if stack.wants_cpu(*id) {
                    return Some(*id);
                }
                if at == chosen {
                    chosen_id = Some(*id);
                }
            }
            chosen_id
        }
        n => ids.nth(stack.tcp.spread(tuple) % n).copied(),
    }
}

fn get(stack: &Stack, id: SocketId) -> Option<&Listener> {
    stack.sockets.get(id)?.tcp()?.listener.as_deref()
}

fn get_mut(stack: &mut Stack, id: SocketId) -> Option<&mut Listener> {
    stack
        .sockets
        .get_mut(id)?
        .tcp_mut()?
        .listener
        .as_deref_mut()
}

/// Its connections opened by text in a SYN whose handshakes are not through.
pub(super) fn pending(stack: &mut Stack, id: SocketId) -> Option<&mut Pending> {
    get_mut(stack, id).map(|listener| &mut listener.pending)
}

/// Whether it still listens.
pub(crate) fn exists(stack: &Stack, id: SocketId) -> bool {
    get(stack, id).is_some()
}

/// Whether one more connection may wait to be accepted: a backlog of n holds n + 1 (Linux: sk_acceptq_is_full).
pub(crate) fn has_room(stack: &Stack, id: SocketId) -> bool {
    get(stack, id).is_some_and(|l| l.queue.len() <= l.backlog)
}

/// A half-open connection has come or gone.
pub(crate) fn count_half_open(stack: &mut Stack, id: SocketId, change: isize) {
    if let Some(listener) = get_mut(stack, id) {
        listener.half_open = listener.half_open.saturating_add_signed(change);
    }
}

/// A segment for a port on which somebody listens (RFC 9293 3.10.7.2).
pub(crate) fn input(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    tuple: Tuple,
    seg: &Segment<'_>,
) {
    let h = seg.header;
    if h.has(Flags::RST) {
        return;
    }
    if h.has(Flags::ACK) {
        acknowledged(stack, now, id, tuple, seg);
        return;
    }
    if !h.has(Flags::SYN) || h.has(Flags::FIN) {
        return;
    }
    let Some(listener) = get_mut(stack, id) else {
        return;
    };
    if listener.queue.len() > listener.backlog {
        // Linux: no room to accept it, the SYN is ignored and will come again.
        stack.stats.queue_full += 1;
    } else if listener.half_open >= listener.backlog.max(HALF_OPEN_MIN) {
        listener.cookies_until = Some(now + COOKIES_LINGER);
        syn_cookie::answer(stack, now, id, tuple, seg);
    } else if let Answer::Ordinary(option) = fastopen_server::answer(stack, now, id, tuple, seg) {
        half_open::open(stack, now, id, tuple, seg, option);
    }
}

/// An ACK for no connection: the third segment of a handshake that a cookie began, or an error.
fn acknowledged(stack: &mut Stack, now: Instant, id: SocketId, tuple: Tuple, seg: &Segment<'_>) {
    let h = seg.header;
    let cookies = get(stack, id).is_some_and(|l| l.cookies_until.is_some_and(|until| now < until));
    let entry = (cookies && !h.has(Flags::SYN))
        .then(|| syn_cookie::redeem(stack, now, id, tuple, seg))
        .flatten();
    match entry {
        // A full accept queue: the peer's data will bring the same proof again.
        Some(_) if !has_room(stack, id) => stack.stats.queue_full += 1,
        Some(entry) => half_open::promote(stack, now, entry, seg),
        None => emit::reset(stack, &tuple, h.ack, None),
    }
}

/// Puts an established connection into the accept queue and wakes who waits; its handle, or `None` when the listener has gone.
pub(crate) fn enqueue(stack: &mut Stack, id: SocketId, tcb: Tcb) -> Option<SocketId> {
    let tuple = tcb.tuple;
    let parent = stack.sockets.get(id)?;
    parent.tcp()?.listener.as_ref()?;
    let shape = parent.shape(tuple.local);
    let socket = half_open::clone_socket(parent, &stack.config, tcb);
    let child = stack.sockets.insert(socket);
    stack
        .ports
        .adopt(Kind::Stream, child, shape, tuple.local_port);
    stack.tcp.flows.insert(tuple, Flow::Conn(child));
    get_mut(stack, id)?.queue.push_back(child);
    stack.notify(id, Ready::IN);
    Some(child)
}

/// The oldest connection in the queue.
pub(crate) fn dequeue(stack: &mut Stack, id: SocketId) -> Option<SocketId> {
    get_mut(stack, id)?.queue.pop_front()
}
