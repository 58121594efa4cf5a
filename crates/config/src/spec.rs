//! The table: one row per option.

/// Which option a row is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each is described by its row's help text.
pub enum OptionId {
    Addr,
    HostAddr,
    Gateway,
    Route,
    Device,
    Mtu,
    Isolate,
    Dns,
    Hosts,
    Pcap,
    Loss,
    Delay,
    Jitter,
    Reorder,
    Duplicate,
    Corrupt,
    Rate,
    Seed,
    Congestion,
    FastOpen,
    FastOpenKey,
    FastOpenPause,
    TcpRmem,
    TcpWmem,
    TcpMem,
    LocalPorts,
    Spin,
    Log,
}

/// The form of an option's value.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An address with its prefix length: `10.83.0.2/24`, `fd83::2/64`.
    Cidr,
    /// An IPv4 or IPv6 address.
    Ip,
    /// An IPv4 or IPv6 address, with a port or without: `10.0.0.1`, `10.0.0.1:5353`, `fd00::1`, `[fd00::1]:5353`.
    Server,
    /// The name of a network device: 1 to 15 bytes.
    Device,
    /// A size in bytes.
    Bytes,
    /// Present or absent; in the environment `1`, `0`, `yes`, `no`, `on`, `off`, `true`, `false`.
    Flag,
    /// A file's path, any bytes.
    Path,
    /// A probability: `1%` or `0.01`.
    Probability,
    /// A time with its unit: `20ms`, `1.5s`, `100us`.
    Duration,
    /// Bits per second: `10Mbit`, `1Gbit`, `64000`.
    Rate,
    /// A whole number of 64 bits.
    Integer,
    /// A mask of bits: `3`, `0x403`.
    Bits,
    /// A key of 128 bits, or two: four hexadecimal words with dashes between them, a comma between the keys.
    Keys,
    /// Three whole numbers that do not fall, with commas or blanks between: `4096,131072,6291456`.
    Triple,
    /// Two ports that do not fall, with a dash or blanks between: `32768-60999`.
    Ports,
    /// `cubic`, `reno` or `bbr`.
    Congestion,
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`.
    Level,
}

/// One option: everything that its users are told about it.
#[derive(Debug)]
pub struct OptionSpec {
    /// Which it is.
    pub id: OptionId,
    /// Name on the command line, without the dashes.
    pub long: &'static str,
    /// Name in the environment.
    pub env: &'static str,
    /// What stands for the value in help texts; empty for a flag.
    pub value_name: &'static str,
    /// What holds when the option is absent, as a text for people.
    pub default: &'static str,
    /// One sentence of help, without a full stop.
    pub help: &'static str,
    /// May be given several times; in the environment the values are separated by commas.
    pub repeatable: bool,
    /// Form of the value.
    pub kind: Kind,
}

/// Set to `1` by the command for the program it starts: the device exists and is configured, the library only attaches
/// to it. Not an option: nobody sets it by hand.
pub const MANAGED_ENV: &str = "TUNSOCK_MANAGED";

/// Where the command finds `libtunsock.so` when it is neither beside the command nor in `../lib`. The library ignores it.
pub const LIBRARY_ENV: &str = "TUNSOCK_LIBRARY";

/// Every option, in the order of the help text.
pub static OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        id: OptionId::Addr,
        long: "addr",
        env: "TUNSOCK_ADDR",
        value_name: "CIDR",
        default: "first free of 10.83.N.2/24, with fd83:7475:6e73:N::2/64",
        help: "Address of the program's own network stack, with its prefix length",
        repeatable: true,
        kind: Kind::Cidr,
    },
    OptionSpec {
        id: OptionId::HostAddr,
        long: "host-addr",
        env: "TUNSOCK_HOST_ADDR",
        value_name: "IP",
        default: "first other address of each --addr's net",
        help: "Address of the kernel's end of the device",
        repeatable: true,
        kind: Kind::Ip,
    },
    OptionSpec {
        id: OptionId::Gateway,
        long: "gateway",
        env: "TUNSOCK_GATEWAY",
        value_name: "IP",
        default: "--host-addr",
        help: "Next hop of the stack's routes, one for each address family",
        repeatable: true,
        kind: Kind::Ip,
    },
    OptionSpec {
        id: OptionId::Route,
        long: "route",
        env: "TUNSOCK_ROUTE",
        value_name: "CIDR",
        default: "everything",
        help: "Destinations that the stack reaches over the gateway",
        repeatable: true,
        kind: Kind::Cidr,
    },
    OptionSpec {
        id: OptionId::Device,
        long: "device",
        env: "TUNSOCK_DEVICE",
        value_name: "NAME",
        default: "first free tunsockN",
        help: "TUN device: used and left if it exists, else made and deleted again",
        repeatable: false,
        kind: Kind::Device,
    },
    OptionSpec {
        id: OptionId::Mtu,
        long: "mtu",
        env: "TUNSOCK_MTU",
        value_name: "BYTES",
        default: "1500",
        help: "Largest IP packet on the device, 68 to 65535 (IPv6 needs 1280)",
        repeatable: false,
        kind: Kind::Bytes,
    },
    OptionSpec {
        id: OptionId::Isolate,
        long: "isolate",
        env: "TUNSOCK_ISOLATE",
        value_name: "",
        default: "off",
        help: "Put the kernel's end and the program into a fresh network namespace (and user namespace when not root)",
        repeatable: false,
        kind: Kind::Flag,
    },
    OptionSpec {
        id: OptionId::Dns,
        long: "dns",
        env: "TUNSOCK_DNS",
        value_name: "IP[:PORT]",
        default: "the servers of /etc/resolv.conf",
        help: "Name server, asked over the stack; of several the first three count, each asked when those before it fail",
        repeatable: true,
        kind: Kind::Server,
    },
    OptionSpec {
        id: OptionId::Hosts,
        long: "hosts",
        env: "TUNSOCK_HOSTS",
        value_name: "FILE",
        default: "/etc/hosts",
        help: "Names and their addresses, in the form of hosts(5)",
        repeatable: false,
        kind: Kind::Path,
    },
    OptionSpec {
        id: OptionId::Pcap,
        long: "pcap",
        env: "TUNSOCK_PCAP",
        value_name: "FILE",
        default: "off",
        help: "Write every packet to a pcapng file, from the first one on",
        repeatable: false,
        kind: Kind::Path,
    },
    OptionSpec {
        id: OptionId::Loss,
        long: "loss",
        env: "TUNSOCK_LOSS",
        value_name: "P",
        default: "0%",
        help: "Lose packets, each way, with this probability (1% or 0.01)",
        repeatable: false,
        kind: Kind::Probability,
    },
    OptionSpec {
        id: OptionId::Delay,
        long: "delay",
        env: "TUNSOCK_DELAY",
        value_name: "T",
        default: "0",
        help: "Delay packets, each way, by this time (20ms, 1.5s, 100us)",
        repeatable: false,
        kind: Kind::Duration,
    },
    OptionSpec {
        id: OptionId::Jitter,
        long: "jitter",
        env: "TUNSOCK_JITTER",
        value_name: "T",
        default: "0",
        help: "Vary the delay by up to this time",
        repeatable: false,
        kind: Kind::Duration,
    },
    OptionSpec {
        id: OptionId::Reorder,
        long: "reorder",
        env: "TUNSOCK_REORDER",
        value_name: "P",
        default: "0%",
        help: "Let packets be overtaken, each way, with this probability",
        repeatable: false,
        kind: Kind::Probability,
    },
    OptionSpec {
        id: OptionId::Duplicate,
        long: "duplicate",
        env: "TUNSOCK_DUPLICATE",
        value_name: "P",
        default: "0%",
        help: "Deliver packets twice, each way, with this probability",
        repeatable: false,
        kind: Kind::Probability,
    },
    OptionSpec {
        id: OptionId::Corrupt,
        long: "corrupt",
        env: "TUNSOCK_CORRUPT",
        value_name: "P",
        default: "0%",
        help: "Change a byte of packets, each way, with this probability",
        repeatable: false,
        kind: Kind::Probability,
    },
    OptionSpec {
        id: OptionId::Rate,
        long: "rate",
        env: "TUNSOCK_RATE",
        value_name: "BPS",
        default: "unlimited",
        help: "Limit each way to this many bits per second (10Mbit, 1Gbit, 64000)",
        repeatable: false,
        kind: Kind::Rate,
    },
    OptionSpec {
        id: OptionId::Seed,
        long: "seed",
        env: "TUNSOCK_SEED",
        value_name: "N",
        default: "random",
        help: "Make the faults and every other random choice of the stack repeat; sequence numbers become predictable",
        repeatable: false,
        kind: Kind::Integer,
    },
    OptionSpec {
        id: OptionId::Congestion,
        long: "congestion",
        env: "TUNSOCK_CONGESTION",
        value_name: "NAME",
        default: "cubic",
        help: "Congestion control of sockets that choose none with TCP_CONGESTION: cubic, reno, bbr",
        repeatable: false,
        kind: Kind::Congestion,
    },
    OptionSpec {
        id: OptionId::FastOpen,
        long: "tcp-fastopen",
        env: "TUNSOCK_TCP_FASTOPEN",
        value_name: "BITS",
        default: "1",
        help: "TCP Fast Open, the bits of Linux's net.ipv4.tcp_fastopen: 1 client, 2 server, 4 and 0x200 without cookies, 0x400 every listener",
        repeatable: false,
        kind: Kind::Bits,
    },
    OptionSpec {
        id: OptionId::FastOpenKey,
        long: "tcp-fastopen-key",
        env: "TUNSOCK_TCP_FASTOPEN_KEY",
        value_name: "KEY",
        default: "random",
        help: "Key of Fast Open cookies, and a second one that is believed too, as in net.ipv4.tcp_fastopen_key",
        repeatable: false,
        kind: Kind::Keys,
    },
    OptionSpec {
        id: OptionId::FastOpenPause,
        long: "tcp-fastopen-pause",
        env: "TUNSOCK_TCP_FASTOPEN_PAUSE",
        value_name: "T",
        default: "0",
        help: "Open no connection with data in its SYN for this time after the network was seen to swallow such data",
        repeatable: false,
        kind: Kind::Duration,
    },
    OptionSpec {
        id: OptionId::TcpRmem,
        long: "tcp-rmem",
        env: "TUNSOCK_TCP_RMEM",
        value_name: "MIN,DEFAULT,MAX",
        default: "4096,131072,16777216",
        help: "Receive buffer of a TCP socket, bytes: least, at first, at most, as in net.ipv4.tcp_rmem",
        repeatable: false,
        kind: Kind::Triple,
    },
    OptionSpec {
        id: OptionId::TcpWmem,
        long: "tcp-wmem",
        env: "TUNSOCK_TCP_WMEM",
        value_name: "MIN,DEFAULT,MAX",
        default: "4096,16384,16777216",
        help: "Send buffer of a TCP socket, bytes: least, at first, at most, as in net.ipv4.tcp_wmem",
        repeatable: false,
        kind: Kind::Triple,
    },
    OptionSpec {
        id: OptionId::TcpMem,
        long: "tcp-mem",
        env: "TUNSOCK_TCP_MEM",
        value_name: "LOW,PRESSURE,HIGH",
        default: "49152,65536,98304",
        help: "Memory of all TCP buffers, pages of 4096 bytes: enough again below, scarce above, never above, as in net.ipv4.tcp_mem",
        repeatable: false,
        kind: Kind::Triple,
    },
    OptionSpec {
        id: OptionId::LocalPorts,
        long: "local-ports",
        env: "TUNSOCK_LOCAL_PORTS",
        value_name: "LOW-HIGH",
        default: "32768-60999",
        help: "Ports for sockets that choose none, first and last, as in net.ipv4.ip_local_port_range",
        repeatable: false,
        kind: Kind::Ports,
    },
    OptionSpec {
        id: OptionId::Spin,
        long: "spin",
        env: "TUNSOCK_SPIN",
        value_name: "T",
        default: "0",
        help: "Look for packets for this long before a waiting call sleeps (50us, at most 100ms): quicker answers for processor time",
        repeatable: false,
        kind: Kind::Duration,
    },
    OptionSpec {
        id: OptionId::Log,
        long: "log",
        env: "TUNSOCK_LOG",
        value_name: "LEVEL",
        default: "warn",
        help: "What to report on standard error: off, error, warn, info, debug, trace",
        repeatable: false,
        kind: Kind::Level,
    },
];

impl OptionSpec {
    /// The row of an option.
    pub fn of(id: OptionId) -> &'static OptionSpec {
        // The test below holds every id to its row: position and discriminant agree.
        &OPTIONS[id as usize]
    }

    /// The row of an environment variable.
    pub fn of_env(name: &str) -> Option<&'static OptionSpec> {
        OPTIONS.iter().find(|spec| spec.env == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_at_its_ids_place() {
        for (i, spec) in OPTIONS.iter().enumerate() {
            assert_eq!(spec.id as usize, i, "{}", spec.long);
            assert!(std::ptr::eq(OptionSpec::of(spec.id), spec));
        }
        assert_eq!(OPTIONS.last().map(|spec| spec.id), Some(OptionId::Log));
    }

    #[test]
    fn environment_names_follow_the_long_names() {
        for spec in OPTIONS {
            let env = format!("TUNSOCK_{}", spec.long.replace('-', "_").to_uppercase());
            assert_eq!(spec.env, env);
            assert_eq!(
                spec.value_name.is_empty(),
                spec.kind == Kind::Flag,
                "{}",
                spec.long
            );
            assert!(!spec.help.ends_with('.'), "{}", spec.long);
        }
    }
}
