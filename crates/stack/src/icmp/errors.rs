//! ICMP errors about packets of ours: found back to the socket by the quoted header.

use std::net::SocketAddr;

use super::{v4, v6};
use crate::error::Error;
use crate::ip::quote::Quoted;
use crate::ip::{IcmpError, IcmpMessage, proto};
use crate::raw;
use crate::stack::Stack;
use crate::tcp;
use crate::time::Instant;
use crate::udp;
use crate::wire::be16;

/// What an ICMP error means to a socket.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    error: Error,
    hard: bool,
    mtu: Option<u32>,
}

/// The meaning of an ICMPv4 error (Linux: icmp_err_convert).
pub(super) fn classify_v4(kind: u8, code: u8, rest: u32, quote: &[u8]) -> Option<Fault> {
    let fault = |error, hard| {
        Some(Fault {
            error,
            hard,
            mtu: None,
        })
    };
    match (kind, code) {
        (v4::UNREACHABLE, 0 | 11) => fault(Error::NetworkUnreachable, false),
        (v4::UNREACHABLE, 1 | 12) => fault(Error::HostUnreachable, false),
        (v4::UNREACHABLE, 2) => fault(Error::ProtocolUnreachable, true),
        (v4::UNREACHABLE, 3) => fault(Error::ConnectionRefused, true),
        (v4::UNREACHABLE, 4) => {
            // RFC 1191 5: a router from before that RFC says 0; then the next plateau below the packet's length.
            let mtu = match rest & 0xffff {
                0 => plateau_below(u32::from(be16(quote, 2))),
                mtu => mtu,
            };
            Some(Fault {
                error: Error::MessageTooLong,
                hard: true,
                mtu: Some(mtu),
            })
        }
        // A source route failed.
        (v4::UNREACHABLE, 5) => fault(Error::NotSupported, false),
        (v4::UNREACHABLE, 6 | 9) => fault(Error::NetworkUnreachable, true),
        (v4::UNREACHABLE, 7) => fault(Error::HostDown, true),
        (v4::UNREACHABLE, 8) => fault(Error::NoNetwork, true),
        (v4::UNREACHABLE, 10 | 13..=15) => fault(Error::HostUnreachable, true),
        // Fragments that were missing (1) are nobody's error (icmp_unreach).
        (v4::TIME_EXCEEDED, code) if code != 1 => fault(Error::HostUnreachable, false),
        (v4::PARAMETER_PROBLEM, _) => fault(Error::Protocol, true),
        _ => None,
    }
}

/// The meaning of an ICMPv6 error (Linux: icmpv6_err_convert).
pub(super) fn classify_v6(kind: u8, code: u8, rest: u32) -> Option<Fault> {
    let (error, hard, mtu) = match (kind, code) {
        (v6::UNREACHABLE, 0) => (Error::NetworkUnreachable, false, None),
        (v6::UNREACHABLE, 2 | 3) => (Error::HostUnreachable, false, None),
        (v6::UNREACHABLE, 4) => (Error::ConnectionRefused, true, None),
        (v6::UNREACHABLE, 1 | 5 | 6) => (Error::AccessDenied, true, None),
        (v6::TOO_BIG, _) => (Error::MessageTooLong, false, Some(rest)),
        (v6::TIME_EXCEEDED, _) => (Error::HostUnreachable, false, None),
        (v6::UNREACHABLE | v6::PARAMETER_PROBLEM, _) => (Error::Protocol, true, None),
        _ => return None,
    };
    Some(Fault { error, hard, mtu })
}

/// Takes an error to the socket whose packet is quoted. What quotes no packet that we can have sent is dropped.
pub(super) fn input(
    stack: &mut Stack,
    now: Instant,
    fault: Fault,
    message: IcmpMessage,
    quote: &[u8],
) {
    let Some(quoted) = Quoted::parse(quote) else {
        stack.stats.malformed += 1;
        return;
    };
    if !stack.ip.is_local(quoted.src) {
        stack.stats.not_ours += 1;
        return;
    }
    let (src_port, dst_port) = quoted.ports().unwrap_or_default();
    let mut error = IcmpError {
        error: fault.error,
        hard: fault.hard,
        local: SocketAddr::new(quoted.src, src_port),
        remote: SocketAddr::new(quoted.dst, dst_port),
        seq: None,
        mtu: fault.mtu,
        message: IcmpMessage {
            info: fault.mtu.unwrap_or(message.info),
            ..message
        },
    };
    match quoted.proto {
        _ if quoted.ports().is_none() => {}
        proto::TCP => {
            // RFC 792 quotes 8 bytes: just as far as the sequence number.
            if let Some(h) = quoted.transport.first_chunk::<8>() {
                error.seq = Some(u32::from_be_bytes([h[4], h[5], h[6], h[7]]));
                tcp::icmp_error(stack, now, &error, quoted.transport);
            }
        }
        proto::UDP => udp::input::icmp_error(stack, &error, quoted.transport),
        _ => {}
    }
    if !quoted.later_fragment {
        raw::input::icmp_error(stack, &error, quoted.proto, quoted.transport);
    }
}

/// RFC 1191 7.1: common MTUs.
fn plateau_below(len: u32) -> u32 {
    const PLATEAUS: [u32; 11] = [
        65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68,
    ];
    PLATEAUS
        .into_iter()
        .find(|&mtu| mtu < len)
        .unwrap_or(PLATEAUS[10])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_mean_what_linux_says_they_mean() {
        let v4 = |code| classify_v4(v4::UNREACHABLE, code, 0, &[]).map(|f| (f.error, f.hard));
        assert_eq!(v4(0), Some((Error::NetworkUnreachable, false)));
        assert_eq!(v4(1), Some((Error::HostUnreachable, false)));
        assert_eq!(v4(3), Some((Error::ConnectionRefused, true)));
        assert_eq!(v4(13), Some((Error::HostUnreachable, true)));
        assert_eq!(v4(16), None);
        let too_big = classify_v6(v6::TOO_BIG, 0, 1400).unwrap();
        assert_eq!(too_big.mtu, Some(1400));
    }

    #[test]
    fn an_old_router_gives_no_mtu() {
        let mut quote = [0; 28];
        quote[2..4].copy_from_slice(&1500u16.to_be_bytes());
        let fault = classify_v4(v4::UNREACHABLE, 4, 0, &quote).unwrap();
        assert_eq!(fault.mtu, Some(1492));
        let fault = classify_v4(v4::UNREACHABLE, 4, 1300, &quote).unwrap();
        assert_eq!(fault.mtu, Some(1300));
    }
}
