//! The machine: an accumulator, an index register, sixteen words.

use super::check::{AD_OFF, WORDS};
use super::{Instruction, View};
use crate::ip::{Iface, proto};

/// Codes of instructions (linux/bpf_common.h: class, size or operation, mode or source).
pub(super) mod op {
    pub(crate) const LD_IMM: u16 = 0x00;
    pub(crate) const LDX_IMM: u16 = 0x01;
    pub(crate) const ST: u16 = 0x02;
    pub(crate) const STX: u16 = 0x03;
    pub(crate) const LD_W_ABS: u16 = 0x20;
    pub(crate) const LD_H_ABS: u16 = 0x28;
    pub(crate) const LD_B_ABS: u16 = 0x30;
    pub(crate) const LD_W_IND: u16 = 0x40;
    pub(crate) const LD_H_IND: u16 = 0x48;
    pub(crate) const LD_B_IND: u16 = 0x50;
    pub(crate) const LD_MEM: u16 = 0x60;
    pub(crate) const LDX_MEM: u16 = 0x61;
    pub(crate) const LD_LEN: u16 = 0x80;
    pub(crate) const LDX_LEN: u16 = 0x81;
    pub(crate) const LDX_MSH: u16 = 0xb1;
    pub(crate) const ADD_K: u16 = 0x04;
    pub(crate) const ADD_X: u16 = 0x0c;
    pub(crate) const SUB_K: u16 = 0x14;
    pub(crate) const SUB_X: u16 = 0x1c;
    pub(crate) const MUL_K: u16 = 0x24;
    pub(crate) const MUL_X: u16 = 0x2c;
    pub(crate) const DIV_K: u16 = 0x34;
    pub(crate) const DIV_X: u16 = 0x3c;
    pub(crate) const OR_K: u16 = 0x44;
    pub(crate) const OR_X: u16 = 0x4c;
    pub(crate) const AND_K: u16 = 0x54;
    pub(crate) const AND_X: u16 = 0x5c;
    pub(crate) const LSH_K: u16 = 0x64;
    pub(crate) const LSH_X: u16 = 0x6c;
    pub(crate) const RSH_K: u16 = 0x74;
    pub(crate) const RSH_X: u16 = 0x7c;
    pub(crate) const NEG: u16 = 0x84;
    pub(crate) const MOD_K: u16 = 0x94;
    pub(crate) const MOD_X: u16 = 0x9c;
    pub(crate) const XOR_K: u16 = 0xa4;
    pub(crate) const XOR_X: u16 = 0xac;
    pub(crate) const JA: u16 = 0x05;
    pub(crate) const JEQ_K: u16 = 0x15;
    pub(crate) const JEQ_X: u16 = 0x1d;
    pub(crate) const JGT_K: u16 = 0x25;
    pub(crate) const JGT_X: u16 = 0x2d;
    pub(crate) const JGE_K: u16 = 0x35;
    pub(crate) const JGE_X: u16 = 0x3d;
    pub(crate) const JSET_K: u16 = 0x45;
    pub(crate) const JSET_X: u16 = 0x4d;
    pub(crate) const RET_K: u16 = 0x06;
    pub(crate) const RET_A: u16 = 0x16;
    pub(crate) const TAX: u16 = 0x07;
    pub(crate) const TXA: u16 = 0x87;
}

/// What is known of a packet: offsets behind SKF_AD_OFF (linux/filter.h).
mod ad {
    pub(super) const PROTOCOL: u32 = 0;
    pub(super) const PKTTYPE: u32 = 4;
    pub(super) const IFINDEX: u32 = 8;
    pub(super) const NLATTR: u32 = 12;
    pub(super) const NLATTR_NEST: u32 = 16;
    pub(super) const HATYPE: u32 = 28;
    pub(super) const CPU: u32 = 36;
    pub(super) const ALU_XOR_X: u32 = 40;
    pub(super) const PAY_OFFSET: u32 = 52;
    pub(super) const RANDOM: u32 = 56;
}

/// Loads from here on to [`AD_OFF`] count from the IP header (SKF_NET_OFF).
const NET_OFF: i64 = -0x10_0000;
/// Loads from here on to [`NET_OFF`] count from the link's header (SKF_LL_OFF).
const LL_OFF: i64 = -0x20_0000;

/// The machine's registers.
struct Machine {
    a: u32,
    x: u32,
    words: [u32; WORDS],
}

/// Runs a sound program; what it returns. `random` gives it a number when it asks for one.
pub(super) fn run(
    program: &[Instruction],
    view: &View<'_>,
    random: &mut dyn FnMut() -> u32,
) -> u32 {
    let mut m = Machine {
        a: 0,
        x: 0,
        words: [0; WORDS],
    };
    let mut at = 0;
    // Jumps go forward only, so this ends; the end of a sound program is a return.
    while let Some(of) = program.get(at) {
        at += 1;
        let class = of.code & 7;
        match class {
            0 | 1 => {
                let Some(()) = m.load(of, view, random) else {
                    return 0;
                };
            }
            2 | 3 => {
                let value = if class == 2 { m.a } else { m.x };
                if let Some(word) = m.words.get_mut(of.k as usize) {
                    *word = value;
                }
            }
            4 => match m.calculate(of) {
                Some(a) => m.a = a,
                None => return 0,
            },
            5 => at += m.jump(of),
            6 => return if of.code == op::RET_A { m.a } else { of.k },
            _ if of.code == op::TAX => m.x = m.a,
            _ => m.a = m.x,
        }
    }
    0
}

impl Machine {
    /// `None`: it lies outside the packet, which ends the program with 0.
    fn load(
        &mut self,
        of: &Instruction,
        view: &View<'_>,
        random: &mut dyn FnMut() -> u32,
    ) -> Option<()> {
        let word = || self.words.get(of.k as usize).copied().unwrap_or(0);
        let (value, into_x) = match of.code {
            op::LD_IMM => (of.k, false),
            op::LDX_IMM => (of.k, true),
            op::LD_MEM => (word(), false),
            op::LDX_MEM => (word(), true),
            op::LD_LEN => (view.len() as u32, false),
            op::LDX_LEN => (view.len() as u32, true),
            op::LDX_MSH => (4 * (octets(view, of.k, 1)? & 15), true),
            op::LD_W_ABS | op::LD_H_ABS | op::LD_B_ABS if of.k >= AD_OFF => {
                (self.known(of.k - AD_OFF, view, random), false)
            }
            op::LD_W_ABS | op::LD_H_ABS | op::LD_B_ABS => (octets(view, of.k, size(of))?, false),
            _ => (octets(view, self.x.wrapping_add(of.k), size(of))?, false),
        };
        *if into_x { &mut self.x } else { &mut self.a } = value;
        Some(())
    }

    /// `None`: a division by nothing, which ends the program with 0.
    fn calculate(&self, of: &Instruction) -> Option<u32> {
        let a = self.a;
        let by = if of.code & 8 == 0 { of.k } else { self.x };
        Some(match of.code & 0xf7 {
            op::ADD_K => a.wrapping_add(by),
            op::SUB_K => a.wrapping_sub(by),
            op::MUL_K => a.wrapping_mul(by),
            op::DIV_K => a.checked_div(by)?,
            op::MOD_K => a.checked_rem(by)?,
            op::OR_K => a | by,
            op::AND_K => a & by,
            op::XOR_K => a ^ by,
            // As the processor does it: the low five bits say by how many.
            op::LSH_K => a.wrapping_shl(by),
            op::RSH_K => a.wrapping_shr(by),
            _ => a.wrapping_neg(),
        })
    }

    /// How many instructions are passed over.
    fn jump(&self, of: &Instruction) -> usize {
        let by = if of.code & 8 == 0 { of.k } else { self.x };
        let holds = match of.code & 0xf7 {
            op::JA => return of.k as usize,
            op::JEQ_K => self.a == by,
            op::JGT_K => self.a > by,
            op::JGE_K => self.a >= by,
            _ => self.a & by != 0,
        };
        usize::from(if holds { of.jt } else { of.jf })
    }

    /// What is known of the packet. The stack has no marks, queues, hashes and VLANs: they are 0.
    fn known(&self, what: u32, view: &View<'_>, random: &mut dyn FnMut() -> u32) -> u32 {
        const ETH_P_IP: u32 = 0x0800;
        const ETH_P_IPV6: u32 = 0x86dd;
        const ARPHRD_LOOPBACK: u32 = 772;
        const ARPHRD_NONE: u32 = 0xfffe;
        match what {
            ad::PROTOCOL if view.meta.src.is_ipv4() => ETH_P_IP,
            ad::PROTOCOL => ETH_P_IPV6,
            ad::PKTTYPE => view.kind(),
            ad::IFINDEX => view.meta.iface.index(),
            ad::HATYPE if view.meta.iface == Iface::Loopback => ARPHRD_LOOPBACK,
            ad::HATYPE => ARPHRD_NONE,
            ad::NLATTR => attribute(view, self.a, self.x, false),
            ad::NLATTR_NEST => attribute(view, self.a, self.x, true),
            ad::CPU => view.cpu,
            ad::ALU_XOR_X => self.a ^ self.x,
            ad::PAY_OFFSET => payload_offset(view),
            ad::RANDOM => random(),
            _ => 0,
        }
    }
}

/// Whether a program wants to know the CPU.
pub(super) fn asks_cpu(program: &[Instruction]) -> bool {
    program
        .iter()
        .any(|of| of.code & 0xe7 == op::LD_W_ABS && of.k == AD_OFF + ad::CPU)
}

/// Octets of a load: BPF_W, BPF_H, BPF_B.
fn size(of: &Instruction) -> usize {
    match of.code & 0x18 {
        0x00 => 4,
        0x08 => 2,
        _ => 1,
    }
}

/// `n` octets as a number, big-endian (Linux: bpf_skb_load_helper_convert_offset).
fn octets(view: &View<'_>, offset: u32, n: usize) -> Option<u32> {
    let offset = i64::from(offset as i32);
    let start = view.start as i64;
    let link = view.link_header();
    // Places are counted from the link's header on.
    let place = match offset {
        0.. => offset + start + link.len() as i64,
        NET_OFF.. => offset - NET_OFF + link.len() as i64,
        LL_OFF.. => offset - LL_OFF,
        _ => return None,
    };
    let place = usize::try_from(place).ok()?;
    let mut value = 0;
    for at in place..place + n {
        let octet = match link.get(at) {
            Some(octet) => *octet,
            None => view.octet(at - link.len())?,
        };
        value = value << 8 | u32::from(octet);
    }
    Some(value)
}

/// Where behind offset 0 the transport's payload begins (Linux: skb_get_poff).
fn payload_offset(view: &View<'_>) -> u32 {
    let headers = view.parts[0].len() as i64 - view.start as i64;
    let len = match view.proto {
        proto::TCP => {
            let words = view
                .octet(view.parts[0].len() + 12)
                .map_or(0, |octet| octet >> 4);
            i64::from(words.max(5)) * 4
        }
        proto::UDP | proto::ICMP | proto::ICMPV6 | proto::IGMP => 8,
        _ => 0,
    };
    u32::try_from(headers + len).unwrap_or(0)
}

/// Where the netlink attribute of that type is, from offset `from` on, or within the attribute that is there; 0: nowhere (Linux:
/// bpf_skb_get_nlattr, bpf_skb_get_nlattr_nest).
fn attribute(view: &View<'_>, from: u32, kind: u32, nested: bool) -> u32 {
    const HEADER: usize = 4;
    let (mut at, mut end) = (from as usize, view.len());
    // Netlink's numbers are in the order of the machine.
    let half = |at: usize| {
        let octet = |at| view.octet(view.start + at).unwrap_or(0);
        usize::from(u16::from_ne_bytes([octet(at), octet(at + 1)]))
    };
    if at.saturating_add(HEADER) > end {
        return 0;
    }
    if nested {
        if half(at) > end - at {
            return 0;
        }
        // nla_find_nested: as many octets as the attribute has.
        (at, end) = (at + HEADER, at + half(at));
    }
    while at + HEADER <= end && (HEADER..=end - at).contains(&half(at)) {
        if half(at + 2) & 0x3fff == kind as usize {
            return at as u32;
        }
        at += half(at).next_multiple_of(HEADER);
    }
    0
}
