//! UDP, RFC 768.

use rand_chacha::ChaCha8Rng;

use crate::config::Config;

/// All UDP sockets, by address.
#[derive(Debug)]
pub(crate) struct UdpLayer {}

impl UdpLayer {
    /// No sockets.
    pub(crate) fn new(_config: &Config, _rng: &mut ChaCha8Rng) -> UdpLayer {
        UdpLayer {}
    }
}

/// The UDP part of a socket.
#[derive(Debug, Default)]
pub(crate) struct UdpSocket {}
