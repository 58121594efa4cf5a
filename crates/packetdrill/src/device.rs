//! The device below the stack. It does what the namespace says of the one that stands for it, `tun0`, which scripts set up with ethtool.

use libc::{c_char, c_void, ifreq};
use rustix::ioctl::{Updater, ioctl};
use rustix::net::{AddressFamily, SocketType, socket};

/// The device that scripts name.
pub(crate) const NAME: &str = "tun0";
/// ETHTOOL_GGSO of linux/ethtool.h: whether super-segments are formed at all (generic segmentation offload).
const ETHTOOL_GGSO: u32 = 0x23;

/// `struct ethtool_value` of linux/ethtool.h.
#[repr(C)]
struct EthtoolValue {
    cmd: u32,
    data: u32,
}

/// `struct virtio_net_hdr` before every frame.
pub(crate) const VNET_HDR_LEN: usize = 10;
/// FIN and PSH of a TCP header's flags: only the last segment of several has them.
const LAST_ONLY: u8 = 0x01 | 0x08;

/// Whether the device takes super-segments; `None` when the namespace has none.
pub(crate) fn takes_super_segments() -> Option<bool> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    let mut value = EthtoolValue {
        cmd: ETHTOOL_GGSO,
        data: 0,
    };
    // SAFETY: all zeroes is an ifreq.
    let mut request: ifreq = unsafe { std::mem::zeroed() };
    for (place, octet) in request.ifr_name.iter_mut().zip(NAME.as_bytes()) {
        *place = *octet as c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast::<c_void>().cast();
    // SAFETY: SIOCETHTOOL takes an ifreq whose data is a command with room for its answer (netdevice(7)), and both outlive the call.
    let outcome = unsafe {
        ioctl(
            &socket,
            Updater::<{ libc::SIOCETHTOOL as u32 }, ifreq>::new(&mut request),
        )
    };
    outcome.ok().map(|()| value.data != 0)
}

/// The packets of `frame`; of a super-segment each piece, as the kernel cuts it above a device that cannot (tcp_gso_segment). The TCP
/// checksums stay as partial as they were.
pub(crate) fn cut(frame: &[u8]) -> Vec<Vec<u8>> {
    let whole = || vec![frame.get(VNET_HDR_LEN..).unwrap_or_default().to_vec()];
    let word = |at: usize| {
        let octets = frame.get(at..at + 2).and_then(|s| s.try_into().ok());
        usize::from(octets.map_or(0, u16::from_ne_bytes))
    };
    let (kind, head_len, size, tcp) = (frame.get(1), word(2), word(4), word(6));
    if kind == Some(&0) || size == 0 {
        return whole();
    }
    let Some((head, text)) = (frame.get(VNET_HDR_LEN..)).and_then(|p| p.split_at_checked(head_len))
    else {
        return whole();
    };
    let last = text.len().saturating_sub(1) / size;
    let pieces = text.chunks(size).enumerate().map(|(index, text)| {
        let mut packet = [head, text].concat();
        if head.first().is_some_and(|first| first >> 4 == 4) {
            set(&mut packet, 2, (head.len() + text.len()) as u16);
            let id = u16::from_be_bytes([head[4], head[5]]).wrapping_add(index as u16);
            set(&mut packet, 4, id);
            set(&mut packet, 10, 0);
            let sum = header_checksum(packet.get(..tcp).unwrap_or_default());
            set(&mut packet, 10, sum);
        } else {
            set(
                &mut packet,
                4,
                (head.len() + text.len()).saturating_sub(40) as u16,
            );
        }
        let seq = head.get(tcp + 4..tcp + 8).and_then(|s| s.try_into().ok());
        let seq = seq
            .map_or(0, u32::from_be_bytes)
            .wrapping_add((index * size) as u32);
        if let Some(place) = packet.get_mut(tcp + 4..tcp + 8) {
            place.copy_from_slice(&seq.to_be_bytes());
        }
        if index < last
            && let Some(flags) = packet.get_mut(tcp + 13)
        {
            *flags &= !LAST_ONLY;
        }
        packet
    });
    pieces.collect()
}

/// Puts `value` at `at`, if there is such a place.
fn set(packet: &mut [u8], at: usize, value: u16) {
    if let Some(place) = packet.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// RFC 1071's sum over an IPv4 header.
fn header_checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2);
    let sum: u32 = words
        .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_super_segment_is_cut_as_the_kernel_does_it() {
        let mut frame = vec![0; VNET_HDR_LEN + 40 + 25];
        frame[1] = 1;
        for (at, value) in [(2, 40u16), (4, 10), (6, 20), (8, 16)] {
            frame[at..at + 2].copy_from_slice(&value.to_ne_bytes());
        }
        frame[VNET_HDR_LEN] = 0x45;
        frame[VNET_HDR_LEN + 33] = 0x18;
        let cut = cut(&frame);
        let of = |at: usize| cut.iter().map(|p| p[at]).collect::<Vec<u8>>();
        assert_eq!(of(3), [50, 50, 45], "lengths");
        assert_eq!(of(5), [0, 1, 2], "identifications");
        assert_eq!(of(27), [0, 10, 20], "sequence numbers");
        assert_eq!(of(33), [0x10, 0x10, 0x18], "PSH on the last alone");
        assert!(cut.iter().all(|p| header_checksum(&p[..20]) == 0));
    }
}
