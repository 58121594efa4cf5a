//! Cutting super-segments as scripts expect to see them.

use crate::world::VNET_HDR_LEN;

const TCP_SEQ: usize = 4;
const TCP_OFFSET: usize = 12;
const TCP_FLAGS: usize = 13;
const FIN: u8 = 1;
const PSH: u8 = 8;

fn get16(bytes: &[u8], at: usize) -> Option<usize> {
    let two = bytes.get(at..at + 2)?;
    Some(usize::from(two[0]) << 8 | usize::from(two[1]))
}

fn put16(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(room) = bytes.get_mut(at..at + 2) {
        room.copy_from_slice(&value.to_be_bytes());
    }
}

/// The packets of `frame` (virtio-net header first): one, or for a super-segment pieces of at most `cut` segments (0: one piece).
/// As Linux has it (for the sake of receivers that merge), a piece of several segments carries PSH; one of a single segment only if it
/// is the last and the whole has it.
pub(crate) fn pieces(frame: &[u8], cut: usize) -> Vec<Vec<u8>> {
    let packet = frame.get(VNET_HDR_LEN..).unwrap_or_default();
    let size = frame
        .get(4..6)
        .map_or(0, |two| usize::from(u16::from_ne_bytes([two[0], two[1]])));
    split(packet, size, cut).unwrap_or_else(|| vec![packet.to_vec()])
}

/// `None`: not to be cut.
fn split(packet: &[u8], size: usize, cut: usize) -> Option<Vec<Vec<u8>>> {
    let v4 = packet.first()? >> 4 == 4;
    let ip_len = if v4 {
        usize::from(packet.first()? & 15) * 4
    } else {
        40
    };
    let tcp_len = usize::from(packet.get(ip_len + TCP_OFFSET)? >> 4) * 4;
    let head_len = ip_len + tcp_len;
    let (head, text) = packet.split_at_checked(head_len)?;
    if size == 0 || cut == 0 || text.len() <= size {
        return None;
    }
    let seq: [u8; 4] = head.get(ip_len + TCP_SEQ..)?.get(..4)?.try_into().ok()?;
    let seq = u32::from_be_bytes(seq);
    let flags = *head.get(ip_len + TCP_FLAGS)?;
    let count = text.len().div_ceil(size * cut);
    let mut out = Vec::with_capacity(count);
    for (index, piece) in text.chunks(size * cut).enumerate() {
        let last = index + 1 == count;
        let mut new = head.to_vec();
        let at = (index * size * cut) as u32;
        new.get_mut(ip_len + TCP_SEQ..)?
            .get_mut(..4)?
            .copy_from_slice(&seq.wrapping_add(at).to_be_bytes());
        let mut own = flags & !(FIN | PSH);
        if last {
            own |= flags & FIN;
        }
        if piece.len() > size {
            own |= PSH;
        } else if last {
            own |= flags & PSH;
        }
        *new.get_mut(ip_len + TCP_FLAGS)? = own;
        new.extend_from_slice(piece);
        set_length(&mut new, v4);
        out.push(new);
    }
    Some(out)
}

/// Writes the length that the packet has now, and IPv4's header checksum. TCP's is left partial: packetdrill does not look at it.
fn set_length(packet: &mut [u8], v4: bool) {
    if !v4 {
        put16(packet, 4, packet.len().saturating_sub(40) as u16);
        return;
    }
    put16(packet, 2, packet.len() as u16);
    put16(packet, 10, 0);
    let mut sum: usize = (0..20).step_by(2).filter_map(|at| get16(packet, at)).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    put16(packet, 10, !(sum as u16));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn super_segments_leave_in_pieces_of_two_segments() {
        let mut frame = vec![0; VNET_HDR_LEN];
        frame[4..6].copy_from_slice(&100u16.to_ne_bytes());
        let mut packet = vec![0x45; 40];
        packet[20 + TCP_SEQ..20 + TCP_SEQ + 4].copy_from_slice(&1000u32.to_be_bytes());
        packet[20 + TCP_OFFSET] = 0x50;
        packet[20 + TCP_FLAGS] = PSH | 16;
        packet.extend([7; 450]);
        frame.extend(packet);
        let pieces = pieces(&frame, 2);
        let seen: Vec<(usize, usize, u8)> = pieces
            .iter()
            .map(|p| (p.len() - 40, get16(p, 26).unwrap_or(0), p[33]))
            .collect();
        let push = PSH | 16;
        assert_eq!(
            seen,
            [(200, 1000, push), (200, 1200, push), (50, 1400, push)]
        );
        assert_eq!(super::pieces(&frame, 0).len(), 1);
    }
}
