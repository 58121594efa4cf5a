//! What a child process may do with the sockets that it has inherited.
//!
//! The stack stays with the parent. A child that uses an inherited connection, or puts it on a standard number for the program that it is
//! about to become, makes a relay: it keeps one end of a socketpair at the socket's numbers and sends the other to the parent, over a line
//! that was drawn before the fork. As long as the child lives, until its exec, the parent holds the child's references to the sockets, so a
//! connection that the parent closes meanwhile goes on.
//!
//! A child of vfork has the parent's memory but descriptors of its own. One line, for all of them, is drawn before the first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::*};

use hashbrown::HashMap;
use libc::c_int;
use rustix::io::Errno;

use super::super::table::Changing;
use super::super::{FdResult, Object, SocketFile, table};
use super::{STANDARD, end, fits, prepare, pump, replace};
use crate::runtime::critical::Critical;
use crate::runtime::{self, Mutex, release, reserve, sys};

/// The parent's side of a line, and what it holds for who is at the other.
pub(super) struct Loan {
    /// Our end.
    pub(super) line: c_int,
    /// Sockets by their cookies.
    held: Mutex<HashMap<u64, Arc<SocketFile>>>,
    /// Of children of vfork, one after the other: what is held is held for one relay.
    standing: bool,
}

/// A forked child's end of its line; -1: there is none.
static TO_PARENT: AtomicI32 = AtomicI32::new(-1);

/// This forked child has forked itself.
static FORKED_ON: AtomicBool = AtomicBool::new(false);

/// The line for children of vfork: its other end, and the loan.
static STANDING: Mutex<Option<(c_int, Arc<Loan>)>> = Mutex::new(None);

/// The relay that the present child of vfork has made.
static OF_THE_CHILD: Mutex<Option<ChildsRelay>> = Mutex::new(None);

struct ChildsRelay {
    process: i32,
    /// The socket's cookie.
    socket: u64,
    /// The number of the child's end, and what stands there.
    number: c_int,
    identity: (u64, u64),
}

/// Whether this process has the stack.
fn has_stack() -> bool {
    runtime::get().is_some_and(|runtime| runtime.alive())
}

impl Loan {
    /// Does what the other end asks for; false when there is none any more.
    pub(super) fn look(&self) -> bool {
        loop {
            let over = {
                // No child that is forked meanwhile gets a copy of what comes over the line.
                let changing = table::changing();
                match end::hear(self.line) {
                    Ok(Some((socket, ends))) => self.serve(&changing, socket, &ends),
                    Err(Errno::AGAIN) => return true,
                    Ok(None) | Err(_) => break,
                }
            };
            over.into_iter().for_each(pump::let_go);
        }
        let held = std::mem::take(&mut *self.held.lock());
        held.into_values().for_each(pump::let_go);
        false
    }

    /// Without descriptors: the child has closed its last number, and the socket is no longer held. With two: the ends of a relay, ours and
    /// the program's.
    fn serve(&self, changing: &Changing, socket: u64, ends: &[c_int]) -> Option<Arc<SocketFile>> {
        let file = {
            let mut held = self.held.lock();
            if self.standing || ends.is_empty() {
                held.remove(&socket)
            } else {
                held.get(&socket).cloned()
            }
        };
        let &[ours, theirs] = ends else {
            return file;
        };
        reserve(ours);
        let begun = file.is_some_and(|file| {
            let begun = pump::begin(file.clone(), ours).is_ok();
            if begun {
                for number in table::numbers_of(&file) {
                    replace(changing, number, theirs, &file);
                }
            }
            begun
        });
        if !begun {
            release(ours);
            let _ = sys::close(ours);
        }
        let _ = sys::close(theirs);
        None
    }

    /// Whether somebody at the other end has the socket.
    pub(super) fn holds(&self, file: &SocketFile) -> bool {
        self.held.lock().contains_key(&file.cookie())
    }

    /// In a forked child's copy: nothing is held for anybody.
    pub(super) fn forget(&self) {
        if let Some(mut held) = self.held.try_lock() {
            held.clear();
        }
    }
}

/// A fork in progress: what the parent is to hold for the child, and the child's end of the line. Over when it is dropped, in the parent.
pub(crate) struct LoanForking {
    drawn: Option<(Arc<Loan>, c_int)>,
}

impl LoanForking {
    /// Before the fork. Without descriptors for a line the child's sockets are dead.
    pub(crate) fn begin() -> LoanForking {
        if TO_PARENT.load(Acquire) >= 0 {
            FORKED_ON.store(true, Release);
        }
        LoanForking { drawn: draw() }
    }

    /// In the child: every socket is one that was inherited.
    pub(crate) fn end_in_child(mut self) {
        if let Some((loan, child)) = self.drawn.take() {
            loan.forget();
            pump::give_up(loan.line);
            TO_PARENT.store(child, Release);
        }
        if let Some(mut standing) = STANDING.try_lock()
            && let Some((other, _)) = standing.take()
        {
            pump::give_up(other);
        }
        table::inherit();
    }
}

impl Drop for LoanForking {
    fn drop(&mut self) {
        if let Some((loan, child)) = self.drawn.take() {
            pump::give_up(child);
            pump::listen(loan);
        }
    }
}

/// A line for a child, if there are sockets that it may want.
fn draw() -> Option<(Arc<Loan>, c_int)> {
    if !has_stack() {
        return None;
    }
    let held: HashMap<u64, Arc<SocketFile>> = (table::sockets().into_iter())
        .map(|file| (file.cookie(), file))
        .collect();
    if held.is_empty() {
        return None;
    }
    line_for(held, false)
}

/// A line with its loan, not yet listened to, and the other end.
fn line_for(held: HashMap<u64, Arc<SocketFile>>, standing: bool) -> Option<(Arc<Loan>, c_int)> {
    pump::start().ok()?;
    let (line, other) = end::line().ok()?;
    reserve(line);
    reserve(other);
    let held = Mutex::new(held);
    let loan = Loan {
        line,
        held,
        standing,
    };
    Some((Arc::new(loan), other))
}

/// In a forked child: gives an inherited connection's numbers a relay to the parent. False when that can't be.
pub(crate) fn take_over(file: &Arc<SocketFile>) -> bool {
    let line = TO_PARENT.load(Acquire);
    if line < 0 || !fits(file) {
        return false;
    }
    let _inside = Critical::enter();
    let changing = table::changing();
    let Ok((theirs, ours)) = end::pair() else {
        return false;
    };
    let told = hand_over(line, file, theirs, ours);
    if told.is_ok() {
        for number in table::numbers_of(file) {
            replace(&changing, number, theirs, file);
        }
        // From here on the relay is this process's hold on the socket.
        given_back(file);
    }
    let _ = sys::close(ours);
    let _ = sys::close(theirs);
    told.is_ok()
}

fn hand_over(line: c_int, file: &SocketFile, theirs: c_int, ours: c_int) -> Result<(), Errno> {
    prepare(file, theirs)?;
    end::tell(line, file.cookie(), &[ours, theirs])
}

/// In a forked child: the last number of an inherited socket is closed. Of other processes that have inherited it from here nothing is known;
/// while there may be any, the parent hears of the end of all of them only.
pub(crate) fn given_back(file: &SocketFile) {
    let line = TO_PARENT.load(Acquire);
    if line >= 0 && !FORKED_ON.load(Acquire) {
        let _ = end::tell(line, file.cookie(), &[]);
    }
}

/// Before a vfork: draws the line for its children, if this process has the stack.
pub(crate) fn before_vfork() {
    // A child of vfork that goes on like its parent has that one's memory, and numbers of its own: nothing here is for it to take.
    if runtime::owner::is_borrowed() || !has_stack() {
        return;
    }
    let _inside = Critical::enter();
    let drawn = {
        let mut standing = STANDING.lock();
        let drawn = standing.as_ref().map(|(_, loan)| loan.clone());
        if drawn.is_none()
            && let Some((loan, other)) = line_for(HashMap::new(), true)
        {
            pump::listen(loan.clone());
            *standing = Some((other, loan));
        }
        drawn
    };
    if let Some(loan) = drawn {
        // What the child before has asked for; else this one's copies of the numbers are of yesterday.
        loan.look();
    }
}

/// In a child of vfork: dup3 of a connection onto a standard number. `None`: nothing of the kind.
pub(crate) fn lend(old: c_int, new: c_int, flags: c_int) -> Option<FdResult<c_int>> {
    if new > STANDARD {
        return None;
    }
    lend_as(old, |end| sys::dup3(end, new, flags))
}

/// In a child of vfork: F_DUPFD of a connection, for the copy may go on to a standard number, and the entries are the parent's. `None`:
/// nothing of the kind.
pub(crate) fn lend_copy(old: c_int, cloexec: bool, min: c_int) -> Option<FdResult<c_int>> {
    lend_as(old, |end| sys::dup_from(end, cloexec, min))
}

/// A copy of the child's end of a relay for the connection at `old`, which is made if the child has none yet.
fn lend_as(old: c_int, copy: impl Fn(c_int) -> Result<c_int, Errno>) -> Option<FdResult<c_int>> {
    // The memory is the parent's, where the socket may have its relay already; this process's own number is as it was.
    let (file, fresh) = match table::lookup(old)? {
        Object::Socket(file) => (file, true),
        Object::Relay(file) => (file, false),
        Object::Inherited(_) | Object::Epoll(_) | Object::Netlink(_) => return None,
    };
    // Unless it is a relay's end here as well, or the child has put something else there.
    if !table::is_sockets(old) {
        return None;
    }
    let process = rustix::process::getpid().as_raw_nonzero().get();
    let mut made = OF_THE_CHILD.lock();
    if let Some(relay) = &*made
        && (relay.process, relay.socket) == (process, file.cookie())
        && sys::identity(relay.number) == Ok(relay.identity)
    {
        return Some(copy(relay.number).map_err(Into::into));
    }
    if !fresh || !fits(&file) {
        return None;
    }
    let (line, standing) = STANDING.lock().clone()?;
    let (theirs, ours) = end::pair().ok()?;
    standing.held.lock().insert(file.cookie(), file.clone());
    let told = hand_over(line, &file, theirs, ours);
    let _ = sys::close(ours);
    told.ok()?;
    *made = Some(ChildsRelay {
        process,
        socket: file.cookie(),
        number: theirs,
        identity: sys::identity(theirs).ok()?,
    });
    Some(copy(theirs).map_err(Into::into))
}
