//! TCP_INFO: a connection's figures and the counters that only they need.

use std::time::Duration;

use super::recovery::Phase;
use super::tcb::Tcb;
use super::timers::DELAYED_ACK;
use crate::socket::{CaState, State, TcpInfo};
use crate::time::Instant;

/// Congestion window before the handshake is through, segments (Linux reports the initial window).
const INITIAL_CWND: u32 = 10;
/// Duplicates that mean a loss while no reordering was seen (tcp_reordering).
const REORDERING: u32 = 3;
/// No more are believed (tcp_max_reordering).
const REORDERING_MAX: u32 = 300;

/// What is counted for TCP_INFO alone; it wraps.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Counters {
    /// Segments that the peer has told of, by ACK or SACK.
    pub(crate) delivered: u32,
    /// Those of them that were told of together with a router's mark.
    pub(crate) delivered_ce: u32,
    /// Segments sent again.
    pub(crate) retrans: u32,
    /// Octets sent again.
    pub(crate) bytes_retrans: u64,
    /// Octets sent, repetitions included.
    pub(crate) bytes_sent: u64,
    /// Octets acknowledged.
    pub(crate) bytes_acked: u64,
    /// Octets received in order.
    pub(crate) bytes_received: u64,
    /// Segments sent.
    pub(crate) segs_out: u32,
    /// Segments received.
    pub(crate) segs_in: u32,
    /// Segments sent with text.
    pub(crate) data_segs_out: u32,
    /// Segments received with text.
    pub(crate) data_segs_in: u32,
    /// Duplicates that the peer reported.
    pub(crate) dsack_dups: u32,
    /// When text last arrived.
    pub(crate) last_data: Instant,
    /// When an acknowledgement last arrived.
    pub(crate) last_ack: Instant,
    /// What sending waits for, and since when.
    pub(crate) waits: Option<(Waits, Instant)>,
    /// How long it did, before that, microseconds.
    pub(crate) busy: u64,
    /// How long the peer's window held it up, before that.
    pub(crate) rwnd: u64,
    /// How long the send buffer did, before that.
    pub(crate) sndbuf: u64,
}

/// What sending waits for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Waits {
    /// The network.
    Busy,
    /// The peer's window.
    Window,
    /// The send buffer, which had no room for what the program has.
    Buffer,
}

impl Counters {
    /// A segment with `len` octets of text, cut into pieces of `mss`, has gone out.
    pub(crate) fn sent(&mut self, len: u32, mss: u32, again: bool) {
        let segments = len.div_ceil(mss.max(1));
        self.segs_out = self.segs_out.wrapping_add(segments.max(1));
        self.data_segs_out = self.data_segs_out.wrapping_add(segments);
        self.bytes_sent += u64::from(len);
        if again {
            self.retrans = self.retrans.wrapping_add(segments.max(1));
            self.bytes_retrans += u64::from(len);
        }
    }

    /// A segment with `len` octets of text, `size` each if it stands for several, has arrived.
    pub(crate) fn received(&mut self, now: Instant, len: u32, size: u16) {
        let segments = match size {
            0 => u32::from(len > 0),
            size => len.div_ceil(u32::from(size)),
        };
        self.segs_in = self.segs_in.wrapping_add(segments.max(1));
        self.data_segs_in = self.data_segs_in.wrapping_add(segments);
        if len > 0 {
            self.last_data = now;
        }
    }
}

impl Counters {
    /// Sending waits for this from now on.
    #[inline]
    fn now_waits(&mut self, waits: Option<Waits>, now: Instant) {
        if waits != self.waits.map(|(what, _)| what) {
            (self.busy, self.rwnd, self.sndbuf) = self.waited(now);
            self.waits = waits.map(|what| (what, now));
        }
    }

    /// How long sending waited, in all, for the peer's window and for the send buffer, as of `now`, microseconds.
    fn waited(&self, now: Instant) -> (u64, u64, u64) {
        let (mut busy, mut rwnd, mut sndbuf) = (self.busy, self.rwnd, self.sndbuf);
        if let Some((what, since)) = self.waits {
            let span = now.micros_since(since);
            busy += span;
            match what {
                Waits::Busy => {}
                Waits::Window => rwnd += span,
                Waits::Buffer => sndbuf += span,
            }
        }
        (busy, rwnd, sndbuf)
    }
}

impl Tcb {
    /// Something has changed: notes what sending waits for from now on (Linux: tcp_chrono_start).
    pub(crate) fn note_waits(&mut self, now: Instant) {
        let snd = &self.snd;
        let unsent = snd.data_end().since(snd.nxt).min(snd.queue.len() as u32);
        let opening = matches!(self.state, State::SynSent | State::SynReceived);
        if unsent == 0 && !snd.starved && !opening {
            let waits = (!snd.sent.is_empty()).then_some(Waits::Busy);
            return self.counts.now_waits(waits, now);
        }
        let room = self.pipe().saturating_add(self.eff_mss()) <= self.cc.cwnd();
        let buffer = matches!(self.counts.waits, Some((Waits::Buffer, _)));
        let waits = if opening || (unsent == 0 && snd.sent.is_empty()) {
            None
        } else if snd.starved && (buffer || (unsent == 0 && room)) {
            // Nothing outranks it until there is room (Linux: tcp_cwnd_validate, tcp_check_space).
            Some(Waits::Buffer)
        } else if unsent > 0
            && snd.wnd.saturating_sub(snd.flight()) < unsent.min(self.eff_mss())
            && room
        {
            Some(Waits::Window)
        } else {
            Some(Waits::Busy)
        };
        self.counts.now_waits(waits, now);
    }

    /// The figures as of `now`.
    pub(crate) fn info(&self, now: Instant) -> TcpInfo {
        let mss = self.eff_mss();
        let segments = |octets: u32| octets.div_ceil(mss);
        let (mut unacked, mut sacked, mut lost, mut retrans) = (0, 0, 0, 0);
        for record in self.snd.sent.iter() {
            let n = segments(record.len);
            unacked += n;
            sacked += if record.sacked() { n } else { 0 };
            // As on Linux what was lost counts until it is acknowledged.
            let lost_once = record.resent && !record.sacked() && !self.recovery_open();
            lost += if record.lost() || lost_once { n } else { 0 };
            retrans += if record.resent && !record.lost() && !record.sacked() {
                n
            } else {
                0
            };
        }
        let ssthresh = self.cc.ssthresh();
        let (delivery_rate, delivery_app_limited) = self.rate.told();
        let counts = &self.counts;
        let (busy, rwnd, sndbuf) = counts.waited(now);
        TcpInfo {
            state: self.state,
            ca_state: self.ca_state(),
            retransmits: self.timers.retries,
            probes: self.timers.probes_out.max(self.timers.keepalive_out),
            backoff: self.rtt.backoff().max(self.timers.persist_backoff),
            timestamps: self.ts.ok,
            sack: self.sack_ok,
            wscale: self
                .wscale_ok()
                .then_some((self.snd.wscale, self.rcv.wscale)),
            rto: self.rtt.rto(),
            ato: DELAYED_ACK,
            snd_mss: mss,
            rcv_mss: self.rcv.seen_mss,
            advmss: u32::from(self.syn.mss),
            pmtu: self.path.mtu,
            unacked,
            sacked,
            lost,
            retrans,
            last_data_sent: now.since(self.snd.last_sent),
            last_data_recv: now.since(counts.last_data),
            last_ack_recv: now.since(counts.last_ack),
            rtt: self.rtt.srtt().unwrap_or(Duration::ZERO),
            rttvar: self.rtt.rttvar(),
            min_rtt: self.rtt.min(),
            snd_ssthresh: (ssthresh != u32::MAX).then(|| ssthresh / mss),
            snd_cwnd: if self.snd.una == self.snd.iss {
                INITIAL_CWND
            } else {
                (self.cc.cwnd() / mss).max(1)
            },
            reordering: segments(self.recovery.rack.extent()).clamp(REORDERING, REORDERING_MAX),
            reord_seen: self.recovery.rack.reorderings(),
            snd_wnd: self.snd.wnd,
            rcv_wnd: self.rcv.wnd(),
            rcv_space: self.rcv_space(),
            total_retrans: counts.retrans,
            bytes_acked: counts.bytes_acked,
            bytes_received: counts.bytes_received,
            bytes_sent: counts.bytes_sent,
            bytes_retrans: counts.bytes_retrans,
            notsent_bytes: if self.snd.all_sent() {
                0
            } else {
                self.snd.data_end().since(self.snd.nxt)
            },
            delivered: counts.delivered,
            delivered_ce: counts.delivered_ce,
            delivery_rate,
            delivery_app_limited,
            pacing_rate: self.told_pacing_rate(),
            max_pacing_rate: self.tuning.max_pacing_rate,
            ecn: self.ecn.ok,
            ecn_seen: self.ecn.seen,
            segs_out: counts.segs_out,
            segs_in: counts.segs_in,
            data_segs_out: counts.data_segs_out,
            data_segs_in: counts.data_segs_in,
            busy_time: Duration::from_micros(busy),
            rwnd_limited: Duration::from_micros(rwnd),
            sndbuf_limited: Duration::from_micros(sndbuf),
            dsack_dups: counts.dsack_dups,
            bbr: self.cc.bbr_info(),
            syn_data: self.fast_open.as_deref().is_some_and(|s| s.acknowledged),
            fast_open_failure: self
                .fast_open
                .as_deref()
                .map(|s| s.failure)
                .unwrap_or_default(),
        }
    }

    fn ca_state(&self) -> CaState {
        match self.recovery.phase {
            Phase::Open if self.snd.sent.sacked() > 0 || self.recovery.disordered() => {
                CaState::Disorder
            }
            Phase::Open => CaState::Open,
            Phase::Cwr => CaState::Cwr,
            Phase::Fast => CaState::Recovery,
            Phase::Loss => CaState::Loss,
        }
    }

    /// The peer's SYN had the window scale option.
    fn wscale_ok(&self) -> bool {
        self.syn.scaling
    }
}
