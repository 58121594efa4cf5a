//! Places in a connection's octets of which the program wants to be told: MSG_ZEROCOPY's when they are acknowledged, SO_TIMESTAMPING's
//! when they are sent and acknowledged (tcp_tx_timestamp, tcp_ack_tstamp).

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;

use super::emit::Dress;
use super::output::Plan;
use super::seq::SeqNum;
use super::tcb::Tcb;
use crate::error::{Error, Result};
use crate::socket::attribute::{Extra, sof};
use crate::socket::control::Arrival;
use crate::socket::errqueue::{ACKNOWLEDGED, Report, SCHEDULED, SENT, ZEROCOPY_MAX, stamp_report};
use crate::socket::table::Proto;
use crate::socket::{Ready, SocketId};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::opt_stats::{self, Moment};
use crate::wire::tcp::Flags;
use crate::wire::vnet;

/// Most octets of calls that are told of together (msg_zerocopy_realloc, byte_limit).
const TOGETHER: u32 = 128 << 10;
/// Most places to be stamped at a time; the last one gives way, as it does where two share a segment.
const STAMPS_MAX: usize = 1024;

/// A connection's marks, in the order of their octets.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    zerocopy: VecDeque<ZeroCopy>,
    stamps: VecDeque<Stamp>,
}

/// Octets written with MSG_ZEROCOPY.
#[derive(Debug)]
struct ZeroCopy {
    /// Numbers of the calls.
    first: u32,
    last: u32,
    /// Octets of all of them.
    octets: u32,
    /// Sequence number behind the last octet.
    end: SeqNum,
}

/// An octet to be stamped.
#[derive(Debug)]
struct Stamp {
    /// Sequence number behind it.
    end: SeqNum,
    /// What is still to be told, `SOF_TIMESTAMPING_TX_*`.
    due: u32,
    /// It was sent, then.
    sent: Option<Instant>,
    /// The packet that it was sent in, and where in that its text begins: what the acknowledgement's report brings.
    packet: Option<(Arc<[u8]>, usize)>,
}

impl Marks {
    /// Whether nobody waits for anything.
    pub(super) fn is_empty(&self) -> bool {
        self.zerocopy.is_empty() && self.stamps.is_empty()
    }
}

/// What a send call asks to be told of.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// MSG_ZEROCOPY, and SO_ZEROCOPY allows it.
    pub(crate) zerocopy: bool,
    /// `SOF_TIMESTAMPING_*`.
    pub(crate) stamps: u32,
    /// It goes on with the call before.
    pub(crate) resumed: bool,
}

impl Wanted {
    /// Whether there is anything.
    pub(crate) fn any(self) -> bool {
        self.zerocopy || self.stamps & (sof::TX_SOFTWARE | sof::TX_SCHED | sof::TX_ACK) != 0
    }
}

/// Whether one more call may be owed a report (msg_zerocopy_realloc, ENOBUFS).
pub(crate) fn may_owe(extra: &Extra) -> Result<()> {
    if extra.marks.zerocopy.len() + extra.errors.len() < ZEROCOPY_MAX {
        Ok(())
    } else {
        Err(Error::NoBuffers)
    }
}

/// `taken` octets of a call were written, up to the queue's end.
pub(crate) fn written(extra: &mut Extra, tcb: &Tcb, taken: usize, wanted: Wanted) {
    let (end, octets) = (tcb.snd.data_end(), taken as u32);
    if wanted.zerocopy {
        note_zerocopy(extra, tcb.snd.nxt, end, octets, wanted.resumed);
    }
    let due = wanted.stamps & (sof::TX_SOFTWARE | sof::TX_SCHED | sof::TX_ACK);
    if due == 0 {
        return;
    }
    let stamps = &mut extra.marks.stamps;
    let full = stamps.len() >= STAMPS_MAX;
    if full || (wanted.resumed && stamps.back().is_some_and(|last| last.sent.is_none())) {
        stamps.pop_back();
    }
    stamps.push_back(Stamp {
        end,
        due,
        sent: None,
        packet: None,
    });
}

fn note_zerocopy(extra: &mut Extra, nxt: SeqNum, end: SeqNum, octets: u32, resumed: bool) {
    let id = extra.zerocopy_next;
    if let Some(last) = extra.marks.zerocopy.back_mut() {
        if resumed && last.last.wrapping_add(1) == id {
            last.end = end;
            last.octets = last.octets.saturating_add(octets);
            return;
        }
        // What is not sent yet, and would go together, is told of together.
        let together = last.octets.saturating_add(octets);
        if last.end.after(nxt) && last.last.wrapping_add(1) == id && together <= TOGETHER {
            (last.end, last.last, last.octets) = (end, id, together);
            extra.zerocopy_next = id.wrapping_add(1);
            return;
        }
    } else if resumed {
        // The first part of the call is acknowledged, and told of, already.
        return;
    }
    extra.zerocopy_next = id.wrapping_add(1);
    extra.marks.zerocopy.push_back(ZeroCopy {
        first: id,
        last: id,
        octets,
        end,
    });
}

/// A segment that goes out.
pub(crate) struct Going<'a> {
    /// The connection, which has not counted it yet.
    pub(crate) tcb: &'a Tcb,
    /// How it is dressed.
    pub(crate) dress: &'a Dress,
    /// Its frame.
    pub(crate) frame: &'a [IoSlice<'a>],
    /// Octets of its text.
    pub(crate) len: u32,
}

impl Going<'_> {
    /// A copy of its IP packet.
    fn packet(&self) -> Arc<[u8]> {
        let octets: Vec<u8> = (self.frame.iter())
            .flat_map(|part| part.iter().copied())
            .collect();
        octets.get(vnet::LEN..).unwrap_or_default().into()
    }

    /// What the connection is like with it.
    fn stats(&self, now: Instant) -> Arc<[u8]> {
        let mut info = self.tcb.info(now);
        let segments = self.len.div_ceil(self.tcb.eff_mss());
        info.data_segs_out = info.data_segs_out.wrapping_add(segments);
        info.bytes_sent += u64::from(self.len);
        let moment = Moment {
            queued: self.tcb.snd.queue.len() as u32,
            sent: now,
            ttl: None,
        };
        opt_stats::emit(&info, &moment)
    }

    /// SOF_TIMESTAMPING_OPT_CMSG: from where and by which interface it goes.
    fn name(&self, report: &mut Report, now: Instant) {
        let Dress {
            src, dst, ttl, tos, ..
        } = *self.dress;
        report.error.offender = Some(src);
        report.local = Some(src);
        report.arrival = Some(Arrival {
            dst: SocketAddr::new(dst, 0),
            ttl,
            tos,
            interface: if self.dress.local { 1 } else { 2 },
            at: now,
        });
    }
}

/// A segment goes out: stamps for those that were waited for. True: something was queued.
pub(crate) fn sent(
    extra: &mut Extra,
    plan: &Plan,
    now: Instant,
    rcvbuf: usize,
    going: &Going<'_>,
) -> bool {
    let flags = extra.opts.timestamping;
    let text = plan.seq + u32::from(plan.flags.contains(Flags::SYN));
    let end = text + plan.len;
    let mut told = false;
    let mut copy = None;
    for stamp in &mut extra.marks.stamps {
        if stamp.end.after(end) {
            break;
        }
        if stamp.sent.is_some() || stamp.end.before_eq(text) {
            continue;
        }
        stamp.sent = Some(now);
        if flags & sof::OPT_TSONLY == 0 {
            copy.get_or_insert_with(|| going.packet());
        }
        let key = (stamp.end - 1).raw().wrapping_sub(extra.stamp_key);
        for (bit, what) in [(sof::TX_SCHED, SCHEDULED), (sof::TX_SOFTWARE, SENT)] {
            if stamp.due & bit != 0 {
                let mut report = stamp_report(flags, what, key, now, copy.clone(), 0);
                if flags & sof::OPT_STATS != 0 {
                    report.data = Some(going.stats(now));
                    report.stats = true;
                } else if flags & (sof::OPT_CMSG | sof::OPT_TSONLY) == sof::OPT_CMSG {
                    going.name(&mut report, now);
                }
                told |= extra.errors.push(report, rcvbuf);
            }
        }
        stamp.due &= sof::TX_ACK;
        stamp.packet = copy.clone().filter(|_| stamp.due != 0).map(|packet| {
            let headers = packet.len().saturating_sub(plan.len as usize);
            (packet, headers)
        });
    }
    if told {
        extra.marks.stamps.retain(|s| s.due != 0);
    }
    told
}

/// Tells of what SND.UNA has passed; with `over` of everything, for nothing more will be acknowledged.
pub(crate) fn acknowledged(stack: &mut Stack, now: Instant, id: SocketId, over: bool) {
    let Some(socket) = stack.sockets.get_mut(id) else {
        return;
    };
    let rcvbuf = socket.opts.rcvbuf();
    let Some(extra) = socket.extra.as_deref_mut() else {
        return;
    };
    if extra.marks.is_empty() {
        return;
    }
    let tcb = match &socket.proto {
        Proto::Tcp(tcp) => tcp.tcb.as_deref(),
        _ => None,
    };
    let una = tcb.map(|tcb| tcb.snd.una);
    let passed = |end: SeqNum| over || una.is_none_or(|una| una.after_eq(end));
    let mut told = false;
    while let Some(mark) = front_if(&mut extra.marks.zerocopy, |m| passed(m.end)) {
        extra.errors.zerocopy(mark.first, mark.last);
        told = true;
    }
    while let Some(stamp) = front_if(&mut extra.marks.stamps, |s| passed(s.end)) {
        if over || stamp.due & sof::TX_ACK == 0 {
            continue;
        }
        let flags = extra.opts.timestamping;
        let key = (stamp.end - 1).raw().wrapping_sub(extra.stamp_key);
        let (packet, skip) = stamp.packet.unzip();
        let skip = skip.unwrap_or(0);
        let mut report = stamp_report(flags, ACKNOWLEDGED, key, now, packet, skip);
        if flags & sof::OPT_STATS != 0
            && let Some(tcb) = tcb
        {
            let moment = Moment {
                queued: tcb.snd.queue.len() as u32,
                sent: stamp.sent.unwrap_or(now),
                ttl: Some(extra.last_ttl),
            };
            report.data = Some(opt_stats::emit(&tcb.info(now), &moment));
            report.stats = true;
        }
        told |= extra.errors.push(report, rcvbuf);
    }
    if told {
        stack.notify(id, Ready::ERR);
    }
}

/// Takes the first out if it fits.
fn front_if<T>(queue: &mut VecDeque<T>, fits: impl Fn(&T) -> bool) -> Option<T> {
    fits(queue.front()?).then(|| queue.pop_front())?
}
