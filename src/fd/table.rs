//! Number → what it stands for, looked up without a lock.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::*};

use arc_swap::ArcSwapOption;
use libc::c_int;
use once_cell::race::OnceBox;
use rustix::io::Errno;

use super::{Object, SocketFile};
use crate::runtime::critical::Critical;
use crate::runtime::{self, Mutex, MutexGuard, owner, sys};

/// A number's entry. The identity is what `fstat` says of the kernel descriptor at the number: when it says otherwise later, the
/// number has changed hands beyond our sight and the entry is stale.
pub(super) struct Entry {
    /// What it stands for.
    pub(super) object: Object,
    identity: (u64, u64),
}

/// What `fd` stands for; `None`: not ours, the kernel's affair. Lock-free, safe in a signal handler.
#[inline]
pub(crate) fn lookup(fd: c_int) -> Option<Object> {
    if !EVER.load(Acquire) {
        return None;
    }
    let (page, index) = page(fd)?;
    if !page.was_ours(index) {
        return None;
    }
    let slot = page.slots.get(index)?;
    slot.load().as_ref().map(|entry| entry.object.clone())
}

/// True: nothing of ours ever stood at `fd`, so its calls are libc's own affair. Three loads, no lock and no reference: what a call pays
/// that is not the stack's.
#[inline]
pub(crate) fn never_ours(fd: c_int) -> bool {
    !EVER.load(Acquire) || page(fd).is_none_or(|(page, index)| !page.was_ours(index))
}

/// [`lookup`] for calls that are slow anyway: a number that changed hands beyond our sight (closed by a raw system call, say)
/// loses its entry here. One fstat.
pub(crate) fn lookup_checked(fd: c_int) -> Option<Object> {
    let (entry, there) = look_at(fd)?;
    if there {
        return Some(entry.object.clone());
    }
    // A child of vfork has numbers of its own, and the entries are its parent's.
    if owner::is_borrowed() {
        return None;
    }
    // A number that gets another descriptor by our own hand is at odds with its entry for a moment.
    let _inside = Critical::enter();
    changing().lookup(fd)
}

/// The number's entry, and whether the descriptor that it was made for is there.
fn look_at(fd: c_int) -> Option<(Arc<Entry>, bool)> {
    if !EVER.load(Acquire) {
        return None;
    }
    let entry = slot(fd)?.load_full()?;
    let there = sys::identity(fd) == Ok(entry.identity);
    Some((entry, there))
}

/// A number for a socket, the lowest free one not below `min`: a duplicate of the master socket. EMFILE comes from the kernel.
pub(super) fn new_number(cloexec: bool, min: c_int) -> Result<c_int, Errno> {
    let command = if cloexec {
        libc::F_DUPFD_CLOEXEC
    } else {
        libc::F_DUPFD
    };
    sys::fcntl(master()?, command, min)
}

/// The number stands for this from now on. What it stood for before is stale and comes back.
pub(super) fn install(fd: c_int, object: Object) -> Result<Option<Arc<Entry>>, Errno> {
    let identity = match &object {
        Object::Socket(_) | Object::Inherited(_) => Master::get()?.identity,
        Object::Relay(_) | Object::Epoll(_) | Object::Netlink(_) => sys::identity(fd)?,
    };
    let Some(slot) = slot_or_make(fd) else {
        return Err(Errno::MFILE);
    };
    let old = slot.swap(Some(Arc::new(Entry { object, identity })));
    if let Some((page, index)) = page(fd) {
        page.note(index);
    }
    EVER.store(true, Release);
    Ok(old)
}

/// The number stands for nothing of ours any more.
pub(super) fn take(fd: c_int) -> Option<Arc<Entry>> {
    if !EVER.load(Acquire) {
        return None;
    }
    slot(fd)?.swap(None)
}

/// While this lives, no number of ours is closed or replaced by another thread, so that a number and its entry, which can't change at
/// the same moment, change as one. Taken before every other lock; no handler may run meanwhile (`Critical`).
pub(super) struct Changing {
    _held: MutexGuard<'static, ()>,
}

/// See [`Changing`].
pub(super) fn changing() -> Changing {
    Changing {
        _held: CHANGING.lock(),
    }
}

impl Changing {
    /// [`lookup_checked`], and the answer holds as long as this lives.
    pub(super) fn lookup(&self, fd: c_int) -> Option<Object> {
        let (entry, there) = look_at(fd)?;
        if there {
            return Some(entry.object.clone());
        }
        slot(fd)?.compare_and_swap(&entry, None);
        None
    }
}

static CHANGING: Mutex<()> = Mutex::new(());

/// Every number of a socket that has no relay. A walk over all numbers that were ever ours.
pub(super) fn numbers_of(file: &Arc<SocketFile>) -> Vec<c_int> {
    numbers(|object| match object {
        Object::Socket(other) | Object::Inherited(other) => Arc::ptr_eq(file, other),
        Object::Relay(_) | Object::Epoll(_) | Object::Netlink(_) => false,
    })
}

/// Whether a socket has a number, of its own or with a relay.
pub(super) fn has_numbers(file: &Arc<SocketFile>) -> bool {
    let its = numbers(|object| match object {
        Object::Socket(other) | Object::Relay(other) | Object::Inherited(other) => {
            Arc::ptr_eq(file, other)
        }
        Object::Epoll(_) | Object::Netlink(_) => false,
    });
    !its.is_empty()
}

/// Every socket, for each of its numbers.
pub(super) fn sockets() -> Vec<Arc<SocketFile>> {
    let numbers = numbers(|object| matches!(object, Object::Socket(_)));
    let file = |number| match lookup(number) {
        Some(Object::Socket(file)) => Some(file),
        _ => None,
    };
    numbers.into_iter().filter_map(file).collect()
}

/// In a forked child: the sockets are inherited ones.
pub(super) fn inherit() {
    for number in numbers(|object| matches!(object, Object::Socket(_))) {
        if let Some(Object::Socket(file)) = lookup(number) {
            let _ = install(number, Object::Inherited(file));
        }
    }
}

/// Every number that is a relay's end.
pub(super) fn relays() -> Vec<c_int> {
    numbers(|object| matches!(object, Object::Relay(_)))
}

fn numbers(wanted: impl Fn(&Object) -> bool) -> Vec<c_int> {
    let all = (0..).zip(&PAGES).filter_map(|(number, place)| {
        let page = place.load(Acquire);
        // SAFETY: a page in the array is a leaked box, never freed.
        (!page.is_null()).then(|| (number * PAGE, unsafe { &*page }))
    });
    let entries = all.flat_map(|(first, page)| (first..).zip(page.slots.iter()));
    let matching = entries.filter(|(_, slot)| {
        let entry = slot.load();
        entry.as_ref().is_some_and(|entry| wanted(&entry.object))
    });
    matching
        .filter_map(|(number, _)| c_int::try_from(number).ok())
        .collect()
}

/// The master: an AF_UNIX socket, made once, of which every socket's number is a duplicate. So `fstat` says socket, and
/// `/proc/self/fd` too.
pub(super) fn master() -> Result<c_int, Errno> {
    Master::get().map(|master| master.fd)
}

/// Whether a socket's descriptor stands at the number in this process, whoever has the entries.
pub(super) fn is_sockets(fd: c_int) -> bool {
    (MASTER.get()).is_some_and(|master| sys::identity(fd) == Ok(master.identity))
}

struct Master {
    fd: c_int,
    identity: (u64, u64),
}

impl Master {
    /// Of two threads that make it at once the loser's is dropped.
    fn get() -> Result<&'static Master, Errno> {
        MASTER.get_or_try_init(|| {
            let fd = sys::unix_socket()?;
            runtime::reserve(fd);
            let mut master = Box::new(Master {
                fd,
                identity: (0, 0),
            });
            master.identity = sys::identity(fd)?;
            Ok(master)
        })
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        runtime::release(self.fd);
        let _ = sys::close(self.fd);
    }
}

/// Entries of 1024 numbers.
struct Page {
    /// A bit for each number that was ever ours. It stays: what comes and goes is told by the slot, and most numbers of a program
    /// never are, for which this is all that is read.
    ours: [AtomicU64; PAGE / 64],
    slots: [ArcSwapOption<Entry>; PAGE],
}

impl Page {
    #[inline]
    fn was_ours(&self, index: usize) -> bool {
        let word = self.ours.get(index / 64);
        word.is_some_and(|word| word.load(Acquire) >> (index % 64) & 1 != 0)
    }

    fn note(&self, index: usize) {
        if let Some(word) = self.ours.get(index / 64) {
            word.fetch_or(1 << (index % 64), Release);
        }
    }
}

const PAGE: usize = 1024;

/// Pages by number / 1024, made when first needed and never freed: numbers up to 2^24 (fs.nr_open is 2^20 unless raised).
static PAGES: [AtomicPtr<Page>; 16384] = [const { AtomicPtr::new(ptr::null_mut()) }; 16384];

/// Something of ours was opened at some time.
static EVER: AtomicBool = AtomicBool::new(false);

static MASTER: OnceBox<Master> = OnceBox::new();

/// The page of a number, if there is one, and the number's index in it.
#[inline]
fn page(fd: c_int) -> Option<(&'static Page, usize)> {
    let number = usize::try_from(fd).ok()?;
    let page = PAGES.get(number / PAGE)?.load(Acquire);
    if page.is_null() {
        return None;
    }
    // SAFETY: a page in the array is a leaked box, never freed.
    Some((unsafe { &*page }, number % PAGE))
}

#[inline]
fn slot(fd: c_int) -> Option<&'static ArcSwapOption<Entry>> {
    let (page, index) = page(fd)?;
    page.slots.get(index)
}

fn slot_or_make(fd: c_int) -> Option<&'static ArcSwapOption<Entry>> {
    let number = usize::try_from(fd).ok()?;
    let place = PAGES.get(number / PAGE)?;
    if place.load(Acquire).is_null() {
        let fresh = Box::into_raw(Box::new(Page {
            ours: [const { AtomicU64::new(0) }; PAGE / 64],
            slots: [const { ArcSwapOption::const_empty() }; PAGE],
        }));
        if place
            .compare_exchange(ptr::null_mut(), fresh, AcqRel, Acquire)
            .is_err()
        {
            // SAFETY: `fresh` came from Box::into_raw just now and nobody else has seen it.
            drop(unsafe { Box::from_raw(fresh) });
        }
    }
    slot(fd)
}

/// The last owner of an entry, if this is it, gets the object out.
pub(super) fn into_object(entry: Arc<Entry>) -> Option<Object> {
    Arc::into_inner(entry).map(|entry| entry.object)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a socket costs beside the stack's part: its description and its entry (an `Arc` has two counts before what is in it), and a place of a page.
    #[test]
    fn a_descriptor_of_a_socket_stays_small() {
        let counts = 2 * size_of::<usize>();
        let description = counts + size_of::<super::super::SocketFile>();
        let entry = counts + size_of::<Entry>();
        let place = size_of::<ArcSwapOption<Entry>>();
        println!("description {description}, entry {entry}, place {place} octets");
        assert!(description <= 64 && entry <= 48 && place <= 8);
    }
}
