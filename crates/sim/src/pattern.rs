//! What streams carry: octets that tell any loss, repetition or shift.

/// The four octets at `index * 4` of the stream `key`. Neighbours always differ in their low two bits.
fn quad(key: u64, index: u64) -> [u8; 4] {
    let mixed =
        (key ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let word = ((mixed >> 32) as u32 & 0xfcfc_fcfc) | 0x0302_0100;
    word.to_le_bytes()
}

/// The octet at `offset`.
pub(crate) fn octet(key: u64, offset: u64) -> u8 {
    quad(key, offset / 4)[(offset % 4) as usize]
}

/// Fills `buf` with what stands from `offset` on.
pub(crate) fn fill(key: u64, mut offset: u64, mut buf: &mut [u8]) {
    while !buf.is_empty() {
        let at = (offset % 4) as usize;
        let n = buf.len().min(4 - at);
        buf[..n].copy_from_slice(&quad(key, offset / 4)[at..at + n]);
        offset += n as u64;
        buf = &mut buf[n..];
    }
}

/// Octets at the front of `buf` that are what stands from `offset` on.
pub(crate) fn matching(key: u64, offset: u64, buf: &[u8]) -> usize {
    let mut done = 0;
    while done < buf.len() {
        let place = offset + done as u64;
        let at = (place % 4) as usize;
        let n = (buf.len() - done).min(4 - at);
        let want = &quad(key, place / 4)[at..at + n];
        if buf[done..done + n] != *want {
            let same = buf[done..]
                .iter()
                .zip(want)
                .take_while(|(a, b)| a == b)
                .count();
            return done + same;
        }
        done += n;
    }
    done
}
