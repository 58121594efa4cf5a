//! From a request to its answers: netlink_rcv_skb and rtnetlink_rcv_msg of Linux, with the stack behind them.

use std::num::NonZeroI32;

use netlink_packet_core::{
    DoneMessage, ErrorMessage, NLM_F_DUMP, NLM_F_DUMP_FILTERED, NLM_F_MULTIPART, NetlinkBuffer,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable, Parseable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_sock_diag::{SOCK_DESTROY, SOCK_DIAG_BY_FAMILY, SockDiagMessage};

use super::{addresses, links, routes, rules, sockets};
use crate::capi::errno::{CResult, Errno};
use crate::fd::Protocol;

/// Of linux/netlink.h.
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_CAPPED: u16 = 0x100;
const HEADER_LEN: usize = 16;
/// What is not the protocol's own: NLMSG_NOOP and its kin.
const NLMSG_MIN_TYPE: u16 = 0x10;

/// Of linux/rtnetlink.h. A type's two lowest bits: new, delete, get, set.
const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
const RTM_GETNEIGH: u16 = 30;
const RTM_GETRULE: u16 = 34;
const RTM_GETQDISC: u16 = 38;
const RTM_GETTCLASS: u16 = 42;
const RTM_GETTFILTER: u16 = 46;
const RTM_GETNSID: u16 = 90;
const RTM_GETNEXTHOP: u16 = 106;
const RTM_MAX: u16 = 123;
const KIND: u16 = 3;
const KIND_GET: u16 = 2;

/// The requests that were there before SOCK_DIAG_BY_FAMILY (linux/inet_diag.h).
const TCPDIAG_GETSOCK: u16 = 18;
const DCCPDIAG_GETSOCK: u16 = 19;

const AF_INET: u8 = libc::AF_INET as u8;
const AF_INET6: u8 = libc::AF_INET6 as u8;

/// Octets of one answer's datagram, unless a message alone has more: NLMSG_GOODSIZE, what a reader with a page of room gets whole.
const GOOD_SIZE: usize = 3776;

/// Who asks, and how.
pub(super) struct Asker {
    /// Of whom.
    pub(super) protocol: Protocol,
    /// Its port.
    pub(super) port: u32,
    /// NETLINK_GET_STRICT_CHK: what a request for a list says beyond its family counts, and has to make sense.
    pub(super) strict: bool,
    /// NETLINK_CAP_ACK: errors without the request.
    pub(super) short_errors: bool,
    /// An earlier list is not read yet.
    pub(super) waiting: bool,
}

/// One request of a datagram.
pub(super) struct Request<'a> {
    header: NetlinkHeader,
    /// What follows the header.
    pub(super) body: &'a [u8],
    /// See [`Asker`].
    pub(super) strict: bool,
}

/// What an answer consists of.
pub(super) enum Answer {
    /// One message.
    One(Message),
    /// A list.
    List(List),
    /// What somebody else has answered, its acknowledgement included.
    Whole(Vec<Vec<u8>>),
}

/// A message of an answer.
pub(super) enum Message {
    /// Of NETLINK_ROUTE.
    Route(RouteNetlinkMessage),
    /// Of NETLINK_SOCK_DIAG.
    Socket(SockDiagMessage),
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        match self {
            Message::Route(message) => message.message_type(),
            Message::Socket(message) => message.message_type(),
        }
    }

    fn buffer_len(&self) -> usize {
        match self {
            Message::Route(message) => NetlinkSerializable::buffer_len(message),
            Message::Socket(message) => NetlinkSerializable::buffer_len(message),
        }
    }

    fn serialize(&self, buffer: &mut [u8]) {
        match self {
            Message::Route(message) => message.serialize(buffer),
            Message::Socket(message) => message.serialize(buffer),
        }
    }
}

/// A list of messages and its end.
#[derive(Default)]
pub(super) struct List {
    /// Its messages.
    pub(super) messages: Vec<Message>,
    /// It is not everything there is (NLM_F_DUMP_FILTERED).
    pub(super) filtered: bool,
    /// What went wrong, as the end of the list tells it.
    pub(super) failed: Option<Errno>,
}

impl List {
    /// Nothing but what went wrong.
    pub(super) fn failed(why: Errno, filtered: bool) -> List {
        List {
            filtered,
            failed: Some(why),
            ..List::default()
        }
    }
}

/// The datagrams that answer a datagram (netlink_rcv_skb). One that is cut short is passed over from there on.
pub(super) fn to_request(datagram: &[u8], asker: &Asker) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    let mut rest = datagram;
    while rest.len() >= HEADER_LEN {
        let Some((header, message)) = first_of(rest) else {
            break;
        };
        let request = Request {
            header,
            body: message.get(HEADER_LEN..).unwrap_or_default(),
            strict: asker.strict,
        };
        let outcome = if header.flags & NLM_F_REQUEST == 0 || header.message_type < NLMSG_MIN_TYPE {
            Ok(None)
        } else {
            match asker.protocol {
                Protocol::Route => route(&request, asker),
                Protocol::SockDiag => sockets(&request, message, asker),
            }
        };
        match outcome {
            // The end of a list stands for the acknowledgement.
            Ok(Some(Answer::List(list))) => send_list(list, &request, asker, &mut answers),
            Ok(Some(Answer::Whole(datagrams))) => answers.extend(datagrams),
            outcome => {
                let error = outcome.as_ref().err().copied();
                if let Ok(Some(Answer::One(message))) = outcome {
                    let message = NetlinkPayload::InnerMessage(message);
                    answers.push(written(message, 0, &request, asker));
                }
                if error.is_some() || header.flags & NLM_F_ACK != 0 {
                    answers.push(acknowledgement(error, message, &request, asker));
                }
            }
        }
        let next = message.len().next_multiple_of(4);
        rest = rest.get(next..).unwrap_or_default();
    }
    answers
}

/// The first message: its header, and all of it.
fn first_of(rest: &[u8]) -> Option<(NetlinkHeader, &[u8])> {
    let buffer = NetlinkBuffer::new(rest);
    let len = buffer.length() as usize;
    if len < HEADER_LEN {
        return None;
    }
    let message = rest.get(..len)?;
    Some((NetlinkHeader::parse(&buffer).ok()?, message))
}

/// rtnetlink_rcv_msg. `None`: done, and nothing to tell.
fn route(request: &Request<'_>, asker: &Asker) -> CResult<Option<Answer>> {
    let kind = request.header.message_type;
    if kind > RTM_MAX {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    // All have a family at least.
    if request.body.is_empty() {
        return Ok(None);
    }
    // What the stack has is settled by options: nobody has the right to change it.
    if kind & KIND != KIND_GET {
        return Err(Errno(libc::EPERM));
    }
    let lists = request.header.flags & NLM_F_DUMP != 0;
    if lists && asker.waiting {
        return Err(Errno(libc::EBUSY));
    }
    let answer = match (kind, lists) {
        (RTM_GETLINK, true) => Answer::List(links::list(request)?),
        (RTM_GETLINK, false) => Answer::One(Message::Route(links::one(request)?)),
        (RTM_GETADDR, true) => Answer::List(addresses::list(request)?),
        (RTM_GETADDR, false) => Answer::One(Message::Route(addresses::one(request)?)),
        (RTM_GETROUTE, true) => Answer::List(routes::list(request)?),
        (RTM_GETROUTE, false) => Answer::One(Message::Route(routes::one(request)?)),
        (RTM_GETRULE, true) => Answer::List(rules::list(request)),
        // A TUN device has no neighbours and no queue, and nobody made any of the others.
        (
            RTM_GETNEIGH | RTM_GETQDISC | RTM_GETTCLASS | RTM_GETTFILTER | RTM_GETNSID
            | RTM_GETNEXTHOP,
            true,
        ) => Answer::List(List::default()),
        (RTM_GETNEIGH | RTM_GETQDISC | RTM_GETNEXTHOP, false) => {
            return Err(Errno(libc::ENOENT));
        }
        _ => return Err(Errno(libc::EOPNOTSUPP)),
    };
    Ok(Some(answer))
}

/// sock_diag_rcv_msg: of internet sockets the stack tells; those of other families are the kernel's, and so is the answer about them.
fn sockets(request: &Request<'_>, message: &[u8], asker: &Asker) -> CResult<Option<Answer>> {
    let ends = match request.header.message_type {
        SOCK_DIAG_BY_FAMILY => false,
        SOCK_DESTROY => true,
        TCPDIAG_GETSOCK | DCCPDIAG_GETSOCK => return Err(Errno(libc::EOPNOTSUPP)),
        _ => return Err(Errno(libc::EINVAL)),
    };
    let lists = request.header.flags & NLM_F_DUMP != 0 && !ends;
    if lists && asker.waiting {
        return Err(Errno(libc::EBUSY));
    }
    let answer = match request.body {
        // Nobody has the right to end others' connections (sock_diag_destroy).
        [AF_INET | AF_INET6, ..] if ends => {
            return sockets::one(request).and(Err(Errno(libc::EPERM)));
        }
        [] | [_] => return Err(Errno(libc::EINVAL)),
        [AF_INET | AF_INET6, ..] if lists => Answer::List(sockets::list(request)?),
        [AF_INET | AF_INET6, ..] => Answer::One(sockets::one(request)?),
        _ => Answer::Whole(sockets::by_kernel(message, asker.port)?),
    };
    Ok(Some(answer))
}

/// A list's datagrams: as many messages in each as are good for a reader with little room, and its end (netlink_dump).
fn send_list(list: List, request: &Request<'_>, asker: &Asker, answers: &mut Vec<Vec<u8>>) {
    let filtered = if list.filtered {
        NLM_F_DUMP_FILTERED
    } else {
        0
    };
    let flags = NLM_F_MULTIPART | filtered;
    let mut datagram: Vec<u8> = Vec::new();
    for message in list.messages {
        let message = NetlinkPayload::InnerMessage(message);
        let message = written(message, flags, request, asker);
        if !datagram.is_empty() && datagram.len() + message.len() > GOOD_SIZE {
            answers.push(std::mem::take(&mut datagram));
        }
        datagram.extend(message);
    }
    if !datagram.is_empty() {
        answers.push(datagram);
    }
    let mut end = DoneMessage::default();
    end.code = list.failed.map_or(0, |Errno(why)| -why);
    let end = NetlinkPayload::<Message>::Done(end);
    answers.push(written(end, flags, request, asker));
}

/// NLMSG_ERROR (netlink_ack): without an error the acknowledgement that was asked for. An error brings the request back.
fn acknowledgement(
    error: Option<Errno>,
    message: &[u8],
    request: &Request<'_>,
    asker: &Asker,
) -> Vec<u8> {
    let whole = error.is_some() && !asker.short_errors;
    let mut told = ErrorMessage::default();
    told.code = error.and_then(|Errno(why)| NonZeroI32::new(-why));
    told.header = match whole {
        true => message.to_vec(),
        false => message.get(..HEADER_LEN).unwrap_or_default().to_vec(),
    };
    let flags = if whole { 0 } else { NLM_F_CAPPED };
    let told = NetlinkPayload::<Message>::Error(told);
    written(told, flags, request, asker)
}

/// A message as it goes out, padded to whole words.
fn written(
    payload: NetlinkPayload<Message>,
    flags: u16,
    request: &Request<'_>,
    asker: &Asker,
) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = request.header.sequence_number;
    header.port_number = asker.port;
    let mut message = NetlinkMessage::new(header, payload);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(protocol: Protocol, strict: bool) -> Asker {
        Asker {
            protocol,
            port: 7,
            strict,
            short_errors: false,
            waiting: false,
        }
    }

    /// A request of zeros.
    fn request(kind: u16, flags: u16, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN + len];
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_ne_bytes());
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
        bytes
    }

    #[test]
    fn no_octets_of_a_request_do_any_harm() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize % below
        };
        for round in 0..40_000 {
            let protocol = match round % 3 {
                0 => Protocol::SockDiag,
                _ => Protocol::Route,
            };
            let kind = match protocol {
                Protocol::Route => 16 + draw(100),
                Protocol::SockDiag => 16 + draw(8),
            };
            let flags = if draw(2) == 0 { NLM_F_DUMP } else { NLM_F_ACK };
            let mut bytes = request(kind as u16, flags, draw(120));
            let len = bytes.len();
            // Mostly small numbers, as lengths and types of attributes are, behind a header that is mostly let alone.
            for _ in 0..draw(40) {
                let at = match draw(8) {
                    0 => draw(len),
                    _ => (HEADER_LEN + draw(len)).min(len - 1),
                };
                bytes[at] = if draw(3) == 0 { draw(256) } else { draw(20) } as u8;
            }
            // Sockets of other families are not this process's to ask for in a test.
            if protocol == Protocol::SockDiag && len > HEADER_LEN {
                bytes[HEADER_LEN] = [AF_INET, AF_INET6][draw(2)];
                let total = len as u32;
                bytes[..4].copy_from_slice(&total.to_ne_bytes());
            }
            for answer in to_request(&bytes, &asker(protocol, draw(2) == 0)) {
                assert!(answer.len() >= HEADER_LEN && answer.len() % 4 == 0);
            }
        }
    }

    #[test]
    fn a_list_stays_within_good_datagrams() {
        let list = to_request(
            &request(RTM_GETROUTE, NLM_F_DUMP, 12),
            &asker(Protocol::Route, false),
        );
        assert!(list.len() >= 2 && list.iter().all(|datagram| datagram.len() <= GOOD_SIZE));
        // The end: NLMSG_DONE, and no error.
        let end = list.last().expect("an end");
        assert_eq!((end.len(), end[4], &end[16..]), (20, 3, &[0; 4][..]));
        let mut forwarded = request(RTM_GETROUTE, NLM_F_DUMP, 12);
        forwarded[HEADER_LEN] = 128;
        assert_eq!(
            to_request(&forwarded, &asker(Protocol::Route, false)).len(),
            1
        );
        let again = Asker {
            waiting: true,
            ..asker(Protocol::Route, false)
        };
        let refused = to_request(&request(RTM_GETROUTE, NLM_F_DUMP, 12), &again);
        let code = i32::from_ne_bytes(refused[0][16..20].try_into().expect("four octets"));
        assert_eq!(code, -libc::EBUSY);
    }
}
