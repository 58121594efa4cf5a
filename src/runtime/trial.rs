//! Whether waits follow each other sooner when they begin with an offer of the CPU ([`super::offer`]) or with a sleep: found out by trying.
//!
//! That depends on who else is ready on this CPU. With the other end of the connection there and nobody else an offer spares a sleep and a wake-up; with
//! the other end elsewhere it is good for nothing; and beside a busy third program it is bad, since who sleeps is woken ahead of that one, and who has
//! offered is not. None of this can be asked for, and it changes.

use std::time::Duration;

/// Waits of a window, whose times are summed up: enough for what others do now and then to fall into most.
const WINDOW: u32 = 2048;

/// For so many windows offers are made before sleeps are measured again.
const KEPT: u32 = 16;

/// Offers that were good for so many windows have not been defeated when one is not.
const FEW: u32 = 4;

/// More offers in a window that brought nothing end the trial.
const MISSES: u32 = 32;

/// Two to the power of this many windows of sleeps, at most, before offers are tried again.
const DEFEATS: u32 = 8;

/// Who is so many microseconds behind twice what sleeps take need not wait for the window's end.
const HOPELESS: u64 = 4000;

/// What took longer was a pause of the program's own.
const LONGEST: Duration = Duration::from_millis(10);

/// Goes from windows of sleeps to windows of offers and back.
#[derive(Debug)]
pub(super) struct Trial {
    /// What waits begin with now.
    offers: bool,
    /// Waits of this window to come.
    left: u32,
    /// Windows of the same kind, this one among them.
    windows: u32,
    /// Microseconds from the end of one wait to that of the next, of this window's.
    took: u64,
    /// And those of the last window of sleeps.
    sleeps: u64,
    /// Offers of this window that brought nothing.
    misses: u32,
    /// Trials in a row that were lost.
    defeats: u32,
}

impl Trial {
    /// Begins with sleeps.
    pub(super) fn new() -> Trial {
        Trial {
            offers: false,
            left: WINDOW,
            windows: 1,
            took: 0,
            sleeps: 0,
            misses: 0,
            defeats: 0,
        }
    }

    /// Whether the next wait is to begin with an offer.
    pub(super) fn offers(&self) -> bool {
        self.offers
    }

    /// A wait has ended: how long after the one before, and whether its offer, if it made one, brought anything. From end to end, since the other end
    /// may have the CPU between the waits too, and so may a third.
    pub(super) fn ended(&mut self, took: Duration, came: bool) {
        // With offers it counts: several third programs' slices may add up to it.
        if took >= LONGEST && !self.offers {
            return;
        }
        self.took += took.min(LONGEST).as_micros() as u64;
        self.left -= 1;
        if self.offers {
            self.misses += u32::from(!came);
            // A thirty-second is what makes the trying worth while.
            let margin = if self.windows == KEPT {
                self.sleeps / 32
            } else {
                0
            };
            let sleeps = self.sleeps / u64::from(WINDOW) * u64::from(WINDOW - self.left);
            let hopeless = self.took > sleeps * 2 + HOPELESS;
            if self.took >= self.sleeps - margin || self.misses > MISSES || hopeless {
                return self.lose();
            }
        }
        if self.left > 0 {
            return;
        }
        if !self.offers {
            self.sleeps = self.took;
        }
        match (self.windows - 1, self.offers) {
            (0, false) => self.begin(true, KEPT),
            (0, true) => {
                self.defeats = 0;
                self.begin(false, 1);
            }
            (windows, offers) => self.begin(offers, windows),
        }
    }

    /// Back to sleeps, for the longer the more often it came to this.
    fn lose(&mut self) {
        self.defeats = if KEPT - self.windows < FEW {
            (self.defeats + 1).min(DEFEATS)
        } else {
            self.defeats.saturating_sub(1)
        };
        self.begin(false, 1 << self.defeats);
    }

    fn begin(&mut self, offers: bool, windows: u32) {
        self.offers = offers;
        self.windows = windows;
        self.left = WINDOW;
        self.took = 0;
        self.misses = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many waits, those that begin with an offer; `how` gives the microseconds of the wait of a number with or without one, and whether the
    /// offer brought anything.
    fn offered(waits: u32, how: impl Fn(u32, bool) -> (u64, bool)) -> u32 {
        let mut trial = Trial::new();
        let mut offered = 0;
        for number in 0..waits {
            let offers = trial.offers();
            offered += u32::from(offers);
            let (took, came) = how(number, offers);
            trial.ended(Duration::from_micros(took), came);
        }
        offered
    }

    const MANY: u32 = 1 << 22;

    #[test]
    fn offers_that_shorten_waits_are_made() {
        let made = offered(MANY, |_, offers| (if offers { 6 } else { 7 }, true));
        assert!(made > MANY / 10 * 9, "{made}");
    }

    #[test]
    fn a_disturbance_now_and_then_changes_nothing() {
        let made = offered(MANY, |number, offers| {
            let took = if number.is_multiple_of(5003) { 500 } else { 6 };
            (if offers { took } else { took + 1 }, true)
        });
        assert!(made > MANY / 10 * 8, "{made}");
    }

    #[test]
    fn offers_to_nobody_are_hardly_ever_made() {
        let made = offered(MANY, |_, _| (60, false));
        assert!((1..MANY / 1000).contains(&made), "{made}");
    }

    #[test]
    fn offers_beside_a_busy_program_are_hardly_ever_made() {
        // It takes its slice once in 400 waits that sleep, and once in 50 that offer.
        let made = offered(MANY, |number, offers| {
            let often = if offers { 50 } else { 400 };
            let took = if number.is_multiple_of(often) {
                3000
            } else {
                6
            };
            (took, true)
        });
        assert!((1..MANY / 100).contains(&made), "{made}");
    }

    #[test]
    fn offers_to_somebody_busy_cost_little_time() {
        // The other end is on another CPU, and this one has somebody who takes his slice each time.
        let mut trial = Trial::new();
        let mut slices = 0;
        for _ in 0..1 << 15 {
            let offers = trial.offers();
            slices += u32::from(offers);
            let took = if offers { 3000 } else { 100 };
            trial.ended(Duration::from_micros(took), true);
        }
        assert!((2..10).contains(&slices), "{slices}");
    }

    #[test]
    fn offers_are_made_again_when_they_have_become_good() {
        let busy = MANY / 2;
        let made = offered(MANY, |number, offers| match (offers, number < busy) {
            (false, _) => (7, true),
            (true, true) => (3000, true),
            (true, false) => (6, true),
        });
        assert!(made > busy / 2, "{made}");
    }
}
