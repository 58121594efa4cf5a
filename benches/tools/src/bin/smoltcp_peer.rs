//! smoltcp over a TUN device, at the server's end of the benchmarks' tests: what `net server` does, in the same words and with the same line
//! of figures, so that it stands in the same table.
//!
//! ```text
//! smoltcp_peer DEVICE ADDRESS/PREFIX server PORT sink|source|pingpong|connect|udp [-w MS] [-t MS] [-n OCTETS]
//! ```
//!
//! One thread: everything that has arrived is taken, the program's part is done, what is to be sent goes out, and then it sleeps in poll(2)
//! until a packet or the stack's next deadline. Buffers of 1 MB each way, no congestion control, checksums in software because the
//! device has no offload that smoltcp could use. The device exists already; its MTU is asked of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant as Clock};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};

/// Octets of each buffer of a socket.
const BUFFER: usize = 1 << 20;
/// Octets that the program offers and takes in one go, as `net` does.
const BULK: usize = 128 << 10;
/// Sockets that listen: each is one connection.
const LISTENERS: usize = 16;

/// A TUN device without a packet information header; reads do not wait.
struct Tun {
    file: File,
    mtu: usize,
    room: Box<[u8]>,
    packet: Box<[u8]>,
}

impl Tun {
    fn attach(name: &str) -> io::Result<Tun> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")?;
        // SAFETY: plain old data, for which zeroes are a value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (place, byte) in request.ifr_name.iter_mut().take(15).zip(name.bytes()) {
            *place = byte as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: TUNSETIFF reads and writes one ifreq, which outlives the call.
        if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mtu = device_mtu(name)?;
        Ok(Tun {
            file,
            mtu,
            room: vec![0; 65536].into_boxed_slice(),
            packet: vec![0; 65536].into_boxed_slice(),
        })
    }

    fn sleep(&self, longest: Option<Duration>) {
        let longest = longest.map(|time| Timespec {
            tv_sec: time.as_secs().cast_signed(),
            tv_nsec: i64::from(time.subsec_nanos()),
        });
        // An interruption is only a look too many.
        let _ = poll(
            &mut [PollFd::new(&self.file, PollFlags::IN)],
            longest.as_ref(),
        );
    }
}

/// The MTU as `ip` tells it: /sys shows the namespace that it was mounted in, which may be another.
fn device_mtu(name: &str) -> io::Result<usize> {
    let told = std::process::Command::new("ip")
        .args(["-o", "link", "show", "dev", name])
        .output()?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let mut words = told.split_whitespace().skip_while(|word| *word != "mtu");
    let mtu = words.nth(1).and_then(|word| word.parse().ok());
    mtu.ok_or_else(|| io::Error::other("no MTU"))
}

impl Device for Tun {
    type RxToken<'a> = Arrived<'a>;
    type TxToken<'a> = Leaving<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Arrived<'_>, Leaving<'_>)> {
        let len = (&self.file).read(&mut self.room).ok()?;
        let leaving = Leaving {
            file: &self.file,
            packet: &mut self.packet,
        };
        Some((Arrived(&self.room[..len]), leaving))
    }

    fn transmit(&mut self, _: Instant) -> Option<Leaving<'_>> {
        Some(Leaving {
            file: &self.file,
            packet: &mut self.packet,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut can = DeviceCapabilities::default();
        can.medium = Medium::Ip;
        can.max_transmission_unit = self.mtu;
        can
    }
}

struct Arrived<'a>(&'a [u8]);

impl phy::RxToken for Arrived<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, look: F) -> R {
        look(self.0)
    }
}

struct Leaving<'a> {
    file: &'a File,
    packet: &'a mut [u8],
}

impl phy::TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let packet = &mut self.packet[..len];
        let result = fill(packet);
        // A packet that the device refuses is lost, as on any network.
        let _ = (&mut &*self.file).write(packet);
        result
    }
}

/// What the program's part did.
enum Step {
    Done,
    Moved,
    Idle,
}

struct Stack {
    tun: Tun,
    interface: Interface,
    sockets: SocketSet<'static>,
    epoch: Clock,
}

impl Stack {
    fn new(device: &str, address: IpCidr) -> io::Result<Stack> {
        let mut tun = Tun::attach(device)?;
        let config = Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut tun, Instant::ZERO);
        interface.update_ip_addrs(|all| all.push(address).expect("room for one address"));
        Ok(Stack {
            tun,
            interface,
            sockets: SocketSet::new(Vec::new()),
            epoch: Clock::now(),
        })
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.epoch.elapsed().as_micros() as i64)
    }

    fn listener(&mut self, port: u16) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.listen(port).expect("a port");
        self.sockets.add(socket)
    }

    /// Goes on until the program's part is done and everything that it sent is gone.
    fn run(&mut self, mut program: impl FnMut(&mut SocketSet<'static>) -> Step) {
        loop {
            let now = self.now();
            self.interface.poll(now, &mut self.tun, &mut self.sockets);
            match program(&mut self.sockets) {
                Step::Done => break,
                Step::Moved => continue,
                Step::Idle => {}
            }
            let longest = self.interface.poll_delay(self.now(), &self.sockets);
            self.tun.sleep(longest.map(Into::into));
        }
        // The last acknowledgements.
        let end = Clock::now() + Duration::from_millis(50);
        while Clock::now() < end {
            self.interface
                .poll(self.now(), &mut self.tun, &mut self.sockets);
            self.tun.sleep(Some(Duration::from_millis(5)));
        }
    }
}

/// What was counted, and used, in the window after the warm-up.
struct Meter {
    warm: Duration,
    window: Duration,
    start: Option<Clock>,
    from: Option<(Clock, Duration)>,
    to: Option<(Clock, Duration)>,
    count: u64,
    total: u64,
}

/// User and system time of the process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

impl Meter {
    fn add(&mut self, amount: u64) {
        let now = Clock::now();
        self.total += amount;
        let start = *self.start.get_or_insert(now);
        if now < start + self.warm || self.to.is_some() {
            return;
        }
        let Some((from, _)) = self.from else {
            self.from = Some((now, cpu()));
            return;
        };
        self.count += amount;
        if now >= from + self.window {
            self.to = Some((now, cpu()));
        }
    }

    /// The source goes on a little longer than the other end counts.
    fn over(&self) -> bool {
        let whole = self.warm + self.window + Duration::from_millis(100);
        self.start.is_some_and(|start| start.elapsed() >= whole)
    }

    fn report(&self, test: &str) {
        let (seconds, used) = match (self.from, self.to) {
            (Some((from, before)), Some((to, after))) => {
                ((to - from).as_secs_f64(), (after - before).as_secs_f64())
            }
            _ => (0.0, 0.0),
        };
        let per = |amount: f64, by: f64| if by > 0.0 { amount / by } else { 0.0 };
        println!(
            "test={test} role=server complete={} seconds={seconds:.4} cpu={used:.4} peak_kb={} bytes={} total={} gbit={:.4} \
             cpu_s_per_gb={:.4} per_s={:.1}",
            u8::from(self.to.is_some()),
            peak_kb(),
            self.count,
            self.total,
            per(self.count as f64 * 8.0 / 1e9, seconds),
            per(used, self.count as f64 / 1e9),
            per(self.count as f64, seconds),
        );
    }
}

fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn sink(stack: &mut Stack, port: u16, meter: &mut Meter) {
    let handle = stack.listener(port);
    let mut room = vec![0; BULK];
    stack.run(|sockets| {
        let socket = sockets.get_mut::<tcp::Socket>(handle);
        match socket.recv_slice(&mut room) {
            Ok(0) => Step::Idle,
            Ok(len) => {
                meter.add(len as u64);
                Step::Moved
            }
            Err(tcp::RecvError::Finished) => {
                socket.close();
                Step::Done
            }
            Err(tcp::RecvError::InvalidState) => Step::Idle, // not connected yet
        }
    });
}

fn source(stack: &mut Stack, port: u16, meter: &mut Meter) {
    let handle = stack.listener(port);
    let data = vec![b'x'; BULK];
    let mut closed = false;
    stack.run(|sockets| {
        let socket = sockets.get_mut::<tcp::Socket>(handle);
        if closed {
            let gone = matches!(socket.state(), tcp::State::Closed | tcp::State::TimeWait);
            return if gone { Step::Done } else { Step::Idle };
        }
        if meter.over() {
            socket.close();
            closed = true;
            return Step::Moved;
        }
        match socket.can_send().then(|| socket.send_slice(&data)) {
            Some(Ok(len)) if len > 0 => {
                meter.add(len as u64);
                Step::Moved
            }
            _ => Step::Idle,
        }
    });
}

fn pingpong(stack: &mut Stack, port: u16, meter: &mut Meter, message: usize) {
    let handle = stack.listener(port);
    let mut data = vec![0; message];
    stack.run(|sockets| {
        let socket = sockets.get_mut::<tcp::Socket>(handle);
        if socket.recv_queue() >= message {
            let _ = socket.recv_slice(&mut data);
            let _ = socket.send_slice(&data);
            meter.add(1);
            return Step::Moved;
        }
        let ended = socket.state() == tcp::State::CloseWait;
        if ended {
            socket.close();
        }
        if ended { Step::Done } else { Step::Idle }
    });
}

fn connections(stack: &mut Stack, port: u16, meter: &mut Meter) {
    let all: Vec<_> = (0..LISTENERS).map(|_| stack.listener(port)).collect();
    stack.run(|sockets| {
        let mut step = Step::Idle;
        for handle in &all {
            let socket = sockets.get_mut::<tcp::Socket>(*handle);
            if socket.recv_queue() > 0 {
                return Step::Done;
            }
            match socket.state() {
                tcp::State::CloseWait => {
                    socket.close();
                    meter.add(1);
                    step = Step::Moved;
                }
                tcp::State::Closed => {
                    socket.listen(port).expect("a port");
                    step = Step::Moved;
                }
                _ => {}
            }
        }
        step
    });
}

fn datagrams(stack: &mut Stack, port: u16, meter: &mut Meter) {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 1024], vec![0; BUFFER]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(port).expect("a port");
    let handle = stack.sockets.add(socket);
    let mut data = vec![0; 65536];
    stack.run(|sockets| {
        let socket = sockets.get_mut::<udp::Socket>(handle);
        let mut step = Step::Idle;
        while let Ok((len, from)) = socket.recv_slice(&mut data) {
            // A zero for the time that it was sent at ends the test.
            if data.iter().take(8).all(|byte| *byte == 0) {
                return Step::Done;
            }
            let _ = socket.send_slice(&data[..len], from.endpoint);
            meter.add(1);
            step = Step::Moved;
        }
        step
    });
}

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let usage =
        || io::Error::other("usage: smoltcp_peer DEVICE ADDRESS/PREFIX server PORT TEST [options]");
    let [_, device, address, role, port, test, options @ ..] = args.as_slice() else {
        return Err(usage());
    };
    let option = |name: &str, default: u64| {
        let at = options.iter().position(|word| word == name);
        at.and_then(|at| options.get(at + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let port: u16 = port.parse().map_err(|_| usage())?;
    let address: IpCidr = address.parse().map_err(|()| usage())?;
    if role != "server" {
        return Err(usage());
    }
    let mut meter = Meter {
        warm: Duration::from_millis(option("-w", 300)),
        window: Duration::from_millis(option("-t", 1000)),
        start: None,
        from: None,
        to: None,
        count: 0,
        total: 0,
    };
    // SAFETY: plain numbers. Whoever waits longer than all of the test and 10 s is killed.
    unsafe { libc::alarm((meter.warm + meter.window).as_secs() as u32 + 10) };
    let mut stack = Stack::new(device, address)?;
    println!("ready");
    match test.as_str() {
        "sink" => sink(&mut stack, port, &mut meter),
        "source" => source(&mut stack, port, &mut meter),
        "pingpong" => pingpong(&mut stack, port, &mut meter, option("-n", 64) as usize),
        "connect" => connections(&mut stack, port, &mut meter),
        "udp" => datagrams(&mut stack, port, &mut meter),
        _ => return Err(usage()),
    }
    meter.report(test);
    Ok(())
}
