//! TCP_INFO and SO_MEMINFO in the kernel's layouts (linux/tcp.h, linux/sock_diag.h).

use std::time::Duration;

use libc::c_int;
use tunsock_stack::{SockOpt, SockOptName, SocketId, State, TcpInfo};

use crate::errno::CResult;
use crate::host::Host;

/// SO_MEMINFO (asm-generic/socket.h).
pub(crate) const SO_MEMINFO: c_int = 55;
/// SK_MEMINFO_VARS, and where the buffer sizes stand in them.
const MEMINFO_VARS: usize = 9;
const MEMINFO_RCVBUF: usize = 1;
const MEMINFO_SNDBUF: usize = 3;
const MEMINFO_WMEM_QUEUED: usize = 5;
/// `tcpi_options`.
const OPT_TIMESTAMPS: u8 = 1;
const OPT_SACK: u8 = 2;
const OPT_WSCALE: u8 = 4;
const OPT_ECN: u8 = 8;
const OPT_ECN_SEEN: u8 = 16;
const OPT_SYN_DATA: u8 = 32;
/// At least as long as any version's structure, octets.
const INFO_LEN: usize = 512;
/// What Linux says instead of "never set" (TCP_INFINITE_SSTHRESH).
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;

/// SO_MEMINFO: what we know of it.
pub(crate) fn memory(host: &Host, id: SocketId) -> Vec<u8> {
    let mut vars = [0u32; MEMINFO_VARS];
    host.with(|world| {
        let stack = world.stack();
        if let Ok(SockOpt::RcvBuf(n)) = stack.get_option(id, SockOptName::RcvBuf) {
            vars[MEMINFO_RCVBUF] = n as u32;
        }
        if let Ok(SockOpt::SndBuf(n)) = stack.get_option(id, SockOptName::SndBuf) {
            vars[MEMINFO_SNDBUF] = n as u32;
        }
        vars[MEMINFO_WMEM_QUEUED] = stack.unsent_bytes(id).unwrap_or(0) as u32;
    });
    vars.iter().flat_map(|var| var.to_ne_bytes()).collect()
}

/// TCP_INFO.
pub(crate) fn tcp(host: &Host, id: SocketId) -> CResult<Vec<u8>> {
    let info = host.with(|world| {
        let now = world.instant();
        world.stack().tcp_info(now, id)
    })?;
    Ok(layout(&info))
}

/// The kernel's numbers (`enum` in net/tcp_states.h).
pub(crate) fn state_number(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

/// `struct tcp_info`, zeros where the stack has no figure.
fn layout(info: &TcpInfo) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let (snd_wscale, rcv_wscale) = info.wscale.unwrap_or((0, 0));
    let options = [
        (info.timestamps, OPT_TIMESTAMPS),
        (info.sack, OPT_SACK),
        (info.wscale.is_some(), OPT_WSCALE),
        (info.ecn, OPT_ECN),
        (info.ecn_seen, OPT_ECN_SEEN),
        (info.syn_data, OPT_SYN_DATA),
    ];
    out.extend([
        state_number(info.state),
        info.ca_state as u8,
        info.retransmits as u8,
        info.probes as u8,
        info.backoff as u8,
        options
            .into_iter()
            .filter(|(on, _)| *on)
            .fold(0, |all, (_, bit)| all | bit),
        snd_wscale | rcv_wscale << 4,
        u8::from(info.delivery_app_limited) | (info.fast_open_failure as u8) << 1,
    ]);
    let words = [
        micros(info.rto),
        micros(info.ato),
        info.snd_mss,
        info.rcv_mss,
        info.unacked,
        info.sacked,
        info.lost,
        info.retrans,
        0,
        millis(info.last_data_sent),
        0,
        millis(info.last_data_recv),
        millis(info.last_ack_recv),
        info.pmtu,
        info.rcv_wnd,
        micros(info.rtt),
        micros(info.rttvar),
        info.snd_ssthresh.unwrap_or(INFINITE_SSTHRESH),
        info.snd_cwnd,
        info.advmss,
        info.reordering,
        0,
        info.rcv_space,
        info.total_retrans,
    ];
    out.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    let longs = [
        info.pacing_rate,
        info.max_pacing_rate,
        info.bytes_acked,
        info.bytes_received,
    ];
    out.extend(longs.iter().flat_map(|long| long.to_ne_bytes()));
    let words = [
        info.segs_out,
        info.segs_in,
        info.notsent_bytes,
        info.min_rtt.map_or(u32::MAX, micros),
        info.data_segs_in,
        info.data_segs_out,
    ];
    out.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    // Delivery rate, busy, held up by the peer's window, by our buffer.
    let spans = [
        u128::from(info.delivery_rate),
        info.busy_time.as_micros(),
        info.rwnd_limited.as_micros(),
        info.sndbuf_limited.as_micros(),
    ];
    out.extend(spans.iter().flat_map(|span| (*span as u64).to_ne_bytes()));
    out.extend(info.delivered.to_ne_bytes());
    out.extend(info.delivered_ce.to_ne_bytes());
    out.extend(info.bytes_sent.to_ne_bytes());
    out.extend(info.bytes_retrans.to_ne_bytes());
    let words = [
        info.dsack_dups,
        info.reord_seen,
        0,
        info.snd_wnd,
        info.rcv_wnd,
        0,
    ];
    out.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    // The caller looks at no more than it knows of.
    out.resize(INFO_LEN, 0);
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn states_have_the_kernel_s_numbers() {
        use super::state_number;
        use tunsock_stack::State;
        assert_eq!(
            (
                state_number(State::Established),
                state_number(State::Closing)
            ),
            (1, 11)
        );
    }
}
