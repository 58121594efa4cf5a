//! The little programs by which a request picks sockets (struct inet_diag_bc_op of linux/inet_diag.h), as ss(8) sends them.

use std::net::IpAddr;

use tunsock_stack::SocketInfo;

use super::sockets::ports;
use crate::capi::errno::{CResult, Errno};

const EINVAL: Errno = Errno(libc::EINVAL);

/// Octets of an operation: its number, and how far to go on when it holds (8 bits) and when it does not (16 bits).
const OP_LEN: usize = 4;
/// Octets of a condition before its address: family, prefix, two of padding, port.
const CONDITION_LEN: usize = 8;

// The operations.
const NOP: u8 = 0;
const JMP: u8 = 1;
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const S_COND: u8 = 7;
const D_COND: u8 = 8;
const S_EQ: u8 = 11;
const D_EQ: u8 = 12;

/// A program that was looked through: it ends, and stays within itself.
pub(super) struct Filter(Vec<u8>);

/// What a condition wants of an address.
struct Condition<'a> {
    family: u8,
    prefix: usize,
    /// -1: any.
    port: i32,
    addr: &'a [u8],
}

impl Filter {
    /// inet_diag_bc_audit. EINVAL also for operations that ask for what the stack has not got (marks, control groups, ports that were
    /// chosen for a socket).
    pub(super) fn new(code: &[u8]) -> CResult<Filter> {
        let filter = Filter(code.to_vec());
        // Every place that an operation may lead to begins an operation, or is the end.
        let mut begins = vec![false; code.len() + 1];
        let mut at = 0;
        while at < code.len() {
            *begins.get_mut(at).ok_or(EINVAL)? = true;
            at += usize::from(filter.operation(at).ok_or(EINVAL)?.1);
        }
        *begins.get_mut(at).ok_or(EINVAL)? = true;
        let mut at = 0;
        while at < code.len() {
            let (kind, yes, no) = filter.operation(at).ok_or(EINVAL)?;
            match kind {
                NOP => {}
                S_GE | S_LE | D_GE | D_LE | S_EQ | D_EQ => {
                    filter.port(at).ok_or(EINVAL)?;
                }
                S_COND | D_COND => {
                    let condition = filter.condition(at).ok_or(EINVAL)?;
                    let least = OP_LEN + CONDITION_LEN + condition.addr.len();
                    if usize::from(yes) < least {
                        return Err(EINVAL);
                    }
                }
                JMP => {}
                _ => return Err(EINVAL),
            }
            // One step behind the end says that the socket does not pass (valid_cc, inet_diag_bc_run).
            let to = at + usize::from(no);
            let refused = to == code.len() + OP_LEN;
            if kind != NOP && !refused && begins.get(to) != Some(&true) {
                return Err(EINVAL);
            }
            at += usize::from(yes);
        }
        Ok(filter)
    }

    /// inet_diag_bc_run.
    pub(super) fn passes(&self, one: &SocketInfo) -> bool {
        let (sport, dport) = ports(one);
        let mut at = 0;
        while let Some((kind, yes, no)) = self.operation(at) {
            let port = || self.port(at).unwrap_or(0);
            let holds = match kind {
                JMP => false,
                S_GE => sport >= port(),
                S_LE => sport <= port(),
                D_GE => dport >= port(),
                D_LE => dport <= port(),
                S_EQ => sport == port(),
                D_EQ => dport == port(),
                S_COND => self.holds(at, one.local.ip(), sport),
                D_COND => self.holds(at, one.peer.ip(), dport),
                _ => true,
            };
            at += usize::from(if holds { yes.into() } else { no });
        }
        at == self.0.len()
    }

    /// The operation at a place: what it is, and its two steps, neither of which stands still or goes back.
    fn operation(&self, at: usize) -> Option<(u8, u8, u16)> {
        let op = self.0.get(at..)?.first_chunk::<OP_LEN>()?;
        let (yes, no) = (op[1], u16::from_ne_bytes([op[2], op[3]]));
        let steps = [u16::from(yes), no];
        let sound = |step: u16| step >= OP_LEN as u16 && step.is_multiple_of(OP_LEN as u16);
        // What always holds has no other step.
        let both = steps.into_iter().take(if op[0] == NOP { 1 } else { 2 });
        both.into_iter().all(sound).then_some((op[0], yes, no))
    }

    /// The port of a comparison: in the operation behind it.
    fn port(&self, at: usize) -> Option<u16> {
        let (_, yes, _) = self.operation(at)?;
        let value = self.0.get(at + OP_LEN..)?.first_chunk::<OP_LEN>()?;
        (usize::from(yes) >= 2 * OP_LEN).then(|| u16::from_ne_bytes([value[2], value[3]]))
    }

    fn condition(&self, at: usize) -> Option<Condition<'_>> {
        let rest = self.0.get(at + OP_LEN..)?;
        let (head, rest) = rest.split_first_chunk::<CONDITION_LEN>()?;
        let len = match libc::c_int::from(head[0]) {
            libc::AF_UNSPEC => 0,
            libc::AF_INET => 4,
            libc::AF_INET6 => 16,
            _ => return None,
        };
        let prefix = usize::from(head[1]);
        (prefix <= len * 8).then_some(Condition {
            family: head[0],
            prefix,
            port: i32::from_ne_bytes([head[4], head[5], head[6], head[7]]),
            addr: rest.get(..len)?,
        })
    }

    fn holds(&self, at: usize, addr: IpAddr, port: u16) -> bool {
        let Some(wanted) = self.condition(at) else {
            return false;
        };
        if wanted.port != -1 && wanted.port != i32::from(port) {
            return false;
        }
        let same = |octets: &[u8]| begins_alike(octets, wanted.addr, wanted.prefix);
        match (libc::c_int::from(wanted.family), addr) {
            (libc::AF_UNSPEC, _) => true,
            (libc::AF_INET, IpAddr::V4(addr)) => same(&addr.octets()),
            (libc::AF_INET, IpAddr::V6(addr)) => addr
                .to_ipv4_mapped()
                .is_some_and(|addr| same(&addr.octets())),
            (_, IpAddr::V6(addr)) => same(&addr.octets()),
            (_, IpAddr::V4(_)) => false,
        }
    }
}

/// Whether the first `bits` of both are the same; of fewer octets than that they are not.
fn begins_alike(a: &[u8], b: &[u8], bits: usize) -> bool {
    let whole = bits / 8;
    let (Some(first), Some(second)) = (a.get(..whole), b.get(..whole)) else {
        return false;
    };
    let mask = !(0xff_u8.checked_shr(bits as u32 % 8).unwrap_or(0));
    let rest = match bits % 8 {
        0 => Some(true),
        _ => a
            .get(whole)
            .zip(b.get(whole))
            .map(|(a, b)| (a ^ b) & mask == 0),
    };
    first == second && rest == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunsock_stack::{Kind, State};

    fn socket(local: &str, peer: &str) -> SocketInfo {
        SocketInfo {
            id: None,
            kind: Kind::Stream,
            state: State::Established,
            local: local.parse().unwrap(),
            peer: peer.parse().unwrap(),
            recv_q: 0,
            send_q: 0,
        }
    }

    fn op(code: u8, yes: u8, no: u16) -> Vec<u8> {
        let no = no.to_ne_bytes();
        vec![code, yes, no[0], no[1]]
    }

    #[test]
    fn ports_are_compared() {
        // sport = :80
        let code = [op(S_EQ, 8, 12), op(NOP, 0, 80)].concat();
        let filter = Filter::new(&code).unwrap();
        assert!(filter.passes(&socket("10.0.0.1:80", "10.0.0.2:1")));
        assert!(!filter.passes(&socket("10.0.0.1:81", "10.0.0.2:80")));
        // sport = :80 or dport >= :1000
        let code = [
            op(S_EQ, 8, 12),
            op(NOP, 0, 80),
            op(JMP, 4, 12),
            op(D_GE, 8, 12),
            op(NOP, 0, 1000),
        ]
        .concat();
        let filter = Filter::new(&code).unwrap();
        assert!(filter.passes(&socket("10.0.0.1:80", "10.0.0.2:1")));
        assert!(filter.passes(&socket("10.0.0.1:9", "10.0.0.2:1000")));
        assert!(!filter.passes(&socket("10.0.0.1:9", "10.0.0.2:999")));
    }

    #[test]
    fn addresses_are_compared_by_their_prefix() {
        // dst 10.0.0.0/9
        let condition = [2, 9, 0, 0, 0xff, 0xff, 0xff, 0xff, 10, 0, 0, 0];
        let code = [op(D_COND, 16, 20), condition.to_vec()].concat();
        let filter = Filter::new(&code).unwrap();
        assert!(filter.passes(&socket("1.1.1.1:1", "10.127.0.2:1")));
        assert!(!filter.passes(&socket("1.1.1.1:1", "10.128.0.2:1")));
        assert!(filter.passes(&socket("[::1]:1", "[::ffff:10.1.1.1]:1")));
        assert!(!filter.passes(&socket("[::1]:1", "[::1]:1")));
    }

    #[test]
    fn programs_that_lead_astray_are_refused() {
        for bad in [
            op(S_EQ, 8, 12),
            op(NOP, 0, 4),
            op(NOP, 6, 4),
            op(JMP, 4, 0),
            op(JMP, 4, 40),
            op(6, 4, 8),
            op(10, 12, 16),
            vec![NOP, 4, 4],
            [op(S_COND, 12, 16), vec![2, 33, 0, 0, 0, 0, 0, 0]].concat(),
            [op(S_COND, 12, 16), vec![2, 8, 0, 0, 0, 0, 0, 0]].concat(),
        ] {
            assert!(Filter::new(&bad).is_err(), "{bad:?}");
        }
        assert!(Filter::new(&op(NOP, 4, 4)).is_ok());
    }
}
