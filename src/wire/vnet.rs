//! The virtio network header that rides before a packet on a TUN queue or a packet socket (`PACKET_VNET_HDR`).
//!
//! It says two things that the packet's own bytes do not: whether the layer-4 checksum is finished, and whether the
//! packet is a super-packet that some later hop must cut. Offsets on the wire count from the start of the frame;
//! [`VnetHeader`] counts from the start of the IP header, so that it stays true when a link header is changed.

/// Bytes of the header on the wire (`struct virtio_net_hdr`, without `num_buffers`).
pub const VNET_LENGTH: usize = 10;

const FLAG_NEEDS_CSUM: u8 = 1;
const FLAG_DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_UDP_FRAGMENT: u8 = 3;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// What is known of the layer-4 checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// It is finished; nobody has looked whether it is right.
    #[default]
    Complete,
    /// It is finished, and a receiver has found it right.
    Verified,
    /// Only the pseudo-header sum is there. Whoever sends the packet on a wire sums from `start` to the end and stores
    /// the result at `start + offset`. Both in bytes; `start` from the IP header.
    Unfinished {
        /// Where summing starts.
        start: u16,
        /// Where the checksum field is, from `start`.
        offset: u16,
    },
}

/// How a super-packet is to be cut. `size` is the layer-4 payload of each piece, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Segmentation {
    /// An ordinary packet.
    #[default]
    None,
    /// TCP over IPv4.
    Tcp4 {
        /// Payload bytes of a piece.
        size: u16,
        /// Only the first piece carries CWR.
        ecn: bool,
    },
    /// TCP over IPv6.
    Tcp6 {
        /// Payload bytes of a piece.
        size: u16,
        /// Only the first piece carries CWR.
        ecn: bool,
    },
    /// Many UDP datagrams of one flow (USO).
    Udp {
        /// Payload bytes of a piece.
        size: u16,
    },
}

impl Segmentation {
    /// Payload bytes of each piece; `None` for an ordinary packet.
    #[must_use]
    pub fn size(self) -> Option<u16> {
        match self {
            Self::None => None,
            Self::Tcp4 { size, .. } | Self::Tcp6 { size, .. } | Self::Udp { size } => Some(size),
        }
    }
}

/// Offload metadata of one packet, offsets relative to its IP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VnetHeader {
    /// State of the layer-4 checksum.
    pub checksum: Checksum,
    /// How to cut it, if it is a super-packet.
    pub segmentation: Segmentation,
}

/// A header that contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VnetError {
    /// `gso_type` is none that we know.
    #[error("unknown segmentation type {0}")]
    UnknownSegmentation(u8),
    /// A super-packet whose pieces would be empty.
    #[error("segmentation with pieces of no bytes")]
    EmptySegments,
    /// The checksum starts inside the link header.
    #[error("checksum starts before the IP header")]
    ChecksumBeforePacket,
}

impl VnetHeader {
    /// Reads a header that was written for a frame with `link_length` bytes before the IP header.
    ///
    /// # Errors
    /// When the header contradicts itself. Whether it fits the packet behind it is for the caller to check.
    pub fn decode(bytes: &[u8; VNET_LENGTH], link_length: u16) -> Result<Self, VnetError> {
        let [flags, gso_type, ..] = *bytes;
        let half = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let (size, start, offset) = (half(4), half(6), half(8));
        let checksum = if flags & FLAG_NEEDS_CSUM != 0 {
            let start = start.checked_sub(link_length).ok_or(VnetError::ChecksumBeforePacket)?;
            Checksum::Unfinished { start, offset }
        } else if flags & FLAG_DATA_VALID != 0 {
            Checksum::Verified
        } else {
            Checksum::Complete
        };
        let ecn = gso_type & GSO_ECN != 0;
        let segmentation = match gso_type & !GSO_ECN {
            GSO_NONE => Segmentation::None,
            GSO_TCPV4 => Segmentation::Tcp4 { size, ecn },
            GSO_TCPV6 => Segmentation::Tcp6 { size, ecn },
            GSO_UDP_L4 => Segmentation::Udp { size },
            // GSO_UDP_FRAGMENT (old UFO) means IP fragmentation by the device; no kernel since 4.14 makes it.
            GSO_UDP_FRAGMENT => return Err(VnetError::UnknownSegmentation(gso_type)),
            _ => return Err(VnetError::UnknownSegmentation(gso_type)),
        };
        if segmentation.size() == Some(0) {
            return Err(VnetError::EmptySegments);
        }
        Ok(Self { checksum, segmentation })
    }

    /// Writes the header for a frame with `link_length` bytes before the IP header. `header_length` is the length of
    /// link, IP and layer-4 headers together, which a super-packet must name.
    #[must_use]
    pub fn encode(self, link_length: u16, header_length: u16) -> [u8; VNET_LENGTH] {
        let (flags, start, offset) = match self.checksum {
            Checksum::Complete | Checksum::Verified => (0, 0, 0),
            Checksum::Unfinished { start, offset } => (FLAG_NEEDS_CSUM, start.saturating_add(link_length), offset),
        };
        let ecn_flag = |ecn: bool| if ecn { GSO_ECN } else { 0 };
        let (gso_type, size) = match self.segmentation {
            Segmentation::None => (GSO_NONE, 0),
            Segmentation::Tcp4 { size, ecn } => (GSO_TCPV4 | ecn_flag(ecn), size),
            Segmentation::Tcp6 { size, ecn } => (GSO_TCPV6 | ecn_flag(ecn), size),
            Segmentation::Udp { size } => (GSO_UDP_L4, size),
        };
        let header_length = if gso_type == GSO_NONE { 0 } else { header_length };
        let mut bytes = [0; VNET_LENGTH];
        bytes[0] = flags;
        bytes[1] = gso_type;
        for (at, value) in [(2, header_length), (4, size), (6, start), (8, offset)] {
            bytes[at..at + 2].copy_from_slice(&value.to_ne_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_survives_a_change_of_link_header() {
        let header = VnetHeader {
            checksum: Checksum::Unfinished { start: 20, offset: 16 },
            segmentation: Segmentation::Tcp4 { size: 1448, ecn: true },
        };
        let ethernet = header.encode(14, 14 + 20 + 32);
        assert_eq!(VnetHeader::decode(&ethernet, 14), Ok(header));
        assert_eq!(VnetHeader::decode(&header.encode(0, 52), 0), Ok(header));
    }

    #[test]
    fn lies_are_refused() {
        let mut bytes = VnetHeader::default().encode(14, 54);
        bytes[1] = GSO_TCPV4;
        assert_eq!(VnetHeader::decode(&bytes, 14), Err(VnetError::EmptySegments));
        bytes[1] = 77;
        assert_eq!(VnetHeader::decode(&bytes, 14), Err(VnetError::UnknownSegmentation(77)));
        let mut bytes = [0; VNET_LENGTH];
        bytes[0] = FLAG_NEEDS_CSUM;
        assert_eq!(VnetHeader::decode(&bytes, 14), Err(VnetError::ChecksumBeforePacket));
    }
}
