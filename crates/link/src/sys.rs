//! Descriptors that stay out of the program's way.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::process::{Resource, getrlimit};

/// A descriptor that is closed by a plain system call. `OwnedFd` would close it through libc's
/// `close`, a name that the library we are part of may define itself.
#[derive(Debug)]
pub(crate) struct Descriptor(ManuallyDrop<OwnedFd>);

impl Descriptor {
    /// Takes a descriptor as it is.
    pub(crate) fn new(fd: OwnedFd) -> Descriptor {
        Descriptor(ManuallyDrop::new(fd))
    }

    /// Takes a descriptor and moves it to a high number, so that the program's own calls go on
    /// getting the lowest free numbers they expect. If none is free there, it stays where it is.
    pub(crate) fn new_high(fd: OwnedFd) -> Descriptor {
        let low = Descriptor::new(fd);
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let min = limit.saturating_sub(HIGH_ROOM).min(HIGH_MIN) as i32;
        if low.as_fd().as_raw_fd() >= min {
            return low;
        }
        match rustix::io::fcntl_dupfd_cloexec(&low, min) {
            Ok(high) => Descriptor::new(high),
            Err(_) => low,
        }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the number is ours alone and is not used again: the OwnedFd around it is never dropped.
        unsafe { rustix::io::close(self.0.as_raw_fd()) }
    }
}

/// Where our own descriptors begin. Below 1024, the usual limit and the end of an `fd_set`, and
/// above what most programs reach.
const HIGH_MIN: u64 = 700;
/// How many numbers below a lower limit are left for ours.
const HIGH_ROOM: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_out_of_the_way() {
        let fd = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        let low = fd.as_raw_fd();
        let high = Descriptor::new_high(fd);
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(high.as_fd().as_raw_fd() > low);
        assert!(high.as_fd().as_raw_fd() as u64 >= limit.saturating_sub(HIGH_ROOM).min(HIGH_MIN));
        assert!(
            rustix::io::fcntl_getfd(&high)
                .unwrap()
                .contains(rustix::io::FdFlags::CLOEXEC)
        );
    }
}
