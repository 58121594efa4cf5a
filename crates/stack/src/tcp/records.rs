//! A queue of records for the scoreboard, in memory of its own that an idle connection does without.

use std::collections::VecDeque;

use super::sent::Sent;

/// An emptied queue gives up an index longer than this.
const KEEPS: usize = 8;

/// A queue of transmissions in order. It gets memory when something is sent, and keeps it until [`Records::rest`]: a request with its
/// answer must not cost an allocation.
#[derive(Default)]
pub(crate) struct Records(
    #[expect(clippy::box_collection, reason = "a null pointer while there is none")]
    Option<Box<VecDeque<Sent>>>,
);

impl Records {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |records| records.len())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Sent> {
        self.0.iter().flat_map(|records| records.iter())
    }

    /// In order, to change.
    pub(crate) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Sent> {
        self.0.iter_mut().flat_map(|records| records.iter_mut())
    }

    /// The one at `index`.
    pub(crate) fn get(&self, index: usize) -> Option<&Sent> {
        self.0.as_ref()?.get(index)
    }

    /// The one at `index`, to change.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Sent> {
        self.0.as_mut()?.get_mut(index)
    }

    /// The first.
    pub(crate) fn front(&self) -> Option<&Sent> {
        self.get(0)
    }

    /// The first, to change.
    pub(crate) fn front_mut(&mut self) -> Option<&mut Sent> {
        self.get_mut(0)
    }

    /// The last.
    pub(crate) fn back(&self) -> Option<&Sent> {
        self.0.as_ref()?.back()
    }

    /// The last, to change.
    pub(crate) fn back_mut(&mut self) -> Option<&mut Sent> {
        self.0.as_mut()?.back_mut()
    }

    /// How many at the beginning `pred` is true of; it must be true of none after the first of which it is not.
    pub(crate) fn partition_point(&self, pred: impl FnMut(&Sent) -> bool) -> usize {
        (self.0.as_ref()).map_or(0, |records| records.partition_point(pred))
    }

    /// Adds one behind the others.
    pub(crate) fn push_back(&mut self, record: Sent) {
        self.0
            .get_or_insert_with(|| Box::new(VecDeque::with_capacity(1)))
            .push_back(record);
    }

    /// Puts one in at `index`, at the end at most.
    pub(crate) fn insert(&mut self, index: usize, record: Sent) {
        let records = self.0.get_or_insert_default();
        records.insert(index.min(records.len()), record);
    }

    /// Takes the first away.
    pub(crate) fn pop_front(&mut self) -> Option<Sent> {
        let records = self.0.as_mut()?;
        let first = records.pop_front();
        if records.is_empty() && records.capacity() > KEEPS {
            self.0 = None;
        }
        first
    }

    /// Gives the memory back if nothing is in it.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() {
            self.0 = None;
        }
    }
}
