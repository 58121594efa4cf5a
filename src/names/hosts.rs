//! The hosts file, hosts(5).

use std::net::IpAddr;

/// A host: its names and addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Host {
    /// Canonical name, then the other names.
    pub(crate) names: Vec<Vec<u8>>,
    /// Addresses in the file's order.
    pub(crate) addrs: Vec<IpAddr>,
}

impl Host {
    /// A host with a name and no address yet.
    pub(crate) fn new(name: &[u8]) -> Host {
        Host {
            names: vec![name.to_vec()],
            addrs: Vec::new(),
        }
    }
}

/// A hosts file's lines.
pub(crate) struct Hosts(Vec<(IpAddr, Vec<Vec<u8>>)>);

impl Hosts {
    /// The file that the options name, else /etc/hosts. A file that is not there is an empty one.
    pub(crate) fn load() -> Hosts {
        Hosts::parse(&std::fs::read(super::settings::hosts_file()).unwrap_or_default())
    }

    /// Reads lines `ADDRESS NAME [NAME …]`; `#` begins a comment; lines that are neither are passed over.
    pub(crate) fn parse(text: &[u8]) -> Hosts {
        let line = |line: &[u8]| {
            let line = line.split(|&byte| byte == b'#').next()?;
            let mut words = line
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty());
            let ip = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
            let names: Vec<Vec<u8>> = words.map(<[u8]>::to_vec).collect();
            (!names.is_empty()).then_some((ip, names))
        };
        Hosts(text.split(|&byte| byte == b'\n').filter_map(line).collect())
    }

    /// Every address of a name (letter case does not matter); the first line that has it gives the names.
    pub(crate) fn by_name(&self, name: &[u8]) -> Option<Host> {
        let name = name.strip_suffix(b".").unwrap_or(name);
        let mut found: Option<Host> = None;
        for (ip, names) in &self.0 {
            if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                let host = found.get_or_insert_with(|| Host {
                    names: names.clone(),
                    addrs: Vec::new(),
                });
                if !host.addrs.contains(ip) {
                    host.addrs.push(*ip);
                }
            }
        }
        found
    }

    /// The first line that has an address.
    pub(crate) fn by_addr(&self, ip: IpAddr) -> Option<Host> {
        let (ip, names) = self
            .0
            .iter()
            .find(|(known, _)| known.to_canonical() == ip)?;
        Some(Host {
            names: names.clone(),
            addrs: vec![*ip],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] =
        b"# a comment\n127.0.0.1\tlocalhost\n10.1.1.1 Big.example big # tail\nnonsense\n10.1.1.3\n\
        10.1.1.2 other big\n::1 localhost ip6-localhost\n\xff\xfe junk";

    #[test]
    fn names_and_addresses() {
        let hosts = Hosts::parse(FILE);
        let big = hosts.by_name(b"BIG").unwrap();
        assert_eq!(big.names, [b"Big.example".to_vec(), b"big".to_vec()]);
        assert_eq!(
            big.addrs,
            [
                "10.1.1.1".parse::<IpAddr>().unwrap(),
                "10.1.1.2".parse().unwrap()
            ]
        );
        assert_eq!(hosts.by_name(b"big.example.").unwrap().addrs.len(), 1);
        assert_eq!(hosts.by_name(b"tail"), None);
        assert_eq!(hosts.by_name(b"junk"), None);
        assert_eq!(
            hosts.by_addr("::1".parse().unwrap()).unwrap().names[1],
            b"ip6-localhost"
        );
        assert_eq!(hosts.by_addr("10.1.1.3".parse().unwrap()), None);
    }
}
