//! What the lock guards: the stack, its device, who waits for which socket and who drives.

use std::io::IoSlice;
use std::sync::Arc;

use hashbrown::HashSet;
use slotmap::SecondaryMap;
use tunsock_link::{Device, LinkError};
use tunsock_stack::{Closed, Instant, Ready, Sink, SocketId, Stack};

use super::log::{Level, log};
use super::offer::Offers;
use super::place::Streak;
use super::sigio::Signal;
use super::states::States;
use super::sys;
use super::timer::Timer;
use super::waker::Waker;
use super::watched::Watched;

/// Everything under the runtime's lock. Nobody blocks or calls out of the library while holding it; the locks of epoll
/// sets are taken inside it, never the other way round.
pub(crate) struct Core {
    /// The host itself.
    pub(crate) stack: Stack,
    /// Who drives, or is about to.
    pub(super) driver: Option<Driver>,
    /// Threads that wait without driving, each with its index in [`Waker::place`].
    pub(super) followers: Vec<Arc<Waker>>,
    /// Frames arrive faster than they are waited for: taking all that are there is cheaper than one at a time.
    pub(super) crowded: bool,
    /// The thread woken last for a socket's event.
    pub(super) woken: Option<Arc<Waker>>,
    /// When frames were last asked for.
    pub(super) pumped: Instant,
    /// The last flush sent much.
    burst: bool,
    /// The last writer, and its octets that had not gone when acknowledgements were last looked for.
    waiting: (Option<SocketId>, usize),
    /// When to let others run.
    pub(super) offers: Offers,
    /// The background thread sleeps without a timeout because a driver waits.
    pub(super) background_parked: bool,
    pub(super) device: Box<dyn Device>,
    /// Frames can be read into several buffers.
    pub(super) scatters: bool,
    /// Who receives them.
    pub(super) streak: Streak,
    device_fd: i32,
    pub(super) timer: Timer,
    gone: bool,
    pub(super) frame: Box<[u8]>,
    /// Who waits for which socket. An entry stays until its socket is closed: it is mostly waited for again.
    pub(super) watched: SecondaryMap<SocketId, Watched>,
    spare_wakers: Vec<Arc<Waker>>,
    /// Threads to be woken whenever something may have moved.
    pub(super) movement: Vec<Arc<Waker>>,
    /// Every socket that the program has.
    open: HashSet<SocketId>,
    states: States,
    /// To be sent when the lock is given back.
    pub(super) signals: Vec<Signal>,
    /// Some socket has had signals asked for.
    pub(super) tells: bool,
}

/// The thread that has the role of moving the stack forward.
pub(super) struct Driver {
    /// Its waker.
    pub(super) waker: Arc<Waker>,
    /// It is the background thread, which yields to any other.
    pub(super) background: bool,
    /// When it last went to sleep.
    pub(super) since: Instant,
    /// When it wakes by itself; `None`: never.
    pub(super) until: Option<Instant>,
}

/// When a look at the device has found enough.
#[derive(Copy, Clone)]
enum Enough<'a> {
    /// When the device has no more, or a budget is used up.
    Nothing,
    /// When a small frame has woken this thread.
    Woken(&'a Waker),
    /// When there was a small frame.
    Small,
    /// When nothing that this stream has sent is unacknowledged.
    Acknowledged(SocketId),
}

/// The device as what takes the stack's frames.
struct Out<'a> {
    device: &'a mut dyn Device,
    /// Microseconds.
    now: u64,
    /// Octets so far.
    sent: usize,
    gone: bool,
}

impl Out<'_> {
    fn note(&mut self, frame: &[IoSlice<'_>]) {
        self.sent += frame.iter().map(|part| part.len()).sum::<usize>();
    }

    fn judge(&mut self, result: Result<(), LinkError>) {
        match result {
            Ok(()) => {}
            Err(LinkError::Gone) => self.gone = true,
            // A frame lost below is the transport's affair, as on any network.
            Err(error) => log(Level::Trace, format_args!("frame not sent: {error:?}")),
        }
    }
}

impl Sink for Out<'_> {
    fn frame(&mut self, frame: &[IoSlice<'_>]) {
        self.note(frame);
        let result = self.device.send(self.now, frame);
        self.judge(result);
    }

    fn frames(&mut self, frames: &[&[IoSlice<'_>]]) {
        frames.iter().for_each(|frame| self.note(frame));
        let result = self.device.send_all(self.now, frames);
        self.judge(result);
    }
}

/// Frames taken from the device before the others get the lock again.
const PUMP_BUDGET: usize = 64;

/// Octets after which no further one is taken. What was taken is read, and acknowledged, while a processor's own cache still has it; fewer
/// at a time would wake the sender for each.
pub(super) const PUMP_OCTETS: usize = 1 << 20;

/// Octets of a flush that are part of a bulk transfer.
const BURST: usize = 32 << 10;

/// A frame of a request or an answer, not of a bulk transfer: up to one packet of an Ethernet.
const SMALL_FRAME: usize = 1536;

/// Room for the largest frame (virtio-net header and 64 KB) rounded up.
const FRAME_ROOM: usize = 66 * 1024;

impl Core {
    /// A core over this stack and device.
    pub(super) fn new(stack: Stack, device: Box<dyn Device>, now: Instant) -> Core {
        let device_fd = device.fd().map_or(-1, |fd| {
            use std::os::fd::AsRawFd;
            fd.as_raw_fd()
        });
        super::reserve(device_fd);
        Core {
            stack,
            driver: None,
            followers: Vec::new(),
            woken: None,
            crowded: false,
            pumped: now,
            burst: false,
            waiting: (None, 0),
            offers: Offers::default(),
            background_parked: false,
            scatters: device.scatters(),
            streak: Streak::default(),
            device,
            device_fd,
            timer: Timer::new(),
            gone: false,
            frame: vec![0; FRAME_ROOM].into_boxed_slice(),
            watched: SecondaryMap::new(),
            spare_wakers: Vec::new(),
            movement: Vec::new(),
            open: HashSet::new(),
            states: States::default(),
            signals: Vec::new(),
            tells: false,
        }
    }

    /// The device's descriptor, to wait for frames; -1 when it has none or is gone.
    pub(super) fn device_fd(&self) -> i32 {
        if self.gone { -1 } else { self.device_fd }
    }

    /// Whether the device vanished: every call fails with `NetworkDown` from then on.
    pub(crate) fn gone(&self) -> bool {
        self.gone
    }

    /// The device vanished: everybody who waits is to look at it.
    pub(super) fn set_gone(&mut self) {
        if self.gone {
            return;
        }
        self.gone = true;
        log(
            Level::Error,
            format_args!("the TUN device is gone: the network is down"),
        );
        let everything = Ready::all();
        for watched in self.watched.values() {
            watched.threads.iter().for_each(|w| w.waker.wake());
            for hooked in &watched.hooks {
                hooked.hook.on_event(hooked.token, everything);
            }
        }
        self.movement.iter().for_each(|waker| waker.wake());
        if let Some(driver) = &self.driver {
            driver.waker.wake();
        }
    }

    /// What a socket is ready for; all over when the device is gone.
    pub(crate) fn readiness(&self, id: SocketId) -> Ready {
        if self.gone {
            return Ready::IN | Ready::OUT | Ready::ERR | Ready::HUP | Ready::RDHUP;
        }
        let ready = self.stack.readiness(id);
        // tcp_poll: who is told that there is no room hears when there is.
        if self.tells
            && !ready.contains(Ready::OUT)
            && let Some((sigio, true)) = self.watched.get(id).and_then(|w| w.sigio.as_ref())
        {
            sigio.want_room();
        }
        ready
    }

    /// The stack is told where it runs, if any socket wants to know (SO_INCOMING_CPU).
    fn tell_cpu(&mut self) {
        if self.stack.cpu_matters() {
            self.stack.on_cpu(sys::this_cpu());
        }
    }

    /// The earlier of the stack's and the device's deadline.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.gone {
            return None;
        }
        let device = self.device.next_deadline().map(Instant::from_micros);
        match (self.stack.next_deadline(), device) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Takes what has arrived and lets the timers run. With `own` the thread of that waker needs no more than its own
    /// wake-up: after a small frame that brought it, nothing further is read if nobody else waits and no crowd is behind it. True: so it was.
    pub(super) fn pump(&mut self, now: Instant, own: Option<&Waker>) -> bool {
        let own = own.filter(|_| self.one_will_do());
        self.take_frames(now, own.map_or(Enough::Nothing, Enough::Woken))
    }

    /// [`Core::pump`] for a thread that asks again: after a small frame nothing further is read, as there. True: something came.
    pub(super) fn take_one(&mut self, now: Instant) -> bool {
        let before = self.stack.stats().frames_in;
        let enough = if self.one_will_do() {
            Enough::Small
        } else {
            Enough::Nothing
        };
        self.take_frames(now, enough);
        self.stack.stats().frames_in != before
    }

    /// Nobody else waits, and no crowd is behind a frame.
    fn one_will_do(&self) -> bool {
        self.followers.is_empty() && !self.crowded
    }

    /// [`Core::pump`] until there is enough. True: this thread was woken, and looked no further.
    fn take_frames(&mut self, now: Instant, enough: Enough<'_>) -> bool {
        if self.gone {
            return false;
        }
        self.tell_cpu();
        let micros = now.as_micros();
        if self.device.next_deadline().is_some_and(|d| d <= micros) {
            self.device.poll(micros);
        }
        let (mut frames, mut octets) = (0, 0);
        let mut served = false;
        while frames < PUMP_BUDGET && octets < PUMP_OCTETS {
            match self.device.recv(micros, &mut self.frame) {
                Ok(len) => {
                    let len = len.min(self.frame.len());
                    frames += 1;
                    octets += len;
                    let id = self.stack.handle_buffer(now, &mut self.frame, len);
                    self.streak.note(id, len);
                    // What the other end's kernel says to a SYN-ACK it says inside our write: it is among the next frames.
                    self.send(now, Stack::answer);
                    match enough {
                        Enough::Woken(own) if len <= SMALL_FRAME => {
                            self.dispatch();
                            served = own.signaled();
                            if served {
                                break;
                            }
                        }
                        Enough::Small if len <= SMALL_FRAME => break,
                        Enough::Acknowledged(id) if self.acknowledged(id) => break,
                        _ => {}
                    }
                }
                Err(LinkError::WouldBlock | LinkError::Full) => break,
                Err(LinkError::Gone) => {
                    self.set_gone();
                    return false;
                }
                Err(LinkError::Io(errno)) => {
                    log(Level::Debug, format_args!("reading the device: {errno}"));
                    break;
                }
            }
        }
        if !matches!(enough, Enough::Woken(_) | Enough::Small) {
            self.crowded = frames > 1;
        }
        if self.stack.next_deadline().is_some_and(|d| d <= now) {
            self.stack.handle_timers(now);
        }
        self.pumped = now;
        self.movement.iter().for_each(|waker| waker.wake());
        served
    }

    /// Sends what the stack has to send, tells of readiness, and makes a sleeping driver look at an earlier deadline.
    pub(crate) fn flush(&mut self, now: Instant) {
        self.stack.release_end();
        self.flush_full(now);
    }

    /// As [`Core::flush`], but for the end of what is being written call after call.
    #[inline]
    fn flush_full(&mut self, now: Instant) {
        if self.gone {
            return;
        }
        self.streak.flushed();
        self.burst = false;
        if !self.stack.is_quiet() {
            self.flush_some(now);
        }
        self.states.tell(&self.stack);
        if self.driver.as_ref().is_some_and(|d| d.waker.asleep()) {
            self.hasten_driver(now);
        }
    }

    /// There is something to send or to tell of.
    fn flush_some(&mut self, now: Instant) {
        self.tell_cpu();
        let sent = self.send(now, |stack, sink| stack.transmit_to(now, sink));
        self.burst = sent >= BURST;
        if self.burst {
            self.note_sent(sent);
        }
        self.dispatch();
    }

    /// The driver sleeps: no longer than until the next deadline.
    fn hasten_driver(&mut self, now: Instant) {
        let next = self.next_deadline();
        if let (Some(driver), Some(next)) = (&mut self.driver, next)
            && driver.until.is_none_or(|until| next < until)
        {
            driver.until = Some(next);
            // No thread is woken just to sleep differently.
            if !self.timer.fire_by(next, now) {
                driver.waker.wake();
            }
        }
    }

    /// A call has sent what it had, and does not wait. Acknowledgements of a bulk transfer are taken now if nobody else will: left
    /// lying until the send queue is full, they would make it as large as it may be, and larger than a processor's cache. Once all that the
    /// stream `writer` has sent is acknowledged there is mostly nothing more, and no look for it.
    pub(super) fn finish(&mut self, now: Instant, writer: Option<SocketId>) {
        self.flush_full(now);
        let much = std::mem::take(&mut self.burst) || writer.is_some_and(|id| self.grows(id));
        if much && self.driver.as_ref().is_none_or(|d| d.background) {
            self.take_frames(now, writer.map_or(Enough::Nothing, Enough::Acknowledged));
            self.flush_full(now);
        }
    }

    /// Whether much has been written to this stream, since acknowledgements were last looked for, that the window does not let go.
    fn grows(&mut self, writer: SocketId) -> bool {
        let waiting = self.stack.never_sent_bytes(writer).unwrap_or(0);
        let (last, before) = self.waiting;
        let same = last == Some(writer);
        let grows = same && waiting >= before.saturating_add(BURST);
        if !same || grows || waiting < before {
            self.waiting = (Some(writer), waiting);
        }
        grows
    }

    /// Nothing that this stream has sent is still to be acknowledged.
    fn acknowledged(&self, id: SocketId) -> bool {
        self.stack.unsent_bytes(id) == self.stack.never_sent_bytes(id)
    }

    /// Hands the device what `what` asks of the stack. Returns octets.
    fn send(&mut self, now: Instant, what: impl FnOnce(&mut Stack, &mut dyn Sink)) -> usize {
        let mut out = Out {
            device: &mut *self.device,
            now: now.as_micros(),
            sent: 0,
            gone: false,
        };
        what(&mut self.stack, &mut out);
        let Out { sent, gone, .. } = out;
        if gone {
            self.set_gone();
        }
        sent
    }

    /// A FIN has gone, if any frame has since there were `sent` of them: what the other end's kernel says to that it has said inside our
    /// write. Taken now it wakes nobody later; a thread that sleeps at the device is awake already.
    pub(super) fn take_answer(&mut self, now: Instant, sent: u64) {
        if self.gone || self.driver.is_some() || self.stack.stats().frames_out == sent {
            return;
        }
        if let Ok(len) = self.device.recv(now.as_micros(), &mut self.frame) {
            let len = len.min(self.frame.len());
            self.stack.handle_buffer(now, &mut self.frame, len);
            self.flush(now);
        }
    }

    /// Wakes who waits for what has happened.
    #[inline]
    fn dispatch(&mut self) {
        if let Some(first) = self.stack.poll_event() {
            self.dispatch_all(first);
        }
    }

    fn dispatch_all(&mut self, first: (SocketId, Ready)) {
        let mut event = Some(first);
        while let Some((id, events)) = event {
            // Two arrivals: who is woken alone for something to read is not who waits for room to write.
            let (others, room) = (events - Ready::OUT, events & Ready::OUT);
            if !others.is_empty() {
                self.tell(id, others);
            }
            if !room.is_empty() {
                self.tell(id, room);
            }
            event = self.stack.poll_event();
        }
    }

    /// What is to be sent once the lock is given back.
    #[inline]
    pub(super) fn take_signals(&mut self) -> Option<Vec<Signal>> {
        (!self.signals.is_empty()).then(|| std::mem::take(&mut self.signals))
    }

    /// Writes out what the device has only buffered: a capture.
    pub(super) fn flush_capture(&mut self) {
        self.device.flush();
    }

    /// The program has this socket now.
    pub(crate) fn adopt(&mut self, id: SocketId) {
        self.open.insert(id);
    }

    /// Closes a socket.
    pub(super) fn close(&mut self, id: SocketId, now: Instant) -> Closed {
        if self.stack.close_loses_end(id) {
            self.flush(now);
        }
        self.forget_hooks(id);
        if self.open.remove(&id) {
            self.stack.close(now, id)
        } else {
            Closed::Done
        }
    }

    /// Closes every socket of the program, without waiting for any (as the kernel does for a process that ends).
    pub(super) fn close_all(&mut self, now: Instant) {
        self.flush(now);
        for id in std::mem::take(&mut self.open) {
            if let Closed::Linger(_) = self.stack.close(now, id) {
                self.stack.release(now, id);
            }
        }
    }

    /// A waker for a thread that must wait.
    pub(super) fn take_waker(&mut self) -> super::sys::SysResult<Arc<Waker>> {
        match self.spare_wakers.pop() {
            Some(waker) => Ok(waker),
            None => Waker::new().map(Arc::new),
        }
    }

    /// Gives a waker back for the next.
    pub(super) fn give_waker(&mut self, waker: Arc<Waker>) {
        waker.reset();
        self.spare_wakers.push(waker);
    }

    /// Of a forked child's copy: the stack moves no more, and its descriptors are closed here. They are the parent's to use.
    pub(super) fn stay_behind(&mut self) {
        self.gone = true;
        let waiting = self.watched.values().flat_map(|watched| &watched.threads);
        let wakers = self
            .spare_wakers
            .iter()
            .chain(&self.followers)
            .chain(&self.movement)
            .chain(self.driver.as_ref().map(|driver| &driver.waker))
            .chain(waiting.map(|watcher| &watcher.waker));
        wakers.for_each(|waker| waker.close());
        self.timer.close();
        super::release(self.device_fd);
        let _ = sys::close(self.device_fd);
    }
}
