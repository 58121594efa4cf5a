//! The attributes of a request (nlattr of linux/netlink.h), and what its stack is asked.

use std::net::IpAddr;

use netlink_packet_core::NlasIterator;
use tunsock_stack::Stack;

use crate::capi::errno::{CResult, Errno};
use crate::runtime;

/// Attributes by their numbers, the nesting and byte-order marks taken off.
pub(super) struct Attributes<'a>(Vec<(u16, &'a [u8])>);

impl<'a> Attributes<'a> {
    /// What follows a request's header of `header` octets. Of the rest behind one that is cut short nothing is read, which is all right for
    /// everybody who is not strict (nla_parse).
    pub(super) fn of(body: &'a [u8], header: usize, strict: bool) -> CResult<Attributes<'a>> {
        let mut found = Vec::new();
        let rest = body.get(header..).unwrap_or_default();
        for attribute in NlasIterator::new(rest) {
            match attribute {
                Ok(attribute) => {
                    let end = usize::from(attribute.length());
                    let whole = attribute.into_inner();
                    found.push((attribute.kind(), whole.get(4..end).unwrap_or_default()));
                }
                Err(_) if strict => return Err(Errno(libc::EINVAL)),
                Err(_) => break,
            }
        }
        Ok(Attributes(found))
    }

    /// The value of the attribute of this number: the last one counts, as in the kernel's table.
    pub(super) fn get(&self, number: u16) -> Option<&'a [u8]> {
        let mut all = self.0.iter().rev();
        all.find(|(kind, _)| *kind == number)
            .map(|(_, value)| *value)
    }

    /// Every number that is there.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().map(|(kind, _)| *kind)
    }

    /// A number of 32 bits. EINVAL, ERANGE as nla_validate: of fewer octets.
    pub(super) fn number(&self, number: u16) -> CResult<Option<u32>> {
        let Some(value) = self.get(number) else {
            return Ok(None);
        };
        let octets = value.first_chunk().ok_or(Errno(libc::EINVAL))?;
        Ok(Some(u32::from_ne_bytes(*octets)))
    }

    /// An address of the family. EINVAL: of fewer octets.
    pub(super) fn address(&self, number: u16, v6: bool) -> CResult<Option<IpAddr>> {
        let Some(value) = self.get(number) else {
            return Ok(None);
        };
        let short = Errno(libc::EINVAL);
        Ok(Some(if v6 {
            IpAddr::from(*value.first_chunk::<16>().ok_or(short)?)
        } else {
            IpAddr::from(*value.first_chunk::<4>().ok_or(short)?)
        }))
    }

    /// A text, up to its NUL if it has one.
    pub(super) fn text(&self, number: u16) -> Option<&'a [u8]> {
        let value = self.get(number)?;
        value.split(|octet| *octet == 0).next()
    }
}

/// A question to the stack, or to what is known of it.
pub(super) fn ask<T>(question: impl FnOnce(&Stack) -> T) -> CResult<T> {
    runtime::survey(question).map_err(|why| Errno(why.raw_os_error()))
}
