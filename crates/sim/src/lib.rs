//! The proof by simulation: many stacks on a seeded network in virtual time, programs that send, read, pause, break off and vanish,
//! and a referee who looks at every packet and, after every step, at the stacks themselves. A failure is a seed.
//!
//! `plan` and `extras` draw what happens, `net` is the way between hosts, `app` are the programs, `hostile` forges, `watch` judges packets,
//! `judge` judges connections, `promises` what single programs were promised, `world` and `programs` put them together; `mutate` fuzzes, `table` measures.

mod app;
mod dice;
mod extras;
mod hostile;
mod judge;
mod log;
mod mutate;
mod net;
mod packet;
mod pattern;
mod plan;
mod programs;
mod promises;
mod table;
mod watch;
mod world;

pub use mutate::mutate;
pub use table::table;

use log::Log;
use world::World;

/// What came of one seed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Connections that were attempted.
    pub connections: u64,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Packets sent by the stacks.
    pub packets: u64,
    /// Events.
    pub steps: u64,
    /// Packets whose text went straight into a program's buffer.
    pub placed: u64,
    /// What did not hold, if anything.
    pub violation: Option<String>,
}

/// Runs the world of a seed. `audit_every`: how many steps pass between looks at a stack's own bookkeeping, at least 1.
pub fn run(seed: u64, audit_every: u64) -> Report {
    simulate(seed, audit_every, Log::off()).0
}

/// Runs the world of a seed and writes down what happened: one line a packet, call or event.
pub fn replay(seed: u64) -> (Report, String) {
    simulate(seed, 1, Log::on())
}

fn simulate(seed: u64, audit_every: u64, log: Log) -> (Report, String) {
    let plan = plan::draw(seed);
    let mut report = Report {
        seed,
        connections: plan.conns.len() as u64,
        ..Report::default()
    };
    let mut world = match World::new(seed, plan, log) {
        Ok(world) => world,
        Err(words) => {
            report.violation = Some(words);
            return (report, String::new());
        }
    };
    world.audit_every = audit_every.max(1);
    let outcome = world.run().and_then(|()| world.judge_at_end());
    report.violation = outcome.err().map(|words| {
        format!(
            "{}.{:06}: {words}",
            world.now / 1_000_000,
            world.now % 1_000_000
        )
    });
    report.accepted = world.accepted;
    report.packets = world.packets;
    report.steps = world.steps;
    report.placed = world.placed;
    (report, world.log.into_text())
}
