//! Text that is read from the device straight into the program's buffer.
//!
//! Who is about to take a frame, and waits for a connection's octets anyway, has its headers put into a buffer of their own and what is
//! behind them into the program's ([`Stack::place_for`]). If that is the connection's next text it is where it belongs already
//! ([`Stack::handle_placed`]), one copy sooner than by the receive queue. Any other frame is for its reader to put together again.

use std::io::IoSliceMut;

use super::input::Segment;
use super::tcb::Tcb;
use super::tuple::Tuple;
use super::{connection, data};
use crate::ip::{DstKind, input, proto};
use crate::socket::table::Proto;
use crate::socket::{RecvFlags, SocketId, State};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::checksum::pseudo_header;
use crate::wire::tcp::{Flags, Header};
use crate::wire::{ipv4, ipv6, tcp, vnet};

/// What a connection's next frame begins with, if it is as the others were.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Octets of its headers, the virtio-net header among them.
    pub headers: usize,
    /// Octets that may be read so before an acknowledgement is sent: a fraction of the receive buffer, none while there is something to send.
    pub unacknowledged: usize,
}

impl Stack {
    /// Where the text of the next frame for `id` begins. `None`: it cannot be read in place now, because octets wait or are missing in
    /// front of it, or somebody looks at whole packets.
    pub fn place_for(&self, id: SocketId) -> Option<Place> {
        let socket = self.sockets.get(id)?;
        let Proto::Tcp(socket) = &socket.proto else {
            return None;
        };
        let tcb = socket.tcb.as_deref()?;
        let watched =
            self.ifaces_matter || self.min_ttl_matters || self.filters_matter || self.raw.any();
        if socket.shut_rd || watched || !takes_placed(tcb) {
            return None;
        }
        let ip = match tcb.tuple.is_v4() {
            true => ipv4::HEADER_LEN,
            false => ipv6::HEADER_LEN,
        };
        let options = if tcb.ts.ok { TIMESTAMPS } else { 0 };
        // What an acknowledgement lets go of ours goes, and takes our own along.
        let unacknowledged = match tcb.snd.all_sent() {
            true => tcb.rcv.capacity() / 4,
            false => 0,
        };
        Some(Place {
            headers: vnet::LEN + ip + tcp::HEADER_LEN + options,
            unacknowledged,
        })
    }

    /// Takes a frame that arrived at `now`, of which `headers` is the front ([`Place::headers`] octets) and `text` what was behind it. Octets
    /// at the front of `text` that are `id`'s next, and count as read; 0 when they are in its queue instead. `None`: the frame is another
    /// one, nothing was done with it, and [`Stack::handle_buffer`] is to have it whole.
    pub fn handle_placed(
        &mut self,
        now: Instant,
        id: SocketId,
        headers: &[u8],
        text: &mut [u8],
    ) -> Option<usize> {
        let (meta, segment) = input::plain_tcp(self, headers, text.len())?;
        let (header, rest) = Header::parse(segment)?;
        let tcb = connection::tcb(self, id)?;
        let tuple = Tuple {
            local: meta.dst,
            remote: meta.src,
            local_port: header.dst_port,
            remote_port: header.src_port,
        };
        let plain = header.flags & !(Flags::PSH | Flags::ECE | Flags::CWR) == Flags::ACK;
        let next = header.seq == tcb.rcv.nxt && text.len() <= tcb.rcv.wnd() as usize;
        let ours = tcb.tuple == tuple && meta.dst_kind == DstKind::Unicast;
        if !rest.is_empty() || text.is_empty() || !plain || !next || !ours || !takes_placed(tcb) {
            return None;
        }
        if !meta.csum_ok {
            let len = (segment.len() + text.len()) as u32;
            let sum = pseudo_header(meta.src, meta.dst, proto::TCP, len);
            // A header is a multiple of four octets, so the text begins at a whole word.
            if sum.add(segment).add(text).finish() != 0 {
                return None;
            }
        }
        self.ip.set_now(now);
        self.stats.frames_in += 1;
        self.tcp.pool.place(text);
        let seg = Segment {
            header: &header,
            payload: text,
            gso_size: meta.gso_size,
            tos: meta.tos,
            ttl: meta.ttl,
        };
        connection::input(self, now, id, seg);
        let placed = self.tcp.pool.placed();
        if let Some(text) = text.get_mut(..placed).filter(|text| !text.is_empty()) {
            // The program has these: they are taken off the queue as recv does it, but for the copy.
            let _ = data::recv(
                self,
                now,
                id,
                &mut [IoSliceMut::new(text)],
                RecvFlags::TRUNC,
            );
        }
        Some(placed)
    }
}

/// Octets of a timestamps option with its padding (RFC 7323 appendix A).
const TIMESTAMPS: usize = 12;

/// Whether the next octets of the stream can go past the queue: nothing waits, nothing is missing, and no mark is among them.
fn takes_placed(tcb: &Tcb) -> bool {
    let flows = matches!(
        tcb.state,
        State::Established | State::FinWait1 | State::FinWait2
    );
    flows
        && tcb.rcv.queue.is_empty()
        && tcb.rcv.assembler.is_empty()
        && tcb.rcv.urgent.is_none()
        && tcb.rcv.fin.is_none()
}
