//! The host under test: the stack, the packets on their way out, the descriptors, and the time.

use std::collections::VecDeque;
use std::os::fd::IntoRawFd;

use hashbrown::HashMap;
use libc::c_int;
use rustix::event::EventfdFlags;
#[cfg(not(test))]
use tunsock_stack::Stats;
use tunsock_stack::{Instant, Ready, SocketId, Stack};

use crate::device::{self, VNET_HDR_LEN};
use crate::epoll::EpollSet;
use crate::errno::{CResult, Errno};
#[cfg(not(test))]
use crate::proc::View;
#[cfg(not(test))]
use crate::queue;
use crate::settings::Settings;

/// What a descriptor of ours stands for.
pub(crate) enum File {
    /// A socket.
    Socket {
        /// In the stack.
        id: SocketId,
        /// O_NONBLOCK.
        nonblock: bool,
    },
    /// An epoll set.
    Epoll(EpollSet),
}

/// Everything under the one lock.
pub(crate) struct World {
    /// What the flags said.
    pub(crate) settings: Settings,
    stack: Option<Stack>,
    /// Super-segments leave whole.
    whole: bool,
    /// The device takes nothing: the stack is told so instead of being asked what it has.
    stopped: bool,
    /// The queue above the device is `fq`: it paces what does not ask for it, too. Told by the script's commands, for not every
    /// kernel has that queue to be looked at.
    pub(crate) fair: bool,
    /// The time, microseconds since the epoch.
    pub(crate) now: u64,
    /// Packets that left, with the time at which they did.
    pub(crate) out: VecDeque<(u64, Vec<u8>)>,
    files: HashMap<c_int, File>,
    /// When blocked calls have waited long enough.
    pub(crate) waits: Vec<u64>,
    /// What `nstat` has told already.
    #[cfg(not(test))]
    told: Vec<u8>,
}

impl World {
    /// A host that begins at `now`.
    pub(crate) fn new(settings: Settings, now: u64) -> World {
        World {
            settings,
            stack: None,
            whole: true,
            stopped: false,
            fair: false,
            now,
            out: VecDeque::new(),
            files: HashMap::new(),
            waits: Vec::new(),
            #[cfg(not(test))]
            told: Vec::new(),
        }
    }

    /// The time for the stack.
    pub(crate) fn instant(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    /// The stack. It is made at the first use: by then the script has set its sysctls.
    pub(crate) fn stack(&mut self) -> &mut Stack {
        if self.stack.is_none() {
            self.heed();
        }
        let now = self.instant();
        let settings = &self.settings;
        self.stack
            .get_or_insert_with(|| Stack::new(settings.config(), now))
    }

    /// The namespace's sysctls and its device may have changed.
    pub(crate) fn heed(&mut self) {
        self.whole = self.settings.takes_super_segments();
        self.stopped = !self.settings.takes_packets();
        if let Some(stack) = self.stack.as_mut() {
            stack.retune(self.settings.config());
        }
    }

    /// What commands find of the host.
    #[cfg(not(test))]
    pub(crate) fn view(&mut self) -> View {
        let history = std::mem::take(&mut self.told);
        match &self.stack {
            Some(stack) => View::new(&stack.stats(), &stack.sockets(), history),
            None => View::new(&Stats::default(), &[], history),
        }
    }

    /// A command of the script has run, with `view` before it.
    #[cfg(not(test))]
    pub(crate) fn commanded(&mut self, command: &str, view: View) {
        self.told = view.history;
        self.heed();
        self.fair |= queue::asks_for_fq(command);
        // Where the kernel keeps what it knows of servers.
        if command.contains("tcp_metrics flush")
            && let Some(stack) = self.stack.as_mut()
        {
            stack.forget_servers();
        }
    }

    /// Takes an IP packet from the script.
    pub(crate) fn input(&mut self, packet: &[u8]) {
        let mut frame = vec![0; VNET_HDR_LEN];
        frame.extend_from_slice(packet);
        let now = self.instant();
        self.stack().handle_frame(now, &frame);
        self.pump();
    }

    /// Lets what is ready leave, and epoll sets hear of what happened.
    pub(crate) fn pump(&mut self) {
        let now = self.instant();
        let Some(stack) = self.stack.as_mut() else {
            return;
        };
        let (out, at, whole) = (&mut self.out, self.now, self.whole);
        if self.stopped {
            stack.hold_back(now);
        } else {
            stack.transmit(now, &mut |frame| {
                let octets: Vec<u8> = frame.iter().flat_map(|part| part.iter().copied()).collect();
                if whole {
                    out.push_back((at, octets.get(VNET_HDR_LEN..).unwrap_or_default().to_vec()));
                } else {
                    out.extend(device::cut(&octets).into_iter().map(|packet| (at, packet)));
                }
            });
        }
        while let Some((id, what)) = stack.poll_event() {
            for file in self.files.values_mut() {
                if let File::Epoll(set) = file {
                    set.happened(id, what);
                }
            }
        }
    }

    /// When something happens of itself next.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let stack = self.stack.as_ref().and_then(Stack::next_deadline);
        let waits = self.waits.iter().copied().min();
        stack.map(Instant::as_micros).into_iter().chain(waits).min()
    }

    /// Moves to `now` and does what is due.
    pub(crate) fn arrive(&mut self, now: u64) {
        self.now = self.now.max(now);
        let now = self.now;
        self.waits.retain(|&at| at > now);
        let at = self.instant();
        if let Some(stack) = self.stack.as_mut() {
            stack.handle_timers(at);
        }
        self.pump();
    }

    /// Gives `file` a number.
    pub(crate) fn install(&mut self, file: File) -> CResult<c_int> {
        // A descriptor of the kernel keeps the number ours. At its end packetdrill closes what is left open past us.
        let fd = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?.into_raw_fd();
        self.files.insert(fd, file);
        Ok(fd)
    }

    /// Takes the number back.
    pub(crate) fn remove(&mut self, fd: c_int) -> Option<File> {
        self.files.remove(&fd)
    }

    /// What `fd` stands for, if it is ours.
    pub(crate) fn file(&mut self, fd: c_int) -> Option<&mut File> {
        self.files.get_mut(&fd)
    }

    /// The socket behind `fd`, and whether it is non-blocking.
    pub(crate) fn socket(&mut self, fd: c_int) -> CResult<(SocketId, bool)> {
        match self.file(fd) {
            Some(File::Socket { id, nonblock, .. }) => Ok((*id, *nonblock)),
            Some(File::Epoll(_)) => Err(Errno(libc::ENOTSOCK)),
            None => Err(Errno(libc::EBADF)),
        }
    }

    /// No epoll set knows `id` any longer.
    pub(crate) fn forget(&mut self, id: SocketId) {
        for file in self.files.values_mut() {
            if let File::Epoll(set) = file {
                set.forget(id);
            }
        }
    }

    /// What `id` is ready for.
    pub(crate) fn readiness(&self, id: SocketId) -> Ready {
        self.stack
            .as_ref()
            .map_or(Ready::ERR | Ready::HUP, |stack| stack.readiness(id))
    }

    /// The epoll set `epfd`, taken out while `act` works on it.
    pub(crate) fn with_set<T>(
        &mut self,
        epfd: c_int,
        act: impl FnOnce(&World, &mut EpollSet) -> CResult<T>,
    ) -> CResult<T> {
        let set = match self.file(epfd) {
            Some(File::Epoll(set)) => std::mem::take(set),
            Some(File::Socket { .. }) => return Err(Errno(libc::EINVAL)),
            None => return Err(Errno(libc::EBADF)),
        };
        let mut set = set;
        let outcome = act(self, &mut set);
        if let Some(File::Epoll(place)) = self.file(epfd) {
            *place = set;
        }
        outcome
    }
}
