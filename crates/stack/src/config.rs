//! Everything a stack is told at its making.

use std::net::IpAddr;

use ipnet::IpNet;

/// A route: packets to `dest` leave by the device. The gateway is informative on a point-to-point device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination prefix.
    pub dest: IpNet,
    /// Next hop; `None` means on-link.
    pub gateway: Option<IpAddr>,
}

/// What the device below can do for us (virtio-net offloads).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// Outgoing TCP/UDP checksums may be left partial (VIRTIO_NET_HDR_F_NEEDS_CSUM).
    pub csum: bool,
    /// Outgoing IPv4 TCP super-segments are cut below us.
    pub tso4: bool,
    /// Outgoing IPv6 TCP super-segments are cut below us.
    pub tso6: bool,
}

/// Which congestion control new connections use.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum CongestionControl {
    /// CUBIC (RFC 9438) with HyStart++ (RFC 9406).
    #[default]
    Cubic,
    /// Reno's slow start and congestion avoidance (RFC 5681).
    Reno,
}

/// Explicit congestion notification (RFC 3168), as Linux's tcp_ecn has it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Ecn {
    /// Never (0).
    Off,
    /// On connections whose peer asks for it (2).
    #[default]
    Accept,
    /// Asked for on every connection that is opened (1).
    Request,
}

/// What a stack is told at its making. `Config::default()` has loopback only.
#[derive(Clone, Debug)]
pub struct Config {
    /// The device's addresses with their prefix lengths.
    pub addrs: Vec<IpNet>,
    /// Routes beyond the addresses' own prefixes.
    pub routes: Vec<Route>,
    /// Largest IP packet the device carries, bytes.
    pub mtu: u32,
    /// What the device does for us.
    pub offload: Offload,
    /// Timestamps are offered and agreed to (Linux: tcp_timestamps).
    pub timestamps: bool,
    /// Segments that a super-segment may have however low the rate (Linux: tcp_min_tso_segs).
    pub tso_segments_min: u16,
    /// Everything random comes from here: same seed, same input, same output.
    pub seed: [u8; 32],
    /// Default send buffer, bytes (Linux: tcp_wmem default / wmem_default).
    pub sndbuf: usize,
    /// Default receive buffer, bytes.
    pub rcvbuf: usize,
    /// Largest buffer that SO_SNDBUF/SO_RCVBUF or growth may reach, bytes.
    pub buf_max: usize,
    /// First and last ephemeral port (Linux: ip_local_port_range).
    pub ports: (u16, u16),
    /// Congestion control of new connections.
    pub congestion: CongestionControl,
    /// Explicit congestion notification.
    pub ecn: Ecn,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            addrs: Vec::new(),
            routes: Vec::new(),
            mtu: 1500,
            offload: Offload::default(),
            timestamps: true,
            tso_segments_min: 2,
            seed: [0; 32],
            sndbuf: 4 << 20,
            rcvbuf: 4 << 20,
            buf_max: 16 << 20,
            ports: (32768, 60999),
            congestion: CongestionControl::default(),
            ecn: Ecn::default(),
        }
    }
}
