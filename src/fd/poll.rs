//! poll and ppoll over ours and the kernel's.

use std::time::Duration;

use libc::c_int;

use super::FdResult;

/// ppoll(2). `None` timeout: for ever. `None`: no descriptor of ours in it, the kernel may answer it alone.
pub(crate) fn poll(
    fds: &mut [libc::pollfd],
    timeout: Option<Duration>,
    sigmask: Option<&libc::sigset_t>,
) -> Option<FdResult<c_int>> {
    let _ = (fds, timeout, sigmask);
    todo!()
}
