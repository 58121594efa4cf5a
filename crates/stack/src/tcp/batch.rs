//! Super-segments of one connection, handed out together: a device that takes several frames in one go is spared a system call for each, and
//! who they wake finds all of them.

use std::io::IoSlice;

use smallvec::SmallVec;

use super::bytes::Slices;
use super::emit::Head;
use super::seq::SeqNum;
use super::tcb::Tcb;
use crate::sink::Sink;

/// Most at a time.
const MOST: usize = 8;

/// Octets of text from which on a segment is one of these.
const LONG: u32 = 16 << 10;

/// Segments that have been sent as far as the connection knows, and wait for the device.
#[derive(Default)]
pub(super) struct Batch(SmallVec<[Waiting; MOST]>);

struct Waiting {
    head: Head,
    /// Sequence number of the text's first octet.
    text: SeqNum,
    len: u32,
}

impl Batch {
    /// Whether a segment with `len` octets of text may wait for others.
    pub(super) fn fits(len: u32) -> bool {
        len >= LONG
    }

    /// A segment of this header and `len` octets of the send queue from `text` on.
    pub(super) fn push(&mut self, head: Head, text: SeqNum, len: u32) {
        self.0.push(Waiting { head, text, len });
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// There is to be no other before [`Batch::hand_out`].
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Gives `sink` all that wait, of connection `tcb`.
    pub(super) fn hand_out(&mut self, tcb: &Tcb, sink: &mut dyn Sink) {
        let waiting = std::mem::take(&mut self.0);
        let mut whole = SmallVec::<[Slices<'_>; MOST]>::new();
        for segment in &waiting {
            let mut frame = Slices::new();
            frame.push(IoSlice::new(segment.head.bytes()));
            let offset = segment.text.since(tcb.snd.base) as usize;
            let queue = &tcb.snd.queue;
            queue.slices(offset, segment.len as usize, &mut frame);
            whole.push(frame);
        }
        let frames: SmallVec<[&[IoSlice<'_>]; MOST]> = whole.iter().map(|f| &f[..]).collect();
        sink.frames(&frames);
    }
}
