//! TCP Fast Open (RFC 7413): keys and cookies, what is remembered of servers, and what a connection that uses it has to keep.
//! `fastopen_client.rs` opens connections with text in the SYN, `fastopen_server.rs` takes them.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use super::connection;
use super::fastopen_server;
use super::tcb::{Fate, Tcb};
use super::tuple::Tuple;
use crate::config::{Config, FastOpenKeys};
use crate::error::Error;
use crate::keyed::{KeyedMap, KeyedState};
use crate::socket::{FastOpenFailure, SocketId, State};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::fast_open::{Cookie, FastOpenOption};

/// Servers remembered; the one that was met first is forgotten for the next.
const SERVERS_MAX: usize = 4096;
/// Doublings of the pause after a black hole (Linux: tcp_fastopen_active_should_disable).
const PAUSE_DOUBLINGS: u32 = 6;

/// What is remembered of a server (RFC 7413 4.1.3).
#[derive(Copy, Clone, Debug, Default)]
struct Server {
    /// The MSS of its last SYN-ACK, 0 when none was seen.
    mss: u16,
    /// Its cookie, empty when there is none; the kind in which it came.
    option: FastOpenOption,
    /// 1: it knew nothing of the option, the experimental kind is to be tried; 2: nor of that.
    attempt: u8,
}

/// What a SYN-ACK told.
#[derive(Copy, Clone, Debug)]
pub(super) struct Learnt {
    /// Its MSS.
    pub(super) mss: u16,
    /// Its cookie.
    pub(super) option: Option<FastOpenOption>,
    /// What to try the next time, as in `Server`.
    pub(super) attempt: u8,
}

/// What all TCP sockets share for Fast Open.
pub(crate) struct FastOpenLayer {
    keys: FastOpenKeys,
    /// The keys are in use, or were given: they can be read.
    in_use: bool,
    servers: KeyedMap<(IpAddr, IpAddr), Server>,
    order: VecDeque<(IpAddr, IpAddr)>,
    /// Black holes met in a row, and when the last was.
    black_holes: u32,
    paused_at: Instant,
}

impl FastOpenLayer {
    /// Keys come from `config`, or from `secret`.
    pub(super) fn new(config: &Config, secret: KeyedState) -> FastOpenLayer {
        let mut drawn = [0; 16];
        for (index, half) in drawn.chunks_exact_mut(8).enumerate() {
            half.copy_from_slice(&secret.hash(&(4u8, index)).to_le_bytes());
        }
        FastOpenLayer {
            keys: config.fast_open_keys.unwrap_or(FastOpenKeys {
                primary: drawn,
                backup: None,
            }),
            in_use: config.fast_open_keys.is_some(),
            servers: KeyedMap::with_hasher(secret),
            order: VecDeque::new(),
            black_holes: 0,
            paused_at: Instant::ZERO,
        }
    }

    /// Other keys from now on.
    pub(super) fn set_keys(&mut self, keys: FastOpenKeys) {
        self.keys = keys;
        self.in_use = true;
    }

    /// Somebody is going to take connections under these keys (Linux: tcp_fastopen_init_key_once).
    pub(super) fn use_keys(&mut self) {
        self.in_use = true;
    }

    /// The keys, once they are in use.
    pub(super) fn keys_in_use(&self) -> Option<FastOpenKeys> {
        self.in_use.then_some(self.keys)
    }

    /// The keys.
    pub(super) fn keys(&self) -> FastOpenKeys {
        self.keys
    }

    /// What a SYN to a server may say: the MSS of its last SYN-ACK, if there was one, and the option.
    pub(super) fn recall(&self, tuple: &Tuple) -> (Option<u16>, FastOpenOption) {
        let known = self.servers.get(&(tuple.local, tuple.remote));
        let server = known.copied().unwrap_or_default();
        let mut option = server.option;
        option.experimental |= option.cookie.is_empty() && server.attempt == 1;
        (Some(server.mss).filter(|mss| *mss != 0), option)
    }

    /// Keeps what a SYN-ACK told (Linux: tcp_fastopen_cache_set).
    fn remember(&mut self, tuple: &Tuple, learnt: Learnt) {
        let key = (tuple.local, tuple.remote);
        if !self.servers.contains_key(&key) {
            if self.order.len() >= SERVERS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.servers.remove(&oldest);
            }
            self.order.push_back(key);
        }
        let server = self.servers.entry(key).or_default();
        server.mss = learnt.mss;
        match learnt.option {
            Some(option) if !option.cookie.is_empty() => server.option = option,
            _ if learnt.attempt > server.attempt
                && server.option.cookie.is_empty()
                && !server.option.experimental =>
            {
                server.attempt = learnt.attempt;
            }
            _ => {}
        }
    }

    /// Forgets all servers.
    pub(crate) fn forget_servers(&mut self) {
        self.servers.clear();
        self.order.clear();
    }

    /// Whether SYNs have to do without, because text in them was swallowed lately.
    pub(super) fn paused(&self, now: Instant, pause: Duration) -> bool {
        let doublings = self.black_holes.saturating_sub(1).min(PAUSE_DOUBLINGS);
        self.black_holes > 0 && now < self.paused_at + pause.saturating_mul(1 << doublings)
    }

    /// A pause is over, or there was none: whether the next attempt shows if the black hole is still there.
    pub(super) fn on_probation(&self) -> bool {
        self.black_holes > 0
    }

    fn met_black_hole(&mut self, now: Instant, pause: Duration) {
        if !pause.is_zero() {
            self.black_holes = self.black_holes.saturating_add(1);
            self.paused_at = now;
        }
    }
}

/// The cookie for a client under a key: SipHash-2-4 of the addresses, the client's first, as the kernel makes it
/// (RFC 7413 4.1.2; Linux: __tcp_fastopen_cookie_gen_cipher). So servers behind one address may share keys whatever stack they run.
pub(super) fn cookie(key: &[u8; 16], tuple: &Tuple) -> Cookie {
    let [k0, k1] = [0, 8].map(|at| {
        let half = key.get(at..at + 8).and_then(|half| half.try_into().ok());
        half.map_or(0, u64::from_le_bytes)
    });
    let hasher = SipHasher24::new_with_keys(k0, k1);
    let hash = match (tuple.remote, tuple.local) {
        (IpAddr::V4(client), IpAddr::V4(server)) => {
            hasher.hash(&[client.octets(), server.octets()].concat())
        }
        (client, server) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            hasher.hash(&[octets(client), octets(server)].concat())
        }
    };
    Cookie::new(&hash.to_le_bytes()).unwrap_or_default()
}

/// A socket's options (tcp(7)).
#[derive(Clone, Debug, Default)]
pub(crate) struct FastOpenSettings {
    /// TCP_FASTOPEN: connections that may be pending at a time.
    pub(super) queue: usize,
    /// TCP_FASTOPEN_CONNECT.
    pub(super) connect: bool,
    /// TCP_FASTOPEN_NO_COOKIE.
    pub(super) no_cookie: bool,
    /// TCP_FASTOPEN_KEY.
    pub(super) keys: Option<FastOpenKeys>,
}

/// What a connection keeps that uses Fast Open, or tried to.
#[derive(Clone, Debug, Default)]
pub(crate) struct FastOpenState {
    /// The option of our first SYN or SYN-ACK; those sent again have none.
    pub(super) option: Option<FastOpenOption>,
    /// Text octets of our first SYN.
    pub(super) text: u32,
    /// connect has returned; the SYN waits for something to be written (TCP_FASTOPEN_CONNECT).
    pub(super) deferred: bool,
    /// A blocked call has more to write as soon as the handshake is through: its segment brings the acknowledgement.
    pub(super) more: bool,
    /// The black hole of before may be gone: this connection shows it.
    pub(super) probation: bool,
    /// Text in a SYN, ours or the peer's, was acknowledged.
    pub(super) acknowledged: bool,
    /// Why it came to nothing.
    pub(super) failure: FastOpenFailure,
    /// The listener that counts this connection as pending.
    pub(super) listener: Option<SocketId>,
    /// It is a passive open.
    pub(super) passive: bool,
    /// accept has returned it.
    pub(super) accepted: bool,
    /// What the SYN-ACK told, on its way to be remembered.
    pub(super) learnt: Option<Learnt>,
    /// A black hole was met.
    pub(super) black_hole: bool,
}

impl Tcb {
    /// A passive open whose handshake goes on and which may send and receive nevertheless.
    pub(crate) fn fast_open_pending(&self) -> bool {
        self.state == State::SynReceived
            && self
                .fast_open
                .as_deref()
                .is_some_and(|state| state.listener.is_some())
    }

    /// The option for the SYN or SYN-ACK that is about to go: the first only.
    pub(super) fn fast_open_option(&self) -> Option<FastOpenOption> {
        let state = self.fast_open.as_deref()?;
        state.option.filter(|_| self.snd.max == self.snd.iss)
    }

    /// Our SYN had text or the option.
    fn fast_open_tried(&self) -> bool {
        self.fast_open
            .as_deref()
            .is_some_and(|state| !state.passive && (state.option.is_some() || state.text > 0))
    }

    /// A retransmission timer has run out after `before` others in a row, the last that was allowed if `over`: middleboxes that do
    /// not like Fast Open swallow what follows too (Linux: tcp_fastopen_active_detect_blackhole; RFC 7413 4.1.3.1).
    pub(super) fn fast_open_timeout(&mut self, before: u32, over: bool) {
        if (before == 2 || (before < 2 && over))
            && self.fast_open_tried()
            && let Some(state) = self.fast_open.as_deref_mut()
        {
            state.black_hole = true;
        }
    }

    /// What the whole life of a connection that ends tells of the path: nothing but an out-of-order FIN means that text was swallowed
    /// (Linux: tcp_fastopen_active_disable_ofo_check).
    fn swallowed(&self) -> bool {
        self.fast_open_tried()
            && self.counts.data_segs_in == 0
            && self.rcv.fin.is_some()
            && !self.rcv.fin_reached()
    }
}

/// What an event of a connection with Fast Open means for its listener, and for later connections.
pub(super) fn settle(stack: &mut Stack, now: Instant, id: SocketId, fate: Fate) {
    let Stack {
        sockets,
        tcp: layer,
        config,
        ..
    } = stack;
    let Some(tcb) = connection::tcb_mut(sockets, id) else {
        return;
    };
    let over = fate != Fate::Keep;
    let swallowed = over && tcb.swallowed();
    let (tuple, pending) = (tcb.tuple, tcb.fast_open_pending() && !over);
    let text_came = tcb.counts.data_segs_in > 0 && !tcb.path.local;
    let Some(state) = tcb.fast_open.as_deref_mut() else {
        return;
    };
    if let Some(learnt) = state.learnt.take() {
        layer.fast_open.remember(&tuple, learnt);
    }
    if std::mem::take(&mut state.black_hole) || swallowed {
        layer.fast_open.met_black_hole(now, config.fast_open_pause);
    } else if over && state.probation && text_came {
        layer.fast_open.black_holes = 0;
    }
    if !pending && let Some(listener) = state.listener.take() {
        let reset = fate == Fate::Failed(Error::ConnectionReset);
        fastopen_server::no_longer_pending(stack, now, listener, reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(local: &str, remote: &str) -> Tuple {
        Tuple {
            local: local.parse().expect("an address"),
            remote: remote.parse().expect("an address"),
            local_port: 80,
            remote_port: 5000,
        }
    }

    #[test]
    fn cookies_are_those_of_the_kernel() {
        let keys = [
            "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4",
            "a0bf63f7-ed803d81-cd641d30-cebc4a90",
        ]
        .map(|text| FastOpenKeys::parse(text).expect("a key"));
        for (key, local, remote, expected) in [
            (0, "192.168.0.1", "192.0.2.1", 0x3021_b9d8_8901_7eeb_u64),
            (
                0,
                "fd3d:a0b:17d6::1",
                "fd3d:fa7b:d17d::1",
                0xc1d1_e974_2a47_a9bc,
            ),
            (1, "192.168.0.2", "10.248.0.2", 0x00ab_aaab_e8e9_54c2),
            (1, "192.168.0.3", "10.248.0.3", 0x76d2_c1c5_30f5_1f79),
        ] {
            let cookie = cookie(&keys[key].primary, &tuple(local, remote));
            assert_eq!(cookie.octets(), expected.to_be_bytes(), "{remote}");
        }
    }

    #[test]
    fn memory_for_servers_is_bounded_and_pauses_double() {
        let config = Config::default();
        let mut rng = rand_chacha::rand_core::SeedableRng::from_seed([1; 32]);
        let mut layer = FastOpenLayer::new(&config, KeyedState::new(&mut rng));
        let learnt = |octet: u8| Learnt {
            mss: 1000,
            option: Some(FastOpenOption {
                cookie: Cookie::new(&[octet; 8]).expect("a cookie"),
                experimental: false,
            }),
            attempt: 0,
        };
        for i in 0..=SERVERS_MAX {
            let remote = IpAddr::from((i as u32).to_be_bytes());
            let tuple = Tuple {
                remote,
                ..tuple("10.0.0.1", "10.0.0.2")
            };
            layer.remember(&tuple, learnt(i as u8));
            layer.remember(&tuple, learnt(i as u8));
            assert_eq!(layer.recall(&tuple).0, Some(1000));
        }
        assert_eq!(
            (layer.servers.len(), layer.order.len()),
            (SERVERS_MAX, SERVERS_MAX)
        );
        assert_eq!(
            layer.recall(&tuple("10.0.0.1", "0.0.0.0")).0,
            None,
            "the oldest went"
        );
        let pause = Duration::from_secs(10);
        let mut now = Instant::from_micros(0);
        for length in [10, 20, 40, 80, 160, 320, 640, 640] {
            assert!(!layer.paused(now, pause));
            layer.met_black_hole(now, pause);
            assert!(layer.paused(now + Duration::from_secs(length - 1), pause));
            now = now + Duration::from_secs(length);
        }
        layer.met_black_hole(now, Duration::ZERO);
        assert!(!layer.paused(now, Duration::ZERO), "switched off");
    }
}
