//! How large a receive buffer grows (dynamic right-sizing, tcp_rcv_space_adjust), and the window that it stands for.

use super::seq::SeqNum;
use super::tcb::Tcb;
use crate::socket::table::in_four;
use crate::time::Instant;

/// Segments of the first window that a buffer is measured against (Linux: TCP_INIT_CWND).
const FIRST_SEGMENTS: u32 = 10;

/// Shorter round trips are not told apart, microseconds: timestamps, by which Linux measures here, count milliseconds. Where the window
/// is what bounds it, no more than a window comes in a round trip, and a buffer would never grow.
const RTT_MIN: u128 = 1000;

/// What the program takes in a round trip. A connection that has received little has none.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Sizing {
    /// Most octets that it has taken in a round trip.
    space: u32,
    /// Where the program stood when the round trip began.
    from: SeqNum,
    /// When that was.
    since: Instant,
    /// Shortest round trip as seen from the arrival of whole windows, microseconds; 0: none seen.
    rtt: u32,
    /// That one ends when this arrives.
    window_end: SeqNum,
    /// When it began.
    window_since: Instant,
}

/// Window of an empty buffer of `rcvbuf` octets: half of it (tcp_win_from_space).
pub(crate) fn window_of(rcvbuf: usize) -> usize {
    rcvbuf / 2
}

/// The buffer of which `window` octets are half.
pub(crate) fn buffer_of(window: usize) -> usize {
    window.saturating_mul(2)
}

/// Window in a SYN, which is not scaled: whole segments of `mss` octets (tcp_select_initial_window).
pub(crate) fn syn_window(window: usize, mss: usize) -> u16 {
    let whole = if mss > 0 && window > mss {
        window / mss * mss
    } else {
        window
    };
    whole.min(65_535) as u16
}

impl Tcb {
    /// Octets that the program took in a round trip at most (tcpi_rcv_space).
    pub(crate) fn rcv_space(&self) -> u32 {
        self.rcv
            .sizing
            .as_ref()
            .map_or(self.first_space(), |sizing| sizing.space)
    }

    /// What is assumed of a connection that has received nothing (tcp_init_buffer_space).
    fn first_space(&self) -> u32 {
        let first = FIRST_SEGMENTS * u32::from(self.syn.mss);
        first.min(self.rcv.capacity.min(1 << 30)).max(1)
    }

    /// Octets have arrived in order: how long a window of them takes (tcp_rcv_rtt_measure).
    pub(crate) fn measure_window(&mut self, now: Instant) {
        let (nxt, window) = (self.rcv.nxt, self.rcv.wnd());
        let first = self.first_space();
        if self.rcv.sizing.is_none() && nxt.since(self.rcv.irs) <= first {
            return;
        }
        let base = self.rcv.base;
        let sizing = self.rcv.sizing.get_or_insert_with(|| {
            Box::new(Sizing {
                space: first,
                from: base,
                since: now,
                rtt: 0,
                window_end: nxt + window,
                window_since: now,
            })
        });
        if nxt.before(sizing.window_end) {
            return;
        }
        let took = now.since(sizing.window_since).as_micros().clamp(1, 1 << 31) as u32;
        sizing.rtt = match sizing.rtt {
            0 => took,
            rtt => rtt.min(took),
        };
        sizing.window_end = nxt + window;
        sizing.window_since = now;
    }

    /// The program has read: a buffer that nobody has fixed becomes large enough for what it takes in a round trip, and for a sender
    /// that doubles its rate (tcp_rcv_space_adjust, tcp_rcvbuf_grow). `most`: its limit, octets.
    pub(crate) fn grow_receive_buffer(&mut self, now: Instant, most: usize, pressed: bool) {
        let (base, nxt) = (self.rcv.base, self.rcv.nxt);
        let Some(sizing) = &mut self.rcv.sizing else {
            return;
        };
        let srtt = self.rtt.srtt().map(|rtt| rtt.as_micros().max(1));
        let seen = (sizing.rtt > 0).then_some(u128::from(sizing.rtt));
        let Some(rtt) = seen.into_iter().chain(srtt).min() else {
            return;
        };
        if now.since(sizing.since).as_micros() < rtt.max(RTT_MIN) {
            return;
        }
        // What arrived in the last round trip and waits to be read is the next one's.
        let copied = base.since(sizing.from).saturating_sub(nxt.since(base));
        sizing.from = base;
        sizing.since = now;
        if copied <= sizing.space {
            return;
        }
        let before = u64::from(std::mem::replace(&mut sizing.space, copied).max(1));
        let copied = u64::from(copied);
        let twice = 2 * copied;
        let mut window = twice + 2 * (twice * (copied - before) / before);
        if let Some(reach) = self.rcv.assembler.reach() {
            window += u64::from(reach.since(nxt));
        }
        if !self.rcv.locked && !pressed {
            let window = usize::try_from(window).unwrap_or(usize::MAX);
            self.rcv.capacity = (self.rcv.capacity).max(in_four(window.min(window_of(most))));
        }
    }
}
