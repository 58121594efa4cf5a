//! dprintf and its kin: libc's write to the descriptor inside libc. For a socket of ours the text is made first and then written as any other.

use libc::{c_char, c_int, c_void};

use crate::capi::{originals, tunsock_write};
use crate::fd::{self, Object};

/// What `va_list` is as a parameter: an array on x86-64 and a large structure on arm64, so the address of one either way.
type Arguments = *mut c_void;

unsafe extern "C" {
    fn vasprintf(text: *mut *mut c_char, format: *const c_char, arguments: Arguments) -> c_int;
    fn __vasprintf_chk(
        text: *mut *mut c_char,
        flag: c_int,
        format: *const c_char,
        arguments: Arguments,
    ) -> c_int;
    /// dprintf.c: calls `vdprintf` below, with its arguments as a list.
    fn tunsock_dprintf_named();
    /// dprintf.c: calls `__vdprintf_chk` below, with its arguments as a list.
    fn tunsock_dprintf_checked();
}

// Stable Rust can't define a variadic function, and what a C object defines is not exported from a Rust library: a name of ours jumps to
// the C function with every argument where its caller put it.
macro_rules! variadic {
    ($name:ident => $target:ident) => {
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name() {
            #[cfg(target_arch = "x86_64")]
            core::arch::naked_asm!("jmp {}", sym $target);
            #[cfg(target_arch = "aarch64")]
            core::arch::naked_asm!("b {}", sym $target);
        }
    };
}
variadic!(dprintf => tunsock_dprintf_named);
variadic!(__dprintf_chk => tunsock_dprintf_checked);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdprintf(fd: c_int, format: *const c_char, arguments: Arguments) -> c_int {
    if !is_ours(fd) {
        // SAFETY: the caller's own arguments.
        return unsafe { originals::vdprintf(fd, format, arguments) };
    }
    let mut text = std::ptr::null_mut();
    // SAFETY: the caller's own arguments.
    let len = unsafe { vasprintf(&raw mut text, format, arguments) };
    // SAFETY: what vasprintf says.
    unsafe { write_out(fd, text, len) }
}

/// What `_FORTIFY_SOURCE` makes of vdprintf.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdprintf_chk(
    fd: c_int,
    flag: c_int,
    format: *const c_char,
    arguments: Arguments,
) -> c_int {
    if !is_ours(fd) {
        // SAFETY: the caller's own arguments.
        return unsafe { originals::__vdprintf_chk(fd, flag, format, arguments) };
    }
    let mut text = std::ptr::null_mut();
    // SAFETY: the caller's own arguments.
    let len = unsafe { __vasprintf_chk(&raw mut text, flag, format, arguments) };
    // SAFETY: what vasprintf says.
    unsafe { write_out(fd, text, len) }
}

fn is_ours(fd: c_int) -> bool {
    matches!(fd::settle(fd), Some(Object::Socket(_)))
}

/// Writes the text whole, as libc's stream does, and gives it back. The length, or -1.
///
/// # Safety
/// With `len` 0 or more, `text` is so long and from malloc.
unsafe fn write_out(fd: c_int, text: *mut c_char, len: c_int) -> c_int {
    let Ok(size) = usize::try_from(len) else {
        return len;
    };
    let mut done = 0;
    let mut result = len;
    while done < size {
        // SAFETY: what is left of the caller's text.
        match usize::try_from(unsafe { tunsock_write(fd, text.add(done).cast(), size - done) }) {
            Ok(sent) if sent > 0 => done += sent,
            _ => {
                result = -1;
                break;
            }
        }
    }
    // SAFETY: from malloc, and not used any more; errno is the calling thread's, and glibc's free leaves it alone.
    unsafe { libc::free(text.cast()) };
    result
}
