//! The one table of options ([`OPTIONS`]) and what it is turned into.
//!
//! The command line, the environment of the program under the library (`TUNSOCK_<OPTION>`), `--help` and the manual
//! all come from the table; nobody else spells an option's name or reads a `TUNSOCK_*` variable.
//!
//! The way of an option: the command parses its arguments with the table into [`Options`], settles what was left open
//! ([`Options::network`]: addresses, routes), makes the device, and hands
//! everything to the program by [`Options::to_env`] with [`Options::managed`] set. The library reads the same variables
//! back with [`Options::from_env`]. Without `managed` (the library was preloaded by hand) it settles and makes by itself
//! what the command would have made, with the same functions.

#![forbid(unsafe_code)]

mod network;
mod options;
mod spec;
mod value;

pub use network::{Network, NetworkError, Route};
pub use options::{Congestion, Faults, LogLevel, OptionError, Options, Warning};
pub use spec::{Kind, LIBRARY_ENV, MANAGED_ENV, OPTIONS, OptionId, OptionSpec};
