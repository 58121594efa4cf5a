//! The Fast Open option of a SYN and a SYN-ACK (RFC 7413 4.1.1), in its own kind and in the experimental one that came before it.

/// Kind of the option (IANA).
pub(crate) const KIND: u8 = 34;
/// Kind of experiments (RFC 4727), and the identifier under which Fast Open was one (RFC 6994, IANA's ExIDs).
pub(crate) const EXPERIMENT: u8 = 254;
const EXPERIMENT_ID: [u8; 2] = 0xf989_u16.to_be_bytes();
/// Octets of the longest cookie; the shortest has 4 (RFC 7413 4.1.1).
const COOKIE_MAX: usize = 16;
const COOKIE_MIN: usize = 4;

/// A cookie, or the request for one: an empty cookie.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Cookie {
    bytes: [u8; COOKIE_MAX],
    len: u8,
}

impl Cookie {
    /// A cookie of 4 to 16 octets, an even number (RFC 7413 4.1.1); `None` for other lengths.
    pub(crate) fn new(bytes: &[u8]) -> Option<Cookie> {
        let sound =
            (COOKIE_MIN..=COOKIE_MAX).contains(&bytes.len()) && bytes.len().is_multiple_of(2);
        let mut cookie = Cookie::default();
        cookie
            .bytes
            .get_mut(..bytes.len())
            .filter(|_| sound)?
            .copy_from_slice(bytes);
        cookie.len = bytes.len() as u8;
        Some(cookie)
    }

    /// Its octets; none when it is a request.
    pub(crate) fn octets(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// It is a request.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The option.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct FastOpenOption {
    /// The cookie, empty in a request.
    pub(crate) cookie: Cookie,
    /// In the experimental kind.
    pub(crate) experimental: bool,
}

impl FastOpenOption {
    /// Takes the body of an option `kind` into `slot`: the last one counts, an odd length is passed over, and an impossible one takes
    /// back what came before (Linux: tcp_parse_fastopen_option).
    pub(crate) fn parse(kind: u8, body: &[u8], slot: &mut Option<FastOpenOption>) {
        let (cookie, experimental) = match kind {
            KIND => (body, false),
            _ => match body.strip_prefix(&EXPERIMENT_ID) {
                Some(rest) => (rest, true),
                None => return,
            },
        };
        if cookie.len() % 2 == 1 {
            return;
        }
        let cookie = match cookie {
            [] => Some(Cookie::default()),
            bytes => Cookie::new(bytes),
        };
        *slot = cookie.map(|cookie| FastOpenOption {
            cookie,
            experimental,
        });
    }

    /// Octets of the option itself.
    fn body_len(&self) -> usize {
        self.cookie.octets().len() + if self.experimental { 4 } else { 2 }
    }

    /// Octets with the padding behind it.
    pub(crate) fn emit_len(&self) -> usize {
        self.body_len().next_multiple_of(4)
    }

    /// Writes the option and its padding piece by piece.
    pub(crate) fn emit(&self, mut put: impl FnMut(&[u8])) {
        let len = self.body_len();
        if self.experimental {
            put(&[EXPERIMENT, len as u8]);
            put(&EXPERIMENT_ID);
        } else {
            put(&[KIND, len as u8]);
        }
        put(self.cookie.octets());
        for _ in len..len.next_multiple_of(4) {
            put(&[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(kind: u8, body: &[u8]) -> Option<FastOpenOption> {
        let mut slot = Some(FastOpenOption::default());
        FastOpenOption::parse(kind, body, &mut slot);
        slot
    }

    #[test]
    fn rfc7413_4_1_1_lengths() {
        let request = Some(FastOpenOption::default());
        assert_eq!(parsed(KIND, &[]), request, "a request");
        assert_eq!(parsed(KIND, &[7; 5]), request, "odd: passed over");
        for len in [2, 18, 36] {
            assert_eq!(parsed(KIND, &vec![7; len]), None, "{len}");
        }
        for len in [4, 6, 8, 16] {
            let cookie = Cookie::new(&vec![7; len]).expect("a cookie");
            assert_eq!(parsed(KIND, &vec![7; len]).map(|o| o.cookie), Some(cookie));
        }
        assert_eq!(parsed(EXPERIMENT, &[1, 2, 3, 4]), request, "another's");
        let experiment = parsed(EXPERIMENT, &[0xf9, 0x89, 1, 2, 3, 4]).expect("ours");
        assert!(experiment.experimental);
        assert_eq!(experiment.cookie.octets(), [1, 2, 3, 4]);
    }

    #[test]
    fn what_is_written_is_read_and_padded() {
        for experimental in [false, true] {
            for len in [0, 4, 6, 8, 16] {
                let option = FastOpenOption {
                    cookie: Cookie::new(&vec![9; len]).unwrap_or_default(),
                    experimental,
                };
                let mut out = Vec::new();
                option.emit(|bytes| out.extend_from_slice(bytes));
                assert_eq!((out.len(), out.len() % 4), (option.emit_len(), 0));
                let (kind, end) = (out[0], usize::from(out[1]));
                let mut back = None;
                FastOpenOption::parse(kind, &out[2..end], &mut back);
                assert_eq!(back, Some(option));
                assert!(out[end..].iter().all(|octet| *octet == 1));
            }
        }
    }
}
