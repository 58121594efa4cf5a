//! IP_OPTIONS (ip(7)): the options behind the header of every IPv4 packet of a socket.

use libc::{c_int, c_void};
use rustix::thread::CapabilitySet;

use super::attributes::has_any;
use super::errno::{CResult, Errno};
use super::options::Given;
use super::types::tunsock_socklen_t;
use super::user;
use crate::fd::SocketFile;

const IP_OPTIONS: c_int = 4;
/// Most octets of them.
const MAX: usize = 40;

/// Sets them; `None`: another option.
pub(super) fn set(
    socket: &SocketFile,
    level: c_int,
    name: c_int,
    given: &Given,
) -> Option<CResult<()>> {
    ((level, name) == (libc::IPPROTO_IP, IP_OPTIONS)).then(|| {
        if given.len > MAX {
            return Err(Errno(libc::EINVAL));
        }
        let octets: [u8; MAX] = given.some_of()?;
        let privileged = has_any(CapabilitySet::NET_RAW);
        Ok(socket.set_ip_options(&octets[..given.len], privileged)?)
    })
}

/// Reads them into value, cut to *len bytes, and stores how many were written at len; `None`: another option.
pub(super) fn get(
    socket: &SocketFile,
    (level, name): (c_int, c_int),
    value: *mut c_void,
    len: *mut tunsock_socklen_t,
    room: usize,
) -> Option<CResult<()>> {
    ((level, name) == (libc::IPPROTO_IP, IP_OPTIONS)).then(|| {
        let octets = socket.ip_options()?;
        let written = octets.len().min(room);
        user::write(len, written as tunsock_socklen_t)?;
        user::copy_out(value, &octets[..written])
    })
}
