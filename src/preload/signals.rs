//! Signal handlers.

use libc::{c_int, sigaction as Action, sighandler_t};

use super::pass;
use crate::capi::signals::*;

pass! {
    sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int = posix_sigaction;
    __sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int = posix_sigaction;
    signal(signal: c_int, function: sighandler_t) -> sighandler_t = posix_signal;
    bsd_signal(signal: c_int, function: sighandler_t) -> sighandler_t = posix_signal;
    ssignal(signal: c_int, function: sighandler_t) -> sighandler_t = posix_signal;
    sysv_signal(signal: c_int, function: sighandler_t) -> sighandler_t = posix_sysv_signal;
    __sysv_signal(signal: c_int, function: sighandler_t) -> sighandler_t = posix_sysv_signal;
    sigset(signal: c_int, function: sighandler_t) -> sighandler_t = posix_sigset;
    siginterrupt(signal: c_int, interrupts: c_int) -> c_int = posix_siginterrupt;
}
