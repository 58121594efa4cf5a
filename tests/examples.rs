//! The examples: built by their Makefile both ways, and run, each against the kernel's sockets in a namespace of its own.

mod lab;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// Longer than anything in a script waits for.
const BOUND: Duration = Duration::from_secs(120);

/// Scripts that the shell runs in the namespace. `$STACK` and `$HOST` are the two ends' addresses, `over` runs a program over
/// tunsock, `says FILE WORD` waits until the file has the word (`TIMES` times), `taken PORT` until one of the kernel's sockets has the port.
const RUNS: &[(&str, &str)] = &[
    (
        "tcp_server",
        r#"over tcp_echo_server 7001 1 > out & says out listening
           [ "$(printf 'one\ntwo\n' | timeout 60 nc -N -w 30 $STACK 7001)" = "$(printf 'one\ntwo')" ]; wait $!"#,
    ),
    (
        "tcp_client",
        r#"timeout 60 socat TCP-LISTEN:7002,reuseaddr EXEC:cat & taken 7002
           [ "$(printf 'one\ntwo\n' | over tcp_echo_client $HOST 7002)" = "$(printf 'one\ntwo')" ]"#,
    ),
    (
        "udp_server",
        r#"over udp_echo_server 7003 1 > out & says out waiting
           [ "$(printf word | timeout 60 nc -u -w 4 $STACK 7003)" = word ]; wait $!"#,
    ),
    (
        "udp_client",
        r#"timeout 60 socat UDP-LISTEN:7004 EXEC:cat & taken 7004
           [ "$(over udp_echo_client $HOST 7004 word)" = word ]"#,
    ),
    (
        "select_server",
        r#"mkfifo in one two; touch heard; over select_server 7005 < in > out & server=$!; exec 3> in; says out listening
           timeout 60 nc -N -w 30 $STACK 7005 < one > heard & first=$!; exec 4> one; says out came
           timeout 60 nc -N -w 30 $STACK 7005 < two > /dev/null & second=$!; exec 5> two; says out came 2
           printf 'hello\n' >&5; says heard hello; printf 'from the console\n' >&3; says heard console
           exec 5>&-; wait $second; exec 4>&-; wait $first || true; exec 3>&-; wait $server
           [ "$(sort heard)" = "$(printf 'from the console\nhello')" ]"#,
    ),
    (
        "winsock_server",
        r#"over winsock_server 7006 > out & says out listening
           [ "$(printf 'word' | timeout 60 nc -N -w 30 $STACK 7006)" = word ]; wait $!"#,
    ),
    (
        "winsock_client",
        r#"timeout 60 socat TCP-LISTEN:7007,reuseaddr EXEC:cat & taken 7007
           [ "$(over winsock_client $HOST 7007 word)" = word ]"#,
    ),
];

/// What every script begins with. What is waited for in vain shows in what the script does next.
const PRELUDE: &str = r#"set -eu
    STACK=10.83.0.2 HOST=10.83.0.1
    export TUNSOCK_ADDR=10.83.0.2/24 TUNSOCK_HOST_ADDR=10.83.0.1
    over() { program=$1; shift; LD_LIBRARY_PATH="$LIBRARY" timeout 60 "$EXAMPLES/$program" "$@"; }
    until_it_is() { i=0; until "$@" || [ $((i += 1)) = 300 ]; do sleep 0.1; done; }
    has() { [ "$(grep -c "$2" "$1")" -ge "$3" ]; }
    says() { until_it_is has "$1" "$2" "${3:-1}"; cat "$1"; }
    has_socket() { grep -q "^ *[0-9]*: [0-9A-F]*:$1 " /proc/self/net/tcp /proc/self/net/tcp6 /proc/self/net/udp /proc/self/net/udp6; }
    taken() { until_it_is has_socket "$(printf %04X "$1")"; }
    "#;

fn main() {
    let args = Arguments::from_args();
    let mut trials = vec![
        Trial::test("built_against_the_source_tree", || {
            build_in_tree().map(drop).map_err(Failed::from)
        }),
        Trial::test("built_by_pkg_config_as_installed", build_installed),
    ];
    let missing = lab::no_tunsock();
    if let Some(reason) = &missing {
        eprintln!("examples: the programs CANNOT RUN here: {reason}");
    }
    let examples = build_in_tree();
    for &(name, script) in RUNS {
        let (missing, examples) = (missing.clone(), examples.clone());
        trials.push(Trial::ignorable_test(
            format!("run::{name}"),
            move || match missing {
                Some(reason) => Ok(Completion::ignored_with(reason)),
                None => run(name, script, &examples?),
            },
        ));
    }
    libtest_mimic::run(&args, trials).exit();
}

fn library_directory() -> Result<PathBuf, String> {
    let library =
        lab::built("libtunsock.so").ok_or("libtunsock.so is not built: cargo build --workspace")?;
    Ok(library.parent().unwrap_or(Path::new("/")).to_owned())
}

fn command(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(format!(
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&text)
    ))
}

fn build_in_tree() -> Result<PathBuf, String> {
    let out = lab::scratch("examples/in-tree");
    command(
        Command::new("make")
            .arg("-C")
            .arg(lab::root().join("examples"))
            .arg(format!("OUT={}", out.display()))
            .arg(format!("LIBDIR={}", library_directory()?.display()))
            .arg("CFLAGS=-Werror")
            .arg("CXXFLAGS=-Werror"),
    )?;
    Ok(out)
}

fn build_installed() -> Result<(), Failed> {
    let prefix = lab::scratch("examples/prefix");
    let profile = library_directory()?;
    let (target, profile) = (profile.parent(), profile.file_name());
    let (target, profile) = target
        .zip(profile)
        .ok_or("the library is in no profile directory")?;
    command(
        Command::new("make")
            .arg("-C")
            .arg(lab::root())
            .arg("install")
            .arg(format!("PREFIX={}", prefix.display()))
            .arg(format!("TARGET={}", target.display()))
            .arg(format!("PROFILE={}", profile.to_string_lossy())),
    )?;
    command(
        Command::new("make")
            .arg("-C")
            .arg(lab::root().join("examples"))
            .args(["-B", "PKG_CONFIG=1"])
            .arg(format!(
                "OUT={}",
                lab::scratch("examples/installed").display()
            ))
            .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")),
    )?;
    Ok(())
}

fn run(name: &str, script: &str, examples: &Path) -> Result<Completion, Failed> {
    let scratch = lab::scratch("examples").join(name);
    // A directory of its own, empty.
    let _ = std::fs::remove_dir_all(&scratch);
    std::fs::create_dir_all(&scratch)?;
    let mut shell = Command::new("bash");
    shell
        .arg("-c")
        .arg(format!("{PRELUDE}{script}"))
        .current_dir(&scratch)
        .env("EXAMPLES", examples)
        .env("LIBRARY", library_directory()?);
    lab::in_own_namespace(&mut shell, true);
    let outcome = lab::run_logged(&mut shell, &scratch.join("log"), BOUND)?;
    match outcome.status {
        Some(status) if status.success() => Ok(Completion::Completed),
        Some(status) => Err(format!("{}{status}", outcome.output).into()),
        None => Err(format!("{}out of time", outcome.output).into()),
    }
}
