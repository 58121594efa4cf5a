//! Congestion control: how much may be in flight. One small trait, one file an algorithm; when segments are lost is decided
//! elsewhere (`tcp/recovery.rs`).

mod newreno;

pub(crate) use newreno::NewReno;

/// An algorithm's view of a connection. All amounts are octets.
pub(crate) trait Congestion: Send {
    /// The congestion window.
    fn cwnd(&self) -> u32;
    /// `acked` octets were newly acknowledged outside recovery. `limited`: the window, not the program, bounded what was in
    /// flight (RFC 7661's point: an unused window proves nothing).
    fn on_ack(&mut self, acked: u32, limited: bool);
    /// Loss was found by duplicate acknowledgements with `flight` octets in flight: recovery begins (RFC 5681 3.2 step 2).
    fn on_loss(&mut self, flight: u32);
    /// The retransmission timer ran out with `flight` octets in flight; `first` for a segment's first time-out (RFC 5681 3.1).
    fn on_timeout(&mut self, flight: u32, first: bool);
    /// Recovery is over (RFC 6582 3.2 step 3).
    fn on_recovered(&mut self, flight: u32);
    /// Nothing was sent for longer than an RTO (RFC 5681 4.1).
    fn on_idle_restart(&mut self);
    /// The segment size changed to `mss`.
    fn set_mss(&mut self, mss: u32);
}

/// RFC 6928: the initial window for a segment size, octets.
pub(crate) fn initial_window(mss: u32) -> u32 {
    (10 * mss).min((2 * mss).max(14600))
}
