//! A member's side of IGMP (RFC 2236, RFC 3376) and MLD (RFC 2710, RFC 3810), which differ in their packets alone: what is
//! told to routers, and when. Version numbers here are IGMP's; MLDv1 is 2 and MLDv2 is 3.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::{Filter, Wish};
use crate::keyed::{KeyedMap, KeyedState};
use crate::time::{Instant, earliest};

/// RFC 3376 8.1, RFC 3810 9.1: how often a change is told.
const ROBUSTNESS: u8 = 2;
/// RFC 3376 8.2, until a querier says otherwise.
const QUERY_INTERVAL: Duration = Duration::from_secs(125);
/// RFC 3376 8.3.
const QUERY_RESPONSE: Duration = Duration::from_secs(10);
/// RFC 3376 8.11, RFC 3810 9.11: within this a change is told again.
const UNSOLICITED_V3: Duration = Duration::from_secs(1);
/// RFC 2236 8.10, RFC 2710 7.10: within this a join is told again.
const UNSOLICITED_V2: Duration = Duration::from_secs(10);

/// Types of records, RFC 3376 4.2.12, RFC 3810 5.2.12.
pub(super) mod record {
    pub(crate) const IS_INCLUDE: u8 = 1;
    pub(crate) const IS_EXCLUDE: u8 = 2;
    pub(crate) const TO_INCLUDE: u8 = 3;
    pub(crate) const TO_EXCLUDE: u8 = 4;
    pub(crate) const ALLOW: u8 = 5;
    pub(crate) const BLOCK: u8 = 6;
}

/// One record of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: u8,
    pub(super) group: IpAddr,
    pub(super) sources: Vec<IpAddr>,
}

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Version 3: records, as many reports as they need.
    Records(Vec<Record>),
    /// Versions 1 and 2: a member of the group is here.
    Report {
        /// Which of the two.
        version: u8,
        /// The group.
        group: IpAddr,
    },
    /// Version 2: perhaps the last member of the group has left.
    Leave(IpAddr),
}

/// A query as it was heard.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// 1, 2 or 3.
    pub(super) version: u8,
    /// `None`: a general one.
    pub(super) group: Option<IpAddr>,
    /// Sources that are asked about; none: the group as a whole.
    pub(super) sources: Vec<IpAddr>,
    /// Answers are to come within this.
    pub(super) max_response: Duration,
    /// The querier's robustness variable; 0: not said.
    pub(super) robustness: u8,
    /// The querier's interval; zero: not said.
    pub(super) interval: Duration,
}

/// Groups of one family on the device, and what routers have yet to be told.
#[derive(Debug)]
pub(crate) struct Host {
    groups: KeyedMap<IpAddr, Group>,
    /// Groups with a timer running.
    timers: BTreeSet<(Instant, IpAddr)>,
    /// Groups whose change has to be told (again).
    dirty: BTreeSet<IpAddr>,
    change_at: Option<Instant>,
    general_at: Option<Instant>,
    /// Until when queriers of version 1 and 2 are taken to be there (RFC 3376 7.2.1, RFC 3810 8.2.1).
    old_queriers: [Option<Instant>; 2],
    robustness: u8,
    query_interval: Duration,
    /// Messages of old versions that are ready.
    ready: Vec<Message>,
    rng: ChaCha8Rng,
}

#[derive(Debug, Default)]
struct Group {
    filter: Filter,
    /// How often a change of the mode has still to be told.
    mode_left: u8,
    /// How often a change about a source has still to be told.
    sources_left: BTreeMap<IpAddr, u8>,
    /// When an answer, or a repetition in versions 1 and 2, is due.
    timer: Option<Instant>,
    /// Sources that the answer is about; none: the whole group.
    asked: BTreeSet<IpAddr>,
    /// How many reports of versions 1 and 2 are due unasked.
    unsolicited: u8,
    /// We were the last to report the group (RFC 2236 3: who was sends the leave).
    reporter: bool,
}

impl Host {
    /// No groups, no querier.
    pub(super) fn new(rng: &mut ChaCha8Rng) -> Host {
        let own = rng.fork();
        Host {
            groups: KeyedState::map(rng),
            timers: BTreeSet::new(),
            dirty: BTreeSet::new(),
            change_at: None,
            general_at: None,
            old_queriers: [None; 2],
            robustness: ROBUSTNESS,
            query_interval: QUERY_INTERVAL,
            ready: Vec::new(),
            rng: own,
        }
    }

    /// What is wanted of a group.
    pub(super) fn filter(&self, group: IpAddr) -> Option<&Filter> {
        self.groups.get(&group).map(|group| &group.filter)
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// When [`Host::run`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let group = self.timers.first().map(|(at, _)| *at);
        earliest([self.change_at, self.general_at, group])
    }

    /// The version that is spoken now.
    pub(super) fn version(&self, now: Instant) -> u8 {
        let [v1, v2] = self
            .old_queriers
            .map(|until| until.is_some_and(|until| now < until));
        match (v1, v2) {
            (true, _) => 1,
            (_, true) => 2,
            _ => 3,
        }
    }

    /// What is wanted of a group becomes what `apply` makes of it; routers are told when that makes a difference to them.
    pub(super) fn change(&mut self, now: Instant, addr: IpAddr, apply: impl FnOnce(&mut Filter)) {
        let version = self.version(now);
        let robustness = self.robustness;
        let group = self.groups.entry(addr).or_default();
        let before = group.filter.state();
        apply(&mut group.filter);
        let after = group.filter.state();
        if before != after && is_reported(addr) {
            if version == 3 {
                group.note_change(&before, &after, robustness);
                self.dirty.insert(addr);
                // RFC 3376 5.1: at once.
                self.change_at = Some(now);
            } else {
                self.change_for_old(now, version, addr, is_wanted(&before), is_wanted(&after));
            }
        }
        self.drop_unused(addr);
    }

    /// RFC 2236 3, RFC 2710 4: a join is reported at once and again, a leave is told by who reported last.
    fn change_for_old(&mut self, now: Instant, version: u8, addr: IpAddr, was: bool, is: bool) {
        let Some(group) = self.groups.get_mut(&addr) else {
            return;
        };
        if is && !was {
            group.unsolicited = self.robustness;
            group.set_timer(&mut self.timers, addr, Some(now));
        } else if was && !is {
            group.set_timer(&mut self.timers, addr, None);
            if version == 2 && group.reporter {
                self.ready.push(Message::Leave(addr));
            }
            group.reporter = false;
        }
    }

    /// Everything that is to be sent by now.
    pub(super) fn run(&mut self, now: Instant) -> Vec<Message> {
        let mut messages = std::mem::take(&mut self.ready);
        if self.change_at.is_some_and(|at| at <= now) {
            self.tell_changes(now, &mut messages);
        }
        if self.general_at.is_some_and(|at| at <= now) {
            self.general_at = None;
            messages.push(Message::Records(self.everything()));
        }
        let version = self.version(now);
        let mut answers = Vec::new();
        while let Some(&(at, addr)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            let again = now + random(&mut self.rng, UNSOLICITED_V2);
            let Some(group) = self.groups.get_mut(&addr) else {
                continue;
            };
            group.timer = None;
            if version == 3 {
                answers.extend(group.answer(addr));
                continue;
            }
            group.unsolicited = group.unsolicited.saturating_sub(1);
            if group.unsolicited > 0 {
                group.set_timer(&mut self.timers, addr, Some(again));
            }
            group.reporter = true;
            messages.push(Message::Report {
                version,
                group: addr,
            });
        }
        if !answers.is_empty() {
            messages.push(Message::Records(answers));
        }
        messages.retain(|message| !matches!(message, Message::Records(r) if r.is_empty()));
        messages
    }

    /// RFC 3376 5.1, RFC 3810 6.1: a state-change report with all that is pending, repeated after a random while.
    fn tell_changes(&mut self, now: Instant, messages: &mut Vec<Message>) {
        let mut records = Vec::new();
        for addr in std::mem::take(&mut self.dirty) {
            if let Some(group) = self.groups.get_mut(&addr) {
                group.tell_change(addr, &mut records);
                if group.is_dirty() {
                    self.dirty.insert(addr);
                }
            }
            self.drop_unused(addr);
        }
        messages.push(Message::Records(records));
        self.change_at = if self.dirty.is_empty() {
            None
        } else {
            Some(now + random(&mut self.rng, UNSOLICITED_V3))
        };
    }

    /// The answer to a general query.
    fn everything(&self) -> Vec<Record> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_unstable_by_key(|(addr, _)| **addr);
        groups
            .into_iter()
            .filter(|(addr, _)| is_reported(**addr))
            .filter_map(|(addr, group)| group.current(*addr))
            .collect()
    }

    /// A query was heard (RFC 3376 5.2 and 7.2.1, RFC 3810 6.2 and 8.2.1, RFC 2236 3, RFC 2710 4).
    pub(super) fn heard_query(&mut self, now: Instant, query: &Query) {
        if query.version < 3 {
            self.heard_old_querier(now, query);
        } else {
            if query.robustness > 0 {
                self.robustness = query.robustness;
            }
            if !query.interval.is_zero() {
                self.query_interval = query.interval;
            }
        }
        let at = now + random(&mut self.rng, query.max_response);
        if self.version(now) < 3 {
            let mut addrs: Vec<IpAddr> = match query.group {
                Some(addr) => vec![addr],
                None => self.groups.keys().copied().collect(),
            };
            // RFC 2236 3: each group has a delay of its own. In the map's order they would depend on its key.
            addrs.sort_unstable();
            for addr in addrs {
                let at = now + random(&mut self.rng, query.max_response);
                self.answer_by(addr, at);
            }
            return;
        }
        // 5.2, rule 1: an answer about everything that comes sooner will do.
        if self.general_at.is_some_and(|general| general <= at) {
            return;
        }
        match query.group {
            None => self.general_at = Some(at),
            Some(addr) => self.asked_about(addr, &query.sources, at),
        }
    }

    /// 5.2, rules 3 to 5.
    fn asked_about(&mut self, addr: IpAddr, sources: &[IpAddr], at: Instant) {
        let Some(group) = self.groups.get_mut(&addr).filter(|_| is_reported(addr)) else {
            return;
        };
        let sooner = group.timer.map_or(at, |timer| timer.min(at));
        let whole = sources.is_empty() || (group.timer.is_some() && group.asked.is_empty());
        if whole {
            group.asked.clear();
        } else {
            // Of more than that the first are answered about: no query costs more memory.
            group.asked.extend(sources.iter().take(ASKED_MAX).copied());
            while group.asked.len() > ASKED_MAX {
                group.asked.pop_last();
            }
        }
        group.set_timer(&mut self.timers, addr, Some(sooner));
    }

    /// Versions 1 and 2: reported by then, unless somebody else does before.
    fn answer_by(&mut self, addr: IpAddr, at: Instant) {
        let wanted = |group: &&mut Group| is_reported(addr) && is_wanted(&group.filter.state());
        if let Some(group) = self.groups.get_mut(&addr).filter(wanted)
            && group.timer.is_none_or(|timer| at < timer)
        {
            group.set_timer(&mut self.timers, addr, Some(at));
        }
    }

    /// RFC 3376 7.2.1: that version is spoken for a while, and what was pending in a newer one is dropped.
    fn heard_old_querier(&mut self, now: Instant, query: &Query) {
        let before = self.version(now);
        let present = self.query_interval * u32::from(self.robustness)
            + query.max_response.max(QUERY_RESPONSE);
        let slot = usize::from(query.version.saturating_sub(1)).min(1);
        if let Some(until) = self.old_queriers.get_mut(slot) {
            *until = Some(now + present);
        }
        if self.version(now) == before {
            return;
        }
        self.change_at = None;
        self.general_at = None;
        self.timers.clear();
        let dirty = std::mem::take(&mut self.dirty);
        for group in self.groups.values_mut() {
            group.timer = None;
            group.asked.clear();
            group.mode_left = 0;
            group.sources_left.clear();
        }
        for addr in dirty {
            self.drop_unused(addr);
        }
    }

    /// Somebody else has reported the group (RFC 2236 3, RFC 2710 4): ours is not needed.
    pub(super) fn heard_report(&mut self, now: Instant, addr: IpAddr) {
        if self.version(now) == 3 {
            return;
        }
        if let Some(group) = self.groups.get_mut(&addr) {
            group.set_timer(&mut self.timers, addr, None);
            group.unsolicited = 0;
            group.reporter = false;
        }
    }

    /// A group that nobody is in and nobody has to be told of is forgotten.
    fn drop_unused(&mut self, addr: IpAddr) {
        let unused = |group: &mut Group| group.filter.is_unused() && !group.is_dirty();
        if self.groups.get_mut(&addr).is_some_and(unused)
            && let Some(mut group) = self.groups.remove(&addr)
        {
            group.set_timer(&mut self.timers, addr, None);
            self.dirty.remove(&addr);
        }
    }
}

impl Group {
    /// RFC 3376 5.1: which records have to be told, and how often.
    fn note_change(&mut self, before: &Wish, after: &Wish, robustness: u8) {
        if before.exclude != after.exclude {
            self.mode_left = robustness;
            self.sources_left.clear();
            return;
        }
        let gone = before.sources.iter().filter(|s| !after.sources.contains(s));
        let new = after.sources.iter().filter(|s| !before.sources.contains(s));
        for source in gone.chain(new) {
            self.sources_left.insert(*source, robustness);
        }
    }

    fn is_dirty(&self) -> bool {
        self.mode_left > 0 || !self.sources_left.is_empty()
    }

    /// One telling of what is pending.
    fn tell_change(&mut self, addr: IpAddr, records: &mut Vec<Record>) {
        let state = self.filter.state();
        if self.mode_left > 0 {
            self.mode_left -= 1;
            records.push(Record {
                kind: if state.exclude {
                    record::TO_EXCLUDE
                } else {
                    record::TO_INCLUDE
                },
                group: addr,
                sources: state.sources,
            });
            // The record has the whole list: it tells of the sources as well.
            self.count_down();
            return;
        }
        let (allow, block): (Vec<IpAddr>, Vec<IpAddr>) = self
            .sources_left
            .keys()
            .copied()
            .partition(|source| state.allows(*source));
        self.count_down();
        for (kind, sources) in [(record::ALLOW, allow), (record::BLOCK, block)] {
            if !sources.is_empty() {
                records.push(Record {
                    kind,
                    group: addr,
                    sources,
                });
            }
        }
    }

    fn count_down(&mut self) {
        self.sources_left.retain(|_, left| {
            *left = left.saturating_sub(1);
            *left > 0
        });
    }

    /// The record of what is wanted now; `None`: nothing is.
    fn current(&self, addr: IpAddr) -> Option<Record> {
        let state = self.filter.state();
        is_wanted(&state).then_some(Record {
            kind: if state.exclude {
                record::IS_EXCLUDE
            } else {
                record::IS_INCLUDE
            },
            group: addr,
            sources: state.sources,
        })
    }

    /// The answer to queries about this group (RFC 3376 5.2, when the timer runs out).
    fn answer(&mut self, addr: IpAddr) -> Option<Record> {
        let asked = std::mem::take(&mut self.asked);
        if asked.is_empty() {
            return self.current(addr);
        }
        let state = self.filter.state();
        let sources: Vec<IpAddr> = asked.into_iter().filter(|s| state.allows(*s)).collect();
        (!sources.is_empty()).then_some(Record {
            kind: record::IS_INCLUDE,
            group: addr,
            sources,
        })
    }

    fn set_timer(
        &mut self,
        timers: &mut BTreeSet<(Instant, IpAddr)>,
        addr: IpAddr,
        at: Option<Instant>,
    ) {
        if let Some(old) = std::mem::replace(&mut self.timer, at) {
            timers.remove(&(old, addr));
        }
        if let Some(at) = at {
            timers.insert((at, addr));
        }
    }
}

/// Sources of one group that are remembered as asked about.
const ASKED_MAX: usize = 366;

/// Not INCLUDE of nobody.
fn is_wanted(state: &Wish) -> bool {
    state.exclude || !state.sources.is_empty()
}

/// Groups of all hosts and groups that no router passes on are not spoken of (RFC 3376 6, RFC 3810 6).
fn is_reported(group: IpAddr) -> bool {
    !super::is_node_local(group) && !super::is_everybody(group)
}

/// A time from 0 to `most`.
fn random(rng: &mut ChaCha8Rng, most: Duration) -> Duration {
    let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(rng.next_u64() % most.saturating_add(1))
}
