//! One line at a time on standard error, as far as `--log` asks for it.

use std::fmt::{Arguments, Write};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use super::sys;

pub(crate) use tunsock_config::LogLevel as Level;

/// Writes `tunsock: …` when the level is asked for and descriptor 2 is still the standard error that the program began with: one
/// that it has closed since, or uses otherwise, is none of ours (and a duplicate would keep a pipeline's reader waiting).
pub(crate) fn log(level: Level, what: Arguments<'_>) {
    if !enabled(level) {
        return;
    }
    let began_with = (DEVICE.load(Relaxed), INODE.load(Relaxed));
    if sys::identity(STDERR) != Ok(began_with) {
        return;
    }
    let mut line = String::with_capacity(128);
    let _ = writeln!(line, "tunsock: {what}");
    // SAFETY: the number was open a moment ago; whatever it stands for, a write to it is what is wanted.
    let stderr = unsafe { rustix::fd::BorrowedFd::borrow_raw(STDERR) };
    let _ = rustix::io::write(stderr, line.as_bytes());
}

/// Whether lines of this level are asked for.
#[inline]
pub(super) fn enabled(level: Level) -> bool {
    level as u8 <= LEVEL.load(Relaxed)
}

/// Remembers what standard error is, and what is asked for.
pub(super) fn init(level: Level) {
    if let Ok((device, inode)) = sys::identity(STDERR) {
        DEVICE.store(device, Relaxed);
        INODE.store(inode, Relaxed);
    }
    LEVEL.store(level as u8, Relaxed);
}

const STDERR: i32 = 2;
static LEVEL: AtomicU8 = AtomicU8::new(Level::Warn as u8);
static DEVICE: AtomicU64 = AtomicU64::new(0);
static INODE: AtomicU64 = AtomicU64::new(0);
