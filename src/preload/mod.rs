//! The POSIX names: what makes an unmodified program ours. In the shared and the static library only.
//!
//! Each name passes its arguments to the `tunsock_*` function behind it, which asks once whether the descriptor is ours and hands
//! the call to libc's own function if not. None of this is in a test binary or in the command, whose own `read` and `close` would
//! be captured.
// The C ABI is what this room is for. Arguments are as many as the C functions have; their manual pages document them.
#![allow(
    unreachable_pub,
    clippy::missing_safety_doc,
    clippy::too_many_arguments,
    missing_docs
)]

mod dprintf;
mod files;
mod fortify;
mod process;
mod signals;
mod sockets;
mod stat;
mod stdio;
mod syscall;
mod waiting;

/// Defines exported C functions that only pass their arguments on.
macro_rules! pass {
    ($( $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? = $target:path; )*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: $type),*) $(-> $ret)? {
            // SAFETY: the caller's own arguments.
            unsafe { $target($($arg),*) }
        }
    )* };
}
use pass;

/// As [`pass`] for the calls that a program makes most: a number that was never ours goes to libc's own function at once, which is
/// a cancellation point where ours would be. Both are the last thing that is done, so no frame stands between the program and libc.
macro_rules! pass_ours {
    ($( $name:ident($fd:ident: $number:ty $(, $arg:ident: $type:ty)* $(,)?) -> $ret:ty = $target:path, else $original:path; )*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($fd: $number, $($arg: $type),*) -> $ret {
            // SAFETY: the caller's own arguments.
            unsafe {
                if crate::fd::never_ours($fd) {
                    $original($fd, $($arg as _),*)
                } else {
                    $target($fd, $($arg),*)
                }
            }
        }
    )* };
}
use pass_ours;
