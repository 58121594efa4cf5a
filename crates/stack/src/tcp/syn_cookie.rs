//! SYN cookies (RFC 4987 3.6): when the SYN queue is full a SYN is answered without remembering it. Our initial sequence number
//! carries the MSS and a keyed proof; window scale and SACK-permitted lie in the low bits of our timestamp, which the peer echoes.

use super::half_open::{self, HalfOpen};
use super::input::Segment;
use super::layer::TcpLayer;
use super::seq::SeqNum;
use super::tuple::Tuple;
use crate::socket::SocketId;
use crate::stack::Stack;
use crate::time::Instant;

/// A cookie counts in periods of this length and is believed in its own and the next.
const PERIOD_US: u64 = 64_000_000;
/// MSS values that two bits can name; the largest not above the peer's is taken.
const MSS: [u16; 4] = [536, 1220, 1440, 8940];
/// Low bits of TSval: four of window scale (15: none) and one of SACK-permitted.
const TS_BITS: u32 = 0x1f;
const NO_WSCALE: u32 = 15;

fn period(now: Instant) -> u32 {
    (now.as_micros() / PERIOD_US) as u32
}

/// 8 bits of the period, 22 bits of proof, 2 bits of MSS.
fn cookie(layer: &TcpLayer, tuple: &Tuple, irs: SeqNum, period: u32, mss: u32) -> SeqNum {
    let proof = layer.proof(&(tuple, irs, period, mss)) as u32;
    SeqNum::new(((period & 0xff) << 24) | ((proof & 0x3f_ffff) << 2) | mss)
}

/// Answers a SYN without remembering it.
pub(crate) fn answer(
    stack: &mut Stack,
    now: Instant,
    listener: SocketId,
    tuple: Tuple,
    seg: &Segment<'_>,
) {
    let options = &seg.header.options;
    let peer_mss = options.mss.unwrap_or(536);
    let mss = MSS.iter().rposition(|mss| *mss <= peer_mss).unwrap_or(0) as u32;
    let Some(mut entry) = half_open::describe(stack, now, listener, tuple, seg) else {
        return;
    };
    entry.iss = cookie(&stack.tcp, &tuple, seg.header.seq, period(now), mss);
    let base = (now.as_millis() as u32).wrapping_add(stack.tcp.ts_offset(&tuple));
    let scale = options.wscale.map_or(NO_WSCALE, u32::from);
    let bits = scale | (u32::from(options.sack_permitted) << 4);
    let mut val = (base & !TS_BITS) | bits;
    if val.wrapping_sub(base) as i32 > 0 {
        val = val.wrapping_sub(TS_BITS + 1);
    }
    // There is no bit for ECN.
    entry.forgo_ecn();
    if options.ts.is_none() {
        // There is no place to keep them: they are not agreed on.
        entry.forgo_options();
    }
    half_open::emit_syn_ack(stack, &entry, val, None);
    stack.stats.syn_cookies_sent += 1;
}

/// The third segment of a handshake that a cookie began: what the SYN said, or `None` when it proves nothing.
pub(crate) fn redeem(
    stack: &Stack,
    now: Instant,
    listener: SocketId,
    tuple: Tuple,
    seg: &Segment<'_>,
) -> Option<HalfOpen> {
    let h = seg.header;
    let (iss, irs) = (h.ack - 1, h.seq - 1);
    let index = iss.raw() & 3;
    let current = period(now);
    let genuine = [current, current.wrapping_sub(1)]
        .iter()
        .any(|period| cookie(&stack.tcp, &tuple, irs, *period, index) == iss);
    if !genuine {
        return None;
    }
    let mut entry = half_open::describe(stack, now, listener, tuple, seg)?;
    let bits = h.options.ts.map(|(_, ecr)| ecr & TS_BITS);
    let wscale = bits
        .map(|bits| bits & 0xf)
        .filter(|shift| *shift != NO_WSCALE);
    entry.recall(
        irs,
        iss,
        MSS.get(index as usize).copied(),
        wscale.map(|shift| shift.min(14) as u8),
        bits.is_some_and(|bits| bits >> 4 == 1),
    );
    Some(entry)
}
