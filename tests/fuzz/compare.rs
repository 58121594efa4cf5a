//! Transcripts beside each other: what is the same, what is not, and the fewest steps that show it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::program::{Program, Way, tail};

/// What becomes of a trial: nothing, or what is wrong.
pub(crate) type Verdict = Result<(), String>;

/// Longer than the alarms of a few seeds.
const BOUND: Duration = Duration::from_secs(240);
/// How often both sides say it before a difference is one.
const TIMES: usize = 4;

/// What the long run was asked for.
pub(crate) struct Options {
    seeds: Range<u64>,
    steps: u32,
    jobs: usize,
    threads: usize,
    way: Way,
    show: bool,
    stress: bool,
    shrink: bool,
}

impl Options {
    /// From the command's words.
    pub(crate) fn parse(words: &[String]) -> Result<Options, String> {
        let mut options = Options {
            seeds: 0..1,
            steps: 40,
            jobs: 1,
            threads: 4,
            way: Way::Preload,
            show: false,
            stress: false,
            shrink: true,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--no-shrink" {
                options.shrink = false;
                continue;
            }
            let value = words.next().ok_or(format!("{word} needs a value"))?;
            let number = || {
                value
                    .parse::<u64>()
                    .map_err(|_| format!("{word} {value}: no number"))
            };
            match word.as_str() {
                "--seeds" => options.seeds = seeds(value)?,
                "--stress" => (options.stress, options.seeds) = (true, seeds(value)?),
                "--show" => {
                    options.show = true;
                    options.seeds = seeds(&format!("{value}..{}", number()? + 1))?;
                }
                "--steps" => options.steps = number()? as u32,
                "--jobs" => options.jobs = number()? as usize,
                "--threads" => options.threads = number()? as usize,
                "--way" if value == "linked" => options.way = Way::Linked,
                "--way" if value == "preload" => options.way = Way::Preload,
                _ => return Err(format!("{word} {value}: what is that?")),
            }
        }
        Ok(options)
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let ends = text
        .split_once("..")
        .and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let (first, last) = ends.ok_or(format!("{text}: seeds are A..B"))?;
    Ok(first..last)
}

/// A seed's sequence that goes otherwise on our side.
struct Difference {
    seed: u64,
    /// The first line that differs: the kernel's, ours, and the step.
    kernel: String,
    ours: String,
    step: Option<u32>,
}

impl Difference {
    /// The same for differences that are one: the call with what it was given, less the numbers of slots and lengths, and what both said.
    fn signature(&self) -> String {
        let words = |line: &str| {
            let (call, said) = line.split_once(" = ").unwrap_or((line, ""));
            let name = call.trim().split('(').next().unwrap_or("").to_owned();
            let option = [
                "SOL_SOCKET",
                "IP ",
                "IPV6 ",
                "TCP ",
                "UDP ",
                "SOL_RAW ",
                "ICMPV6 ",
            ]
            .iter()
            .find_map(|level| call.find(level).map(|at| &call[at..]))
            .and_then(|rest| rest.split(',').next())
            .unwrap_or("");
            let said = said.split_whitespace().next().unwrap_or("");
            let said = if said.starts_with('E') { said } else { "done" };
            (format!("{name} {option}"), said.to_owned())
        };
        let ((call, kernel), (_, ours)) = (words(&self.kernel), words(&self.ours));
        format!("{call}: {kernel}, not {ours}")
    }
}

fn transcripts(
    program: &Program,
    way: Way,
    seeds: Range<u64>,
    steps: u32,
    only: Option<&[u32]>,
) -> Result<BTreeMap<u64, String>, String> {
    let mut words = vec![
        "compare".into(),
        format!("{}..{}", seeds.start, seeds.end),
        steps.to_string(),
    ];
    if let Some(only) = only {
        words.push(
            only.iter()
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(","),
        );
    }
    let text = program.run(way, &words, BOUND)?;
    let mut found = BTreeMap::new();
    for part in text.split("seed ").skip(1) {
        let (number, rest) = part.split_once('\n').unwrap_or((part, ""));
        if let Ok(seed) = number.parse() {
            found.insert(seed, rest.to_owned());
        }
    }
    if found.len() as u64 == seeds.end - seeds.start {
        Ok(found)
    } else {
        Err(format!(
            "{way:?}: {} of {} seeds:\n{}",
            found.len(),
            seeds.end - seeds.start,
            tail(&text)
        ))
    }
}

/// The first line that differs, and the step it belongs to.
fn first_difference(seed: u64, kernel: &str, ours: &str) -> Option<Difference> {
    let mut step = None;
    let (mut theirs, mut mine) = (kernel.lines(), ours.lines());
    loop {
        match (theirs.next(), mine.next()) {
            (None, None) => return None,
            (Some(a), Some(b)) if a == b => step = a.trim().parse().ok().or(step),
            (a, b) => {
                let (kernel, ours) = (a.unwrap_or("").into(), b.unwrap_or("").into());
                return Some(Difference {
                    seed,
                    kernel,
                    ours,
                    step,
                });
            }
        }
    }
}

/// Whether the sides differ for good: nothing that the one says in several runs is what the other says in one of its.
fn settled(
    program: &Program,
    way: Way,
    seed: u64,
    steps: u32,
    only: Option<&[u32]>,
) -> Result<Option<Difference>, String> {
    let mut said: [Vec<String>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..TIMES {
        for (side, way) in [Way::Kernel, way].into_iter().enumerate() {
            let text = transcripts(program, way, seed..seed + 1, steps, only)?
                .remove(&seed)
                .unwrap_or_default();
            said[side].push(text);
        }
        if said[0].iter().any(|text| said[1].contains(text)) {
            return Ok(None);
        }
    }
    // What the kernel says differently from one time to the other settles nothing from there on.
    if said[0].iter().any(|text| *text != said[0][0]) {
        let lines = |text: &String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let all: Vec<Vec<String>> = said[0].iter().map(lines).collect();
        let same = (0..)
            .take_while(|&n| {
                all[0].get(n).is_some() && all.iter().all(|t| t.get(n) == all[0].get(n))
            })
            .count();
        let cut = |text: &str| {
            text.lines()
                .take(same)
                .map(|l| format!("{l}\n"))
                .collect::<String>()
        };
        return Ok(first_difference(seed, &cut(&said[0][0]), &cut(&said[1][0])));
    }
    Ok(first_difference(seed, &said[0][0], &said[1][0]))
}

/// All seeds of a range whose sequences differ.
fn differences(
    program: &Program,
    way: Way,
    seeds: Range<u64>,
    steps: u32,
) -> Result<Vec<Difference>, String> {
    let kernel = transcripts(program, Way::Kernel, seeds.clone(), steps, None)?;
    let ours = transcripts(program, way, seeds, steps, None)?;
    let mut found = Vec::new();
    for (&seed, text) in &kernel {
        if ours.get(&seed) != Some(text) {
            found.extend(settled(program, way, seed, steps, None)?);
        }
    }
    Ok(found)
}

/// The fewest steps with a difference of that kind, and what both sides say then.
fn shrink(program: &Program, way: Way, found: &Difference, steps: u32) -> Result<String, String> {
    let signature = found.signature();
    let differs = |only: &[u32]| -> Result<bool, String> {
        let side = |way| {
            transcripts(program, way, found.seed..found.seed + 1, steps, Some(only))
                .map(|mut all| all.remove(&found.seed).unwrap_or_default())
        };
        let difference = first_difference(found.seed, &side(Way::Kernel)?, &side(way)?);
        Ok(difference.is_some_and(|d| d.signature() == signature))
    };
    let mut only: Vec<u32> = (0..found.step.map_or(steps, |step| step + 1)).collect();
    let mut piece = only.len().div_ceil(2);
    while piece > 0 {
        let mut at = 0;
        while at < only.len() {
            let mut fewer = only.clone();
            fewer.drain(at..(at + piece).min(only.len()));
            if differs(&fewer)? {
                only = fewer;
            } else {
                at += piece;
            }
        }
        piece = if piece == 1 { 0 } else { piece.div_ceil(2) };
    }
    let side = |way| {
        transcripts(program, way, found.seed..found.seed + 1, steps, Some(&only))
            .map(|mut all| all.remove(&found.seed).unwrap_or_default())
    };
    let (kernel, ours) = (side(Way::Kernel)?, side(way)?);
    let mut text = format!("  seed {}, steps {only:?}\n", found.seed);
    let mut mine = ours.lines();
    for line in kernel
        .lines()
        .filter(|line| line.trim().parse::<u32>().is_err())
    {
        let ours = mine
            .by_ref()
            .find(|line| line.trim().parse::<u32>().is_err());
        text += &format!("{line}\n");
        if ours != Some(line) {
            text += &format!("  ours: {}\n", ours.unwrap_or("").trim());
            break;
        }
    }
    Ok(text)
}

fn describe(program: &Program, way: Way, found: &Difference, steps: u32, fewest: bool) -> String {
    let mut text = format!(
        "seed {} at step {:?}: {}\n",
        found.seed,
        found.step,
        found.signature()
    );
    if !fewest {
        text += &format!(
            "  kernel: {}\n  ours:   {}\n",
            found.kernel.trim(),
            found.ours.trim()
        );
    }
    if fewest {
        text += &shrink(program, way, found, steps).unwrap_or_else(|error| error);
    }
    text
}

/// The bounded run: no difference in these seeds.
pub(crate) fn bounded(program: &Program, seeds: Range<u64>, steps: u32, way: Way) -> Verdict {
    match differences(program, way, seeds, steps)?.first() {
        None => Ok(()),
        Some(found) => Err(describe(program, way, found, steps, true)),
    }
}

/// That a difference of one errno of one call is found, and shown in few steps.
pub(crate) fn finds_what_is_planted(program: &Program) -> Verdict {
    let (seeds, steps) = (0..20, 40);
    let found = differences(program, Way::Planted, seeds, steps)?;
    let first = found
        .first()
        .ok_or("the planted difference was not found")?;
    if first.signature() != "getpeername : ENOTCONN, not EINVAL" {
        return Err(format!("something else was found: {}", first.signature()));
    }
    let text = shrink(program, Way::Planted, first, steps)?;
    let left = text
        .lines()
        .next()
        .map_or(0, |line| line.matches(',').count());
    if left <= 3 {
        Ok(())
    } else {
        Err(format!("not shrunk:\n{text}"))
    }
}

/// Several threads at once: every seed's process ends well.
pub(crate) fn stress(
    program: &Program,
    way: Way,
    seeds: Range<u64>,
    steps: u32,
    threads: usize,
) -> Verdict {
    let words = [
        "stress".into(),
        format!("{}..{}", seeds.start, seeds.end),
        steps.to_string(),
        threads.to_string(),
    ];
    let text = program.run(way, &words, BOUND)?;
    let ended = text.matches("all closed").count() as u64;
    if ended == seeds.end - seeds.start && !text.contains("ENDED") && !text.contains("EXIT STATUS")
    {
        Ok(())
    } else {
        Err(tail(&text))
    }
}

/// Any number of seeds; what is found is told once a kind. Whether nothing was found.
pub(crate) fn long_run(program: &Program, options: &Options) -> bool {
    let (way, steps) = (options.way, options.steps);
    if options.show {
        match transcripts(program, Way::Kernel, options.seeds.clone(), steps, None) {
            Ok(all) => all.values().for_each(|text| print!("{text}")),
            Err(error) => println!("{error}"),
        }
        return true;
    }
    let next = AtomicU64::new(options.seeds.start);
    let kinds: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());
    let work = || loop {
        let first = next.fetch_add(20, Ordering::Relaxed);
        if first >= options.seeds.end {
            break;
        }
        let some = first..(first + 20).min(options.seeds.end);
        if options.stress {
            if let Err(text) = stress(program, way, some.clone(), steps, options.threads) {
                *kinds
                    .lock()
                    .expect("nobody panics")
                    .entry("stress".into())
                    .or_default() += 1;
                println!("seeds {some:?}: {text}");
            }
            continue;
        }
        match differences(program, way, some, steps) {
            Err(text) => {
                *kinds
                    .lock()
                    .expect("nobody panics")
                    .entry("no answer".into())
                    .or_default() += 1;
                println!("{text}");
            }
            Ok(found) => {
                for one in found {
                    let count = {
                        let mut kinds = kinds.lock().expect("nobody panics");
                        let count = kinds.entry(one.signature()).or_default();
                        *count += 1;
                        *count
                    };
                    if count == 1 {
                        println!("{}", describe(program, way, &one, steps, options.shrink));
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(work);
        }
    });
    let kinds = kinds.into_inner().expect("nobody panics");
    for (kind, count) in &kinds {
        println!("{count:6} {kind}");
    }
    println!(
        "{} seeds, {} kinds of difference",
        options.seeds.end - options.seeds.start,
        kinds.len()
    );
    kinds.is_empty()
}
