//! Waiting for many descriptors at once, level-triggered: what is not read stays ready.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
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

/// The most events that one [`Epoll::wait`] reports.
const EVENTS: usize = 64;

/// A set of descriptors to wait for.
pub struct Epoll {
    descriptor: OwnedFd,
    events: Box<[libc::epoll_event; EVENTS]>,
}

impl std::fmt::Debug for Epoll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epoll").field("descriptor", &self.descriptor).finish_non_exhaustive()
    }
}

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    /// When the process has too many descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call touches no memory of ours.
        let descriptor = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: a fresh descriptor that nobody else owns.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { descriptor, events: Box::new([libc::epoll_event { events: 0, u64: 0 }; EVENTS]) })
    }

    /// Adds a descriptor, to be reported as `token` when it can be read. Closing the descriptor removes it.
    ///
    /// # Errors
    /// When it is there already or cannot be waited for.
    pub fn add(&self, descriptor: &impl AsFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: token };
        let descriptor = descriptor.as_fd().as_raw_fd();
        // SAFETY: `event` is readable for the time of the call.
        let result =
            unsafe { libc::epoll_ctl(self.descriptor.as_raw_fd(), libc::EPOLL_CTL_ADD, descriptor, &raw mut event) };
        check(result).map(drop)
    }

    /// Takes a descriptor out.
    ///
    /// # Errors
    /// When it is not in the set.
    pub fn remove(&self, descriptor: &impl AsFd) -> io::Result<()> {
        let descriptor = descriptor.as_fd().as_raw_fd();
        let nothing = std::ptr::null_mut();
        // SAFETY: EPOLL_CTL_DEL reads no event.
        check(unsafe { libc::epoll_ctl(self.descriptor.as_raw_fd(), libc::EPOLL_CTL_DEL, descriptor, nothing) })?;
        Ok(())
    }

    /// Waits until a descriptor is ready, `timeout` has passed (rounded up to milliseconds; `None`: however long it
    /// takes), or a signal came. Returns how many [`Self::event`]s there are.
    ///
    /// # Errors
    /// When the set itself is broken.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let milliseconds = timeout.map_or(-1, |span| {
            i32::try_from(span.as_millis())
                .unwrap_or(i32::MAX)
                .saturating_add(i32::from(span.subsec_nanos() % 1_000_000 != 0))
        });
        let most = libc::c_int::try_from(EVENTS).unwrap_or(1);
        // SAFETY: the array has room for `most` events.
        let result =
            unsafe { libc::epoll_wait(self.descriptor.as_raw_fd(), self.events.as_mut_ptr(), most, milliseconds) };
        match check(result) {
            Ok(count) => Ok(usize::try_from(count).unwrap_or(0)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// An event of the last [`Self::wait`].
    #[must_use]
    pub fn event(&self, index: usize) -> Event {
        let libc::epoll_event { events, u64: token } = self.events[index];
        let has = |flags: libc::c_int| events & flags.cast_unsigned() != 0;
        Event { token, readable: has(libc::EPOLLIN), failed: has(libc::EPOLLERR | libc::EPOLLHUP) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::eventfd::EventFd;
    use super::*;

    #[test]
    fn a_signal_is_reported_until_it_is_cleared() {
        let mut epoll = Epoll::new().unwrap();
        let wake = EventFd::new().unwrap();
        epoll.add(&wake, 42).unwrap();
        assert_eq!(epoll.wait(Some(Duration::ZERO)).unwrap(), 0);
        wake.signal();
        wake.signal();
        for _ in 0..2 {
            assert_eq!(epoll.wait(None).unwrap(), 1);
            assert_eq!(epoll.event(0), Event { token: 42, readable: true, failed: false });
        }
        wake.clear();
        assert_eq!(epoll.wait(Some(Duration::from_micros(10))).unwrap(), 0);
        epoll.remove(&wake).unwrap();
        assert!(epoll.remove(&wake).is_err());
    }
}
