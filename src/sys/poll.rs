//! Waiting for several descriptors at once, level-triggered: what is not read stays ready.
//!
//! `ppoll` and not epoll, for the sake of a busy socket: epoll stays registered with it, so every frame that arrives
//! takes the set's lock and looks for somebody to wake; `ppoll` registers only while it sleeps. A worker has few
//! descriptors, so looking at each costs less than that.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use super::check;

/// One ready descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it was registered under.
    pub token: u64,
    /// Whether it has something to read.
    pub readable: bool,
    /// Whether it reports an error or has been hung up.
    pub failed: bool,
}

/// A set of descriptors to wait for. It does not own them: take one out before it is closed.
#[derive(Default)]
pub struct PollSet {
    descriptors: Vec<libc::pollfd>,
    tokens: Vec<u64>,
    events: Vec<Event>,
}

impl std::fmt::Debug for PollSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PollSet").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

impl PollSet {
    /// Adds a descriptor, to be reported as `token` when it can be read. What was there under that token is taken out.
    pub fn add(&mut self, descriptor: &impl AsFd, token: u64) {
        self.remove(token);
        self.descriptors.push(libc::pollfd { fd: descriptor.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 });
        self.tokens.push(token);
        self.events.reserve(self.tokens.len());
    }

    /// Takes out what was added under a token, if anything was.
    pub fn remove(&mut self, token: u64) {
        if let Some(at) = self.tokens.iter().position(|&other| other == token) {
            self.descriptors.swap_remove(at);
            self.tokens.swap_remove(at);
        }
    }

    /// Waits until a descriptor is ready, `timeout` has passed (`None`: however long it takes), or a signal came. Returns
    /// how many [`Self::event`]s there are.
    ///
    /// # Errors
    /// When the kernel has no memory to wait with.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.events.clear();
        let timeout = timeout.map(|span| libc::timespec {
            tv_sec: libc::time_t::try_from(span.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: span.subsec_nanos().into(),
        });
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let count = libc::nfds_t::try_from(self.descriptors.len()).unwrap_or(0);
        // SAFETY: the array has `count` entries; `timeout` is null or points to a timespec that outlives the call; a null
        // signal mask changes no mask.
        let result = unsafe { libc::ppoll(self.descriptors.as_mut_ptr(), count, timeout, std::ptr::null()) };
        match check(result) {
            Ok(0) => Ok(0),
            Ok(_) => {
                self.collect();
                Ok(self.events.len())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn collect(&mut self) {
        for (descriptor, &token) in self.descriptors.iter().zip(&self.tokens) {
            let has = |flags: libc::c_short| descriptor.revents & flags != 0;
            if descriptor.revents != 0 {
                let failed = has(libc::POLLERR | libc::POLLHUP | libc::POLLNVAL);
                self.events.push(Event { token, readable: has(libc::POLLIN), failed });
            }
        }
    }

    /// An event of the last [`Self::wait`].
    #[must_use]
    pub fn event(&self, index: usize) -> Event {
        self.events[index]
    }
}

#[cfg(test)]
mod tests {
    use super::super::eventfd::EventFd;
    use super::*;

    #[test]
    fn a_signal_is_reported_until_it_is_cleared() {
        let mut set = PollSet::default();
        let (quiet, wake) = (EventFd::new().unwrap(), EventFd::new().unwrap());
        set.add(&quiet, 41);
        set.add(&wake, 42);
        assert_eq!(set.wait(Some(Duration::ZERO)).unwrap(), 0);
        wake.signal();
        wake.signal();
        for _ in 0..2 {
            assert_eq!(set.wait(None).unwrap(), 1);
            assert_eq!(set.event(0), Event { token: 42, readable: true, failed: false });
        }
        wake.clear();
        assert_eq!(set.wait(Some(Duration::from_micros(10))).unwrap(), 0);
        wake.signal();
        set.remove(42);
        set.remove(42);
        assert_eq!(set.wait(Some(Duration::ZERO)).unwrap(), 0);
    }

    #[test]
    fn a_token_names_one_descriptor() {
        let mut set = PollSet::default();
        let (old, new) = (EventFd::new().unwrap(), EventFd::new().unwrap());
        set.add(&old, 7);
        set.add(&new, 7);
        old.signal();
        assert_eq!(set.wait(Some(Duration::ZERO)).unwrap(), 0);
        new.signal();
        assert_eq!(set.wait(None).unwrap(), 1);
    }
}
