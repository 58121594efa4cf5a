//! What commands of a script find of the host under test: its /proc/net, as files of the kernel's form in a directory that lasts as
//! long as the command. Programs of iproute2 (`nstat`, `ss`) look where PROC_ROOT says; paths in the command itself are led there.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io, process};

use libc::c_int;
use tunsock_stack::{Kind, SocketInfo, State, Stats};

use crate::info::state_number;

/// Where the kernel has what is replaced here.
const KERNEL: &str = "/proc/net/";
/// Where `nstat` keeps what it has told already.
const HISTORY: &str = "nstat";

/// The host's /proc/net at some moment.
#[derive(Clone, Default)]
pub(crate) struct View {
    netstat: String,
    tcp: String,
    tcp6: String,
    /// What `nstat` has told already.
    pub(crate) history: Vec<u8>,
}

impl View {
    /// Of a host with these counters and sockets; `history` is that of the view before.
    pub(crate) fn new(stats: &Stats, sockets: &[SocketInfo], history: Vec<u8>) -> View {
        let counters = [
            ("SyncookiesSent", stats.syn_cookies_sent),
            ("OutOfWindowIcmps", stats.out_of_window_icmps),
        ];
        let names = counters.map(|(name, _)| name).join(" ");
        let values = counters.map(|(_, value)| value.to_string()).join(" ");
        let of_family = |v6| {
            let streams = sockets.iter().filter(|s| s.kind == Kind::Stream);
            table(streams.filter(|s| s.local.is_ipv6() == v6))
        };
        View {
            netstat: format!("TcpExt: {names}\nTcpExt: {values}\n"),
            tcp: of_family(false),
            tcp6: of_family(true),
            history,
        }
    }

    /// Runs `command` in the shell with this in place of the kernel's. Its status, as wait(2) has it.
    pub(crate) fn run(&mut self, command: &str) -> io::Result<c_int> {
        let room = Room::new()?;
        let net = room.0.join("net");
        fs::create_dir(&net)?;
        for (name, text) in [
            ("netstat", &self.netstat),
            ("tcp", &self.tcp),
            ("tcp6", &self.tcp6),
        ] {
            fs::write(net.join(name), text)?;
        }
        let history = room.0.join(HISTORY);
        if !self.history.is_empty() {
            fs::write(&history, &self.history)?;
        }
        let status = Command::new("/bin/sh")
            .arg("-c")
            .arg(led(command, &net))
            .env("PROC_ROOT", &room.0)
            .env("NSTAT_HISTORY", &history)
            .status()?;
        self.history = fs::read(&history).unwrap_or_default();
        Ok(status.into_raw())
    }
}

/// A directory of this process's, gone when it is dropped.
struct Room(PathBuf);

impl Room {
    fn new() -> io::Result<Room> {
        let path = env::temp_dir().join(format!("tunsock-packetdrill.{}", process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Room(path))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // What cannot be removed stays: there is nobody to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `command` with the kernel's files led to ours in `net`, where we have one.
fn led(command: &str, net: &Path) -> String {
    let mut text = String::with_capacity(command.len());
    let mut rest = command;
    while let Some((before, after)) = rest.split_once(KERNEL) {
        let len = after
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(after.len());
        let (name, behind) = after.split_at(len);
        text.push_str(before);
        match name {
            "netstat" | "tcp" | "tcp6" => {
                text.push_str(&net.join(name).to_string_lossy());
            }
            _ => text.extend([KERNEL, name]),
        }
        rest = behind;
    }
    text + rest
}

/// /proc/net/tcp or tcp6 (proc_net(5)), with zeros where the stack has no figure.
fn table<'a>(sockets: impl Iterator<Item = &'a SocketInfo>) -> String {
    let mut text = String::from(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n",
    );
    for (slot, socket) in sockets.enumerate() {
        let state = state_number(socket.state);
        // The kernel has no backlog in there.
        let send_q = match socket.state {
            State::Listen => 0,
            _ => socket.send_q,
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{slot:4}: {} {} {state:02X} {send_q:08X}:{:08X} 00:00000000 00000000     0        0 0",
            address(socket.local),
            address(socket.peer),
            socket.recv_q,
        );
    }
    text
}

/// An address as the kernel writes it: words of the machine's order, and the port.
fn address(addr: SocketAddr) -> String {
    let octets = match addr.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.as_chunks::<4>().0.iter();
    let words: String = words
        .map(|word| format!("{:08X}", u32::from_ne_bytes(*word)))
        .collect();
    format!("{words}:{:04X}", addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(addr: &str) -> SocketInfo {
        let local: SocketAddr = addr.parse().expect("an address");
        SocketInfo {
            id: None,
            kind: Kind::Stream,
            state: State::Listen,
            local,
            peer: SocketAddr::new(local.ip(), 0),
            recv_q: 2,
            send_q: 5,
        }
    }

    #[test]
    fn sockets_are_listed_as_the_kernel_lists_them() {
        let view = View::new(
            &Stats::default(),
            &[listener("127.0.0.1:8080"), listener("[::1]:80")],
            Vec::new(),
        );
        let line = |text: &str| text.lines().nth(1).expect("a line").to_owned();
        let loopback = u32::from_ne_bytes([127, 0, 0, 1]);
        assert_eq!(
            line(&view.tcp).split_whitespace().collect::<Vec<_>>()[..5],
            [
                "0:",
                &format!("{loopback:08X}:1F90"),
                &format!("{loopback:08X}:0000"),
                "0A",
                "00000000:00000002"
            ]
        );
        let last = u32::from_ne_bytes([0, 0, 0, 1]);
        assert!(line(&view.tcp6).contains(&format!("{:024}{last:08X}:0050", 0)));
    }

    #[test]
    fn commands_find_the_hosts_files() {
        let led = led(
            "grep x /proc/net/tcp6 /proc/net/dev /proc/net/tcp",
            Path::new("/n"),
        );
        assert_eq!(led, "grep x /n/tcp6 /proc/net/dev /n/tcp");
        let stats = Stats {
            out_of_window_icmps: 7,
            ..Stats::default()
        };
        let mut view = View::new(&stats, &[], b"told".to_vec());
        let command = "cmp $PROC_ROOT/net/netstat /proc/net/netstat && grep -q 'TcpExt: 0 7' /proc/net/netstat && \
                       grep -q told $NSTAT_HISTORY && echo again > $NSTAT_HISTORY";
        assert_eq!(view.run(command).expect("it runs"), 0);
        assert_eq!(view.history, b"again\n");
        assert_eq!(view.run("exit 3").expect("it runs"), 3 << 8);
    }
}
