//! The caller's memory: a bad pointer is EFAULT and never a crash, where Linux would say EFAULT.
//!
//! Control calls copy through the kernel (process_vm_readv on ourselves), which checks every page at the price of one system
//! call. Data calls check only what costs nothing: NULL, the first 64 KB (never mapped: vm.mmap_min_addr) and the upper half of
//! the address space. A data buffer that passes this and is not mapped is a fault of the program's own, as with memcpy.

use std::mem::MaybeUninit;

use libc::c_void;

use super::errno::{CResult, Errno};
use crate::runtime::sys;

/// Below this nothing is ever mapped on a machine with the usual vm.mmap_min_addr.
const LOWEST: usize = 64 << 10;
/// First address that user space can't have: Linux gives out more than 47 bits (52 on arm64) only to who asks for it by a hint.
const HIGHEST: usize = if cfg!(target_arch = "x86_64") {
    1 << 47
} else {
    1 << 52
};

const EFAULT: Errno = Errno(libc::EFAULT);

/// Whether `len` bytes at `at` can be the caller's memory at all. Zero bytes are always fine, as the kernel never looks.
#[inline]
pub(super) fn check<T>(at: *const T, len: usize) -> CResult<()> {
    let start = at as usize;
    if len == 0 || ((LOWEST..HIGHEST).contains(&start) && len <= HIGHEST - start) {
        Ok(())
    } else {
        Err(EFAULT)
    }
}

/// Memory that user space can't have, of which Linux says EFAULT before it looks at anything else, even when it is of no length
/// (access_ok).
#[inline]
pub(super) fn outside<T>(at: *const T, len: usize) -> bool {
    let start = at as usize;
    start >= HIGHEST || len > HIGHEST - start
}

/// The caller's bytes at `at`.
///
/// # Safety
/// `at` passes `check` and, if it does, is readable and unchanged for `'a`.
#[inline]
pub(super) unsafe fn bytes<'a>(at: *const c_void, len: usize) -> CResult<&'a [u8]> {
    if len == 0 && !outside(at, 0) {
        return Ok(&[]);
    }
    check(at, len.max(1))?;
    // SAFETY: the caller vouches; not NULL by `check`; no object is larger than isize::MAX, lengths were clamped before.
    Ok(unsafe { std::slice::from_raw_parts(at.cast(), len) })
}

/// The caller's room at `at`.
///
/// # Safety
/// `at` passes `check` and, if it does, is writable and nobody else's for `'a`.
#[inline]
pub(super) unsafe fn room<'a>(at: *mut c_void, len: usize) -> CResult<&'a mut [u8]> {
    if len == 0 && !outside(at, 0) {
        return Ok(&mut []);
    }
    check(at, len.max(1))?;
    // SAFETY: the caller vouches; the bytes may be uninitialised for the compiler that made the caller, not for us.
    Ok(unsafe { std::slice::from_raw_parts_mut(at.cast(), len) })
}

/// Copies `to.len()` bytes from the caller's memory.
pub(super) fn copy_in(to: &mut [u8], from: *const c_void) -> CResult<()> {
    check(from, to.len())?;
    if to.is_empty()
        || through_kernel(
            libc::SYS_process_vm_readv,
            to.as_mut_ptr(),
            from.cast_mut(),
            to.len(),
        )?
    {
        return Ok(());
    }
    // SAFETY: not NULL or plainly wrong; where the kernel can't be asked the caller's word must do.
    unsafe { std::ptr::copy_nonoverlapping(from.cast(), to.as_mut_ptr(), to.len()) };
    Ok(())
}

/// Copies bytes to the caller's memory.
pub(super) fn copy_out(to: *mut c_void, from: &[u8]) -> CResult<()> {
    check(to, from.len())?;
    if from.is_empty()
        || through_kernel(
            libc::SYS_process_vm_writev,
            from.as_ptr().cast_mut(),
            to,
            from.len(),
        )?
    {
        return Ok(());
    }
    // SAFETY: as in `copy_in`.
    unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.cast(), from.len()) };
    Ok(())
}

/// Reads one plain C value.
///
/// # Safety
/// Every bit pattern is a `T`.
pub(crate) unsafe fn read<T: Copy>(from: *const T) -> CResult<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: exactly the value's own bytes.
    let bytes =
        unsafe { std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
    copy_in(bytes, from.cast())?;
    // SAFETY: the caller vouches that any bytes will do.
    Ok(unsafe { value.assume_init() })
}

/// As `read` for a call on the data path: the pointer is only checked for plain nonsense.
///
/// # Safety
/// Every bit pattern is a `T`, and a pointer that passes the check is readable.
#[inline]
pub(super) unsafe fn peek<T: Copy>(from: *const T) -> CResult<T> {
    check(from, size_of::<T>())?;
    // SAFETY: the caller vouches.
    Ok(unsafe { from.read_unaligned() })
}

/// Writes one plain C value.
pub(crate) fn write<T: Copy>(to: *mut T, value: T) -> CResult<()> {
    // SAFETY: exactly the value's own bytes; padding, where there is some, came from the caller's own structure.
    let bytes =
        unsafe { std::slice::from_raw_parts((&raw const value).cast::<u8>(), size_of::<T>()) };
    copy_out(to.cast(), bytes)
}

/// Moves bytes between us and ourselves by the kernel. `false`: it can't be asked here (an old kernel, a seccomp filter).
fn through_kernel(
    number: libc::c_long,
    ours: *mut u8,
    theirs: *mut c_void,
    len: usize,
) -> CResult<bool> {
    let local = libc::iovec {
        iov_base: ours.cast(),
        iov_len: len,
    };
    let remote = libc::iovec {
        iov_base: theirs,
        iov_len: len,
    };
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: `ours` is valid for `len` bytes by our callers; `theirs` is checked by the kernel.
    let moved = unsafe {
        sys::syscall(
            number,
            [
                pid as usize,
                &raw const local as usize,
                1,
                &raw const remote as usize,
                1,
                0,
            ],
        )
    };
    match moved {
        Ok(moved) if moved == len => Ok(true),
        Ok(_) | Err(rustix::io::Errno::FAULT) => Err(EFAULT),
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
#[allow(clippy::undocumented_unsafe_blocks)] // all of it on the test's own memory
mod tests {
    use super::*;

    #[test]
    fn bad_pointers_are_efault() {
        let mut two = [0u8; 2];
        assert_eq!(copy_in(&mut two, std::ptr::null()), Err(EFAULT));
        assert_eq!(copy_in(&mut two, 0x1000 as *const c_void), Err(EFAULT));
        assert_eq!(copy_in(&mut two, usize::MAX as *const c_void), Err(EFAULT));
        assert_eq!(
            copy_in(&mut two, (HIGHEST - 1) as *const c_void),
            Err(EFAULT)
        );
        // Canonical, plausible and not mapped.
        assert_eq!(
            copy_in(&mut two, 0x1234_5678_0000usize as *const c_void),
            Err(EFAULT)
        );
        // A page that may not be written.
        assert_eq!(
            copy_out(c"constant".as_ptr().cast_mut().cast(), b"x"),
            Err(EFAULT)
        );
        copy_in(&mut two, b"ok".as_ptr().cast()).unwrap();
        assert_eq!(&two, b"ok");
    }
}
