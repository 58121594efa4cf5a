//! A TCP segment out of a captured IP packet, and its description in words.

use std::fmt::Write;
use std::net::IpAddr;

/// What the demonstration tells of a TCP segment. Sequence numbers are the absolute ones of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) src: (IpAddr, u16),
    pub(crate) dst: (IpAddr, u16),
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) has_ack: bool,
    /// The window field, not scaled.
    pub(crate) window: u16,
    pub(crate) options: Vec<TcpOption>,
    pub(crate) payload: Vec<u8>,
}

/// Options of RFC 9293 3.1, RFC 7323 and RFC 2018.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TcpOption {
    /// Largest segment, bytes.
    Mss(u16),
    /// The window's shift count.
    WindowScale(u8),
    SackPermitted,
    /// Number of blocks.
    Sack(usize),
    /// TSval and TSecr.
    Timestamps(u32, u32),
    /// Kind.
    Other(u8),
}

impl Segment {
    /// From an IPv4 or IPv6 packet. `None`: not TCP, a fragment, or cut short.
    pub(crate) fn parse(packet: &[u8]) -> Option<Segment> {
        let (src, dst, tcp) = match packet.first()? >> 4 {
            4 => ipv4(packet)?,
            6 => ipv6(packet)?,
            _ => return None,
        };
        let header_len = usize::from(tcp.get(12)? >> 4) * 4;
        let flags = *tcp.get(13)?;
        let options = tcp.get(20..header_len)?;
        Some(Segment {
            src: (src, u16_at(tcp, 0)?),
            dst: (dst, u16_at(tcp, 2)?),
            seq: u32_at(tcp, 4)?,
            ack: u32_at(tcp, 8)?,
            fin: flags & 0x01 != 0,
            syn: flags & 0x02 != 0,
            rst: flags & 0x04 != 0,
            has_ack: flags & 0x10 != 0,
            window: u16_at(tcp, 14)?,
            options: parse_options(options),
            payload: tcp.get(header_len..)?.to_vec(),
        })
    }

    /// The sequence number after this segment: SYN and FIN count one each (RFC 9293 3.4).
    pub(crate) fn end(&self) -> u32 {
        let len = self.payload.len() as u32 + u32::from(self.syn) + u32::from(self.fin);
        self.seq.wrapping_add(len)
    }

    /// In words. `seq` and `ack` are counted from the two ends' initial sequence numbers, except in the handshake.
    pub(crate) fn words(&self, own_isn: u32, peer_isn: u32) -> String {
        let mut text = String::new();
        let name = match (self.syn, self.has_ack, self.fin, self.rst) {
            (true, false, ..) => "SYN",
            (true, true, ..) => "SYN-ACK",
            (_, _, _, true) => "RST",
            (_, _, true, _) => "FIN",
            _ if self.payload.is_empty() => "ACK",
            _ => "data",
        };
        let (seq, ack) = if self.syn {
            (self.seq, self.ack)
        } else {
            (
                self.seq.wrapping_sub(own_isn),
                self.ack.wrapping_sub(peer_isn),
            )
        };
        let _ = write!(text, "{name:<8} seq={seq}");
        if self.has_ack {
            let _ = write!(text, " ack={ack}");
        }
        if self.syn {
            let _ = write!(text, " win={}", self.window);
            for option in &self.options {
                text.push(' ');
                text.push_str(&option.words());
            }
        }
        if !self.payload.is_empty() {
            let _ = write!(
                text,
                "  {} bytes {}",
                self.payload.len(),
                quoted(&self.payload)
            );
        }
        text
    }
}

impl TcpOption {
    fn words(&self) -> String {
        match self {
            TcpOption::Mss(mss) => format!("mss={mss}"),
            TcpOption::WindowScale(shift) => format!("wscale={shift}"),
            TcpOption::SackPermitted => "sackOK".to_owned(),
            TcpOption::Sack(blocks) => format!("sack({blocks})"),
            TcpOption::Timestamps(..) => "TS".to_owned(),
            TcpOption::Other(kind) => format!("option-{kind}"),
        }
    }
}

fn ipv4(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let header_len = usize::from(packet.first()? & 0x0f) * 4;
    let total = usize::from(u16_at(packet, 2)?).min(packet.len());
    // RFC 791 3.1: fragment offset and the more-fragments flag; protocol 6.
    if u16_at(packet, 6)? & 0x3fff != 0 || *packet.get(9)? != 6 {
        return None;
    }
    let src: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let dst: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    Some((src.into(), dst.into(), packet.get(header_len..total)?))
}

fn ipv6(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    // RFC 8200 3: payload length, next header 6. Extension headers do not occur in the demonstration.
    let end = usize::from(u16_at(packet, 4)?)
        .saturating_add(40)
        .min(packet.len());
    if *packet.get(6)? != 6 {
        return None;
    }
    let src: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
    let dst: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
    Some((src.into(), dst.into(), packet.get(40..end)?))
}

fn parse_options(mut bytes: &[u8]) -> Vec<TcpOption> {
    let mut options = Vec::new();
    while let Some((&kind, rest)) = bytes.split_first() {
        match kind {
            0 => break,
            1 => {
                bytes = rest;
                continue;
            }
            _ => {}
        }
        let len = usize::from(rest.first().copied().unwrap_or(0));
        let Some(value) = bytes.get(2..len) else {
            break;
        };
        options.push(match (kind, value.len()) {
            (2, 2) => TcpOption::Mss(u16_at(value, 0).unwrap_or(0)),
            (3, 1) => TcpOption::WindowScale(value[0]),
            (4, 0) => TcpOption::SackPermitted,
            (5, n) => TcpOption::Sack(n / 8),
            (8, 8) => {
                TcpOption::Timestamps(u32_at(value, 0).unwrap_or(0), u32_at(value, 4).unwrap_or(0))
            }
            _ => TcpOption::Other(kind),
        });
        bytes = bytes.get(len..).unwrap_or_default();
    }
    options
}

fn quoted(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    let short: String = text.chars().take(QUOTED_CHARS).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", short.escape_default())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(
        bytes.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

const QUOTED_CHARS: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    /// A SYN as Linux sends it over a link of 1500 bytes.
    const SYN: [u8; 60] = [
        0x45, 0, 0, 60, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 83, 0, 1, 10, 83, 0, 2, // IPv4
        0x9c, 0x40, 0, 7, 0, 0, 0x10, 0, 0, 0, 0, 0, 0xa0, 0x02, 0xfa, 0xf0, 0, 0, 0,
        0, // TCP
        2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7,
    ];

    #[test]
    fn a_syn_in_words() {
        let segment = Segment::parse(&SYN).unwrap();
        assert_eq!(segment.src.0.to_string(), "10.83.0.1");
        assert_eq!(segment.dst.1, 7);
        assert_eq!(segment.end(), 4097);
        let words = segment.words(0, 0);
        assert_eq!(
            words,
            "SYN      seq=4096 win=64240 mss=1460 sackOK TS wscale=7"
        );
    }

    #[test]
    fn data_in_words() {
        let mut packet = SYN[..40].to_vec();
        packet[3] = 43;
        packet[32] = 0x50;
        packet[33] = 0x18;
        packet.extend_from_slice(b"ab\n");
        let segment = Segment::parse(&packet).unwrap();
        assert_eq!(
            segment.words(4095, 0),
            "data     seq=1 ack=0  3 bytes \"ab\\n\""
        );
    }

    #[test]
    fn cut_packets_are_no_segments() {
        for len in 0..40 {
            assert_eq!(Segment::parse(&SYN[..len]), None, "{len}");
        }
        // Option lengths that lie.
        assert_eq!(parse_options(&[2, 0, 2, 1, 3]), []);
        assert_eq!(parse_options(&[8]), []);
        assert_eq!(parse_options(&[2, 200, 1]), []);
        assert_eq!(parse_options(&[77, 2, 0, 9]), [TcpOption::Other(77)]);
    }
}
