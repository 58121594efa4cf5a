//! Connections opened with text in the SYN (RFC 7413 4.2.2), by MSG_FASTOPEN or TCP_FASTOPEN_CONNECT; in Linux's order of checks
//! (tcp_sendmsg_fastopen, tcp_send_syn_data, tcp_rcv_fastopen_synack).

use std::io::IoSlice;
use std::net::SocketAddr;

use super::bytes::Pool;
use super::calls::{self, socket};
use super::connection::{self, schedule};
use super::data;
use super::fastopen::{FastOpenState, Learnt};
use super::memory::Whose;
use super::mss::{mss_option, path_mss};
use super::output::Plan;
use super::seq::SeqNum;
use super::tcb::{Cx, Tcb};
use crate::config::FastOpen;
use crate::error::{Error, Result};
use crate::socket::control::SendControl;
use crate::socket::{FastOpenFailure, SendFlags, SocketId, State};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::fast_open::FastOpenOption;
use crate::wire::tcp::{Flags, Header};

/// Room left in a SYN for options, those that middleboxes add included (Linux: MAX_TCP_OPTION_SPACE), octets.
const OPTION_SPACE: u32 = 40;
/// MSS of a SYN-ACK that names none (RFC 9293 MUST-15), octets.
const DEFAULT_MSS: u16 = 536;

/// What a SYN may have.
struct Chance {
    option: Option<FastOpenOption>,
    /// Octets of text; `None`: none, for there is no cookie.
    room: Option<u32>,
    probation: bool,
    failure: FastOpenFailure,
}

/// What the SYN of `tcb` may have (Linux: tcp_fastopen_cookie_check).
fn chance(stack: &Stack, now: Instant, tcb: &Tcb, no_cookie: bool) -> Chance {
    let layer = &stack.tcp.fast_open;
    let (mss, option) = layer.recall(&tcb.tuple);
    let mut chance = Chance {
        option: None,
        room: None,
        probation: false,
        failure: FastOpenFailure::None,
    };
    if layer.paused(now, stack.config.fast_open_pause) {
        return chance;
    }
    chance.probation = layer.on_probation();
    // RFC 7413 4.2.2: the server's MSS when it is known, what the path carries, and what the program wants.
    let limits = [
        mss.map_or(u32::MAX, u32::from),
        path_mss(&tcb.tuple, tcb.path.mtu),
        match tcb.tuning.max_seg {
            0 => u32::MAX,
            wanted => wanted.into(),
        },
    ];
    let mss = limits.into_iter().min().unwrap_or_default();
    let room = Some(mss.saturating_sub(OPTION_SPACE));
    if no_cookie || stack.config.fast_open.contains(FastOpen::CLIENT_NO_COOKIE) {
        chance.room = room;
    } else {
        chance.option = Some(option);
        if option.cookie.is_empty() {
            chance.failure = FastOpenFailure::NoCookie;
        } else {
            chance.room = room;
        }
    }
    chance
}

/// connect(2) with TCP_FASTOPEN_CONNECT: whether the SYN waits for something to be written.
pub(super) fn on_connect(stack: &Stack, now: Instant, id: SocketId, tcb: &mut Tcb) -> bool {
    let settings = socket(stack, id)
        .ok()
        .and_then(|(_, tcp)| tcp.fast_open.as_deref());
    let Some(settings) = settings.filter(|settings| settings.connect) else {
        return false;
    };
    let chance = chance(stack, now, tcb, settings.no_cookie);
    let deferred = chance.room.is_some();
    tcb.fast_open = Some(Box::new(FastOpenState {
        option: chance.option,
        failure: chance.failure,
        probation: chance.probation,
        deferred,
        ..FastOpenState::default()
    }));
    deferred
}

/// connect has returned, and its SYN waits for something to be written.
pub(crate) fn deferred(stack: &Stack, id: SocketId) -> bool {
    connection::tcb(stack, id).is_some_and(Tcb::deferred)
}

/// Whether a send call with these flags opens a connection, or joins the opening of one.
pub(crate) fn opens(stack: &Stack, id: SocketId, flags: SendFlags) -> bool {
    flags.contains(SendFlags::FASTOPEN) || deferred(stack, id)
}

/// An active open whose handshake goes on.
pub(crate) fn opening(stack: &Stack, id: SocketId) -> bool {
    connection::tcb(stack, id).is_some_and(|tcb| match tcb.state {
        State::SynSent => !tcb.deferred(),
        State::SynReceived => !tcb.fast_open_pending(),
        _ => false,
    })
}

/// send(2) that opens a connection: takes as much as goes into the SYN. `InProgress` when that is nothing.
pub(crate) fn send(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    text: &[IoSlice<'_>],
    flags: SendFlags,
    dest: Option<SocketAddr>,
    control: &SendControl,
) -> Result<usize> {
    if !stack.config.fast_open.contains(FastOpen::CLIENT) {
        return Err(Error::NotSupported);
    }
    let (_, tcp) = socket(stack, id)?;
    let no_cookie = tcp.fast_open.as_deref().is_some_and(|s| s.no_cookie);
    if !deferred(stack, id) {
        if !tcp.is_fresh() {
            // What connect would say; when it says that all is well the rest is an ordinary send.
            calls::connect(
                stack,
                now,
                id,
                dest.unwrap_or(SocketAddr::from(([0; 4], 0))),
            )?;
            return data::send(stack, now, id, text, flags, control);
        }
        let to = dest.ok_or(Error::Invalid)?;
        let tcb = calls::prepare(stack, now, id, to)?;
        calls::begin(stack, id, tcb, to)?;
    }
    let tcb = connection::tcb(stack, id).ok_or(Error::Invalid)?;
    let chance = chance(stack, now, tcb, no_cookie);
    let Stack {
        sockets,
        tcp: layer,
        ..
    } = stack;
    let tcb = connection::tcb_mut(sockets, id).ok_or(Error::Invalid)?;
    let taken = load(tcb, &mut layer.pool, text, chance.room.unwrap_or(0));
    let all: usize = text.iter().map(|piece| piece.len()).sum();
    tcb.fast_open = Some(Box::new(FastOpenState {
        option: chance.option,
        failure: chance.failure,
        probation: chance.probation,
        text: taken as u32,
        more: flags.contains(SendFlags::BLOCKS) && taken < all,
        ..FastOpenState::default()
    }));
    data::written(stack, id, taken, flags, control)?;
    schedule(stack, id);
    match taken {
        0 => Err(Error::InProgress),
        taken => Ok(taken),
    }
}

/// Puts at most `room` octets into the empty send queue.
fn load(tcb: &mut Tcb, pool: &mut Pool, text: &[IoSlice<'_>], room: u32) -> usize {
    let room = (room as usize)
        .min(tcb.snd.capacity as usize)
        .min(pool.account.room(Whose::Writing));
    let mut taken = 0;
    for piece in text {
        let n = piece.len().min(room - taken);
        tcb.snd.queue.push(pool, piece.get(..n).unwrap_or_default());
        taken += n;
    }
    if taken > 0 {
        // A write of its own.
        tcb.snd.pieces.begin(tcb.snd.data_end());
        tcb.mark_push();
    }
    taken
}

impl Tcb {
    /// connect has returned, and the SYN waits for something to be written.
    pub(super) fn deferred(&self) -> bool {
        self.state == State::SynSent && self.fast_open.as_deref().is_some_and(|s| s.deferred)
    }

    /// The SYN, the first time with its text: what is sent again is a plain one (RFC 7413 4.1.3.1, 4.2.2).
    pub(super) fn plan_syn(&self) -> Option<Plan> {
        if self.snd.nxt != self.snd.iss || self.deferred() {
            return None;
        }
        let first = self.snd.max == self.snd.iss;
        let text = self.fast_open.as_deref().filter(|_| first);
        Some(Plan {
            seq: self.snd.iss,
            len: text.map_or(0, |state| state.text),
            flags: Flags::SYN,
            whole: true,
        })
    }

    /// The SYN was too long for the path: it goes again, without text, and tells of the path as it is now known (RFC 7413 4.1.3.1;
    /// Linux: tcp_simple_retransmit).
    pub(super) fn renew_syn(&mut self) {
        self.syn.mss = mss_option(&self.tuple, self.path.mtu, self.tuning.max_seg.into());
        if !self.deferred() {
            self.snd.nxt = self.snd.iss;
        }
    }

    /// The SYN-ACK that is to end an active open echoes a timestamp that no SYN of ours had: it is somebody else's answer
    /// (RFC 7323 3.2; Linux: tcp_rcv_synsent_state_process).
    pub(super) fn foreign_echo(&self, now: Instant, h: &Header) -> bool {
        let Some((_, echo)) = h.options.ts.filter(|_| self.syn.timestamps) else {
            return false;
        };
        let first = self.timers.stalled_since.unwrap_or(self.snd.last_sent);
        let (first, last) = (self.ts.val(first), self.ts.val(now));
        echo != 0 && echo.wrapping_sub(first) > last.wrapping_sub(first)
    }

    /// Our SYN is acknowledged, and of its text what lies before `ack`. The rest goes again at once, for nothing is known against the
    /// network (RFC 7413 4.2.2).
    pub(super) fn syn_text_answered(&mut self, cx: &mut Cx<'_>, h: &Header) {
        let again = self.counts.retrans > 0;
        let Some(state) = self.fast_open.as_deref().filter(|s| !s.passive) else {
            return;
        };
        let (asked, text) = (state.option, state.text);
        if h.ack.after(self.snd.una) {
            self.syn_text_acknowledged(cx, h.ack);
        }
        let missing = text > 0 && self.snd.max.after(self.snd.una);
        if missing {
            self.resend_all(cx.now);
        }
        let Some(state) = self.fast_open.as_deref_mut() else {
            return;
        };
        state.acknowledged = text > 0 && !missing;
        if missing {
            state.failure = match again {
                true => FastOpenFailure::SynRetransmitted,
                false => FastOpenFailure::NotAcknowledged,
            };
        }
        if asked.is_none() && text == 0 {
            return;
        }
        // A cookie that nobody asked for is not kept. Who gave none when asked may know the experimental kind.
        let option = h.options.fast_open.filter(|_| asked.is_some());
        let attempt = match asked {
            Some(asked) if !again && option.is_none() && text == 0 => {
                1 + u8::from(asked.experimental)
            }
            _ => 0,
        };
        state.learnt = Some(Learnt {
            mss: h.options.mss.unwrap_or(DEFAULT_MSS),
            option,
            attempt,
        });
    }

    fn syn_text_acknowledged(&mut self, cx: &mut Cx<'_>, ack: SeqNum) {
        self.counts.bytes_acked += u64::from(ack.since(self.snd.una));
        self.snd.sent.acknowledge(ack, |_| {});
        self.new_ack(cx, ack);
    }

    /// How much may be sent again from `start` on. A SYN's text went before any window was known: it goes again within the window, and
    /// when that is closed the timer probes it.
    pub(super) fn syn_text_room(&self, start: SeqNum) -> u32 {
        let text = self.fast_open.as_deref().map_or(0, |state| state.text);
        if text == 0 || start.after_eq(self.snd.iss + 1 + text) {
            return u32::MAX;
        }
        (self.snd.una + self.snd.wnd).since(start)
    }

    /// A blocked call has more to write: its segment brings the acknowledgement of the SYN-ACK.
    pub(super) fn more_follows(&self) -> bool {
        self.fast_open.as_deref().is_some_and(|state| state.more)
    }
}
