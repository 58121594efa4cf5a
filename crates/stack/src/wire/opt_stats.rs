//! What a connection is like when something of it is stamped: the attributes of SCM_TIMESTAMPING_OPT_STATS, in the form of netlink
//! (tcp_get_timestamping_opt_stats; linux/tcp.h, TCP_NLA_*). Numbers are in the machine's byte order.

use std::sync::Arc;
use std::time::Duration;

use crate::socket::TcpInfo;
use crate::time::Instant;

/// Length and type, 16 bits each, before every value.
const HEAD: usize = 4;
/// Room for them all, octets.
const ROOM: usize = 256;
/// TCP_INFINITE_SSTHRESH.
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;

/// What of a moment TCP_INFO does not tell.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Moment {
    /// Octets written and not acknowledged.
    pub(crate) queued: u32,
    /// When what is told of was sent.
    pub(crate) sent: Instant,
    /// TTL or hop limit of the acknowledgement that is told of.
    pub(crate) ttl: Option<u8>,
}

/// The attributes one behind the other, each aligned to 4 octets.
pub(crate) fn emit(info: &TcpInfo, moment: &Moment) -> Arc<[u8]> {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let short = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let mut out = Attributes(Vec::with_capacity(ROOM));
    out.put(1, &micros(info.busy_time).to_ne_bytes());
    out.put(2, &micros(info.rwnd_limited).to_ne_bytes());
    out.put(3, &micros(info.sndbuf_limited).to_ne_bytes());
    out.put(4, &u64::from(info.data_segs_out).to_ne_bytes());
    out.put(5, &u64::from(info.total_retrans).to_ne_bytes());
    out.put(6, &info.pacing_rate.to_ne_bytes());
    out.put(7, &info.delivery_rate.to_ne_bytes());
    out.put(8, &info.snd_cwnd.to_ne_bytes());
    out.put(9, &info.reordering.to_ne_bytes());
    out.put(10, &info.min_rtt.map_or(u32::MAX, short).to_ne_bytes());
    out.put(11, &[u8::try_from(info.retransmits).unwrap_or(u8::MAX)]);
    out.put(12, &[u8::from(info.delivery_app_limited)]);
    let ssthresh = info.snd_ssthresh.unwrap_or(INFINITE_SSTHRESH);
    out.put(15, &ssthresh.to_ne_bytes());
    out.put(16, &info.delivered.to_ne_bytes());
    out.put(17, &info.delivered_ce.to_ne_bytes());
    out.put(13, &moment.queued.to_ne_bytes());
    out.put(14, &[info.ca_state as u8]);
    out.put(18, &info.bytes_sent.to_ne_bytes());
    out.put(19, &info.bytes_retrans.to_ne_bytes());
    out.put(20, &info.dsack_dups.to_ne_bytes());
    out.put(21, &info.reord_seen.to_ne_bytes());
    out.put(22, &short(info.rtt).to_ne_bytes());
    // No hash of a flow is ever changed here (TIMEOUT_REHASH, REHASH).
    out.put(23, &0u16.to_ne_bytes());
    out.put(24, &info.notsent_bytes.to_ne_bytes());
    let sent_ns = moment.sent.as_micros().saturating_mul(1000);
    out.put(25, &sent_ns.to_ne_bytes());
    if let Some(ttl) = moment.ttl {
        out.put(26, &[ttl]);
    }
    out.put(27, &0u32.to_ne_bytes());
    out.0.into()
}

struct Attributes(Vec<u8>);

impl Attributes {
    fn put(&mut self, kind: u16, value: &[u8]) {
        let len = (HEAD + value.len()) as u16;
        self.0.extend_from_slice(&len.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}
