//! Values under generation-checked handles, in pages: growing copies nothing and leaves no half of the memory empty, as a map that
//! doubles does.

use std::marker::PhantomData;

use slotmap::{Key, KeyData};

/// Values in a page.
const PAGE: usize = 64;
/// No place.
const NONE: u32 = u32::MAX;
/// Pages that an emptied slab keeps.
const PAGES_KEPT: usize = 16;

/// Values of `T` under handles of `K`. A handle whose value was removed is refused, also when its place is taken again.
pub(crate) struct Slab<K, T> {
    pages: Vec<Vec<Slot<T>>>,
    /// First of the free places, each of which names the next.
    free: u32,
    len: usize,
    /// Of a place that was never used.
    fresh_version: u32,
    keys: PhantomData<K>,
}

struct Slot<T> {
    /// Odd; another one for each use of the place.
    version: u32,
    /// Of a free place: the next one.
    next: u32,
    value: Option<T>,
}

impl<K: Key, T> Default for Slab<K, T> {
    fn default() -> Self {
        Slab {
            pages: Vec::new(),
            free: NONE,
            len: 0,
            fresh_version: 1,
            keys: PhantomData,
        }
    }
}

fn key<K: Key>(index: u32, version: u32) -> K {
    KeyData::from_ffi(u64::from(version) << 32 | u64::from(index)).into()
}

/// The place and the version that a handle names.
fn parts(id: impl Key) -> (u32, u32) {
    let data = id.data().as_ffi();
    (data as u32, (data >> 32) as u32)
}

/// The place that a handle names: as long as its value is there no other handle names the same.
pub(crate) fn index(id: impl Key) -> u32 {
    parts(id).0
}

impl<K: Key, T> Slab<K, T> {
    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        let index = index as usize;
        self.pages.get(index / PAGE)?.get(index % PAGE)
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        let index = index as usize;
        self.pages.get_mut(index / PAGE)?.get_mut(index % PAGE)
    }

    /// The value of `id`, unless it was removed.
    pub(crate) fn get(&self, id: K) -> Option<&T> {
        let (index, version) = parts(id);
        let slot = self.slot(index).filter(|slot| slot.version == version)?;
        slot.value.as_ref()
    }

    /// The value of `id`, to change.
    pub(crate) fn get_mut(&mut self, id: K) -> Option<&mut T> {
        let (index, version) = parts(id);
        let slot = self.slot_mut(index).filter(|s| s.version == version)?;
        slot.value.as_mut()
    }

    /// The value at a place, with its handle.
    pub(crate) fn at(&self, index: u32) -> Option<(K, &T)> {
        let slot = self.slot(index)?;
        Some((key(index, slot.version), slot.value.as_ref()?))
    }

    /// The value at a place, to change.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slot_mut(index)?.value.as_mut()
    }

    /// Whether `id` has a value.
    pub(crate) fn contains_key(&self, id: K) -> bool {
        self.get(id).is_some()
    }

    /// Adds a value.
    pub(crate) fn insert(&mut self, value: T) -> K {
        self.len += 1;
        let index = self.free;
        if let Some(slot) = self.slot_mut(index) {
            slot.value = Some(value);
            let (version, next) = (slot.version, slot.next);
            self.free = next;
            return key(index, version);
        }
        let version = self.fresh_version;
        let slot = Slot {
            version,
            next: NONE,
            value: Some(value),
        };
        match self.pages.last_mut() {
            Some(page) if page.len() < PAGE => page.push(slot),
            _ => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(slot);
                self.pages.push(page);
            }
        }
        let before = (self.pages.len() - 1) * PAGE;
        let index = before + self.pages.last().map_or(1, Vec::len) - 1;
        key(index as u32, version)
    }

    /// Takes the value of `id` away.
    pub(crate) fn remove(&mut self, id: K) -> Option<T> {
        let (index, version) = parts(id);
        let free = self.free;
        let slot = self.slot_mut(index).filter(|s| s.version == version)?;
        let value = slot.value.take()?;
        slot.version = version.wrapping_add(2);
        slot.next = free;
        self.free = index;
        self.len -= 1;
        if self.len == 0 && self.pages.len() > PAGES_KEPT {
            self.shrink();
        }
        Some(value)
    }

    /// Gives the memory of an emptied slab back: what a flood has filled. No old handle fits what comes later.
    fn shrink(&mut self) {
        let versions = self.pages.iter().flatten().map(|slot| slot.version);
        self.fresh_version = versions.max().unwrap_or(self.fresh_version);
        self.pages = Vec::new();
        self.free = NONE;
    }

    /// All values, with their handles.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        let slots = self.pages.iter().flatten().enumerate();
        slots.filter_map(|(index, slot)| {
            Some((key(index as u32, slot.version), slot.value.as_ref()?))
        })
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K, T> std::fmt::Debug for Slab<K, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slab")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// A page of them, each with the version of the handle that it belongs to.
type Places<V> = [Option<(u32, V)>; PAGE];

/// What some of the values of a slab, or of a slot map, have beside them.
pub(crate) struct Beside<K, V> {
    pages: Vec<Option<Box<Places<V>>>>,
    len: usize,
    keys: PhantomData<K>,
}

impl<K: Key, V: Copy> Default for Beside<K, V> {
    fn default() -> Self {
        Beside {
            pages: Vec::new(),
            len: 0,
            keys: PhantomData,
        }
    }
}

impl<K: Key, V: Copy> Beside<K, V> {
    /// How many have something.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn place(&mut self, index: u32) -> Option<&mut Option<(u32, V)>> {
        let index = index as usize;
        self.pages
            .get_mut(index / PAGE)?
            .as_mut()?
            .get_mut(index % PAGE)
    }

    /// What `id` has.
    pub(crate) fn get(&self, id: K) -> Option<&V> {
        let (index, version) = parts(id);
        let page = self.pages.get(index as usize / PAGE)?.as_ref()?;
        match page.get(index as usize % PAGE)? {
            Some((of, value)) if *of == version => Some(value),
            _ => None,
        }
    }

    /// What `id` has, to change.
    pub(crate) fn get_mut(&mut self, id: K) -> Option<&mut V> {
        let (index, version) = parts(id);
        match self.place(index)? {
            Some((of, value)) if *of == version => Some(value),
            _ => None,
        }
    }

    /// Whether `id` has something.
    pub(crate) fn contains_key(&self, id: K) -> bool {
        self.get(id).is_some()
    }

    /// Gives `id` a value. False when a later handle has the place.
    pub(crate) fn insert(&mut self, id: K, value: V) -> bool {
        let (index, version) = parts(id);
        let page = index as usize / PAGE;
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        if let Some(page @ None) = self.pages.get_mut(page) {
            *page = Some(Box::new([None; PAGE]));
        }
        let Some(place) = self.place(index) else {
            return false;
        };
        // Versions grow; the difference is taken so that they may wrap.
        let stale = place.is_some_and(|(of, _)| (version.wrapping_sub(of) as i32) < 0);
        if stale {
            return false;
        }
        let fresh = place.replace((version, value)).is_none();
        self.len += usize::from(fresh);
        true
    }

    /// Takes away what `id` has.
    pub(crate) fn remove(&mut self, id: K) -> Option<V> {
        let (index, version) = parts(id);
        let place = self.place(index)?;
        let (_, value) = place.take_if(|(of, _)| *of == version)?;
        self.len -= 1;
        Some(value)
    }

    /// All, with their handles.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        let pages = self.pages.iter().enumerate();
        pages.flat_map(|(page, places)| {
            let places = places.iter().flat_map(|places| places.iter()).enumerate();
            places.filter_map(move |(at, place)| {
                let (version, value) = place.as_ref()?;
                Some((key((page * PAGE + at) as u32, *version), value))
            })
        })
    }
}

impl<K, V> std::fmt::Debug for Beside<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Beside")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::DefaultKey;

    #[test]
    fn values_are_found_by_their_handle_alone() {
        let mut slab: Slab<DefaultKey, usize> = Slab::default();
        let ids: Vec<_> = (0..1000).map(|n| slab.insert(n)).collect();
        assert_eq!((slab.len(), slab.values().sum::<usize>()), (1000, 499_500));
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(slab.get(*id), Some(&n));
            assert_eq!(slab.at(index(*id)), Some((*id, &n)));
        }
        for id in ids.iter().step_by(3) {
            assert!(slab.remove(*id).is_some() && slab.remove(*id).is_none());
        }
        let again: Vec<_> = (0..334).map(|n| slab.insert(10_000 + n)).collect();
        assert_eq!(
            slab.pages.len(),
            1000usize.div_ceil(PAGE),
            "places are used again"
        );
        assert!(ids.iter().step_by(3).all(|id| slab.get(*id).is_none()));
        assert!(again.iter().all(|id| slab.get(*id) >= Some(&10_000)));
        assert_eq!(slab.iter().count(), 1000);
    }

    #[test]
    fn an_emptied_slab_gives_its_memory_back_and_believes_no_old_handle() {
        let mut slab: Slab<DefaultKey, usize> = Slab::default();
        let mut old = Vec::new();
        for round in 0..3 {
            let ids: Vec<_> = (0..5000).map(|n| slab.insert(n)).collect();
            assert!(
                old.iter().all(|id| !slab.contains_key(*id)),
                "round {round}"
            );
            for id in &ids {
                slab.remove(*id);
            }
            assert_eq!((slab.len(), slab.pages.len()), (0, 0));
            old.extend(ids);
        }
    }

    #[test]
    fn what_stands_beside_a_value_is_its_alone() {
        let mut slab: Slab<DefaultKey, ()> = Slab::default();
        let mut beside = Beside::default();
        let ids: Vec<_> = (0..200).map(|_| slab.insert(())).collect();
        for (n, id) in ids.iter().enumerate().step_by(2) {
            assert!(beside.insert(*id, n));
        }
        assert_eq!((beside.len(), beside.iter().count()), (100, 100));
        assert_eq!(beside.get(ids[4]), Some(&4));
        assert!(beside.get(ids[5]).is_none());
        slab.remove(ids[4]);
        let later = slab.insert(());
        assert!(
            beside.get(later).is_none(),
            "the place is the same, the handle is not"
        );
        assert!(beside.insert(later, 7) && !beside.insert(ids[4], 8));
        assert_eq!(
            (beside.remove(ids[4]), beside.remove(later)),
            (None, Some(7))
        );
        assert_eq!(beside.len(), 99);
    }
}
