//! The transmission control block: the variables of RFC 9293 3.3.1, kept per connection.

use super::assembler::Assembler;
use super::bytes::{ByteQueue, Pool};
use super::cold::{Calm, Cold};
use super::congestion::{self, Congestion};
use super::connection;
use super::ecn::EcnState;
use super::fastopen::FastOpenState;
use super::info::Counters;
use super::mss::{mss_option, path_mss};
use super::mtu_search::Search;
use super::options::SharedTuning;
use super::pacing::Pacing;
use super::pieces::Pieces;
use super::rate::Rate;
use super::recovery::Recovery;
use super::recv_queue::RecvQueue;
use super::rtt::RttEstimator;
use super::sent::SentQueue;
use super::seq::SeqNum;
use super::sizing::syn_window;
use super::timers::Timers;
use super::tuple::Tuple;
use super::vars::{AckDue, Recv, Send, Timestamps, Usage};
use crate::config::{Config, CongestionControl};
use crate::error::Error;
use crate::ip::Path;
use crate::socket::table::in_four;
use crate::socket::{Ready, State};
use crate::time::Instant;
use crate::wire::tcp::{Header, Options};

/// What handling a segment, a timer or a call needs besides the connection itself.
pub(crate) struct Cx<'a> {
    /// The time of arrival, or of the call.
    pub(crate) now: Instant,
    /// Where buffers get their memory.
    pub(crate) pool: &'a mut Pool,
    /// The stack's settings.
    pub(crate) config: &'a Config,
}

/// What becomes of the connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Fate {
    /// It goes on.
    #[default]
    Keep,
    /// It ended without error (LAST-ACK acknowledged, or an orphan that is through).
    Closed,
    /// It ended with this error; nothing is said to the peer.
    Failed(Error),
    /// It ends, and the peer is sent a reset.
    Abort(Option<Error>),
    /// Both FINs are acknowledged and ours was first (RFC 9293 3.6).
    TimeWait,
}

/// What follows from an event, for the connection's owner to carry out.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// Whom to wake.
    pub(crate) wake: Ready,
    /// What becomes of the connection.
    pub(crate) fate: Fate,
    /// Send `<SEQ=this><CTL=RST>` (RFC 9293 3.10.7.3 and 3.10.7.4, unacceptable ACK).
    pub(crate) reset_reply: Option<SeqNum>,
}

impl Verdict {
    /// Nothing but the end `fate`.
    pub(crate) fn end(fate: Fate) -> Verdict {
        Verdict {
            fate,
            ..Verdict::default()
        }
    }
}

/// A connection from SYN-SENT or SYN-RECEIVED to its end; TIME-WAIT has a smaller form.
pub(crate) struct Tcb {
    /// The state; never LISTEN or TIME-WAIT.
    pub(crate) state: State,
    /// The 4-tuple.
    pub(crate) tuple: Tuple,
    /// The way to the peer.
    pub(crate) path: Way,
    /// Sending side.
    pub(crate) snd: Send,
    /// Receiving side.
    pub(crate) rcv: Recv,
    /// Timestamps.
    pub(crate) ts: Timestamps,
    /// Both sides said SACK-permitted.
    pub(crate) sack_ok: bool,
    /// How much may be in flight.
    pub(crate) cc: Box<dyn Congestion>,
    /// How fast the network delivers.
    pub(crate) rate: Rate,
    /// When the next octets may go, where sending is paced.
    pub(crate) pacing: Option<Box<Pacing>>,
    /// What was lost.
    pub(crate) recovery: Cold<Recovery>,
    /// Round-trip time and RTO.
    pub(crate) rtt: RttEstimator,
    /// Deadlines and their counts.
    pub(crate) timers: Cold<Timers>,
    /// Options that matter here.
    pub(crate) tuning: SharedTuning,
    /// What ICMP said and what is reported if the connection fails (MUST-56: it does not abort).
    pub(crate) soft_error: Option<Error>,
    /// The program has closed the socket: nobody will read.
    pub(crate) orphan: bool,
    /// shutdown with SHUT_RD: nobody reads what comes after our FIN.
    pub(crate) deaf: bool,
    /// Something has come or gone since it was last put to rest.
    pub(crate) stirred: bool,
    /// Segments of a super-segment at least; 0: the device cuts none.
    pub(crate) gso: u32,
    /// Next challenge ACK not before (RFC 5961 7, kept per connection so that nothing is learnt from another's).
    pub(crate) challenge_after: Instant,
    /// Explicit congestion notification.
    pub(crate) ecn: EcnState,
    /// SYN options of ours.
    pub(crate) syn: SynOptions,
    /// Fast Open, where it is used.
    pub(crate) fast_open: Option<Box<FastOpenState>>,
    /// What is counted for TCP_INFO alone.
    pub(crate) counts: Counters,
}

/// What a connection needs of a [`Path`].
#[derive(Copy, Clone, Debug)]
pub(crate) struct Way {
    /// Largest IP packet, octets.
    pub(crate) mtu: u32,
    /// The destination is ourselves.
    pub(crate) local: bool,
}

impl From<Path> for Way {
    fn from(path: Path) -> Way {
        Way {
            mtu: path.mtu,
            local: path.local,
        }
    }
}

/// What we put into our SYN.
#[derive(Copy, Clone, Debug)]
pub(crate) struct SynOptions {
    /// MSS option.
    pub(crate) mss: u16,
    /// Window, never scaled (RFC 7323 2.2).
    pub(crate) window: u16,
    /// Window scale.
    pub(crate) wscale: u8,
    /// Timestamps.
    pub(crate) timestamps: bool,
    /// The peer's SYN had the option too.
    pub(crate) scaling: bool,
}

/// A connection's buffers at first.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Buffers {
    /// What the send queue may cost, octets.
    pub(crate) send: usize,
    /// SO_SNDBUF was set.
    pub(crate) send_locked: bool,
    /// Octets the program may leave unread.
    pub(crate) recv: usize,
    /// SO_RCVBUF was set.
    pub(crate) recv_locked: bool,
}

/// What a new connection is made from.
pub(crate) struct Birth {
    /// The 4-tuple.
    pub(crate) tuple: Tuple,
    /// The way to the peer.
    pub(crate) path: Path,
    /// SND.ISS.
    pub(crate) iss: SeqNum,
    /// Timestamps are offered.
    pub(crate) timestamps: bool,
    /// Timestamp offset.
    pub(crate) ts_offset: u32,
    /// Its buffers.
    pub(crate) buffers: Buffers,
    /// Window shift we offer.
    pub(crate) wscale: u8,
    /// Options.
    pub(crate) tuning: SharedTuning,
    /// Segments of a super-segment at least; 0: the device cuts none of this family.
    pub(crate) gso: u32,
    /// Where the search for larger segments begins, if there is one from the first.
    pub(crate) search_from: Option<u32>,
    /// Congestion control.
    pub(crate) congestion: CongestionControl,
    /// An active open asks for ECN.
    pub(crate) ecn: bool,
}

impl Birth {
    /// MSS option for our SYN.
    pub(crate) fn mss_option(&self) -> u16 {
        mss_option(&self.tuple, self.path.mtu, self.tuning.max_seg.into())
    }
}

impl Tcb {
    /// A connection that is about to send its SYN (SYN-SENT).
    pub(crate) fn new(birth: Birth, now: Instant) -> Tcb {
        let mss_option = birth.mss_option();
        let mss = path_mss(&birth.tuple, birth.path.mtu);
        let iss = birth.iss;
        Tcb {
            state: State::SynSent,
            tuple: birth.tuple,
            path: birth.path.into(),
            snd: Send {
                iss,
                una: iss,
                nxt: iss,
                max: iss,
                wnd: 0,
                wl1: SeqNum::default(),
                wl2: SeqNum::default(),
                max_wnd: 0,
                wscale: 0,
                mss,
                search: birth.search_from.map(|low| Search::new(low, now)),
                up: None,
                queue: ByteQueue::default(),
                pieces: Pieces::default(),
                base: iss + 1,
                fin: false,
                gathers: false,
                small_end: iss,
                pushed: iss + 1,
                hold_until: None,
                sent: SentQueue::default(),
                capacity: in_four(birth.buffers.send),
                locked: birth.buffers.send_locked,
                full: false,
                refused: false,
                starved: false,
                last_sent: now,
                usage: Usage::default(),
            },
            rcv: Recv {
                irs: SeqNum::default(),
                nxt: SeqNum::default(),
                adv: SeqNum::default(),
                wscale: birth.wscale,
                queue: RecvQueue::default(),
                base: SeqNum::default(),
                assembler: Assembler::default(),
                fin: None,
                capacity: in_four(birth.buffers.recv),
                locked: birth.buffers.recv_locked,
                pressed: false,
                sizing: None,
                dsack: None,
                urgent: None,
                unacked: 0,
                seen_mss: 0,
                ack: AckDue::No,
                quick: 0,
                repeated: 0,
                gathered: 0,
                pushed: false,
                interactive: false,
                last_ack_sent: SeqNum::default(),
                last_rx: now,
            },
            ts: Timestamps {
                offset: birth.ts_offset,
                ..Timestamps::default()
            },
            sack_ok: false,
            cc: congestion::new(birth.congestion, mss),
            rate: Rate::default(),
            pacing: None,
            recovery: Cold::default(),
            rtt: RttEstimator::default(),
            timers: Cold::default(),
            tuning: birth.tuning,
            soft_error: None,
            orphan: false,
            deaf: false,
            stirred: false,
            gso: birth.gso,
            challenge_after: Instant::ZERO,
            ecn: EcnState::new(birth.ecn),
            syn: SynOptions {
                mss: mss_option,
                window: syn_window(birth.buffers.recv, mss_option.into()),
                wscale: birth.wscale,
                timestamps: birth.timestamps,
                scaling: false,
            },
            fast_open: None,
            counts: Counters {
                last_data: now,
                last_ack: now,
                ..Counters::default()
            },
        }
    }

    /// Takes over what the peer's SYN says (RFC 9293 3.10.7.3, RFC 7323 2.2 and 3.2, RFC 2018 2).
    pub(crate) fn take_syn(&mut self, now: Instant, seq: SeqNum, window: u16, options: &Options) {
        self.rcv.irs = seq;
        self.rcv.nxt = seq + 1;
        self.rcv.base = seq + 1;
        self.rcv.last_ack_sent = seq + 1;
        self.rcv.adv = self.rcv.nxt + u32::from(self.syn.window);
        self.syn.scaling = options.wscale.is_some();
        match options.wscale {
            Some(shift) => self.snd.wscale = shift,
            None => (self.snd.wscale, self.rcv.wscale) = (0, 0),
        }
        if let Some((val, _)) = options.ts.filter(|_| self.syn.timestamps) {
            self.ts = Timestamps {
                ok: true,
                recent: val,
                recent_at: now,
                ..self.ts
            };
        }
        self.sack_ok = options.sack_permitted;
        self.set_peer_mss(options.mss);
        // The window in a SYN is never scaled (RFC 7323 2.2).
        self.snd.wnd = u32::from(window);
        self.snd.max_wnd = self.snd.wnd;
        self.snd.wl1 = seq;
    }

    /// Another congestion control from now on, beginning with the window of the old one.
    pub(crate) fn switch_congestion(&mut self, which: CongestionControl) {
        let (cwnd, ssthresh) = (self.cc.cwnd(), self.cc.ssthresh());
        self.cc = congestion::new(which, self.full_mss());
        self.cc.take_over(cwnd, ssthresh);
    }

    /// A deadline came up. If nothing is out, none has taken its place and nothing has come or gone for a while, the connection is idle,
    /// and what only a busy one needs goes. A pause between windows is no idleness: what a delayed ACK ends lasts a round trip.
    pub(crate) fn rest(&mut self, now: Instant) {
        let last = self.rcv.last_rx.max(self.snd.last_sent);
        if now.since(last) < connection::IDLE {
            return;
        }
        self.stirred = false;
        let idle = self.timers.keepalive == self.deadline() && self.snd.sent.is_empty();
        if !idle {
            return;
        }
        // What the buffer has grown to stays; the measuring begins anew.
        self.rcv.sizing = None;
        if *self.recovery != *Recovery::calm() {
            self.recovery.forget(self.snd.una);
        }
        self.recovery.rest();
        self.timers.rest();
        self.cc.rest();
        self.snd.sent.rest();
    }

    /// Drops all buffered data.
    pub(crate) fn release(&mut self, pool: &mut Pool) {
        self.snd.queue.clear(pool);
        self.snd.pieces = Pieces::default();
        self.rcv.queue.clear(pool);
        self.rcv.assembler.clear();
        self.snd.sent = SentQueue::default();
    }

    /// Octets the program can read now; the urgent octet counts when it is part of the stream.
    pub(crate) fn readable(&self) -> usize {
        self.rcv.queue.len()
    }

    /// Whether a segment's header is one that RFC 793's dup-ACK definition allows: nothing in it but the ACK.
    pub(crate) fn is_pure_ack(header: &Header, payload: &[u8]) -> bool {
        use crate::wire::tcp::Flags;
        payload.is_empty()
            && !header
                .flags
                .intersects(Flags::SYN | Flags::FIN | Flags::RST)
    }
}
