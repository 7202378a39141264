//! Reads what `tcpdump -i any -w` wrote: the packets, each with the interface that it was seen on.
//!
//! Written for these tests and used by them alone, so it is an independent witness of what the router sends: it shares
//! no code with it. It knows the link type LINUX_SLL2 and IPv4; everything else is passed over.

use std::net::Ipv4Addr;
use std::path::Path;

/// Bytes of a pcap file's header.
const FILE_HEADER: usize = 24;
/// Bytes of a record's header.
const RECORD_HEADER: usize = 16;
/// Link type: Linux cooked, version 2.
const LINUX_SLL2: u32 = 276;
/// Its packet type of what is sent.
const OUTGOING: u8 = 4;

/// An IPv4 packet as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Index of the interface.
    pub interface: u32,
    /// Whether it was sent by that interface's own machine.
    pub outgoing: bool,
    /// The packet from its IP header on, perhaps cut short.
    pub bytes: Vec<u8>,
}

impl Seen {
    /// Where it says it comes from.
    #[must_use]
    pub fn source(&self) -> Ipv4Addr {
        address(&self.bytes, 12)
    }

    /// Where it goes.
    #[must_use]
    pub fn destination(&self) -> Ipv4Addr {
        address(&self.bytes, 16)
    }

    /// The number of its protocol.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.bytes[9]
    }

    /// What follows the IP header; empty in a fragment that is not the first.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let fragment_offset = u16::from_be_bytes([self.bytes[6], self.bytes[7]]) & 0x1fff;
        let header = usize::from(self.bytes[0] & 15) * 4;
        if fragment_offset == 0 { self.bytes.get(header..).unwrap_or_default() } else { &[] }
    }

    /// Source and destination port of TCP or UDP.
    #[must_use]
    pub fn ports(&self) -> Option<(u16, u16)> {
        let payload = self.payload().get(..4).filter(|_| matches!(self.protocol(), 6 | 17))?;
        Some((u16::from_be_bytes([payload[0], payload[1]]), u16::from_be_bytes([payload[2], payload[3]])))
    }

    /// TCP flags.
    #[must_use]
    pub fn tcp_flags(&self) -> Option<u8> {
        self.payload().get(13).copied().filter(|_| self.protocol() == 6)
    }

    /// TCP sequence number.
    #[must_use]
    pub fn sequence(&self) -> Option<u32> {
        let bytes = self.payload().get(4..8).filter(|_| self.protocol() == 6)?;
        Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Type and code of ICMP.
    #[must_use]
    pub fn icmp(&self) -> Option<(u8, u8)> {
        let payload = self.payload().get(..2).filter(|_| self.protocol() == 1)?;
        Some((payload[0], payload[1]))
    }

    /// The packet that an ICMP error tells of.
    #[must_use]
    pub fn inner(&self) -> Option<Self> {
        self.icmp().filter(|(kind, _)| matches!(kind, 3 | 4 | 5 | 11 | 12))?;
        parse_ipv4(self.interface, self.outgoing, self.payload().get(8..)?)
    }
}

/// All IPv4 packets of a capture file.
///
/// # Panics
/// When it is not there or is no such file.
#[must_use]
pub fn read(path: &Path) -> Vec<Seen> {
    let file = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if file.len() < FILE_HEADER {
        return Vec::new();
    }
    assert_eq!(word(&file, 0), 0xa1b2_c3d4, "{} is no capture file of this machine", path.display());
    let link_type = word(&file, 20);
    let mut packets = Vec::new();
    let mut place = FILE_HEADER;
    while place + RECORD_HEADER <= file.len() {
        let start = place + RECORD_HEADER;
        let length = word(&file, place + 8) as usize;
        let Some(frame) = file.get(start..start + length) else { break };
        packets.extend(parse_frame(link_type, frame));
        place = start + length;
    }
    packets
}

fn parse_frame(link_type: u32, frame: &[u8]) -> Option<Seen> {
    assert_eq!(link_type, LINUX_SLL2, "this link type is not known here");
    let header = frame.get(..20)?;
    let interface = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    if header[..2] == [8, 0] { parse_ipv4(interface, header[10] == OUTGOING, &frame[20..]) } else { None }
}

fn parse_ipv4(interface: u32, outgoing: bool, packet: &[u8]) -> Option<Seen> {
    let is_ipv4 = packet.len() >= 20 && packet[0] >> 4 == 4;
    is_ipv4.then(|| Seen { interface, outgoing, bytes: packet.to_vec() })
}

fn address(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl Seen {
    /// Whether the packet is whole here: neither cut short by the capture nor a fragment.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let fragment = u16::from_be_bytes([self.bytes[6], self.bytes[7]]) & 0x3fff;
        fragment == 0 && self.length() <= self.bytes.len()
    }

    /// Its length as its header says.
    #[must_use]
    pub fn length(&self) -> usize {
        usize::from(u16::from_be_bytes([self.bytes[2], self.bytes[3]]))
    }

    /// Whether the checksums of the IP header and of TCP, UDP or ICMP are right, computed anew from all bytes.
    #[must_use]
    pub fn checksums_are_right(&self) -> bool {
        let header = usize::from(self.bytes[0] & 15) * 4;
        let segment = &self.bytes[header..self.length()];
        let pseudo_header = match self.protocol() {
            6 | 17 => sum(&self.bytes[12..20]) + u64::from(self.protocol()) + segment.len() as u64,
            _ => 0,
        };
        let without = self.protocol() == 17 && segment[6..8] == [0, 0];
        fold(sum(&self.bytes[..header])) == 0xffff && (without || fold(sum(segment) + pseudo_header) == 0xffff)
    }
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0))).sum()
}

fn fold(mut sum: u64) -> u64 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}
