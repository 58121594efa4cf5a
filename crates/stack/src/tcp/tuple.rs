//! The 4-tuple by which a segment finds its connection.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use crate::keyed::hash_ip;

/// Local and remote address and port, host order. Never IPv4-mapped.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tuple {
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

/// Looked up with every segment: few and whole words are hashed sooner than the parts of an [`IpAddr`].
impl Hash for Tuple {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_ip(self.local, state);
        hash_ip(self.remote, state);
        state.write_u32(u32::from(self.local_port) << 16 | u32::from(self.remote_port));
    }
}

impl Tuple {
    /// From two ends of one family.
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> Tuple {
        Tuple {
            local: local.ip(),
            remote: remote.ip(),
            local_port: local.port(),
            remote_port: remote.port(),
        }
    }

    /// Whether the addresses are IPv4.
    pub(crate) fn is_v4(&self) -> bool {
        self.local.is_ipv4()
    }

    /// Our end.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        SocketAddr::new(self.local, self.local_port)
    }

    /// The peer's end.
    pub(crate) fn remote_addr(&self) -> SocketAddr {
        SocketAddr::new(self.remote, self.remote_port)
    }
}
