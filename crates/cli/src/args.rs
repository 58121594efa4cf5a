//! The command line, out of the table of options.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use tunsock_config::{Kind, LogLevel, OPTIONS, OptionId, OptionSpec, Options};

use crate::refusal::Refusal;

/// Everything the command understands.
pub(crate) fn command() -> Command {
    Command::new("tunsock")
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "The sockets API of Linux, answered by a TCP/IP stack inside the program's own process",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(run_command())
        .subcommand(demo_command())
}

fn demo_command() -> Command {
    Command::new("demo")
        .about("Show a server and a client talk, once the one and once the other on a stack of its own")
        .long_about(
            "Show an ordinary C server and client talk, once the one and once the other on a stack inside its own process, \
             with every packet in words. All of it happens in a network namespace made for the purpose, in less than \
             five seconds. The exit status is 1 when anything went otherwise than it should.",
        )
}

fn run_command() -> Command {
    let program = Arg::new(PROGRAM)
        .value_names(["PROGRAM", "ARG"])
        .help("The program, and its arguments")
        .required(true)
        .num_args(1..)
        .trailing_var_arg(true)
        .allow_hyphen_values(true)
        .value_parser(value_parser!(OsString));
    Command::new("run")
        .about("Run a program on a network stack of its own")
        .long_about(
            "Run a program on a network stack of its own: its internet sockets are answered inside its own process, and \
             its packets come and go over a TUN device. The program's exit status is passed on (128 + N after signal N); \
             1 with one line on standard error says what was missing before the program could be started.\n\n\
             Each option can also be given in the environment; the command line wins.",
        )
        .override_usage("tunsock run [OPTIONS] [--] PROGRAM [ARG]...")
        .args(OPTIONS.iter().map(option))
        .arg(program)
}

fn option(spec: &'static tunsock_config::OptionSpec) -> Arg {
    let arg = Arg::new(spec.long).long(spec.long).help(format!(
        "{} [default: {}] [env: {}]",
        spec.help, spec.default, spec.env
    ));
    if spec.kind == Kind::Flag {
        return arg.action(ArgAction::SetTrue);
    }
    let action = if spec.repeatable {
        ArgAction::Append
    } else {
        ArgAction::Set
    };
    arg.value_name(spec.value_name)
        .action(action)
        .value_parser(value_parser!(OsString))
}

/// The options, from the command line and what is not there from the environment; and whether an MTU was among them.
pub(crate) fn options(matches: &ArgMatches) -> Result<(Options, bool), Refusal> {
    let given =
        |long: &str| matches.value_source(long) == Some(clap::parser::ValueSource::CommandLine);
    let overridden: Vec<&str> = OPTIONS
        .iter()
        .filter(|spec| given(spec.long))
        .map(|spec| spec.env)
        .collect();
    let env = std::env::vars_os().filter(|(name, _)| !overridden.iter().any(|env| name == env));
    let (mut options, warnings) = Options::from_env(env)?;
    for spec in OPTIONS.iter().filter(|spec| given(spec.long)) {
        if spec.kind == Kind::Flag {
            options.set(spec.id, "1".as_ref())?;
            continue;
        }
        for value in matches
            .get_many::<OsString>(spec.long)
            .into_iter()
            .flatten()
        {
            options.set(spec.id, value)?;
        }
    }
    if options.log >= LogLevel::Warn {
        for warning in warnings {
            eprintln!("tunsock: {warning}");
        }
    }
    let mtu = OptionSpec::of(OptionId::Mtu);
    Ok((
        options,
        given(mtu.long) || std::env::var_os(mtu.env).is_some(),
    ))
}

/// The program and its arguments.
pub(crate) fn program(matches: &ArgMatches) -> Vec<OsString> {
    matches
        .get_many::<OsString>(PROGRAM)
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}

const PROGRAM: &str = "program";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> ArgMatches {
        let all = ["tunsock", "run"].iter().chain(args);
        let matches = command().try_get_matches_from(all).unwrap();
        matches.subcommand_matches("run").unwrap().clone()
    }

    #[test]
    fn clap_finds_no_fault_in_the_table() {
        command().debug_assert();
    }

    #[test]
    fn the_programs_own_options_stay_its_own() {
        let matches = parse(&["--mtu", "1400", "curl", "--mtu", "9", "-v", "--", "x"]);
        assert_eq!(program(&matches), ["curl", "--mtu", "9", "-v", "--", "x"]);
        assert_eq!(options(&matches).unwrap().0.mtu, 1400);
        let matches = parse(&["--isolate", "--", "prog", "--help"]);
        assert_eq!(program(&matches), ["prog", "--help"]);
        assert!(options(&matches).unwrap().0.isolate);
    }

    #[test]
    fn repeatable_options_add_up() {
        let matches = parse(&["--addr", "10.9.0.2/24", "--addr=fd09::2/64", "x"]);
        assert_eq!(options(&matches).unwrap().0.addrs.len(), 2);
    }

    #[test]
    fn wrong_values_name_the_option() {
        let error = options(&parse(&["--loss", "2", "x"])).unwrap_err();
        assert!(error.to_string().starts_with("--loss: `2` "), "{error}");
    }
}
