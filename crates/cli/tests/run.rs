//! `tunsock run` and `tunsock demo` as their users see them. What needs a network namespace or /dev/net/tun is reported as
//! ignored, with the reason, where that is not to be had.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

type Test = (&'static str, fn() -> Result<(), Failed>);

macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name)),*] };
}

const ANYWHERE: &[Test] = tests![
    help_names_every_option,
    a_missing_program_is_said,
    a_static_program_is_refused,
    a_script_of_a_static_interpreter_is_refused,
    a_missing_library_is_said,
    wrong_values_are_said,
];

const WITH_TUN: &[Test] = tests![
    a_setuid_program_is_refused,
    without_rights_one_line_and_no_change,
    the_exit_status_is_passed_on,
    a_signal_gives_128_and_its_number,
    a_signal_to_the_command_reaches_the_program,
    the_program_has_its_signals,
    the_device_is_there_and_deleted_afterwards,
    a_device_that_existed_is_left,
    two_runs_at_once_get_two_devices,
    isolated_programs_leave_no_trace,
    isolated_programs_need_no_rights,
    a_program_without_sockets_is_untouched,
    a_misspelt_variable_is_told,
    a_capture_that_cannot_be_written_is_said,
];

const WITH_TUN_AND_LIBRARY: &[Test] = tests![
    the_demonstration_shows_both_dialogues,
    the_demonstration_needs_no_rights,
    the_demonstration_fails_without_a_stack,
    a_device_of_ones_own_needs_no_rights,
    names_come_from_the_hosts_file,
    local_ports_are_those_given,
];

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let needs_tun = missing();
    if let Some(why) = &needs_tun {
        eprintln!(
            "\n*** tests that need a TUN device in a namespace of their own are IGNORED: {why} ***\n"
        );
    }
    let needs_library = built_library().is_none();
    if needs_library {
        eprintln!(
            "\n*** tests that need the library are IGNORED: build it first (cargo build --workspace) ***\n"
        );
    }
    let trials = |tests: &[Test], ignored: bool| -> Vec<Trial> {
        tests
            .iter()
            .map(|&(name, test)| Trial::test(name, test).with_ignored_flag(ignored))
            .collect()
    };
    let mut all = trials(ANYWHERE, false);
    all.extend(trials(WITH_TUN, needs_tun.is_some()));
    all.extend(trials(
        WITH_TUN_AND_LIBRARY,
        needs_tun.is_some() || needs_library,
    ));
    libtest_mimic::run(&args, all).exit_code()
}

/// Why there can be no TUN device here.
fn missing() -> Option<String> {
    if !Path::new("/dev/net/tun").exists() {
        return Some("there is no /dev/net/tun".to_owned());
    }
    let probe = in_namespace("ip tuntap add dev probe mode tun")
        .output()
        .ok()?;
    if probe.status.success() {
        return None;
    }
    Some(String::from_utf8_lossy(&probe.stderr).trim().to_owned())
}

fn tunsock() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tunsock"));
    command
        .env("TUNSOCK_LIBRARY", library())
        .stdin(Stdio::null());
    command
}

/// The library beside the command; where it has not been built, an empty one, which is enough for programs that open no
/// socket and for everything that is refused before the start.
fn library() -> PathBuf {
    built_library().unwrap_or_else(empty_library)
}

fn built_library() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_BIN_EXE_tunsock")).with_file_name("libtunsock.so");
    beside.exists().then_some(beside)
}

fn empty_library() -> PathBuf {
    compiled("empty.so", "", &["-shared", "-fPIC"])
}

/// A shell script in a network namespace of its own, with `$TUNSOCK` for the command.
fn in_namespace(script: &str) -> Command {
    unshared(&["--net"], script)
}

fn unshared(namespaces: &[&str], script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(namespaces).args(["--", "sh", "-c", script]);
    command.env("TUNSOCK", env!("CARGO_BIN_EXE_tunsock"));
    command.env("TUNSOCK_LIBRARY", library());
    command.stdin(Stdio::null());
    command
}

fn compiled(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let directory =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let (c, out) = (directory.join(format!("{name}.c")), directory.join(name));
    if !out.exists() {
        // Tests run side by side: each compiles to a name of its own and moves the result into place.
        let own = directory.join(format!("{name}.{:?}", std::thread::current().id()));
        fs::write(&c, source).unwrap();
        let status = Command::new("cc")
            .args(flags)
            .arg("-o")
            .arg(&own)
            .arg(&c)
            .status()
            .unwrap();
        assert!(status.success(), "cc {name}");
        fs::rename(own, &out).unwrap();
    }
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn check(fact: bool, output: &Output) -> Result<(), Failed> {
    if fact {
        return Ok(());
    }
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    Err(format!("{}\n--- stdout\n{out}--- stderr\n{err}", output.status).into())
}

/// Exit status 1 and one line on standard error, which contains `part`.
fn refused(output: &Output, part: &str) -> Result<(), Failed> {
    let err = text(&output.stderr);
    let one_line = err.lines().count() == 1 && err.starts_with("tunsock: ");
    check(
        output.status.code() == Some(1) && one_line && err.contains(part),
        output,
    )
}

fn help_names_every_option() -> Result<(), Failed> {
    let output = tunsock().args(["run", "--help"]).output()?;
    let help = text(&output.stdout);
    for spec in tunsock_config::OPTIONS {
        let known = help.contains(&format!("--{}", spec.long)) && help.contains(spec.env);
        check(known, &output)?;
    }
    check(output.status.success(), &output)
}

fn a_missing_program_is_said() -> Result<(), Failed> {
    refused(
        &tunsock().args(["run", "no-such-program"]).output()?,
        "no-such-program: there is no such program",
    )?;
    refused(
        &tunsock().args(["run", "/no/such/program"]).output()?,
        "there is no such file",
    )?;
    refused(
        &tunsock().args(["run", "/etc/passwd"]).output()?,
        "may not be executed",
    )?;
    refused(
        &tunsock().args(["run", "/"]).output()?,
        "is not a regular file",
    )
}

fn a_static_program_is_refused() -> Result<(), Failed> {
    let program = compiled("static", "int main(void) { return 0; }\n", &["-static"]);
    refused(
        &tunsock().arg("run").arg(program).output()?,
        "statically linked",
    )
}

fn a_script_of_a_static_interpreter_is_refused() -> Result<(), Failed> {
    let interpreter = compiled("static2", "int main(void) { return 0; }\n", &["-static"]);
    let script = interpreter.with_file_name("script");
    fs::write(&script, format!("#!{}\n", interpreter.display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    refused(
        &tunsock().arg("run").arg(script).output()?,
        "statically linked",
    )
}

fn a_missing_library_is_said() -> Result<(), Failed> {
    let output = tunsock()
        .env("TUNSOCK_LIBRARY", "/no/such.so")
        .args(["run", "true"])
        .output()?;
    refused(&output, "there is no file /no/such.so")?;
    let spaced = compiled("with space.so", "", &["-shared", "-fPIC"]);
    let output = tunsock()
        .env("TUNSOCK_LIBRARY", spaced)
        .args(["run", "true"])
        .output()?;
    refused(&output, "LD_PRELOAD cannot name")
}

fn wrong_values_are_said() -> Result<(), Failed> {
    refused(
        &tunsock().args(["run", "--mtu", "9", "true"]).output()?,
        "--mtu: `9`",
    )?;
    let output = tunsock()
        .env("TUNSOCK_LOSS", "much")
        .args(["run", "true"])
        .output()?;
    refused(&output, "TUNSOCK_LOSS: `much`")?;
    // The command line wins, also over what is wrong.
    let output = tunsock()
        .env("TUNSOCK_LOSS", "much")
        .args(["run", "--loss=x", "true"])
        .output()?;
    refused(&output, "--loss: `x`")
}

fn a_setuid_program_is_refused() -> Result<(), Failed> {
    let program = compiled("setuid", "int main(void) { return 0; }\n", &[]);
    let script = format!(
        "chown 12345 {0} && chmod u+s {0} && exec $TUNSOCK run {0}",
        program.display()
    );
    refused(&in_namespace(&script).output()?, "set-user-ID")
}

fn without_rights_one_line_and_no_change() -> Result<(), Failed> {
    let script = "ip link > $0.before
        setpriv --bounding-set -all --inh-caps -all --no-new-privs $TUNSOCK run true; status=$?
        ip link > $0.after; cmp -s $0.before $0.after || echo changed; exit $status";
    let scratch = compiled("rights", "int main(void) { return 0; }\n", &[]);
    let output = in_namespace(script).arg(scratch).output()?;
    refused(&output, "CAP_NET_ADMIN")?;
    check(output.stdout.is_empty(), &output)
}

fn the_exit_status_is_passed_on() -> Result<(), Failed> {
    for status in [0, 1, 7, 255] {
        let output = in_namespace(&format!("exec $TUNSOCK run sh -c 'exit {status}'")).output()?;
        check(
            output.status.code() == Some(status) && output.stderr.is_empty(),
            &output,
        )?;
    }
    Ok(())
}

fn a_signal_gives_128_and_its_number() -> Result<(), Failed> {
    let output = in_namespace("exec $TUNSOCK run sh -c 'kill -9 $$'").output()?;
    check(output.status.code() == Some(137), &output)
}

fn a_signal_to_the_command_reaches_the_program() -> Result<(), Failed> {
    let script =
        "exec $TUNSOCK run sh -c 'trap \"exit 42\" TERM; echo ready; while :; do sleep 0.05; done'";
    let mut child = in_namespace(script)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready)?;
    Command::new("kill")
        .arg("-TERM")
        .arg(child.id().to_string())
        .status()?;
    let output = child.wait_with_output()?;
    check(output.status.code() == Some(42), &output)
}

fn the_program_has_its_signals() -> Result<(), Failed> {
    // Blocked, ignored and caught signals of the program are those of a program started directly.
    let show = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status";
    for before in ["", "trap '' PIPE CHLD INT;"] {
        let direct = in_namespace(&format!("{before} exec {show}")).output()?;
        let output = in_namespace(&format!("{before} exec $TUNSOCK run {show}")).output()?;
        check(
            output.status.success() && output.stdout == direct.stdout,
            &output,
        )?;
    }
    Ok(())
}

fn the_device_is_there_and_deleted_afterwards() -> Result<(), Failed> {
    // With the library `ip` would tell of the stack's end.
    let script = "$TUNSOCK run --mtu 1400 sh -c 'env -u LD_PRELOAD ip addr show tunsock0; env | grep ^TUNSOCK; echo $LD_PRELOAD'
        ip -o link | wc -l";
    let output = in_namespace(script).output()?;
    let out = text(&output.stdout);
    for part in [
        "mtu 1400",
        "inet 10.83.0.1/24",
        "inet6 fd83:7475:6e73::1/64",
        "TUNSOCK_ADDR=10.83.0.2/24,fd83:7475:6e73::2/64",
        "TUNSOCK_DEVICE=tunsock0",
        "TUNSOCK_MANAGED=1",
        "TUNSOCK_MTU=1400",
        ".so\n1\n",
    ] {
        check(out.contains(part), &output)?;
    }
    Ok(())
}

fn a_device_that_existed_is_left() -> Result<(), Failed> {
    let script = "ip tuntap add dev mine mode tun; ip addr add 10.77.0.9/24 dev mine; ip link set mine mtu 1300 up
        $TUNSOCK run --device mine sh -c 'env | grep ^TUNSOCK'
        ip -o addr show mine; ip -o link show mine
        $TUNSOCK run --device lo true || echo refused";
    let output = in_namespace(script).output()?;
    let out = text(&output.stdout);
    for part in [
        "TUNSOCK_ADDR=10.77.0.1/24",
        "TUNSOCK_HOST_ADDR=10.77.0.9",
        "TUNSOCK_MTU=1300",
        "inet 10.77.0.9/24",
        "mtu 1300",
        "refused",
    ] {
        check(out.contains(part), &output)?;
    }
    Ok(())
}

fn two_runs_at_once_get_two_devices() -> Result<(), Failed> {
    let script = "for i in 1 2 3 4; do $TUNSOCK run sh -c 'echo $TUNSOCK_DEVICE $TUNSOCK_ADDR; sleep 1' & done; wait
        ip -o link | wc -l";
    let output = in_namespace(script).output()?;
    let out = text(&output.stdout);
    let all = (0..4).all(|n| out.contains(&format!("tunsock{n} 10.83.{n}.2/24")));
    check(
        all && out.ends_with("\n1\n") && output.stderr.is_empty(),
        &output,
    )
}

fn isolated_programs_leave_no_trace() -> Result<(), Failed> {
    let script = "ip -o link | wc -l; $TUNSOCK run --isolate sh -c 'ip -o link | cut -d: -f2'; ip -o link | wc -l";
    let output = in_namespace(script).output()?;
    let words: Vec<String> = text(&output.stdout)
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    check(words == ["1", "lo", "tunsock0", "1"], &output)
}

/// A shell script in namespaces of its own, in which `as_somebody COMMAND` runs a command as a user without rights. Such a
/// user can reach neither the build directory nor, on some machines, /dev/net/tun: there are copies of both. `prepare` is
/// what root does before.
fn for_somebody(prepare: &str, script: &str) -> Command {
    let script = format!(
        "dir=$(mktemp -d) && trap 'umount /dev/net/tun; rm -r $dir' EXIT && chmod 755 $dir
        cp $TUNSOCK $dir/tunsock && cp $TUNSOCK_LIBRARY $dir/libtunsock.so && chmod 755 $dir/*
        mknod -m 666 $dir/tun c 10 200 && mount --bind $dir/tun /dev/net/tun && unset TUNSOCK_LIBRARY && cd /
        TUNSOCK=$dir/tunsock
        as_somebody() {{
            setpriv --reuid 12345 --regid 12345 --clear-groups --inh-caps -all --no-new-privs \"$@\"
        }}
        {prepare}
        {script}"
    );
    unshared(&["--net", "--mount"], &script)
}

fn isolated_programs_need_no_rights() -> Result<(), Failed> {
    let show = "id -u; env -u LD_PRELOAD ip -o addr show tunsock0; grep -q libtunsock /proc/self/maps && echo loaded";
    let output = for_somebody(
        "",
        &format!("as_somebody $TUNSOCK run --isolate sh -c '{show}'"),
    )
    .output()?;
    let out = text(&output.stdout);
    let fine = output.status.success()
        && out.starts_with("12345\n")
        && out.contains("10.83.0.1/24")
        && out.ends_with("loaded\n");
    check(fine, &output)
}

fn the_demonstration_needs_no_rights() -> Result<(), Failed> {
    let output = for_somebody("", "as_somebody $TUNSOCK demo").output()?;
    let done = text(&output.stdout).ends_with("Both dialogues went as they should.\n");
    check(output.status.success() && done, &output)
}

fn a_device_of_ones_own_needs_no_rights() -> Result<(), Failed> {
    let connect = compiled("connect", CONNECT, &[]);
    let prepare = format!(
        "ip tuntap add dev mine mode tun user 12345
        ip addr add 10.77.0.1/24 dev mine && ip link set mine up && cp {} $dir/connect",
        connect.display()
    );
    let script = "as_somebody $TUNSOCK run --device mine $dir/connect 10.77.0.1 9
        as_somebody $TUNSOCK run --device mine --mtu 1400 true; echo $?";
    let output = for_somebody(&prepare, script).output()?;
    // The kernel's end refuses, so it has answered; a refused socket has no address. Changing the device is not for somebody.
    let fine = text(&output.stdout) == "Connection refused from 0.0.0.0\n1\n";
    check(
        fine && text(&output.stderr).contains("CAP_NET_ADMIN"),
        &output,
    )
}

/// Connects, and says what came of it and from which address.
const CONNECT: &str = r#"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    struct sockaddr_in to = {.sin_family = AF_INET}, own;
    socklen_t len = sizeof own;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (argc != 3 || fd < 0)
        return 1;
    to.sin_addr.s_addr = inet_addr(argv[1]);
    to.sin_port = htons(atoi(argv[2]));
    int error = connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;
    if (getsockname(fd, (struct sockaddr *)&own, &len) < 0)
        return 1;
    printf("%s from %s\n", strerror(error), inet_ntoa(own.sin_addr));
    return 0;
}
"#;

fn a_program_without_sockets_is_untouched() -> Result<(), Failed> {
    let show = "ls /proc/self/fd; ls /proc/self/task | wc -l";
    let direct = in_namespace(&format!("exec sh -c '{show}'")).output()?;
    let output = in_namespace(&format!("exec $TUNSOCK run sh -c '{show}'")).output()?;
    check(output.status.success() && output.stderr.is_empty(), &output)?;
    let count = |output: &Output| text(&output.stdout).lines().count();
    check(count(&output) == count(&direct), &output)
}

fn a_misspelt_variable_is_told() -> Result<(), Failed> {
    let output = in_namespace("TUNSOCK_LOS=1% exec $TUNSOCK run true").output()?;
    let err = text(&output.stderr);
    check(
        output.status.success() && err.contains("TUNSOCK_LOSS"),
        &output,
    )
}

fn a_capture_that_cannot_be_written_is_said() -> Result<(), Failed> {
    let script =
        "$TUNSOCK run --pcap /no/such/directory/x.pcapng true; echo $?; ip -o link | wc -l";
    let output = in_namespace(script).output()?;
    let err = text(&output.stderr);
    let said = err.starts_with("tunsock: --pcap: /no/such/directory/x.pcapng: ")
        && err.lines().count() == 1;
    check(said && text(&output.stdout) == "1\n1\n", &output)
}

fn the_demonstration_shows_both_dialogues() -> Result<(), Failed> {
    let start = Instant::now();
    let output = tunsock().arg("demo").output()?;
    check(
        output.status.success() && start.elapsed() < Duration::from_secs(60),
        &output,
    )?;
    let out = text(&output.stdout);
    let (server, client) = out.split_once("\n2. ").ok_or("no second round")?;
    let dialogue = [
        "Connection from 10.83.0.",
        "Please enter the message: Hello",
        "Here is the message: Hello",
        "I got your message: Hello",
        "The client has closed",
        "SYN-ACK",
        "mss=1460 sackOK TS wscale=",
        "FIN",
        "ESTABLISHED",
    ];
    for part in dialogue {
        check(server.contains(part) && client.contains(part), &output)?;
    }
    for states in [
        "LISTEN → SYN-RECEIVED",
        "ESTABLISHED → CLOSE-WAIT",
        "CLOSE-WAIT → LAST-ACK",
        "LAST-ACK → CLOSED",
    ] {
        check(server.contains(states), &output)?;
    }
    for states in [
        "CLOSED → SYN-SENT",
        "SYN-SENT → ESTABLISHED",
        "ESTABLISHED → FIN-WAIT-1",
        "→ TIME-WAIT",
    ] {
        check(client.contains(states), &output)?;
    }
    check(
        out.ends_with("Both dialogues went as they should.\n"),
        &output,
    )
}

fn the_demonstration_fails_without_a_stack() -> Result<(), Failed> {
    let output = tunsock()
        .env("TUNSOCK_LIBRARY", empty_library())
        .arg("demo")
        .output()?;
    check(
        output.status.code() == Some(1) && text(&output.stderr).contains("went wrong"),
        &output,
    )
}

fn names_come_from_the_hosts_file() -> Result<(), Failed> {
    let script = "hosts=$(mktemp) && trap 'rm $hosts' EXIT && echo '192.0.2.7 somewhere' > $hosts
        cd ${hosts%/*}; $TUNSOCK run --hosts ${hosts##*/} getent ahostsv4 somewhere
        $TUNSOCK run --hosts /no/such/file true; echo $?";
    let output = in_namespace(script).output()?;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let said = err.lines().count() == 1 && err.starts_with("tunsock: --hosts: /no/such/file: ");
    check(
        out.starts_with("192.0.2.7 ") && out.ends_with("\n1\n") && said,
        &output,
    )
}

fn local_ports_are_those_given() -> Result<(), Failed> {
    let source = r#"#include <arpa/inet.h>
        #include <stdio.h>
        #include <sys/socket.h>
        int main(void) {
            for (int n = 0; n < 3; n++) {
                struct sockaddr_in at = {.sin_family = AF_INET};
                socklen_t len = sizeof(at);
                int fd = socket(AF_INET, SOCK_DGRAM, 0);
                int bound = bind(fd, (struct sockaddr *)&at, sizeof(at));
                getsockname(fd, (struct sockaddr *)&at, &len);
                printf("%d ", bound ? -1 : ntohs(at.sin_port));
            }
            return 0;
        }"#;
    let program = compiled("ports", source, &[]);
    let program = program.display();
    let script = format!(
        "$TUNSOCK run --local-ports 7-7 {program}; TUNSOCK_LOCAL_PORTS='9 9' $TUNSOCK run {program}"
    );
    let output = in_namespace(&script).output()?;
    check(text(&output.stdout) == "7 -1 -1 9 -1 -1 ", &output)?;
    let output = tunsock()
        .args(["run", "--local-ports", "9-8", "true"])
        .output()?;
    refused(&output, "--local-ports: `9-8`")
}
