//! The calls of RFC 3678 for whole source filters, which libc makes into options without a name that could be taken over.

use libc::{c_int, c_void};

use super::errno::{CResult, Errno, answer};
use super::options::{tunsock_getsockopt, tunsock_setsockopt};
use super::types::{
    tunsock_in_addr, tunsock_sockaddr, tunsock_sockaddr_storage, tunsock_socklen_t,
};
use super::{errno, user};

/// MCAST_MSFILTER of linux/in.h.
const MCAST_MSFILTER: c_int = 48;
/// struct ip_msfilter without sources: group, interface, mode, count.
const MSFILTER: usize = 16;
/// struct group_filter without sources: number, group at 8, mode at 136, count at 140.
const GROUP_FILTER: usize = 144;
/// sizeof(struct sockaddr_storage).
const STORAGE: usize = 128;
/// More sources than any filter may have; the option says ENOBUFS long before.
const SOURCES_MAX: u32 = 1000;

/// Replaces the filter of a membership in an IPv4 group: numsrc sources at slist, of which fmode (MCAST_INCLUDE 1, MCAST_EXCLUDE 0)
/// says whether they are the wanted or the unwanted ones.
///
/// Returns 0, or -1 with errno as IP_MSFILTER of tunsock_setsockopt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_setipv4sourcefilter(
    fd: c_int,
    interface: tunsock_in_addr,
    group: tunsock_in_addr,
    fmode: u32,
    numsrc: u32,
    slist: *const tunsock_in_addr,
) -> c_int {
    answer(|| {
        let mut filter = [group.s_addr, interface.s_addr, fmode, numsrc]
            .map(u32::to_ne_bytes)
            .concat();
        append(&mut filter, slist.cast(), numsrc, 4)?;
        set(fd, libc::IPPROTO_IP, libc::IP_MSFILTER, &filter)
    })
}

/// Reads the filter of a membership in an IPv4 group. numsrc holds the room at slist, and gets the number of sources that there are.
///
/// Returns 0, or -1 with errno as IP_MSFILTER of tunsock_getsockopt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_getipv4sourcefilter(
    fd: c_int,
    interface: tunsock_in_addr,
    group: tunsock_in_addr,
    fmode: *mut u32,
    numsrc: *mut u32,
    slist: *mut tunsock_in_addr,
) -> c_int {
    answer(|| {
        // SAFETY: any bytes are a number.
        let room = unsafe { user::read(numsrc)? }.min(SOURCES_MAX);
        let mut filter = [group.s_addr, interface.s_addr, 0, room]
            .map(u32::to_ne_bytes)
            .concat();
        filter.resize(MSFILTER + room as usize * 4, 0);
        get(fd, libc::IPPROTO_IP, libc::IP_MSFILTER, &mut filter)?;
        give(&filter, 8, (MSFILTER, 4), room, fmode, numsrc, slist.cast())
    })
}

/// As tunsock_setipv4sourcefilter for a group of either family, on the interface of that number.
///
/// Returns 0, or -1 with errno as MCAST_MSFILTER of tunsock_setsockopt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_setsourcefilter(
    fd: c_int,
    interface: u32,
    group: *const tunsock_sockaddr,
    group_len: tunsock_socklen_t,
    fmode: u32,
    numsrc: u32,
    slist: *const tunsock_sockaddr_storage,
) -> c_int {
    answer(|| {
        let (mut filter, level) = head(interface, group, group_len, fmode, numsrc)?;
        append(&mut filter, slist.cast(), numsrc, STORAGE)?;
        set(fd, level, MCAST_MSFILTER, &filter)
    })
}

/// As tunsock_getipv4sourcefilter for a group of either family, on the interface of that number.
///
/// Returns 0, or -1 with errno as MCAST_MSFILTER of tunsock_getsockopt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_getsourcefilter(
    fd: c_int,
    interface: u32,
    group: *const tunsock_sockaddr,
    group_len: tunsock_socklen_t,
    fmode: *mut u32,
    numsrc: *mut u32,
    slist: *mut tunsock_sockaddr_storage,
) -> c_int {
    answer(|| {
        // SAFETY: any bytes are a number.
        let room = unsafe { user::read(numsrc)? }.min(SOURCES_MAX);
        let (mut filter, level) = head(interface, group, group_len, 0, room)?;
        filter.resize(GROUP_FILTER + room as usize * STORAGE, 0);
        get(fd, level, MCAST_MSFILTER, &mut filter)?;
        let layout = (GROUP_FILTER, STORAGE);
        give(&filter, 136, layout, room, fmode, numsrc, slist.cast())
    })
}

/// struct group_filter without sources, and the level of its family.
fn head(
    interface: u32,
    group: *const tunsock_sockaddr,
    len: tunsock_socklen_t,
    fmode: u32,
    numsrc: u32,
) -> CResult<(Vec<u8>, c_int)> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if !(2..=STORAGE).contains(&len) {
        return Err(Errno(libc::EINVAL));
    }
    let mut filter = vec![0; GROUP_FILTER];
    filter[..4].copy_from_slice(&interface.to_ne_bytes());
    user::copy_in(&mut filter[8..8 + len], group.cast())?;
    filter[136..140].copy_from_slice(&fmode.to_ne_bytes());
    filter[140..144].copy_from_slice(&numsrc.to_ne_bytes());
    match c_int::from(u16::from_ne_bytes([filter[8], filter[9]])) {
        libc::AF_INET => Ok((filter, libc::IPPROTO_IP)),
        libc::AF_INET6 => Ok((filter, libc::IPPROTO_IPV6)),
        // getsourcefilter(3) knows no other family's level.
        _ => Err(Errno(libc::EINVAL)),
    }
}

/// The caller's sources behind what is there.
fn append(filter: &mut Vec<u8>, from: *const c_void, count: u32, each: usize) -> CResult<()> {
    if count > SOURCES_MAX {
        return Err(Errno(libc::ENOBUFS));
    }
    let at = filter.len();
    filter.resize(at + count as usize * each, 0);
    user::copy_in(&mut filter[at..], from)
}

/// Mode, number and sources out to the caller.
fn give(
    filter: &[u8],
    mode_at: usize,
    (head, each): (usize, usize),
    room: u32,
    fmode: *mut u32,
    numsrc: *mut u32,
    slist: *mut c_void,
) -> CResult<c_int> {
    let number = |at: usize| {
        let bytes = filter.get(at..at + 4).and_then(|b| b.try_into().ok());
        bytes.map_or(0, u32::from_ne_bytes)
    };
    let count = number(mode_at + 4);
    user::write(fmode, number(mode_at))?;
    let end = head + room.min(count) as usize * each;
    user::copy_out(slist, filter.get(head..end).unwrap_or_default())?;
    user::write(numsrc, count)?;
    Ok(0)
}

fn set(fd: c_int, level: c_int, name: c_int, value: &[u8]) -> CResult<c_int> {
    let len = value.len() as tunsock_socklen_t;
    // SAFETY: the value is ours, given with its length.
    match unsafe { tunsock_setsockopt(fd, level, name, value.as_ptr().cast(), len) } {
        0 => Ok(0),
        _ => Err(Errno(errno::get())),
    }
}

fn get(fd: c_int, level: c_int, name: c_int, value: &mut [u8]) -> CResult<c_int> {
    let mut len = value.len() as tunsock_socklen_t;
    // SAFETY: as in `set`, and the length is a number of ours.
    match unsafe { tunsock_getsockopt(fd, level, name, value.as_mut_ptr().cast(), &raw mut len) } {
        0 => Ok(0),
        _ => Err(Errno(errno::get())),
    }
}
