//! Hosts, network and programs in virtual time: one event after the other, and a look at everything it touched.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};

use tunsock_stack::{Config, Domain, Error, FastOpen, Instant, Kind, SocketId, Stack};

use crate::app::App;
use crate::dice::Dice;
use crate::log::Log;
use crate::net::{Fate, Link, garble};
use crate::packet::{self, VNET};
use crate::plan::{Blow, Hostile, Plan};
use crate::watch::Watch;

/// The port on which every host listens, and that of its datagrams.
pub(crate) const PORT: u16 = 80;
pub(crate) const ECHO: u16 = 7;
/// Virtual time at which every clean connection has to be through.
pub(crate) const LIMIT: u64 = 4 * 3600 * 1_000_000;
/// More events than this in one world are a livelock.
const STEPS_MAX: u64 = 20_000_000;
/// Where virtual time begins.
const BEGIN: u64 = 1_000_000;

/// What happens next.
pub(crate) enum Event {
    Arrive {
        host: usize,
        frame: Vec<u8>,
    },
    Wake {
        host: usize,
        at: u64,
    },
    Turn(usize),
    Start(usize),
    Accept(usize),
    GiveUp(usize),
    Blow(usize, Blow),
    Forge,
    Datagram {
        from: usize,
        to: usize,
    },
    /// Whoever is still there is told to go.
    Curfew,
}

struct Entry {
    at: u64,
    serial: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        (self.at, self.serial) == (other.at, other.serial)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

/// One host.
pub(crate) struct Host {
    pub(crate) stack: Stack,
    pub(crate) link: Link,
    /// Its clock is ahead of the network's by this.
    pub(crate) ahead: u64,
    pub(crate) vanished: bool,
    pub(crate) listener: SocketId,
    pub(crate) echo: SocketId,
    pub(crate) apps: HashMap<SocketId, usize>,
    wake: Option<u64>,
}

/// A world.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) now: u64,
    pub(crate) hosts: Vec<Host>,
    /// Two for each connection: the opener's, the other's.
    pub(crate) apps: Vec<App>,
    pub(crate) watch: Watch,
    /// SYNs from nowhere are about.
    flooded: bool,
    pub(crate) log: Log,
    pub(crate) dice: Dice,
    pub(crate) steps: u64,
    /// Packets whose text went straight into a program's buffer.
    pub(crate) placed: u64,
    pub(crate) packets: u64,
    /// An audit after every so many steps.
    pub(crate) audit_every: u64,
    /// Connections that both ends saw established.
    pub(crate) accepted: u64,
    heap: BinaryHeap<Reverse<Entry>>,
    serial: u64,
    /// From what accept tells to the connection.
    pub(crate) expected: HashMap<(SocketAddr, usize), usize>,
    /// Directions to whose sender something was promised: to the program.
    pub(crate) promised: HashMap<(SocketAddr, SocketAddr), usize>,
    pub(crate) scratch: Vec<u8>,
    cuts: Vec<Vec<u8>>,
}

/// A host's address.
pub(crate) fn address(host: usize, v6: bool) -> IpAddr {
    if v6 {
        IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, host as u16 + 1])
    } else {
        IpAddr::from([10, 1, (host / 250) as u8, (host % 250) as u8 + 1])
    }
}

/// Whose address this is, of `hosts`.
fn host_of(ip: IpAddr, hosts: usize) -> Option<usize> {
    let at = match ip {
        IpAddr::V4(a) => {
            let [.., high, low] = a.octets();
            (usize::from(high) * 250 + usize::from(low)).wrapping_sub(1)
        }
        IpAddr::V6(a) => usize::from(a.segments()[7]).wrapping_sub(1),
    };
    (at < hosts).then_some(at)
}

/// Whether SYN cookies may come into play.
pub(crate) fn floods(plan: &Plan) -> bool {
    plan.blows
        .iter()
        .any(|(.., blow)| matches!(blow, Blow::Flood(_)))
}

/// Whether servers take data in SYNs, so that a SYN that comes twice may open something twice (RFC 7413 6.1).
pub(crate) fn repeats(plan: &Plan) -> bool {
    plan.hosts
        .iter()
        .any(|host| host.fast_open.contains(FastOpen::SERVER))
}

fn make_host(plan: &Plan, seed: u64, index: usize) -> Result<Host, Error> {
    let host = &plan.hosts[index];
    let mut key = [index as u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let net = |ip: IpAddr, len: u8| format!("{ip}/{len}").parse().ok();
    let config = Config {
        addrs: [
            net(address(index, false), 16),
            net(address(index, true), 64),
        ]
        .into_iter()
        .flatten()
        .collect(),
        mtu: host.mtu,
        offload: host.offload,
        seed: key,
        congestion: host.congestion,
        tcp_wmem: host.tcp_wmem,
        tcp_rmem: host.tcp_rmem,
        tcp_mem: host.tcp_mem,
        fast_open: host.fast_open,
        ..Config::default()
    };
    let now = Instant::from_micros(BEGIN);
    let mut stack = Stack::new(config, now);
    let any = |port| SocketAddr::new(IpAddr::from([0u16; 8]), port);
    let listener = stack.socket(Domain::V6, Kind::Stream)?;
    stack.bind(listener, any(PORT))?;
    stack.listen(now, listener, host.backlog)?;
    let echo = stack.socket(Domain::V6, Kind::Datagram)?;
    stack.bind(echo, any(ECHO))?;
    Ok(Host {
        stack,
        link: Link::new(host.link.clone(), 65_535),
        ahead: 0,
        vanished: false,
        listener,
        echo,
        apps: HashMap::new(),
        wake: None,
    })
}

impl World {
    /// The world of a plan, before anything has happened.
    pub(crate) fn new(seed: u64, plan: Plan, log: Log) -> Result<World, String> {
        let hosts: Result<Vec<Host>, Error> = (0..plan.hosts.len())
            .map(|i| make_host(&plan, seed, i))
            .collect();
        let mut world = World {
            now: BEGIN,
            hosts: hosts.map_err(|e| format!("a host cannot be set up: {e:?}"))?,
            apps: Vec::new(),
            watch: Watch::new(
                matches!(plan.hostile, Hostile::Liar | Hostile::Ruin),
                plan.hostile != Hostile::Nobody,
            ),
            flooded: floods(&plan),
            log,
            dice: Dice::new(seed, 2),
            steps: 0,
            packets: 0,
            placed: 0,
            audit_every: 1,
            accepted: 0,
            heap: BinaryHeap::new(),
            serial: 0,
            expected: HashMap::new(),
            promised: HashMap::new(),
            scratch: Vec::new(),
            cuts: Vec::new(),
            plan,
        };
        for i in 0..world.plan.conns.len() {
            let conn = world.plan.conns[i].clone();
            let keys = [seed ^ (i as u64) << 32, !seed ^ (i as u64) << 32];
            let [a, b] = conn.sides;
            world.apps.push(App::new(a, conn.hosts[0], keys));
            world
                .apps
                .push(App::new(b, conn.hosts[1], [keys[1], keys[0]]));
            world.after(conn.at, Event::Start(2 * i));
            if conn.simultaneous {
                world.after(conn.at, Event::Start(2 * i + 1));
            }
        }
        for at in world.plan.forgeries.clone() {
            world.after(at, Event::Forge);
        }
        for (at, from, to) in world.plan.datagrams.clone() {
            world.after(at, Event::Datagram { from, to });
        }
        for (at, host, blow) in world.plan.blows.clone() {
            world.after(at, Event::Blow(host, blow));
        }
        world.after(LIMIT, Event::Curfew);
        Ok(world)
    }

    /// Lets `event` happen `us` microseconds from now.
    pub(crate) fn after(&mut self, us: u64, event: Event) {
        self.serial += 1;
        let entry = Entry {
            at: self.now.saturating_add(us),
            serial: self.serial,
            event,
        };
        self.heap.push(Reverse(entry));
    }

    /// Events until none is left.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        while let Some(Reverse(entry)) = self.heap.pop() {
            self.now = self.now.max(entry.at);
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err("livelock: the world does not come to rest".into());
            }
            self.happen(entry.event)?;
        }
        Ok(())
    }

    /// The host's clock.
    pub(crate) fn clock(&self, host: usize) -> Instant {
        Instant::from_micros(self.now + self.hosts[host].ahead)
    }

    /// Offers the frame to whoever of the host's programs could be waiting for it with a buffer.
    fn arrives_in_place(&mut self, host: usize, frame: &[u8]) -> Result<bool, String> {
        let mut apps: Vec<usize> = self.hosts[host].apps.values().copied().collect();
        apps.sort_unstable();
        for app in apps {
            if self.with_app(app, |me, turn| me.read_in_place(turn, frame))? {
                self.placed += 1;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Arrive { host, frame } => {
                if self.hosts[host].vanished {
                    return Ok(());
                }
                if self.steps.is_multiple_of(3) && self.arrives_in_place(host, &frame)? {
                    return self.settle(host);
                }
                let clock = self.clock(host);
                let len = frame.len();
                let mut buffer = frame.into_boxed_slice();
                let stack = &mut self.hosts[host].stack;
                stack.handle_buffer(clock, &mut buffer, len);
                self.settle(host)
            }
            Event::Wake { host, at } => {
                if self.hosts[host].wake != Some(at) {
                    return Ok(());
                }
                self.hosts[host].wake = None;
                let clock = self.clock(host);
                self.hosts[host].stack.handle_timers(clock);
                self.settle(host)
            }
            Event::Turn(app) => {
                self.turn(app)?;
                self.settle(self.apps[app].host)
            }
            Event::Start(app) => {
                self.start(app)?;
                self.settle(self.apps[app].host)
            }
            Event::Accept(host) => {
                self.accept(host)?;
                self.settle(host)
            }
            Event::GiveUp(app) => {
                self.give_up(app, false);
                self.settle(self.apps[app].host)
            }
            Event::Blow(host, blow) => {
                self.blow(host, blow);
                self.settle(host)
            }
            Event::Forge => {
                self.forge();
                Ok(())
            }
            Event::Datagram { from, to } => {
                self.datagram(from, to)?;
                self.settle(from)
            }
            Event::Curfew => self.curfew(),
        }
    }

    fn blow(&mut self, host: usize, blow: Blow) {
        self.log.note(self.now, || format!("h{host}: {blow:?}"));
        if let Blow::Flood(syns) = blow {
            self.flood(host, syns);
        }
        let now = self.now;
        let host = &mut self.hosts[host];
        match blow {
            Blow::Flood(_) => {}
            Blow::Mtu(mtu) => host.link.mtu = mtu,
            Blow::Vanish => host.vanished = true,
            Blow::Clock(by) => host.ahead += by,
            Blow::Outage(us) => host.link.down_until = now + us,
        }
    }

    /// Sends, wakes and lets programs act until a host has nothing more to do; then looks at it.
    pub(crate) fn settle(&mut self, host: usize) -> Result<(), String> {
        for _ in 0..1_000_000 {
            self.transmit(host)?;
            let mut acted = false;
            while let Some((id, ready)) = self.hosts[host].stack.poll_event() {
                self.on_event(host, id, ready)?;
                acted = true;
            }
            if !acted {
                self.rearm(host);
                return self.look(host);
            }
        }
        Err(format!("h{host} does not come to rest"))
    }

    /// An audit of the host, now and then.
    fn look(&mut self, host: usize) -> Result<(), String> {
        if !self.steps.is_multiple_of(self.audit_every) {
            return Ok(());
        }
        self.judge_unsent(host)?;
        self.hosts[host]
            .stack
            .audit()
            .map_err(|e| format!("h{host}: {e}"))
    }

    fn rearm(&mut self, host: usize) {
        let (now, h) = (self.now, &mut self.hosts[host]);
        let at = h
            .stack
            .next_deadline()
            .map(|at| at.as_micros().saturating_sub(h.ahead).max(now));
        if let Some(at) = at
            && h.wake.is_none_or(|armed| at < armed)
        {
            h.wake = Some(at);
            self.after(at - now, Event::Wake { host, at });
        }
    }

    /// Takes every frame that the host has.
    fn transmit(&mut self, host: usize) -> Result<(), String> {
        let clock = self.clock(host);
        let mut frames = Vec::new();
        self.hosts[host].stack.transmit(clock, &mut |parts| {
            let mut frame = Vec::with_capacity(parts.iter().map(|p| p.len()).sum());
            parts.iter().for_each(|part| frame.extend_from_slice(part));
            frames.push(frame);
        });
        for frame in frames {
            self.judge_frame(host, &frame)
                .map_err(|e| format!("h{host} sends {}: {e}", packet::describe(&frame[VNET..])))?;
            if self.hosts[host].vanished {
                continue;
            }
            if self.hosts[host].link.plan.whole {
                self.launch(host, frame);
            } else {
                let mut cuts = std::mem::take(&mut self.cuts);
                packet::cut(frame, &mut cuts);
                for piece in cuts.drain(..) {
                    self.launch(host, piece);
                }
                self.cuts = cuts;
            }
        }
        Ok(())
    }

    /// What no stack may send.
    fn judge_frame(&mut self, host: usize, frame: &[u8]) -> Result<(), String> {
        self.packets += 1;
        let packet = frame
            .get(VNET..)
            .ok_or("shorter than its virtio-net header")?;
        let mtu = self.plan.hosts[host].mtu as usize;
        if packet::size_on_path(frame) > mtu {
            return Err(format!(
                "{} octets, the device carries {mtu}",
                packet::size_on_path(frame)
            ));
        }
        let view = packet::view(packet).ok_or("no IP packet")?;
        let plain = frame[0] & 1 == 0 && !view.fragment;
        if plain && matches!(view.proto, 6 | 17 | 58) && packet::transport_sum(&view) != 0 {
            return Err("wrong checksum".into());
        }
        if view.proto == 6 && !view.fragment {
            let t = packet::tcp(view.payload).ok_or("no TCP header")?;
            let (src, dst) = (
                SocketAddr::new(view.src, t.src_port),
                SocketAddr::new(view.dst, t.dst_port),
            );
            let strange = self.flooded
                && [Some(host), host_of(view.dst, self.hosts.len())]
                    .into_iter()
                    .flatten()
                    .any(|host| self.cookies(host));
            let at = self.watch.sent(src, dst, &t, strange)?;
            let d = &self.watch.directions[at];
            if d.sent > 200_000 + d.text / 10 {
                return Err(format!(
                    "{} segments for {} octets: a storm",
                    d.sent, d.text
                ));
            }
            if let Some(isn) = d.isn {
                self.judge_promises(host, src, dst, &t, isn)?;
            }
        }
        Ok(())
    }

    /// Gives a frame to the uplink of `from`.
    pub(crate) fn launch(&mut self, from: usize, frame: Vec<u8>) {
        let fate = self.hosts[from]
            .link
            .carry(&mut self.dice, self.now, &frame);
        self.log.frame(self.now, from, &frame, &fate);
        match fate {
            Fate::Arrive(at, garbled) => {
                let mut frame = frame;
                if garbled {
                    frame = self.garbled(frame);
                }
                self.deliver(at, frame, garbled);
            }
            Fate::Twice(first, second) => {
                self.deliver(first, frame.clone(), false);
                self.deliver(second, frame, false);
            }
            Fate::Lost(_) => self.count_loss(&frame),
            Fate::TooBig(told) => {
                self.count_loss(&frame);
                let df = packet::view(&frame[VNET..]).is_some_and(|v| v.df);
                let mtu = self.hosts[from].link.mtu;
                if told
                    && df
                    && let Some(answer) = packet::too_big(&frame[VNET..], mtu)
                {
                    let delay = self.hosts[from].link.plan.delay;
                    self.deliver(self.now + delay, answer, false);
                }
            }
        }
    }

    fn garbled(&mut self, frame: Vec<u8>) -> Vec<u8> {
        self.count_loss(&frame);
        let mut pieces = Vec::new();
        packet::cut(frame, &mut pieces);
        let mut frame = pieces.swap_remove(0);
        garble(&mut self.dice, &mut frame);
        frame
    }

    fn count_loss(&mut self, frame: &[u8]) {
        if let Some((src, dst)) = ends_of(frame) {
            self.watch.lost(src, dst);
        }
    }

    /// Lets a frame arrive where it is addressed to.
    pub(crate) fn deliver(&mut self, at: u64, frame: Vec<u8>, garbled: bool) {
        let Some(view) = packet::view(&frame[VNET..]) else {
            return;
        };
        let Some(host) = host_of(view.dst, self.hosts.len()) else {
            return;
        };
        self.note_cause(&frame, garbled);
        self.after(at.saturating_sub(self.now), Event::Arrive { host, frame });
    }

    /// Remembers what may explain an error at the receiver.
    fn note_cause(&mut self, frame: &[u8], garbled: bool) {
        let Some(view) = packet::view(&frame[VNET..]) else {
            return;
        };
        if view.proto == 6
            && !garbled
            && let Some(t) = packet::tcp(view.payload).filter(|_| !view.fragment)
        {
            let (src, dst) = (
                SocketAddr::new(view.src, t.src_port),
                SocketAddr::new(view.dst, t.dst_port),
            );
            self.watch.arrives(src, dst, &t);
            if t.has(packet::RST) {
                let at = self.watch.find(dst, src);
                self.watch.directions[at].resets += 1;
            }
        }
        if matches!(view.proto, 1 | 58)
            && let Some(inner) = view.payload.get(8..).and_then(packet::view)
            && inner.proto == 6
            && let Some(t) = packet::tcp(inner.payload)
        {
            let (src, dst) = (
                SocketAddr::new(inner.src, t.src_port),
                SocketAddr::new(inner.dst, t.dst_port),
            );
            let at = self.watch.find(src, dst);
            self.watch.directions[at].errors += 1;
        }
    }
}

/// The ends of a segment's connection; `None`: it is none, or a part of one.
fn ends_of(frame: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let view = packet::view(frame.get(VNET..)?)?;
    let t = packet::tcp(view.payload).filter(|_| view.proto == 6 && !view.fragment)?;
    let src = SocketAddr::new(view.src, t.src_port);
    Some((src, SocketAddr::new(view.dst, t.dst_port)))
}
