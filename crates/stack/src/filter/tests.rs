//! What is sound, what programs return, and that none harms.

use std::net::Ipv4Addr;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::ip::{Iface, proto};

fn meta(local: bool) -> RxMeta {
    RxMeta {
        src: Ipv4Addr::LOCALHOST.into(),
        dst: Ipv4Addr::LOCALHOST.into(),
        ttl: 64,
        tos: 0,
        csum_ok: true,
        gso_size: 0,
        local,
        iface: if local {
            Iface::Loopback
        } else {
            Iface::Device
        },
        dst_kind: DstKind::Unicast,
    }
}

fn of(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

#[test]
fn octets_lie_across_the_parts() {
    let network: Vec<u8> = (0..20).collect();
    let data: Vec<u8> = (100..130).collect();
    let (device, inside) = (meta(false), meta(true));
    let run = |meta: &RxMeta, code: u16, k: i32| {
        let (head, body) = data.split_at(8);
        let view = View::transport(&network, head, body, meta, proto::UDP);
        let program = [of(code, 0, 0, k as u32), of(0x16, 0, 0, 0)];
        let filter = Filter::new(&program).unwrap();
        run::run(filter.instructions(), &view, &mut || 7)
    };
    assert_eq!(run(&device, 0x20, 6), 0x6a6b_6c6d);
    assert_eq!(run(&device, 0x28, 28), 0x8081);
    assert_eq!(run(&device, 0x28, 29), 0);
    // The IP header, and from it on into the transport's.
    assert_eq!(run(&device, 0x20, -0x10_0000 + 18), 0x1213_6465);
    assert_eq!(run(&device, 0x30, -0x10_0000 + 49), 129);
    assert_eq!(run(&device, 0x30, -0x10_0000 + 50), 0);
    // A device without headers of its own, and the loopback's.
    assert_eq!(run(&device, 0x30, -0x20_0000 + 3), 3);
    assert_eq!(run(&inside, 0x20, -0x20_0000 + 12), 0x0800_0001);
    assert_eq!(run(&inside, 0x30, -0x20_0000 + 17), 3);
    assert_eq!(run(&device, 0x20, -0x1000 + 28), 0xfffe);
    assert_eq!(run(&inside, 0x20, -0x1000 + 28), 772);
    assert_eq!(run(&device, 0x20, -0x1000 + 8), 2);
    assert_eq!(run(&device, 0x20, -0x1000 + 56), 7);
}

/// Whatever the check lets through ends, and never asks for what is not there.
#[test]
fn no_sound_program_harms() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let bytes: Vec<u8> = (0..=255).collect();
    let meta = meta(true);
    let codes: Vec<u16> = (0..0x100)
        .filter(|code| {
            let store = of(0x02, 0, 0, 1);
            Filter::new(&[store, of(*code, 0, 0, 1), of(6, 0, 0, 0), of(6, 0, 0, 0)]).is_ok()
        })
        .collect();
    assert_eq!(codes.len(), 49);
    let mut sound = 0;
    for _ in 0..200_000 {
        let len = 1 + rng.next_u32() as usize % 12;
        let mut program: Vec<Instruction> = (0..len)
            .map(|_| {
                let r = rng.next_u64();
                let code = codes[r as usize % codes.len()];
                let k = match r >> 60 {
                    0 => rng.next_u32(),
                    1 => 0xffff_f000 + (r as u32 >> 8 & 0x3c),
                    2 => 0xfff0_0000 + (r as u32 >> 8 & 0xff),
                    3 => 0xffe0_0000 + (r as u32 >> 8 & 0xff),
                    _ => r as u32 >> 8 & 15,
                };
                of(code, (r >> 32 & 3) as u8, (r >> 40 & 3) as u8, k)
            })
            .collect();
        program.push(of(0x16, 0, 0, 0));
        let Ok(filter) = Filter::new(&program) else {
            continue;
        };
        sound += 1;
        let cut = rng.next_u32() as usize % bytes.len();
        let (network, rest) = bytes.split_at(cut.min(40));
        let (head, body) = rest.split_at(rest.len().min(8));
        let view = View::transport(network, head, body, &meta, proto::TCP);
        run::run(filter.instructions(), &view, &mut || rng.next_u32());
    }
    assert!(sound > 10_000, "{sound}");
}
