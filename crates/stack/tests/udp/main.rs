//! UDP and ICMP between stacks, through the public interface only.

mod direct;
mod errors;
mod exchange;
mod linux;

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use tunsock_stack::{
    Attribute, Config, Control, Controls, Domain, Error, ExtendedError, Instant, Kind, Offload,
    Origin, Ready, Received, RecvFlags, Route, SendControl, SendFlags, Shutdown, SockOpt,
    SockOptName, SocketId, Stack, State,
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
                    mtu: None,
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
