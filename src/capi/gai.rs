//! getaddrinfo_a and its kin: libc would ask from threads of its own, over the machine's network.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering::SeqCst};

use libc::{c_char, c_int, c_void};
use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::Timespec;

use super::errno;
use super::netdb::tunsock_getaddrinfo;
use super::types::{tunsock_addrinfo, tunsock_timespec};
use crate::runtime::critical::Critical;
use crate::runtime::{self, Mutex, MutexGuard};

/// struct gaicb of netdb.h.
#[repr(C)]
struct Request {
    name: *const c_char,
    service: *const c_char,
    hints: *const tunsock_addrinfo,
    result: *mut tunsock_addrinfo,
    /// What gai_error tells.
    outcome: AtomicI32,
    reserved: [c_int; 5],
}

/// struct sigevent of signal.h as far as it is used.
#[repr(C)]
#[derive(Copy, Clone)]
struct SigEvent {
    value: usize,
    signal: c_int,
    notify: c_int,
    function: Option<unsafe extern "C" fn(usize)>,
}

// netdb.h
const GAI_WAIT: c_int = 0;
const GAI_NOWAIT: c_int = 1;
const EAI_INPROGRESS: c_int = -100;
const EAI_CANCELED: c_int = -101;
const EAI_NOTCANCELED: c_int = -102;
const EAI_ALLDONE: c_int = -103;
const EAI_INTR: c_int = -104;

/// Threads that ask at once: as many as glibc has.
const WORKERS_MAX: usize = 20;

/// Requests that nobody works on yet.
struct Queue {
    waiting: VecDeque<Job>,
    workers: usize,
}

struct Job {
    request: *mut Request,
    batch: Arc<Batch>,
}

// SAFETY: getaddrinfo_a's caller leaves the request alone until it is done.
unsafe impl Send for Job {}

/// The requests of one call.
struct Batch {
    left: AtomicUsize,
    notice: Option<SigEvent>,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    waiting: VecDeque::new(),
    workers: 0,
});
/// Counts requests that are done; who waits for one sleeps on it.
static DONE: AtomicU32 = AtomicU32::new(0);

/// Starts to look up count names as tunsock_getaddrinfo does, each entry of list a struct gaicb of netdb.h or NULL. With mode GAI_WAIT
/// (0) it returns when all are done; with GAI_NOWAIT (1) at once, and when all are done it tells by signal (a struct sigevent, or NULL).
///
/// Returns 0, EAI_AGAIN (no thread was to be had), or EAI_SYSTEM with errno EINVAL (bad mode).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_getaddrinfo_a(
    mode: c_int,
    list: *const *mut c_void,
    count: c_int,
    signal: *mut c_void,
) -> c_int {
    if mode != GAI_WAIT && mode != GAI_NOWAIT {
        errno::set(libc::EINVAL);
        return libc::EAI_SYSTEM;
    }
    // SAFETY: the caller vouches for the list and the sigevent.
    let (requests, notice) = unsafe {
        let notice = signal.cast::<SigEvent>().as_ref().copied();
        (requests(list, count), notice)
    };
    let batch = Arc::new(Batch {
        left: AtomicUsize::new(requests.len()),
        notice: notice.filter(|_| mode == GAI_NOWAIT),
    });
    if requests.is_empty() {
        tell(&batch);
        return 0;
    }
    for &request in &requests {
        // SAFETY: the caller vouches.
        unsafe { (*request).outcome.store(EAI_INPROGRESS, SeqCst) };
    }
    if !enqueue(&requests, &batch) {
        return libc::EAI_AGAIN;
    }
    while mode == GAI_WAIT && batch.left.load(SeqCst) > 0 {
        let seen = DONE.load(SeqCst);
        if batch.left.load(SeqCst) > 0 {
            // Every outcome means: look again.
            let _ = futex::wait(&DONE, futex::Flags::PRIVATE, seen, None);
        }
    }
    0
}

/// How a request of tunsock_getaddrinfo_a stands: 0, an EAI_* value of tunsock_getaddrinfo, EAI_INPROGRESS or EAI_CANCELED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_gai_error(request: *mut c_void) -> c_int {
    // SAFETY: the caller vouches for the request.
    unsafe { (*request.cast::<Request>()).outcome.load(SeqCst) }
}

/// Takes a request of tunsock_getaddrinfo_a back. Returns EAI_CANCELED, EAI_NOTCANCELED (it is being worked on) or EAI_ALLDONE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_gai_cancel(request: *mut c_void) -> c_int {
    let request: *mut Request = request.cast();
    if request.is_null() {
        return EAI_ALLDONE;
    }
    let inside = Critical::enter();
    let mut queue = QUEUE.lock();
    let place = queue.waiting.iter().position(|job| job.request == request);
    let job = place.and_then(|place| queue.waiting.remove(place));
    drop(queue);
    drop(inside);
    match job {
        Some(job) => {
            finish(&job, EAI_CANCELED);
            EAI_CANCELED
        }
        // SAFETY: the caller vouches for the request.
        None if unsafe { (*request).outcome.load(SeqCst) } == EAI_INPROGRESS => EAI_NOTCANCELED,
        None => EAI_ALLDONE,
    }
}

/// Waits until one of the requests in list that are in progress is done, at most for timeout (NULL: for ever).
///
/// Returns 0, EAI_AGAIN (time is up), EAI_INTR (a signal handler ran) or EAI_ALLDONE (none is in progress).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tunsock_gai_suspend(
    list: *const *const c_void,
    count: c_int,
    timeout: *const tunsock_timespec,
) -> c_int {
    // SAFETY: the caller vouches for the list and the time.
    let (requests, timeout) = unsafe { (requests(list.cast(), count), timeout.as_ref()) };
    // SAFETY: as above.
    let in_progress =
        |request: &&*mut Request| unsafe { (***request).outcome.load(SeqCst) == EAI_INPROGRESS };
    let waited: Vec<*mut Request> = requests.iter().filter(in_progress).copied().collect();
    if waited.is_empty() {
        return EAI_ALLDONE;
    }
    let micros = timeout.map(|t| {
        let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
        let micros = u64::try_from(t.tv_nsec).unwrap_or(0) / 1000;
        seconds.saturating_mul(1_000_000).saturating_add(micros)
    });
    let end = micros.map(|m| runtime::sys::now().as_micros().saturating_add(m));
    loop {
        let seen = DONE.load(SeqCst);
        if !waited.iter().all(|request| in_progress(&request)) {
            return 0;
        }
        let left = end.map(|end| end.saturating_sub(runtime::sys::now().as_micros()));
        if left == Some(0) {
            return libc::EAI_AGAIN;
        }
        let left = left.map(|micros| Timespec {
            tv_sec: (micros / 1_000_000) as i64,
            tv_nsec: (micros % 1_000_000 * 1000) as _,
        });
        // Woken, changed before, or time is up: look again.
        let slept = futex::wait(&DONE, futex::Flags::PRIVATE, seen, left.as_ref());
        if slept == Err(Errno::INTR) {
            return EAI_INTR;
        }
    }
}

/// A fork in progress: the requests, so that the child's copy is whole.
pub(crate) struct Forking(MutexGuard<'static, Queue>);

impl Forking {
    /// Before the fork.
    pub(crate) fn begin() -> Forking {
        Forking(QUEUE.lock())
    }

    /// In the child: the threads that worked on them stayed with the parent, and so did who asked.
    pub(crate) fn end_in_child(mut self) {
        self.0.waiting.clear();
        self.0.workers = 0;
    }
}

/// The requests of a list that are there.
///
/// # Safety
/// `count` pointers, each NULL or a request.
unsafe fn requests(list: *const *mut c_void, count: c_int) -> Vec<*mut Request> {
    let count = usize::try_from(count).unwrap_or(0);
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller vouches.
    let all = (0..count).map(|at| unsafe { *list.add(at) }.cast::<Request>());
    all.filter(|request| !request.is_null()).collect()
}

/// Puts all into the queue; false, and none is in it, when there is no thread to work on them.
fn enqueue(requests: &[*mut Request], batch: &Arc<Batch>) -> bool {
    let _inside = Critical::enter();
    let mut queue = QUEUE.lock();
    for _ in requests {
        if queue.workers < WORKERS_MAX && start_worker() {
            queue.workers += 1;
        }
    }
    if queue.workers == 0 {
        return false;
    }
    let jobs = requests.iter().map(|&request| Job {
        request,
        batch: batch.clone(),
    });
    queue.waiting.extend(jobs);
    true
}

/// With every signal blocked: handlers are the program's threads' affair.
fn start_worker() -> bool {
    let mask = runtime::sys::block_signals();
    let started = std::thread::Builder::new()
        .name("tunsock names".into())
        .stack_size(STACK_SIZE)
        .spawn(work);
    runtime::sys::restore_signals(mask);
    started.is_ok()
}

/// A lookup's deepest call needs a fraction of this; thread-local storage of the program counts against it too.
const STACK_SIZE: usize = 512 * 1024;

/// Works until nothing waits.
fn work() {
    loop {
        let mut queue = QUEUE.lock();
        let Some(job) = queue.waiting.pop_front() else {
            queue.workers -= 1;
            return;
        };
        drop(queue);
        // SAFETY: the request is the library's until its outcome is stored.
        let outcome = unsafe {
            let request = job.request;
            let result = &raw mut (*request).result;
            result.write(std::ptr::null_mut());
            let (name, service) = ((*request).name, (*request).service);
            tunsock_getaddrinfo(name, service, (*request).hints, result)
        };
        finish(&job, outcome);
    }
}

/// A request is done; the last one of its call is told.
fn finish(job: &Job, outcome: c_int) {
    // SAFETY: the request is the library's until here.
    unsafe { (*job.request).outcome.store(outcome, SeqCst) };
    let last = job.batch.left.fetch_sub(1, SeqCst) == 1;
    DONE.fetch_add(1, SeqCst);
    let _ = futex::wake(&DONE, futex::Flags::PRIVATE, i32::MAX as u32);
    if last {
        tell(&job.batch);
    }
}

/// All requests of a call are done: what the caller wants to hear of that.
fn tell(batch: &Batch) {
    let Some(notice) = batch.notice else {
        return;
    };
    match (notice.notify, notice.function) {
        (libc::SIGEV_SIGNAL, _) => {
            let value = libc::sigval {
                sival_ptr: notice.value as *mut c_void,
            };
            // SAFETY: plain values, to this process.
            unsafe { libc::sigqueue(libc::getpid(), notice.signal, value) };
        }
        (libc::SIGEV_THREAD, Some(function)) => {
            let value = notice.value;
            // SAFETY: a function of the caller's for this purpose.
            let call = move || unsafe { function(value) };
            let _ = std::thread::Builder::new().spawn(call);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &'static std::ffi::CStr) -> Request {
        Request {
            name: name.as_ptr(),
            service: std::ptr::null(),
            hints: std::ptr::null(),
            result: std::ptr::null_mut(),
            outcome: AtomicI32::new(0),
            reserved: [0; 5],
        }
    }

    #[test]
    fn all_are_done_when_it_was_to_wait() {
        let mut one = request(c"127.0.0.1");
        let mut other = request(c"no numeric name with blanks");
        let list: [*mut c_void; 3] = [
            (&raw mut one).cast(),
            std::ptr::null_mut(),
            (&raw mut other).cast(),
        ];
        // SAFETY: the requests live on, and the list has three entries.
        unsafe {
            let none = std::ptr::null_mut();
            assert_eq!(tunsock_getaddrinfo_a(GAI_WAIT, list.as_ptr(), 3, none), 0);
            assert_eq!(tunsock_gai_error(list[0]), 0);
            assert_eq!(tunsock_gai_error(list[2]), libc::EAI_NONAME);
            assert_eq!(tunsock_gai_cancel(list[0]), EAI_ALLDONE);
            let list: *const *const c_void = list.as_ptr().cast();
            assert_eq!(tunsock_gai_suspend(list, 3, std::ptr::null()), EAI_ALLDONE);
            assert!(!one.result.is_null() && other.result.is_null());
            super::super::netdb::tunsock_freeaddrinfo(one.result);
        }
    }
}
