//! `tunsock run`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ArgMatches;
use tunsock_config::Options;

use crate::child::{Signals, exit_code};
use crate::refusal::Refusal;
use crate::{args, device, isolate, library, target};

/// Runs the program that the arguments name, and gives its exit status.
pub(crate) fn run(matches: &ArgMatches) -> Result<u8, Refusal> {
    let (mut options, mtu_given) = args::options(matches)?;
    let words = args::program(matches);
    let Some((program, args)) = words.split_first() else {
        return Err(Refusal::new("no program was named"));
    };
    let library = library::find()?;
    let path = target::check(program, args, &library)?;
    let signals = Signals::hold()
        .map_err(|error| Refusal::new(format!("cannot hold signals back: {error}")))?;
    if options.isolate {
        isolate::enter()?;
    }
    // The program may be somewhere else when it opens its first socket.
    absolute("--hosts", &mut options.hosts)?;
    absolute("--pcap", &mut options.pcap)?;
    if let Some(file) = &options.hosts {
        File::open(file).map_err(|error| unusable("--hosts", file, &error))?;
    }
    let device = device::prepare(&options, mtu_given)?;
    if let Some(file) = &options.pcap {
        // Empty, also when no socket is opened; the processes of this run add to it, one after the other.
        File::create(file).map_err(|error| unusable("--pcap", file, &error))?;
    }
    let mut command = Command::new(path);
    preload(&mut command, &library, &device.settled);
    command.arg0(program).args(args);
    let cannot = |error| Refusal::new(format!("{}: {error}", program.display()));
    let mut child = signals.spawn(&mut command).map_err(cannot)?;
    let status = signals.wait(&mut child).map_err(cannot)?;
    Ok(exit_code(status))
}

fn absolute(option: &str, file: &mut Option<PathBuf>) -> Result<(), Refusal> {
    if let Some(file) = file {
        *file = std::path::absolute(&*file).map_err(|error| unusable(option, file, &error))?;
    }
    Ok(())
}

fn unusable(option: &str, file: &Path, error: &io::Error) -> Refusal {
    Refusal::new(format!("{option}: {}: {error}", file.display()))
}

/// Puts the library, before whatever is preloaded already, and the options into the program's environment.
pub(crate) fn preload(command: &mut Command, library: &Path, options: &Options) {
    let mut list = OsString::from(library);
    if let Some(others) = std::env::var_os(LD_PRELOAD).filter(|others| !others.is_empty()) {
        list.push(OsStr::new(":"));
        list.push(others);
    }
    command.env(LD_PRELOAD, list);
    for spec in tunsock_config::OPTIONS {
        command.env_remove(spec.env);
    }
    command.envs(options.to_env());
}

const LD_PRELOAD: &str = "LD_PRELOAD";
