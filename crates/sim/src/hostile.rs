//! Forged packets: from somebody who sees nothing, somebody who lies, somebody who ruins.

use std::net::{IpAddr, SocketAddr};

use crate::packet::{ACK, FIN, Forged, PSH, RST, SYN, URG, VNET, frame};
use crate::plan::Hostile;
use crate::watch::Direction;
use crate::world::{Event, PORT, World, address};

/// A direction in which a forged segment goes, and what the victim has said in the other.
struct Mark {
    peer: Direction,
    victim: Direction,
}

impl World {
    /// Sends one forged packet.
    pub(crate) fn forge(&mut self) {
        let Some(mark) = self.mark() else { return };
        let made = match self.plan.hostile {
            Hostile::Nobody => return,
            Hostile::Blind => self.blind(&mark),
            Hostile::Liar => self.lie(&mark),
            Hostile::Ruin => self.ruin(&mark),
        };
        let Some(made) = made else { return };
        self.log.note(self.now, || {
            format!("forged: {}", crate::packet::describe(&made[VNET..]))
        });
        self.deliver(self.now, made, false);
    }

    /// A connection both of whose sides have been heard.
    fn mark(&mut self) -> Option<Mark> {
        let n = self.watch.directions.len() as u64;
        let at = self.dice.below(n) as usize;
        let peer = self.watch.directions.get(at)?.clone();
        let back = self.watch.find(peer.dst, peer.src);
        let victim = self.watch.directions.get(back)?.clone();
        let open = peer.isn.is_some() && victim.isn.is_some() && peer.ack.is_some();
        open.then_some(Mark { peer, victim })
    }

    /// Beyond everything that the peer has sent, and within the victim's window.
    fn in_window(&mut self, mark: &Mark) -> Option<u32> {
        let room = mark.victim.edge?.wrapping_sub(mark.peer.end);
        if !(2..=1 << 30).contains(&room) {
            return None;
        }
        Some(
            mark.peer
                .end
                .wrapping_add(1 + self.dice.below(u64::from(room) - 1) as u32),
        )
    }

    fn noise(&mut self, max: u64) -> Vec<u8> {
        let mut data = vec![0; self.dice.range(1, max) as usize];
        self.dice.fill(&mut data);
        data
    }

    /// Somebody who guesses: RFC 5961 wants all of this without effect.
    fn blind(&mut self, mark: &Mark) -> Option<Vec<u8>> {
        let (src, dst) = (mark.peer.src, mark.peer.dst);
        let next = mark.victim.ack?;
        let unsent = mark
            .victim
            .end
            .wrapping_add(1 + self.dice.below(1 << 29) as u32);
        let stale = mark
            .victim
            .end
            .wrapping_sub((1 << 30) + self.dice.below(1 << 28) as u32);
        let good = mark.peer.ack?;
        let window = self.dice.any() as u16;
        let kind = self.dice.below(9);
        let bare = |seq, ack, flags| Forged {
            seq,
            ack,
            flags,
            window,
            ..Forged::default()
        };
        let mut seg = match kind {
            0 => bare(self.in_window(mark)?, 0, RST),
            1 => bare(self.in_window(mark)?, good, RST | ACK),
            2 => bare(self.in_window(mark)?, 0, SYN),
            3 => bare(next, unsent, ACK),
            4 => bare(next, unsent, ACK | PSH),
            5 => bare(next, stale, ACK | FIN),
            6 => bare(next, good, ACK),
            7 => return self.stray(),
            _ => return self.icmp(mark),
        };
        if kind == 6 {
            // A timestamp of long ago (RFC 7323 5).
            let ago = 1 + self.dice.below(1 << 30) as u32;
            mark.victim.ts?;
            seg.options = stamp(mark.peer.ts?.wrapping_sub(ago), 0);
        }
        if kind >= 4 {
            seg.data = self.noise(1000);
        }
        Some(seg.frame(src, dst))
    }

    /// A segment for no connection, or a SYN from nowhere.
    fn stray(&mut self) -> Option<Vec<u8>> {
        let host = self.dice.below(self.hosts.len() as u64) as usize;
        let v6 = self.dice.percent(50);
        let nowhere: IpAddr = if v6 {
            [0xfd00, 0, 0, 0, 0, 0, 1, self.dice.below(65_536) as u16].into()
        } else {
            [10, 1, 250, self.dice.below(250) as u8].into()
        };
        let src = SocketAddr::new(nowhere, self.dice.range(1, 65_535) as u16);
        let flags = self
            .dice
            .pick(&[SYN, SYN, SYN, ACK, RST, SYN | ACK, FIN | ACK, 0, 63]);
        let seg = Forged {
            seq: self.dice.any() as u32,
            ack: self.dice.any() as u32,
            flags,
            window: 1000,
            ..Forged::default()
        };
        Some(seg.frame(src, SocketAddr::new(address(host, v6), PORT)))
    }

    /// SYNs from nowhere, at once.
    pub(crate) fn flood(&mut self, host: usize, syns: u32) {
        for _ in 0..syns {
            let nowhere = IpAddr::from([10, 1, 249, self.dice.below(250) as u8]);
            let src = SocketAddr::new(nowhere, self.dice.range(1, 65_535) as u16);
            let seg = Forged {
                seq: self.dice.any() as u32,
                flags: SYN,
                window: 1000,
                ..Forged::default()
            };
            let made = seg.frame(src, SocketAddr::new(address(host, false), PORT));
            self.deliver(self.now, made, false);
        }
    }

    /// An ICMP error about an octet that is not in flight (RFC 5927 4.1).
    fn icmp(&mut self, mark: &Mark) -> Option<Vec<u8>> {
        let seq = mark
            .victim
            .end
            .wrapping_add(1 + self.dice.below(1 << 29) as u32);
        let inner = Forged {
            seq,
            flags: ACK,
            ..Forged::default()
        }
        .frame(mark.victim.src, mark.victim.dst);
        let v4 = mark.peer.src.is_ipv4();
        let (kind, code) = if v4 {
            (3, self.dice.below(16) as u8)
        } else {
            (self.dice.range(1, 4) as u8, self.dice.below(5) as u8)
        };
        let mut message = vec![kind, code, 0, 0];
        message.extend(self.dice.pick(&[0u32, 68, 576, 1280, 65_535]).to_be_bytes());
        message.extend(&inner[VNET..]);
        Some(frame(
            mark.peer.src.ip(),
            mark.peer.dst.ip(),
            if v4 { 1 } else { 58 },
            message,
            2,
        ))
    }

    /// An ACK that the peer might have sent, but for its window and its SACK blocks.
    fn lie(&mut self, mark: &Mark) -> Option<Vec<u8>> {
        let ack = mark.peer.ack?;
        let mut seg = Forged {
            seq: mark.peer.end,
            ack,
            flags: ACK,
            ..Forged::default()
        };
        seg.window = self.dice.pick(&[0, 0, 1, 100, 65_535]);
        if let (Some(val), Some(_)) = (mark.peer.ts, mark.victim.ts) {
            seg.options = stamp(val, mark.victim.ts?);
        }
        if self.dice.percent(70) {
            let blocks = self.dice.range(1, 3);
            seg.options.extend([1, 1, 5, 2 + 8 * blocks as u8]);
            for _ in 0..blocks {
                let [left, right] = self.sack_lie(mark, ack);
                seg.options.extend(left.to_be_bytes());
                seg.options.extend(right.to_be_bytes());
            }
        }
        for _ in 0..self.dice.below(4) {
            let again = seg.frame(mark.peer.src, mark.peer.dst);
            self.deliver(self.now, again, false);
        }
        Some(seg.frame(mark.peer.src, mark.peer.dst))
    }

    fn sack_lie(&mut self, mark: &Mark, ack: u32) -> [u32; 2] {
        let flight = mark.victim.end.wrapping_sub(ack);
        let flight = u64::from(if flight > 1 << 30 { 0 } else { flight });
        match self.dice.below(6) {
            0 => [ack, mark.victim.end],
            1 => [ack.wrapping_add(1), mark.victim.end],
            2 => [self.dice.any() as u32, self.dice.any() as u32],
            3 => [mark.victim.end, mark.victim.end.wrapping_add(10_000)],
            4 => [ack.wrapping_sub(2_000), ack.wrapping_sub(1_000)],
            _ => {
                let left = self.dice.below(flight + 1) as u32;
                let len = self.dice.below(flight + 1) as u32;
                [
                    ack.wrapping_add(left),
                    ack.wrapping_add(left).wrapping_add(len),
                ]
            }
        }
    }

    /// Anything at all.
    fn ruin(&mut self, mark: &Mark) -> Option<Vec<u8>> {
        match self.dice.below(6) {
            0 => return self.blind(mark),
            1 => return self.lie(mark),
            _ => {}
        }
        let next = mark.victim.ack?;
        let good = mark.peer.ack?;
        let window = self.dice.any() as u16;
        let room = mark.victim.edge?.wrapping_sub(next).min(1 << 20);
        let flags = self.dice.pick(&[
            ACK,
            ACK,
            ACK | PSH,
            ACK | FIN,
            RST,
            RST | ACK,
            SYN,
            SYN | ACK,
            ACK | URG,
            SYN | FIN | ACK,
            0,
            FIN,
            63,
        ]);
        let seq = match self.dice.below(3) {
            0 => next,
            1 => next.wrapping_add(self.dice.below(u64::from(room) + 1) as u32),
            _ => mark.peer.end.wrapping_sub(self.dice.below(5_000) as u32),
        };
        let ahead = mark.victim.end.wrapping_sub(good);
        let ack = match self.dice.below(3) {
            0 => good,
            1 => mark.victim.end,
            _ => good.wrapping_add(self.dice.below(u64::from(ahead.min(1 << 20)) + 1) as u32),
        };
        let options = self.odd_options(mark);
        let data = if self.dice.percent(60) {
            self.noise(3_000)
        } else {
            Vec::new()
        };
        let urgent = self.dice.any() as u16;
        let seg = Forged {
            seq,
            ack,
            flags,
            window,
            urgent,
            options,
            data,
        };
        if self.dice.percent(10) {
            self.shower(mark, &seg);
        }
        Some(seg.frame(mark.peer.src, mark.peer.dst))
    }

    /// A timestamp, sometimes of the far future, sometimes cut short and followed by anything.
    fn odd_options(&mut self, mark: &Mark) -> Vec<u8> {
        let mut options = Vec::new();
        if let Some(val) = mark.peer.ts {
            let lie = if self.dice.percent(20) {
                self.dice.any() as u32
            } else {
                0
            };
            options = stamp(val.wrapping_add(lie), self.dice.any() as u32);
        }
        if self.dice.percent(20) {
            options.truncate(self.dice.below(options.len() as u64 + 1) as usize);
            options.extend(self.noise(12));
        }
        options
    }

    /// Many single octets with gaps between them: reassembly has to bear it.
    fn shower(&mut self, mark: &Mark, seg: &Forged) {
        for i in 0..self.dice.range(10, 700) as u32 {
            let one = Forged {
                seq: seg.seq.wrapping_add(2 * i),
                flags: ACK,
                data: vec![b'x'],
                ..seg.clone()
            };
            let made = one.frame(mark.peer.src, mark.peer.dst);
            self.deliver(self.now, made, false);
        }
        let again = self.dice.range(1_000, 1_000_000);
        self.after(again, Event::Forge);
    }
}

/// A timestamps option.
fn stamp(val: u32, ecr: u32) -> Vec<u8> {
    let mut out = vec![1, 1, 8, 10];
    out.extend(val.to_be_bytes());
    out.extend(ecr.to_be_bytes());
    out
}
