//! Where a process begins, forks and ends.

use std::cell::Cell;
use std::mem::ManuallyDrop;

use libc::{c_int, c_void};

use super::stdio;
use crate::capi::{gai, originals};
use crate::fd;
use crate::runtime::critical::Critical;
use crate::runtime::{self, MutexGuard, owner, sys};

/// Run by the dynamic linker before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

/// Run after the handlers of atexit(3).
#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end_with_streams;

extern "C" fn begin() {
    owner::take();
    originals::resolve();
    // SAFETY: handlers that live as long as the library, which is never unloaded while the process runs.
    unsafe {
        // Both fail only for lack of memory, and then a fork or quick_exit is as it is without us.
        let _ = libc::pthread_atfork(
            Some(before_fork),
            Some(after_fork_parent),
            Some(after_fork_child),
        );
        let _ = at_quick_exit(end);
    }
}

unsafe extern "C" {
    fn at_quick_exit(handler: extern "C" fn()) -> c_int;
}

/// exit(3) writes out libc's streams after everything else: too late for those that are sockets of ours.
extern "C" fn end_with_streams() {
    if !owner::is_borrowed() {
        super::stdio::flush_at_exit();
    }
    end();
}

/// The sockets end with the process whose they are, not with a child of vfork that gives up before its exec.
extern "C" fn end() {
    if !owner::is_borrowed() {
        fd::at_exit();
        runtime::at_exit();
    }
}

/// What a fork in progress holds. fork(2) copies the locks as they are, with nobody in the child who would let go of those that other threads hold.
struct Forking {
    names: gai::Forking,
    relays: fd::RelaysForking,
    runtime: runtime::Forking,
    numbers: fd::Forking,
    _streams: MutexGuard<'static, stdio::Streams>,
    /// Dropped last: no handler comes in between, which might want the locks.
    _inside: Critical,
}

thread_local! {
    static FORKING: Cell<Option<ManuallyDrop<Forking>>> = const { Cell::new(None) };
}

unsafe extern "C" fn before_fork() {
    let forking = Forking {
        _inside: Critical::enter(),
        _streams: stdio::hold(),
        names: gai::Forking::begin(),
        numbers: fd::Forking::begin(),
        runtime: runtime::Forking::begin(),
        relays: fd::RelaysForking::begin(),
    };
    FORKING.set(Some(ManuallyDrop::new(forking)));
}

/// The forking thread is the one that goes on, in both processes, and so is its thread-local storage.
fn forking() -> Option<Forking> {
    FORKING.take().map(ManuallyDrop::into_inner)
}

unsafe extern "C" fn after_fork_parent() {
    drop(forking());
}

unsafe extern "C" fn after_fork_child() {
    owner::take();
    if let Some(Forking {
        names,
        numbers,
        runtime,
        relays,
        _streams,
        _inside,
    }) = forking()
    {
        names.end_in_child();
        runtime.end_in_child();
        relays.end_in_child();
        numbers.end_in_child();
    }
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

/// The child of vfork(2) runs on the caller's stack, so no frame of ours may be left on it: what there is to do beforehand is done, and
/// then libc's own vfork takes our place.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn vfork() -> c_int {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "sub rsp, 8",
        "call {before}",
        "add rsp, 8",
        "jmp rax",
        before = sym before_vfork,
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "stp x29, x30, [sp, #-16]!",
        "bl {before}",
        "ldp x29, x30, [sp], #16",
        "mov x16, x0",
        "br x16",
        before = sym before_vfork,
    );
}

/// Where vfork goes on.
extern "C" fn before_vfork() -> *const c_void {
    fd::before_vfork();
    originals::address_of_vfork()
}

/// posix_spawn(3) does in libc what it was told to do beforehand: what becomes standard input or output is readied when it is told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawn_file_actions_adddup2(
    actions: *mut c_void,
    old: c_int,
    new: c_int,
) -> c_int {
    if let Some(object) = fd::lookup(old)
        && !owner::is_borrowed()
    {
        fd::consider(new, &object);
    }
    // SAFETY: the caller's own arguments.
    unsafe { originals::posix_spawn_file_actions_adddup2(actions, old, new) }
}
