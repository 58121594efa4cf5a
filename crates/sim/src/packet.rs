//! Packets as the network sees them: taken apart for watching and logging, finished and cut as a device would, and made up.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Length of the virtio-net header before every packet.
pub(crate) const VNET: usize = 10;
pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;
pub(crate) const URG: u8 = 32;

/// An IP packet taken apart.
#[derive(Copy, Clone, Debug)]
pub(crate) struct View<'a> {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) proto: u8,
    /// A piece of a datagram.
    pub(crate) fragment: bool,
    /// Routers may not cut it.
    pub(crate) df: bool,
    pub(crate) payload: &'a [u8],
}

/// A TCP segment taken apart.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Tcp<'a> {
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) options: &'a [u8],
    pub(crate) data: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..at + 2) {
        Some(&[a, b]) => u16::from_be_bytes([a, b]),
        _ => 0,
    }
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) << 16 | u32::from(word(bytes, at + 2))
}

/// Takes an IP packet (without virtio-net header) apart.
pub(crate) fn view(packet: &[u8]) -> Option<View<'_>> {
    match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 15) * 4;
            let src: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
            let dst: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            let end = usize::from(word(packet, 2)).min(packet.len());
            Some(View {
                src: src.into(),
                dst: dst.into(),
                proto: packet[9],
                fragment: word(packet, 6) & 0x3fff != 0,
                df: packet[6] & 0x40 != 0,
                payload: packet.get(header..end)?,
            })
        }
        6 => {
            let src: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
            let dst: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            Some(View {
                src: src.into(),
                dst: dst.into(),
                proto: packet[6],
                fragment: packet[6] == 44,
                df: true,
                payload: packet.get(40..)?,
            })
        }
        _ => None,
    }
}

/// Takes a TCP segment apart.
pub(crate) fn tcp(segment: &[u8]) -> Option<Tcp<'_>> {
    let header = usize::from(segment.get(12)? >> 4) * 4;
    segment.get(..20)?;
    Some(Tcp {
        src_port: word(segment, 0),
        dst_port: word(segment, 2),
        seq: long(segment, 4),
        ack: long(segment, 8),
        flags: segment[13],
        window: word(segment, 14),
        urgent: word(segment, 18),
        options: segment.get(20..header)?,
        data: segment.get(header..)?,
    })
}

impl<'a> Tcp<'a> {
    /// Whether a control bit is set.
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Sequence space taken.
    pub(crate) fn len(&self) -> u32 {
        self.data.len() as u32 + u32::from(self.has(SYN)) + u32::from(self.has(FIN))
    }

    /// Sequence number behind it.
    pub(crate) fn end(&self) -> u32 {
        self.seq.wrapping_add(self.len())
    }

    /// The body of the option `kind`.
    pub(crate) fn option(&self, kind: u8) -> Option<&'a [u8]> {
        let mut rest = self.options;
        while let [k, tail @ ..] = rest {
            match *k {
                0 => return None,
                1 => rest = tail,
                k => {
                    let len = usize::from(*tail.first()?);
                    if k == kind {
                        return rest.get(2..len);
                    }
                    rest = rest.get(len.max(2)..)?;
                }
            }
        }
        None
    }

    /// TSval.
    pub(crate) fn ts_val(&self) -> Option<u32> {
        self.option(8).map(|body| long(body, 0))
    }
}

fn sum(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let odd = rest.first().map_or(0, |b| u64::from(*b) << 8);
    pairs
        .iter()
        .map(|p| u64::from(u16::from_be_bytes(*p)))
        .sum::<u64>()
        + odd
}

fn fold(mut s: u64) -> u16 {
    while s > 0xffff {
        s = (s & 0xffff) + (s >> 16);
    }
    s as u16
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

/// The Internet checksum over pseudo-header and payload: 0 when right.
pub(crate) fn transport_sum(view: &View<'_>) -> u16 {
    let pseudo = sum(&octets(view.src)) + sum(&octets(view.dst)) + u64::from(view.proto);
    !fold(pseudo + view.payload.len() as u64 + sum(view.payload))
}

/// A frame around one IP packet: zero virtio-net header, IP header, payload whose checksum at `checksum_at` is filled in.
pub(crate) fn frame(
    src: IpAddr,
    dst: IpAddr,
    proto: u8,
    mut payload: Vec<u8>,
    checksum_at: usize,
) -> Vec<u8> {
    let mut out = vec![0; VNET];
    match (src, dst) {
        (IpAddr::V4(s), IpAddr::V4(d)) => {
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, proto, 0, 0];
            header[2..4].copy_from_slice(&((20 + payload.len()) as u16).to_be_bytes());
            header.extend(s.octets());
            header.extend(d.octets());
            let check = !fold(sum(&header));
            header[10..12].copy_from_slice(&check.to_be_bytes());
            out.extend(header);
        }
        _ => {
            out.extend([0x60, 0, 0, 0]);
            out.extend((payload.len() as u16).to_be_bytes());
            out.extend([proto, 64]);
            out.extend(octets(src));
            out.extend(octets(dst));
        }
    }
    // ICMPv4 has no pseudo-header.
    let pseudo = if proto == 1 {
        0
    } else {
        sum(&octets(src)) + sum(&octets(dst)) + u64::from(proto) + payload.len() as u64
    };
    let check = !fold(pseudo + sum(&payload));
    if let Some(place) = payload.get_mut(checksum_at..checksum_at + 2) {
        place.copy_from_slice(&check.to_be_bytes());
    }
    out.extend(payload);
    out
}

/// A made-up TCP segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forged {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) data: Vec<u8>,
}

impl Forged {
    /// The frame that carries it.
    pub(crate) fn frame(&self, src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
        let mut options = self.options.clone();
        while !options.len().is_multiple_of(4) {
            options.push(1);
        }
        let mut seg = Vec::with_capacity(20 + options.len() + self.data.len());
        seg.extend(src.port().to_be_bytes());
        seg.extend(dst.port().to_be_bytes());
        seg.extend(self.seq.to_be_bytes());
        seg.extend(self.ack.to_be_bytes());
        seg.push(((20 + options.len()) as u8 / 4) << 4);
        seg.push(self.flags);
        seg.extend(self.window.to_be_bytes());
        seg.extend([0, 0]);
        seg.extend(self.urgent.to_be_bytes());
        seg.extend(options);
        seg.extend(&self.data);
        frame(src.ip(), dst.ip(), 6, seg, 16)
    }
}

/// The router's answer to a packet that does not fit: fragmentation needed (RFC 1191 4) or packet too big (RFC 4443 3.2).
pub(crate) fn too_big(packet: &[u8], mtu: u32) -> Option<Vec<u8>> {
    let to = view(packet)?.src;
    let v4 = to.is_ipv4();
    let quoted = packet.get(..packet.len().min(if v4 { 548 } else { 1232 }))?;
    let mut message = if v4 {
        vec![3, 4, 0, 0]
    } else {
        vec![2, 0, 0, 0]
    };
    message.extend(mtu.to_be_bytes());
    message.extend(quoted);
    let router: IpAddr = if v4 {
        [10, 1, 255, 254].into()
    } else {
        [0xfd00, 0, 0, 0, 0, 0, 0, 0xffff].into()
    };
    Some(frame(router, to, if v4 { 1 } else { 58 }, message, 2))
}

/// Completes a partial checksum, as the device below does.
fn complete(frame: &mut [u8]) {
    if frame[0] & 1 != 0 {
        let native = |at: usize| usize::from(u16::from_ne_bytes([frame[at], frame[at + 1]]));
        let (start, offset) = (VNET + native(6), native(8));
        let check = !fold(sum(&frame[start..]));
        frame[start + offset..start + offset + 2].copy_from_slice(&check.to_be_bytes());
    }
    frame[..VNET].fill(0);
}

/// Octets of the IP packet that a router would see of this frame: one segment's, for a super-segment.
pub(crate) fn size_on_path(frame: &[u8]) -> usize {
    let native = |at: usize| usize::from(u16::from_ne_bytes([frame[at], frame[at + 1]]));
    if frame[1] == 0 {
        frame.len() - VNET
    } else {
        (native(2) + native(4)).min(frame.len() - VNET)
    }
}

/// Cuts a super-segment and completes checksums, as the device below does; a plain frame comes back alone.
pub(crate) fn cut(frame: Vec<u8>, out: &mut Vec<Vec<u8>>) {
    if frame[1] == 0 {
        let mut frame = frame;
        complete(&mut frame);
        out.push(frame);
        return;
    }
    let native = |at: usize| usize::from(u16::from_ne_bytes([frame[at], frame[at + 1]]));
    let (headers, size) = (native(2), native(4).max(1));
    let v4 = frame[VNET] >> 4 == 4;
    let ip_len = if v4 { 20 } else { 40 };
    let text = &frame[VNET + headers..];
    let pieces = text.len().div_ceil(size).max(1);
    for (i, piece) in text.chunks(size).enumerate() {
        let mut one = frame[..VNET + headers].to_vec();
        one.extend(piece);
        let tcp = VNET + ip_len;
        let seq = long(&one, tcp + 4).wrapping_add((i * size) as u32);
        one[tcp + 4..tcp + 8].copy_from_slice(&seq.to_be_bytes());
        if i + 1 < pieces {
            one[tcp + 13] &= !(FIN | PSH);
        }
        let transport = headers - ip_len + piece.len();
        if v4 {
            one[VNET + 2..VNET + 4].copy_from_slice(&((20 + transport) as u16).to_be_bytes());
            one[VNET + 10..VNET + 12].fill(0);
            let check = !fold(sum(&one[VNET..VNET + 20]));
            one[VNET + 10..VNET + 12].copy_from_slice(&check.to_be_bytes());
        } else {
            one[VNET + 4..VNET + 6].copy_from_slice(&(transport as u16).to_be_bytes());
        }
        one[..VNET].fill(0);
        one[tcp + 16..tcp + 18].fill(0);
        let check = view(&one[VNET..]).map_or(0, |v| transport_sum(&v));
        one[tcp + 16..tcp + 18].copy_from_slice(&check.to_be_bytes());
        out.push(one);
    }
}

/// One line that tells a person what the packet says.
pub(crate) fn describe(packet: &[u8]) -> String {
    let Some(v) = view(packet) else {
        return format!("not IP, {} octets", packet.len());
    };
    if v.fragment {
        return format!("{} > {} fragment, {} octets", v.src, v.dst, v.payload.len());
    }
    match (v.proto, tcp(v.payload)) {
        (6, Some(t)) => {
            let (src, dst) = (
                SocketAddr::new(v.src, t.src_port),
                SocketAddr::new(v.dst, t.dst_port),
            );
            let mut line = format!("{src} > {dst} [{}] seq {}", flags(t.flags), t.seq);
            if !t.data.is_empty() {
                let _ = write!(
                    line,
                    ":{} ({})",
                    t.seq.wrapping_add(t.data.len() as u32),
                    t.data.len()
                );
            }
            if t.has(ACK) {
                let _ = write!(line, " ack {}", t.ack);
            }
            let _ = write!(line, " win {}", t.window);
            if t.has(URG) {
                let _ = write!(line, " urg {}", t.urgent);
            }
            options(&t, &mut line);
            line
        }
        (17, _) => format!(
            "{} > {} UDP {} octets",
            SocketAddr::new(v.src, word(v.payload, 0)),
            SocketAddr::new(v.dst, word(v.payload, 2)),
            v.payload.len().saturating_sub(8)
        ),
        (1 | 58, _) => format!(
            "{} > {} ICMP type {} code {} mtu {}",
            v.src,
            v.dst,
            v.payload.first().unwrap_or(&0),
            v.payload.get(1).unwrap_or(&0),
            long(v.payload, 4)
        ),
        _ => format!(
            "{} > {} protocol {}, {} octets",
            v.src,
            v.dst,
            v.proto,
            v.payload.len()
        ),
    }
}

fn flags(bits: u8) -> String {
    [
        (SYN, 'S'),
        (FIN, 'F'),
        (RST, 'R'),
        (PSH, 'P'),
        (URG, 'U'),
        (ACK, '.'),
    ]
    .iter()
    .filter(|(bit, _)| bits & bit != 0)
    .map(|(_, letter)| *letter)
    .collect()
}

fn options(t: &Tcp<'_>, line: &mut String) {
    if let Some(body) = t.option(2) {
        let _ = write!(line, " mss {}", word(body, 0));
    }
    if let Some(&[shift]) = t.option(3) {
        let _ = write!(line, " wscale {shift}");
    }
    if t.option(4).is_some() {
        line.push_str(" sackOK");
    }
    if let Some(body) = t.option(8) {
        let _ = write!(line, " ts {}/{}", long(body, 0), long(body, 4));
    }
    for block in t.option(5).unwrap_or_default().chunks_exact(8) {
        let _ = write!(line, " sack {}-{}", long(block, 0), long(block, 4));
    }
}

/// Makes the checksums of a packet that was tampered with right again, as far as there is a packet to be seen.
pub(crate) fn mend(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(VNET..) else {
        return;
    };
    let v4 = packet.first().is_some_and(|b| b >> 4 == 4);
    let header = if v4 {
        usize::from(packet[0] & 15) * 4
    } else {
        40
    };
    if v4 && packet.len() >= header.max(20) {
        packet[10..12].fill(0);
        let check = !fold(sum(&packet[..header]));
        packet[10..12].copy_from_slice(&check.to_be_bytes());
    }
    let Some(proto) = view(packet).map(|v| v.proto) else {
        return;
    };
    let at = header
        + match proto {
            6 => 16,
            17 => 6,
            _ => 2,
        };
    if packet.len() < at + 2 {
        return;
    }
    packet[at..at + 2].fill(0);
    let check = view(packet).map_or(0, |v| match proto {
        1 => !fold(sum(v.payload)),
        _ => transport_sum(&v),
    });
    packet[at..at + 2].copy_from_slice(&check.to_be_bytes());
}
