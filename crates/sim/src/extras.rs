//! What else a world may have: memory that is scarce, buffers of every size, records kept apart, receipts, few octets unsent, paces.
//! Drawn apart, so that the other worlds are what they were.

use crate::dice::Dice;
use crate::plan::{ConnPlan, HostPlan, SidePlan};

/// A paced stream takes no longer than this, seconds.
const LONGEST: u64 = 300;

/// Draws them.
pub(crate) fn draw(seed: u64, hosts: &mut [HostPlan], conns: &mut [ConnPlan]) {
    let d = &mut Dice::new(seed, 6);
    if d.percent(20) {
        for host in hosts.iter_mut() {
            if d.percent(70) {
                let most = d.spread(64 << 10, 4 << 20) as usize;
                host.tcp_mem = [most / 2, most / 4 * 3, most];
            }
        }
    }
    if d.percent(40) {
        hosts.iter_mut().for_each(|host| buffers(d, host));
    }
    if d.percent(50) {
        for conn in conns {
            conn.sides.iter_mut().for_each(|side| manners(d, side));
        }
    }
}

/// Buffers as a system's settings make them.
fn buffers(d: &mut Dice, host: &mut HostPlan) {
    match d.below(4) {
        // That grow, from the system's own sizes.
        0 => {
            host.tcp_wmem = [4096, 16_384, 4 << 20];
            host.tcp_rmem = [4096, 131_072, 6 << 20];
        }
        // That do not.
        1 => {
            host.tcp_wmem[2] = host.tcp_wmem[1];
            host.tcp_rmem[2] = host.tcp_rmem[1];
        }
        // Hardly any.
        2 => {
            let size = d.spread(1, 8_192) as usize;
            host.tcp_wmem = [1, size, size];
            let size = d.spread(1_024, 8_192) as usize;
            host.tcp_rmem = [1, size, size];
        }
        _ => {}
    }
}

fn manners(d: &mut Dice, side: &mut SidePlan) {
    if d.percent(15) {
        side.records = d.range(1, 100) as u32;
    }
    side.zerocopy = d.percent(15);
    side.unsent = d.percent(15).then(|| d.spread(1, 65_536) as u32);
    if d.percent(10) {
        if side.bytes > 10_000 && d.percent(50) {
            side.bytes = side.bytes.max(d.spread(100_000, 1_000_000));
        }
        side.rate = Some(d.spread(1_000 + side.bytes / LONGEST, 10_000_000));
    }
}
