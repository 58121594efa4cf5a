//! Socket filters (socket(7), bpf(4)): SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_GET_FILTER.

use std::mem::offset_of;

use libc::{c_int, c_void, sock_filter, sock_fprog};
use tunsock_stack::filter::{Filter, INSTRUCTIONS_MAX, Instruction};

use super::errno::{CResult, Errno};
use super::options::Given;
use super::types::tunsock_socklen_t;
use super::user;
use crate::fd::SocketFile;
use crate::runtime::sys;

const EINVAL: Errno = Errno(libc::EINVAL);
/// The same number reads the filter and sets it.
const SO_GET_FILTER: c_int = libc::SO_ATTACH_FILTER;
/// asm-generic/socket.h.
const SO_ATTACH_REUSEPORT_CBPF: c_int = 51;
const SO_ATTACH_REUSEPORT_EBPF: c_int = 52;
const SO_DETACH_REUSEPORT_BPF: c_int = 68;
/// Octets of one instruction.
const INSTRUCTION: usize = size_of::<sock_filter>();

/// Sets an option of filters, on SOL_SOCKET; `None`: it is not one.
pub(super) fn set(socket: &SocketFile, name: c_int, given: &Given) -> Option<CResult<()>> {
    Some(match name {
        libc::SO_ATTACH_FILTER => attach(socket, given),
        libc::SO_DETACH_FILTER => detach(socket, given),
        SO_ATTACH_REUSEPORT_CBPF => attach_chooser(socket, given),
        SO_DETACH_REUSEPORT_BPF => detach_chooser(socket, given),
        libc::SO_ATTACH_BPF | SO_ATTACH_REUSEPORT_EBPF => refuse_descriptor(socket, given),
        _ => return None,
    })
}

fn attach(socket: &SocketFile, given: &Given) -> CResult<()> {
    Ok(socket.attach_filter(program(socket, given)?)?)
}

fn attach_chooser(socket: &SocketFile, given: &Given) -> CResult<()> {
    let program = program(socket, given)?;
    Ok(socket.attach_chooser(program)?)
}

fn detach_chooser(socket: &SocketFile, given: &Given) -> CResult<()> {
    given.int()?;
    Ok(socket.detach_chooser()?)
}

/// The program that struct sock_fprog names, checked.
fn program(socket: &SocketFile, given: &Given) -> CResult<Filter> {
    // sk_setsockopt: whatever the option, an int's worth of bytes is read first.
    given.int()?;
    if given.len != size_of::<sock_fprog>() {
        return Err(EINVAL);
    }
    let bytes: [u8; size_of::<sock_fprog>()] = given.bytes()?;
    let (mut len, mut at) = ([0; 2], [0; size_of::<usize>()]);
    len.copy_from_slice(&bytes[..2]);
    at.copy_from_slice(&bytes[offset_of!(sock_fprog, filter)..][..size_of::<usize>()]);
    socket.may_filter()?;
    let len = usize::from(u16::from_ne_bytes(len));
    let from = usize::from_ne_bytes(at) as *const c_void;
    // bpf_check_basics_ok.
    if from.is_null() || !(1..=INSTRUCTIONS_MAX).contains(&len) {
        return Err(EINVAL);
    }
    let mut bytes = vec![0u8; len * INSTRUCTION];
    user::copy_in(&mut bytes, from)?;
    let program: Vec<Instruction> = bytes.chunks_exact(INSTRUCTION).map(instruction).collect();
    Filter::new(&program).map_err(|_| EINVAL)
}

fn detach(socket: &SocketFile, given: &Given) -> CResult<()> {
    given.int()?;
    Ok(socket.detach_filter()?)
}

/// SO_ATTACH_BPF names a program that was loaded into the kernel, whose machine is not the stack's: no descriptor is one.
fn refuse_descriptor(socket: &SocketFile, given: &Given) -> CResult<()> {
    let fd = given.int()?;
    if given.len != size_of::<c_int>() {
        return Err(EINVAL);
    }
    socket.may_filter()?;
    Err(if sys::fcntl(fd, libc::F_GETFD, 0).is_ok() {
        EINVAL
    } else {
        Errno(libc::EBADF)
    })
}

/// Reads the filter into value, and how many instructions it has into *len, which bounds them too; `None`: another option.
pub(super) fn get(
    socket: &SocketFile,
    name: c_int,
    value: *mut c_void,
    len: *mut tunsock_socklen_t,
    room: usize,
) -> Option<CResult<()>> {
    (name == SO_GET_FILTER).then(|| read(socket, value, len, room))
}

/// sk_get_filter: with no room it tells how many instructions there are.
fn read(
    socket: &SocketFile,
    value: *mut c_void,
    len: *mut tunsock_socklen_t,
    room: usize,
) -> CResult<()> {
    let filter = socket.filter()?;
    let program = filter.as_ref().map_or(&[][..], Filter::instructions);
    if room > 0 && !program.is_empty() {
        if room < program.len() {
            return Err(EINVAL);
        }
        let bytes: Vec<u8> = program.iter().flat_map(bytes).collect();
        user::copy_out(value, &bytes)?;
    }
    user::write(len, program.len() as tunsock_socklen_t)
}

/// The instruction in its octets.
fn instruction(bytes: &[u8]) -> Instruction {
    match *bytes {
        [c0, c1, jt, jf, k0, k1, k2, k3] => Instruction {
            code: u16::from_ne_bytes([c0, c1]),
            jt,
            jf,
            k: u32::from_ne_bytes([k0, k1, k2, k3]),
        },
        _ => Instruction::default(),
    }
}

/// The octets of an instruction.
fn bytes(of: &Instruction) -> [u8; INSTRUCTION] {
    let ([c0, c1], [k0, k1, k2, k3]) = (of.code.to_ne_bytes(), of.k.to_ne_bytes());
    [c0, c1, of.jt, of.jf, k0, k1, k2, k3]
}
