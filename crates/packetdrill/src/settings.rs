//! What the host under test is like: `--so_flags` first, then the namespace's sysctls.
//!
//! Flags are `key=value`, separated by commas: `addr=CIDR` (repeatable; 192.168.0.1/16 when there is none), `mtu=N`,
//! `seed=N`, `gso=0` (no super-segments), `sysctl=0` (the namespace's sysctls and its `tun0` are not looked at).

use std::fs;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use tunsock_stack::{Config, Ecn, FastOpen, FastOpenKeys, MtuProbing, Offload, Route, SockOpt};

use crate::{device, queue, routes};

/// The flags.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    addrs: Vec<IpNet>,
    mtu: u32,
    seed: u8,
    gso: bool,
    sysctl: bool,
}

impl Settings {
    /// Reads the flags. `Err` says what is wrong with them.
    pub(crate) fn parse(flags: &str) -> Result<Settings, String> {
        let mut settings = Settings {
            addrs: Vec::new(),
            mtu: 1500,
            seed: 1,
            gso: true,
            sysctl: true,
        };
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            let (key, value) = flag
                .split_once('=')
                .ok_or_else(|| format!("{flag}: not of the form key=value"))?;
            match key {
                "addr" => settings.addrs.push(value_of(flag, value)?),
                "mtu" => settings.mtu = value_of(flag, value)?,
                "seed" => settings.seed = value_of(flag, value)?,
                "gso" => settings.gso = value_of::<u8>(flag, value)? != 0,
                "sysctl" => settings.sysctl = value_of::<u8>(flag, value)? != 0,
                _ => return Err(format!("{key}: no such flag")),
            }
        }
        if settings.addrs.is_empty() {
            settings
                .addrs
                .extend("192.168.0.1/16".parse::<IpNet>().ok());
        }
        Ok(settings)
    }

    /// Options that sysctls give every new socket.
    pub(crate) fn socket_options(&self) -> Vec<SockOpt> {
        let mut options = Vec::new();
        if !self.sysctl {
            return options;
        }
        if let Some([n]) = numbers("tcp_syn_retries") {
            options.push(SockOpt::SynCnt(n as u32));
        }
        options
    }

    /// Whether the device takes super-segments at this moment.
    pub(crate) fn takes_super_segments(&self) -> bool {
        !self.sysctl || device::takes_super_segments().unwrap_or(true)
    }

    /// Whether the queue above the device takes packets at this moment.
    pub(crate) fn takes_packets(&self) -> bool {
        !self.sysctl || queue::has_room(device::NAME)
    }

    /// The stack's configuration, with what the namespace's sysctls say at this moment.
    pub(crate) fn config(&self) -> Config {
        let everywhere = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|dest| {
            dest.parse().ok().map(|dest| Route {
                dest,
                gateway: None,
                mtu: None,
            })
        });
        let mut config = Config {
            addrs: self.addrs.clone(),
            routes: everywhere.collect(),
            mtu: self.mtu,
            offload: Offload {
                csum: true,
                tso4: self.gso,
                tso6: self.gso,
            },
            seed: [self.seed; 32],
            ..Config::default()
        };
        if self.sysctl {
            apply_sysctls(&mut config);
            config.routes.extend(routes::with_mtu());
        }
        config
    }
}

fn value_of<T: FromStr>(flag: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{flag}: bad value"))
}

/// Maps the sysctls that have their like in the stack's configuration.
fn apply_sysctls(config: &mut Config) {
    if let Some(sizes) = numbers("tcp_rmem") {
        config.tcp_rmem = sizes;
    }
    if let Some([mode]) = numbers("tcp_ecn") {
        config.ecn = match mode {
            0 => Ecn::Off,
            1 => Ecn::Request,
            _ => Ecn::Accept,
        };
    }
    if let Some([mode]) = numbers("tcp_mtu_probing") {
        config.mtu_probing = match mode {
            2 => MtuProbing::Always,
            _ => MtuProbing::Suspicion,
        };
    }
    if let Some([octets]) = numbers("tcp_base_mss") {
        config.base_mss = u32::try_from(octets).unwrap_or(u32::MAX);
    }
    if let Some([bits]) = numbers("tcp_fastopen") {
        config.fast_open = FastOpen::from_bits_truncate(bits as u32);
    }
    if let Some([seconds]) = numbers("tcp_fastopen_blackhole_timeout_sec") {
        config.fast_open_pause = Duration::from_secs(seconds as u64);
    }
    config.fast_open_keys = text("tcp_fastopen_key").and_then(|text| FastOpenKeys::parse(&text));
    if let Some([mode]) = numbers("tcp_timestamps") {
        config.timestamps = mode != 0;
    }
    if let Some([segments]) = numbers("tcp_min_tso_segs") {
        config.tso_segments_min = u16::try_from(segments).unwrap_or(u16::MAX);
    }
    if let Some(sizes) = numbers("tcp_wmem") {
        config.tcp_wmem = sizes;
    }
    if let Some([first, last]) = numbers("ip_local_port_range") {
        let port = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        config.ports = (port(first), port(last));
    }
    if let Some([mark]) = numbers("tcp_notsent_lowat") {
        config.notsent_lowat = u32::try_from(mark).unwrap_or(u32::MAX);
    }
}

fn text(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok()
}

fn numbers<const N: usize>(name: &str) -> Option<[usize; N]> {
    let text = text(name)?;
    let values: Vec<usize> = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    values.try_into().ok()
}
