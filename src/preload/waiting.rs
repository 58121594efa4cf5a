//! select, poll, epoll.

use libc::{c_int, epoll_event};

use super::pass;
use crate::capi::types::*;
use crate::capi::*;

pass! {
    select(nfds: c_int, readfds: *mut tunsock_fd_set, writefds: *mut tunsock_fd_set, exceptfds: *mut tunsock_fd_set, timeout: *mut tunsock_timeval) -> c_int = tunsock_select;
    __select(nfds: c_int, readfds: *mut tunsock_fd_set, writefds: *mut tunsock_fd_set, exceptfds: *mut tunsock_fd_set, timeout: *mut tunsock_timeval) -> c_int = tunsock_select;
    pselect(nfds: c_int, readfds: *mut tunsock_fd_set, writefds: *mut tunsock_fd_set, exceptfds: *mut tunsock_fd_set, timeout: *const tunsock_timespec, mask: *const tunsock_sigset_t) -> c_int = tunsock_pselect;
    poll(fds: *mut tunsock_pollfd, count: tunsock_nfds_t, timeout: c_int) -> c_int = tunsock_poll;
    __poll(fds: *mut tunsock_pollfd, count: tunsock_nfds_t, timeout: c_int) -> c_int = tunsock_poll;
    ppoll(fds: *mut tunsock_pollfd, count: tunsock_nfds_t, timeout: *const tunsock_timespec, mask: *const tunsock_sigset_t) -> c_int = tunsock_ppoll;
    epoll_create(size: c_int) -> c_int = tunsock_epoll_create;
    epoll_create1(flags: c_int) -> c_int = tunsock_epoll_create1;
    epoll_ctl(epfd: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int = tunsock_epoll_ctl;
    epoll_wait(epfd: c_int, events: *mut epoll_event, count: c_int, timeout: c_int) -> c_int = tunsock_epoll_wait;
    epoll_pwait(epfd: c_int, events: *mut epoll_event, count: c_int, timeout: c_int, mask: *const tunsock_sigset_t) -> c_int = tunsock_epoll_pwait;
    epoll_pwait2(epfd: c_int, events: *mut epoll_event, count: c_int, timeout: *const tunsock_timespec, mask: *const tunsock_sigset_t) -> c_int = tunsock_epoll_pwait2;
}
