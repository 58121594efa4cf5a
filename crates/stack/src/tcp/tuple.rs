//! The 4-tuple by which a segment finds its connection.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use crate::keyed::{KeyedState, hash_ip};

/// Local and remote address and port, host order. Never IPv4-mapped.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tuple {
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

/// Looked up with every segment: few and whole words are hashed sooner than the parts of an [`IpAddr`].
impl Hash for Tuple {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_ip(self.local, state);
        hash_ip(self.remote, state);
        state.write_u32(u32::from(self.local_port) << 16 | u32::from(self.remote_port));
    }
}

impl Tuple {
    /// From two ends of one family.
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> Tuple {
        Tuple {
            local: local.ip(),
            remote: remote.ip(),
            local_port: local.port(),
            remote_port: remote.port(),
        }
    }

    /// `key.hash(self)` in less time.
    #[inline]
    pub(crate) fn keyed(&self, key: &KeyedState) -> u64 {
        match self.packed() {
            Some(bits) => key.hash_octets(&bits.to_le_bytes()[..12]),
            None => key.hash(self),
        }
    }

    /// `key.hash(&(tag, self))` in less time.
    #[inline]
    pub(crate) fn keyed_for(&self, tag: u8, key: &KeyedState) -> u64 {
        match self.packed() {
            Some(bits) => key.hash_octets(&(bits << 8 | u128::from(tag)).to_le_bytes()[..13]),
            None => key.hash(&(tag, self)),
        }
    }

    /// What is hashed of an IPv4 tuple, the first in the lowest octets.
    #[inline]
    fn packed(&self) -> Option<u128> {
        let (IpAddr::V4(local), IpAddr::V4(remote)) = (self.local, self.remote) else {
            return None;
        };
        let ports = u128::from(self.local_port) << 16 | u128::from(self.remote_port);
        Some(ports << 64 | u128::from(remote.to_bits()) << 32 | u128::from(local.to_bits()))
    }

    /// Whether the addresses are IPv4.
    pub(crate) fn is_v4(&self) -> bool {
        self.local.is_ipv4()
    }

    /// Our end.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        SocketAddr::new(self.local, self.local_port)
    }

    /// The peer's end.
    pub(crate) fn remote_addr(&self) -> SocketAddr {
        SocketAddr::new(self.remote, self.remote_port)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn the_short_ways_to_hash_come_to_the_same() {
        let key = KeyedState::new(&mut ChaCha8Rng::from_seed([3; 32]));
        for ends in [
            ["10.1.2.3:80", "192.168.254.255:65535"],
            ["[2001:db8::1]:80", "[fe80::ffff]:1"],
        ] {
            let [local, remote] = ends.map(|end| end.parse().expect("an end"));
            let tuple = Tuple::new(local, remote);
            assert_eq!(tuple.keyed(&key), key.hash(&tuple));
            for tag in [0u8, 1, 255] {
                assert_eq!(tuple.keyed_for(tag, &key), key.hash(&(tag, &tuple)));
            }
        }
    }
}
