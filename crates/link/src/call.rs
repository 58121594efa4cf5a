//! System calls that rustix has no function for.

use libc::c_long;
use rustix::io::Errno;

/// One system call, by the processor's instruction: libc's `syscall` is a name that the library we are part of may define itself.
///
/// # Errors
/// As the call's man page says.
///
/// # Safety
/// As the call's man page demands of its arguments.
#[cfg(target_arch = "x86_64")]
pub unsafe fn syscall(number: c_long, args: [usize; 6]) -> Result<usize, Errno> {
    let result: isize;
    // SAFETY: the ABI of x86-64 Linux (syscall(2)): number in rax, arguments as listed, rcx and r11 clobbered.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    outcome(result)
}

/// One system call, by the processor's instruction: libc's `syscall` is a name that the library we are part of may define itself.
///
/// # Errors
/// As the call's man page says.
///
/// # Safety
/// As the call's man page demands of its arguments.
#[cfg(target_arch = "aarch64")]
pub unsafe fn syscall(number: c_long, args: [usize; 6]) -> Result<usize, Errno> {
    let result: isize;
    // SAFETY: the ABI of arm64 Linux (syscall(2)): number in x8, arguments in x0 to x5, result in x0.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number as usize,
            inlateout("x0") args[0] as isize => result,
            in("x1") args[1],
            in("x2") args[2],
            in("x3") args[3],
            in("x4") args[4],
            in("x5") args[5],
            options(nostack)
        );
    }
    outcome(result)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("tunsock has no system call instruction for this processor yet");

/// -4095..=-1 are errnos (syscall(2)).
fn outcome(result: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&result) {
        Err(Errno::from_raw_os_error(-(result as i32)))
    } else {
        Ok(result as usize)
    }
}
