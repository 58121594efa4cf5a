//! Everything a stack is told at its making.

use std::net::IpAddr;

use std::time::Duration;

use bitflags::bitflags;
use ipnet::IpNet;

/// A route: packets to `dest` leave by the device. The gateway is informative on a point-to-point device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination prefix.
    pub dest: IpNet,
    /// Next hop; `None` means on-link.
    pub gateway: Option<IpAddr>,
    /// Largest IP packet of the way, bytes, where it is known to be less than the device's.
    pub mtu: Option<u32>,
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
    /// BBR (draft-ietf-ccwg-bbr), which paces.
    Bbr,
    /// Reno's slow start and congestion avoidance (RFC 5681).
    Reno,
}

/// When packets larger than those that are known to arrive are tried (RFC 4821; Linux: tcp_mtu_probing).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum MtuProbing {
    /// On connections whose segments were made shorter because long ones seemed to vanish (1).
    #[default]
    Suspicion,
    /// On every connection, up to what the peer takes (2).
    Always,
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

bitflags! {
    /// What TCP Fast Open (RFC 7413) may do: the bits of Linux's net.ipv4.tcp_fastopen. Other bits mean nothing.
    #[derive(Copy, Clone, PartialEq, Eq, Debug)]
    pub struct FastOpen: u32 {
        /// Connections may be opened with data in the SYN.
        const CLIENT = 1;
        /// Listeners that TCP_FASTOPEN asks for it take data in the SYN.
        const SERVER = 2;
        /// Data goes into the SYN whether there is a cookie or not.
        const CLIENT_NO_COOKIE = 4;
        /// Data in a SYN is taken whether it has a cookie or not.
        const SERVER_NO_COOKIE = 0x200;
        /// Every listener takes data in the SYN, as many as its backlog.
        const EVERY_LISTENER = 0x400;
    }
}

impl Default for FastOpen {
    fn default() -> FastOpen {
        FastOpen::CLIENT
    }
}

/// Octets of one key.
const KEY_LEN: usize = 16;

/// The keys under which Fast Open cookies are made (tcp(7), TCP_FASTOPEN_KEY): the first makes them, both are believed, so that keys
/// can be changed while cookies of the old one are about.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FastOpenKeys {
    /// Makes cookies.
    pub primary: [u8; KEY_LEN],
    /// Is believed too.
    pub backup: Option<[u8; KEY_LEN]>,
}

impl FastOpenKeys {
    /// One key, or two; `None` unless there are 16 or 32 octets.
    pub fn new(octets: &[u8]) -> Option<FastOpenKeys> {
        let (primary, rest) = octets.split_first_chunk()?;
        Some(FastOpenKeys {
            primary: *primary,
            backup: match rest {
                [] => None,
                rest => Some(rest.try_into().ok()?),
            },
        })
    }

    /// The octets, those of the first key first.
    pub fn octets(&self) -> impl Iterator<Item = u8> {
        let backup = self.backup.into_iter().flatten();
        self.primary.into_iter().chain(backup)
    }

    /// Keys as Linux's net.ipv4.tcp_fastopen_key has them: four hexadecimal words of 32 bits with dashes between them, the second key
    /// after a comma.
    pub fn parse(text: &str) -> Option<FastOpenKeys> {
        let mut keys = text.trim().split(',').map(|key| {
            let mut octets = [0; KEY_LEN];
            let mut words = key.split('-');
            for place in octets.chunks_exact_mut(4) {
                let word = words.next().filter(|word| (1..=8).contains(&word.len()))?;
                // The words are written as numbers and kept little-endian.
                let number = u32::from_str_radix(word, 16).ok()?;
                place.copy_from_slice(&number.to_le_bytes());
            }
            words.next().is_none().then_some(octets)
        });
        let primary = keys.next()??;
        let backup = match keys.next() {
            None => None,
            Some(key) => Some(key?),
        };
        keys.next()
            .is_none()
            .then_some(FastOpenKeys { primary, backup })
    }
}

/// As [`FastOpenKeys::parse`] reads them.
impl std::fmt::Display for FastOpenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut separator = "";
        for key in [Some(self.primary), self.backup].into_iter().flatten() {
            for word in key.as_chunks::<4>().0 {
                write!(f, "{separator}{:08x}", u32::from_le_bytes(*word))?;
                separator = "-";
            }
            separator = ",";
        }
        Ok(())
    }
}

/// What a stack is told at its making. `Config::default()` has loopback only.
#[derive(Clone, Debug)]
pub struct Config {
    /// The device's addresses with their prefix lengths.
    pub addrs: Vec<IpNet>,
    /// The device's name, as programs are told it.
    pub device: String,
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
    /// Milliseconds since midnight UT when the stack's clock stood at zero, for ICMP timestamps (RFC 792).
    pub day_ms: u32,
    /// Everything random comes from here: same seed, same input, same output.
    pub seed: [u8; 32],
    /// Send buffer of a TCP socket, bytes: least, at first, and as far as it grows with the congestion window (Linux: tcp_wmem).
    pub tcp_wmem: [usize; 3],
    /// Receive buffer of a TCP socket, bytes: least, at first, and as far as it grows with what the program reads in a round trip.
    /// Half of it is window (Linux: tcp_rmem, tcp_adv_win_scale 1).
    pub tcp_rmem: [usize; 3],
    /// Memory of all buffers of TCP sockets together, bytes: below the first buffers may grow again, above the second they do not, the
    /// third is never passed (Linux: tcp_mem, in pages).
    pub tcp_mem: [usize; 3],
    /// Largest buffer as SO_SNDBUF and SO_RCVBUF read it, bytes (Linux: twice wmem_max and rmem_max).
    pub buf_max: usize,
    /// Bytes written and not sent from which on no more are taken, for sockets without TCP_NOTSENT_LOWAT of their own (Linux:
    /// tcp_notsent_lowat).
    pub notsent_lowat: u32,
    /// First and last ephemeral port (Linux: ip_local_port_range).
    pub ports: (u16, u16),
    /// Congestion control of new connections.
    pub congestion: CongestionControl,
    /// Path MTU discovery by probing.
    pub mtu_probing: MtuProbing,
    /// With [`MtuProbing::Always`] the search begins between segments of so many octets and the largest (Linux: tcp_base_mss).
    pub base_mss: u32,
    /// Explicit congestion notification.
    pub ecn: Ecn,
    /// TCP Fast Open (Linux: tcp_fastopen).
    pub fast_open: FastOpen,
    /// Keys of Fast Open cookies; `None`: drawn from the seed (Linux: tcp_fastopen_key).
    pub fast_open_keys: Option<FastOpenKeys>,
    /// For how long no connection is opened with data in its SYN after one was found to be swallowed on its way, doubled each time up
    /// to 64 times; zero: for no time (Linux: tcp_fastopen_blackhole_timeout_sec).
    pub fast_open_pause: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            addrs: Vec::new(),
            device: "tun0".into(),
            routes: Vec::new(),
            mtu: 1500,
            offload: Offload::default(),
            timestamps: true,
            tso_segments_min: 2,
            day_ms: 0,
            seed: [0; 32],
            tcp_wmem: [4096, 16_384, 16 << 20],
            tcp_rmem: [4096, 131_072, 16 << 20],
            tcp_mem: [192 << 20, 256 << 20, 384 << 20],
            buf_max: 16 << 20,
            notsent_lowat: u32::MAX,
            ports: (32768, 60999),
            congestion: CongestionControl::default(),
            mtu_probing: MtuProbing::default(),
            base_mss: 1024,
            ecn: Ecn::default(),
            fast_open: FastOpen::default(),
            fast_open_keys: None,
            fast_open_pause: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_the_kernel_writes_them() {
        let text = "a0bf63f7-ed803d81-cd641d30-cebc4a90";
        let keys = FastOpenKeys::parse(text).expect("a key");
        assert_eq!(keys.primary[..5], [0xf7, 0x63, 0xbf, 0xa0, 0x81]);
        assert_eq!((keys.backup, keys.to_string()), (None, text.to_owned()));
        let two = format!("{text},00000001-00000000-00000000-00000002");
        let keys = FastOpenKeys::parse(&two).expect("two keys");
        assert_eq!(keys.to_string(), two);
        let octets: Vec<u8> = keys.octets().collect();
        assert_eq!(FastOpenKeys::new(&octets), Some(keys));
        for bad in [
            "",
            "1-2-3",
            "1-2-3-4-5",
            "1-2-3-x",
            "1-2-3-4,",
            "1-2-3-123456789",
        ] {
            assert_eq!(FastOpenKeys::parse(bad), None, "{bad}");
        }
        for len in [0, 3, 15, 17, 31, 33] {
            assert_eq!(FastOpenKeys::new(&vec![0; len]), None, "{len}");
        }
    }
}
