//! select and pselect over ours and the kernel's.

use std::time::Duration;

use libc::c_int;

use super::FdResult;

/// An fd_set of any size, as its words: bit `fd % c_ulong::BITS` of word `fd / c_ulong::BITS`. At least `nfds` bits long.
pub(crate) type FdBits = [libc::c_ulong];

/// pselect(2): the number of bits set. `None` timeout: for ever. The caller rewrites select's timeval. `None`: no descriptor of ours in it.
pub(crate) fn select(
    nfds: c_int,
    readfds: Option<&mut FdBits>,
    writefds: Option<&mut FdBits>,
    exceptfds: Option<&mut FdBits>,
    timeout: Option<Duration>,
    sigmask: Option<&libc::sigset_t>,
) -> Option<FdResult<c_int>> {
    let _ = (nfds, readfds, writefds, exceptfds, timeout, sigmask);
    todo!()
}
