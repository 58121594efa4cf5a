//! Looking a name up in one place after the other, as nsswitch.conf(5) says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::dns::{self, Wanted};
use super::hosts::{Host, Hosts};
use super::nsswitch::{Service, Status};
use super::{is_localhost, settings};

/// Why there is no answer: the values of h_errno, netdb.h.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// HOST_NOT_FOUND: there is no such name.
    HostNotFound,
    /// TRY_AGAIN: nobody has answered.
    TryAgain,
    /// NO_RECOVERY: an answer of no use.
    NoRecovery,
    /// NO_DATA: the name is there, without what was asked for.
    NoData,
}

/// There is no answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Miss {
    /// What is said.
    pub(crate) why: Why,
    /// What it means for the search in other places.
    pub(crate) status: Status,
}

impl Miss {
    /// A miss.
    pub(crate) fn new(why: Why, status: Status) -> Miss {
        Miss { why, status }
    }

    /// No such name.
    pub(crate) const NOT_FOUND: Miss = Miss {
        why: Why::HostNotFound,
        status: Status::NotFound,
    };
}

/// The addresses of a name in one family or both.
pub(crate) fn by_name(name: &[u8], wanted: Wanted) -> Result<Host, Miss> {
    if let Some(host) = localhost(name, wanted) {
        return Ok(host);
    }
    walk(|service| match service {
        Service::Files => in_file(name, wanted).ok_or(Miss::NOT_FOUND),
        Service::Dns => dns::addresses(name, wanted),
        Service::Other => Err(NOT_HERE),
    })
}

/// The name of an address.
pub(crate) fn by_addr(ip: IpAddr) -> Result<Host, Miss> {
    let ip = ip.to_canonical();
    let localhost = || {
        let loopback =
            ip == IpAddr::V4(Ipv4Addr::LOCALHOST) || ip == IpAddr::V6(Ipv6Addr::LOCALHOST);
        loopback.then(|| Host {
            addrs: vec![ip],
            ..Host::new(b"localhost")
        })
    };
    walk(|service| match service {
        Service::Files => Hosts::load()
            .by_addr(ip)
            .or_else(localhost)
            .ok_or(Miss::NOT_FOUND),
        Service::Dns => dns::pointer(ip),
        Service::Other => Err(NOT_HERE),
    })
}

/// A module of libc's that is not here.
pub(super) const NOT_HERE: Miss = Miss {
    why: Why::NoRecovery,
    status: Status::Unavailable,
};

/// Asks the places in their order until one has an answer or is to have the last word.
pub(super) fn walk<T, E: Ends>(mut ask: impl FnMut(Service) -> Result<T, E>) -> Result<T, E> {
    let steps = settings::order();
    // What it is without any place to ask.
    let mut last = ask(Service::Other);
    for step in steps {
        last = ask(step.service);
        match &last {
            Err(error) if !step.ends(error.status()) => {}
            _ => break,
        }
    }
    last
}

/// A failure that says what it means for the other places.
pub(super) trait Ends {
    /// What it means.
    fn status(&self) -> Status;
}

impl Ends for Miss {
    fn status(&self) -> Status {
        self.status
    }
}

/// RFC 6761 6.3: localhost is the loopback, in both families, and is never asked of DNS.
fn localhost(name: &[u8], wanted: Wanted) -> Option<Host> {
    if !is_localhost(name) {
        return None;
    }
    let mut host = Hosts::load()
        .by_name(name)
        .unwrap_or_else(|| Host::new(b"localhost"));
    for ip in [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ] {
        if !host.addrs.iter().any(|a| a.is_ipv4() == ip.is_ipv4()) {
            host.addrs.push(ip);
        }
    }
    host.addrs.retain(|ip| wanted.has(*ip));
    Some(host)
}

pub(super) fn in_file(name: &[u8], wanted: Wanted) -> Option<Host> {
    let mut host = Hosts::load().by_name(name)?;
    host.addrs.retain(|ip| wanted.has(*ip));
    (!host.addrs.is_empty()).then_some(host)
}

impl Wanted {
    fn has(self, ip: IpAddr) -> bool {
        match self {
            Wanted::V4 => ip.is_ipv4(),
            Wanted::V6 => ip.is_ipv6(),
            Wanted::Both => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_always_there_in_both_families() {
        for name in [
            &b"localhost"[..],
            b"LOCALHOST",
            b"a.localhost",
            b"localhost.",
        ] {
            let host = by_name(name, Wanted::Both).unwrap();
            assert!(
                host.addrs.iter().any(IpAddr::is_ipv4) && host.addrs.iter().any(IpAddr::is_ipv6)
            );
            assert_eq!(by_name(name, Wanted::V6).unwrap().addrs.len(), 1);
        }
    }
}
