//! The `tunsock` command: runs programs on a network stack of their own.

mod args;
mod child;
mod demo;
mod device;
mod isolate;
mod library;
mod refusal;
mod run;
mod target;

use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = args::command().get_matches();
    let result = match matches.subcommand() {
        Some(("run", run)) => run::run(run),
        Some(("demo", _)) => demo::demo(),
        _ => unreachable!("clap asks for a subcommand and knows no other"),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(refusal) => {
            eprintln!("tunsock: {refusal}");
            ExitCode::FAILURE
        }
    }
}
