//! The packet buffer: one allocation, made at start, in which a packet is received, rewritten and sent.
//!
//! The IP header always stands at [`HEADROOM`], whatever link header came before it, so a packet received on a TUN
//! queue and sent on Ethernet is never moved:
//!
//! ```text
//! 0            HEADROOM-14-10       HEADROOM-14      HEADROOM
//! |   unused   | virtio_net_hdr (10) | Ethernet (14) | IP packet ... |
//! ```
//!
//! On a line by PPPoE the link header has eight bytes more (see [`super::pppoe`]).
//!
//! Buffers are owned by whoever works on the packet and move by value: port, engine, fragment cache, another worker,
//! back to the [`BufferPool`].

use super::mac::MacAddress;
use super::vnet::{VNET_LENGTH, VnetError, VnetHeader};

/// Where the IP header stands, in bytes from the start of the buffer.
pub const HEADROOM: usize = 64;
/// Longest IP packet that fits: the longest there is.
pub const LONGEST_PACKET: usize = 65_535;
/// Bytes of a whole buffer.
pub const CAPACITY: usize = HEADROOM + LONGEST_PACKET + 1;
/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of address resolution.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Bytes of an Ethernet header without tags.
pub const ETHERNET_LENGTH: usize = 14;

/// One packet and the room around it.
pub struct PacketBuffer {
    bytes: Box<[u8; CAPACITY]>,
    length: u16,
    link_length: u16,
    /// Offload metadata, relative to the IP header.
    pub vnet: VnetHeader,
    /// Bytes of the IP and layer-4 headers together. Whoever queues a super-packet for sending must have set it.
    pub header_length: u16,
}

impl std::fmt::Debug for PacketBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacketBuffer").field("packet", &self.packet()).field("vnet", &self.vnet).finish()
    }
}

impl Default for PacketBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl PacketBuffer {
    /// An empty buffer. Allocates.
    #[must_use]
    pub fn new() -> Self {
        let bytes = vec![0; CAPACITY].into_boxed_slice();
        Self {
            bytes: bytes.try_into().expect("as long as it was made"),
            length: 0,
            link_length: 0,
            vnet: VnetHeader::default(),
            header_length: 0,
        }
    }

    /// The IP packet.
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        &self.bytes[HEADROOM..HEADROOM + self.length()]
    }

    /// The IP packet, to be rewritten in place.
    pub fn packet_mut(&mut self) -> &mut [u8] {
        let length = self.length();
        &mut self.bytes[HEADROOM..HEADROOM + length]
    }

    /// Bytes of the IP packet.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length.into()
    }

    /// Sets the length of the IP packet, to cut trailing padding or before a packet is written here.
    ///
    /// # Panics
    /// When `length` exceeds [`LONGEST_PACKET`].
    pub fn set_length(&mut self, length: usize) {
        self.length = u16::try_from(length).expect("an IP packet has at most 65,535 bytes");
    }

    /// Replaces the packet by a copy of `packet`, with no link header and a complete checksum.
    ///
    /// # Panics
    /// When `packet` is longer than [`LONGEST_PACKET`].
    pub fn fill(&mut self, packet: &[u8]) {
        self.set_length(packet.len());
        self.packet_mut().copy_from_slice(packet);
        self.link_length = 0;
        self.vnet = VnetHeader::default();
    }

    /// Where a port receives into: virtio header, `link_length` bytes of link header, packet.
    pub fn receive_area(&mut self, link_length: usize) -> &mut [u8] {
        &mut self.bytes[HEADROOM - link_length - VNET_LENGTH..HEADROOM + LONGEST_PACKET]
    }

    /// Takes over what a port has put into [`Self::receive_area`]: `received` bytes with a virtio header and
    /// `link_length` bytes of link header, zero where the frame ends before.
    ///
    /// # Errors
    /// When the virtio header contradicts itself. The buffer then holds an empty packet.
    pub fn received(&mut self, received: usize, link_length: usize) -> Result<(), VnetError> {
        let start = HEADROOM - link_length - VNET_LENGTH;
        let mut header = [0; VNET_LENGTH];
        header.copy_from_slice(&self.bytes[start..start + VNET_LENGTH]);
        // What an earlier packet has left must not pass for this one's.
        self.bytes[(start + received).min(HEADROOM)..HEADROOM].fill(0);
        self.link_length = link_length as u16;
        self.length = u16::try_from(received.saturating_sub(VNET_LENGTH + link_length)).unwrap_or(u16::MAX);
        match VnetHeader::decode(&header, self.link_length) {
            Ok(vnet) => {
                self.vnet = vnet;
                Ok(())
            }
            Err(error) => {
                self.length = 0;
                self.vnet = VnetHeader::default();
                Err(error)
            }
        }
    }

    /// Link header and packet: on Ethernet, the whole frame.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.bytes[HEADROOM - usize::from(self.link_length)..HEADROOM + self.length()]
    }

    /// The link header: empty, [`ETHERNET_LENGTH`] or [`super::pppoe::LINK_LENGTH`] bytes.
    #[must_use]
    pub fn link_header(&self) -> &[u8] {
        &self.bytes[HEADROOM - usize::from(self.link_length)..HEADROOM]
    }

    /// Source address of the Ethernet header; zero when there is none.
    #[must_use]
    pub fn link_source(&self) -> MacAddress {
        let mut mac = MacAddress::default();
        if let Some(source) = self.link_header().get(6..12) {
            mac.0.copy_from_slice(source);
        }
        mac
    }

    /// The EtherType of the Ethernet header; `None` when there is none (a TUN packet).
    #[must_use]
    pub fn ethertype(&self) -> Option<u16> {
        self.link_header().get(12..14).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Replaces the link header. `header` is at most [`HEADROOM`] less the virtio header: 54 bytes.
    pub fn set_link_header(&mut self, header: &[u8]) {
        self.bytes[HEADROOM - header.len()..HEADROOM].copy_from_slice(header);
        self.link_length = header.len() as u16;
    }

    /// The whole frame as a port with virtio headers sends it: virtio header, link header, packet.
    pub fn frame_to_send(&mut self) -> &[u8] {
        let start = HEADROOM - usize::from(self.link_length) - VNET_LENGTH;
        let header = self.vnet.encode(self.link_length, self.link_length + self.header_length);
        self.bytes[start..start + VNET_LENGTH].copy_from_slice(&header);
        &self.bytes[start..HEADROOM + self.length()]
    }
}

/// Empty buffers, last in, first out, so that the warmest is used next.
#[derive(Debug, Default)]
pub struct BufferPool {
    free: Vec<PacketBuffer>,
    keep: usize,
}

impl BufferPool {
    /// A pool that starts with `keep` buffers and never keeps more.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self { free: (0..keep).map(|_| PacketBuffer::new()).collect(), keep }
    }

    /// Takes a buffer. Allocates only when more buffers are in use than the pool was made for.
    pub fn take(&mut self) -> PacketBuffer {
        self.free.pop().unwrap_or_default()
    }

    /// Gives a buffer back.
    pub fn give(&mut self, buffer: PacketBuffer) {
        if self.free.len() < self.keep {
            self.free.push(buffer);
        }
    }
}
