//! What is in the file, and when.

use super::*;
use crate::faults::{FaultConfig, Faults};
use crate::memory::{MemoryConfig, MemoryDevice};
use pcap_file::pcapng::{Block, PcapNgReader};

/// A file name of this test's own, removed at the end.
struct Temp(PathBuf);

impl Temp {
    fn new(name: &str) -> Temp {
        let name = format!("tunsock-link-{}-{name}.pcapng", std::process::id());
        Temp(std::env::temp_dir().join(name))
    }

    fn config(&self, append: bool) -> CaptureConfig {
        CaptureConfig {
            path: self.0.clone(),
            append,
            device: "tunsock0".into(),
            epoch_offset_ns: Some(1_600_000_000_000_000_000),
        }
    }

    /// All packets: nanoseconds since 1970, direction, bytes.
    fn packets(&self) -> Vec<(u128, u32, Vec<u8>)> {
        let mut reader = PcapNgReader::new(std::fs::File::open(&self.0).unwrap()).unwrap();
        let mut packets = Vec::new();
        let mut interfaces = 0;
        while let Some(block) = reader.next_block() {
            match block.unwrap() {
                Block::InterfaceDescription(block) => {
                    interfaces += 1;
                    assert_eq!(block.linktype, DataLink::RAW);
                    let name = InterfaceDescriptionOption::IfName("tunsock0".into());
                    assert!(block.options.contains(&name));
                    assert!(
                        block
                            .options
                            .contains(&InterfaceDescriptionOption::IfTsResol(9))
                    );
                }
                Block::EnhancedPacket(block) => {
                    let [EnhancedPacketOption::Flags(flags)] = block.options[..] else {
                        panic!("{block:?}");
                    };
                    assert_eq!(block.original_len as usize, block.data.len());
                    packets.push((block.timestamp.as_nanos(), flags, block.data.to_vec()));
                }
                Block::SectionHeader(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(interfaces > 0);
        packets
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn pair() -> (MemoryDevice, MemoryDevice) {
    MemoryDevice::pair(MemoryConfig::default()).unwrap()
}

fn frame(packet: &[u8]) -> Vec<u8> {
    [&[0; VNET_HDR_LEN], packet].concat()
}

fn send(device: &mut impl Device, now_us: u64, packet: &[u8]) -> Result<(), LinkError> {
    let frame = frame(packet);
    let (head, tail) = frame.split_at(VNET_HDR_LEN + 1);
    device.send(now_us, &[IoSlice::new(head), IoSlice::new(tail)])
}

const EPOCH: u128 = 1_600_000_000_000_000_000;

#[test]
fn both_directions_read_back() {
    let temp = Temp::new("both");
    let (near, mut far) = pair();
    let mut near = Capture::create(near, &temp.config(false)).unwrap();
    assert_eq!(temp.packets(), []);
    send(&mut near, 1, b"question").unwrap();
    send(&mut far, 2, b"answer").unwrap();
    near.recv(1_500_000, &mut [0; 100]).unwrap();
    assert_eq!(
        near.recv(1_500_001, &mut [0; 100]),
        Err(LinkError::WouldBlock)
    );
    drop(near);
    let expected = [
        (EPOCH + 1000, OUTBOUND, b"question".to_vec()),
        (EPOCH + 1_500_000_000, INBOUND, b"answer".to_vec()),
    ];
    assert_eq!(temp.packets(), expected);
}

#[test]
fn written_within_a_second_and_on_flush() {
    let temp = Temp::new("second");
    let (near, mut far) = pair();
    let mut near = Capture::create(near, &temp.config(false)).unwrap();
    assert_eq!(near.next_deadline(), None);
    send(&mut near, 5, b"one").unwrap();
    send(&mut near, 7, b"two").unwrap();
    assert_eq!(near.next_deadline(), Some(1_000_005));
    near.poll(1_000_004);
    assert_eq!(temp.packets().len(), 0);
    near.poll(1_000_005);
    assert_eq!((temp.packets().len(), near.next_deadline()), (2, None));
    send(&mut near, 2_000_000, b"three").unwrap();
    near.flush();
    assert_eq!(temp.packets().len(), 3);
    // Nobody polls, but packets go on: the next one after a second writes.
    send(&mut near, 3_000_000, b"four").unwrap();
    send(&mut near, 4_000_000, b"five").unwrap();
    assert_eq!(temp.packets().len(), 5);
    // So does a full buffer, and whole packets only.
    for _ in 0..300 {
        send(&mut near, 5_000_000, &[7; 1000]).unwrap();
    }
    let written = temp.packets().len();
    assert!((250..300).contains(&written), "{written}");
    while far.recv(0, &mut [0; 2000]).is_ok() {}
}

#[test]
fn appended_sections() {
    let temp = Temp::new("append");
    for text in [b"first run.", b"second run"] {
        let (near, _far) = pair();
        send(
            &mut Capture::create(near, &temp.config(true)).unwrap(),
            0,
            text,
        )
        .unwrap();
    }
    let texts: Vec<Vec<u8>> = temp.packets().into_iter().map(|packet| packet.2).collect();
    assert_eq!(texts, [b"first run.", b"second run"]);
    let (near, _far) = pair();
    drop(Capture::create(near, &temp.config(false)).unwrap());
    assert_eq!(temp.packets().len(), 0);
}

#[test]
fn what_faults_lose_was_sent() {
    let temp = Temp::new("faults");
    let (near, mut far) = pair();
    let faults = Faults::new(
        near,
        FaultConfig {
            loss: 1.0,
            ..FaultConfig::default()
        },
    );
    let boxed: Box<dyn Device> = Box::new(faults);
    let mut near = Capture::create(boxed, &temp.config(false)).unwrap();
    send(&mut near, 0, b"into the dark").unwrap();
    send(&mut far, 0, b"never arrives").unwrap();
    assert_eq!(near.recv(0, &mut [0; 100]), Err(LinkError::WouldBlock));
    drop(near);
    assert_eq!(
        temp.packets(),
        [(EPOCH, OUTBOUND, b"into the dark".to_vec())]
    );
}

#[test]
fn not_what_was_not_sent() {
    let temp = Temp::new("gone");
    let (near, far) = pair();
    let mut near = Capture::create(near, &temp.config(false)).unwrap();
    drop(far);
    assert_eq!(send(&mut near, 0, b"nobody"), Err(LinkError::Gone));
    drop(near);
    assert_eq!(temp.packets(), []);
}

#[test]
fn checksums_are_completed_in_the_copy() {
    let temp = Temp::new("checksum");
    let (near, mut far) = pair();
    let mut near = Capture::create(near, &temp.config(false)).unwrap();
    // RFC 1071 section 3: the words sum to ddf2. Two bytes before, the field, and an odd end.
    let packet = [
        9, 9, 0, 0, 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7, 0x10,
    ];
    let mut header = [0; VNET_HDR_LEN];
    header[0] = HDR_F_NEEDS_CSUM;
    header[6..8].copy_from_slice(&2u16.to_ne_bytes());
    near.send(0, &[IoSlice::new(&[&header[..], &packet].concat())])
        .unwrap();
    let mut buf = [0; 100];
    assert_eq!(far.recv(0, &mut buf), Ok(VNET_HDR_LEN + packet.len()));
    assert_eq!(
        buf[VNET_HDR_LEN..][..packet.len()],
        packet,
        "the device's copy is as it was"
    );
    drop(near);
    let checksum = !(0xddf2u16 + 0x1000);
    let mut complete = packet;
    complete[2..4].copy_from_slice(&checksum.to_be_bytes());
    assert_eq!(temp.packets(), [(EPOCH, OUTBOUND, complete.to_vec())]);
}

#[test]
fn a_header_that_points_nowhere_does_no_harm() {
    let mut header = [0xff; VNET_HDR_LEN];
    let mut packet = [1, 2, 3, 4];
    complete_checksum(&header, &mut packet);
    header[6..10].fill(0);
    complete_checksum(&header, &mut packet[..1]);
    complete_checksum(&header[..3], &mut packet);
    assert_eq!(packet, [1, 2, 3, 4]);
}

#[test]
fn a_write_error_ends_the_capture_not_the_traffic() {
    let (near, mut far) = pair();
    // Every write to it fails with ENOSPC; opening does not.
    let config = CaptureConfig {
        path: "/dev/full".into(),
        append: false,
        device: "tunsock0".into(),
        epoch_offset_ns: None,
    };
    assert_eq!(Capture::create(near, &config).unwrap_err(), Errno::NOSPC);
    let temp = Temp::new("error");
    let (near, mut other) = pair();
    let mut near = Capture::create(near, &temp.config(false)).unwrap();
    let full = rustix::fs::open("/dev/full", OFlags::WRONLY, Mode::empty()).unwrap();
    near.file.as_mut().unwrap().fd = Descriptor::new(full);
    send(&mut near, 0, b"one").unwrap();
    assert!(near.is_active());
    near.poll(2_000_000);
    assert!(!near.is_active());
    send(&mut near, 3_000_000, b"two").unwrap();
    assert!(other.recv(0, &mut [0; 100]).is_ok() && other.recv(0, &mut [0; 100]).is_ok());
    assert_eq!(far.recv(0, &mut [0; 100]), Err(LinkError::Gone));
}

#[test]
fn refuses_what_could_stop_the_traffic() {
    let temp = Temp::new("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &temp.0,
        FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    let (near, _far) = pair();
    // Without a reader open(2) says ENXIO, with one we say EINVAL.
    assert_eq!(
        Capture::create(near, &temp.config(false)).unwrap_err(),
        Errno::NXIO
    );
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let _reader = rustix::fs::open(&temp.0, flags, Mode::empty()).unwrap();
    let (near, _far) = pair();
    assert_eq!(
        Capture::create(near, &temp.config(false)).unwrap_err(),
        Errno::INVAL
    );
    let (near, _far) = pair();
    let nowhere = CaptureConfig {
        path: "/no/such/directory".into(),
        ..temp.config(false)
    };
    assert_eq!(Capture::create(near, &nowhere).unwrap_err(), Errno::NOENT);
}

#[test]
fn wall_clock_by_default() {
    let temp = Temp::new("clock");
    let (near, _far) = pair();
    let config = CaptureConfig {
        epoch_offset_ns: None,
        ..temp.config(false)
    };
    let mut near = Capture::create(near, &config).unwrap();
    let now = clock_gettime(ClockId::Monotonic);
    let now_us = now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000;
    send(&mut near, now_us, b"now").unwrap();
    near.flush();
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let age = since.as_nanos().abs_diff(temp.packets()[0].0);
    assert!(age < 5_000_000_000, "{age}");
}
