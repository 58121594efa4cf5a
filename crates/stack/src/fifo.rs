//! Queues through values of a slab: who waits equally long stands in one, the next to be due in front, and leaves it from anywhere.

use slotmap::Key;

use crate::slab::{self, Slab};

/// No neighbour.
const NONE: u32 = u32::MAX;

/// A value's neighbours in its queue, by place.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Links {
    before: u32,
    behind: u32,
}

impl Default for Links {
    fn default() -> Links {
        Links {
            before: NONE,
            behind: NONE,
        }
    }
}

/// A value that may stand in one queue at a time.
pub(crate) trait Linked {
    /// Its neighbours.
    fn links(&mut self) -> &mut Links;
}

/// A queue through values of a slab.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Fifo {
    front: u32,
    back: u32,
}

impl Default for Fifo {
    fn default() -> Fifo {
        Fifo {
            front: NONE,
            back: NONE,
        }
    }
}

impl Fifo {
    /// Who stands in front.
    pub(crate) fn front<'a, K: Key, T>(&self, slab: &'a Slab<K, T>) -> Option<(K, &'a T)> {
        slab.at(self.front)
    }

    /// Puts `id`, which stands in no queue, at the back.
    pub(crate) fn push<K: Key, T: Linked>(&mut self, slab: &mut Slab<K, T>, id: K) {
        let place = slab::index(id);
        let Some(value) = slab.get_mut(id) else {
            return;
        };
        *value.links() = Links {
            before: self.back,
            behind: NONE,
        };
        match slab.at_mut(self.back) {
            Some(last) => last.links().behind = place,
            None => self.front = place,
        }
        self.back = place;
    }

    /// Takes `id`, which stands in this queue, out of it.
    pub(crate) fn take<K: Key, T: Linked>(&mut self, slab: &mut Slab<K, T>, id: K) {
        let Some(value) = slab.get_mut(id) else {
            return;
        };
        let Links { before, behind } = std::mem::take(value.links());
        match slab.at_mut(before) {
            Some(value) => value.links().behind = behind,
            None => self.front = behind,
        }
        match slab.at_mut(behind) {
            Some(value) => value.links().before = before,
            None => self.back = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::DefaultKey;

    #[derive(Default)]
    struct Waiter(Links);

    impl Linked for Waiter {
        fn links(&mut self) -> &mut Links {
            &mut self.0
        }
    }

    fn all(queue: &mut Fifo, slab: &mut Slab<DefaultKey, Waiter>) -> Vec<DefaultKey> {
        std::iter::from_fn(|| {
            let (id, _) = queue.front(slab)?;
            queue.take(slab, id);
            Some(id)
        })
        .collect()
    }

    #[test]
    fn whoever_leaves_the_others_keep_their_order() {
        for gone in [0, 1, 4, 9] {
            let (mut queue, mut slab) = (Fifo::default(), Slab::default());
            let mut ids: Vec<_> = (0..10).map(|_| slab.insert(Waiter::default())).collect();
            for id in &ids {
                queue.push(&mut slab, *id);
            }
            let id = ids.remove(gone);
            queue.take(&mut slab, id);
            queue.push(&mut slab, id);
            ids.push(id);
            assert_eq!(all(&mut queue, &mut slab), ids);
            assert!(queue.front(&slab).is_none());
        }
    }
}
