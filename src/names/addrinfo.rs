//! getaddrinfo's rules (RFC 3493 6.1, and glibc where that leaves room), without C's memory.

use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::c_int;

use super::dns::Wanted;
use super::lookup::{Ends, Miss, Why, in_file, walk};
use super::nsswitch::{Service, Status};
use super::{Address, by_name, numeric, port_of, sort};

/// What is asked for: the fields of the hints.
#[derive(Copy, Clone, Default)]
pub(crate) struct Hints {
    /// AI_* flags.
    pub(crate) flags: c_int,
    /// AF_UNSPEC, AF_INET or AF_INET6.
    pub(crate) family: c_int,
    /// SOCK_* or 0.
    pub(crate) socktype: c_int,
    /// IPPROTO_* or 0.
    pub(crate) protocol: c_int,
}

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    /// The address; its family is the answer's.
    pub(crate) addr: Address,
    /// Port, host order.
    pub(crate) port: u16,
    /// SOCK_*.
    pub(crate) socktype: c_int,
    /// IPPROTO_*.
    pub(crate) protocol: c_int,
}

/// Answers, and the canonical name when it was asked for.
pub(crate) type Answers = (Vec<Answer>, Option<CString>);

/// netdb.h: no address of the family asked for.
const EAI_ADDRFAMILY: c_int = -9;
/// netdb.h: a name that can't be written in ASCII.
const EAI_IDN_ENCODE: c_int = -105;
/// netdb.h: translate a name in the locale's letters. Without libidn2 glibc can't, nor can we: such a name is EAI_IDN_ENCODE, and one in
/// ASCII needs nothing.
const AI_IDN: c_int = 0x40;
/// Flags that glibc knows; any other is EAI_BADFLAGS.
const KNOWN_FLAGS: c_int = libc::AI_PASSIVE
    | libc::AI_CANONNAME
    | libc::AI_NUMERICHOST
    | libc::AI_NUMERICSERV
    | libc::AI_V4MAPPED
    | libc::AI_ADDRCONFIG
    | libc::AI_ALL
    | AI_IDN
    | 0x80 // AI_CANONIDN
    | 0x100 // AI_IDN_ALLOW_UNASSIGNED
    | 0x200; // AI_IDN_USE_STD3_ASCII_RULES

/// A row of glibc's table of what sockets there are.
struct Transport {
    socktype: c_int,
    protocol: c_int,
    /// Name for the services file; `None`: takes ports by number only.
    name: Option<&'static CStr>,
}

const TRANSPORTS: [Transport; 3] = [
    Transport {
        socktype: libc::SOCK_STREAM,
        protocol: libc::IPPROTO_TCP,
        name: Some(c"tcp"),
    },
    Transport {
        socktype: libc::SOCK_DGRAM,
        protocol: libc::IPPROTO_UDP,
        name: Some(c"udp"),
    },
    Transport {
        socktype: libc::SOCK_RAW,
        protocol: 0,
        name: None,
    },
];

/// Answers a question; the error is an EAI_* value. `has_family` says whether the stack has
/// IPv4 (`true`) or IPv6 (`false`) addresses (AI_ADDRCONFIG).
pub(crate) fn resolve(
    node: Option<&CStr>,
    service: Option<&CStr>,
    hints: Hints,
    has_family: impl Fn(bool) -> bool,
) -> Result<Answers, c_int> {
    // glibc takes "*" for nothing.
    let node = node.filter(|node| node.to_bytes() != b"*");
    let service = service.filter(|service| service.to_bytes() != b"*");
    if node.is_none() && service.is_none() {
        return Err(libc::EAI_NONAME);
    }
    if hints.flags & !KNOWN_FLAGS != 0 || (hints.flags & libc::AI_CANONNAME != 0 && node.is_none())
    {
        return Err(libc::EAI_BADFLAGS);
    }
    if !matches!(
        hints.family,
        libc::AF_UNSPEC | libc::AF_INET | libc::AF_INET6
    ) {
        return Err(libc::EAI_FAMILY);
    }
    let hints = configured(hints, has_family)?;
    let sockets = sockets(service, hints)?;
    let (addrs, canonical) = addresses(node, hints)?;
    let answers = addrs.into_iter().flat_map(|addr| {
        sockets
            .iter()
            .map(move |&(port, socktype, protocol)| Answer {
                addr,
                port,
                socktype,
                protocol,
            })
    });
    Ok((
        answers.collect(),
        canonical.filter(|_| hints.flags & libc::AI_CANONNAME != 0),
    ))
}

/// (port, socket type, protocol) of what fits the hints and the service.
fn sockets(service: Option<&CStr>, hints: Hints) -> Result<Vec<(u16, c_int, c_int)>, c_int> {
    let fits: Vec<&Transport> = TRANSPORTS
        .iter()
        .filter(|transport| transport.fits(hints))
        .collect();
    if fits.is_empty() {
        return Err(if hints.socktype != 0 {
            libc::EAI_SOCKTYPE
        } else {
            libc::EAI_SERVICE
        });
    }
    let number = service.map(|service| {
        service
            .to_str()
            .ok()
            .and_then(|text| text.parse::<u32>().ok())
    });
    let rows: Vec<_> = match number {
        None => fits.iter().map(|transport| (0, transport)).collect(),
        // htons of whatever number was given, as glibc does it.
        Some(Some(port)) => fits
            .iter()
            .map(|transport| (port as u16, transport))
            .collect(),
        Some(None) if hints.flags & libc::AI_NUMERICSERV != 0 => return Err(libc::EAI_NONAME),
        Some(None) => {
            let service = service.unwrap_or_default();
            fits.iter()
                .filter_map(|transport| Some((port_of(service, transport.name?)?, transport)))
                .collect()
        }
    };
    if rows.is_empty() {
        return Err(libc::EAI_SERVICE);
    }
    let protocol = |transport: &Transport| {
        if transport.name.is_none() {
            hints.protocol
        } else {
            transport.protocol
        }
    };
    Ok(rows
        .into_iter()
        .map(|(port, transport)| (port, transport.socktype, protocol(transport)))
        .collect())
}

impl Transport {
    fn fits(&self, hints: Hints) -> bool {
        (hints.socktype == 0 || hints.socktype == self.socktype)
            // A raw socket takes any protocol, but is an answer to a protocol alone only when asked for.
            && (hints.protocol == 0 || hints.protocol == self.protocol || (self.name.is_none() && hints.socktype != 0))
    }
}

/// AI_ADDRCONFIG: of two families the one that the stack has addresses of, if it has the other one's not.
fn configured(hints: Hints, has_family: impl Fn(bool) -> bool) -> Result<Hints, c_int> {
    if hints.flags & libc::AI_ADDRCONFIG == 0 {
        return Ok(hints);
    }
    let family = match (hints.family, has_family(true), has_family(false)) {
        (libc::AF_UNSPEC, true, false) => libc::AF_INET,
        (libc::AF_UNSPEC, false, true) => libc::AF_INET6,
        (libc::AF_INET, false, _) | (libc::AF_INET6, _, false) => return Err(libc::EAI_NONAME),
        (family, _, _) => family,
    };
    Ok(Hints { family, ..hints })
}

/// The addresses in the order to try them, and the canonical name.
fn addresses(node: Option<&CStr>, hints: Hints) -> Result<(Vec<Address>, Option<CString>), c_int> {
    let Some(node) = node else {
        return Ok((own_addresses(hints), None));
    };
    if let Some(addr) = numeric(node) {
        let addr = in_family(addr, hints).ok_or(EAI_ADDRFAMILY)?;
        return Ok((vec![addr], Some(node.to_owned())));
    }
    let name = node.to_bytes();
    if hints.flags & libc::AI_NUMERICHOST != 0 || !is_name(name) {
        return Err(libc::EAI_NONAME);
    }
    if hints.flags & AI_IDN != 0 && !name.is_ascii() {
        return Err(EAI_IDN_ENCODE);
    }
    let (found, canonical) = named(name, hints).map_err(NoName::error)?;
    let mut addrs: Vec<Address> = found
        .into_iter()
        .filter_map(|ip| in_family(ip.into(), hints))
        .collect();
    sort::sort(&mut addrs);
    let canonical = canonical.unwrap_or_else(|| name.to_vec());
    Ok((addrs, CString::new(canonical).ok()))
}

/// Why a name has no addresses, for each of the (up to two) questions that were asked.
struct NoName {
    first: Miss,
    second: Miss,
}

impl From<Miss> for NoName {
    fn from(miss: Miss) -> NoName {
        NoName {
            first: miss,
            second: miss,
        }
    }
}

impl NoName {
    /// glibc (gaih_inet): the name is known, if both questions had no data; to be tried again, if both were not answered.
    fn error(self) -> c_int {
        let known = |miss: Miss| matches!(miss.why, Why::NoData | Why::TryAgain);
        let silent = |miss: Miss| miss.why == Why::TryAgain;
        match (self.first, self.second) {
            (first, second) if silent(first) && silent(second) => libc::EAI_AGAIN,
            (first, second) if known(first) && known(second) => libc::EAI_NODATA,
            _ => libc::EAI_NONAME,
        }
    }
}

impl Ends for NoName {
    fn status(&self) -> Status {
        match (self.first.status, self.second.status) {
            (first, Status::Unavailable) => first,
            (_, second) => second,
        }
    }
}

/// Addresses and canonical name.
type Named = (Vec<IpAddr>, Option<Vec<u8>>);

/// The addresses of a name in the family asked for. IPv4 ones stand for mapped ones where those may be answers, which is if there is
/// no IPv6 address or both are wanted (AI_ALL).
fn named(name: &[u8], hints: Hints) -> Result<Named, NoName> {
    let wanted = match hints.family {
        libc::AF_INET => Wanted::V4,
        libc::AF_INET6 => Wanted::V6,
        _ => Wanted::Both,
    };
    let split = |host: super::Host| (host.addrs, host.names.into_iter().next());
    let mapped = wanted == Wanted::V6 && hints.flags & libc::AI_V4MAPPED != 0;
    if !mapped {
        return Ok(split(by_name(name, wanted)?));
    }
    if super::is_localhost(name) {
        return Ok(split(by_name(name, Wanted::V6)?));
    }
    walk(|service| {
        let ask = |wanted| match service {
            Service::Files => in_file(name, wanted).ok_or(Miss::NOT_FOUND),
            Service::Dns => super::dns::addresses(name, wanted),
            Service::Other => Err(super::lookup::NOT_HERE),
        };
        let first = ask(Wanted::V6);
        if first.is_ok() && hints.flags & libc::AI_ALL == 0 {
            return Ok(split(first?));
        }
        match (first, ask(Wanted::V4)) {
            (Ok(mut host), second) => {
                host.addrs
                    .extend(second.map(|h| h.addrs).unwrap_or_default());
                Ok(split(host))
            }
            (Err(_), Ok(host)) => Ok(split(host)),
            (Err(first), Err(second)) => Err(NoName { first, second }),
        }
    })
}

/// What no node name stands for: the wildcard addresses for who listens, the loopback ones for who connects.
fn own_addresses(hints: Hints) -> Vec<Address> {
    let (v4, v6) = if hints.flags & libc::AI_PASSIVE != 0 {
        (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)
    } else {
        (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
    };
    let (v4, v6) = (Address::from(IpAddr::V4(v4)), Address::from(IpAddr::V6(v6)));
    match hints.family {
        libc::AF_INET => vec![v4],
        libc::AF_INET6 => vec![v6],
        // glibc's sorting puts 0.0.0.0 before :: (no source address is found for either), and ::1 before 127.0.0.1.
        _ if hints.flags & libc::AI_PASSIVE != 0 => vec![v4, v6],
        _ => vec![v6, v4],
    }
}

/// An address in the family asked for: IPv4 ones mapped into IPv6 with AI_V4MAPPED. `None`: not to be had.
fn in_family(addr: Address, hints: Hints) -> Option<Address> {
    match (hints.family, addr.ip) {
        (libc::AF_UNSPEC, _) | (libc::AF_INET, IpAddr::V4(_)) | (libc::AF_INET6, IpAddr::V6(_)) => {
            Some(addr)
        }
        (libc::AF_INET6, IpAddr::V4(ip)) if hints.flags & libc::AI_V4MAPPED != 0 => {
            Some(IpAddr::V6(ip.to_ipv6_mapped()).into())
        }
        _ => None,
    }
}

/// Whether a name could be a host's at all: not empty, within DNS's 253 bytes, without blanks and control characters.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.len() <= 254 && name.iter().all(|&byte| byte > b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(
        node: Option<&CStr>,
        service: Option<&CStr>,
        hints: Hints,
    ) -> Result<Vec<String>, c_int> {
        let (answers, _) = resolve(node, service, hints, |_| true)?;
        Ok(answers
            .iter()
            .map(|a| format!("{} {} {}", a.addr.ip, a.port, a.socktype))
            .collect())
    }

    const TCP: Hints = Hints {
        flags: 0,
        family: 0,
        socktype: libc::SOCK_STREAM,
        protocol: 0,
    };

    #[test]
    fn numbers() {
        let three = ask(Some(c"10.0.0.1"), Some(c"80"), Hints::default()).unwrap();
        assert_eq!(three, ["10.0.0.1 80 1", "10.0.0.1 80 2", "10.0.0.1 80 3"]);
        assert_eq!(ask(Some(c"::1"), None, TCP).unwrap(), ["::1 0 1"]);
        let mapped = Hints {
            family: libc::AF_INET6,
            flags: libc::AI_V4MAPPED,
            ..TCP
        };
        assert_eq!(
            ask(Some(c"10.0.0.1"), None, mapped).unwrap(),
            ["::ffff:10.0.0.1 0 1"]
        );
        let v4 = Hints {
            family: libc::AF_INET,
            ..TCP
        };
        assert_eq!(ask(Some(c"::1"), None, v4), Err(EAI_ADDRFAMILY));
    }

    #[test]
    fn nobody_in_particular() {
        let passive = Hints {
            flags: libc::AI_PASSIVE,
            ..TCP
        };
        assert_eq!(
            ask(None, Some(c"7"), passive).unwrap(),
            ["0.0.0.0 7 1", ":: 7 1"]
        );
        assert_eq!(
            ask(None, Some(c"7"), TCP).unwrap(),
            ["::1 7 1", "127.0.0.1 7 1"]
        );
        assert_eq!(ask(None, None, TCP), Err(libc::EAI_NONAME));
        assert_eq!(
            ask(Some(c"localhost"), Some(c"7"), TCP).unwrap(),
            ["::1 7 1", "127.0.0.1 7 1"]
        );
    }

    #[test]
    fn families_that_the_stack_has() {
        let only = |v4: bool, family| {
            let hints = Hints {
                flags: libc::AI_ADDRCONFIG,
                family,
                ..TCP
            };
            configured(hints, |asked| asked == v4).map(|hints| hints.family)
        };
        assert_eq!(only(true, libc::AF_UNSPEC), Ok(libc::AF_INET));
        assert_eq!(only(false, libc::AF_UNSPEC), Ok(libc::AF_INET6));
        assert_eq!(only(true, libc::AF_INET), Ok(libc::AF_INET));
        assert_eq!(only(true, libc::AF_INET6), Err(libc::EAI_NONAME));
    }

    #[test]
    fn refusals() {
        let with = |flags, family, socktype| Hints {
            flags,
            family,
            socktype,
            protocol: 0,
        };
        assert_eq!(
            ask(Some(c"x"), None, with(1 << 20, 0, 0)),
            Err(libc::EAI_BADFLAGS)
        );
        assert_eq!(
            ask(None, Some(c"7"), with(libc::AI_CANONNAME, 0, 0)),
            Err(libc::EAI_BADFLAGS)
        );
        assert_eq!(
            ask(Some(c"x"), None, with(0, libc::AF_UNIX, 0)),
            Err(libc::EAI_FAMILY)
        );
        assert_eq!(
            ask(Some(c"x"), None, with(0, 0, 77)),
            Err(libc::EAI_SOCKTYPE)
        );
        assert_eq!(
            ask(Some(c"x"), None, with(libc::AI_NUMERICHOST, 0, 0)),
            Err(libc::EAI_NONAME)
        );
        assert_eq!(ask(Some(c""), None, TCP), Err(libc::EAI_NONAME));
        assert_eq!(
            ask(Some(c"::1"), Some(c"nosuch-service"), TCP),
            Err(libc::EAI_SERVICE)
        );
        let numeric = Hints {
            flags: libc::AI_NUMERICSERV,
            ..TCP
        };
        assert_eq!(
            ask(Some(c"::1"), Some(c"http"), numeric),
            Err(libc::EAI_NONAME)
        );
        // There is no server.
        assert_eq!(
            ask(Some(c"needs.dns.example"), None, TCP),
            Err(libc::EAI_AGAIN)
        );
        let idn = Hints {
            flags: AI_IDN,
            ..TCP
        };
        let umlaut = CString::new("m\u{fc}ller.example").unwrap();
        assert_eq!(ask(Some(&umlaut), None, idn), Err(EAI_IDN_ENCODE));
    }
}
