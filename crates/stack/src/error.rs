//! Why a socket call did not succeed. No errno here: the C face has the one table that maps these.

/// Outcome of a socket call other than success. End of stream is not among them: `recv` returns 0 bytes.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Error {
    /// Nothing can be done now; wait for readiness.
    WouldBlock,
    /// A connection attempt has been started by this call and goes on.
    InProgress,
    /// A connection attempt was already going on.
    AlreadyConnecting,
    /// The socket is connected.
    IsConnected,
    /// The socket is not connected.
    NotConnected,
    /// The peer (or an ICMP port unreachable) refused.
    ConnectionRefused,
    /// The peer reset the connection.
    ConnectionReset,
    /// The connection was given up on this side.
    ConnectionAborted,
    /// Sending is over: shut down, reset or never connected. The caller may be owed SIGPIPE.
    BrokenPipe,
    /// The peer did not answer in time.
    TimedOut,
    /// ICMP: host unreachable.
    HostUnreachable,
    /// No route, or ICMP: network unreachable.
    NetworkUnreachable,
    /// ICMP: protocol unreachable.
    ProtocolUnreachable,
    /// ICMP: something in a packet's headers was wrong.
    Protocol,
    /// ICMP: the destination host is not known.
    HostDown,
    /// ICMP: the source host is isolated.
    NoNetwork,
    /// The device is gone.
    NetworkDown,
    /// The address and port are taken.
    AddressInUse,
    /// Not an address of this stack, or no free port.
    AddressNotAvailable,
    /// No ephemeral port is left for a datagram socket that was not bound; waiting does not help.
    NoPort,
    /// Wrong address family for this socket.
    AddressFamily,
    /// The call makes no sense in this state or with these arguments.
    Invalid,
    /// The datagram is too long.
    MessageTooLong,
    /// No destination given and none connected.
    DestinationRequired,
    /// Not for this kind of socket.
    NotSupported,
    /// Broadcast without leave, or a like refusal.
    AccessDenied,
    /// A right is missing.
    NotPermitted,
    /// A limit on memory or queues is reached.
    NoBuffers,
    /// No such interface.
    NoDevice,
    /// No such option.
    NoSuchOption,
    /// An argument of an option is out of its domain.
    Domain,
    /// There is no filter to be taken off.
    NoFilter,
    /// The handle names no socket.
    BadHandle,
}

/// Shorthand for the stack's results.
pub type Result<T> = std::result::Result<T, Error>;
