//! Options of the IPv4 header, RFC 791 3.1: checked, filled in by who sends and by who receives, and returned in answers (Linux:
//! net/ipv4/ip_options.c).

use std::net::Ipv4Addr;

use smallvec::SmallVec;

use super::{be32, put32};

/// Most octets of options that a header has.
pub(crate) const MAX: usize = 40;

/// Types of options.
const END: u8 = 0;
const NOOP: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_ROUTE: u8 = 131;
const CIPSO: u8 = 134;
const STRICT_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;
/// What a time stamp option asks for: times, addresses with them, or times of who has the addresses named.
const TS_ONLY: u8 = 0;
const TS_AND_ADDR: u8 = 1;
const TS_PRESPEC: u8 = 3;

/// A header's options.
pub(crate) type Octets = SmallVec<[u8; 64]>;

/// Who looks at options, and what of it goes into them.
pub(crate) struct Host<'a> {
    /// Whether an address is ours.
    pub(crate) local: &'a dyn Fn(Ipv4Addr) -> bool,
    /// For options that are received: our address, and milliseconds since midnight UT.
    pub(crate) receives: Option<(Ipv4Addr, u32)>,
    /// For options to be sent: the program may send any.
    pub(crate) privileged: bool,
}

/// Options that were looked at, and what in them waits for its sender: the places are already passed over.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct IpOptions {
    octets: Octets,
    /// Where the record route option is.
    rr: Option<usize>,
    /// Where the time stamp option is.
    ts: Option<usize>,
    rr_addr: bool,
    ts_addr: bool,
    ts_time: bool,
    /// There is a source route.
    routed: bool,
}

impl IpOptions {
    /// What a socket is to send. `None`: malformed, or not for this program; source routes are for nobody.
    pub(crate) fn to_send(octets: &[u8], host: &Host<'_>) -> Option<IpOptions> {
        if octets.len() > MAX {
            return None;
        }
        let mut padded = Octets::from_slice(octets);
        padded.resize(octets.len().next_multiple_of(4), END);
        let options = IpOptions::look(padded, host).ok()?;
        (!options.routed).then_some(options)
    }

    /// Looks through options (__ip_options_compile). The error is where in the header something is wrong, octets.
    pub(crate) fn look(octets: Octets, host: &Host<'_>) -> Result<IpOptions, u8> {
        let mut options = IpOptions {
            octets,
            ..IpOptions::default()
        };
        let mut at = 0;
        while let Some(kind) = options.octets.get(at).copied() {
            match kind {
                END => {
                    options
                        .octets
                        .iter_mut()
                        .skip(at)
                        .for_each(|octet| *octet = END);
                    break;
                }
                NOOP => at += 1,
                _ => {
                    at += options
                        .option(at, kind, host)
                        .map_err(|wrong| 20 + (at + wrong) as u8)?
                }
            }
        }
        Ok(options)
    }

    /// One option: its octets. The error is which of them is wrong.
    fn option(&mut self, at: usize, kind: u8, host: &Host<'_>) -> Result<usize, usize> {
        let len = usize::from(*self.octets.get(at + 1).ok_or(0usize)?);
        let (to_send, may) = (host.receives.is_none(), host.privileged);
        let (rr, ts) = (self.rr.is_some(), self.ts.is_some());
        let routed = self.routed;
        let option = (len >= 2)
            .then(|| self.octets.get_mut(at..at + len))
            .flatten();
        let option = option.ok_or(0usize)?;
        match kind {
            LOOSE_ROUTE | STRICT_ROUTE => {
                if routed {
                    return Err(0);
                }
                pointer(option, 3, 4)?;
                self.routed = true;
            }
            RECORD_ROUTE => {
                if rr {
                    return Err(0);
                }
                self.rr_addr = record(option, host)?;
                self.rr = Some(at);
            }
            TIMESTAMP => {
                if ts {
                    return Err(0);
                }
                (self.ts_addr, self.ts_time) = stamp(option, host)?;
                self.ts = Some(at);
            }
            ROUTER_ALERT if len < 4 => return Err(1),
            ROUTER_ALERT => {}
            // Labels of nobody's policy (cipso_v4_validate without one).
            CIPSO if to_send => return Err(0),
            _ if to_send && !may => return Err(0),
            _ => {}
        }
        Ok(len)
    }

    /// The options as they are, places passed over.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Whether there are any.
    pub(crate) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Whether there is a source route.
    pub(crate) fn routed(&self) -> bool {
        self.routed
    }

    /// As a packet has them that we send from `src`, at so many milliseconds since midnight UT (ip_options_build).
    pub(crate) fn build(&self, src: Ipv4Addr, day_ms: u32) -> Octets {
        let mut octets = self.octets.clone();
        let next =
            |octets: &Octets, at: usize| usize::from(octets.get(at + 2).copied().unwrap_or(0));
        if let Some(at) = self.rr.filter(|_| self.rr_addr) {
            let to = (at + next(&octets, at)).saturating_sub(5);
            put(&mut octets, to, src.into());
        }
        if let Some(at) = self.ts {
            let end = at + next(&octets, at);
            if self.ts_addr {
                put(&mut octets, end.saturating_sub(9), src.into());
            }
            if self.ts_time {
                put(&mut octets, end.saturating_sub(5), day_ms);
            }
        }
        octets
    }

    /// As the program gave them: places are not passed over yet (ip_options_undo).
    pub(crate) fn undone(&self) -> Octets {
        let mut octets = self.octets.clone();
        let mut back = |at: usize, clear: bool| {
            let Some(next) = octets.get_mut(at + 2) else {
                return;
            };
            *next = next.wrapping_sub(4);
            let to = (at + usize::from(*next)).saturating_sub(1);
            if clear {
                put(&mut octets, to, 0);
            }
        };
        if let Some(at) = self.rr.filter(|_| self.rr_addr) {
            back(at, true);
        }
        if let Some(at) = self.ts {
            let prespec = self
                .octets
                .get(at + 3)
                .is_some_and(|flags| flags & 15 == TS_PRESPEC);
            if self.ts_time {
                back(at, true);
                if prespec {
                    back(at, false);
                }
            }
            if self.ts_addr {
                back(at, true);
            }
        }
        octets
    }

    /// What an answer to a packet with these has (__ip_options_echo): record route and time stamps, with a place for us where there is
    /// one. `None`: they make no sense.
    pub(crate) fn echo(&self, local: &dyn Fn(Ipv4Addr) -> bool) -> Option<IpOptions> {
        let mut answer = IpOptions::default();
        if let Some(option) = self.rr.and_then(|at| self.at(at)) {
            let (to, next) = (answer.octets.len(), usize::from(*option.get(2)?));
            answer.octets.extend_from_slice(option);
            if self.rr_addr && next <= option.len() {
                answer.rr_addr = true;
                answer.advance(to, next, 4)?;
            }
            answer.rr = Some(to);
        }
        if let Some(option) = self.ts.and_then(|at| self.at(at)) {
            let (to, mut next) = (answer.octets.len(), usize::from(*option.get(2)?));
            answer.octets.extend_from_slice(option);
            if next <= option.len() {
                let whole = |next: usize| (next + 3 <= option.len()).then_some(());
                if self.ts_addr {
                    whole(next)?;
                    (answer.ts_addr, next) = (true, next + 4);
                }
                if self.ts_time {
                    whole(next)?;
                    let prespec = option.get(3)? & 15 == TS_PRESPEC;
                    let ours = || {
                        let named = option.get(next - 1..)?.first_chunk::<4>()?;
                        (next + 7 <= option.len() && !local(Ipv4Addr::from(*named))).then_some(())
                    };
                    if !prespec {
                        (answer.ts_time, next) = (true, next + 4);
                    } else if ours().is_some() {
                        (answer.ts_time, next) = (true, next + 8);
                    }
                }
                *answer.octets.get_mut(to + 2)? = next as u8;
            }
            answer.ts = Some(to);
        }
        let len = answer.octets.len().next_multiple_of(4);
        answer.octets.resize(len, END);
        Some(answer)
    }

    /// The option at a place.
    fn at(&self, at: usize) -> Option<&[u8]> {
        let len = usize::from(*self.octets.get(at + 1)?);
        self.octets.get(at..at + len)
    }

    fn advance(&mut self, at: usize, next: usize, by: usize) -> Option<()> {
        let len = usize::from(*self.octets.get(at + 1)?);
        if next + by - 1 > len {
            return None;
        }
        *self.octets.get_mut(at + 2)? = (next + by) as u8;
        Some(())
    }
}

/// What of built options stands in fragments behind the first: RFC 791 3.1, those with the copied flag.
pub(crate) fn of_later_fragments(octets: &[u8]) -> Octets {
    let mut out = Octets::from_slice(octets);
    let mut at = 0;
    while let Some(kind) = out.get(at).copied() {
        let len = match kind {
            END => break,
            NOOP => 1,
            _ => usize::from(out.get(at + 1).copied().unwrap_or(0)),
        };
        match out.get_mut(at..at + len) {
            Some(option) if len >= 2 && kind & 0x80 == 0 => option.fill(NOOP),
            Some(_) if len > 0 => {}
            _ => break,
        }
        at += len;
    }
    out
}

fn put(octets: &mut Octets, at: usize, value: u32) {
    if at + 4 <= octets.len() {
        put32(octets, at, value);
    }
}

/// The pointer of an option that has one: to a place, 1 being the option's first octet.
fn pointer(option: &[u8], len_min: usize, least: u8) -> Result<usize, usize> {
    if option.len() < len_min {
        return Err(1);
    }
    match option.get(2) {
        Some(&next) if next >= least => Ok(next.into()),
        _ => Err(2),
    }
}

/// Record route: whether there is a place for an address.
fn record(option: &mut [u8], host: &Host<'_>) -> Result<bool, usize> {
    let next = pointer(option, 3, 4)?;
    if next > option.len() {
        return Ok(false);
    }
    if next + 3 > option.len() {
        return Err(2);
    }
    if let Some((addr, _)) = host.receives {
        put32(option, next - 1, addr.into());
    }
    option[2] += 4;
    Ok(true)
}

/// Time stamps: whether there is a place for an address, and one for a time.
fn stamp(option: &mut [u8], host: &Host<'_>) -> Result<(bool, bool), usize> {
    let next = pointer(option, 4, 5)?;
    let flags = option[3];
    if next > option.len() {
        if flags & 15 != TS_PRESPEC {
            // RFC 791: how many found no room is counted, up to 15.
            if flags >> 4 == 15 {
                return Err(3);
            }
            if host.receives.is_some() {
                option[3] = flags + 0x10;
            }
        }
        return Ok((false, false));
    }
    if next + 3 > option.len() {
        return Err(2);
    }
    let pair = next + 7 <= option.len();
    let (address, place, by) = match flags & 15 {
        TS_ONLY => (false, next - 1, 4),
        TS_AND_ADDR | TS_PRESPEC if !pair => return Err(2),
        TS_AND_ADDR => (true, next + 3, 8),
        TS_PRESPEC if (host.local)(Ipv4Addr::from(be32(option, next - 1))) => {
            return Ok((false, false));
        }
        TS_PRESPEC => (false, next + 3, 8),
        _ if host.receives.is_none() && !host.privileged => return Err(3),
        _ => return Ok((false, false)),
    };
    if let Some((addr, day_ms)) = host.receives {
        if address {
            put32(option, next - 1, addr.into());
        }
        put32(option, place, day_ms);
    }
    option[2] += by;
    Ok((address, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn sender(privileged: bool) -> Host<'static> {
        Host {
            local: &|addr| addr == US,
            receives: None,
            privileged,
        }
    }

    fn receiver() -> Host<'static> {
        Host {
            local: &|addr| addr == US,
            receives: Some((US, 0x0102_0304)),
            privileged: false,
        }
    }

    #[test]
    fn a_route_is_recorded_and_returned() {
        let given = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0];
        let options = IpOptions::to_send(&given, &sender(false)).unwrap();
        assert_eq!(options.undone()[..], [&given[..], &[0]].concat()[..]);
        let sent = options.build(Ipv4Addr::new(10, 0, 0, 2), 0);
        assert_eq!(sent[..], [7, 11, 8, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
        let got = IpOptions::look(sent, &receiver()).unwrap();
        assert_eq!(got.octets(), [7, 11, 12, 10, 0, 0, 2, 10, 0, 0, 1, 0]);
        // Full: nobody else finds a place.
        let answer = got.echo(&|addr| addr == US).unwrap();
        assert_eq!(answer.build(US, 0)[..], got.octets()[..]);
    }

    #[test]
    fn times_are_stamped() {
        let given = [68, 20, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let options = IpOptions::to_send(&given, &sender(false)).unwrap();
        assert_eq!(options.undone()[..], given);
        let sent = options.build(Ipv4Addr::new(10, 0, 0, 2), 0x0a0b_0c0d);
        assert_eq!(sent[..12], [68, 20, 13, 1, 10, 0, 0, 2, 10, 11, 12, 13]);
        let got = IpOptions::look(sent, &receiver()).unwrap();
        assert_eq!(got.octets()[2], 21);
        assert_eq!(got.octets()[12..], [10, 0, 0, 1, 1, 2, 3, 4]);
        let full = IpOptions::look(Octets::from_slice(got.octets()), &receiver()).unwrap();
        assert_eq!(full.octets()[3], 0x11);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place() {
        for (octets, at) in [
            (&[7u8][..], 20),
            (&[7, 1, 4, 0], 20),
            (&[7, 5, 4, 0], 20),
            (&[1, 7, 2, 1], 22),
            (&[7, 3, 3, 0], 22),
            (&[7, 7, 5, 0, 0, 0, 0, 0], 22),
            (&[68, 4, 4, 0], 22),
            (&[68, 8, 5, 1, 0, 0, 0, 0], 22),
            (&[68, 4, 5, 0xf0], 23),
            (&[7, 3, 4, 7, 3, 4], 23),
            (&[148, 2, 0, 0], 21),
        ] {
            let look = IpOptions::look(Octets::from_slice(octets), &receiver());
            assert_eq!(look, Err(at), "{octets:?}");
        }
        assert!(IpOptions::to_send(&[130, 4, 0, 0], &sender(false)).is_none());
        assert!(IpOptions::to_send(&[130, 4, 0, 0], &sender(true)).is_some());
        assert!(IpOptions::to_send(&[131, 7, 4, 10, 0, 0, 2], &sender(true)).is_none());
        assert!(IpOptions::to_send(&[1; 41], &sender(true)).is_none());
    }

    #[test]
    fn fragments_have_what_is_to_be_copied() {
        let octets = [148, 4, 0, 0, 7, 3, 4, 0];
        let later = of_later_fragments(&octets);
        assert_eq!(later[..], [148, 4, 0, 0, 1, 1, 1, 0]);
        assert_eq!(of_later_fragments(&[7, 0, 0, 0])[..], [7, 0, 0, 0]);
    }

    /// Whatever comes from outside or from a program, nothing is out of bounds.
    #[test]
    fn no_options_harm() {
        use rand_core::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let kinds = [0, 1, 7, 68, 131, 134, 137, 148, 130];
        for _ in 0..200_000 {
            let len = rng.next_u32() as usize % 11 * 4;
            let mut octets = Octets::new();
            while octets.len() < len {
                let r = rng.next_u32();
                let kind = kinds[r as usize % kinds.len()];
                octets.extend([
                    kind,
                    (r >> 8) as u8 & 31,
                    (r >> 16) as u8 & 31,
                    (r >> 24) as u8 & 3,
                ]);
                octets.resize(octets.len() + (r >> 26) as usize % 5 * 4, 0);
            }
            octets.truncate(len);
            for host in [sender(true), receiver()] {
                if let Ok(options) = IpOptions::look(octets.clone(), &host) {
                    options.build(US, 1);
                    options.undone();
                    if let Some(answer) = options.echo(&|_| false) {
                        assert!(answer.octets().len() <= MAX);
                        answer.build(US, 1);
                    }
                }
            }
            of_later_fragments(&octets);
        }
    }
}
