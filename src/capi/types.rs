//! The types of the header, laid out as the system's; `layout` below has the compiler compare them.
#![allow(non_camel_case_types)]

use libc::{c_char, c_int, c_long, c_short, c_uint, c_ulong, c_ushort, c_void, size_t};

/// Length of an address, bytes.
pub type tunsock_socklen_t = c_uint;
/// Number of entries for tunsock_poll.
pub type tunsock_nfds_t = c_ulong;

/// The generic address that calls take; cast the address of the family's own structure to it.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_sockaddr {
    /// Address family, TUNSOCK_AF_INET or TUNSOCK_AF_INET6.
    pub sa_family: c_ushort,
    /// The family's own bytes.
    pub sa_data: [c_char; 14],
}

/// An IPv4 address.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_in_addr {
    /// The address in network byte order.
    pub s_addr: c_uint,
}

/// Address of an IPv4 socket, 16 bytes.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_sockaddr_in {
    /// TUNSOCK_AF_INET.
    pub sin_family: c_ushort,
    /// Port in network byte order.
    pub sin_port: c_ushort,
    /// Internet address.
    pub sin_addr: tunsock_in_addr,
    /// Padding to the size of struct tunsock_sockaddr.
    pub sin_zero: [u8; 8],
}

/// An IPv6 address.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_in6_addr {
    /// The address in network byte order (s6_addr in the system's headers, where that name is a macro).
    pub s6_bytes: [u8; 16],
}

/// Address of an IPv6 socket, 28 bytes.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_sockaddr_in6 {
    /// TUNSOCK_AF_INET6.
    pub sin6_family: c_ushort,
    /// Port in network byte order.
    pub sin6_port: c_ushort,
    /// Flow label in network byte order.
    pub sin6_flowinfo: c_uint,
    /// Internet address.
    pub sin6_addr: tunsock_in6_addr,
    /// Interface of a link-local address.
    pub sin6_scope_id: c_uint,
}

/// Room for an address of any family.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_sockaddr_storage {
    /// Address family.
    pub ss_family: c_ushort,
    /// Room.
    pub ss_padding: [c_char; 118],
    /// Forces the alignment of a long.
    pub ss_align: c_ulong,
}

/// Seconds and microseconds.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_timeval {
    /// Seconds.
    pub tv_sec: c_long,
    /// Microseconds, 0 to 999999.
    pub tv_usec: c_long,
}

/// Seconds and nanoseconds.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_timespec {
    /// Seconds.
    pub tv_sec: c_long,
    /// Nanoseconds, 0 to 999999999.
    pub tv_nsec: c_long,
}

/// One descriptor for tunsock_poll.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_pollfd {
    /// Descriptor; negative: skipped.
    pub fd: c_int,
    /// What to wait for, TUNSOCK_POLLIN and the like.
    pub events: c_short,
    /// What has come.
    pub revents: c_short,
}

/// A set of descriptors for tunsock_select, numbers below 1024.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_fd_set {
    /// One bit a descriptor.
    pub fds_bits: [c_ulong; 16],
}

/// A set of signals.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_sigset_t {
    /// One bit a signal.
    pub sig_bits: [c_ulong; 16],
}

/// A piece of memory for scattered reads and gathered writes.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_iovec {
    /// Where it begins.
    pub iov_base: *mut c_void,
    /// Its length, bytes.
    pub iov_len: size_t,
}

/// A message for tunsock_sendmsg and tunsock_recvmsg.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_msghdr {
    /// Address of the other end, or NULL.
    pub msg_name: *mut c_void,
    /// Length of the address, bytes.
    pub msg_namelen: tunsock_socklen_t,
    /// Pieces of memory.
    pub msg_iov: *mut tunsock_iovec,
    /// How many pieces.
    pub msg_iovlen: size_t,
    /// Control messages, or NULL.
    pub msg_control: *mut c_void,
    /// Length of the control messages, bytes.
    pub msg_controllen: size_t,
    /// Flags of a received message.
    pub msg_flags: c_int,
}

/// A message of tunsock_sendmmsg and tunsock_recvmmsg.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_mmsghdr {
    /// The message.
    pub msg_hdr: tunsock_msghdr,
    /// Bytes sent or received.
    pub msg_len: c_uint,
}

/// Value of TUNSOCK_SO_LINGER.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_linger {
    /// Not zero: close waits.
    pub l_onoff: c_int,
    /// How long, seconds; 0 resets the connection.
    pub l_linger: c_int,
}

/// One answer of tunsock_getaddrinfo.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_addrinfo {
    /// AI_* flags.
    pub ai_flags: c_int,
    /// Address family.
    pub ai_family: c_int,
    /// Socket type.
    pub ai_socktype: c_int,
    /// Protocol.
    pub ai_protocol: c_int,
    /// Length of ai_addr, bytes.
    pub ai_addrlen: tunsock_socklen_t,
    /// The address.
    pub ai_addr: *mut tunsock_sockaddr,
    /// Canonical name, in the first answer when asked for.
    pub ai_canonname: *mut c_char,
    /// The next answer, or NULL.
    pub ai_next: *mut tunsock_addrinfo,
}

/// What tunsock_gethostbyname knows of a host.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_hostent {
    /// Official name.
    pub h_name: *mut c_char,
    /// Other names, ended by NULL.
    pub h_aliases: *mut *mut c_char,
    /// Address family.
    pub h_addrtype: c_int,
    /// Length of an address, bytes.
    pub h_length: c_int,
    /// Addresses in network byte order, ended by NULL.
    pub h_addr_list: *mut *mut c_char,
}

/// One interface of tunsock_if_nameindex.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_if_nameindex {
    /// Its number.
    pub if_index: c_uint,
    /// Its name.
    pub if_name: *mut c_char,
}

/// One address of an interface, of tunsock_getifaddrs.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct tunsock_ifaddrs {
    /// The next, or NULL.
    pub ifa_next: *mut tunsock_ifaddrs,
    /// The interface's name.
    pub ifa_name: *mut c_char,
    /// IFF_UP and the like.
    pub ifa_flags: c_uint,
    /// The address, or NULL.
    pub ifa_addr: *mut tunsock_sockaddr,
    /// Its netmask, or NULL.
    pub ifa_netmask: *mut tunsock_sockaddr,
    /// Its broadcast address, or the peer's of a point-to-point link; or NULL.
    pub ifa_ifu: *mut tunsock_sockaddr,
    /// Statistics of the link, in the entry of its link-layer address.
    pub ifa_data: *mut c_void,
}

/// The system's layout, compared when this is compiled (build.rs has the C compiler compare the header too).
mod layout {
    use super::*;

    macro_rules! same {
        ($($ours:ident = $system:ty { $($field:ident),* })*) => { $(
            const _: () = assert!(size_of::<$ours>() == size_of::<$system>());
            $( const _: () = assert!(std::mem::offset_of!($ours, $field) == std::mem::offset_of!($system, $field)); )*
        )* };
    }

    same! {
        tunsock_sockaddr = libc::sockaddr { sa_family, sa_data }
        tunsock_in_addr = libc::in_addr { s_addr }
        tunsock_sockaddr_in = libc::sockaddr_in { sin_family, sin_port, sin_addr, sin_zero }
        tunsock_sockaddr_in6 = libc::sockaddr_in6 { sin6_family, sin6_port, sin6_flowinfo, sin6_addr, sin6_scope_id }
        tunsock_sockaddr_storage = libc::sockaddr_storage { ss_family }
        tunsock_timeval = libc::timeval { tv_sec, tv_usec }
        tunsock_timespec = libc::timespec { tv_sec, tv_nsec }
        tunsock_pollfd = libc::pollfd { fd, events, revents }
        tunsock_fd_set = libc::fd_set { }
        tunsock_sigset_t = libc::sigset_t { }
        tunsock_iovec = libc::iovec { iov_base, iov_len }
        tunsock_msghdr = libc::msghdr { msg_name, msg_namelen, msg_iov, msg_control, msg_flags }
        tunsock_mmsghdr = libc::mmsghdr { msg_hdr, msg_len }
        tunsock_linger = libc::linger { l_onoff, l_linger }
        tunsock_addrinfo = libc::addrinfo { ai_flags, ai_family, ai_socktype, ai_protocol, ai_addrlen, ai_addr, ai_canonname, ai_next }
        tunsock_if_nameindex = libc::if_nameindex { if_index, if_name }
        tunsock_ifaddrs = libc::ifaddrs { ifa_next, ifa_name, ifa_flags, ifa_addr, ifa_netmask, ifa_ifu, ifa_data }
        tunsock_hostent = libc::hostent { h_name, h_aliases, h_addrtype, h_length, h_addr_list }
    }
}
