//! Watches the wire: what a TCP may never send, judged from the packets alone.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::packet::{ACK, FIN, RST, SYN, Tcp, URG};

/// One direction of a connection, as its sender showed itself.
#[derive(Clone, Debug)]
pub(crate) struct Direction {
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    /// Initial sequence number, once a SYN was seen.
    pub(crate) isn: Option<u32>,
    /// Behind the highest sequence number sent.
    pub(crate) end: u32,
    /// Highest acknowledgement sent.
    pub(crate) ack: Option<u32>,
    /// Right edge of the window offered, highest ever.
    pub(crate) edge: Option<u32>,
    /// Window scale offered.
    wscale: Option<u8>,
    /// The last TSval.
    pub(crate) ts: Option<u32>,
    /// How many different SYNs were sent: acknowledgements are judged between sides of one connection.
    generation: u32,
    /// A FIN was sent.
    fin: bool,
    /// Segments sent, octets of text in them, segments that never arrived.
    pub(crate) sent: u64,
    pub(crate) text: u64,
    pub(crate) lost: u64,
    /// Losses in this direction and the other one since the sender learned of anything new: now, and at most.
    pub(crate) streak: u64,
    pub(crate) worst: u64,
    /// Highest acknowledgement on its way to the sender.
    pub(crate) heard: Option<u32>,
    /// Resets and ICMP errors that reached the sender of this direction.
    pub(crate) resets: u64,
    pub(crate) errors: u64,
}

/// All directions.
#[derive(Default)]
pub(crate) struct Watch {
    index: HashMap<(SocketAddr, SocketAddr), usize>,
    pub(crate) directions: Vec<Direction>,
    /// What peers believe of one another may be wrong: windows and acknowledgements are not judged.
    pub(crate) lenient: bool,
    /// Some packets are forged.
    pub(crate) forged: bool,
}

/// `a` is behind `b`.
pub(crate) fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

impl Watch {
    /// Nothing seen yet.
    pub(crate) fn new(lenient: bool, forged: bool) -> Watch {
        Watch {
            lenient,
            forged,
            ..Watch::default()
        }
    }

    /// The direction's number, made when new.
    pub(crate) fn find(&mut self, src: SocketAddr, dst: SocketAddr) -> usize {
        let next = self.directions.len();
        let at = *self.index.entry((src, dst)).or_insert(next);
        if at == next {
            self.directions.push(Direction {
                src,
                dst,
                isn: None,
                end: 0,
                ack: None,
                edge: None,
                wscale: None,
                ts: None,
                generation: 0,
                fin: false,
                sent: 0,
                text: 0,
                lost: 0,
                streak: 0,
                worst: 0,
                heard: None,
                resets: 0,
                errors: 0,
            });
        }
        at
    }

    /// A segment between these is lost: neither of them learns anything by it.
    pub(crate) fn lost(&mut self, src: SocketAddr, dst: SocketAddr) {
        let (here, there) = (self.find(src, dst), self.find(dst, src));
        self.directions[here].lost += 1;
        for at in [here, there] {
            let d = &mut self.directions[at];
            d.streak += 1;
            d.worst = d.worst.max(d.streak);
        }
    }

    /// A segment is to arrive at `dst`, who may learn by it what has reached `src`.
    pub(crate) fn arrives(&mut self, src: SocketAddr, dst: SocketAddr, t: &Tcp<'_>) {
        let at = self.find(dst, src);
        let d = &mut self.directions[at];
        if t.has(ACK) && d.heard.is_none_or(|last| after(t.ack, last)) {
            d.heard = Some(t.ack);
            d.streak = 0;
        }
    }

    /// The direction, if anything was sent in it.
    pub(crate) fn get(&self, src: SocketAddr, dst: SocketAddr) -> Option<&Direction> {
        self.directions.get(*self.index.get(&(src, dst))?)
    }

    /// A stack sends this segment. `strange`: one of the two may not remember what it has said (SYN cookies).
    pub(crate) fn sent(
        &mut self,
        src: SocketAddr,
        dst: SocketAddr,
        t: &Tcp<'_>,
        strange: bool,
    ) -> Result<usize, String> {
        let (here, there) = (self.find(src, dst), self.find(dst, src));
        let peer = self.directions[there].clone();
        let lenient = self.lenient || strange;
        let me = &mut self.directions[here];
        me.sent += 1;
        me.text += t.data.len() as u64;
        // Whoever knows nothing of a connection answers with resets: they say nothing about the sender's state.
        if t.has(RST) {
            return Ok(here);
        }
        if t.has(SYN) {
            let answers = |isn: u32| t.ack != isn && !after(isn, t.ack) && !after(t.ack, peer.end);
            if t.has(ACK) && (self.forged || strange) && peer.isn.is_some_and(|isn| !answers(isn)) {
                // The answer to a forged SYN, where the connection is over already.
                return Ok(here);
            }
            me.syn(t)?;
        }
        let Some(isn) = me.isn else {
            return Err("a segment before any SYN".into());
        };
        if after(isn, t.seq) && t.seq.wrapping_add(1) != isn {
            return Err(format!(
                "sequence number {} before the initial one {isn}",
                t.seq
            ));
        }
        let one = me.generation == peer.generation;
        if t.has(ACK) && !lenient && one {
            me.acknowledges(t, &peer)?;
        }
        if !t.has(SYN) && !lenient && one {
            me.fits(t, &peer)?;
        }
        if after(t.end(), me.end) {
            if me.fin && !t.has(FIN) {
                return Err(format!(
                    "text up to {} behind the FIN at {}",
                    t.end(),
                    me.end
                ));
            }
            me.end = t.end();
        }
        me.fin |= t.has(FIN);
        if t.has(URG) && t.urgent == 0 {
            return Err("urgent without a pointer".into());
        }
        if let Some(val) = t.ts_val() {
            if me.ts.is_some_and(|last| after(last, val)) {
                return Err(format!("timestamp {val} after {:?}", me.ts));
            }
            me.ts = Some(val);
        }
        Ok(here)
    }
}

impl Direction {
    fn syn(&mut self, t: &Tcp<'_>) -> Result<(), String> {
        // RFC 7413 4.1.3.1: a SYN that goes again is a plain one; and 4.2.2: a SYN-ACK never has text here.
        let again = self.isn == Some(t.seq);
        let fast = !t.data.is_empty() || t.option(34).or(t.option(254)).is_some();
        if fast && again && !t.has(ACK) || t.has(ACK) && !t.data.is_empty() {
            return Err("a SYN or SYN-ACK that is not plain".into());
        }
        if self.isn != Some(t.seq) {
            // A connection begins, perhaps in place of an earlier one.
            self.isn = Some(t.seq);
            self.generation += 1;
            self.end = t.end();
            self.ack = None;
            self.edge = None;
            self.fin = false;
            self.ts = None;
            self.heard = None;
        }
        self.wscale = t.option(3).and_then(|body| body.first().copied());
        Ok(())
    }

    /// Judges acknowledgement and window.
    fn acknowledges(&mut self, t: &Tcp<'_>, peer: &Direction) -> Result<(), String> {
        if peer.isn.is_some() && after(t.ack, peer.end) {
            return Err(format!(
                "acknowledges {} and only {} was sent",
                t.ack, peer.end
            ));
        }
        if self.ack.is_some_and(|last| after(last, t.ack)) {
            return Err(format!("acknowledges {} after {:?}", t.ack, self.ack));
        }
        self.ack = Some(t.ack);
        let scaled = !t.has(SYN) && self.wscale.is_some() && peer.wscale.is_some();
        let shift = if scaled { self.wscale.unwrap_or(0) } else { 0 };
        let edge = t.ack.wrapping_add(u32::from(t.window) << shift);
        if let Some(last) = self.edge
            && after(last, edge)
        {
            // RFC 9293 MUST-34. After the peer's FIN no window matters; the last octet may be the FIN's.
            if !peer.fin && !t.has(SYN) {
                return Err(format!("window's edge moves back from {last} to {edge}"));
            }
            return Ok(());
        }
        self.edge = Some(edge);
        Ok(())
    }

    /// Judges text against the window that the peer offered at most, and SACK blocks against what the peer sent.
    fn fits(&self, t: &Tcp<'_>, peer: &Direction) -> Result<(), String> {
        let end = t.seq.wrapping_add(t.data.len() as u32);
        if let Some(edge) = peer.edge
            && !t.data.is_empty()
            && after(end, edge)
        {
            return Err(format!("text up to {end}, the window ends at {edge}"));
        }
        for block in t.option(5).unwrap_or_default().chunks_exact(8) {
            let at =
                |i: usize| u32::from_be_bytes([block[i], block[i + 1], block[i + 2], block[i + 3]]);
            let (left, right) = (at(0), at(4));
            if !after(right, left) || after(right, peer.end) {
                return Err(format!("SACK {left}-{right}, sent was up to {}", peer.end));
            }
        }
        Ok(())
    }
}
