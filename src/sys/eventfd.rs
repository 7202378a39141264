//! A counter that wakes a thread waiting in [`poll`](super::poll).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;

/// An eventfd, non-blocking.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A new one, not signalled.
    ///
    /// # Errors
    /// When the process has too many descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call touches no memory of ours.
        let descriptor = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: a fresh descriptor that nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Makes it readable. Signalling twice before it is read is the same as once.
    pub fn signal(&self) {
        let one: u64 = 1;
        // SAFETY: eight readable bytes are given. The write can only fail when the counter is at its limit, and then
        // it is readable already.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }

    /// Makes it unreadable until the next signal.
    pub fn clear(&self) {
        let mut count: u64 = 0;
        // SAFETY: eight writable bytes are given. The read fails only when there was no signal.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
