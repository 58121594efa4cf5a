//! A network namespace of our own.

use std::io;

use rustix::thread::UnshareFlags;
use tunsock_link::{Netlink, NetlinkError};

use crate::refusal::Refusal;

/// Puts this process, which must have one thread only, into a fresh network namespace whose loopback device is up. Without
/// the right to do that it takes a fresh user namespace along, in which it keeps its user and group.
pub(crate) fn enter() -> Result<(), Refusal> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if unshare(UnshareFlags::NEWNET).is_err() {
        unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET).map_err(|error| {
            Refusal::new(format!(
                "a network namespace of its own is refused ({error}): run as root, or allow unprivileged user namespaces \
                 (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, \
                 kernel.apparmor_restrict_unprivileged_userns)"
            ))
        })?;
        // user_namespaces(7): setgroups must be denied before an unprivileged process may map its group.
        map("setgroups", "deny")
            .and_then(|()| map("uid_map", &format!("{uid} {uid} 1", uid = uid.as_raw())))
            .and_then(|()| map("gid_map", &format!("{gid} {gid} 1", gid = gid.as_raw())))
            .map_err(|error| {
                Refusal::new(format!("cannot map the user into its namespace: {error}"))
            })?;
    }
    loopback_up().map_err(|error| Refusal::new(format!("cannot bring loopback up: {error}")))
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: what is unshared are namespaces; no file table is, which alone could break I/O safety.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

fn map(file: &str, text: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/self/{file}"), text)
}

fn loopback_up() -> Result<(), NetlinkError> {
    let mut netlink = Netlink::open()?;
    // A namespace is born with lo and nothing else.
    match netlink.link("lo")? {
        Some(lo) => netlink.set_up(lo.index, true),
        None => Ok(()),
    }
}
