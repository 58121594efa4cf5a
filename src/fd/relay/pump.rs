//! The thread that carries bytes between sockets of the stack and the relays' ends.
//!
//! Nothing is kept in between: what the stack has no room for stays in the socketpair, and what the socketpair has no room for stays in the
//! stack, so both sides feel the other's back-pressure. Of what the program wrote the last octet carried stays unread: closing
//! our end then is a reset to the program (unix_release_sock), and closing it after that octet is read is an end of file.

use std::io::{IoSlice, IoSliceMut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::sync::{Arc, Condvar, PoisonError};
use std::time::{Duration, Instant};

use libc::c_int;
use once_cell::sync::OnceCell;
use rustix::io::Errno;
use slotmap::{Key, KeyData, SlotMap, new_key_type};
use tunsock_stack::{Error, Ready, RecvFlags, SendControl, SendFlags, Shutdown, SockOpt};

use super::super::{Fail, SocketFile, dup, table};
use super::{end, loan::Loan};
use crate::runtime::critical::Critical;
use crate::runtime::{self, Hook, Level, Mutex, MutexGuard, Runtime, log, sys};

new_key_type! {
    /// A name in the list: the token of a relay's hook, and of its end or a loan's line in the kernel's set.
    struct RelayKey;
}

/// The token of the eventfd: of no relay, whose versions are odd.
const NEWS: u64 = 0;

/// Most bytes carried at a time.
const CHUNK: usize = 64 * 1024;

/// Of the thread: its deepest call is one into the stack.
const STACK_SIZE: usize = 512 * 1024;

/// How long a peer may take nothing at the end of the process.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often progress is looked for then.
const LOOK: Duration = Duration::from_secs(1);

/// All relays of the process, and what its thread waits for.
struct Pump {
    runtime: &'static Runtime,
    /// The kernel's epoll set of our ends, edge-triggered, and of `news`.
    epoll: c_int,
    /// An eventfd, readable while the stack has told of something.
    news: c_int,
    list: Mutex<List>,
    /// A relay is over.
    fewer: Condvar,
    /// Bytes that went to the stack so far.
    moved: AtomicU64,
    /// Nobody looks after it: this is a forked child's copy, and the thread is the parent's; or the thread can't sleep.
    dead: AtomicBool,
    /// The process ends: no number of its becomes a relay's end any more. Set while numbers may not change.
    ending: AtomicBool,
}

/// Taken inside the runtime's lock, never around it.
#[derive(Default)]
struct List {
    places: SlotMap<RelayKey, Place>,
    /// Which to look at, each once.
    ready: Vec<RelayKey>,
}

struct Place {
    what: What,
    queued: bool,
}

/// What the thread looks after.
#[derive(Clone)]
enum What {
    Relay(Arc<Relay>),
    Loan(Arc<Loan>),
}

struct Relay {
    file: Arc<SocketFile>,
    /// Our end of the pair, non-blocking.
    end: c_int,
    /// What hears of the socket's events.
    ears: Arc<dyn Hook>,
    flow: Mutex<Flow>,
    /// Every number of the program's is closed, and everything it wrote is on its way or about to be.
    closing: AtomicBool,
}

/// How far a relay has come. The pump's thread alone changes it.
#[derive(Default)]
struct Flow {
    /// The program's end of writing has become our FIN.
    fin_sent: bool,
    /// The peer's FIN has become an end of file.
    fin_given: bool,
    /// The program reads no more.
    deaf: bool,
}

/// What is next for a relay.
#[derive(PartialEq, Eq)]
enum Next {
    /// Wait for either side.
    Wait,
    /// Nothing can flow any more, all in order.
    Done,
    /// The connection is broken, which the program is to be told.
    Broken,
}

static PUMP: OnceCell<Pump> = OnceCell::new();

/// Starts the thread, if it does not run yet.
pub(super) fn start() -> Result<(), Errno> {
    let runtime = runtime::get().ok_or(Errno::NETDOWN)?;
    started(runtime).map(drop)
}

fn started(runtime: &'static Runtime) -> Result<&'static Pump, Errno> {
    let pump = PUMP.get_or_try_init(|| Pump::new(runtime))?;
    if pump.dead.load(Acquire) {
        return Err(Errno::NETDOWN);
    }
    Ok(pump)
}

/// From now on the thread carries bytes between this socket and `end`.
pub(super) fn begin(file: Arc<SocketFile>, end: c_int) -> Result<(), Errno> {
    let pump = started(file.runtime())?;
    sys::fcntl(end, libc::F_SETFL, libc::O_NONBLOCK)?;
    let id = file.id();
    let ears: Arc<dyn Hook> = Arc::new(Ears(pump));
    let relay = Relay {
        file,
        end,
        ears: ears.clone(),
        flow: Mutex::default(),
        closing: AtomicBool::new(false),
    };
    let key = pump.add(What::Relay(Arc::new(relay)), end)?;
    let Ok(mut core) = pump.runtime.lock() else {
        pump.list.lock().places.remove(key);
        let _ = sys::epoll_ctl(pump.epoll, libc::EPOLL_CTL_DEL, end, None);
        return Err(Errno::AGAIN);
    };
    core.hook(id, ears, key.data().as_ffi(), false);
    pump.tell(key);
    Ok(())
}

/// From now on the thread does what a loan's other end asks for. Without memory for that there is no loan.
pub(super) fn listen(loan: Arc<Loan>) {
    let line = loan.line;
    let added = PUMP.get().map(|pump| pump.add(What::Loan(loan), line));
    if !matches!(added, Some(Ok(_))) {
        give_up(line);
    }
}

/// Does now what children have asked for so far.
pub(super) fn catch_up() {
    let Some(pump) = PUMP.get().filter(|pump| !pump.dead.load(Acquire)) else {
        return;
    };
    let loans: Vec<Arc<Loan>> = (pump.list.lock().places.values())
        .filter_map(|place| match &place.what {
            What::Loan(loan) => Some(loan.clone()),
            What::Relay(_) => None,
        })
        .collect();
    for loan in loans {
        loan.look();
    }
}

/// Whether the process ends.
pub(super) fn ending() -> bool {
    PUMP.get().is_some_and(|pump| pump.ending.load(Acquire))
}

/// Gives a reference to a socket up, without waiting for SO_LINGER: this thread has others to look after.
pub(super) fn let_go(file: Arc<SocketFile>) {
    if let Some(file) = Arc::into_inner(file) {
        file.set_nonblocking(true);
        file.close();
    }
}

/// The end of the process: what it wrote goes to the stack, and relays that other processes have inherited go on until these are done
/// with them. A peer that takes nothing is waited for no longer than for any socket at the end.
pub(crate) fn at_exit() {
    let Some(pump) = PUMP.get().filter(|pump| !pump.dead.load(Acquire)) else {
        return;
    };
    {
        let _inside = Critical::enter();
        let _changing = table::changing();
        pump.ending.store(true, Release);
        for number in table::relays() {
            dup::forget(number);
            let _ = sys::close(number);
        }
    }
    let (mut moved, mut since) = (pump.moved.load(Relaxed), Instant::now());
    let mut list = pump.list.lock();
    while list.relays().next().is_some() && !pump.dead.load(Acquire) {
        let waited = pump.fewer.wait_timeout(list, LOOK);
        list = waited.unwrap_or_else(PoisonError::into_inner).0;
        let now = pump.moved.load(Relaxed);
        if now != moved || list.relays().any(|relay| !relay.closing.load(Relaxed)) {
            (moved, since) = (now, Instant::now());
        } else if since.elapsed() >= PATIENCE {
            return;
        }
    }
}

/// A fork in progress: the list's lock. Begun after the runtime's.
pub(crate) struct RelaysForking {
    list: Option<MutexGuard<'static, List>>,
}

impl RelaysForking {
    /// Before the fork.
    pub(crate) fn begin() -> RelaysForking {
        RelaysForking {
            list: PUMP.get().map(|pump| pump.list.lock()),
        }
    }

    /// In the child: the ends are the parent's to pump; copies here would keep the relays from ending.
    pub(crate) fn end_in_child(self) {
        let (Some(pump), Some(list)) = (PUMP.get(), self.list) else {
            return;
        };
        if pump.dead.swap(true, AcqRel) {
            return;
        }
        for place in list.places.values() {
            match &place.what {
                What::Relay(relay) => give_up(relay.end),
                What::Loan(loan) => {
                    loan.forget();
                    give_up(loan.line);
                }
            }
        }
        give_up(pump.epoll);
        give_up(pump.news);
    }
}

/// Closes a number of the library's own.
pub(super) fn give_up(own: c_int) {
    runtime::release(own);
    let _ = sys::close(own);
}

impl Pump {
    fn new(runtime: &'static Runtime) -> Result<Pump, Errno> {
        let epoll = sys::move_high(sys::epoll_create(libc::EPOLL_CLOEXEC)?);
        runtime::reserve(epoll);
        let news = Pump::news(epoll).inspect_err(|_| give_up(epoll))?;
        let mask = sys::block_signals();
        let started = std::thread::Builder::new()
            .name("tunsock-relay".into())
            .stack_size(STACK_SIZE)
            .spawn(|| PUMP.wait().run());
        sys::restore_signals(mask);
        if let Err(error) = started {
            log(Level::Warn, format_args!("no thread for relays: {error}"));
            give_up(epoll);
            give_up(news);
            return Err(Errno::NOMEM);
        }
        Ok(Pump {
            runtime,
            epoll,
            news,
            list: Mutex::default(),
            fewer: Condvar::new(),
            moved: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            ending: AtomicBool::new(false),
        })
    }

    /// The eventfd, in the set.
    fn news(epoll: c_int) -> Result<c_int, Errno> {
        let news = sys::eventfd()?;
        runtime::reserve(news);
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: NEWS,
        };
        sys::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, news, Some(&mut event))
            .inspect_err(|_| give_up(news))?;
        Ok(news)
    }

    /// The thread sleeps in the kernel's set alone and never moves the stack: threads of the program that wait do that as if it were
    /// not there, and the background thread while there are none.
    fn run(&self) {
        let mut room = vec![0; CHUNK].into_boxed_slice();
        let mut events = [std::mem::MaybeUninit::uninit(); 64];
        loop {
            let found = match sys::epoll_pwait(self.epoll, &mut events, -1, None) {
                Ok(found) => found,
                // Of a signal, and all are blocked.
                Err(Errno::INTR) => 0,
                // A seccomp filter of the program's: asking again and again would be all that this thread does.
                Err(error) => {
                    let list = self.list.lock();
                    self.dead.store(true, Release);
                    self.fewer.notify_all();
                    drop(list);
                    log(Level::Warn, format_args!("relays stand still: {error}"));
                    return;
                }
            };
            let tokens = events.get(..found).unwrap_or(&[]).iter().map(|event| {
                // SAFETY: the kernel has written so many.
                unsafe { event.assume_init() }.u64
            });
            let ready = {
                let mut list = self.list.lock();
                for token in tokens {
                    match token {
                        NEWS => sys::eventfd_clear(self.news),
                        token => drop(list.queue(KeyData::from_ffi(token).into())),
                    }
                }
                std::mem::take(&mut list.ready)
            };
            ready.into_iter().for_each(|key| self.look(key, &mut room));
        }
    }

    /// This one is to be looked at.
    fn tell(&self, key: RelayKey) {
        if self.list.lock().queue(key) {
            sys::eventfd_signal(self.news);
        }
    }

    /// One more to look after, whose descriptor is `end`.
    fn add(&self, what: What, end: c_int) -> Result<RelayKey, Errno> {
        let queued = false;
        let key = self.list.lock().places.insert(Place { what, queued });
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: key.data().as_ffi(),
        };
        let added = sys::epoll_ctl(self.epoll, libc::EPOLL_CTL_ADD, end, Some(&mut event));
        if added.is_err() {
            self.list.lock().places.remove(key);
        }
        added.map(|()| key)
    }

    fn look(&self, key: RelayKey, room: &mut [u8]) {
        // Not in the match: the lock would last as long.
        let what = self.list.lock().take_up(key);
        match what {
            Some(What::Relay(relay)) => self.look_at_relay(key, relay, room),
            Some(What::Loan(loan)) if !loan.look() => {
                give_up(loan.line);
                drop(self.list.lock().places.remove(key));
            }
            Some(What::Loan(_)) | None => {}
        }
    }

    fn look_at_relay(&self, key: RelayKey, relay: Arc<Relay>, room: &mut [u8]) {
        let next = relay.carry(room, &self.moved);
        if next == Next::Wait {
            return;
        }
        if next == Next::Done {
            // Without the octet that is always left, the close is no reset.
            let _ = end::recv(relay.end, room, false);
        }
        if let Ok(mut core) = self.runtime.lock() {
            core.unhook(relay.file.id(), &relay.ears, key.data().as_ffi());
        }
        give_up(relay.end);
        drop(self.list.lock().places.remove(key));
        if let Some(Relay { file, .. }) = Arc::into_inner(relay) {
            let_go(file);
        }
        self.fewer.notify_all();
    }
}

impl List {
    /// True when it is the first that the thread does not know of.
    fn queue(&mut self, key: RelayKey) -> bool {
        let Some(place) = self.places.get_mut(key) else {
            return false;
        };
        let first = self.ready.is_empty();
        if !std::mem::replace(&mut place.queued, true) {
            self.ready.push(key);
        }
        first
    }

    /// It is looked at now; news from here on queues it again.
    fn take_up(&mut self, key: RelayKey) -> Option<What> {
        let place = self.places.get_mut(key)?;
        place.queued = false;
        Some(place.what.clone())
    }

    fn relays(&self) -> impl Iterator<Item = &Relay> {
        self.places.values().filter_map(|place| match &place.what {
            What::Relay(relay) => Some(&**relay),
            What::Loan(_) => None,
        })
    }
}

impl Relay {
    /// Moves what can be moved, both ways.
    fn carry(&self, room: &mut [u8], moved: &AtomicU64) -> Next {
        let mut flow = self.flow.lock();
        let inward = self.inward(&mut flow, room);
        let outward = self.outward(&mut flow, room, moved);
        match (inward, outward) {
            (Next::Broken, _) | (_, Next::Broken) => Next::Broken,
            (_, Next::Done) if self.closing.load(Relaxed) || flow.fin_given || flow.deaf => {
                Next::Done
            }
            _ => Next::Wait,
        }
    }

    /// From the stack to the program.
    fn inward(&self, flow: &mut Flow, room: &mut [u8]) -> Next {
        while !flow.fin_given {
            let peeked = self.file.recv(
                &mut [IoSliceMut::new(room)],
                RecvFlags::PEEK,
                true,
                false,
                None,
            );
            let got = match peeked {
                Ok(got) => got.len,
                Err(Fail::Stack(Error::WouldBlock)) => return Next::Wait,
                Err(_) => return Next::Broken,
            };
            if got == 0 {
                flow.fin_given = true;
                end::end_writing(self.end);
                return Next::Done;
            }
            let taken = match end::send(self.end, room.get(..got).unwrap_or(&[])) {
                Ok(taken) => taken,
                Err(Errno::AGAIN) => return Next::Wait,
                // The program's end is closed, which is seen on the way out; others may have the socket.
                Err(_) if end::over(self.end).1 => return Next::Wait,
                // SHUT_RD: as on TCP what still comes is thrown away.
                Err(_) => {
                    flow.deaf = true;
                    got
                }
            };
            let mut taken = [IoSliceMut::new(room.get_mut(..taken).unwrap_or_default())];
            let _ = (self.file).recv(&mut taken, RecvFlags::TRUNC, true, false, None);
        }
        Next::Done
    }

    /// From the program to the stack.
    fn outward(&self, flow: &mut Flow, room: &mut [u8], moved: &AtomicU64) -> Next {
        // Asked before looking at the bytes: nothing comes after what this finds.
        let (over, gone) = end::over(self.end);
        loop {
            let got = end::recv(self.end, room, true).unwrap_or(0);
            let data = room.get(1..got).unwrap_or(&[]);
            if data.is_empty() {
                break;
            }
            let sent = (self.file).send(
                &[IoSlice::new(data)],
                SendFlags::empty(),
                true,
                None,
                &SendControl::default(),
            );
            match sent {
                Ok(taken) => {
                    moved.fetch_add(taken as u64, Relaxed);
                    // The last of these becomes the octet that is left.
                    self.discard(room, taken);
                }
                Err(Fail::Stack(Error::WouldBlock)) => return Next::Wait,
                Err(_) => return Next::Broken,
            }
        }
        if !over {
            return Next::Wait;
        }
        if gone && end::was_reset(self.end) {
            // The last owner has closed it with bytes unread: a reset, as on TCP (RFC 2525 2.17).
            if self.is_last_owner() {
                let _ = (self.file).set_option(SockOpt::Linger(Some(Duration::ZERO)));
            }
        } else if !flow.fin_sent && (!gone || flow.fin_given) {
            // Both halves over say nothing of a close; without the peer's, the end is closed, and the last owner's close is our FIN.
            let _ = self.file.shutdown(Shutdown::Write);
        }
        flow.fin_sent = true;
        self.closing.fetch_or(gone, Relaxed);
        Next::Done
    }

    /// Whether no number, child or other relay has the socket. (A number that is being closed still has a reference, but is not in the table.)
    fn is_last_owner(&self) -> bool {
        let others = PUMP.get().is_some_and(|pump| {
            let list = pump.list.lock();
            list.places.values().any(|place| match &place.what {
                What::Relay(relay) => relay.end != self.end && Arc::ptr_eq(&relay.file, &self.file),
                What::Loan(loan) => loan.holds(&self.file),
            })
        });
        !others && !table::has_numbers(&self.file)
    }

    /// Takes so many bytes off our end; they are there.
    fn discard(&self, room: &mut [u8], count: usize) {
        let mut left = count;
        while left > 0 {
            match end::recv(self.end, room.get_mut(..left).unwrap_or_default(), false) {
                Ok(taken) if taken > 0 => left = left.saturating_sub(taken),
                _ => return,
            }
        }
    }
}

/// The pump as a listener to a socket's events.
struct Ears(&'static Pump);

impl Hook for Ears {
    fn on_event(&self, token: u64, _: Ready) -> bool {
        self.0.tell(KeyData::from_ffi(token).into());
        // EPOLLEXCLUSIVE of others is not satisfied by it.
        false
    }

    fn on_close(&self, _: u64) {}
}
