//! The error queue of a socket: errors with all that is known of them, and reports that are none (recvmsg(2), MSG_ERRQUEUE).

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::socket::attribute::{Attribute, sof};
use crate::socket::control::{self, Arrival, Control, Controls, ExtendedError, Origin};
use crate::socket::table::Socket;
use crate::socket::{Domain, Ready, Received, SocketId, address};
use crate::stack::Stack;
use crate::time::Instant;
use crate::udp;

/// What a report costs of SO_RCVBUF besides its data, bytes (Linux: a small skb's truesize).
const OVERHEAD: usize = 832;
/// Reports of MSG_ZEROCOPY that one socket may be owed or have unread (Linux: net.core.optmem_max by what one costs).
pub(crate) const ZEROCOPY_MAX: usize = 170;
/// `SO_EE_CODE_ZEROCOPY_COPIED`: the data was copied after all. It always is: a program's memory is read in the call itself.
pub(crate) const COPIED: u8 = 1;

/// One report.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// What is told. The offender is never IPv4-mapped here.
    pub(crate) error: ExtendedError,
    /// The address that recvmsg names: where the packet went.
    pub(crate) name: Option<SocketAddr>,
    /// What of the packet is read: from `skip` on.
    pub(crate) data: Option<Arc<[u8]>>,
    /// Bytes of `data` that are not.
    pub(crate) skip: usize,
    /// When, for reports that are about a time, and for packets that arrived.
    pub(crate) at: Option<Instant>,
    /// The packet that brought the report, for its control messages.
    pub(crate) arrival: Option<Arrival>,
    /// Our address on its interface, where that is not told by its destination.
    pub(crate) local: Option<IpAddr>,
    /// `data` are the attributes of SCM_TIMESTAMPING_OPT_STATS.
    pub(crate) stats: bool,
}

impl Report {
    /// `error`, and nothing beside it.
    pub(crate) fn bare(error: ExtendedError) -> Report {
        Report {
            error,
            name: None,
            data: None,
            skip: 0,
            at: None,
            arrival: None,
            local: None,
            stats: false,
        }
    }
}

/// Reports to be read.
#[derive(Debug, Default)]
pub(crate) struct ErrorQueue {
    reports: VecDeque<Report>,
    charged: usize,
}

impl ErrorQueue {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    /// Reports that wait.
    pub(crate) fn len(&self) -> usize {
        self.reports.len()
    }

    /// sock_queue_err_skb: `false` when SO_RCVBUF has no room.
    pub(crate) fn push(&mut self, report: Report, rcvbuf: usize) -> bool {
        let cost = OVERHEAD + report.data().len();
        if self.charged + cost >= rcvbuf {
            return false;
        }
        self.charged += cost;
        self.reports.push_back(report);
        true
    }

    /// MSG_ZEROCOPY's calls `first..=last` are through: one report with the last one where they follow upon each other
    /// (__msg_zerocopy_callback, skb_zerocopy_notify_extend).
    pub(crate) fn zerocopy(&mut self, first: u32, last: u32) {
        if let Some(tail) = self.reports.back_mut()
            && tail.error.origin == Origin::ZeroCopy
            && tail.error.data.wrapping_add(1) == first
        {
            tail.error.data = last;
            return;
        }
        self.charged += OVERHEAD;
        self.reports.push_back(Report::bare(ExtendedError {
            error: None,
            origin: Origin::ZeroCopy,
            kind: 0,
            code: COPIED,
            info: first,
            data: last,
            offender: None,
        }));
    }

    /// The first report, and what SO_ERROR becomes with it (sock_dequeue_err_skb).
    fn pop(&mut self) -> Option<(Report, Pending)> {
        let report = self.reports.pop_front()?;
        self.charged = self.charged.saturating_sub(OVERHEAD + report.data().len());
        let next = self.reports.front();
        let pending = match next.filter(|next| is_icmp(next)) {
            Some(next) => Pending::Becomes(next.error.error),
            None if is_icmp(&report) => Pending::Becomes(None),
            None => Pending::Stays,
        };
        if self.reports.is_empty() && self.reports.capacity() > 32 {
            self.reports = VecDeque::new();
        }
        Some((report, pending))
    }
}

/// SO_ERROR after a report was read.
enum Pending {
    Stays,
    Becomes(Option<Error>),
}

impl Report {
    fn data(&self) -> &[u8] {
        let all = self.data.as_deref().unwrap_or_default();
        all.get(self.skip..).unwrap_or_default()
    }
}

fn is_icmp(report: &Report) -> bool {
    matches!(report.error.origin, Origin::Icmp | Origin::Icmp6)
}

impl Socket {
    /// Whether the error queue has something.
    pub(crate) fn has_reports(&self) -> bool {
        self.extra
            .as_deref()
            .is_some_and(|extra| !extra.errors.is_empty())
    }

    /// Whether errors about packets of this family go to the error queue.
    pub(crate) fn wants_errors(&self, v6: bool) -> bool {
        self.has(if v6 {
            Attribute::RecvErr6
        } else {
            Attribute::RecvErr
        })
    }
}

impl Stack {
    /// Puts a report into the socket's error queue and tells who waits. What finds no room is lost.
    pub(crate) fn report_error(&mut self, id: SocketId, report: Report) {
        let Some(socket) = self.sockets.get_mut(id) else {
            return;
        };
        let rcvbuf = socket.opts.rcvbuf();
        if socket.extra_mut().errors.push(report, rcvbuf) {
            self.notify(id, Ready::ERR);
        }
    }

    /// ip_local_error, ipv6_local_error: this host itself could not send to `to`; `info`: the MTU that was in the way.
    pub(crate) fn report_local_error(
        &mut self,
        id: SocketId,
        error: Error,
        to: SocketAddr,
        info: u32,
    ) {
        let wanted = self
            .sockets
            .get(id)
            .is_some_and(|socket| socket.wants_errors(to.is_ipv6()));
        if !wanted {
            return;
        }
        let error = ExtendedError {
            error: Some(error),
            origin: Origin::Local,
            kind: 0,
            code: 0,
            info,
            data: 0,
            offender: None,
        };
        let report = Report {
            name: Some(to),
            ..Report::bare(error)
        };
        self.report_error(id, report);
    }
}

/// recvmsg(2) with MSG_ERRQUEUE (inet_recv_error): never waits.
pub(crate) fn recv(
    stack: &mut Stack,
    now: Instant,
    id: SocketId,
    bufs: &mut [IoSliceMut<'_>],
    controls: Option<&mut Controls>,
) -> Result<Received> {
    let socket = stack.sockets.get_mut(id).ok_or(Error::BadHandle)?;
    let domain = socket.domain;
    let extra = socket.extra.as_deref_mut().ok_or(Error::WouldBlock)?;
    let (report, pending) = extra.errors.pop().ok_or(Error::WouldBlock)?;
    let more = !extra.errors.is_empty();
    if let Pending::Becomes(error) = pending {
        socket.pending_error = error;
    }
    if let Some(out) = controls
        && let Some(opts) = stack.sockets.get(id).and_then(Socket::extra_opts)
    {
        control::stamps(opts, report.at.unwrap_or(now), report.at, out);
        if report.stats
            && let Some(data) = &report.data
        {
            out.push(Control::OptStats(data.clone()));
        }
        let mut error = report.error;
        error.offender = error
            .offender
            .map(|ip| address::outward(domain, SocketAddr::new(ip, 0)).ip());
        if let Some(arrival) = &report.arrival {
            let local = report
                .local
                .unwrap_or_else(|| stack.ip.local_for(arrival.dst.ip()));
            control::of_packet(domain, opts, arrival, local, None, out);
        }
        out.push(match domain {
            Domain::V4 => Control::Error(error),
            Domain::V6 => Control::Error6(error),
        });
    }
    if more {
        stack.notify(id, Ready::ERR);
    }
    let len = udp::scatter([report.data(), &[]], bufs);
    let full_len = report.data().len();
    Ok(Received {
        len,
        full_len,
        from: report.name.map(|name| address::outward(domain, name)),
        oob: false,
        cut: len < full_len,
    })
}

/// The report that something was sent or acknowledged at `at`; `what`: `SCM_TSTAMP_*` (__skb_complete_tx_timestamp).
pub(crate) fn stamp_report(
    flags: u32,
    what: u32,
    key: u32,
    at: Instant,
    packet: Option<Arc<[u8]>>,
    skip: usize,
) -> Report {
    let error = ExtendedError {
        error: None,
        origin: Origin::Timestamping,
        kind: 0,
        code: 0,
        info: what,
        data: if flags & sof::OPT_ID != 0 { key } else { 0 },
        offender: None,
    };
    Report {
        data: packet.filter(|_| flags & sof::OPT_TSONLY == 0),
        skip,
        at: Some(at),
        ..Report::bare(error)
    }
}

/// `SCM_TSTAMP_*` (linux/errqueue.h): handed to the device, handed to the queue before it, acknowledged.
pub(crate) const SENT: u32 = 0;
pub(crate) const SCHEDULED: u32 = 1;
pub(crate) const ACKNOWLEDGED: u32 = 2;
