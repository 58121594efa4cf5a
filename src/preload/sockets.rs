//! Sockets, data, descriptors and names.

use libc::{c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void, size_t, ssize_t};

use super::{pass, pass_ours};
use crate::capi::types::*;
use crate::capi::*;

pass! {
    socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int = tunsock_socket;
    bind(fd: c_int, addr: *const tunsock_sockaddr, len: tunsock_socklen_t) -> c_int = tunsock_bind;
    listen(fd: c_int, backlog: c_int) -> c_int = tunsock_listen;
    accept(fd: c_int, addr: *mut tunsock_sockaddr, len: *mut tunsock_socklen_t) -> c_int = tunsock_accept;
    accept4(fd: c_int, addr: *mut tunsock_sockaddr, len: *mut tunsock_socklen_t, flags: c_int) -> c_int = tunsock_accept4;
    connect(fd: c_int, addr: *const tunsock_sockaddr, len: tunsock_socklen_t) -> c_int = tunsock_connect;
    __connect(fd: c_int, addr: *const tunsock_sockaddr, len: tunsock_socklen_t) -> c_int = tunsock_connect;
    shutdown(fd: c_int, how: c_int) -> c_int = tunsock_shutdown;
    getsockname(fd: c_int, addr: *mut tunsock_sockaddr, len: *mut tunsock_socklen_t) -> c_int = tunsock_getsockname;
    getpeername(fd: c_int, addr: *mut tunsock_sockaddr, len: *mut tunsock_socklen_t) -> c_int = tunsock_getpeername;
    getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut tunsock_socklen_t) -> c_int = tunsock_getsockopt;
    setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: tunsock_socklen_t) -> c_int = tunsock_setsockopt;

    sendmmsg(fd: c_int, messages: *mut tunsock_mmsghdr, count: c_uint, flags: c_int) -> c_int = tunsock_sendmmsg;
    recvmmsg(fd: c_int, messages: *mut tunsock_mmsghdr, count: c_uint, flags: c_int, timeout: *mut tunsock_timespec) -> c_int = tunsock_recvmmsg;
    sendfile(to: c_int, from: c_int, at: *mut libc::off_t, len: size_t) -> ssize_t = tunsock_sendfile;
    sendfile64(to: c_int, from: c_int, at: *mut libc::off_t, len: size_t) -> ssize_t = tunsock_sendfile;
    splice(from: c_int, from_at: *mut libc::off_t, to: c_int, to_at: *mut libc::off_t, len: size_t, flags: c_uint) -> ssize_t = tunsock_splice;
    preadv2(fd: c_int, pieces: *const tunsock_iovec, count: c_int, at: libc::off_t, flags: c_int) -> ssize_t = tunsock_preadv2;
    preadv64v2(fd: c_int, pieces: *const tunsock_iovec, count: c_int, at: libc::off_t, flags: c_int) -> ssize_t = tunsock_preadv2;
    pwritev2(fd: c_int, pieces: *const tunsock_iovec, count: c_int, at: libc::off_t, flags: c_int) -> ssize_t = tunsock_pwritev2;
    pwritev64v2(fd: c_int, pieces: *const tunsock_iovec, count: c_int, at: libc::off_t, flags: c_int) -> ssize_t = tunsock_pwritev2;

    close(fd: c_int) -> c_int = tunsock_close;
    __close(fd: c_int) -> c_int = tunsock_close;
    close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int = tunsock_close_range;
    closefrom(first: c_int) = tunsock_closefrom;
    dup(fd: c_int) -> c_int = tunsock_dup;
    dup2(old_fd: c_int, new_fd: c_int) -> c_int = tunsock_dup2;
    __dup2(old_fd: c_int, new_fd: c_int) -> c_int = tunsock_dup2;
    dup3(old_fd: c_int, new_fd: c_int, flags: c_int) -> c_int = tunsock_dup3;
    // fcntl and ioctl are variadic in C. Stable Rust can't define that, and needs not to: on x86-64 and arm64 (System V and AAPCS64)
    // a variadic caller passes the third argument in the same register as a caller of three fixed ones, and one that passes
    // only two leaves a value there that the commands without an argument do not look at.
    fcntl(fd: c_int, command: c_int, arg: c_long) -> c_int = tunsock_fcntl;
    fcntl64(fd: c_int, command: c_int, arg: c_long) -> c_int = tunsock_fcntl;
    __fcntl(fd: c_int, command: c_int, arg: c_long) -> c_int = tunsock_fcntl;
    ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int = tunsock_ioctl;
    sockatmark(fd: c_int) -> c_int = tunsock_sockatmark;

    setipv4sourcefilter(fd: c_int, interface: tunsock_in_addr, group: tunsock_in_addr, fmode: u32, numsrc: u32, slist: *const tunsock_in_addr) -> c_int = tunsock_setipv4sourcefilter;
    getipv4sourcefilter(fd: c_int, interface: tunsock_in_addr, group: tunsock_in_addr, fmode: *mut u32, numsrc: *mut u32, slist: *mut tunsock_in_addr) -> c_int = tunsock_getipv4sourcefilter;
    setsourcefilter(fd: c_int, interface: u32, group: *const tunsock_sockaddr, group_len: tunsock_socklen_t, fmode: u32, numsrc: u32, slist: *const tunsock_sockaddr_storage) -> c_int = tunsock_setsourcefilter;
    getsourcefilter(fd: c_int, interface: u32, group: *const tunsock_sockaddr, group_len: tunsock_socklen_t, fmode: *mut u32, numsrc: *mut u32, slist: *mut tunsock_sockaddr_storage) -> c_int = tunsock_getsourcefilter;

    if_nametoindex(name: *const c_char) -> c_uint = tunsock_if_nametoindex;
    if_indextoname(index: c_uint, name: *mut c_char) -> *mut c_char = tunsock_if_indextoname;
    if_nameindex() -> *mut tunsock_if_nameindex = crate::capi::tunsock_if_nameindex;
    if_freenameindex(list: *mut tunsock_if_nameindex) = tunsock_if_freenameindex;
    getifaddrs(list: *mut *mut tunsock_ifaddrs) -> c_int = tunsock_getifaddrs;
    freeifaddrs(list: *mut tunsock_ifaddrs) = tunsock_freeifaddrs;

    getaddrinfo(node: *const c_char, service: *const c_char, hints: *const tunsock_addrinfo, answers: *mut *mut tunsock_addrinfo) -> c_int = tunsock_getaddrinfo;
    freeaddrinfo(answers: *mut tunsock_addrinfo) = tunsock_freeaddrinfo;
    getnameinfo(addr: *const tunsock_sockaddr, len: tunsock_socklen_t, host: *mut c_char, host_len: tunsock_socklen_t, service: *mut c_char, service_len: tunsock_socklen_t, flags: c_int) -> c_int = tunsock_getnameinfo;
    getaddrinfo_a(mode: c_int, list: *const *mut c_void, count: c_int, signal: *mut c_void) -> c_int = tunsock_getaddrinfo_a;
    gai_error(request: *mut c_void) -> c_int = tunsock_gai_error;
    gai_cancel(request: *mut c_void) -> c_int = tunsock_gai_cancel;
    gai_suspend(list: *const *const c_void, count: c_int, timeout: *const tunsock_timespec) -> c_int = tunsock_gai_suspend;
    gethostid() -> c_long = tunsock_gethostid;
    gethostbyname(name: *const c_char) -> *mut tunsock_hostent = tunsock_gethostbyname;
    gethostbyname2(name: *const c_char, family: c_int) -> *mut tunsock_hostent = tunsock_gethostbyname2;
    gethostbyaddr(addr: *const c_void, len: tunsock_socklen_t, family: c_int) -> *mut tunsock_hostent = tunsock_gethostbyaddr;
    gethostbyname_r(name: *const c_char, entry: *mut tunsock_hostent, room: *mut c_char, len: size_t, answer: *mut *mut tunsock_hostent, why: *mut c_int) -> c_int = tunsock_gethostbyname_r;
    gethostbyname2_r(name: *const c_char, family: c_int, entry: *mut tunsock_hostent, room: *mut c_char, len: size_t, answer: *mut *mut tunsock_hostent, why: *mut c_int) -> c_int = tunsock_gethostbyname2_r;
    gethostbyaddr_r(addr: *const c_void, addr_len: tunsock_socklen_t, family: c_int, entry: *mut tunsock_hostent, room: *mut c_char, len: size_t, answer: *mut *mut tunsock_hostent, why: *mut c_int) -> c_int = tunsock_gethostbyaddr_r;

    // libc's own names have two underscores (resolv.h before 2.34).
    res_query(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_query;
    res_nquery(state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_nquery;
    __res_query(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_query;
    __res_nquery(state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_nquery;
    res_search(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_search;
    res_nsearch(state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_nsearch;
    __res_search(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_search;
    __res_nsearch(state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_nsearch;
    res_querydomain(name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_querydomain;
    res_nquerydomain(state: *mut c_void, name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_nquerydomain;
    __res_querydomain(name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_querydomain;
    __res_nquerydomain(state: *mut c_void, name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_nquerydomain;
    res_send(message: *const c_uchar, message_len: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_send;
    res_nsend(state: *mut c_void, message: *const c_uchar, message_len: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_nsend;
    __res_send(message: *const c_uchar, message_len: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_send;
    __res_nsend(state: *mut c_void, message: *const c_uchar, message_len: c_int, answer: *mut c_uchar, len: c_int) -> c_int = tunsock_res_nsend;
}

pass_ours! {
    send(fd: c_int, data: *const c_void, len: size_t, flags: c_int) -> ssize_t = tunsock_send, else originals::send;
    __send(fd: c_int, data: *const c_void, len: size_t, flags: c_int) -> ssize_t = tunsock_send, else originals::send;
    sendto(fd: c_int, data: *const c_void, len: size_t, flags: c_int, addr: *const tunsock_sockaddr, addr_len: tunsock_socklen_t) -> ssize_t = tunsock_sendto, else originals::sendto;
    sendmsg(fd: c_int, message: *const tunsock_msghdr, flags: c_int) -> ssize_t = tunsock_sendmsg, else originals::sendmsg;
    recv(fd: c_int, data: *mut c_void, len: size_t, flags: c_int) -> ssize_t = tunsock_recv, else originals::recv;
    recvfrom(fd: c_int, data: *mut c_void, len: size_t, flags: c_int, addr: *mut tunsock_sockaddr, addr_len: *mut tunsock_socklen_t) -> ssize_t = tunsock_recvfrom, else originals::recvfrom;
    recvmsg(fd: c_int, message: *mut tunsock_msghdr, flags: c_int) -> ssize_t = tunsock_recvmsg, else originals::recvmsg;
    read(fd: c_int, data: *mut c_void, len: size_t) -> ssize_t = tunsock_read, else originals::read;
    __read(fd: c_int, data: *mut c_void, len: size_t) -> ssize_t = tunsock_read, else originals::read;
    write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t = tunsock_write, else originals::write;
    __write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t = tunsock_write, else originals::write;
    readv(fd: c_int, pieces: *const tunsock_iovec, count: c_int) -> ssize_t = tunsock_readv, else originals::readv;
    writev(fd: c_int, pieces: *const tunsock_iovec, count: c_int) -> ssize_t = tunsock_writev, else originals::writev;
}
