//! Typed options, from the environment and back.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::spec::{LIBRARY_ENV, MANAGED_ENV, OPTIONS, OptionId, OptionSpec};
use crate::value;

/// How much is reported on standard error. Each level includes those before it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Nothing at all.
    Off,
    /// What keeps the stack from working.
    Error,
    /// What will surprise the user.
    #[default]
    Warn,
    /// What the stack is: its addresses and its device.
    Info,
    /// How the states of TCP sockets change.
    Debug,
    /// Frames that the device did not take.
    Trace,
}

impl LogLevel {
    /// All levels, in order.
    pub const ALL: [LogLevel; 6] = [
        LogLevel::Off,
        LogLevel::Error,
        LogLevel::Warn,
        LogLevel::Info,
        LogLevel::Debug,
        LogLevel::Trace,
    ];

    /// The name by which it is chosen.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Off => "off",
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// Congestion control of sockets that choose none.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Congestion {
    /// CUBIC.
    #[default]
    Cubic,
    /// Reno.
    Reno,
    /// BBR.
    Bbr,
}

impl Congestion {
    /// All of them.
    pub const ALL: [Congestion; 3] = [Congestion::Cubic, Congestion::Reno, Congestion::Bbr];

    /// The name by which it is chosen: TCP_CONGESTION's.
    pub fn name(self) -> &'static str {
        match self {
            Congestion::Cubic => "cubic",
            Congestion::Reno => "reno",
            Congestion::Bbr => "bbr",
        }
    }
}

/// What the link does to packets on purpose, to each direction by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Probability that a packet is lost, 0 to 1.
    pub loss: f64,
    /// Delay of every packet, microseconds.
    pub delay_us: u64,
    /// Largest random deviation from the delay, microseconds.
    pub jitter_us: u64,
    /// Probability that a packet is held back so that later ones overtake it, 0 to 1.
    pub reorder: f64,
    /// Probability that a packet arrives twice, 0 to 1.
    pub duplicate: f64,
    /// Probability that one byte of a packet is changed, 0 to 1.
    pub corrupt: f64,
    /// Bits per second; `None`: unlimited.
    pub rate_bps: Option<u64>,
}

impl Faults {
    /// Whether there is any. A link with faults is opened without offloads: each packet must meet its own fate.
    pub fn any(&self) -> bool {
        *self != Faults::default()
    }
}

/// Every option, as given. What is empty or `None` was left to be settled ([`Options::network`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The stack's addresses with their prefix lengths.
    pub addrs: Vec<IpNet>,
    /// The kernel's end.
    pub host_addrs: Vec<IpAddr>,
    /// Next hops, at most one for each family.
    pub gateways: Vec<IpAddr>,
    /// Destinations over the gateways.
    pub routes: Vec<IpNet>,
    /// The TUN device's name.
    pub device: Option<String>,
    /// Largest IP packet, bytes.
    pub mtu: u32,
    /// Host side in a fresh network namespace. Done by the command; the library finds itself inside already.
    pub isolate: bool,
    /// Name servers; empty: those of /etc/resolv.conf.
    pub dns: Vec<SocketAddr>,
    /// File of names; `None`: /etc/hosts.
    pub hosts: Option<PathBuf>,
    /// Capture file.
    pub pcap: Option<PathBuf>,
    /// Faults on the link.
    pub faults: Faults,
    /// Seed of the faults and of the stack's own random choices; `None`: from the system.
    pub seed: Option<u64>,
    /// Congestion control of sockets that choose none.
    pub congestion: Congestion,
    /// TCP Fast Open, the bits of Linux's net.ipv4.tcp_fastopen.
    pub fast_open: u32,
    /// Its key or keys, as in net.ipv4.tcp_fastopen_key; `None`: random.
    pub fast_open_key: Option<String>,
    /// How long it is not used after the network swallowed data, microseconds.
    pub fast_open_pause_us: u64,
    /// Receive buffer of a TCP socket, bytes: least, at first, at most (net.ipv4.tcp_rmem); `None`: the stack's own.
    pub tcp_rmem: Option<[usize; 3]>,
    /// Send buffer of a TCP socket, bytes (net.ipv4.tcp_wmem); `None`: the stack's own.
    pub tcp_wmem: Option<[usize; 3]>,
    /// Memory of all TCP buffers, pages of 4096 bytes (net.ipv4.tcp_mem); `None`: the stack's own.
    pub tcp_mem: Option<[usize; 3]>,
    /// Ephemeral ports, first and last (net.ipv4.ip_local_port_range); `None`: the stack's own.
    pub local_ports: Option<(u16, u16)>,
    /// How long a waiting call looks for packets before it sleeps, microseconds.
    pub spin_us: u64,
    /// What is reported.
    pub log: LogLevel,
    /// The device `device` exists and is configured ([`MANAGED_ENV`]): attach only.
    pub managed: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            addrs: Vec::new(),
            host_addrs: Vec::new(),
            gateways: Vec::new(),
            routes: Vec::new(),
            device: None,
            mtu: 1500,
            isolate: false,
            dns: Vec::new(),
            hosts: None,
            pcap: None,
            faults: Faults::default(),
            seed: None,
            congestion: Congestion::default(),
            fast_open: 1,
            fast_open_key: None,
            fast_open_pause_us: 0,
            tcp_rmem: None,
            tcp_wmem: None,
            tcp_mem: None,
            local_ports: None,
            spin_us: 0,
            log: LogLevel::default(),
            managed: false,
        }
    }
}

impl Options {
    /// Options from environment variables; names that do not begin with `TUNSOCK_` are passed over. A name that begins so
    /// and is no option gives a warning with the nearest one; a value that is none of its kind is an error.
    pub fn from_env<I, N, V>(vars: I) -> Result<(Options, Vec<Warning>), OptionError>
    where
        I: IntoIterator<Item = (N, V)>,
        N: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let mut options = Options::default();
        let mut warnings = Vec::new();
        for (name, value) in vars {
            let Some(name) = name.as_ref().to_str().filter(|n| n.starts_with(PREFIX)) else {
                continue;
            };
            let value = value.as_ref();
            if let Some(spec) = OptionSpec::of_env(name) {
                options.set_env(spec, value)?;
            } else if name == MANAGED_ENV {
                options.managed = value == "1";
            } else if name != LIBRARY_ENV {
                warnings.push(Warning {
                    name: name.to_owned(),
                    nearest: nearest(name),
                });
            }
        }
        Ok((options, warnings))
    }

    /// Sets one occurrence of an option, as on the command line: a repeatable one is added to.
    pub fn set(&mut self, id: OptionId, value: &OsStr) -> Result<(), OptionError> {
        let spec = OptionSpec::of(id);
        self.apply(id, value).map_err(|why| OptionError {
            name: format!("--{}", spec.long),
            value: value.to_owned(),
            why,
        })
    }

    /// The variables by which a program under the library is told these options: every option that differs from its
    /// default, and [`MANAGED_ENV`]. [`Options::from_env`] gives them back unchanged.
    pub fn to_env(&self) -> Vec<(&'static str, OsString)> {
        let mut env: Vec<(&'static str, OsString)> = OPTIONS
            .iter()
            .filter_map(|spec| Some((spec.env, self.value(spec.id)?)))
            .collect();
        if self.managed {
            env.push((MANAGED_ENV, OsString::from("1")));
        }
        env
    }

    fn set_env(&mut self, spec: &OptionSpec, value: &OsStr) -> Result<(), OptionError> {
        let wrong = |value: &OsStr, why| OptionError {
            name: spec.env.to_owned(),
            value: value.to_owned(),
            why,
        };
        if !spec.repeatable {
            return self.apply(spec.id, value).map_err(|why| wrong(value, why));
        }
        let text = value
            .to_str()
            .ok_or_else(|| wrong(value, NOT_TEXT.to_owned()))?;
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            self.apply(spec.id, part.as_ref())
                .map_err(|why| wrong(part.as_ref(), why))?;
        }
        Ok(())
    }

    fn apply(&mut self, id: OptionId, value: &OsStr) -> Result<(), String> {
        if let OptionId::Hosts | OptionId::Pcap = id {
            if value.is_empty() {
                return Err("is not a file name".to_owned());
            }
            let file = if id == OptionId::Hosts {
                &mut self.hosts
            } else {
                &mut self.pcap
            };
            *file = Some(PathBuf::from(value));
            return Ok(());
        }
        let text = value.to_str().ok_or(NOT_TEXT)?;
        match id {
            OptionId::Addr => self.addrs.push(value::cidr(text)?),
            OptionId::HostAddr => self.host_addrs.push(value::ip(text)?),
            OptionId::Gateway => self.gateways.push(value::ip(text)?),
            OptionId::Route => self.routes.push(value::cidr(text)?.trunc()),
            OptionId::Device => self.device = Some(value::device(text)?),
            OptionId::Mtu => self.mtu = value::mtu(text)?,
            OptionId::Isolate => self.isolate = value::flag(text)?,
            OptionId::Dns => self.dns.push(value::server(text)?),
            OptionId::Hosts | OptionId::Pcap => {}
            OptionId::Loss => self.faults.loss = value::probability(text)?,
            OptionId::Delay => self.faults.delay_us = value::duration_us(text)?,
            OptionId::Jitter => self.faults.jitter_us = value::duration_us(text)?,
            OptionId::Reorder => self.faults.reorder = value::probability(text)?,
            OptionId::Duplicate => self.faults.duplicate = value::probability(text)?,
            OptionId::Corrupt => self.faults.corrupt = value::probability(text)?,
            OptionId::Rate => self.faults.rate_bps = Some(value::rate_bps(text)?),
            OptionId::Seed => self.seed = Some(value::integer(text)?),
            OptionId::Congestion => self.congestion = value::congestion(text)?,
            OptionId::FastOpen => self.fast_open = value::bits(text)?,
            OptionId::FastOpenKey => self.fast_open_key = Some(value::keys(text)?),
            OptionId::FastOpenPause => self.fast_open_pause_us = value::duration_us(text)?,
            OptionId::TcpRmem => self.tcp_rmem = Some(value::buffer(text)?),
            OptionId::TcpWmem => self.tcp_wmem = Some(value::buffer(text)?),
            OptionId::TcpMem => self.tcp_mem = Some(value::pages(text)?),
            OptionId::LocalPorts => self.local_ports = Some(value::ports(text)?),
            OptionId::Spin => self.spin_us = value::spin_us(text)?,
            OptionId::Log => self.log = value::level(text)?,
        }
        Ok(())
    }

    /// The text that gives an option its present value; `None` when that is the default.
    fn value(&self, id: OptionId) -> Option<OsString> {
        let default = Options::default();
        let faults = &self.faults;
        let text = match id {
            OptionId::Addr => list(&self.addrs),
            OptionId::HostAddr => list(&self.host_addrs),
            OptionId::Gateway => list(&self.gateways),
            OptionId::Route => list(&self.routes),
            OptionId::Device => self.device.clone(),
            OptionId::Mtu => (self.mtu != default.mtu).then(|| self.mtu.to_string()),
            OptionId::Isolate => self.isolate.then(|| "1".to_owned()),
            OptionId::Dns => list(&self.dns),
            OptionId::Hosts => return self.hosts.clone().map(PathBuf::into_os_string),
            OptionId::Pcap => return self.pcap.clone().map(PathBuf::into_os_string),
            OptionId::Loss => fraction(faults.loss),
            OptionId::Delay => microseconds(faults.delay_us),
            OptionId::Jitter => microseconds(faults.jitter_us),
            OptionId::Reorder => fraction(faults.reorder),
            OptionId::Duplicate => fraction(faults.duplicate),
            OptionId::Corrupt => fraction(faults.corrupt),
            OptionId::Rate => faults.rate_bps.map(|bps| bps.to_string()),
            OptionId::Seed => self.seed.map(|seed| seed.to_string()),
            OptionId::Congestion => {
                (self.congestion != default.congestion).then(|| self.congestion.name().to_owned())
            }
            OptionId::FastOpen => {
                (self.fast_open != default.fast_open).then(|| self.fast_open.to_string())
            }
            OptionId::FastOpenKey => self.fast_open_key.clone(),
            OptionId::FastOpenPause => microseconds(self.fast_open_pause_us),
            OptionId::TcpRmem => triple(self.tcp_rmem),
            OptionId::TcpWmem => triple(self.tcp_wmem),
            OptionId::TcpMem => triple(self.tcp_mem),
            OptionId::LocalPorts => {
                (self.local_ports).map(|(first, last)| format!("{first}-{last}"))
            }
            OptionId::Spin => microseconds(self.spin_us),
            OptionId::Log => (self.log != default.log).then(|| self.log.name().to_owned()),
        };
        text.map(OsString::from)
    }
}

/// A value that an option cannot have. Displayed as a whole sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The option as the user wrote it: `--mtu` or `TUNSOCK_MTU`.
    pub name: String,
    /// The value refused.
    pub value: OsString,
    /// What is wrong with it: the second half of a sentence.
    pub why: String,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}` {}", self.name, self.value.display(), self.why)
    }
}

impl std::error::Error for OptionError {}

/// A `TUNSOCK_*` variable that is no option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The variable's name.
    pub name: String,
    /// The option's variable that it resembles most.
    pub nearest: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is no option and is ignored; the nearest is {}",
            self.name, self.nearest
        )
    }
}

fn nearest(name: &str) -> &'static str {
    OPTIONS
        .iter()
        .map(|spec| spec.env)
        .min_by_key(|env| strsim::damerau_levenshtein(env, name))
        .unwrap_or(PREFIX)
}

fn triple(numbers: Option<[usize; 3]>) -> Option<String> {
    numbers.map(|[least, first, most]| format!("{least},{first},{most}"))
}

fn list<T: fmt::Display>(values: &[T]) -> Option<String> {
    let texts: Vec<String> = values.iter().map(T::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

fn fraction(value: f64) -> Option<String> {
    // `{:?}` keeps every bit and always writes a point or an exponent, which tells it from a percentage.
    (value != 0.0).then(|| format!("{value:?}"))
}

fn microseconds(value: u64) -> Option<String> {
    (value != 0).then(|| format!("{value}us"))
}

const PREFIX: &str = "TUNSOCK_";
const NOT_TEXT: &str = "is not text";

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn env(vars: &[(&str, &str)]) -> Result<(Options, Vec<Warning>), OptionError> {
        Options::from_env(vars.iter().copied())
    }

    #[test]
    fn nothing_gives_the_defaults() {
        let (options, warnings) = env(&[("PATH", "/bin"), ("TUNSOC", "x")]).unwrap();
        assert_eq!(options, Options::default());
        assert!(warnings.is_empty());
        assert!(options.to_env().is_empty());
        assert!(!options.faults.any());
    }

    #[test]
    fn the_environment_is_read() {
        let (options, warnings) = env(&[
            ("TUNSOCK_ADDR", "10.9.0.2/24, fd09::2/64"),
            ("TUNSOCK_HOST_ADDR", "10.9.0.1"),
            ("TUNSOCK_DEVICE", "tun7"),
            ("TUNSOCK_MTU", "9000"),
            ("TUNSOCK_LOSS", "1%"),
            ("TUNSOCK_DELAY", "20ms"),
            ("TUNSOCK_RATE", "10Mbit"),
            ("TUNSOCK_SEED", "7"),
            ("TUNSOCK_LOG", "Debug"),
            ("TUNSOCK_ISOLATE", "yes"),
            ("TUNSOCK_LIBRARY", "/x"),
            ("TUNSOCK_MANAGED", "1"),
        ])
        .unwrap();
        assert!(warnings.is_empty());
        assert_eq!(list(&options.addrs).unwrap(), "10.9.0.2/24,fd09::2/64");
        assert_eq!(options.host_addrs, ["10.9.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(options.device.as_deref(), Some("tun7"));
        assert_eq!((options.mtu, options.seed), (9000, Some(7)));
        assert_eq!(
            (options.faults.loss, options.faults.delay_us),
            (0.01, 20_000)
        );
        assert_eq!(options.faults.rate_bps, Some(10_000_000));
        assert!(options.faults.any() && options.isolate && options.managed);
        assert_eq!(options.log, LogLevel::Debug);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut options = Options {
            managed: true,
            isolate: true,
            ..Options::default()
        };
        for spec in OPTIONS {
            let values: &[&str] = match spec.kind {
                crate::Kind::Cidr => &["10.1.2.3/24", "fd00::3/64"],
                crate::Kind::Ip => &["10.1.2.1", "fd00::1"],
                crate::Kind::Server => &["10.1.2.1", "[fd00::1]:5353"],
                crate::Kind::Device => &["tunsock3"],
                crate::Kind::Bytes => &["1400"],
                crate::Kind::Flag => &["1"],
                crate::Kind::Path => &["a,b c.pcapng"],
                crate::Kind::Probability => &["0.00001%"],
                crate::Kind::Duration => &["1.5ms"],
                crate::Kind::Rate => &["2.5Mbit"],
                crate::Kind::Integer => &["18446744073709551615"],
                crate::Kind::Bits => &["0x403"],
                crate::Kind::Keys => &["1-2-3-4,a-b-c-deadbeef"],
                crate::Kind::Triple => &["4096,65536,1048576"],
                crate::Kind::Ports => &["40000-40001"],
                crate::Kind::Congestion => &["bbr"],
                crate::Kind::Level => &["trace"],
            };
            for value in values {
                options.set(spec.id, value.as_ref()).unwrap();
            }
        }
        let env = options.to_env();
        assert_eq!(
            env.len(),
            OPTIONS.len() + 1,
            "every option, and the managed mark"
        );
        let (back, warnings) = Options::from_env(env).unwrap();
        assert_eq!(back, options);
        assert!(warnings.is_empty());
    }

    #[test]
    fn sizes_are_three_and_do_not_fall() {
        let set = |id, text: &str| {
            let mut options = Options::default();
            options.set(id, text.as_ref()).map(|()| options)
        };
        for text in [
            "4096,131072,6291456",
            "4096 131072 6291456",
            "4096\t131072\t6291456",
            " 4096, 131072, 6291456",
        ] {
            let options = set(OptionId::TcpRmem, text).expect(text);
            assert_eq!(options.tcp_rmem, Some([4096, 131_072, 6_291_456]));
        }
        assert_eq!(
            set(OptionId::TcpWmem, "1,1,1").unwrap().tcp_wmem,
            Some([1; 3])
        );
        assert_eq!(
            set(OptionId::TcpMem, "1,2,3").unwrap().tcp_mem,
            Some([1, 2, 3])
        );
        for text in [
            "",
            "1",
            "1,2",
            "1,2,3,4",
            "3,2,1",
            "0,1,2",
            "-1,2,3",
            "a,b,c",
            "1,,2,3",
            "1,2,2147483648",
        ] {
            for id in [OptionId::TcpRmem, OptionId::TcpWmem, OptionId::TcpMem] {
                assert!(set(id, text).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn paths_keep_their_bytes() {
        let mut options = Options::default();
        options
            .set(OptionId::Pcap, OsStr::from_bytes(b"\xff.pcapng"))
            .unwrap();
        let (back, _) = Options::from_env(options.to_env()).unwrap();
        assert_eq!(back, options);
    }

    #[test]
    fn misspelt_names_are_told_the_nearest() {
        let (options, warnings) = env(&[("TUNSOCK_LOS", "1%"), ("TUNSOCK_HOSTADDR", "x")]).unwrap();
        assert_eq!(options, Options::default());
        assert_eq!(warnings.len(), 2);
        // TUNSOCK_LOS is one letter from TUNSOCK_LOSS and from TUNSOCK_LOG; the table's order decides.
        assert_eq!(warnings[0].nearest, "TUNSOCK_LOSS");
        assert_eq!(warnings[1].nearest, "TUNSOCK_HOST_ADDR");
        assert_eq!(
            warnings[1].to_string(),
            "TUNSOCK_HOSTADDR is no option and is ignored; the nearest is TUNSOCK_HOST_ADDR"
        );
    }

    #[test]
    fn wrong_values_are_said_with_their_name() {
        let error = env(&[("TUNSOCK_MTU", "9")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "TUNSOCK_MTU: `9` is not a size from 68 to 65535 bytes"
        );
        let error = env(&[("TUNSOCK_ADDR", "10.0.0.2/24,bad")]).unwrap_err();
        assert_eq!(error.value, "bad");
        let error = Options::default()
            .set(OptionId::Loss, "x".as_ref())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "--loss: `x` is not a probability (1% or 0.01)"
        );
        let bytes = OsStr::from_bytes(b"\xff");
        assert!(Options::from_env([("TUNSOCK_ADDR", bytes)]).is_err());
        assert!(Options::from_env([("TUNSOCK_SEED", bytes)]).is_err());
    }
}
