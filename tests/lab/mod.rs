//! What the suites that need a network of their own share: namespaces, bounded child processes, and
//! the plain statement of what is missing when they can't run.
#![allow(dead_code)] // each suite uses its part

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// The directory for what the suites build and write.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&dir).expect("the target directory is writable");
    dir
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The C compiler that the cc crate finds (it honours CC).
pub(crate) fn compiler() -> Command {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    cc::Build::new()
        .target(&target)
        .host(&target)
        .opt_level(1)
        .debug(true)
        .cargo_metadata(false)
        .cargo_warnings(false)
        .get_compiler()
        .to_command()
}

/// A file that the workspace's build leaves in the profile directory (`target/debug` or the like).
pub(crate) fn built(name: &str) -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    let profile = exe.parent()?.parent()?;
    Some(profile.join(name)).filter(|p| p.exists())
}

/// Asks that the command runs in a network namespace of its own, made in the child before exec.
/// `up`: with the kernel's loopback up; without it the kernel's sockets reach nobody there.
pub(crate) fn in_own_namespace(command: &mut Command, up: bool) {
    let user = rustix::process::geteuid();
    let group = rustix::process::getegid();
    let uid_map = CString::new(format!("0 {} 1", user.as_raw())).expect("no NUL in a number");
    let gid_map = CString::new(format!("0 {} 1", group.as_raw())).expect("no NUL in a number");
    let privileged = user.is_root();
    // SAFETY: only system calls are made between fork and exec; what they need was allocated before.
    unsafe {
        command.pre_exec(move || {
            if libc::unshare(libc::CLONE_NEWNET) != 0 {
                if privileged {
                    return Err(io::Error::last_os_error());
                }
                if libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) != 0 {
                    return Err(io::Error::last_os_error());
                }
                write_raw(c"/proc/self/setgroups", c"deny")?;
                write_raw(c"/proc/self/uid_map", &uid_map)?;
                write_raw(c"/proc/self/gid_map", &gid_map)?;
            }
            if up { raise_loopback() } else { Ok(()) }
        });
    }
}

/// Writes a whole file with plain system calls (for use between fork and exec).
fn write_raw(path: &std::ffi::CStr, text: &std::ffi::CStr) -> io::Result<()> {
    // SAFETY: both are NUL-terminated and outlive the calls; the descriptor is ours.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let bytes = text.to_bytes();
        let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        let error = io::Error::last_os_error();
        libc::close(fd);
        if written < 0 { Err(error) } else { Ok(()) }
    }
}

/// Brings `lo` up in the present namespace (for use between fork and exec).
fn raise_loopback() -> io::Result<()> {
    // SAFETY: ifreq is plain data, filled as SIOCSIFFLAGS asks (netdevice(7)).
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        let result = libc::ioctl(fd, libc::SIOCSIFFLAGS as _, &request);
        let error = io::Error::last_os_error();
        libc::close(fd);
        if result < 0 { Err(error) } else { Ok(()) }
    }
}

/// Why namespaces can't be made here; None: they can.
pub(crate) fn no_namespaces() -> Option<String> {
    let mut command = Command::new("true");
    in_own_namespace(&mut command, true);
    match command.status() {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!(
            "no network namespaces: `true` in one gave {status}"
        )),
        Err(error) => Some(format!(
            "no network namespaces ({error}): run as root or allow user namespaces"
        )),
    }
}

/// Why tunsock can't run here (library not built, no TUN, no rights); None: it can.
pub(crate) fn no_tunsock() -> Option<String> {
    if built("libtunsock.so").is_none() {
        return Some("libtunsock.so is not built: cargo build --workspace".into());
    }
    if let Err(error) = File::options().read(true).write(true).open("/dev/net/tun") {
        return Some(format!(
            "/dev/net/tun: {error}: modprobe tun, or rights for it"
        ));
    }
    no_namespaces()
}

/// Why the command `tunsock` can't be run in a namespace here; None: it can.
pub(crate) fn no_command() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root, to enter a network namespace".into());
    }
    if built("tunsock").is_none() {
        return Some("the command tunsock is not built: cargo build --workspace".into());
    }
    no_tunsock()
}

/// Which of these programs is not there; None: all are.
pub(crate) fn not_installed(programs: &[&str]) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = programs
        .iter()
        .find(|program| !std::env::split_paths(&path).any(|dir| dir.join(program).exists()))?;
    Some(format!("{missing} is not installed"))
}

/// The python that a shim in the path may stand for: one process, not a shell and then one.
pub(crate) fn python() -> io::Result<String> {
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Waits for the end of a child that leads a process group, at most for `bound`; then the rest of the group is killed.
/// None: the bound was over.
pub(crate) fn wait_bounded(child: &mut Child, bound: Duration) -> io::Result<Option<ExitStatus>> {
    let pid = Pid::from_child(child);
    let handle: OwnedFd = pidfd_open(pid, PidfdFlags::empty())?;
    let end = Instant::now() + bound;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut fds = [PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => {
                let _ = kill_process_group(pid, Signal::KILL);
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            Ok(_) => {
                // What it left behind goes too; its number is still its own until it is waited for.
                let _ = kill_process_group(pid, Signal::KILL);
                return child.wait().map(Some);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// How a bounded run ended: its status (None: out of time) and everything it wrote.
pub(crate) struct Outcome {
    /// The exit status, or None when the bound was over.
    pub(crate) status: Option<ExitStatus>,
    /// Standard output and standard error, as they came.
    pub(crate) output: String,
}

/// Runs a command in its own process group with its output in `log`, for at most `bound`.
pub(crate) fn run_logged(
    command: &mut Command,
    log: &Path,
    bound: Duration,
) -> io::Result<Outcome> {
    let file = File::create(log)?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0);
    let mut child = command.spawn()?;
    let status = wait_bounded(&mut child, bound)?;
    let output = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    Ok(Outcome { status, output })
}

/// Puts the calling thread, and what it starts from now on, into a network namespace of its own with the
/// loopback up. Needs root.
pub(crate) fn enter_own_namespace() -> io::Result<()> {
    // SAFETY: a system call that concerns this thread's namespace only.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error());
    }
    raise_loopback()
}

/// Ends a child and what it started: asks first, so that a device is tidied away, then insists.
pub(crate) fn end_group(child: &mut Child) {
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    let pid = Pid::from_child(child);
    let _ = kill_process_group(pid, Signal::TERM);
    let _ = wait_bounded(child, Duration::from_secs(2));
}

/// The process of this name among the children of `parent`.
pub(crate) fn child_named(parent: u32, name: &str) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let is_it = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
    };
    children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .chain([parent])
        .find(is_it)
}

/// How many descriptors a process has.
pub(crate) fn descriptors_of(pid: u32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// How much memory a process has resident, in KB (VmRSS of proc_pid_status(5)).
pub(crate) fn resident_kb(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("no VmRSS"))
}

/// What becomes of a trial.
pub(crate) type Verdict = Result<(), Failed>;
/// What a trial does in its lab.
pub(crate) type Run<L> = fn(&L) -> Verdict;
/// What a trial is: name, programs it needs, what it does.
pub(crate) type Row<L> = (&'static str, &'static [&'static str], Run<L>);

/// Runs a suite of trials, two at a time, each by `in_a_lab`; those for which something is missing say so and count as ignored.
pub(crate) fn run_trials<L: 'static>(
    suite: &str,
    trials: &[Row<L>],
    in_a_lab: fn(&'static str, Run<L>) -> Verdict,
) -> ! {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(2);
    let missing = no_command();
    if let Some(reason) = &missing {
        eprintln!("{suite}: NOTHING CAN RUN here: {reason}");
    }
    let trials = trials
        .iter()
        .map(|&(name, needs, run)| {
            let missing = missing.clone().or_else(|| not_installed(needs));
            if let Some(reason) = &missing {
                eprintln!("{suite}: {name} CANNOT RUN here: {reason}");
            }
            Trial::ignorable_test(name, move || match missing {
                Some(reason) => Ok(Completion::ignored_with(reason)),
                None => in_a_lab(name, run).map(|()| Completion::Completed),
            })
        })
        .collect();
    libtest_mimic::run(&args, trials).exit()
}
