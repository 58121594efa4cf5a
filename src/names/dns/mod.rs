//! DNS over the stack: from a name to the questions about it, and from the answers to what they mean. glibc's stub resolver
//! (res_query, res_search, nss_dns) is the model: what is asked, in which order, and how failures are told.

pub(crate) mod exchange;
pub(crate) mod message;
mod raw;

use std::fmt::Write;
use std::net::IpAddr;

use self::exchange::{Replies, Silence, exchange};
use self::message::{Ask, Header, Kind, Rcode, Said, question, said};
use super::nsswitch::Status;
use super::resolv_conf::ResolvConf;
use super::{Host, Miss, Why, settings, socket};

pub(crate) use raw::{Raw, State};

/// A question for which there was no answer, or one of no use.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct NoUse {
    /// What the caller is told.
    pub(crate) miss: Miss,
    /// The domains behind the name's may still be tried.
    go_on: bool,
    /// The last word was SERVFAIL.
    servfail: bool,
    /// No server is there: no other name will fare better.
    pub(crate) refused: bool,
}

/// Which addresses are wanted.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// IPv4 ones.
    V4,
    /// IPv6 ones.
    V6,
    /// All, asked for at once.
    Both,
}

/// The addresses of a name, by the rules for searching.
pub(crate) fn addresses(name: &[u8], wanted: Wanted) -> Result<Host, Miss> {
    let conf = settings::resolv_conf();
    let kinds: &[Kind] = match wanted {
        Wanted::V4 => &[Kind::A],
        Wanted::V6 if conf.no_aaaa => return Err(Miss::new(Why::NoData, Status::NotFound)),
        Wanted::V6 => &[Kind::Aaaa],
        Wanted::Both if conf.no_aaaa => &[Kind::A],
        Wanted::Both => &[Kind::A, Kind::Aaaa],
    };
    search(&conf, name, |name| {
        let asks: Vec<Ask> = kinds.iter().map(|kind| Ask::from(*kind)).collect();
        query(&conf, name, &asks)
    })
    .and_then(|replies| host_of(&replies, kinds))
    .map_err(|no_use| no_use.miss)
}

/// The name of an address.
pub(crate) fn pointer(ip: IpAddr) -> Result<Host, Miss> {
    let conf = settings::resolv_conf();
    let replies = query(&conf, reverse_name(ip).as_bytes(), &[Kind::Ptr.into()]);
    let said = replies
        .and_then(|replies| Ok(read(&replies, &[Kind::Ptr])?.swap_remove(0)))
        .map_err(|no_use| no_use.miss)?;
    match said.names.into_iter().next() {
        Some(name) => Ok(Host {
            addrs: vec![ip],
            ..Host::new(&name)
        }),
        None => Err(Miss::new(Why::NoRecovery, Status::NotFound)),
    }
}

/// in-addr.arpa (RFC 1035 3.5) or ip6.arpa (RFC 3596 2.5).
fn reverse_name(ip: IpAddr) -> String {
    let mut name = String::with_capacity(72);
    // Writing to a string does not fail.
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            let _ = write!(name, "{d}.{c}.{b}.{a}.in-addr.arpa");
        }
        IpAddr::V6(ip) => {
            for octet in ip.octets().iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", octet & 0xf, octet >> 4);
            }
            name.push_str("ip6.arpa");
        }
    }
    name
}

impl NoUse {
    fn plain(miss: Miss) -> NoUse {
        NoUse {
            miss,
            go_on: matches!(miss.why, Why::HostNotFound | Why::NoData),
            servfail: false,
            refused: false,
        }
    }
}

impl From<Silence> for NoUse {
    fn from(silence: Silence) -> NoUse {
        NoUse {
            miss: Miss::new(Why::TryAgain, Status::Unavailable),
            go_on: silence.servfail,
            servfail: silence.servfail,
            refused: silence.refused,
        }
    }
}

/// res_query: asks for one name exactly, for one type or two at once. Good if at least one answer has something in it.
fn query(conf: &ResolvConf, name: &[u8], asks: &[Ask]) -> Result<Replies, NoUse> {
    let replies = exchange_about(conf, name, asks)?;
    judge(&replies)?;
    Ok(replies)
}

/// The answers to questions about one name, whatever they say.
fn exchange_about(conf: &ResolvConf, name: &[u8], asks: &[Ask]) -> Result<Replies, NoUse> {
    let not_a_name = NoUse::plain(Miss::new(Why::NoRecovery, Status::NotFound));
    let mut queries = Vec::with_capacity(asks.len());
    let mut ids: Vec<u16> = Vec::new();
    for ask in asks {
        let mut id = random_id()?;
        while ids.contains(&id) {
            id = id.wrapping_add(1);
        }
        ids.push(id);
        let message = question(id, name, *ask, conf.edns0, conf.trust_ad);
        queries.push(message.ok_or(not_a_name)?);
    }
    let messages: Vec<&[u8]> = queries.iter().map(Vec::as_slice).collect();
    Ok(exchange(conf, &messages)?)
}

fn random_id() -> Result<u16, NoUse> {
    // Without a stack there is no server either.
    let refused = Silence {
        refused: true,
        servfail: false,
    };
    Ok(socket::random().map_err(|_| refused)? as u16)
}

/// Whether there is anything in the answers, and if not, what that means.
fn judge(replies: &Replies) -> Result<(), NoUse> {
    let headers = || {
        let read = |reply: &Option<Vec<u8>>| Header::read(reply.as_ref()?);
        replies.iter().filter_map(read)
    };
    if headers().any(|header| header.rcode == Rcode::NoError && header.answers > 0) {
        return Ok(());
    }
    let bad = headers().find(|header| header.rcode != Rcode::NoError);
    let (why, status) = match bad.map(|header| header.rcode) {
        None => (Why::NoData, Status::NotFound),
        Some(Rcode::NxDomain) => (Why::HostNotFound, Status::NotFound),
        Some(_) => (Why::NoRecovery, Status::NotFound),
    };
    Err(NoUse::plain(Miss::new(why, status)))
}

/// What each answer says; an empty one in the place of what is missing. An error if none can be read.
fn read(replies: &Replies, kinds: &[Kind]) -> Result<Vec<Said>, NoUse> {
    let mut any = false;
    let mut read = |(reply, kind): (&Option<Vec<u8>>, &Kind)| {
        let known = said(reply.as_ref()?, *kind);
        any |= known.is_some();
        known
    };
    let all: Vec<Said> = replies
        .iter()
        .zip(kinds)
        .map(|pair| read(pair).unwrap_or_default())
        .collect();
    if any && !all.is_empty() {
        return Ok(all);
    }
    Err(NoUse::plain(Miss::new(Why::NoRecovery, Status::NotFound)))
}

/// A host from the answers: the canonical name, the names on the way to it, the addresses.
fn host_of(replies: &Replies, kinds: &[Kind]) -> Result<Host, NoUse> {
    let all = read(replies, kinds)?;
    let useful = |said: &&Said| !said.addrs.is_empty();
    let Some(best) = all.iter().find(useful) else {
        // A chain of names that ends without an address.
        return Err(NoUse::plain(Miss::new(Why::NoData, Status::NotFound)));
    };
    let mut names = best.chain.clone();
    names.rotate_right(1);
    Ok(Host {
        names,
        addrs: all.iter().flat_map(|said| said.addrs.clone()).collect(),
    })
}

/// res_search: the name as it is and with the domains of the search list behind it, in the order that its dots tell.
fn search<T>(
    conf: &ResolvConf,
    name: &[u8],
    mut ask: impl FnMut(&[u8]) -> Result<T, NoUse>,
) -> Result<T, NoUse> {
    let dots = name.iter().filter(|&&byte| byte == b'.').count();
    let absolute = name.ends_with(b".");
    if dots == 0
        && let Some(alias) = settings::host_alias(name)
    {
        return ask(&alias);
    }
    let mut as_is: Option<NoUse> = None;
    if dots >= conf.ndots || absolute {
        match ask(name) {
            Err(no_use) if !absolute => as_is = Some(no_use),
            outcome => return outcome,
        }
    }
    let mut last = NoUse::plain(Miss::new(Why::HostNotFound, Status::NotFound));
    let (mut no_data, mut servfail) = (None, None);
    let mut root = false;
    let domains: &[Vec<u8>] = if absolute { &[] } else { &conf.search };
    for domain in domains {
        root |= domain.is_empty();
        let full = if domain.is_empty() {
            name.to_vec()
        } else {
            [name, b".", domain].concat()
        };
        last = match ask(&full) {
            Err(no_use) => no_use,
            found => return found,
        };
        if last.refused {
            return Err(last);
        }
        if last.miss.why == Why::NoData {
            no_data = Some(last);
        }
        if last.servfail {
            servfail = Some(last);
        }
        if !last.go_on {
            break;
        }
    }
    let may_be_top = dots > 0 || domains.is_empty() || !conf.no_tld_query;
    if may_be_top && as_is.is_none() && !root {
        last = match ask(name) {
            Err(no_use) => no_use,
            found => return found,
        };
    }
    Err(as_is.or(no_data).or(servfail).unwrap_or(last))
}
