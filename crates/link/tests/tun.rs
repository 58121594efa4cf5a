//! TUN devices against the kernel. Every test runs in a thread with a network namespace of its own
//! (which dies with the thread), so nothing outside is touched. Without the rights for that, all of
//! them say so and count as ignored.

use std::io::{IoSlice, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::thread::UnshareFlags;
use tunsock_link::{
    Device, FRAME_MAX, HDR_F_NEEDS_CSUM, LinkError, Netlink, OpenError, Slot, Tun, TunConfig,
    VNET_HDR_LEN, create_persistent, delete_persistent,
};

const TESTS: &[(&str, fn())] = &[
    (
        "the_kernel_sends_us_a_datagram",
        the_kernel_sends_us_a_datagram,
    ),
    (
        "without_offload_frames_are_plain",
        without_offload_frames_are_plain,
    ),
    ("ipv6_without_noise", ipv6_without_noise),
    ("the_kernel_gets_our_datagram", the_kernel_gets_our_datagram),
    ("frames_go_together", frames_go_together),
    (
        "a_super_segment_arrives_and_leaves",
        a_super_segment_arrives_and_leaves,
    ),
    ("gone_when_deleted", gone_when_deleted),
    ("down_is_loss_not_gone", down_is_loss_not_gone),
    ("in_use_by_another", in_use_by_another),
    ("not_a_tun", not_a_tun),
    ("persistent_devices", persistent_devices),
    ("a_failed_open_leaves_nothing", a_failed_open_leaves_nothing),
    ("free_slots", free_slots),
    ("routes_and_mtu", routes_and_mtu),
    ("ipv6_switched_off", ipv6_switched_off),
    ("descriptor_is_out_of_the_way", descriptor_is_out_of_the_way),
];

fn main() {
    let args = Arguments::from_args();
    let missing = in_namespace(|| match Tun::open(&config()) {
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    })
    .unwrap_or_else(|error| Some(format!("a network namespace: {error}")));
    if let Some(missing) = &missing {
        eprintln!("IGNORED, all TUN tests: {missing}");
    }
    let trials = TESTS.iter().map(|&(name, test)| {
        let run = move || in_namespace(test).map_err(|error| Failed::from(error.to_string()));
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    });
    libtest_mimic::run(&args, trials.collect()).exit();
}

/// Runs `body` in a thread that has a network namespace to itself.
fn in_namespace<T: Send>(body: impl FnOnce() -> T + Send) -> rustix::io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: NEWNET does not change the descriptor table, which other threads share.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
            Ok(body())
        });
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn config() -> TunConfig {
    TunConfig {
        name: Slot(0).device(),
        host_addrs: Slot(0).host_addrs().to_vec(),
        ..TunConfig::default()
    }
}

/// The next frame, waited for until `limit`.
fn next(tun: &mut Tun, limit: Duration) -> Option<Vec<u8>> {
    let end = Instant::now() + limit;
    let mut buf = vec![0; FRAME_MAX];
    loop {
        match tun.recv(0, &mut buf) {
            Ok(len) => {
                buf.truncate(len);
                return Some(buf);
            }
            Err(LinkError::WouldBlock) => {}
            Err(error) => panic!("{error}"),
        }
        let left = end.checked_duration_since(Instant::now())?;
        wait(tun, left);
    }
}

/// Waits until the device's descriptor says anything, and returns what.
fn wait(tun: &Tun, limit: Duration) -> PollFlags {
    let fd = tun.fd().unwrap();
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let limit = Timespec::try_from(limit).unwrap();
    rustix::event::poll(&mut fds, Some(&limit)).unwrap();
    fds[0].revents()
}

/// The next frame with an IPv4 packet of this protocol.
fn next_ipv4(tun: &mut Tun, protocol: u8) -> Vec<u8> {
    for _ in 0..20 {
        let frame = next(tun, Duration::from_secs(20)).expect("no frame");
        let packet = &frame[VNET_HDR_LEN..];
        if packet[0] >> 4 == 4 && packet[9] == protocol {
            return frame;
        }
    }
    panic!("20 frames, and none of IPv4 protocol {protocol}");
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn native16(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

/// RFC 1071: the ones' complement sum, folded, not complemented.
fn sum(start: u32, bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|c| u32::from(be16(&[c[0], *c.get(1).unwrap_or(&0)], 0)));
    let mut sum = words.fold(start, u32::wrapping_add);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The pseudo-header's sum of an IPv4 packet with a header of 20 bytes.
fn pseudo(packet: &[u8]) -> u32 {
    u32::from(sum(
        u32::from(packet[9]) + packet.len() as u32 - 20,
        &packet[12..20],
    ))
}

/// An IPv4 packet with a complete header, from the stack's address to the host's.
fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![
        0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 83, 0, 2, 10, 83, 0, 1,
    ];
    let len = (packet.len() + payload.len()) as u16;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    let check = !sum(0, &packet);
    packet[10..12].copy_from_slice(&check.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

/// A UDP packet to `port` of the host, its checksum complete.
fn udp(port: u16, data: &[u8]) -> Vec<u8> {
    let mut payload = vec![0x30, 0x39];
    payload.extend(port.to_be_bytes());
    payload.extend((8 + data.len() as u16).to_be_bytes());
    payload.extend([0, 0]);
    payload.extend_from_slice(data);
    let mut packet = ipv4(17, &payload);
    let check = !sum(pseudo(&packet), &packet[20..]);
    packet[26..28].copy_from_slice(&check.to_be_bytes());
    packet
}

const PLAIN: [u8; VNET_HDR_LEN] = [0; VNET_HDR_LEN];

/// One datagram.
fn read(socket: &UdpSocket) -> Vec<u8> {
    let mut buf = vec![0; 100];
    let len = socket.recv(&mut buf).unwrap();
    buf.truncate(len);
    buf
}

/// Sends header and packet, the packet in two slices.
fn send(tun: &mut Tun, header: &[u8], packet: &[u8]) -> Result<(), LinkError> {
    let first: Vec<u8> = [header, &packet[..20]].concat();
    tun.send(0, &[IoSlice::new(&first), IoSlice::new(&packet[20..])])
}

fn the_kernel_sends_us_a_datagram() {
    let mut tun = Tun::open(&config()).unwrap();
    assert_eq!(tun.name(), "tunsock0");
    let caps = tun.caps();
    assert_eq!(
        (caps.mtu, caps.csum, caps.tso4, caps.tso6),
        (1500, true, true, true)
    );
    let socket = UdpSocket::bind("10.83.0.1:0").unwrap();
    socket.send_to(b"over to you", "10.83.0.2:7").unwrap();
    let frame = next_ipv4(&mut tun, 17);
    let (header, packet) = frame.split_at(VNET_HDR_LEN);
    assert_eq!(packet.len(), 20 + 8 + 11);
    assert_eq!(be16(packet, 2) as usize, packet.len());
    assert_eq!(packet[12..20], [10, 83, 0, 1, 10, 83, 0, 2]);
    assert_eq!(be16(packet, 20), socket.local_addr().unwrap().port());
    assert_eq!(&packet[28..], b"over to you");
    // The checksum was left to us: the field holds the pseudo-header's sum.
    assert_eq!(header[0] & HDR_F_NEEDS_CSUM, HDR_F_NEEDS_CSUM);
    assert_eq!(header[1], 0);
    assert_eq!((native16(header, 6), native16(header, 8)), (20, 6));
    assert_eq!(u32::from(be16(packet, 26)), pseudo(packet));
}

fn without_offload_frames_are_plain() {
    let mut tun = Tun::open(&TunConfig {
        offload: false,
        ..config()
    })
    .unwrap();
    let caps = tun.caps();
    assert_eq!((caps.csum, caps.tso4, caps.tso6), (false, false, false));
    let socket = UdpSocket::bind("10.83.0.1:0").unwrap();
    socket.send_to(b"all by myself", "10.83.0.2:7").unwrap();
    let frame = next_ipv4(&mut tun, 17);
    let (header, packet) = frame.split_at(VNET_HDR_LEN);
    assert_eq!(header, PLAIN);
    assert_eq!(sum(pseudo(packet), &packet[20..]), 0xffff);
}

fn ipv6_without_noise() {
    let mut tun = Tun::open(&config()).unwrap();
    // Router solicitations, address detection or group reports would come within a second or so.
    if let Some(frame) = next(&mut tun, Duration::from_millis(1500)) {
        panic!("nobody asked for {:x?}", &frame[VNET_HDR_LEN..]);
    }
    let socket = UdpSocket::bind("[fd83:7475:6e73::1]:0").unwrap();
    socket.send_to(b"six", "[fd83:7475:6e73::2]:7").unwrap();
    let frame = next(&mut tun, Duration::from_secs(20)).unwrap();
    assert_eq!((frame[VNET_HDR_LEN] >> 4, frame[VNET_HDR_LEN + 6]), (6, 17));
    assert_eq!(frame.len(), VNET_HDR_LEN + 40 + 8 + 3);
}

fn the_kernel_gets_our_datagram() {
    let mut tun = Tun::open(&config()).unwrap();
    let socket = UdpSocket::bind("10.83.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut buf = [0; 100];

    send(&mut tun, &PLAIN, &udp(port, b"complete")).unwrap();
    let (len, from) = socket.recv_from(&mut buf).unwrap();
    assert_eq!(
        (&buf[..len], from.to_string().as_str()),
        (&b"complete"[..], "10.83.0.2:12345")
    );

    // With the checksum left to the kernel.
    let mut packet = udp(port, b"left to you");
    let partial = sum(0, &(pseudo(&packet) as u16).to_be_bytes());
    packet[26..28].copy_from_slice(&partial.to_be_bytes());
    let mut header = PLAIN;
    header[0] = HDR_F_NEEDS_CSUM;
    header[6..8].copy_from_slice(&20u16.to_ne_bytes());
    header[8..10].copy_from_slice(&6u16.to_ne_bytes());
    send(&mut tun, &header, &packet).unwrap();
    assert_eq!(read(&socket), b"left to you");

    // A wrong checksum is not delivered; what follows is.
    let mut packet = udp(port, b"damaged");
    packet[28] ^= 1;
    send(&mut tun, &PLAIN, &packet).unwrap();
    send(&mut tun, &PLAIN, &udp(port, b"sound")).unwrap();
    assert_eq!(read(&socket), b"sound");

    // What is no IP packet is refused, and the device goes on.
    let mut packet = udp(port, b"version nine");
    packet[0] = 0x95;
    let refused = send(&mut tun, &PLAIN, &packet);
    assert!(
        matches!(refused, Err(LinkError::Io(rustix::io::Errno::INVAL))),
        "{refused:?}"
    );
    send(&mut tun, &PLAIN, &udp(port, b"still here")).unwrap();
    assert_eq!(read(&socket), b"still here");
}

/// As many as need several calls, in their order; one that is refused takes no other along.
fn frames_go_together() {
    let mut tun = Tun::open(&config()).unwrap();
    let socket = UdpSocket::bind("10.83.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut packets: Vec<Vec<u8>> = (0..40).map(|n| udp(port, &[n; 30])).collect();
    let send_all = |tun: &mut Tun, packets: &[Vec<u8>]| {
        let frames: Vec<[IoSlice<'_>; 2]> = packets
            .iter()
            .map(|packet| [IoSlice::new(&PLAIN), IoSlice::new(packet)])
            .collect();
        let frames: Vec<&[IoSlice<'_>]> = frames.iter().map(|frame| &frame[..]).collect();
        tun.send_all(0, &frames)
    };
    assert_eq!(send_all(&mut tun, &packets), Ok(()));
    for n in 0..40 {
        assert_eq!(read(&socket), [n; 30]);
    }

    packets[3][0] = 0x95;
    let refused = send_all(&mut tun, &packets);
    assert_eq!(refused, Err(LinkError::Io(rustix::io::Errno::INVAL)));
    for n in (0..40).filter(|&n| n != 3) {
        assert_eq!(read(&socket), [n; 30]);
    }

    delete_persistent(tun.name()).unwrap();
    assert_eq!(send_all(&mut tun, &packets), Err(LinkError::Gone));
}

/// A TCP connection to a listener of the kernel, our side played by hand.
fn a_super_segment_arrives_and_leaves() {
    let mut tun = Tun::open(&config()).unwrap();
    let listener = TcpListener::bind("10.83.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // SYN with MSS 1460 and window scale 7.
    let options = [2, 4, 0x05, 0xb4, 1, 3, 3, 7];
    let syn = tcp(port, 1000, 0, 0x02, &options, &[]);
    send(&mut tun, &PLAIN, &syn).unwrap();
    let reply = next_ipv4(&mut tun, 6);
    let reply = &reply[VNET_HDR_LEN..];
    assert_eq!(reply[33] & 0x3f, 0x12, "SYN, ACK");
    let theirs = u32::from_be_bytes([reply[24], reply[25], reply[26], reply[27]]).wrapping_add(1);
    send(&mut tun, &PLAIN, &tcp(port, 1001, theirs, 0x10, &[], &[])).unwrap();
    let (mut stream, _) = listener.accept().unwrap();

    // Ours to them: 20 000 bytes in one frame, to be cut at 1460.
    let data: Vec<u8> = (0..20_000u32).map(|i| (i % 251) as u8).collect();
    let mut packet = tcp(port, 1001, theirs, 0x18, &[], &data);
    let partial = pseudo(&packet) as u16;
    packet[36..38].copy_from_slice(&partial.to_be_bytes());
    let mut header = PLAIN;
    header[0] = HDR_F_NEEDS_CSUM;
    header[1] = tunsock_link::GSO_TCPV4;
    for (at, value) in [(2, 40u16), (4, 1460), (6, 20), (8, 16)] {
        header[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    }
    send(&mut tun, &header, &packet).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut got = vec![0; data.len()];
    stream.read_exact(&mut got).unwrap();
    assert!(got == data);

    // Theirs to us: more than one segment in one frame.
    stream.write_all(&data).unwrap();
    let largest = (0..10)
        .map(|_| next_ipv4(&mut tun, 6))
        .find(|frame| frame.len() > 1510)
        .expect("no super-segment");
    assert_eq!(largest[1] & 0x7f, tunsock_link::GSO_TCPV4);
    assert_eq!(native16(&largest, 4), 1460);
    assert_eq!(largest[0] & HDR_F_NEEDS_CSUM, HDR_F_NEEDS_CSUM);
    drop::<TcpStream>(stream);
}

/// A TCP segment to the host, its checksum complete.
fn tcp(port: u16, seq: u32, ack: u32, flags: u8, options: &[u8], data: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x30, 0x39];
    segment.extend(port.to_be_bytes());
    segment.extend(seq.to_be_bytes());
    segment.extend(ack.to_be_bytes());
    segment.extend([
        ((20 + options.len()) / 4 * 16) as u8,
        flags,
        0xff,
        0xff,
        0,
        0,
        0,
        0,
    ]);
    segment.extend_from_slice(options);
    segment.extend_from_slice(data);
    let mut packet = ipv4(6, &segment);
    let check = !sum(pseudo(&packet), &packet[20..]);
    packet[36..38].copy_from_slice(&check.to_be_bytes());
    packet
}

fn gone_when_deleted() {
    let mut tun = Tun::open(&config()).unwrap();
    let mut buf = vec![0; FRAME_MAX];
    assert_eq!(tun.recv(0, &mut buf), Err(LinkError::WouldBlock));
    delete_persistent("tunsock0").unwrap();
    assert!(wait(&tun, Duration::from_secs(20)).contains(PollFlags::ERR));
    assert_eq!(tun.recv(0, &mut buf), Err(LinkError::Gone));
    assert_eq!(
        send(&mut tun, &PLAIN, &udp(7, b"anybody?")),
        Err(LinkError::Gone)
    );
    assert_eq!(
        delete_persistent("tunsock0"),
        Err(OpenError::NoDevice("tunsock0".into()))
    );
}

fn down_is_loss_not_gone() {
    let mut tun = Tun::open(&config()).unwrap();
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut netlink = Netlink::open().unwrap();
    let index = netlink.link("tunsock0").unwrap().unwrap().index;
    let mut buf = vec![0; FRAME_MAX];

    netlink.set_up(index, false).unwrap();
    assert!(!netlink.link("tunsock0").unwrap().unwrap().up);
    assert_eq!(tun.recv(0, &mut buf), Err(LinkError::WouldBlock));
    assert_eq!(
        send(&mut tun, &PLAIN, &udp(port, b"lost")),
        Err(LinkError::Full)
    );
    // It does not keep a driver busy.
    assert_eq!(wait(&tun, Duration::from_millis(100)), PollFlags::empty());

    netlink.set_up(index, true).unwrap();
    send(&mut tun, &PLAIN, &udp(port, b"found")).unwrap();
    assert_eq!(read(&socket), b"found");
}

fn in_use_by_another() {
    let first = Tun::open(&config()).unwrap();
    let in_use = OpenError::InUse("tunsock0".into());
    assert_eq!(Tun::open(&config()).unwrap_err(), in_use);
    // With or without a header asked for, and it did not disturb the first.
    assert!(
        Netlink::open()
            .unwrap()
            .link("tunsock0")
            .unwrap()
            .unwrap()
            .up
    );
    drop(first);
    Tun::open(&config()).unwrap();
}

fn not_a_tun() {
    let lo = TunConfig {
        name: "lo".into(),
        ..config()
    };
    assert_eq!(Tun::open(&lo).unwrap_err(), OpenError::NotTun("lo".into()));
    assert_eq!(delete_persistent("lo"), Err(OpenError::NotTun("lo".into())));
    let bad = TunConfig {
        name: "a name that is long".into(),
        ..config()
    };
    assert!(matches!(
        Tun::open(&bad).unwrap_err(),
        OpenError::BadName(_)
    ));
}

fn persistent_devices() {
    let mut netlink = Netlink::open().unwrap();
    assert_eq!(
        create_persistent(&config(), Some(12345)).unwrap(),
        "tunsock0"
    );
    let link = netlink.link("tunsock0").unwrap().unwrap();
    assert!(link.is_tun && link.up);
    // Attach, as a later process would, without configuring.
    let later = TunConfig {
        configure: false,
        mtu: 9000,
        ..config()
    };
    let mut tun = Tun::open(&later).unwrap();
    assert_eq!(tun.caps().mtu, 1500, "the device's own");
    assert!(tun.caps().tso4);
    UdpSocket::bind("10.83.0.1:0")
        .unwrap()
        .send_to(b"hello", "10.83.0.2:7")
        .unwrap();
    next_ipv4(&mut tun, 17);
    drop(tun);
    assert!(netlink.link("tunsock0").unwrap().is_some());
    // What one process was granted does not stick to the next.
    let mut tun = Tun::open(&TunConfig {
        offload: false,
        ..later
    })
    .unwrap();
    UdpSocket::bind("10.83.0.1:0")
        .unwrap()
        .send_to(b"hello", "10.83.0.2:7")
        .unwrap();
    assert_eq!(next_ipv4(&mut tun, 17)[..VNET_HDR_LEN], PLAIN);
    drop(tun);
    delete_persistent("tunsock0").unwrap();
    assert!(netlink.link("tunsock0").unwrap().is_none());
}

fn a_failed_open_leaves_nothing() {
    // Beyond the largest MTU of a TUN device.
    let bad = TunConfig {
        mtu: 70_000,
        persist: true,
        ..config()
    };
    assert!(matches!(
        Tun::open(&bad).unwrap_err(),
        OpenError::Configure(_)
    ));
    assert!(create_persistent(&bad, None).is_err());
    assert!(Netlink::open().unwrap().link("tunsock0").unwrap().is_none());
}

fn free_slots() {
    let mut netlink = Netlink::open().unwrap();
    assert_eq!(netlink.free_slot().unwrap(), Some(Slot(0)));
    let zero = Tun::open(&config()).unwrap();
    assert_eq!(netlink.free_slot().unwrap(), Some(Slot(1)));
    // The name is free, the net is not.
    let other = TunConfig {
        name: "other".into(),
        host_addrs: Slot(1).host_addrs()[..1].to_vec(),
        routes: vec![
            "10.83.2.128/25".parse().unwrap(),
            "10.0.0.0/8".parse().unwrap(),
        ],
        ..config()
    };
    let _other = Tun::open(&other).unwrap();
    assert_eq!(netlink.free_slot().unwrap(), Some(Slot(3)));
    drop(zero);
    assert_eq!(netlink.free_slot().unwrap(), Some(Slot(0)));
}

fn routes_and_mtu() {
    let with_route = TunConfig {
        mtu: 9000,
        name: "tunsock%d".into(),
        routes: vec![
            "192.0.2.0/24".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ],
        ..config()
    };
    let mut tun = Tun::open(&with_route).unwrap();
    assert_eq!((tun.name(), tun.caps().mtu), ("tunsock0", 9000));
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.send_to(&[7; 8000], "192.0.2.9:7").unwrap();
    let frame = next_ipv4(&mut tun, 17);
    assert_eq!(frame.len(), VNET_HDR_LEN + 28 + 8000);
    assert_eq!(frame[VNET_HDR_LEN + 16..VNET_HDR_LEN + 20], [192, 0, 2, 9]);
    let routes = Netlink::open().unwrap().routes().unwrap();
    assert!(
        routes.contains(&"2001:db8::/32".parse().unwrap()),
        "{routes:?}"
    );
    // Once more on the same device: nothing to change, nothing fails.
    let host = tunsock_link::HostSide {
        device: tun.name(),
        mtu: 9000,
        addrs: &with_route.host_addrs,
        routes: &with_route.routes,
    };
    tunsock_link::configure(&host).unwrap();
}

fn ipv6_switched_off() {
    assert!(tunsock_link::ipv6_available());
    std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    // Off for new devices, and we may switch it on for ours alone.
    assert!(tunsock_link::ipv6_available());
    let tun = Tun::open(&config()).unwrap();
    let disabled = |device: &str| {
        let path = format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6");
        std::fs::read_to_string(path).unwrap().trim() == "1"
    };
    assert!(!disabled(tun.name()) && disabled("default"));
    let addresses = Netlink::open().unwrap().addresses().unwrap();
    assert!(
        addresses
            .iter()
            .any(|entry| entry.net == Slot(0).host_addrs()[1])
    );
    drop(tun);
    // An MTU that IPv6 does not fit in is said to be one; for IPv4 alone it is none of our business.
    let small = TunConfig {
        mtu: 1000,
        ..config()
    };
    let error = Tun::open(&small).unwrap_err().to_string();
    assert!(error.contains("1280"), "{error}");
    let host_addrs = Slot(0).host_addrs()[..1].to_vec();
    assert_eq!(
        Tun::open(&TunConfig {
            host_addrs,
            ..small
        })
        .unwrap()
        .caps()
        .mtu,
        1000
    );
}

fn descriptor_is_out_of_the_way() {
    let tun = Tun::open(&config()).unwrap();
    assert!(tun.fd().unwrap().as_fd().as_raw_fd() >= 200);
}
