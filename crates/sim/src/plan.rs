//! What happens in one world, drawn from its seed before anything runs.

use tunsock_stack::{Config, CongestionControl, FastOpen, Offload};

use crate::dice::Dice;
use crate::extras;

/// One world.
pub(crate) struct Plan {
    pub(crate) hosts: Vec<HostPlan>,
    pub(crate) conns: Vec<ConnPlan>,
    pub(crate) hostile: Hostile,
    /// Forged packets at these times, microseconds.
    pub(crate) forgeries: Vec<u64>,
    /// Datagrams beside: when, from, to.
    pub(crate) datagrams: Vec<(u64, usize, usize)>,
    /// What befalls hosts: when, which, what.
    pub(crate) blows: Vec<(u64, usize, Blow)>,
}

/// Who else is on the network.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Hostile {
    /// Nobody.
    Nobody,
    /// Somebody who knows addresses, ports and roughly where the window is, but sees nothing (RFC 5961): may do no harm at all.
    Blind,
    /// Somebody on the path who lies about windows and SACK blocks: streams still have to arrive.
    Liar,
    /// Somebody on the path who does anything: connections may be lost, nothing else.
    Ruin,
}

/// What may befall a host.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Blow {
    /// The path from it carries packets of at most this many octets from now on.
    Mtu(u32),
    /// It is never heard of again.
    Vanish,
    /// Its clock leaps ahead by this much, microseconds.
    Clock(u64),
    /// Nothing leaves it for this long, microseconds.
    Outage(u64),
    /// So many SYNs from nowhere arrive at once.
    Flood(u32),
}

/// One host and its uplink.
#[derive(Clone, Debug)]
pub(crate) struct HostPlan {
    pub(crate) offload: Offload,
    pub(crate) congestion: CongestionControl,
    /// Buffers: least, at first, at most; and of all connections together (Config's fields of these names).
    pub(crate) tcp_wmem: [usize; 3],
    pub(crate) tcp_rmem: [usize; 3],
    pub(crate) tcp_mem: [usize; 3],
    pub(crate) mtu: u32,
    pub(crate) backlog: usize,
    pub(crate) fast_open: FastOpen,
    /// Connections wait so long to be accepted, microseconds.
    pub(crate) accept_pause: Option<u64>,
    pub(crate) link: LinkPlan,
}

/// What the way from a host does to its packets. Probabilities in parts per million, times in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkPlan {
    pub(crate) loss: u32,
    /// Gilbert-Elliott: into the bad state, out of it, loss within it.
    pub(crate) burst: Option<(u32, u32, u32)>,
    pub(crate) delay: u64,
    pub(crate) jitter: u64,
    /// Jitter does not let packets overtake one another.
    pub(crate) in_order: bool,
    /// So many are delayed further, by this much.
    pub(crate) reorder: (u32, u64),
    pub(crate) duplicate: u32,
    pub(crate) corrupt: u32,
    /// Octets per second, 0: any.
    pub(crate) rate: u64,
    /// The queue before the rate holds so many microseconds' worth.
    pub(crate) queue: u64,
    /// Whether packets that do not fit are answered; else the path is a black hole for them.
    pub(crate) icmp: bool,
    /// Super-segments travel whole, as between two devices that know them.
    pub(crate) whole: bool,
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct ConnPlan {
    pub(crate) at: u64,
    /// The opener's and the other's host.
    pub(crate) hosts: [usize; 2],
    pub(crate) v6: bool,
    /// An IPv4 address through an IPv6 socket.
    pub(crate) mapped: bool,
    /// Both sides connect.
    pub(crate) simultaneous: bool,
    /// How it is opened.
    pub(crate) opening: Opening,
    pub(crate) sides: [SidePlan; 2],
    /// The opener's port, when it is bound. Then the connection of this number comes first, from the same port to the same host.
    pub(crate) port: Option<u16>,
    pub(crate) follows: Option<usize>,
    /// Both sides end in order and lose nothing.
    pub(crate) clean: bool,
}

/// How a connection is opened.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Opening {
    /// connect.
    Connect,
    /// sendto with MSG_FASTOPEN.
    Fast,
    /// connect after TCP_FASTOPEN_CONNECT, then send.
    Deferred,
}

/// What one program does with its end.
#[derive(Clone, Debug)]
pub(crate) struct SidePlan {
    /// Octets to send.
    pub(crate) bytes: u64,
    pub(crate) write: Pace,
    pub(crate) read: Pace,
    pub(crate) ending: Ending,
    /// Closes come what may after this long, microseconds.
    pub(crate) patience: Option<u64>,
    pub(crate) nodelay: bool,
    pub(crate) keepalive: bool,
    pub(crate) inline: bool,
    pub(crate) peek: bool,
    pub(crate) more: bool,
    /// A share of the writes that ends with an urgent octet, percent.
    pub(crate) urgent: u32,
    pub(crate) linger: Option<u64>,
    pub(crate) sndbuf: Option<usize>,
    pub(crate) rcvbuf: Option<usize>,
    pub(crate) max_seg: Option<u32>,
    /// A share of the writes that ends a record (MSG_EOR), percent.
    pub(crate) records: u32,
    /// Writes with MSG_ZEROCOPY, and reads the receipts.
    pub(crate) zerocopy: bool,
    /// TCP_NOTSENT_LOWAT.
    pub(crate) unsent: Option<u32>,
    /// SO_MAX_PACING_RATE, octets a second.
    pub(crate) rate: Option<u64>,
}

/// How large the calls are, and how long the program does something else after so many octets.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Pace {
    pub(crate) chunk: usize,
    pub(crate) pause: Option<(u64, u64)>,
}

/// How a program ends its connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// shutdown(SHUT_WR) after the last octet, reads to the end, closes.
    HalfClose,
    /// Reads to the end, sends everything, closes.
    CloseAtEof,
    /// Closes right after the last octet.
    CloseAfterSend,
    /// Closes with a reset (SO_LINGER zero) when it has received or sent this much.
    Abort(u64),
    /// Closes when it has read this much, whatever is unread.
    CloseEarly(u64),
    /// connect(AF_UNSPEC) when it has received or sent this much.
    Disconnect(u64),
    /// SHUT_RD at the beginning, then as `HalfClose`.
    ShutRead,
    /// Never reads.
    Deaf,
}

/// Draws a world.
pub(crate) fn draw(seed: u64) -> Plan {
    let mut dice = Dice::new(seed, 1);
    let d = &mut dice;
    let count = match d.below(10) {
        0..=5 => 2,
        6..=7 => d.range(3, 6),
        8 => d.range(7, 20),
        _ => d.range(20, 50),
    } as usize;
    let weather = weather(d);
    let hosts: Vec<HostPlan> = (0..count).map(|_| host(d, &weather)).collect();
    let hostile = match d.below(20) {
        0..=1 => Hostile::Blind,
        2..=3 => Hostile::Liar,
        4 => Hostile::Ruin,
        _ => Hostile::Nobody,
    };
    let wild = d.percent(60);
    let lossy = weather.loss > 20_000 || weather.burst.is_some() || weather.rate != 0;
    let n = (count as u64 * d.range(2, 8)).min(120).max(d.range(1, 30));
    let span = d.spread(1_000, 20_000_000);
    let mut conns: Vec<ConnPlan> = (0..n).map(|_| conn(d, count, span, wild, lossy)).collect();
    if d.percent(15) {
        chain(d, &mut conns);
    }
    let mut hosts = hosts;
    fast_open(seed, hostile, &mut hosts, &mut conns);
    extras::draw(seed, &mut hosts, &mut conns);
    let blows = blows(d, count, span);
    let forgeries = match hostile {
        Hostile::Nobody => Vec::new(),
        _ => (0..d.range(20, 400))
            .map(|_| d.below(2 * span + 5_000_000))
            .collect(),
    };
    let datagrams = if d.percent(30) { d.range(1, 60) } else { 0 };
    let datagrams = (0..datagrams)
        .map(|_| {
            (
                d.below(span),
                d.below(count as u64) as usize,
                d.below(count as u64) as usize,
            )
        })
        .collect();
    Plan {
        hosts,
        conns,
        hostile,
        forgeries,
        datagrams,
        blows,
    }
}

/// In some worlds Fast Open is about. Drawn apart, so that the others are what they were.
fn fast_open(seed: u64, hostile: Hostile, hosts: &mut [HostPlan], conns: &mut [ConnPlan]) {
    let d = &mut Dice::new(seed, 5);
    if !d.percent(40) {
        return;
    }
    let both = FastOpen::CLIENT | FastOpen::SERVER | FastOpen::EVERY_LISTENER;
    // Without cookies anybody opens anything.
    let bare = hostile == Hostile::Nobody && d.percent(30);
    for host in hosts {
        host.fast_open = both;
        if bare {
            host.fast_open |= FastOpen::CLIENT_NO_COOKIE | FastOpen::SERVER_NO_COOKIE;
        } else if d.percent(15) {
            host.fast_open = FastOpen::CLIENT;
        }
    }
    for conn in conns {
        conn.opening = d.pick(&[
            Opening::Connect,
            Opening::Fast,
            Opening::Fast,
            Opening::Deferred,
        ]);
    }
}

/// What the network is like: each host's uplink is like this.
fn weather(d: &mut Dice) -> LinkPlan {
    let mut link = LinkPlan {
        delay: d.spread(10, 150_000),
        icmp: true,
        in_order: true,
        whole: d.percent(50),
        ..LinkPlan::default()
    };
    if d.percent(15) {
        return link;
    }
    if d.percent(50) {
        link.loss = d.spread(100, 80_000) as u32;
    }
    if d.percent(15) {
        link.burst = Some((
            d.spread(500, 20_000) as u32,
            d.spread(50_000, 500_000) as u32,
            d.range(300_000, 1_000_000) as u32,
        ));
    }
    if d.percent(50) {
        link.jitter = d.spread(10, 50_000);
        link.in_order = d.percent(50);
    }
    if d.percent(40) {
        link.reorder = (d.spread(1_000, 200_000) as u32, d.spread(10, 100_000));
    }
    if d.percent(40) {
        link.duplicate = d.spread(1_000, 100_000) as u32;
    }
    if d.percent(40) {
        link.corrupt = d.spread(1_000, 50_000) as u32;
    }
    if d.percent(20) {
        link.rate = d.spread(50_000, 12_500_000);
        link.queue = d.spread(20_000, 1_000_000);
    }
    link.icmp = !d.percent(5);
    link
}

fn host(d: &mut Dice, weather: &LinkPlan) -> HostPlan {
    let offload = match d.below(4) {
        0 => Offload {
            csum: true,
            tso4: true,
            tso6: true,
        },
        1 => Offload {
            csum: true,
            ..Offload::default()
        },
        _ => Offload::default(),
    };
    let small = d.percent(25);
    let buffer = |d: &mut Dice| {
        if small {
            d.spread(512, 32_768) as usize
        } else {
            d.spread(65_536, 4 << 20) as usize
        }
    };
    let congestion = d.pick(&[
        CongestionControl::Cubic,
        CongestionControl::Cubic,
        CongestionControl::Reno,
        CongestionControl::Bbr,
    ]);
    let (sndbuf, rcvbuf) = (buffer(d), buffer(d));
    HostPlan {
        offload,
        congestion,
        tcp_wmem: [4096, sndbuf, sndbuf.max(4 << 20)],
        tcp_rmem: [4096, rcvbuf, rcvbuf.max(6 << 20)],
        tcp_mem: Config::default().tcp_mem,
        mtu: d.pick(&[1500, 1500, 1500, 1500, 1280, 9000, 1400, 65_535]),
        backlog: if d.percent(10) {
            d.below(6) as usize
        } else {
            200
        },
        fast_open: FastOpen::default(),
        accept_pause: d.percent(10).then(|| d.spread(100, 3_000_000)),
        link: LinkPlan {
            icmp: weather.icmp,
            ..weather.clone()
        },
    }
}

fn blows(d: &mut Dice, hosts: usize, span: u64) -> Vec<(u64, usize, Blow)> {
    let mut out = Vec::new();
    let mut add = |d: &mut Dice, blow: Blow| {
        let at = d.below(span + 3_000_000);
        out.push((at, d.below(hosts as u64) as usize, blow));
    };
    if d.percent(25) {
        for _ in 0..d.range(1, 4) {
            let mtu = d.pick(&[1280, 1300, 1400, 1480, 1492, 1500]);
            add(d, Blow::Mtu(mtu));
        }
    }
    if d.percent(8) {
        add(d, Blow::Vanish);
    }
    if d.percent(15) {
        for _ in 0..d.range(1, 3) {
            let by = d.spread(1_000, 3_600_000_000);
            add(d, Blow::Clock(by));
        }
    }
    if d.percent(10) {
        let outage = d.spread(100_000, 30_000_000);
        add(d, Blow::Outage(outage));
    }
    if d.percent(5) {
        let syns = d.range(50, 500) as u32;
        add(d, Blow::Flood(syns));
    }
    out
}

fn amount(d: &mut Dice, lossy: bool) -> u64 {
    match d.below(100) {
        0..=14 => 0,
        15..=39 => d.range(1, 200),
        40..=79 => d.spread(200, 10_000),
        80..=96 => d.spread(10_000, 200_000),
        _ if lossy => d.spread(10_000, 200_000),
        _ => d.spread(200_000, 2_000_000),
    }
}

fn conn(d: &mut Dice, hosts: usize, span: u64, wild: bool, lossy: bool) -> ConnPlan {
    let opener = d.below(hosts as u64) as usize;
    // Now and then to itself: over the stack's own loopback.
    let other = if d.percent(3) {
        opener
    } else {
        (opener + 1 + d.below(hosts as u64 - 1) as usize) % hosts
    };
    let v6 = d.percent(40);
    let clean = !wild || d.percent(60);
    let mut sides = [side(d, lossy), side(d, lossy)];
    if clean {
        let (a, b) = match d.below(6) {
            0 | 1 => (Ending::HalfClose, Ending::HalfClose),
            2 => (Ending::HalfClose, Ending::CloseAtEof),
            3 => (Ending::CloseAtEof, Ending::HalfClose),
            4 => (Ending::CloseAfterSend, Ending::CloseAtEof),
            _ => (Ending::CloseAtEof, Ending::CloseAfterSend),
        };
        (sides[0].ending, sides[1].ending) = (a, b);
        for i in 0..2 {
            if sides[i].ending == Ending::CloseAfterSend {
                // Nothing may come for one who has gone.
                sides[1 - i].bytes = 0;
                if d.percent(30) {
                    sides[i].linger = Some(d.spread(100_000, 20_000_000));
                }
            }
        }
    } else {
        for side in &mut sides {
            side.ending = rough(d);
            side.patience = Some(d.spread(10_000, 300_000_000));
        }
    }
    ConnPlan {
        at: d.below(span),
        hosts: [opener, other],
        v6,
        mapped: !v6 && d.percent(15),
        simultaneous: opener != other && d.percent(5),
        opening: Opening::Connect,
        sides,
        port: None,
        follows: None,
        clean,
    }
}

/// Lets some connections come one after the other over the same ports, as soon as the last one allows.
fn chain(d: &mut Dice, conns: &mut [ConnPlan]) {
    for i in 1..conns.len() {
        if !d.percent(40) {
            continue;
        }
        let first = conns[i - 1].clone();
        let port = first.port.unwrap_or(20_000 + i as u16);
        conns[i] = ConnPlan {
            hosts: first.hosts,
            v6: first.v6,
            at: first.at,
            port: Some(port),
            follows: Some(i - 1),
            ..conns[i].clone()
        };
        conns[i - 1].port = Some(port);
        for conn in &mut conns[i - 1..=i] {
            conn.simultaneous = false;
            conn.mapped = false;
        }
    }
}

fn rough(d: &mut Dice) -> Ending {
    let after = match d.below(3) {
        0 => 0,
        1 => d.spread(1, 1_000),
        _ => d.spread(1_000, 100_000),
    };
    match d.below(12) {
        0 | 1 => Ending::HalfClose,
        2 => Ending::CloseAtEof,
        3 | 4 => Ending::CloseAfterSend,
        5 | 6 => Ending::Abort(after),
        7 | 8 => Ending::CloseEarly(after),
        9 => Ending::Disconnect(after),
        10 => Ending::ShutRead,
        _ => Ending::Deaf,
    }
}

fn side(d: &mut Dice, lossy: bool) -> SidePlan {
    let pace = |d: &mut Dice| Pace {
        chunk: d.spread(16, 65_536) as usize,
        pause: d
            .percent(25)
            .then(|| (d.spread(500, 65_536), d.spread(100, 3_000_000))),
    };
    let tiny = d.percent(10);
    SidePlan {
        bytes: amount(d, lossy),
        write: pace(d),
        read: pace(d),
        ending: Ending::HalfClose,
        patience: None,
        nodelay: d.percent(40),
        keepalive: d.percent(15),
        inline: d.percent(30),
        peek: d.percent(10),
        more: d.percent(10),
        urgent: if d.percent(8) {
            d.range(1, 40) as u32
        } else {
            0
        },
        linger: None,
        sndbuf: (tiny || d.percent(5)).then(|| d.spread(1, 20_000) as usize),
        rcvbuf: (tiny || d.percent(5)).then(|| d.spread(1, 20_000) as usize),
        max_seg: d.percent(5).then(|| d.range(88, 1_500) as u32),
        records: 0,
        zerocopy: false,
        unsent: None,
        rate: None,
    }
}
