//! Names by DNS in real programs: curl, wget, python3, getent, node, java and perl under `tunsock run`, a name server on the kernel's
//! end of the device, and a look at every packet of the namespace: nothing may leave by another interface.
//!
//! Each trial has a network and a mount namespace of its own, with a second interface, a default route over it and an
//! `/etc/resolv.conf` that names a server there: whatever asked by the kernel's network would be seen.

mod lab;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lab::Verdict as Outcome;
use libtest_mimic::Failed;
use simple_dns::rdata::{A, AAAA, CNAME, PTR, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

const TRIALS: &[lab::Row<Lab>] = &[
    ("curl::by_name", &["curl"], |lab| {
        lab.web()?;
        let said = lab.run(&[DNS], "curl", &["-sS", "http://www.test:8000/"])?;
        same(&said, "hello www.test:8000")
    }),
    ("curl::by_an_alias_over_ipv6", &["curl"], |lab| {
        lab.web()?;
        let said = lab.run(&[DNS], "curl", &["-6sS", "http://alias.test:8000/"])?;
        same(&said, "hello alias.test:8000")
    }),
    ("curl::server_over_ipv6", &["curl"], |lab| {
        lab.web()?;
        let said = lab.run(
            &["--dns=fd83::1"],
            "curl",
            &["-sS", "http://www.test:8000/"],
        )?;
        same(&said, "hello www.test:8000")
    }),
    ("curl::server_at_another_port", &["curl"], |lab| {
        lab.web()?;
        lab.serve(5353)?;
        let said = lab.run(
            &["--dns=10.83.0.1:5353"],
            "curl",
            &["-sS", "http://www.test:8000/"],
        )?;
        same(&said, "hello www.test:8000")
    }),
    (
        "curl::servers_of_resolv_conf_over_the_stack",
        &["curl"],
        |lab| {
            // The file's server is behind the other interface; the stack's packets go to the device all the same.
            match lab.run(&[], "curl", &["-sS", "http://www.test:8000/"]) {
                Err(error) if error.contains("exit status: 6") => Ok(()),
                other => Err(format!("expected exit status 6, got {other:?}").into()),
            }
        },
    ),
    ("curl::no_such_name", &["curl"], |lab| {
        match lab.run(&[DNS], "curl", &["-sS", "http://missing.test:8000/"]) {
            Err(error) if error.contains("exit status: 6") => Ok(()), // CURLE_COULDNT_RESOLVE_HOST
            other => Err(format!("expected exit status 6, got {other:?}").into()),
        }
    }),
    ("sniffer::sees_what_the_kernel_sends", &["getent"], |lab| {
        // Without the stack: the check of all other trials would fail.
        lab.leaks.set(true);
        let mut command = Command::new("getent");
        let log = lab.dir.join("getent.log");
        lab::run_logged(command.args(["hosts", "www.test"]), &log, SOON)?;
        Ok(())
    }),
    ("wget::by_name", &["wget"], |lab| {
        lab.web()?;
        let args = ["-qO-", "--tries=1", "http://www.test:8000/"];
        same(&lab.run(&[DNS], "wget", &args)?, "hello www.test:8000")
    }),
    ("python::getaddrinfo", &["python3"], |lab| {
        let program = "import socket as s\n\
            for f in (0, s.AF_INET, s.AF_INET6):\n\
            \x20print(*[a[4][0] for a in s.getaddrinfo('alias.test', 80, f, s.SOCK_STREAM)])\n\
            print(s.getaddrinfo('alias.test', 80, flags=s.AI_CANONNAME)[0][3])\n\
            print(*s.gethostbyname_ex('alias.test'), s.gethostbyaddr('10.83.0.1')[0])\n\
            print(len(s.getaddrinfo('large.test', 80, s.AF_INET, s.SOCK_STREAM)))\n\
            print(s.getnameinfo(('10.83.0.1', 80), 0), s.getfqdn('10.83.0.1'))\n\
            for n in ('missing.test', 'empty.test', 'broken.test'):\n\
            \x20try: s.getaddrinfo(n, 80)\n\
            \x20except s.gaierror as e: print(e.errno == {'m': s.EAI_NONAME, 'e': s.EAI_NODATA, 'b': s.EAI_AGAIN}[n[0]])\n";
        let said = lab.run(&[DNS], &lab::python()?, &["-c", program])?;
        let want = "fd83::1 10.83.0.1\n10.83.0.1\nfd83::1\nwww.test\n\
            www.test ['alias.test'] ['10.83.0.1'] www.test\n100\n\
            ('www.test', 'http') www.test\nTrue\nTrue\nTrue";
        same(&said, want)
    }),
    ("python::many_threads", &["python3"], |lab| {
        let program = "import socket as s\n\
            from concurrent.futures import ThreadPoolExecutor as T\n\
            print(sum(len(a) for a in T(16).map(lambda i: s.getaddrinfo('www.test', i, 0, 1), range(1, 201))))\n";
        same(&lab.run(&[DNS], &lab::python()?, &["-c", program])?, "400")
    }),
    ("getent::hosts_and_ahosts", &["getent"], |lab| {
        let said = lab.run(&[DNS], "getent", &["ahostsv4", "www.test"])?;
        let first = said.split_whitespace().next().unwrap_or_default();
        same(first, "10.83.0.1")?;
        let said = lab.run(&[DNS], "getent", &["hosts", "10.83.0.1"])?;
        same(
            &said.split_whitespace().collect::<Vec<_>>().join(" "),
            "10.83.0.1 www.test",
        )
    }),
    ("node::lookup", &["node"], |lab| {
        let program = "require('dns').lookup('alias.test', {all: true}, (e, a) => console.log(e || a.map(x => x.address).join(' ')))";
        same(
            &lab.run(&[DNS], "node", &["-e", program])?,
            "fd83::1 10.83.0.1",
        )
    }),
    ("perl::gethostbyname", &["perl"], |lab| {
        let program = "use Socket; print inet_ntoa(scalar gethostbyname('www.test')), ' ', scalar gethostbyaddr(inet_aton('10.83.0.1'), AF_INET)";
        same(
            &lab.run(&[DNS], "perl", &["-e", program])?,
            "10.83.0.1 www.test",
        )
    }),
    ("java::inet_address", &["java"], |lab| {
        let file = lab.dir.join("Look.java");
        fs::write(
            &file,
            "public class Look { public static void main(String[] a) throws Exception {\n\
             for (var i : java.net.InetAddress.getAllByName(\"www.test\")) System.out.print(i.getHostAddress() + \" \");\n\
             System.out.print(java.net.InetAddress.getByName(\"10.83.0.1\").getHostName()); } }",
        )?;
        let file = file.to_string_lossy().into_owned();
        let said = lab.run(&[DNS], "java", &[&file])?;
        same(&said, "10.83.0.1 fd83:0:0:0:0:0:0:1 www.test")
    }),
];

const DNS: &str = "--dns=10.83.0.1";
/// For anything that is to happen at all.
const SOON: Duration = Duration::from_secs(30);

fn main() {
    lab::run_trials("names", TRIALS, in_a_lab);
}

fn same(got: &str, want: &str) -> Outcome {
    if got.trim_end() == want {
        return Ok(());
    }
    Err(format!("expected {want:?}, got {got:?}").into())
}

/// Runs a trial in a thread of its own, because its namespaces are the thread's.
fn in_a_lab(name: &'static str, run: fn(&Lab) -> Outcome) -> Outcome {
    let work = thread::spawn(move || {
        let lab = Lab::new(name)?;
        lab.serve(53)?;
        let outcome = run(&lab);
        let seen = lab.sniffer.stop();
        outcome?;
        let elsewhere = seen.keys().any(|name| name != "tun");
        if elsewhere != lab.leaks.get() {
            return Err(format!("packets by interface: {seen:?}").into());
        }
        if !elsewhere && !seen.contains_key("tun") {
            return Err("the device has carried nothing".into());
        }
        fs::remove_dir_all(&lab.dir)?;
        Ok(())
    });
    work.join()
        .unwrap_or_else(|_| Err("the trial panicked".into()))
}

/// Namespaces, a directory to write in and somebody who looks at packets.
struct Lab {
    dir: PathBuf,
    sniffer: Sniffer,
    /// The trial sends by another interface than the device.
    leaks: Cell<bool>,
    over: Arc<AtomicBool>,
}

impl Lab {
    fn new(name: &str) -> Result<Lab, Failed> {
        lab::enter_own_namespace()?;
        let dir = lab::scratch("names").join(name.replace("::", "."));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir)?;
        for args in [
            "link add other0 type veth peer name other1",
            "link set other0 up arp off",
            "link set other1 up arp off",
            "addr add 10.99.0.1/24 dev other0",
            "route add default dev other0",
        ] {
            // No neighbour or router is looked for: the interface is quiet unless somebody sends.
            let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
            let status = Command::new("ip").args(args.split(' ')).status()?;
            if !status.success() {
                return Err(format!("ip {args}: {status}").into());
            }
        }
        fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0")?;
        let file = dir.join("resolv.conf");
        fs::write(
            &file,
            "nameserver 10.99.0.2\noptions timeout:3 attempts:1\n",
        )?;
        instead_of("/etc/resolv.conf", &file)?;
        let file = dir.join("hosts");
        fs::write(&file, "127.0.0.1 localhost\n")?;
        instead_of("/etc/hosts", &file)?;
        let sniffer = Sniffer::start()?;
        let over = Arc::new(AtomicBool::new(false));
        Ok(Lab {
            dir,
            sniffer,
            leaks: Cell::new(false),
            over,
        })
    }

    /// What a program writes on the stack.
    fn run(&self, options: &[&str], program: &str, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(lab::built("tunsock").unwrap_or_default());
        command.args(["run", "--addr=10.83.0.2/24", "--addr=fd83::2/64"]);
        command.args(["--host-addr=10.83.0.1", "--host-addr=fd83::1"]);
        command.args(["--device=tun"]).args(options).arg("--");
        command.arg(program).args(args).current_dir(&self.dir);
        let log = self.dir.join("program.log");
        let outcome =
            lab::run_logged(&mut command, &log, SOON).map_err(|error| error.to_string())?;
        match outcome.status {
            Some(status) if status.success() => Ok(outcome.output),
            Some(status) => Err(format!("{program}: {status}\n{}", outcome.output)),
            None => Err(format!("{program}: still running\n{}", outcome.output)),
        }
    }

    /// Serves `hello` and the Host of the request at port 8000.
    fn web(&self) -> Outcome {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 8000))?;
        let over = self.over.clone();
        thread::spawn(move || {
            for stream in listener.incoming().take(10) {
                if over.load(SeqCst) {
                    break;
                }
                let _ = stream.and_then(hello);
            }
        });
        Ok(())
    }

    /// Serves names over UDP and TCP.
    fn serve(&self, port: u16) -> Outcome {
        let udp = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))?;
        udp.set_read_timeout(Some(SOON))?;
        let tcp = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
        thread::spawn(move || {
            let mut query = [0; 2048];
            while let Ok((len, from)) = udp.recv_from(&mut query) {
                let reply = query.get(..len).and_then(|query| answer(query, 512));
                if let Some(reply) = reply {
                    let _ = udp.send_to(&reply, from);
                }
            }
        });
        thread::spawn(move || {
            for stream in tcp.incoming().take(100) {
                let _ = stream.and_then(over_tcp);
            }
        });
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
    }
}

/// Mounts a file over another, for this thread and what it starts.
fn instead_of(path: &str, file: &Path) -> io::Result<()> {
    let from = CString::new(file.to_string_lossy().as_bytes()).map_err(io::Error::other)?;
    let to = CString::new(path).map_err(io::Error::other)?;
    // SAFETY: C strings that outlive the calls; they concern this thread's own mount namespace.
    unsafe {
        let none = std::ptr::null();
        if libc::unshare(libc::CLONE_NEWNS) != 0 {
            return Err(io::Error::last_os_error());
        }
        let private = libc::MS_REC | libc::MS_PRIVATE;
        if libc::mount(none, c"/".as_ptr(), none, private, none.cast()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let bind = libc::MS_BIND;
        if libc::mount(from.as_ptr(), to.as_ptr(), none, bind, none.cast()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn hello(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(SOON))?;
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && request.len() < 4096 {
        stream.read_exact(&mut byte)?;
        request.extend_from_slice(&byte);
    }
    let request = String::from_utf8_lossy(&request);
    let host = request.lines().find_map(|line| line.strip_prefix("Host: "));
    let body = format!("hello {}", host.unwrap_or_default());
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
    write!(stream, "{head} {}\r\n\r\n{body}", body.len())
}

fn over_tcp(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(SOON))?;
    loop {
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut query)?;
        let Some(reply) = answer(&query, usize::from(u16::MAX)) else {
            return Ok(());
        };
        stream.write_all(&(reply.len() as u16).to_be_bytes())?;
        stream.write_all(&reply)?;
    }
}

/// What the server says; what is longer than `room` is said to be cut.
fn answer(query: &[u8], room: usize) -> Option<Vec<u8>> {
    let query = Packet::parse(query).ok()?;
    let question = query.questions.first()?;
    let mut reply = Packet::new_reply(query.id());
    reply.questions.push(question.clone());
    let asked = question.qname.to_string();
    let (kind, mut name) = (question.qtype, asked.as_str());
    let mut add = |owner: &str, data: RData<'static>| {
        let owner = Name::new_unchecked(owner).into_owned();
        let record = ResourceRecord::new(owner, CLASS::IN, 60, data);
        reply.answers.push(record);
    };
    let host: IpAddr = "10.83.0.1".parse().ok()?;
    let host6: Ipv6Addr = "fd83::1".parse().ok()?;
    let www = || Name::new_unchecked("www.test");
    let a = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => RData::A(A {
            address: ip.to_bits(),
        }),
        IpAddr::V6(ip) => RData::AAAA(AAAA {
            address: ip.to_bits(),
        }),
    };
    if name == "alias.test" {
        add(name, RData::CNAME(CNAME(www())));
        name = "www.test";
    }
    let mut rcode = RCODE::NoError;
    match (name, kind) {
        ("www.test", QTYPE::TYPE(TYPE::A)) => add(name, a(host)),
        ("www.test", QTYPE::TYPE(TYPE::AAAA)) => add(name, a(host6.into())),
        ("large.test", QTYPE::TYPE(TYPE::A)) => {
            (0..100).for_each(|i| add(name, a(IpAddr::from([10, 83, 7, i]))));
        }
        ("1.0.83.10.in-addr.arpa", QTYPE::TYPE(TYPE::PTR)) => add(name, RData::PTR(PTR(www()))),
        ("broken.test", _) => rcode = RCODE::ServerFailure,
        ("www.test" | "large.test" | "empty.test" | "1.0.83.10.in-addr.arpa", _) => {}
        _ => rcode = RCODE::NameError,
    }
    *reply.rcode_mut() = rcode;
    let whole = reply.build_bytes_vec_compressed().ok()?;
    if whole.len() <= room {
        return Some(whole);
    }
    reply.answers.clear();
    reply.set_flags(PacketFlag::TRUNCATION);
    reply.build_bytes_vec().ok()
}

/// Counts the packets of each interface of the namespace (packet(7)).
struct Sniffer {
    over: Arc<AtomicBool>,
    work: Cell<Option<JoinHandle<BTreeMap<String, usize>>>>,
}

impl Sniffer {
    fn start() -> io::Result<Sniffer> {
        let all = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: plain numbers; the descriptor is owned at once.
        let socket = unsafe {
            let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
            let fd = libc::socket(libc::AF_PACKET, kind, i32::from(all));
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let over = Arc::new(AtomicBool::new(false));
        let flag = over.clone();
        let work = Cell::new(Some(thread::spawn(move || count(&socket, &flag))));
        Ok(Sniffer { over, work })
    }

    /// What was seen: packets by interface.
    fn stop(&self) -> BTreeMap<String, usize> {
        // What is on its way is seen first.
        thread::sleep(Duration::from_millis(50));
        self.over.store(true, SeqCst);
        let work = self.work.take();
        work.and_then(|work| work.join().ok()).unwrap_or_default()
    }
}

fn count(socket: &OwnedFd, over: &AtomicBool) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    loop {
        let mut fd = libc::pollfd {
            fd: socket.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let mut byte = [0u8; 1];
        // SAFETY: sockaddr_ll is plain data; every pointer has the room that is said.
        let name = unsafe {
            if libc::poll(&mut fd, 1, 50) <= 0 {
                if over.load(SeqCst) {
                    return seen;
                }
                continue;
            }
            let mut from: libc::sockaddr_ll = std::mem::zeroed();
            let mut len = size_of_val(&from) as libc::socklen_t;
            let room = byte.as_mut_ptr().cast();
            let from_ptr = (&raw mut from).cast();
            if libc::recvfrom(fd.fd, room, 1, 0, from_ptr, &mut len) < 0 {
                continue;
            }
            let mut name = [0u8; libc::IF_NAMESIZE];
            libc::if_indextoname(from.sll_ifindex as u32, name.as_mut_ptr().cast());
            let end = name.iter().position(|&byte| byte == 0).unwrap_or(0);
            String::from_utf8_lossy(&name[..end]).into_owned()
        };
        *seen.entry(name).or_insert(0) += 1;
    }
}
