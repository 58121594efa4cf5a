//! What takes the frames of a stack.

use std::io::IoSlice;

/// Takes frames that are to go: a device, or a wire in a test.
pub trait Sink {
    /// One frame, as slices that together are it; the first has the virtio-net header and the headers of the packet.
    fn frame(&mut self, frame: &[IoSlice<'_>]);

    /// Several, in this order.
    fn frames(&mut self, frames: &[&[IoSlice<'_>]]) {
        for frame in frames {
            self.frame(frame);
        }
    }
}

/// A function that takes frames one by one.
pub(crate) struct Each<'a>(pub(crate) &'a mut dyn FnMut(&[IoSlice<'_>]));

impl Sink for Each<'_> {
    fn frame(&mut self, frame: &[IoSlice<'_>]) {
        (self.0)(frame);
    }
}
