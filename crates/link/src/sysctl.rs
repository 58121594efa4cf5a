//! Whether IPv6 is on: /proc/sys/net/ipv6/conf (Documentation/networking/ip-sysctl.rst). The files show
//! the calling thread's network namespace.

use rustix::fs::{Access, Mode, OFlags};
use rustix::io::Errno;

use crate::sys::Descriptor;

/// Whether a new device can have an IPv6 address: the kernel has IPv6, and it is on for new
/// devices or can be switched on for ours. Containers often have it off and read-only. Where
/// /proc does not tell, it is taken to be on.
pub fn ipv6_available() -> bool {
    let root = "/proc/sys/net/ipv6";
    match rustix::fs::access(root, Access::EXISTS) {
        Err(Errno::NOENT) => return rustix::fs::access("/proc/sys/net", Access::EXISTS).is_err(),
        Err(_) => return true,
        Ok(()) => {}
    }
    let path = disable_path("default");
    read(&path) != Some(b'1') || rustix::fs::access(&path, Access::WRITE_OK).is_ok()
}

/// Switches IPv6 on for this device if it is off. Where that is not allowed, adding the address
/// says what is wrong.
pub(crate) fn switch_ipv6_on(device: &str) {
    let path = disable_path(device);
    if read(&path) == Some(b'1') {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        if let Ok(fd) = rustix::fs::open(&path, flags, Mode::empty()) {
            let _ = rustix::io::write(Descriptor::new_high(fd), b"0");
        }
    }
}

fn disable_path(device: &str) -> String {
    format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6")
}

/// The first byte of a file.
fn read(path: &str) -> Option<u8> {
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut byte = [0];
    let len = rustix::io::read(Descriptor::new_high(fd), &mut byte).ok()?;
    byte.get(..len)?.first().copied()
}
