//! Reading a stream from the device straight into the buffer of the thread that receives it.
//!
//! A frame's octets are known to be somebody's only when they have been read, so this is done only while frames of one connection come
//! one after the other with nothing in between ([`Streak`]), and only into buffers that hold a whole frame. A frame that turns out to be another is put
//! together and handled as usual; its octets have then been in a part of the program's buffer that recv has not filled yet.

use std::io::IoSliceMut;

use tunsock_link::LinkError;
use tunsock_stack::{Instant, SocketId};

use super::core::Core;
use super::log::{Level, log};

/// Large frames of one connection, one after the other, which make a stream.
const STREAM: u32 = 8;

/// Room for the text of any frame.
pub(crate) const ROOM: usize = 64 << 10;

/// Octets of a large frame.
const LARGE: usize = 32 << 10;

/// Octets that are read before the sender hears of it, at most: as many as [`Core::pump`] takes.
const HELD: usize = super::core::PUMP_OCTETS;

/// What the last frames were.
#[derive(Default)]
pub(super) struct Streak {
    id: Option<SocketId>,
    /// Large ones.
    frames: u32,
    /// The last was a small one: the end of what its sender wrote at once.
    ended: bool,
    /// It was told that streams are read in place.
    told: bool,
    /// The calling thread may take frames itself.
    taker: bool,
    /// Octets read in place since frames were last sent.
    held: usize,
    /// The acknowledgement of those can wait: more is there.
    hold: bool,
}

impl Streak {
    /// A frame of `len` octets came, with the next text of the connection `id` if any.
    #[inline]
    pub(super) fn note(&mut self, id: Option<SocketId>, len: usize) {
        let large = len >= LARGE;
        if id.is_none() || id != self.id || (self.ended && !large) {
            self.frames = 0;
        }
        self.id = id;
        self.frames = self.frames.saturating_add(large.into());
        self.ended = !large;
    }

    /// What was due has been sent.
    pub(super) fn flushed(&mut self) {
        self.held = 0;
        self.hold = false;
    }
}

impl Core {
    /// Whether `id` is a stream that the calling thread may read in place.
    pub(crate) fn streams(&self, id: SocketId) -> bool {
        self.streak.frames >= STREAM && self.streak.id == Some(id) && self.scatters
    }

    /// What the calling thread tries now may take frames, if `may`.
    pub(super) fn set_taker(&mut self, may: bool) {
        self.streak.taker = may;
    }

    /// Reads what comes for `id`, whose queue is empty, into `buf`. Returns octets; `None` when no frame was taken. After 0 the socket has to be looked
    /// at again.
    pub(crate) fn read_in_place(
        &mut self,
        now: Instant,
        id: SocketId,
        buf: &mut [u8],
    ) -> Option<usize> {
        if !self.streams(id) || !self.streak.taker || self.gone() || self.heard_by_others(id) {
            return None;
        }
        if self.next_deadline().is_some_and(|d| d <= now) {
            return None;
        }
        let mut done = 0;
        let mut taken = false;
        while let Some(room) = buf.get_mut(done..).filter(|room| room.len() >= ROOM)
            && self.streams(id)
        {
            let Some(place) = self.stack.place_for(id) else {
                break;
            };
            let Some(n) = self.read_one(now, id, place.headers, room) else {
                break;
            };
            taken = true;
            if n > 0 && !std::mem::replace(&mut self.streak.told, true) {
                let what = format_args!("a fast stream is read into recv's buffer from the device");
                log(Level::Debug, what);
            }
            done += n;
            self.streak.held += n;
            // What another frame sets going is for others too.
            let waits = n > 0 && self.streak.held < HELD.min(place.unacknowledged);
            self.streak.hold = waits;
        }
        self.streak.hold &= done > 0;
        self.pumped = now;
        taken.then_some(done)
    }

    /// One frame: octets of it that are in `room` to stay, 0 when it was another. `None`: there was none.
    fn read_one(
        &mut self,
        now: Instant,
        id: SocketId,
        headers: usize,
        room: &mut [u8],
    ) -> Option<usize> {
        let (head, rest) = self.frame.split_at_mut_checked(headers)?;
        let mut bufs = [IoSliceMut::new(head), IoSliceMut::new(room)];
        let len = match self.device.recv_scattered(now.as_micros(), &mut bufs) {
            Ok(len) => len,
            Err(error) => {
                self.streak.hold = false;
                match error {
                    LinkError::Gone => self.set_gone(),
                    LinkError::WouldBlock | LinkError::Full => {}
                    LinkError::Io(errno) => {
                        // EFAULT: the frame is lost as on any network, and read as others are when it comes again.
                        self.streak.note(None, 0);
                        log(Level::Debug, format_args!("reading the device: {errno}"));
                    }
                }
                return None;
            }
        };
        let text = room
            .get_mut(..len.saturating_sub(headers))
            .unwrap_or_default();
        if let Some(n) = self.stack.handle_placed(now, id, head, text) {
            self.streak.note((n > 0).then_some(id), n);
            return Some(n);
        }
        if let Some(rest) = rest.get_mut(..text.len()) {
            rest.copy_from_slice(text);
        }
        self.stack.handle_buffer(now, &mut self.frame, len);
        self.streak.note(None, len);
        Some(0)
    }

    /// Whether others are to hear of what `id` receives: then it is told in the order in which it happens.
    fn heard_by_others(&self, id: SocketId) -> bool {
        !self.followers.is_empty() || self.moves_others() || self.has_listeners(id)
    }

    /// A call has done its work and does not wait: see [`Core::finish`]; while a stream is read in place one acknowledgement is sent for many
    /// calls. The background thread sends it if no further call comes; while that sleeps as the driver nothing would wake it for this.
    pub(super) fn complete(&mut self, now: Instant, writer: Option<SocketId>) {
        let asleep = self.driver.as_ref().is_some_and(|d| d.background);
        if !std::mem::take(&mut self.streak.hold) || asleep {
            self.finish(now, writer);
        }
    }
}
