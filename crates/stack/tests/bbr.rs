//! BBR and pacing over a narrow place, in virtual time.

mod pair;

use std::io::IoSliceMut;
use std::time::Duration;

use pair::*;
use tunsock_stack::*;

/// 20 Mbit/s.
const RATE: u64 = 2_500_000;
/// One way.
const LATENCY: Duration = Duration::from_millis(20);
/// The bandwidth-delay product, octets.
const BDP: u64 = RATE / 25;

/// A stream from host 0 to host 1 that never ends.
struct Flow {
    client: SocketId,
    server: SocketId,
    got: u64,
}

/// The two hosts with a narrow place between.
struct Path {
    pair: Pair,
    flows: Vec<Flow>,
    buf: Vec<u8>,
}

impl Path {
    fn new(queue: u64, change: impl Fn(&mut Config)) -> Path {
        let [a, b] = [0, 1].map(|host| {
            let mut config = config(host);
            change(&mut config);
            config
        });
        let mut pair = Pair::with(a, b);
        pair.latency = LATENCY;
        pair.bottleneck = Some(Bottleneck::new(RATE, queue));
        Path {
            pair,
            flows: Vec::new(),
            buf: vec![7; 65_536],
        }
    }

    fn bbr(queue: u64) -> Path {
        Path::new(queue, |config| config.congestion = CongestionControl::Bbr)
    }

    fn flow(&mut self) -> usize {
        let (client, server, _) = self.pair.connected(1000 + self.flows.len() as u16);
        self.flows.push(Flow {
            client,
            server,
            got: 0,
        });
        self.flows.len() - 1
    }

    /// Sends and reads for `span`; octets read of each flow in it.
    fn run(&mut self, span: Duration) -> Vec<u64> {
        let before: Vec<u64> = self.flows.iter().map(|flow| flow.got).collect();
        let end = self.pair.now + span;
        let Path { pair, flows, buf } = self;
        while pair.now < end {
            for flow in flows.iter_mut() {
                while pair.send(0, flow.client, buf).is_ok() {}
                let mut bufs = [IoSliceMut::new(buf)];
                while let Ok(read) =
                    pair.hosts[1].recv(pair.now, flow.server, &mut bufs, RecvFlags::empty())
                {
                    flow.got += read.len as u64;
                    if read.len == 0 {
                        break;
                    }
                }
            }
            assert!(pair.step(), "everything has come to rest");
        }
        (self.flows.iter().zip(before))
            .map(|(flow, before)| flow.got - before)
            .collect()
    }

    fn info(&self, flow: usize) -> TcpInfo {
        self.pair.hosts[0]
            .tcp_info(self.pair.now, self.flows[flow].client)
            .expect("connected")
    }

    fn narrow(&mut self) -> &mut Bottleneck {
        self.pair.bottleneck.as_mut().expect("there is one")
    }
}

/// What part of what the narrow place can carry in `span` `octets` of text are; a packet of 1500 octets has 1448.
fn share(octets: u64, span: Duration) -> f64 {
    octets as f64 / (RATE as f64 * 1448.0 / 1500.0 * span.as_secs_f64())
}

const TEN: Duration = Duration::from_secs(10);

#[test]
fn one_flow_finds_the_bandwidth_and_keeps_the_queue_short() {
    let mut path = Path::bbr(BDP * 4);
    let flow = path.flow();
    path.run(Duration::from_secs(2));
    path.narrow().longest = Duration::ZERO;
    let got = path.run(TEN)[0];
    let info = path.info(flow);
    let bbr = info.bbr.expect("BBR");
    assert!(share(got, TEN) > 0.9, "{:.3} of the link", share(got, TEN));
    let bw = bbr.bw as f64 / RATE as f64;
    assert!((0.9..=1.1).contains(&bw), "bandwidth {bw:.3} of the link's");
    let min_rtt = bbr.min_rtt.expect("measured");
    assert!(
        (2 * LATENCY..3 * LATENCY).contains(&min_rtt),
        "min_rtt {min_rtt:?}"
    );
    let narrow = path.narrow();
    let longest = narrow.longest;
    assert!(
        longest < LATENCY * 3,
        "queue of {longest:?}: 1.5 BDP at most"
    );
    assert_eq!(narrow.dropped, 0);
    assert!(info.delivery_rate > RATE * 8 / 10);
    assert!(info.pacing_rate < 2 * RATE);
}

#[test]
fn a_shallow_queue_is_enough() {
    let mut path = Path::bbr(BDP / 2);
    path.flow();
    path.run(Duration::from_secs(3));
    let got = path.run(TEN)[0];
    assert!(share(got, TEN) > 0.85, "{:.3} of the link", share(got, TEN));
}

#[test]
fn one_per_cent_of_loss_costs_less_than_a_tenth() {
    // With a path of so many packets that a round trip rarely sees the double rate.
    let mut path = Path::bbr(BDP * 8);
    path.narrow().rate = 4 * RATE;
    let mut dice = 1u64;
    path.pair.filter = Box::new(move |from, _, _| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if from == 0 && dice >> 33 < (1 << 31) / 100 {
            Fate::Lose
        } else {
            Fate::Arrive
        }
    });
    path.flow();
    path.run(Duration::from_secs(2));
    let got = path.run(TEN)[0];
    let kept = share(got, TEN) / 4.0;
    assert!(kept > 0.9, "{kept:.3} of the link");
}

#[test]
fn two_flows_share_fairly() {
    let mut path = Path::bbr(BDP * 4);
    path.flow();
    path.run(Duration::from_secs(5));
    path.flow();
    path.run(Duration::from_secs(30));
    let span = Duration::from_secs(20);
    let got = path.run(span);
    let (a, b) = (got[0] as f64, got[1] as f64);
    let jain = (a + b).powi(2) / (2.0 * (a * a + b * b));
    assert!(jain > 0.9, "{got:?}: Jain's index {jain:.3}");
    let both = share(got[0] + got[1], span);
    assert!(both > 0.9, "{both:.3} of the link");
    path.narrow().longest = Duration::ZERO;
    path.run(TEN);
    let longest = path.narrow().longest;
    assert!(longest < LATENCY * 4, "queue of {longest:?}");
}

#[test]
fn a_longer_way_and_another_bandwidth_are_noticed() {
    let mut path = Path::bbr(BDP * 4);
    let flow = path.flow();
    path.run(Duration::from_secs(3));
    path.pair.latency = 2 * LATENCY;
    path.run(Duration::from_secs(16));
    let min_rtt = path.info(flow).bbr.and_then(|bbr| bbr.min_rtt);
    assert!(
        min_rtt.is_some_and(|rtt| (4 * LATENCY..5 * LATENCY).contains(&rtt)),
        "{min_rtt:?} of 80 ms"
    );
    path.pair.latency = LATENCY;
    path.narrow().rate = RATE / 4;
    // The largest of two probing cycles is kept, and behind this queue a round trip takes half a second.
    path.run(Duration::from_secs(25));
    let bw = path.info(flow).bbr.expect("BBR").bw as f64 / (RATE / 4) as f64;
    assert!((0.8..=1.15).contains(&bw), "{bw:.3} of a quarter");
    path.narrow().rate = RATE;
    path.run(TEN);
    let got = path.run(TEN)[0];
    assert!(
        share(got, TEN) > 0.85,
        "{:.3} of the whole again",
        share(got, TEN)
    );
}

#[test]
fn probing_for_the_round_trip_time_empties_the_path_and_ends() {
    let mut path = Path::bbr(BDP * 4);
    let flow = path.flow();
    path.run(Duration::from_secs(2));
    let cwnd = path.info(flow).snd_cwnd;
    let (mut least, mut probed) = (u32::MAX, 0);
    for _ in 0..1000 {
        path.run(Duration::from_millis(10));
        let info = path.info(flow);
        least = least.min(info.snd_cwnd);
        if info.bbr.is_some_and(|bbr| bbr.cwnd_gain == 128) {
            probed += 1;
        }
    }
    assert!(
        (20..=80).contains(&probed),
        "{probed} hundredths of a second"
    );
    assert!(
        least <= cwnd / 2,
        "the window came down to {least} of {cwnd}"
    );
    assert!(path.info(flow).snd_cwnd > cwnd / 2, "and up again");
}

#[test]
fn marks_are_answered() {
    let mut path = Path::new(BDP * 4, |config| {
        config.congestion = CongestionControl::Bbr;
        config.ecn = Ecn::Request;
    });
    path.narrow().mark_above = BDP / 4;
    let flow = path.flow();
    assert!(path.info(flow).ecn);
    path.run(Duration::from_secs(3));
    path.narrow().longest = Duration::ZERO;
    let got = path.run(TEN)[0];
    assert!(path.info(flow).delivered_ce > 0);
    assert!(share(got, TEN) > 0.8, "{:.3} of the link", share(got, TEN));
    let (longest, marked, dropped) = {
        let narrow = path.narrow();
        (narrow.longest, narrow.marked, narrow.dropped)
    };
    assert!(
        marked > 0 && dropped == 0,
        "{marked} marked, {dropped} dropped"
    );
    assert!(longest < LATENCY * 2, "queue of {longest:?}");
}

#[test]
fn super_segments_are_a_millisecond_of_the_pace() {
    let mut path = Path::new(BDP * 4, |config| {
        config.congestion = CongestionControl::Bbr;
        config.offload = Offload {
            csum: true,
            tso4: true,
            tso6: true,
        };
    });
    path.flow();
    path.run(Duration::from_secs(3));
    let sizes = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = sizes.clone();
    path.pair.filter = Box::new(move |from, _, packet| {
        if from == 0 && packet.len() > 100 {
            seen.borrow_mut().push(packet.len());
        }
        Fate::Arrive
    });
    let got = path.run(TEN)[0];
    assert!(share(got, TEN) > 0.9, "{:.3} of the link", share(got, TEN));
    let sizes = sizes.borrow();
    let largest = sizes.iter().copied().max().unwrap_or(0);
    // 2.5 KB in a millisecond, a quarter more while probing: two segments at least.
    assert!((2000..=4600).contains(&largest), "{largest}");
}

#[test]
fn a_late_flight_taken_for_lost_costs_nothing_in_the_end() {
    let mut path = Path::bbr(BDP * 4);
    let flow = path.flow();
    path.run(Duration::from_secs(3));
    let bw = path.info(flow).bbr.expect("BBR").bw;
    // All that is sent within 100 ms comes 400 ms late: the timer runs out for nothing.
    let until = path.pair.sent[0] + 150;
    path.pair.filter = Box::new(move |from, number, _| {
        if from == 0 && number < until {
            Fate::Late(Duration::from_millis(400))
        } else {
            Fate::Arrive
        }
    });
    path.run(Duration::from_secs(2));
    assert!(
        path.info(flow).total_retrans > 0,
        "nothing was taken for lost"
    );
    path.run(Duration::from_secs(2));
    let after = path.info(flow).bbr.expect("BBR").bw;
    assert!(after > bw * 8 / 10, "{after} of {bw}");
}

#[test]
fn the_pace_is_held_to_the_limit_with_every_algorithm() {
    for congestion in [
        CongestionControl::Cubic,
        CongestionControl::Reno,
        CongestionControl::Bbr,
    ] {
        let mut path = Path::new(BDP * 4, |config| config.congestion = congestion);
        let flow = path.flow();
        let client = path.flows[flow].client;
        let limit = RATE / 5;
        path.pair.hosts[0]
            .set_option(path.pair.now, client, SockOpt::MaxPacingRate(limit))
            .expect("set");
        path.run(Duration::from_secs(2));
        path.narrow().longest = Duration::ZERO;
        let got = path.run(TEN)[0];
        // Octets of text count (Linux: tcp_update_skb_after_send).
        let held = got as f64 / (limit * 10) as f64;
        assert!(
            (0.85..=1.0).contains(&held),
            "{congestion:?}: {held:.3} of the limit"
        );
        assert!(path.narrow().longest < Duration::from_millis(5));
        let info = path.info(flow);
        assert_eq!(info.max_pacing_rate, limit);
        assert!(info.pacing_rate <= limit);
        assert_eq!(info.total_retrans, 0);
    }
}

#[test]
fn a_program_that_sends_little_does_not_lower_the_estimate() {
    let mut path = Path::bbr(BDP * 4);
    let flow = path.flow();
    path.run(Duration::from_secs(3));
    let bw = path.info(flow).bbr.expect("BBR").bw;
    let Flow { client, server, .. } = path.flows[flow];
    let pair = &mut path.pair;
    // What is queued goes out first.
    pair.run(Duration::from_secs(60), |p| {
        while p.recv(1, server, 65_536).is_ok() {}
        p.hosts[0].unsent_bytes(client) == Ok(0)
    });
    for _ in 0..100 {
        pair.send(0, client, &[1; 500]).expect("room");
        pair.pass(Duration::from_millis(30));
        while pair.recv(1, server, 65_536).is_ok() {}
    }
    let info = path.info(flow);
    let after = info.bbr.expect("BBR").bw;
    assert!(after > bw * 8 / 10, "{after} of {bw}");
    assert!(info.delivery_rate > RATE / 2 && !info.delivery_app_limited);
}

#[test]
fn slow_start_fills_the_path_and_does_not_overflow_its_queue() {
    for latency in [7, 10, 15, 40] {
        let latency = Duration::from_millis(latency);
        let rate = 4 * RATE;
        let bdp = rate * 2 * latency.as_micros() as u64 / 1_000_000;
        // Buffers that hold nothing up.
        let mut path = Path::new(bdp * 5 / 4, |config| {
            config.tcp_wmem = [4096, 8 << 20, 8 << 20];
            config.tcp_rmem = [4096, 16 << 20, 16 << 20];
        });
        path.pair.latency = latency;
        path.narrow().rate = rate;
        let flow = path.flow();
        let span = Duration::from_secs(2);
        path.run(span);
        let info = path.info(flow);
        let left = info.snd_ssthresh.map(|n| u64::from(n) * 1448);
        assert!(
            left.is_some_and(|left| left > bdp * 3 / 4 && left < bdp * 2),
            "{latency:?}: left at {left:?}, the path has {bdp}"
        );
        assert_eq!(path.narrow().dropped, 0, "{latency:?}");
        let got = path.run(span)[0];
        assert!(share(got, span) / 4.0 > 0.98, "{latency:?}");
    }
}
