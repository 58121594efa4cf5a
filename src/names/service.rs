//! Service names by libc's own reader of /etc/services.

use std::ffi::{CStr, CString};

use libc::{c_char, c_int, size_t};

/// struct servent of netdb.h.
#[repr(C)]
struct Servent {
    name: *mut c_char,
    aliases: *mut *mut c_char,
    /// Network byte order.
    port: c_int,
    protocol: *mut c_char,
}

unsafe extern "C" {
    fn getservbyname_r(
        name: *const c_char,
        protocol: *const c_char,
        entry: *mut Servent,
        room: *mut c_char,
        len: size_t,
        found: *mut *mut Servent,
    ) -> c_int;
    fn getservbyport_r(
        port: c_int,
        protocol: *const c_char,
        entry: *mut Servent,
        room: *mut c_char,
        len: size_t,
        found: *mut *mut Servent,
    ) -> c_int;
}

/// The longest line that is looked for; a longer one does not exist in practice.
const MOST: usize = 64 << 10;

/// The port of a service by name, for `"tcp"` or `"udp"`.
pub(crate) fn port_of(name: &CStr, protocol: &CStr) -> Option<u16> {
    with_room(|entry, room, len, found| {
        // SAFETY: C strings, and room for the answer of the length given.
        unsafe { getservbyname_r(name.as_ptr(), protocol.as_ptr(), entry, room, len, found) }
    })
    .map(|(port, _)| port)
}

/// The name of the service at a port, for `"tcp"` or `"udp"`.
pub(crate) fn service_of(port: u16, protocol: &CStr) -> Option<CString> {
    with_room(|entry, room, len, found| {
        // SAFETY: as above.
        unsafe {
            getservbyport_r(
                c_int::from(port.to_be()),
                protocol.as_ptr(),
                entry,
                room,
                len,
                found,
            )
        }
    })
    .map(|(_, name)| name)
}

/// Calls one of the two with room that grows until the answer fits.
fn with_room(
    mut call: impl FnMut(*mut Servent, *mut c_char, size_t, *mut *mut Servent) -> c_int,
) -> Option<(u16, CString)> {
    let mut entry = Servent {
        name: std::ptr::null_mut(),
        aliases: std::ptr::null_mut(),
        port: 0,
        protocol: std::ptr::null_mut(),
    };
    let mut room = vec![0u8; 1024];
    loop {
        let mut found: *mut Servent = std::ptr::null_mut();
        let why = call(&mut entry, room.as_mut_ptr().cast(), room.len(), &mut found);
        if why == libc::ERANGE && room.len() < MOST {
            room.resize(room.len() * 2, 0);
            continue;
        }
        if why != 0 || found.is_null() {
            return None;
        }
        // SAFETY: the call succeeded: `entry` is filled and its name is a C string inside `room`.
        let name = unsafe { CStr::from_ptr(entry.name) }.to_owned();
        return Some((u16::from_be(entry.port as u16), name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_services() {
        if !std::path::Path::new("/etc/services").exists() {
            eprintln!("SKIPPED: no /etc/services on this machine");
            return;
        }
        assert_eq!(port_of(c"http", c"tcp"), Some(80));
        assert_eq!(port_of(c"no-such-service", c"tcp"), None);
        assert_eq!(service_of(80, c"tcp").as_deref(), Some(c"http"));
    }
}
