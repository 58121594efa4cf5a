//! TCP_INFO and SO_MEMINFO in the kernel's layouts.

use libc::c_int;
use tunsock_stack::{SockOpt, SockOptName, SocketId};

use crate::errno::{CResult, Errno};
use crate::host::Host;

/// SO_MEMINFO (linux/sock_diag.h).
pub(crate) const SO_MEMINFO: c_int = 55;
/// SK_MEMINFO_VARS, and where the buffer sizes stand in them.
const MEMINFO_VARS: usize = 9;
const MEMINFO_RCVBUF: usize = 1;
const MEMINFO_SNDBUF: usize = 3;
const MEMINFO_WMEM_QUEUED: usize = 5;

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
pub(crate) fn tcp(_host: &Host, _id: SocketId) -> CResult<Vec<u8>> {
    Err(Errno(libc::ENOPROTOOPT))
}
