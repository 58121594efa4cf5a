//! TUN: a network device of the kernel whose other end is a descriptor (Documentation/networking/tuntap.rst).
//!
//! What the kernel does when the device changes under us, as seen on Linux 6.18:
//!
//! | event | read | write | poll |
//! | --- | --- | --- | --- |
//! | `ip link del` | EBADFD | EBADFD | POLLERR |
//! | `ip link set down` | EAGAIN | EIO | nothing |
//! | up again | works | works | |
//!
//! So EBADFD (and ENODEV) is [`LinkError::Gone`]; EIO is a frame lost on a link that is down,
//! [`LinkError::Full`], because the device may come up again.

use std::ffi::c_int;
use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};

use ipnet::IpNet;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{IntegerSetter, Opcode, Setter, Updater, opcode};

use crate::aio::Aio;
use crate::device::{Caps, Device, LinkError, VNET_HDR_LEN};
use crate::netlink::{self, HostSide, Netlink, NetlinkError};
use crate::sys::Descriptor;

/// How to open a TUN device.
#[derive(Debug, Clone)]
pub struct TunConfig {
    /// Name, 1 to 15 bytes. Made if absent, attached to if it exists. A `%d` in it stands for the
    /// first number that makes a free name.
    pub name: String,
    /// MTU in bytes, set when `configure` says so; otherwise the device's own is taken.
    pub mtu: u32,
    /// Ask for checksum and segmentation offload. Without, every frame is plain: complete checksums,
    /// no super-segments. Faults on the link need that.
    pub offload: bool,
    /// The host side's addresses with their prefixes; the stack's addresses lie in these nets.
    pub host_addrs: Vec<IpNet>,
    /// More nets that the host sends into the device (stack addresses outside `host_addrs`' nets).
    pub routes: Vec<IpNet>,
    /// Set MTU, addresses, routes and the device up. Off when somebody else did, or when there are no rights.
    pub configure: bool,
    /// The device outlives this process (TUNSETPERSIST). False leaves a device that exists as it is.
    pub persist: bool,
}

impl Default for TunConfig {
    /// `tunsock%d`, 1500 bytes, offload, configured but without addresses, gone with the process.
    fn default() -> TunConfig {
        TunConfig {
            name: "tunsock%d".into(),
            mtu: 1500,
            offload: true,
            host_addrs: Vec::new(),
            routes: Vec::new(),
            configure: true,
            persist: false,
        }
    }
}

/// Why a TUN device could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// /dev/net/tun is missing or may not be opened (ENOENT, ENXIO, ENODEV, EACCES).
    NoTun(Errno),
    /// The right to make, attach to or configure the device is missing (CAP_NET_ADMIN).
    NotPermitted,
    /// Another process is attached to the device of this name.
    InUse(String),
    /// The name is empty, too long, or not one that a network device may have.
    BadName(String),
    /// A device of this name exists that is not a TUN device we could attach to.
    NotTun(String),
    /// No device of this name exists.
    NoDevice(String),
    /// IPv6 is switched off here, or missing from the kernel, and an IPv6 address was asked for.
    Ipv6Off,
    /// A system call failed otherwise.
    Os(&'static str, Errno),
    /// The device is there, and setting its addresses, MTU or state failed.
    Configure(NetlinkError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::NoTun(errno) => write!(f, "/dev/net/tun cannot be opened: {errno}"),
            OpenError::NotPermitted => {
                f.write_str("a TUN device needs the right CAP_NET_ADMIN, which this process lacks")
            }
            OpenError::InUse(name) => write!(f, "device {name} is in use by another process"),
            OpenError::BadName(name) => write!(f, "{name:?} cannot be the name of a device"),
            OpenError::NotTun(name) => {
                write!(
                    f,
                    "device {name} exists and is not a TUN device of one queue"
                )
            }
            OpenError::NoDevice(name) => write!(f, "there is no device {name}"),
            OpenError::Ipv6Off => f.write_str("IPv6 is switched off on this machine"),
            OpenError::Os(op, errno) => write!(f, "{op}: {errno}"),
            OpenError::Configure(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<NetlinkError> for OpenError {
    fn from(error: NetlinkError) -> OpenError {
        match error.errno {
            Errno::PERM => OpenError::NotPermitted,
            // addrconf_add_dev with disable_ipv6 set; rtnetlink without anybody for AF_INET6.
            Errno::ACCESS | Errno::OPNOTSUPP => OpenError::Ipv6Off,
            _ => OpenError::Configure(error),
        }
    }
}

/// A TUN device, attached. Dropping it detaches; a device that is not persistent goes with it.
///
/// `recv` and `send` are one system call each, `send_all` two for up to sixteen frames, all without copying or allocating.
#[derive(Debug)]
pub struct Tun {
    fd: Descriptor,
    name: String,
    caps: Caps,
    /// The kernel's frames carry the virtio-net header themselves.
    vnet_hdr: bool,
    /// For several frames in one call.
    together: Together,
}

/// Whether frames can be given to the kernel together.
#[derive(Debug)]
enum Together {
    /// Nobody has asked yet.
    Unknown,
    Yes(Aio),
    /// The kernel has no asynchronous input and output, or no more of it, or may not be asked.
    No,
}

impl Tun {
    /// Makes the device or attaches to it, asks for offload and, if told to, configures the host's side.
    ///
    /// # Errors
    /// See [`OpenError`]. A device made by a call that fails does not stay.
    pub fn open(config: &TunConfig) -> Result<Tun, OpenError> {
        check_name(&config.name)?;
        let fd = open_control()?;
        let (name, vnet_hdr) = attach(&fd, &config.name)?;
        let granted = set_offload(&fd, config.offload && vnet_hdr)?;
        let mtu = if config.configure {
            let host = HostSide {
                device: &name,
                mtu: config.mtu,
                addrs: &config.host_addrs,
                routes: &config.routes,
            };
            netlink::configure(&host)?;
            config.mtu
        } else {
            current_mtu(&name).unwrap_or(config.mtu)
        };
        // It is attached, and its MTU known, whether or not anybody says how it stands.
        let _ = Netlink::open().and_then(|mut netlink| netlink.wait_until_running(&name));
        if config.persist {
            // Last, so that a device made by a call that fails goes with its descriptor.
            set_persist(&fd)?;
        }
        let caps = Caps {
            mtu,
            csum: granted & TUN_F_CSUM != 0,
            tso4: granted & TUN_F_TSO4 != 0,
            tso6: granted & TUN_F_TSO6 != 0,
        };
        Ok(Tun {
            fd,
            name,
            caps,
            vnet_hdr,
            together: Together::Unknown,
        })
    }

    /// Gives the kernel frames together where it can and there are several. How many of them it took, from the first on, and the last error of those.
    fn send_together(&mut self, frames: &[&[IoSlice<'_>]]) -> (usize, Result<(), LinkError>) {
        if frames.len() < 2 || !self.vnet_hdr {
            return (0, Ok(()));
        }
        if matches!(self.together, Together::Unknown) {
            self.together = Aio::new().map_or(Together::No, Together::Yes);
        }
        let Together::Yes(aio) = &mut self.together else {
            return (0, Ok(()));
        };
        match aio.write_all(self.fd.as_fd(), frames) {
            Ok((taken, failed)) => (taken, failed.map_or(Ok(()), |errno| Err(send_error(errno)))),
            Err(_) => {
                self.together = Together::No;
                (0, Ok(()))
            }
        }
    }

    /// The device's name, with `%d` replaced.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes a frame to a device that takes packets without a header.
    fn send_plain(&self, frame: &[IoSlice<'_>]) -> Result<(), LinkError> {
        let header = frame.first().and_then(|slice| slice.get(..VNET_HDR_LEN));
        // Nothing can ask for offload here: it was not offered.
        if header.is_none_or(|header| header[0] & crate::HDR_F_NEEDS_CSUM != 0 || header[1] != 0) {
            return Err(LinkError::Io(Errno::INVAL));
        }
        let mut few = [IoSlice::new(&[]); 8];
        let mut many;
        let slices = match few.get_mut(..frame.len()) {
            Some(slices) => {
                slices.copy_from_slice(frame);
                slices
            }
            None => {
                many = frame.to_vec();
                &mut many[..]
            }
        };
        if let Some(first) = slices.first_mut() {
            first.advance(VNET_HDR_LEN);
        }
        rustix::io::writev(&self.fd, slices)
            .map(|_| ())
            .map_err(send_error)
    }
}

/// A frame up to this many octets is put together: for one piece the kernel has less to do, by more than the copy costs.
const SMALL: usize = 256;

/// The parts of a small frame in one piece.
#[inline]
fn joined<'a>(parts: &[IoSlice<'_>], place: &'a mut [u8; SMALL]) -> Option<&'a [u8]> {
    let mut end = 0;
    for part in parts {
        place.get_mut(end..end + part.len())?.copy_from_slice(part);
        end += part.len();
    }
    place.get(..end)
}

impl Device for Tun {
    #[inline]
    fn recv(&mut self, _now_us: u64, buf: &mut [u8]) -> Result<usize, LinkError> {
        if self.vnet_hdr {
            return rustix::io::read(&self.fd, buf).map_err(recv_error);
        }
        let Some((header, packet)) = buf.split_at_mut_checked(VNET_HDR_LEN) else {
            return Err(LinkError::Io(Errno::INVAL));
        };
        let len = rustix::io::read(&self.fd, packet).map_err(recv_error)?;
        header.fill(0);
        Ok(VNET_HDR_LEN + len)
    }

    fn recv_scattered(
        &mut self,
        _now_us: u64,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Result<usize, LinkError> {
        if !self.scatters() {
            return Err(LinkError::Io(Errno::OPNOTSUPP));
        }
        rustix::io::readv(&self.fd, bufs).map_err(recv_error)
    }

    fn scatters(&self) -> bool {
        self.vnet_hdr
    }

    #[inline]
    fn send(&mut self, _now_us: u64, frame: &[IoSlice<'_>]) -> Result<(), LinkError> {
        if !self.vnet_hdr {
            return self.send_plain(frame);
        }
        let mut place = [0; SMALL];
        let sent = match frame {
            [whole] => rustix::io::write(&self.fd, whole),
            parts => match joined(parts, &mut place) {
                Some(whole) => rustix::io::write(&self.fd, whole),
                None => rustix::io::writev(&self.fd, parts),
            },
        };
        sent.map(|_| ()).map_err(send_error)
    }

    fn send_all(&mut self, now_us: u64, frames: &[&[IoSlice<'_>]]) -> Result<(), LinkError> {
        let mut result = Ok(());
        let mut rest = frames;
        while let [first, ..] = rest {
            let (taken, outcome) = match self.send_together(rest) {
                (0, _) => (1, self.send(now_us, first)),
                some => some,
            };
            if outcome == Err(LinkError::Gone) {
                return outcome;
            }
            result = outcome.and(result);
            rest = rest.get(taken..).unwrap_or_default();
        }
        result
    }

    fn next_deadline(&self) -> Option<u64> {
        None
    }

    fn poll(&mut self, _now_us: u64) {}

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn caps(&self) -> Caps {
        self.caps
    }
}

/// Makes a persistent TUN device for later processes, configured as `config` says (its `persist` is
/// taken as true), that `owner` (a user id; `None`: whoever has CAP_NET_ADMIN) may attach to.
/// Returns its name.
///
/// # Errors
/// As [`Tun::open`]; a device that this call made does not stay when it fails.
pub fn create_persistent(config: &TunConfig, owner: Option<u32>) -> Result<String, OpenError> {
    let tun = Tun::open(&TunConfig {
        persist: false,
        ..config.clone()
    })?;
    if let Some(uid) = owner {
        // SAFETY: TUNSETOWNER takes the user id by value and touches no memory of ours.
        unsafe {
            rustix::ioctl::ioctl(
                &tun.fd,
                IntegerSetter::<TUNSETOWNER>::new_usize(uid as usize),
            )
        }
        .map_err(|errno| OpenError::Os("TUNSETOWNER", errno))?;
    }
    set_persist(&tun.fd)?;
    Ok(tun.name)
}

/// Deletes the TUN device of this name, also when a process is attached to it (whose calls then
/// give [`LinkError::Gone`]). Refuses any other kind of device.
///
/// # Errors
/// `NoDevice`, `NotTun`, `NotPermitted`, or what the kernel said.
pub fn delete_persistent(name: &str) -> Result<(), OpenError> {
    check_name(name)?;
    let mut netlink = Netlink::open()?;
    let Some(link) = netlink.link(name)? else {
        return Err(OpenError::NoDevice(name.into()));
    };
    if !link.is_tun {
        return Err(OpenError::NotTun(name.into()));
    }
    Ok(netlink.delete_link(link.index)?)
}

fn recv_error(errno: Errno) -> LinkError {
    match errno {
        // EINTR cannot happen on a read that does not wait, but it would mean "look again".
        Errno::AGAIN | Errno::INTR => LinkError::WouldBlock,
        Errno::BADFD | Errno::NODEV => LinkError::Gone,
        other => LinkError::Io(other),
    }
}

fn send_error(errno: Errno) -> LinkError {
    match errno {
        Errno::AGAIN | Errno::INTR | Errno::NOBUFS | Errno::NOMEM | Errno::IO => LinkError::Full,
        Errno::BADFD | Errno::NODEV => LinkError::Gone,
        other => LinkError::Io(other),
    }
}

/// A name the kernel will take as it is or complete (dev_valid_name, dev_alloc_name).
fn check_name(name: &str) -> Result<(), OpenError> {
    let valid = !name.is_empty()
        && name.len() < IFNAMSIZ
        && name != "."
        && name != ".."
        && !name
            .bytes()
            .any(|b| b == b'/' || b == b':' || b == 0 || b.is_ascii_whitespace());
    if valid {
        Ok(())
    } else {
        Err(OpenError::BadName(name.into()))
    }
}

fn open_control() -> Result<Descriptor, OpenError> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::open(c"/dev/net/tun", flags, Mode::empty()) {
        Ok(fd) => Ok(Descriptor::new_high(fd)),
        Err(errno @ (Errno::NOENT | Errno::NXIO | Errno::NODEV | Errno::ACCESS)) => {
            Err(OpenError::NoTun(errno))
        }
        Err(Errno::PERM) => Err(OpenError::NotPermitted),
        Err(errno) => Err(OpenError::Os("open /dev/net/tun", errno)),
    }
}

/// TUNSETIFF, with the virtio-net header if the kernel has it. Returns the name and whether it has.
fn attach(fd: &Descriptor, name: &str) -> Result<(String, bool), OpenError> {
    let with = set_iff(fd, name, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR).and_then(|name| {
        let len = VNET_HDR_LEN as c_int;
        // SAFETY: TUNSETVNETHDRSZ reads one int through the pointer.
        unsafe { rustix::ioctl::ioctl(fd, Setter::<TUNSETVNETHDRSZ, c_int>::new(len)) }?;
        Ok(name)
    });
    match with {
        Ok(name) => Ok((name, true)),
        Err(Errno::BUSY) => Err(OpenError::InUse(name.into())),
        Err(Errno::PERM) => Err(OpenError::NotPermitted),
        Err(_) => match set_iff(fd, name, IFF_TUN | IFF_NO_PI) {
            Ok(name) => Ok((name, false)),
            Err(Errno::BUSY) => Err(OpenError::InUse(name.into())),
            Err(Errno::PERM) => Err(OpenError::NotPermitted),
            // EINVAL: another kind of device, a TAP device, or one with several queues.
            Err(Errno::INVAL) => Err(OpenError::NotTun(name.into())),
            Err(errno) => Err(OpenError::Os("TUNSETIFF", errno)),
        },
    }
}

fn set_iff(fd: &Descriptor, name: &str, flags: c_int) -> Result<String, Errno> {
    let mut request = IfReq {
        name: [0; IFNAMSIZ],
        flags: flags as u16,
        rest: [0; 22],
    };
    for (to, from) in request.name.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    // SAFETY: TUNSETIFF reads and writes one struct ifreq, which IfReq has the size and layout of.
    unsafe { rustix::ioctl::ioctl(fd, Updater::<TUNSETIFF, IfReq>::new(&mut request)) }?;
    let len = request
        .name
        .iter()
        .position(|&b| b == 0)
        .unwrap_or(IFNAMSIZ);
    Ok(String::from_utf8_lossy(request.name.get(..len).unwrap_or_default()).into_owned())
}

/// Asks for as much offload as the kernel grants, step by step less. Returns what it granted.
fn set_offload(fd: &Descriptor, wanted: bool) -> Result<usize, OpenError> {
    const TSO: usize = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    let steps: &[usize] = if wanted {
        &[TSO | TUN_F_TSO_ECN, TSO, TUN_F_CSUM]
    } else {
        &[]
    };
    for &features in steps {
        if try_offload(fd, features).is_ok() {
            return Ok(features);
        }
    }
    // Said even when nothing is wanted: a persistent device keeps what the last process asked for.
    match try_offload(fd, 0) {
        Ok(()) => Ok(0),
        // A kernel without TUNSETOFFLOAD never offloads.
        Err(Errno::INVAL | Errno::NOTTY) => Ok(0),
        Err(errno) => Err(OpenError::Os("TUNSETOFFLOAD", errno)),
    }
}

fn try_offload(fd: &Descriptor, features: usize) -> Result<(), Errno> {
    // SAFETY: TUNSETOFFLOAD takes the features by value and touches no memory of ours.
    unsafe { rustix::ioctl::ioctl(fd, IntegerSetter::<TUNSETOFFLOAD>::new_usize(features)) }
}

fn set_persist(fd: &Descriptor) -> Result<(), OpenError> {
    // SAFETY: TUNSETPERSIST takes its flag by value and touches no memory of ours.
    unsafe { rustix::ioctl::ioctl(fd, IntegerSetter::<TUNSETPERSIST>::new_usize(1)) }
        .map_err(|errno| OpenError::Os("TUNSETPERSIST", errno))
}

fn current_mtu(name: &str) -> Option<u32> {
    let link = Netlink::open()
        .and_then(|mut netlink| netlink.link(name))
        .ok()??;
    Some(link.mtu)
}

/// `struct ifreq` as TUNSETIFF uses it: 16 bytes of name, then ifr_flags in a union of 24 bytes.
#[repr(C)]
struct IfReq {
    name: [u8; IFNAMSIZ],
    flags: u16,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<IfReq>() == size_of::<libc::ifreq>());

const IFNAMSIZ: usize = libc::IFNAMSIZ;
const IFF_TUN: c_int = libc::IFF_TUN;
const IFF_NO_PI: c_int = libc::IFF_NO_PI;
const IFF_VNET_HDR: c_int = libc::IFF_VNET_HDR;

/// linux/if_tun.h
const TUNSETIFF: Opcode = opcode::write::<c_int>(b'T', 202);
const TUNSETPERSIST: Opcode = opcode::write::<c_int>(b'T', 203);
const TUNSETOWNER: Opcode = opcode::write::<c_int>(b'T', 204);
const TUNSETOFFLOAD: Opcode = opcode::write::<u32>(b'T', 208);
const TUNSETVNETHDRSZ: Opcode = opcode::write::<c_int>(b'T', 216);
const TUN_F_CSUM: usize = 0x01;
const TUN_F_TSO4: usize = 0x02;
const TUN_F_TSO6: usize = 0x04;
const TUN_F_TSO_ECN: usize = 0x08;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["tunsock0", "tunsock%d", "a", "fifteen-bytes-x"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a:b",
            "a\0b",
            "sixteen-bytes-xx",
        ] {
            assert_eq!(
                check_name(bad),
                Err(OpenError::BadName(bad.into())),
                "{bad}"
            );
        }
    }

    #[test]
    fn errors_by_what_they_mean() {
        assert_eq!(recv_error(Errno::AGAIN), LinkError::WouldBlock);
        assert_eq!(recv_error(Errno::BADFD), LinkError::Gone);
        assert_eq!(send_error(Errno::BADFD), LinkError::Gone);
        assert_eq!(send_error(Errno::IO), LinkError::Full);
        assert_eq!(send_error(Errno::INVAL), LinkError::Io(Errno::INVAL));
        let failed = |errno| {
            OpenError::from(NetlinkError {
                op: "x".into(),
                errno,
            })
        };
        assert_eq!(failed(Errno::PERM), OpenError::NotPermitted);
        assert_eq!(failed(Errno::ACCESS), OpenError::Ipv6Off);
        assert!(matches!(failed(Errno::INVAL), OpenError::Configure(_)));
    }

    /// A device without the header, played by a socket that keeps packet boundaries.
    #[test]
    fn without_a_header_in_the_kernel() {
        let (near, far) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::SEQPACKET,
            rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        let caps = Caps {
            mtu: 1500,
            csum: false,
            tso4: false,
            tso6: false,
        };
        let fd = Descriptor::new(near);
        let mut tun = Tun {
            fd,
            name: "plain".into(),
            caps,
            vnet_hdr: false,
            together: Together::Unknown,
        };
        let mut buf = [0xaa; 100];
        assert_eq!(tun.recv(0, &mut buf), Err(LinkError::WouldBlock));

        let read = |far| {
            let mut packet = [0; 100];
            let len = rustix::io::read(far, &mut packet).unwrap();
            packet[..len].to_vec()
        };
        let header = [0; VNET_HDR_LEN];
        let first: Vec<u8> = [&header[..], b"pack"].concat();
        tun.send(0, &[IoSlice::new(&first), IoSlice::new(b"et")])
            .unwrap();
        assert_eq!(read(&far), b"packet");
        // More slices than there is room for on the stack.
        let mut slices = vec![IoSlice::new(&header)];
        slices.extend([IoSlice::new(b"x"); 20]);
        tun.send(0, &slices).unwrap();
        assert_eq!(read(&far), [b'x'; 20]);
        // What was not offered is refused.
        let mut partial = [0; 20];
        partial[0] = crate::HDR_F_NEEDS_CSUM;
        let invalid = Err(LinkError::Io(Errno::INVAL));
        assert_eq!(tun.send(0, &[IoSlice::new(&partial)]), invalid);
        assert_eq!(
            tun.send(0, &[IoSlice::new(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 9])]),
            invalid
        );
        assert_eq!(tun.send(0, &[IoSlice::new(b"short")]), invalid);
        assert_eq!(tun.send(0, &[]), invalid);

        rustix::io::write(&far, b"reply").unwrap();
        assert_eq!(tun.recv(0, &mut buf), Ok(15));
        assert_eq!(buf[..15], *b"\0\0\0\0\0\0\0\0\0\0reply");
        assert_eq!(tun.recv(0, &mut buf[..5]), invalid.map(|()| 0));
    }
}
