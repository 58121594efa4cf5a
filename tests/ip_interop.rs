//! The stack's IP, ICMP and UDP against the kernel's, over a TUN device, with and without its offloads.
//!
//! Each trial is this program once more in a network namespace of its own: there a thread drives one stack with an echo server
//! on port 7, and the kernel's sockets and `ping` talk to it.

mod lab;

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant as Clock};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tunsock_link::{Device, Tun, TunConfig};
use tunsock_stack::{
    Config, Domain, Error, GroupChange, GroupPlace, Instant, Kind, McOpt, Offload, RecvFlags,
    SendFlags, SockOpt, SocketId, Stack,
};

/// The groups that the stack's echo server is in, and one that the kernel is in.
const STACKS4: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const STACKS6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x123);
const KERNELS4: Ipv4Addr = Ipv4Addr::new(239, 9, 9, 9);
const KERNELS6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x999);
/// Where the stack speaks to the kernel's groups.
const GROUP_PORT: u16 = 8;
/// Echoed, and said to the kernel's groups as well.
const SAY: &[u8] = b"say it to all";

/// How long a trial may take; the thread inside ends earlier by itself.
const BOUND: Duration = Duration::from_secs(90);
const DRIVE: Duration = Duration::from_secs(75);
/// The child learns by it what to do.
const CASE: &str = "IP_INTEROP_CASE";

type Case = fn(&Arc<AtomicBool>) -> Result<(), String>;

const CASES: [(&str, Case); 9] = [
    ("ping_v4", |_| ping("10.83.0.2")),
    ("ping_v6", |_| ping("fd83::2")),
    ("datagrams_v4", |_| datagrams("10.83.0.1:0", "10.83.0.2:7")),
    ("datagrams_v6", |_| datagrams("[fd83::1]:0", "[fd83::2]:7")),
    ("refusal_both_ways", refusal),
    ("segmented_datagrams", |_| segmented()),
    ("groups_v4", |_| groups_v4()),
    ("groups_v6", |_| groups_v6()),
    ("igmp_querier", |_| igmp_querier()),
];

fn main() {
    if let Ok(case) = std::env::var(CASE) {
        std::process::exit(inside(&case));
    }
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(2);
    let missing = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .err()
        .map(|error| format!("/dev/net/tun: {error}: modprobe tun, or rights for it"))
        .or_else(lab::no_namespaces);
    if let Some(reason) = &missing {
        eprintln!("ip_interop: CANNOT RUN here: {reason}");
    }
    let mut trials = Vec::new();
    for way in ["offload", "plain"] {
        for (name, _) in CASES {
            let (case, missing) = (format!("{way}::{name}"), missing.clone());
            trials.push(Trial::ignorable_test(
                case.clone(),
                move || match &missing {
                    Some(reason) => Ok(Completion::ignored_with(reason)),
                    None => outside(&case),
                },
            ));
        }
    }
    libtest_mimic::run(&args, trials).exit();
}

/// Runs one case in a process and a namespace of its own.
fn outside(case: &str) -> Result<Completion, Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(CASE, case);
    lab::in_own_namespace(&mut command, true);
    let log = lab::scratch("ip_interop").join(case.replace("::", "-"));
    let outcome = lab::run_logged(&mut command, &log, BOUND)?;
    match outcome.status.map(|status| status.code()) {
        Some(Some(0)) => Ok(Completion::Completed),
        Some(Some(77)) => Ok(Completion::ignored_with(outcome.output)),
        None => Err(format!("did not end within {BOUND:?}: {}", outcome.output).into()),
        Some(_) => Err(outcome.output.into()),
    }
}

/// The child: a driven stack, and the case against it. 77 means that something is missing.
fn inside(case: &str) -> i32 {
    let Some((way, name)) = case.split_once("::") else {
        return 1;
    };
    let config = TunConfig {
        name: "interop0".into(),
        offload: way == "offload",
        host_addrs: ["10.83.0.1/24", "fd83::1/64"]
            .map(|a| a.parse().unwrap())
            .to_vec(),
        ..TunConfig::default()
    };
    let tun = match Tun::open(&config) {
        Ok(tun) => tun,
        Err(error) => {
            eprintln!("no TUN device: {error:?}");
            return 77;
        }
    };
    let (stop, refused) = (Arc::default(), Arc::default());
    let driver = thread::spawn({
        let (stop, refused) = (Arc::clone(&stop), Arc::clone(&refused));
        move || drive(tun, &stop, &refused)
    });
    let run = CASES.iter().find(|(known, _)| *known == name);
    let result = match run {
        Some((_, run)) => run(&refused),
        None => Err(format!("no case {name}")),
    };
    stop.store(true, Ordering::Relaxed);
    let _ = driver.join();
    match result {
        Ok(()) => 0,
        Err(said) => {
            eprintln!("{said}");
            if said.starts_with("skipped") { 77 } else { 1 }
        }
    }
}

/// Moves frames between device and stack; answers on port 7; `refused` tells that the kernel refused a datagram of the stack's.
fn drive(mut tun: Tun, stop: &AtomicBool, refused: &AtomicBool) {
    let caps = tun.caps();
    let start = Clock::now();
    let now = || Instant::from_micros(start.elapsed().as_micros() as u64 + 1);
    let config = Config {
        addrs: ["10.83.0.2/24", "fd83::2/64"]
            .map(|a| a.parse().unwrap())
            .to_vec(),
        mtu: caps.mtu,
        offload: Offload {
            csum: caps.csum,
            tso4: caps.tso4,
            tso6: caps.tso6,
        },
        ..Config::default()
    };
    let mut stack = Stack::new(config, now());
    let echo = stack.socket(Domain::V6, Kind::Datagram).unwrap();
    stack.bind(echo, "[::]:7".parse().unwrap()).unwrap();
    join(&mut stack, now(), echo);
    let client = stack.socket(Domain::V4, Kind::Datagram).unwrap();
    let closed = "10.83.0.1:9".parse().unwrap();
    stack.connect(now(), client, closed).unwrap();
    let slices = [IoSlice::new(b"anybody?")];
    let sent = stack.send(now(), client, &slices, SendFlags::empty(), None);
    assert_eq!(sent, Ok(8));
    let mut frame = vec![0; 70_000];
    while !stop.load(Ordering::Relaxed) && start.elapsed() < DRIVE {
        let t = now();
        while let Ok(len) = tun.recv(t.as_micros(), &mut frame) {
            stack.handle_frame(t, &frame[..len]);
        }
        stack.handle_timers(t);
        answer(&mut stack, t, echo, &mut frame);
        if stack.take_error(client) == Some(Error::ConnectionRefused) {
            refused.store(true, Ordering::Relaxed);
        }
        stack.transmit(t, &mut |parts| {
            let _ = tun.send(t.as_micros(), parts);
        });
        while stack.poll_event().is_some() {}
        let fd = tun.fd().expect("a TUN device has a descriptor");
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: 20_000_000,
        };
        let _ = poll(
            &mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)],
            Some(&timeout),
        );
    }
}

fn answer(stack: &mut Stack, t: Instant, echo: SocketId, room: &mut [u8]) {
    loop {
        let mut bufs = [IoSliceMut::new(room)];
        let Ok(received) = stack.recv(t, echo, &mut bufs, RecvFlags::empty()) else {
            return;
        };
        let slices = [IoSlice::new(&room[..received.len])];
        let sent = stack.send(t, echo, &slices, SendFlags::empty(), received.from);
        assert_eq!(sent, Ok(received.len));
        if slices[0][..] == *SAY {
            for group in [IpAddr::from(KERNELS4), KERNELS6.into()] {
                let to = SocketAddr::new(group, GROUP_PORT);
                let sent = stack.send(t, echo, &slices, SendFlags::empty(), Some(to));
                assert_eq!(sent, Ok(received.len), "to {to}");
            }
        }
    }
}

/// The echo server is in a group of each family, and speaks to groups by the device.
fn join(stack: &mut Stack, now: Instant, echo: SocketId) {
    for group in [IpAddr::from(STACKS4), STACKS6.into()] {
        let place = GroupPlace {
            group,
            index: 2,
            addr: Ipv4Addr::UNSPECIFIED,
        };
        stack
            .change_group(now, echo, place, GroupChange::Join)
            .unwrap();
    }
    let device = McOpt::If4 {
        index: 2,
        addr: Ipv4Addr::UNSPECIFIED,
    };
    for option in [device, McOpt::If6(2)] {
        let option = SockOpt::Multicast(option);
        stack.set_option(now, echo, option).unwrap();
    }
}

/// `ping` of sizes around the MTU and up to what IP carries.
fn ping(to: &str) -> Result<(), String> {
    for size in [0, 56, 1452, 1453, 1472, 1473, 4000, 65_000] {
        let size = size.to_string();
        let output = Command::new("ping")
            .args(["-n", "-c", "2", "-i", "0.05", "-W", "2", "-s", &size, to])
            .output()
            .map_err(|error| format!("skipped: ping: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout);
            return Err(format!("{size} bytes to {to}: {said}"));
        }
    }
    Ok(())
}

fn connected(from: &str, to: &str) -> Result<UdpSocket, String> {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let open = || {
        let socket = UdpSocket::bind(from)?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(Duration::from_secs(15)))?;
        Ok(socket)
    };
    open().map_err(|error: std::io::Error| format!("{from} to {to}: {error}"))
}

/// Datagrams of every size come back as they were.
fn datagrams(from: &str, to: &str) -> Result<(), String> {
    let socket = connected(from, to)?;
    let mut room = vec![0; 70_000];
    for len in [0, 1, 2, 1451, 1452, 1453, 1472, 1473, 9000, 65_507] {
        let data: Vec<u8> = (0..len).map(|at| (at * 13 + at / 255) as u8).collect();
        socket
            .send(&data)
            .map_err(|error| format!("{len}: {error}"))?;
        let got = socket
            .recv(&mut room)
            .map_err(|error| format!("{len}: {error}"))?;
        if room[..got] != data {
            return Err(format!("{len} bytes came back as {got}, or changed"));
        }
    }
    Ok(())
}

/// A port that nobody has: the kernel's socket hears of the stack's, and the stack's of the kernel's.
fn refusal(refused: &Arc<AtomicBool>) -> Result<(), String> {
    for (from, to) in [
        ("10.83.0.1:0", "10.83.0.2:99"),
        ("[fd83::1]:0", "[fd83::2]:99"),
    ] {
        let socket = connected(from, to)?;
        socket
            .send(b"anybody?")
            .map_err(|error| error.to_string())?;
        let error = socket.recv(&mut [0; 9]).map_err(|error| error.kind());
        if error != Err(ErrorKind::ConnectionRefused) {
            return Err(format!("{to}: {error:?}"));
        }
    }
    let end = Clock::now() + Duration::from_secs(15);
    while !refused.load(Ordering::Relaxed) {
        if Clock::now() > end {
            return Err("the stack's datagram was not refused".into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// UDP_SEGMENT: one call, several datagrams, possibly one frame.
fn segmented() -> Result<(), String> {
    let socket = connected("10.83.0.1:0", "10.83.0.2:7")?;
    let size: libc::c_int = 1000;
    // SAFETY: the option's value is an int of ours, given with its length.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            (&raw const size).cast(),
            size_of_val(&size) as libc::socklen_t,
        )
    };
    if set != 0 {
        return Err("skipped: no UDP_SEGMENT in this kernel".into());
    }
    socket.send(&[3; 3500]).map_err(|error| error.to_string())?;
    for expected in [1000, 1000, 1000, 500] {
        let got = socket
            .recv(&mut [0; 5000])
            .map_err(|error| error.to_string())?;
        if got != expected {
            return Err(format!("{got} bytes instead of {expected}"));
        }
    }
    Ok(())
}

/// The kernel's number of the device.
fn device_index() -> u32 {
    // SAFETY: a NUL-terminated name.
    unsafe { libc::if_nametoindex(c"interop0".as_ptr()) }
}

/// setsockopt(2) with a value of plain numbers.
fn set<T>(fd: i32, level: i32, name: i32, value: &T) -> Result<(), String> {
    // SAFETY: the value is ours, given with its length.
    let set = unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if set == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error().to_string())
    }
}

/// The kernel speaks to the stack's group, the stack answers, and speaks to the kernel's.
fn groups(speaker: &UdpSocket, to: SocketAddr, member: &UdpSocket) -> Result<(), String> {
    let bound = Some(Duration::from_secs(15));
    let mut room = [0; 100];
    for socket in [speaker, member] {
        socket.set_read_timeout(bound).map_err(|e| e.to_string())?;
    }
    speaker.send_to(SAY, to).map_err(|e| e.to_string())?;
    for (socket, who) in [(speaker, "the speaker"), (member, "the member")] {
        let got = socket.recv(&mut room).map_err(|e| format!("{who}: {e}"))?;
        if room[..got] != *SAY {
            return Err(format!("{who} got something else"));
        }
    }
    Ok(())
}

fn groups_v4() -> Result<(), String> {
    let run = || {
        let speaker = UdpSocket::bind("10.83.0.1:0")?;
        let member = UdpSocket::bind((KERNELS4, GROUP_PORT))?;
        member.join_multicast_v4(&KERNELS4, &Ipv4Addr::new(10, 83, 0, 1))?;
        Ok((speaker, member))
    };
    let (speaker, member) = run().map_err(|error: std::io::Error| error.to_string())?;
    let device = [10u8, 83, 0, 1];
    set(
        speaker.as_raw_fd(),
        libc::IPPROTO_IP,
        libc::IP_MULTICAST_IF,
        &device,
    )?;
    groups(&speaker, (STACKS4, 7).into(), &member)
}

fn groups_v6() -> Result<(), String> {
    let run = || {
        let speaker = UdpSocket::bind("[fd83::1]:0")?;
        let member = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, GROUP_PORT))?;
        member.join_multicast_v6(&KERNELS6, device_index())?;
        Ok((speaker, member))
    };
    let (speaker, member) = run().map_err(|error: std::io::Error| error.to_string())?;
    let device = device_index();
    set(
        speaker.as_raw_fd(),
        libc::IPPROTO_IPV6,
        libc::IPV6_MULTICAST_IF,
        &device,
    )?;
    groups(&speaker, (STACKS6, 7).into(), &member)
}

/// A querier on the kernel's side: the stack answers in the version that it is asked in (RFC 3376 7.2.1).
fn igmp_querier() -> Result<(), String> {
    let raw = opened(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_IGMP)?;
    // Were the kernel in the group, its own report could make the stack's needless: so this only looks on.
    let seen = opened(
        libc::AF_PACKET,
        libc::SOCK_DGRAM,
        i32::from((libc::ETH_P_IP as u16).to_be()),
    )?;
    let device = [10u8, 83, 0, 1];
    set(
        raw.as_raw_fd(),
        libc::IPPROTO_IP,
        libc::IP_MULTICAST_IF,
        &device,
    )?;
    seen.set_read_timeout(Some(Duration::from_secs(15)))
        .map_err(|e| e.to_string())?;
    // Version 3: MODE_IS_EXCLUDE of nobody for the group; version 2: its report, to the group.
    let v3 = [0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0];
    let v2 = [0x11, 10, 0, 0, 0, 0, 0, 0];
    let group = STACKS4.octets();
    let is_exclude = [&[2, 0, 0, 0][..], &group].concat();
    query(&raw, &v3)?;
    heard(&seen, 0x22, &is_exclude)?;
    query(&raw, &v2)?;
    heard(&seen, 0x16, &group)
}

/// A kernel socket that needs a right.
fn opened(family: i32, kind: i32, protocol: i32) -> Result<UdpSocket, String> {
    // SAFETY: plain numbers; the descriptor is ours alone, and a UdpSocket only hands it to system calls.
    unsafe {
        match libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) {
            fd @ 0.. => Ok(<UdpSocket as std::os::fd::FromRawFd>::from_raw_fd(fd)),
            _ => Err("skipped: no raw socket".into()),
        }
    }
}

/// Sends a general query; the kernel makes the IP header.
fn query(raw: &UdpSocket, message: &[u8]) -> Result<(), String> {
    let mut message = message.to_vec();
    let mut sum: u32 = message
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    sum = (sum & 0xffff) + (sum >> 16);
    message[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    let sent = raw.send_to(&message, "224.0.0.1:0");
    sent.map(drop).map_err(|e| e.to_string())
}

/// Reads until the stack has said a message of that type with those bytes in it.
fn heard(seen: &UdpSocket, kind: u8, what: &[u8]) -> Result<(), String> {
    let end = Clock::now() + Duration::from_secs(15);
    let mut room = [0; 2000];
    while Clock::now() < end {
        let got = seen
            .recv(&mut room)
            .map_err(|e| format!("{kind:#x}: {e}"))?;
        let packet = &room[..got];
        let head = usize::from(packet[0] & 15) * 4;
        let from_stack = packet[12..16] == [10, 83, 0, 2];
        let message = packet.get(head..).unwrap_or_default();
        let says = message.windows(what.len()).any(|part| part == what);
        if from_stack && message.first() == Some(&kind) && says {
            return Ok(());
        }
    }
    Err(format!("no message of type {kind:#x}"))
}
