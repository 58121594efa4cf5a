//! Real programs: curl, python3, redis, nc, socat, ping, ip, ss, and C programs, one side under `tunsock run` and the other on the
//! kernel's sockets, in a network namespace that each trial makes for itself.
//!
//! What can't run (no root, no TUN, a program that is not installed) is ignored with its reason, loudly.

#[path = "programs/datagrams.rs"]
mod datagrams;
#[path = "programs/interfaces.rs"]
mod interfaces;
mod lab;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lab::Verdict as Outcome;
use libtest_mimic::Failed;

const TRIALS: &[lab::Row<Lab>] = &[
    ("curl::gets_1_mb_v4", &["curl", "python3"], |lab| {
        curl_gets(lab, 1, HOST4, &[])
    }),
    ("curl::gets_1_mb_v6", &["curl", "python3"], |lab| {
        curl_gets(lab, 1, HOST6, &[])
    }),
    ("curl::gets_64_mb_v4", &["curl", "python3"], |lab| {
        curl_gets(lab, 64, HOST4, &[])
    }),
    ("curl::gets_64_mb_v6", &["curl", "python3"], |lab| {
        curl_gets(lab, 64, HOST6, &[])
    }),
    (
        "curl::gets_1_mb_through_loss",
        &["curl", "python3"],
        curl_through_loss,
    ),
    (
        "curl::gets_1_mb_by_hand",
        &["curl", "python3"],
        curl_by_hand,
    ),
    ("curl::is_refused", &["curl"], curl_is_refused),
    ("curl::opens_fast", &["curl", "python3"], curl_opens_fast),
    (
        "python::sends_with_the_syn",
        &["python3"],
        python_sends_with_the_syn,
    ),
    (
        "python::is_opened_fast",
        &["curl", "python3"],
        python_is_opened_fast,
    ),
    ("python::serves_1_mb_v4", &["curl", "python3"], |lab| {
        python_serves(lab, 1, STACK4)
    }),
    ("python::serves_1_mb_v6", &["curl", "python3"], |lab| {
        python_serves(lab, 1, STACK6)
    }),
    ("python::serves_64_mb_v4", &["curl", "python3"], |lab| {
        python_serves(lab, 64, STACK4)
    }),
    ("redis::serves", &["redis-server"], redis_serves),
    ("nc::talks_both_ways", &["nc"], nc_talks),
    ("nc::listens", &["nc"], nc_listens),
    ("socat::talks_both_ways", &["socat"], socat_talks),
    ("socat::listens", &["socat"], socat_listens),
    ("socat::hears_a_group_v4", &["socat"], |lab| {
        datagrams::socat_hears(lab, false)
    }),
    ("socat::hears_a_group_v6", &["socat"], |lab| {
        datagrams::socat_hears(lab, true)
    }),
    (
        "socat::speaks_to_a_group",
        &["socat"],
        datagrams::socat_speaks,
    ),
    ("ping::raw_v4", &["ping"], |lab| datagrams::ping(lab, HOST4)),
    ("ping::raw_v6", &["ping"], |lab| {
        datagrams::ping(lab, "fd83::1")
    }),
    (
        "ping::filters_foreign_replies",
        &["ping"],
        datagrams::ping_filters,
    ),
    ("ping::by_group", &["ping"], datagrams::ping_by_group),
    (
        "ip::tells_of_the_stack",
        &["ip"],
        interfaces::ip_tells_of_the_stack,
    ),
    (
        "ip::changes_nothing",
        &["ip"],
        interfaces::ip_changes_nothing,
    ),
    (
        "ip::children_are_told_too",
        &["ip", "python3"],
        interfaces::children_are_told_too,
    ),
    (
        "ss::tells_of_the_stack",
        &["ss"],
        interfaces::ss_tells_of_the_stack,
    ),
    (
        "traceroute::finds_the_host",
        &["traceroute"],
        datagrams::traceroute,
    ),
    (
        "sleeper::ping_and_syn_are_answered",
        &["ping", "cc"],
        sleeper_is_alive,
    ),
    (
        "epoll_echo::two_hundred_at_once",
        &["cc"],
        two_hundred_at_once,
    ),
    ("gone::calls_say_so", &["ip", "cc"], device_vanishes),
    ("stream::is_read_in_place_v4", &["python3"], |lab| {
        fast_stream(lab, HOST4)
    }),
    ("stream::is_read_in_place_v6", &["python3"], |lab| {
        fast_stream(lab, HOST6)
    }),
    ("epoll_echo::connections_in_sequence", &["cc"], in_sequence),
];

const HOST4: &str = "10.83.0.1";
const HOST6: &str = "[fd83::1]";
const STACK4: &str = "10.83.0.2";
const STACK6: &str = "[fd83::2]";

/// For anything that is to happen at all.
const SOON: Duration = Duration::from_secs(40);
/// For a transfer.
const TRANSFER: Duration = Duration::from_secs(120);

fn main() {
    lab::run_trials("programs", TRIALS, in_a_lab);
}

/// Runs a trial in a thread of its own, because its network namespace is the thread's.
fn in_a_lab(name: &'static str, run: fn(&Lab) -> Outcome) -> Outcome {
    let work = thread::spawn(move || {
        lab::enter_own_namespace()?;
        let dir = lab::scratch("programs").join(name.replace("::", "."));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir)?;
        let lab = Lab { dir };
        run(&lab)?;
        fs::remove_dir_all(&lab.dir)?;
        Ok(())
    });
    work.join()
        .unwrap_or_else(|_| Err("the trial panicked".into()))
}

/// A network namespace with a directory to write in.
struct Lab {
    dir: PathBuf,
}

/// A program that was started here; it ends with the trial.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Lab {
    /// A command on the stack.
    fn on_the_stack(&self, options: &[&str], program: &str) -> Command {
        let mut command = Command::new(lab::built("tunsock").unwrap_or_default());
        command.args(["run", "--addr", "10.83.0.2/24", "--addr", "fd83::2/64"]);
        command.args(["--host-addr", HOST4, "--host-addr", "fd83::1"]);
        command.args(options).arg("--").arg(program);
        command
    }

    /// Starts a command with its standard error (and, unless it is piped, its standard output) in a log.
    fn start(&self, command: &mut Command, name: &str, piped: bool) -> Result<Running, Failed> {
        let log = self.dir.join(format!("{name}.log"));
        let file = fs::File::create(&log)?;
        command
            .current_dir(&self.dir)
            .process_group(0)
            .stderr(file.try_clone()?);
        if piped {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            command.stdin(Stdio::null()).stdout(file);
        }
        let child = command.spawn().map_err(|e| format!("{name}: {e}"))?;
        Ok(Running { child, log })
    }

    /// Runs a command to its successful end.
    fn run(&self, command: &mut Command, name: &str, bound: Duration) -> Outcome {
        self.start(command, name, false)?.succeeds(bound)
    }

    /// A file of so many MB that are not all the same.
    fn file(&self, megabytes: usize) -> Result<PathBuf, Failed> {
        let path = self.dir.join("served.bin");
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut out = std::io::BufWriter::new(fs::File::create(&path)?);
        for _ in 0..megabytes << 17 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            out.write_all(&state.to_le_bytes())?;
        }
        out.flush()?;
        Ok(path)
    }

    fn compile(&self, name: &str) -> Result<String, Failed> {
        let source = lab::root()
            .join("c-tests/programs")
            .join(format!("{name}.c"));
        let binary = self.dir.join(name);
        let mut command = Command::new("cc");
        command.args([
            "-std=gnu11",
            "-D_GNU_SOURCE",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
        ]);
        self.run(command.arg(&binary).arg(source), "cc", TRANSFER)?;
        Ok(binary.to_string_lossy().into_owned())
    }
}

impl Running {
    /// Waits for success.
    fn succeeds(mut self, bound: Duration) -> Outcome {
        match lab::wait_bounded(&mut self.child, bound)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.tell(&status.to_string())),
            None => Err(self.tell(&format!("still running after {bound:?}"))),
        }
    }

    /// A failure with what the program wrote.
    fn tell(&self, what: &str) -> Failed {
        let log = fs::read(&self.log).unwrap_or_default();
        format!(
            "{}: {what}\n{}",
            self.log.display(),
            String::from_utf8_lossy(&log)
        )
        .into()
    }

    /// Connects as a kernel client, as soon as the program listens.
    fn connect(&mut self, to: &str, port: u16) -> Result<TcpStream, Failed> {
        let to: SocketAddr = format!("{to}:{port}").parse()?;
        let end = Instant::now() + SOON;
        loop {
            match TcpStream::connect_timeout(&to, SOON) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(SOON))?;
                    stream.set_write_timeout(Some(SOON))?;
                    return Ok(stream);
                }
                Err(error) if Instant::now() > end => return Err(self.tell(&error.to_string())),
                Err(_) if self.child.try_wait()?.is_some() => return Err(self.tell("ended")),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn says(&mut self, text: &str) -> Outcome {
        let input = self.child.stdin.as_mut().ok_or("no standard input")?;
        input.write_all(text.as_bytes())?;
        Ok(())
    }

    fn hears(&mut self, text: &str) -> Outcome {
        let mut got = vec![0; text.len()];
        let output = self.child.stdout.as_mut().ok_or("no standard output")?;
        output.read_exact(&mut got)?;
        same(&got, text.as_bytes())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        lab::end_group(&mut self.child);
    }
}

fn same(got: &[u8], want: &[u8]) -> Outcome {
    if got == want {
        return Ok(());
    }
    let (got, want) = (String::from_utf8_lossy(got), String::from_utf8_lossy(want));
    Err(format!("expected {want:?}, got {got:?}").into())
}

fn hear(stream: &mut TcpStream, text: &str) -> Outcome {
    let mut got = vec![0; text.len()];
    stream.read_exact(&mut got)?;
    same(&got, text.as_bytes())
}

/// A program with a large buffer gets a fast stream straight from the device, and whole.
fn fast_stream(lab: &Lab, host: &str) -> Outcome {
    let listener = TcpListener::bind("[::]:0")?;
    let path = lab.file(64)?;
    let want = sha256(&path)?;
    let data = fs::read(&path)?;
    let program = format!(
        "import hashlib, socket\n\
         s = socket.create_connection(('{}', {}))\n\
         h = hashlib.sha256()\n\
         room = bytearray(1 << 20)\n\
         while n := s.recv_into(room): h.update(memoryview(room)[:n])\n\
         print(h.hexdigest())\n",
        host.trim_matches(['[', ']']),
        listener.local_addr()?.port(),
    );
    let mut command = lab.on_the_stack(&["--log", "debug"], "python3");
    let running = lab.start(command.args(["-c", &program]), "python3", false)?;
    let log = running.log.clone();
    let (mut stream, _) = listener.accept()?;
    stream.write_all(&data)?;
    drop(stream);
    running.succeeds(TRANSFER)?;
    let said = fs::read_to_string(log)?;
    if !said.contains(&want) {
        return Err(format!("not {want}: {said}").into());
    }
    if !said.contains("is read into recv's buffer") {
        return Err(format!("never read in place: {said}").into());
    }
    Ok(())
}

fn at_end(stream: &mut TcpStream) -> Outcome {
    match stream.read(&mut [0; 16])? {
        0 => Ok(()),
        n => Err(format!("{n} bytes after the end").into()),
    }
}

fn sha256(path: &Path) -> Result<String, Failed> {
    let output = Command::new("sha256sum").arg(path).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text
        .split_whitespace()
        .next()
        .ok_or("sha256sum said nothing")?
        .to_owned())
}

// --- HTTP -----------------------------------------------------------------------------------------

const HTTP_PORT: u16 = 8000;

fn kernel_http_server(lab: &Lab) -> Result<Running, Failed> {
    let mut command = Command::new(lab::python()?);
    command.args(["-m", "http.server", "--bind", "::", &HTTP_PORT.to_string()]);
    let mut server = lab.start(&mut command, "http.server", false)?;
    server.connect("127.0.0.1", HTTP_PORT)?;
    Ok(server)
}

fn fetch(command: &mut Command, host: &str) {
    let url = format!("http://{host}:{HTTP_PORT}/served.bin");
    command.args(["-sS", "--fail", "--max-time", "50", "-o", "got.bin", &url]);
}

fn compare(lab: &Lab, served: &Path) -> Outcome {
    let (want, got) = (sha256(served)?, sha256(&lab.dir.join("got.bin"))?);
    if want == got {
        return Ok(());
    }
    Err(format!("SHA-256 {want} was served, {got} arrived").into())
}

fn curl_gets(lab: &Lab, megabytes: usize, host: &str, options: &[&str]) -> Outcome {
    let served = lab.file(megabytes)?;
    let _server = kernel_http_server(lab)?;
    let mut command = lab.on_the_stack(options, "curl");
    fetch(&mut command, host);
    lab.run(&mut command, "curl", TRANSFER)?;
    compare(lab, &served)
}

fn curl_through_loss(lab: &Lab) -> Outcome {
    let options = ["--pcap", "x.pcapng", "--loss", "1%", "--seed", "7"];
    curl_gets(lab, 1, HOST4, &options)?;
    let captured = fs::metadata(lab.dir.join("x.pcapng"))?.len();
    if captured < 1 << 20 {
        return Err(format!("the capture has {captured} bytes, less than was fetched").into());
    }
    Ok(())
}

fn curl_by_hand(lab: &Lab) -> Outcome {
    let served = lab.file(1)?;
    let _server = kernel_http_server(lab)?;
    let mut command = Command::new("curl");
    command
        .env(
            "LD_PRELOAD",
            lab::built("libtunsock.so").unwrap_or_default(),
        )
        .env("TUNSOCK_ADDR", "10.83.0.2/24")
        .env("TUNSOCK_HOST_ADDR", HOST4);
    fetch(&mut command, HOST4);
    lab.run(&mut command, "curl", TRANSFER)?;
    compare(lab, &served)
}

fn curl_is_refused(lab: &Lab) -> Outcome {
    let mut command = lab.on_the_stack(&[], "curl");
    fetch(&mut command, HOST4);
    let mut curl = lab.start(&mut command, "curl", false)?;
    match lab::wait_bounded(&mut curl.child, SOON)?.and_then(|status| status.code()) {
        Some(7) => Ok(()), // CURLE_COULDNT_CONNECT
        other => Err(curl.tell(&format!("expected exit status 7, got {other:?}"))),
    }
}

fn python_serves(lab: &Lab, megabytes: usize, host: &str) -> Outcome {
    let served = lab.file(megabytes)?;
    let mut command = lab.on_the_stack(&[], &lab::python()?);
    command.args(["-m", "http.server", "--bind", "::", &HTTP_PORT.to_string()]);
    let mut server = lab.start(&mut command, "http.server", false)?;
    server.connect(host, HTTP_PORT)?;
    let mut curl = Command::new("curl");
    fetch(&mut curl, host);
    lab.run(&mut curl, "curl", TRANSFER)?;
    compare(lab, &served)
}

// --- TCP Fast Open (RFC 7413): each side against the kernel, which counts ---------------------------

/// How often the kernel of this namespace opened connections so: by its clients, and to its servers.
fn fast_opens() -> Result<[u64; 2], Failed> {
    let text = fs::read_to_string("/proc/thread-self/net/netstat")?;
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next(), lines.next());
    let (names, values) = names.zip(values).ok_or("no TcpExt in netstat")?;
    let of = |name: &str| {
        let mut pairs = names.split_whitespace().zip(values.split_whitespace());
        let (_, value) = pairs.find(|(n, _)| *n == name)?;
        value.parse().ok()
    };
    let counts = of("TCPFastOpenActive").zip(of("TCPFastOpenPassive"));
    let (active, passive) = counts.ok_or("no counts of Fast Open in netstat")?;
    Ok([active, passive])
}

/// Every listener of this namespace's kernel takes data in SYNs, and its clients may send it.
fn kernel_opens_fast() -> Outcome {
    Ok(fs::write("/proc/sys/net/ipv4/tcp_fastopen", "1027")?)
}

fn opened_fast(which: usize, times: u64) -> Outcome {
    match fast_opens()?[which] {
        n if n == times => Ok(()),
        n => Err(format!("{n} connections had data in the SYN, not {times}").into()),
    }
}

/// The first connection brings the cookie, the second shows it.
fn curl_opens_fast(lab: &Lab) -> Outcome {
    kernel_opens_fast()?;
    let served = lab.file(1)?;
    let _server = kernel_http_server(lab)?;
    let mut command = lab.on_the_stack(&[], "curl");
    command.arg("--tcp-fastopen");
    fetch(&mut command, HOST4);
    fetch(&mut command, HOST4);
    lab.run(&mut command, "curl", TRANSFER)?;
    compare(lab, &served)?;
    opened_fast(1, 1)
}

fn python_sends_with_the_syn(lab: &Lab) -> Outcome {
    const SCRIPT: &str = r"
import socket, sys
for turn in range(3):
    s = socket.socket()
    sent = s.sendto(b'GET /served.bin HTTP/1.0\r\n\r\n', socket.MSG_FASTOPEN, (sys.argv[1], int(sys.argv[2])))
    assert sent == 28, sent
    got = b''
    while True:
        part = s.recv(65536)
        if not part: break
        got += part
    s.close()
    open('got.bin', 'wb').write(got.split(b'\r\n\r\n', 1)[1])
";
    kernel_opens_fast()?;
    let served = lab.file(1)?;
    let _server = kernel_http_server(lab)?;
    let mut command = lab.on_the_stack(&[], &lab::python()?);
    command.args(["-c", SCRIPT, HOST4, &HTTP_PORT.to_string()]);
    lab.run(&mut command, "python", TRANSFER)?;
    compare(lab, &served)?;
    opened_fast(1, 2)
}

fn python_is_opened_fast(lab: &Lab) -> Outcome {
    kernel_opens_fast()?;
    let served = lab.file(1)?;
    let mut command = lab.on_the_stack(&["--tcp-fastopen", "0x402"], &lab::python()?);
    command.args(["-m", "http.server", "--bind", "::", &HTTP_PORT.to_string()]);
    let mut server = lab.start(&mut command, "http.server", false)?;
    server.connect(STACK4, HTTP_PORT)?;
    let mut curl = Command::new("curl");
    curl.arg("--tcp-fastopen");
    fetch(&mut curl, STACK4);
    fetch(&mut curl, STACK4);
    lab.run(&mut curl, "curl", TRANSFER)?;
    compare(lab, &served)?;
    opened_fast(0, 1)
}

// --- redis ----------------------------------------------------------------------------------------

fn redis_serves(lab: &Lab) -> Outcome {
    let mut command = lab.on_the_stack(&[], "redis-server");
    command.args([
        "--port",
        "6379",
        "--bind",
        "0.0.0.0",
        "--save",
        "",
        "--protected-mode",
        "no",
    ]);
    let mut server = lab.start(&mut command, "redis", false)?;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(server.connect(STACK4, 6379)?);
    }
    for (i, client) in clients.iter_mut().enumerate() {
        client.write_all(format!("SET key{i} value{i}\r\n").as_bytes())?;
        hear(client, "+OK\r\n")?;
    }
    // A thousand requests in one go, then their answers.
    let client = &mut clients[0];
    client.write_all("INCR counter\r\n".repeat(1000).as_bytes())?;
    for i in 1..=1000 {
        hear(client, &format!(":{i}\r\n"))?;
    }
    client.write_all(b"GET key7\r\n")?;
    hear(client, "$6\r\nvalue7\r\n")
}

// --- nc and socat: standard input and a socket in one wait ----------------------------------------

const TALK_PORT: u16 = 5555;

/// A client of ours under the stack, a kernel server here; both sides speak in turn, then end in turn.
fn client_talks(lab: &Lab, mut command: Command, name: &str) -> Outcome {
    let listener = TcpListener::bind(("0.0.0.0", TALK_PORT))?;
    let mut program = lab.start(&mut command, name, true)?;
    let (mut peer, from) = listener.accept()?;
    peer.set_read_timeout(Some(SOON))?;
    if from.ip().to_string() != STACK4 {
        return Err(format!("the client came from {from}").into());
    }
    for round in 0..5 {
        program.says(&format!("typed {round}\n"))?;
        hear(&mut peer, &format!("typed {round}\n"))?;
        peer.write_all(format!("answered {round}\n").as_bytes())?;
        program.hears(&format!("answered {round}\n"))?;
    }
    drop(program.child.stdin.take());
    at_end(&mut peer)?;
    peer.write_all(b"last\n")?;
    program.hears("last\n")?;
    drop(peer);
    program.succeeds(SOON)
}

fn server_talks(lab: &Lab, mut command: Command, name: &str) -> Outcome {
    let mut program = lab.start(&mut command, name, true)?;
    let mut peer = program.connect(STACK4, TALK_PORT)?;
    for round in 0..5 {
        peer.write_all(format!("asked {round}\n").as_bytes())?;
        program.hears(&format!("asked {round}\n"))?;
        program.says(&format!("typed {round}\n"))?;
        hear(&mut peer, &format!("typed {round}\n"))?;
    }
    drop(program.child.stdin.take());
    at_end(&mut peer)?;
    drop(peer);
    program.succeeds(SOON)
}

fn nc_talks(lab: &Lab) -> Outcome {
    let mut command = lab.on_the_stack(&[], "nc");
    command.args(["-N", HOST4, &TALK_PORT.to_string()]);
    client_talks(lab, command, "nc")
}

fn nc_listens(lab: &Lab) -> Outcome {
    let mut command = lab.on_the_stack(&[], "nc");
    command.args(["-N", "-l", &TALK_PORT.to_string()]);
    server_talks(lab, command, "nc")
}

fn socat_talks(lab: &Lab) -> Outcome {
    let mut command = lab.on_the_stack(&[], "socat");
    command.args(["-t5", "-", &format!("TCP4:{HOST4}:{TALK_PORT}")]);
    client_talks(lab, command, "socat")
}

fn socat_listens(lab: &Lab) -> Outcome {
    let mut command = lab.on_the_stack(&[], "socat");
    command.args(["-t5", "-", &format!("TCP4-LISTEN:{TALK_PORT},reuseaddr")]);
    server_talks(lab, command, "socat")
}

// --- C programs -----------------------------------------------------------------------------------

fn sleeper_is_alive(lab: &Lab) -> Outcome {
    let program = lab.compile("sleeper")?;
    let mut command = lab.on_the_stack(&[], &program);
    let begin = Instant::now();
    let mut sleeper = lab.start(command.args(["7000", "10"]), "sleeper", false)?;
    let mut peers = Vec::new();
    while begin.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        peers.push(sleeper.connect(STACK4, 7000)?);
        if peers.len() > 1 && asked.elapsed() > Duration::from_secs(4) {
            return Err(format!("a SYN was answered after {:?}", asked.elapsed()).into());
        }
        let mut ping = Command::new("ping");
        lab.run(
            ping.args(["-c", "2", "-i", "0.2", "-W", "4", STACK4]),
            "ping",
            SOON,
        )?;
        thread::sleep(Duration::from_millis(600));
    }
    let left = Duration::from_secs(10).saturating_sub(begin.elapsed());
    if left.is_zero() {
        return Err("the trial took longer than the program slept".into());
    }
    sleeper.succeeds(left + SOON)
}

fn device_vanishes(lab: &Lab) -> Outcome {
    let program = lab.compile("gone")?;
    let listener = TcpListener::bind(("0.0.0.0", TALK_PORT))?;
    let mut command = lab.on_the_stack(&["--device", "tunv"], &program);
    let gone = lab.start(command.args([HOST4, &TALK_PORT.to_string()]), "gone", false)?;
    let (mut peer, _) = listener.accept()?;
    peer.set_read_timeout(Some(SOON))?;
    hear(&mut peer, "up")?;
    thread::sleep(Duration::from_millis(100));
    lab.run(Command::new("ip").args(["link", "del", "tunv"]), "ip", SOON)?;
    gone.succeeds(SOON)
}

fn epoll_echo(lab: &Lab) -> Result<Running, Failed> {
    let program = lab.compile("epoll_echo")?;
    let mut command = lab.on_the_stack(&[], &program);
    let mut server = lab.start(command.arg("7"), "epoll_echo", false)?;
    echo_once(&mut server.connect(STACK4, 7)?, 0)?;
    Ok(server)
}

fn echo_once(stream: &mut TcpStream, seed: usize) -> Outcome {
    let text: String = (0..200)
        .map(|i| char::from(b'a' + ((seed + i) % 26) as u8))
        .collect();
    stream.write_all(text.as_bytes())?;
    hear(stream, &text)
}

fn two_hundred_at_once(lab: &Lab) -> Outcome {
    let mut server = epoll_echo(lab)?;
    let mut clients = Vec::new();
    for i in 0..200 {
        clients.push(server.connect(if i % 2 == 0 { STACK4 } else { STACK6 }, 7)?);
    }
    for round in 0..5 {
        for (i, client) in clients.iter_mut().enumerate() {
            echo_once(client, i + round)?;
        }
    }
    // All write before anyone reads.
    for client in &mut clients {
        client.write_all(&[b'x'; 1000])?;
    }
    for client in &mut clients {
        hear(client, &"x".repeat(1000))?;
    }
    Ok(())
}

/// One connection after the other: none is lost, and neither descriptors nor memory grow.
fn in_sequence(lab: &Lab) -> Outcome {
    let mut server = epoll_echo(lab)?;
    let pid = lab::child_named(server.child.id(), "epoll_echo").ok_or("no such process")?;
    let mut connections = |count: usize| -> Outcome {
        for i in 0..count {
            let mut stream = server.connect(STACK4, 7)?;
            echo_once(&mut stream, i)?;
            stream.shutdown(std::net::Shutdown::Write)?;
            at_end(&mut stream)?;
        }
        Ok(())
    };
    connections(2000)?;
    let before = (lab::descriptors_of(pid)?, lab::resident_kb(pid)?);
    connections(8000)?;
    let after = (lab::descriptors_of(pid)?, lab::resident_kb(pid)?);
    if after.0 > before.0 + 2 || after.1 > before.1 + 4096 {
        return Err(format!("(descriptors, KB) grew from {before:?} to {after:?}").into());
    }
    Ok(())
}
