//! Options of raw sockets: IP_HDRINCL, ICMP_FILTER, ICMP6_FILTER, IPV6_CHECKSUM.

use crate::error::{Error, Result};
use crate::ip::proto;
use crate::socket::table::Socket;
use crate::socket::{Domain, Kind, RawOpt, RawOptName};

/// setsockopt(2) (Linux: raw_setsockopt, do_rawv6_setsockopt).
pub(crate) fn set(socket: &mut Socket, opt: RawOpt) -> Result<()> {
    let domain = socket.domain;
    let kind = socket.kind();
    let Some(raw) = socket
        .raw_mut()
        .filter(|raw| matches!(raw.kind, Kind::Raw(_)))
    else {
        return Err(Error::NoSuchOption);
    };
    match opt {
        RawOpt::HdrIncl(on) => raw.hdrincl = on,
        RawOpt::IcmpFilter(_) if kind != Kind::Raw(proto::ICMP) || domain != Domain::V4 => {
            return Err(Error::NotSupported);
        }
        RawOpt::IcmpFilter(filter) => raw.icmp_filter = filter,
        RawOpt::Icmp6Filter(_) if kind != Kind::Raw(proto::ICMPV6) || domain != Domain::V6 => {
            return Err(Error::NotSupported);
        }
        RawOpt::Icmp6Filter(filter) => raw.icmp6_filter = filter,
        RawOpt::Checksum(_) if domain != Domain::V6 => return Err(Error::NoSuchOption),
        RawOpt::Checksum(None) => raw.checksum = None,
        // RFC 3542 3.1: a checksum stands at an even place.
        RawOpt::Checksum(Some(at)) if at % 2 != 0 => return Err(Error::Invalid),
        RawOpt::Checksum(Some(at)) => raw.checksum = Some(at),
    }
    Ok(())
}

/// getsockopt(2).
pub(crate) fn get(socket: &Socket, name: RawOptName) -> Result<RawOpt> {
    let raw = socket.raw().filter(|raw| matches!(raw.kind, Kind::Raw(_)));
    match (name, raw, socket.domain) {
        (RawOptName::HdrIncl, raw, _) => Ok(RawOpt::HdrIncl(raw.is_some_and(|raw| raw.hdrincl))),
        (_, None, _) => Err(Error::NoSuchOption),
        (RawOptName::IcmpFilter, Some(raw), Domain::V4) if raw.kind == Kind::Raw(proto::ICMP) => {
            Ok(RawOpt::IcmpFilter(raw.icmp_filter))
        }
        (RawOptName::Icmp6Filter, Some(raw), Domain::V6)
            if raw.kind == Kind::Raw(proto::ICMPV6) =>
        {
            Ok(RawOpt::Icmp6Filter(raw.icmp6_filter))
        }
        (RawOptName::IcmpFilter | RawOptName::Icmp6Filter, ..) => Err(Error::NotSupported),
        (RawOptName::Checksum, Some(raw), Domain::V6) => Ok(RawOpt::Checksum(raw.checksum)),
        (RawOptName::Checksum, ..) => Err(Error::NoSuchOption),
    }
}
