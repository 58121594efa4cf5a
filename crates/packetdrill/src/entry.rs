//! The C functions: pointers are checked, one safe function is called, its outcome is put into C's words.

use std::io::IoSliceMut;
use std::slice;

use libc::{
    c_char, c_int, c_long, c_longlong, c_uint, c_ulong, c_void, epoll_event, iovec, loff_t, msghdr,
    nfds_t, pollfd, size_t, sockaddr, socklen_t, ssize_t, timeval,
};

use tunsock_stack::Controls;

use crate::abi::{Interface, User};
use crate::address::{self, Address};
use crate::cmsg;
use crate::errno::{self, CResult, Errno};
use crate::host::{self, Host, host};
use crate::settings::Settings;

/// Most buffers of one call (UIO_MAXIOV).
const IOV_MAX: c_int = 1024;
/// Below and above this no program has memory.
const LOWEST: usize = 0x1_0000;
const HIGHEST: usize = 0x0000_7fff_ffff_f000;

/// What packetdrill calls first: fills `interface` for a host as `flags` (may be null) says.
///
/// # Safety
/// `interface` points to a `struct packetdrill_interface`; `flags` is null or a string.
#[unsafe(no_mangle)]
unsafe extern "C" fn packetdrill_interface_init(flags: *const c_char, interface: *mut Interface) {
    let flags = if flags.is_null() {
        String::new()
    } else {
        // SAFETY: the caller gives a string.
        unsafe { std::ffi::CStr::from_ptr(flags) }
            .to_string_lossy()
            .into_owned()
    };
    match Settings::parse(&flags) {
        Ok(settings) => host::start(settings),
        Err(why) => {
            eprintln!("--so_flags: {why}");
            std::process::exit(1);
        }
    }
    let table = Interface {
        userdata: std::ptr::null_mut(),
        free,
        socket,
        bind,
        listen,
        accept,
        connect,
        read,
        readv,
        recv,
        recvfrom,
        recvmsg,
        write,
        writev,
        send,
        sendto,
        sendmsg,
        fcntl,
        ioctl,
        close,
        shutdown,
        getsockopt: get_option,
        setsockopt,
        poll,
        netdev_send,
        netdev_receive,
        usleep,
        gettimeofday,
        epoll_create,
        epoll_ctl,
        epoll_wait,
        pipe,
        splice,
    };
    // SAFETY: the caller gives the table to fill.
    unsafe { interface.write(table) }
}

/// The outcome in C's words: -1 and errno when it failed.
fn int(outcome: CResult<c_int>) -> c_int {
    outcome.unwrap_or_else(|error| {
        errno::set(error);
        -1
    })
}

pub(crate) fn size(outcome: CResult<usize>) -> ssize_t {
    outcome.map_or_else(
        |error| {
            errno::set(error);
            -1
        },
        |n| n as ssize_t,
    )
}

fn done(outcome: CResult<()>) -> c_int {
    int(outcome.map(|()| 0))
}

/// Whether `len` octets from `pointer` on can be a program's.
pub(crate) fn plausible(pointer: *const c_void, len: usize) -> CResult<()> {
    let start = pointer as usize;
    let end = start.saturating_add(len);
    if len == 0 || (start >= LOWEST && end <= HIGHEST) {
        Ok(())
    } else {
        Err(Errno(libc::EFAULT))
    }
}

/// # Safety
/// As `slice::from_raw_parts` where `plausible` cannot tell.
unsafe fn input<'a>(pointer: *const c_void, len: usize) -> CResult<&'a [u8]> {
    plausible(pointer, len)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: the caller's; not null, and not empty.
    Ok(unsafe { slice::from_raw_parts(pointer.cast(), len) })
}

/// # Safety
/// As `slice::from_raw_parts_mut` where `plausible` cannot tell.
unsafe fn output<'a>(pointer: *mut c_void, len: usize) -> CResult<&'a mut [u8]> {
    plausible(pointer, len)?;
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: the caller's; not null, and not empty.
    Ok(unsafe { slice::from_raw_parts_mut(pointer.cast(), len) })
}

/// # Safety
/// `iov` is null or points to `count` iovecs.
unsafe fn vectors<'a>(iov: *const iovec, count: usize) -> CResult<&'a [iovec]> {
    if count > IOV_MAX as usize {
        return Err(Errno(libc::EMSGSIZE));
    }
    plausible(iov.cast(), count * size_of::<iovec>())?;
    if count == 0 {
        return Ok(&[]);
    }
    // SAFETY: the caller's; not null, and not empty.
    Ok(unsafe { slice::from_raw_parts(iov, count) })
}

/// # Safety
/// The vectors' buffers are readable where `plausible` cannot tell.
unsafe fn gather(iov: &[iovec]) -> CResult<Vec<u8>> {
    let mut data = Vec::new();
    for piece in iov {
        // SAFETY: handed on.
        data.extend_from_slice(unsafe { input(piece.iov_base, piece.iov_len) }?);
    }
    Ok(data)
}

/// # Safety
/// The vectors' buffers are writable where `plausible` cannot tell.
unsafe fn scatter<'a>(iov: &[iovec]) -> CResult<Vec<IoSliceMut<'a>>> {
    let mut bufs = Vec::new();
    for piece in iov {
        // SAFETY: handed on.
        let buf = unsafe { output(piece.iov_base, piece.iov_len) }?;
        bufs.push(IoSliceMut::new(buf));
    }
    Ok(bufs)
}

/// # Safety
/// `addr` is null or has `len` octets.
unsafe fn peer(host: &Host, fd: c_int, addr: *const sockaddr, len: socklen_t) -> CResult<Address> {
    let domain = host.domain(fd)?;
    // SAFETY: handed on.
    unsafe { address::read(domain, addr, len) }
}

/// # Safety
/// As [`peer`].
unsafe fn destination(
    host: &Host,
    fd: c_int,
    addr: *const sockaddr,
    len: socklen_t,
) -> CResult<Option<Address>> {
    if addr.is_null() {
        return Ok(None);
    }
    // SAFETY: handed on.
    unsafe { peer(host, fd, addr, len) }.map(Some)
}

extern "C" fn free(_: User) {
    host::stop();
}

extern "C" fn socket(_: User, domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    int(host().and_then(|host| host.socket(domain, kind, protocol)))
}

unsafe extern "C" fn bind(_: User, fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int {
    // SAFETY: the caller's pointer, as bind(2) has it.
    done(host().and_then(|host| host.bind(fd, unsafe { peer(&host, fd, addr, len) }?)))
}

extern "C" fn listen(_: User, fd: c_int, backlog: c_int) -> c_int {
    done(host().and_then(|host| host.listen(fd, backlog)))
}

unsafe extern "C" fn accept(_: User, fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int {
    int(host().and_then(|host| {
        let (child, peer) = host.accept(fd)?;
        // SAFETY: the caller's pointers, as accept(2) has them.
        unsafe { address::write(peer, addr, len) };
        Ok(child)
    }))
}

unsafe extern "C" fn connect(_: User, fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int {
    // SAFETY: the caller's pointer, as connect(2) has it.
    done(host().and_then(|host| host.connect(fd, unsafe { peer(&host, fd, addr, len) }?)))
}

unsafe extern "C" fn read(user: User, fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t {
    // SAFETY: handed on.
    unsafe { recv(user, fd, buf, len, 0) }
}

unsafe extern "C" fn readv(_: User, fd: c_int, iov: *const iovec, count: c_int) -> ssize_t {
    size(host().and_then(|host| {
        let count = usize::try_from(count).map_err(|_| Errno(libc::EINVAL))?;
        // SAFETY: the caller's pointers, as readv(2) has them.
        let mut bufs = unsafe { scatter(vectors(iov, count)?) }?;
        Ok(host.recv(fd, &mut bufs, 0, None)?.len)
    }))
}

unsafe extern "C" fn recv(
    _: User,
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    size(host().and_then(|host| {
        // SAFETY: the caller's buffer, as recv(2) has it.
        let buf = unsafe { output(buf, len) }?;
        Ok(host.recv(fd, &mut [IoSliceMut::new(buf)], flags, None)?.len)
    }))
}

unsafe extern "C" fn recvfrom(
    _: User,
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
    addr: *mut sockaddr,
    addr_len: *mut socklen_t,
) -> ssize_t {
    size(host().and_then(|host| {
        // SAFETY: the caller's buffer, as recvfrom(2) has it.
        let buf = unsafe { output(buf, len) }?;
        let received = host.recv(fd, &mut [IoSliceMut::new(buf)], flags, None)?;
        if let Some(from) = received.from {
            // SAFETY: the caller's pointers, as recvfrom(2) has them.
            unsafe { address::write(from, addr, addr_len) };
        }
        Ok(received.len)
    }))
}

unsafe extern "C" fn recvmsg(_: User, fd: c_int, msg: *mut msghdr, flags: c_int) -> ssize_t {
    size(host().and_then(|host| {
        plausible(msg.cast(), size_of::<msghdr>())?;
        // SAFETY: the caller's message, as recvmsg(2) has it.
        let msg = unsafe { &mut *msg };
        // SAFETY: as above.
        let mut bufs = unsafe { scatter(vectors(msg.msg_iov, msg.msg_iovlen)?) }?;
        let mut controls = Controls::new();
        let received = host.recv(fd, &mut bufs, flags, Some(&mut controls))?;
        msg.msg_flags = flags & libc::MSG_ERRQUEUE;
        if received.oob {
            msg.msg_flags |= libc::MSG_OOB;
        }
        if received.cut {
            msg.msg_flags |= libc::MSG_TRUNC;
        }
        let room = msg.msg_controllen;
        // SAFETY: as above; `room` octets of control data.
        unsafe { cmsg::put(msg, room, &controls) };
        if let Some(from) = received.from {
            // SAFETY: as above.
            unsafe { address::write(from, msg.msg_name.cast(), &mut msg.msg_namelen) };
        }
        Ok(received.len)
    }))
}

unsafe extern "C" fn write(user: User, fd: c_int, buf: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: handed on.
    unsafe { send(user, fd, buf, len, 0) }
}

unsafe extern "C" fn writev(_: User, fd: c_int, iov: *const iovec, count: c_int) -> ssize_t {
    size(host().and_then(|host| {
        let count = usize::try_from(count).map_err(|_| Errno(libc::EINVAL))?;
        // SAFETY: the caller's pointers, as writev(2) has them.
        let data = unsafe { gather(vectors(iov, count)?) }?;
        host.send(fd, &data, 0, None)
    }))
}

unsafe extern "C" fn send(
    _: User,
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's buffer, as send(2) has it.
    size(host().and_then(|host| host.send(fd, unsafe { input(buf, len) }?, flags, None)))
}

unsafe extern "C" fn sendto(
    _: User,
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
    addr: *const sockaddr,
    addr_len: socklen_t,
) -> ssize_t {
    size(host().and_then(|host| {
        // SAFETY: the caller's pointers, as sendto(2) has them.
        let dest = unsafe { destination(&host, fd, addr, addr_len) }?;
        // SAFETY: as above.
        host.send(fd, unsafe { input(buf, len) }?, flags, dest)
    }))
}

unsafe extern "C" fn sendmsg(_: User, fd: c_int, msg: *const msghdr, flags: c_int) -> ssize_t {
    size(host().and_then(|host| {
        plausible(msg.cast(), size_of::<msghdr>())?;
        // SAFETY: the caller's message, as sendmsg(2) has it.
        let msg = unsafe { &*msg };
        // SAFETY: as above.
        let data = unsafe { gather(vectors(msg.msg_iov, msg.msg_iovlen)?) }?;
        // SAFETY: as above.
        let dest = unsafe { destination(&host, fd, msg.msg_name.cast(), msg.msg_namelen) }?;
        host.send(fd, &data, flags, dest)
    }))
}

unsafe extern "C" fn fcntl(_: User, fd: c_int, command: c_int, arg: c_long) -> c_int {
    int(host().and_then(|host| match command {
        libc::F_GETFL => host.flags(fd),
        libc::F_SETFL => host.set_flags(fd, arg as c_int).map(|()| 0),
        _ => Err(Errno(libc::EINVAL)),
    }))
}

unsafe extern "C" fn ioctl(_: User, fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int {
    const SIOCATMARK: c_ulong = 0x8905;
    done(host().and_then(|host| {
        let value = match request {
            libc::FIONREAD => host.readable_bytes(fd)? as c_int,
            libc::TIOCOUTQ => host.unsent_bytes(fd)? as c_int,
            SIOCATMARK => c_int::from(host.at_mark(fd)?),
            _ => return Err(Errno(libc::ENOTTY)),
        };
        plausible(arg, size_of::<c_int>())?;
        // SAFETY: the caller's integer, as ioctl(2) has it for these requests.
        unsafe { arg.cast::<c_int>().write_unaligned(value) };
        Ok(())
    }))
}

extern "C" fn close(_: User, fd: c_int) -> c_int {
    done(host().and_then(|host| {
        host.close(fd)?;
        // SAFETY: a descriptor that packetdrill got from us, and asks us to close.
        unsafe { rustix::io::close(fd) };
        Ok(())
    }))
}

extern "C" fn shutdown(_: User, fd: c_int, how: c_int) -> c_int {
    done(host().and_then(|host| host.shutdown(fd, how)))
}

pub(crate) unsafe extern "C" fn get_option(
    _: User,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    done(host().and_then(|host| {
        plausible(len.cast(), size_of::<socklen_t>())?;
        // SAFETY: the caller's pointers, as getsockopt(2) has them.
        let room = unsafe { *len } as usize;
        let octets = host.option(fd, level, name)?;
        let n = octets.len().min(room);
        // SAFETY: as above.
        let buf = unsafe { output(value, n) }?;
        buf.copy_from_slice(octets.get(..n).unwrap_or_default());
        // SAFETY: as above.
        unsafe { *len = n as socklen_t };
        Ok(())
    }))
}

unsafe extern "C" fn setsockopt(
    _: User,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    done(host().and_then(|host| {
        // SAFETY: the caller's pointer, as setsockopt(2) has it.
        let value = unsafe { input(value, len as usize) }?;
        host.set_option(fd, level, name, value)
    }))
}

unsafe extern "C" fn poll(_: User, fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    int(host().and_then(|host| {
        let count = count as usize;
        plausible(fds.cast(), count.saturating_mul(size_of::<pollfd>()))?;
        let fds = if count == 0 {
            &mut []
        } else {
            // SAFETY: the caller's array, as poll(2) has it.
            unsafe { slice::from_raw_parts_mut(fds, count) }
        };
        host.poll(fds, timeout).map(|n| n as c_int)
    }))
}

unsafe extern "C" fn netdev_send(_: User, packet: *const c_void, len: size_t) -> c_int {
    done(host().and_then(|host| {
        // SAFETY: packetdrill gives a packet of `len` octets.
        host.input(unsafe { input(packet, len) }?);
        Ok(())
    }))
}

unsafe extern "C" fn netdev_receive(
    _: User,
    buf: *mut c_void,
    len: *mut size_t,
    time: *mut c_longlong,
) -> c_int {
    done(host().and_then(|host| {
        let (at, packet) = match host.output() {
            Some(packet) => packet,
            None => (host.now(), Vec::new()),
        };
        // SAFETY: packetdrill gives a buffer of `*len` octets, and places for the two numbers.
        unsafe {
            let n = packet.len().min(*len);
            output(buf, n)?.copy_from_slice(packet.get(..n).unwrap_or_default());
            *len = n;
            *time = at as c_longlong;
        }
        Ok(())
    }))
}

extern "C" fn usleep(_: User, span: c_uint) -> c_int {
    done(host().map(|host| host.sleep(u64::from(span))))
}

unsafe extern "C" fn gettimeofday(_: User, time: *mut timeval, _zone: *mut c_void) -> c_int {
    done(host().and_then(|host| {
        plausible(time.cast(), size_of::<timeval>())?;
        let now = host.now();
        // SAFETY: the caller's place, as gettimeofday(2) has it.
        unsafe {
            time.write(timeval {
                tv_sec: (now / 1_000_000) as _,
                tv_usec: (now % 1_000_000) as _,
            });
        }
        Ok(())
    }))
}

extern "C" fn epoll_create(_: User, size: c_int) -> c_int {
    int(host().and_then(|host| host.epoll_create(size)))
}

unsafe extern "C" fn epoll_ctl(
    _: User,
    epfd: c_int,
    op: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    // SAFETY: the caller's event or null, as epoll_ctl(2) has it.
    let event = (!event.is_null()).then(|| unsafe { event.read_unaligned() });
    done(host().and_then(|host| host.epoll_ctl(epfd, op, fd, event)))
}

unsafe extern "C" fn epoll_wait(
    _: User,
    epfd: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
) -> c_int {
    int(host().and_then(|host| {
        let found = host.epoll_wait(epfd, most, timeout)?;
        for (at, event) in found.iter().enumerate() {
            // SAFETY: no more than `most` are found, and as many the caller has room for.
            unsafe { events.add(at).write_unaligned(*event) };
        }
        Ok(found.len() as c_int)
    }))
}

unsafe extern "C" fn pipe(_: User, fds: *mut c_int) -> c_int {
    use std::os::fd::IntoRawFd;
    done((|| {
        plausible(fds.cast(), 2 * size_of::<c_int>())?;
        let (reader, writer) = rustix::pipe::pipe()?;
        // SAFETY: the caller's array of two, as pipe(2) has it.
        unsafe {
            fds.write(reader.into_raw_fd());
            fds.add(1).write(writer.into_raw_fd());
        }
        Ok(())
    })())
}

unsafe extern "C" fn splice(
    _: User,
    from: c_int,
    _from_at: *mut loff_t,
    to: c_int,
    _to_at: *mut loff_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    let wait = flags & libc::SPLICE_F_NONBLOCK == 0;
    size(host().and_then(|host| host.splice(from, to, len, wait)))
}
