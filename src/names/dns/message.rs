//! DNS messages, RFC 1035 4: questions out, answers in. Bytes that arrive are judged here and nowhere else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Label, Name, Packet, PacketFlag, QCLASS, QTYPE, Question};

/// What can be asked for a host.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// IPv4 addresses (RFC 1035 3.4.1).
    A,
    /// IPv6 addresses (RFC 3596 2.1).
    Aaaa,
    /// The name of an address (RFC 1035 3.5).
    Ptr,
}

/// What is asked of a name: QTYPE and QCLASS as numbers (RFC 1035 3.2).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ask {
    /// QTYPE.
    pub(crate) kind: u16,
    /// QCLASS.
    pub(crate) class: u16,
}

impl From<Kind> for Ask {
    fn from(kind: Kind) -> Ask {
        let kind = match kind {
            Kind::A => 1,
            Kind::Ptr => 12,
            Kind::Aaaa => 28,
        };
        Ask { kind, class: 1 }
    }
}

/// How an answer says that it went: RCODE of the header (RFC 1035 4.1.1), without what EDNS adds, which glibc does not look at.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Rcode {
    /// NOERROR.
    NoError,
    /// FORMERR: the question was not understood.
    FormErr,
    /// SERVFAIL.
    ServFail,
    /// NXDOMAIN: there is no such name.
    NxDomain,
    /// NOTIMP.
    NotImp,
    /// REFUSED.
    Refused,
    /// Any other.
    Other,
}

/// What a message's fixed header says.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Number that ties answer and question.
    pub(crate) id: u16,
    /// An answer.
    pub(crate) response: bool,
    /// TC: there is more than fitted the datagram.
    pub(crate) truncated: bool,
    /// How it went.
    pub(crate) rcode: Rcode,
    /// Entries of the question section.
    pub(crate) questions: u16,
    /// Entries of the answer section.
    pub(crate) answers: u16,
}

impl Header {
    /// Reads the 12 bytes at the front.
    pub(crate) fn read(message: &[u8]) -> Option<Header> {
        let word = |at: usize| {
            let bytes = message.get(at..at + 2)?;
            Some(u16::from_be_bytes(bytes.try_into().ok()?))
        };
        word(10)?;
        let flags = word(2)?;
        Some(Header {
            id: word(0)?,
            response: flags & 0x8000 != 0,
            truncated: flags & 0x0200 != 0,
            rcode: match flags & 0xf {
                0 => Rcode::NoError,
                1 => Rcode::FormErr,
                2 => Rcode::ServFail,
                3 => Rcode::NxDomain,
                4 => Rcode::NotImp,
                5 => Rcode::Refused,
                _ => Rcode::Other,
            },
            questions: word(4)?,
            answers: word(6)?,
        })
    }
}

/// How large an answer may be over UDP when EDNS says so: RESOLV_EDNS_BUFFER_SIZE of glibc, which fits one packet of any path.
const EDNS_ROOM: u16 = 1200;

/// A question for DNS as bytes; `None`: this can be no domain name (empty or long labels).
pub(crate) fn question(
    id: u16,
    name: &[u8],
    ask: Ask,
    edns: bool,
    trust_ad: bool,
) -> Option<Vec<u8>> {
    let name = wire_name(name)?;
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    if trust_ad {
        packet.set_flags(PacketFlag::AUTHENTIC_DATA);
    }
    let kind = QTYPE::try_from(ask.kind).ok()?;
    let class = QCLASS::try_from(ask.class).ok()?;
    packet
        .questions
        .push(Question::new(name, kind, class, false));
    if edns {
        *packet.opt_mut() = Some(OPT {
            opt_codes: Vec::new(),
            udp_packet_size: EDNS_ROOM,
            version: 0,
        });
    }
    packet.build_bytes_vec().ok()
}

/// A name of dotted text as DNS has it: labels of 1 to 63 bytes, 255 in all. One dot at the end changes nothing.
fn wire_name(text: &[u8]) -> Option<Name<'_>> {
    let text = text.strip_suffix(b".").unwrap_or(text);
    if text.is_empty() {
        return Some(Name::new_with_labels(&[]));
    }
    let fits = |label: &[u8]| !label.is_empty() && label.len() <= 63;
    if text.len() > 253 || !text.split(|&byte| byte == b'.').all(fits) {
        return None;
    }
    let labels: Vec<Label<'_>> = text
        .split(|&byte| byte == b'.')
        .map(Label::new_unchecked)
        .collect();
    Some(Name::new_with_labels(&labels))
}

/// Whether a message is an answer to this question: same number, and the same name, type and class asked.
pub(crate) fn answers_to(question: &[u8], message: &[u8]) -> bool {
    let (Some(asked), Some(got)) = (Header::read(question), Header::read(message)) else {
        return false;
    };
    if !got.response || got.id != asked.id {
        return false;
    }
    // Who did not understand the question may leave it out.
    if got.questions == 0 {
        return !matches!(got.rcode, Rcode::NoError | Rcode::NxDomain);
    }
    let (Some((names, asked)), Some((echoes, echo))) = (
        question_section(question, asked.questions),
        question_section(message, got.questions),
    ) else {
        return false;
    };
    // Letters may come back in another case (RFC 4343); types and classes have none.
    names == echoes && asked.eq_ignore_ascii_case(echo)
}

/// Types and classes of the question section, and the section as it is. Its names can't be compressed: nothing stands before them.
fn question_section(message: &[u8], count: u16) -> Option<(Vec<&[u8]>, &[u8])> {
    const START: usize = 12;
    let mut at = START;
    let mut kinds = Vec::new();
    for _ in 0..count {
        loop {
            match usize::from(*message.get(at)?) {
                0 => break,
                len @ 1..=63 => at += 1 + len,
                _ => return None,
            }
        }
        kinds.push(message.get(at + 1..at + 5)?);
        at += 5;
    }
    Some((kinds, message.get(START..at)?))
}

/// Reads questions and answers. Nobody looks at the other sections, so what is in them does not matter.
fn parse<'a>(message: &[u8], room: &'a mut Vec<u8>) -> Option<Packet<'a>> {
    let header = Header::read(message)?;
    // An entry has at least so many bytes: a number that can't be true must not cost memory.
    let least = usize::from(header.questions) * 5 + usize::from(header.answers) * 11;
    if least > message.len() {
        return None;
    }
    room.extend_from_slice(message);
    // Z (RFC 1035 4.1.1) means nothing.
    *room.get_mut(3)? &= !0x40;
    room.get_mut(8..12)?.fill(0);
    Packet::parse(room).ok()
}

/// What an answer says about the name that was asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Said {
    /// The name, and those that it is another name of, in the order of the chain: the last is the canonical one.
    pub(crate) chain: Vec<Vec<u8>>,
    /// Addresses.
    pub(crate) addrs: Vec<IpAddr>,
    /// Names (PTR).
    pub(crate) names: Vec<Vec<u8>>,
}

/// Most links of a chain of CNAMEs.
const CHAIN_MAX: usize = 16;

/// Reads an answer to a question of one name. `None`: garbled, or with a chain that does not end.
pub(crate) fn said(message: &[u8], kind: Kind) -> Option<Said> {
    let mut room = Vec::new();
    let packet = parse(message, &mut room)?;
    let mut owner = &packet.questions.first()?.qname;
    let mut said = Said {
        chain: vec![text(owner)],
        ..Said::default()
    };
    loop {
        let next = packet
            .answers
            .iter()
            .find_map(|record| match &record.rdata {
                RData::CNAME(to) if record.name == *owner => Some(&to.0),
                _ => None,
            });
        let Some(next) = next else {
            break;
        };
        if said.chain.len() > CHAIN_MAX || (kind != Kind::Ptr && !is_host_name(next)) {
            return None;
        }
        said.chain.push(text(next));
        owner = next;
    }
    for record in &packet.answers {
        if record.class != CLASS::IN || record.name != *owner {
            continue;
        }
        match (&record.rdata, kind) {
            (RData::A(a), Kind::A) => said.addrs.push(Ipv4Addr::from(a.address).into()),
            (RData::AAAA(a), Kind::Aaaa) => said.addrs.push(Ipv6Addr::from(a.address).into()),
            (RData::PTR(to), Kind::Ptr) if is_host_name(&to.0) => said.names.push(text(&to.0)),
            _ => {}
        }
    }
    Some(said)
}

/// res_hnok of resolv.h: letters, digits, `-` and `_`, not beginning with `-`. Anything else in an answer is not given to programs, which
/// might put it into a shell.
fn is_host_name(name: &Name<'_>) -> bool {
    let fine = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
    let labels = name.get_labels();
    let first = labels.first().and_then(|label| label.as_ref().first());
    first != Some(&b'-') && labels.iter().all(|label| label.as_ref().iter().all(fine))
}

/// Dotted text of a name.
fn text(name: &Name<'_>) -> Vec<u8> {
    let labels: Vec<&[u8]> = name.get_labels().iter().map(AsRef::as_ref).collect();
    labels.join(&b'.')
}

#[cfg(test)]
mod tests {
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, CNAME};

    use super::*;

    fn reply(records: &[(&'static str, RData<'static>)]) -> Vec<u8> {
        let mut packet = Packet::new_reply(7);
        let name = Name::new_unchecked("Www.example");
        let kind = QTYPE::TYPE(simple_dns::TYPE::A);
        let class = QCLASS::CLASS(CLASS::IN);
        packet
            .questions
            .push(Question::new(name, kind, class, false));
        for (owner, data) in records {
            let owner = Name::new_unchecked(owner);
            let record = ResourceRecord::new(owner, CLASS::IN, 60, data.clone());
            packet.answers.push(record);
        }
        packet.build_bytes_vec_compressed().unwrap()
    }

    fn cname(to: &'static str) -> RData<'static> {
        RData::CNAME(CNAME(Name::new_unchecked(to)))
    }

    const A1: RData<'static> = RData::A(A {
        address: 0x0a00_0001,
    });

    #[test]
    fn questions() {
        let asked = question(7, b"www.example.", Kind::A.into(), true, true).unwrap();
        assert_eq!(asked[..12], [0, 7, 1, 0x20, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(asked[12..29], *b"\x03www\x07example\0\0\x01\0\x01");
        assert_eq!(asked[29..], [0, 0, 41, 4, 176, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            question(7, b".", Kind::A.into(), false, false)
                .unwrap()
                .len(),
            17
        );
        let long = [b'a'; 64];
        for bad in [&b"a..b"[..], b".a", &long, &[b'a'; 300]] {
            assert!(question(7, bad, Kind::A.into(), false, false).is_none());
        }
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let asked = question(7, b"wWw.example", Kind::A.into(), false, false).unwrap();
        let good = reply(&[]);
        assert!(answers_to(&asked, &good));
        for at in [0, 1, 2, 5, 13, 20, 26, 28] {
            let mut bad = good.clone();
            bad[at] ^= 0x81;
            assert!(!answers_to(&asked, &bad), "byte {at}");
        }
        assert!(!answers_to(&asked, &asked));
        // Who did not understand may answer with a header alone.
        let mut bare = good[..12].to_vec();
        bare[5] = 0;
        assert!(!answers_to(&asked, &bare));
        bare[3] |= 1;
        assert!(answers_to(&asked, &bare));
    }

    #[test]
    fn chains() {
        let known = said(&reply(&[("www.example", A1)]), Kind::A).unwrap();
        assert_eq!(known.addrs, [IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(known.chain, [b"Www.example".to_vec()]);
        // In any order, and what belongs to another name does not count.
        let records = [
            ("c.example", A1),
            ("b.example", cname("c.example")),
            ("other.example", A1),
            ("WWW.example", cname("b.example")),
        ];
        let known = said(&reply(&records), Kind::A).unwrap();
        assert_eq!(known.addrs.len(), 1);
        assert_eq!(known.chain.last().unwrap(), b"c.example");
        assert!(said(&reply(&records), Kind::Aaaa).unwrap().addrs.is_empty());
        let circle = [
            ("www.example", cname("b.example")),
            ("b.example", cname("www.example")),
        ];
        assert_eq!(said(&reply(&circle), Kind::A), None);
        let odd = [("www.example", cname("$(reboot).example"))];
        assert_eq!(said(&reply(&odd), Kind::A), None);
    }

    /// Whatever arrives, nothing panics.
    #[test]
    fn garbage() {
        let good = reply(&[("www.example", cname("b.example")), ("b.example", A1)]);
        let asked = question(7, b"www.example", Kind::A.into(), true, false).unwrap();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut chance = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as usize % below
        };
        let mut parsed = 0;
        for _ in 0..200_000 {
            let mut bad = good.clone();
            for _ in 0..chance(6) {
                let at = chance(bad.len());
                bad[at] = chance(256) as u8;
            }
            // Mostly a type that says how its data is to be read.
            let at = 28 + chance(bad.len() - 30);
            bad[at] = chance(66) as u8;
            bad.truncate(bad.len() - chance(4) * chance(10));
            answers_to(&asked, &bad);
            for kind in [Kind::A, Kind::Aaaa, Kind::Ptr] {
                parsed += usize::from(said(&bad, kind).is_some());
            }
        }
        assert!(parsed > 1000, "{parsed}");
        let many = [
            0, 7, 0x80, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0, 1,
        ];
        assert_eq!(said(&many, Kind::A), None);
    }
}
