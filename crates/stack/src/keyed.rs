//! Hashing keyed from the stack's seed: peers cannot aim at one bucket, and the same seed gives the same order.

use std::hash::{BuildHasher, Hash};

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use siphasher::sip::SipHasher13;

/// SipHash-1-3 under a key drawn from the stack's random source.
#[derive(Copy, Clone, Debug)]
pub(crate) struct KeyedState {
    k0: u64,
    k1: u64,
}

/// A map whose hash nobody outside can predict.
pub(crate) type KeyedMap<K, V> = hashbrown::HashMap<K, V, KeyedState>;

impl KeyedState {
    /// Draws a key.
    pub(crate) fn new(rng: &mut ChaCha8Rng) -> KeyedState {
        KeyedState {
            k0: rng.next_u64(),
            k1: rng.next_u64(),
        }
    }

    /// An empty map under a key of its own.
    pub(crate) fn map<K, V>(rng: &mut ChaCha8Rng) -> KeyedMap<K, V> {
        KeyedMap::with_hasher(KeyedState::new(rng))
    }

    /// The keyed hash of anything.
    pub(crate) fn hash(&self, value: &impl Hash) -> u64 {
        self.hash_one(value)
    }
}

impl BuildHasher for KeyedState {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.k0, self.k1)
    }
}
