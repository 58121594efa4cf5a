//! The time at which a driver's sleep ends by itself.

use tunsock_stack::Instant;

use super::sys;

/// A timerfd that every driver polls. It fires at the earliest time that anybody asked for since it last did: mostly an answer comes long
/// before a retransmission is due, and the driver's next sleep wants a later time. Setting it for that would be a system call a sleep, and
/// a timeout of the sleep's own is a timer that the kernel sets and takes back each time. So it fires early now and then, for nothing.
pub(super) struct Timer {
    /// -1: there was none to be had.
    fd: i32,
    armed: Option<Instant>,
}

impl Timer {
    /// Not armed.
    pub(super) fn new() -> Timer {
        let fd = sys::timerfd().unwrap_or(-1);
        super::reserve(fd);
        Timer { fd, armed: None }
    }

    /// What to poll, -1 without a timer.
    pub(super) fn fd(&self) -> i32 {
        self.fd
    }

    /// Fires at `when` or before, from now on. False: there is no timer, or none any more; so ask for [`Timer::fd`] afterwards.
    pub(super) fn fire_by(&mut self, when: Instant, now: Instant) -> bool {
        if self.fd < 0 {
            return false;
        }
        if self.armed.is_none_or(|at| when < at || at <= now) {
            self.armed = Some(when);
            self.set(Some(when));
        }
        self.fd >= 0
    }

    /// A timer that can't be set (a seccomp filter of the program's) is given up: without one a sleep has a timeout of its own.
    fn set(&mut self, when: Option<Instant>) {
        if sys::timerfd_set(self.fd, when).is_err() {
            self.close();
        }
    }

    /// It has fired, as poll said by these events. It does not any more.
    pub(super) fn polled(&mut self, events: i16) {
        self.armed = None;
        if events & libc::POLLNVAL == 0 {
            self.set(None);
        } else {
            // Somebody has closed it past us.
            super::release(std::mem::replace(&mut self.fd, -1));
        }
    }

    /// There is no timer from now on. Of a forked child's copy, too: the timer is the parent's to use.
    pub(super) fn close(&mut self) {
        let fd = std::mem::replace(&mut self.fd, -1);
        super::release(fd);
        let _ = sys::close(fd);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fires(timer: &Timer) -> i16 {
        let mut fds = [libc::pollfd {
            fd: timer.fd(),
            events: libc::POLLIN,
            revents: 0,
        }];
        sys::ppoll(&mut fds, Some(0), None).expect("no signal comes");
        fds[0].revents
    }

    #[test]
    fn one_that_cannot_be_set_is_given_up() {
        // Set as a timer this fails as it does where a filter refuses the call.
        let fd = sys::eventfd().expect("an eventfd");
        let mut timer = Timer { fd, armed: None };
        let now = sys::now();
        assert!(!timer.fire_by(now, now));
        assert_eq!(timer.fd(), -1);
        assert!(!timer.fire_by(now, now));
    }

    #[test]
    fn it_fires_once_at_the_earliest_time() {
        let mut timer = Timer::new();
        let now = sys::now();
        let later = now + std::time::Duration::from_secs(3600);
        assert!(timer.fire_by(later, now));
        assert_eq!(fires(&timer), 0);
        assert!(timer.fire_by(now, now));
        assert_eq!(fires(&timer), libc::POLLIN);
        timer.polled(libc::POLLIN);
        assert_eq!(fires(&timer), 0);
        // One that has fired and that nobody has looked at is set anew.
        assert!(timer.fire_by(now, now));
        assert_eq!(fires(&timer), libc::POLLIN);
        assert!(timer.fire_by(later, now));
        assert_eq!(fires(&timer), 0);
        timer.close();
        assert!(!timer.fire_by(later, now));
    }
}
