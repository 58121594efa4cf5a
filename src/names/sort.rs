//! The order in which to try addresses: RFC 6724 6 over the stack's routes, with glibc's default table and gai.conf(5).

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::Ipv6Net;

use super::socket::Socket;
use super::{Address, settings};

/// RFC 6724 2.1 as far as it is used: the longest prefix wins, and where none fits a default holds.
struct Table(Vec<(Ipv6Net, u32)>, u32);

impl Table {
    fn new(rows: &[(&str, u32)], default: u32) -> Table {
        let row = |(net, value): &(&str, u32)| Some((net.parse().ok()?, *value));
        Table(rows.iter().filter_map(row).collect(), default)
    }

    fn find(&self, ip: IpAddr) -> u32 {
        let ip = mapped(ip);
        self.0
            .iter()
            .filter(|(net, _)| net.contains(&ip))
            .max_by_key(|(net, _)| net.prefix_len())
            .map_or(self.1, |(_, value)| *value)
    }
}

/// Labels, precedences and the scopes of IPv4 addresses.
struct Policy {
    labels: Table,
    precedences: Table,
    scopes: Table,
}

impl Policy {
    /// What gai.conf says; a kind of line that is not in it is as glibc has it from the start.
    fn parse(text: &str) -> Policy {
        let mut rows: [Vec<(Ipv6Net, u32)>; 3] = Default::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let [keyword, net, value] = words[..] else {
                continue;
            };
            let place = match keyword {
                "label" => 0,
                "precedence" => 1,
                "scopev4" => 2,
                _ => continue,
            };
            let net = if net.contains('/') {
                net.parse().ok()
            } else {
                let full = |ip| Ipv6Net::new(ip, 128).ok();
                net.parse().ok().and_then(full)
            };
            if let (Some(net), Ok(value), Some(rows)) = (net, value.parse(), rows.get_mut(place)) {
                rows.push((net, value));
            }
        }
        let [labels, precedences, scopes] = rows;
        let or = |rows: Vec<_>, table: &[(&str, u32)], default| {
            if rows.is_empty() {
                Table::new(table, default)
            } else {
                Table(rows, default)
            }
        };
        Policy {
            labels: or(labels, LABELS, 1),
            precedences: or(precedences, PRECEDENCES, 40),
            scopes: or(scopes, SCOPES, GLOBAL),
        }
    }

    /// RFC 6724 3.1, with RFC 4291 2.7's numbers.
    fn scope(&self, ip: IpAddr) -> u32 {
        let IpAddr::V6(v6) = ip else {
            return self.scopes.find(ip);
        };
        if v6.is_multicast() {
            return u32::from(v6.octets()[1] & 0xf);
        }
        let site_local = v6.segments()[0] & 0xffc0 == 0xfec0;
        match v6.is_unicast_link_local() || v6.is_loopback() {
            true => 2,
            false if site_local => 5,
            false => GLOBAL,
        }
    }
}

/// The scope of what is valid everywhere.
const GLOBAL: u32 = 14;

const LABELS: &[(&str, u32)] = &[
    ("::1/128", 0),
    ("::/0", 1),
    ("2002::/16", 2),
    ("::/96", 3),
    ("::ffff:0:0/96", 4),
    ("fec0::/10", 5),
    ("fc00::/7", 6),
    ("2001::/32", 7),
];
const PRECEDENCES: &[(&str, u32)] = &[
    ("::1/128", 50),
    ("::/0", 40),
    ("2002::/16", 30),
    ("::/96", 20),
    ("::ffff:0:0/96", 10),
];
const SCOPES: &[(&str, u32)] = &[
    ("::ffff:169.254.0.0/112", 2),
    ("::ffff:127.0.0.0/104", 2),
    ("::ffff:0.0.0.0/96", GLOBAL),
];

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// A destination with what the rules look at.
struct Candidate {
    dest: IpAddr,
    source: Option<IpAddr>,
    scope: u32,
    scope_matches: bool,
    label_matches: bool,
    precedence: u32,
    /// Bits that source and destination have in common; over IPv4 only inside one net.
    common: u32,
}

impl Candidate {
    fn new(policy: &Policy, dest: IpAddr, source: Option<IpAddr>) -> Candidate {
        let matches = |of: &dyn Fn(IpAddr) -> u32| source.is_some_and(|src| of(src) == of(dest));
        Candidate {
            dest,
            source,
            scope: policy.scope(dest),
            scope_matches: matches(&|ip| policy.scope(ip)),
            label_matches: matches(&|ip| policy.labels.find(ip)),
            precedence: policy.precedences.find(dest),
            common: source.map_or(0, |src| common_bits(dest, src)),
        }
    }

    /// RFC 6724 6, rules 1 to 10; there are no deprecated or home addresses and no tunnels here (3, 4, 7).
    fn order(&self, other: &Candidate) -> Ordering {
        let first = |mine: bool, theirs: bool| theirs.cmp(&mine);
        let rest = || {
            first(self.scope_matches, other.scope_matches)
                .then(first(self.label_matches, other.label_matches))
                .then(other.precedence.cmp(&self.precedence))
                .then(self.scope.cmp(&other.scope))
                // Rule 9 holds within a family. Addresses of both that are equal so far (a mapped one and its like) are kept apart, or
                // the order would depend on which two are compared first.
                .then(self.dest.is_ipv4().cmp(&other.dest.is_ipv4()))
                .then(other.common.cmp(&self.common))
        };
        match (self.source, other.source) {
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            // Without a source there is nothing to compare by scope and label.
            _ => rest(),
        }
    }
}

fn common_bits(dest: IpAddr, source: IpAddr) -> u32 {
    match (dest, source) {
        (IpAddr::V4(dest), IpAddr::V4(source)) => {
            let different = dest.to_bits() ^ source.to_bits();
            let prefix = prefix_of(source.into());
            let common = different.leading_zeros();
            if common >= prefix { common } else { 0 }
        }
        (dest, source) => (mapped(dest).to_bits() ^ mapped(source).to_bits()).leading_zeros(),
    }
}

/// The prefix length of an address of the stack's own. glibc does not know it on a host without IPv6.
fn prefix_of(own: IpAddr) -> u32 {
    let addrs = settings::addrs().unwrap_or_default();
    if !addrs.is_empty() && addrs.iter().all(|net| net.addr().is_ipv4()) {
        return 32;
    }
    if own.is_loopback() {
        return 8;
    }
    let net = addrs.iter().find(|net| net.addr() == own);
    net.map_or(32, |net| u32::from(net.prefix_len()))
}

/// Puts the addresses into the order to try them. Equal ones stay as they came.
pub(super) fn sort(addrs: &mut [Address]) {
    if addrs.len() < 2 {
        return;
    }
    let policy = Policy::parse(&std::fs::read_to_string("/etc/gai.conf").unwrap_or_default());
    let mut candidates: Vec<(Address, Candidate)> = addrs
        .iter()
        .map(|addr| (*addr, Candidate::new(&policy, addr.ip, source(*addr))))
        .collect();
    candidates.sort_by(|(_, a), (_, b)| a.order(b));
    for (place, (addr, _)) in addrs.iter_mut().zip(candidates) {
        *place = addr;
    }
}

/// The address of the stack's own that packets to `dest` would carry; `None`: there is no way to it.
fn source(dest: Address) -> Option<IpAddr> {
    // What the stack would say; it need not be made for that.
    match dest.ip.to_canonical() {
        IpAddr::V4(ip) if ip.is_loopback() => {
            let own = Ipv4Addr::LOCALHOST;
            return Some(match dest.ip {
                IpAddr::V4(_) => own.into(),
                IpAddr::V6(_) => own.to_ipv6_mapped().into(),
            });
        }
        ip if ip.is_loopback() => return Some(ip),
        _ => {}
    }
    let socket = Socket::datagram(SocketAddr::new(dest.ip, ANY_PORT)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// For a connect that sends nothing.
const ANY_PORT: u16 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(conf: &str, pairs: &[(&str, Option<&str>)]) -> Vec<String> {
        let policy = Policy::parse(conf);
        let mut all: Vec<Candidate> = pairs
            .iter()
            .map(|(dest, source)| {
                let source = source.map(|source| source.parse().unwrap());
                Candidate::new(&policy, dest.parse().unwrap(), source)
            })
            .collect();
        all.sort_by(Candidate::order);
        all.iter().map(|one| one.dest.to_string()).collect()
    }

    #[test]
    fn rfc_6724_10_2() {
        // The examples of the RFC that have to do with the rules that are here.
        let sorted = ordered(
            "",
            &[
                ("198.51.100.121", Some("169.254.13.78")),
                ("2001:db8:1::1", Some("2001:db8:1::2")),
            ],
        );
        assert_eq!(sorted, ["2001:db8:1::1", "198.51.100.121"]);
        let sorted = ordered(
            "",
            &[
                ("2001:db8:1::1", Some("fe80::1")),
                ("198.51.100.121", Some("198.51.100.117")),
            ],
        );
        assert_eq!(sorted, ["198.51.100.121", "2001:db8:1::1"]);
        let sorted = ordered(
            "",
            &[
                ("10.1.2.3", Some("10.1.2.4")),
                ("2001:db8:1::1", Some("2001:db8:1::2")),
            ],
        );
        assert_eq!(sorted, ["2001:db8:1::1", "10.1.2.3"]);
        let sorted = ordered(
            "",
            &[
                ("2001:db8:1::1", Some("2001:db8:1::2")),
                ("fe80::1", Some("fe80::2")),
            ],
        );
        assert_eq!(sorted, ["fe80::1", "2001:db8:1::1"]);
        let sorted = ordered(
            "",
            &[
                ("2001:db8:3ffe::1", Some("2001:db8:1::2")),
                ("2001:db8:1::1", Some("2001:db8:1::2")),
            ],
        );
        assert_eq!(sorted, ["2001:db8:1::1", "2001:db8:3ffe::1"]);
    }

    #[test]
    fn no_way_there_comes_last() {
        let pairs = [("2001:db8::1", None), ("192.0.2.1", Some("10.83.0.2"))];
        assert_eq!(ordered("", &pairs), ["192.0.2.1", "2001:db8::1"]);
    }

    /// Whatever addresses a server sends, the order is one: sort_by may panic otherwise.
    #[test]
    fn mixed_families_of_one_precedence() {
        let v4 = |last: u8| (format!("10.83.0.{last}"), "10.83.0.2");
        let mapped = |last: u8| (format!("::ffff:10.83.0.{last}"), "::ffff:10.83.0.2");
        let all: Vec<_> = (0..=255u8)
            .flat_map(|i| [v4(i.wrapping_mul(77)), mapped(i.wrapping_mul(91))])
            .collect();
        let pairs: Vec<_> = all.iter().map(|(d, s)| (d.as_str(), Some(*s))).collect();
        let sorted = ordered("", &pairs);
        assert_eq!(sorted.len(), 512);
        assert!(sorted[..256].iter().all(|ip| ip.contains(':')));
        assert!(sorted[256..].iter().all(|ip| !ip.contains(':')));
    }

    #[test]
    fn gai_conf() {
        let pairs = [
            ("2001:db8::1", Some("2001:db8::2")),
            ("192.0.2.1", Some("10.83.0.2")),
        ];
        assert_eq!(ordered("", &pairs), ["2001:db8::1", "192.0.2.1"]);
        let conf = "# v4 first\nprecedence ::ffff:0:0/96 100\nnonsense\nlabel x 1\n";
        assert_eq!(ordered(conf, &pairs), ["192.0.2.1", "2001:db8::1"]);
    }
}
