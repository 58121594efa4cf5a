//! Control messages of recvmsg, as far as scripts look at them (cmsg(3)).

use libc::{c_int, msghdr};
use tunsock_stack::{Control, ExtendedError, Instant, Origin};

use crate::errno::Errno;
use crate::options::TCP_INQ;

/// sizeof(struct cmsghdr), and what control messages are aligned to.
const HEAD: usize = 16;
const ALIGN: usize = 8;
/// SO_EE_ORIGIN_TIMESTAMPING, SO_EE_ORIGIN_ZEROCOPY (linux/errqueue.h).
const ORIGIN_TIMESTAMPING: u8 = 4;
const ORIGIN_ZEROCOPY: u8 = 5;

/// Puts the messages where `msg` has `room` octets for them.
///
/// # Safety
/// `msg.msg_control` has `room` octets or is null.
pub(crate) unsafe fn put(msg: &mut msghdr, room: usize, controls: &[Control]) {
    let mut out = Vec::new();
    for (level, kind, data) in controls.iter().filter_map(encode) {
        out.extend((HEAD + data.len()).to_ne_bytes());
        out.extend(level.to_ne_bytes());
        out.extend(kind.to_ne_bytes());
        out.extend(data);
        out.resize(out.len().next_multiple_of(ALIGN), 0);
    }
    msg.msg_controllen = 0;
    if out.is_empty() {
        return;
    }
    if msg.msg_control.is_null() || out.len() > room {
        msg.msg_flags |= libc::MSG_CTRUNC;
        return;
    }
    // SAFETY: there is room for them, and the memory is the caller's.
    unsafe { std::ptr::copy_nonoverlapping(out.as_ptr(), msg.msg_control.cast(), out.len()) };
    msg.msg_controllen = out.len();
}

fn encode(control: &Control) -> Option<(c_int, c_int, Vec<u8>)> {
    Some(match *control {
        Control::Timestamping { software, .. } => {
            let mut data = timespec(software);
            data.resize(48, 0);
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPING, data)
        }
        Control::Inq(left) => (libc::SOL_TCP, TCP_INQ, left.to_ne_bytes().to_vec()),
        Control::Error(error) => (libc::SOL_IP, libc::IP_RECVERR, extended(&error, 16)),
        Control::Error6(error) => (libc::SOL_IPV6, libc::IPV6_RECVERR, extended(&error, 28)),
        _ => return None,
    })
}

fn timespec(at: Instant) -> Vec<u8> {
    let micros = at.as_micros();
    let mut data = (micros / 1_000_000).to_ne_bytes().to_vec();
    data.extend((micros % 1_000_000 * 1000).to_ne_bytes());
    data
}

/// struct sock_extended_err and room for the offender's address, which scripts do not look at.
fn extended(error: &ExtendedError, name_len: usize) -> Vec<u8> {
    let number = error.error.map_or(0, |error| Errno::from(error).0);
    let (number, origin) = match error.origin {
        Origin::Local => (number, libc::SO_EE_ORIGIN_LOCAL),
        Origin::Icmp => (number, libc::SO_EE_ORIGIN_ICMP),
        Origin::Icmp6 => (number, libc::SO_EE_ORIGIN_ICMP6),
        Origin::Timestamping => (libc::ENOMSG, ORIGIN_TIMESTAMPING),
        Origin::ZeroCopy => (0, ORIGIN_ZEROCOPY),
    };
    let mut data = number.to_ne_bytes().to_vec();
    data.extend([origin, error.kind, error.code, 0]);
    data.extend(error.info.to_ne_bytes());
    data.extend(error.data.to_ne_bytes());
    data.resize(data.len() + name_len, 0);
    data
}
