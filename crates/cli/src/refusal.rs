//! Why the command does not do what it was asked: one line that says what is missing and how to get it.

use std::fmt;

/// One line for standard error, without a full stop. The command exits with status 1 and has changed nothing.
#[derive(Debug)]
pub(crate) struct Refusal(String);

impl Refusal {
    pub(crate) fn new(line: impl Into<String>) -> Refusal {
        Refusal(line.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<tunsock_config::OptionError> for Refusal {
    fn from(error: tunsock_config::OptionError) -> Refusal {
        Refusal(error.to_string())
    }
}

impl From<tunsock_config::NetworkError> for Refusal {
    fn from(error: tunsock_config::NetworkError) -> Refusal {
        Refusal(error.to_string())
    }
}
