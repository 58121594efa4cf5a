//! epoll over ours and the kernel's.

use std::time::Duration;

use libc::c_int;

use super::FdResult;

/// An epoll set: a kernel epoll descriptor for the kernel's descriptors and a ready list for ours.
pub(crate) struct EpollSet {}

/// epoll_create1(2).
pub(crate) fn epoll_create(cloexec: bool) -> FdResult<c_int> {
    let _ = cloexec;
    todo!()
}

/// epoll_ctl(2). `None`: neither the set nor the descriptor is ours.
pub(crate) fn epoll_ctl(
    epfd: c_int,
    op: c_int,
    fd: c_int,
    event: Option<libc::epoll_event>,
) -> Option<FdResult<()>> {
    let _ = (epfd, op, fd, event);
    todo!()
}

/// epoll_pwait2(2): the number of events put into `events`. `None` timeout: for ever. `None`: not ours.
pub(crate) fn epoll_wait(
    epfd: c_int,
    events: &mut [libc::epoll_event],
    timeout: Option<Duration>,
    sigmask: Option<&libc::sigset_t>,
) -> Option<FdResult<usize>> {
    let _ = (epfd, events, timeout, sigmask);
    todo!()
}
