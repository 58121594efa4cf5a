//! `winsock2.h` and `ws2tcpip.h`: a program in Winsock's manner, compiled as C and as C++, on the stack alone.

mod lab;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// The cases of `c-tests/programs/winsock_dialogue.c`.
const CASES: [&str; 7] = [
    "not_started",
    "stream_v4",
    "stream_v6",
    "datagrams",
    "groups",
    "options",
    "names",
];

const BOUND: Duration = Duration::from_secs(60);

fn main() {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(2);
    let missing = lab::no_tunsock();
    if let Some(reason) = &missing {
        eprintln!("winsock: NOTHING CAN RUN here: {reason}");
    }
    let mut trials = Vec::new();
    for (compiler, language, standard) in [("cc", "c", "c11"), ("c++", "c++", "c++17")] {
        let program = match &missing {
            None => compile(compiler, language, standard),
            Some(_) => Ok(PathBuf::new()),
        };
        for case in CASES {
            let (program, missing) = (program.clone(), missing.clone());
            let name = format!("{language}::{case}");
            trials.push(Trial::ignorable_test(name, move || match missing {
                Some(reason) => Ok(Completion::ignored_with(reason)),
                None => run(&program?, case),
            }));
        }
    }
    libtest_mimic::run(&args, trials).exit();
}

fn compile(compiler: &str, language: &str, standard: &str) -> Result<PathBuf, String> {
    let library = lab::built("libtunsock.so").ok_or("libtunsock.so is not built")?;
    let soname = library.with_file_name("libtunsock.so.0");
    if !soname.exists() {
        std::os::unix::fs::symlink("libtunsock.so", &soname).map_err(|e| e.to_string())?;
    }
    let binary = lab::scratch("winsock").join(format!("dialogue-{language}"));
    let output = Command::new(compiler)
        .args(["-x", language, &format!("-std={standard}")])
        .args(["-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .arg("-I")
        .arg(lab::root().join("include"))
        .arg(lab::root().join("c-tests/programs/winsock_dialogue.c"))
        .arg("-o")
        .arg(&binary)
        .arg("-L")
        .arg(library.parent().unwrap_or(Path::new(".")))
        .args(["-ltunsock", "-pthread"])
        .output()
        .map_err(|e| format!("{compiler}: {e}"))?;
    if output.status.success() {
        return Ok(binary);
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn run(program: &Path, case: &str) -> Result<Completion, Failed> {
    let library = lab::built("libtunsock.so").ok_or("libtunsock.so is not built")?;
    let mut command = Command::new(program);
    command.arg(case);
    lab::in_own_namespace(&mut command, false);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TUNSOCK_") {
            command.env_remove(name);
        }
    }
    command
        .env(
            "LD_LIBRARY_PATH",
            library.parent().unwrap_or(Path::new(".")),
        )
        .env("TUNSOCK_ADDR", "10.83.0.2/24,fd83::2/64")
        .env("TUNSOCK_HOST_ADDR", "10.83.0.1,fd83::1");
    let language = program.file_name().unwrap_or_default().to_string_lossy();
    let log = lab::scratch("winsock").join(format!("{language}.{case}.log"));
    let outcome = lab::run_logged(&mut command, &log, BOUND)?;
    match outcome.status {
        Some(status) if status.success() => Ok(Completion::Completed),
        Some(status) => Err(format!("{}{status}", outcome.output).into()),
        None => Err(format!("{}out of time after {BOUND:?}", outcome.output).into()),
    }
}
