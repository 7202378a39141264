//! The daemon's way to put a frame of its own (ARP, DHCP, a probe) on an uplink.

use std::io;

use super::guard;
use crate::sys::packet_socket::PacketSocket;
use crate::wire::vnet::VNET_LENGTH;

/// Sends whole Ethernet frames on one interface. When the interface is deleted and made again, open a new one.
#[derive(Debug)]
pub struct FrameSender {
    socket: PacketSocket,
    /// What the kernel wants before each frame.
    prefix: &'static [u8],
}

impl FrameSender {
    /// For the interface with this index.
    ///
    /// # Errors
    /// When there is no such interface, or without `CAP_NET_RAW`.
    pub fn open(interface_index: u32) -> io::Result<Self> {
        Ok(Self { socket: PacketSocket::open_sender(interface_index)?, prefix: &[] })
    }

    /// For the interface with this index, which has no link header: what is sent are IP packets.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_bare(interface_index: u32) -> io::Result<Self> {
        let socket = PacketSocket::open_ipv4_sender(interface_index, &guard::deaf_filter()?)?;
        // A virtio header that says nothing.
        Ok(Self { socket, prefix: &[0; VNET_LENGTH] })
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
        if self.prefix.is_empty() { self.socket.send(frame) } else { self.socket.send(&[self.prefix, frame].concat()) }
    }
}
