//! What stands before the C library's own when this library is preloaded: calls that packetdrill's interface has no place for.

use libc::{c_char, c_int, c_void, off_t, size_t, socklen_t, ssize_t};

use crate::entry;
use crate::host::host;
use crate::proc::View;
use crate::world::World;

/// system(3) in front of the C library's, by which packetdrill runs a script's commands: they may change what the host heeds.
///
/// # Safety
/// As system(3) has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn system(command: *const c_char) -> c_int {
    if command.is_null() {
        return 1;
    }
    // SAFETY: the caller gives a string.
    let command = unsafe { std::ffi::CStr::from_ptr(command) }.to_string_lossy();
    let host = host();
    let mut view = host
        .as_ref()
        .map_or_else(|_| View::default(), |host| host.with(World::view));
    let status = view.run(&command);
    if let Ok(host) = host {
        host.with(|world| world.commanded(&command, view));
    }
    status.unwrap_or_else(|why| {
        eprintln!("{command}: {why}");
        -1
    })
}

/// The C library's `getsockopt`, for who preloads this library: on our sockets ours, else the kernel's.
///
/// # Safety
/// As getsockopt(2) has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    let ours = host().is_ok_and(|host| host.with(|world| world.file(fd).is_some()));
    if ours {
        // SAFETY: the caller's pointers, as getsockopt(2) has them.
        return unsafe { entry::get_option(std::ptr::null_mut(), fd, level, name, value, len) };
    }
    // SAFETY: the caller's arguments go to the kernel as they are; it checks them.
    unsafe { libc::syscall(libc::SYS_getsockopt, fd, level, name, value, len) as c_int }
}

/// The C library's `sendfile`, which packetdrill's interface has no place for: into our sockets ours, else the kernel's.
///
/// # Safety
/// As sendfile(2) has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile(to: c_int, from: c_int, offset: *mut off_t, len: size_t) -> ssize_t {
    let ours = host().is_ok_and(|host| host.with(|world| world.file(to).is_some()));
    if !ours {
        // SAFETY: the caller's arguments go to the kernel as they are; it checks them.
        return unsafe { libc::syscall(libc::SYS_sendfile, to, from, offset, len) as ssize_t };
    }
    entry::size(host().and_then(|host| {
        entry::plausible(
            offset.cast(),
            if offset.is_null() {
                0
            } else {
                size_of::<off_t>()
            },
        )?;
        // SAFETY: null, or the caller's, as sendfile(2) has it.
        let place = unsafe { offset.as_mut() };
        host.sendfile(to, from, place, len)
    }))
}

/// [`sendfile`] by its other name: offsets have 64 bits either way.
///
/// # Safety
/// As sendfile(2) has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile64(
    to: c_int,
    from: c_int,
    offset: *mut off_t,
    len: size_t,
) -> ssize_t {
    // SAFETY: handed on.
    unsafe { sendfile(to, from, offset, len) }
}
