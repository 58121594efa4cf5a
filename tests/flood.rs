//! A flood of SYNs from addresses that do not exist, over a real device: the server's memory stays bounded, real clients get through
//! meanwhile and afterwards.
//!
//! The trial is this program once more in a network namespace of its own: there a C server under the library, the kernel's sockets as
//! its clients, and a raw socket for the flood.

mod lab;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};

/// The child learns by it that it is the child.
const INSIDE: &str = "FLOOD_INSIDE";
const BOUND: Duration = Duration::from_secs(240);

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 83, 0, 2), 8080);
const SYNS: u32 = 100_000;
/// The flood gives up after this long; then the machine is too slow to tell anything.
const FLOOD_BOUND: Duration = Duration::from_secs(150);
/// A real client has to be through by then: its first SYN may be lost in the device's queue, the second comes after a second.
const CLIENT_BOUND: Duration = Duration::from_secs(15);
/// What the server may have grown by, KB: a queue of 512 SYNs and the allocator's manners are far less; a connection for each SYN, or
/// only a queue without a limit, would be 12 MB at least.
const GROWTH_KB: u64 = 4096;
/// SYNs that may stand in the device's queue (txqueuelen is 500).
const AHEAD: u32 = 300;

fn main() {
    if std::env::var_os(INSIDE).is_some() {
        if let Err(said) = inside() {
            eprintln!("{said}");
            std::process::exit(1);
        }
        return;
    }
    let args = Arguments::from_args();
    let missing = lab::no_tunsock().or_else(|| lab::not_installed(&["cc"]));
    if let Some(reason) = &missing {
        eprintln!("flood: CANNOT RUN here: {reason}");
    }
    let trial = Trial::ignorable_test("syns_from_nowhere", move || match &missing {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => outside(),
    });
    libtest_mimic::run(&args, vec![trial]).exit();
}

fn outside() -> Result<Completion, Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(INSIDE, "1");
    lab::in_own_namespace(&mut command, true);
    let log = lab::scratch("flood").join("log");
    let outcome = lab::run_logged(&mut command, &log, BOUND)?;
    match outcome.status {
        Some(status) if status.success() => Ok(Completion::Completed),
        None => Err(format!("did not end within {BOUND:?}: {}", outcome.output).into()),
        Some(_) => Err(outcome.output.into()),
    }
}

/// The server, ended with this.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_server() -> Result<Server, String> {
    let binary = lab::scratch("flood").join("epoll_echo");
    let source = lab::root().join("benches/epoll_echo.c");
    let built = Command::new("cc")
        .args(["-O1", "-o"])
        .args([&binary, &source])
        .status();
    if !built.as_ref().is_ok_and(|status| status.success()) {
        return Err(format!("cc: {built:?}"));
    }
    let library = lab::built("libtunsock.so").ok_or("no library")?;
    let child = Command::new(binary)
        .args([SERVER.port().to_string(), BOUND.as_secs().to_string()])
        .env("LD_PRELOAD", library)
        .env("TUNSOCK_ADDR", "10.83.0.2/24")
        .env("TUNSOCK_HOST_ADDR", "10.83.0.1")
        .stdout(Stdio::piped())
        .spawn();
    let mut server = Server(child.map_err(|error| error.to_string())?);
    let mut said = String::new();
    let stdout = server.0.stdout.take().ok_or("no output")?;
    let read = BufReader::new(stdout).read_line(&mut said);
    match read {
        Ok(_) if said.starts_with("ready") => Ok(server),
        other => Err(format!("the server said {said:?} ({other:?})")),
    }
}

/// One request and its answer.
fn echo(stream: &mut TcpStream, text: &[u8]) -> Result<(), String> {
    let mut answer = vec![0; text.len()];
    stream
        .set_read_timeout(Some(CLIENT_BOUND))
        .and_then(|()| stream.write_all(text))
        .and_then(|()| stream.read_exact(&mut answer))
        .map_err(|error| format!("echo: {error}"))?;
    if answer == text {
        Ok(())
    } else {
        Err(format!("{answer:?} came back"))
    }
}

/// A real client: connects and is answered, and how long that took.
fn client() -> Result<(TcpStream, Duration), String> {
    let began = Instant::now();
    let mut stream = TcpStream::connect_timeout(&SocketAddr::V4(SERVER), CLIENT_BOUND)
        .map_err(|error| format!("connect: {error} after {:?}", began.elapsed()))?;
    echo(&mut stream, b"is anybody there?")?;
    Ok((stream, began.elapsed()))
}

/// Packets that the server's device has carried: to the kernel, to the server, and dropped on the way to it.
fn carried() -> Result<(u32, u32, u32), String> {
    let all = fs::read_to_string("/proc/self/net/dev").map_err(|error| error.to_string())?;
    let line = all
        .lines()
        .skip(2)
        .find(|line| !line.trim_start().starts_with("lo:"));
    let (_, rest) = line
        .and_then(|line| line.split_once(':'))
        .ok_or("no device")?;
    let figures: Vec<u32> = rest
        .split_whitespace()
        .map(|figure| figure.parse().unwrap_or(0))
        .collect();
    match figures[..] {
        [_, up, _, _, _, _, _, _, _, down, _, dropped, ..] => Ok((up, down, dropped)),
        _ => Err(format!("{line:?}")),
    }
}

fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0)))
        .sum()
}

fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// SYN number `number`, from an address of its own.
fn syn(number: u32) -> [u8; 44] {
    let mut p = [0; 44];
    p[..12].copy_from_slice(&[0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    p[12..16].copy_from_slice(&(0x0a5a_0000 + number).to_be_bytes());
    p[16..20].copy_from_slice(&SERVER.ip().octets());
    let header = fold(sum(&p[..20]));
    p[10..12].copy_from_slice(&header.to_be_bytes());
    p[20..22].copy_from_slice(&(1024 + (number % 60_000) as u16).to_be_bytes());
    p[22..24].copy_from_slice(&SERVER.port().to_be_bytes());
    p[24..28].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    p[32..36].copy_from_slice(&[0x60, 2, 0xff, 0xff]);
    p[40..44].copy_from_slice(&[2, 4, 5, 0xb4]);
    let checksum = fold(sum(&p[12..20]) + 6 + 24 + sum(&p[20..]));
    p[36..38].copy_from_slice(&checksum.to_be_bytes());
    p
}

/// Sends every SYN, no faster than the server takes them from its device: what the queue drops proves nothing.
fn flood(sent: &AtomicU32) -> Result<(), String> {
    let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW))
        .map_err(|error| format!("raw socket: {error}"))?;
    let end = Instant::now() + FLOOD_BOUND;
    let (_, before, _) = carried()?;
    for number in 0..SYNS {
        let _ = sendto(
            &raw,
            &syn(number),
            SendFlags::empty(),
            &SocketAddr::V4(SERVER),
        );
        sent.store(number + 1, Relaxed);
        if !number.is_multiple_of(50) {
            continue;
        }
        loop {
            let (_, down, dropped) = carried()?;
            if number < down - before + dropped + AHEAD {
                break;
            }
            if Instant::now() > end {
                return Err(format!("only {number} SYNs in {FLOOD_BOUND:?}"));
            }
            thread::sleep(Duration::from_micros(500));
        }
    }
    Ok(())
}

fn inside() -> Result<(), String> {
    let server = start_server()?;
    let pid = server.0.id();
    let (mut bystander, _) = client()?;
    let before = lab::resident_kb(pid).map_err(|error| error.to_string())?;
    let (up_before, down_before, _) = carried()?;
    let sent = AtomicU32::new(0);
    let mut waits = Vec::new();
    let began = Instant::now();
    thread::scope(|scope| {
        let flood = scope.spawn(|| flood(&sent));
        // The queue is full of strangers by then.
        while sent.load(Relaxed) < 5000 && !flood.is_finished() {
            thread::sleep(Duration::from_millis(1));
        }
        while !flood.is_finished() {
            let (_, took) = client()?;
            if !flood.is_finished() {
                waits.push(took);
            }
            echo(&mut bystander, b"still there?")?;
            thread::sleep(Duration::from_millis(20));
        }
        flood.join().map_err(|_| "the flood panicked")?
    })?;
    let flooded = began.elapsed();
    let (up, down, dropped) = carried()?;
    let after = lab::resident_kb(pid).map_err(|error| error.to_string())?;
    let slowest = waits.iter().max().copied().unwrap_or_default();
    println!(
        "{} SYNs read and {} packets answered in {flooded:?}, {dropped} dropped by the device's queue; {} clients meanwhile, the \
         slowest {slowest:?}; resident {before} KB before, {after} KB after",
        down - down_before,
        up - up_before,
        waits.len()
    );
    if down - down_before < SYNS * 9 / 10 || up - up_before < SYNS * 9 / 10 {
        return Err("the server did not see the flood, or did not answer it".into());
    }
    if waits.len() < 5 || slowest > CLIENT_BOUND {
        return Err("real clients did not get through".into());
    }
    if after > before + GROWTH_KB {
        return Err("the flood has filled the server's memory".into());
    }
    // It goes on as if nothing had been.
    echo(&mut bystander, b"all over?")?;
    let (_, took) = client()?;
    println!("afterwards a client takes {took:?}");
    Ok(())
}
