//! Many datagrams a system call: `recvmmsg` and `sendmmsg` with the kernel's structures allocated once.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::check;

/// Room for the descriptions of a batch of datagrams.
pub struct Messages {
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Messages").field("capacity", &self.headers.len()).finish_non_exhaustive()
    }
}

// SAFETY: the pointers in here are only followed by the kernel, within `receive` and `send`, which set them first.
unsafe impl Send for Messages {}

/// What a datagram's length and flags tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes put into the area.
    pub length: usize,
    /// Whether the datagram was longer than the area.
    pub truncated: bool,
}

impl Messages {
    /// Room for `capacity` datagrams a call.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        // SAFETY: both structures are plain integers and pointers, for which zero is a valid value.
        let (header, vector) = unsafe { (std::mem::zeroed::<libc::mmsghdr>(), std::mem::zeroed::<libc::iovec>()) };
        Self { headers: vec![header; capacity].into(), vectors: vec![vector; capacity].into() }
    }

    /// How many datagrams one call can move.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.headers.len()
    }

    /// Receives into `areas`, one datagram each, as many as are there now, and returns how many; [`Self::received`]
    /// tells their lengths. Areas beyond [`Self::capacity`] are left alone.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; else what the socket reports.
    pub fn receive<'a>(&mut self, socket: &impl AsFd, areas: impl Iterator<Item = &'a mut [u8]>) -> io::Result<usize> {
        let vectors = areas.map(|area| libc::iovec { iov_base: area.as_mut_ptr().cast(), iov_len: area.len() });
        let count = self.describe(vectors);
        let descriptor = socket.as_fd().as_raw_fd();
        // SAFETY: the first `count` headers each point to one vector, which points to an area that is exclusively
        // borrowed for 'a, so beyond this call. Names and control data have length zero.
        let result = unsafe {
            libc::recvmmsg(descriptor, self.headers.as_mut_ptr(), count, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        check(result).map(|count| usize::try_from(count).unwrap_or(0))
    }

    /// About the datagram at `index` of the last [`Self::receive`].
    #[must_use]
    pub fn received(&self, index: usize) -> Received {
        let header = &self.headers[index];
        Received {
            length: usize::try_from(header.msg_len).unwrap_or(0),
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        }
    }

    /// Sends `frames`, one datagram each, until one is refused, and returns how many were taken, at least one. Frames
    /// beyond [`Self::capacity`] are left alone.
    ///
    /// # Errors
    /// When the first one is refused.
    pub fn send<'a>(&mut self, socket: &impl AsFd, frames: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
        let vectors =
            frames.map(|frame| libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() });
        let count = self.describe(vectors);
        let descriptor = socket.as_fd().as_raw_fd();
        // SAFETY: the first `count` headers each point to one vector, which points to a frame borrowed for 'a, so
        // beyond this call; the kernel only reads it. Names and control data have length zero.
        let result = unsafe { libc::sendmmsg(descriptor, self.headers.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
        check(result).map(|count| usize::try_from(count).unwrap_or(0))
    }

    fn describe(&mut self, vectors: impl Iterator<Item = libc::iovec>) -> libc::c_uint {
        let mut count = 0;
        for ((header, slot), vector) in self.headers.iter_mut().zip(self.vectors.iter_mut()).zip(vectors) {
            *slot = vector;
            header.msg_hdr.msg_iov = slot;
            header.msg_hdr.msg_iovlen = 1;
            count += 1;
        }
        count
    }
}
