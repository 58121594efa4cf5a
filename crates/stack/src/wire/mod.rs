//! Bytes on the wire. Parsers take anything and answer `None` for what is not well-formed; they never panic.

pub(crate) mod checksum;
pub(crate) mod datagram;
pub(crate) mod fast_open;
pub(crate) mod ip_options;
pub(crate) mod ipv4;
pub(crate) mod ipv6;
pub(crate) mod opt_stats;
pub(crate) mod segment;
pub(crate) mod tcp;
pub(crate) mod udp;
pub(crate) mod vnet;

/// Big-endian 16 bits at `at`, 0 beyond the end.
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..at.saturating_add(2)) {
        Some(b) => u16::from_be_bytes([b[0], b[1]]),
        None => 0,
    }
}

/// Big-endian 32 bits at `at`, 0 beyond the end.
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..at.saturating_add(4)) {
        Some(b) => u32::from_be_bytes([b[0], b[1], b[2], b[3]]),
        None => 0,
    }
}

/// Writes 16 bits big-endian at `at`; nothing beyond the end.
pub(crate) fn put16(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(b) = bytes.get_mut(at..at.saturating_add(2)) {
        b.copy_from_slice(&value.to_be_bytes());
    }
}

/// Writes 32 bits big-endian at `at`; nothing beyond the end.
pub(crate) fn put32(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(b) = bytes.get_mut(at..at.saturating_add(4)) {
        b.copy_from_slice(&value.to_be_bytes());
    }
}
