//! sigaction and its kin: handlers of the program's run between calls, not inside them (`runtime/critical.rs`).

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering::*};

use libc::{c_int, c_void, sigaction, sighandler_t, siginfo_t, ucontext_t};

use super::{errno, originals};
use crate::runtime::{critical, sys};

/// What the program asked for at a signal's number; the kernel has [`deliver`] there.
struct Handler {
    function: AtomicUsize,
    flags: AtomicI32,
}

static HANDLERS: [Handler; 65] = [const {
    Handler {
        function: AtomicUsize::new(libc::SIG_DFL),
        flags: AtomicI32::new(0),
    }
}; 65];

/// Signals whose handlers siginterrupt(3) wants to interrupt calls.
static INTERRUPTING: AtomicU64 = AtomicU64::new(0);

/// The signals whose handlers may wait until a call is over: not those of a faulting instruction, nor the profiler's, which wants to see
/// where the program is. `None` for numbers that are none.
fn postponable(signal: c_int) -> Option<&'static Handler> {
    match signal {
        libc::SIGSEGV
        | libc::SIGBUS
        | libc::SIGFPE
        | libc::SIGILL
        | libc::SIGTRAP
        | libc::SIGSYS
        | libc::SIGPROF => None,
        1..=64 => HANDLERS.get(usize::try_from(signal).ok()?),
        _ => None,
    }
}

type Function = unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

fn deliver_address() -> usize {
    deliver as Function as usize
}

/// What the kernel calls in place of the program's handlers.
unsafe extern "C" fn deliver(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(handler) = postponable(signal) else {
        return;
    };
    // SAFETY: the kernel passes both to a handler with SA_SIGINFO, which this one always is.
    if critical::inside() && unsafe { postpone(signal, info, context) } {
        return;
    }
    let function = handler.function.load(Acquire);
    if function == libc::SIG_DFL || function == libc::SIG_IGN {
        return;
    }
    critical::handler_runs();
    // SAFETY: the program says that this is a handler; one that takes the number only does not look at the rest.
    unsafe { std::mem::transmute::<usize, Function>(function)(signal, info, context) }
}

/// The signal comes again when the thread leaves the library. False: it can't, and is to be handled now.
///
/// # Safety
/// Both pointers are those of a handler with SA_SIGINFO.
unsafe fn postpone(signal: c_int, info: *mut siginfo_t, context: *mut c_void) -> bool {
    let errno = errno::get();
    sys::block_signals();
    // SAFETY: the caller's promise.
    let sent = unsafe { sys::signal_this_thread(signal, info) };
    if sent.is_ok() {
        // SAFETY: a ucontext_t; the kernel's mask is the first 64 bits of its signal set, and is what holds after the return from here.
        unsafe {
            let mask = (&raw mut (*context.cast::<ucontext_t>()).uc_sigmask).cast::<sys::SigSet>();
            critical::put_off(mask.read());
            mask.write(sys::ALL_SIGNALS);
        }
        rearm(signal);
    }
    errno::set(errno);
    sent.is_ok()
}

/// With SA_RESETHAND the kernel has taken the handler away, which has not run yet.
fn rearm(signal: c_int) {
    let mut action = MaybeUninit::<sigaction>::zeroed();
    // SAFETY: libc's function fills the struct, and gets it back.
    unsafe {
        if original(signal, std::ptr::null(), action.as_mut_ptr()) != 0 {
            return;
        }
        let mut action = action.assume_init();
        if action.sa_flags & libc::SA_RESETHAND != 0 && action.sa_sigaction == libc::SIG_DFL {
            action.sa_sigaction = deliver_address();
            original(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// # Safety
/// As sigaction(2).
unsafe fn original(signal: c_int, new: *const sigaction, old: *mut sigaction) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { originals::sigaction(signal, new.cast(), old.cast()) }
}

/// sigaction(2).
pub(crate) unsafe extern "C" fn posix_sigaction(
    signal: c_int,
    new: *const sigaction,
    old: *mut sigaction,
) -> c_int {
    let Some(handler) = postponable(signal) else {
        // SAFETY: the caller's own arguments.
        return unsafe { original(signal, new, old) };
    };
    let before = (handler.function.load(Acquire), handler.flags.load(Acquire));
    // SAFETY: the caller vouches for both structs, as libc's own function takes for granted.
    unsafe {
        let mut action = (!new.is_null()).then(|| new.read());
        if let Some(action) = &mut action {
            substitute(handler, action);
        }
        let mut was = MaybeUninit::<sigaction>::zeroed();
        let place = action
            .as_ref()
            .map_or(std::ptr::null(), |action| &raw const *action);
        let outcome = original(signal, place, was.as_mut_ptr());
        if outcome != 0 {
            handler.function.store(before.0, Release);
            handler.flags.store(before.1, Release);
        } else if !old.is_null() {
            let mut was = was.assume_init();
            if was.sa_sigaction == deliver_address() {
                was.sa_sigaction = before.0;
                was.sa_flags = was.sa_flags & !libc::SA_SIGINFO | before.1 & libc::SA_SIGINFO;
            }
            old.write(was);
        }
        outcome
    }
}

/// Remembers the program's handler and puts ours in its place.
fn substitute(handler: &Handler, action: &mut sigaction) {
    let function = action.sa_sigaction;
    if function == libc::SIG_DFL || function == libc::SIG_IGN {
        return;
    }
    // Ours comes back from somebody who read it past us: it goes on to stand for what it stood for.
    if function != deliver_address() {
        handler.flags.store(action.sa_flags, Release);
        handler.function.store(function, Release);
        action.sa_sigaction = deliver_address();
    }
    action.sa_flags |= libc::SA_SIGINFO;
}

/// signal(2) as BSD and glibc have it: the handler stays, its signal is blocked meanwhile, calls go on afterwards.
pub(crate) unsafe extern "C" fn posix_signal(
    signal: c_int,
    function: sighandler_t,
) -> sighandler_t {
    let restart = INTERRUPTING.load(Relaxed) & bit(signal) == 0;
    let flags = if restart { libc::SA_RESTART } else { 0 };
    // SAFETY: the caller vouches for the handler.
    unsafe { set_handler(signal, function, flags, true) }
}

/// signal(2) as System V has it: the handler runs once, with nothing blocked, and calls end with EINTR.
pub(crate) unsafe extern "C" fn posix_sysv_signal(
    signal: c_int,
    function: sighandler_t,
) -> sighandler_t {
    // SAFETY: the caller vouches for the handler.
    unsafe {
        set_handler(
            signal,
            function,
            libc::SA_RESETHAND | libc::SA_NODEFER,
            false,
        )
    }
}

/// sigset(3): the handler, and the signal unblocked; SIG_HOLD: the signal blocked. What it was before.
pub(crate) unsafe extern "C" fn posix_sigset(
    signal: c_int,
    function: sighandler_t,
) -> sighandler_t {
    /// Of bits/signum-generic.h.
    const SIG_HOLD: sighandler_t = 2;
    if function == libc::SIG_ERR || !(1..=64).contains(&signal) {
        errno::set(libc::EINVAL);
        return libc::SIG_ERR;
    }
    // SAFETY: plain data, of which zeros are valid; libc's functions get sets and structs of this function's.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        let held = |mask: &libc::sigset_t| libc::sigismember(mask, signal) == 1;
        if function == SIG_HOLD {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before);
            if held(&before) {
                return SIG_HOLD;
            }
            let mut action: sigaction = std::mem::zeroed();
            return match posix_sigaction(signal, std::ptr::null(), &raw mut action) {
                0 => action.sa_sigaction,
                _ => libc::SIG_ERR,
            };
        }
        let was = set_handler(signal, function, 0, false);
        if was == libc::SIG_ERR {
            return was;
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, &raw mut before);
        if held(&before) { SIG_HOLD } else { was }
    }
}

/// siginterrupt(3).
pub(crate) unsafe extern "C" fn posix_siginterrupt(signal: c_int, interrupts: c_int) -> c_int {
    let mut action = MaybeUninit::<sigaction>::zeroed();
    // SAFETY: both calls get a struct of this function's.
    unsafe {
        if posix_sigaction(signal, std::ptr::null(), action.as_mut_ptr()) != 0 {
            return -1;
        }
        let mut action = action.assume_init();
        if interrupts != 0 {
            INTERRUPTING.fetch_or(bit(signal), Relaxed);
            action.sa_flags &= !libc::SA_RESTART;
        } else {
            INTERRUPTING.fetch_and(!bit(signal), Relaxed);
            action.sa_flags |= libc::SA_RESTART;
        }
        posix_sigaction(signal, &raw const action, std::ptr::null_mut())
    }
}

/// # Safety
/// The function is a handler, SIG_DFL or SIG_IGN.
unsafe fn set_handler(
    signal: c_int,
    function: sighandler_t,
    flags: c_int,
    block: bool,
) -> sighandler_t {
    if function == libc::SIG_ERR || !(1..=64).contains(&signal) {
        errno::set(libc::EINVAL);
        return libc::SIG_ERR;
    }
    // SAFETY: plain data, of which zeros are valid; then structs of this function's.
    unsafe {
        let mut new: sigaction = std::mem::zeroed();
        let mut old: sigaction = std::mem::zeroed();
        new.sa_sigaction = function;
        new.sa_flags = flags;
        if block {
            libc::sigaddset(&raw mut new.sa_mask, signal);
        }
        if posix_sigaction(signal, &raw const new, &raw mut old) != 0 {
            return libc::SIG_ERR;
        }
        old.sa_sigaction
    }
}

fn bit(signal: c_int) -> u64 {
    1u64.checked_shl(signal.wrapping_sub(1) as u32).unwrap_or(0)
}
