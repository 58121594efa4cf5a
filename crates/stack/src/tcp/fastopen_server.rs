//! SYNs whose text is taken before the handshake is through (RFC 7413 4.2.2): cookies, the bound on pending connections, and the
//! connection that such a SYN makes (Linux: tcp_try_fastopen, tcp_fastopen_create_child).

use std::collections::VecDeque;
use std::time::Duration;

use super::calls;
use super::connection;
use super::fastopen::{self, FastOpenState};
use super::half_open;
use super::input::Segment;
use super::listener;
use super::memory::Whose;
use super::tcb::Tcb;
use super::tuple::Tuple;
use crate::config::{FastOpen, FastOpenKeys};
use crate::error::Result;
use crate::socket::SocketId;
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::fast_open::{Cookie, FastOpenOption};

/// How long a connection that was reset before its handshake was through counts as pending: who sends SYNs in the name of a host that
/// resets them gains nothing by it (RFC 7413 5.1).
const RESET_COUNTS: Duration = Duration::from_secs(60);

/// A listener's connections whose handshakes are not through.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// How many, those that were reset included.
    count: usize,
    /// Until when those that were reset count.
    resets: VecDeque<Instant>,
}

impl Pending {
    /// Connections whose handshake goes on.
    pub(crate) fn going_on(&self) -> usize {
        self.count.saturating_sub(self.resets.len())
    }

    /// Whether there is place for one more of `limit` (Linux: tcp_fastopen_queue_check).
    fn has_room(&mut self, now: Instant, limit: usize) -> bool {
        if self.count >= limit && self.resets.front().is_some_and(|until| *until <= now) {
            self.resets.pop_front();
            self.count -= 1;
        }
        self.count < limit
    }
}

/// listen(2) with a stack whose every listener takes text in SYNs (inet_listen). Nothing happens to a listener.
pub(super) fn on_listen(stack: &mut Stack, id: SocketId, backlog: usize) -> Result<()> {
    let every = FastOpen::SERVER | FastOpen::EVERY_LISTENER;
    if !stack.config.fast_open.contains(every) {
        return Ok(());
    }
    let tcp = calls::tcp_mut(stack, id)?;
    if tcp.listener.is_none() {
        let settings = tcp.fast_open.get_or_insert_default();
        if settings.queue == 0 {
            settings.queue = backlog;
        }
        stack.tcp.fast_open.use_keys();
    }
    Ok(())
}

/// What becomes of a SYN.
pub(super) enum Answer {
    /// It made a connection.
    Opened,
    /// It is answered as any other, with this option.
    Ordinary(Option<FastOpenOption>),
}

/// What a cookie is worth.
enum Worth {
    Nothing,
    /// Made under the first key.
    Current,
    /// Made under the backup key: the client gets a new one.
    Old,
}

/// Looks at a SYN for a listener. The caller has looked at the queues' limits.
pub(super) fn answer(
    stack: &mut Stack,
    now: Instant,
    listener: SocketId,
    tuple: Tuple,
    seg: &Segment<'_>,
) -> Answer {
    let option = seg.header.options.fast_open;
    let allowed = stack.config.fast_open;
    if !allowed.contains(FastOpen::SERVER) || (seg.payload.is_empty() && option.is_none()) {
        return Answer::Ordinary(None);
    }
    let Some(settings) = settings(stack, listener) else {
        return Answer::Ordinary(None);
    };
    let (limit, no_cookie) = (settings.queue, settings.no_cookie);
    let keys = settings.keys.unwrap_or(stack.tcp.fast_open.keys());
    let room = limit > 0
        && listener::pending(stack, listener).is_some_and(|pending| pending.has_room(now, limit));
    if !room {
        return Answer::Ordinary(None);
    }
    if no_cookie || allowed.contains(FastOpen::SERVER_NO_COOKIE) {
        return open(stack, now, listener, tuple, seg, None);
    }
    let Some(option) = option else {
        return Answer::Ordinary(None);
    };
    let fresh = FastOpenOption {
        cookie: fastopen::cookie(&keys.primary, &tuple),
        ..option
    };
    match worth(&option.cookie, &keys, &tuple) {
        Worth::Nothing => Answer::Ordinary(Some(fresh)),
        Worth::Current => open(stack, now, listener, tuple, seg, None),
        Worth::Old => open(stack, now, listener, tuple, seg, Some(fresh)),
    }
}

fn settings(stack: &Stack, listener: SocketId) -> Option<&fastopen::FastOpenSettings> {
    stack.sockets.get(listener)?.tcp()?.fast_open.as_deref()
}

fn worth(cookie: &Cookie, keys: &FastOpenKeys, tuple: &Tuple) -> Worth {
    if *cookie == fastopen::cookie(&keys.primary, tuple) {
        Worth::Current
    } else if (keys.backup).is_some_and(|key| *cookie == fastopen::cookie(&key, tuple)) {
        Worth::Old
    } else {
        Worth::Nothing
    }
}

/// Makes the connection (RFC 7413 4.2.2): its text can be read, and answered, before the client's ACK.
fn open(
    stack: &mut Stack,
    now: Instant,
    listener: SocketId,
    tuple: Tuple,
    seg: &Segment<'_>,
    option: Option<FastOpenOption>,
) -> Answer {
    let made = half_open::describe(stack, now, listener, tuple, seg)
        .and_then(|entry| half_open::control_block(stack, now, &entry));
    let Some(mut tcb) = made else {
        return Answer::Ordinary(None);
    };
    take_text(&mut tcb, stack, now, seg);
    tcb.fast_open = Some(Box::new(FastOpenState {
        option,
        acknowledged: tcb.readable() > 0,
        listener: Some(listener),
        passive: true,
        ..FastOpenState::default()
    }));
    let Some(child) = listener::enqueue(stack, listener, tcb) else {
        return Answer::Ordinary(None);
    };
    if let Some(pending) = listener::pending(stack, listener) {
        pending.count += 1;
    }
    connection::schedule(stack, child);
    Answer::Opened
}

/// The SYN's text, as much as there is room for.
fn take_text(tcb: &mut Tcb, stack: &mut Stack, now: Instant, seg: &Segment<'_>) {
    let room = stack.tcp.pool.account.room(Whose::Receiving);
    let n = seg.payload.len().min(tcb.rcv.capacity()).min(room);
    let text = seg.payload.get(..n).unwrap_or_default();
    tcb.rcv.queue.push(&mut stack.tcp.pool, text);
    tcb.rcv.nxt += n as u32;
    tcb.rcv.last_ack_sent = tcb.rcv.nxt;
    let room = tcb.rcv.capacity().saturating_sub(n).min(65_535);
    tcb.rcv.adv = tcb.rcv.nxt + room as u32;
    tcb.counts.received(now, n as u32, 0);
    tcb.counts.bytes_received += n as u64;
}

/// A connection's handshake is through, or has come to nothing.
pub(super) fn no_longer_pending(stack: &mut Stack, now: Instant, listener: SocketId, reset: bool) {
    let Some(pending) = listener::pending(stack, listener) else {
        return;
    };
    if reset {
        pending.resets.push_back(now + RESET_COUNTS);
    } else {
        pending.count = pending.count.saturating_sub(1);
    }
}

impl Tcb {
    /// The client's ACK is here while text of ours may be on its way: the timer that stood for the SYN-ACK stands for the text now.
    /// If the SYN-ACK was lost more than once the text is taken for lost too (Linux: tcp_fastopen_synack_timer).
    pub(super) fn handshake_through(&mut self, now: Instant, timeouts: u32) {
        if self.fast_open.as_deref().is_some_and(|state| state.passive) {
            // What comes now counts as the first text for acknowledgements.
            self.rcv.interactive = false;
            self.quicken();
        }
        if self.snd.sent.is_empty() {
            return;
        }
        self.timers.rto = Some(now + self.rtt.rto());
        if timeouts > 1 {
            self.resend_all(now);
        }
    }

    /// The client's SYN again: the SYN-ACK was lost (RFC 9293 3.10.7.4; not more often than a challenge, RFC 5961 7).
    pub(super) fn syn_again(&mut self, now: Instant, seg: &Segment<'_>) -> bool {
        use crate::wire::tcp::Flags;
        let again = self.fast_open_pending()
            && seg.has(Flags::SYN)
            && !seg.has(Flags::ACK)
            && !seg.has(Flags::RST)
            && seg.header.seq == self.rcv.irs;
        if again && self.may_challenge(now) {
            self.snd.nxt = self.snd.iss;
        }
        again
    }
}
