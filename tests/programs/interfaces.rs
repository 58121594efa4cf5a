//! Programs that ask for interfaces, routes and sockets: iproute2 by netlink, python3 by the library's functions.

use super::*;

/// A device of the namespace that is none of the stack's.
const OTHER: &str = "other0";

/// What ip(8) says of interfaces, addresses, routes and rules is the stack's, and nothing of the machine's is in it.
pub(super) fn ip_tells_of_the_stack(lab: &Lab) -> Outcome {
    make_other(lab)?;
    let addrs = said_by(lab, &["addr"], "")?;
    says(&addrs, "inet 127.0.0.1/8 scope host lo")?;
    says(&addrs, "inet 10.83.0.2/24 scope global tunsock0")?;
    says(&addrs, "inet6 fd83::2/64 scope global")?;
    says(
        &said_by(lab, &["-j", "addr"], "")?,
        "\"local\":\"10.83.0.2\"",
    )?;
    let links = said_by(lab, &["link"], "")?;
    says(&links, "2: tunsock0: <POINTOPOINT,")?;
    says(&links, "mtu 1500")?;
    let routes = said_by(lab, &["route"], "")?;
    says(&routes, "default via 10.83.0.1 dev tunsock0")?;
    says(
        &routes,
        "10.83.0.0/24 dev tunsock0 proto kernel scope link src 10.83.0.2",
    )?;
    let routes = said_by(lab, &["-6", "route"], "")?;
    says(&routes, "default via fd83::1 dev tunsock0")?;
    let all = said_by(lab, &["route", "show", "table", "all"], "")?;
    says(&all, "broadcast 10.83.0.255 dev tunsock0 table local")?;
    let way = said_by(lab, &["route", "get", "192.0.2.1"], "")?;
    says(&way, "192.0.2.1 via 10.83.0.1 dev tunsock0 src 10.83.0.2")?;
    let way = said_by(lab, &["-6", "route", "get", "fd83::7"], "")?;
    says(&way, "dev tunsock0")?;
    says(&said_by(lab, &["rule"], "")?, "from all lookup main")?;
    said_by(lab, &["neigh"], "")?;
    said_by(lab, &["link", "show", "dev", "lo"], "")?;
    Ok(())
}

/// What would change something is refused, and changes nothing.
pub(super) fn ip_changes_nothing(lab: &Lab) -> Outcome {
    make_other(lab)?;
    let refused = "Operation not permitted";
    for change in [
        &["link", "set", "lo", "down"][..],
        &["addr", "add", "10.9.9.9/24", "dev", "lo"],
        &["route", "add", "10.9.0.0/16", "dev", "tunsock0"],
        &["link", "del", "tunsock0"],
    ] {
        says(&said_by(lab, change, refused)?, refused)?;
    }
    let unknown = said_by(lab, &["link", "show", "dev", OTHER], "does not exist")?;
    says(&unknown, OTHER)?;
    let here = Command::new("ip")
        .args(["link", "show", "dev", OTHER])
        .output()?;
    says(&String::from_utf8_lossy(&here.stdout), OTHER)
}

/// A program that another one starts while it has the stack itself is told the same; and names and numbers by the library agree.
pub(super) fn children_are_told_too(lab: &Lab) -> Outcome {
    make_other(lab)?;
    let script = "import socket, subprocess\n\
        held = socket.socket()\n\
        print(socket.if_nameindex())\n\
        print(subprocess.run(['ip', 'addr'], capture_output=True, text=True, check=True).stdout)\n\
        held.close()\n";
    let mut command = lab.on_the_stack(&[], "python3");
    let said = output(lab, command.args(["-c", script]), "")?;
    says(&said, "(1, 'lo'), (2, 'tunsock0')")?;
    says(&said, "inet 10.83.0.2/24 scope global tunsock0")
}

/// ss(8), which is a process of its own, has no internet sockets; those that the machine has are not told. Sockets of other families are.
pub(super) fn ss_tells_of_the_stack(lab: &Lab) -> Outcome {
    let machines = TcpListener::bind(("0.0.0.0", 0))?;
    let port = machines.local_addr()?.port();
    for args in [
        &["-Htan"][..],
        &["-Huan"],
        &["-Hwan"],
        &["-Htln", "sport", "=", ":1"],
    ] {
        let said = output(lab, lab.on_the_stack(&[], "ss").args(args), "")?;
        if !said.trim().is_empty() {
            return Err(format!("ss {args:?}: {said}").into());
        }
    }
    let local = lab.dir.join("local");
    let _held = std::os::unix::net::UnixListener::bind(&local)?;
    let said = output(lab, lab.on_the_stack(&[], "ss").arg("-Hxln"), "")?;
    says(&said, &local.to_string_lossy())?;
    let here = Command::new("ss").arg("-Htln").output()?;
    says(&String::from_utf8_lossy(&here.stdout), &format!(":{port}"))
}

fn make_other(lab: &Lab) -> Outcome {
    let mut command = Command::new("ip");
    lab.run(
        command.args(["tuntap", "add", OTHER, "mode", "tun"]),
        "make",
        SOON,
    )
}

/// What `ip` says on the stack; see [`output`].
fn said_by(lab: &Lab, args: &[&str], complaint: &str) -> Result<String, Failed> {
    output(lab, lab.on_the_stack(&[], "ip").args(args), complaint)
}

/// What a command says. With `complaint` it has to fail and say that, else to succeed and say nothing of the other device.
fn output(lab: &Lab, command: &mut Command, complaint: &str) -> Result<String, Failed> {
    let mut running = lab.start(command, "said", false)?;
    let status = lab::wait_bounded(&mut running.child, SOON)?;
    let said = fs::read_to_string(&running.log)?;
    let well = status.is_some_and(|status| status.success()) == complaint.is_empty();
    if status.is_none() || !well || (complaint.is_empty() && said.contains(OTHER)) {
        return Err(running.tell(&format!("{command:?} ended with {status:?}")));
    }
    Ok(said)
}

fn says(said: &str, what: &str) -> Outcome {
    match said.contains(what) {
        true => Ok(()),
        false => Err(format!("no {what:?} in {said:?}").into()),
    }
}
