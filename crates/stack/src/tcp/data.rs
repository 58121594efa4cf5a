//! send, recv and readiness of TCP sockets, in Linux's order of checks (tcp_sendmsg_locked, tcp_recvmsg_locked, tcp_poll).

use std::io::{IoSlice, IoSliceMut};

use super::buffers::Buffers;
use super::bytes::Pool;
use super::calls::socket;
use super::connection::{enqueue, queue, schedule};
use super::gather;
use super::layer::TcpSocket;
use super::marks::{self, Wanted};
use super::tcb::Tcb;
use super::vars::AckDue;
use super::write::Text;
use crate::error::{Error, Result};
use crate::socket::attribute::{Attribute, Extra, sof};
use crate::socket::control::{self, Control, Controls, SendControl};
use crate::socket::table::{Proto, Socket};
use crate::socket::{Ready, Received, RecvFlags, SendFlags, SocketId, State};
use crate::stack::Stack;
use crate::time::Instant;

/// send(2): takes what fits.
pub(crate) fn send(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    data: &[IoSlice<'_>],
    flags: SendFlags,
    control: &SendControl,
) -> Result<usize> {
    send_text(stack, now, id, &mut Text::Slices(data), flags, control)
}

/// The same of `len` octets in memory that is taken over.
pub(crate) fn send_buffers(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    buffers: &mut Buffers,
    len: usize,
    flags: SendFlags,
) -> Result<usize> {
    let mut text = Text::Buffers(buffers, len);
    send_text(stack, now, id, &mut text, flags, &SendControl::default())
}

fn send_text(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    text: &mut Text<'_>,
    flags: SendFlags,
    control: &SendControl,
) -> Result<usize> {
    let Stack {
        sockets,
        config,
        tcp: layer,
        ..
    } = stack;
    let sock = sockets.get_mut(id).ok_or(Error::BadHandle)?;
    // tcp_sendmsg_locked looks at it when it knows that there is a connection.
    let wanted = wanted(sock, flags, control);
    let Proto::Tcp(tcp) = &mut sock.proto else {
        return Err(Error::NotSupported);
    };
    if let Some(error) = sock.pending_error.take() {
        return Err(error);
    }
    if tcp.shut_wr {
        return Err(Error::BrokenPipe);
    }
    match tcp.state() {
        State::Established | State::CloseWait => {}
        State::SynReceived if tcp.tcb.as_deref().is_some_and(Tcb::fast_open_pending) => {}
        State::SynSent | State::SynReceived => return Err(Error::WouldBlock),
        _ => return Err(Error::BrokenPipe),
    }
    let wanted = wanted?;
    let tcb = tcp.tcb.as_deref_mut().ok_or(Error::BrokenPipe)?;
    tcb.check_app_limited();
    let waiting = tcb.snd.refused;
    let taken = tcb.write(config, &mut layer.pool, text, flags);
    if wanted.any()
        && taken > 0
        && let Some(extra) = sock.extra.as_deref_mut()
    {
        let goes_on = flags.contains(SendFlags::WHOLE) && taken < text.len();
        let stamps = if goes_on { 0 } else { wanted.stamps };
        marks::written(extra, tcb, taken, Wanted { stamps, ..wanted });
    }
    if tcb.snd.starved || !tcb.snd.writable(tcb.lowat(config)) {
        tcb.snd.full = true;
    }
    if tcb.snd.refused && !waiting {
        let least = layer.pool.least_room(&tcb.snd.queue);
        layer.refused.push(id, least);
    }
    if taken == 0 && text.len() > 0 {
        return Err(Error::WouldBlock);
    }
    if flags.contains(SendFlags::OOB) && taken > 0 {
        tcb.snd.up = Some(tcb.snd.data_end());
    }
    let more = flags.contains(SendFlags::MORE);
    tcb.snd.hold_until = (more && !tcb.snd.starved).then(|| now + tcb.hold());
    let first = layer.gathering.pairs_begin(id, now, taken, flags);
    if first || layer.gathering.heeds(taken) {
        if !gather::note_write(stack, now, id, taken, flags, first) {
            queue(stack, id);
        }
        return Ok(taken);
    }
    tcb.snd.gathers = false;
    enqueue(tcp, layer, id);
    Ok(taken)
}

/// What a call is to be told of later.
fn wanted(sock: &mut Socket, flags: SendFlags, control: &SendControl) -> Result<Wanted> {
    if control.timestamping.is_some() || control.stamp_id.is_some() {
        sock.extra_mut();
    }
    let stamps = control.timestamping(sock)?;
    let Some(extra) = sock.extra.as_deref() else {
        return Ok(Wanted::default());
    };
    let zerocopy = flags.contains(SendFlags::ZEROCOPY) && extra.opts.has(Attribute::ZeroCopy);
    if zerocopy {
        marks::may_owe(extra)?;
    }
    Ok(Wanted {
        zerocopy,
        stamps,
        resumed: flags.contains(SendFlags::RESUMED),
    })
}

/// A call took `taken` octets on a way of its own: marks those that it is to be told of.
pub(crate) fn written(
    stack: &mut Stack,
    id: SocketId,
    taken: usize,
    flags: SendFlags,
    control: &SendControl,
) -> Result<()> {
    let sock = stack.sockets.get_mut(id).ok_or(Error::BadHandle)?;
    let wanted = wanted(sock, flags, control)?;
    if let Proto::Tcp(tcp) = &sock.proto
        && let Some(tcb) = tcp.tcb.as_deref()
        && let Some(extra) = sock.extra.as_deref_mut()
        && wanted.any()
        && taken > 0
    {
        marks::written(extra, tcb, taken, wanted);
    }
    Ok(())
}

/// What recvmsg tells besides the octets: when the last of them came, what is left (tcp_recvmsg, tcp_inq_hint).
pub(crate) fn recv_controls(stack: &Stack, id: SocketId, len: usize, controls: &mut Controls) {
    let Some(sock) = stack.sockets.get(id) else {
        return;
    };
    let (Some(opts), Some(tcp)) = (sock.extra_opts(), sock.tcp()) else {
        return;
    };
    if let Some(tcb) = tcp.tcb.as_deref().filter(|_| len > 0) {
        let at = tcb.rcv.last_rx;
        let asked = opts.stamp().is_some() || opts.timestamping & sof::RX_SOFTWARE != 0;
        if asked {
            control::stamps(opts, at, Some(at), controls);
        }
    }
    if opts.has(Attribute::Inq) {
        let left = readable_bytes(stack, id).unwrap_or(0);
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        // After the FIN the program is to read on, so that it learns of it.
        controls.push(Control::Inq(left.max(u32::from(tcp.done))));
    }
}

/// recv(2).
pub(crate) fn recv(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    bufs: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
) -> Result<Received> {
    let Stack {
        sockets,
        tcp: layer,
        config,
        ..
    } = stack;
    let sock = sockets.get_mut(id).ok_or(Error::BadHandle)?;
    let extra = &mut sock.extra;
    let Proto::Tcp(tcp) = &mut sock.proto else {
        return Err(Error::NotSupported);
    };
    if tcp.listener.is_some() {
        return Err(Error::NotConnected);
    }
    if flags.contains(RecvFlags::OOB) {
        return recv_oob(tcp, bufs, flags);
    }
    let empty = |tcb: &Tcb| tcb.rcv.queue.holds_nothing();
    if tcp.tcb.as_deref().is_none_or(empty) {
        return nothing_to_read(sock, bufs);
    }
    let peeks = flags.contains(RecvFlags::PEEK);
    let offset = extra.as_deref().and_then(Extra::peek_offset);
    let start = offset.filter(|_| peeks).unwrap_or(0);
    let got = match tcp.tcb.as_deref_mut() {
        Some(tcb) => match take_short(tcb, &mut layer.pool, bufs, flags) {
            Some(got) => got,
            None => take(tcb, &mut layer.pool, bufs, flags, start),
        },
        None => 0,
    };
    if got > 0 {
        if offset.is_some()
            && let Some(extra) = extra.as_deref_mut()
        {
            extra.move_peek_offset(peeks, got);
        }
        if let Some(tcb) = tcp.tcb.as_deref_mut() {
            tcb.grow_receive_buffer(now, config.tcp_rmem[2], layer.pool.account.pressed());
        }
        let update = tcp.tcb.as_deref_mut().is_some_and(note_room);
        if update {
            schedule(stack, id);
        }
        return Ok(Received {
            len: got,
            full_len: got,
            ..Received::default()
        });
    }
    nothing_to_read(sock, bufs)
}

/// Whether what was read is to be acknowledged now: it made room that the peer should hear of, or emptied the queue of what the peer
/// had pushed and no answer will take the acknowledgement along (Linux: __tcp_cleanup_rbuf).
fn note_room(tcb: &mut Tcb) -> bool {
    let drained = tcb.rcv.ack == AckDue::Delayed
        && tcb.rcv.pushed
        && !tcb.rcv.interactive
        && tcb.rcv.queue.is_empty();
    let due = tcb.state != State::Closed && (drained || tcb.window_update_due());
    if due {
        tcb.rcv.ack = AckDue::Now;
    }
    due
}

/// The order in which Linux looks for a reason to return without data.
fn nothing_to_read(sock: &mut Socket, bufs: &[IoSliceMut<'_>]) -> Result<Received> {
    let Proto::Tcp(tcp) = &sock.proto else {
        return Err(Error::NotSupported);
    };
    let state = tcp.state();
    let readable = tcp.tcb.as_deref().is_some_and(|tcb| tcb.readable() > 0);
    // What is there is looked at first, also when nothing of it is wanted.
    if tcp.done || (readable && bufs.iter().all(|b| b.is_empty())) {
        return Ok(Received::default());
    }
    if let Some(error) = sock.pending_error.take() {
        return Err(error);
    }
    if tcp.shut_rd {
        return Ok(Received::default());
    }
    if state == State::Closed {
        return Err(Error::NotConnected);
    }
    Err(Error::WouldBlock)
}

/// [`take`] into one buffer, neither peeking nor dropping, of octets that lie in one piece and have no mark among them.
#[inline]
fn take_short(
    tcb: &mut Tcb,
    pool: &mut Pool,
    bufs: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
) -> Option<usize> {
    let [buf] = bufs else { return None };
    if tcb.rcv.urgent.is_some() || flags.intersects(RecvFlags::PEEK | RecvFlags::TRUNC) {
        return None;
    }
    let text = tcb.rcv.queue.one_piece()?;
    let n = text.len().min(buf.len());
    buf.get_mut(..n)?.copy_from_slice(text.get(..n)?);
    consume(tcb, pool, n);
    Some(n)
}

/// Copies (or, with TRUNC, drops) what is there from `start` on, up to the urgent mark and not over it. `start` is 0 unless peeking.
fn take(
    tcb: &mut Tcb,
    pool: &mut Pool,
    bufs: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
    start: usize,
) -> usize {
    let wanted: usize = bufs.iter().map(|b| b.len()).sum();
    let start = start + skip_urgent(tcb, pool, flags, wanted, start);
    let available = tcb.rcv.queue.len().saturating_sub(start);
    let limit = match tcb.rcv.urgent {
        Some(urgent) if urgent.seq.after(tcb.rcv.base + start as u32) => {
            available.min(urgent.seq.since(tcb.rcv.base + start as u32) as usize)
        }
        Some(_) | None => available,
    };
    let n = wanted.min(limit);
    if !flags.contains(RecvFlags::TRUNC) {
        copy(tcb, start, bufs, n);
    }
    if !flags.contains(RecvFlags::PEEK) {
        consume(tcb, pool, n);
    }
    n
}

/// At the mark an urgent octet that is not inline is no part of the stream. Returns octets to step over when peeking.
fn skip_urgent(
    tcb: &mut Tcb,
    pool: &mut Pool,
    flags: RecvFlags,
    wanted: usize,
    start: usize,
) -> usize {
    let here = tcb.rcv.base + start as u32;
    let behind = tcb.rcv.queue.len().saturating_sub(start);
    let at_mark = tcb.rcv.urgent.is_some_and(|u| u.seq == here) && behind > 0;
    if !at_mark || tcb.tuning.oob_inline || wanted == 0 {
        return 0;
    }
    // Linux steps over the octet only together with one behind it: the mark itself is a place to stop. The FIN is such a one.
    if behind == 1 && !tcb.rcv.fin_reached() {
        return 1;
    }
    if flags.contains(RecvFlags::PEEK) {
        return 1;
    }
    consume(tcb, pool, 1);
    0
}

fn copy(tcb: &Tcb, start: usize, bufs: &mut [IoSliceMut<'_>], n: usize) {
    let mut done = 0;
    for buf in bufs {
        let part = buf.len().min(n - done);
        let Some(room) = buf.get_mut(..part) else {
            return;
        };
        tcb.rcv.queue.copy_out(start + done, room);
        done += part;
        if done == n {
            return;
        }
    }
}

fn consume(tcb: &mut Tcb, pool: &mut Pool, n: usize) {
    if n == tcb.rcv.queue.len() && tcb.rcv.assembler.is_empty() {
        // Nothing is left, nor behind a gap.
        tcb.rcv.queue.clear(pool);
    } else {
        tcb.rcv.queue.consume(pool, n);
    }
    tcb.rcv.base += n as u32;
    if tcb.rcv.urgent.is_some_and(|u| u.seq.before(tcb.rcv.base)) {
        tcb.rcv.urgent = None;
    }
}

/// MSG_OOB (tcp_recv_urg).
fn recv_oob(
    tcp: &mut TcpSocket,
    bufs: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
) -> Result<Received> {
    let (inline, done, shut_rd, state) =
        (tcp.tuning.oob_inline, tcp.done, tcp.shut_rd, tcp.state());
    let urgent = tcp
        .tcb
        .as_deref_mut()
        .and_then(|tcb| tcb.rcv.urgent.as_mut())
        .filter(|u| !u.taken);
    let Some(urgent) = urgent.filter(|_| !inline) else {
        return Err(Error::Invalid);
    };
    if state == State::Closed && !done {
        return Err(Error::NotConnected);
    }
    let Some(octet) = urgent.octet else {
        return if state == State::Closed || shut_rd {
            Ok(Received::default())
        } else {
            Err(Error::WouldBlock)
        };
    };
    if !flags.contains(RecvFlags::PEEK) {
        urgent.taken = true;
    }
    let first = bufs.iter_mut().find_map(|b| b.first_mut());
    let len = usize::from(first.is_some());
    if let Some(slot) = first {
        *slot = octet;
    }
    Ok(Received {
        len,
        full_len: 1,
        oob: true,
        ..Received::default()
    })
}

/// Octets that recv would return, without an urgent one at the mark.
pub(super) fn in_stream(tcb: &Tcb) -> usize {
    let n = tcb.readable();
    let at_mark = tcb.rcv.urgent.is_some_and(|u| u.seq == tcb.rcv.base);
    if at_mark && !tcb.tuning.oob_inline {
        n.saturating_sub(1)
    } else {
        n
    }
}

/// What the socket is ready for (tcp_poll).
pub(crate) fn readiness(stack: &Stack, id: SocketId) -> Ready {
    let Ok((sock, tcp)) = socket(stack, id) else {
        return Ready::ERR | Ready::HUP;
    };
    let state = tcp.state();
    if let Some(listener) = &tcp.listener {
        return if listener.queue.is_empty() {
            Ready::empty()
        } else {
            Ready::IN
        };
    }
    let mut ready = Ready::empty();
    if (tcp.shut_rd && tcp.shut_wr) || state == State::Closed {
        ready |= Ready::HUP;
    }
    if tcp.shut_rd {
        ready |= Ready::IN | Ready::RDHUP;
    }
    let opening = matches!(state, State::SynSent | State::SynReceived);
    let open = tcp.tcb.as_deref().is_some_and(Tcb::fast_open_pending);
    if tcp.tcb.as_deref().is_some_and(Tcb::deferred) {
        // What is written makes the SYN.
        ready |= Ready::OUT;
    }
    if !opening || open {
        if let Some(tcb) = tcp.tcb.as_deref() {
            let target = sock.opts.rcvlowat().min(tcb.rcv.capacity()).max(1);
            if in_stream(tcb) >= target {
                ready |= Ready::IN;
            }
            if tcb
                .rcv
                .urgent
                .is_some_and(|u| u.octet.is_some() && !u.taken)
            {
                ready |= Ready::PRI;
            }
        }
        let writable = tcp.tcb.as_deref().is_none_or(|tcb| {
            tcb.state == State::Closed || tcb.snd.writable(tcb.lowat(&stack.config))
        });
        if tcp.shut_wr || writable {
            ready |= Ready::OUT;
        }
    }
    if sock.pending_error.is_some() || sock.has_reports() {
        ready |= Ready::ERR;
    }
    ready
}

/// Octets that a peek would find: those behind SO_PEEK_OFF, up to the urgent mark.
pub(crate) fn peekable_bytes(stack: &Stack, id: SocketId) -> Result<usize> {
    let (sock, _) = socket(stack, id)?;
    let offset = sock.peek_offset().unwrap_or(0);
    Ok(readable_bytes(stack, id)?.saturating_sub(offset))
}

/// FIONREAD (tcp_inq): up to the urgent mark when there is one ahead.
pub(crate) fn readable_bytes(stack: &Stack, id: SocketId) -> Result<usize> {
    let (_, tcp) = socket(stack, id)?;
    if tcp.listener.is_some() {
        return Err(Error::Invalid);
    }
    Ok(tcp.tcb.as_deref().map_or(0, |tcb| {
        let n = tcb.readable();
        match tcb.rcv.urgent {
            Some(u) if !tcb.tuning.oob_inline && u.seq.after_eq(tcb.rcv.base) => {
                n.min(u.seq.since(tcb.rcv.base) as usize)
            }
            _ => n,
        }
    }))
}

/// SIOCOUTQ: octets not acknowledged, a FIN counts as one (tcp_ioctl: write_seq - snd_una).
pub(crate) fn unsent_bytes(stack: &Stack, id: SocketId) -> Result<usize> {
    let (_, tcp) = socket(stack, id)?;
    if tcp.listener.is_some() {
        return Err(Error::Invalid);
    }
    Ok(tcp.tcb.as_deref().map_or(0, |tcb| {
        let fin = usize::from(tcb.snd.fin && !tcb.snd.fin_acked());
        if matches!(
            tcb.state,
            State::SynSent | State::SynReceived | State::Closed
        ) {
            0
        } else {
            tcb.snd.queue.len() + fin
        }
    }))
}

/// SIOCOUTQNSD (tcp_ioctl: write_seq - snd_nxt, so a FIN that waits counts).
pub(crate) fn never_sent_bytes(stack: &Stack, id: SocketId) -> Result<usize> {
    let (_, tcp) = socket(stack, id)?;
    if tcp.listener.is_some() {
        return Err(Error::Invalid);
    }
    Ok(tcp.tcb.as_deref().map_or(0, |tcb| match tcb.state {
        State::SynSent | State::SynReceived | State::Closed => 0,
        _ if tcb.snd.all_sent() => 0,
        _ => tcb.snd.data_end().since(tcb.snd.nxt) as usize + usize::from(tcb.snd.fin),
    }))
}

/// SIOCATMARK.
pub(crate) fn at_mark(stack: &Stack, id: SocketId) -> Result<bool> {
    let (_, tcp) = socket(stack, id)?;
    Ok(tcp
        .tcb
        .as_deref()
        .is_some_and(|tcb| tcb.rcv.urgent.is_some_and(|u| u.seq == tcb.rcv.base)))
}
