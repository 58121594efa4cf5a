//! getsockopt and setsockopt of `winsock2.h`: times in milliseconds, and the options that say the contrary of another.

use libc::{c_char, c_int, c_long, c_uint};

use super::errno;
use super::types::*;
use super::winsock::{Socket, number, result};
use super::*;

/// SO_EXCLUSIVEADDRUSE: nobody else may have the address, which here holds unless SO_REUSEADDR is set.
const SO_EXCLUSIVEADDRUSE: c_int = !libc::SO_REUSEADDR;
/// SO_DONTLINGER: SO_LINGER is off.
const SO_DONTLINGER: c_int = !libc::SO_LINGER;

/// getsockopt. Times (SO_RCVTIMEO, SO_SNDTIMEO) are an int of milliseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_getsockopt(
    socket: Socket,
    level: c_int,
    name: c_int,
    value: *mut c_char,
    len: *mut c_int,
) -> c_int {
    result(|| {
        if let (libc::SOL_SOCKET, SO_EXCLUSIVEADDRUSE | SO_DONTLINGER) = (level, name) {
            return get_opposite(number(socket), name, value, len);
        }
        if !is_time(level, name) {
            // SAFETY: the caller's own arguments.
            return unsafe {
                tunsock_getsockopt(number(socket), level, name, value.cast(), len.cast())
            };
        }
        let mut time = tunsock_timeval {
            tv_sec: 0,
            tv_usec: 0,
        };
        let mut time_len = size_of::<tunsock_timeval>() as tunsock_socklen_t;
        // SAFETY: `time` has the room that `time_len` says.
        let outcome = unsafe {
            tunsock_getsockopt(
                number(socket),
                level,
                name,
                (&raw mut time).cast(),
                &raw mut time_len,
            )
        };
        if outcome != 0 {
            return outcome;
        }
        errno::answer(|| {
            // SAFETY: any bytes are an int.
            if unsafe { user::read(len)? } < 4 {
                return Err(errno::Errno(libc::EFAULT));
            }
            let millis = time
                .tv_sec
                .saturating_mul(1000)
                .saturating_add(time.tv_usec / 1000);
            user::write(
                value.cast::<c_int>(),
                c_int::try_from(millis).unwrap_or(c_int::MAX),
            )?;
            user::write(len, 4)?;
            Ok(0)
        })
    })
}

/// setsockopt. Times (SO_RCVTIMEO, SO_SNDTIMEO) are an int of milliseconds, 0 for ever.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_ws_setsockopt(
    socket: Socket,
    level: c_int,
    name: c_int,
    value: *const c_char,
    len: c_int,
) -> c_int {
    result(|| {
        if let (libc::SOL_SOCKET, SO_EXCLUSIVEADDRUSE | SO_DONTLINGER) = (level, name) {
            return set_opposite(number(socket), name, value, len);
        }
        if !is_time(level, name) || len != 4 {
            // SAFETY: the caller's own arguments.
            return unsafe {
                tunsock_setsockopt(number(socket), level, name, value.cast(), len as c_uint)
            };
        }
        // SAFETY: any bytes are a number.
        let millis = match unsafe { user::read(value.cast::<c_uint>()) } {
            Ok(millis) => millis,
            Err(fault) => return errno::answer(|| Err(fault)),
        };
        let time = tunsock_timeval {
            tv_sec: c_long::from(millis / 1000),
            tv_usec: c_long::from(millis % 1000) * 1000,
        };
        // SAFETY: `time` has the bytes that its size says.
        unsafe {
            let len = size_of::<tunsock_timeval>() as c_uint;
            tunsock_setsockopt(number(socket), level, name, (&raw const time).cast(), len)
        }
    })
}

/// Options that say the contrary of another: a flag that is on when that one is off.
fn set_opposite(fd: c_int, name: c_int, value: *const c_char, len: c_int) -> c_int {
    if len < 4 {
        return errno::answer(|| Err(errno::Errno(libc::EFAULT)));
    }
    // SAFETY: any bytes are an int.
    let on = match unsafe { user::read(value.cast::<c_int>()) } {
        // To linger takes a time, which SO_LINGER has.
        Ok(0) if name == SO_DONTLINGER => {
            return errno::answer(|| Err(errno::Errno(libc::EINVAL)));
        }
        Ok(on) => on != 0,
        Err(fault) => return errno::answer(|| Err(fault)),
    };
    let other = tunsock_linger {
        l_onoff: c_int::from(!on),
        l_linger: 0,
    };
    // struct linger begins with its flag: an int for the one option, all of it for the other.
    let len = match name {
        SO_DONTLINGER => size_of::<tunsock_linger>(),
        _ => size_of::<c_int>(),
    };
    // SAFETY: `other` has as many bytes.
    unsafe {
        tunsock_setsockopt(
            fd,
            libc::SOL_SOCKET,
            !name,
            (&raw const other).cast(),
            len as c_uint,
        )
    }
}

fn get_opposite(fd: c_int, name: c_int, value: *mut c_char, len: *mut c_int) -> c_int {
    let mut other = tunsock_linger {
        l_onoff: 0,
        l_linger: 0,
    };
    let mut room = size_of::<tunsock_linger>() as tunsock_socklen_t;
    // SAFETY: `other` has the room that `room` says.
    let outcome = unsafe {
        tunsock_getsockopt(
            fd,
            libc::SOL_SOCKET,
            !name,
            (&raw mut other).cast(),
            &raw mut room,
        )
    };
    if outcome != 0 {
        return outcome;
    }
    errno::answer(|| {
        // SAFETY: any bytes are an int.
        if unsafe { user::read(len)? } < 4 {
            return Err(errno::Errno(libc::EFAULT));
        }
        user::write(value.cast::<c_int>(), c_int::from(other.l_onoff == 0))?;
        user::write(len, 4)?;
        Ok(0)
    })
}

fn is_time(level: c_int, name: c_int) -> bool {
    level == libc::SOL_SOCKET && matches!(name, libc::SO_RCVTIMEO | libc::SO_SNDTIMEO)
}
