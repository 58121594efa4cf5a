//! The Internet checksum, RFC 1071: a ones' complement sum of 16-bit words.
//!
//! Sums are kept unfolded in native byte order ([`Sum`]); the ones' complement sum does not care about byte order (RFC 1071 2 (B)),
//! so bytes are swapped once, at the end.

use std::net::IpAddr;

/// A running ones' complement sum of native-endian words. Even-length pieces add up in any order.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds a piece. All pieces but the last must have an even length.
    #[must_use]
    #[inline]
    pub(crate) fn add(self, bytes: &[u8]) -> Sum {
        Sum(add_carry(self.0, sum(bytes)))
    }

    /// Adds one 16-bit word given in host order.
    #[must_use]
    #[inline]
    pub(crate) fn add_word(self, word: u16) -> Sum {
        Sum(add_carry(self.0, u64::from(word.to_be())))
    }

    /// Adds pieces that follow each other without padding, of any length, beginning at an even offset.
    #[must_use]
    pub(crate) fn add_pieces<'a>(self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Sum {
        let mut total = self;
        let mut odd = false;
        for piece in pieces {
            let part = sum(piece);
            // RFC 1071 2 (B): shifting the data by one byte swaps the bytes of the sum.
            let part = if odd {
                u64::from(fold(part).swap_bytes())
            } else {
                part
            };
            total = Sum(add_carry(total.0, part));
            odd ^= piece.len() % 2 == 1;
        }
        total
    }

    /// The folded sum in host order, not complemented: what virtio's NEEDS_CSUM wants in the checksum field.
    pub(crate) fn partial(self) -> u16 {
        u16::from_be(fold(self.0))
    }

    /// The checksum in host order: the complement of the folded sum. Over data that includes a right checksum it is 0.
    pub(crate) fn finish(self) -> u16 {
        !self.partial()
    }
}

/// Sum of the pseudo-header of IPv4 (RFC 9293 3.1) or IPv6 (RFC 8200 8.1). Mixed families give a sum of what is there.
pub(crate) fn pseudo_header(src: IpAddr, dst: IpAddr, proto: u8, len: u32) -> Sum {
    let mut sum = Sum(u64::from(len.to_be()));
    for addr in [src, dst] {
        sum = match addr {
            IpAddr::V4(a) => Sum(add_carry(sum.0, word4(a.octets()))),
            IpAddr::V6(a) => sum.add(&a.octets()),
        };
    }
    sum.add_word(u16::from(proto))
}

/// Checksum of an IPv4 header without options.
#[inline]
pub(crate) fn of_header(header: &[u8; 20]) -> u16 {
    let (words, _) = header.as_chunks::<4>();
    // Five numbers of 32 bits overflow nothing.
    Sum(words.iter().map(|word| word4(*word)).sum()).finish()
}

/// Checksum of `bytes` alone (IPv4 header, ICMPv4).
pub(crate) fn of(bytes: &[u8]) -> u16 {
    Sum::default().add(bytes).finish()
}

fn add_carry(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(u64::from(carry))
}

/// Native-endian sum of the words of `bytes`, an odd last byte padded with zero.
fn sum(bytes: &[u8]) -> u64 {
    let mut acc = [0u64; 4];
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        for (lane, word) in acc.iter_mut().zip(block.chunks_exact(8)) {
            *lane = add_carry(*lane, word8(word));
        }
    }
    let mut total = acc.into_iter().fold(0, add_carry);
    let mut words = blocks.remainder().chunks_exact(8);
    for word in &mut words {
        total = add_carry(total, word8(word));
    }
    let rest = words.remainder();
    let mut last = [0u8; 8];
    if let Some(head) = last.get_mut(..rest.len()) {
        head.copy_from_slice(rest);
    }
    add_carry(total, u64::from_ne_bytes(last))
}

fn word4(bytes: [u8; 4]) -> u64 {
    u64::from(u32::from_ne_bytes(bytes))
}

fn word8(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk::<8>()
        .map_or(0, |chunk| u64::from_ne_bytes(*chunk))
}

fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn agrees_with_the_naive_sum_however_it_is_cut() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for len in (0..200).chain([1499, 1500, 65535]) {
            let mut bytes = vec![0u8; len];
            rng.fill_bytes(&mut bytes);
            if len % 3 == 0 {
                bytes.fill(0xff);
            }
            assert_eq!(of(&bytes), naive(&bytes), "length {len}");
            if let Some(header) = bytes.first_chunk() {
                assert_eq!(of_header(header), naive(header), "length {len}");
            }
            let cut = rng.next_u32() as usize % (len + 1);
            let (a, b) = bytes.split_at(cut);
            let (b, c) = b.split_at(b.len() / 3);
            let sum = Sum::default().add_pieces([a, b, c]);
            assert_eq!(sum.finish(), naive(&bytes), "length {len} cut at {cut}");
        }
    }

    #[test]
    fn example_of_rfc_1071_3() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().add(&bytes).partial(), 0xddf2);
    }

    #[test]
    fn pseudo_header_is_that_of_the_bytes() {
        let (src, dst) = ("10.1.2.3".parse().unwrap(), "10.4.5.6".parse().unwrap());
        let bytes = [10, 1, 2, 3, 10, 4, 5, 6, 0, 17, 0x12, 0x34];
        let sum = pseudo_header(src, dst, 17, 0x1234);
        assert_eq!(sum.finish(), naive(&bytes));
    }
}
