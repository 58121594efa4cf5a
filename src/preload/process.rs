//! Where a process begins, forks and ends.

use libc::c_int;

use crate::capi::{originals, owner};
use crate::runtime::{self, sys};

/// Run by the dynamic linker before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

/// Run after the handlers of atexit(3).
#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;

extern "C" fn begin() {
    owner::take();
    originals::resolve();
    // SAFETY: handlers that live as long as the library, which is never unloaded while the process runs.
    unsafe {
        // Both fail only for lack of memory, and then a fork or quick_exit is as it is without us.
        let _ = libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child));
        let _ = at_quick_exit(end);
    }
}

unsafe extern "C" {
    fn at_quick_exit(handler: extern "C" fn()) -> c_int;
}

/// The sockets end with the process whose they are, not with a child of vfork that gives up before its exec.
extern "C" fn end() {
    if !owner::is_borrowed() {
        runtime::at_exit();
    }
}

unsafe extern "C" fn before_fork() {
    runtime::before_fork();
}

unsafe extern "C" fn in_parent() {
    runtime::after_fork_parent();
}

unsafe extern "C" fn in_child() {
    owner::take();
    runtime::after_fork_child();
}

/// Ends the process at once, except that what was written to sockets is delivered first, as the kernel would.
#[unsafe(no_mangle)]
pub extern "C" fn _exit(status: c_int) -> ! {
    end();
    loop {
        // SAFETY: a plain number; does not return.
        let _ = unsafe { sys::syscall(libc::SYS_exit_group, [status as usize, 0, 0, 0, 0, 0]) };
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn _Exit(status: c_int) -> ! {
    _exit(status)
}
