//! The daemon's way to put a frame of its own (ARP) on an uplink.

use std::io;

use crate::sys::packet_socket::PacketSocket;

/// Sends whole Ethernet frames on one interface. When the interface is deleted and made again, open a new one.
#[derive(Debug)]
pub struct FrameSender(PacketSocket);

impl FrameSender {
    /// For the interface with this index.
    ///
    /// # Errors
    /// When there is no such interface, or without `CAP_NET_RAW`.
    pub fn open(interface_index: u32) -> io::Result<Self> {
        PacketSocket::open_sender(interface_index).map(Self)
    }

    /// Whether a frame was not sent because the interface's queue is full: it is lost as on a wire.
    #[must_use]
    pub fn is_full(error: &io::Error) -> bool {
        matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN))
    }

    /// Sends a frame, Ethernet header first, without waiting.
    ///
    /// # Errors
    /// When the interface is down, gone or busy.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.send(frame)
    }
}
