//! Whose packets to a group are wanted: what sockets ask for, put together for an interface (RFC 3376 3.2, RFC 3810 4.2).

use std::collections::BTreeMap;
use std::net::IpAddr;

/// What one socket asks of a group.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Wish {
    /// EXCLUDE: everybody but the sources. Else INCLUDE: the sources alone.
    pub(crate) exclude: bool,
    /// In no order, each once.
    pub(crate) sources: Vec<IpAddr>,
}

impl Wish {
    /// A plain join: everybody.
    pub(crate) fn everybody() -> Wish {
        Wish {
            exclude: true,
            sources: Vec::new(),
        }
    }

    /// Whether packets from `src` are wanted.
    pub(crate) fn allows(&self, src: IpAddr) -> bool {
        self.sources.contains(&src) != self.exclude
    }
}

/// The wishes of all sockets for one group on one interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    users: u32,
    excludes: u32,
    sources: BTreeMap<IpAddr, Counts>,
}

/// How many wishes name a source.
#[derive(Copy, Clone, Debug, Default)]
struct Counts {
    include: u32,
    exclude: u32,
}

impl Filter {
    /// One more socket has this wish.
    pub(crate) fn add(&mut self, wish: &Wish) {
        self.users = self.users.saturating_add(1);
        self.excludes = self.excludes.saturating_add(u32::from(wish.exclude));
        for source in &wish.sources {
            let counts = self.sources.entry(*source).or_default();
            let count = counts.of(wish.exclude);
            *count = count.saturating_add(1);
        }
    }

    /// A wish that was added is no more.
    pub(crate) fn remove(&mut self, wish: &Wish) {
        self.users = self.users.saturating_sub(1);
        self.excludes = self.excludes.saturating_sub(u32::from(wish.exclude));
        for source in &wish.sources {
            if let Some(counts) = self.sources.get_mut(source) {
                let count = counts.of(wish.exclude);
                *count = count.saturating_sub(1);
                if counts.include == 0 && counts.exclude == 0 {
                    self.sources.remove(source);
                }
            }
        }
    }

    /// Nobody has a wish.
    pub(crate) fn is_unused(&self) -> bool {
        self.users == 0
    }

    /// Whether anybody wants packets from `src` (Linux: ip_check_mc_rcu, ipv6_chk_mcast_addr).
    pub(crate) fn allows(&self, src: IpAddr) -> bool {
        match self.sources.get(&src) {
            Some(counts) => counts.include > 0 || counts.exclude != self.excludes,
            None => self.excludes > 0,
        }
    }

    /// The interface's state (RFC 3376 3.2): with any EXCLUDE, EXCLUDE of what all of those exclude and nobody includes; else
    /// INCLUDE of everything that is included.
    pub(crate) fn state(&self) -> Wish {
        let exclude = self.excludes > 0;
        let wanted = |counts: &Counts| match exclude {
            true => counts.include == 0 && counts.exclude == self.excludes,
            false => counts.include > 0,
        };
        let named = self.sources.iter().filter(|(_, counts)| wanted(counts));
        Wish {
            exclude,
            sources: named.map(|(source, _)| *source).collect(),
        }
    }
}

impl Counts {
    fn of(&mut self, exclude: bool) -> &mut u32 {
        if exclude {
            &mut self.exclude
        } else {
            &mut self.include
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(exclude: bool, sources: &[u8]) -> Wish {
        Wish {
            exclude,
            sources: sources.iter().map(|n| [10, 0, 0, *n].into()).collect(),
        }
    }

    fn state(wishes: &[Wish]) -> Wish {
        let mut filter = Filter::default();
        wishes.iter().for_each(|wish| filter.add(wish));
        filter.state()
    }

    #[test]
    fn rfc3376_3_2_the_examples() {
        let three = [
            wish(true, &[1, 2, 3, 4]),
            wish(true, &[2, 3, 4, 5]),
            wish(false, &[4, 5, 6]),
        ];
        assert_eq!(state(&three), wish(true, &[2, 3]));
        let three = [
            wish(false, &[1, 2, 3]),
            wish(false, &[2, 3, 4]),
            wish(false, &[5, 6]),
        ];
        assert_eq!(state(&three), wish(false, &[1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn what_is_taken_away_leaves_no_trace() {
        let wishes = [wish(true, &[1, 2]), wish(false, &[2, 3]), Wish::everybody()];
        let mut filter = Filter::default();
        wishes.iter().for_each(|wish| filter.add(wish));
        assert!(filter.allows([10, 0, 0, 1].into()));
        wishes.iter().for_each(|wish| filter.remove(wish));
        assert!(filter.is_unused() && filter.sources.is_empty());
        assert!(!filter.allows([10, 0, 0, 1].into()));
    }

    #[test]
    fn a_source_is_let_in_when_any_socket_wants_it() {
        let mut filter = Filter::default();
        filter.add(&wish(true, &[1, 2]));
        filter.add(&wish(false, &[2]));
        for (source, allowed) in [(1, false), (2, true), (3, true)] {
            assert_eq!(filter.allows([10, 0, 0, source].into()), allowed);
        }
    }
}
