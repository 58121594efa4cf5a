//! /etc/resolv.conf, resolv.conf(5), read as glibc reads it: what is not understood is passed over.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How DNS is to be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ResolvConf {
    /// Name servers in the order of asking, at most [`SERVERS_MAX`].
    pub(crate) servers: Vec<SocketAddr>,
    /// Domains to try behind a name, without dots at either end; an empty one is the root.
    pub(crate) search: Vec<Vec<u8>>,
    /// A name with so many dots is first asked as it is.
    pub(crate) ndots: usize,
    /// How long the first server has for its first answer.
    pub(crate) timeout: Duration,
    /// How often each server is asked.
    pub(crate) attempts: u32,
    /// Begin with another server each time.
    pub(crate) rotate: bool,
    /// Say how large an answer may be (RFC 6891).
    pub(crate) edns0: bool,
    /// Ask for the AD bit (RFC 6840 5.7).
    pub(crate) trust_ad: bool,
    /// Over TCP only.
    pub(crate) use_vc: bool,
    /// Not A and AAAA at once.
    pub(crate) single_request: bool,
    /// No AAAA at all.
    pub(crate) no_aaaa: bool,
    /// A name without dots is never asked as it is.
    pub(crate) no_tld_query: bool,
}

/// MAXNS of resolv.h.
pub(crate) const SERVERS_MAX: usize = 3;
/// The port of DNS.
const PORT: u16 = 53;
/// RES_MAXNDOTS, RES_MAXRETRANS (seconds) and RES_MAXRETRY of resolv.h.
const NDOTS_MAX: usize = 15;
const TIMEOUT_MAX: u64 = 30;
const ATTEMPTS_MAX: u32 = 5;

impl Default for ResolvConf {
    fn default() -> ResolvConf {
        ResolvConf {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            edns0: false,
            trust_ad: false,
            use_vc: false,
            single_request: false,
            no_aaaa: false,
            no_tld_query: false,
        }
    }
}

/// What glibc takes from elsewhere than the file.
#[derive(Copy, Clone, Default)]
pub(crate) struct Surroundings<'a> {
    /// The machine's name; what follows its first dot is searched when the file names no domain.
    pub(crate) host_name: &'a [u8],
    /// LOCALDOMAIN: domains to search instead of the file's.
    pub(crate) local_domain: Option<&'a [u8]>,
    /// RES_OPTIONS: options after the file's.
    pub(crate) options: Option<&'a [u8]>,
}

impl ResolvConf {
    /// Reads a file. Without a server in it the machine itself is asked (resolv.conf(5)).
    pub(crate) fn parse(text: &[u8], around: Surroundings<'_>) -> ResolvConf {
        let mut conf = ResolvConf::default();
        let mut search: Option<Vec<Vec<u8>>> = None;
        for line in text.split(|&byte| byte == b'\n') {
            // A keyword stands at the beginning of its line; `#` and `;` begin a comment there.
            let Some(end) = line.iter().position(|&byte| byte == b' ' || byte == b'\t') else {
                continue;
            };
            let (keyword, rest) = line.split_at(end);
            match keyword {
                b"nameserver" => conf.add_server(rest),
                b"search" => search = Some(words(rest).map(domain).collect()),
                b"domain" => search = Some(words(rest).take(1).map(domain).collect()),
                b"options" => conf.add_options(rest),
                _ => {}
            }
        }
        if let Some(domains) = around.local_domain {
            search = Some(words(domains).map(domain).collect());
        }
        if let Some(options) = around.options {
            conf.add_options(options);
        }
        if conf.servers.is_empty() {
            conf.servers.push(SocketAddr::from(([127, 0, 0, 1], PORT)));
        }
        conf.search = search.unwrap_or_else(|| {
            let mut parts = around.host_name.splitn(2, |&byte| byte == b'.');
            parts.nth(1).map(domain).into_iter().collect()
        });
        conf
    }

    fn add_server(&mut self, rest: &[u8]) {
        let word = words(rest).next().and_then(|word| {
            let end = word.iter().position(|&byte| byte == b'#' || byte == b';');
            std::str::from_utf8(word.get(..end.unwrap_or(word.len()))?).ok()
        });
        // An interface (`%eth0`) means one of the machine's, which the stack has not.
        if let Some(ip) = word.and_then(|word| word.parse::<IpAddr>().ok())
            && self.servers.len() < SERVERS_MAX
        {
            self.servers.push(SocketAddr::new(ip, PORT));
        }
    }

    fn add_options(&mut self, rest: &[u8]) {
        for word in words(rest).filter_map(|word| std::str::from_utf8(word).ok()) {
            let number = |text: &str| text.parse::<u64>().ok();
            match word.split_once(':') {
                Some(("ndots", n)) => {
                    self.ndots = number(n).map_or(self.ndots, |n| n.min(NDOTS_MAX as u64) as usize);
                }
                Some(("timeout", n)) => {
                    let seconds = number(n).map(|n| n.min(TIMEOUT_MAX));
                    self.timeout = seconds.map_or(self.timeout, Duration::from_secs);
                }
                Some(("attempts", n)) => {
                    let times = number(n).map(|n| n.min(u64::from(ATTEMPTS_MAX)) as u32);
                    self.attempts = times.unwrap_or(self.attempts);
                }
                _ => {}
            }
            match word {
                "rotate" => self.rotate = true,
                "edns0" => self.edns0 = true,
                "trust-ad" => self.trust_ad = true,
                "use-vc" => self.use_vc = true,
                "single-request" | "single-request-reopen" => self.single_request = true,
                "no-aaaa" => self.no_aaaa = true,
                "no-tld-query" => self.no_tld_query = true,
                _ => {}
            }
        }
    }
}

/// A domain to search without the dots around it.
fn domain(word: &[u8]) -> Vec<u8> {
    let word = word.strip_prefix(b".").unwrap_or(word);
    word.strip_suffix(b".").unwrap_or(word).to_vec()
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ResolvConf {
        ResolvConf::parse(text.as_bytes(), Surroundings::default())
    }

    #[test]
    fn servers_domains_and_options() {
        let conf = parse(
            "# comment\n; another\nnameserver 10.0.0.1\nnameserver fd00::1 # tail\n nameserver 10.0.0.9\n\
             nameserver fe80::1%eth0\nnameserver 10.0.0.3#tail\nnameserver 10.0.0.4\ndomain a.example\n\
             search b.example. c.example\noptions ndots:99 timeout:1 attempts:9 rotate edns0 trust-ad use-vc ndots:x nonsense\n",
        );
        let servers: Vec<String> = conf.servers.iter().map(|s| s.ip().to_string()).collect();
        assert_eq!(servers, ["10.0.0.1", "fd00::1", "10.0.0.3"]);
        assert_eq!(conf.search, [b"b.example".to_vec(), b"c.example".to_vec()]);
        assert_eq!((conf.ndots, conf.attempts), (15, 5));
        assert_eq!(conf.timeout, Duration::from_secs(1));
        assert!(conf.rotate && conf.edns0 && conf.trust_ad && conf.use_vc);
        assert!(!conf.single_request && !conf.no_aaaa && !conf.no_tld_query);
    }

    #[test]
    fn what_the_file_leaves_open() {
        let around = Surroundings {
            host_name: b"box.lan.example",
            ..Surroundings::default()
        };
        let conf = ResolvConf::parse(b"", around);
        assert_eq!(conf.servers, ["127.0.0.1:53".parse().unwrap()]);
        assert_eq!(conf.search, [b"lan.example".to_vec()]);
        assert!(parse("").search.is_empty());
        let around = Surroundings {
            local_domain: Some(b"x.example y.example"),
            options: Some(b"ndots:3"),
            ..around
        };
        let conf = ResolvConf::parse(b"search z.example\n", around);
        assert_eq!(conf.search.len(), 2);
        assert_eq!(conf.ndots, 3);
        // The root among the domains.
        assert_eq!(parse("search .\n").search, [b"".to_vec()]);
    }
}
