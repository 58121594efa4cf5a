//! Random calls of the sockets API (`c-tests/fuzz/`), on the kernel's sockets and on tunsock's.
//!
//! `compare`: one thread makes a sequence of calls that a seed decides, in a fresh network namespace each way, and what every
//! call said has to be the same. What the kernel itself says differently another time is nobody's difference: a sequence is
//! run again before it counts. `stress`: several threads make such calls on shared descriptors; nobody may crash, hang or
//! lose a descriptor.
//!
//! `cargo test --test fuzz` runs a few seeds. Any number of them:
//!
//! ```sh
//! cargo test --test fuzz -- --seeds 0..10000 --steps 40 --jobs 2
//! cargo test --test fuzz -- --show 4711
//! cargo test --test fuzz -- --stress 0..100 --threads 4
//! ```

#[path = "../lab/mod.rs"]
mod lab;

mod compare;
mod program;

use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Trial};

use compare::{Options, Verdict};
use program::{Program, Way};

/// Seeds and steps of the bounded run.
const SEEDS: std::ops::Range<u64> = 0..60;
const STEPS: u32 = 40;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let program = match Program::build() {
        Ok(program) => Arc::new(program),
        Err(text) => {
            eprintln!("fuzz: the C sources do not compile:\n{text}");
            std::process::exit(101);
        }
    };
    if ["--seeds", "--show", "--stress"]
        .iter()
        .any(|word| words.iter().any(|w| w == word))
    {
        let options = Options::parse(&words).unwrap_or_else(|text| {
            eprintln!("fuzz: {text}");
            std::process::exit(2);
        });
        std::process::exit(i32::from(!compare::long_run(&program, &options)));
    }
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(2);
    let kernel = lab::no_namespaces().or_else(no_tun);
    let some = lab::no_tunsock();
    let ours = some.clone().or_else(not_root_of_the_machine);
    for (missing, what) in [(&kernel, "the kernel's way"), (&ours, "tunsock's")] {
        if let Some(reason) = missing {
            eprintln!("fuzz: {what} CANNOT RUN here: {reason}");
        }
    }
    let mut trials = Vec::new();
    let few = 20;
    for first in (SEEDS.start..SEEDS.end).step_by(few) {
        let seeds = first..(first + few as u64).min(SEEDS.end);
        let name = format!("compare::seeds_{}_to_{}", seeds.start, seeds.end - 1);
        trials.push(trial(&name, &ours, &program, move |program| {
            compare::bounded(program, seeds.clone(), STEPS, Way::Preload)
        }));
    }
    trials.push(trial(
        "compare::finds_what_is_planted",
        &kernel,
        &program,
        compare::finds_what_is_planted,
    ));
    trials.push(trial(
        "stress::threads_on_shared_descriptors",
        &some,
        &program,
        |program| compare::stress(program, Way::Preload, 0..6, 400, 4),
    ));
    libtest_mimic::run(&args, trials).exit();
}

fn trial(
    name: &str,
    missing: &Option<String>,
    program: &Arc<Program>,
    act: impl Fn(&Program) -> Verdict + Send + 'static,
) -> Trial {
    let (missing, program) = (missing.clone(), program.clone());
    Trial::ignorable_test(name, move || match missing {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => act(&program)
            .map(|()| Completion::Completed)
            .map_err(|text| text.into()),
    })
}

/// Root of a user namespace may less than the kernel lets root, and more than nobody.
fn not_root_of_the_machine() -> Option<String> {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    (!whole || !rustix::process::geteuid().is_root()).then(|| "needs root of the machine".into())
}

/// On the kernel's way the sequences have a device too.
fn no_tun() -> Option<String> {
    let opened = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun");
    opened.err().map(|error| format!("/dev/net/tun: {error}"))
}
