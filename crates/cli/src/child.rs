//! The program as a child: started with the terminal's signals left to it, and waited for.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::process::{Pid, Signal, kill_process};

/// The signals that the command holds back while a program runs. From the terminal they reach the program by themselves
/// (it is in the same process group); one that was sent to the command alone is sent on.
pub(crate) struct Signals {
    held: libc::sigset_t,
    before: libc::sigset_t,
    child_action: libc::sigaction,
}

impl Signals {
    /// Holds the signals back for this thread. Call while it is the only one.
    pub(crate) fn hold() -> io::Result<Signals> {
        // SAFETY: all-zero bytes are values of these C structures, and every pointer is to a local of the right type.
        unsafe {
            let mut held: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            let mut child_action: libc::sigaction = std::mem::zeroed();
            libc::sigemptyset(&mut held);
            for signal in FORWARDED.iter().chain(&[libc::SIGCHLD]) {
                libc::sigaddset(&mut held, *signal);
            }
            // A parent may have left SIGCHLD ignored, and then there would be no status to wait for.
            let mut default: libc::sigaction = std::mem::zeroed();
            default.sa_sigaction = libc::SIG_DFL;
            if libc::sigaction(libc::SIGCHLD, &default, &mut child_action) != 0
                || libc::sigprocmask(libc::SIG_BLOCK, &held, &mut before) != 0
            {
                return Err(io::Error::last_os_error());
            }
            Ok(Signals {
                held,
                before,
                child_action,
            })
        }
    }

    /// Starts the program with the signals as they were before.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let (before, child_action) = (self.before, self.child_action);
        let pipe_ignored = PIPE_IGNORED.load(Relaxed);
        // SAFETY: the closure makes only async-signal-safe calls (signal-safety(7)) on values of its own.
        unsafe {
            command.pre_exec(move || {
                if libc::sigaction(libc::SIGCHLD, &child_action, std::ptr::null_mut()) != 0
                    || libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) != 0
                {
                    return Err(io::Error::last_os_error());
                }
                if pipe_ignored {
                    libc::signal(libc::SIGPIPE, libc::SIG_IGN);
                }
                Ok(())
            });
        }
        command.spawn()
    }

    /// Waits for the program's end, sending on what is meant for it.
    pub(crate) fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            // SAFETY: all-zero bytes are a siginfo_t; both pointers are to live values of the right types.
            let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
            // SAFETY: as above.
            let number = unsafe { libc::sigwaitinfo(&self.held, &mut info) };
            // SI_USER, SI_QUEUE and SI_TKILL (zero or less) come from a process; the terminal's come from the kernel.
            let from_process = info.si_code <= 0;
            if FORWARDED.contains(&number)
                && from_process
                && let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(number))
            {
                // It may have ended meanwhile: then the next turn finds its status.
                let _ = kill_process(pid, signal);
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // SAFETY: both are values that the same calls gave us.
        unsafe {
            libc::sigprocmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut());
            libc::sigaction(libc::SIGCHLD, &self.child_action, std::ptr::null_mut());
        }
    }
}

/// The status that a shell would give: the program's own, or 128 + the signal that ended it.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Whether SIGPIPE was ignored when the command began.
static PIPE_IGNORED: AtomicBool = AtomicBool::new(false);

/// Rust's runtime ignores SIGPIPE before `main`, and its processes' children have it at the default; a program must find it
/// as the command did. So it is looked at before either, among libc's initialisers.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_SIGPIPE: extern "C" fn() = {
    extern "C" fn look() {
        // SAFETY: all-zero bytes are a sigaction, and the pointer is to a local one.
        let action = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut action);
            action
        };
        PIPE_IGNORED.store(action.sa_sigaction == libc::SIG_IGN, Relaxed);
    }
    look
};

const FORWARDED: [i32; 8] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGWINCH,
];
