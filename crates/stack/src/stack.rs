//! The stack as its owner sees it: what goes in, what comes out, in which order.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::events::EventQueue;
use crate::icmp::Limiter;
use crate::ip::input::FRAME_MAX;
use crate::ip::{self, IpLayer};
use crate::multicast::{self, MulticastLayer};
use crate::ports::PortTable;
use crate::raw::{self, RawLayer, RawSocket};
use crate::sink::{Each, Sink};
use crate::socket::address::{self, Use};
use crate::socket::table::{Proto, Socket, Sockets};
use crate::socket::*;
use crate::socket::{attribute, errqueue};
use crate::tcp::{self, TcpLayer, TcpSocket};
use crate::time::{Instant, earliest};
use crate::udp::{self, UdpLayer};

/// Most packets to ourselves that one [`Stack::transmit`] processes.
const ROUND_MAX: usize = 10_000;
/// Default buffers of a UDP socket, bytes (Linux: rmem_default, wmem_default).
const DATAGRAM_BUFFER: usize = 212_992;

/// Counters of what was received, sent and dropped, and why.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames handed in.
    pub frames_in: u64,
    /// Frames handed out.
    pub frames_out: u64,
    /// Frames too short, garbled or inconsistent.
    pub malformed: u64,
    /// Frames whose IP, TCP, UDP or ICMP checksum was wrong.
    pub bad_checksum: u64,
    /// Packets that were not for this host.
    pub not_ours: u64,
    /// Packets dropped because a queue or limit was full.
    pub queue_full: u64,
    /// SYNs answered by a cookie because the SYN queue was full (RFC 4987).
    pub syn_cookies_sent: u64,
    /// ICMP errors about segments that are not outstanding, which are not believed (RFC 5927 4; Linux: OutOfWindowIcmps).
    pub out_of_window_icmps: u64,
}

/// One virtual host. After every call that takes `now`, and before the owner sleeps, call [`Stack::transmit`], then
/// drain [`Stack::poll_event`], then look at [`Stack::next_deadline`].
#[derive(Debug)]
pub struct Stack {
    pub(crate) config: Config,
    pub(crate) ip: IpLayer,
    pub(crate) sockets: Sockets,
    pub(crate) ports: PortTable,
    pub(crate) tcp: TcpLayer,
    pub(crate) udp: UdpLayer,
    pub(crate) raw: RawLayer,
    pub(crate) multicast: MulticastLayer,
    pub(crate) events: EventQueue,
    pub(crate) stats: Stats,
    pub(crate) icmp_limiter: Limiter,
    /// Some socket was bound to an interface.
    pub(crate) ifaces_matter: bool,
    /// Some socket has SO_INCOMING_CPU.
    pub(crate) cpu_matters: bool,
    /// Some socket has IP_MINTTL or IPV6_MINHOPCOUNT.
    pub(crate) min_ttl_matters: bool,
    /// Some socket has had a filter.
    pub(crate) filters_matter: bool,
    /// Some socket has had a program that chooses among those that share an address.
    pub(crate) choosers_matter: bool,
    /// Packets looked at so far, from the device and from ourselves.
    pub(crate) packets: u64,
    /// Some socket wants to know of packets that come, see `note_arrival`.
    pub(crate) arrivals_matter: bool,
    /// The CPU that the stack runs on, -1: not told.
    pub(crate) cpu: i32,
}

impl Stack {
    /// A host as `config` describes it.
    pub fn new(config: Config, now: Instant) -> Stack {
        let mut rng = ChaCha8Rng::from_seed(config.seed);
        let mut ip = IpLayer::new(&config, &mut rng);
        ip.set_now(now);
        Stack {
            ip,
            sockets: Sockets::default(),
            ports: PortTable::new(config.ports, &mut rng),
            tcp: TcpLayer::new(&config, &mut rng),
            udp: UdpLayer::new(&config, &mut rng),
            raw: RawLayer::new(&mut rng),
            multicast: MulticastLayer::new(&mut rng),
            events: EventQueue::default(),
            stats: Stats::default(),
            icmp_limiter: Limiter::new(),
            ifaces_matter: false,
            cpu_matters: false,
            min_ttl_matters: false,
            filters_matter: false,
            choosers_matter: false,
            packets: 0,
            arrivals_matter: false,
            cpu: -1,
            config,
        }
    }

    /// The handle ceases to exist: its groups, its port, its pending events and the socket itself go.
    pub(crate) fn forget(&mut self, id: SocketId) {
        self.leave_all(id);
        self.ports.release(id);
        self.sockets.remove(id);
    }

    /// Takes over what `config` says about connections yet to come, and about Fast Open: buffers, timestamps, super-segments,
    /// congestion control, ECN, keys; and about routes. What else is in it stays as it was. Keys that differ from those of before replace them.
    pub fn retune(&mut self, config: Config) {
        if config.fast_open_keys != self.config.fast_open_keys
            && let Some(keys) = config.fast_open_keys
        {
            self.tcp.retune_keys(keys);
        }
        let old = std::mem::take(&mut self.config);
        let rerouted = config.routes != old.routes;
        self.config = Config {
            addrs: old.addrs,
            device: old.device,
            mtu: old.mtu,
            offload: old.offload,
            day_ms: old.day_ms,
            seed: old.seed,
            ports: old.ports,
            ..config
        };
        if rerouted {
            self.ip.retune(&self.config);
            tcp::rerouted(self);
        }
    }

    /// Forgets what is remembered of servers for Fast Open (`ip tcp_metrics flush`).
    pub fn forget_servers(&mut self) {
        self.tcp.fast_open.forget_servers();
    }

    // ---- in: what happened ----

    /// Takes one frame (virtio-net header, then an IP packet) that arrived at `now`. Whatever is wrong with it is counted.
    pub fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        self.ip.set_now(now);
        self.stats.frames_in += 1;
        if frame.len() > FRAME_MAX {
            self.stats.malformed += 1;
            return;
        }
        ip::input::input(self, now, frame, None);
    }

    /// As [`Stack::handle_frame`] for the first `len` octets of `buffer`. The stack may keep a buffer with much in it until that is
    /// read, and puts another of the same size in its place. Returns the connection whose next text it was.
    pub fn handle_buffer(
        &mut self,
        now: Instant,
        buffer: &mut Box<[u8]>,
        len: usize,
    ) -> Option<SocketId> {
        self.tcp.pool.lend(buffer);
        let frame = buffer.get(..len).unwrap_or(buffer);
        self.handle_frame(now, frame);
        tcp::keep_frame(self, buffer)
    }

    /// Lets every deadline up to `now` do its work.
    pub fn handle_timers(&mut self, now: Instant) {
        self.ip.set_now(now);
        ip::input::expire_fragments(self, now);
        self.multicast_timers(now);
        tcp::handle_timers(self, now);
    }

    // ---- out: what to do next ----

    /// Of what [`Stack::transmit`] would hand to `sink` that which is formed for no connection: SYN-ACKs, resets, answers to pings. Who
    /// takes frames in one go sends these in between, so that what they bring about may be among the next.
    pub fn answer(&mut self, sink: &mut dyn Sink) {
        self.flush(sink);
    }

    /// In place of [`Stack::transmit`] while the device takes nothing: what is to go waits, and to a connection that has nothing out it is
    /// what a closed window would be, so that TCP_USER_TIMEOUT ends its waiting (Linux: tcp_write_xmit, tcp_send_probe0).
    pub fn hold_back(&mut self, now: Instant) {
        self.ip.set_now(now);
        tcp::hold_back(self, now);
    }

    /// Hands every frame that is ready to go to `sink`, as slices that together are one frame; returns when none is left.
    /// Packets to the stack's own addresses go round inside and are processed before this returns.
    pub fn transmit(&mut self, now: Instant, sink: &mut dyn FnMut(&[IoSlice<'_>])) {
        self.transmit_to(now, &mut Each(sink));
    }

    /// As [`Stack::transmit`], to a sink that may take several frames together.
    pub fn transmit_to(&mut self, now: Instant, sink: &mut dyn Sink) {
        if self.tcp.is_silent() && !self.ip.has_packets() {
            return self.ip.time_is(now);
        }
        self.ip.set_now(now);
        let mut budget = ROUND_MAX;
        loop {
            // Order between the two does not matter to anybody; what TCP forms last may be for ourselves.
            self.flush(sink);
            tcp::transmit(self, now, sink);
            // Each round takes what was there at its beginning, so that answers leave between rounds.
            let round = self.ip.queue().local_len().min(budget);
            if round == 0 {
                break;
            }
            budget -= round;
            for _ in 0..round {
                let Some((frame, iface)) = self.ip.queue().pop_local() else {
                    break;
                };
                ip::input::input(self, now, &frame, Some(iface));
                self.ip.queue().recycle(frame);
            }
        }
        self.flush(sink);
    }

    /// Whether [`Stack::transmit`] and [`Stack::poll_event`] have nothing to do.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        self.tcp.is_silent() && self.events.is_empty() && !self.ip.has_packets()
    }

    /// When [`Stack::handle_timers`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        // Asked several times between two calls that could change it, each of which tells the time first.
        if let Some(known) = self.ip.known_deadline() {
            debug_assert_eq!(known, self.find_deadline());
            return known;
        }
        let found = self.find_deadline();
        self.ip.know_deadline(found);
        found
    }

    fn find_deadline(&self) -> Option<Instant> {
        // Packets for ourselves that the last transmit left over are due at once.
        let local = self.ip.has_local().then(|| self.ip.now());
        let fragments = self.ip.reassembly.next_deadline();
        let groups = self.multicast.next_deadline();
        earliest([local, fragments, groups, tcp::next_deadline(self)])
    }

    // ---- socket calls ----

    /// A new socket.
    pub fn socket(&mut self, domain: Domain, kind: Kind) -> Result<SocketId> {
        let proto = match kind {
            Kind::Stream => Proto::Tcp(TcpSocket::new(&self.config)),
            Kind::Datagram => Proto::Udp(Box::default()),
            Kind::Raw(_) | Kind::Ping => Proto::Raw(Box::new(RawSocket::new(domain, kind))),
        };
        let mut socket = Socket::new(domain, &self.config, proto);
        if kind != Kind::Stream {
            socket.opts.set_sndbuf(DATAGRAM_BUFFER);
            socket.opts.set_rcvbuf(DATAGRAM_BUFFER);
        }
        // inet_create: INET_PROTOSW_REUSE.
        socket.opts.reuse_addr = matches!(kind, Kind::Raw(_) | Kind::Ping);
        if let Kind::Raw(protocol) = kind {
            // inet_create: the protocol stands where others have a port.
            socket.set_local(Some(SocketAddr::new(socket.wildcard(), protocol.into())));
        }
        let id = self.sockets.insert(socket);
        self.raw_enter(id);
        Ok(id)
    }

    /// bind(2).
    pub fn bind(&mut self, id: SocketId, addr: SocketAddr) -> Result<()> {
        let socket = self.get(id)?;
        let (domain, kind) = (socket.domain, socket.kind());
        let group = addr.ip().is_ipv6() && addr.ip().is_multicast();
        if group && kind == Kind::Stream {
            return Err(Error::Invalid);
        }
        // __inet6_bind: bound or connected already, whatever the address; __inet_bind looks at the address first.
        // So does raw_bind.
        let mapped = matches!(addr, SocketAddr::V6(addr) if addr.ip().to_ipv4_mapped().is_some());
        let first = match (domain, kind) {
            (Domain::V6, Kind::Raw(_)) => !mapped,
            (Domain::V6, _) => kind != Kind::Ping,
            (Domain::V4, _) => matches!(kind, Kind::Raw(_)),
        };
        if first {
            self.may_bind(id)?;
        }
        let socket = self.get(id)?;
        address::may_have_scope(socket, addr)?;
        let addr = address::inward(domain, kind, socket.opts.v6only, addr, Use::Bind)?;
        let ip = addr.ip();
        let standing = self.ip.standing(ip);
        let many = standing.broadcast || ip.is_multicast();
        let ours = standing.local || ip.is_unspecified();
        // ping_bind: not for a socket that only talks to one at a time.
        if !ours && !socket.may_be_anybody() && (!many || kind == Kind::Ping) {
            return Err(Error::AddressNotAvailable);
        }
        address::may_bind_by(socket, ip)?;
        self.may_bind(id)?;
        let socket = self.get(id)?;
        let raw = matches!(kind, Kind::Raw(_));
        let no_port = !raw && addr.port() == 0 && socket.has(Attribute::BindAddressNoPort);
        match kind {
            // IP_BIND_ADDRESS_NO_PORT (__inet_bind): connect chooses the port, when it knows all four.
            _ if no_port => (self.get_mut(id)?).set_local(Some(SocketAddr::new(ip, 0))),
            Kind::Stream => {
                let port = self.bind_port(id, addr)?;
                (self.get_mut(id)?).set_local(Some(SocketAddr::new(ip, port)));
            }
            Kind::Datagram => udp::calls::bind(self, id, addr)?,
            Kind::Raw(_) | Kind::Ping => raw::calls::bind(self, id, addr)?,
        }
        let socket = self.get_mut(id)?;
        socket.addr_locked = !ip.is_unspecified();
        // __inet6_bind: sk_ipv6only.
        let by_inet6 = matches!(kind, Kind::Stream | Kind::Datagram);
        if by_inet6 && ip.is_ipv6() && !ip.is_unspecified() && !socket.opts.v6only {
            socket.opts.v6only = true;
        }
        socket.port_locked = addr.port() != 0;
        Ok(())
    }

    /// `Invalid`: the socket has a port or a connection.
    fn may_bind(&self, id: SocketId) -> Result<()> {
        let socket = self.get(id)?;
        let may = match socket.kind() {
            // What a connection had goes back with its end (tcp_set_state), though getsockname goes on telling it.
            Kind::Stream => tcp::calls::state(self, id)? == State::Closed && !self.ports.holds(id),
            // raw_bind, rawv6_bind.
            Kind::Raw(_) => socket.peer().is_none(),
            Kind::Datagram | Kind::Ping => socket.local().is_none_or(|local| local.port() == 0),
        };
        may.then_some(()).ok_or(Error::Invalid)
    }

    /// Gives a datagram or ping socket a port, if it has none (inet_autobind). `WouldBlock`: none is left.
    pub fn autobind(&mut self, id: SocketId) -> Result<()> {
        match self.get(id)?.kind() {
            Kind::Stream => Ok(()),
            Kind::Datagram => udp::calls::autobind(self, id),
            Kind::Raw(_) | Kind::Ping => raw::calls::autobind(self, id),
        }
    }

    /// listen(2). Binds to an ephemeral port when unbound.
    pub fn listen(&mut self, now: Instant, id: SocketId, backlog: usize) -> Result<()> {
        self.ip.set_now(now);
        match self.get(id)?.kind() {
            Kind::Stream => tcp::calls::listen(self, now, id, backlog),
            Kind::Datagram | Kind::Raw(_) | Kind::Ping => Err(Error::NotSupported),
        }
    }

    /// accept(2): the connection and its peer (for an AF_INET6 listener an IPv4 peer is ::ffff:a.b.c.d), or `WouldBlock`.
    pub fn accept(&mut self, now: Instant, id: SocketId) -> Result<(SocketId, SocketAddr)> {
        self.ip.set_now(now);
        let socket = self.get(id)?;
        let domain = socket.domain;
        match socket.kind() {
            Kind::Stream => {
                let (child, peer) = tcp::calls::accept(self, now, id)?;
                Ok((child, address::outward(domain, peer)))
            }
            Kind::Datagram | Kind::Raw(_) | Kind::Ping => Err(Error::NotSupported),
        }
    }

    /// connect(2). TCP: `InProgress` when this call started the attempt; call again when writable or failed to learn how it
    /// ended (`Ok` once on success, then `IsConnected`; the pending error once on failure). UDP: done at once.
    pub fn connect(&mut self, now: Instant, id: SocketId, addr: SocketAddr) -> Result<()> {
        self.ip.set_now(now);
        let socket = self.get(id)?;
        let (domain, kind, v6only) = (socket.domain, socket.kind(), socket.opts.v6only);
        let bound = socket.local().map(|local| local.ip());
        // tcp_v6_connect has its own word for groups.
        let scope = match kind {
            Kind::Stream if addr.ip().is_multicast() => Ok(()),
            _ => address::may_have_scope(socket, addr),
        };
        let inward = scope.and_then(|()| address::inward(domain, kind, v6only, addr, Use::Peer));
        match kind {
            Kind::Datagram => {
                udp::calls::autobind(self, id)?;
                udp::calls::connect(self, id, inward?)
            }
            Kind::Raw(_) | Kind::Ping => {
                raw::calls::autobind(self, id)?;
                raw::calls::connect(self, id, inward?)
            }
            // Linux inet_stream_connect looks at the state first: EISCONN and EALREADY come before any fault of the address.
            Kind::Stream if !tcp::calls::is_fresh(self, id)? => {
                tcp::calls::connect(self, now, id, inward.unwrap_or(addr))
            }
            Kind::Stream => {
                let inward = inward?;
                let ip = self.ip.resolve_unspecified(inward.ip(), bound);
                address::check_family(bound, ip)?;
                // Linux tcp_v4_connect, tcp_v6_connect: no TCP to broadcast or group addresses.
                if ip.is_multicast() || self.ip.is_broadcast(ip) {
                    self.path_of(id, ip)?;
                    return Err(Error::NetworkUnreachable);
                }
                tcp::calls::connect(self, now, id, SocketAddr::new(ip, inward.port()))
            }
        }
    }

    /// connect(2) with AF_UNSPEC.
    pub fn disconnect(&mut self, now: Instant, id: SocketId) -> Result<()> {
        self.ip.set_now(now);
        match self.get(id)?.kind() {
            Kind::Stream => tcp::calls::disconnect(self, now, id),
            Kind::Datagram => udp::calls::disconnect(self, id),
            Kind::Raw(_) | Kind::Ping => raw::calls::disconnect(self, id),
        }
    }

    /// send(2) and its kin: the bytes taken (TCP: possibly fewer than given), or `WouldBlock` when none fits.
    ///
    /// On TCP `dest` counts only with [`SendFlags::FASTOPEN`], which opens the connection: the bytes taken are those that go into the
    /// SYN, `InProgress` when those are none. Call again, with the flag, when [`Stack::opening`] has become false to learn how it ended
    /// and to send the rest.
    pub fn send(
        &mut self,
        now: Instant,
        id: SocketId,
        data: &[IoSlice<'_>],
        flags: SendFlags,
        dest: Option<SocketAddr>,
    ) -> Result<usize> {
        self.send_with(now, id, data, flags, dest, &SendControl::default())
    }

    /// sendmsg(2): as [`Stack::send`], with what control messages ask for.
    pub fn send_with(
        &mut self,
        now: Instant,
        id: SocketId,
        data: &[IoSlice<'_>],
        flags: SendFlags,
        dest: Option<SocketAddr>,
        control: &SendControl,
    ) -> Result<usize> {
        self.ip.set_now(now);
        let socket = self.get(id)?;
        if socket.is_established() && !flags.contains(SendFlags::FASTOPEN) {
            return tcp::calls::send(self, now, id, data, flags, control);
        }
        let (domain, kind, v6only) = (socket.domain, socket.kind(), socket.opts.v6only);
        match kind {
            Kind::Stream if tcp::fastopen_client::opens(self, id, flags) => {
                // __inet_stream_connect looks at the state before the address.
                let inward = |dest| address::inward(domain, kind, v6only, dest, Use::Peer);
                let dest = match (dest, dest.map(inward)) {
                    (_, Some(Err(error))) if tcp::calls::is_fresh(self, id)? => return Err(error),
                    (given, inward) => inward.and_then(Result::ok).or(given),
                };
                tcp::fastopen_client::send(self, now, id, data, flags, dest, control)
            }
            // Linux ignores a destination given to a TCP socket.
            Kind::Stream => tcp::calls::send(self, now, id, data, flags, control),
            Kind::Datagram => {
                if let Some(sent) = self.udp_send_directly(id, data, flags, dest, control) {
                    return sent;
                }
                udp::calls::autobind(self, id)?;
                let dest = dest
                    .map(|dest| address::inward(domain, kind, v6only, dest, Use::Destination))
                    .transpose()?;
                udp::calls::send(self, id, data, flags, dest, control)
            }
            Kind::Raw(_) | Kind::Ping => {
                raw::calls::autobind(self, id)?;
                let dest = dest
                    .map(|dest| address::inward(domain, kind, v6only, dest, Use::Destination))
                    .transpose()?;
                raw::calls::send(self, id, data, flags, dest, control)
            }
        }
    }

    /// As [`Stack::send`] on a stream, of the first `len` octets of what `buffers` was filled with: the send queue takes over the memory that they are in, if that
    /// is better than to copy them. Where it does `buffers` holds other memory afterwards, and neither these octets nor those that were not taken. After an
    /// error they are as they were.
    ///
    /// `None`: the socket is no stream, or this call would open its connection, and it is for [`Stack::send`] to do.
    pub fn send_buffers(
        &mut self,
        now: Instant,
        id: SocketId,
        buffers: &mut tcp::Buffers,
        len: usize,
        flags: SendFlags,
    ) -> Result<Option<usize>> {
        self.ip.set_now(now);
        if self.get(id)?.kind() != Kind::Stream || self.opens(id, flags) {
            return Ok(None);
        }
        tcp::calls::send_buffers(self, now, id, buffers, len, flags).map(Some)
    }

    /// Whether a send call with these flags opens a connection or joins its opening: [`SendFlags::FASTOPEN`], or a socket whose
    /// connect call left the SYN to it (TCP_FASTOPEN_CONNECT).
    pub fn opens(&self, id: SocketId, flags: SendFlags) -> bool {
        tcp::fastopen_client::opens(self, id, flags)
    }

    /// Whether a connection attempt of this socket goes on.
    pub fn opening(&self, id: SocketId) -> bool {
        tcp::fastopen_client::opening(self, id)
    }

    /// recv(2) and its kin.
    pub fn recv(
        &mut self,
        now: Instant,
        id: SocketId,
        bufs: &mut [IoSliceMut<'_>],
        flags: RecvFlags,
    ) -> Result<Received> {
        self.recv_with(now, id, bufs, flags, None)
    }

    /// recvmsg(2): as [`Stack::recv`], and what came beside the data is put into `controls`.
    pub fn recv_with(
        &mut self,
        now: Instant,
        id: SocketId,
        bufs: &mut [IoSliceMut<'_>],
        flags: RecvFlags,
        controls: Option<&mut Controls>,
    ) -> Result<Received> {
        self.ip.set_now(now);
        if flags.is_empty()
            && controls.is_none()
            && let Some(received) = udp::calls::recv_directly(self, id, bufs)
        {
            return received;
        }
        let socket = self.get(id)?;
        let domain = socket.domain;
        if flags.contains(RecvFlags::ERRQUEUE) {
            return errqueue::recv(self, now, id, bufs, controls);
        }
        match socket.kind() {
            Kind::Stream => {
                let received = tcp::calls::recv(self, now, id, bufs, flags)?;
                if let Some(controls) = controls {
                    tcp::calls::recv_controls(self, id, received.len, controls);
                }
                Ok(received)
            }
            Kind::Datagram | Kind::Raw(_) | Kind::Ping => {
                let mut received = udp::calls::recv(self, id, bufs, flags, controls)?;
                received.from = received.from.map(|from| address::outward(domain, from));
                Ok(received)
            }
        }
    }

    /// shutdown(2).
    pub fn shutdown(&mut self, now: Instant, id: SocketId, how: Shutdown) -> Result<()> {
        self.ip.set_now(now);
        match self.get(id)?.kind() {
            Kind::Stream => tcp::calls::shutdown(self, now, id, how),
            Kind::Datagram | Kind::Raw(_) | Kind::Ping => udp::calls::shutdown(self, id, how),
        }
    }

    /// close(2) of the last descriptor. The connection itself goes on to its orderly end inside.
    pub fn close(&mut self, now: Instant, id: SocketId) -> Closed {
        self.ip.set_now(now);
        self.leave_all(id);
        match self.get(id).map(Socket::kind) {
            Ok(Kind::Stream) => tcp::calls::close(self, now, id),
            Ok(Kind::Datagram) => {
                udp::calls::close(self, id);
                Closed::Done
            }
            Ok(Kind::Raw(_) | Kind::Ping) => {
                raw::calls::close(self, id);
                Closed::Done
            }
            Err(_) => Closed::Done,
        }
    }

    /// Whether a socket closed with [`Closed::Linger`] still has bytes or a FIN that the peer has not acknowledged.
    pub fn lingering(&self, id: SocketId) -> bool {
        match self.get(id).map(Socket::kind) {
            Ok(Kind::Stream) => tcp::calls::lingering(self, id),
            _ => false,
        }
    }

    /// Gives a lingering handle up; the connection goes on to its orderly end inside.
    pub fn release(&mut self, now: Instant, id: SocketId) {
        self.ip.set_now(now);
        if let Ok(Kind::Stream) = self.get(id).map(Socket::kind) {
            tcp::calls::release(self, now, id);
        }
    }

    /// getsockname(2): the wildcard of the family and port 0 while unbound.
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr> {
        let socket = self.get(id)?;
        let unbound = SocketAddr::new(socket.wildcard(), 0);
        let local = socket.local().unwrap_or(unbound);
        Ok(address::outward(socket.domain, local))
    }

    /// getpeername(2).
    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr> {
        let socket = self.get(id)?;
        let peer = match socket.kind() {
            Kind::Stream => tcp::calls::peer_addr(self, id)?,
            // Linux inet_getname: a peer with port 0 is none.
            Kind::Datagram | Kind::Raw(_) | Kind::Ping => socket
                .peer()
                .filter(|peer| peer.port() != 0)
                .ok_or(Error::NotConnected)?,
        };
        Ok(address::outward(socket.domain, peer))
    }

    /// Whether connect(2) has given it a peer, be it one with port 0.
    pub fn has_peer(&self, id: SocketId) -> bool {
        self.get(id).is_ok_and(|socket| socket.peer().is_some())
    }

    /// What the socket is ready for now. A stale handle is `ERR | HUP`.
    pub fn readiness(&self, id: SocketId) -> Ready {
        match self.get(id).map(Socket::kind) {
            Ok(Kind::Stream) => tcp::calls::readiness(self, id),
            Ok(Kind::Datagram | Kind::Raw(_) | Kind::Ping) => udp::calls::readiness(self, id),
            Err(_) => Ready::ERR | Ready::HUP,
        }
    }

    /// What recvmsg(2) on a stream brings beside the data after `len` octets were received in pieces.
    pub fn stream_controls(&self, id: SocketId, len: usize, controls: &mut Controls) {
        tcp::calls::recv_controls(self, id, len, controls);
    }

    /// Whether the next call would fail: an error is pending or both directions are over. Unlike readiness it does not count the
    /// error queue.
    pub fn failing(&self, id: SocketId) -> bool {
        let pending = self.get(id).map_or(true, |s| s.pending_error.is_some());
        pending || self.readiness(id).contains(Ready::HUP)
    }

    /// Whether an error is pending (SO_ERROR), which stays.
    pub fn has_error(&self, id: SocketId) -> bool {
        self.get(id).is_ok_and(|s| s.pending_error.is_some())
    }

    /// SIOCGSTAMP: when the datagram read last had arrived; `None` before the first, and on streams.
    pub fn last_stamp(&self, id: SocketId) -> Option<Instant> {
        self.get(id).ok()?.udp()?.last_stamp
    }

    /// SO_ERROR: the pending error, which is thereby cleared.
    pub fn take_error(&mut self, id: SocketId) -> PendingError {
        self.sockets.get_mut(id)?.pending_error.take()
    }

    /// setsockopt(2).
    pub fn set_option(&mut self, now: Instant, id: SocketId, opt: SockOpt) -> Result<()> {
        self.ip.set_now(now);
        // Which of them say where packets go is for nobody to remember.
        self.get_mut(id)?.forget_way();
        if let SockOpt::Number(attribute, value) = opt {
            return attribute::set(self, now, id, attribute, value);
        }
        let kind = self.get(id)?.kind();
        let common = options::set(self, id, opt)?;
        match (kind, common) {
            (Kind::Stream, true) => tcp::calls::option_changed(self, now, id),
            (Kind::Stream, false) => tcp::calls::set_option(self, now, id, opt)?,
            (_, true) => {}
            (_, false) => return Err(Error::NoSuchOption),
        }
        Ok(())
    }

    /// getsockopt(2).
    pub fn get_option(&self, id: SocketId, name: SockOptName) -> Result<SockOpt> {
        if let SockOptName::Multicast(name) = name {
            return multicast::get_option(self, id, name).map(SockOpt::Multicast);
        }
        if let SockOptName::Number(attribute) = name {
            let value = attribute::get(self, id, attribute)?;
            return Ok(SockOpt::Number(attribute, value));
        }
        let socket = self.get(id)?;
        match (options::get(socket, name)?, socket.kind()) {
            (Some(value), _) => Ok(value),
            (None, Kind::Stream) => tcp::calls::get_option(self, id, name),
            (None, _) => Err(Error::NoSuchOption),
        }
    }

    /// TCP_INFO. A listener and a socket without a connection have none: `Invalid`.
    pub fn tcp_info(&self, now: Instant, id: SocketId) -> Result<TcpInfo> {
        match self.get(id)?.kind() {
            Kind::Stream => tcp::calls::info(self, now, id),
            Kind::Datagram | Kind::Raw(_) | Kind::Ping => Err(Error::NoSuchOption),
        }
    }

    /// SO_DOMAIN and SO_TYPE.
    pub fn kind(&self, id: SocketId) -> Result<(Domain, Kind)> {
        let socket = self.get(id)?;
        Ok((socket.domain, socket.kind()))
    }

    /// The TCP state (for UDP see [`SocketInfo::state`]).
    pub fn state(&self, id: SocketId) -> Result<State> {
        let socket = self.get(id)?;
        match socket.kind() {
            Kind::Stream => tcp::calls::state(self, id),
            _ if socket.peer().is_some() => Ok(State::Established),
            _ => Ok(State::Closed),
        }
    }

    /// A number nobody can guess, from the stack's one source of chance.
    pub fn random(&mut self) -> u32 {
        self.ports.random()
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        let lost = self.ip.dropped() + self.ip.reassembly.evicted();
        Stats {
            queue_full: self.stats.queue_full + lost,
            ..self.stats
        }
    }

    // ---- inside ----

    /// Hands what waits for the device to `sink`.
    #[inline]
    fn flush(&mut self, sink: &mut dyn Sink) {
        while let Some(frame) = self.ip.queue().pop_device() {
            self.stats.frames_out += 1;
            sink.frame(&[IoSlice::new(&frame)]);
            self.ip.queue().recycle(frame);
        }
    }

    pub(crate) fn get(&self, id: SocketId) -> Result<&Socket> {
        self.sockets.get(id).ok_or(Error::BadHandle)
    }

    pub(crate) fn get_mut(&mut self, id: SocketId) -> Result<&mut Socket> {
        self.sockets.get_mut(id).ok_or(Error::BadHandle)
    }
}
