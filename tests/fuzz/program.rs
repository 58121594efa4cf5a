//! The C program that makes the calls: built, and run on one side or the other.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::lab;

/// Whose sockets answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// The kernel's.
    Kernel,
    /// tunsock's, the library preloaded.
    Preload,
    /// tunsock's, the program linked with it.
    Linked,
    /// The kernel's with one call that lies (`planted.c`).
    Planted,
}

/// Where the program and what is preloaded into it stand.
pub(crate) struct Program {
    plain: PathBuf,
    linked: Option<PathBuf>,
    planted: PathBuf,
}

impl Program {
    /// Compiles all that is needed; the compiler's words if it can't.
    pub(crate) fn build() -> Result<Program, String> {
        let directory = lab::scratch("fuzz");
        let source = lab::root().join("c-tests/fuzz");
        let sources: Vec<PathBuf> = [
            "main.c",
            "tools.c",
            "steps.c",
            "octets.c",
            "options.c",
            "messages.c",
            "stress.c",
        ]
        .iter()
        .map(|name| source.join(name))
        .collect();
        let plain = directory.join("plain");
        compile(&plain, &sources, &["-pthread".into()])?;
        let planted = directory.join("planted.so");
        let shared = ["-shared".into(), "-fPIC".into()];
        compile(&planted, &[source.join("planted.c")], &shared)?;
        let linked = match lab::built("libtunsock.so") {
            Some(library) => {
                let linked = directory.join("linked");
                let root = lab::root().display().to_string();
                let beside = library
                    .parent()
                    .unwrap_or(Path::new("."))
                    .display()
                    .to_string();
                let soname = library.with_file_name("libtunsock.so.0");
                if !soname.exists() {
                    std::os::unix::fs::symlink("libtunsock.so", &soname)
                        .map_err(|e| e.to_string())?;
                }
                let flags = [
                    format!("-I{root}/include"),
                    "-DTUNSOCK_POSIX_NAMES".into(),
                    "-include".into(),
                    "tunsock.h".into(),
                    format!("-L{beside}"),
                    "-ltunsock".into(),
                    "-pthread".into(),
                ];
                compile(&linked, &sources, &flags)?;
                Some(linked)
            }
            None => None,
        };
        Ok(Program {
            plain,
            linked,
            planted,
        })
    }

    /// Runs `fuzz WORDS…` on that side; what it wrote. A program that fails says so in what it writes.
    pub(crate) fn run(
        &self,
        way: Way,
        words: &[String],
        bound: Duration,
    ) -> Result<String, String> {
        let binary = match (way, &self.linked) {
            (Way::Linked, Some(linked)) => linked,
            (Way::Linked, None) => return Err("the library is not built".into()),
            _ => &self.plain,
        };
        let mut command = Command::new(binary);
        command.args(words);
        lab::in_own_namespace(&mut command, false);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TUNSOCK_") {
                command.env_remove(name);
            }
        }
        command.env_remove("CTEST_TUNSOCK");
        if matches!(way, Way::Preload | Way::Linked) {
            let library = lab::built("libtunsock.so").ok_or("libtunsock.so is not built")?;
            command.env("CTEST_TUNSOCK", "1");
            command.env("TUNSOCK_ADDR", "10.83.0.2/24,fd83::2/64");
            command.env("TUNSOCK_HOST_ADDR", "10.83.0.1,fd83::1");
            if way == Way::Preload {
                command.env("LD_PRELOAD", library);
            } else if let Some(directory) = library.parent() {
                command.env("LD_LIBRARY_PATH", directory);
            }
        }
        if way == Way::Planted {
            command.env("LD_PRELOAD", &self.planted);
        }
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let log = lab::scratch("fuzz").join(format!("{}.{number}.log", std::process::id()));
        let outcome = lab::run_logged(&mut command, &log, bound).map_err(|e| e.to_string());
        let _ = std::fs::remove_file(&log);
        let outcome = outcome?;
        match outcome.status {
            None => Err(format!(
                "{}\nout of time after {bound:?}",
                tail(&outcome.output)
            )),
            Some(_) => Ok(outcome.output),
        }
    }
}

/// The end of a long text.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

fn compile(to: &Path, sources: &[PathBuf], flags: &[String]) -> Result<(), String> {
    let output = crate::lab::compiler()
        .args([
            "-std=gnu11",
            "-D_GNU_SOURCE",
            "-O1",
            "-g",
            "-Wall",
            "-Wextra",
            "-Werror",
        ])
        .arg("-o")
        .arg(to)
        .args(sources)
        .args(flags)
        .output()
        .map_err(|e| format!("no C compiler: {e}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
