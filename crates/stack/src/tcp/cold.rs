//! State that an idle connection does without: it stands in memory of its own from the first change on, and goes when it says nothing
//! any more.

use std::ops::{Deref, DerefMut};

/// State of which most connections have nothing to say most of the time.
pub(crate) trait Calm: Default + PartialEq + 'static {
    /// What is read while there is none.
    fn calm() -> &'static Self;
}

/// A `T` that takes no memory while it is as [`Calm::calm`] says. Changing any of it gets memory; [`Cold::rest`] gives it back, which
/// is for idle connections: a busy one should find its memory where it was.
#[derive(Debug)]
pub(crate) struct Cold<T>(Option<Box<T>>);

impl<T: Calm> Cold<T> {
    /// Gives the memory back if nothing would be lost.
    pub(crate) fn rest(&mut self) {
        if self.0.as_deref() == Some(T::calm()) {
            self.0 = None;
        }
    }
}

impl<T> Default for Cold<T> {
    fn default() -> Cold<T> {
        Cold(None)
    }
}

impl<T: Calm> Deref for Cold<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(there) => there,
            None => T::calm(),
        }
    }
}

impl<T: Calm> DerefMut for Cold<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}
