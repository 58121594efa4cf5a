//! The C suite: every case of `c-tests/` as one trial a way.
//!
//! `kernel::file::case` runs on the kernel's sockets and is the oracle; `preload::file::case` is the same
//! binary under `LD_PRELOAD=libtunsock.so`; `linked::file::case` is the same source compiled against
//! `include/` and linked with `-ltunsock`; `spinning::file::case` is `preload::` with `--spin`, for the files that wait. Each trial is a process in a network namespace of its own; on the ways of tunsock
//! the kernel's loopback is down there, so a socket that went to the kernel by mistake reaches nobody.
//!
//! A case that must differ on tunsock stands in `c-tests/deviations.txt` with its reason and in
//! `docs/deviations.md`; it has to fail there, so that the list can't rot.

mod lab;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// Longer than the alarm inside a case: what is delivered at exit has its time too.
const CASE_BOUND: Duration = Duration::from_secs(90);

/// The files whose cases wait in every manner: they run with `--spin` too.
const WAITING: [&str; 14] = [
    "accept",
    "cancel",
    "epoll",
    "epoll_corners",
    "fork",
    "handlers",
    "interruptions",
    "mixed",
    "poll",
    "recv",
    "select",
    "signals",
    "threads",
    "timeouts",
];

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Kernel,
    Preload,
    Linked,
    Spinning,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Kernel => "kernel",
            Way::Preload => "preload",
            Way::Linked => "linked",
            Way::Spinning => "spinning",
        }
    }
}

/// Cases that must differ on tunsock: `file::case` to reason.
type Deviations = BTreeMap<String, String>;

fn main() {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(2);
    let deviations = Arc::new(read_deviations());
    let mut trials = Vec::new();
    let mut names = Vec::new();
    let (plain, linked) = match build_all() {
        Ok(binaries) => binaries,
        Err(text) => {
            eprintln!("c_suite: the C sources do not compile:\n{text}");
            std::process::exit(101);
        }
    };
    for (way, binaries) in [
        (Way::Kernel, &plain),
        (Way::Preload, &plain),
        (Way::Linked, &linked),
        (Way::Spinning, &plain),
    ] {
        let missing = match way {
            Way::Kernel => lab::no_namespaces(),
            _ => lab::no_tunsock(),
        };
        if let Some(reason) = &missing {
            eprintln!("c_suite: the {} way CANNOT RUN here: {reason}", way.name());
        }
        for binary in binaries {
            let file = file_of(binary);
            if way == Way::Spinning && !WAITING.contains(&file.as_str()) {
                continue;
            }
            for case in cases_of(binary) {
                let id = format!("{file}::{case}");
                if way == Way::Kernel {
                    names.push(id.clone());
                }
                trials.push(trial(way, binary, id, case, &deviations, &missing));
            }
        }
    }
    trials.extend(table_trials(&deviations, names));
    libtest_mimic::run(&args, trials).exit();
}

fn trial(
    way: Way,
    binary: &Path,
    id: String,
    case: String,
    deviations: &Arc<Deviations>,
    missing: &Option<String>,
) -> Trial {
    let (binary, deviations) = (binary.to_owned(), deviations.clone());
    let missing_here = missing.clone();
    Trial::ignorable_test(format!("{}::{id}", way.name()), move || {
        if let Some(reason) = missing_here {
            return Ok(Completion::ignored_with(reason));
        }
        let result = run_case(way, &binary, &id, &case);
        match deviations.get(&id) {
            Some(reason) if way != Way::Kernel => match result {
                Ok(Completion::Completed) => {
                    Err(format!("passes, but deviations.txt says it can't: {reason}").into())
                }
                Ok(ignored) => Ok(ignored),
                Err(_) => Ok(Completion::Completed),
            },
            _ => result,
        }
    })
}

fn run_case(way: Way, binary: &Path, id: &str, case: &str) -> Result<Completion, Failed> {
    let mut command = Command::new(binary);
    command.arg(case);
    lab::in_own_namespace(&mut command, way == Way::Kernel);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TUNSOCK_") {
            command.env_remove(name);
        }
    }
    // What the program sets in the kernel of its namespace is set in the stack here.
    let fast_open = match id.strip_prefix("fastopen::") {
        Some(case) if case.starts_with("off_") => "0",
        Some(_) => "3",
        None => "1",
    };
    command.env("CTEST_FASTOPEN", fast_open);
    if way != Way::Kernel {
        command.env("TUNSOCK_TCP_FASTOPEN", fast_open);
        if id.starts_with("ports::tiny_") {
            command.env("TUNSOCK_LOCAL_PORTS", "40000-40003");
        }
        let library = lab::built("libtunsock.so").ok_or("libtunsock.so is not built")?;
        command.env("CTEST_TUNSOCK", way.name());
        command.env("TUNSOCK_ADDR", "10.83.0.2/24,fd83::2/64");
        command.env("TUNSOCK_HOST_ADDR", "10.83.0.1,fd83::1");
        command.envs([("CTEST_HOST4", "10.83.0.1"), ("CTEST_HOST6", "fd83::1")]);
        command.envs([("CTEST_STACK4", "10.83.0.2"), ("CTEST_STACK6", "fd83::2")]);
        if way == Way::Spinning {
            command.env("TUNSOCK_SPIN", "200us");
        }
        if way != Way::Linked {
            command.env("LD_PRELOAD", library);
        } else {
            let directory = library.parent().ok_or("the library has no directory")?;
            command.env("LD_LIBRARY_PATH", directory);
        }
    }
    let log = lab::scratch("c-suite").join(format!("{}.{}.log", way.name(), id.replace("::", ".")));
    let outcome = lab::run_logged(&mut command, &log, CASE_BOUND)?;
    match outcome.status {
        None => Err(format!("{}out of time after {CASE_BOUND:?}", outcome.output).into()),
        Some(status) if status.success() => Ok(Completion::Completed),
        Some(status) if status.code() == Some(77) => Ok(Completion::ignored_with(outcome.output)),
        Some(status) => Err(format!("{}{status}", outcome.output).into()),
    }
}

/// The names in `c-tests/deviations.txt`: `file::case  reason`.
fn read_deviations() -> Deviations {
    let text = fs::read_to_string(lab::root().join("c-tests/deviations.txt")).unwrap_or_default();
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once(char::is_whitespace))
        .map(|(id, reason)| (id.to_owned(), reason.trim().to_owned()))
        .collect()
}

/// The table names cases that exist, and the documents name every row of it.
fn table_trials(deviations: &Arc<Deviations>, names: Vec<String>) -> Vec<Trial> {
    let (all, documented) = (deviations.clone(), deviations.clone());
    vec![
        Trial::test("table::names_existing_cases", move || {
            match all.keys().find(|id| !names.contains(id)) {
                Some(id) => Err(format!("deviations.txt names {id}, which is no case").into()),
                None => Ok(()),
            }
        }),
        Trial::test("table::is_documented", move || {
            if documented.is_empty() {
                return Ok(());
            }
            let path = lab::root().join("docs/deviations.md");
            let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            match documented
                .keys()
                .find(|id| !text.contains(&format!("`{id}`")))
            {
                Some(id) => Err(format!("docs/deviations.md has no row that names `{id}`").into()),
                None => Ok(()),
            }
        }),
    ]
}

fn file_of(binary: &Path) -> String {
    binary
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn cases_of(binary: &Path) -> Vec<String> {
    let mut command = Command::new(binary);
    if let Some(directory) = lab::built("libtunsock.so")
        .as_deref()
        .and_then(Path::parent)
    {
        command.env("LD_LIBRARY_PATH", directory);
    }
    let output = command
        .arg("--list")
        .output()
        .expect("a binary just built can be run");
    assert!(
        output.status.success(),
        "{} --list: {output:?}",
        binary.display()
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The C files of the suite, each a program.
fn sources() -> Vec<PathBuf> {
    let directory = lab::root().join("c-tests");
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .expect("c-tests/ is part of the repository")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "c") && !p.ends_with("harness.c"))
        .collect();
    files.sort();
    files
}

/// Compiles everything that is older than its sources: the plain binaries and, where the library and its
/// header are there, the linked ones.
fn build_all() -> Result<(Vec<PathBuf>, Vec<PathBuf>), String> {
    let plain = build_way(
        &lab::scratch(&format!("c-suite/plain{}", flavour())),
        &[],
        &[],
    )?;
    let header = lab::root().join("include/tunsock.h");
    let linked = match lab::built("libtunsock.so") {
        Some(library) if header.exists() => {
            let directory = lab::scratch(&format!("c-suite/linked{}", flavour()));
            link_soname(&library)?;
            let include = format!("-I{}", lab::root().join("include").display());
            let search = format!("-L{}", library.parent().unwrap_or(Path::new(".")).display());
            let names = ["-DTUNSOCK_POSIX_NAMES", "-include", "tunsock.h"];
            build_way(
                &directory,
                &[&[include.as_str()], &names[..]].concat(),
                &[&search, "-ltunsock"],
            )?
        }
        _ => {
            eprintln!(
                "c_suite: the linked way CANNOT RUN here: no include/tunsock.h or no library"
            );
            Vec::new()
        }
    };
    Ok((plain, linked))
}

/// Programs under sanitizers (CFLAGS says so) stand beside the others.
fn flavour() -> &'static str {
    match std::env::var("CFLAGS") {
        Ok(flags) if flags.contains("-fsanitize") => "-sanitized",
        _ => "",
    }
}

/// The loader looks for the SONAME: give it beside the library.
fn link_soname(library: &Path) -> Result<(), String> {
    let soname = library.with_file_name("libtunsock.so.0");
    if soname.exists() {
        return Ok(());
    }
    std::os::unix::fs::symlink("libtunsock.so", &soname).map_err(|e| e.to_string())
}

fn build_way(directory: &Path, flags: &[&str], libraries: &[&str]) -> Result<Vec<PathBuf>, String> {
    let harness = lab::root().join("c-tests/harness.c");
    let newest_shared = [
        Some(harness.clone()),
        Some(lab::root().join("c-tests/harness.h")),
        Some(lab::root().join("c-tests/peer.h")),
        Some(lab::root().join("c-tests/dns.h")),
        Some(lab::root().join("c-tests/zone.h")),
        Some(lab::root().join("include/tunsock.h")),
        std::env::current_exe().ok(), // the flags are in here
    ];
    let shared = newest_shared
        .iter()
        .flatten()
        .filter_map(|p| modified(p))
        .max();
    let mut binaries = Vec::new();
    let mut running: Vec<(PathBuf, std::process::Child)> = Vec::new();
    for source in sources() {
        let binary = directory.join(source.file_stem().unwrap_or_default());
        binaries.push(binary.clone());
        let newest = modified(&source).max(shared);
        if modified(&binary).is_some_and(|built| Some(built) > newest) {
            continue;
        }
        let child = lab::compiler()
            .args([
                "-std=gnu11",
                "-D_GNU_SOURCE",
                "-O1",
                "-g",
                "-Wall",
                "-Wextra",
                "-Werror",
            ])
            .args(flags)
            .arg("-o")
            .arg(&binary)
            .args([&source, &harness])
            .args(libraries)
            .args(["-pthread", "-ldl"])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .map_err(|e| format!("no C compiler: {e}"))?;
        running.push((source, child));
        if running.len() >= 2 {
            finish(running.remove(0))?;
        }
    }
    running.into_iter().try_for_each(finish)?;
    Ok(binaries)
}

fn finish((source, child): (PathBuf, std::process::Child)) -> Result<(), String> {
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{}:\n{}",
        source.display(),
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}
