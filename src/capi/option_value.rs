//! Values of options on their way out: what getsockopt writes, and how much of it.

use std::time::Duration;

use libc::{c_int, c_long};
use tunsock_stack::FastOpenKeys;

use super::{attributes, tcp_options};

/// An option's value on its way to the caller.
pub(super) enum Value {
    /// An int, cut to the caller's length.
    Int(c_int),
    /// An int that becomes one byte when the caller has room for less than an int (do_ip_getsockopt).
    IpInt(c_int),
    /// An int and a second one of 0: struct so_timestamping.
    Pair(c_int),
    /// struct ucred of nobody: process 0, user and group -1.
    Nobody,
    /// 64 bits; EINVAL for a caller with less room.
    Long(u64),
    /// struct linger.
    Linger(Option<Duration>),
    /// struct timeval.
    Time(Option<Duration>),
    /// A name with its NULs.
    Name([u8; tcp_options::NAME_LEN]),
    /// A rate: 8 bytes when the caller has room for them, else 4.
    Rate(u64),
    /// TCP_CC_INFO, if there is any.
    CcInfo(Option<[u8; tcp_options::CC_INFO_LEN]>),
    /// struct icmp6_filter.
    Filter([u8; 32]),
    /// Keys of Fast Open, one after the other.
    Keys(Option<FastOpenKeys>),
    /// SO_MEMINFO.
    Memory([u32; attributes::MEMINFO_VARS]),
    /// struct tcp_info.
    Info(Box<[u8; tcp_options::INFO_LEN]>),
}

/// The longest value's bytes.
pub(super) type Room = [u8; tcp_options::INFO_LEN];

/// The value's bytes, and how many it has before it is cut to the caller's `room`.
pub(super) fn encode(value: &Value, room: usize, out: &mut Room) -> usize {
    let two_longs = |out: &mut Room, first: c_long, second: c_long| {
        out[..8].copy_from_slice(&first.to_ne_bytes());
        out[8..16].copy_from_slice(&second.to_ne_bytes());
        16
    };
    match *value {
        // do_ip_getsockopt: "if (len < sizeof(int) && len > 0 && val >= 0 && val <= 255)" one byte.
        Value::IpInt(number @ 0..=255) if (1..4).contains(&room) => {
            out[0] = number as u8;
            1
        }
        Value::Int(number) | Value::IpInt(number) => {
            out[..4].copy_from_slice(&number.to_ne_bytes());
            4
        }
        Value::Pair(number) => {
            out[..4].copy_from_slice(&number.to_ne_bytes());
            8
        }
        Value::Nobody => {
            out[..4].fill(0);
            out[4..12].fill(0xff);
            12
        }
        Value::Long(number) => {
            out[..8].copy_from_slice(&number.to_ne_bytes());
            8
        }
        Value::Linger(linger) => {
            let secs = linger.map_or(0, |time| {
                c_int::try_from(time.as_secs()).unwrap_or(c_int::MAX)
            });
            out[..4].copy_from_slice(&c_int::from(linger.is_some()).to_ne_bytes());
            out[4..8].copy_from_slice(&secs.to_ne_bytes());
            8
        }
        Value::Name(ref name) => {
            out[..name.len()].copy_from_slice(name);
            name.len()
        }
        Value::Rate(rate) if room >= 8 => {
            out[..8].copy_from_slice(&rate.to_ne_bytes());
            8
        }
        Value::Rate(rate) => {
            let rate = u32::try_from(rate).unwrap_or(u32::MAX);
            out[..4].copy_from_slice(&rate.to_ne_bytes());
            4
        }
        Value::CcInfo(ref info) => {
            let info = info.as_ref().map_or(&[][..], |info| info);
            out[..info.len()].copy_from_slice(info);
            info.len()
        }
        Value::Filter(ref filter) => {
            out[..filter.len()].copy_from_slice(filter);
            filter.len()
        }
        Value::Keys(keys) => {
            let octets = keys.iter().flat_map(FastOpenKeys::octets);
            let mut n = 0;
            for (slot, octet) in out.iter_mut().zip(octets) {
                *slot = octet;
                n += 1;
            }
            n
        }
        Value::Memory(vars) => {
            for (place, var) in out.chunks_exact_mut(4).zip(vars) {
                place.copy_from_slice(&var.to_ne_bytes());
            }
            size_of_val(&vars)
        }
        Value::Info(ref info) => {
            *out = **info;
            info.len()
        }
        Value::Time(None) => two_longs(out, 0, 0),
        Value::Time(Some(time)) => two_longs(
            out,
            time.as_secs() as c_long,
            c_long::from(time.subsec_micros()),
        ),
    }
}
