//! What most sockets have nothing of: rare options, the error queue, what is to be told of octets.

use crate::filter::Filter;
use crate::ip::Iface;
use crate::socket::attribute::{Attribute, pmtu};
use crate::socket::errqueue::ErrorQueue;
use crate::socket::table::Socket;
use crate::tcp::marks::Marks;
use crate::wire::ip_options::IpOptions;

/// What most sockets have nothing of.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// Options.
    pub(crate) opts: ExtraOpts,
    /// The error queue.
    pub(crate) errors: ErrorQueue,
    /// The next MSG_ZEROCOPY's number.
    pub(crate) zerocopy_next: u32,
    /// SOF_TIMESTAMPING_OPT_ID: the next datagram's number, or the sequence number that counts as 0.
    pub(crate) stamp_key: u32,
    /// What is to be told when octets are sent or acknowledged (TCP).
    pub(crate) marks: Marks,
    /// TTL or hop limit of the last packet, once `Stack::arrivals_matter`.
    pub(crate) last_ttl: u8,
}

/// The options themselves: an accepted connection has its listener's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExtraOpts {
    pub(super) flags: u64,
    /// `Attribute::Timestamping`.
    pub(crate) timestamping: u32,
    pub(super) mark: i32,
    pub(super) priority: i32,
    pub(super) pmtu: [i32; 2],
    /// `Attribute::Mtu6` as set, 0: none.
    pub(crate) mtu6: u32,
    /// `Attribute::UdpSegment`.
    pub(crate) udp_segment: u16,
    /// Time stamps take their new form (SOCK_TSTAMP_NEW).
    pub(crate) stamps_new: bool,
    /// `Attribute::PeekOff`.
    pub(super) peek_off: i32,
    /// `Attribute::BoundIf`.
    pub(super) bound_if: u32,
    /// `Attribute::MinTtl`, `Attribute::MinHopCount`.
    pub(super) min_ttl: [u8; 2],
    /// `Attribute::UnicastIf`, `Attribute::UnicastIf6`, in the host's byte order.
    pub(super) unicast_if: [u32; 2],
    /// `Attribute::BusyPollBudget`.
    pub(super) busy_poll_budget: u16,
    /// `Attribute::IncomingCpu`.
    pub(crate) incoming_cpu: i32,
    /// `Attribute::LocalPortRange`.
    pub(super) local_ports: u32,
    /// IP_OPTIONS.
    pub(crate) ip_options: Option<Box<IpOptions>>,
    /// SO_ATTACH_FILTER.
    pub(crate) filter: Option<Filter>,
    /// SO_ATTACH_REUSEPORT_CBPF.
    pub(crate) chooser: Option<Filter>,
    /// SO_MAX_PACING_RATE of a socket that is not TCP's, octets a second.
    pub(crate) max_pacing_rate: u64,
}

impl Default for ExtraOpts {
    fn default() -> ExtraOpts {
        ExtraOpts::PLAIN
    }
}

impl ExtraOpts {
    /// As they are on a socket on which nobody has set any.
    const PLAIN: ExtraOpts = ExtraOpts {
        flags: 0,
        timestamping: 0,
        mark: 0,
        priority: 0,
        pmtu: [pmtu::WANT; 2],
        mtu6: 0,
        udp_segment: 0,
        stamps_new: false,
        peek_off: -1,
        bound_if: 0,
        min_ttl: [0; 2],
        unicast_if: [0; 2],
        busy_poll_budget: 0,
        incoming_cpu: -1,
        local_ports: 0,
        ip_options: None,
        filter: None,
        chooser: None,
        max_pacing_rate: u64::MAX,
    };

    /// Whether a flag is set.
    pub(crate) fn has(&self, flag: Attribute) -> bool {
        self.flags & bit(flag) != 0
    }

    pub(super) fn put(&mut self, flag: Attribute, on: bool) {
        if on {
            self.flags |= bit(flag);
        } else {
            self.flags &= !bit(flag);
        }
    }

    /// UDP_CORK is off.
    pub(crate) fn uncork(&mut self) {
        self.put(Attribute::UdpCork, false);
    }

    /// sock_set_timestamp: one form at a time; off is off whatever the form, which is then kept.
    pub(super) fn set_stamp(&mut self, form: Attribute, on: bool) {
        let ns = matches!(form, Attribute::TimestampNs | Attribute::TimestampNsNew);
        self.put(Attribute::Timestamp, on);
        self.put(Attribute::TimestampNs, on && ns);
        if on {
            self.stamps_new = matches!(form, Attribute::TimestampNew | Attribute::TimestampNsNew);
        }
    }

    /// The form of the time stamps that datagrams come with.
    pub(crate) fn stamp(&self) -> Option<Attribute> {
        let (ns, new) = (self.has(Attribute::TimestampNs), self.stamps_new);
        self.has(Attribute::Timestamp).then_some(match (ns, new) {
            (false, false) => Attribute::Timestamp,
            (true, false) => Attribute::TimestampNs,
            (false, true) => Attribute::TimestampNew,
            (true, true) => Attribute::TimestampNsNew,
        })
    }

    /// IP_MTU_DISCOVER or IPV6_MTU_DISCOVER, by the packet's family.
    pub(crate) fn pmtu(&self, v6: bool) -> i32 {
        self.pmtu[usize::from(v6)]
    }
}

impl Extra {
    /// Where peeks begin; `None`: at the first octet, always.
    pub(crate) fn peek_offset(&self) -> Option<usize> {
        usize::try_from(self.opts.peek_off).ok()
    }

    /// A peek moves the offset on by what it brought, a read takes it back (sk_peek_offset_fwd, sk_peek_offset_bwd).
    pub(crate) fn move_peek_offset(&mut self, peeked: bool, octets: usize) {
        let octets = i32::try_from(octets).unwrap_or(i32::MAX);
        self.opts.peek_off = match (self.opts.peek_off, peeked) {
            (off @ ..0, _) => off,
            (off, true) => off.saturating_add(octets),
            (off, false) => (off - octets).max(0),
        };
    }
}

fn bit(flag: Attribute) -> u64 {
    1 << (flag as u8)
}

impl Socket {
    /// The rare options, where they are as in a fresh socket `None`.
    pub(crate) fn extra_opts(&self) -> Option<&ExtraOpts> {
        self.extra.as_deref().map(|extra| &extra.opts)
    }

    /// The rare options, set or not.
    pub(crate) fn rare(&self) -> &ExtraOpts {
        self.extra_opts().unwrap_or(&ExtraOpts::PLAIN)
    }

    /// Whether the socket may have an address that is nobody's here (IP_FREEBIND, IP_TRANSPARENT).
    pub(crate) fn may_be_anybody(&self) -> bool {
        self.has(Attribute::FreeBind) || self.has(Attribute::Transparent)
    }

    /// Whether a rare flag is set.
    pub(crate) fn has(&self, flag: Attribute) -> bool {
        self.extra_opts().is_some_and(|opts| opts.has(flag))
    }

    /// The rare state, made now if there is none yet.
    pub(crate) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// IP_TOS has changed: SO_PRIORITY follows (__ip_sock_set_tos, ip_tos2prio).
    pub(crate) fn follow_tos(&mut self) {
        const PRIORITY: [i32; 4] = [0, 2, 6, 4];
        let priority = PRIORITY[usize::from(self.opts.tos >> 3 & 3)];
        if priority != self.rare().priority {
            self.extra_mut().opts.priority = priority;
        }
    }

    /// The number of the interface that the socket is bound to (SO_BINDTODEVICE), 0: none.
    pub(crate) fn bound_if(&self) -> u32 {
        self.rare().bound_if
    }

    /// IP_LOCAL_PORT_RANGE, 0: none.
    pub(crate) fn local_ports(&self) -> u32 {
        self.rare().local_ports
    }

    /// Whether segments over that family may come with this TTL or hop limit (IP_MINTTL, IPV6_MINHOPCOUNT).
    pub(crate) fn takes_ttl(&self, v6: bool, ttl: u8) -> bool {
        ttl >= self.rare().min_ttl[usize::from(v6)]
    }

    /// The interface that a datagram to one host leaves by, 0: any (IP_UNICAST_IF; SO_BINDTODEVICE comes first).
    pub(crate) fn unicast_if(&self, v6: bool) -> u32 {
        match self.bound_if() {
            0 => self.rare().unicast_if[usize::from(v6)],
            bound => bound,
        }
    }

    /// Whether packets that come by `iface` are the socket's (inet_sk_bound_dev_eq).
    pub(crate) fn hears(&self, iface: Iface) -> bool {
        match self.bound_if() {
            0 => true,
            index => index == iface.index(),
        }
    }

    /// Where peeks begin; `None`: at the first octet, always.
    pub(crate) fn peek_offset(&self) -> Option<usize> {
        self.extra.as_deref().and_then(Extra::peek_offset)
    }

    /// See [`Extra::move_peek_offset`].
    pub(crate) fn move_peek_offset(&mut self, peeked: bool, octets: usize) {
        if let Some(extra) = &mut self.extra {
            extra.move_peek_offset(peeked, octets);
        }
    }

    /// What a connection accepted from this listener begins with.
    pub(crate) fn inherited(&self) -> Option<Box<Extra>> {
        let opts = ExtraOpts {
            // sk_clone_lock.
            priority: 0,
            ..self.extra_opts()?.clone()
        };
        Some(Box::new(Extra {
            opts,
            ..Extra::default()
        }))
    }
}
