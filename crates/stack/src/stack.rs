//! The stack as its owner sees it: what goes in, what comes out, in which order.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use slotmap::SlotMap;

use crate::config::Config;
use crate::error::Result;
use crate::events::EventQueue;
use crate::ip::IpLayer;
use crate::ports::PortTable;
use crate::socket::table::Socket;
use crate::socket::*;
use crate::tcp::TcpLayer;
use crate::time::Instant;
use crate::udp::UdpLayer;

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
}

/// One virtual host. After every call that takes `now`, and before the owner sleeps, call [`Stack::transmit`], then
/// drain [`Stack::poll_event`], then look at [`Stack::next_deadline`].
#[derive(Debug)]
pub struct Stack {
    pub(crate) config: Config,
    pub(crate) ip: IpLayer,
    pub(crate) sockets: SlotMap<SocketId, Socket>,
    pub(crate) ports: PortTable,
    pub(crate) tcp: TcpLayer,
    pub(crate) udp: UdpLayer,
    pub(crate) events: EventQueue,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) stats: Stats,
}

#[allow(unused_variables, missing_docs)]
impl Stack {
    /// A host as `config` describes it.
    pub fn new(config: Config, now: Instant) -> Stack {
        let mut rng = ChaCha8Rng::from_seed(config.seed);
        let mut ip = IpLayer::new(&config, &mut rng);
        ip.set_now(now);
        Stack {
            ip,
            sockets: SlotMap::with_key(),
            ports: PortTable::new(config.ports, &mut rng),
            tcp: TcpLayer::new(&config, &mut rng),
            udp: UdpLayer::new(&config, &mut rng),
            events: EventQueue::default(),
            rng,
            stats: Stats::default(),
            config,
        }
    }

    /// The handle ceases to exist: its port, its pending events and the socket itself go.
    pub(crate) fn forget(&mut self, id: SocketId) {
        self.ports.release(id);
        self.events.forget(id);
        self.sockets.remove(id);
    }

    // ---- in: what happened ----

    /// Takes one frame (virtio-net header, then an IP packet) that arrived at `now`. Whatever is wrong with it is counted.
    pub fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        todo!()
    }

    /// Lets every deadline up to `now` do its work.
    pub fn handle_timers(&mut self, now: Instant) {
        todo!()
    }

    // ---- out: what to do next ----

    /// Hands every frame that is ready to go to `sink`, as slices that together are one frame; returns when none is left.
    /// Packets to the stack's own addresses go round inside and are processed before this returns.
    pub fn transmit(&mut self, now: Instant, sink: &mut dyn FnMut(&[IoSlice<'_>])) {
        todo!()
    }

    /// The next socket whose waiters are to be woken, with what happened since it was last returned: the bits that a
    /// wake-up of the kernel would carry (an arrival gives `IN` even if the socket was readable before).
    pub fn poll_event(&mut self) -> Option<(SocketId, Ready)> {
        todo!()
    }

    /// When [`Stack::handle_timers`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        todo!()
    }

    // ---- socket calls ----

    /// A new socket.
    pub fn socket(&mut self, domain: Domain, kind: Kind) -> Result<SocketId> {
        todo!()
    }

    /// bind(2).
    pub fn bind(&mut self, id: SocketId, addr: SocketAddr) -> Result<()> {
        todo!()
    }

    /// listen(2). Binds to an ephemeral port when unbound.
    pub fn listen(&mut self, now: Instant, id: SocketId, backlog: usize) -> Result<()> {
        todo!()
    }

    /// accept(2): the connection and its peer (for an AF_INET6 listener an IPv4 peer is ::ffff:a.b.c.d), or `WouldBlock`.
    pub fn accept(&mut self, now: Instant, id: SocketId) -> Result<(SocketId, SocketAddr)> {
        todo!()
    }

    /// connect(2). TCP: `InProgress` when this call started the attempt; call again when writable or failed to learn how it
    /// ended (`Ok` once on success, then `IsConnected`; the pending error once on failure). UDP: done at once.
    pub fn connect(&mut self, now: Instant, id: SocketId, addr: SocketAddr) -> Result<()> {
        todo!()
    }

    /// connect(2) with AF_UNSPEC.
    pub fn disconnect(&mut self, now: Instant, id: SocketId) -> Result<()> {
        todo!()
    }

    /// send(2) and its kin: the bytes taken (TCP: possibly fewer than given), or `WouldBlock` when none fits.
    pub fn send(
        &mut self,
        now: Instant,
        id: SocketId,
        data: &[IoSlice<'_>],
        flags: SendFlags,
        dest: Option<SocketAddr>,
    ) -> Result<usize> {
        todo!()
    }

    /// recv(2) and its kin.
    pub fn recv(
        &mut self,
        now: Instant,
        id: SocketId,
        bufs: &mut [IoSliceMut<'_>],
        flags: RecvFlags,
    ) -> Result<Received> {
        todo!()
    }

    /// shutdown(2).
    pub fn shutdown(&mut self, now: Instant, id: SocketId, how: Shutdown) -> Result<()> {
        todo!()
    }

    /// close(2) of the last descriptor. The connection itself goes on to its orderly end inside.
    pub fn close(&mut self, now: Instant, id: SocketId) -> Closed {
        todo!()
    }

    /// Whether a socket closed with [`Closed::Linger`] still has bytes or a FIN that the peer has not acknowledged.
    pub fn lingering(&self, id: SocketId) -> bool {
        todo!()
    }

    /// Gives a lingering handle up; the connection goes on to its orderly end inside.
    pub fn release(&mut self, now: Instant, id: SocketId) {
        todo!()
    }

    /// getsockname(2): the wildcard of the family and port 0 while unbound.
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr> {
        todo!()
    }

    /// getpeername(2).
    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr> {
        todo!()
    }

    /// What the socket is ready for now. A stale handle is `ERR | HUP`.
    pub fn readiness(&self, id: SocketId) -> Ready {
        todo!()
    }

    /// SO_ERROR: the pending error, which is thereby cleared.
    pub fn take_error(&mut self, id: SocketId) -> PendingError {
        todo!()
    }

    /// setsockopt(2).
    pub fn set_option(&mut self, now: Instant, id: SocketId, opt: SockOpt) -> Result<()> {
        todo!()
    }

    /// getsockopt(2).
    pub fn get_option(&self, id: SocketId, name: SockOptName) -> Result<SockOpt> {
        todo!()
    }

    /// SO_DOMAIN and SO_TYPE.
    pub fn kind(&self, id: SocketId) -> Result<(Domain, Kind)> {
        todo!()
    }

    /// The TCP state (for UDP see [`SocketInfo::state`]).
    pub fn state(&self, id: SocketId) -> Result<State> {
        todo!()
    }

    /// FIONREAD: bytes readable now (UDP: length of the next datagram). `Invalid` on a listener.
    pub fn readable_bytes(&self, id: SocketId) -> Result<usize> {
        todo!()
    }

    /// SIOCOUTQ: bytes not yet acknowledged.
    pub fn unsent_bytes(&self, id: SocketId) -> Result<usize> {
        todo!()
    }

    /// SIOCATMARK: the next byte read is the urgent one.
    pub fn at_mark(&self, id: SocketId) -> Result<bool> {
        todo!()
    }

    /// Every socket, half-open connection and TIME-WAIT remnant, for listings.
    pub fn sockets(&self) -> Vec<SocketInfo> {
        todo!()
    }

    /// Whether any closed connection still has data or a FIN to deliver (for the end of a process).
    pub fn has_undelivered(&self) -> bool {
        todo!()
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        todo!()
    }
}
