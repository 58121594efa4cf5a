//! Hashing keyed from the stack's seed: peers cannot aim at one bucket, and the same seed gives the same order.

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

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

/// Hashes an address in one word of 4 or 16 octets.
#[inline]
pub(crate) fn hash_ip<H: Hasher>(addr: IpAddr, state: &mut H) {
    match addr {
        IpAddr::V4(a) => state.write_u32(a.to_bits()),
        IpAddr::V6(a) => state.write_u128(a.to_bits()),
    }
}

/// An address and a port as a key: hashed in few words. Flow labels and scopes count for equality alone.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct EndKey(pub(crate) SocketAddr);

impl Hash for EndKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let port = self.0.port();
        match self.0.ip() {
            IpAddr::V4(a) => state.write_u64(u64::from(a.to_bits()) << 16 | u64::from(port)),
            addr @ IpAddr::V6(_) => {
                hash_ip(addr, state);
                state.write_u16(port);
            }
        }
    }
}

impl BuildHasher for KeyedState {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.k0, self.k1)
    }
}
