//! The transmission control block: the variables of RFC 9293 3.3.1, kept per connection.

use smallvec::SmallVec;

use super::assembler::Assembler;
use super::bytes::{ByteQueue, Pool};
use super::congestion::{self, Congestion};
use super::ecn::EcnState;
use super::info::Counters;
use super::options::Tuning;
use super::recovery::Recovery;
use super::rtt::RttEstimator;
use super::sent::SentQueue;
use super::seq::SeqNum;
use super::timers::Timers;
use super::tuple::Tuple;
use crate::config::CongestionControl;
use crate::error::Error;
use crate::ip::Path;
use crate::socket::{Ready, State};
use crate::time::Instant;
use crate::wire::tcp::{HEADER_LEN, Header, MAX_SACK_BLOCKS, Options, SackBlock};

/// Send MSS when the peer names none (RFC 9293 MUST-15), IPv4 and IPv6.
const DEFAULT_MSS: [u32; 2] = [536, 1220];
/// Where probing for a path that carries less begins (tcp_base_mss; RFC 4821 7.2).
const BASE_MSS: u32 = 1024;
/// How long a suspicion lasts (as a learnt path MTU does, RFC 1191 6.3).
const SHORTENED_FOR: std::time::Duration = std::time::Duration::from_secs(600);
/// No segment smaller than this is formed however small the peer's MSS (Linux: tcp_min_snd_mss).
const MIN_MSS: u32 = 48;
/// Largest payload of one super-segment: an IP packet has at most 65535 octets, with headers and options in it.
const GSO_MAX: u32 = 65_535 - 60 - 60;

/// What handling a segment, a timer or a call needs besides the connection itself.
pub(crate) struct Cx<'a> {
    /// The time of arrival, or of the call.
    pub(crate) now: Instant,
    /// Where buffers get their memory.
    pub(crate) pool: &'a mut Pool,
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

/// Whether an acknowledgement is owed.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum AckDue {
    /// None.
    #[default]
    No,
    /// One may wait for company until the delayed-ACK timer runs out.
    Delayed,
    /// One goes out with the next transmission.
    Now,
}

/// Send sequence variables.
pub(crate) struct Send {
    /// SND.ISS.
    pub(crate) iss: SeqNum,
    /// SND.UNA.
    pub(crate) una: SeqNum,
    /// SND.NXT.
    pub(crate) nxt: SeqNum,
    /// Highest SND.NXT ever (they differ only while a SYN is sent again): what an acceptable ACK may reach.
    pub(crate) max: SeqNum,
    /// SND.WND, octets (scaled).
    pub(crate) wnd: u32,
    /// SND.WL1.
    pub(crate) wl1: SeqNum,
    /// SND.WL2.
    pub(crate) wl2: SeqNum,
    /// Largest SND.WND seen (RFC 9293 3.8.6.2.1).
    pub(crate) max_wnd: u32,
    /// Shift of the peer's window field.
    pub(crate) wscale: u8,
    /// Segment size without options: the smaller of the peer's MSS and what the path carries.
    pub(crate) mss: u32,
    /// What `mss` was before a black hole was suspected, and since when.
    pub(crate) shortened: Option<(u32, Instant)>,
    /// SND.UP: the octet after the last urgent one, while it is not acknowledged.
    pub(crate) up: Option<SeqNum>,
    /// Octets from `base` on that are not acknowledged or not sent.
    pub(crate) queue: ByteQueue,
    /// Sequence number of the queue's front.
    pub(crate) base: SeqNum,
    /// A FIN follows the queue.
    pub(crate) fin: bool,
    /// End of the last small segment sent (Minshall's form of Nagle's rule).
    pub(crate) small_end: SeqNum,
    /// End of what was last written without MSG_MORE: the segment that holds the octet before carries PSH.
    pub(crate) pushed: SeqNum,
    /// MSG_MORE: a partial segment waits until then.
    pub(crate) hold_until: Option<Instant>,
    /// What is between SND.UNA and SND.NXT, and when it was sent.
    pub(crate) sent: SentQueue,
    /// Octets that `queue` may hold.
    pub(crate) capacity: usize,
    /// The queue was full at the last look: a wake-up is owed when there is room.
    pub(crate) full: bool,
    /// When something was last sent.
    pub(crate) last_sent: Instant,
    /// How much of the congestion window was used of late.
    pub(crate) usage: Usage,
}

impl Send {
    /// Sequence number after the queued octets: the FIN's when there is one.
    pub(crate) fn data_end(&self) -> SeqNum {
        self.base + self.queue.len() as u32
    }

    /// Octets in flight, SYN and FIN included.
    pub(crate) fn flight(&self) -> u32 {
        self.nxt.since(self.una)
    }

    /// Everything queued, FIN included, was sent once.
    pub(crate) fn all_sent(&self) -> bool {
        self.nxt == self.data_end() + u32::from(self.fin)
    }

    /// The FIN was sent and acknowledged.
    pub(crate) fn fin_acked(&self) -> bool {
        self.fin && self.queue.is_empty() && self.una == self.base + 1
    }

    /// Octets that may be queued now.
    pub(crate) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.queue.len())
    }

    /// The least room that a queue with something in it takes more into, octets.
    pub(crate) fn unit(&self) -> usize {
        (self.mss as usize).min(self.capacity / 4)
    }

    /// Linux's sk_stream_is_writeable: a third of the buffer is free, and less than TCP_NOTSENT_LOWAT waits to be sent.
    pub(crate) fn writable(&self, notsent_lowat: u32) -> bool {
        self.room() >= (self.queue.len() / 2).max(1)
            && (notsent_lowat == 0 || self.data_end().since(self.nxt) < notsent_lowat)
    }
}

/// How much of the congestion window a window of octets used: one that goes unused must not grow (RFC 7661's point), and one that is
/// filled once counts as filled for the round trip (Linux: tcp_cwnd_validate).
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Usage {
    /// The window, and not the program or the peer, held sending up.
    pub(crate) held_up: bool,
    /// Most octets out at a time.
    pub(crate) most: u32,
    /// SND.NXT when this was noted: it counts until that is acknowledged.
    pub(crate) until: SeqNum,
}

/// The urgent octet on its way to the program, as Linux keeps it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Urgent {
    /// Its sequence number.
    pub(crate) seq: SeqNum,
    /// The octet, once it has arrived.
    pub(crate) octet: Option<u8>,
    /// It was read with MSG_OOB.
    pub(crate) taken: bool,
}

/// Receive sequence variables.
pub(crate) struct Recv {
    /// RCV.IRS.
    pub(crate) irs: SeqNum,
    /// RCV.NXT.
    pub(crate) nxt: SeqNum,
    /// RCV.NXT + RCV.WND as last advertised; never moves left (MUST-34).
    pub(crate) adv: SeqNum,
    /// Shift of our window field.
    pub(crate) wscale: u8,
    /// Octets from `base` on; those before RCV.NXT are readable, those after lie as the assembler says.
    pub(crate) queue: ByteQueue,
    /// Sequence number of the next octet that the program reads.
    pub(crate) base: SeqNum,
    /// What lies out of order.
    pub(crate) assembler: Assembler,
    /// The FIN's sequence number, once seen.
    pub(crate) fin: Option<SeqNum>,
    /// Octets the program may leave unread.
    pub(crate) capacity: usize,
    /// A duplicate to report with the next ACK (RFC 2883).
    pub(crate) dsack: Option<SackBlock>,
    /// Urgent data.
    pub(crate) urgent: Option<Urgent>,
    /// Octets received since the last ACK sent.
    pub(crate) unacked: u32,
    /// Largest segment seen: what counts as full-sized for delayed ACKs.
    pub(crate) seen_mss: u32,
    /// Acknowledgement owed.
    pub(crate) ack: AckDue,
    /// Acknowledgements that are still to go at once, for the peer's slow start (RFC 5681 4.2 lets us; Linux: quick ACK mode).
    pub(crate) quick: u8,
    /// What is to be acknowledged ends in a push of the peer's.
    pub(crate) pushed: bool,
    /// The program answers what it receives: its answers carry the acknowledgements.
    pub(crate) interactive: bool,
    /// Last.ACK.sent (RFC 7323 4.3).
    pub(crate) last_ack_sent: SeqNum,
    /// When something last arrived.
    pub(crate) last_rx: Instant,
}

impl Recv {
    /// RCV.WND as advertised.
    pub(crate) fn wnd(&self) -> u32 {
        self.adv.since(self.nxt)
    }

    /// The FIN has been reached: nothing more will come.
    pub(crate) fn fin_reached(&self) -> bool {
        self.fin.is_some_and(|fin| self.nxt.after(fin))
    }
}

/// Timestamps option state (RFC 7323).
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Timestamps {
    /// Both sides sent the option.
    pub(crate) ok: bool,
    /// TS.Recent.
    pub(crate) recent: u32,
    /// When TS.Recent was taken.
    pub(crate) recent_at: Instant,
    /// Added to the clock, keyed per connection (RFC 7323 5.4).
    pub(crate) offset: u32,
}

impl Timestamps {
    /// TSval for now: milliseconds plus the offset.
    pub(crate) fn val(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.offset)
    }
}

/// A connection from SYN-SENT or SYN-RECEIVED to its end; TIME-WAIT has a smaller form.
pub(crate) struct Tcb {
    /// The state; never LISTEN or TIME-WAIT.
    pub(crate) state: State,
    /// The 4-tuple.
    pub(crate) tuple: Tuple,
    /// The way to the peer.
    pub(crate) path: Path,
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
    /// What was lost.
    pub(crate) recovery: Recovery,
    /// Round-trip time and RTO.
    pub(crate) rtt: RttEstimator,
    /// Deadlines and their counts.
    pub(crate) timers: Timers,
    /// Options that matter here.
    pub(crate) tuning: Tuning,
    /// What ICMP said and what is reported if the connection fails (MUST-56: it does not abort).
    pub(crate) soft_error: Option<Error>,
    /// The program has closed the socket: nobody will read.
    pub(crate) orphan: bool,
    /// Segments of a super-segment at least; 0: the device cuts none.
    pub(crate) gso: u32,
    /// Next challenge ACK not before (RFC 5961 7, kept per connection so that nothing is learnt from another's).
    pub(crate) challenge_after: Instant,
    /// Explicit congestion notification.
    pub(crate) ecn: EcnState,
    /// SYN options of ours.
    pub(crate) syn: SynOptions,
    /// What is counted for TCP_INFO alone.
    pub(crate) counts: Counters,
}

/// What we put into our SYN.
#[derive(Copy, Clone, Debug)]
pub(crate) struct SynOptions {
    /// MSS option.
    pub(crate) mss: u16,
    /// Window scale.
    pub(crate) wscale: u8,
    /// Timestamps.
    pub(crate) timestamps: bool,
    /// The peer's SYN had the option too.
    pub(crate) scaling: bool,
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
    /// Send buffer, octets.
    pub(crate) sndbuf: usize,
    /// Receive buffer, octets.
    pub(crate) rcvbuf: usize,
    /// Window shift we offer.
    pub(crate) wscale: u8,
    /// Options.
    pub(crate) tuning: Tuning,
    /// Segments of a super-segment at least; 0: the device cuts none of this family.
    pub(crate) gso: u32,
    /// Congestion control.
    pub(crate) congestion: CongestionControl,
    /// An active open asks for ECN.
    pub(crate) ecn: bool,
}

impl Birth {
    /// MSS option for our SYN: what the path carries in one packet (RFC 9293 MUST-67), TCP_MAXSEG at most.
    pub(crate) fn mss_option(&self) -> u16 {
        let by_path = path_mss(&self.tuple, &self.path);
        let asked = if self.tuning.max_seg == 0 {
            by_path
        } else {
            by_path.min(self.tuning.max_seg)
        };
        asked.min(65_495) as u16
    }
}

/// Payload of one packet without TCP options.
fn path_mss(tuple: &Tuple, path: &Path) -> u32 {
    let ip = if tuple.is_v4() { 20 } else { 40 };
    path.mtu
        .min(65_535)
        .saturating_sub(ip + HEADER_LEN as u32)
        .max(MIN_MSS)
}

impl Tcb {
    /// A connection that is about to send its SYN (SYN-SENT).
    pub(crate) fn new(birth: Birth, now: Instant) -> Tcb {
        let mss_option = birth.mss_option();
        let mss = path_mss(&birth.tuple, &birth.path);
        let iss = birth.iss;
        Tcb {
            state: State::SynSent,
            tuple: birth.tuple,
            path: birth.path,
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
                shortened: None,
                up: None,
                queue: ByteQueue::default(),
                base: iss + 1,
                fin: false,
                small_end: iss,
                pushed: iss + 1,
                hold_until: None,
                sent: SentQueue::default(),
                capacity: birth.sndbuf,
                full: false,
                last_sent: now,
                usage: Usage::default(),
            },
            rcv: Recv {
                irs: SeqNum::default(),
                nxt: SeqNum::default(),
                adv: SeqNum::default(),
                wscale: birth.wscale,
                queue: ByteQueue::default(),
                base: SeqNum::default(),
                assembler: Assembler::default(),
                fin: None,
                capacity: birth.rcvbuf,
                dsack: None,
                urgent: None,
                unacked: 0,
                seen_mss: 0,
                ack: AckDue::No,
                quick: 0,
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
            recovery: Recovery::default(),
            rtt: RttEstimator::default(),
            timers: Timers::default(),
            tuning: birth.tuning,
            soft_error: None,
            orphan: false,
            gso: birth.gso,
            challenge_after: Instant::ZERO,
            ecn: EcnState::new(birth.ecn),
            syn: SynOptions {
                mss: mss_option,
                wscale: birth.wscale,
                timestamps: birth.timestamps,
                scaling: false,
            },
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
        // Our SYN said this much, unscaled.
        self.rcv.adv = self.rcv.nxt + self.rcv.capacity.min(65_535) as u32;
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

    /// RFC 9293 MUST-14 to MUST-16: the peer's MSS, or the default, never above what the path carries.
    fn set_peer_mss(&mut self, mss: Option<u16>) {
        let default = DEFAULT_MSS[usize::from(!self.tuple.is_v4())];
        let mut mss = mss.map_or(default, u32::from).max(MIN_MSS);
        if self.tuning.max_seg != 0 {
            mss = mss.min(self.tuning.max_seg);
        }
        self.snd.mss = mss.min(path_mss(&self.tuple, &self.path));
        self.cc.set_mss(self.snd.mss);
    }

    /// The path's MTU has become known to be smaller (RFC 1191, RFC 8201). Whether segments have to be shorter than they were.
    pub(crate) fn path_changed(&mut self, path: Path) -> bool {
        self.path = path;
        let limit = path_mss(&self.tuple, &self.path);
        let shorter = limit < self.snd.mss;
        if shorter {
            self.snd.mss = limit;
            self.cc.set_mss(limit);
        }
        shorter
    }

    /// A black hole for packets of this size is suspected (RFC 4821 7.7): smaller segments, down to what every path carries (RFC 8200 5
    /// for IPv6, RFC 1122's 576 octets for IPv4).
    pub(crate) fn shorten_segments(&mut self, now: Instant) {
        let floor = if self.tuple.is_v4() { 536 } else { 1220 };
        let shorter = (self.snd.mss / 2).min(BASE_MSS).max(floor);
        if shorter < self.snd.mss {
            let whole = self.snd.shortened.map_or(self.snd.mss, |(whole, _)| whole);
            self.snd.shortened = Some((whole, now));
            self.snd.mss = shorter;
            self.cc.set_mss(shorter);
        }
    }

    /// Segments that were made shorter on suspicion alone are tried whole again some time later (RFC 4821 7.7: a mere outage looks
    /// the same).
    pub(crate) fn try_whole_segments(&mut self, now: Instant) {
        if let Some((whole, since)) = self.snd.shortened
            && now.since(since) > SHORTENED_FOR
        {
            self.snd.shortened = None;
            self.snd.mss = whole.min(path_mss(&self.tuple, &self.path));
            self.cc.set_mss(self.snd.mss);
        }
    }

    /// Another congestion control from now on, beginning with the window of the old one.
    pub(crate) fn switch_congestion(&mut self, which: CongestionControl) {
        let (cwnd, ssthresh) = (self.cc.cwnd(), self.cc.ssthresh());
        self.cc = congestion::new(which, self.snd.mss);
        self.cc.take_over(cwnd, ssthresh);
    }

    /// Payload of one full-sized segment with the options that it carries now.
    pub(crate) fn eff_mss(&self) -> u32 {
        let options = self.data_options_len();
        self.snd.mss.saturating_sub(options).max(1)
    }

    /// Largest payload handed down in one frame.
    pub(crate) fn segment_limit(&self) -> u32 {
        let mss = self.eff_mss();
        // Who cuts a super-segment repeats its urgent pointer in every piece, where it would name another octet, and CWR.
        if self.gso == 0 || mss >= GSO_MAX || self.snd.up.is_some() || self.ecn.cwr_due {
            return mss;
        }
        let least = self.gso.saturating_mul(mss);
        let octets = self.millisecond().max(least).min(GSO_MAX);
        (octets / mss * mss).max(mss)
    }

    /// Octets that go in a millisecond when the window is let go evenly at twice its rate; on a short path more, since there the
    /// cost of many small pieces outweighs evenness (Linux: tcp_tso_autosize, tcp_tso_rtt_log).
    fn millisecond(&self) -> u32 {
        let srtt = self.rtt.srtt().unwrap_or_default().as_micros().max(1);
        let evenly = u128::from(self.cc.cwnd()) * 2000 / srtt;
        let min_rtt = self.recovery.rack.min_rtt().unwrap_or_default();
        let short = u128::from(GSO_MAX) >> (min_rtt.as_micros() >> 9).min(31);
        evenly.saturating_add(short).min(u128::from(u32::MAX)) as u32
    }

    fn data_options_len(&self) -> u32 {
        let ts = if self.ts.ok { 12 } else { 0 };
        let blocks = self.sack_report().len() as u32;
        ts + if blocks == 0 { 0 } else { 4 + 8 * blocks }
    }

    /// SACK blocks for the next segment: a duplicate first (RFC 2883 4), then the latest arrivals (RFC 2018 4), as many as fit
    /// beside the timestamp (RFC 2018 3).
    pub(crate) fn sack_report(&self) -> SmallVec<[SackBlock; MAX_SACK_BLOCKS]> {
        if self.rcv.dsack.is_none() && (!self.sack_ok || self.rcv.assembler.is_empty()) {
            return SmallVec::new();
        }
        let max = if self.ts.ok { 3 } else { 4 };
        let mut blocks: SmallVec<[SackBlock; MAX_SACK_BLOCKS]> =
            self.rcv.dsack.into_iter().collect();
        blocks.extend(self.rcv.assembler.sack_blocks(max - blocks.len()));
        blocks
    }

    /// Drops all buffered data.
    pub(crate) fn release(&mut self, pool: &mut Pool) {
        self.snd.queue.clear(pool);
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
