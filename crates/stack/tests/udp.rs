//! UDP and ICMP between stacks, through the public interface only.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use tunsock_stack::{
    Config, Domain, Error, Instant, Kind, Offload, Ready, Received, RecvFlags, Route, SendFlags,
    Shutdown, SockOpt, SockOptName, SocketId, Stack, State,
};

/// Two hosts on a wire, in virtual time.
struct Net {
    now: Instant,
    hosts: [Stack; 2],
    /// Frames that crossed the wire.
    crossed: usize,
    /// Drops a frame from a host when it says so.
    lose: fn(usize, &[u8]) -> bool,
}

const A: usize = 0;
const B: usize = 1;

impl Net {
    fn new() -> Net {
        Net::with(1500, Offload::default())
    }

    fn with(mtu: u32, offload: Offload) -> Net {
        let now = Instant::from_micros(1_000_000);
        let host = |n: u8| {
            let addrs = [format!("10.0.0.{n}/24"), format!("fd00::{n}/64")];
            let config = Config {
                addrs: addrs.iter().map(|a| a.parse().unwrap()).collect(),
                // 255.255.255.255 wants a route like any address.
                routes: vec![Route {
                    dest: "255.255.255.255/32".parse().unwrap(),
                    gateway: None,
                }],
                mtu,
                offload,
                seed: [n; 32],
                ..Config::default()
            };
            Stack::new(config, now)
        };
        Net {
            now,
            hosts: [host(1), host(2)],
            crossed: 0,
            lose: |_, _| false,
        }
    }

    /// Lets frames cross until the wire is quiet.
    fn settle(&mut self) {
        for _ in 0..1000 {
            let mut moved = false;
            for from in [A, B] {
                let mut frames: Vec<Vec<u8>> = Vec::new();
                self.hosts[from].transmit(self.now, &mut |parts| {
                    frames.push(parts.iter().flat_map(|part| part.iter().copied()).collect());
                });
                for frame in frames {
                    moved = true;
                    self.crossed += 1;
                    if !(self.lose)(from, &frame) {
                        self.hosts[1 - from].handle_frame(self.now, &frame);
                    }
                }
            }
            if !moved {
                return;
            }
        }
        panic!("the wire does not get quiet");
    }

    fn socket(&mut self, host: usize, domain: Domain) -> SocketId {
        self.hosts[host].socket(domain, Kind::Datagram).unwrap()
    }

    fn bound(&mut self, host: usize, domain: Domain, to: &str) -> SocketId {
        let id = self.socket(host, domain);
        self.hosts[host].bind(id, addr(to)).unwrap();
        id
    }

    fn connect(&mut self, host: usize, id: SocketId, to: &str) -> Result<(), Error> {
        self.hosts[host].connect(self.now, id, addr(to))
    }

    fn send(&mut self, host: usize, id: SocketId, data: &[u8], to: Option<&str>) -> Sent {
        let slices = [IoSlice::new(data)];
        let flags = SendFlags::empty();
        let sent = self.hosts[host].send(self.now, id, &slices, flags, to.map(addr));
        self.settle();
        sent
    }

    fn recv(&mut self, host: usize, id: SocketId) -> Result<(Vec<u8>, SocketAddr), Error> {
        let (data, received) = self.recv_with(host, id, 70_000, RecvFlags::empty())?;
        Ok((data, received.from.unwrap()))
    }

    fn recv_with(
        &mut self,
        host: usize,
        id: SocketId,
        room: usize,
        flags: RecvFlags,
    ) -> Result<(Vec<u8>, Received), Error> {
        let mut data = vec![0; room];
        let mut bufs = [IoSliceMut::new(&mut data)];
        let received = self.hosts[host].recv(self.now, id, &mut bufs, flags)?;
        data.truncate(received.len);
        Ok((data, received))
    }
}

type Sent = Result<usize, Error>;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

const V4: Domain = Domain::V4;
const V6: Domain = Domain::V6;

#[test]
fn datagrams_cross_and_are_answered() {
    for offload in [false, true] {
        let offload = Offload {
            csum: offload,
            ..Offload::default()
        };
        for (domain, server, from) in [
            (V4, "10.0.0.2:53", "10.0.0.1"),
            (V6, "[fd00::2]:53", "fd00::1"),
        ] {
            let mut net = Net::with(1500, offload);
            let s = net.bound(B, domain, server);
            let c = net.socket(A, domain);
            assert_eq!(net.send(A, c, b"question", Some(server)), Ok(8));
            let (data, peer) = net.recv(B, s).unwrap();
            assert_eq!(data, b"question");
            assert_eq!(peer.ip(), from.parse::<std::net::IpAddr>().unwrap());
            assert_eq!(peer.port(), net.hosts[A].local_addr(c).unwrap().port());
            assert_eq!(net.send(B, s, b"", Some(&peer.to_string())), Ok(0));
            assert_eq!(net.recv(A, c), Ok((vec![], addr(server))));
            assert_eq!(net.recv(A, c), Err(Error::WouldBlock));
            assert_eq!(net.crossed, 2);
        }
    }
}

#[test]
fn every_length_arrives_whole_in_fragments_too() {
    for (domain, server, max) in [
        (V4, "10.0.0.2:53", 65507),
        (V6, "[fd00::2]:53", 65527),
        (V4, "127.0.0.1:53", 65507),
        (V6, "[::1]:53", 65527),
    ] {
        let mut net = Net::new();
        let local = server.contains("127.") || server.contains("::1]");
        let host = if local { A } else { B };
        let s = net.bound(host, domain, server);
        let c = net.socket(A, domain);
        for len in [0, 1, 1451, 1452, 1453, 1471, 1472, 1473, 9000, max] {
            let data: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
            assert_eq!(net.send(A, c, &data, Some(server)), Ok(len), "{server}");
            assert_eq!(net.recv(host, s).unwrap().0, data, "{len} to {server}");
        }
        let data = vec![0; max + 1];
        assert_eq!(
            net.send(A, c, &data, Some(server)),
            Err(Error::MessageTooLong)
        );
        assert_eq!(net.crossed == 0, local);
    }
}

#[test]
fn a_lost_fragment_loses_the_datagram_and_the_sender_hears_of_it() {
    let mut net = Net::new();
    let s = net.bound(B, V4, "10.0.0.2:53");
    let c = net.socket(A, V4);
    // The last fragment: no MF, but an offset.
    net.lose = |from, frame| {
        let word = u16::from_be_bytes([frame[16], frame[17]]);
        from == A && word & 0x2000 == 0 && word & 0x1fff != 0
    };
    net.send(A, c, &[1; 4000], Some("10.0.0.2:53")).unwrap();
    assert_eq!(net.recv(B, s), Err(Error::WouldBlock));
    let deadline = net.hosts[B].next_deadline().unwrap();
    assert_eq!(deadline.since(net.now).as_secs(), 30);
    let crossed = net.crossed;
    net.now = deadline;
    net.hosts[B].handle_timers(net.now);
    net.settle();
    assert_eq!(net.crossed, crossed + 1, "one Time Exceeded");
    assert_eq!(net.hosts[B].next_deadline(), None);
}

#[test]
fn a_connected_socket_has_one_peer() {
    let mut net = Net::new();
    let s = net.bound(B, V4, "10.0.0.2:53");
    let other = net.bound(B, V4, "10.0.0.2:54");
    let c = net.bound(A, V4, "0.0.0.0:1000");
    net.send(B, other, b"before", Some("10.0.0.1:1000"))
        .unwrap();
    net.connect(A, c, "10.0.0.2:53").unwrap();
    assert_eq!(net.hosts[A].local_addr(c), Ok(addr("10.0.0.1:1000")));
    assert_eq!(net.hosts[A].peer_addr(c), Ok(addr("10.0.0.2:53")));
    assert_eq!(net.hosts[A].state(c), Ok(State::Established));
    net.send(B, other, b"stranger", Some("10.0.0.1:1000"))
        .unwrap();
    net.send(B, s, b"friend", Some("10.0.0.1:1000")).unwrap();
    // Behaviour of Linux: what was queued before connect stays readable.
    assert_eq!(net.recv(A, c).unwrap().0, b"before");
    assert_eq!(net.recv(A, c).unwrap().0, b"friend");
    assert_eq!(net.recv(A, c), Err(Error::WouldBlock));
    assert_eq!(net.send(A, c, b"to the peer", None), Ok(11));
    assert_eq!(net.recv(B, s).unwrap().0, b"to the peer");
    assert_eq!(net.send(A, c, b"to another", Some("10.0.0.2:54")), Ok(10));
    assert_eq!(net.recv(B, other).unwrap().0, b"to another");

    net.hosts[A].disconnect(net.now, c).unwrap();
    assert_eq!(net.hosts[A].local_addr(c), Ok(addr("0.0.0.0:1000")));
    assert_eq!(net.hosts[A].peer_addr(c), Err(Error::NotConnected));
    assert_eq!(net.send(A, c, b"x", None), Err(Error::DestinationRequired));
    net.send(B, other, b"anybody", Some("10.0.0.1:1000"))
        .unwrap();
    assert_eq!(net.recv(A, c).unwrap().0, b"anybody");
}

#[test]
fn a_connect_without_bind_is_undone_by_disconnect() {
    let mut net = Net::new();
    let c = net.socket(A, V4);
    assert_eq!(net.hosts[A].local_addr(c), Ok(addr("0.0.0.0:0")));
    net.connect(A, c, "10.0.0.2:53").unwrap();
    let local = net.hosts[A].local_addr(c).unwrap();
    assert_eq!(local.ip(), addr("10.0.0.1:0").ip());
    assert_ne!(local.port(), 0);
    net.hosts[A].disconnect(net.now, c).unwrap();
    assert_eq!(net.hosts[A].local_addr(c), Ok(addr("0.0.0.0:0")));
    assert_eq!(net.hosts[A].sockets(), vec![]);
}

#[test]
fn nobody_there_refuses_connected_sockets_only() {
    for (domain, server) in [
        (V4, "10.0.0.2:53"),
        (V6, "[fd00::2]:53"),
        (V4, "127.0.0.1:53"),
        (V6, "[::ffff:10.0.0.2]:53"),
    ] {
        let mut net = Net::new();
        let c = net.socket(A, domain);
        net.send(A, c, b"x", Some(server)).unwrap();
        assert_eq!(net.recv(A, c), Err(Error::WouldBlock));
        net.connect(A, c, server).unwrap();
        while net.hosts[A].poll_event().is_some() {}
        net.send(A, c, b"x", None).unwrap();
        assert_eq!(net.hosts[A].poll_event(), Some((c, Ready::ERR)));
        assert!(net.hosts[A].readiness(c).contains(Ready::ERR));
        assert_eq!(net.recv(A, c), Err(Error::ConnectionRefused), "{server}");
        assert_eq!(net.recv(A, c), Err(Error::WouldBlock));
        net.send(A, c, b"x", None).unwrap();
        assert_eq!(net.hosts[A].take_error(c), Some(Error::ConnectionRefused));
        assert_eq!(net.hosts[A].take_error(c), None);
        net.send(A, c, b"x", None).unwrap();
        assert_eq!(net.send(A, c, b"x", None), Err(Error::ConnectionRefused));
    }
}

#[test]
fn dual_stack_sockets_speak_both_families() {
    let mut net = Net::new();
    let s = net.bound(B, V6, "[::]:53");
    let (c4, c6) = (net.socket(A, V4), net.socket(A, V6));
    net.send(A, c4, b"four", Some("10.0.0.2:53")).unwrap();
    let (data, from) = net.recv(B, s).unwrap();
    assert_eq!(data, b"four");
    assert!(from.to_string().starts_with("[::ffff:10.0.0.1]:"));
    net.send(B, s, b"back", Some(&from.to_string())).unwrap();
    assert_eq!(net.recv(A, c4), Ok((b"back".to_vec(), addr("10.0.0.2:53"))));
    net.send(A, c6, b"six", Some("[fd00::2]:53")).unwrap();
    assert_eq!(net.recv(B, s).unwrap().0, b"six");
    net.connect(A, c6, "[::ffff:10.0.0.2]:53").unwrap();
    let local = net.hosts[A].local_addr(c6).unwrap().to_string();
    assert!(local.starts_with("[::ffff:10.0.0.1]:"), "{local}");

    let only = net.socket(B, V6);
    let (now, b) = (net.now, &mut net.hosts[B]);
    b.set_option(now, only, SockOpt::V6Only(true)).unwrap();
    assert_eq!(b.bind(only, addr("[::]:53")), Err(Error::AddressInUse));
    b.bind(only, addr("[::]:54")).unwrap();
    let four = net.bound(B, V4, "0.0.0.0:54");
    net.send(A, c4, b"x", Some("10.0.0.2:54")).unwrap();
    assert_eq!(net.recv(B, only), Err(Error::WouldBlock));
    assert_eq!(net.recv(B, four).unwrap().0, b"x");
    assert_eq!(
        net.send(B, only, b"x", Some("[::ffff:10.0.0.1]:9")),
        Err(Error::NetworkUnreachable)
    );
    let again = SockOpt::V6Only(false);
    let set = net.hosts[B].set_option(net.now, only, again);
    assert_eq!(set, Err(Error::Invalid));
}

#[test]
fn the_exact_address_comes_before_the_wildcard() {
    let mut net = Net::new();
    let any = net.socket(B, V4);
    let exact = net.socket(B, V4);
    for (id, at) in [(exact, "10.0.0.2:53"), (any, "0.0.0.0:53")] {
        let (now, b) = (net.now, &mut net.hosts[B]);
        b.set_option(now, id, SockOpt::ReuseAddr(true)).unwrap();
        b.bind(id, addr(at)).unwrap();
    }
    let c = net.socket(A, V4);
    net.send(A, c, b"x", Some("10.0.0.2:53")).unwrap();
    assert_eq!(net.recv(B, exact).unwrap().0, b"x");
    net.hosts[B].close(net.now, exact);
    net.send(A, c, b"y", Some("10.0.0.2:53")).unwrap();
    assert_eq!(net.recv(B, any).unwrap().0, b"y");
    assert_eq!(net.hosts[B].readiness(exact), Ready::ERR | Ready::HUP);
    assert_eq!(net.recv(B, exact), Err(Error::BadHandle));
}

#[test]
fn reuseport_spreads_and_keeps_flows_together() {
    let mut net = Net::new();
    let servers: Vec<SocketId> = (0..4)
        .map(|_| {
            let id = net.socket(B, V4);
            let (now, b) = (net.now, &mut net.hosts[B]);
            b.set_option(now, id, SockOpt::ReusePort(true)).unwrap();
            b.bind(id, addr("0.0.0.0:53")).unwrap();
            id
        })
        .collect();
    let mut counts = [0; 4];
    for _ in 0..100 {
        let c = net.socket(A, V4);
        for _ in 0..3 {
            net.send(A, c, b"x", Some("10.0.0.2:53")).unwrap();
        }
        for (at, id) in servers.iter().enumerate() {
            let got = (0..3).filter(|_| net.recv(B, *id).is_ok()).count();
            assert!(got == 0 || got == 3, "a flow was split");
            counts[at] += got;
        }
    }
    assert_eq!(counts.iter().sum::<usize>(), 300);
    assert!(counts.iter().all(|&count| count > 30), "{counts:?}");
}

#[test]
fn broadcast_needs_leave_and_reaches_everybody_here_and_there() {
    let mut net = Net::new();
    let here = net.bound(A, V4, "0.0.0.0:67");
    let there = net.bound(B, V4, "0.0.0.0:67");
    let c = net.socket(A, V4);
    for to in ["255.255.255.255:67", "10.0.0.255:67"] {
        let refused = net.send(A, c, b"x", Some(to));
        assert_eq!(refused, Err(Error::AccessDenied));
    }
    let leave = SockOpt::Broadcast(true);
    net.hosts[A].set_option(net.now, c, leave).unwrap();
    for to in ["255.255.255.255:67", "10.0.0.255:67"] {
        assert_eq!(net.send(A, c, b"x", Some(to)), Ok(1));
        assert_eq!(net.recv(A, here).unwrap().0, b"x");
        assert_eq!(net.recv(B, there).unwrap().0, b"x");
    }
    // Nobody listens at 68: no port unreachable about a broadcast.
    let crossed = net.crossed;
    net.send(A, c, b"x", Some("10.0.0.255:68")).unwrap();
    assert_eq!(net.crossed, crossed + 1);
}

#[test]
fn peek_truncation_and_scattered_buffers() {
    let mut net = Net::new();
    let s = net.bound(B, V4, "10.0.0.2:53");
    let c = net.socket(A, V4);
    net.send(A, c, b"datagram", Some("10.0.0.2:53")).unwrap();
    net.send(A, c, b"next", Some("10.0.0.2:53")).unwrap();
    assert_eq!(net.hosts[B].readable_bytes(s), Ok(8));
    for flags in [RecvFlags::PEEK, RecvFlags::TRUNC] {
        let (data, received) = net.recv_with(B, s, 4, flags).unwrap();
        assert_eq!(data, b"data");
        assert_eq!((received.len, received.full_len), (4, 8));
    }
    assert_eq!(net.hosts[B].readable_bytes(s), Ok(4));
    let (mut x, mut y) = ([0; 3], [0; 3]);
    let mut bufs = [IoSliceMut::new(&mut x), IoSliceMut::new(&mut y)];
    let received = net.hosts[B].recv(net.now, s, &mut bufs, RecvFlags::empty());
    assert_eq!(received.unwrap().len, 4);
    assert_eq!((&x, &y), (b"nex", b"t\0\0"));
}

#[test]
fn more_holds_the_datagram_back() {
    let mut net = Net::new();
    let s = net.bound(B, V4, "10.0.0.2:53");
    let c = net.socket(A, V4);
    net.connect(A, c, "10.0.0.2:53").unwrap();
    let (now, a) = (net.now, &mut net.hosts[A]);
    let part = [IoSlice::new(b"one "), IoSlice::new(b"datagram ")];
    assert_eq!(a.send(now, c, &part, SendFlags::MORE, None), Ok(13));
    net.settle();
    assert_eq!(net.recv(B, s), Err(Error::WouldBlock));
    net.send(A, c, b"only", None).unwrap();
    assert_eq!(net.recv(B, s).unwrap().0, b"one datagram only");
}

#[test]
fn shutdown_as_on_linux() {
    let mut net = Net::new();
    let s = net.bound(B, V4, "10.0.0.2:53");
    let c = net.socket(A, V4);
    net.connect(A, c, "10.0.0.2:53").unwrap();
    net.send(A, c, b"x", None).unwrap();
    let (now, a) = (net.now, &mut net.hosts[A]);
    a.shutdown(now, c, Shutdown::Write).unwrap();
    assert_eq!(net.send(A, c, b"x", None), Err(Error::BrokenPipe));
    assert_eq!(net.recv(A, c), Err(Error::WouldBlock));
    let (_, from) = net.recv(B, s).unwrap();
    net.send(B, s, b"late", Some(&from.to_string())).unwrap();
    let (now, a) = (net.now, &mut net.hosts[A]);
    a.shutdown(now, c, Shutdown::Read).unwrap();
    let all = Ready::IN | Ready::OUT | Ready::RDHUP | Ready::HUP;
    assert_eq!(a.readiness(c), all);
    assert_eq!(net.recv(A, c).unwrap().0, b"late");
    let (data, received) = net.recv_with(A, c, 9, RecvFlags::empty()).unwrap();
    assert_eq!((data, received.from), (vec![], None));
    let (now, b) = (net.now, &mut net.hosts[B]);
    let unconnected = b.shutdown(now, s, Shutdown::Read);
    assert_eq!(unconnected, Err(Error::NotConnected));
    assert!(b.readiness(s).contains(Ready::RDHUP));
}

#[test]
fn a_full_receive_buffer_drops_and_the_rest_stays() {
    let mut net = Net::new();
    let s = net.bound(B, V4, "10.0.0.2:53");
    let c = net.socket(A, V4);
    let small = SockOpt::RcvBuf(1);
    net.hosts[B].set_option(net.now, s, small).unwrap();
    let name = SockOptName::RcvBuf;
    assert_eq!(net.hosts[B].get_option(s, name), Ok(SockOpt::RcvBuf(2304)));
    for n in 0..10u8 {
        net.send(A, c, &[n], Some("10.0.0.2:53")).unwrap();
    }
    let got: Vec<u8> = (0..10)
        .filter_map(|_| net.recv(B, s).ok())
        .map(|(data, _)| data[0])
        .collect();
    assert_eq!(got, [0, 1]);
    assert_eq!(net.hosts[B].stats().queue_full, 8);
}

#[test]
fn what_cannot_be_sent_says_why() {
    let mut net = Net::new();
    let (c4, c6) = (net.socket(A, V4), net.socket(A, V6));
    let cases = [
        (c4, "10.0.0.2:0", Error::Invalid),
        (c4, "192.0.2.1:53", Error::NetworkUnreachable),
        (c4, "[fd00::2]:53", Error::AddressFamily),
        (c6, "[2001:db8::1]:53", Error::NetworkUnreachable),
    ];
    for (id, to, error) in cases {
        assert_eq!(net.send(A, id, b"x", Some(to)), Err(error), "{to}");
    }
    let c4 = net.socket(A, V4); // the other one was bound by what it tried
    let a = &mut net.hosts[A];
    let foreign = a.bind(c4, addr("10.0.0.9:53"));
    assert_eq!(foreign, Err(Error::AddressNotAvailable));
    assert_eq!(a.bind(c4, addr("127.9.9.9:53")), Ok(()));
    assert_eq!(a.bind(c4, addr("127.9.9.9:54")), Err(Error::Invalid));
    assert_eq!(a.listen(net.now, c4, 1), Err(Error::NotSupported));
    assert_eq!(a.accept(net.now, c4), Err(Error::NotSupported));
    // Bound to loopback: nothing leaves (Linux: EINVAL).
    let out = net.send(A, c4, b"x", Some("10.0.0.2:53"));
    assert_eq!(out, Err(Error::Invalid));
    assert_eq!(net.crossed, 0);
}

#[test]
fn the_unspecified_destination_is_loopback() {
    for (domain, any, server) in [
        (V4, "0.0.0.0:53", "127.0.0.1:53"),
        (V6, "[::]:53", "[::1]:53"),
        (V6, "[::ffff:0.0.0.0]:53", "[::ffff:127.0.0.1]:53"),
    ] {
        let mut net = Net::new();
        let s = net.bound(A, domain, server);
        let c = net.socket(A, domain);
        net.connect(A, c, any).unwrap();
        assert_eq!(net.hosts[A].peer_addr(c), Ok(addr(server)));
        net.send(A, c, b"x", None).unwrap();
        assert_eq!(net.recv(A, s).unwrap().0, b"x");
    }
}

#[test]
fn families_do_not_mix_once_bound() {
    for (local, to, error) in [
        ("[::1]:0", "[::ffff:127.0.0.1]:9", Error::NetworkUnreachable),
        ("[::ffff:127.0.0.1]:0", "[::1]:9", Error::AddressFamily),
        ("[::ffff:0.0.0.0]:0", "[::1]:9", Error::AddressFamily),
    ] {
        let mut net = Net::new();
        let c = net.bound(A, V6, local);
        assert_eq!(net.connect(A, c, to), Err(error), "{local} to {to}");
        assert_eq!(net.send(A, c, b"x", Some(to)), Err(error));
        let stream = net.hosts[A].socket(V6, Kind::Stream).unwrap();
        net.hosts[A].bind(stream, addr(local)).unwrap();
        assert_eq!(net.connect(A, stream, to), Err(error));
    }
    let mut net = Net::new();
    let c = net.bound(A, V6, "[::ffff:10.0.0.1]:0");
    net.connect(A, c, "[::]:9").unwrap();
    let peer = net.hosts[A].peer_addr(c);
    assert_eq!(peer, Ok(addr("[::ffff:127.0.0.1]:9")));
}

#[test]
fn errors_come_in_linux_s_order() {
    let mut net = Net::new();
    let c = net.socket(A, V4);
    // Bound by an attempt that failed.
    let unreachable = Err(Error::NetworkUnreachable);
    assert_eq!(net.connect(A, c, "192.0.2.1:9"), unreachable);
    assert_ne!(net.hosts[A].local_addr(c).unwrap().port(), 0);
    let unreachable = Err(Error::NetworkUnreachable);
    net.connect(A, c, "10.0.0.2:9").unwrap();
    net.send(A, c, b"x", None).unwrap();
    let too_long = Err(Error::MessageTooLong);
    assert_eq!(
        net.send(A, c, &[0; 65508], Some("192.0.2.1:9")),
        unreachable
    );
    assert_eq!(net.send(A, c, &[0; 65508], None), too_long);
    assert_eq!(net.send(A, c, b"x", Some("192.0.2.1:9")), unreachable);
    // A connect leaves the error where it is.
    net.connect(A, c, "10.0.0.2:10").unwrap();
    assert_eq!(net.send(A, c, b"x", None), Err(Error::ConnectionRefused));
    // Port 0: connected, but not so that getpeername would say it.
    net.connect(A, c, "10.0.0.2:0").unwrap();
    assert_eq!(net.hosts[A].peer_addr(c), Err(Error::NotConnected));
    // What was held back is lost with what made it too long.
    let s = net.bound(B, V4, "10.0.0.2:53");
    net.connect(A, c, "10.0.0.2:53").unwrap();
    let part = [IoSlice::new(b"held")];
    let held = net.hosts[A].send(net.now, c, &part, SendFlags::MORE, None);
    assert_eq!(held, Ok(4));
    assert_eq!(net.send(A, c, &[0; 65507], None), too_long);
    net.send(A, c, b"alone", None).unwrap();
    assert_eq!(net.recv(B, s).unwrap().0, b"alone");
}

#[test]
fn own_addresses_go_round_inside() {
    let mut net = Net::new();
    let s = net.bound(A, V4, "0.0.0.0:53");
    let c = net.socket(A, V4);
    for (to, from) in [
        ("10.0.0.1:53", "10.0.0.1"),
        ("127.0.0.1:53", "127.0.0.1"),
        ("127.8.8.8:53", "127.0.0.1"),
    ] {
        net.send(A, c, b"x", Some(to)).unwrap();
        let (_, peer) = net.recv(A, s).unwrap();
        assert_eq!(peer.ip().to_string(), from);
    }
    assert_eq!(net.crossed, 0);
}

#[test]
fn same_seed_same_frames() {
    let run = || {
        let mut net = Net::new();
        let mut all = Vec::new();
        for n in 0..20 {
            let c = net.socket(A, V4);
            let slices = [IoSlice::new(&[7; 4000])];
            let to = Some(SocketAddr::from(([10, 0, 0, 2], 1000 + n)));
            let flags = SendFlags::empty();
            net.hosts[A].send(net.now, c, &slices, flags, to).unwrap();
            net.hosts[A].transmit(net.now, &mut |parts| {
                for part in parts {
                    all.extend_from_slice(part);
                }
            });
        }
        all
    };
    assert_eq!(run(), run());
}

#[test]
fn options_have_linux_s_bounds() {
    let mut net = Net::new();
    let (c4, c6) = (net.socket(A, V4), net.socket(A, V6));
    let now = net.now;
    let a = &mut net.hosts[A];
    for (id, opt, result) in [
        (c4, SockOpt::Ttl(0), Err(Error::Invalid)),
        (c4, SockOpt::Ttl(256), Err(Error::Invalid)),
        (c4, SockOpt::Ttl(255), Ok(())),
        (c4, SockOpt::UnicastHops(1), Err(Error::NoSuchOption)),
        (c4, SockOpt::V6Only(true), Err(Error::NoSuchOption)),
        (c6, SockOpt::UnicastHops(-2), Err(Error::Invalid)),
        (c6, SockOpt::UnicastHops(0), Ok(())),
        (c4, SockOpt::NoDelay(true), Err(Error::NoSuchOption)),
        (c4, SockOpt::SndBuf(0), Ok(())),
        (c4, SockOpt::RcvBuf(100_000), Ok(())),
        (c4, SockOpt::RcvLowat(0), Ok(())),
    ] {
        assert_eq!(a.set_option(now, id, opt), result, "{opt:?}");
    }
    for (id, name, opt) in [
        (c4, SockOptName::Ttl, SockOpt::Ttl(255)),
        (c6, SockOptName::Ttl, SockOpt::Ttl(64)),
        (c6, SockOptName::UnicastHops, SockOpt::UnicastHops(0)),
        (c4, SockOptName::SndBuf, SockOpt::SndBuf(4608)),
        (c4, SockOptName::RcvBuf, SockOpt::RcvBuf(200_000)),
        (c6, SockOptName::RcvBuf, SockOpt::RcvBuf(212_992)),
        (c4, SockOptName::RcvLowat, SockOpt::RcvLowat(1)),
    ] {
        assert_eq!(a.get_option(id, name), Ok(opt));
    }
    let back = a.set_option(now, c4, SockOpt::Ttl(-1));
    assert_eq!(back, Ok(()));
    assert_eq!(a.get_option(c4, SockOptName::Ttl), Ok(SockOpt::Ttl(64)));
}
