//! stdio over a socket of ours. libc's streams read and write below every name that we export, so `fdopen` of such a socket makes a
//! stream of libc's own kind for foreign sources (fopencookie(3)) whose reads and writes come back to us.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_char, c_int, c_void, size_t, ssize_t};

use crate::capi::{forget, originals, tunsock_close, tunsock_read, tunsock_write};
use crate::fd::{self, Object};
use crate::runtime::critical::Critical;
use crate::runtime::{Mutex, MutexGuard};

/// cookie_io_functions_t of stdio.h.
#[repr(C)]
struct Functions {
    read: Option<unsafe extern "C" fn(*mut c_void, *mut c_char, size_t) -> ssize_t>,
    write: Option<unsafe extern "C" fn(*mut c_void, *const c_char, size_t) -> ssize_t>,
    seek: Option<unsafe extern "C" fn(*mut c_void, *mut libc::off64_t, c_int) -> c_int>,
    close: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
}

unsafe extern "C" {
    fn fopencookie(cookie: *mut c_void, mode: *const c_char, functions: Functions) -> *mut c_void;
}

/// Our streams' descriptors, by the stream's address: fileno(3) of a stream with a foreign source has none to tell.
static STREAMS: Mutex<Streams> = Mutex::new(None);
pub(super) type Streams = Option<HashMap<usize, c_int>>;
/// A stream of ours was ever made.
static ANY: AtomicBool = AtomicBool::new(false);

/// Before a fork: the child's copy is to be whole.
pub(super) fn hold() -> MutexGuard<'static, Streams> {
    STREAMS.lock()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdopen(fd: c_int, mode: *const c_char) -> *mut c_void {
    let Some(Object::Socket(_)) = fd::settle(fd) else {
        // SAFETY: the caller's own arguments.
        let stream = unsafe { originals::fdopen(fd, mode) };
        if let Some(Object::Relay(_)) = fd::lookup(fd) {
            note(stream, fd);
        }
        return stream;
    };
    let functions = Functions {
        read: Some(read),
        write: Some(write),
        seek: None,
        close: Some(close),
    };
    // SAFETY: the caller's mode; the cookie is a number, not a pointer.
    let stream = unsafe {
        fopencookie(
            std::ptr::without_provenance_mut(fd as usize),
            mode,
            functions,
        )
    };
    note(stream, fd);
    stream
}

fn note(stream: *mut c_void, fd: c_int) {
    if !stream.is_null() {
        let _inside = Critical::enter();
        STREAMS
            .lock()
            .get_or_insert_default()
            .insert(stream.expose_provenance(), fd);
        ANY.store(true, Ordering::Release);
    }
}

/// Writes out the streams that are sockets of ours, standard output included, while there still are sockets. One that another thread
/// has locked (it may be reading for ever) is left to libc.
pub(super) fn flush_at_exit() {
    let standard = [libc::STDOUT_FILENO, libc::STDERR_FILENO];
    // SAFETY: libc's own variables, which a program may set but not unset.
    let standard = standard.into_iter().zip(unsafe { [stdout, stderr] });
    let mut streams: Vec<usize> = standard
        .filter(|(number, stream)| {
            !stream.is_null() && matches!(fd::lookup(*number), Some(Object::Relay(_)))
        })
        .map(|(_, stream)| stream.expose_provenance())
        .collect();
    let _inside = Critical::enter();
    if let Some(noted) = &*STREAMS.lock() {
        streams.extend(noted.keys());
    }
    for stream in streams {
        let stream = std::ptr::with_exposed_provenance_mut::<c_void>(stream);
        // SAFETY: a stream that is open: fclose takes its own out of the list.
        unsafe {
            if ftrylockfile(stream) == 0 {
                fflush_unlocked(stream);
                funlockfile(stream);
            }
        }
    }
}

unsafe extern "C" {
    static stdout: *mut c_void;
    static stderr: *mut c_void;
    fn ftrylockfile(stream: *mut c_void) -> c_int;
    fn funlockfile(stream: *mut c_void);
    fn fflush_unlocked(stream: *mut c_void) -> c_int;
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fileno(stream: *mut c_void) -> c_int {
    // SAFETY: the caller's own argument.
    number_of(stream).unwrap_or_else(|| unsafe { originals::fileno(stream) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fileno_unlocked(stream: *mut c_void) -> c_int {
    // SAFETY: the caller's own argument.
    number_of(stream).unwrap_or_else(|| unsafe { originals::fileno_unlocked(stream) })
}

/// Any other stream closes its number where we can't see it: what we have at the number ends here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fclose(stream: *mut c_void) -> c_int {
    let noted = number_of(stream);
    if noted.is_some() {
        let _inside = Critical::enter();
        if let Some(streams) = &mut *STREAMS.lock() {
            streams.remove(&stream.addr());
        }
    }
    let ours = noted.is_some_and(|fd| matches!(fd::lookup(fd), Some(Object::Socket(_))));
    if !ours && !stream.is_null() {
        // SAFETY: the caller's stream; errno is the calling thread's.
        unsafe {
            let before = *libc::__errno_location();
            let number = originals::fileno(stream);
            if number >= 0 {
                forget(number);
            }
            *libc::__errno_location() = before;
        }
    }
    // SAFETY: the caller's own argument.
    unsafe { originals::fclose(stream) }
}

/// The descriptor of a stream of ours.
fn number_of(stream: *mut c_void) -> Option<c_int> {
    if !ANY.load(Ordering::Acquire) {
        return None;
    }
    let _inside = Critical::enter();
    STREAMS.lock().as_ref()?.get(&stream.addr()).copied()
}

unsafe extern "C" fn read(cookie: *mut c_void, room: *mut c_char, len: size_t) -> ssize_t {
    // SAFETY: libc's own buffer.
    unsafe { tunsock_read(cookie.addr() as c_int, room.cast(), len) }
}

/// fopencookie(3): the bytes taken, 0 for an error.
unsafe extern "C" fn write(cookie: *mut c_void, data: *const c_char, len: size_t) -> ssize_t {
    let mut done = 0;
    while done < len {
        // SAFETY: libc's own buffer, from where we are in it.
        let sent =
            unsafe { tunsock_write(cookie.addr() as c_int, data.add(done).cast(), len - done) };
        match usize::try_from(sent) {
            Ok(sent) if sent > 0 => done += sent,
            _ => break,
        }
    }
    done as ssize_t
}

unsafe extern "C" fn close(cookie: *mut c_void) -> c_int {
    // SAFETY: a plain number.
    unsafe { tunsock_close(cookie.addr() as c_int) }
}
