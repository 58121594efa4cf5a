//! `tunsock demo`: an ordinary C server and client, once the one and once the other under the library, in a network
//! namespace of their own.

mod capture;
mod program;
mod segment;
mod states;

use std::fs::DirBuilder;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tunsock_config::{LogLevel, Options};

use crate::refusal::Refusal;
use crate::{device, isolate, library, run};
use program::{CLIENT, Program, SERVER};
use states::State;

/// Shows both rounds. An error when the dialogue or its packets are not what they should be.
pub(crate) fn demo() -> Result<u8, Refusal> {
    let library = library::find()?;
    isolate::enter()?;
    let scratch = Scratch::new()?;
    let deadline = Instant::now() + TIME_LIMIT;
    for round in [Round::Server, Round::Client] {
        round.show(&library, &scratch.0, deadline)?;
    }
    println!("Both dialogues went as they should.");
    Ok(0)
}

/// Which of the two programs is under the library; the other is on the kernel's sockets.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Round {
    Server,
    Client,
}

impl Round {
    fn show(self, library: &Path, scratch: &Path, deadline: Instant) -> Result<(), Refusal> {
        let (name, number, start) = match self {
            Round::Server => ("server", 1, State::Listen),
            Round::Client => ("client", 2, State::Closed),
        };
        let file = scratch.join(format!("{name}.pcapng"));
        let options = Options {
            pcap: Some(file.clone()),
            log: LogLevel::Debug,
            ..Options::default()
        };
        let device = device::prepare(&options, false)?;
        let (stack, kernel) = ends(&device)?;
        println!("{number}. The {name} speaks TCP through the stack in its own process ({stack}),");
        println!("   the other program through the kernel ({kernel}).\n");
        let preload = |command: &mut Command| run::preload(command, library, &device.settled);
        let outcome = match self {
            Round::Server => dialogue(stack, &preload, &|_| {}, deadline),
            Round::Client => dialogue(kernel, &|_| {}, &preload, deadline),
        };
        drop(device);
        println!(
            "\n   The {name}'s packets (→ sent, ← received), and the state of its socket as it follows from them:\n"
        );
        let told = capture::tell(&file, stack, start);
        for packet in told.iter().flatten() {
            println!("{}", packet.line);
        }
        println!();
        let log = outcome.map_err(|why| wrong(self, &why))?;
        let told = told.map_err(|why| wrong(self, &why))?;
        let passed: Vec<State> = told.into_iter().flat_map(|packet| packet.passed).collect();
        if !passed.contains(&State::Established)
            || !passed.last().is_some_and(|last| self.may_end(*last))
        {
            return Err(wrong(
                self,
                "the packets show no connection that was opened and closed",
            ));
        }
        let reported = reported(&log);
        println!("   The stack itself reported: {}\n", reported.join(", "));
        if !agrees(&reported, start, &passed) {
            return Err(wrong(
                self,
                "the stack reported other states than its packets show",
            ));
        }
        Ok(())
    }

    /// The client closes first: its end of the connection waits for stray packets, the server's is gone.
    fn may_end(self, state: State) -> bool {
        match self {
            Round::Server => state == State::Closed,
            Round::Client => state == State::TimeWait,
        }
    }
}

fn wrong(round: Round, why: &str) -> Refusal {
    let name = if round == Round::Server {
        "server"
    } else {
        "client"
    };
    Refusal::new(format!(
        "the demonstration with the {name} on the stack went wrong: {why}"
    ))
}

/// The IPv4 addresses of the stack and of the kernel.
fn ends(device: &device::Device) -> Result<(IpAddr, IpAddr), Refusal> {
    let v4 = |nets: &[ipnet::IpNet]| nets.iter().map(|net| net.addr()).find(IpAddr::is_ipv4);
    match (v4(&device.network.addrs), v4(&device.network.host_addrs)) {
        (Some(stack), Some(kernel)) => Ok((stack, kernel)),
        _ => Err(Refusal::new("the device has no IPv4 address")),
    }
}

/// The states in the library's log, in order: `tcp LOCAL PEER: BEFORE → AFTER`. The listener's end is not the connection's.
fn reported(log: &[String]) -> Vec<&str> {
    log.iter()
        .filter(|line| line.starts_with("tcp ") && !line.ends_with("LISTEN → CLOSED"))
        .filter_map(|line| line.rsplit_once(" → "))
        .map(|(_, after)| after)
        .collect()
}

/// Whether the reported states, which leave out what was passed within one packet, are those that the packets lead through.
fn agrees(reported: &[&str], start: State, passed: &[State]) -> bool {
    let all: Vec<String> = [start].iter().chain(passed).map(State::to_string).collect();
    let mut rest = all.iter();
    reported
        .iter()
        .all(|state| rest.any(|other| other == state))
        && reported.last().copied() == all.last().map(String::as_str)
}

/// Runs both programs and prints each line when it is the one that has to come next.
fn dialogue(
    address: IpAddr,
    for_server: &dyn Fn(&mut Command),
    for_client: &dyn Fn(&mut Command),
    deadline: Instant,
) -> Result<Vec<String>, String> {
    let arguments = [address.to_string(), PORT.to_string()];
    let mut server = Program::start(&SERVER, &arguments, Stdio::null(), for_server, deadline)?;
    server.says(&format!("Waiting on {address} port {PORT}"))?;
    let mut client = Program::start(&CLIENT, &arguments, Stdio::piped(), for_client, deadline)?;
    for (i, message) in MESSAGES.iter().enumerate() {
        client.hears(message)?;
        client.says(&format!("Please enter the message: {message}"))?;
        if i == 0 {
            server.says("Connection from ")?;
        }
        server.says(&format!("Here is the message: {message}"))?;
        client.says(&format!("I got your message: {message}"))?;
    }
    client.done();
    server.says("The client has closed")?;
    let mut log = client.ends()?;
    log.extend(server.ends()?);
    Ok(log)
}

/// A directory for the captures, readable by nobody else, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch, Refusal> {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let name = format!("tunsock-demo-{}-{}", std::process::id(), time.tv_nsec);
        let path = std::env::temp_dir().join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Refusal::new(format!("{}: {error}", path.display())))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left in the directory for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const PORT: u16 = 7777;
const MESSAGES: [&str; 2] = [
    "Hello, is there a kernel in between?",
    "Not for this socket.",
];
/// For everything; a demonstration takes well under a second.
const TIME_LIMIT: Duration = Duration::from_millis(4500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_agree_with_packets_or_not() {
        use State::*;
        let passed = [SynSent, Established, FinWait1, FinWait2, TimeWait];
        assert!(agrees(
            &["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "TIME-WAIT"],
            Closed,
            &passed
        ));
        assert!(!agrees(
            &["SYN-SENT", "CLOSE-WAIT", "TIME-WAIT"],
            Closed,
            &passed
        ));
        assert!(!agrees(&["SYN-SENT", "ESTABLISHED"], Closed, &passed));
        assert!(!agrees(&[], Closed, &passed));
        let log = [
            "tcp a b: CLOSED → LISTEN",
            "the stack is x",
            "tcp a b: LISTEN → CLOSED",
        ]
        .map(String::from);
        assert_eq!(reported(&log), ["LISTEN"]);
    }
}
