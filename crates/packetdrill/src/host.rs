//! Lock, virtual clock and waiting.
//!
//! packetdrill runs blocking calls in a second thread and everything else, the passing of time included, in the first. Time
//! moves only when the first thread sleeps or waits for a packet, and only once the second has come to rest: it is blocked in a
//! call of ours, or asleep because packetdrill has nothing for it to do. So a script's outcome does not depend on the machine.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
use rustix::process::getpid;
use rustix::thread::gettid;

use crate::errno::{CResult, Errno};
use crate::settings::Settings;
use crate::world::World;

/// How long, in virtual microseconds, the script waits for a packet before it is told that none will come.
const PATIENCE: u64 = 600_000_000;
/// Looks at the other thread before it is given up on.
const LOOKS: u32 = 20_000;

static HOST: RwLock<Option<Arc<Host>>> = RwLock::new(None);

/// The host under test.
pub(crate) struct Host {
    world: Mutex<World>,
    changed: Condvar,
}

/// Makes the host that the calls which follow are for.
pub(crate) fn start(settings: Settings) {
    let epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = epoch.map_or(0, |since| since.as_micros() as u64);
    let host = Host {
        world: Mutex::new(World::new(settings, now)),
        changed: Condvar::new(),
    };
    *HOST.write() = Some(Arc::new(host));
}

/// Ends it.
pub(crate) fn stop() {
    *HOST.write() = None;
}

/// The host, when there is one.
pub(crate) fn host() -> CResult<Arc<Host>> {
    let host = HOST.read().clone();
    host.ok_or(Errno(libc::ENXIO))
}

/// The thread that makes the time pass.
fn conducts() -> bool {
    gettid() == getpid()
}

/// Waits, in real time, until every other thread of this process sleeps. Must not be called with the lock held.
fn settle() {
    let own = gettid().as_raw_nonzero().get().to_string();
    for _ in 0..LOOKS {
        let busy = fs::read_dir("/proc/self/task")
            .into_iter()
            .flatten()
            .flatten()
            .filter(|task| task.file_name().to_str() != Some(&own))
            .any(|task| {
                let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                // The name may hold anything; the state follows its last parenthesis.
                stat.rsplit_once(") ")
                    .is_some_and(|(_, rest)| !rest.starts_with('S'))
            });
        if !busy {
            return;
        }
        thread::sleep(Duration::from_micros(20));
    }
}

impl Host {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock()
    }

    /// Runs `act` and lets what follows from it happen.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.lock();
        let outcome = act(&mut world);
        world.pump();
        self.changed.notify_all();
        outcome
    }

    /// Runs `act` again and again until it says something else than EAGAIN, or `until` (microseconds) has come: then EAGAIN.
    pub(crate) fn wait<T>(
        &self,
        until: Option<u64>,
        mut act: impl FnMut(&mut World) -> CResult<T>,
    ) -> CResult<T> {
        let mut world = self.lock();
        if let Some(until) = until {
            world.waits.push(until);
        }
        let began = world.now;
        loop {
            let outcome = act(&mut world);
            world.pump();
            self.changed.notify_all();
            if !matches!(outcome, Err(Errno(libc::EAGAIN)))
                || until.is_some_and(|until| world.now >= until)
            {
                return outcome;
            }
            if !conducts() {
                self.changed.wait(&mut world);
                continue;
            }
            // The script does not expect this call to block; nobody else moves the time.
            match world.next_deadline() {
                Some(at) if at < began + PATIENCE => world.arrive(at),
                _ => {
                    eprintln!("a call that the script expects to return would block for ever");
                    return outcome;
                }
            }
        }
    }

    /// Lets `span` microseconds pass.
    pub(crate) fn sleep(&self, span: u64) {
        settle();
        let mut world = self.lock();
        let target = world.now.saturating_add(span);
        while let Some(at) = world.next_deadline().filter(|&at| at <= target) {
            world.arrive(at);
            self.changed.notify_all();
            drop(world);
            settle();
            world = self.lock();
        }
        world.now = world.now.max(target);
    }

    /// The time, microseconds since the epoch. Each look takes a microsecond, so that who spins gets on.
    pub(crate) fn now(&self) -> u64 {
        let mut world = self.lock();
        let next = world.now + 1;
        if world.next_deadline().is_some_and(|at| at <= next) {
            world.arrive(next);
            self.changed.notify_all();
        }
        world.now = next;
        next
    }

    /// Gives the stack a packet.
    pub(crate) fn input(&self, packet: &[u8]) {
        settle();
        self.with(|world| world.input(packet));
    }

    /// The next packet of the stack and when it left; time passes until there is one. `None`: none will come.
    pub(crate) fn output(&self) -> Option<(u64, Vec<u8>)> {
        let limit = self.lock().now.saturating_add(PATIENCE);
        loop {
            settle();
            let mut world = self.lock();
            if let Some(packet) = world.out.pop_front() {
                return Some(packet);
            }
            let at = world.next_deadline().filter(|&at| at < limit)?;
            world.arrive(at);
            self.changed.notify_all();
        }
    }
}
