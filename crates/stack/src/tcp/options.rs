//! TCP's own socket options (tcp(7)): their domains, what they change, and TCP_INFO.

use std::time::Duration;

use super::calls::{socket, tcp_mut};
use super::connection::{self, with_tcb};
use super::tcb::Verdict;
use super::timers::{SYN_RETRIES, syn_ack_retries_for};
use super::vars::AckDue;
use crate::error::{Error, Result};
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
    /// TCP_KEEPIDLE.
    pub(crate) keep_idle: Duration,
    /// TCP_KEEPINTVL.
    pub(crate) keep_intvl: Duration,
    /// TCP_KEEPCNT.
    pub(crate) keep_cnt: u32,
    /// SO_OOBINLINE.
    pub(crate) oob_inline: bool,
    /// TCP_MAXSEG, 0 when unset.
    pub(crate) max_seg: u32,
    /// TCP_USER_TIMEOUT, zero when unset.
    pub(crate) user_timeout: Duration,
    /// TCP_SYNCNT.
    pub(crate) syn_retries: u32,
    /// TCP_LINGER2: how long an orphan stays in FIN-WAIT-2; `None`: not at all.
    pub(crate) linger2: Option<Duration>,
    /// TCP_WINDOW_CLAMP, octets; 0 when unset.
    pub(crate) window_clamp: u32,
    /// TCP_NOTSENT_LOWAT, octets; 0 when unset.
    pub(crate) notsent_lowat: u32,
    /// TCP_DEFER_ACCEPT, in SYN-ACKs sent again; 0: off.
    pub(crate) defer_accept: u8,
    /// TCP_CONGESTION; `None`: the stack's default.
    pub(crate) congestion: Option<crate::config::CongestionControl>,
}

/// tcp_fin_timeout.
const FIN_TIMEOUT: Duration = Duration::from_secs(60);

impl Default for Tuning {
    /// Linux's defaults (tcp(7)).
    fn default() -> Tuning {
        Tuning {
            nodelay: false,
            cork: false,
            keepalive: false,
            keep_idle: Duration::from_secs(7200),
            keep_intvl: Duration::from_secs(75),
            keep_cnt: 9,
            oob_inline: false,
            max_seg: 0,
            user_timeout: Duration::ZERO,
            syn_retries: SYN_RETRIES,
            linger2: Some(FIN_TIMEOUT),
            window_clamp: 0,
            notsent_lowat: 0,
            defer_accept: 0,
            congestion: None,
        }
    }
}

fn seconds(s: u32) -> Duration {
    Duration::from_secs(u64::from(s))
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
        SockOpt::KeepIdle(s @ 1..=MAX_KEEP_SECONDS) => tuning.keep_idle = seconds(s),
        SockOpt::KeepIntvl(s @ 1..=MAX_KEEP_SECONDS) => tuning.keep_intvl = seconds(s),
        SockOpt::KeepCnt(n @ 1..=MAX_KEEP_COUNT) => tuning.keep_cnt = n,
        SockOpt::MaxSeg(n) if n == 0 || MAXSEG.contains(&n) => tuning.max_seg = n,
        SockOpt::UserTimeout(ms) => tuning.user_timeout = Duration::from_millis(u64::from(ms)),
        SockOpt::SynCnt(n @ 1..=MAX_SYN_COUNT) => tuning.syn_retries = n,
        SockOpt::Linger2(s) if s < 0 => tuning.linger2 = None,
        SockOpt::Linger2(0) => tuning.linger2 = Some(FIN_TIMEOUT),
        SockOpt::Linger2(s) => tuning.linger2 = Some(seconds(s.min(MAX_LINGER2) as u32)),
        SockOpt::WindowClamp(0) if !closed => return Err(Error::Invalid),
        SockOpt::WindowClamp(n) => {
            tuning.window_clamp = if n == 0 { 0 } else { n.max(MIN_WINDOW_CLAMP) };
        }
        SockOpt::NotSentLowat(n) => tuning.notsent_lowat = n,
        SockOpt::DeferAccept(s) => tuning.defer_accept = syn_ack_retries_for(s),
        SockOpt::Congestion(which) => tuning.congestion = Some(which),
        SockOpt::QuickAck(on) => return quick_ack(stack, now, id, on),
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
    tcp.tuning.keepalive = opts.keepalive;
    tcp.tuning.oob_inline = opts.oob_inline;
    let tuning = tcp.tuning;
    with_tcb(stack, now, id, |tcb, cx| {
        let keepalive = |t: &Tuning| (t.keepalive, t.keep_idle, t.keep_intvl);
        let keepalive_changed = keepalive(&tuning) != keepalive(&tcb.tuning);
        let pushed = tcb.tuning.cork && !tuning.cork;
        if tuning.congestion != tcb.tuning.congestion {
            tcb.switch_congestion(tuning.congestion.unwrap_or(default));
        }
        tcb.tuning = tuning;
        tcb.snd.capacity = connection::send_capacity(&opts);
        tcb.rcv.capacity = connection::recv_capacity(&opts);
        if pushed {
            tcb.snd.hold_until = None;
        }
        if keepalive_changed {
            tcb.arm_keepalive(cx.now);
        }
        if tcb.window_update_due() {
            tcb.rcv.ack = AckDue::Now;
        }
        Verdict::default()
    });
}

/// getsockopt(2) of TCP's own options.
pub(crate) fn get_option(stack: &Stack, id: SocketId, name: SockOptName) -> Result<SockOpt> {
    let (_, tcp) = socket(stack, id)?;
    let t = &tcp.tuning;
    let whole_seconds = |d: Duration| d.as_secs() as u32;
    Ok(match name {
        SockOptName::NoDelay => SockOpt::NoDelay(t.nodelay),
        SockOptName::Cork => SockOpt::Cork(t.cork),
        SockOptName::QuickAck => {
            SockOpt::QuickAck(tcp.tcb.as_deref().is_none_or(|tcb| !tcb.rcv.interactive))
        }
        SockOptName::KeepIdle => SockOpt::KeepIdle(whole_seconds(t.keep_idle)),
        SockOptName::KeepIntvl => SockOpt::KeepIntvl(whole_seconds(t.keep_intvl)),
        SockOptName::KeepCnt => SockOpt::KeepCnt(t.keep_cnt),
        SockOptName::UserTimeout => SockOpt::UserTimeout(t.user_timeout.as_millis() as u32),
        SockOptName::SynCnt => SockOpt::SynCnt(t.syn_retries),
        SockOptName::Linger2 => SockOpt::Linger2(t.linger2.map_or(-1, |d| d.as_secs() as i32)),
        SockOptName::WindowClamp => SockOpt::WindowClamp(t.window_clamp),
        SockOptName::NotSentLowat => SockOpt::NotSentLowat(t.notsent_lowat),
        SockOptName::DeferAccept => SockOpt::DeferAccept(deferral_seconds(t.defer_accept)),
        SockOptName::Congestion => {
            SockOpt::Congestion(t.congestion.unwrap_or(stack.config.congestion))
        }
        SockOptName::MaxSeg => SockOpt::MaxSeg(match &tcp.tcb {
            Some(tcb) if tcb.state != State::Closed => tcb.eff_mss(),
            _ if t.max_seg != 0 => t.max_seg,
            _ => 536,
        }),
        _ => return Err(Error::NoSuchOption),
    })
}

/// Linux, retrans_to_secs(): what a count of SYN-ACKs sent again amounts to in seconds.
fn deferral_seconds(retries: u8) -> i32 {
    match retries {
        0 => 0,
        n => (1i32 << u32::from(n).min(16)) - 1,
    }
}
