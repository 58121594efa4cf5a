//! Programs that do without connections: ping over raw and ping sockets, traceroute, socat and groups.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Instant;

use super::*;

/// ping on the stack hears the kernel's answers.
pub(super) fn ping(lab: &Lab, to: &str) -> Outcome {
    let mut command = lab.on_the_stack(&[], "ping");
    command.args(["-n", "-c", "3", "-i", "0.1", "-W", "5", to]);
    lab.run(&mut command, "ping", SOON)
}

/// A ping that hears replies to others has its socket filter them out from then on.
pub(super) fn ping_filters(lab: &Lab) -> Outcome {
    let mut command = lab.on_the_stack(&[], "ping");
    command.args(["-n", "-c", "10", "-i", "0.2", "-W", "5", HOST4]);
    let running = lab.start(&mut command, "ping", false)?;
    for _ in 0..100 {
        // There is no way before the device is there.
        let _ = foreign_reply();
        thread::sleep(Duration::from_millis(20));
    }
    let log = running.log.clone();
    running.succeeds(SOON)?;
    let said = fs::read_to_string(log)?;
    if said.contains("WARNING") {
        return Err(format!("ping: {said}").into());
    }
    Ok(())
}

/// The kernel sends an echo reply that nobody asked for.
fn foreign_reply() -> std::io::Result<()> {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    // SAFETY: plain numbers; the descriptor, if there is one, is new and nobody else's.
    let socket = unsafe {
        match libc::socket(
            libc::AF_INET,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            libc::IPPROTO_ICMP,
        ) {
            -1 => return Err(std::io::Error::last_os_error()),
            fd => OwnedFd::from_raw_fd(fd),
        }
    };
    // Type 0, identifier 0x7777, number 1.
    let mut reply = [0u8, 0, 0, 0, 0x77, 0x77, 0, 1];
    reply[2..4].copy_from_slice(&(!0x7778u16).to_be_bytes());
    // SAFETY: a sockaddr_in of zeros is one.
    let mut to: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    to.sin_family = libc::AF_INET as libc::sa_family_t;
    let stack: Ipv4Addr = STACK4.parse().map_err(std::io::Error::other)?;
    to.sin_addr.s_addr = u32::from_ne_bytes(stack.octets());
    // SAFETY: both are ours and given with their lengths.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            reply.as_ptr().cast(),
            reply.len(),
            0,
            (&raw const to).cast(),
            size_of_val(&to) as libc::socklen_t,
        )
    };
    if sent < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// Without the right to raw sockets, by the group that the machine allows ping sockets.
pub(super) fn ping_by_group(lab: &Lab) -> Outcome {
    fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647")?;
    ping(lab, HOST4)?;
    ping(lab, HOST6.trim_matches(['[', ']']))
}

/// traceroute on the stack finds the kernel behind the device, by datagrams and by echo requests.
pub(super) fn traceroute(lab: &Lab) -> Outcome {
    for way in ["-U", "-I"] {
        let mut command = lab.on_the_stack(&[], "traceroute");
        command.args(["-n", "-m", "3", "-q", "1", "-w", "5", way, HOST4]);
        let running = lab.start(&mut command, "traceroute", false)?;
        let log = running.log.clone();
        running.succeeds(SOON)?;
        let said = fs::read_to_string(log)?;
        let found = said.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("1") && words.next() == Some(HOST4)
        });
        if !found {
            return Err(format!("traceroute {way}: {said}").into());
        }
    }
    Ok(())
}

const GROUP4: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x123);
const GROUP_PORT: u16 = 5007;

/// socat on the stack is in a group, the kernel speaks to it.
pub(super) fn socat_hears(lab: &Lab, v6: bool) -> Outcome {
    let address = if v6 {
        format!("UDP6-RECVFROM:{GROUP_PORT},ipv6-join-group=[{GROUP6}]:2")
    } else {
        format!("UDP4-RECVFROM:{GROUP_PORT},ip-add-membership={GROUP4}:{STACK4}")
    };
    let mut command = lab.on_the_stack(&[], "socat");
    let mut program = lab.start(command.args(["-u", &address, "-"]), "socat", true)?;
    let to: SocketAddr = if v6 {
        (GROUP6, GROUP_PORT).into()
    } else {
        (GROUP4, GROUP_PORT).into()
    };
    // Until it has joined nobody hears; before its device is there, there is no route.
    let end = Instant::now() + SOON;
    while program.child.try_wait()?.is_none() {
        if Instant::now() > end {
            return Err(program.tell("has heard nothing"));
        }
        let _ = speak(to, v6);
        thread::sleep(Duration::from_millis(50));
    }
    program.hears("to all\n")
}

fn speak(to: SocketAddr, v6: bool) -> std::io::Result<()> {
    let from = if v6 { "[fd83::1]:0" } else { "10.83.0.1:0" };
    // Bound to the device's address, the kernel takes its route for a group too once there is one.
    let socket = UdpSocket::bind(from)?;
    if v6 {
        socket.send_to(b"to all\n", to)?;
    } else {
        choose_v4(&socket)?;
        socket.send_to(b"to all\n", to)?;
    }
    Ok(())
}

/// IP_MULTICAST_IF by the host's address.
fn choose_v4(socket: &UdpSocket) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;
    let address = [10u8, 83, 0, 1];
    // SAFETY: the option's value is four bytes of ours, given with their length.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MULTICAST_IF,
            address.as_ptr().cast(),
            4,
        )
    };
    if set == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// The kernel is in a group, socat on the stack speaks to it.
pub(super) fn socat_speaks(lab: &Lab) -> Outcome {
    let address = format!("UDP4-DATAGRAM:{GROUP4}:{GROUP_PORT},ip-multicast-if={STACK4}");
    let mut command = lab.on_the_stack(&[], "socat");
    let mut program = lab.start(command.args(["-u", "-", &address]), "socat", true)?;
    let member = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, GROUP_PORT))?;
    // The host's end of the device has to be there before anybody can join on it.
    let end = Instant::now() + SOON;
    while let Err(error) = member.join_multicast_v4(&GROUP4, &Ipv4Addr::new(10, 83, 0, 1)) {
        if Instant::now() > end {
            return Err(program.tell(&error.to_string()));
        }
        thread::sleep(Duration::from_millis(20));
    }
    member.set_read_timeout(Some(SOON))?;
    program.says("from the stack\n")?;
    let mut room = [0; 100];
    let (len, from) = member.recv_from(&mut room)?;
    same(&room[..len], b"from the stack\n")?;
    drop(program.child.stdin.take());
    if from.ip().to_string() != STACK4 {
        return Err(format!("it came from {from}").into());
    }
    program.succeeds(SOON)
}
