//! The sizes of what stands in memory once a connection: a field added without thought shows here.

use std::mem::size_of;

use super::*;

/// Prints and bounds the sizes, octets.
#[test]
fn what_a_connection_is_made_of_stays_small() {
    let mut grown = Vec::new();
    for (what, size, most) in [
        ("Tcb", size_of::<tcb::Tcb>(), 616),
        ("  Send", size_of::<vars::Send>(), 160),
        ("    ByteQueue", size_of::<bytes::ByteQueue>(), 160),
        ("    SentQueue", size_of::<sent::SentQueue>(), 160),
        ("  Recv", size_of::<vars::Recv>(), 160),
        ("    Assembler", size_of::<assembler::Assembler>(), 160),
        ("  Timestamps", size_of::<vars::Timestamps>(), 160),
        ("  Recovery", size_of::<recovery::Recovery>(), 160),
        ("    Rack", size_of::<rack::Rack>(), 160),
        ("  RttEstimator", size_of::<rtt::RttEstimator>(), 160),
        ("  Timers", size_of::<timers::Timers>(), 160),
        ("  Tuning", size_of::<options::Tuning>(), 160),
        ("  Ecn", size_of::<ecn::EcnState>(), 160),
        ("  SynOptions", size_of::<tcb::SynOptions>(), 160),
        ("  Counters", size_of::<info::Counters>(), 160),
        ("  Tuple", size_of::<tuple::Tuple>(), 160),
        ("  Path", size_of::<crate::ip::Path>(), 160),
        ("  Cubic", congestion::CUBIC_SIZE, 88),
        ("TcpSocket", size_of::<layer::TcpSocket>(), 96),
        ("Socket", size_of::<crate::socket::table::Socket>(), 152),
        (
            "  CommonOpts",
            size_of::<crate::socket::table::CommonOpts>(),
            512,
        ),
        ("Flow", size_of::<flows::Flow>(), 12),
        ("Kept", size_of::<crate::ports::Kept>(), 12),
        ("HalfOpen", size_of::<half_open::HalfOpen>(), 88),
        ("TimeWait", size_of::<time_wait::TimeWait>(), 80),
    ] {
        println!("{what:20} {size}");
        if size > most {
            grown.push((what, size, most));
        }
    }
    assert!(grown.is_empty(), "{grown:?}");
}
