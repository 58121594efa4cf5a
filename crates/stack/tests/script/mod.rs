//! A stack alone with a hand-made peer: segments in, expected segments out, expected silence, each at a virtual millisecond.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses its part

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tunsock_stack::*;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;
pub const URG: u8 = 32;
pub const ECE: u8 = 64;
pub const CWR: u8 = 128;

/// The stack's address and the peer's.
pub const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// A segment as the scripts see it: sequence numbers relative to the initial ones, once those are known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seg {
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
    pub urgent: u16,
    pub options: Vec<u8>,
    pub data: Vec<u8>,
    /// TOS of the packet.
    pub tos: u8,
}

pub fn seg(flags: u8, seq: u32, ack: u32, data: &[u8]) -> Seg {
    Seg {
        flags,
        seq,
        ack,
        window: 65_535,
        data: data.to_vec(),
        ..Seg::default()
    }
}

impl Seg {
    pub fn window(self, window: u16) -> Seg {
        Seg { window, ..self }
    }
    pub fn urgent(self, urgent: u16) -> Seg {
        Seg { urgent, ..self }
    }
    pub fn options(self, options: &[u8]) -> Seg {
        Seg {
            options: options.to_vec(),
            ..self
        }
    }
    pub fn tos(self, tos: u8) -> Seg {
        Seg { tos, ..self }
    }
    /// The body of the option `kind`.
    pub fn option(&self, kind: u8) -> Option<&[u8]> {
        let mut rest = &self.options[..];
        while let [k, tail @ ..] = rest {
            match *k {
                0 => return None,
                1 => rest = tail,
                k => {
                    let len = usize::from(*tail.first()?);
                    if k == kind {
                        return rest.get(2..len);
                    }
                    rest = rest.get(len..)?;
                }
            }
        }
        None
    }
}

/// Timestamps option.
pub fn ts(val: u32, ecr: u32) -> Vec<u8> {
    let mut out = vec![1, 1, 8, 10];
    out.extend(val.to_be_bytes());
    out.extend(ecr.to_be_bytes());
    out
}

/// The stack, and the peer's notion of one connection.
pub struct Script {
    pub stack: Stack,
    /// TOS of the peer's packets.
    pub tos: u8,
    pub now: Instant,
    pub us_port: u16,
    pub peer_port: u16,
    /// Our stack's initial sequence number, once its SYN was seen.
    pub iss: u32,
    /// The peer's.
    pub irs: u32,
    /// What the peer's packets say about who sent them and to whom.
    pub from: Ipv4Addr,
    pub to: Ipv4Addr,
    /// IPv4 options of the peer's packets, a multiple of four octets.
    pub ip_options: Vec<u8>,
    /// IPv4 header of the last packet that the stack sent.
    pub last_ip: Vec<u8>,
    out: VecDeque<(Instant, Seg)>,
}

fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0)))
        .sum()
}

fn fold(mut s: u32) -> u16 {
    while s > 0xffff {
        s = (s & 0xffff) + (s >> 16);
    }
    !(s as u16)
}

impl Script {
    pub fn new() -> Script {
        Script::with(Config::default())
    }

    pub fn with(config: Config) -> Script {
        let config = Config {
            addrs: vec!["10.0.0.1/24".parse().expect("prefix")],
            seed: [7; 32],
            ..config
        };
        let now = Instant::from_micros(10_000_000);
        Script {
            stack: Stack::new(config, now),
            tos: 0,
            now,
            us_port: 0,
            peer_port: 5000,
            iss: 0,
            irs: 0xffff_ff00, // so that every script crosses the wrap soon
            from: PEER,
            to: US,
            ip_options: Vec::new(),
            last_ip: Vec::new(),
            out: VecDeque::new(),
        }
    }

    /// The peer sends.
    #[track_caller]
    pub fn inject(&mut self, seg: Seg) {
        self.tos = seg.tos;
        self.take(seg);
        self.collect();
    }

    /// The peer sends, and the stack is not yet asked what it has to say.
    pub fn take(&mut self, seg: Seg) {
        let tcp = self.segment(seg);
        self.packet(6, &tcp);
    }

    /// The octets of a segment of the peer's.
    pub fn segment(&self, seg: Seg) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(self.peer_port.to_be_bytes());
        tcp.extend(self.us_port.to_be_bytes());
        tcp.extend(self.irs.wrapping_add(seg.seq).to_be_bytes());
        let ack = if seg.flags & ACK != 0 {
            self.iss.wrapping_add(seg.ack)
        } else {
            0
        };
        tcp.extend(ack.to_be_bytes());
        let mut options = seg.options.clone();
        while !options.len().is_multiple_of(4) {
            options.push(1);
        }
        tcp.push(((20 + options.len()) as u8 / 4) << 4);
        tcp.push(seg.flags);
        tcp.extend(seg.window.to_be_bytes());
        tcp.extend([0, 0]);
        tcp.extend(seg.urgent.to_be_bytes());
        tcp.extend(options);
        tcp.extend(&seg.data);
        let pseudo = sum(&self.from.octets()) + sum(&self.to.octets()) + 6 + tcp.len() as u32;
        let checksum = fold(pseudo + sum(&tcp));
        tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
        tcp
    }

    /// A packet of the peer's with this protocol and payload.
    pub fn packet(&mut self, proto: u8, payload: &[u8]) {
        let header_len = 20 + self.ip_options.len();
        let mut ip = vec![0x40, self.tos, 0, 0, 0, 1, 0x40, 0, 64, proto, 0, 0];
        ip[0] |= header_len as u8 / 4;
        ip[2..4].copy_from_slice(&((header_len + payload.len()) as u16).to_be_bytes());
        ip.extend(self.from.octets());
        ip.extend(self.to.octets());
        ip.extend(&self.ip_options);
        let header = fold(sum(&ip));
        ip[10..12].copy_from_slice(&header.to_be_bytes());
        ip.extend(payload);
        let mut frame = vec![0; 10];
        frame.extend(ip);
        self.stack.handle_frame(self.now, &frame);
    }

    /// An ICMP message about the segment that the stack sent from SND.UNA's `seq` on.
    pub fn icmp(&mut self, kind: u8, code: u8, seq: u32) {
        let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
        let mut quote = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
        quote.extend(US.octets());
        quote.extend(PEER.octets());
        message.extend(quote);
        message.extend(self.us_port.to_be_bytes());
        message.extend(self.peer_port.to_be_bytes());
        message.extend(self.iss.wrapping_add(seq).to_be_bytes());
        let checksum = fold(sum(&message));
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        self.packet(1, &message);
        self.collect();
    }

    fn collect(&mut self) {
        let now = self.now;
        let (iss, irs) = (&mut self.iss, self.irs);
        let out = &mut self.out;
        let us_port = &mut self.us_port;
        let last_ip = &mut self.last_ip;
        self.stack.transmit(now, &mut |parts| {
            let frame: Vec<u8> = parts.iter().flat_map(|p| p.iter().copied()).collect();
            let ip = &frame[10..];
            let tcp = &ip[20..];
            *last_ip = ip[..20].to_vec();
            assert_eq!(ip[9], 6, "only TCP is expected");
            if *us_port == 0 {
                *us_port = u16::from_be_bytes([tcp[0], tcp[1]]);
            }
            let word = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().expect("4"));
            let header = usize::from(tcp[12] >> 4) * 4;
            let flags = tcp[13];
            if flags & SYN != 0 {
                *iss = word(4);
            }
            let pseudo = sum(&PEER.octets()) + sum(&US.octets()) + 6 + tcp.len() as u32;
            if frame[0] & 1 == 0 {
                assert_eq!(fold(pseudo + sum(tcp)), 0, "checksum");
            }
            out.push_back((
                now,
                Seg {
                    flags,
                    seq: word(4).wrapping_sub(*iss),
                    ack: if flags & ACK != 0 {
                        word(8).wrapping_sub(irs)
                    } else {
                        0
                    },
                    window: u16::from_be_bytes([tcp[14], tcp[15]]),
                    urgent: u16::from_be_bytes([tcp[18], tcp[19]]),
                    options: tcp[20..header].to_vec(),
                    data: tcp[header..].to_vec(),
                    tos: ip[1],
                },
            ));
        });
    }

    /// Lets `ms` milliseconds pass; what is sent meanwhile is kept with its time.
    pub fn wait(&mut self, ms: u64) {
        self.collect();
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.stack.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.stack.handle_timers(self.now);
            self.collect();
        }
        self.now = end;
    }

    /// The next segment that the stack has sent.
    #[track_caller]
    pub fn sent(&mut self) -> Seg {
        self.collect();
        self.out.pop_front().expect("a segment was expected").1
    }

    /// The next segment, if any, and when it was sent, milliseconds before now.
    pub fn try_sent_ago(&mut self) -> Option<(u64, Seg)> {
        self.collect();
        let (at, seg) = self.out.pop_front()?;
        Some((self.now.since(at).as_millis() as u64, seg))
    }

    /// The next segment and when it was sent, milliseconds before now.
    #[track_caller]
    pub fn sent_ago(&mut self) -> (u64, Seg) {
        self.try_sent_ago().expect("a segment was expected")
    }

    /// Control bits, sequence and acknowledgement number and text of the next segment.
    #[track_caller]
    pub fn expect(&mut self, flags: u8, seq: u32, ack: u32, data: &[u8]) -> Seg {
        let got = self.sent();
        assert_eq!(
            (got.flags & !PSH, got.seq, got.ack, &got.data[..]),
            (flags & !PSH, seq, ack, data),
            "flags, seq, ack, text"
        );
        got
    }

    #[track_caller]
    pub fn expect_nothing(&mut self) {
        self.collect();
        assert_eq!(self.out.front(), None, "silence was expected");
    }

    /// A listener at port 80.
    pub fn listen(&mut self) -> SocketId {
        let id = self.stack.socket(Domain::V4, Kind::Stream).expect("socket");
        self.stack
            .bind(id, SocketAddr::from((US, 80)))
            .expect("bind");
        self.stack.listen(self.now, id, 5).expect("listen");
        self.us_port = 80;
        id
    }

    /// An accepted connection, reached by the three segments, with these options in the peer's SYN.
    #[track_caller]
    pub fn accepted(&mut self, options: &[u8], window: u16) -> SocketId {
        let listener = self.listen();
        self.inject(seg(SYN, 0, 0, b"").options(options).window(window));
        let syn_ack = self.sent();
        assert_eq!((syn_ack.flags, syn_ack.ack), (SYN | ACK, 1));
        let stamp = if options.contains(&8) {
            ts(2, 0)
        } else {
            vec![]
        };
        self.inject(seg(ACK, 1, 1, b"").options(&stamp).window(window));
        self.stack.accept(self.now, listener).expect("accepted").0
    }

    /// As [`Script::accepted`] with MSS 1000 and nothing else.
    #[track_caller]
    pub fn plain(&mut self) -> SocketId {
        self.accepted(&[2, 4, 3, 232], 65_535)
    }

    /// A connection attempt to the peer's port 5000.
    pub fn connecting(&mut self) -> SocketId {
        let id = self.stack.socket(Domain::V4, Kind::Stream).expect("socket");
        let got = self
            .stack
            .connect(self.now, id, SocketAddr::from((PEER, 5000)));
        assert_eq!(got, Err(Error::InProgress));
        id
    }

    #[track_caller]
    pub fn send(&mut self, id: SocketId, data: &[u8]) {
        let got = self.stack.send(
            self.now,
            id,
            &[IoSlice::new(data)],
            SendFlags::empty(),
            None,
        );
        assert_eq!(got, Ok(data.len()));
        self.collect();
    }

    pub fn recv(&mut self, id: SocketId) -> Result<Vec<u8>> {
        let mut buf = vec![0; 100_000];
        let got = self.stack.recv(
            self.now,
            id,
            &mut [IoSliceMut::new(&mut buf)],
            RecvFlags::empty(),
        )?;
        buf.truncate(got.len);
        Ok(buf)
    }

    #[track_caller]
    pub fn state(&self, id: SocketId) -> State {
        self.stack.state(id).expect("a socket")
    }
}
