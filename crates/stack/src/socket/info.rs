//! What a connection tells about itself: TCP_INFO (tcp(7), `struct tcp_info`).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::State;
use crate::ip::Iface;
use crate::stack::Stack;

/// Where loss recovery stands, with Linux's numbers (`enum tcp_ca_state`).
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum CaState {
    /// Nothing is amiss.
    #[default]
    Open = 0,
    /// Duplicate acknowledgements or SACK blocks have come; nothing is taken for lost yet.
    Disorder = 1,
    /// The window comes down because of ECN.
    Cwr = 2,
    /// Fast recovery.
    Recovery = 3,
    /// After a retransmission time-out.
    Loss = 4,
}

/// Why a Fast Open came to nothing, with Linux's numbers (`enum tcp_fastopen_client_fail`).
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum FastOpenFailure {
    /// It did not, or was not tried.
    #[default]
    None = 0,
    /// There was no cookie.
    NoCookie = 1,
    /// The SYN-ACK did not acknowledge the data.
    NotAcknowledged = 2,
    /// Nor did the one to a SYN that had to be sent again.
    SynRetransmitted = 3,
}

/// A connection's figures. Counts of segments are of segments on the wire: a super-segment counts as those it is cut into.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TcpInfo {
    /// The state.
    pub state: State,
    /// Where loss recovery stands.
    pub ca_state: CaState,
    /// Time-outs in a row.
    pub retransmits: u32,
    /// Probes (zero window, keepalive) in a row without an answer.
    pub probes: u32,
    /// Doublings of the retransmission timeout, or of the probe's interval.
    pub backoff: u32,
    /// Both sides use timestamps (RFC 7323).
    pub timestamps: bool,
    /// Both sides use SACK (RFC 2018).
    pub sack: bool,
    /// Both sides use ECN (RFC 3168).
    pub ecn: bool,
    /// With ECN, a packet that was marked or may be has arrived.
    pub ecn_seen: bool,
    /// Both sides scale windows (RFC 7323): the peer's shift and ours.
    pub wscale: Option<(u8, u8)>,
    /// The retransmission timeout, back-off included.
    pub rto: Duration,
    /// How long an acknowledgement is delayed at most.
    pub ato: Duration,
    /// Octets of one full-sized segment that we send.
    pub snd_mss: u32,
    /// Octets of the largest segment received.
    pub rcv_mss: u32,
    /// MSS that our SYN announced, octets.
    pub advmss: u32,
    /// Largest packet of the path, octets.
    pub pmtu: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Those of them that SACK blocks cover.
    pub sacked: u32,
    /// Those of them that are believed lost.
    pub lost: u32,
    /// Those of them that were retransmitted and are in flight again.
    pub retrans: u32,
    /// Since data was last sent.
    pub last_data_sent: Duration,
    /// Since data was last received.
    pub last_data_recv: Duration,
    /// Since an acknowledgement was last received.
    pub last_ack_recv: Duration,
    /// Smoothed round-trip time; zero before the first measurement.
    pub rtt: Duration,
    /// Its mean deviation.
    pub rttvar: Duration,
    /// The smallest seen lately, if any was.
    pub min_rtt: Option<Duration>,
    /// Slow-start threshold, segments; `None`: never set.
    pub snd_ssthresh: Option<u32>,
    /// Congestion window, segments.
    pub snd_cwnd: u32,
    /// How far segments have been seen to overtake others, segments; 3 when they have not.
    pub reordering: u32,
    /// Acknowledgements that told of segments which had overtaken others.
    pub reord_seen: u32,
    /// The peer's window, octets.
    pub snd_wnd: u32,
    /// Our window as advertised, octets.
    pub rcv_wnd: u32,
    /// Octets that the program may leave unread.
    pub rcv_space: u32,
    /// Segments sent again, ever.
    pub total_retrans: u32,
    /// Octets sent and acknowledged, ever (RFC 4898).
    pub bytes_acked: u64,
    /// Octets received in order, ever (RFC 4898).
    pub bytes_received: u64,
    /// Octets sent, ever, repetitions included.
    pub bytes_sent: u64,
    /// Octets sent again, ever.
    pub bytes_retrans: u64,
    /// Octets written and never sent yet.
    pub notsent_bytes: u32,
    /// Segments that arrived at the peer as far as it has told, the SYN included.
    pub delivered: u32,
    /// Those of them that it told of together with a router's mark (ECE).
    pub delivered_ce: u32,
    /// How fast the network delivered lately, octets a second; 0 before the first measurement.
    pub delivery_rate: u64,
    /// The program, not the network, was the limit of that.
    pub delivery_app_limited: bool,
    /// Octets a second at which the window would be let go evenly, or, when sending is paced, is; `u64::MAX` before the first
    /// round-trip time.
    pub pacing_rate: u64,
    /// SO_MAX_PACING_RATE, octets a second; `u64::MAX`: not set.
    pub max_pacing_rate: u64,
    /// Segments sent and received, ever; and those of them with data.
    pub segs_out: u32,
    /// Received.
    pub segs_in: u32,
    /// Sent with data.
    pub data_segs_out: u32,
    /// Received with data.
    pub data_segs_in: u32,
    /// For how long there was something to send or to be acknowledged, ever.
    pub busy_time: Duration,
    /// For how long of that the peer's window alone held it up.
    pub rwnd_limited: Duration,
    /// For how long of that the send buffer alone held it up, while the program had more to write.
    pub sndbuf_limited: Duration,
    /// Duplicates that the peer reported (RFC 2883).
    pub dsack_dups: u32,
    /// Data in a SYN was acknowledged (RFC 7413).
    pub syn_data: bool,
    /// Why that of ours was not.
    pub fast_open_failure: FastOpenFailure,
    /// With BBR: what it thinks of the path.
    pub bbr: Option<BbrInfo>,
}

/// What BBR thinks of the path (TCP_CC_INFO, `struct tcp_bbr_info`).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct BbrInfo {
    /// Bandwidth, octets a second.
    pub bw: u64,
    /// Smallest round-trip time of late; `None` before the first measurement.
    pub min_rtt: Option<Duration>,
    /// Factor of the bandwidth that is sent at, in 256ths.
    pub pacing_gain: u32,
    /// Factor of the bandwidth-delay product that may be in flight, in 256ths.
    pub cwnd_gain: u32,
}

/// A network interface of the stack: `lo` or the device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its number: 1 for `lo`, 2 for the device.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// It is `lo`.
    pub loopback: bool,
    /// Largest IP packet, bytes.
    pub mtu: u32,
    /// Its addresses with their prefixes.
    pub addrs: Vec<IpNet>,
}

impl Stack {
    /// The network interfaces, in the order of their numbers.
    pub fn interfaces(&self) -> Vec<Interface> {
        let v4 = Ipv4Net::new(Ipv4Addr::LOCALHOST, 8).map(IpNet::V4);
        let v6 = Ipv6Net::new(Ipv6Addr::LOCALHOST, 128).map(IpNet::V6);
        let lo = Interface {
            index: Iface::Loopback.index(),
            name: "lo".into(),
            loopback: true,
            mtu: crate::ip::LOCAL_MTU,
            addrs: [v4, v6].into_iter().flatten().collect(),
        };
        let device = Interface {
            index: Iface::Device.index(),
            name: self.config.device.clone(),
            loopback: false,
            mtu: self.ip.device_mtu(),
            addrs: self.ip.addrs().to_vec(),
        };
        vec![lo, device]
    }
}
