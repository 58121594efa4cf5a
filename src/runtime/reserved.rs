//! Descriptor numbers that are the library's own. The program does not know them: its close of such a number finds nothing
//! (daemons close everything that might be open).

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::*};

/// This number is ours.
pub(crate) fn reserve(fd: i32) {
    if let Some((word, bit)) = place(fd, true) {
        word.fetch_or(bit, AcqRel);
    }
}

/// This number is free again.
pub(crate) fn release(fd: i32) {
    if let Some((word, bit)) = place(fd, false) {
        word.fetch_and(!bit, AcqRel);
    }
}

/// Whether the number is one of the library's own. Lock-free.
pub(crate) fn is_reserved(fd: i32) -> bool {
    place(fd, false).is_some_and(|(word, bit)| word.load(Acquire) & bit != 0)
}

/// Bits of one page: 1024 numbers.
type Page = [AtomicU64; 16];

/// Pages by number / 1024, made when first needed and never freed; up to 2^20, above which the library takes no number.
static PAGES: [AtomicPtr<Page>; 1024] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 1024];

fn place(fd: i32, make: bool) -> Option<(&'static AtomicU64, u64)> {
    let number = usize::try_from(fd).ok()?;
    let slot = PAGES.get(number / 1024)?;
    let mut page = slot.load(Acquire);
    if page.is_null() {
        if !make {
            return None;
        }
        let fresh = Box::into_raw(Box::new([const { AtomicU64::new(0) }; 16]));
        page = match slot.compare_exchange(std::ptr::null_mut(), fresh, AcqRel, Acquire) {
            Ok(_) => fresh,
            Err(there) => {
                // SAFETY: `fresh` came from Box::into_raw just now and nobody else has seen it.
                drop(unsafe { Box::from_raw(fresh) });
                there
            }
        };
    }
    // SAFETY: a page in the array is a leaked box, never freed.
    let page: &'static Page = unsafe { &*page };
    Some((page.get(number % 1024 / 64)?, 1 << (number % 64)))
}
