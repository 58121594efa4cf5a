//! getaddrinfo's rules (RFC 3493 6.1, and glibc where that leaves room), without C's memory.

use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::c_int;

use super::{Address, lookup, numeric, port_of};

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
/// Flags that glibc knows; any other is EAI_BADFLAGS. The AI_IDN ones are taken and change nothing: names go to a file, as they are.
const KNOWN_FLAGS: c_int = libc::AI_PASSIVE
    | libc::AI_CANONNAME
    | libc::AI_NUMERICHOST
    | libc::AI_NUMERICSERV
    | libc::AI_V4MAPPED
    | libc::AI_ADDRCONFIG
    | libc::AI_ALL
    | 0x40 // AI_IDN
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

/// Answers a question; the error is an EAI_* value. `has_family` says which families the stack has addresses of (AI_ADDRCONFIG).
pub(crate) fn resolve(
    node: Option<&CStr>,
    service: Option<&CStr>,
    hints: Hints,
    has_family: impl Fn(c_int) -> bool,
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
    let sockets = sockets(service, hints)?;
    let (addrs, canonical) = addresses(node, hints, has_family)?;
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

/// The addresses in the order to try them, and the canonical name.
fn addresses(
    node: Option<&CStr>,
    hints: Hints,
    has_family: impl Fn(c_int) -> bool,
) -> Result<(Vec<Address>, Option<CString>), c_int> {
    let Some(node) = node else {
        return Ok((own_addresses(hints), None));
    };
    if let Some(addr) = numeric(node) {
        let addr = in_family(addr, hints).ok_or(EAI_ADDRFAMILY)?;
        return Ok((vec![addr], Some(node.to_owned())));
    }
    if hints.flags & libc::AI_NUMERICHOST != 0 || !is_name(node.to_bytes()) {
        return Err(libc::EAI_NONAME);
    }
    // A name that needs DNS, which there is none of: temporary failure.
    let host = lookup(node).ok_or(libc::EAI_AGAIN)?;
    let mut addrs: Vec<Address> = host
        .addrs
        .iter()
        .filter_map(|&ip| in_family(ip.into(), hints))
        .collect();
    if hints.flags & libc::AI_V4MAPPED != 0
        && hints.flags & libc::AI_ALL == 0
        && addrs.iter().any(|addr| !is_mapped(addr.ip))
    {
        // Mapped addresses are for when there is no real one.
        addrs.retain(|addr| !is_mapped(addr.ip));
    }
    if hints.flags & libc::AI_ADDRCONFIG != 0 {
        let family = |addr: &Address| {
            if addr.ip.is_ipv4() {
                libc::AF_INET
            } else {
                libc::AF_INET6
            }
        };
        addrs.retain(|addr| addr.ip.is_loopback() || has_family(family(addr)));
    }
    if addrs.is_empty() {
        return Err(libc::EAI_NODATA);
    }
    // RFC 6724's default policy prefers IPv6; within a family the file's order stays.
    addrs.sort_by_key(|addr| addr.ip.is_ipv4());
    let canonical = host
        .names
        .first()
        .and_then(|name| CString::new(name.clone()).ok());
    Ok((addrs, canonical))
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

fn is_mapped(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some())
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
        assert_eq!(
            ask(Some(c"needs.dns.example"), None, TCP),
            Err(libc::EAI_AGAIN)
        );
    }
}
