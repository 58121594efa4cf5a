//! Delivery-rate estimation (draft-ietf-ccwg-bbr 4.1, before draft-cheng-iccrg-delivery-rate-estimation): how fast the network
//! delivers, from what is noted when octets go and what has been delivered when they are acknowledged.

use std::time::Duration;

use super::congestion::Sample;
use super::recovery::{AckNews, Phase};
use super::sent::Sent;
use super::seq::SeqNum;
use super::tcb::Tcb;
use super::vars::Usage;
use crate::time::{Instant, Span};

/// What is noted of octets when they go (the draft's per-packet state, one for each record of the scoreboard).
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Stamp {
    /// P.delivered, its low half.
    delivered: u32,
    /// P.lost.
    lost: u32,
    /// From P.delivered_time to the sending, microseconds.
    since_delivery: u32,
    /// From P.first_send_time to the sending, microseconds.
    since_first: u32,
    /// P.tx_in_flight and, as its highest bit, P.is_app_limited: no window has that many octets (RFC 7323 2.3).
    in_flight: u32,
}

/// What the program was the limit of, among the bits of an amount or of a time.
const APP_LIMITED: u32 = 1 << 31;

impl Stamp {
    /// P.tx_in_flight: octets in flight, with those that went.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight & !APP_LIMITED
    }

    /// More went at the same moment, with `other` noted of it.
    pub(crate) fn sent_with(&mut self, other: Stamp) {
        self.in_flight = other.in_flight;
    }

    /// P.is_app_limited.
    pub(crate) fn app_limited(&self) -> bool {
        self.in_flight & APP_LIMITED != 0
    }
}

/// A connection's delivery (the draft's per-connection state).
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Rate {
    /// C.delivered: octets that have been delivered, ever.
    delivered: u64,
    /// C.delivered_time: when that last grew.
    delivered_at: Instant,
    /// C.first_send_time: when what was last delivered had been sent, or, after idleness, when sending began again.
    first_sent_at: Instant,
    /// C.app_limited, its low half: until more than this has been delivered samples show the program's rate, not the network's. 0: they
    /// do not.
    app_limited: u32,
    /// C.lost: octets taken for lost, ever; it wraps.
    lost: u32,
    /// The last sample worth telling: octets, in microseconds (0: none yet), whose highest bit says that the program was the limit.
    told: (u32, u32),
}

/// What one acknowledgement tells of the most recently sent octets that it covers (the draft's RS).
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Newest {
    at: Instant,
    end: SeqNum,
    stamp: Stamp,
}

impl Rate {
    /// Samples show the program's rate for now.
    pub(crate) fn app_limited(&self) -> bool {
        self.app_limited != 0
    }

    /// MarkConnectionAppLimited.
    pub(crate) fn mark_app_limited(&mut self, in_flight: u32) {
        self.app_limited = (self.delivered as u32).wrapping_add(in_flight).max(1);
    }

    /// OnPacketSent: `len` octets go at `now` while `in_flight` are out.
    pub(crate) fn on_send(&mut self, now: Instant, in_flight: u32, len: u32) -> Stamp {
        if in_flight == 0 {
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        Stamp {
            delivered: self.delivered as u32,
            lost: self.lost,
            since_delivery: clamped(now.micros_since(self.delivered_at)),
            since_first: clamped(now.micros_since(self.first_sent_at)),
            in_flight: in_flight.saturating_add(len).min(APP_LIMITED - 1)
                | if self.app_limited() { APP_LIMITED } else { 0 },
        }
    }

    /// UpdateRateSample: `record` has been delivered.
    pub(crate) fn on_delivery(&mut self, now: Instant, record: &Sent, newest: &mut Option<Newest>) {
        self.delivered += u64::from(record.len);
        self.delivered_at = now;
        let newer = newest.is_none_or(|newest| {
            record.at > newest.at || (record.at == newest.at && record.end().after(newest.end))
        });
        if newer {
            self.first_sent_at = record.at;
            *newest = Some(Newest {
                at: record.at,
                end: record.end(),
                stamp: record.stamp,
            });
        }
    }

    /// `record` is taken for lost; octets lost since it went, with its own.
    pub(crate) fn on_loss(&mut self, record: &Sent) -> u32 {
        self.lost = self.lost.wrapping_add(record.len);
        self.lost.wrapping_sub(record.stamp.lost)
    }

    /// GenerateRateSample: octets in a time, microseconds, of which the newest of them tell; no time when it is too short to mean anything.
    fn sample(&mut self, newest: &Newest, min_rtt: Span) -> (u32, Option<u64>) {
        let stamp = &newest.stamp;
        let delivered = (self.delivered as u32).wrapping_sub(stamp.delivered);
        let sending = u64::from(stamp.since_first);
        // From the last delivery before the sending: until it, and from it until now.
        let acking = u64::from(stamp.since_delivery) + self.delivered_at.micros_since(newest.at);
        let interval = sending.max(acking);
        if interval < u64::from(min_rtt.as_micros()) || interval == 0 {
            return (delivered, None);
        }
        self.note(delivered, interval, stamp.app_limited());
        (delivered, Some(interval))
    }

    /// Linux's tcp_rate_gen: TCP_INFO tells the last sample that shows the network's rate, or a program's that is above it.
    fn note(&mut self, delivered: u32, us: u64, app_limited: bool) {
        let us = us.min(u64::from(APP_LIMITED - 1)) as u32;
        let (octets, time) = (self.told.0, self.told.1 & !APP_LIMITED);
        let faster = u64::from(delivered) * u64::from(time) >= u64::from(octets) * u64::from(us);
        if !app_limited || faster {
            self.told = (delivered, us | if app_limited { APP_LIMITED } else { 0 });
        }
    }

    /// Octets a second as last measured (0: never), and whether the program was the limit.
    pub(crate) fn told(&self) -> (u64, bool) {
        let (octets, time) = self.told;
        (
            octets_a_second(octets, time & !APP_LIMITED),
            time & APP_LIMITED != 0,
        )
    }
}

impl Tcb {
    /// CheckIfApplicationLimited: called before octets are written, an acknowledgement is looked at, or a timer runs.
    pub(crate) fn check_app_limited(&mut self) {
        let snd = &self.snd;
        let unsent = snd.data_end().since(snd.nxt).min(snd.queue.len() as u32);
        // Less than a segment counts as nothing (Linux: tcp_rate_check_app_limited): it may be held back.
        if unsent > 0 && unsent >= self.eff_mss() || snd.sent.lost() > 0 {
            return;
        }
        let pipe = self.pipe();
        if pipe < self.cc.cwnd() {
            self.rate.mark_app_limited(pipe);
        }
    }

    /// The algorithm hears of everything that an acknowledgement brought, after the scoreboard and loss recovery have.
    pub(crate) fn sample_rate(&mut self, now: Instant, news: &AckNews, lost_before: u32) {
        // The bubble in the pipe has gone by.
        if (self.rate.delivered as u32).wrapping_sub(self.rate.app_limited) as i32 > 0 {
            self.rate.app_limited = 0;
        }
        let Some(newest) = news.newest else { return };
        let min_rtt = self.rtt.min_span().unwrap_or_default();
        let (delivered, interval) = self.rate.sample(&newest, min_rtt);
        if !self.cc.wants_samples() {
            return;
        }
        let interval = interval.map(Duration::from_micros);
        let sample = Sample {
            now,
            acked: news.delivered,
            newly_lost: self.rate.lost.wrapping_sub(lost_before),
            rtt: news.rtt.map(Span::get),
            delivered,
            interval,
            prior_delivered: self.rate.delivered - u64::from(delivered),
            total_delivered: self.rate.delivered,
            lost: self.rate.lost.wrapping_sub(newest.stamp.lost),
            tx_in_flight: newest.stamp.in_flight(),
            app_limited: newest.stamp.app_limited(),
            in_flight: self.pipe(),
            cwnd_limited: self.snd.usage.held_up,
            sack: self.sack_ok,
            recovering: self.recovery.phase == Phase::Fast,
        };
        if self.cc.on_sample(&sample) {
            self.rate.mark_app_limited(sample.in_flight);
        }
    }

    /// Something was sent: notes how much of the congestion window is in use.
    pub(super) fn note_usage(&mut self, mss: u32) {
        let (out, cwnd) = (self.pipe(), self.cc.cwnd());
        let held_up = out.saturating_add(mss) > cwnd;
        let usage = &mut self.snd.usage;
        if self.snd.una.after_eq(usage.until) || held_up || (!usage.held_up && out > usage.most) {
            *usage = Usage {
                held_up,
                most: out,
                until: self.snd.nxt,
            };
        }
    }

    /// The congestion window is used as far as it must be to grow: wholly, or in slow start by half (Linux: tcp_is_cwnd_limited).
    pub(crate) fn window_used(&self) -> bool {
        let cwnd = self.cc.cwnd();
        let usage = self.snd.usage;
        usage.held_up || (cwnd < self.cc.ssthresh() && cwnd < usage.most.saturating_mul(2))
    }

    /// C.lost, for [`Tcb::sample_rate`].
    pub(crate) fn lost_so_far(&self) -> u32 {
        self.rate.lost
    }
}

fn clamped(us: u64) -> u32 {
    u32::try_from(us).unwrap_or(u32::MAX)
}

fn octets_a_second(octets: u32, us: u32) -> u64 {
    (u64::from(octets) * 1_000_000)
        .checked_div(u64::from(us))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::sent::SentQueue;

    const MS: u64 = 1000;

    /// A path that delivers a segment of 1000 octets each millisecond, 20 ms away.
    #[test]
    fn a_steady_path_is_measured_exactly_and_an_idle_program_is_told_apart() {
        let mut rate = Rate::default();
        let mut queue = SentQueue::default();
        let at = |us| Instant::from_micros(1_000_000 + us);
        for n in 0..20u32 {
            let stamp = rate.on_send(at(0), queue.pipe(), 1000);
            queue.push(SeqNum::new(n * 1000), 1000, 1000, at(u64::from(n)), stamp);
        }
        for n in 1..=60u64 {
            let now = at((20 + n) * MS);
            let mut newest = None;
            queue.acknowledge(SeqNum::new(n as u32 * 1000), |record| {
                rate.on_delivery(now, record, &mut newest);
            });
            let (_, interval) = rate.sample(&newest.expect("acknowledged"), Span::ZERO);
            assert!(interval.is_some());
            let end = SeqNum::new((n as u32 + 19) * 1000);
            let stamp = rate.on_send(now, queue.pipe(), 1000);
            queue.push(end, 1000, 1000, now, stamp);
        }
        let (measured, limited) = rate.told();
        assert!((990_000..=1_010_000).contains(&measured), "{measured} B/s");
        assert!(!limited);
        rate.mark_app_limited(queue.pipe());
        let stamp = rate.on_send(at(90 * MS), queue.pipe(), 1000);
        assert!(stamp.app_limited());
    }

    #[test]
    fn lost_octets_are_counted_from_the_sending_on() {
        let mut rate = Rate::default();
        let mut queue = SentQueue::default();
        let now = Instant::from_micros(5);
        for n in 0..4u32 {
            let stamp = rate.on_send(now, queue.pipe(), 1000);
            queue.push(
                SeqNum::new(n * 1000),
                1000,
                1000,
                Instant::from_micros(5 + u64::from(n)),
                stamp,
            );
        }
        let mut told = Vec::new();
        queue.mark_lost(|record| {
            told.push(rate.on_loss(record));
            true
        });
        assert_eq!(told, [1000, 2000, 3000, 4000]);
        let stamp = rate.on_send(now, 0, 1000);
        assert_eq!(stamp.in_flight(), 1000);
        assert_eq!(rate.lost.wrapping_sub(stamp.lost), 0);
    }
}
