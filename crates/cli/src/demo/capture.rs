//! The packets of a round, out of its capture file, told in words beside the states they lead to.

use std::fs::File;
use std::io::BufReader;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use pcap_file::pcapng::{Block, PcapNgReader};

use super::segment::Segment;
use super::states::{Follower, State, Way};

/// One packet in words, and what it did to the stack's socket.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) line: String,
    pub(crate) passed: Vec<State>,
}

/// Tells the connection that the capture holds. `stack` is the stack's address, `start` its socket's state before.
pub(crate) fn tell(file: &Path, stack: IpAddr, start: State) -> Result<Vec<Told>, String> {
    let packets = read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut told = Vec::new();
    let mut follower = Follower::new(start);
    let mut isn = Isn::default();
    let first = packets.first().map(|(time, _)| *time).unwrap_or_default();
    for (time, segment) in &packets {
        let way = if segment.src.0 == stack {
            Way::Out
        } else {
            Way::In
        };
        isn.note(way, segment);
        let (own, peer) = isn.of(way);
        let before = follower.state;
        let passed = follower.packet(way, segment);
        let ms = time.saturating_sub(first).as_secs_f64() * 1e3;
        let arrow = if way == Way::Out { '→' } else { '←' };
        let mut line = format!("{ms:8.2} ms  {arrow}  {:<WORDS$}", segment.words(own, peer));
        if !passed.is_empty() {
            line.push_str(&format!("  {before}"));
            passed
                .iter()
                .for_each(|state| line.push_str(&format!(" → {state}")));
        }
        told.push(Told {
            line: line.trim_end().to_owned(),
            passed,
        });
    }
    Ok(told)
}

/// Characters for a packet's words: a SYN-ACK with all its options.
const WORDS: usize = 84;

/// The initial sequence numbers of both ends, once their SYNs were seen.
#[derive(Default)]
struct Isn {
    stack: u32,
    peer: u32,
}

impl Isn {
    fn note(&mut self, way: Way, segment: &Segment) {
        match way {
            Way::Out if segment.syn => self.stack = segment.seq,
            Way::In if segment.syn => self.peer = segment.seq,
            _ => {}
        }
    }

    /// The sender's and the receiver's.
    fn of(&self, way: Way) -> (u32, u32) {
        match way {
            Way::Out => (self.stack, self.peer),
            Way::In => (self.peer, self.stack),
        }
    }
}

fn read(file: &Path) -> Result<Vec<(Duration, Segment)>, String> {
    let file = File::open(file).map_err(|error| error.to_string())?;
    let mut reader = PcapNgReader::new(BufReader::new(file)).map_err(|error| error.to_string())?;
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        let block = block.map_err(|error| error.to_string())?;
        if let Block::EnhancedPacket(packet) = block
            && let Some(segment) = Segment::parse(&packet.data)
        {
            packets.push((packet.timestamp, segment));
        }
    }
    Ok(packets)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use pcap_file::DataLink;
    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;

    use super::*;

    /// An IPv4 packet with a bare TCP header between 10.0.0.`src` and 10.0.0.`dst`.
    fn packet(src: u8, dst: u8, seq: u32, ack: u32, flags: u8) -> Vec<u8> {
        let mut packet = vec![
            0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, src, 10, 0, 0, dst, 0, 7, 0, 7,
        ];
        packet.extend(seq.to_be_bytes());
        packet.extend(ack.to_be_bytes());
        packet.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
        packet
    }

    #[test]
    fn a_capture_is_told() {
        let path =
            std::env::temp_dir().join(format!("tunsock-capture-{}.pcapng", std::process::id()));
        let mut writer = PcapNgWriter::new(File::create(&path).unwrap()).unwrap();
        let interface = InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: 0,
            options: vec![],
        };
        writer.write_pcapng_block(interface).unwrap();
        let packets = [
            packet(1, 2, 100, 0, 2),
            packet(2, 1, 500, 101, 0x12),
            packet(1, 2, 101, 501, 0x10),
        ];
        for (i, data) in packets.into_iter().enumerate() {
            let block = EnhancedPacketBlock {
                interface_id: 0,
                timestamp: Duration::from_micros(1_000_000 + 250 * i as u64),
                original_len: data.len() as u32,
                data: Cow::from(data),
                options: vec![],
            };
            writer.write_pcapng_block(block).unwrap();
        }
        drop(writer);
        let told = tell(&path, "10.0.0.2".parse().unwrap(), State::Listen).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<String> = told
            .iter()
            .map(|packet| packet.line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines[0],
            "0.00 ms ← SYN seq=100 win=0 LISTEN → SYN-RECEIVED"
        );
        assert_eq!(lines[1], "0.25 ms → SYN-ACK seq=500 ack=101 win=0");
        assert_eq!(
            lines[2],
            "0.50 ms ← ACK seq=1 ack=1 SYN-RECEIVED → ESTABLISHED"
        );
        assert!(tell(&path, "10.0.0.2".parse().unwrap(), State::Listen).is_err());
    }
}
