//! Own addresses, routes, source address choice, path MTU.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use rand_chacha::ChaCha8Rng;

use super::{DstKind, Iface, IpLayer, Via};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::keyed::{KeyedMap, KeyedState};
use crate::time::Instant;

/// How packets get to a destination.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Path {
    /// Source address to use.
    pub(crate) src: IpAddr,
    /// Largest IP packet, bytes.
    pub(crate) mtu: u32,
    /// The destination is ourselves alone.
    pub(crate) local: bool,
    /// Where packets go.
    pub(crate) via: Via,
}

/// Addresses, routes and what has been learnt of paths.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Our addresses, in the order of the configuration.
    addrs: Vec<IpNet>,
    known: Known,
    /// Prefixes that leave by the device, longest first, with the largest packet where it is less than the device's.
    prefixes: Vec<(IpNet, Option<u32>)>,
    /// Prefixes that are reached without a gateway.
    on_link: Vec<IpNet>,
    mtu: u32,
    learnt: KeyedMap<IpAddr, (u32, Instant)>,
    /// Rises when a path that was found may not be what would be found now.
    version: u64,
}

/// What an address is to this host.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// An address of ours, or all of 127.0.0.0/8, or ::1.
    pub(crate) local: bool,
    /// 255.255.255.255 or the broadcast address of one of our prefixes.
    pub(crate) broadcast: bool,
}

/// MTU of packets that go round inside.
pub(crate) const LOCAL_MTU: u32 = 65536;
/// Smallest IPv4 path MTU that is believed (Linux: net.ipv4.route.min_pmtu).
const MIN_MTU_V4: u32 = 552;
/// RFC 8200 5: every IPv6 link carries 1280 bytes.
const MIN_MTU_V6: u32 = 1280;
/// How long a learnt path MTU is believed (RFC 1191 6.3; Linux: mtu_expires), microseconds.
const MTU_EXPIRES_US: u64 = 600 * 1_000_000;
/// How many learnt path MTUs are kept.
const LEARNT_MAX: usize = 4096;

/// The addresses that every packet's are held against, ours and the broadcast addresses of our prefixes: a few of each family are
/// compared one by one, which costs less than one hash.
#[derive(Debug)]
struct Known {
    few_v4: Few<u32>,
    few_v6: Few<u128>,
    many: KeyedMap<IpAddr, u8>,
}

/// Bits of what is known of an address: one of ours.
const OWN: u8 = 1;
/// A prefix's broadcast address.
const BROADCAST: u8 = 2;

/// Up to how many: two addresses of IPv4 with their broadcast addresses.
const FEW: usize = 4;

/// Up to [`FEW`] numbers, all compared at once: the places that are not taken say nothing.
#[derive(Debug, Default)]
struct Few<T> {
    numbers: [T; FEW],
    bits: [u8; FEW],
    len: usize,
}

impl<T: Copy + PartialEq> Few<T> {
    /// False: there is no place left.
    fn insert(&mut self, number: T, bits: u8) -> bool {
        let place = self
            .numbers
            .get_mut(self.len)
            .zip(self.bits.get_mut(self.len));
        let Some((at, what)) = place else {
            return false;
        };
        (*at, *what) = (number, bits);
        self.len += 1;
        true
    }

    #[inline]
    fn get(&self, number: T) -> u8 {
        let of = |i: usize| self.bits[i] & u8::from(self.numbers[i] == number).wrapping_neg();
        of(0) | of(1) | of(2) | of(3)
    }
}

impl Known {
    fn new(addrs: impl Iterator<Item = (IpAddr, u8)>, rng: &mut ChaCha8Rng) -> Known {
        let mut known = Known {
            few_v4: Few::default(),
            few_v6: Few::default(),
            many: KeyedState::map(rng),
        };
        for (addr, bits) in addrs {
            let placed = match addr {
                IpAddr::V4(a) => known.few_v4.insert(a.to_bits(), bits),
                IpAddr::V6(a) => known.few_v6.insert(a.to_bits(), bits),
            };
            if !placed {
                *known.many.entry(addr).or_default() |= bits;
            }
        }
        known
    }

    #[inline]
    fn get(&self, addr: IpAddr) -> u8 {
        let one_of_few = match addr {
            IpAddr::V4(a) => self.few_v4.get(a.to_bits()),
            IpAddr::V6(a) => self.few_v6.get(a.to_bits()),
        };
        match self.many.is_empty() {
            true => one_of_few,
            false => one_of_few | self.many.get(&addr).copied().unwrap_or(0),
        }
    }
}

impl Routes {
    /// As `config` says.
    pub(crate) fn new(config: &Config, rng: &mut ChaCha8Rng) -> Routes {
        let own = config.addrs.iter().map(|net| (net.addr(), OWN));
        let broadcasts = config.addrs.iter().filter_map(|net| match net {
            IpNet::V4(v4) if v4.prefix_len() < 31 => Some((v4.broadcast().into(), BROADCAST)),
            _ => None,
        });
        Routes {
            addrs: config.addrs.clone(),
            known: Known::new(own.chain(broadcasts), rng),
            prefixes: prefixes(config),
            on_link: on_link(config),
            mtu: config.mtu,
            learnt: KeyedState::map(rng),
            version: 0,
        }
    }

    fn is_loopback_v4(addr: IpAddr) -> bool {
        matches!(addr, IpAddr::V4(a) if a.is_loopback())
    }

    #[inline]
    fn standing(&self, addr: IpAddr) -> Standing {
        let known = self.known.get(addr);
        let everywhere = match addr {
            // The loopback device has 127.0.0.1/8, and its prefix a broadcast address too.
            IpAddr::V4(a) => a.is_broadcast() || a.octets() == [127, 255, 255, 255],
            IpAddr::V6(_) => false,
        };
        Standing {
            local: known & OWN != 0 || addr.is_loopback(),
            broadcast: known & BROADCAST != 0 || everywhere,
        }
    }

    fn is_local(&self, addr: IpAddr) -> bool {
        self.standing(addr).local
    }

    /// Largest packet on the way to `dst`, bytes, as far as that is configured; `None`: no route leads there.
    fn mtu_to(&self, dst: IpAddr) -> Option<u32> {
        let (_, mtu) = self.prefixes.iter().find(|(net, _)| net.contains(&dst))?;
        Some(mtu.map_or(self.mtu, |mtu| mtu.min(self.mtu)))
    }

    /// Source address for `dst`: one in the same prefix as the destination, else the first of the family.
    fn source(&self, dst: IpAddr) -> Option<IpAddr> {
        if self.is_local(dst) {
            // Linux: packets to an address of ours carry that same address as source; ::1 for ::1.
            return Some(if Routes::is_loopback_v4(dst) {
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            } else {
                dst
            });
        }
        self.source_to_remote(dst)
    }

    /// The same for a destination that is none of ours.
    fn source_to_remote(&self, dst: IpAddr) -> Option<IpAddr> {
        let family = |net: &&IpNet| net.addr().is_ipv4() == dst.is_ipv4();
        let mut candidates = self.addrs.iter().filter(family);
        self.addrs
            .iter()
            .filter(|net| net.contains(&dst))
            .max_by_key(|net| net.prefix_len())
            .or_else(|| candidates.next())
            .map(|net| net.addr())
    }
}

impl IpLayer {
    /// How packets get to `dst`, from `src` when the caller is bound to an address. `NetworkUnreachable` without a route.
    pub(crate) fn path(&self, dst: IpAddr, src: Option<IpAddr>) -> Result<Path> {
        let routes = &self.routes;
        let src = src.filter(|addr| !addr.is_unspecified());
        let there = routes.standing(dst);
        if there.local {
            let src = src.or_else(|| routes.source(dst));
            return Ok(Path {
                src: src.ok_or(Error::NetworkUnreachable)?,
                mtu: LOCAL_MTU,
                local: true,
                via: inside(self.iface_of(dst).unwrap_or(Iface::Loopback)),
            });
        }
        if dst.is_multicast() {
            return self.path_to_group(dst, src, None);
        }
        let mtu = routes.mtu_to(dst).ok_or(Error::NetworkUnreachable)?;
        let inward = src.is_some_and(|addr| addr.is_loopback());
        // ip_route_output_key_hash_rcu, "special hack": 255.255.255.255 goes by the interface that has the source.
        if inward && dst == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Ok(Path {
                src: src.ok_or(Error::NetworkUnreachable)?,
                mtu: LOCAL_MTU,
                local: true,
                via: inside(Iface::Loopback),
            });
        }
        // RFC 1122 3.2.1.3 (g): loopback addresses stay inside. Linux refuses the route with EINVAL.
        if inward && dst.is_ipv4() {
            return Err(Error::Invalid);
        }
        let src = src.or_else(|| routes.source_to_remote(dst));
        let learnt = self.learnt_mtu(dst);
        Ok(Path {
            src: src.ok_or(Error::NetworkUnreachable)?,
            mtu: learnt.map_or(mtu, |learnt| learnt.min(mtu)),
            local: false,
            via: Via {
                // RFC 4291 2.5.3: ::1 stays inside too, but IPv6 has a way on Linux: the packets are lost.
                device: !inward,
                // RFC 1122 3.3.6: a host receives its own broadcasts.
                inside: there.broadcast.then_some(Iface::Device),
            },
        })
    }

    /// [`IpLayer::path`] for a socket that is bound to the interface of this number (0: to none). `NoDevice`, `NetworkUnreachable`.
    ///
    /// As ip_route_output_key_hash_rcu has it: on IPv4 what no route of the interface leads to is taken to be on its link, packets by
    /// `lo` come round to ourselves wherever they go. On IPv6 there is no way then.
    pub(crate) fn path_by(&self, dst: IpAddr, src: Option<IpAddr>, by: u32) -> Result<Path> {
        let v4 = dst.is_ipv4();
        let iface = match Iface::from_index(by) {
            _ if by == 0 => return self.path(dst, src),
            Some(iface) => iface,
            None if v4 => return Err(Error::NoDevice),
            None => return Err(Error::NetworkUnreachable),
        };
        let routes = &self.routes;
        let own = self.iface_of(dst);
        let reachable = iface == Iface::Device && own.is_none() && routes.mtu_to(dst).is_some();
        if own == Some(iface) || reachable || dst.is_multicast() {
            return self.path(dst, src);
        }
        let src = src.filter(|addr| !addr.is_unspecified());
        if !v4 || (iface == Iface::Device && src.is_some_and(|addr| addr.is_loopback())) {
            return Err(match v4 {
                true => Error::Invalid,
                false => Error::NetworkUnreachable,
            });
        }
        let first = || {
            routes
                .addrs
                .iter()
                .map(|net| net.addr())
                .find(IpAddr::is_ipv4)
        };
        let src = src.or_else(first).ok_or(Error::NetworkUnreachable)?;
        let local = iface == Iface::Loopback;
        Ok(Path {
            src,
            mtu: if local { LOCAL_MTU } else { routes.mtu },
            local,
            via: match local {
                true => inside(Iface::Loopback),
                false => Via::OUT,
            },
        })
    }

    /// Other routes from now on, as `config` has them.
    pub(crate) fn retune(&mut self, config: &Config) {
        self.routes.prefixes = prefixes(config);
        self.routes.on_link = on_link(config);
        self.routes.version = self.routes.version.wrapping_add(1);
    }

    /// Which paths hold: one that was found under another number has to be found anew.
    pub(crate) fn version(&self) -> u64 {
        self.routes.version
    }

    /// Whether the path to `dst` holds until the version changes: what was learnt of its MTU is forgotten by time alone.
    pub(crate) fn lasts(&self, dst: IpAddr) -> bool {
        self.routes.learnt.is_empty() || !self.routes.learnt.contains_key(&dst)
    }

    /// The path to `dst`, a group, by `iface` as the socket has chosen; without a choice by the route to it.
    pub(crate) fn path_to_group(
        &self,
        dst: IpAddr,
        src: Option<IpAddr>,
        iface: Option<Iface>,
    ) -> Result<Path> {
        let routes = &self.routes;
        let src = src.filter(|addr| !addr.is_unspecified());
        // ip_route_output_key_hash_rcu, "special hack": without another choice by the interface that has the source.
        let of_source = src.filter(|addr| addr.is_ipv4() && dst.is_ipv4());
        let iface = iface.or_else(|| self.iface_of(of_source?));
        if iface == Some(Iface::Loopback) {
            // Linux has ff00::/8 on every device but `lo`.
            if dst.is_ipv6() {
                return Err(Error::NetworkUnreachable);
            }
            return Ok(Path {
                src: src.unwrap_or(Ipv4Addr::LOCALHOST.into()),
                mtu: LOCAL_MTU,
                local: true,
                via: inside(Iface::Loopback),
            });
        }
        if iface.is_none() && !self.group_reachable(dst) {
            return Err(Error::NetworkUnreachable);
        }
        let inward = src.is_some_and(|addr| addr.is_loopback());
        if inward && dst.is_ipv4() {
            return Err(Error::Invalid);
        }
        let src = src.or_else(|| routes.source(dst));
        Ok(Path {
            src: src.ok_or(Error::NetworkUnreachable)?,
            mtu: routes.mtu,
            local: false,
            // What else concerns groups (our own copy of what we send) is for `multicast` to say.
            via: Via {
                device: !inward,
                ..Via::OUT
            },
        })
    }

    /// Whether a route leads to a group. IPv6 has ff00::/8 on every device (Linux: addrconf_add_mroute).
    pub(crate) fn group_reachable(&self, dst: IpAddr) -> bool {
        match dst {
            IpAddr::V4(_) => self.routes.mtu_to(dst).is_some(),
            IpAddr::V6(_) => self.routes.addrs.iter().any(|net| net.addr().is_ipv6()),
        }
    }

    /// Whether a host is on the link: no gateway leads to it.
    pub(crate) fn on_link(&self, dst: IpAddr) -> bool {
        self.routes.on_link.iter().any(|net| net.contains(&dst))
    }

    /// Our addresses with their prefixes, in the order of the configuration.
    pub(crate) fn addrs(&self) -> &[IpNet] {
        &self.routes.addrs
    }

    /// Largest packet that the device carries, bytes.
    pub(crate) fn device_mtu(&self) -> u32 {
        self.routes.mtu
    }

    /// The interface that has this address of ours.
    pub(crate) fn iface_of(&self, addr: IpAddr) -> Option<Iface> {
        if addr.is_loopback() {
            Some(Iface::Loopback)
        } else {
            self.is_local(addr).then_some(Iface::Device)
        }
    }

    /// What `addr` is to this host: one look for whoever asks more than one thing of it.
    #[inline]
    pub(crate) fn standing(&self, addr: IpAddr) -> Standing {
        self.routes.standing(addr)
    }

    /// Whether `addr`, an IPv4 address as a number, is that of any other host: not ours nor anybody's loopback, not 0.0.0.0, and nothing
    /// that stands for many, to which from 224.0.0.0 on everything is counted here.
    #[inline]
    pub(crate) fn is_stranger(&self, addr: u32) -> bool {
        let known = &self.routes.known;
        let among_many = || (known.many).contains_key(&IpAddr::V4(Ipv4Addr::from_bits(addr)));
        let common = (1..0x7f00_0000).contains(&addr) || (0x8000_0000..0xe000_0000).contains(&addr);
        common && known.few_v4.get(addr) == 0 && (known.many.is_empty() || !among_many())
    }

    /// Whether packets to `addr` are for ourselves.
    pub(crate) fn is_local(&self, addr: IpAddr) -> bool {
        self.standing(addr).local
    }

    /// 255.255.255.255 or the broadcast address of one of our prefixes.
    pub(crate) fn is_broadcast(&self, addr: IpAddr) -> bool {
        self.standing(addr).broadcast
    }

    /// Whom a packet to `dst` is for, `None` when not for us.
    pub(crate) fn dst_kind(&self, dst: IpAddr) -> Option<DstKind> {
        let Standing { local, broadcast } = self.standing(dst);
        match () {
            () if broadcast => Some(DstKind::Broadcast),
            () if local => Some(DstKind::Unicast),
            () if dst.is_multicast() => Some(DstKind::Multicast),
            () => None,
        }
    }

    /// Where 0.0.0.0 and :: lead as destinations: to the bound address, or loopback (Linux: ip_route_output_key_hash_rcu); :: to
    /// 127.0.0.1 when the socket is bound to IPv4 (Linux: tcp_v6_connect, __ip6_datagram_connect).
    pub(crate) fn resolve_unspecified(&self, dst: IpAddr, bound: Option<IpAddr>) -> IpAddr {
        if !dst.is_unspecified() {
            return dst;
        }
        // What is bound to an address of many has none of its own (__inet_bind).
        let bound = bound.filter(|ip| !ip.is_multicast() && !self.is_broadcast(*ip));
        match (dst, bound) {
            (IpAddr::V4(_), Some(IpAddr::V4(bound))) if !bound.is_unspecified() => bound.into(),
            (IpAddr::V4(_), _) | (IpAddr::V6(_), Some(IpAddr::V4(_))) => Ipv4Addr::LOCALHOST.into(),
            (IpAddr::V6(_), _) => Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// A believed "too big" about `dst`: packets to it are at most `mtu` bytes for ten minutes. Never raises.
    pub(crate) fn update_path_mtu(&mut self, dst: IpAddr, mtu: u32) {
        let floor = if dst.is_ipv4() {
            MIN_MTU_V4
        } else {
            MIN_MTU_V6
        };
        let current = self
            .learnt_mtu(dst)
            .or_else(|| self.routes.mtu_to(dst))
            .unwrap_or(self.routes.mtu);
        let mtu = mtu.max(floor.min(self.routes.mtu));
        if mtu >= current || self.is_local(dst) {
            return;
        }
        let now = self.now;
        let learnt = &mut self.routes.learnt;
        if learnt.len() >= LEARNT_MAX {
            learnt.retain(|_, (_, since)| fresh(now, *since));
        }
        if learnt.len() >= LEARNT_MAX {
            learnt.clear();
        }
        learnt.insert(dst, (mtu, now));
        self.routes.version = self.routes.version.wrapping_add(1);
    }

    fn learnt_mtu(&self, dst: IpAddr) -> Option<u32> {
        let (mtu, since) = self.routes.learnt.get(&dst)?;
        fresh(self.now, *since).then_some(*mtu)
    }
}

/// Prefixes that are reached without a gateway.
fn on_link(config: &Config) -> Vec<IpNet> {
    let direct = config.routes.iter().filter(|route| route.gateway.is_none());
    let direct = direct.map(|route| route.dest.trunc());
    let own = config.addrs.iter().map(|net| net.trunc());
    own.chain(direct).collect()
}

/// Round inside, to arrive by that interface.
fn inside(iface: Iface) -> Via {
    Via {
        device: false,
        inside: Some(iface),
    }
}

/// What leaves by the device, the longest prefix first.
fn prefixes(config: &Config) -> Vec<(IpNet, Option<u32>)> {
    let own = config.addrs.iter().map(|net| (net.trunc(), None));
    let routes = config.routes.iter();
    let routes = routes.map(|route| (route.dest.trunc(), route.mtu));
    let mut prefixes: Vec<_> = own.chain(routes).collect();
    prefixes.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
    prefixes
}

fn fresh(now: Instant, since: Instant) -> bool {
    now.as_micros().saturating_sub(since.as_micros()) < MTU_EXPIRES_US
}
