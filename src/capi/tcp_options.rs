//! IPPROTO_TCP's options: C's names, ranges and `struct tcp_info` to the stack's and back (tcp(7), do_tcp_setsockopt).

use std::time::Duration;

use libc::c_int;
use tunsock_stack::{CongestionControl, Error, SockOpt, SockOptName, State, TcpInfo};

use super::errno::{CResult, Errno};
use crate::fd::SocketFile;

const EINVAL: Errno = Errno(libc::EINVAL);
const ENOPROTOOPT: Errno = Errno(libc::ENOPROTOOPT);

/// TCP_CA_NAME_MAX: room for a congestion control's name.
pub(super) const NAME_LEN: usize = 16;
/// sizeof(struct tcp_info) of Linux 6.x, linux/tcp.h.
pub(super) const INFO_LEN: usize = 248;
/// TCPI_OPT_TIMESTAMPS, TCPI_OPT_SACK, TCPI_OPT_WSCALE.
const OPT_TIMESTAMPS: u8 = 1;
const OPT_SACK: u8 = 2;
const OPT_WSCALE: u8 = 4;
/// TCP_INFINITE_SSTHRESH.
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;

/// An option whose value is an int.
pub(super) fn set_number(name: c_int, number: c_int) -> CResult<SockOpt> {
    let on = number != 0;
    let at_least_one = |most| match number {
        1.. if number <= most => Ok(number as u32),
        _ => Err(EINVAL),
    };
    Ok(match name {
        libc::TCP_NODELAY => SockOpt::NoDelay(on),
        libc::TCP_CORK => SockOpt::Cork(on),
        libc::TCP_QUICKACK => SockOpt::QuickAck(on),
        // MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT, MAX_TCP_SYNCNT of the kernel.
        libc::TCP_KEEPIDLE => SockOpt::KeepIdle(at_least_one(32_767)?),
        libc::TCP_KEEPINTVL => SockOpt::KeepIntvl(at_least_one(32_767)?),
        libc::TCP_KEEPCNT => SockOpt::KeepCnt(at_least_one(127)?),
        libc::TCP_SYNCNT => SockOpt::SynCnt(at_least_one(127)?),
        // tcp_sock_set_maxseg: 0 takes a wish back, else TCP_MIN_MSS to MAX_TCP_WINDOW.
        libc::TCP_MAXSEG if number == 0 || (88..=32_767).contains(&number) => {
            SockOpt::MaxSeg(number as u32)
        }
        libc::TCP_MAXSEG => return Err(EINVAL),
        libc::TCP_USER_TIMEOUT => SockOpt::UserTimeout(u32::try_from(number).map_err(|_| EINVAL)?),
        libc::TCP_LINGER2 => SockOpt::Linger2(number),
        // A negative clamp is below the least, as it is for the kernel's signed comparison.
        libc::TCP_WINDOW_CLAMP if number < 0 => SockOpt::WindowClamp(1),
        libc::TCP_WINDOW_CLAMP => SockOpt::WindowClamp(number as u32),
        // 0 is the default: no mark.
        libc::TCP_NOTSENT_LOWAT if number == 0 => SockOpt::NotSentLowat(u32::MAX),
        libc::TCP_NOTSENT_LOWAT => SockOpt::NotSentLowat(number as u32),
        libc::TCP_DEFER_ACCEPT => SockOpt::DeferAccept(number),
        _ => return Err(ENOPROTOOPT),
    })
}

/// TCP_CONGESTION: a name, cut at its NUL. ENOENT for one that nobody knows.
pub(super) fn set_congestion(name: &[u8]) -> CResult<SockOpt> {
    let name = name.split(|b| *b == 0).next().unwrap_or_default();
    match name {
        b"" => Err(EINVAL),
        b"cubic" => Ok(SockOpt::Congestion(CongestionControl::Cubic)),
        b"reno" => Ok(SockOpt::Congestion(CongestionControl::Reno)),
        _ => Err(Errno(libc::ENOENT)),
    }
}

/// The stack's name for an option whose value is an int or TCP_CONGESTION's name.
pub(super) fn stack_name(name: c_int) -> CResult<SockOptName> {
    Ok(match name {
        libc::TCP_NODELAY => SockOptName::NoDelay,
        libc::TCP_CORK => SockOptName::Cork,
        libc::TCP_QUICKACK => SockOptName::QuickAck,
        libc::TCP_KEEPIDLE => SockOptName::KeepIdle,
        libc::TCP_KEEPINTVL => SockOptName::KeepIntvl,
        libc::TCP_KEEPCNT => SockOptName::KeepCnt,
        libc::TCP_SYNCNT => SockOptName::SynCnt,
        libc::TCP_MAXSEG => SockOptName::MaxSeg,
        libc::TCP_USER_TIMEOUT => SockOptName::UserTimeout,
        libc::TCP_LINGER2 => SockOptName::Linger2,
        libc::TCP_WINDOW_CLAMP => SockOptName::WindowClamp,
        libc::TCP_NOTSENT_LOWAT => SockOptName::NotSentLowat,
        libc::TCP_DEFER_ACCEPT => SockOptName::DeferAccept,
        libc::TCP_CONGESTION => SockOptName::Congestion,
        _ => return Err(ENOPROTOOPT),
    })
}

/// A congestion control's name, padded with NULs.
pub(super) fn congestion_name(which: CongestionControl) -> [u8; NAME_LEN] {
    let name: &[u8] = match which {
        CongestionControl::Cubic => b"cubic",
        CongestionControl::Reno => b"reno",
    };
    let mut out = [0; NAME_LEN];
    out[..name.len()].copy_from_slice(name);
    out
}

/// `struct tcp_info`.
pub(super) fn info(socket: &SocketFile) -> CResult<Box<[u8; INFO_LEN]>> {
    match socket.tcp_info() {
        Ok(info) => Ok(encode(&info)),
        // Without a connection only the state has something to say.
        Err(crate::fd::Fail::Stack(Error::Invalid)) => {
            let state = if socket.listening() {
                State::Listen
            } else {
                State::Closed
            };
            let mut out = Box::new([0; INFO_LEN]);
            out[0] = state_number(state);
            Ok(out)
        }
        Err(error) => Err(error.into()),
    }
}

/// The kernel's number of a state (net/tcp_states.h).
fn state_number(state: State) -> u8 {
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

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// Field by field in the header's order; what has no meaning here (ECN, pacing, a full send buffer, receiver's RTT) is 0, an unlimited
/// rate is the largest number, as the kernel has it.
fn encode(i: &TcpInfo) -> Box<[u8; INFO_LEN]> {
    let mut out = Box::new([0; INFO_LEN]);
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    let small = |n: u32| u8::try_from(n).unwrap_or(u8::MAX);
    let (snd_scale, rcv_scale) = i.wscale.unwrap_or((0, 0));
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let options = flag(i.timestamps, OPT_TIMESTAMPS)
        | flag(i.sack, OPT_SACK)
        | flag(i.wscale.is_some(), OPT_WSCALE);
    put(&[
        state_number(i.state),
        i.ca_state as u8,
        small(i.retransmits),
        small(i.probes),
        small(i.backoff),
        options,
        (snd_scale & 15) | (rcv_scale << 4),
        0,
    ]);
    let ssthresh = i.snd_ssthresh.unwrap_or(INFINITE_SSTHRESH);
    for word in [
        micros(i.rto),
        micros(i.ato),
        i.snd_mss,
        i.rcv_mss,
        i.unacked,
        i.sacked,
        i.lost,
        i.retrans,
        0,
        millis(i.last_data_sent),
        0,
        millis(i.last_data_recv),
        millis(i.last_ack_recv),
        i.pmtu,
        i.rcv_wnd,
        micros(i.rtt),
        micros(i.rttvar),
        ssthresh,
        i.snd_cwnd,
        i.advmss,
        i.reordering,
        0,
        i.rcv_space,
        i.total_retrans,
    ] {
        put(&word.to_ne_bytes());
    }
    for long in [0, u64::MAX, i.bytes_acked, i.bytes_received] {
        put(&long.to_ne_bytes());
    }
    let min_rtt = i.min_rtt.map_or(u32::MAX, micros);
    for word in [
        i.segs_out,
        i.segs_in,
        i.notsent_bytes,
        min_rtt,
        i.data_segs_in,
        i.data_segs_out,
    ] {
        put(&word.to_ne_bytes());
    }
    put(&[0; 8]); // delivery_rate
    put(&(i.busy_time.as_micros() as u64).to_ne_bytes());
    put(&(i.rwnd_limited.as_micros() as u64).to_ne_bytes());
    put(&[0; 8]); // sndbuf_limited
    for word in [i.delivered, 0] {
        put(&word.to_ne_bytes());
    }
    for long in [i.bytes_sent, i.bytes_retrans] {
        put(&long.to_ne_bytes());
    }
    for word in [i.dsack_dups, i.reord_seen, 0, i.snd_wnd, i.rcv_wnd] {
        put(&word.to_ne_bytes());
    }
    out
}
