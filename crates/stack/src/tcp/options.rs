//! TCP's own socket options (tcp(7)): their domains, what they change, and TCP_INFO.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::calls::{socket, tcp_mut};
use super::connection::with_tcb;
use super::layer::TcpSocket;
use super::listener::queue_limit;
use super::pacing::UNLIMITED;
use super::sizing;
use super::tcb::Verdict;
use super::timers::{SYN_RETRIES, syn_ack_retries_for};
use super::vars::AckDue;
use crate::config::FastOpen;
use crate::error::{Error, Result};
use crate::socket::table::in_four;
use crate::socket::{SockOpt, SockOptName, SocketId, State};
use crate::stack::Stack;
use crate::time::Instant;

/// Largest TCP_KEEPIDLE and TCP_KEEPINTVL, seconds; largest TCP_KEEPCNT and TCP_SYNCNT (tcp(7)).
const MAX_KEEP_SECONDS: u32 = 32_767;
const MAX_KEEP_COUNT: u32 = 127;
const MAX_SYN_COUNT: u32 = 127;
/// Bounds of TCP_MAXSEG (Linux: TCP_MIN_MSS, MAX_TCP_WINDOW).
const MAXSEG: std::ops::RangeInclusive<u32> = 88..=32_767;
/// Smallest TCP_WINDOW_CLAMP (Linux: half of SOCK_MIN_RCVBUF).
const MIN_WINDOW_CLAMP: u32 = 1152;
/// Acknowledgements that TCP_QUICKACK makes go at once (Linux: TCP_MAX_QUICKACKS).
const QUICK_ACKS: u8 = 16;
/// Longest TCP_LINGER2, seconds (Linux: TCP_FIN_TIMEOUT_MAX).
const MAX_LINGER2: i32 = 120;

/// A connection's options as set on its socket. Children of a listener inherit them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// TCP_NODELAY.
    pub(crate) nodelay: bool,
    /// TCP_CORK.
    pub(crate) cork: bool,
    /// SO_KEEPALIVE.
    pub(crate) keepalive: bool,
    /// TCP_KEEPIDLE, seconds.
    pub(crate) keep_idle: u16,
    /// TCP_KEEPINTVL, seconds.
    pub(crate) keep_intvl: u16,
    /// TCP_KEEPCNT.
    pub(crate) keep_cnt: u8,
    /// SO_OOBINLINE.
    pub(crate) oob_inline: bool,
    /// TCP_MAXSEG, 0 when unset.
    pub(crate) max_seg: u16,
    /// TCP_USER_TIMEOUT, milliseconds; 0 when unset.
    pub(crate) user_timeout: u32,
    /// TCP_SYNCNT.
    pub(crate) syn_retries: u8,
    /// TCP_LINGER2: how long an orphan stays in FIN-WAIT-2, seconds; `None`: not at all.
    pub(crate) linger2: Option<u8>,
    /// TCP_WINDOW_CLAMP, octets; 0 when unset.
    pub(crate) window_clamp: u32,
    /// TCP_NOTSENT_LOWAT, octets; 0 when unset.
    pub(crate) notsent_lowat: u32,
    /// TCP_DEFER_ACCEPT, in SYN-ACKs sent again; 0: off.
    pub(crate) defer_accept: u8,
    /// SO_MAX_PACING_RATE, octets a second.
    pub(crate) max_pacing_rate: u64,
    /// TCP_CONGESTION; `None`: the stack's default.
    pub(crate) congestion: Option<crate::config::CongestionControl>,
}

/// tcp_fin_timeout, seconds.
const FIN_TIMEOUT: u8 = 60;

impl Default for Tuning {
    /// Linux's defaults (tcp(7)).
    fn default() -> Tuning {
        Tuning {
            nodelay: false,
            cork: false,
            keepalive: false,
            keep_idle: 7200,
            keep_intvl: 75,
            keep_cnt: 9,
            oob_inline: false,
            max_seg: 0,
            user_timeout: 0,
            syn_retries: SYN_RETRIES as u8,
            linger2: Some(FIN_TIMEOUT),
            window_clamp: 0,
            notsent_lowat: 0,
            defer_accept: 0,
            max_pacing_rate: UNLIMITED,
            congestion: None,
        }
    }
}

/// A connection's options, in one place with those of all that never changed theirs: the default's, or their listener's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedTuning(Arc<Tuning>);

impl Default for SharedTuning {
    fn default() -> SharedTuning {
        static DEFAULT: LazyLock<SharedTuning> =
            LazyLock::new(|| SharedTuning(Arc::new(Tuning::default())));
        DEFAULT.clone()
    }
}

impl Deref for SharedTuning {
    type Target = Tuning;

    fn deref(&self) -> &Tuning {
        &self.0
    }
}

impl DerefMut for SharedTuning {
    /// From now on it has its own.
    fn deref_mut(&mut self) -> &mut Tuning {
        Arc::make_mut(&mut self.0)
    }
}

impl Tuning {
    /// TCP_KEEPIDLE.
    pub(crate) fn keep_idle(&self) -> Duration {
        Duration::from_secs(u64::from(self.keep_idle))
    }

    /// TCP_KEEPINTVL.
    pub(crate) fn keep_intvl(&self) -> Duration {
        Duration::from_secs(u64::from(self.keep_intvl))
    }

    /// TCP_USER_TIMEOUT.
    pub(crate) fn user_timeout(&self) -> Option<Duration> {
        (self.user_timeout > 0).then(|| Duration::from_millis(u64::from(self.user_timeout)))
    }

    /// TCP_LINGER2; zero: not at all.
    pub(crate) fn linger2(&self) -> Duration {
        Duration::from_secs(self.linger2.map_or(0, u64::from))
    }
}

/// setsockopt(2) of the options of Fast Open (do_tcp_setsockopt).
fn set_fast_open(stack: &mut Stack, id: SocketId, opt: SockOpt) -> Result<()> {
    let enabled = stack.config.fast_open.contains(FastOpen::CLIENT);
    let tcp = tcp_mut(stack, id)?;
    let (closed, listens) = (tcp.state() == State::Closed, tcp.listener.is_some());
    let settings = tcp.fast_open.get_or_insert_default();
    match opt {
        SockOpt::FastOpen(n) if closed || listens => settings.queue = queue_limit(n as usize),
        SockOpt::FastOpenConnect(_) if !enabled => return Err(Error::NotSupported),
        SockOpt::FastOpenConnect(on) if closed => settings.connect = on,
        SockOpt::FastOpenNoCookie(on) if closed || listens => settings.no_cookie = on,
        SockOpt::FastOpenKey(Some(keys)) => settings.keys = Some(keys),
        _ => return Err(Error::Invalid),
    }
    if matches!(opt, SockOpt::FastOpen(_)) {
        stack.tcp.fast_open.use_keys();
    }
    Ok(())
}

/// setsockopt(2) of TCP's own options.
pub(crate) fn set_option(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    opt: SockOpt,
) -> Result<()> {
    let tcp = tcp_mut(stack, id)?;
    let closed = tcp.tcb.is_none() && tcp.listener.is_none();
    let tuning = &mut tcp.tuning;
    match opt {
        SockOpt::NoDelay(on) => tuning.nodelay = on,
        SockOpt::Cork(on) => tuning.cork = on,
        SockOpt::KeepIdle(s @ 1..=MAX_KEEP_SECONDS) => tuning.keep_idle = s as u16,
        SockOpt::KeepIntvl(s @ 1..=MAX_KEEP_SECONDS) => tuning.keep_intvl = s as u16,
        SockOpt::KeepCnt(n @ 1..=MAX_KEEP_COUNT) => tuning.keep_cnt = n as u8,
        SockOpt::MaxSeg(n) if n == 0 || MAXSEG.contains(&n) => tuning.max_seg = n as u16,
        SockOpt::UserTimeout(ms) => tuning.user_timeout = ms,
        SockOpt::SynCnt(n @ 1..=MAX_SYN_COUNT) => tuning.syn_retries = n as u8,
        SockOpt::Linger2(s) if s < 0 => tuning.linger2 = None,
        SockOpt::Linger2(0) => tuning.linger2 = Some(FIN_TIMEOUT),
        SockOpt::Linger2(s) => tuning.linger2 = Some(s.min(MAX_LINGER2) as u8),
        SockOpt::WindowClamp(0) if !closed => return Err(Error::Invalid),
        SockOpt::WindowClamp(n) => {
            tuning.window_clamp = if n == 0 { 0 } else { n.max(MIN_WINDOW_CLAMP) };
        }
        SockOpt::NotSentLowat(n) => tuning.notsent_lowat = n,
        SockOpt::DeferAccept(s) => tuning.defer_accept = syn_ack_retries_for(s),
        SockOpt::Congestion(which) => tuning.congestion = Some(which),
        SockOpt::MaxPacingRate(rate) => tuning.max_pacing_rate = rate,
        SockOpt::QuickAck(on) => return quick_ack(stack, now, id, on),
        SockOpt::FastOpen(_)
        | SockOpt::FastOpenConnect(_)
        | SockOpt::FastOpenNoCookie(_)
        | SockOpt::FastOpenKey(_) => return set_fast_open(stack, id, opt),
        SockOpt::KeepIdle(_)
        | SockOpt::KeepIntvl(_)
        | SockOpt::KeepCnt(_)
        | SockOpt::SynCnt(_)
        | SockOpt::MaxSeg(_) => return Err(Error::Invalid),
        _ => return Err(Error::NoSuchOption),
    }
    option_changed(stack, now, id);
    if opt == SockOpt::NoDelay(true) {
        // Set again it pushes again, through MSG_MORE and the cork.
        with_tcb(stack, now, id, |tcb, _| {
            tcb.snd.hold_until = None;
            tcb.snd.gathers = false;
            tcb.timers.override_sws |= tcb.tuning.cork && !tcb.snd.all_sent();
            Verdict::default()
        });
    }
    Ok(())
}

/// TCP_QUICKACK is a state of the moment, not a setting: on, what is owed goes now and the next arrivals are acknowledged at once;
/// off, they wait for company.
fn quick_ack(stack: &mut Stack, now: Instant, id: SocketId, on: bool) -> Result<()> {
    with_tcb(stack, now, id, |tcb, _| {
        if on {
            tcb.rcv.quick = QUICK_ACKS;
            tcb.rcv.interactive = false;
            if tcb.rcv.ack == AckDue::Delayed {
                tcb.rcv.ack = AckDue::Now;
            }
        } else {
            tcb.rcv.interactive = true;
        }
        Verdict::default()
    });
    Ok(())
}

/// An option has changed, here or among those kept elsewhere: the connection takes it over.
pub(crate) fn option_changed(stack: &mut Stack, now: Instant, id: SocketId) {
    let default = stack.config.congestion;
    let Some(sock) = stack.sockets.get_mut(id) else {
        return;
    };
    let opts = sock.opts.clone();
    let Some(tcp) = sock.tcp_mut() else { return };
    if (tcp.tuning.keepalive, tcp.tuning.oob_inline) != (opts.keepalive, opts.oob_inline) {
        tcp.tuning.keepalive = opts.keepalive;
        tcp.tuning.oob_inline = opts.oob_inline;
    }
    let tuning = tcp.tuning.clone();
    with_tcb(stack, now, id, |tcb, cx| {
        let keepalive = |t: &Tuning| (t.keepalive, t.keep_idle, t.keep_intvl);
        let keepalive_changed = keepalive(&tuning) != keepalive(&tcb.tuning);
        let pushed = tcb.tuning.cork && !tuning.cork;
        if tuning.congestion != tcb.tuning.congestion {
            tcb.switch_congestion(tuning.congestion.unwrap_or(default));
        }
        tcb.tuning = tuning;
        // What grew by itself is not taken back.
        if opts.sndbuf_locked {
            let size = in_four(opts.sndbuf());
            (tcb.snd.capacity, tcb.snd.locked) = (size, true);
        }
        if opts.rcvbuf_locked {
            (tcb.rcv.capacity, tcb.rcv.locked) = (in_four(sizing::window_of(opts.rcvbuf())), true);
        }
        if pushed {
            tcb.snd.hold_until = None;
        }
        if keepalive_changed {
            tcb.arm_keepalive(cx.now);
        }
        if tcb.window_update_due() {
            tcb.rcv.ack = AckDue::Now;
        }
        // A larger buffer, a higher mark: who waits for room is told at the next look (check_room).
        Verdict::default()
    });
}

/// SO_SNDBUF and SO_RCVBUF as the connection's buffers have grown, if there is one.
pub(crate) fn buffers(tcp: &TcpSocket) -> Option<(usize, usize)> {
    let tcb = tcp.tcb.as_deref()?;
    Some((
        tcb.snd.capacity as usize,
        sizing::buffer_of(tcb.rcv.capacity()),
    ))
}

/// getsockopt(2) of TCP's own options.
pub(crate) fn get_option(stack: &Stack, id: SocketId, name: SockOptName) -> Result<SockOpt> {
    let (_, tcp) = socket(stack, id)?;
    let t = &tcp.tuning;
    let fast_open = tcp.fast_open.as_deref();
    Ok(match name {
        SockOptName::NoDelay => SockOpt::NoDelay(t.nodelay),
        SockOptName::Cork => SockOpt::Cork(t.cork),
        SockOptName::QuickAck => {
            SockOpt::QuickAck(tcp.tcb.as_deref().is_none_or(|tcb| !tcb.rcv.interactive))
        }
        SockOptName::KeepIdle => SockOpt::KeepIdle(t.keep_idle.into()),
        SockOptName::KeepIntvl => SockOpt::KeepIntvl(t.keep_intvl.into()),
        SockOptName::KeepCnt => SockOpt::KeepCnt(t.keep_cnt.into()),
        SockOptName::UserTimeout => SockOpt::UserTimeout(t.user_timeout),
        SockOptName::SynCnt => SockOpt::SynCnt(t.syn_retries.into()),
        SockOptName::Linger2 => SockOpt::Linger2(t.linger2.map_or(-1, i32::from)),
        SockOptName::WindowClamp => SockOpt::WindowClamp(t.window_clamp),
        SockOptName::NotSentLowat => SockOpt::NotSentLowat(t.notsent_lowat),
        SockOptName::DeferAccept => SockOpt::DeferAccept(deferral_seconds(t.defer_accept)),
        SockOptName::Congestion => {
            SockOpt::Congestion(t.congestion.unwrap_or(stack.config.congestion))
        }
        SockOptName::MaxPacingRate => SockOpt::MaxPacingRate(t.max_pacing_rate),
        SockOptName::FastOpen => SockOpt::FastOpen(fast_open.map_or(0, |f| f.queue as u32)),
        SockOptName::FastOpenConnect => {
            SockOpt::FastOpenConnect(fast_open.is_some_and(|f| f.connect))
        }
        SockOptName::FastOpenNoCookie => {
            SockOpt::FastOpenNoCookie(fast_open.is_some_and(|f| f.no_cookie))
        }
        SockOptName::FastOpenKey => {
            let own = fast_open.and_then(|f| f.keys);
            SockOpt::FastOpenKey(own.or(stack.tcp.fast_open.keys_in_use()))
        }
        SockOptName::MaxSeg => SockOpt::MaxSeg(match &tcp.tcb {
            Some(tcb) if tcb.state != State::Closed => tcb.eff_mss(),
            _ if t.max_seg != 0 => t.max_seg.into(),
            _ => 536,
        }),
        _ => return Err(Error::NoSuchOption),
    })
}

/// Linux, retrans_to_secs(): what a count of SYN-ACKs sent again amounts to in seconds.
fn deferral_seconds(retries: u8) -> i32 {
    // retrans_to_secs: each wait is twice the one before, up to TCP_RTO_MAX.
    (0..u32::from(retries))
        .map(|n| (1i32 << n.min(7)).min(120))
        .sum()
}
