//! What happened, for a person to read; the same for the same seed, octet for octet.

use std::fmt::Write as _;

use crate::net::Fate;
use crate::packet::{self, VNET};

/// A log, or none.
pub(crate) struct Log(Option<String>);

impl Log {
    /// Nothing is written down.
    pub(crate) fn off() -> Log {
        Log(None)
    }

    /// Everything is.
    pub(crate) fn on() -> Log {
        Log(Some(String::new()))
    }

    /// What was written.
    pub(crate) fn into_text(self) -> String {
        self.0.unwrap_or_default()
    }

    fn line(&mut self, now: u64, words: &str) {
        if let Some(text) = &mut self.0 {
            let _ = writeln!(text, "{:6}.{:06} {words}", now / 1_000_000, now % 1_000_000);
        }
    }

    /// Something that is no packet.
    pub(crate) fn note(&mut self, now: u64, words: impl FnOnce() -> String) {
        if self.0.is_some() {
            self.line(now, &words());
        }
    }

    /// A frame leaves `from`.
    pub(crate) fn frame(&mut self, now: u64, from: usize, frame: &[u8], fate: &Fate) {
        if self.0.is_none() {
            return;
        }
        let said = packet::describe(&frame[VNET..]);
        let pieces = if frame[1] == 0 {
            ""
        } else {
            " (super-segment)"
        };
        let became = match fate {
            Fate::Arrive(at, false) => format!("+{} us", at - now),
            Fate::Arrive(at, true) => format!("+{} us, garbled", at - now),
            Fate::Twice(a, b) => format!("+{} us and +{} us", a - now, b - now),
            Fate::Lost(why) => format!("lost ({why})"),
            Fate::TooBig(true) => "too big, and told".into(),
            Fate::TooBig(false) => "too big".into(),
        };
        self.line(now, &format!("h{from}: {said}{pieces}: {became}"));
    }
}
