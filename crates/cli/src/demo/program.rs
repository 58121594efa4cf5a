//! The two C programs, which the command carries inside itself, as children.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A program's name and its executable file.
pub(crate) struct Image {
    name: &'static str,
    bytes: &'static [u8],
}

/// demo/server.c, compiled.
pub(crate) const SERVER: Image = Image {
    name: "server",
    bytes: include_bytes!(concat!(env!("OUT_DIR"), "/server")),
};

/// demo/client.c, compiled.
pub(crate) const CLIENT: Image = Image {
    name: "client",
    bytes: include_bytes!(concat!(env!("OUT_DIR"), "/client")),
};

/// A running program. Dropping it ends it.
pub(crate) struct Program {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// What the library says on the program's standard error.
    log: Receiver<String>,
    deadline: Instant,
}

impl Program {
    /// Starts the program; `adjust` may put the library into its environment. Everything asked of it later has to happen
    /// before `deadline`.
    pub(crate) fn start(
        image: &Image,
        arguments: &[String],
        stdin: Stdio,
        adjust: &dyn Fn(&mut Command),
        deadline: Instant,
    ) -> Result<Program, String> {
        let name = image.name;
        let file = in_memory(image).map_err(|error| format!("{name}: {error}"))?;
        let mut command = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
        std::os::unix::process::CommandExt::arg0(&mut command, name);
        command
            .args(arguments)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        adjust(&mut command);
        let mut child = command
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        Ok(Program {
            name,
            stdin: child.stdin.take(),
            lines: lines_of(child.stdout.take()),
            log: lines_of(child.stderr.take()),
            child,
            deadline,
        })
    }

    /// Waits for the program's next line, which begins with `start`, and prints it.
    pub(crate) fn says(&mut self, start: &str) -> Result<(), String> {
        let line = self
            .lines
            .recv_timeout(self.left())
            .map_err(|_| format!("the {} did not say \"{start}\"", self.name))?;
        println!("   {:<8} {line}", self.name);
        if line.starts_with(start) {
            Ok(())
        } else {
            Err(format!("the {} did not say \"{start}\"", self.name))
        }
    }

    /// Gives the program a line to read.
    pub(crate) fn hears(&mut self, line: &str) -> Result<(), String> {
        let Some(stdin) = &mut self.stdin else {
            return Ok(());
        };
        writeln!(stdin, "{line}")
            .map_err(|error| format!("the {} reads nothing: {error}", self.name))
    }

    /// There is nothing more to read for the program.
    pub(crate) fn done(&mut self) {
        self.stdin = None;
    }

    /// Waits for the program to end well. Gives the library's log; what else is on standard error is passed on.
    pub(crate) fn ends(mut self) -> Result<Vec<String>, String> {
        let name = self.name;
        let failed = |error: std::io::Error| format!("the {name} cannot be waited for: {error}");
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pidfd = pid
            .map(|pid| pidfd_open(pid, PidfdFlags::empty()))
            .transpose();
        if let Some(pidfd) = pidfd.map_err(|errno| failed(errno.into()))? {
            let left = Timespec::try_from(self.left()).ok();
            let ready = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], left.as_ref());
            if ready.map_err(|errno| failed(errno.into()))? == 0 {
                return Err(format!("the {name} did not end"));
            }
        }
        let status = self.child.wait().map_err(failed)?;
        if !status.success() {
            return Err(format!("the {name} ended with {status}"));
        }
        Ok(self.log())
    }

    /// Reads standard error to its end, which has come or is about to.
    fn log(&self) -> Vec<String> {
        let mut log = Vec::new();
        while let Ok(line) = self.log.recv_timeout(self.left()) {
            match line.strip_prefix("tunsock: ") {
                Some(line) => log.push(line.to_owned()),
                None => eprintln!("{}: {line}", self.name),
            }
        }
        log
    }

    fn left(&self) -> std::time::Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log();
    }
}

/// The lines of a pipe, as they come.
fn lines_of(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, lines) = channel();
    if let Some(pipe) = pipe {
        std::thread::spawn(move || {
            let lines = BufReader::new(pipe).lines().map_while(Result::ok);
            lines.into_iter().try_for_each(|line| sender.send(line))
        });
    }
    lines
}

fn in_memory(image: &Image) -> std::io::Result<OwnedFd> {
    let mut file = std::fs::File::from(rustix::fs::memfd_create(image.name, MemfdFlags::CLOEXEC)?);
    file.write_all(image.bytes)?;
    Ok(file.into())
}
