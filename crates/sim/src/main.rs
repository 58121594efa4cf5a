//! `tunsock-sim`: runs worlds by their seeds, or replays one.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Arg, Command, value_parser};

/// Seeds from `A..B`, or `B` for `0..B`.
fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |s: &str| {
        s.replace('_', "")
            .parse::<u64>()
            .map_err(|e| format!("{s}: {e}"))
    };
    match text.split_once("..") {
        Some((from, to)) => Ok(number(from)?..number(to)?),
        None => Ok(0..number(text)?),
    }
}

fn command() -> Command {
    Command::new("tunsock-sim")
        .about("Many stacks on a seeded network in virtual time, watched for broken promises")
        .arg(
            Arg::new("seeds")
                .long("seeds")
                .value_name("A..B")
                .value_parser(seeds)
                .help("Run the worlds of these seeds"),
        )
        .arg(
            Arg::new("replay")
                .long("replay")
                .value_name("SEED")
                .value_parser(value_parser!(u64))
                .help("Print what happens in one world"),
        )
        .arg(
            Arg::new("audit")
                .long("audit-every")
                .value_name("N")
                .default_value("16")
                .value_parser(value_parser!(u64).range(1..))
                .help("Steps between looks at a stack's bookkeeping"),
        )
        .arg(
            Arg::new("jobs")
                .long("jobs")
                .value_name("N")
                .default_value("1")
                .value_parser(value_parser!(u64).range(1..))
                .help("Threads"),
        )
        .arg(
            Arg::new("keep")
                .long("keep-going")
                .action(clap::ArgAction::SetTrue)
                .help("Go on after a violation"),
        )
        .arg(
            Arg::new("mutate")
                .long("mutate")
                .value_name("N")
                .value_parser(value_parser!(u64))
                .help("Send N changed frames into stacks that talk to each other, from the first of the seeds on"),
        )
        .arg(
            Arg::new("table")
                .long("table")
                .action(clap::ArgAction::SetTrue)
                .help("Print throughput against loss"),
        )
        .arg_required_else_help(true)
}

fn cpu_seconds() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

thread_local! {
    static SEED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Runs worlds on several threads; false when one was not as it should be.
fn run(seeds: Range<u64>, audit: u64, jobs: u64, keep: bool) -> bool {
    let next = AtomicU64::new(seeds.start);
    let totals = Mutex::new([0u64; 6]);
    let begin = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    SEED.set(seed);
                    let r = tunsock_sim::run(seed, audit);
                    let mut totals = totals.lock().unwrap_or_else(|e| e.into_inner());
                    let sums = [
                        1,
                        r.connections,
                        r.accepted,
                        r.packets,
                        r.placed,
                        u64::from(r.violation.is_some()),
                    ];
                    totals
                        .iter_mut()
                        .zip(sums)
                        .for_each(|(total, n)| *total += n);
                    if let Some(words) = r.violation {
                        println!("seed {seed}: {words}");
                        if !keep {
                            next.store(seeds.end, Ordering::Relaxed);
                        }
                    }
                    if totals[0].is_multiple_of(10_000) {
                        eprintln!(
                            "{} worlds, {} connections, {} violations",
                            totals[0], totals[1], totals[5]
                        );
                    }
                }
            });
        }
    });
    let [worlds, connections, accepted, packets, placed, violations] =
        *totals.lock().unwrap_or_else(|e| e.into_inner());
    let cpu = cpu_seconds();
    println!(
        "{worlds} worlds, {connections} connections ({accepted} accepted), {packets} packets ({placed} read in place), {violations} violations; \
         {cpu:.1} s CPU, {:.1} s elapsed, {:.0} connections per CPU second",
        begin.elapsed().as_secs_f64(),
        connections as f64 / cpu.max(1e-9),
    );
    violations == 0
}

/// Frames in one fuzzing world: what comes late in a long life is found by many short ones too.
const WORLD_FRAMES: u64 = 20_000;

fn mutate(from: u64, frames: u64) -> bool {
    for seed in from..from + frames.div_ceil(WORLD_FRAMES) {
        SEED.set(seed);
        if let Err(words) = tunsock_sim::mutate(seed, frames.min(WORLD_FRAMES)) {
            println!("{words}");
            return false;
        }
    }
    println!("{frames} frames, {:.1} s CPU", cpu_seconds());
    true
}

fn main() -> ExitCode {
    let matches = command().get_matches();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        println!("seed {}: panic", SEED.get());
        hook(info);
    }));
    let mut fine = true;
    if let Some(seed) = matches.get_one::<u64>("replay") {
        SEED.set(*seed);
        let (report, log) = tunsock_sim::replay(*seed);
        print!("{log}");
        println!("{report:?}");
        fine &= report.violation.is_none();
    }
    if let Some(frames) = matches.get_one::<u64>("mutate") {
        let from = matches
            .get_one::<Range<u64>>("seeds")
            .map_or(0, |s| s.start);
        fine &= mutate(from, *frames);
    } else if let Some(seeds) = matches.get_one::<Range<u64>>("seeds") {
        let number = |name: &str| matches.get_one::<u64>(name).copied().unwrap_or(1);
        fine &= run(
            seeds.clone(),
            number("audit"),
            number("jobs"),
            matches.get_flag("keep"),
        );
    }
    if matches.get_flag("table") {
        print!("{}", tunsock_sim::table());
    }
    if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
