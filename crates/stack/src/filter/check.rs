//! What makes a program sound (Linux: bpf_check_classic, chk_code_allowed, check_load_and_stores).

use super::run::op;
use super::{INSTRUCTIONS_MAX, Instruction};

/// Words of the machine's memory (BPF_MEMWORDS).
pub(super) const WORDS: usize = 16;
/// Loads from here on ask for what is known of the packet, not for its octets (SKF_AD_OFF).
pub(super) const AD_OFF: u32 = 0u32.wrapping_sub(0x1000);

/// Whether Linux would take the program.
pub(super) fn is_sound(program: &[Instruction]) -> bool {
    let last = program.last().map(|last| last.code);
    (1..=INSTRUCTIONS_MAX).contains(&program.len())
        && program
            .iter()
            .enumerate()
            .all(|(at, of)| fits(of, program.len() - at - 1))
        && matches!(last, Some(op::RET_K | op::RET_A))
        && loads_what_was_stored(program)
}

/// Whether an instruction is one, and keeps to its bounds; `behind` it there are so many.
fn fits(of: &Instruction, behind: usize) -> bool {
    let word = (of.k as usize) < WORDS;
    let reaches = |jump: u8| usize::from(jump) < behind;
    match of.code {
        op::DIV_K | op::MOD_K => of.k != 0,
        op::LSH_K | op::RSH_K => of.k < 32,
        op::LD_MEM | op::LDX_MEM | op::ST | op::STX => word,
        op::JA => (of.k as usize) < behind,
        code if branches(code) => reaches(of.jt) && reaches(of.jf),
        op::LD_W_ABS | op::LD_H_ABS | op::LD_B_ABS => of.k < AD_OFF || is_ancillary(of.k),
        op::ADD_K
        | op::ADD_X
        | op::SUB_K
        | op::SUB_X
        | op::MUL_K
        | op::MUL_X
        | op::DIV_X
        | op::MOD_X
        | op::AND_K
        | op::AND_X
        | op::OR_K
        | op::OR_X
        | op::XOR_K
        | op::XOR_X
        | op::LSH_X
        | op::RSH_X
        | op::NEG
        | op::LD_LEN
        | op::LD_W_IND
        | op::LD_H_IND
        | op::LD_B_IND
        | op::LD_IMM
        | op::LDX_LEN
        | op::LDX_MSH
        | op::LDX_IMM
        | op::TAX
        | op::TXA
        | op::RET_K
        | op::RET_A => true,
        _ => false,
    }
}

/// Whether an instruction goes one of two ways.
fn branches(code: u16) -> bool {
    matches!(
        code,
        op::JEQ_K
            | op::JEQ_X
            | op::JGE_K
            | op::JGE_X
            | op::JGT_K
            | op::JGT_X
            | op::JSET_K
            | op::JSET_X
    )
}

/// SKF_AD_PROTOCOL to SKF_AD_VLAN_TPID: each fourth number below SKF_AD_MAX.
fn is_ancillary(k: u32) -> bool {
    let ancillary = k.wrapping_sub(AD_OFF);
    ancillary < 64 && ancillary.is_multiple_of(4)
}

/// Whether on every way through the program a word is stored before it is loaded.
fn loads_what_was_stored(program: &[Instruction]) -> bool {
    // What is stored on all ways that jump to an instruction.
    let mut stored_at = vec![u16::MAX; program.len()];
    let mut stored = 0u16;
    for (at, of) in program.iter().enumerate() {
        stored &= stored_at.get(at).copied().unwrap_or(0);
        let mut jump = |by: usize, stored: u16| {
            if let Some(there) = stored_at.get_mut(at + 1 + by) {
                *there &= stored;
            }
        };
        match of.code {
            op::ST | op::STX => stored |= 1 << (of.k & 15),
            op::LD_MEM | op::LDX_MEM if stored & 1 << (of.k & 15) == 0 => return false,
            op::JA => {
                jump(of.k as usize, stored);
                stored = u16::MAX;
            }
            code if branches(code) => {
                jump(of.jt.into(), stored);
                jump(of.jf.into(), stored);
                stored = u16::MAX;
            }
            _ => {}
        }
    }
    true
}
