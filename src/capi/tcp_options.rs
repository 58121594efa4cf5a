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
/// sizeof(union tcp_cc_info) as BBR fills it: struct tcp_bbr_info.
pub(super) const CC_INFO_LEN: usize = 20;
/// TCPI_OPT_TIMESTAMPS, TCPI_OPT_SACK, TCPI_OPT_WSCALE, TCPI_OPT_ECN, TCPI_OPT_ECN_SEEN.
const OPT_TIMESTAMPS: u8 = 1;
const OPT_SACK: u8 = 2;
const OPT_WSCALE: u8 = 4;
const OPT_ECN: u8 = 8;
const OPT_ECN_SEEN: u8 = 16;
/// Options of linux/tcp.h.
pub(super) const TCP_FASTOPEN_KEY: c_int = 33;
const TCP_FASTOPEN_NO_COOKIE: c_int = 34;
/// TCP_FASTOPEN_KEY_LENGTH: octets of one key.
pub(super) const KEY_LEN: usize = 16;
/// TCPI_OPT_SYN_DATA.
const OPT_SYN_DATA: u8 = 32;
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
        // 0 is the default.
        libc::TCP_NOTSENT_LOWAT => SockOpt::NotSentLowat(number as u32),
        libc::TCP_DEFER_ACCEPT => SockOpt::DeferAccept(number),
        libc::TCP_FASTOPEN => SockOpt::FastOpen(u32::try_from(number).map_err(|_| EINVAL)?),
        libc::TCP_FASTOPEN_CONNECT | TCP_FASTOPEN_NO_COOKIE if !(0..=1).contains(&number) => {
            return Err(EINVAL);
        }
        libc::TCP_FASTOPEN_CONNECT => SockOpt::FastOpenConnect(on),
        TCP_FASTOPEN_NO_COOKIE => SockOpt::FastOpenNoCookie(on),
        // As for who has no CAP_NET_ADMIN: a connection's state is nobody's to write.
        libc::TCP_REPAIR | libc::TCP_REPAIR_QUEUE => return Err(Errno(libc::EPERM)),
        _ => return Err(ENOPROTOOPT),
    })
}

/// TCP_CONGESTION: a name, cut at its NUL. ENOENT for one that nobody knows.
pub(super) fn set_congestion(name: &[u8]) -> CResult<SockOpt> {
    let name = name.split(|b| *b == 0).next().unwrap_or_default();
    match name {
        b"" => Err(EINVAL),
        b"cubic" => Ok(SockOpt::Congestion(CongestionControl::Cubic)),
        b"bbr" => Ok(SockOpt::Congestion(CongestionControl::Bbr)),
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
        libc::TCP_FASTOPEN => SockOptName::FastOpen,
        libc::TCP_FASTOPEN_CONNECT => SockOptName::FastOpenConnect,
        TCP_FASTOPEN_NO_COOKIE => SockOptName::FastOpenNoCookie,
        TCP_FASTOPEN_KEY => SockOptName::FastOpenKey,
        _ => return Err(ENOPROTOOPT),
    })
}

/// A congestion control's name, padded with NULs.
pub(super) fn congestion_name(which: CongestionControl) -> [u8; NAME_LEN] {
    let name: &[u8] = match which {
        CongestionControl::Cubic => b"cubic",
        CongestionControl::Bbr => b"bbr",
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
        Err(crate::fd::Fail::Stack(Error::Invalid)) => Ok(unconnected(if socket.listening() {
            State::Listen
        } else {
            State::Closed
        })),
        Err(error) => Err(error.into()),
    }
}

/// `struct tcp_info` without a connection: only the state has something to say.
pub(super) fn unconnected(state: State) -> Box<[u8; INFO_LEN]> {
    let mut out = Box::new([0; INFO_LEN]);
    out[0] = state_number(state);
    out
}

/// TCP_CC_INFO: `struct tcp_bbr_info`, of zeros before there is a connection; nothing of algorithms that have nothing to tell.
pub(super) fn congestion_info(socket: &SocketFile) -> CResult<Option<[u8; CC_INFO_LEN]>> {
    let congestion = socket.get_option(SockOptName::Congestion)?;
    if congestion != SockOpt::Congestion(CongestionControl::Bbr) {
        return Ok(None);
    }
    let mut out = [0; CC_INFO_LEN];
    let bbr = match socket.tcp_info() {
        Ok(info) => info.bbr,
        Err(crate::fd::Fail::Stack(Error::Invalid)) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(bbr) = bbr {
        // bbr_bw_lo, bbr_bw_hi, bbr_min_rtt, bbr_pacing_gain, bbr_cwnd_gain.
        let words = [
            bbr.bw as u32,
            (bbr.bw >> 32) as u32,
            bbr.min_rtt.map_or(u32::MAX, micros),
            bbr.pacing_gain,
            bbr.cwnd_gain,
        ];
        for (slot, word) in out.chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_ne_bytes());
        }
    }
    Ok(Some(out))
}

/// The kernel's number of a state (net/tcp_states.h).
pub(super) fn state_number(state: State) -> u8 {
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

/// Field by field in the header's order; what has no meaning here (a full send buffer, receiver's RTT) is 0, an unlimited rate is the
/// largest number, as the kernel has it.
pub(super) fn encode(i: &TcpInfo) -> Box<[u8; INFO_LEN]> {
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
        | flag(i.wscale.is_some(), OPT_WSCALE)
        | flag(i.ecn, OPT_ECN)
        | flag(i.ecn_seen, OPT_ECN_SEEN)
        | flag(i.syn_data, OPT_SYN_DATA);
    put(&[
        state_number(i.state),
        i.ca_state as u8,
        small(i.retransmits),
        small(i.probes),
        small(i.backoff),
        options,
        (snd_scale & 15) | (rcv_scale << 4),
        u8::from(i.delivery_app_limited) | (i.fast_open_failure as u8) << 1,
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
    for long in [
        i.pacing_rate,
        i.max_pacing_rate,
        i.bytes_acked,
        i.bytes_received,
    ] {
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
    put(&i.delivery_rate.to_ne_bytes());
    put(&(i.busy_time.as_micros() as u64).to_ne_bytes());
    put(&(i.rwnd_limited.as_micros() as u64).to_ne_bytes());
    put(&(i.sndbuf_limited.as_micros() as u64).to_ne_bytes());
    for word in [i.delivered, i.delivered_ce] {
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
