//! fcntl's commands about signals (fs/fcntl.c): who gets them, and which.

use libc::{c_int, c_long};

use super::errno::{CResult, Errno};
use super::user;
use crate::fd::SocketFile;
use crate::runtime::Owner;

/// asm-generic/fcntl.h.
const F_SETSIG: c_int = 10;
const F_GETSIG: c_int = 11;
const F_SETOWN_EX: c_int = 15;
const F_GETOWN_EX: c_int = 16;
/// enum __pid_type of bits/fcntl-linux.h.
const F_OWNER_TID: c_int = 0;
const F_OWNER_PID: c_int = 1;
const F_OWNER_PGRP: c_int = 2;
/// The highest signal.
const NSIG: c_int = 64;

/// struct f_owner_ex.
#[repr(C)]
#[derive(Copy, Clone)]
struct OwnerEx {
    kind: c_int,
    id: c_int,
}

/// `None`: not one of these commands.
pub(super) fn control(socket: &SocketFile, command: c_int, arg: c_long) -> Option<CResult<c_int>> {
    let number = arg as c_int;
    Some(match command {
        libc::F_SETOWN => set_owner(socket, number),
        libc::F_GETOWN => Ok(owner(socket)),
        F_SETSIG if (0..=NSIG).contains(&number) => {
            socket.set_signal(number).map(|()| 0).map_err(Errno::from)
        }
        F_SETSIG => Err(Errno(libc::EINVAL)),
        F_GETSIG => Ok(socket.signal()),
        F_SETOWN_EX => set_owner_ex(socket, place(arg)),
        F_GETOWN_EX => {
            let (kind, id) = match socket.owner() {
                Owner::Thread(id) => (F_OWNER_TID, id),
                Owner::Process(id) => (F_OWNER_PID, id),
                Owner::Group(id) => (F_OWNER_PGRP, id),
            };
            user::write(place(arg), OwnerEx { kind, id }).map(|()| 0)
        }
        _ => return None,
    })
}

/// F_SETOWN's number: a process, or a group when it is negative.
pub(super) fn set_owner(socket: &SocketFile, number: c_int) -> CResult<c_int> {
    let owner = match number {
        0.. => Owner::Process(number),
        // f_setown: "avoid overflow below".
        _ => Owner::Group(number.checked_neg().ok_or(Errno(libc::EINVAL))?),
    };
    socket.set_owner(owner)?;
    Ok(0)
}

/// F_GETOWN's number.
pub(super) fn owner(socket: &SocketFile) -> c_int {
    match socket.owner() {
        Owner::Thread(id) | Owner::Process(id) => id,
        Owner::Group(id) => -id,
    }
}

fn set_owner_ex(socket: &SocketFile, place: *mut OwnerEx) -> CResult<c_int> {
    // SAFETY: any bytes are two ints.
    let OwnerEx { kind, id } = unsafe { user::read(place)? };
    let owner = match kind {
        F_OWNER_TID => Owner::Thread(id),
        F_OWNER_PID => Owner::Process(id),
        F_OWNER_PGRP => Owner::Group(id),
        _ => return Err(Errno(libc::EINVAL)),
    };
    if id < 0 {
        return Err(Errno(libc::ESRCH));
    }
    socket.set_owner(owner)?;
    Ok(0)
}

fn place(arg: c_long) -> *mut OwnerEx {
    std::ptr::with_exposed_provenance_mut(arg as usize)
}
