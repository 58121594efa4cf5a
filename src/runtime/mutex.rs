//! The library's locks.

use std::sync::{self, PoisonError, TryLockError};

/// std's mutex: a word that threads wait at with futex(2), and nothing else. So one that the forking thread holds can be let go in the
/// child. Locks whose waiters stand in a table of the process's (parking_lot's) can't: another thread may have been in the middle of
/// changing the table, and the child would wait for ever for that.
#[derive(Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

/// A [`Mutex`], held.
pub(crate) type MutexGuard<'a, T> = sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    /// Not held.
    pub(crate) const fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    /// Waits until nobody else holds it. A panic aborts, so what it guards is never left half done.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: somebody holds it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// What it guards: nobody else has a reference.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}
