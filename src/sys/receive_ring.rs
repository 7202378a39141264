//! A packet socket's receive ring (`TPACKET_V2`): the kernel writes frames into memory that we see, so that none costs a
//! system call, or a buffer of the kernel's to be allocated and freed.
//!
//! The ring has places of one size. A frame that is longer is queued on the socket as if there were no ring, and its place
//! says so; order is kept. Places become ours and the kernel's again one by one, so nothing waits for a block to fill.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use super::mapped::Mapping;

/// Bytes of a place: room for the kernel's header, the virtio header and a frame of the usual MTU.
pub(super) const PLACE_BYTES: usize = 2_048;
/// Bytes that the kernel allocates in one piece.
pub(super) const BLOCK_BYTES: usize = 65_536;

// From linux/if_packet.h: where `struct tpacket2_hdr` has its fields.
const LENGTH: usize = 4;
const CAPTURED: usize = 8;
const FRAME: usize = 12;

const STATUS_KERNEL: u32 = 0;
const STATUS_USER: u32 = 1;
const STATUS_COPY: u32 = 2;

/// Bytes of a virtio header, which stands before the frame.
const VIRTIO_BYTES: usize = 10;

/// A frame in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingFrame<'a> {
    /// Virtio header and frame, whole.
    Whole(&'a [u8]),
    /// It is too long for a place: the next datagram to be received from the socket.
    Queued,
    /// It is too long for a place, and the socket's queue was full.
    Lost,
}

/// A ring.
#[derive(Debug)]
pub struct ReceiveRing {
    mapping: Mapping,
    next: usize,
}

impl ReceiveRing {
    /// Maps the ring of `length` bytes that the socket has.
    pub(super) fn map(socket: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::new(length, libc::MAP_SHARED, Some(socket))?, next: 0 })
    }

    /// Gives the next frame to `read`, and its place back to the kernel afterwards. `None`: there is none now.
    pub fn take<R>(&mut self, read: impl FnOnce(RingFrame<'_>) -> R) -> Option<R> {
        // SAFETY: `next` is below the number of places, so the place is within the mapping, and its start is aligned.
        let start = unsafe { self.mapping.start().add(self.next * PLACE_BYTES) };
        // SAFETY: the kernel and we use this word as an atomic only.
        let status = unsafe { start.cast::<AtomicU32>().as_ref() };
        let seen = status.load(Ordering::Acquire);
        if seen & STATUS_USER == 0 {
            return None;
        }
        // SAFETY: while the status says that the place is ours, the kernel does not write to it.
        let place = unsafe { std::slice::from_raw_parts(start.as_ptr(), PLACE_BYTES) };
        let result = read(frame_of(place, seen));
        status.store(STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % (self.mapping.length() / PLACE_BYTES);
        Some(result)
    }
}

fn frame_of(place: &[u8], status: u32) -> RingFrame<'_> {
    let word = |at: usize| u32::from_ne_bytes([place[at], place[at + 1], place[at + 2], place[at + 3]]);
    let start = usize::from(u16::from_ne_bytes([place[FRAME], place[FRAME + 1]]));
    if status & STATUS_COPY != 0 {
        return RingFrame::Queued;
    }
    let end = start + word(CAPTURED) as usize;
    match place.get(start.saturating_sub(VIRTIO_BYTES)..end) {
        Some(frame) if word(CAPTURED) == word(LENGTH) => RingFrame::Whole(frame),
        _ => RingFrame::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(length: u32, captured: u32) -> Vec<u8> {
        let mut place = vec![0; PLACE_BYTES];
        place[LENGTH..LENGTH + 4].copy_from_slice(&length.to_ne_bytes());
        place[CAPTURED..CAPTURED + 4].copy_from_slice(&captured.to_ne_bytes());
        place[FRAME..FRAME + 2].copy_from_slice(&80_u16.to_ne_bytes());
        place[70..84].copy_from_slice(b"virtio-header.");
        place
    }

    #[test]
    fn frames_are_whole_queued_or_lost() {
        assert_eq!(frame_of(&place(4, 4), STATUS_USER), RingFrame::Whole(b"virtio-header."));
        assert_eq!(frame_of(&place(9_000, 1_900), STATUS_USER | STATUS_COPY), RingFrame::Queued);
        assert_eq!(frame_of(&place(9_000, 1_900), STATUS_USER), RingFrame::Lost);
        assert_eq!(frame_of(&place(9_000, 9_000), STATUS_USER), RingFrame::Lost);
    }
}
