//! From the options to a stack on an open device. The options come from the environment, which `tunsock run` fills.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use tunsock_config::{Congestion, Network, Options};
use tunsock_link::{
    Caps, Capture, CaptureConfig, Device, FaultConfig, Faults, Netlink, OpenError, Tun, TunConfig,
};
use tunsock_stack::{
    Config, CongestionControl, FastOpen, FastOpenKeys, Instant, Offload, Route, Stack,
};

use super::log::{self, Level, log};

/// Reads the options, opens the device and makes the stack; the time is how long a waiting call is to spin. What is wrong is said on standard error, once; the error is the
/// one for socket(2): EADDRNOTAVAIL when another process has the device, EPERM when a right is missing, else ENODEV.
pub(super) fn open(now: Instant) -> Result<(Stack, Box<dyn Device>, Duration), Errno> {
    let options = match Options::from_env(std::env::vars_os()) {
        Ok((options, warnings)) => {
            log::init(options.log);
            for warning in warnings {
                log(Level::Warn, format_args!("{warning}"));
            }
            options
        }
        Err(error) => {
            log::init(Level::Warn);
            complain(format_args!("{error}"));
            return Err(Errno::NODEV);
        }
    };
    let (network, tun) = attach(&options).map_err(|error| error.complain())?;
    let name = tun.name().to_owned();
    let seed = seed(&options)?;
    let device = wrap(tun, &options, &seed).map_err(|error| error.complain())?;
    let caps = device.caps();
    log(
        Level::Info,
        format_args!(
            "the stack is {} on {name}, MTU {}",
            list(&network.addrs),
            caps.mtu
        ),
    );
    let usual = Config::default();
    let config = Config {
        device: name,
        tcp_rmem: options.tcp_rmem.unwrap_or(usual.tcp_rmem),
        tcp_wmem: options.tcp_wmem.unwrap_or(usual.tcp_wmem),
        tcp_mem: (options.tcp_mem)
            .map_or(usual.tcp_mem, |pages| pages.map(|n| n.saturating_mul(PAGE))),
        ports: options.local_ports.unwrap_or(usual.ports),
        congestion: congestion(options.congestion),
        fast_open: FastOpen::from_bits_truncate(options.fast_open),
        fast_open_keys: options
            .fast_open_key
            .as_deref()
            .and_then(FastOpenKeys::parse),
        fast_open_pause: Duration::from_micros(options.fast_open_pause_us),
        day_ms: day_ms(now),
        ..config(network, caps, seed)
    };
    let spin = Duration::from_micros(options.spin_us);
    Ok((Stack::new(config, now), device, spin))
}

/// A stack without a device, as the one on the device will be, to be asked for its interfaces and routes; `None` when these
/// are settled only when the device is opened (no `tunsock run` has done it).
pub(super) fn described(now: Instant) -> Option<Stack> {
    let (options, _) = Options::from_env(std::env::vars_os()).ok()?;
    if !options.managed || options.addrs.is_empty() {
        return None;
    }
    let caps = Caps {
        mtu: options.mtu,
        csum: false,
        tso4: false,
        tso6: false,
    };
    let network = options.network(&[]).ok()?;
    let config = Config {
        device: options.device?,
        ..config(network, caps, [0; 32])
    };
    Some(Stack::new(config, now))
}

/// Bytes of a page in `--tcp-mem`, as `net.ipv4.tcp_mem` counts on x86.
const PAGE: usize = 4096;

/// Says that a second process of one `tunsock run` wants a socket of a stack that it cannot have.
pub(super) fn complain_of_sharing() {
    complain(format_args!(
        "the stack belongs to the process that opened its first internet socket; \
         this process (forked from it, or run beside it) has no network"
    ));
}

/// Why there is no stack.
enum Failure {
    Open(OpenError),
    Options(String),
}

impl Failure {
    /// Says it on standard error and gives the error for socket(2).
    fn complain(self) -> Errno {
        match self {
            Failure::Options(why) => {
                complain(format_args!("{why}"));
                Errno::NODEV
            }
            Failure::Open(OpenError::InUse(_)) => {
                complain_of_sharing();
                Errno::ADDRNOTAVAIL
            }
            Failure::Open(error) => {
                complain(format_args!("no network: {error}"));
                match error {
                    OpenError::NotPermitted | OpenError::NoTun(Errno::ACCESS | Errno::PERM) => {
                        Errno::PERM
                    }
                    _ => Errno::NODEV,
                }
            }
        }
    }
}

/// Settles what the options leave open and opens the device.
fn attach(options: &Options) -> Result<(Network, Tun), Failure> {
    // With automatic names another process may take the number between the look and the opening.
    for _ in 0..RACES {
        let automatic = options.addrs.is_empty() || options.device.is_none();
        let slot = if automatic { Some(free_slot()?) } else { None };
        let addrs = slot.map(|slot| slot.stack_addrs().to_vec());
        let network = options
            .network(&addrs.unwrap_or_default())
            .map_err(|error| Failure::Options(error.to_string()))?;
        // One of the two is there; no name at all would be refused.
        let given = options.device.clone();
        let name = given.or(slot.map(|slot| slot.device())).unwrap_or_default();
        let config = TunConfig {
            name,
            mtu: options.mtu,
            // A fault strikes a frame, so a frame must be one packet.
            offload: !options.faults.any(),
            host_addrs: network.host_addrs.clone(),
            routes: Vec::new(),
            configure: !options.managed,
            persist: false,
        };
        match Tun::open(&config) {
            Ok(tun) => return Ok((network, tun)),
            Err(OpenError::InUse(_)) if options.device.is_none() && !options.managed => {}
            Err(error) => return Err(Failure::Open(error)),
        }
    }
    Err(Failure::Options(
        "no free device number was to be had".into(),
    ))
}

fn free_slot() -> Result<tunsock_link::Slot, Failure> {
    let slot = Netlink::open().and_then(|mut netlink| netlink.free_slot());
    match slot {
        Ok(Some(slot)) => Ok(slot),
        Ok(None) => Err(Failure::Options(
            "all 256 automatic networks are taken: give --addr".into(),
        )),
        Err(error) => Err(Failure::Open(error.into())),
    }
}

/// Puts what the options ask for around the device: stack ↔ capture ↔ faults ↔ TUN.
///
/// A capture that was asked for and cannot be written leaves the program without a network rather than without the capture.
fn wrap(tun: Tun, options: &Options, seed: &[u8; 32]) -> Result<Box<dyn Device>, Failure> {
    let name = tun.name().to_owned();
    let asked = &options.faults;
    let mut number = [0; 8];
    number
        .iter_mut()
        .zip(seed)
        .for_each(|(to, from)| *to = *from);
    let faults = FaultConfig {
        loss: asked.loss,
        reorder: asked.reorder,
        duplicate: asked.duplicate,
        corrupt: asked.corrupt,
        delay_us: asked.delay_us,
        jitter_us: asked.jitter_us,
        rate_bps: asked.rate_bps,
        seed: u64::from_le_bytes(number),
        ..FaultConfig::default()
    };
    let device: Box<dyn Device> = if faults.is_off() {
        Box::new(tun)
    } else {
        Box::new(Faults::new(tun, faults))
    };
    let Some(path) = &options.pcap else {
        return Ok(device);
    };
    let config = CaptureConfig {
        path: path.clone(),
        append: options.managed,
        device: name,
        epoch_offset_ns: None,
    };
    match Capture::create(device, &config) {
        Ok(capture) => Ok(Box::new(capture)),
        Err(error) => Err(Failure::Options(format!(
            "no capture in {}: {error}",
            path.display()
        ))),
    }
}

/// Milliseconds since midnight UT when the monotonic clock stood at zero.
fn day_ms(now: Instant) -> u32 {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    let wall = wall.map_or(0, |time| time.as_millis() as u64) % DAY;
    ((wall + DAY - now.as_millis() % DAY) % DAY) as u32
}

fn congestion(which: Congestion) -> CongestionControl {
    match which {
        Congestion::Cubic => CongestionControl::Cubic,
        Congestion::Reno => CongestionControl::Reno,
        Congestion::Bbr => CongestionControl::Bbr,
    }
}

fn config(network: Network, caps: Caps, seed: [u8; 32]) -> Config {
    Config {
        addrs: network.addrs,
        routes: network
            .routes
            .iter()
            .map(|route| Route {
                dest: route.dest,
                gateway: Some(route.gateway),
                mtu: None,
            })
            .collect(),
        mtu: caps.mtu,
        offload: Offload {
            csum: caps.csum,
            tso4: caps.tso4,
            tso6: caps.tso6,
        },
        seed,
        ..Config::default()
    }
}

fn seed(options: &Options) -> Result<[u8; 32], Errno> {
    let mut seed = [0; 32];
    match options.seed {
        Some(number) => {
            for (place, byte) in seed.iter_mut().zip(number.to_le_bytes()) {
                *place = byte;
            }
        }
        // getrandom(2): up to 256 bytes come whole.
        None => getrandom(&mut seed[..], GetRandomFlags::empty()).map(drop)?,
    }
    Ok(seed)
}

fn list(addrs: &[impl ToString]) -> String {
    let all: Vec<String> = addrs.iter().map(ToString::to_string).collect();
    all.join(", ")
}

/// One line, once in a process: a program that tries again and again shall not flood its terminal.
fn complain(what: std::fmt::Arguments<'_>) {
    if !COMPLAINED.swap(true, Relaxed) {
        log(Level::Error, what);
    }
}

/// How often another process may be faster.
const RACES: usize = 8;

static COMPLAINED: AtomicBool = AtomicBool::new(false);
