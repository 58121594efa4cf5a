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

    /// The keyed hash of octets: that of numbers written one after the other, in less time.
    #[inline]
    pub(crate) fn hash_octets(&self, octets: &[u8]) -> u64 {
        self.build_hasher().hash(octets)
    }
}

/// For tables whose keys are no peer's to choose (what sockets of this host hold): each word multiplied in, under a key too.
#[derive(Copy, Clone, Debug)]
pub(crate) struct FoldedState(u64);

/// A map of such keys.
pub(crate) type FoldedMap<K, V> = hashbrown::HashMap<K, V, FoldedState>;

impl From<KeyedState> for FoldedState {
    fn from(key: KeyedState) -> FoldedState {
        FoldedState(key.k0)
    }
}

impl BuildHasher for FoldedState {
    type Hasher = Folded;

    #[inline]
    fn build_hasher(&self) -> Folded {
        Folded(self.0)
    }
}

/// See [`FoldedState`].
pub(crate) struct Folded(u64);

/// The golden ratio in 64 bits.
const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Folded {
    #[inline]
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * FACTOR;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    #[inline]
    fn write_u8(&mut self, n: u8) {
        self.write_u64(n.into());
    }

    #[inline]
    fn write_u16(&mut self, n: u16) {
        self.write_u64(n.into());
    }

    #[inline]
    fn write_u32(&mut self, n: u32) {
        self.write_u64(n.into());
    }

    #[inline]
    fn write_u128(&mut self, n: u128) {
        self.write_u64(n as u64);
        self.write_u64((n >> 64) as u64);
    }

    #[inline]
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn write(&mut self, octets: &[u8]) {
        for part in octets.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
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
