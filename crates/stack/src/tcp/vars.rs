//! The variables of RFC 9293 3.3.1, by side, and those of the options.

use super::assembler::Assembler;
use super::bytes::ByteQueue;
use super::mtu_search::Search;
use super::pieces::Pieces;
use super::recv_queue::RecvQueue;
use super::sent::SentQueue;
use super::seq::SeqNum;
use super::sizing::Sizing;
use crate::time::Instant;
use crate::wire::tcp::SackBlock;

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
    /// The search for the largest packet that the path carries, while there is one.
    pub(crate) search: Option<Box<Search>>,
    /// SND.UP: the octet after the last urgent one, while it is not acknowledged.
    pub(crate) up: Option<SeqNum>,
    /// Octets from `base` on that are not acknowledged or not sent.
    pub(crate) queue: ByteQueue,
    /// Sequence number of the queue's front.
    pub(crate) base: SeqNum,
    /// A FIN follows the queue.
    pub(crate) fin: bool,
    /// Octets that fill no super-segment wait for the next write; see `gather`.
    pub(crate) gathers: bool,
    /// End of the last small segment sent (Minshall's form of Nagle's rule).
    pub(crate) small_end: SeqNum,
    /// How it is cut, charged and pushed.
    pub(crate) pieces: Pieces,
    /// End of what was last pushed (Linux: pushed_seq).
    pub(crate) pushed: SeqNum,
    /// MSG_MORE: a partial segment waits until then.
    pub(crate) hold_until: Option<Instant>,
    /// What is between SND.UNA and SND.NXT, and when it was sent.
    pub(crate) sent: SentQueue,
    /// What the queue may cost, octets (sk_sndbuf).
    pub(crate) capacity: u32,
    /// SO_SNDBUF was set: `capacity` does not grow.
    pub(crate) locked: bool,
    /// The queue was full at the last look: a wake-up is owed when there is room.
    pub(crate) full: bool,
    /// A write was refused for want of memory, and nobody was told since that there is any.
    pub(crate) refused: bool,
    /// A write was cut short since there was last room (SOCK_NOSPACE).
    pub(crate) starved: bool,
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
    pub(crate) queue: RecvQueue,
    /// Sequence number of the next octet that the program reads.
    pub(crate) base: SeqNum,
    /// What lies out of order.
    pub(crate) assembler: Assembler,
    /// The FIN's sequence number, once seen.
    pub(crate) fin: Option<SeqNum>,
    /// Octets the program may leave unread: half of sk_rcvbuf.
    pub(crate) capacity: u32,
    /// SO_RCVBUF was set: `capacity` does not grow.
    pub(crate) locked: bool,
    /// Memory was scarce at the last look: the window does not open wide.
    pub(crate) pressed: bool,
    /// What makes `capacity` grow, once much was received.
    pub(crate) sizing: Option<Box<Sizing>>,
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
    /// How often in a row the last acknowledgement number was sent again.
    pub(crate) repeated: u8,
    /// Arrivals out of order that no acknowledgement has told of yet.
    pub(crate) gathered: u8,
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
    /// Octets the program may leave unread.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity as usize
    }

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
